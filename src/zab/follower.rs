//! A follower in broadcast: logs what is proposed, acknowledges it when it is durable, delivers what is committed.
//!
//! How it got there is in `learner`. Answers to `Follower` and `SendAckRequestProcessor`.

use std::collections::VecDeque;

use crate::ids::{Epoch, LinkId, ServerId, Zxid};
use crate::membership::Membership;
use crate::proto::quorum::{PacketKind, QuorumPacket};

use super::learner::{next_committed, take, txn_of};
use super::mistake::{Mistake, makes};
use super::observer_master::ObserverMaster;
use super::role::{Ctx, End, about_no_transaction, pop_if, simple};

#[derive(Debug)]
pub(super) struct Follower {
    epoch: Epoch,
    /// Proposals in the order of the log, durable or not.
    unacked: VecDeque<Zxid>,
}

impl Follower {
    pub(super) fn new(epoch: Epoch, unacked: VecDeque<Zxid>) -> Follower {
        Follower { epoch, unacked }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Acknowledges one by one, because the original's leaders count them one by one.
    pub(super) fn persisted(&mut self, link: LinkId, ctx: &mut Ctx<'_>) {
        let mut durable = ctx.disk.durable();
        if makes(Mistake::AckBeforeDurable) {
            durable = ctx.disk.log().last();
        }
        while let Some(zxid) = pop_if(&mut self.unacked, |zxid| *zxid <= durable) {
            ctx.send(link, simple(PacketKind::ACK, zxid));
        }
    }

    pub(super) fn packet(
        &mut self,
        leader: ServerId,
        link: LinkId,
        packet: QuorumPacket,
        reconfig: &mut Option<(Zxid, Membership)>,
        mut observers: Option<&mut ObserverMaster>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), End> {
        match packet.kind {
            PacketKind::PROPOSAL => {
                let txn = txn_of(&packet)?;
                let zxid = txn.zxid;
                if let Some(config) = ctx.see(&txn) {
                    *reconfig = Some((zxid, config));
                }
                let is_new = zxid > ctx.disk.log().last();
                if let Some(observers) = observers.as_mut().filter(|_| is_new) {
                    observers.proposed(&txn, ctx.now);
                }
                take(txn, self.epoch, ctx).map_err(End::Look)?;
                self.unacked.push_back(zxid);
                // One that was there already is acknowledged at once.
                self.persisted(link, ctx);
            }
            PacketKind::COMMIT => {
                commit(Zxid(packet.zxid), ctx)?;
                if let Some(observers) = observers {
                    observers.forward(None, ctx);
                }
            }
            PacketKind::COMMITANDACTIVATE => {
                let zxid = Zxid(packet.zxid);
                let activated = packet.designated_leader();
                let (designated, _) = activated.map_err(|error| End::Look(error.to_string()))?;
                commit(zxid, ctx)?;
                if let Some(observers) = observers {
                    observers.forward(Some((zxid, ServerId(designated))), ctx);
                }
                let config = reconfig.take().filter(|(of, _)| *of == zxid);
                let config = config.map(|(_, config)| config);
                return activate(ServerId(designated), leader, config, ctx);
            }
            _ => return about_no_transaction(link, packet, ctx),
        }
        Ok(())
    }
}

fn commit(zxid: Zxid, ctx: &mut Ctx<'_>) -> Result<(), End> {
    let horizon = next_committed(ctx.disk.committed(), zxid, ctx).map_err(End::Look)?;
    if let Some(committed) = horizon {
        ctx.disk.commit(committed, ctx.out);
    }
    Ok(())
}

/// A configuration is in force from now on. The role ends if it makes another server lead, or this one something else.
pub(super) fn activate(
    designated: ServerId,
    leader: ServerId,
    config: Option<Membership>,
    ctx: &mut Ctx<'_>,
) -> Result<(), End> {
    let Some(config) = config else {
        return End::look("a configuration was activated that was not proposed here");
    };
    if !ctx.configs.reconfig_enabled() {
        return Ok(());
    }
    let changed_part = ctx.configs.commit(config, ctx.disk, ctx.out);
    match changed_part || designated != leader {
        true => Err(End::Designated(designated)),
        false => Ok(()),
    }
}
