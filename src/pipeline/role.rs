//! What the server is at the moment: alone, leading, learning from a leader, or without one.
//!
//! The role changes under the tree's write lock and is read under its read lock, so that a batch of requests sees one
//! role. Must not know how a role is won. Answers to the subclasses of `ZooKeeperServer`.

use std::sync::atomic::{AtomicU8, Ordering};

use super::{Pipeline, wall_ms};
use crate::ids::{Epoch, SessionId, Zxid};
use crate::membership::Membership;
use crate::ops::members::Members;
use crate::tree::{Tree, path};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// No ensemble: what is durable here is committed.
    Alone,
    /// Requests of all members become transactions here.
    Leading,
    /// Writes go to the leader, reads are answered here.
    Learning,
    /// Without a leader nobody is served.
    Idle,
    /// Without a leader for long: clients that said so before may read what is here. Answers to
    /// `ReadOnlyZooKeeperServer`.
    ReadOnly,
}

/// The data version of `/zookeeper/config`, for ever.
const CONFIG_VERSION: i32 = -1;

const ROLES: [Role; 5] = [
    Role::Alone,
    Role::Leading,
    Role::Learning,
    Role::Idle,
    Role::ReadOnly,
];

/// A [`Role`] that many threads read.
pub(super) struct CurrentRole(AtomicU8);

impl CurrentRole {
    pub fn new(role: Role) -> Self {
        CurrentRole(AtomicU8::new(role as u8))
    }

    pub fn get(&self) -> Role {
        ROLES[usize::from(self.0.load(Ordering::Acquire))]
    }

    fn set(&self, role: Role, _under_write_lock: &mut Tree) {
        self.0.store(role as u8, Ordering::Release);
    }
}

impl Pipeline {
    /// Not every server that takes part has clients.
    pub fn serves_clients(&self) -> bool {
        match self.role() {
            Role::Idle => false,
            Role::Leading => self.settings.leader_serves,
            Role::Alone | Role::Learning | Role::ReadOnly => true,
        }
    }

    pub fn role(&self) -> Role {
        self.role.get()
    }

    /// Whether sessions end here when they fall silent.
    pub(super) fn owns_sessions(&self) -> bool {
        matches!(self.role(), Role::Alone | Role::Leading)
    }

    /// Elected, and the history is committed and applied: requests become transactions of this epoch.
    pub fn lead(&self, epoch: Epoch) {
        let mut tree = self.tree.write();
        let begin = Zxid::new(epoch, 0);
        tree.begin_epoch(begin);
        self.prep.lock().begin(begin);
        self.track_all_sessions(&tree);
        self.stats.proposal_bytes.reset();
        self.role.set(Role::Leading, &mut tree);
    }

    /// In step with a leader, whose word comes through the quorum.
    pub fn learn(&self, epoch: Epoch) {
        let mut tree = self.tree.write();
        tree.begin_epoch(Zxid::new(epoch, 0));
        self.track_all_sessions(&tree);
        self.role.set(Role::Learning, &mut tree);
    }

    /// Still without a leader: for those who only read. Nothing is written, neither to the tree nor to the disk.
    pub fn serve_read_only(&self) {
        let mut tree = self.tree.write();
        self.sessions.clear();
        self.role.set(Role::ReadOnly, &mut tree);
    }

    /// No leader any more: clients are sent away to look for a server that has one.
    pub fn rest(&self) {
        {
            let mut tree = self.tree.write();
            self.role.set(Role::Idle, &mut tree);
            self.forget_proposed(&mut self.prep.lock());
            self.learning.lock().clear();
        }
        for client in self.clients() {
            client.kill();
        }
    }

    /// A leader's requests are judged by these from now on; to be told before it leads.
    pub fn set_members(&self, members: Members) {
        self.prep.lock().members = Some(members);
    }

    /// Something of what prep has to know of the ensemble is another now.
    pub fn change_members(&self, change: impl FnOnce(&mut Members)) {
        if let Some(members) = &mut self.prep.lock().members {
            change(members);
        }
    }

    /// The node that tells who the members are. Besides by the transaction of a reconfiguration it changes here, on every
    /// server by itself, before clients are served: with the first version, and with what an election brought.
    pub fn set_configuration(&self, membership: &Membership) {
        let mut tree = self.tree.write();
        if let Some(node) = tree.find(path::CONFIG) {
            let text = membership.to_string();
            tree.set_data(
                node,
                Some(text.as_bytes()),
                CONFIG_VERSION,
                membership.version,
                wall_ms(),
            );
        }
    }

    /// Alone again, with a tree that was put in the place of the one before.
    pub(super) fn resume_alone(&self, at: Zxid) {
        let mut tree = self.tree.write();
        self.prep.lock().restart(at);
        self.track_all_sessions(&tree);
        self.role.set(Role::Alone, &mut tree);
    }

    /// Nobody is known to be alive or dead: everybody gets the whole of its time.
    fn track_all_sessions(&self, tree: &Tree) {
        let now_ms = self.now_ms();
        self.sessions.clear();
        for (id, timeout_ms) in tree.sessions() {
            self.sessions.track(id, timeout_ms, now_ms);
        }
    }

    /// A learner heard of a session.
    pub fn touch_remote(&self, id: SessionId, timeout_ms: i32) {
        if let Some(session) = self.sessions.get(id) {
            self.sessions
                .touch_with(&session, timeout_ms, self.now_ms());
        }
    }
}
