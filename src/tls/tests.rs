#![allow(clippy::unwrap_used)]
//! Over stores that keytool and openssl made (`compat-tests/tls/testdata.sh`), and connections in memory.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::ServerName;

use super::context::Context;
use super::session::{Handshake, Session};
use super::{names, pem, store};
use crate::config::{ClientAuth, Secret, StoreFormat, Tls, TlsProtocols, TlsStore};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/tls/testdata")
        .join(name)
}

fn a_store(name: &str, password: &str) -> TlsStore {
    let path = data(name);
    let format = match path.extension().unwrap().to_str().unwrap() {
        "jks" => StoreFormat::Jks,
        "p12" => StoreFormat::Pkcs12,
        _ => StoreFormat::Pem,
    };
    TlsStore {
        key: "ssl.keyStore",
        path,
        password: Secret::new(password.to_owned()),
        password_path: None,
        format,
    }
}

fn settings(key: &str, trust: &str) -> Tls {
    Tls {
        key_store: a_store(key, "secret"),
        trust_store: Some(a_store(trust, "secret")),
        protocols: TlsProtocols {
            v1_2: true,
            v1_3: true,
        },
        cipher_suites: Vec::new(),
        client_auth: ClientAuth::Need,
        verify_server_host: false,
        verify_client_host: false,
        reverse_lookup: false,
        crl: false,
        detection_ms: 5000,
        // A server sends what a client takes up later, and the pipes below are short: nobody reads there once the
        // handshake is done.
        resumes: false,
        reload: true,
    }
}

fn certificate(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(data(name)).unwrap();
    let sections = pem::sections(&text).unwrap();
    let mut certificates = sections
        .into_iter()
        .filter(|(label, _)| *label == "CERTIFICATE");
    certificates.next().unwrap().1
}

#[test]
fn the_same_keys_come_out_of_every_format() {
    let [jks, p12, pem] = ["server.jks", "server.p12", "server.pem"].map(|name| {
        let mut keys = store::read_keys(&a_store(name, "secret")).unwrap();
        assert_eq!(keys.len(), 1, "{name}");
        keys.remove(0)
    });
    assert_eq!(jks.key.secret_der(), pem.key.secret_der());
    assert_eq!(p12.key.secret_der(), pem.key.secret_der());
    // openssl put the issuer into the stores.
    assert_eq!((jks.chain.len(), p12.chain.len()), (2, 2));
    assert_eq!(jks.chain, p12.chain);
    assert_eq!(jks.chain[0], pem.chain[0]);
    assert_eq!(jks.name, "server");
    assert_eq!(p12.name, "server");
}

#[test]
fn older_and_encrypted_forms_are_read() {
    let clear = store::read_keys(&a_store("bob.pem", "")).unwrap().remove(0);
    for name in ["bob-encrypted.pem", "legacy.p12"] {
        let other = store::read_keys(&a_store(name, "secret"))
            .unwrap()
            .remove(0);
        assert_eq!(other.key.secret_der(), clear.key.secret_der(), "{name}");
        assert_eq!(other.chain[0], clear.chain[0], "{name}");
    }
}

#[test]
fn a_pkcs12_store_may_bear_the_name_of_the_other_format() {
    let mut misnamed = a_store("server.p12", "secret");
    misnamed.format = StoreFormat::Jks;
    assert_eq!(store::read_keys(&misnamed).unwrap().len(), 1);
    let mut misnamed = a_store("server.jks", "secret");
    misnamed.format = StoreFormat::Pkcs12;
    assert_eq!(store::read_keys(&misnamed).unwrap().len(), 1);
}

#[test]
fn trust_stores_hold_the_same_certificate() {
    let ca = certificate("ca.pem");
    for name in ["ca.pem", "ca.jks", "ca.p12", "unmarked.p12"] {
        let trusted = store::read_trusted(&a_store(name, "secret")).unwrap();
        assert_eq!(trusted.len(), 1, "{name}");
        assert_eq!(*trusted[0], *ca, "{name}");
    }
    // What is no secret needs no password.
    assert_eq!(
        store::read_trusted(&a_store("ca.jks", "")).unwrap().len(),
        1
    );
}

