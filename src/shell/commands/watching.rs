//! Watches that stay, and taking watches away.

use super::Call;
use crate::client::{Removed, WatchKind};
use crate::json::Json;
use crate::shell::Failed;

pub(super) const ADD_SYNTAX: &str = "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - \
                                     default is PERSISTENT_RECURSIVE";

pub(super) fn add(call: &Call<'_>) -> Result<Json, Failed> {
    if call.given.arguments.len() != 1 {
        return Err(call.wrong());
    }
    let mode = call.given.value("m").map(str::to_ascii_uppercase);
    let kind = match mode.as_deref() {
        None | Some("PERSISTENT_RECURSIVE") => WatchKind::Recursive,
        Some("PERSISTENT") => WatchKind::Persistent,
        Some(_) => return Err(call.wrong()),
    };
    call.client.add_watch(call.path(), kind)?;
    Ok(Json::Null)
}

pub(super) fn remove(call: &Call<'_>) -> Result<Json, Failed> {
    let kinds = [
        ("c", Removed::Children),
        ("d", Removed::Data),
        ("p", Removed::Persistent),
        ("r", Removed::Recursive),
    ];
    let given = kinds.iter().find(|(option, _)| call.given.has(option));
    let what = given.map_or(Removed::Any, |(_, what)| *what);
    call.client
        .remove_watches(call.path(), what, call.given.has("l"))?;
    Ok(Json::Null)
}
