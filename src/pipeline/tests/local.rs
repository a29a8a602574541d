//! Sessions that only one server of an ensemble knows.

use super::member::{LINK, Server, error_of, has_ended};
use super::*;
use crate::ids::Epoch;
use crate::proto::client::MultiHeader;
use crate::session::Session;

const LEADER: u8 = 2;
const LEARNER: u8 = 1;

fn server(id: u8, upgrades: bool) -> Server {
    Server::of(Settings {
        session_id_byte: id,
        local_sessions: true,
        local_session_upgrades: upgrades,
        ..settings()
    })
}

fn leader_and_learner(upgrades: bool) -> (Server, Server) {
    let (leader, learner) = (server(LEADER, upgrades), server(LEARNER, upgrades));
    leader.pipeline().lead(Epoch(1));
    learner.pipeline().learn(Epoch(1));
    (leader, learner)
}

/// A client with a session that only this server knows.
fn client_of(server: &Server) -> (Peer, Arc<Session>) {
    let peer = server.rig.peer();
    server.rig.send(&peer, &connect());
    assert_eq!(peer.client.phase(), Phase::Established);
    server.rig.answers_to_connect(&peer);
    let session = peer.client.session().unwrap();
    assert!(session.is_local());
    (peer, session)
}

/// What the learner asked for comes to the leader, and what the leader made of it comes back. The codes.
fn pass_through(learner: &mut Server, leader: &mut Server) -> Vec<i32> {
    learner.pass_on(LINK, leader);
    let txns = leader.commit();
    learner.follow(&txns);
    txns.iter().map(error_of).collect()
}

/// Session's operations that went to the leader.
fn sent_up(learner: &Server) -> Vec<(i32, OpCode)> {
    let requests = learner.upstream.requests.lock();
    requests
        .iter()
        .map(|(_, cxid, op, _)| (*cxid, *op))
        .collect()
}

/// A multi of one persistent and one ephemeral node.
fn multi(xid: i32, ephemeral: bool) -> Vec<u8> {
    let part = |path, flags| create(0, path, flags)[12..].to_vec();
    framed(|out| {
        let op = OpCode::MULTI;
        put(out, &RequestHeader { xid, op });
        for (path, flags) in [("/p", 0), ("/e", i32::from(ephemeral))] {
            put(out, &MultiHeader::request(OpCode::CREATE));
            out.extend(part(path, flags));
        }
        put(out, &MultiHeader::END);
    })
}

/// The codes of a multi's parts.
fn parts(peer: &Peer) -> Vec<i32> {
    peer.client.flush();
    let sent = std::mem::take(&mut *peer.wire.0.lock());
    let mut rest = &sent[20..];
    let mut codes = Vec::new();
    loop {
        let header: MultiHeader = jute::read(&mut rest).unwrap();
        if header.done {
            return codes;
        }
        codes.push(header.err.0);
        if header.op == OpCode::ERROR {
            assert_eq!(jute::read::<i32>(&mut rest).unwrap(), header.err.0);
        } else {
            jute::read::<Text<'_>>(&mut rest).unwrap();
        }
    }
}

const EPHEMERAL: i32 = 1;

#[test]
fn a_session_begins_without_a_transaction() {
    let (leader, learner) = leader_and_learner(true);
    for server in [&leader, &learner] {
        let (peer, session) = client_of(server);
        server.rig.send(&peer, &get(1, "/"));
        assert_eq!(server.rig.answers(&peer), [(1, OK)]);
        assert_eq!(server.pipeline().prepared().counter(), 0);
        assert_eq!(server.pipeline().local_session_count(), 1);
        assert_eq!(
            session.id.0.to_be_bytes()[0],
            server.pipeline().settings().session_id_byte
        );
        assert!(server.pipeline().take_touched().is_empty());
    }
    assert!(sent_up(&learner).is_empty());
}

#[test]
fn it_writes_what_is_no_ephemeral_without_anybody_knowing_it() {
    let (mut leader, mut learner) = leader_and_learner(true);
    let (peer, session) = client_of(&learner);
    learner.rig.send(&peer, &create(1, "/a", 0));
    assert_eq!(pass_through(&mut learner, &mut leader), [OK]);
    assert_eq!(learner.rig.answers(&peer), [(1, OK)]);
    let (own, _) = client_of(&leader);
    leader.rig.send(&own, &multi(1, false));
    leader.commit();
    assert_eq!(leader.rig.answers(&own).len(), 1);
    assert!(session.is_local());
    assert_eq!(leader.pipeline().tree().session_count(), 0);
}

