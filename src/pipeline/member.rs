//! The pipeline of a member of an ensemble: the quorum hears of every group before and after it is written, and what
//! it delivers is applied. Answers to `ProposalRequestProcessor` and `CommitProcessor`.
//!
//! What is written waits here until it is delivered. What is not here any more (after a restart, or after a change of
//! roles) is read from the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::Mutex;

use super::prep::{Group, Prep, Queued};
use super::role::Role;
use super::sync::Wake;
use super::{Pipeline, wall_ms};
use crate::admin::metrics::DetailedSummary;
use crate::ids::Zxid;
use crate::proto::txn::TxnHeader;
use crate::storage::{Log, LogHandle, StorageError};
use crate::zab::Txn;

/// So few proposals a link's task writes itself, while the disk is quick. Of more it has others to read.
const WRITTEN_HERE_TXNS_MAX: usize = 2;
/// Transactions that are read from the log at once.
const READ_TXNS_MAX: usize = 256;

/// Who decides what is committed. Called from the thread that writes the log, with no lock of the pipeline held but
/// that of the log.
pub trait Quorum: Send + Sync {
    /// What prep made, before it is written; what is given back is to be done before that. `None` if this server does
    /// not lead any more: then it is not written.
    fn propose(&self, txns: Vec<Txn>) -> Option<Vec<LogJob>>;
    /// Everything up to here is on disk.
    fn durable(&self, zxid: Zxid);
    /// Whether somebody is told so: an observer keeps it to itself.
    fn acknowledges(&self) -> bool;
    /// The log does not go back further than this any more.
    fn purged(&self, zxid: Zxid);
}

/// Something to be done by whoever writes the log, in the order of what is written.
pub type LogJob = Box<dyn FnOnce(&mut Log) -> Result<(), StorageError> + Send>;

/// What comes before the group that gathers now.
pub(super) enum Sealed {
    Group(Group),
    Job(LogJob),
    /// Prep has no zxid left but this one, which cannot be used.
    EpochEnd(Zxid),
}

pub(super) struct Member {
    quorum: Arc<dyn Quorum>,
    log: LogHandle,
    /// Written and not delivered, in order.
    logged: Mutex<VecDeque<Logged>>,
}

struct Logged {
    /// Where the log ended before.
    after: Zxid,
    group: Group,
}

impl Pipeline {
    /// Makes this the pipeline of a member, before anything runs.
    pub fn join(&self, quorum: Arc<dyn Quorum>, forward: Arc<dyn super::Forward>, log: LogHandle) {
        let member = Member {
            quorum,
            log,
            logged: Mutex::default(),
        };
        let first = self.member.set(member).is_ok() && self.upstream.set(forward).is_ok();
        assert!(first, "a server joins its ensemble once");
        self.rest();
    }

    /// What a leader proposed, for the log of this learner. [`Pipeline::see_to`] has it written.
    pub fn append(&self, txns: &[Txn]) -> Wake {
        let mut prep = self.prep.lock();
        let prep = &mut *prep;
        if prep.group.is_prepared {
            prep.seal();
        }
        let is_alone = !prep.has_work() && txns.len() <= WRITTEN_HERE_TXNS_MAX;
        for txn in txns {
            prep.group.push(txn.zxid, &txn.bytes);
        }
        match is_alone && self.may_write_here() {
            true => Wake::WriteHere,
            false => Wake::Disk,
        }
    }

    /// Behind everything appended before, and before everything appended later.
    pub fn log_job(&self, job: LogJob) {
        let mut prep = self.prep.lock();
        prep.seal();
        prep.sealed.push_back(Sealed::Job(job));
        self.work.notify_one();
    }

    /// The jobs that wait, for who writes a group that was proposed behind them. Groups before them are not proposed yet.
    pub fn take_log_jobs(&self) -> Vec<LogJob> {
        let mut prep = self.prep.lock();
        let mut jobs = Vec::new();
        for sealed in std::mem::take(&mut prep.sealed) {
            match sealed {
                Sealed::Job(job) => jobs.push(job),
                group => prep.sealed.push_back(group),
            }
        }
        jobs
    }

