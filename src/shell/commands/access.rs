//! Who may: access lists, proofs of identity.

use super::{Call, nodes};
use crate::json::Json;
use crate::proto::Acl;
use crate::shell::Failed;
use crate::shell::print;

pub(super) fn get(call: &Call<'_>) -> Result<Json, Failed> {
    let (acl, stat) = call.client.get_acl(call.path())?;
    for entry in &acl {
        // The record's own text, line break and quotes as in the original.
        let (scheme, id) = (entry.id.scheme.or_empty(), entry.id.id.or_empty());
        call.out.line(format!(
            "'{scheme},'{id}\n: {}",
            print::permissions(entry.perms)
        ));
    }
    if call.given.has("s") {
        call.out.line(print::stat_lines(&stat));
    }
    Ok(Json::object(vec![
        ("path", call.path().into()),
        ("acl", acl.iter().map(entry_json).collect::<Vec<_>>().into()),
        ("stat", print::stat_json(&stat)),
    ]))
}

fn entry_json(entry: &Acl<'_>) -> Json {
    Json::object(vec![
        ("scheme", entry.id.scheme.or_empty().into()),
        ("id", entry.id.id.or_empty().into()),
        ("perms", print::permissions(entry.perms).into()),
    ])
}

pub(super) fn set(call: &Call<'_>) -> Result<Json, Failed> {
    let acl = print::parse_acl(call.argument(1), |complaint| call.out.aside(complaint));
    let version = call.number("v", -1)?;
    if call.given.has("R") {
        let mut failed = Vec::new();
        nodes::visit(call.client, call.path(), false, &mut |path| {
            if let Err(error) = call.client.set_acl(path, &acl, version) {
                let error = Failed::from(error);
                call.out.line(&error.text);
                failed.push(path.to_owned());
            }
            Ok(())
        })?;
        return Ok(Json::object(vec![("failed", failed.into())]));
    }
    let stat = call.client.set_acl(call.path(), &acl, version)?;
    if call.given.has("s") {
        call.out.line(print::stat_lines(&stat));
    }
    Ok(Json::object(vec![
        ("path", call.path().into()),
        ("stat", print::stat_json(&stat)),
    ]))
}

pub(super) fn add_auth(call: &Call<'_>) -> Result<Json, Failed> {
    let auth = call.given.argument(1).unwrap_or_default();
    call.client.add_auth(call.argument(0), auth.as_bytes());
    Ok(Json::Null)
}

pub(super) fn who_am_i(call: &Call<'_>) -> Result<Json, Failed> {
    let identities = call.client.who_am_i()?;
    call.out.line("Auth scheme: User");
    for (scheme, user) in &identities {
        call.out.line(format!("{scheme}: {user}"));
    }
    let one = |(scheme, user): (String, String)| {
        Json::object(vec![("scheme", scheme.into()), ("user", user.into())])
    };
    let list: Vec<Json> = identities.into_iter().map(one).collect();
    Ok(Json::object(vec![("identities", list.into())]))
}
