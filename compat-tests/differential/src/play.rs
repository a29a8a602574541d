//! Plays a script on one server and writes down what came back.
//!
//! The clients act one after the other: a step's replies are awaited, then every connection is pinged, so that all
//! notifications of the step have been received before the next one begins. What happens is therefore a function
//! of the script and the server alone.
//!
//! In an ensemble each client stays with a member of its own. There a step ends when all members have applied what any of
//! them has shown.

use crate::admin::Admin;
use crate::connection::{Connection, Incoming};
use crate::reply::{Outcome, View, header, raw};
use crate::request::{Request, framed, op_name};
use crate::script::{Action, Hello, Password, Script, Step, request_text};
use anyhow::Result;
use std::net::SocketAddr;
use std::time::Duration;

/// One observation.
#[derive(Clone, Debug)]
pub struct Entry {
    pub client: usize,
    /// What was asked, for the reader of a difference.
    pub cause: String,
    /// The operation, for grouping differences.
    pub op: String,
    /// What is compared.
    pub text: String,
    pub outcomes: Vec<Outcome>,
    notification_zxid: Option<i64>,
}

/// What happened in each step; the steps after the script's own are the closing of all sessions and dumps of the tree.
pub struct Transcript {
    pub steps: Vec<Vec<Entry>>,
}

/// How long to wait for what must come.
#[derive(Clone, Copy)]
pub struct Patience {
    pub reply: Duration,
    pub close: Duration,
}

/// Its number and password.
type Session = (i64, Vec<u8>);

#[derive(Default)]
struct Client {
    connection: Option<Connection>,
    session: Option<Session>,
}

pub struct Player<'a> {
    /// The clients' servers, in turn.
    addresses: Vec<SocketAddr>,
    admins: &'a mut [Admin],
    /// The greatest zxid that any answer has shown.
    seen: i64,
    view: View,
    clients: Vec<Client>,
    patience: Patience,
    entries: Vec<Entry>,
    /// Sessions that a client left behind for another one. They would expire while a later script runs.
    left_behind: Vec<(usize, Session)>,
    /// Zxids of sessions' ends in this step: their ephemerals go in no particular order.
    closings: Vec<i64>,
}

