//! The clients: they read, write, create ephemerals and locks, watch, sync, move between servers, come back after a
//! loss with their session and watches as the real libraries do, leave properly or just vanish. Each checks what it
//! is told as it is told. Knows servers by number only; what it wants done comes back as [`Act`].

mod answers;
mod asking;

use std::collections::VecDeque;

use super::checkers::linearizability::{self, Call, Operation};
use super::checkers::session_order::SessionOrder;
use super::checkers::watches::ClientWatches;
use super::network::NodeIx;
use super::requests;
use super::rng::Rng;
use super::serving::Request;
use crate::ids::{SessionId, Zxid};
use crate::proto::OpCode;

/// Microseconds of the world.
pub type Time = u64;
pub const MS: Time = 1000;

pub enum Act {
    /// To that server; an older connection is gone already.
    Connect(NodeIx),
    Send(Request),
    Disconnect,
}

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Worker,
    /// Writes once through this server.
    Probe(NodeIx),
}

#[derive(Clone, Debug)]
enum What {
    /// Index into the history.
    Write(usize),
    Pair(usize, usize),
    /// A getData; behind a sync it counts for linearizability.
    Read {
        path: String,
        watch: bool,
        counts: Option<usize>,
    },
    Exists {
        path: String,
        watch: bool,
    },
    Children {
        watch: bool,
    },
    Sync,
    /// Creates the node of a lock.
    Queue,
    /// Lists the queue of the lock.
    Rank,
    /// Writes as the holder.
    Release,
    Ephemeral,
    Watches,
    Probe,
    Close,
}

struct Outstanding {
    xid: i32,
    what: What,
    op: OpCode,
}

/// The clients' common record of what they did, for the check of linearizability.
#[derive(Default)]
pub struct History {
    pub operations: Vec<Operation>,
}

impl History {
    fn begin(&mut self, key: u32, call: Call, now: Time) -> usize {
        self.operations.push(Operation {
            key,
            call,
            from: now,
            answer: None,
            hint: i64::MAX,
        });
        self.operations.len() - 1
    }

    /// It certainly had no effect.
    fn forget(&mut self, at: usize) {
        self.operations[at].call = Call::Read;
    }

    fn end(&mut self, at: usize, now: Time, zxid: Zxid, answer: linearizability::Answer) {
        self.operations[at].answer = Some((now, answer));
        self.operations[at].hint = zxid.0;
    }
}

pub struct Client {
    pub role: Role,
    rng: Rng,
    servers: usize,
    number: u64,
    values: u64,
    pub session: SessionId,
    pub timeout_ms: i32,
    last_zxid: Zxid,
    next_xid: i32,
    link: Link,
    outstanding: VecDeque<Outstanding>,
    watches: ClientWatches,
    order: SessionOrder,
    /// When a server was last heard of.
    pub heard_at: Time,
    asked_at: Time,
    /// The node with which it queues for the lock.
    ticket: Option<String>,
    /// The lock changed hands, or may have.
    look_again: bool,
    pub is_done: bool,
    pub leaving: Option<Leave>,
    busy: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    Down,
    Connecting,
    Up,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leave {
    /// closeSession.
    Properly,
    /// Never heard of again.
    Vanish,
}

pub const KEYS: u32 = 4;
const LOCK_KEY: u32 = 50;
const OUTSTANDING_MAX: usize = 3;

fn path_of(key: u32) -> String {
    if key == LOCK_KEY {
        "/lock".to_owned()
    } else {
        format!("/k{key}")
    }
}

impl Client {
    pub fn new(role: Role, number: u64, servers: usize, busy: u64, mut rng: Rng) -> Client {
        Client {
            role,
            servers,
            number,
            values: 0,
            session: SessionId::NONE,
            timeout_ms: rng.between(2000, 5000) as i32,
            last_zxid: Zxid::ZERO,
            next_xid: 1,
            link: Link::Down,
            outstanding: VecDeque::new(),
            watches: ClientWatches::default(),
            order: SessionOrder::default(),
            heard_at: 0,
            asked_at: 0,
            ticket: None,
            look_again: false,
            is_done: false,
            leaving: None,
            busy,
            rng,
        }
    }

