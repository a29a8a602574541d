//! A member beside a leader that the test plays.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::links::tests::txn;
use super::*;
use crate::config::{Config, SystemProperties};
use crate::ids::ServerId;
use crate::net::peer_stream::PeerSecurity;
use crate::pipeline::recovery::Restoring;
use crate::pipeline::role::Role;
use crate::proto::election::{Notification, PeerState};
use crate::proto::quorum::{PROTOCOL_VERSION, PacketKind};
use crate::server::{rules, settings};
use crate::storage::{self, Log, Storage, StorageConfig, StorageError};

const LEADER: ServerId = ServerId(2);
const EPOCH: Epoch = Epoch(2);
/// Only something broken lets a test wait that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Server 1 of three, which follows 2.
struct Follower {
    member: Arc<Member>,
    log: LogHandle,
    disk: JoinHandle<Result<Log, StorageError>>,
    leader: TcpStream,
    received: BytesMut,
    _dir: tempfile::TempDir,
}

/// A loopback address of its own for each member: nobody else sits on its ports.
fn own_host() -> String {
    static GIVEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let number = GIVEN.fetch_add(1, Ordering::Relaxed);
    format!("127.{high}.{low}.{number}")
}

/// Server 1, as it is before it looks for a leader; `role` and `lines` are of its configuration.
async fn member(
    dir: &std::path::Path,
    quorum_port: u16,
    (role, lines): (&str, &str),
) -> (
    Arc<Member>,
    crate::net::election::ElectionInbox,
    JoinHandle<Result<Log, StorageError>>,
) {
    let text = format!(
        "dataDir={}\nclientPort=2181\ntickTime=2000\ninitLimit=1000\nsyncLimit=1000\n\
         server.1={}:23888:23889:{role}\nserver.2=127.0.0.1:{quorum_port}:9\nserver.3=127.0.0.1:10:11\n\
         server.4=127.0.0.1:12:13\n{lines}",
        dir.display(),
        own_host(),
    );
    std::fs::write(dir.join("zoo.cfg"), text).unwrap();
    std::fs::write(dir.join("myid"), "1").unwrap();
    let loaded = Config::load(&dir.join("zoo.cfg"), &SystemProperties::default());
    let (config, _) = loaded.unwrap();
    let store = StorageConfig {
        warm_log: false,
        log_file_bytes: 1 << 20,
        ..StorageConfig::new(dir)
    };
    let mut restoring = Restoring::new(true, false);
    let Storage {
        log,
        state,
        epochs,
        places,
        ..
    } = storage::open(&store, &mut restoring).unwrap();
    let (pipeline, _) = Pipeline::new(
        restoring.finish(),
        rules(&config).unwrap(),
        settings(&config),
    );
    let stores = Stores {
        log: log.handle(),
        state: Arc::new(state),
        places,
        epochs,
    };
    let security = PeerSecurity::default();
    let id = ServerId(1);
    let (member, inbox) = Member::new(&config, id, pipeline.clone(), stores, security, None)
        .await
        .unwrap();
    let disk = std::thread::spawn(move || pipeline.run_disk(log));
    (member, inbox, disk)
}

fn said(state: PeerState) -> Notification {
    Notification {
        state,
        leader: LEADER.0,
        zxid: 0,
        election_epoch: 1,
        peer_epoch: 0,
        version: Notification::VERSION,
        config: None,
    }
}

fn proposal(counter: u32) -> QuorumPacket {
    let zxid = Zxid::new(EPOCH, counter).0;
    QuorumPacket::with_data(PacketKind::PROPOSAL, zxid, txn(zxid))
}

impl Follower {
    /// One that has found its leader and said nothing yet.
    async fn connected(role: &str, lines: &str) -> Follower {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let quorum_port = listener.local_addr().unwrap().port();
        let (member, inbox, disk) = member(dir.path(), quorum_port, (role, lines)).await;
        member.begin(inbox, None);
        for (from, state) in [
            (LEADER, PeerState::Leading),
            (ServerId(3), PeerState::Following),
            (ServerId(4), PeerState::Following),
        ] {
            member.input(Input::Notification(from, said(state)));
        }
        let (leader, _) = listener.accept().await.unwrap();
        Follower {
            log: member.log.clone(),
            member,
            disk,
            leader,
            received: BytesMut::new(),
            _dir: dir,
        }
    }

    /// One that serves, with an empty log.
    async fn serving() -> Follower {
        let mut follower = Follower::connected("participant", "").await;
        let begin = Zxid::new(EPOCH, 0).0;
        assert_eq!(follower.hears().await.kind, PacketKind::FOLLOWERINFO);
        let number = PROTOCOL_VERSION;
        let info = QuorumPacket::with_number(PacketKind::LEADERINFO, begin, number);
        follower.say(&[info]).await;
        assert_eq!(follower.hears().await.kind, PacketKind::ACKEPOCH);
        let diff = QuorumPacket::new(PacketKind::DIFF, 0);
        let new_leader = QuorumPacket::new(PacketKind::NEWLEADER, begin);
        follower.say(&[diff, new_leader]).await;
        follower.acknowledges(0).await;
        let up_to_date = QuorumPacket::new(PacketKind::UPTODATE, -1);
        follower.say(&[up_to_date]).await;
        follower.acknowledges(0).await;
        follower
    }

