//! The figures about requests that `stat`, `srvr` and `mntr` show and `srst` resets.
//!
//! Answers to Java's `ServerStats` and `BufferStats`.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use super::metrics::{Counter, Summary};

/// Figures of a server since its start or the last reset.
#[derive(Default)]
pub struct ServerStats {
    /// From reading a request to its answer, in milliseconds.
    pub latency_ms: Summary,
    pub packets_received: Counter,
    pub packets_sent: Counter,
    pub response_bytes: SizeStats,
    // `srst` leaves these alone.
    pub auth_failed: Counter,
    pub non_mtls_remote_connections: Counter,
    pub non_mtls_local_connections: Counter,
}

impl ServerStats {
    pub fn reset(&self) {
        self.latency_ms.reset();
        self.packets_received.reset();
        self.packets_sent.reset();
        self.response_bytes.reset();
    }
}

/// Last, least and greatest size.
pub struct SizeStats {
    last: AtomicI64,
    min: AtomicI64,
    max: AtomicI64,
}

/// Sizes at one time; -1 before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    pub last: i64,
    pub min: i64,
    pub max: i64,
}

impl Sizes {
    pub const NONE: Sizes = Sizes {
        last: -1,
        min: -1,
        max: -1,
    };
}

impl Default for SizeStats {
    fn default() -> Self {
        SizeStats {
            last: AtomicI64::new(-1),
            min: AtomicI64::new(-1),
            max: AtomicI64::new(-1),
        }
    }
}

impl SizeStats {
    pub fn record(&self, size: usize) {
        let size = size as i64;
        // Compared first: most sizes repeat, and a store would take the line from other threads.
        if self.last.load(Relaxed) != size {
            self.last.store(size, Relaxed);
        }
        if self.max.load(Relaxed) < size {
            self.max.fetch_max(size, Relaxed);
        }
        let min = self.min.load(Relaxed);
        if min == -1 || size < min {
            self.min.store(size, Relaxed);
        }
    }

    pub fn get(&self) -> Sizes {
        Sizes {
            last: self.last.load(Relaxed),
            min: self.min.load(Relaxed),
            max: self.max.load(Relaxed),
        }
    }

    pub fn reset(&self) {
        for size in [&self.last, &self.min, &self.max] {
            size.store(-1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let stats = ServerStats::default();
        assert_eq!(stats.response_bytes.get(), Sizes::NONE);
        for size in [20, 10, 30, 16] {
            stats.response_bytes.record(size);
        }
        let sizes = Sizes {
            last: 16,
            min: 10,
            max: 30,
        };
        assert_eq!(stats.response_bytes.get(), sizes);
        stats.auth_failed.increment();
        stats.packets_sent.increment();
        stats.reset();
        assert_eq!(stats.response_bytes.get(), Sizes::NONE);
        assert_eq!(stats.packets_sent.get(), 0);
        assert_eq!(stats.auth_failed.get(), 1);
    }
}
