//! The messages of RFC 4120 that a service meets: AP-REQ with its ticket and authenticator, and AP-REP.

use super::Refusal;
use super::crypto::{Enctype, EnctypeName, Key};
use super::der::{self, Reader, SEQUENCE, TIME_BYTES, application, field};
use super::principal::Principal;

const VERSION: i32 = 5;
const AP_REQUEST: u8 = 14;
const AP_REPLY: u8 = 15;
const USE_SESSION_KEY: u32 = 1 << 30;
const MUTUAL_REQUIRED: u32 = 1 << 29;
/// Of a ticket: postdated, and not yet shown to the KDC again.
const INVALID: u32 = 1 << 24;
/// Parts of a name; more than two cannot be named, but are told.
const COMPONENTS_MAX: usize = 16;

pub(super) struct Sealed<'a> {
    pub enctype: EnctypeName,
    pub kvno: Option<u32>,
    pub bytes: &'a [u8],
}

pub(super) struct ApRequest<'a> {
    pub uses_session_key: bool,
    pub wants_reply: bool,
    pub service: Principal,
    pub ticket: Sealed<'a>,
    pub authenticator: Sealed<'a>,
}

impl<'a> ApRequest<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<ApRequest<'a>, Refusal> {
        let mut outer = Reader::new(bytes, "the request (AP-REQ)");
        let mut request = outer.enter(application(AP_REQUEST))?.enter(SEQUENCE)?;
        outer.end()?;
        version(&mut request, 0)?;
        if request.enter(field(1))?.int32()? != i32::from(AP_REQUEST) {
            return Err(request.malformed());
        }
        let options = request.enter(field(2))?.flags()?;
        let mut ticket = request
            .enter(field(3))?
            .enter(application(1))?
            .enter(SEQUENCE)?;
        version(&mut ticket, 0)?;
        let realm = ticket.enter(field(1))?.text()?.to_owned();
        let service = principal(&mut ticket.enter(field(2))?, realm)?;
        Ok(ApRequest {
            uses_session_key: options & USE_SESSION_KEY != 0,
            wants_reply: options & MUTUAL_REQUIRED != 0,
            service,
            ticket: sealed(&mut ticket.enter(field(3))?)?,
            authenticator: sealed(&mut request.enter(field(4))?)?,
        })
    }
}

/// What the KDC says to the service (EncTicketPart). Times are in seconds since 1970.
pub(super) struct TicketContent {
    pub is_invalid: bool,
    pub key: Key,
    pub client: Principal,
    pub begins: i64,
    pub ends: i64,
}

impl TicketContent {
    pub(super) fn read(bytes: &[u8]) -> Result<TicketContent, Refusal> {
        let mut outer = Reader::new(bytes, "the ticket");
        let mut part = outer.enter(application(3))?.enter(SEQUENCE)?;
        let flags = part.enter(field(0))?.flags()?;
        let key = key(&mut part.enter(field(1))?, "the session of the ticket")?;
        let realm = part.enter(field(2))?.text()?.to_owned();
        let client = principal(&mut part.enter(field(3))?, realm)?;
        part.enter(field(4))?;
        let authenticated = part.enter(field(5))?.time()?.1;
        let begins = match part.enter_if(field(6))? {
            Some(mut time) => time.time()?.1,
            None => authenticated,
        };
        let ends = part.enter(field(7))?.time()?.1;
        Ok(TicketContent {
            is_invalid: flags & INVALID != 0,
            key,
            client,
            begins,
            ends,
        })
    }
}

/// What the client proves that it has the ticket's key with.
pub(super) struct Authenticator {
    pub client: Principal,
    /// What is protected along with it, by its kind.
    pub checksum: Option<(i32, Vec<u8>)>,
    pub time: Time,
    pub subkey: Option<Key>,
    pub sequence: u32,
}

/// Seconds since 1970, and the fields as they were sent.
pub(super) struct Time {
    pub seconds: i64,
    pub text: [u8; TIME_BYTES],
    pub micros: u32,
}

