//! HTTP/1.1, as much as operators' tools speak: requests one after the other, bodies in and out, TLS or not. What a
//! request means is the site's to say. Everything has a bound: connections, heads, the time that anything may take.
//!
//! Must not know what is served. Answers to the Jetty servers of `JettyAdminServer` and `PrometheusMetricsProvider`.

pub mod head;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::peer_stream::PeerStream;
use crate::tls::context::Context;
use head::{Framing, HEAD_BYTES_MAX, Head, Refused};

/// Who comes when so many are served waits to be accepted.
const CONNECTIONS_MAX: usize = 64;
const PIECE_BYTES: usize = 64 << 10;
/// What is left of a body that nobody read: so much is thrown away to keep the connection.
const UNREAD_BYTES_MAX: u64 = 64 << 10;
/// For the first byte and the handshake of TLS.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// Browsers that came by TLS come by TLS again.
const STRICT_TRANSPORT: &str = "max-age=86400; includeSubDomains";

/// What is spoken.
#[derive(Clone)]
pub enum Transport {
    Plain,
    /// Both, by the first byte.
    Either(Arc<Context>),
    Tls(Arc<Context>),
}

/// What a request is answered with.
pub trait Site: Send + Sync {
    /// What of the body is not read is thrown away.
    fn answer<'a>(&'a self, request: &'a Request, body: &'a mut Body<'_>) -> Answering<'a>;

    /// Somebody came without TLS who could have used it.
    fn heard_plaintext(&self) {}
}

pub type Answering<'a> = Pin<Box<dyn Future<Output = Response> + Send + 'a>>;

pub struct Request {
    pub head: Head,
    pub remote: SocketAddr,
    pub is_secure: bool,
    /// The other side's, the own one first.
    pub certificates: Vec<CertificateDer<'static>>,
}

pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub content: Content,
}

pub enum Content {
    Bytes(Bytes),
    /// From where it stands, so many bytes.
    File(File, u64),
}

impl Response {
    pub fn new(status: u16, content_type: &str, content: impl Into<Bytes>) -> Response {
        Response {
            status,
            headers: vec![("Content-Type", content_type.to_owned())],
            content: Content::Bytes(content.into()),
        }
    }

