//! Promises come after what they promise: what a server says of its epochs and its log is on its own disk, and what
//! is committed is on the disks of a quorum.

use std::collections::BTreeMap;

use super::{Verdict, violated};
use crate::ids::{Epoch, ServerId, Zxid};
use crate::sim::disk::Stable;
use crate::sim::network::NodeIx;
use crate::sim::truth::Truth;
use crate::zab::quorum::Quorum;

const NAME: &str = "durability";

#[derive(Default)]
pub struct Durability {
    /// Where the log of an epoch's leader ended when it took the epoch: what its followers must have.
    initial: BTreeMap<Epoch, Zxid>,
}

impl Durability {
    /// A leader's current epoch became durable.
    pub fn leads_from(&mut self, epoch: Epoch, log_end: Zxid) {
        self.initial.entry(epoch).or_insert(log_end);
    }

    /// LEADERINFO, or ACKEPOCH for an epoch that the sender was told of.
    pub fn epoch_promised(node: NodeIx, stable: &Stable, epoch: Epoch) -> Verdict {
        if stable.accepted >= epoch {
            return Ok(());
        }
        violated(
            NAME,
            format!(
                "server {node} promised epoch {} with {} on its disk",
                epoch.0, stable.accepted.0
            ),
        )
    }

    pub fn acknowledged(
        &self,
        truth: &Truth,
        node: NodeIx,
        stable: &Stable,
        zxid: Zxid,
    ) -> Verdict {
        if zxid.counter() != 0 {
            if holds(truth, stable, zxid) {
                return Ok(());
            }
            return violated(
                NAME,
                format!(
                    "server {node} acknowledged {zxid} with {} on its disk",
                    stable.last()
                ),
            );
        }
        let epoch = zxid.epoch();
        if stable.current != epoch {
            return violated(
                NAME,
                format!(
                    "server {node} joined epoch {} with current epoch {} on its disk",
                    epoch.0, stable.current.0
                ),
            );
        }
        self.has_initial_history(truth, node, stable, epoch)
    }

    /// Holds from the moment the current epoch is durable: a vote is compared by its epoch first.
    pub fn has_initial_history(
        &self,
        truth: &Truth,
        node: NodeIx,
        stable: &Stable,
        epoch: Epoch,
    ) -> Verdict {
        let Some(initial) = self.initial.get(&epoch).copied() else {
            return Ok(());
        };
        if initial == Zxid::ZERO || initial.counter() == 0 || holds(truth, stable, initial) {
            return Ok(());
        }
        violated(
            NAME,
            format!(
                "server {node} is of epoch {} without its initial history to {initial}; its disk ends at {}",
                epoch.0,
                stable.last()
            ),
        )
    }

    /// Somebody treats `zxid` as committed.
    pub fn committed<'a>(
        truth: &Truth,
        zxid: Zxid,
        mut quorums: impl Iterator<Item = Quorum>,
        disks: impl Iterator<Item = (ServerId, &'a Stable)>,
    ) -> Verdict {
        let have = disks.filter(|(_, stable)| holds(truth, stable, zxid));
        let have: Vec<ServerId> = have.map(|(id, _)| id).collect();
        match quorums.find(|quorum| !quorum.met(|id| have.contains(&id))) {
            None => Ok(()),
            Some(quorum) => violated(
                NAME,
                format!(
                    "{zxid} was committed with {have:?} having it on disk, of {:?}",
                    quorum.voters()
                ),
            ),
        }
    }
}

/// Whether this disk holds the transaction that was proposed with this zxid.
fn holds(truth: &Truth, stable: &Stable, zxid: Zxid) -> bool {
    if stable.checkpoint.zxid >= zxid || stable.log.base >= zxid {
        return true;
    }
    stable.log.get(zxid).is_some_and(|txn| {
        truth
            .proposed
            .get(&zxid)
            .is_some_and(|p| p.bytes == txn.bytes)
    })
}
