//! getEphemerals: the calling session's own, by prefix.

use super::put;
use super::read::ReadContext;
use crate::proto::client::GetEphemeralsResponse;
use jute::Text;

pub(super) fn get(ctx: &ReadContext<'_>, prefix: Option<&str>, out: &mut Vec<u8>) {
    let prefix = prefix
        .filter(|p| !p.trim().is_empty() && *p != "/")
        .unwrap_or("");
    let ephemerals = ctx
        .tree
        .ephemerals_of(ctx.session)
        .map(|id| ctx.tree.path_of(id))
        .filter(|path| path.starts_with(prefix))
        .map(Text::from)
        .collect();
    put(out, &GetEphemeralsResponse { ephemerals });
}
