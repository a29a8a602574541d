//! TLS, for clients and between servers. The two sets have the same keys under other names and inherit nothing from
//! one another.
//!
//! Answers to `X509Util`, `SSLContextAndOptions` and `KeyStoreFileType`, as far as they read settings.

use std::path::Path;

use super::super::diagnostics::{ConfigError, Level, Notice, Origin};
use super::super::settings::{Reader, Setting};
use super::super::{
    CIPHER_SUITES, ClientAuth, ClientTls, QuorumTls, Secret, StoreFormat, Tls, TlsProtocols,
    TlsStore, values,
};
use super::{COUNT, INT, MILLISECONDS};

use super::auth::X509_CLASS;

const DETECTION_MS: i64 = 5000;

/// The names under which one set of keys stands in the file.
struct Names {
    key_store: &'static str,
    trust_store: &'static str,
    prefix: &'static str,
    /// Whether certificates of who dials are compared with its address unless that is switched off.
    verifies_clients: bool,
    /// What 3.9.5 does where `allowReverseDnsLookup` is not set.
    looks_up: bool,
    /// There have to be certificates to trust, whoever is asked for one.
    dials: bool,
    /// Where `clientAuth` does not say it.
    client_auth: Option<ClientAuth>,
}

const CLIENT: Names = Names {
    key_store: "ssl.keyStore",
    trust_store: "ssl.trustStore",
    prefix: "ssl",
    verifies_clients: false,
    looks_up: false,
    dials: false,
    client_auth: None,
};
const QUORUM: Names = Names {
    key_store: "ssl.quorum.keyStore",
    trust_store: "ssl.quorum.trustStore",
    prefix: "ssl.quorum",
    verifies_clients: true,
    looks_up: true,
    dials: true,
    client_auth: None,
};

/// `None` where no port needs it.
pub(super) fn client(has_secure_port: bool, r: &mut Reader<'_>) -> Option<ClientTls> {
    let unified = r.boolean("client.portUnification", false);
    let handshakes_max = r.int("netty.server.outstandingHandshake.limit", -1, INT, COUNT);
    let early_drop = r.boolean("netty.server.earlyDropSecureConnectionHandshakes", false);
    let reload = r.boolean("client.certReload", false);
    let user = match (has_secure_port, unified) {
        (true, _) => Some("secureClientPort"),
        (_, true) => Some("client.portUnification"),
        _ => None,
    };
    check_provider(user.is_some(), r);
    let tls = set(&CLIENT, user, reload, r);
    Some(ClientTls {
        tls: tls?,
        unified,
        handshakes_max: u32::try_from(handshakes_max).ok().filter(|max| *max > 0),
        early_drop,
    })
}

/// `None` where all is plaintext.
pub(super) fn quorum(is_member: bool, r: &mut Reader<'_>) -> Option<QuorumTls> {
    let dials = r.boolean("sslQuorum", false);
    let unified = r.boolean("portUnification", false);
    let reload = r.boolean("sslQuorumReloadCertFiles", false);
    let user = match (dials, unified) {
        _ if !is_member => None,
        (true, _) => Some("sslQuorum"),
        (_, true) => Some("portUnification"),
        _ => None,
    };
    let mut tls = set(&QUORUM, user, reload, r);
    if let Some(setting) = r
        .setting("fips-mode")
        .filter(|setting| setting.value == "true")
    {
        let text = "fips-mode: taken as ZooKeeper takes it; the cryptography of this server is not validated by FIPS 140";
        let notice = Notice::at(Level::Info, &setting.origin, text);
        r.diagnostics.notices.push(notice);
    }
    // Java's servers do not compare hosts in this mode, which is on unless it is switched off.
    if r.boolean("fips-mode", true)
        && let Some(tls) = &mut tls
    {
        let asked = r
            .setting("ssl.quorum.hostnameVerification")
            .or(r.setting("ssl.quorum.clientHostnameVerification"))
            .filter(|setting| setting.value.eq_ignore_ascii_case("true"));
        if let Some(Setting { origin, .. }) = asked {
            r.diagnostics.warn(
                origin,
                "hosts of other servers are not verified while fips-mode is true, as in ZooKeeper; \
                 set fips-mode=false to verify them",
            );
        }
        tls.verify_server_host = false;
        tls.verify_client_host = false;
    }
    Some(QuorumTls {
        tls: tls?,
        dials,
        unified,
    })
}

/// The AdminServer has the stores of the quorum's set and rules of its own. `user` is the key that asks for TLS.
pub(super) fn admin(user: &str, needs_certificates: bool, r: &mut Reader<'_>) -> Option<Tls> {
    let names = Names {
        verifies_clients: false,
        dials: false,
        client_auth: Some(match needs_certificates {
            true => ClientAuth::Need,
            false => ClientAuth::None,
        }),
        ..QUORUM
    };
    let reload = r.boolean("sslQuorumReloadCertFiles", false);
    let tls = set(&names, Some(user), reload, r)?;
    Some(Tls {
        verify_server_host: false,
        verify_client_host: false,
        resumes: true,
        ..tls
    })
}

