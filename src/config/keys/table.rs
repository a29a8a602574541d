//! The one table of every key that ZooKeeper or its documentation knows.
//!
//! Knows spellings and verdicts only. Answers to no Java class: there the names are spread over
//! the classes that read them.

use super::Feature::{Audit, JavaFiles, ResponseCache, ThrottleShutdown, Tls};
use super::{Feature, Key, Property, Verdict};

impl Key {
    const fn new(name: &'static str, property: Property) -> Key {
        Key {
            name,
            property,
            aliases: &[],
            verdict: Verdict::Honour,
            feature: Feature::Core,
            secret: false,
        }
    }

    const fn verdict(mut self, verdict: Verdict) -> Key {
        self.verdict = verdict;
        self
    }

    const fn named(mut self, properties: &'static [&'static str]) -> Key {
        self.property = Property::Named(properties);
        self
    }

    const fn aka(mut self, aliases: &'static [&'static str]) -> Key {
        self.aliases = aliases;
        self
    }

    const fn of(mut self, feature: Feature) -> Key {
        self.feature = feature;
        self
    }

    const fn secret(mut self) -> Key {
        self.secret = true;
        self
    }

    const fn ensemble(self) -> Key {
        self.verdict(Verdict::EnsembleOnly)
    }

    const fn silent(self) -> Key {
        self.verdict(Verdict::Silent)
    }

    const fn no_effect(self, reason: &'static str) -> Key {
        self.verdict(Verdict::NoEffect(reason))
    }

    const fn refused(self, instead: &'static str) -> Key {
        self.verdict(Verdict::Refused(instead))
    }
}

/// Parsed by ZooKeeper itself: only in the file, and a bad value is an error.
const fn direct(name: &'static str) -> Key {
    Key::new(name, Property::None)
}

/// Becomes `-Dzookeeper.<name>` in Java.
const fn prop(name: &'static str) -> Key {
    Key::new(name, Property::Prefixed)
}

const THREADS: &str = "this server sizes its threads by itself";
const JAVA_PIPELINE: &str = "it switches a detail of Java's request pipeline";
const TESTING: &str = "it exists for ZooKeeper's own tests; remove it";
const NO_KERBEROS_LOGIN: &str =
    "this server does not log in to Kerberos: it believes tickets for the key of its keytab";
const NEVER_READ: &str = "ZooKeeper does not read it either";
const METRICS_TLS: &str = "metrics are served by HTTP alone, as by ZooKeeper 3.9; let them out through a proxy, or bind them to loopback";
const JAVA_CLASS: &str = "this server cannot load Java classes; remove it";

