//! Where Ferrokeeper differs from the Java server on purpose, or where the Java server has no fixed answer: the whole list.
//!
//! Most of it is what a client must not be able to do to a server. Such requests are not sent in the comparison
//! (`avoided`); what Ferrokeeper does with them is asserted against Ferrokeeper alone (`--defects`).

use crate::reply::Cursor;
use crate::request::{Field, Request};

pub struct Deliberate {
    pub name: &'static str,
    pub reason: &'static str,
}

pub const LIST: &[Deliberate] = &[
    Deliberate {
        name: "negative-ttl",
        reason: "createTTL with flags 0-4 and a negative ttl stops the Java server while it applies the transaction, \
                 and again when it replays its log; Ferrokeeper answers -8. Not sent.",
    },
    Deliberate {
        name: "limits-of-nothing",
        reason: "creating zookeeper_limits or zookeeper_stats right under /zookeeper/quota, or deleting a \
                 zookeeper_limits elsewhere under /zookeeper, stops the Java server; Ferrokeeper keeps an ordinary \
                 node. Not sent.",
    },
    Deliberate {
        name: "malformed-quota",
        reason: "data in a quota node that is not key=number stops the Java server at the next charged write; \
                 Ferrokeeper counts from zero, without limit. Not sent.",
    },
    Deliberate {
        name: "internal-opcodes",
        reason: "the Java server takes deleteContainer (20) and createSession (-10) from clients, which deletes nodes \
                 without a check and injects a frame into the stream; Ferrokeeper answers -6. Not sent.",
    },
    Deliberate {
        name: "wrong-password-kicks",
        reason: "the Java server closes a session's live connection before it verifies the password of the next one; \
                 Ferrokeeper verifies first. Wrong passwords are sent only for sessions without a connection.",
    },
    Deliberate {
        name: "overtaking-replies",
        reason: "the Java server answers auth, sasl and unknown operations outside of the order of the connection; \
                 Ferrokeeper keeps the order. Such requests begin a write, or are alone in it.",
    },
    Deliberate {
        name: "broken-multi-lingers",
        reason: "effects of a multi that ends in an unexpected error (a null where none may be) stay visible to the \
                 validation of pipelined requests on the Java server until it is applied; Ferrokeeper rolls back at \
                 once. Such a multi ends a write.",
    },
    Deliberate {
        name: "setacl-comes-late",
        reason: "the Java server checks requests that are pipelined after a setACL against the earlier list until \
                 the setACL has been applied, which depends on its threads (and always under the root, which has two \
                 names there); Ferrokeeper uses the new list at once. A setACL ends a write.",
    },
    Deliberate {
        name: "quota-usage-is-committed-usage",
        reason: "with enforceQuota the Java server compares pipelined writes with whatever usage has been committed \
                 by then, which depends on its threads. Writes are not pipelined in that configuration.",
    },
    Deliberate {
        name: "oversized-frames-cut",
        reason: "a frame above the limit closes the connection, on the Java server before replies to what precedes it \
                 are sent, or not, depending on its threads. Such a request is alone in its write.",
    },
    Deliberate {
        name: "order-of-expanded-auth",
        reason: "an `auth` entry becomes one entry for each user of the connection, on the Java server in the order \
                 of a hash table. Neighbours of scheme digest with the same permissions are compared as a set.",
    },
    Deliberate {
        name: "ephemeral-container",
        reason: "createContainer with an ephemeral flag makes a container; until it is applied the Java server takes \
                 it for an ephemeral of the session, and a closeSession pipelined behind it deletes it. Such a \
                 request ends a write.",
    },
    Deliberate {
        name: "undecodable-write",
        reason: "a write whose record cannot be decoded makes a Java leader propose an error under a zxid that it has \
                 used before, at which its Java followers stop; Ferrokeeper gives it a zxid of its own. Not sent to \
                 ensembles.",
    },
    Deliberate {
        name: "half-built-multiread",
        reason: "a multiRead with a null path gets -5 from the Java server, followed by the results up to there; \
                 Ferrokeeper sends the header alone, as with every error. The body of that answer is not compared.",
    },
];

/// True for an answer of which only the header is compared.
pub fn body_is_ignored(op: i32, err: i32) -> bool {
    (op, err) == (22, -5)
}

/// Entries as `perms:"scheme":"id"`.
pub fn sort_expanded_auth(entries: &mut [String]) {
    let key = |e: &str| {
        e.split_once(":\"digest\":")
            .map(|(perms, _)| perms.to_string())
    };
    for run in entries.chunk_by_mut(|a, b| key(a).is_some() && key(a) == key(b)) {
        run.sort();
    }
}

