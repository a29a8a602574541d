//! What a leader and its learners say to each other on the quorum port: packets without frames, one behind the other,
//! and what lies in the data of some.
//!
//! Bytes and records only; which packet may come when is decided in `zab`. Answers to `QuorumPacket`, `LearnerInfo` and
//! `QuorumAuthPacket` of the original's schema, and to what `Learner` and `LearnerHandler` write into the data by hand.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use jute::{Buffer, Text};
use serde::{Deserialize, Serialize};

use super::codes::OpCode;
use super::data::Id;

/// What a packet is for. Numbers without a name are possible and have to be told from errors: receivers skip them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketKind(pub i32);

macro_rules! packet_kinds {
    ($($name:ident = $number:literal,)*) => {
        impl PacketKind {
            $(pub const $name: PacketKind = PacketKind($number);)*

            pub const NAMED: &'static [(PacketKind, &'static str)] = &[$((PacketKind($number), stringify!($name)),)*];
        }
    };
}

packet_kinds! {
    REQUEST = 1,
    PROPOSAL = 2,
    ACK = 3,
    COMMIT = 4,
    PING = 5,
    REVALIDATE = 6,
    SYNC = 7,
    INFORM = 8,
    COMMITANDACTIVATE = 9,
    NEWLEADER = 10,
    FOLLOWERINFO = 11,
    UPTODATE = 12,
    DIFF = 13,
    TRUNC = 14,
    SNAP = 15,
    OBSERVERINFO = 16,
    LEADERINFO = 17,
    ACKEPOCH = 18,
    INFORMANDACTIVATE = 19,
}

impl PacketKind {
    pub fn name(self) -> Option<&'static str> {
        let named = Self::NAMED.iter().find(|(kind, _)| *kind == self);
        named.map(|(_, name)| *name)
    }
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "packet of the unknown type {}", self.0),
        }
    }
}

impl fmt::Debug for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why the bytes of a connection are not a packet. There is no way to find the next one: the connection is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    #[error("{kind}: {field} claims a length of {length}, allowed are -1 to {max}")]
    Length {
        kind: PacketKind,
        field: &'static str,
        length: i32,
        max: usize,
    },
    #[error("{kind}: {count} entries of authinfo, allowed are {IDS_MAX}")]
    Ids { kind: PacketKind, count: i32 },
    #[error("{kind}: data: {reason}")]
    Data {
        kind: PacketKind,
        reason: &'static str,
    },
}

/// Identities of one client that travel with its request. Enough for any client; little enough to look through again
/// with every piece of a packet that arrives.
pub const IDS_MAX: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumPacket {
    pub kind: PacketKind,
    pub zxid: i64,
    pub data: Option<Bytes>,
    pub authinfo: Option<Vec<Id<'static>>>,
}

impl QuorumPacket {
    pub fn new(kind: PacketKind, zxid: i64) -> Self {
        QuorumPacket {
            kind,
            zxid,
            data: None,
            authinfo: None,
        }
    }

    pub fn with_data(kind: PacketKind, zxid: i64, data: impl Into<Bytes>) -> Self {
        QuorumPacket {
            data: Some(data.into()),
            ..QuorumPacket::new(kind, zxid)
        }
    }

    /// Data that may be missing, as no bytes.
    pub fn data_or_empty(&self) -> &[u8] {
        self.data.as_deref().unwrap_or_default()
    }

