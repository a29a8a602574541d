//! A server that joins a leader and learns from it: discovery and synchronisation, up to where clients are served.
//!
//! What follows is `follower` or `observer`. Must not know how packets travel or how the disk works; it holds back
//! each promise until the disk answered. Answers to `Learner`.
//!
//! ```text
//! Dialling -> Greeting -> Promising -> Asking -> Syncing -> Entering -> Acknowledged -> Serving
//!   FOLLOWERINFO  LEADERINFO  ACKEPOCH  |  ^   NEWLEADER   ACK         UPTODATE
//!                                       +--+ SNAP: Receiving, and Comparing if the own log goes further
//! ```
//! It is stricter than the original: a proposal that does not continue the log makes it ask for a snapshot
//! (ZOOKEEPER-2846), and all of a synchronisation is in the log before NEWLEADER is acknowledged (ZOOKEEPER-3911).

use std::collections::VecDeque;

use crate::ids::{Epoch, LinkId, ServerId, Zxid};
use crate::membership::Membership;
use crate::proto::quorum::{LearnerInfo, PROTOCOL_VERSION, PacketKind, QuorumPacket};

use super::configs::stays;
use super::follower::Follower;
use super::mistake::{Mistake, makes};
use super::observer::Observer;
use super::role::{Ctx, End, membership, packet_out_of_place, reconfig_of, simple};
use super::{Mark, Output, Timestamp, Txn, Write};

#[derive(Debug)]
pub(super) struct Learner {
    leader: ServerId,
    is_observer: bool,
    /// The local log is of no use for a DIFF or TRUNC: say so.
    wants_snapshot: bool,
    link: Option<LinkId>,
    /// When the leader last said something.
    heard: Timestamp,
    phase: Phase,
    /// The configuration that was proposed last in this conversation.
    reconfig: Option<(Zxid, Membership)>,
}

#[derive(Debug)]
enum Phase {
    Dialling,
    Greeting,
    /// The accepted epoch is being written.
    Promising(Epoch),
    /// How shall I become equal?
    Asking(Epoch),
    /// A snapshot is on its way; the next packet says that it is complete.
    Receiving(Epoch, Zxid),
    /// The snapshot is complete, and of a zxid that the own log goes beyond. To install it would lose, for a while,
    /// what may be committed thanks to this server. So it is put off until it is known what follows.
    Comparing(Comparison),
    Syncing(Sync),
    /// NEWLEADER came; history and current epoch are being written.
    Entering(Sync),
    Acknowledged(Sync),
    Serving(Broadcast),
}

#[derive(Debug)]
struct Sync {
    epoch: Epoch,
    /// Told by the leader, and true once UPTODATE comes.
    committed: Zxid,
    /// What the acknowledgement of NEWLEADER does not cover.
    unacked: VecDeque<Zxid>,
    /// Of NEWLEADER.
    config: Option<Membership>,
}

#[derive(Debug)]
struct Comparison {
    epoch: Epoch,
    snapshot: Zxid,
    /// The last zxid of the leader's history that is in the own log: so is all before it.
    common: Option<Zxid>,
    /// What came behind the snapshot.
    packets: Vec<QuorumPacket>,
}

#[derive(Debug)]
enum Broadcast {
    Follower(Follower),
    Observer(Observer),
}

impl Learner {
    pub(super) fn new(leader: ServerId, wants_snapshot: bool, ctx: &mut Ctx<'_>) -> Learner {
        ctx.out.push(Output::Dial(leader));
        Learner {
            leader,
            is_observer: ctx.configs.is_observer(),
            wants_snapshot: wants_snapshot || ctx.disk.may_have_lost_data(),
            link: None,
            heard: ctx.now,
            phase: Phase::Dialling,
            reconfig: None,
        }
    }

    pub(super) fn leader(&self) -> ServerId {
        self.leader
    }

    /// The epoch that this server is a serving member of.
    pub(super) fn serving(&self) -> Option<Epoch> {
        match &self.phase {
            Phase::Serving(Broadcast::Follower(follower)) => Some(follower.epoch()),
            Phase::Serving(Broadcast::Observer(observer)) => Some(observer.epoch()),
            _ => None,
        }
    }

