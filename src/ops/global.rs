//! Which requests need a session that the whole ensemble knows. Answers to the first half of
//! `QuorumZooKeeperServer.checkUpgradeSession`.

use super::create::is_ephemeral;
use super::multi::{self, Request};
use crate::proto::OpCode;
use crate::proto::client::CreateRequest;

/// Whether it asks for an ephemeral. What cannot be read asks for nothing: it is refused further on.
pub fn needs_global_session(op: OpCode, body: &[u8]) -> bool {
    match op {
        OpCode::CREATE | OpCode::CREATE2 => jute::from_slice::<CreateRequest<'_>>(body)
            .is_ok_and(|request| is_ephemeral(request.flags)),
        OpCode::MULTI => {
            multi::decode(body).is_ok_and(|requests| requests.iter().any(makes_ephemeral))
        }
        _ => false,
    }
}

fn makes_ephemeral(request: &Request<'_>) -> bool {
    let (op, flags) = match request {
        Request::Create(op, create) => (*op, create.flags),
        Request::CreateTtl(op, create) => (*op, create.flags),
        Request::Delete(_) | Request::SetData(_) | Request::Check(_) => return false,
    };
    matches!(op, OpCode::CREATE | OpCode::CREATE2) && is_ephemeral(flags)
}
