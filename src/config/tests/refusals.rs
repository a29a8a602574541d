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
            "./zoo.cfg:5: quorum.auth.kerberos.servicePrincipal: Kerberos between members is not available",
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
    let loaded = read("snapCount=5\ntxnLogSizeLimitInKb=7");
    let all = warnings(&loaded);
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(
        all[0].starts_with(
            "./zoo.cfg:3: snapCount (./zoo.cfg:3), txnLogSizeLimitInKb (./zoo.cfg:4) have no effect: "
        ),
        "{all:?}"
    );
    assert!(only_warning("snapCount=1000").contains(": snapCount has no effect"));
}

#[test]
fn who_relies_on_the_admin_server_for_every_address_is_told() {
    let told = |text: &str| {
        let notices = read(text).1.into_iter();
        notices.filter(|n| n.text.contains("AdminServer")).count()
    };
    assert_eq!(told(""), 1);
    assert_eq!(told("admin.enableServer=true"), 1);
    assert_eq!(told("admin.serverAddress=0.0.0.0"), 0);
    assert_eq!(told("admin.enableServer=false"), 0);
}
