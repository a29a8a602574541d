//! Counts, latencies and resources of one measurement, as a line for people and as JSON for the comparison.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::epoll::now_ns;
use crate::process::{self, Sample};

/// Latencies above this are counted as this.
const LATENCY_NS_MAX: u64 = 100_000_000_000;

const PERCENTILES: [(&str, f64); 6] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99_9", 0.999),
    ("p99_99", 0.9999),
    ("max", 1.0),
];

/// Collects while a work runs; only what happens between `start` and `stop` counts.
pub struct Meter {
    pids: Vec<u32>,
    measuring: bool,
    start_ns: u64,
    stop_ns: u64,
    pub done: u64,
    latencies: Histogram<u64>,
    errors: BTreeMap<i32, u64>,
    before: Option<Sample>,
    after: Option<Sample>,
    own_before: Option<Sample>,
    own_after: Option<Sample>,
    per_second: Vec<u64>,
}

impl Meter {
    pub fn new(pids: &[u32]) -> Result<Meter> {
        Ok(Meter {
            pids: pids.to_vec(),
            measuring: false,
            start_ns: 0,
            stop_ns: 0,
            done: 0,
            latencies: Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?,
            errors: BTreeMap::new(),
            before: None,
            after: None,
            own_before: None,
            own_after: None,
            per_second: Vec::new(),
        })
    }

    pub fn start(&mut self) -> Result<()> {
        self.before = process::sum(&self.pids)?;
        self.own_before = Some(process::sample(std::process::id())?);
        self.start_ns = now_ns();
        self.measuring = true;
        Ok(())
    }

    pub fn stop(&mut self) -> Result<()> {
        self.measuring = false;
        self.stop_ns = now_ns();
        self.after = process::sum(&self.pids)?;
        self.own_after = Some(process::sample(std::process::id())?);
        Ok(())
    }

    pub fn is_measuring(&self) -> bool {
        self.measuring
    }

    /// `weight` operations came to their end at `now`, that began at `begun`.
    #[inline]
    pub fn record(&mut self, begun: u64, now: u64, weight: u64) {
        if !self.measuring {
            return;
        }
        self.done += weight;
        self.latencies
            .saturating_record(now.saturating_sub(begun).max(1));
        let second = (now.saturating_sub(self.start_ns) / 1_000_000_000) as usize;
        if self.per_second.len() <= second {
            self.per_second.resize(second + 1, 0);
        }
        self.per_second[second] += weight;
    }

    /// An answer that no work expects. It counts in the warm-up too: a wrong answer is wrong at any time.
    pub fn error(&mut self, code: i32) {
        *self.errors.entry(code).or_default() += 1;
    }

    pub fn report(self, work: &str, unit: &'static str) -> Report {
        let seconds = self.stop_ns.saturating_sub(self.start_ns) as f64 / 1e9;
        let per = |a: Option<Sample>, b: Option<Sample>| Some(b?.cpu_us - a?.cpu_us);
        Report {
            work: work.to_string(),
            unit,
            connections: 0,
            depth: 0,
            seconds,
            done: self.done,
            latencies: self.latencies,
            errors: self.errors,
            cpu_us: per(self.before, self.after),
            own_cpu_us: per(self.own_before, self.own_after),
            rss_before_kib: self.before.map(|s| s.rss_kib),
            rss_after_kib: self.after.map(|s| s.rss_kib),
            per_second: self.per_second,
            extra: Vec::new(),
        }
    }
}

