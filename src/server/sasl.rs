//! The accounts of SASL, read once from the JAAS file.
//!
//! Answers to `ServerCnxnFactory.configureSaslLogin` and the constructors of `SaslQuorumAuthLearner` and
//! `SaslQuorumAuthServer`. Unlike Java's, a file that cannot be used stops the server at once.

use std::path::Path;
use std::sync::Arc;

use super::ServerError;
use crate::config::{Sasl, SaslOfMembers};
use crate::net::peer_auth::PeerAuth;
use crate::sasl::jaas::{Jaas, Section, SectionError};
use crate::sasl::{Accounts, Password};

/// The user whose password can be set apart from the file.
const SUPER: &str = "super";

#[derive(Debug, Default)]
pub struct SaslAccounts {
    /// `None`: clients get no SASL.
    pub clients: Option<Accounts>,
    /// `None`: members do not authenticate.
    pub members: Option<Arc<PeerAuth>>,
}

pub fn accounts(config: &Sasl) -> Result<SaslAccounts, ServerError> {
    let Some(path) = &config.jaas_file else {
        return match config.needs_clients_section {
            true => Err(ServerError::Config(
                "SASL is asked for, but no file has its accounts; add -Djava.security.auth.login.config=<file>"
                    .to_owned(),
            )),
            false => Ok(SaslAccounts::default()),
        };
    };
    let unusable = |why: String| ServerError::Config(format!("{}: {why}", path.display()));
    let text =
        std::fs::read_to_string(path).map_err(|e| unusable(format!("cannot be read: {e}")))?;
    let jaas = Jaas::parse(&text).map_err(|e| unusable(e.to_string()))?;
    let found = accounts_of(&jaas, path, config)?;
    if found.clients.is_some() || found.members.is_some() {
        tracing::warn!(
            "SASL is DIGEST-MD5, which relies on MD5; use it only in a network that can be trusted"
        );
    }
    Ok(found)
}

fn accounts_of(jaas: &Jaas, path: &Path, config: &Sasl) -> Result<SaslAccounts, ServerError> {
    let members = config
        .members
        .as_ref()
        .map(|members| peer_auth(jaas, path, members))
        .transpose()?;
    let clients = match jaas.section(&config.clients_section) {
        Some(section) => {
            let read = |section: &Section| section.accounts();
            let mut clients = usable(section, &config.clients_section, path, read)?;
            if let Some(password) = &config.super_password {
                // As in Java, where only a user who is listed is asked for a password.
                if clients.password_of(SUPER).is_some() {
                    clients.set(SUPER, Password::new(password.reveal().to_owned()));
                }
            }
            Some(clients)
        }
        None if config.needs_clients_section => {
            return Err(missing(&config.clients_section, path));
        }
        None => {
            if members.is_none() {
                tracing::warn!(
                    "{} has no section {}: clients cannot authenticate by SASL",
                    path.display(),
                    config.clients_section
                );
            }
            None
        }
    };
    Ok(SaslAccounts { clients, members })
}

/// Both sections have to be there, whoever is required to authenticate now.
fn peer_auth(
    jaas: &Jaas,
    path: &Path,
    config: &SaslOfMembers,
) -> Result<Arc<PeerAuth>, ServerError> {
    let find = |name: &str| jaas.section(name).ok_or_else(|| missing(name, path));
    let (learner, server) = (&config.learner_section, &config.server_section);
    let login = find(learner)?;
    let login = match config.learner_requires {
        true => Some(usable(login, learner, path, |section| section.login())?),
        false => None,
    };
    let accounts = usable(find(server)?, server, path, |section| section.accounts())?;
    Ok(Arc::new(PeerAuth {
        login,
        accounts,
        is_required: config.server_requires,
    }))
}

fn usable<T>(
    section: &Section,
    name: &str,
    path: &Path,
    read: impl Fn(&Section) -> Result<T, SectionError>,
) -> Result<T, ServerError> {
    read(section)
        .map_err(|e| ServerError::Config(format!("{}, section {name}: {e}", path.display())))
}

fn missing(section: &str, path: &Path) -> ServerError {
    ServerError::Config(format!(
        "No JAAS configuration section named '{section}' was found in '{}'.",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Secret;
    use std::io::Write;

    const MODULE: &str = "org.apache.zookeeper.server.auth.DigestLoginModule required";

    fn config(file: &Path) -> Sasl {
        Sasl {
            jaas_file: Some(file.to_owned()),
            clients_section: "Server".to_owned(),
            needs_clients_section: false,
            super_password: Some(Secret::new("other".to_owned())),
            members: Some(SaslOfMembers {
                learner_requires: true,
                server_requires: false,
                learner_section: "QuorumLearner".to_owned(),
                server_section: "QuorumServer".to_owned(),
            }),
            fips: false,
        }
    }

    fn read(text: &str, change: impl Fn(&mut Sasl)) -> Result<SaslAccounts, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut config = config(file.path());
        change(&mut config);
        accounts(&config).map_err(|e| e.to_string())
    }

    fn full() -> String {
        format!(
            "Server {{ {MODULE} user_super=\"own\" user_bob=\"b\"; }};\n\
             QuorumServer {{ {MODULE} user_test=\"t\"; }};\n\
             QuorumLearner {{ {MODULE} username=\"test\" password=\"t\"; }};\n"
        )
    }

    #[test]
    fn all_sections() {
        let found = read(&full(), |_| {}).unwrap();
        let clients = found.clients.unwrap();
        assert_eq!(clients.password_of("super").unwrap().reveal(), "other");
        assert_eq!(clients.password_of("bob").unwrap().reveal(), "b");
        let members = found.members.unwrap();
        assert_eq!(members.login.as_ref().unwrap().user, "test");
        assert!(members.accounts.password_of("test").is_some());
        assert!(!members.is_required);
    }

    #[test]
    fn the_first_step_of_a_rollout_says_nothing() {
        let text = full().replace("username", "x");
        assert!(read(&text, |_| {}).unwrap_err().contains("no username"));
        let found = read(&text, |config| {
            config.members.as_mut().unwrap().learner_requires = false;
        });
        assert!(found.unwrap().members.unwrap().login.is_none());
    }

    #[test]
    fn what_is_missing_is_named() {
        let without = |name: &str| full().replacen(&format!("{name} {{"), "Other {", 1);
        for name in ["QuorumServer", "QuorumLearner"] {
            let error = read(&without(name), |_| {}).unwrap_err();
            assert!(
                error.contains(&format!("section named '{name}'")),
                "{error}"
            );
        }
        assert!(read(&without("Server"), |_| {}).unwrap().clients.is_none());
        let error = read(&without("Server"), |config| {
            config.needs_clients_section = true
        })
        .unwrap_err();
        assert!(error.contains("section named 'Server'"), "{error}");
        let error = read(&full(), |config| config.jaas_file = None);
        assert!(error.unwrap().members.is_none());
        let kerberos = full().replace(
            "org.apache.zookeeper.server.auth.Digest",
            "com.sun.security.auth.module.Krb5",
        );
        assert!(read(&kerberos, |_| {}).unwrap_err().contains("Kerberos"));
    }
}
