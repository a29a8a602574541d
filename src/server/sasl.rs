//! How clients and members authenticate by SASL, read once from the JAAS file: accounts, or the keytab of Kerberos.
//!
//! Answers to `ServerCnxnFactory.configureSaslLogin` and the constructors of `SaslQuorumAuthLearner` and
//! `SaslQuorumAuthServer`. Unlike Java's, a file that cannot be used stops the server at once.

use std::path::Path;
use std::sync::Arc;

use super::ServerError;
use super::keytab::KeytabFile;
use crate::config::{Kerberos, Sasl, SaslOfMembers};
use crate::kerberos::accept::{Acceptor, Keys};
use crate::kerberos::krb5_conf::Krb5Conf;
use crate::kerberos::local_name::LocalNames;
use crate::kerberos::principal::Principal;
use crate::net::peer_auth::PeerAuth;
use crate::pipeline::sasl::Mechanism;
use crate::sasl::jaas::{Jaas, KeytabLogin, Offer, Section, SectionError};
use crate::sasl::{Accounts, Password};

/// The user whose password can be set apart from the file.
const SUPER: &str = "super";
/// Where Kerberos is configured if nobody says where.
const KRB5_CONF: &str = "/etc/krb5.conf";
/// As of the JDK and of MIT's library.
const CLOCK_SKEW_SECONDS: i64 = 300;

#[derive(Debug, Default)]
pub struct SaslAccounts {
    /// `None`: clients get no SASL.
    pub clients: Option<Mechanism>,
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
    let uses_md5 =
        found.members.is_some() || matches!(found.clients, Some(Mechanism::DigestMd5(_)));
    if uses_md5 && config.fips {
        return Err(unusable(
            "its accounts are for DIGEST-MD5, and FIPS does not know MD5; set fips-mode=false, or use Kerberos"
                .to_owned(),
        ));
    }
    if uses_md5 {
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
            let read = |section: &Section| section.offer();
            Some(
                match usable(section, &config.clients_section, path, read)? {
                    Offer::DigestMd5(accounts) => digest_md5(accounts, config),
                    Offer::Gssapi(login) => {
                        let place =
                            format!("{}, section {}", path.display(), config.clients_section);
                        gssapi(&login, &config.kerberos, &place)?
                    }
                },
            )
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

fn digest_md5(mut accounts: Accounts, config: &Sasl) -> Mechanism {
    if let Some(password) = &config.super_password {
        // As in Java, where only a user who is listed is asked for a password.
        if accounts.password_of(SUPER).is_some() {
            accounts.set(SUPER, Password::new(password.reveal().to_owned()));
        }
    }
    Mechanism::DigestMd5(accounts)
}

/// `place`: where the login stands, for errors.
fn gssapi(login: &KeytabLogin, config: &Kerberos, place: &str) -> Result<Mechanism, ServerError> {
    let unusable = |why: String| ServerError::Config(format!("{place}: {why}"));
    let conf = krb5_conf(config)?;
    let default_realm = config.default_realm.clone().or(conf.default_realm);
    let service = Principal::parse(&login.principal, default_realm.as_deref())
        .map_err(|e| unusable(format!("principal: {e}")))?;
    let file = login.keytab.strip_prefix("file:").unwrap_or(&login.keytab);
    let keytab =
        KeytabFile::open(Path::new(file)).map_err(|e| unusable(format!("keyTab {file}: {e}")))?;
    let keys = keytab.keytab();
    if !keys.serves(&service) {
        return Err(unusable(format!(
            "keyTab {file} has no AES key of {service}; it has {}",
            keys.listing()
        )));
    }
    // Where nothing says otherwise, users are of the realm that the server is of.
    let default_realm = default_realm.unwrap_or_else(|| service.realm().to_owned());
    let Kerberos {
        name_rules,
        removes_host,
        removes_realm,
        ..
    } = config;
    let names = LocalNames::new(name_rules, &default_realm, *removes_host, *removes_realm)
        .map_err(|e| ServerError::Config(format!("security.auth_to_local: {e}")))?;
    if login.hides_accounts {
        tracing::warn!(
            "{place}: clients authenticate by Kerberos alone, as with ZooKeeper; the accounts beside it have no effect"
        );
    }
    tracing::info!("Clients authenticate by Kerberos as {service}, with the keys of {file}");
    let skew = conf.clock_skew_seconds.unwrap_or(CLOCK_SKEW_SECONDS);
    Ok(Mechanism::Gssapi {
        acceptor: Arc::new(Acceptor::new(service, Box::new(keytab), skew)),
        names: Arc::new(names),
    })
}

/// A file that was named has to be there; the one of the system may be missing.
fn krb5_conf(config: &Kerberos) -> Result<Krb5Conf, ServerError> {
    let path = config.conf_file.as_deref().unwrap_or(Path::new(KRB5_CONF));
    match std::fs::read(path) {
        Ok(bytes) => Ok(Krb5Conf::parse(&String::from_utf8_lossy(&bytes))),
        Err(_) if config.conf_file.is_none() => Ok(Krb5Conf::default()),
        Err(e) => Err(ServerError::Config(format!(
            "java.security.krb5.conf: {} cannot be read: {e}",
            path.display()
        ))),
    }
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
            kerberos: Kerberos {
                // Whatever this machine says.
                conf_file: Some("/dev/null".into()),
                default_realm: None,
                name_rules: "DEFAULT".to_owned(),
                removes_host: false,
                removes_realm: false,
            },
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
        let Some(Mechanism::DigestMd5(clients)) = found.clients else {
            panic!("no accounts");
        };
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
        let error = read(&kerberos, |_| {}).unwrap_err();
        assert!(
            error.contains("Kerberos between members is not available"),
            "{error}"
        );
    }

    #[test]
    fn md5_and_fips_exclude_one_another() {
        let error = read(&full(), |config| config.fips = true).unwrap_err();
        assert!(error.contains("FIPS does not know MD5"), "{error}");
    }

    /// A file with a key of `service/h@R` of this type.
    fn keytab(enctype: u8, key_bytes: u8) -> tempfile::NamedTempFile {
        let mut entry = vec![0, 2, 0, 1, b'R', 0, 7];
        entry.extend(b"service\x00\x01h");
        entry.extend([0, 0, 0, 1, 0, 0, 0, 0, 1, 0, enctype, 0, key_bytes]);
        entry.extend(vec![1; usize::from(key_bytes)]);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[5, 2, 0, 0, 0, entry.len() as u8]).unwrap();
        file.write_all(&entry).unwrap();
        file
    }