pub static KEYS: &[Key] = &[
    // Basic
    direct("dataDir"),
    direct("dataLogDir"),
    direct("clientPort"),
    direct("clientPortAddress"),
    direct("secureClientPort").of(Tls),
    direct("secureClientPortAddress").of(Tls),
    direct("tickTime"),
    direct("clientPortListenBacklog"),
    // Storage
    prop("preAllocSize").of(JavaFiles),
    prop("snapCount").of(JavaFiles),
    prop("snapSizeLimitInKb").of(JavaFiles),
    prop("txnLogSizeLimitInKb").of(JavaFiles),
    prop("snapshot.compression.method").of(JavaFiles),
    prop("snapshot.trust.empty").of(JavaFiles),
    prop("serializeLastProcessedZxid.enabled").of(JavaFiles),
    prop("commitLogCount").ensemble(),
    prop("snapshotSizeFactor").ensemble(),
    prop("forceSync"),
    prop("fsync.warningthresholdms").named(&[
        "zookeeper.fsync.warningthresholdms",
        "fsync.warningthresholdms",
    ]),
    prop("flushDelay"),
    prop("maxWriteQueuePollTime"),
    prop("maxBatchSize"),
    prop("datadir.autocreate"),
    prop("db.autocreate").ensemble(),
    prop("digest.enabled"),
    prop("closeSessionTxn.enabled"),
    prop("jute.maxbuffer").named(&["jute.maxbuffer"]),
    prop("jute.maxbuffer.extrasize")
        .named(&[
            "jute.maxbuffer.extrasize",
            "zookeeper.jute.maxbuffer.extrasize",
        ])
        .ensemble(),
    prop("intBufferStartingSizeBytes").silent(),
    // Sessions and client connections
    direct("minSessionTimeout"),
    direct("maxSessionTimeout"),
    direct("maxClientCnxns"),
    prop("maxCnxns"),
    prop("clientTcpKeepAlive"),
    prop("nio.sessionlessCnxnTimeout"),
    prop("globalOutstandingLimit"),
    prop("serverCnxnFactory"),
    prop("skipACL"),
    prop("enableEagerACLCheck").ensemble(),
    prop("4lw.commands.whitelist"),
    // Cluster
    direct("initLimit").ensemble(),
    direct("syncLimit").ensemble(),
    prop("connectToLearnerMasterLimit").ensemble(),
    direct("server.*"),
    direct("group.*"),
    direct("weight.*"),
    direct("electionAlg"),
    direct("peerType"),
    direct("standaloneEnabled"),
    direct("reconfigEnabled"),
    direct("dynamicConfigFile"),
    direct("quorumListenOnAllIPs").ensemble(),
    prop("leaderServes").ensemble(),
    prop("cnxTimeout").ensemble(),
    prop("quorumCnxnTimeoutMs").ensemble(),
    prop("tcpKeepAlive").ensemble(),
    prop("electionPortBindRetry").ensemble(),
    direct("quorum.cnxn.threads.size").no_effect(THREADS),
    prop("fastleader.minNotificationInterval").ensemble(),
    prop("fastleader.maxNotificationInterval").ensemble(),
    prop("leader.maxTimeToWaitForEpoch")
        .aka(&["maxTimeToWaitForEpoch"])
        .ensemble(),
    prop("leader.maxConcurrentSnapSyncs")
        .aka(&["maxConcurrentSnapSyncs"])
        .ensemble(),
    prop("leader.maxConcurrentDiffSyncs")
        .aka(&["maxConcurrentDiffSyncs"])
        .ensemble(),
    prop("leader.ackLoggingFrequency").ensemble(),
    prop("leaderConnectDelayDuringRetryMs").ensemble(),
    prop("leader.closeSocketAsync")
        .named(&[
            "zookeeper.leader.closeSocketAsync",
            "leader.closeSocketAsync",
        ])
        .no_effect(JAVA_PIPELINE),
    prop("learner.closeSocketAsync")
        .named(&[
            "zookeeper.learner.closeSocketAsync",
            "learner.closeSocketAsync",
        ])
        .no_effect(JAVA_PIPELINE),
    prop("learner.asyncSending")
        .named(&["zookeeper.learner.asyncSending", "learner.asyncSending"])
        .no_effect(JAVA_PIPELINE),
    prop("forceSnapshotSync").ensemble(),
    prop("multiAddress.enabled"),
    prop("multiAddress.reachabilityCheckTimeoutMs").ensemble(),
    prop("multiAddress.reachabilityCheckEnabled").ensemble(),
    direct("oraclePath").ensemble(),
    prop("extendedTypesEnabled"),
    prop("emulate353TTLNodes")
        .no_effect("TTL nodes of ZooKeeper 3.5.3 are not written; use extendedTypesEnabled"),
    prop("follower.skipLearnerRequestToNextProcessor").no_effect(JAVA_PIPELINE),
    prop("forward_learner_requests_to_commit_processor_disabled").no_effect(JAVA_PIPELINE),
    prop("leader.nodelay").named(&["leader.nodelay"]).silent(),
    prop("follower.nodelay")
        .named(&["follower.nodelay"])
        .silent(),
    // Observers, local sessions, read-only mode
    direct("syncEnabled")
        .aka(&["observer.syncEnabled"])
        .ensemble(),
    direct("observerMasterPort").ensemble(),
    prop("observerMaster.sizeLimit").ensemble(),
    prop("observer.reconnectDelayMs").ensemble(),
    prop("observer.election.DelayMs").ensemble(),
    direct("localSessionsEnabled").ensemble(),
    direct("localSessionsUpgradingEnabled").ensemble(),
    prop("readonlymode.enabled").named(&["readonlymode.enabled"]),
    // Authentication and authorization
    prop("authProvider.*"),
    prop("DigestAuthenticationProvider.enabled"),
    prop("DigestAuthenticationProvider.superDigest").secret(),
    prop("DigestAuthenticationProvider.digestAlg"),
    prop("SASLAuthenticationProvider.superPassword").secret(),
    prop("X509AuthenticationProvider.superUser").of(Tls),
    prop("superUser"),
    prop("superUser.*"),
    prop("letAnySaslUserDoX"),
    prop("ensembleAuthName"),
    prop("allowSaslFailedClients"),
    prop("sessionRequireClientSASLAuth"),
    prop("enforce.auth.enabled"),
    prop("enforce.auth.schemes"),
    prop("sasl.serverconfig"),
    prop("kerberos.removeHostFromPrincipal"),
    prop("kerberos.removeRealmFromPrincipal"),
    prop("kerberos.canonicalizeHostNames").no_effect(NO_KERBEROS_LOGIN),
    prop("kerberos.minReLoginTimeMs").no_effect(NO_KERBEROS_LOGIN),
    prop("security.auth_to_local"),
    prop("java.security.auth.login.config").named(&["java.security.auth.login.config"]),
    prop("java.security.krb5.conf").named(&["java.security.krb5.conf"]),
    prop("java.security.krb5.realm").named(&["java.security.krb5.realm"]),
    prop("requireKerberosConfig").no_effect(NO_KERBEROS_LOGIN),
    prop("server.realm").no_effect(NO_KERBEROS_LOGIN),
    prop("kinit").no_effect(NO_KERBEROS_LOGIN),
    prop("requireClientAuthScheme").no_effect(NEVER_READ),
    prop("jaasLoginRenew").no_effect(NEVER_READ),
    prop("IPAuthenticationProvider.usexforwardedfor"),
    prop("fips-mode").of(Tls),
    direct("quorum.auth.enableSasl"),
    direct("quorum.auth.learnerRequireSasl"),
    direct("quorum.auth.serverRequireSasl"),
    direct("quorum.auth.learner.saslLoginContext"),
    direct("quorum.auth.server.saslLoginContext"),
    direct("quorum.auth.kerberos.servicePrincipal"),
    // TLS
    direct("sslQuorum").of(Tls),
    direct("portUnification").of(Tls),
    direct("sslQuorumReloadCertFiles").of(Tls),
    prop("client.portUnification").of(Tls),
    prop("client.certReload").of(Tls),
    prop("netty.server.outstandingHandshake.limit")
        .aka(&["outstandingHandshake.limit"])
        .of(Tls),
    prop("netty.server.earlyDropSecureConnectionHandshakes").of(Tls),
    prop("ssl.context.supplier.class").refused(JAVA_CLASS),
    prop("ssl.quorum.context.supplier.class").refused(JAVA_CLASS),
    prop("ssl.sslProvider").silent(),
    prop("ssl.keyStore.password").of(Tls).secret(),
    prop("ssl.trustStore.password").of(Tls).secret(),
    prop("ssl.quorum.keyStore.password").of(Tls).secret(),
    prop("ssl.quorum.trustStore.password").of(Tls).secret(),
    tls("ssl.keyStore.location"),
    tls("ssl.keyStore.passwordPath"),
    tls("ssl.keyStore.type"),
    tls("ssl.trustStore.location"),
    tls("ssl.trustStore.passwordPath"),
    tls("ssl.trustStore.type"),
    tls("ssl.protocol"),
    tls("ssl.enabledProtocols"),
    tls("ssl.ciphersuites"),
    tls("ssl.hostnameVerification"),
    tls("ssl.clientHostnameVerification"),
    tls("ssl.allowReverseDnsLookup"),
    tls("ssl.crl"),
    tls("ssl.ocsp"),
    tls("ssl.clientAuth"),
    tls("ssl.handshakeDetectionTimeoutMillis"),
    tls("ssl.authProvider"),
    tls("ssl.quorum.keyStore.location"),
    tls("ssl.quorum.keyStore.passwordPath"),
    tls("ssl.quorum.keyStore.type"),
    tls("ssl.quorum.trustStore.location"),
    tls("ssl.quorum.trustStore.passwordPath"),
    tls("ssl.quorum.trustStore.type"),
    tls("ssl.quorum.protocol"),
    tls("ssl.quorum.enabledProtocols"),
    tls("ssl.quorum.ciphersuites"),
    tls("ssl.quorum.hostnameVerification"),
    tls("ssl.quorum.clientHostnameVerification"),
    tls("ssl.quorum.allowReverseDnsLookup"),
    tls("ssl.quorum.crl"),
    tls("ssl.quorum.ocsp"),
    tls("ssl.quorum.clientAuth"),
    tls("ssl.quorum.handshakeDetectionTimeoutMillis"),
    // Performance
    prop("nio.numSelectorThreads").no_effect(THREADS),
    prop("nio.numWorkerThreads").no_effect(THREADS),
    prop("nio.directBufferBytes").silent(),
    prop("nio.shutdownTimeout").silent(),
    prop("commitProcessor.numWorkerThreads").no_effect(THREADS),
    prop("commitProcessor.shutdownTimeout").silent(),
    prop("commitProcessor.maxReadBatchSize").no_effect(JAVA_PIPELINE),
    prop("commitProcessor.maxCommitBatchSize").no_effect(JAVA_PIPELINE),
    prop("maxResponseCacheSize").of(ResponseCache),
    prop("maxGetChildrenResponseCacheSize").of(ResponseCache),
    prop("watchManagerName"),
    prop("watcherCleanThreadsNum").silent(),
    prop("watcherCleanThreshold").silent(),
    prop("watcherCleanIntervalInSeconds").silent(),
    prop("maxInProcessingDeadWatchers").silent(),
    prop("bitHashCacheSize").silent(),
    prop("netty.advancedFlowControl.enabled")
        .aka(&["advancedFlowControlEnabled"])
        .silent(),
    prop("request_throttler.shutdownTimeout").of(ThrottleShutdown),
    // Throttling
    prop("request_throttle_max_requests").aka(&["requestThrottleLimit"]),
    prop("request_throttle_stall_time").aka(&["requestThrottleStallTime"]),
    prop("request_throttle_drop_stale").aka(&["requestThrottleDropStale"]),
    prop("request_stale_connection_check").aka(&["requestStaleConnectionCheck"]),
    prop("request_stale_latency_check").aka(&["requestStaleLatencyCheck"]),
    prop("throttled_op_wait_time").aka(&["throttledOpWaitTime"]),
    prop("largeRequestThreshold"),
    prop("largeRequestMaxBytes"),
    prop("connection_throttle_tokens").aka(&["connectionMaxTokens"]),
    prop("connection_throttle_fill_time").aka(&["connectionTokenFillTime"]),
    prop("connection_throttle_fill_count").aka(&["connectionTokenFillCount"]),
    prop("connection_throttle_freeze_time").aka(&["connectionFreezeTime"]),
    prop("connection_throttle_drop_increase").aka(&["connectionDropIncrease"]),
    prop("connection_throttle_drop_decrease").aka(&["connectionDropDecrease"]),
    prop("connection_throttle_decrease_ratio").aka(&["connectionDecreaseRatio"]),
    prop("connection_throttle_weight_enabled"),
    prop("connection_throttle_global_session_weight"),
    prop("connection_throttle_local_session_weight"),
    prop("connection_throttle_renew_session_weight"),
    // Quotas, containers
    prop("enforceQuota"),
    prop("znode.container.checkIntervalMs").named(&["znode.container.checkIntervalMs"]),
    prop("znode.container.maxPerMinute").named(&["znode.container.maxPerMinute"]),
    prop("znode.container.maxNeverUsedIntervalMs")
        .named(&["znode.container.maxNeverUsedIntervalMs"]),
    // Autopurge
    direct("autopurge.snapRetainCount"),
    direct("autopurge.purgeInterval"),
    // Admin server
    prop("admin.enableServer"),
    prop("admin.serverAddress"),
    prop("admin.serverPort"),
    prop("admin.commandURL"),
    prop("admin.idleTimeout"),
    prop("admin.httpVersion").silent(),
    prop("admin.portUnification"),
    prop("admin.forceHttps"),
    prop("admin.needClientAuth"),
    prop("admin.snapshot.enabled"),
    prop("admin.restore.enabled"),
    prop("admin.rateLimiterIntervalInMS"),
    // Of this server alone.
    prop("admin.dashboard.edit"),
    // Metrics
    direct("metricsProvider.className"),
    direct("metricsProvider.httpHost"),
    direct("metricsProvider.httpPort"),
    direct("metricsProvider.exportJvmInfo"),
    direct("metricsProvider.numWorkerThreads").silent(),
    direct("metricsProvider.maxQueueSize").silent(),
    direct("metricsProvider.workerShutdownTimeoutMs").silent(),
    direct("metricsProvider.httpsPort").refused(METRICS_TLS),
    direct("metricsProvider.ssl.keyStore.location").no_effect(METRICS_TLS),
    direct("metricsProvider.ssl.keyStore.password")
        .secret()
        .no_effect(METRICS_TLS),
    direct("metricsProvider.ssl.keyStore.type").no_effect(METRICS_TLS),
    direct("metricsProvider.ssl.trustStore.location").no_effect(METRICS_TLS),
    direct("metricsProvider.ssl.trustStore.password")
        .secret()
        .no_effect(METRICS_TLS),
    direct("metricsProvider.ssl.trustStore.type").no_effect(METRICS_TLS),
    direct("metricsProvider.ssl.need.client.auth").no_effect(METRICS_TLS),
    direct("metricsProvider.ssl.want.client.auth").no_effect(METRICS_TLS),
    direct("metricsProvider.ssl.enabledProtocols").no_effect(METRICS_TLS),
    direct("metricsProvider.ssl.ciphersuites").no_effect(METRICS_TLS),
    direct("metricsProvider.prometheusMetricsSummaryRotateIntervalSeconds")
        .no_effect("summaries are over the last five minutes"),
    // Audit
    prop("audit.enable").of(Audit),
    prop("audit.impl.class").of(Audit),
    // Debug, JVM, tests, clients
    direct("jvm.pause.monitor").silent(),
    direct("jvm.pause.sleep.time.ms").silent(),
    direct("jvm.pause.warn-threshold.ms").silent(),
    direct("jvm.pause.info-threshold.ms").silent(),
    prop("messageTracker.BufferSize").no_effect("messages between servers are not recorded"),
    prop("messageTracker.Enabled").no_effect("messages between servers are not recorded"),
    prop("pathStats.*").no_effect("the busiest paths are not logged"),
    prop("jmx.log4j.disable").silent(),
    prop("jmx.log4j.mbean").silent(),
    prop("com.sun.management.jmxremote.port")
        .named(&["com.sun.management.jmxremote.port"])
        .no_effect("there is no JVM and so no JMX"),
    prop("controllerPort").refused(TESTING),
    prop("testingonly.initialZxid").refused(TESTING),
    prop("test.allowDiscontinuousProposals").refused(TESTING),
    prop("log.dir").silent(),
    prop("log.file").silent(),
    prop("log.threshold").silent(),
    prop("log.maxfilesize").silent(),
    prop("log.maxbackupindex").silent(),
    prop("root.logger").silent(),
    prop("console.threshold").silent(),
    prop("tracelog.dir").silent(),
    prop("tracelog.file").silent(),
    prop("auditlog.file").silent(),
    prop("auditlog.threshold").silent(),
    prop("audit.logger").silent(),
    prop("sasl.client").silent(),
    prop("sasl.clientconfig").silent(),
    prop("sasl.client.*").silent(),
    prop("client.secure").silent(),
    prop("clientCnxnSocket").silent(),
    prop("request.timeout").silent(),
    prop("disableAutoWatchReset").silent(),
    prop("shuffleDnsResponse").silent(),
    prop("hostProvider.*").silent(),
];

const fn tls(name: &'static str) -> Key {
    prop(name).of(Tls)
}