    pub(super) fn deadline(&self, ctx: &super::PeerConfig) -> Option<Timestamp> {
        let ticks = match &self.phase {
            // The driver tries until the limit; this is for one that forgot.
            Phase::Dialling => {
                1 + [ctx.connect_limit, ctx.init_limit][usize::from(ctx.connect_limit == 0)]
            }
            // Here only bytes tell that the leader lives, and the driver sees those.
            Phase::Receiving(..) => return None,
            Phase::Serving(_) => ctx.sync_limit,
            _ => ctx.init_limit,
        };
        Some(self.heard.after(ctx.tick_ms * ticks))
    }

    pub(super) fn tick(&mut self, ctx: &mut Ctx<'_>) -> Result<(), End> {
        match self.deadline(ctx.config) {
            Some(at) if at <= ctx.now => End::look("nothing heard from the leader"),
            _ => Ok(()),
        }
    }

    pub(super) fn connected(&mut self, to: ServerId, link: LinkId, ctx: &mut Ctx<'_>) {
        if to != self.leader || self.link.is_some() {
            ctx.out.push(Output::Close(link));
            return;
        }
        self.link = Some(link);
        self.heard = ctx.now;
        self.phase = Phase::Greeting;
        let info = LearnerInfo {
            serverid: ctx.config.id.0,
            protocol_version: PROTOCOL_VERSION,
            config_version: ctx.configs.committed().version,
        };
        let kind = match self.is_observer {
            true => PacketKind::OBSERVERINFO,
            false => PacketKind::FOLLOWERINFO,
        };
        let accepted = Zxid::new(ctx.disk.accepted_epoch(), 0);
        ctx.send(
            link,
            QuorumPacket::with_data(kind, accepted.0, info.encode()),
        );
    }

    pub(super) fn unreachable(&mut self, to: ServerId) -> Result<(), End> {
        match to == self.leader && self.link.is_none() {
            true => End::look(format!("the leader, {to}, cannot be reached")),
            false => Ok(()),
        }
    }

    pub(super) fn down(&mut self, link: LinkId) -> Result<(), End> {
        match self.link == Some(link) {
            true => {
                self.link = None;
                End::look("the connection to the leader is lost")
            }
            false => Ok(()),
        }
    }

    /// Lets go of the leader.
    pub(super) fn close(self, out: &mut Vec<Output>) {
        let Some(link) = self.link else { return };
        if let Phase::Receiving(..) | Phase::Comparing(_) = self.phase {
            out.push(Output::DropSnapshot(link));
        }
        out.push(Output::Close(link));
    }

    pub(super) fn packet(
        &mut self,
        link: LinkId,
        packet: QuorumPacket,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), End> {
        if self.link != Some(link) {
            return Ok(());
        }
        self.heard = ctx.now;
        if let Phase::Receiving(epoch, snapshot) = self.phase {
            self.received(link, epoch, snapshot, ctx);
        }
        match &mut self.phase {
            Phase::Dialling | Phase::Promising(_) | Phase::Receiving(..) => {
                packet_out_of_place(&packet, "it was my turn")
            }
            Phase::Comparing(comparison) => {
                if !comparison.ends_with(&packet) {
                    comparison.take(packet, ctx);
                    return Ok(());
                }
                self.compare(link, ctx)?;
                self.sync_packet(link, packet, ctx)
            }
            Phase::Greeting => self.leader_info(link, &packet, ctx),
            Phase::Asking(epoch) => {
                let epoch = *epoch;
                self.phase = begin_sync(link, epoch, self.wants_snapshot, &packet, ctx)?;
                Ok(())
            }
            Phase::Syncing(_) | Phase::Entering(_) | Phase::Acknowledged(_) => {
                self.sync_packet(link, packet, ctx)
            }
            Phase::Serving(Broadcast::Follower(follower)) => {
                let reconfig = &mut self.reconfig;
                follower.packet(self.leader, link, packet, reconfig, ctx)
            }
            Phase::Serving(Broadcast::Observer(observer)) => {
                observer.packet(self.leader, link, packet, ctx)
            }
        }
    }