#[test]
fn complaints_name_the_file_and_the_reason_but_no_password() {
    let cases = [
        (
            "server.jks",
            "wrong-one",
            "the password is wrong, or the file was damaged",
        ),
        (
            "server.p12",
            "wrong-one",
            "the password is wrong, or the file was damaged",
        ),
        (
            "bob-encrypted.pem",
            "wrong-one",
            "does not open its private key",
        ),
        (
            "bob-encrypted.pem",
            "",
            "its private key is encrypted, and no password is set",
        ),
        (
            "server.jks",
            "",
            "the password does not open the key 'server'",
        ),
        ("ca.pem", "", "it has no private key"),
        ("ca.jks", "secret", "it has no private key"),
        ("absent.jks", "secret", "No such file"),
    ];
    for (name, password, reason) in cases {
        let Err(error) = store::read_keys(&a_store(name, password)) else {
            panic!("{name} was read");
        };
        let told = error.to_string();
        let place = format!("ssl.keyStore.location: {}: ", data(name).display());
        assert!(told.starts_with(&place), "{told}");
        assert!(told.contains(reason), "{told}");
        assert!(!told.contains("wrong-one"), "{told}");
    }
    let Err(error) = store::read_trusted(&a_store("server.pem", "")) else {
        panic!("a key is nothing to trust");
    };
    assert!(error.to_string().contains("it has no certificate to trust"));
}

#[test]
fn damaged_stores_are_refused_wherever_they_are_cut() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["server.jks", "server.p12", "server.pem", "ca.jks", "ca.p12"] {
        let whole = std::fs::read(data(name)).unwrap();
        for length in (0..whole.len() - 30).step_by(7) {
            let path = directory.path().join(name);
            std::fs::write(&path, &whole[..length]).unwrap();
            let cut = TlsStore {
                path,
                ..a_store(name, "secret")
            };
            let is_read = match name.starts_with("ca") {
                true => store::read_trusted(&cut).is_ok(),
                false => store::read_keys(&cut).is_ok(),
            };
            assert!(!is_read, "{name} cut at {length}");
        }
    }
}

#[test]
fn the_password_may_stand_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    for (text, is_right) in [
        ("secret", true),
        ("secret\n", true),
        ("secret\r\n", true),
        ("secret\n\n", false),
    ] {
        std::fs::write(&path, text).unwrap();
        let named = TlsStore {
            password_path: Some(path.clone()),
            ..a_store("server.jks", "not this one")
        };
        assert_eq!(store::read_keys(&named).is_ok(), is_right, "{text:?}");
    }
}

#[test]
fn subjects_are_printed_as_java_prints_them() {
    let text = std::fs::read_to_string(data("names.pem")).unwrap();
    let expected = std::fs::read_to_string(data("names.txt")).unwrap();
    let found: Vec<String> = pem::sections(&text)
        .unwrap()
        .iter()
        .map(|(_, der)| names::subject_of(der).unwrap())
        .collect();
    assert_eq!(found, expected.lines().collect::<Vec<_>>());
}

#[test]
fn hosts_are_those_of_the_certificate() {
    let server = certificate("server.pem");
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "::1", "[::1]"] {
        assert_eq!(names::check_host(&server, host), Ok(()), "{host}");
    }
    let told = names::check_host(&server, "10.0.0.1").unwrap_err();
    assert_eq!(
        told,
        "the certificate is for localhost, 127.0.0.1, ::1, not for <10.0.0.1>"
    );
    assert!(names::check_host(&certificate("bob.pem"), "bob").is_ok());
    assert!(names::check_host(&certificate("bob.pem"), "carol").is_err());
}

/// One direction of a connection; it takes so many bytes until it is read.
#[derive(Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    room: usize,
}

struct End<'a> {
    input: &'a mut Pipe,
    output: &'a mut Pipe,
}

impl Read for End<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.input.bytes.read(out)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl Write for End<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.output.room - self.output.bytes.len().min(self.output.room);
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.output.bytes.write(&bytes[..bytes.len().min(room)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Wire {
    up: Pipe,
    down: Pipe,
}

impl Wire {
    fn new(room: usize) -> Wire {
        let pipe = || Pipe {
            room,
            ..Pipe::default()
        };
        Wire {
            up: pipe(),
            down: pipe(),
        }
    }

    fn server(&mut self) -> End<'_> {
        End {
            input: &mut self.up,
            output: &mut self.down,
        }
    }

    fn client(&mut self) -> End<'_> {
        End {
            input: &mut self.down,
            output: &mut self.up,
        }
    }
}

