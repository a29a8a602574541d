//! Limits that an operator sets for leaders, and for followers that serve observers. Learner N is at link N; above 3 they
//! observe.

use super::script::*;
use super::*;
use crate::proto::quorum::PacketKind;

const NONE: [&str; 0] = [];
/// Also one that lacks nothing.
#[test]
fn every_learner_gets_a_snapshot_where_that_is_asked_for() {
    let mut config = config(3, members(3, 1));
    config.always_snapshot = true;
    let mut script = Script::elected(config, used(3, 3));
    script.greet(1, 1);
    script.persist_all();
    script.ack_epoch(1, 1, z(1, 3));
    let expected = ["1 <- snapshot, 1.3", "1 <- NEWLEADER 2.0"];
    assert_eq!(script.persist(), expected);
}

/// Server 3 leads, and serves with its follower 1; one learner at a time may get a snapshot, one a DIFF.
fn limited() -> Script {
    let mut config = config(3, members(3, 3));
    config.snapshot_syncs_max = 1;
    config.diff_syncs_max = 1;
    let mut script = Script::elected(config, used(3, 3));
    script.greet(1, 1);
    script.persist_all();
    script.ack_epoch(1, 1, z(1, 3));
    script.persist_all();
    script.from(1, PacketKind::ACK, z(2, 0));
    assert_eq!(script.peer.serving(), Some(Epoch(2)));
    script.persist_all();
    script
}

#[test]
fn observers_beyond_the_limit_come_again_when_another_is_up_to_date() {
    for (last, first, second) in [
        (z(1, 3), "4 <- DIFF 1.3", "5 <- DIFF 1.3"),
        (Zxid(-1), "4 <- snapshot, 1.3", "5 <- snapshot, 1.3"),
    ] {
        let mut script = limited();
        script.greet(4, 1);
        script.greet(5, 1);
        assert_eq!(script.ack_epoch(4, 1, last)[0], first);
        assert_eq!(script.ack_epoch(5, 1, last), ["5 close"]);
        script.step(Input::SnapshotSent(LinkId(4)));
        script.greet(5, 1);
        assert_eq!(
            script.ack_epoch(5, 1, last),
            ["5 close"],
            "what was sent is not there yet"
        );
        script.from(4, PacketKind::ACK, z(2, 0));
        script.greet(5, 1);
        assert_eq!(script.ack_epoch(5, 1, last)[0], second);
        script.step(Input::Down(LinkId(5)));
        script.greet(6, 1);
        assert_eq!(script.ack_epoch(6, 1, last).len(), 2, "it left its place");
    }
}

#[test]
fn snapshots_and_transactions_are_counted_apart() {
    let mut script = limited();
    script.greet(4, 1);
    script.greet(5, 1);
    assert_eq!(script.ack_epoch(4, 1, Zxid(-1))[0], "4 <- snapshot, 1.3");
    assert_eq!(script.ack_epoch(5, 1, z(1, 3))[0], "5 <- DIFF 1.3");
    let under_way = |script: &Script| [true, false].map(|with| script.peer.syncs_under_way(with));
    assert_eq!(under_way(&script), [1, 1]);
    script.from(5, PacketKind::ACK, z(2, 0));
    assert_eq!(under_way(&script), [1, 0]);
}

#[test]
fn followers_are_brought_up_to_date_at_once_and_count() {
    let mut script = limited();
    script.greet(4, 1);
    script.ack_epoch(4, 1, z(1, 3));
    script.greet(2, 1);
    assert_eq!(script.ack_epoch(2, 1, z(1, 3))[0], "2 <- DIFF 1.3");
    script.from(4, PacketKind::ACK, z(2, 0));
    script.greet(5, 1);
    assert_eq!(script.ack_epoch(5, 1, z(1, 3)), ["5 close"]);
}

#[test]
fn observers_that_came_before_the_epoch_are_limited_too() {
    let mut config = config(3, members(3, 3));
    config.diff_syncs_max = 2;
    let mut script = Script::elected(config, used(3, 3));
    for id in [4, 5, 1] {
        script.greet(id, 1);
    }
    script.persist_all();
    for id in [4, 5, 1] {
        script.ack_epoch(id, 1, z(1, 3));
    }
    let out = script.persist_all();
    let is_there = |line: &str| out.iter().any(|said| said == line);
    assert!(is_there("1 <- DIFF 1.3"), "{out:?}");
    assert!(is_there("5 close") && !is_there("4 close"), "{out:?}");
}

/// A leader that waits for epochs; server 1 looks for another one after so long.
fn voter_looks(by: &[i64], voter: i64, max: Option<u64>, after: u64) -> (Vec<String>, u64) {
    let mut config = config(3, members(5, 0));
    config.epoch_wait_ms_max = max;
    let mut script = Script::elected_with(config, used(3, 3), by);
    script.pass(after);
    let vote = said(crate::proto::election::PeerState::Looking, 3, z(1, 3), 1);
    let out = script.step(Input::Notification(ServerId(voter), vote));
    (out, script.peer.deserted())
}

#[test]
fn a_leader_whose_voter_looks_again_gives_up_when_it_waited_for_long() {
    let gives_up = (vec!["became Looking".to_owned()], 1);
    let goes_on = (Vec::new(), 0);
    assert_eq!(voter_looks(&[1, 2], 1, Some(1000), 1001), gives_up);
    assert_eq!(voter_looks(&[1, 2], 1, Some(1000), 1000), goes_on);
    assert_eq!(voter_looks(&[1, 2], 1, None, 5000), goes_on);
    assert_eq!(
        voter_looks(&[1, 2], 4, Some(1000), 5000),
        goes_on,
        "it is none of those who elected it"
    );
}

#[test]
fn a_leader_that_has_an_epoch_waits_whoever_looks() {
    let mut config = config(3, members(3, 0));
    config.epoch_wait_ms_max = Some(0);
    let mut script = Script::elected(config, used(3, 3));
    script.greet(1, 1);
    script.pass(100);
    let vote = said(crate::proto::election::PeerState::Looking, 3, z(1, 3), 1);
    assert_eq!(script.step(Input::Notification(ServerId(2), vote)), NONE);
}

#[test]
fn a_follower_that_serves_observers_has_the_same_limits() {
    let mut config = config(1, members(3, 2));
    config.serves_observers = true;
    config.diff_syncs_max = 1;
    let mut script = Script::new(config, used(3, 3));
    script.find_leader();
    script.ask(2);
    script.join(z(1, 3));
    script.greet(4, 1);
    script.greet(5, 1);
    assert_eq!(script.ack_epoch(4, 1, z(1, 3))[0], "4 <- DIFF 1.3");
    assert_eq!(script.ack_epoch(5, 1, z(1, 3)), ["5 close"]);
    script.from(4, PacketKind::ACK, z(2, 0));
    script.greet(5, 1);
    assert_eq!(script.ack_epoch(5, 1, z(1, 3))[0], "5 <- DIFF 1.3");
}