    fn leader_info(
        &mut self,
        link: LinkId,
        packet: &QuorumPacket,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), End> {
        if packet.kind != PacketKind::LEADERINFO {
            return packet_out_of_place(packet, "waiting for LEADERINFO");
        }
        let epoch = Zxid(packet.zxid).epoch();
        let accepted = ctx.disk.accepted_epoch();
        if epoch < accepted {
            return Err(End::LookLater(format!(
                "the leader proposes epoch {}, {} is promised",
                epoch.0, accepted.0
            )));
        }
        if epoch > accepted {
            self.phase = Phase::Promising(epoch);
            ctx.disk.write(Write::AcceptedEpoch(epoch), ctx.out);
            if makes(Mistake::PromiseBeforeDurable) {
                let current = ctx.disk.current_epoch().0 as i32;
                self.ack_epoch(link, epoch, current, ctx);
            }
        } else if makes(Mistake::PromiseTwice) {
            let current = ctx.disk.current_epoch().0 as i32;
            self.ack_epoch(link, epoch, current, ctx);
        } else {
            // Promised before, maybe to another one: this does not count for the leader.
            self.ack_epoch(link, epoch, -1, ctx);
        }
        Ok(())
    }

    fn ack_epoch(&mut self, link: LinkId, epoch: Epoch, current: i32, ctx: &mut Ctx<'_>) {
        let last = match self.wants_snapshot {
            true => Zxid(-1),
            false => ctx.disk.log().last(),
        };
        self.phase = Phase::Asking(epoch);
        ctx.send(
            link,
            QuorumPacket::with_number(PacketKind::ACKEPOCH, last.0, current),
        );
    }

    /// The disk answered.
    pub(super) fn persisted(&mut self, mark: Mark, ctx: &mut Ctx<'_>) -> Result<(), End> {
        let Some(link) = self.link else { return Ok(()) };
        match (&mut self.phase, mark) {
            (Phase::Promising(epoch), Mark::AcceptedEpoch(accepted)) if *epoch == accepted => {
                let epoch = *epoch;
                // As it was before: it says which history the log is of.
                let Ok(current) = i32::try_from(ctx.disk.current_epoch().0) else {
                    return End::look("the epoch does not fit the protocol");
                };
                self.ack_epoch(link, epoch, current, ctx);
            }
            (Phase::Entering(sync), Mark::CurrentEpoch(epoch)) if sync.epoch == epoch => {
                ctx.send(link, simple(PacketKind::ACK, Zxid::new(epoch, 0)));
                let sync = std::mem::replace(sync, Sync::new(epoch, Zxid::ZERO));
                self.phase = Phase::Acknowledged(sync);
            }
            (Phase::Serving(Broadcast::Follower(follower)), Mark::Log(_)) => {
                follower.persisted(link, ctx);
            }
            _ => {}
        }
        Ok(())
    }

    /// A snapshot is complete.
    fn received(&mut self, link: LinkId, epoch: Epoch, snapshot: Zxid, ctx: &mut Ctx<'_>) {
        let log = ctx.disk.log();
        if snapshot > log.last() || ctx.disk.may_have_lost_data() {
            ctx.disk.install(link, snapshot, ctx.out);
            self.phase = Phase::Syncing(Sync::new(epoch, snapshot));
            return;
        }
        self.phase = Phase::Comparing(Comparison {
            epoch,
            snapshot,
            common: log.contains(snapshot).then_some(snapshot),
            packets: Vec::new(),
        });
    }

    /// Everything is there that the leader's history has. If the own log has its end, or a part that goes beyond what is
    /// delivered, then only what the leader does not have is dropped, and no snapshot is needed.
    fn compare(&mut self, link: LinkId, ctx: &mut Ctx<'_>) -> Result<(), End> {
        let phase = std::mem::replace(&mut self.phase, Phase::Dialling);
        let Phase::Comparing(Comparison {
            epoch,
            snapshot,
            common,
            packets,
        }) = phase
        else {
            self.phase = phase;
            return Ok(());
        };
        let log = ctx.disk.log();
        let committed = match common.filter(|common| *common >= ctx.disk.delivered()) {
            Some(common) => {
                let committed = log.floor(snapshot).unwrap_or(log.base());
                let has_tail = common < log.last();
                ctx.out.push(Output::DropSnapshot(link));
                if has_tail {
                    ctx.disk.write(Write::Cut(common), ctx.out);
                }
                committed
            }
            None => {
                ctx.disk.install(link, snapshot, ctx.out);
                snapshot
            }
        };
        self.phase = Phase::Syncing(Sync::new(epoch, committed));
        for packet in packets {
            self.sync_packet(link, packet, ctx)?;
        }
        Ok(())
    }

