//! A connection between two servers: a byte stream that is encrypted or not. Whoever uses it need not know which.
//!
//! Clones are the same connection; one of them reads, and any thread may write as long as one does at a time. Answers
//! to the sockets that `UnifiedServerSocket` and `X509Util.createSSLSocket` give.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::tls::session::{Handshake, Session};

#[derive(Clone)]
pub struct PeerStream(Arc<Inner>);

struct Inner {
    tcp: TcpStream,
    tls: Option<Session>,
}

/// What the socket does without waiting.
struct Raw<'a>(&'a TcpStream);

impl Read for Raw<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(out)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PeerStream {
    pub fn plain(tcp: TcpStream) -> PeerStream {
        PeerStream(Arc::new(Inner { tcp, tls: None }))
    }

    /// The handshake of who accepted; what the other side showed is for the caller to judge.
    pub async fn accept(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<PeerStream> {
        PeerStream::shake_hands(tcp, Session::server(config)?).await
    }

    pub async fn connect(
        tcp: TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<PeerStream> {
        PeerStream::shake_hands(tcp, Session::client(config, name)?).await
    }

    async fn shake_hands(tcp: TcpStream, session: Session) -> io::Result<PeerStream> {
        loop {
            match session.handshake(&mut Raw(&tcp))? {
                Handshake::Done => break,
                Handshake::Input => tcp.readable().await?,
                Handshake::Room => tcp.writable().await?,
            }
        }
        Ok(PeerStream(Arc::new(Inner {
            tcp,
            tls: Some(session),
        })))
    }

    pub fn tls(&self) -> Option<&Session> {
        self.0.tls.as_ref()
    }

    pub fn peer_certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        self.tls()?.peer_certificates()
    }

    /// Version and cipher suite, for the log.
    pub fn agreed(&self) -> String {
        self.tls()
            .map_or_else(|| "plaintext".to_owned(), Session::agreed)
    }

    pub fn tcp(&self) -> &TcpStream {
        &self.0.tcp
    }

    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.tcp.peer_addr()
    }

    /// As many bytes as the socket takes now. After `WouldBlock` the same bytes have to be offered first.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.tls() {
            None => self.0.tcp.try_write(bytes),
            Some(tls) => tls.try_write(&mut Raw(&self.0.tcp), bytes),
        }
    }

    /// Ends the connection so that what was sent arrives: who closes while there is input that was not read (a TLS
    /// server sends some after its handshake) takes back what the other side has not read yet.
    pub async fn hang_up(mut self, limit: Duration) {
        if self.tls().is_none() || self.shutdown().await.is_err() {
            return;
        }
        let drain = async {
            let mut rest = [0; 1024];
            while let Ok(1..) = self.read(&mut rest).await {}
        };
        // The other side takes its time: nothing is lost any more.
        let _ = tokio::time::timeout(limit, drain).await;
    }

    /// Ends both directions, whoever else holds it.
    pub fn close(&self) {
        if let Some(tls) = self.tls() {
            tls.end(&mut Raw(&self.0.tcp));
        }
        // Fails when the other side has closed already.
        let _ = SockRef::from(&self.0.tcp).shutdown(std::net::Shutdown::Both);
    }

    fn try_read(&self, out: &mut ReadBuf<'_>) -> io::Result<()> {
        match self.tls() {
            None => drop(self.0.tcp.try_read_buf(out)?),
            Some(tls) => {
                let n = tls.read(&mut Raw(&self.0.tcp), out.initialize_unfilled())?;
                out.advance(n);
            }
        }
        Ok(())
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            // What is decrypted already makes no socket ready.
            match self.try_read(buf) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.0.tcp.poll_read_ready(cx))?
                }
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write(bytes) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.0.tcp.poll_write_ready(cx))?
                }
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(tls) = self.tls() {
            tls.end(&mut Raw(&self.0.tcp));
        }
        Poll::Ready(SockRef::from(&self.0.tcp).shutdown(std::net::Shutdown::Write))
    }
}

/// How connections between servers are made: who dials asks for TLS or does not, who is dialled takes one or both.
#[derive(Clone, Default)]
pub struct PeerSecurity(Option<Arc<dyn Securing>>);

/// What a handshake needs to know beside the socket.
pub trait Securing: Send + Sync {
    fn dialled<'a>(&'a self, tcp: TcpStream, host: &'a str) -> Securer<'a>;
    fn accepted(&self, tcp: TcpStream) -> Securer<'_>;
}

pub type Securer<'a> = Pin<Box<dyn Future<Output = io::Result<PeerStream>> + Send + 'a>>;

impl PeerSecurity {
    pub fn new(securing: Arc<dyn Securing>) -> PeerSecurity {
        PeerSecurity(Some(securing))
    }

    /// `host` is the name or number that was dialled.
    pub async fn dialled(&self, tcp: TcpStream, host: &str) -> io::Result<PeerStream> {
        match &self.0 {
            None => Ok(PeerStream::plain(tcp)),
            Some(securing) => securing.dialled(tcp, host).await,
        }
    }

    pub async fn accepted(&self, tcp: TcpStream) -> io::Result<PeerStream> {
        match &self.0 {
            None => Ok(PeerStream::plain(tcp)),
            Some(securing) => securing.accepted(tcp).await,
        }
    }
}

impl std::fmt::Debug for PeerSecurity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Tls" } else { "Plain" })
    }
}
