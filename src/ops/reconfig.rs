//! reconfig: the members of the ensemble change.
//!
//! The order of the refusals is the original's, and part of the interface: a caller without rights learns whether
//! the feature is on, and whether its text is right.

use super::apply::{Applied, Apply};
use super::pending::Effect;
use super::write::WriteContext;
use super::{Observer, put, set_data};
use crate::auth::perm;
use crate::membership::Membership;
use crate::membership::change::{self, ChangeError};
use crate::proto::client::ReconfigRequest;
use crate::proto::txn::SetDataTxn;
use crate::proto::{ErrorCode, OpCode};
use crate::tree::path;

/// The data version of the node, for ever.
const VERSION: i32 = -1;

pub(super) fn check(
    ctx: &mut WriteContext<'_>,
    request: &ReconfigRequest<'_>,
    out: &mut Vec<u8>,
) -> Result<OpCode, ErrorCode> {
    if !ctx.rules.reconfig_enabled {
        return Err(ErrorCode::RECONFIG_DISABLED);
    }
    ctx.check_session()?;
    let next = next_members(ctx, request)?;
    let mut node = ctx.node(path::CONFIG)?;
    ctx.allow(&node, perm::WRITE)?;
    let text = next.to_string();
    let txn = SetDataTxn {
        path: path::CONFIG.into(),
        data: text.as_bytes().into(),
        version: VERSION,
    };
    put(out, &txn);
    node.version = VERSION;
    node.data_len = text.len();
    node.mzxid = ctx.zxid;
    node.mtime = ctx.time;
    ctx.promise(path::CONFIG, node, Effect::Data(Some(text.as_bytes())));
    if let Some(members) = &mut ctx.members {
        members.propose(next);
    }
    Ok(OpCode::RECONFIG)
}

fn next_members(
    ctx: &WriteContext<'_>,
    request: &ReconfigRequest<'_>,
) -> Result<Membership, ErrorCode> {
    let Some(members) = &ctx.members else {
        return Err(ErrorCode::UNIMPLEMENTED);
    };
    if members.is_changing() {
        return Err(ErrorCode::RECONFIG_IN_PROGRESS);
    }
    let last = members.last_seen();
    if request.cur_config_id != -1 && request.cur_config_id != last.version {
        return Err(ErrorCode::BAD_VERSION);
    }
    let next = match request.new_members.as_str() {
        Some(text) => change::replace(text, members.limits),
        None => {
            let (joining, leaving) = (&request.joining_servers, &request.leaving_servers);
            change::adjust(last, joining.as_str(), leaving.as_str(), members.limits)
        }
    };
    let next = next.map_err(|error| {
        tracing::warn!("reconfig refused: {error}");
        match error {
            ChangeError::BadArguments(_) => ErrorCode::BAD_ARGUMENTS,
            ChangeError::Unreadable(_) => ErrorCode::MARSHALLING_ERROR,
        }
    })?;
    if !members.are_synced(&next) {
        tracing::warn!(
            "reconfig refused: too few voters of the new configuration are connected and synced"
        );
        return Err(ErrorCode::NEW_CONFIG_NO_QUORUM);
    }
    Ok(Membership {
        version: ctx.zxid,
        ..next
    })
}

/// As setData; whoever asked is told the members that are in force now.
pub(super) fn apply<'a>(
    cx: &mut Apply<'_, impl Observer>,
    body: &mut &'a [u8],
) -> Result<Applied<'a>, jute::Error> {
    let mut record = *body;
    let applied = set_data::apply(cx, body)?;
    let txn: SetDataTxn<'_> = jute::read(&mut record)?;
    Ok(match applied {
        Applied::Stat(stat) => Applied::Data(txn.data, stat),
        other => other,
    })
}
