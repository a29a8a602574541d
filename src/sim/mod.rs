//! The deterministic simulator: whole clusters in one thread from one seed. The core, the tree, the operations and the
//! session table are the real ones; network, disk, clocks and clients are simulated, and so is the driver between
//! them. A seed that fails prints itself, and replays.
//!
//! Nothing here may depend on a clock, a thread, a random source or the order of a hash table.

#![deny(clippy::disallowed_methods)]

pub mod checkers;
mod clients;
mod disk;
mod drive;
mod faults;
mod image;
mod network;
mod operator;
mod oracle;
mod requests;
mod rng;
mod scenario;
mod server;
mod serving;
mod slips;
#[cfg(test)]
mod tests;
mod truth;
mod workload;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::zab::mistake::{self, Mistake};

pub use checkers::Violation;
pub use slips::Slip;
pub use world::Outcome;

/// What to run besides the seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Voters; the seed decides where it is not given.
    pub servers: Option<usize>,
    /// Somebody changes the members, in some of the worlds.
    pub operator: bool,
    /// Every step goes to standard output.
    pub trace: bool,
    /// The core makes this mistake.
    pub mistake: Option<Mistake>,
    /// The servers make this one towards their clients.
    pub slip: Option<Slip>,
}

/// Runs one world to its end.
pub fn run(seed: u64, options: Options) -> Outcome {
    let (mut scenario, rng) = scenario::Scenario::of(seed, options.servers);
    scenario.reconfigures &= options.operator;
    if options.trace {
        println!("seed {seed}: {scenario:?}");
    }
    mistake::make(options.mistake);
    slips::make(options.slip);
    let mut world = world::World::new(scenario, rng, options.trace);
    let done = catch_unwind(AssertUnwindSafe(|| world.run()));
    mistake::make(None);
    slips::make(None);
    done.unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_default();
        Outcome {
            violation: Some(Violation {
                checker: "panic",
                what,
            }),
            events: 0,
            committed: 0,
            epochs: 0,
            undecided: 0,
        }
    })
}
