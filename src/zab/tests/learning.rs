//! Rules for followers and observers, one a test.

use super::script::*;
use super::*;
use crate::proto::election::PeerState;
use crate::proto::quorum::PacketKind;

const NONE: [&str; 0] = [];
const LOOKING: [&str; 2] = ["9 close", "became Looking"];

fn leader_info(epoch: i64) -> QuorumPacket {
    QuorumPacket::with_number(PacketKind::LEADERINFO, z(epoch, 0).0, 0x10000)
}

#[test]
fn an_epoch_is_promised_when_the_promise_is_durable() {
    let mut script = Script::following(used(3, 3));
    assert_eq!(
        script.step(Input::Connected(ServerId(2), UP)),
        ["9 <- FOLLOWERINFO 1.0"]
    );
    assert_eq!(
        script.step(Input::Packet(UP, leader_info(4))),
        ["write accepted 4"]
    );
    assert_eq!(script.persist(), ["9 <- ACKEPOCH 1.3 1"]);
}

#[test]
fn an_epoch_that_was_promised_before_is_not_promised_again() {
    let mut durable = used(3, 3);
    durable.accepted_epoch = Epoch(4);
    let mut script = Script::following(durable);
    script.step(Input::Connected(ServerId(2), UP));
    assert_eq!(
        script.step(Input::Packet(UP, leader_info(4))),
        ["9 <- ACKEPOCH 1.3 -1"]
    );
}

#[test]
fn a_leader_of_an_old_epoch_is_left() {
    let mut durable = used(3, 3);
    durable.accepted_epoch = Epoch(4);
    let mut script = Script::following(durable);
    script.step(Input::Connected(ServerId(2), UP));
    assert_eq!(script.step(Input::Packet(UP, leader_info(3))), LOOKING);
    assert_eq!(
        script.peer.deadline(),
        Some(script.now.after(200)),
        "not found again at once"
    );
}

/// ZOOKEEPER-3911, 4643: history, then epoch, then the acknowledgement.
#[test]
fn zookeeper_3911_4643_history_is_durable_before_the_epoch_and_both_before_the_ack() {
    let mut script = Script::asking(used(3, 3), 2);
    assert_eq!(script.up(PacketKind::DIFF, z(1, 5)), NONE);
    assert_eq!(script.up_proposal(z(1, 4)), ["write log 1.4"]);
    assert_eq!(script.up(PacketKind::COMMIT, z(1, 4)), NONE);
    assert_eq!(script.up_proposal(z(1, 5)), ["write log 1.5"]);
    assert_eq!(
        script.up(PacketKind::NEWLEADER, z(2, 0)),
        ["write current 2"]
    );
    assert_eq!(script.persist(), NONE);
    assert_eq!(script.persist(), NONE);
    assert_eq!(script.persist(), ["9 <- ACK 2.0"]);
}

/// ZOOKEEPER-4646, 4785.
#[test]
fn zookeeper_4646_4785_a_proposal_is_acknowledged_when_it_is_durable() {
    let mut script = Script::serving(used(3, 3));
    assert_eq!(script.up_proposal(z(2, 1)), ["write log 2.1"]);
    assert_eq!(script.up_proposal(z(2, 2)), ["write log 2.2"]);
    assert_eq!(script.persist(), ["9 <- ACK 2.1"]);
    assert_eq!(script.persist(), ["9 <- ACK 2.2"]);
}

#[test]
fn what_was_not_committed_in_the_synchronisation_is_acknowledged_behind_uptodate() {
    let mut script = Script::asking(used(3, 3), 2);
    script.up(PacketKind::DIFF, z(1, 5));
    script.up_proposal(z(1, 4));
    script.up(PacketKind::COMMIT, z(1, 4));
    script.up_proposal(z(1, 5));
    script.up(PacketKind::NEWLEADER, z(2, 0));
    script.persist_all();
    let up_to_date = Input::Packet(UP, QuorumPacket::new(PacketKind::UPTODATE, -1));
    let expected = ["deliver 1.4", "9 <- ACK 2.0", "serve 2", "9 <- ACK 1.5"];
    assert_eq!(script.step(up_to_date), expected);
}

/// ZOOKEEPER-4882: memory is never ahead of the own log.
#[test]
fn zookeeper_4882_nothing_is_delivered_before_it_is_durable_here() {
    let mut script = Script::serving(used(3, 3));
    script.up_proposal(z(2, 1));
    assert_eq!(script.up(PacketKind::COMMIT, z(2, 1)), NONE);
    assert_eq!(script.persist(), ["deliver 2.1", "9 <- ACK 2.1"]);
}

