//! A tree from elsewhere, at once or not at all; and what a member of an ensemble sees of its log.

use super::*;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const CHILD_DIR: &str = "FERROKEEPER_TEST_INSTALL_DIR";
const EPOCH: i64 = 3 << 32;

/// A batch that holds the nodes /s1 to /s`nodes`.
fn batch(zxid: i64, nodes: i64) -> CheckpointBatch {
    let mut batch = CheckpointBatch::new(zxid);
    for n in 1..=nodes {
        let node = NodeRecord {
            czxid: n,
            mzxid: n,
            data: Some(b"from elsewhere"),
            ..NodeRecord::default()
        };
        batch.put_node(&format!("/s{n}"), &node);
    }
    batch.put_session(7, 4000);
    batch.put_acl(1, b"list");
    batch
}

fn write(install: &Install, mut batch: CheckpointBatch) {
    let mut tree = install.begin().unwrap();
    tree.put(&mut batch).unwrap();
    assert!(tree.finish().unwrap());
}

/// Puts the old log's end at zxid 20 and its state at 10, and installs a tree of 50 nodes over it.
fn installed(dir: &Path) -> (Storage, i64) {
    let (mut storage, _) = open_at(dir).unwrap();
    append(&mut storage.log, 1..=20, 10);
    let mut old = CheckpointBatch::new(10);
    old.put_node("/old", &NodeRecord::default());
    storage.state.write(old).unwrap();
    let zxid = EPOCH + 5;
    let install = storage.places.begin_install(zxid).unwrap();
    write(&install, batch(zxid, 25));
    write(&install, batch(zxid, 50));
    install.switch(&mut storage.log, &storage.state).unwrap();
    (storage, zxid)
}

#[test]
fn the_new_tree_replaces_state_and_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, zxid) = installed(dir.path());
    assert_eq!(storage.log.last_zxid(), zxid);
    assert_eq!(storage.state.durable_zxid(), zxid);
    let empty = Runs {
        base: zxid,
        runs: Vec::new(),
    };
    assert_eq!(storage.log.handle().runs().unwrap(), empty);
    append(&mut storage.log, zxid + 1..=zxid + 3, 10);
    storage
        .state
        .write(CheckpointBatch::new(zxid + 1).behind(1))
        .unwrap();
    drop(storage);

    let (storage, restored) = open_at(dir.path()).unwrap();
    assert_eq!(restored.marker, Some(zxid + 1));
    assert_eq!(restored.replayed, [zxid + 2, zxid + 3]);
    let nodes = &restored.twin.nodes;
    assert!(nodes.contains_key("/s50") && !nodes.contains_key("/old"));
    assert_eq!(nodes.len(), 50 + 2);
    assert_eq!(restored.twin.sessions.len(), 1);
    let log = storage.log.handle();
    assert_eq!(log.read_from(0).next().unwrap().unwrap().0, zxid + 1);
    assert_eq!(log.purged_zxid(), zxid);
    // What is not in use is gone.
    assert!(!log_db(dir.path()).exists() && !state_db(dir.path()).exists());
}

#[test]
fn installs_may_follow_one_another() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, mut zxid) = installed(dir.path());
    for round in 1..4 {
        // Also to a zxid below the log's end: another leader's history is shorter.
        zxid += if round == 2 { -2 } else { 40 };
        let last = storage.log.last_zxid();
        append(&mut storage.log, last + 1..=last + 9, 10);
        let install = storage.places.begin_install(zxid).unwrap();
        write(&install, batch(zxid, round));
        install.switch(&mut storage.log, &storage.state).unwrap();
        assert_eq!(storage.log.last_zxid(), zxid);
    }
    drop(storage);
    let (storage, restored) = open_at(dir.path()).unwrap();
    assert_eq!(storage.log.last_zxid(), zxid);
    assert_eq!(restored.twin.nodes.len(), 3);
}

