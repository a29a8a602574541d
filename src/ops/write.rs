//! Requests that change something become transactions here: the bytes that are logged, proposed and applied.

use super::members::Members;
use super::pending::{Change, Effect, Pending};
use super::{
    Rules, close_session, create, create_session, delete, multi, put, reconfig, set_acl, set_data,
};
use crate::auth::{AclEntry, AclError, Id, RequestedAcl};
use crate::ids::SessionId;
use crate::proto::client::{
    CreateRequest, CreateTtlRequest, DeleteRequest, ReconfigRequest, SetAclRequest, SetDataRequest,
};
use crate::proto::txn::{ErrorTxn, TxnDigest, TxnHeader};
use crate::proto::{Acl, ErrorCode, OpCode};
use crate::tree::acl::{self, AclList};
use crate::tree::{Tree, digest};

/// Everything that a check may look at.
pub struct WriteContext<'a> {
    pub tree: &'a Tree,
    pub pending: &'a mut Pending,
    pub rules: &'a Rules,
    pub session: SessionId,
    /// What is wrong with the session, to be told where upstream looks at it.
    pub session_error: Option<ErrorCode>,
    /// The same, of a session that is to own an ephemeral: the whole ensemble has to know it.
    pub ephemeral_error: Option<ErrorCode>,
    pub ids: &'a [Id],
    pub zxid: i64,
    /// Wall clock; the same for every part of a multi.
    pub time: i64,
    /// A learner waits for a transaction, even if the request cannot be read.
    pub is_remote: bool,
    /// Of a leader. `None`: no ensemble.
    pub members: Option<&'a mut Members>,
}

impl WriteContext<'_> {
    pub(super) fn check_session(&self) -> Result<(), ErrorCode> {
        self.session_error.map_or(Ok(()), Err)
    }

    pub(super) fn check_owner(&self) -> Result<(), ErrorCode> {
        self.ephemeral_error.map_or(Ok(()), Err)
    }

    pub(super) fn node(&self, path: &str) -> Result<Change, ErrorCode> {
        self.pending.get(self.tree, path).ok_or(ErrorCode::NO_NODE)
    }

    /// Later requests see the node like this.
    pub(super) fn promise(&mut self, path: &str, change: Change, effect: Effect<'_>) {
        self.pending.put(self.tree, self.zxid, path, change, effect);
    }

    pub(super) fn allow(&self, node: &Change, perm: i32) -> Result<(), ErrorCode> {
        if self.rules.providers.check(&node.acl, perm, self.ids) {
            Ok(())
        } else {
            Err(ErrorCode::NO_AUTH)
        }
    }

    /// The list to store for the one that a client asked for.
    pub(super) fn fix_up(&self, requested: Option<&Vec<Acl<'_>>>) -> Result<AclList, ErrorCode> {
        fix_up(self.tree, self.rules, self.ids, requested)
    }
}

/// What becomes of a list that a connection with these identities asks for.
pub(super) fn fix_up(
    tree: &Tree,
    rules: &Rules,
    ids: &[Id],
    requested: Option<&Vec<Acl<'_>>>,
) -> Result<AclList, ErrorCode> {
    if let Some([only]) = requested.map(Vec::as_slice)
        && is_open(only)
    {
        return Ok(tree.open_acl());
    }
    let requested = requested.map(|list| {
        list.iter()
            .map(|a| RequestedAcl {
                perms: a.perms,
                scheme: a.id.scheme.as_str(),
                id: a.id.id.as_str(),
            })
            .collect()
    });
    match rules.providers.fix_up(requested, ids) {
        Ok(list) => Ok(AclList::from(list)),
        Err(AclError::Invalid) => Err(ErrorCode::INVALID_ACL),
        Err(AclError::NullId) => Err(ErrorCode::MARSHALLING_ERROR),
    }
}

/// `world:anyone` with every right.
pub(super) fn is_open(acl: &Acl<'_>) -> bool {
    acl.perms == crate::auth::perm::ALL && acl.id.scheme == "world" && acl.id.id == "anyone"
}

/// Compares what is stored with what the client expects, and gives the next.
pub(super) fn next_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected != -1 && expected != current {
        return Err(ErrorCode::BAD_VERSION);
    }
    // -1 stands for "any", so no version is ever that.
    Ok(match current.wrapping_add(1) {
        -1 => 0,
        next => next,
    })
}

