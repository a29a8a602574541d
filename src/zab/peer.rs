//! A member of an ensemble: its role, and what it keeps from one role to the next.
//!
//! Must not know how a role works; only here one role follows another, by consuming it. Between two roles all that was
//! put out for the disk is waited for, so that each begins with a log that is what it says (ZOOKEEPER-4712).
//! Answers to `QuorumPeer`.

use std::collections::BTreeMap;

use crate::ids::{Epoch, ServerId, Zxid};
use crate::membership::Membership;
use crate::proto::election::{Notification, PeerState};

use super::configs::Configs;
use super::disk::Disk;
use super::election::{Candidacy, Election, ElectionSettings, Outcome};
use super::leader::Leader;
use super::learner::Learner;
use super::mistake::{Mistake, makes};
use super::role::{Ctx, End};
use super::vote::Vote;
use super::{
    Durable, Input, LearnerStatus, LogShape, Mark, Output, PeerConfig, Status, Timestamp, Write,
};

/// One server's part in the protocol.
#[derive(Debug)]
pub struct Peer {
    config: PeerConfig,
    disk: Disk,
    configs: Configs,
    election: Election,
    role: Role,
    status: Status,
    /// The leader whose loss began the election that comes.
    lost: Option<ServerId>,
    /// The highest that another server is known to have accepted.
    accepted_elsewhere: Epoch,
    /// How often this server gave up to lead because somebody who had elected it looked for another leader.
    deserted: u64,
}

type Unheard = BTreeMap<ServerId, Notification>;

#[derive(Debug)]
enum Role {
    /// The disk finishes what the role before began. Who said something meanwhile is heard afterwards.
    Settling(Next, Unheard),
    /// Giving the others time to find a leader.
    Pausing(Timestamp, Unheard),
    Looking,
    Leading(Leader),
    Learning(Learner),
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    Look,
    LookIn(u64),
    Resync(ServerId),
    Designated(ServerId),
}

impl Peer {
    /// Looking. Nothing happens before the first [`Peer::step`].
    pub fn new(now: Timestamp, config: PeerConfig, durable: Durable) -> Peer {
        let disk = Disk::new(durable);
        let configs = Configs::new(
            config.id,
            config.reconfig_enabled,
            config.committed.clone(),
            config.last_seen.clone(),
        );
        let settings = ElectionSettings {
            id: config.id,
            min_notification_ms: config.min_notification_ms,
            max_notification_ms: config.max_notification_ms,
            finalize_wait_ms: config.finalize_wait_ms,
            reconfig_enabled: config.reconfig_enabled,
        };
        let election = Election::new(
            settings,
            candidacy(&disk),
            configs.committed(),
            configs.newer(),
        );
        Peer {
            config,
            disk,
            configs,
            election,
            // A pause that is over: the first step looks.
            role: Role::Pausing(now, Unheard::new()),
            status: Status::Looking,
            lost: None,
            accepted_elsewhere: Epoch(0),
            deserted: 0,
        }
    }

    /// Takes what happened at `now`, and appends what to do. Time never goes back.
    pub fn step(&mut self, now: Timestamp, input: Input, out: &mut Vec<Output>) {
        let versions = self.config_versions();
        if let Err(end) = self.take(now, input, out) {
            self.end_role(end, out);
        }
        self.settle(now, out);
        if self.config_versions() != versions {
            self.tell_election();
        }
        if let Role::Leading(leader) = &mut self.role {
            leader.tell_synced(out);
        }
        let serving = match &self.role {
            Role::Leading(leader) => leader.serving(),
            Role::Learning(learner) => learner.serving(),
            _ => None,
        };
        if let Some(epoch) = serving {
            self.election.joined(epoch);
        }
    }