    /// Says what the status means.
    pub fn of_status(status: u16) -> Response {
        let text = format!("{status} {}\n", reason(status));
        Response::new(status, "text/plain;charset=utf-8", text)
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.headers.push((name, value.into()));
        self
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

/// A port that answers.
pub struct HttpPort {
    listener: TcpListener,
    transport: Transport,
    /// Who says nothing for so long is sent away.
    idle: Duration,
    site: Arc<dyn Site>,
}

impl HttpPort {
    /// Listens; to be called where the runtime is.
    pub fn bind(
        address: SocketAddr,
        transport: Transport,
        idle: Duration,
        site: Arc<dyn Site>,
    ) -> io::Result<HttpPort> {
        let settings = super::listener::ListenSettings {
            address,
            backlog: super::listener::BACKLOG,
            per_ip_max: 0,
            total_max: 0,
            keepalive: false,
        };
        let raw = super::listener::bind(&settings)?;
        Ok(HttpPort {
            listener: TcpListener::from_std(raw.into())?,
            transport,
            idle,
            site,
        })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts until the runtime ends.
    pub async fn run(self) {
        let port = Arc::new(self);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            match port.listener.accept().await {
                Ok((tcp, remote)) => {
                    let port = port.clone();
                    tokio::spawn(async move {
                        if let Err(e) = port.serve(tcp, remote).await {
                            tracing::debug!(%remote, "a connection for HTTP ended: {e}");
                        }
                        drop(place);
                    });
                }
                Err(e) => {
                    tracing::warn!("cannot accept HTTP: {e}");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    async fn serve(&self, tcp: TcpStream, remote: SocketAddr) -> io::Result<()> {
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let begun = timeout(HANDSHAKE_LIMIT.min(self.idle), self.begin(tcp, remote)).await;
        let Some(stream) = begun.map_err(io::Error::from)?? else {
            return Ok(());
        };
        let mut connection = Connection {
            certificates: stream.peer_certificates().unwrap_or_default(),
            is_secure: stream.tls().is_some(),
            stream,
            remote,
            input: BytesMut::new(),
            idle: self.idle,
        };
        while connection.serve_one(&*self.site).await? {}
        connection.end().await;
        Ok(())
    }

    /// `None`: it ended before it said anything.
    async fn begin(&self, tcp: TcpStream, remote: SocketAddr) -> io::Result<Option<PeerStream>> {
        let context = match &self.transport {
            Transport::Plain => return Ok(Some(PeerStream::plain(tcp))),
            Transport::Tls(context) => context,
            Transport::Either(context) => {
                let mut first = [0];
                if tcp.peek(&mut first).await? == 0 {
                    return Ok(None);
                }
                if first[0] != TLS_HANDSHAKE {
                    self.site.heard_plaintext();
                    return Ok(Some(PeerStream::plain(tcp)));
                }
                context
            }
        };
        let current = context.current();
        let stream = PeerStream::accept(tcp, current.server.clone()).await?;
        let chain = stream.peer_certificates().unwrap_or_default();
        if context.checks_peers() && !chain.is_empty() {
            let context = context.clone();
            let check = move || context.check_peer(&chain, remote.ip(), None, &current);
            let checked = tokio::task::spawn_blocking(check).await;
            checked.map_err(io::Error::other)?.map_err(|why| {
                tracing::warn!(%remote, "a certificate is not accepted: {why}");
                io::Error::new(io::ErrorKind::PermissionDenied, why)
            })?;
        }
        Ok(Some(stream))
    }
}

/// The first byte of a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

struct Connection {
    stream: PeerStream,
    remote: SocketAddr,
    certificates: Vec<CertificateDer<'static>>,
    is_secure: bool,
    /// Came, and not used yet.
    input: BytesMut,
    idle: Duration,
}

impl Connection {
    /// Whether another request may follow.
    async fn serve_one(&mut self, site: &dyn Site) -> io::Result<bool> {
        let head = match timeout(self.idle, self.read_head()).await {
            Err(_) | Ok(Ok(None)) => return Ok(false),
            Ok(Err(e)) => return Err(e),
            Ok(Ok(Some(Ok(head)))) => head,
            Ok(Ok(Some(Err(Refused(status))))) => {
                self.send(Response::of_status(status), true, false).await?;
                return Ok(false);
            }
        };
        let request = Request {
            head,
            remote: self.remote,
            is_secure: self.is_secure,
            certificates: self.certificates.clone(),
        };
        let head = &request.head;
        let mut body = Body {
            left: match head.framing {
                Framing::Length(len) => Left::Bytes(len),
                Framing::Chunked => Left::Chunk,
            },
            owes_continue: head.expects_continue,
            connection: self,
        };
        let mut response = match &*head.method {
            "TRACE" => Response::of_status(403),
            _ => site.answer(&request, &mut body).await,
        };
        let keeps_alive = head.keeps_alive && body.skip().await;
        if head.method == "HEAD" && matches!(response.content, Content::File(..)) {
            response.content = Content::Bytes(Bytes::new());
        }
        self.send(response, head.method != "HEAD", keeps_alive)
            .await?;
        Ok(keeps_alive)
    }

    /// `None` at the end of what comes.
    async fn read_head(&mut self) -> io::Result<Option<Result<Head, Refused>>> {
        loop {
            match head::parse(&self.input) {
                Ok(Some((head, len))) => {
                    self.input.advance(len);
                    return Ok(Some(Ok(head)));
                }
                Ok(None) => {}
                Err(refused) => return Ok(Some(Err(refused))),
            }
            self.input.reserve(HEAD_BYTES_MAX);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Some more input; an error at its end.
    async fn read_more(&mut self) -> io::Result<()> {
        self.input.reserve(PIECE_BYTES);
        let read = self.stream.read_buf(&mut self.input);
        match timeout(self.idle, read).await {
            Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read.map(drop),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PIECE_BYTES) {
            let written = timeout(self.idle, self.stream.write_all(piece)).await;
            written.map_err(io::Error::from)??;
        }
        Ok(())
    }

    async fn send(
        &mut self,
        response: Response,
        with_content: bool,
        keeps_alive: bool,
    ) -> io::Result<()> {
        let len = match &response.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(_, len) => *len,
        };
        let mut head = format!(
            "HTTP/1.1 {} {}\r\n",
            response.status,
            reason(response.status)
        );
        let mut put = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                head.push_str(part);
            }
        };
        for (name, value) in &response.headers {
            put(name, value);
        }
        put("Content-Length", &len.to_string());
        put("X-Content-Type-Options", "nosniff");
        if self.is_secure {
            put("Strict-Transport-Security", STRICT_TRANSPORT);
        }
        put(
            "Connection",
            if keeps_alive { "keep-alive" } else { "close" },
        );
        head.push_str("\r\n");
        match response.content {
            Content::Bytes(bytes) if with_content => {
                let mut all = head.into_bytes();
                all.extend_from_slice(&bytes);
                self.write(&all).await
            }
            Content::Bytes(_) => self.write(head.as_bytes()).await,
            Content::File(file, len) => {
                self.write(head.as_bytes()).await?;
                self.send_file(file, len).await
            }
        }
    }

    async fn send_file(&mut self, mut file: File, len: u64) -> io::Result<()> {
        let mut left = len;
        while left > 0 {
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; left.min(4 * PIECE_BYTES as u64) as usize];
                file.read_exact(&mut piece).map(|()| (file, piece))
            });
            let piece;
            (file, piece) = read.await.map_err(io::Error::other)??;
            left -= piece.len() as u64;
            self.write(&piece).await?;
        }
        Ok(())
    }

    /// So that the last answer arrives: who closes with unread input takes back what the other side has not read.
    async fn end(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let drain = async {
            let mut rest = [0; 1024];
            let mut read = 0;
            while read < UNREAD_BYTES_MAX
                && let Ok(n @ 1..) = self.stream.read(&mut rest).await
            {
                read += n as u64;
            }
        };
        let _ = timeout(Duration::from_secs(1), drain).await;
    }
}

/// What comes behind the head of a request.
pub struct Body<'a> {
    connection: &'a mut Connection,
    left: Left,
    /// The other side sends nothing before it is told to go on.
    owes_continue: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Bytes(u64),
    /// The line that begins a chunk.
    Chunk,
    ChunkBytes(u64),
    /// The end of the line behind a chunk.
    ChunkEnd,
    /// Lines up to an empty one.
    Trailer,
    Nothing,
}

impl Body<'_> {
    pub fn is_empty(&self) -> bool {
        matches!(self.left, Left::Bytes(0) | Left::Nothing)
    }

