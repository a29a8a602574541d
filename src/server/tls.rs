//! TLS as the configuration asks for it: for the listeners of clients, for the connections between servers, and anew
//! when a store changes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::ServerError;
use crate::config::{ClientTls, Config, QuorumTls};
use crate::net::peer_stream::{PeerSecurity, PeerStream, Securer, Securing};
use crate::net::security::ClientSecurity;
use crate::tls::context::{Context, Current};

/// Between looks at the files of the stores. Links to them, and to their directories, are followed each time.
const LOOK: Duration = Duration::from_secs(1);

/// What there is of TLS.
pub struct Securities {
    pub clients: Option<Arc<ClientSecurity>>,
    pub peers: PeerSecurity,
    /// `None`: the AdminServer speaks plaintext.
    pub admin: Option<Arc<Context>>,
    /// Those that are made anew, and of what.
    reloaded: Vec<(&'static str, Arc<Context>)>,
}

impl Securities {
    pub fn new(config: &Config) -> Result<Securities, ServerError> {
        let mut reloaded = Vec::new();
        let mut context = |what, tls: &crate::config::Tls| {
            let context =
                Context::new(tls.clone()).map_err(|e| ServerError::Config(e.to_string()))?;
            let context = Arc::new(context);
            if tls.reload {
                reloaded.push((what, context.clone()));
            }
            Ok::<_, ServerError>(context)
        };
        let clients = match &config.client_tls {
            None => None,
            Some(ClientTls {
                tls,
                handshakes_max,
                early_drop,
                ..
            }) => Some(Arc::new(ClientSecurity {
                context: context("clients", tls)?,
                handshakes_max: handshakes_max.map(u64::from),
                early_drop: *early_drop,
            })),
        };
        let peers = match &config.quorum_tls {
            None => PeerSecurity::default(),
            Some(QuorumTls {
                tls,
                dials,
                unified,
            }) => {
                tracing::info!(
                    "{}",
                    match dials {
                        true => "Using TLS encrypted quorum communication",
                        false => "Using insecure (non-TLS) quorum communication",
                    }
                );
                tracing::info!(
                    "Port unification {}",
                    if *unified { "enabled" } else { "disabled" }
                );
                PeerSecurity::new(Arc::new(Peers {
                    context: context("other servers", tls)?,
                    dials: *dials,
                    unified: *unified,
                }))
            }
        };
        let admin = config.admin.tls.as_ref();
        let admin = admin
            .map(|tls| context("the AdminServer", tls))
            .transpose()?;
        Ok(Securities {
            clients,
            peers,
            admin,
            reloaded,
        })
    }

    /// Looks for changes until it is told to stop; `None` where nobody asked for it.
    pub fn watch(&self, stop: Arc<AtomicBool>) -> io::Result<Option<JoinHandle<()>>> {
        let contexts = self.reloaded.clone();
        if contexts.is_empty() {
            return Ok(None);
        }
        let run = move || {
            while !stop.load(Ordering::Relaxed) {
                std::thread::park_timeout(LOOK);
                for (what, context) in &contexts {
                    match context.reload() {
                        None => {}
                        Some(Ok(())) => tracing::info!(
                            "the key and trust stores for {what} changed: new connections use them"
                        ),
                        Some(Err(e)) => tracing::error!(
                            "the key and trust stores for {what} changed and cannot be used, so those of before \
                             stay in use: {e}"
                        ),
                    }
                }
            }
        };
        super::thread("tls-reload", run).map(Some)
    }
}

/// Between servers.
struct Peers {
    context: Arc<Context>,
    dials: bool,
    unified: bool,
}

impl Securing for Peers {
    fn dialled<'a>(&'a self, tcp: TcpStream, host: &'a str) -> Securer<'a> {
        Box::pin(async move {
            if !self.dials {
                return Ok(PeerStream::plain(tcp));
            }
            let remote = tcp.peer_addr()?;
            let current = self.context.current();
            let client = current.client.clone();
            let client = client.ok_or_else(|| io::Error::other("there is no trust store"))?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(host.to_owned())
                .unwrap_or_else(|_| ServerName::IpAddress(remote.ip().into()));
            let stream = PeerStream::connect(tcp, client, name).await?;
            self.check(&stream, remote.ip(), Some(host), current)
                .await?;
            tracing::info!("SSL handshake complete with {remote} - {}", stream.agreed());
            Ok(stream)
        })
    }

    fn accepted(&self, tcp: TcpStream) -> Securer<'_> {
        Box::pin(async move {
            let remote = tcp.peer_addr()?;
            if !self.speaks_tls(&tcp, remote).await? {
                if self.unified {
                    tracing::info!("Accepted plaintext connection from {remote}");
                    return Ok(PeerStream::plain(tcp));
                }
                return Err(io::Error::other("Blocked insecure connection attempt"));
            }
            let current = self.context.current();
            let stream = PeerStream::accept(tcp, current.server.clone()).await?;
            let address = remote.ip().to_canonical();
            self.check(&stream, address, None, current).await?;
            tracing::info!(
                "Accepted TLS connection from {remote} - {}",
                stream.agreed()
            );
            Ok(stream)
        })
    }
}

/// Kinds of records, and the first half of a version.
const RECORDS: std::ops::RangeInclusive<u8> = 20..=24;
const TLS_MAJOR: u8 = 3;

impl Peers {
    /// By the first bytes, which stay unread. Who says nothing for long speaks plaintext.
    async fn speaks_tls(&self, tcp: &TcpStream, remote: SocketAddr) -> io::Result<bool> {
        let limit = Duration::from_millis(self.context.settings().detection_ms.into());
        let look = async {
            let mut first = [0; 2];
            loop {
                match tcp.peek(&mut first).await? {
                    // The second byte makes a socket ready that is ready already: it has to be asked for.
                    1 if RECORDS.contains(&first[0]) => tokio::time::sleep(PEEK_AGAIN).await,
                    0 | 1 => return Ok(false),
                    _ => return Ok(RECORDS.contains(&first[0]) && first[1] == TLS_MAJOR),
                }
            }
        };
        match tokio::time::timeout(limit, look).await {
            Ok(found) => found,
            Err(_) => {
                tracing::warn!(
                    "Socket mode detection of {remote} timed out after {} ms, assuming PLAINTEXT",
                    limit.as_millis()
                );
                Ok(false)
            }
        }
    }

    async fn check(
        &self,
        stream: &PeerStream,
        address: IpAddr,
        host: Option<&str>,
        current: Arc<Current>,
    ) -> io::Result<()> {
        if !self.context.checks_peers() {
            return Ok(());
        }
        let (context, host) = (self.context.clone(), host.map(str::to_owned));
        let chain = stream.peer_certificates().unwrap_or_default();
        let check = move || context.check_peer(&chain, address, host.as_deref(), &current);
        let checked = tokio::task::spawn_blocking(check).await;
        checked
            .map_err(io::Error::other)?
            .map_err(|why| io::Error::new(io::ErrorKind::PermissionDenied, why))
    }
}

/// Between looks at a connection of which one byte has come.
const PEEK_AGAIN: Duration = Duration::from_millis(10);
