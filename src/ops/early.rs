//! `enableEagerACLCheck`: a member looks for itself at what its clients may write, before it troubles the leader with
//! it. The leader looks again: the tree here may be behind. Answers to `ZooKeeperServer.authWriteRequest`.

use super::Rules;
use super::write::fix_up;
use crate::auth::{Id, perm};
use crate::proto::client::{CreateRequest, DeleteRequest, SetAclRequest, SetDataRequest};
use crate::proto::{Acl, ErrorCode, OpCode};
use crate::tree::{Tree, path};

/// The refusal that the leader would come to as well. What cannot be read, or is not there, is left to the leader, and
/// so is every other operation.
pub fn refusal(
    tree: &Tree,
    rules: &Rules,
    ids: &[Id],
    op: OpCode,
    mut body: &[u8],
) -> Option<ErrorCode> {
    let body = &mut body;
    match op {
        OpCode::CREATE | OpCode::CREATE2 => {
            let request: CreateRequest<'_> = jute::read(body).ok()?;
            let (parent, _) = path::split(request.path.or_empty())?;
            of_list(tree, rules, ids, request.acl.as_ref())
                .or_else(|| of_node(tree, rules, ids, parent, perm::CREATE))
        }
        OpCode::DELETE => {
            let request: DeleteRequest<'_> = jute::read(body).ok()?;
            let (parent, _) = path::split(request.path.or_empty())?;
            of_node(tree, rules, ids, parent, perm::DELETE)
        }
        OpCode::SET_DATA => {
            let request: SetDataRequest<'_> = jute::read(body).ok()?;
            of_node(tree, rules, ids, request.path.or_empty(), perm::WRITE)
        }
        OpCode::SET_ACL => {
            let request: SetAclRequest<'_> = jute::read(body).ok()?;
            let path = request.path.or_empty();
            of_list(tree, rules, ids, request.acl.as_ref())
                .or_else(|| of_node(tree, rules, ids, path, perm::ADMIN))
        }
        _ => None,
    }
}

fn of_list(
    tree: &Tree,
    rules: &Rules,
    ids: &[Id],
    requested: Option<&Vec<Acl<'_>>>,
) -> Option<ErrorCode> {
    // Other errors than that of a list that nobody could have are the leader's business.
    fix_up(tree, rules, ids, requested)
        .err()
        .filter(|code| *code == ErrorCode::INVALID_ACL)
}

fn of_node(tree: &Tree, rules: &Rules, ids: &[Id], path: &str, perm: i32) -> Option<ErrorCode> {
    let node = tree.get(path)?;
    let may = rules.providers.check(tree.acl(node), perm, ids);
    (!may).then_some(ErrorCode::NO_AUTH)
}
