//! A member without a leader, for clients that only read.

use super::member::{Server, has_ended, sync};
use super::*;
use crate::ids::Epoch;
use crate::pipeline::role::Role;
use crate::proto::client::ConnectResponse;

/// It has the node `/e` of a session that all know, whose id it gives.
fn secluded(local_sessions: bool) -> (Server, SessionId) {
    let mut server = Server::of(Settings {
        local_sessions,
        local_session_upgrades: true,
        ..settings()
    });
    server.pipeline().lead(Epoch(1));
    let peer = server.rig.peer();
    server.rig.send(&peer, &connect());
    server.commit();
    server.rig.send(&peer, &create(1, "/e", 1));
    server.commit();
    let id = peer.client.session().unwrap().id;
    server.pipeline().rest();
    assert!(has_ended(&peer));
    server.pipeline().disconnect(&peer.client);
    server.pipeline().serve_read_only();
    (server, id)
}

fn greeted(server: &Server, session: SessionId, read_only: bool) -> Peer {
    let peer = server.rig.peer();
    server.rig.send(&peer, &greeting(session, 4000, read_only));
    peer
}

/// Session and read-only flag of the answer to a handshake.
fn answer(peer: &Peer) -> Option<(i64, bool)> {
    peer.client.flush();
    let sent = std::mem::take(&mut *peer.wire.0.lock());
    if sent.is_empty() {
        return None;
    }
    let response: ConnectResponse<'_> = jute::from_slice(&sent[4..]).unwrap();
    Some((response.session_id, response.read_only.0.unwrap()))
}

const NOT_READ_ONLY: i32 = ErrorCode::NOT_READ_ONLY.0;

#[test]
fn it_serves_those_who_said_that_they_only_read() {
    let (server, _) = secluded(true);
    let demanding = greeted(&server, SessionId::NONE, false);
    assert!(has_ended(&demanding));
    assert_eq!(answer(&demanding), None);

    let modest = greeted(&server, SessionId::NONE, true);
    let (session, is_read_only) = answer(&modest).unwrap();
    assert!(is_read_only);
    let requests = [
        get(1, "/e"),
        create(2, "/b", 0),
        create(3, "/b", 1),
        delete(4, "/e"),
    ];
    server.rig.send(
        &modest,
        &[&requests[..], &[sync(5), get(6, "/e")]].concat().concat(),
    );
    let refused = |xid| (xid, NOT_READ_ONLY);
    assert_eq!(
        server.rig.answers(&modest),
        [
            (1, OK),
            refused(2),
            refused(3),
            refused(4),
            refused(5),
            (6, OK)
        ]
    );
    // Its session is as good as any while the server is alone.
    let again = greeted(&server, SessionId(session), true);
    assert_eq!(answer(&again), Some((session, true)));
    assert!(has_ended(&modest));
    server.rig.send(&again, &close(7));
    assert_eq!(server.rig.answers(&again), [(7, OK)]);
    assert!(has_ended(&again));
    let over = greeted(&server, SessionId(session), true);
    assert_eq!(answer(&over), Some((0, true)));
}

#[test]
fn it_writes_nothing() {
    let (mut server, _) = secluded(true);
    let zxid = server.pipeline().tree().last_zxid();
    let peer = greeted(&server, SessionId::NONE, true);
    server.rig.send(&peer, &create(1, "/b", 0));
    // Neither is a session ended that nobody can speak for now.
    server.pipeline().look_at_sessions(i64::MAX / 2);
    server.write();
    assert!(server.told.proposed.lock().is_empty());
    assert_eq!(server.pipeline().tree().last_zxid(), zxid);
    assert!(server.pipeline().tree().get("/e").is_some());
    assert!(has_ended(&peer), "its own session is the server's to end");
}

#[test]
fn sessions_that_all_know_have_to_wait_for_a_leader() {
    for local_sessions in [true, false] {
        let (server, global) = secluded(local_sessions);
        let peer = greeted(&server, global, true);
        assert!(has_ended(&peer));
        assert_eq!(answer(&peer), None, "not over: it may go on elsewhere");
    }
}

#[test]
fn without_local_sessions_none_can_begin() {
    let (server, _) = secluded(false);
    let peer = greeted(&server, SessionId::NONE, true);
    assert!(has_ended(&peer));
    assert_eq!(answer(&peer), None);
    // One that nobody here has heard of may exist for all that is known, as Java has it.
    let unknown = SessionId(0x7700);
    let peer = greeted(&server, unknown, true);
    assert_eq!(answer(&peer), Some((unknown.0, true)));
    server.rig.send(&peer, &[get(1, "/e"), close(2)].concat());
    assert_eq!(server.rig.answers(&peer), [(1, OK), (2, NOT_READ_ONLY)]);
}

#[test]
fn with_a_leader_everybody_comes_again() {
    let (server, global) = secluded(true);
    let peer = greeted(&server, SessionId::NONE, true);
    let (session, _) = answer(&peer).unwrap();
    server.pipeline().rest();
    assert!(has_ended(&peer));
    server.pipeline().disconnect(&peer.client);
    server.pipeline().lead(Epoch(2));
    assert_eq!(server.pipeline().role(), Role::Leading);
    let back = greeted(&server, global, true);
    assert_eq!(answer(&back), Some((global.0, false)));
    let over = greeted(&server, SessionId(session), true);
    assert_eq!(answer(&over), Some((0, false)));
}
