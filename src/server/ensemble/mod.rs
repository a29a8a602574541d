//! The driver of a member of an ensemble: what comes from sockets, disk and clock goes into [`Peer::step`], and what
//! that says is done. Decides nothing. Answers to the threads of `QuorumPeer`.
//!
//! One lock holds the peer, and orders what it puts out: packets go into the buffers of their links and writes to the
//! log's queue while it is held. What takes longer or takes locks of the pipeline (applying, answering, changing
//! roles) is done afterwards, in the same order, by whoever comes first.

mod acks;
mod config_files;
mod disk;
mod figures;
mod links;
mod long;
mod masters;
mod read_only;
mod receive;
mod start;
mod status;
mod times;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::runtime;
use tokio::sync::{Notify, Semaphore};

use config_files::ConfigFiles;

use crate::admin::metrics::DetailedSummary;
use crate::ids::{Epoch, LinkId, ServerId, Zxid};
use crate::membership::change::Limits;
use crate::net::election::ElectionNet;
use crate::net::peer_auth::PeerAuth;
use crate::net::peer_stream::PeerSecurity;
use crate::net::quorum::{Dialling, Link, LinkLimits, Links, Pieces};
use crate::ops::members::Members;
use crate::pipeline::member::{LogJob, Quorum};
use crate::pipeline::{Pipeline, Wake, wall_ms};
use crate::proto::quorum::{PacketKind, QuorumPacket};
use crate::server::client_port::ClientPort;
use crate::storage::{Epochs, LogHandle, Places, State};
use crate::zab::quorum::is_quorum;
use crate::zab::{Input, Mark, Output, Peer, Status, Timestamp, Txn, Write};
use acks::Acks;
use figures::ForLearner;
use masters::Masters;
use times::Times;

/// What a member needs to know besides what its peer knows.
pub struct MemberSettings {
    pub id: ServerId,
    pub listen_on_all_addresses: bool,
    /// How a learner tries to reach its leader.
    pub dialling: Dialling,
    /// An observer waits a random time below this before it goes to a leader.
    pub observer_reconnect_ms_max: u64,
    /// How long either side of a connection may take to say who it is.
    pub handshake_limit: Duration,
    /// `None`: nobody has to say who it is.
    pub auth: Option<Arc<PeerAuth>>,
    /// Where followers serve observers; `None`: observers connect to the leader.
    pub observer_master_port: Option<u16>,
    pub link_limits: LinkLimits,
    /// Of the members that clients may ask for.
    pub change_limits: Limits,
    /// After this long without a leader those may read who ask for no more; `None`: never.
    pub read_only_after: Option<Duration>,
    /// While it is an observer this server does not wait for its disk: nobody relies on what it has (`syncEnabled=false`).
    pub observes_lazily: bool,
    /// Of the connections of the quorum port.
    pub security: PeerSecurity,
}

/// What is on disk, and what a snapshot from a leader replaces.
pub struct Stores {
    pub log: LogHandle,
    pub state: Arc<State>,
    pub places: Places,
    pub epochs: Epochs,
}

pub struct Member {
    settings: MemberSettings,
    core: Mutex<Core>,
    /// Done in order by whoever holds this. Empty while nobody does.
    later: Mutex<VecDeque<Later>>,
    pipeline: Arc<Pipeline>,
    election: ElectionNet,
    log: LogHandle,
    state: Arc<State>,
    places: Places,
    links: Mutex<HashMap<LinkId, Arc<Link>>>,
    numbers: Links,
    /// For connections of learners.
    inbound: Arc<Semaphore>,
    /// Where a learner's requests go.
    upstream: RwLock<Option<Arc<Link>>>,
    snapshots: receive::Snapshots,
    epochs: Mutex<Epochs>,
    /// Where configurations are kept; `None` where they never change.
    config_files: Option<Mutex<ConfigFiles>>,
    client_port: OnceLock<Arc<ClientPort>>,
    runtime: runtime::Handle,
    timer: Notify,
    /// The process ends.
    leaving: AtomicBool,
    /// This server acknowledges nothing.
    observes: AtomicBool,
    began: Instant,
}

