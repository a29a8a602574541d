//! Settings -> `Config`: every default, range and cross-check.
//!
//! Must not read a file or know how a key may be spelled. Answers to the body of
//! `QuorumPeerConfig.parseProperties` and to the static initialisers that read system properties.

use std::path::PathBuf;
use std::sync::Arc;

use super::diagnostics::{ConfigError, Invalid, Level, Origin};
use super::load::{SourceFile, Sources};
use super::settings::{Diagnostics, Given, Reader, Setting, Settings};
use super::system_properties::SystemProperties;
use super::values::{self, ListenAddress};
use super::*;

const MILLISECONDS: &str = "a number of milliseconds";
const TICKS: &str = "a number of ticks";
const COUNT: &str = "a whole number";
const BYTES: &str = "a number of bytes";
const INT: std::ops::RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;
const POSITIVE: std::ops::RangeInclusive<i64> = 1..=i32::MAX as i64;
const LONG: std::ops::RangeInclusive<i64> = i64::MIN..=i64::MAX;

/// Purging is off in Java unless asked for, which is the most common cause of full disks.
const PURGE_INTERVAL_MS_DEFAULT: i64 = 3_600_000;

pub(super) fn from_sources(
    sources: &Sources,
    properties: &SystemProperties,
) -> Result<Loaded, Invalid> {
    let mut diagnostics = Diagnostics::default();
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
    };
    let server_id = sources
        .my_id
        .as_ref()
        .and_then(|file| my_id(file, &mut diagnostics));
    let version = sources
        .dynamic
        .as_ref()
        .map_or(0, |file| version_of(&file.name));
    finish(source, server_id, version, &settings, diagnostics)
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
        ("clientPort", arguments.port.to_string()),
        ("tickTime", tick_ms),
        ("maxClientCnxns", connections),
    ];
    let (mut config, notices) = from_arguments(given, properties)?;
    // In a file 0 means unset; here Java binds a free port.
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
    finish(ConfigSource::default(), None, 0, &settings, diagnostics)
}

