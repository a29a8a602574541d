//! Peers with a network and disks that take no time, and a clock that jumps from one deadline to the next.
//!
//! What happens, happens in the order in which it was caused; or, for `chaos`, in any order that keeps the one of
//! each link and of each disk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::proto::quorum::PacketKind;

/// What a server has that survives a crash, and its tree: the transactions that made it.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) accepted: Epoch,
    pub(super) current: Epoch,
    pub(super) base: Zxid,
    pub(super) log: Vec<Txn>,
    pub(super) tree: Vec<Zxid>,
    pub(super) tree_zxid: Zxid,
    pub(super) committed: Membership,
    pub(super) last_seen: Option<Membership>,
}

impl Store {
    fn durable(&self) -> Durable {
        let mut log = LogShape::starting_at(self.base);
        for txn in &self.log {
            log.append(txn.zxid).unwrap();
        }
        Durable {
            accepted_epoch: self.accepted,
            current_epoch: self.current,
            log,
            delivered: self.tree_zxid,
            may_have_lost_data: false,
        }
    }

    fn deliver(&mut self, to: Zxid) {
        let new = self.log.iter().map(|txn| txn.zxid);
        let new = new.filter(|zxid| *zxid > self.tree_zxid && *zxid <= to);
        self.tree.extend(new);
        assert_eq!(self.tree.last(), Some(&to), "delivered from the log");
        self.tree_zxid = to;
    }
}

pub(super) struct Node {
    pub(super) peer: Option<Peer>,
    pub(super) store: Store,
    pub(super) serving: Option<Epoch>,
    snapshots: BTreeMap<LinkId, (Zxid, Vec<Zxid>)>,
    /// What came out since the last look, without what concerns disk and network.
    pub(super) notes: Vec<Output>,
}

/// Within one the order is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    /// By its receiving end.
    Link(LinkId),
    Disk,
    Election(ServerId),
    Here,
}

#[derive(Debug)]
enum Event {
    Input(Input),
    Write(Write),
}

pub(super) struct Cluster {
    pub(super) now: Timestamp,
    pub(super) nodes: BTreeMap<i64, Node>,
    queue: VecDeque<(i64, Channel, Event)>,
    /// What was delivered anywhere; everywhere it has to be the same.
    pub(super) history: Vec<Zxid>,
    pub(super) established: BTreeMap<Epoch, i64>,
    links: BTreeMap<LinkId, (i64, LinkId)>,
    dials: Vec<(i64, ServerId)>,
    cut_off: BTreeSet<i64>,
    next_link: u64,
}

impl Cluster {
    pub(super) fn new(members: &Membership) -> Cluster {
        let mut cluster = Cluster {
            now: Timestamp(0),
            nodes: BTreeMap::new(),
            queue: VecDeque::new(),
            history: Vec::new(),
            established: BTreeMap::new(),
            links: BTreeMap::new(),
            dials: Vec::new(),
            cut_off: BTreeSet::new(),
            next_link: 1,
        };
        for id in members.servers.keys() {
            cluster.add(id.0, members);
        }
        cluster
    }

    pub(super) fn add(&mut self, id: i64, members: &Membership) {
        let node = Node {
            peer: None,
            store: Store {
                accepted: Epoch(0),
                current: Epoch(0),
                base: Zxid::ZERO,
                log: Vec::new(),
                tree: Vec::new(),
                tree_zxid: Zxid::ZERO,
                committed: members.clone(),
                last_seen: None,
            },
            serving: None,
            snapshots: BTreeMap::new(),
            notes: Vec::new(),
        };
        self.nodes.insert(id, node);
    }

    pub(super) fn start(&mut self, id: i64) {
        let node = self.nodes.get_mut(&id).unwrap();
        let config = PeerConfig {
            last_seen: node.store.last_seen.clone(),
            ..config(id, node.store.committed.clone())
        };
        node.peer = Some(Peer::new(self.now, config, node.store.durable()));
        self.push(id, Channel::Here, Input::Tick);
    }

    fn push(&mut self, to: i64, channel: Channel, input: Input) {
        self.queue.push_back((to, channel, Event::Input(input)));
    }

