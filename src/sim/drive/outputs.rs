//! Carries out what the core put out: on the disk, in the tree, to clients.

use std::sync::Arc;

use super::super::disk;
use super::super::image::Image;
use super::super::network::{NodeIx, Payload, WireId};
use super::super::operator::members_of;
use super::super::serving::{Answer, Context, Effects, Serving};
use super::super::slips::{Slip, makes};
use super::super::workload::MS;
use super::super::world::{Event, World};
use super::Inputs;
use crate::ids::{LinkId, Zxid};
use crate::ops::members::Members;
use crate::ops::{self, Unwatched};
use crate::proto::quorum::{PacketKind, QuorumPacket, Touch};
use crate::zab::{HistoryForm, Input, Output, Status, Write};

impl World {
    pub(super) fn perform(&mut self, node: NodeIx, output: Output, inputs: &mut Inputs) {
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
            Output::Configure { committed, .. } => {
                let verdict = self.oracle.configs.configured(node, &committed);
                self.oracle.note(verdict);
                self.change_members(node, |members| members.commit(&committed));
            }
            Output::Synced(servers) => {
                self.change_members(node, |members| members.set_synced(servers));
            }
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

    fn change_members(&mut self, node: NodeIx, change: impl FnOnce(&mut Members)) {
        if let Some(process) = &mut self.servers[node].process
            && let Some(serving) = &mut process.serving
            && let Some(members) = serving.members()
        {
            change(members);
        }
    }

    pub(super) fn became(&mut self, node: NodeIx, status: Status) {
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

    pub(super) fn serve(
        &mut self,
        node: NodeIx,
        epoch: crate::ids::Epoch,
        upstream: Option<LinkId>,
    ) {
        let (tick_ms, local) = (self.scenario.tick_ms as i32, self.scenario.local_sessions);
        let server = &mut self.servers[node];
        let now_ms = server.clock_ms(self.now) as i64;
        let Some(process) = &mut server.process else {
            return;
        };
        let leads = process.status == Status::Leading;
        let counter_end = self.scenario.counter_end;
        process.upstream = upstream;
        process.serving = Some(Serving::new(
            leads.then_some(counter_end),
            epoch,
            server.id,
            (tick_ms, local),
            &process.tree,
            now_ms,
        ));
        if leads && let Some(serving) = &mut process.serving {
            serving.lead(members_of(&process.peer, server.id));
        }
        if leads {
            self.oracle.leader_serves(node, process.term, epoch);
        }
    }

    pub(super) fn persist(&mut self, node: NodeIx, write: Write) {
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

    pub(super) fn deliver(&mut self, node: NodeIx, up_to: Zxid) {
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
            let disks = self.servers.iter().map(|s| (s.id, &s.disk.stable));
            self.oracle.delivered(node, txn.zxid, &txn.bytes, disks);
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

    pub(super) fn upward(
        &mut self,
        node: NodeIx,
        link: LinkId,
        packet: &QuorumPacket,
        inputs: &mut Inputs,
    ) {
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
    /// as a broken link goes unnoticed. A leader that was deposed and waits for a follower that never comes may say what it
    /// likes: `delivery` sees to it that none of it is committed.
    pub(super) fn expires(&mut self, node: NodeIx, session: crate::ids::SessionId) {
        let process = self.servers[node].process.as_ref();
        if !process.is_some_and(|p| self.oracle.leadership.leads_newest(node, p.term)) {
            return;
        }
        let slack_ms = self.scenario.tick_ms * (2 * self.scenario.sync_limit + 3);
        if let Some(client) = self.clients.iter().find(|c| c.session == session) {
            let (heard_at, timeout_ms) = (client.heard_at, client.timeout_ms as u64);
            let skew = timeout_ms / 20;
            let verdict = super::super::checkers::ephemerals::expires(
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
}