    /// Takes the packet at the front of `src`; `None` while it is incomplete, and then `src` has room for what is
    /// known to be missing. A string or data longer than `length_max` is refused as soon as its length is there.
    /// The data shares the memory of `src`.
    pub fn decode(
        src: &mut BytesMut,
        length_max: usize,
    ) -> Result<Option<QuorumPacket>, PacketError> {
        let mut scan = Scan {
            bytes: src,
            at: 0,
            kind: PacketKind(0),
            length_max,
        };
        let shape = match scan.packet() {
            Ok(shape) => shape,
            Err(Stop::Missing(bytes)) => {
                src.reserve(bytes);
                return Ok(None);
            }
            Err(Stop::Wrong(error)) => return Err(error),
        };
        let bytes = src.split_to(shape.end).freeze();
        let text = |range: &Option<Range>| match range {
            Some(range) => jute::decode_utf8(&bytes[range.clone()]).into_owned().into(),
            None => Text::NULL,
        };
        let id = |(scheme, id): &(Option<Range>, Option<Range>)| Id {
            scheme: text(scheme),
            id: text(id),
        };
        Ok(Some(QuorumPacket {
            kind: shape.kind,
            zxid: shape.zxid,
            data: shape.data.map(|range| bytes.slice(range)),
            authinfo: shape.ids.map(|ids| ids.iter().map(id).collect()),
        }))
    }

    pub fn encode(&self, out: &mut BytesMut) {
        let data = self.data_or_empty();
        out.reserve(HEAD_LEN + data.len() + NULL_LEN);
        out.put_i32(self.kind.0);
        out.put_i64(self.zxid);
        match &self.data {
            Some(data) => {
                out.put_i32(length_of(data));
                out.put_slice(data);
            }
            None => out.put_i32(NULL),
        }
        match &self.authinfo {
            Some(ids) => put_ids(out, ids),
            None => out.put_i32(NULL),
        }
    }

    /// As [`QuorumPacket::encode`], without authinfo, from data that is borrowed.
    pub fn put(out: &mut BytesMut, kind: PacketKind, zxid: i64, data: &[u8]) {
        out.reserve(HEAD_LEN + data.len() + NULL_LEN);
        out.put_i32(kind.0);
        out.put_i64(zxid);
        out.put_i32(length_of(data));
        out.put_slice(data);
        out.put_i32(NULL);
    }
}

const NULL: i32 = -1;
const NULL_LEN: usize = 4;
/// Type, zxid and the length of the data.
const HEAD_LEN: usize = 16;

fn length_of(bytes: &[u8]) -> i32 {
    i32::try_from(bytes.len()).expect("data is held below the jute limit by whoever made it")
}

fn put_ids(out: &mut BytesMut, ids: &[Id<'_>]) {
    jute::write(out, ids).expect("a growing buffer takes texts that came over the wire");
}

/// Of packets that are about no transaction.
pub const NO_ZXID: i64 = -1;

type Range = std::ops::Range<usize>;

/// Where the parts of a complete packet are.
struct Shape {
    kind: PacketKind,
    zxid: i64,
    data: Option<Range>,
    ids: Option<Vec<(Option<Range>, Option<Range>)>>,
    end: usize,
}

enum Stop {
    /// At least so many bytes have to come.
    Missing(usize),
    Wrong(PacketError),
}

/// Goes over bytes that may end anywhere.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    kind: PacketKind,
    length_max: usize,
}

impl Scan<'_> {
    fn packet(&mut self) -> Result<Shape, Stop> {
        self.kind = PacketKind(self.i32()?);
        let zxid = i64::from_be_bytes(self.array()?);
        let data = self.range("data")?;
        let count = self.i32()?;
        let ids = match usize::try_from(count) {
            Err(_) if count == NULL => None,
            Ok(count) if count <= IDS_MAX => {
                let mut ids = Vec::new();
                for _ in 0..count {
                    ids.push((
                        self.range("scheme of authinfo")?,
                        self.range("id of authinfo")?,
                    ));
                }
                Some(ids)
            }
            _ => {
                return Err(Stop::Wrong(PacketError::Ids {
                    kind: self.kind,
                    count,
                }));
            }
        };
        Ok(Shape {
            kind: self.kind,
            zxid,
            data,
            ids,
            end: self.at,
        })
    }

    fn range(&mut self, field: &'static str) -> Result<Option<Range>, Stop> {
        let claimed = self.i32()?;
        match usize::try_from(claimed) {
            Err(_) if claimed == NULL => Ok(None),
            Ok(length) if length <= self.length_max => self.take(length).map(Some),
            _ => Err(Stop::Wrong(PacketError::Length {
                kind: self.kind,
                field,
                length: claimed,
                max: self.length_max,
            })),
        }
    }

    fn i32(&mut self) -> Result<i32, Stop> {
        self.array().map(i32::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let range = self.take(N)?;
        Ok(self.bytes[range]
            .try_into()
            .expect("as long as was asked for"))
    }

    fn take(&mut self, length: usize) -> Result<Range, Stop> {
        let end = self.at + length;
        if end > self.bytes.len() {
            return Err(Stop::Missing(end - self.bytes.len()));
        }
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }
}