struct Core {
    peer: Peer,
    out: Vec<Output>,
    later: VecDeque<Later>,
    /// For the log of this learner: what came together is written together.
    appended: Vec<Txn>,
    /// Who writes it.
    wake: Wake,
    /// Links that got something in this step.
    unflushed: Vec<Arc<Link>>,
    /// The task that accepts learners, while leading.
    accepting: Option<tokio::task::AbortHandle>,
    /// The connection attempt to a leader.
    dialing: Option<tokio::task::AbortHandle>,
    /// For an observer that followers serve.
    masters: Masters,
    /// When the timer's task will look again.
    wake_at: Option<Timestamp>,
    /// Waits to serve those who only read, while there is no leader.
    secluding: Option<tokio::task::AbortHandle>,
    /// Whoever writes the log asks whether it may.
    proposing: bool,
    accepted: bool,
    /// Writes were handed to the log's thread that may not be done yet.
    has_log_jobs: bool,
    leading_since: Option<Instant>,
    times: Times,
    acks: Acks,
    /// What the peer said of itself when it was asked last.
    deserted: u64,
}

/// What is done when the peer is not locked any more.
enum Later {
    Deliver(Zxid),
    /// In their order, with nothing between them.
    Upward(LinkId, Vec<QuorumPacket>),
    Became(Status),
    Serve(Epoch, Option<LinkId>),
    ServeReadOnly,
    Configure,
}

impl Member {
    fn now(&self) -> Timestamp {
        Timestamp(self.began.elapsed().as_millis() as u64)
    }

    /// Everything goes in here.
    pub fn input(self: &Arc<Self>, input: Input) {
        self.inputs([input]);
    }

    /// What came together.
    fn inputs(self: &Arc<Self>, inputs: impl IntoIterator<Item = Input>) {
        let leaving = self.leaving.load(Ordering::Relaxed);
        let counts = |input: &Input| !leaving || matches!(input, Input::Persisted(_));
        let mut core = self.core.lock();
        for input in inputs.into_iter().filter(counts) {
            self.step(&mut core, input);
        }
        self.finish(core);
    }

