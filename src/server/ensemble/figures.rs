//! What a member measures of what it hears from its leader, and of its links to learners. Decides nothing.
//!
//! Answers to what `Follower`, `Observer` and `LearnerHandler` measure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::admin::metrics::{DetailedSummary, Metrics, Summary};
use crate::ids::ServerId;
use crate::net::quorum::Waits;
use crate::proto::quorum::{PacketKind, QuorumPacket};
use crate::proto::txn::TxnHeader;

/// Proposals that a follower remembers until they are committed. Of more it does not measure how long that took.
const UNCOMMITTED_MAX: usize = 4096;

/// How late the leader's word comes, by the clocks of both.
#[derive(Default)]
pub(super) struct Heard {
    /// The zxid, and when it was made.
    uncommitted: VecDeque<(i64, i64)>,
}

impl Heard {
    /// What came together at `now`, by the wall clock.
    pub fn packets(&mut self, packets: &[QuorumPacket], now: i64, metrics: &Metrics) {
        let (mut proposals, mut commits) = (0, 0);
        for packet in packets {
            match packet.kind {
                PacketKind::PROPOSAL => {
                    proposals += 1;
                    if let Some(made) = TxnHeader::time_of(packet.data_or_empty()) {
                        record(&metrics.proposal_latency, now - made);
                        if self.uncommitted.len() == UNCOMMITTED_MAX {
                            self.uncommitted.pop_front();
                        }
                        self.uncommitted.push_back((packet.zxid, made));
                    }
                }
                PacketKind::COMMIT => {
                    commits += 1;
                    if let Some(made) = self.made(packet.zxid) {
                        record(&metrics.commit_propagation_latency, now - made);
                    }
                }
                PacketKind::INFORM => {
                    commits += 1;
                    if let Some(made) = TxnHeader::time_of(packet.data_or_empty()) {
                        record(&metrics.commit_propagation_latency, now - made);
                    }
                }
                _ => {}
            }
        }
        if proposals > 0 {
            metrics.learner_proposal_received_count.add(proposals);
        }
        if commits > 0 {
            metrics.learner_commit_received_count.add(commits);
        }
    }

    fn made(&mut self, zxid: i64) -> Option<i64> {
        while self.uncommitted.front().is_some_and(|(of, _)| *of < zxid) {
            self.uncommitted.pop_front();
        }
        let found = self.uncommitted.front().filter(|(of, _)| *of == zxid);
        found.map(|(_, made)| *made)
    }
}

/// Clocks differ: what looks as if it had come before it was made says nothing.
fn record(summary: &DetailedSummary, ms: i64) {
    if ms >= 0 {
        summary.record(ms);
    }
}

/// The packets that wait for a learner.
pub(super) struct ForLearner {
    size: Arc<Summary>,
    time_ms: Arc<DetailedSummary>,
}

impl ForLearner {
    pub fn new(server: ServerId, metrics: &Metrics) -> ForLearner {
        let key = server.0.to_string();
        ForLearner {
            size: metrics.learner_handler_qp_size.of(&key),
            time_ms: metrics.learner_handler_qp_time_ms.of(&key),
        }
    }
}

impl Waits for ForLearner {
    fn sent(&self, packets: usize, waited: Duration) {
        // As in Java: what waits behind the one that is taken.
        self.size.record(packets.saturating_sub(1) as i64);
        self.time_ms.record(waited.as_millis() as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ensemble::links::tests::txn;

    /// Made at 3.
    fn with_txn(kind: PacketKind, zxid: i64) -> QuorumPacket {
        QuorumPacket::with_data(kind, zxid, txn(zxid))
    }

    #[test]
    fn proposals_and_commits_are_measured_from_when_they_were_made() {
        let (mut heard, metrics) = (Heard::default(), Metrics::default());
        let sums = |metrics: &Metrics| {
            let (proposed, committed) = (
                metrics.proposal_latency.totals(),
                metrics.commit_propagation_latency.totals(),
            );
            (
                (proposed.count, proposed.sum),
                (committed.count, committed.sum),
            )
        };
        let proposal = |zxid| with_txn(PacketKind::PROPOSAL, zxid);
        let commit = |zxid| QuorumPacket::new(PacketKind::COMMIT, zxid);
        heard.packets(&[proposal(5), proposal(6), proposal(7)], 10, &metrics);
        assert_eq!(sums(&metrics), ((3, 21), (0, 0)));
        // Of what came before this server was in step nobody knows when it was made.
        heard.packets(&[commit(4), commit(5), commit(7)], 13, &metrics);
        assert_eq!(sums(&metrics), ((3, 21), (2, 20)));
        // The leader's clock is ahead.
        heard.packets(&[proposal(8), commit(8)], 1, &metrics);
        assert_eq!(sums(&metrics), ((3, 21), (2, 20)));
        heard.packets(&[with_txn(PacketKind::INFORM, 9)], 4, &metrics);
        assert_eq!(sums(&metrics), ((3, 21), (3, 21)));
        assert_eq!(metrics.learner_proposal_received_count.get(), 4);
        assert_eq!(metrics.learner_commit_received_count.get(), 5);
        for zxid in 10..10_000 {
            heard.packets(&[proposal(zxid)], 4, &metrics);
        }
        assert_eq!(heard.uncommitted.len(), UNCOMMITTED_MAX);
    }

    #[test]
    fn what_waits_for_a_learner_is_told_under_its_number() {
        let metrics = Metrics::default();
        let waits = ForLearner::new(ServerId(3), &metrics);
        waits.sent(1, Duration::ZERO);
        waits.sent(11, Duration::from_millis(7));
        let size = metrics.learner_handler_qp_size.of("3").totals();
        assert_eq!((size.count, size.min, size.max), (2, 0, 10));
        let time = metrics.learner_handler_qp_time_ms.of("3").totals();
        assert_eq!((time.count, time.max), (2, 7));
    }
}
