//! The tree on disk follows the tree in memory. A thread of its own takes what changed, exact at one zxid, while
//! requests go on, and writes it. Nobody who serves requests does anything for it, and nobody waits for it longer
//! than a few nodes take.
//!
//! How often is a question of what a restart has to replay: a checkpoint is due when the log behind it has grown
//! by some measure, so that nodes that change again and again are written once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::whole::write_whole;
use super::{Pipeline, wall_ms};
use crate::ids::Zxid;
use crate::ops::put;
use crate::proto::Acl;
use crate::storage::{
    Checkpoint, CheckpointBatch, Log, LogHandle, NodeRecord, Places, State, StorageError,
    give_back, step_back,
};
use crate::tree::Tree;
use crate::tree::acl::{self, AclList};
use crate::tree::stored::StoredNode;

/// Log behind the last checkpoint that makes one due: as many bytes as the tree holds, since a big one takes long to
/// read back anyway, but not fewer or more than these.
const LOG_BYTES: (u64, u64) = (64 << 20, 1 << 30);
/// Age at which a checkpoint is due: of a server that came to rest, and of any.
const AGE_AT_REST: Duration = Duration::from_secs(10);
const AGE_MAX: Duration = Duration::from_secs(60);
/// How often the thread looks whether one is due.
const LOOK: Duration = Duration::from_millis(250);
/// How often an idle server looks for memory and disk to give back.
const TIDY: Duration = Duration::from_secs(5);
/// A disk that hangs for longer stops the process.
const LOG_WAIT_MAX: Duration = Duration::from_secs(60);
/// Nodes that are taken under one hold of the tree's lock.
const NODES_AT_ONCE: usize = 64;
/// What is sorted and written together: memory, until the server is at rest. Each table is merged with the others
/// later on, so the more a checkpoint will write, the larger they are.
const TABLE_BYTES: (u64, u64) = (8 << 20, 32 << 20);
/// Of all bytes of the tree.
const TABLE_PART: u64 = 16;

/// A checkpoint works so long and rests as long, unless it takes too long altogether.
const WORK_AT_ONCE: Duration = Duration::from_millis(1);
const RESTING_MAX: Duration = Duration::from_secs(20);

pub(super) struct Checkpoints {
    /// Tells the background thread that the last transaction is done.
    stop: SyncSender<()>,
    /// How often the tree was replaced; changes under the tree's lock.
    installs: AtomicU64,
    /// Somebody waits for one.
    asked: AtomicBool,
    last: Mutex<Option<LastCheckpoint>>,
}

/// The last state that was put on disk whole.
#[derive(Debug, Clone, Copy)]
pub struct LastCheckpoint {
    pub zxid: Zxid,
    pub unix_ms: i64,
}

/// The background thread's end.
pub struct Pending(Receiver<()>);

pub(super) fn channel() -> (Checkpoints, Pending) {
    let (stop, stopped) = sync_channel(1);
    let checkpoints = Checkpoints {
        stop,
        installs: AtomicU64::new(0),
        asked: AtomicBool::new(false),
        last: Mutex::default(),
    };
    (checkpoints, Pending(stopped))
}

impl Pipeline {
    /// For a clean stop, after the last transaction: the next start has nothing to replay.
    pub fn final_checkpoint(&self) {
        // The background thread may be gone after an error of its own, which it has reported.
        let _ = self.checkpoints.stop.send(());
    }

    pub fn last_checkpoint(&self) -> Option<LastCheckpoint> {
        *self.checkpoints.last.lock()
    }

    /// How often another tree took the place of this server's.
    pub fn install_count(&self) -> u64 {
        self.checkpoints.installs.load(Ordering::Relaxed)
    }

    /// Has one made soon, of at least the tree of now.
    pub fn ask_for_checkpoint(&self) {
        self.checkpoints.asked.store(true, Ordering::Release);
    }