    fn sync_packet(
        &mut self,
        link: LinkId,
        packet: QuorumPacket,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), End> {
        let (Phase::Syncing(sync) | Phase::Entering(sync) | Phase::Acknowledged(sync)) =
            &mut self.phase
        else {
            return Ok(());
        };
        let result = match packet.kind {
            PacketKind::PROPOSAL => {
                let txn = txn_of(&packet)?;
                let zxid = txn.zxid;
                if let Some(config) = reconfig_of(&txn) {
                    ctx.configs.see(config.clone(), ctx.disk, ctx.out);
                    self.reconfig = Some((zxid, config));
                }
                sync.unacked.push_back(zxid);
                take(txn, ctx)
            }
            PacketKind::COMMIT => sync.commit(Zxid(packet.zxid), ctx),
            PacketKind::INFORM => {
                let txn = txn_of(&packet)?;
                take(txn, ctx).and_then(|()| sync.commit(Zxid(packet.zxid), ctx))
            }
            PacketKind::COMMITANDACTIVATE | PacketKind::INFORMANDACTIVATE => {
                return End::look("the ensemble changed while I joined it");
            }
            PacketKind::NEWLEADER => return self.new_leader(link, &packet, ctx),
            PacketKind::UPTODATE => return self.up_to_date(link, ctx),
            _ => Ok(()),
        };
        if let Phase::Syncing(sync) = &mut self.phase {
            // The acknowledgement of NEWLEADER covers what is committed before it.
            let committed = sync.committed;
            sync.unacked.retain(|zxid| *zxid > committed);
        }
        result.map_err(|reason| match self.wants_snapshot {
            true => End::Look(reason),
            false => End::Resync(reason),
        })
    }

    fn new_leader(
        &mut self,
        link: LinkId,
        packet: &QuorumPacket,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), End> {
        let Phase::Syncing(sync) = &mut self.phase else {
            return packet_out_of_place(packet, "NEWLEADER was there");
        };
        if Zxid(packet.zxid) != Zxid::new(sync.epoch, 0) {
            return End::look("NEWLEADER of another epoch");
        }
        let text = packet.data_or_empty();
        if !text.is_empty() {
            let Some(config) = membership(text) else {
                return End::look("the configuration in NEWLEADER cannot be read");
            };
            ctx.configs.learn(config.clone(), ctx.disk, ctx.out);
            sync.config = Some(config);
        }
        // The disk works in order: when this is done, so is the history before it (ZOOKEEPER-4643).
        let epoch = sync.epoch;
        ctx.disk.write(Write::CurrentEpoch(epoch), ctx.out);
        let sync = std::mem::replace(sync, Sync::new(epoch, Zxid::ZERO));
        if makes(Mistake::JoinBeforeDurable) {
            ctx.send(link, simple(PacketKind::ACK, Zxid::new(epoch, 0)));
            self.phase = Phase::Acknowledged(sync);
            return Ok(());
        }
        self.phase = Phase::Entering(sync);
        Ok(())
    }

    fn up_to_date(&mut self, link: LinkId, ctx: &mut Ctx<'_>) -> Result<(), End> {
        let Phase::Acknowledged(sync) = &mut self.phase else {
            return End::look("UPTODATE before NEWLEADER was acknowledged");
        };
        let epoch = sync.epoch;
        let sync = std::mem::replace(sync, Sync::new(epoch, Zxid::ZERO));
        ctx.disk.commit(sync.committed, ctx.out);
        if let Some(config) = sync.config {
            let old = ctx.configs.committed().clone();
            let leads_on = stays(self.leader, &old, &config);
            let version = config.version;
            let changed_part = ctx.configs.commit(config, ctx.disk, ctx.out);
            let is_in_force = ctx.configs.committed().version == version && version > old.version;
            if changed_part || (is_in_force && !leads_on) {
                return End::look("the configuration in force has another leader or part for me");
            }
        }
        ctx.send(link, simple(PacketKind::ACK, Zxid::new(epoch, 0)));
        ctx.out.push(Output::Serve {
            epoch,
            upstream: Some(link),
        });
        self.phase = Phase::Serving(match self.is_observer {
            true => Broadcast::Observer(Observer::new(epoch)),
            false => {
                let mut follower = Follower::new(epoch, sync.unacked);
                follower.persisted(link, ctx);
                Broadcast::Follower(follower)
            }
        });
        Ok(())
    }
}

