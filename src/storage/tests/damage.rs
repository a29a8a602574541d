//! Damage is an error, or it was never acknowledged; it is never a shorter log or tree.

use super::*;

/// A store with `groups` acknowledged groups in its WAL, and its crash image.
fn image_of(groups: i64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    for zxid in 1..=groups {
        append(&mut storage.log, zxid..=zxid, 100);
    }
    crash_image(dir.path())
}

/// The one WAL that holds something.
fn wal(dir: &Path) -> PathBuf {
    let mut wals = files(&log_db(dir), ".log");
    wals.retain(|path| fs::metadata(path).unwrap().len() > 0);
    assert_eq!(wals.len(), 1, "{wals:?}");
    wals.remove(0)
}

/// Where the bytes of a transaction's data begin in a file.
fn find(file: &Path, zxid: i64) -> usize {
    let bytes = fs::read(file).unwrap();
    let needle = txn(zxid, &format!("/n{zxid}"), Some(&[zxid as u8; 100]));
    let found = bytes
        .windows(needle.len())
        .position(|window| window == needle);
    found.expect("the transaction is in the file")
}

#[test]
fn a_torn_tail_loses_nothing_that_was_acknowledged() {
    let image = image_of(21);
    let wal_name = wal(image.path());
    let bytes = fs::read(&wal_name).unwrap();
    // The last group was being written: its mark never was.
    let (mark, _) = mark::AckMark::open(&image.path().join("ferrokeeper/log")).unwrap();
    mark.advance(20).unwrap();
    let end_of_20 = find(&wal_name, 20) + txn(20, "/n20", Some(&[0; 100])).len();
    let end = find(&wal_name, 21) + txn(21, "/n21", Some(&[0; 100])).len();
    // Every offset of the record's header, and some of its body.
    let cuts = (end_of_20..end_of_20 + 40).chain((end_of_20 + 40..end).step_by(17));
    for cut in cuts.chain([end - 1]) {
        let mut zeros = bytes[..cut].to_vec();
        zeros.resize(bytes.len() + 5000, 0);
        let mut old = bytes[..cut].to_vec();
        old.extend_from_slice(&bytes[cut / 2..cut]);
        for (name, torn) in [
            ("cut", bytes[..cut].to_vec()),
            ("zeros", zeros),
            ("old", old),
        ] {
            let case = crash_image(image.path());
            fs::write(wal(case.path()), torn).unwrap();
            let (storage, restored) = open_at(case.path()).unwrap();
            let all: Vec<i64> = (1..=20).collect();
            assert_eq!(restored.replayed, all, "{name} at {cut}");
            drop(storage);
        }
    }
    let whole = crash_image(image.path());
    assert_eq!(open_at(whole.path()).unwrap().1.replayed.len(), 21);
}

#[test]
fn a_tail_torn_below_the_mark_is_damage() {
    let image = image_of(20);
    let file = wal(image.path());
    let bytes = fs::read(&file).unwrap();
    for cut in [
        0,
        1,
        200,
        find(&file, 10),
        find(&file, 20) - 1,
        find(&file, 20) + 30,
    ] {
        let case = crash_image(image.path());
        fs::write(wal(case.path()), &bytes[..cut]).unwrap();
        let error = refusal(case.path());
        assert!(
            matches!(error, StorageError::Damaged { .. }),
            "{cut}: {error}"
        );
        let text = error.to_string();
        assert!(text.contains("0x14 was acknowledged"), "{text}");
        assert!(
            text.contains("restore both directories from a backup"),
            "{text}"
        );
        // Opening has to change nothing about that.
        let again = refusal(case.path());
        assert!(
            matches!(again, StorageError::Damaged { .. }),
            "{cut}: {again}"
        );
    }
}

#[test]
fn a_flipped_bit_anywhere_in_the_wal_is_seen() {
    let image = image_of(20);
    let file = wal(image.path());
    let end = find(&file, 20) + txn(20, "/n20", Some(&[0; 100])).len();
    for at in (0..end).step_by(end / 60) {
        let case = crash_image(image.path());
        flip(&wal(case.path()), at);
        let error = refusal(case.path());
        assert!(
            matches!(error, StorageError::Damaged { .. }),
            "{at}: {error}"
        );
    }
}

#[test]
fn a_missing_wal_is_seen() {
    let image = image_of(20);
    fs::remove_file(wal(image.path())).unwrap();
    let error = refusal(image.path());
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
}

#[test]
fn a_missing_or_damaged_mark_is_seen() {
    let image = image_of(3);
    let mark = image.path().join("ferrokeeper/log/ack-mark");
    flip(&mark, 9);
    assert!(refusal(image.path()).to_string().contains("checksum"));
    fs::remove_file(mark).unwrap();
    assert!(refusal(image.path()).to_string().contains("is missing"));
}