#[test]
fn an_install_that_is_given_up_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=20, 10);
    let install = storage.places.begin_install(EPOCH).unwrap();
    write(&install, batch(EPOCH, 5));
    drop(install);
    append(&mut storage.log, 21..=22, 10);
    drop(storage);
    assert!(!dir.path().join("ferrokeeper/log/1").exists());
    assert!(!dir.path().join("ferrokeeper/state/1").exists());
    let (storage, restored) = open_at(dir.path()).unwrap();
    assert_eq!(storage.log.last_zxid(), 22);
    assert_eq!(restored.replayed.len(), 22);
}

#[test]
fn every_handle_sees_the_new_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    let handle = storage.log.handle();
    append(&mut storage.log, 1..=20, 10);
    let mut reader = handle.read_from(1);
    let install = storage.places.begin_install(EPOCH).unwrap();
    install.switch(&mut storage.log, &storage.state).unwrap();
    append(&mut storage.log, EPOCH + 1..=EPOCH + 2, 10);
    // What was being read is read to its end.
    assert_eq!(reader.next().unwrap().unwrap().0, 1);
    assert_eq!(
        (handle.purged_zxid(), handle.last_zxid()),
        (EPOCH, EPOCH + 2)
    );
    let first = handle.read_from(1).next().unwrap().unwrap().0;
    assert_eq!(first, EPOCH + 1);
    handle.sync().unwrap();
}

#[test]
fn checkpoints_of_a_tree_that_was_replaced_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, zxid) = installed(dir.path());
    append(&mut storage.log, zxid + 1..=zxid + 3, 10);
    let mut stale = CheckpointBatch::new(zxid + 1);
    stale.put_node("/stale", &NodeRecord::default());
    storage.state.write(stale).unwrap();
    let mut good = CheckpointBatch::new(zxid + 2).behind(1);
    good.put_node("/good", &NodeRecord::default());
    storage.state.write(good).unwrap();
    drop(storage);
    let (_, restored) = open_at(dir.path()).unwrap();
    assert_eq!(restored.marker, Some(zxid + 2));
    assert!(restored.twin.nodes.contains_key("/good"));
    assert!(!restored.twin.nodes.contains_key("/stale"));
}

/// Before the file `generation` is replaced the old stores count, whatever there is of new ones; afterwards the new
/// ones, whatever is left of the old.
#[test]
fn a_crash_at_any_step_leaves_the_old_or_the_new() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=20, 10);
    let mut images = Vec::new();
    let install = storage.places.begin_install(EPOCH).unwrap();
    images.push(crash_image(dir.path()));
    write(&install, batch(EPOCH, 25));
    images.push(crash_image(dir.path()));
    install.switch(&mut storage.log, &storage.state).unwrap();
    for image in &images {
        let (storage, restored) = open_at(image.path()).unwrap();
        assert_eq!(storage.log.last_zxid(), 20);
        assert_eq!(restored.replayed.len(), 20);
        assert!(!image.path().join("ferrokeeper/log/1").exists());
        assert!(!image.path().join("ferrokeeper/state/1").exists());
    }
    // The old stores back beside the new ones: switched, but not tidied up.
    let after = crash_image(dir.path());
    drop(storage);
    for part in ["log", "state"] {
        let old = images[0].path().join("ferrokeeper").join(part).join("db");
        let there = after.path().join("ferrokeeper").join(part).join("db");
        fs::create_dir(&there).unwrap();
        copy_tree(&old, &there);
    }
    let (storage, restored) = open_at(after.path()).unwrap();
    assert_eq!(storage.log.last_zxid(), EPOCH);
    assert_eq!(restored.twin.nodes.len(), 25);
    assert!(!log_db(after.path()).exists() && !state_db(after.path()).exists());
}

#[test]
fn lost_stores_are_damage_after_an_install_too() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, zxid) = installed(dir.path());
    append(&mut storage.log, zxid + 1..=zxid + 3, 10);
    drop(storage);
    let log = dir.path().join("ferrokeeper/log/1");
    fs::remove_dir_all(log.join("db")).unwrap();
    assert!(matches!(refusal(dir.path()), StorageError::Damaged { .. }));
    fs::remove_dir_all(&log).unwrap();
    assert!(matches!(
        refusal(dir.path()),
        StorageError::Damaged { .. } | StorageError::Io { .. }
    ));
    fs::write(dir.path().join("ferrokeeper/state/generation"), "x").unwrap();
    assert!(matches!(refusal(dir.path()), StorageError::Damaged { .. }));
}