    /// The process ends. Other members look for another leader at once, and nothing is taken from them any more: as long
    /// as a disk is slower than they are, the log would never come to its end.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        let links: Vec<_> = self.links.lock().values().cloned().collect();
        for link in links {
            link.close();
        }
    }

    fn step(self: &Arc<Self>, core: &mut Core, input: Input) {
        let mut out = std::mem::take(&mut core.out);
        let introduced = self.look_at(core, &input);
        let passed_on = self.passed_on(core, &input);
        core.peer.step(self.now(), input, &mut out);
        if let Some((metric, began)) = passed_on {
            metric.record(began.elapsed().as_millis() as i64);
        }
        if let Some(link) = introduced {
            self.measure(core, link);
        }
        for output in out.drain(..) {
            self.carry_out(core, output);
        }
        core.out = out;
    }

    /// For the metrics. Gives back the link that says by this whose it is.
    fn look_at(&self, core: &mut Core, input: &Input) -> Option<LinkId> {
        match input {
            Input::Persisted(Mark::Log(zxid)) => core.acks.durable(*zxid, wall_ms),
            Input::Down(link) => core.acks.left(*link),
            Input::Packet(link, packet) => match packet.kind {
                PacketKind::ACK => core.acks.acked(*link, Zxid(packet.zxid), wall_ms),
                PacketKind::FOLLOWERINFO | PacketKind::OBSERVERINFO => return Some(*link),
                PacketKind::LEADERINFO => core.times.registered(),
                _ => {}
            },
            _ => {}
        }
        None
    }

    /// What a follower that serves observers does with the leader's word, and from when on.
    fn passed_on(&self, core: &Core, input: &Input) -> Option<(&DetailedSummary, Instant)> {
        self.settings.observer_master_port?;
        let metrics = &self.pipeline.stats.metrics;
        let metric = match input {
            Input::Packet(_, packet) => match packet.kind {
                PacketKind::PROPOSAL => &metrics.om_proposal_process_time_ms,
                PacketKind::COMMIT => &metrics.om_commit_process_time_ms,
                _ => return None,
            },
            _ => return None,
        };
        let serves = core.peer.serving().is_some();
        let follows = serves && matches!(core.peer.status(), Status::Following(_));
        follows.then(|| (metric, Instant::now()))
    }

    /// A learner that has just said who it is.
    fn measure(&self, core: &mut Core, id: LinkId) {
        let learners = core.peer.learners();
        let learner = learners.iter().find(|learner| learner.link == id);
        let Some((server, learner)) = learner.and_then(|l| Some((l.server?, l))) else {
            return;
        };
        let metrics = &self.pipeline.stats.metrics;
        if !learner.is_observer {
            core.acks.greeted(id, server, metrics);
        }
        if let Some(link) = self.link(id) {
            link.measure(Box::new(ForLearner::new(server, metrics)));
        }
    }

    /// Sends what was put into links, and does what has to wait for the lock.
    fn finish(self: &Arc<Self>, mut core: parking_lot::MutexGuard<'_, Core>) {
        self.append(&mut core);
        let wake = std::mem::take(&mut core.wake);
        let unflushed = std::mem::take(&mut core.unflushed);
        let deadline = core.peer.deadline();
        let sooner = match (deadline, core.wake_at) {
            (Some(deadline), Some(wake_at)) => deadline < wake_at,
            (deadline, _) => deadline.is_some(),
        };
        let has_later = !core.later.is_empty();
        drop(core);
        if wake == Wake::Disk {
            self.pipeline.see_to(wake);
        }
        for link in &unflushed {
            link.flush();
        }
        if sooner {
            self.timer.notify_one();
        }
        if has_later {
            self.do_later();
        }
        if wake == Wake::WriteHere {
            self.pipeline.see_to(wake);
        }
    }

    /// Whoever holds the lock does what others left, too: so none of them waits, and the order stays.
    fn do_later(self: &Arc<Self>) {
        loop {
            let Some(mut doing) = self.later.try_lock() else {
                return;
            };
            loop {
                std::mem::swap(&mut self.core.lock().later, &mut doing);
                if doing.is_empty() {
                    break;
                }
                while let Some(later) = doing.pop_front() {
                    self.do_one(later);
                }
            }
            drop(doing);
            if self.core.lock().later.is_empty() {
                return;
            }
        }
    }

    fn do_one(self: &Arc<Self>, later: Later) {
        match later {
            Later::Deliver(zxid) => {
                if let Err(e) = self.pipeline.deliver(zxid) {
                    super::fatal(&e);
                }
            }
            Later::Upward(link, packets) => self.upward(link, &packets),
            Later::Became(status) => {
                tracing::info!("{}", describe(status));
                *self.upstream.write() = None;
                self.pipeline.rest();
            }
            Later::Serve(epoch, None) => {
                tracing::info!("LEADING: serving, epoch 0x{:x}", epoch.0);
                self.show_configuration();
                self.tell_members();
                self.pipeline.lead(epoch);
            }
            Later::Serve(epoch, Some(upstream)) => {
                tracing::info!("learning: serving, epoch 0x{:x}", epoch.0);
                *self.upstream.write() = self.link(upstream);
                self.show_configuration();
                self.pipeline.learn(epoch);
            }
            Later::Configure => self.move_client_port(),
            Later::ServeReadOnly => self.serve_read_only(),
        }
    }

    /// Trees do not bring it: a snapshot may come from a server that formats it in its own way.
    fn show_configuration(&self) {
        let committed = self.core.lock().peer.committed_config().clone();
        self.pipeline.set_configuration(&committed);
    }

    /// What a leader's prep has to know; changes of it follow under the same lock.
    fn tell_members(&self) {
        let core = self.core.lock();
        let (id, limits) = (self.settings.id, self.settings.change_limits);
        let mut members = Members::new(id, limits, is_quorum, core.peer.committed_config());
        let learners = core.peer.learners().into_iter();
        let synced = learners.filter(|learner| learner.is_synced && !learner.is_observer);
        members.set_synced(synced.filter_map(|learner| learner.server).collect());
        self.pipeline.set_members(members);
    }

    /// Clients find this server where the configuration in force says.
    fn move_client_port(&self) {
        let Some(port) = self.client_port.get() else {
            return;
        };
        let committed = self.core.lock().peer.committed_config().clone();
        let own = committed.servers.get(&self.settings.id);
        if let Some(address) = own.and_then(|own| own.client.clone()) {
            port.move_to(address);
        }
    }

    fn carry_out(self: &Arc<Self>, core: &mut Core, output: Output) {
        match output {
            Output::Notify(server, notification) => self.election.send(server, &notification),
            Output::Dial(server) => self.dial(core, server),
            Output::Send(link, packet) => {
                if matches!(packet.kind, PacketKind::DIFF | PacketKind::TRUNC) {
                    let metrics = &self.pipeline.stats.metrics;
                    metrics.diff_count.increment();
                    let under_way = core.peer.syncs_under_way(false);
                    metrics.inflight_diff_count.record(under_way as i64);
                }
                self.send(core, link, &packet);
            }
            Output::SendHistory {
                link,
                after,
                up_to,
                form,
            } => {
                let log = self.log.clone();
                self.send_long(core, link, Box::new(long::history(log, after, up_to, form)));
            }
            Output::SendSnapshot { link, up_to } => {
                let metrics = &self.pipeline.stats.metrics;
                metrics.snap_count.increment();
                let under_way = core.peer.syncs_under_way(true);
                metrics.inflight_snap_count.record(under_way as i64);
                let (pipeline, log) = (self.pipeline.clone(), self.log.clone());
                let member = self.clone();
                let done = Box::new(move || member.input(Input::SnapshotSent(link)));
                let pieces = long::snapshot(pipeline, log, up_to, done);
                self.send_long(core, link, Box::new(pieces));
            }
            // What prep made is in the hands of who writes it, and waits for this word.
            Output::Persist(Write::Append(_)) if core.proposing => core.accepted = true,
            Output::Persist(Write::Append(txns)) => core.appended.extend(txns),
            Output::Persist(write) => {
                self.append(core);
                core.has_log_jobs = true;
                self.persist(write);
            }
            Output::Deliver(zxid) => match core.later.back_mut() {
                Some(Later::Deliver(last)) => *last = zxid,
                _ => core.later.push_back(Later::Deliver(zxid)),
            },
            Output::Upward(link, packet) => match core.later.back_mut() {
                Some(Later::Upward(of, packets)) if *of == link => packets.push(packet),
                _ => core.later.push_back(Later::Upward(link, vec![packet])),
            },
            Output::AnswerPing(link, zxid) => {
                let touched = self.pipeline.take_touched();
                self.send(core, link, &links::ping_answer(zxid, &touched));
            }
            Output::Became(status) => {
                let metrics = &self.pipeline.stats.metrics;
                core.times.became(status, metrics);
                let leads = (status == Status::Leading).then_some(self.settings.id);
                core.acks.began(leads, metrics);
                let deserted = core.peer.deserted();
                let newly = deserted - std::mem::replace(&mut core.deserted, deserted);
                metrics.quit_leading_due_to_disloyal_voter.add(newly);
                let observes = matches!(status, Status::Observing(_));
                self.observes.store(observes, Ordering::Relaxed);
                self.wait_for_the_disk(core, !observes);
                core.leading_since = (status == Status::Leading).then(Instant::now);
                self.change_role(core, status);
                self.seclude(core, status);
                core.later.push_back(Later::Became(status));
            }
            Output::Serve { epoch, upstream } => {
                let status = core.peer.status();
                core.times.serves(status, &self.pipeline.stats.metrics);
                self.serve_observers(core);
                core.later.push_back(Later::Serve(epoch, upstream));
            }
            Output::Configure {
                committed,
                last_seen,
            } => {
                self.election.reconfigure(&committed, last_seen.as_ref());
                self.pipeline
                    .change_members(|members| members.commit(&committed));
                core.later.push_back(Later::Configure);
            }
            Output::Synced(servers) => {
                self.pipeline
                    .change_members(|members| members.set_synced(servers));
            }
            Output::DropSnapshot(link) => drop(self.snapshots.remove(link)),
            Output::Close(link) => {
                if let Some(link) = self.link(link) {
                    link.close();
                }
            }
            Output::Stop(why) => super::stop_at_once(&why),
        }
    }

    fn link(&self, id: LinkId) -> Option<Arc<Link>> {
        self.links.lock().get(&id).cloned()
    }

    fn send(&self, core: &mut Core, link: LinkId, packet: &QuorumPacket) {
        if let Some(link) = self.unflushed(core, link) {
            link.send(packet);
        }
    }

    fn send_long(&self, core: &mut Core, link: LinkId, pieces: Box<dyn Pieces>) {
        if let Some(link) = self.unflushed(core, link) {
            link.send_pieces(pieces);
        }
    }

    /// The link, among those to flush after this step.
    fn unflushed<'a>(&self, core: &'a mut Core, link: LinkId) -> Option<&'a Arc<Link>> {
        if let Some(at) = core.unflushed.iter().position(|other| other.id == link) {
            return core.unflushed.get(at);
        }
        core.unflushed.push(self.link(link)?);
        core.unflushed.last()
    }

    /// Gives the peer the time when it asked for it.
    pub async fn run_timer(self: Arc<Self>) {
        while !self.leaving.load(Ordering::Relaxed) {
            let wait = {
                let mut core = self.core.lock();
                core.wake_at = core.peer.deadline();
                core.wake_at.map(|at| at.0.saturating_sub(self.now().0))
            };
            let until = async {
                match wait {
                    Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = until => self.input(Input::Tick),
                () = self.timer.notified() => {}
            }
        }
    }
}

