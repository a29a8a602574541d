//! `/metrics`, for Prometheus: everything that this server counts, under the names that dashboards for ZooKeeper know, and
//! what only this server has. What is not collected costs nothing but what counting costs anyway.
//!
//! Answers to `PrometheusMetricsProvider`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::status::Status;
use super::{ServerError, resolve};
use crate::admin::four_letter::{self, ServerState, StatusSource};
use crate::admin::metrics::{Value, Windows};
use crate::admin::prometheus::{CONTENT_TYPE, Exposition, Kind};
use crate::admin::{runtime_metrics, version};
use crate::config::{Config, MetricsProvider};
use crate::net::http::{Answering, Body, HttpPort, Request, Response, Site, Transport};
use crate::storage::{LogHandle, State};

const IDLE: Duration = Duration::from_secs(30);

const STATES: [ServerState; 5] = [
    ServerState::Standalone,
    ServerState::Leader,
    ServerState::Follower,
    ServerState::Observer,
    ServerState::ReadOnly,
];

struct Exporter {
    status: Arc<Status>,
    log: LogHandle,
    state: Arc<State>,
    tells_of_process: bool,
    windows: Mutex<Windows>,
}

/// Listens, if that is wanted; that it cannot ends the server, as it ends Java's.
pub(super) fn open(
    config: &Config,
    status: Arc<Status>,
    log: LogHandle,
    state: Arc<State>,
) -> Result<Option<HttpPort>, ServerError> {
    let settings = &config.metrics;
    if settings.provider != MetricsProvider::Prometheus {
        return Ok(None);
    }
    let address = resolve(&settings.address)?;
    let tells_of_process = settings.tells_of_process;
    let exporter = Exporter {
        status,
        log,
        state,
        tells_of_process,
        windows: Mutex::new(Windows::new(Instant::now())),
    };
    let port = HttpPort::bind(address, Transport::Plain, IDLE, Arc::new(exporter))
        .map_err(|error| ServerError::Metrics { address, error })?;
    tracing::info!(
        "Starting /metrics HTTP endpoint at host: {}, port: {}, exportJvmInfo: {tells_of_process}",
        settings.address.host.as_deref().unwrap_or("0.0.0.0"),
        port.local_addr().map_or(address.port(), |at| at.port()),
    );
    Ok(Some(port))
}

impl Exporter {
    fn text(&self, wanted: Vec<String>) -> String {
        let mut out = Exposition::new(wanted);
        let state = self.status.state();
        if state.is_some() {
            let mut sink = |name: &str, value: Value| match value {
                Value::Int(value) => out.gauge(name, value as f64),
                Value::Float(value) => out.gauge(name, value),
            };
            four_letter::gauges(&*self.status, &mut sink);
        }
        let mut windows = self.windows.lock();
        windows.begin(Instant::now());
        self.status.metrics().expose(&mut windows, &mut out);
        drop(windows);
        self.own(state, &mut out);
        if self.tells_of_process {
            runtime_metrics::expose(&mut out);
        }
        out.text()
    }

    /// What Java does not have.
    fn own(&self, state: Option<ServerState>, out: &mut Exposition) {
        out.family("server_state", Kind::Gauge);
        for one in STATES {
            let value = f64::from(u8::from(state == Some(one)));
            out.sample("server_state", &[("state", one.name())], value);
        }
        let leads = matches!(state, Some(ServerState::Leader | ServerState::Standalone));
        out.gauge("is_leader", f64::from(u8::from(leads)));
        let build = "ferrokeeper_build_info";
        out.family(build, Kind::Gauge);
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("zookeeper_version", version::FULL),
        ];
        out.sample(build, &labels, 1.0);
        let pipeline = &self.status.pipeline;
        pipeline.stats.stages.expose(out);
        let queued: usize = pipeline
            .clients()
            .iter()
            .map(|client| client.queued())
            .sum();
        for (name, value) in [
            ("ferrokeeper_queued_requests", queued as u64),
            ("ferrokeeper_waiting_bytes", pipeline.waiting_bytes() as u64),
            (
                "ferrokeeper_log_bytes_behind",
                self.state.log_bytes_behind(),
            ),
        ] {
            out.gauge(name, value as f64);
        }
        out.counter("ferrokeeper_slow_syncs_total", self.log.slow_syncs());
        let (log, state) = (self.log.figures(), self.state.figures());
        for ((name, of_log), (_, of_state)) in log.named().into_iter().zip(state.named()) {
            let name = format!("ferrokeeper_rocksdb_{name}");
            out.family(&name, Kind::Gauge);
            out.sample(&name, &[("db", "log")], of_log as f64);
            out.sample(&name, &[("db", "state")], of_state as f64);
        }
    }
}

impl Site for Exporter {
    fn answer<'a>(&'a self, request: &'a Request, _: &'a mut Body<'_>) -> Answering<'a> {
        Box::pin(async move {
            let head = &request.head;
            if head.path != "/metrics" {
                return Response::of_status(404);
            }
            if !matches!(&*head.method, "GET" | "HEAD") {
                return Response::of_status(405).with("Allow", "GET, HEAD");
            }
            // As the whole of what is asked for, this is small.
            Response::new(200, CONTENT_TYPE, self.text(wanted(&head.query)))
        })
    }
}

/// The names that `name[]=` asks for.
fn wanted(query: &str) -> Vec<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let named = pairs.filter_map(|(name, value)| {
        let decode = |text| crate::net::http::head::decode(text, true);
        (decode(name)? == "name[]").then(|| decode(value)).flatten()
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_asked_for() {
        assert_eq!(wanted("name[]=a&x=b&name%5B%5D=c%20d&name[]"), ["a", "c d"]);
        assert_eq!(wanted(""), Vec::<String>::new());
    }
}
