//! From a learner's first word to the moment at which it is one of those that are served: who it is, which epoch it
//! promised, and what it lacks. Answers to `LearnerHandler.run` up to UPTODATE and to `syncFollower`.

use crate::ids::{Epoch, LinkId, ServerId, Zxid};
use crate::proto::quorum::{LearnerInfo, PROTOCOL_VERSION, PacketKind, QuorumPacket};

use super::super::learner_link::{Phase as LinkPhase, may_sync};
use super::super::mistake::{Mistake, makes};
use super::super::role::{Ctx, End, simple};
use super::super::sync_plan::SyncPlan;
use super::super::{HistoryForm, Output, Timestamp};
use super::{Cut, Leader, Phase, with_txn};

impl Leader {
    pub(super) fn greeted(
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
    pub(super) fn check_epoch(
        &self,
        link: LinkId,
        accepted: Epoch,
        ctx: &Ctx<'_>,
    ) -> Result<(), End> {
        let Some(learner) = self.links.get(&link) else {
            return Ok(());
        };
        let is_voter = learner.is_greeted() && ctx.configs.quorum().is_voter(learner.server);
        match is_voter && accepted > self.epoch && self.phase != Phase::CollectingEpochs {
            true => Err(End::Outdated(accepted)),
            false => Ok(()),
        }
    }

    pub(super) fn leader_info(&mut self, link: LinkId, ctx: &mut Ctx<'_>) {
        let Some(learner) = self.links.get_mut(&link) else {
            return;
        };
        learner.phase = LinkPhase::Promising;
        learner.heard = ctx.now;
        let zxid = Zxid::new(self.epoch, 0);
        let packet = QuorumPacket::with_number(PacketKind::LEADERINFO, zxid.0, PROTOCOL_VERSION);
        ctx.send(link, packet);
    }

    pub(super) fn promised(
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
            self.begin_sync(link, zxid, ctx)?;
        }
        Ok(())
    }

    /// What is committed and can be read from the log; before this server serves that is all of it.
    pub(super) fn readable(&self, ctx: &Ctx<'_>) -> Zxid {
        self.proposals.committed().min(ctx.disk.durable())
    }

    /// Sends all that the learner lacks, as committed even where no quorum has it yet: what is sent so is durable there
    /// when NEWLEADER is acknowledged (ZOOKEEPER-3911), and NEWLEADER comes behind all of it (ZOOKEEPER-3104).
    pub(super) fn begin_sync(
        &mut self,
        link: LinkId,
        zxid: Zxid,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Cut> {
        let (readable, end) = (self.readable(ctx), self.proposals.committed());
        let plan = ctx.plan_sync(zxid, end);
        if let Some(learner) = self.links.get(&link) {
            may_sync(learner, plan, self.links.values(), ctx.config)?;
        }
        tracing::info!(link = link.0, %zxid, %end, ?plan, "a learner is brought up to date");
        let after = ctx.open_sync(link, plan, end, readable);
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
        // UPTODATE puts it in force there. Once this server serves, one that is only proposed follows as a proposal does.
        let config = match self.phase {
            Phase::Serving => ctx.configs.committed(),
            _ => ctx.configs.last_seen(),
        };
        let config = config.to_string().into_bytes();
        let zxid = Zxid::new(self.epoch, 0);
        ctx.send(
            link,
            QuorumPacket::with_data(PacketKind::NEWLEADER, zxid.0, config),
        );
        if let Some(learner) = self.links.get_mut(&link) {
            learner.heard = ctx.now;
            learner.phase = LinkPhase::Syncing {
                position: end,
                by_snapshot: plan == SyncPlan::Snap,
                is_receiving: plan == SyncPlan::Snap,
            };
        }
        Ok(())
    }

    /// The snapshot is out; from now on the learner has to answer in time.
    pub(in crate::zab) fn snapshot_sent(&mut self, link: LinkId, now: Timestamp) {
        if let Some(learner) = self.links.get_mut(&link)
            && let LinkPhase::Syncing { is_receiving, .. } = &mut learner.phase
        {
            *is_receiving = false;
            learner.heard = now;
        }
    }

    pub(super) fn syncing(
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
        self.links_changed = true;
        // An observer counts where the newer configuration makes it a voter.
        self.history_at.insert(learner.server);
        if self.phase == Phase::Serving {
            self.go_live(link, ctx);
        }
        Ok(())
    }

    /// UPTODATE, and behind it what was held back since NEWLEADER.
    pub(super) fn go_live(&mut self, link: LinkId, ctx: &mut Ctx<'_>) {
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
    pub(super) fn send_committed(&self, link: LinkId, after: Zxid, ctx: &mut Ctx<'_>) {
        for txn in self.proposals.between(after, self.proposals.committed()) {
            ctx.send(link, with_txn(PacketKind::PROPOSAL, txn));
            ctx.send(link, simple(PacketKind::COMMIT, txn.zxid));
        }
    }
}
