//! A full disk: nothing is acknowledged that is not there, and the server starts again.
//!
//! A file system of its own needs the right to mount one; a limit on the size of files, which fails
//! writes half way, does not.

use super::*;
use std::process::Command;

/// A file system of its own, if this user may mount one.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(mib: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(dir.path())
            .output()
            .is_ok_and(|out| out.status.success());
        if !mounted {
            eprintln!("NOT RUN: a full disk, because this user may not mount a tmpfs");
        }
        mounted.then_some(Self { dir })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.dir.path()).status();
    }
}

/// Appends until it fails; returns the last acknowledged zxid and the error.
fn fill(storage: &mut Storage) -> (i64, StorageError) {
    loop {
        let last = storage.log.last_zxid();
        let mut bytes = Vec::new();
        let path = format!("/n{}", last + 1);
        group::push(&mut bytes, &txn(last + 1, &path, Some(&[7; 20_000])));
        if let Err(error) = storage.log.append(last + 1, &bytes) {
            return (last, error);
        }
    }
}

const CHILD_DIR: &str = "FERROKEEPER_TEST_LIMIT_DIR";

/// Not a test of its own: the process that runs into the limit. Without the variable it has
/// nothing to do.
#[test]
fn child_appends_until_a_write_fails() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else {
        return;
    };
    let (mut storage, _) = open_at(Path::new(&dir)).unwrap();
    let limit = libc::rlimit {
        rlim_cur: 150_000,
        rlim_max: 150_000,
    };
    // SAFETY: both calls only change this process's own settings.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
    let (last, error) = fill(&mut storage);
    assert_eq!(error.exit_code(), 10, "{error}");
    let mut bytes = Vec::new();
    group::push(&mut bytes, &txn(last + 1, "/n", None));
    let again = storage.log.append(last + 1, &bytes).unwrap_err();
    assert!(matches!(again, StorageError::Poisoned { .. }), "{again}");
    println!("ack {last}");
}

#[test]
fn a_write_that_fails_half_way_stops_the_log_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "storage::tests::full_disk::child_appends_until_a_write_fails",
        ])
        .arg("--nocapture")
        .env(CHILD_DIR, dir.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}");
    let (_, rest) = output.split_once("ack ").unwrap();
    let acknowledged: i64 = rest.lines().next().unwrap().trim().parse().unwrap();
    assert!(acknowledged >= 5, "{acknowledged}");
    let (storage, restored) = open_at(dir.path()).unwrap();
    let last = storage.log.last_zxid();
    assert!(
        last == acknowledged || last == acknowledged + 1,
        "{last} of {acknowledged}"
    );
    assert_eq!(restored.replayed, (1..=last).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_stops_the_log_and_the_ballast_starts_it_again() {
    let Some(disk) = SmallDisk::mount(40) else {
        return;
    };
    let (mut storage, _) = open_at(disk.dir.path()).unwrap();
    let ballast = disk.dir.path().join("ferrokeeper/log/ballast");
    assert!(ballast.exists());
    assert!(!storage.room.is_low());
    let (last, error) = fill(&mut storage);
    assert!(matches!(error, StorageError::NoSpace { .. }), "{error}");
    assert!(error.to_string().contains("Free some space"), "{error}");
    assert!(last > 100, "{last}");
    storage.room.check();
    assert!(storage.room.is_low());
    let mut bytes = Vec::new();
    group::push(&mut bytes, &txn(last + 1, "/n", None));
    let again = storage.log.append(last + 1, &bytes).map(drop);
    assert!(again.is_err(), "a poisoned log takes nothing");
    drop(storage);

    // Nobody freed anything; the ballast is enough to open.
    let (storage, restored) = open_at(disk.dir.path()).unwrap();
    assert!(!ballast.exists());
    assert!(storage.log.last_zxid() >= last);
    let expected: Vec<i64> = (1..=storage.log.last_zxid()).collect();
    assert_eq!(restored.replayed, expected);
}

#[test]
fn a_full_disk_stops_the_state_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount(12) else {
        return;
    };
    let log_dir = tempfile::tempdir().unwrap();
    let config = StorageConfig {
        data_log_dir: log_dir.path().to_owned(),
        ..config(disk.dir.path())
    };
    let mut storage = open(&config, &mut Restored::default()).unwrap();
    let mut zxid = 0;
    let error = loop {
        zxid += 1;
        append(&mut storage.log, zxid..=zxid, 10);
        let mut batch = CheckpointBatch::new(zxid);
        let mut data = vec![0; 1 << 20];
        let mut x = zxid as u32;
        data.fill_with(|| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 24) as u8
        });
        let node = NodeRecord {
            mzxid: zxid,
            data: Some(&data),
            ..NodeRecord::default()
        };
        batch.put_node(&format!("/n{zxid}"), &node);
        if let Err(error) = storage.state.write(batch) {
            break error;
        }
        assert!(zxid < 100, "the disk is never full");
    };
    assert!(matches!(error, StorageError::NoSpace { .. }), "{error}");
    let again = storage.state.write(CheckpointBatch::new(zxid)).unwrap_err();
    assert!(matches!(again, StorageError::Poisoned { .. }), "{again}");
    let durable = storage.state.durable_zxid();
    assert!(durable > 0 && durable < zxid);
    drop(storage);
    // With space again, everything is there.
    let remount = Command::new("mount")
        .args(["-o", "remount,size=40m"])
        .arg(disk.dir.path())
        .status();
    assert!(remount.unwrap().success());
    let mut restored = Restored::default();
    let storage = open(&config, &mut restored).unwrap();
    assert_eq!(storage.log.last_zxid(), zxid);
    assert!(restored.marker.unwrap() >= durable);
    assert_eq!(restored.twin.nodes.len() as i64, zxid);
}