pub struct Report {
    pub work: String,
    pub unit: &'static str,
    pub connections: usize,
    pub depth: usize,
    pub seconds: f64,
    pub done: u64,
    latencies: Histogram<u64>,
    errors: BTreeMap<i32, u64>,
    cpu_us: Option<f64>,
    own_cpu_us: Option<f64>,
    rss_before_kib: Option<u64>,
    rss_after_kib: Option<u64>,
    per_second: Vec<u64>,
    /// Figures that only this work has.
    pub extra: Vec<(&'static str, f64)>,
}

impl Report {
    pub fn failure(&self) -> Option<String> {
        if !self.errors.is_empty() {
            let list: Vec<String> = self
                .errors
                .iter()
                .map(|(code, n)| format!("{n} x error {code}"))
                .collect();
            return Some(format!(
                "{}: unexpected answers: {}",
                self.work,
                list.join(", ")
            ));
        }
        (self.done == 0).then(|| format!("{}: nothing was completed", self.work))
    }

    fn per_op(&self, us: Option<f64>) -> Option<f64> {
        us.map(|us| us / self.done.max(1) as f64)
    }

    pub fn line(&self) -> String {
        let mut line = format!(
            "{:<10} {:>4} x {:<4} {:>10.0} {}/s",
            self.work,
            self.connections,
            self.depth,
            self.done as f64 / self.seconds.max(1e-9),
            self.unit
        );
        if !self.latencies.is_empty() {
            line.push_str("  us:");
            for (name, q) in PERCENTILES {
                let _ = write!(
                    line,
                    " {name} {:.1}",
                    self.latencies.value_at_quantile(q) as f64 / 1e3
                );
            }
        }
        if let Some(us) = self.per_op(self.cpu_us) {
            let _ = write!(line, "  server CPU {us:.2} us/op");
        }
        if let Some(us) = self.per_op(self.own_cpu_us) {
            let _ = write!(line, "  own CPU {us:.2} us/op");
        }
        if let (Some(a), Some(b)) = (self.rss_before_kib, self.rss_after_kib) {
            let _ = write!(
                line,
                "  RSS {:.1} -> {:.1} MB",
                a as f64 / 1e3 * 1.024,
                b as f64 / 1e3 * 1.024
            );
        }
        for (name, value) in &self.extra {
            let _ = write!(line, "  {name} {value:.1}");
        }
        for (code, n) in &self.errors {
            let _ = write!(line, "  ERROR {code} x {n}");
        }
        line
    }

    pub fn json(&self) -> String {
        let mut fields = vec![
            format!("\"work\":\"{}\"", self.work),
            format!("\"unit\":\"{}\"", self.unit),
            format!("\"connections\":{}", self.connections),
            format!("\"depth\":{}", self.depth),
            format!("\"seconds\":{:.3}", self.seconds),
            format!("\"done\":{}", self.done),
            format!(
                "\"per_second\":{:.1}",
                self.done as f64 / self.seconds.max(1e-9)
            ),
            format!("\"errors\":{}", self.errors.values().sum::<u64>()),
        ];
        if !self.latencies.is_empty() {
            fields.push(format!("\"mean_us\":{:.2}", self.latencies.mean() / 1e3));
            for (name, q) in PERCENTILES {
                fields.push(format!(
                    "\"{name}_us\":{:.2}",
                    self.latencies.value_at_quantile(q) as f64 / 1e3
                ));
            }
        }
        let optional = [
            ("cpu_us_total", self.cpu_us),
            ("cpu_us_per_op", self.per_op(self.cpu_us)),
            ("own_cpu_us_per_op", self.per_op(self.own_cpu_us)),
            ("rss_before_kib", self.rss_before_kib.map(|v| v as f64)),
            ("rss_after_kib", self.rss_after_kib.map(|v| v as f64)),
        ];
        let given = optional
            .iter()
            .filter_map(|(name, value)| value.map(|v| (*name, v)));
        for (name, value) in given.chain(self.extra.iter().copied()) {
            fields.push(format!("\"{name}\":{value:.3}"));
        }
        let seconds: Vec<String> = self.per_second.iter().map(u64::to_string).collect();
        fields.push(format!("\"each_second\":[{}]", seconds.join(",")));
        format!("{{{}}}", fields.join(","))
    }
}
