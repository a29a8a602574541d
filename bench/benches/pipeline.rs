//! A request through the stages that hold no socket and no disk: prep (request to transaction), apply, reply.
//! What a server needs beyond this per request is its input, its output and its share of an fsync.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ferrokeeper::auth::{AuthSettings, Id, Providers};
use ferrokeeper::ids::{ConnId, SessionId};
use ferrokeeper::ops::pending::Pending;
use ferrokeeper::ops::{self, ReadContext, Rules, Unwatched, WriteContext, Written};
use ferrokeeper::proto::client::{
    CreateRequest, DeleteRequest, GetDataRequest, MultiHeader, SetDataRequest,
};
use ferrokeeper::proto::{Acl, Id as WireId, OpCode};
use ferrokeeper::tree::Tree;
use ferrokeeper::tree::watch::Watches;
use jute::{Buffer, Text};

const SESSION: SessionId = SessionId(0x1_0000_0001);
const NODES: usize = 1000;

/// As many requests as a commit batch may hold.
const BATCH: usize = 256;

struct Server {
    tree: Tree,
    pending: Pending,
    rules: Rules,
    ids: Vec<Id>,
    zxid: i64,
    log: Vec<u8>,
    ends: Vec<usize>,
}

impl Server {
    fn new() -> Server {
        let mut server = Server {
            tree: Tree::new(false),
            pending: Pending::default(),
            rules: Rules {
                providers: Providers::new(AuthSettings::default()).expect("the defaults are valid"),
                extended_types: false,
                enforce_quota: false,
                close_session_lists_paths: true,
                reconfig_enabled: false,
            },
            ids: vec![Providers::initial_id([127, 0, 0, 1].into())],
            zxid: 0,
            log: Vec::new(),
            ends: Vec::new(),
        };
        for n in 0..NODES {
            server.prep(OpCode::CREATE, &create(&node(n)));
            server.apply();
        }
        server
    }

    fn prep(&mut self, op: OpCode, body: &[u8]) {
        self.zxid += 1;
        let mut cx = WriteContext {
            tree: &self.tree,
            pending: &mut self.pending,
            is_remote: false,
            members: None,
            rules: &self.rules,
            session: SESSION,
            session_error: None,
            ephemeral_error: None,
            ids: &self.ids,
            zxid: self.zxid,
            time: 1_700_000_000_000,
        };
        let written = ops::write(&mut cx, 1, op, body, &mut self.log);
        assert_eq!(written, Written::Txn);
        self.ends.push(self.log.len());
    }

    fn apply(&mut self) {
        let mut start = 0;
        for &end in &self.ends {
            let txn = &self.log[start..end];
            black_box(
                ops::apply(&mut self.tree, txn, &mut Unwatched).expect("our own transaction"),
            );
            start = end;
        }
        self.pending.applied(self.zxid);
        self.log.clear();
        self.ends.clear();
        assert!(self.pending.is_empty());
    }

    fn read(&self, op: OpCode, body: &[u8], out: &mut Vec<u8>) {
        let mut no_watches = Watches::default();
        let mut cx = ReadContext {
            tree: &self.tree,
            watches: &mut no_watches,
            rules: &self.rules,
            conn: ConnId(1),
            session: SESSION,
            ids: &self.ids,
        };
        ops::read(&mut cx, op, body, out, &mut Vec::new()).expect("the node is there");
    }
}

fn node(n: usize) -> String {
    format!("/n{n:08}")
}

fn bytes(record: &impl serde::Serialize) -> Vec<u8> {
    jute::to_vec(record).expect("a record of the protocol fits the format")
}

fn create(path: &str) -> Vec<u8> {
    let anyone = Acl {
        perms: 31,
        id: WireId {
            scheme: Text::from("world"),
            id: Text::from("anyone"),
        },
    };
    bytes(&CreateRequest {
        path: Text::from(path),
        data: Buffer::from(&[7u8; 100][..]),
        acl: Some(vec![anyone]),
        flags: 0,
    })
}

fn set(n: usize) -> Vec<u8> {
    bytes(&SetDataRequest {
        path: Text::from(node(n).as_str()),
        data: Buffer::from(&[8u8; 100][..]),
        version: -1,
    })
}

fn reads(c: &mut Criterion) {
    let server = Server::new();
    let bodies: Vec<Vec<u8>> = (0..NODES)
        .map(|n| {
            bytes(&GetDataRequest {
                path: Text::from(node(n).as_str()),
                watch: false,
            })
        })
        .collect();
    let mut out = Vec::with_capacity(1 << 16);
    let mut order = bodies.iter().cycle();
    c.benchmark_group("read")
        .throughput(Throughput::Elements(1))
        .bench_function("getData of 100 bytes", |b| {
            b.iter(|| {
                out.clear();
                let body = order.next().expect("a cycle does not end");
                server.read(OpCode::GET_DATA, black_box(body), &mut out);
                black_box(out.len())
            })
        });
}

fn writes(c: &mut Criterion) {
    let mut group = c.benchmark_group("write, prep and apply");
    group.throughput(Throughput::Elements(BATCH as u64));

    let mut server = Server::new();
    let sets: Vec<Vec<u8>> = (0..BATCH).map(set).collect();
    group.bench_function("setData of 100 bytes", |b| {
        b.iter(|| {
            for body in &sets {
                server.prep(OpCode::SET_DATA, body);
            }
            server.apply();
        })
    });

    let creates: Vec<Vec<u8>> = (0..BATCH / 2)
        .map(|n| create(&format!("/new{n:08}")))
        .collect();
    let deletes: Vec<Vec<u8>> = (0..BATCH / 2)
        .map(|n| {
            bytes(&DeleteRequest {
                path: Text::from(format!("/new{n:08}").as_str()),
                version: -1,
            })
        })
        .collect();
    group.bench_function("create and delete", |b| {
        b.iter(|| {
            for body in &creates {
                server.prep(OpCode::CREATE, body);
            }
            server.apply();
            for body in &deletes {
                server.prep(OpCode::DELETE, body);
            }
            server.apply();
        })
    });

    let mut multi = Vec::new();
    for n in 0..10 {
        multi.extend(bytes(&MultiHeader::request(OpCode::SET_DATA)));
        multi.extend(set(n));
    }
    multi.extend(bytes(&MultiHeader::END));
    group.throughput(Throughput::Elements(1));
    group.bench_function("multi of 10 setData", |b| {
        b.iter(|| {
            server.prep(OpCode::MULTI, &multi);
            server.apply();
        })
    });
    group.finish();
}

criterion_group!(pipeline, reads, writes);
criterion_main!(pipeline);
