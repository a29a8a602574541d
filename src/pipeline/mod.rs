//! Requests on their way through the server: judged ([`prep`]), made durable ([`sync`]), applied and answered
//! ([`finalize`]). Wired here. Answers to `ZooKeeperServer` and its chain of request processors.
//!
//! Reads never leave their connection's task: they are answered from the tree, under one shared lock for all the
//! frames of a wake-up. Writes take two hops, one to the disk's thread and one back.

pub mod admission;
mod checkpoint;
pub mod client;
pub mod connection_throttle;
mod finalize;
mod handshake;
mod housekeeping;
mod prep;
pub mod recovery;
pub mod stats;
mod sync;
#[cfg(test)]
mod tests;
mod watchers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard};

use crate::auth::{AuthOutcome, Id, Providers};
use crate::ids::{ConnId, SessionId};
use crate::ops::{self, ReadContext, Route, Rules, WatchTable, Written};
use crate::proto::client::{AuthPacket, GetSaslRequest, RequestHeader, SetSaslResponse};
use crate::proto::{ErrorCode, OpCode};
use crate::session::Sessions;
use crate::tree::Tree;
use crate::tree::watch::Watches;
use admission::{
    Large, LargeRequests, Place, RequestThrottle, RequestThrottleSettings, Waited, held,
};
use client::{Client, Phase, Sink, State, Waiting, header_frame, put_reply, reply_xid};
use connection_throttle::{ConnectionThrottle, ConnectionThrottleSettings};
use prep::{GROUP_BYTES_MAX, Prep, Request};
use stats::Stats;
use watchers::Watchers;

/// What the configuration says about requests.
#[derive(Clone, Debug)]
pub struct Settings {
    pub tick_ms: i32,
    pub session_timeout_ms_min: i32,
    pub session_timeout_ms_max: i32,
    /// `jute.maxbuffer`.
    pub frame_bytes_max: usize,
    /// `globalOutstandingLimit`.
    pub outstanding_max: usize,
    /// Schemes of which a connection must have one; empty: anybody may ask.
    pub enforced_schemes: Vec<String>,
    pub flush_delay_ms: u64,
    pub batch_max: usize,
    pub container_check_ms: u64,
    pub container_per_minute: u64,
    pub container_never_used_ms: i64,
    pub large_request_threshold: usize,
    pub large_request_bytes_max: usize,
    /// `None`: off.
    pub request_throttle: Option<RequestThrottleSettings>,
    /// `None`: off.
    pub connection_throttle: Option<ConnectionThrottleSettings>,
}

pub struct Pipeline {
    tree: RwLock<Tree>,
    watchers: Mutex<Watchers>,
    prep: Mutex<Prep>,
    /// Told when the group is no longer empty, for the disk's thread.
    work: Condvar,
    sessions: Sessions,
    rules: Rules,
    settings: Settings,
    /// Requests that wait for their transaction.
    outstanding: AtomicUsize,
    group_bytes: AtomicUsize,
    large: LargeRequests,
    throttle: Option<Arc<RequestThrottle>>,
    connection_throttle: Option<Mutex<ConnectionThrottle>>,
    /// The disk is nearly full: only what makes room is taken on.
    out_of_room: AtomicBool,
    checkpoints: checkpoint::Checkpoints,
    pub stats: Stats,
    epoch: Instant,
}

/// The watches behind their lock.
struct Locked<'a>(&'a Mutex<Watchers>);

impl WatchTable for Locked<'_> {
    fn with(&mut self, change: &mut dyn FnMut(&mut Watches)) {
        change(&mut self.0.lock().watches);
    }
}

/// What came of the bytes that a connection handed over.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes that are done with; the rest is the beginning of a frame.
    pub consumed: usize,
    /// How long the frame that is not complete yet will be, if that is known.
    pub wanted: usize,
    /// A complete frame is left that has to wait until fewer requests are in process.
    pub stalled: bool,
}

/// The locks that a batch of requests goes through, taken when first needed.
struct Batch<'a> {
    tree: RwLockReadGuard<'a, Tree>,
    prep: Option<MutexGuard<'a, Prep>>,
    now: Instant,
    /// Wall clock for the transactions, read with the first.
    wall_ms: Option<i64>,
    answered: u64,
    submitted: usize,
    /// What the throttle gave for the next request.
    place: Option<Place>,
    /// The requests waited for the throttle before.
    waited: Option<&'a mut Waited>,
    /// The current request waited for too long.
    too_late: bool,
}

