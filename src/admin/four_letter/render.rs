//! The text of the answers.

use std::fmt::{self, Write};
use std::ops::ControlFlow;

use super::view::{ConnectionView, GlobalSessions, StatusSource, WatchLine};
use super::{ServerView, Word};
use crate::admin::java_text::{Address, Date, Double};
use crate::admin::metrics::{Sink, Value};
use crate::admin::stats::Sizes;
use crate::admin::{process, version};

const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

/// Lists of watches end here: a server may hold millions, and anyone may ask.
pub const WATCH_LIST_BYTES_MAX: usize = 64 << 20;

/// The answer to a word that is allowed and is a command.
pub(super) fn reply(word: Word, source: &dyn StatusSource) -> String {
    let mut out = String::new();
    write_reply(word, source, &mut out).expect("a String takes everything");
    out
}

fn write_reply(word: Word, source: &dyn StatusSource, out: &mut String) -> fmt::Result {
    let state = source.state().filter(|_| source.serves_clients());
    match (word, state) {
        (Word::Ruok, _) => out.write_str("imok"),
        (Word::Envi, _) => environment(out),
        (Word::Gtmk, _) => write!(out, "{}", source.trace_mask()),
        (Word::Isro, None) => out.write_str("null"),
        (Word::Isro, Some(super::ServerState::ReadOnly)) => out.write_str("ro"),
        (Word::Isro, Some(_)) => out.write_str("rw"),
        // The one answer of this kind without a line end.
        (Word::Hash, None) => out.write_str(NOT_SERVING),
        (_, None) => writeln!(out, "{NOT_SERVING}"),
        (Word::Stat | Word::Srvr, Some(state)) => status(word, state, source, out),
        (Word::Mntr, Some(state)) => monitor(state, source, out),
        (Word::Cons, Some(_)) => connections(source, out),
        (Word::Conf, Some(_)) => config(source, out),
        (Word::Dirs, Some(_)) => {
            let (data, log) = source.directory_sizes();
            writeln!(out, "datadir_size: {data}\nlogdir_size: {log}")
        }
        (Word::Dump, Some(_)) => dump(source, out),
        (Word::Wchs, Some(_)) => {
            let watches = source.watch_summary();
            let (connections, paths) = (watches.connections, watches.paths);
            writeln!(out, "{connections} connections watching {paths} paths")?;
            writeln!(out, "Total watches:{}", watches.watches)
        }
        (Word::Wchc, Some(_)) => watches_by_session(source, out),
        (Word::Wchp, Some(_)) => watches_by_path(source, out),
        (Word::Hash, Some(_)) => {
            for (zxid, digest) in source.digests() {
                writeln!(out, "{zxid:x}: {digest}")?;
            }
            Ok(())
        }
        (Word::Crst, Some(_)) => {
            source.reset_connections();
            out.write_str("Connection stats reset.\n")
        }
        (Word::Srst, Some(_)) => {
            source.reset_server();
            out.write_str("Server stats reset.\n")
        }
        // Answered before the text is asked for.
        (Word::Stmk | Word::TelnetClose, Some(_)) => Ok(()),
    }
}

fn environment(out: &mut String) -> fmt::Result {
    out.write_str("Environment:\n")?;
    for (key, value) in process::environment() {
        writeln!(out, "{key}={value}")?;
    }
    Ok(())
}

fn status(
    word: Word,
    state: super::ServerState,
    source: &dyn StatusSource,
    out: &mut String,
) -> fmt::Result {
    writeln!(out, "Zookeeper version: {}", version::FULL)?;
    if state == super::ServerState::ReadOnly {
        out.write_str("READ-ONLY mode; serving only read-only clients\n")?;
    }
    if word == Word::Stat {
        out.write_str("Clients:\n")?;
        for_each_connection(source, out, |connection, out| {
            brief(connection, out)?;
            out.write_str(")\n")
        })?;
        out.push('\n');
    }
    let server = source.server();
    let (min, avg, max) = (
        server.latency_ms_min,
        Double(server.latency_ms_avg),
        server.latency_ms_max,
    );
    writeln!(out, "Latency min/avg/max: {min}/{avg}/{max}")?;
    writeln!(out, "Received: {}", server.packets_received)?;
    writeln!(out, "Sent: {}", server.packets_sent)?;
    writeln!(out, "Connections: {}", server.connections)?;
    writeln!(out, "Outstanding: {}", server.requests_outstanding)?;
    writeln!(out, "Zxid: 0x{:x}", server.zxid)?;
    writeln!(out, "Mode: {}", state.name())?;
    writeln!(out, "Node count: {}", server.nodes)?;
    if let Some(Sizes { last, min, max }) = server.proposal_bytes {
        writeln!(out, "Proposal sizes last/min/max: {last}/{min}/{max}")?;
    }
    Ok(())
}

fn for_each_connection(
    source: &dyn StatusSource,
    out: &mut String,
    write: impl Fn(&ConnectionView, &mut String) -> fmt::Result,
) -> fmt::Result {
    let mut result = Ok(());
    source.connections(&mut |connection| {
        if result.is_ok() {
            result = write(&connection, out);
        }
    });
    result
}

