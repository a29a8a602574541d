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
    /// A DIFF leaves out its first transaction (2846, 4925).
    DiffSkipsOne,
    /// One acknowledgement too few commits.
    CommitWithoutQuorum,
    /// The acknowledgements of observers and strangers count.
    AnyoneCounts,
    /// The end of the log that was not committed is not offered to followers (2845).
    LeaderForgetsTail,
    /// A vote tells how far the tree is, not the log (2845, 4712).
    VoteOfTheTree,
    /// TRUNC is taken for a DIFF.
    TruncIgnored,
    /// What is committed between NEWLEADER and UPTODATE is not sent to who joins (3104, 4394).
    NothingHeld,
    /// A joiner is not sent what is proposed and not yet committed when it joins.
    JoinerMissesOutstanding,
    /// The leader serves when its own history is on its own disk, whoever follows.
    LeadsAlone,
    /// A snapshot's log goes on where the old log was.
    SnapshotKeepsLog,
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
