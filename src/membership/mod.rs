//! Who belongs to an ensemble, as plain data: what a configuration file says, what servers tell each other, and what
//! the node `/zookeeper/config` holds.
//!
//! Must not know where the text came from, resolve a name, or count votes. Answers to `QuorumVerifier` and
//! `QuorumPeer.QuorumServer`.

#![deny(clippy::disallowed_methods)]

pub mod address;
pub mod change;
pub mod server_line;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::ids::ServerId;

pub use address::{HostText, ListenAddress};
pub use server_line::{PeerAddress, Role, ServerLine};

/// The members and how their votes count. `Display` gives the text that servers exchange, as the original prints it.
///
/// `==` compares all of it; what the original takes for equal is [`Membership::agrees_with`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    pub servers: BTreeMap<ServerId, ServerLine>,
    /// Empty: every voter counts alike.
    pub groups: BTreeMap<i64, Vec<ServerId>>,
    /// Of hierarchical quorums; a voter without an entry weighs 1.
    pub weights: BTreeMap<ServerId, i64>,
    /// The zxid of the transaction that made it; 0 for one that an operator wrote.
    pub version: i64,
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

    pub fn is_voter(&self, id: ServerId) -> bool {
        self.servers
            .get(&id)
            .is_some_and(|server| server.role == Role::Participant)
    }

    pub fn is_hierarchical(&self) -> bool {
        !self.groups.is_empty() || !self.weights.is_empty()
    }

    /// More than one voter, or one that runs the quorum protocol because standalone mode is off.
    pub fn is_distributed(&self, standalone_enabled: bool) -> bool {
        self.voters().count() > usize::from(standalone_enabled)
    }

    /// What the original calls equal: the same version, whatever it says, or the same members.
    pub fn agrees_with(&self, other: &Membership) -> bool {
        self.version == other.version || self.has_same_members(other)
    }

    /// The same servers at the same addresses with the same say. Hosts are compared as text: two names of one address
    /// differ here, and agree in the original.
    pub fn has_same_members(&self, other: &Membership) -> bool {
        let alike = |(a, b): (&ServerLine, &ServerLine)| a.is_same_member(b);
        self.is_hierarchical() == other.is_hierarchical()
            && self.servers.len() == other.servers.len()
            && self.servers.values().zip(other.servers.values()).all(alike)
            && self.group_of() == other.group_of()
            && self.effective_weights() == other.effective_weights()
    }

    /// The group that each server is in.
    pub fn group_of(&self) -> BTreeMap<ServerId, i64> {
        let pairs = self.groups.iter();
        pairs
            .flat_map(|(group, servers)| servers.iter().map(|id| (*id, *group)))
            .collect()
    }

    /// The weights that are given, and 1 for every other voter; empty where all count alike.
    pub fn effective_weights(&self) -> BTreeMap<ServerId, i64> {
        if !self.is_hierarchical() {
            return BTreeMap::new();
        }
        let mut weights: BTreeMap<ServerId, i64> =
            self.voters().map(|voter| (voter.id, 1)).collect();
        weights.extend(&self.weights);
        weights
    }

    /// The lines of a dynamic configuration file: sorted by bytes, without the version, which is in the file's name.
    pub fn file_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.lines().collect();
        lines.sort();
        lines
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let servers = in_java_order(self.servers.keys().map(|id| id.0));
        let servers = servers
            .into_iter()
            .map(|id| self.servers[&ServerId(id)].to_string());
        let group_of = self.group_of();
        let mut members: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for id in in_java_order(group_of.keys().map(|id| id.0)) {
            let group = group_of[&ServerId(id)];
            members.entry(group).or_default().push(id.to_string());
        }
        let groups = in_java_order(members.keys().copied())
            .into_iter()
            .map(move |group| format!("group.{group}={}", members[&group].join(":")));
        let weights = self.effective_weights();
        let weights = in_java_order(weights.keys().map(|id| id.0))
            .into_iter()
            .map(move |id| format!("weight.{id}={}", weights[&ServerId(id)]));
        servers.chain(groups).chain(weights)
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines() {
            writeln!(f, "{line}")?;
        }
        write!(f, "version={:x}", self.version)
    }
}

