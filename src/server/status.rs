//! What the server tells about itself, gathered from where it is known.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::ensemble::Member;
use crate::admin::commands::{
    AdminSource, LeaderView, LearnerView, SnapshotView, VoterView, ZabView,
};
use crate::admin::four_letter::{
    self, Answer, ConfigView, ConnectionBucket, ConnectionSession, ConnectionView, ExpiryBucket,
    Gauges, GlobalSessions, Lists, ServerState, ServerView, StatusSource, WATCH_LIST_BYTES_MAX,
    WatchLine, WatchSummary, Whitelist, Word,
};
use crate::admin::java_text::average;
use crate::admin::metrics::{Metrics, Sink};
use crate::admin::process;
use crate::admin::stats::Sizes;
use crate::config::ConfigSource;
use crate::ids::ConnId;
use crate::json::Object;
use crate::net::{Heard, Held, Words};
use crate::pipeline::Pipeline;
use crate::pipeline::client::Client;
use crate::pipeline::role::Role;
use crate::proto::OpCode;
use crate::storage::LogHandle;

/// Trace bits that a Java server starts with.
const TRACE_MASK: i64 = 306;

pub struct Status {
    pub pipeline: Arc<Pipeline>,
    pub config: ConfigView,
    pub whitelist: Whitelist,
    lists: Lists,
    pub metrics: Arc<Metrics>,
    /// The directories whose sizes `dirs` and `conf` show.
    pub data_dir: PathBuf,
    pub data_log_dir: PathBuf,
    /// `None`: alone.
    member: Option<Arc<Member>>,
    /// initLimit and syncLimit, for `conf`.
    limits: (u32, u32),
    /// The configuration's file, as it may be shown.
    source: ConfigSource,
    log: LogHandle,
    /// `srst` leaves the metrics alone: those who collect them expect that they only grow.
    keeps_metrics: bool,
    trace_mask: AtomicI64,
    /// Mismatches of the tree's digest that the metric has already.
    mismatches: AtomicU64,
}

/// What the status of a server takes from its configuration as it is.
pub struct Told {
    /// initLimit and syncLimit.
    pub limits: (u32, u32),
    pub source: ConfigSource,
    pub log: LogHandle,
    /// `srst` does not reset metrics.
    pub keeps_metrics: bool,
}

impl Status {
    pub fn new(
        pipeline: Arc<Pipeline>,
        config: ConfigView,
        whitelist: Whitelist,
        data_dir: PathBuf,
        data_log_dir: PathBuf,
        member: Option<Arc<Member>>,
        told: Told,
    ) -> Status {
        let Told {
            limits,
            source,
            log,
            keeps_metrics,
        } = told;
        let metrics = pipeline.stats.metrics.clone();
        Status {
            pipeline,
            config,
            whitelist,
            lists: Lists::default(),
            metrics,
            data_dir,
            data_log_dir,
            member,
            limits,
            source,
            log,
            keeps_metrics,
            trace_mask: AtomicI64::new(TRACE_MASK),
            mismatches: AtomicU64::new(0),
        }
    }

    fn unix_ms(&self, monotonic_ms: i64) -> i64 {
        crate::pipeline::wall_ms() + monotonic_ms - self.pipeline.now_ms()
    }

    /// A word that is not allowed is refused without waiting for the rest of it.
    fn argument_len(&self, word: Word) -> usize {
        if self.whitelist.allows(word) {
            word.argument_len()
        } else {
            0
        }
    }

    /// Sessions by the time at which they expire.
    fn buckets(&self, local: bool) -> Vec<ExpiryBucket> {
        let mut sessions = self.pipeline.sessions().snapshot(local);
        sessions.sort_unstable_by_key(|(id, expires)| (*expires, *id));
        let mut buckets: Vec<ExpiryBucket> = Vec::new();
        for (id, expires) in sessions {
            let expires_unix_ms = self.unix_ms(expires);
            match buckets.last_mut() {
                Some(bucket) if bucket.expires_unix_ms == expires_unix_ms => {
                    bucket.sessions.push(id.0)
                }
                _ => buckets.push(ExpiryBucket {
                    expires_unix_ms,
                    sessions: vec![id.0],
                }),
            }
        }
        buckets
    }

    pub fn log(&self) -> &LogHandle {
        &self.log
    }

    /// The members, for the dashboard.
    pub fn member_objects(&self) -> Vec<Object> {
        let member = self.member.as_ref();
        member.map_or(Vec::new(), |member| member.member_objects())
    }

    /// Where clients of the other members connect, by number.
    pub fn neighbours(&self) -> Vec<(i64, String, u16)> {
        let member = self.member.as_ref();
        member.map_or(Vec::new(), |member| member.neighbours())
    }

