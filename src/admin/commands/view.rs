//! The facts that only the AdminServer shows, as whoever runs the server gives them.

use std::net::SocketAddr;

use crate::admin::four_letter::{ConnectionView, StatusSource};

/// What four-letter words know, and more. The rules for its methods are those of [`StatusSource`].
pub trait AdminSource: StatusSource {
    /// The whole text of the configuration file.
    fn initial_configuration(&self) -> String;
    /// Java system properties as the configuration set them, by name; passwords are hidden.
    fn system_properties(&self) -> Vec<(String, String)>;
    /// `None` before the first since the start.
    fn last_snapshot(&self) -> Option<SnapshotView>;
    /// How often a fsync took longer than it should.
    fn slow_syncs(&self) -> u64;
    /// Connections, with whether nobody between can read along.
    fn all_connections(&self, each: &mut dyn FnMut(ConnectionView, bool));
    /// `None`: there is no ensemble.
    fn leader(&self) -> Option<LeaderView>;
    fn zab(&self) -> Option<ZabView>;
    /// Observers that this server brings up to date.
    fn observers(&self) -> Vec<LearnerView>;
    /// The voters; empty without an ensemble.
    fn voters(&self) -> Vec<VoterView>;
}

/// A state of the tree that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotView {
    pub zxid: i64,
    pub unix_s: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderView {
    pub is_self: bool,
    /// -1: none.
    pub id: i64,
    /// Empty where it is not known.
    pub address: String,
}

/// Where a member stands in the protocol of its ensemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZabView {
    pub id: i64,
    pub is_leader: bool,
    pub is_voter: bool,
    pub quorum_address: (String, u16),
    pub election_address: (String, u16),
    pub client_address: Option<(String, u16)>,
    pub last_zxid: i64,
    /// `election`, `synchronization` or `broadcast`.
    pub phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearnerView {
    pub address: Option<SocketAddr>,
    pub id: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoterView {
    pub id: i64,
    pub server_addresses: Vec<String>,
    pub election_addresses: Vec<String>,
    /// Empty: none is known.
    pub client_address: String,
}
