//! Lines of the log: in the shape that pipelines for ZooKeeper's logs know, or as JSON, one object a line.
//!
//! ```text
//! 2026-01-05 10:00:02,123 [myid:1] - INFO  [main:server@120] - binding to port 0.0.0.0/0.0.0.0:2181
//! ```
//! Answers to the pattern in `logback.xml`.

use std::fmt::{self, Write as _};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::json;
use crate::timestamp;

/// Known once the configuration is.
static MY_ID: OnceLock<i64> = OnceLock::new();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Text,
    Json,
}

impl Shape {
    /// From `--log-format` or `FERROKEEPER_LOG_FORMAT`.
    pub fn named(name: &str) -> Option<Shape> {
        match name {
            "text" => Some(Shape::Text),
            "json" => Some(Shape::Json),
            _ => None,
        }
    }
}

/// From now on, what is said goes to stderr. `RUST_LOG` counts more than `level`.
pub fn begin(level: &str, shape: Shape) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .event_format(Lines(shape))
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

/// The number of this member, for every line from now on.
pub fn set_my_id(id: i64) {
    // The first is the right one.
    let _ = MY_ID.set(id);
}

struct Lines(Shape);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let about = event.metadata();
        let thread = std::thread::current();
        let line = Line {
            unix_ms: now_ms(),
            my_id: MY_ID.get().copied(),
            level: about.level().as_str(),
            thread: thread.name().unwrap_or("thread"),
            logger: about.target(),
            number: about.line().unwrap_or(0),
            said: &said,
        };
        match self.0 {
            Shape::Text => line.text(&mut out),
            Shape::Json => line.json(&mut out),
        }
    }
}

struct Line<'a> {
    unix_ms: i64,
    my_id: Option<i64>,
    level: &'a str,
    thread: &'a str,
    logger: &'a str,
    number: u32,
    said: &'a Said,
}

impl Line<'_> {
    fn text(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let time = local_time(self.unix_ms);
        let id = self.my_id.map_or(String::new(), |id| id.to_string());
        let (level, thread, number) = (self.level, self.thread, self.number);
        let logger = short(self.logger);
        write!(
            out,
            "{time} [myid:{id}] - {level:<5} [{thread}:{logger}@{number}] - "
        )?;
        out.write_str(&self.said.message)?;
        for (name, value) in &self.said.fields {
            write!(out, " {name}={value}")?;
        }
        out.write_char('\n')
    }

    fn json(&self, out: &mut impl fmt::Write) -> fmt::Result {
        write!(out, "{{\"time\":\"{}\"", utc_time(self.unix_ms))?;
        write!(out, ",\"level\":\"{}\"", self.level)?;
        if let Some(id) = self.my_id {
            write!(out, ",\"myid\":{id}")?;
        }
        for (name, value) in [("thread", self.thread), ("logger", self.logger)] {
            write!(out, ",\"{name}\":")?;
            json::quoted(out, value)?;
        }
        out.write_str(",\"message\":")?;
        json::quoted(out, &self.said.message)?;
        for (name, value) in &self.said.fields {
            out.write_char(',')?;
            json::quoted(out, name)?;
            out.write_char(':')?;
            json::quoted(out, value)?;
        }
        out.write_str("}\n")
    }
}

/// The module without the crate; the last part of a class.
fn short(logger: &str) -> &str {
    match logger.strip_prefix("ferrokeeper::") {
        Some(module) => module,
        None => logger.rsplit('.').next().unwrap_or(logger),
    }
}

/// Message and fields of an event.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.fields.push((field.name(), format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.fields.push((field.name(), value.to_owned()));
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0))
}

fn local_time(unix_ms: i64) -> String {
    let clock = timestamp::local(unix_ms).map(|tm| timestamp::clock(&tm, ' '));
    let ms = unix_ms.rem_euclid(1000);
    format!("{},{ms:03}", clock.unwrap_or_default())
}

fn utc_time(unix_ms: i64) -> String {
    let clock = timestamp::utc(unix_ms).map(|tm| timestamp::clock(&tm, 'T'));
    let ms = unix_ms.rem_euclid(1000);
    format!("{}.{ms:03}Z", clock.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn line(said: &Said) -> Line<'_> {
        Line {
            unix_ms: 1_795_235_426_042,
            my_id: Some(3),
            level: "INFO",
            thread: "main",
            logger: "ferrokeeper::server::mod",
            number: 12,
            said,
        }
    }

    #[test]
    fn both_shapes() {
        let said = Said {
            message: "binding to \"port\"".to_owned(),
            fields: vec![("remote", "/10.0.0.1:7".to_owned())],
        };
        let mut text = String::new();
        line(&said).text(&mut text).unwrap();
        // The hour depends on where the test runs.
        assert!(text.contains(":26,042 [myid:3] - INFO  [main:server::mod@12] - binding to \"port\" remote=/10.0.0.1:7\n"));
        let mut text = String::new();
        line(&said).json(&mut text).unwrap();
        assert_eq!(
            text,
            "{\"time\":\"2026-11-21T04:30:26.042Z\",\"level\":\"INFO\",\"myid\":3,\"thread\":\"main\",\
             \"logger\":\"ferrokeeper::server::mod\",\"message\":\"binding to \\\"port\\\"\",\
             \"remote\":\"/10.0.0.1:7\"}\n"
        );
    }

    #[test]
    fn loggers_are_shortened() {
        assert_eq!(short("ferrokeeper::server"), "server");
        assert_eq!(
            short("org.apache.zookeeper.audit.Slf4jAuditLogger"),
            "Slf4jAuditLogger"
        );
    }
}
