//! setACL.

use super::apply::{Applied, Apply};
use super::pending::Effect;
use super::write::{WriteContext, next_version, put_acl};
use super::{Observer, put, valid_path};
use crate::auth::perm;
use crate::proto::client::SetAclRequest;
use crate::proto::txn::SetAclTxn;
use crate::proto::{ErrorCode, OpCode};
use crate::tree::acl::{self, AclList};

pub(super) fn check(
    ctx: &mut WriteContext<'_>,
    request: &SetAclRequest<'_>,
    out: &mut Vec<u8>,
) -> Result<OpCode, ErrorCode> {
    ctx.check_session()?;
    let path = valid_path(&request.path)?;
    let acl = ctx.fix_up(request.acl.as_ref())?;
    let mut node = ctx.node(path)?;
    ctx.allow(&node, perm::ADMIN)?;
    node.aversion = next_version(node.aversion, request.version)?;
    put(out, &request.path);
    put_acl(out, &acl);
    put(out, &node.aversion);
    node.acl = acl;
    ctx.promise(path, node, Effect::Numbers);
    Ok(OpCode::SET_ACL)
}

pub(super) fn apply<'a>(
    cx: &mut Apply<'_, impl Observer>,
    body: &mut &'a [u8],
) -> Result<Applied<'a>, jute::Error> {
    let txn: SetAclTxn<'_> = jute::read(body)?;
    let Some(id) = cx.tree.find(txn.path.or_empty()) else {
        return Ok(Applied::Error(ErrorCode::NO_NODE));
    };
    let acl = AclList::from_iter(
        txn.acl
            .as_deref()
            .unwrap_or_default()
            .iter()
            .map(acl::from_wire),
    );
    cx.tree.set_acl(id, acl, txn.version);
    Ok(Applied::Stat(cx.tree.stat(cx.tree.node(id))))
}