/// What the throttle says of a request.
enum Turn {
    Now,
    Later,
    Never,
}

impl Pipeline {
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read()
    }

    /// Milliseconds on the clock that sessions live by.
    pub fn now_ms(&self) -> i64 {
        self.epoch.elapsed().as_millis() as i64
    }

    pub fn outstanding(&self) -> usize {
        self.outstanding.load(Ordering::Relaxed)
    }

    pub fn connect(&self, remote: std::net::SocketAddr, sink: Box<dyn Sink>) -> Arc<Client> {
        let ids: Arc<[Id]> = Arc::from([Providers::initial_id(remote.ip())]);
        let mut watchers = self.watchers.lock();
        let id = watchers.new_id();
        let client = Arc::new(Client::new(id, remote, wall_ms(), ids, sink));
        watchers.clients.insert(id, client.clone());
        client
    }

    /// The connection is gone; its session lives on.
    pub fn disconnect(&self, client: &Client) {
        let session = {
            let mut state = client.state();
            state.kill();
            state.session.clone()
        };
        if let Some(session) = session {
            session.detach(client.id);
        }
        let mut watchers = self.watchers.lock();
        watchers.watches.remove_conn(client.id);
        watchers.clients.remove(&client.id);
    }

    pub fn clients(&self) -> Vec<Arc<Client>> {
        self.watchers.lock().clients.values().cloned().collect()
    }

    pub fn client_count(&self) -> usize {
        self.watchers.lock().clients.len()
    }

    pub fn watch_count(&self) -> usize {
        self.watchers.lock().watches.total()
    }

    pub fn with_watches(&self, look: impl FnOnce(&Watches)) {
        look(&self.watchers.lock().watches);
    }

    pub fn client(&self, id: ConnId) -> Option<Arc<Client>> {
        self.watchers.lock().clients.get(&id).cloned()
    }

    /// Below the floor of free space writes are refused, so that what is acknowledged can still be put away.
    pub fn set_out_of_room(&self, low: bool) {
        if self.out_of_room.swap(low, Ordering::Relaxed) != low {
            if low {
                tracing::error!(
                    "the disk is nearly full: refusing writes other than deletes until there is room"
                );
            } else {
                tracing::warn!("there is room on the disk again: accepting writes");
            }
        }
    }

    fn refuses(&self, op: OpCode) -> bool {
        self.out_of_room.load(Ordering::Relaxed)
            && !matches!(op, OpCode::DELETE | OpCode::CLOSE_SESSION)
    }

    pub fn request_throttle(&self) -> Option<&Arc<RequestThrottle>> {
        self.throttle.as_ref()
    }

    /// The chance of a handshake to be refused before tokens are asked for.
    pub fn connection_drop_chance(&self) -> f64 {
        self.connection_throttle
            .as_ref()
            .map_or(0.0, |throttle| throttle.lock().drop_chance())
    }

    /// Too much is under way to take on more from a connection that waits already.
    pub fn is_busy(&self) -> bool {
        self.outstanding() > self.settings.outstanding_max
            || self.group_bytes.load(Ordering::Relaxed) > GROUP_BYTES_MAX
    }

    /// Takes the complete frames at the front of `input`, answers what can be answered, and queues the rest.
    pub fn receive(
        &self,
        client: &Arc<Client>,
        input: &[u8],
        waited: Option<&mut Waited>,
    ) -> Received {
        let mut kicked = None;
        let received = {
            let mut batch = Batch {
                tree: self.tree.read(),
                prep: None,
                now: Instant::now(),
                wall_ms: None,
                answered: 0,
                submitted: 0,
                place: None,
                waited,
                too_late: false,
            };
            let mut state = client.state();
            let received = self.take_frames(client, &mut state, &mut batch, input, &mut kicked);
            drop(state);
            self.finish_batch(client, batch);
            received
        };
        if let Some(old) = kicked.and_then(|id| self.client(id)) {
            old.kill();
        }
        received
    }

    fn finish_batch(&self, client: &Client, batch: Batch<'_>) {
        let Batch {
            tree,
            prep,
            now,
            answered,
            submitted,
            ..
        } = batch;
        let last = tree.last_zxid();
        drop(tree);
        if let Some(prep) = prep {
            self.group_bytes
                .store(prep.group.bytes.len(), Ordering::Relaxed);
            self.outstanding.fetch_add(submitted, Ordering::Relaxed);
            drop(prep);
            self.work.notify_one();
        }
        if answered > 0 {
            let latency_ms = now.elapsed().as_millis() as i64;
            self.stats.answered(answered, latency_ms);
            self.stats
                .metrics
                .readlatency
                .record_many(latency_ms, answered);
            client
                .stats
                .answered(answered, latency_ms, last.0, self.now_ms());
        }
    }

    fn take_frames<'a>(
        &'a self,
        client: &Arc<Client>,
        state: &mut State,
        batch: &mut Batch<'a>,
        input: &[u8],
        kicked: &mut Option<ConnId>,
    ) -> Received {
        let mut rest = input;
        let mut frames = 0;
        let mut touched = false;
        let mut stalled = false;
        while state.takes_requests() && !state.is_full() && state.phase != Phase::Connecting {
            let bytes_max = self.settings.frame_bytes_max;
            let (frame, after) = match jute::frame::split(rest, bytes_max) {
                Ok(Some(split)) if self.large.has_room(split.0.len()) => split,
                Ok(None) if !self.announces_too_much(rest) => break,
                Ok(_) => {
                    self.reject_large(client, state);
                    break;
                }
                Err(e) => {
                    tracing::warn!(remote = %client.remote, "closing a connection: {e}");
                    state.close_in_turn();
                    break;
                }
            };
            if let Some(throttle) = &self.throttle {
                let end = input.len() - after.len();
                match self.turn(throttle, state, batch, frame, end) {
                    Turn::Now => {}
                    Turn::Later => {
                        stalled = true;
                        break;
                    }
                    Turn::Never => {
                        tracing::info!(remote = %client.remote, "closing a connection: a request of it is stale");
                        break;
                    }
                }
            }
            rest = after;
            frames += 1;
            if state.phase == Phase::New {
                self.handshake(client, state, batch, frame, kicked);
                continue;
            }
            if !touched {
                touched = true;
                let Some(session) = &state.session else { break };
                if session.is_closing() {
                    // Its end is on the way; what comes now is not answered.
                    rest = &[];
                    break;
                }
                self.sessions.touch(session, self.now_ms());
            }
            self.request(client, state, batch, frame);
        }
        if frames > 0 {
            self.stats
                .metrics
                .bytes_received_count
                .add((input.len() - rest.len()) as u64);
            self.stats.received(frames);
            client.stats.received.fetch_add(frames, Ordering::Relaxed);
        }
        if !state.takes_requests() {
            // Nothing that comes is looked at any more.
            rest = &[];
        }
        let consumed = input.len() - rest.len();
        let wanted = match rest.first_chunk::<4>() {
            Some(len) => (u32::from_be_bytes(*len) as usize).saturating_add(4),
            None => 4,
        };
        Received {
            consumed,
            wanted,
            stalled,
        }
    }

    /// Whether the frame that is not complete yet will not fit beside the large ones under way.
    fn announces_too_much(&self, rest: &[u8]) -> bool {
        jute::frame::length(rest, self.settings.frame_bytes_max)
            .is_ok_and(|len| len.is_some_and(|len| !self.large.has_room(len)))
    }

    #[cold]
    fn reject_large(&self, client: &Client, state: &mut State) {
        self.stats.metrics.large_requests_rejected.add(1);
        tracing::warn!(remote = %client.remote, "closing a connection: too many bytes of large requests are under way");
        state.close_in_turn();
    }

    #[cold]
    fn turn(
        &self,
        throttle: &RequestThrottle,
        state: &mut State,
        batch: &mut Batch<'_>,
        frame: &[u8],
        end: usize,
    ) -> Turn {
        let metrics = &self.stats.metrics;
        let op = match (state.phase, frame.get(4..8)) {
            (Phase::New, _) => OpCode::CREATE_SESSION,
            (_, Some(&[a, b, c, d])) => OpCode(i32::from_be_bytes([a, b, c, d])),
            _ => OpCode(0),
        };
        let mut is_stale = false;
        let mut age = Duration::ZERO;
        if let Some(waited) = &mut batch.waited {
            let timeout_ms = state
                .session
                .as_ref()
                .map_or(i32::MAX, |session| session.timeout_ms());
            let timeout = Duration::from_millis(timeout_ms.max(0) as u64);
            age = waited.age(end, batch.now);
            is_stale = throttle.is_stale(op, waited.peer_gone, age, timeout);
            if is_stale && throttle.settings.drop_stale {
                metrics.stale_requests_dropped.add(1);
                state.kill();
                return Turn::Never;
            }
            if batch.place.is_none() {
                batch.place = waited.place.take();
            }
        }
        if batch.place.is_none() {
            batch.place = throttle.try_enter();
        }
        if batch.place.is_none() {
            metrics.request_throttle_wait_count.add(1);
            return Turn::Later;
        }
        if is_stale {
            metrics.stale_requests.add(1);
        }
        metrics
            .request_throttle_queue_time_ms
            .record(age.as_millis() as i64);
        batch.too_late = throttle.is_too_late(op, age);
        Turn::Now
    }

    fn request<'a>(
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
        if self.refuses(header.op) {
            return self.refuse(state, batch, header.xid, ErrorCode::SYSTEM_ERROR);
        }
        let session_error = session.is_closing().then_some(ErrorCode::SESSION_EXPIRED);
        if header.op == OpCode::CLOSE_SESSION && !session.begin_closing() {
            return;
        }
        let request = Request {
            session: session.id,
            session_error,
            cxid: header.xid,
            op: header.op,
            body,
            ids: &state.ids,
            origin: Some(client.clone()),
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
                });
            }
            Written::Undecodable => {
                self.refuse(state, batch, header.xid, ErrorCode::MARSHALLING_ERROR);
            }
        }
    }

    /// auth and sasl: what is read after them is judged by who the connection is then.
    fn identify(&self, client: &Client, state: &mut State, header: RequestHeader, body: &[u8]) {
        if header.op == OpCode::SASL {
            if jute::from_slice::<GetSaslRequest<'_>>(body).is_err() {
                return state.close_in_turn();
            }
            // No SASL is set up here: clients take an answer without a token as that.
            let mut reply = Vec::new();
            put_reply(&mut reply, header.xid, 0, |out| {
                ops::put(
                    out,
                    &SetSaslResponse {
                        token: jute::Buffer::NULL,
                    },
                );
                Ok(())
            });
            return state.answer_in_turn(&reply);
        }
        let Ok(packet) = jute::from_slice::<AuthPacket<'_>>(body) else {
            return state.close_in_turn();
        };
        let outcome = self.rules.providers.authenticate(
            packet.scheme.as_str(),
            packet.auth.as_bytes(),
            client.remote.ip(),
        );
        match outcome {
            AuthOutcome::Added(new) => {
                let mut ids = state.ids.to_vec();
                for id in new {
                    if !ids.contains(&id) {
                        ids.push(id);
                    }
                }
                state.ids = ids.into();
                state.answer_in_turn(&header_frame(header.xid, 0, ErrorCode::OK));
            }
            AuthOutcome::Accepted => {
                state.answer_in_turn(&header_frame(header.xid, 0, ErrorCode::OK))
            }
            AuthOutcome::Refused => {
                self.stats.auth_failed.fetch_add(1, Ordering::Relaxed);
                state.answer_in_turn(&header_frame(header.xid, 0, ErrorCode::AUTH_FAILED));
                state.close_in_turn();
            }
            AuthOutcome::Close => state.close_in_turn(),
        }
    }

    /// Answers one read from the tree as it is.
    #[expect(clippy::too_many_arguments)]
    fn answer(
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

    /// A request of the server itself.
    fn submit_own(&self, session: SessionId, op: OpCode, body: &[u8]) {
        let tree = self.tree.read();
        let mut prep = self.prep.lock();
        let request = Request {
            session,
            session_error: None,
            cxid: 0,
            op,
            body,
            ids: &[],
            origin: None,
            held: None,
        };
        prep.submit(&tree, &self.rules, wall_ms(), request);
        self.outstanding.fetch_add(1, Ordering::Relaxed);
        drop(prep);
        drop(tree);
        self.work.notify_one();
    }
}

pub fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64)
}