/// ZOOKEEPER-4394: a COMMIT between NEWLEADER and UPTODATE of a proposal that came before NEWLEADER.
#[test]
fn zookeeper_4394_a_commit_may_come_behind_newleader() {
    let mut script = Script::asking(used(3, 3), 2);
    script.up(PacketKind::DIFF, z(1, 4));
    script.up_proposal(z(1, 4));
    script.up(PacketKind::NEWLEADER, z(2, 0));
    assert_eq!(script.up(PacketKind::COMMIT, z(1, 4)), NONE);
    script.persist_all();
    let out = script.step(Input::Packet(
        UP,
        QuorumPacket::new(PacketKind::UPTODATE, -1),
    ));
    assert_eq!(
        out,
        ["deliver 1.4", "9 <- ACK 2.0", "serve 2", "9 <- ACK 1.4"]
    );
}

/// Java's leaders tell the members that were proposed last, whether they are in force or not.
#[test]
fn members_that_are_only_proposed_are_not_put_in_force_by_uptodate() {
    for (version, in_force) in [(z(2, 0), true), (z(1, 4), true), (z(2, 1), false)] {
        let mut script = Script::asking(used(3, 3), 2);
        script.up(PacketKind::DIFF, z(1, 3));
        let mut config = members(3, 1);
        config.version = version.0;
        let text = config.to_string().into_bytes();
        let packet = QuorumPacket::with_data(PacketKind::NEWLEADER, z(2, 0).0, text);
        script.step(Input::Packet(UP, packet));
        script.persist_all();
        script.up(PacketKind::UPTODATE, Zxid(-1));
        assert_eq!(script.peer.committed_config() == &config, in_force);
        assert_eq!(script.peer.last_seen_config(), &config);
    }
}

/// It would end in the log of a server that never promised that epoch, and keep it from starting.
#[test]
fn nothing_is_logged_of_an_epoch_above_the_leaders() {
    let mut joining = Script::asking(used(3, 3), 2);
    joining.up(PacketKind::DIFF, z(1, 3));
    let mut serving = Script::serving(used(3, 3));
    for script in [&mut joining, &mut serving] {
        let out = script.up_proposal(z(3, 1));
        assert_eq!(out[..2], LOOKING);
        assert_eq!(script.peer.log().last(), z(1, 3));
    }
    for zxid in [z(3, 0), Zxid(-1), Zxid(i64::MAX)] {
        let mut script = Script::asking(used(3, 3), 2);
        assert_eq!(script.up(PacketKind::SNAP, zxid), LOOKING, "{zxid}");
    }
}

/// ZOOKEEPER-2846: a synchronisation with a hole.
#[test]
fn zookeeper_2846_a_hole_in_a_diff_is_answered_by_asking_for_a_snapshot() {
    for (name, hole) in [("in an epoch", z(1, 5)), ("at its beginning", z(2, 2))] {
        let mut script = Script::asking(used(3, 3), 3);
        script.up(PacketKind::DIFF, hole);
        let out = script.up_proposal(hole);
        let expected = [
            "9 close",
            "became Looking",
            "became Following(ServerId(2))",
            "dial 2",
        ];
        assert_eq!(out, expected, "{name}");
        script.step(Input::Connected(ServerId(2), UP));
        let out = script.step(Input::Packet(UP, leader_info(3)));
        assert_eq!(out, ["9 <- ACKEPOCH -1 -1"]);
        assert_eq!(
            script.up(PacketKind::DIFF, hole),
            LOOKING,
            "no second try without one"
        );
    }
}

/// ZOOKEEPER-3642.
#[test]
fn zookeeper_3642_half_a_snapshot_is_dropped() {
    let mut script = Script::asking(used(3, 3), 2);
    assert_eq!(script.up(PacketKind::SNAP, z(1, 9)), NONE);
    assert_eq!(
        script.peer.deadline(),
        None,
        "the bytes are watched by who sees them"
    );
    assert_eq!(script.step(Input::Down(UP)), ["became Looking"]);
    assert_eq!(script.peer.log().last(), z(1, 3));
    let mut script = Script::asking(used(3, 3), 2);
    script.up(PacketKind::SNAP, z(1, 9));
    script.up(PacketKind::NEWLEADER, z(2, 0));
    assert_eq!(
        script.writes,
        [Mark::Snapshot(z(1, 9)), Mark::CurrentEpoch(Epoch(2))]
    );
}

