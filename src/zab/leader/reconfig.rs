//! Configurations on their way into force: proposed, in need of two quorums, and maybe handing the lead to another.

use crate::ids::{ServerId, Zxid};
use crate::membership::Membership;
use crate::proto::quorum::{PacketKind, QuorumPacket};

use super::super::configs::stays;
use super::super::learner_link::LearnerLink;
use super::super::role::{Ctx, reconfig_of};
use super::super::{Output, Txn};
use super::Leader;

impl Leader {
    /// Says which followers are synced, if they are others than before.
    pub(in crate::zab) fn tell_synced(&mut self, out: &mut Vec<Output>) {
        if std::mem::take(&mut self.links_changed) {
            let synced = self.links.values();
            let synced = synced.filter(|learner| learner.is_synced() && !learner.is_observer);
            out.push(Output::Synced(
                synced.map(|learner| learner.server).collect(),
            ));
        }
    }

    /// The configuration that operators wrote gets its first number.
    pub(super) fn number_first_config(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.configs.last_seen().version == 0 {
            let version = Zxid::new(self.epoch, 0).0;
            let numbered = Membership {
                version,
                ..ctx.configs.committed().clone()
            };
            ctx.configs.see(numbered, ctx.disk, ctx.out);
        }
    }

    /// A configuration among what is proposed. It is to be on disk before the transaction is: who acknowledges that
    /// one knows from then on that two quorums are needed.
    pub(super) fn see_config(&mut self, txns: &[Txn], ctx: &mut Ctx<'_>) {
        if !ctx.configs.reconfig_enabled() {
            return;
        }
        let of = |txn: &Txn| Some((txn.zxid, reconfig_of(txn)?));
        if let Some((zxid, config)) = txns.iter().find_map(of) {
            assert!(self.reconfig.is_none(), "prep makes one at a time");
            self.reconfig = Some((zxid, config.clone()));
            ctx.configs.see(config, ctx.disk, ctx.out);
        }
    }

    /// Commits a configuration and puts it in force.
    pub(super) fn commit_config(&mut self, at: Zxid, config: Membership, ctx: &mut Ctx<'_>) {
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

    pub(super) fn hand_over(&mut self, designated: ServerId, ctx: &Ctx<'_>) {
        if designated != self.id {
            self.successor = Some(designated);
            self.since = ctx.now;
        }
    }

    /// Who leads in a new configuration: I, if I vote at the same place in it, else who has most of what I proposed.
    pub(super) fn designated(&self, at: Zxid, config: &Membership, ctx: &Ctx<'_>) -> ServerId {
        if stays(self.id, ctx.configs.committed(), config) {
            return self.id;
        }
        let acked = |id: ServerId| self.acked(id).unwrap_or(Zxid(-1));
        let voters = config.voters().map(|voter| voter.id);
        let others = voters.filter(|id| *id != self.id && acked(*id) >= at);
        others.max_by_key(|id| acked(*id)).unwrap_or(self.id)
    }
}
