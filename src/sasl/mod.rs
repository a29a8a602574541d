//! Proofs of identity that do not send a password: the mechanisms DIGEST-MD5 (name and password) and GSSAPI (Kerberos),
//! and the JAAS files that say which one, and hold the accounts.
//!
//! Both sides of DIGEST-MD5 are here, because a member of an ensemble is either; clients of the server use the same. Of
//! GSSAPI there is the server's.
//! Knows neither sockets nor packets nor files: tokens go in and out, and nonces are handed to the mechanism.
//! Answers to the JDK's `DigestMD5Server`, `DigestMD5Client` and `ConfigFile`, and to `DigestLoginModule`.

#![deny(clippy::disallowed_methods)]

pub mod digest_md5;
pub mod gssapi;
pub mod jaas;

mod directives;

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    pub fn new(text: String) -> Password {
        Password(text)
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Who may prove an identity here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts(BTreeMap<String, Password>);

impl Accounts {
    pub fn password_of(&self, user: &str) -> Option<&Password> {
        self.0.get(user)
    }

    /// In place of the one that the user has, if there is such a user or not.
    pub fn set(&mut self, user: &str, password: Password) {
        self.0.insert(user.to_owned(), password);
    }
}

impl FromIterator<(String, Password)> for Accounts {
    fn from_iter<I: IntoIterator<Item = (String, Password)>>(accounts: I) -> Accounts {
        Accounts(accounts.into_iter().collect())
    }
}

/// The own identity, towards others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: Password,
}

/// As many random bytes as the JDK takes.
const NONCE_BYTES: usize = 30;

/// For one exchange.
pub fn nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0; NONCE_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(STANDARD.encode(bytes))
}