/// A snapshot of less than this server has, while what comes behind it is what it has: to install it would take committed
/// transactions away from a quorum until the rest is written again.
#[test]
fn a_snapshot_takes_nothing_away_that_the_leader_has_too() {
    let mut script = Script::asking(used(5, 2), 3);
    script.up(PacketKind::SNAP, z(1, 3));
    assert_eq!(script.up_proposal(z(1, 4)), NONE);
    assert_eq!(script.up(PacketKind::COMMIT, z(1, 4)), NONE);
    assert_eq!(script.up_proposal(z(2, 1)), NONE);
    assert_eq!(script.up(PacketKind::COMMIT, z(2, 1)), NONE);
    let expected = [
        "9 drop snapshot",
        "write cut 1.4",
        "write log 2.1",
        "write current 3",
    ];
    assert_eq!(script.up(PacketKind::NEWLEADER, z(3, 0)), expected);
    assert_eq!(script.persist_all(), ["9 <- ACK 3.0"]);
    let out = script.step(Input::Packet(
        UP,
        QuorumPacket::new(PacketKind::UPTODATE, -1),
    ));
    assert_eq!(out, ["deliver 2.1", "9 <- ACK 3.0", "serve 3"]);
}

#[test]
fn a_snapshot_replaces_a_tree_that_went_another_way() {
    let mut script = Script::asking(used(5, 5), 3);
    script.up(PacketKind::SNAP, z(1, 3));
    script.up_proposal(z(2, 1));
    script.up(PacketKind::COMMIT, z(2, 1));
    let expected = ["write snapshot 1.3", "write log 2.1", "write current 3"];
    assert_eq!(script.up(PacketKind::NEWLEADER, z(3, 0)), expected);
}

#[test]
fn what_a_snapshot_contains_may_come_again() {
    let mut script = Script::asking(used(3, 3), 2);
    script.up(PacketKind::SNAP, z(1, 9));
    assert_eq!(script.up_proposal(z(1, 8)), ["write snapshot 1.9"]);
    assert_eq!(script.up(PacketKind::COMMIT, z(1, 8)), NONE);
    script.up_proposal(z(1, 9));
    script.up(PacketKind::COMMIT, z(1, 9));
    assert_eq!(script.up_proposal(z(1, 10)), ["write log 1.10"]);
    script.up(PacketKind::COMMIT, z(1, 10));
    script.up(PacketKind::NEWLEADER, z(2, 0));
    assert_eq!(script.persist_all(), ["9 <- ACK 2.0"]);
    let out = script.step(Input::Packet(
        UP,
        QuorumPacket::new(PacketKind::UPTODATE, -1),
    ));
    assert_eq!(out, ["deliver 1.10", "9 <- ACK 2.0", "serve 2"]);
}

/// ZOOKEEPER-4925: what came in the synchronisation is history for the next leader.
#[test]
fn zookeeper_4925_what_came_in_the_synchronisation_is_in_the_log() {
    let mut script = Script::asking(used(3, 3), 2);
    script.up(PacketKind::DIFF, z(1, 5));
    for counter in [4, 5] {
        script.up_proposal(z(1, counter));
        script.up(PacketKind::COMMIT, z(1, counter));
    }
    script.up(PacketKind::NEWLEADER, z(2, 0));
    script.persist_all();
    script.step(Input::Packet(
        UP,
        QuorumPacket::new(PacketKind::UPTODATE, -1),
    ));
    script.up_proposal(z(2, 1));
    assert_eq!(script.peer.log().count_after(z(1, 3)), 3);
}

/// ZOOKEEPER-4712: the next role begins when the log is what it will be.
#[test]
fn zookeeper_4712_no_election_before_the_disk_is_done() {
    let mut script = Script::serving(used(3, 3));
    script.up_proposal(z(2, 1));
    assert_eq!(script.step(Input::Down(UP)), ["became Looking"]);
    let mut out = Vec::new();
    script.peer.step(script.now, Input::Tick, &mut out);
    assert_eq!(out, [], "it does not say what it would vote for");
    script
        .peer
        .step(script.now, Input::Persisted(Mark::Log(z(2, 1))), &mut out);
    let Some(Output::Notify(_, vote)) = out.first() else {
        panic!("{out:?}");
    };
    assert_eq!((vote.zxid, vote.peer_epoch), (z(2, 1).0, 2));
}