    fn timeout(&self) -> Time {
        self.timeout_ms as Time * MS
    }

    /// Something to do, and when to ask again.
    pub fn wake(&mut self, now: Time, history: &mut History, acts: &mut Vec<Act>) -> Option<Time> {
        if self.is_done {
            return None;
        }
        if self.leaving == Some(Leave::Vanish) {
            self.is_done = true;
            acts.push(Act::Disconnect);
            return None;
        }
        match self.link {
            Link::Down => {
                if self.leaving.is_some() && self.session == SessionId::NONE {
                    self.is_done = true;
                    return None;
                }
                let server = match self.role {
                    Role::Probe(server) => server,
                    Role::Worker => self.rng.index(self.servers),
                };
                self.link = Link::Connecting;
                self.heard_at = now;
                acts.push(Act::Connect(server));
                acts.push(Act::Send(Request::Connect {
                    session: self.session,
                    timeout_ms: self.timeout_ms,
                    last_zxid: self.last_zxid,
                }));
                Some(now + 700 * MS)
            }
            Link::Connecting => {
                if now >= self.heard_at + 700 * MS {
                    self.drop_link(acts);
                    return Some(now + self.rng.between(1, 100) * MS);
                }
                Some(self.heard_at + 700 * MS)
            }
            Link::Up => Some(self.work(now, history, acts)),
        }
    }

    fn drop_link(&mut self, acts: &mut Vec<Act>) {
        acts.push(Act::Disconnect);
        self.disconnected();
    }

    /// The connection is gone; what was not answered may or may not happen.
    pub fn disconnected(&mut self) {
        self.link = Link::Down;
        self.outstanding.clear();
        self.look_again = false;
    }

    fn work(&mut self, now: Time, history: &mut History, acts: &mut Vec<Act>) -> Time {
        if now > self.heard_at + self.timeout() * 2 / 3 {
            self.drop_link(acts);
            return now + self.rng.between(1, 50) * MS;
        }
        if self.leaving == Some(Leave::Properly) {
            if !self
                .outstanding
                .iter()
                .any(|o| matches!(o.what, What::Close))
            {
                if self.rng.chance(400) {
                    // The end comes directly behind what may make the session known to all.
                    let path = format!("/e{}-last", self.number);
                    let body = requests::create(&path, b"", requests::EPHEMERAL);
                    self.send(What::Ephemeral, OpCode::CREATE, body, now, acts);
                }
                self.send(What::Close, OpCode::CLOSE_SESSION, Vec::new(), now, acts);
            }
            return now + 500 * MS;
        }
        if let Role::Probe(_) = self.role {
            if self.outstanding.is_empty() {
                self.values += 1;
                let path = format!("/probe-{}-{}", self.number, self.values);
                let body = requests::create(&path, b"", requests::PERSISTENT);
                self.send(What::Probe, OpCode::CREATE, body, now, acts);
            }
            return now + 300 * MS;
        }
        if self.outstanding.len() < OUTSTANDING_MAX && self.rng.chance(self.busy) {
            self.something(now, history, acts);
        } else if now > self.asked_at + self.timeout() / 4 {
            self.asked_at = now;
            acts.push(Act::Send(Request::Ping));
        }
        // Now and then a client prefers another server.
        if self.rng.chance(3) {
            self.drop_link(acts);
            return now + self.rng.between(1, 30) * MS;
        }
        now + self.rng.between(3, 60) * MS
    }

    fn send(&mut self, what: What, op: OpCode, body: Vec<u8>, now: Time, acts: &mut Vec<Act>) {
        let xid = self.next_xid;
        self.next_xid += 1;
        self.asked_at = now;
        self.outstanding.push_back(Outstanding { xid, what, op });
        acts.push(Act::Send(Request::Do { xid, op, body }));
    }

    pub fn is_connected(&self) -> bool {
        self.link == Link::Up
    }
}
