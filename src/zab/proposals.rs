//! What a leader proposed and cannot forget yet, and how far its followers are behind.
//!
//! Costs are those of a batch: acknowledgements are horizons, and times and bytes are kept for batches. Answers to
//! `Leader.outstandingProposals`, `toBeApplied` and `SyncLimitCheck`.

use std::collections::VecDeque;

use crate::ids::Zxid;

use super::role::pop_if;
use super::{Timestamp, Txn};

#[derive(Debug)]
pub(super) struct Proposals {
    /// Of this epoch; above what is both committed and durable here, so that the log cannot be read for it.
    kept: VecDeque<Txn>,
    last: Zxid,
    committed: Zxid,
    /// Batches that some follower may not have acknowledged.
    batches: VecDeque<Batch>,
    bytes_total: u64,
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    last: Zxid,
    at: Timestamp,
    /// Bytes of all batches before this one.
    bytes_before: u64,
}

impl Proposals {
    /// Nothing is proposed yet behind a history that ends here.
    pub(super) fn after(history: Zxid) -> Proposals {
        Proposals {
            kept: VecDeque::new(),
            last: history,
            committed: history,
            batches: VecDeque::new(),
            bytes_total: 0,
        }
    }

    pub(super) fn last(&self) -> Zxid {
        self.last
    }

    pub(super) fn committed(&self) -> Zxid {
        self.committed
    }

    pub(super) fn propose(&mut self, now: Timestamp, txns: &[Txn]) {
        let Some(last) = txns.last() else { return };
        self.last = last.zxid;
        self.batches.push_back(Batch {
            last: last.zxid,
            at: now,
            bytes_before: self.bytes_total,
        });
        self.bytes_total += txns.iter().map(|txn| txn.bytes.len() as u64).sum::<u64>();
        self.kept.extend(txns.iter().cloned());
    }

    pub(super) fn commit(&mut self, to: Zxid) {
        self.committed = to;
    }

    /// Those of (after, up_to] that are kept.
    pub(super) fn between(&self, after: Zxid, up_to: Zxid) -> impl Iterator<Item = &Txn> {
        let index = |zxid: Zxid| self.kept.partition_point(|txn| txn.zxid <= zxid);
        let first = index(after);
        self.kept.range(first..index(up_to).max(first))
    }

    /// What is committed can be read from the log as far as that is durable.
    pub(super) fn forget(&mut self, durable: Zxid) {
        let end = self.committed.min(durable);
        while pop_if(&mut self.kept, |txn| txn.zxid <= end).is_some() {}
    }

    /// Every follower acknowledged up to here.
    pub(super) fn acked_by_all(&mut self, zxid: Zxid) {
        while pop_if(&mut self.batches, |batch| batch.last <= zxid).is_some() {}
    }

    /// When the first batch was proposed that is not acknowledged by a follower that came so far.
    pub(super) fn waits_since(&self, acked: Zxid) -> Option<Timestamp> {
        let first = self.batches.partition_point(|batch| batch.last <= acked);
        self.batches.get(first).map(|batch| batch.at)
    }

    /// Bytes that a follower that came so far has not acknowledged, to within a batch.
    pub(super) fn bytes_in_flight(&self, acked: Zxid) -> u64 {
        let first = self.batches.partition_point(|batch| batch.last <= acked);
        let behind = self.batches.get(first);
        behind.map_or(0, |batch| self.bytes_total - batch.bytes_before)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::Epoch;

    fn z(counter: u32) -> Zxid {
        Zxid::new(Epoch(3), counter)
    }

    fn proposed(batches: &[std::ops::RangeInclusive<u32>]) -> Proposals {
        let mut proposals = Proposals::after(Zxid::new(Epoch(2), 9));
        for (at, batch) in batches.iter().enumerate() {
            let txn = |counter| Txn {
                zxid: z(counter),
                bytes: vec![0; 10].into(),
            };
            let txns: Vec<Txn> = batch.clone().map(txn).collect();
            proposals.propose(Timestamp(at as u64), &txns);
        }
        proposals
    }

    #[test]
    fn what_is_kept() {
        let mut proposals = proposed(&[1..=3, 4..=4]);
        let between = |proposals: &Proposals, after, up_to| {
            let txns = proposals.between(after, up_to);
            txns.map(|txn| txn.zxid.counter()).collect::<Vec<u32>>()
        };
        assert_eq!(
            between(&proposals, Zxid::new(Epoch(2), 9), z(9)),
            [1, 2, 3, 4]
        );
        assert_eq!(between(&proposals, z(1), z(3)), [2, 3]);
        assert_eq!(between(&proposals, z(3), z(1)), []);
        proposals.commit(z(3));
        proposals.forget(z(2));
        assert_eq!(between(&proposals, z(0), z(9)), [3, 4]);
        proposals.forget(z(4));
        assert_eq!(between(&proposals, z(0), z(9)), [4]);
    }

    #[test]
    fn how_far_behind() {
        let mut proposals = proposed(&[1..=3, 4..=4, 5..=6]);
        assert_eq!(proposals.waits_since(z(0)), Some(Timestamp(0)));
        assert_eq!(proposals.waits_since(z(2)), Some(Timestamp(0)));
        assert_eq!(proposals.waits_since(z(3)), Some(Timestamp(1)));
        assert_eq!(proposals.waits_since(z(6)), None);
        assert_eq!(proposals.bytes_in_flight(z(3)), 30);
        assert_eq!(proposals.bytes_in_flight(z(6)), 0);
        proposals.acked_by_all(z(4));
        assert_eq!(proposals.waits_since(z(4)), Some(Timestamp(2)));
        assert_eq!(proposals.bytes_in_flight(z(4)), 20);
        proposals.acked_by_all(z(6));
        assert_eq!(proposals.bytes_in_flight(z(6)), 0);
    }
}
