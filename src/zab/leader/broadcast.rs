//! What is proposed, acknowledged and committed while this server leads. Answers to `Leader.propose`, `processAck` and
//! `tryToCommit`.

use crate::ids::{LinkId, ServerId, Zxid};
use crate::proto::quorum::PacketKind;

use super::super::learner_link::{LearnerLink, Phase as LinkPhase};
use super::super::mistake::{Mistake, makes};
use super::super::role::{Ctx, End, simple};
use super::super::{Output, Txn};
use super::{Cut, Leader, Phase, with_txn};

impl Leader {
    pub(in crate::zab) fn propose(
        &mut self,
        mut txns: Vec<Txn>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), End> {
        let is_of_mine = |txn: &Txn| txn.zxid.epoch() == self.epoch;
        if self.phase != Phase::Serving
            || self.successor.is_some()
            || !txns.first().is_some_and(is_of_mine)
        {
            return Ok(());
        }
        let is_used_up = drop_unusable(&mut txns, ctx.config.counter_end);
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
            self.see_config(&txns, ctx);
            ctx.disk.append(txns, ctx.out);
            self.cut_laggards(ctx);
        }
        match is_used_up {
            true => End::look("the epoch has no more counters"),
            false => Ok(()),
        }
    }

    /// Of ACKs for something of an old or no epoch nothing follows. They rise, so the last one is what counts.
    pub(super) fn acked_proposal(
        &mut self,
        link: LinkId,
        zxid: Zxid,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Cut> {
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
    pub(super) fn acked(&self, server: ServerId) -> Option<Zxid> {
        let mut links = self.links.values();
        links.find(|learner| learner.is_follower(server))?.acked()
    }

    /// Commits what quorums of all configurations that count have in their logs. From a reconfiguration on these
    /// are two, and behind it only the new one.
    pub(super) fn advance_commit(&mut self, ctx: &mut Ctx<'_>) {
        while self.phase == Phase::Serving && self.successor.is_none() {
            let reached = |id: ServerId| match id == self.id {
                true => Some(ctx.disk.durable()),
                false => self.acked(id),
            };
            let mut of_committed = ctx.configs.quorum().horizon(reached).flatten();
            if makes(Mistake::CommitWithoutQuorum) {
                of_committed = Some(ctx.disk.durable());
            }
            if makes(Mistake::MembersByNewQuorum)
                && let Some(newer) = ctx.configs.newer_quorum()
            {
                of_committed = newer.horizon(reached).flatten();
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
                    _ if makes(Mistake::MembersByOldQuorum) => at,
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
    pub(super) fn commit(&mut self, to: Zxid, ctx: &mut Ctx<'_>) {
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

    pub(super) fn commit_up_to(&mut self, to: Zxid, ctx: &mut Ctx<'_>) {
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

    pub(super) fn committed(&mut self, to: Zxid, ctx: &mut Ctx<'_>) {
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

    pub(in crate::zab) fn sync(&mut self, link: LinkId, prepared: Zxid, ctx: &mut Ctx<'_>) {
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
}

/// The entry before this one, or the base of the log.
pub(super) fn before(zxid: Zxid, ctx: &Ctx<'_>) -> Zxid {
    let floor = ctx.disk.log().floor(Zxid(zxid.0 - 1));
    floor.unwrap_or(ctx.disk.log().base())
}

/// The last counter of an epoch is never used (ZOOKEEPER-1277). True if it had come to it.
fn drop_unusable(txns: &mut Vec<Txn>, end: u32) -> bool {
    let is_last = |txn: &Txn| txn.zxid.counter() == end;
    let end = txns.iter().position(is_last);
    txns.truncate(end.unwrap_or(txns.len()));
    end.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;

    #[test]
    fn zookeeper_1277_the_last_counter_of_an_epoch_is_not_used() {
        let txn = |counter| Txn {
            zxid: Zxid::new(Epoch(3), counter),
            bytes: bytes::Bytes::new(),
        };
        let usable = |counters: &[u32]| {
            let mut txns: Vec<Txn> = counters.iter().copied().map(txn).collect();
            let is_used_up = drop_unusable(&mut txns, u32::MAX);
            (txns.len(), is_used_up)
        };
        assert_eq!(usable(&[u32::MAX - 2, u32::MAX - 1]), (2, false));
        assert_eq!(usable(&[u32::MAX - 1, u32::MAX]), (1, true));
        assert_eq!(usable(&[u32::MAX]), (0, true));
    }
}
