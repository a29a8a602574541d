//! One TCP connection to a server: frames in, frames out.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    start: usize,
    pub next_xid: i32,
}

pub enum Incoming {
    Frame(Vec<u8>),
    Closed,
    /// Nothing came for too long.
    Silence,
}

impl Connection {
    pub fn open(address: SocketAddr) -> std::io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            input: Vec::new(),
            start: 0,
            next_xid: 1,
        })
    }

    /// An error is not reported: what the server did is seen by reading.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub fn receive(&mut self, patience: Duration) -> Incoming {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(frame) = self.buffered() {
                return Incoming::Frame(frame);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stream.set_read_timeout(Some(left)).is_err() {
                return Incoming::Silence;
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Incoming::Closed,
                Ok(n) => self.input.extend_from_slice(&chunk[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Incoming::Silence;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Incoming::Closed,
            }
        }
    }

    fn buffered(&mut self) -> Option<Vec<u8>> {
        let rest = &self.input[self.start..];
        let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let frame = rest.get(4..4 + length)?.to_vec();
        self.start += 4 + length;
        if self.start == self.input.len() {
            self.input.clear();
            self.start = 0;
        }
        Some(frame)
    }
}
