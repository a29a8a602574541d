//! Ensembles from the first election to reconfiguration, with instant network and disks.

use super::cluster::Cluster;
use super::*;

fn running(voters: i64, observers: i64) -> Cluster {
    let mut cluster = Cluster::new(&members(voters, observers));
    cluster.start_all();
    let all: Vec<i64> = (1..=voters + observers).collect();
    cluster.until_served_by(&all);
    cluster
}

#[test]
fn three_servers_elect_the_largest_and_commit() {
    let mut cluster = running(3, 0);
    assert_eq!(cluster.leader(), Some(3));
    assert_eq!(cluster.commit(5), z(1, 5));
    cluster.assert_trees_equal(&[1, 2, 3]);
    assert_eq!(cluster.nodes[&1].store.tree.len(), 5);
    for node in cluster.nodes.values() {
        assert_eq!(
            (node.store.accepted, node.store.current),
            (Epoch(1), Epoch(1))
        );
    }
}

#[test]
fn one_voter_is_an_ensemble() {
    let mut cluster = running(1, 0);
    cluster.commit(2);
    assert_eq!(cluster.nodes[&1].store.tree, [z(1, 1), z(1, 2)]);
}

#[test]
fn the_others_go_on_when_the_leader_dies_and_it_comes_back_as_a_follower() {
    let mut cluster = running(3, 0);
    cluster.commit(3);
    cluster.crash(3);
    cluster.until("a new leader", |cluster| cluster.leader() == Some(2));
    cluster.until_served_by(&[1, 2]);
    assert_eq!(cluster.commit(2), z(2, 2));
    cluster.start(3);
    cluster.until_served_by(&[1, 2, 3]);
    assert_eq!(cluster.leader(), Some(2));
    cluster.assert_trees_equal(&[1, 2, 3]);
    assert_eq!(cluster.nodes[&3].store.base, Zxid::ZERO, "from the log");
}

#[test]
fn a_leader_without_a_quorum_steps_down() {
    let mut cluster = running(3, 0);
    cluster.crash(1);
    cluster.crash(2);
    cluster.until("stepped down", |cluster| cluster.leader().is_none());
    assert_eq!(cluster.peer(3).status(), Status::Looking);
    cluster.start(1);
    cluster.until_served_by(&[1, 3]);
}

#[test]
fn a_tail_that_nobody_else_has_is_dropped_and_the_rest_kept() {
    let mut cluster = running(3, 0);
    cluster.commit(3);
    cluster.cut_off(3);
    cluster.commit(4);
    assert_eq!(cluster.peer(3).log().last(), z(1, 7));
    assert_eq!(cluster.nodes[&3].store.tree.len(), 3, "not committed");
    cluster.until("a new leader", |cluster| {
        cluster.leader() == Some(2) && cluster.serves(&[1])
    });
    cluster.reconnect(3);
    cluster.until_served_by(&[1, 2, 3]);
    cluster.commit(2);
    cluster.assert_trees_equal(&[1, 2, 3]);
    assert_eq!(
        cluster.nodes[&3].store.base,
        Zxid::ZERO,
        "cut, not replaced"
    );
    assert_eq!(cluster.nodes[&3].store.log.len(), 5);
}

#[test]
fn a_newcomer_gets_a_snapshot_when_the_log_does_not_reach_back() {
    let mut cluster = running(3, 0);
    cluster.crash(1);
    cluster.commit(10);
    for id in [2, 3] {
        cluster.purge(id);
    }
    cluster.start(1);
    cluster.until_served_by(&[1, 2, 3]);
    cluster.assert_trees_equal(&[1, 2, 3]);
    assert_eq!(cluster.nodes[&1].store.base, z(1, 10), "from a snapshot");
    cluster.commit(1);
    cluster.assert_trees_equal(&[1, 2, 3]);
}

#[test]
fn a_tail_of_an_epoch_without_history_is_replaced_by_a_snapshot() {
    let mut cluster = running(3, 0);
    cluster.commit(3);
    cluster.crash(1);
    cluster.crash(2);
    // Of the first epoch that nobody else hears of.
    cluster.commit(2);
    cluster.crash(3);
    cluster.start(1);
    cluster.start(2);
    cluster.until_served_by(&[1, 2]);
    cluster.commit(1);
    // 3 has (1, 5), the others (1, 3) and (2, 1).
    cluster.crash(1);
    cluster.crash(2);
    let store = &mut cluster.nodes.get_mut(&3).unwrap().store;
    assert_eq!(store.log.last().unwrap().zxid, z(1, 5));
    cluster.start_all();
    cluster.until_served_by(&[1, 2, 3]);
    cluster.commit(1);
    cluster.assert_trees_equal(&[1, 2, 3]);
    assert!(!cluster.nodes[&3].store.tree.contains(&z(1, 4)));
}

#[test]
fn an_uncommitted_tail_that_an_elected_server_has_is_committed() {
    let mut cluster = running(3, 0);
    cluster.commit(2);
    cluster.crash(1);
    cluster.crash(2);
    cluster.commit(2);
    assert_eq!(cluster.nodes[&3].store.tree.len(), 2);
    cluster.until("stepped down", |cluster| cluster.leader().is_none());
    cluster.start(1);
    cluster.until_served_by(&[1, 3]);
    assert_eq!(cluster.leader(), Some(3));
    cluster.assert_trees_equal(&[1, 3]);
    assert_eq!(cluster.nodes[&1].store.tree.len(), 4);
}