fn finish(
    source: ConfigSource,
    server_id: Option<i64>,
    version: u64,
    settings: &Settings,
    mut diagnostics: Diagnostics,
) -> Result<Loaded, Invalid> {
    let mut reader = Reader::new(settings, &mut diagnostics);
    let config = read(source, server_id, version, &mut reader);
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
fn version_of(file_name: &str) -> u64 {
    let suffix = file_name.rsplit_once('.').map(|(_, suffix)| suffix);
    suffix
        .and_then(|suffix| u64::from_str_radix(suffix, 16).ok())
        .unwrap_or(0)
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
fn read(source: ConfigSource, server_id: Option<i64>, version: u64, r: &mut Reader<'_>) -> Config {
    let (data_dir, data_log_dir) = directories(r);
    let standalone_enabled = r.boolean("standaloneEnabled", true);
    let membership = membership(version, standalone_enabled, r);
    let static_client = listen_address("clientPort", "clientPortAddress", r);
    let secure_client_address = listen_address("secureClientPort", "secureClientPortAddress", r);
    let client_address = client_address(
        static_client,
        secure_client_address.is_some(),
        server_id,
        &membership,
        r,
    );
    let (tick_ms, session_timeout_ms_min, session_timeout_ms_max) = session_times(r);
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
    check_known_class(
        "serverCnxnFactory",
        &["NIOServerCnxnFactory", "NettyServerCnxnFactory"],
        r,
    );
    check_known_class(
        "watchManagerName",
        &["WatchManager", "WatchManagerOptimized"],
        r,
    );
    check_known_class(
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
    check_quorum_sasl(r);
    let throttled_op_wait_time_ms = r.int("throttled_op_wait_time", 0, INT, MILLISECONDS);
    let ensemble = ensemble(server_id, &membership, r);
    let config = Config {
        source,
        data_dir,
        data_log_dir,
        data_dir_autocreate: r.boolean("datadir.autocreate", true),
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
        autopurge: autopurge(r),
        tree_digest_enabled: r.boolean("digest.enabled", true),
        close_session_txn_enabled: r.boolean("closeSessionTxn.enabled", true),
        java_files: java_files(r),
        four_letter_whitelist: four_letter_whitelist(read_only_mode, r),
        skip_acl,
        auth: auth(r),
        enforce_auth: enforce_auth(r),
        enforce_quota: r.boolean("enforceQuota", false),
        extended_types_enabled: r.boolean("extendedTypesEnabled", false),
        container: container(r),
        request_throttle: request_throttle(r),
        connection_throttle: connection_throttle(r),
        large_request: large_request(r),
        throttled_op_wait_time_ms: u32::try_from(throttled_op_wait_time_ms)
            .ok()
            .filter(|ms| *ms > 0),
        response_cache_entries_max: count("maxResponseCacheSize", 400, r),
        children_response_cache_entries_max: count("maxGetChildrenResponseCacheSize", 400, r),
        read_only_mode,
        reconfig_enabled: r.boolean("reconfigEnabled", false),
        standalone_enabled,
        server_id,
        membership,
        ensemble,
        admin: admin(r),
        metrics: metrics(r),
        audit_enabled: r.boolean("audit.enable", false),
    };
    check_extended_server_ids(&config, r);
    config
}

/// A number of things, where every negative one means the same as 0.
fn count(name: &str, default: u32, r: &mut Reader<'_>) -> u32 {
    r.int(name, i64::from(default), INT, COUNT).max(0) as u32
}

fn directories(r: &mut Reader<'_>) -> (PathBuf, PathBuf) {
    for key in ["dataDir", "dataLogDir"] {
        if let Some(Setting { value, origin, .. }) = r.setting(key) {
            warn_of_relative(key, value, Some(origin), r.diagnostics);
        }
    }
    let Some(data_dir) = r.nonempty("dataDir") else {
        r.diagnostics.errors.push(ConfigError::general(
            "dataDir is not set: name the directory that keeps this server's data",
        ));
        return Default::default();
    };
    let data_log_dir = r.nonempty("dataLogDir").unwrap_or_else(|| data_dir.clone());
    (data_dir.into(), data_log_dir.into())
}

fn listen_address(port_key: &str, host_key: &str, r: &mut Reader<'_>) -> Option<ListenAddress> {
    let errors_before = r.diagnostics.errors.len();
    let port = r.int(port_key, 0, 0..=65535, "a port number, 0 for none,") as u16;
    let host = r
        .setting(host_key)
        .filter(|setting| !setting.value.is_empty());
    match (port, host) {
        // A port that could not be read has been reported; its address is not to blame.
        (0, _) if r.diagnostics.errors.len() > errors_before => None,
        (0, Some(host)) => {
            let message = format!("{host_key} is set but {port_key} is not set");
            r.diagnostics.error(&host.origin, host_key, message);
            None
        }
        (0, None) => None,
        (port, host) => {
            let bare = host.map(|host| host.value.trim_start_matches('[').trim_end_matches(']'));
            Some(ListenAddress::new(bare, port))
        }
    }
}

fn membership(version: u64, standalone_enabled: bool, r: &mut Reader<'_>) -> Membership {
    // Asked for by family, so that a test sees that they are read.
    for family in ["server.", "group.", "weight."] {
        let _ = r.family(family);
    }
    // Java's parser of server lines reads the property and its peer the key; either will do here.
    let multiple_addresses = r.boolean("multiAddress.enabled", false);
    let lines = release::membership_settings(r.settings);
    let mut membership = membership::read(lines, multiple_addresses, r.diagnostics);
    membership.version = version;
    let had_errors = release::membership_settings(r.settings).any(|(name, _)| {
        r.diagnostics
            .errors
            .iter()
            .any(|error| error.key.as_deref() == Some(name))
    });
    // Lines that could not be read are missing; counting the rest would only mislead.
    if !had_errors {
        membership::check(&membership, standalone_enabled, r.diagnostics);
    }
    if !membership.is_distributed(standalone_enabled) {
        let text = "Either no config or no quorum defined in config, running in standalone mode";
        r.diagnostics.general(Level::Warn, text);
    }
    membership
}

/// The address that clients use: that of the own server line if it has one.
fn client_address(
    from_file: Option<ListenAddress>,
    has_secure: bool,
    server_id: Option<i64>,
    membership: &Membership,
    r: &mut Reader<'_>,
) -> Option<ListenAddress> {
    let own = server_id.and_then(|id| membership.servers.get(&id));
    if let Some((own, line)) = own.and_then(|own| Some((own, own.client.as_ref()?))) {
        if let Some(from_file) = &from_file {
            let agrees = from_file.port == line.port
                && (from_file.is_wildcard() || from_file.host == line.host);
            if !agrees {
                let message = format!(
                    "client address for this server (id = {}) in static config file is {from_file} \
                     is different from client address found in dynamic file: {line}",
                    own.id
                );
                match r.settings.get("clientPort") {
                    Some(setting) => r.diagnostics.error(&setting.origin, "clientPort", message),
                    None => r.diagnostics.errors.push(ConfigError::general(message)),
                }
            }
        }
        return Some(line.clone());
    }
    if from_file.is_some() {
        return from_file;
    }
    // Java would run and listen nowhere, since without myid it does not know its own line.
    let only = release::only_member(membership).filter(|_| server_id.is_none());
    if let Some((only, line)) = only.and_then(|only| Some((only, only.client.as_ref()?))) {
        let text = format!(
            "no clientPort and no myid; {line} is taken from server.{}, the only one",
            only.id
        );
        r.diagnostics.general(Level::Warn, text);
        return Some(line.clone());
    }
    let failed_port = r.diagnostics.errors.iter().any(|error| {
        error
            .key
            .as_deref()
            .is_some_and(|key| key.starts_with("clientPort") || is_membership(key))
    });
    if !has_secure && !failed_port {
        let message = "clientPort is not set, and no server line gives a client port: nobody could connect. \
                       Set clientPort=2181";
        r.diagnostics.errors.push(ConfigError::general(message));
    }
    None
}

fn session_times(r: &mut Reader<'_>) -> (u32, u32, u32) {
    let tick_ms = match r.setting("tickTime") {
        Some(setting) if values::integer(&setting.value) == Some(0) => {
            let message =
                "tickTime is not set: 0 is not allowed, expected a number of milliseconds";
            r.diagnostics.error(&setting.origin, "tickTime", message);
            3000
        }
        _ => r.int("tickTime", 3000, POSITIVE, MILLISECONDS),
    };
    let from_ticks = |ticks: i64| (tick_ms * ticks).min(i64::from(i32::MAX));
    let mut bound = |key: &str, ticks| match r.int(key, -1, INT, MILLISECONDS) {
        -1 => from_ticks(ticks),
        ms => ms.max(0),
    };
    let (min, max) = (
        bound("minSessionTimeout", 2),
        bound("maxSessionTimeout", 20),
    );
    if min > max {
        let message = format!(
            "minSessionTimeout must not be larger than maxSessionTimeout ({min} > {max} ms)"
        );
        let blamed = ["minSessionTimeout", "maxSessionTimeout"]
            .into_iter()
            .find_map(|key| Some((key, r.settings.get(key)?)));
        match blamed {
            Some((key, setting)) => r.diagnostics.error(&setting.origin, key, message),
            None => r.diagnostics.errors.push(ConfigError::general(message)),
        }
    }
    (tick_ms as u32, min as u32, max as u32)
}

fn autopurge(r: &mut Reader<'_>) -> Autopurge {
    let retained = r.int("autopurge.snapRetainCount", 3, INT, COUNT);
    if retained < 3
        && let Some(setting) = r.setting("autopurge.snapRetainCount")
    {
        r.diagnostics.warn(
            &setting.origin,
            format!("Invalid autopurge.snapRetainCount: {retained}. Defaulting to 3"),
        );
    }
    let expected = "a number of hours, or a number with one of the units ms s m h d";
    let interval_ms = r.parsed(
        "autopurge.purgeInterval",
        PURGE_INTERVAL_MS_DEFAULT,
        expected,
        values::hours_or_duration_ms,
    );
    if r.setting("autopurge.purgeInterval").is_none() {
        let text =
            "autopurge.purgeInterval is not set: old log is purged every hour; 0 keeps it all";
        r.diagnostics.general(Level::Info, text);
    }
    Autopurge {
        interval_ms: u64::try_from(interval_ms).ok().filter(|ms| *ms > 0),
        retained_checkpoints_min: retained.max(3) as u32,
    }
}

fn java_files(r: &mut Reader<'_>) -> JavaFiles {
    let compression = r.text("snapshot.compression.method").unwrap_or_default();
    let snapshot_compression = match compression.to_ascii_lowercase().as_str() {
        "gz" => SnapshotCompression::Gzip,
        "snappy" => SnapshotCompression::Snappy,
        // Java takes any other word for no compression.
        _ => SnapshotCompression::None,
    };
    JavaFiles {
        log_prealloc_kib: r.int("preAllocSize", 65_536, POSITIVE, "a number of kilobytes") as u32,
        snap_count: r.int("snapCount", 100_000, INT, COUNT).max(2) as u32,
        snap_size_limit_kib: r
            .int(
                "snapSizeLimitInKb",
                4_194_304,
                LONG,
                "a number of kilobytes",
            )
            .max(0) as u64,
        log_size_limit_kib: r
            .int("txnLogSizeLimitInKb", -1, LONG, "a number of kilobytes")
            .max(0) as u64,
        snapshot_compression,
        snapshot_trust_empty: r.boolean("snapshot.trust.empty", false),
        serialize_last_processed_zxid: r.boolean("serializeLastProcessedZxid.enabled", true),
    }
}

const FOUR_LETTER_WORDS: &[&str] = &[
    "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srst",
    "srvr", "stat", "stmk", "wchc", "wchp", "wchs",
];

fn four_letter_whitelist(read_only_mode: bool, r: &mut Reader<'_>) -> FourLetterWhitelist {
    let mut whitelist = FourLetterWhitelist {
        all: false,
        words: vec!["srvr".to_owned()],
    };
    if read_only_mode {
        whitelist.words.push("isro".to_owned());
    }
    let Some(setting) = r.setting("4lw.commands.whitelist") else {
        return whitelist;
    };
    for word in values::list(&setting.value) {
        if word == "*" {
            whitelist.all = true;
        } else if !FOUR_LETTER_WORDS.contains(&word) {
            let text = format!("4lw.commands.whitelist: there is no command {word}");
            r.diagnostics.warn(&setting.origin, text);
        } else if !whitelist.allows(word) {
            whitelist.words.push(word.to_owned());
        }
    }
    whitelist
}

/// Names of the JVM's digests that this server computes as well.
const DIGESTS: &[&str] = &[
    "MD5",
    "SHA",
    "SHA1",
    "SHA-1",
    "SHA-224",
    "SHA-256",
    "SHA-384",
    "SHA-512",
    "SHA-512/224",
    "SHA-512/256",
    "SHA3-224",
    "SHA3-256",
    "SHA3-384",
    "SHA3-512",
];

const PROVIDERS: &[&str] = &[
    "SASLAuthenticationProvider",
    "X509AuthenticationProvider",
    "IPAuthenticationProvider",
    "DigestAuthenticationProvider",
    "EnsembleAuthenticationProvider",
    "KeyAuthenticationProvider",
];

fn auth(r: &mut Reader<'_>) -> Auth {
    let mut provider_classes = Vec::new();
    for (suffix, setting) in r.family("authProvider.") {
        let class = setting
            .value
            .strip_prefix("org.apache.zookeeper.server.auth.")
            .unwrap_or_default();
        if PROVIDERS.contains(&class) {
            provider_classes.push(setting.value.clone());
        } else {
            let message = format!(
                "the class '{}' is not known, and Java classes cannot be loaded. Known ones: {} \
                 of org.apache.zookeeper.server.auth",
                setting.value,
                PROVIDERS.join(", ")
            );
            r.diagnostics
                .error(&setting.origin, &format!("authProvider.{suffix}"), message);
        }
    }
    let digest_algorithm = r
        .nonempty("DigestAuthenticationProvider.digestAlg")
        .unwrap_or_else(|| "SHA1".to_owned());
    if !DIGESTS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(&digest_algorithm))
        && let Some(setting) = r.setting("DigestAuthenticationProvider.digestAlg")
    {
        let message = format!(
            "'{digest_algorithm}' is not a known digest. Known ones: {}",
            DIGESTS.join(", ")
        );
        r.diagnostics.error(
            &setting.origin,
            "DigestAuthenticationProvider.digestAlg",
            message,
        );
    }
    let mut sasl_super_users: Vec<String> = r.nonempty("superUser").into_iter().collect();
    sasl_super_users.extend(
        r.family("superUser.")
            .map(|(_, setting)| setting.value.clone()),
    );
    Auth {
        digest_enabled: r.boolean("DigestAuthenticationProvider.enabled", true),
        digest_algorithm,
        super_digest: r
            .nonempty("DigestAuthenticationProvider.superDigest")
            .map(Secret::new),
        provider_classes,
        ensemble_names: r.nonempty("ensembleAuthName"),
        let_any_sasl_user_do: r.nonempty("letAnySaslUserDoX"),
        x509_super_user: r.nonempty("X509AuthenticationProvider.superUser"),
        sasl_super_users,
        allow_sasl_failed_clients: r.boolean("allowSaslFailedClients", false),
    }
}

fn enforce_auth(r: &mut Reader<'_>) -> EnforceAuth {
    let enabled = r.boolean("enforce.auth.enabled", false);
    // Refused in this release where it is on, and the same as enforcing sasl where it is not.
    let requires_sasl = r.boolean("sessionRequireClientSASLAuth", false);
    let listed = r
        .text("enforce.auth.schemes")
        .unwrap_or_default()
        .to_lowercase();
    let mut schemes: Vec<String> = values::list(&listed)
        .into_iter()
        .map(str::to_owned)
        .collect();
    if enabled && schemes.is_empty() {
        let message = "zookeeper.enforce.auth.enabled is true zookeeper.enforce.auth.schemes must be  configured.";
        if let Some(setting) = r.setting("enforce.auth.enabled") {
            r.diagnostics
                .error(&setting.origin, "enforce.auth.enabled", message);
        }
    }
    if enabled && let Some(setting) = r.setting("enforce.auth.schemes") {
        let digest_enabled = r.boolean("DigestAuthenticationProvider.enabled", true);
        let is_registered = |wanted: &str, r: &mut Reader<'_>| {
            r.family("authProvider.").any(|(_, provider)| {
                let class = provider.value.to_ascii_lowercase();
                class.ends_with(&format!(".{wanted}authenticationprovider"))
            })
        };
        for scheme in &schemes {
            let is_available = match scheme.as_str() {
                "ip" => true,
                // A later release brings these two; until then `release` speaks about them.
                "sasl" | "x509" => true,
                "digest" => digest_enabled || is_registered(scheme, r),
                "ensemble" => is_registered(scheme, r),
                _ => false,
            };
            if !is_available {
                let message = format!("Authentication scheme {scheme} is not available.");
                r.diagnostics
                    .error(&setting.origin, "enforce.auth.schemes", message);
            }
        }
    }
    if requires_sasl && !schemes.iter().any(|scheme| scheme == "sasl") {
        schemes.push("sasl".to_owned());
    }
    EnforceAuth {
        enabled: enabled || requires_sasl,
        schemes,
    }
}

fn check_quorum_sasl(r: &mut Reader<'_>) {
    const ENABLE: &str = "quorum.auth.enableSasl";
    const LEARNER: &str = "quorum.auth.learnerRequireSasl";
    const SERVER: &str = "quorum.auth.serverRequireSasl";
    let [enabled, learner, server] = [ENABLE, LEARNER, SERVER].map(|key| r.boolean(key, false));
    let rules = [
        (!enabled && server, ENABLE, SERVER),
        (!enabled && learner, ENABLE, LEARNER),
        (!learner && server, LEARNER, SERVER),
    ];
    // As in Java, the first broken rule is the one that is told.
    if let Some((_, missing, key)) = rules.into_iter().find(|(is_broken, ..)| *is_broken)
        && let Some(setting) = r.settings.get(key)
    {
        r.diagnostics.error(
            &setting.origin,
            key,
            format!("{missing} is disabled, so cannot enable {key}"),
        );
    }
}

fn container(r: &mut Reader<'_>) -> Container {
    Container {
        check_interval_ms: r.int(
            "znode.container.checkIntervalMs",
            60_000,
            POSITIVE,
            MILLISECONDS,
        ) as u32,
        deletions_per_minute_max: count("znode.container.maxPerMinute", 10_000, r),
        never_used_ms_max: r
            .int(
                "znode.container.maxNeverUsedIntervalMs",
                0,
                LONG,
                MILLISECONDS,
            )
            .max(0) as u64,
    }
}

fn request_throttle(r: &mut Reader<'_>) -> RequestThrottle {
    RequestThrottle {
        requests_max: count("request_throttle_max_requests", 0, r),
        stall_ms: r.int("request_throttle_stall_time", 100, POSITIVE, MILLISECONDS) as u32,
        drop_stale: r.boolean("request_throttle_drop_stale", true),
        stale_connection_check: r.boolean("request_stale_connection_check", true),
        stale_latency_check: r.boolean("request_stale_latency_check", false),
        shutdown_timeout_ms: count("request_throttler.shutdownTimeout", 10_000, r),
    }
}

fn connection_throttle(r: &mut Reader<'_>) -> ConnectionThrottle {
    let freeze_ms = r.int("connection_throttle_freeze_time", -1, INT, MILLISECONDS);
    let weights = r.boolean("connection_throttle_weight_enabled", false);
    let configured = connection_weights(r);
    ConnectionThrottle {
        tokens_max: count("connection_throttle_tokens", 0, r),
        fill_interval_ms: r.int("connection_throttle_fill_time", 1, POSITIVE, MILLISECONDS) as u32,
        fill_tokens: r.int("connection_throttle_fill_count", 1, POSITIVE, COUNT) as u32,
        freeze_ms: u32::try_from(freeze_ms).ok(),
        drop_increase: r.decimal("connection_throttle_drop_increase", 0.02, "a number"),
        drop_decrease: r.decimal("connection_throttle_drop_decrease", 0.002, "a number"),
        decrease_ratio: r.decimal("connection_throttle_decrease_ratio", 0.0, "a number"),
        weights: weights.then_some(configured),
    }
}

fn connection_weights(r: &mut Reader<'_>) -> ConnectionWeights {
    let weight = |kind: &str, default, r: &mut Reader<'_>| {
        r.int(
            &format!("connection_throttle_{kind}_session_weight"),
            default,
            POSITIVE,
            COUNT,
        ) as u32
    };
    let local = weight("local", 1, r);
    let mut at_least_local = |kind: &str, default| {
        let configured = weight(kind, default, r);
        if configured < local {
            let text = format!(
                "connection_throttle_{kind}_session_weight {configured} is raised to {local}, the weight of local sessions"
            );
            r.diagnostics.general(Level::Warn, text);
        }
        configured.max(local)
    };
    ConnectionWeights {
        global_session: at_least_local("global", 3),
        renewed_session: at_least_local("renew", 2),
        local_session: local,
    }
}

