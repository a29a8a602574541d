//! What the own disk holds and what is on its way there.
//!
//! Must not know why something is written. Roles ask here what they may promise; nothing is delivered that is not
//! durable here (ZOOKEEPER-4646, 4785, 4882). Answers to the epoch files and the `SyncRequestProcessor` as the roles
//! of the original see them.

use std::collections::VecDeque;

use crate::ids::{Epoch, LinkId, Zxid};

use crate::proto::quorum::QuorumPacket;

use super::mistake::{Mistake, makes};
use super::role::pop_if;
use super::{Durable, LogShape, Mark, Output, Txn, Write};

#[derive(Debug)]
pub(super) struct Disk {
    accepted_epoch: Epoch,
    current_epoch: Epoch,
    /// With all that was put out, durable or not.
    log: LogShape,
    /// Of the log so much is durable.
    durable: Zxid,
    /// Known to be committed; in the log.
    committed: Zxid,
    delivered: Zxid,
    /// What goes up behind the delivery of its zxid, and before anything later is delivered.
    upward: VecDeque<(Zxid, LinkId, QuorumPacket)>,
    may_have_lost_data: bool,
    /// What was put out and is not answered, in order.
    pending: VecDeque<Mark>,
}

impl Disk {
    pub(super) fn new(durable: Durable) -> Disk {
        let last = durable.log.last();
        assert!(
            durable.log.contains(durable.delivered),
            "the tree, at {}, is not of the log, {:?}",
            durable.delivered,
            durable.log
        );
        Disk {
            accepted_epoch: durable.accepted_epoch,
            current_epoch: durable.current_epoch,
            log: durable.log,
            durable: last,
            committed: durable.delivered,
            delivered: durable.delivered,
            upward: VecDeque::new(),
            may_have_lost_data: durable.may_have_lost_data,
            pending: VecDeque::new(),
        }
    }

    pub(super) fn accepted_epoch(&self) -> Epoch {
        self.accepted_epoch
    }

    pub(super) fn current_epoch(&self) -> Epoch {
        self.current_epoch
    }

    pub(super) fn log(&self) -> &LogShape {
        &self.log
    }

    pub(super) fn durable(&self) -> Zxid {
        self.durable
    }

    pub(super) fn committed(&self) -> Zxid {
        self.committed
    }

    pub(super) fn delivered(&self) -> Zxid {
        self.delivered
    }

    pub(super) fn may_have_lost_data(&self) -> bool {
        self.may_have_lost_data
    }

    /// True when all is durable that was put out.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    fn is_log_idle(&self) -> bool {
        !self.pending.iter().any(|mark| matches!(mark, Mark::Log(_)))
    }

    pub(super) fn write(&mut self, write: Write, out: &mut Vec<Output>) {
        match &write {
            Write::AcceptedEpoch(epoch) => {
                assert!(*epoch > self.accepted_epoch, "a promise cannot be undone");
                self.accepted_epoch = *epoch;
            }
            Write::CurrentEpoch(epoch) => {
                assert!(*epoch >= self.current_epoch && *epoch <= self.accepted_epoch);
                self.current_epoch = *epoch;
            }
            Write::Append(txns) => {
                for txn in txns {
                    self.log
                        .append(txn.zxid)
                        .expect("roles check what comes next");
                }
            }
            Write::Cut(zxid) => {
                assert!(self.is_log_idle(), "a cut meets no append under way");
                assert!(*zxid >= self.delivered, "what is delivered stays");
                assert!(self.log.cut(*zxid), "a cut is at an entry");
                self.durable = self.durable.min(*zxid);
                self.committed = self.committed.min(*zxid);
            }
            Write::Snapshot { zxid, .. } => {
                assert!(self.is_log_idle(), "a snapshot meets no append under way");
                self.log = LogShape::starting_at(*zxid);
                self.durable = *zxid;
                self.committed = *zxid;
                self.delivered = *zxid;
                self.may_have_lost_data = false;
            }
            Write::SeenConfig(_) | Write::CommittedConfig(_) => {}
        }
        self.pending.push_back(write.mark());
        out.push(Output::Persist(write));
    }

    pub(super) fn append(&mut self, txns: Vec<Txn>, out: &mut Vec<Output>) {
        self.write(Write::Append(txns), out);
    }

    pub(super) fn install(&mut self, link: LinkId, zxid: Zxid, out: &mut Vec<Output>) {
        self.write(Write::Snapshot { link, zxid }, out);
    }

    /// Takes the disk's answer and delivers what that allows.
    pub(super) fn persisted(&mut self, mark: Mark, out: &mut Vec<Output>) {
        let Mark::Log(zxid) = mark else {
            let expected = self.pending.pop_front();
            assert_eq!(Some(mark), expected, "the disk answers in order");
            return;
        };
        let covered = |pending: &Mark| matches!(pending, Mark::Log(last) if *last <= zxid);
        assert!(
            self.pending.front().is_some_and(covered),
            "log durable up to {zxid}, while {:?} was to be written",
            self.pending.front()
        );
        while self.pending.front().is_some_and(covered) {
            self.pending.pop_front();
        }
        self.durable = zxid;
        self.deliver(out);
    }

    /// Learns that the log is committed up to here. Never goes back.
    pub(super) fn commit(&mut self, zxid: Zxid, out: &mut Vec<Output>) {
        if zxid > self.committed {
            assert!(
                self.log.contains(zxid),
                "{zxid} is committed and not in the log"
            );
            self.committed = zxid;
            self.deliver(out);
        }
    }

    fn deliver(&mut self, out: &mut Vec<Output>) {
        let mut to = self.committed.min(self.durable);
        if makes(Mistake::UncommittedDelivered) {
            to = self.durable;
        }
        loop {
            let next = self.upward.front().map(|(after, ..)| *after);
            let stop = next.map_or(to, |after| after.min(to));
            if stop > self.delivered {
                self.delivered = stop;
                out.push(Output::Deliver(stop));
            }
            let delivered = self.delivered;
            let is_due = |(after, ..): &(Zxid, LinkId, QuorumPacket)| {
                *after <= delivered || makes(Mistake::SyncOvertakes)
            };
            match pop_if(&mut self.upward, is_due) {
                Some((_, link, packet)) => out.push(Output::Upward(link, packet)),
                None => return,
            }
        }
    }

    /// Passes the packet up between what is committed until now and what is committed later: who asked for a sync may have
    /// asked for more behind it, and everything is answered in its order.
    pub(super) fn upward(&mut self, link: LinkId, packet: QuorumPacket, out: &mut Vec<Output>) {
        self.upward.push_back((self.committed, link, packet));
        self.deliver(out);
    }

    /// The role is over, and nobody waits any more.
    pub(super) fn forget_upward(&mut self) {
        self.upward.clear();
    }

    pub(super) fn purge(&mut self, zxid: Zxid) {
        self.log.purge(zxid.min(self.delivered));
    }
}
