//! Who a connection is, and what an access list lets it do.
//!
//! Identities (`Id`) belong to connections, access lists (`AclEntry`) to znodes; `Providers` knows
//! the authentication schemes of this server and decides. Nothing here knows connections, znodes or
//! requests: the caller brings the list and the identities, and keeps what comes back.
//!
//! Answers to Java's `ProviderRegistry`, `AuthenticationProvider` and its implementations,
//! `ZooKeeperServer.checkACL`, `PrepRequestProcessor.fixupACL` and `AuthenticationHelper`.

#![deny(clippy::disallowed_methods)]

pub mod digest;
pub mod ip;
pub mod sasl;
pub mod x509;

mod acl;

pub use acl::{AclError, RequestedAcl};

use std::net::IpAddr;

use digest::Algorithm;

/// Permission bits. The wire carries any int: unknown bits are kept and never match.
pub mod perm {
    pub const READ: i32 = 1;
    pub const WRITE: i32 = 2;
    pub const CREATE: i32 = 4;
    pub const DELETE: i32 = 8;
    pub const ADMIN: i32 = 16;
    pub const ALL: i32 = 31;
}

/// Scheme names with a meaning of their own.
pub mod scheme {
    pub const WORLD: &str = "world";
    pub const AUTH: &str = "auth";
    pub const DIGEST: &str = "digest";
    pub const IP: &str = "ip";
    pub const X509: &str = "x509";
    pub const SASL: &str = "sasl";
    pub const SUPER: &str = "super";
    pub const ENSEMBLE: &str = "ensemble";
}

/// The id that world entries carry.
pub const ANYONE: &str = "anyone";

/// An identity of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    pub scheme: Box<str>,
    pub id: Box<str>,
}

impl Id {
    pub fn new(scheme: impl Into<Box<str>>, id: impl Into<Box<str>>) -> Self {
        Id {
            scheme: scheme.into(),
            id: id.into(),
        }
    }

    /// As a learner passes it on; a null is as good as nothing.
    pub fn from_wire(id: &crate::proto::Id<'_>) -> Self {
        Id::new(
            id.scheme.as_str().unwrap_or_default(),
            id.id.as_str().unwrap_or_default(),
        )
    }

    pub fn to_wire(&self) -> crate::proto::Id<'_> {
        crate::proto::Id {
            scheme: (&*self.scheme).into(),
            id: (&*self.id).into(),
        }
    }
}

/// An entry of an access list as it is stored: its scheme and id were accepted by `fix_up`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AclEntry {
    pub perms: i32,
    pub scheme: Box<str>,
    pub id: Box<str>,
}

impl AclEntry {
    pub fn new(perms: i32, scheme: impl Into<Box<str>>, id: impl Into<Box<str>>) -> Self {
        AclEntry {
            perms,
            scheme: scheme.into(),
            id: id.into(),
        }
    }

    /// The entry for everyone.
    pub fn world(perms: i32) -> Self {
        AclEntry::new(perms, scheme::WORLD, ANYONE)
    }

    pub fn is_world(&self) -> bool {
        &*self.scheme == scheme::WORLD && &*self.id == ANYONE
    }
}

/// An access list.
pub type Acl = [AclEntry];

/// What the configuration says about authentication. `Default` is Java's default.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// `zookeeper.skipACL` equals `yes`.
    pub skip_acl: bool,
    /// `zookeeper.DigestAuthenticationProvider.enabled`
    pub digest_enabled: bool,
    /// `zookeeper.DigestAuthenticationProvider.digestAlg`: a name as the JVM knows it.
    pub digest_algorithm: String,
    /// `zookeeper.DigestAuthenticationProvider.superDigest`: `super:<base64>`.
    pub super_digest: Option<String>,
    /// The values of `zookeeper.authProvider.*`: Java class names.
    pub provider_classes: Vec<String>,
    /// `zookeeper.ensembleAuthName`: names, comma-separated.
    pub ensemble_names: Option<String>,
    /// `zookeeper.letAnySaslUserDoX`
    pub let_any_sasl_user_do: Option<String>,
    /// `zookeeper.X509AuthenticationProvider.superUser`
    pub x509_super_user: Option<String>,
}

