//! The whole exchange, with a KDC and a client made of the same parts; see `recorded` for those of others.
#![allow(clippy::unwrap_used)]

mod recorded;

use std::sync::Arc;

use proptest::prelude::*;

use super::accept::{Acceptor, framed_request};
use super::crypto::{Enctype, Key};
use super::der::{self, application, element, fields, number, octets};
use super::keytab::Keytab;
use super::principal::Principal;
use super::wrap::initiator::Initiator;
use super::{Randomness, Refusal};
use crate::sasl::gssapi;

const NOW: i64 = 1_763_750_000;
const MUTUAL: u32 = 2;
const MUTUAL_REQUIRED: u32 = 1 << 29;
const SERVICE: &str = "zookeeper/localhost@R";

/// What a client and its KDC say; each test changes something.
#[derive(Clone)]
struct Trial {
    service: &'static str,
    client: &'static [&'static str],
    realm: &'static str,
    shown: &'static [&'static str],
    kvno: u32,
    ticket_key: Key,
    session: Key,
    ticket_flags: u32,
    begins: i64,
    ends: i64,
    shown_at: i64,
    options: u32,
    checksum: Option<(u32, Vec<u8>)>,
    subkey: Option<Key>,
}

fn key(enctype: Enctype, byte: u8) -> Key {
    Key::new(enctype, &vec![byte; enctype.key_bytes()]).unwrap()
}

fn gss_checksum(flags: u32) -> Vec<u8> {
    [&16_u32.to_le_bytes()[..], &[0; 16], &flags.to_le_bytes()].concat()
}

impl Default for Trial {
    fn default() -> Trial {
        Trial {
            service: SERVICE,
            client: &["alice"],
            realm: "R",
            shown: &["alice"],
            kvno: 3,
            ticket_key: key(Enctype::Aes256Sha1, 1),
            session: key(Enctype::Aes128Sha256, 2),
            ticket_flags: 0,
            begins: NOW - 1000,
            ends: NOW + 1000,
            shown_at: NOW,
            options: 0,
            checksum: Some((0x8003, gss_checksum(0))),
            subkey: Some(key(Enctype::Aes256Sha384, 4)),
        }
    }
}

fn time(seconds: i64) -> Vec<u8> {
    let tm = crate::timestamp::utc(seconds * 1000).unwrap();
    let text = crate::timestamp::clock(&tm, 'T').replace(['-', ':', 'T'], "") + "Z";
    der::time(text.as_bytes().try_into().unwrap())
}

fn name(components: &[&str]) -> Vec<u8> {
    let parts: Vec<u8> = components.iter().flat_map(|part| der::text(part)).collect();
    fields([(0, number(1)), (1, element(der::SEQUENCE, &parts))])
}

fn sealed(key: &Key, kvno: u32, usage: u32, plain: &[u8]) -> Vec<u8> {
    fields([
        (0, number(key.enctype().number() as u32)),
        (1, number(kvno)),
        (2, octets(&key.encrypt(usage, &[9; 16], plain))),
    ])
}

fn key_field(key: &Key) -> Vec<u8> {
    fields([
        (0, number(key.enctype().number() as u32)),
        (1, octets(key.reveal())),
    ])
}

/// Without the fields that are empty.
fn present(all: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let there = all.iter().filter(|(_, content)| !content.is_empty());
    let content: Vec<u8> = there
        .flat_map(|(number, content)| element(der::field(*number), content))
        .collect();
    element(der::SEQUENCE, &content)
}

impl Trial {
    fn token(&self) -> Vec<u8> {
        let (service, realm) = self.service.split_once('@').unwrap();
        let service: Vec<&str> = service.split('/').collect();
        let ticket = element(
            application(3),
            &fields([
                (0, der::flags(self.ticket_flags)),
                (1, key_field(&self.session)),
                (2, der::text(self.realm)),
                (3, name(self.client)),
                (4, fields([(0, number(1)), (1, octets(b""))])),
                (5, time(self.begins)),
                (7, time(self.ends)),
            ]),
        );
        let checksum = self
            .checksum
            .as_ref()
            .map(|(kind, bytes)| fields([(0, number(*kind)), (1, octets(bytes))]));
        let authenticator = element(
            application(2),
            &present(&[
                (0, number(5)),
                (1, der::text(self.realm)),
                (2, name(self.shown)),
                (3, checksum.unwrap_or_default()),
                (4, number(999_999)),
                (5, time(self.shown_at)),
                (6, self.subkey.as_ref().map(key_field).unwrap_or_default()),
                (7, number(0x3fff_ffff)),
            ]),
        );
        let ticket = element(
            application(1),
            &fields([
                (0, number(5)),
                (1, der::text(realm)),
                (2, name(&service)),
                (3, sealed(&self.ticket_key, self.kvno, 2, &ticket)),
            ]),
        );
        framed_request(&element(
            application(14),
            &fields([
                (0, number(5)),
                (1, number(14)),
                (2, der::flags(self.options)),
                (3, ticket),
                (4, sealed(&self.session, 0, 11, &authenticator)),
            ]),
        ))
    }

