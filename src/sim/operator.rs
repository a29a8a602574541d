//! The operator: changes the members of the ensemble while everything else goes on, and starts servers whose own
//! configuration does not list them any more.

use std::collections::BTreeMap;

use super::network::NodeIx;
use super::serving::{Context, Effects};
use super::workload::MS;
use super::world::{Event, Phase, World};
use crate::ids::ServerId;
use crate::membership::change::Limits;
use crate::membership::{Membership, Role, ServerLine};
use crate::ops::members::Members;
use crate::proto::client::ReconfigRequest;
use crate::zab::{Peer, Status, quorum};

pub const LIMITS: Limits = Limits {
    standalone_enabled: false,
    multiple_addresses: false,
};

/// What a leader's prep has to know.
pub fn members_of(peer: &Peer, id: ServerId) -> Members {
    let mut members = Members::new(id, LIMITS, quorum::is_quorum, peer.committed_config());
    let learners = peer.learners().into_iter();
    let synced = learners.filter(|learner| learner.is_synced && !learner.is_observer);
    members.set_synced(synced.filter_map(|learner| learner.server).collect());
    members
}

impl World {
    /// The configurations that this server starts with. One that is not listed any more would not start. The operator
    /// lists it in the file that it has, which keeps its version: a server that forgot what it promised to count could
    /// make a quorum with others that never heard of it. As an observer, because it has no vote until it is added.
    pub fn configs_at_start(&mut self, node: NodeIx) -> (Membership, Option<Membership>) {
        let stable = &self.servers[node].disk.stable;
        let last_seen = stable.seen_config.clone();
        let own = &self.lines[node];
        let Some(mut committed) = stable.committed_config.clone() else {
            // As it was installed: with all the others, and itself.
            let mut first = self.membership.clone();
            first.servers.insert(own.id, own.clone());
            return (first, last_seen);
        };
        if !committed.servers.contains_key(&own.id) {
            let mut line = own.clone();
            line.role = Role::Observer;
            self.oracle.configs.listed(committed.version, own.id);
            committed.servers.insert(own.id, line);
        }
        (committed, last_seen)
    }

    pub fn operate(&mut self) {
        if self.phase != Phase::Faults {
            return;
        }
        let next = self.now + self.operator.between(50, 900) * MS;
        self.schedule(next, Event::Operator);
        let leads = |process: &super::server::Process| {
            process.status == Status::Leading && process.serving.is_some()
        };
        let leaders = self.servers.iter().enumerate();
        let leaders: Vec<NodeIx> = leaders
            .filter(|(_, server)| server.process.as_ref().is_some_and(leads))
            .map(|(node, _)| node)
            .collect();
        if leaders.is_empty() {
            return;
        }
        let leader = *self.operator.pick(&leaders);
        let request = self.wanted_change(leader);
        self.trace(|| format!("server {leader} is asked for {request:?}"));
        self.ask_for(leader, &request);
        if self.operator.chance(500) {
            let victim = match self.operator.chance(500) {
                true => leader,
                false => self.operator.index(self.servers.len()),
            };
            let things = self.operator.between(1, 30);
            self.servers[victim].crash_in.get_or_insert(things);
        }
    }

    /// Somebody joins, leaves, changes its part or its place; or all of them are chosen anew.
    fn wanted_change(&mut self, leader: NodeIx) -> Wanted {
        let Some(process) = &self.servers[leader].process else {
            return Wanted::default();
        };
        let now = process.peer.committed_config().clone();
        if self.operator.chance(150) {
            let mut all = BTreeMap::new();
            for line in self.lines.clone() {
                if self.operator.chance(650) {
                    all.insert(line.id, self.changed(line));
                }
            }
            let lines: Vec<String> = all.values().map(ServerLine::to_string).collect();
            return Wanted {
                all: Some(lines.join(",")),
                ..Wanted::default()
            };
        }
        let line = self.lines[self.operator.index(self.lines.len())].clone();
        let is_member = now.servers.contains_key(&line.id);
        if is_member && self.operator.chance(500) {
            return Wanted {
                leaving: Some(line.id.to_string()),
                ..Wanted::default()
            };
        }
        let line = self.changed(line);
        Wanted {
            joining: Some(line.to_string()),
            ..Wanted::default()
        }
    }

    /// The server's line, now and then with another part or place. Places are looked up by number here.
    fn changed(&mut self, mut line: ServerLine) -> ServerLine {
        line.role = match self.operator.chance(200) {
            true => Role::Observer,
            false => Role::Participant,
        };
        if self.operator.chance(150) {
            line.addresses[0].quorum_port += self.operator.between(1, 3) as u16;
        }
        line
    }

    fn ask_for(&mut self, leader: NodeIx, wanted: &Wanted) {
        let server = &mut self.servers[leader];
        let now_ms = server.clock_ms(self.now) as i64;
        let Some(process) = &mut server.process else {
            return;
        };
        let Some(serving) = &mut process.serving else {
            return;
        };
        let cx = Context {
            tree: &process.tree,
            rules: &self.rules,
            now_ms,
            wall_ms: now_ms,
        };
        let request = ReconfigRequest {
            joining_servers: wanted.joining.as_deref().into(),
            leaving_servers: wanted.leaving.as_deref().into(),
            new_members: wanted.all.as_deref().into(),
            cur_config_id: -1,
        };
        let body = jute::to_vec(&request).expect("it is a record of the protocol");
        let mut fx = Effects::default();
        serving.reconfigure(&cx, &body, &mut fx);
        self.carry_out(leader, fx);
    }
}

#[derive(Debug, Default)]
struct Wanted {
    joining: Option<String>,
    leaving: Option<String>,
    all: Option<String>,
}
