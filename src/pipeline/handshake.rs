//! The first frame of a connection. Answers to `ZooKeeperServer.processConnectRequest`.
//!
//! A refusal is a close without a word: clients take it as "try the next server".

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::admission::held;
use super::client::{Client, Phase, State, Waiting};
use super::frames::Batch;
use super::prep::Request;
use super::role::Role;
use super::{Pipeline, wall_ms};
use crate::ids::{ConnId, SessionId};
use crate::ops::put;
use crate::proto::client::{ConnectRequest, ConnectResponse};
use crate::proto::{OpCode, Trailing};
use crate::session::{Owner, Session, password};

impl Pipeline {
    pub(super) fn handshake<'a>(
        &'a self,
        client: &Arc<Client>,
        state: &mut State,
        batch: &mut Batch<'a>,
        frame: &[u8],
        kicked: &mut Option<ConnId>,
    ) {
        let Ok(request) = jute::from_slice::<ConnectRequest<'_>>(frame) else {
            tracing::warn!(remote = %client.remote, "closing a connection: its first frame is no handshake");
            return state.finish();
        };
        let id = SessionId(request.session_id);
        if !self.admits_session(id == SessionId::NONE) {
            self.stats.metrics.connection_rejected.add(1);
            tracing::warn!(remote = %client.remote, "refusing a session: too many come at once");
            return state.finish();
        }
        if !self.serves_clients() {
            return state.finish();
        }
        self.stats.metrics.connection_request_count.add(1);
        if self.role() == Role::ReadOnly && request.read_only.0 != Some(true) {
            tracing::info!(
                "Refusing session request for not-read-only client {}",
                client.remote
            );
            return state.finish();
        }
        if request.last_zxid_seen > batch.tree.last_zxid().0 {
            tracing::info!(
                remote = %client.remote,
                "refusing a client that has seen zxid 0x{:x}: this server is at {}",
                request.last_zxid_seen,
                batch.tree.last_zxid()
            );
            return state.finish();
        }
        let timeout_ms = request.time_out.clamp(
            self.settings.session_timeout_ms_min,
            self.settings.session_timeout_ms_max,
        );
        let legacy = request.read_only.0.is_none();
        if id == SessionId::NONE && self.opens_local_sessions() {
            self.open_local_session(client, state, timeout_ms, legacy);
        } else if id == SessionId::NONE
            && (self.role() == Role::ReadOnly || self.refuses(OpCode::CREATE_SESSION))
        {
            state.finish();
        } else if id == SessionId::NONE {
            self.open_session(client, state, batch, timeout_ms, legacy);
        } else if self.role() == Role::ReadOnly && batch.tree.session_timeout(id).is_some() {
            tracing::info!(
                "Refusing global session reconnection in RO mode {}",
                client.remote
            );
            state.finish();
        } else if password::matches(id, request.passwd.or_empty()) {
            if self.role() == Role::Learning && !self.knows_local(id) {
                batch.forwarded = true;
                self.resume_session_at_leader(client, state, id, timeout_ms, legacy);
            } else {
                self.resume_session(client, state, id, timeout_ms, legacy, kicked);
            }
        } else {
            tracing::warn!(remote = %client.remote, "wrong password for session {id}");
            self.refuse_session(state, legacy);
        }
    }

    fn open_session<'a>(
        &'a self,
        client: &Arc<Client>,
        state: &mut State,
        batch: &mut Batch<'a>,
        timeout_ms: i32,
        legacy: bool,
    ) {
        let session = self.sessions.new_id();
        state.phase = Phase::Connecting;
        state
            .queue
            .push_back(Waiting::Connect { timeout_ms, legacy });
        if self.role() == Role::Learning {
            batch.forwarded = true;
            return self.open_session_at_leader(client, session, timeout_ms);
        }
        let request = Request {
            session,
            session_error: None,
            ephemeral_error: None,
            cxid: 0,
            op: OpCode::CREATE_SESSION,
            body: &timeout_ms.to_be_bytes(),
            ids: &[],
            origin: Some(client.clone()),
            is_remote: false,
            held: held(batch.place.take(), None),
        };
        let prep = batch.prep.get_or_insert_with(|| self.prep.lock());
        prep.submit(&batch.tree, &self.rules, wall_ms(), request);
        batch.submitted += 1;
    }

    fn resume_session(
        &self,
        client: &Arc<Client>,
        state: &mut State,
        id: SessionId,
        timeout_ms: i32,
        legacy: bool,
        kicked: &mut Option<ConnId>,
    ) {
        match self.sessions.get(id).filter(|s| !s.is_closing()) {
            Some(session) => {
                session.set_owner(Owner::Here);
                *kicked = self.session_resumed(client, state, &session, timeout_ms, legacy);
            }
            None if self.role() == Role::ReadOnly && !self.settings.local_sessions => {
                // Nobody is there who could know better.
                let session = self.sessions.track(id, timeout_ms, self.now_ms());
                *kicked = self.session_resumed(client, state, &session, timeout_ms, legacy);
            }
            None => self.refuse_session(state, legacy),
        }
    }

    /// A session that is alive goes on over this connection. Returns the one that it went over before.
    pub(super) fn session_resumed(
        &self,
        client: &Client,
        state: &mut State,
        session: &Arc<Session>,
        timeout_ms: i32,
        legacy: bool,
    ) -> Option<ConnId> {
        self.sessions.touch_with(session, timeout_ms, self.now_ms());
        let before = session.attach(client.id);
        state.session = Some(session.clone());
        state.phase = Phase::Established;
        self.welcome(client, state, session.id, timeout_ms, legacy);
        self.stats.metrics.connection_revalidate_count.add(1);
        before
    }

    /// The transaction of a new session is applied: its client may go on.
    pub(super) fn session_opened(
        &self,
        client: &Client,
        state: &mut State,
        id: SessionId,
        timeout_ms: i32,
        legacy: bool,
    ) {
        let session = self.sessions.track(id, timeout_ms, self.now_ms());
        session.attach(client.id);
        session.set_owner(Owner::Here);
        state.session = Some(session);
        state.phase = Phase::Established;
        self.welcome(client, state, id, timeout_ms, legacy);
    }

    /// The handshake succeeds.
    pub(super) fn welcome(
        &self,
        client: &Client,
        state: &mut State,
        id: SessionId,
        timeout_ms: i32,
        legacy: bool,
    ) {
        let read_only = (!legacy).then_some(self.role() == Role::ReadOnly);
        let password = password::password(id);
        put_response(state.out(), id.0, timeout_ms, &password, read_only);
        self.greeted(client);
    }

    pub(super) fn refuse_session(&self, state: &mut State, legacy: bool) {
        let read_only = (!legacy).then_some(self.role() == Role::ReadOnly);
        put_response(state.out(), 0, 0, &[0; 16], read_only);
        state.finish();
    }
}

