//! What is said about a file, with its line and key.

use super::*;

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