    fn is_read_only(&self) -> bool {
        self.pipeline.role() == Role::ReadOnly
    }

    fn session_of(&self, conn: ConnId) -> i64 {
        self.pipeline
            .client(conn)
            .and_then(|c| c.session())
            .map_or(0, |s| s.id.0)
    }
}

impl Words for Status {
    fn hear(&self, first: &[u8]) -> Heard {
        let Some(bytes) = first.first_chunk::<4>() else {
            return Heard::More(4);
        };
        let Some(word) = Word::from_bytes(*bytes) else {
            return Heard::NoWord;
        };
        let wanted = 4 + self.argument_len(word);
        if first.len() < wanted {
            Heard::More(wanted)
        } else {
            Heard::Word
        }
    }

    fn answer(&self, first: &[u8], asker: std::net::SocketAddr) -> (String, Held) {
        let word = first
            .first_chunk::<4>()
            .and_then(|bytes| Word::from_bytes(*bytes));
        let Some(word) = word else {
            return (String::new(), None);
        };
        tracing::info!("Processing {} command from {asker}", word.name());
        let argument = &first[4..4 + self.argument_len(word)];
        let whitelist = &self.whitelist;
        match self.lists.answer(word, argument, whitelist, self) {
            (Answer::Text(text), held) => (text, held.map(|held| Box::new(held) as _)),
            (Answer::Close, _) => (String::new(), None),
        }
    }
}

impl StatusSource for Status {
    fn state(&self) -> Option<ServerState> {
        match &self.member {
            None => Some(ServerState::Standalone),
            Some(_) if self.is_read_only() => Some(ServerState::ReadOnly),
            Some(member) => member.ensemble_status().server_state(),
        }
    }

    fn serves_clients(&self) -> bool {
        self.pipeline.serves_clients()
    }

    fn peer_state(&self) -> Option<String> {
        let member = self.member.as_ref().filter(|_| !self.is_read_only())?;
        Some(member.ensemble_status().peer_state())
    }

    fn more_gauges(&self, sink: &mut Sink<'_>) {
        if let Some(member) = self.member.as_ref().filter(|_| !self.is_read_only()) {
            member.ensemble_status().gauges(sink);
        }
    }

    fn server(&self) -> ServerView {
        let stats = &self.pipeline.stats;
        let answered = stats.answered.load(Ordering::Relaxed);
        let tree = self.pipeline.tree();
        ServerView {
            latency_ms_min: match stats.latency_min_ms.load(Ordering::Relaxed) {
                i64::MAX => 0,
                min => min,
            },
            latency_ms_avg: average(stats.latency_total_ms.load(Ordering::Relaxed), answered),
            latency_ms_max: stats.latency_max_ms.load(Ordering::Relaxed),
            packets_received: stats.received.load(Ordering::Relaxed),
            packets_sent: stats.sent.load(Ordering::Relaxed),
            connections: self.pipeline.client_count() as u64,
            requests_outstanding: self.pipeline.outstanding() as u64,
            zxid: tree.last_zxid().0,
            // The root has two names in upstream's table of nodes.
            nodes: tree.node_count() as u64 + 1,
            proposal_bytes: (self.pipeline.role() == Role::Leading).then(|| Sizes {
                last: stats.proposal_bytes.last.load(Ordering::Relaxed),
                min: stats.proposal_bytes.min.load(Ordering::Relaxed),
                max: stats.proposal_bytes.max.load(Ordering::Relaxed),
            }),
        }
    }

    fn gauges(&self) -> Gauges {
        let tree = self.pipeline.tree();
        Gauges {
            uptime_ms: self.pipeline.now_ms(),
            watches: self.pipeline.watch_count() as u64,
            ephemerals: tree.ephemeral_count() as u64,
            approximate_data_bytes: tree.data_bytes(),
            global_sessions: tree.session_count() as u64,
            local_sessions: self.pipeline.local_session_count() as u64,
            connection_drop_probability: self.pipeline.connection_drop_chance(),
            response_bytes: Sizes::NONE,
            tls_handshakes_outstanding: self.pipeline.stats.handshakes.load(Ordering::Relaxed),
            auth_failed: self.pipeline.stats.auth_failed.load(Ordering::Relaxed),
            non_mtls_remote_connections: self
                .pipeline
                .stats
                .non_mtls_remote
                .load(Ordering::Relaxed),
            non_mtls_local_connections: self.pipeline.stats.non_mtls_local.load(Ordering::Relaxed),
        }
    }

