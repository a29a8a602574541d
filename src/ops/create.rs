//! create, create2, createContainer and createTTL, alone and in a multi.

use super::apply::{Applied, Apply};
use super::pending::{Change, Effect};
use super::write::{WriteContext, put_acl};
use super::{Observer, put, quota, required};
use crate::auth::perm;
use crate::proto::client::{CreateRequest, CreateTtlRequest};
use crate::proto::txn::{CreateContainerTxn, CreateTtlTxn, CreateTxn, CreateTxnV0};
use crate::proto::{Acl, ErrorCode, OpCode};
use crate::tree::acl::{self, AclList};
use crate::tree::{CreateError, Kind, NewNode, TTL_MS_MAX, path};
use jute::{Buffer, Text};

/// The four records that ask for a node, as one.
pub(super) struct Request<'a> {
    pub path: &'a Text<'a>,
    pub data: &'a Buffer<'a>,
    pub acl: Option<&'a Vec<Acl<'a>>>,
    pub flags: i32,
    /// -1 where the record has none.
    pub ttl: i64,
}

impl<'a> From<&'a CreateRequest<'_>> for Request<'a> {
    fn from(r: &'a CreateRequest<'_>) -> Self {
        Request {
            path: &r.path,
            data: &r.data,
            acl: r.acl.as_ref(),
            flags: r.flags,
            ttl: -1,
        }
    }
}

impl<'a> From<&'a CreateTtlRequest<'_>> for Request<'a> {
    fn from(r: &'a CreateTtlRequest<'_>) -> Self {
        Request {
            path: &r.path,
            data: &r.data,
            acl: r.acl.as_ref(),
            flags: r.flags,
            ttl: r.ttl,
        }
    }
}

pub(super) const FLAG_CONTAINER: i32 = 4;

pub(super) fn is_known_flag(flags: i32) -> bool {
    (0..=6).contains(&flags)
}

pub(super) fn is_ttl_flag(flags: i32) -> bool {
    matches!(flags, 5 | 6)
}

pub(super) fn is_ephemeral(flags: i32) -> bool {
    matches!(flags, 1 | 3)
}

fn is_sequential(flags: i32) -> bool {
    matches!(flags, 2 | 3 | 6)
}

pub(super) fn check(
    ctx: &mut WriteContext<'_>,
    op: OpCode,
    request: &Request<'_>,
    out: &mut Vec<u8>,
) -> Result<OpCode, ErrorCode> {
    let flags = request.flags;
    if !is_known_flag(flags) {
        return Err(ErrorCode::BAD_ARGUMENTS);
    }
    if is_ttl_flag(flags) && !ctx.rules.extended_types {
        return Err(ErrorCode::UNIMPLEMENTED);
    }
    let ttl_is_valid = if is_ttl_flag(flags) {
        (1..=TTL_MS_MAX).contains(&request.ttl)
    } else {
        request.ttl < 0
    };
    // Upstream lets a negative ttl with a plain flag through, and falls over it when it applies the transaction.
    if !ttl_is_valid || (op == OpCode::CREATE_TTL && !is_ttl_flag(flags)) {
        return Err(ErrorCode::BAD_ARGUMENTS);
    }
    if is_ephemeral(flags) {
        ctx.check_owner()?;
    } else {
        ctx.check_session()?;
    }
    let path = required(request.path)?;
    if !path::has_parent(path) {
        return Err(ErrorCode::BAD_ARGUMENTS);
    }
    let acl = ctx.fix_up(request.acl)?;
    let (parent_path, _) = path::split(path).ok_or(ErrorCode::BAD_ARGUMENTS)?;
    let mut parent = ctx.node(parent_path)?;
    ctx.allow(&parent, perm::CREATE)?;
    let with_suffix;
    let path = if is_sequential(flags) {
        with_suffix = format!("{path}{:010}", parent.cversion);
        &with_suffix
    } else {
        path
    };
    if !path::is_valid(path) {
        return Err(ErrorCode::BAD_ARGUMENTS);
    }
    if ctx.pending.get(ctx.tree, path).is_some() {
        return Err(ErrorCode::NODE_EXISTS);
    }
    if !parent.kind.allows_children() {
        return Err(ErrorCode::NO_CHILDREN_FOR_EPHEMERALS);
    }
    let data = request.data.as_bytes();
    let data_len = data.map_or(0, <[u8]>::len);
    quota::check_create(ctx, path, data_len)?;

    let kind = match op {
        OpCode::CREATE_CONTAINER => Kind::Container,
        OpCode::CREATE_TTL => Kind::Ttl(request.ttl),
        _ if is_ephemeral(flags) => Kind::Ephemeral(ctx.session.0),
        _ => Kind::Persistent,
    };
    let parent_cversion = parent.cversion.wrapping_add(1);
    put(out, &Text::from(path));
    put(out, request.data);
    put_acl(out, &acl);
    match op {
        OpCode::CREATE_CONTAINER => put(out, &parent_cversion),
        OpCode::CREATE_TTL => {
            put(out, &parent_cversion);
            put(out, &request.ttl);
        }
        _ => {
            put(out, &is_ephemeral(flags));
            put(out, &parent_cversion);
        }
    }
    parent.cversion = parent_cversion;
    parent.pzxid = ctx.zxid;
    parent.children += 1;
    ctx.promise(parent_path, parent, Effect::Numbers);
    let node = Change::new_node(kind, acl, data_len, ctx.zxid, ctx.time);
    ctx.promise(path, node, Effect::Data(data));
    Ok(op)
}

