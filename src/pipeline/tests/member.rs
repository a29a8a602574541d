//! The pipeline of a member, with a driver and a leader that only remember what they were told.

use std::time::Duration;

use super::*;
use crate::ids::{Epoch, LinkId, Zxid};
use crate::pipeline::member::{LogJob, Quorum};
use crate::pipeline::recovery::Restoring;
use crate::pipeline::role::Role;
use crate::pipeline::{Forward, Wake};
use crate::proto::client::SyncRequest;
use crate::proto::quorum::{ForwardedRequest, PacketKind, QuorumPacket};
use crate::storage::{self, Log, StorageConfig};
use crate::zab::Txn;

#[derive(Default)]
pub(super) struct Told {
    pub(super) proposed: Mutex<Vec<Txn>>,
    durable: Mutex<Vec<i64>>,
    before: Mutex<Vec<LogJob>>,
}

impl Quorum for Told {
    fn propose(&self, txns: Vec<Txn>) -> Option<Vec<LogJob>> {
        self.proposed.lock().extend(txns);
        Some(std::mem::take(&mut self.before.lock()))
    }

    fn durable(&self, zxid: Zxid) {
        self.durable.lock().push(zxid.0);
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn purged(&self, _zxid: Zxid) {}
}

/// Session, cxid, operation, record.
pub(super) type Request = (SessionId, i32, OpCode, Vec<u8>);

#[derive(Default)]
pub(super) struct Upstream {
    pub(super) requests: Mutex<Vec<Request>>,
    pub(super) revalidations: Mutex<Vec<(SessionId, i32)>>,
    /// Requests that are queued and not sent.
    unsent: Mutex<usize>,
}

impl Forward for Upstream {
    fn request(
        &self,
        session: SessionId,
        cxid: i32,
        op: OpCode,
        body: &[u8],
        _ids: &[crate::auth::Id],
    ) {
        let request = (session, cxid, op, body.to_vec());
        self.requests.lock().push(request);
        *self.unsent.lock() += 1;
    }

    fn revalidate(&self, session: SessionId, timeout_ms: i32) {
        self.revalidations.lock().push((session, timeout_ms));
    }

    fn flush(&self) {
        *self.unsent.lock() = 0;
    }
}

pub(super) struct Server {
    pub(super) rig: Rig,
    pub(super) told: Arc<Told>,
    pub(super) upstream: Arc<Upstream>,
    log: Option<Log>,
    _state: storage::State,
    _dir: tempfile::TempDir,
}

impl Server {
    fn new() -> Server {
        Server::of(settings())
    }

    pub(super) fn of(settings: Settings) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let config = StorageConfig {
            warm_log: false,
            log_file_bytes: 1 << 20,
            ..StorageConfig::new(dir.path())
        };
        let store = storage::open(&config, &mut Restoring::new(true, false)).unwrap();
        let (log, state) = store.split();
        let rig = Rig::of(settings);
        let told = Arc::<Told>::default();
        let upstream = Arc::<Upstream>::default();
        rig.pipeline
            .join(told.clone(), upstream.clone(), log.handle());
        Server {
            rig,
            told,
            upstream,
            log: Some(log),
            _state: state,
            _dir: dir,
        }
    }

    fn leader() -> Server {
        let server = Server::new();
        server.rig.pipeline.lead(Epoch(1));
        server
    }

    fn learner() -> Server {
        let server = Server::new();
        server.rig.pipeline.learn(Epoch(1));
        server
    }

    pub(super) fn pipeline(&self) -> &Pipeline {
        &self.rig.pipeline
    }

    /// A turn of the log's thread.
    pub(super) fn write(&mut self) {
        self.rig.pipeline.write_all(&mut self.log);
    }

    /// The leader's prep, proposed, logged and committed. Gives the proposals.
    pub(super) fn commit(&mut self) -> Vec<Txn> {
        self.write();
        let txns = std::mem::take(&mut *self.told.proposed.lock());
        if let Some(last) = txns.last() {
            self.deliver(last);
        }
        txns
    }

    /// What a leader committed, here.
    pub(super) fn follow(&mut self, txns: &[Txn]) {
        self.pipeline().append(txns);
        self.write();
        self.deliver(txns.last().unwrap());
    }

    pub(super) fn deliver(&self, up_to: &Txn) {
        self.pipeline().deliver(up_to.zxid).unwrap();
    }