    fn initiator(&self) -> Initiator {
        Initiator {
            key: self.subkey.as_ref().unwrap_or(&self.session).clone(),
            flags: 0,
            sends: 0x3fff_ffff,
        }
    }
}

/// With keys of version 3 of two types.
fn acceptor() -> Acceptor {
    let mut file = vec![5, 2];
    for enctype in [Enctype::Aes256Sha1, Enctype::Aes128Sha1] {
        let mut entry = vec![0, 2, 0, 1, b'R', 0, 9];
        entry.extend(b"zookeeper\x00\x09localhost");
        entry.extend([0, 0, 0, 1, 0, 0, 0, 0, 3, 0, enctype.number() as u8, 0]);
        entry.push(enctype.key_bytes() as u8);
        entry.extend(vec![1; enctype.key_bytes()]);
        file.extend((entry.len() as u32).to_be_bytes());
        file.extend(entry);
    }
    let keytab = Arc::new(Keytab::parse(&file).unwrap());
    Acceptor::new(
        Principal::parse(SERVICE, None).unwrap(),
        Box::new(keytab),
        300,
    )
}

fn fresh() -> Randomness {
    Randomness {
        confounder: [6; 16],
        subkey: [7; 32],
        sequence: [0xff; 4],
    }
}

fn refusal(change: impl Fn(&mut Trial)) -> String {
    let mut trial = Trial::default();
    change(&mut trial);
    let outcome = acceptor().accept(&trial.token(), NOW, &fresh());
    outcome
        .map(|accepted| accepted.client)
        .unwrap_err()
        .to_string()
}

fn accepts(change: impl Fn(&mut Trial)) -> String {
    let mut trial = Trial::default();
    change(&mut trial);
    let accepted = acceptor().accept(&trial.token(), NOW, &fresh()).unwrap();
    accepted.client.to_string()
}

#[test]
fn who_is_believed() {
    assert_eq!(accepts(|_| {}), "alice@R");
    assert_eq!(accepts(|it| it.realm = "S"), "alice@S");
    let admin = |it: &mut Trial| (it.client, it.shown) = (&["alice", "admin"], &["alice", "admin"]);
    assert_eq!(accepts(admin), "alice/admin@R");
    assert_eq!(
        accepts(|it| it.ticket_key = key(Enctype::Aes128Sha1, 1)),
        "alice@R"
    );
    assert_eq!(accepts(|it| it.subkey = None), "alice@R");
    for (begins, ends, shown_at) in [(300, 400, 0), (-400, -300, 0), (-1, 1, 300), (-1, 1, -300)] {
        accepts(|it| {
            it.begins = NOW + begins;
            it.ends = NOW + ends;
            it.shown_at = NOW + shown_at;
        });
    }
    // Credentials that are handed on stand behind the flags.
    accepts(|it| it.checksum.as_mut().unwrap().1.extend([1, 0, 2, 0, 8, 8]));
}

