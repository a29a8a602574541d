//! What every role works with, and how it says that it is over.
//!
//! Only `peer` acts on the end of a role.

use std::collections::VecDeque;

use crate::ids::{Epoch, LinkId, ServerId, Zxid};
use crate::membership::Membership;
use crate::proto::OpCode;
use crate::proto::quorum::{PacketKind, QuorumPacket};
use crate::proto::txn::{SetDataTxn, TxnHeader};

use super::configs::Configs;
use super::disk::Disk;
use super::sync_plan::{SyncPlan, plan_sync};
use super::{Output, PeerConfig, Timestamp, Txn};

/// What outlives a role, lent to it for a step.
pub(super) struct Ctx<'a> {
    pub(super) now: Timestamp,
    pub(super) config: &'a PeerConfig,
    pub(super) disk: &'a mut Disk,
    pub(super) configs: &'a mut Configs,
    pub(super) out: &'a mut Vec<Output>,
}

impl Ctx<'_> {
    pub(super) fn send(&mut self, link: LinkId, packet: QuorumPacket) {
        self.out.push(Output::Send(link, packet));
    }

    /// How a learner whose history ends at `learner` gets all up to `end`.
    pub(super) fn plan_sync(&self, learner: Zxid, end: Zxid) -> SyncPlan {
        match self.config.always_snapshot {
            true => SyncPlan::Snap,
            false => plan_sync(learner, self.disk.log(), end, self.config.history_sent_max),
        }
    }

    /// Begins to bring a learner up to date: says how, and gives back what it has from then on. A snapshot is of all up
    /// to `readable`, and what follows it up to `end`.
    pub(super) fn open_sync(
        &mut self,
        link: LinkId,
        plan: SyncPlan,
        end: Zxid,
        readable: Zxid,
    ) -> Zxid {
        match plan {
            SyncPlan::Diff { after } => {
                self.send(link, simple(PacketKind::DIFF, end));
                after
            }
            SyncPlan::Trunc { to } => {
                self.send(link, simple(PacketKind::TRUNC, to));
                to
            }
            SyncPlan::Snap => {
                let up_to = readable;
                self.out.push(Output::SendSnapshot { link, up_to });
                up_to
            }
        }
    }

    /// The configuration that a transaction proposes, which is seen from now on.
    pub(super) fn see(&mut self, txn: &Txn) -> Option<Membership> {
        let config = reconfig_of(txn)?;
        self.configs.see(config.clone(), self.disk, self.out);
        Some(config)
    }

    pub(super) fn init_ms(&self) -> u64 {
        self.config.tick_ms * self.config.init_limit
    }

    pub(super) fn sync_ms(&self) -> u64 {
        self.config.tick_ms * self.config.sync_limit
    }
}

/// Why a role is over, and what comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// An election.
    Look(String),
    /// An election, not at once: the same leader would be found, and be of as little use.
    LookLater(String),
    /// An election; whoever wins it has to be above this epoch, which a voter accepted.
    Outdated(Epoch),
    /// The same leader once more, asked for a snapshot.
    Resync(String),
    /// Whom a reconfiguration named leads, without an election.
    Designated(ServerId),
}

impl End {
    pub(super) fn look<T>(reason: impl Into<String>) -> Result<T, End> {
        Err(End::Look(reason.into()))
    }
}

pub(super) fn packet_out_of_place<T>(packet: &QuorumPacket, doing: &str) -> Result<T, End> {
    End::look(format!("{} while {doing}", packet.kind))
}

pub(super) fn simple(kind: PacketKind, zxid: Zxid) -> QuorumPacket {
    QuorumPacket::new(kind, zxid.0)
}

/// The configuration that a transaction proposes, if it is such a one.
pub(super) fn reconfig_of(txn: &Txn) -> Option<Membership> {
    // Where the type is in the header: most transactions need not be decoded here.
    const TYPE_AT: std::ops::Range<usize> = 28..32;
    if txn.bytes.get(TYPE_AT)? != OpCode::RECONFIG.0.to_be_bytes() {
        return None;
    }
    let mut bytes = &txn.bytes[..];
    let _: TxnHeader = jute::read(&mut bytes).ok()?;
    let record: SetDataTxn<'_> = jute::read(&mut bytes).ok()?;
    membership(record.data.or_empty())
}

pub(super) fn membership(text: &[u8]) -> Option<Membership> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What a learner that serves does with a packet that is about no transaction.
pub(super) fn about_no_transaction(
    link: LinkId,
    packet: QuorumPacket,
    ctx: &mut Ctx<'_>,
) -> Result<(), End> {
    match packet.kind {
        PacketKind::PING => ctx.out.push(Output::AnswerPing(link, Zxid(packet.zxid))),
        PacketKind::REVALIDATE => ctx.out.push(Output::Upward(link, packet)),
        PacketKind::SYNC => ctx.disk.upward(link, packet, ctx.out),
        PacketKind::NEWLEADER | PacketKind::UPTODATE => {
            return End::look(format!("{} while serving", packet.kind));
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn pop_if<T>(queue: &mut VecDeque<T>, due: impl Fn(&T) -> bool) -> Option<T> {
    match queue.front() {
        Some(first) if due(first) => queue.pop_front(),
        _ => None,
    }
}
