//! The simulator against itself: the same seed is the same run, the core as it is passes, and each mistake of the past
//! that is made on purpose is noticed.

use super::{Options, Slip, run};
use crate::zab::mistake::Mistake;

/// A mistake is noticed within so many seeds.
const SEEDS_MAX: u64 = 1500;

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in [1, 77, 4711] {
        let (a, b) = (run(seed, Options::default()), run(seed, Options::default()));
        let figures = |o: &super::Outcome| (o.events, o.committed, o.epochs, o.violation.clone());
        assert_eq!(figures(&a), figures(&b));
        assert!(a.committed > 0, "seed {seed} did nothing");
    }
}

/// Seeds behind the first ones failed once, here and below.
#[test]
fn the_core_as_it_is_passes() {
    let once = [816019];
    for seed in (0..100).chain(once) {
        assert_eq!(run(seed, Options::default()).violation, None, "seed {seed}");
    }
}

#[test]
fn members_that_change_under_faults_go_on() {
    let options = Options {
        operator: true,
        ..Options::default()
    };
    let once = [
        20, 32, 139, 243, 286, 351, 429, 508, 659, 663, 3079, 24431, 747918, 1026419,
    ];
    for seed in (0..60).chain(once) {
        assert_eq!(run(seed, options).violation, None, "seed {seed}");
    }
}

/// ZOOKEEPER-1277: who leads steps down in time, again and again, and nothing is lost by it.
#[test]
fn epochs_that_run_out_of_counters_are_followed_by_others() {
    let end = |seed: &u64| super::scenario::Scenario::of(*seed, None).0.counter_end;
    let short = (0..100).filter(|seed| end(seed) < u32::MAX);
    let mut has_come_to_it = false;
    for seed in short {
        let outcome = run(seed, Options::default());
        assert_eq!(outcome.violation, None, "seed {seed}");
        has_come_to_it |= outcome.committed > end(&seed) as usize;
    }
    assert!(has_come_to_it);
}

#[test]
fn what_clients_are_told_wrong_is_noticed() {
    std::panic::set_hook(Box::new(|_| {}));
    for slip in Slip::ALL {
        let options = Options {
            slip: Some(*slip),
            ..Options::default()
        };
        let noticed = (0..SEEDS_MAX).find(|seed| run(*seed, options).violation.is_some());
        assert!(noticed.is_some(), "{slip:?} goes unnoticed");
    }
}

#[test]
fn every_mistake_of_the_past_is_noticed() {
    std::panic::set_hook(Box::new(|_| {}));
    for mistake in Mistake::ALL {
        let options = Options {
            mistake: Some(*mistake),
            operator: mistake.is_about_members(),
            ..Options::default()
        };
        let noticed = (0..SEEDS_MAX).find(|seed| run(*seed, options).violation.is_some());
        assert!(noticed.is_some(), "{mistake:?} goes unnoticed");
    }
}
