//! How a simulated server serves its clients: sessions, the queue of each connection, preparation on a leader and
//! forwarding on a learner. The rules are those of `pipeline`; checks, transactions, reads and watches are the real
//! ones. Knows no network and no disk: what is to happen outside comes back as [`Effects`].

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::auth::Id;
use crate::ids::{ConnId, Epoch, LinkId, ServerId, SessionId, Zxid};
use crate::ops::members::Members;
use crate::ops::pending::Pending;
use crate::ops::{self, Change, Observer, ReadContext, Rules, WriteContext, Written};
use crate::proto::client::{ReplyHeader, WatcherEvent};
use crate::proto::quorum::{ForwardedRequest, PacketKind, QuorumPacket, Revalidated, Touch};
use crate::proto::{ErrorCode, EventType, OpCode};
use crate::session::Sessions;
use crate::sim::slips::{Slip, makes};
use crate::sim::truth;
use crate::tree::Tree;
use crate::tree::watch::{Table, Watches};
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

    // --- clients -------------------------------------------------------------------------------------------

    pub fn request(&mut self, cx: &Context<'_>, conn: ConnId, request: Request, fx: &mut Effects) {
        if let Request::Connect {
            session,
            timeout_ms,
            last_zxid,
        } = request
        {
            self.connect(cx, conn, session, timeout_ms, last_zxid, fx);
            return;
        }
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        let Some(session) = state.session else { return };
        if state.is_closing {
            return;
        }
        let timeout_ms = state.timeout_ms;
        self.touch(session, timeout_ms, cx.now_ms);
        match request {
            Request::Connect { .. } => {}
            Request::Ping => fx.answers.push((conn, Answer::Pong)),
            Request::Do { xid, op, body } => {
                let ask = Ask {
                    session,
                    xid,
                    op,
                    body: &body,
                };
                self.operation(cx, conn, ask, fx);
            }
        }
    }

    fn operation(&mut self, cx: &Context<'_>, conn: ConnId, ask: Ask<'_>, fx: &mut Effects) {
        let Ask { xid, op, body, .. } = ask;
        let ends_here = op == OpCode::CLOSE_SESSION && self.end_local(cx, ask.session);
        if !ends_here {
            self.upgrade_for(cx, &ask, fx);
        }
        let waiting = if ends_here {
            Waiting::CloseLocal { xid }
        } else if op == OpCode::SYNC {
            match &mut self.side {
                Side::Learner(_) => Waiting::Sync {
                    xid,
                    is_done: false,
                },
                Side::Leader(leader) => {
                    let up_to = leader.last;
                    leader.syncs.push_back((up_to, conn));
                    Waiting::Catch { xid, up_to }
                }
            }
        } else if ops::route(op) == ops::Route::Write {
            Waiting::Write { xid }
        } else {
            Waiting::Read {
                xid,
                op,
                body: body.to_vec(),
            }
        };
        let goes_on = matches!(
            waiting,
            Waiting::Read { .. } | Waiting::Catch { .. } | Waiting::CloseLocal { .. }
        );
        if let Some(state) = self.conns.get_mut(&conn) {
            if goes_on && !ends_here && makes(Slip::ReadOvertakesWrite) {
                state.queue.push_front(waiting);
            } else {
                state.queue.push_back(waiting);
            }
            state.is_closing = op == OpCode::CLOSE_SESSION;
        }
        if goes_on {
            self.drain(cx, conn, fx);
            return;
        }
        match &mut self.side {
            Side::Leader(_) => self.submit(cx, Origin::Here, ask, fx),
            Side::Learner(learner) => {
                if op == OpCode::SYNC {
                    learner.syncs.push_back((conn, xid));
                }
                fx.up.push(forwarded(ask));
            }
        }
    }

    /// True for a session that ends without a word to the others.
    fn end_local(&self, cx: &Context<'_>, session: SessionId) -> bool {
        let Some(known) = self.sessions.get(session) else {
            return false;
        };
        let is_not_committed = || self.local && cx.tree.session_timeout(session).is_none();
        known.end_local() || (makes(Slip::StaleUpgrade) && is_not_committed())
    }

    /// Makes a local session known to all, ahead of the request that needs it.
    fn upgrade_for(&mut self, cx: &Context<'_>, ask: &Ask<'_>, fx: &mut Effects) {
        let known = self.sessions.get(ask.session).filter(|s| s.is_local());
        let Some(known) = known.filter(|_| ops::needs_global_session(ask.op, ask.body)) else {
            return;
        };
        if known.upgrade() {
            let timeout_ms = known.timeout_ms().to_be_bytes();
            self.begin_session(cx, ask.session, &timeout_ms, fx);
        }
    }

    /// By a transaction.
    fn begin_session(
        &mut self,
        cx: &Context<'_>,
        session: SessionId,
        timeout_ms: &[u8],
        fx: &mut Effects,
    ) {
        let ask = Ask {
            session,
            xid: 0,
            op: OpCode::CREATE_SESSION,
            body: timeout_ms,
        };
        match &mut self.side {
            Side::Leader(_) => self.submit(cx, Origin::Here, ask, fx),
            Side::Learner(_) => fx.up.push(forwarded(ask)),
        }
    }

    fn connect(
        &mut self,
        cx: &Context<'_>,
        conn: ConnId,
        session: SessionId,
        timeout_ms: i32,
        last_zxid: Zxid,
        fx: &mut Effects,
    ) {
        if last_zxid > cx.tree.last_zxid() && !makes(Slip::WelcomeFromTheFuture) {
            // The client has seen more than this server: it has to find another.
            fx.closed.push(conn);
            return;
        }
        let is_new = session == SessionId::NONE;
        let session = if is_new {
            self.sessions.new_id()
        } else {
            session
        };
        self.conns.insert(
            conn,
            Conn {
                session: None,
                timeout_ms,
                queue: VecDeque::from([Waiting::Connect { session }]),
                is_closing: false,
            },
        );
        if is_new && self.local {
            self.sessions.track_local(session, timeout_ms, cx.now_ms);
            self.reconnected(conn, session, true, fx);
            return;
        }
        if is_new {
            self.begin_session(cx, session, &timeout_ms.to_be_bytes(), fx);
            self.by_session.insert(session, conn);
            return;
        }
        if let Some(known) = self.sessions.get(session).filter(|s| s.is_local()) {
            self.sessions.touch_with(&known, timeout_ms, cx.now_ms);
            self.reconnected(conn, session, true, fx);
            return;
        }
        match &mut self.side {
            Side::Leader(_) => {
                let valid = self.revalidate(session, timeout_ms, Origin::Here, cx.now_ms);
                self.reconnected(conn, session, valid, fx);
            }
            Side::Learner(learner) => {
                learner.revalidating.insert(session, conn);
                let touch = Touch {
                    session_id: session.0,
                    timeout_ms,
                };
                fx.up.push(QuorumPacket::with_data(
                    PacketKind::REVALIDATE,
                    -1,
                    Touch::encode_all(&[touch]),
                ));
            }
        }
    }

    fn reconnected(&mut self, conn: ConnId, session: SessionId, valid: bool, fx: &mut Effects) {
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        state.queue.pop_front();
        if !valid {
            let session = SessionId::NONE;
            fx.answers.push((conn, Answer::Connected { session }));
            fx.closed.push(conn);
            self.disconnected(conn);
            return;
        }
        state.session = Some(session);
        fx.answers.push((conn, Answer::Connected { session }));
        if let Some(old) = self.by_session.insert(session, conn)
            && old != conn
        {
            fx.closed.push(old);
            self.disconnected(old);
            self.by_session.insert(session, conn);
        }
    }

    pub fn disconnected(&mut self, conn: ConnId) {
        self.watches.remove_conn(conn);
        let Some(state) = self.conns.remove(&conn) else {
            return;
        };
        if let Some(session) = state.session
            && self.by_session.get(&session) == Some(&conn)
        {
            self.by_session.remove(&session);
        }
    }

    fn touch(&mut self, session: SessionId, timeout_ms: i32, now_ms: i64) {
        if let Some(known) = self.sessions.get(session).filter(|s| s.is_local()) {
            self.sessions.touch(&known, now_ms);
            return;
        }
        match &mut self.side {
            Side::Leader(_) => {
                if let Some(session) = self.sessions.get(session) {
                    self.sessions.touch(&session, now_ms);
                }
            }
            Side::Learner(_) if makes(Slip::TouchesLost) => {}
            Side::Learner(learner) => {
                learner.touched.insert(session, timeout_ms);
            }
        }
    }

    // --- the leader ----------------------------------------------------------------------------------------

    /// A request becomes a transaction, whatever comes of it.
    fn submit(&mut self, cx: &Context<'_>, origin: Origin, ask: Ask<'_>, fx: &mut Effects) {
        let (session_error, ephemeral_error) = self.session_error(origin, &ask);
        if ask.op == OpCode::CREATE_SESSION {
            // Who asks behind it finds it, and it is whose it was.
            let timeout_ms = ask
                .body
                .first_chunk()
                .copied()
                .map_or(0, i32::from_be_bytes);
            self.sessions.track(ask.session, timeout_ms, cx.now_ms);
        }
        let Ask {
            session, xid, op, ..
        } = ask;
        let Side::Leader(leader) = &mut self.side else {
            return;
        };
        if op == OpCode::CLOSE_SESSION
            && session_error.is_none()
            && let Some(session) = self.sessions.get(session)
        {
            session.begin_closing();
        }
        if leader.last == leader.end {
            return;
        }
        let zxid = leader.last.next();
        if zxid == leader.end {
            // No transaction: the sign that there is none left.
            let bytes = Bytes::new();
            leader.last = zxid;
            fx.propose.push(Txn { zxid, bytes });
            return;
        }
        let mut bytes = Vec::new();
        let mut write = WriteContext {
            is_remote: true,
            members: leader.members.as_mut(),
            tree: cx.tree,
            pending: &mut leader.pending,
            rules: cx.rules,
            session,
            session_error,
            ephemeral_error,
            ids: &self.operator,
            zxid: zxid.0,
            time: cx.wall_ms,
        };
        let written = ops::write(&mut write, xid, op, ask.body, &mut bytes);
        assert_eq!(written, Written::Txn, "clients here send what can be read");
        leader.last = zxid;
        fx.propose.push(Txn {
            zxid,
            bytes: Bytes::from(bytes),
        });
    }

    /// What is wrong with a session, and what with it as the owner of an ephemeral.
    fn session_error(
        &mut self,
        origin: Origin,
        ask: &Ask<'_>,
    ) -> (Option<ErrorCode>, Option<ErrorCode>) {
        let Ask {
            session, xid, op, ..
        } = *ask;
        // What the leader itself or the operator decides needs no leave, and a session that begins is not known yet.
        let is_decided = op == OpCode::RECONFIG || (op == OpCode::CLOSE_SESSION && xid == 0);
        if op == OpCode::CREATE_SESSION || is_decided {
            return (None, None);
        }
        let Side::Leader(leader) = &mut self.side else {
            return (None, None);
        };
        let expired = Some(ErrorCode::SESSION_EXPIRED);
        let error = match self.sessions.get(session) {
            None => {
                let is_own = session.0.to_be_bytes()[0] == self.sessions.server();
                return (expired.filter(|_| is_own || !self.local), expired);
            }
            Some(state) if state.is_closing() => expired,
            Some(_) => {
                let owner = *leader.owners.entry(session).or_insert(origin);
                (owner != origin).then_some(ErrorCode::SESSION_MOVED)
            }
        };
        (error, error)
    }

    /// True when the session lives; then whoever asks speaks for it from now on.
    fn revalidate(
        &mut self,
        session: SessionId,
        timeout_ms: i32,
        origin: Origin,
        now_ms: i64,
    ) -> bool {
        let Side::Leader(leader) = &mut self.side else {
            return false;
        };
        let known = self.sessions.get(session);
        let Some(state) = known.filter(|s| !s.is_closing() && !s.is_local()) else {
            return false;
        };
        self.sessions.touch_with(&state, timeout_ms, now_ms);
        leader.owners.insert(session, origin);
        true
    }

    /// What a learner sent up.
    pub fn learner_sent(
        &mut self,
        cx: &Context<'_>,
        link: LinkId,
        packet: &QuorumPacket,
        fx: &mut Effects,
    ) -> Result<(), String> {
        match packet.kind {
            PacketKind::REQUEST => {
                let request = ForwardedRequest::decode(packet).map_err(|e| e.to_string())?;
                let session = SessionId(request.session_id);
                if request.op == OpCode::SYNC {
                    fx.syncs.push(link);
                    return Ok(());
                }
                let ask = Ask {
                    session,
                    xid: request.cxid,
                    op: request.op,
                    body: &request.record,
                };
                self.submit(cx, Origin::Link(link), ask, fx);
            }
            PacketKind::REVALIDATE => {
                let touch = Touch::decode_one(packet).map_err(|e| e.to_string())?;
                let session = SessionId(touch.session_id);
                let is_valid =
                    self.revalidate(session, touch.timeout_ms, Origin::Link(link), cx.now_ms);
                let answer = Revalidated {
                    session_id: touch.session_id,
                    is_valid,
                };
                fx.down.push((
                    link,
                    QuorumPacket::with_data(PacketKind::REVALIDATE, -1, answer.encode()),
                ));
            }
            PacketKind::PING => {
                for touch in Touch::decode_all(packet).map_err(|e| e.to_string())? {
                    if let Some(session) = self.sessions.get(SessionId(touch.session_id)) {
                        self.sessions.touch(&session, cx.now_ms);
                    }
                }
            }
            other => return Err(format!("{other} is nothing for a leader to serve")),
        }
        Ok(())
    }

    /// Lets sessions end of which nobody has heard for long enough.
    pub fn expire(&mut self, cx: &Context<'_>, fx: &mut Effects) {
        let mut expired = Vec::new();
        self.sessions.expired(cx.now_ms, &mut expired);
        expired.sort_by_key(|s| s.id);
        for session in expired {
            if session.end_local() {
                self.sessions.remove(session.id);
                if let Some(conn) = self.by_session.get(&session.id).copied() {
                    fx.closed.push(conn);
                    self.disconnected(conn);
                }
            } else if matches!(self.side, Side::Learner(_)) {
                self.sessions.keep(session, cx.now_ms);
            } else if session.begin_closing() {
                fx.expired.push(session.id);
                let ask = Ask {
                    session: session.id,
                    xid: 0,
                    op: OpCode::CLOSE_SESSION,
                    body: &[],
                };
                self.submit(cx, Origin::Here, ask, fx);
            }
        }
    }

    // --- the learner ---------------------------------------------------------------------------------------

    /// What the leader sent, of the kinds that are not the core's.
    pub fn leader_sent(
        &mut self,
        cx: &Context<'_>,
        packet: &QuorumPacket,
        fx: &mut Effects,
    ) -> Result<(), String> {
        let Side::Learner(learner) = &mut self.side else {
            return Err(format!("{} for a server that leads", packet.kind));
        };
        match packet.kind {
            PacketKind::SYNC => {
                let Some((conn, xid)) = learner.syncs.pop_front() else {
                    return Err("a SYNC that nobody asked for".to_owned());
                };
                if let Some(state) = self.conns.get_mut(&conn) {
                    for waiting in &mut state.queue {
                        if let Waiting::Sync { xid: x, is_done } = waiting
                            && *x == xid
                        {
                            *is_done = true;
                        }
                    }
                    self.drain(cx, conn, fx);
                }
            }
            PacketKind::REVALIDATE => {
                let answer = Revalidated::decode(packet).map_err(|e| e.to_string())?;
                let session = SessionId(answer.session_id);
                if let Some(conn) = learner.revalidating.remove(&session) {
                    self.reconnected(conn, session, answer.is_valid, fx);
                }
            }
            other => return Err(format!("{other} is nothing for a learner to serve")),
        }
        Ok(())
    }

    /// Sessions heard of since the last ping.
    pub fn take_touched(&mut self) -> Vec<Touch> {
        let Side::Learner(learner) = &mut self.side else {
            return Vec::new();
        };
        std::mem::take(&mut learner.touched)
            .into_iter()
            .map(|(session, timeout_ms)| Touch {
                session_id: session.0,
                timeout_ms,
            })
            .collect()
    }

    // --- committed transactions ----------------------------------------------------------------------------

    /// Applies one, tells those who watch, and answers whoever asked for it here.
    pub fn apply(
        &mut self,
        tree: &mut Tree,
        rules: &Rules,
        (now_ms, wall_ms): (i64, i64),
        bytes: &[u8],
        fx: &mut Effects,
    ) {
        let mut firing = Firing {
            watches: &mut self.watches,
            answers: &mut fx.answers,
            first: Vec::new(),
        };
        let (header, applied) = match ops::apply(tree, bytes, &mut firing) {
            Ok(done) => done,
            Err(e) => panic!("a committed transaction cannot be read: {e}"),
        };
        let session = SessionId(header.client_id);
        if let Side::Leader(leader) = &mut self.side {
            leader.pending.applied(header.zxid);
            match header.op {
                OpCode::CREATE_SESSION => {
                    let timeout_ms = tree.session_timeout(session).unwrap_or(0);
                    self.sessions.track(session, timeout_ms, now_ms);
                }
                OpCode::CLOSE_SESSION => {
                    self.sessions.remove(session);
                    leader.owners.remove(&session);
                }
                _ => {}
            }
        }
        let (error, path) = truth::outcome(&applied);
        let conn = self.by_session.get(&session).copied();
        if let Some(conn) = conn
            && self.completes(conn, session, header.cxid, header.op)
        {
            match self
                .conns
                .get_mut(&conn)
                .and_then(|state| state.queue.pop_front())
            {
                Some(Waiting::Connect { .. }) => {
                    if let Some(state) = self.conns.get_mut(&conn) {
                        state.session = Some(session);
                    }
                    fx.answers.push((conn, Answer::Connected { session }));
                }
                Some(Waiting::Write { xid }) => fx.answers.push((
                    conn,
                    Answer::Reply {
                        xid,
                        zxid: Zxid(header.zxid),
                        error,
                        path,
                        body: Vec::new(),
                        epoch: self.epoch,
                    },
                )),
                _ => {}
            }
        }
        let cx = Context {
            tree,
            rules,
            now_ms,
            wall_ms,
        };
        if let Some(conn) = conn {
            self.drain(&cx, conn, fx);
        }
        while let Side::Leader(leader) = &mut self.side
            && let Some((_, conn)) = leader
                .syncs
                .front()
                .copied()
                .filter(|(at, _)| at.0 <= header.zxid)
        {
            leader.syncs.pop_front();
            self.drain(&cx, conn, fx);
        }
        if header.op == OpCode::CLOSE_SESSION
            && let Some(conn) = conn
        {
            fx.closed.push(conn);
            self.disconnected(conn);
        }
    }

    /// Whether the oldest request of a connection is the one that this transaction came from.
    fn completes(&self, conn: ConnId, session: SessionId, cxid: i32, op: OpCode) -> bool {
        match self.conns.get(&conn).and_then(|state| state.queue.front()) {
            Some(Waiting::Connect { session: id }) => {
                op == OpCode::CREATE_SESSION && *id == session
            }
            Some(Waiting::Write { xid }) => *xid == cxid,
            _ => false,
        }
    }

    /// Answers what is no longer behind a write.
    fn drain(&mut self, cx: &Context<'_>, conn: ConnId, fx: &mut Effects) {
        while let Some(state) = self.conns.get_mut(&conn) {
            match state.queue.front() {
                Some(
                    Waiting::Read { .. }
                    | Waiting::Sync { is_done: true, .. }
                    | Waiting::CloseLocal { .. },
                ) => {}
                // Nothing was prepared yet in this epoch, or all of it is there.
                Some(Waiting::Catch { up_to, .. })
                    if up_to.counter() == 0
                        || *up_to <= cx.tree.last_zxid()
                        || makes(Slip::SyncIsARead) => {}
                _ => break,
            }
            let session = state.session.unwrap_or_default();
            match state.queue.pop_front() {
                Some(Waiting::Read { xid, op, body }) => {
                    let ask = Ask {
                        session,
                        xid,
                        op,
                        body: &body,
                    };
                    self.read(cx, conn, ask, fx);
                }
                Some(Waiting::CloseLocal { xid }) => {
                    fx.answers.push((conn, self.done(cx, xid)));
                    self.sessions.remove(session);
                    fx.closed.push(conn);
                    self.disconnected(conn);
                    return;
                }
                Some(Waiting::Sync { xid, .. } | Waiting::Catch { xid, .. }) => {
                    fx.answers.push((conn, self.done(cx, xid)))
                }
                _ => {}
            }
        }
    }

    /// The answer to what changes nothing.
    fn done(&self, cx: &Context<'_>, xid: i32) -> Answer {
        Answer::Reply {
            xid,
            zxid: cx.tree.last_zxid(),
            error: ErrorCode::OK,
            path: None,
            body: Vec::new(),
            epoch: self.epoch,
        }
    }

    fn read(&mut self, cx: &Context<'_>, conn: ConnId, ask: Ask<'_>, fx: &mut Effects) {
        let mut read = ReadContext {
            tree: cx.tree,
            watches: &mut self.watches,
            rules: cx.rules,
            conn,
            session: ask.session,
            ids: &[],
        };
        let (mut out, mut events) = (Vec::new(), Vec::new());
        let answer = ops::read(&mut read, ask.op, ask.body, &mut out, &mut events);
        let error = answer.err().unwrap_or(ErrorCode::OK);
        if error != ErrorCode::OK {
            out.clear();
        }
        if !makes(Slip::WatchesLeftBehind) {
            put_events(conn, &events, fx);
        }
        fx.answers.push((
            conn,
            Answer::Reply {
                xid: ask.xid,
                zxid: cx.tree.last_zxid(),
                error,
                path: None,
                body: out,
                epoch: self.epoch,
            },
        ));
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

fn forwarded(ask: Ask<'_>) -> QuorumPacket {
    let request = ForwardedRequest {
        session_id: ask.session.0,
        cxid: ask.xid,
        op: ask.op,
        record: Bytes::copy_from_slice(ask.body),
    };
    QuorumPacket::with_data(PacketKind::REQUEST, -1, request.encode())
}

/// Frames of notifications, as a client takes them apart.
fn put_events(conn: ConnId, mut frames: &[u8], fx: &mut Effects) {
    while let Some((len, rest)) = frames.split_first_chunk::<4>() {
        let (mut frame, rest) = rest.split_at(u32::from_be_bytes(*len) as usize);
        frames = rest;
        let header: ReplyHeader = jute::read(&mut frame).expect("a frame of our own");
        let event: WatcherEvent<'_> = jute::read(&mut frame).expect("a frame of our own");
        fx.answers.push((
            conn,
            Answer::Event {
                zxid: header.zxid,
                kind: event.kind,
                path: event.path.or_empty().to_owned(),
            },
        ));
    }
}

/// Notifications while a transaction is applied; the order is that of `pipeline::watchers`.
struct Firing<'a> {
    watches: &'a mut Watches,
    answers: &'a mut Vec<(ConnId, Answer)>,
    first: Vec<ConnId>,
}