impl<'a> Player<'a> {
    pub fn new(
        addresses: Vec<SocketAddr>,
        admins: &'a mut [Admin],
        zxid_base: i64,
        patience: Patience,
    ) -> Player<'a> {
        Player {
            addresses,
            admins,
            seen: zxid_base,
            view: View::new(zxid_base),
            clients: Vec::new(),
            patience,
            entries: Vec::new(),
            left_behind: Vec::new(),
            closings: Vec::new(),
        }
    }

    pub fn play(mut self, script: &Script) -> Result<Transcript> {
        let count = script.steps.iter().map(|s| s.client + 1).max().unwrap_or(0);
        self.clients.resize_with(count, Client::default);
        let mut steps = Vec::new();
        self.await_members()?;
        for step in &script.steps {
            self.step(step);
            steps.push(self.finish_step()?);
        }
        steps.push(self.dump()?);
        for client in 0..count {
            self.close_session(client);
            steps.push(self.finish_step()?);
        }
        for (client, session) in std::mem::take(&mut self.left_behind) {
            self.clients[client].session = Some(session);
            self.close_session(client);
            steps.push(self.finish_step()?);
        }
        steps.push(self.dump()?);
        Ok(Transcript { steps })
    }

    fn step(&mut self, step: &Step) {
        let client = step.client;
        let connected = self.clients[client].connection.is_some();
        match &step.action {
            Action::Connect(hello) if !connected => {
                let bytes = self.hello_bytes(hello, 0, &vec![0; hello.passwd_len.max(0) as usize]);
                self.shake_hands(client, &bytes, "connect");
            }
            Action::ConnectSend(hello, requests) if !connected => {
                let mut bytes = self.hello_bytes(hello, 0, &[0; 16]);
                for (i, request) in requests.iter().enumerate() {
                    let xid = request.xid.unwrap_or(i as i32 + 1);
                    bytes.extend_from_slice(&request.frame(xid, self.view.zxid_base));
                }
                self.shake_hands(client, &bytes, "connectsend");
                if let Some(mut connection) = self.clients[client].connection.take() {
                    connection.next_xid += requests.len() as i32;
                    self.replies(client, connection, requests);
                }
            }
            // What a wrong password does to a live connection is a deliberate difference.
            Action::Reconnect(_, Password::Wrong | Password::Empty) if connected => {
                self.note(client, "step", "", "impossible".into());
            }
            Action::Reconnect(hello, password) => {
                let (session, own) = self.clients[client]
                    .session
                    .clone()
                    .unwrap_or((0x1234_5678, vec![7; 16]));
                let passwd = match password {
                    Password::Own => own,
                    Password::Wrong => own.iter().map(|b| b ^ 0x55).collect(),
                    Password::Empty => Vec::new(),
                };
                let bytes = self.hello_bytes(hello, session, &passwd);
                let old = self.clients[client].connection.take();
                self.shake_hands(client, &bytes, "reconnect");
                if let Some(old) = old {
                    self.await_close(client, old, "reconnect: the earlier connection");
                }
            }
            Action::RawHello(bytes) if !connected => self.shake_hands(client, bytes, "rawhello"),
            Action::Drop => self.clients[client].connection = None,
            Action::Raw(bytes) if connected => {
                if let Some(mut connection) = self.clients[client].connection.take() {
                    connection.send(bytes);
                    self.await_close(client, connection, "raw");
                }
            }
            Action::Send(requests) if connected => self.send(client, requests),
            _ => self.note(client, "step", "", "impossible".into()),
        }
    }

    fn hello_bytes(&self, hello: &Hello, session: i64, passwd: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend_from_slice(&0i32.to_be_bytes());
        let zxid = if hello.last_zxid == 0 {
            0
        } else {
            self.view.zxid_base + hello.last_zxid
        };
        body.extend_from_slice(&zxid.to_be_bytes());
        body.extend_from_slice(&hello.timeout.to_be_bytes());
        body.extend_from_slice(&session.to_be_bytes());
        if hello.passwd_len < 0 {
            body.extend_from_slice(&(-1i32).to_be_bytes());
        } else {
            body.extend_from_slice(&framed(passwd));
        }
        if !hello.legacy {
            body.push(u8::from(hello.read_only));
        }
        framed(&body)
    }

    fn shake_hands(&mut self, client: usize, bytes: &[u8], cause: &str) {
        let address = self.addresses[client % self.addresses.len()];
        let Ok(mut connection) = Connection::open(address) else {
            return self.note(client, cause, "", "connection refused".into());
        };
        connection.send(bytes);
        match connection.receive(self.patience.close) {
            Incoming::Frame(frame) => {
                let (text, granted) = self.view.hello(&frame);
                self.note(client, cause, "", text);
                match granted {
                    Some(session) => {
                        let of = &mut self.clients[client];
                        of.connection = Some(connection);
                        if let Some(old) = of.session.replace(session.clone())
                            && old.0 != session.0
                        {
                            self.left_behind.push((client, old));
                        }
                    }
                    None => self.await_close(client, connection, cause),
                }
            }
            Incoming::Closed => self.note(client, cause, "", "closed".into()),
            Incoming::Silence => self.note(client, cause, "", "silence".into()),
        }
    }

    fn send(&mut self, client: usize, requests: &[Request]) {
        let Some(mut connection) = self.clients[client].connection.take() else {
            return;
        };
        let mut bytes = Vec::new();
        for request in requests {
            let xid = request.xid.unwrap_or(connection.next_xid);
            connection.next_xid += 1;
            bytes.extend_from_slice(&request.frame(xid, self.view.zxid_base));
        }
        connection.send(&bytes);
        self.replies(client, connection, requests);
    }

    fn replies(&mut self, client: usize, mut connection: Connection, requests: &[Request]) {
        for request in requests {
            let cause = request_text(request);
            match self.await_reply(client, &mut connection) {
                Incoming::Frame(frame) => {
                    if self.reply(client, request, &cause, &frame) {
                        return self.await_close(client, connection, &op_name(request.op));
                    }
                }
                Incoming::Closed => {
                    return self.note(client, &op_name(request.op), &cause, "closed".into());
                }
                // The following replies could not be told apart from this one, were it only late.
                Incoming::Silence => {
                    return self.note(client, &op_name(request.op), &cause, "silence".into());
                }
            }
        }
        self.clients[client].connection = Some(connection);
    }

    /// True if the server has to close the connection now.
    fn reply(&mut self, client: usize, request: &Request, cause: &str, frame: &[u8]) -> bool {
        let Some((h, body)) = header(frame) else {
            self.note(client, &op_name(request.op), cause, raw(frame));
            return false;
        };
        self.seen = self.seen.max(h.zxid);
        let (body, outcomes) = self.view.body(request, h.err, body);
        let text = format!("{} {body}", self.view.header(h))
            .trim_end()
            .to_string();
        self.entries.push(Entry {
            client,
            cause: cause.to_string(),
            op: op_name(request.op),
            text,
            outcomes,
            notification_zxid: None,
        });
        if request.op == -11 {
            self.closings.push(h.zxid);
        }
        request.op == -11 || matches!(h.err, -115 | -124) || (h.err == -6 && h.zxid == -1)
    }

    /// The next frame that is not a notification; notifications are written down on the way.
    fn await_reply(&mut self, client: usize, connection: &mut Connection) -> Incoming {
        loop {
            match connection.receive(self.patience.reply) {
                Incoming::Frame(frame) => match header(&frame) {
                    Some((h, body)) if h.xid == -1 => {
                        let text = self.view.notification(h, body);
                        self.entries.push(Entry {
                            client,
                            cause: String::new(),
                            op: "notification".into(),
                            text,
                            outcomes: Vec::new(),
                            notification_zxid: Some(h.zxid),
                        });
                    }
                    _ => return Incoming::Frame(frame),
                },
                other => return other,
            }
        }
    }

    /// Reads the connection to its end.
    fn await_close(&mut self, client: usize, mut connection: Connection, cause: &str) {
        loop {
            match connection.receive(self.patience.close) {
                Incoming::Closed => return self.note(client, cause, "", "closed".into()),
                Incoming::Silence => {
                    self.note(client, cause, "", "left open".into());
                    // The rest of the script needs the client where the other server has none.
                    return;
                }
                Incoming::Frame(frame) => match header(&frame) {
                    Some((h, body)) if h.xid == -1 => {
                        let text = self.view.notification(h, body);
                        self.note(client, "notification", cause, text);
                    }
                    _ => self.note(client, cause, "", format!("surplus {}", raw(&frame))),
                },
            }
        }
    }

    /// Until all members have what any of them has shown.
    fn await_members(&mut self) -> Result<()> {
        if self.admins.len() > 1 {
            for admin in self.admins.iter_mut() {
                admin.await_zxid(self.seen, self.patience.reply)?;
            }
        }
        Ok(())
    }

    /// The barrier, and the order of what has none.
    fn finish_step(&mut self) -> Result<Vec<Entry>> {
        if self.admins.len() > 1 {
            // What each client's member has come to, a new session's transaction included; then all of it everywhere.
            self.ping_all(false);
            self.await_members()?;
        }
        self.ping_all(true);
        // Stable: the order within a connection stays.
        self.entries.sort_by_key(|e| e.client);
        let closings = std::mem::take(&mut self.closings);
        for run in self
            .entries
            .chunk_by_mut(|a, b| a.client == b.client && a.notification_zxid == b.notification_zxid)
        {
            if run[0]
                .notification_zxid
                .is_some_and(|z| closings.contains(&z))
            {
                run.sort_by(|a, b| a.text.cmp(&b.text));
            }
        }
        Ok(std::mem::take(&mut self.entries))
    }

    /// Reads everything that was sent to the clients until now.
    fn ping_all(&mut self, shown: bool) {
        let ping = Request::new(11, vec![]).frame(-2, 0);
        for client in &mut self.clients {
            if let Some(connection) = &mut client.connection {
                connection.send(&ping);
            }
        }
        for client in 0..self.clients.len() {
            let Some(mut connection) = self.clients[client].connection.take() else {
                continue;
            };
            loop {
                match self.await_reply(client, &mut connection) {
                    Incoming::Frame(frame) => match header(&frame) {
                        Some((h, [])) if h.xid == -2 => {
                            self.seen = self.seen.max(h.zxid);
                            if shown {
                                let text = self.view.header(h);
                                self.note(client, "barrier", "", text);
                            }
                            self.clients[client].connection = Some(connection);
                            break;
                        }
                        _ => self.note(client, "barrier", "", format!("surplus {}", raw(&frame))),
                    },
                    Incoming::Closed => {
                        self.note(client, "barrier", "", "closed".into());
                        break;
                    }
                    Incoming::Silence => {
                        self.note(client, "barrier", "", "silence".into());
                        break;
                    }
                }
            }
        }
    }

    /// Every session is closed by its client, so that none expires while a later script runs.
    fn close_session(&mut self, client: usize) {
        if self.clients[client].session.is_none() {
            return;
        }
        if self.clients[client].connection.is_none() {
            let hello = Hello {
                timeout: 100_000,
                legacy: false,
                read_only: false,
                last_zxid: 0,
                passwd_len: 16,
            };
            self.step(&Step {
                client,
                action: Action::Reconnect(hello, Password::Own),
            });
        }
        self.send(client, &[Request::new(-11, vec![])]);
    }

    fn dump(&mut self) -> Result<Vec<Entry>> {
        self.await_members()?;
        for member in 0..self.admins.len() {
            for (cause, text) in self.admins[member].dump(&mut self.view)? {
                self.note(0, "dump", &cause, text);
            }
        }
        Ok(std::mem::take(&mut self.entries))
    }

    fn note(&mut self, client: usize, op: &str, cause: &str, text: String) {
        self.entries.push(Entry {
            client,
            cause: cause.to_string(),
            op: op.to_string(),
            text,
            outcomes: Vec::new(),
            notification_zxid: None,
        });
    }
}

#[cfg(test)]
pub fn entry_for_tests(op: &str, text: &str) -> Entry {
    Entry {
        client: 0,
        cause: String::new(),
        op: op.to_string(),
        text: text.to_string(),
        outcomes: Vec::new(),
        notification_zxid: None,
    }
}
