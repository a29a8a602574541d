//! One connected socket, encrypted or not: read by the thread that serves it, written from any. Knows readiness, and
//! how to save system calls; nothing of what passes through.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use socket2::Socket as Raw;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::pipeline::client::Sink;
use crate::tls::session::{Handshake, Session};

/// How a TLS connection begins: the kind of its first record, and the first half of a version.
const HANDSHAKE_RECORD: u8 = 0x16;
const TLS_MAJOR: u8 = 3;

/// The half that a connection's task holds.
pub struct Socket {
    fd: AsyncFd<Arc<Raw>>,
    /// A second descriptor of it, while its send buffer is full: most never ask to be told of room.
    room: Option<AsyncFd<Arc<Raw>>>,
    tls: Option<Arc<Session>>,
}

/// The half that anybody may send through.
struct Output(Arc<Raw>);

/// The same, encrypted.
struct TlsOutput {
    raw: Arc<Raw>,
    tls: Arc<Session>,
}

/// To be told on this thread what a socket is ready for.
pub fn watch(raw: Raw, interest: Interest) -> io::Result<AsyncFd<Arc<Raw>>> {
    // SAFETY: a socket keeps its descriptor until it is dropped, and this one is not taken out before.
    Ok(unsafe { AsyncFd::register_with_interest(Arc::new(raw), interest) }?)
}

impl Socket {
    /// `raw` is non-blocking. Has to be called on the thread that is to serve it.
    pub fn new(raw: Raw) -> io::Result<Socket> {
        Ok(Socket {
            fd: watch(raw, Interest::READABLE)?,
            room: None,
            tls: None,
        })
    }

    pub fn output(&self) -> Box<dyn Sink> {
        let raw = self.fd.get_ref().clone();
        match &self.tls {
            None => Box::new(Output(raw)),
            Some(tls) => Box::new(TlsOutput {
                raw,
                tls: tls.clone(),
            }),
        }
    }

