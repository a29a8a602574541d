//! ZAB: election, discovery, synchronisation, broadcast, as state machines that know no socket, clock, task, disk or
//! random source. To them a transaction is bytes with a zxid.
//!
//! [`Peer::step`] takes an input and the time and says what should happen. The driver does it, keeping order for
//! each destination and for the disk. **Promises leave only after what they promise is durable**: what promises
//! something is not put out before its [`Input::Persisted`] came in. The simulator drives the same code.
//! Answers to `QuorumPeer`, `Leader`, `LearnerHandler`, `Learner`, `Follower`, `Observer`, `FastLeaderElection`.
//!
//! Absent on purpose: the oracle of two-server ensembles.

#![deny(clippy::disallowed_methods)]

mod configs;
mod disk;
pub mod election;
mod follower;
mod leader;
mod learner;
mod learner_link;
pub mod log_shape;
pub mod mistake;
mod observer;
mod observer_master;
pub mod peer;
mod proposals;
pub mod quorum;
mod role;
pub mod sync_plan;
pub mod vote;

use bytes::Bytes;

use crate::ids::{Epoch, LinkId, ServerId, Zxid};
use crate::membership::Membership;
use crate::proto::election::Notification;
use crate::proto::quorum::QuorumPacket;

pub use log_shape::LogShape;
pub use peer::Peer;

/// Milliseconds on a clock that only goes forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    #[must_use]
    pub fn after(self, ms: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }
}

/// A transaction as the core sees it. The bytes are those of the wire and of the log: header, record, digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txn {
    pub zxid: Zxid,
    pub bytes: Bytes,
}

/// What a peer is told once, at its start.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    pub id: ServerId,
    pub tick_ms: u64,
    /// In ticks, as the next two.
    pub init_limit: u64,
    pub sync_limit: u64,
    /// `connectToLearnerMasterLimit`; 0 is `init_limit`.
    pub connect_limit: u64,
    pub min_notification_ms: u64,
    pub max_notification_ms: u64,
    /// How long an election listens for better votes once it has a quorum.
    pub finalize_wait_ms: u64,
    /// An observer that lost its leader waits so long before it looks again. The driver draws it, here is no chance.
    pub observer_election_delay_ms: u64,
    /// The driver of an observer may wait so long before it begins with [`Output::Dial`].
    pub observer_dial_delay_ms_max: u64,
    /// The counter at which an epoch ends: no transaction gets it (ZOOKEEPER-1277). `u32::MAX`, unless that is to be
    /// seen happening.
    pub counter_end: u32,
    pub reconfig_enabled: bool,
    /// Following, observers may connect (`observerMasterPort`).
    pub serves_observers: bool,
    pub committed: Membership,
    /// Of `.dynamic.next`; counts only while its version is above the committed one's.
    pub last_seen: Option<Membership>,
    /// A learner that lacks more transactions gets a snapshot.
    pub history_sent_max: u64,
    /// Every learner gets a snapshot (`forceSnapshotSync`).
    pub always_snapshot: bool,
    /// So many learners at a time get a snapshot, and so many transactions; an observer above that has to come again.
    pub snapshot_syncs_max: u64,
    pub diff_syncs_max: u64,
    /// A leader that has waited for longer than this for epochs gives up when one of those who elected it looks for a
    /// leader again. `None`: it waits as long as `init_limit` says.
    pub epoch_wait_ms_max: Option<u64>,
    /// A follower that lets more bytes go unacknowledged is cut.
    pub bytes_in_flight_max: u64,
}

/// What the disk holds at the start.
#[derive(Clone, Debug)]
pub struct Durable {
    /// Not below `current_epoch`. Where a file is missing the epoch of the last zxid stands in for it.
    pub accepted_epoch: Epoch,
    pub current_epoch: Epoch,
    pub log: LogShape,
    /// How far the tree has come: the marker of the state, or what was delivered at the start.
    pub delivered: Zxid,
    /// The log may end below what was acknowledged: until it got a snapshot this server neither votes nor counts.
    pub may_have_lost_data: bool,
}

/// What happened. Everything is taken at once; nothing may be kept back because an earlier answer is not out yet.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time passed; needed at [`Peer::deadline`], allowed at any time.
    Tick,
    /// Something came on the election port.
    Notification(ServerId, Notification),
    /// Leading: a learner connected, nothing was read from it yet. Following and serving: an observer did.
    Accepted(LinkId),
    /// The answer to [`Output::Dial`]: nothing was sent or read yet.
    Connected(ServerId, LinkId),
    /// The other answer: all tries failed.
    Unreachable(ServerId),
    /// In the order in which they came. A SNAP is passed on when it came, what is behind it when its stream is complete.
    /// Of several ACKs that directly follow one another with counters above 0 the last one is enough.
    Packet(LinkId, QuorumPacket),
    /// The connection ended; also allowed after [`Output::Close`].
    Down(LinkId),
    /// Leading and serving: what prep made, continuing what it made before. Not empty. Ignored when that ended. One of
    /// them may carry a new configuration, whose version is its zxid; while that is not in force prep makes no other.
    Propose(Vec<Txn>),
    /// Leading: answer with SYNC on that link once everything that was proposed until now is committed, and this, the
    /// last that prep has made: requests that came on the link before have their COMMIT before the answer.
    Sync(LinkId, Zxid),
    /// The snapshot of [`Output::SendSnapshot`] went out to the last byte. From now on the learner has to be
    /// heard of in time; until then, and while a snapshot comes in, the driver watches the bytes.
    SnapshotSent(LinkId),
    /// Of each [`Output::Persist`] in its order. Of several appends in a row the last one's mark is enough.
    Persisted(Mark),
    /// The log keeps nothing up to here any more: the state that it continues from is of this zxid. To be told
    /// before the entries go.
    Purged(Zxid),
}

