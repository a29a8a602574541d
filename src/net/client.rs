//! A client's connection: one task that reads what is there, has all complete frames of it handled, and writes
//! once. No channel, no second task, no allocation for a read, and no buffer while it is idle.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Sleep;

use super::{Heard, Words};
use crate::pipeline::Pipeline;
use crate::pipeline::admission::{Place, RequestThrottle, Waited};
use crate::pipeline::client::{Client, Next, Phase, Sink};

/// Bytes taken from a socket at once.
const READ_BYTES: usize = 64 << 10;
/// How long a connection that was told all is kept for the other side to close: closing first, with input
/// unread, would reset it and could take the last answer along.
const LINGER: Duration = Duration::from_millis(500);

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

struct SocketSink(Arc<OwnedWriteHalf>);

impl Sink for SocketSink {
    fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }
}

struct Connection {
    input: OwnedReadHalf,
    output: Arc<OwnedWriteHalf>,
    client: Arc<Client>,
    pipeline: Arc<Pipeline>,
    words: Arc<dyn Words>,
    /// What was read and not handled: the beginning of a frame, or frames behind a handshake.
    unread: Vec<u8>,
    /// Bytes that `unread` needs to hold before it is worth another look.
    wanted: usize,
    /// The frames in `unread` wait until fewer requests are in process.
    stall: Option<Stall>,
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
    fn poll(
        &mut self,
        input: &mut OwnedReadHalf,
        unread: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        self.read_ahead(input, unread, cx);
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
        self.waited.peer_gone = is_peer_gone(input, cx);
        Poll::Ready(())
    }

    /// A request waits from when it came, not from when the one before it had its turn.
    fn read_ahead(
        &mut self,
        input: &mut OwnedReadHalf,
        unread: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) {
        SCRATCH.with_borrow_mut(|scratch| {
            while unread.len() < READ_BYTES {
                let mut buf = ReadBuf::new(scratch);
                let read = Pin::new(&mut *input).poll_read(cx, &mut buf);
                if !matches!(read, Poll::Ready(Ok(()))) || buf.filled().is_empty() {
                    break;
                }
                unread.extend_from_slice(buf.filled());
                self.waited.arrived(buf.filled().len(), Instant::now());
            }
        });
    }
}

/// Whether the other side has closed; what it sent before may still be unread.
fn is_peer_gone(input: &OwnedReadHalf, cx: &mut Context<'_>) -> bool {
    let ready = std::pin::pin!(input.ready(Interest::READABLE));
    match ready.poll(cx) {
        Poll::Ready(Ok(ready)) => ready.is_read_closed(),
        Poll::Ready(Err(_)) => true,
        Poll::Pending => false,
    }
}

/// Serves a connection until it ends.
pub async fn serve(
    stream: TcpStream,
    remote: SocketAddr,
    pipeline: Arc<Pipeline>,
    words: Arc<dyn Words>,
) {
    let (input, output) = stream.into_split();
    let output = Arc::new(output);
    let client = pipeline.connect(remote, Box::new(SocketSink(output.clone())));
    let mut connection = Connection {
        input,
        output,
        client: client.clone(),
        pipeline: pipeline.clone(),
        words,
        unread: Vec::new(),
        wanted: 0,
        stall: None,
    };
    poll_fn(|cx| connection.poll(cx)).await;
    let polite = client.is_finished();
    pipeline.disconnect(&client);
    drop(client);
    if polite {
        connection.linger().await;
    }
}

impl Connection {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.client.flush();
            match self.client.next(cx.waker()) {
                Next::Close => return Poll::Ready(()),
                Next::Pause => {
                    self.give_up_turn();
                    return Poll::Pending;
                }
                Next::AwaitWritable => {
                    self.give_up_turn();
                    let stream: &TcpStream = self.output.as_ref().as_ref();
                    if ready!(stream.poll_write_ready(cx)).is_err() {
                        return Poll::Ready(());
                    }
                    continue;
                }
                Next::Read => {}
            }
            if self.pipeline.is_busy() && self.client.pause_if_waiting() {
                self.give_up_turn();
                return Poll::Pending;
            }
            if let Some(stall) = &mut self.stall {
                ready!(stall.poll(&mut self.input, &mut self.unread, cx));
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
            let mut buf = ReadBuf::new(scratch);
            if ready!(Pin::new(&mut self.input).poll_read(cx, &mut buf)).is_err()
                || buf.filled().is_empty()
            {
                return Poll::Ready(std::ops::ControlFlow::Break(()));
            }
            if self.unread.is_empty() {
                self.handle(buf.filled());
            } else {
                self.unread.extend_from_slice(buf.filled());
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
                    let text = self.words.answer(input, self.client.remote);
                    self.pipeline.stats.sent(1);
                    return self.client.finish_with(text.as_bytes());
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

    /// Closes our side, and takes what still comes until the other side closes too.
    async fn linger(self) {
        let Connection {
            mut input,
            output,
            client,
            ..
        } = self;
        // The client holds the sink, and with it the other handle of the output.
        drop(client);
        if let Ok(mut output) = Arc::try_unwrap(output) {
            let _ = output.shutdown().await;
        }
        let drain = async {
            let mut buf = [0; 4096];
            while input.read(&mut buf).await.is_ok_and(|n| n > 0) {}
        };
        let _ = tokio::time::timeout(LINGER, drain).await;
    }
}
