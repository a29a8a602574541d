//! An observer in broadcast: logs and delivers what it is informed of, and promises nothing.
//!
//! How it got there is in `learner`. Answers to `Observer`.

use crate::ids::{Epoch, LinkId, ServerId, Zxid};
use crate::proto::quorum::{PacketKind, QuorumPacket};

use super::Txn;
use super::follower::activate;
use super::learner::{next_committed, take, txn_of};
use super::role::{Ctx, End, about_no_transaction};

#[derive(Debug)]
pub(super) struct Observer {
    epoch: Epoch,
}

impl Observer {
    pub(super) fn new(epoch: Epoch) -> Observer {
        Observer { epoch }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn packet(
        &mut self,
        leader: ServerId,
        link: LinkId,
        packet: QuorumPacket,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), End> {
        match packet.kind {
            PacketKind::INFORM => inform(txn_of(&packet)?, self.epoch, ctx)?,
            PacketKind::INFORMANDACTIVATE => {
                let activated = packet.designated_leader();
                let (designated, bytes) =
                    activated.map_err(|error| End::Look(error.to_string()))?;
                let zxid = Zxid(packet.zxid);
                let txn = Txn { zxid, bytes };
                let config = ctx.see(&txn);
                inform(txn, self.epoch, ctx)?;
                return activate(ServerId(designated), leader, config, ctx);
            }
            _ => return about_no_transaction(link, packet, ctx),
        }
        Ok(())
    }
}

fn inform(txn: Txn, epoch: Epoch, ctx: &mut Ctx<'_>) -> Result<(), End> {
    let zxid = txn.zxid;
    take(txn, epoch, ctx).map_err(End::Look)?;
    let horizon = next_committed(ctx.disk.committed(), zxid, ctx).map_err(End::Look)?;
    if let Some(committed) = horizon {
        ctx.disk.commit(committed, ctx.out);
    }
    Ok(())
}
