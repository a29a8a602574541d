//! One peer; the test is its disk, its network and everybody else. What comes out is compared as text.

use super::*;
use crate::proto::election::PeerState;
use crate::proto::quorum::{LearnerInfo, PROTOCOL_VERSION, PacketKind};

pub(super) const UP: LinkId = LinkId(9);

pub(super) struct Script {
    pub(super) peer: Peer,
    pub(super) now: Timestamp,
    /// Not answered yet.
    pub(super) writes: Vec<Mark>,
}

pub(super) fn fresh() -> Durable {
    Durable {
        accepted_epoch: Epoch(0),
        current_epoch: Epoch(0),
        log: LogShape::default(),
        delivered: Zxid::ZERO,
        may_have_lost_data: false,
    }
}

/// Epoch 1 with entries 1 to `last`, of which `delivered` are delivered.
pub(super) fn used(last: u32, delivered: u32) -> Durable {
    Durable {
        accepted_epoch: Epoch(1),
        current_epoch: Epoch(1),
        log: LogShape::read(Zxid::ZERO, [(z(1, 1), z(1, last))]).unwrap(),
        delivered: z(1, delivered),
        may_have_lost_data: false,
    }
}

pub(super) fn packet(kind: PacketKind, zxid: Zxid) -> QuorumPacket {
    QuorumPacket::new(kind, zxid.0)
}

pub(super) fn proposal(zxid: Zxid) -> QuorumPacket {
    QuorumPacket::with_data(PacketKind::PROPOSAL, zxid.0, txn(zxid).bytes)
}

pub(super) fn said(state: PeerState, leader: i64, zxid: Zxid, peer_epoch: i64) -> Notification {
    Notification {
        state,
        leader,
        zxid: zxid.0,
        election_epoch: 1,
        peer_epoch,
        version: 2,
        config: None,
    }
}

impl Script {
    pub(super) fn new(config: PeerConfig, durable: Durable) -> Script {
        let now = Timestamp(1_000_000);
        let peer = Peer::new(now, config, durable);
        let writes = Vec::new();
        Script { peer, now, writes }
    }

    /// Server 1 of three that found out that 2 leads.
    pub(super) fn following(durable: Durable) -> Script {
        let mut script = Script::new(config(1, members(3, 0)), durable);
        script.find_leader();
        script
    }

    /// Server 4, an observer of three voters that 2 leads.
    pub(super) fn observing(durable: Durable) -> Script {
        let mut script = Script::new(config(4, members(3, 1)), durable);
        script.find_leader();
        script
    }

    pub(super) fn find_leader(&mut self) {
        self.tick();
        let of = |state| said(state, 2, Zxid::ZERO, 0);
        self.step(Input::Notification(ServerId(2), of(PeerState::Leading)));
        let out = self.step(Input::Notification(ServerId(3), of(PeerState::Following)));
        assert!(out.iter().any(|line| line == "dial 2"), "{out:?}");
    }

    /// A follower that sent FOLLOWERINFO, got LEADERINFO of that epoch and sent ACKEPOCH.
    pub(super) fn asking(durable: Durable, epoch: i64) -> Script {
        let mut script = Script::following(durable);
        script.ask(epoch);
        script
    }

    pub(super) fn ask(&mut self, epoch: i64) {
        self.step(Input::Connected(ServerId(2), UP));
        let number = PROTOCOL_VERSION;
        let info = QuorumPacket::with_number(PacketKind::LEADERINFO, z(epoch, 0).0, number);
        self.step(Input::Packet(UP, info));
        self.persist_all();
    }

    /// One that serves in epoch 2, after a DIFF without transactions.
    pub(super) fn serving(durable: Durable) -> Script {
        let last = durable.log.last();
        let mut script = Script::asking(durable, 2);
        script.join(last);
        script
    }

    pub(super) fn join(&mut self, last: Zxid) {
        self.up(PacketKind::DIFF, last);
        self.up(PacketKind::NEWLEADER, z(2, 0));
        self.persist_all();
        let out = self.step(Input::Packet(
            UP,
            QuorumPacket::new(PacketKind::UPTODATE, -1),
        ));
        assert!(out.iter().any(|line| line == "serve 2"), "{out:?}");
    }

    /// Server 3 of three that was elected.
    pub(super) fn leading(durable: Durable) -> Script {
        Script::elected(config(3, members(3, 0)), durable)
    }

    pub(super) fn elected(config: PeerConfig, durable: Durable) -> Script {
        Script::elected_with(config, durable, &[1, 2])
    }

    pub(super) fn elected_with(config: PeerConfig, durable: Durable, by: &[i64]) -> Script {
        let (last, epoch) = (durable.log.last(), durable.current_epoch.0);
        let mut script = Script::new(config, durable);
        script.tick();
        for id in by {
            let vote = said(PeerState::Looking, 3, last, epoch);
            script.step(Input::Notification(ServerId(*id), vote));
        }
        let out = script.pass(200);
        assert_eq!(out, ["became Leading"]);
        script
    }

    /// One that serves in the epoch behind the accepted one, with followers 1 and 2 at links 1 and 2.
    pub(super) fn leading_two(durable: Durable) -> Script {
        let (last, current) = (durable.log.last(), durable.current_epoch.0);
        let mut script = Script::leading(durable);
        for id in [1, 2] {
            script.greet(id, current);
        }
        script.persist_all();
        for id in [1, 2] {
            script.ack_epoch(id, current, last);
        }
        script.persist_all();
        let epoch = script.peer.accepted_epoch();
        for id in [1, 2] {
            script.from(id, PacketKind::ACK, Zxid::new(epoch, 0));
        }
        assert_eq!(script.peer.serving(), Some(epoch));
        script.persist_all();
        script
    }

