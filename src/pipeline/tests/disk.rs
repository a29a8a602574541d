//! Who writes, and who applies: with a real log.

use std::time::Duration;

use super::*;
use crate::pipeline::recovery::Restoring;
use crate::storage::{self, Log, StorageConfig};

fn log(dir: &std::path::Path) -> (Log, storage::State) {
    let config = StorageConfig {
        warm_log: false,
        log_file_bytes: 1 << 20,
        ..StorageConfig::new(dir)
    };
    storage::open(&config, &mut Restoring::new(true, false))
        .unwrap()
        .split()
}

/// Runs the disk's thread beside `work`, and stops it. Returns what the log holds then.
fn with_disk(rig: &Rig, work: impl FnOnce()) -> Vec<i64> {
    let dir = tempfile::tempdir().unwrap();
    let (log, _state) = log(dir.path());
    let handle = log.handle();
    std::thread::scope(|scope| {
        scope.spawn(|| rig.pipeline.run_disk(log).unwrap());
        let _stop = Stop(&rig.pipeline);
        rig.pipeline.await_disk();
        work();
    });
    let mut reader = handle.read_from(1);
    let mut zxids = Vec::new();
    while let Some((zxid, _)) = reader.next().unwrap() {
        zxids.push(zxid);
    }
    zxids
}

/// A test that fails ends, too.
struct Stop<'a>(&'a Pipeline);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// A session, and the answer to its handshake is taken off the wire: it may arrive some time after the phase changed.
fn opened(rig: &Rig) -> Peer {
    let peer = rig.peer();
    rig.send(&peer, &connect());
    wait_until(|| !rig.answers(&peer).is_empty());
    peer
}

fn wait_until(mut done: impl FnMut() -> bool) {
    while !done() {
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// What ends the wait is the other limit.
const FOR_EVER_MS: u64 = 3_600_000;

#[test]
fn a_group_waits_for_more_until_nothing_comes_or_the_delay_is_over_or_it_is_full() {
    for (flush_delay_ms, write_queue_poll_ms, batch_max) in [
        (20, FOR_EVER_MS, 1000),
        (FOR_EVER_MS, 5, 1000),
        (FOR_EVER_MS, FOR_EVER_MS, 1),
    ] {
        let rig = Rig::of(Settings {
            flush_delay_ms,
            write_queue_poll_ms,
            batch_max,
            ..settings()
        });
        let written = with_disk(&rig, || {
            opened(&rig);
        });
        assert_eq!(written, [1]);
    }
}

#[test]
fn a_lone_writer_is_answered_before_its_task_goes_on() {
    let rig = Rig::new();
    let written = with_disk(&rig, || {
        let peer = opened(&rig);
        // The disk's thread may hold the log still, or look at it once a second: then it is the one that writes.
        let at_once = (0..200).filter(|xid| {
            rig.pipeline.disk_takes(Duration::from_micros(10));
            rig.send(&peer, &create(*xid, "/n-", 2));
            let first = rig.answers(&peer);
            if first.is_empty() {
                wait_until(|| rig.answers(&peer) == [(*xid, OK)]);
                return false;
            }
            assert_eq!(first, [(*xid, OK)]);
            true
        });
        assert!(at_once.count() > 100);
        opened(&rig);
    });
    assert_eq!(written, (1..=202).collect::<Vec<_>>());
}

#[test]
fn many_writers_get_one_history_and_their_answers_in_order() {
    const WRITERS: usize = 4;
    const WRITES: i32 = 500;
    let rig = Rig::new();
    let written = with_disk(&rig, || {
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    let peer = opened(&rig);
                    let mut answers = Vec::new();
                    for xid in (0..WRITES).step_by(10) {
                        let burst: Vec<u8> =
                            (xid..xid + 10).flat_map(|x| create(x, "/n-", 2)).collect();
                        rig.send(&peer, &burst);
                        // Sometimes alone with the log, sometimes not.
                        if xid % 50 == 0 {
                            let due = xid as usize;
                            wait_until(|| {
                                answers.extend(rig.answers(&peer));
                                answers.len() > due
                            });
                        }
                    }
                    wait_until(|| {
                        answers.extend(rig.answers(&peer));
                        answers.len() == WRITES as usize
                    });
                    let expected: Vec<_> = (0..WRITES).map(|xid| (xid, OK)).collect();
                    assert_eq!(answers, expected);
                });
            }
        });
    });
    let count = WRITERS * (WRITES as usize + 1);
    let expected: Vec<i64> = (1..=count as i64).collect();
    assert_eq!(written, expected);
    assert_eq!(rig.pipeline.tree().last_zxid().0, count as i64);
    assert_eq!(rig.pipeline.outstanding(), 0);
}

#[test]
fn what_was_accepted_is_finished_when_it_stops() {
    let rig = Rig::new();
    let peer = rig.connected();
    let before = rig.pipeline.tree().last_zxid().0;
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _state) = log(dir.path());
    // The session of the rig never saw a disk: the log continues behind it.
    log.append(before, &session_group()).unwrap();
    let burst: Vec<u8> = (0..1000).flat_map(|x| create(x, "/n-", 2)).collect();
    rig.send(&peer, &burst);
    rig.pipeline.stop();
    let log = rig.pipeline.run_disk(log).unwrap();
    assert_eq!(log.last_zxid(), before + 1000);
    assert_eq!(rig.answers(&peer).len(), 1000);
}

/// One transaction with zxid 1.
fn session_group() -> Vec<u8> {
    let mut txn = vec![0; 32];
    txn[12..20].copy_from_slice(&1i64.to_be_bytes());
    let mut group = 32u32.to_be_bytes().to_vec();
    group.extend(txn);
    group
}
