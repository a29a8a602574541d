//! Connections between learners and leaders: dialled, full of packets and streams, broken.

use bytes::BytesMut;

use super::super::network::{NodeIx, Payload, Side, WireId};
use super::super::server::Dial;
use super::super::workload::{MS, Time};
use super::super::world::{Event, World};
use super::Inputs;
use crate::ids::{LinkId, ServerId, Zxid};
use crate::proto::quorum::{PacketKind, QuorumPacket};
use crate::zab::{HistoryForm, Input, Status};

/// Lengths that a stranger may claim; nobody here is one.
const LENGTH_MAX: usize = 1 << 20;
/// Tries of a learner to connect, and the pause between two.
const DIAL_TRIES: u32 = 5;
const DIAL_PAUSE_MS: u64 = 100;

impl World {
    pub(super) fn link_delay(&mut self) -> u64 {
        let (low, high) = self.scenario.link_delay;
        let factor = if self.slow_link_until > self.now {
            10
        } else {
            1
        };
        self.rng.between(low, high) * factor
    }

    pub(super) fn begin_dial(&mut self, node: NodeIx, to: ServerId) {
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

    pub(super) fn check_send(&mut self, node: NodeIx, link: LinkId, packet: &QuorumPacket) {
        let server = &self.servers[node];
        let Some(process) = &server.process else {
            return;
        };
        let asked = process.announced.get(&link).copied();
        self.oracle
            .sends(node, link, asked, &server.disk.stable, packet);
    }

    pub(super) fn send(&mut self, link: LinkId, packet: &QuorumPacket) {
        let mut bytes = BytesMut::new();
        packet.encode(&mut bytes);
        self.transmit(link, Payload::Packet(bytes.to_vec()));
    }

    pub(super) fn transmit(&mut self, link: LinkId, payload: Payload) {
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

    pub(super) fn send_history(
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
                            self.expect_more(node, link);
                        } else if let Some(process) = &mut self.servers[node].process {
                            process.silent_since.remove(&link);
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
                    self.expect_more(node, link);
                }
            }
            Payload::Fin => {
                wire.end_mut(from.other()).open = false;
                self.input(node, Input::Down(link));
            }
        }
    }

    /// From a SNAP to the packet behind its stream only bytes tell that the leader lives: the driver watches them.
    fn expect_more(&mut self, node: NodeIx, link: LinkId) {
        let now = self.now;
        if let Some(process) = &mut self.servers[node].process {
            process.silent_since.insert(link, now);
        }
        let incarnation = self.servers[node].incarnation;
        let at = now + self.silence();
        self.schedule(at, Event::StreamLimit(node, incarnation, link));
    }

    fn silence(&self) -> Time {
        self.scenario.tick_ms * self.scenario.init_limit * MS
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
        let since = self.servers[node]
            .process
            .as_ref()
            .and_then(|process| process.silent_since.get(&link));
        let is_silent = since.is_some_and(|since| since + self.silence() <= self.now);
        if is_open && is_silent {
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