    pub(super) fn greet(&mut self, id: i64, accepted: i64) -> Vec<String> {
        self.step(Input::Accepted(LinkId(id as u64)));
        let info = LearnerInfo {
            serverid: id,
            protocol_version: PROTOCOL_VERSION,
            config_version: 0,
        };
        let kind = if id > 3 {
            PacketKind::OBSERVERINFO
        } else {
            PacketKind::FOLLOWERINFO
        };
        let info = QuorumPacket::with_data(kind, z(accepted, 0).0, info.encode());
        self.step(Input::Packet(LinkId(id as u64), info))
    }

    pub(super) fn ack_epoch(&mut self, id: i64, current: i64, last: Zxid) -> Vec<String> {
        let ack = QuorumPacket::with_number(PacketKind::ACKEPOCH, last.0, current as i32);
        self.step(Input::Packet(LinkId(id as u64), ack))
    }

    /// A learner's packet, to a leader.
    pub(super) fn from(&mut self, id: i64, kind: PacketKind, zxid: Zxid) -> Vec<String> {
        self.step(Input::Packet(LinkId(id as u64), packet(kind, zxid)))
    }

    /// The leader's packet, to a learner.
    pub(super) fn up(&mut self, kind: PacketKind, zxid: Zxid) -> Vec<String> {
        self.step(Input::Packet(UP, packet(kind, zxid)))
    }

    pub(super) fn propose(&mut self, zxids: impl IntoIterator<Item = Zxid>) -> Vec<String> {
        self.step(Input::Propose(zxids.into_iter().map(txn).collect()))
    }

    pub(super) fn up_proposal(&mut self, zxid: Zxid) -> Vec<String> {
        self.step(Input::Packet(UP, proposal(zxid)))
    }

    pub(super) fn tick(&mut self) -> Vec<String> {
        self.step(Input::Tick)
    }

    pub(super) fn pass(&mut self, ms: u64) -> Vec<String> {
        self.now = self.now.after(ms);
        self.tick()
    }

    /// The disk finishes the oldest write.
    pub(super) fn persist(&mut self) -> Vec<String> {
        let mark = self.writes.remove(0);
        self.step(Input::Persisted(mark))
    }

    pub(super) fn persist_all(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while !self.writes.is_empty() {
            lines.extend(self.persist());
        }
        lines
    }

    /// What came out, without what goes to the election port.
    pub(super) fn step(&mut self, input: Input) -> Vec<String> {
        let mut out = Vec::new();
        self.peer.step(self.now, input, &mut out);
        let mut lines = Vec::new();
        for output in &out {
            if let Output::Persist(write) = output {
                self.writes.push(write.mark());
            }
            lines.extend(line(output));
        }
        lines
    }
}

fn line(output: &Output) -> Option<String> {
    let zxid = |zxid: i64| match zxid {
        -1 => "-1".to_owned(),
        zxid => format!("{}.{}", Zxid(zxid).epoch().0, Zxid(zxid).counter()),
    };
    Some(match output {
        Output::Notify(..) | Output::Configure { .. } | Output::Synced(_) => return None,
        Output::Dial(to) => format!("dial {to}"),
        Output::Send(link, packet) => {
            let number = match packet.kind {
                PacketKind::ACKEPOCH => format!(" {}", packet.number().unwrap()),
                _ => String::new(),
            };
            format!(
                "{} <- {} {}{number}",
                link.0,
                packet.kind,
                zxid(packet.zxid)
            )
        }
        Output::SendHistory {
            link,
            after,
            up_to,
            form,
        } => {
            format!(
                "{} <- history ({}, {}] {form:?}",
                link.0,
                zxid(after.0),
                zxid(up_to.0)
            )
        }
        Output::SendSnapshot { link, up_to } => {
            format!("{} <- snapshot, {}", link.0, zxid(up_to.0))
        }
        Output::Persist(Write::Append(txns)) => {
            let zxids = txns.iter().map(|txn| zxid(txn.zxid.0));
            format!("write log {}", zxids.collect::<Vec<_>>().join(" "))
        }
        Output::Persist(write) => match write.mark() {
            Mark::AcceptedEpoch(epoch) => format!("write accepted {}", epoch.0),
            Mark::CurrentEpoch(epoch) => format!("write current {}", epoch.0),
            Mark::Log(_) => unreachable!("above"),
            Mark::Cut(to) => format!("write cut {}", zxid(to.0)),
            Mark::Snapshot(of) => format!("write snapshot {}", zxid(of.0)),
            Mark::SeenConfig(version) => format!("write seen {}", zxid(version)),
            Mark::CommittedConfig(version) => format!("write config {}", zxid(version)),
        },
        Output::Deliver(to) => format!("deliver {}", zxid(to.0)),
        Output::Upward(link, packet) => format!("{} upward {}", link.0, packet.kind),
        Output::AnswerPing(link, of) => format!("{} <- touches {}", link.0, zxid(of.0)),
        Output::Became(status) => format!("became {status:?}"),
        Output::Serve { epoch, .. } => format!("serve {}", epoch.0),
        Output::DropSnapshot(link) => format!("{} drop snapshot", link.0),
        Output::Close(link) => format!("{} close", link.0),
        Output::Stop(reason) => format!("stop: {reason}"),
    })
}
