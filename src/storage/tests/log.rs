//! Appending, reading, cutting, purging.

use super::*;

fn read(log: &Log, from: i64) -> Vec<i64> {
    let handle = log.handle();
    let mut reader = handle.read_from(from);
    let mut found = Vec::new();
    while let Some((zxid, txn)) = reader.next().unwrap() {
        assert_eq!(group::zxid_of(txn), Some(zxid));
        found.push(zxid);
    }
    found
}

#[test]
fn a_fresh_store_is_empty_and_what_is_appended_is_replayed_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, restored) = open_at(dir.path()).unwrap();
    assert_eq!(restored.marker, Some(0));
    assert!(restored.replayed.is_empty());
    let (mut log, state) = storage.split();
    append(&mut log, 1..=3, 10);
    append(&mut log, 4..=4, 10);
    drop((log, state));
    let (storage, restored) = open_at(dir.path()).unwrap();
    assert_eq!(restored.replayed, [1, 2, 3, 4]);
    assert_eq!(storage.opened.replayed, 4);
    assert_eq!(storage.log.last_zxid(), 4);
}

#[test]
fn reading_begins_within_a_group() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=5, 10);
    append(&mut storage.log, 8..=9, 10);
    assert_eq!(read(&storage.log, 0), [1, 2, 3, 4, 5, 8, 9]);
    assert_eq!(read(&storage.log, 4), [4, 5, 8, 9]);
    assert_eq!(read(&storage.log, 6), [8, 9]);
    assert_eq!(read(&storage.log, 10), []);
}

#[test]
fn a_cut_within_a_group_holds_after_a_crash_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=5, 10);
    append(&mut storage.log, 6..=9, 10);
    storage.log.truncate(3).unwrap();
    assert_eq!(storage.log.last_zxid(), 3);
    assert_eq!(read(&storage.log, 0), [1, 2, 3]);
    let image = crash_image(dir.path());
    assert_eq!(open_at(image.path()).unwrap().1.replayed, [1, 2, 3]);

    append(&mut storage.log, 4..=4, 10);
    append(&mut storage.log, 0x1_0000_0001..=0x1_0000_0002, 10);
    let image = crash_image(dir.path());
    let replayed = open_at(image.path()).unwrap().1.replayed;
    assert_eq!(replayed, [1, 2, 3, 4, 0x1_0000_0001, 0x1_0000_0002]);
}

#[test]
fn a_cut_between_groups_and_down_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=2, 10);
    append(&mut storage.log, 5..=6, 10);
    storage.log.truncate(4).unwrap();
    assert_eq!(read(&storage.log, 0), [1, 2]);
    storage.log.truncate(0).unwrap();
    assert_eq!(
        (storage.log.last_zxid(), read(&storage.log, 0)),
        (0, vec![])
    );
    drop(storage);
    assert_eq!(open_at(dir.path()).unwrap().1.replayed, []);
}

#[test]
fn a_failed_write_poisons_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=2, 10);
    let handle = storage.log.handle();
    handle.fail_next_write();
    let mut bytes = Vec::new();
    group::push(&mut bytes, &txn(3, "/n3", None));
    let error = storage.log.append(3, &bytes).unwrap_err();
    assert_eq!(error.exit_code(), 10, "{error}");
    for _ in 0..2 {
        let error = storage.log.append(3, &bytes).unwrap_err();
        assert!(matches!(error, StorageError::Poisoned { .. }), "{error}");
    }
    assert!(storage.log.truncate(1).is_err());
    assert!(handle.purge(2, 0).is_err());
    assert_eq!(storage.log.last_zxid(), 2, "nothing was acknowledged");
    assert_eq!(read(&storage.log, 0), [1, 2], "reads go on");
    drop((storage, handle));
    assert_eq!(open_at(dir.path()).unwrap().1.replayed, [1, 2]);
}

#[test]
#[should_panic(expected = "does not follow")]
fn a_group_that_goes_back_is_a_broken_invariant() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 5..=6, 10);
    append(&mut storage.log, 6..=7, 10);
}

#[test]
#[should_panic(expected = "0x6 is below the state's 0x7")]
fn cutting_off_what_the_state_holds_is_a_broken_invariant() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=9, 10);
    storage.state.write(CheckpointBatch::new(7)).unwrap();
    storage.log.truncate(7).unwrap();
    let _ = storage.log.truncate(6);
}

fn size(dir: &Path) -> u64 {
    files(dir, ".sst")
        .iter()
        .map(|f| fs::metadata(f).map_or(0, |m| m.len()))
        .sum()
}

