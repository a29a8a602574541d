//! An observer in broadcast: logs and delivers what it is informed of, and promises nothing.
//!
//! How it got there is in `learner`. Answers to `Observer`.

use crate::ids::{Epoch, LinkId, ServerId, Zxid};
use crate::proto::quorum::{PacketKind, QuorumPacket};

use super::follower::activate;
use super::learner::{next_committed, take, txn_of};
use super::role::{Ctx, End, reconfig_of};
use super::{Output, Txn};

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
            PacketKind::INFORM => inform(txn_of(&packet)?, ctx)?,
            PacketKind::INFORMANDACTIVATE => {
                let activated = packet.designated_leader();
                let (designated, bytes) =
                    activated.map_err(|error| End::Look(error.to_string()))?;
                let zxid = Zxid(packet.zxid);
                let txn = Txn { zxid, bytes };
                let config = reconfig_of(&txn);
                if let Some(config) = &config {
                    ctx.configs.see(config.clone(), ctx.disk, ctx.out);
                }
                inform(txn, ctx)?;
                return activate(ServerId(designated), leader, config, ctx);
            }
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
}

fn inform(txn: Txn, ctx: &mut Ctx<'_>) -> Result<(), End> {
    let zxid = txn.zxid;
    take(txn, ctx).map_err(End::Look)?;
    let horizon = next_committed(ctx.disk.committed(), zxid, ctx).map_err(End::Look)?;
    if let Some(committed) = horizon {
        ctx.disk.commit(committed, ctx.out);
    }
    Ok(())
}
