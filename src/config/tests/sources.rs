//! Files, properties, arguments: which counts.

use super::*;

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
    assert_eq!(
        told("-Djava.security.auth.login.config=/jaas.conf"),
        Vec::<String>::new()
    );
    assert_eq!(told("-Djava.security.krb5.conf=/k"), Vec::<String>::new());
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
