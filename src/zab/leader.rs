//! A leader: agrees on an epoch with a quorum, makes learners equal to itself, then proposes and commits.
//!
//! Must not know what a transaction does, nor how packets travel. Here are its phases; what happens in them is in
//! `joining`, `broadcast`, `reconfig` and `watch`. The learners' side of each conversation is in `learner_link`, what is
//! proposed and not settled in `proposals`. Answers to `Leader`.
//!
//! ```text
//! CollectingEpochs -> AcceptingEpoch -> CollectingPromises -> EnteringEpoch -> Synchronising -> Serving
//!   quorum of FOLLOWERINFO  acceptedEpoch durable   ACKEPOCH    currentEpoch durable    ACKs of NEWLEADER
//! ```
//! Where it differs from the original: a learner gets nothing that is proposed or committed between NEWLEADER and
//! UPTODATE (ZOOKEEPER-4394), an ACK is one of NEWLEADER by its zxid, not because it is the first (ZOOKEEPER-4685),
//! learners are pinged from NEWLEADER on, a follower that lags too far is cut, and NEWLEADER of a leader that serves tells
//! the members in force, not those that are proposed.

mod broadcast;
mod joining;
mod reconfig;
mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ids::{Epoch, LinkId, ServerId, Zxid};
use crate::membership::Membership;
use crate::proto::quorum::{PacketKind, QuorumPacket};

use super::learner_link::{LearnerLink, Phase as LinkPhase, syncs_under_way};
use super::mistake::{Mistake, makes};
use super::proposals::Proposals;
use super::role::{Ctx, End};
use super::{LearnerStatus, Mark, Output, PeerConfig, Timestamp, Txn, Write};

#[derive(Debug)]
pub(super) struct Leader {
    id: ServerId,
    phase: Phase,
    /// When the phase began.
    since: Timestamp,
    /// Above every epoch that anybody accepted; settled once a quorum said what it had accepted.
    epoch: Epoch,
    /// What makes this server fit to lead: the epoch and the end of its history at the start.
    credentials: (Epoch, Zxid),
    /// Voters that said which epoch they accepted, promised the new one, have the history. Each includes this server.
    epochs_from: BTreeSet<ServerId>,
    promises_from: BTreeSet<ServerId>,
    history_at: BTreeSet<ServerId>,
    links: BTreeMap<LinkId, LearnerLink>,
    /// Since it was last told who is synced.
    links_changed: bool,
    proposals: Proposals,
    /// A configuration that is proposed and not committed.
    reconfig: Option<(Zxid, Membership)>,
    /// Whom a configuration that is in force made leader in my place; nothing is committed any more.
    successor: Option<ServerId>,
    /// Sync requests, each with what has to be committed before its answer.
    syncs: VecDeque<(Zxid, LinkId)>,
    /// Twice a tick.
    next_pass: Timestamp,
    passes: u64,
    anonymous: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    CollectingEpochs,
    AcceptingEpoch,
    CollectingPromises,
    EnteringEpoch,
    Synchronising,
    Serving,
}

/// Why a link is of no use any more.
type Cut = String;

impl Leader {
    /// `floor` is the highest epoch that anybody is known to have accepted.
    pub(super) fn new(floor: Epoch, ctx: &mut Ctx<'_>) -> Leader {
        let id = ctx.config.id;
        let mut history = ctx.disk.log().last();
        if makes(Mistake::LeaderForgetsTail) {
            history = ctx.disk.delivered();
        }
        let own = BTreeSet::from([id]);
        Leader {
            id,
            phase: Phase::CollectingEpochs,
            since: ctx.now,
            epoch: Epoch(ctx.disk.accepted_epoch().max(floor).0 + 1),
            credentials: (ctx.disk.current_epoch(), history),
            epochs_from: own.clone(),
            promises_from: own,
            history_at: BTreeSet::new(),
            links: BTreeMap::new(),
            links_changed: false,
            proposals: Proposals::after(history),
            reconfig: None,
            successor: None,
            syncs: VecDeque::new(),
            next_pass: ctx.now.after(ctx.config.tick_ms / 2),
            passes: 0,
            anonymous: 0,
        }
    }

    pub(super) fn serving(&self) -> Option<Epoch> {
        (self.phase == Phase::Serving).then_some(self.epoch)
    }

