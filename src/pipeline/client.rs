//! The pipeline's side of a connection: what it waits for, in order, and what it is to be sent.
//!
//! A session's order is kept here. A read with no unfinished write before it is answered on the spot; one behind
//! a write waits in the queue, and is answered by whoever applies that write, before anything later is applied.
//!
//! Locks: tree, then a client's state, then watchers or prep. Nobody holds two clients' states at once.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

use super::admission::Held;
use super::outbox::Outbox;
use super::sasl::Exchange;
use crate::auth::Id;
use crate::ids::{ConnId, Xid};
use crate::ops::put;
use crate::proto::client::ReplyHeader;
use crate::proto::{ErrorCode, OpCode};
use crate::session::Session;

/// A way to send that may be used from any thread and never blocks.
pub trait Sink: Send + Sync {
    /// After the `last` bytes comes [`Sink::end`].
    fn try_send(&self, bytes: &[u8], last: bool) -> io::Result<usize>;

    /// The other side sees the end of what is sent.
    fn end(&self);

    /// Whether nobody between the two can read along.
    fn is_secure(&self) -> bool {
        false
    }
}

/// Something whose answer is still to come.
pub(super) enum Waiting {
    /// The handshake, until its session exists.
    Connect { timeout_ms: i32, legacy: bool },
    Write {
        xid: i32,
        op: OpCode,
        since: Instant,
        /// A learner's; elsewhere the transaction has it.
        held: Held,
        /// What its client hears if the leader refuses it: the leader does not know every reason.
        refused_as: Option<ErrorCode>,
        /// What was asked, for the audit log; `None` where there is none.
        audited: Option<Box<[u8]>>,
    },
    Read {
        xid: i32,
        op: OpCode,
        body: Box<[u8]>,
        ids: Arc<[Id]>,
        since: Instant,
        held: Held,
    },
    /// The leader's word that all before it is delivered here.
    Sync {
        xid: i32,
        body: Box<[u8]>,
        since: Instant,
        synced: bool,
    },
    /// The end of a session that only this server knows.
    CloseLocal { xid: i32, since: Instant },
    /// Not even looked at, but answered in its turn.
    Refused {
        xid: i32,
        err: ErrorCode,
        since: Instant,
        held: Held,
    },
    /// Bytes that were ready before their turn came.
    Ready(Box<[u8]>),
    /// Nothing after this is answered.
    Close,
}

/// How far the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first frame has not come.
    New,
    /// Its answer waits for a transaction; nothing more is read until then.
    Connecting,
    Established,
}

pub(super) struct State {
    pub phase: Phase,
    pub session: Option<Arc<Session>>,
    pub ids: Arc<[Id]>,
    /// Its SASL exchange, while the next token is awaited.
    pub sasl: Option<Exchange>,
    pub queue: VecDeque<Waiting>,
    out: Vec<u8>,
    /// Somebody is writing to the socket, outside the lock.
    sending: bool,
    /// Nothing comes after what is unsent.
    finishing: bool,
    /// The other side was told so.
    ended: bool,
    /// It was asked before whether it has closed since then.
    lingers: bool,
    /// Nothing is sent or answered any more.
    dead: bool,
    /// In the list of those to flush after the current batch.
    pub touched: bool,
    /// The task waits for something other than its socket, and has to be woken.
    paused: bool,
    waker: Option<Waker>,
}

/// A reader that takes this many bytes without reading is not served any further.
const OUT_BYTES_MAX: usize = 64 << 20;
/// With this many bytes unsent, nothing more is read from the connection.
const OUT_BYTES_HIGH: usize = 1 << 20;
/// Requests of one connection that may wait for writes before it.
const QUEUE_MAX: usize = 4096;
/// A buffer that grew beyond this is given back rather than kept.
const SPARE_BYTES_MAX: usize = 256 << 10;

#[derive(Debug, Default)]
pub struct ClientStats {
    pub received: AtomicU64,
    pub sent: AtomicU64,
    pub last_op: AtomicI32,
    pub last_xid: AtomicI32,
    pub last_zxid: AtomicI64,
    pub last_response_ms: AtomicI64,
    pub last_latency_ms: AtomicI64,
    pub min_latency_ms: AtomicI64,
    pub max_latency_ms: AtomicI64,
    pub total_latency_ms: AtomicI64,
    pub answered: AtomicU64,
}