    /// Everything that the learner sent, as it comes to the leader.
    pub(super) fn pass_on(&self, link: LinkId, leader: &Server) {
        let requests = std::mem::take(&mut *self.upstream.requests.lock());
        assert_eq!(*self.upstream.unsent.lock(), 0);
        let packets = requests
            .into_iter()
            .map(|(session, cxid, op, body)| forwarded(session, cxid, op, &body));
        let packets: Vec<QuorumPacket> = packets.collect();
        leader.pipeline().remote_requests(link, &packets).unwrap();
    }
}

pub(super) fn forwarded(session: SessionId, cxid: i32, op: OpCode, body: &[u8]) -> QuorumPacket {
    let request = ForwardedRequest {
        session_id: session.0,
        cxid,
        op,
        record: body.to_vec().into(),
    };
    QuorumPacket::with_data(PacketKind::REQUEST, -1, request.encode())
}

pub(super) const LINK: LinkId = LinkId(7);

/// A client of the learner, whose session exists on both.
fn client_of(learner: &mut Server, leader: &mut Server) -> Peer {
    let peer = learner.rig.peer();
    learner.rig.send(&peer, &connect());
    assert_eq!(peer.client.phase(), Phase::Connecting);
    learner.pass_on(LINK, leader);
    learner.follow(&leader.commit());
    assert_eq!(peer.client.phase(), Phase::Established);
    peer.client.flush();
    peer.wire.0.lock().clear();
    peer
}

pub(super) fn sync(xid: i32) -> Vec<u8> {
    let record = SyncRequest {
        path: Text::from("/"),
    };
    request(xid, OpCode::SYNC, &record)
}

fn create_as(leader: &Server, link: LinkId, session: SessionId, cxid: i32, path: &'static str) {
    let frame = create(cxid, path, 0);
    let request = forwarded(session, cxid, OpCode::CREATE, &frame[12..]);
    leader.pipeline().remote_requests(link, &[request]).unwrap();
}

pub(super) fn has_ended(peer: &Peer) -> bool {
    peer.client.flush();
    let next = peer.client.next(Waker::noop(), false);
    matches!(next, Next::Close | Next::AwaitEnd)
}

/// The error of a transaction, or 0.
pub(super) fn error_of(txn: &Txn) -> i32 {
    let op = i32::from_be_bytes(*txn.bytes[28..].first_chunk().unwrap());
    if op == OpCode::ERROR.0 {
        i32::from_be_bytes(*txn.bytes[32..].first_chunk().unwrap())
    } else {
        0
    }
}

#[test]
fn without_a_leader_nobody_is_served() {
    let server = Server::new();
    let peer = server.rig.peer();
    server.rig.send(&peer, &connect());
    assert!(has_ended(&peer));
    assert!(server.told.proposed.lock().is_empty());
}

#[test]
fn a_leader_answers_when_it_is_committed_and_not_before() {
    let mut leader = Server::leader();
    let peer = leader.rig.peer();
    leader.rig.send(&peer, &connect());
    let first = leader.commit();
    assert_eq!(first[0].zxid, Zxid::new(Epoch(1), 1));
    leader.rig.answers_to_connect(&peer);
    leader.rig.send(&peer, &create(1, "/a", 0));
    leader.rig.send(&peer, &get(2, "/a"));
    leader.write();
    let txns = std::mem::take(&mut *leader.told.proposed.lock());
    assert_eq!(*leader.told.durable.lock().last().unwrap(), txns[0].zxid.0);
    assert!(leader.rig.answers(&peer).is_empty());
    assert_eq!(leader.pipeline().outstanding(), 1);
    leader.deliver(&txns[0]);
    assert_eq!(leader.rig.answers(&peer), [(1, OK), (2, OK)]);
    assert_eq!(leader.pipeline().outstanding(), 0);
}

#[test]
fn a_learners_write_is_answered_by_its_transaction() {
    let (mut leader, mut learner) = (Server::leader(), Server::learner());
    let peer = client_of(&mut learner, &mut leader);
    let (a, b) = (create(1, "/a", 0), create(2, "/a", 0));
    learner
        .rig
        .send(&peer, &[a, b, get(3, "/a"), get(4, "/b")].concat());
    learner.pass_on(LINK, &leader);
    let txns = leader.commit();
    assert_eq!(txns.len(), 2, "an error is a transaction, too");
    learner.follow(&txns[..1]);
    assert_eq!(learner.rig.answers(&peer), [(1, OK)]);
    learner.follow(&txns[1..]);
    let exists = ErrorCode::NODE_EXISTS.0;
    assert_eq!(
        learner.rig.answers(&peer),
        [(2, exists), (3, OK), (4, NO_NODE)]
    );
}

