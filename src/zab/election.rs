//! Finding a leader: rounds of votes among those who look for one, and joining those who have one.
//!
//! Lives as long as the peer does, because servers in every state answer those who look. Must not know what leading and
//! following mean, nor how messages travel: they may get lost, and only the last one for a server need arrive.
//! Answers to `FastLeaderElection`, without the oracle of two-server ensembles.
//!
//! ```text
//!            look                 enough equal votes              silence
//! Waiting -----------> Asking ------------------------> Settling ---------> Settled
//!    ^                   ^  |  <------------------------    |                 |
//!    |                   |  |       a better vote                             |
//!    |                   |  +-- enough servers have this leader ----------->  |
//!    +-- pause ----------+------------------- look -------------------------- +
//! ```

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::quorum::Quorum;
use super::vote::{Received, Vote};
use super::{Output, Status, Timestamp};
use crate::ids::{Epoch, ServerId, Zxid};
use crate::membership::{Membership, Role};
use crate::proto::election::{Notification, PeerState};

#[derive(Clone, Copy, Debug)]
pub struct ElectionSettings {
    pub id: ServerId,
    /// Without an answer the proposal is repeated after this long, and then after twice as long each time, up to
    /// the maximum.
    pub min_notification_ms: u64,
    pub max_notification_ms: u64,
    /// How long to listen for better votes once there are enough equal ones.
    pub finalize_wait_ms: u64,
    /// Newer configurations that others tell are adopted.
    pub reconfig_enabled: bool,
}

/// What this server has to offer. Put into a vote only if its configuration makes it a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidacy {
    /// The end of the durable log, committed or not; [`Vote::LOST_DATA`] if that is not known.
    pub zxid: Zxid,
    pub current_epoch: Epoch,
}

/// What a call found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The election is over.
    Decided(Status),
    /// Somebody has a newer configuration, and reconfiguration is enabled. Nothing else was done with that notification.
    /// Call [`Election::set_configs`], then [`Election::look`] if the members are others, and hand it in again.
    NewerConfig(Membership),
}

#[derive(Debug)]
pub struct Election {
    settings: ElectionSettings,
    configs: Configs,
    /// The round: raised with each election, and to that of others. Forgotten at a restart.
    clock: i64,
    /// Of the last election that ended here, kept up to date with [`Election::joined`].
    vote: Vote,
    /// Who agreed with that vote when it won. Nobody, if there was no election.
    decided_by: BTreeSet<ServerId>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Looking, and not asking anybody yet.
    Waiting,
    Looking(Round),
    Settled(PeerState),
}

/// The configurations that decide.
#[derive(Debug)]
struct Configs {
    committed: Membership,
    /// The committed one's text, which goes with each notification.
    text: Bytes,
    /// The committed one's voters decide; if a newer one was proposed, its voters too.
    quorums: Vec<Quorum>,
}

impl Configs {
    fn new(committed: &Membership, last_seen: Option<&Membership>) -> Configs {
        let newer = last_seen.filter(|seen| seen.version > committed.version);
        Configs {
            committed: committed.clone(),
            text: committed.to_string().into(),
            quorums: std::iter::once(committed)
                .chain(newer)
                .map(Quorum::new)
                .collect(),
        }
    }

    fn is_voter(&self, id: ServerId) -> bool {
        self.quorums.iter().any(|quorum| quorum.is_voter(id))
    }

    fn voters(&self) -> Vec<ServerId> {
        let voters = self.quorums.iter().flat_map(|quorum| quorum.voters());
        let mut voters: Vec<ServerId> = voters.copied().collect();
        voters.sort_unstable();
        voters.dedup();
        voters
    }

    fn enough(&self, agrees: impl Fn(ServerId) -> bool) -> bool {
        self.quorums.iter().all(|quorum| quorum.met(&agrees))
    }

