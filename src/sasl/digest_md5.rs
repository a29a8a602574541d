//! DIGEST-MD5 (RFC 2831) with quality of protection `auth`: initial authentication, both sides.
//!
//! ```text
//! client                                   server
//!            <- realm, nonce, ...          Server::challenge
//! Client::respond  username, cnonce, response ->
//!            <- rspauth                    Server::verify
//! Reply::check
//! ```
//!
//! One exchange uses each value once: there is no second try with the same nonce. Answers to `DigestMD5Server` and
//! `DigestMD5Client` of the JDK, down to the order of what they send.

use md5::{Digest, Md5};

use super::directives::{Directives, quoted};
use super::{Accounts, Login};

/// Longest texts of the other side (RFC 2831, 2.1).
const CHALLENGE_BYTES_MAX: usize = 2048;
const RESPONSE_BYTES_MAX: usize = 4096;
/// Only initial authentication: the nonce is used for the first time.
const NONCE_COUNT: &str = "00000001";
const QOP: &str = "auth";
const ALGORITHM: &str = "md5-sess";
const CHARSET: &str = "utf-8";
/// What the JDK says that it takes at a time. Without a layer of security nobody needs it.
const MAXBUF: u32 = 65536;

/// What an identity is proved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    pub protocol: &'static str,
    /// Stands for every server of this service, and is the realm, too.
    pub host: &'static str,
}

impl Service {
    /// The server, towards its clients.
    pub const CLIENTS: Service = Service {
        protocol: "zookeeper",
        host: "zk-sasl-md5",
    };
    /// Members of an ensemble, towards one another.
    pub const MEMBERS: Service = Service {
        protocol: "zookeeper-quorum",
        host: "zk-quorum-sasl-md5",
    };

    fn uri(self) -> String {
        format!("{}/{}", self.protocol, self.host)
    }
}

/// Why somebody is not believed. Holds no password and nothing that one can be computed from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the token is no list of directives of DIGEST-MD5")]
    Malformed,
    #[error("the token has {0} bytes, too many for DIGEST-MD5")]
    TooLong(usize),
    #[error("the directive {0} is missing")]
    Missing(&'static str),
    #[error("the directive {0} stands there more than once")]
    Repeated(&'static str),
    #[error("the directive {name} is {value:?}, which is not offered here")]
    NotOffered { name: &'static str, value: String },
    #[error("the nonce is not that of the challenge")]
    OtherNonce,
    #[error("user {0:?} is not among those that may authenticate")]
    UnknownUser(String),
    #[error("user {0:?} gave a wrong password")]
    WrongPassword(String),
    #[error("user {user:?} may not act as {other:?}")]
    MayNotActAs { user: String, other: String },
    #[error("the other side does not know the password of user {0:?}")]
    Impostor(String),
}

/// The side that is asked to believe.
#[derive(Debug)]
pub struct Server {
    service: Service,
    nonce: String,
}

/// A proof that held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub user: String,
    /// As whom the user wants to act, if said.
    pub authorization: Option<String>,
    /// For the client, so that it can believe as well.
    pub answer: Vec<u8>,
}

impl Server {
    /// The nonce must be unpredictable, and new for each exchange.
    pub fn new(service: Service, nonce: String) -> Server {
        Server { service, nonce }
    }

    pub fn challenge(&self) -> Vec<u8> {
        format!(
            "realm={},nonce={},charset={CHARSET},algorithm={ALGORITHM}",
            quoted(self.service.host),
            quoted(&self.nonce)
        )
        .into_bytes()
    }

    pub fn verify(self, response: &[u8], accounts: &Accounts) -> Result<Verified, Refusal> {
        let response = bounded(response, RESPONSE_BYTES_MAX)?;
        let given = Directives::parse(&response)?;
        let offered = |name, expected: &str| match given.at_most_one(name)? {
            Some(value) if !value.eq_ignore_ascii_case(expected) => Err(Refusal::NotOffered {
                name,
                value: value.to_owned(),
            }),
            other => Ok(other),
        };
        let user = given.one("username")?;
        // Java's server has only this realm, so that leaving it out names another one.
        offered("realm", self.service.host)?.ok_or(Refusal::Missing("realm"))?;
        offered("charset", CHARSET)?;
        offered("nc", NONCE_COUNT)?;
        offered("qop", QOP)?;
        let uri = self.service.uri();
        let uri = offered("digest-uri", &uri)?.ok_or(Refusal::Missing("digest-uri"))?;
        if given.one("nonce")? != self.nonce {
            return Err(Refusal::OtherNonce);
        }
        let proof = given.one("response")?;
        let authorization = given.at_most_one("authzid")?;
        let password = accounts.password_of(user);
        let password = password.ok_or_else(|| Refusal::UnknownUser(user.to_owned()))?;
        let secret = Secret {
            user,
            realm: given.one("realm")?,
            password: password.reveal(),
            nonce: &self.nonce,
            cnonce: given.one("cnonce")?,
            authorization,
            uri,
        };
        if !is_same(proof, &secret.proof("AUTHENTICATE")) {
            return Err(Refusal::WrongPassword(user.to_owned()));
        }
        Ok(Verified {
            user: user.to_owned(),
            authorization: authorization.map(str::to_owned),
            answer: format!("rspauth={}", secret.proof("")).into_bytes(),
        })
    }
}

impl Verified {
    /// Nobody acts as somebody else.
    pub fn as_itself(self) -> Result<Verified, Refusal> {
        match self.authorization {
            Some(other) if other != self.user => Err(Refusal::MayNotActAs {
                user: self.user,
                other,
            }),
            _ => Ok(self),
        }
    }
}

/// The side that proves its identity.
#[derive(Debug)]
pub struct Client<'a> {
    service: Service,
    login: &'a Login,
    cnonce: String,
}

