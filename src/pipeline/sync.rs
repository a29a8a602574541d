//! The second stage: groups of transactions become durable, one write and one fsync each. Answers to
//! `SyncRequestProcessor`.
//!
//! Who holds the log writes. Under load that is the disk's thread: what came while it was busy is the next group, so
//! the slower the disk, the larger the groups. When only one connection has something to write, its own task writes,
//! applies and answers: waking a thread takes about as long as the fsync of a quick disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::Pipeline;
use super::member::Sealed;
use super::prep::{BroughtBy, Group, Prep};
use crate::storage::{Log, StorageError};

/// The log, for whoever has something to write, and what went wrong with it.
#[derive(Default)]
pub(super) struct Disk {
    /// `None` before the disk's thread began and after it ended.
    log: Mutex<Option<Log>>,
    failed: Mutex<Option<StorageError>>,
    /// Groups that were applied, for their memory.
    spare: Mutex<Vec<Group>>,
    /// How long it took of late.
    usual_us: AtomicU64,
}

/// The other connections of a thread wait while it writes: only for a disk that takes no longer than that.
const WRITTEN_HERE_US_MAX: u64 = 250;

/// Groups that are kept for their memory, and how much of it each.
const SPARE_GROUPS_MAX: usize = 4;
const SPARE_BYTES_MAX: usize = 1 << 20;

impl Disk {
    fn is_quick(&self) -> bool {
        self.usual_us.load(Ordering::Relaxed) <= WRITTEN_HERE_US_MAX
    }

    fn took(&self, time: Duration) {
        // Written by who holds the log. One slow write among many is no slow disk.
        let before = self.usual_us.load(Ordering::Relaxed);
        let now = (before * 7 + time.as_micros() as u64) / 8;
        self.usual_us.store(now, Ordering::Relaxed);
    }

    pub fn recycle(&self, mut group: Group) {
        group.clear();
        let mut spare = self.spare.lock();
        if spare.len() < SPARE_GROUPS_MAX && group.bytes.capacity() <= SPARE_BYTES_MAX {
            spare.push(group);
        }
    }
}