#[test]
fn others_transactions_answer_nothing() {
    let (mut leader, mut learner) = (Server::leader(), Server::learner());
    let peer = client_of(&mut learner, &mut leader);
    learner.rig.send(&peer, &create(1, "/a", 0));
    let other = leader.rig.peer();
    leader.rig.send(&other, &connect());
    learner.follow(&leader.commit());
    leader.rig.answers_to_connect(&other);
    // The same cxid, of another session.
    leader.rig.send(&other, &create(1, "/b", 0));
    learner.follow(&leader.commit());
    assert!(learner.rig.answers(&peer).is_empty());
    learner.pass_on(LINK, &leader);
    learner.follow(&leader.commit());
    assert_eq!(learner.rig.answers(&peer), [(1, OK)]);
}

#[test]
fn syncs_are_answered_in_their_order_and_behind_earlier_writes() {
    let (mut leader, mut learner) = (Server::leader(), Server::learner());
    let peer = client_of(&mut learner, &mut leader);
    learner.rig.send(
        &peer,
        &[create(1, "/a", 0), sync(2), get(3, "/a"), sync(4)].concat(),
    );
    let ops: Vec<OpCode> = learner
        .upstream
        .requests
        .lock()
        .iter()
        .map(|r| r.2)
        .collect();
    assert_eq!(ops, [OpCode::CREATE, OpCode::SYNC, OpCode::SYNC]);
    learner
        .upstream
        .requests
        .lock()
        .retain(|r| r.2 != OpCode::SYNC);
    learner.pipeline().synced();
    assert!(learner.rig.answers(&peer).is_empty());
    learner.pass_on(LINK, &leader);
    learner.follow(&leader.commit());
    assert_eq!(learner.rig.answers(&peer), [(1, OK), (2, OK), (3, OK)]);
    learner.pipeline().synced();
    assert_eq!(learner.rig.answers(&peer), [(4, OK)]);
}

#[test]
fn a_leaders_own_sync_waits_for_what_others_may_have_seen() {
    let mut leader = Server::leader();
    let (writer, reader) = (leader.rig.peer(), leader.rig.peer());
    for peer in [&writer, &reader] {
        leader.rig.send(peer, &connect());
        leader.commit();
        leader.rig.answers_to_connect(peer);
    }
    leader.rig.send(&reader, &sync(1));
    assert_eq!(
        leader.rig.answers(&reader),
        [(1, OK)],
        "nothing is under way"
    );
    leader.rig.send(&writer, &create(1, "/a", 0));
    // A quorum of the others may commit it before this server's own disk is done.
    leader
        .rig
        .send(&reader, &[sync(2), get(3, "/a"), sync(4)].concat());
    assert!(leader.rig.answers(&reader).is_empty());
    leader.commit();
    let answers = leader.rig.answers(&reader);
    assert_eq!(answers, [(2, OK), (3, OK), (4, OK)]);
}

/// All in one write, and applied at once: each read sees what was written before it, and nothing that comes later.
#[test]
fn a_leaders_own_sync_may_have_writes_behind_it() {
    let mut leader = Server::leader();
    let (writer, peer) = (leader.rig.peer(), leader.rig.peer());
    for peer in [&writer, &peer] {
        leader.rig.send(peer, &connect());
        leader.commit();
        leader.rig.answers_to_connect(peer);
    }
    let requests = [
        create(1, "/a", 0),
        sync(2),
        get(3, "/b"),
        create(4, "/b", 0),
        sync(5),
        get(6, "/b"),
        create(7, "/c", 0),
    ];
    leader.rig.send(&peer, &requests.concat());
    leader.rig.send(&writer, &create(1, "/d", 0));
    leader.commit();
    let no_node = ErrorCode::NO_NODE.0;
    assert_eq!(
        leader.rig.answers(&peer),
        [
            (1, OK),
            (2, OK),
            (3, no_node),
            (4, OK),
            (5, OK),
            (6, OK),
            (7, OK)
        ]
    );
    assert_eq!(leader.rig.answers(&writer), [(1, OK)]);
}