#[test]
fn an_ephemeral_makes_it_known_to_all_first() {
    let (mut leader, mut learner) = leader_and_learner(true);
    let (peer, session) = client_of(&learner);
    learner.rig.send(&peer, &create(7, "/e", EPHEMERAL));
    assert_eq!(
        sent_up(&learner),
        [(0, OpCode::CREATE_SESSION), (7, OpCode::CREATE)]
    );
    assert!(!session.is_local());
    assert_eq!(pass_through(&mut learner, &mut leader), [OK, OK]);
    assert_eq!(learner.rig.answers(&peer), [(7, OK)]);
    for server in [&leader, &learner] {
        let tree = server.pipeline().tree();
        assert_eq!(tree.session_timeout(session.id), Some(4000));
        assert_eq!(tree.ephemerals_of(session.id).count(), 1);
    }
    // It is known once and for all; the leader hears that it lives.
    learner.rig.send(&peer, &create(8, "/f", EPHEMERAL));
    assert_eq!(sent_up(&learner), [(8, OpCode::CREATE)]);
    assert_eq!(learner.pipeline().take_touched(), [(session.id, 4000)]);
}

#[test]
fn the_same_on_a_leader() {
    let mut leader = leader_and_learner(true).0;
    let (peer, session) = client_of(&leader);
    leader.rig.send(&peer, &multi(1, true));
    let txns = leader.commit();
    assert_eq!(txns.len(), 2);
    assert_eq!(parts(&peer), [OK, OK]);
    assert!(!session.is_local());
    assert_eq!(leader.pipeline().tree().session_count(), 1);
    assert_eq!(leader.pipeline().outstanding(), 0);
}

#[test]
fn what_makes_it_known_is_nobodys_answer() {
    let (mut leader, mut learner) = leader_and_learner(true);
    let (peer, _) = client_of(&learner);
    // With the cxid of the transaction that makes it known.
    learner.rig.send(&peer, &create(0, "/e", EPHEMERAL));
    learner.pass_on(LINK, &leader);
    let txns = leader.commit();
    learner.follow(&txns[..1]);
    assert!(learner.rig.answers(&peer).is_empty());
    learner.follow(&txns[1..]);
    assert_eq!(learner.rig.answers(&peer), [(0, OK)]);
}

#[test]
fn without_upgrades_it_owns_no_ephemerals() {
    let (mut leader, mut learner) = leader_and_learner(false);
    let refused = ErrorCode::EPHEMERAL_ON_LOCAL_SESSION.0;
    let (peer, session) = client_of(&learner);
    learner.rig.send(&peer, &create(1, "/e", EPHEMERAL));
    // The leader has a reason of its own; the client hears that of its server.
    let expired = ErrorCode::SESSION_EXPIRED.0;
    assert_eq!(pass_through(&mut learner, &mut leader), [expired]);
    assert_eq!(learner.rig.answers(&peer), [(1, refused)]);
    // Not so in a multi: Java passes on what the leader says of each part.
    learner.rig.send(&peer, &multi(2, true));
    pass_through(&mut learner, &mut leader);
    assert_eq!(parts(&peer), [OK, expired]);
    assert!(session.is_local());

    let (own, _) = client_of(&leader);
    leader.rig.send(&own, &create(1, "/e", EPHEMERAL));
    assert_eq!(error_of(&leader.commit()[0]), refused);
    assert_eq!(leader.rig.answers(&own), [(1, refused)]);
    leader.rig.send(&own, &multi(2, true));
    leader.commit();
    assert_eq!(parts(&own), [OK, refused]);
    assert_eq!(leader.pipeline().tree().session_count(), 0);
}

#[test]
fn its_end_is_no_transaction_and_has_its_turn() {
    let (mut leader, mut learner) = leader_and_learner(true);
    let (peer, session) = client_of(&learner);
    // What comes behind the end is not looked at.
    let frames = [create(1, "/a", 0), close(2), create(3, "/e", EPHEMERAL)];
    learner.rig.send(&peer, &frames.concat());
    assert_eq!(sent_up(&learner), [(1, OpCode::CREATE)]);
    assert!(learner.rig.answers(&peer).is_empty());
    assert_eq!(pass_through(&mut learner, &mut leader), [OK]);
    assert_eq!(learner.rig.answers(&peer), [(1, OK), (2, OK)]);
    assert!(has_ended(&peer));
    assert!(learner.pipeline().sessions().get(session.id).is_none());
    assert!(session.has_ended_locally());
}

