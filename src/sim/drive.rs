//! What a server does with what happened: the simulated counterpart of the driver in `server`. It hands inputs to
//! the core and carries out its outputs in their order, on the simulated disk and network. It decides nothing.

mod election_port;
mod outputs;
mod quorum_port;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::image::Image;
use super::network::NodeIx;
use super::server::Process;
use super::serving::{Context, Effects};
use super::workload::MS;
use super::world::{Event, Phase, World};
use crate::membership::Membership;
use crate::zab::{Durable, Input, Mark, Output, Peer, PeerConfig, Status, Timestamp};

type Inputs = VecDeque<Input>;

impl World {
    pub fn start(&mut self, node: NodeIx) {
        if self.servers[node].process.is_some() {
            return;
        }
        let (committed, last_seen) = self.configs_at_start(node);
        self.trace(|| configured(node, &committed, last_seen.as_ref()));
        // Who ended between writing them down and saying so is the first to have them in force.
        let verdict = self.oracle.configs.configured(node, &committed);
        self.oracle.note(verdict);
        let scenario = &self.scenario;
        let observer_election_delay_ms = self.rng.below(200);
        let server = &mut self.servers[node];
        server.incarnation += 1;
        server.crash_in = None;
        let stable = &server.disk.stable;
        let tree = stable.checkpoint.to_tree();
        let config = PeerConfig {
            id: server.id,
            tick_ms: scenario.tick_ms,
            init_limit: scenario.init_limit,
            sync_limit: scenario.sync_limit,
            connect_limit: 0,
            min_notification_ms: 100,
            max_notification_ms: 1000,
            finalize_wait_ms: 50,
            observer_election_delay_ms,
            observer_dial_delay_ms_max: 0,
            counter_end: scenario.counter_end,
            reconfig_enabled: scenario.reconfigures,
            serves_observers: false,
            committed,
            last_seen,
            history_sent_max: scenario.history_sent_max,
            always_snapshot: scenario.always_snapshot,
            snapshot_syncs_max: scenario.syncs_max,
            diff_syncs_max: scenario.syncs_max,
            epoch_wait_ms_max: scenario.epoch_wait_ms_max,
            bytes_in_flight_max: 1 << 20,
        };
        let durable = Durable {
            accepted_epoch: stable.accepted,
            current_epoch: stable.current,
            log: stable.log.shape(),
            delivered: tree.last_zxid(),
            may_have_lost_data: false,
        };
        let log = stable.log.clone();
        let now = Timestamp(server.clock_ms(self.now));
        let zxid = tree.last_zxid();
        let summary = format!(
            "server {node} starts: accepted {}, current {}, log {}..{}, tree {zxid}",
            durable.accepted_epoch.0,
            durable.current_epoch.0,
            log.base,
            log.last()
        );
        server.process = Some(Process {
            peer: Peer::new(now, config, durable),
            tree,
            log,
            status: Status::Looking,
            term: u64::from(server.incarnation) << 32,
            serving: None,
            upstream: None,
            group: Vec::new(),
            snapshots: BTreeMap::new(),
            silent_since: BTreeMap::new(),
            dial: None,
            timer_at: None,
            announced: BTreeMap::new(),
        });
        let incarnation = server.incarnation;
        self.trace(|| summary);
        self.oracle.restored(node, zxid);
        let soon = self.now + self.scenario.tick_ms * MS / 2;
        self.schedule(soon, Event::HalfTick(node, incarnation));
        self.input(node, Input::Tick);
    }

