//! Votes: which is better, and which count as the same.
//!
//! Answers to `Vote` and to `FastLeaderElection.totalOrderPredicate`.

use crate::ids::{Epoch, ServerId, Zxid};
use crate::proto::election::{Notification, PeerState};

/// Whom somebody wants to lead, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    pub leader: ServerId,
    /// The end of the log of that server.
    pub zxid: Zxid,
    /// The election in which it was given.
    pub round: i64,
    /// The epoch of the history that ends there; of a running ensemble, its epoch.
    pub peer_epoch: Epoch,
}

impl Vote {
    /// Stands for no server, no history and no epoch: what a server that is no candidate proposes.
    pub const NOBODY: ServerId = ServerId(i64::MIN);
    pub const NO_HISTORY: Zxid = Zxid(i64::MIN);
    pub const NO_EPOCH: Epoch = Epoch(i64::MIN);
    /// The log ends at an unknown place; such a server neither votes nor counts.
    pub const LOST_DATA: Zxid = Zxid(-1);

    pub fn of(notification: &Notification) -> Vote {
        Vote {
            leader: ServerId(notification.leader),
            zxid: Zxid(notification.zxid),
            round: notification.election_epoch,
            peer_epoch: Epoch(notification.peer_epoch),
        }
    }

    /// The longer history wins, at last the larger server.
    pub fn is_better_than(&self, other: &Vote) -> bool {
        let key = |vote: &Vote| (vote.peer_epoch, vote.zxid, vote.leader);
        key(self) > key(other)
    }
}

/// A vote as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    pub vote: Vote,
    pub state: PeerState,
    /// 0 from servers that do not know of versions.
    pub version: i32,
}

impl Received {
    /// Whether both support the same leader. Of servers that have one already, zxid and round are those of the election
    /// it came from, or of whatever they heard later, so they say nothing (ZOOKEEPER-1805). Servers without versions do
    /// not keep their vote's epoch up to date either (ZOOKEEPER-1732).
    pub fn agrees_with(&self, other: &Received) -> bool {
        if self.state == PeerState::Looking || other.state == PeerState::Looking {
            return self.vote == other.vote;
        }
        let one_is_old = (self.version > 0) != (other.version > 0);
        self.vote.leader == other.vote.leader
            && (one_is_old || self.vote.peer_epoch == other.vote.peer_epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(peer_epoch: i64, zxid: i64, leader: i64) -> Vote {
        Vote {
            leader: ServerId(leader),
            zxid: Zxid(zxid),
            round: 1,
            peer_epoch: Epoch(peer_epoch),
        }
    }

    #[test]
    fn epoch_before_zxid_before_server() {
        let from_worst = [
            vote(i64::MIN, i64::MIN, i64::MIN),
            vote(-1, 9, 9),
            vote(1, -1, 3),
            vote(1, 5, 1),
            vote(1, 5, 2),
            vote(1, 6, 1),
            vote(2, 0, 1),
        ];
        for (at, one) in from_worst.iter().enumerate() {
            for (beside, other) in from_worst.iter().enumerate() {
                assert_eq!(one.is_better_than(other), at > beside, "{one:?} {other:?}");
            }
        }
        let later = Vote {
            round: 2,
            ..vote(1, 5, 2)
        };
        assert!(!later.is_better_than(&vote(1, 5, 2)));
    }

    #[test]
    fn what_counts_as_the_same_vote() {
        let received = |state, version, round, zxid, peer_epoch, leader| Received {
            vote: Vote {
                round,
                ..vote(peer_epoch, zxid, leader)
            },
            state,
            version,
        };
        let looking = |round, zxid| received(PeerState::Looking, 2, round, zxid, 1, 3);
        let leading =
            |version, zxid, epoch| received(PeerState::Leading, version, 1, zxid, epoch, 3);
        let cases = [
            (looking(1, 5), looking(1, 5), true),
            (looking(1, 5), looking(2, 5), false),
            (looking(1, 5), looking(1, 6), false),
            (looking(1, 5), leading(2, 5, 1), true),
            (looking(1, 6), leading(2, 5, 1), false),
            (leading(2, 5, 1), leading(2, 6, 1), true),
            (leading(2, 5, 1), leading(2, 5, 2), false),
            (leading(0, 5, 1), leading(2, 5, 2), true),
            (leading(0, 5, 1), leading(0, 5, 2), false),
            (
                leading(2, 5, 1),
                received(PeerState::Following, 2, 1, 5, 1, 2),
                false,
            ),
        ];
        for (one, other, expected) in cases {
            assert_eq!(one.agrees_with(&other), expected, "{one:?} {other:?}");
            assert_eq!(other.agrees_with(&one), expected, "{other:?} {one:?}");
        }
    }
}
