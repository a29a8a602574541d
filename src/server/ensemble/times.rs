//! How long a member was without a leader, for its metrics. Answers to what `QuorumPeer` and `FastLeaderElection` measure.

use std::time::Instant;

use crate::admin::metrics::Metrics;
use crate::zab::Status;

pub(super) struct Times {
    /// `None` while there is a leader, or one to be.
    looking: Option<Instant>,
    /// `None` while clients are served.
    unavailable: Option<Instant>,
    /// `None` while no leader brings this server up to date.
    syncing: Option<Instant>,
}

impl Times {
    /// A member begins by looking for a leader.
    pub fn begin(metrics: &Metrics) -> Times {
        metrics.looking_count.increment();
        let now = Some(Instant::now());
        Times {
            looking: now,
            unavailable: now,
            syncing: None,
        }
    }

    pub fn became(&mut self, status: Status, metrics: &Metrics) {
        self.syncing = None;
        if status == Status::Looking {
            metrics.looking_count.increment();
            self.looking.get_or_insert_with(Instant::now);
            self.unavailable.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.looking.take() {
            metrics.election_time.record(milliseconds(since));
        }
    }

    /// The leader knows this server: now it brings it up to date.
    pub fn registered(&mut self) {
        self.syncing = Some(Instant::now());
    }

    pub fn serves(&mut self, status: Status, metrics: &Metrics) {
        if let Some(since) = self.unavailable.take() {
            let ms = milliseconds(since);
            metrics.unavailable_time.record(ms);
            if status == Status::Leading {
                metrics.leader_unavailable_time.record(ms);
            }
        }
        let of_learner = match status {
            Status::Following(_) => &metrics.follower_sync_time,
            Status::Observing(_) => &metrics.observer_sync_time,
            Status::Leading | Status::Looking => return,
        };
        if let Some(since) = self.syncing.take() {
            of_learner.record(milliseconds(since));
        }
    }
}

fn milliseconds(since: Instant) -> i64 {
    since.elapsed().as_millis() as i64
}
