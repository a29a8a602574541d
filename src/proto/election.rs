//! What servers say to each other on the election port: a greeting by whoever dialled, then frames with notifications.
//!
//! Bytes and records only. Answers to `QuorumCnxManager.InitialMessage` and to `FastLeaderElection.buildMsg` with the
//! parsing in its `WorkerReceiver`.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Frames above this end the connection, as in the original.
pub const FRAME_LEN_MAX: usize = 524_288;

/// An observer without a number of its own.
pub const ANONYMOUS: i64 = i64::MAX;

/// The first bytes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    pub server_id: i64,
    /// Where the sender listens, `host:port` with an IPv6 host in brackets. None in the form before 3.5, and one that
    /// names no place, such as 0.0.0.0, is left out.
    pub addresses: Vec<String>,
    pub version: GreetingVersion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GreetingVersion {
    /// A number and nothing else.
    Legacy,
    V1,
    /// Several addresses; sent only with `multiAddress.enabled`, because 3.5 refuses it.
    V2,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GreetingError {
    #[error("protocol version: {0} is not known")]
    Version(i64),
    #[error("address length: {0}, allowed are 1 to {ADDRESS_LEN_MAX}")]
    Length(i32),
    #[error("address: it is not UTF-8")]
    Encoding,
    #[error("address: {0:?} is not host:port")]
    Address(String),
}

const V1: i64 = -65536;
const V2: i64 = -65535;
const ADDRESS_LEN_MAX: usize = 2048;

impl Greeting {
    /// Takes the greeting at the front of `src`; `None` while it is incomplete. Never asks for more than the longest
    /// greeting has.
    pub fn decode(src: &mut BytesMut) -> Result<Option<Greeting>, GreetingError> {
        let mut rest = &src[..];
        let Ok(first) = rest.try_get_i64() else {
            return Ok(None);
        };
        let version = match first {
            0.. => {
                src.advance(8);
                return Ok(Some(Greeting {
                    server_id: first,
                    addresses: Vec::new(),
                    version: GreetingVersion::Legacy,
                }));
            }
            V1 => GreetingVersion::V1,
            V2 => GreetingVersion::V2,
            other => return Err(GreetingError::Version(other)),
        };
        let (Ok(server_id), Ok(claimed)) = (rest.try_get_i64(), rest.try_get_i32()) else {
            return Ok(None);
        };
        let length = usize::try_from(claimed)
            .ok()
            .filter(|length| (1..=ADDRESS_LEN_MAX).contains(length))
            .ok_or(GreetingError::Length(claimed))?;
        let Some(text) = rest.get(..length) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(text).map_err(|_| GreetingError::Encoding)?;
        let addresses = addresses(text)?;
        src.advance(8 + 8 + 4 + length);
        Ok(Some(Greeting {
            server_id,
            addresses,
            version,
        }))
    }

    /// All of it has to leave in one write: the original's receiver reads it with one call.
    pub fn encode(&self, out: &mut BytesMut) {
        match self.version {
            GreetingVersion::Legacy => return out.put_i64(self.server_id),
            GreetingVersion::V1 => out.put_i64(V1),
            GreetingVersion::V2 => out.put_i64(V2),
        }
        let addresses = self.addresses.join("|");
        out.put_i64(self.server_id);
        out.put_i32(
            i32::try_from(addresses.len()).expect("addresses of a configuration are short"),
        );
        out.put_slice(addresses.as_bytes());
    }
}

fn addresses(text: &str) -> Result<Vec<String>, GreetingError> {
    let mut addresses = Vec::new();
    for address in text.split('|') {
        let wrong = || GreetingError::Address(text.to_owned());
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let bare = host
            .strip_prefix('[')
            .map_or(Some(host), |inner| inner.strip_suffix(']'))
            .filter(|bare| !bare.is_empty() && (host.starts_with('[') || !bare.contains(':')))
            .ok_or_else(wrong)?;
        port.parse::<u16>().map_err(|_| wrong())?;
        let names_no_place = bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_unspecified());
        if !names_no_place {
            addresses.push(address.to_owned());
        }
    }
    Ok(addresses)
}

/// What the sender of a notification is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerState {
    Looking = 0,
    Following = 1,
    Leading = 2,
    Observing = 3,
}

