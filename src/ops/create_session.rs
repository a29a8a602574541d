//! createSession: the server's own request on behalf of a client that connects.

use super::apply::{Applied, Apply};
use super::{Observer, put};
use crate::proto::txn::CreateSessionTxn;
use crate::proto::{ErrorCode, OpCode};

pub(super) fn check(body: &[u8], out: &mut Vec<u8>) -> Result<OpCode, ErrorCode> {
    let txn: CreateSessionTxn = jute::from_slice(body).map_err(|_| ErrorCode::MARSHALLING_ERROR)?;
    put(out, &txn);
    Ok(OpCode::CREATE_SESSION)
}

pub(super) fn apply<'a>(
    cx: &mut Apply<'_, impl Observer>,
    body: &mut &'a [u8],
) -> Result<Applied<'a>, jute::Error> {
    let txn: CreateSessionTxn = jute::read(body)?;
    cx.tree.add_session(cx.session, txn.time_out);
    Ok(Applied::Nothing)
}
