//! Nodes: made, read, changed, removed, listed.

use std::collections::VecDeque;

use super::Call;
use crate::client::{CallError, Client, CreateKind, Failure, path};
use crate::json::Json;
use crate::proto::{Acl, ErrorCode, Id};
use crate::shell::Failed;
use crate::shell::print;

pub(super) const GET_SYNTAX: &str = "[-s] [-w] [-b] [-x] path";
/// What the original adds where a user got it wrong.
pub(super) const GET_HELP: &str = "\n -b   Output data in base64 format\n -s   Print znode stats additionally\n \
                                   -w   Watch for changes on the znode\n -x   Output data in hexdump format\n";
pub(super) const SET_SYNTAX: &str = "path data [-s] [-v version] [-b]";
pub(super) const SET_HELP: &str = "\n -b         Supply data in base64 format\n \
                                   -s         Print znode stats additionally\n \
                                   -v <arg>   Set with an expected version\n";

/// Deletes of one request, unless the user says otherwise, and requests under way.
const BATCH: i32 = 1000;
const BATCHES_UNDER_WAY: usize = 10;
const TTL_MAX: i64 = 0xff_ffff_ffff;

pub(in crate::shell) fn open_acl() -> Vec<Acl<'static>> {
    vec![Acl {
        perms: 31,
        id: Id {
            scheme: "world".into(),
            id: "anyone".into(),
        },
    }]
}

pub(super) fn create(call: &Call<'_>) -> Result<Json, Failed> {
    let given = &call.given;
    let (ephemeral, sequential) = (given.has("e"), given.has("s"));
    let container = given.has("c");
    if container && (ephemeral || sequential) {
        return Err(Failed::new(
            "-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.",
        ));
    }
    let ttl_ms = match given.value("t").map(str::parse::<i64>) {
        None => None,
        Some(Ok(ttl)) => Some(ttl),
        Some(Err(_)) => return Err(Failed::new("-t argument must be a long value")),
    };
    if ttl_ms.is_some() && ephemeral {
        return Err(Failed::new("TTLs cannot be used with Ephemeral znodes"));
    }
    if ttl_ms.is_some() && container {
        return Err(Failed::new("TTLs cannot be used with Container znodes"));
    }
    if ttl_ms.is_some_and(|ttl| !(1..=TTL_MAX).contains(&ttl)) {
        return Err(Failed::new(format!(
            "ttl must be positive and cannot be larger than: {TTL_MAX}"
        )));
    }
    let kind = CreateKind {
        ephemeral,
        sequential,
        container,
        ttl_ms,
    };
    let acl = match given.argument(2) {
        None => open_acl(),
        Some(text) => print::parse_acl(text, |complaint| call.out.aside(complaint)),
    };
    let data = given.argument(1).map(str::as_bytes);
    let created = call.client.create(call.path(), data, &acl, kind);
    let created = created.inspect_err(|error| {
        if let CallError::Server(Failure { code, path }) = error {
            match *code {
                ErrorCode::EPHEMERAL_ON_LOCAL_SESSION => {
                    call.out
                        .aside("Unable to create ephemeral node on a local session");
                }
                code @ ErrorCode::INVALID_ACL => {
                    call.out
                        .aside(crate::shell::exception_text(code, path.as_deref()));
                }
                _ => {}
            }
        }
    })?;
    call.out.aside(format!("Created {}", created.path));
    Ok(Json::object(vec![("created", created.path.into())]))
}

pub(super) fn delete(call: &Call<'_>) -> Result<Json, Failed> {
    call.client.delete(call.path(), call.number("v", -1)?)?;
    Ok(deleted(1))
}

fn deleted(count: usize) -> Json {
    Json::object(vec![("deleted", (count as i64).into())])
}

pub(super) fn delete_all(call: &Call<'_>) -> Result<Json, Failed> {
    let wrong = |_| Failed::new("-b argument must be an int value");
    let batch: i32 = call.number("b", BATCH).map_err(wrong)?;
    let root = call.path();
    path::validate(root).map_err(Failed::new)?;
    let client = call.client;
    let mut tree = below(client, root)?;
    tree.reverse();
    if batch <= 0 {
        for path in &tree {
            client.delete(path, -1)?;
        }
        return Ok(deleted(tree.len()));
    }
    let mut under_way = VecDeque::new();
    let mut all_done = true;
    for paths in tree.chunks(batch as usize) {
        if under_way.len() == BATCHES_UNDER_WAY
            && let Some(oldest) = under_way.pop_front()
        {
            all_done &= crate::client::Batch::is_done(oldest);
        }
        if !all_done {
            break;
        }
        under_way.push_back(client.begin_delete_all(paths));
    }
    for batch in under_way {
        all_done &= batch.is_done();
    }
    if !all_done {
        let text = "Failed to delete some node(s) in the subtree!";
        if call.out.is_json {
            return Err(Failed::new(text));
        }
        call.out.aside(text);
    }
    Ok(deleted(tree.len()))
}

/// The node and all below it, parents first.
fn below(client: &Client, root: &str) -> Result<Vec<String>, Failed> {
    let mut tree = vec![root.to_owned()];
    let mut at = 0;
    while let Some(path) = tree.get(at).cloned() {
        let (children, _) = client.get_children(&path, false)?;
        tree.extend(children.iter().map(|name| path::child(&path, name)));
        at += 1;
    }
    Ok(tree)
}