/// Logs from before 3.4 end where the parent's counter would be.
pub(super) fn read_create<'a>(
    op: OpCode,
    body: &mut &'a [u8],
) -> Result<CreateTxn<'a>, jute::Error> {
    let before = *body;
    match jute::read(body) {
        Err(jute::Error::UnexpectedEnd) if op == OpCode::CREATE => {
            *body = before;
            jute::read::<CreateTxnV0<'a>>(body).map(CreateTxn::from)
        }
        txn => txn,
    }
}

/// A create transaction of any kind, as one.
struct New<'a> {
    path: Text<'a>,
    data: Buffer<'a>,
    acl: Option<Vec<Acl<'a>>>,
    kind: Kind,
    parent_cversion: i32,
}

pub(super) fn apply<'a>(
    cx: &mut Apply<'_, impl Observer>,
    op: OpCode,
    body: &mut &'a [u8],
) -> Result<Applied<'a>, jute::Error> {
    let new = match op {
        OpCode::CREATE_CONTAINER => {
            let txn: CreateContainerTxn<'a> = jute::read(body)?;
            New {
                path: txn.path,
                data: txn.data,
                acl: txn.acl,
                kind: Kind::Container,
                parent_cversion: txn.parent_c_version,
            }
        }
        OpCode::CREATE_TTL => {
            let txn: CreateTtlTxn<'a> = jute::read(body)?;
            New {
                path: txn.path,
                data: txn.data,
                acl: txn.acl,
                kind: Kind::Ttl(txn.ttl & TTL_MS_MAX),
                parent_cversion: txn.parent_c_version,
            }
        }
        _ => {
            let txn = read_create(op, body)?;
            New {
                path: txn.path,
                data: txn.data,
                acl: txn.acl,
                kind: if txn.ephemeral {
                    Kind::Ephemeral(cx.session.0)
                } else {
                    Kind::Persistent
                },
                parent_cversion: txn.parent_c_version,
            }
        }
    };
    let acl = match new.acl.as_deref() {
        Some([only]) if super::write::is_open(only) => cx.tree.open_acl(),
        list => AclList::from_iter(list.unwrap_or_default().iter().map(acl::from_wire)),
    };
    let node = NewNode {
        path: new.path.or_empty(),
        data: new.data.as_bytes(),
        acl,
        kind: new.kind,
        parent_cversion: new.parent_cversion,
        zxid: cx.zxid,
        time: cx.time,
    };
    let id = match cx.tree.create(node) {
        Ok(id) => id,
        Err(CreateError::NoParent) => return Ok(Applied::Error(ErrorCode::NO_NODE)),
        Err(CreateError::Exists(id, acl)) => {
            // A fuzzy snapshot may show the node with a list that came later, or without any (ZOOKEEPER-4846).
            let aversion = cx.tree.node(id).aversion;
            cx.tree.set_acl(id, acl, aversion);
            return Ok(Applied::Error(ErrorCode::NODE_EXISTS));
        }
    };
    // The node as it was asked for: a usage node is filled in below.
    let stat = (op != OpCode::CREATE).then(|| cx.tree.stat(cx.tree.node(id)));
    quota::created(cx.tree, new.path.or_empty(), new.data.as_bytes());
    cx.created(id, new.path.or_empty());
    Ok(match stat {
        Some(stat) => Applied::PathStat(new.path, stat),
        None => Applied::Path(new.path),
    })
}