impl Firing<'_> {
    fn tell(&mut self, zxid: i64, kind: EventType, path: &str, to: &[ConnId]) {
        for conn in to {
            let event = Answer::Event {
                zxid,
                kind,
                path: path.to_owned(),
            };
            self.answers.push((*conn, event));
        }
    }

    fn trigger(&mut self, zxid: i64, kind: EventType, path: &str, table: Table) {
        let mut to = std::mem::take(&mut self.first);
        self.watches.trigger(path, table, &mut to);
        self.tell(zxid, kind, path, &to);
        self.first = to;
    }
}

impl Observer for Firing<'_> {
    fn is_watching(&self) -> bool {
        self.watches.total() > 0
    }

    fn changed(&mut self, zxid: i64, change: Change<'_>) {
        match change {
            Change::Created { path, parent, .. } => {
                self.trigger(zxid, EventType::NODE_CREATED, path, Table::Data);
                self.trigger(zxid, EventType::NODE_CHILDREN_CHANGED, parent, Table::Child);
            }
            Change::Deleted { path, parent, .. } => {
                self.trigger(zxid, EventType::NODE_DELETED, path, Table::Data);
                let mut to = Vec::new();
                self.watches.trigger(path, Table::Child, &mut to);
                to.retain(|conn| self.first.binary_search(conn).is_err());
                self.tell(zxid, EventType::NODE_DELETED, path, &to);
                self.trigger(zxid, EventType::NODE_CHILDREN_CHANGED, parent, Table::Child);
            }
            Change::Data { path, .. } => {
                self.trigger(zxid, EventType::NODE_DATA_CHANGED, path, Table::Data);
            }
        }
    }
}