    /// Another tree, from elsewhere and exact at `zxid`, takes the place of this server's, on disk and in memory. For
    /// the log's thread, while nothing is applied; slow on purpose: the tree in use stays readable until the last step.
    /// After an error the process has to stop.
    pub fn install(
        &self,
        new: Tree,
        zxid: Zxid,
        places: &Places,
        log: &mut Log,
        state: &State,
    ) -> Result<(), StorageError> {
        let install = places.begin_install(zxid.0)?;
        write_whole(&new, &install)?;
        let old = {
            let mut tree = self.tree.write();
            install.switch(log, state)?;
            self.checkpoints.installs.fetch_add(1, Ordering::Relaxed);
            self.forget_logged_after(Zxid::ZERO);
            std::mem::replace(&mut *tree, new)
        };
        // Taking a big tree apart takes long, and nobody has to wait for it.
        drop(old);
        Ok(())
    }

    /// The background thread: writes checkpoints, and removes the log that is no longer needed.
    pub fn run_checkpoints(
        &self,
        pending: Pending,
        state: &State,
        log: &LogHandle,
        retained_txns: Option<u64>,
    ) -> Result<(), StorageError> {
        step_back();
        let mut due = Due::new(log);
        let mut tidied = Instant::now();
        let mut batch = CheckpointBatch::new(0);
        loop {
            let wait = pending.0.recv_timeout(LOOK);
            if wait != Err(RecvTimeoutError::Timeout) {
                return self.checkpoint(state, log, &mut batch, Pace::Quick);
            }
            let mut purge = false;
            due.look(log);
            if self.is_due(&due, state) {
                self.checkpoint(state, log, &mut batch, Pace::beside())?;
                if due.is_at_rest() {
                    batch = CheckpointBatch::new(0);
                    give_back();
                }
                due = Due::new(log);
                purge = true;
            } else if tidied.elapsed() >= TIDY {
                tidied = Instant::now();
                purge = state.tidy_if_idle()?;
            }
            if let (true, Some(retained)) = (purge, retained_txns)
                && log.purge(state.durable_zxid(), retained)?
            {
                self.log_purged(log.purged_zxid());
            }
        }
    }

    fn is_due(&self, due: &Due, state: &State) -> bool {
        let behind = state.log_bytes_behind();
        let (last, changes, data_bytes) = {
            let tree = self.tree.read();
            (tree.applied_zxid(), tree.change_count(), tree.data_bytes())
        };
        let is_new = last.0 > state.durable_zxid() || changes > 0;
        let log_bytes = data_bytes.clamp(LOG_BYTES.0, LOG_BYTES.1);
        let asked = self.checkpoints.asked.swap(false, Ordering::AcqRel);
        if asked {
            return true;
        }
        is_new && (behind >= log_bytes || due.by_age) && !state.is_behind()
    }

    fn checkpoint(
        &self,
        state: &State,
        log: &LogHandle,
        batch: &mut CheckpointBatch,
        mut pace: Pace,
    ) -> Result<(), StorageError> {
        let began = Instant::now();
        let (mut image, installs, data_bytes) = {
            let mut tree = self.tree.write();
            (
                tree.begin_image(),
                self.checkpoints.installs.load(Ordering::Relaxed),
                tree.data_bytes(),
            )
        };
        let zxid = image.zxid.0;
        await_log(log, zxid);
        batch.renew(zxid);
        let mut writer = Writer {
            checkpoint: state.begin(zxid, installs)?,
            batch,
            table_bytes: table_bytes(data_bytes),
        };
        for path in std::mem::take(&mut image.removed) {
            writer.batch.delete_node(&path);
            writer.write_if_full()?;
        }
        for (id, list) in std::mem::take(&mut image.acls) {
            match list {
                Some(list) => writer.batch.put_acl(id, &acl_bytes(&list)),
                None => writer.batch.delete_acl(id),
            }
        }
        for (id, timeout_ms) in std::mem::take(&mut image.sessions) {
            match timeout_ms {
                Some(timeout_ms) => writer.batch.put_session(id.0, timeout_ms),
                None => writer.batch.delete_session(id.0),
            }
        }
        loop {
            let began = Instant::now();
            writer.make_room();
            let more = {
                let tree = self.tree.read();
                if self.checkpoints.installs.load(Ordering::Relaxed) != installs {
                    // The nodes of this image are gone, and nobody needs it.
                    return Ok(());
                }
                tree.take_nodes(&mut image, NODES_AT_ONCE, |path, node| {
                    writer.batch.put_node(path, &record(node));
                })
            };
            writer.write_if_full()?;
            if !more {
                break;
            }
            pace.rest(began.elapsed());
        }
        writer.finish()?;
        let took = began.elapsed().as_millis() as i64;
        self.stats.metrics.snapshottime.record(took);
        *self.checkpoints.last.lock() = Some(LastCheckpoint {
            zxid: Zxid(zxid),
            unix_ms: wall_ms(),
        });
        Ok(())
    }
}