    fn metrics(&self) -> &Metrics {
        let tree = self.pipeline.tree();
        let seen = tree.digest().map_or(0, |digest| digest.mismatches());
        let told = self.mismatches.swap(seen, Ordering::Relaxed);
        // A tree that was replaced counts from zero.
        let new = seen.checked_sub(told).unwrap_or(seen);
        self.metrics.digest_mismatches_count.add(new);
        &self.metrics
    }

    fn config(&self) -> ConfigView {
        let ensemble = self.member.as_ref().map(|member| {
            let (init_limit, sync_limit) = self.limits;
            let mut view = member.ensemble_view(init_limit, sync_limit);
            if self.is_read_only() {
                view.membership = None;
            }
            view
        });
        // A reconfiguration may have moved it.
        let client_port = self.member.as_ref().and_then(|member| member.client_port());
        ConfigView {
            ensemble,
            client_port: client_port.map_or(self.config.client_port, i32::from),
            ..self.config.clone()
        }
    }

    fn directory_sizes(&self) -> (u64, u64) {
        (size_of_dir(&self.data_dir), size_of_dir(&self.data_log_dir))
    }

    fn connections(&self, each: &mut dyn FnMut(ConnectionView)) {
        for client in self.pipeline.clients() {
            each(connection(&client));
        }
    }

    fn global_sessions(&self) -> GlobalSessions {
        match self.pipeline.role() {
            Role::Alone | Role::Leading => GlobalSessions::Expiring(self.buckets(false)),
            Role::Learning | Role::Idle | Role::ReadOnly => {
                let tree = self.pipeline.tree();
                let mut sessions: Vec<_> = tree.sessions().map(|(id, ms)| (id.0, ms)).collect();
                sessions.sort_unstable();
                GlobalSessions::Known(sessions)
            }
        }
    }

    fn local_session_buckets(&self) -> Option<Vec<ExpiryBucket>> {
        let has_any = self.pipeline.settings().local_sessions;
        has_any.then(|| self.buckets(true))
    }

    fn connection_buckets(&self) -> Vec<ConnectionBucket> {
        let mut by_end: std::collections::BTreeMap<i64, Vec<_>> = std::collections::BTreeMap::new();
        for client in self.pipeline.clients() {
            if let Some(session) = client.session() {
                by_end
                    .entry(session.expires_at_ms())
                    .or_default()
                    .push((client.remote, session.id.0));
            }
        }
        by_end
            .into_iter()
            .map(|(end, connections)| ConnectionBucket {
                expires_unix_ms: self.unix_ms(end),
                connections,
            })
            .collect()
    }

    fn ephemerals(&self) -> Vec<(i64, Vec<String>)> {
        let tree = self.pipeline.tree();
        tree.ephemeral_owners()
            .map(|(session, nodes)| (session.0, nodes.map(|id| tree.path_of(id)).collect()))
            .collect()
    }

    fn watch_summary(&self) -> WatchSummary {
        let mut summary = WatchSummary {
            connections: 0,
            paths: 0,
            watches: 0,
        };
        let mut conns = std::collections::HashSet::new();
        self.pipeline.with_watches(|watches| {
            for (_, watching) in watches.data_watches() {
                let before = summary.watches;
                for conn in watching {
                    conns.insert(conn);
                    summary.watches += 1;
                }
                summary.paths += u64::from(summary.watches > before);
            }
        });
        summary.connections = conns.len() as u64;
        summary
    }

