//! Who changed what, and when: the transactions of a log, told one by one. Reads the log of a server that runs or
//! not, or the files of a backup or of a Java server. Answers to `TxnLogToolkit`, which only lists.

use std::path::Path;

use jute::Text;
use serde::Deserialize;

use super::ServerError;
use super::migrate::{refused, storage_config};
use crate::config::Config;
use crate::proto::txn::*;
use crate::proto::{Acl, OpCode};
use crate::storage::java;
use crate::storage::snapshot::Limits;
use crate::storage::view::View;

/// One change, of a transaction of its own or of a multi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub op: &'static str,
    pub path: Option<String>,
    /// What else there is to say; never data.
    pub detail: String,
}

/// What is looked for; what is not said does not matter.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub path: Option<String>,
    /// The node and all below it.
    pub below: Option<String>,
    pub session: Option<i64>,
    pub since_ms: Option<i64>,
    pub until_ms: Option<i64>,
    pub first_zxid: Option<i64>,
    pub last_zxid: Option<i64>,
}

impl Wanted {
    fn has(&self, header: &TxnHeader) -> bool {
        self.session.is_none_or(|id| header.client_id == id)
            && self.since_ms.is_none_or(|ms| header.time >= ms)
            && self.until_ms.is_none_or(|ms| header.time <= ms)
            && self.first_zxid.is_none_or(|zxid| header.zxid >= zxid)
            && self.last_zxid.is_none_or(|zxid| header.zxid <= zxid)
    }

    fn has_change(&self, change: &Change) -> bool {
        let below = |root: &str, path: &str| {
            path == root
                || root == "/"
                || path
                    .strip_prefix(root)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        match (&self.path, &self.below, &change.path) {
            (None, None, _) => true,
            (_, _, None) => false,
            (Some(wanted), _, Some(path)) if wanted == path => true,
            (_, Some(root), Some(path)) => below(root, path),
            _ => false,
        }
    }
}

/// The log of the server that the configuration belongs to. The zxid that it begins behind.
pub fn of_server(
    config: &Config,
    wanted: &Wanted,
    tell: &mut dyn FnMut(&TxnHeader, &Change),
) -> Result<i64, ServerError> {
    let view = View::open(&storage_config(config))?;
    let from = wanted.first_zxid.unwrap_or(0).max(0);
    let mut reader = view.log.read_from(from);
    while let Some((_, txn)) = reader.next()? {
        tell_of(txn, wanted, tell)?;
    }
    Ok(view.log.purged_zxid())
}

/// The logs in a directory of a Java server's form. The zxid of the snapshot that they begin behind.
pub fn of_files(
    dir: &Path,
    field_bytes_max: usize,
    wanted: &Wanted,
    tell: &mut dyn FnMut(&TxnHeader, &Change),
) -> Result<i64, ServerError> {
    let (first, mut log) = java::all_logs(dir, Limits { field_bytes_max }).map_err(refused)?;
    while let Some((_, txn)) = log.next().map_err(refused)? {
        tell_of(&txn, wanted, tell)?;
    }
    Ok(first)
}

fn tell_of(
    txn: &[u8],
    wanted: &Wanted,
    tell: &mut dyn FnMut(&TxnHeader, &Change),
) -> Result<(), ServerError> {
    let mut body = txn;
    let header: TxnHeader = jute::read(&mut body).map_err(refused)?;
    if !wanted.has(&header) {
        return Ok(());
    }
    let changes = changes(header.op, body).map_err(|e| {
        refused(format!(
            "transaction 0x{:x} cannot be read: {e}",
            header.zxid
        ))
    })?;
    for change in changes.iter().filter(|change| wanted.has_change(change)) {
        tell(&header, change);
    }
    Ok(())
}

fn changes(op: OpCode, body: &[u8]) -> Result<Vec<Change>, jute::Error> {
    if op == OpCode::MULTI {
        let multi: MultiTxn<'_> = jute::from_slice(body)?;
        let mut all = Vec::new();
        for part in &multi.txns {
            all.push(change(part.op, part.data.or_empty())?);
        }
        return Ok(all);
    }
    if op == OpCode::CLOSE_SESSION {
        // Logs before 3.6 do not say which nodes go with it.
        let closed = jute::from_slice::<CloseSessionTxn<'_>>(body);
        let paths = closed.map(|txn| txn.paths2_delete).unwrap_or_default();
        let mut all = vec![plain(
            "closeSession",
            None,
            format!("{} ephemeral nodes", paths.len()),
        )];
        let gone = |path: &Text<'_>| {
            plain(
                "delete",
                Some(path.or_empty()),
                "with its session".to_owned(),
            )
        };
        all.extend(paths.iter().map(gone));
        return Ok(all);
    }
    Ok(vec![change(op, body)?])
}

