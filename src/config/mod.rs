//! zoo.cfg and what stands beside it -> a valid [`Config`], read once and handed down by argument.
//!
//! Text becomes entries (`properties`), entries become settings with their origin (`settings`, by
//! the table in `keys`), settings become a `Config` (`build`), and `release` says what of it this
//! release cannot do. Only `load` touches a file; nothing here logs, reads the environment or
//! resolves a name. Answers to `QuorumPeerConfig`, `ServerConfig` and the system properties that
//! Java classes read by themselves.

mod build;
mod diagnostics;
pub mod dynamic;
pub mod keys;
mod load;
mod membership;
pub mod properties;
mod release;
pub mod report;
mod sasl;
mod settings;
mod shown;
mod system_properties;
mod tls;
pub mod values;

use std::fmt;
use std::path::{Path, PathBuf};

pub use diagnostics::{ConfigError, Invalid, Level, Notice, Origin};
pub use load::{SourceFile, Sources};
pub use sasl::{Kerberos, Sasl, SaslOfMembers};
pub use system_properties::SystemProperties;
pub use tls::{
    CIPHER_SUITES, ClientAuth, ClientTls, QuorumTls, StoreFormat, Tls, TlsProtocols, TlsStore,
};

pub use crate::membership::{ListenAddress, Membership, PeerAddress, Role, ServerLine};

/// A configuration and what the operator should read about it.
pub type Loaded = (Config, Vec<Notice>);

/// Everything that an operator can set, valid and typed. Limits of 0 mean "no limit" where Java
/// means that; switches that Java calls "-1" are `None`.
#[derive(Debug, Clone)]
pub struct Config {
    pub source: ConfigSource,

    /// As given; it may be relative.
    pub data_dir: PathBuf,
    pub data_log_dir: PathBuf,
    /// Create missing directories below the two above.
    pub data_dir_autocreate: bool,
    /// A member whose data directory is empty counts as one that has nothing yet, rather than as one that lost what it had.
    pub db_autocreate: bool,
    /// A member refuses by its own tree what its leader would.
    pub eager_acl_check: bool,

    /// The plaintext port. `None` only together with a secure one.
    pub client_address: Option<ListenAddress>,
    pub secure_client_address: Option<ListenAddress>,
    /// listen(2)'s argument; `None`: the platform's default (Java: 50, `conf` prints -1).
    pub listen_backlog: Option<u32>,
    pub client_tcp_keepalive: bool,

    pub tick_ms: u32,
    pub session_timeout_ms_min: u32,
    pub session_timeout_ms_max: u32,
    /// From one remote address; 0: no limit.
    pub connections_per_ip_max: u32,
    /// On one listener; 0: no limit.
    pub connections_max: u32,
    /// A connection that sends no connect request is closed after this long.
    pub sessionless_timeout_ms: u32,
    /// Requests in flight before sockets are no longer read.
    pub global_outstanding_limit: u32,
    /// `jute.maxbuffer`: the longest frame accepted from a client.
    pub frame_bytes_max: u32,
    /// Room beyond `frame_bytes_max` for what the server itself adds (log, quorum packets).
    pub frame_bytes_extra: u32,

    pub force_sync: bool,
    /// How long a group commit waits for company; 0: not at all.
    pub flush_delay_ms: u64,
    /// A pause of this length in the queue ends the wait.
    pub write_queue_poll_ms_max: u64,
    /// Transactions in one group commit.
    pub batch_txns_max: u32,
    pub fsync_warning_threshold_ms: u64,
    pub autopurge: Autopurge,
    /// So many transactions stay in the log when it is purged, for learners that lack only those.
    pub retained_txns_min: u32,
    /// The tree's digest in transactions and checkpoints.
    pub tree_digest_enabled: bool,
    /// closeSession transactions carry the list of ephemeral paths.
    pub close_session_txn_enabled: bool,

    pub four_letter_whitelist: FourLetterWhitelist,
    pub skip_acl: bool,
    pub auth: Auth,
    pub enforce_auth: EnforceAuth,
    pub sasl: Sasl,

    pub enforce_quota: bool,
    pub extended_types_enabled: bool,
    pub container: Container,
    pub request_throttle: RequestThrottle,
    pub connection_throttle: ConnectionThrottle,
    pub large_request: LargeRequest,
    /// A request older than this when its turn comes is answered with THROTTLEDOP; `None`: off.
    pub throttled_op_wait_time_ms: Option<u32>,

    /// Adds `isro` to the whitelist, and lets a partitioned server serve read-only clients.
    pub read_only_mode: bool,
    pub reconfig_enabled: bool,
    pub standalone_enabled: bool,
    /// From `myid`.
    pub server_id: Option<i64>,
    pub membership: Membership,
    /// Proposed when the server stopped, and perhaps committed since: it counts if its version is above.
    pub last_seen: Option<Membership>,
    pub ensemble: Ensemble,