    async fn say(&mut self, packets: &[QuorumPacket]) {
        let mut bytes = BytesMut::new();
        packets.iter().for_each(|packet| packet.encode(&mut bytes));
        self.leader.write_all(&bytes).await.unwrap();
    }

    /// What the leader hears next.
    async fn hears(&mut self) -> QuorumPacket {
        loop {
            let decoded = QuorumPacket::decode(&mut self.received, 1 << 20);
            if let Some(packet) = decoded.unwrap() {
                return packet;
            }
            let read = self.leader.read_buf(&mut self.received).await.unwrap();
            assert_ne!(read, 0, "the follower left");
        }
    }

    async fn acknowledges(&mut self, counter: u32) {
        let ack = self.hears().await;
        let zxid = Zxid::new(EPOCH, counter).0;
        assert_eq!((ack.kind, ack.zxid), (PacketKind::ACK, zxid));
    }
}

/// What is on disk, where nobody writes any more.
fn last(log: &LogHandle) -> Zxid {
    let runs = log.runs().unwrap().runs;
    runs.last().map_or(Zxid::ZERO, |(_, last)| Zxid(*last))
}

/// A disk that is slower than the leader writes would never be done: what comes has to end first.
#[tokio::test]
async fn a_member_that_is_told_to_stop_takes_nothing_more() {
    let mut follower = Follower::serving().await;
    follower.say(&[proposal(1)]).await;
    follower.acknowledges(1).await;
    let links: Vec<LinkId> = follower.member.links.lock().keys().copied().collect();
    assert_eq!(links.len(), 1);

    follower.member.leave();
    // What was read from the connection in the same moment. Nothing has been awaited: the link's end is not known yet.
    let late = links.iter().map(|link| Input::Packet(*link, proposal(2)));
    follower.member.inputs(late);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, follower.leader.read_to_end(&mut rest));
    ended.await.expect("the leader is left").unwrap();
    assert_eq!(rest, [], "an answer to what came too late");

    follower.member.pipeline.stop();
    follower.disk.join().unwrap().unwrap();
    assert_eq!(last(&follower.log), Zxid::new(EPOCH, 1));
}

#[tokio::test]
async fn a_follower_measures_what_its_leader_says() {
    let mut follower = Follower::serving().await;
    while follower.member.pipeline.role() != Role::Learning {
        tokio::task::yield_now().await;
    }
    let metrics = follower.member.pipeline.stats.metrics.clone();
    follower.say(&[proposal(1), proposal(2)]).await;
    let mut acked = Zxid::ZERO;
    while acked < Zxid::new(EPOCH, 2) {
        acked = Zxid(follower.hears().await.zxid);
    }
    let commit = |counter| QuorumPacket::new(PacketKind::COMMIT, Zxid::new(EPOCH, counter).0);
    follower.say(&[commit(1), commit(2)]).await;
    // An answer says that what came before is done.
    follower
        .say(&[QuorumPacket::new(PacketKind::PING, 0)])
        .await;
    assert_eq!(follower.hears().await.kind, PacketKind::PING);
    assert_eq!(metrics.learner_proposal_received_count.get(), 2);
    assert_eq!(metrics.learner_commit_received_count.get(), 2);
    assert_eq!(metrics.follower_sync_time.totals().count, 1);
    for measured in [
        &metrics.proposal_latency,
        &metrics.proposal_ack_creation_latency,
        &metrics.commit_propagation_latency,
    ] {
        assert_eq!(measured.totals().count, 2);
    }
    follower.member.leave();
    follower.member.pipeline.stop();
    follower.disk.join().unwrap().unwrap();
}

/// An observer need not wait for its disk; who votes has to, whatever the file says.
#[tokio::test]
async fn only_an_observer_may_be_told_not_to_wait_for_its_disk() {
    for (role, lines, waits) in [
        ("observer", "peerType=observer\nsyncEnabled=false\n", false),
        ("observer", "peerType=observer\n", true),
        ("participant", "syncEnabled=false\n", true),
    ] {
        let mut learner = Follower::connected(role, lines).await;
        // The first word to the leader comes when the disk is ready.
        learner.hears().await;
        assert_eq!(learner.log.is_eager(), waits, "{role} {lines}");
        let member = learner.member.clone();
        member.wait_for_the_disk(&mut member.core.lock(), true);
        member.disk_is_ready().await;
        assert!(learner.log.is_eager(), "as a voter");
        member.leave();
        member.pipeline.stop();
        learner.disk.join().unwrap().unwrap();
    }
}

/// What it took before is on disk when it ends.
#[tokio::test]
async fn a_member_that_is_told_to_stop_finishes_what_it_took() {
    let follower = Follower::serving().await;
    let links: Vec<LinkId> = follower.member.links.lock().keys().copied().collect();
    let taken = links.iter().map(|link| Input::Packet(*link, proposal(1)));
    follower.member.inputs(taken);
    follower.member.leave();
    follower.member.pipeline.stop();
    follower.disk.join().unwrap().unwrap();
    assert_eq!(last(&follower.log), Zxid::new(EPOCH, 1));
}