/// Without the closing parenthesis: `cons` has more to say.
fn brief(connection: &ConnectionView, out: &mut String) -> fmt::Result {
    let ConnectionView {
        peer,
        interest_ops,
        queued,
        received,
        sent,
        ..
    } = connection;
    let peer = Address(*peer);
    write!(
        out,
        " {peer}[{interest_ops:x}](queued={queued},recved={received},sent={sent}"
    )
}

fn connections(source: &dyn StatusSource, out: &mut String) -> fmt::Result {
    for_each_connection(source, out, |connection, out| {
        brief(connection, out)?;
        if let Some(session) = &connection.session {
            write!(
                out,
                ",sid=0x{:x},lop={}",
                session.id, session.last_operation
            )?;
            write!(
                out,
                ",est={},to={}",
                session.established_unix_ms, session.timeout_ms
            )?;
            if session.last_xid >= 0 {
                write!(out, ",lcxid=0x{:x}", session.last_xid)?;
            }
            write!(
                out,
                ",lzxid=0x{:x},lresp={}",
                session.last_zxid, session.last_response_ms
            )?;
            write!(
                out,
                ",llat={},minlat={}",
                session.last_latency_ms, session.latency_ms_min
            )?;
            write!(
                out,
                ",avglat={},maxlat={}",
                session.latency_ms_avg, session.latency_ms_max
            )?;
        }
        out.write_str(")\n")
    })?;
    out.write_char('\n')
}

fn config(source: &dyn StatusSource, out: &mut String) -> fmt::Result {
    let config = source.config();
    let (data_bytes, log_bytes) = source.directory_sizes();
    writeln!(out, "clientPort={}", config.client_port)?;
    writeln!(out, "secureClientPort={}", config.secure_client_port)?;
    writeln!(out, "dataDir={}", config.data_dir)?;
    writeln!(out, "dataDirSize={data_bytes}")?;
    writeln!(out, "dataLogDir={}", config.data_log_dir)?;
    writeln!(out, "dataLogSize={log_bytes}")?;
    writeln!(out, "tickTime={}", config.tick_time_ms)?;
    writeln!(out, "maxClientCnxns={}", config.client_connections_max)?;
    writeln!(out, "minSessionTimeout={}", config.session_timeout_ms_min)?;
    writeln!(out, "maxSessionTimeout={}", config.session_timeout_ms_max)?;
    writeln!(out, "clientPortListenBacklog={}", config.listen_backlog)?;
    writeln!(out, "serverId={}", config.server_id)?;
    let Some(ensemble) = config.ensemble else {
        return Ok(());
    };
    let joined = |ports: &[u16]| {
        ports
            .iter()
            .map(u16::to_string)
            .collect::<Vec<_>>()
            .join("|")
    };
    writeln!(out, "initLimit={}", ensemble.init_limit)?;
    writeln!(out, "syncLimit={}", ensemble.sync_limit)?;
    writeln!(out, "electionAlg=3")?;
    writeln!(out, "electionPort={}", joined(&ensemble.election_ports))?;
    writeln!(out, "quorumPort={}", joined(&ensemble.quorum_ports))?;
    writeln!(out, "peerType={}", u8::from(ensemble.observer))?;
    let Some(membership) = ensemble.membership else {
        return Ok(());
    };
    // With its blank: a tool looks for it.
    writeln!(out, "membership: ")?;
    out.write_str(&membership)
}

fn dump(source: &dyn StatusSource, out: &mut String) -> fmt::Result {
    out.write_str("SessionTracker dump:\n")?;
    let mut sessions = |kind: &str, buckets: Vec<super::ExpiryBucket>| {
        let members = buckets
            .iter()
            .map(|bucket| bucket.sessions.len())
            .sum::<usize>();
        writeln!(out, "{kind}Session Sets ({})/({members}):", buckets.len())?;
        for bucket in buckets {
            expiry(out, bucket.sessions.len(), bucket.expires_unix_ms)?;
            for session in bucket.sessions {
                writeln!(out, "\t0x{session:x}")?;
            }
        }
        Ok(())
    };
    let global = match source.local_session_buckets() {
        Some(local) => {
            sessions("Local ", local)?;
            "Global "
        }
        None => "",
    };
    match source.global_sessions() {
        GlobalSessions::Expiring(buckets) => sessions(global, buckets)?,
        GlobalSessions::Known(known) => {
            writeln!(out, "Global Sessions({}):", known.len())?;
            for (session, timeout_ms) in known {
                writeln!(out, "0x{session:x}\t{timeout_ms}ms")?;
            }
        }
    }

    out.write_str("ephemeral nodes dump:\n")?;
    let ephemerals = source.ephemerals();
    writeln!(out, "Sessions with Ephemerals ({}):", ephemerals.len())?;
    for (session, paths) in ephemerals {
        writeln!(out, "0x{session:x}:")?;
        for path in paths {
            writeln!(out, "\t{path}")?;
        }
    }

    out.write_str("Connections dump:\n")?;
    let buckets = source.connection_buckets();
    let members = buckets
        .iter()
        .map(|bucket| bucket.connections.len())
        .sum::<usize>();
    writeln!(out, "Connections Sets ({})/({members}):", buckets.len())?;
    for bucket in buckets {
        expiry(out, bucket.connections.len(), bucket.expires_unix_ms)?;
        for (peer, session) in bucket.connections {
            writeln!(out, "\tip: {} sessionId: 0x{session:x}", Address(peer))?;
        }
    }
    Ok(())
}

