//! The ensemble as whoever judges a leader's requests has to know it.
//!
//! Must not know how members are told of a change. Answers to what `PrepRequestProcessor` asks `QuorumPeer` and
//! `Leader`.

use crate::ids::ServerId;
use crate::membership::Membership;
use crate::membership::change::Limits;

pub struct Members {
    id: ServerId,
    pub limits: Limits,
    is_quorum: QuorumRule,
    /// The version of the configuration in force.
    committed: i64,
    /// The newest one, be it only a transaction that is not proposed yet.
    last_seen: Membership,
    /// Followers that have the leader's history.
    synced: Vec<ServerId>,
}

/// Whether those for which the predicate holds are enough of these members.
pub type QuorumRule = fn(&Membership, &dyn Fn(ServerId) -> bool) -> bool;

impl Members {
    pub fn new(
        id: ServerId,
        limits: Limits,
        is_quorum: QuorumRule,
        committed: &Membership,
    ) -> Self {
        Members {
            id,
            limits,
            is_quorum,
            committed: committed.version,
            last_seen: committed.clone(),
            synced: Vec::new(),
        }
    }

    pub fn last_seen(&self) -> &Membership {
        &self.last_seen
    }

    /// One at a time: until it is in force nobody may make another.
    pub fn is_changing(&self) -> bool {
        self.last_seen.version != self.committed
    }

    /// Enough of them could agree at once, so that a change to them does not leave the ensemble without a quorum.
    pub fn are_synced(&self, of: &Membership) -> bool {
        (self.is_quorum)(of, &|id| id == self.id || self.synced.contains(&id))
    }

    /// A transaction was made that changes the members to these.
    pub fn propose(&mut self, next: Membership) {
        self.last_seen = next;
    }

    /// These are in force.
    pub fn commit(&mut self, committed: &Membership) {
        self.committed = self.committed.max(committed.version);
        if committed.version > self.last_seen.version {
            self.last_seen = committed.clone();
        }
    }

    pub fn set_synced(&mut self, synced: Vec<ServerId>) {
        self.synced = synced;
    }
}
