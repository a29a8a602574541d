//! The order of a session, seen from its connection: the stages without sockets and disk.

#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;

use super::client::{Client, Next, Phase, Sink};
use super::prep::Group;
use super::{Pipeline, Settings};
use crate::auth::{AuthSettings, Providers};
use crate::ops::{Rules, put};
use crate::proto::client::{
    ConnectRequest, CreateRequest, DeleteRequest, ExistsRequest, GetDataRequest, ReplyHeader,
    RequestHeader, SetDataRequest,
};
use crate::proto::{Acl, Buffer, ErrorCode, Id, OpCode, Text, Trailing};
use crate::tree::Tree;

/// Keeps what was sent.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Vec<u8>>>);

impl Sink for Wire {
    fn try_send(&self, bytes: &[u8], _last: bool) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn end(&self) {}
}

struct Rig {
    pipeline: Arc<Pipeline>,
}

struct Peer {
    client: Arc<Client>,
    wire: Wire,
}

impl Rig {
    fn new() -> Rig {
        let rules = Rules {
            providers: Providers::new(AuthSettings::default()).unwrap(),
            extended_types: true,
            enforce_quota: false,
            close_session_lists_paths: true,
            reconfig_enabled: false,
        };
        let settings = Settings {
            tick_ms: 1000,
            session_timeout_ms_min: 2000,
            session_timeout_ms_max: 20_000,
            frame_bytes_max: 1 << 20,
            outstanding_max: 1000,
            enforced_schemes: Vec::new(),
            flush_delay_ms: 0,
            batch_max: 1000,
            container_check_ms: 60_000,
            container_per_minute: 10_000,
            container_never_used_ms: 0,
            large_request_threshold: usize::MAX,
            large_request_bytes_max: usize::MAX,
            request_throttle: None,
            connection_throttle: None,
        };
        let (pipeline, _checkpoints) = Pipeline::new(Tree::new(true), rules, settings);
        Rig { pipeline }
    }

    fn peer(&self) -> Peer {
        let wire = Wire::default();
        let remote = "127.0.0.1:1000".parse().unwrap();
        let client = self
            .pipeline
            .connect(remote, Box::new(wire.clone()), Arc::default());
        Peer { client, wire }
    }

    fn connected(&self) -> Peer {
        let peer = self.peer();
        self.send(&peer, &connect());
        self.disk();
        assert_eq!(peer.client.phase(), Phase::Established);
        peer.client.flush();
        peer.wire.0.lock().clear();
        peer
    }

    fn send(&self, peer: &Peer, frames: &[u8]) {
        let received = self.pipeline.receive(&peer.client, frames, None);
        assert_eq!(received.consumed, frames.len());
    }

    /// What the disk's thread does, without the disk. Returns the number of transactions.
    fn disk(&self) -> usize {
        let mut group = Group::default();
        std::mem::swap(&mut self.pipeline.prep.lock().group, &mut group);
        self.pipeline.finalize(&mut group);
        let mismatches = self.pipeline.tree().digest().map(|d| d.mismatches());
        assert_eq!(mismatches, Some(0));
        group.txns.len()
    }

    /// The xids and codes of the answers so far.
    fn answers(&self, peer: &Peer) -> Vec<(i32, i32)> {
        peer.client.flush();
        let sent = std::mem::take(&mut *peer.wire.0.lock());
        let mut rest = &sent[..];
        let mut answers = Vec::new();
        while let Some((frame, after)) = jute::frame::split(rest, usize::MAX).unwrap() {
            let header: ReplyHeader = jute::from_slice(frame).unwrap();
            answers.push((header.xid, header.err.0));
            rest = after;
        }
        assert!(rest.is_empty());
        answers
    }
}

fn framed(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = Vec::new();
    fill(&mut body);
    let mut out = (body.len() as u32).to_be_bytes().to_vec();
    out.extend(body);
    out
}