fn shake_hands(server: &Tls, client: &Tls, room: usize) -> io::Result<(Session, Session, Wire)> {
    let server = Context::new(server.clone()).unwrap().current();
    let client = Context::new(client.clone()).unwrap().current();
    let name = ServerName::try_from("somewhere").unwrap();
    let client = Session::client(client.client.clone().unwrap(), name)?;
    let server = Session::server(server.server.clone())?;
    let mut wire = Wire::new(room);
    loop {
        let ours = client.handshake(&mut wire.client())?;
        let theirs = server.handshake(&mut wire.server())?;
        if (ours, theirs) == (Handshake::Done, Handshake::Done) {
            return Ok((client, server, wire));
        }
    }
}

#[test]
fn both_sides_know_one_another_by_certificates_of_the_same_ca() {
    let bob = settings("bob.pem", "ca.p12");
    let (client, server, _) = shake_hands(&settings("server.jks", "ca.jks"), &bob, 100).unwrap();
    assert_eq!(
        *server.peer_certificates().unwrap()[0],
        *certificate("bob.pem")
    );
    assert_eq!(
        *client.peer_certificates().unwrap()[0],
        *certificate("server.pem")
    );
    assert!(
        client.agreed().starts_with("TLSv1_3 "),
        "{}",
        client.agreed()
    );
}

#[test]
fn strangers_and_the_dead_are_refused() {
    let server = settings("server.jks", "ca.jks");
    for name in ["mallory.pem", "expired.pem"] {
        let told = shake_hands(&server, &settings(name, "ca.pem"), 10_000)
            .err()
            .unwrap();
        assert!(
            told.to_string().contains("invalid peer certificate"),
            "{told}"
        );
        let wanted = Tls {
            client_auth: ClientAuth::Want,
            ..server.clone()
        };
        assert!(shake_hands(&wanted, &settings(name, "ca.pem"), 10_000).is_err());
    }
    // The other way round: who dials does not trust who answers.
    let mallory = settings("mallory.pem", "ca.pem");
    assert!(shake_hands(&mallory, &settings("bob.pem", "ca.pem"), 10_000).is_err());
}

#[test]
fn a_certificate_that_stands_in_the_store_is_believed_whatever_it_is() {
    // Even one that ended: so does Java.
    for name in ["mallory.pem", "expired.pem"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("own.pem");
        let text = std::fs::read_to_string(data(name)).unwrap();
        let begin = text.find("-----BEGIN CERTIFICATE").unwrap();
        let end = text.find("-----END CERTIFICATE-----\n").unwrap() + 26;
        std::fs::write(&path, &text[begin..end]).unwrap();
        let mut server = settings("server.jks", "ca.jks");
        server.trust_store = Some(TlsStore {
            path,
            ..a_store("ca.pem", "")
        });
        assert!(
            shake_hands(&server, &settings(name, "ca.pem"), 10_000).is_ok(),
            "{name}"
        );
        assert!(shake_hands(&server, &settings("bob.pem", "ca.pem"), 10_000).is_err());
    }
}

