//! Discovery, a learner's side: who I am, which epoch the leader begins, how far I have come, and what it makes of that.
//!
//! Answers to `Learner.registerWithLeader`.

use crate::ids::{Epoch, LinkId, ServerId, Zxid};
use crate::proto::quorum::{LearnerInfo, PROTOCOL_VERSION, PacketKind, QuorumPacket};

use super::super::mistake::{Mistake, makes};
use super::super::role::{Ctx, End, packet_out_of_place};
use super::super::{Output, Write};
use super::syncing::Sync;
use super::{Learner, Phase};

impl Learner {
    pub(in crate::zab) fn connected(&mut self, to: ServerId, link: LinkId, ctx: &mut Ctx<'_>) {
        if to != self.leader || self.link.is_some() {
            ctx.out.push(Output::Close(link));
            return;
        }
        self.link = Some(link);
        self.heard = ctx.now;
        self.phase = Phase::Greeting;
        let info = LearnerInfo {
            serverid: ctx.config.id.0,
            protocol_version: PROTOCOL_VERSION,
            config_version: ctx.configs.committed().version,
        };
        let kind = match self.is_observer {
            true => PacketKind::OBSERVERINFO,
            false => PacketKind::FOLLOWERINFO,
        };
        let accepted = Zxid::new(ctx.disk.accepted_epoch(), 0);
        ctx.send(
            link,
            QuorumPacket::with_data(kind, accepted.0, info.encode()),
        );
    }

    pub(super) fn leader_info(
        &mut self,
        link: LinkId,
        packet: &QuorumPacket,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), End> {
        if packet.kind != PacketKind::LEADERINFO {
            return packet_out_of_place(packet, "waiting for LEADERINFO");
        }
        let epoch = Zxid(packet.zxid).epoch();
        let accepted = ctx.disk.accepted_epoch();
        if epoch < accepted {
            return Err(End::LookLater(format!(
                "the leader proposes epoch {}, {} is promised",
                epoch.0, accepted.0
            )));
        }
        if epoch > accepted {
            self.phase = Phase::Promising(epoch);
            ctx.disk.write(Write::AcceptedEpoch(epoch), ctx.out);
            if makes(Mistake::PromiseBeforeDurable) {
                let current = ctx.disk.current_epoch().0 as i32;
                self.ack_epoch(link, epoch, current, ctx);
            }
        } else if makes(Mistake::PromiseTwice) {
            let current = ctx.disk.current_epoch().0 as i32;
            self.ack_epoch(link, epoch, current, ctx);
        } else {
            // Promised before, maybe to another one: this does not count for the leader.
            self.ack_epoch(link, epoch, -1, ctx);
        }
        Ok(())
    }

    pub(super) fn ack_epoch(
        &mut self,
        link: LinkId,
        epoch: Epoch,
        current: i32,
        ctx: &mut Ctx<'_>,
    ) {
        let last = match self.wants_snapshot {
            true => Zxid(-1),
            false => ctx.disk.log().last(),
        };
        self.phase = Phase::Asking(epoch);
        ctx.send(
            link,
            QuorumPacket::with_number(PacketKind::ACKEPOCH, last.0, current),
        );
    }
}

/// The leader's answer to ACKEPOCH.
pub(super) fn begin_sync(
    link: LinkId,
    epoch: Epoch,
    wants_snapshot: bool,
    packet: &QuorumPacket,
    ctx: &mut Ctx<'_>,
) -> Result<Phase, End> {
    let zxid = Zxid(packet.zxid);
    let last = ctx.disk.log().last();
    tracing::info!(%last, "{} to {zxid} from the leader", packet.kind);
    match packet.kind {
        PacketKind::SNAP if zxid < Zxid::ZERO || zxid.epoch() > epoch => {
            return End::look(format!("a snapshot of {zxid} in epoch {}", epoch.0));
        }
        PacketKind::SNAP if makes(Mistake::SnapshotInPart) => {
            ctx.disk.install(link, zxid, ctx.out);
            return Ok(Phase::Syncing(Sync::new(epoch, zxid)));
        }
        PacketKind::SNAP => return Ok(Phase::Receiving(epoch, zxid)),
        PacketKind::DIFF | PacketKind::TRUNC if wants_snapshot => {
            return End::look("a snapshot was asked for and did not come");
        }
        PacketKind::DIFF => {}
        PacketKind::TRUNC if zxid == last || makes(Mistake::TruncIgnored) => {}
        PacketKind::TRUNC if zxid >= ctx.disk.delivered() && ctx.disk.log().contains(zxid) => {
            ctx.disk.write(Write::Cut(zxid), ctx.out);
        }
        PacketKind::TRUNC => {
            return Err(End::Resync(format!("the log cannot be cut at {zxid}")));
        }
        _ => return packet_out_of_place(packet, "waiting for DIFF, TRUNC or SNAP"),
    }
    if makes(Mistake::EpochBeforeHistory) {
        ctx.disk.write(Write::CurrentEpoch(epoch), ctx.out);
    }
    // What is left is the leader's too; it is committed when UPTODATE says so.
    Ok(Phase::Syncing(Sync::new(epoch, ctx.disk.log().last())))
}
