//! What each command answers, member by member in Java's order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::Arguments;
use super::view::AdminSource;
use crate::admin::four_letter::{
    self, ConnectionSession, ConnectionView, ExpiryBucket, GlobalSessions, ServerState, WatchLine,
};
use crate::admin::java_text::Address;
use crate::admin::metrics::Value;
use crate::admin::stats::Sizes;
use crate::admin::{process, version};
use crate::ids::Zxid;
use crate::json::{Json, Object};

/// Lists of watches end here: a server may hold millions, and anyone may ask.
const WATCHES_MAX: usize = 500_000;
/// The version of the digest that upstream counts.
const DIGEST_VERSION: i64 = 2;
/// What upstream calls a member that has no leader.
const LOOKING: &str = "leaderelection";

pub(super) fn configuration(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    let config = source.config();
    out.put("client_port", config.client_port);
    out.put("data_dir", config.data_dir);
    out.put("data_log_dir", config.data_log_dir);
    out.put("tick_time", config.tick_time_ms);
    out.put("max_client_cnxns", config.client_connections_max);
    out.put("min_session_timeout", config.session_timeout_ms_min);
    out.put("max_session_timeout", config.session_timeout_ms_max);
    out.put("server_id", config.server_id);
    out.put("client_port_listen_backlog", config.listen_backlog);
}

pub(super) fn connection_stat_reset(source: &dyn AdminSource, _: &Arguments, _: &mut Object) {
    source.reset_connections();
}

pub(super) fn connections(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    put_connections(source, out, whole);
}

fn put_connections(
    source: &dyn AdminSource,
    out: &mut Object,
    describe: fn(&ConnectionView) -> Object,
) {
    let (mut plain, mut secure) = (Vec::new(), Vec::new());
    source.all_connections(&mut |connection, is_secure| {
        let list = if is_secure { &mut secure } else { &mut plain };
        list.push(describe(&connection));
    });
    out.put("connections", plain);
    out.put("secure_connections", secure);
}

fn brief(connection: &ConnectionView) -> Object {
    // Java's text of the address, without the slash that stands for a name that nobody looked up.
    let address = Address(connection.peer).to_string();
    Object::default()
        .with("remote_socket_address", address.trim_start_matches('/'))
        .with("interest_ops", i64::from(connection.interest_ops))
        .with("outstanding_requests", connection.queued)
        .with("packets_received", connection.received)
        .with("packets_sent", connection.sent)
}

fn whole(connection: &ConnectionView) -> Object {
    let out = brief(connection);
    // Before a session begins, Java shows what its fields begin with.
    let none = ConnectionSession {
        id: 0,
        last_operation: "NA",
        established_unix_ms: connection.since_unix_ms,
        timeout_ms: 0,
        last_xid: -1,
        last_zxid: -1,
        last_response_ms: 0,
        last_latency_ms: 0,
        latency_ms_min: 0,
        latency_ms_avg: 0,
        latency_ms_max: 0,
    };
    let session = connection.session.as_ref().unwrap_or(&none);
    out.with("session_id", session.id)
        .with("last_operation", session.last_operation)
        .with("established", session.established_unix_ms)
        .with("session_timeout", session.timeout_ms)
        .with("last_cxid", session.last_xid)
        .with("last_zxid", session.last_zxid)
        .with("last_response_time", session.last_response_ms)
        .with("last_latency", session.last_latency_ms)
        .with("min_latency", session.latency_ms_min)
        .with("avg_latency", session.latency_ms_avg)
        .with("max_latency", session.latency_ms_max)
}

pub(super) fn dirs(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    let (data, log) = source.directory_sizes();
    out.put("datadir_size", data);
    out.put("logdir_size", log);
}

pub(super) fn dump(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    let mut by_time: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut add = |buckets: Vec<ExpiryBucket>| {
        for bucket in buckets {
            let sessions = by_time.entry(bucket.expires_unix_ms).or_default();
            sessions.extend(bucket.sessions);
        }
    };
    if let GlobalSessions::Expiring(buckets) = source.global_sessions() {
        add(buckets);
    }
    add(source.local_session_buckets().unwrap_or_default());
    let mut times = Object::default();
    for (unix_ms, sessions) in by_time {
        times.put(unix_ms.to_string(), sessions);
    }
    out.put("expiry_time_to_session_ids", times);
    let mut owners = Object::default();
    for (session, paths) in source.ephemerals() {
        owners.put(session.to_string(), paths);
    }
    out.put("session_id_to_ephemeral_paths", owners);
}