impl Default for AuthSettings {
    fn default() -> Self {
        AuthSettings {
            skip_acl: false,
            digest_enabled: true,
            digest_algorithm: "SHA1".to_owned(),
            super_digest: None,
            provider_classes: Vec::new(),
            ensemble_names: None,
            let_any_sasl_user_do: None,
            x509_super_user: None,
        }
    }
}

/// Settings that this server cannot honour. Starting all the same would let people in or lock
/// them out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthConfigError {
    #[error(
        "DigestAuthenticationProvider.digestAlg: '{0}' is not a known digest; use one of MD5, SHA1, SHA-224, SHA-256, SHA-384, SHA-512, SHA-512/224, SHA-512/256, SHA3-224, SHA3-256, SHA3-384, SHA3-512"
    )]
    UnknownDigestAlgorithm(String),
    #[error(
        "authProvider: the class '{0}' is not known; the SASL, X509, IP, Digest and Ensemble providers of org.apache.zookeeper.server.auth are available"
    )]
    UnknownProvider(String),
    // Two blanks, as Java prints it.
    #[error(
        "zookeeper.enforce.auth.enabled is true zookeeper.enforce.auth.schemes must be  configured."
    )]
    NoEnforcedScheme,
    #[error("Authentication scheme {0} is not available.")]
    EnforcedSchemeUnavailable(String),
}

/// What an auth packet leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthOutcome {
    /// Answer OK; the connection has these identities from now on (a set: it may have them already).
    Added(Vec<Id>),
    /// Answer OK; no identity comes of it.
    Accepted,
    /// Answer AuthFailed and close.
    Refused,
    /// Close without an answer, so that the client tries another server.
    Close,
}

/// A scheme that can have a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    Digest,
    Ip,
    X509,
    Sasl,
    Ensemble,
}

impl Provider {
    /// Whether an id of this scheme stands for someone who proved an identity (`auth` expands to it).
    pub(crate) fn authenticates(self) -> bool {
        matches!(self, Provider::Digest | Provider::X509 | Provider::Sasl)
    }
}

/// The authentication schemes of this server.
#[derive(Debug, Clone)]
pub struct Providers {
    skip_acl: bool,
    digest: bool,
    digest_algorithm: Algorithm,
    super_digest: Option<Box<str>>,
    x509: bool,
    x509_super_user: Option<Box<str>>,
    sasl: bool,
    let_any_sasl_user_do: Option<Box<str>>,
    ensemble: bool,
    ensemble_names: Option<Vec<Box<str>>>,
}

const CLASS_PREFIX: &str = "org.apache.zookeeper.server.auth.";

impl Providers {
    pub fn new(settings: AuthSettings) -> Result<Self, AuthConfigError> {
        let digest_algorithm = Algorithm::from_name(&settings.digest_algorithm).ok_or(
            AuthConfigError::UnknownDigestAlgorithm(settings.digest_algorithm),
        )?;
        let mut providers = Providers {
            skip_acl: settings.skip_acl,
            digest: settings.digest_enabled,
            digest_algorithm,
            super_digest: settings.super_digest.map(Into::into),
            x509: false,
            x509_super_user: settings.x509_super_user.map(Into::into),
            sasl: false,
            let_any_sasl_user_do: settings.let_any_sasl_user_do.map(Into::into),
            ensemble: false,
            ensemble_names: settings
                .ensemble_names
                .map(|csv| csv.split(',').map(|name| name.trim().into()).collect()),
        };
        for class in settings.provider_classes {
            match class.trim().strip_prefix(CLASS_PREFIX) {
                Some("SASLAuthenticationProvider") => providers.sasl = true,
                Some("X509AuthenticationProvider") => providers.x509 = true,
                Some("EnsembleAuthenticationProvider") => providers.ensemble = true,
                Some("DigestAuthenticationProvider") => providers.digest = true,
                // Built in.
                Some("IPAuthenticationProvider") => {}
                // A sample of Java's; without a provider its entries are refused and match nobody.
                Some("KeyAuthenticationProvider") => {}
                _ => return Err(AuthConfigError::UnknownProvider(class)),
            }
        }
        Ok(providers)
    }

