//! The records that cross the wire and lie on the disk, as the schema has them:
//! raw integers, the schema's fields in the schema's order, text and data borrowed
//! from the input. What the values mean is decided elsewhere.
//!
//! Answers to `zookeeper.jute` of the original. A field named `type` there is `op`
//! here where it holds an operation and `kind` where it does not.
//!
//! A vector is an `Option<Vec<_>>` where null and empty have different
//! consequences, and a `Vec<_>` where they do not.

#![deny(clippy::disallowed_methods)]

pub mod client;
mod codes;
mod data;
pub mod election;
pub mod quorum;
pub mod txn;

pub use codes::{ErrorCode, EventType, KeeperState, OpCode};
pub use data::{Acl, ClientInfo, Id, Stat, StatPersisted};
pub use jute::{Buffer, Text, Trailing};