#[test]
fn a_cut_within_what_is_not_delivered() {
    let mut script = Script::asking(used(5, 3), 2);
    assert_eq!(script.up(PacketKind::TRUNC, z(1, 4)), ["write cut 1.4"]);
    assert_eq!(
        script.up(PacketKind::NEWLEADER, z(2, 0)),
        ["write current 2"]
    );
    assert_eq!(script.persist_all(), ["9 <- ACK 2.0"]);
    assert_eq!(script.peer.log().last(), z(1, 4));
}

#[test]
fn a_cut_that_is_not_possible_is_answered_by_asking_for_a_snapshot() {
    for (name, at) in [("delivered", z(1, 2)), ("unknown", z(1, 9))] {
        let mut script = Script::asking(used(5, 3), 2);
        let out = script.up(PacketKind::TRUNC, at);
        assert_eq!(out.last().map(String::as_str), Some("dial 2"), "{name}");
    }
}

#[test]
fn commits_come_in_order() {
    let mut script = Script::serving(used(3, 3));
    script.up_proposal(z(2, 1));
    script.up_proposal(z(2, 2));
    script.persist_all();
    assert_eq!(script.up(PacketKind::COMMIT, z(2, 2)), LOOKING);
    let mut script = Script::serving(used(3, 3));
    assert_eq!(
        script.up(PacketKind::COMMIT, z(2, 1)),
        LOOKING,
        "never proposed"
    );
}

#[test]
fn packets_out_of_place_end_the_connection() {
    let mut script = Script::asking(used(3, 3), 2);
    assert_eq!(
        script.up(PacketKind::NEWLEADER, z(2, 0)),
        LOOKING,
        "no DIFF"
    );
    let mut script = Script::asking(used(3, 3), 2);
    script.up(PacketKind::DIFF, z(1, 3));
    assert_eq!(
        script.up(PacketKind::NEWLEADER, z(3, 0)),
        LOOKING,
        "another epoch"
    );
    let mut script = Script::asking(used(3, 3), 2);
    script.up(PacketKind::DIFF, z(1, 3));
    assert_eq!(
        script.up(PacketKind::UPTODATE, Zxid(-1)),
        LOOKING,
        "no NEWLEADER"
    );
    let mut script = Script::serving(used(3, 3));
    assert_eq!(script.up(PacketKind::NEWLEADER, z(2, 0)), LOOKING, "twice");
    let mut script = Script::serving(used(3, 3));
    assert_eq!(
        script.up_proposal(z(2, 2)),
        LOOKING,
        "a proposal is missing"
    );
    let mut script = Script::serving(used(3, 3));
    assert_eq!(
        script.up(PacketKind::PROPOSAL, z(2, 1)),
        LOOKING,
        "without a transaction"
    );
}

#[test]
fn unknown_packets_are_skipped() {
    let mut script = Script::asking(used(3, 3), 2);
    script.up(PacketKind::DIFF, z(1, 3));
    assert_eq!(script.up(PacketKind(77), z(1, 3)), NONE);
    script.up(PacketKind::NEWLEADER, z(2, 0));
    script.persist_all();
    script.up(PacketKind::UPTODATE, Zxid(-1));
    assert_eq!(script.up(PacketKind(77), z(1, 3)), NONE);
}

#[test]
fn pings_are_answered_by_those_who_serve() {
    let mut script = Script::asking(used(3, 3), 2);
    script.up(PacketKind::DIFF, z(1, 3));
    assert_eq!(script.up(PacketKind::PING, z(1, 3)), NONE);
    let mut script = Script::serving(used(3, 3));
    assert_eq!(script.up(PacketKind::PING, z(2, 0)), ["9 <- touches 2.0"]);
}

#[test]
fn an_answer_to_a_sync_waits_for_what_was_committed_before_it() {
    let mut script = Script::serving(used(3, 3));
    assert_eq!(script.up(PacketKind::SYNC, Zxid::ZERO), ["9 upward SYNC"]);
    script.up_proposal(z(2, 1));
    script.up(PacketKind::COMMIT, z(2, 1));
    assert_eq!(script.up(PacketKind::SYNC, Zxid::ZERO), NONE);
    assert_eq!(
        script.persist(),
        ["deliver 2.1", "9 upward SYNC", "9 <- ACK 2.1"]
    );
}

