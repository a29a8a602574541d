//! Who is alive, who lags, and whether enough are left. Answers to the loop of `Leader.lead` and to `LearnerHandler.SyncLimitCheck`.

use crate::ids::ServerId;
use crate::ids::Zxid;
use crate::proto::quorum::PacketKind;

use super::super::learner_link::{LearnerLink, Phase as LinkPhase};
use super::super::role::{Ctx, End, simple};
use super::{Leader, Phase};

impl Leader {
    pub(super) fn ping(&mut self, ctx: &mut Ctx<'_>) {
        let last = self.proposals.last();
        let last = match self.phase {
            Phase::Serving => last.max(Zxid::new(self.epoch, 0)),
            _ => last,
        };
        for link in self.links_where(LearnerLink::is_pinged) {
            ctx.send(link, simple(PacketKind::PING, last));
        }
    }

    pub(super) fn cut_silent(&mut self, ctx: &mut Ctx<'_>) {
        let config = ctx.config;
        let now = ctx.now;
        let is_silent =
            |learner: &LearnerLink| learner.silent_at(config).is_some_and(|at| at <= now);
        for link in self.links_where(is_silent) {
            self.cut(link, "nothing heard from it", ctx);
        }
    }

    /// Followers that acknowledge too late or too little.
    pub(super) fn cut_laggards(&mut self, ctx: &mut Ctx<'_>) {
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
    pub(super) fn check_quorum(&self, ctx: &Ctx<'_>) -> Result<(), End> {
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
}