/// Data of FOLLOWERINFO and OBSERVERINFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnerInfo {
    pub serverid: i64,
    pub protocol_version: i32,
    pub config_version: i64,
}

/// The protocol that both sides of a quorum connection name, unchanged since 3.4.
pub const PROTOCOL_VERSION: i32 = 0x10000;

impl LearnerInfo {
    /// Old learners say less: their number alone, or their number and protocol. Without data it is nobody known.
    pub fn decode(packet: &QuorumPacket) -> Result<Option<LearnerInfo>, PacketError> {
        let mut data = packet.data_or_empty();
        if data.is_empty() {
            return Ok(None);
        }
        let serverid = packet.part(data.try_get_i64(), "no server id of 8 bytes")?;
        let protocol_version = match data.len() {
            0 => 0,
            _ => packet.part(
                data.try_get_i32(),
                "a protocol version of less than 4 bytes",
            )?,
        };
        let config_version = match data.len() {
            0 => 0,
            _ => packet.part(data.try_get_i64(), "a config version of less than 8 bytes")?,
        };
        Ok(Some(LearnerInfo {
            serverid,
            protocol_version,
            config_version,
        }))
    }

    pub fn encode(&self) -> Bytes {
        let mut data = BytesMut::with_capacity(20);
        data.put_i64(self.serverid);
        data.put_i32(self.protocol_version);
        data.put_i64(self.config_version);
        data.freeze()
    }
}

/// A client's request on its way from a learner to the leader: data of REQUEST, with the packet's authinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedRequest {
    pub session_id: i64,
    pub cxid: i32,
    pub op: OpCode,
    /// The request record as the client sent it.
    pub record: Bytes,
}

impl ForwardedRequest {
    const HEAD_LEN: usize = 16;

    /// Without a look at the rest.
    pub fn op_of(packet: &QuorumPacket) -> Option<OpCode> {
        let op = packet.data_or_empty().get(12..)?.first_chunk()?;
        Some(OpCode(i32::from_be_bytes(*op)))
    }

    pub fn decode(packet: &QuorumPacket) -> Result<ForwardedRequest, PacketError> {
        let mut data = packet.data.clone().unwrap_or_default();
        let too_short = "a request needs a session id, a cxid and a type, 16 bytes";
        Ok(ForwardedRequest {
            session_id: packet.part(data.try_get_i64(), too_short)?,
            cxid: packet.part(data.try_get_i32(), too_short)?,
            op: OpCode(packet.part(data.try_get_i32(), too_short)?),
            record: data,
        })
    }

    pub fn encode(&self) -> Bytes {
        let mut data = BytesMut::with_capacity(ForwardedRequest::HEAD_LEN + self.record.len());
        data.put_i64(self.session_id);
        data.put_i32(self.cxid);
        data.put_i32(self.op.0);
        data.put_slice(&self.record);
        data.freeze()
    }

