//! addWatch, removeWatches, checkWatches, setWatches and setWatches2.

use super::put;
use super::read::ReadContext;
use crate::proto::client::{ReplyHeader, SetWatches, SetWatches2, WatcherEvent};
use crate::proto::{ErrorCode, EventType, KeeperState};
use crate::tree::watch::Modes;
use jute::Text;

const MODE_PERSISTENT: i32 = 0;
const MODE_RECURSIVE: i32 = 1;

pub(super) fn add(ctx: &mut ReadContext<'_>, path: &str, mode: i32) -> Result<(), ErrorCode> {
    let modes = match mode {
        MODE_PERSISTENT => Modes::PERSISTENT,
        MODE_RECURSIVE => Modes::RECURSIVE,
        _ => return Err(ErrorCode::MARSHALLING_ERROR),
    };
    ctx.watch(path, modes);
    Ok(())
}

pub(super) fn remove(ctx: &mut ReadContext<'_>, path: &str, kind: i32) -> Result<(), ErrorCode> {
    let modes = match kind {
        1 => Modes::CHILD,
        2 => Modes::DATA,
        3 => Modes::ANY,
        4 => Modes::PERSISTENT,
        5 => Modes::RECURSIVE,
        _ => return Err(ErrorCode::MARSHALLING_ERROR),
    };
    let mut removed = false;
    let conn = ctx.conn;
    ctx.watches
        .with(&mut |w| removed = w.remove(conn, path, modes));
    if removed {
        Ok(())
    } else {
        Err(ErrorCode::NO_WATCHER)
    }
}

pub(super) fn check(ctx: &mut ReadContext<'_>, path: &str, kind: i32) -> Result<(), ErrorCode> {
    let modes = match kind {
        1 => Modes::CHILD,
        2 => Modes::DATA,
        3 => Modes::ANY,
        4 => Modes::DATA_PERSISTENT,
        5 => Modes::RECURSIVE,
        _ => return Err(ErrorCode::MARSHALLING_ERROR),
    };
    let mut found = false;
    let conn = ctx.conn;
    ctx.watches.with(&mut |w| found = w.has(conn, path, modes));
    if found {
        Ok(())
    } else {
        Err(ErrorCode::NO_WATCHER)
    }
}

impl<'a> From<SetWatches<'a>> for SetWatches2<'a> {
    fn from(old: SetWatches<'a>) -> Self {
        SetWatches2 {
            relative_zxid: old.relative_zxid,
            data_watches: old.data_watches,
            exist_watches: old.exist_watches,
            child_watches: old.child_watches,
            persistent_watches: Some(Vec::new()),
            persistent_recursive_watches: Some(Vec::new()),
        }
    }
}

/// What a client watched on its last connection: it hears at once of what changed since, and watches the rest.
pub(super) fn set(
    ctx: &mut ReadContext<'_>,
    request: &SetWatches2<'_>,
    events: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    let since = request.relative_zxid;
    for path in paths(&request.data_watches)? {
        let path = super::required(path)?;
        match ctx.tree.get(path) {
            None => catch_up(events, EventType::NODE_DELETED, path),
            Some(node) if node.mzxid > since => {
                catch_up(events, EventType::NODE_DATA_CHANGED, path)
            }
            Some(_) => ctx.watch(path, Modes::DATA),
        }
    }
    for path in paths(&request.exist_watches)? {
        let path = super::required(path)?;
        match ctx.tree.get(path) {
            None => ctx.watch(path, Modes::DATA),
            Some(_) => catch_up(events, EventType::NODE_CREATED, path),
        }
    }
    for path in paths(&request.child_watches)? {
        let path = super::required(path)?;
        match ctx.tree.get(path) {
            None => catch_up(events, EventType::NODE_DELETED, path),
            Some(node) if node.pzxid() > since => {
                catch_up(events, EventType::NODE_CHILDREN_CHANGED, path)
            }
            Some(_) => ctx.watch(path, Modes::CHILD),
        }
    }
    for path in paths(&request.persistent_watches)? {
        ctx.watch(path.or_empty(), Modes::PERSISTENT);
    }
    for path in paths(&request.persistent_recursive_watches)? {
        ctx.watch(path.or_empty(), Modes::RECURSIVE);
    }
    Ok(())
}

fn paths<'a, 'b>(list: &'a Option<Vec<Text<'b>>>) -> Result<&'a [Text<'b>], ErrorCode> {
    list.as_deref().ok_or(ErrorCode::MARSHALLING_ERROR)
}

fn catch_up(events: &mut Vec<u8>, kind: EventType, path: &str) {
    put_event(events, -1, kind, path);
}

/// A complete notification, frame and all.
pub fn put_event(out: &mut Vec<u8>, zxid: i64, kind: EventType, path: &str) {
    let start = out.len();
    put(out, &0i32);
    put(
        out,
        &ReplyHeader {
            xid: crate::ids::Xid::NOTIFICATION.0,
            zxid,
            err: ErrorCode::OK,
        },
    );
    put(
        out,
        &WatcherEvent {
            kind,
            state: KeeperState::SYNC_CONNECTED,
            path: Text::from(path),
        },
    );
    let len = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}