fn connect() -> Vec<u8> {
    framed(|out| {
        put(
            out,
            &ConnectRequest {
                protocol_version: 0,
                last_zxid_seen: 0,
                time_out: 4000,
                session_id: 0,
                passwd: Buffer::from(&[0; 16]),
                read_only: Trailing(Some(false)),
            },
        );
    })
}

fn request(xid: i32, op: OpCode, record: &impl serde::Serialize) -> Vec<u8> {
    framed(|out| {
        put(out, &RequestHeader { xid, op });
        put(out, record);
    })
}

fn create(xid: i32, path: &'static str, flags: i32) -> Vec<u8> {
    let open = Acl {
        perms: 31,
        id: Id {
            scheme: Text::from("world"),
            id: Text::from("anyone"),
        },
    };
    let record = CreateRequest {
        path: Text::from(path),
        data: Buffer::from(b"x"),
        acl: Some(vec![open]),
        flags,
    };
    request(xid, OpCode::CREATE, &record)
}

fn get(xid: i32, path: &'static str) -> Vec<u8> {
    let record = GetDataRequest {
        path: Text::from(path),
        watch: false,
    };
    request(xid, OpCode::GET_DATA, &record)
}

fn delete(xid: i32, path: &'static str) -> Vec<u8> {
    let record = DeleteRequest {
        path: Text::from(path),
        version: -1,
    };
    request(xid, OpCode::DELETE, &record)
}

fn close(xid: i32) -> Vec<u8> {
    framed(|out| {
        put(
            out,
            &RequestHeader {
                xid,
                op: OpCode::CLOSE_SESSION,
            },
        );
    })
}

const OK: i32 = 0;
const NO_NODE: i32 = ErrorCode::NO_NODE.0;

#[test]
fn a_read_sees_the_writes_before_it_and_none_behind() {
    let rig = Rig::new();
    let peer = rig.connected();
    let burst = [
        get(1, "/a"),
        create(2, "/a", 0),
        get(3, "/a"),
        delete(4, "/a"),
        get(5, "/a"),
    ];
    rig.send(&peer, &burst.concat());
    assert_eq!(rig.answers(&peer), [(1, NO_NODE)]);
    assert_eq!(rig.disk(), 2);
    assert_eq!(
        rig.answers(&peer),
        [(2, OK), (3, OK), (4, OK), (5, NO_NODE)]
    );
}

#[test]
fn other_sessions_do_not_wait() {
    let rig = Rig::new();
    let (writer, reader) = (rig.connected(), rig.connected());
    rig.send(&writer, &create(1, "/a", 0));
    rig.send(&reader, &get(1, "/a"));
    assert_eq!(rig.answers(&reader), [(1, NO_NODE)]);
    rig.disk();
    rig.send(&reader, &get(2, "/a"));
    assert_eq!(rig.answers(&reader), [(2, OK)]);
    assert_eq!(rig.answers(&writer), [(1, OK)]);
}

#[test]
fn nothing_is_acknowledged_before_the_disk() {
    let rig = Rig::new();
    let peer = rig.connected();
    rig.send(&peer, &create(1, "/a", 0));
    assert!(rig.answers(&peer).is_empty());
    assert!(rig.pipeline.tree().get("/a").is_none());
    rig.disk();
    assert_eq!(rig.answers(&peer), [(1, OK)]);
}

#[test]
fn an_answer_that_is_ready_early_keeps_its_turn() {
    let rig = Rig::new();
    let peer = rig.connected();
    let mut cut = request(
        2,
        OpCode::SET_DATA,
        &SetDataRequest {
            path: Text::from("/a"),
            data: Buffer::from(b"y"),
            version: -1,
        },
    );
    cut.truncate(cut.len() - 2);
    let len = (cut.len() - 4) as u32;
    cut[..4].copy_from_slice(&len.to_be_bytes());
    rig.send(&peer, &[create(1, "/a", 0), cut, get(3, "/a")].concat());
    assert!(rig.answers(&peer).is_empty());
    assert_eq!(rig.disk(), 1);
    let undecodable = ErrorCode::MARSHALLING_ERROR.0;
    assert_eq!(rig.answers(&peer), [(1, OK), (2, undecodable), (3, OK)]);
}

