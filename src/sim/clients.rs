//! The connections between clients and servers: ordered streams that delay and break.

use super::network::NodeIx;
use super::serving::{Answer, Context, Effects, Request};
use super::workload::{Act, MS, Time};
use super::world::{Event, World};
use crate::ids::ConnId;

pub struct ClientConn {
    client: usize,
    pub node: NodeIx,
    pub incarnation: u32,
    /// The client's end.
    is_open: bool,
    /// When the last message in either direction arrives: nothing overtakes it.
    up_at: Time,
    down_at: Time,
}

impl World {
    pub fn wake(&mut self, at: usize) {
        let mut acts = Vec::new();
        let next = self.clients[at].wake(self.now, &mut self.history, &mut acts);
        self.act(at, acts);
        if let Some(next) = next {
            self.schedule(next, Event::Wake(at));
        }
    }

    fn delay(&mut self) -> Time {
        let (low, high) = self.scenario.link_delay;
        self.rng.between(low, high)
    }

    /// The connection that a client has now.
    fn conn_of(&self, client: usize) -> Option<ConnId> {
        self.conns
            .iter()
            .rev()
            .find(|(_, c)| c.client == client && c.is_open)
            .map(|(id, _)| *id)
    }

    fn act(&mut self, client: usize, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Connect(node) => {
                    let id = ConnId(self.next_conn);
                    self.next_conn += 1;
                    let conn = ClientConn {
                        client,
                        node,
                        incarnation: self.servers[node].incarnation,
                        is_open: true,
                        up_at: self.now,
                        down_at: self.now,
                    };
                    self.conns.insert(id, conn);
                }
                Act::Send(request) => {
                    if let Some(id) = self.conn_of(client) {
                        self.trace(|| format!("client {client} {id:?} -> {request:?}"));
                        let delay = self.delay();
                        if let Some(conn) = self.conns.get_mut(&id) {
                            conn.up_at = conn.up_at.max(self.now + delay);
                            let at = conn.up_at;
                            self.schedule(at, Event::ToServer(id, request));
                        }
                    }
                }
                Act::Disconnect => {
                    if let Some(id) = self.conn_of(client) {
                        self.trace(|| format!("client {client} {id:?} disconnects"));
                        let delay = self.delay();
                        if let Some(conn) = self.conns.get_mut(&id) {
                            conn.is_open = false;
                            let at = conn.up_at.max(self.now + delay);
                            self.schedule(at, Event::ClientClosed(id));
                        }
                    }
                }
            }
        }
    }

    pub fn server_hears(&mut self, id: ConnId, request: Request) {
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        let (node, incarnation) = (conn.node, conn.incarnation);
        let server = &mut self.servers[node];
        let now_ms = server.clock_ms(self.now) as i64;
        let serving = server
            .process
            .as_mut()
            .filter(|_| server.incarnation == incarnation)
            .and_then(|p| p.serving.as_mut().map(|s| (s, &p.tree)));
        let Some((serving, tree)) = serving else {
            self.refuse(id);
            return;
        };
        let cx = Context {
            tree,
            rules: &self.rules,
            now_ms,
            wall_ms: now_ms,
        };
        let mut fx = Effects::default();
        serving.request(&cx, id, request, &mut fx);
        self.carry_out(node, fx);
    }

    /// The server's end is closed.
    pub fn refuse(&mut self, id: ConnId) {
        let delay = self.delay();
        if let Some(conn) = self.conns.get_mut(&id) {
            let at = conn.down_at.max(self.now + delay);
            self.schedule(at, Event::ServerClosed(id));
        }
    }

    pub fn answer(&mut self, id: ConnId, answer: Answer) {
        let delay = self.delay();
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.down_at = conn.down_at.max(self.now + delay);
            let at = conn.down_at;
            self.schedule(at, Event::ToClient(id, answer));
        }
    }

    pub fn client_hears(&mut self, id: ConnId, answer: Answer) {
        let Some(conn) = self.conns.get(&id).filter(|c| c.is_open) else {
            return;
        };
        let at = conn.client;
        self.trace(|| format!("client {at} {id:?} <- {answer:?}"));
        let mut acts = Vec::new();
        let verdict = self.clients[at].answered(
            self.now,
            answer,
            &self.oracle.truth,
            self.oracle.leadership.newest(),
            &mut self.history,
            &mut acts,
        );
        self.oracle.note(verdict);
        self.act(at, acts);
    }

    /// The client hears that its connection ended.
    pub fn server_closed(&mut self, id: ConnId) {
        let Some(conn) = self.conns.remove(&id) else {
            return;
        };
        if conn.is_open {
            self.clients[conn.client].disconnected();
        }
    }

    /// The server hears it.
    pub fn client_closed(&mut self, id: ConnId) {
        let Some(conn) = self.conns.remove(&id) else {
            return;
        };
        let server = &mut self.servers[conn.node];
        if server.incarnation == conn.incarnation
            && let Some(serving) = server.process.as_mut().and_then(|p| p.serving.as_mut())
        {
            serving.disconnected(id);
        }
    }

    /// A server stopped serving or ended; `silent` when nobody is told.
    pub fn drop_clients(&mut self, node: NodeIx, incarnation: u32, silent: bool) {
        let ids: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, c)| c.node == node && c.incarnation == incarnation)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            if silent {
                // The client finds out when it waits for an answer.
                let wait = self.rng.between(300, 1500) * MS;
                self.schedule(self.now + wait, Event::ServerClosed(id));
            } else {
                self.refuse(id);
            }
        }
    }
}