impl PeerState {
    fn from_number(number: i32) -> Option<PeerState> {
        Some(match number {
            0 => PeerState::Looking,
            1 => PeerState::Following,
            2 => PeerState::Leading,
            3 => PeerState::Observing,
            _ => return None,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub state: PeerState,
    pub leader: i64,
    pub zxid: i64,
    pub election_epoch: i64,
    pub peer_epoch: i64,
    /// 2 since 3.5; decides how votes compare.
    pub version: i32,
    /// The sender's committed configuration as text; `None` from servers that do not send one.
    pub config: Option<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotificationError {
    #[error("a notification of {0} bytes, at least 28 are needed")]
    TooShort(usize),
    #[error("state: {0} is none of 0 to 3")]
    State(i32),
    #[error("config length: {length}, with {left} bytes left")]
    ConfigLength { length: i32, left: usize },
}

impl Notification {
    pub const VERSION: i32 = 2;

    /// Reads the payload of one frame. Before 3.4 the peer's epoch is missing and stands in the zxid; a message of
    /// exactly 40 bytes has no version, whatever its last four bytes are.
    pub fn decode(payload: &[u8]) -> Result<Notification, NotificationError> {
        let length = payload.len();
        if length < 28 {
            return Err(NotificationError::TooShort(length));
        }
        let mut rest = payload;
        let state = rest.get_i32();
        let state = PeerState::from_number(state).ok_or(NotificationError::State(state))?;
        let (leader, zxid, election_epoch) = (rest.get_i64(), rest.get_i64(), rest.get_i64());
        let mut notification = Notification {
            state,
            leader,
            zxid,
            election_epoch,
            peer_epoch: zxid >> 32,
            version: 0,
            config: None,
        };
        if length == 28 {
            return Ok(notification);
        }
        notification.peer_epoch = rest
            .try_get_i64()
            .map_err(|_| NotificationError::TooShort(length))?;
        if length <= 40 {
            return Ok(notification);
        }
        let too_short = |_| NotificationError::TooShort(length);
        notification.version = rest.try_get_i32().map_err(too_short)?;
        // Only version 2 carries a configuration.
        if notification.version <= 1 {
            return Ok(notification);
        }
        let claimed = rest.try_get_i32().map_err(too_short)?;
        let wrong = NotificationError::ConfigLength {
            length: claimed,
            left: rest.len(),
        };
        let config = usize::try_from(claimed)
            .ok()
            .and_then(|length| rest.get(..length));
        notification.config = Some(Bytes::copy_from_slice(config.ok_or(wrong)?));
        Ok(notification)
    }

    /// Appends the payload, without its frame.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_i32(self.state as i32);
        out.put_i64(self.leader);
        out.put_i64(self.zxid);
        out.put_i64(self.election_epoch);
        out.put_i64(self.peer_epoch);
        out.put_i32(self.version);
        if let Some(config) = &self.config {
            out.put_i32(i32::try_from(config.len()).expect("a configuration is far below 2 GiB"));
            out.put_slice(config);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn greeting(version: i64, length: i32, address: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.put_i64(version);
        bytes.put_i64(7);
        bytes.put_i32(length);
        bytes.put_slice(address);
        bytes
    }

    fn decoded(address: &str) -> Result<Option<Greeting>, GreetingError> {
        Greeting::decode(&mut greeting(V2, address.len() as i32, address.as_bytes()))
    }

    fn hosts() -> impl Strategy<Value = String> {
        "[a-z][a-z0-9.-]{0,9}|10\\.0\\.0\\.[0-9]|\\[[1-9a-f]:0:0:0:0:0:0:[0-9]\\]"
    }

    proptest! {
        #[test]
        fn greetings_survive_byte_by_byte(server_id in any::<i64>(), hosts in vec((hosts(), any::<u16>()), 1..3)) {
            let addresses: Vec<String> = hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
            let version = if addresses.len() == 1 { GreetingVersion::V1 } else { GreetingVersion::V2 };
            let greeting = Greeting { server_id, addresses, version };
            let mut wire = BytesMut::new();
            greeting.encode(&mut wire);
            for end in 0..wire.len() {
                prop_assert_eq!(Greeting::decode(&mut BytesMut::from(&wire[..end])), Ok(None));
            }
            wire.put_slice(b"next");
            prop_assert_eq!(Greeting::decode(&mut wire), Ok(Some(greeting)));
            prop_assert_eq!(&wire[..], b"next");
        }

        #[test]
        fn notifications_survive(
            state in 0..4, leader: i64, zxid: i64, election_epoch: i64, peer_epoch: i64,
            config in vec(any::<u8>(), 0..60), legacy: bool,
        ) {
            let state = PeerState::from_number(state).unwrap();
            let (version, config) = if legacy { (1, None) } else { (Notification::VERSION, Some(config.into())) };
            let mut notification = Notification { state, leader, zxid, election_epoch, peer_epoch, version, config };
            let mut payload = BytesMut::new();
            notification.encode(&mut payload);
            if legacy {
                notification.version = 0;
            }
            prop_assert_eq!(Notification::decode(&payload), Ok(notification));
        }

        #[test]
        fn other_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..70), text in ".{0,30}") {
            let _ = (Notification::decode(&bytes), decoded(&text));
            let mut src = BytesMut::from(&bytes[..]);
            let before = src.len();
            if Greeting::decode(&mut src) == Ok(None) {
                prop_assert_eq!(src.len(), before);
            }
        }
    }

    #[test]
    fn wrong_greetings_say_what_is_wrong_with_them() {
        let cases = [
            (
                greeting(-1, 5, b"a:123"),
                "protocol version: -1 is not known",
            ),
            (
                greeting(V1, 0, b""),
                "address length: 0, allowed are 1 to 2048",
            ),
            (
                greeting(V1, -1, b""),
                "address length: -1, allowed are 1 to 2048",
            ),
            (
                greeting(V1, 2049, b""),
                "address length: 2049, allowed are 1 to 2048",
            ),
            (greeting(V1, 2, b"\xff\xfe"), "address: it is not UTF-8"),
            (
                greeting(V1, 4, b"host"),
                "address: \"host\" is not host:port",
            ),
            (
                greeting(V1, 6, b"h:7x:1"),
                "address: \"h:7x:1\" is not host:port",
            ),
            (
                greeting(V1, 7, b"h:99999"),
                "address: \"h:99999\" is not host:port",
            ),
            (greeting(V1, 3, b":12"), "address: \":12\" is not host:port"),
        ];
        for (mut bytes, expected) in cases {
            assert_eq!(
                Greeting::decode(&mut bytes).unwrap_err().to_string(),
                expected
            );
        }
    }

    #[test]
    fn addresses_that_name_no_place_are_left_out() {
        let addresses = |text| decoded(text).unwrap().unwrap().addresses;
        assert_eq!(addresses("0.0.0.0:1|zoo1:3888|[::]:1"), ["zoo1:3888"]);
        assert_eq!(
            addresses("[0:0:0:0:0:0:0:1]:3888"),
            ["[0:0:0:0:0:0:0:1]:3888"]
        );
        assert!(addresses("0.0.0.0:3888").is_empty());
    }

    #[test]
    fn the_legacy_greeting_is_a_number() {
        let mut bytes = BytesMut::new();
        let greeting = Greeting {
            server_id: 5,
            addresses: Vec::new(),
            version: GreetingVersion::Legacy,
        };
        greeting.encode(&mut bytes);
        assert_eq!(&bytes[..], 5_i64.to_be_bytes());
        assert_eq!(Greeting::decode(&mut bytes), Ok(Some(greeting)));
        assert!(bytes.is_empty());
    }

    /// A version 2 notification with the configuration `text`, as sent by a server of today.
    fn payload(text: &str) -> BytesMut {
        let notification = Notification {
            state: PeerState::Leading,
            leader: 3,
            zxid: 0x2_0000_0005,
            election_epoch: 9,
            peer_epoch: 4,
            version: Notification::VERSION,
            config: Some(Bytes::copy_from_slice(text.as_bytes())),
        };
        let mut payload = BytesMut::new();
        notification.encode(&mut payload);
        payload
    }

    #[test]
    fn shorter_notifications_are_those_of_older_servers() {
        let full = payload("version=0");
        assert_eq!(full.len(), 44 + 9);
        let oldest = Notification::decode(&full[..28]).unwrap();
        assert_eq!(
            (oldest.peer_epoch, oldest.version, oldest.config),
            (2, 0, None)
        );
        for length in [36, 40] {
            let old = Notification::decode(&full[..length]).unwrap();
            assert_eq!((old.peer_epoch, old.version, old.config), (4, 0, None));
        }
    }

    #[test]
    fn malformed_notifications_are_errors() {
        let full = payload("version=0");
        for length in [0, 27, 30, 41] {
            let error = Notification::decode(&full[..length]).unwrap_err();
            assert_eq!(error, NotificationError::TooShort(length));
        }
        let error = Notification::decode(&full[..50]).unwrap_err();
        assert_eq!(error.to_string(), "config length: 9, with 6 bytes left");
        let mut negative = full.clone();
        negative[40..44].copy_from_slice(&(-1_i32).to_be_bytes());
        Notification::decode(&negative).unwrap_err();
        let mut state = full;
        state[3] = 4;
        assert_eq!(
            Notification::decode(&state),
            Err(NotificationError::State(4))
        );
    }
}
