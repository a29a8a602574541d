//! Rules for a follower that serves observers, one a test. The observer is server 4, at link 4.

use super::script::*;
use super::*;
use crate::proto::quorum::PacketKind;

const NONE: [&str; 0] = [];

/// Server 1 of three voters, which may serve observers, once it found out that 2 leads.
fn following(durable: Durable) -> Script {
    let mut config = config(1, members(3, 1));
    config.serves_observers = true;
    let mut script = Script::new(config, durable);
    script.find_leader();
    script
}

/// It serves in epoch 2, with a history that ends at (1, 3).
fn master() -> Script {
    let mut script = following(used(3, 3));
    script.ask(2);
    script.join(z(1, 3));
    script
}

fn with_observer() -> Script {
    let mut script = master();
    join(&mut script, z(1, 3));
    script
}

fn join(script: &mut Script, last: Zxid) -> Vec<String> {
    script.greet(4, 1);
    script.ack_epoch(4, 1, last);
    script.from(4, PacketKind::ACK, z(2, 0))
}

#[test]
fn an_observer_joins_without_waiting_for_anybody() {
    let mut script = master();
    assert_eq!(script.greet(4, 1), ["4 <- LEADERINFO 2.0"]);
    assert_eq!(
        script.ack_epoch(4, 1, z(1, 1)),
        [
            "4 <- DIFF 1.3",
            "4 <- history (1.1, 1.3] Committed",
            "4 <- NEWLEADER 2.0"
        ]
    );
    assert_eq!(
        script.from(4, PacketKind::ACK, z(2, 0)),
        ["4 <- UPTODATE -1"]
    );
    assert_eq!(script.from(4, PacketKind::ACK, z(2, 0)), NONE);
    let status = &script.peer.learners()[..];
    assert!(matches!(status, [one] if one.is_synced && one.server == Some(ServerId(4))));
}

#[test]
fn an_observer_without_a_history_gets_a_snapshot() {
    let mut script = master();
    script.greet(4, 1);
    assert_eq!(
        script.ack_epoch(4, 1, Zxid(-1)),
        ["4 <- snapshot, 1.3", "4 <- NEWLEADER 2.0"]
    );
}

#[test]
fn what_the_leader_commits_is_passed_on_and_nothing_else() {
    let mut script = with_observer();
    assert_eq!(script.up_proposal(z(2, 1)), ["write log 2.1"]);
    assert_eq!(
        script.up(PacketKind::COMMIT, z(2, 1)),
        ["4 <- INFORM 2.1"],
        "a quorum has it, whatever the disk here"
    );
    assert_eq!(script.persist(), ["deliver 2.1", "9 <- ACK 2.1"]);
    script.up_proposal(z(2, 2));
    assert_eq!(script.persist(), ["9 <- ACK 2.2"]);
    assert_eq!(
        script.up(PacketKind::COMMIT, z(2, 2)),
        ["deliver 2.2", "4 <- INFORM 2.2"]
    );
}

#[test]
fn what_is_committed_meanwhile_comes_behind_uptodate() {
    let mut script = master();
    script.greet(4, 1);
    script.ack_epoch(4, 1, z(1, 3));
    script.up_proposal(z(2, 1));
    script.persist_all();
    assert_eq!(script.up(PacketKind::COMMIT, z(2, 1)), ["deliver 2.1"]);
    script.up_proposal(z(2, 2));
    assert_eq!(script.up(PacketKind::COMMIT, z(2, 2)), NONE);
    assert_eq!(
        script.from(4, PacketKind::ACK, z(2, 0)),
        [
            "4 <- UPTODATE -1",
            "4 <- history (1.3, 2.1] Inform",
            "4 <- INFORM 2.2"
        ]
    );
}

/// The original's master would leave it out: it was proposed before observers were served.
#[test]
fn what_was_proposed_before_is_passed_on_when_it_can_be_read() {
    let mut script = following(used(3, 3));
    script.ask(2);
    script.up(PacketKind::DIFF, z(1, 3));
    script.up(PacketKind::NEWLEADER, z(2, 0));
    script.persist_all();
    script.up_proposal(z(1, 4));
    let up_to_date = QuorumPacket::new(PacketKind::UPTODATE, -1);
    script.step(Input::Packet(UP, up_to_date));
    join(&mut script, z(1, 3));
    assert_eq!(script.up(PacketKind::COMMIT, z(1, 4)), NONE);
    assert_eq!(
        script.persist(),
        [
            "deliver 1.4",
            "9 <- ACK 1.4",
            "4 <- history (1.3, 1.4] Inform"
        ]
    );
}

#[test]
fn requests_and_sessions_go_up() {
    let mut script = with_observer();
    for kind in [
        PacketKind::REQUEST,
        PacketKind::REVALIDATE,
        PacketKind::PING,
    ] {
        assert_eq!(script.from(4, kind, Zxid(-1)), [format!("4 upward {kind}")]);
    }
}

#[test]
fn only_observers_are_served_and_only_where_it_is_wanted() {
    assert_eq!(master().greet(3, 1), ["3 close"]);
    let mut too_early = following(used(3, 3));
    assert_eq!(
        too_early.step(Input::Accepted(LinkId(4))),
        ["4 close"],
        "it does not serve yet"
    );
    let mut unwanted = Script::serving(used(3, 3));
    assert_eq!(unwanted.step(Input::Accepted(LinkId(4))), ["4 close"]);
}

#[test]
fn an_observer_acknowledges_no_transaction() {
    let mut script = with_observer();
    assert_eq!(script.from(4, PacketKind::ACK, z(1, 3)), ["4 close"]);
    assert!(script.peer.learners().is_empty());
}

#[test]
fn observers_are_pinged_and_those_that_are_silent_are_cut() {
    let mut script = with_observer();
    assert_eq!(script.pass(500), ["4 <- PING 1.3"]);
    for _ in 0..9 {
        script.up(PacketKind::PING, z(1, 3));
        script.pass(500);
    }
    assert!(script.peer.learners().is_empty());
    assert_eq!(script.peer.status(), Status::Following(ServerId(2)));
}

#[test]
fn observers_go_with_the_role() {
    let mut script = with_observer();
    assert_eq!(script.step(Input::Down(UP)), ["4 close", "became Looking"]);
}

#[test]
fn an_observer_that_goes_is_no_loss() {
    let mut script = with_observer();
    assert_eq!(script.step(Input::Down(LinkId(4))), NONE);
    script.up_proposal(z(2, 1));
    assert_eq!(script.up(PacketKind::COMMIT, z(2, 1)), NONE);
}

#[test]
fn a_configuration_in_force_is_passed_on_as_one() {
    let mut script = with_observer();
    let mut config = members(3, 1);
    config.version = z(2, 1).0;
    let txn = reconfig_txn(z(2, 1), &config);
    let proposal = QuorumPacket::with_data(PacketKind::PROPOSAL, z(2, 1).0, txn.bytes.clone());
    script.step(Input::Packet(UP, proposal));
    let commit =
        QuorumPacket::with_designated_leader(PacketKind::COMMITANDACTIVATE, z(2, 1).0, 2, &[]);
    let out = script.step(Input::Packet(UP, commit));
    assert!(
        out.contains(&"4 <- INFORMANDACTIVATE 2.1".to_owned()),
        "{out:?}"
    );
}