#[test]
fn who_is_not() {
    let begins = |change: &dyn Fn(&mut Trial), expected: &str| {
        let told = refusal(change);
        assert!(told.starts_with(expected), "{told:?} is not {expected:?}");
    };
    let own = "and this server is zookeeper/localhost@R";
    begins(
        &|it| it.service = "zookeeper/other@R",
        &format!("the ticket is for zookeeper/other@R, {own}"),
    );
    begins(
        &|it| it.service = "zookeeper/localhost@S",
        &format!("the ticket is for zookeeper/localhost@S, {own}"),
    );
    begins(
        &|it| it.service = "zookeeper@R",
        &format!("the ticket is for zookeeper@R, {own}"),
    );
    begins(
        &|it| it.kvno = 4,
        "the keytab has no key of zookeeper/localhost@R for aes256-cts-hmac-sha1-96 with version 4; it has",
    );
    let unknown = |it: &mut Trial| it.ticket_key = key(Enctype::Aes128Sha256, 1);
    begins(
        &unknown,
        "the keytab has no key of zookeeper/localhost@R for aes128-cts-hmac-sha256-128",
    );
    begins(
        &|it| it.ticket_key = key(Enctype::Aes256Sha1, 2),
        "the ticket was not encrypted with the key",
    );
    begins(
        &|it| it.shown = &["bob"],
        "the ticket is of alice@R, and who shows it says to be bob@R",
    );
    begins(
        &|it| it.ticket_flags = 1 << 24,
        "the ticket of alice@R is marked as not valid yet",
    );
    begins(
        &|it| it.begins = NOW + 301,
        "the ticket of alice@R is valid only in 301 s",
    );
    begins(
        &|it| it.ends = NOW - 301,
        "the ticket of alice@R expired 301 s ago",
    );
    begins(
        &|it| it.shown_at = NOW + 301,
        "the clock of alice@R differs by 301 s",
    );
    begins(
        &|it| it.shown_at = NOW - 301,
        "the clock of alice@R differs by -301 s",
    );
    begins(
        &|it| it.options = 1 << 30,
        "the client wants a ticket of its own session",
    );
    for checksum in [
        None,
        Some((1, gss_checksum(0))),
        Some((0x8003, gss_checksum(0)[..23].to_vec())),
    ] {
        let change = |it: &mut Trial| it.checksum = checksum.clone();
        begins(&change, "the checksum of the authenticator is malformed");
    }
    for parts in [
        &["alice/admin"][..],
        &["alice@S"],
        &["a", "b", "c"],
        &["alice\nbob"],
        &[""],
    ] {
        let parts: &'static [&'static str] = parts.to_vec().leak();
        let told = refusal(|it| (it.client, it.shown) = (parts, parts));
        assert!(
            told.ends_with("is not a principal that can be named here"),
            "{told}"
        );
        assert!(!told.contains('\n'));
    }
}

#[test]
fn a_proof_is_believed_once() {
    let acceptor = acceptor();
    let first = Trial::default().token();
    assert!(acceptor.accept(&first, NOW, &fresh()).is_ok());
    let again = acceptor.accept(&first, NOW + 300, &fresh()).map(|_| ());
    assert_eq!(again, Err(Refusal::Replayed("alice@R".to_owned())));
    let later = Trial {
        shown_at: NOW + 1,
        ..Trial::default()
    };
    assert!(acceptor.accept(&later.token(), NOW, &fresh()).is_ok());
}

#[test]
fn other_tokens_are_not_mistaken() {
    let told = |token: &[u8]| {
        acceptor()
            .accept(token, NOW, &fresh())
            .map(|_| ())
            .unwrap_err()
    };
    let good = Trial::default().token();
    assert_eq!(
        told(&vec![0x60; (128 << 10) + 1]),
        Refusal::TooLong((128 << 10) + 1)
    );
    for token in [
        &b""[..],
        b"NTLMSSP\0",
        b"charset=utf-8",
        &good[1..],
        &[&good[..], &[0]].concat(),
    ] {
        assert_eq!(told(token), Refusal::NotKerberos);
    }
    let mut spnego = good.clone();
    let at = spnego
        .windows(2)
        .position(|two| two == [0x2a, 0x86])
        .unwrap();
    spnego[at + 1] = 0x87;
    assert_eq!(told(&spnego), Refusal::NotKerberos);
    let mut reply = good;
    reply[at + 9] = 2;
    assert_eq!(told(&reply), Refusal::NotKerberos);
}

/// The client's side of what follows the token.
fn finish(
    trial: &Trial,
    wants_reply: bool,
    choice: &[u8],
) -> Result<gssapi::Step, gssapi::Refusal> {
    let step = gssapi::Server::begin(&acceptor(), &trial.token(), NOW, &fresh())?;
    let gssapi::Step::Continue(server, mut token) = step else {
        panic!("there is more to say");
    };
    let mut client = trial.initiator();
    let mut server = server;
    if wants_reply {
        // Behind the mechanism, 02 00: a proof of the server's, with a key that the client takes over.
        assert!(token.windows(5).any(|five| five == [1, 2, 2, 2, 0]));
        client.key = key(client.key.enctype(), 7);
        client.flags = 4;
        let gssapi::Step::Continue(next, offer) = server.step(b"")? else {
            panic!("there is more to say");
        };
        (server, token) = (next, offer);
    }
    assert_eq!(client.unwrap(&token), [1, 1, 0, 0]);
    server.step(&client.wrap(choice, 0))
}

