//! What servers say to each other has the bytes that the original gives it.

use bytes::BytesMut;
use ferrokeeper::proto::election::{Greeting, GreetingVersion, Notification, PeerState};
use ferrokeeper::proto::quorum::{PacketKind, QuorumPacket};
use ferrokeeper::proto::{Buffer, Id};
use serde::Deserialize;

use crate::fill;
use crate::golden::{GOLDEN, Variant, golden, hex};

/// The fields of the schema, for the values that `Golden.java` gives them.
#[derive(Deserialize)]
struct SchemaPacket {
    kind: i32,
    zxid: i64,
    #[serde(borrow = "'static")]
    data: Buffer<'static>,
    #[serde(borrow = "'static")]
    authinfo: Option<Vec<Id<'static>>>,
}

#[test]
fn quorum_packets() {
    for name in ["filled", "empty", "null"] {
        let bytes = &golden()[&("QuorumPacket", name)];
        let mut source = Variant {
            name,
            null_as_empty: false,
        };
        let schema: SchemaPacket = fill::record("QuorumPacket", &mut source);
        let expected = QuorumPacket {
            kind: PacketKind(schema.kind),
            zxid: schema.zxid,
            data: schema
                .data
                .into_inner()
                .map(|data| data.into_owned().into()),
            authinfo: schema.authinfo,
        };
        let mut encoded = BytesMut::new();
        expected.encode(&mut encoded);
        assert_eq!(encoded[..], bytes[..], "{name}");
        let decoded = QuorumPacket::decode(&mut encoded, 100);
        assert_eq!(decoded, Ok(Some(expected)), "{name}");
        assert!(encoded.is_empty(), "{name}");
    }
}

fn lines(kind: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = GOLDEN
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let kind = kind.to_owned();
    lines.filter(move |words| words[0] == kind)
}

#[test]
fn greetings() {
    let mut compared = 0;
    for words in lines("greeting") {
        let first = "127.0.0.1:3888".to_owned();
        let (version, addresses) = match words[1] {
            "V1" => (GreetingVersion::V1, vec![first]),
            _ => (
                GreetingVersion::V2,
                vec![first, "[0:0:0:0:0:0:0:1]:3889".to_owned()],
            ),
        };
        let server_id = words[2].parse().unwrap();
        let expected = Greeting {
            server_id,
            addresses,
            version,
        };
        let bytes = hex(words[3]);
        let mut encoded = BytesMut::new();
        expected.encode(&mut encoded);
        assert_eq!(encoded[..], bytes[..], "{}", words[1]);
        assert_eq!(Greeting::decode(&mut encoded), Ok(Some(expected)));
        compared += 1;
    }
    assert_eq!(compared, 2);
}

#[test]
fn notifications() {
    let current = Notification {
        state: PeerState::Following,
        leader: 3,
        zxid: 0x2_0000_0005,
        election_epoch: 9,
        peer_epoch: 4,
        version: Notification::VERSION,
        config: Some("server.1=h:1:2:participant\nversion=0".into()),
    };
    let mut compared = 0;
    for words in lines("notification") {
        let bytes = hex(words[2]);
        let expected = match words[1] {
            "current" => current.clone(),
            // Of a release that sends 40 bytes; its last four are not read.
            "old" => Notification {
                state: PeerState::Leading,
                version: 0,
                config: None,
                ..current
            },
            _ => Notification {
                state: PeerState::Looking,
                leader: i64::MIN,
                zxid: i64::MIN,
                election_epoch: 1,
                peer_epoch: i64::MIN,
                config: Some("".into()),
                ..current
            },
        };
        assert_eq!(
            Notification::decode(&bytes).as_ref(),
            Ok(&expected),
            "{}",
            words[1]
        );
        if expected.config.is_some() {
            let mut encoded = BytesMut::new();
            expected.encode(&mut encoded);
            assert_eq!(encoded[..], bytes[..], "{}", words[1]);
        }
        compared += 1;
    }
    assert_eq!(compared, 3);
}