    pub(super) fn start_all(&mut self) {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.start(id);
        }
    }

    /// Ends the process; connections break.
    pub(super) fn crash(&mut self, id: i64) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.peer = None;
        node.serving = None;
        node.snapshots.clear();
        self.queue.retain(|(to, ..)| *to != id);
        self.dials.retain(|(from, _)| *from != id);
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            if self.links.get(&link).is_some_and(|(peer, _)| *peer == id) {
                self.break_link(link);
            }
        }
    }

    /// Nobody reaches it, and it reaches nobody.
    pub(super) fn cut_off(&mut self, id: i64) {
        self.cut_off.insert(id);
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            let Some((peer, other)) = self.links.get(&link).copied() else {
                continue;
            };
            let me = self.links[&other].0;
            if peer == id || me == id {
                self.push(me, Channel::Link(link), Input::Down(link));
                self.break_link(link);
            }
        }
    }

    pub(super) fn reconnect(&mut self, id: i64) {
        self.cut_off.remove(&id);
    }

    fn break_link(&mut self, link: LinkId) {
        if let Some((peer, other)) = self.links.remove(&link) {
            self.links.remove(&other);
            self.push(peer, Channel::Link(other), Input::Down(other));
        }
    }

    /// Everything that needs no time.
    pub(super) fn run(&mut self) {
        for _ in 0..100_000 {
            if !self.happen(0) {
                return;
            }
        }
        panic!("no end of it");
    }

    /// The next thing of the channel that has its turn. False if nothing is left.
    pub(super) fn happen(&mut self, turn: usize) -> bool {
        let Some(at) = turn.checked_rem(self.queue.len()) else {
            return false;
        };
        let (to, channel) = (self.queue[at].0, self.queue[at].1);
        let first = self
            .queue
            .iter()
            .position(|next| (next.0, next.1) == (to, channel));
        let (id, _, event) = self.queue.remove(first.unwrap()).unwrap();
        match event {
            Event::Input(input) => self.step(id, input),
            Event::Write(write) => {
                let mark = write.mark();
                let takes_away = matches!(write, Write::Cut(_) | Write::Snapshot { .. });
                self.persist(id, write);
                if takes_away {
                    self.check_committed(0);
                }
                self.step(id, Input::Persisted(mark));
            }
        }
        true
    }

    /// What is delivered anywhere is on the disks of a quorum, always.
    fn check_committed(&self, from: usize) {
        let has = |id: &ServerId, zxid: Zxid| {
            let store = &self.nodes[&id.0].store;
            store.base >= zxid
                || store
                    .log
                    .binary_search_by_key(&zxid, |txn| txn.zxid)
                    .is_ok()
        };
        let config = self.nodes.values().map(|node| &node.store.committed);
        let config = config.max_by_key(|config| config.version).unwrap();
        let quorum = quorum::Quorum::new(config);
        for zxid in &self.history[from..] {
            assert!(
                quorum.met(|id| has(&id, *zxid)),
                "{zxid} is on too few disks"
            );
        }
    }

    pub(super) fn step(&mut self, id: i64, input: Input) {
        let node = self.nodes.get_mut(&id).unwrap();
        let Some(peer) = &mut node.peer else { return };
        let mut out = Vec::new();
        peer.step(self.now, input, &mut out);
        for output in out {
            self.act(id, output);
        }
    }

    fn act(&mut self, id: i64, output: Output) {
        match output {
            Output::Notify(to, notification) => {
                let is_up = self
                    .nodes
                    .get(&to.0)
                    .is_some_and(|node| node.peer.is_some());
                if is_up && !self.cut_off.contains(&id) && !self.cut_off.contains(&to.0) {
                    let input = Input::Notification(ServerId(id), notification);
                    self.push(to.0, Channel::Election(ServerId(id)), input);
                }
            }
            Output::Dial(to) => {
                self.dials.retain(|(from, _)| *from != id);
                self.dials.push((id, to));
                self.dial();
            }
            Output::Send(link, packet) => self.send(link, packet),
            Output::SendHistory {
                link,
                after,
                up_to,
                form,
            } => {
                self.send_history(id, link, after, up_to, form);
            }
            Output::SendSnapshot { link, up_to } => {
                let node = &self.nodes[&id];
                let tree = (node.store.tree_zxid, node.store.tree.clone());
                let after = tree.0;
                if let Some((peer, other)) = self.links.get(&link).copied() {
                    self.nodes
                        .get_mut(&peer)
                        .unwrap()
                        .snapshots
                        .insert(other, tree);
                    self.send(link, QuorumPacket::new(PacketKind::SNAP, after.0));
                    self.send_history(id, link, after, up_to, HistoryForm::Committed);
                    self.push(id, Channel::Here, Input::SnapshotSent(link));
                }
            }
            Output::Persist(write) => {
                self.queue
                    .push_back((id, Channel::Disk, Event::Write(write)));
            }
            Output::Deliver(to) => {
                let store = &mut self.nodes.get_mut(&id).unwrap().store;
                store.deliver(to);
                let known = store.tree.len().min(self.history.len());
                assert_eq!(
                    store.tree[..known],
                    self.history[..known],
                    "{id} delivered something else"
                );
                if store.tree.len() > known {
                    self.history = store.tree.clone();
                    self.check_committed(known);
                }
            }
            Output::AnswerPing(link, zxid) => {
                self.send(link, QuorumPacket::new(PacketKind::PING, zxid.0));
            }
            Output::Close(link) => self.break_link(link),
            Output::DropSnapshot(link) => {
                self.nodes.get_mut(&id).unwrap().snapshots.remove(&link);
            }
            output => {
                let node = self.nodes.get_mut(&id).unwrap();
                match &output {
                    Output::Serve { epoch, upstream } => {
                        node.serving = Some(*epoch);
                        let leader = self.established.entry(*epoch);
                        if upstream.is_none() {
                            assert_eq!(*leader.or_insert(id), id, "two leaders of {epoch:?}");
                        }
                    }
                    Output::Stop(reason) => panic!("{id} stops: {reason}"),
                    Output::Became(_) => {
                        node.serving = None;
                        self.dials.retain(|(from, _)| *from != id);
                    }
                    _ => {}
                }
                node.notes.push(output);
                self.dial();
            }
        }
    }

    fn persist(&mut self, id: i64, write: Write) {
        let node = self.nodes.get_mut(&id).unwrap();
        let store = &mut node.store;
        match write {
            Write::AcceptedEpoch(epoch) => store.accepted = epoch,
            Write::CurrentEpoch(epoch) => store.current = epoch,
            Write::Append(txns) => store.log.extend(txns),
            Write::Cut(to) => store.log.retain(|txn| txn.zxid <= to),
            Write::Snapshot { link, zxid } => {
                let (of, tree) = node.snapshots.remove(&link).unwrap();
                assert_eq!(of, zxid);
                (store.base, store.tree_zxid, store.tree) = (zxid, zxid, tree);
                store.log.clear();
            }
            Write::SeenConfig(config) => store.last_seen = Some(config),
            Write::CommittedConfig(config) => store.committed = config,
        }
    }

    fn send(&mut self, link: LinkId, packet: QuorumPacket) {
        if let Some((peer, other)) = self.links.get(&link).copied() {
            self.push(peer, Channel::Link(other), Input::Packet(other, packet));
        }
    }

    fn send_history(&mut self, id: i64, link: LinkId, after: Zxid, up_to: Zxid, form: HistoryForm) {
        let log = self.nodes[&id].store.log.clone();
        for txn in log
            .iter()
            .filter(|txn| txn.zxid > after && txn.zxid <= up_to)
        {
            let with = |kind| QuorumPacket::with_data(kind, txn.zxid.0, txn.bytes.clone());
            match form {
                HistoryForm::Inform => self.send(link, with(PacketKind::INFORM)),
                HistoryForm::Committed => {
                    self.send(link, with(PacketKind::PROPOSAL));
                    self.send(link, QuorumPacket::new(PacketKind::COMMIT, txn.zxid.0));
                }
            }
        }
    }

    fn dial(&mut self) {
        for (from, to) in std::mem::take(&mut self.dials) {
            let status = |id| {
                self.nodes
                    .get(&id)
                    .and_then(|node| Some(node.peer.as_ref()?.status()))
            };
            let reachable = !self.cut_off.contains(&from) && !self.cut_off.contains(&to.0);
            if status(to.0) != Some(Status::Leading) || !reachable {
                self.dials.push((from, to));
                continue;
            }
            let (near, far) = (LinkId(self.next_link), LinkId(self.next_link + 1));
            self.next_link += 2;
            self.links.insert(near, (to.0, far));
            self.links.insert(far, (from, near));
            self.push(to.0, Channel::Link(far), Input::Accepted(far));
            self.push(from, Channel::Link(near), Input::Connected(to, near));
        }
    }

    /// Goes on from deadline to deadline until it holds.
    pub(super) fn until(&mut self, what: &str, holds: impl Fn(&Cluster) -> bool) {
        self.run();
        for _ in 0..2000 {
            if holds(self) {
                return;
            }
            self.jump();
        }
        let states = self
            .nodes
            .iter()
            .map(|(id, node)| (id, node.peer.as_ref().map(Peer::status)));
        panic!("never: {what}; {:?}", states.collect::<Vec<_>>());
    }

    /// To the next deadline of anybody.
    pub(super) fn jump(&mut self) {
        let peers = self.nodes.values().filter_map(|node| node.peer.as_ref());
        let next = peers.filter_map(Peer::deadline).min();
        self.now = next.unwrap_or(self.now).max(self.now.after(1));
        self.tick_all();
        self.run();
    }

    pub(super) fn tick_all(&mut self) {
        self.dial();
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.push(id, Channel::Here, Input::Tick);
        }
    }

    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now.after(ms);
        while self.now < end {
            self.jump();
        }
    }

    pub(super) fn peer(&self, id: i64) -> &Peer {
        self.nodes[&id].peer.as_ref().unwrap()
    }

    pub(super) fn leader(&self) -> Option<i64> {
        let leads = |node: &Node| {
            let peer = node.peer.as_ref();
            node.serving.is_some() && peer.is_some_and(|peer| peer.status() == Status::Leading)
        };
        let mut leaders = self.nodes.iter().filter(|(_, node)| leads(node));
        leaders.next_back().map(|(id, _)| *id)
    }

    pub(super) fn serves(&self, ids: &[i64]) -> bool {
        ids.iter().all(|id| self.nodes[id].serving.is_some())
    }

    pub(super) fn until_served_by(&mut self, ids: &[i64]) {
        self.until(&format!("served by {ids:?}"), |cluster| cluster.serves(ids));
    }

    /// Proposes `count` transactions at the leader.
    pub(super) fn propose(&mut self, count: u32) -> Zxid {
        let leader = self.leader().unwrap();
        let epoch = self.nodes[&leader].serving.unwrap();
        let last = self.peer(leader).log().last().max(Zxid::new(epoch, 0));
        let txns: Vec<Txn> = (1..=i64::from(count))
            .map(|n| txn(Zxid(last.0 + n)))
            .collect();
        let end = txns.last().unwrap().zxid;
        self.step(leader, Input::Propose(txns));
        end
    }

    /// Proposes, and lets everything happen.
    pub(super) fn commit(&mut self, count: u32) -> Zxid {
        let end = self.propose(count);
        self.run();
        end
    }

    pub(super) fn input(&mut self, id: i64, input: Input) {
        self.step(id, input);
        self.run();
    }

    /// Breaks some link.
    pub(super) fn break_any(&mut self, turn: usize) {
        let link = turn
            .checked_rem(self.links.len())
            .and_then(|at| self.links.keys().nth(at));
        if let Some(link) = link.copied() {
            let me = self.links[&self.links[&link].1].0;
            self.push(me, Channel::Link(link), Input::Down(link));
            self.break_link(link);
        }
    }

    /// Nothing of this needs the log any more.
    pub(super) fn purge(&mut self, id: i64) {
        let to = self.nodes[&id].store.tree_zxid;
        let node = &self.nodes[&id];
        if node.peer.is_some() {
            self.step(id, Input::Purged(to));
            let node = self.nodes.get_mut(&id).unwrap();
            node.store.base = to.max(node.store.base);
            node.store.log.retain(|txn| txn.zxid > to);
        }
    }

    pub(super) fn assert_trees_equal(&self, ids: &[i64]) {
        let first = &self.nodes[&ids[0]].store.tree;
        for id in ids {
            assert_eq!(&self.nodes[id].store.tree, first, "{id} and {}", ids[0]);
        }
        assert!(first.is_sorted_by(|a, b| a < b));
    }
}
