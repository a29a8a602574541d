//! Sessions that only this server knows: no transaction tells of them, they end here, and they become sessions like any
//! other before they own an ephemeral. Answers to `LocalSessionTracker`, `UpgradeableSessionTracker` and
//! `QuorumZooKeeperServer.checkUpgradeSession`.
//!
//! Whether a session is upgraded or ends is decided at one place, [`Session`], and at the moment when a request is
//! taken: what a client sent behind the request that upgrades its session finds it upgraded.

use std::sync::Arc;

use super::client::{Client, Phase, State, Waiting};
use super::frames::Batch;
use super::prep::Request;
use super::role::Role;
use super::routing::Locked;
use super::{Pipeline, wall_ms};
use crate::ids::SessionId;
use crate::ops;
use crate::proto::{ErrorCode, OpCode};
use crate::session::{Owner, Session};

/// Why a session stays what it is, although a request asks for more.
pub(super) enum NoUpgrade {
    /// Its ephemerals are refused with this.
    Refused(ErrorCode),
    /// It is over, and nobody waits for an answer.
    Ended,
}

impl Pipeline {
    /// Whether sessions that begin now are known here alone.
    pub(super) fn opens_local_sessions(&self) -> bool {
        self.settings.local_sessions && self.role() != Role::Alone
    }

    pub(super) fn open_local_session(
        &self,
        client: &Client,
        state: &mut State,
        timeout_ms: i32,
        legacy: bool,
    ) {
        let id = self.sessions.new_id();
        let session = self.sessions.track_local(id, timeout_ms, self.now_ms());
        session.set_owner(Owner::Here);
        session.attach(client.id);
        state.session = Some(session);
        self.welcome(client, state, id, timeout_ms, legacy);
        state.phase = Phase::Established;
    }

    /// A local session that is alive here.
    pub(super) fn knows_local(&self, id: SessionId) -> bool {
        self.sessions
            .get(id)
            .is_some_and(|session| session.is_local())
    }

    /// On a leader: a session that it does not know may be one that its own server knows.
    pub(super) fn may_be_local_elsewhere(&self, id: SessionId) -> bool {
        let from = id.0.to_be_bytes()[0];
        self.settings.local_sessions && from != self.sessions.server()
    }

    /// Makes a local session known to all if the request needs that, ahead of the request.
    #[cold]
    pub(super) fn upgrade_for<'a>(
        &'a self,
        session: &Session,
        batch: &mut Batch<'a>,
        op: OpCode,
        body: &[u8],
    ) -> Result<(), NoUpgrade> {
        if !ops::needs_global_session(op, body) {
            return Ok(());
        }
        if !self.settings.local_session_upgrades {
            return Err(NoUpgrade::Refused(ErrorCode::EPHEMERAL_ON_LOCAL_SESSION));
        }
        if !session.upgrade() {
            return match session.has_ended_locally() {
                true => Err(NoUpgrade::Ended),
                false => Ok(()),
            };
        }
        tracing::info!("Upgrading session {}", session.id);
        let timeout_ms = session.timeout_ms().to_be_bytes();
        if self.role() == Role::Learning {
            self.forward(session.id, 0, OpCode::CREATE_SESSION, &timeout_ms, &[]);
            batch.forwarded = true;
            return Ok(());
        }
        let request = Request {
            session: session.id,
            session_error: None,
            ephemeral_error: None,
            cxid: 0,
            op: OpCode::CREATE_SESSION,
            body: &timeout_ms,
            ids: &[],
            origin: None,
            is_remote: false,
            held: None,
        };
        let time = *batch.wall_ms.get_or_insert_with(wall_ms);
        let prep = batch.prep.get_or_insert_with(|| self.prep.lock());
        prep.submit(&batch.tree, &self.rules, time, request);
        batch.submitted += 1;
        Ok(())
    }

    /// The client ends its session, behind what it asked for before.
    pub(super) fn close_local(
        &self,
        client: &Arc<Client>,
        state: &mut State,
        batch: &mut Batch<'_>,
        xid: i32,
    ) {
        let waits = !state.queue.is_empty();
        state.queue.push_back(Waiting::CloseLocal {
            xid,
            since: batch.now,
        });
        if !waits {
            let mut watches = Locked(&self.watchers);
            batch.answered +=
                self.answer_waiting(client, state, &batch.tree, &mut watches, &mut None);
        }
    }

    /// Its client has been silent for too long, and hears nothing more.
    pub(super) fn local_session_expired(&self, session: &Session) {
        self.sessions.remove(session.id);
        if let Some(client) = session.conn().and_then(|conn| self.client(conn)) {
            client.kill();
        }
    }

    pub fn local_session_count(&self) -> usize {
        match self.settings.local_sessions {
            true => self.sessions.local_len(),
            false => 0,
        }
    }
}
