//! A leader: agrees on an epoch with a quorum, makes learners equal to itself, then proposes and commits.
//!
//! Must not know what a transaction does, nor how packets travel. The learners' side of each conversation is in
//! `learner_link`, what is proposed and not settled in `proposals`. Answers to `Leader`.
//!
//! ```text
//! CollectingEpochs -> AcceptingEpoch -> CollectingPromises -> EnteringEpoch -> Synchronising -> Serving
//!   quorum of FOLLOWERINFO  acceptedEpoch durable   ACKEPOCH    currentEpoch durable    ACKs of NEWLEADER
//! ```
//! Where it differs from the original: a learner gets nothing that is proposed or committed between NEWLEADER and
//! UPTODATE (ZOOKEEPER-4394), an ACK is one of NEWLEADER by its zxid, not because it is the first (ZOOKEEPER-4685),
//! learners are pinged from NEWLEADER on, and a follower that lags too far is cut.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ids::{Epoch, LinkId, ServerId, Zxid};
use crate::membership::Membership;
use crate::proto::quorum::{LearnerInfo, PROTOCOL_VERSION, PacketKind, QuorumPacket};

use super::configs::stays;
use super::learner_link::{LearnerLink, Phase as LinkPhase};
use super::mistake::{Mistake, makes};
use super::peer::ReconfigRefused;
use super::proposals::Proposals;
use super::quorum::Quorum;
use super::role::{Ctx, End, simple};
use super::sync_plan::{SyncPlan, plan_sync};
use super::{HistoryForm, LearnerStatus, Mark, Output, PeerConfig, Timestamp, Txn, Write};

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

    pub(super) fn may_reconfigure(
        &self,
        to: &Membership,
        is_config_pending: bool,
    ) -> Result<(), ReconfigRefused> {
        if self.phase != Phase::Serving || self.successor.is_some() {
            return Err(ReconfigRefused::NotLeading);
        }
        if is_config_pending {
            return Err(ReconfigRefused::InProgress);
        }
        let is_there = |id| id == self.id || self.acked(id).is_some();
        match Quorum::new(to).met(is_there) {
            true => Ok(()),
            false => Err(ReconfigRefused::NewConfigNoQuorum),
        }
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

    pub(super) fn down(&mut self, link: LinkId) -> Result<(), End> {
        self.forget(link);
        self.end()
    }

    fn forget(&mut self, link: LinkId) {
        self.links.remove(&link);
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

    fn greeted(
        &mut self,
        link: LinkId,
        packet: &QuorumPacket,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Cut> {
        let is_observer = match packet.kind {
            PacketKind::FOLLOWERINFO => false,
            PacketKind::OBSERVERINFO => true,
            kind => return Err(format!("{kind} is no greeting")),
        };
        let info = LearnerInfo::decode(packet).map_err(|error| error.to_string())?;
        let server = match &info {
            Some(info) if info.serverid == self.id.0 => return Err("it has my number".to_owned()),
            Some(info) => ServerId(info.serverid),
            None => {
                self.anonymous -= 1;
                ServerId(self.anonymous)
            }
        };
        let accepted = Zxid(packet.zxid).epoch();
        if accepted.0 >= i64::from(i32::MAX) {
            return Err("no epoch is left above the one it accepted".to_owned());
        }
        if let Some(info) = info {
            if info.protocol_version < PROTOCOL_VERSION {
                return Err(format!("protocol {:#x} is too old", info.protocol_version));
            }
            if info.config_version > ctx.configs.committed().version {
                return Err("its configuration is newer than mine".to_owned());
            }
        }
        let older = self
            .links
            .iter()
            .find(|(_, old)| old.is_greeted() && old.server == server);
        if let Some((older, _)) = older {
            self.cut(*older, "it connected again", ctx);
        }
        if let Some(learner) = self.links.get_mut(&link) {
            learner.server = server;
            learner.is_observer = is_observer;
            learner.phase = LinkPhase::Greeted;
        }
        if self.phase == Phase::CollectingEpochs && makes(Mistake::EpochReused) {
            self.epoch = Epoch(ctx.disk.current_epoch().0 + 1);
            self.epochs_from.insert(server);
        } else if self.phase == Phase::CollectingEpochs {
            self.epoch = self.epoch.max(Epoch(accepted.0 + 1));
            if !is_observer {
                self.epochs_from.insert(server);
            }
        } else if self.phase != Phase::AcceptingEpoch {
            self.leader_info(link, ctx);
        }
        Ok(())
    }

    /// A voter that promised not to follow such an old epoch is left out for as long as this one lasts, unless it ends.
    fn check_epoch(&self, link: LinkId, accepted: Epoch, ctx: &Ctx<'_>) -> Result<(), End> {
        let Some(learner) = self.links.get(&link) else {
            return Ok(());
        };
        let is_voter = learner.is_greeted() && ctx.configs.quorum().is_voter(learner.server);
        match is_voter && accepted > self.epoch && self.phase != Phase::CollectingEpochs {
            true => Err(End::Outdated(accepted)),
            false => Ok(()),
        }
    }

    fn leader_info(&mut self, link: LinkId, ctx: &mut Ctx<'_>) {
        let Some(learner) = self.links.get_mut(&link) else {
            return;
        };
        learner.phase = LinkPhase::Promising;
        learner.heard = ctx.now;
        let zxid = Zxid::new(self.epoch, 0);
        let packet = QuorumPacket::with_number(PacketKind::LEADERINFO, zxid.0, PROTOCOL_VERSION);
        ctx.send(link, packet);
    }

    fn promised(
        &mut self,
        link: LinkId,
        packet: &QuorumPacket,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Cut> {
        if packet.kind != PacketKind::ACKEPOCH {
            return Err(format!("{} instead of ACKEPOCH", packet.kind));
        }
        let current = packet.number().map_err(|error| error.to_string())?;
        let zxid = Zxid(packet.zxid);
        let Some(learner) = self.links.get_mut(&link) else {
            return Ok(());
        };
        learner.phase = LinkPhase::Promised(zxid);
        if self.phase == Phase::CollectingPromises && current != -1 {
            if (Epoch(current.into()), zxid) > self.credentials {
                return Err(format!(
                    "its history, {current} {zxid}, is more recent than mine"
                ));
            }
            if !learner.is_observer && zxid != Zxid(-1) {
                self.promises_from.insert(learner.server);
            }
        }
        if matches!(self.phase, Phase::Synchronising | Phase::Serving) {
            self.begin_sync(link, zxid, ctx);
        }
        Ok(())
    }

    /// What is committed and can be read from the log; before this server serves that is all of it.
    fn readable(&self, ctx: &Ctx<'_>) -> Zxid {
        self.proposals.committed().min(ctx.disk.durable())
    }

    /// Sends all that the learner lacks, as committed even where no quorum has it yet: what is sent so is durable there
    /// when NEWLEADER is acknowledged (ZOOKEEPER-3911), and NEWLEADER comes behind all of it (ZOOKEEPER-3104).
    fn begin_sync(&mut self, link: LinkId, zxid: Zxid, ctx: &mut Ctx<'_>) {
        let (readable, end) = (self.readable(ctx), self.proposals.committed());
        let plan = plan_sync(zxid, ctx.disk.log(), end, ctx.config.history_sent_max);
        tracing::info!(link = link.0, %zxid, %end, ?plan, "a learner is brought up to date");
        let after = match plan {
            SyncPlan::Diff { after } => {
                ctx.send(link, simple(PacketKind::DIFF, end));
                after
            }
            SyncPlan::Trunc { to } => {
                ctx.send(link, simple(PacketKind::TRUNC, to));
                to
            }
            SyncPlan::Snap => {
                ctx.out.push(Output::SendSnapshot {
                    link,
                    up_to: readable,
                });
                readable
            }
        };
        if after < readable {
            let first = ctx.disk.log().successor(after);
            let skipped = first.filter(|_| makes(Mistake::DiffSkipsOne));
            ctx.out.push(Output::SendHistory {
                link,
                after: skipped.unwrap_or(after),
                up_to: readable,
                form: HistoryForm::Committed,
            });
        }
        // Committed without this server's disk: a learner that has it must not be told to drop it.
        self.send_committed(link, after.max(readable), ctx);
        let config = ctx.configs.last_seen().to_string().into_bytes();
        let zxid = Zxid::new(self.epoch, 0);
        ctx.send(
            link,
            QuorumPacket::with_data(PacketKind::NEWLEADER, zxid.0, config),
        );
        if let Some(learner) = self.links.get_mut(&link) {
            learner.heard = ctx.now;
            learner.phase = LinkPhase::Syncing {
                position: end,
                is_receiving: plan == SyncPlan::Snap,
            };
        }
    }

    /// The snapshot is out; from now on the learner has to answer in time.
    pub(super) fn snapshot_sent(&mut self, link: LinkId, now: Timestamp) {
        if let Some(learner) = self.links.get_mut(&link)
            && let LinkPhase::Syncing { is_receiving, .. } = &mut learner.phase
        {
            *is_receiving = false;
            learner.heard = now;
        }
    }

    fn syncing(
        &mut self,
        link: LinkId,
        packet: &QuorumPacket,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Cut> {
        let zxid = Zxid(packet.zxid);
        let Some(learner) = self.links.get_mut(&link) else {
            return Ok(());
        };
        let LinkPhase::Syncing { position, .. } = learner.phase else {
            return Ok(());
        };
        if packet.kind != PacketKind::ACK {
            return Err(format!("{} instead of the ACK of NEWLEADER", packet.kind));
        }
        if zxid != Zxid::new(self.epoch, 0) {
            // Learners before 3.8.5 and 3.9.2 acknowledge what came before NEWLEADER, and maybe earlier than NEWLEADER.
            // As nothing else was sent, the acknowledgement of NEWLEADER says the same.
            return match zxid <= position {
                true => Ok(()),
                false => Err(format!("it acknowledged {zxid}, which it did not get")),
            };
        }
        learner.phase = LinkPhase::Synced { position };
        if !learner.is_observer {
            self.history_at.insert(learner.server);
        }
        if self.phase == Phase::Serving {
            self.go_live(link, ctx);
        }
        Ok(())
    }

    /// UPTODATE, and behind it what was held back since NEWLEADER.
    fn go_live(&mut self, link: LinkId, ctx: &mut Ctx<'_>) {
        let readable = self.readable(ctx);
        let Some(learner) = self.links.get_mut(&link) else {
            return;
        };
        let LinkPhase::Synced { position } = learner.phase else {
            return;
        };
        learner.phase = LinkPhase::Live {
            acked: position,
            since: ctx.now,
        };
        learner.heard = ctx.now;
        let is_observer = learner.is_observer;
        ctx.send(link, QuorumPacket::new(PacketKind::UPTODATE, -1));
        if position < readable {
            ctx.out.push(Output::SendHistory {
                link,
                after: position,
                up_to: readable,
                form: match is_observer {
                    true => HistoryForm::Inform,
                    false => HistoryForm::Committed,
                },
            });
        }
        let committed = self.proposals.committed();
        for txn in self.proposals.between(position.max(readable), committed) {
            if is_observer {
                ctx.out
                    .push(Output::Send(link, with_txn(PacketKind::INFORM, txn)));
                continue;
            }
            ctx.out
                .push(Output::Send(link, with_txn(PacketKind::PROPOSAL, txn)));
            ctx.out
                .push(Output::Send(link, simple(PacketKind::COMMIT, txn.zxid)));
        }
        if !is_observer {
            let last = self.proposals.last();
            for txn in self.proposals.between(position.max(committed), last) {
                ctx.out
                    .push(Output::Send(link, with_txn(PacketKind::PROPOSAL, txn)));
            }
        }
    }

    /// What is committed and cannot be read from the log yet.
    fn send_committed(&self, link: LinkId, after: Zxid, ctx: &mut Ctx<'_>) {
        for txn in self.proposals.between(after, self.proposals.committed()) {
            ctx.send(link, with_txn(PacketKind::PROPOSAL, txn));
            ctx.send(link, simple(PacketKind::COMMIT, txn.zxid));
        }
    }

    /// Of ACKs for something of an old or no epoch nothing follows. They rise, so the last one is what counts.
    fn acked_proposal(&mut self, link: LinkId, zxid: Zxid, ctx: &mut Ctx<'_>) -> Result<(), Cut> {
        if zxid.counter() == 0 {
            return Ok(());
        }
        if zxid > self.proposals.last() {
            return Err(format!("it acknowledged {zxid}, which was not proposed"));
        }
        let Some(learner) = self.links.get_mut(&link) else {
            return Ok(());
        };
        let LinkPhase::Live { acked, .. } = &mut learner.phase else {
            return Ok(());
        };
        if zxid > *acked {
            *acked = zxid;
            if !learner.is_observer {
                self.advance_commit(ctx);
            }
        }
        Ok(())
    }

    /// So much is durable at that follower.
    fn acked(&self, server: ServerId) -> Option<Zxid> {
        let mut links = self.links.values();
        links.find(|learner| learner.is_follower(server))?.acked()
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
                    self.begin_sync(link, zxid, ctx);
                }
            }
            (Phase::Serving, Mark::Log(durable)) => {
                self.advance_commit(ctx);
                self.proposals.forget(durable);
            }
            _ => {}
        }
        self.advance(ctx);
        self.end()
    }

    /// The configuration that operators wrote gets its first number.
    fn number_first_config(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.configs.last_seen().version == 0 {
            let version = Zxid::new(self.epoch, 0).0;
            let numbered = Membership {
                version,
                ..ctx.configs.committed().clone()
            };
            ctx.configs.see(numbered, ctx.disk, ctx.out);
        }
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

    pub(super) fn propose(&mut self, mut txns: Vec<Txn>, ctx: &mut Ctx<'_>) -> Result<(), End> {
        let is_of_mine = |txn: &Txn| txn.zxid.epoch() == self.epoch;
        if self.phase != Phase::Serving
            || self.successor.is_some()
            || !txns.first().is_some_and(is_of_mine)
        {
            return Ok(());
        }
        let is_used_up = drop_unusable(&mut txns);
        if let Some(first) = txns.first() {
            let last = self.proposals.last().max(Zxid::new(self.epoch, 0));
            assert_eq!(first.zxid, last.next(), "prep leaves no gap");
            self.proposals.propose(ctx.now, &txns);
            let live = self.links_where(|learner| learner.is_live() && !learner.is_observer);
            for link in live {
                let packets = txns.iter().map(|txn| with_txn(PacketKind::PROPOSAL, txn));
                ctx.out
                    .extend(packets.map(|packet| Output::Send(link, packet)));
            }
            ctx.disk.append(txns, ctx.out);
            self.cut_laggards(ctx);
        }
        match is_used_up {
            true => End::look("the epoch has no more counters"),
            false => Ok(()),
        }
    }

    pub(super) fn propose_config(
        &mut self,
        txn: Txn,
        config: Membership,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), End> {
        let is_possible = self.phase == Phase::Serving && self.successor.is_none();
        if is_possible && ctx.configs.reconfig_enabled() {
            self.reconfig = Some((txn.zxid, config.clone()));
            ctx.configs.see(config, ctx.disk, ctx.out);
        }
        self.propose(vec![txn], ctx)
    }

    /// Commits what quorums of all configurations that count have in their logs. From a reconfiguration on these
    /// are two, and behind it only the new one.
    fn advance_commit(&mut self, ctx: &mut Ctx<'_>) {
        while self.phase == Phase::Serving && self.successor.is_none() {
            let reached = |id: ServerId| match id == self.id {
                true => Some(ctx.disk.durable()),
                false => self.acked(id),
            };
            let mut of_committed = ctx.configs.quorum().horizon(reached).flatten();
            if makes(Mistake::CommitWithoutQuorum) {
                of_committed = Some(ctx.disk.durable());
            }
            let Some(mut to) = of_committed.map(|to| to.min(self.proposals.last())) else {
                return;
            };
            let reconfig = self.reconfig.as_ref().map(|(zxid, _)| *zxid);
            if let (Some(at), Some(newer)) = (reconfig, ctx.configs.newer_quorum())
                && to >= at
            {
                let of_newer = newer.horizon(reached).flatten();
                to = match of_newer {
                    Some(zxid) if zxid >= at => at,
                    _ => before(at, ctx),
                };
            }
            if to <= self.proposals.committed() {
                return;
            }
            match self.reconfig.take_if(|(at, _)| *at == to) {
                Some((at, config)) => {
                    self.commit(before(at, ctx), ctx);
                    self.commit_config(at, config, ctx);
                }
                None => self.commit(to, ctx),
            }
        }
    }

    /// An answer to a sync comes directly behind the commit that it waits for: a learner takes what comes for the answers
    /// to what it asked, in its order.
    fn commit(&mut self, to: Zxid, ctx: &mut Ctx<'_>) {
        loop {
            let committed = self.proposals.committed();
            let waits = self.syncs.iter().map(|(after, _)| *after);
            let next = waits.filter(|at| *at > committed && *at < to).min();
            self.commit_up_to(next.unwrap_or(to), ctx);
            if next.is_none() {
                return;
            }
        }
    }

    fn commit_up_to(&mut self, to: Zxid, ctx: &mut Ctx<'_>) {
        let from = self.proposals.committed();
        if to <= from {
            return;
        }
        for (link, learner) in &self.links {
            if learner.is_live() {
                let packet_of = match learner.is_observer {
                    true => |txn| with_txn(PacketKind::INFORM, txn),
                    false => |txn: &Txn| simple(PacketKind::COMMIT, txn.zxid),
                };
                let packets = self.proposals.between(from, to).map(packet_of);
                ctx.out
                    .extend(packets.map(|packet| Output::Send(*link, packet)));
            }
        }
        self.committed(to, ctx);
    }

    fn committed(&mut self, to: Zxid, ctx: &mut Ctx<'_>) {
        self.proposals.commit(to);
        ctx.disk.commit(to, ctx.out);
        self.syncs.retain(|(after, link)| {
            let waits = *after > to;
            if !waits {
                ctx.send(*link, simple(PacketKind::SYNC, Zxid::ZERO));
            }
            waits
        });
        self.proposals.forget(ctx.disk.durable());
    }

    /// Commits a configuration and puts it in force.
    fn commit_config(&mut self, at: Zxid, config: Membership, ctx: &mut Ctx<'_>) {
        let designated = self.designated(at, &config, ctx);
        ctx.configs.commit(config, ctx.disk, ctx.out);
        let txn = self.proposals.between(Zxid(at.0 - 1), at).next().cloned();
        let bytes = txn.map(|txn| txn.bytes).unwrap_or_default();
        let half_way = |learner: &LearnerLink| learner.is_pinged() && !learner.is_live();
        for link in self.links_where(half_way) {
            // It was told another configuration in NEWLEADER.
            self.cut(link, "the configuration changed while it joined", ctx);
        }
        for (link, learner) in &self.links {
            if learner.is_live() {
                let (kind, bytes) = match learner.is_observer {
                    true => (PacketKind::INFORMANDACTIVATE, &bytes[..]),
                    false => (PacketKind::COMMITANDACTIVATE, &[][..]),
                };
                let packet = QuorumPacket::with_designated_leader(kind, at.0, designated.0, bytes);
                ctx.out.push(Output::Send(*link, packet));
            }
        }
        self.committed(at, ctx);
        self.hand_over(designated, ctx);
    }

    fn hand_over(&mut self, designated: ServerId, ctx: &Ctx<'_>) {
        if designated != self.id {
            self.successor = Some(designated);
            self.since = ctx.now;
        }
    }

    /// Who leads in a new configuration: I, if I vote at the same place in it, else who has most of what I proposed.
    fn designated(&self, at: Zxid, config: &Membership, ctx: &Ctx<'_>) -> ServerId {
        if stays(self.id, ctx.configs.committed(), config) {
            return self.id;
        }
        let acked = |id: ServerId| self.acked(id).unwrap_or(Zxid(-1));
        let voters = config.voters().map(|voter| voter.id);
        let others = voters.filter(|id| *id != self.id && acked(*id) >= at);
        others.max_by_key(|id| acked(*id)).unwrap_or(self.id)
    }

    pub(super) fn sync(&mut self, link: LinkId, prepared: Zxid, ctx: &mut Ctx<'_>) {
        let is_live = self.links.get(&link).is_some_and(LearnerLink::is_live);
        if !is_live {
            return;
        }
        // An epoch's beginning is nothing that could be committed.
        let last = match prepared.counter() {
            0 => self.proposals.last(),
            _ => self.proposals.last().max(prepared),
        };
        match last <= self.proposals.committed() {
            true => ctx.send(link, simple(PacketKind::SYNC, Zxid::ZERO)),
            false => self.syncs.push_back((last, link)),
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
        self.end()
    }

    fn ping(&mut self, ctx: &mut Ctx<'_>) {
        let last = self.proposals.last();
        let last = match self.phase {
            Phase::Serving => last.max(Zxid::new(self.epoch, 0)),
            _ => last,
        };
        for link in self.links_where(LearnerLink::is_pinged) {
            ctx.send(link, simple(PacketKind::PING, last));
        }
    }

    fn cut_silent(&mut self, ctx: &mut Ctx<'_>) {
        let config = ctx.config;
        let now = ctx.now;
        let is_silent =
            |learner: &LearnerLink| learner.silent_at(config).is_some_and(|at| at <= now);
        for link in self.links_where(is_silent) {
            self.cut(link, "nothing heard from it", ctx);
        }
    }

    /// Followers that acknowledge too late or too little.
    fn cut_laggards(&mut self, ctx: &mut Ctx<'_>) {
        let mut all_acked = self.proposals.last();
        let mut laggards = Vec::new();
        for (link, learner) in &self.links {
            let LinkPhase::Live { acked, since } = learner.phase else {
                continue;
            };
            if learner.is_observer {
                continue;
            }
            all_acked = all_acked.min(acked);
            let waits = self.proposals.waits_since(acked);
            let is_late =
                waits.is_some_and(|waits| ctx.now > waits.max(since).after(ctx.sync_ms()));
            if is_late || self.proposals.bytes_in_flight(acked) > ctx.config.bytes_in_flight_max {
                laggards.push(*link);
            }
        }
        self.proposals.acked_by_all(all_acked);
        for link in laggards {
            self.cut(link, "it acknowledges too late", ctx);
        }
    }

    /// Once a tick: are enough learners alive?
    fn check_quorum(&self, ctx: &Ctx<'_>) -> Result<(), End> {
        if self.phase != Phase::Serving || !self.passes.is_multiple_of(2) {
            return Ok(());
        }
        let is_alive = |id: ServerId| {
            let mut links = self.links.values();
            id == self.id
                || links
                    .any(|learner| learner.is_follower(id) && learner.is_alive(ctx.now, ctx.config))
        };
        let have_quorum = ctx.configs.met(is_alive);
        match self.successor {
            None if !have_quorum => End::look("too few followers are left"),
            // The others leave by themselves; who is left behind finds out by an election.
            Some(designated) if !have_quorum || ctx.now >= self.since.after(ctx.sync_ms()) => {
                Err(End::Designated(designated))
            }
            _ => Ok(()),
        }
    }

    /// A leader that is alone needs nobody to leave before it hands over.
    fn end(&self) -> Result<(), End> {
        match self.successor {
            Some(designated) if self.links.is_empty() => Err(End::Designated(designated)),
            _ => Ok(()),
        }
    }
}

fn with_txn(kind: PacketKind, txn: &Txn) -> QuorumPacket {
    QuorumPacket::with_data(kind, txn.zxid.0, txn.bytes.clone())
}

/// The entry before this one, or the base of the log.
fn before(zxid: Zxid, ctx: &Ctx<'_>) -> Zxid {
    let floor = ctx.disk.log().floor(Zxid(zxid.0 - 1));
    floor.unwrap_or(ctx.disk.log().base())
}

/// The last counter of an epoch is never used (ZOOKEEPER-1277). True if it had come to it.
fn drop_unusable(txns: &mut Vec<Txn>) -> bool {
    let is_last = |txn: &Txn| txn.zxid.counter() == u32::MAX;
    let end = txns.iter().position(is_last);
    txns.truncate(end.unwrap_or(txns.len()));
    end.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zookeeper_1277_the_last_counter_of_an_epoch_is_not_used() {
        let txn = |counter| Txn {
            zxid: Zxid::new(Epoch(3), counter),
            bytes: bytes::Bytes::new(),
        };
        let usable = |counters: &[u32]| {
            let mut txns: Vec<Txn> = counters.iter().copied().map(txn).collect();
            let is_used_up = drop_unusable(&mut txns);
            (txns.len(), is_used_up)
        };
        assert_eq!(usable(&[u32::MAX - 2, u32::MAX - 1]), (2, false));
        assert_eq!(usable(&[u32::MAX - 1, u32::MAX]), (1, true));
        assert_eq!(usable(&[u32::MAX]), (0, true));
    }
}
