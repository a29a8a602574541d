//! Which text becomes which field.

use super::*;

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
        autopurge.purgeInterval=90m\nautopurge.snapRetainCount=5\ncommitLogCount=1000";
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
    assert!(!format!("{:?} {:?}", c.auth, c.source).contains("abc"));
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
    assert_eq!(c.data_log_dir, PathBuf::from("/l"));
    assert_eq!(c.autopurge.interval_ms, Some(5_400_000));
    assert_eq!(c.retained_txns_min, 1000);
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