/// The name of the difference that forbids sending this request.
pub fn avoided(request: &Request) -> Option<&'static str> {
    if matches!(request.op, 20 | -10) {
        return Some("internal-opcodes");
    }
    if let Some(Field::Multi(subs)) = request.fields.first() {
        return subs.iter().find_map(avoided);
    }
    if let (21, [_, _, _, Field::Int(flags), Field::Long(ttl), ..]) =
        (request.op, request.fields.as_slice())
        && (0..=4).contains(flags)
        && *ttl < 0
    {
        return Some("negative-ttl");
    }
    let path = request.path()?;
    let creates = matches!(request.op, 1 | 15 | 19 | 21);
    let limits = path.ends_with(b"/zookeeper_limits");
    if !limits && !path.ends_with(b"/zookeeper_stats") {
        return None;
    }
    let charged = path
        .strip_prefix(b"/zookeeper/quota/")
        .is_some_and(|rest| rest.contains(&b'/'));
    if creates && !charged {
        return Some("limits-of-nothing");
    }
    let well_formed = match request.fields.get(1) {
        Some(Field::Buf(data)) => is_quota_text(data),
        _ => false,
    };
    ((creates || request.op == 5) && !well_formed).then_some("malformed-quota")
}

/// "undecodable-write".
pub fn stops_followers(request: &Request) -> bool {
    let frame = request.frame(0, 0);
    let mut c = Cursor { rest: &frame[12..] };
    decoded(request.op, &mut c).is_none()
}

/// Reads the record of a write.
fn decoded(op: i32, c: &mut Cursor<'_>) -> Option<()> {
    match op {
        1 | 15 | 19 => created(c),
        21 => created(c).and_then(|()| c.long().map(drop)),
        2 => c.buffer().and_then(|_| c.int()).map(drop),
        5 => c
            .buffer()
            .and_then(|_| c.buffer())
            .and_then(|_| c.int())
            .map(drop),
        7 => c
            .buffer()
            .and_then(|_| c.acl())
            .and_then(|_| c.int())
            .map(drop),
        16 => (0..3)
            .try_for_each(|_| c.buffer().map(drop))
            .and_then(|()| c.long().map(drop)),
        14 => loop {
            let (op, done, _) = (c.int()?, c.boolean()?, c.int()?);
            match op {
                _ if done => return Some(()),
                13 => c.buffer().and_then(|_| c.int()).map(drop)?,
                1 | 2 | 5 | 15 | 19 | 21 => decoded(op, c)?,
                _ => return None,
            }
        },
        _ => Some(()),
    }
}

/// The fields that every kind of create begins with.
fn created(c: &mut Cursor<'_>) -> Option<()> {
    c.buffer()
        .and_then(|_| c.buffer())
        .and_then(|_| c.acl())
        .and_then(|_| c.int())
        .map(drop)
}

fn is_quota_text(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    text.is_empty()
        || text.split([',', ';']).all(|part| {
            let mut words = part.split('=');
            words.next().is_some_and(|w| !w.is_empty())
                && words.next().is_some_and(|w| w.parse::<i64>().is_ok())
        })
}

/// Where in a write a request may stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    Anywhere,
    First,
    Last,
    Alone,
}

pub fn place(request: &Request) -> Place {
    if is_oversized(request) {
        return Place::Alone;
    }
    match request.op {
        // A refused auth closes the connection while later requests are unread.
        100 if request.cut == 0 => match request.fields.as_slice() {
            [_, Field::Str(scheme), Field::Buf(_)] if scheme == b"digest" || scheme == b"ip" => {
                Place::First
            }
            _ => Place::Alone,
        },
        -11 => Place::Last,
        7 => Place::Last,
        14 if has_null(&request.fields) => Place::Last,
        14 | 19 if makes_ephemeral_container(request) => Place::Last,
        1..=6 | 8 | 9 | 11 | 12 | 14..=19 | 21 | 22 | 101 | 103..=107 => Place::Anywhere,
        _ => Place::Alone,
    }
}

fn makes_ephemeral_container(request: &Request) -> bool {
    match (request.op, request.fields.as_slice()) {
        (14, [Field::Multi(subs), ..]) => subs.iter().any(makes_ephemeral_container),
        (19, [_, _, _, Field::Int(flags), ..]) => matches!(flags, 1 | 3),
        _ => false,
    }
}

/// Longer than jute.maxbuffer's default, without the length in front.
fn is_oversized(request: &Request) -> bool {
    request.frame(0, 0).len() - 4 > 0xF_FFFF
}

fn has_null(fields: &[Field]) -> bool {
    fields.iter().any(|f| match f {
        Field::Null => true,
        Field::List(items) => has_null(items),
        Field::Acl(_, scheme, id) => **scheme == Field::Null || **id == Field::Null,
        Field::Multi(subs) => subs.iter().any(|s| has_null(&s.fields)),
        _ => false,
    })
}