/// In an ensemble others may have made durable, and so committed, what the own disk still writes.
fn await_log(log: &LogHandle, zxid: i64) {
    let since = Instant::now();
    while log.last_zxid() < zxid && since.elapsed() < LOG_WAIT_MAX {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether time has come.
struct Due {
    since: Instant,
    /// When the log was seen to grow.
    grew: Instant,
    log_bytes: u64,
    by_age: bool,
}

impl Due {
    fn new(log: &LogHandle) -> Due {
        let now = Instant::now();
        Due {
            since: now,
            grew: now,
            log_bytes: log.appended_bytes(),
            by_age: false,
        }
    }

    fn look(&mut self, log: &LogHandle) {
        let now = Instant::now();
        let log_bytes = log.appended_bytes();
        if log_bytes != self.log_bytes {
            self.log_bytes = log_bytes;
            self.grew = now;
        }
        self.by_age = self.is_at_rest() || now - self.since >= AGE_MAX;
    }

    fn is_at_rest(&self) -> bool {
        self.grew.elapsed() >= AGE_AT_REST
    }
}

enum Pace {
    /// Nobody waits for anything else.
    Quick,
    /// Requests come first: as long as there is time, rest as long as was worked.
    Beside { worked: Duration, began: Instant },
}

impl Pace {
    fn beside() -> Pace {
        Pace::Beside {
            worked: Duration::ZERO,
            began: Instant::now(),
        }
    }

    fn rest(&mut self, took: Duration) {
        let Pace::Beside { worked, began } = self else {
            return;
        };
        *worked += took;
        if *worked >= WORK_AT_ONCE && began.elapsed() < RESTING_MAX {
            std::thread::sleep(*worked);
            *worked = Duration::ZERO;
        }
    }
}

struct Writer<'a> {
    checkpoint: Checkpoint<'a>,
    batch: &'a mut CheckpointBatch,
    table_bytes: usize,
}

pub(super) fn table_bytes(tree_bytes: u64) -> usize {
    (tree_bytes / TABLE_PART).clamp(TABLE_BYTES.0, TABLE_BYTES.1) as usize
}

impl Writer<'_> {
    fn make_room(&mut self) {
        self.batch.make_room(NODES_AT_ONCE, self.table_bytes);
    }

    fn write_if_full(&mut self) -> Result<(), StorageError> {
        if self.batch.size_bytes() >= self.table_bytes {
            self.checkpoint.put(self.batch)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), StorageError> {
        if !self.batch.is_empty() {
            self.checkpoint.put(self.batch)?;
        }
        self.checkpoint.finish().map(drop)
    }
}

pub(super) fn acl_bytes(list: &AclList) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(
        &mut bytes,
        &list.iter().map(acl::to_wire).collect::<Vec<Acl<'_>>>(),
    );
    bytes
}