impl Comparison {
    fn take(&mut self, packet: QuorumPacket, ctx: &Ctx<'_>) {
        let zxid = Zxid(packet.zxid);
        let is_history = matches!(packet.kind, PacketKind::PROPOSAL | PacketKind::INFORM);
        if is_history && ctx.disk.log().contains(zxid) {
            self.common = Some(zxid);
        }
        self.packets.push(packet);
    }

    /// True for what comes behind all history.
    fn ends_with(&self, packet: &QuorumPacket) -> bool {
        matches!(packet.kind, PacketKind::NEWLEADER | PacketKind::UPTODATE)
    }
}

impl Sync {
    fn new(epoch: Epoch, committed: Zxid) -> Sync {
        Sync {
            epoch,
            committed,
            unacked: VecDeque::new(),
            config: None,
        }
    }

    fn commit(&mut self, zxid: Zxid, ctx: &Ctx<'_>) -> Result<(), String> {
        if let Some(committed) = next_committed(self.committed, zxid, ctx)? {
            self.committed = committed;
        }
        Ok(())
    }
}

/// The leader's answer to ACKEPOCH.
fn begin_sync(
    link: LinkId,
    epoch: Epoch,
    wants_snapshot: bool,
    packet: &QuorumPacket,
    ctx: &mut Ctx<'_>,
) -> Result<Phase, End> {
    let zxid = Zxid(packet.zxid);
    let last = ctx.disk.log().last();
    tracing::info!(%last, "{} to {zxid} from the leader", packet.kind);
    match packet.kind {
        PacketKind::SNAP if makes(Mistake::SnapshotInPart) => {
            ctx.disk.install(link, zxid, ctx.out);
            return Ok(Phase::Syncing(Sync::new(epoch, zxid)));
        }
        PacketKind::SNAP => return Ok(Phase::Receiving(epoch, zxid)),
        PacketKind::DIFF | PacketKind::TRUNC if wants_snapshot => {
            return End::look("a snapshot was asked for and did not come");
        }
        PacketKind::DIFF => {}
        PacketKind::TRUNC if zxid == last || makes(Mistake::TruncIgnored) => {}
        PacketKind::TRUNC if zxid >= ctx.disk.delivered() && ctx.disk.log().contains(zxid) => {
            ctx.disk.write(Write::Cut(zxid), ctx.out);
        }
        PacketKind::TRUNC => {
            return Err(End::Resync(format!("the log cannot be cut at {zxid}")));
        }
        _ => return packet_out_of_place(packet, "waiting for DIFF, TRUNC or SNAP"),
    }
    if makes(Mistake::EpochBeforeHistory) {
        ctx.disk.write(Write::CurrentEpoch(epoch), ctx.out);
    }
    // What is left is the leader's too; it is committed when UPTODATE says so.
    Ok(Phase::Syncing(Sync::new(epoch, ctx.disk.log().last())))
}

pub(super) fn txn_of(packet: &QuorumPacket) -> Result<Txn, End> {
    match &packet.data {
        Some(bytes) => Ok(Txn {
            zxid: Zxid(packet.zxid),
            bytes: bytes.clone(),
        }),
        None => End::look(format!("{} without a transaction", packet.kind)),
    }
}

/// Appends what continues the log. What it has already may come again: behind a snapshot that was taken while
/// transactions were applied, or because a leader forgets what it sent to whom.
pub(super) fn take(txn: Txn, ctx: &mut Ctx<'_>) -> Result<(), String> {
    let log = ctx.disk.log();
    let (last, next) = (log.last(), txn.zxid);
    if log.continues_with(next) {
        ctx.disk.append(vec![txn], ctx.out);
        return Ok(());
    }
    match log.contains(next) || next <= log.base() {
        true => Ok(()),
        false => Err(format!(
            "a proposal {next} behind a log that ends at {last}"
        )),
    }
}

/// The new horizon, if this COMMIT raises it. Commits come in order, one for each transaction.
pub(super) fn next_committed(
    committed: Zxid,
    zxid: Zxid,
    ctx: &Ctx<'_>,
) -> Result<Option<Zxid>, String> {
    if zxid <= committed {
        return Ok(None);
    }
    match ctx.disk.log().successor(committed) == Some(zxid) {
        true => Ok(Some(zxid)),
        false => Err(format!("COMMIT {zxid} behind {committed}")),
    }
}