impl Pipeline {
    fn admits_session(&self, is_new: bool) -> bool {
        let Some(throttle) = &self.connection_throttle else {
            return true;
        };
        let mut throttle = throttle.lock();
        let admitted = throttle.admit(is_new, self.now_ms(), random());
        if admitted {
            self.stats
                .metrics
                .connection_token_deficit
                .record(throttle.deficit());
        }
        admitted
    }

    /// The answer to a handshake counts as a packet like any other.
    fn greeted(&self, client: &Client) {
        self.stats.sent(1);
        client.stats.sent.fetch_add(1, Ordering::Relaxed);
        client
            .stats
            .last_op
            .store(OpCode::CREATE_SESSION.0, Ordering::Relaxed);
    }
}

/// From 0 up to 1, without either being predictable for clients.
fn random() -> f64 {
    let bits = std::hash::RandomState::new().hash_one(0);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Old clients know nothing of `read_only`, and get nothing.
fn put_response(
    out: &mut Vec<u8>,
    session_id: i64,
    time_out: i32,
    passwd: &[u8; 16],
    read_only: Option<bool>,
) {
    let start = out.len();
    put(out, &0i32);
    put(
        out,
        &ConnectResponse {
            protocol_version: 0,
            time_out,
            session_id,
            passwd: passwd.into(),
            read_only: Trailing(read_only),
        },
    );
    let len = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}
