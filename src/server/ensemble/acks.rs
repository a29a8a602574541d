//! How long the members of an ensemble take to acknowledge what a leader proposes: of one proposal in so many
//! (`leader.ackLoggingFrequency`), from when it was made until each of them has said that it has it.
//!
//! Must not know how acknowledgements travel, nor what they are good for. Answers to what `Leader.processAck` measures,
//! but also of those that come after the quorum: who is slow is what one wants to see.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::admin::metrics::{DetailedSummary, Metrics};
use crate::ids::{LinkId, ServerId, Zxid};
use crate::proto::txn::TxnHeader;
use crate::zab::Txn;

/// Measured proposals that somebody may not have acknowledged. Of who is further behind some are not measured.
const SAMPLES_MAX: usize = 1024;

pub(super) struct Acks {
    /// `None`: nothing is measured.
    every: Option<i64>,
    /// The zxid, and when it was made by the leader's clock.
    proposed: VecDeque<(Zxid, i64)>,
    learners: HashMap<LinkId, Acknowledger>,
    /// `None` while somebody else leads.
    own: Option<Acknowledger>,
}

struct Acknowledger {
    /// `None`: until it has what was proposed before it came nothing of it counts.
    acked: Option<Zxid>,
    latency_ms: Arc<DetailedSummary>,
}

impl Acks {
    pub fn new(frequency: i32) -> Acks {
        Acks {
            every: Some(i64::from(frequency)).filter(|every| *every > 0),
            proposed: VecDeque::new(),
            learners: HashMap::new(),
            own: None,
        }
    }

    /// Another role began: `leads` names this server, if it is to lead.
    pub fn began(&mut self, leads: Option<ServerId>, metrics: &Metrics) {
        self.proposed.clear();
        self.learners.clear();
        self.own = leads.map(|id| Acknowledger {
            acked: Some(Zxid::ZERO),
            ..Acknowledger::new(id, metrics)
        });
    }

    pub fn proposed(&mut self, txns: &[Txn]) {
        let (Some(every), Some(first)) = (self.every, txns.first()) else {
            return;
        };
        // They follow one another without a gap.
        let before = first.zxid.0.rem_euclid(every);
        let mut at = match before {
            0 => 0,
            _ => every - before,
        };
        while let Some(txn) = usize::try_from(at).ok().and_then(|at| txns.get(at)) {
            if let Some(time) = TxnHeader::time_of(&txn.bytes) {
                self.proposed.push_back((txn.zxid, time));
            }
            at += every;
        }
        let surplus = self.proposed.len().saturating_sub(SAMPLES_MAX);
        self.proposed.drain(..surplus);
    }

    pub fn greeted(&mut self, link: LinkId, server: ServerId, metrics: &Metrics) {
        let learner = Acknowledger::new(server, metrics);
        self.learners.insert(link, learner);
    }

    pub fn left(&mut self, link: LinkId) {
        self.learners.remove(&link);
    }

    /// A learner has everything up to here. `now` by the wall clock: asked only if it is needed.
    pub fn acked(&mut self, link: LinkId, zxid: Zxid, now: impl FnOnce() -> i64) {
        let Some(learner) = self.learners.get_mut(&link) else {
            return;
        };
        match zxid.counter() {
            // Of NEWLEADER: it is as far as this leader is.
            0 => {
                let last = self.proposed.back().map(|(zxid, _)| *zxid);
                learner.acked.get_or_insert(last.unwrap_or(Zxid::ZERO));
            }
            _ => learner.acknowledges(zxid, &self.proposed, now),
        }
    }

    /// This server's own disk has everything up to here.
    pub fn durable(&mut self, zxid: Zxid, now: impl FnOnce() -> i64) {
        if let Some(own) = &mut self.own {
            own.acknowledges(zxid, &self.proposed, now);
        }
    }
}

impl Acknowledger {
    fn new(server: ServerId, metrics: &Metrics) -> Acknowledger {
        Acknowledger {
            acked: None,
            latency_ms: metrics.ack_latency.of(&server.0.to_string()),
        }
    }