    fn take(&mut self, now: Timestamp, input: Input, out: &mut Vec<Output>) -> Result<(), End> {
        match input {
            Input::Tick => return self.tick(now, out),
            Input::Notification(from, notification) => {
                let looks = notification.state == PeerState::Looking;
                self.heard(now, from, notification, out);
                if looks && self.election.was_decided_by(from) {
                    let (role, ctx) = self.role(now, out);
                    if let Role::Leading(leader) = role {
                        let goes_on = leader.voter_looks(from, &ctx);
                        self.deserted += u64::from(goes_on.is_err());
                        return goes_on;
                    }
                }
            }
            Input::Purged(zxid) => self.disk.purge(zxid),
            Input::Persisted(mark) => return self.persisted(now, mark, out),
            input => return self.take_of_role(now, input, out),
        }
        Ok(())
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Output>) -> Result<(), End> {
        let (role, mut ctx) = self.role(now, out);
        match role {
            Role::Leading(leader) => leader.tick(&mut ctx),
            Role::Learning(learner) => learner.tick(&mut ctx),
            Role::Looking => {
                let outcome = self.election.on_time(now, out);
                self.decide(now, outcome, out);
                Ok(())
            }
            Role::Settling(..) | Role::Pausing(..) | Role::Stopped => Ok(()),
        }
    }

    fn persisted(&mut self, now: Timestamp, mark: Mark, out: &mut Vec<Output>) -> Result<(), End> {
        self.disk.persisted(mark, out);
        let (role, mut ctx) = self.role(now, out);
        match role {
            Role::Leading(leader) => leader.persisted(mark, &mut ctx),
            Role::Learning(learner) => learner.persisted(mark, &mut ctx),
            _ => Ok(()),
        }
    }

    /// What concerns links and proposals. It may come late, for a role that is over.
    fn take_of_role(
        &mut self,
        now: Timestamp,
        input: Input,
        out: &mut Vec<Output>,
    ) -> Result<(), End> {
        let (role, mut ctx) = self.role(now, out);
        let ctx = &mut ctx;
        match (role, input) {
            (Role::Leading(leader), Input::Accepted(link)) => leader.accepted(link, ctx),
            (Role::Leading(leader), Input::Packet(link, packet)) => {
                return leader.packet(link, packet, ctx);
            }
            (Role::Leading(leader), Input::Down(link)) => return leader.down(link, ctx),
            (Role::Leading(leader), Input::Propose(txns)) => return leader.propose(txns, ctx),
            (Role::Leading(leader), Input::Sync(link, after)) => leader.sync(link, after, ctx),
            (Role::Leading(leader), Input::SnapshotSent(link)) => leader.snapshot_sent(link, now),
            (Role::Learning(learner), Input::Connected(to, link)) => {
                learner.connected(to, link, ctx);
            }
            (Role::Learning(learner), Input::Unreachable(to)) => return learner.unreachable(to),
            (Role::Learning(learner), Input::Packet(link, packet)) => {
                return learner.packet(link, packet, ctx);
            }
            (Role::Learning(learner), Input::Down(link)) => return learner.down(link),
            (Role::Learning(learner), Input::Accepted(link)) => learner.accepted(link, ctx),
            (Role::Learning(learner), Input::SnapshotSent(link)) => {
                learner.snapshot_sent(link, now)
            }
            (_, Input::Accepted(link) | Input::Connected(_, link)) => {
                ctx.out.push(Output::Close(link));
            }
            _ => {}
        }
        Ok(())
    }

