//! The life of a session: connect to one server after the other until one answers, serve requests there, and go on
//! elsewhere when the connection is lost. A task of its own, which alone has the connection. Answers to
//! `ClientCnxn.SendThread`.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jute::frame;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{Connection, Greeting, Identity};
use super::{CLOSE_LIMIT, Event, Options, Request, Shared, State, sasl};
use crate::proto::client::{AuthPacket, ReplyHeader, RequestHeader, SetWatches, WatcherEvent};
use crate::proto::{ErrorCode, KeeperState, OpCode};

/// Xids that are no request's.
const NOTIFICATION: i32 = -1;
const PING: i32 = -2;
const AUTH: i32 = -4;
const SET_WATCHES: i32 = -8;

/// Between rounds over all servers, when none of them answered.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Session {
    options: Options,
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
    identity: Identity,
    /// The server to ask next.
    next: usize,
    xid: i32,
    /// Sent and not answered, in order.
    pending: VecDeque<(i32, Request)>,
    /// Proofs of identity, which every connection needs.
    auths: Vec<Vec<u8>>,
}

/// How a connection ended.
enum End {
    Lost(io::Error),
    Closed,
    AuthFailed,
}

impl Session {
    pub(super) fn new(
        options: Options,
        shared: Arc<Shared>,
        requests: mpsc::Receiver<Request>,
    ) -> Session {
        let identity = Identity {
            id: 0,
            password: vec![0; 16],
            last_zxid: 0,
            timeout: options.session_timeout,
            read_only: options.read_only,
        };
        // Not all clients of one list go to its first server.
        let next = getrandom::u32().unwrap_or(0) as usize % options.servers.servers.len();
        Session {
            options,
            shared,
            requests,
            identity,
            next,
            xid: 0,
            pending: VecDeque::new(),
            auths: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) {
        let shared = self.shared.clone();
        let closing = shared.closing.notified();
        tokio::pin!(closing);
        let state = loop {
            let connected = tokio::select! {
                connected = self.connect() => connected,
                () = &mut closing => break KeeperState::CLOSED,
            };
            let Some((connection, greeting)) = connected else {
                self.fail_all(ErrorCode::CONNECTION_LOSS);
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => continue,
                    () = &mut closing => break KeeperState::CLOSED,
                }
            };
            if greeting.timeout.is_zero() {
                self.set(State::Closed);
                self.tell(KeeperState::EXPIRED);
                self.fail_all(ErrorCode::SESSION_EXPIRED);
                return;
            }
            match self.serve(connection, greeting).await {
                End::Lost(why) => {
                    *self.shared.trouble.lock() = Some(why.to_string());
                    self.set(State::Connecting);
                    self.fail_sent();
                    self.tell(KeeperState::DISCONNECTED);
                }
                End::Closed => break KeeperState::CLOSED,
                End::AuthFailed => {
                    self.set(State::AuthFailed);
                    self.tell(KeeperState::AUTH_FAILED);
                    self.fail_all(ErrorCode::AUTH_FAILED);
                    return;
                }
            }
        };
        self.set(State::Closed);
        self.fail_all(ErrorCode::SESSION_EXPIRED);
        self.tell(state);
    }

    fn set(&self, state: State) {
        *self.shared.state.lock() = state;
    }

    fn tell(&self, state: KeeperState) {
        (self.shared.listener)(Event::of_session(state));
    }

    /// Requests that may have been carried out, or not.
    fn fail_sent(&mut self) {
        for (_, request) in std::mem::take(&mut self.pending) {
            self.answer(request, Err(ErrorCode::CONNECTION_LOSS));
        }
    }

    fn fail_all(&mut self, code: ErrorCode) {
        self.fail_sent();
        while let Ok(request) = self.requests.try_recv() {
            if request.op == OpCode::AUTH {
                // Told to the next server, whichever that is.
                self.auths.push(request.body);
                continue;
            }
            self.answer(request, Err(code));
        }
    }

    /// Each server once. `None` when none of them took the session.
    async fn connect(&mut self) -> Option<(Connection, Greeting)> {
        let count = self.options.servers.servers.len();
        let limit = self.options.session_timeout / count as u32;
        for _ in 0..count {
            let server = self.options.servers.servers[self.next].clone();
            self.next = (self.next + 1) % count;
            let dial = Connection::dial(&server, self.options.tls.as_ref(), &self.identity);
            let why = match timeout(limit, dial).await {
                Ok(Ok(connected)) => return Some(connected),
                Ok(Err(why)) => why.to_string(),
                Err(_) => format!("no answer within {limit:?}"),
            };
            let (host, port) = server;
            *self.shared.trouble.lock() = Some(format!("{host}:{port}: {why}"));
        }
        None
    }

