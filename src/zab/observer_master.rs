//! A follower that serves observers, so that the leader has fewer learners: brings them up to date from its own log,
//! and passes on what the leader commits.
//!
//! What it tells is committed: the leader has said so. It waits for no quorum and counts nobody. Must not know who the
//! leader is or how its link works; requests go up to the driver, which passes them on. Answers to `ObserverMaster`.
//!
//! Unlike the original's it sends what is committed, not what was proposed since it began, so that no observer can
//! miss something; and keeps no queue of packets: what is not in memory any more is read from the log.

use std::collections::BTreeMap;

use crate::ids::{Epoch, LinkId, ServerId, Zxid};
use crate::proto::quorum::{LearnerInfo, PROTOCOL_VERSION, PacketKind, QuorumPacket};

use super::learner_link::{LearnerLink, Phase, may_sync, syncs_under_way};
use super::proposals::Proposals;
use super::role::{Ctx, simple};
use super::sync_plan::SyncPlan;
use super::{HistoryForm, LearnerStatus, Output, PeerConfig, Timestamp, Txn};

#[derive(Debug)]
pub(super) struct ObserverMaster {
    epoch: Epoch,
    links: BTreeMap<LinkId, LearnerLink>,
    /// What was proposed since this began, until it was passed on and can be read from the log.
    recent: Proposals,
    /// All that is above this is among the recent ones.
    recent_after: Zxid,
    /// So far everybody who is live has been told.
    told: Zxid,
    /// Twice a tick.
    next_pass: Timestamp,
    anonymous: i64,
}

/// Why a link is of no use any more.
type Cut = String;

impl ObserverMaster {
    /// Of a follower that begins to serve.
    pub(super) fn new(epoch: Epoch, ctx: &Ctx<'_>) -> ObserverMaster {
        let last = ctx.disk.log().last();
        ObserverMaster {
            epoch,
            links: BTreeMap::new(),
            recent: Proposals::after(last),
            recent_after: last,
            told: ctx.disk.committed().min(ctx.disk.durable()),
            next_pass: ctx.now.after(ctx.config.tick_ms / 2),
            anonymous: 0,
        }
    }

    pub(super) fn deadline(&self) -> Timestamp {
        self.next_pass
    }

    pub(super) fn learners(&self) -> impl Iterator<Item = LearnerStatus> {
        self.links.iter().map(|(link, observer)| LearnerStatus {
            link: *link,
            server: observer.is_greeted().then_some(observer.server),
            is_observer: true,
            is_synced: observer.is_synced(),
        })
    }

    pub(super) fn syncs_under_way(&self, with_snapshot: bool) -> u64 {
        syncs_under_way(self.links.values(), with_snapshot)
    }

    pub(super) fn accepted(&mut self, link: LinkId, ctx: &Ctx<'_>) {
        self.links.insert(link, LearnerLink::new(ctx.now));
    }