    /// Writes a group and tells the quorum.
    pub(super) fn write_as_member(
        &self,
        member: &Member,
        log: &mut Log,
        group: Group,
    ) -> Result<(), StorageError> {
        if group.is_prepared {
            let Some(before) = member.quorum.propose(proposals(&group)) else {
                // Who asked for these is being sent away, to ask another leader.
                return Ok(());
            };
            for job in before {
                job(log)?;
            }
            let sizes = group.txns.iter().map(|txn| txn.end - txn.start);
            self.stats.proposal_bytes.proposed(sizes);
            let proposals = group.txns.len() as u64;
            self.stats.metrics.proposal_count.add(proposals);
        }
        let after = Zxid(log.last_zxid());
        self.append_group(log, &group)?;
        if self.is_in_step() && member.quorum.acknowledges() {
            let created = &self.stats.metrics.proposal_ack_creation_latency;
            group.record_ages(wall_ms(), &[created]);
        }
        let last = group.last;
        member.logged.lock().push_back(Logged { after, group });
        member.quorum.durable(last);
        Ok(())
    }

    /// The quorum is asked for the zxid that no leader may give, and ends the role.
    pub(super) fn end_epoch(&self, end: Zxid) {
        if let Some(member) = self.member.get() {
            tracing::warn!(
                "the counters of epoch {} are used up: a new one has to begin",
                end.epoch().0
            );
            let bytes = Bytes::new();
            let _ = member.quorum.propose(vec![Txn { zxid: end, bytes }]);
        }
    }

    /// Committed: applies everything up to here. One caller at a time.
    pub fn deliver(&self, up_to: Zxid) -> Result<(), StorageError> {
        let Some(member) = self.member.get() else {
            return Ok(());
        };
        loop {
            let applied = self.tree.read().applied_zxid();
            if applied >= up_to {
                break;
            }
            let mut group = match member.take_logged(applied, up_to) {
                Ok(group) => {
                    self.measure_commit(&group);
                    group
                }
                Err(from_log) => member.read(applied, from_log)?,
            };
            let took = self.finalize(&mut group).as_millis() as i64;
            let metrics = &self.stats.metrics;
            metrics.commit_process_time.record(took);
            metrics.write_batch_time_in_commit_processor.record(took);
            self.disk.recycle(group);
        }
        Ok(())
    }

    /// What comes from the log instead may be of long ago.
    fn measure_commit(&self, group: &Group) {
        let metrics = &self.stats.metrics;
        let txns = group.txns.len() as u64;
        metrics.request_commit_queued.add(txns);
        metrics.write_commit_proc_issued.record(txns as i64);
        let arrived = &metrics.propagation_latency;
        match self.role() {
            Role::Leading => group.record_ages(wall_ms(), &[arrived, &metrics.quorum_ack_latency]),
            Role::Learning => group.record_ages(wall_ms(), &[arrived]),
            Role::Alone | Role::Idle | Role::ReadOnly => {}
        }
    }

    /// What comes now was made a moment ago.
    fn is_in_step(&self) -> bool {
        matches!(self.role(), Role::Leading | Role::Learning)
    }

    /// The log ends here from now on; for the one who cuts it.
    pub fn forget_logged_after(&self, zxid: Zxid) {
        if let Some(member) = self.member.get() {
            member
                .logged
                .lock()
                .retain(|logged| logged.group.last <= zxid);
        }
    }

    pub(super) fn log_purged(&self, zxid: i64) {
        if let Some(member) = self.member.get() {
            member.quorum.purged(Zxid(zxid));
        }
    }

    /// What prep made and nobody was told of is worth nothing without the role. What a leader sent is still written.
    pub(super) fn forget_proposed(&self, prep: &mut Prep) {
        prep.seal();
        prep.sealed.retain(|sealed| match sealed {
            Sealed::Group(group) => !group.is_prepared,
            Sealed::Job(_) => true,
            Sealed::EpochEnd(_) => false,
        });
        prep.pending = Default::default();
        self.group_bytes.store(0, Ordering::Relaxed);
        self.outstanding.store(0, Ordering::Relaxed);
    }
}