    fn read_kerberos(
        keytab: &Path,
        principal: &str,
        change: impl Fn(&mut Sasl),
    ) -> Result<SaslAccounts, String> {
        let text = format!(
            "Server {{ com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true \
             useTicketCache=false keyTab=\"{}\" principal=\"{principal}\"; }};",
            keytab.display()
        );
        read(&text, |config| {
            config.members = None;
            change(config);
        })
    }

    #[test]
    fn a_keytab_in_place_of_accounts() {
        let good = keytab(18, 32);
        let good = good.path();
        // FIPS knows AES.
        let found = read_kerberos(good, "service/h@R", |config| config.fips = true).unwrap();
        assert!(matches!(found.clients, Some(Mechanism::Gssapi { .. })));
        let with_realm = |config: &mut Sasl| config.kerberos.default_realm = Some("R".to_owned());
        assert!(read_kerberos(good, "service/h", with_realm).is_ok());
        let fails = |keytab: &Path, principal: &str, change: fn(&mut Sasl), expected: &str| {
            let error = read_kerberos(keytab, principal, change).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        let old = keytab(23, 16);
        fails(
            good,
            "service/h",
            |_| {},
            "section Server: principal: \"service/h\" has no realm",
        );
        fails(
            good,
            "service/h/i@R",
            |_| {},
            "is not of the form name/host@REALM",
        );
        fails(
            good,
            "other@R",
            |_| {},
            "no AES key of other@R; it has service/h@R (aes256-cts-hmac-sha1-96)",
        );
        fails(
            old.path(),
            "service/h@R",
            |_| {},
            "no AES key of service/h@R; it has service/h@R (rc4-hmac)",
        );
        fails(
            Path::new("/dev/null"),
            "service/h@R",
            |_| {},
            "keyTab /dev/null: it is no keytab",
        );
        fails(
            Path::new("/nowhere/k"),
            "service/h@R",
            |_| {},
            "keyTab /nowhere/k: cannot be read",
        );
        fails(
            good,
            "service/h@R",
            |config| config.kerberos.name_rules = "NONE".to_owned(),
            "security.auth_to_local: Invalid rule: \"NONE\"",
        );
        fails(
            good,
            "service/h@R",
            |config| config.kerberos.conf_file = Some("/nowhere/krb5.conf".into()),
            "java.security.krb5.conf: /nowhere/krb5.conf cannot be read",
        );
    }
}
