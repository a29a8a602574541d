//! What a server does with what happened: the simulated counterpart of the driver in `server`. It hands inputs to
//! the core and carries out its outputs in their order, on the simulated disk and network. It decides nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::BytesMut;

use super::disk;
use super::image::Image;
use super::network::{NodeIx, Payload, Side, WireId};
use super::server::{Dial, Process};
use super::serving::{Answer, Context, Effects, Serving};
use super::slips::{Slip, makes};
use super::workload::MS;
use super::world::{Event, Phase, World};
use crate::ids::{LinkId, ServerId, Zxid};
use crate::ops::{self, Unwatched};
use crate::proto::election::Notification;
use crate::proto::quorum::{PacketKind, QuorumPacket, Touch};
use crate::zab::{
    Durable, HistoryForm, Input, Mark, Output, Peer, PeerConfig, Status, Timestamp, Write,
};

/// Lengths that a stranger may claim; nobody here is one.
const LENGTH_MAX: usize = 1 << 20;
/// Tries of a learner to connect, and the pause between two.
const DIAL_TRIES: u32 = 5;
const DIAL_PAUSE_MS: u64 = 100;

type Inputs = VecDeque<Input>;

impl World {
    // --- life and death ------------------------------------------------------------------------------------

    pub fn start(&mut self, node: NodeIx) {
        if self.servers[node].process.is_some() {
            return;
        }
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
            reconfig_enabled: false,
            committed: self.membership.clone(),
            last_seen: None,
            history_sent_max: scenario.history_sent_max,
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
            streams: BTreeSet::new(),
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

    // --- inputs --------------------------------------------------------------------------------------------

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
                self.trace(|| format!("server {node} => {}", brief(&output)));
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
        let voters = self.servers.iter().filter(|s| s.is_voter);
        self.oracle.wrote(voters.map(|s| &s.disk.stable));
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

    // --- outputs -------------------------------------------------------------------------------------------

    fn perform(&mut self, node: NodeIx, output: Output, inputs: &mut Inputs) {
        match output {
            Output::Notify(to, notification) => self.notify(node, to, &notification),
            Output::Dial(to) => self.begin_dial(node, to),
            Output::Send(link, packet) => {
                self.check_send(node, link, &packet);
                self.send(link, &packet);
            }
            Output::SendHistory {
                link,
                after,
                up_to,
                form,
            } => self.send_history(node, link, (after, up_to), form, inputs),
            Output::SendSnapshot { link, up_to } => {
                let Some(process) = &self.servers[node].process else {
                    return;
                };
                let image = Arc::new(Image::of(&process.tree));
                let zxid = image.zxid;
                self.send(link, &QuorumPacket::new(PacketKind::SNAP, zxid.0));
                self.transmit(link, Payload::Stream(image));
                self.send_history(node, link, (zxid, up_to), HistoryForm::Committed, inputs);
                inputs.push_back(Input::SnapshotSent(link));
            }
            Output::Persist(write) => self.persist(node, write),
            Output::Deliver(zxid) => self.deliver(node, zxid),
            Output::Upward(link, packet) => self.upward(node, link, &packet, inputs),
            Output::AnswerPing(link, zxid) => {
                let Some(process) = &mut self.servers[node].process else {
                    return;
                };
                let touched = process
                    .serving
                    .as_mut()
                    .map_or(Vec::new(), Serving::take_touched);
                let data = Touch::encode_all(&touched);
                self.send(
                    link,
                    &QuorumPacket::with_data(PacketKind::PING, zxid.0, data),
                );
            }
            Output::Became(status) => self.became(node, status),
            Output::Serve { epoch, upstream } => self.serve(node, epoch, upstream),
            Output::Configure { .. } => {}
            Output::DropSnapshot(link) => {
                if let Some(process) = &mut self.servers[node].process {
                    process.snapshots.remove(&link);
                }
            }
            Output::Close(link) => {
                let (wire, side) = WireId::of(link);
                self.break_wire_end(wire, side);
            }
            Output::Stop(reason) => self
                .oracle
                .fail("stop", format!("server {node} stopped: {reason}")),
        }
    }

    fn became(&mut self, node: NodeIx, status: Status) {
        let server = &mut self.servers[node];
        let incarnation = server.incarnation;
        let Some(process) = &mut server.process else {
            return;
        };
        process.status = status;
        process.term += 1;
        process.dial = None;
        process.upstream = None;
        process.group.clear();
        if process.serving.take().is_some() {
            self.drop_clients(node, incarnation, false);
        }
    }

    fn serve(&mut self, node: NodeIx, epoch: crate::ids::Epoch, upstream: Option<LinkId>) {
        let tick_ms = self.scenario.tick_ms as i32;
        let server = &mut self.servers[node];
        let now_ms = server.clock_ms(self.now) as i64;
        let Some(process) = &mut server.process else {
            return;
        };
        let leads = process.status == Status::Leading;
        process.upstream = upstream;
        process.serving = Some(Serving::new(
            leads,
            epoch,
            server.id,
            tick_ms,
            &process.tree,
            now_ms,
        ));
        if leads {
            self.oracle.leader_serves(node, process.term, epoch);
        }
    }

    fn persist(&mut self, node: NodeIx, write: Write) {
        let server = &mut self.servers[node];
        let Some(process) = &mut server.process else {
            return;
        };
        let mark = write.mark();
        let write = match write {
            Write::AcceptedEpoch(epoch) => disk::Write::AcceptedEpoch(epoch),
            Write::CurrentEpoch(epoch) => disk::Write::CurrentEpoch(epoch),
            Write::Append(txns) => {
                process.log.txns.extend(txns.iter().cloned());
                disk::Write::Append(txns)
            }
            Write::Cut(zxid) => {
                process.log.cut(zxid);
                if process.tree.last_zxid() > zxid {
                    let what = format!(
                        "server {node} cuts its log to {zxid} below its tree's {}",
                        process.tree.last_zxid()
                    );
                    self.oracle.fail("logs", what);
                    return;
                }
                disk::Write::Cut(zxid)
            }
            Write::Snapshot { link, zxid } => {
                let Some(image) = process.snapshots.remove(&link).filter(|i| i.zxid == zxid) else {
                    let what = format!(
                        "server {node} installs a snapshot at {zxid} that it does not have"
                    );
                    self.oracle.fail("logs", what);
                    return;
                };
                process.log.base = image.zxid;
                process.log.txns.clear();
                process.tree = image.to_tree();
                self.oracle.restored(node, zxid);
                self.oracle.tree_is_at(node, &process.tree);
                disk::Write::Install(image)
            }
            Write::SeenConfig(config) => disk::Write::SeenConfig(config),
            Write::CommittedConfig(config) => disk::Write::CommittedConfig(config),
        };
        server.disk.push(write, mark);
        self.begin_sync(node);
    }

    fn deliver(&mut self, node: NodeIx, up_to: Zxid) {
        let mut fx = Effects::default();
        let now = self.now;
        let server = &mut self.servers[node];
        let now_ms = server.clock_ms(now) as i64;
        let durable = server.disk.stable.log.last();
        let Some(mut process) = server.process.take() else {
            return;
        };
        let from = process.log.after(process.tree.last_zxid());
        let until = process.log.after(up_to);
        if process.tree.last_zxid() < up_to && (process.log.get(up_to).is_none() || up_to > durable)
        {
            let what = format!(
                "server {node} is to deliver {up_to} from a log of {}..{}, durable to {durable}",
                process.log.base,
                process.log.last()
            );
            self.oracle.fail("delivery", what);
        }
        for txn in process.log.txns.range(from..until.max(from)) {
            let voters = self
                .servers
                .iter()
                .filter(|s| s.is_voter)
                .map(|s| &s.disk.stable);
            self.oracle.delivered(node, txn.zxid, &txn.bytes, voters);
            match &mut process.serving {
                Some(serving) => serving.apply(
                    &mut process.tree,
                    &self.rules,
                    (now_ms, now_ms),
                    &txn.bytes,
                    &mut fx,
                ),
                None => {
                    ops::apply(&mut process.tree, &txn.bytes, &mut Unwatched)
                        .expect("a committed transaction can be read");
                }
            }
        }
        if from < until {
            self.oracle.tree_is_at(node, &process.tree);
        }
        self.servers[node].process = Some(process);
        self.carry_out(node, fx);
    }

    fn upward(&mut self, node: NodeIx, link: LinkId, packet: &QuorumPacket, inputs: &mut Inputs) {
        let server = &mut self.servers[node];
        let now_ms = server.clock_ms(self.now) as i64;
        let Some(process) = &mut server.process else {
            return;
        };
        let leads = process.status == Status::Leading;
        let Some(serving) = &mut process.serving else {
            // A leader may hear of touched sessions before it serves; it gives all of them their full time then.
            if packet.kind != PacketKind::PING {
                let what = format!("server {node} has {} before it serves", packet.kind);
                self.oracle.fail("serving", what);
            }
            return;
        };
        let cx = Context {
            tree: &process.tree,
            rules: &self.rules,
            now_ms,
            wall_ms: now_ms,
        };
        let mut fx = Effects::default();
        let done = if leads {
            serving.learner_sent(&cx, link, packet, &mut fx)
        } else {
            serving.leader_sent(&cx, packet, &mut fx)
        };
        if let Err(why) = done {
            self.oracle.fail("serving", format!("server {node}: {why}"));
        }
        let syncs = std::mem::take(&mut fx.syncs);
        self.carry_out(node, fx);
        if !syncs.is_empty() {
            // A sync covers what was prepared before it.
            self.propose_group(node, inputs);
            inputs.extend(syncs.into_iter().map(|link| Input::Sync(link, Zxid::ZERO)));
        }
    }

    /// What serving clients led to.
    pub fn carry_out(&mut self, node: NodeIx, fx: Effects) {
        let mut answers = fx.answers;
        if makes(Slip::EventsLate) {
            answers.sort_by_key(|(_, answer)| matches!(answer, Answer::Event { .. }));
        }
        for (conn, answer) in answers {
            self.answer(conn, answer);
        }
        for conn in fx.closed {
            self.refuse(conn);
        }
        for (link, packet) in fx.down {
            self.send(link, &packet);
        }
        for session in fx.expired {
            self.expires(node, session);
        }
        let server = &mut self.servers[node];
        let incarnation = server.incarnation;
        let Some(process) = &mut server.process else {
            return;
        };
        let upstream = process.upstream;
        if !fx.propose.is_empty() {
            let is_first = process.group.is_empty();
            process.group.extend(fx.propose);
            if is_first {
                let at = self.now + self.rng.below(2 * MS);
                self.schedule(at, Event::Flush(node, incarnation));
            }
        }
        for packet in fx.up {
            match upstream {
                Some(link) => self.send(link, &packet),
                None => self.oracle.fail(
                    "serving",
                    format!("server {node} has nobody to send {} to", packet.kind),
                ),
            }
        }
    }

    /// No session ends by itself while its client is heard. What a learner heard may be lost on its way for as long
    /// as a broken link goes unnoticed.
    fn expires(&mut self, node: NodeIx, session: crate::ids::SessionId) {
        let slack_ms = self.scenario.tick_ms * (2 * self.scenario.sync_limit + 3);
        if let Some(client) = self.clients.iter().find(|c| c.session == session) {
            let (heard_at, timeout_ms) = (client.heard_at, client.timeout_ms as u64);
            let skew = timeout_ms / 20;
            let verdict = super::checkers::ephemerals::expires(
                session,
                self.now / MS,
                heard_at / MS,
                timeout_ms,
                slack_ms + skew,
            );
            if client.is_connected() {
                self.trace(|| format!("server {node} lets session {session} expire"));
                self.oracle.note(verdict);
            }
        }
    }

    // --- the election port ---------------------------------------------------------------------------------

    fn notify(&mut self, node: NodeIx, to: ServerId, notification: &Notification) {
        let server = &self.servers[node];
        let for_voter = self.servers.iter().any(|s| s.id == to && s.is_voter);
        if server.is_voter && for_voter {
            let stable = &server.disk.stable;
            self.oracle
                .notifies(node, server.id.0, stable, notification);
        }
        let Some(to) = self.servers.iter().position(|s| s.id == to) else {
            return;
        };
        let mut bytes = BytesMut::new();
        notification.encode(&mut bytes);
        let delay = self.link_delay();
        let lane = self.network.lane(node, to);
        lane.waiting = Some(bytes.to_vec());
        if !lane.busy {
            lane.busy = true;
            self.schedule(self.now + delay, Event::Lane(node, to));
        }
    }

    pub fn lane(&mut self, from: NodeIx, to: NodeIx) {
        let can_talk = self.network.can_talk(from, to) || from == to;
        let both = self.servers[from].process.is_some() && self.servers[to].process.is_some();
        let lane = self.network.lane(from, to);
        lane.busy = false;
        if !can_talk || !both {
            lane.broken = true;
            return;
        }
        let Some(bytes) = lane.waiting.take() else {
            return;
        };
        lane.broken = false;
        lane.last = Some(bytes.clone());
        // The connection works in both directions again: what was sent last the other way is sent once more.
        let delay = self.link_delay();
        let back = self.network.lane(to, from);
        if back.broken && from != to {
            back.broken = false;
            if back.waiting.is_none() {
                back.waiting = back.last.clone();
            }
            if back.waiting.is_some() && !back.busy {
                back.busy = true;
                self.schedule(self.now + delay, Event::Lane(to, from));
            }
        }
        let sender = self.servers[from].id;
        match Notification::decode(&bytes) {
            Ok(notification) => self.input(to, Input::Notification(sender, notification)),
            Err(e) => self.oracle.fail("network", format!("a notification: {e}")),
        }
    }

    // --- the quorum port -----------------------------------------------------------------------------------

    fn link_delay(&mut self) -> u64 {
        let (low, high) = self.scenario.link_delay;
        let factor = if self.slow_link_until > self.now {
            10
        } else {
            1
        };
        self.rng.between(low, high) * factor
    }

    fn begin_dial(&mut self, node: NodeIx, to: ServerId) {
        let Some(to) = self.servers.iter().position(|s| s.id == to) else {
            self.oracle.fail(
                "network",
                format!("server {node} dials {to}, which is nobody"),
            );
            return;
        };
        self.next_dial += 1;
        let number = self.next_dial;
        let delay = self.link_delay();
        let server = &mut self.servers[node];
        let incarnation = server.incarnation;
        if let Some(process) = &mut server.process {
            process.dial = Some(Dial {
                to,
                tries: 0,
                number,
            });
        }
        self.schedule(self.now + delay, Event::Dial(node, incarnation, number));
    }

    pub fn dial(&mut self, node: NodeIx, incarnation: u32, number: u64) {
        if !self.alive(node, incarnation) {
            return;
        }
        let Some(process) = &mut self.servers[node].process else {
            return;
        };
        let Some(dial) = process.dial.as_mut().filter(|d| d.number == number) else {
            return;
        };
        dial.tries += 1;
        let (to, tries) = (dial.to, dial.tries);
        let listens = self.servers[to]
            .process
            .as_ref()
            .is_some_and(|p| p.status == Status::Leading);
        if listens && self.network.can_talk(node, to) {
            if let Some(process) = &mut self.servers[node].process {
                process.dial = None;
            }
            let wire = self.network.connect(node, to);
            self.trace(|| format!("server {node} connects to {to}: {wire:?}"));
            let target = self.servers[to].id;
            self.input(to, Input::Accepted(wire.link(Side::Listener)));
            if self.alive(node, incarnation) {
                self.input(node, Input::Connected(target, wire.link(Side::Dialler)));
            }
        } else if tries < DIAL_TRIES {
            let at = self.now + DIAL_PAUSE_MS * MS;
            self.schedule(at, Event::Dial(node, incarnation, number));
        } else {
            if let Some(process) = &mut self.servers[node].process {
                process.dial = None;
            }
            let target = self.servers[to].id;
            self.input(node, Input::Unreachable(target));
        }
    }

    fn check_send(&mut self, node: NodeIx, link: LinkId, packet: &QuorumPacket) {
        let server = &self.servers[node];
        let Some(process) = &server.process else {
            return;
        };
        let asked = process.announced.get(&link).copied();
        self.oracle
            .sends(node, link, asked, &server.disk.stable, packet);
    }

    fn send(&mut self, link: LinkId, packet: &QuorumPacket) {
        let mut bytes = BytesMut::new();
        packet.encode(&mut bytes);
        self.transmit(link, Payload::Packet(bytes.to_vec()));
    }

    fn transmit(&mut self, link: LinkId, payload: Payload) {
        let mut delay = self.link_delay();
        if matches!(payload, Payload::Stream(_)) {
            delay *= self.rng.between(1, 20);
        }
        let now = self.now;
        let (id, side) = WireId::of(link);
        let Some(wire) = self.network.wires.get_mut(&id) else {
            return;
        };
        if !wire.end(side).open {
            return;
        }
        let pipe = wire.pipe(side);
        pipe.last_at = pipe.last_at.max(now + delay);
        pipe.in_flight.push_back(payload);
        let at = pipe.last_at;
        self.schedule(at, Event::Arrive(id, side));
    }

    fn send_history(
        &mut self,
        node: NodeIx,
        link: LinkId,
        range: (Zxid, Zxid),
        form: HistoryForm,
        inputs: &mut Inputs,
    ) {
        let (after, up_to) = range;
        if up_to <= after {
            return;
        }
        let Some(process) = &self.servers[node].process else {
            return;
        };
        let log = &process.log;
        let txns: Vec<_> = log
            .txns
            .range(log.after(after)..log.after(up_to))
            .cloned()
            .collect();
        let is_whole = txns.last().is_some_and(|t| t.zxid == up_to) && log.base <= after;
        if !is_whole {
            // Purged since it was decided: the learner has to come again.
            let (wire, side) = WireId::of(link);
            self.break_wire_end(wire, side);
            inputs.push_back(Input::Down(link));
            return;
        }
        for txn in txns {
            let zxid = txn.zxid.0;
            match form {
                HistoryForm::Committed => {
                    let proposal = QuorumPacket::with_data(PacketKind::PROPOSAL, zxid, txn.bytes);
                    self.send(link, &proposal);
                    self.send(link, &QuorumPacket::new(PacketKind::COMMIT, zxid));
                }
                HistoryForm::Inform => {
                    self.send(
                        link,
                        &QuorumPacket::with_data(PacketKind::INFORM, zxid, txn.bytes),
                    );
                }
            }
        }
    }

    pub fn arrive(&mut self, id: WireId, from: Side) {
        let Some(wire) = self.network.wires.get_mut(&id) else {
            return;
        };
        let (sender, receiver) = (*wire.end(from), *wire.end(from.other()));
        if self.network.is_blocked(sender.node, receiver.node) {
            // Held back; TCP tries again and again.
            let again = self.now + 20 * MS;
            self.schedule(again, Event::Arrive(id, from));
            return;
        }
        let Some(wire) = self.network.wires.get_mut(&id) else {
            return;
        };
        let Some(payload) = wire.pipe(from).in_flight.pop_front() else {
            return;
        };
        if !receiver.open {
            // Nobody is there: a reset comes back.
            wire.pipe(from).in_flight.clear();
            if sender.open && !matches!(payload, Payload::Fin) {
                let back = wire.pipe(from.other());
                back.in_flight.clear();
                back.in_flight.push_back(Payload::Fin);
                back.last_at = back.last_at.max(self.now);
                let at = back.last_at + 100;
                self.schedule(at, Event::Arrive(id, from.other()));
            }
            return;
        }
        let link = id.link(from.other());
        let node = receiver.node;
        match payload {
            Payload::Packet(bytes) => {
                let mut bytes = BytesMut::from(&bytes[..]);
                match QuorumPacket::decode(&mut bytes, LENGTH_MAX) {
                    Ok(Some(packet)) => {
                        if packet.kind == PacketKind::LEADERINFO
                            && let Some(process) = &mut self.servers[node].process
                        {
                            process.announced.insert(link, Zxid(packet.zxid).epoch());
                        }
                        if packet.kind == PacketKind::SNAP {
                            self.expect_stream(node, link);
                        }
                        self.input(node, Input::Packet(link, packet));
                    }
                    other => self
                        .oracle
                        .fail("network", format!("a packet came as {other:?}")),
                }
            }
            Payload::Stream(image) => {
                if let Some(process) = &mut self.servers[node].process {
                    process.snapshots.insert(link, image);
                    process.streams.insert(link);
                }
            }
            Payload::Fin => {
                wire.end_mut(from.other()).open = false;
                self.input(node, Input::Down(link));
            }
        }
    }

    /// While a stream is read only its bytes tell that the leader lives: the driver watches them.
    fn expect_stream(&mut self, node: NodeIx, link: LinkId) {
        let limit_ms = self.scenario.tick_ms * self.scenario.init_limit;
        let incarnation = self.servers[node].incarnation;
        let at = self.now + limit_ms * MS;
        self.schedule(at, Event::StreamLimit(node, incarnation, link));
    }

    pub fn stream_limit(&mut self, node: NodeIx, incarnation: u32, link: LinkId) {
        if !self.alive(node, incarnation) {
            return;
        }
        let (id, side) = WireId::of(link);
        let is_open = self
            .network
            .wires
            .get(&id)
            .is_some_and(|wire| wire.end(side).open);
        let is_here = self.servers[node]
            .process
            .as_ref()
            .is_some_and(|p| p.streams.contains(&link));
        if is_open && !is_here {
            self.break_wire_end(id, side);
            self.input(node, Input::Down(link));
        }
    }

    /// One end is closed: the other hears of it behind what is on its way.
    pub fn break_wire_end(&mut self, id: WireId, side: Side) {
        let now = self.now;
        let delay = self.link_delay();
        let Some(wire) = self.network.wires.get_mut(&id) else {
            return;
        };
        if !wire.end(side).open {
            return;
        }
        wire.end_mut(side).open = false;
        let pipe = wire.pipe(side);
        // The last of what was written may never have left.
        let keep = self.rng.index(pipe.in_flight.len() + 1);
        if self.rng.chance(500) {
            pipe.in_flight.truncate(keep);
        }
        pipe.in_flight.push_back(Payload::Fin);
        pipe.last_at = pipe.last_at.max(now + delay);
        let at = pipe.last_at;
        self.schedule(at, Event::Arrive(id, side));
    }

    /// The connection breaks under both ends.
    pub fn break_wire(&mut self, id: WireId, side: Side) {
        for side in [side, side.other()] {
            let Some(wire) = self.network.wires.get_mut(&id) else {
                return;
            };
            let end = *wire.end(side);
            if !end.open {
                continue;
            }
            self.break_wire_end(id, side);
            self.input(end.node, Input::Down(id.link(side)));
        }
    }
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
