//! How a simulated server serves its clients: sessions, the queue of each connection, preparation on a leader and
//! forwarding on a learner. The rules are those of `pipeline`; checks, transactions, reads and watches are the real
//! ones. Knows no network and no disk: what is to happen outside comes back as [`Effects`].

mod clients;
mod committed;
mod leader;
mod learner;
mod watching;

use std::collections::{BTreeMap, VecDeque};

use crate::auth::Id;
use crate::ids::{ConnId, Epoch, LinkId, ServerId, SessionId, Zxid};
use crate::ops::Rules;
use crate::ops::members::Members;
use crate::ops::pending::Pending;
use crate::proto::quorum::QuorumPacket;
use crate::proto::{ErrorCode, EventType, OpCode};
use crate::session::Sessions;
use crate::sim::slips::{Slip, makes};
use crate::tree::Tree;
use crate::tree::watch::Watches;
use crate::zab::Txn;

/// What a client sends.
#[derive(Clone, Debug)]
pub enum Request {
    Connect {
        session: SessionId,
        timeout_ms: i32,
        last_zxid: Zxid,
    },
    Ping,
    Do {
        xid: i32,
        op: OpCode,
        body: Vec<u8>,
    },
}

/// What a client gets.
#[derive(Clone, Debug)]
pub enum Answer {
    /// [`SessionId::NONE`] where the session has expired.
    Connected {
        session: SessionId,
    },
    Pong,
    Reply {
        xid: i32,
        zxid: Zxid,
        error: ErrorCode,
        /// Of a node that was created.
        path: Option<String>,
        body: Vec<u8>,
        /// In which the server that answers was serving.
        epoch: Epoch,
    },
    Event {
        zxid: i64,
        kind: EventType,
        path: String,
    },
}

#[derive(Default)]
pub struct Effects {
    pub answers: Vec<(ConnId, Answer)>,
    pub closed: Vec<ConnId>,
    /// From a learner to its leader.
    pub up: Vec<QuorumPacket>,
    /// From a leader to a learner.
    pub down: Vec<(LinkId, QuorumPacket)>,
    pub propose: Vec<Txn>,
    /// Learners whose SYNC waits for what is proposed now.
    pub syncs: Vec<LinkId>,
    /// Sessions that a leader lets end because nobody heard of them.
    pub expired: Vec<SessionId>,
}

#[derive(Debug)]
enum Waiting {
    Connect {
        session: SessionId,
    },
    /// The end of a session that only this server knows.
    CloseLocal {
        xid: i32,
    },
    Write {
        xid: i32,
    },
    Sync {
        xid: i32,
        is_done: bool,
    },
    /// A leader's own: until its tree has come so far. Others may have applied more than a leader with a slow disk.
    Catch {
        xid: i32,
        up_to: Zxid,
    },
    Read {
        xid: i32,
        op: OpCode,
        body: Vec<u8>,
    },
}

#[derive(Default)]
struct Conn {
    session: Option<SessionId>,
    timeout_ms: i32,
    queue: VecDeque<Waiting>,
    is_closing: bool,
}

/// Who speaks for a session: the leader's own connections, or a learner's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Here,
    Link(LinkId),
}

struct LeaderSide {
    pending: Pending,
    last: Zxid,
    /// No transaction gets it.
    end: Zxid,
    owners: BTreeMap<SessionId, Origin>,
    /// Connections that wait for the tree to come so far.
    syncs: VecDeque<(Zxid, ConnId)>,
    members: Option<Members>,
}

#[derive(Default)]
struct LearnerSide {
    touched: BTreeMap<SessionId, i32>,
    syncs: VecDeque<(ConnId, i32)>,
    revalidating: BTreeMap<SessionId, ConnId>,
}

enum Side {
    Leader(Box<LeaderSide>),
    Learner(LearnerSide),
}

pub struct Serving {
    pub epoch: Epoch,
    side: Side,
    /// New sessions are known here alone.
    local: bool,
    sessions: Sessions,
    conns: BTreeMap<ConnId, Conn>,
    by_session: BTreeMap<SessionId, ConnId>,
    watches: Watches,
    /// Who asks for other members.
    operator: Vec<Id>,
}

impl Serving {
    /// `leads`: with the counter at which its epoch ends.
    pub fn new(
        leads: Option<u32>,
        epoch: Epoch,
        id: ServerId,
        (tick_ms, local): (i32, bool),
        tree: &Tree,
        now_ms: i64,
    ) -> Serving {
        let sessions = Sessions::new(tick_ms, id.0 as u8, now_ms);
        let side = if let Some(end) = leads {
            let known = tree.sessions().filter(|_| !makes(Slip::SessionsForgotten));
            for (session, timeout_ms) in known {
                sessions.track(session, timeout_ms, now_ms);
            }
            Side::Leader(Box::new(LeaderSide {
                pending: Pending::default(),
                last: Zxid::new(epoch, 0),
                end: Zxid::new(epoch, end),
                owners: BTreeMap::new(),
                syncs: VecDeque::new(),
                members: None,
            }))
        } else {
            Side::Learner(LearnerSide::default())
        };
        Serving {
            epoch,
            side,
            local,
            sessions,
            conns: BTreeMap::new(),
            by_session: BTreeMap::new(),
            watches: Watches::default(),
            operator: vec![Id::new("super", "")],
        }
    }

    /// A leader's prep knows the members, and what becomes of them.
    pub fn lead(&mut self, members: Members) {
        if let Side::Leader(leader) = &mut self.side {
            leader.members = Some(members);
        }
    }

    pub fn members(&mut self) -> Option<&mut Members> {
        match &mut self.side {
            Side::Leader(leader) => leader.members.as_mut(),
            Side::Learner(_) => None,
        }
    }

    /// The operator asks a leader for other members; nobody waits for the answer.
    pub fn reconfigure(&mut self, cx: &Context<'_>, body: &[u8], fx: &mut Effects) {
        let ask = Ask {
            session: SessionId::NONE,
            xid: 0,
            op: OpCode::RECONFIG,
            body,
        };
        self.submit(cx, Origin::Here, ask, fx);
    }
}

/// What a request is looked at with.
pub struct Context<'a> {
    pub tree: &'a Tree,
    pub rules: &'a Rules,
    /// For expiry.
    pub now_ms: i64,
    /// For transactions.
    pub wall_ms: i64,
}

/// One request of a session; number 0 is nobody's.
struct Ask<'a> {
    session: SessionId,
    xid: i32,
    op: OpCode,
    body: &'a [u8],
}