/// The order of a `HashMap` with these numbers as keys. It matters to nobody who reads the text, but equal members
/// then have equal text on every server of an ensemble, whatever it runs.
fn in_java_order(numbers: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut numbers: Vec<i64> = numbers.collect();
    let mut buckets = 16;
    while numbers.len() * 4 > buckets * 3 {
        buckets *= 2;
    }
    numbers.sort_by_key(|number| {
        let hash = (number ^ ((*number as u64) >> 32) as i64) as u32;
        let bucket = (hash ^ (hash >> 16)) as usize & (buckets - 1);
        (bucket, *number)
    });
    numbers
}

/// What is wrong with a text that should say who the members are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    #[error(
        "Unrecognised parameter: {0}. Only server, group and weight lines and the version may stand here"
    )]
    Key(String),
    #[error("{key}: For input string: \"{text}\"")]
    Number { key: String, text: String },
    #[error("{key}: {error}")]
    Server {
        key: String,
        error: server_line::ServerLineError,
    },
    #[error("Server {0} is in multiple groups")]
    SeveralGroups(ServerId),
    #[error("Server {0} is not in a group")]
    NoGroup(ServerId),
    #[error("Observers w/o participants is an invalid configuration")]
    OnlyObservers,
}

/// Reads the text that `Display` gives, its lines in any order. Several addresses for a server are always understood.
impl std::str::FromStr for Membership {
    type Err = MembershipError;

    fn from_str(text: &str) -> Result<Membership, MembershipError> {
        let mut membership = Membership::default();
        for (key, value) in entries(text) {
            membership.read_line(key, value, true)?;
        }
        membership.check()?;
        Ok(membership)
    }
}

/// The keys and values of the lines, as a properties file has them.
fn entries(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    lines.map(|line| {
        let end = line.find(|c: char| c == '=' || c == ':' || c.is_whitespace());
        let (key, value) = line.split_at(end.unwrap_or(line.len()));
        let value = value.trim_start();
        let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim();
        (key, value)
    })
}

impl Membership {
    fn read_line(
        &mut self,
        key: &str,
        value: &str,
        multiple_addresses: bool,
    ) -> Result<(), MembershipError> {
        let number = |text: &str| {
            let number = text.parse::<i64>();
            number.map_err(|_| MembershipError::Number {
                key: key.to_owned(),
                text: text.to_owned(),
            })
        };
        match key.split_once('.') {
            Some(("server", id)) => {
                let id = ServerId(number(id)?);
                let wrong = |error| MembershipError::Server {
                    key: key.to_owned(),
                    error,
                };
                let server = server_line::parse(id, value, multiple_addresses).map_err(wrong)?;
                self.servers.insert(id, server);
            }
            Some(("group", group)) => {
                let servers = value.split(':').map(|id| number(id.trim()).map(ServerId));
                let servers = servers.collect::<Result<_, _>>()?;
                self.groups.insert(number(group)?, servers);
            }
            Some(("weight", id)) => {
                let weight = number(value)?;
                self.weights.insert(ServerId(number(id)?), weight);
            }
            None if key == "version" => {
                let version = i64::from_str_radix(value, 16);
                self.version = version.map_err(|_| MembershipError::Number {
                    key: key.to_owned(),
                    text: value.to_owned(),
                })?;
            }
            _ => return Err(MembershipError::Key(key.to_owned())),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), MembershipError> {
        if self.voters().next().is_none() && !self.servers.is_empty() {
            return Err(MembershipError::OnlyObservers);
        }
        let mut grouped = BTreeSet::new();
        for id in self.groups.values().flatten() {
            if !grouped.insert(*id) {
                return Err(MembershipError::SeveralGroups(*id));
            }
        }
        let mut voters = self.voters().map(|voter| voter.id);
        match voters.find(|id| self.is_hierarchical() && !grouped.contains(id)) {
            Some(id) => Err(MembershipError::NoGroup(id)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
