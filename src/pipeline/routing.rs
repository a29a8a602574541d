//! A request goes where its opcode says: answered on the spot, judged for a transaction, or refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::admission::{Counted, Large, held, held_forwarded};
use super::audit;
use super::client::{Client, State, Waiting, header_frame, put_reply, reply_xid};
use super::frames::Batch;
use super::local::NoUpgrade;
use super::prep::Request;
use super::role::Role;
use super::watchers::Watchers;
use super::{Pipeline, wall_ms};
use crate::auth::Id;
use crate::ids::SessionId;
use crate::ops::{self, ReadContext, Route, WatchTable, Written};
use crate::proto::client::RequestHeader;
use crate::proto::{ErrorCode, OpCode};
use crate::session::Owner;
use crate::tree::Tree;
use crate::tree::watch::Watches;

/// What a server without a leader refuses. The end of a local session is its own business.
fn asks_for_a_leader(op: OpCode) -> bool {
    match op {
        OpCode::SYNC | OpCode::CHECK | OpCode::DELETE_CONTAINER => true,
        OpCode::CLOSE_SESSION => false,
        op => ops::route(op) == Route::Write,
    }
}

/// The watches behind their lock.
pub(super) struct Locked<'a>(pub &'a Mutex<Watchers>);

impl WatchTable for Locked<'_> {
    fn with(&mut self, change: &mut dyn FnMut(&mut Watches)) {
        change(&mut self.0.lock().watches);
    }
}

/// Whether the session lives at another server by now.
fn has_moved(state: &State) -> bool {
    let session = state.session.as_ref();
    session.is_some_and(|session| !session.claim(Owner::Here))
}

