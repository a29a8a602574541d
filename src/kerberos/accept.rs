//! The acceptor's side of the exchange: a token of RFC 2743 (3.1) and RFC 4121 (4.1) with an AP-REQ in it.
//!
//! Answers to the JDK's `InitSecContextToken`, `KrbApReq` and `Krb5Context.acceptSecContext`.

use std::sync::Arc;

use parking_lot::Mutex;

use super::crypto::{CONFOUNDER_BYTES, Enctype, EnctypeName, Key};
use super::der::{self, Reader};
use super::keytab::Keytab;
use super::messages::{self, ApRequest, Authenticator, Sealed, TicketContent};
use super::principal::Principal;
use super::replay::{Replays, Shown};
use super::wrap::Context;
use super::{Randomness, Refusal};

/// Tickets of large directories list the groups of a user; theirs stay below 64 KiB.
const TOKEN_BYTES_MAX: usize = 128 << 10;
/// 1.2.840.113554.1.2.2
const MECHANISM: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];
const OBJECT_IDENTIFIER: u8 = 0x06;
const FRAME: u8 = 0x60;
const AP_REQUEST: [u8; 2] = [1, 0];
const AP_REPLY: [u8; 2] = [2, 0];

const TICKET_USAGE: u32 = 2;
const AUTHENTICATOR_USAGE: u32 = 11;
const REPLY_USAGE: u32 = 12;

/// RFC 4121, 4.1.1: flags of the context, rather than a checksum of anything.
const GSS_CHECKSUM: i32 = 0x8003;
const GSS_CHECKSUM_BYTES_MIN: usize = 24;
const CHANNEL_BYTES: u32 = 16;
const MUTUAL: u32 = 2;

/// Where the keys come from. They may change while the server runs.
pub trait Keys: Send + Sync {
    fn keytab(&self) -> Arc<Keytab>;
}

impl Keys for Arc<Keytab> {
    fn keytab(&self) -> Arc<Keytab> {
        self.clone()
    }
}

/// Believes tickets for one service.
pub struct Acceptor {
    service: Principal,
    keys: Box<dyn Keys>,
    clock_skew_seconds: i64,
    replays: Mutex<Replays>,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Acceptor({})", self.service)
    }
}

/// A client that is believed.
#[derive(Debug)]
pub struct Accepted {
    pub client: Principal,
    /// For the client, if it wants a proof as well.
    pub reply: Option<Vec<u8>>,
    pub context: Context,
}

impl Acceptor {
    pub fn new(service: Principal, keys: Box<dyn Keys>, clock_skew_seconds: i64) -> Acceptor {
        Acceptor {
            service,
            keys,
            clock_skew_seconds,
            replays: Mutex::default(),
        }
    }

    /// `now`: seconds since 1970.
    pub fn accept(&self, token: &[u8], now: i64, fresh: &Randomness) -> Result<Accepted, Refusal> {
        let request = ApRequest::read(unframed(token)?)?;
        if request.uses_session_key {
            return Err(Refusal::UserToUser);
        }
        if request.service != self.service {
            return Err(Refusal::OtherService {
                asked: request.service.to_string(),
                own: self.service.to_string(),
            });
        }
        let ticket = TicketContent::read(&self.open_ticket(&request.ticket)?)?;
        let proof = open(
            &ticket.key,
            AUTHENTICATOR_USAGE,
            &request.authenticator,
            "the authenticator",
        )?;
        let proof = Authenticator::read(&proof)?;
        if proof.client != ticket.client {
            return Err(Refusal::OtherClient {
                ticket: ticket.client.to_string(),
                shown: proof.client.to_string(),
            });
        }
        if !ticket.client.is_nameable() {
            return Err(Refusal::Unnameable(ticket.client.to_string()));
        }
        let flags = context_flags(&proof)?;
        self.check_times(&ticket, proof.time.seconds, now)?;
        // Last, so that only what is otherwise right takes a place there.
        let until = proof.time.seconds.saturating_add(self.clock_skew_seconds);
        match self
            .replays
            .lock()
            .show(request.authenticator.bytes, now, until)
        {
            Shown::First => {}
            Shown::Again => return Err(Refusal::Replayed(ticket.client.to_string())),
            Shown::CannotTell => return Err(Refusal::TooManyProofs),
        }
        let wants_reply = request.wants_reply || flags & MUTUAL != 0;
        Ok(established(ticket, proof, wants_reply, fresh))
    }

    fn open_ticket(&self, ticket: &Sealed<'_>) -> Result<Vec<u8>, Refusal> {
        let what = "the ticket";
        let enctype = known(ticket.enctype, what)?;
        let keytab = self.keys.keytab();
        let mut keys = keytab
            .find(&self.service, enctype, ticket.kvno)?
            .into_iter();
        let opened = keys.find_map(|key| key.decrypt(TICKET_USAGE, ticket.bytes));
        opened.ok_or(Refusal::WrongKey(what))
    }

