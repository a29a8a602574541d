//! A simulated server: what its disk holds, and while it runs, the process.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::disk::{Disk, Log};
use super::image::Image;
use super::network::NodeIx;
use super::serving::Serving;
use super::workload::Time;
use crate::ids::{LinkId, ServerId};
use crate::tree::Tree;
use crate::zab::{Mark, Peer, Status, Txn};

pub struct Server {
    pub id: ServerId,
    pub disk: Disk<Mark>,
    pub process: Option<Process>,
    /// Of its processes, the one that runs or ran last.
    pub incarnation: u32,
    /// Its clock gains or loses so much in a million.
    pub clock_ppm: i64,
    pub clock_offset_ms: u64,
    /// Its disk is slow until then.
    pub slow_disk_until: Time,
    /// It ends when it has done so many more things.
    pub crash_in: Option<u64>,
}

impl Server {
    /// Milliseconds on its own clock.
    pub fn clock_ms(&self, now: Time) -> u64 {
        let gained = (i128::from(now) * i128::from(self.clock_ppm) / 1_000_000) as i64;
        now.saturating_add_signed(gained) / 1000 + self.clock_offset_ms
    }

    /// When its clock shows at least this.
    pub fn when(&self, clock_ms: u64) -> Time {
        let own = clock_ms.saturating_sub(self.clock_offset_ms) * 1000;
        let lost = (i128::from(own) * i128::from(self.clock_ppm) / 1_000_000) as i64;
        own.saturating_add_signed(-lost)
    }
}

/// A connection to a leader that is being made.
pub struct Dial {
    pub to: NodeIx,
    pub tries: u32,
    pub number: u64,
}

pub struct Process {
    pub peer: Peer,
    pub tree: Tree,
    /// With what is on its way to the disk.
    pub log: Log,
    pub status: Status,
    /// Counts changes of the status.
    pub term: u64,
    pub serving: Option<Serving>,
    pub upstream: Option<LinkId>,
    /// Prepared, not yet proposed.
    pub group: Vec<Txn>,
    /// That came and are not yet installed.
    pub snapshots: BTreeMap<LinkId, Arc<Image>>,
    /// Links on which nothing came since then but a SNAP, or the stream behind it.
    pub silent_since: BTreeMap<LinkId, Time>,
    pub dial: Option<Dial>,
    /// When a tick is on its way.
    pub timer_at: Option<Time>,
    /// The epoch that each leader announced.
    pub announced: BTreeMap<LinkId, crate::ids::Epoch>,
}
