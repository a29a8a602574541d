//! Rules for leaders, one a test. Learner N is at link N; 4 observes.

use super::script::*;
use super::*;
use crate::proto::quorum::PacketKind;

const NONE: [&str; 0] = [];

#[test]
fn an_epoch_is_proposed_when_a_quorum_said_what_it_accepted_and_it_is_durable() {
    let mut script = Script::leading(used(3, 3));
    assert_eq!(
        script.greet(4, 8),
        NONE,
        "an observer is heard and does not count"
    );
    assert_eq!(script.greet(1, 5), ["write accepted 9"]);
    assert_eq!(script.greet(2, 9), NONE, "too late to raise it");
    let expected = [
        "write seen 9.0",
        "1 <- LEADERINFO 9.0",
        "2 <- LEADERINFO 9.0",
        "4 <- LEADERINFO 9.0",
    ];
    assert_eq!(script.persist(), expected);
}

/// Else that voter would be left out for as long as this epoch lasts.
#[test]
fn a_voter_that_accepted_a_later_epoch_makes_the_leader_look_again_and_go_above_it() {
    let mut script = Script::leading_two(used(3, 3));
    assert_eq!(
        script.greet(4, 20),
        ["4 <- LEADERINFO 2.0"],
        "an observer has to wait"
    );
    script.step(Input::Down(LinkId(2)));
    assert_eq!(
        script.greet(2, 7).last().map(String::as_str),
        Some("became Looking")
    );
    script.persist_all();
    for id in [1, 2] {
        let vote = Notification {
            election_epoch: 2,
            ..said(crate::proto::election::PeerState::Looking, 3, z(1, 3), 2)
        };
        script.step(Input::Notification(ServerId(id), vote));
    }
    assert_eq!(script.pass(200), ["became Leading"]);
    assert_eq!(script.greet(1, 2), ["write accepted 8"]);
}

#[test]
fn history_is_sent_when_the_epoch_is_durable() {
    let mut script = Script::leading(used(3, 3));
    script.greet(1, 1);
    script.persist_all();
    assert_eq!(script.ack_epoch(1, 1, z(1, 1)), ["write current 2"]);
    let expected = [
        "1 <- DIFF 1.3",
        "1 <- history (1.1, 1.3] Committed",
        "1 <- NEWLEADER 2.0",
    ];
    assert_eq!(script.persist(), expected);
    let expected = [
        "deliver 1.3",
        "write config 2.0",
        "serve 2",
        "1 <- UPTODATE -1",
    ];
    let out = script.from(1, PacketKind::ACK, z(2, 0));
    assert_eq!(out, expected[1..], "all of it was delivered before");
}

/// ZOOKEEPER-3104.
#[test]
fn zookeeper_3104_newleader_comes_behind_all_that_completes_a_snapshot() {
    let mut script = Script::leading(used(3, 1));
    script.greet(1, 0);
    script.persist_all();
    script.ack_epoch(1, 0, Zxid(-1));
    script.greet(2, 1);
    script.ack_epoch(2, 1, z(1, 9));
    assert_eq!(
        script.writes,
        [],
        "neither counts: one asks for a snapshot, one has a more recent history"
    );
    let mut script = Script::leading(used(3, 1));
    script.greet(1, 0);
    script.persist_all();
    script.ack_epoch(1, 0, z(0, 7));
    let expected = ["1 <- snapshot, 1.3", "1 <- NEWLEADER 2.0"];
    assert_eq!(script.persist(), expected);
}

#[test]
fn a_more_recent_history_ends_the_connection_and_an_old_promise_does_not_count() {
    let mut script = Script::leading(used(3, 3));
    script.greet(1, 1);
    script.greet(2, 1);
    script.persist_all();
    assert_eq!(script.ack_epoch(1, 1, z(1, 4)), ["1 close"]);
    assert_eq!(script.ack_epoch(2, -1, z(1, 9)), NONE);
    script.greet(1, 1);
    assert_eq!(
        script.ack_epoch(1, 2, z(1, 1)),
        ["1 close"],
        "the epoch is compared first"
    );
    script.greet(1, 1);
    assert_eq!(script.ack_epoch(1, 1, z(1, 3)), ["write current 2"]);
}

