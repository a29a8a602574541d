//! Transactions: what the log holds and what servers replicate.
//!
//! Records only. Answers to `org.apache.zookeeper.txn`.

use jute::{Buffer, Text};
use serde::{Deserialize, Serialize};

use super::codes::{ErrorCode, OpCode};
use super::data::Acl;

/// In front of every transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnHeader {
    /// The session whose request it was.
    pub client_id: i64,
    pub cxid: i32,
    pub zxid: i64,
    /// Milliseconds since 1970 by the leader's clock.
    pub time: i64,
    pub op: OpCode,
}

impl TxnHeader {
    /// Behind the session, the cxid and the zxid.
    const TIME_AT: usize = 20;
    /// The bytes of a header; the record follows.
    pub const LEN: usize = 32;

    /// The time alone, of a transaction's bytes.
    pub fn time_of(txn: &[u8]) -> Option<i64> {
        let bytes = txn.get(Self::TIME_AT..)?.first_chunk()?;
        Some(i64::from_be_bytes(*bytes))
    }
}

/// Behind a transaction: digest of the tree once it is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnDigest {
    pub version: i32,
    pub tree_digest: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTxn<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    #[serde(borrow)]
    pub data: Buffer<'a>,
    #[serde(borrow)]
    pub acl: Option<Vec<Acl<'a>>>,
    pub ephemeral: bool,
    pub parent_c_version: i32,
}

/// A [`CreateTxn`] of logs written before 3.4. It has to be tried where that
/// one does not decode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTxnV0<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    #[serde(borrow)]
    pub data: Buffer<'a>,
    #[serde(borrow)]
    pub acl: Option<Vec<Acl<'a>>>,
    pub ephemeral: bool,
}

impl<'a> From<CreateTxnV0<'a>> for CreateTxn<'a> {
    fn from(txn: CreateTxnV0<'a>) -> Self {
        CreateTxn {
            path: txn.path,
            data: txn.data,
            acl: txn.acl,
            ephemeral: txn.ephemeral,
            parent_c_version: CreateTxnV0::PARENT_C_VERSION,
        }
    }
}

impl CreateTxnV0<'_> {
    /// Stands for "one more than the parent has".
    pub const PARENT_C_VERSION: i32 = -1;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTtlTxn<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    #[serde(borrow)]
    pub data: Buffer<'a>,
    #[serde(borrow)]
    pub acl: Option<Vec<Acl<'a>>>,
    pub parent_c_version: i32,
    pub ttl: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateContainerTxn<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    #[serde(borrow)]
    pub data: Buffer<'a>,
    #[serde(borrow)]
    pub acl: Option<Vec<Acl<'a>>>,
    pub parent_c_version: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteTxn<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetDataTxn<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    #[serde(borrow)]
    pub data: Buffer<'a>,
    pub version: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAclTxn<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    #[serde(borrow)]
    pub acl: Option<Vec<Acl<'a>>>,
    pub version: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckVersionTxn<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    pub version: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateSessionTxn {
    pub time_out: i32,
}

/// Logs written before 3.6 have nothing here; then the ephemerals of the session
/// are the paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseSessionTxn<'a> {
    #[serde(borrow)]
    pub paths2_delete: Vec<Text<'a>>,
}

/// A request that failed and took a zxid all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorTxn {
    pub err: ErrorCode,
}

/// One entry of a multi.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Txn<'a> {
    pub op: OpCode,
    /// The record of that operation.
    #[serde(borrow)]
    pub data: Buffer<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultiTxn<'a> {
    #[serde(borrow)]
    pub txns: Vec<Txn<'a>>,
}
