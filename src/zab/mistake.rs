//! Mistakes of the past, to be made on purpose: the simulator's tests make one at a time and must notice. In every
//! other build [`makes`] is a constant, and none of them is there.

/// What goes wrong. The numbers are ZOOKEEPER tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A follower acknowledges a proposal before its disk has it (4646, 4785).
    AckBeforeDurable,
    /// The current epoch is written before the history that it stands for (4643).
    EpochBeforeHistory,
    /// NEWLEADER is acknowledged before the history is durable (3911, 3023).
    JoinBeforeDurable,
    /// ACKEPOCH leaves before the promise is durable.
    PromiseBeforeDurable,
    /// An epoch that was promised is promised once more.
    PromiseTwice,
    /// A leader's new epoch is above those that were led, not above those that were promised.
    EpochReused,
    /// A DIFF leaves out its first transaction (2846, 4925).
    DiffSkipsOne,
    /// What is durable on the leader's disk is committed.
    CommitWithoutQuorum,
    /// What is durable is delivered, committed or not (4882).
    UncommittedDelivered,
    /// A new leader offers what it delivered, and forgets the rest of its log (2845).
    LeaderForgetsTail,
    /// A vote tells how far the tree is, not the log (2845, 4712).
    VoteOfTheTree,
    /// TRUNC is taken for a DIFF.
    TruncIgnored,
    /// A snapshot is installed before its stream is complete (3642).
    SnapshotInPart,
    /// The leader serves when its own disk has its history, whoever follows.
    LeadsAlone,
    /// The answer to a sync overtakes the transactions that it stands for.
    SyncOvertakes,
    /// New members are in force when a quorum of the old ones has them.
    MembersByOldQuorum,
    /// New members decide alone about what makes them members.
    MembersByNewQuorum,
    /// New members are acknowledged before it is durable that from then on two quorums are needed.
    MembersForgotten,
}

impl Mistake {
    pub const ALL: &[Mistake] = &[
        Mistake::AckBeforeDurable,
        Mistake::EpochBeforeHistory,
        Mistake::JoinBeforeDurable,
        Mistake::PromiseBeforeDurable,
        Mistake::PromiseTwice,
        Mistake::EpochReused,
        Mistake::DiffSkipsOne,
        Mistake::CommitWithoutQuorum,
        Mistake::UncommittedDelivered,
        Mistake::LeaderForgetsTail,
        Mistake::VoteOfTheTree,
        Mistake::TruncIgnored,
        Mistake::SnapshotInPart,
        Mistake::LeadsAlone,
        Mistake::SyncOvertakes,
        Mistake::MembersByOldQuorum,
        Mistake::MembersByNewQuorum,
        Mistake::MembersForgotten,
    ];

    /// Only those notice who change the members.
    pub fn is_about_members(self) -> bool {
        use Mistake::{MembersByNewQuorum, MembersByOldQuorum, MembersForgotten};
        matches!(
            self,
            MembersByOldQuorum | MembersByNewQuorum | MembersForgotten
        )
    }
}

#[cfg(feature = "sim")]
mod switch {
    use super::Mistake;
    use std::cell::Cell;

    thread_local! {
        static MADE: Cell<Option<Mistake>> = const { Cell::new(None) };
    }

    /// From now on this thread's peers make this mistake, or none.
    pub fn make(mistake: Option<Mistake>) {
        MADE.set(mistake);
    }

    pub fn makes(mistake: Mistake) -> bool {
        MADE.get() == Some(mistake)
    }
}

#[cfg(feature = "sim")]
pub use switch::{make, makes};

#[cfg(not(feature = "sim"))]
pub const fn makes(_: Mistake) -> bool {
    false
}