/// What a response is answered with by those that know the password.
pub struct Reply {
    user: String,
    rspauth: String,
}

impl<'a> Client<'a> {
    /// The nonce must be unpredictable, and new for each exchange.
    pub fn new(service: Service, login: &'a Login, cnonce: String) -> Client<'a> {
        Client {
            service,
            login,
            cnonce,
        }
    }

    pub fn respond(self, challenge: &[u8]) -> Result<(Vec<u8>, Reply), Refusal> {
        let challenge = bounded(challenge, CHALLENGE_BYTES_MAX)?;
        let offer = Directives::parse(&challenge)?;
        let nonce = offer.one("nonce")?;
        let not_offered = |name, value: &str| Refusal::NotOffered {
            name,
            value: value.to_owned(),
        };
        let algorithm = offer.one("algorithm")?;
        if algorithm != ALGORITHM {
            return Err(not_offered("algorithm", algorithm));
        }
        if let Some(qop) = offer.at_most_one("qop")?
            && !qop.split(',').any(|one| one.trim() == QOP)
        {
            return Err(not_offered("qop", qop));
        }
        let realm = offer.first("realm").unwrap_or_default();
        let user = self.login.user.as_str();
        let uri = self.service.uri();
        let secret = Secret {
            user,
            realm,
            password: self.login.password.reveal(),
            nonce,
            cnonce: &self.cnonce,
            authorization: Some(user),
            uri: &uri,
        };
        let mut response = String::new();
        if offer.at_most_one("charset")?.is_some() {
            response += &format!("charset={CHARSET},");
        }
        response += &format!("username={},", quoted(user));
        if !realm.is_empty() {
            response += &format!("realm={},", quoted(realm));
        }
        response += &format!(
            "nonce={},nc={NONCE_COUNT},cnonce={},digest-uri={},maxbuf={MAXBUF},response={},qop={QOP},authzid={}",
            quoted(nonce),
            quoted(&self.cnonce),
            quoted(&uri),
            secret.proof("AUTHENTICATE"),
            quoted(user)
        );
        let reply = Reply {
            user: user.to_owned(),
            rspauth: secret.proof(""),
        };
        Ok((response.into_bytes(), reply))
    }
}

impl Reply {
    pub fn check(self, answer: &[u8]) -> Result<(), Refusal> {
        let answer = bounded(answer, CHALLENGE_BYTES_MAX)?;
        let answer = Directives::parse(&answer)?;
        match is_same(answer.one("rspauth")?, &self.rspauth) {
            true => Ok(()),
            false => Err(Refusal::Impostor(self.user)),
        }
    }
}

/// All that goes into a proof.
struct Secret<'a> {
    user: &'a str,
    realm: &'a str,
    password: &'a str,
    nonce: &'a str,
    cnonce: &'a str,
    authorization: Option<&'a str>,
    uri: &'a str,
}

impl Secret<'_> {
    /// `method` is AUTHENTICATE of the client and empty of the server (RFC 2831, 2.1.2.1 and 2.1.3).
    fn proof(&self, method: &str) -> String {
        let mut a1 = Md5::new();
        a1.update(self.login());
        a1.update(format!(":{}:{}", self.nonce, self.cnonce));
        if let Some(other) = self.authorization {
            a1.update(format!(":{other}"));
        }
        let a1 = hex(a1);
        let a2 = hex(Md5::new_with_prefix(format!("{method}:{}", self.uri)));
        let Secret { nonce, cnonce, .. } = self;
        hex(Md5::new_with_prefix(format!(
            "{a1}:{nonce}:{NONCE_COUNT}:{cnonce}:{QOP}:{a2}"
        )))
    }

    /// Each part is hashed in ISO 8859-1 if it can be written in it, even if it travels in UTF-8.
    fn login(&self) -> impl AsRef<[u8]> + use<> {
        let parts = [self.user, self.realm, self.password].map(narrow);
        Md5::digest(parts.join(&b':'))
    }
}

fn narrow(text: &str) -> Vec<u8> {
    let narrow: Result<Vec<u8>, _> = text.chars().map(|c| u8::try_from(u32::from(c))).collect();
    narrow.unwrap_or_else(|_| text.as_bytes().to_vec())
}

fn hex(hash: Md5) -> String {
    let digits = |byte: u8| {
        [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
    };
    hash.finalize().into_iter().flat_map(digits).collect()
}

/// In the same time wherever they differ.
fn is_same(given: &str, expected: &str) -> bool {
    let differences = given.bytes().zip(expected.bytes()).map(|(a, b)| a ^ b);
    given.len() == expected.len() && differences.fold(0, |all, one| all | one) == 0
}

/// Whoever does not write UTF-8 writes ISO 8859-1.
fn bounded(token: &[u8], bytes_max: usize) -> Result<String, Refusal> {
    if token.len() > bytes_max {
        return Err(Refusal::TooLong(token.len()));
    }
    let narrow = || token.iter().map(|byte| char::from(*byte)).collect();
    Ok(std::str::from_utf8(token).map_or_else(|_| narrow(), str::to_owned))
}

#[cfg(test)]
mod tests;
