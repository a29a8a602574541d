//! What a member tells about its ensemble: `mntr`, `srvr`, `conf`.

use std::time::{Duration, Instant};

use super::Member;
use crate::admin::commands::{LeaderView, LearnerView, VoterView, ZabView};
use crate::admin::four_letter::{EnsembleView, ServerState};
use crate::admin::metrics::{Sink, Value};
use crate::ids::{ServerId, Zxid};
use crate::json::Object;
use crate::membership::{HostText, PeerAddress, Role, ServerLine};
use crate::zab::{LearnerStatus, Status};

/// The member as it is at one moment.
pub(in crate::server) struct EnsembleStatus {
    pub status: Status,
    pub is_serving: bool,
    pub voters: usize,
    pub learners: Vec<LearnerStatus>,
    /// Of the learners, followers that are no members, or no voters.
    pub guests: usize,
    pub leading_since: Option<Instant>,
    /// Of learners, and not answered.
    pub pending_syncs: usize,
    /// Observing: the follower that serves this server; `None`: the leader does.
    pub master: Option<ServerId>,
}

impl Member {
    pub(in crate::server) fn ensemble_status(&self) -> EnsembleStatus {
        let core = self.core.lock();
        let learners = core.peer.learners();
        let votes = |id| core.peer.committed_config().is_voter(id);
        let followers = learners.iter().filter(|l| l.is_synced && !l.is_observer);
        let guests = followers.filter(|l| !l.server.is_some_and(votes)).count();
        EnsembleStatus {
            status: core.peer.status(),
            is_serving: core.peer.serving().is_some(),
            voters: core.peer.committed_config().voters().count(),
            learners,
            guests,
            leading_since: core.leading_since,
            pending_syncs: core.peer.syncs_that_wait(),
            master: core.masters.serving(),
        }
    }

    /// Where clients connect now; `None` where they never could.
    pub(in crate::server) fn client_port(&self) -> Option<u16> {
        self.client_port.get().map(|port| port.number())
    }

    pub(in crate::server) fn leader_view(&self) -> LeaderView {
        let core = self.core.lock();
        let own = self.settings.id;
        let leader = match core.peer.status() {
            Status::Looking => None,
            Status::Leading => Some(own),
            Status::Following(leader) | Status::Observing(leader) => Some(leader),
        };
        let servers = &core.peer.committed_config().servers;
        let line = leader.and_then(|id| servers.get(&id));
        let address = line.and_then(|line| line.addresses.first());
        LeaderView {
            is_self: leader == Some(own),
            id: leader.map_or(-1, |id| id.0),
            address: address.map_or_else(String::new, |address| address.host.clone()),
        }
    }

    pub(in crate::server) fn zab_view(&self, last_zxid: Zxid) -> ZabView {
        let core = self.core.lock();
        let committed = core.peer.committed_config();
        let own = committed.servers.get(&self.settings.id);
        let address = own.and_then(|own| own.addresses.first());
        let at = |port: fn(&PeerAddress) -> u16| {
            address.map_or_else(Default::default, |a| (a.host.clone(), port(a)))
        };
        let client = own.and_then(|own| own.client.as_ref());
        let status = core.peer.status();
        ZabView {
            id: self.settings.id.0,
            is_leader: status == Status::Leading && core.peer.serving().is_some(),
            is_voter: committed.is_voter(self.settings.id),
            quorum_address: at(|a| a.quorum_port),
            election_address: at(|a| a.election_port),
            client_address: client.map(|at| {
                let host = at.host.clone().unwrap_or_else(|| "0.0.0.0".to_owned());
                (host, at.port)
            }),
            last_zxid: last_zxid.0,
            phase: match status {
                Status::Looking => "election",
                _ if core.peer.serving().is_some() => "broadcast",
                _ => "synchronization",
            },
        }
    }

    pub(in crate::server) fn observer_views(&self) -> Vec<LearnerView> {
        let core = self.core.lock();
        let links = self.links.lock();
        let learners = core.peer.learners().into_iter();
        let observers = learners.filter(|learner| learner.is_observer && learner.is_synced);
        observers
            .map(|learner| LearnerView {
                address: links.get(&learner.link).map(|link| link.remote),
                id: learner.server.map_or(-1, |id| id.0),
            })
            .collect()
    }

    pub(in crate::server) fn voter_views(&self) -> Vec<VoterView> {
        let core = self.core.lock();
        let voters = core.peer.committed_config().voters();
        let view = |voter: &ServerLine| {
            let each = |port: fn(&PeerAddress) -> u16| {
                let addresses = voter.addresses.iter();
                addresses
                    .map(|a| format!("{}:{}", HostText(&a.host), port(a)))
                    .collect()
            };
            VoterView {
                id: voter.id.0,
                server_addresses: each(|a| a.quorum_port),
                election_addresses: each(|a| a.election_port),
                client_address: voter.client.as_ref().map_or_else(String::new, |at| {
                    let host = at.host.as_deref().unwrap_or("0.0.0.0");
                    format!("{}:{}", HostText(host), at.port)
                }),
            }
        };
        voters.map(view).collect()
    }

