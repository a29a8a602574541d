//! Quorum connections as the member sees them: accepted while leading, dialled while learning; and what is said on
//! them beside ZAB: requests, sessions, syncs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};

use super::figures::Heard;
use super::{Core, Member, start};
use crate::auth::Id;
use crate::ids::{LinkId, ServerId, SessionId, Zxid};
use crate::membership::PeerAddress;
use crate::net::peer_stream::PeerStream;
use crate::net::quorum::{self, Events, Link};
use crate::ops;
use crate::pipeline::{Forward, wall_ms};
use crate::proto::quorum::{
    ForwardedRequest, NO_ZXID, PacketError, PacketKind, QuorumPacket, Revalidated, Touch,
};
use crate::proto::{self, OpCode};
use crate::zab::{Input, Status};

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
        self.listen_on(core, |address| address.quorum_port);
    }

    /// A follower that serves clients serves observers, too, on a port that is the same everywhere.
    pub(super) fn serve_observers(self: &Arc<Self>, core: &mut Core) {
        let following = matches!(core.peer.status(), Status::Following(_));
        if let Some(port) = self.settings.observer_master_port.filter(|_| following) {
            self.listen_on(core, |_| port);
        }
    }

    fn listen_on(self: &Arc<Self>, core: &mut Core, port: impl Fn(&PeerAddress) -> u16) {
        let Some(own) = core.peer.committed_config().servers.get(&self.settings.id) else {
            return;
        };
        let mut addresses: Vec<(String, u16)> = own
            .addresses
            .iter()
            .map(|a| (a.host.clone(), port(a)))
            .collect();
        addresses.dedup();
        let member = self.clone();
        // Looking up a name may take its time.
        let task = self.runtime.spawn(async move {
            let on_all = member.settings.listen_on_all_addresses;
            let mut accepting = tokio::task::JoinSet::new();
            for (host, port) in addresses {
                match quorum::listen(&host, port, on_all).await {
                    Ok(listener) => {
                        let member = member.clone();
                        accepting.spawn(async move { member.accept(listener).await });
                    }
                    Err(e) => tracing::error!("cannot listen for learners on {host}:{port}: {e}"),
                }
            }
            while accepting.join_next().await.is_some() {}
        });
        core.accepting = Some(task.abort_handle());
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let places = self.inbound.clone();
        quorum::accept(listener, places, |stream, remote, place| {
            let member = self.clone();
            self.runtime.spawn(async move {
                if let Err(e) = member.serve(stream, remote).await {
                    tracing::warn!("closing the connection of a learner at {remote}: {e}");
                }
                drop(place);
            });
        })
        .await;
    }

    /// A learner, once its connection is as secure as it has to be and it has said who it is.
    async fn serve(self: &Arc<Self>, stream: TcpStream, remote: SocketAddr) -> io::Result<()> {
        let settings = &self.settings;
        let securing = settings.security.accepted(stream);
        let mut stream = within(settings.dialling.limit, securing).await?;
        let mut received = BytesMut::new();
        if let Some(auth) = &settings.auth {
            let asked = auth.ask(&mut stream, received, remote);
            received = within(settings.handshake_limit, asked).await?;
        }
        let events = Arc::new(Inbound(self.clone()));
        let limits = settings.link_limits;
        self.numbers
            .run(stream, received, remote, events, limits)
            .await;
        Ok(())
    }

    async fn connect(&self, hosts: &[(String, u16)]) -> io::Result<(PeerStream, SocketAddr)> {
        let settings = &self.settings;
        let dialled = quorum::dial(hosts, &settings.dialling, &settings.security);
        let (mut stream, remote) = dialled.await?;
        self.prove(&mut stream, remote).await?;
        Ok((stream, remote))
    }

    /// Says who this member is, if it has to.
    pub(super) async fn prove(
        &self,
        stream: &mut PeerStream,
        remote: SocketAddr,
    ) -> io::Result<()> {
        match &self.settings.auth {
            Some(auth) => within(self.settings.handshake_limit, auth.prove(stream, remote)).await,
            None => Ok(()),
        }
    }

    pub(super) fn dial(self: &Arc<Self>, core: &mut Core, leader: ServerId) {
        if let Some(task) = core.dialing.take() {
            task.abort();
        }
        let Some(line) = core.peer.committed_config().servers.get(&leader) else {
            tracing::warn!("server {leader} leads, but is not in the configuration");
            let member = self.clone();
            self.runtime
                .spawn(async move { member.input(Input::Unreachable(leader)) });
            return;
        };
        let of_leader: Vec<(String, u16)> = line
            .addresses
            .iter()
            .map(|a| (a.host.clone(), a.quorum_port))
            .collect();
        let masters = self.masters(core);
        let member = self.clone();
        let is_observer = core.peer.is_observer();
        let task = self.runtime.spawn(async move {
            let settings = &member.settings;
            // Observers are many, and all of them lost the same leader.
            let pause = match is_observer {
                true => start::chance_below(settings.observer_reconnect_ms_max),
                false => 0,
            };
            let pause = Duration::from_millis(pause);
            tokio::time::sleep(pause).await;
            member.disk_is_ready().await;
            let connected = match masters {
                Some(masters) => member.connect_to_one(masters).await,
                None => member.connect(&of_leader).await,
            };
            match connected {
                Ok((stream, remote)) => {
                    // A task of its own: it outlives the attempt.
                    let runtime = member.runtime.clone();
                    runtime.spawn(async move {
                        let events = Arc::new(Outbound {
                            member: member.clone(),
                            leader,
                            heard: Mutex::default(),
                        });
                        let limits = member.settings.link_limits;
                        let received = BytesMut::new();
                        member
                            .numbers
                            .run(stream, received, remote, events, limits)
                            .await;
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

    fn packets(self: &Arc<Self>, link: &Arc<Link>, packets: &mut Vec<QuorumPacket>) {
        let packets = packets.drain(..);
        self.inputs(packets.map(|packet| Input::Packet(link.id, packet)));
    }

    fn down(self: &Arc<Self>, link: &Arc<Link>, closing: Duration) {
        let closing = closing.as_millis() as i64;
        self.pipeline
            .stats
            .metrics
            .socket_closing_time
            .record(closing);
        self.links.lock().remove(&link.id);
        self.input(Input::Down(link.id));
        self.snapshots.remove(link.id);
    }
}

pub(super) async fn within<T>(
    time: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    match tokio::time::timeout(time, work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "its handshake takes too long",
        )),
    }
}

/// A learner that connected to us.
struct Inbound(Arc<Member>);

impl Events for Inbound {
    fn up(&self, link: &Arc<Link>) {
        self.0.up(link, Input::Accepted(link.id));
    }

    fn packets(&self, link: &Arc<Link>, packets: &mut Vec<QuorumPacket>) -> Result<(), String> {
        keep_last_acks(packets);
        self.0.packets(link, packets);
        Ok(())
    }

    fn snapshot(&self, _: &Arc<Link>, _: &mut BytesMut) -> Result<bool, String> {
        Err("a learner sent a snapshot".to_owned())
    }

    fn down(&self, link: &Arc<Link>, closing: Duration) {
        self.0.down(link, closing);
    }
}

/// Our connection to a leader.
struct Outbound {
    member: Arc<Member>,
    leader: ServerId,
    /// For the metrics.
    heard: Mutex<Heard>,
}

impl Events for Outbound {
    fn up(&self, link: &Arc<Link>) {
        self.member.up(link, Input::Connected(self.leader, link.id));
    }

    fn packets(&self, link: &Arc<Link>, packets: &mut Vec<QuorumPacket>) -> Result<(), String> {
        for packet in &*packets {
            check(packet).map_err(|wrong| {
                let zxid = Zxid(packet.zxid);
                format!(
                    "server {} sent {} {zxid}: {wrong}",
                    self.leader, packet.kind
                )
            })?;
        }
        let upstream = self
            .member
            .upstream
            .read()
            .as_ref()
            .map(|upstream| upstream.id);
        if upstream == Some(link.id) {
            let metrics = &self.member.pipeline.stats.metrics;
            self.heard.lock().packets(packets, wall_ms(), metrics);
        }
        self.member.packets(link, packets);
        Ok(())
    }

    fn snapshot(&self, link: &Arc<Link>, bytes: &mut BytesMut) -> Result<bool, String> {
        self.member.snapshots.take(link.id, bytes)
    }

    fn down(&self, link: &Arc<Link>, closing: Duration) {
        self.member.down(link, closing);
    }
}

/// Acknowledgements rise: of several in a row the last one says it all.
fn keep_last_acks(packets: &mut Vec<QuorumPacket>) {
    let is_ack =
        |packet: &QuorumPacket| packet.kind == PacketKind::ACK && Zxid(packet.zxid).counter() > 0;
    packets.dedup_by(|next, kept| {
        let are_both = is_ack(next) && is_ack(kept);
        if are_both {
            std::mem::swap(next, kept);
        }
        are_both
    });
}

/// What a leader proposes is logged and applied here as it is: there it must not turn out to be no transaction.
fn check(packet: &QuorumPacket) -> Result<(), String> {
    let activated;
    let txn = match packet.kind {
        PacketKind::PROPOSAL | PacketKind::INFORM => packet.data_or_empty(),
        PacketKind::INFORMANDACTIVATE => {
            let parts = packet.designated_leader();
            activated = parts.map_err(|e| e.to_string())?.1;
            &activated[..]
        }
        _ => return Ok(()),
    };
    ops::validate(Zxid(packet.zxid), txn).map_err(|e| e.to_string())
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
    pub(super) fn upward(self: &Arc<Self>, id: LinkId, packets: &[QuorumPacket]) {
        let Some(link) = self.link(id) else { return };
        let upstream = self.upstream.read().clone();
        let taken = match &upstream {
            Some(upstream) if upstream.id != id => self.pass_all_on(&link, packets, upstream),
            _ => self.take_all_upward(&link, packets, upstream.is_some()),
        };
        if let Err(e) = taken {
            tracing::warn!("closing the quorum connection to {}: {e}", link.remote);
            link.close();
        }
    }

    fn take_all_upward(
        self: &Arc<Self>,
        link: &Arc<Link>,
        packets: &[QuorumPacket],
        is_learning: bool,
    ) -> Result<(), PacketError> {
        let mut rest = packets;
        while !rest.is_empty() {
            // Requests in a row become transactions together.
            let requests = rest.iter().take_while(|packet| is_write(packet)).count();
            let (now, later) = rest.split_at(requests.max(1));
            rest = later;
            match (requests, now) {
                (0, [packet]) => self.take_upward(link, packet, is_learning)?,
                _ => self.pipeline.remote_requests(link.id, now)?,
            }
        }
        Ok(())
    }

    fn take_upward(
        self: &Arc<Self>,
        link: &Arc<Link>,
        packet: &QuorumPacket,
        is_learning: bool,
    ) -> Result<(), PacketError> {
        match packet.kind {
            PacketKind::PING => {
                for touch in Touch::decode_all(packet)? {
                    let session = SessionId(touch.session_id);
                    self.pipeline.touch_remote(session, touch.timeout_ms);
                }
            }
            PacketKind::REVALIDATE if !is_learning => {
                self.pipeline.stats.metrics.revalidate_count.increment();
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
                let session = SessionId(answer.session_id);
                if let Some(observer) = self.pipeline.revalidated(session, answer.is_valid) {
                    self.send_down(observer, packet);
                }
            }
            PacketKind::REQUEST => {
                let request = ForwardedRequest::decode(packet)?;
                if request.op == OpCode::SYNC {
                    // It must not overtake what this learner has sent before and what waits for the log.
                    self.input(Input::Sync(link.id, self.pipeline.prepared()));
                }
            }
            PacketKind::SYNC => {
                if let Some(observer) = self.pipeline.synced() {
                    self.send_down(observer, packet);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What an observer asks of the follower that serves it, the follower asks of the leader.
    fn pass_all_on(
        &self,
        observer: &Link,
        packets: &[QuorumPacket],
        upstream: &Link,
    ) -> Result<(), PacketError> {
        let passed = packets
            .iter()
            .try_for_each(|packet| self.pass_on(observer, packet, upstream));
        upstream.flush();
        passed
    }

    fn pass_on(
        &self,
        observer: &Link,
        packet: &QuorumPacket,
        upstream: &Link,
    ) -> Result<(), PacketError> {
        let up = || upstream.send(packet);
        match packet.kind {
            PacketKind::PING => {
                for touch in Touch::decode_all(packet)? {
                    let session = SessionId(touch.session_id);
                    self.pipeline.touched_at_observer(session);
                }
            }
            PacketKind::REVALIDATE => {
                self.pipeline.stats.metrics.revalidate_count.increment();
                let session = SessionId(Touch::decode_one(packet)?.session_id);
                self.pipeline
                    .revalidate_for_observer(observer.id, session, up);
            }
            PacketKind::REQUEST => match ForwardedRequest::decode(packet)?.op {
                OpCode::SYNC => self.pipeline.sync_for_observer(observer.id, up),
                _ => up(),
            },
            _ => {}
        }
        Ok(())
    }

    /// The leader's answer, for an observer that may be gone.
    fn send_down(&self, observer: LinkId, packet: &QuorumPacket) {
        if let Some(link) = self.link(observer) {
            link.send(packet);
            link.flush();
        }
    }

    fn with_upstream(&self, send: impl FnOnce(&Link)) {
        // Without a leader the connection of whoever asked is being closed.
        if let Some(link) = &*self.upstream.read() {
            send(link);
        }
    }
}

/// A request that becomes a transaction.
fn is_write(packet: &QuorumPacket) -> bool {
    packet.kind == PacketKind::REQUEST && ForwardedRequest::op_of(packet) != Some(OpCode::SYNC)
}

/// A learner's clients ask the leader.
impl Forward for Member {
    fn request(&self, session: SessionId, cxid: i32, op: OpCode, body: &[u8], ids: &[Id]) {
        let ids: Vec<proto::Id<'_>> = ids.iter().map(|id| id.to_wire()).collect();
        self.with_upstream(|link| {
            link.put(|out| ForwardedRequest::put(out, session.0, cxid, op, body, &ids));
        });
    }

    fn revalidate(&self, session: SessionId, timeout_ms: i32) {
        let touch = Touch {
            session_id: session.0,
            timeout_ms,
        };
        let data = Touch::encode_all(&[touch]);
        let packet = QuorumPacket::with_data(PacketKind::REVALIDATE, NO_ZXID, data);
        self.with_upstream(|link| link.send(&packet));
    }

    fn flush(&self) {
        let link = self.upstream.read().clone();
        // As in Java: what waits behind the one that is taken.
        if let Some(link) = link
            && let Some(waiting) = link.flush().checked_sub(1)
        {
            let metrics = &self.pipeline.stats.metrics;
            metrics
                .learner_request_processor_queue_size
                .record(waiting as i64);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::proto::ErrorCode;
    use crate::proto::txn::{ErrorTxn, TxnHeader};

    const ZXID: i64 = 0x2_0000_0001;

    /// A transaction that changes nothing.
    pub(in super::super) fn txn(zxid: i64) -> Vec<u8> {
        let header = TxnHeader {
            client_id: 1,
            cxid: 2,
            zxid,
            time: 3,
            op: OpCode::ERROR,
        };
        let mut bytes = jute::to_vec(&header).expect("it fits");
        let err = ErrorCode::NO_NODE;
        bytes.extend(jute::to_vec(&ErrorTxn { err }).expect("it fits"));
        bytes
    }

    #[test]
    fn of_acknowledgements_in_a_row_the_last_one_is_kept() {
        let new_leader = Zxid::new(crate::ids::Epoch(2), 0).0;
        let packet = |(kind, zxid)| QuorumPacket::new(kind, zxid);
        let came = [
            (PacketKind::ACK, new_leader),
            (PacketKind::ACK, ZXID),
            (PacketKind::ACK, ZXID + 1),
            (PacketKind::PING, ZXID),
            (PacketKind::ACK, ZXID + 2),
        ];
        let mut packets: Vec<QuorumPacket> = came.into_iter().map(packet).collect();
        keep_last_acks(&mut packets);
        let kept = [came[0], came[2], came[3], came[4]];
        assert_eq!(packets, kept.map(packet));
    }

    #[test]
    fn what_a_leader_proposes_is_a_transaction_of_that_zxid() {
        let good = txn(ZXID);
        let cases = [
            (&good[..], ""),
            (&[], "header cannot be read"),
            (&good[..31], "header cannot be read"),
            (&good[..33], "cannot be read: the input ends"),
            (&txn(ZXID + 1), "header is of 0x200000002"),
        ];
        for (bytes, wrong) in cases {
            for kind in [PacketKind::PROPOSAL, PacketKind::INFORM] {
                let packet = QuorumPacket::with_data(kind, ZXID, bytes.to_vec());
                let said = check(&packet).err().unwrap_or_default();
                assert!(
                    said.contains(wrong) && said.is_empty() == wrong.is_empty(),
                    "{said}"
                );
            }
            let kind = PacketKind::INFORMANDACTIVATE;
            let packet = QuorumPacket::with_designated_leader(kind, ZXID, 1, bytes);
            assert_eq!(check(&packet).is_ok(), wrong.is_empty());
        }
        let without_leader = QuorumPacket::with_data(PacketKind::INFORMANDACTIVATE, ZXID, vec![1]);
        assert!(check(&without_leader).is_err());
        assert_eq!(check(&QuorumPacket::new(PacketKind::COMMIT, ZXID)), Ok(()));
    }
}
