//! One session on one non-blocking connection: bytes wait here until they make whole frames or can be sent.
//! Which requests go out, and what a reply means, is a work's business.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::epoll::Epoll;
use crate::wire;

/// How many handshakes, or closes, are on their way at once while a work is prepared.
const HANDSHAKES_IN_FLIGHT_MAX: usize = 100;
const SETUP_TIMEOUT: Duration = Duration::from_secs(60);

pub struct Conn {
    stream: TcpStream,
    /// The start of a frame whose end has not come yet.
    rest: Vec<u8>,
    pub out: Vec<u8>,
    sent: usize,
    waits_for_write: bool,
    xid: i32,
}

impl Conn {
    pub fn new(stream: TcpStream) -> Conn {
        Conn {
            stream,
            rest: Vec::new(),
            out: Vec::new(),
            sent: 0,
            waits_for_write: false,
            xid: 0,
        }
    }

    /// Opens `n` sessions, at each server in turn; their connections are non-blocking afterwards.
    pub fn open(servers: &[SocketAddr], n: usize, timeout_ms: i32) -> Result<Vec<Conn>> {
        let mut conns = Vec::with_capacity(n);
        let mut hello = Vec::new();
        wire::connect(&mut hello, timeout_ms);
        while conns.len() < n {
            let first = conns.len();
            for at in first..n.min(first + HANDSHAKES_IN_FLIGHT_MAX) {
                let server = &servers[at % servers.len()];
                let mut stream = TcpStream::connect_timeout(server, SETUP_TIMEOUT)
                    .with_context(|| format!("cannot connect to {server}"))?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(SETUP_TIMEOUT))?;
                stream.write_all(&hello)?;
                conns.push(Conn::new(stream));
            }
            for conn in &mut conns[first..] {
                let frame =
                    read_frame(&mut conn.stream).context("no answer to a session's handshake")?;
                ensure!(
                    wire::granted_timeout_ms(&frame)? > 0,
                    "the server refused a new session"
                );
                conn.stream.set_nonblocking(true)?;
            }
        }
        Ok(conns)
    }

    /// Closes the sessions, so that the server has no work left over from one measurement in the next.
    pub fn close(conns: Vec<Conn>) -> Result<()> {
        let mut conns = conns;
        for chunk in conns.chunks_mut(HANDSHAKES_IN_FLIGHT_MAX) {
            for conn in chunk.iter_mut() {
                conn.stream.set_nonblocking(false)?;
                conn.stream.set_read_timeout(Some(SETUP_TIMEOUT))?;
                let mut bye = conn.out.split_off(conn.sent);
                wire::close(&mut bye, i32::MAX);
                conn.stream.write_all(&bye)?;
            }
            for conn in chunk.iter_mut() {
                // The end of the stream is the answer that counts; what comes before it is of no interest.
                let mut sink = [0; 4096];
                while conn.stream.read(&mut sink).is_ok_and(|n| n > 0) {}
            }
        }
        Ok(())
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    pub fn next_xid(&mut self) -> i32 {
        self.xid = if self.xid == i32::MAX - 1 {
            1
        } else {
            self.xid + 1
        };
        self.xid
    }

    /// Reads what is there and hands every whole frame to `each`. False: the server closed the connection.
    pub fn receive(
        &mut self,
        scratch: &mut [u8],
        mut each: impl FnMut(&mut Conn, &[u8]) -> Result<()>,
    ) -> Result<bool> {
        loop {
            let n = match self.stream.read(scratch) {
                Ok(0) => return Ok(false),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(e) => return Err(e).context("reading from the server"),
            };
            if self.rest.is_empty() {
                let left = each_frame(self, &scratch[..n], &mut each)?;
                self.rest.extend_from_slice(&scratch[n - left..n]);
            } else {
                let mut joined = std::mem::take(&mut self.rest);
                joined.extend_from_slice(&scratch[..n]);
                let left = each_frame(self, &joined, &mut each)?;
                joined.drain(..joined.len() - left);
                self.rest = joined;
            }
            // Less than there was room for was all.
            if n < scratch.len() {
                return Ok(true);
            }
        }
    }

    /// Sends what waits in `out`, as much as the socket takes.
    pub fn flush(&mut self, epoll: &Epoll, token: usize) -> Result<()> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => bail!("the server takes no more bytes"),
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e).context("writing to the server"),
            }
        }
        let blocked = self.sent < self.out.len();
        if !blocked {
            self.out.clear();
            self.sent = 0;
        }
        if blocked != self.waits_for_write {
            self.waits_for_write = blocked;
            epoll.modify(self.fd(), token, blocked)?;
        }
        Ok(())
    }
}

/// How many bytes at the end make no whole frame.
fn each_frame(
    conn: &mut Conn,
    mut bytes: &[u8],
    each: &mut impl FnMut(&mut Conn, &[u8]) -> Result<()>,
) -> Result<usize> {
    while let Some((frame, rest)) = wire::next_frame(bytes)? {
        each(conn, frame)?;
        bytes = rest;
    }
    Ok(bytes.len())
}

/// One frame from a blocking stream.
pub fn read_frame(stream: &mut impl Read) -> Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame)?;
    let length = wire::i32_at(&frame, 0)?;
    ensure!(
        (0..=256 << 20).contains(&length),
        "the server sent a frame length that is no length"
    );
    frame.resize(length as usize, 0);
    stream.read_exact(&mut frame)?;
    Ok(frame)
}
