//! delete, and the removal of empty containers and outdated TTL nodes.

use super::apply::{Applied, Apply};
use super::pending::{Change, Effect};
use super::write::{WriteContext, next_version};
use super::{Observer, put, required};
use crate::auth::perm;
use crate::proto::client::{DeleteContainerRequest, DeleteRequest};
use crate::proto::txn::DeleteTxn;
use crate::proto::{ErrorCode, OpCode};
use crate::tree::{Kind, path};
use jute::Text;

pub(super) fn check(
    ctx: &mut WriteContext<'_>,
    request: &DeleteRequest<'_>,
    out: &mut Vec<u8>,
) -> Result<OpCode, ErrorCode> {
    ctx.check_session()?;
    let path = required(&request.path)?;
    let parent_path = deletable(path)?;
    let parent = ctx.node(parent_path)?;
    ctx.allow(&parent, perm::DELETE)?;
    let node = ctx.node(path)?;
    next_version(node.version, request.version)?;
    if node.children > 0 {
        return Err(ErrorCode::NOT_EMPTY);
    }
    promise(ctx, path, parent_path, node)?;
    put(out, &Text::from(path));
    Ok(OpCode::DELETE)
}

/// The server's own request. What made the node a candidate is looked at again: it may have changed since.
pub(super) fn check_container(
    ctx: &mut WriteContext<'_>,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<OpCode, ErrorCode> {
    let request: DeleteContainerRequest<'_> =
        jute::from_slice(body).map_err(|_| ErrorCode::MARSHALLING_ERROR)?;
    let path = required(&request.path)?;
    let parent_path = deletable(path)?;
    let node = ctx.node(path)?;
    if node.children > 0 {
        return Err(ErrorCode::NOT_EMPTY);
    }
    match node.kind {
        Kind::Container => {}
        Kind::Ttl(ms) => {
            let mtime = ctx.tree.get(path).map_or(ctx.time, |n| n.mtime);
            if ctx.time - mtime <= ms {
                return Err(ErrorCode::BAD_VERSION);
            }
        }
        Kind::Persistent | Kind::Ephemeral(_) => return Err(ErrorCode::BAD_VERSION),
    }
    promise(ctx, path, parent_path, node)?;
    put(out, &Text::from(path));
    Ok(OpCode::DELETE_CONTAINER)
}

/// The parent's path, if this is a node that may go.
fn deletable(path: &str) -> Result<&str, ErrorCode> {
    if !path::has_parent(path) || path::is_reserved(path) {
        return Err(ErrorCode::BAD_ARGUMENTS);
    }
    path::split(path)
        .map(|(parent, _)| parent)
        .ok_or(ErrorCode::BAD_ARGUMENTS)
}

/// Later requests see the node gone.
pub(super) fn promise(
    ctx: &mut WriteContext<'_>,
    path: &str,
    parent_path: &str,
    node: Change,
) -> Result<(), ErrorCode> {
    let mut parent = ctx.node(parent_path)?;
    parent.pzxid = ctx.zxid;
    parent.children -= 1;
    ctx.promise(parent_path, parent, Effect::Numbers);
    ctx.promise(path, node, Effect::Gone);
    Ok(())
}

pub(super) fn apply<'a>(
    cx: &mut Apply<'_, impl Observer>,
    body: &mut &'a [u8],
) -> Result<Applied<'a>, jute::Error> {
    let txn: DeleteTxn<'_> = jute::read(body)?;
    Ok(match cx.delete(txn.path.or_empty()) {
        Ok(()) => Applied::Nothing,
        Err(code) => Applied::Error(code),
    })
}