/// ZOOKEEPER-4685.
#[test]
fn zookeeper_4685_the_ack_of_newleader_may_come_behind_those_of_proposals() {
    let mut script = Script::leading(used(3, 3));
    script.greet(1, 1);
    script.persist_all();
    script.ack_epoch(1, 1, z(1, 1));
    script.persist_all();
    assert_eq!(script.from(1, PacketKind::ACK, z(1, 2)), NONE);
    assert_eq!(script.from(1, PacketKind::ACK, z(1, 3)), NONE);
    let out = script.from(1, PacketKind::ACK, z(2, 0));
    assert_eq!(out.last().map(String::as_str), Some("1 <- UPTODATE -1"));
}

/// ZOOKEEPER-4394.
#[test]
fn zookeeper_4394_nothing_is_sent_between_newleader_and_uptodate() {
    let mut script = Script::leading_two(used(3, 3));
    script.from(1, PacketKind::PING, z(2, 0));
    script.step(Input::Down(LinkId(1)));
    script.greet(1, 2);
    let expected = [
        "1 <- DIFF 1.3",
        "1 <- history (1.2, 1.3] Committed",
        "1 <- NEWLEADER 2.0",
    ];
    assert_eq!(script.ack_epoch(1, -1, z(1, 2)), expected);
    let out = script.propose([z(2, 1), z(2, 2), z(2, 3)]);
    let expected = [
        "2 <- PROPOSAL 2.1",
        "2 <- PROPOSAL 2.2",
        "2 <- PROPOSAL 2.3",
        "write log 2.1 2.2 2.3",
    ];
    assert_eq!(out, expected);
    script.step(Input::Persisted(Mark::Log(z(2, 3))));
    script.writes.clear();
    assert_eq!(
        script.from(2, PacketKind::ACK, z(2, 1)),
        ["2 <- COMMIT 2.1", "deliver 2.1"]
    );
    // From the log, from memory, not committed.
    let expected = [
        "1 <- UPTODATE -1",
        "1 <- history (1.3, 2.1] Committed",
        "1 <- PROPOSAL 2.2",
        "1 <- PROPOSAL 2.3",
    ];
    assert_eq!(script.from(1, PacketKind::ACK, z(2, 0)), expected);
}

#[test]
fn what_is_committed_and_not_durable_here_is_sent_from_memory() {
    let mut script = Script::leading_two(used(3, 3));
    script.greet(4, 0);
    script.ack_epoch(4, 1, z(1, 3));
    script.propose([z(2, 1), z(2, 2)]);
    script.from(1, PacketKind::ACK, z(2, 1));
    script.from(2, PacketKind::ACK, z(2, 1));
    assert_eq!(
        script.from(4, PacketKind::ACK, z(2, 0)),
        ["4 <- UPTODATE -1", "4 <- INFORM 2.1"]
    );
    script.from(1, PacketKind::ACK, z(2, 2));
    let out = script.from(2, PacketKind::ACK, z(2, 2));
    assert_eq!(
        out,
        ["1 <- COMMIT 2.2", "2 <- COMMIT 2.2", "4 <- INFORM 2.2"]
    );
    assert_eq!(script.persist(), ["deliver 2.2"]);
}

/// The leader's own disk is behind: what a quorum of others has is committed, and stays where it is.
#[test]
fn a_follower_keeps_what_is_committed_without_this_server() {
    let mut script = Script::leading_two(used(3, 3));
    script.propose([z(2, 1), z(2, 2), z(2, 3)]);
    script.from(1, PacketKind::ACK, z(2, 2));
    script.from(2, PacketKind::ACK, z(2, 2));
    script.step(Input::Down(LinkId(1)));
    script.greet(1, 2);
    assert_eq!(
        script.ack_epoch(1, -1, z(2, 2)),
        ["1 <- DIFF 2.2", "1 <- NEWLEADER 2.0"]
    );
    assert_eq!(
        script.from(1, PacketKind::ACK, z(2, 0)),
        ["1 <- UPTODATE -1", "1 <- PROPOSAL 2.3"]
    );
    script.step(Input::Down(LinkId(2)));
    script.greet(2, 2);
    let expected = [
        "2 <- DIFF 2.2",
        "2 <- PROPOSAL 2.2",
        "2 <- COMMIT 2.2",
        "2 <- NEWLEADER 2.0",
    ];
    assert_eq!(script.ack_epoch(2, -1, z(2, 1)), expected);
}