    /// The provider registered for `name`.
    pub(crate) fn provider(&self, name: &str) -> Option<Provider> {
        match name {
            scheme::DIGEST if self.digest => Some(Provider::Digest),
            scheme::IP => Some(Provider::Ip),
            scheme::X509 if self.x509 => Some(Provider::X509),
            scheme::SASL if self.sasl => Some(Provider::Sasl),
            scheme::ENSEMBLE if self.ensemble => Some(Provider::Ensemble),
            _ => None,
        }
    }

    /// Whether `name` has a provider.
    pub fn has_scheme(&self, name: &str) -> bool {
        self.provider(name).is_some()
    }

    /// Handles an auth packet. A null scheme has no provider; null data is refused where the
    /// provider needs data.
    pub fn authenticate(
        &self,
        scheme: Option<&str>,
        data: Option<&[u8]>,
        remote: IpAddr,
    ) -> AuthOutcome {
        let Some(provider) = scheme.and_then(|name| self.provider(name)) else {
            return AuthOutcome::Refused;
        };
        match (provider, data) {
            (Provider::Digest, Some(data)) => AuthOutcome::Added(self.digest_ids(data)),
            (Provider::Ip, _) => AuthOutcome::Added(vec![Self::initial_id(remote)]),
            (Provider::Ensemble, data) => self.ensemble_outcome(data.unwrap_or_default()),
            // SASL has its own exchange, X.509 its TLS handshake.
            (Provider::Digest | Provider::X509 | Provider::Sasl, _) => AuthOutcome::Refused,
        }
    }

    fn digest_ids(&self, data: &[u8]) -> Vec<Id> {
        let credentials = String::from_utf8_lossy(data);
        let id = digest::id_of(self.digest_algorithm, &credentials);
        let mut ids = Vec::with_capacity(2);
        if self.super_digest.as_deref() == Some(id.as_str()) {
            ids.push(Id::new(scheme::SUPER, ""));
        }
        ids.push(Id::new(scheme::DIGEST, id));
        ids
    }

    /// Who a connection is whose certificate has this subject.
    pub fn x509_ids(&self, subject: &str) -> Vec<Id> {
        let mut ids = Vec::with_capacity(2);
        if self.x509_super_user.as_deref() == Some(subject) {
            ids.push(Id::new(scheme::SUPER, subject));
        }
        ids.push(Id::new(scheme::X509, subject));
        ids
    }

    fn ensemble_outcome(&self, data: &[u8]) -> AuthOutcome {
        match &self.ensemble_names {
            Some(names) if !data.is_empty() => {
                let name = String::from_utf8_lossy(data);
                if names.iter().any(|known| **known == *name) {
                    AuthOutcome::Accepted
                } else {
                    AuthOutcome::Close
                }
            }
            _ => AuthOutcome::Accepted,
        }
    }

    /// The identity that every connection starts with.
    pub fn initial_id(remote: IpAddr) -> Id {
        Id::new(scheme::IP, ip::java_text(remote))
    }

    /// What whoAmI calls the user of an identity.
    pub fn user_name<'a>(&self, id: &'a Id) -> &'a str {
        match self.provider(&id.scheme) {
            Some(Provider::Digest) => digest::user_of(&id.id),
            Some(_) => &id.id,
            None => "",
        }
    }

    /// Whether a connection with these identities may send requests although `schemes` are
    /// enforced. No schemes: nothing is enforced.
    pub fn satisfies_enforcement<S: AsRef<str>>(&self, schemes: &[S], ids: &[Id]) -> bool {
        schemes.is_empty()
            || ids
                .iter()
                .any(|id| schemes.iter().any(|scheme| scheme.as_ref() == &*id.scheme))
    }

    /// Whether the schemes to enforce can be satisfied at all; for the start.
    pub fn check_enforced_schemes<S: AsRef<str>>(
        &self,
        schemes: &[S],
    ) -> Result<(), AuthConfigError> {
        if schemes.is_empty() {
            return Err(AuthConfigError::NoEnforcedScheme);
        }
        for scheme in schemes {
            let scheme = scheme.as_ref();
            if !self.has_scheme(scheme) {
                return Err(AuthConfigError::EnforcedSchemeUnavailable(
                    scheme.to_owned(),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
