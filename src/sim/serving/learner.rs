//! A learner: what its leader says to those who asked through it.

use super::{Context, Effects, Serving, Side, Waiting};
use crate::ids::SessionId;
use crate::proto::quorum::{PacketKind, QuorumPacket, Revalidated, Touch};

impl Serving {
    /// What the leader sent, of the kinds that are not the core's.
    pub fn leader_sent(
        &mut self,
        cx: &Context<'_>,
        packet: &QuorumPacket,
        fx: &mut Effects,
    ) -> Result<(), String> {
        let Side::Learner(learner) = &mut self.side else {
            return Err(format!("{} for a server that leads", packet.kind));
        };
        match packet.kind {
            PacketKind::SYNC => {
                let Some((conn, xid)) = learner.syncs.pop_front() else {
                    return Err("a SYNC that nobody asked for".to_owned());
                };
                if let Some(state) = self.conns.get_mut(&conn) {
                    for waiting in &mut state.queue {
                        if let Waiting::Sync { xid: x, is_done } = waiting
                            && *x == xid
                        {
                            *is_done = true;
                        }
                    }
                    self.drain(cx, conn, fx);
                }
            }
            PacketKind::REVALIDATE => {
                let answer = Revalidated::decode(packet).map_err(|e| e.to_string())?;
                let session = SessionId(answer.session_id);
                if let Some(conn) = learner.revalidating.remove(&session) {
                    self.reconnected(conn, session, answer.is_valid, fx);
                }
            }
            other => return Err(format!("{other} is nothing for a learner to serve")),
        }
        Ok(())
    }

    /// Sessions heard of since the last ping.
    pub fn take_touched(&mut self) -> Vec<Touch> {
        let Side::Learner(learner) = &mut self.side else {
            return Vec::new();
        };
        std::mem::take(&mut learner.touched)
            .into_iter()
            .map(|(session, timeout_ms)| Touch {
                session_id: session.0,
                timeout_ms,
            })
            .collect()
    }
}
