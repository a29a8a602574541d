//! The facts that answers are made of, as whoever runs the server gives them.

use std::net::SocketAddr;
use std::ops::ControlFlow;

use crate::admin::metrics::{Metrics, Sink};
use crate::admin::stats::Sizes;
use crate::proto::OpCode;

/// Where the facts come from. Each method is called at most once for a word, only where the word
/// needs it, and from the task of the connection that asked: none may wait for that connection.
pub trait StatusSource {
    /// `None`: not serving (no leader, syncing, shutting down); then nothing else is asked but the
    /// trace mask.
    fn state(&self) -> Option<ServerState>;
    /// False of a leader that leaves clients to the others: to words it is one that does not serve.
    fn serves_clients(&self) -> bool {
        true
    }
    /// For `stat`, `srvr` and `mntr`.
    fn server(&self) -> ServerView;
    /// For `mntr`.
    fn gauges(&self) -> Gauges;
    /// Gauges of this server's role or of its quotas, beyond those that every server has.
    fn more_gauges(&self, _sink: &mut Sink<'_>) {}
    fn metrics(&self) -> &Metrics;
    /// `leading - broadcast` and the like; only in an ensemble.
    fn peer_state(&self) -> Option<String> {
        None
    }
    /// For `conf`.
    fn config(&self) -> ConfigView;
    /// For `dirs` and `conf`: bytes of the data and of the log directory.
    fn directory_sizes(&self) -> (u64, u64);

    /// The connections of the listener that was asked, the asking one included.
    fn connections(&self, each: &mut dyn FnMut(ConnectionView));
    /// Those that the whole ensemble knows.
    fn global_sessions(&self) -> GlobalSessions;
    /// Local sessions by the time at which they expire, ascending, where there may be any.
    fn local_session_buckets(&self) -> Option<Vec<ExpiryBucket>> {
        None
    }
    /// Connections by the time at which they are closed for idleness, ascending. May be empty.
    fn connection_buckets(&self) -> Vec<ConnectionBucket> {
        Vec::new()
    }
    /// Sessions that own ephemeral nodes, with the paths.
    fn ephemerals(&self) -> Vec<(i64, Vec<String>)>;

    /// Data and exists watches; child watches are not shown.
    fn watch_summary(&self) -> WatchSummary;
    /// A `WatchLine::Session` and then its paths, for each session; stops when told to.
    fn watches_by_session(&self, line: &mut dyn FnMut(WatchLine<'_>) -> ControlFlow<()>);
    /// A `WatchLine::Path` and then its sessions, for each path; stops when told to.
    fn watches_by_path(&self, line: &mut dyn FnMut(WatchLine<'_>) -> ControlFlow<()>);

    /// Recorded digests of the tree: zxid and digest, oldest first.
    fn digests(&self) -> Vec<(i64, u64)> {
        Vec::new()
    }

    /// `crst`: the figures of every connection.
    fn reset_connections(&self);
    /// `srst`: the figures of the server, its metrics included.
    fn reset_server(&self);

    fn trace_mask(&self) -> i64;
    fn set_trace_mask(&self, mask: i64);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    Standalone,
    Leader,
    Follower,
    Observer,
    ReadOnly,
}

impl ServerState {
    pub fn name(self) -> &'static str {
        match self {
            ServerState::Standalone => "standalone",
            ServerState::Leader => "leader",
            ServerState::Follower => "follower",
            ServerState::Observer => "observer",
            ServerState::ReadOnly => "read-only",
        }
    }
}

/// What `stat` and `srvr` show; `mntr` shows it too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServerView {
    pub latency_ms_min: i64,
    /// At most four decimals: `Totals::average`.
    pub latency_ms_avg: f64,
    pub latency_ms_max: i64,
    pub packets_received: u64,
    pub packets_sent: u64,
    pub connections: u64,
    pub requests_outstanding: u64,
    pub zxid: i64,
    /// Java counts the root twice: a fresh server has 5.
    pub nodes: u64,
    /// Only of a leader.
    pub proposal_bytes: Option<Sizes>,
}

/// What only `mntr` shows of every server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gauges {
    pub uptime_ms: i64,
    pub watches: u64,
    pub ephemerals: u64,
    /// Bytes of paths and data.
    pub approximate_data_bytes: u64,
    pub global_sessions: u64,
    pub local_sessions: u64,
    pub connection_drop_probability: f64,
    pub response_bytes: Sizes,
    pub tls_handshakes_outstanding: u64,
    pub auth_failed: u64,
    pub non_mtls_remote_connections: u64,
    pub non_mtls_local_connections: u64,
}

/// A connection of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionView {
    pub peer: SocketAddr,
    /// 1 while the server reads from it, 4 while output waits, 0 for the connection that asks.
    pub interest_ops: u32,
    pub queued: u64,
    pub received: u64,
    pub sent: u64,
    pub since_unix_ms: i64,
    pub session: Option<ConnectionSession>,
}

/// What `cons` shows of a connection that has a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSession {
    pub id: i64,
    /// From `last_operation`; `NA` before the first.
    pub last_operation: &'static str,
    pub established_unix_ms: i64,
    pub timeout_ms: i32,
    /// -1 before the first; pings and the like do not count.
    pub last_xid: i64,
    /// -1 before the first.
    pub last_zxid: i64,
    /// Of a clock without an epoch.
    pub last_response_ms: i64,
    pub last_latency_ms: i64,
    pub latency_ms_min: i64,
    pub latency_ms_avg: i64,
    pub latency_ms_max: i64,
}

