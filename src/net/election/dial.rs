//! Dialling a server, and saying who dials.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Shared, address};
use crate::ids::ServerId;
use crate::net::peer_stream::PeerStream;
use crate::net::reach::Tries;
use crate::proto::election::{Greeting, GreetingVersion};

/// At the addresses of the configuration.
pub(super) fn configured(shared: Arc<Shared>, peer: ServerId) {
    let configs = shared.configs.lock();
    let addresses = address::of(&configs.committed, configs.last_seen.as_ref(), peer);
    drop(configs);
    at(shared, peer, addresses);
}

/// At these addresses. Does nothing while there is an attempt or a connection.
pub(super) fn at(shared: Arc<Shared>, peer: ServerId, addresses: Vec<String>) {
    if addresses.is_empty() {
        tracing::warn!("no election address of server {peer} is known");
        return;
    }
    if shared.peers.lock().begin_dial(peer) {
        shared.runtime.clone().spawn(async move {
            attempt(&shared, peer, &addresses).await;
            shared.peers.lock().end_dial(peer);
        });
    }
}

/// A name is looked up anew each time: the server may have moved.
async fn attempt(shared: &Arc<Shared>, peer: ServerId, addresses: &[String]) {
    let config = &shared.config;
    let mut tries =
        Tries::begin(addresses, config.reachability_check, config.connect_timeout).await;
    while let Some((address, connected)) = tries.next().await {
        let greeted = async { greet(shared, peer, address, connected?).await };
        match greeted.await {
            Ok(stream) if peer < shared.config.id => {
                tracing::debug!("election connection to server {peer} at {address}");
                return shared.connected(peer, stream, BytesMut::new());
            }
            // The other side knows now that I am here, and dials.
            Ok(stream) => return stream.hang_up(shared.config.handshake_timeout).await,
            Err(error) => {
                tracing::warn!(
                    "cannot open a channel to server {peer} at election address {address}: {error}"
                );
            }
        }
    }
}

/// Says who this is.
async fn greet(
    shared: &Shared,
    peer: ServerId,
    address: &str,
    stream: TcpStream,
) -> io::Result<PeerStream> {
    configure(&stream, shared.config.tcp_keepalive)?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let securing = shared.config.security.dialled(stream, host);
    let mut stream = within(shared.config.handshake_timeout, securing).await?;
    let greeting = Greeting {
        server_id: shared.config.id.0,
        addresses: shared.configs.lock().own_addresses.clone(),
        version: match shared.config.multiple_addresses {
            true => GreetingVersion::V2,
            false => GreetingVersion::V1,
        },
    };
    let mut bytes = BytesMut::new();
    greeting.encode(&mut bytes);
    // In one piece, because the original reads it with one call.
    within(shared.config.handshake_timeout, stream.write_all(&bytes)).await?;
    // A server that is in no configuration would not be believed, and is not told anything either.
    if let Some(auth) = &shared.config.auth
        && shared.configs.lock().is_listed(peer)
    {
        let limit = shared.config.handshake_timeout;
        within(limit, auth.prove(&mut stream, address)).await?;
    }
    Ok(stream)
}

async fn within<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(time, work).await {
        Ok(done) => done,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

pub(super) fn configure(stream: &TcpStream, keepalive: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if keepalive {
        SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new())?;
    }
    Ok(())
}