    async fn serve(&mut self, mut connection: Connection, greeting: Greeting) -> End {
        let timeout = greeting.timeout;
        self.identity.id = greeting.id;
        self.identity.password = greeting.password;
        *self.shared.session_id.lock() = greeting.id;
        if let Err(end) = self.prove(&mut connection, timeout).await {
            connection.hang_up();
            return end;
        }
        if let Err(why) = self.renew(&mut connection).await {
            return End::Lost(why);
        }
        let (state, event) = match greeting.read_only {
            true => (State::ConnectedReadOnly, KeeperState::CONNECTED_READ_ONLY),
            false => (State::Connected, KeeperState::SYNC_CONNECTED),
        };
        self.set(state);
        self.tell(event);
        if self.options.login.is_some() {
            self.tell(KeeperState::SASL_AUTHENTICATED);
        }

        let (silence_max, ping_after) = (timeout * 2 / 3, timeout / 3);
        let (mut heard, mut said) = (Instant::now(), Instant::now());
        loop {
            let ping_at = said + ping_after;
            let done = tokio::select! {
                frame = connection.frame() => match frame {
                    Ok(frame) => {
                        heard = Instant::now();
                        self.heard(&frame)
                    }
                    Err(why) => Err(End::Lost(why)),
                },
                request = self.requests.recv() => match request {
                    Some(request) => {
                        said = Instant::now();
                        self.send(&mut connection, request).await.map_err(End::Lost)
                    }
                    None => {
                        self.say_goodbye(connection).await;
                        return End::Closed;
                    }
                },
                () = tokio::time::sleep_until(ping_at) => {
                    said = Instant::now();
                    let ping = packet(PING, OpCode::PING, &[]);
                    match ping {
                        Ok(ping) => connection.write(&ping).await.map_err(End::Lost),
                        Err(why) => Err(End::Lost(why)),
                    }
                }
                () = tokio::time::sleep_until(heard + silence_max) => {
                    Err(End::Lost(io::Error::other(format!("the server said nothing for {silence_max:?}"))))
                }
            };
            if let Err(end) = done {
                connection.hang_up();
                return end;
            }
        }
    }

