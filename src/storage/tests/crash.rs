//! SIGKILL, again and again: what was acknowledged is there.

use super::*;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const CHILD_DIR: &str = "FERROKEEPER_TEST_CRASH_DIR";
const ROUNDS: u64 = 15;

/// Not a test of its own: the process that is killed. Without the variable it has nothing to do.
#[test]
fn child_appends_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else {
        return;
    };
    let config = StorageConfig {
        warm_log: true,
        ..config(Path::new(&dir))
    };
    let mut storage = open(&config, &mut Restored::default()).unwrap();
    let mut checkpointed = storage.opened.marker;
    loop {
        let last = storage.log.last_zxid();
        let size = 1 + last % 7;
        append(&mut storage.log, last + 1..=last + size, 300);
        println!("ack {}", last + size);
        if storage.log.last_zxid() - checkpointed > 500 {
            let zxid = storage.log.last_zxid();
            let mut batch = CheckpointBatch::new(zxid);
            for z in checkpointed + 1..=zxid {
                let mut twin = Twin::default();
                let path = twin.apply(&txn(z, &format!("/n{z}"), Some(&[z as u8; 300])));
                twin.put_into(&path, &mut batch);
            }
            storage.state.write(batch).unwrap();
            storage.log.handle().purge(zxid, 100).unwrap();
            checkpointed = zxid;
        }
    }
}

#[test]
fn every_acknowledged_zxid_survives_sigkill() {
    let dir = tempfile::tempdir().unwrap();
    let mut total = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "storage::tests::crash::child_appends_until_it_is_killed",
            ])
            .arg("--nocapture")
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        // Another number of groups each time, past flushes of the log and checkpoints.
        let mut left: u64 = 40 + round * 97 % 900;
        for line in lines {
            let Ok(line) = line else { break };
            // The harness prints the test's name without a line end before our first line.
            let Some((_, zxid)) = line.split_once("ack ") else {
                continue;
            };
            acknowledged = zxid.parse::<i64>().unwrap();
            // What it printed before the signal came counts, too.
            left = left.saturating_sub(1);
            if left == 0 {
                child.kill().unwrap();
            }
        }
        let status = child.wait().unwrap();
        assert!(!status.success() && left == 0, "ended by itself: {status}");

        let (storage, restored) = open_at(dir.path()).unwrap();
        let last = storage.log.last_zxid();
        assert!(
            last >= acknowledged,
            "round {round}: {last} of {acknowledged}"
        );
        assert!(acknowledged > total, "round {round} made no progress");
        let nodes = restored.twin.nodes.len() as i64;
        assert_eq!(nodes, last, "round {round}: one node for each zxid");
        for (path, (zxid, data)) in &restored.twin.nodes {
            assert_eq!(path, &format!("/n{zxid}"));
            assert_eq!(data.as_deref(), Some(&[*zxid as u8; 300][..]));
        }
        total = acknowledged;
    }
}