#[test]
fn sasl_with_and_without_a_proof_of_the_server() {
    for (options, flags) in [(0, 0), (MUTUAL_REQUIRED, MUTUAL), (0, MUTUAL)] {
        for subkey in [None, Some(key(Enctype::Aes128Sha1, 8))] {
            let trial = Trial {
                options,
                checksum: Some((0x8003, gss_checksum(flags))),
                subkey,
                ..Trial::default()
            };
            let wants_reply = (options, flags) != (0, 0);
            let step = finish(&trial, wants_reply, b"\x01\0\0\0alice@R").unwrap();
            let gssapi::Step::Proved {
                client,
                authorization,
            } = step
            else {
                panic!("nothing more to say");
            };
            assert_eq!(client.to_string(), "alice@R");
            assert_eq!(authorization.as_deref(), Some("alice@R"));
        }
    }
}

#[test]
fn what_clients_may_choose() {
    let choose = |choice: &[u8]| match finish(&Trial::default(), false, choice)? {
        gssapi::Step::Proved { authorization, .. } => Ok(authorization),
        gssapi::Step::Continue(..) => panic!("nothing more to say"),
    };
    assert_eq!(choose(b"\x01\0\0\0"), Ok(None));
    assert_eq!(choose(b"\x01\xff\xff\xffx"), Ok(Some("x".to_owned())));
    for choice in [
        &b""[..],
        b"\x01\0\0",
        b"\x02\0\0\0",
        b"\x04\0\0\0",
        b"\x03\0\0\0",
        b"\0\0\0\0",
    ] {
        assert_eq!(
            choose(choice),
            Err(gssapi::Refusal::OtherLayer),
            "{choice:?}"
        );
    }
    assert_eq!(choose(b"\x01\0\0\0\xff"), Err(gssapi::Refusal::NotUtf8));
    assert_eq!(
        choose(&[1; 5000]),
        Err(gssapi::Refusal::TooLong(5000 + 16 + 24))
    );
}

#[test]
fn the_exchange_has_its_order() {
    let begin = |token: &[u8]| gssapi::Server::begin(&acceptor(), token, NOW, &fresh());
    assert_eq!(begin(b"").unwrap_err(), gssapi::Refusal::NoToken);
    let trial = Trial {
        options: MUTUAL_REQUIRED,
        ..Trial::default()
    };
    let next = |token: &[u8]| match begin(&trial.token()).unwrap() {
        gssapi::Step::Continue(server, _) => server.step(token),
        gssapi::Step::Proved { .. } => panic!("there is more to say"),
    };
    assert_eq!(next(b"x").unwrap_err(), gssapi::Refusal::NotEmpty);
    let gssapi::Step::Continue(server, _) = next(b"").unwrap() else {
        panic!("there is more to say");
    };
    // What was wrapped with the client's own key could have been said before.
    let own = trial.initiator().wrap(b"\x01\0\0\0", 0);
    let malformed = gssapi::Refusal::Kerberos(Refusal::Malformed("the token of the context"));
    assert_eq!(server.step(&own).unwrap_err(), malformed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn any_token_is_refused_or_alices(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        cut: proptest::sample::Index,
        is_cut: bool,
    ) {
        let mut token = Trial::default().token();
        for (at, to) in changes {
            let at = at.index(token.len());
            token[at] = to;
        }
        if is_cut {
            token.truncate(cut.index(token.len()));
        }
        if let Ok(accepted) = acceptor().accept(&token, NOW, &fresh()) {
            prop_assert_eq!(accepted.client.to_string(), "alice@R");
        }
    }

    /// Somebody with a key of its own cannot do harm either: what is inside is no better than what is outside.
    #[test]
    fn any_content_is_read_or_refused(
        which in 0..2_usize,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        use super::messages::{Authenticator, TicketContent};
        let ticket = element(application(3), &fields([
            (0, der::flags(0)), (1, key_field(&key(Enctype::Aes128Sha1, 1))), (2, der::text("R")),
            (3, name(&["a", "b"])), (4, fields([(0, number(1)), (1, octets(b""))])), (5, time(NOW)), (7, time(NOW)),
        ]));
        let proof = element(application(2), &fields([
            (0, number(5)), (1, der::text("R")), (2, name(&["a"])), (3, fields([(0, number(1)), (1, octets(b"x"))])),
            (4, number(1)), (5, time(NOW)), (6, key_field(&key(Enctype::Aes128Sha1, 1))), (7, number(1)),
        ]));
        prop_assert!(TicketContent::read(&ticket).is_ok() && Authenticator::read(&proof).is_ok());
        let mut bytes = [ticket, proof][which].clone();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        let _ = (TicketContent::read(&bytes).map(|_| ()), Authenticator::read(&bytes).map(|_| ()));
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(acceptor().accept(&bytes, NOW, &fresh()).is_err());
        prop_assert!(acceptor().accept(&framed_request(&bytes), NOW, &fresh()).is_err());
    }
}
