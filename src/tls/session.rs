//! One TLS connection: what an application says on one side, records on the other. The socket is an argument, so that
//! any kind of it can be served, and any thread may write while one reads.
//!
//! Must not know readiness, tasks or what is said. Answers to Netty's `SslHandler` and Java's `SSLSocket`.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

/// Bytes made into records at once. What is written beyond waits for another call.
const WRITE_BYTES: usize = 64 << 10;
/// Bytes of records taken from a socket at once.
const READ_BYTES: usize = 32 << 10;

thread_local! {
    static RECORDS: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

pub struct Session {
    state: Mutex<State>,
}

struct State {
    connection: Connection,
    /// Bytes of the application that are records already, of which some are not in the socket: whoever wrote them
    /// is told when they are, and has to offer them again until then.
    unreported: usize,
    /// Records that found no room in the reader's buffer.
    ahead: Vec<u8>,
}

/// What a handshake waits for.
#[derive(Debug, PartialEq, Eq)]
pub enum Handshake {
    Done,
    Input,
    Room,
}

impl Session {
    pub fn server(config: Arc<ServerConfig>) -> io::Result<Session> {
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Session::new(connection.into()))
    }

    /// `name` is told to the other side where it is a name; who the other side is has to be checked by the caller.
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Session> {
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Session::new(connection.into()))
    }

    fn new(mut connection: Connection) -> Session {
        connection.set_buffer_limit(Some(WRITE_BYTES));
        Session {
            state: Mutex::new(State {
                connection,
                unreported: 0,
                ahead: Vec::new(),
            }),
        }
    }

    /// Goes on with the handshake as far as the socket lets it.
    pub fn handshake(&self, raw: &mut (impl Read + Write)) -> io::Result<Handshake> {
        let mut state = self.state.lock();
        let connection = &mut state.connection;
        loop {
            if !send_records(connection, raw)? {
                return Ok(Handshake::Room);
            }
            if !connection.is_handshaking() {
                return Ok(Handshake::Done);
            }
            match connection.read_tls(raw) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => process(connection, raw)?,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Handshake::Input),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// What the other side sent: 0 at the end, `WouldBlock` when nothing more can be had from the socket.
    pub fn read(&self, raw: &mut (impl Read + Write), out: &mut [u8]) -> io::Result<usize> {
        RECORDS.with_borrow_mut(|records| self.read_through(raw, records, out))
    }

    fn read_through(
        &self,
        raw: &mut (impl Read + Write),
        records: &mut [u8],
        out: &mut [u8],
    ) -> io::Result<usize> {
        loop {
            // Only one reads: what the socket has can be taken before the lock.
            if let Some(done) = self.state.lock().take_plain(raw, &[], out)? {
                return Ok(done);
            }
            let n = match raw.read(records) {
                Ok(0) => return Ok(0),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if let Some(done) = self.state.lock().take_plain(raw, &records[..n], out)? {
                return Ok(done);
            }
        }
    }

    /// What was received before and found no room; `None` when there is nothing.
    pub fn read_ahead(&self, raw: &mut impl Write, out: &mut [u8]) -> io::Result<Option<usize>> {
        self.state.lock().take_plain(raw, &[], out)
    }

    /// As many bytes as the socket took. After `WouldBlock` the same bytes have to be offered first.
    pub fn try_write(&self, raw: &mut impl Write, plain: &[u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        if !send_records(&mut state.connection, raw)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if state.unreported > 0 {
            return Ok(std::mem::take(&mut state.unreported).min(plain.len()));
        }
        let some = &plain[..plain.len().min(WRITE_BYTES)];
        let taken = state.connection.writer().write(some)?;
        if send_records(&mut state.connection, raw)? {
            return Ok(taken);
        }
        state.unreported = taken;
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Says that nothing more is sent. Best effort: a socket that is full is closed all the same.
    pub fn end(&self, raw: &mut impl Write) {
        let mut state = self.state.lock();
        state.connection.send_close_notify();
        let _ = send_records(&mut state.connection, raw);
    }

    /// The other side's certificate and what it sent along, the own one first.
    pub fn peer_certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        let state = self.state.lock();
        let chain = state.connection.peer_certificates()?;
        Some(chain.iter().map(|one| one.clone().into_owned()).collect())
    }

    /// For the log: version and cipher suite.
    pub fn agreed(&self) -> String {
        let state = self.state.lock();
        let version = state.connection.protocol_version();
        let suite = state.connection.negotiated_cipher_suite();
        let version = version.and_then(|v| v.as_str().map(str::to_owned));
        format!(
            "{} {}",
            version.unwrap_or_default(),
            suite.map_or_else(String::new, |s| format!("{:?}", s.suite()))
        )
    }
}

impl State {
    /// Some bytes that the application may have, after these records came; `None` when more is needed.
    fn take_plain(
        &mut self,
        raw: &mut impl Write,
        records: &[u8],
        out: &mut [u8],
    ) -> io::Result<Option<usize>> {
        let ahead = std::mem::take(&mut self.ahead);
        let joined;
        let mut records = if ahead.is_empty() {
            records
        } else {
            joined = [&ahead, records].concat();
            &joined
        };
        let mut filled = 0;
        loop {
            let rest = &mut out[filled..];
            match self.connection.reader().read(rest) {
                // Its end, or an `out` that is full.
                Ok(0) if filled == 0 => return Ok(Some(0)),
                Ok(0) => break,
                Ok(n) => {
                    filled += n;
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // A socket that ends without a word of TLS ends all the same.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some(filled)),
                Err(e) => return Err(e),
            }
            if records.is_empty() {
                break;
            }
            self.connection.read_tls(&mut records)?;
            process(&mut self.connection, raw)?;
        }
        self.ahead.extend_from_slice(records);
        Ok((filled > 0).then_some(filled))
    }
}

fn process(connection: &mut Connection, raw: &mut impl Write) -> io::Result<()> {
    let processed = connection.process_new_packets();
    // An alert after an error, an answer otherwise; whatever does not fit goes with what is written next.
    if connection.wants_write() {
        let _ = send_records(connection, raw);
    }
    processed
        .map(|_| ())
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// Whether all of them are in the socket.
fn send_records(connection: &mut Connection, raw: &mut impl Write) -> io::Result<bool> {
    while connection.wants_write() {
        match connection.write_tls(raw) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}
