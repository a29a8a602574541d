//! The election port: one connection for every pair of servers, over which they exchange notifications.
//!
//! Knows how a connection comes about and who may keep it, not what a notification means. Messages are not reliable:
//! of several for a server that cannot be sent yet only the newest is kept. Answers to `QuorumCnxManager`.
//!
//! Only the server with the larger number may own the connection of a pair. The other one dials too, as it cannot know
//! whether it is missed, says who it is, and is dialled back.

mod address;
mod connection;
mod dial;
mod inbox;
mod listen;
mod peers;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use crate::ids::ServerId;
use crate::membership::{Membership, PeerAddress};
use crate::net::peer_auth::PeerAuth;
use crate::net::peer_stream::{PeerSecurity, PeerStream};
use crate::proto::election::Notification;

pub use inbox::ElectionInbox;
use peers::Peers;

#[derive(Clone, Debug)]
pub struct ElectionNetConfig {
    pub id: ServerId,
    pub committed: Membership,
    /// Its addresses are tried after those of the committed one.
    pub last_seen: Option<Membership>,
    /// `quorumListenOnAllIPs`
    pub listen_on_all_addresses: bool,
    /// `cnxTimeout`
    pub connect_timeout: Duration,
    /// `quorumCnxnTimeoutMs`; how long a connection may take to say whose it is.
    pub handshake_timeout: Duration,
    /// `tcpKeepAlive`
    pub tcp_keepalive: bool,
    /// `electionPortBindRetry`; 0: for ever.
    pub bind_attempts_max: u32,
    /// `multiAddress.enabled`: all addresses are told, in a form that servers before 3.6 refuse.
    pub multiple_addresses: bool,
    /// `multiAddress.reachabilityCheckTimeoutMs`: how long several addresses of a server are asked together; `None`
    /// (`multiAddress.reachabilityCheckEnabled=false`): they are tried one after the other.
    pub reachability_check: Option<Duration>,
    /// `sslQuorum`, `portUnification`
    pub security: PeerSecurity,
    /// `None`: nobody has to say who it is (`quorum.auth.enableSasl`).
    pub auth: Option<Arc<PeerAuth>>,
}

/// Connections that have not said yet whose they are; another one is closed at once.
const HANDSHAKES_MAX: usize = 128;

/// Sends, and keeps the connections. Clones stand for the same port.
#[derive(Clone)]
pub struct ElectionNet {
    shared: Arc<Shared>,
}

struct Shared {
    config: ElectionNetConfig,
    /// What a reconfiguration changes.
    configs: Mutex<Configs>,
    peers: Mutex<Peers>,
    inbox: Arc<inbox::Ring>,
    handshakes: Arc<Semaphore>,
    /// Of the listening sockets of now.
    listening: Mutex<Vec<Arc<Notify>>>,
    is_stopped: AtomicBool,
    /// Of whoever started it: messages may be sent from any thread.
    runtime: Handle,
}

struct Configs {
    committed: Membership,
    last_seen: Option<Membership>,
    /// Where this server listens, or tries to.
    listens: Vec<PeerAddress>,
    /// What greetings tell.
    own_addresses: Vec<String>,
}

/// The port cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ElectionNetError {
    #[error("server {0} is not in the configuration, so it has no election address to listen on")]
    NotListed(ServerId),
    #[error("cannot listen on the election address {address} after {attempts} attempts: {error}")]
    Bind {
        address: String,
        attempts: u32,
        error: io::Error,
    },
}