fn large_request(r: &mut Reader<'_>) -> LargeRequest {
    let mut bytes_min = r.int("largeRequestThreshold", -1, INT, BYTES);
    if (bytes_min == 0 || bytes_min < -1)
        && let Some(setting) = r.setting("largeRequestThreshold")
    {
        let text =
            "largeRequestThreshold: it should be -1 (off) or positive; the default of -1 is used";
        r.diagnostics.warn(&setting.origin, text);
        bytes_min = -1;
    }
    LargeRequest {
        bytes_min: u32::try_from(bytes_min).ok(),
        in_flight_bytes_max: r.int("largeRequestMaxBytes", 104_857_600, POSITIVE, BYTES) as u64,
    }
}

fn ensemble(server_id: Option<i64>, membership: &Membership, r: &mut Reader<'_>) -> Ensemble {
    let init_limit_ticks = count_of("initLimit", r);
    let sync_limit_ticks = count_of("syncLimit", r);
    let connect_limit = count_of("connectToLearnerMasterLimit", r);
    let standalone_enabled = r.boolean("standaloneEnabled", true);
    if membership.is_distributed(standalone_enabled) {
        let missing = [
            (init_limit_ticks == 0, "initLimit is not set"),
            (sync_limit_ticks == 0, "syncLimit is not set"),
            (server_id.is_none(), "myid file is missing"),
        ];
        let missing = missing.into_iter().filter(|(is_missing, _)| *is_missing);
        r.diagnostics
            .errors
            .extend(missing.map(|(_, message)| ConfigError::general(message)));
    }
    Ensemble {
        init_limit_ticks,
        sync_limit_ticks,
        connect_to_leader_limit_ticks: Some(connect_limit).filter(|ticks| *ticks > 0),
        role: role(server_id, membership, r),
        listen_on_all_addresses: r.boolean("quorumListenOnAllIPs", false),
        leader_serves: !r.is_word("leaderServes", "no"),
        local_sessions_enabled: r.boolean("localSessionsEnabled", false),
        local_sessions_upgrading_enabled: r.boolean("localSessionsUpgradingEnabled", false),
        observers_persist: r.boolean("syncEnabled", true),
        dynamic_config_file: r.nonempty("dynamicConfigFile").map(PathBuf::from),
        committed_log_txns: r.int("commitLogCount", 500, INT, COUNT).max(500) as u32,
    }
}

