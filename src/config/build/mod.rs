//! Settings -> `Config`: every default, range and cross-check.
//!
//! Must not read a file or know how a key may be spelled. Answers to the body of
//! `QuorumPeerConfig.parseProperties` and to the static initialisers that read system properties.

mod addresses;
mod auth;
mod cluster;
mod limits;
mod operation;
mod sasl;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;

use crate::membership::MembershipError;

use super::diagnostics::{ConfigError, Invalid, Level, Origin};
use super::load::{SourceFile, Sources};
use super::settings::{Diagnostics, Given, Reader, Settings};
use super::system_properties::SystemProperties;
use super::{
    Config, ConfigSource, ListenAddress, Loaded, Membership, Positional, properties, shown,
};

const MILLISECONDS: &str = "a number of milliseconds";
const TICKS: &str = "a number of ticks";
const COUNT: &str = "a whole number";
const BYTES: &str = "a number of bytes";
const INT: std::ops::RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;
const POSITIVE: std::ops::RangeInclusive<i64> = 1..=i32::MAX as i64;
const LONG: std::ops::RangeInclusive<i64> = i64::MIN..=i64::MAX;

pub(super) fn from_sources(
    sources: &Sources,
    properties: &SystemProperties,
) -> Result<Loaded, Invalid> {
    let mut diagnostics = Diagnostics::default();
    let reading = format!("Reading configuration from: {}", sources.zoo_cfg.name);
    diagnostics.general(Level::Info, reading);
    warn_of_relative(
        "the configuration file",
        &sources.zoo_cfg.name,
        None,
        &mut diagnostics,
    );
    let settings = settings(sources, properties, &mut diagnostics);
    let source = ConfigSource {
        path: Some(PathBuf::from(&sources.zoo_cfg.name)),
        text: String::from_utf8_lossy(&sources.zoo_cfg.bytes).into_owned(),
        properties: Vec::new(),
    };
    let server_id = sources
        .my_id
        .as_ref()
        .and_then(|file| my_id(file, &mut diagnostics));
    let version = sources
        .dynamic
        .as_ref()
        .map_or(0, |file| version_of(&file.name));
    let last_seen = sources
        .next
        .as_ref()
        .and_then(|file| last_seen(file, &mut diagnostics));
    finish(
        source,
        server_id,
        version,
        last_seen,
        &settings,
        diagnostics,
    )
}

/// The settings of both files and the properties, before any of them is judged.
pub(super) fn settings(
    sources: &Sources,
    properties: &SystemProperties,
    diagnostics: &mut Diagnostics,
) -> Settings {
    let mut given = lines_of(&sources.zoo_cfg, diagnostics);
    if let Some(dynamic) = &sources.dynamic {
        forbid_static_membership(&given, diagnostics);
        given.extend(dynamic_lines(dynamic, diagnostics));
    }
    Settings::resolve(given, properties, diagnostics)
}

pub(super) fn positional(
    arguments: &Positional,
    properties: &SystemProperties,
) -> Result<Loaded, Invalid> {
    let tick_ms = arguments.tick_ms.unwrap_or(3000).to_string();
    let connections = arguments.connections_per_ip_max.unwrap_or(0).to_string();
    let given = [
        ("dataDir", arguments.data_dir.clone()),
        // In a file 0 means unset; here Java binds a free port, so the address is set below.
        ("clientPort", arguments.port.max(1).to_string()),
        ("tickTime", tick_ms),
        ("maxClientCnxns", connections),
    ];
    let (mut config, notices) = from_arguments(given, properties)?;
    config.client_address = Some(ListenAddress::new(None, arguments.port));
    Ok((config, notices))
}

pub(super) fn embedded(properties: &SystemProperties) -> Result<Loaded, Invalid> {
    let given = [
        ("dataDir", "./data"),
        ("clientPort", "2181"),
        ("clientPortAddress", "127.0.0.1"),
        ("tickTime", "2000"),
    ];
    from_arguments(
        given.map(|(key, value)| (key, value.to_owned())),
        properties,
    )
}

