//! Transactions change the tree here, the same way whether they were just committed or are read back from a log.

use super::{
    close_session, create, create_session, delete, multi, quota, reconfig, set_acl, set_data,
};
use crate::ids::SessionId;
use crate::proto::txn::{ErrorTxn, TxnDigest, TxnHeader};
use crate::proto::{ErrorCode, OpCode, Stat};
use crate::tree::acl::AclList;
use crate::tree::{NodeId, Tree, path};
use jute::{Buffer, Text};

/// What happened to a node, for those who watch. The lists say who may know.
#[derive(Clone, Copy)]
pub enum Change<'a> {
    Created {
        path: &'a str,
        acl: &'a AclList,
        parent: &'a str,
        parent_acl: &'a AclList,
    },
    Deleted {
        path: &'a str,
        acl: &'a AclList,
        parent: &'a str,
        parent_acl: &'a AclList,
    },
    Data {
        path: &'a str,
        acl: &'a AclList,
    },
}

pub trait Observer {
    /// False when nobody watches anything: saves the work of saying what happened.
    fn is_watching(&self) -> bool;
    fn changed(&mut self, zxid: i64, change: Change<'_>);
}

/// For replaying a log.
pub struct Unwatched;

impl Observer for Unwatched {
    fn is_watching(&self) -> bool {
        false
    }

    fn changed(&mut self, _zxid: i64, _change: Change<'_>) {}
}

/// What a transaction did, as its requester will hear of it.
#[derive(Debug, PartialEq)]
pub enum Applied<'a> {
    Nothing,
    Error(ErrorCode),
    Path(Text<'a>),
    PathStat(Text<'a>, Stat),
    Stat(Stat),
    Data(Buffer<'a>, Stat),
    Multi(Vec<(OpCode, Applied<'a>)>),
}

impl Applied<'_> {
    /// Whether this error is the result, or one of the results of a multi.
    pub fn says(&self, code: ErrorCode) -> bool {
        match self {
            Applied::Error(err) => *err == code,
            Applied::Multi(results) => results.iter().any(|(_, result)| result.says(code)),
            _ => false,
        }
    }
}

/// A transaction on its way into the tree.
pub(super) struct Apply<'t, O: Observer> {
    pub tree: &'t mut Tree,
    pub observer: &'t mut O,
    pub session: SessionId,
    pub zxid: i64,
    pub time: i64,
}

/// Applies the bytes of one transaction. The only error is bytes that are not a transaction.
pub fn apply<'a>(
    tree: &mut Tree,
    bytes: &'a [u8],
    observer: &mut impl Observer,
) -> Result<(TxnHeader, Applied<'a>), jute::Error> {
    let mut body = bytes;
    let header: TxnHeader = jute::read(&mut body)?;
    let mut cx = Apply {
        tree,
        observer,
        session: SessionId(header.client_id),
        zxid: header.zxid,
        time: header.time,
    };
    let applied = apply_one(&mut cx, header.op, &mut body)?;
    let digest: Option<TxnDigest> = jute::read(&mut body).ok();
    tree.finish_txn(crate::ids::Zxid(header.zxid), digest);
    Ok((header, applied))
}

/// The path of a transaction on one node; of others, and where in doubt, "".
pub fn path_of(txn: &[u8]) -> &str {
    leading_path(txn.get(TxnHeader::LEN..).unwrap_or_default())
}

/// The string at the front of a record, if it is a path.
pub fn leading_path(record: &[u8]) -> &str {
    let path = || {
        let (length, rest) = record.split_first_chunk::<4>()?;
        let path = rest.get(..u32::from_be_bytes(*length) as usize)?;
        std::str::from_utf8(path)
            .ok()
            .filter(|path| path.starts_with('/'))
    };
    path().unwrap_or_default()
}

/// Takes the record off the front of `body`: a digest may stand behind it.
pub(super) fn apply_one<'a>(
    cx: &mut Apply<'_, impl Observer>,
    op: OpCode,
    body: &mut &'a [u8],
) -> Result<Applied<'a>, jute::Error> {
    match op {
        OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => {
            create::apply(cx, op, body)
        }
        OpCode::DELETE | OpCode::DELETE_CONTAINER => delete::apply(cx, body),
        OpCode::SET_DATA => set_data::apply(cx, body),
        OpCode::RECONFIG => reconfig::apply(cx, body),
        OpCode::SET_ACL => set_acl::apply(cx, body),
        OpCode::CHECK => Ok(Applied::Nothing),
        OpCode::MULTI => multi::apply(cx, body),
        OpCode::CREATE_SESSION => create_session::apply(cx, body),
        OpCode::CLOSE_SESSION => close_session::apply(cx, body),
        OpCode::ERROR => {
            let txn: ErrorTxn = jute::read(body)?;
            Ok(Applied::Error(txn.err))
        }
        other => Err(serde::de::Error::custom(format_args!(
            "{other} is not a transaction"
        ))),
    }
}

impl<O: Observer> Apply<'_, O> {
    pub(super) fn created(&mut self, id: NodeId, path: &str) {
        if !self.observer.is_watching() {
            return;
        }
        let parent = path::split(path).map_or("", |(parent, _)| parent);
        let Some(parent_node) = self.tree.get(parent) else {
            return;
        };
        let change = Change::Created {
            path,
            acl: self.tree.acl(self.tree.node(id)),
            parent: path::shown(parent),
            parent_acl: self.tree.acl(parent_node),
        };
        self.observer.changed(self.zxid, change);
    }

    pub(super) fn data_changed(&mut self, id: NodeId, path: &str) {
        if self.observer.is_watching() {
            let acl = self.tree.acl(self.tree.node(id));
            self.observer.changed(self.zxid, Change::Data { path, acl });
        }
    }

    pub(super) fn delete(&mut self, path: &str) -> Result<(), ErrorCode> {
        let id = self.tree.find(path).ok_or(ErrorCode::NO_NODE)?;
        if self.tree.node(id).child_count() > 0 || id == NodeId::ROOT {
            // Only a damaged log says this: prep refuses it.
            return Err(ErrorCode::NOT_EMPTY);
        }
        let data_len = self.tree.node(id).data_len();
        if !self.observer.is_watching() {
            self.tree.delete(id, self.zxid);
            quota::deleted(self.tree, path, data_len);
            return Ok(());
        }
        let acl = self.tree.acl(self.tree.node(id)).clone();
        self.tree.delete(id, self.zxid);
        quota::deleted(self.tree, path, data_len);
        let parent = path::split(path).map_or("", |(parent, _)| parent);
        if let Some(parent_node) = self.tree.get(parent) {
            let change = Change::Deleted {
                path,
                acl: &acl,
                parent: path::shown(parent),
                parent_acl: self.tree.acl(parent_node),
            };
            self.observer.changed(self.zxid, change);
        }
        Ok(())
    }
}

/// Marks the nodes that have quotas, after a stored tree was read back.
pub fn retally_quotas(tree: &mut Tree) {
    quota::restore_marks(tree);
}

/// The same for a tree from elsewhere, whose usage may be of another moment than its nodes.
pub fn recount_quotas(tree: &mut Tree) {
    quota::restore_marks(tree);
    quota::recount_all(tree);
}
