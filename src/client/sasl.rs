//! SASL as a client of ZooKeeper is told to use it: the properties and the JAAS file of Java's client. Of the mechanisms
//! there is DIGEST-MD5. Answers to `ZooKeeperSaslClient` and to what `ZKClientConfig` says of it.
//!
//! Unlike Java's, a section that cannot be used ends the client before it connects as nobody.

use std::io;

use jute::Buffer;

use super::connection::Connection;
use super::session::packet;
use super::tls::Properties;
use crate::proto::OpCode;
use crate::proto::client::{GetSaslRequest, ReplyHeader, SetSaslResponse};
use crate::sasl::digest_md5::{Client, Refusal, Service};
use crate::sasl::jaas::{Jaas, SectionError};
use crate::sasl::{Login, nonce};

const FILE: &str = "java.security.auth.login.config";
/// Of the file, unless `zookeeper.sasl.clientconfig` names another one.
const SECTION: &str = "Client";

/// What the properties ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// `None`: nobody is to be proved.
    pub login: Option<Login>,
    /// What the user should hear of all the same.
    pub remark: Option<String>,
}

/// A file without the section is a server's as often as a mistake: scripts give `JVMFLAGS` to both.
pub fn asked(properties: &Properties) -> Result<Asked, String> {
    let is = |name: &str, default: bool| {
        let value = properties.get(name);
        value.map_or(default, |value| value.eq_ignore_ascii_case("true"))
    };
    let named = properties.get("sasl.clientconfig");
    let path = match properties.get(FILE).filter(|path| !path.is_empty()) {
        Some(path) if is("sasl.client", true) => path,
        _ => return Ok(Asked::default()),
    };
    let unusable = |why: String| format!("{path}: {why}");
    let text = std::fs::read_to_string(path).map_err(|e| unusable(e.to_string()))?;
    let jaas = Jaas::parse(&text).map_err(|e| unusable(e.to_string()))?;
    let name = named.map_or(SECTION, String::as_str);
    let Some(section) = jaas.section(name) else {
        let missing = unusable(format!("there is no section {name}"));
        return match named {
            Some(_) => Err(missing),
            None => Ok(Asked {
                login: None,
                remark: Some(format!("{missing}; this client is nobody to the server")),
            }),
        };
    };
    let login = section.login().map_err(|error| {
        unusable(match error {
            SectionError::KerberosOfMembers => format!(
                "section {name}: this client does not know Kerberos, only DIGEST-MD5; -Dzookeeper.sasl.client=false \
                 connects without"
            ),
            other => format!("section {name}: {other}"),
        })
    })?;
    if is("fips-mode", false) {
        return Err(unusable(
            "its login is for DIGEST-MD5, and FIPS does not know MD5; set zookeeper.fips-mode=false".to_owned(),
        ));
    }
    Ok(Asked {
        login: Some(login),
        remark: None,
    })
}

/// Why nobody was proved.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Lost(#[from] io::Error),
    #[error("SASL: {0}")]
    Refused(String),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Refused(refusal.to_string())
    }
}

impl From<jute::Error> for Failure {
    fn from(error: jute::Error) -> Failure {
        Failure::Lost(io::Error::other(error))
    }
}

/// The first words on a connection; both sides have to know the password.
pub(super) async fn prove(
    connection: &mut Connection,
    login: &Login,
    mut next_xid: impl FnMut() -> i32,
) -> Result<(), Failure> {
    let client = Client::new(Service::CLIENTS, login, nonce().map_err(io::Error::other)?);
    let challenge = ask(connection, next_xid(), &[]).await?;
    let (response, reply) = client.respond(&challenge)?;
    let answer = ask(connection, next_xid(), &response).await?;
    Ok(reply.check(&answer)?)
}

/// Nothing else is under way: the next frame is the answer.
async fn ask(connection: &mut Connection, xid: i32, token: &[u8]) -> Result<Vec<u8>, Failure> {
    let token = Buffer::from(token);
    let request = jute::to_vec(&GetSaslRequest { token })?;
    connection
        .write(&packet(xid, OpCode::SASL, &request)?)
        .await?;
    let frame = connection.frame().await?;
    let mut body = &frame[..];
    let header: ReplyHeader = jute::read(&mut body)?;
    if header.xid != xid {
        let why = format!("the server answered {} where {xid} was asked", header.xid);
        return Err(Failure::Lost(io::Error::other(why)));
    }
    if !header.err.is_ok() {
        return Err(Failure::Refused(
            "the server does not believe it".to_owned(),
        ));
    }
    let response: SetSaslResponse<'_> = jute::from_slice(body)?;
    Ok(response.token.or_empty().to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const JAAS: &str = "
        Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_bob=\"secret\"; };
        Client { org.apache.zookeeper.server.auth.DigestLoginModule required username=\"bob\" password=\"secret\"; };
        Other { org.apache.zookeeper.server.auth.DigestLoginModule required username=\"eve\" password=\"x\"; };
        Ticket { com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true; };";

    fn asked_with(file: &str, others: &[(&str, &str)]) -> Result<Asked, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jaas.conf");
        std::fs::write(&path, file).unwrap();
        let mut properties: Properties = others
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let path = path.to_str().unwrap().to_owned();
        properties.entry(FILE.to_owned()).or_insert(path);
        asked(&properties)
    }

    fn user(file: &str, others: &[(&str, &str)]) -> Option<String> {
        asked_with(file, others)
            .unwrap()
            .login
            .map(|login| login.user)
    }

    #[test]
    fn the_section_of_clients_counts_or_the_one_that_is_named() {
        assert_eq!(asked(&Properties::new()), Ok(Asked::default()));
        assert_eq!(user(JAAS, &[]).as_deref(), Some("bob"));
        let named = user(JAAS, &[("sasl.clientconfig", "Other")]);
        assert_eq!(named.as_deref(), Some("eve"));
        assert_eq!(user(JAAS, &[("sasl.client", "false")]), None);
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let of_server = JAAS.replace("Client", "Cliente");
        let asked = asked_with(&of_server, &[]).unwrap();
        assert_eq!(asked.login, None);
        assert!(asked.remark.unwrap().contains("no section Client"));
        for (others, told) in [
            (("sasl.clientconfig", "Missing"), "no section Missing"),
            (("sasl.clientconfig", "Ticket"), "Kerberos"),
            (("sasl.clientconfig", "Server"), "no username and password"),
            (("fips-mode", "true"), "FIPS"),
            ((FILE, "/missing/jaas.conf"), "/missing/jaas.conf: "),
        ] {
            let why = asked_with(JAAS, &[others]).unwrap_err();
            assert!(why.contains(told), "{others:?}: {why}");
        }
    }
}
