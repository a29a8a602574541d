//! The world: one queue of events ordered by (time, sequence), one thread, one seed. It owns the servers, the network
//! and the clients, moves time, and lets one thing happen after the other. What a server does with an input is in
//! `drive`, what goes wrong is in `faults`, the clients' connections are in `clients`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use super::checkers::{Violation, ephemerals, linearizability, liveness};
use super::clients::ClientConn;
use super::disk::Disk;
use super::image::Image;
use super::network::{Network, NodeIx, Side, WireId};
use super::oracle::Oracle;
use super::rng::Rng;
use super::scenario::Scenario;
use super::server::Server;
use super::serving::{Answer, Request};
use super::workload::{Client, History, Leave, MS, Role, Time};
use crate::auth::{AuthSettings, Providers};
use crate::ids::{ConnId, LinkId, ServerId};
use crate::membership::{self, ListenAddress, Membership, PeerAddress, ServerLine};
use crate::ops::Rules;
use crate::tree::Tree;

pub enum Event {
    Start(NodeIx),
    /// A peer's deadline.
    Timer(NodeIx, u32),
    /// An fsync is done.
    Disk(NodeIx, u32),
    /// Sessions, checkpoints.
    HalfTick(NodeIx, u32),
    /// What a leader prepared goes to the core.
    Flush(NodeIx, u32),
    /// Something reaches the end of a link's direction; the side is the sender's.
    Arrive(WireId, Side),
    /// What waits in a lane is sent.
    Lane(NodeIx, NodeIx),
    /// A try to connect, by number.
    Dial(NodeIx, u32, u64),
    /// By now a snapshot's stream has come, or its link is given up.
    StreamLimit(NodeIx, u32, LinkId),
    ToServer(ConnId, Request),
    ToClient(ConnId, Answer),
    /// One end closed: the other hears of it.
    ServerClosed(ConnId),
    ClientClosed(ConnId),
    Wake(usize),
    Nemesis,
    /// The members may change.
    Operator,
    /// A partition ends.
    Heal,
}

struct Scheduled {
    at: Time,
    sequence: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    Faults,
    /// The faults are over: a write has to commit through every server.
    Recovery,
    /// The clients leave, and their sessions end.
    Leaving,
    Over,
}

pub struct World {
    pub now: Time,
    sequence: u64,
    queue: BinaryHeap<Reverse<Scheduled>>,
    pub rng: Rng,
    pub scenario: Scenario,
    pub rules: Rules,
    /// At the beginning.
    pub membership: Membership,
    /// Of every server, member or not.
    pub lines: Vec<ServerLine>,
    pub operator: Rng,
    pub servers: Vec<Server>,
    pub network: Network,
    pub clients: Vec<Client>,
    pub conns: BTreeMap<ConnId, ClientConn>,
    pub next_conn: u32,
    pub next_dial: u64,
    pub history: History,
    pub oracle: Oracle,
    pub phase: Phase,
    phase_since: Time,
    pub slow_link_until: Time,
    pub tracing: bool,
    pub events: u64,
}

/// From the last fault to a write through every server. Elections, the loss of half-open connections and a discovery
/// that began with the wrong server take a few limits of ten ticks each, one behind the other.
const RECOVERY_MS_MAX: u64 = 30_000;
/// From then until nothing is left of the clients.
const LEAVING_MS_MAX: u64 = 20_000;
/// Events of one run: more mean that something sends without end.
const EVENTS_MAX: u64 = 3_000_000;

pub struct Outcome {
    pub violation: Option<Violation>,
    pub events: u64,
    pub committed: usize,
    pub epochs: usize,
    /// Keys whose history was too hard to decide.
    pub undecided: usize,
}