pub(super) fn environment(_: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    for (key, value) in process::environment() {
        out.put(key, value);
    }
}

pub(super) fn get_trace_mask(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    out.put("tracemask", source.trace_mask());
}

pub(super) fn set_trace_mask(source: &dyn AdminSource, arguments: &Arguments, out: &mut Object) {
    const REQUIRED: &str = "setTraceMask requires long traceMask argument";
    let Some(given) = arguments.get("traceMask") else {
        return out.put("error", REQUIRED);
    };
    match given.parse::<i64>() {
        Ok(mask) => {
            source.set_trace_mask(mask);
            out.put("tracemask", mask);
        }
        Err(_) => out.put("error", format!("{REQUIRED}, got {given}")),
    }
}

pub(super) fn hash(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    let digests = source.digests().into_iter().map(|(zxid, digest)| {
        Object::default()
            .with("zxid", zxid)
            .with("digest_version", DIGEST_VERSION)
            // Java's long.
            .with("digest", digest.cast_signed())
    });
    out.put("digests", digests.collect::<Vec<_>>());
}

pub(super) fn initial_configuration(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    out.put("initial_configuration", source.initial_configuration());
}

pub(super) fn is_read_only(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    out.put("read_only", source.state() == Some(ServerState::ReadOnly));
}

pub(super) fn last_snapshot(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    let last = source.last_snapshot();
    let zxid = last.map_or(-1, |snapshot| snapshot.zxid);
    out.put("zxid", format!("{zxid:x}"));
    out.put("timestamp", last.map_or(-1, |snapshot| snapshot.unix_s));
}

pub(super) fn leader(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    let leader = source.leader();
    let Some(leader) = leader.filter(|_| source.state() != Some(ServerState::ReadOnly)) else {
        return out.put("error", "server is not initialized");
    };
    out.put("is_leader", leader.is_self);
    out.put("leader_id", leader.id);
    out.put("leader_ip", leader.address);
}

pub(super) fn monitor(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    out.put("version", version::FULL);
    let state = source.state();
    out.put("server_state", state.map_or(LOOKING, ServerState::name));
    if let Some(peer_state) = source.peer_state() {
        out.put("peer_state", peer_state);
    }
    let mut sink = |name: &str, value: Value| match value {
        Value::Int(value) => out.put(name.to_owned(), value),
        Value::Float(value) => out.put(name.to_owned(), value),
    };
    four_letter::gauges(source, &mut sink);
    source.metrics().dump(&mut sink);
}

/// Figures of the links to observers are not kept, so there is nothing to reset.
pub(super) fn observer_connection_stat_reset(_: &dyn AdminSource, _: &Arguments, _: &mut Object) {}

pub(super) fn observers(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    let observers = source.observers();
    out.put("synced_observers", observers.len());
    let observers = observers.into_iter().map(|observer| {
        let address = observer.address.map(|at| Address(at).to_string());
        Object::default()
            .with("remote_socket_address", address.unwrap_or_default())
            .with("sid", observer.id)
    });
    out.put("observers", observers.collect::<Vec<_>>());
}

fn sizes(sizes: Sizes) -> Object {
    Object::default()
        .with("last_buffer_size", sizes.last)
        .with("min_buffer_size", sizes.min)
        .with("max_buffer_size", sizes.max)
}

