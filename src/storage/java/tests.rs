//! Logs of a Java server, and ours read back.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::ids::Zxid;
use crate::ops::{self, Unwatched};
use crate::storage::snapshot::Limits;
use crate::tree::Tree;
use std::fs;

const GOLDEN: &str = include_str!("../../../compat-tests/golden/files.txt");
const FIRST: i64 = 0x5_0000_0001;
const LAST: i64 = 0x5_0000_0017;
const LIMITS: Limits = Limits {
    field_bytes_max: 1 << 20,
};

fn golden(kind: &str) -> Vec<u8> {
    let line = GOLDEN
        .lines()
        .find_map(|line| line.strip_prefix(kind))
        .unwrap();
    let hex = line.trim().as_bytes().chunks(2);
    hex.map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap())
        .collect()
}

/// A directory with these files in version-2.
fn directory(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(VERSION_DIR)).unwrap();
    for (name, bytes) in files {
        fs::write(dir.path().join(VERSION_DIR).join(name), bytes).unwrap();
    }
    dir
}

fn log_after(dir: &Path, zxid: i64) -> Result<Vec<(i64, Vec<u8>)>, JavaError> {
    let mut files = LogFiles::after(&dir.join(VERSION_DIR), zxid, 1 << 20)?;
    let mut txns = Vec::new();
    while let Some(txn) = files.next()? {
        txns.push(txn);
    }
    Ok(txns)
}

/// The golden log's transactions.
pub(crate) fn golden_txns() -> Vec<(i64, Vec<u8>)> {
    let dir = directory(&[("log.500000001", &golden("log "))]);
    log_after(dir.path(), FIRST - 1).unwrap()
}

fn zxids(dir: &Path, zxid: i64) -> Result<Vec<i64>, JavaError> {
    Ok(log_after(dir, zxid)?.into_iter().map(|(z, _)| z).collect())
}

/// Some of the golden entries as a log of their own, ending with `tail`.
fn log_of(numbers: std::ops::RangeInclusive<i64>, tail: &[u8]) -> Vec<u8> {
    let whole = directory(&[("log.500000001", &golden("log "))]);
    let dir = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(dir.path(), FIRST).unwrap();
    for (zxid, txn) in log_after(whole.path(), FIRST - 1).unwrap() {
        if numbers.contains(&(zxid - FIRST + 1)) {
            writer.append(&txn).unwrap();
        }
    }
    writer.finish().unwrap();
    let mut bytes = fs::read(dir.path().join("version-2/log.500000001")).unwrap();
    bytes.extend_from_slice(tail);
    bytes
}

#[test]
fn a_log_of_java_gives_the_tree_of_its_snapshot() {
    let dir = directory(&[
        ("log.500000001", &golden("log ")),
        ("snapshot.500000017", &golden("snapshot ")),
        ("acceptedEpoch", b"6"),
        ("currentEpoch", b"5"),
    ]);
    let mut tree = Tree::new(true);
    for (_, txn) in log_after(dir.path(), FIRST - 1).unwrap() {
        ops::apply(&mut tree, &txn, &mut Unwatched).unwrap();
    }
    // Every transaction's digest, as Java computed it, is ours.
    assert_eq!(tree.digest().unwrap().mismatches(), 0);
    let java = read(dir.path(), dir.path(), LIMITS, || Tree::bare(true)).unwrap();
    assert_eq!(java.zxid, Zxid(LAST));
    assert_eq!(
        (java.accepted_epoch, java.current_epoch),
        (Some(6), Some(5))
    );
    assert_eq!(java.snapshot.tree.digest_sum(), tree.digest_sum());
    assert_eq!(java.snapshot.tree.node_count(), tree.node_count());
    for (id, node) in tree.all() {
        let path = tree.path_of(id);
        let other = java.snapshot.tree.get(&path).unwrap();
        assert_eq!(java.snapshot.tree.stat(other), tree.stat(node), "{path}");
        assert_eq!(other.data(), node.data(), "{path}");
        assert_eq!(java.snapshot.tree.acl(other), tree.acl(node), "{path}");
    }
}

#[test]
fn what_is_written_is_what_java_writes() {
    assert_eq!(log_of(1..=23, b""), golden("log "));
    let source = directory(&[("snapshot.500000017", &golden("snapshot "))]);
    let tree = || Tree::bare(true);
    let java = read(source.path(), source.path(), LIMITS, tree).unwrap();
    let target = tempfile::tempdir().unwrap();
    let path = write_snapshot(target.path(), &java.snapshot.tree).unwrap();
    assert!(path.ends_with("version-2/snapshot.500000017"));
    write_epochs(target.path(), Some(6), None).unwrap();
    let again = read(target.path(), target.path(), LIMITS, tree).unwrap();
    assert_eq!(again.snapshot.digest, java.snapshot.digest);
    assert_eq!((again.accepted_epoch, again.current_epoch), (Some(6), None));
    // Nothing is written beside what is there.
    assert!(matches!(
        write_snapshot(target.path(), &java.snapshot.tree),
        Err(JavaError::NotEmpty { .. })
    ));
}