fn expiry(out: &mut String, members: usize, unix_ms: i64) -> fmt::Result {
    writeln!(out, "{members} expire at {}:", Date { unix_ms })
}

fn watches_by_session(source: &dyn StatusSource, out: &mut String) -> fmt::Result {
    source.watches_by_session(&mut |line| {
        let result = match line {
            WatchLine::Session(session) => writeln!(out, "0x{session:x}"),
            WatchLine::Path(path) => writeln!(out, "\t{path}"),
        };
        go_on(result, out)
    });
    out.write_char('\n')
}

fn watches_by_path(source: &dyn StatusSource, out: &mut String) -> fmt::Result {
    source.watches_by_path(&mut |line| {
        let result = match line {
            WatchLine::Path(path) => writeln!(out, "{path}"),
            WatchLine::Session(session) => writeln!(out, "\t0x{session:x}"),
        };
        go_on(result, out)
    });
    out.write_char('\n')
}

fn go_on(written: fmt::Result, out: &str) -> ControlFlow<()> {
    if written.is_ok() && out.len() < WATCH_LIST_BYTES_MAX {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}

fn monitor(state: super::ServerState, source: &dyn StatusSource, out: &mut String) -> fmt::Result {
    writeln!(out, "zk_version\t{}", version::FULL)?;
    writeln!(out, "zk_server_state\t{}", state.name())?;
    if let Some(peer_state) = source.peer_state() {
        writeln!(out, "zk_peer_state\t{peer_state}")?;
    }
    let mut result = Ok(());
    let mut sink = |name: &str, value: Value| {
        if result.is_ok() {
            result = match value {
                Value::Int(value) => writeln!(out, "zk_{name}\t{value}"),
                Value::Float(value) => writeln!(out, "zk_{name}\t{}", Double(value)),
            };
        }
    };
    gauges(source, &mut sink);
    source.metrics().dump(&mut sink);
    result
}

/// The figures that are not metrics, in the order of `mntr`.
pub fn gauges(source: &dyn StatusSource, sink: &mut Sink<'_>) {
    server_gauges(source.server(), sink);
    other_gauges(source, sink);
    source.more_gauges(sink);
}

fn int(value: u64) -> Value {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn server_gauges(server: ServerView, sink: &mut dyn FnMut(&str, Value)) {
    for (name, value) in [
        ("avg_latency", Value::Float(server.latency_ms_avg)),
        ("max_latency", Value::Int(server.latency_ms_max)),
        ("min_latency", Value::Int(server.latency_ms_min)),
        ("packets_received", int(server.packets_received)),
        ("packets_sent", int(server.packets_sent)),
        ("num_alive_connections", int(server.connections)),
        ("outstanding_requests", int(server.requests_outstanding)),
        ("znode_count", int(server.nodes)),
    ] {
        sink(name, value);
    }
    if let Some(Sizes { last, min, max }) = server.proposal_bytes {
        sink("last_proposal_size", Value::Int(last));
        sink("max_proposal_size", Value::Int(max));
        sink("min_proposal_size", Value::Int(min));
    }
}

fn other_gauges(source: &dyn StatusSource, sink: &mut dyn FnMut(&str, Value)) {
    let gauges = source.gauges();
    let Sizes { last, min, max } = gauges.response_bytes;
    for (name, value) in [
        ("uptime", Value::Int(gauges.uptime_ms)),
        ("watch_count", int(gauges.watches)),
        ("ephemerals_count", int(gauges.ephemerals)),
        ("approximate_data_size", int(gauges.approximate_data_bytes)),
        ("global_sessions", int(gauges.global_sessions)),
        ("local_sessions", int(gauges.local_sessions)),
        (
            "open_file_descriptor_count",
            Value::Int(process::open_file_descriptors()),
        ),
        (
            "max_file_descriptor_count",
            Value::Int(process::max_file_descriptors()),
        ),
        (
            "connection_drop_probability",
            Value::Float(gauges.connection_drop_probability),
        ),
        ("last_client_response_size", Value::Int(last)),
        ("max_client_response_size", Value::Int(max)),
        ("min_client_response_size", Value::Int(min)),
        (
            "outstanding_tls_handshake",
            int(gauges.tls_handshakes_outstanding),
        ),
        ("auth_failed_count", int(gauges.auth_failed)),
        (
            "non_mtls_remote_conn_count",
            int(gauges.non_mtls_remote_connections),
        ),
        (
            "non_mtls_local_conn_count",
            int(gauges.non_mtls_local_connections),
        ),
    ] {
        sink(name, value);
    }
}
