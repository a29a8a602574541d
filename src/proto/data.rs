//! Records that other records contain: access control and stat.
//!
//! Answers to `org.apache.zookeeper.data`.

use jute::Text;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id<'a> {
    #[serde(borrow)]
    pub scheme: Text<'a>,
    #[serde(borrow)]
    pub id: Text<'a>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Acl<'a> {
    pub perms: i32,
    #[serde(borrow)]
    pub id: Id<'a>,
}

impl Id<'_> {
    pub fn into_owned(self) -> Id<'static> {
        Id {
            scheme: self.scheme.into_owned(),
            id: self.id.into_owned(),
        }
    }
}

impl Acl<'_> {
    pub fn into_owned(self) -> Acl<'static> {
        Acl {
            perms: self.perms,
            id: self.id.into_owned(),
        }
    }
}

/// What clients see of a node. 68 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    pub czxid: i64,
    pub mzxid: i64,
    pub ctime: i64,
    pub mtime: i64,
    pub version: i32,
    pub cversion: i32,
    pub aversion: i32,
    pub ephemeral_owner: i64,
    pub data_length: i32,
    pub num_children: i32,
    pub pzxid: i64,
}

/// What the server keeps of a node's stat. 60 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatPersisted {
    pub czxid: i64,
    pub mzxid: i64,
    pub ctime: i64,
    pub mtime: i64,
    pub version: i32,
    pub cversion: i32,
    pub aversion: i32,
    pub ephemeral_owner: i64,
    pub pzxid: i64,
}

/// One identity of a connection, as `whoAmI` tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientInfo<'a> {
    #[serde(borrow)]
    pub auth_scheme: Text<'a>,
    #[serde(borrow)]
    pub user: Text<'a>,
}
