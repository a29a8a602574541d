//! One connected socket: read by the thread that serves it, written from any. Knows readiness, and how to save
//! system calls; nothing of what passes through.

use std::io::{self, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::Socket as Raw;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::pipeline::client::Sink;

/// The half that a connection's task holds.
pub struct Socket {
    fd: AsyncFd<Arc<Raw>>,
    /// A second descriptor of it, while its send buffer is full: most never ask to be told of room.
    room: Option<AsyncFd<Arc<Raw>>>,
}

/// The half that anybody may send through.
pub struct Output(Arc<Raw>);

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
        })
    }

    pub fn output(&self) -> Output {
        Output(self.fd.get_ref().clone())
    }

    /// Zero at the end of the input.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
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