impl Pipeline {
    pub(super) fn request<'a>(
        &'a self,
        client: &Arc<Client>,
        state: &mut State,
        batch: &mut Batch<'a>,
        frame: &[u8],
    ) {
        let mut body = frame;
        let Ok(header) = jute::read::<RequestHeader>(&mut body) else {
            state.close_in_turn();
            return;
        };
        let route = ops::route(header.op);
        client.stats.last_op.store(header.op.0, Ordering::Relaxed);
        if header.xid >= 0 {
            client.stats.last_xid.store(header.xid, Ordering::Relaxed);
        }
        if route != Route::Identity && !self.may_ask(state) {
            let refusal = header_frame(header.xid, 0, ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH);
            state.answer_in_turn(&refusal);
            state.close_in_turn();
            return;
        }
        let large = match route {
            Route::Identity => None,
            _ => match self.large.enter(body.len()) {
                Ok(large) => large,
                Err(()) => return self.reject_large(client, state),
            },
        };
        if batch.too_late && matches!(route, Route::Read | Route::Write) {
            return self.refuse_late(state, batch, header.xid);
        }
        match route {
            // Java's leader looks for the owner with reads as with writes.
            Route::Read if self.role() == Role::Leading && has_moved(state) => {
                state.close_in_turn();
            }
            _ if self.role() == Role::ReadOnly && asks_for_a_leader(header.op) => {
                self.refuse(state, batch, header.xid, ErrorCode::NOT_READ_ONLY);
            }
            Route::Read if header.op == OpCode::SYNC && self.role() == Role::Learning => {
                self.sync_at_leader(client, state, batch, header.xid, body);
            }
            Route::Read if header.op == OpCode::SYNC && self.role() == Role::Leading => {
                self.sync_here(client, state, batch, header.xid, body);
            }
            Route::Read if state.queue.is_empty() => {
                let ids = state.ids.clone();
                let mut watches = Locked(&self.watchers);
                self.answer(
                    client,
                    state,
                    &batch.tree,
                    &mut watches,
                    header.xid,
                    header.op,
                    body,
                    &ids,
                );
                batch.answered += 1;
            }
            Route::Read => {
                let ids = state.ids.clone();
                state.queue.push_back(Waiting::Read {
                    xid: header.xid,
                    op: header.op,
                    body: body.into(),
                    ids,
                    since: batch.now,
                    held: held(batch.place.take(), large),
                });
            }
            Route::Write => self.submit(client, state, batch, header, body, large),
            Route::Identity => self.identify(client, state, header, body),
            Route::Refused => {
                state.answer_in_turn(&header_frame(header.xid, -1, ErrorCode::UNIMPLEMENTED));
                state.close_in_turn();
            }
        }
    }

    #[cold]
    fn refuse_late(&self, state: &mut State, batch: &mut Batch<'_>, xid: i32) {
        self.stats.metrics.throttled_ops.add(1);
        self.refuse(state, batch, xid, ErrorCode::THROTTLED_OP);
    }

    /// An error that needs no transaction, in its turn, with the zxid of that moment.
    #[cold]
    fn refuse(&self, state: &mut State, batch: &mut Batch<'_>, xid: i32, err: ErrorCode) {
        if state.queue.is_empty() {
            let zxid = batch.tree.last_zxid().0;
            state.answer_in_turn(&header_frame(xid, zxid, err));
            batch.answered += 1;
        } else {
            state.queue.push_back(Waiting::Refused {
                xid,
                err,
                since: batch.now,
                held: held(batch.place.take(), None),
            });
        }
    }

    /// Of a member, whose leader need not hear of it.
    fn refuses_early(
        &self,
        state: &State,
        batch: &Batch<'_>,
        op: OpCode,
        body: &[u8],
    ) -> Option<ErrorCode> {
        if !self.settings.eager_acl_check || self.role() == Role::Alone {
            return None;
        }
        ops::early_refusal(&batch.tree, &self.rules, &state.ids, op, body)
    }

    fn may_ask(&self, state: &State) -> bool {
        let schemes = &self.settings.enforced_schemes;
        schemes.is_empty()
            || self
                .rules
                .providers
                .satisfies_enforcement(schemes, &state.ids)
    }

    fn submit<'a>(
        &'a self,
        client: &Arc<Client>,
        state: &mut State,
        batch: &mut Batch<'a>,
        header: RequestHeader,
        body: &[u8],
        large: Option<Large>,
    ) {
        let Some(session) = &state.session else {
            return;
        };
        if header.op == OpCode::CLOSE_SESSION && session.end_local() {
            return self.close_local(client, state, batch, header.xid);
        }
        if self.refuses(header.op) {
            return self.refuse(state, batch, header.xid, ErrorCode::SYSTEM_ERROR);
        }
        if self.role() == Role::ReadOnly {
            // What else there is to write was refused before.
            return self.refuse(state, batch, header.xid, ErrorCode::NOT_READ_ONLY);
        }
        if let Some(code) = self.refuses_early(state, batch, header.op, body) {
            state.answer_in_turn(&header_frame(header.xid, 0, code));
            batch.answered += 1;
            return;
        }
        if header.op == OpCode::CLOSE_SESSION && !session.begin_closing() {
            return;
        }
        let refused_as = match session.is_local() {
            true => match self.upgrade_for(session, batch, header.op, body) {
                Ok(()) => None,
                Err(NoUpgrade::Refused(code)) => Some(code),
                Err(NoUpgrade::Ended) => return,
            },
            false => None,
        };
        if self.role() == Role::Learning {
            self.forward(session.id, header.xid, header.op, body, &state.ids);
            batch.forwarded = true;
            let forwarded = Counted::new(&self.forwarded);
            state.queue.push_back(Waiting::Write {
                xid: header.xid,
                op: header.op,
                since: batch.now,
                held: held_forwarded(batch.place.take(), large, forwarded),
                // Of a multi the client sees what the leader made of each part.
                refused_as: refused_as.filter(|_| header.op != OpCode::MULTI),
                audited: self.audited(header.op, body),
            });
            return;
        }
        let session_error = if header.op == OpCode::CLOSE_SESSION {
            None
        } else if session.is_closing() {
            Some(ErrorCode::SESSION_EXPIRED)
        } else {
            (!session.claim(Owner::Here)).then_some(ErrorCode::SESSION_MOVED)
        };
        let request = Request {
            session: session.id,
            session_error,
            ephemeral_error: refused_as.or(session_error),
            cxid: header.xid,
            op: header.op,
            body,
            ids: &state.ids,
            origin: Some(client.clone()),
            is_remote: false,
            held: held(batch.place.take(), large),
        };
        let time = *batch.wall_ms.get_or_insert_with(wall_ms);
        let prep = batch.prep.get_or_insert_with(|| self.prep.lock());
        match prep.submit(&batch.tree, &self.rules, time, request) {
            Written::Txn => {
                batch.submitted += 1;
                state.queue.push_back(Waiting::Write {
                    xid: header.xid,
                    op: header.op,
                    since: batch.now,
                    held: None,
                    refused_as: None,
                    audited: self.audited(header.op, body),
                });
            }
            Written::Undecodable => {
                self.refuse(state, batch, header.xid, ErrorCode::MARSHALLING_ERROR);
            }
        }
    }

    /// What is kept of a request for the audit log.
    fn audited(&self, op: OpCode, body: &[u8]) -> Option<Box<[u8]>> {
        (self.settings.audit && audit::covers(op)).then(|| body.into())
    }

    /// Answers one read from the tree as it is.
    #[expect(clippy::too_many_arguments)]
    pub(super) fn answer(
        &self,
        client: &Client,
        state: &mut State,
        tree: &Tree,
        watches: &mut dyn WatchTable,
        xid: i32,
        op: OpCode,
        body: &[u8],
        ids: &[Id],
    ) {
        let session = state.session.as_ref().map_or(SessionId::NONE, |s| s.id);
        let mut ctx = ReadContext {
            tree,
            watches,
            rules: &self.rules,
            conn: client.id,
            session,
            ids,
        };
        let out = state.out();
        let start = out.len();
        let mut events = Vec::new();
        put_reply(out, reply_xid(op, xid), tree.last_zxid().0, |out| {
            ops::read(&mut ctx, op, body, out, &mut events)
        });
        if !events.is_empty() {
            out.splice(start..start, events);
        }
    }
}
