//! Listening on the election port, and hearing whose a connection is.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::peers::Tie;
use super::{ElectionNetConfig, ElectionNetError, Shared, address, dial};
use crate::ids::ServerId;
use crate::membership::PeerAddress;
use crate::net::listener::{self, BACKLOG, ListenSettings};
use crate::proto::election::Greeting;

/// Between attempts to listen: a server that has just gone may leave its port for a while.
const BIND_RETRY: Duration = Duration::from_secs(1);
/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

pub(super) async fn bind_all(
    own: &[PeerAddress],
    config: &ElectionNetConfig,
) -> Result<Vec<TcpListener>, ElectionNetError> {
    let mut listeners = Vec::new();
    let mut ports = Vec::new();
    for address in own {
        let text = match config.listen_on_all_addresses {
            true if ports.contains(&address.election_port) => continue,
            true => format!("0.0.0.0:{}", address.election_port),
            false => address.election(),
        };
        ports.push(address.election_port);
        listeners.push(bind(&text, config).await?);
    }
    Ok(listeners)
}

async fn bind(address: &str, config: &ElectionNetConfig) -> Result<TcpListener, ElectionNetError> {
    let mut attempts = 0;
    loop {
        let error = match bind_once(address).await {
            Ok(listener) => {
                tracing::info!("{} listens for elections on {address}", config.id);
                return Ok(listener);
            }
            Err(error) => error,
        };
        attempts += 1;
        if config.bind_attempts_max > 0 && attempts >= config.bind_attempts_max {
            return Err(ElectionNetError::Bind {
                address: address.to_owned(),
                attempts,
                error,
            });
        }
        tracing::warn!("cannot listen on the election address {address}, trying again: {error}");
        tokio::time::sleep(BIND_RETRY).await;
    }
}

async fn bind_once(address: &str) -> io::Result<TcpListener> {
    let found = tokio::net::lookup_host(address).await?.next();
    let mut address = found.ok_or(io::ErrorKind::NotFound)?;
    if address.ip().is_unspecified() && has_ipv6() {
        // The wildcard takes both families.
        address = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port());
    }
    let listener = listener::bind(&ListenSettings {
        address,
        backlog: BACKLOG,
        per_ip_max: 0,
        total_max: 0,
        keepalive: false,
    })?;
    TcpListener::from_std(listener.into())
}

fn has_ipv6() -> bool {
    std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// At another address than before. Goes on trying: the server works without, as long as it dials others.
pub(super) fn again(shared: Arc<Shared>, own: Vec<PeerAddress>) {
    shared.runtime.clone().spawn(async move {
        shared.accept_on(Vec::new());
        let told = address::told(&own, shared.config.multiple_addresses).await;
        shared.configs.lock().own_addresses = told;
        let for_ever = ElectionNetConfig {
            bind_attempts_max: 0,
            ..shared.config.clone()
        };
        if let Ok(listeners) = bind_all(&own, &for_ever).await
            && !shared.is_stopped.load(Ordering::Relaxed)
            // It may have taken so long that the server moved on.
            && shared.configs.lock().listens == own
        {
            shared.accept_on(listeners);
        }
    });
}

/// Accepts until it is told to stop.
pub(super) async fn run(shared: Arc<Shared>, listener: TcpListener, stop: Arc<Notify>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.notified() => return,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("cannot accept on the election port: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Ok(place) = shared.handshakes.clone().try_acquire_owned() else {
            tracing::warn!(
                "too many election connections that do not say whose they are, closing that of {remote}"
            );
            continue;
        };
        let shared = shared.clone();
        shared.runtime.clone().spawn(async move {
            let limit = shared.config.handshake_timeout;
            match tokio::time::timeout(limit, hear(&shared, stream, remote)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!("closing the election connection of {remote}: {error}")
                }
                Err(_) => tracing::warn!(
                    "closing the election connection of {remote}: it does not say whose it is"
                ),
            }
            drop(place);
        });
    }
}

async fn hear(shared: &Arc<Shared>, stream: TcpStream, remote: SocketAddr) -> io::Result<()> {
    dial::configure(&stream, shared.config.tcp_keepalive)?;
    let mut stream = shared.config.security.accepted(stream).await?;
    let mut bytes = BytesMut::with_capacity(256);
    let greeting = loop {
        if let Some(greeting) = Greeting::decode(&mut bytes).map_err(invalid)? {
            break greeting;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it ends inside its greeting",
            ));
        }
    };
    tracing::debug!("{remote} greets as server {}", greeting.server_id);
    if let Some(auth) = &shared.config.auth {
        bytes = auth.ask(&mut stream, bytes, remote).await?;
    }
    let peer = ServerId(greeting.server_id);
    let tie = shared.peers.lock().break_tie(peer);
    match tie {
        Tie::Keep(peer) => shared.connected(peer, stream, bytes),
        Tie::DialBack => {
            drop(stream);
            match greeting.addresses.is_empty() {
                true => dial::configured(shared.clone(), peer),
                // A server that is not in the configuration can be reached only here.
                false => dial::at(shared.clone(), peer, greeting.addresses),
            }
        }
        Tie::Myself => tracing::warn!(
            "{remote} greets with the number of this server, {peer}: two servers have the same myid"
        ),
    }
    Ok(())
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
