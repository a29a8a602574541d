//! Ensembles that have bad luck, from seeds: messages in any order that links allow, slow disks, crashes that lose what
//! is not durable, connections that break, logs that are purged.
//!
//! The cluster checks as it goes: what is delivered is the same everywhere and always on the disks of a quorum, and an
//! epoch has one leader. At last the bad luck ends, and then a new transaction has to reach everybody.

use std::collections::BTreeSet;

use super::cluster::Cluster;
use super::*;

/// Numbers that look random and are the same each time (SplitMix64).
struct Luck(u64);

impl Luck {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

fn suffer(seed: u64, voters: i64) -> Cluster {
    let mut luck = Luck(seed);
    let mut cluster = Cluster::new(&members(voters, 0));
    let trouble = 20 + luck.below(200);
    cluster.start_all();
    for _ in 0..6000 {
        let turn = luck.next() as usize;
        if !cluster.happen(turn) || luck.one_in(60) {
            cluster.now = cluster.now.after(1 + luck.below(150));
            cluster.tick_all();
        }
        if luck.one_in(8) && cluster.leader().is_some() {
            cluster.propose(1 + luck.below(3) as u32);
        }
        if !luck.one_in(trouble) {
            continue;
        }
        let id = 1 + luck.below(voters as u64) as i64;
        match luck.below(4) {
            0 => cluster.crash(id),
            1 => cluster.break_any(luck.next() as usize),
            2 => cluster.purge(id),
            _ if cluster.nodes[&id].peer.is_none() => cluster.start(id),
            _ => {}
        }
    }
    cluster
}

fn recover(cluster: &mut Cluster) {
    let all: Vec<i64> = cluster.nodes.keys().copied().collect();
    for id in &all {
        if cluster.nodes[id].peer.is_none() {
            cluster.start(*id);
        }
    }
    cluster.until("all serve in one epoch", |cluster| {
        let epochs = all.iter().map(|id| cluster.nodes[id].serving);
        let epochs: BTreeSet<Option<Epoch>> = epochs.collect();
        epochs.len() == 1 && !epochs.contains(&None)
    });
    let end = cluster.commit(1);
    cluster.until("all have the last one", |cluster| {
        all.iter()
            .all(|id| cluster.nodes[id].store.tree.last() == Some(&end))
    });
    cluster.assert_trees_equal(&all);
}

/// As many as take about a second. What a failure names can be run alone.
const SEEDS: u64 = 40;

#[test]
fn three_servers_survive_bad_luck() {
    for seed in 0..SEEDS {
        println!("seed {seed}");
        recover(&mut suffer(seed, 3));
    }
}

#[test]
fn five_servers_survive_bad_luck() {
    for seed in 0..SEEDS {
        println!("seed {seed}");
        recover(&mut suffer(seed, 5));
    }
}

#[test]
fn bad_luck_leaves_something_to_do() {
    let delivered: usize = (0..20).map(|seed| suffer(seed, 3).history.len()).sum();
    assert!(delivered > 200, "{delivered} transactions");
}
