//! The audit log: who changed what on this server's connections, as records of `key=value` between tabs. Made where
//! a write is completed, written when no lock is held any more. Answers to `AuditHelper`, `AuditEvent` and
//! `Slf4jAuditLogger`.
//!
//! Hashes of passwords are left out of ACLs, which the original writes down.

use std::fmt::Write as _;
use std::sync::OnceLock;

use jute::Text;

use super::client::Client;
use crate::auth::{Id, ip};
use crate::ops::Applied;
use crate::proto::client::{
    CreateRequest, CreateTtlRequest, DeleteRequest, MultiHeader, SetAclRequest, SetDataRequest,
};
use crate::proto::{Acl, OpCode};

/// The logger of the original, which log pipelines select by.
pub const TARGET: &str = "org.apache.zookeeper.audit.Slf4jAuditLogger";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure,
    Invoked,
}

/// A record that waits to be written.
pub(super) struct Record {
    text: String,
    outcome: Outcome,
}

/// What a server does of its own accord.
pub fn of_server(operation: &str, outcome: Outcome) {
    write(&record(
        &[
            ("user", Some(process_user())),
            ("operation", Some(operation)),
        ],
        outcome,
    ));
}

/// Who runs this process. Looked up once: records are made under the tree's lock.
fn process_user() -> &'static str {
    static USER: OnceLock<String> = OnceLock::new();
    USER.get_or_init(look_up_user)
}

fn look_up_user() -> String {
    // SAFETY: takes nothing and cannot fail.
    let uid = unsafe { libc::getuid() };
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

/// Whether requests of this kind are recorded.
pub(super) fn covers(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::CREATE
            | OpCode::CREATE2
            | OpCode::CREATE_CONTAINER
            | OpCode::CREATE_TTL
            | OpCode::DELETE
            | OpCode::DELETE_CONTAINER
            | OpCode::SET_DATA
            | OpCode::SET_ACL
            | OpCode::MULTI
            | OpCode::RECONFIG
    )
}

pub(super) fn write(record: &Record) {
    let text = &record.text;
    match record.outcome {
        Outcome::Failure => tracing::error!(target: TARGET, "{text}"),
        _ => tracing::info!(target: TARGET, "{text}"),
    }
}

/// Ephemeral nodes that go with a session.
pub(super) fn session_ended(session: i64, paths: &[String], records: &mut Vec<Record>) {
    if paths.is_empty() {
        return;
    }
    let (user, session) = (process_user(), format!("0x{session:x}"));
    records.extend(paths.iter().map(|path| {
        let operation = "ephemeralZNodeDeletionOnSessionCloseOrExpire";
        record(
            &[
                ("session", Some(&session)),
                ("user", Some(user)),
                ("operation", Some(operation)),
                ("znode", Some(path)),
            ],
            Outcome::Success,
        )
    }));
}

/// A request that was completed.
pub(super) fn completed(
    client: &Client,
    (session, ids): (i64, &[Id]),
    (op, body): (OpCode, &[u8]),
    applied: &Applied<'_>,
    records: &mut Vec<Record>,
) {
    let common = Common {
        session: format!("0x{session:x}"),
        users: users(ids),
        ip: ip::java_text(client.remote.ip()),
    };
    if let Applied::Multi(results) = applied {
        return multi(&common, body, results, records);
    }
    let outcome = match applied {
        Applied::Error(_) => Outcome::Failure,
        _ => Outcome::Success,
    };
    let made = match applied {
        Applied::Path(path) | Applied::PathStat(path, _) => path.as_str(),
        _ => None,
    };
    if op == OpCode::MULTI {
        records.push(common.record("multiOperation", None, None, None, Outcome::Failure));
        return;
    }
    if op == OpCode::RECONFIG {
        records.push(common.record("reconfig", None, None, None, outcome));
        return;
    }
    let mut rest = body;
    if let Some(asked) = Asked::read(op, &mut rest) {
        records.push(asked.record(&common, made, outcome));
    }
}