impl ElectionNet {
    /// Listens, and gives back where notifications arrive.
    pub async fn start(
        config: ElectionNetConfig,
    ) -> Result<(ElectionNet, ElectionInbox), ElectionNetError> {
        let own = address::own(&config.committed, config.last_seen.as_ref(), config.id)
            .ok_or(ElectionNetError::NotListed(config.id))?;
        let listeners = listen::bind_all(&own, &config).await?;
        let configs = Configs {
            committed: config.committed.clone(),
            last_seen: config.last_seen.clone(),
            own_addresses: address::told(&own, config.multiple_addresses).await,
            listens: own,
        };
        let (ring, inbox) = inbox::new();
        let shared = Arc::new(Shared {
            peers: Mutex::new(Peers::new(config.id)),
            configs: Mutex::new(configs),
            inbox: ring,
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            listening: Mutex::default(),
            is_stopped: AtomicBool::new(false),
            runtime: Handle::current(),
            config,
        });
        shared.accept_on(listeners);
        Ok((ElectionNet { shared }, inbox))
    }

    /// Hands it to the connection to that server, in place of one that still waits, and dials if there is none.
    pub fn send(&self, to: ServerId, notification: &Notification) {
        let shared = &self.shared;
        if shared.is_stopped.load(Ordering::Relaxed) {
            return;
        }
        if to == shared.config.id {
            shared.inbox.put(to, notification.clone());
            return;
        }
        let is_listed = shared.configs.lock().is_listed(to);
        let has_to_dial = shared.peers.lock().post(to, frame(notification), is_listed);
        if has_to_dial {
            dial::configured(shared.clone(), to);
        }
    }

    /// These are in force from now on. Listens anew if the own address is another one.
    pub fn reconfigure(&self, committed: &Membership, last_seen: Option<&Membership>) {
        let id = self.shared.config.id;
        let mut configs = self.shared.configs.lock();
        configs.committed = committed.clone();
        configs.last_seen = last_seen.cloned();
        // Whoever is not listed keeps its port: others may still ask it, and it may be listed again.
        let now = configs.own(id).filter(|now| *now != configs.listens);
        if let Some(now) = now {
            configs.listens.clone_from(&now);
            drop(configs);
            listen::again(self.shared.clone(), now);
        }
    }

    /// Ends all connections; nothing is received or sent any more.
    pub fn stop(&self) {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
        self.shared.accept_on(Vec::new());
        self.shared.peers.lock().stop();
    }
}

impl Shared {
    /// Takes the place of the listeners of before.
    fn accept_on(self: &Arc<Self>, listeners: Vec<tokio::net::TcpListener>) {
        let mut listening = self.listening.lock();
        for old in listening.drain(..) {
            old.notify_one();
        }
        for listener in listeners {
            let stop = Arc::new(Notify::new());
            listening.push(stop.clone());
            self.runtime
                .spawn(listen::run(self.clone(), listener, stop));
        }
    }

    /// The stream belongs to the pair from now on.
    fn connected(self: &Arc<Self>, peer: ServerId, stream: PeerStream, read_ahead: BytesMut) {
        if self.is_stopped.load(Ordering::Relaxed) {
            return;
        }
        match self.peers.lock().begin_connection(peer) {
            Some(worker) => {
                let task = connection::run(self.clone(), peer, worker, stream, read_ahead);
                self.runtime.spawn(task);
            }
            None => tracing::warn!("no room for a connection of server {peer}, closing it"),
        }
    }
}

impl Configs {
    fn own(&self, id: ServerId) -> Option<Vec<PeerAddress>> {
        address::own(&self.committed, self.last_seen.as_ref(), id)
    }

    fn is_listed(&self, id: ServerId) -> bool {
        let mut configs = std::iter::once(&self.committed).chain(self.last_seen.as_ref());
        configs.any(|config| config.servers.contains_key(&id))
    }
}

fn frame(notification: &Notification) -> Bytes {
    let mut payload = BytesMut::with_capacity(256);
    payload.put_i32(0);
    notification.encode(&mut payload);
    let length = payload.len() - 4;
    let length = i32::try_from(length).expect("a notification is far below 2 GiB");
    payload[..4].copy_from_slice(&length.to_be_bytes());
    payload.freeze()
}

#[cfg(test)]
mod tests;