#[test]
fn a_quorum_commits_with_or_without_this_server() {
    let mut script = Script::leading_two(used(3, 3));
    script.propose([z(2, 1)]);
    assert_eq!(script.from(1, PacketKind::ACK, z(2, 1)), NONE);
    let expected = ["1 <- COMMIT 2.1", "2 <- COMMIT 2.1"];
    assert_eq!(script.from(2, PacketKind::ACK, z(2, 1)), expected);
    assert_eq!(script.persist(), ["deliver 2.1"], "when it is durable here");
    script.propose([z(2, 2)]);
    assert_eq!(script.persist(), NONE);
    let expected = ["1 <- COMMIT 2.2", "2 <- COMMIT 2.2", "deliver 2.2"];
    assert_eq!(script.from(2, PacketKind::ACK, z(2, 2)), expected);
    assert_eq!(script.from(1, PacketKind::ACK, z(2, 2)), NONE);
}

#[test]
fn an_ack_counts_for_all_before_it_and_one_for_nothing_ends_the_connection() {
    let mut script = Script::leading_two(used(3, 3));
    script.propose([z(2, 1), z(2, 2), z(2, 3)]);
    script.persist();
    let out = script.from(1, PacketKind::ACK, z(2, 3));
    assert_eq!(out.len(), 2 * 3 + 1);
    assert_eq!(script.from(2, PacketKind::ACK, z(2, 2)), NONE);
    assert_eq!(script.from(2, PacketKind::ACK, z(2, 0)), NONE);
    assert_eq!(script.from(2, PacketKind::ACK, z(2, 4)), ["2 close"]);
}

#[test]
fn what_a_follower_acknowledged_before_it_came_again_does_not_count() {
    let mut script = Script::leading_two(used(3, 3));
    script.step(Input::Down(LinkId(2)));
    script.propose([z(2, 1)]);
    script.from(1, PacketKind::ACK, z(2, 1));
    script.step(Input::Down(LinkId(1)));
    script.greet(1, 2);
    // It is told to cut what it acknowledged, because that is not committed: of another epoch, so by a snapshot.
    let expected = ["1 <- snapshot, 1.3", "1 <- NEWLEADER 2.0"];
    assert_eq!(script.ack_epoch(1, -1, z(2, 1)), expected);
    assert_eq!(script.persist(), NONE, "nobody else has it now");
}

#[test]
fn an_observer_does_not_count() {
    let mut script = Script::leading_two(used(3, 3));
    script.greet(4, 0);
    script.ack_epoch(4, 1, z(1, 3));
    script.from(4, PacketKind::ACK, z(2, 0));
    script.propose([z(2, 1)]);
    script.persist();
    assert_eq!(script.from(4, PacketKind::ACK, z(2, 1)), NONE);
    let out = script.from(1, PacketKind::ACK, z(2, 1));
    assert_eq!(
        out,
        [
            "1 <- COMMIT 2.1",
            "2 <- COMMIT 2.1",
            "4 <- INFORM 2.1",
            "deliver 2.1"
        ]
    );
}

#[test]
fn the_answer_to_a_sync_comes_behind_the_commits_that_it_waits_for() {
    let mut script = Script::leading_two(used(3, 3));
    assert_eq!(
        script.step(Input::Sync(LinkId(1), z(2, 0))),
        ["1 <- SYNC 0.0"]
    );
    script.propose([z(2, 1)]);
    script.persist();
    assert_eq!(script.step(Input::Sync(LinkId(1), z(2, 1))), NONE);
    assert_eq!(script.peer.syncs_that_wait(), 1);
    let out = script.from(2, PacketKind::ACK, z(2, 1));
    assert_eq!(
        out,
        [
            "1 <- COMMIT 2.1",
            "2 <- COMMIT 2.1",
            "deliver 2.1",
            "1 <- SYNC 0.0"
        ]
    );
    assert_eq!(script.peer.syncs_that_wait(), 0);
}

