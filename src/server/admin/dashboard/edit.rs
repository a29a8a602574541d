//! What the dashboard changes: the data of a node, or its list. Only where that is switched on, only for who says who it
//! is, and only from the page itself. Whether that one may, the tree's lists say, as they say it to every client.
//!
//! A browser sends along who somebody is without being asked only by the address or the certificate of its machine. So
//! those count only for a page that was asked for by an address, which no page from elsewhere can have as its own; what
//! is sent besides is a header that a page from elsewhere may not set without asking this server, which never says yes.

use std::net::SocketAddr;
use std::sync::Arc;

use super::super::auth;
use super::super::call::{self, Failure};
use crate::auth::{Id, Providers, perm, scheme};
use crate::net::http::{Body, Request};
use crate::pipeline::Pipeline;
use crate::proto::client::{SetAclRequest, SetDataRequest};
use crate::proto::{Acl, Buffer, ErrorCode, OpCode, Text};

/// What the page says with each change.
const HEADER: &str = "x-ferrokeeper-edit";
const LIST_BYTES_MAX: usize = 64 << 10;
/// Of a request beside path and data.
const REQUEST_BYTES: usize = 20;

/// Why nothing was changed: a status and its reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(pub u16, pub String);

fn refused<T>(status: u16, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(status, why.into()))
}

/// Who changes something.
#[derive(Debug)]
pub(super) struct Editor {
    remote: SocketAddr,
    ids: Vec<Id>,
}

pub(super) fn editor(
    request: &Request,
    providers: &Providers,
    trusts_forwarded_for: bool,
) -> Result<Editor, Refused> {
    let head = &request.head;
    let host = head.header("host").unwrap_or_default();
    if head.header(HEADER).is_none() {
        return refused(403, format!("the header {HEADER} is missing"));
    }
    let is_own = |origin: &str| {
        let name = origin.split_once("://").map_or("", |(_, name)| name);
        name.eq_ignore_ascii_case(host)
    };
    if head.header("origin").is_some_and(|origin| !is_own(origin)) {
        return refused(403, "asked by a page from elsewhere");
    }
    let ids = auth::identities(request, providers, trusts_forwarded_for)
        .or_else(|denied| refused(denied.status(), denied.text()))?;
    let is_sent_unasked = |id: &Id| matches!(&*id.scheme, scheme::IP | scheme::X509);
    if !super::is_address(host) && ids.iter().any(is_sent_unasked) {
        return refused(
            403,
            "with an address or a certificate ask by an address or as localhost: another name may be that of a page \
             from elsewhere",
        );
    }
    Ok(Editor {
        remote: request.remote,
        ids,
    })
}

/// The body is the node's new data.
pub(super) async fn data(
    pipeline: &Arc<Pipeline>,
    editor: Editor,
    path: &str,
    version: i32,
    body: &mut Body<'_>,
) -> Result<(), Refused> {
    // What a client could send in one request.
    let frame_bytes_max = pipeline.settings().frame_bytes_max;
    let bytes_max = frame_bytes_max.saturating_sub(path.len() + REQUEST_BYTES);
    let data = whole(body, bytes_max).await?;
    let record = SetDataRequest {
        path: Text::from(path),
        data: Buffer::from(&data[..]),
        version,
    };
    carry_out(pipeline, editor, OpCode::SET_DATA, &record).await
}

/// The body is the list as the shell's `setAcl` takes it.
pub(super) async fn list(
    pipeline: &Arc<Pipeline>,
    editor: Editor,
    path: &str,
    version: i32,
    body: &mut Body<'_>,
) -> Result<(), Refused> {
    let text = whole(body, LIST_BYTES_MAX).await?;
    let text = String::from_utf8(text).or_else(|_| refused(400, "the list is not UTF-8"))?;
    let list = parse_list(&text).or_else(|why| refused(400, why))?;
    let record = SetAclRequest {
        path: Text::from(path),
        acl: Some(list),
        version,
    };
    carry_out(pipeline, editor, OpCode::SET_ACL, &record).await
}

async fn whole(body: &mut Body<'_>, bytes_max: usize) -> Result<Vec<u8>, Refused> {
    match body.whole(bytes_max).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => refused(413, format!("more than {bytes_max} bytes")),
        Err(_) => refused(400, "the end of the request is missing"),
    }
}

async fn carry_out(
    pipeline: &Arc<Pipeline>,
    editor: Editor,
    op: OpCode,
    record: &impl serde::Serialize,
) -> Result<(), Refused> {
    let Editor { remote, ids } = editor;
    match call::call(pipeline, remote, ids, op, record).await {
        Ok(()) => Ok(()),
        Err(failure) => {
            let status = match failure {
                Failure::Refused(ErrorCode::NO_AUTH) => 403,
                Failure::Refused(ErrorCode::NO_NODE) => 404,
                Failure::Refused(ErrorCode::BAD_VERSION) => 409,
                Failure::Refused(ErrorCode::INVALID_ACL | ErrorCode::BAD_ARGUMENTS) => 400,
                Failure::Refused(_) | Failure::NotServing => 503,
                Failure::Lost | Failure::Late => 500,
            };
            refused(status, failure.to_string())
        }
    }
}

/// `scheme:id:rights`, one behind the other with commas or lines between.
fn parse_list(text: &str) -> Result<Vec<Acl<'static>>, String> {
    let entries = text.split([',', '\n']).map(str::trim);
    let entries: Result<Vec<_>, _> = entries
        .filter(|entry| !entry.is_empty())
        .map(parse_entry)
        .collect();
    entries.and_then(|list| match list.is_empty() {
        true => Err("the list is empty".to_owned()),
        false => Ok(list),
    })
}

fn parse_entry(entry: &str) -> Result<Acl<'static>, String> {
    let wrong = || format!("{entry} does not have the form scheme:id:perm");
    let (scheme, rest) = entry.split_once(':').ok_or_else(wrong)?;
    let (id, letters) = rest.rsplit_once(':').ok_or_else(wrong)?;
    let mut perms = 0;
    for letter in letters.chars() {
        perms |= match letter {
            'c' => perm::CREATE,
            'd' => perm::DELETE,
            'r' => perm::READ,
            'w' => perm::WRITE,
            'a' => perm::ADMIN,
            other => return Err(format!("{other} is no right: choose of cdrwa")),
        };
    }
    let id = crate::proto::Id {
        scheme: scheme.to_owned().into(),
        id: id.to_owned().into(),
    };
    Ok(Acl { perms, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_a_whole_or_not_at_all() {
        let list =
            parse_list("world:anyone:r,digest:a:b:cdrwa\nip:10.0.0.0/8:rw\n").expect("valid");
        let told: Vec<String> = list
            .iter()
            .map(|acl| {
                let (scheme, id) = (acl.id.scheme.or_empty(), acl.id.id.or_empty());
                format!("{scheme}|{id}|{}", acl.perms)
            })
            .collect();
        assert_eq!(told, ["world|anyone|1", "digest|a:b|31", "ip|10.0.0.0/8|3"]);
        for text in [
            "",
            " , ",
            "world",
            "world:anyone",
            "world:anyone:x",
            "world:anyone:r,auth",
        ] {
            assert!(parse_list(text).is_err(), "{text}");
        }
    }
}