    /// The process or the machine ends, at whatever it was doing.
    pub fn crash(&mut self, node: NodeIx) {
        if self.servers[node].process.take().is_none() {
            return;
        }
        let is_machine = self.rng.chance(300);
        self.trace(|| format!("server {node} ends (with its machine: {is_machine})"));
        let oracle = &mut self.oracle;
        let server = &mut self.servers[node];
        server.crash_in = None;
        server.disk.crash(&mut self.rng, |stable, write| {
            oracle.writes(node, stable, write, false);
        });
        let incarnation = server.incarnation;
        self.check_disks();
        for (wire, side) in self.network.ends_of(node) {
            if is_machine {
                if let Some(wire) = self.network.wires.get_mut(&wire) {
                    wire.end_mut(side).open = false;
                    wire.pipe(side).in_flight.clear();
                }
            } else {
                self.break_wire_end(wire, side);
            }
        }
        for other in 0..self.servers.len() {
            let lane = self.network.lane(node, other);
            lane.waiting = None;
            lane.last = None;
            lane.broken = true;
            self.network.lane(other, node).broken = true;
        }
        self.drop_clients(node, incarnation, is_machine);
        let back = if self.phase == Phase::Faults {
            self.now + self.rng.between(10, 2500) * MS
        } else {
            self.now
        };
        self.schedule(back, Event::Start(node));
    }

    fn alive(&self, node: NodeIx, incarnation: u32) -> bool {
        self.servers[node].incarnation == incarnation && self.servers[node].process.is_some()
    }

    pub fn input(&mut self, node: NodeIx, input: Input) {
        self.inputs(node, VecDeque::from([input]));
    }

    fn inputs(&mut self, node: NodeIx, mut inputs: Inputs) {
        let mut out = Vec::new();
        while let Some(input) = inputs.pop_front() {
            self.trace(|| format!("server {node} <= {}", brief(&input)));
            if let Input::Propose(txns) = &input {
                for txn in txns {
                    self.oracle.proposed(node, txn.zxid, &txn.bytes);
                }
            }
            let server = &mut self.servers[node];
            let now = Timestamp(server.clock_ms(self.now));
            let Some(process) = &mut server.process else {
                return;
            };
            process.peer.step(now, input, &mut out);
            for output in out.drain(..) {
                if let Some(left) = &mut self.servers[node].crash_in {
                    *left -= 1;
                    if *left == 0 {
                        self.crash(node);
                        return;
                    }
                }
                self.trace(|| match &output {
                    Output::Configure {
                        committed,
                        last_seen,
                    } => configured(node, committed, last_seen.as_ref()),
                    output => format!("server {node} => {}", brief(output)),
                });
                self.perform(node, output, &mut inputs);
                if self.oracle.violation.is_some() {
                    return;
                }
            }
        }
        self.arm(node);
    }

    /// A tick at the peer's deadline, unless one comes earlier anyway.
    fn arm(&mut self, node: NodeIx) {
        let now = self.now;
        let server = &mut self.servers[node];
        let incarnation = server.incarnation;
        let Some(deadline) = server.process.as_ref().and_then(|p| p.peer.deadline()) else {
            return;
        };
        let at = server.when(deadline.0).max(now + MS);
        let Some(process) = &mut server.process else {
            return;
        };
        if process.timer_at.is_none_or(|timer| timer > at) {
            process.timer_at = Some(at);
            self.schedule(at, Event::Timer(node, incarnation));
        }
    }

    pub fn timer(&mut self, node: NodeIx, incarnation: u32) {
        if !self.alive(node, incarnation) {
            return;
        }
        let now = self.now;
        let server = &mut self.servers[node];
        let clock = server.clock_ms(now);
        let Some(process) = &mut server.process else {
            return;
        };
        if process.timer_at != Some(now) {
            // An earlier one took its place.
            return;
        }
        process.timer_at = None;
        if process.peer.deadline().is_some_and(|d| d.0 <= clock) {
            self.input(node, Input::Tick);
        } else {
            self.arm(node);
        }
    }