/// What to do, in this order for each link, each server and for the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// On the election port. Connects where there is no connection; an older message that still waits is replaced.
    Notify(ServerId, Notification),
    /// Connect to that server's quorum port, trying again as long as [`PeerConfig::connect_limit`] allows. A new one
    /// replaces one under way, and so does [`Output::Became`].
    Dial(ServerId),
    Send(LinkId, QuorumPacket),
    /// Read (after, up_to] from the own log, where it is durable, and send it. If that fails: close the link, say Down.
    SendHistory {
        link: LinkId,
        after: Zxid,
        up_to: Zxid,
        form: HistoryForm,
    },
    /// Send SNAP with the zxid z that the tree has now, its stream, `BenWasHere`, then (z, up_to] of the own log as
    /// PROPOSAL and COMMIT, if there is any. What is sent later waits behind it.
    SendSnapshot {
        link: LinkId,
        up_to: Zxid,
    },
    /// To be done in order, and answered with [`Input::Persisted`].
    Persist(Write),
    /// Committed, and durable here: apply everything in the own log up to here.
    Deliver(Zxid),
    /// For the server above. Leading: REQUEST, REVALIDATE and PING (touched sessions) of a learner; following the same of
    /// an observer, to be passed on. Learning, and only after [`Output::Serve`]: SYNC and REVALIDATE, the leader's
    /// answers. A SYNC comes behind the Deliver that it waits for, and before any that goes further.
    Upward(LinkId, QuorumPacket),
    /// Learning: answer with PING, this zxid and the touched sessions.
    AnswerPing(LinkId, Zxid),
    /// Comes first of what concerns the new role. Whoever is not leading any more closes its quorum port; it opens
    /// before a new leader does anything else. Clients are not served until [`Output::Serve`]. All links of the
    /// role before are closed by [`Output::Close`] of their own.
    Became(Status),
    /// Clients may be served. A leader's prep starts at (epoch, 0); a learner may send REQUEST and REVALIDATE on
    /// `upstream` until the role ends.
    Serve {
        epoch: Epoch,
        upstream: Option<LinkId>,
    },
    /// These are in force: election addresses, client ports, quorum port. The committed one's text is what
    /// `/zookeeper/config` holds; its version is the node's mzxid.
    Configure {
        committed: Membership,
        last_seen: Option<Membership>,
    },
    /// Leading: these followers have the history that this leader began with. Only they and this server count for the
    /// quorum that a new configuration has to have before it is proposed.
    Synced(Vec<ServerId>),
    /// The unfinished snapshot that came on this link is worth nothing.
    DropSnapshot(LinkId),
    Close(LinkId),
    /// Going on is unsafe.
    Stop(String),
}

/// How a leader sends what is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryForm {
    /// PROPOSAL and COMMIT, each pair together: followers, and everyone before NEWLEADER.
    Committed,
    /// INFORM: observers after UPTODATE.
    Inform,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    AcceptedEpoch(Epoch),
    CurrentEpoch(Epoch),
    /// Continues the log.
    Append(Vec<Txn>),
    /// The log ends here from now on; the zxid is in it or is its base.
    Cut(Zxid),
    /// What came on that link is the tree and the state from now on, and the log starts anew behind it.
    Snapshot {
        link: LinkId,
        zxid: Zxid,
    },
    /// `.dynamic.next`.
    SeenConfig(Membership),
    /// The dynamic file and the line of the static one; the last seen one goes if its version is not above.
    CommittedConfig(Membership),
}

/// What is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    AcceptedEpoch(Epoch),
    CurrentEpoch(Epoch),
    /// Every append up to here.
    Log(Zxid),
    Cut(Zxid),
    Snapshot(Zxid),
    SeenConfig(i64),
    CommittedConfig(i64),
}

impl Write {
    /// What [`Input::Persisted`] says once it is done.
    pub fn mark(&self) -> Mark {
        match self {
            Write::AcceptedEpoch(epoch) => Mark::AcceptedEpoch(*epoch),
            Write::CurrentEpoch(epoch) => Mark::CurrentEpoch(*epoch),
            Write::Append(txns) => Mark::Log(txns.last().map_or(Zxid::ZERO, |txn| txn.zxid)),
            Write::Cut(zxid) => Mark::Cut(*zxid),
            Write::Snapshot { zxid, .. } => Mark::Snapshot(*zxid),
            Write::SeenConfig(config) => Mark::SeenConfig(config.version),
            Write::CommittedConfig(config) => Mark::CommittedConfig(config.version),
        }
    }
}

/// What a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Looking,
    Following(ServerId),
    Observing(ServerId),
    Leading,
}

/// A learner as `mntr` and `/leader` show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnerStatus {
    pub link: LinkId,
    /// `None` until it said who it is.
    pub server: Option<ServerId>,
    pub is_observer: bool,
    /// It acknowledged NEWLEADER.
    pub is_synced: bool,
}

#[cfg(test)]
mod tests;
