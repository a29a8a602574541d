//! The order of a session, seen from its connection.

use super::*;

#[test]
fn a_read_sees_the_writes_before_it_and_none_behind() {
    let rig = Rig::new();
    let peer = rig.connected();
    let burst = [
        get(1, "/a"),
        create(2, "/a", 0),
        get(3, "/a"),
        delete(4, "/a"),
        get(5, "/a"),
    ];
    rig.send(&peer, &burst.concat());
    assert_eq!(rig.answers(&peer), [(1, NO_NODE)]);
    assert_eq!(rig.disk(), 2);
    assert_eq!(
        rig.answers(&peer),
        [(2, OK), (3, OK), (4, OK), (5, NO_NODE)]
    );
}

#[test]
fn other_sessions_do_not_wait() {
    let rig = Rig::new();
    let (writer, reader) = (rig.connected(), rig.connected());
    rig.send(&writer, &create(1, "/a", 0));
    rig.send(&reader, &get(1, "/a"));
    assert_eq!(rig.answers(&reader), [(1, NO_NODE)]);
    rig.disk();
    rig.send(&reader, &get(2, "/a"));
    assert_eq!(rig.answers(&reader), [(2, OK)]);
    assert_eq!(rig.answers(&writer), [(1, OK)]);
}

#[test]
fn nothing_is_acknowledged_before_the_disk() {
    let rig = Rig::new();
    let peer = rig.connected();
    rig.send(&peer, &create(1, "/a", 0));
    assert!(rig.answers(&peer).is_empty());
    assert!(rig.pipeline.tree().get("/a").is_none());
    rig.disk();
    assert_eq!(rig.answers(&peer), [(1, OK)]);
}

#[test]
fn an_answer_that_is_ready_early_keeps_its_turn() {
    let rig = Rig::new();
    let peer = rig.connected();
    let mut cut = request(
        2,
        OpCode::SET_DATA,
        &SetDataRequest {
            path: Text::from("/a"),
            data: Buffer::from(b"y"),
            version: -1,
        },
    );
    cut.truncate(cut.len() - 2);
    let len = (cut.len() - 4) as u32;
    cut[..4].copy_from_slice(&len.to_be_bytes());
    rig.send(&peer, &[create(1, "/a", 0), cut, get(3, "/a")].concat());
    assert!(rig.answers(&peer).is_empty());
    assert_eq!(rig.disk(), 1);
    let undecodable = ErrorCode::MARSHALLING_ERROR.0;
    assert_eq!(rig.answers(&peer), [(1, OK), (2, undecodable), (3, OK)]);
}

#[test]
fn closing_ends_the_session_and_its_ephemerals() {
    let rig = Rig::new();
    let (peer, other) = (rig.connected(), rig.connected());
    let burst = [create(1, "/e", 1), close(2), get(3, "/e")];
    rig.send(&peer, &burst.concat());
    rig.disk();
    assert_eq!(rig.answers(&peer), [(1, OK), (2, OK)]);
    let next = peer.client.next(Waker::noop(), false);
    assert_eq!((next, peer.client.lingers()), (Next::AwaitEnd, false));
    assert!(peer.client.lingers(), "it had a whole interval to close");
    let exists = ExistsRequest {
        path: Text::from("/e"),
        watch: false,
    };
    rig.send(&other, &request(1, OpCode::EXISTS, &exists));
    assert_eq!(rig.answers(&other), [(1, NO_NODE)]);
    assert_eq!(rig.pipeline.sessions().len(), 1);
}

#[test]
fn a_client_that_waits_for_its_session_is_read_until_it_says_more() {
    let rig = Rig::new();
    let peer = rig.peer();
    rig.send(&peer, &connect());
    assert_eq!(peer.client.next(Waker::noop(), false), Next::Read);
    let early = rig.pipeline.receive(&peer.client, &get(1, "/"), None);
    assert_eq!(early.consumed, 0);
    assert_eq!(peer.client.next(Waker::noop(), true), Next::Pause);
    rig.disk();
    peer.client.flush();
    assert_eq!(peer.client.next(Waker::noop(), true), Next::Read);
}

#[test]
fn a_session_whose_client_left_before_it_began_can_expire() {
    let rig = Rig::new();
    let peer = rig.peer();
    rig.send(&peer, &connect());
    rig.pipeline.disconnect(&peer.client);
    rig.disk();
    let mut expired = Vec::new();
    rig.pipeline.sessions().expired(i64::MAX, &mut expired);
    assert_eq!(expired.len(), 1);
    assert_eq!(rig.pipeline.tree().sessions().count(), 1);
}

#[test]
fn a_client_that_left_is_not_answered_and_its_writes_count() {
    let rig = Rig::new();
    let peer = rig.connected();
    rig.send(&peer, &create(1, "/a", 0));
    rig.pipeline.disconnect(&peer.client);
    rig.disk();
    assert!(peer.wire.0.lock().is_empty());
    assert!(rig.pipeline.tree().get("/a").is_some());
    assert_eq!(rig.pipeline.outstanding(), 0);
}

#[test]
fn answers_that_nobody_takes_stop_the_reading() {
    let rig = Rig::new();
    let peer = rig.connected();
    rig.send(&peer, &create(1, "/a", 0));
    rig.disk();
    let big = SetDataRequest {
        path: Text::from("/a"),
        data: Buffer::from(vec![7; 1_000_000]),
        version: -1,
    };
    rig.send(&peer, &request(2, OpCode::SET_DATA, &big));
    rig.disk();
    assert_eq!(rig.answers(&peer), [(1, OK), (2, OK)]);
    // Nothing is sent between these: the second answer fills the buffer, and the third has to wait.
    let burst = [get(3, "/a"), get(4, "/a"), get(5, "/a")].concat();
    let received = rig.pipeline.receive(&peer.client, &burst, None);
    assert_eq!(received.consumed, burst.len() * 2 / 3);
    assert!(burst.len() - received.consumed >= received.wanted);
    assert_eq!(rig.answers(&peer), [(3, OK), (4, OK)]);
    rig.send(&peer, &burst[received.consumed..]);
    assert_eq!(rig.answers(&peer), [(5, OK)]);
}

#[test]
fn a_session_bears_the_number_of_the_server_that_made_it() {
    let rig = Rig::new();
    let peer = rig.connected();
    let session = peer.client.state().session.as_ref().map(|s| s.id.0 as u64);
    assert_eq!(session.map(|id| id >> 56), Some(0x5e));
}
