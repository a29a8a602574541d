//! A disk with the promises of the real storage and no others: writes are done in the order in which they were
//! asked for, several appends may share an fsync, and what was not synced when the process or the machine ended is
//! gone, in part or altogether. A checkpoint holds only what the log holds durably.
//!
//! Knows nothing of when: the world says when a sync is done. Answers to `storage`.

use std::collections::VecDeque;
use std::sync::Arc;

use super::image::Image;
use super::rng::Rng;
use crate::ids::{Epoch, Zxid};
use crate::membership::Membership;
use crate::zab::{LogShape, Txn};

/// The transactions after `base`, the zxid that the state below them has at least.
#[derive(Clone)]
pub struct Log {
    pub base: Zxid,
    pub txns: VecDeque<Txn>,
}

impl Log {
    pub fn last(&self) -> Zxid {
        self.txns.back().map_or(self.base, |t| t.zxid)
    }

    /// Index of the first transaction above `zxid`.
    pub fn after(&self, zxid: Zxid) -> usize {
        self.txns.partition_point(|t| t.zxid <= zxid)
    }

    pub fn get(&self, zxid: Zxid) -> Option<&Txn> {
        let at = self.txns.binary_search_by_key(&zxid, |t| t.zxid).ok()?;
        self.txns.get(at)
    }

    pub fn cut(&mut self, zxid: Zxid) {
        let keep = self.after(zxid);
        self.txns.truncate(keep);
    }

    /// Up to where the log may go when the state is at `zxid` and so many transactions below it are kept.
    pub fn purge_point(&self, zxid: Zxid, retain: usize) -> Zxid {
        let keep_from = self.after(zxid).saturating_sub(retain);
        keep_from
            .checked_sub(1)
            .and_then(|at| self.txns.get(at))
            .map_or(self.base, |txn| txn.zxid)
    }

    pub fn shape(&self) -> LogShape {
        let mut shape = LogShape::starting_at(self.base);
        for txn in &self.txns {
            shape
                .append(txn.zxid)
                .expect("what was appended was checked");
        }
        shape
    }

    pub fn purge(&mut self, up_to: Zxid) {
        while self.txns.front().is_some_and(|t| t.zxid <= up_to) {
            if let Some(first) = self.txns.pop_front() {
                self.base = first.zxid;
            }
        }
    }
}

#[derive(Clone)]
pub enum Write {
    AcceptedEpoch(Epoch),
    CurrentEpoch(Epoch),
    Append(Vec<Txn>),
    Cut(Zxid),
    /// A tree that came from the leader: it and an empty log replace everything.
    Install(Arc<Image>),
    SeenConfig(Membership),
    CommittedConfig(Membership),
}

/// What survives.
#[derive(Clone)]
pub struct Stable {
    pub accepted: Epoch,
    pub current: Epoch,
    pub log: Log,
    pub checkpoint: Arc<Image>,
    pub seen_config: Option<Membership>,
    pub committed_config: Option<Membership>,
}

impl Stable {
    fn write(&mut self, write: &Write) {
        match write {
            Write::AcceptedEpoch(epoch) => self.accepted = *epoch,
            Write::CurrentEpoch(epoch) => self.current = *epoch,
            Write::Append(txns) => self.log.txns.extend(txns.iter().cloned()),
            Write::Cut(zxid) => self.log.cut(*zxid),
            Write::Install(image) => {
                self.checkpoint = Arc::clone(image);
                self.log = Log {
                    base: image.zxid,
                    txns: VecDeque::new(),
                };
            }
            Write::SeenConfig(config) => self.seen_config = Some(config.clone()),
            Write::CommittedConfig(config) => {
                if self
                    .seen_config
                    .as_ref()
                    .is_some_and(|seen| seen.version <= config.version)
                {
                    self.seen_config = None;
                }
                self.committed_config = Some(config.clone());
            }
        }
    }

    /// The last zxid that a restart would find.
    pub fn last(&self) -> Zxid {
        self.log.last().max(self.checkpoint.zxid)
    }
}

pub struct Disk<M> {
    pub stable: Stable,
    /// Asked for and not synced.
    queue: VecDeque<(Write, M)>,
    /// How many of them the fsync that is under way covers.
    syncing: usize,
}

/// Appends that share an fsync.
const GROUP_MAX: usize = 16;

impl<M: Clone> Disk<M> {
    pub fn new(empty: Arc<Image>) -> Disk<M> {
        let stable = Stable {
            accepted: Epoch(0),
            current: Epoch(0),
            log: Log {
                base: Zxid::ZERO,
                txns: VecDeque::new(),
            },
            checkpoint: empty,
            seen_config: None,
            committed_config: None,
        };
        Disk {
            stable,
            queue: VecDeque::new(),
            syncing: 0,
        }
    }

    /// `mark` comes back when it is durable.
    pub fn push(&mut self, write: Write, mark: M) {
        self.queue.push_back((write, mark));
    }