    fn role<'a>(&'a mut self, now: Timestamp, out: &'a mut Vec<Output>) -> (&'a mut Role, Ctx<'a>) {
        let ctx = Ctx {
            now,
            config: &self.config,
            disk: &mut self.disk,
            configs: &mut self.configs,
            out,
        };
        (&mut self.role, ctx)
    }

    /// Somebody on the election port.
    fn heard(&mut self, now: Timestamp, from: ServerId, said: Notification, out: &mut Vec<Output>) {
        if let Role::Settling(_, unheard) | Role::Pausing(_, unheard) = &mut self.role {
            unheard.insert(from, said);
            return;
        }
        let mut outcome = self.election.on_notification(now, from, &said, out);
        if let Some(Outcome::NewerConfig(config)) = outcome {
            let before = self.configs.committed().clone();
            self.configs.commit(config, &mut self.disk, out);
            self.tell_election();
            let has_same_members = before.has_same_members(self.configs.committed());
            if matches!(self.role, Role::Looking) && !has_same_members {
                self.election.begin_anew();
                self.look(now, out);
            }
            // The vote that brought it counts: who sent it does not repeat it as long as it hears of others.
            outcome = self.election.on_notification(now, from, &said, out);
        }
        self.decide(now, outcome, out);
    }

    fn tell_election(&mut self) {
        let (committed, newer) = (self.configs.committed(), self.configs.newer());
        self.election.set_configs(committed, newer);
    }

    fn config_versions(&self) -> (i64, i64) {
        let configs = &self.configs;
        (configs.committed().version, configs.last_seen().version)
    }

    fn look(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.role = Role::Looking;
        let lost = self.lost.take();
        self.election.look(now, candidacy(&self.disk), lost, out);
    }

    fn decide(&mut self, now: Timestamp, outcome: Option<Outcome>, out: &mut Vec<Output>) {
        if let Some(Outcome::Decided(status)) = outcome {
            self.become_role(now, status, false, out);
        }
    }

    fn become_role(
        &mut self,
        now: Timestamp,
        status: Status,
        wants_snapshot: bool,
        out: &mut Vec<Output>,
    ) {
        self.status = status;
        out.push(Output::Became(status));
        let floor = self.accepted_elsewhere;
        let (_, mut ctx) = self.role(now, out);
        let role = match status {
            Status::Leading => {
                let mut leader = Leader::new(floor, &mut ctx);
                leader.advance(&mut ctx);
                Role::Leading(leader)
            }
            Status::Following(leader) | Status::Observing(leader) => {
                Role::Learning(Learner::new(leader, wants_snapshot, &mut ctx))
            }
            Status::Looking => return,
        };
        self.role = role;
    }

    /// Lets go of everybody. What comes next waits for the disk.
    fn end_role(&mut self, end: End, out: &mut Vec<Output>) {
        let role = std::mem::replace(&mut self.role, Role::Stopped);
        self.lost = match &role {
            Role::Learning(learner) if learner.serving().is_some() => Some(learner.leader()),
            _ => None,
        };
        let next = match (&role, end) {
            (Role::Learning(learner), End::Resync(reason)) => {
                tracing::warn!("a snapshot is needed: {reason}");
                Next::Resync(learner.leader())
            }
            (_, End::Look(reason) | End::Resync(reason)) => {
                tracing::warn!("looking for a leader: {reason}");
                match self.configs.is_observer() {
                    true => Next::LookIn(self.config.observer_election_delay_ms),
                    false => Next::Look,
                }
            }
            (_, End::LookLater(reason)) => {
                tracing::warn!("looking for a leader, later: {reason}");
                Next::LookIn(self.config.min_notification_ms)
            }
            (_, End::Outdated(epoch)) => {
                tracing::warn!(
                    "looking for a leader: epoch {} was accepted elsewhere",
                    epoch.0
                );
                self.accepted_elsewhere = self.accepted_elsewhere.max(epoch);
                Next::Look
            }
            (_, End::Designated(leader)) => Next::Designated(leader),
        };
        match role {
            Role::Leading(leader) => leader.close(out),
            Role::Learning(learner) => learner.close(out),
            _ => {}
        }
        self.disk.forget_upward();
        self.status = Status::Looking;
        out.push(Output::Became(Status::Looking));
        self.election.pause();
        self.role = Role::Settling(next, Unheard::new());
    }

    /// Begins the next role once the disk has done all it was told.
    fn settle(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        if let Role::Pausing(until, unheard) = &mut self.role
            && *until <= now
        {
            self.role = Role::Settling(Next::Look, std::mem::take(unheard));
        }
        let Role::Settling(..) = &self.role else {
            return;
        };
        if !self.disk.is_idle() || !self.recover_epoch(out) {
            return;
        }
        let role = std::mem::replace(&mut self.role, Role::Stopped);
        let Role::Settling(next, unheard) = role else {
            return;
        };
        match next {
            Next::LookIn(pause_ms) => {
                self.role = Role::Pausing(now.after(pause_ms), unheard);
                return;
            }
            Next::Look => self.look(now, out),
            Next::Resync(leader) => {
                let (vote, status) = (self.election.vote(), self.status_under(leader));
                self.election.designate(vote, status);
                self.join(now, leader, true, out);
            }
            Next::Designated(leader) => {
                let vote = Vote {
                    leader,
                    zxid: self.disk.log().last(),
                    round: self.election.vote().round,
                    peer_epoch: Epoch(-1),
                };
                self.tell_election();
                self.election.designate(vote, self.status_under(leader));
                self.join(now, leader, false, out);
            }
        }
        for (from, said) in unheard {
            self.heard(now, from, said, out);
        }
    }

    fn status_under(&self, leader: ServerId) -> Status {
        match leader == self.config.id {
            true => Status::Leading,
            false if self.configs.is_observer() => Status::Observing(leader),
            false => Status::Following(leader),
        }
    }

    fn join(
        &mut self,
        now: Timestamp,
        leader: ServerId,
        wants_snapshot: bool,
        out: &mut Vec<Output>,
    ) {
        let status = self.status_under(leader);
        self.become_role(now, status, wants_snapshot, out);
    }

    /// A transaction of an epoch in the log proves that the history which that epoch began with is there too, so the
    /// epoch was entered, whatever a crash between the two left behind. True when nothing is left to be done.
    fn recover_epoch(&mut self, out: &mut Vec<Output>) -> bool {
        let (last, disk) = (self.disk.log().last().epoch(), &mut self.disk);
        if last <= disk.current_epoch() {
            return true;
        }
        if last <= disk.accepted_epoch() {
            disk.write(Write::CurrentEpoch(last), out);
            return false;
        }
        let accepted = disk.accepted_epoch().0;
        self.role = Role::Stopped;
        let last = last.0;
        out.push(Output::Stop(format!(
            "the log ends in epoch {last}, and no epoch above {accepted} was accepted"
        )));
        false
    }

    /// When [`Input::Tick`] is needed at the latest.
    pub fn deadline(&self) -> Option<Timestamp> {
        match &self.role {
            Role::Settling(..) | Role::Stopped => None,
            Role::Pausing(until, _) => Some(*until),
            Role::Looking => self.election.deadline(),
            Role::Leading(leader) => Some(leader.deadline(&self.config)),
            Role::Learning(learner) => learner.deadline(&self.config),
        }
    }

    pub fn status(&self) -> Status {
        self.status
    }

    pub fn is_observer(&self) -> bool {
        self.configs.is_observer()
    }

    /// Of the ensemble that this server serves clients in.
    pub fn serving(&self) -> Option<Epoch> {
        match &self.role {
            Role::Leading(leader) => leader.serving(),
            Role::Learning(learner) => learner.serving(),
            _ => None,
        }
    }

    /// On disk, or on its way there.
    pub fn accepted_epoch(&self) -> Epoch {
        self.disk.accepted_epoch()
    }

    pub fn current_epoch(&self) -> Epoch {
        self.disk.current_epoch()
    }

    pub fn log(&self) -> &LogShape {
        self.disk.log()
    }

    /// What was last put out by [`Output::Deliver`].
    pub fn delivered(&self) -> Zxid {
        self.disk.delivered()
    }

    pub fn committed_config(&self) -> &Membership {
        self.configs.committed()
    }

    pub fn last_seen_config(&self) -> &Membership {
        self.configs.last_seen()
    }

    /// How often this server gave up to lead, before it served, because one of its voters had changed its mind.
    pub fn deserted(&self) -> u64 {
        self.deserted
    }

    /// Leading: the connected learners; following: the connected observers.
    pub fn learners(&self) -> Vec<LearnerStatus> {
        match &self.role {
            Role::Leading(leader) => leader.learners(),
            Role::Learning(learner) => learner.observers(),
            _ => Vec::new(),
        }
    }

    /// Leading: how many syncs of learners wait for what was proposed before them.
    pub fn syncs_that_wait(&self) -> usize {
        match &self.role {
            Role::Leading(leader) => leader.syncs_that_wait(),
            _ => 0,
        }
    }

    /// How many learners are brought up to date here, with a snapshot or without one.
    pub fn syncs_under_way(&self, with_snapshot: bool) -> u64 {
        match &self.role {
            Role::Leading(leader) => leader.syncs_under_way(with_snapshot),
            Role::Learning(learner) => learner.syncs_under_way(with_snapshot),
            _ => 0,
        }
    }
}

fn candidacy(disk: &Disk) -> Candidacy {
    Candidacy {
        zxid: match disk.may_have_lost_data() {
            true => Vote::LOST_DATA,
            false if makes(Mistake::VoteOfTheTree) => disk.delivered(),
            false => disk.log().last(),
        },
        current_epoch: disk.current_epoch(),
    }
}
