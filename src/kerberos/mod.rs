//! Kerberos for a service: who a client is, by a ticket that the key distribution center (KDC) made for this server.
//!
//! ```text
//! client                                         server
//! ticket, authenticator (AP-REQ)                 ->  Acceptor::accept: keytab, times, replays
//!                                 <- proof of its key (AP-REP), if the client wants one
//! tokens of the context, either way: Context::wrap, Context::unwrap
//! ```
//!
//! A ticket is believed because nobody but the KDC and this server can make one: it is encrypted with the key of the
//! keytab. So nothing is asked of the KDC here, and there is nothing to renew. AES alone (RFC 3962, RFC 8009): what was
//! encrypted with RC4 or DES is refused. The realms that a ticket came through are for the KDC to check, as on the JVM.
//!
//! Knows neither sockets nor files nor clocks: bytes, keys, times and random bytes come as arguments. Answers to the
//! part of the JDK's `sun.security.krb5` and `sun.security.jgss.krb5` that accepts, and to ZooKeeper's `KerberosName`.

#![deny(clippy::disallowed_methods)]

pub mod accept;
pub mod crypto;
pub mod keytab;
pub mod krb5_conf;
pub mod local_name;
pub mod principal;
pub mod wrap;

mod der;
mod messages;
mod replay;

#[cfg(test)]
mod tests;

/// Why a token is not believed. Holds no key and nothing that one can be computed from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the token has {0} bytes, too many for Kerberos")]
    TooLong(usize),
    #[error("the token does not begin as one of Kerberos does")]
    NotKerberos,
    #[error("{0} is malformed")]
    Malformed(&'static str),
    #[error("{0} is not a principal that can be named here")]
    Unnameable(String),
    #[error(
        "the client wants a ticket of its own session to count, which only users' own servers offer"
    )]
    UserToUser,
    #[error("the ticket is for {asked}, and this server is {own}")]
    OtherService { asked: String, own: String },
    #[error("{what} is encrypted with {enctype}, which this server does not know; it knows AES")]
    UnknownEnctype {
        what: &'static str,
        enctype: crypto::EnctypeName,
    },
    #[error("the keytab has no key of {service} for {enctype} with version {kvno}; it has {has}")]
    NoKey {
        service: String,
        enctype: crypto::EnctypeName,
        kvno: u32,
        has: String,
    },
    #[error("{0} was not encrypted with the key that belongs to it")]
    WrongKey(&'static str),
    #[error("the ticket is of {ticket}, and who shows it says to be {shown}")]
    OtherClient { ticket: String, shown: String },
    #[error("the ticket of {client} is valid only in {seconds} s")]
    NotYetValid { client: String, seconds: i64 },
    #[error("the ticket of {client} expired {seconds} s ago")]
    Expired { client: String, seconds: i64 },
    #[error("the ticket of {0} is marked as not valid yet")]
    Invalid(String),
    #[error("the clock of {client} differs by {seconds} s from the one here")]
    ClockSkew { client: String, seconds: i64 },
    #[error("this proof of {0} was shown before")]
    Replayed(String),
    #[error(
        "too many clients authenticated within the last minutes to tell whether this proof was shown before"
    )]
    TooManyProofs,
    #[error("a token of the context is out of its order")]
    OutOfOrder,
}

/// Random bytes for one exchange: unpredictable, and never used twice.
pub struct Randomness {
    pub confounder: [u8; 16],
    pub subkey: [u8; 32],
    pub sequence: [u8; 4],
}

impl Randomness {
    pub fn new() -> Result<Randomness, getrandom::Error> {
        let mut fresh = Randomness {
            confounder: [0; 16],
            subkey: [0; 32],
            sequence: [0; 4],
        };
        getrandom::fill(&mut fresh.confounder)?;
        getrandom::fill(&mut fresh.subkey)?;
        getrandom::fill(&mut fresh.sequence)?;
        Ok(fresh)
    }
}