pub struct Client {
    pub id: ConnId,
    pub remote: SocketAddr,
    /// Wall clock at which it connected.
    pub since_ms: i64,
    pub stats: ClientStats,
    sink: Box<dyn Sink>,
    outbox: Arc<Outbox>,
    state: Mutex<State>,
}

/// What the connection's own task has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Read,
    /// Bytes are left that the socket does not take.
    AwaitWritable,
    /// Too much is unanswered or unsent; a wake-up comes.
    Pause,
    /// All was said: the other side closes next. Closing first, with input unread, would reset the connection and
    /// could take the last answer along.
    AwaitEnd,
    Close,
}

impl Client {
    pub fn new(
        id: ConnId,
        remote: SocketAddr,
        since_ms: i64,
        ids: Arc<[Id]>,
        sink: Box<dyn Sink>,
        outbox: Arc<Outbox>,
    ) -> Client {
        let stats = ClientStats {
            min_latency_ms: AtomicI64::new(i64::MAX),
            ..ClientStats::default()
        };
        stats.last_zxid.store(-1, Ordering::Relaxed);
        stats.last_xid.store(-1, Ordering::Relaxed);
        let state = State {
            phase: Phase::New,
            session: None,
            ids,
            sasl: None,
            queue: VecDeque::new(),
            out: Vec::new(),
            sending: false,
            finishing: false,
            ended: false,
            lingers: false,
            dead: false,
            touched: false,
            paused: false,
            waker: None,
        };
        Client {
            id,
            remote,
            since_ms,
            stats,
            sink,
            outbox,
            state: Mutex::new(state),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub fn session(&self) -> Option<Arc<Session>> {
        self.state.lock().session.clone()
    }

    /// Of the thread that serves it.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    pub fn is_secure(&self) -> bool {
        self.sink.is_secure()
    }

    pub fn queued(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// Ends the connection without another word.
    pub fn kill(&self) {
        let mut state = self.state.lock();
        state.dead = true;
        wake(state);
    }

    pub fn wake(&self) {
        wake(self.state.lock());
    }

    /// Raw text, then the end: for four-letter words.
    pub fn finish_with(&self, text: Vec<u8>) {
        let mut state = self.state.lock();
        match state.out.is_empty() {
            true => state.out = text,
            false => state.out.extend_from_slice(&text),
        }
        state.finishing = true;
    }

    /// Looked at by the connection's task before it waits; remembers whom to wake. `has_unread`: it holds input that
    /// was not taken.
    pub fn next(&self, waker: &Waker, has_unread: bool) -> Next {
        let mut state = self.state.lock();
        if !state.waker.as_ref().is_some_and(|w| w.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        state.paused = false;
        if state.dead {
            return Next::Close;
        }
        if !state.out.is_empty() && !state.sending {
            return Next::AwaitWritable;
        }
        if state.finishing {
            return Next::AwaitEnd;
        }
        // While its session begins a client says nothing, nearly always: then it need not be woken either.
        let connecting = state.phase == Phase::Connecting && has_unread;
        state.paused = !state.takes_requests() || connecting || state.is_full();
        if state.paused {
            Next::Pause
        } else {
            Next::Read
        }
    }

    /// Nothing is left that the socket did not take.
    pub fn is_sent(&self) -> bool {
        self.state.lock().out.is_empty()
    }

    /// Asked from time to time: true when the other side had all the time between two of the questions to close.
    pub fn lingers(&self) -> bool {
        let mut state = self.state.lock();
        state.ended && std::mem::replace(&mut state.lingers, true)
    }

    /// Waits for an answer before more is read, if there is one to wait for.
    pub fn pause_if_waiting(&self) -> bool {
        let mut state = self.state.lock();
        state.paused = !state.queue.is_empty();
        state.paused
    }

    pub fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    /// Sends what there is, unless somebody else is at it: that one goes on until nothing is left.
    pub fn flush(&self) {
        let mut spare = SPARE.take();
        let mut state = self.state.lock();
        state.touched = false;
        while !state.sending && !state.dead {
            if state.out.is_empty() {
                if state.finishing && !state.ended {
                    state.ended = true;
                    drop(state);
                    self.sink.end();
                }
                break;
            }
            state.sending = true;
            std::mem::swap(&mut state.out, &mut spare);
            let last = state.finishing;
            drop(state);

            let sent = self.send(&spare, last);

            state = self.state.lock();
            state.sending = false;
            match sent {
                Ok(n) if n == spare.len() => spare.clear(),
                Ok(n) => {
                    // The socket is full. The rest goes first; the task waits for room.
                    spare.drain(..n);
                    let later = std::mem::take(&mut state.out);
                    spare.extend_from_slice(&later);
                    state.out = std::mem::take(&mut spare);
                    return wake(state);
                }
                Err(_) => {
                    state.dead = true;
                    state.out = Vec::new();
                    return wake(state);
                }
            }
            if state.paused && state.out.is_empty() && !state.finishing {
                wake(state);
                break;
            }
        }
        spare.clear();
        if spare.capacity() <= SPARE_BYTES_MAX {
            SPARE.set(spare);
        }
    }

    fn send(&self, bytes: &[u8], last: bool) -> io::Result<usize> {
        let mut at = 0;
        while at < bytes.len() {
            match self.sink.try_send(&bytes[at..], last) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => at += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(at)
    }
}

/// Wakes the connection's task, outside of the lock.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

thread_local! {
    /// An output buffer per thread, so that idle connections hold none.
    static SPARE: std::cell::Cell<Vec<u8>> = const { std::cell::Cell::new(Vec::new()) };
}

impl State {
    /// The oldest sync has what it waited for. False if none waits.
    pub(super) fn sync_done(&mut self) -> bool {
        let oldest = self.queue.iter_mut().find_map(|waiting| match waiting {
            Waiting::Sync { synced, .. } if !*synced => Some(synced),
            _ => None,
        });
        oldest.map(|synced| *synced = true).is_some()
    }

    pub(super) fn is_open(&self) -> bool {
        !self.dead && !self.finishing
    }

    /// Nothing that is read after the frame that ends the connection counts.
    pub(super) fn takes_requests(&self) -> bool {
        self.is_open()
            && !matches!(
                self.queue.back(),
                Some(Waiting::Close | Waiting::CloseLocal { .. })
            )
    }

    /// No more of its requests are taken on until some are answered, or some answers are sent.
    pub(super) fn is_full(&self) -> bool {
        self.out.len() > OUT_BYTES_HIGH || self.queue.len() >= QUEUE_MAX
    }

    /// The output, for appending whole frames.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        if self.out.len() > OUT_BYTES_MAX {
            self.dead = true;
            self.out = Vec::new();
            // Its task may be waiting for a socket that takes nothing any more.
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
        if self.out.capacity() == 0 {
            self.out = SPARE.take();
        }
        &mut self.out
    }

    pub(super) fn finish(&mut self) {
        self.finishing = true;
        self.queue.clear();
    }

    pub(super) fn kill(&mut self) {
        self.dead = true;
        self.queue.clear();
        self.out = Vec::new();
    }

    /// Bytes whose turn is now, or after what waits.
    pub(super) fn answer_in_turn(&mut self, bytes: &[u8]) {
        if self.queue.is_empty() {
            self.out().extend_from_slice(bytes);
        } else {
            self.queue.push_back(Waiting::Ready(bytes.into()));
        }
    }

    pub(super) fn close_in_turn(&mut self) {
        if self.queue.is_empty() {
            self.finish();
        } else {
            self.queue.push_back(Waiting::Close);
        }
    }
}

/// Appends a reply frame; `body` gives the code, and after an error what it wrote is cut off.
pub(super) fn put_reply(
    out: &mut Vec<u8>,
    xid: i32,
    zxid: i64,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), ErrorCode>,
) {
    let start = out.len();
    let xid = xid.to_be_bytes();
    out.extend_from_slice(&[0, 0, 0, 0, xid[0], xid[1], xid[2], xid[3]]);
    out.extend_from_slice(&zxid.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    if let Err(code) = body(out) {
        out.truncate(start + 20);
        out[start + 16..].copy_from_slice(&code.0.to_be_bytes());
    }
    let len = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}

/// A reply of nothing but its header.
pub(super) fn header_frame(xid: i32, zxid: i64, err: ErrorCode) -> Vec<u8> {
    let mut out = 16i32.to_be_bytes().to_vec();
    put(&mut out, &ReplyHeader { xid, zxid, err });
    out
}

/// The xid of the answer: a ping's is always the same.
pub(super) fn reply_xid(op: OpCode, xid: i32) -> i32 {
    if op == OpCode::PING { Xid::PING.0 } else { xid }
}
