//! The AdminServer: which requests are commands, who may give them, and what comes back. Beside them `/live` and
//! `/ready`, for whoever starts and stops servers. Nothing here is on the way of a client's request.
//!
//! Answers to `JettyAdminServer`.

mod auth;
mod backup;
mod call;
mod dashboard;
mod limiter;

use std::sync::Arc;
use std::time::Duration;

use super::status::Status;
use super::{ServerError, resolve};
use crate::admin::commands::{self, Action, Command};
use crate::admin::four_letter::{ServerState, StatusSource};
use crate::admin::json;
use crate::config::{Admin, Config};
use crate::json::Object;
use crate::net::http::{Answering, Body, HttpPort, Request, Response, Site, Transport};
use crate::tls::context::Context;
use auth::Denied;
pub(super) use backup::Backup;
use dashboard::Dashboard;
use limiter::Limiter;

const JSON: &str = "application/json";
const HTML: &str = "text/html;charset=utf-8";
const TEXT: &str = "text/plain;charset=utf-8";

pub(super) struct AdminServer {
    settings: Admin,
    status: Arc<Status>,
    backup: Arc<Backup>,
    dashboard: Dashboard,
    snapshots: Limiter,
    restores: Limiter,
}

impl AdminServer {
    /// Listens, if that is wanted. That it cannot ends a server alone that was told to, as it ends Java's.
    pub fn open(
        config: &Config,
        context: Option<Arc<Context>>,
        status: Arc<Status>,
        backup: Backup,
    ) -> Result<Option<HttpPort>, ServerError> {
        let settings = config.admin.clone();
        if !settings.enabled {
            return Ok(None);
        }
        let transport = match context {
            None => Transport::Plain,
            Some(context) if settings.takes_plaintext => Transport::Either(context),
            Some(context) => Transport::Tls(context),
        };
        let idle = Duration::from_millis(settings.idle_ms.into());
        let interval = Duration::from_millis(settings.rate_interval_ms.into());
        let (asked, url) = (settings.address.clone(), settings.command_url.clone());
        let must_start = settings.is_explicit && !config.is_distributed();
        let server = AdminServer {
            dashboard: Dashboard::new(status.clone(), &settings),
            settings,
            status,
            backup: Arc::new(backup),
            // Java takes the number for microseconds here, and people's backups rely on it.
            snapshots: Limiter::new(interval / 1000),
            restores: Limiter::new(interval),
        };
        let opened = resolve(&asked).and_then(|address| {
            HttpPort::bind(address, transport, idle, Arc::new(server))
                .map_err(|error| ServerError::Admin { address, error })
        });
        let host = asked.host.as_deref().unwrap_or("0.0.0.0");
        match opened {
            Ok(port) => {
                let number = port.local_addr().map_or(asked.port, |at| at.port());
                tracing::info!(
                    "Started AdminServer on address {host}, port {number} and command URL {url}"
                );
                Ok(Some(port))
            }
            Err(error) if must_start => Err(error),
            Err(error) => {
                tracing::warn!(
                    "Problem starting AdminServer on address {host}, port {} and command URL {url}: {error}",
                    asked.port
                );
                Ok(None)
            }
        }
    }

    async fn route(&self, request: &Request, body: &mut Body<'_>) -> Response {
        let head = &request.head;
        let is_get = matches!(&*head.method, "GET" | "HEAD");
        let probe = match &*head.path {
            "/live" => Some((true, "live")),
            "/ready" => Some(self.readiness()),
            _ => None,
        };
        if let Some((good, word)) = probe {
            return match is_get {
                true => Response::new(if good { 200 } else { 503 }, TEXT, format!("{word}\n")),
                false => not_allowed("GET, HEAD"),
            };
        }
        if let Some(answer) = self.dashboard.answer(request, body).await {
            return answer;
        }
        let behind = match &*self.settings.command_url {
            "/" => Some(&head.path[..]),
            url => head.path.strip_prefix(url),
        };
        match behind {
            Some("" | "/") if is_get || head.method == "POST" => {
                Response::new(200, HTML, commands::links(&self.settings.command_url))
            }
            Some(rest) if rest.starts_with('/') => self.command(&rest[1..], request, body).await,
            _ => Response::of_status(404),
        }
    }

    /// Whether clients that read and write are served here now.
    fn readiness(&self) -> (bool, &'static str) {
        match self.status.state() {
            None => (false, "not serving"),
            Some(_) if !self.status.serves_clients() => (false, "leads, and serves no clients"),
            Some(ServerState::ReadOnly) => (false, "read-only"),
            Some(_) => (true, "ready"),
        }
    }

