//! How connections of clients begin where they may or have to be encrypted: what is spoken, the handshake, and who the
//! client is by its certificate. Answers to the handlers of `NettyServerCnxnFactory`, and to
//! `X509AuthenticationProvider` as far as it looks at connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::socket::Socket;
use crate::auth::Id;
use crate::pipeline::Pipeline;
use crate::tls::context::Context;
use crate::tls::names;

/// For a client to say whether it speaks TLS, and for the handshake, as Netty has it.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// What a listener takes.
#[derive(Clone)]
pub enum Security {
    Plain,
    /// Both, by the first bytes that come.
    Either(Arc<ClientSecurity>),
    Tls(Arc<ClientSecurity>),
}

pub struct ClientSecurity {
    pub context: Arc<Context>,
    /// Handshakes under way; more are turned away. `None`: no limit.
    pub handshakes_max: Option<u64>,
    /// While nobody is served, connections end before their handshake.
    pub early_drop: bool,
}

/// One of the handshakes under way.
struct UnderWay<'a>(&'a AtomicU64);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a connection ends before it began.
enum Refused {
    Quietly,
    Io(io::Error),
    Untrusted(String),
}

impl From<io::Error> for Refused {
    fn from(e: io::Error) -> Refused {
        Refused::Io(e)
    }
}

impl Security {
    /// `None` when the connection is to end. Otherwise the client's identities by its certificate come along.
    pub async fn begin(
        &self,
        socket: Socket,
        remote: SocketAddr,
        pipeline: &Pipeline,
    ) -> Option<(Socket, Vec<Id>)> {
        let (security, is_either) = match self {
            Security::Plain => return Some((socket, Vec::new())),
            Security::Either(security) => (security, true),
            Security::Tls(security) => (security, false),
        };
        // Aside, so that a connection does not keep the room of its handshake.
        let began = Box::pin(security.begin(socket, remote, is_either, pipeline));
        let refused = match tokio::time::timeout(HANDSHAKE_LIMIT, began).await {
            Ok(Ok(begun)) => return Some(begun),
            Ok(Err(refused)) => refused,
            Err(_) => Refused::Io(io::ErrorKind::TimedOut.into()),
        };
        let metrics = &pipeline.stats.metrics;
        match refused {
            Refused::Quietly => {}
            Refused::Io(e) => {
                metrics.unsuccessful_handshake.add(1);
                pipeline.stats.auth_failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%remote, "Unsuccessful handshake with session 0x0: {e}");
            }
            Refused::Untrusted(why) => {
                pipeline.stats.auth_failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%remote, "Authentication failed for session 0x0: {why}");
            }
        }
        None
    }
}

impl ClientSecurity {
    async fn begin(
        &self,
        socket: Socket,
        remote: SocketAddr,
        is_either: bool,
        pipeline: &Pipeline,
    ) -> Result<(Socket, Vec<Id>), Refused> {
        let speaks_tls = async {
            if !is_either {
                return Ok(true);
            }
            let found = tokio::time::timeout(HANDSHAKE_LIMIT, socket.begins_with_tls()).await;
            // Who says nothing at all is nobody that failed.
            found.map_err(|_| Refused::Quietly)?.map_err(Refused::Io)
        };
        if !speaks_tls.await? {
            let counter = match remote.ip().is_loopback() {
                true => &pipeline.stats.non_mtls_local,
                false => &pipeline.stats.non_mtls_remote,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            return Ok((socket, Vec::new()));
        }
        let metrics = &pipeline.stats.metrics;
        if self.early_drop && !pipeline.serves_clients() {
            metrics.cnxn_closed_without_zk_server_running.add(1);
            return Err(Refused::Quietly);
        }
        let handshakes = &pipeline.stats.handshakes;
        let under_way = handshakes.fetch_add(1, Ordering::Relaxed) + 1;
        let place = UnderWay(handshakes);
        if self.handshakes_max.is_some_and(|max| under_way > max) {
            metrics.tls_handshake_exceeded.add(1);
            return Err(Refused::Quietly);
        }
        let current = self.context.current();
        let socket = socket.secure(current.server.clone()).await?;
        drop(place);
        let Some(chain) = socket.peer_certificates().filter(|chain| !chain.is_empty()) else {
            // Nobody asked for one, or it was not needed.
            return Ok((socket, Vec::new()));
        };
        if self.context.checks_peers() {
            let (context, shown) = (self.context.clone(), chain.clone());
            let check = move || context.check_peer(&shown, remote.ip(), None, &current);
            let checked = tokio::task::spawn_blocking(check).await;
            checked
                .map_err(|e| Refused::Untrusted(e.to_string()))?
                .map_err(Refused::Untrusted)?;
        }
        let subject = names::subject_of(&chain[0]).map_err(Refused::Untrusted)?;
        let ids = pipeline.rules().providers.x509_ids(&subject);
        for id in &ids {
            tracing::info!("Authenticated Id '{}' for scheme '{}'", id.id, id.scheme);
        }
        Ok((socket, ids))
    }
}
