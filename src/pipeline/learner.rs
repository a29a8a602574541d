//! A learner's side of requests: writes go to the leader, and are answered when their transaction is delivered here.
//! Answers to `FollowerRequestProcessor`, `LearnerSessionTracker` and the sync and revalidation queues of `Follower`.
//!
//! The leader commits the requests of one learner in the order in which they were sent, one transaction for each, so
//! the head of a connection's queue tells whether a delivered transaction is its.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::Pipeline;
use super::client::{Client, Phase, State, Waiting};
use super::frames::Batch;
use super::role::Role;
use super::routing::Locked;
use super::watchers::{Firing, Watchers};
use crate::auth::Id;
use crate::ids::{LinkId, SessionId, Zxid};
use crate::proto::OpCode;
use crate::proto::txn::TxnHeader;
use crate::session::Session;
use crate::tree::Tree;

/// The way to the leader.
pub trait Forward: Send + Sync {
    // Called under the tree's read lock and a client's: must only queue.
    fn request(&self, session: SessionId, cxid: i32, op: OpCode, body: &[u8], ids: &[Id]);
    fn revalidate(&self, session: SessionId, timeout_ms: i32);

    /// Sends what was queued. Called without a lock.
    fn flush(&self);
}

/// What a learner waits for, beside the queues of its connections.
#[derive(Default)]
pub(super) struct Learning {
    /// Handshakes whose new session the leader does not have yet.
    opening: HashMap<SessionId, Arc<Client>, RandomState>,
    /// Handshakes whose old session the leader is asked about, in the order of asking.
    resuming: HashMap<SessionId, VecDeque<Asker>, RandomState>,
    /// Who asked for a sync, in the order of asking.
    syncing: VecDeque<Asker>,
    /// On a leader: who asked for one, and what has to be applied before the answer.
    catching_up: VecDeque<(Zxid, Arc<Client>)>,
    /// Sessions heard of since the leader was last told.
    touched: Vec<Arc<Session>>,
}

/// On whose behalf the leader was asked.
enum Asker {
    Client(Arc<Client>),
    /// An observer that is served here, for a client of its own.
    Observer(LinkId),
}

impl Learning {
    pub fn clear(&mut self) {
        *self = Learning::default();
    }
}

impl Pipeline {
    /// To the leader; whoever asked waits in the queue of its connection.
    pub(super) fn forward(
        &self,
        session: SessionId,
        cxid: i32,
        op: OpCode,
        body: &[u8],
        ids: &[Id],
    ) {
        if let Some(forward) = self.upstream.get() {
            forward.request(session, cxid, op, body, ids);
        }
    }

    /// What a batch of requests queued leaves together.
    pub(super) fn send_forwarded(&self) {
        if let Some(forward) = self.upstream.get() {
            forward.flush();
        }
    }

    pub(super) fn open_session_at_leader(
        &self,
        client: &Arc<Client>,
        session: SessionId,
        timeout_ms: i32,
    ) {
        self.learning.lock().opening.insert(session, client.clone());
        self.forward(
            session,
            0,
            OpCode::CREATE_SESSION,
            &timeout_ms.to_be_bytes(),
            &[],
        );
    }

    pub(super) fn resume_session_at_leader(
        &self,
        client: &Arc<Client>,
        state: &mut State,
        session: SessionId,
        timeout_ms: i32,
        legacy: bool,
    ) {
        state.phase = Phase::Connecting;
        state
            .queue
            .push_back(Waiting::Connect { timeout_ms, legacy });
        let mut learning = self.learning.lock();
        let asked = learning.resuming.entry(session).or_default();
        asked.push_back(Asker::Client(client.clone()));
        if let Some(forward) = self.upstream.get() {
            forward.revalidate(session, timeout_ms);
        }
    }

    /// The leader's answer about a session. Gives back the observer that it is for, if it is for one.
    pub fn revalidated(&self, id: SessionId, is_valid: bool) -> Option<LinkId> {
        let asker = {
            let mut learning = self.learning.lock();
            let asked = learning.resuming.get_mut(&id)?;
            let asker = asked.pop_front();
            if asked.is_empty() {
                learning.resuming.remove(&id);
            }
            asker?
        };
        match asker {
            Asker::Client(client) => self.resumed(&client, id, is_valid),
            Asker::Observer(link) => return Some(link),
        }
        None
    }

    fn resumed(&self, client: &Arc<Client>, id: SessionId, is_valid: bool) {
        let mut kicked = None;
        {
            let mut state = client.state();
            let head = state.queue.pop_front();
            if let Some(Waiting::Connect { timeout_ms, legacy }) = head
                && state.is_open()
            {
                if is_valid {
                    let session = self.sessions.track(id, timeout_ms, self.now_ms());
                    kicked = self.session_resumed(client, &mut state, &session, timeout_ms, legacy);
                } else {
                    self.refuse_session(&mut state, legacy);
                }
            }
        }
        if let Some(old) = kicked.and_then(|id| self.client(id)) {
            old.kill();
        }
        client.flush();
        client.wake();
    }