    /// Who belongs to the ensemble, and what this server knows of each.
    pub(in crate::server) fn member_objects(&self) -> Vec<Object> {
        let leader = self.leader_view().id;
        let core = self.core.lock();
        let own = self.settings.id;
        let learners = core.peer.learners();
        let servers = core.peer.committed_config().servers.values();
        let member = |server: &ServerLine| {
            let learner = learners.iter().find(|l| l.server == Some(server.id));
            let is_own = server.id == own;
            // Only a leader hears of the others.
            let state = match learner {
                _ if server.id.0 == leader => "leading",
                Some(learner) if learner.is_synced => "in step",
                Some(_) => "catching up",
                None if is_own && core.peer.serving().is_some() => "in step",
                None if leader == own.0 => "absent",
                None => "unknown here",
            };
            let host = server.addresses.first().map(|a| a.host.clone());
            Object::default()
                .with("id", server.id.0)
                .with("host", host.unwrap_or_default())
                .with("voter", server.role == Role::Participant)
                .with("self", is_own)
                .with("state", state)
        };
        servers.map(member).collect()
    }

    /// Where clients of the other members connect, by number: a port of every address is there at that of the member.
    pub(in crate::server) fn neighbours(&self) -> Vec<(i64, String, u16)> {
        let core = self.core.lock();
        let servers = core.peer.committed_config().servers.values();
        let others = servers.filter(|server| server.id != self.settings.id);
        let address = |server: &ServerLine| {
            let client = server.client.as_ref()?;
            let host = match &client.host {
                Some(host) if !client.is_wildcard() => host.clone(),
                _ => server.addresses.first()?.host.clone(),
            };
            Some((server.id.0, host, client.port))
        };
        others.filter_map(address).collect()
    }

    /// As `conf` shows it.
    pub(in crate::server) fn ensemble_view(
        &self,
        init_limit: u32,
        sync_limit: u32,
    ) -> EnsembleView {
        let core = self.core.lock();
        let committed = core.peer.committed_config();
        let own = committed.servers.get(&self.settings.id);
        let addresses = own.map_or(&[][..], |own| &own.addresses);
        EnsembleView {
            init_limit: init_limit as i32,
            sync_limit: sync_limit as i32,
            election_ports: addresses.iter().map(|a| a.election_port).collect(),
            quorum_ports: addresses.iter().map(|a| a.quorum_port).collect(),
            observer: own.is_some_and(|own| own.role == Role::Observer),
            membership: Some(committed.to_string()),
        }
    }
}

impl EnsembleStatus {
    /// `None` while nobody is served.
    pub fn server_state(&self) -> Option<ServerState> {
        match self.status {
            _ if !self.is_serving => None,
            Status::Looking => None,
            Status::Leading => Some(ServerState::Leader),
            Status::Following(_) => Some(ServerState::Follower),
            Status::Observing(_) => Some(ServerState::Observer),
        }
    }

    pub fn peer_state(&self) -> String {
        let state = match self.status {
            Status::Looking => return "looking".to_owned(),
            Status::Leading => "leading",
            Status::Following(_) => "following",
            Status::Observing(_) => "observing",
        };
        let phase = if self.is_serving {
            "broadcast"
        } else {
            "synchronization"
        };
        format!("{state} - {phase}")
    }

    /// What only members have, by role.
    pub fn gauges(&self, sink: &mut Sink<'_>) {
        let mut int = |name: &str, value: usize| sink(name, Value::Int(value as i64));
        int("quorum_size", self.voters);
        match self.status {
            Status::Leading => {
                let synced = |learner: &&LearnerStatus| learner.is_synced;
                let count = |is_observer: bool| {
                    let all = self.learners.iter().filter(synced);
                    all.filter(|learner| learner.is_observer == is_observer)
                        .count()
                };
                int("learners", self.learners.len());
                int("synced_followers", count(false));
                int("synced_non_voting_followers", self.guests);
                int("synced_observers", count(true));
                // The name of before 3.6, which some tools still ask for.
                int("followers", count(false));
                int("pending_syncs", self.pending_syncs);
                let uptime = self.leading_since.map_or(Duration::ZERO, |at| at.elapsed());
                int("leader_uptime", uptime.as_millis() as usize);
            }
            Status::Following(_) => {
                let synced = self.learners.iter().filter(|learner| learner.is_synced);
                int("synced_observers", synced.count());
            }
            Status::Observing(leader) => {
                let master = self.master.unwrap_or(leader);
                int("observer_master_id", master.0 as usize);
            }
            Status::Looking => {}
        }
    }
}