impl World {
    pub fn new(scenario: Scenario, mut rng: Rng, tracing: bool) -> World {
        let nodes = scenario.voters + scenario.observers + scenario.guests;
        let empty = Arc::new(Image::of(&Tree::new(true)));
        let servers = (0..nodes)
            .map(|node| Server {
                id: ServerId(node as i64 + 1),
                disk: Disk::new(Arc::clone(&empty)),
                process: None,
                incarnation: 0,
                clock_ppm: rng.between(0, 2 * scenario.clock_skew_ppm) as i64
                    - scenario.clock_skew_ppm as i64,
                clock_offset_ms: rng.below(100_000),
                slow_disk_until: 0,
                crash_in: None,
            })
            .collect();
        let providers = Providers::new(AuthSettings::default()).expect("the default is valid");
        let rules = Rules {
            providers,
            extended_types: true,
            enforce_quota: false,
            close_session_lists_paths: true,
            reconfig_enabled: scenario.reconfigures,
        };
        let lines = lines(&scenario);
        let membership = members(&scenario, &lines);
        let mut world = World {
            now: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            rules,
            oracle: Oracle::new(nodes, membership.clone()),
            membership,
            lines,
            operator: Rng::new(rng.clone().next()),
            servers,
            network: Network::new(nodes),
            clients: Vec::new(),
            conns: BTreeMap::new(),
            next_conn: 0,
            next_dial: 0,
            history: History::default(),
            phase: Phase::Faults,
            phase_since: 0,
            slow_link_until: 0,
            tracing,
            events: 0,
            rng,
            scenario,
        };
        for node in 0..nodes {
            let at = world.rng.below(100) * MS;
            world.schedule(at, Event::Start(node));
        }
        for _ in 0..world.scenario.clients {
            world.add_client(Role::Worker);
        }
        let first_fault = world.scenario.faults_from;
        world.schedule(first_fault, Event::Nemesis);
        if world.scenario.reconfigures {
            world.schedule(first_fault, Event::Operator);
        }
        world
    }

    fn add_client(&mut self, role: Role) {
        let number = self.clients.len() as u64 + 1;
        let rng = self.rng.fork();
        let busy = self.scenario.busy;
        let client = Client::new(role, number, self.servers.len(), busy, rng);
        self.clients.push(client);
        let at = self.now + self.rng.below(300) * MS;
        self.schedule(at, Event::Wake(self.clients.len() - 1));
    }