    /// The whole packet, from parts that are borrowed.
    pub fn put(
        out: &mut BytesMut,
        session_id: i64,
        cxid: i32,
        op: OpCode,
        record: &[u8],
        ids: &[Id<'_>],
    ) {
        out.reserve(HEAD_LEN + ForwardedRequest::HEAD_LEN + record.len() + NULL_LEN);
        out.put_i32(PacketKind::REQUEST.0);
        out.put_i64(NO_ZXID);
        out.put_i32(length_of(record) + ForwardedRequest::HEAD_LEN as i32);
        out.put_i64(session_id);
        out.put_i32(cxid);
        out.put_i32(op.0);
        out.put_slice(record);
        put_ids(out, ids);
    }
}

/// A session that was heard of at a learner, as its PING replies and its REVALIDATE name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    pub session_id: i64,
    pub timeout_ms: i32,
}

impl Touch {
    const LEN: usize = 12;

    /// Data of a PING reply.
    pub fn decode_all(packet: &QuorumPacket) -> Result<Vec<Touch>, PacketError> {
        let (touches, rest) = packet.data_or_empty().as_chunks::<{ Touch::LEN }>();
        if !rest.is_empty() {
            return Err(packet.wrong("touched sessions have 12 bytes each"));
        }
        Ok(touches.iter().map(Touch::read).collect())
    }

    pub fn encode_all(touches: &[Touch]) -> Bytes {
        let mut data = BytesMut::with_capacity(touches.len() * Touch::LEN);
        for touch in touches {
            data.put_i64(touch.session_id);
            data.put_i32(touch.timeout_ms);
        }
        data.freeze()
    }

    /// Data of a learner's REVALIDATE.
    pub fn decode_one(packet: &QuorumPacket) -> Result<Touch, PacketError> {
        let first = packet.data_or_empty().first_chunk();
        first
            .map(Touch::read)
            .ok_or_else(|| packet.wrong("a session to revalidate has 12 bytes"))
    }

    fn read(bytes: &[u8; Touch::LEN]) -> Touch {
        let mut bytes = &bytes[..];
        Touch {
            session_id: bytes.get_i64(),
            timeout_ms: bytes.get_i32(),
        }
    }
}

/// Data of a leader's REVALIDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revalidated {
    pub session_id: i64,
    pub is_valid: bool,
}

impl Revalidated {
    pub fn decode(packet: &QuorumPacket) -> Result<Revalidated, PacketError> {
        let mut data = packet.data_or_empty();
        let too_short = "a revalidated session has 9 bytes";
        Ok(Revalidated {
            session_id: packet.part(data.try_get_i64(), too_short)?,
            is_valid: packet.part(data.try_get_u8(), too_short)? == 1,
        })
    }

    pub fn encode(&self) -> Bytes {
        let mut data = BytesMut::with_capacity(9);
        data.put_i64(self.session_id);
        data.put_u8(u8::from(self.is_valid));
        data.freeze()
    }
}

/// Data that is one number: LEADERINFO (a protocol version), ACKEPOCH (an epoch, or -1 for one that was promised before).
impl QuorumPacket {
    pub fn with_number(kind: PacketKind, zxid: i64, number: i32) -> Self {
        QuorumPacket::with_data(kind, zxid, number.to_be_bytes().to_vec())
    }

    pub fn number(&self) -> Result<i32, PacketError> {
        let mut data = self.data_or_empty();
        self.part(data.try_get_i32(), "a number of 4 bytes is needed")
    }

    /// Data of COMMITANDACTIVATE and INFORMANDACTIVATE: who shall lead, and behind it the proposal, or nothing.
    pub fn designated_leader(&self) -> Result<(i64, Bytes), PacketError> {
        let mut data = self.data.clone().unwrap_or_default();
        let leader = self.part(
            data.try_get_i64(),
            "the number of the designated leader is needed",
        )?;
        Ok((leader, data))
    }

    pub fn with_designated_leader(
        kind: PacketKind,
        zxid: i64,
        leader: i64,
        proposal: &[u8],
    ) -> Self {
        let mut data = BytesMut::with_capacity(8 + proposal.len());
        data.put_i64(leader);
        data.put_slice(proposal);
        QuorumPacket::with_data(kind, zxid, data)
    }