    pub(super) fn down(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    pub(super) fn close(self, out: &mut Vec<Output>) {
        out.extend(self.links.into_keys().map(Output::Close));
    }

    fn cut(&mut self, link: LinkId, why: &str, ctx: &mut Ctx<'_>) {
        let server = self.links.remove(&link).map(|observer| observer.server.0);
        tracing::warn!(link = link.0, server, "an observer is cut: {why}");
        ctx.out.push(Output::Close(link));
    }

    /// The leader proposed it, and it is in the log behind all before it.
    pub(super) fn proposed(&mut self, txn: &Txn, now: Timestamp) {
        self.recent.propose(now, std::slice::from_ref(txn));
        // Nobody acknowledges anything here.
        self.recent.acked_by_all(txn.zxid);
    }

    /// The leader committed something, or the disk has more of it. `activated` is a transaction that puts a
    /// configuration in force, and who leads from then on.
    pub(super) fn forward(&mut self, activated: Option<(Zxid, ServerId)>, ctx: &mut Ctx<'_>) {
        let (committed, durable) = (ctx.disk.committed(), ctx.disk.durable());
        // What was proposed before this began is nowhere but in the log.
        let available = match durable >= self.recent_after {
            true => committed,
            false => committed.min(durable),
        };
        if available > self.told {
            let live = self.links_where(LearnerLink::is_live);
            for link in live {
                self.inform(link, self.told, available, activated, ctx);
            }
            self.told = available;
        }
        self.recent.commit(self.told);
        self.recent.forget(durable);
        self.recent_after = self.recent_after.max(self.told.min(durable));
    }

    /// (after, up_to], which is available: from the log what is not in memory any more.
    fn inform(
        &self,
        link: LinkId,
        after: Zxid,
        up_to: Zxid,
        activated: Option<(Zxid, ServerId)>,
        ctx: &mut Ctx<'_>,
    ) {
        let from_memory = self.send_from_log(link, after, up_to, HistoryForm::Inform, ctx);
        for txn in self.recent.between(from_memory, up_to) {
            let bytes = txn.bytes.clone();
            let packet = match activated.filter(|(zxid, _)| *zxid == txn.zxid) {
                Some((zxid, leader)) => QuorumPacket::with_designated_leader(
                    PacketKind::INFORMANDACTIVATE,
                    zxid.0,
                    leader.0,
                    &bytes,
                ),
                None => QuorumPacket::with_data(PacketKind::INFORM, txn.zxid.0, bytes),
            };
            ctx.send(link, packet);
        }
    }

    /// The part of (after, up_to] that is not in memory; gives back where that ends.
    fn send_from_log(
        &self,
        link: LinkId,
        after: Zxid,
        up_to: Zxid,
        form: HistoryForm,
        ctx: &mut Ctx<'_>,
    ) -> Zxid {
        let end = self.recent_after.min(up_to);
        if after < end {
            ctx.out.push(Output::SendHistory {
                link,
                after,
                up_to: end,
                form,
            });
        }
        after.max(end)
    }

    pub(super) fn packet(&mut self, link: LinkId, packet: QuorumPacket, ctx: &mut Ctx<'_>) {
        let Some(observer) = self.links.get_mut(&link) else {
            return;
        };
        observer.heard = ctx.now;
        let result = match observer.phase {
            Phase::Connected => self.greeted(link, &packet, ctx),
            Phase::Promising => self.promised(link, &packet, ctx),
            Phase::Syncing { position, .. } => self.synced(link, position, &packet, ctx),
            Phase::Live { .. } => match packet.kind {
                PacketKind::REQUEST | PacketKind::REVALIDATE | PacketKind::PING => {
                    ctx.out.push(Output::Upward(link, packet));
                    Ok(())
                }
                PacketKind::ACK if Zxid(packet.zxid).counter() != 0 => {
                    Err("an observer acknowledges nothing".to_owned())
                }
                _ => Ok(()),
            },
            // Nobody here waits for others.
            Phase::Greeted | Phase::Promised(_) | Phase::Synced { .. } => Ok(()),
        };
        if let Err(why) = result {
            self.cut(link, &why, ctx);
        }
    }

    fn greeted(
        &mut self,
        link: LinkId,
        packet: &QuorumPacket,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Cut> {
        if packet.kind != PacketKind::OBSERVERINFO {
            return Err(format!("{}: only observers are served here", packet.kind));
        }
        let info = LearnerInfo::decode(packet).map_err(|error| error.to_string())?;
        let server = match info {
            Some(info) if info.protocol_version < PROTOCOL_VERSION => {
                return Err(format!("protocol {:#x} is too old", info.protocol_version));
            }
            Some(info) if info.config_version > ctx.configs.committed().version => {
                return Err("its configuration is newer than mine".to_owned());
            }
            Some(info) => ServerId(info.serverid),
            None => {
                self.anonymous -= 1;
                ServerId(self.anonymous)
            }
        };
        let is_older = |observer: &LearnerLink| observer.is_greeted() && observer.server == server;
        for older in self.links_where(is_older) {
            self.cut(older, "it connected again", ctx);
        }
        if let Some(observer) = self.links.get_mut(&link) {
            observer.server = server;
            observer.is_observer = true;
            observer.phase = Phase::Promising;
        }
        let zxid = Zxid::new(self.epoch, 0);
        let packet = QuorumPacket::with_number(PacketKind::LEADERINFO, zxid.0, PROTOCOL_VERSION);
        ctx.send(link, packet);
        Ok(())
    }

    /// Everything that it lacks of what is committed, then NEWLEADER.
    fn promised(
        &mut self,
        link: LinkId,
        packet: &QuorumPacket,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Cut> {
        if packet.kind != PacketKind::ACKEPOCH {
            return Err(format!("{} instead of ACKEPOCH", packet.kind));
        }
        let (zxid, end) = (Zxid(packet.zxid), self.told);
        let plan = ctx.plan_sync(zxid, end);
        if let Some(observer) = self.links.get(&link) {
            may_sync(observer, plan, self.links.values(), ctx.config)?;
        }
        tracing::info!(link = link.0, %zxid, %end, ?plan, "an observer is brought up to date");
        let after = ctx.open_sync(link, plan, end, end.min(ctx.disk.durable()));
        let form = HistoryForm::Committed;
        let from_memory = self.send_from_log(link, after, end, form, ctx);
        for txn in self.recent.between(from_memory, end) {
            let bytes = txn.bytes.clone();
            ctx.send(
                link,
                QuorumPacket::with_data(PacketKind::PROPOSAL, txn.zxid.0, bytes),
            );
            ctx.send(link, simple(PacketKind::COMMIT, txn.zxid));
        }
        let config = ctx.configs.last_seen().to_string().into_bytes();
        let zxid = Zxid::new(self.epoch, 0);
        ctx.send(
            link,
            QuorumPacket::with_data(PacketKind::NEWLEADER, zxid.0, config),
        );
        if let Some(observer) = self.links.get_mut(&link) {
            observer.phase = Phase::Syncing {
                position: end,
                by_snapshot: plan == SyncPlan::Snap,
                is_receiving: plan == SyncPlan::Snap,
            };
        }
        Ok(())
    }

    /// The snapshot is out; from now on the observer has to answer in time.
    pub(super) fn snapshot_sent(&mut self, link: LinkId, now: Timestamp) {
        if let Some(observer) = self.links.get_mut(&link)
            && let Phase::Syncing { is_receiving, .. } = &mut observer.phase
        {
            *is_receiving = false;
            observer.heard = now;
        }
    }

    fn synced(
        &mut self,
        link: LinkId,
        position: Zxid,
        packet: &QuorumPacket,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Cut> {
        if packet.kind != PacketKind::ACK || Zxid(packet.zxid) != Zxid::new(self.epoch, 0) {
            return Err(format!("{} instead of the ACK of NEWLEADER", packet.kind));
        }
        ctx.send(link, QuorumPacket::new(PacketKind::UPTODATE, -1));
        self.inform(link, position, self.told, None, ctx);
        if let Some(observer) = self.links.get_mut(&link) {
            observer.phase = Phase::Live {
                acked: position,
                since: ctx.now,
            };
        }
        Ok(())
    }

    pub(super) fn tick(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.now < self.next_pass {
            return;
        }
        self.next_pass = ctx.now.after(ctx.config.tick_ms / 2);
        let (config, now): (&PeerConfig, _) = (ctx.config, ctx.now);
        let is_silent = |observer: &LearnerLink| {
            let silent_at = observer.silent_at(config);
            silent_at.is_some_and(|at| at <= now)
        };
        for link in self.links_where(is_silent) {
            self.cut(link, "nothing heard from it", ctx);
        }
        for link in self.links_where(LearnerLink::is_pinged) {
            ctx.send(link, simple(PacketKind::PING, self.told));
        }
    }

    fn links_where(&self, holds: impl Fn(&LearnerLink) -> bool) -> Vec<LinkId> {
        let links = self.links.iter().filter(|(_, observer)| holds(observer));
        links.map(|(link, _)| *link).collect()
    }
}
