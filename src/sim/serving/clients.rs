//! Connections: who connects, comes back and leaves, and where a request goes.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Answer, Ask, Conn, Context, Effects, Origin, Request, Serving, Side, Waiting};
use crate::ids::{ConnId, SessionId, Zxid};
use crate::ops;
use crate::proto::OpCode;
use crate::proto::quorum::{ForwardedRequest, PacketKind, QuorumPacket, Touch};
use crate::sim::slips::{Slip, makes};

impl Serving {
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

    pub(super) fn reconnected(
        &mut self,
        conn: ConnId,
        session: SessionId,
        valid: bool,
        fx: &mut Effects,
    ) {
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
