//! reconfig, as a server without an ensemble answers it.

use super::write::WriteContext;
use crate::proto::client::ReconfigRequest;
use crate::proto::{ErrorCode, OpCode};

pub(super) fn check(
    ctx: &mut WriteContext<'_>,
    _request: &ReconfigRequest<'_>,
) -> Result<OpCode, ErrorCode> {
    if !ctx.rules.reconfig_enabled {
        return Err(ErrorCode::RECONFIG_DISABLED);
    }
    ctx.check_session()?;
    Err(ErrorCode::UNIMPLEMENTED)
}
