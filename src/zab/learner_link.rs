//! One learner, as its leader sees it: how far the conversation has come.
//!
//! Must not know other learners. Where a learner stands is a zxid, not a queue: what is held back for it is in the
//! log or among the proposals, and is read when it is let go. Answers to `LearnerHandler`.
//!
//! ```text
//! Connected -> Greeted -> Promising -> Promised -> Syncing -> Synced -> Live
//!   FOLLOWERINFO   LEADERINFO   ACKEPOCH    NEWLEADER    ACK     UPTODATE
//! ```

use crate::ids::{ServerId, Zxid};

use super::sync_plan::SyncPlan;
use super::{PeerConfig, Timestamp};

#[derive(Debug)]
pub(super) struct LearnerLink {
    /// Negative and its own for one that does not say.
    pub(super) server: ServerId,
    pub(super) is_observer: bool,
    /// When it last said something.
    pub(super) heard: Timestamp,
    pub(super) accepted_at: Timestamp,
    pub(super) phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connected,
    /// Who it is is known; the epoch is not.
    Greeted,
    /// LEADERINFO went out.
    Promising,
    /// ACKEPOCH came, with the end of its log. Not enough others did the same yet.
    Promised(Zxid),
    /// All went out that it needs, up to `position`, and NEWLEADER behind it. What is proposed or committed is held.
    Syncing {
        position: Zxid,
        by_snapshot: bool,
        /// The snapshot is on its way to it, so it has nothing to say.
        is_receiving: bool,
    },
    /// It acknowledged NEWLEADER, and waits for me to serve.
    Synced {
        position: Zxid,
    },
    Live {
        acked: Zxid,
        since: Timestamp,
    },
}

impl LearnerLink {
    pub(super) fn new(now: Timestamp) -> LearnerLink {
        LearnerLink {
            server: ServerId(i64::MIN),
            is_observer: false,
            heard: now,
            accepted_at: now,
            phase: Phase::Connected,
        }
    }

    /// It is brought up to date in this way, and has not said yet that it is.
    fn is_syncing(&self, with_snapshot: bool) -> bool {
        matches!(self.phase, Phase::Syncing { by_snapshot, .. } if by_snapshot == with_snapshot)
    }

    pub(super) fn is_greeted(&self) -> bool {
        self.phase != Phase::Connected
    }

    pub(super) fn is_follower(&self, server: ServerId) -> bool {
        self.server == server && !self.is_observer && self.is_greeted()
    }

    /// It has the history that this leader began with.
    pub(super) fn is_synced(&self) -> bool {
        matches!(self.phase, Phase::Synced { .. } | Phase::Live { .. })
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    /// NEWLEADER went out: from now on only pings show it that I live.
    pub(super) fn is_pinged(&self) -> bool {
        self.is_synced() || matches!(self.phase, Phase::Syncing { .. })
    }

    /// So much of the log is durable there, by its own word.
    pub(super) fn acked(&self) -> Option<Zxid> {
        match self.phase {
            Phase::Synced { position } => Some(position),
            Phase::Live { acked, .. } => Some(acked),
            _ => None,
        }
    }

    /// It counts as alive as long as it was heard of lately; at first it has more time.
    pub(super) fn is_alive(&self, now: Timestamp, config: &PeerConfig) -> bool {
        let lately = self.heard.after(config.tick_ms * config.sync_limit);
        let both = config.init_limit + config.sync_limit;
        let at_first = self.accepted_at.after(config.tick_ms * both);
        now <= lately || (!self.is_live() && now <= at_first)
    }

    /// When it should have said something. `None` while it waits for this server or for a snapshot.
    pub(super) fn silent_at(&self, config: &PeerConfig) -> Option<Timestamp> {
        let ticks = match self.phase {
            Phase::Greeted | Phase::Promised(_) => return None,
            Phase::Syncing { is_receiving, .. } if is_receiving => return None,
            Phase::Connected | Phase::Promising | Phase::Syncing { .. } => config.init_limit,
            // It answers no ping before UPTODATE.
            Phase::Synced { .. } => return None,
            Phase::Live { .. } => config.sync_limit,
        };
        Some(self.heard.after(config.tick_ms * ticks))
    }
}

/// How many of these are brought up to date in this way.
pub(super) fn syncs_under_way<'a>(
    links: impl Iterator<Item = &'a LearnerLink>,
    with_snapshot: bool,
) -> u64 {
    links
        .filter(|learner| learner.is_syncing(with_snapshot))
        .count() as u64
}

/// Whether `learner`, one of `links`, may be brought up to date in this way now: observers wait for their turn, all others
/// are needed. Answers to `LearnerSyncThrottler`.
pub(super) fn may_sync<'a>(
    learner: &LearnerLink,
    plan: SyncPlan,
    links: impl Iterator<Item = &'a LearnerLink>,
    config: &PeerConfig,
) -> Result<(), String> {
    let with_snapshot = plan == SyncPlan::Snap;
    let (name, max) = match with_snapshot {
        true => ("snapshots", config.snapshot_syncs_max),
        false => ("transactions", config.diff_syncs_max),
    };
    let under_way = syncs_under_way(links, with_snapshot);
    match learner.is_observer && under_way >= max {
        true => Err(format!(
            "{under_way} learners get {name} at the moment, at most {max} may; it has to come again"
        )),
        false => Ok(()),
    }
}
