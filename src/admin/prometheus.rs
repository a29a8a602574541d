//! Metrics as Prometheus reads them, in the form of the Java client that ZooKeeper 3.9 has: names without suffixes, the
//! name as its own help, doubles as Java prints them.
//!
//! Text only: whoever has figures puts them in. Answers to `TextFormat` of that client.

use std::fmt::Write;

use super::java_text::Double;

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The quantiles of summaries: those of 3.9, and the one that later releases have instead.
pub const DETAILED_QUANTILES: [(&str, f64); 4] =
    [("0.5", 0.5), ("0.9", 0.9), ("0.95", 0.95), ("0.99", 0.99)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Summary,
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Summary => "summary",
            Kind::Histogram => "histogram",
        }
    }
}

/// The text under way.
#[derive(Default)]
pub struct Exposition {
    text: String,
    /// Samples of these names alone; empty: all.
    wanted: Vec<String>,
    /// Of the family that has begun and has no sample yet.
    head: String,
}

impl Exposition {
    pub fn new(wanted: Vec<String>) -> Exposition {
        Exposition {
            wanted,
            ..Exposition::default()
        }
    }

    /// What follows are samples of this family.
    pub fn family(&mut self, name: &str, kind: Kind) {
        self.head.clear();
        let kind = kind.name();
        write!(self.head, "# HELP {name} {name}\n# TYPE {name} {kind}\n")
            .expect("a String takes everything");
    }

    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        if !self.wanted.is_empty() && !self.wanted.iter().any(|wanted| wanted == name) {
            return;
        }
        self.text.push_str(&self.head);
        self.head.clear();
        self.text.push_str(name);
        if !labels.is_empty() {
            self.text.push('{');
            for (label, value) in labels {
                self.text.push_str(label);
                self.text.push_str("=\"");
                self.escaped(value);
                self.text.push_str("\",");
            }
            self.text.push('}');
        }
        let value = match value {
            f64::INFINITY => "+Inf".to_owned(),
            f64::NEG_INFINITY => "-Inf".to_owned(),
            value => Double(value).to_string(),
        };
        writeln!(self.text, " {value}").expect("a String takes everything");
    }

    fn escaped(&mut self, value: &str) {
        for c in value.chars() {
            match c {
                '\\' => self.text.push_str("\\\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str("\\n"),
                c => self.text.push(c),
            }
        }
    }

    /// A family of one sample.
    pub fn single(&mut self, name: &str, kind: Kind, value: f64) {
        self.family(name, kind);
        self.sample(name, &[], value);
    }

    pub fn gauge(&mut self, name: &str, value: f64) {
        self.single(name, Kind::Gauge, value);
    }

    pub fn counter(&mut self, name: &str, value: u64) {
        self.single(name, Kind::Counter, value as f64);
    }

    pub fn text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_the_java_client() {
        let mut all = Exposition::default();
        all.counter("commit_count", 10);
        all.gauge("znode_count", 1e7);
        all.family("write_per_namespace", Kind::Summary);
        let key = ("key", "a\"b\\c\n");
        all.sample("write_per_namespace", &[key, ("quantile", "0.5")], f64::NAN);
        all.sample("write_per_namespace_count", &[key], 1.0);
        all.family("empty", Kind::Summary);
        assert_eq!(
            all.text(),
            "# HELP commit_count commit_count\n# TYPE commit_count counter\ncommit_count 10.0\n\
             # HELP znode_count znode_count\n# TYPE znode_count gauge\nznode_count 1.0E7\n\
             # HELP write_per_namespace write_per_namespace\n# TYPE write_per_namespace summary\n\
             write_per_namespace{key=\"a\\\"b\\\\c\\n\",quantile=\"0.5\",} NaN\n\
             write_per_namespace_count{key=\"a\\\"b\\\\c\\n\",} 1.0\n"
        );
    }

    #[test]
    fn samples_that_are_asked_for() {
        let mut some = Exposition::new(vec!["b_count".to_owned()]);
        some.counter("a", 1);
        some.family("b", Kind::Summary);
        some.sample("b", &[("quantile", "0.5")], 1.0);
        some.sample("b_count", &[], 2.0);
        assert_eq!(some.text(), "# HELP b b\n# TYPE b summary\nb_count 2.0\n");
    }
}