#[test]
fn a_session_that_moved_is_refused_at_its_old_place() {
    let (mut leader, mut learner) = (Server::leader(), Server::learner());
    let peer = client_of(&mut learner, &mut leader);
    let session = peer.client.session().unwrap().id;
    let elsewhere = LinkId(8);
    assert!(
        leader
            .pipeline()
            .revalidate_remote(elsewhere, session, 4000)
    );
    create_as(&leader, elsewhere, session, 5, "/new");
    learner.rig.send(&peer, &create(1, "/old", 0));
    learner.pass_on(LINK, &leader);
    let txns = leader.commit();
    let codes: Vec<i32> = txns.iter().map(error_of).collect();
    assert_eq!(codes, [OK, ErrorCode::SESSION_MOVED.0]);
    learner.follow(&txns);
    assert!(peer.wire.0.lock().is_empty(), "no answer, only the end");
    assert!(has_ended(&peer));
}

/// As Java's leader refuses reads: whoever reads there could miss what the session did elsewhere.
#[test]
fn a_session_that_moved_reads_nothing_at_its_old_place() {
    let mut leader = Server::leader();
    let peer = leader.rig.peer();
    leader.rig.send(&peer, &connect());
    leader.commit();
    leader.rig.answers_to_connect(&peer);
    leader.rig.send(&peer, &get(1, "/a"));
    assert_eq!(leader.rig.answers(&peer), [(1, NO_NODE)]);
    let session = peer.client.session().unwrap().id;
    assert!(leader.pipeline().revalidate_remote(LINK, session, 4000));
    leader.rig.send(&peer, &get(2, "/a"));
    assert!(leader.rig.answers(&peer).is_empty());
    assert!(has_ended(&peer));
}

#[test]
fn what_waits_for_the_leader_counts_until_it_is_answered_or_given_up() {
    let (mut leader, mut learner) = (Server::leader(), Server::learner());
    let peer = client_of(&mut learner, &mut leader);
    let writes = [create(1, "/a", 0), create(2, "/b", 0)];
    learner.rig.send(&peer, &writes.concat());
    assert_eq!(learner.pipeline().outstanding(), 2);
    learner.pass_on(LINK, &leader);
    let txns = leader.commit();
    learner.follow(&txns[..1]);
    assert_eq!(learner.pipeline().outstanding(), 1);
    learner.pipeline().disconnect(&peer.client);
    assert_eq!(learner.pipeline().outstanding(), 0);
    learner.follow(&txns[1..]);
    assert_eq!(learner.pipeline().outstanding(), 0);
}

#[test]
fn zookeeper_1277_an_epoch_ends_before_its_counters_do() {
    let mut leader = Server::leader();
    let peer = leader.rig.peer();
    leader.rig.send(&peer, &connect());
    leader.commit();
    let last = Zxid::new(Epoch(1), u32::MAX);
    leader.pipeline().prep.lock().last = Zxid(last.0 - 2);
    let writes = [create(1, "/a", 0), create(2, "/b", 0), create(3, "/c", 0)];
    leader.rig.send(&peer, &writes.concat());
    leader.write();
    let proposed = std::mem::take(&mut *leader.told.proposed.lock());
    let zxids: Vec<Zxid> = proposed.iter().map(|txn| txn.zxid).collect();
    assert_eq!(zxids, [Zxid(last.0 - 1), last]);
    assert!(proposed[1].bytes.is_empty(), "a sign, and no transaction");
    let durable = leader.told.durable.lock().last().copied();
    assert_eq!(durable, Some(last.0 - 1), "the sign is not logged");
    leader.deliver(&proposed[0]);
    leader.rig.send(&peer, &create(4, "/d", 0));
    leader.pipeline().rest();
    leader.write();
    assert!(leader.told.proposed.lock().is_empty());
    leader.pipeline().lead(Epoch(2));
    let next = leader.rig.peer();
    leader.rig.send(&next, &connect());
    assert_eq!(leader.commit()[0].zxid, Zxid::new(Epoch(2), 1));
}