    /// Whether the first bytes are those of a TLS connection; they stay unread.
    pub async fn begins_with_tls(&self) -> io::Result<bool> {
        loop {
            let mut ready = self.fd.readable().await?;
            let mut first = [MaybeUninit::uninit(); 2];
            let flags = libc::MSG_PEEK;
            match ready.get_inner().recv_with_flags(&mut first, flags) {
                Ok(n) => {
                    // SAFETY: that many were filled in.
                    let first = first.map(|byte| unsafe { byte.assume_init() });
                    match (n, first[0], first[1]) {
                        (1, HANDSHAKE_RECORD, _) => ready.clear_ready(),
                        (0 | 1, ..) => return Ok(false),
                        (_, kind, major) => {
                            return Ok(kind == HANDSHAKE_RECORD && major == TLS_MAJOR);
                        }
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The handshake; after it everything is encrypted.
    pub async fn secure(mut self, config: Arc<ServerConfig>) -> io::Result<Socket> {
        let session = Session::server(config)?;
        let raw = self.fd.get_ref().clone();
        let step = || session.handshake(&mut &*raw);
        let mut waits_for = step()?;
        loop {
            match waits_for {
                Handshake::Done => break,
                Handshake::Input => {
                    let mut ready = self.fd.readable().await?;
                    waits_for = step()?;
                    if waits_for == Handshake::Input {
                        ready.clear_ready();
                    }
                }
                Handshake::Room => {
                    let room = watch(raw.try_clone()?, Interest::WRITABLE)?;
                    let mut ready = room.writable().await?;
                    waits_for = step()?;
                    if waits_for == Handshake::Room {
                        ready.clear_ready();
                    }
                }
            }
        }
        self.tls = Some(Arc::new(session));
        Ok(self)
    }

    /// The other side's, where it has shown any.
    pub fn peer_certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        self.tls.as_ref()?.peer_certificates()
    }

    /// Zero at the end of the input.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Some(tls) = &self.tls {
            return self.poll_read_tls(tls, cx, buf);
        }
        loop {
            let mut ready = ready!(self.fd.poll_read_ready(cx))?;
            match (&**self.fd.get_ref()).read(buf) {
                Ok(n) => {
                    // Less than asked for was all there is: what comes next is told anew.
                    if 0 < n && n < buf.len() {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(n));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }

    fn poll_read_tls(
        &self,
        tls: &Session,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut raw = Metered {
            raw: self.fd.get_ref(),
            is_empty: false,
        };
        loop {
            let Poll::Ready(ready) = self.fd.poll_read_ready(cx) else {
                // What was decrypted before makes no socket ready.
                return match tls.read_ahead(&mut raw, buf).transpose() {
                    Some(done) => Poll::Ready(done),
                    None => Poll::Pending,
                };
            };
            let mut ready = ready?;
            let read = tls.read(&mut raw, buf);
            if raw.is_empty {
                ready.clear_ready();
                raw.is_empty = false;
            }
            match read {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Whether the other side has closed; what it sent before may still be unread.
    pub fn is_peer_gone(&self, cx: &mut Context<'_>) -> bool {
        match self.fd.poll_read_ready(cx) {
            Poll::Ready(Ok(guard)) => guard.ready().is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }

    /// Ready when it is worth trying to send what [`Output::try_send`] did not take. `send` says whether all of it
    /// is gone then.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        send: impl Fn() -> bool,
    ) -> Poll<io::Result<()>> {
        let room = match &mut self.room {
            Some(room) => room,
            none => none.insert(watch(self.fd.get_ref().try_clone()?, Interest::WRITABLE)?),
        };
        loop {
            let mut ready = ready!(room.poll_write_ready(cx))?;
            if send() {
                drop(ready);
                self.room = None;
                return Poll::Ready(Ok(()));
            }
            ready.clear_ready();
        }
    }
}

/// Notices that a socket had no more than it gave.
struct Metered<'a> {
    raw: &'a Raw,
    is_empty: bool,
}

impl Read for Metered<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.raw.read(buf);
        self.is_empty = match &read {
            Ok(n) => 0 < *n && *n < buf.len(),
            Err(e) => e.kind() == io::ErrorKind::WouldBlock,
        };
        read
    }
}

impl Write for Metered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.raw.send_with_flags(bytes, libc::MSG_NOSIGNAL)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for TlsOutput {
    fn try_send(&self, bytes: &[u8], _: bool) -> io::Result<usize> {
        self.tls.try_write(&mut &*self.raw, bytes)
    }

    fn end(&self) {
        self.tls.end(&mut &*self.raw);
        // Fails when the other side has closed already.
        let _ = self.raw.shutdown(Shutdown::Write);
    }

    fn is_secure(&self) -> bool {
        true
    }
}

impl Sink for Output {
    fn try_send(&self, bytes: &[u8], last: bool) -> io::Result<usize> {
        // The end goes into the same segment as the last bytes.
        let flags = if last { libc::MSG_MORE } else { 0 };
        self.0.send_with_flags(bytes, libc::MSG_NOSIGNAL | flags)
    }

    fn end(&self) {
        // Fails when the other side has closed already.
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell;
    use std::future::poll_fn;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair() -> (Raw, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let raw = Raw::from(listener.accept().unwrap().0);
        raw.set_nonblocking(true).unwrap();
        (raw, other)
    }

    fn run<T>(task: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(task)
    }

    #[test]
    fn what_found_no_room_is_sent_when_there_is_some() {
        let (raw, mut other) = pair();
        let bytes = vec![7; 16 << 20];
        let sent = Cell::new(0);
        let received = run(async {
            let mut socket = Socket::new(raw).unwrap();
            let output = socket.output();
            let send = || {
                while let Ok(n @ 1..) = output.try_send(&bytes[sent.get()..], false) {
                    sent.set(sent.get() + n);
                }
                sent.get() == bytes.len()
            };
            assert!(!send(), "more than any buffer takes");
            let reader = std::thread::spawn(move || {
                let mut received = Vec::new();
                other.read_to_end(&mut received).unwrap();
                received
            });
            poll_fn(|cx| socket.poll_send(cx, send)).await.unwrap();
            assert!(socket.room.is_none());
            output.end();
            reader.join().unwrap()
        });
        assert_eq!(received.len(), bytes.len());
    }

    #[test]
    fn the_last_bytes_arrive_with_the_end() {
        let (raw, mut other) = pair();
        run(async {
            let socket = Socket::new(raw).unwrap();
            let output = socket.output();
            assert_eq!(output.try_send(b"bye", true).unwrap(), 3);
            output.end();
            let mut received = Vec::new();
            other.read_to_end(&mut received).unwrap();
            assert_eq!(received, b"bye");
            drop(other);
            let mut buf = [0; 8];
            let read = poll_fn(|cx| socket.poll_read(cx, &mut buf)).await;
            assert_eq!(read.unwrap(), 0);
            assert!(poll_fn(|cx| Poll::Ready(socket.is_peer_gone(cx))).await);
        });
    }
}