/// One set; every key is read even where nothing uses it. `user` is the key that needs the set.
fn set(names: &Names, user: Option<&str>, reload: bool, r: &mut Reader<'_>) -> Option<Tls> {
    let before = r.diagnostics.errors.len();
    let is_used = user.is_some();
    let key_store = store(names.key_store, is_used, r);
    let trust_store = store(names.trust_store, is_used, r);
    // A location that could not be made sense of has been told.
    let is_set = |store: &str| r.settings.get(&format!("{store}.location")).is_some();
    let (has_key_store, has_trust_store) = (is_set(names.key_store), is_set(names.trust_store));
    let [
        protocol,
        enabled,
        suites,
        auth,
        detection,
        server,
        client,
        lookup,
        crl,
        ocsp,
    ] = [
        "protocol",
        "enabledProtocols",
        "ciphersuites",
        "clientAuth",
        "handshakeDetectionTimeoutMillis",
        "hostnameVerification",
        "clientHostnameVerification",
        "allowReverseDnsLookup",
        "crl",
        "ocsp",
    ]
    .map(|key| format!("{}.{key}", names.prefix));
    let protocols = protocols(&protocol, &enabled, is_used, r);
    let cipher_suites = cipher_suites(&suites, protocols, is_used, r);
    let configured = client_auth(&auth, is_used, r);
    let client_auth = names.client_auth.unwrap_or(configured);
    let mut detection_ms = r.int(&detection, DETECTION_MS, INT, MILLISECONDS);
    if detection_ms < 1
        && is_used
        && let Some(setting) = r.setting(&detection)
    {
        let text = format!("{detection}: {detection_ms} is not allowed; {DETECTION_MS} is used");
        r.diagnostics.warn(&setting.origin, text);
        detection_ms = DETECTION_MS;
    }
    let verify_server_host = r.boolean(&server, true);
    let verify_client_host = r.boolean(&client, names.verifies_clients) && verify_server_host;
    let reverse_lookup = r.boolean(&lookup, names.looks_up);
    let crl = r.boolean(&crl, false);
    if r.boolean(&ocsp, false)
        && is_used
        && let Some(setting) = r.setting(&ocsp)
    {
        let message = format!(
            "OCSP is not available in this server; use {}.crl=true, which reads the lists that certificates name",
            names.prefix
        );
        r.diagnostics.error(&setting.origin, &ocsp, message);
    }
    let user = user?;
    let origin = r.settings.get(user).map(|setting| setting.origin.clone());
    let mut missing = |message: String| match &origin {
        Some(origin) => r.diagnostics.error(origin, user, message),
        None => r.diagnostics.errors.push(ConfigError::general(message)),
    };
    if key_store.is_none() && !has_key_store {
        missing(format!(
            "Keystore is required for SSL server: {}.location is not set",
            names.key_store
        ));
    }
    let needs_trust = client_auth != ClientAuth::None || names.dials;
    if trust_store.is_none() && !has_trust_store && needs_trust {
        missing(format!(
            "{}.location is not set, so nobody's certificate could be trusted; set it{}",
            names.trust_store,
            if names.prefix == QUORUM.prefix {
                String::new()
            } else {
                format!(
                    ", or {}.clientAuth=none for clients without certificates",
                    names.prefix
                )
            }
        ));
    }
    if r.diagnostics.errors.len() > before {
        return None;
    }
    Some(Tls {
        key_store: key_store?,
        trust_store,
        protocols,
        cipher_suites,
        client_auth,
        verify_server_host,
        verify_client_host,
        reverse_lookup,
        crl,
        detection_ms: detection_ms as u32,
        resumes: names.prefix == CLIENT.prefix,
        reload,
    })
}

fn store(key: &'static str, is_used: bool, r: &mut Reader<'_>) -> Option<TlsStore> {
    let location = r
        .setting(&format!("{key}.location"))
        .filter(|setting| !setting.value.is_empty());
    let password = r.text(&format!("{key}.password")).unwrap_or_default();
    let password_path = r.nonempty(&format!("{key}.passwordPath"));
    let kind = r
        .setting(&format!("{key}.type"))
        .filter(|setting| !setting.value.is_empty());
    let location = location.filter(|_| is_used)?;
    let path = Path::new(&location.value);
    let (name, origin): (&str, &Origin) = match kind {
        Some(kind) => (&kind.value, &kind.origin),
        None => {
            let extension = path.extension().and_then(|e| e.to_str());
            let name = match extension.unwrap_or_default() {
                "jks" => "JKS",
                "pem" => "PEM",
                "p12" => "PKCS12",
                "bcfks" => "BCFKS",
                _ => {
                    let message = format!(
                        "Unable to auto-detect store file type from file name: {}. It has to end in .jks, .p12 \
                         or .pem, or {key}.type has to say JKS, PKCS12 or PEM",
                        location.value
                    );
                    let key = format!("{key}.location");
                    r.diagnostics.error(&location.origin, &key, message);
                    return None;
                }
            };
            (name, &location.origin)
        }
    };
    let format = match name.to_uppercase().as_str() {
        "JKS" => StoreFormat::Jks,
        "PKCS12" => StoreFormat::Pkcs12,
        "PEM" => StoreFormat::Pem,
        other => {
            let message = match other {
                "BCFKS" => "BCFKS stores cannot be read; convert it with keytool -importkeystore \
                            -srcstoretype BCFKS -deststoretype PKCS12"
                    .to_owned(),
                _ => format!("'{name}' is not known: choose JKS, PKCS12 or PEM"),
            };
            let key = format!("{key}.type");
            r.diagnostics.error(origin, &key, message);
            return None;
        }
    };
    Some(TlsStore {
        key,
        path: path.to_owned(),
        password: Secret::new(password),
        password_path: password_path.map(Into::into),
        format,
    })
}

