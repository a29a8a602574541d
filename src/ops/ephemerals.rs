//! getEphemerals: the calling session's own, by prefix.

use super::put;
use super::read::ReadContext;
use crate::proto::client::GetEphemeralsResponse;
use jute::Text;

pub(super) fn get(ctx: &ReadContext<'_>, prefix: Option<&str>, out: &mut Vec<u8>) {
    // Java's "blank": nothing above a space.
    let is_blank = |text: &str| text.chars().all(|c| c <= ' ');
    let prefix = prefix.filter(|p| !is_blank(p) && *p != "/").unwrap_or("");
    let ephemerals = ctx
        .tree
        .ephemerals_of(ctx.session)
        .map(|id| ctx.tree.path_of(id))
        .filter(|path| path.starts_with(prefix))
        .map(Text::from)
        .collect();
    put(out, &GetEphemeralsResponse { ephemerals });
}
