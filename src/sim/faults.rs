//! The nemesis: what goes wrong, when, and that it ends.

use super::network::NodeIx;
use super::workload::MS;
use super::world::{Event, Phase, World};
use crate::zab::Status;

impl World {
    pub fn nemesis(&mut self) {
        if self.phase != Phase::Faults {
            return;
        }
        let (low, high) = self.scenario.pause;
        let next = self.now + self.rng.between(low, high);
        self.schedule(next, Event::Nemesis);
        let f = self.scenario.faults;
        let choices = [
            f.crash,
            f.crash_all,
            f.crash_midway,
            f.partition,
            f.one_way,
            f.break_links,
            f.slow_disk,
            f.slow_link,
            f.lose_notifications,
        ];
        let mut roll = self.rng.below(1000);
        for (which, share) in choices.into_iter().enumerate() {
            if roll < share {
                self.inflict(which);
                return;
            }
            roll -= share;
        }
    }

    fn inflict(&mut self, which: usize) {
        let nodes = self.servers.len();
        match which {
            0 => {
                let node = self.victim();
                self.crash(node);
            }
            1 => {
                for node in 0..nodes {
                    self.crash(node);
                }
            }
            2 => {
                let node = self.victim();
                let things = self.rng.between(1, 40);
                self.trace(|| format!("server {node} will end after {things} more outputs"));
                self.servers[node].crash_in = Some(things);
            }
            3 => {
                let side: Vec<bool> = (0..nodes).map(|_| self.rng.chance(400)).collect();
                for a in 0..nodes {
                    for b in 0..nodes {
                        if side[a] != side[b] {
                            self.network.block(a, b);
                        }
                    }
                }
                self.trace(|| format!("partition {side:?}"));
                self.heal_later();
            }
            4 => {
                let from = self.victim();
                for to in 0..nodes {
                    if self.rng.chance(600) {
                        if self.rng.chance(500) {
                            self.network.block(from, to);
                        } else {
                            self.network.block(to, from);
                        }
                    }
                }
                self.trace(|| format!("one-way partitions at server {from}"));
                self.heal_later();
            }
            5 => {
                let node = self.victim();
                self.trace(|| format!("links of server {node} break"));
                for (wire, side) in self.network.ends_of(node) {
                    if self.rng.chance(700) {
                        self.break_wire(wire, side);
                    }
                }
            }
            6 => {
                let node = self.victim();
                let long = self.rng.between(50, 3000) * MS;
                self.trace(|| format!("slow disk at server {node}"));
                self.servers[node].slow_disk_until = self.now + long;
            }
            7 => {
                let long = self.rng.between(50, 1000) * MS;
                self.trace(|| "slow network".to_owned());
                self.slow_link_until = self.now + long;
            }
            _ => {
                self.trace(|| "notifications are lost".to_owned());
                for lane in &mut self.network.lanes {
                    if self.rng.chance(500) {
                        lane.waiting = None;
                    }
                }
            }
        }
    }

    /// Leaders are hit more often than others.
    fn victim(&mut self) -> NodeIx {
        let leader = self.servers.iter().position(|s| {
            s.process
                .as_ref()
                .is_some_and(|p| p.status == Status::Leading)
        });
        match leader {
            Some(leader) if self.rng.chance(400) => leader,
            _ => self.rng.index(self.servers.len()),
        }
    }

    fn heal_later(&mut self) {
        let at = self.now + self.rng.between(50, 3000) * MS;
        self.schedule(at, Event::Heal);
    }

    pub fn heal(&mut self) {
        self.trace(|| "the network is whole".to_owned());
        self.network.heal();
    }

    /// From now on nothing breaks, and whatever is broken is repaired.
    pub fn end_faults(&mut self) {
        self.heal();
        self.slow_link_until = 0;
        self.scenario.fsync_fails = 0;
        for node in 0..self.servers.len() {
            self.servers[node].crash_in = None;
            self.servers[node].slow_disk_until = 0;
            if self.servers[node].process.is_none() {
                self.schedule(self.now, Event::Start(node));
            }
        }
    }
}
