//! Runs seeds until one fails.
//!
//! ```text
//! sim --seeds 0..10000            each of them; ends with 1 and prints the first that fails
//! sim --seed 77 --trace           one, with every step
//!     --servers 3                 so many voters, not as the seed has it
//!     --operator                  somebody changes the members, in some of them
//!     --mistake AckBeforeDurable  with a bug of the past; `--mistake all` says which seed finds each of them
//! ```

use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use ferrokeeper::sim::{self, Options, Slip};
use ferrokeeper::zab::mistake::Mistake;

#[derive(Parser)]
struct Args {
    /// A range of seeds, the end not included.
    #[arg(long, value_parser = range, conflicts_with = "seed")]
    seeds: Option<(u64, u64)>,
    #[arg(long)]
    seed: Option<u64>,
    /// Prints every step.
    #[arg(long)]
    trace: bool,
    /// So many voters.
    #[arg(long)]
    servers: Option<usize>,
    /// Somebody changes the members.
    #[arg(long)]
    operator: bool,
    /// Makes the core wrong on purpose.
    #[arg(long)]
    mistake: Option<String>,
    /// Goes on after a failure, and counts them.
    #[arg(long)]
    keep_going: bool,
}

impl Args {
    /// What a seed depends on besides itself.
    fn more(&self) -> String {
        let operator = if self.operator { "--operator " } else { "" };
        let servers = self.servers.map(|count| format!("--servers {count} "));
        let mistake = self
            .mistake
            .as_ref()
            .map(|name| format!("--mistake {name} "));
        [
            operator,
            &servers.unwrap_or_default(),
            &mistake.unwrap_or_default(),
        ]
        .concat()
    }
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let wrong = || format!("{text}: expected two numbers, as in 0..1000");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| text.parse().map_err(|_| wrong());
    Ok((number(from)?, number(to)?))
}

/// Which seed is the first that notices each mistake, and how.
fn bite(seeds: Range<u64>) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let mistakes = Mistake::ALL.iter().map(|mistake| {
        let options = Options {
            mistake: Some(*mistake),
            operator: mistake.is_about_members(),
            ..Options::default()
        };
        (format!("{mistake:?}"), options)
    });
    let slips = Slip::ALL.iter().map(|slip| {
        let options = Options {
            slip: Some(*slip),
            ..Options::default()
        };
        (format!("{slip:?}"), options)
    });
    let (mut passed, mut missed) = (0, 0);
    for (name, options) in mistakes.chain(slips) {
        let caught = seeds.clone().find_map(|seed| {
            let violation = sim::run(seed, options).violation?;
            Some((seed, violation))
        });
        match caught {
            Some((seed, violation)) => {
                passed += 1;
                println!("{name}: seed {seed}: {violation}");
            }
            None => {
                missed += 1;
                println!("{name}: nobody noticed");
            }
        }
    }
    println!("mistakes: {passed} passed, {missed} failed");
    if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let (from, to) = match args.seed {
        Some(seed) => (seed, seed + 1),
        None => args.seeds.unwrap_or((0, 1000)),
    };
    if args.mistake.as_deref() == Some("all") {
        return bite(from..to);
    }
    let named = |name: &String| Mistake::ALL.iter().find(|m| format!("{m:?}") == *name);
    let mistake = match &args.mistake {
        None => None,
        Some(name) => match named(name) {
            Some(mistake) => Some(*mistake),
            None => {
                eprintln!("{name} is none of {:?}", Mistake::ALL);
                return ExitCode::FAILURE;
            }
        },
    };
    let options = Options {
        servers: args.servers,
        operator: args.operator,
        trace: args.trace,
        mistake,
        slip: None,
    };
    // A panic is a failure like others; its place is of use with a trace.
    if !args.trace && args.seed.is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let began = Instant::now();
    let (mut failed, mut events, mut committed, mut epochs, mut undecided) = (0u64, 0, 0, 0, 0);
    let mut ran = 0;
    for seed in from..to {
        ran += 1;
        let outcome = sim::run(seed, options);
        events += outcome.events;
        committed += outcome.committed;
        epochs += outcome.epochs;
        undecided += outcome.undecided;
        if let Some(violation) = outcome.violation {
            failed += 1;
            println!("seed {seed} failed: {violation}");
            if !args.keep_going {
                println!("replay it with: sim {}--seed {seed} --trace", args.more());
                break;
            }
        }
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "{ran} seeds in {took:.1} s: {events} events, {committed} transactions, {epochs} epochs, {undecided} histories undecided"
    );
    println!("sim: {} passed, {failed} failed", ran - failed);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
