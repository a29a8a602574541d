//! How a leader brings a learner to its own history: learner's last zxid, own log -> DIFF, TRUNC or SNAP.
//!
//! A pure function with a table. Where it is not certain that the log leads on from what the learner has it says
//! SNAP: that is always right. Answers to `LearnerHandler.syncFollower`.

use crate::ids::Zxid;

use super::LogShape;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPlan {
    /// The learner's history is a prefix of ours, up to here.
    Diff {
        after: Zxid,
    },
    /// It is once the learner has dropped what is above this zxid, which it has. Nothing follows: between a TRUNC and
    /// NEWLEADER Java's learners apply what comes in memory only, and when the connection breaks there they go on with
    /// that tree and a log with a hole.
    Trunc {
        to: Zxid,
    },
    Snap,
}

/// Of `log` only what is not above `end` counts: what was proposed later goes the way of all proposals. A learner
/// that lacks more than `history_max` transactions gets a snapshot.
pub fn plan_sync(learner: Zxid, log: &LogShape, end: Zxid, history_max: u64) -> SyncPlan {
    let plan = place(learner, log, end);
    let after = match plan {
        SyncPlan::Diff { after } => after,
        SyncPlan::Trunc { to } => to,
        SyncPlan::Snap => return SyncPlan::Snap,
    };
    match log.count_after(after) - log.count_after(end) > history_max {
        true => SyncPlan::Snap,
        false => plan,
    }
}

fn place(learner: Zxid, log: &LogShape, end: Zxid) -> SyncPlan {
    if learner < log.base() {
        return SyncPlan::Snap;
    }
    if learner <= end && log.contains(learner) {
        return SyncPlan::Diff { after: learner };
    }
    let Some(floor) = log.floor(learner.min(end)) else {
        return SyncPlan::Snap;
    };
    if learner.counter() == 0 {
        // It led an epoch, or got a snapshot from a leader, before anything was proposed there: that leader was
        // established, so all history before its epoch is committed and ours.
        return match learner < end {
            true => SyncPlan::Diff { after: floor },
            false => SyncPlan::Snap,
        };
    }
    // Proposals of an epoch reach a learner without gaps, so one that has a later one has `floor`. Of another epoch
    // nothing can be said. A counter of 0 is no transaction.
    match floor == end && floor.epoch() == learner.epoch() && floor.counter() != 0 {
        true => SyncPlan::Trunc { to: floor },
        false => SyncPlan::Snap,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::SyncPlan::{Diff, Snap, Trunc};
    use super::*;
    use crate::ids::Epoch;

    fn z(epoch: i64, counter: u32) -> Zxid {
        Zxid::new(Epoch(epoch), counter)
    }

    /// Base (2, 3), then (2, 4) to (2, 6), (4, 1) to (4, 5).
    fn log() -> LogShape {
        let mut log = LogShape::starting_at(z(2, 3));
        for zxid in (4..=6).map(|n| z(2, n)).chain((1..=5).map(|n| z(4, n))) {
            log.append(zxid).unwrap();
        }
        log
    }

    #[test]
    fn plans() {
        let all = z(4, 5);
        let cases = [
            ("nothing is missing", all, all, Diff { after: all }),
            ("the middle", z(2, 5), all, Diff { after: z(2, 5) }),
            ("the base", z(2, 3), all, Diff { after: z(2, 3) }),
            ("below the base", z(2, 2), all, Snap),
            ("far below", z(0, 0), all, Snap),
            ("it asks for a snapshot", Zxid(-1), all, Snap),
            ("a tail of the last epoch", z(4, 9), all, Trunc { to: all }),
            ("a tail, and more behind it", z(2, 8), all, Snap),
            (
                "a tail of the epoch before",
                z(2, 8),
                z(2, 6),
                Trunc { to: z(2, 6) },
            ),
            ("a tail of an epoch without history", z(3, 1), all, Snap),
            ("a tail of a later epoch", z(5, 1), all, Snap),
            (
                "a new epoch, before ours",
                z(3, 0),
                all,
                Diff { after: z(2, 6) },
            ),
            ("a new epoch, ours", z(4, 0), all, Diff { after: z(2, 6) }),
            ("a new epoch, later", z(5, 0), all, Snap),
            (
                "above the end, in its epoch",
                z(4, 4),
                z(4, 2),
                Trunc { to: z(4, 2) },
            ),
            ("above the end, in another epoch", z(4, 1), z(2, 6), Snap),
            ("at the end", z(4, 2), z(4, 2), Diff { after: z(4, 2) }),
        ];
        for (name, learner, end, expected) in cases {
            assert_eq!(plan_sync(learner, &log(), end, 100), expected, "{name}");
        }
    }

    #[test]
    fn a_long_way_is_a_snapshot() {
        for (history_max, expected) in [(8, Diff { after: z(2, 3) }), (7, Snap)] {
            assert_eq!(plan_sync(z(2, 3), &log(), z(4, 5), history_max), expected);
        }
        let expected = Diff { after: z(2, 3) };
        assert_eq!(
            plan_sync(z(2, 3), &log(), z(2, 6), 3),
            expected,
            "only up to the end"
        );
    }

    #[test]
    fn a_log_behind_a_state_of_a_new_epoch() {
        let base = z(4, 0);
        let empty = LogShape::starting_at(base);
        assert_eq!(plan_sync(base, &empty, base, 10), Diff { after: base });
        assert_eq!(
            plan_sync(z(4, 1), &empty, base, 10),
            Snap,
            "a cut at a counter of 0 cuts nothing"
        );
        let fresh = LogShape::default();
        assert_eq!(
            plan_sync(Zxid::ZERO, &fresh, Zxid::ZERO, 10),
            Diff { after: Zxid::ZERO }
        );
        assert_eq!(plan_sync(z(1, 4), &fresh, Zxid::ZERO, 10), Snap);
    }
}
