//! Runs seeds until one fails.
//!
//! ```text
//! sim --seeds 0..10000            each of them; ends with 1 and prints the first that fails
//! sim --seed 77 --trace           one, with every step
//!     --servers 3                 so many voters, not as the seed has it
//! ```

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use ferrokeeper::sim::{self, Options};

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
    /// Goes on after a failure, and counts them.
    #[arg(long)]
    keep_going: bool,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let wrong = || format!("{text}: expected two numbers, as in 0..1000");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| text.parse().map_err(|_| wrong());
    Ok((number(from)?, number(to)?))
}

fn main() -> ExitCode {
    let args = Args::parse();
    let options = Options {
        servers: args.servers,
        trace: args.trace,
    };
    let (from, to) = match args.seed {
        Some(seed) => (seed, seed + 1),
        None => args.seeds.unwrap_or((0, 1000)),
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
                println!("replay it with: sim --seed {seed} --trace");
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