pub(super) fn record<'a>(node: &StoredNode<'a>) -> NodeRecord<'a> {
    NodeRecord {
        czxid: node.czxid,
        mzxid: node.mzxid,
        ctime: node.ctime,
        mtime: node.mtime,
        pzxid: node.pzxid,
        ephemeral_owner: node.owner,
        version: node.version,
        cversion: node.cversion,
        aversion: node.aversion,
        acl: node.acl,
        data: node.data,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::recovery::Restoring;
    use super::super::tests::pipeline_of;
    use super::*;
    use crate::ids::SessionId;
    use crate::proto::client::{CreateRequest, DeleteRequest, SetDataRequest};
    use crate::proto::{Buffer, Id, OpCode, Text};
    use crate::storage::{self, Storage, StorageConfig};

    fn content(tree: &Tree) -> BTreeMap<String, String> {
        tree.all()
            .map(|(id, node)| (tree.path_of(id), format!("{:?}", StoredNode::of(node))))
            .collect()
    }

    /// Creates, sets and deletes nodes here and there.
    fn change(pipeline: &Pipeline, random: &mut u32) {
        *random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (kind, parent, child) = (*random >> 28, *random >> 20 & 15, *random >> 12 & 63);
        let path = match child {
            0..8 => format!("/{parent}"),
            _ => format!("/{parent}/{child}"),
        };
        let (path, mut body) = (Text::from(&*path), Vec::new());
        let op = match kind {
            0..6 => {
                let id = Id {
                    scheme: Text::from("world"),
                    id: Text::from("anyone"),
                };
                let record = CreateRequest {
                    path,
                    data: Buffer::from(b"new"),
                    acl: Some(vec![Acl { perms: 31, id }]),
                    flags: 0,
                };
                put(&mut body, &record);
                OpCode::CREATE
            }
            6..13 => {
                let data = vec![*random as u8; 100 + child as usize];
                let record = SetDataRequest {
                    path,
                    data: Buffer::from(&data[..]),
                    version: -1,
                };
                put(&mut body, &record);
                OpCode::SET_DATA
            }
            _ => {
                put(&mut body, &DeleteRequest { path, version: -1 });
                OpCode::DELETE
            }
        };
        pipeline.submit_own(SessionId::NONE, op, &body);
    }

    #[test]
    fn a_checkpoint_beside_writes_and_the_log_after_it_are_the_tree() {
        let dir = tempfile::tempdir().unwrap();
        let config = StorageConfig {
            warm_log: false,
            ..StorageConfig::new(dir.path())
        };
        let mut random = 1;
        let mut expected = BTreeMap::new();
        for round in 0..3 {
            let mut restoring = Restoring::new(true, true);
            let Storage {
                log, state, opened, ..
            } = storage::open(&config, &mut restoring).unwrap();
            let handle = log.handle();
            let tree = restoring.finish();
            if round > 0 {
                assert_eq!(content(&tree), expected, "round {round}");
                assert!(opened.marker > 0, "no checkpoint came to its end");
            }
            let (pipeline, _pending) = pipeline_of(tree);
            let disk = {
                let pipeline = Arc::clone(&pipeline);
                std::thread::spawn(move || pipeline.run_disk(log).map(drop))
            };
            let checkpointed = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut is_last = false;
                    while !std::mem::replace(&mut is_last, checkpointed.load(Ordering::Acquire)) {
                        for _ in 0..500 {
                            change(&pipeline, &mut random);
                        }
                        while pipeline.outstanding() > 0 {
                            std::thread::yield_now();
                        }
                    }
                    pipeline.stop();
                });
                while pipeline.tree().node_count() < 100 {
                    std::thread::yield_now();
                }
                let mut batch = CheckpointBatch::new(0);
                for _ in 0..5 {
                    pipeline
                        .checkpoint(&state, &handle, &mut batch, Pace::beside())
                        .unwrap();
                }
                checkpointed.store(true, Ordering::Release);
            });
            disk.join().unwrap().unwrap();
            expected = content(&pipeline.tree());
        }
    }
}
