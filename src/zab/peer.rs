//! A member of an ensemble: its role, and what it keeps from one role to the next.
//!
//! Must not know how a role works; only here one role follows another, by consuming it. Answers to `QuorumPeer`.

use crate::config::Membership;
use crate::ids::{Epoch, Zxid};

use super::{Durable, Input, LearnerStatus, LogShape, Output, PeerConfig, Status, Timestamp};

/// One server's part in the protocol.
#[derive(Debug)]
pub struct Peer {
    config: PeerConfig,
    durable: Durable,
    status: Status,
}

impl Peer {
    /// Looking. Nothing happens before the first [`Peer::step`].
    pub fn new(_now: Timestamp, config: PeerConfig, durable: Durable) -> Peer {
        Peer {
            config,
            durable,
            status: Status::Looking,
        }
    }

    /// Takes what happened at `now`, and appends what to do. Time never goes back.
    pub fn step(&mut self, _now: Timestamp, _input: Input, _out: &mut Vec<Output>) {}

    /// When [`Input::Tick`] is needed at the latest.
    pub fn deadline(&self) -> Option<Timestamp> {
        None
    }

    pub fn status(&self) -> Status {
        self.status
    }

    /// On disk, or on its way there.
    pub fn accepted_epoch(&self) -> Epoch {
        self.durable.accepted_epoch
    }

    pub fn current_epoch(&self) -> Epoch {
        self.durable.current_epoch
    }

    pub fn log(&self) -> &LogShape {
        &self.durable.log
    }

    /// What was last put out by [`Output::Deliver`].
    pub fn delivered(&self) -> Zxid {
        self.durable.delivered
    }

    pub fn committed_config(&self) -> &Membership {
        &self.config.committed
    }

    pub fn last_seen_config(&self) -> &Membership {
        self.config
            .last_seen
            .as_ref()
            .unwrap_or(&self.config.committed)
    }

    /// Leading: whether this configuration could be proposed now: none is under way, and a quorum of it is synced.
    pub fn may_reconfigure(&self, _to: &Membership) -> Result<(), ReconfigRefused> {
        Err(ReconfigRefused::NotLeading)
    }

    /// Leading: the connected learners; empty otherwise.
    pub fn learners(&self) -> Vec<LearnerStatus> {
        Vec::new()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconfigRefused {
    NotLeading,
    /// -14
    InProgress,
    /// -13
    NewConfigNoQuorum,
}
