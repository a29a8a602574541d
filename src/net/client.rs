//! A client's connection: one task that reads what is there, has all complete frames of it handled, and writes
//! once. No channel, no second task, no allocation for a read, and no buffer while it is idle.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::time::Sleep;

use super::socket::Socket;
use super::{Heard, Held, Words};
use crate::auth::Id;
use crate::pipeline::Pipeline;
use crate::pipeline::admission::{Place, RequestThrottle, Waited};
use crate::pipeline::client::{Client, Next, Phase};
use crate::pipeline::outbox::Outbox;

/// Bytes taken from a socket at once.
const READ_BYTES: usize = 64 << 10;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

struct Connection {
    socket: Socket,
    client: Arc<Client>,
    pipeline: Arc<Pipeline>,
    words: Arc<dyn Words>,
    /// What was read and not handled: the beginning of a frame, or frames behind a handshake.
    unread: Vec<u8>,
    /// Bytes that `unread` needs to hold before it is worth another look.
    wanted: usize,
    /// The frames in `unread` wait until fewer requests are in process.
    stall: Option<Stall>,
    /// Held until it is sent.
    long_answer: Held,
}

/// The wait of a connection for a place among the requests in process.
struct Stall {
    waited: Waited,
    throttle: Arc<RequestThrottle>,
    /// Set while the connection has nothing else to wait for.
    turn: Option<Pin<Box<dyn Future<Output = Option<Place>> + Send>>>,
    next_look: Pin<Box<Sleep>>,
}

impl Stall {
    fn new(throttle: &Arc<RequestThrottle>, bytes: usize) -> Stall {
        Stall {
            waited: Waited::new(bytes, Instant::now()),
            throttle: throttle.clone(),
            turn: None,
            next_look: Box::pin(tokio::time::sleep(throttle.settings.stall)),
        }
    }

    /// Ready with a place, or when it is time to see whether anybody still waits for an answer.
    fn poll(&mut self, socket: &Socket, unread: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<()> {
        self.read_ahead(socket, unread, cx);
        let throttle = &self.throttle;
        let turn = self.turn.get_or_insert_with(|| throttle.enter());
        if let Poll::Ready(place) = turn.as_mut().poll(cx) {
            self.turn = None;
            self.waited.place = place;
        }
        if self.waited.place.is_none() {
            ready!(self.next_look.as_mut().poll(cx));
            let next = tokio::time::Instant::now() + throttle.settings.stall;
            self.next_look.as_mut().reset(next);
        }
        self.waited.peer_gone = socket.is_peer_gone(cx);
        Poll::Ready(())
    }

    /// A request waits from when it came, not from when the one before it had its turn.
    fn read_ahead(&mut self, socket: &Socket, unread: &mut Vec<u8>, cx: &mut Context<'_>) {
        SCRATCH.with_borrow_mut(|scratch| {
            while unread.len() < READ_BYTES {
                let Poll::Ready(Ok(n @ 1..)) = socket.poll_read(cx, scratch) else {
                    break;
                };
                unread.extend_from_slice(&scratch[..n]);
                self.waited.arrived(n, Instant::now());
            }
        });
    }
}

/// Serves a connection until it ends. `proved` is who it is by its handshake.
///
/// No `async fn`, which would keep each argument twice: most connections are idle, and there are many.
pub fn serve(
    socket: Socket,
    remote: SocketAddr,
    proved: Vec<Id>,
    outbox: Arc<Outbox>,
    pipeline: Arc<Pipeline>,
    words: Arc<dyn Words>,
) -> impl Future<Output = ()> + Send {
    let client = pipeline.connect(remote, proved, socket.output(), outbox);
    let mut connection = Connection {
        socket,
        client,
        pipeline,
        words,
        unread: Vec::new(),
        wanted: 0,
        stall: None,
        long_answer: None,
    };
    async move {
        poll_fn(|cx| connection.poll(cx)).await;
        connection.pipeline.disconnect(&connection.client);
    }
}

impl Connection {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.client.flush();
            match self.client.next(cx.waker(), !self.unread.is_empty()) {
                Next::Close => return Poll::Ready(()),
                Next::Pause => {
                    self.give_up_turn();
                    return Poll::Pending;
                }
                Next::AwaitWritable => {
                    self.give_up_turn();
                    let client = &self.client;
                    let flushed = self.socket.poll_send(cx, || {
                        client.flush();
                        client.is_sent()
                    });
                    if ready!(flushed).is_err() {
                        return Poll::Ready(());
                    }
                    continue;
                }
                Next::AwaitEnd => {
                    self.long_answer = None;
                    return self.drain(cx);
                }
                Next::Read => {}
            }
            if self.pipeline.is_busy() && self.client.pause_if_waiting() {
                self.give_up_turn();
                return Poll::Pending;
            }
            if let Some(stall) = &mut self.stall {
                ready!(stall.poll(&self.socket, &mut self.unread, cx));
                let unread = std::mem::take(&mut self.unread);
                self.handle(&unread);
                continue;
            }
            if !self.unread.is_empty() && self.unread.len() >= self.wanted {
                let unread = std::mem::take(&mut self.unread);
                self.handle(&unread);
                continue;
            }
            if ready!(self.read(cx)).is_break() {
                return Poll::Ready(());
            }
        }
    }

    /// Reads once and handles what came. Breaks at the end of the input.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<std::ops::ControlFlow<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let Ok(n @ 1..) = ready!(self.socket.poll_read(cx, scratch)) else {
                return Poll::Ready(std::ops::ControlFlow::Break(()));
            };
            super::loops::worked();
            let input = &scratch[..n];
            if self.unread.is_empty() {
                self.handle(input);
            } else {
                self.unread.extend_from_slice(input);
                if self.unread.len() >= self.wanted {
                    let unread = std::mem::take(&mut self.unread);
                    self.handle(&unread);
                }
            }
            Poll::Ready(std::ops::ControlFlow::Continue(()))
        })
    }

    /// Others get the place that comes free while this connection cannot use it.
    fn give_up_turn(&mut self) {
        if let Some(stall) = &mut self.stall {
            stall.turn = None;
        }
    }

    fn handle(&mut self, input: &[u8]) {
        if self.client.phase() == Phase::New {
            match self.words.hear(input) {
                Heard::NoWord => {}
                Heard::More(wanted) => {
                    self.unread.extend_from_slice(input);
                    self.wanted = wanted;
                    return;
                }
                Heard::Word => {
                    self.pipeline.stats.received(1);
                    self.client.stats.received.fetch_add(1, Ordering::Relaxed);
                    let (text, held) = self.words.answer(input, self.client.remote);
                    self.pipeline.stats.sent(1);
                    self.long_answer = held;
                    return self.client.finish_with(text.into_bytes());
                }
            }
        }
        let waited = self.stall.as_mut().map(|stall| &mut stall.waited);
        let received = self.pipeline.receive(&self.client, input, waited);
        self.unread.extend_from_slice(&input[received.consumed..]);
        self.wanted = received.wanted;
        if !received.stalled {
            self.stall = None;
        } else if let Some(stall) = &mut self.stall {
            stall.waited.consumed(received.consumed);
        } else if let Some(throttle) = self.pipeline.request_throttle() {
            self.stall = Some(Stall::new(throttle, self.unread.len()));
        }
    }

    /// Ready when the other side has closed; what it still sends is of no interest.
    fn drain(&self, cx: &mut Context<'_>) -> Poll<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            while let Ok(1..) = ready!(self.socket.poll_read(cx, scratch)) {}
            Poll::Ready(())
        })
    }
}