impl Authenticator {
    pub(super) fn read(bytes: &[u8]) -> Result<Authenticator, Refusal> {
        let mut outer = Reader::new(bytes, "the authenticator");
        let mut part = outer.enter(application(2))?.enter(SEQUENCE)?;
        version(&mut part, 0)?;
        let realm = part.enter(field(1))?.text()?.to_owned();
        let client = principal(&mut part.enter(field(2))?, realm)?;
        let checksum = match part.enter_if(field(3))? {
            Some(mut checksum) => {
                let mut checksum = checksum.enter(SEQUENCE)?;
                let kind = checksum.enter(field(0))?.int32()?;
                Some((kind, checksum.enter(field(1))?.octets()?.to_vec()))
            }
            None => None,
        };
        let micros = part.enter(field(4))?.uint32()?;
        let (text, seconds) = part.enter(field(5))?.time()?;
        let subkey = match part.enter_if(field(6))? {
            Some(mut subkey) => Some(key(&mut subkey, "the context of the client")?),
            None => None,
        };
        let sequence = match part.enter_if(field(7))? {
            Some(mut sequence) => sequence.uint32()?,
            None => 0,
        };
        Ok(Authenticator {
            client,
            checksum,
            time: Time {
                seconds,
                text,
                micros,
            },
            subkey,
            sequence,
        })
    }
}

/// What the service proves to the client that it could read the ticket with (EncAPRepPart).
pub(super) fn reply_content(time: &Time, subkey: &Key, sequence: u32) -> Vec<u8> {
    let subkey = der::fields([
        (0, der::number(subkey.enctype().number() as u32)),
        (1, der::octets(subkey.reveal())),
    ]);
    let content = der::fields([
        (0, der::time(&time.text)),
        (1, der::number(time.micros)),
        (2, subkey),
        (3, der::number(sequence)),
    ]);
    der::element(application(27), &content)
}

/// AP-REP with that content, encrypted.
pub(super) fn reply(enctype: Enctype, sealed: &[u8]) -> Vec<u8> {
    let sealed = der::fields([
        (0, der::number(enctype.number() as u32)),
        (2, der::octets(sealed)),
    ]);
    let content = der::fields([
        (0, der::number(VERSION as u32)),
        (1, der::number(u32::from(AP_REPLY))),
        (2, sealed),
    ]);
    der::element(application(AP_REPLY), &content)
}

fn version(message: &mut Reader<'_>, number: u8) -> Result<(), Refusal> {
    match message.enter(field(number))?.int32()? {
        VERSION => Ok(()),
        _ => Err(message.malformed()),
    }
}

fn principal(reader: &mut Reader<'_>, realm: String) -> Result<Principal, Refusal> {
    let mut name = reader.enter(SEQUENCE)?;
    // Its type is only a hint.
    name.enter(field(0))?.int32()?;
    let mut parts = name.enter(field(1))?.enter(SEQUENCE)?;
    let mut components = Vec::new();
    while parts.end().is_err() {
        if components.len() == COMPONENTS_MAX {
            return Err(parts.malformed());
        }
        components.push(parts.text()?.to_owned());
    }
    Ok(Principal::new(components, realm))
}

fn sealed<'a>(reader: &mut Reader<'a>) -> Result<Sealed<'a>, Refusal> {
    let mut sealed = reader.enter(SEQUENCE)?;
    let enctype = EnctypeName(sealed.enter(field(0))?.int32()?);
    let kvno = match sealed.enter_if(field(1))? {
        Some(mut kvno) => Some(kvno.uint32()?),
        None => None,
    };
    let bytes = sealed.enter(field(2))?.octets()?;
    Ok(Sealed {
        enctype,
        kvno,
        bytes,
    })
}

fn key(reader: &mut Reader<'_>, what: &'static str) -> Result<Key, Refusal> {
    let mut key = reader.enter(SEQUENCE)?;
    let number = key.enter(field(0))?.int32()?;
    let bytes = key.enter(field(1))?.octets()?;
    let Some(enctype) = Enctype::from_number(number) else {
        return Err(Refusal::UnknownEnctype {
            what,
            enctype: EnctypeName(number),
        });
    };
    Key::new(enctype, bytes).ok_or_else(|| key.malformed())
}
