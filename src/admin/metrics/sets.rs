//! Counters and summaries by key: top-level znode names, which come from clients, and numbers of servers.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::RwLock;

use super::cells::Summary;
use super::histogram::DetailedSummary;
use super::windows::Windows;
use super::{Sink, Value};
use crate::admin::prometheus::{Exposition, Kind};

/// Keys beyond this many are not told apart: they are not recorded. Clients make keys.
const KEYS_MAX: usize = 1000;
/// More than any ensemble has. Whoever reaches a quorum port may call itself what it likes.
const LEARNERS_MAX: usize = 255;

/// Values by key. A lookup takes a read lock; only a new key takes the write lock.
struct Keyed<T, S = RandomState> {
    entries: RwLock<HashMap<Box<str>, T, S>>,
}

impl<T, S: Default> Default for Keyed<T, S> {
    fn default() -> Self {
        Keyed {
            entries: RwLock::new(HashMap::default()),
        }
    }
}

impl<T: Default, S: BuildHasher> Keyed<T, S> {
    fn with(&self, key: &str, record: impl Fn(&T)) {
        if let Some(value) = self.entries.read().get(key) {
            return record(value);
        }
        let mut entries = self.entries.write();
        if entries.len() < KEYS_MAX || entries.contains_key(key) {
            record(entries.entry(key.into()).or_default());
        }
    }
}

impl<T: Default, S: BuildHasher> Keyed<Arc<T>, S> {
    /// For whoever records under the key of one learner only: without a lookup.
    fn of(&self, key: &str) -> Arc<T> {
        let mut entries = self.entries.write();
        match entries.len() < LEARNERS_MAX || entries.contains_key(key) {
            true => entries.entry(key.into()).or_default().clone(),
            false => Arc::default(),
        }
    }
}

/// A counter for each key.
#[derive(Default)]
pub struct CounterSet {
    keyed: Keyed<AtomicU64>,
}

impl CounterSet {
    pub fn increment(&self, key: &str) {
        self.keyed.with(key, |counter| {
            counter.fetch_add(1, Relaxed);
        });
    }

    pub(super) fn reset(&self) {
        for counter in self.keyed.entries.read().values() {
            counter.store(0, Relaxed);
        }
    }

    pub(super) fn dump(&self, name: &str, sink: &mut Sink<'_>) {
        for (key, counter) in self.keyed.entries.read().iter() {
            sink(
                &format!("{key}_{name}"),
                Value::Int(counter.load(Relaxed) as i64),
            );
        }
    }
}

impl CounterSet {
    pub(super) fn expose(&self, name: &str, out: &mut Exposition) {
        out.family(name, Kind::Counter);
        for (key, counter) in self.keyed.entries.read().iter() {
            out.sample(name, &[("key", key)], counter.load(Relaxed) as f64);
        }
    }
}

/// A summary for each key.
#[derive(Default)]
pub struct SummarySet {
    // A table that grows moves pointers instead of cache lines.
    keyed: Keyed<Arc<Summary>>,
}

impl SummarySet {
    pub fn of(&self, key: &str) -> Arc<Summary> {
        self.keyed.of(key)
    }

    pub fn record(&self, key: &str, value: i64) {
        self.record_many(key, value, value, value, 1);
    }

    /// As `Summary::record_many`. Looking up the key is the larger part of the cost: add up first.
    pub fn record_many(&self, key: &str, sum: i64, min: i64, max: i64, count: u64) {
        self.keyed
            .with(key, |summary| summary.record_many(sum, min, max, count));
    }

    pub(super) fn reset(&self) {
        for summary in self.keyed.entries.read().values() {
            summary.reset();
        }
    }

    pub(super) fn dump(&self, name: &str, sink: &mut Sink<'_>) {
        for (key, summary) in self.keyed.entries.read().iter() {
            summary.dump(&format!("{key}_{name}"), sink);
        }
    }
}