#[test]
fn a_sync_does_not_overtake_a_request_that_is_prepared_and_not_yet_proposed() {
    let mut script = Script::leading_two(used(3, 3));
    assert_eq!(script.step(Input::Sync(LinkId(1), z(2, 1))), NONE);
    script.propose([z(2, 1)]);
    script.persist();
    let out = script.from(2, PacketKind::ACK, z(2, 1));
    assert_eq!(
        out,
        [
            "1 <- COMMIT 2.1",
            "2 <- COMMIT 2.1",
            "deliver 2.1",
            "1 <- SYNC 0.0"
        ]
    );
}

#[test]
fn the_answer_to_a_sync_does_not_fall_behind_later_commits() {
    let mut script = Script::leading_two(used(3, 3));
    script.propose([z(2, 1)]);
    assert_eq!(script.step(Input::Sync(LinkId(1), z(2, 1))), NONE);
    script.propose([z(2, 2)]);
    script.persist_all();
    let out = script.from(2, PacketKind::ACK, z(2, 2));
    let to_one: Vec<_> = out.iter().filter(|line| line.starts_with("1 ")).collect();
    assert_eq!(
        to_one,
        ["1 <- COMMIT 2.1", "1 <- SYNC 0.0", "1 <- COMMIT 2.2"]
    );
}

#[test]
fn requests_and_touches_go_up_from_those_who_serve() {
    let mut script = Script::leading_two(used(3, 3));
    for kind in [
        PacketKind::REQUEST,
        PacketKind::REVALIDATE,
        PacketKind::PING,
    ] {
        assert_eq!(script.from(1, kind, Zxid(-1)), [format!("1 upward {kind}")]);
    }
    script.step(Input::Down(LinkId(1)));
    script.greet(1, 2);
    script.ack_epoch(1, -1, z(1, 3));
    assert_eq!(script.from(1, PacketKind::REQUEST, Zxid(-1)), ["1 close"]);
}

#[test]
fn learners_are_pinged_from_newleader_on_twice_a_tick() {
    let mut script = Script::leading(used(3, 3));
    script.greet(1, 1);
    script.persist_all();
    script.ack_epoch(1, 1, z(1, 3));
    assert_eq!(script.pass(500), NONE);
    script.persist_all();
    assert_eq!(script.pass(500), ["1 <- PING 1.3"]);
    script.from(1, PacketKind::ACK, z(2, 0));
    assert_eq!(script.pass(500), ["1 <- PING 2.0"]);
    assert_eq!(script.peer.deadline(), Some(script.now.after(500)));
}

#[test]
fn a_leader_whose_followers_are_silent_steps_down() {
    let mut script = Script::leading_two(used(3, 3));
    let mut out = Vec::new();
    for _ in 0..9 {
        out.extend(script.pass(500));
    }
    assert!(!out.contains(&"became Looking".to_owned()));
    out.extend(script.pass(500));
    out.extend(script.pass(500));
    assert!(out.contains(&"became Looking".to_owned()), "{out:?}");
    assert_eq!(script.peer.serving(), None);
}

#[test]
fn a_leader_without_a_quorum_in_time_looks_again() {
    let mut script = Script::leading(used(3, 3));
    assert_eq!(script.pass(9_999), NONE);
    assert_eq!(script.pass(1), ["became Looking"]);
    let mut script = Script::leading(used(3, 3));
    script.pass(5_000);
    script.greet(1, 1);
    script.persist_all();
    assert_eq!(script.pass(9_000), NONE, "each wait has its own time");
}

#[test]
fn a_follower_that_acknowledges_too_late_is_cut() {
    let mut script = Script::leading_two(used(3, 3));
    script.propose([z(2, 1)]);
    script.persist();
    script.from(1, PacketKind::ACK, z(2, 1));
    for _ in 0..10 {
        script.pass(500);
        for id in [1, 2] {
            script.from(id, PacketKind::PING, z(2, 1));
        }
    }
    assert_eq!(script.pass(500), ["2 close", "1 <- PING 2.1"]);
}