#[test]
fn logs_follow_one_another() {
    let (a, b, c) = (
        log_of(1..=9, &[0; 99]),
        log_of(10..=10, b""),
        log_of(11..=23, &[0; 5]),
    );
    let dir = directory(&[
        ("log.500000001", &a),
        ("log.50000000a", &b),
        ("log.50000000b", &c),
    ]);
    let all: Vec<i64> = (FIRST..=LAST).collect();
    assert_eq!(zxids(dir.path(), FIRST - 1).unwrap(), all);
    assert_eq!(zxids(dir.path(), 0x5_0000_0009).unwrap(), all[9..]);
    assert_eq!(zxids(dir.path(), 0x5_0000_000c).unwrap(), all[12..]);
    assert!(zxids(dir.path(), LAST).unwrap().is_empty());
    // The last may be empty, or hold a torn entry.
    fs::write(dir.path().join("version-2/log.500000018"), b"").unwrap();
    assert_eq!(zxids(dir.path(), FIRST - 1).unwrap(), all);
    for cut in [1, 5, 20] {
        let torn = &golden("log ")[..golden("log ").len() - cut];
        let dir = directory(&[("log.500000001", torn)]);
        assert_eq!(zxids(dir.path(), FIRST - 1).unwrap(), all[..22], "{cut}");
    }
}

#[test]
fn missing_transactions_are_seen() {
    let whole = golden("log ");
    let torn = log_of(1..=9, &[0, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 80, 1, 2, 3]);
    for (first, what) in [(&log_of(1..=8, b""), "gap"), (&torn, "torn")] {
        let dir = directory(&[
            ("log.500000001", first),
            ("log.50000000b", &log_of(11..=23, b"")),
        ]);
        let error = zxids(dir.path(), FIRST - 1).unwrap_err();
        match what {
            "gap" => assert!(matches!(error, JavaError::Gap { .. }), "{error}"),
            _ => assert!(error.to_string().contains("torn"), "{error}"),
        }
        // From behind it all is well.
        assert_eq!(zxids(dir.path(), 0x5_0000_000a).unwrap().len(), 13);
    }
    // The log does not reach back to the snapshot.
    let dir = directory(&[("log.500000005", &log_of(5..=23, b""))]);
    assert!(matches!(
        zxids(dir.path(), FIRST),
        Err(JavaError::Gap { .. })
    ));
    // A flipped bit in an entry.
    let mut bad = whole.clone();
    bad[60] ^= 1;
    let dir = directory(&[("log.500000001", &bad)]);
    let error = zxids(dir.path(), FIRST - 1).unwrap_err();
    assert!(
        matches!(error, JavaError::Log { offset: 16, .. }),
        "{error}"
    );
    let dir = directory(&[
        ("log.500000001", b"no log at all"),
        ("log.500000002", &whole),
    ]);
    assert!(matches!(
        zxids(dir.path(), 0),
        Err(JavaError::Log { offset: 0, .. })
    ));
}

#[test]
fn the_newest_whole_snapshot_counts() {
    let good = golden("snapshot ");
    let dir = directory(&[
        ("snapshot.500000017", &good),
        ("snapshot.500000020", &good[..good.len() / 2]),
        ("snapshot.500000021.tmp", b""),
    ]);
    let bare = || Tree::bare(true);
    let java = read(dir.path(), dir.path(), LIMITS, bare).unwrap();
    assert_eq!(java.zxid, Zxid(LAST));
    let logs = directory(&[("log.500000001", &golden("log "))]);
    let none = read(logs.path(), logs.path(), LIMITS, bare).err().unwrap();
    assert!(matches!(none, JavaError::NoSnapshot { .. }));
    let empty = tempfile::tempdir().unwrap();
    let none = read(empty.path(), empty.path(), LIMITS, bare)
        .err()
        .unwrap();
    assert!(matches!(none, JavaError::Nothing { .. }));
}

#[test]
fn a_log_in_the_wrong_directory_is_not_passed_over() {
    let (snapshot, log) = (golden("snapshot "), golden("log "));
    let both = directory(&[("snapshot.500000010", &snapshot), ("log.500000001", &log)]);
    let elsewhere = directory(&[]);
    let refusal = |data: &Path, logs: &Path| {
        let refused = read(data, logs, LIMITS, || Tree::bare(true)).err();
        refused.unwrap().to_string()
    };
    let java = "directory has log files. Check if dataLogDir and dataDir configuration is correct.";
    assert!(refusal(both.path(), elsewhere.path()).contains(java));
    let swapped = refusal(elsewhere.path(), both.path());
    assert!(
        swapped.starts_with("Log directory has snapshot files."),
        "{swapped}"
    );
}