#[test]
fn whatever_is_wrong_with_a_remote_request_it_gets_one_transaction() {
    let mut leader = Server::leader();
    let unknown = SessionId(0x77);
    create_as(&leader, LINK, unknown, 1, "/a");
    let ask = |op, body: &[u8]| {
        let request = forwarded(unknown, 0, op, body);
        leader.pipeline().remote_requests(LINK, &[request]).unwrap();
    };
    ask(OpCode::CREATE_SESSION, &4000i32.to_be_bytes());
    ask(OpCode::CREATE, &[1, 2, 3]);
    ask(OpCode::GET_DATA, &[]);
    ask(OpCode(4711), &[]);
    ask(OpCode::CLOSE_SESSION, &[]);
    create_as(&leader, LINK, unknown, 1, "/a");
    let codes: Vec<i32> = leader.commit().iter().map(error_of).collect();
    let (expired, unimplemented) = (ErrorCode::SESSION_EXPIRED.0, ErrorCode::UNIMPLEMENTED.0);
    assert_eq!(
        codes,
        [
            expired,
            OK,
            ErrorCode::MARSHALLING_ERROR.0,
            unimplemented,
            unimplemented,
            OK,
            expired
        ]
    );
}

#[test]
fn a_client_that_comes_back_waits_for_the_leaders_word() {
    let (mut leader, mut learner) = (Server::leader(), Server::learner());
    let old = client_of(&mut learner, &mut leader);
    let id = old.client.session().unwrap().id;
    let resume = greeting(id, 5000, false);
    let (valid, refused) = (learner.rig.peer(), learner.rig.peer());
    learner.rig.send(&valid, &resume);
    learner.rig.send(&refused, &resume);
    assert_eq!(*learner.upstream.revalidations.lock(), [(id, 5000); 2]);
    learner.pipeline().revalidated(id, true);
    learner.pipeline().revalidated(id, false);
    assert_eq!(valid.client.phase(), Phase::Established);
    assert_eq!(
        valid.client.session().unwrap().conn(),
        Some(valid.client.id)
    );
    assert!(refused.client.session().is_none());
    assert_eq!(
        old.client.next(Waker::noop(), false),
        Next::Close,
        "replaced"
    );
    // An answer that nobody waits for is nothing.
    learner.pipeline().revalidated(id, true);
}

#[test]
fn touched_sessions_are_told_once() {
    let (mut leader, mut learner) = (Server::leader(), Server::learner());
    let peer = client_of(&mut learner, &mut leader);
    let id = peer.client.session().unwrap().id;
    learner
        .rig
        .send(&peer, &[get(1, "/"), get(2, "/")].concat());
    learner.rig.send(&peer, &get(3, "/"));
    assert_eq!(learner.pipeline().take_touched(), [(id, 4000)]);
    assert!(learner.pipeline().take_touched().is_empty());
    learner.rig.send(&peer, &get(4, "/"));
    assert_eq!(learner.pipeline().take_touched(), [(id, 4000)]);
}

#[test]
fn the_end_of_a_role_forgets_what_was_asked_and_keeps_what_is_logged() {
    let mut leader = Server::leader();
    let peer = leader.rig.peer();
    leader.rig.send(&peer, &connect());
    leader.commit();
    leader.rig.answers_to_connect(&peer);
    leader.rig.send(&peer, &create(1, "/logged", 0));
    leader.write();
    let logged = std::mem::take(&mut *leader.told.proposed.lock());
    leader.rig.send(&peer, &create(2, "/lost", 0));
    leader.pipeline().rest();
    leader.write();
    assert!(leader.told.proposed.lock().is_empty());
    assert_eq!(leader.pipeline().outstanding(), 0);
    assert_eq!(leader.pipeline().role(), Role::Idle);
    // Under the next leader it turns out to be committed.
    leader.pipeline().learn(Epoch(2));
    leader.deliver(&logged[0]);
    assert!(leader.pipeline().tree().get("/logged").is_some());
    assert!(leader.pipeline().tree().get("/lost").is_none());
    assert_eq!(leader.pipeline().outstanding(), 0);
}