    fn watches_by_session(&self, line: &mut dyn FnMut(WatchLine<'_>) -> ControlFlow<()>) {
        let mut by_conn: std::collections::BTreeMap<ConnId, Vec<String>> =
            std::collections::BTreeMap::new();
        // More than a list may have is not gathered either.
        let mut bytes = 0;
        self.pipeline.with_watches(|watches| {
            for (path, conns) in watches.data_watches() {
                for conn in conns {
                    by_conn.entry(conn).or_default().push(path.to_owned());
                    bytes += path.len();
                }
                if bytes >= WATCH_LIST_BYTES_MAX {
                    break;
                }
            }
        });
        for (conn, paths) in by_conn {
            if line(WatchLine::Session(self.session_of(conn))).is_break() {
                return;
            }
            for path in paths {
                if line(WatchLine::Path(&path)).is_break() {
                    return;
                }
            }
        }
    }

    fn watches_by_path(&self, line: &mut dyn FnMut(WatchLine<'_>) -> ControlFlow<()>) {
        let mut by_path: Vec<(String, Vec<ConnId>)> = Vec::new();
        // More than a list may have is not gathered either.
        let mut bytes = 0;
        self.pipeline.with_watches(|watches| {
            by_path = watches
                .data_watches()
                .map(|(path, conns)| (path.to_owned(), conns.collect::<Vec<_>>()))
                .filter(|(_, conns)| !conns.is_empty())
                .take_while(|(path, conns)| {
                    let had_room = bytes < WATCH_LIST_BYTES_MAX;
                    bytes += path.len() + conns.len() * size_of::<ConnId>();
                    had_room
                })
                .collect();
        });
        for (path, conns) in by_path {
            if line(WatchLine::Path(&path)).is_break() {
                return;
            }
            for conn in conns {
                if line(WatchLine::Session(self.session_of(conn))).is_break() {
                    return;
                }
            }
        }
    }

    fn digests(&self) -> Vec<(i64, u64)> {
        let tree = self.pipeline.tree();
        tree.digest().map_or(Vec::new(), |d| d.records().collect())
    }

    fn reset_connections(&self) {
        for client in self.pipeline.clients() {
            client.stats.reset();
        }
    }

    fn reset_server(&self) {
        self.pipeline.stats.reset();
        if !self.keeps_metrics {
            self.metrics.reset();
        }
    }

    fn trace_mask(&self) -> i64 {
        self.trace_mask.load(Ordering::Relaxed)
    }

    fn set_trace_mask(&self, mask: i64) {
        self.trace_mask.store(mask, Ordering::Relaxed);
    }
}

impl AdminSource for Status {
    fn initial_configuration(&self) -> String {
        self.source.shown_text()
    }

    fn system_properties(&self) -> Vec<(String, String)> {
        let own = process::environment()
            .into_iter()
            .filter(|(name, _)| !matches!(*name, "zookeeper.version" | "host.name"));
        let mut all: Vec<(String, String)> =
            own.map(|(name, value)| (name.to_owned(), value)).collect();
        all.extend(self.source.properties.iter().cloned());
        all.sort();
        all
    }

    fn last_snapshot(&self) -> Option<SnapshotView> {
        let last = self.pipeline.last_checkpoint()?;
        Some(SnapshotView {
            zxid: last.zxid.0,
            unix_s: last.unix_ms / 1000,
        })
    }

    fn slow_syncs(&self) -> u64 {
        self.log.slow_syncs()
    }

    fn all_connections(&self, each: &mut dyn FnMut(ConnectionView, bool)) {
        for client in self.pipeline.clients() {
            each(connection(&client), client.is_secure());
        }
    }

    fn leader(&self) -> Option<LeaderView> {
        self.member.as_ref().map(|member| member.leader_view())
    }

    fn zab(&self) -> Option<ZabView> {
        let member = self.member.as_ref().filter(|_| !self.is_read_only())?;
        Some(member.zab_view(self.pipeline.tree().last_zxid()))
    }

    fn observers(&self) -> Vec<LearnerView> {
        let member = self.member.as_ref().filter(|_| !self.is_read_only());
        member.map_or(Vec::new(), |member| member.observer_views())
    }

    fn voters(&self) -> Vec<VoterView> {
        let member = self.member.as_ref().filter(|_| !self.is_read_only());
        member.map_or(Vec::new(), |member| member.voter_views())
    }
}

fn connection(client: &Client) -> ConnectionView {
    let stats = &client.stats;
    let answered = stats.answered.load(Ordering::Relaxed).max(1) as i64;
    let session = client.session().map(|session| ConnectionSession {
        id: session.id.0,
        last_operation: four_letter::last_operation(OpCode(stats.last_op.load(Ordering::Relaxed))),
        established_unix_ms: client.since_ms,
        timeout_ms: session.timeout_ms(),
        last_xid: i64::from(stats.last_xid.load(Ordering::Relaxed)),
        last_zxid: stats.last_zxid.load(Ordering::Relaxed),
        last_response_ms: stats.last_response_ms.load(Ordering::Relaxed),
        last_latency_ms: stats.last_latency_ms.load(Ordering::Relaxed),
        latency_ms_min: match stats.min_latency_ms.load(Ordering::Relaxed) {
            i64::MAX => 0,
            min => min,
        },
        latency_ms_avg: stats.total_latency_ms.load(Ordering::Relaxed) / answered,
        latency_ms_max: stats.max_latency_ms.load(Ordering::Relaxed),
    });
    ConnectionView {
        peer: client.remote,
        interest_ops: u32::from(session.is_some()),
        queued: client.queued() as u64,
        received: stats.received.load(Ordering::Relaxed),
        sent: stats.sent.load(Ordering::Relaxed),
        since_unix_ms: client.since_ms,
        session,
    }
}

fn size_of_dir(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size_of_dir(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |m| m.len()),
            _ => 0,
        })
        .sum()
}
