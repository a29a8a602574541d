//! The clients: they read, write, create ephemerals and locks, watch, sync, move between servers, come back after a
//! loss with their session and watches as the real libraries do, leave properly or just vanish. Each checks what it
//! is told as it is told. Knows servers by number only; what it wants done comes back as [`Act`].

use std::collections::VecDeque;

use super::checkers::linearizability::{self, Call, Operation};
use super::checkers::requests::Requests;
use super::checkers::session_order::SessionOrder;
use super::checkers::watches::{ClientWatches, Kind};
use super::checkers::{Verdict, ephemerals, reads, violated};
use super::network::NodeIx;
use super::requests;
use super::rng::Rng;
use super::serving::{Answer, Request};
use super::truth::Truth;
use crate::ids::{Epoch, SessionId, Zxid};
use crate::proto::{ErrorCode, OpCode};

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

    fn value(&mut self) -> u64 {
        self.values += 1;
        self.number << 32 | self.values
    }

    fn something(&mut self, now: Time, history: &mut History, acts: &mut Vec<Act>) {
        if self.look_again && self.ticket.is_some() {
            self.look_again = false;
            let body = requests::children("/lock", true);
            self.send(What::Rank, OpCode::GET_CHILDREN, body, now, acts);
            return;
        }
        let key = self.rng.below(u64::from(KEYS)) as u32;
        let path = path_of(key);
        let watch = self.rng.chance(500);
        match self.rng.below(100) {
            0..28 => {
                let value = self.value();
                let expected = if self.rng.chance(300) {
                    self.rng.below(6) as i32
                } else {
                    -1
                };
                let at = history.begin(key, Call::Set { value, expected }, now);
                let body = requests::set(&path, &value.to_be_bytes(), expected);
                self.send(What::Write(at), OpCode::SET_DATA, body, now, acts);
            }
            28..42 => {
                let key = if self.rng.chance(200) { LOCK_KEY } else { key };
                let path = path_of(key);
                let value = self.value();
                let at = history.begin(key, Call::Create { value }, now);
                let body = requests::create(&path, &value.to_be_bytes(), requests::PERSISTENT);
                self.send(What::Write(at), OpCode::CREATE, body, now, acts);
            }
            42..46 => {
                let expected = -1;
                let at = history.begin(key, Call::Delete { expected }, now);
                let body = requests::delete(&path, expected);
                self.send(What::Write(at), OpCode::DELETE, body, now, acts);
            }
            46..50 => {
                let other = (key + 1) % KEYS;
                let (first, second) = (self.value(), self.value());
                let set = |value| Call::Set {
                    value,
                    expected: -1,
                };
                let a = history.begin(key, set(first), now);
                let b = history.begin(other, set(second), now);
                let body = requests::multi(&[
                    (&path, &first.to_be_bytes()),
                    (&path_of(other), &second.to_be_bytes()),
                ]);
                self.send(What::Pair(a, b), OpCode::MULTI, body, now, acts);
            }
            50..62 => {
                let body = requests::get(&path, watch);
                let what = What::Read {
                    path,
                    watch,
                    counts: None,
                };
                self.send(what, OpCode::GET_DATA, body, now, acts);
            }
            62..74 => {
                let at = history.begin(key, Call::Read, now);
                self.send(What::Sync, OpCode::SYNC, requests::sync(&path), now, acts);
                let body = requests::get(&path, false);
                let what = What::Read {
                    path,
                    watch: false,
                    counts: Some(at),
                };
                self.send(what, OpCode::GET_DATA, body, now, acts);
            }
            74..80 => {
                let body = requests::exists(&path, watch);
                self.send(
                    What::Exists { path, watch },
                    OpCode::EXISTS,
                    body,
                    now,
                    acts,
                );
            }
            80..86 => {
                let body = requests::children("/lock", watch);
                self.send(
                    What::Children { watch },
                    OpCode::GET_CHILDREN,
                    body,
                    now,
                    acts,
                );
            }
            86..90 => {
                let path = format!("/e{}-{}", self.number, self.rng.below(3));
                let body = requests::create(&path, b"", requests::EPHEMERAL);
                self.send(What::Ephemeral, OpCode::CREATE, body, now, acts);
            }
            _ => match self.ticket.take() {
                // Left over from a connection that was lost.
                Some(ticket) => {
                    let body = requests::delete(&ticket, -1);
                    self.send(What::Release, OpCode::DELETE, body, now, acts);
                }
                None => {
                    let flags = requests::EPHEMERAL_SEQUENTIAL;
                    let body = requests::create("/lock/n-", b"", flags);
                    self.send(What::Queue, OpCode::CREATE, body, now, acts);
                }
            },
        }
    }

    // --- answers -------------------------------------------------------------------------------------------

    pub fn answered(
        &mut self,
        now: Time,
        answer: Answer,
        truth: &Truth,
        newest: Option<Epoch>,
        history: &mut History,
        acts: &mut Vec<Act>,
    ) -> Verdict {
        self.heard_at = now;
        match answer {
            Answer::Connected { session } => self.connected(now, session, acts),
            Answer::Pong => {}
            Answer::Event { zxid, kind, path } => {
                self.look_again |= path == "/lock";
                return self.watches.fired(truth, &path, kind, zxid);
            }
            Answer::Reply {
                xid,
                zxid,
                error,
                path,
                body,
                epoch,
            } => {
                let Some(outstanding) = self.outstanding.pop_front() else {
                    return violated("session order", format!("an answer to {xid} out of turn"));
                };
                self.order
                    .replied(self.session, xid, outstanding.xid, zxid)?;
                self.last_zxid = self.last_zxid.max(zxid);
                let is_write = crate::ops::route(outstanding.op) == crate::ops::Route::Write;
                if is_write && outstanding.op != OpCode::CLOSE_SESSION {
                    Requests::acknowledged(truth, self.session, xid, zxid, error, path.as_deref())?;
                }
                if !matches!(outstanding.what, What::Watches) {
                    self.watches.seen(truth, zxid)?;
                }
                let stale = newest.is_some_and(|newest| newest > epoch);
                let reply = Reply {
                    zxid,
                    error,
                    path,
                    body,
                    stale,
                };
                self.reply(now, outstanding.what, reply, truth, history)?;
                if matches!(error, ErrorCode::SESSION_EXPIRED | ErrorCode::SESSION_MOVED) {
                    self.drop_link(acts);
                }
            }
        }
        Ok(())
    }

    fn connected(&mut self, now: Time, session: SessionId, acts: &mut Vec<Act>) {
        self.link = Link::Up;
        if session == SessionId::NONE {
            self.session = SessionId::NONE;
            self.watches.clear();
            self.ticket = None;
            self.drop_link(acts);
            return;
        }
        if self.session == SessionId::NONE {
            self.order = SessionOrder::default();
        }
        self.session = session;
        if !self.watches.is_empty() {
            let body = requests::set_watches(
                self.last_zxid.0,
                &self.watches.of(Kind::Data),
                &self.watches.of(Kind::Exist),
                &self.watches.of(Kind::Child),
            );
            self.send(What::Watches, OpCode::SET_WATCHES, body, now, acts);
        }
    }

    fn reply(
        &mut self,
        now: Time,
        what: What,
        reply: Reply,
        truth: &Truth,
        history: &mut History,
    ) -> Verdict {
        let Reply { zxid, error, .. } = reply;
        match what {
            What::Write(at) => conclude(history, &[at], now, zxid, error),
            What::Pair(a, b) if error == ErrorCode::OK => {
                conclude(history, &[a, b], now, zxid, error);
            }
            What::Pair(a, b) => {
                history.forget(a);
                history.forget(b);
            }
            What::Read {
                path,
                watch,
                counts,
            } => {
                let seen = requests::data(&reply.body).filter(|_| error == ErrorCode::OK);
                reads::node(
                    truth,
                    &path,
                    zxid,
                    seen.as_ref()
                        .map(|(data, version)| (data.as_slice(), *version)),
                )?;
                if watch && error == ErrorCode::OK {
                    self.watches.set(&path, Kind::Data, zxid);
                }
                // A leader that was replaced and does not know answers a sync from what it has, as the original does.
                if let Some(at) = counts
                    && !reply.stale
                {
                    let answer = match seen {
                        None => linearizability::Answer::NoNode,
                        Some((data, version)) => linearizability::Answer::Found {
                            value: number(&data),
                            version,
                        },
                    };
                    history.end(at, now, zxid, answer);
                }
            }
            What::Exists { path, watch } => {
                let exists = error == ErrorCode::OK;
                if exists != truth.node(&path, zxid).is_some() {
                    return violated(
                        "reads",
                        format!("{path} at {zxid} was said to be there: {exists}"),
                    );
                }
                if watch {
                    let kind = if exists { Kind::Data } else { Kind::Exist };
                    self.watches.set(&path, kind, zxid);
                }
            }
            What::Children { watch } => {
                if let Some(names) = self.listed(&reply, truth)?
                    && watch
                {
                    let _ = names;
                    self.watches.set("/lock", Kind::Child, zxid);
                }
            }
            What::Rank => {
                if let Some(names) = self.listed(&reply, truth)? {
                    self.watches.set("/lock", Kind::Child, zxid);
                    let mine = self.ticket.as_deref().and_then(|t| t.rsplit('/').next());
                    if names.iter().min().map(String::as_str) != mine {
                        return Ok(());
                    }
                    // The lock is ours; it is given back with the next thing we do.
                }
            }
            What::Queue => {
                self.ticket = reply.path;
                self.look_again = true;
            }
            What::Watches => self.rewatched(truth, zxid),
            What::Close if error == ErrorCode::OK => {
                self.is_done = true;
                ephemerals::closed(truth, self.session)?;
            }
            What::Probe if error == ErrorCode::OK => self.is_done = true,
            What::Close => {
                self.session = SessionId::NONE;
                self.is_done = true;
            }
            What::Sync | What::Release | What::Ephemeral | What::Probe => {}
        }
        Ok(())
    }

    fn listed(
        &self,
        reply: &Reply,
        truth: &Truth,
    ) -> Result<Option<Vec<String>>, super::Violation> {
        if reply.error != ErrorCode::OK {
            if truth.node("/lock", reply.zxid).is_some() {
                violated("reads", format!("/lock was missed at {}", reply.zxid))?;
            }
            return Ok(None);
        }
        let names = requests::names(&reply.body).unwrap_or_default();
        reads::children(truth, "/lock", reply.zxid, &names)?;
        Ok(Some(names))
    }

    /// A node that came and went while a client was away leaves no trace for a watch that waited for it: so it is
    /// with the original.
    fn rewatched(&mut self, truth: &Truth, zxid: Zxid) {
        for path in self.watches.of(Kind::Exist) {
            if truth.node(&path, zxid).is_none() {
                self.watches.move_on(&path, Kind::Exist, zxid);
            }
        }
    }

    pub fn is_connected(&self) -> bool {
        self.link == Link::Up
    }
}

struct Reply {
    zxid: Zxid,
    error: ErrorCode,
    path: Option<String>,
    body: Vec<u8>,
    /// The server served in an epoch that is over.
    stale: bool,
}

fn number(data: &[u8]) -> u64 {
    data.first_chunk().map_or(0, |b| u64::from_be_bytes(*b))
}

fn conclude(history: &mut History, ops: &[usize], now: Time, zxid: Zxid, error: ErrorCode) {
    use linearizability::Answer;
    let answer = match error {
        ErrorCode::OK => Answer::Done,
        ErrorCode::NO_NODE => Answer::NoNode,
        ErrorCode::NODE_EXISTS => Answer::Exists,
        ErrorCode::BAD_VERSION => Answer::BadVersion,
        _ => {
            for at in ops {
                history.forget(*at);
            }
            return;
        }
    };
    for at in ops {
        history.end(*at, now, zxid, answer);
    }
}
