//! Whole configurations: text in, `Config`, notices and errors out.
#![allow(clippy::unwrap_used)]

use super::keys::{Feature, KEYS, Verdict};
use super::*;

const BASE: &str = "dataDir=/d\nclientPort=2181\n";

fn sources(text: &str) -> Sources {
    let zoo_cfg = SourceFile {
        name: "./zoo.cfg".to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    Sources {
        zoo_cfg,
        dynamic: None,
        my_id: None,
    }
}

fn file(name: &str, text: &str) -> Option<SourceFile> {
    Some(SourceFile {
        name: name.to_owned(),
        bytes: text.as_bytes().to_vec(),
    })
}

fn try_read(text: &str, flags: &str) -> Result<Loaded, Invalid> {
    Config::from_sources(&sources(text), &SystemProperties::new("", flags, []))
}

/// Reads `BASE` and then `text`, whose first line is line 3.
fn read(text: &str) -> Loaded {
    read_with(text, "")
}

fn read_with(text: &str, flags: &str) -> Loaded {
    try_read(&format!("{BASE}{text}"), flags).unwrap_or_else(|invalid| panic!("{text}: {invalid}"))
}

fn errors(text: &str) -> Vec<String> {
    let invalid = try_read(&format!("{BASE}{text}"), "").expect_err(text);
    invalid.errors.iter().map(ConfigError::to_string).collect()
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    let warnings = loaded.1.iter().filter(|notice| notice.level >= Level::Warn);
    warnings
        .map(Notice::to_string)
        .filter(|text| !text.contains("running in standalone mode"))
        .collect()
}

/// One line each; what is in the list of warnings besides is a failure.
fn only_warning(text: &str) -> String {
    let mut all = warnings(&read(text));
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    all.remove(0)
}

fn only_error(text: &str) -> String {
    let mut all = errors(text);
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    all.remove(0)
}

#[test]
fn every_honoured_key_is_read() {
    let asked = build::asked_for();
    let unread: Vec<&str> = KEYS
        .iter()
        .filter(|key| key.verdict == Verdict::Honour && !release::is_absent(key.feature))
        .map(|key| key.name)
        .filter(|name| !asked.contains(*name))
        .collect();
    assert_eq!(unread, Vec::<&str>::new());
}

#[test]
fn every_key_without_effect_warns_and_names_itself_and_its_line() {
    for key in KEYS
        .iter()
        .filter(|key| matches!(key.verdict, Verdict::NoEffect(_)))
    {
        let name = key.name.replace('*', "x");
        let warning = only_warning(&format!("{name}=1"));
        assert!(
            warning.starts_with(&format!(
                "./zoo.cfg:3: {name} has no effect in this server: "
            )),
            "{warning}"
        );
    }
}

#[test]
fn every_silent_key_is_silent() {
    for key in KEYS.iter().filter(|key| key.verdict == Verdict::Silent) {
        let name = key.name.replace('*', "x");
        assert_eq!(
            warnings(&read(&format!("{name}=1"))),
            Vec::<String>::new(),
            "{name}"
        );
    }
}

#[test]
fn every_refused_key_is_refused() {
    for key in KEYS
        .iter()
        .filter(|key| matches!(key.verdict, Verdict::Refused(_)))
    {
        let error = only_error(&format!("{}=x", key.name));
        assert!(
            error.starts_with(&format!("./zoo.cfg:3: {}: not supported: ", key.name)),
            "{error}"
        );
    }
}

#[test]
fn keys_of_absent_parts_warn_or_refuse() {
    let absent = KEYS
        .iter()
        .filter(|key| release::is_absent(key.feature) && key.verdict == Verdict::Honour);
    for key in absent {
        // A part that is switched off is not missed.
        let switch = match key.feature {
            Feature::Metrics => {
                "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
            }
            Feature::RequestThrottle => "throttled_op_wait_time=5",
            Feature::ConnectionThrottle => "connection_throttle_tokens=5",
            Feature::QueuePoll => "flushDelay=5",
            _ => "",
        };
        let name = key.name.replace('*', "x");
        let value = match key.feature {
            Feature::RequestThrottle | Feature::ConnectionThrottle => "5",
            _ => "true",
        };
        let text = match name.as_str() {
            // Words of their own, read elsewhere.
            "secureClientPortAddress" | "audit.impl.class" => continue,
            _ if switch.starts_with(&name) => switch.to_owned(),
            _ => format!("{switch}\n{name}={value}"),
        };
        let (begin, listed) = (format!(": {name}: "), format!("{name} (./zoo.cfg:"));
        let is_told = match try_read(&format!("{BASE}{text}"), "") {
            Ok(loaded) => warnings(&loaded).iter().any(|line| line.contains(&listed)),
            Err(invalid) => invalid
                .errors
                .iter()
                .any(|e| e.to_string().contains(&begin)),
        };
        assert!(is_told, "{name}");
    }
}

#[test]
fn the_sample_configuration_is_read_without_a_warning() {
    let text = "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=/tmp/zookeeper\nclientPort=2181\n\
                maxClientCnxns=60\nautopurge.snapRetainCount=3\nautopurge.purgeInterval=1\n";
    let loaded = try_read(
        text,
        "-Xmx1000m -Dzookeeper.log.dir=/l -Djava.net.preferIPv4Stack=true",
    )
    .unwrap();
    assert_eq!(warnings(&loaded), Vec::<String>::new());
    let config = loaded.0;
    assert_eq!(
        (
            config.tick_ms,
            config.session_timeout_ms_min,
            config.session_timeout_ms_max
        ),
        (2000, 4000, 40_000)
    );
    assert_eq!(config.data_dir, PathBuf::from("/tmp/zookeeper"));
    assert_eq!(config.data_log_dir, config.data_dir);
    assert_eq!(config.source.text, text);
    assert!(!config.is_distributed());
}

#[test]
fn the_compatibility_suites_configuration_has_no_warning() {
    let text = "clientPortAddress=127.0.0.1\nadmin.enableServer=false\n4lw.commands.whitelist=*\nmaxClientCnxns=0";
    let loaded = read(text);
    assert_eq!(warnings(&loaded), Vec::<String>::new());
    assert_eq!(
        loaded.0.client_address.unwrap().to_string(),
        "127.0.0.1:2181"
    );
    assert!(loaded.0.four_letter_whitelist.allows("wchp"));
}

#[test]
fn defaults() {
    let (config, _) = read("");
    assert_eq!(config.tick_ms, 3000);
    assert_eq!(
        (config.session_timeout_ms_min, config.session_timeout_ms_max),
        (6000, 60_000)
    );
    assert_eq!(
        (config.connections_per_ip_max, config.connections_max),
        (60, 0)
    );
    assert_eq!(
        config.client_address,
        Some(ListenAddress {
            host: None,
            port: 2181
        })
    );
    assert_eq!(config.listen_backlog, None);
    assert_eq!(
        (config.frame_bytes_max, config.frame_bytes_extra),
        (1_048_575, 1_048_575)
    );
    assert_eq!(config.global_outstanding_limit, 1000);
    assert_eq!(config.sessionless_timeout_ms, 10_000);
    assert!(config.force_sync && config.tree_digest_enabled && config.close_session_txn_enabled);
    assert_eq!(
        (
            config.flush_delay_ms,
            config.write_queue_poll_ms_max,
            config.batch_txns_max
        ),
        (0, 0, 1000)
    );
    assert_eq!(config.fsync_warning_threshold_ms, 1000);
    assert_eq!(config.four_letter_whitelist.words, ["srvr"]);
    assert!(!config.skip_acl && !config.enforce_quota && !config.extended_types_enabled);
    assert_eq!(config.auth.digest_algorithm, "SHA1");
    assert!(config.auth.digest_enabled && config.auth.super_digest.is_none());
    assert_eq!(config.container.never_used_ms_max, 0);
    assert_eq!(config.container.deletions_per_minute_max, 10_000);
    assert_eq!(config.throttled_op_wait_time_ms, None);
    assert_eq!(config.large_request.bytes_min, None);
    assert_eq!(config.large_request.in_flight_bytes_max, 104_857_600);
    assert_eq!(
        (
            config.request_throttle.requests_max,
            config.request_throttle.stall_ms
        ),
        (0, 100)
    );
    assert_eq!(config.connection_throttle.weights, None);
    assert_eq!(
        (
            config.connection_throttle.tokens_max,
            config.connection_throttle.freeze_ms
        ),
        (0, None)
    );
    assert_eq!(config.ensemble.committed_log_txns, 500);
}

#[test]
fn values_reach_their_fields() {
    let text = "clientPortAddress=localhost\nclientPortListenBacklog=128\nclientTcpKeepAlive=TRUE\n\
        minSessionTimeout=100\nmaxSessionTimeout=200\nmaxClientCnxns=-1\nmaxCnxns=9\n\
        nio.sessionlessCnxnTimeout=7\nglobalOutstandingLimit=8\njute.maxbuffer=0x100\n\
        jute.maxbuffer.extrasize=5\nflushDelay=30\nmaxBatchSize=4\nfsync.warningthresholdms=20\n\
        digest.enabled=false\ncloseSessionTxn.enabled=false\n4lw.commands.whitelist=ruok, stat,mntr\n\
        DigestAuthenticationProvider.superDigest=super:abc=\nDigestAuthenticationProvider.digestAlg=SHA-256\n\
        ensembleAuthName=a,b\nenforceQuota=true\nextendedTypesEnabled=true\n\
        znode.container.checkIntervalMs=11\nznode.container.maxPerMinute=12\nznode.container.maxNeverUsedIntervalMs=13\n\
        request_throttle_max_requests=14\nrequest_throttle_stall_time=15\nrequest_throttle_drop_stale=false\n\
        request_stale_latency_check=true\nthrottled_op_wait_time=16\nlargeRequestThreshold=17\n\
        largeRequestMaxBytes=18\nmaxResponseCacheSize=-5\nmaxGetChildrenResponseCacheSize=19\n\
        reconfigEnabled=true\nreadonlymode.enabled=true\ndatadir.autocreate=false\ndataLogDir=/l\n\
        autopurge.purgeInterval=90m\nautopurge.snapRetainCount=5";
    let (c, notices) = read(text);
    assert!(
        notices.iter().all(|notice| notice.level < Level::Warn
            || notice.line.is_none()
            || notice.text.contains(" no effect: ")),
        "{notices:?}"
    );
    assert_eq!(c.client_address.unwrap().host.as_deref(), Some("localhost"));
    assert_eq!(c.listen_backlog, Some(128));
    assert!(c.client_tcp_keepalive);
    assert_eq!(
        (c.session_timeout_ms_min, c.session_timeout_ms_max),
        (100, 200)
    );
    assert_eq!((c.connections_per_ip_max, c.connections_max), (0, 9));
    assert_eq!(
        (c.sessionless_timeout_ms, c.global_outstanding_limit),
        (7, 8)
    );
    assert_eq!((c.frame_bytes_max, c.frame_bytes_extra), (256, 5));
    assert_eq!(
        (
            c.flush_delay_ms,
            c.write_queue_poll_ms_max,
            c.batch_txns_max
        ),
        (30, 10, 4)
    );
    assert_eq!(c.fsync_warning_threshold_ms, 20);
    assert!(!c.tree_digest_enabled && !c.close_session_txn_enabled && !c.data_dir_autocreate);
    assert_eq!(
        c.four_letter_whitelist.words,
        ["srvr", "isro", "ruok", "stat", "mntr"]
    );
    assert_eq!(
        c.auth.super_digest.as_ref().map(Secret::reveal),
        Some("super:abc=")
    );
    assert!(!format!("{:?}", c.auth).contains("abc"));
    assert_eq!(c.auth.digest_algorithm, "SHA-256");
    assert_eq!(c.auth.ensemble_names.as_deref(), Some("a,b"));
    assert!(c.enforce_quota && c.extended_types_enabled && c.reconfig_enabled && c.read_only_mode);
    let Container {
        check_interval_ms,
        deletions_per_minute_max,
        never_used_ms_max,
    } = c.container;
    assert_eq!(
        (
            check_interval_ms,
            deletions_per_minute_max,
            never_used_ms_max
        ),
        (11, 12, 13)
    );
    assert_eq!(
        (c.request_throttle.requests_max, c.request_throttle.stall_ms),
        (14, 15)
    );
    assert!(!c.request_throttle.drop_stale && c.request_throttle.stale_latency_check);
    assert_eq!(c.throttled_op_wait_time_ms, Some(16));
    assert_eq!(
        (
            c.large_request.bytes_min,
            c.large_request.in_flight_bytes_max
        ),
        (Some(17), 18)
    );
    assert_eq!(
        (
            c.response_cache_entries_max,
            c.children_response_cache_entries_max
        ),
        (0, 19)
    );
    assert_eq!(c.data_log_dir, PathBuf::from("/l"));
    assert_eq!(
        (
            c.autopurge.interval_ms,
            c.autopurge.retained_checkpoints_min
        ),
        (Some(5_400_000), 5)
    );
}

#[test]
fn lines_that_operators_look_for() {
    let (_, notices) = read("clientPortAddress=127.0.0.1\nautopurge.purgeInterval=24");
    let texts: Vec<&str> = notices.iter().map(|notice| notice.text.as_str()).collect();
    for expected in [
        "Reading configuration from: ./zoo.cfg",
        "clientPortAddress is 127.0.0.1:2181",
        "autopurge.snapRetainCount set to 3",
        "autopurge.purgeInterval set to 24",
    ] {
        assert!(texts.contains(&expected), "{expected} in {texts:?}");
    }
}

#[test]
fn autopurge_is_on_unless_it_is_set_to_0() {
    assert_eq!(read("").0.autopurge.interval_ms, Some(3_600_000));
    assert_eq!(
        read("autopurge.purgeInterval=0").0.autopurge.interval_ms,
        None
    );
    assert_eq!(
        read("autopurge.purgeInterval=2").0.autopurge.interval_ms,
        Some(7_200_000)
    );
    let loaded = read("autopurge.snapRetainCount=2");
    assert_eq!(
        warnings(&loaded),
        ["./zoo.cfg:3: Invalid autopurge.snapRetainCount: 2. Defaulting to 3"]
    );
    assert_eq!(loaded.0.autopurge.retained_checkpoints_min, 3);
}

#[test]
fn connection_weights_are_raised_to_the_local_one() {
    let text = "connection_throttle_weight_enabled=true\nconnection_throttle_local_session_weight=3\n\
                connection_throttle_global_session_weight=1\nconnection_throttle_renew_session_weight=4";
    let loaded = read(text);
    let expected = ConnectionWeights {
        global_session: 3,
        local_session: 3,
        renewed_session: 4,
    };
    assert_eq!(loaded.0.connection_throttle.weights, Some(expected));
    assert!(warnings(&loaded)[0].contains("global_session_weight 1 is raised to 3"));
    let zero = read("connection_throttle_global_session_weight=0");
    assert!(warnings(&zero)[0].contains("the default of 3 is used"));
}

#[test]
fn java_messages_with_file_line_and_key() {
    let cases = [
        ("tickTime=0", "./zoo.cfg:3: tickTime: tickTime is not set"),
        (
            "tickTime=2000 # ms",
            "./zoo.cfg:3: tickTime: For input string: \"2000 # ms\": expected a number of milliseconds",
        ),
        (
            "\ntickTime=x",
            "./zoo.cfg:4: tickTime: For input string: \"x\": expected a number of milliseconds from 1 to 2147483647",
        ),
        (
            "maxClientCnxns=many",
            "./zoo.cfg:3: maxClientCnxns: For input string: \"many\"",
        ),
        (
            "minSessionTimeout=2147483648",
            "./zoo.cfg:3: minSessionTimeout: For input string: \"2147483648\"",
        ),
        (
            "minSessionTimeout=70000",
            "./zoo.cfg:3: minSessionTimeout: minSessionTimeout must not be larger than maxSessionTimeout",
        ),
        (
            "standaloneEnabled=yes",
            "./zoo.cfg:3: standaloneEnabled: Invalid option yes for standaloneEnabled. Choose 'true' or 'false.'",
        ),
        (
            "electionAlg=0",
            "./zoo.cfg:3: electionAlg: Invalid electionAlg value. Only 3 is supported.",
        ),
        (
            "peerType=leader",
            "./zoo.cfg:3: peerType: Unrecognised peertype: leader",
        ),
        (
            "secureClientPortAddress=h",
            "./zoo.cfg:3: secureClientPortAddress: secureClientPortAddress is set but secureClientPort is not set",
        ),
        (
            "autopurge.purgeInterval=1w",
            "./zoo.cfg:3: autopurge.purgeInterval: For input string: \"1w\": expected a number of hours",
        ),
        (
            "quorum.auth.serverRequireSasl=true",
            "./zoo.cfg:3: quorum.auth.serverRequireSasl: quorum.auth.enableSasl is disabled, so cannot enable quorum.auth.serverRequireSasl",
        ),
        (
            "quorum.auth.learnerRequireSasl=true",
            "./zoo.cfg:3: quorum.auth.learnerRequireSasl: quorum.auth.enableSasl is disabled, so cannot enable quorum.auth.learnerRequireSasl",
        ),
        (
            "metricsProvider.className=com.example.M",
            "./zoo.cfg:3: metricsProvider.className: metrics provider class was not found",
        ),
        (
            "enforce.auth.enabled=true",
            "./zoo.cfg:3: enforce.auth.enabled: zookeeper.enforce.auth.enabled is true zookeeper.enforce.auth.schemes must be  configured.",
        ),
        (
            "enforce.auth.enabled=true\nenforce.auth.schemes=digest,foo",
            "./zoo.cfg:4: enforce.auth.schemes: Authentication scheme foo is not available.",
        ),
        (
            "enforce.auth.enabled=true\nenforce.auth.schemes=ensemble",
            "./zoo.cfg:4: enforce.auth.schemes: Authentication scheme ensemble is not available.",
        ),
        (
            "server.1=zoo1",
            "./zoo.cfg:3: server.1: zoo1 does not have the form server_config or server_config;client_config",
        ),
        (
            "server.x=h:1:2",
            "./zoo.cfg:3: server.x: For input string: \"x\"",
        ),
        (
            "server.1=h:1:1",
            "./zoo.cfg:3: server.1: Client and election port must be different! Please update the configuration file on server.1",
        ),
        (
            "server.1=a:1:2|b:1:2",
            "./zoo.cfg:3: server.1: Multiple address feature is disabled, but multiple addresses were specified for sid 1",
        ),
        (
            "server.1=h:1:2:observer",
            "Observers w/o participants is an invalid configuration",
        ),
        (
            "server.1=h:1:2\nserver.2=i:1:2:observer",
            "Observers w/o quorum is an invalid configuration",
        ),
        (
            "standaloneEnabled=false",
            "standaloneEnabled = false then number of participants should be >0",
        ),
        ("group.1=1:1", "Server 1 is in multiple groups"),
        (
            "group.1=1:x",
            "./zoo.cfg:3: group.1: For input string: \"x\"",
        ),
        ("server.1=h:1:2\nweight.1=2", "Server 1 is not in a group"),
        (
            "authProvider.1=com.example.Mine",
            "./zoo.cfg:3: authProvider.1: the class 'com.example.Mine' is not known",
        ),
        (
            "DigestAuthenticationProvider.digestAlg=ROT13",
            "./zoo.cfg:3: DigestAuthenticationProvider.digestAlg: 'ROT13' is not a known digest",
        ),
        (
            "serverCnxnFactory=com.example.F",
            "./zoo.cfg:3: serverCnxnFactory: the class com.example.F is not known",
        ),
        (
            "audit.impl.class=com.example.A",
            "./zoo.cfg:3: audit.impl.class: the class com.example.A is not known",
        ),
        ("a=\\u00", "./zoo.cfg:3: Malformed \\uxxxx encoding."),
    ];
    for (text, expected) in cases {
        let all = errors(text);
        assert!(
            all.iter().any(|error| error.contains(expected)),
            "{text}: {all:?}"
        );
    }
}

#[test]
fn what_must_be_set() {
    let told = |text: &str| try_read(text, "").unwrap_err().to_string();
    assert!(told("clientPort=2181").contains("dataDir is not set"));
    assert!(told("dataDir=/d").starts_with("clientPort is not set"));
    let address_alone = told("dataDir=/d\nclientPortAddress=127.0.0.1");
    assert_eq!(
        address_alone,
        "./zoo.cfg:2: clientPortAddress: clientPortAddress is set but clientPort is not set"
    );
}

#[test]
fn every_error_is_told_at_once_in_file_order() {
    let all = errors("tickTime=x\nmaxClientCnxns=y\nstandaloneEnabled=z");
    assert_eq!(all.len(), 3, "{all:?}");
    for (error, line) in all.iter().zip(3..) {
        assert!(error.starts_with(&format!("./zoo.cfg:{line}: ")), "{error}");
    }
}

#[test]
fn a_missing_ensemble_setting_is_told_beside_the_refusal() {
    let all = errors("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2").join("\n");
    for expected in [
        "initLimit is not set",
        "syncLimit is not set",
        "myid file is missing",
    ] {
        assert!(all.contains(expected), "{all}");
    }
}

#[test]
fn this_release_refuses_what_would_be_dangerous() {
    let servers = "initLimit=5\nsyncLimit=2\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2";
    let cases = [
        (
            servers,
            "./zoo.cfg:5: server.1: ensembles are not available yet in this release",
        ),
        (
            "standaloneEnabled=false\nserver.1=a:1:2",
            "./zoo.cfg:3: standaloneEnabled: ensembles are not available",
        ),
        (
            "secureClientPort=2281",
            "./zoo.cfg:3: secureClientPort: TLS is not available yet in this release",
        ),
        (
            "client.portUnification=true",
            "./zoo.cfg:3: client.portUnification: TLS is not available",
        ),
        (
            "sslQuorum=true",
            "./zoo.cfg:3: sslQuorum: TLS between servers is not available",
        ),
        (
            "quorum.auth.enableSasl=true",
            "./zoo.cfg:3: quorum.auth.enableSasl: SASL between servers",
        ),
        (
            "sessionRequireClientSASLAuth=true",
            "./zoo.cfg:3: sessionRequireClientSASLAuth: SASL is not available",
        ),
        (
            "enforce.auth.enabled=true\nenforce.auth.schemes=sasl",
            "./zoo.cfg:4: enforce.auth.schemes: Authentication scheme sasl is not available.",
        ),
        (
            "enforce.auth.enabled=true\nenforce.auth.schemes=x509",
            "./zoo.cfg:4: enforce.auth.schemes: Authentication scheme x509 is not available.",
        ),
        (
            "audit.enable=true",
            "./zoo.cfg:3: audit.enable: the audit log is not available",
        ),
    ];
    for (text, expected) in cases {
        let all = errors(text);
        assert!(
            all.iter().any(|error| error.starts_with(expected)),
            "{text}: {all:?}"
        );
    }
    for text in [
        "sslQuorum=false",
        "audit.enable=false",
        "quorum.auth.enableSasl=false",
        "secureClientPort=0",
    ] {
        assert!(try_read(&format!("{BASE}{text}"), "").is_ok(), "{text}");
    }
}

#[test]
fn a_refused_property_names_itself() {
    let invalid = try_read(BASE, "-Dzookeeper.sessionRequireClientSASLAuth=true").unwrap_err();
    assert!(
        invalid
            .to_string()
            .starts_with("-Dzookeeper.sessionRequireClientSASLAuth: SASL is not"),
        "{invalid}"
    );
}

#[test]
fn absent_parts_are_named_once() {
    let loaded =
        read("ssl.keyStore.location=/k\nssl.trustStore.location=/t\nssl.keyStore.password=hush");
    let all = warnings(&loaded);
    assert_eq!(
        all,
        [
            "./zoo.cfg:3: ssl.keyStore.location (./zoo.cfg:3), ssl.trustStore.location (./zoo.cfg:4), \
          ssl.keyStore.password (./zoo.cfg:5) have no effect: TLS is not available yet in this release"
        ]
    );
    let sasl =
        only_warning("authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider");
    assert!(sasl.contains("the scheme sasl is not available"), "{sasl}");
    assert!(only_warning("snapCount=1000").contains("snapCount (./zoo.cfg:3) has no effect"));
}

#[test]
fn the_admin_server_is_missed_only_by_who_asked_for_it() {
    let told = |text: &str| {
        read(text)
            .1
            .into_iter()
            .filter(|n| n.text.contains("AdminServer"))
            .collect::<Vec<_>>()
    };
    let by_default = told("");
    assert_eq!((by_default.len(), by_default[0].level), (1, Level::Info));
    assert_eq!(told("admin.enableServer=true")[0].level, Level::Warn);
    assert!(only_warning("admin.serverPort=9000").contains("admin.serverPort (./zoo.cfg:3)"));
    assert_eq!(told("admin.enableServer=false\nadmin.serverPort=9000"), []);
}

#[test]
fn metrics_are_missed_with_the_prometheus_provider_only() {
    let prometheus = "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";
    let warning = only_warning(&format!("{prometheus}\nmetricsProvider.httpPort=7001"));
    assert!(
        warning.contains("metricsProvider.httpPort (./zoo.cfg:4)"),
        "{warning}"
    );
    for text in [
        "metricsProvider.httpPort=7001",
        "metricsProvider.className=org.apache.zookeeper.metrics.impl.NullMetricsProvider",
    ] {
        assert_eq!(warnings(&read(text)), Vec::<String>::new());
    }
}

#[test]
fn spellings() {
    let warning = only_warning("maxClientCnxs=5");
    assert_eq!(
        warning,
        "./zoo.cfg:3: maxClientCnxs: unknown key, it has no effect. Did you mean maxClientCnxns?"
    );
    assert_eq!(
        only_warning("xyzzy.plugh.frotz=5"),
        "./zoo.cfg:3: xyzzy.plugh.frotz: unknown key, it has no effect"
    );

    let prefixed = read("zookeeper.enforceQuota=true");
    assert!(prefixed.0.enforce_quota);
    assert!(warnings(&prefixed)[0].starts_with(
        "./zoo.cfg:3: zookeeper.enforceQuota: keys of this file have no zookeeper. prefix"
    ));

    let alias = read("connectionMaxTokens=5");
    assert_eq!(alias.0.connection_throttle.tokens_max, 5);
    assert!(alias.1.iter().any(|notice| notice.to_string()
        == "./zoo.cfg:3: connectionMaxTokens: taken as connection_throttle_tokens"));

    let both = read("connection_throttle_tokens=1\nconnectionMaxTokens=5");
    assert_eq!(both.0.connection_throttle.tokens_max, 1);

    let twice = read("maxCnxns=5\nmaxCnxns=6");
    assert_eq!(twice.0.connections_max, 6);
    assert_eq!(
        warnings(&twice),
        ["./zoo.cfg:4: maxCnxns: set before at ./zoo.cfg:3; the last value counts"]
    );
}

#[test]
fn every_alias_sets_its_key() {
    for key in KEYS {
        for alias in key.aliases {
            let found = keys::find(alias).unwrap();
            assert_eq!(
                (found.name.as_str(), found.is_alias),
                (key.name, true),
                "{alias}"
            );
        }
    }
}

#[test]
fn the_file_wins_over_properties_and_properties_over_defaults() {
    let flags = "-Dzookeeper.maxCnxns=7 -Djute.maxbuffer=4096";
    assert_eq!(read_with("", flags).0.connections_max, 7);
    assert_eq!(read_with("", flags).0.frame_bytes_max, 4096);
    assert_eq!(
        read_with("maxCnxns=8\njute.maxbuffer=8192", flags)
            .0
            .connections_max,
        8
    );
    assert_eq!(
        read_with("jute.maxbuffer=8192", flags).0.frame_bytes_max,
        8192
    );
    let slow = "-Dfsync.warningthresholdms=5";
    assert_eq!(read_with("", slow).0.fsync_warning_threshold_ms, 5);
}

#[test]
fn keys_of_the_file_do_not_look_at_properties() {
    let loaded = read_with("", "-Dzookeeper.tickTime=1");
    assert_eq!(loaded.0.tick_ms, 3000);
    assert_eq!(
        warnings(&loaded),
        ["-Dzookeeper.tickTime: no effect as a system property; put tickTime into zoo.cfg"]
    );
}

#[test]
fn properties_without_effect_are_named() {
    let told = |flags: &str| warnings(&read_with("", flags));
    assert_eq!(
        told("-DsnapCount=5"),
        ["-DsnapCount: no effect under this name; the property is zookeeper.snapCount"]
    );
    assert_eq!(
        told("-Dzookeeper.jute.maxbuffer=5"),
        ["-Dzookeeper.jute.maxbuffer: no effect under this name; the property is jute.maxbuffer"]
    );
    assert_eq!(
        told("-Dzookeeper.maxCnxn=5"),
        ["-Dzookeeper.maxCnxn: unknown property, it has no effect. Did you mean maxCnxns?"]
    );
    assert_eq!(
        told("-Djava.io.tmpdir=/t -Dcom.sun.management.jmxremote -Dlogback.configurationFile=x"),
        Vec::<String>::new()
    );
    assert_eq!(told("-Dcom.sun.management.jmxremote.port=9010").len(), 1);
    assert!(
        told("-Djava.security.auth.login.config=/jaas.conf")[0].contains("SASL is not available")
    );
}

#[test]
fn bad_property_values_fall_back_as_in_java_and_say_so() {
    let warning = only_warning("globalOutstandingLimit=lots");
    assert_eq!(
        warning,
        "./zoo.cfg:3: globalOutstandingLimit: For input string: \"lots\": expected a whole number from 1 to \
         2147483647; the default of 1000 is used"
    );
    let yes = read("enforceQuota=yes");
    assert!(!yes.0.enforce_quota);
    assert!(warnings(&yes)[0].contains("'yes' counts as false"));
}

#[test]
fn switches_with_words_of_their_own() {
    assert!(!read("forceSync=no").0.force_sync);
    assert!(read("forceSync=yes").0.force_sync);
    let loud = only_warning("forceSync=no");
    assert!(loud.contains("LOSES"), "{loud}");
    for other in ["false", "NO", "0"] {
        let loaded = read(&format!("forceSync={other}"));
        assert!(loaded.0.force_sync);
        assert!(warnings(&loaded)[0].contains("only the exact word no changes anything"));
    }
    assert!(read("skipACL=yes").0.skip_acl);
    assert!(only_warning("skipACL=yes").contains("ACL checks will be skipped"));
    assert!(!read("skipACL=true").0.skip_acl);
    assert!(only_warning("skipACL=true").contains("only the exact word yes"));
}

#[test]
fn an_unknown_four_letter_word_is_named() {
    let loaded = read("4lw.commands.whitelist=ruok,foo");
    assert!(warnings(&loaded)[0].contains("there is no command foo"));
    assert!(loaded.0.four_letter_whitelist.allows("ruok"));
    assert!(!loaded.0.four_letter_whitelist.allows("stat"));
}

/// The file that the official container image writes.
#[test]
fn a_single_server_line_runs_standalone_on_its_client_port() {
    let text = "dataDir=/data\ndataLogDir=/datalog\ntickTime=2000\ninitLimit=5\nsyncLimit=2\n\
        autopurge.snapRetainCount=3\nautopurge.purgeInterval=0\nmaxClientCnxns=60\nstandaloneEnabled=true\n\
        admin.enableServer=true\nserver.1=localhost:2888:3888;2181\n";
    let mut sources = sources(text);
    sources.my_id = file("/data/myid", "1");
    let (config, notices) = Config::from_sources(&sources, &SystemProperties::default()).unwrap();
    assert_eq!(
        config.client_address,
        Some(ListenAddress {
            host: None,
            port: 2181
        })
    );
    assert_eq!(config.server_id, Some(1));
    assert!(!config.is_distributed());
    let standalone: Vec<_> = notices
        .iter()
        .map(|notice| (notice.level, notice.text.as_str()))
        .collect();
    assert!(standalone.contains(&(
        Level::Error,
        "Invalid configuration, only one server specified (ignoring)"
    )));
    assert!(standalone.contains(&(
        Level::Warn,
        "Either no config or no quorum defined in config, running in standalone mode"
    )));

    // Without myid Java listens nowhere.
    sources.my_id = None;
    let (config, _) = Config::from_sources(&sources, &SystemProperties::default()).unwrap();
    assert_eq!(config.client_address.unwrap().port, 2181);
}

#[test]
fn the_client_port_of_the_file_and_of_the_server_line_must_agree() {
    let with = |client: &str, line: &str| {
        let mut sources = sources(&format!("dataDir=/d\n{client}\nserver.1=h:1:2;{line}"));
        sources.my_id = file("/d/myid", "1\n");
        Config::from_sources(&sources, &SystemProperties::default())
            .map(|loaded| loaded.0.client_address.unwrap().to_string())
    };
    assert_eq!(
        with("clientPort=2181", "127.0.0.1:2181").unwrap(),
        "127.0.0.1:2181"
    );
    assert_eq!(
        with(
            "clientPort=2181\nclientPortAddress=127.0.0.1",
            "127.0.0.1:2181"
        )
        .unwrap(),
        "127.0.0.1:2181"
    );
    for (client, line) in [
        ("clientPort=2181", "2182"),
        ("clientPort=2181\nclientPortAddress=127.0.0.1", "2181"),
    ] {
        let error = with(client, line).unwrap_err().to_string();
        assert!(
            error.contains("client address for this server (id = 1) in static config file is"),
            "{error}"
        );
        assert!(
            error.contains("is different from client address found in dynamic file: 0.0.0.0:"),
            "{error}"
        );
    }
}

#[test]
fn myid_must_be_a_number() {
    let mut sources = sources(BASE);
    sources.my_id = file("/d/myid", " 1\n");
    let invalid = Config::from_sources(&sources, &SystemProperties::default()).unwrap_err();
    assert_eq!(
        invalid.to_string(),
        "/d/myid:1: serverid  1 is not a number"
    );
    sources.my_id = file("/d/myid", "300");
    sources.zoo_cfg.bytes.extend(b"extendedTypesEnabled=true");
    let invalid = Config::from_sources(&sources, &SystemProperties::default()).unwrap_err();
    assert!(invalid.to_string().contains("at most 254"));
}

#[test]
fn dynamic_files() {
    let with = |zoo_cfg: &str, dynamic: &str| {
        let mut sources = sources(&format!(
            "{BASE}dynamicConfigFile=/c/zoo.cfg.dynamic.1f\n{zoo_cfg}"
        ));
        sources.dynamic = file("/c/zoo.cfg.dynamic.1f", dynamic);
        Config::from_sources(&sources, &SystemProperties::default())
    };
    let (config, _) = with("", "server.2=b:1:2;2181\n").unwrap();
    assert_eq!(
        config.membership.to_string(),
        "server.2=b:1:2:participant;0.0.0.0:2181\nversion=1f"
    );
    assert_eq!(
        config.ensemble.dynamic_config_file,
        Some("/c/zoo.cfg.dynamic.1f".into())
    );
    let cases = [
        (
            "server.1=a:1:2",
            "",
            "./zoo.cfg:4: server.1: parameter: server.1 must be in a separate dynamic config file",
        ),
        (
            "",
            "version=1f",
            "/c/zoo.cfg.dynamic.1f:1: version: dynamic file shouldn't have version inside",
        ),
        (
            "",
            "\ntickTime=2",
            "/c/zoo.cfg.dynamic.1f:2: tickTime: Unrecognised parameter: tickTime",
        ),
        (
            "",
            "server.1=a",
            "/c/zoo.cfg.dynamic.1f:1: server.1: a does not have the form",
        ),
    ];
    for (zoo_cfg, dynamic, expected) in cases {
        let invalid = with(zoo_cfg, dynamic).unwrap_err().to_string();
        assert!(invalid.contains(expected), "{invalid}");
    }
}

#[test]
fn membership_in_canonical_form() {
    let text = "initLimit=5\nsyncLimit=2\nserver.10=c:1:2;2181\nserver.2=b:1:2:observer\nserver.1=a:1:2\n\
                group.1=1:10\nweight.10=0";
    let mut diagnostics = settings::Diagnostics::default();
    let settings = build::settings(
        &sources(text),
        &SystemProperties::default(),
        &mut diagnostics,
    );
    let membership = membership::read(
        release::membership_settings(&settings),
        false,
        &mut diagnostics,
    );
    assert_eq!(diagnostics.errors, []);
    assert_eq!(
        membership.to_string(),
        "group.1=1:10\nserver.10=c:1:2:participant;0.0.0.0:2181\nserver.1=a:1:2:participant\n\
         server.2=b:1:2:observer\nweight.10=0\nversion=0"
    );
    assert!(membership.is_hierarchical());
}

#[test]
fn advice_about_the_size_of_an_ensemble() {
    let told = |text: &str| {
        let invalid = try_read(&format!("{BASE}{text}"), "").unwrap_err();
        invalid
            .notices
            .into_iter()
            .map(|notice| notice.text)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let (one, two, three, four) = (
        "server.1=a:1:2\n",
        "server.2=b:1:2\n",
        "server.3=c:1:2\n",
        "server.4=d:1:2\n",
    );
    assert!(
        told(&format!("{one}{two}"))
            .contains("No server failure will be tolerated. You need at least 3 servers.")
    );
    assert!(
        told(&format!("{one}{two}{three}{four}"))
            .contains("Non-optimal configuration, consider an odd number of servers.")
    );
    assert!(!told(&format!("{one}{two}{three}")).contains("servers."));
}

#[test]
fn the_peer_type_of_the_server_list_wins() {
    let warning = only_warning("peerType=observer");
    assert!(warning.contains("Peer type from servers list (PARTICIPANT) doesn't match peerType (OBSERVER). Defaulting to servers list."));
}

#[test]
fn several_addresses_need_their_switch() {
    for flags in ["", "-Dzookeeper.multiAddress.enabled=true"] {
        let text = if flags.is_empty() {
            "multiAddress.enabled=true\nserver.1=a:1:2|b:1:2"
        } else {
            "server.1=a:1:2|b:1:2"
        };
        assert_eq!(
            read_with(text, flags).0.membership.servers[&1]
                .addresses
                .len(),
            2
        );
    }
}

#[test]
fn relative_paths() {
    let loaded = try_read("dataDir=data\nclientPort=2181", "").unwrap();
    assert_eq!(
        warnings(&loaded),
        ["./zoo.cfg:1: dataDir: data is relative. Prepend ./ to indicate that you're sure!"]
    );
    let mut sources = sources(BASE);
    sources.zoo_cfg.name = "conf/zoo.cfg".to_owned();
    let loaded = Config::from_sources(&sources, &SystemProperties::default()).unwrap();
    assert_eq!(
        warnings(&loaded),
        ["conf/zoo.cfg is relative. Prepend ./ to indicate that you're sure!"]
    );
}

#[test]
fn starts_without_a_file() {
    let none = SystemProperties::default();
    let (embedded, notices) = Config::embedded(&none).unwrap();
    assert_eq!(
        embedded.client_address.unwrap().to_string(),
        "127.0.0.1:2181"
    );
    assert_eq!(
        (embedded.data_dir, embedded.tick_ms),
        ("./data".into(), 2000)
    );
    assert!(notices.iter().all(|notice| notice.line.is_none()));

    let arguments = Positional {
        port: 2182,
        data_dir: "/d".into(),
        tick_ms: None,
        connections_per_ip_max: None,
    };
    let (config, _) = Config::positional(&arguments, &none).unwrap();
    assert_eq!(
        config.client_address,
        Some(ListenAddress {
            host: None,
            port: 2182
        })
    );
    assert_eq!((config.tick_ms, config.connections_per_ip_max), (3000, 0));
    let arguments = Positional {
        port: 0,
        tick_ms: Some(10),
        connections_per_ip_max: Some(5),
        ..arguments
    };
    let properties = SystemProperties::new("", "", ["zookeeper.maxCnxns=3"]);
    let (config, _) = Config::positional(&arguments, &properties).unwrap();
    assert_eq!(
        config.client_address,
        Some(ListenAddress {
            host: None,
            port: 0
        })
    );
    assert_eq!(
        (
            config.tick_ms,
            config.session_timeout_ms_max,
            config.connections_per_ip_max
        ),
        (10, 200, 5)
    );
    assert_eq!(config.connections_max, 3);
}

#[test]
fn files_are_found_and_missed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("zoo.cfg");
    let none = SystemProperties::default();
    let missing = Config::load(&path, &none).unwrap_err();
    assert_eq!(
        missing.to_string(),
        format!("{} file is missing", path.display())
    );

    let text = format!("dataDir={}\nclientPort=2181\n", dir.path().display());
    std::fs::write(&path, &text).unwrap();
    std::fs::write(dir.path().join("myid"), "7").unwrap();
    let (config, _) = Config::load(&path, &none).unwrap();
    assert_eq!(config.server_id, Some(7));

    std::fs::write(
        &path,
        format!("{text}dynamicConfigFile={}/none\n", dir.path().display()),
    )
    .unwrap();
    assert!(
        Config::load(&path, &none)
            .unwrap_err()
            .to_string()
            .ends_with("none file is missing")
    );
}

#[test]
fn the_report_tells_all_and_hides_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("zoo.cfg");
    std::fs::write(
        &path,
        format!("{BASE}DigestAuthenticationProvider.superDigest=super:hush\nkinit=x\nxyzzy=1\n"),
    )
    .unwrap();
    let report = report::check(&path, &SystemProperties::default());
    assert!(report.is_valid);
    let name = path.display();
    for expected in [
        format!("{name}:2: clientPort=2181\n"),
        format!("{name}:3: DigestAuthenticationProvider.superDigest=(hidden)\n"),
        format!("{name}:4: kinit has no effect"),
        format!("{name}:5: xyzzy: unknown key"),
        "The configuration is valid.".to_owned(),
    ] {
        assert!(
            report.text.contains(&expected),
            "{expected} in {}",
            report.text
        );
    }
    assert!(!report.text.contains("hush"));

    std::fs::write(&path, format!("{BASE}tickTime=x\n")).unwrap();
    let report = report::check(&path, &SystemProperties::default());
    assert!(!report.is_valid);
    assert!(
        report
            .text
            .contains(&format!("{name}:3: tickTime: For input string: \"x\"")),
        "{}",
        report.text
    );
}

proptest::proptest! {
    #[test]
    fn no_file_panics(
        lines in proptest::collection::vec((0..KEYS.len(), ".{0,12}"), 0..12),
        rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60),
    ) {
        let mut bytes = Vec::new();
        for (key, value) in lines {
            bytes.extend(KEYS[key].name.replace('*', "1").bytes());
            bytes.push(b'=');
            bytes.extend(value.bytes());
            bytes.push(b'\n');
        }
        bytes.extend(rest);
        let mut sources = sources("");
        sources.zoo_cfg.bytes = bytes;
        let _ = Config::from_sources(&sources, &SystemProperties::default());
    }

    #[test]
    fn no_number_panics(number: i64, key in 0..KEYS.len()) {
        let text = format!("{BASE}{}={number}", KEYS[key].name.replace('*', "1"));
        let _ = try_read(&text, "");
    }
}