fn from_arguments<const N: usize>(
    given: [(&str, String); N],
    properties: &SystemProperties,
) -> Result<Loaded, Invalid> {
    let given = given.map(|(key, value)| Given {
        key: key.to_owned(),
        value,
        origin: Origin::Arguments,
    });
    let mut diagnostics = Diagnostics::default();
    let settings = Settings::resolve(given.into(), properties, &mut diagnostics);
    finish(
        ConfigSource::default(),
        None,
        0,
        None,
        &settings,
        diagnostics,
    )
}

fn finish(
    source: ConfigSource,
    server_id: Option<i64>,
    version: i64,
    last_seen: Option<Membership>,
    settings: &Settings,
    mut diagnostics: Diagnostics,
) -> Result<Loaded, Invalid> {
    let mut reader = Reader::new(settings, &mut diagnostics);
    let mut config = read(source, server_id, version, &mut reader);
    config.source.properties = shown::properties(settings);
    config.last_seen = last_seen;
    config.validate_for_this_release(settings, &mut diagnostics);
    // A stable order: by line, what has no line first.
    diagnostics.errors.sort_by_key(|error| error.line);
    diagnostics.errors.dedup();
    diagnostics.notices.sort_by_key(|notice| notice.line);
    diagnostics.notices.dedup();
    if diagnostics.errors.is_empty() {
        Ok((config, diagnostics.notices))
    } else {
        let Diagnostics { errors, notices } = diagnostics;
        Err(Invalid { errors, notices })
    }
}

fn lines_of(file: &SourceFile, diagnostics: &mut Diagnostics) -> Vec<Given> {
    let name: Arc<str> = file.name.as_str().into();
    match properties::parse(&file.bytes) {
        Ok(entries) => entries
            .into_iter()
            .map(|entry| Given {
                key: entry.key,
                value: entry.value,
                origin: Origin::File {
                    name: name.clone(),
                    line: entry.line,
                },
            })
            .collect(),
        Err(error) => {
            let line = Some(error.line);
            let error = ConfigError {
                line,
                ..ConfigError::in_file(&file.name, error.to_string())
            };
            diagnostics.errors.push(error);
            Vec::new()
        }
    }
}

fn is_membership(key: &str) -> bool {
    ["server.", "group.", "weight."]
        .iter()
        .any(|family| key.starts_with(family))
}

fn forbid_static_membership(given: &[Given], diagnostics: &mut Diagnostics) {
    for line in given.iter().filter(|line| is_membership(&line.key)) {
        let message = format!(
            "parameter: {} must be in a separate dynamic config file",
            line.key
        );
        diagnostics.error(&line.origin, &line.key, message);
    }
}

fn dynamic_lines(file: &SourceFile, diagnostics: &mut Diagnostics) -> Vec<Given> {
    let mut lines = lines_of(file, diagnostics);
    lines.retain(|line| {
        if is_membership(&line.key) {
            return true;
        }
        let message = match line.key.as_str() {
            "version" => {
                "dynamic file shouldn't have version inside; it is the end of the file's name"
                    .to_owned()
            }
            key => format!(
                "Unrecognised parameter: {key}. Only server, group and weight lines may stand here"
            ),
        };
        diagnostics.error(&line.origin, &line.key, message);
        false
    });
    lines
}

/// `zoo.cfg.dynamic.100000000` -> 0x100000000; a name without such an end has version 0.
fn version_of(file_name: &str) -> i64 {
    let suffix = file_name.rsplit_once('.').map(|(_, suffix)| suffix);
    suffix
        .and_then(|suffix| i64::from_str_radix(suffix, 16).ok())
        .unwrap_or(0)
}

fn last_seen(file: &SourceFile, diagnostics: &mut Diagnostics) -> Option<Membership> {
    let members = String::from_utf8_lossy(&file.bytes).parse();
    let wrong = |error: MembershipError| {
        let error = ConfigError::in_file(&file.name, error.to_string());
        diagnostics.errors.push(error);
    };
    members.map_err(wrong).ok()
}