    /// Who this is comes first: the server judges what follows by it.
    async fn prove(&mut self, connection: &mut Connection, limit: Duration) -> Result<(), End> {
        let Some(login) = &self.options.login else {
            return Ok(());
        };
        let xid = &mut self.xid;
        let next_xid = || {
            *xid = xid.checked_add(1).unwrap_or(1);
            *xid
        };
        match timeout(limit, sasl::prove(connection, login, next_xid)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(sasl::Failure::Lost(why))) => Err(End::Lost(why)),
            Ok(Err(refused)) => {
                *self.shared.trouble.lock() = Some(refused.to_string());
                Err(End::AuthFailed)
            }
            Err(_) => Err(End::Lost(io::Error::other(format!(
                "the server said nothing of SASL for {limit:?}"
            )))),
        }
    }

    /// What a new connection has to know: who this is, and what it watches.
    async fn renew(&mut self, connection: &mut Connection) -> io::Result<()> {
        for auth in &self.auths {
            connection.write(&packet(AUTH, OpCode::AUTH, auth)?).await?;
        }
        let watches = self.shared.watches.lock().to_renew(self.identity.last_zxid);
        for watches in watches {
            let lasting =
                |list: &Option<Vec<_>>| list.as_ref().is_some_and(|list| !list.is_empty());
            let packet = if lasting(&watches.persistent_watches)
                || lasting(&watches.persistent_recursive_watches)
            {
                let body = jute::to_vec(&watches).map_err(io::Error::other)?;
                packet(SET_WATCHES, OpCode::SET_WATCHES2, &body)?
            } else {
                // Servers before 3.6 know no other.
                let watches = SetWatches {
                    relative_zxid: watches.relative_zxid,
                    data_watches: watches.data_watches,
                    exist_watches: watches.exist_watches,
                    child_watches: watches.child_watches,
                };
                let body = jute::to_vec(&watches).map_err(io::Error::other)?;
                packet(SET_WATCHES, OpCode::SET_WATCHES, &body)?
            };
            connection.write(&packet).await?;
        }
        Ok(())
    }

    async fn send(&mut self, connection: &mut Connection, request: Request) -> io::Result<()> {
        let (xid, op) = match request.op {
            OpCode::AUTH => (AUTH, OpCode::AUTH),
            op => {
                self.xid = self.xid.checked_add(1).unwrap_or(1);
                (self.xid, op)
            }
        };
        let packet = packet(xid, op, &request.body)?;
        if op == OpCode::AUTH {
            self.auths.push(request.body);
        } else {
            self.pending.push_back((xid, request));
        }
        connection.write(&packet).await
    }

    fn heard(&mut self, frame: &[u8]) -> Result<(), End> {
        let mut body = frame;
        let header: ReplyHeader = jute::read(&mut body).map_err(malformed)?;
        match header.xid {
            NOTIFICATION => self.notified(header.zxid, body),
            AUTH if header.err.is_ok() => Ok(()),
            AUTH => Err(End::AuthFailed),
            PING | SET_WATCHES => Ok(()),
            xid => {
                let Some((expected, request)) = self.pending.pop_front() else {
                    let why = format!("the server answered {xid}, which nobody asked");
                    return Err(End::Lost(io::Error::other(why)));
                };
                if xid != expected {
                    self.answer(request, Err(ErrorCode::CONNECTION_LOSS));
                    let why = format!("the server answered {xid} where {expected} was asked");
                    return Err(End::Lost(io::Error::other(why)));
                }
                if header.zxid > 0 {
                    self.identity.last_zxid = header.zxid;
                }
                let result = match header.err {
                    ErrorCode::OK => Ok(body.to_vec()),
                    code => Err(code),
                };
                self.answer(request, result);
                Ok(())
            }
        }
    }

    fn notified(&mut self, zxid: i64, body: &[u8]) -> Result<(), End> {
        let event: WatcherEvent<'_> = jute::from_slice(body).map_err(malformed)?;
        let path = event.path.or_empty();
        let mut watches = self.shared.watches.lock();
        if watches.fire(event.kind, path) {
            let shown = watches.shown(path).to_owned();
            drop(watches);
            (self.shared.listener)(Event {
                state: event.state,
                kind: event.kind,
                path: Some(shown),
                zxid,
            });
        }
        Ok(())
    }

    fn answer(&self, request: Request, mut result: Result<Vec<u8>, ErrorCode>) {
        if let Some(registration) = request.watch {
            let mut watches = self.shared.watches.lock();
            let code = result.as_ref().err().copied().unwrap_or(ErrorCode::OK);
            let told = watches.answered(registration, code);
            match told {
                Err(code) => result = Err(code),
                Ok(told) => {
                    let events: Vec<Event> = told
                        .iter()
                        .map(|(kind, path)| Event {
                            state: KeeperState::SYNC_CONNECTED,
                            kind: *kind,
                            path: Some(watches.shown(path).to_owned()),
                            zxid: -1,
                        })
                        .collect();
                    drop(watches);
                    if !events.is_empty() {
                        // Removed here alone.
                        result = result.or(Ok(Vec::new()));
                    }
                    events
                        .into_iter()
                        .for_each(|event| (self.shared.listener)(event));
                }
            }
        }
        // Who asked may have given up.
        let _ = request.reply.send(result);
    }

    /// Ends the session there; should that not work, it ends by itself.
    async fn say_goodbye(&mut self, mut connection: Connection) {
        self.xid = self.xid.checked_add(1).unwrap_or(1);
        let limit = Instant::now() + CLOSE_LIMIT;
        let xid = self.xid;
        let goodbye = async {
            connection
                .write(&packet(xid, OpCode::CLOSE_SESSION, &[])?)
                .await?;
            loop {
                let frame = connection.frame().await?;
                let header: ReplyHeader = jute::from_slice(&frame).map_err(io::Error::other)?;
                if header.xid == xid {
                    return Ok::<(), io::Error>(());
                }
            }
        };
        let _ = timeout_at(limit, goodbye).await;
        connection.hang_up();
    }
}

fn malformed(error: jute::Error) -> End {
    End::Lost(io::Error::other(error))
}

pub(super) fn packet(xid: i32, op: OpCode, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len() + 16);
    frame::write(&mut out, |out| {
        jute::write(out, &RequestHeader { xid, op }).map_err(io::Error::other)?;
        out.extend_from_slice(body);
        Ok::<(), io::Error>(())
    })?;
    Ok(out)
}

/// The body of a proof of identity.
pub(super) fn auth_body(scheme: &str, auth: &[u8]) -> Result<Vec<u8>, jute::Error> {
    jute::to_vec(&AuthPacket {
        kind: 0,
        scheme: scheme.into(),
        auth: auth.into(),
    })
}