#[test]
fn observers_learn_and_do_not_count() {
    let mut cluster = running(3, 2);
    cluster.commit(4);
    cluster.assert_trees_equal(&[1, 2, 3, 4, 5]);
    assert_eq!(cluster.peer(4).status(), Status::Observing(ServerId(3)));
    cluster.crash(1);
    cluster.crash(2);
    cluster.until("stepped down", |cluster| cluster.leader().is_none());
    cluster.start(1);
    cluster.until_served_by(&[1, 3, 4, 5]);
    cluster.commit(1);
    cluster.assert_trees_equal(&[1, 3, 4, 5]);
}

#[test]
fn a_late_observer_catches_up_with_what_is_committed() {
    let mut cluster = running(3, 1);
    cluster.crash(4);
    cluster.commit(4);
    cluster.start(4);
    cluster.until_served_by(&[4]);
    cluster.assert_trees_equal(&[1, 2, 3, 4]);
}

#[test]
fn all_crash_and_come_back() {
    let mut cluster = running(5, 0);
    for round in 1..=4 {
        let end = cluster.commit(3);
        assert_eq!(end.epoch(), Epoch(round));
        for id in 1..=5 {
            cluster.crash(id);
        }
        cluster.start_all();
        cluster.until_served_by(&[1, 2, 3, 4, 5]);
    }
    cluster.assert_trees_equal(&[1, 2, 3, 4, 5]);
    assert_eq!(cluster.nodes[&1].store.tree.len(), 12);
}

#[test]
fn an_idle_ensemble_stays_as_it_is() {
    let mut cluster = running(3, 1);
    cluster.commit(1);
    cluster.pass(120_000);
    assert_eq!(cluster.leader(), Some(3));
    for node in cluster.nodes.values() {
        assert_eq!(node.store.current, Epoch(1));
    }
    assert!(cluster.serves(&[1, 2, 3, 4]));
}

#[test]
fn the_first_configuration_gets_the_epoch_as_its_version() {
    let cluster = running(3, 0);
    for node in cluster.nodes.values() {
        assert_eq!(node.store.committed.version, z(1, 0).0);
    }
}

fn reconfigure(cluster: &mut Cluster, mut config: Membership) {
    let leader = cluster.leader().unwrap();
    let epoch = cluster.nodes[&leader].serving.unwrap();
    let zxid = cluster
        .peer(leader)
        .log()
        .last()
        .max(Zxid::new(epoch, 0))
        .next();
    config.version = zxid.0;
    let txn = reconfig_txn(zxid, &config);
    cluster.input(leader, Input::Propose(vec![txn]));
}

#[test]
fn a_server_joins_as_a_guest_and_becomes_a_voter() {
    let mut cluster = running(3, 0);
    cluster.commit(2);
    // It knows itself and some of the others.
    cluster.add(4, &members(4, 0));
    cluster.start(4);
    cluster.until_served_by(&[4]);
    cluster.assert_trees_equal(&[1, 2, 3, 4]);
    reconfigure(&mut cluster, members(4, 0));
    cluster.until_served_by(&[1, 2, 3, 4]);
    for node in cluster.nodes.values() {
        assert!(node.store.committed.is_voter(ServerId(4)));
        assert_eq!(node.store.committed.version, z(1, 3).0);
    }
    cluster.commit(1);
    cluster.crash(1);
    cluster.until_served_by(&[2, 3, 4]);
    cluster.commit(1);
    cluster.assert_trees_equal(&[2, 3, 4]);
}

#[test]
fn a_leader_that_is_removed_hands_over() {
    let mut cluster = running(3, 0);
    cluster.commit(2);
    let mut config = members(3, 0);
    config.servers.remove(&ServerId(3));
    reconfigure(&mut cluster, config);
    cluster.until("another leads", |cluster| {
        matches!(cluster.leader(), Some(1 | 2)) && cluster.serves(&[1, 2])
    });
    cluster.commit(1);
    cluster.assert_trees_equal(&[1, 2]);
    cluster.until_served_by(&[3]);
    cluster.assert_trees_equal(&[1, 2, 3]);
}

#[test]
fn an_observer_becomes_a_voter_and_a_voter_an_observer() {
    let mut cluster = running(3, 1);
    cluster.commit(1);
    let swap: Membership =
        "server.1=h1:1:2:observer\nserver.2=h2:1:2\nserver.3=h3:1:2\nserver.4=h4:1:2"
            .parse()
            .unwrap();
    reconfigure(&mut cluster, swap);
    cluster.until("all serve in their new parts", |cluster| {
        cluster.serves(&[1, 2, 3, 4])
            && matches!(cluster.peer(1).status(), Status::Observing(_))
            && !matches!(cluster.peer(4).status(), Status::Observing(_))
    });
    cluster.commit(1);
    cluster.assert_trees_equal(&[1, 2, 3, 4]);
}