/// What `cons` calls an operation.
pub fn last_operation(op: OpCode) -> &'static str {
    match op {
        OpCode::PING => "PING",
        OpCode::CREATE_SESSION => "SESS",
        OpCode::CLOSE_SESSION => "CLOS",
        OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_TTL | OpCode::CREATE_CONTAINER => "CREA",
        OpCode::DELETE | OpCode::DELETE_CONTAINER => "DELE",
        OpCode::SET_DATA => "SETD",
        OpCode::SET_ACL => "SETA",
        OpCode::GET_DATA => "GETD",
        OpCode::GET_ACL => "GETA",
        OpCode::GET_CHILDREN | OpCode::GET_CHILDREN2 => "GETC",
        OpCode::GET_ALL_CHILDREN_NUMBER => "GETACN",
        OpCode::EXISTS => "EXIS",
        OpCode::MULTI => "MULT",
        OpCode::MULTI_READ => "MLTR",
        OpCode::SYNC => "SYNC",
        OpCode::CHECK => "CHEC",
        OpCode::CHECK_WATCHES => "CHKW",
        OpCode::REMOVE_WATCHES => "REMW",
        OpCode::SET_WATCHES => "SETW",
        OpCode::SET_WATCHES2 => "STW2",
        OpCode::ADD_WATCH => "ADDW",
        OpCode::RECONFIG => "RECO",
        OpCode::GET_EPHEMERALS => "GETE",
        OpCode::WHO_AM_I => "HOMI",
        _ => "NA",
    }
}

/// What `conf` shows besides the sizes of the directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigView {
    /// -1 if there is none, as for the secure one.
    pub client_port: i32,
    pub secure_client_port: i32,
    /// Absolute, with the `version-2` at its end.
    pub data_dir: String,
    pub data_log_dir: String,
    pub tick_time_ms: i32,
    pub client_connections_max: i32,
    pub session_timeout_ms_min: i32,
    pub session_timeout_ms_max: i32,
    pub listen_backlog: i32,
    pub server_id: i64,
    pub ensemble: Option<EnsembleView>,
}

/// What `conf` adds in an ensemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnsembleView {
    pub init_limit: i32,
    pub sync_limit: i32,
    pub election_ports: Vec<u16>,
    pub quorum_ports: Vec<u16>,
    pub observer: bool,
    /// The configuration as it is stored: a line for each server, then `version=`, without a line end. Not shown by a
    /// server that is read-only.
    pub membership: Option<String>,
}

/// Sessions that the whole ensemble knows, as this server sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GlobalSessions {
    /// They expire here: by the time at which they do, ascending.
    Expiring(Vec<ExpiryBucket>),
    /// They expire elsewhere: with their timeouts in milliseconds, ascending.
    Known(Vec<(i64, i32)>),
}

/// Sessions that expire together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiryBucket {
    pub expires_unix_ms: i64,
    pub sessions: Vec<i64>,
}

/// Connections that are closed together if nothing comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionBucket {
    pub expires_unix_ms: i64,
    /// With the session, 0 without one.
    pub connections: Vec<(SocketAddr, i64)>,
}

/// What `wchs` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchSummary {
    pub connections: u64,
    pub paths: u64,
    pub watches: u64,
}

/// A line of `wchc` or `wchp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchLine<'a> {
    Session(i64),
    Path(&'a str),
}