    /// The next bytes, `None` at the end.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.owes_continue && !self.is_empty() {
            self.owes_continue = false;
            self.connection
                .write(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await?;
        }
        let bad = |Refused(_)| io::Error::from(io::ErrorKind::InvalidData);
        loop {
            let input = &mut self.connection.input;
            match self.left {
                Left::Nothing | Left::Bytes(0) => return Ok(None),
                Left::ChunkBytes(0) => {
                    self.left = Left::ChunkEnd;
                    continue;
                }
                Left::Bytes(left) | Left::ChunkBytes(left) if !input.is_empty() => {
                    let len = left.min(input.len() as u64);
                    let piece = input.split_to(len as usize).freeze();
                    self.left = match self.left {
                        Left::Bytes(_) => Left::Bytes(left - len),
                        _ => Left::ChunkBytes(left - len),
                    };
                    return Ok(Some(piece));
                }
                Left::Chunk => {
                    if let Some((len, line)) = head::chunk_line(input).map_err(bad)? {
                        input.advance(line);
                        self.left = match len {
                            0 => Left::Trailer,
                            len => Left::ChunkBytes(len),
                        };
                        continue;
                    }
                }
                Left::ChunkEnd => match &input[..] {
                    [b'\n', ..] => {
                        input.advance(1);
                        self.left = Left::Chunk;
                        continue;
                    }
                    [b'\r', b'\n', ..] => {
                        input.advance(2);
                        self.left = Left::Chunk;
                        continue;
                    }
                    [] | [b'\r'] => {}
                    _ => return Err(io::ErrorKind::InvalidData.into()),
                },
                Left::Trailer => {
                    if let Some(end) = input.iter().position(|b| *b == b'\n') {
                        let is_last = matches!(&input[..end], b"" | b"\r");
                        input.advance(end + 1);
                        if is_last {
                            self.left = Left::Nothing;
                        }
                        continue;
                    }
                    if input.len() > HEAD_BYTES_MAX {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                }
                Left::Bytes(_) | Left::ChunkBytes(_) => {}
            }
            self.connection.read_more().await?;
        }
    }

    /// All of it, unless it is longer.
    pub async fn whole(&mut self, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            if whole.len() + piece.len() > bytes_max {
                return Ok(None);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(Some(whole))
    }

    /// Whether the next request can be found: what nobody read is out of the way.
    async fn skip(&mut self) -> bool {
        // Who waits for a word sends nothing, or does after all: nobody can tell.
        if self.owes_continue && !self.is_empty() {
            return false;
        }
        let mut skipped = 0;
        loop {
            match self.next().await {
                Ok(None) => return true,
                Ok(Some(piece)) => skipped += piece.len() as u64,
                Err(_) => return false,
            }
            if skipped > UNREAD_BYTES_MAX {
                return false;
            }
        }
    }
}