impl Prep {
    /// What gathered so far is a group of its own, behind which others may queue.
    pub fn seal(&mut self) {
        if !self.group.is_empty() {
            let group = std::mem::take(&mut self.group);
            self.sealed.push_back(Sealed::Group(group));
        }
        self.group.is_prepared = false;
    }
}

impl Group {
    /// A transaction as it came from a leader or from the log.
    fn push(&mut self, zxid: Zxid, txn: &[u8]) {
        self.bytes
            .extend_from_slice(&(txn.len() as u32).to_be_bytes());
        let start = self.bytes.len();
        self.bytes.extend_from_slice(txn);
        self.txns.push(Queued {
            start,
            end: self.bytes.len(),
            origin: None,
            held: None,
        });
        self.last = zxid;
    }

    fn zxid_of(&self, txn: &Queued) -> Zxid {
        let at = txn.start + ZXID_AT;
        let bytes = self.bytes[at..].first_chunk().expect("a header is longer");
        Zxid(i64::from_be_bytes(*bytes))
    }

    /// How long ago its transactions were made, by the clock of whoever made them. Clocks differ: what is of the future
    /// says nothing.
    fn record_ages(&self, now: i64, summaries: &[&DetailedSummary]) {
        let made = |txn: &Queued| TxnHeader::time_of(&self.bytes[txn.start..txn.end]);
        // Those of a burst have the same time.
        for together in self.txns.chunk_by(|one, next| made(one) == made(next)) {
            let age = together.first().and_then(made).map(|made| now - made);
            if let Some(age) = age.filter(|age| *age >= 0) {
                let count = together.len() as u64;
                summaries.iter().for_each(|s| s.record_many(age, count));
            }
        }
    }

    /// The transactions up to `zxid`, or none.
    fn take_up_to(&mut self, zxid: Zxid) -> Option<Group> {
        let count = self.txns.partition_point(|txn| self.zxid_of(txn) <= zxid);
        let (last, end) = {
            let last = self.txns.get(count.checked_sub(1)?)?;
            (self.zxid_of(last), last.end)
        };
        // What was taken before is not copied again.
        let begin = self.txns.first()?.start;
        let moved = |txn: Queued| Queued {
            start: txn.start - begin,
            end: txn.end - begin,
            ..txn
        };
        Some(Group {
            bytes: self.bytes[begin..end].to_vec(),
            txns: self.txns.drain(..count).map(moved).collect(),
            last,
            is_prepared: self.is_prepared,
            ..Group::default()
        })
    }
}

/// Offset of the zxid in a transaction: behind the session and the cxid.
const ZXID_AT: usize = 12;

fn proposals(group: &Group) -> Vec<Txn> {
    let bytes = Bytes::copy_from_slice(&group.bytes);
    let txns = group.txns.iter();
    txns.map(|txn| Txn {
        zxid: group.zxid_of(txn),
        bytes: bytes.slice(txn.start..txn.end),
    })
    .collect()
}

impl Member {
    /// The next transactions behind `applied`; or, if they are not here, up to where they have to be read.
    fn take_logged(&self, applied: Zxid, up_to: Zxid) -> Result<Group, Zxid> {
        let mut logged = self.logged.lock();
        while logged.front().is_some_and(|l| l.group.last <= applied) {
            logged.pop_front();
        }
        let Some(front) = logged.front_mut() else {
            return Err(up_to);
        };
        if front.after > applied {
            return Err(front.after.min(up_to));
        }
        if front.group.last <= up_to {
            return Ok(logged.pop_front().expect("it is there").group);
        }
        let part = front.group.take_up_to(up_to).ok_or(up_to)?;
        front.after = part.last;
        Ok(part)
    }

    fn read(&self, after: Zxid, up_to: Zxid) -> Result<Group, StorageError> {
        let mut group = Group::default();
        let mut reader = self.log.read_from(after.0 + 1);
        while group.txns.len() < READ_TXNS_MAX {
            match reader.next()? {
                Some((zxid, txn)) if zxid <= up_to.0 => group.push(Zxid(zxid), txn),
                _ => break,
            }
        }
        assert!(
            !group.is_empty(),
            "{up_to} is committed, but the log has nothing between it and {after}"
        );
        Ok(group)
    }
}
