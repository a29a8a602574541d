//! Accepts connections, within the limits that are set for them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket as Raw, TcpKeepalive, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::loops::Loops;
use super::security::Security;
use super::socket::{Socket, watch};
use super::{Words, client};
use crate::pipeline::Pipeline;

#[derive(Clone, Debug)]
pub struct ListenSettings {
    pub address: SocketAddr,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// `maxClientCnxns`; 0 is no limit.
    pub per_ip_max: usize,
    /// `maxCnxns`; 0 is no limit.
    pub total_max: usize,
    pub keepalive: bool,
}

/// Connections that may wait to be accepted, where nothing else is configured: as many as Linux grants by default. Java's
/// default is 50, and whoever finds no room tries again after a second: thousands do when another server has stopped.
pub const BACKLOG: u32 = 4096;
/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The connections of one listener.
#[derive(Default)]
pub struct Counts {
    by_ip: Mutex<HashMap<IpAddr, usize, RandomState>>,
    total: AtomicUsize,
}

/// One connection's place in the counts.
struct Place {
    counts: Arc<Counts>,
    ip: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counts.total.fetch_sub(1, Ordering::Relaxed);
        let mut by_ip = self.counts.by_ip.lock();
        if let Some(count) = by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                by_ip.remove(&self.ip);
            }
        }
    }
}

impl Counts {
    fn admit(self: &Arc<Self>, settings: &ListenSettings, ip: IpAddr) -> Result<Place, String> {
        let total = self.total.load(Ordering::Relaxed);
        if settings.total_max > 0 && total >= settings.total_max {
            return Err(format!(
                "Too many connections max allowed is {}",
                settings.total_max
            ));
        }
        let mut by_ip = self.by_ip.lock();
        let count = by_ip.entry(ip).or_default();
        if settings.per_ip_max > 0 && *count >= settings.per_ip_max {
            return Err(format!(
                "Too many connections from {ip} - max is {}",
                settings.per_ip_max
            ));
        }
        *count += 1;
        self.total.fetch_add(1, Ordering::Relaxed);
        Ok(Place {
            counts: self.clone(),
            ip,
        })
    }
}

pub fn bind(settings: &ListenSettings) -> io::Result<Raw> {
    let socket = Raw::new(
        Domain::for_address(settings.address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if settings.address.is_ipv6() {
        // The wildcard takes both families, as Java's does.
        socket.set_only_v6(false)?;
    }
    // Connections inherit these two.
    socket.set_tcp_nodelay(true)?;
    if settings.keepalive {
        socket.set_tcp_keepalive(&TcpKeepalive::new())?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&settings.address.into())?;
    socket.listen(i32::try_from(settings.backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Accepts until the runtime ends.
pub async fn run(
    listener: Raw,
    settings: ListenSettings,
    counts: Arc<Counts>,
    loops: Arc<Loops>,
    pipeline: Arc<Pipeline>,
    words: Arc<dyn Words>,
    security: Security,
) {
    let listener = match watch(listener, Interest::READABLE) {
        Ok(listener) => listener,
        Err(e) => return tracing::error!("cannot accept on {}: {e}", settings.address),
    };
    loop {
        let (socket, remote) = match accept(&listener).await {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!("cannot accept on {}: {e}", settings.address);
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        match counts.admit(&settings, remote.ip()) {
            Ok(place) => {
                let (pipeline, words) = (pipeline.clone(), words.clone());
                let security = security.clone();
                loops.serve(|outbox| async move {
                    match Socket::new(socket) {
                        Ok(socket) => {
                            if let Some((socket, proved)) =
                                security.begin(socket, remote, &pipeline).await
                            {
                                client::serve(socket, remote, proved, outbox, pipeline, words)
                                    .await;
                            }
                        }
                        Err(e) => tracing::warn!(%remote, "cannot wait for a connection: {e}"),
                    }
                    drop(place);
                });
            }
            Err(why) => {
                pipeline.stats.metrics.connection_rejected.add(1);
                tracing::warn!("{why}");
                // A reset, as upstream's: the client notices at once.
                let _ = socket.set_linger(Some(Duration::ZERO));
            }
        }
    }
}

async fn accept(listener: &AsyncFd<Arc<Raw>>) -> io::Result<(Raw, SocketAddr)> {
    loop {
        let mut ready = listener.readable().await?;
        match ready
            .get_inner()
            .accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
        {
            Ok((socket, address)) => {
                let Some(remote) = address.as_socket() else {
                    continue;
                };
                let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
                return Ok((socket, remote));
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    /// More than Java's 50, fewer than any kernel's limit.
    #[test]
    fn a_rush_of_clients_need_not_try_again() -> io::Result<()> {
        let listener = bind(&ListenSettings {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            backlog: BACKLOG,
            per_ip_max: 0,
            total_max: 0,
            keepalive: false,
        })?;
        let address = listener.local_addr()?.as_socket();
        let address = address.expect("it is one of the loopback interface");
        // Nobody accepts; the kernel keeps one silent that finds no room, until it gives up.
        let rush: io::Result<Vec<_>> = (0..120).map(|_| TcpStream::connect(address)).collect();
        assert_eq!(rush?.len(), 120);
        Ok(())
    }
}
