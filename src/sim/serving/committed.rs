//! Committed transactions: applied, told to those who watch, and answered to whoever asked; and what waited behind them.

use super::watching::{Firing, put_events};
use super::{Answer, Ask, Context, Effects, Serving, Side, Waiting};
use crate::ids::{ConnId, SessionId, Zxid};
use crate::ops::{self, ReadContext, Rules};
use crate::proto::{ErrorCode, OpCode};
use crate::sim::slips::{Slip, makes};
use crate::sim::truth;
use crate::tree::Tree;

impl Serving {
    /// Applies one, tells those who watch, and answers whoever asked for it here.
    pub fn apply(
        &mut self,
        tree: &mut Tree,
        rules: &Rules,
        (now_ms, wall_ms): (i64, i64),
        bytes: &[u8],
        fx: &mut Effects,
    ) {
        let mut firing = Firing::new(&mut self.watches, &mut fx.answers);
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
    pub(super) fn drain(&mut self, cx: &Context<'_>, conn: ConnId, fx: &mut Effects) {
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
