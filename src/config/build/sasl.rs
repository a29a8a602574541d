//! SASL: `java.security.auth.login.config`, and `quorum.auth.*` of members.
//!
//! Answers to `ServerCnxnFactory.configureSaslLogin` and to the SASL checks of `QuorumPeerConfig`.

use std::path::PathBuf;

use super::super::settings::Reader;
use super::super::{Kerberos, Sasl, SaslOfMembers, Secret};

const FILE: &str = "java.security.auth.login.config";
const CLIENTS_SECTION: &str = "sasl.serverconfig";

const ENABLE: &str = "quorum.auth.enableSasl";
const LEARNER: &str = "quorum.auth.learnerRequireSasl";
const SERVER: &str = "quorum.auth.serverRequireSasl";
const PRINCIPAL: &str = "quorum.auth.kerberos.servicePrincipal";

pub(super) fn sasl(sasl_is_enforced: bool, r: &mut Reader<'_>) -> Sasl {
    let jaas_file = r.nonempty(FILE).map(|given| path(&given));
    let members = members(r);
    if members.is_some() && jaas_file.is_none() {
        let message = format!(
            "members have no accounts to authenticate with; add -D{FILE}=<file> with the sections QuorumServer and \
             QuorumLearner"
        );
        refuse(ENABLE, message, r);
    }
    let named = r.nonempty(CLIENTS_SECTION);
    Sasl {
        jaas_file,
        needs_clients_section: named.is_some() || sasl_is_enforced,
        clients_section: named.unwrap_or_else(|| "Server".to_owned()),
        super_password: r
            .nonempty("SASLAuthenticationProvider.superPassword")
            .map(Secret::new),
        kerberos: kerberos(r),
        members,
        fips: r.boolean("fips-mode", false),
    }
}

fn kerberos(r: &mut Reader<'_>) -> Kerberos {
    Kerberos {
        conf_file: r
            .nonempty("java.security.krb5.conf")
            .map(|given| path(&given)),
        default_realm: r.nonempty("java.security.krb5.realm"),
        name_rules: r
            .text("security.auth_to_local")
            .unwrap_or_else(|| "DEFAULT".to_owned()),
        removes_host: r.is_word("kerberos.removeHostFromPrincipal", "true"),
        removes_realm: r.is_word("kerberos.removeRealmFromPrincipal", "true"),
    }
}

/// The JVM takes a URL as well, and a sign that says that no other file counts.
fn path(given: &str) -> PathBuf {
    let name = given.strip_prefix('=').unwrap_or(given);
    let name = name.strip_prefix("file:").unwrap_or(name);
    // file:///path
    match name.strip_prefix("//") {
        Some(local) if local.starts_with('/') => PathBuf::from(local),
        _ => PathBuf::from(name),
    }
}

fn members(r: &mut Reader<'_>) -> Option<SaslOfMembers> {
    let [enabled, learner, server] = [ENABLE, LEARNER, SERVER].map(|key| r.boolean(key, false));
    let sections = [
        ("quorum.auth.learner.saslLoginContext", "QuorumLearner"),
        ("quorum.auth.server.saslLoginContext", "QuorumServer"),
    ];
    let [learner_section, server_section] =
        sections.map(|(key, default)| r.nonempty(key).unwrap_or_else(|| default.to_owned()));
    let principal = r.nonempty(PRINCIPAL).is_some();
    let rules = [
        (!enabled && server, ENABLE, SERVER),
        (!enabled && learner, ENABLE, LEARNER),
        (!learner && server, LEARNER, SERVER),
    ];
    // As in Java, the first broken rule is the one that is told.
    if let Some((_, missing, key)) = rules.into_iter().find(|(is_broken, ..)| *is_broken) {
        let message = format!("{missing} is disabled, so cannot enable {key}");
        refuse(key, message, r);
    }
    if enabled && principal {
        let message = "Kerberos between members is not available in this release; remove the key, and use \
                       DigestLoginModule in the sections QuorumServer and QuorumLearner of the JAAS file";
        refuse(PRINCIPAL, message.to_owned(), r);
    }
    enabled.then_some(SaslOfMembers {
        learner_requires: learner,
        server_requires: server,
        learner_section,
        server_section,
    })
}

fn refuse(key: &str, message: String, r: &mut Reader<'_>) {
    if let Some(setting) = r.settings.get(key) {
        r.diagnostics.error(&setting.origin, key, message);
    }
}