fn my_id(file: &SourceFile, diagnostics: &mut Diagnostics) -> Option<i64> {
    let text = String::from_utf8_lossy(&file.bytes);
    let first = text.lines().next().unwrap_or_default();
    let id = first.parse().ok();
    if id.is_none() {
        let message = format!("serverid {first} is not a number");
        let error = ConfigError {
            line: Some(1),
            ..ConfigError::in_file(&file.name, message)
        };
        diagnostics.errors.push(error);
    }
    id
}

fn warn_of_relative(
    what: &str,
    path: &str,
    origin: Option<&Origin>,
    diagnostics: &mut Diagnostics,
) {
    if !path.starts_with(['/', '.']) {
        let text = format!("{path} is relative. Prepend ./ to indicate that you're sure!");
        match origin {
            Some(origin) => diagnostics.warn(origin, format!("{what}: {text}")),
            None => diagnostics.general(Level::Warn, text),
        }
    }
}

/// The whole configuration. Goes on after an error, so that one run shows them all.
fn read(source: ConfigSource, server_id: Option<i64>, version: i64, r: &mut Reader<'_>) -> Config {
    let (data_dir, data_log_dir) = addresses::directories(r);
    let standalone_enabled = r.boolean("standaloneEnabled", true);
    let membership = cluster::membership(version, standalone_enabled, r);
    let static_client = addresses::listen_address("clientPort", "clientPortAddress", r);
    let secure_client_address =
        addresses::listen_address("secureClientPort", "secureClientPortAddress", r);
    let client_address = addresses::client_address(
        static_client,
        secure_client_address.is_some(),
        server_id,
        &membership,
        r,
    );
    if let Some(address) = &client_address {
        let text = format!("clientPortAddress is {address}");
        r.diagnostics.general(Level::Info, text);
    }
    let (tick_ms, session_timeout_ms_min, session_timeout_ms_max) = addresses::session_times(r);
    let frame_bytes_max = r.int("jute.maxbuffer", 0xf_ffff, POSITIVE, BYTES) as u32;
    let frame_bytes_extra = r.int(
        "jute.maxbuffer.extrasize",
        i64::from(frame_bytes_max),
        0..=i64::from(i32::MAX),
        BYTES,
    ) as u32;
    let read_only_mode = r.boolean("readonlymode.enabled", false);
    let flush_delay_ms = r.int("flushDelay", 0, 0..=i64::MAX, MILLISECONDS) as u64;
    let write_queue_poll_ms_max = r.int(
        "maxWriteQueuePollTime",
        (flush_delay_ms / 3) as i64,
        0..=i64::MAX,
        MILLISECONDS,
    ) as u64;
    let backlog = r.int("clientPortListenBacklog", -1, INT, COUNT);
    let skip_acl = r.is_word("skipACL", "yes");
    if skip_acl {
        r.diagnostics.general(
            Level::Warn,
            "skipACL=\"yes\", ACL checks will be skipped: every client may do everything",
        );
    }
    let force_sync = !r.is_word("forceSync", "no");
    if !force_sync {
        r.diagnostics.general(
            Level::Warn,
            "forceSync=no: writes are acknowledged before they are on the disk, and a power failure LOSES them",
        );
    }
    operation::check_known_class(
        "serverCnxnFactory",
        &["NIOServerCnxnFactory", "NettyServerCnxnFactory"],
        r,
    );
    operation::check_known_class(
        "watchManagerName",
        &["WatchManager", "WatchManagerOptimized"],
        r,
    );
    operation::check_known_class(
        "audit.impl.class",
        &["Slf4jAuditLogger", "Log4jAuditLogger"],
        r,
    );
    if r.int("electionAlg", 3, INT, COUNT) != 3
        && let Some(setting) = r.setting("electionAlg")
    {
        r.diagnostics.error(
            &setting.origin,
            "electionAlg",
            "Invalid electionAlg value. Only 3 is supported.",
        );
    }
    let throttled_op_wait_time_ms = r.int("throttled_op_wait_time", 0, INT, MILLISECONDS);
    let client_tls = tls::client(secure_client_address.is_some(), r);
    let has_tls = client_tls.is_some();
    let enforce_auth = auth::enforce_auth(has_tls, r);
    let sasl_is_enforced =
        enforce_auth.enabled && enforce_auth.schemes.iter().any(|scheme| scheme == "sasl");
    let is_member = server_id.is_some() && membership.is_distributed(standalone_enabled);
    let quorum_tls = tls::quorum(is_member, r);
    let ensemble = cluster::ensemble(server_id, &membership, tick_ms, r);
    limits::check_ineffective(r);
    let config = Config {
        source,
        data_dir,
        data_log_dir,
        data_dir_autocreate: r.boolean("datadir.autocreate", true),
        db_autocreate: r.boolean("db.autocreate", true),
        eager_acl_check: r.boolean("enableEagerACLCheck", false),
        client_address,
        secure_client_address,
        listen_backlog: u32::try_from(backlog).ok().filter(|backlog| *backlog > 0),
        client_tcp_keepalive: r.boolean("clientTcpKeepAlive", false),
        tick_ms,
        session_timeout_ms_min,
        session_timeout_ms_max,
        connections_per_ip_max: count("maxClientCnxns", 60, r),
        connections_max: count("maxCnxns", 0, r),
        sessionless_timeout_ms: r.int("nio.sessionlessCnxnTimeout", 10_000, POSITIVE, MILLISECONDS)
            as u32,
        global_outstanding_limit: r.int("globalOutstandingLimit", 1000, POSITIVE, COUNT) as u32,
        frame_bytes_max,
        frame_bytes_extra,
        force_sync,
        flush_delay_ms,
        write_queue_poll_ms_max,
        batch_txns_max: r.int("maxBatchSize", 1000, POSITIVE, COUNT) as u32,
        fsync_warning_threshold_ms: r.int(
            "fsync.warningthresholdms",
            1000,
            0..=i64::MAX,
            MILLISECONDS,
        ) as u64,
        autopurge: operation::autopurge(r),
        retained_txns_min: r.int("commitLogCount", 500, INT, COUNT).max(500) as u32,
        tree_digest_enabled: r.boolean("digest.enabled", true),
        close_session_txn_enabled: r.boolean("closeSessionTxn.enabled", true),
        four_letter_whitelist: operation::four_letter_whitelist(read_only_mode, r),
        skip_acl,
        auth: auth::auth(has_tls, r),
        enforce_auth,
        sasl: sasl::sasl(sasl_is_enforced, r),
        enforce_quota: r.boolean("enforceQuota", false),
        extended_types_enabled: r.boolean("extendedTypesEnabled", false),
        container: limits::container(r),
        request_throttle: limits::request_throttle(r),
        connection_throttle: limits::connection_throttle(r),
        large_request: limits::large_request(r),
        throttled_op_wait_time_ms: u32::try_from(throttled_op_wait_time_ms)
            .ok()
            .filter(|ms| *ms > 0),
        read_only_mode,
        reconfig_enabled: r.boolean("reconfigEnabled", false),
        standalone_enabled,
        server_id,
        membership,
        last_seen: None,
        ensemble,
        client_tls,
        quorum_tls,
        admin: operation::admin(r),
        metrics: operation::metrics(r),
        audit_enabled: r.boolean("audit.enable", false),
    };
    cluster::check_extended_server_ids(&config, r);
    config
}

/// A number of things, where every negative one means the same as 0.
fn count(name: &str, default: u32, r: &mut Reader<'_>) -> u32 {
    r.int(name, i64::from(default), INT, COUNT).max(0) as u32
}

/// For tests of the key table: which keys `read` asks for.
#[cfg(test)]
pub(super) fn asked_for() -> std::collections::BTreeSet<String> {
    let mut diagnostics = Diagnostics::default();
    let settings = Settings::default();
    let mut reader = Reader::new(&settings, &mut diagnostics);
    read(ConfigSource::default(), None, 0, &mut reader);
    reader.asked
}
