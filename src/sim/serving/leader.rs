//! A leader: requests become transactions, sessions are owned, and end.

use bytes::Bytes;

use super::{Ask, Context, Effects, Origin, Serving, Side};
use crate::ids::{LinkId, SessionId};
use crate::ops::{self, WriteContext, Written};
use crate::proto::quorum::{ForwardedRequest, PacketKind, QuorumPacket, Revalidated, Touch};
use crate::proto::{ErrorCode, OpCode};
use crate::zab::Txn;

impl Serving {
    /// A request becomes a transaction, whatever comes of it.
    pub(super) fn submit(
        &mut self,
        cx: &Context<'_>,
        origin: Origin,
        ask: Ask<'_>,
        fx: &mut Effects,
    ) {
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
    pub(super) fn revalidate(
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
}
