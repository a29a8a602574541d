//! The tree as Java's servers write it down: in snapshot files, and to a learner behind a SNAP packet.
//!
//! ```text
//! file only   "ZKSN", i32 2, i64 -1
//!             sessions: i32 count, {i64 id, i32 timeout}
//!             ACL lists: i32 count, {i64 key, list}; the open list has the key -1 and is not listed
//!             nodes, parents first: path ("" is the root), data, i64 ACL key, stat
//!             the path "/"
//! packet only "BenWasHere"
//! file only   seal; then, both optional: i64 zxid, i32 version, i64 digest, seal; i64 zxid, seal
//! ```
//!
//! A seal is the Adler-32 of everything before it, as i64, and the string "/". A snapshot is *fuzzy*: it is named by
//! the zxid at which its writing began and may show later transactions; they are applied again behind it, which
//! changes nothing that they had changed already. Answers to `FileSnap`, `SerializeUtils` and `SnapStream`.
//!
//! Unlike the rest of storage, this knows the tree; it knows no file and no socket.

mod adler;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use adler::Adler32;
pub use reader::{Limits, Snapshot, SnapshotError, SnapshotReader};
pub use writer::SnapshotWriter;

use serde::{Deserialize, Serialize};

use crate::proto::Acl;
use jute::{Buffer, Text};

const MAGIC: i32 = i32::from_be_bytes(*b"ZKSN");
const VERSION: i32 = 2;
const DB_ID: i64 = -1;
/// What ends the nodes, and every seal.
const END: &str = "/";
/// What ends the stream behind a SNAP packet.
const SIGNATURE: &str = "BenWasHere";
/// The key of `world:anyone` with every right.
const OPEN_KEY: i64 = -1;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileHeader {
    magic: i32,
    version: i32,
    db_id: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SessionRecord {
    id: i64,
    timeout_ms: i32,
}

#[derive(Debug, Serialize, Deserialize)]
struct AclRecord<'a> {
    key: i64,
    #[serde(borrow)]
    list: Option<Vec<Acl<'a>>>,
}

/// What follows a path: data, ACL key, and `StatPersisted`.
#[derive(Debug, Serialize, Deserialize)]
struct NodeRecord<'a> {
    #[serde(borrow)]
    data: Buffer<'a>,
    acl: i64,
    czxid: i64,
    mzxid: i64,
    ctime: i64,
    mtime: i64,
    version: i32,
    cversion: i32,
    aversion: i32,
    owner: i64,
    pzxid: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct DigestRecord {
    zxid: i64,
    version: i32,
    digest: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Seal<'a> {
    sum: i64,
    #[serde(borrow)]
    end: Text<'a>,
}