#[test]
fn what_came_before_the_role_is_read_from_the_log_and_the_rest_is_at_hand() {
    let (mut leader, mut learner) = (Server::leader(), Server::new());
    let peer = leader.rig.peer();
    leader.rig.send(&peer, &connect());
    leader.rig.answers_to_connect(&peer);
    let mut txns = leader.commit();
    for (xid, path) in ["/a", "/b", "/c", "/d"].into_iter().enumerate() {
        leader.rig.send(&peer, &create(xid as i32, path, 0));
        txns.extend(leader.commit());
    }
    learner.pipeline().append(&txns[..2]);
    learner.write();
    learner.pipeline().learn(Epoch(1));
    learner.pipeline().append(&txns[2..]);
    learner.write();
    learner.deliver(&txns[0]);
    assert!(learner.pipeline().tree().get("/a").is_none());
    learner.deliver(&txns[3]);
    assert!(learner.pipeline().tree().get("/c").is_some());
    assert!(learner.pipeline().tree().get("/d").is_none());
    learner.deliver(&txns[4]);
    assert!(learner.pipeline().tree().get("/d").is_some());
    assert_eq!(learner.pipeline().outstanding(), 0);
}

#[test]
fn who_brings_few_proposals_writes_them_while_the_disk_is_quick() {
    let (mut leader, mut learner) = (Server::leader(), Server::learner());
    let peer = leader.rig.peer();
    leader.rig.send(&peer, &connect());
    leader.rig.answers_to_connect(&peer);
    let mut txns = leader.commit();
    for xid in 0..6 {
        leader.rig.send(&peer, &create(xid, "/n-", 2));
        txns.extend(leader.commit());
    }
    assert_eq!(learner.pipeline().append(&txns[..1]), Wake::WriteHere);
    // There is something to write already, by whoever said that he would.
    assert_eq!(learner.pipeline().append(&txns[1..2]), Wake::Disk);
    learner.write();
    assert_eq!(learner.pipeline().append(&txns[2..5]), Wake::Disk, "many");
    learner.write();
    learner.pipeline().disk_takes(Duration::from_millis(5));
    assert_eq!(learner.pipeline().append(&txns[5..6]), Wake::Disk, "slow");
    learner.write();
    learner.deliver(&txns[5]);
    assert_eq!(learner.pipeline().tree().applied_zxid(), txns[5].zxid);
}

#[test]
fn a_member_knows_how_long_its_disk_takes() {
    let (mut leader, mut learner) = (Server::leader(), Server::learner());
    let peer = leader.rig.peer();
    leader.rig.send(&peer, &connect());
    learner.pipeline().disk_takes(Duration::from_secs(3600));
    let before = learner.pipeline().disk_usually_takes();
    learner.follow(&leader.commit());
    assert!(learner.pipeline().disk_usually_takes() < before);
}

#[test]
fn only_a_leader_ends_sessions() {
    let (mut leader, mut learner) = (Server::leader(), Server::learner());
    let peer = client_of(&mut learner, &mut leader);
    let session = peer.client.session().unwrap();
    learner.pipeline().expire_sessions();
    assert!(!session.is_closing());
    learner.rig.pipeline.remove_outdated("/x");
    assert!(learner.upstream.requests.lock().is_empty());
    assert!(learner.told.proposed.lock().is_empty());
}

#[test]
fn a_learner_forgets_sessions_that_ended() {
    let (mut leader, mut learner) = (Server::leader(), Server::learner());
    let peer = client_of(&mut learner, &mut leader);
    let session = Arc::downgrade(&peer.client.session().unwrap());
    learner.rig.send(&peer, &close(1));
    learner.pass_on(LINK, &leader);
    learner.follow(&leader.commit());
    assert_eq!(learner.rig.answers(&peer), [(1, OK)]);
    learner.pipeline().disconnect(&peer.client);
    drop(peer);
    learner.pipeline().take_touched();
    learner.pipeline().look_at_sessions(i64::MAX / 2);
    assert!(session.upgrade().is_none());
}

#[test]
fn what_a_peer_wants_written_first_is_written_before_the_group() {
    let mut server = Server::leader();
    let order = Arc::new(Mutex::new(Vec::new()));
    let noted = order.clone();
    let job: LogJob = Box::new(move |log| {
        noted.lock().push(log.last_zxid());
        Ok(())
    });
    let before = server.log.as_ref().unwrap().last_zxid();
    server.told.before.lock().push(job);
    let peer = server.rig.peer();
    server.rig.send(&peer, &connect());
    server.commit();
    assert_eq!(*order.lock(), [before]);
    assert!(server.log.as_ref().unwrap().last_zxid() > before);
}

