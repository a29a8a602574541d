//! Settings of TLS: what they come to, and what is refused.

use super::*;
use crate::config::{ClientAuth, StoreFormat, TlsProtocols};

const STORES: &str = "ssl.keyStore.location=/s/key.jks\nssl.trustStore.location=/s/trust.p12\n";
const MEMBERS: &str = "initLimit=5\nsyncLimit=2\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";

fn client(text: &str) -> crate::config::ClientTls {
    let (config, _) = read(&format!("{STORES}secureClientPort=2281\n{text}"));
    config.client_tls.expect("there is a secure port")
}

fn refused(text: &str) -> String {
    errors(&format!("{STORES}secureClientPort=2281\n{text}")).join("; ")
}

#[test]
fn a_secure_port_has_the_defaults_of_java() {
    let all = client("ssl.keyStore.password=hush");
    let tls = &all.tls;
    assert_eq!(tls.key_store.format, StoreFormat::Jks);
    assert_eq!(tls.key_store.password.reveal(), "hush");
    let trust = tls.trust_store.as_ref().expect("it is set");
    assert_eq!(trust.format, StoreFormat::Pkcs12);
    assert_eq!(tls.client_auth, ClientAuth::Need);
    let both = TlsProtocols {
        v1_2: true,
        v1_3: true,
    };
    assert_eq!(tls.protocols, both);
    assert!(tls.cipher_suites.is_empty());
    assert!(!tls.verify_client_host && !tls.crl && !tls.reload && !all.unified);
    assert_eq!(tls.detection_ms, 5000);
    assert!(!format!("{all:?}").contains("hush"), "{all:?}");
    let (config, _) = read("ssl.keyStore.location=/s/key.jks");
    assert!(config.client_tls.is_none(), "no port uses it");
}

#[test]
fn protocols_are_listed_or_follow_from_the_newest() {
    let only = |text: &str| {
        let protocols = client(text).tls.protocols;
        (protocols.v1_2, protocols.v1_3)
    };
    assert_eq!(only("ssl.enabledProtocols=TLSv1.3"), (false, true));
    assert_eq!(only("ssl.enabledProtocols=TLSv1.2,TLSv1.3"), (true, true));
    assert_eq!(only("ssl.protocol=TLSv1.3"), (true, true));
    assert_eq!(only("ssl.protocol=TLSv1.2"), (true, false));
    let told = refused("ssl.enabledProtocols=TLSv1.2,TLSv1.1");
    assert!(
        told.contains(":6: ssl.enabledProtocols: TLSv1.1 is broken and not available: choose from TLSv1.3, TLSv1.2"),
        "{told}"
    );
}

#[test]
fn suites_that_there_are_not_are_left_out_but_not_all_of_them() {
    let text = "ssl.ciphersuites=TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
    assert_eq!(
        client(text).tls.cipher_suites,
        ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]
    );
    let warning = only_warning(&format!("{STORES}secureClientPort=2281\n{text}"));
    assert!(
        warning
            .contains("left out: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256. Choose from TLS_AES_256"),
        "{warning}"
    );
    for text in [
        "ssl.ciphersuites=TLS_RSA_WITH_AES_128_CBC_SHA",
        "ssl.enabledProtocols=TLSv1.3\nssl.ciphersuites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    ] {
        let told = refused(text);
        assert!(
            told.contains("ssl.ciphersuites: none of these can be used"),
            "{told}"
        );
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_a_way_out() {
    let cases = [
        (
            "ssl.clientAuth=maybe",
            "ssl.clientAuth: 'maybe' is not known: choose none, want or need",
        ),
        (
            "ssl.ocsp=true",
            "ssl.ocsp: OCSP is not available in this server; use ssl.crl=true",
        ),
        (
            "ssl.context.supplier.class=x.Y",
            "ssl.context.supplier.class",
        ),
        (
            "ssl.trustStore.type=BCFKS",
            "ssl.trustStore.type: BCFKS stores cannot be read; convert it",
        ),
        (
            "ssl.trustStore.type=x",
            "ssl.trustStore.type: 'x' is not known: choose JKS, PKCS12 or PEM",
        ),
        (
            "ssl.authProvider=other",
            "No auth provider configured for the SSL authentication scheme 'other'.",
        ),
    ];
    for (text, expected) in cases {
        let told = refused(text);
        assert!(told.contains(expected), "{text}: {told}");
    }
    let told = errors("secureClientPort=2281").join("; ");
    assert!(
        told.contains("Keystore is required for SSL server: ssl.keyStore.location"),
        "{told}"
    );
    assert!(
        told.contains("ssl.trustStore.location is not set"),
        "{told}"
    );
    let told = errors(
        "secureClientPort=2281\nssl.keyStore.location=/s/key\nssl.trustStore.location=/t.pem",
    );
    assert!(
        told.join("; ")
            .contains("Unable to auto-detect store file type from file name: /s/key"),
        "{told:?}"
    );
}

#[test]
fn clients_without_certificates_need_no_trust_store() {
    let (config, _) =
        read("secureClientPort=2281\nssl.keyStore.location=/k.pem\nssl.clientAuth=none");
    let tls = config.client_tls.expect("there is a secure port").tls;
    assert!(tls.trust_store.is_none());
}

#[test]
fn the_scheme_x509_comes_with_tls() {
    let enforced = "enforce.auth.enabled=true\nenforce.auth.schemes=x509";
    assert!(
        try_read(
            &format!("{BASE}{STORES}secureClientPort=2281\n{enforced}"),
            ""
        )
        .is_ok()
    );
    let told = errors(enforced).join("; ");
    assert!(
        told.contains("Authentication scheme x509 is not available."),
        "{told}"
    );
}

#[test]
fn servers_have_a_set_of_their_own() {
    let quorum = "ssl.quorum.keyStore.location=/q.pem\nssl.quorum.trustStore.location=/t.pem\n";
    let member = |text: &str| {
        let text = format!("{BASE}{MEMBERS}{quorum}{text}");
        let sources = Sources {
            my_id: file("myid", "1"),
            ..sources(&text)
        };
        Config::from_sources(&sources, &SystemProperties::default()).map(|(config, _)| config)
    };
    let tls = member("sslQuorum=true").expect("it is complete").quorum_tls;
    let tls = tls.expect("it is on");
    assert!(tls.dials && !tls.unified);
    // As long as nobody switches this mode off, hosts are not compared.
    assert!(!tls.tls.verify_server_host && !tls.tls.verify_client_host);
    let tls = member("sslQuorum=true\nfips-mode=false")
        .expect("it is complete")
        .quorum_tls;
    let tls = tls.expect("it is on").tls;
    assert!(tls.verify_server_host && tls.verify_client_host && tls.reverse_lookup);
    let tls = member("portUnification=true")
        .expect("it is complete")
        .quorum_tls;
    assert!(tls.is_some_and(|tls| !tls.dials && tls.unified));
    // A server alone has no use for it.
    assert!(try_read(&format!("{BASE}sslQuorum=true"), "").is_ok());
}
