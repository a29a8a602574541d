//! What clients can ask for, an operation a file. A write has a *check* (request to transaction bytes, or the
//! code that refuses it), and an *apply* (transaction to tree); a read has one function that answers it.
//! Answers to `PrepRequestProcessor`, `DataTree.processTxn` and `FinalRequestProcessor`.
//!
//! Synchronous and pure: no socket, clock or disk. Everything that can be refused is refused in the check;
//! applying cannot fail, and gives the same tree everywhere.

#![deny(clippy::disallowed_methods)]

mod apply;
mod check_version;
mod close_session;
mod create;
mod create_session;
mod delete;
mod early;
mod ephemerals;
mod global;
pub mod members;
mod multi;
pub mod pending;
mod quota;
pub mod read;
mod reconfig;
mod set_acl;
mod set_data;
#[cfg(test)]
mod tests;
mod validate;
pub mod watches;
mod write;

pub use apply::{
    Applied, Change, Observer, Unwatched, apply, leading_path, path_of, recount_quotas,
    retally_quotas,
};
pub use early::refusal as early_refusal;
pub use global::needs_global_session;
pub use read::{ReadContext, WatchTable, read};
pub use validate::{Invalid, validate};
pub use write::{WriteContext, Written, write};

use crate::auth::Providers;
use crate::proto::{ErrorCode, OpCode};
use crate::tree::quota::Exceeded;

/// The settings that decide what is allowed.
pub struct Rules {
    pub providers: Providers,
    /// TTL nodes are on.
    pub extended_types: bool,
    pub enforce_quota: bool,
    /// The transaction that closes a session lists its ephemerals.
    pub close_session_lists_paths: bool,
    pub reconfig_enabled: bool,
}

impl Rules {
    /// A soft limit only warns, and not with every write.
    fn soft_quota_exceeded(&self, path: &str, exceeded: &Exceeded) {
        tracing::warn!("{}", exceeded.message(path));
    }
}

/// Where a request of some opcode goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Becomes a transaction.
    Write,
    /// Answered from the tree, behind the session's own writes.
    Read,
    /// Changes who the connection is, and is handled when it is read.
    Identity,
    /// Not for clients, or not known.
    Refused,
}

pub fn route(op: OpCode) -> Route {
    match op {
        OpCode::CREATE
        | OpCode::CREATE2
        | OpCode::CREATE_CONTAINER
        | OpCode::CREATE_TTL
        | OpCode::DELETE
        | OpCode::SET_DATA
        | OpCode::SET_ACL
        | OpCode::RECONFIG
        | OpCode::MULTI
        | OpCode::CLOSE_SESSION => Route::Write,
        OpCode::EXISTS
        | OpCode::GET_DATA
        | OpCode::GET_ACL
        | OpCode::GET_CHILDREN
        | OpCode::GET_CHILDREN2
        | OpCode::SYNC
        | OpCode::PING
        | OpCode::CHECK_WATCHES
        | OpCode::REMOVE_WATCHES
        | OpCode::MULTI_READ
        | OpCode::SET_WATCHES
        | OpCode::SET_WATCHES2
        | OpCode::GET_EPHEMERALS
        | OpCode::GET_ALL_CHILDREN_NUMBER
        | OpCode::ADD_WATCH
        | OpCode::WHO_AM_I => Route::Read,
        OpCode::AUTH | OpCode::SASL => Route::Identity,
        _ => Route::Refused,
    }
}

/// Appends a record to a buffer that grows: this cannot fail for the records of this server.
pub(crate) fn put<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, record: &T) {
    if let Err(e) = jute::write(out, record) {
        panic!("a record of our own does not fit the format: {e}");
    }
}

/// A path or a like value that must be there.
pub(crate) fn required<'a>(text: &'a jute::Text<'_>) -> Result<&'a str, ErrorCode> {
    text.as_str().ok_or(ErrorCode::MARSHALLING_ERROR)
}

/// A path that a transaction may store; null is only one of many that may not.
fn valid_path<'a>(text: &'a jute::Text<'_>) -> Result<&'a str, ErrorCode> {
    text.as_str()
        .filter(|path| crate::tree::path::is_valid(path))
        .ok_or(ErrorCode::BAD_ARGUMENTS)
}