    /// `None`: clients come in by plaintext alone.
    pub client_tls: Option<ClientTls>,
    /// `None`: servers speak plaintext.
    pub quorum_tls: Option<QuorumTls>,

    pub admin: Admin,
    pub metrics: Metrics,
    pub audit_enabled: bool,
}

/// Where a configuration came from.
#[derive(Clone, Default)]
pub struct ConfigSource {
    /// `None`: positional arguments or none at all.
    pub path: Option<PathBuf>,
    /// The complete text of the file, for the admin command `initial_configuration`.
    pub text: String,
    /// What Java would have as system properties, by name, for `system_properties`. Passwords are hidden.
    pub properties: Vec<(String, String)>,
}

impl ConfigSource {
    /// The text with its passwords hidden.
    pub fn shown_text(&self) -> String {
        shown::text(&self.text)
    }
}

impl fmt::Debug for ConfigSource {
    /// Without the text: passwords stand in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigSource")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
pub struct Autopurge {
    /// `None`: off.
    pub interval_ms: Option<u64>,
}

/// `4lw.commands.whitelist`. `srvr` is always allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FourLetterWhitelist {
    pub all: bool,
    pub words: Vec<String>,
}

impl FourLetterWhitelist {
    pub fn allows(&self, word: &str) -> bool {
        self.all || self.words.iter().any(|allowed| allowed == word)
    }
}

#[derive(Debug, Clone)]
pub struct Auth {
    /// Whether the scheme `digest` exists.
    pub digest_enabled: bool,
    /// The hash of digest ids, by its name in the JVM.
    pub digest_algorithm: String,
    /// `super:<base64 of the hash>`
    pub super_digest: Option<Secret>,
    /// Values of `authProvider.*`: Java class names that this server knows.
    pub provider_classes: Vec<String>,
    /// `ensembleAuthName`, as given: names joined by commas.
    pub ensemble_names: Option<String>,
    /// An ACL id equal to this matches every user who proved an identity by SASL.
    pub let_any_sasl_user_do: Option<String>,
    pub x509_super_user: Option<String>,
    /// `superUser` and `superUser.*`: SASL ids.
    pub sasl_super_users: Vec<String>,
    pub allow_sasl_failed_clients: bool,
}

