//! Requests on their way through the server: judged ([`prep`]), made durable ([`sync`]), applied and answered
//! ([`finalize`]). Wired here. Answers to `ZooKeeperServer` and its chain of request processors.
//!
//! Reads never leave their connection's task: they are answered from the tree, under one shared lock for all the
//! frames of a wake-up. Writes go to whoever holds the log: a thread, or the task of a connection that writes alone.

pub mod admission;
pub mod audit;
mod checkpoint;
pub mod client;
mod commit;
pub mod connection_throttle;
mod finalize;
mod frames;
mod handshake;
pub mod hot_paths;
mod housekeeping;
mod identity;
mod learner;
mod local;
pub mod member;
pub mod outbox;
mod prep;
pub mod recovery;
mod remote;
mod restore;
pub mod role;
mod routing;
pub mod sasl;
pub mod stats;
mod sync;
#[cfg(test)]
mod tests;
mod turn;
mod watchers;
mod whole;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex, RwLock, RwLockReadGuard};

use crate::auth::{Id, Providers};
use crate::ids::{ConnId, SessionId};
use crate::ops::Rules;
use crate::proto::OpCode;
use crate::session::Sessions;
use crate::tree::Tree;
use crate::tree::watch::Watches;
use admission::{LargeRequests, RequestThrottle, RequestThrottleSettings};
pub use checkpoint::LastCheckpoint;
use client::{Client, Sink};
use commit::Durable;
use connection_throttle::{ConnectionThrottle, ConnectionThrottleSettings};
pub use frames::Received;
use hot_paths::HotPaths;
pub use learner::Forward;
use learner::Learning;
use member::Member;
use outbox::Outbox;
use prep::{BroughtBy, GROUP_BYTES_MAX, Prep, Request};
use role::CurrentRole;
use sasl::SaslSettings;
use stats::Stats;
use sync::Disk;
pub use sync::Wake;
use watchers::Watchers;
pub use whole::write_whole;

/// What the configuration says about requests.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Top byte of the session ids that this server makes up: no two members of an ensemble have the same.
    pub session_id_byte: u8,
    pub tick_ms: i32,
    pub session_timeout_ms_min: i32,
    pub session_timeout_ms_max: i32,
    /// `jute.maxbuffer`.
    pub frame_bytes_max: usize,
    /// `globalOutstandingLimit`.
    pub outstanding_max: usize,
    /// Schemes of which a connection must have one; empty: anybody may ask.
    pub enforced_schemes: Vec<String>,
    /// `None`: there is no SASL.
    pub sasl: Option<SaslSettings>,
    /// So long a group may wait for more; 0: not at all.
    pub flush_delay_ms: u64,
    /// When nothing has come for so long, it waits no more.
    pub write_queue_poll_ms: u64,
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
    /// New sessions are known to this server alone.
    pub local_sessions: bool,
    /// Those that want an ephemeral are made known to all.
    pub local_session_upgrades: bool,
    /// `audit.enable`.
    pub audit: bool,
    /// `leaderServes`.
    pub leader_serves: bool,
    /// `enableEagerACLCheck`.
    pub eager_acl_check: bool,
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
    /// Those of a learner, which wait for its leader.
    forwarded: Arc<AtomicUsize>,
    group_bytes: AtomicUsize,
    large: LargeRequests,
    throttle: Option<Arc<RequestThrottle>>,
    connection_throttle: Option<Mutex<ConnectionThrottle>>,
    /// The disk is nearly full: only what makes room is taken on.
    out_of_room: AtomicBool,
    disk: Disk,
    durable: Durable,
    checkpoints: checkpoint::Checkpoints,
    pub stats: Stats,
    pub hot_paths: HotPaths,
    epoch: Instant,
    role: CurrentRole,
    /// The way to the leader, of a member of an ensemble.
    upstream: OnceLock<Arc<dyn Forward>>,
    learning: Mutex<Learning>,
    /// `None`: no ensemble.
    member: OnceLock<Member>,
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
        self.outstanding.load(Ordering::Relaxed) + self.forwarded.load(Ordering::Relaxed)
    }

    /// `proved` is who it is by what came before its first frame.
    pub fn connect(
        &self,
        remote: std::net::SocketAddr,
        proved: Vec<Id>,
        sink: Box<dyn Sink>,
        outbox: Arc<Outbox>,
    ) -> Arc<Client> {
        let ids = std::iter::once(Providers::initial_id(remote.ip())).chain(proved);
        self.connect_as(remote, ids.collect(), sink, outbox)
    }

    /// With these identities and no others.
    pub fn connect_as(
        &self,
        remote: std::net::SocketAddr,
        ids: Arc<[Id]>,
        sink: Box<dyn Sink>,
        outbox: Arc<Outbox>,
    ) -> Arc<Client> {
        let mut watchers = self.watchers.lock();
        let id = watchers.new_id();
        let client = Arc::new(Client::new(id, remote, wall_ms(), ids, sink, outbox));
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
            if session.has_ended_locally() {
                // Its turn to be closed does not come any more.
                self.sessions.remove(session.id);
            }
        }
        self.stats.metrics.connection_drop_count.increment();
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

    /// Bytes of transactions that wait for the log.
    pub fn waiting_bytes(&self) -> usize {
        self.group_bytes.load(Ordering::Relaxed)
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

    /// A request of the server itself.
    fn submit_own(&self, session: SessionId, op: OpCode, body: &[u8]) {
        let tree = self.tree.read();
        let mut prep = self.prep.lock();
        let request = Request {
            session,
            session_error: None,
            ephemeral_error: None,
            cxid: 0,
            op,
            body,
            ids: &[],
            origin: None,
            is_remote: false,
            held: None,
        };
        prep.submit(&tree, &self.rules, wall_ms(), request);
        self.submitted(&mut prep, 1, BroughtBy::Many);
        drop(prep);
        drop(tree);
        self.see_to(Wake::Disk);
    }
}

pub fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64)
}
