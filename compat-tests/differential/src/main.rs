//! Sends the same generated operations to two ZooKeeper servers and compares all that comes back.

mod admin;
mod compare;
mod connection;
mod coverage;
mod defects;
mod deliberate;
mod generate;
mod play;
mod profile;
mod reply;
mod request;
mod rng;
mod script;
mod servers;
mod shrink;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use compare::{Difference, compare};
use coverage::Coverage;
use play::{Patience, Player, Transcript};
use profile::{PROFILES, Profile};
use script::Script;
use servers::Server;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Arguments {
    /// Script that starts a server: KIND DIRECTORY zoo.cfg-line...
    #[arg(long)]
    starter: PathBuf,
    /// Where the servers keep their files.
    #[arg(long)]
    directory: PathBuf,
    /// A kind of server, or several kinds, separated by commas: an ensemble, whose first server leads.
    #[arg(long, default_value = "java")]
    left: String,
    #[arg(long, default_value = "ferrokeeper")]
    right: String,
    /// Operations to send, at least.
    #[arg(long, default_value_t = 100_000)]
    ops: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this configuration.
    #[arg(long)]
    config: Option<String>,
    /// Different differences to shrink; further ones are only counted.
    #[arg(long, default_value_t = 12)]
    shrinks: usize,
    /// Scripts tried while shrinking one difference.
    #[arg(long, default_value_t = 400)]
    attempts: usize,
    /// A file for the differences, rewritten whenever one is found.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Looks past differences whose headline contains this text; for finding what is behind them.
    #[arg(long)]
    ignore: Vec<String>,
    /// Plays a script from a file instead of generated ones.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// How often (with --replay): for differences that do not show each time.
    #[arg(long, default_value_t = 1)]
    times: u64,
    /// Prints the whole transcript of the left server (with --replay).
    #[arg(long)]
    verbose: bool,
    /// Prints the script of --seed and --config, and ends.
    #[arg(long)]
    print: bool,
    /// Lists the deliberate differences, and ends.
    #[arg(long)]
    deliberate: bool,
    /// Sends what would harm the Java server to the right server alone.
    #[arg(long)]
    defects: bool,
}