    pub fn disk_done(&mut self, node: NodeIx, incarnation: u32) {
        if !self.alive(node, incarnation) {
            return;
        }
        if self.rng.chance(self.scenario.fsync_fails) {
            self.trace(|| format!("server {node}: fsync fails"));
            self.crash(node);
            return;
        }
        let oracle = &mut self.oracle;
        let server = &mut self.servers[node];
        let leads = server
            .process
            .as_ref()
            .is_some_and(|p| p.status == Status::Leading);
        let marks = server.disk.finish(|stable, write| {
            oracle.writes(node, stable, write, leads);
        });
        self.check_disks();
        self.begin_sync(node);
        let last = marks.last().copied();
        let only_last = matches!(last, Some(Mark::Log(_))) && self.rng.chance(500);
        let inputs: Inputs = marks
            .into_iter()
            .filter(|mark| !only_last || Some(*mark) == last)
            .map(Input::Persisted)
            .collect();
        self.inputs(node, inputs);
    }

    fn check_disks(&mut self) {
        let disks = self.servers.iter().map(|s| (s.id, &s.disk.stable));
        self.oracle.wrote(disks);
    }

    fn begin_sync(&mut self, node: NodeIx) {
        let (low, high) = self.scenario.disk_delay;
        let now = self.now;
        let server = &mut self.servers[node];
        if !server.disk.begin() {
            return;
        }
        let factor = if server.slow_disk_until > now { 20 } else { 1 };
        let at = now + self.rng.between(low, high) * factor;
        let incarnation = server.incarnation;
        self.schedule(at, Event::Disk(node, incarnation));
    }

    pub fn half_tick(&mut self, node: NodeIx, incarnation: u32) {
        if !self.alive(node, incarnation) {
            return;
        }
        let next = self.now + self.scenario.tick_ms * MS / 2;
        self.schedule(next, Event::HalfTick(node, incarnation));
        let mut fx = Effects::default();
        let server = &mut self.servers[node];
        let now_ms = server.clock_ms(self.now) as i64;
        if let Some(process) = &mut server.process
            && let Some(serving) = &mut process.serving
        {
            let cx = Context {
                tree: &process.tree,
                rules: &self.rules,
                now_ms,
                wall_ms: now_ms,
            };
            serving.expire(&cx, &mut fx);
        }
        self.carry_out(node, fx);
        if self.rng.chance(self.scenario.checkpoint) {
            self.checkpoint(node);
        }
        self.network.sweep();
    }

    fn checkpoint(&mut self, node: NodeIx) {
        let retain = self.rng.index(self.scenario.retain_max + 1);
        let server = &mut self.servers[node];
        let Some(process) = &mut server.process else {
            return;
        };
        if !server.disk.is_idle() || process.tree.last_zxid() > server.disk.stable.log.last() {
            return;
        }
        let image = Arc::new(Image::of(&process.tree));
        let up_to = process.log.purge_point(image.zxid, retain);
        self.trace(|| format!("server {node}: checkpoint at {}, purge {up_to}", image.zxid));
        self.input(node, Input::Purged(up_to));
        let server = &mut self.servers[node];
        let Some(process) = &mut server.process else {
            return;
        };
        process.log.purge(up_to);
        server.disk.checkpoint(image, retain);
    }

    pub fn flush(&mut self, node: NodeIx, incarnation: u32) {
        if !self.alive(node, incarnation) {
            return;
        }
        let mut inputs = Inputs::new();
        self.propose_group(node, &mut inputs);
        self.inputs(node, inputs);
    }

    fn propose_group(&mut self, node: NodeIx, inputs: &mut Inputs) {
        if let Some(process) = &mut self.servers[node].process
            && !process.group.is_empty()
        {
            inputs.push_back(Input::Propose(std::mem::take(&mut process.group)));
        }
    }
}

fn configured(node: NodeIx, committed: &Membership, last_seen: Option<&Membership>) -> String {
    let members = |members: &Membership| members.to_string().replace('\n', " ");
    let seen = last_seen.map(members).unwrap_or_default();
    format!(
        "server {node} => Configure [{}] seen [{seen}]",
        members(committed)
    )
}

/// One line of the trace.
fn brief(what: &impl std::fmt::Debug) -> String {
    let mut text = format!("{what:?}");
    if text.len() > 300 {
        let end = (0..=300).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push_str("...");
    }
    text
}