/// The jute bytes of a list as it is stored.
pub(super) fn put_acl(out: &mut Vec<u8>, acl: &[AclEntry]) {
    let list: Vec<Acl<'_>> = acl.iter().map(acl::to_wire).collect();
    put(out, &list);
}

#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// A transaction is in the buffer, be it one that only reports an error.
    Txn,
    /// The body cannot be read, and no zxid was used for it.
    Undecodable,
}

/// Offset of the type in a transaction header.
const TYPE_AT: usize = 28;

/// Judges a request and appends its transaction to `out`.
pub fn write(
    ctx: &mut WriteContext<'_>,
    cxid: i32,
    op: OpCode,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Written {
    let start = out.len();
    let header = TxnHeader {
        client_id: ctx.session.0,
        cxid,
        zxid: ctx.zxid,
        time: ctx.time,
        op,
    };
    put(out, &header);
    let record_at = out.len();
    let (op, failed) = match check(ctx, op, body, out) {
        Ok(op) => (op, None),
        Err(Refusal::Undecodable) if op != OpCode::MULTI && !ctx.is_remote => {
            out.truncate(start);
            return Written::Undecodable;
        }
        Err(Refusal::UndecodableEarly) if !ctx.is_remote => {
            out.truncate(start);
            return Written::Undecodable;
        }
        Err(Refusal::Undecodable | Refusal::UndecodableEarly) => {
            (OpCode::ERROR, Some(ErrorCode::MARSHALLING_ERROR))
        }
        Err(Refusal::Code(code)) => (OpCode::ERROR, Some(code)),
    };
    if let Some(err) = failed {
        out.truncate(record_at);
        put(out, &ErrorTxn { err });
    }
    out[start + TYPE_AT..start + TYPE_AT + 4].copy_from_slice(&op.0.to_be_bytes());
    // Behind a closeSession without its list of paths, readers would take it for that list.
    if let Some(sum) = ctx.pending.digest(ctx.tree)
        && (op != OpCode::CLOSE_SESSION || ctx.rules.close_session_lists_paths)
    {
        let digest = TxnDigest {
            version: digest::VERSION,
            tree_digest: sum as i64,
        };
        put(out, &digest);
    }
    Written::Txn
}

pub(super) enum Refusal {
    /// Costs a zxid in a multi or from a learner, and none elsewhere.
    Undecodable,
    /// Costs a zxid from a learner only.
    UndecodableEarly,
    Code(ErrorCode),
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Refusal::Code(code)
    }
}

impl From<jute::Error> for Refusal {
    fn from(_: jute::Error) -> Self {
        Refusal::Undecodable
    }
}

fn check(
    ctx: &mut WriteContext<'_>,
    op: OpCode,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<OpCode, Refusal> {
    match op {
        OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER => {
            let request: CreateRequest<'_> = jute::from_slice(body)?;
            Ok(create::check(
                ctx,
                op,
                &create::Request::from(&request),
                out,
            )?)
        }
        OpCode::CREATE_TTL => {
            let request: CreateTtlRequest<'_> = jute::from_slice(body)?;
            Ok(create::check(
                ctx,
                op,
                &create::Request::from(&request),
                out,
            )?)
        }
        OpCode::DELETE => {
            let request: DeleteRequest<'_> = jute::from_slice(body)?;
            Ok(delete::check(ctx, &request, out)?)
        }
        OpCode::DELETE_CONTAINER => Ok(delete::check_container(ctx, body, out)?),
        OpCode::SET_DATA => {
            let request: SetDataRequest<'_> = jute::from_slice(body)?;
            Ok(set_data::check(ctx, &request, out)?)
        }
        OpCode::SET_ACL => {
            let request: SetAclRequest<'_> = jute::from_slice(body)?;
            Ok(set_acl::check(ctx, &request, out)?)
        }
        OpCode::MULTI => {
            let request = multi::decode(body)?;
            Ok(multi::check(ctx, &request, out)?)
        }
        OpCode::RECONFIG => {
            let request: ReconfigRequest<'_> = jute::from_slice(body)?;
            Ok(reconfig::check(ctx, &request, out)?)
        }
        OpCode::CREATE_SESSION => Ok(create_session::check(body, out)?),
        OpCode::CLOSE_SESSION => Ok(close_session::check(ctx, out)?),
        // A learner passed on what nobody may ask for.
        OpCode::ERROR => Err(Refusal::Code(ErrorCode::UNIMPLEMENTED)),
        other => panic!("{other} is not a write"),
    }
}
