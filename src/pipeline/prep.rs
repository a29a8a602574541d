//! The first stage: requests become transactions, in one order, and gather in a group for the disk.
//! Answers to `PrepRequestProcessor`.
//!
//! There is no thread here. A connection's task that has writes takes the lock and judges them itself: a hop to
//! another thread would cost more than the judging, and at depth one it would stand between a request and its
//! fsync.

use std::collections::VecDeque;
use std::sync::Arc;

use super::admission::Held;
use super::client::Client;
use super::member::Sealed;
use crate::auth::Id;
use crate::ids::{ConnId, LinkId, SessionId, Zxid};
use crate::ops::members::Members;
use crate::ops::pending::Pending;
use crate::ops::{self, Rules, WriteContext, Written};
use crate::proto::{ErrorCode, OpCode};
use crate::tree::Tree;

/// Transactions that go to disk together.
#[derive(Default)]
pub(super) struct Group {
    /// For each: its length, four bytes; then its bytes.
    pub bytes: Vec<u8>,
    pub txns: Vec<Queued>,
    pub last: Zxid,
    /// Made here by prep, and not sent by a leader.
    pub is_prepared: bool,
    pub brought_by: BroughtBy,
}

/// Whose the transactions of a group are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BroughtBy {
    #[default]
    Nobody,
    One(ConnId),
    /// A learner, of its clients.
    Link(LinkId),
    Many,
}

impl BroughtBy {
    pub fn add(&mut self, other: BroughtBy) {
        if *self == BroughtBy::Nobody {
            *self = other;
        } else if *self != other {
            *self = BroughtBy::Many;
        }
    }
}

/// A connection that was the only one to bring something, and how many groups long.
#[derive(Default)]
pub(super) struct Lone {
    who: BroughtBy,
    groups: u32,
}

/// After so many groups in a row a connection looks as if it were the only one that writes.
const LONE_GROUPS_MIN: u32 = 8;

impl Lone {
    pub fn taken(&mut self, group: &BroughtBy) {
        let same = self.who == *group && matches!(group, BroughtBy::One(_) | BroughtBy::Link(_));
        self.groups = if same {
            self.groups.saturating_add(1)
        } else {
            0
        };
        self.who = *group;
    }

    pub fn is(&self, group: &BroughtBy) -> bool {
        self.groups >= LONE_GROUPS_MIN && self.who == *group
    }
}

pub(super) struct Queued {
    /// Where its bytes begin, behind their length.
    pub start: usize,
    pub end: usize,
    pub origin: Option<Arc<Client>>,
    pub held: Held,
}

impl Group {
    pub fn is_empty(&self) -> bool {
        self.txns.is_empty()
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.txns.clear();
        self.brought_by = BroughtBy::Nobody;
    }
}

pub(super) struct Prep {
    pub pending: Pending,
    pub last: Zxid,
    pub group: Group,
    pub lone: Lone,
    pub stopping: bool,
    /// To be done before the group, by whoever writes the log.
    pub sealed: VecDeque<Sealed>,
    /// Of a leader.
    pub members: Option<Members>,
    /// Of a leader: the last zxid of its epoch, which no transaction gets (ZOOKEEPER-1277).
    end: Option<Zxid>,
}

/// A request that is to become a transaction.
pub(super) struct Request<'a> {
    pub session: SessionId,
    pub session_error: Option<ErrorCode>,
    pub ephemeral_error: Option<ErrorCode>,
    pub cxid: i32,
    pub op: OpCode,
    pub body: &'a [u8],
    pub ids: &'a [Id],
    pub origin: Option<Arc<Client>>,
    /// A learner waits for a transaction, even if the request cannot be read.
    pub is_remote: bool,
    pub held: Held,
}

/// Bytes of a group beyond which no more is read from clients until it is on its way to the disk.
pub(super) const GROUP_BYTES_MAX: usize = 32 << 20;

impl Prep {
    pub fn new(last: Zxid) -> Prep {
        Prep {
            pending: Pending::default(),
            last,
            group: Group::default(),
            lone: Lone::default(),
            stopping: false,
            sealed: VecDeque::new(),
            members: None,
            end: None,
        }
    }

    pub fn has_work(&self) -> bool {
        !self.group.is_empty() || !self.sealed.is_empty()
    }

    pub fn last(&self) -> Zxid {
        self.last
    }

    /// Continues from the beginning of an epoch; what was judged before is forgotten.
    /// The tree is another one, of this zxid.
    pub fn restart(&mut self, at: Zxid) {
        self.pending = Pending::default();
        self.last = at;
    }

    pub fn begin(&mut self, at: Zxid) {
        self.pending = Pending::default();
        self.last = at;
        self.end = Some(Zxid::new(at.epoch(), u32::MAX));
    }

    pub fn submit(
        &mut self,
        tree: &Tree,
        rules: &Rules,
        time: i64,
        request: Request<'_>,
    ) -> Written {
        let zxid = self.last.next();
        if self.end == Some(zxid) {
            return self.end_epoch(zxid);
        }
        let group = &mut self.group;
        let length_at = group.bytes.len();
        group.bytes.extend_from_slice(&[0; 4]);
        let start = group.bytes.len();
        let mut ctx = WriteContext {
            tree,
            pending: &mut self.pending,
            rules,
            session: request.session,
            session_error: request.session_error,
            ephemeral_error: request.ephemeral_error,
            ids: request.ids,
            zxid: zxid.0,
            time,
            is_remote: request.is_remote,
            members: self.members.as_mut(),
        };
        let written = ops::write(
            &mut ctx,
            request.cxid,
            request.op,
            request.body,
            &mut group.bytes,
        );
        if written == Written::Undecodable {
            group.bytes.truncate(length_at);
            return written;
        }
        let end = group.bytes.len();
        let len = (end - start) as u32;
        group.bytes[length_at..start].copy_from_slice(&len.to_be_bytes());
        group.txns.push(Queued {
            start,
            end,
            origin: request.origin,
            held: request.held,
        });
        group.last = zxid;
        group.is_prepared = true;
        self.last = zxid;
        written
    }

    /// This leader has to go. Who asked is sent away with it, to ask another one.
    #[cold]
    fn end_epoch(&mut self, end: Zxid) -> Written {
        self.seal();
        let is_told = |sealed: &Sealed| matches!(sealed, Sealed::EpochEnd(_));
        if !self.sealed.iter().any(is_told) {
            self.sealed.push_back(Sealed::EpochEnd(end));
        }
        Written::Txn
    }
}