    /// Begins an fsync, if one is due and none is under way.
    pub fn begin(&mut self) -> bool {
        if self.syncing > 0 || self.queue.is_empty() {
            return false;
        }
        let appends = self
            .queue
            .iter()
            .take(GROUP_MAX)
            .take_while(|(write, _)| matches!(write, Write::Append(_)))
            .count();
        self.syncing = appends.max(1);
        true
    }

    /// The fsync is done: the marks of what it covered, in order. `look` sees each write before it counts.
    pub fn finish(&mut self, mut look: impl FnMut(&Stable, &Write)) -> Vec<M> {
        let done = self.queue.drain(..self.syncing);
        self.syncing = 0;
        let mut marks = Vec::new();
        for (write, mark) in done {
            look(&self.stable, &write);
            self.stable.write(&write);
            marks.push(mark);
        }
        marks
    }

    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// The process or the machine ended. Of what was not synced a beginning may have reached the disk, and of an
    /// append its first transactions; the one that was torn is recognised and dropped when the log is opened.
    pub fn crash(&mut self, rng: &mut Rng, mut look: impl FnMut(&Stable, &Write)) {
        let queue = std::mem::take(&mut self.queue);
        let reached = if rng.chance(700) {
            0
        } else {
            rng.index(queue.len() + 1)
        };
        for (at, (write, _)) in queue.into_iter().enumerate() {
            match write {
                write if at < reached => {
                    look(&self.stable, &write);
                    self.stable.write(&write);
                }
                Write::Append(mut txns) if at == reached && reached > 0 => {
                    txns.truncate(rng.index(txns.len()));
                    let write = Write::Append(txns);
                    look(&self.stable, &write);
                    self.stable.write(&write);
                }
                _ => break,
            }
        }
        self.syncing = 0;
    }

    /// A checkpoint of what the log holds durably; the log below it is purged but for `retain` transactions.
    pub fn checkpoint(&mut self, image: Arc<Image>, retain: usize) {
        assert!(
            image.zxid <= self.stable.log.last(),
            "the state is at {}, ahead of the log's {}",
            image.zxid,
            self.stable.log.last()
        );
        let up_to = self.stable.log.purge_point(image.zxid, retain);
        self.stable.log.purge(up_to);
        self.stable.checkpoint = image;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tree::Tree;
    use bytes::Bytes;

    fn txn(epoch: i64, counter: u32) -> Txn {
        Txn {
            zxid: Zxid::new(Epoch(epoch), counter),
            bytes: Bytes::new(),
        }
    }

    fn disk() -> Disk<u32> {
        Disk::new(Arc::new(Image::of(&Tree::new(true))))
    }

    #[test]
    fn only_what_was_synced_survives_a_crash_that_leaves_nothing() {
        // Whatever the seed, what was synced stays and what survives is a prefix of what was asked for.
        let mut lost_all = 0;
        for seed in 0..200 {
            let mut disk = disk();
            disk.push(Write::Append(vec![txn(1, 1), txn(1, 2)]), 1);
            assert!(disk.begin());
            assert!(!disk.begin(), "one fsync at a time");
            disk.push(Write::AcceptedEpoch(Epoch(2)), 2);
            disk.push(Write::Append(vec![txn(1, 3), txn(1, 4)]), 3);
            assert_eq!(disk.finish(|_, _| {}), [1]);
            disk.crash(&mut Rng::new(seed), |_, _| {});
            let last = disk.stable.log.last();
            assert!(last >= txn(1, 2).zxid);
            assert!(
                last == txn(1, 2).zxid || disk.stable.accepted == Epoch(2),
                "a later write survived an earlier one"
            );
            lost_all += u32::from(last == txn(1, 2).zxid && disk.stable.accepted == Epoch(0));
        }
        assert!((100..200).contains(&lost_all), "{lost_all}");
    }

    #[test]
    fn a_log_is_cut_above_and_purged_below() {
        let mut log = disk().stable.log;
        log.txns.extend([txn(1, 1), txn(1, 2)]);
        assert_eq!(log.purge_point(txn(1, 2).zxid, 1), txn(1, 1).zxid);
        assert_eq!(log.purge_point(txn(1, 2).zxid, 5), Zxid::ZERO);
        log.cut(txn(1, 1).zxid);
        assert_eq!(log.last(), txn(1, 1).zxid);
        log.purge(txn(1, 1).zxid);
        assert_eq!((log.last(), log.txns.len()), (txn(1, 1).zxid, 0));
    }

    #[test]
    fn appends_share_an_fsync_and_other_writes_do_not() {
        let mut disk = disk();
        disk.push(Write::Append(vec![txn(1, 1)]), 1);
        disk.push(Write::Append(vec![txn(1, 2)]), 2);
        disk.push(Write::CurrentEpoch(Epoch(1)), 3);
        let mut groups = Vec::new();
        while disk.begin() {
            groups.push(disk.finish(|_, _| {}).len());
        }
        assert_eq!(groups, [2, 1]);
        assert!(disk.is_idle());
    }
}