    pub(super) fn sync_at_leader<'a>(
        &'a self,
        client: &Arc<Client>,
        state: &mut State,
        batch: &mut Batch<'a>,
        xid: i32,
        body: &[u8],
    ) {
        let Some(session) = &state.session else {
            return;
        };
        // The lock keeps the order here that of the way to the leader.
        let mut learning = self.learning.lock();
        learning.syncing.push_back(Asker::Client(client.clone()));
        self.forward(session.id, xid, OpCode::SYNC, body, &[]);
        drop(learning);
        batch.forwarded = true;
        wait_for_sync(state, batch, xid, body, false);
    }

    /// A leader's own client waits as well: others may have seen what is not applied here yet.
    pub(super) fn sync_here<'a>(
        &'a self,
        client: &Arc<Client>,
        state: &mut State,
        batch: &mut Batch<'a>,
        xid: i32,
        body: &[u8],
    ) {
        let prep = batch.prep.get_or_insert_with(|| self.prep.lock());
        let target = prep.last;
        let synced = batch.tree.last_zxid() >= target;
        let waits = !synced || !state.queue.is_empty();
        wait_for_sync(state, batch, xid, body, synced);
        if !synced {
            let mut learning = self.learning.lock();
            learning.catching_up.push_back((target, client.clone()));
        }
        if !waits {
            let mut watches = Locked(&self.watchers);
            batch.answered +=
                self.answer_waiting(client, state, &batch.tree, &mut watches, &mut None);
        }
    }

    pub(super) fn someone_catches_up(&self) -> bool {
        self.role() == Role::Leading && !self.learning.lock().catching_up.is_empty()
    }

    /// This much is applied: who waits for no more is answered, before anything later is applied. A client may have sent
    /// more behind its sync.
    pub(super) fn caught_up(&self, applied: Zxid, tree: &Tree, firing: &mut Firing<'_>) {
        loop {
            let client = {
                let mut learning = self.learning.lock();
                let next = learning.catching_up.front();
                if next.is_none_or(|(target, _)| *target > applied) {
                    return;
                }
                learning.catching_up.pop_front()
            };
            let Some((_, client)) = client else { return };
            let mut state = client.state();
            state.sync_done();
            if !std::mem::replace(&mut state.touched, true) {
                firing.touched.push(client.clone());
            }
            let watches = &mut firing.watchers.watches;
            self.answer_waiting(&client, &mut state, tree, watches, &mut None);
        }
    }

    /// The leader's answer to the oldest sync: all that it waited for is delivered. Gives back the observer that it is
    /// for, if it is for one.
    pub fn synced(&self) -> Option<LinkId> {
        let asker = self.learning.lock().syncing.pop_front()?;
        match asker {
            Asker::Client(client) => self.answer_synced(&client),
            Asker::Observer(link) => return Some(link),
        }
        None
    }

    /// Passes an observer's sync on; the lock keeps the order here that of the way to the leader.
    pub fn sync_for_observer(&self, link: LinkId, pass_on: impl FnOnce()) {
        let mut learning = self.learning.lock();
        learning.syncing.push_back(Asker::Observer(link));
        pass_on();
    }

    /// Asks the leader about the session of an observer's client.
    pub fn revalidate_for_observer(&self, link: LinkId, id: SessionId, pass_on: impl FnOnce()) {
        let mut learning = self.learning.lock();
        let asked = learning.resuming.entry(id).or_default();
        asked.push_back(Asker::Observer(link));
        pass_on();
    }

    /// An observer heard of a session.
    pub fn touched_at_observer(&self, id: SessionId) {
        if let Some(session) = self.sessions.get(id) {
            self.touched(&session);
        }
    }

    fn answer_synced(&self, client: &Arc<Client>) {
        let tree = self.tree.read();
        let mut state = client.state();
        if state.sync_done() {
            let mut watches = Locked(&self.watchers);
            self.answer_waiting(client, &mut state, &tree, &mut watches, &mut None);
        }
        drop(state);
        drop(tree);
        client.flush();
        client.wake();
    }

    /// The connection that waits for this transaction, if it is one of ours.
    pub(super) fn waits_here(
        &self,
        header: &TxnHeader,
        watchers: &Watchers,
    ) -> Option<Arc<Client>> {
        if self.role() != Role::Learning {
            return None;
        }
        let id = SessionId(header.client_id);
        if header.op == OpCode::CREATE_SESSION {
            // A session that was local until now is nobody's request.
            return self.learning.lock().opening.remove(&id);
        }
        let conn = self.sessions.get(id)?.conn()?;
        let client = watchers.clients.get(&conn)?;
        let is_its = matches!(
            client.state().queue.front(),
            Some(Waiting::Write { xid, op, .. }) if *xid == header.cxid
                // The leader may end a session whose client has just sent its first request.
                && (header.op != OpCode::CLOSE_SESSION || *op == OpCode::CLOSE_SESSION)
        );
        is_its.then(|| client.clone())
    }

    /// A session was heard of; the leader is told with the next answer to a ping.
    pub(super) fn touched(&self, session: &Arc<Session>) {
        if self.role() == Role::Learning && !session.is_local() && session.mark_touched() {
            self.learning.lock().touched.push(session.clone());
        }
    }

    /// What an answer to a ping carries.
    pub fn take_touched(&self) -> Vec<(SessionId, i32)> {
        let touched = std::mem::take(&mut self.learning.lock().touched);
        touched
            .iter()
            .map(|session| {
                session.clear_touched();
                (session.id, session.timeout_ms())
            })
            .collect()
    }
}

fn wait_for_sync(state: &mut State, batch: &Batch<'_>, xid: i32, body: &[u8], synced: bool) {
    state.queue.push_back(Waiting::Sync {
        xid,
        body: body.into(),
        since: batch.now,
        synced,
    });
}