#[test]
fn a_follower_with_too_much_in_flight_is_cut() {
    let mut config = config(3, members(3, 0));
    // A transaction of the tests has 11 bytes.
    config.bytes_in_flight_max = 30;
    let mut script = Script::elected(config, fresh());
    script.greet(1, 0);
    script.persist_all();
    script.ack_epoch(1, 0, Zxid::ZERO);
    script.persist_all();
    script.from(1, PacketKind::ACK, z(1, 0));
    script.persist_all();
    script.propose([z(1, 1)]);
    script.propose([z(1, 2)]);
    let out = script.propose([z(1, 3)]);
    assert_eq!(out.last().map(String::as_str), Some("1 close"));
}

#[test]
fn strangers_are_refused() {
    use crate::proto::quorum::LearnerInfo;
    let greeting = |serverid, protocol_version, config_version| {
        let info = LearnerInfo {
            serverid,
            protocol_version,
            config_version,
        };
        QuorumPacket::with_data(PacketKind::FOLLOWERINFO, 0, info.encode())
    };
    let cases = [
        ("an old protocol", greeting(1, 1, 0)),
        ("a newer configuration", greeting(1, 0x10000, 1)),
        ("my number", greeting(3, 0x10000, 0)),
        ("no greeting", packet(PacketKind::ACK, Zxid::ZERO)),
        (
            "half a greeting",
            QuorumPacket::with_data(PacketKind::FOLLOWERINFO, 0, vec![1, 2, 3]),
        ),
    ];
    for (name, greeting) in cases {
        let mut script = Script::leading(used(3, 3));
        script.step(Input::Accepted(LinkId(1)));
        assert_eq!(
            script.step(Input::Packet(LinkId(1), greeting)),
            ["1 close"],
            "{name}"
        );
    }
}

#[test]
fn a_learner_that_connects_again_replaces_its_older_connection() {
    let mut script = Script::leading_two(used(3, 3));
    script.step(Input::Accepted(LinkId(7)));
    let info = crate::proto::quorum::LearnerInfo {
        serverid: 1,
        protocol_version: 0x10000,
        config_version: 0,
    };
    let greeting = QuorumPacket::with_data(PacketKind::FOLLOWERINFO, z(2, 0).0, info.encode());
    let out = script.step(Input::Packet(LinkId(7), greeting));
    assert_eq!(out, ["1 close", "7 <- LEADERINFO 2.0"]);
}

#[test]
fn a_silent_learner_is_cut_but_not_while_a_snapshot_is_on_its_way() {
    let mut script = Script::leading_two(used(3, 3));
    script.greet(4, 0);
    assert_eq!(
        script.ack_epoch(4, 0, Zxid(-1)),
        ["4 <- snapshot, 1.3", "4 <- NEWLEADER 2.0"]
    );
    let wait = |script: &mut Script| {
        let mut out = Vec::new();
        for _ in 0..22 {
            out.extend(script.pass(500));
            for id in [1, 2] {
                script.from(id, PacketKind::PING, z(2, 0));
            }
        }
        out
    };
    assert!(!wait(&mut script).contains(&"4 close".to_owned()));
    script.step(Input::SnapshotSent(LinkId(4)));
    assert!(wait(&mut script).contains(&"4 close".to_owned()));
}

#[test]
fn a_reconfiguration_needs_quorums_of_both_configurations() {
    let mut script = Script::leading_two(used(3, 3));
    for id in [4, 5] {
        script.step(Input::Accepted(LinkId(id)));
        let info = crate::proto::quorum::LearnerInfo {
            serverid: id as i64,
            protocol_version: 0x10000,
            config_version: 0,
        };
        let info = QuorumPacket::with_data(PacketKind::FOLLOWERINFO, 0, info.encode());
        script.step(Input::Packet(LinkId(id), info));
        script.ack_epoch(id as i64, 1, z(1, 3));
        script.from(id as i64, PacketKind::ACK, z(2, 0));
    }
    let mut config = members(5, 0);
    config.version = z(2, 1).0;
    let out = script.step(Input::Propose(vec![
        reconfig_txn(z(2, 1), &config),
        txn(z(2, 2)),
    ]));
    assert_eq!(out[8..], ["write seen 2.1", "write log 2.1 2.2"]);
    script.persist_all();
    assert_eq!(
        script.from(1, PacketKind::ACK, z(2, 2)),
        NONE,
        "a quorum of the old one"
    );
    let out = script.from(4, PacketKind::ACK, z(2, 1));
    let activate = |id| format!("{id} <- COMMITANDACTIVATE 2.1");
    assert_eq!(out[0], "write config 2.1");
    assert_eq!(
        out[1..5],
        [activate(1), activate(2), activate(4), activate(5)]
    );
    assert_eq!(out[5..], ["deliver 2.1"], "of the new one, two have more");
    let out = script.from(5, PacketKind::ACK, z(2, 2));
    assert_eq!(out.last().map(String::as_str), Some("deliver 2.2"));
}