/// A client may have sent a write behind its sync: the answer has to be out when that is delivered.
#[test]
fn an_answer_to_a_sync_comes_before_what_was_committed_behind_it() {
    let mut script = Script::serving(used(3, 3));
    for counter in [1, 2, 3] {
        script.up_proposal(z(2, counter));
        script.up(PacketKind::COMMIT, z(2, counter));
        if counter < 3 {
            script.up(PacketKind::SYNC, Zxid::ZERO);
        }
    }
    // One fsync for all of them.
    script.writes.drain(..2);
    assert_eq!(
        script.persist(),
        [
            "deliver 2.1",
            "9 upward SYNC",
            "deliver 2.2",
            "9 upward SYNC",
            "deliver 2.3",
            "9 <- ACK 2.1",
            "9 <- ACK 2.2",
            "9 <- ACK 2.3"
        ]
    );
}

#[test]
fn answers_to_syncs_of_a_role_that_ended_are_forgotten() {
    let mut script = Script::serving(used(3, 3));
    script.up_proposal(z(2, 1));
    script.up(PacketKind::COMMIT, z(2, 1));
    script.up(PacketKind::SYNC, Zxid::ZERO);
    script.step(Input::Down(UP));
    assert_eq!(script.persist(), ["deliver 2.1"]);
}

#[test]
fn silence_is_the_end_after_init_limit_and_later_after_sync_limit() {
    let mut script = Script::asking(used(3, 3), 2);
    assert_eq!(script.pass(9_999), NONE);
    assert_eq!(script.pass(1), LOOKING);
    let mut script = Script::serving(used(3, 3));
    assert_eq!(script.pass(4_999), NONE);
    script.up(PacketKind::PING, z(2, 0));
    assert_eq!(script.pass(4_999), NONE);
    assert_eq!(script.pass(1), LOOKING);
}

#[test]
fn a_leader_that_cannot_be_reached_is_left() {
    let mut script = Script::following(used(3, 3));
    assert_eq!(
        script.step(Input::Unreachable(ServerId(3))),
        NONE,
        "an older try"
    );
    assert_eq!(
        script.step(Input::Unreachable(ServerId(2))),
        ["became Looking"]
    );
}

#[test]
fn a_connection_that_nobody_waits_for_is_closed() {
    let mut script = Script::following(used(3, 3));
    assert_eq!(
        script.step(Input::Connected(ServerId(3), LinkId(5))),
        ["5 close"]
    );
    script.step(Input::Connected(ServerId(2), UP));
    assert_eq!(
        script.step(Input::Connected(ServerId(2), LinkId(6))),
        ["6 close"]
    );
    assert_eq!(script.step(Input::Accepted(LinkId(7))), ["7 close"]);
}

#[test]
fn a_server_that_may_have_lost_data_does_not_vote_and_gets_a_snapshot() {
    let mut durable = used(3, 3);
    durable.may_have_lost_data = true;
    let mut script = Script::new(config(1, members(3, 0)), durable);
    let mut out = Vec::new();
    script.peer.step(script.now, Input::Tick, &mut out);
    let zxids: Vec<i64> = out
        .iter()
        .filter_map(|output| match output {
            Output::Notify(_, vote) => Some(vote.zxid),
            _ => None,
        })
        .collect();
    assert_eq!(zxids, [-1, -1]);
    script.find_leader();
    script.step(Input::Connected(ServerId(2), UP));
    script.step(Input::Packet(UP, leader_info(2)));
    assert_eq!(script.persist(), ["9 <- ACKEPOCH -1 1"]);
}

/// A crash between a transaction of an epoch and the epoch's own file.
#[test]
fn an_epoch_that_the_log_proves_is_entered_at_the_start() {
    let mut durable = used(3, 3);
    (durable.accepted_epoch, durable.current_epoch) = (Epoch(2), Epoch(0));
    let mut script = Script::new(config(1, members(3, 0)), durable);
    assert_eq!(script.tick(), ["write current 1"]);
    assert_eq!(script.persist(), NONE);
    assert_eq!(script.peer.current_epoch(), Epoch(1));
}

#[test]
fn a_log_of_an_epoch_that_was_never_accepted_stops_the_server() {
    let mut durable = used(3, 3);
    (durable.accepted_epoch, durable.current_epoch) = (Epoch(0), Epoch(0));
    let mut script = Script::new(config(1, members(3, 0)), durable);
    let expected = "stop: the log ends in epoch 1, and no epoch above 0 was accepted";
    assert_eq!(script.tick(), [expected]);
    assert_eq!(script.tick(), NONE);
    assert_eq!(script.peer.deadline(), None);
}