    fn part<T, E>(&self, part: Result<T, E>, reason: &'static str) -> Result<T, PacketError> {
        part.map_err(|_| self.wrong(reason))
    }

    fn wrong(&self, reason: &'static str) -> PacketError {
        PacketError::Data {
            kind: self.kind,
            reason,
        }
    }
}

/// Either direction of the SASL exchange in front of a quorum or election connection. No quorum packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumAuthPacket<'a> {
    pub magic: i64,
    pub status: i32,
    #[serde(borrow)]
    pub token: Buffer<'a>,
}

impl QuorumAuthPacket<'_> {
    /// How a listener tells an exchange from a peer that does not authenticate.
    pub const MAGIC: i64 = 0x5F24_3501_3501_EDCC;
    pub const IN_PROGRESS: i32 = 0;
    pub const SUCCESS: i32 = 1;
    pub const ERROR: i32 = -1;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const LENGTH_MAX: usize = 64;

    fn encoded(packet: &QuorumPacket) -> BytesMut {
        let mut out = BytesMut::new();
        packet.encode(&mut out);
        out
    }

    fn texts() -> impl Strategy<Value = Text<'static>> {
        prop::option::of("[a-z:\u{e9}]{0,12}").prop_map(|text| text.map_or(Text::NULL, Text::from))
    }

    fn packets() -> impl Strategy<Value = QuorumPacket> {
        let ids = vec(
            (texts(), texts()).prop_map(|(scheme, id)| Id { scheme, id }),
            0..4,
        );
        let data = prop::option::of(vec(any::<u8>(), 0..LENGTH_MAX).prop_map(Bytes::from));
        (any::<i32>(), any::<i64>(), data, prop::option::of(ids)).prop_map(
            |(kind, zxid, data, authinfo)| QuorumPacket {
                kind: PacketKind(kind),
                zxid,
                data,
                authinfo,
            },
        )
    }

    proptest! {
        #[test]
        fn packets_survive_in_pieces(packets in vec(packets(), 0..4), piece in 1..40_usize) {
            let mut wire = BytesMut::new();
            for packet in &packets {
                packet.encode(&mut wire);
            }
            let (mut src, mut decoded) = (BytesMut::new(), Vec::new());
            for piece in wire.chunks(piece) {
                src.put_slice(piece);
                while let Some(packet) = QuorumPacket::decode(&mut src, LENGTH_MAX).unwrap() {
                    decoded.push(packet);
                }
            }
            prop_assert_eq!(decoded, packets);
            prop_assert!(src.is_empty());
        }

        #[test]
        fn nothing_is_taken_before_all_is_there(packet in packets()) {
            let wire = encoded(&packet);
            for end in 0..wire.len() {
                let mut src = BytesMut::from(&wire[..end]);
                prop_assert_eq!(QuorumPacket::decode(&mut src, LENGTH_MAX).unwrap(), None);
                prop_assert_eq!(src.len(), end);
            }
        }

        #[test]
        fn bytes_that_are_no_packet_do_no_harm(bytes in vec(any::<u8>(), 0..80), kind in 0..20) {
            let mut src = BytesMut::from(&bytes[..]);
            let _ = QuorumPacket::decode(&mut src, LENGTH_MAX);
            prop_assert!(src.capacity() < 80 + 2 * LENGTH_MAX + 64, "{} reserved", src.capacity());
            let packet = QuorumPacket::with_data(PacketKind(kind), 0, bytes);
            let _ = (LearnerInfo::decode(&packet), ForwardedRequest::decode(&packet), Touch::decode_all(&packet));
            let _ = (Touch::decode_one(&packet), Revalidated::decode(&packet), packet.number(), packet.designated_leader());
        }

        #[test]
        fn what_lies_in_the_data_survives(session_id: i64, number: i32, flag: bool, record in vec(any::<u8>(), 0..30)) {
            let of = |data: Bytes| QuorumPacket::with_data(PacketKind::REQUEST, -1, data);
            let request = ForwardedRequest { session_id, cxid: number, op: OpCode(number), record: record.clone().into() };
            let mut whole = BytesMut::new();
            ForwardedRequest::put(&mut whole, session_id, number, OpCode(number), &record, &[]);
            let whole = QuorumPacket::decode(&mut whole, usize::MAX).unwrap().unwrap();
            let encoded = QuorumPacket { authinfo: Some(Vec::new()), ..of(request.encode()) };
            prop_assert_eq!(whole, encoded);
            prop_assert_eq!(ForwardedRequest::decode(&of(request.encode())).unwrap(), request);
            let touches: Vec<Touch> = (0..3).map(|n| Touch { session_id, timeout_ms: n }).collect();
            let packet = of(Touch::encode_all(&touches));
            prop_assert_eq!(Touch::decode_all(&packet).unwrap(), touches.clone());
            prop_assert_eq!(Touch::decode_one(&packet).unwrap(), touches[0]);
            let revalidated = Revalidated { session_id, is_valid: flag };
            prop_assert_eq!(Revalidated::decode(&of(revalidated.encode())).unwrap(), revalidated);
            let info = LearnerInfo { serverid: session_id, protocol_version: number, config_version: 7 };
            prop_assert_eq!(LearnerInfo::decode(&of(info.encode())).unwrap(), Some(info));
            let packet = QuorumPacket::with_designated_leader(PacketKind::INFORMANDACTIVATE, 1, session_id, &record);
            prop_assert_eq!(packet.designated_leader().unwrap(), (session_id, Bytes::from(record)));
        }
    }

    #[test]
    fn a_wrong_length_is_refused_once_it_is_there_and_named() {
        let mut head = BytesMut::new();
        head.put_i32(2);
        head.put_i64(1);
        let mut too_long = head.clone();
        too_long.put_i32(LENGTH_MAX as i32 + 1);
        let error = QuorumPacket::decode(&mut too_long, LENGTH_MAX).unwrap_err();
        assert_eq!(
            error.to_string(),
            "PROPOSAL: data claims a length of 65, allowed are -1 to 64"
        );
        let mut negative = head.clone();
        negative.put_i32(-2);
        QuorumPacket::decode(&mut negative, LENGTH_MAX).unwrap_err();

        let mut ids = head;
        ids.put_i32(-1);
        ids.put_i32(i32::MAX);
        let error = QuorumPacket::decode(&mut ids, LENGTH_MAX).unwrap_err();
        assert_eq!(
            error.to_string(),
            "PROPOSAL: 2147483647 entries of authinfo, allowed are 1024"
        );
    }

    #[test]
    fn learners_may_say_less() {
        let info = |data: &[u8]| {
            let packet = QuorumPacket::with_data(PacketKind::FOLLOWERINFO, 0, data.to_vec());
            LearnerInfo::decode(&packet)
        };
        let full = LearnerInfo {
            serverid: 3,
            protocol_version: PROTOCOL_VERSION,
            config_version: 9,
        };
        let bytes = full.encode();
        assert_eq!(info(&bytes), Ok(Some(full)));
        let config_version = 0;
        assert_eq!(
            info(&bytes[..12]),
            Ok(Some(LearnerInfo {
                config_version,
                ..full
            }))
        );
        let protocol_version = 0;
        let oldest = LearnerInfo {
            serverid: 3,
            protocol_version,
            config_version,
        };
        assert_eq!(info(&bytes[..8]), Ok(Some(oldest)));
        assert_eq!(info(&[]), Ok(None));
        for length in [1, 7, 9, 13, 19] {
            info(&bytes[..length]).unwrap_err();
        }
    }

    #[test]
    fn kinds_have_names() {
        assert_eq!(PacketKind::NAMED.len(), 19);
        assert_eq!(
            PacketKind::INFORMANDACTIVATE.to_string(),
            "INFORMANDACTIVATE"
        );
        assert_eq!(PacketKind(40).to_string(), "packet of the unknown type 40");
    }
}