fn count_of(name: &str, r: &mut Reader<'_>) -> u32 {
    r.int(name, 0, 0..=i64::from(i32::MAX), TICKS) as u32
}

fn role(server_id: Option<i64>, membership: &Membership, r: &mut Reader<'_>) -> Role {
    let configured = match r.setting("peerType") {
        None => Role::Participant,
        Some(setting) => match setting.value.to_ascii_lowercase().as_str() {
            "participant" => Role::Participant,
            "observer" => Role::Observer,
            _ => {
                let message = format!(
                    "Unrecognised peertype: {}. Choose participant or observer",
                    setting.value
                );
                r.diagnostics.error(&setting.origin, "peerType", message);
                Role::Participant
            }
        },
    };
    let own = server_id.and_then(|id| membership.servers.get(&id));
    let listed = own.map_or(Role::Participant, |own| own.role);
    if listed != configured
        && let Some(setting) = r.settings.get("peerType")
    {
        let upper = |role: Role| role.to_string().to_uppercase();
        let text = format!(
            "Peer type from servers list ({}) doesn't match peerType ({}). Defaulting to servers list.",
            upper(listed),
            upper(configured)
        );
        r.diagnostics.warn(&setting.origin, text);
    }
    listed
}

fn admin(r: &mut Reader<'_>) -> Admin {
    let host = r.nonempty("admin.serverAddress");
    let port = r.int("admin.serverPort", 8080, 0..=65535, "a port number") as u16;
    Admin {
        enabled: r.boolean("admin.enableServer", true),
        is_explicit: r.setting("admin.enableServer").is_some(),
        address: ListenAddress::new(host.as_deref(), port),
    }
}

