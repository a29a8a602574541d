//! Quorum connections as the member sees them: accepted while leading, dialled while learning; and what is said on
//! them beside ZAB: requests, sessions, syncs.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{Core, Member};
use crate::auth::Id;
use crate::ids::{LinkId, ServerId, SessionId, Zxid};
use crate::net::quorum::{self, Events, Link};
use crate::pipeline::Forward;
use crate::proto::OpCode;
use crate::proto::quorum::{
    ForwardedRequest, PacketError, PacketKind, QuorumPacket, Revalidated, Touch,
};
use crate::zab::{Input, Status};

/// A listener that fails (no descriptors left) is asked again after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Member {
    /// Opens the quorum port before a new leader does anything else, and closes it when it stops leading.
    pub(super) fn change_role(self: &Arc<Self>, core: &mut Core, status: Status) {
        for task in [core.accepting.take(), core.dialing.take()]
            .into_iter()
            .flatten()
        {
            task.abort();
        }
        if status == Status::Leading {
            self.listen(core);
        }
    }

    fn listen(self: &Arc<Self>, core: &mut Core) {
        let Some(own) = core.committed.servers.get(&self.settings.id) else {
            return;
        };
        let addresses: Vec<(String, u16)> = own
            .addresses
            .iter()
            .map(|a| (a.host.clone(), a.quorum_port))
            .collect();
        let _in_runtime = self.runtime.enter();
        let mut listeners = Vec::new();
        for (host, port) in addresses {
            match quorum::listen(&host, port, self.settings.listen_on_all_addresses) {
                Ok(listener) => listeners.push(listener),
                Err(e) => tracing::error!("cannot listen for learners on {host}:{port}: {e}"),
            }
        }
        let member = self.clone();
        let task = self.runtime.spawn(async move {
            let mut accepting = tokio::task::JoinSet::new();
            for listener in listeners {
                let member = member.clone();
                accepting.spawn(async move { member.accept(listener).await });
            }
            while accepting.join_next().await.is_some() {}
        });
        core.accepting = Some(task.abort_handle());
    }

    async fn accept(self: Arc<Self>, listener: tokio::net::TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => {
                    let member = self.clone();
                    self.runtime.spawn(async move {
                        let events = Arc::new(Inbound(member.clone()));
                        let max = member.settings.packet_bytes_max;
                        let limit = member.settings.connect_limit;
                        let securing = member.settings.security.accepted(stream);
                        match tokio::time::timeout(limit, securing).await {
                            Ok(Ok(stream)) => {
                                member.numbers.run(stream, remote, events, max).await;
                            }
                            Ok(Err(e)) => {
                                tracing::warn!("closing the connection of a learner at {remote}: {e}");
                            }
                            Err(_) => tracing::warn!(
                                "closing the connection of a learner at {remote}: its handshake takes too long"
                            ),
                        }
                    });
                }
                Err(e) => {
                    tracing::warn!("accepting a learner: {e}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    pub(super) fn dial(self: &Arc<Self>, core: &mut Core, leader: ServerId) {
        if let Some(task) = core.dialing.take() {
            task.abort();
        }
        let Some(line) = core.committed.servers.get(&leader) else {
            tracing::warn!("server {leader} leads, but is not in the configuration");
            let member = self.clone();
            self.runtime
                .spawn(async move { member.input(Input::Unreachable(leader)) });
            return;
        };
        let hosts: Vec<(String, u16)> = line
            .addresses
            .iter()
            .map(|a| (a.host.clone(), a.quorum_port))
            .collect();
        let member = self.clone();
        let task = self.runtime.spawn(async move {
            let settings = &member.settings;
            match quorum::dial(&hosts, settings.connect_limit, &settings.security).await {
                Ok((stream, remote)) => {
                    // A task of its own: it outlives the attempt.
                    let runtime = member.runtime.clone();
                    runtime.spawn(async move {
                        let events = Arc::new(Outbound(member.clone(), leader));
                        let max = member.settings.packet_bytes_max;
                        member.numbers.run(stream, remote, events, max).await;
                    });
                }
                Err(e) => {
                    tracing::warn!("cannot reach the leader, server {leader}: {e}");
                    member.input(Input::Unreachable(leader));
                }
            }
        });
        core.dialing = Some(task.abort_handle());
    }

    fn up(self: &Arc<Self>, link: &Arc<Link>, input: Input) {
        self.links.lock().insert(link.id, link.clone());
        self.input(input);
    }

    fn packet(self: &Arc<Self>, link: &Arc<Link>, packet: QuorumPacket) {
        self.input(Input::Packet(link.id, packet));
    }

    fn down(self: &Arc<Self>, link: &Arc<Link>) {
        self.links.lock().remove(&link.id);
        self.input(Input::Down(link.id));
        self.snapshots.remove(link.id);
    }
}

/// A learner that connected to us.
struct Inbound(Arc<Member>);

impl Events for Inbound {
    fn up(&self, link: &Arc<Link>) {
        self.0.up(link, Input::Accepted(link.id));
    }

    fn packet(&self, link: &Arc<Link>, packet: QuorumPacket) {
        self.0.packet(link, packet);
    }

    fn snapshot(&self, _: &Arc<Link>, _: &mut BytesMut) -> Result<bool, String> {
        Err("a learner sent a snapshot".to_owned())
    }

    fn down(&self, link: &Arc<Link>) {
        self.0.down(link);
    }
}

/// Our connection to a leader.
struct Outbound(Arc<Member>, ServerId);

impl Events for Outbound {
    fn up(&self, link: &Arc<Link>) {
        self.0.up(link, Input::Connected(self.1, link.id));
    }

    fn packet(&self, link: &Arc<Link>, packet: QuorumPacket) {
        self.0.packet(link, packet);
    }

    fn snapshot(&self, link: &Arc<Link>, bytes: &mut BytesMut) -> Result<bool, String> {
        self.0.snapshots.take(link.id, bytes)
    }

    fn down(&self, link: &Arc<Link>) {
        self.0.down(link);
    }
}

/// The touched sessions go up with every answer to a ping.
pub(super) fn ping_answer(zxid: Zxid, touched: &[(SessionId, i32)]) -> QuorumPacket {
    let touches: Vec<Touch> = touched
        .iter()
        .map(|(session, timeout_ms)| Touch {
            session_id: session.0,
            timeout_ms: *timeout_ms,
        })
        .collect();
    QuorumPacket::with_data(PacketKind::PING, zxid.0, Touch::encode_all(&touches))
}

/// What is not ZAB's: requests, sessions and syncs, both ways.
impl Member {
    pub(super) fn upward(self: &Arc<Self>, id: LinkId, packet: QuorumPacket) {
        let Some(link) = self.link(id) else { return };
        if let Err(e) = self.take_upward(&link, &packet) {
            tracing::warn!("closing the quorum connection to {}: {e}", link.remote);
            link.close();
        }
    }

    fn take_upward(
        self: &Arc<Self>,
        link: &Arc<Link>,
        packet: &QuorumPacket,
    ) -> Result<(), PacketError> {
        let leading = self.upstream.read().is_none();
        match packet.kind {
            PacketKind::PING => {
                for touch in Touch::decode_all(packet)? {
                    let session = SessionId(touch.session_id);
                    self.pipeline.touch_remote(session, touch.timeout_ms);
                }
            }
            PacketKind::REVALIDATE if leading => {
                let touch = Touch::decode_one(packet)?;
                let session = SessionId(touch.session_id);
                let is_valid = self
                    .pipeline
                    .revalidate_remote(link.id, session, touch.timeout_ms);
                let answer = Revalidated {
                    session_id: touch.session_id,
                    is_valid,
                };
                link.send(&QuorumPacket::with_data(
                    PacketKind::REVALIDATE,
                    packet.zxid,
                    answer.encode(),
                ));
                link.flush();
            }
            PacketKind::REVALIDATE => {
                let answer = Revalidated::decode(packet)?;
                self.pipeline
                    .revalidated(SessionId(answer.session_id), answer.is_valid);
            }
            PacketKind::REQUEST => {
                let request = ForwardedRequest::decode(packet)?;
                if request.op == OpCode::SYNC {
                    // It must not overtake what this learner has sent before and what waits for the log.
                    self.input(Input::Sync(link.id, self.pipeline.prepared()));
                } else {
                    let ids = packet.authinfo.as_deref().unwrap_or_default();
                    self.pipeline.remote_request(link.id, &request, ids);
                }
            }
            PacketKind::SYNC => self.pipeline.synced(),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn send_up(&self, packet: &QuorumPacket) {
        // Without a leader the connection of whoever asked is being closed.
        if let Some(link) = &*self.upstream.read() {
            link.send(packet);
            link.flush();
        }
    }
}

/// A learner's clients ask the leader.
impl Forward for Member {
    fn request(&self, session: SessionId, cxid: i32, op: OpCode, body: &[u8], ids: &[Id]) {
        let request = ForwardedRequest {
            session_id: session.0,
            cxid,
            op,
            record: Bytes::copy_from_slice(body),
        };
        self.send_up(&QuorumPacket {
            kind: PacketKind::REQUEST,
            zxid: NO_ZXID,
            data: Some(request.encode()),
            authinfo: Some(ids.iter().map(|id| id.to_wire().into_owned()).collect()),
        });
    }

    fn revalidate(&self, session: SessionId, timeout_ms: i32) {
        let touch = Touch {
            session_id: session.0,
            timeout_ms,
        };
        self.send_up(&QuorumPacket::with_data(
            PacketKind::REVALIDATE,
            NO_ZXID,
            Touch::encode_all(&[touch]),
        ));
    }
}

/// Of packets that are about no transaction.
const NO_ZXID: i64 = -1;