pub(super) fn server_stats(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    let state = source.state();
    let (server, gauges) = (source.server(), source.gauges());
    let (data, log) = source.directory_sizes();
    let stats = Object::default()
        .with("packets_sent", server.packets_sent)
        .with("packets_received", server.packets_received)
        .with("fsync_threshold_exceed_count", source.slow_syncs())
        .with("client_response_stats", sizes(gauges.response_bytes))
        .with("data_dir_size", data)
        .with("log_dir_size", log)
        .with("last_processed_zxid", server.zxid)
        .with("outstanding_requests", server.requests_outstanding)
        .with("num_alive_client_connections", server.connections)
        .with("auth_failed_count", gauges.auth_failed)
        .with(
            "non_mtlsremote_conn_count",
            gauges.non_mtls_remote_connections,
        )
        .with(
            "non_mtlslocal_conn_count",
            gauges.non_mtls_local_connections,
        )
        .with("avg_latency", server.latency_ms_avg)
        .with("server_state", state.map_or("", ServerState::name))
        .with("max_latency", server.latency_ms_max)
        .with("min_latency", server.latency_ms_min)
        .with("provider_null", false)
        .with("uptime", gauges.uptime_ms);
    out.put("version", version::FULL);
    out.put("read_only", state == Some(ServerState::ReadOnly));
    out.put("server_stats", stats);
    out.put("client_response", sizes(gauges.response_bytes));
    if let Some(proposals) = server.proposal_bytes {
        out.put("proposal_stats", sizes(proposals));
    }
    out.put("node_count", server.nodes);
}

pub(super) fn stats(source: &dyn AdminSource, arguments: &Arguments, out: &mut Object) {
    server_stats(source, arguments, out);
    put_connections(source, out, brief);
}

pub(super) fn stat_reset(source: &dyn AdminSource, _: &Arguments, _: &mut Object) {
    source.reset_server();
}

pub(super) fn system_properties(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    for (name, value) in source.system_properties() {
        out.put(name, value);
    }
}

pub(super) fn voting_view(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    let mut voters = Object::default();
    for voter in source.voters() {
        let view = Object::default()
            .with("server_addresses", voter.server_addresses)
            .with("election_addresses", voter.election_addresses)
            .with("client_address", voter.client_address)
            .with("learner_type", "participant");
        voters.put(voter.id.to_string(), view);
    }
    out.put("current_config", voters);
}

pub(super) fn watch_summary(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    let summary = source.watch_summary();
    out.put("num_connections", summary.connections);
    out.put("num_paths", summary.paths);
    out.put("num_total_watches", summary.watches);
}

/// Headings with what is below each.
#[derive(Default)]
struct Groups {
    groups: Object,
    heading: Option<String>,
    members: Vec<Json>,
    count: usize,
}

impl Groups {
    fn begin(&mut self, heading: String) {
        self.end();
        self.heading = Some(heading);
    }

    fn add(&mut self, member: impl Into<Json>) -> ControlFlow<()> {
        self.members.push(member.into());
        self.count += 1;
        if self.count < WATCHES_MAX {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }

    fn end(&mut self) {
        let members = std::mem::take(&mut self.members);
        if let Some(heading) = self.heading.take() {
            self.groups.put(heading, Json::List(members));
        }
    }
}

pub(super) fn watches(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    let mut groups = Groups::default();
    source.watches_by_session(&mut |line| match line {
        WatchLine::Session(session) => {
            groups.begin(session.to_string());
            ControlFlow::Continue(())
        }
        WatchLine::Path(path) => groups.add(path),
    });
    groups.end();
    out.put("session_id_to_watched_paths", groups.groups);
}

pub(super) fn watches_by_path(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    let mut groups = Groups::default();
    source.watches_by_path(&mut |line| match line {
        WatchLine::Path(path) => {
            groups.begin(path.to_owned());
            ControlFlow::Continue(())
        }
        WatchLine::Session(session) => groups.add(session),
    });
    groups.end();
    out.put("path_to_session_ids", groups.groups);
}

pub(super) fn zab_state(source: &dyn AdminSource, _: &Arguments, out: &mut Object) {
    let Some(zab) = source.zab() else {
        out.put("voting", false);
        return out.put("zabstate", "");
    };
    let address = |(host, port): (String, u16)| {
        // Upstream prints the members of a Java object; these are the ones that say something.
        Json::from(format!("{host}:{port}"))
    };
    let zxid = Zxid(zab.last_zxid);
    out.put("myid", zab.id);
    out.put("is_leader", zab.is_leader);
    out.put("quorum_address", address(zab.quorum_address));
    out.put("election_address", address(zab.election_address));
    out.put(
        "client_address",
        zab.client_address.map_or(Json::Null, address),
    );
    out.put("voting", zab.is_voter);
    out.put("last_zxid", format!("0x{:x}", zxid.0));
    out.put("zab_epoch", zxid.0 >> 32);
    out.put("zab_counter", zxid.0 & 0xffff_ffff);
    out.put("zabstate", zab.phase);
}