#[test]
fn jobs_are_taken_out_from_among_groups() {
    let mut server = Server::leader();
    let peer = server.rig.peer();
    server.pipeline().log_job(Box::new(|_| Ok(())));
    server.rig.send(&peer, &connect());
    server.pipeline().log_job(Box::new(|_| Ok(())));
    assert_eq!(server.pipeline().take_log_jobs().len(), 2);
    assert_eq!(server.pipeline().take_log_jobs().len(), 0);
    assert_eq!(server.commit().len(), 1, "the group is left");
}

#[test]
fn a_leader_that_leaves_clients_to_the_others_takes_none() {
    let server = Server::of(Settings {
        leader_serves: false,
        ..settings()
    });
    let turned_away = || {
        let peer = server.rig.peer();
        server.rig.send(&peer, &connect());
        has_ended(&peer)
    };
    server.pipeline().lead(Epoch(1));
    assert!(!server.pipeline().serves_clients());
    assert!(turned_away());
    server.pipeline().rest();
    server.pipeline().learn(Epoch(2));
    assert!(server.pipeline().serves_clients());
    assert!(!turned_away());
}

#[test]
fn a_learner_refuses_by_its_own_lists_what_the_leader_need_not_hear_of() {
    let mut server = Server::of(Settings {
        eager_acl_check: true,
        ..settings()
    });
    let pipeline = server.rig.pipeline.clone();
    pipeline.lead(Epoch(1));
    let peer = server.rig.peer();
    server.rig.send(&peer, &connect());
    server.commit();
    server.rig.answers_to_connect(&peer);
    server.rig.send(&peer, &create(1, "/a", 0));
    server.rig.send(&peer, &closed_to_all(2, "/a"));
    let zxid = server.commit().last().unwrap().zxid;
    assert_eq!(server.rig.answers(&peer), [(1, OK), (2, OK)]);
    // A leader makes no transaction of it either.
    server.rig.send(&peer, &create(3, "/a/b", 0));
    server.write();
    assert_eq!(pipeline.tree().last_zxid(), zxid);
    assert_eq!(server.rig.answers(&peer), [(3, ErrorCode::NO_AUTH.0)]);

    let session = peer.client.session().unwrap().id;
    pipeline.rest();
    pipeline.learn(Epoch(2));
    let peer = server.rig.peer();
    server.rig.send(&peer, &greeting(session, 4000, false));
    pipeline.revalidated(session, true);
    server.rig.answers_to_connect(&peer);
    server.rig.send(&peer, &create(4, "/a/b", 0));
    assert_eq!(server.rig.answers(&peer), [(4, ErrorCode::NO_AUTH.0)]);
    assert!(server.upstream.requests.lock().is_empty());
    // What it cannot judge goes to the leader.
    server.rig.send(&peer, &create(5, "/nowhere/b", 0));
    assert_eq!(server.upstream.requests.lock().len(), 1);
}

/// How often something was measured.
fn counts(server: &Server) -> [u64; 4] {
    let metrics = &server.pipeline().stats.metrics;
    [
        &metrics.proposal_ack_creation_latency,
        &metrics.quorum_ack_latency,
        &metrics.propagation_latency,
        &metrics.write_commit_proc_issued,
    ]
    .map(|summary| summary.totals().count)
}

#[test]
fn a_leader_and_a_learner_measure_how_long_a_transaction_takes() {
    let (mut leader, mut learner) = (Server::leader(), Server::learner());
    let peer = leader.rig.peer();
    leader.rig.send(&peer, &connect());
    let mut txns = leader.commit();
    leader
        .rig
        .send(&peer, &[create(1, "/a", 0), create(2, "/b", 0)].concat());
    txns.extend(leader.commit());
    assert_eq!(counts(&leader), [3, 3, 3, 2]);
    learner.follow(&txns);
    assert_eq!(counts(&learner), [3, 0, 3, 1]);
    let committed = |server: &Server| server.pipeline().stats.metrics.request_commit_queued.get();
    assert_eq!((committed(&leader), committed(&learner)), (3, 3));
}

#[test]
fn what_is_caught_up_with_is_not_measured() {
    let mut leader = Server::leader();
    let peer = leader.rig.peer();
    leader.rig.send(&peer, &connect());
    let txns = leader.commit();
    let mut learner = Server::new();
    // Sent by the leader before it says that this server is up to date.
    learner.follow(&txns);
    assert_eq!(counts(&learner)[..3], [0, 0, 0]);
}