fn plain(op: &'static str, path: Option<&str>, detail: String) -> Change {
    Change {
        op,
        path: path.map(str::to_owned),
        detail,
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, jute::Error> {
    jute::from_slice(body)
}

fn change(op: OpCode, body: &[u8]) -> Result<Change, jute::Error> {
    let bytes = |data: &jute::Buffer<'_>| format!("{} bytes", data.or_empty().len());
    let told = |op, path: &Text<'_>, detail| plain(op, Some(path.or_empty()), detail);
    Ok(match op {
        OpCode::CREATE | OpCode::CREATE2 => {
            let txn = read::<CreateTxn<'_>>(body)
                .or_else(|_| read::<CreateTxnV0<'_>>(body).map(Into::into))?;
            let kind = if txn.ephemeral { "ephemeral, " } else { "" };
            told("create", &txn.path, format!("{kind}{}", bytes(&txn.data)))
        }
        OpCode::CREATE_TTL => {
            let txn: CreateTtlTxn<'_> = read(body)?;
            told(
                "create",
                &txn.path,
                format!("ttl {} ms, {}", txn.ttl, bytes(&txn.data)),
            )
        }
        OpCode::CREATE_CONTAINER => {
            let txn: CreateContainerTxn<'_> = read(body)?;
            told(
                "create",
                &txn.path,
                format!("container, {}", bytes(&txn.data)),
            )
        }
        OpCode::DELETE | OpCode::DELETE_CONTAINER => {
            let txn: DeleteTxn<'_> = read(body)?;
            let by = match op {
                OpCode::DELETE => "",
                _ => "by the server",
            };
            told("delete", &txn.path, by.to_owned())
        }
        OpCode::SET_DATA | OpCode::RECONFIG => {
            let txn: SetDataTxn<'_> = read(body)?;
            let op = match op {
                OpCode::RECONFIG => "reconfig",
                _ => "setData",
            };
            told(
                op,
                &txn.path,
                format!("version {}, {}", txn.version, bytes(&txn.data)),
            )
        }
        OpCode::SET_ACL => {
            let txn: SetAclTxn<'_> = read(body)?;
            let acl = txn.acl.unwrap_or_default();
            told(
                "setAcl",
                &txn.path,
                format!("version {}, {}", txn.version, acl_text(&acl)),
            )
        }
        OpCode::CHECK => {
            let txn: CheckVersionTxn<'_> = read(body)?;
            told("check", &txn.path, format!("version {}", txn.version))
        }
        OpCode::CREATE_SESSION => {
            let txn: CreateSessionTxn = read(body)?;
            plain(
                "createSession",
                None,
                format!("timeout {} ms", txn.time_out),
            )
        }
        OpCode::ERROR => {
            let txn: ErrorTxn = read(body)?;
            plain("error", None, txn.err.to_string())
        }
        other => plain("other", None, format!("operation {other}")),
    })
}

/// The ids of digest are hashes of passwords, which nobody has to read.
fn acl_text(acl: &[Acl<'_>]) -> String {
    let entry = |entry: &Acl<'_>| {
        let (scheme, id) = (entry.id.scheme.or_empty(), entry.id.id.or_empty());
        let id = match (scheme, id.split_once(':')) {
            ("digest", Some((user, _))) => user,
            _ => id,
        };
        format!(
            "{scheme}:{id}:{}",
            crate::shell::print::permissions(entry.perms)
        )
    };
    acl.iter().map(entry).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::proto::Id;

    fn wanted(path: Option<&str>, below: Option<&str>) -> Wanted {
        Wanted {
            path: path.map(str::to_owned),
            below: below.map(str::to_owned),
            ..Wanted::default()
        }
    }

    #[test]
    fn what_is_below_a_node() {
        let at = |path: &str| plain("create", Some(path), String::new());
        assert!(wanted(None, Some("/a")).has_change(&at("/a")));
        assert!(wanted(None, Some("/a")).has_change(&at("/a/b")));
        assert!(!wanted(None, Some("/a")).has_change(&at("/ab")));
        assert!(wanted(None, Some("/")).has_change(&at("/ab")));
        assert!(!wanted(Some("/a"), None).has_change(&at("/a/b")));
        assert!(!wanted(Some("/a"), None).has_change(&plain("error", None, String::new())));
        assert!(wanted(None, None).has_change(&plain("error", None, String::new())));
    }

    #[test]
    fn parts_of_a_multi_are_told_and_no_hash_of_a_password_is() {
        let acl = Acl {
            perms: 31,
            id: Id {
                scheme: "digest".into(),
                id: "bob:hash".into(),
            },
        };
        let set = SetAclTxn {
            path: "/a".into(),
            acl: Some(vec![acl]),
            version: 1,
        };
        let delete = DeleteTxn { path: "/b".into() };
        let multi = MultiTxn {
            txns: vec![
                Txn {
                    op: OpCode::SET_ACL,
                    data: jute::to_vec(&set).unwrap().into(),
                },
                Txn {
                    op: OpCode::DELETE,
                    data: jute::to_vec(&delete).unwrap().into(),
                },
            ],
        };
        let told = changes(OpCode::MULTI, &jute::to_vec(&multi).unwrap()).unwrap();
        let acl = plain(
            "setAcl",
            Some("/a"),
            "version 1, digest:bob:cdrwa".to_owned(),
        );
        assert_eq!(told, [acl, plain("delete", Some("/b"), String::new())]);
    }
}