/// The followers are gone to the next leader at once, and a client that removed this one here waits for its answer.
#[test]
fn who_hands_over_leaves_when_it_has_applied_what_the_others_committed() {
    let mut script = Script::leading_two(used(3, 3));
    let mut config = members(2, 0);
    config.version = z(2, 1).0;
    script.step(Input::Propose(vec![reconfig_txn(z(2, 1), &config)]));
    script.from(1, PacketKind::ACK, z(2, 1));
    let out = script.from(2, PacketKind::ACK, z(2, 1));
    assert!(out.contains(&"1 <- COMMITANDACTIVATE 2.1".to_owned()));
    script.step(Input::Down(LinkId(1)));
    assert_eq!(script.step(Input::Down(LinkId(2))), NONE);
    let out = script.persist_all();
    assert_eq!(out[0], "deliver 2.1");
    assert!(out[1].starts_with("became "), "{out:?}");
}

#[test]
fn who_is_synced_is_told_when_it_changes() {
    let mut script = Script::leading_two(used(3, 3));
    let mut synced = |input| {
        let mut out = Vec::new();
        script.peer.step(script.now, input, &mut out);
        let told = out.into_iter().filter_map(|output| match output {
            Output::Synced(servers) => Some(servers),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(synced(Input::Tick), Vec::<Vec<ServerId>>::new());
    let left = synced(Input::Down(LinkId(1)));
    assert_eq!(left, [[ServerId(2)]]);
}

/// Seed 3079 of the simulated operator: UPTODATE put members in force, at one that joined, whom no quorum had yet.
#[test]
fn who_joins_during_a_reconfiguration_is_told_the_members_in_force() {
    let mut script = Script::leading_two(used(3, 3));
    let in_force = script.peer.committed_config().clone();
    let mut config = members(2, 0);
    config.version = z(2, 1).0;
    script.step(Input::Propose(vec![reconfig_txn(z(2, 1), &config)]));
    assert_eq!(script.peer.last_seen_config(), &config);
    script.greet(4, 1);
    let mut out = Vec::new();
    let ack = QuorumPacket::with_number(PacketKind::ACKEPOCH, z(1, 3).0, 1);
    script
        .peer
        .step(script.now, Input::Packet(LinkId(4), ack), &mut out);
    let told = out.into_iter().find_map(|output| match output {
        Output::Send(_, packet) if packet.kind == PacketKind::NEWLEADER => packet.data,
        _ => None,
    });
    assert_eq!(told.unwrap(), in_force.to_string());
}

/// Seed 429 of the simulated operator: the members that were proposed need a server that observes until they are in force.
#[test]
fn an_observer_that_is_to_vote_counts_when_the_new_members_are_needed() {
    let mut config = config(3, members(3, 1));
    let mut newer = members(3, 0);
    newer.servers = members(5, 0).servers;
    newer.servers.retain(|id, _| id.0 > 2 && id.0 < 5);
    newer.version = z(1, 3).0;
    config.last_seen = Some(newer);
    let mut script = Script::elected_with(config, used(3, 2), &[1, 2, 4]);
    for id in [1, 2, 4] {
        script.greet(id, 1);
    }
    script.persist_all();
    for id in [1, 2, 4] {
        script.ack_epoch(id, 1, z(1, 3));
    }
    script.persist_all();
    for id in [1, 2] {
        script.from(id, PacketKind::ACK, z(2, 0));
    }
    assert_eq!(script.peer.serving(), None, "4 is missing");
    script.from(4, PacketKind::ACK, z(2, 0));
    assert_eq!(script.peer.serving(), Some(Epoch(2)));
}