impl Quorum for Voice {
    fn propose(&self, txns: Vec<Txn>) -> Option<Vec<LogJob>> {
        let mut core = self.0.core.lock();
        core.proposing = true;
        core.accepted = false;
        core.acks.proposed(&txns);
        self.0.step(&mut core, Input::Propose(txns));
        core.proposing = false;
        // A peer's writes are done in its order, and it put these out before what is going to be written now.
        let before = core.accepted.then(|| match core.has_log_jobs {
            true => self.0.pipeline.take_log_jobs(),
            false => Vec::new(),
        });
        core.has_log_jobs &= before.is_none();
        self.0.finish(core);
        before
    }

    fn durable(&self, zxid: Zxid) {
        self.0.input(Input::Persisted(Mark::Log(zxid)));
    }

    fn acknowledges(&self) -> bool {
        !self.0.observes.load(Ordering::Relaxed)
    }

    fn purged(&self, zxid: Zxid) {
        self.0.input(Input::Purged(zxid));
    }
}

/// The member as its pipeline knows it.
struct Voice(Arc<Member>);

fn describe(status: Status) -> String {
    match status {
        Status::Looking => "LOOKING".to_owned(),
        Status::Leading => "LEADING".to_owned(),
        Status::Following(leader) => format!("FOLLOWING server {leader}"),
        Status::Observing(leader) => format!("OBSERVING server {leader}"),
    }
}

#[cfg(test)]
mod tests;