impl Pipeline {
    /// Runs until [`Pipeline::stop`] and everything submitted before it is done. An error means that nothing may
    /// be acknowledged any more: the process has to end.
    pub fn run_disk(&self, log: Log) -> Result<Log, StorageError> {
        *self.disk.log.lock() = Some(log);
        let written = std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("apply".to_owned())
                .stack_size(APPLY_STACK_BYTES)
                .spawn_scoped(scope, || self.run_apply())
                .expect("a server that starts gets its threads");
            let written = self.write_groups();
            self.durable.close();
            written
        });
        let log = self.disk.log.lock().take();
        written.map(|()| log.expect("nobody else takes it"))
    }

    fn write_groups(&self) -> Result<(), StorageError> {
        while self.await_work() {
            let mut log = self.disk.log.lock();
            if let Some(error) = self.disk.failed.lock().take() {
                return Err(error);
            }
            self.write_group(&mut log)?;
            drop(log);
        }
        Ok(())
    }

    /// Waits for work; `false` when there is none and will be none.
    fn await_work(&self) -> bool {
        let mut prep = self.prep.lock();
        while !prep.has_work() {
            if self.disk.failed.lock().is_some() {
                return true;
            }
            if prep.stopping {
                return false;
            }
            self.work.wait_for(&mut prep, IDLE_CHECK);
        }
        if self.settings.flush_delay_ms > 0 {
            self.gather(&mut prep);
        }
        true
    }

    /// What comes now is served by the same fsync: until nothing has come for a while, and no longer than the delay.
    fn gather(&self, prep: &mut MutexGuard<'_, Prep>) {
        let deadline = Instant::now() + Duration::from_millis(self.settings.flush_delay_ms);
        let pause = Duration::from_millis(self.settings.write_queue_poll_ms);
        // What is sealed is complete, and somebody waits for it.
        while prep.sealed.is_empty()
            && prep.group.txns.len() < self.settings.batch_max
            && !prep.stopping
        {
            let until = deadline.min(Instant::now() + pause);
            if self.work.wait_until(prep, until).timed_out() {
                break;
            }
        }
    }

    /// What gathered becomes durable, and is applied here or handed over. Groups follow one another because the
    /// log is held all the time.
    fn write_group(&self, held: &mut Option<Log>) -> Result<(), StorageError> {
        let group = match self.take_sealed() {
            Some(Sealed::Job(job)) => {
                return match held {
                    Some(log) => job(log),
                    None => Ok(()),
                };
            }
            Some(Sealed::EpochEnd(end)) => {
                self.end_epoch(end);
                return Ok(());
            }
            Some(Sealed::Group(group)) => Some(group),
            None => self.take_group(),
        };
        let (Some(group), Some(log)) = (group, held) else {
            return Ok(());
        };
        if let Some(member) = self.member.get() {
            return self.write_as_member(member, log, group);
        }
        self.append_group(log, &group)?;
        self.apply_durable(group);
        Ok(())
    }

    /// On disk when it returns.
    pub(super) fn append_group(&self, log: &mut Log, group: &Group) -> Result<(), StorageError> {
        let began = Instant::now();
        log.append(group.last.0, &group.bytes)?;
        let took = began.elapsed();
        self.disk.took(took);
        self.stats.synced(group.txns.len(), took);
        Ok(())
    }

    fn take_sealed(&self) -> Option<Sealed> {
        self.prep.lock().sealed.pop_front()
    }

    fn take_group(&self) -> Option<Group> {
        let empty = self.disk.spare.lock().pop().unwrap_or_default();
        let mut held = self.prep.lock();
        let prep = &mut *held;
        if prep.group.is_empty() {
            drop(held);
            self.disk.recycle(empty);
            return None;
        }
        let by = prep.group.brought_by;
        prep.lone.taken(&by);
        let group = std::mem::replace(&mut prep.group, empty);
        self.group_bytes.store(0, Ordering::Relaxed);
        Some(group)
    }

    /// To be called after something was submitted, with the lock still held. What is to be done without it.
    pub(super) fn submitted(&self, prep: &mut Prep, txns: usize, by: BroughtBy) -> Wake {
        if txns == 0 {
            return Wake::Nobody;
        }
        prep.group.brought_by.add(by);
        self.group_bytes
            .store(prep.group.bytes.len(), Ordering::Relaxed);
        self.outstanding.fetch_add(txns, Ordering::Relaxed);
        let alone = prep.lone.is(&prep.group.brought_by);
        if alone && self.may_write_here() {
            Wake::WriteHere
        } else {
            Wake::Disk
        }
    }

    pub(super) fn may_write_here(&self) -> bool {
        self.settings.flush_delay_ms == 0 && self.disk.is_quick()
    }

    /// Has what was submitted written, by the caller if that is quicker. To be called without a lock.
    pub fn see_to(&self, wake: Wake) {
        if wake == Wake::Nobody {
            return;
        }
        if wake == Wake::WriteHere
            && let Some(mut held) = self.disk.log.try_lock()
            && held.is_some()
        {
            match self.write_group(&mut held) {
                Ok(()) if self.member.get().is_none() => return,
                // Of a member, what was sealed went first.
                Ok(()) => {
                    drop(held);
                    if !self.prep.lock().has_work() {
                        return;
                    }
                }
                Err(e) => *self.disk.failed.lock() = Some(e),
            }
        }
        self.work.notify_one();
    }

    pub fn stop(&self) {
        self.prep.lock().stopping = true;
        self.work.notify_all();
    }
}

#[cfg(test)]
impl Pipeline {
    pub(super) fn disk_takes(&self, usually: Duration) {
        for _ in 0..100 {
            self.disk.took(usually);
        }
    }

    pub(super) fn disk_usually_takes(&self) -> Duration {
        Duration::from_micros(self.disk.usual_us.load(Ordering::Relaxed))
    }

    /// Everything that there is to do for who writes the log.
    pub(super) fn write_all(&self, log: &mut Option<Log>) {
        while self.prep.lock().has_work() {
            self.write_group(log)
                .expect("the disk of a test is healthy");
        }
    }

    /// Until the disk's thread has the log.
    pub(super) fn await_disk(&self) {
        while self.disk.log.lock().is_none() {
            std::thread::yield_now();
        }
    }
}

/// Who writes what was submitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wake {
    #[default]
    Nobody,
    Disk,
    WriteHere,
}

/// How often a thread without work looks around.
const IDLE_CHECK: Duration = Duration::from_secs(1);
const APPLY_STACK_BYTES: usize = 512 << 10;