    pub(super) fn learners(&self) -> Vec<LearnerStatus> {
        let links = self.links.iter();
        links
            .map(|(link, learner)| LearnerStatus {
                link: *link,
                server: learner.is_greeted().then_some(learner.server),
                is_observer: learner.is_observer,
                is_synced: learner.is_synced(),
            })
            .collect()
    }

    pub(super) fn syncs_that_wait(&self) -> usize {
        self.syncs.len()
    }

    pub(super) fn syncs_under_way(&self, with_snapshot: bool) -> u64 {
        syncs_under_way(self.links.values(), with_snapshot)
    }

    pub(super) fn deadline(&self, config: &PeerConfig) -> Timestamp {
        let init = self.since.after(config.tick_ms * config.init_limit);
        match self.phase {
            Phase::Serving => self.next_pass,
            _ => self.next_pass.min(init),
        }
    }

    pub(super) fn close(self, out: &mut Vec<Output>) {
        out.extend(self.links.into_keys().map(Output::Close));
    }

    pub(super) fn accepted(&mut self, link: LinkId, ctx: &mut Ctx<'_>) {
        self.links.insert(link, LearnerLink::new(ctx.now));
    }

    pub(super) fn down(&mut self, link: LinkId, ctx: &Ctx<'_>) -> Result<(), End> {
        self.forget(link);
        self.end(ctx)
    }

    fn forget(&mut self, link: LinkId) {
        self.links_changed |= self.links.remove(&link).is_some();
        self.syncs.retain(|(_, of)| *of != link);
    }

    fn cut(&mut self, link: LinkId, why: &str, ctx: &mut Ctx<'_>) {
        let server = self.links.get(&link).map(|learner| learner.server.0);
        tracing::warn!(link = link.0, server, "a learner is cut: {why}");
        self.forget(link);
        ctx.out.push(Output::Close(link));
    }

    pub(super) fn packet(
        &mut self,
        link: LinkId,
        packet: QuorumPacket,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), End> {
        let Some(learner) = self.links.get_mut(&link) else {
            return Ok(());
        };
        learner.heard = ctx.now;
        let result = match learner.phase {
            LinkPhase::Connected => {
                let result = self.greeted(link, &packet, ctx);
                self.check_epoch(link, Zxid(packet.zxid).epoch(), ctx)?;
                result
            }
            LinkPhase::Promising => self.promised(link, &packet, ctx),
            LinkPhase::Greeted | LinkPhase::Promised(_) => {
                Err(format!("{} while it was my turn", packet.kind))
            }
            LinkPhase::Syncing { .. } => self.syncing(link, &packet, ctx),
            // Its acknowledgements are of the history that NEWLEADER's one covers.
            LinkPhase::Synced { .. } => Ok(()),
            LinkPhase::Live { .. } => match packet.kind {
                PacketKind::ACK => self.acked_proposal(link, Zxid(packet.zxid), ctx),
                PacketKind::REQUEST | PacketKind::REVALIDATE | PacketKind::PING => {
                    ctx.out.push(Output::Upward(link, packet));
                    Ok(())
                }
                _ => Ok(()),
            },
        };
        if let Err(why) = result {
            self.cut(link, &why, ctx);
        }
        self.advance(ctx);
        Ok(())
    }

    /// One of those who elected this server looks for a leader again: it will not come, and others may wait for it in
    /// vain. Answers to `Leader.reportLookingSid`.
    pub(super) fn voter_looks(&self, voter: ServerId, ctx: &Ctx<'_>) -> Result<(), End> {
        let is_too_long = |max: u64| ctx.now > self.since.after(max);
        match self.phase == Phase::CollectingEpochs
            && ctx.config.epoch_wait_ms_max.is_some_and(is_too_long)
        {
            true => End::look(format!(
                "server {voter} elected this one and looks for another leader, and no quorum has come"
            )),
            false => Ok(()),
        }
    }

