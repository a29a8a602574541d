//! setData.

use super::apply::{Applied, Apply};
use super::pending::Effect;
use super::write::{WriteContext, next_version};
use super::{Observer, put, quota, valid_path};
use crate::auth::perm;
use crate::proto::client::SetDataRequest;
use crate::proto::txn::SetDataTxn;
use crate::proto::{ErrorCode, OpCode};

pub(super) fn check(
    ctx: &mut WriteContext<'_>,
    request: &SetDataRequest<'_>,
    out: &mut Vec<u8>,
) -> Result<OpCode, ErrorCode> {
    ctx.check_session()?;
    let path = valid_path(&request.path)?;
    let mut node = ctx.node(path)?;
    ctx.allow(&node, perm::WRITE)?;
    let data_len = request.data.or_empty().len();
    quota::check_set(ctx, path, node.data_len, data_len)?;
    node.version = next_version(node.version, request.version)?;
    node.data_len = data_len;
    node.mzxid = ctx.zxid;
    node.mtime = ctx.time;
    put(out, &request.path);
    put(out, &request.data);
    put(out, &node.version);
    ctx.promise(path, node, Effect::Data(request.data.as_bytes()));
    Ok(OpCode::SET_DATA)
}

pub(super) fn apply<'a>(
    cx: &mut Apply<'_, impl Observer>,
    body: &mut &'a [u8],
) -> Result<Applied<'a>, jute::Error> {
    let txn: SetDataTxn<'_> = jute::read(body)?;
    let path = txn.path.or_empty();
    let Some(id) = cx.tree.find(path) else {
        return Ok(Applied::Error(ErrorCode::NO_NODE));
    };
    let old_len = cx.tree.node(id).data_len();
    cx.tree
        .set_data(id, txn.data.as_bytes(), txn.version, cx.zxid, cx.time);
    quota::changed(cx.tree, path, old_len, txn.data.or_empty().len());
    cx.data_changed(id, path);
    Ok(Applied::Stat(cx.tree.stat(cx.tree.node(id))))
}