#[test]
fn an_observer_is_informed_and_acknowledges_nothing() {
    let mut script = Script::observing(used(3, 3));
    assert_eq!(
        script.step(Input::Connected(ServerId(2), UP)),
        ["9 <- OBSERVERINFO 1.0"]
    );
    script.step(Input::Packet(UP, leader_info(2)));
    script.persist();
    script.up(PacketKind::DIFF, z(1, 4));
    script.up_proposal(z(1, 4));
    script.up(PacketKind::COMMIT, z(1, 4));
    let inform =
        |zxid| QuorumPacket::with_data(PacketKind::INFORM, z(1, zxid).0, txn(z(1, zxid)).bytes);
    assert_eq!(script.step(Input::Packet(UP, inform(5))), ["write log 1.5"]);
    script.up(PacketKind::NEWLEADER, z(2, 0));
    assert_eq!(script.persist_all(), ["9 <- ACK 2.0"]);
    let out = script.step(Input::Packet(
        UP,
        QuorumPacket::new(PacketKind::UPTODATE, -1),
    ));
    assert_eq!(out, ["deliver 1.5", "9 <- ACK 2.0", "serve 2"]);
    assert_eq!(script.step(Input::Packet(UP, inform(6))), ["write log 1.6"]);
    assert_eq!(script.persist(), ["deliver 1.6"]);
    assert_eq!(script.up_proposal(z(2, 1)), NONE);
    assert_eq!(script.up(PacketKind::COMMIT, z(2, 1)), NONE);
    assert_eq!(
        script.step(Input::Packet(UP, inform(8))),
        LOOKING,
        "one is missing"
    );
}

#[test]
fn an_observer_pauses_before_it_looks_again() {
    let mut script = Script::observing(used(3, 3));
    script.step(Input::Unreachable(ServerId(2)));
    assert_eq!(script.peer.deadline(), Some(script.now.after(100)));
}

#[test]
fn a_proposed_configuration_is_remembered_and_one_that_is_activated_in_force() {
    let mut script = Script::serving(used(3, 3));
    let mut config = members(3, 1);
    config.version = z(2, 1).0;
    let txn = reconfig_txn(z(2, 1), &config);
    let proposal = QuorumPacket::with_data(PacketKind::PROPOSAL, z(2, 1).0, txn.bytes);
    let out = script.step(Input::Packet(UP, proposal));
    assert_eq!(out, ["write seen 2.1", "write log 2.1"]);
    assert_eq!(script.peer.last_seen_config().version, z(2, 1).0);
    script.persist_all();
    let activate =
        QuorumPacket::with_designated_leader(PacketKind::COMMITANDACTIVATE, z(2, 1).0, 2, &[]);
    let out = script.step(Input::Packet(UP, activate));
    assert_eq!(out, ["deliver 2.1", "write config 2.1"]);
    assert_eq!(script.peer.committed_config().version, z(2, 1).0);
}

#[test]
fn a_configuration_with_another_leader_ends_the_role_and_names_the_next() {
    let mut script = Script::serving(used(3, 3));
    let mut config = members(3, 1);
    config.version = z(2, 1).0;
    let txn = reconfig_txn(z(2, 1), &config);
    let proposal = QuorumPacket::with_data(PacketKind::PROPOSAL, z(2, 1).0, txn.bytes);
    script.step(Input::Packet(UP, proposal));
    script.persist_all();
    let activate =
        QuorumPacket::with_designated_leader(PacketKind::COMMITANDACTIVATE, z(2, 1).0, 3, &[]);
    let out = script.step(Input::Packet(UP, activate));
    assert_eq!(
        out,
        [
            "deliver 2.1",
            "write config 2.1",
            "9 close",
            "became Looking"
        ]
    );
    assert_eq!(
        script.persist(),
        ["became Following(ServerId(3))", "dial 3"]
    );
}

/// Seed 747918 of the simulated operator: who had sent it told nobody again, since others kept talking.
#[test]
fn the_vote_that_brings_a_newer_configuration_counts() {
    let mut script = Script::new(config(1, members(3, 0)), used(3, 3));
    script.tick();
    let mut newer = members(3, 1);
    newer.version = z(1, 3).0;
    let vote = Notification {
        config: Some(newer.to_string().into()),
        ..said(PeerState::Looking, 3, z(1, 3), 1)
    };
    script.step(Input::Notification(ServerId(3), vote));
    assert_eq!(script.peer.committed_config().version, newer.version);
    let out = script.pass(200);
    assert_eq!(out, ["became Following(ServerId(3))", "dial 3"]);
}