    pub fn schedule(&mut self, at: Time, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse(Scheduled {
            at: at.max(self.now),
            sequence: self.sequence,
            event,
        }));
    }

    pub fn trace(&self, line: impl FnOnce() -> String) {
        if self.tracing {
            println!("{:>10.3} ms  {}", self.now as f64 / 1000.0, line());
        }
    }

    /// Until something is wrong or everything is over.
    pub fn run(&mut self) -> Outcome {
        while self.phase != Phase::Over && self.oracle.violation.is_none() {
            let Some(Reverse(next)) = self.queue.pop() else {
                self.oracle
                    .fail("liveness", "nothing will ever happen again".to_owned());
                break;
            };
            self.now = next.at;
            self.events += 1;
            self.happen(next.event);
            self.advance();
            if self.events > EVENTS_MAX {
                self.oracle
                    .fail("liveness", format!("{EVENTS_MAX} events and no end"));
            }
        }
        let mut undecided = 0;
        if self.oracle.violation.is_none() {
            match linearizability::check(&self.history.operations) {
                Ok(n) => undecided = n,
                Err(violation) => self.oracle.note(Err(violation)),
            }
        }
        Outcome {
            violation: self.oracle.violation.clone(),
            events: self.events,
            committed: self.oracle.truth.committed.len(),
            epochs: self.oracle.leadership.count(),
            undecided,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(node) => self.start(node),
            Event::Timer(node, incarnation) => self.timer(node, incarnation),
            Event::Disk(node, incarnation) => self.disk_done(node, incarnation),
            Event::HalfTick(node, incarnation) => self.half_tick(node, incarnation),
            Event::Flush(node, incarnation) => self.flush(node, incarnation),
            Event::Arrive(wire, from) => self.arrive(wire, from),
            Event::Lane(from, to) => self.lane(from, to),
            Event::Dial(node, incarnation, number) => self.dial(node, incarnation, number),
            Event::StreamLimit(node, incarnation, link) => {
                self.stream_limit(node, incarnation, link);
            }
            Event::ToServer(conn, request) => self.server_hears(conn, request),
            Event::ToClient(conn, answer) => self.client_hears(conn, answer),
            Event::ServerClosed(conn) => self.server_closed(conn),
            Event::ClientClosed(conn) => self.client_closed(conn),
            Event::Wake(client) => self.wake(client),
            Event::Nemesis => self.nemesis(),
            Event::Operator => self.operate(),
            Event::Heal => self.heal(),
        }
    }

    // --- phases --------------------------------------------------------------------------------------------

    fn enter(&mut self, phase: Phase) {
        self.trace(|| format!("---- {phase:?}"));
        self.phase = phase;
        self.phase_since = self.now;
    }

    fn advance(&mut self) {
        match self.phase {
            Phase::Faults if self.now >= self.scenario.faults_until => {
                self.end_faults();
                self.enter(Phase::Recovery);
                for node in 0..self.servers.len() {
                    self.add_client(Role::Probe(node));
                }
            }
            Phase::Recovery => {
                let waiting = self.clients.iter().find_map(|c| match c.role {
                    Role::Probe(server) if !c.is_done && !self.is_out(server) => {
                        Some(format!("no write through server {server}"))
                    }
                    _ => None,
                });
                if waiting.is_none() {
                    self.leave();
                    self.enter(Phase::Leaving);
                    return;
                }
                self.in_time(waiting, RECOVERY_MS_MAX);
            }
            Phase::Leaving => {
                if self.is_quiet() {
                    let verdict = ephemerals::all_gone(&self.oracle.truth);
                    self.oracle.note(verdict);
                    for (node, server) in self.servers.iter().enumerate() {
                        if let Some(process) = &server.process {
                            self.oracle.tree_is_at(node, &process.tree);
                        }
                    }
                    self.enter(Phase::Over);
                    return;
                }
                let waiting = || self.unquiet();
                if self.now > self.phase_since + LEAVING_MS_MAX * MS {
                    self.in_time(Some(waiting()), LEAVING_MS_MAX);
                }
            }
            _ => {}
        }
    }

    fn in_time(&mut self, waiting: Option<String>, limit_ms: u64) {
        let verdict = liveness::in_time(waiting, self.phase_since / MS, self.now / MS, limit_ms);
        self.oracle.note(verdict);
    }

    fn leave(&mut self) {
        for client in &mut self.clients {
            client.leaving = Some(if self.rng.chance(600) {
                Leave::Properly
            } else {
                Leave::Vanish
            });
            if client.role != Role::Worker {
                // It has done what it came for; its session just runs out.
                client.leaving = Some(Leave::Vanish);
                client.is_done = false;
            }
        }
        for at in 0..self.clients.len() {
            self.schedule(self.now, Event::Wake(at));
        }
    }

    /// No client, no session, and every server has everything.
    fn is_quiet(&self) -> bool {
        self.clients.iter().all(|c| c.is_done)
            && self.oracle.truth.tree.sessions().next().is_none()
            && self.servers.iter().enumerate().all(|(node, server)| {
                let has_all =
                    self.oracle.delivery.position(node) == self.oracle.truth.committed.len();
                let serves = server.process.as_ref().is_some_and(|p| p.serving.is_some());
                (has_all && serves) || self.is_out(node)
            })
    }

    /// One without a vote that promised an epoch later than the one that the others are in cannot join them before their
    /// next election. Voters make the others have one.
    fn is_out(&self, node: NodeIx) -> bool {
        let server = &self.servers[node];
        let newest = self.oracle.leadership.newest();
        !self.oracle.configs.is_voter(server.id)
            && newest.is_some_and(|epoch| server.disk.stable.accepted > epoch)
    }

    fn unquiet(&self) -> String {
        let clients = self.clients.iter().filter(|c| !c.is_done).count();
        let sessions = self.oracle.truth.tree.sessions().count();
        let positions: Vec<usize> = (0..self.servers.len())
            .map(|node| self.oracle.delivery.position(node))
            .collect();
        format!(
            "{clients} clients, {sessions} sessions left; delivered {positions:?} of {}",
            self.oracle.truth.committed.len()
        )
    }
}

fn lines(scenario: &Scenario) -> Vec<ServerLine> {
    let nodes = scenario.voters + scenario.observers + scenario.guests;
    let line = |node: usize| {
        let id = node as i64 + 1;
        let is_observer = node >= scenario.voters && node < scenario.voters + scenario.observers;
        ServerLine {
            id: ServerId(id),
            addresses: vec![PeerAddress {
                host: format!("host{id}"),
                quorum_port: 2888,
                election_port: 3888,
            }],
            role: match is_observer {
                true => membership::Role::Observer,
                false => membership::Role::Participant,
            },
            client: Some(ListenAddress::new(None, 2181)),
            secure_client: None,
        }
    };
    (0..nodes).map(line).collect()
}

fn members(scenario: &Scenario, lines: &[ServerLine]) -> Membership {
    let members = lines.iter().take(scenario.voters + scenario.observers);
    Membership {
        servers: members.map(|line| (line.id, line.clone())).collect(),
        ..Membership::default()
    }
}
