//! ZAB: election, discovery, synchronisation, broadcast, as state machines that know no socket, clock, task, disk or
//! random source. To them a transaction is bytes with a zxid.
//!
//! [`Peer::step`] takes an input and the time and says what should happen. The driver does it, keeping order for
//! each destination and for the disk. **Promises leave only after what they promise is durable**: what promises
//! something is not put out before its [`Input::Persisted`] came in. The simulator drives the same code.
//! Answers to `QuorumPeer`, `Leader`, `LearnerHandler`, `Learner`, `Follower`, `Observer`, `FastLeaderElection`.

use bytes::Bytes;

use crate::ids::Zxid;

/// Milliseconds on a clock that only goes forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// A transaction as the core sees it. The bytes are those of the wire and of the log: header, record, digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txn {
    pub zxid: Zxid,
    pub bytes: Bytes,
}
