//! From a seed to an experiment: how many servers, how fast the network and the disks, which faults and how often.

use super::rng::Rng;
use super::workload::{MS, Time};

/// How often, in a thousand, a round of the nemesis picks each fault.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub crash: u64,
    pub crash_all: u64,
    /// At the n-th thing that a server does from now.
    pub crash_midway: u64,
    pub partition: u64,
    pub one_way: u64,
    pub break_links: u64,
    pub slow_disk: u64,
    pub slow_link: u64,
    pub lose_notifications: u64,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub voters: usize,
    pub observers: usize,
    pub clients: usize,
    /// In a thousand: that a client that may ask for something does.
    pub busy: u64,
    pub tick_ms: u64,
    pub init_limit: u64,
    pub sync_limit: u64,
    pub faults_from: Time,
    pub faults_until: Time,
    /// Between rounds of the nemesis.
    pub pause: (Time, Time),
    pub faults: Faults,
    pub link_delay: (Time, Time),
    pub disk_delay: (Time, Time),
    /// In a thousand fsyncs.
    pub fsync_fails: u64,
    pub clock_skew_ppm: u64,
    /// In a thousand half ticks.
    pub checkpoint: u64,
    pub retain_max: usize,
    pub history_sent_max: u64,
    pub always_snapshot: bool,
    /// Learners that may be brought up to date at a time, in either way.
    pub syncs_max: u64,
    pub epoch_wait_ms_max: Option<u64>,
    /// The members change.
    pub reconfigures: bool,
    /// Servers that run from the beginning and are no members.
    pub guests: usize,
    /// Counters of an epoch.
    pub counter_end: u32,
    /// Sessions begin on their server alone, and become known to all when they want an ephemeral.
    pub local_sessions: bool,
}

/// In a thousand worlds: those in which epochs run out of counters.
const SHORT_EPOCHS: u64 = 100;

impl Scenario {
    pub fn of(seed: u64, servers: Option<usize>) -> (Scenario, Rng) {
        let mut rng = Rng::new(seed);
        let voters = servers.unwrap_or_else(|| *rng.pick(&[3, 3, 3, 3, 3, 5, 5, 7]));
        let observers = if rng.chance(250) {
            rng.between(1, 2) as usize
        } else {
            0
        };
        let all = Faults {
            crash: 220,
            crash_all: 80,
            crash_midway: 250,
            partition: 150,
            one_way: 80,
            break_links: 120,
            slow_disk: 100,
            slow_link: 100,
            lose_notifications: 50,
        };
        let none = Faults::default();
        let faults = match rng.below(10) {
            0 => none,
            1 => Faults {
                crash: 400,
                crash_midway: 500,
                crash_all: 200,
                ..none
            },
            2 => Faults {
                partition: 400,
                one_way: 200,
                break_links: 200,
                slow_link: 200,
                ..none
            },
            3 => Faults {
                crash_all: 300,
                crash_midway: 400,
                slow_disk: 300,
                ..none
            },
            _ => all,
        };
        // Of a stream of its own: whatever it says, the rest of the seed's world is the same.
        let mut operator = Rng::new(!seed);
        let reconfigures = operator.chance(400);
        let guests = operator.index(3);
        // Of another one, for the same reason.
        let mut of_epochs = Rng::new(seed.rotate_left(32));
        let counter_end = match of_epochs.chance(SHORT_EPOCHS) {
            true => of_epochs.between(20, 200) as u32,
            false => u32::MAX,
        };
        // And of a third: limits that most ensembles leave as they are.
        let mut of_limits = Rng::new((!seed).rotate_left(32));
        let always_snapshot = of_limits.chance(50);
        let syncs_max = if of_limits.chance(200) { 1 } else { 100 };
        let waits_less = of_limits.chance(150);
        let epoch_wait_ms = of_limits.between(0, 1500);
        let scenario = Scenario {
            counter_end,
            always_snapshot,
            syncs_max,
            epoch_wait_ms_max: waits_less.then_some(epoch_wait_ms),
            voters,
            observers,
            clients: rng.between(2, 5) as usize,
            busy: rng.between(200, 800),
            tick_ms: 200,
            init_limit: 10,
            sync_limit: 5,
            faults_from: 800 * MS,
            faults_until: rng.between(4000, 9000) * MS,
            pause: (rng.between(5, 100) * MS, rng.between(200, 1200) * MS),
            faults,
            link_delay: (rng.between(50, 500), rng.between(600, 6000)),
            disk_delay: (rng.between(100, 1000), rng.between(1000, 12_000)),
            fsync_fails: if rng.chance(300) { 3 } else { 0 },
            clock_skew_ppm: rng.below(30_000),
            checkpoint: rng.between(5, 60),
            retain_max: rng.between(0, 80) as usize,
            history_sent_max: rng.between(5, 200),
            reconfigures,
            guests: if reconfigures { guests } else { 0 },
            local_sessions: rng.chance(350),
        };
        (scenario, rng)
    }
}