#[test]
fn protocols_and_suites_are_those_that_are_set() {
    let only = |v1_2, v1_3, suite: &str| Tls {
        protocols: TlsProtocols { v1_2, v1_3 },
        cipher_suites: vec![suite.to_owned()],
        ..settings("server.pem", "ca.pem")
    };
    let old = only(true, false, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384");
    let new = only(false, true, "TLS_AES_128_GCM_SHA256");
    for (settings, agreed) in [
        (&old, "TLSv1_2 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
        (&new, "TLSv1_3 TLS13_AES_128_GCM_SHA256"),
    ] {
        let (client, server, _) = shake_hands(settings, settings, 10_000).unwrap();
        assert_eq!(
            (client.agreed(), server.agreed()),
            (agreed.to_owned(), agreed.to_owned())
        );
    }
    assert!(shake_hands(&old, &new, 10_000).is_err());
}

#[test]
fn every_byte_arrives_once_through_a_socket_that_is_always_full() {
    for room in [1, 7, 100, 5000, 1 << 20] {
        let tls = settings("server.pem", "ca.pem");
        // Who shakes hands sends before it reads: that takes pipes with room for a few records, as sockets are.
        let (client, server, mut wire) = shake_hands(&tls, &tls, 1 << 20).unwrap();
        wire.down.room = room;
        let length = if room < 100 { 20_000 } else { 300_000 };
        let sent: Vec<u8> = (0..length).map(|n: u32| (n % 251) as u8).collect();
        let (mut at, mut received) = (0, Vec::new());
        let mut out = [0; 1000];
        while received.len() < sent.len() {
            if at < sent.len() {
                match server.try_write(&mut wire.server(), &sent[at..]) {
                    Ok(n) => at += n,
                    Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
                }
            }
            loop {
                match client.read(&mut wire.client(), &mut out) {
                    Ok(n) => received.extend_from_slice(&out[..n]),
                    Err(e) => break assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
                }
            }
        }
        assert!(received == sent, "room for {room}");
        while at < sent.len() {
            at += server.try_write(&mut wire.server(), &sent[at..]).unwrap();
        }
        server.end(&mut wire.server());
        if room > 100 {
            assert_eq!(client.read(&mut wire.client(), &mut out).unwrap(), 0);
        }
    }
}

#[test]
fn revoked_certificates_are_found_in_their_list() {
    let context = Context::new(Tls {
        crl: true,
        ..settings("server.pem", "ca.pem")
    })
    .unwrap();
    let current = context.current();
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let chain = |name: &str| vec![certificate(name).into()];
    // They name a web server that is not there.
    let told = context.check_peer(&chain("bob.pem"), address, None, &current);
    let told = told.unwrap_err();
    assert!(
        told.contains("whether the certificate is revoked is not known"),
        "{told}"
    );
    let list = std::fs::read(data("revoked.crl")).unwrap();
    let judge = |name: &str| {
        current
            .trust_for_tests()
            .check_revocation(&chain(name), vec![list.clone().into()])
    };
    assert!(judge("revoked.pem").unwrap_err().contains("Revoked"));
    assert_eq!(judge("bob.pem"), Ok(()));
}

#[test]
fn hosts_are_checked_as_the_settings_say() {
    let check = |server, client, host: Option<&str>, name: &str| {
        let tls = Tls {
            verify_server_host: server,
            verify_client_host: client,
            ..settings("server.pem", "ca.pem")
        };
        let context = Context::new(tls).unwrap();
        let current = context.current();
        let chain = vec![certificate(name).into()];
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        context.check_peer(&chain, address, host, &current)
    };
    for host in [
        Some("127.0.0.1"),
        Some("localhost"),
        Some("some.other.name"),
        None,
    ] {
        assert_eq!(
            check(true, true, host, "server.pem"),
            Ok(()),
            "its address fits"
        );
        assert_eq!(check(false, false, host, "elsewhere.pem"), Ok(()));
    }
    assert_eq!(
        check(true, false, Some("elsewhere.example"), "elsewhere.pem"),
        Ok(())
    );
    assert!(check(true, false, Some("localhost"), "elsewhere.pem").is_err());
    assert!(check(true, false, None, "elsewhere.pem").is_ok());
    assert!(check(true, true, None, "elsewhere.pem").is_err());
}

#[test]
fn stores_are_read_again_when_they_change() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    for (version, name) in [("v1", "server.pem"), ("v2", "elsewhere.pem")] {
        std::fs::create_dir(place(version)).unwrap();
        std::fs::copy(data(name), place(version).join("key.pem")).unwrap();
    }
    std::os::unix::fs::symlink("v1", place("data")).unwrap();
    std::os::unix::fs::symlink("data/key.pem", place("key.pem")).unwrap();
    let mut tls = settings("server.pem", "ca.pem");
    tls.key_store.path = place("key.pem");
    let context = Arc::new(Context::new(tls).unwrap());
    assert!(context.reload().is_none(), "nothing has changed");
    let before = context.current();

    std::os::unix::fs::symlink("v2", place("new")).unwrap();
    std::fs::rename(place("new"), place("data")).unwrap();
    assert!(matches!(context.reload(), Some(Ok(()))));
    assert!(context.reload().is_none());
    let after = context.current();
    assert!(!Arc::ptr_eq(&before, &after));

    std::fs::write(place("v2").join("key.pem"), "nonsense").unwrap();
    assert!(matches!(context.reload(), Some(Err(_))));
    assert!(context.reload().is_none(), "it is told once");
    assert!(
        Arc::ptr_eq(&after, &context.current()),
        "what was good stays"
    );
}
