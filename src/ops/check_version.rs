//! check: only inside a multi.

use super::write::{WriteContext, next_version};
use super::{put, valid_path};
use crate::auth::perm;
use crate::proto::client::CheckVersionRequest;
use crate::proto::{ErrorCode, OpCode};

pub(super) fn check(
    ctx: &mut WriteContext<'_>,
    request: &CheckVersionRequest<'_>,
    out: &mut Vec<u8>,
) -> Result<OpCode, ErrorCode> {
    ctx.check_session()?;
    let path = valid_path(&request.path)?;
    let node = ctx.node(path)?;
    ctx.allow(&node, perm::READ)?;
    let next = next_version(node.version, request.version)?;
    put(out, &request.path);
    put(out, &next);
    Ok(OpCode::CHECK)
}