    async fn command(&self, name: &str, request: &Request, body: &mut Body<'_>) -> Response {
        let is_post = match &*request.head.method {
            "GET" | "HEAD" => false,
            "POST" => true,
            _ => return not_allowed("GET, HEAD, POST"),
        };
        let Some(command) = commands::find(name) else {
            let error = format!("Unknown command: {name}");
            return json(200, &commands::bare(name, Some(&error)));
        };
        if command.needs_server && self.status.state().is_none() {
            return json(200, &commands::bare(name, Some(commands::NOT_SERVING)));
        }
        if command.needs_auth()
            && let Err(denied) = self.authorize(request)
        {
            tracing::warn!(remote = %request.remote, "{name}: {}", denied.text());
            return json(denied.status(), &commands::bare(name, Some(denied.text())));
        }
        if is_post != command.is_post() {
            let method = if command.is_post() { "POST" } else { "GET" };
            let error = format!("{} takes {method}", command.name());
            let answer = json(405, &commands::bare(command.name(), Some(&error)));
            return answer.with("Allow", method);
        }
        match command.action {
            Action::Reply(reply) => self.reply(command, reply, request).await,
            Action::Snapshot => self.snapshot(command, request).await,
            Action::Restore => self.restore(command, body).await,
        }
    }

    async fn reply(&self, command: &'static Command, reply: Reply, request: &Request) -> Response {
        let (status, arguments) = (self.status.clone(), request.head.arguments.clone());
        // Some take locks, and some look at many files.
        let run = move || json::print(&commands::run(command, reply, &arguments, &*status));
        match tokio::task::spawn_blocking(run).await {
            Ok(text) => Response::new(200, JSON, text),
            Err(_) => Response::of_status(500),
        }
    }

    fn authorize(&self, request: &Request) -> Result<(), Denied> {
        let pipeline = &self.status.pipeline;
        let ids = auth::identities(
            request,
            &pipeline.rules().providers,
            self.settings.trusts_forwarded_for,
        )?;
        auth::authorize(pipeline, &ids)
    }

    async fn snapshot(&self, command: &Command, request: &Request) -> Response {
        let metrics = &self.status.metrics;
        let without_members = |status| json(status, &commands::bare(command.name(), None));
        if !self.settings.snapshot_enabled {
            tracing::warn!("Snapshot command is disabled");
            return without_members(503);
        }
        if !self.snapshots.allow() {
            metrics.snapshot_rate_limited_count.increment();
            return without_members(429);
        }
        let streaming = request.head.arguments.get("streaming");
        let streaming = streaming.is_none_or(|value| value.eq_ignore_ascii_case("true"));
        let backup = self.backup.clone();
        let taken = tokio::task::spawn_blocking(move || backup.take(streaming)).await;
        match taken.map_err(std::io::Error::other).flatten() {
            Ok(taken) => {
                let answer = match taken.file {
                    Some(file) => Response {
                        status: 200,
                        headers: vec![("Content-Type", "application/octet-stream".to_owned())],
                        content: crate::net::http::Content::File(file, taken.bytes),
                    },
                    None => without_members(200),
                };
                answer
                    .with("last_zxid", format!("0x{:x}", taken.zxid.0))
                    .with("snapshot_size", taken.bytes.to_string())
            }
            Err(e) => {
                metrics.snapshot_error_count.increment();
                tracing::error!("cannot take a snapshot for the AdminServer: {e}");
                without_members(500)
            }
        }
    }

    async fn restore(&self, command: &Command, body: &mut Body<'_>) -> Response {
        let metrics = &self.status.metrics;
        let without_members = |status| json(status, &commands::bare(command.name(), None));
        if !self.settings.restore_enabled {
            tracing::warn!("Restore command is disabled");
            return without_members(503);
        }
        if let Some(why) = self.backup.refuses() {
            return json(503, &commands::bare(command.name(), Some(why)));
        }
        if !self.restores.allow() {
            metrics.restore_rate_limited_count.increment();
            return without_members(429);
        }
        let began = std::time::Instant::now();
        match self.backup.restore(body).await {
            Ok(zxid) => {
                metrics
                    .restore_time
                    .record(began.elapsed().as_millis() as i64);
                tracing::warn!("the tree was replaced by a snapshot of zxid {zxid}");
                let members = Object::default().with("last_zxid", zxid.0);
                json(200, &commands::finished(members, command.name(), None))
            }
            Err(e) => {
                metrics.restore_error_count.increment();
                tracing::error!("cannot restore what the AdminServer was given: {e}");
                without_members(500)
            }
        }
    }
}

type Reply = fn(&dyn commands::AdminSource, &commands::Arguments, &mut Object);

fn json(status: u16, members: &Object) -> Response {
    Response::new(status, JSON, json::print(members))
}

fn not_allowed(methods: &str) -> Response {
    Response::of_status(405).with("Allow", methods)
}

impl Site for AdminServer {
    fn answer<'a>(&'a self, request: &'a Request, body: &'a mut Body<'_>) -> Answering<'a> {
        Box::pin(async move {
            let answer = self.route(request, body).await;
            answer.with("Cache-Control", "no-store")
        })
    }

    fn heard_plaintext(&self) {
        self.status.metrics.insecure_admin_count.increment();
    }
}
