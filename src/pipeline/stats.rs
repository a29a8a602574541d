//! Counters of what passes through. Written by many, in batches; read by those who watch the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::client::ClientStats;
use crate::admin::metrics::{Metrics, Stages};

pub struct Stats {
    pub received: AtomicU64,
    pub sent: AtomicU64,
    pub answered: AtomicU64,
    pub latency_total_ms: AtomicI64,
    pub latency_min_ms: AtomicI64,
    pub latency_max_ms: AtomicI64,
    pub auth_failed: AtomicU64,
    /// TLS handshakes under way.
    pub handshakes: AtomicU64,
    pub non_mtls_local: AtomicU64,
    pub non_mtls_remote: AtomicU64,
    pub expired: AtomicU64,
    pub proposal_bytes: ProposalBytes,
    pub metrics: Arc<Metrics>,
    pub stages: Stages,
}

/// How large proposals are, while leading; -1 before the first. Answers to `BufferStats`.
pub struct ProposalBytes {
    pub last: AtomicI64,
    pub min: AtomicI64,
    pub max: AtomicI64,
}

impl Default for ProposalBytes {
    fn default() -> Self {
        ProposalBytes {
            last: AtomicI64::new(NOTHING_PROPOSED),
            min: AtomicI64::new(NOTHING_PROPOSED),
            max: AtomicI64::new(NOTHING_PROPOSED),
        }
    }
}

const NOTHING_PROPOSED: i64 = -1;

impl ProposalBytes {
    /// Called by who writes the log alone.
    pub fn proposed(&self, sizes: impl Iterator<Item = usize>) {
        let (mut min, mut max) = (
            self.min.load(Ordering::Relaxed),
            self.max.load(Ordering::Relaxed),
        );
        for size in sizes {
            let size = size as i64;
            if min == NOTHING_PROPOSED || size < min {
                min = size;
            }
            max = max.max(size);
            self.last.store(size, Ordering::Relaxed);
        }
        self.min.store(min, Ordering::Relaxed);
        self.max.store(max, Ordering::Relaxed);
    }

    pub fn reset(&self) {
        for size in [&self.last, &self.min, &self.max] {
            size.store(NOTHING_PROPOSED, Ordering::Relaxed);
        }
    }
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            latency_total_ms: AtomicI64::new(0),
            latency_min_ms: AtomicI64::new(i64::MAX),
            latency_max_ms: AtomicI64::new(0),
            auth_failed: AtomicU64::new(0),
            handshakes: AtomicU64::new(0),
            non_mtls_local: AtomicU64::new(0),
            non_mtls_remote: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            proposal_bytes: ProposalBytes::default(),
            metrics: Arc::default(),
            stages: Stages::default(),
        }
    }
}

impl Stats {
    pub fn received(&self, requests: u64) {
        self.received.fetch_add(requests, Ordering::Relaxed);
    }

    pub fn sent(&self, packets: u64) {
        if packets > 0 {
            self.sent.fetch_add(packets, Ordering::Relaxed);
        }
    }

    /// `count` answers of which the slowest took `latency_ms`.
    pub fn answered(&self, count: u64, latency_ms: i64) {
        self.sent.fetch_add(count, Ordering::Relaxed);
        self.answered.fetch_add(count, Ordering::Relaxed);
        if latency_ms > 0 {
            self.latency_total_ms
                .fetch_add(latency_ms * count as i64, Ordering::Relaxed);
            self.latency_max_ms.fetch_max(latency_ms, Ordering::Relaxed);
        }
        if latency_ms < self.latency_min_ms.load(Ordering::Relaxed) {
            self.latency_min_ms.fetch_min(latency_ms, Ordering::Relaxed);
        }
    }

    pub fn synced(&self, txns: usize, took: Duration) {
        self.metrics.fsynctime.record(took.as_millis() as i64);
        self.metrics.sync_processor_batch_size.record(txns as i64);
        self.stages.sync.record(took.as_micros() as i64);
        // What a stage took on is what it is done with, a moment later.
        for counter in [
            &self.metrics.commit_count,
            &self.metrics.prep_processor_request_queued,
            &self.metrics.sync_processor_request_queued,
        ] {
            counter.add(txns as u64);
        }
    }

    pub fn reset(&self) {
        for counter in [
            &self.received,
            &self.sent,
            &self.answered,
            &self.auth_failed,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        self.latency_total_ms.store(0, Ordering::Relaxed);
        self.latency_min_ms.store(i64::MAX, Ordering::Relaxed);
        self.latency_max_ms.store(0, Ordering::Relaxed);
        self.proposal_bytes.reset();
    }
}

impl ClientStats {
    pub(super) fn answered(&self, count: u64, latency_ms: i64, zxid: i64, now_ms: i64) {
        self.sent.fetch_add(count, Ordering::Relaxed);
        self.answered.fetch_add(count, Ordering::Relaxed);
        self.last_zxid.store(zxid, Ordering::Relaxed);
        self.last_response_ms.store(now_ms, Ordering::Relaxed);
        self.last_latency_ms.store(latency_ms, Ordering::Relaxed);
        self.total_latency_ms
            .fetch_add(latency_ms * count as i64, Ordering::Relaxed);
        self.min_latency_ms.fetch_min(latency_ms, Ordering::Relaxed);
        self.max_latency_ms.fetch_max(latency_ms, Ordering::Relaxed);
    }

    pub fn reset(&self) {
        for counter in [&self.received, &self.sent, &self.answered] {
            counter.store(0, Ordering::Relaxed);
        }
        for counter in [
            &self.last_latency_ms,
            &self.total_latency_ms,
            &self.max_latency_ms,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        self.min_latency_ms.store(i64::MAX, Ordering::Relaxed);
        self.last_op.store(0, Ordering::Relaxed);
        self.last_xid.store(-1, Ordering::Relaxed);
        self.last_zxid.store(-1, Ordering::Relaxed);
        self.last_response_ms.store(0, Ordering::Relaxed);
    }
}