    /// By the committed configuration; one without weight never wins, and anybody is better than nobody: a server that
    /// has no vote yet, and that a newer configuration needs, would otherwise wait for a history as long as its own. What
    /// only such a server has is not committed.
    fn is_better(&self, vote: &Vote, than: &Vote) -> bool {
        self.quorums[0].has_weight(vote.leader)
            && (than.leader == Vote::NOBODY || vote.is_better_than(than))
    }

    /// Who is not listed takes part without a vote.
    fn role(&self, id: ServerId) -> Role {
        let listed = self.committed.servers.get(&id);
        listed.map_or(Role::Participant, |server| server.role)
    }
}

/// One search for a leader. The clock may rise while it lasts.
#[derive(Debug)]
struct Round {
    /// What I would vote for alone.
    initial: Vote,
    proposal: Vote,
    /// Votes of this clock, from servers in any state.
    received: BTreeMap<ServerId, Received>,
    /// The last word of everybody who has a leader.
    established: BTreeMap<ServerId, Received>,
    /// The leader that was lost, so that this became necessary. Nobody waits for its vote.
    lost: Option<ServerId>,
    /// How much silence makes the proposal go out again.
    patience_ms: u64,
    wake: Wake,
}

#[derive(Clone, Copy, Debug)]
enum Wake {
    /// Repeat the proposal.
    Repeat(Timestamp),
    /// There were enough equal votes; this is when the proposal wins.
    Settle(Timestamp),
}

impl Election {
    /// Waits for [`Election::look`].
    pub fn new(
        settings: ElectionSettings,
        candidacy: Candidacy,
        committed: &Membership,
        last_seen: Option<&Membership>,
    ) -> Election {
        Election {
            settings,
            configs: Configs::new(committed, last_seen),
            clock: 0,
            vote: Vote {
                leader: settings.id,
                zxid: candidacy.zxid,
                round: 0,
                peer_epoch: candidacy.current_epoch,
            },
            decided_by: BTreeSet::new(),
            phase: Phase::Waiting,
        }
    }

    /// These are in force from now on. An election that is under way with other members has to begin anew.
    pub fn set_configs(&mut self, committed: &Membership, last_seen: Option<&Membership>) {
        self.configs = Configs::new(committed, last_seen);
    }

    /// Other members decide from now on: rounds are counted anew, as the original does, whose election is another object
    /// then. A server without a candidate of its own could not tell the others of a round that is above theirs.
    pub fn begin_anew(&mut self) {
        self.clock = 0;
        self.phase = Phase::Waiting;
    }

    /// Leaves a leader without looking for another one yet.
    pub fn pause(&mut self) {
        self.phase = Phase::Waiting;
    }

    /// Begins an election, after that leader was lost.
    pub fn look(
        &mut self,
        now: Timestamp,
        candidacy: Candidacy,
        lost: Option<ServerId>,
        out: &mut Vec<Output>,
    ) {
        self.clock = self.clock.saturating_add(1);
        let id = self.settings.id;
        let is_observer = self.configs.role(id) == Role::Observer;
        let is_candidate = self.configs.quorums[0].is_voter(id);
        let initial = Vote {
            leader: if is_candidate { id } else { Vote::NOBODY },
            zxid: if is_observer {
                Vote::NO_HISTORY
            } else {
                candidacy.zxid
            },
            round: self.clock,
            peer_epoch: if is_observer {
                Vote::NO_EPOCH
            } else {
                candidacy.current_epoch
            },
        };
        let patience_ms = self.settings.min_notification_ms;
        let mut round = Round {
            initial,
            proposal: initial,
            received: BTreeMap::new(),
            established: BTreeMap::new(),
            lost,
            patience_ms,
            wake: Wake::Repeat(now.after(patience_ms)),
        };
        self.propose(&mut round, out);
        self.settle_if_enough(now, &mut round);
        self.phase = Phase::Looking(round);
    }

    /// Ends the search without an election: `leader` was named by the one before.
    pub fn designate(&mut self, vote: Vote, out_of: Status) {
        self.vote = vote;
        self.decided_by.clear();
        self.phase = Phase::Settled(peer_state(out_of));
    }

