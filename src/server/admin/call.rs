//! A request of a client that has no socket: who gives a command over HTTP changes the tree by the same way as every
//! other client, with a session of its own that ends with it. So what judges, logs, replicates and audits requests knows
//! nothing of HTTP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use crate::auth::Id;
use crate::ids::SessionId;
use crate::ops::put;
use crate::pipeline::Pipeline;
use crate::pipeline::client::{Client, Next, Sink};
use crate::pipeline::outbox::Outbox;
use crate::proto::client::{ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader};
use crate::proto::{Buffer, ErrorCode, OpCode, Trailing};

/// The session outlives a call that is stuck by so much.
const SESSION_MS: i32 = 10_000;
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// While there is no place among the requests in process.
const PAUSE: Duration = Duration::from_millis(20);
const XID: i32 = 1;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("this server does not serve")]
    NotServing,
    #[error("the connection ended before the answer: whether it happened is not known")]
    Lost,
    #[error("there was no answer in time: whether it happened is not known")]
    Late,
    #[error("refused: {0}")]
    Refused(ErrorCode),
}

/// What comes back, for whoever waits for it.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<(Vec<u8>, Option<Waker>)>>);

impl Sink for Answers {
    fn try_send(&self, bytes: &[u8], _last: bool) -> io::Result<usize> {
        let mut inner = self.0.lock();
        inner.0.extend_from_slice(bytes);
        let waker = inner.1.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(bytes.len())
    }

    fn end(&self) {
        let waker = self.0.lock().1.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Answers {
    /// The next whole frame; who waits for one is woken by what comes.
    fn take(&self, waker: &Waker) -> Option<Vec<u8>> {
        let mut inner = self.0.lock();
        inner.1 = Some(waker.clone());
        let (bytes, _) = &mut *inner;
        let length = u32::from_be_bytes(*bytes.first_chunk::<4>()?) as usize;
        let frame = bytes.get(4..4 + length)?.to_vec();
        bytes.drain(..4 + length);
        Some(frame)
    }
}

/// A connection, which ends with it.
struct Line {
    pipeline: Arc<Pipeline>,
    client: Arc<Client>,
    answers: Answers,
    outbox: Arc<Outbox>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.pipeline.disconnect(&self.client);
    }
}

/// Has the request carried out for who has these identities.
pub(super) async fn call(
    pipeline: &Arc<Pipeline>,
    remote: SocketAddr,
    ids: Vec<Id>,
    op: OpCode,
    record: &impl Serialize,
) -> Result<(), Failure> {
    let (answers, outbox) = (Answers::default(), Arc::<Outbox>::default());
    let client = pipeline.connect_as(
        remote,
        ids.into(),
        Box::new(answers.clone()),
        outbox.clone(),
    );
    let line = Line {
        pipeline: pipeline.clone(),
        client,
        answers,
        outbox,
    };
    let request = framed(|out| {
        put(out, &RequestHeader { xid: XID, op });
        put(out, record);
    });
    let exchange = async {
        line.begin().await?;
        let answer = line.ask(request).await;
        let end = framed(|out| {
            let op = OpCode::CLOSE_SESSION;
            put(out, &RequestHeader { xid: XID + 1, op });
        });
        // Without it the session expires.
        line.ask(end).await.ok();
        answer
    };
    let answered = tokio::time::timeout(ANSWER_LIMIT, exchange).await;
    answered.unwrap_or(Err(Failure::Late))
}

impl Line {
    async fn begin(&self) -> Result<(), Failure> {
        let greeting = framed(|out| {
            put(
                out,
                &ConnectRequest {
                    protocol_version: 0,
                    last_zxid_seen: 0,
                    time_out: SESSION_MS,
                    session_id: SessionId::NONE.0,
                    passwd: Buffer::from(&[0; 16]),
                    read_only: Trailing(Some(false)),
                },
            );
        });
        self.say(greeting).await;
        let Ok(frame) = self.answer().await else {
            return Err(Failure::NotServing);
        };
        match jute::from_slice::<ConnectResponse<'_>>(&frame) {
            Ok(response) if response.time_out > 0 => Ok(()),
            _ => Err(Failure::NotServing),
        }
    }

    async fn ask(&self, request: Vec<u8>) -> Result<(), Failure> {
        self.say(request).await;
        let frame = self.answer().await?;
        let header: ReplyHeader = jute::read(&mut &frame[..]).map_err(|_| Failure::Lost)?;
        match header.err {
            ErrorCode::OK => Ok(()),
            error => Err(Failure::Refused(error)),
        }
    }

    async fn say(&self, frame: Vec<u8>) {
        let mut rest = frame;
        loop {
            let (pipeline, client) = (self.pipeline.clone(), self.client.clone());
            // It takes locks, and may write the log.
            let receive = move || {
                let received = pipeline.receive(&client, &rest, None);
                rest.drain(..received.consumed);
                (rest, received.stalled)
            };
            match tokio::task::spawn_blocking(receive).await {
                Ok((unread, true)) => rest = unread,
                _ => return,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn answer(&self) -> Result<Vec<u8>, Failure> {
        std::future::poll_fn(|cx| self.poll_answer(cx)).await
    }

    fn poll_answer(&self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, Failure>> {
        let mut touched = Vec::new();
        while self.outbox.poll_take(cx, &mut touched).is_ready() {
            touched.clear();
        }
        // Before the look: what comes behind it wakes.
        let next = self.client.next(cx.waker(), false);
        let before = self.answers.take(cx.waker());
        if let Some(frame) = before {
            return Poll::Ready(Ok(frame));
        }
        self.client.flush();
        match (self.answers.take(cx.waker()), next) {
            (Some(frame), _) => Poll::Ready(Ok(frame)),
            (None, Next::Close | Next::AwaitEnd) => Poll::Ready(Err(Failure::Lost)),
            (None, _) => Poll::Pending,
        }
    }
}

fn framed(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0; 4];
    fill(&mut out);
    let length = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&length.to_be_bytes());
    out
}