#[test]
fn a_client_that_does_not_wait_for_the_end_leaves_nothing_behind() {
    let (_leader, learner) = leader_and_learner(true);
    let (peer, session) = client_of(&learner);
    learner
        .rig
        .send(&peer, &[create(1, "/a", 0), close(2)].concat());
    learner.pipeline().disconnect(&peer.client);
    assert!(learner.pipeline().sessions().get(session.id).is_none());
}

#[test]
fn the_end_behind_an_upgrade_is_everybodys() {
    // ZOOKEEPER-3471: taken for the end of a local session, it left the ephemeral to the leader's patience.
    let (mut leader, mut learner) = leader_and_learner(true);
    let (peer, session) = client_of(&learner);
    let frames = [create(1, "/e", EPHEMERAL), close(2)];
    learner.rig.send(&peer, &frames.concat());
    assert_eq!(pass_through(&mut learner, &mut leader), [OK, OK, OK]);
    assert_eq!(learner.rig.answers(&peer), [(1, OK), (2, OK)]);
    for server in [&leader, &learner] {
        assert!(server.pipeline().tree().get("/e").is_none());
        assert_eq!(server.pipeline().tree().session_count(), 0);
        assert!(server.pipeline().sessions().get(session.id).is_none());
    }
}

#[test]
fn it_expires_where_it_is_and_nobody_hears_of_it() {
    let (mut leader, mut learner) = leader_and_learner(true);
    let (silent, _) = client_of(&learner);
    let (upgraded, session) = client_of(&learner);
    learner.rig.send(&upgraded, &create(1, "/e", EPHEMERAL));
    pass_through(&mut learner, &mut leader);
    learner.pipeline().look_at_sessions(i64::MAX / 2);
    assert!(has_ended(&silent));
    assert!(sent_up(&learner).is_empty());
    assert_eq!(learner.pipeline().local_session_count(), 0);
    // The leader's to decide.
    assert!(!has_ended(&upgraded) && !session.is_closing());
}

#[test]
fn it_goes_on_where_it_was_and_nowhere_else() {
    let (mut leader, learner) = leader_and_learner(true);
    let (old, session) = client_of(&learner);
    let again = learner.rig.peer();
    learner.rig.send(&again, &greeting(session.id, 5000, false));
    assert_eq!(again.client.phase(), Phase::Established);
    assert_eq!(old.client.next(Waker::noop(), false), Next::Close);
    assert_eq!(session.timeout_ms(), 5000);
    assert!(session.is_local());
    assert!(learner.upstream.revalidations.lock().is_empty());

    let knows = |leader: &Server, id| leader.pipeline().revalidate_remote(LINK, id, 4000);
    assert!(!knows(&leader, session.id));
    let (_own, of_leader) = client_of(&leader);
    assert!(!knows(&leader, of_leader.id), "it is not the learner's");

    // Known to the leader from the moment when the leader is asked to tell all.
    learner.rig.send(&again, &create(1, "/e", EPHEMERAL));
    learner.pass_on(LINK, &leader);
    assert!(knows(&leader, session.id));
    let third = learner.rig.peer();
    learner.rig.send(&third, &greeting(session.id, 5000, false));
    assert_eq!(*learner.upstream.revalidations.lock(), [(session.id, 5000)]);
    leader.commit();
}

#[test]
fn a_leader_believes_in_sessions_of_other_servers_only() {
    let mut leader = leader_and_learner(true).0;
    let of = |server: u8| SessionId((i64::from(server) << 56) | 0x77);
    let frame = create(1, "/a", 0);
    for id in [of(LEARNER), of(LEADER)] {
        let request = super::member::forwarded(id, 1, OpCode::CREATE, &frame[12..]);
        leader.pipeline().remote_requests(LINK, &[request]).unwrap();
    }
    let codes: Vec<i32> = leader.commit().iter().map(error_of).collect();
    assert_eq!(codes, [OK, ErrorCode::SESSION_EXPIRED.0]);
}

#[test]
fn a_server_alone_has_none() {
    let rig = Rig::of(Settings {
        local_sessions: true,
        ..settings()
    });
    let peer = rig.connected();
    assert!(!peer.client.session().unwrap().is_local());
    assert_eq!(rig.pipeline.tree().session_count(), 1);
}