    /// Whether it agreed when the last election ended here.
    pub fn was_decided_by(&self, voter: ServerId) -> bool {
        self.decided_by.contains(&voter)
    }

    /// The ensemble that this server leads or joined has this epoch. Newcomers compare what its members tell.
    pub fn joined(&mut self, epoch: Epoch) {
        self.vote.peer_epoch = epoch;
    }

    /// What this server tells those who look for a leader.
    pub fn vote(&self) -> Vote {
        self.vote
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Looking(round) => match round.wake {
                Wake::Repeat(at) | Wake::Settle(at) => Some(at),
            },
            Phase::Waiting | Phase::Settled(_) => None,
        }
    }

    /// Time passed.
    pub fn on_time(&mut self, now: Timestamp, out: &mut Vec<Output>) -> Option<Outcome> {
        self.with_round(|election, round| match round.wake {
            Wake::Settle(at) if now >= at => Some(round.proposal),
            Wake::Repeat(at) if now >= at => {
                round.patience_ms =
                    (round.patience_ms * 2).min(election.settings.max_notification_ms);
                round.wake = Wake::Repeat(now.after(round.patience_ms));
                election.propose(round, out);
                None
            }
            _ => None,
        })
    }

    /// A server said something, in whatever state this one is.
    pub fn on_notification(
        &mut self,
        now: Timestamp,
        from: ServerId,
        notification: &Notification,
        out: &mut Vec<Output>,
    ) -> Option<Outcome> {
        if let Some(config) = self.newer_config(notification) {
            return Some(Outcome::NewerConfig(config));
        }
        if !self.configs.is_voter(from) {
            // Newcomers and observers: whatever they say, they want to know who leads.
            let round = self.clock;
            self.tell(from, Vote { round, ..self.vote }, self.state(), out);
            return None;
        }
        match self.phase {
            Phase::Waiting => None,
            Phase::Settled(state) => {
                if notification.state == PeerState::Looking {
                    self.tell(from, self.vote, state, out);
                }
                None
            }
            Phase::Looking(_) => self.with_round(|election, round| {
                // Without a vote it would be answered in turn, without end.
                if notification.state == PeerState::Looking
                    && notification.election_epoch < election.clock
                    && election.configs.is_voter(election.settings.id)
                {
                    election.tell(from, round.proposal, PeerState::Looking, out);
                }
                election.weigh(now, round, from, notification, out)
            }),
        }
    }

    /// Works on the round; the vote that it gives back wins.
    fn with_round(
        &mut self,
        work: impl FnOnce(&mut Election, &mut Round) -> Option<Vote>,
    ) -> Option<Outcome> {
        let phase = std::mem::replace(&mut self.phase, Phase::Waiting);
        let Phase::Looking(mut round) = phase else {
            self.phase = phase;
            return None;
        };
        let Some(vote) = work(self, &mut round) else {
            self.phase = Phase::Looking(round);
            return None;
        };
        let id = self.settings.id;
        let status = match self.configs.role(id) {
            _ if vote.leader == id => Status::Leading,
            Role::Participant => Status::Following(vote.leader),
            Role::Observer => Status::Observing(vote.leader),
        };
        let all = round.received.iter().chain(&round.established);
        let agreeing = all.filter(|(_, said)| said.vote.leader == vote.leader);
        self.decided_by = agreeing.map(|(voter, _)| *voter).collect();
        self.vote = vote;
        self.phase = Phase::Settled(peer_state(status));
        Some(Outcome::Decided(status))
    }

    /// The configuration that came with it, if it has to be adopted. One that cannot be read is as good as none.
    fn newer_config(&self, notification: &Notification) -> Option<Membership> {
        let is_looking = !matches!(self.phase, Phase::Settled(_));
        let text = notification.config.as_ref()?;
        if !is_looking || !self.settings.reconfig_enabled || *text == self.configs.text {
            return None;
        }
        let config: Membership = std::str::from_utf8(text).ok()?.parse().ok()?;
        (config.version > self.configs.committed.version).then_some(config)
    }

    fn state(&self) -> PeerState {
        match self.phase {
            Phase::Waiting | Phase::Looking(_) => PeerState::Looking,
            Phase::Settled(state) => state,
        }
    }

    fn tell(&self, to: ServerId, vote: Vote, state: PeerState, out: &mut Vec<Output>) {
        let notification = Notification {
            state,
            leader: vote.leader.0,
            zxid: vote.zxid.0,
            election_epoch: vote.round,
            peer_epoch: vote.peer_epoch.0,
            version: Notification::VERSION,
            config: Some(self.configs.text.clone()),
        };
        out.push(Output::Notify(to, notification));
    }

    /// Tells all voters what I propose. My own vote needs no message.
    fn propose(&self, round: &mut Round, out: &mut Vec<Output>) {
        let id = self.settings.id;
        let voters = self.configs.voters();
        for voter in voters.iter().filter(|voter| **voter != id) {
            self.tell(*voter, round.proposal, PeerState::Looking, out);
        }
        if self.configs.is_voter(id) && self.configs.is_voter(round.proposal.leader) {
            let counts = round.proposal.zxid != Vote::LOST_DATA;
            if counts && round.initial.zxid != Vote::LOST_DATA {
                round.received.insert(id, looking(round.proposal));
            }
        }
    }

    /// One vote, or one word of a server that has a leader.
    fn weigh(
        &mut self,
        now: Timestamp,
        round: &mut Round,
        from: ServerId,
        notification: &Notification,
        out: &mut Vec<Output>,
    ) -> Option<Vote> {
        let vote = Vote::of(notification);
        if !self.configs.is_voter(vote.leader) {
            return None;
        }
        if let Wake::Settle(_) = round.wake
            && !self.configs.is_better(&vote, &round.proposal)
        {
            if notification.state == PeerState::Looking {
                self.correct(round, from, vote, out);
            }
            round.wake = Wake::Settle(now.after(self.silence_ms(round)));
            return None;
        }
        round.wake = Wake::Repeat(now.after(round.patience_ms));
        let joined = match notification.state {
            PeerState::Looking => {
                self.count(round, from, vote, out);
                None
            }
            PeerState::Following | PeerState::Leading => self.join(round, from, vote, notification),
            PeerState::Observing => None,
        };
        if joined.is_none() {
            self.settle_if_enough(now, round);
        }
        joined
    }

    /// A vote of somebody who looks for a leader too.
    fn count(&mut self, round: &mut Round, from: ServerId, vote: Vote, out: &mut Vec<Output>) {
        if round.initial.zxid == Vote::LOST_DATA || vote.zxid == Vote::LOST_DATA {
            return;
        }
        // Nobody hears of the round of a server without a candidate, so it takes that of whoever has one.
        if vote.round < self.clock && round.proposal.leader != Vote::NOBODY {
            return;
        }
        let is_other_round = vote.round != self.clock;
        let rival = if is_other_round {
            round.initial
        } else {
            round.proposal
        };
        let is_better = self.configs.is_better(&vote, &rival);
        if is_better && vote.leader == round.initial.leader {
            self.disown(round, vote, out);
            return;
        }
        if !is_other_round && !is_better {
            self.correct(round, from, vote, out);
            return;
        }
        if is_other_round {
            self.clock = vote.round;
            round.received.clear();
        }
        round.proposal = Vote {
            round: self.clock,
            ..if is_better { vote } else { rival }
        };
        self.propose(round, out);
        round.received.insert(from, looking(vote));
    }

    /// A vote for this server by a longer history than it has: it had that once, and a leader took it away, or its disk
    /// lost it. Another round makes everybody forget. Java adopts it, and may be elected for what it does not have.
    fn disown(&mut self, round: &mut Round, vote: Vote, out: &mut Vec<Output>) {
        self.clock = vote.round.saturating_add(1);
        round.received.clear();
        round.proposal = Vote {
            round: self.clock,
            ..round.initial
        };
        self.propose(round, out);
    }

    /// Who votes for less has not heard of my proposal, perhaps because it had a leader when that came. Java lets it
    /// wait until the proposal is repeated. Told once for each of its votes: where configurations differ, so may what
    /// is better.
    fn correct(&self, round: &mut Round, from: ServerId, vote: Vote, out: &mut Vec<Output>) {
        let counts = vote.zxid != Vote::LOST_DATA && vote.round == self.clock;
        if !counts {
            return;
        }
        let before = round.received.insert(from, looking(vote));
        let is_news = before.is_none_or(|before| before.vote != vote);
        if is_news && vote != round.proposal {
            self.tell(from, round.proposal, PeerState::Looking, out);
        }
    }

    /// A word of somebody who follows or leads: is this enough to join?
    fn join(
        &mut self,
        round: &mut Round,
        from: ServerId,
        vote: Vote,
        notification: &Notification,
    ) -> Option<Vote> {
        let heard = Received {
            vote,
            state: notification.state,
            version: notification.version,
        };
        if vote.round == self.clock {
            let unversioned = Received {
                version: 0,
                ..heard
            };
            round.received.insert(from, unversioned);
            if self.is_established(&round.received, &heard) {
                return Some(vote);
            }
        }
        round.established.insert(from, heard);
        if self.is_established(&round.established, &heard) {
            self.clock = vote.round;
            return Some(vote);
        }
        None
    }

    /// Whether enough servers support the leader of `heard`, and it says itself that it leads. Where I am to be that
    /// leader, it has to be by an election that I take part in.
    ///
    /// Of another leader the committed configuration says enough. One that was proposed and never committed would keep
    /// out for ever those who have seen it, if those it needs wait for one another; and had it been committed, the
    /// leader would know it: it found out what a quorum of the committed one has.
    fn is_established(&self, votes: &BTreeMap<ServerId, Received>, heard: &Received) -> bool {
        let leader = heard.vote.leader;
        if leader == self.settings.id {
            return heard.vote.round == self.clock && self.supported(votes, heard);
        }
        let leads = |said: &Received| said.state == PeerState::Leading;
        votes.get(&leader).is_some_and(leads)
            && self.configs.quorums[0].met(supporters(votes, heard))
    }

    fn supported(&self, votes: &BTreeMap<ServerId, Received>, heard: &Received) -> bool {
        self.configs.enough(supporters(votes, heard))
    }

    fn settle_if_enough(&self, now: Timestamp, round: &mut Round) {
        if self.supported(&round.received, &looking(round.proposal)) {
            round.wake = Wake::Settle(now.after(self.silence_ms(round)));
        }
    }

    /// For how long nothing better may come, until the proposal wins. Java always waits. When everybody agrees who could
    /// still vote, nothing better can come; the leader that was lost either is dead, or would have to follow anyway.
    fn silence_ms(&self, round: &Round) -> u64 {
        let agrees = |id: &ServerId| {
            let said = round.received.get(id);
            said.is_some_and(|said| said.vote == round.proposal)
        };
        let voters = self.configs.voters();
        match voters
            .iter()
            .all(|id| round.lost == Some(*id) || agrees(id))
        {
            true => 0,
            false => self.settings.finalize_wait_ms,
        }
    }
}

fn supporters(votes: &BTreeMap<ServerId, Received>, heard: &Received) -> impl Fn(ServerId) -> bool {
    move |id| {
        let said = votes.get(&id);
        said.is_some_and(|said| heard.agrees_with(said))
    }
}

fn looking(vote: Vote) -> Received {
    Received {
        vote,
        state: PeerState::Looking,
        version: 0,
    }
}

fn peer_state(status: Status) -> PeerState {
    match status {
        Status::Looking => PeerState::Looking,
        Status::Following(_) => PeerState::Following,
        Status::Observing(_) => PeerState::Observing,
        Status::Leading => PeerState::Leading,
    }
}

#[cfg(test)]
mod tests;
