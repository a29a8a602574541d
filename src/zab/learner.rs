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

mod greeting;
mod syncing;

use crate::ids::{Epoch, LinkId, ServerId, Zxid};
use crate::membership::Membership;
use crate::proto::quorum::{PacketKind, QuorumPacket};

use super::follower::Follower;
use super::observer::Observer;
use super::observer_master::ObserverMaster;
use super::role::{Ctx, End, packet_out_of_place, simple};
use super::{LearnerStatus, Mark, Output, Timestamp};
use greeting::begin_sync;
use syncing::{Comparison, Sync};
pub(super) use syncing::{next_committed, take, txn_of};

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
    /// Of a follower that serves, where it is wanted.
    observers: Option<ObserverMaster>,
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
            observers: None,
        }
    }

    pub(super) fn accepted(&mut self, link: LinkId, ctx: &mut Ctx<'_>) {
        match &mut self.observers {
            Some(observers) => observers.accepted(link, ctx),
            None => ctx.out.push(Output::Close(link)),
        }
    }

    pub(super) fn snapshot_sent(&mut self, link: LinkId, now: Timestamp) {
        if let Some(observers) = &mut self.observers {
            observers.snapshot_sent(link, now);
        }
    }

    /// Those that this follower serves.
    pub(super) fn observers(&self) -> Vec<LearnerStatus> {
        let observers = self.observers.iter();
        observers.flat_map(ObserverMaster::learners).collect()
    }

    pub(super) fn syncs_under_way(&self, with_snapshot: bool) -> u64 {
        let observers = self.observers.iter();
        observers
            .map(|master| master.syncs_under_way(with_snapshot))
            .sum()
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

    pub(super) fn deadline(&self, config: &super::PeerConfig) -> Option<Timestamp> {
        let of_observers = self.observers.as_ref().map(ObserverMaster::deadline);
        let silent_at = self.silent_at(config).into_iter();
        silent_at.chain(of_observers).min()
    }

    fn silent_at(&self, ctx: &super::PeerConfig) -> Option<Timestamp> {
        let delay = match self.phase {
            Phase::Dialling if self.is_observer => ctx.observer_dial_delay_ms_max,
            _ => 0,
        };
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
        Some(self.heard.after(delay + ctx.tick_ms * ticks))
    }

    pub(super) fn tick(&mut self, ctx: &mut Ctx<'_>) -> Result<(), End> {
        match self.silent_at(ctx.config) {
            Some(at) if at <= ctx.now => return End::look("nothing heard from the leader"),
            _ => {}
        }
        if let Some(observers) = &mut self.observers {
            observers.tick(ctx);
        }
        Ok(())
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
            false => {
                if let Some(observers) = &mut self.observers {
                    observers.down(link);
                }
                Ok(())
            }
        }
    }

    /// Lets go of the leader, and of observers.
    pub(super) fn close(self, out: &mut Vec<Output>) {
        if let Some(observers) = self.observers {
            observers.close(out);
        }
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
            if let Some(observers) = &mut self.observers {
                observers.packet(link, packet, ctx);
            }
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
                let observers = self.observers.as_mut();
                follower.packet(self.leader, link, packet, reconfig, observers, ctx)
            }
            Phase::Serving(Broadcast::Observer(observer)) => {
                observer.packet(self.leader, link, packet, ctx)
            }
        }
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
                if let Some(observers) = &mut self.observers {
                    observers.forward(None, ctx);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
