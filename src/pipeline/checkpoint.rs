//! The tree on disk follows the tree in memory: what changed is taken at an exact zxid and written in the
//! background.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Pipeline;
use crate::ids::Zxid;
use crate::ops::put;
use crate::proto::Acl;
use crate::storage::{
    CheckpointBatch, Install, Log, LogHandle, NodeRecord, Places, State, StorageError,
};
use crate::tree::stored::Changed;
use crate::tree::{Tree, acl};

/// Changed nodes that make a checkpoint due. Taking them holds up the readers, about half a microsecond each.
const CHANGED_NODES: usize = 4096;
/// Age at which a checkpoint is due whatever its size.
const INTERVAL: Duration = Duration::from_secs(10);
/// Batches that may wait for the background thread. When they do, changes gather in the tree instead.
const WAITING_BATCHES_MAX: usize = 2;

pub(super) struct Checkpoints {
    to_disk: SyncSender<Option<CheckpointBatch>>,
    last: Mutex<Instant>,
    waiting: Arc<AtomicUsize>,
    /// How often the tree was replaced; changes under the tree's lock.
    installs: AtomicU64,
}

/// The background thread's end.
pub struct Pending {
    batches: Receiver<Option<CheckpointBatch>>,
    waiting: Arc<AtomicUsize>,
}

pub(super) fn channel() -> (Checkpoints, Pending) {
    let (to_disk, batches) = sync_channel(WAITING_BATCHES_MAX + 1);
    let waiting = Arc::<AtomicUsize>::default();
    let checkpoints = Checkpoints {
        to_disk,
        last: Mutex::new(Instant::now()),
        waiting: waiting.clone(),
        installs: AtomicU64::new(0),
    };
    (checkpoints, Pending { batches, waiting })
}

impl Pipeline {
    pub(super) fn checkpoint_if_due(&self) {
        let changed = self.tree.read().changed_nodes();
        let mut last = self.checkpoints.last.lock();
        let due = changed >= CHANGED_NODES || (changed > 0 && last.elapsed() >= INTERVAL);
        if due && self.checkpoints.waiting.load(Ordering::Acquire) < WAITING_BATCHES_MAX {
            *last = Instant::now();
            self.take_checkpoint();
        }
    }

    fn take_checkpoint(&self) {
        match self.checkpoints.to_disk.try_send(Some(self.take_batch())) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => panic!("more checkpoints wait than were counted"),
        }
    }

    /// What changed, at the exact zxid of now; counted as waiting until it is written.
    fn take_batch(&self) -> CheckpointBatch {
        let mut tree = self.tree.write();
        let installs = self.checkpoints.installs.load(Ordering::Relaxed);
        let mut batch = CheckpointBatch::new(tree.applied_zxid().0).behind(installs);
        tree.take_changes(|changed| put_change(&mut batch, changed));
        self.checkpoints.waiting.fetch_add(1, Ordering::AcqRel);
        batch
    }

    /// For a clean stop, after the last transaction: the next start has nothing to replay.
    pub fn final_checkpoint(&self) {
        // The background thread may be gone after an error of its own, which it has reported.
        if self.tree.read().changed_nodes() > 0 {
            let _ = self.checkpoints.to_disk.send(Some(self.take_batch()));
        }
        let _ = self.checkpoints.to_disk.send(None);
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
        let mut install = places.begin_install(zxid.0)?;
        write_whole(&new, &mut install)?;
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

    /// The background thread: writes what was taken, and removes the log that is no longer needed.
    pub fn run_checkpoints(
        &self,
        pending: Pending,
        state: &State,
        log: &LogHandle,
        retained_txns: Option<u64>,
    ) -> Result<(), StorageError> {
        use std::sync::mpsc::RecvTimeoutError;
        loop {
            let moved = match pending.batches.recv_timeout(INTERVAL / 2) {
                Ok(Some(batch)) => {
                    let moved = state.write(batch)?;
                    pending.waiting.fetch_sub(1, Ordering::AcqRel);
                    moved
                }
                Ok(None) | Err(RecvTimeoutError::Disconnected) => {
                    state.flush()?;
                    return Ok(());
                }
                Err(RecvTimeoutError::Timeout) => state.flush_if_due()?,
            };
            if let (true, Some(retained)) = (moved, retained_txns)
                && log.purge(state.durable_zxid(), retained)?
            {
                self.log_purged(log.purged_zxid());
            }
        }
    }
}

/// Nodes that are written together when all of a tree is written.
const INSTALL_BATCH: usize = 8192;

/// Writes all of a tree into new stores.
pub fn write_whole(tree: &Tree, install: &mut Install) -> Result<(), StorageError> {
    let mut batch = CheckpointBatch::new(install.zxid());
    let mut result = Ok(());
    tree.everything(|changed| {
        put_change(&mut batch, changed);
        if batch.len() >= INSTALL_BATCH && result.is_ok() {
            let full = std::mem::replace(&mut batch, CheckpointBatch::new(install.zxid()));
            result = install.write(full);
        }
    });
    result.and_then(|()| install.write(batch))
}

fn put_change(batch: &mut CheckpointBatch, changed: Changed<'_>) {
    match changed {
        Changed::RemovedNode(path) => batch.delete_node(path),
        Changed::RemovedAcl(id) => batch.delete_acl(id),
        Changed::Acl(id, list) => {
            let mut bytes = Vec::new();
            put(
                &mut bytes,
                &list.iter().map(acl::to_wire).collect::<Vec<Acl<'_>>>(),
            );
            batch.put_acl(id, &bytes);
        }
        Changed::RemovedSession(id) => batch.delete_session(id.0),
        Changed::Session(id, timeout_ms) => batch.put_session(id.0, timeout_ms),
        Changed::Node(path, node) => batch.put_node(path, &record(node)),
    }
}

fn record(node: &crate::tree::Node) -> NodeRecord<'_> {
    NodeRecord {
        czxid: node.czxid,
        mzxid: node.mzxid,
        ctime: node.ctime,
        mtime: node.mtime,
        pzxid: node.pzxid(),
        ephemeral_owner: node.owner,
        version: node.version,
        cversion: node.cversion(),
        aversion: node.aversion,
        acl: node.acl,
        data: node.data(),
    }
}