    fn check_times(&self, ticket: &TicketContent, shown: i64, now: i64) -> Result<(), Refusal> {
        let client = || ticket.client.to_string();
        if ticket.is_invalid {
            return Err(Refusal::Invalid(client()));
        }
        let skew = self.clock_skew_seconds;
        if ticket.begins - now > skew {
            let seconds = ticket.begins - now;
            return Err(Refusal::NotYetValid {
                client: client(),
                seconds,
            });
        }
        if now - ticket.ends > skew {
            let seconds = now - ticket.ends;
            return Err(Refusal::Expired {
                client: client(),
                seconds,
            });
        }
        match (shown - now).abs() > skew {
            true => Err(Refusal::ClockSkew {
                client: client(),
                seconds: shown - now,
            }),
            false => Ok(()),
        }
    }
}

/// Whoever wants a proof gets a key of this server's choice with it: what is said with that key was never said before,
/// even if this server forgot what it was shown. Without one, numbers and key are the client's.
fn established(
    ticket: TicketContent,
    proof: Authenticator,
    wants_reply: bool,
    fresh: &Randomness,
) -> Accepted {
    let clients_key = proof.subkey.unwrap_or_else(|| ticket.key.clone());
    if !wants_reply {
        return Accepted {
            client: ticket.client,
            reply: None,
            context: Context {
                key: clients_key,
                is_acceptors_key: false,
                sends: proof.sequence,
                awaits: proof.sequence,
            },
        };
    }
    let enctype = clients_key.enctype();
    let bytes = &fresh.subkey[..enctype.key_bytes()];
    let subkey = Key::new(enctype, bytes).expect("cut to the length of the type");
    // Some read the number with a sign.
    let sends = u32::from_be_bytes(fresh.sequence) >> 2;
    let content = messages::reply_content(&proof.time, &subkey, sends);
    let confounder: &[u8; CONFOUNDER_BYTES] = &fresh.confounder;
    let sealed = ticket.key.encrypt(REPLY_USAGE, confounder, &content);
    let reply = messages::reply(ticket.key.enctype(), &sealed);
    Accepted {
        client: ticket.client,
        reply: Some(framed(AP_REPLY, &reply)),
        context: Context {
            key: subkey,
            is_acceptors_key: true,
            sends,
            awaits: proof.sequence,
        },
    }
}

/// What the client says of the context. Bindings to a channel are not asked for here, so whatever they are is passed
/// over, and so are credentials that the client hands on.
fn context_flags(proof: &Authenticator) -> Result<u32, Refusal> {
    let malformed = Refusal::Malformed("the checksum of the authenticator");
    let Some((GSS_CHECKSUM, bytes)) = &proof.checksum else {
        return Err(malformed);
    };
    if bytes.len() < GSS_CHECKSUM_BYTES_MIN || bytes[..4] != CHANNEL_BYTES.to_le_bytes() {
        return Err(malformed);
    }
    let mut flags = [0; 4];
    flags.copy_from_slice(&bytes[20..24]);
    Ok(u32::from_le_bytes(flags))
}

fn open(
    key: &Key,
    usage: u32,
    sealed: &Sealed<'_>,
    what: &'static str,
) -> Result<Vec<u8>, Refusal> {
    let enctype = known(sealed.enctype, what)?;
    let opened = (enctype == key.enctype()).then(|| key.decrypt(usage, sealed.bytes));
    opened.flatten().ok_or(Refusal::WrongKey(what))
}

fn known(enctype: EnctypeName, what: &'static str) -> Result<Enctype, Refusal> {
    Enctype::from_number(enctype.0).ok_or(Refusal::UnknownEnctype { what, enctype })
}

/// The message in a token that begins a context.
fn unframed(token: &[u8]) -> Result<&[u8], Refusal> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refusal::TooLong(token.len()));
    }
    let frame = || -> Result<&[u8], Refusal> {
        let mut outer = Reader::new(token, "the token");
        let mut inner = outer.enter(FRAME)?;
        outer.end()?;
        match inner.enter(OBJECT_IDENTIFIER)?.rest() == MECHANISM {
            true => Ok(inner.rest()),
            false => Err(Refusal::NotKerberos),
        }
    };
    let inner = frame().map_err(|_| Refusal::NotKerberos)?;
    inner.strip_prefix(&AP_REQUEST).ok_or(Refusal::NotKerberos)
}

fn framed(kind: [u8; 2], message: &[u8]) -> Vec<u8> {
    let mechanism = der::element(OBJECT_IDENTIFIER, &MECHANISM);
    der::element(FRAME, &[&mechanism, &kind[..], message].concat())
}

#[cfg(test)]
pub(super) fn framed_request(message: &[u8]) -> Vec<u8> {
    framed(AP_REQUEST, message)
}
