//! Where clients connect. A reconfiguration may move it while the server runs; connections stay where they are.
//! Answers to `ServerCnxnFactory.reconfigure`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use socket2::Socket;
use tokio::task::AbortHandle;

use crate::membership::ListenAddress;
use crate::net::Words;
use crate::net::listener::{self, Counts, ListenSettings};
use crate::net::loops::Loops;
use crate::net::security::Security;
use crate::pipeline::Pipeline;

/// Between attempts to listen at a new address: another server may just be leaving it.
const BIND_RETRY: Duration = Duration::from_millis(500);

pub struct ClientPort {
    settings: ListenSettings,
    security: Security,
    counts: Arc<Counts>,
    loops: Arc<Loops>,
    pipeline: Arc<Pipeline>,
    words: Arc<dyn Words>,
    state: Mutex<State>,
}

struct State {
    address: ListenAddress,
    accepting: Option<AbortHandle>,
}

impl ClientPort {
    /// Listens. The address of `settings` is what `address` is resolved to.
    pub fn open(
        address: ListenAddress,
        settings: ListenSettings,
        security: Security,
        loops: Arc<Loops>,
        pipeline: Arc<Pipeline>,
        words: Arc<dyn Words>,
    ) -> io::Result<Arc<ClientPort>> {
        let listener = listener::bind(&settings)?;
        let port = Arc::new(ClientPort {
            settings,
            security,
            counts: Arc::default(),
            loops,
            pipeline,
            words,
            state: Mutex::new(State {
                address,
                accepting: None,
            }),
        });
        let accept = port.clone().accept(listener, port.settings.address);
        port.state.lock().accepting = Some(port.loops.spawn(accept));
        Ok(port)
    }

    /// Listens there and nowhere else from now on, as soon as that is possible.
    pub fn move_to(self: &Arc<Self>, address: ListenAddress) {
        let mut state = self.state.lock();
        if state.address == address {
            return;
        }
        tracing::info!(
            "the port for clients moves from {} to {address}",
            state.address
        );
        state.address = address.clone();
        if let Some(accepting) = state.accepting.take() {
            accepting.abort();
        }
        let port = self.clone();
        state.accepting = Some(self.loops.spawn(async move {
            let (listener, at) = port.bind(&address).await;
            port.accept(listener, at).await;
        }));
    }

    pub fn number(&self) -> u16 {
        self.state.lock().address.port
    }

    async fn bind(&self, address: &ListenAddress) -> (Socket, SocketAddr) {
        loop {
            match self.try_bind(address).await {
                Ok(bound) => return bound,
                Err(error) => {
                    tracing::error!(
                        "cannot listen for clients on {address}, trying again: {error}"
                    );
                }
            }
            tokio::time::sleep(BIND_RETRY).await;
        }
    }

    async fn try_bind(&self, address: &ListenAddress) -> io::Result<(Socket, SocketAddr)> {
        let address = address.clone();
        let resolve = move || super::resolve(&address).map_err(io::Error::other);
        let address = tokio::task::spawn_blocking(resolve).await??;
        let settings = ListenSettings {
            address,
            ..self.settings.clone()
        };
        Ok((listener::bind(&settings)?, address))
    }

    async fn accept(self: Arc<Self>, listener: Socket, address: SocketAddr) {
        let local = listener.local_addr().ok();
        let local = local.and_then(|local| local.as_socket());
        let address_of = local.unwrap_or(address);
        match &self.security {
            Security::Tls(_) => tracing::info!("binding to port {address_of} (TLS)"),
            _ => tracing::info!("binding to port {address_of}"),
        }
        let settings = ListenSettings {
            address,
            ..self.settings.clone()
        };
        listener::run(
            listener,
            settings,
            self.counts.clone(),
            self.loops.clone(),
            self.pipeline.clone(),
            self.words.clone(),
            self.security.clone(),
        )
        .await;
    }
}