#[test]
fn a_member_of_an_ensemble_keeps_its_tail_as_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=20, 10);
    storage.state.write(CheckpointBatch::new(12)).unwrap();
    drop(storage);
    let config = StorageConfig {
        replay: Replay::None,
        ..config(dir.path())
    };
    let mut restored = Restored::default();
    let storage = open(&config, &mut restored).unwrap();
    assert_eq!((restored.marker, restored.replayed.len()), (Some(12), 0));
    assert_eq!((storage.opened.marker, storage.opened.last_zxid), (12, 20));
    let log = storage.log.handle();
    let mut tail = log.read_from(13);
    assert_eq!(tail.next().unwrap().unwrap().0, 13);
}

#[test]
fn runs_show_epochs_and_no_holes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    let runs = |storage: &Storage| storage.log.handle().runs().unwrap();
    assert_eq!(runs(&storage), Runs::default());
    append(&mut storage.log, 1..=20, 10);
    append(&mut storage.log, 21..=30, 10);
    append(&mut storage.log, EPOCH + 1..=EPOCH + 4, 10);
    let whole = Runs {
        base: 0,
        runs: vec![(1, 30), (EPOCH + 1, EPOCH + 4)],
    };
    assert_eq!(runs(&storage), whole);
    storage.log.truncate(EPOCH + 2).unwrap();
    assert_eq!(runs(&storage).runs[1], (EPOCH + 1, EPOCH + 2));
    storage.log.truncate(25).unwrap();
    assert_eq!(runs(&storage).runs, [(1, 25)]);
    // Holes: within an epoch, and in front of one.
    append(&mut storage.log, 27..=28, 10);
    let behind = Runs {
        base: 26,
        runs: vec![(27, 28)],
    };
    assert_eq!(runs(&storage), behind);
    append(&mut storage.log, EPOCH + 2..=EPOCH + 3, 10);
    let behind = Runs {
        base: EPOCH + 1,
        runs: vec![(EPOCH + 2, EPOCH + 3)],
    };
    assert_eq!(runs(&storage), behind);
}

/// Not a test of its own: the process that is killed.
#[test]
fn child_installs_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else {
        return;
    };
    let (mut storage, _) = open_at(Path::new(&dir)).unwrap();
    loop {
        let last = storage.log.last_zxid();
        append(&mut storage.log, last + 1..=last + 5, 100);
        let zxid = last + 10;
        println!("from {} to {zxid}", last + 5);
        let install = storage.places.begin_install(zxid).unwrap();
        write(&install, batch(zxid, zxid));
        install.switch(&mut storage.log, &storage.state).unwrap();
        println!("done {zxid}");
    }
}

#[test]
fn sigkill_leaves_the_old_or_the_new() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..8u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "storage::tests::install::child_installs_until_it_is_killed",
            ])
            .arg("--nocapture")
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Lines after which the signal comes; where in the next step it hits is up to the machine.
        let mut left = 1 + round % 5;
        let (mut from, mut to, mut done) = (0, 0, 0);
        for line in lines {
            let Ok(line) = line else { break };
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                [.., "from", old, "to", new] => {
                    (from, to) = (old.parse::<i64>().unwrap(), new.parse::<i64>().unwrap());
                }
                [.., "done", new] => done = new.parse().unwrap(),
                _ => continue,
            }
            left = left.saturating_sub(1);
            if left == 0 {
                child.kill().unwrap();
            }
        }
        let status = child.wait().unwrap();
        assert!(!status.success() && left == 0, "ended by itself: {status}");
        let (storage, restored) = open_at(dir.path()).unwrap();
        let last = storage.log.last_zxid();
        // What it did after its last line is allowed: the switch, or the next append.
        let allowed = if done == to { [to, to + 5] } else { [from, to] };
        assert!(
            allowed.contains(&last),
            "round {round}: {last} of {allowed:?}"
        );
        let nodes = restored.twin.nodes.len() as i64;
        assert_eq!(nodes, last, "round {round}: one node for each zxid");
    }
}
