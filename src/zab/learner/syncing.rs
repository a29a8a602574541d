//! Synchronisation, a learner's side: a snapshot or a part of the log, then what is committed behind it, up to
//! UPTODATE. And what broadcast has in common with it: how a proposal gets into the log, how a commit raises the horizon.
//!
//! Answers to `Learner.syncWithLeader`.

use std::collections::VecDeque;

use crate::ids::{Epoch, LinkId, Zxid};
use crate::membership::Membership;
use crate::proto::quorum::{PacketKind, QuorumPacket};

use super::super::configs::stays;
use super::super::follower::Follower;
use super::super::mistake::{Mistake, makes};
use super::super::observer::Observer;
use super::super::observer_master::ObserverMaster;
use super::super::role::{Ctx, End, membership, packet_out_of_place, simple};
use super::super::{Output, Txn, Write};
use super::{Broadcast, Learner, Phase};

#[derive(Debug)]
pub(super) struct Sync {
    pub(super) epoch: Epoch,
    /// Told by the leader, and true once UPTODATE comes.
    committed: Zxid,
    /// What the acknowledgement of NEWLEADER does not cover.
    unacked: VecDeque<Zxid>,
    /// Of NEWLEADER.
    config: Option<Membership>,
}

#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) epoch: Epoch,
    snapshot: Zxid,
    /// The last zxid of the leader's history that is in the own log: so is all before it.
    common: Option<Zxid>,
    /// What came behind the snapshot.
    packets: Vec<QuorumPacket>,
}

impl Learner {
    /// A snapshot is complete.
    pub(super) fn received(
        &mut self,
        link: LinkId,
        epoch: Epoch,
        snapshot: Zxid,
        ctx: &mut Ctx<'_>,
    ) {
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
    pub(super) fn compare(&mut self, link: LinkId, ctx: &mut Ctx<'_>) -> Result<(), End> {
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

    pub(super) fn sync_packet(
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
                if let Some(config) = ctx.see(&txn) {
                    self.reconfig = Some((zxid, config));
                }
                sync.unacked.push_back(zxid);
                take(txn, sync.epoch, ctx)
            }
            PacketKind::COMMIT => sync.commit(Zxid(packet.zxid), ctx),
            PacketKind::INFORM => {
                let txn = txn_of(&packet)?;
                take(txn, sync.epoch, ctx).and_then(|()| sync.commit(Zxid(packet.zxid), ctx))
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

    pub(super) fn new_leader(
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

    pub(super) fn up_to_date(&mut self, link: LinkId, ctx: &mut Ctx<'_>) -> Result<(), End> {
        let Phase::Acknowledged(sync) = &mut self.phase else {
            return End::look("UPTODATE before NEWLEADER was acknowledged");
        };
        let epoch = sync.epoch;
        let sync = std::mem::replace(sync, Sync::new(epoch, Zxid::ZERO));
        ctx.disk.commit(sync.committed, ctx.out);
        // The original's leaders tell one that is only proposed as well: that is in force when its transaction is
        // committed. The first one has none, and one of an earlier epoch came into force with this one.
        let is_settled = |config: &Membership| {
            let version = Zxid(config.version);
            version.epoch() < epoch || version.counter() == 0 || version <= sync.committed
        };
        if let Some(config) = sync.config.filter(is_settled) {
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
                let serves = ctx.config.serves_observers;
                self.observers = serves.then(|| ObserverMaster::new(epoch, ctx));
                let mut follower = Follower::new(epoch, sync.unacked);
                follower.persisted(link, ctx);
                Broadcast::Follower(follower)
            }
        });
        Ok(())
    }
}

impl Comparison {
    pub(super) fn take(&mut self, packet: QuorumPacket, ctx: &Ctx<'_>) {
        let zxid = Zxid(packet.zxid);
        let is_history = matches!(packet.kind, PacketKind::PROPOSAL | PacketKind::INFORM);
        if is_history && ctx.disk.log().contains(zxid) {
            self.common = Some(zxid);
        }
        self.packets.push(packet);
    }

    /// True for what comes behind all history.
    pub(super) fn ends_with(&self, packet: &QuorumPacket) -> bool {
        matches!(packet.kind, PacketKind::NEWLEADER | PacketKind::UPTODATE)
    }
}

impl Sync {
    pub(super) fn new(epoch: Epoch, committed: Zxid) -> Sync {
        Sync {
            epoch,
            committed,
            unacked: VecDeque::new(),
            config: None,
        }
    }

    pub(super) fn commit(&mut self, zxid: Zxid, ctx: &Ctx<'_>) -> Result<(), String> {
        if let Some(committed) = next_committed(self.committed, zxid, ctx)? {
            self.committed = committed;
        }
        Ok(())
    }
}

pub(in crate::zab) fn txn_of(packet: &QuorumPacket) -> Result<Txn, End> {
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
pub(in crate::zab) fn take(txn: Txn, epoch: Epoch, ctx: &mut Ctx<'_>) -> Result<(), String> {
    let log = ctx.disk.log();
    let (last, next) = (log.last(), txn.zxid);
    if next.epoch() > epoch {
        // In the log it would prove an epoch that nobody entered.
        return Err(format!("a proposal {next} in epoch {}", epoch.0));
    }
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
pub(in crate::zab) fn next_committed(
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
