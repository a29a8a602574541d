//! Who a client can be, and who must be known.
//!
//! Answers to `ProviderRegistry` and `AuthenticationHelper`.

use super::super::settings::Reader;
use super::super::{Auth, EnforceAuth, Secret, values};

/// Names of the JVM's digests that this server computes as well.
const DIGESTS: &[&str] = &[
    "MD5",
    "SHA",
    "SHA1",
    "SHA-1",
    "SHA-224",
    "SHA-256",
    "SHA-384",
    "SHA-512",
    "SHA-512/224",
    "SHA-512/256",
    "SHA3-224",
    "SHA3-256",
    "SHA3-384",
    "SHA3-512",
];

pub(super) const X509_CLASS: &str = "org.apache.zookeeper.server.auth.X509AuthenticationProvider";
const PROVIDERS: &[&str] = &[
    "SASLAuthenticationProvider",
    "X509AuthenticationProvider",
    "IPAuthenticationProvider",
    "DigestAuthenticationProvider",
    "EnsembleAuthenticationProvider",
    "KeyAuthenticationProvider",
];

/// `has_tls`: clients may come in by TLS, which brings the scheme x509 along.
pub(super) fn auth(has_tls: bool, r: &mut Reader<'_>) -> Auth {
    let mut provider_classes = Vec::new();
    for (suffix, setting) in r.family("authProvider.") {
        let class = setting
            .value
            .strip_prefix("org.apache.zookeeper.server.auth.")
            .unwrap_or_default();
        if PROVIDERS.contains(&class) {
            provider_classes.push(setting.value.clone());
        } else {
            let message = format!(
                "the class '{}' is not known, and Java classes cannot be loaded. Known ones: {} \
                 of org.apache.zookeeper.server.auth",
                setting.value,
                PROVIDERS.join(", ")
            );
            r.diagnostics
                .error(&setting.origin, &format!("authProvider.{suffix}"), message);
        }
    }
    if has_tls {
        provider_classes.push(X509_CLASS.to_owned());
    }
    let digest_algorithm = r
        .nonempty("DigestAuthenticationProvider.digestAlg")
        .unwrap_or_else(|| "SHA1".to_owned());
    if !DIGESTS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(&digest_algorithm))
        && let Some(setting) = r.setting("DigestAuthenticationProvider.digestAlg")
    {
        let message = format!(
            "'{digest_algorithm}' is not a known digest. Known ones: {}",
            DIGESTS.join(", ")
        );
        r.diagnostics.error(
            &setting.origin,
            "DigestAuthenticationProvider.digestAlg",
            message,
        );
    }
    let mut sasl_super_users: Vec<String> = r.nonempty("superUser").into_iter().collect();
    sasl_super_users.extend(
        r.family("superUser.")
            .map(|(_, setting)| setting.value.clone()),
    );
    Auth {
        digest_enabled: r.boolean("DigestAuthenticationProvider.enabled", true),
        digest_algorithm,
        super_digest: r
            .nonempty("DigestAuthenticationProvider.superDigest")
            .map(Secret::new),
        provider_classes,
        ensemble_names: r.nonempty("ensembleAuthName"),
        let_any_sasl_user_do: r.nonempty("letAnySaslUserDoX"),
        x509_super_user: r.nonempty("X509AuthenticationProvider.superUser"),
        sasl_super_users,
        allow_sasl_failed_clients: r.boolean("allowSaslFailedClients", false),
    }
}

pub(super) fn enforce_auth(has_tls: bool, r: &mut Reader<'_>) -> EnforceAuth {
    // One name for enforcing sasl and nothing else.
    if r.boolean("sessionRequireClientSASLAuth", false) {
        let schemes = vec!["sasl".to_owned()];
        check_schemes("sessionRequireClientSASLAuth", &schemes, has_tls, r);
        return EnforceAuth {
            enabled: true,
            schemes,
        };
    }
    let enabled = r.boolean("enforce.auth.enabled", false);
    let listed = r
        .text("enforce.auth.schemes")
        .unwrap_or_default()
        .to_lowercase();
    let schemes: Vec<String> = values::list(&listed)
        .into_iter()
        .map(str::to_owned)
        .collect();
    if enabled && schemes.is_empty() {
        let message = "zookeeper.enforce.auth.enabled is true zookeeper.enforce.auth.schemes must be  configured.";
        if let Some(setting) = r.setting("enforce.auth.enabled") {
            r.diagnostics
                .error(&setting.origin, "enforce.auth.enabled", message);
        }
    }
    if enabled {
        check_schemes("enforce.auth.schemes", &schemes, has_tls, r);
    }
    EnforceAuth { enabled, schemes }
}

/// Nobody could ever do anything if none of them had a provider.
fn check_schemes(key: &str, schemes: &[String], has_tls: bool, r: &mut Reader<'_>) {
    let digest_enabled = r.boolean("DigestAuthenticationProvider.enabled", true);
    let is_registered = |wanted: &str, r: &mut Reader<'_>| {
        r.family("authProvider.").any(|(_, provider)| {
            let class = provider.value.to_ascii_lowercase();
            class.ends_with(&format!(".{wanted}authenticationprovider"))
        })
    };
    for scheme in schemes {
        let is_available = match scheme.as_str() {
            "ip" => true,
            "x509" => has_tls || is_registered(scheme, r),
            "digest" => digest_enabled || is_registered(scheme, r),
            "sasl" | "ensemble" => is_registered(scheme, r),
            _ => false,
        };
        if !is_available && let Some(setting) = r.setting(key) {
            let message = format!("Authentication scheme {scheme} is not available.");
            r.diagnostics.error(&setting.origin, key, message);
        }
    }
}