fn metrics(r: &mut Reader<'_>) -> Metrics {
    let provider = match r.setting("metricsProvider.className") {
        None => MetricsProvider::Default,
        Some(setting) => match setting.value.as_str() {
            "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider" => MetricsProvider::Default,
            "org.apache.zookeeper.metrics.impl.NullMetricsProvider" => MetricsProvider::Null,
            "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider" => {
                MetricsProvider::Prometheus
            }
            other => {
                let message = format!(
                    "metrics provider class was not found: {other}. Choose \
                     org.apache.zookeeper.metrics.impl.DefaultMetricsProvider or \
                     org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
                );
                r.diagnostics
                    .error(&setting.origin, "metricsProvider.className", message);
                MetricsProvider::Default
            }
        },
    };
    let host = r.nonempty("metricsProvider.httpHost");
    let port = r.int("metricsProvider.httpPort", 7000, 0..=65535, "a port number") as u16;
    Metrics {
        provider,
        address: ListenAddress::new(host.as_deref(), port),
    }
}

fn check_known_class(key: &str, known: &[&str], r: &mut Reader<'_>) {
    let Some(setting) = r.setting(key).filter(|setting| !setting.value.is_empty()) else {
        return;
    };
    let class = setting.value.rsplit('.').next().unwrap_or_default();
    if !(known.contains(&class) && setting.value.starts_with("org.apache.zookeeper.")) {
        let message = format!(
            "the class {} is not known, and Java classes cannot be loaded. Choose {}, or remove the key",
            setting.value,
            known.join(" or ")
        );
        r.diagnostics.error(&setting.origin, key, message);
    }
}

/// TTL nodes keep the server id's byte for themselves.
fn check_extended_server_ids(config: &Config, r: &mut Reader<'_>) {
    if config.extended_types_enabled
        && let Some(id) = config.server_id.filter(|id| *id > 254)
    {
        let message = format!(
            "server ids must be at most 254 with extendedTypesEnabled=true, this one is {id}"
        );
        r.diagnostics.errors.push(ConfigError::general(message));
    }
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
