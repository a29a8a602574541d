//! All checkers behind one door. The world tells what it sees; the first thing that is wrong is kept.

use bytes::Bytes;

use super::checkers::configs::Configs;
use super::checkers::delivery::Delivery;
use super::checkers::digest::Digests;
use super::checkers::durability::Durability;
use super::checkers::leadership::Leadership;
use super::checkers::requests::Requests;
use super::checkers::{Verdict, Violation, ephemerals, logs, votes};
use super::disk::{Stable, Write};
use super::network::NodeIx;
use super::truth::Truth;
use crate::ids::{Epoch, LinkId, ServerId, Zxid};
use crate::membership::Membership;
use crate::proto::election::{Notification, PeerState};
use crate::proto::quorum::{PacketKind, QuorumPacket};
use crate::tree::Tree;
use crate::zab::quorum::Quorum;

pub struct Oracle {
    pub truth: Truth,
    pub configs: Configs,
    pub delivery: Delivery,
    pub leadership: Leadership,
    durability: Durability,
    digests: Digests,
    requests: Requests,
    /// Committed transactions that a disk has given up since the last look.
    lost: Vec<Zxid>,
    /// The first.
    pub violation: Option<Violation>,
}

impl Oracle {
    pub fn new(nodes: usize, members: Membership) -> Oracle {
        Oracle {
            truth: Truth::default(),
            configs: Configs::new(members),
            delivery: Delivery::new(nodes),
            leadership: Leadership::default(),
            durability: Durability::default(),
            digests: Digests::default(),
            requests: Requests::default(),
            lost: Vec::new(),
            violation: None,
        }
    }

    pub fn note(&mut self, verdict: Verdict) {
        if let Err(violation) = verdict {
            self.violation.get_or_insert(violation);
        }
    }

    pub fn fail(&mut self, checker: &'static str, what: String) {
        self.note(Err(Violation { checker, what }));
    }

    pub fn proposed(&mut self, by: NodeIx, zxid: Zxid, bytes: &Bytes) {
        let earlier = self.truth.proposed.insert(
            zxid,
            super::truth::Proposal {
                by,
                bytes: bytes.clone(),
            },
        );
        if let Some(earlier) = earlier {
            let what = format!(
                "{zxid} was proposed by server {by}, and before by server {}",
                earlier.by
            );
            self.fail("delivery", what);
        }
    }

    /// If it is the first to deliver, enough of the disks have to hold it.
    pub fn delivered<'a>(
        &mut self,
        node: NodeIx,
        zxid: Zxid,
        bytes: &Bytes,
        disks: impl Iterator<Item = (ServerId, &'a Stable)> + Clone,
    ) {
        match self.delivery.delivered(&mut self.truth, node, zxid, bytes) {
            Ok(false) => {}
            Ok(true) => {
                let quorums = self.configs.of(zxid);
                let verdict = Durability::committed(&self.truth, zxid, quorums, disks);
                self.note(verdict);
                if let Some(txn) = self.truth.committed.last() {
                    let verdict = self.requests.committed(txn);
                    self.note(verdict);
                }
                let verdict = ephemerals::committed(&self.truth);
                self.note(verdict);
            }
            Err(violation) => self.note(Err(violation)),
        }
    }

    pub fn tree_is_at(&mut self, node: NodeIx, tree: &Tree) {
        let verdict = self.digests.at(node, tree.last_zxid(), tree);
        self.note(verdict);
    }

    pub fn restored(&mut self, node: NodeIx, zxid: Zxid) {
        let verdict = self.delivery.restored(&self.truth, node, zxid);
        self.note(verdict);
    }

    pub fn leader_serves(&mut self, node: NodeIx, term: u64, epoch: Epoch) {
        let verdict = self.leadership.established(epoch, node, term);
        self.note(verdict);
        let verdict = self.delivery.leader_serves(&self.truth, node, epoch);
        self.note(verdict);
    }

    pub fn writes(&mut self, node: NodeIx, stable: &Stable, write: &Write, leads: bool) {
        let verdict = logs::about_to_write(&self.truth, node, stable, write, &mut self.lost);
        self.note(verdict);
        if let Write::CurrentEpoch(epoch) = write {
            if leads {
                self.durability.leads_from(*epoch, stable.last());
            }
            let verdict = self
                .durability
                .has_initial_history(&self.truth, node, stable, *epoch);
            self.note(verdict);
        }
    }

    /// After a disk wrote: what it gave up a quorum must have.
    pub fn wrote<'a>(&mut self, disks: impl Iterator<Item = (ServerId, &'a Stable)> + Clone) {
        for zxid in std::mem::take(&mut self.lost) {
            let newest = std::iter::once(Quorum::new(self.configs.newest()));
            let verdict = Durability::committed(&self.truth, zxid, newest, disks.clone());
            self.note(verdict);
        }
    }

    /// What leaves on a link of the quorum port.
    /// `asked` is the epoch that the leader on this link announced.
    pub fn sends(
        &mut self,
        node: NodeIx,
        link: LinkId,
        asked: Option<Epoch>,
        stable: &Stable,
        packet: &QuorumPacket,
    ) {
        let zxid = Zxid(packet.zxid);
        if packet.kind == PacketKind::ACKEPOCH
            && let Some(epoch) = asked
        {
            let verdict = Durability::epoch_promised(node, stable, epoch);
            self.note(verdict);
        }
        match packet.kind {
            PacketKind::LEADERINFO => {
                let verdict = Durability::epoch_promised(node, stable, zxid.epoch());
                self.note(verdict);
            }
            PacketKind::ACKEPOCH if packet.data_or_empty() != (-1i32).to_be_bytes() => {
                if let Some(epoch) = asked {
                    let verdict = self.leadership.promised(epoch, node, link);
                    self.note(verdict);
                }
            }
            PacketKind::ACK => {
                let verdict = self
                    .durability
                    .acknowledged(&self.truth, node, stable, zxid);
                self.note(verdict);
                let verdict = Configs::acknowledged(&self.truth, node, stable, zxid);
                self.note(verdict);
            }
            _ => {}
        }
    }

    /// What leaves on the election port of a voter, for a voter. Others are told the vote of the last election.
    pub fn notifies(&mut self, node: NodeIx, id: i64, stable: &Stable, vote: &Notification) {
        if vote.state == PeerState::Looking && vote.leader == id {
            let said = (Zxid(vote.zxid), Epoch(vote.peer_epoch));
            let verdict = votes::for_itself(node, said, stable.last(), stable.current);
            self.note(verdict);
        }
    }
}