/// A node, then its children by name, then what is below each of them: the order of zkCli.sh.
pub(super) fn visit(
    client: &Client,
    root: &str,
    watch: bool,
    visit: &mut dyn FnMut(&str) -> Result<(), Failed>,
) -> Result<(), Failed> {
    client.get_data(root, watch)?;
    visit(root)?;
    let mut parents = vec![root.to_owned()];
    while let Some(parent) = parents.pop() {
        let mut children = match client.get_children(&parent, watch) {
            Ok((children, _)) => children,
            // Gone since it was listed.
            Err(CallError::Server(Failure {
                code: ErrorCode::NO_NODE,
                ..
            })) => continue,
            Err(error) => return Err(error.into()),
        };
        children.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
        let children = children.iter().map(|name| path::child(&parent, name));
        let children: Vec<String> = children.collect();
        for child in &children {
            visit(child)?;
        }
        parents.extend(children.into_iter().rev());
    }
    Ok(())
}

pub(super) fn get(call: &Call<'_>) -> Result<Json, Failed> {
    let given = &call.given;
    let (data, stat) = call.client.get_data(call.path(), given.has("w"))?;
    let shown = data.as_deref().unwrap_or(b"null");
    let shown = if given.has("x") {
        print::hex_dump(shown)
    } else if given.has("b") {
        print::base64(shown)
    } else {
        jute::decode_utf8(shown).into_owned()
    };
    call.out.line(shown);
    let mut json = vec![("path", Json::from(call.path()))];
    json.extend(match (given.has("b"), &data) {
        (true, Some(data)) => vec![("dataBase64", print::base64(data).into())],
        _ => print::data_json(data.as_deref()),
    });
    if given.has("s") {
        call.out.line(print::stat_lines(&stat));
    }
    json.push(("stat", print::stat_json(&stat)));
    Ok(Json::object(json))
}

pub(super) fn set(call: &Call<'_>) -> Result<Json, Failed> {
    let text = call.argument(1);
    let data = match call.given.has("b") {
        true => {
            print::from_base64(text).ok_or_else(|| Failed::new("the data is not in base 64"))?
        }
        false => text.as_bytes().to_vec(),
    };
    let version = call.number("v", -1)?;
    let stat = call.client.set_data(call.path(), &data, version)?;
    if call.given.has("s") {
        call.out.line(print::stat_lines(&stat));
    }
    Ok(Json::object(vec![
        ("path", call.path().into()),
        ("stat", print::stat_json(&stat)),
    ]))
}

pub(super) fn list(call: &Call<'_>) -> Result<Json, Failed> {
    let given = &call.given;
    if given.has("?") {
        call.out
            .line("usage: ls [options] path\n -?\n -R\n -s\n -w");
    }
    let (path, watch) = (call.path(), given.has("w"));
    if given.has("R") {
        let mut paths = Vec::new();
        visit(call.client, path, watch, &mut |path| {
            call.out.line(path);
            if call.out.is_json {
                paths.push(Json::from(path));
            }
            Ok(())
        })?;
        return Ok(Json::object(vec![("paths", Json::List(paths))]));
    }
    let (mut children, stat) = call.client.get_children(path, watch)?;
    children.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
    call.out.line(format!("[{}]", children.join(", ")));
    let mut json = vec![("path", Json::from(path)), ("children", children.into())];
    if given.has("s") {
        call.out.line(print::stat_lines(&stat));
        json.push(("stat", print::stat_json(&stat)));
    }
    Ok(Json::object(json))
}

pub(super) fn stat(call: &Call<'_>) -> Result<Json, Failed> {
    let path = call.path();
    let found = call.client.exists(path, call.given.has("w"))?;
    let stat = found.ok_or_else(|| {
        CallError::Server(Failure {
            code: ErrorCode::NO_NODE,
            path: Some(path.to_owned()),
        })
    })?;
    call.out.line(print::stat_lines(&stat));
    Ok(Json::object(vec![
        ("path", path.into()),
        ("stat", print::stat_json(&stat)),
    ]))
}

pub(super) fn sync(call: &Call<'_>) -> Result<Json, Failed> {
    match call.client.sync(call.path()) {
        Ok(()) => {
            call.out.line("Sync is OK");
            Ok(Json::object(vec![("synced", call.path().into())]))
        }
        Err(CallError::Server(Failure { code, .. })) if !call.out.is_json => {
            call.out.line(format!("Sync has failed. rc={}", code.0));
            Ok(Json::Null)
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn ephemerals(call: &Call<'_>) -> Result<Json, Failed> {
    let prefix = call.given.argument(0).unwrap_or("/");
    let paths = call.client.get_ephemerals(prefix)?;
    call.out.line(format!("[{}]", paths.join(", ")));
    Ok(Json::object(vec![("ephemerals", paths.into())]))
}

pub(super) fn count(call: &Call<'_>) -> Result<Json, Failed> {
    let count = call.client.get_all_children_number(call.path())?;
    call.out.line(count.to_string());
    Ok(Json::object(vec![
        ("path", call.path().into()),
        ("count", count.into()),
    ]))
}
