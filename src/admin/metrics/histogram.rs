//! Summaries with percentiles.
//!
//! Java keeps a random sample of 4096 values; here every value is counted in a bucket that is exact
//! below 128 and otherwise at most 1/64 away, which is both cheaper and steadier.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::cells::{RESET_PASSES, Summary, Totals};
use super::slot::{CELLS, Slot};
use super::{Sink, Value};

/// Values below two to this power have a bucket each; above, every power of two has half as many.
const EXACT_BITS: u32 = 7;
const EXACT: usize = 1 << EXACT_BITS;
const PER_POWER: usize = EXACT / 2;
/// Values from two to this power on (a year in milliseconds) share the last bucket.
const BITS_MAX: u32 = 35;
const BUCKETS: usize = EXACT + (BITS_MAX - EXACT_BITS) as usize * PER_POWER;

/// A summary that knows percentiles.
#[derive(Default)]
pub struct DetailedSummary {
    summary: Summary,
    // Most summaries of a server stay unused: their buckets are never allocated.
    buckets: [OnceLock<Box<[AtomicU64]>>; CELLS],
}

impl DetailedSummary {
    pub fn record(&self, value: i64) {
        self.record_many(value, 1);
    }

    /// Records `value` `count` times.
    pub fn record_many(&self, value: i64, count: u64) {
        self.summary
            .record_many(value.wrapping_mul(count as i64), value, value, count);
        let slot = Slot::of_this_thread();
        let buckets = self.buckets[slot.index()]
            .get_or_init(|| (0..BUCKETS).map(|_| AtomicU64::new(0)).collect());
        slot.add(&buckets[bucket(value)], count);
    }

    pub fn totals(&self) -> Totals {
        self.summary.totals()
    }

    /// How often each bucket was recorded.
    pub(super) fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0u64; BUCKETS];
        for cells in self.buckets.iter().filter_map(OnceLock::get) {
            for (count, cell) in counts.iter_mut().zip(cells) {
                *count += cell.load(Relaxed);
            }
        }
        counts
    }

    /// The least recorded values that are not exceeded by these fractions of all; 0 for nothing.
    pub fn percentiles<const N: usize>(&self, fractions: [f64; N]) -> [i64; N] {
        let (counts, max) = (self.counts(), self.totals().max);
        fractions.map(|fraction| percentile(&counts, max, fraction).unwrap_or(0))
    }

    /// How many values are at most `limits`, which rise.
    pub(super) fn at_most<const N: usize>(&self, limits: [i64; N]) -> [u64; N] {
        let counts = self.counts();
        limits.map(|limit| counts[..=bucket(limit)].iter().sum())
    }

    pub fn reset(&self) {
        self.summary.reset();
        for cells in self.buckets.iter().filter_map(OnceLock::get) {
            for cell in (0..RESET_PASSES).flat_map(|_| cells) {
                cell.store(0, Relaxed);
            }
        }
    }

    /// Without percentiles.
    pub(super) fn dump_plain(&self, name: &str, sink: &mut Sink<'_>) {
        self.summary.dump(name, sink);
    }

    pub(super) fn dump(&self, name: &str, sink: &mut Sink<'_>) {
        self.summary.dump(name, sink);
        let names = ["p50", "p95", "p99", "p999"];
        let values = self.percentiles([0.5, 0.95, 0.99, 0.999]);
        for (percentile, value) in names.into_iter().zip(values) {
            sink(&format!("{percentile}_{name}"), Value::Int(value));
        }
    }
}

/// `None` for nothing.
pub(super) fn percentile(counts: &[u64], max: i64, fraction: f64) -> Option<i64> {
    let all: u64 = counts.iter().sum();
    let wanted = (fraction * all as f64).ceil() as u64;
    let mut seen = 0;
    for (at, count) in counts.iter().enumerate() {
        seen += count;
        if seen > 0 && seen >= wanted {
            // A bucket must not promise more than there was.
            return Some(middle(at).min(max));
        }
    }
    None
}

fn bucket(value: i64) -> usize {
    let value = u64::try_from(value).unwrap_or(0);
    if value < EXACT as u64 {
        return value as usize;
    }
    let power = value.ilog2();
    if power >= BITS_MAX {
        return BUCKETS - 1;
    }
    let within = (value >> (power + 1 - EXACT_BITS)) as usize - PER_POWER;
    EXACT + (power - EXACT_BITS) as usize * PER_POWER + within
}

fn middle(bucket: usize) -> i64 {
    if bucket < EXACT {
        return bucket as i64;
    }
    let above = bucket - EXACT;
    let shift = (above / PER_POWER) as u32 + 1;
    let least = ((above % PER_POWER + PER_POWER) as i64) << shift;
    least + (1 << (shift - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_of_known_values() {
        let summary = DetailedSummary::default();
        assert_eq!(summary.percentiles([0.5, 0.999]), [0, 0]);
        for value in 1..=100 {
            summary.record(value);
        }
        assert_eq!(
            summary.percentiles([0.5, 0.95, 0.99, 0.999]),
            [50, 95, 99, 100]
        );
        summary.record_many(7, 10_000);
        assert_eq!(summary.percentiles([0.5, 0.99]), [7, 7]);
        assert_eq!(summary.totals().count, 10_100);
        assert_eq!(summary.totals().sum, 5_050 + 70_000);
    }

    #[test]
    fn strange_values_find_a_bucket() {
        for value in [i64::MIN, -1, 0, 1, 1 << 35, i64::MAX] {
            assert!(bucket(value) < BUCKETS);
        }
        assert_eq!(bucket((1 << 35) - 1), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn buckets_are_near_their_values(value in 0i64..1 << 35) {
            let found = middle(bucket(value));
            prop_assert!((found - value).abs() <= value / 64, "{} {}", value, found);
        }
    }
}