/// Its parts if all of it was done; itself if not.
fn multi(
    common: &Common,
    mut body: &[u8],
    results: &[(OpCode, Applied<'_>)],
    records: &mut Vec<Record>,
) {
    let failed = |(_, result): &(OpCode, Applied<'_>)| matches!(result, Applied::Error(_));
    if results.iter().any(failed) {
        records.push(common.record("multiOperation", None, None, None, Outcome::Failure));
        return;
    }
    for (_, result) in results {
        let Ok(MultiHeader {
            op, done: false, ..
        }) = jute::read::<MultiHeader>(&mut body)
        else {
            return;
        };
        let made = match result {
            Applied::Path(path) | Applied::PathStat(path, _) => path.as_str(),
            _ => None,
        };
        match Asked::read(op, &mut body) {
            Some(Asked { operation: "", .. }) => {}
            Some(asked) => records.push(asked.record(common, made, Outcome::Success)),
            None => return,
        }
    }
}

/// Of a request, what a record says.
struct Asked {
    /// Empty: not recorded.
    operation: &'static str,
    path: String,
    kind: Option<&'static str>,
    acl: Option<String>,
}

impl Asked {
    /// Moves `body` behind the request.
    fn read(op: OpCode, body: &mut &[u8]) -> Option<Asked> {
        let asked = |operation, path: &Text<'_>| Asked {
            operation,
            path: path.or_empty().to_owned(),
            kind: None,
            acl: None,
        };
        Some(match op {
            OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER => {
                let request: CreateRequest<'_> = jute::read(body).ok()?;
                let kind = create_mode(request.flags);
                Asked {
                    kind,
                    ..asked("create", &request.path)
                }
            }
            OpCode::CREATE_TTL => {
                let request: CreateTtlRequest<'_> = jute::read(body).ok()?;
                let kind = create_mode(request.flags);
                Asked {
                    kind,
                    ..asked("create", &request.path)
                }
            }
            OpCode::DELETE | OpCode::DELETE_CONTAINER => {
                let request: DeleteRequest<'_> = jute::read(body).ok()?;
                asked("delete", &request.path)
            }
            OpCode::SET_DATA => {
                let request: SetDataRequest<'_> = jute::read(body).ok()?;
                asked("setData", &request.path)
            }
            OpCode::SET_ACL => {
                let request: SetAclRequest<'_> = jute::read(body).ok()?;
                let acl = request.acl.as_deref().map(acl_text);
                Asked {
                    acl,
                    ..asked("setAcl", &request.path)
                }
            }
            OpCode::CHECK => {
                let request: crate::proto::client::CheckVersionRequest<'_> =
                    jute::read(body).ok()?;
                asked("", &request.path)
            }
            _ => return None,
        })
    }

    fn record(&self, common: &Common, made: Option<&str>, outcome: Outcome) -> Record {
        let path = made.unwrap_or(&self.path);
        let acl = self.acl.as_deref();
        common.record(self.operation, Some(path), self.kind, acl, outcome)
    }
}

struct Common {
    session: String,
    users: String,
    ip: String,
}

impl Common {
    fn record(
        &self,
        operation: &str,
        path: Option<&str>,
        kind: Option<&str>,
        acl: Option<&str>,
        outcome: Outcome,
    ) -> Record {
        record(
            &[
                ("session", Some(&self.session)),
                ("user", Some(&self.users)),
                ("ip", Some(&self.ip)),
                ("operation", Some(operation)),
                ("znode", path),
                ("znode_type", kind),
                ("acl", acl),
            ],
            outcome,
        )
    }
}

fn record(fields: &[(&str, Option<&str>)], outcome: Outcome) -> Record {
    let mut text = String::new();
    for (name, value) in fields {
        let Some(value) = value else { continue };
        let _ = write!(text, "{name}=");
        // A path may hold what would look like the end of a field, or of the record.
        text.extend(value.chars().map(|c| if c.is_control() { '?' } else { c }));
        text.push('\t');
    }
    text.push_str(match outcome {
        Outcome::Success => "result=success",
        Outcome::Failure => "result=failure",
        Outcome::Invoked => "result=invoked",
    });
    Record { text, outcome }
}

/// The names of all identities, without what proves them.
fn users(ids: &[Id]) -> String {
    fn name(id: &Id) -> &str {
        match &*id.scheme {
            "digest" => id.id.split(':').next().unwrap_or_default(),
            _ => &id.id,
        }
    }
    ids.iter().map(name).collect::<Vec<_>>().join(",")
}

fn create_mode(flags: i32) -> Option<&'static str> {
    let modes = [
        "persistent",
        "ephemeral",
        "persistent_sequential",
        "ephemeral_sequential",
        "container",
        "persistent_with_ttl",
        "persistent_sequential_with_ttl",
    ];
    modes.get(usize::try_from(flags).ok()?).copied()
}

fn acl_text(acl: &[Acl<'_>]) -> String {
    let entry = |entry: &Acl<'_>| {
        let (scheme, id) = (entry.id.scheme.or_empty(), entry.id.id.or_empty());
        let id = match scheme {
            "digest" => id.split(':').next().unwrap_or_default(),
            _ => id,
        };
        let letters = [(4, 'c'), (8, 'd'), (1, 'r'), (2, 'w'), (16, 'a')];
        let set = letters.iter().filter(|(bit, _)| entry.perms & bit != 0);
        let letters: String = set.map(|(_, letter)| *letter).collect();
        format!("{scheme}:{id}:{letters}")
    };
    acl.iter().map(entry).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::proto::ErrorCode;

    fn common() -> Common {
        let id = |scheme: &str, id: &str| Id {
            scheme: scheme.into(),
            id: id.into(),
        };
        Common {
            session: "0x1".to_owned(),
            users: users(&[id("ip", "10.0.0.7"), id("digest", "bob:hash")]),
            ip: "10.0.0.7".to_owned(),
        }
    }

    fn text(op: OpCode, request: &impl serde::Serialize, made: Option<&str>) -> String {
        let body = jute::to_vec(request).unwrap();
        let asked = Asked::read(op, &mut &body[..]).unwrap();
        asked.record(&common(), made, Outcome::Success).text
    }

    #[test]
    fn records_are_those_of_the_original() {
        let create = CreateRequest {
            path: "/a-".into(),
            data: jute::Buffer::NULL,
            acl: None,
            flags: 3,
        };
        let begin = "session=0x1\tuser=10.0.0.7,bob\tip=10.0.0.7\t";
        assert_eq!(
            text(OpCode::CREATE, &create, Some("/a-7")),
            format!(
                "{begin}operation=create\tznode=/a-7\tznode_type=ephemeral_sequential\tresult=success"
            )
        );
        let acl = Acl {
            perms: 31,
            id: crate::proto::Id {
                scheme: "digest".into(),
                id: "bob:hash".into(),
            },
        };
        let set_acl = SetAclRequest {
            path: "/a\tb".into(),
            acl: Some(vec![acl]),
            version: -1,
        };
        assert_eq!(
            text(OpCode::SET_ACL, &set_acl, None),
            format!("{begin}operation=setAcl\tznode=/a?b\tacl=digest:bob:cdrwa\tresult=success")
        );
    }

    #[test]
    fn a_multi_is_told_by_its_parts_or_as_one_failure() {
        let mut body = Vec::new();
        for path in ["/a", "/b"] {
            jute::write(&mut body, &MultiHeader::request(OpCode::DELETE)).unwrap();
            let path = path.into();
            jute::write(&mut body, &DeleteRequest { path, version: -1 }).unwrap();
        }
        jute::write(&mut body, &MultiHeader::END).unwrap();
        let told = |results: &[(OpCode, Applied<'_>)]| {
            let mut records = Vec::new();
            multi(&common(), &body, results, &mut records);
            let operations = records.iter().map(|record| {
                let fields = record.text.split('\t').skip(3);
                fields.collect::<Vec<_>>().join(" ")
            });
            operations.collect::<Vec<_>>()
        };
        let done = || (OpCode::DELETE, Applied::Nothing);
        assert_eq!(
            told(&[done(), done()]),
            [
                "operation=delete znode=/a result=success",
                "operation=delete znode=/b result=success"
            ]
        );
        let failed = (OpCode::ERROR, Applied::Error(ErrorCode::NO_NODE));
        assert_eq!(
            told(&[done(), failed]),
            ["operation=multiOperation result=failure"]
        );
    }
}