/// `enabledProtocols` says which; without it `protocol` is the newest of them.
fn protocols(protocol: &str, enabled: &str, is_used: bool, r: &mut Reader<'_>) -> TlsProtocols {
    let mut protocols = TlsProtocols {
        v1_2: false,
        v1_3: false,
    };
    let newest = r.setting(protocol);
    let listed = r.setting(enabled).or(newest);
    let mut names = listed.map_or_else(Vec::new, |setting| values::list(&setting.value));
    if r.settings.get(enabled).is_none() {
        // TLSv1.3 brings 1.2 along, as Java's context of that name does.
        if names.contains(&"TLSv1.3") {
            names.push("TLSv1.2");
        }
        if names.contains(&"TLS") {
            names = vec!["TLSv1.3", "TLSv1.2"];
        }
    }
    for name in &names {
        match *name {
            "TLSv1.2" => protocols.v1_2 = true,
            "TLSv1.3" => protocols.v1_3 = true,
            other => {
                if let Some(setting) = listed.filter(|_| is_used) {
                    let key = if r.settings.get(enabled).is_some() {
                        enabled
                    } else {
                        protocol
                    };
                    let message = match other {
                        "TLSv1" | "TLSv1.1" | "SSLv3" | "SSLv2Hello" | "SSLv2" => format!(
                            "{other} is broken and not available: choose from TLSv1.3, TLSv1.2"
                        ),
                        _ => format!("'{other}' is not known: choose from TLSv1.3, TLSv1.2"),
                    };
                    r.diagnostics.error(&setting.origin, key, message);
                }
            }
        }
    }
    if names.is_empty() {
        protocols = TlsProtocols {
            v1_2: true,
            v1_3: true,
        };
    }
    protocols
}

fn cipher_suites(
    key: &str,
    protocols: TlsProtocols,
    is_used: bool,
    r: &mut Reader<'_>,
) -> Vec<String> {
    let Some(setting) = r.setting(key).filter(|_| is_used) else {
        return Vec::new();
    };
    let listed = values::list(&setting.value);
    let (known, unknown): (Vec<&str>, Vec<&str>) = listed
        .iter()
        .partition(|name| CIPHER_SUITES.contains(*name));
    if !unknown.is_empty() {
        let text = format!(
            "{key}: not available and left out: {}. Choose from {}",
            unknown.join(", "),
            CIPHER_SUITES.join(", ")
        );
        r.diagnostics.warn(&setting.origin, text);
    }
    let is_of_1_3 = |name: &&str| !name.contains("_WITH_");
    let usable = known.iter().any(|name| match is_of_1_3(name) {
        true => protocols.v1_3,
        false => protocols.v1_2,
    });
    if !usable {
        let message = format!(
            "none of these can be used with the enabled protocols; choose from {}",
            CIPHER_SUITES.join(", ")
        );
        r.diagnostics.error(&setting.origin, key, message);
    }
    known.into_iter().map(str::to_owned).collect()
}

fn client_auth(key: &str, is_used: bool, r: &mut Reader<'_>) -> ClientAuth {
    let Some(setting) = r.setting(key) else {
        return ClientAuth::Need;
    };
    match setting.value.to_uppercase().as_str() {
        "" | "NEED" => ClientAuth::Need,
        "WANT" => ClientAuth::Want,
        "NONE" => ClientAuth::None,
        _ => {
            if is_used {
                let message = format!(
                    "'{}' is not known: choose none, want or need",
                    setting.value
                );
                r.diagnostics.error(&setting.origin, key, message);
            }
            ClientAuth::Need
        }
    }
}

/// Who authenticates clients: only the provider that this server has.
fn check_provider(is_used: bool, r: &mut Reader<'_>) {
    let Some(setting) = r.setting("ssl.authProvider") else {
        return;
    };
    let scheme = setting.value.as_str();
    let class = r
        .family("authProvider.")
        .find(|(suffix, _)| *suffix == scheme)
        .map(|(_, provider)| provider.value.as_str());
    let is_known = match class {
        None => scheme == "x509",
        Some(class) => class == X509_CLASS,
    };
    if is_used && !is_known {
        let message = format!(
            "No auth provider configured for the SSL authentication scheme '{scheme}'. Only x509 is available"
        );
        r.diagnostics
            .error(&setting.origin, "ssl.authProvider", message);
    }
}
