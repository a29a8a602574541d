//! closeSession: the end of a session and of everything that lives as long as it does.

use super::apply::{Applied, Apply};
use super::write::WriteContext;
use super::{Observer, delete, put};
use crate::proto::txn::CloseSessionTxn;
use crate::proto::{ErrorCode, OpCode};
use crate::tree::path;
use jute::Text;

pub(super) fn check(ctx: &mut WriteContext<'_>, out: &mut Vec<u8>) -> Result<OpCode, ErrorCode> {
    // In order, so that the same requests give the same bytes whatever a hash table's order is.
    let mut paths = ctx.pending.ephemerals(ctx.tree, ctx.session);
    paths.sort_unstable();
    for path in &paths {
        if let (Some(node), Some((parent, _))) =
            (ctx.pending.get(ctx.tree, path), path::split(path))
        {
            delete::promise(ctx, path, parent, node)?;
        }
    }
    if ctx.rules.close_session_lists_paths {
        put(
            out,
            &CloseSessionTxn {
                paths2_delete: paths.into_iter().map(Text::from).collect(),
            },
        );
    }
    Ok(OpCode::CLOSE_SESSION)
}

pub(super) fn apply<'a>(
    cx: &mut Apply<'_, impl Observer>,
    body: &mut &'a [u8],
) -> Result<Applied<'a>, jute::Error> {
    cx.tree.remove_session(cx.session);
    // Servers before 3.6, or told so, list nothing. Then what follows is nothing or a digest, which seldom reads as
    // a list.
    let mut rest = *body;
    if let Ok(txn) = jute::read::<CloseSessionTxn<'_>>(&mut rest) {
        *body = rest;
        for path in &txn.paths2_delete {
            // One that is gone already is no loss.
            let _ = cx.delete(path.or_empty());
        }
    }
    let left: Vec<_> = cx.tree.ephemerals_of(cx.session).collect();
    for id in left {
        let path = cx.tree.path_of(id);
        let _ = cx.delete(&path);
    }
    Ok(Applied::Nothing)
}
