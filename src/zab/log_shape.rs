//! What the log holds, without its bytes: runs of contiguous zxids behind a base.
//!
//! Must not touch a disk. Whether a learner can be brought up to date from the log is decided from this alone, and it
//! cannot show a hole: a snapshot that was installed starts a new log (ZOOKEEPER-2846). Answers to `committedLog` and
//! `TxnLogProposalIterator`.

use crate::ids::Zxid;

/// Contiguous zxids of one epoch, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: Zxid,
    last: Zxid,
}

impl Run {
    fn count(self) -> u64 {
        u64::from(self.last.counter() - self.first.counter()) + 1
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogShape {
    /// The state that the log continues from is of this zxid.
    base: Zxid,
    /// Rising, with at most one run for an epoch.
    runs: Vec<Run>,
}

/// Why a transaction does not continue the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{next} does not continue a log that ends at {last}")]
pub struct Gap {
    pub last: Zxid,
    pub next: Zxid,
}

impl LogShape {
    /// A log without entries behind a state of this zxid.
    pub fn starting_at(base: Zxid) -> Self {
        LogShape {
            base,
            runs: Vec::new(),
        }
    }

    pub fn base(&self) -> Zxid {
        self.base
    }

    /// Of the last entry; of the state if there is none.
    pub fn last(&self) -> Zxid {
        self.runs.last().map_or(self.base, |run| run.last)
    }

    /// True for what may come next: the next counter of the same epoch, or the first one of a later epoch.
    pub fn continues_with(&self, next: Zxid) -> bool {
        follows(self.last(), next)
    }

    pub fn append(&mut self, next: Zxid) -> Result<(), Gap> {
        self.append_run(next, next)
    }

    /// Entries of one epoch without a gap, both ends included.
    pub fn append_run(&mut self, first: Zxid, last: Zxid) -> Result<(), Gap> {
        let gap = |last, next| Err(Gap { last, next });
        if !self.continues_with(first) {
            return gap(self.last(), first);
        }
        if last < first || last.epoch() != first.epoch() {
            return gap(first, last);
        }
        match self.runs.last_mut() {
            Some(run) if run.last.epoch() == first.epoch() => run.last = last,
            _ => self.runs.push(Run { first, last }),
        }
        Ok(())
    }

    /// The shape of a log with these runs of entries, beside a state of zxid `state`. What lies below the first entry
    /// is not known if the state is further.
    pub fn read(
        state: Zxid,
        runs: impl IntoIterator<Item = (Zxid, Zxid)>,
    ) -> Result<LogShape, Gap> {
        let mut runs = runs.into_iter().peekable();
        let base = match runs.peek() {
            Some((first, _)) if *first <= state => Zxid(first.0 - 1),
            _ => state,
        };
        let mut shape = LogShape::starting_at(base);
        for (first, last) in runs {
            shape.append_run(first, last)?;
        }
        Ok(shape)
    }

    /// True for entries, and for the base.
    pub fn contains(&self, zxid: Zxid) -> bool {
        zxid == self.base
            || self
                .runs
                .iter()
                .any(|run| (run.first..=run.last).contains(&zxid))
    }

    /// The last entry, or the base, that is not above `zxid`; `None` below the base.
    pub fn floor(&self, zxid: Zxid) -> Option<Zxid> {
        let run = self.runs.iter().rev().find(|run| run.first <= zxid);
        match run {
            Some(run) => Some(run.last.min(zxid)),
            None => Some(self.base).filter(|base| *base <= zxid),
        }
    }

    /// How many entries are above `zxid`.
    pub fn count_after(&self, zxid: Zxid) -> u64 {
        let above = |run: &Run| match zxid {
            _ if zxid < run.first => run.count(),
            _ if zxid < run.last => u64::from(run.last.counter() - zxid.counter()),
            _ => 0,
        };
        self.runs.iter().map(above).sum()
    }

    /// True if nothing is left above `zxid`, which must be contained.
    pub fn cut(&mut self, zxid: Zxid) -> bool {
        if !self.contains(zxid) {
            return false;
        }
        self.runs.retain(|run| run.first <= zxid);
        if let Some(run) = self.runs.last_mut() {
            run.last = run.last.min(zxid);
        }
        true
    }

    /// Forgets the entries up to `zxid`, of which the state is now. Above the last entry it is the end of all of them.
    pub fn purge(&mut self, zxid: Zxid) {
        let Some(base) = self.floor(zxid) else { return };
        self.runs.retain(|run| run.last > base);
        if let Some(run) = self.runs.first_mut()
            && run.first <= base
        {
            run.first = base.next();
        }
        self.base = base;
    }

    /// The entry that follows this entry or the base; `None` for the last one and for what is not contained.
    pub fn successor(&self, zxid: Zxid) -> Option<Zxid> {
        if !self.contains(zxid) {
            return None;
        }
        let run = self.runs.iter().find(|run| run.last > zxid)?;
        Some(run.first.max(zxid.next()))
    }
}

fn follows(last: Zxid, next: Zxid) -> bool {
    match next.epoch() == last.epoch() {
        true => next == last.next() && next.counter() != 0,
        false => next.epoch() > last.epoch() && next.counter() == 1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::Epoch;

    fn z(epoch: i64, counter: u32) -> Zxid {
        Zxid::new(Epoch(epoch), counter)
    }

    fn shape(base: Zxid, runs: &[(i64, u32, u32)]) -> LogShape {
        let mut shape = LogShape::starting_at(base);
        for (epoch, first, last) in runs {
            for counter in *first..=*last {
                shape.append(z(*epoch, counter)).unwrap();
            }
        }
        shape
    }

    #[test]
    fn what_may_come_next() {
        let cases = [
            (z(0, 0), z(0, 1), true),
            (z(0, 0), z(1, 1), true),
            (z(1, 0), z(1, 1), true),
            (z(1, 7), z(1, 8), true),
            (z(1, 7), z(3, 1), true),
            (z(1, 7), z(1, 7), false),
            (z(1, 7), z(1, 9), false),
            (z(1, 7), z(2, 2), false),
            (z(1, 7), z(2, 0), false),
            (z(2, 7), z(1, 1), false),
            (z(1, u32::MAX), z(2, 0), false),
        ];
        for (last, next, expected) in cases {
            let mut shape = LogShape::starting_at(last);
            assert_eq!(shape.continues_with(next), expected, "{last} {next}");
            assert_eq!(shape.append(next).is_ok(), expected);
        }
    }

    #[test]
    fn a_log_as_the_disk_has_it() {
        let runs = [(z(2, 1), z(2, 5)), (z(3, 1), z(3, 1)), (z(3, 2), z(3, 9))];
        let behind = LogShape::read(z(1, 7), runs).unwrap();
        assert_eq!((behind.base(), behind.last()), (z(1, 7), z(3, 9)));
        assert_eq!(behind.count_after(z(1, 7)), 14);
        let beside = LogShape::read(z(2, 3), runs).unwrap();
        assert_eq!((beside.base(), beside.last()), (z(2, 0), z(3, 9)));
        assert!(beside.contains(z(2, 3)));
        assert_eq!(LogShape::read(z(2, 3), []).unwrap().last(), z(2, 3));
        for gap in [(z(2, 7), z(2, 8)), (z(3, 2), z(3, 3)), (z(3, 1), z(4, 1))] {
            assert!(LogShape::read(z(1, 7), [runs[0], gap]).is_err(), "{gap:?}");
        }
        assert!(
            LogShape::read(z(1, 7), [(z(1, 9), z(1, 10))]).is_err(),
            "a hole behind the state"
        );
    }

    #[test]
    fn floors_and_members() {
        let shape = shape(z(1, 3), &[(1, 4, 6), (3, 1, 2)]);
        let cases = [
            (z(1, 2), None, false),
            (z(1, 3), Some(z(1, 3)), true),
            (z(1, 5), Some(z(1, 5)), true),
            (z(1, 9), Some(z(1, 6)), false),
            (z(2, 0), Some(z(1, 6)), false),
            (z(3, 0), Some(z(1, 6)), false),
            (z(3, 2), Some(z(3, 2)), true),
            (z(4, 0), Some(z(3, 2)), false),
        ];
        for (zxid, floor, contained) in cases {
            assert_eq!(shape.floor(zxid), floor, "{zxid}");
            assert_eq!(shape.contains(zxid), contained, "{zxid}");
        }
        assert_eq!(shape.count_after(z(1, 3)), 5);
        assert_eq!(shape.count_after(z(1, 5)), 3);
        assert_eq!(shape.count_after(z(2, 0)), 2);
        assert_eq!(shape.count_after(z(3, 2)), 0);
    }

    #[test]
    fn successors_are_all_entries_in_order() {
        let shape = shape(z(1, 3), &[(1, 4, 5), (3, 1, 2)]);
        let mut at = shape.base();
        let mut found = Vec::new();
        while let Some(next) = shape.successor(at) {
            found.push(next);
            at = next;
        }
        assert_eq!(found, [z(1, 4), z(1, 5), z(3, 1), z(3, 2)]);
        for absent in [z(1, 2), z(1, 6), z(2, 0), z(3, 0)] {
            assert_eq!(shape.successor(absent), None, "{absent}");
        }
    }

    #[test]
    fn cuts() {
        let whole = shape(z(1, 3), &[(1, 4, 6), (3, 1, 2)]);
        for (at, count) in [(z(3, 2), 5), (z(3, 1), 4), (z(1, 6), 3), (z(1, 3), 0)] {
            let mut cut = whole.clone();
            assert!(cut.cut(at));
            assert_eq!((cut.last(), cut.count_after(z(1, 3))), (at, count));
        }
        for at in [z(1, 2), z(1, 7), z(3, 3), z(4, 1)] {
            let mut cut = whole.clone();
            assert!(!cut.cut(at), "{at}");
            assert_eq!(cut, whole);
        }
    }

    #[test]
    fn purges() {
        let whole = shape(z(1, 3), &[(1, 4, 6), (3, 1, 2)]);
        for (at, base, count) in [
            (z(1, 2), z(1, 3), 5),
            (z(1, 5), z(1, 5), 3),
            (z(2, 0), z(1, 6), 2),
            (z(9, 0), z(3, 2), 0),
        ] {
            let mut purged = whole.clone();
            purged.purge(at);
            assert_eq!(purged.base(), base);
            assert_eq!(purged.count_after(base), count);
            assert_eq!(purged.last(), z(3, 2));
        }
    }
}