/// A closed store whose log and state are in tables.
fn tables() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    let mut twin = Twin::default();
    let mut batch = CheckpointBatch::new(900);
    for zxid in 1..=1000 {
        append(&mut storage.log, zxid..=zxid, 600);
        let path = twin.apply(&txn(zxid, &format!("/n{zxid}"), Some(&noise(zxid))));
        if zxid <= 900 {
            twin.put_into(&path, &mut batch);
        }
    }
    storage.state.write(batch).unwrap();
    drop(storage);
    dir
}

/// Data that does not compress, so that the table has several blocks.
fn noise(seed: i64) -> Vec<u8> {
    let mut x = seed as u64 | 1;
    let next = |_| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    };
    (0..100).map(next).collect()
}

#[test]
fn a_damaged_block_of_the_state_is_never_a_smaller_tree() {
    let image = tables();
    let table = files(&state_db(image.path()), ".sst").remove(0);
    let name = table.file_name().unwrap();
    let len = fs::metadata(&table).unwrap().len() as usize;
    let whole = open_at(crash_image(image.path()).path()).unwrap().1.twin;
    assert_eq!(whole.nodes.len(), 1000);
    let mut refused = 0;
    for at in (len / 100..len).step_by(len / 25) {
        let case = crash_image(image.path());
        flip(&state_db(case.path()).join(name), at);
        match open_at(case.path()) {
            Err(error) => {
                assert!(
                    matches!(error, StorageError::Damaged { .. }),
                    "{at}: {error}"
                );
                assert!(error.to_string().contains("the state"), "{error}");
                refused += 1;
            }
            // Nothing that is read lies there: a property, or padding.
            Ok((_, restored)) => assert_eq!(restored.twin, whole, "{at}"),
        }
    }
    assert!(refused >= 20, "{refused}");
}

#[test]
fn a_missing_or_short_table_is_seen() {
    for dir in [state_db, log_db] {
        let image = tables();
        let table = files(&dir(image.path()), ".sst").pop().unwrap();
        let bytes = fs::read(&table).unwrap();
        fs::write(&table, &bytes[..bytes.len() - 100]).unwrap();
        let error = refusal(image.path());
        assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
        fs::remove_file(&table).unwrap();
        let error = refusal(image.path());
        assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
    }
}

#[test]
fn a_damaged_manifest_or_current_is_seen() {
    for dir in [state_db, log_db] {
        let image = tables();
        let manifest = files(&dir(image.path()), "MANIFEST").remove(0);
        let name = manifest.file_name().unwrap().to_owned();
        let len = fs::metadata(&manifest).unwrap().len() as usize;
        let mut refused = 0;
        for at in (0..len).step_by(len / 20) {
            let case = crash_image(image.path());
            flip(&dir(case.path()).join(&name), at);
            match open_at(case.path()) {
                Err(error) => {
                    assert!(
                        matches!(error, StorageError::Damaged { .. }),
                        "{at}: {error}"
                    );
                    refused += 1;
                }
                // An older state, and the log has the rest; or the old number of a file.
                Ok((_, restored)) => assert_eq!(restored.twin.nodes.len(), 1000, "{at}"),
            }
        }
        assert!(refused >= 15, "{refused}");
        for cut in [0, len / 3, len / 2, len - 20] {
            let case = crash_image(image.path());
            let path = dir(case.path()).join(&name);
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..cut]).unwrap();
            match open_at(case.path()) {
                Err(error) => {
                    assert!(
                        matches!(error, StorageError::Damaged { .. }),
                        "{cut}: {error}"
                    );
                }
                // An older manifest of the state: then the log has the rest.
                Ok((_, restored)) => assert_eq!(restored.twin.nodes.len(), 1000, "{cut}"),
            }
        }
        fs::remove_file(dir(image.path()).join("CURRENT")).unwrap();
        let error = refusal(image.path());
        assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
        assert!(manifest.exists(), "what could be repaired is still there");
    }
}

#[test]
fn a_lost_log_is_seen() {
    let image = tables();
    fs::remove_dir_all(log_db(image.path())).unwrap();
    let error = refusal(image.path());
    assert!(
        error.to_string().contains("0x3e8 was acknowledged"),
        "{error}"
    );
    fs::remove_dir_all(image.path().join("ferrokeeper/log")).unwrap();
    let error = refusal(image.path());
    assert!(error.to_string().contains("is not there"), "{error}");
}

#[test]
fn an_old_backup_of_one_half_is_seen() {
    let image = tables();
    let older = crash_image(image.path());
    let (mut storage, _) = open_at(image.path()).unwrap();
    append(&mut storage.log, 1001..=1100, 600);
    storage.state.write(CheckpointBatch::new(1100)).unwrap();
    drop(storage);
    // The old log, with its old mark, under the new state.
    let log = image.path().join("ferrokeeper/log");
    fs::remove_dir_all(&log).unwrap();
    fs::create_dir(&log).unwrap();
    copy_tree(&older.path().join("ferrokeeper/log"), &log);
    let error = refusal(image.path()).to_string();
    assert!(
        error.contains("ends at zxid 0x3e8, the state is already at 0x44c"),
        "{error}"
    );
}