#[test]
fn a_purge_frees_files_and_keeps_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    for zxid in (1..=4000).step_by(10) {
        append(&mut storage.log, zxid..=zxid + 9, 1000);
    }
    let mut batch = CheckpointBatch::new(3900);
    let mut twin = Twin::default();
    for zxid in 1..=3900 {
        let path = twin.apply(&txn(zxid, &format!("/n{zxid}"), Some(&[zxid as u8; 1000])));
        twin.put_into(&path, &mut batch);
    }
    let handle = storage.log.handle();
    assert!(
        !handle.purge(storage.state.durable_zxid(), 500).unwrap(),
        "nothing is durable yet"
    );
    storage.state.write(batch).unwrap();
    assert_eq!(storage.state.durable_zxid(), 3900);

    let before = size(&log_db(dir.path()));
    // Files of level 0 only go when a background move has taken them down.
    handle.settle();
    assert!(handle.purge(3900, 500).unwrap());
    let after = size(&log_db(dir.path()));
    assert!(after * 2 < before, "{before} bytes, then {after}");

    let kept = read(&storage.log, 3401);
    assert_eq!(
        kept,
        (3401..=4000).collect::<Vec<_>>(),
        "500 before the marker, and all after"
    );
    assert_eq!(handle.purged_zxid(), 3400);
    drop((storage, handle));

    let (storage, restored) = open_at(dir.path()).unwrap();
    assert_eq!(restored.twin.nodes.len(), 4000);
    assert_eq!(restored.replayed, (3901..=4000).collect::<Vec<_>>());
    drop(storage);

    // A state that is lost cannot be made again from a purged log.
    fs::remove_dir_all(dir.path().join("ferrokeeper/state")).unwrap();
    let error = refusal(dir.path()).to_string();
    assert!(error.contains("the log begins after 0xd48"), "{error}");
}

#[test]
fn a_lost_state_is_made_again_from_a_log_that_was_never_purged() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=9, 10);
    let mut batch = CheckpointBatch::new(9);
    batch.put_session(1, 1);
    storage.state.write(batch).unwrap();
    drop(storage);
    fs::remove_dir_all(dir.path().join("ferrokeeper/state")).unwrap();
    let (_, restored) = open_at(dir.path()).unwrap();
    assert_eq!(restored.twin.nodes.len(), 9);
}

#[test]
fn without_force_sync_everything_is_still_there_after_a_sigkill() {
    let dir = tempfile::tempdir().unwrap();
    let config = StorageConfig {
        force_sync: false,
        ..config(dir.path())
    };
    let mut storage = open(&config, &mut Restored::default()).unwrap();
    append(&mut storage.log, 1..=9, 10);
    let mut batch = CheckpointBatch::new(4);
    batch.put_acl(1, b"world");
    storage.state.write(batch).unwrap();
    let image = crash_image(dir.path());
    assert_eq!(open_at(image.path()).unwrap().1.replayed, [5, 6, 7, 8, 9]);
}

#[test]
fn who_need_not_wait_for_the_disk_may_have_to_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open(&config(dir.path()), &mut Restored::default()).unwrap();
    let acknowledged = |dir: &Path| {
        let log = open_at(dir).unwrap();
        (log.0.log.last_zxid(), log.1.replayed.len())
    };
    append(&mut storage.log, 1..=3, 10);
    storage.log.set_eager(false).unwrap();
    assert!(!storage.log.handle().is_eager());
    append(&mut storage.log, 4..=6, 10);
    // The state is never ahead of the log, whoever waits.
    let mut batch = CheckpointBatch::new(5);
    batch.put_acl(1, b"world");
    storage.state.write(batch).unwrap();
    storage.log.set_eager(true).unwrap();
    assert!(storage.log.handle().is_eager());
    append(&mut storage.log, 7..=9, 10);
    assert_eq!(acknowledged(crash_image(dir.path()).path()), (9, 4));

    let other = tempfile::tempdir().unwrap();
    let never = StorageConfig {
        force_sync: false,
        ..config(other.path())
    };
    let mut storage = open(&never, &mut Restored::default()).unwrap();
    storage.log.set_eager(true).unwrap();
    assert!(!storage.log.handle().is_eager(), "forceSync=no is for all");
}

#[test]
fn a_warmed_log_recycles_from_the_start_and_holds_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let config = StorageConfig {
        warm_log: true,
        ..config(dir.path())
    };
    let mut storage = open(&config, &mut Restored::default()).unwrap();
    // Some while it warms, some after.
    append(&mut storage.log, 1..=5, 100);
    let last = |dir: &Path| files(&log_db(dir), ".log").pop().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    // A WAL that was just made has the size of what was written to it.
    while fs::metadata(last(dir.path())).unwrap().len() < 256 << 10 {
        assert!(Instant::now() < deadline, "it never gets warm");
        std::thread::sleep(Duration::from_millis(1));
    }
    append(&mut storage.log, 6..=9, 100);
    let image = crash_image(dir.path());
    let (_, restored) = open_at(image.path()).unwrap();
    assert_eq!(restored.replayed, (1..=9).collect::<Vec<_>>());
    drop(storage);
    let (storage, restored) = open_at(dir.path()).unwrap();
    assert_eq!(restored.replayed, (1..=9).collect::<Vec<_>>());
    assert_eq!(storage.log.last_zxid(), 9);
}