    fn acknowledges(
        &mut self,
        zxid: Zxid,
        proposed: &VecDeque<(Zxid, i64)>,
        now: impl FnOnce() -> i64,
    ) {
        let Some(acked) = self.acked.filter(|acked| *acked < zxid) else {
            return;
        };
        self.acked = Some(zxid);
        if proposed.back().is_none_or(|(last, _)| *last <= acked) {
            return;
        }
        let behind = |of: Zxid| proposed.partition_point(|(zxid, _)| *zxid <= of);
        let reached = proposed.range(behind(acked)..behind(zxid));
        if reached.len() > 0 {
            let now = now();
            // A clock that was set back says nothing.
            let latencies = reached.map(|(_, made)| now - made).filter(|ms| *ms >= 0);
            latencies.for_each(|ms| self.latency_ms.record(ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;
    use crate::server::ensemble::links::tests::txn;

    fn z(counter: u32) -> Zxid {
        Zxid::new(Epoch(1), counter)
    }

    /// All were made at 3, by the clock of `txn`.
    fn proposals(counters: std::ops::RangeInclusive<u32>) -> Vec<Txn> {
        let made = |counter| Txn {
            zxid: z(counter),
            bytes: txn(z(counter).0).into(),
        };
        counters.map(made).collect()
    }

    fn rig(frequency: i32) -> (Metrics, Acks) {
        let metrics = Metrics::default();
        let mut acks = Acks::new(frequency);
        acks.began(Some(ServerId(1)), &metrics);
        acks.greeted(LinkId(7), ServerId(2), &metrics);
        (metrics, acks)
    }

    /// How many were measured, and their sum.
    fn measured(metrics: &Metrics, id: &str) -> (u64, i64) {
        let totals = metrics.ack_latency.of(id).totals();
        (totals.count, totals.sum)
    }

    #[test]
    fn one_in_so_many_is_measured_whoever_comes_last() {
        let (metrics, mut acks) = rig(10);
        acks.acked(LinkId(7), z(0), || 0);
        // 0x1_0000_0000 is 4294967296: of the next 30 zxids those that end with a zero count, as in Java.
        acks.proposed(&proposals(1..=12));
        acks.proposed(&proposals(13..=30));
        acks.durable(z(3), || panic!("nothing that is measured"));
        acks.durable(z(4), || 5);
        assert_eq!(measured(&metrics, "1"), (1, 2));
        acks.durable(z(30), || 13);
        assert_eq!(measured(&metrics, "1"), (3, 22));
        acks.acked(LinkId(7), z(24), || 103);
        assert_eq!(measured(&metrics, "2"), (3, 300));
        acks.acked(LinkId(7), z(24), || panic!("not once more"));
    }

    #[test]
    fn what_was_proposed_before_a_learner_came_is_not_measured_of_it() {
        let (metrics, mut acks) = rig(1);
        acks.proposed(&proposals(1..=5));
        acks.acked(LinkId(7), z(4), || panic!("it has not come so far"));
        acks.acked(LinkId(7), z(0), || 0);
        acks.acked(LinkId(7), z(5), || panic!("that was before"));
        acks.proposed(&proposals(6..=6));
        acks.acked(LinkId(7), z(6), || 4);
        assert_eq!(measured(&metrics, "2"), (1, 1));
        acks.left(LinkId(7));
        acks.proposed(&proposals(7..=7));
        acks.acked(LinkId(7), z(7), || panic!("it is gone"));
    }

    #[test]
    fn nothing_is_kept_without_end_or_measured_when_it_is_switched_off() {
        let (_, mut acks) = rig(1);
        for first in (0..5).map(|hundreds| hundreds * 1000 + 1) {
            acks.proposed(&proposals(first..=first + 999));
        }
        assert_eq!(acks.proposed.len(), SAMPLES_MAX);
        let (_, mut off) = rig(0);
        off.proposed(&proposals(1..=100));
        assert!(off.proposed.is_empty());
        let (metrics, mut back) = rig(1);
        back.proposed(&proposals(1..=1));
        back.durable(z(1), || 0);
        assert_eq!(measured(&metrics, "1"), (0, 0), "a clock that was set back");
    }
}
