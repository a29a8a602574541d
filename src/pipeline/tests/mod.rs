//! The stages without sockets.

#![allow(clippy::unwrap_used)]

mod disk;
mod local;
mod member;
mod order;
mod read_only;

use std::io;
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;

use super::checkpoint::Pending;
use super::client::{Client, Next, Phase, Sink};
use super::prep::Group;
use super::{Pipeline, Settings};
use crate::auth::{AuthSettings, Providers};
use crate::ids::SessionId;
use crate::ops::{Rules, put};
use crate::proto::client::{
    ConnectRequest, CreateRequest, DeleteRequest, ExistsRequest, GetDataRequest, ReplyHeader,
    RequestHeader, SetAclRequest, SetDataRequest,
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

pub(super) fn pipeline_of(tree: Tree) -> (Arc<Pipeline>, Pending) {
    pipeline_with(tree, settings())
}

fn pipeline_with(tree: Tree, settings: Settings) -> (Arc<Pipeline>, Pending) {
    let rules = Rules {
        providers: Providers::new(AuthSettings::default()).unwrap(),
        extended_types: true,
        enforce_quota: false,
        close_session_lists_paths: true,
        reconfig_enabled: false,
    };
    Pipeline::new(tree, rules, settings)
}

fn settings() -> Settings {
    Settings {
        session_id_byte: 0x5e,
        tick_ms: 1000,
        session_timeout_ms_min: 2000,
        session_timeout_ms_max: 20_000,
        frame_bytes_max: 1 << 20,
        outstanding_max: 1000,
        enforced_schemes: Vec::new(),
        sasl: None,
        flush_delay_ms: 0,
        write_queue_poll_ms: 0,
        batch_max: 1000,
        container_check_ms: 60_000,
        container_per_minute: 10_000,
        container_never_used_ms: 0,
        large_request_threshold: usize::MAX,
        large_request_bytes_max: usize::MAX,
        request_throttle: None,
        connection_throttle: None,
        local_sessions: false,
        local_session_upgrades: false,
        audit: false,
        leader_serves: true,
        eager_acl_check: false,
    }
}

impl Rig {
    fn new() -> Rig {
        Rig::of(settings())
    }

    fn of(settings: Settings) -> Rig {
        let (pipeline, _checkpoints) = pipeline_with(Tree::new(true), settings);
        Rig { pipeline }
    }

    fn peer(&self) -> Peer {
        let wire = Wire::default();
        let remote = "127.0.0.1:1000".parse().unwrap();
        let client =
            self.pipeline
                .connect(remote, Vec::new(), Box::new(wire.clone()), Arc::default());
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

    /// Takes the answer to a handshake away.
    fn answers_to_connect(&self, peer: &Peer) {
        peer.client.flush();
        peer.wire.0.lock().clear();
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
    greeting(SessionId::NONE, 4000, false)
}

/// A handshake with the right password.
fn greeting(session: SessionId, time_out: i32, read_only: bool) -> Vec<u8> {
    framed(|out| {
        put(
            out,
            &ConnectRequest {
                protocol_version: 0,
                last_zxid_seen: 0,
                time_out,
                session_id: session.0,
                passwd: Buffer::from(&crate::session::password::password(session)),
                read_only: Trailing(Some(read_only)),
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

/// A setACL that leaves nobody a right.
fn closed_to_all(xid: i32, path: &'static str) -> Vec<u8> {
    let none = Acl {
        perms: 0,
        id: Id {
            scheme: Text::from("world"),
            id: Text::from("anyone"),
        },
    };
    let record = SetAclRequest {
        path: Text::from(path),
        acl: Some(vec![none]),
        version: -1,
    };
    request(xid, OpCode::SET_ACL, &record)
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
