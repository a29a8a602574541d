//! Quantiles of the last minutes: what was recorded since some time ago, found by subtracting what there was then.
//!
//! Nothing is kept beside what is recorded anyway; whoever reads remembers what it read. Answers to the age buckets of
//! the Java client's summaries.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::DetailedSummary;
use super::histogram::percentile;
use crate::admin::prometheus::{Exposition, Kind};

/// Quantiles are of at least so long, and of at most twice that.
const WINDOW: Duration = Duration::from_secs(300);

/// What was read before.
pub struct Windows {
    older: HashMap<(&'static str, Box<str>), Vec<u64>>,
    newer: HashMap<(&'static str, Box<str>), Vec<u64>>,
    /// When `newer` was begun.
    since: Instant,
    /// Whether this reading is remembered.
    remembers: bool,
}

impl Windows {
    pub fn new(now: Instant) -> Windows {
        Windows {
            older: HashMap::new(),
            newer: HashMap::new(),
            since: now,
            remembers: false,
        }
    }

    /// A reading begins.
    pub fn begin(&mut self, now: Instant) {
        self.remembers = now.saturating_duration_since(self.since) >= WINDOW;
        if self.remembers {
            self.older = std::mem::take(&mut self.newer);
            self.since = now;
        }
    }

    pub(super) fn expose(
        &mut self,
        name: &'static str,
        summary: &DetailedSummary,
        quantiles: &[(&str, f64)],
        out: &mut Exposition,
    ) {
        out.family(name, Kind::Summary);
        self.expose_one((name, None), summary, quantiles, out);
    }

    /// Of a set, the one with this key.
    pub(super) fn expose_one(
        &mut self,
        (name, key): (&'static str, Option<&str>),
        summary: &DetailedSummary,
        quantiles: &[(&str, f64)],
        out: &mut Exposition,
    ) {
        let totals = summary.totals();
        let remembered = (name, key.unwrap_or_default().into());
        let mut recent = Vec::new();
        if totals.count > 0 {
            let counts = summary.counts();
            recent = match self.older.get(&remembered) {
                // After a reset there may be fewer than before.
                Some(older) => counts
                    .iter()
                    .zip(older)
                    .map(|(now, then)| now.checked_sub(*then).unwrap_or(*now))
                    .collect(),
                None => counts.clone(),
            };
            if self.remembers {
                self.newer.insert(remembered, counts);
            }
        }
        let label = key.map(|key| ("key", key));
        for (quantile, fraction) in quantiles {
            let value = percentile(&recent, totals.max, *fraction);
            let value = value.map_or(f64::NAN, |value| value as f64);
            let labels: Vec<_> = label.into_iter().chain([("quantile", *quantile)]).collect();
            out.sample(name, &labels, value);
        }
        let labels = label.as_slice();
        out.sample(&format!("{name}_count"), labels, totals.count as f64);
        out.sample(&format!("{name}_sum"), labels, totals.sum as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn median(windows: &mut Windows, now: Instant, summary: &DetailedSummary) -> String {
        let mut out = Exposition::new(vec!["m".to_owned()]);
        windows.begin(now);
        windows.expose("m", summary, &[("0.5", 0.5)], &mut out);
        let text = out.text();
        text.lines().last().unwrap_or_default().to_owned()
    }

    #[test]
    fn old_values_are_forgotten() {
        let begin = Instant::now();
        let at = |windows: u32| begin + WINDOW * windows;
        let summary = DetailedSummary::default();
        let mut windows = Windows::new(begin);
        assert_eq!(
            median(&mut windows, at(0), &summary),
            "m{quantile=\"0.5\",} NaN"
        );
        summary.record_many(5, 10);
        assert_eq!(
            median(&mut windows, at(0), &summary),
            "m{quantile=\"0.5\",} 5.0"
        );
        assert_eq!(
            median(&mut windows, at(1), &summary),
            "m{quantile=\"0.5\",} 5.0"
        );
        summary.record(100);
        assert_eq!(
            median(&mut windows, at(2), &summary),
            "m{quantile=\"0.5\",} 100.0"
        );
        assert_eq!(
            median(&mut windows, at(3), &summary),
            "m{quantile=\"0.5\",} NaN"
        );
        summary.reset();
        summary.record(7);
        assert_eq!(
            median(&mut windows, at(3), &summary),
            "m{quantile=\"0.5\",} 7.0"
        );
    }
}
