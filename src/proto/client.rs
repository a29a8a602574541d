//! What clients and the server say to each other.
//!
//! Records only: no operation, no session and no frame is known here. Answers to
//! `org.apache.zookeeper.proto`.

use jute::{Buffer, Text, Trailing};
use serde::{Deserialize, Serialize};

use super::codes::{ErrorCode, EventType, KeeperState, OpCode};
use super::data::{Acl, ClientInfo, Stat};

// The handshake: frames without a header.

/// The first frame of every connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectRequest<'a> {
    pub protocol_version: i32,
    pub last_zxid_seen: i64,
    pub time_out: i32,
    pub session_id: i64,
    #[serde(borrow)]
    pub passwd: Buffer<'a>,
    /// Clients of 3.3 and some others leave it out, and then the response does too.
    pub read_only: Trailing<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectResponse<'a> {
    pub protocol_version: i32,
    pub time_out: i32,
    pub session_id: i64,
    #[serde(borrow)]
    pub passwd: Buffer<'a>,
    pub read_only: Trailing<bool>,
}

// Headers.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHeader {
    pub xid: i32,
    pub op: OpCode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyHeader {
    pub xid: i32,
    pub zxid: i64,
    pub err: ErrorCode,
}

/// In front of each entry of a multi and of its result, and behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultiHeader {
    pub op: OpCode,
    pub done: bool,
    pub err: ErrorCode,
}

impl MultiHeader {
    /// What follows the last entry.
    pub const END: MultiHeader = MultiHeader {
        op: OpCode::ERROR,
        done: true,
        err: ErrorCode::SYSTEM_ERROR,
    };

    /// In front of an entry of a request.
    #[inline]
    pub const fn request(op: OpCode) -> Self {
        MultiHeader {
            op,
            done: false,
            err: ErrorCode::SYSTEM_ERROR,
        }
    }

    /// In front of an entry of a result that succeeded.
    #[inline]
    pub const fn success(op: OpCode) -> Self {
        MultiHeader {
            op,
            done: false,
            err: ErrorCode::OK,
        }
    }

    /// In front of an [`ErrorResponse`], which repeats the code.
    #[inline]
    pub const fn failure(err: ErrorCode) -> Self {
        MultiHeader {
            op: OpCode::ERROR,
            done: false,
            err,
        }
    }
}

/// Body of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatcherEvent<'a> {
    pub kind: EventType,
    pub state: KeeperState,
    #[serde(borrow)]
    pub path: Text<'a>,
}

// Authentication.

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthPacket<'a> {
    /// Never examined.
    pub kind: i32,
    #[serde(borrow)]
    pub scheme: Text<'a>,
    #[serde(borrow)]
    pub auth: Buffer<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetSaslRequest<'a> {
    #[serde(borrow)]
    pub token: Buffer<'a>,
}

/// Declared by the schema; no operation carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSaslRequest<'a> {
    #[serde(borrow)]
    pub token: Buffer<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSaslResponse<'a> {
    #[serde(borrow)]
    pub token: Buffer<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoAmIResponse<'a> {
    #[serde(borrow)]
    pub client_info: Vec<ClientInfo<'a>>,
}

// Writes.

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    #[serde(borrow)]
    pub data: Buffer<'a>,
    #[serde(borrow)]
    pub acl: Option<Vec<Acl<'a>>>,
    pub flags: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTtlRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    #[serde(borrow)]
    pub data: Buffer<'a>,
    #[serde(borrow)]
    pub acl: Option<Vec<Acl<'a>>>,
    pub flags: i32,
    pub ttl: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateResponse<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Create2Response<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    pub stat: Stat,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    pub version: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteContainerRequest<'a> {
    /// A buffer by the schema; the bytes are those of a string.
    #[serde(borrow)]
    pub path: Text<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetDataRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    #[serde(borrow)]
    pub data: Buffer<'a>,
    pub version: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetDataResponse {
    pub stat: Stat,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAclRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    #[serde(borrow)]
    pub acl: Option<Vec<Acl<'a>>>,
    pub version: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAclResponse {
    pub stat: Stat,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckVersionRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    pub version: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncResponse<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconfigRequest<'a> {
    #[serde(borrow)]
    pub joining_servers: Text<'a>,
    #[serde(borrow)]
    pub leaving_servers: Text<'a>,
    #[serde(borrow)]
    pub new_members: Text<'a>,
    pub cur_config_id: i64,
}

// Reads.

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExistsRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    pub watch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExistsResponse {
    pub stat: Stat,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetDataRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    pub watch: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetDataResponse<'a> {
    #[serde(borrow)]
    pub data: Buffer<'a>,
    pub stat: Stat,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetChildrenRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    pub watch: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetChildrenResponse<'a> {
    #[serde(borrow)]
    pub children: Vec<Text<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetChildren2Request<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    pub watch: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetChildren2Response<'a> {
    #[serde(borrow)]
    pub children: Vec<Text<'a>>,
    pub stat: Stat,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetAclRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetAclResponse<'a> {
    #[serde(borrow)]
    pub acl: Vec<Acl<'a>>,
    pub stat: Stat,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetEphemeralsRequest<'a> {
    #[serde(borrow)]
    pub prefix_path: Text<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetEphemeralsResponse<'a> {
    #[serde(borrow)]
    pub ephemerals: Vec<Text<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetAllChildrenNumberRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetAllChildrenNumberResponse {
    pub total_number: i32,
}

// Watches.

/// Watches that a client had on its previous connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetWatches<'a> {
    pub relative_zxid: i64,
    #[serde(borrow)]
    pub data_watches: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub exist_watches: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub child_watches: Option<Vec<Text<'a>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetWatches2<'a> {
    pub relative_zxid: i64,
    #[serde(borrow)]
    pub data_watches: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub exist_watches: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub child_watches: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub persistent_watches: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub persistent_recursive_watches: Option<Vec<Text<'a>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddWatchRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    pub mode: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckWatchesRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    pub kind: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveWatchesRequest<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    pub kind: i32,
}

// Errors.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorResponse {
    pub err: ErrorCode,
}
