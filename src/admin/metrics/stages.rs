//! How long the stages of a request take, as histograms: unlike the quantiles of summaries, those of several servers can
//! be added up. In microseconds here, in seconds where they are shown. These are no metrics of Java's.

use super::DetailedSummary;
use crate::admin::prometheus::{Exposition, Kind};

#[derive(Default)]
pub struct Stages {
    /// From the bytes of a batch of requests to the answers of its reads.
    pub read: DetailedSummary,
    /// From a write's frame to its answer.
    pub write: DetailedSummary,
    /// A group of transactions into the log.
    pub sync: DetailedSummary,
    /// A group of transactions into the tree, with the answers.
    pub apply: DetailedSummary,
}

const LIMITS_US: [i64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

impl Stages {
    pub fn expose(&self, out: &mut Exposition) {
        for (name, stage) in [
            ("ferrokeeper_read_seconds", &self.read),
            ("ferrokeeper_write_seconds", &self.write),
            ("ferrokeeper_log_sync_seconds", &self.sync),
            ("ferrokeeper_apply_seconds", &self.apply),
        ] {
            let (bucket, totals) = (format!("{name}_bucket"), stage.totals());
            out.family(name, Kind::Histogram);
            for (limit, count) in LIMITS_US.iter().zip(stage.at_most(LIMITS_US)) {
                let limit = (*limit as f64 / 1e6).to_string();
                out.sample(&bucket, &[("le", &limit)], count as f64);
            }
            out.sample(&bucket, &[("le", "+Inf")], totals.count as f64);
            out.sample(&format!("{name}_sum"), &[], totals.sum as f64 / 1e6);
            out.sample(&format!("{name}_count"), &[], totals.count as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let stages = Stages::default();
        for us in [10, 50, 60, 900, 20_000_000] {
            stages.sync.record(us);
        }
        let mut out = Exposition::new(vec!["ferrokeeper_log_sync_seconds_bucket".to_owned()]);
        stages.expose(&mut out);
        let text = out.text();
        for line in [
            "ferrokeeper_log_sync_seconds_bucket{le=\"0.00005\",} 2.0",
            "ferrokeeper_log_sync_seconds_bucket{le=\"0.0001\",} 3.0",
            "ferrokeeper_log_sync_seconds_bucket{le=\"0.001\",} 4.0",
            "ferrokeeper_log_sync_seconds_bucket{le=\"10\",} 4.0",
            "ferrokeeper_log_sync_seconds_bucket{le=\"+Inf\",} 5.0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
