//! Who belongs to an ensemble, as plain data: what a configuration file says, what servers tell each other, and what
//! the node `/zookeeper/config` holds.
//!
//! Must not know where the text came from, resolve a name, or count votes. Answers to `QuorumVerifier` and
//! `QuorumPeer.QuorumServer`.

#![deny(clippy::disallowed_methods)]

pub mod address;
pub mod server_line;

use std::collections::BTreeMap;
use std::fmt;

pub use address::ListenAddress;
pub use server_line::{PeerAddress, Role, ServerLine};

/// The members as configured. `Display` gives the canonical text: sorted lines, then the version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    pub servers: BTreeMap<i64, ServerLine>,
    /// Empty: every voter counts alike.
    pub groups: BTreeMap<i64, Vec<i64>>,
    /// Of hierarchical quorums; a server without an entry weighs 1.
    pub weights: BTreeMap<i64, i64>,
    pub version: u64,
}

impl Membership {
    pub fn voters(&self) -> impl Iterator<Item = &ServerLine> {
        self.servers
            .values()
            .filter(|server| server.role == Role::Participant)
    }

    pub fn observers(&self) -> impl Iterator<Item = &ServerLine> {
        self.servers
            .values()
            .filter(|server| server.role == Role::Observer)
    }

    pub fn is_hierarchical(&self) -> bool {
        !self.groups.is_empty() || !self.weights.is_empty()
    }

    /// More than one voter, or one that runs the quorum protocol because standalone mode is off.
    pub fn is_distributed(&self, standalone_enabled: bool) -> bool {
        self.voters().count() > usize::from(standalone_enabled)
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = self.servers.values().map(ServerLine::to_string).collect();
        for (group, servers) in &self.groups {
            let servers: Vec<String> = servers.iter().map(i64::to_string).collect();
            lines.push(format!("group.{group}={}", servers.join(":")));
        }
        lines.extend(
            self.weights
                .iter()
                .map(|(id, weight)| format!("weight.{id}={weight}")),
        );
        lines.sort();
        for line in lines {
            writeln!(f, "{line}")?;
        }
        write!(f, "version={:x}", self.version)
    }
}