impl SummarySet {
    /// A series that is not there breaks panels: there is one of `always`, if there is no other.
    pub(super) fn expose(&self, name: &str, always: Option<&str>, out: &mut Exposition) {
        out.family(name, Kind::Summary);
        let entries = self.keyed.entries.read();
        let nothing = Arc::<Summary>::default();
        let first = always.filter(|_| entries.is_empty());
        let first = first.map(|key| (key, &nothing));
        let all = entries.iter().map(|(key, summary)| (&**key, summary));
        for (key, summary) in first.into_iter().chain(all) {
            let (totals, key) = (summary.totals(), ("key", key));
            // Of a set no percentiles are kept; Java's are unknown whenever little was recorded of late.
            out.sample(name, &[key, ("quantile", "0.5")], f64::NAN);
            out.sample(&format!("{name}_count"), &[key], totals.count as f64);
            out.sample(&format!("{name}_sum"), &[key], totals.sum as f64);
        }
    }
}

/// A summary with percentiles for each key.
#[derive(Default)]
pub struct DetailedSummarySet {
    keyed: Keyed<Arc<DetailedSummary>>,
}

impl DetailedSummarySet {
    pub fn of(&self, key: &str) -> Arc<DetailedSummary> {
        self.keyed.of(key)
    }

    pub(super) fn reset(&self) {
        for summary in self.keyed.entries.read().values() {
            summary.reset();
        }
    }

    /// As in Java a key is there once something was recorded under it.
    pub(super) fn dump(&self, name: &str, sink: &mut Sink<'_>) {
        let entries = self.keyed.entries.read();
        let recorded = entries.iter().filter(|(_, s)| s.totals().count > 0);
        for (key, summary) in recorded {
            summary.dump(&format!("{key}_{name}"), sink);
        }
    }

    pub(super) fn expose(
        &self,
        name: &'static str,
        windows: &mut Windows,
        quantiles: &[(&str, f64)],
        out: &mut Exposition,
    ) {
        out.family(name, Kind::Summary);
        for (key, summary) in self.keyed.entries.read().iter() {
            windows.expose_one((name, Some(key)), summary, quantiles, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_measured_is_not_among_the_words() {
        let set = DetailedSummarySet::default();
        let (slow, _silent) = (set.of("1"), set.of("2"));
        slow.record(7);
        let mut names = Vec::new();
        set.dump("ack_latency", &mut |name, _| names.push(name.to_owned()));
        assert!(names.contains(&"cnt_1_ack_latency".to_owned()), "{names:?}");
        assert!(!names.iter().any(|name| name.contains('2')), "{names:?}");
    }

    #[test]
    fn clients_cannot_make_keys_without_bound() {
        let set = CounterSet::default();
        for round in 0..2 {
            for key in 0..2 * KEYS_MAX {
                set.increment(&format!("key{key}-{}", key % 2 * round));
            }
        }
        let mut keys = 0;
        set.dump("m", &mut |_, _| keys += 1);
        assert_eq!(keys, KEYS_MAX);
        set.increment("key0-0");
        let mut first = None;
        set.dump("m", &mut |name, value| {
            if name == "key0-0_m" {
                first = Some(value);
            }
        });
        assert_eq!(first, Some(Value::Int(3)));
    }

    #[test]
    fn of_a_learner_that_was_heard_of_there_is_everything_at_once() {
        let (sizes, times) = (SummarySet::default(), DetailedSummarySet::default());
        let mut windows = Windows::new(std::time::Instant::now());
        let mut text = |sizes: &SummarySet, times: &DetailedSummarySet| {
            let mut out = Exposition::new(Vec::new());
            sizes.expose("size", None, &mut out);
            times.expose("time", &mut windows, &[("0.5", 0.5)], &mut out);
            out.text()
        };
        assert!(!text(&sizes, &times).contains("key"));
        let (size, time) = (sizes.of("2"), times.of("2"));
        let found = text(&sizes, &times);
        for line in ["size_sum{key=\"2\",} 0.0", "time_count{key=\"2\",} 0.0"] {
            assert!(found.contains(line), "{line} in\n{found}");
        }
        size.record(5);
        time.record(7);
        let found = text(&sizes, &times);
        for line in [
            "size_sum{key=\"2\",} 5.0",
            "time{key=\"2\",quantile=\"0.5\",} 7.0",
            "time_sum{key=\"2\",} 7.0",
        ] {
            assert!(found.contains(line), "{line} in\n{found}");
        }
        let mut dumped = Vec::new();
        times.dump("time", &mut |name, _| dumped.push(name.to_owned()));
        for name in ["avg_2_time", "p99_2_time"] {
            assert!(dumped.iter().any(|one| one == name), "{name}: {dumped:?}");
        }
    }
}
