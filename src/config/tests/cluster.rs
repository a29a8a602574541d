//! Server lines, dynamic files, and the choice between standalone and ensemble.

use super::*;
use crate::ids::ServerId;

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
        "server.1=a:1:2:participant\nserver.2=b:1:2:observer\nserver.10=c:1:2:participant;0.0.0.0:2181\n\
         group.1=1:10\nweight.1=1\nweight.10=0\nversion=0"
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
            read_with(text, flags).0.membership.servers[&ServerId(1)]
                .addresses
                .len(),
            2
        );
    }
}

#[test]
fn how_servers_find_each_other() {
    let defaults = read("tickTime=1000\nsyncLimit=5").0.ensemble;
    let election = &defaults.election;
    assert_eq!(election.connect_timeout_ms, 5000);
    assert_eq!(
        election.handshake_timeout_ms, 5000,
        "tickTime times syncLimit"
    );
    assert_eq!(election.bind_attempts_max, 3);
    assert_eq!(election.notification_ms_min, 200);
    assert_eq!(election.notification_ms_max, 60_000);
    assert!(!election.tcp_keepalive && !defaults.multiple_addresses);
    assert_eq!(defaults.leader_connect_retry_ms, 100);
    assert!(defaults.observer_sync_enabled);
    assert!(!read("syncEnabled=false").0.ensemble.observer_sync_enabled);
    assert_eq!(defaults.ack_logging_frequency, 1000);
    assert_eq!(defaults.reachability_check_ms, Some(1000));
    assert_eq!(defaults.observer_reconnect_ms_max, 0);
    assert_eq!(defaults.observer_election_ms_max, 200);

    let text = "cnxTimeout=7\nquorumCnxnTimeoutMs=8\ntcpKeepAlive=true\nelectionPortBindRetry=0\n\
                fastleader.minNotificationInterval=300\nfastleader.maxNotificationInterval=400\n\
                multiAddress.enabled=true\nquorumListenOnAllIPs=true\nleaderConnectDelayDuringRetryMs=9\n\
                observer.reconnectDelayMs=10\nobserver.election.DelayMs=11\nleader.ackLoggingFrequency=-1";
    let set = read(text).0.ensemble;
    let election = &set.election;
    assert_eq!(
        (election.connect_timeout_ms, election.handshake_timeout_ms),
        (7, 8)
    );
    assert!(election.tcp_keepalive && set.multiple_addresses && set.listen_on_all_addresses);
    assert_eq!(election.bind_attempts_max, 0);
    assert_eq!(
        (election.notification_ms_min, election.notification_ms_max),
        (300, 400)
    );
    assert_eq!(set.leader_connect_retry_ms, 9);
    assert_eq!(set.ack_logging_frequency, -1);
    let check = |text: &str| read(text).0.ensemble.reachability_check_ms;
    assert_eq!(check("multiAddress.reachabilityCheckTimeoutMs=5"), Some(5));
    assert_eq!(check("multiAddress.reachabilityCheckEnabled=false"), None);
    assert_eq!(
        (set.observer_reconnect_ms_max, set.observer_election_ms_max),
        (10, 11)
    );
}

#[test]
fn what_was_proposed_last_is_read_beside_a_dynamic_file() {
    let with = |next: &str| {
        let mut sources = sources("dataDir=/d\ndynamicConfigFile=/c/zoo.cfg.dynamic.1f");
        sources.dynamic = file("/c/zoo.cfg.dynamic.1f", "server.1=a:1:2;a:2181");
        sources.next = file("./zoo.cfg.dynamic.next", next);
        Config::from_sources(&sources, &SystemProperties::default())
    };
    let last_seen = with("server.1=a:1:2\nserver.2=b:1:2\nversion=20")
        .unwrap()
        .0
        .last_seen
        .unwrap();
    assert_eq!((last_seen.version, last_seen.servers.len()), (0x20, 2));
    let error = with("server.1=a:1:2\nversion=xyz").unwrap_err().to_string();
    assert_eq!(
        error,
        "./zoo.cfg.dynamic.next: version: For input string: \"xyz\""
    );
}

/// What is said about a member of an ensemble of three, whether it may start or not.
fn told_to_a_member(text: &str) -> (String, String) {
    let servers = "initLimit=5\nsyncLimit=2\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
    let mut sources = sources(&format!("{BASE}{servers}{text}"));
    sources.my_id = file("/d/myid", "1");
    let loaded = Config::from_sources(&sources, &SystemProperties::default());
    let (errors, notices) = match loaded {
        Ok((_, notices)) => (Vec::new(), notices),
        Err(invalid) => (invalid.errors, invalid.notices),
    };
    let errors: Vec<String> = errors.iter().map(ConfigError::to_string).collect();
    let notices: Vec<String> = notices.iter().map(Notice::to_string).collect();
    (errors.join("\n"), notices.join("\n"))
}

#[test]
fn every_key_of_ensembles_is_read_or_named() {
    let asked = build::asked_for();
    for key in KEYS
        .iter()
        .filter(|key| key.verdict == Verdict::EnsembleOnly)
    {
        let is_named = release::is_absent_of_members(key.name);
        assert!(is_named || asked.contains(key.name), "{}", key.name);
        let (errors, notices) = told_to_a_member(&format!("{}=1", key.name));
        let is_told = format!("{errors}{notices}").contains(&format!("./zoo.cfg:8: {}", key.name));
        assert!(is_told || !is_named, "{}: {errors} {notices}", key.name);
        // Alone it is as useless to Java.
        let alone = match try_read(&format!("{BASE}{}=1", key.name), "") {
            Ok((_, notices)) => notices,
            Err(invalid) => invalid.notices,
        };
        assert!(
            !alone
                .iter()
                .any(|notice| notice.text.contains("has no effect")),
            "{}",
            key.name
        );
    }
}

#[test]
fn a_member_has_to_be_listed() {
    let mut sources = sources(&format!(
        "{BASE}initLimit=5\nsyncLimit=2\nserver.1=a:1:2\nserver.2=b:1:2"
    ));
    sources.my_id = file("/d/myid", "4");
    let error = Config::from_sources(&sources, &SystemProperties::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("My id 4 not in the peer list"), "{error}");
}
