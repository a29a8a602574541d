//! The bytes of the requests that simulated clients send, and what they make of the answers.

use jute::{Buffer, Text};

use crate::proto::client::{
    CheckVersionRequest, CreateRequest, DeleteRequest, ExistsRequest, GetChildrenRequest,
    GetChildrenResponse, GetDataRequest, GetDataResponse, MultiHeader, SetDataRequest, SetWatches,
    SyncRequest,
};
use crate::proto::{Acl, Id, OpCode};

fn bytes<T: serde::Serialize>(record: &T) -> Vec<u8> {
    jute::to_vec(record).expect("a record of our own fits the format")
}

pub const PERSISTENT: i32 = 0;
pub const EPHEMERAL: i32 = 1;
pub const EPHEMERAL_SEQUENTIAL: i32 = 3;

pub fn create(path: &str, data: &[u8], flags: i32) -> Vec<u8> {
    let open = Acl {
        perms: crate::auth::perm::ALL,
        id: Id {
            scheme: Text::from("world"),
            id: Text::from("anyone"),
        },
    };
    bytes(&CreateRequest {
        path: Text::from(path),
        data: Buffer::from(data),
        acl: Some(vec![open]),
        flags,
    })
}

pub fn set(path: &str, data: &[u8], version: i32) -> Vec<u8> {
    bytes(&SetDataRequest {
        path: Text::from(path),
        data: Buffer::from(data),
        version,
    })
}

pub fn delete(path: &str, version: i32) -> Vec<u8> {
    bytes(&DeleteRequest {
        path: Text::from(path),
        version,
    })
}

pub fn get(path: &str, watch: bool) -> Vec<u8> {
    bytes(&GetDataRequest {
        path: Text::from(path),
        watch,
    })
}

pub fn exists(path: &str, watch: bool) -> Vec<u8> {
    bytes(&ExistsRequest {
        path: Text::from(path),
        watch,
    })
}

pub fn children(path: &str, watch: bool) -> Vec<u8> {
    bytes(&GetChildrenRequest {
        path: Text::from(path),
        watch,
    })
}

pub fn sync(path: &str) -> Vec<u8> {
    bytes(&SyncRequest {
        path: Text::from(path),
    })
}

/// Sets the data of all of these, if the first of them exists.
pub fn multi(sets: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some((path, _)) = sets.first() {
        out.extend(bytes(&MultiHeader::request(OpCode::CHECK)));
        out.extend(bytes(&CheckVersionRequest {
            path: Text::from(*path),
            version: -1,
        }));
    }
    for (path, data) in sets {
        out.extend(bytes(&MultiHeader::request(OpCode::SET_DATA)));
        out.extend(set(path, data, -1));
    }
    out.extend(bytes(&MultiHeader::END));
    out
}

pub fn set_watches(last_zxid: i64, data: &[String], exist: &[String], child: &[String]) -> Vec<u8> {
    let texts = |paths: &[String]| {
        Some(
            paths
                .iter()
                .map(|p| Text::from(p.clone()))
                .collect::<Vec<_>>(),
        )
    };
    bytes(&SetWatches {
        relative_zxid: last_zxid,
        data_watches: texts(data),
        exist_watches: texts(exist),
        child_watches: texts(child),
    })
}

/// Data and version of a getData's answer.
pub fn data(body: &[u8]) -> Option<(Vec<u8>, i32)> {
    let response: GetDataResponse<'_> = jute::from_slice(body).ok()?;
    Some((response.data.or_empty().to_vec(), response.stat.version))
}

pub fn names(body: &[u8]) -> Option<Vec<String>> {
    let response: GetChildrenResponse<'_> = jute::from_slice(body).ok()?;
    Some(
        response
            .children
            .iter()
            .map(|name| name.or_empty().to_owned())
            .collect(),
    )
}
