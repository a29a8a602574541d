//! Integrity, agreement and order: what any server delivers is a prefix of one history, every transaction of it was
//! proposed with these bytes, zxids rise, and who leads an epoch has delivered all of the epochs before.

use bytes::Bytes;

use super::{Verdict, violated};
use crate::ids::{Epoch, Zxid};
use crate::sim::network::NodeIx;
use crate::sim::truth::Truth;

const NAME: &str = "delivery";

pub struct Delivery {
    /// How many transactions of the committed history each server's tree holds.
    at: Vec<usize>,
    /// The highest epoch in which somebody served as leader.
    established: Epoch,
}

impl Delivery {
    pub fn new(nodes: usize) -> Delivery {
        Delivery {
            at: vec![0; nodes],
            established: Epoch(0),
        }
    }

    /// A server's tree is at this zxid, from its disk or from a snapshot.
    pub fn restored(&mut self, truth: &Truth, node: NodeIx, zxid: Zxid) -> Verdict {
        self.at[node] = truth.position(zxid);
        if zxid.counter() != 0 && truth.at(zxid).is_none() {
            return violated(
                NAME,
                format!("server {node} restored a tree at {zxid}, which nobody committed"),
            );
        }
        Ok(())
    }

    /// True when the history grew: this server is the first.
    pub fn delivered(
        &mut self,
        truth: &mut Truth,
        node: NodeIx,
        zxid: Zxid,
        bytes: &Bytes,
    ) -> Result<bool, super::Violation> {
        let at = self.at[node];
        self.at[node] += 1;
        if let Some(expected) = truth.committed.get(at) {
            if expected.zxid != zxid {
                violated(
                    NAME,
                    format!(
                        "server {node} delivered {zxid} where others delivered {}",
                        expected.zxid
                    ),
                )?;
            }
            if expected.bytes != *bytes {
                violated(
                    NAME,
                    format!("server {node} delivered other bytes as {zxid}"),
                )?;
            }
            return Ok(false);
        }
        let last = truth.last();
        if zxid <= last {
            violated(NAME, format!("{zxid} was delivered after {last}"))?;
        }
        match truth.proposed.get(&zxid) {
            None => violated(NAME, format!("{zxid} was delivered and never proposed"))?,
            Some(proposal) if proposal.bytes != *bytes => violated(
                NAME,
                format!("{zxid} was delivered with other bytes than were proposed"),
            )?,
            Some(_) => {}
        }
        if zxid.epoch() < self.established {
            violated(
                NAME,
                format!(
                    "{zxid} was first delivered after epoch {} was established",
                    self.established.0
                ),
            )?;
        }
        truth.commit(zxid, bytes).or_else(|why| {
            violated(NAME, why)?;
            Ok(())
        })?;
        Ok(true)
    }

    /// Activated: before it broadcasts, a leader has delivered whatever anybody ever delivers of earlier epochs.
    pub fn leader_serves(&mut self, truth: &Truth, node: NodeIx, epoch: Epoch) -> Verdict {
        self.established = self.established.max(epoch);
        let has = self.at[node];
        let all = truth
            .committed
            .partition_point(|c| c.zxid < Zxid::new(epoch, 0));
        if has < all {
            return violated(
                NAME,
                format!(
                    "server {node} leads epoch {} with {has} of {all} committed transactions",
                    epoch.0
                ),
            );
        }
        Ok(())
    }

    pub fn position(&self, node: NodeIx) -> usize {
        self.at[node]
    }
}
