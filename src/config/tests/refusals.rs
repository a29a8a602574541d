//! What this release refuses and what it only misses.

use super::*;

#[test]
fn this_release_refuses_what_would_be_dangerous() {
    let cases = [
        (
            "initLimit=5\nsyncLimit=2\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\noraclePath=/o",
            "./zoo.cfg:8: oraclePath: the oracle of ensembles of two is not available",
        ),
        (
            "java.security.auth.login.config=/jaas.conf\nquorum.auth.enableSasl=true\n\
             quorum.auth.kerberos.servicePrincipal=zk/_HOST",
            "./zoo.cfg:5: quorum.auth.kerberos.servicePrincipal: Kerberos is not available",
        ),
        (
            "java.security.auth.login.config=/jaas.conf\nfips-mode=true",
            "./zoo.cfg:4: fips-mode: SASL is DIGEST-MD5 here",
        ),
        (
            "enforce.auth.enabled=true\nenforce.auth.schemes=sasl",
            "./zoo.cfg:4: enforce.auth.schemes: Authentication scheme sasl is not available.",
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
        "audit.enable=true",
        "quorum.auth.enableSasl=false",
        "secureClientPort=0",
    ] {
        assert!(try_read(&format!("{BASE}{text}"), "").is_ok(), "{text}");
    }
}

#[test]
fn absent_parts_are_named_once() {
    let loaded = read(
        "superUser=a\nkerberos.removeHostFromPrincipal=true\nSASLAuthenticationProvider.superPassword=hush\n\
         security.auth_to_local=DEFAULT",
    );
    let all = warnings(&loaded);
    assert_eq!(
        all,
        [
            "./zoo.cfg:4: kerberos.removeHostFromPrincipal (./zoo.cfg:4), security.auth_to_local (./zoo.cfg:6) \
             have no effect: Kerberos is not available in this release; SASL is DIGEST-MD5"
        ]
    );
    assert!(only_warning("snapCount=1000").contains(": snapCount has no effect"));
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
    assert!(only_warning("admin.serverPort=9000").contains(": admin.serverPort has no effect"));
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