    /// The disk answered.
    pub(super) fn persisted(&mut self, mark: Mark, ctx: &mut Ctx<'_>) -> Result<(), End> {
        match (self.phase, mark) {
            (Phase::AcceptingEpoch, Mark::AcceptedEpoch(epoch)) if epoch == self.epoch => {
                self.enter(Phase::CollectingPromises, ctx);
                self.number_first_config(ctx);
                let waiting = self.links_where(|learner| learner.phase == LinkPhase::Greeted);
                for link in waiting {
                    self.leader_info(link, ctx);
                }
            }
            (Phase::EnteringEpoch, Mark::CurrentEpoch(epoch)) if epoch == self.epoch => {
                self.enter(Phase::Synchronising, ctx);
                self.history_at.insert(self.id);
                let ready: Vec<(LinkId, Zxid)> = self
                    .links
                    .iter()
                    .filter_map(|(link, learner)| match learner.phase {
                        LinkPhase::Promised(zxid) => Some((*link, zxid)),
                        _ => None,
                    })
                    .collect();
                for (link, zxid) in ready {
                    if let Err(why) = self.begin_sync(link, zxid, ctx) {
                        self.cut(link, &why, ctx);
                    }
                }
            }
            (Phase::Serving, Mark::Log(durable)) => {
                self.advance_commit(ctx);
                self.proposals.forget(durable);
            }
            _ => {}
        }
        self.advance(ctx);
        self.end(ctx)
    }

    fn enter(&mut self, phase: Phase, ctx: &Ctx<'_>) {
        self.phase = phase;
        self.since = ctx.now;
    }

    fn links_where(&self, holds: impl Fn(&LearnerLink) -> bool) -> Vec<LinkId> {
        let links = self.links.iter().filter(|(_, learner)| holds(learner));
        links.map(|(link, _)| *link).collect()
    }

    /// Goes on as soon as enough is there, which may be at once where this server is the only voter.
    pub(super) fn advance(&mut self, ctx: &mut Ctx<'_>) {
        let enough = |set: &BTreeSet<ServerId>, ctx: &Ctx<'_>| {
            ctx.configs.quorum().met(|id| set.contains(&id))
        };
        match self.phase {
            Phase::CollectingEpochs if enough(&self.epochs_from, ctx) => {
                self.enter(Phase::AcceptingEpoch, ctx);
                ctx.disk.write(Write::AcceptedEpoch(self.epoch), ctx.out);
            }
            Phase::CollectingPromises if enough(&self.promises_from, ctx) => {
                self.enter(Phase::EnteringEpoch, ctx);
                ctx.disk.write(Write::CurrentEpoch(self.epoch), ctx.out);
            }
            Phase::Synchronising
                if makes(Mistake::LeadsAlone)
                    || ctx.configs.met(|id| self.history_at.contains(&id)) =>
            {
                self.activate(ctx);
            }
            _ => {}
        }
    }

    /// A quorum has the history that this leader began with: it is committed, and the epoch is established.
    fn activate(&mut self, ctx: &mut Ctx<'_>) {
        self.enter(Phase::Serving, ctx);
        let history = self.proposals.last();
        ctx.disk.commit(history, ctx.out);
        if let Some(config) = ctx.configs.newer().cloned() {
            let designated = self.designated(history, &config, ctx);
            ctx.configs.commit(config, ctx.disk, ctx.out);
            self.hand_over(designated, ctx);
        }
        let epoch = self.epoch;
        ctx.out.push(Output::Serve {
            epoch,
            upstream: None,
        });
        for link in self.links_where(LearnerLink::is_synced) {
            self.go_live(link, ctx);
        }
    }

    pub(super) fn tick(&mut self, ctx: &mut Ctx<'_>) -> Result<(), End> {
        if self.phase != Phase::Serving && ctx.now >= self.since.after(ctx.init_ms()) {
            return End::look(format!("no quorum in time while {:?}", self.phase));
        }
        if ctx.now >= self.next_pass {
            self.next_pass = ctx.now.after(ctx.config.tick_ms / 2);
            self.passes += 1;
            self.cut_silent(ctx);
            self.cut_laggards(ctx);
            self.ping(ctx);
            self.check_quorum(ctx)?;
        }
        self.advance(ctx);
        self.end(ctx)
    }

    /// A leader that is alone needs nobody to leave before it hands over. Others may have committed the change before it
    /// is on this disk: who asked for it here is to hear so.
    fn end(&self, ctx: &Ctx<'_>) -> Result<(), End> {
        let is_done = self.links.is_empty() && ctx.disk.delivered() >= ctx.disk.committed();
        match self.successor {
            Some(designated) if is_done => Err(End::Designated(designated)),
            _ => Ok(()),
        }
    }
}

fn with_txn(kind: PacketKind, txn: &Txn) -> QuorumPacket {
    QuorumPacket::with_data(kind, txn.zxid.0, txn.bytes.clone())
}