#[derive(Debug, Clone)]
pub struct EnforceAuth {
    pub enabled: bool,
    /// Lower case, not empty where enabled.
    pub schemes: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Container {
    pub check_interval_ms: u32,
    /// 0: containers are never removed.
    pub deletions_per_minute_max: u32,
    /// 0: a container that never had a child stays.
    pub never_used_ms_max: u64,
}

#[derive(Debug, Clone)]
pub struct RequestThrottle {
    /// 0: off.
    pub requests_max: u32,
    pub stall_ms: u32,
    pub drop_stale: bool,
    /// Stale: its connection is gone.
    pub stale_connection_check: bool,
    /// Stale: older than its session's timeout.
    pub stale_latency_check: bool,
}

#[derive(Debug, Clone)]
pub struct ConnectionThrottle {
    /// Bucket size, times the weight of a global session where weights are on; 0: off.
    pub tokens_max: u32,
    pub fill_interval_ms: u32,
    pub fill_tokens: u32,
    /// Time between changes of the drop probability; `None`: nothing is dropped early.
    pub freeze_ms: Option<u32>,
    pub drop_increase: f64,
    pub drop_decrease: f64,
    pub decrease_ratio: f64,
    /// `None`: every connection costs one token.
    pub weights: Option<ConnectionWeights>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionWeights {
    pub global_session: u32,
    pub local_session: u32,
    pub renewed_session: u32,
}

#[derive(Debug, Clone)]
pub struct LargeRequest {
    /// Bytes from which a request counts as large; `None`: off.
    pub bytes_min: Option<u32>,
    /// Sum of large requests in flight; beyond it the connection is closed.
    pub in_flight_bytes_max: u64,
}

/// Settings that only members of an ensemble use.
#[derive(Debug, Clone)]
pub struct Ensemble {
    pub init_limit_ticks: u32,
    pub sync_limit_ticks: u32,
    /// `None`: as `init_limit_ticks`.
    pub connect_to_leader_limit_ticks: Option<u32>,
    pub role: Role,
    pub listen_on_all_addresses: bool,
    pub leader_serves: bool,
    pub local_sessions_enabled: bool,
    pub local_sessions_upgrading_enabled: bool,
    /// Where followers serve observers; `None`: observers connect to the leader.
    pub observer_master_port: Option<u16>,
    pub dynamic_config_file: Option<PathBuf>,
    /// Every learner gets a snapshot.
    pub always_snapshot: bool,
    /// So many learners at a time get a snapshot, and so many transactions; observers beyond that come again.
    pub snapshot_syncs_max: u32,
    pub diff_syncs_max: u32,
    /// How long a leader waits for epochs although a voter of its looks for another leader; `None`: as long as for others.
    pub epoch_wait_ms_max: Option<u32>,
    /// An observer waits for its disk, as a voter has to.
    pub observer_sync_enabled: bool,
    /// The acknowledgements of one proposal in so many are measured; of none, if it is not positive.
    pub ack_logging_frequency: i32,
    /// A server may have several addresses, and all of them are told to others.
    pub multiple_addresses: bool,
    /// How long they are asked together which one answers; `None`: they are tried one after the other.
    pub reachability_check_ms: Option<u32>,
    pub election: ElectionPort,
    /// Between attempts to connect to a leader, which may not listen yet.
    pub leader_connect_retry_ms: u32,
    /// Bounds of what an observer that lost its leader waits, at random, before it looks for one again.
    pub observer_reconnect_ms_max: u32,
    pub observer_election_ms_max: u32,
}

/// The connections over which servers vote.
#[derive(Debug, Clone)]
pub struct ElectionPort {
    pub connect_timeout_ms: u32,
    /// How long a connection may take to say whose it is.
    pub handshake_timeout_ms: u64,
    pub tcp_keepalive: bool,
    /// A second apart; 0: for ever.
    pub bind_attempts_max: u32,
    /// A proposal without an answer is repeated after the minimum, then ever later up to the maximum.
    pub notification_ms_min: u32,
    pub notification_ms_max: u32,
}

#[derive(Debug, Clone)]
pub struct Admin {
    pub enabled: bool,
    /// Whether `admin.enableServer` is set at all.
    pub is_explicit: bool,
    pub address: ListenAddress,
    pub is_address_explicit: bool,
    /// Begins with a slash and ends without one.
    pub command_url: String,
    pub idle_ms: u32,
    /// Without TLS, or beside it.
    pub takes_plaintext: bool,
    /// `None`: all is plaintext.
    pub tls: Option<Tls>,
    pub snapshot_enabled: bool,
    pub restore_enabled: bool,
    /// The dashboard changes nodes for who may.
    pub dashboard_edits: bool,
    /// One snapshot and one restore in so long.
    pub rate_interval_ms: u32,
    /// Who asks for a proxy is where the proxy says.
    pub trusts_forwarded_for: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    pub provider: MetricsProvider,
    pub address: ListenAddress,
    /// `metricsProvider.exportJvmInfo`
    pub tells_of_process: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsProvider {
    Default,
    Null,
    Prometheus,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Self {
        Secret(text)
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Java's positional arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positional {
    /// 0: a free port.
    pub port: u16,
    pub data_dir: String,
    pub tick_ms: Option<u32>,
    /// `None` and 0: no limit (the file's default of 60 does not apply here).
    pub connections_per_ip_max: Option<u32>,
}

impl Config {
    /// Reads zoo.cfg and the files it names.
    pub fn load(path: &Path, properties: &SystemProperties) -> Result<Loaded, Invalid> {
        Config::from_sources(&load::read(path)?, properties)
    }

    /// The same without a disk.
    pub fn from_sources(
        sources: &Sources,
        properties: &SystemProperties,
    ) -> Result<Loaded, Invalid> {
        build::from_sources(sources, properties)
    }

    /// `<port> <dataDir> [tickTime] [maxClientCnxns]`
    pub fn positional(
        arguments: &Positional,
        properties: &SystemProperties,
    ) -> Result<Loaded, Invalid> {
        build::positional(arguments, properties)
    }

    /// No arguments: one server on the loopback interface with its data in `./data`.
    pub fn embedded(properties: &SystemProperties) -> Result<Loaded, Invalid> {
        build::embedded(properties)
    }

    /// Whether this server is a member of an ensemble rather than one on its own.
    pub fn is_distributed(&self) -> bool {
        self.membership.is_distributed(self.standalone_enabled)
    }

    /// Every address on which clients are served.
    pub fn client_listeners(&self) -> Vec<ClientListener> {
        let plain = self.client_address.iter().map(|address| ClientListener {
            address: address.clone(),
            is_secure: false,
        });
        let secure = self
            .secure_client_address
            .iter()
            .map(|address| ClientListener {
                address: address.clone(),
                is_secure: true,
            });
        plain.chain(secure).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientListener {
    pub address: ListenAddress,
    pub is_secure: bool,
}

#[cfg(test)]
mod tests;