#[test]
fn closing_ends_the_session_and_its_ephemerals() {
    let rig = Rig::new();
    let (peer, other) = (rig.connected(), rig.connected());
    let burst = [create(1, "/e", 1), close(2), get(3, "/e")];
    rig.send(&peer, &burst.concat());
    rig.disk();
    assert_eq!(rig.answers(&peer), [(1, OK), (2, OK)]);
    let next = peer.client.next(Waker::noop(), false);
    assert_eq!((next, peer.client.lingers()), (Next::AwaitEnd, false));
    assert!(peer.client.lingers(), "it had a whole interval to close");
    let exists = ExistsRequest {
        path: Text::from("/e"),
        watch: false,
    };
    rig.send(&other, &request(1, OpCode::EXISTS, &exists));
    assert_eq!(rig.answers(&other), [(1, NO_NODE)]);
    assert_eq!(rig.pipeline.sessions().len(), 1);
}

#[test]
fn a_client_that_waits_for_its_session_is_read_until_it_says_more() {
    let rig = Rig::new();
    let peer = rig.peer();
    rig.send(&peer, &connect());
    assert_eq!(peer.client.next(Waker::noop(), false), Next::Read);
    let early = rig.pipeline.receive(&peer.client, &get(1, "/"), None);
    assert_eq!(early.consumed, 0);
    assert_eq!(peer.client.next(Waker::noop(), true), Next::Pause);
    rig.disk();
    peer.client.flush();
    assert_eq!(peer.client.next(Waker::noop(), true), Next::Read);
}

#[test]
fn a_session_whose_client_left_before_it_began_can_expire() {
    let rig = Rig::new();
    let peer = rig.peer();
    rig.send(&peer, &connect());
    rig.pipeline.disconnect(&peer.client);
    rig.disk();
    let mut expired = Vec::new();
    rig.pipeline.sessions().expired(i64::MAX, &mut expired);
    assert_eq!(expired.len(), 1);
    assert_eq!(rig.pipeline.tree().sessions().count(), 1);
}

#[test]
fn a_client_that_left_is_not_answered_and_its_writes_count() {
    let rig = Rig::new();
    let peer = rig.connected();
    rig.send(&peer, &create(1, "/a", 0));
    rig.pipeline.disconnect(&peer.client);
    rig.disk();
    assert!(peer.wire.0.lock().is_empty());
    assert!(rig.pipeline.tree().get("/a").is_some());
    assert_eq!(rig.pipeline.outstanding(), 0);
}

#[test]
fn answers_that_nobody_takes_stop_the_reading() {
    let rig = Rig::new();
    let peer = rig.connected();
    rig.send(&peer, &create(1, "/a", 0));
    rig.disk();
    let big = SetDataRequest {
        path: Text::from("/a"),
        data: Buffer::from(vec![7; 1_000_000]),
        version: -1,
    };
    rig.send(&peer, &request(2, OpCode::SET_DATA, &big));
    rig.disk();
    assert_eq!(rig.answers(&peer), [(1, OK), (2, OK)]);
    // Nothing is sent between these: the second answer fills the buffer, and the third has to wait.
    let burst = [get(3, "/a"), get(4, "/a"), get(5, "/a")].concat();
    let received = rig.pipeline.receive(&peer.client, &burst, None);
    assert_eq!(received.consumed, burst.len() * 2 / 3);
    assert!(burst.len() - received.consumed >= received.wanted);
    assert_eq!(rig.answers(&peer), [(3, OK), (4, OK)]);
    rig.send(&peer, &burst[received.consumed..]);
    assert_eq!(rig.answers(&peer), [(5, OK)]);
}
