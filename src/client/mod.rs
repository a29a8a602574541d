//! A client of any ZooKeeper server: a session that outlives its connections, calls that wait for their answer, and
//! events as they come. The shell (`crate::shell`) and `status` use it; the server does not.
//!
//! Must not know a terminal, or how anything is shown. Answers to `ZooKeeper` and `ClientCnxn`.

mod calls;
pub mod connect_string;
mod connection;
pub mod path;
pub mod sasl;
mod session;
pub mod tls;
mod watches;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::proto::{ErrorCode, EventType, KeeperState, OpCode};
use crate::sasl::Login;
pub use calls::{Batch, CallError, CreateKind, Created, Removed};
use connect_string::ConnectString;
pub use watches::WatchKind;
use watches::{Registration, Watches};

/// Requests that wait for the connection's task. Who makes one more waits.
const REQUESTS_WAITING_MAX: usize = 64;
/// For the last words of a session.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

pub struct Options {
    pub servers: ConnectString,
    pub session_timeout: Duration,
    /// A server that lost its quorum will do.
    pub read_only: bool,
    pub tls: Option<Arc<tls::ClientTls>>,
    /// Proved to each server before anything else.
    pub login: Option<Login>,
}

/// Something that happened to the session, or to a watched node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub state: KeeperState,
    pub kind: EventType,
    pub path: Option<String>,
    pub zxid: i64,
}

impl Event {
    fn of_session(state: KeeperState) -> Event {
        Event {
            state,
            kind: EventType::NONE,
            path: None,
            zxid: -1,
        }
    }
}

/// Java's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Connecting,
    Connected,
    ConnectedReadOnly,
    Closed,
    AuthFailed,
}

impl State {
    pub fn is_alive(self) -> bool {
        !matches!(self, State::Closed | State::AuthFailed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Connecting => "CONNECTING",
            State::Connected => "CONNECTED",
            State::ConnectedReadOnly => "CONNECTEDREADONLY",
            State::Closed => "CLOSED",
            State::AuthFailed => "AUTH_FAILED",
        })
    }
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: ErrorCode,
    /// As the caller gave it.
    pub path: Option<String>,
}

type Listener = Arc<dyn Fn(Event) + Send + Sync>;

/// What the caller's threads and the connection's task both look at.
struct Shared {
    state: Mutex<State>,
    session_id: Mutex<i64>,
    watches: Mutex<Watches>,
    listener: Listener,
    /// Why the last attempt to connect failed, for whoever has to explain it.
    trouble: Mutex<Option<String>>,
    closing: Notify,
}

struct Request {
    op: OpCode,
    body: Vec<u8>,
    watch: Option<Registration>,
    reply: std::sync::mpsc::Sender<Result<Vec<u8>, ErrorCode>>,
}

pub struct Client {
    shared: Arc<Shared>,
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    chroot: Option<String>,
}

impl Client {
    /// Begins to connect, and returns at once: calls wait.
    pub fn begin(options: Options, listener: Listener) -> std::io::Result<Client> {
        let chroot = options.servers.chroot.clone();
        let shared = Arc::new(Shared {
            state: Mutex::new(State::Connecting),
            session_id: Mutex::new(0),
            watches: Mutex::new(Watches::new(chroot.clone())),
            listener,
            trouble: Mutex::new(None),
            closing: Notify::new(),
        });
        let (requests, incoming) = mpsc::channel(REQUESTS_WAITING_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let session = session::Session::new(options, shared.clone(), incoming);
        let thread = std::thread::Builder::new()
            .name("client".to_owned())
            .spawn(move || runtime.block_on(session.run()))?;
        Ok(Client {
            shared,
            requests: Some(requests),
            thread: Some(thread),
            chroot,
        })
    }

    pub fn state(&self) -> State {
        *self.shared.state.lock()
    }

    pub fn session_id(&self) -> i64 {
        *self.shared.session_id.lock()
    }

    /// Why no server could be reached, if none could.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().clone()
    }

    /// Ends the session, and with it its ephemeral nodes.
    pub fn close(&mut self) {
        self.requests = None;
        self.shared.closing.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there has ended the process already.
            let _ = thread.join();
        }
    }

    /// Sends a request and does not wait: who asks for the answer later keeps the order.
    fn send(&self, op: OpCode, body: Vec<u8>, watch: Option<Registration>) -> Pending {
        let (reply, answer) = std::sync::mpsc::channel();
        let request = Request {
            op,
            body,
            watch,
            reply,
        };
        let sent = match &self.requests {
            Some(requests) => requests.blocking_send(request).is_ok(),
            None => false,
        };
        Pending {
            answer: sent.then_some(answer),
            shared: self.shared.clone(),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
    }
}

/// An answer that is to come.
struct Pending {
    /// `None`: the session is over.
    answer: Option<std::sync::mpsc::Receiver<Result<Vec<u8>, ErrorCode>>>,
    shared: Arc<Shared>,
}

impl Pending {
    fn wait(self) -> Result<Vec<u8>, ErrorCode> {
        let over = |code| match *self.shared.state.lock() {
            State::AuthFailed => ErrorCode::AUTH_FAILED,
            _ => code,
        };
        let answer = self
            .answer
            .ok_or_else(|| over(ErrorCode::SESSION_EXPIRED))?;
        // Whoever drops the other end has ended the session.
        let answer = answer.recv();
        answer.unwrap_or_else(|_| Err(over(ErrorCode::CONNECTION_LOSS)))
    }
}
