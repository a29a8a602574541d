//! The second stage: groups of transactions become durable, one write and one fsync each, on a thread of their
//! own. Answers to `SyncRequestProcessor`.
//!
//! What came while the disk was busy is the next group: the slower the disk, the larger the groups. The thread
//! that waited for the disk also applies what it made durable, so that at depth one a write costs two wake-ups.

use std::time::{Duration, Instant};

use super::Pipeline;
use super::prep::Group;
use crate::storage::{Log, StorageError};

impl Pipeline {
    /// Runs until [`Pipeline::stop`] and everything submitted before it is done. An error means that nothing may
    /// be acknowledged any more: the process has to end.
    pub fn run_disk(&self, mut log: Log) -> Result<Log, StorageError> {
        let mut group = Group::default();
        while self.next_group(&mut group) {
            let began = Instant::now();
            log.append(group.last.0, &group.bytes)?;
            self.stats.synced(group.txns.len(), began.elapsed());
            self.finalize(&mut group);
            self.checkpoint_if_due();
        }
        Ok(log)
    }

    /// Waits for work; `false` when there is none and will be none.
    fn next_group(&self, group: &mut Group) -> bool {
        group.clear();
        let mut prep = self.prep.lock();
        while prep.group.is_empty() {
            if prep.stopping {
                return false;
            }
            if self.work.wait_for(&mut prep, IDLE_CHECK).timed_out() && prep.group.is_empty() {
                drop(prep);
                self.checkpoint_if_due();
                prep = self.prep.lock();
            }
        }
        if self.settings.flush_delay_ms > 0 {
            let deadline = Instant::now() + Duration::from_millis(self.settings.flush_delay_ms);
            while prep.group.txns.len() < self.settings.batch_max && !prep.stopping {
                if self.work.wait_until(&mut prep, deadline).timed_out() {
                    break;
                }
            }
        }
        std::mem::swap(&mut prep.group, group);
        self.group_bytes
            .store(0, std::sync::atomic::Ordering::Relaxed);
        true
    }

    pub fn stop(&self) {
        self.prep.lock().stopping = true;
        self.work.notify_all();
    }
}

/// How often an idle server looks whether a checkpoint is due.
const IDLE_CHECK: Duration = Duration::from_secs(1);