impl Arguments {
    fn fitting(&self, profile: &Profile) -> Profile {
        match self.left.contains(',') {
            true => profile.of_ensemble(),
            false => *profile,
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.deliberate {
        for d in deliberate::LIST {
            println!("{}: {}", d.name, d.reason);
        }
        return Ok(());
    }
    if arguments.print {
        let name = arguments.config.as_deref().unwrap_or("plain");
        let profile = arguments.fitting(&Profile::named(name).context("no such configuration")?);
        print!("{}", generate::generate(arguments.seed, &profile).to_text());
        return Ok(());
    }
    if arguments.defects {
        return defects::run(&arguments.starter, &arguments.directory, &arguments.right);
    }
    if let Some(file) = &arguments.replay {
        let script = Script::parse(&std::fs::read_to_string(file)?)?;
        let profile = Profile::named(&script.config).context("no such configuration")?;
        let profile = arguments.fitting(&profile);
        let mut pair = Pair::start(&arguments, &profile)?;
        for passed in 0..arguments.times {
            let played = pair.play(&script, PATIENT)?;
            if arguments.verbose {
                print_transcript(&played.left);
            }
            if let Some(d) = played.difference {
                anyhow::bail!("{}\n{}{passed} passed, 1 failed", d.signature, d.report);
            }
        }
        println!("{} passed, 0 failed", arguments.times);
        return Ok(());
    }
    compare_generated(&arguments)
}

/// For a loaded machine: a reply that is due later than this counts as missing.
const PATIENT: Patience = Patience {
    reply: Duration::from_secs(30),
    close: Duration::from_secs(15),
};
/// While shrinking, missing replies are the rule.
const IMPATIENT: Patience = Patience {
    reply: Duration::from_secs(3),
    close: Duration::from_secs(2),
};

struct Pair {
    left: Server,
    right: Server,
    ignored: Vec<String>,
    played: u64,
}

struct Played {
    left: Transcript,
    difference: Option<Difference>,
}

impl Pair {
    fn start(arguments: &Arguments, profile: &Profile) -> Result<Pair> {
        let directory = |side| arguments.directory.join(side);
        Ok(Pair {
            left: Server::start(
                &arguments.left,
                &arguments.starter,
                directory("left"),
                profile,
            )?,
            right: Server::start(
                &arguments.right,
                &arguments.starter,
                directory("right"),
                profile,
            )?,
            ignored: arguments.ignore.clone(),
            played: 0,
        })
    }

    /// Brings the servers level, or starts them anew, and plays the script on both at the same time.
    fn play(&mut self, script: &Script, patience: Patience) -> Result<Played> {
        let (left_base, right_base) = match self.level() {
            Ok(base) => base,
            Err(e) => {
                eprintln!("starting both servers anew: {e:#}");
                self.left.restart()?;
                self.right.restart()?;
                self.level()?
            }
        };
        // In an ensemble the clients of each script go to other members than those of the last.
        self.played += 1;
        let turn = self.played;
        let play = |server: &mut Server, base| {
            let addresses = server.addresses(turn);
            Player::new(addresses, server.admins(), base, patience).play(script)
        };
        let (left, right) = std::thread::scope(|scope| {
            let right = scope.spawn(|| play(&mut self.right, right_base));
            (play(&mut self.left, left_base), right.join())
        });
        let right = right.map_err(|_| anyhow::anyhow!("the right player panicked"))?;
        Ok(match (left, right) {
            (Ok(left), Ok(right)) => Played {
                difference: compare(&left, &right, &self.ignored),
                left,
            },
            (left, right) => {
                let side = |name: &str, failure: Option<&anyhow::Error>, server: &mut Server| {
                    failure.map_or(String::new(), |e| {
                        let ended = server
                            .check()
                            .err()
                            .map_or(String::new(), |e| format!(" ({e:#})"));
                        format!("{name} failed: {e:#}{ended} ")
                    })
                };
                let signature = side("left", left.as_ref().err(), &mut self.left)
                    + &side("right", right.as_ref().err(), &mut self.right);
                let report = "  a server no longer serves\n".to_string();
                let left = left.unwrap_or(Transcript { steps: Vec::new() });
                Played {
                    left,
                    difference: Some(Difference { signature, report }),
                }
            }
        })
    }

    /// The zxids that the next script begins with.
    fn level(&mut self) -> Result<(i64, i64)> {
        admin::level(self.left.admin()?, self.right.admin()?)
    }
}

struct Found {
    times: u64,
    seed: u64,
    report: String,
    script: Option<Script>,
}

fn compare_generated(arguments: &Arguments) -> Result<()> {
    let chosen: Vec<Profile> = PROFILES
        .iter()
        .filter(|p| arguments.config.as_ref().is_none_or(|c| c == p.name))
        .map(|p| arguments.fitting(p))
        .collect();
    ensure!(!chosen.is_empty(), "no such configuration");
    let shares: u64 = chosen.iter().map(|p| p.share).sum();
    let mut coverage = Coverage::default();
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    let (mut passed, mut failed, mut operations) = (0u64, 0u64, 0u64);
    let begin = Instant::now();
    for profile in chosen {
        let target = (arguments.ops * profile.share).div_ceil(shares);
        let mut pair = Pair::start(arguments, &profile)?;
        let difference = fresh_difference(&mut pair)?;
        if let Some(d) = difference {
            failed += 1;
            note(arguments, &mut found, d, arguments.seed, None);
        } else {
            passed += 1;
        }
        let mut sent = 0;
        let mut seed = arguments.seed.wrapping_mul(1_000_003);
        while sent < target {
            seed += 1;
            let script = generate::generate(seed, &profile);
            sent += script.requests() as u64;
            let played = pair.play(&script, PATIENT)?;
            coverage.add(&played.left);
            let Some(difference) = played.difference else {
                passed += 1;
                continue;
            };
            failed += 1;
            if found.contains_key(&difference.signature) || found.len() >= arguments.shrinks {
                note(arguments, &mut found, difference, seed, None);
                continue;
            }
            eprintln!(
                "{} seed {seed}: {}; shrinking",
                profile.name, difference.signature
            );
            let mut last = difference.clone();
            let small = shrink::shrink(&script, arguments.attempts, |candidate| {
                match pair.play(candidate, IMPATIENT).map(|p| p.difference) {
                    Ok(Some(d)) if d.signature == last.signature => {
                        last = d;
                        true
                    }
                    _ => false,
                }
            });
            note(arguments, &mut found, last, seed, Some(small));
        }
        operations += sent;
        if let Some(d) = mismatches(&pair)? {
            failed += 1;
            note(arguments, &mut found, d, arguments.seed, None);
        } else {
            passed += 1;
        }
        eprintln!(
            "{}: {sent} operations, {:.0} s so far",
            profile.name,
            begin.elapsed().as_secs_f64()
        );
    }
    coverage.print();
    print!("\n{}", summary(&found));
    let gaps = coverage.gaps();
    // A short run cannot have seen everything.
    let complete = arguments.ops < 50_000 || arguments.config.is_some() || gaps.is_empty();
    for gap in &gaps {
        println!("not covered: {gap}");
    }
    println!(
        "\n{operations} operations in {:.0} s",
        begin.elapsed().as_secs_f64()
    );
    // Once more, where a log that was cut still has them.
    for (signature, f) in &found {
        println!("{}{signature}\n{}", headline(f), f.report);
    }
    println!("{passed} passed, {failed} failed");
    ensure!(
        operations > 0 && passed + failed > 0,
        "nothing was compared"
    );
    ensure!(failed == 0, "the servers differ");
    ensure!(complete, "operations were not covered");
    Ok(())
}

/// What a server promised of its tree with each transaction was so.
fn mismatches(pair: &Pair) -> Result<Option<Difference>> {
    for server in [&pair.left, &pair.right] {
        let count = server.digest_mismatches()?;
        if count > 0 && server.promises_rightly() {
            return Ok(Some(Difference {
                signature: "digests of the tree differ from those in the transactions".to_owned(),
                report: format!("  {count} times\n"),
            }));
        }
    }
    Ok(None)
}

/// The tree of a new server, before anything is level.
fn fresh_difference(pair: &mut Pair) -> Result<Option<Difference>> {
    let empty = Script {
        config: String::new(),
        steps: Vec::new(),
    };
    let mut transcripts = Vec::new();
    for server in [&mut pair.left, &mut pair.right] {
        let addresses = server.addresses(0);
        let epoch = server.admin()?.zxid & !0xffff_ffff;
        transcripts.push(Player::new(addresses, server.admins(), epoch, PATIENT).play(&empty)?);
    }
    Ok(compare(&transcripts[0], &transcripts[1], &[]))
}

fn note(
    arguments: &Arguments,
    found: &mut BTreeMap<String, Found>,
    d: Difference,
    seed: u64,
    script: Option<Script>,
) {
    let entry = found.entry(d.signature).or_insert(Found {
        times: 0,
        seed,
        report: d.report,
        script: None,
    });
    entry.times += 1;
    entry.script = script.or(entry.script.take());
    if let Some(file) = &arguments.report {
        let written =
            std::fs::File::create(file).and_then(|mut f| f.write_all(summary(found).as_bytes()));
        if let Err(e) = written {
            eprintln!("cannot write {}: {e}", file.display());
        }
    }
}

fn summary(found: &BTreeMap<String, Found>) -> String {
    let mut all: Vec<(&String, &Found)> = found.iter().collect();
    all.sort_by_key(|(_, f)| std::cmp::Reverse(f.times));
    let mut out = String::new();
    for (signature, f) in all {
        out.push_str(&format!("## {}{signature}\n{}", headline(f), f.report));
        if let Some(script) = &f.script {
            out.push_str(&format!("  script:\n{}\n", indent(&script.to_text())));
        }
    }
    out
}

fn headline(f: &Found) -> String {
    format!("{} times (first with seed {}): ", f.times, f.seed)
}

fn indent(text: &str) -> String {
    text.lines().map(|l| format!("    {l}\n")).collect()
}

fn print_transcript(transcript: &Transcript) {
    for (number, step) in transcript.steps.iter().enumerate() {
        for entry in step {
            println!(
                "{number} client {} {} {}\n      {}",
                entry.client, entry.op, entry.cause, entry.text
            );
        }
    }
}
