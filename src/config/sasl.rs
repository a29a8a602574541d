//! Authentication by SASL as it is configured: where the accounts stand, who has to use them, and how users of Kerberos
//! are named.

use std::path::PathBuf;

use super::Secret;

#[derive(Debug, Clone)]
pub struct Sasl {
    /// `java.security.auth.login.config`
    pub jaas_file: Option<PathBuf>,
    /// The section with the accounts of clients.
    pub clients_section: String,
    /// Without that section nobody could do anything, or somebody asked for it by name.
    pub needs_clients_section: bool,
    /// In place of the one that the file gives to `super`.
    pub super_password: Option<Secret>,
    pub kerberos: Kerberos,
    /// `None`: members do not authenticate to one another.
    pub members: Option<SaslOfMembers>,
    /// `fips-mode=true`, said explicitly.
    pub fips: bool,
}

/// What counts if the section of clients logs in to Kerberos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kerberos {
    /// `java.security.krb5.conf`
    pub conf_file: Option<PathBuf>,
    /// `java.security.krb5.realm`, in place of the one that the file gives.
    pub default_realm: Option<String>,
    /// `security.auth_to_local`
    pub name_rules: String,
    pub removes_host: bool,
    pub removes_realm: bool,
}

/// `quorum.auth.*`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaslOfMembers {
    /// Whoever opens a connection authenticates.
    pub learner_requires: bool,
    /// Whoever does not is not served.
    pub server_requires: bool,
    pub learner_section: String,
    pub server_section: String,
}
