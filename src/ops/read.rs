//! Requests that change nothing in the tree: answered from it, straight into the connection's output.

use super::{Rules, ephemerals, multi, put, required, watches};
use crate::auth::{Id, perm};
use crate::ids::{ConnId, SessionId};
use crate::proto::client::{
    AddWatchRequest, CheckWatchesRequest, ErrorResponse, ExistsRequest, GetAclRequest,
    GetAllChildrenNumberRequest, GetChildren2Request, GetChildrenRequest, GetDataRequest,
    GetEphemeralsRequest, MultiHeader, RemoveWatchesRequest, SetWatches, SetWatches2, SyncRequest,
    WhoAmIResponse,
};
use crate::proto::{Acl, ClientInfo, ErrorCode, OpCode, Stat};
use crate::tree::acl;
use crate::tree::watch::{Modes, Watches};
use crate::tree::{Node, NodeId, Tree};
use jute::Text;

/// The watches, whether they have to be locked first or not.
pub trait WatchTable {
    fn with(&mut self, change: &mut dyn FnMut(&mut Watches));
}

impl WatchTable for Watches {
    fn with(&mut self, change: &mut dyn FnMut(&mut Watches)) {
        change(self);
    }
}

pub struct ReadContext<'a> {
    pub tree: &'a Tree,
    /// Locked only by requests that need it.
    pub watches: &'a mut dyn WatchTable,
    pub rules: &'a Rules,
    pub conn: ConnId,
    pub session: SessionId,
    pub ids: &'a [Id],
}

impl ReadContext<'_> {
    pub(super) fn watch(&mut self, path: &str, modes: Modes) {
        let conn = self.conn;
        self.watches.with(&mut |w| w.add(conn, path, modes));
    }

    fn allow(&self, node: &Node, perm: i32) -> Result<(), ErrorCode> {
        if self.tree.acl_is_open(node)
            || self
                .rules
                .providers
                .check(self.tree.acl(node), perm, self.ids)
        {
            Ok(())
        } else {
            Err(ErrorCode::NO_AUTH)
        }
    }

    fn find(&self, path: &str) -> Result<(NodeId, &Node), ErrorCode> {
        let id = self.tree.find(path).ok_or(ErrorCode::NO_NODE)?;
        Ok((id, self.tree.node(id)))
    }
}

/// Decodes a body; what cannot be read is an answer, not the end of the connection.
fn decode<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, ErrorCode> {
    jute::from_slice(body).map_err(|_| ErrorCode::MARSHALLING_ERROR)
}

/// Appends the body of the answer to `out`. After an error `out` may hold part of one: the caller cuts it off.
/// `events` takes the frames that must go out before the answer.
pub fn read(
    ctx: &mut ReadContext<'_>,
    op: OpCode,
    body: &[u8],
    out: &mut Vec<u8>,
    events: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    match op {
        OpCode::GET_DATA => {
            let request: GetDataRequest<'_> = decode(body)?;
            let stat = data(ctx, required(&request.path)?, out)?;
            if request.watch {
                ctx.watch(request.path.or_empty(), Modes::DATA);
            }
            put_stat(out, &stat);
            Ok(())
        }
        OpCode::EXISTS => {
            let request: ExistsRequest<'_> = decode(body)?;
            exists(ctx, &request, out)
        }
        OpCode::GET_CHILDREN => {
            let request: GetChildrenRequest<'_> = decode(body)?;
            children(ctx, required(&request.path)?, request.watch, out)?;
            Ok(())
        }
        OpCode::GET_CHILDREN2 => {
            let request: GetChildren2Request<'_> = decode(body)?;
            let stat = children(ctx, required(&request.path)?, request.watch, out)?;
            put_stat(out, &stat);
            Ok(())
        }
        OpCode::GET_ACL => {
            let request: GetAclRequest<'_> = decode(body)?;
            get_acl(ctx, required(&request.path)?, out)
        }
        OpCode::SYNC => {
            let request: SyncRequest<'_> = decode(body)?;
            put(out, &request.path);
            Ok(())
        }
        OpCode::PING => Ok(()),
        OpCode::MULTI_READ => multi_read(ctx, body, out),
        OpCode::GET_EPHEMERALS => {
            let request: GetEphemeralsRequest<'_> = decode(body)?;
            ephemerals::get(ctx, request.prefix_path.as_str(), out);
            Ok(())
        }
        OpCode::GET_ALL_CHILDREN_NUMBER => {
            let request: GetAllChildrenNumberRequest<'_> = decode(body)?;
            let (id, node) = ctx.find(required(&request.path)?)?;
            ctx.allow(node, perm::READ)?;
            // Below its other name, "", upstream counts the root itself.
            let root = i32::from(request.path.or_empty().is_empty());
            put(out, &(ctx.tree.descendants(id) as i32 + root));
            Ok(())
        }
        OpCode::WHO_AM_I => {
            who_am_i(ctx, out);
            Ok(())
        }
        OpCode::ADD_WATCH => {
            let request: AddWatchRequest<'_> = decode(body)?;
            watches::add(ctx, request.path.or_empty(), request.mode)?;
            put(out, &ErrorResponse { err: ErrorCode::OK });
            Ok(())
        }
        OpCode::CHECK_WATCHES => {
            let request: CheckWatchesRequest<'_> = decode(body)?;
            watches::check(ctx, request.path.or_empty(), request.kind)
        }
        OpCode::REMOVE_WATCHES => {
            let request: RemoveWatchesRequest<'_> = decode(body)?;
            watches::remove(ctx, request.path.or_empty(), request.kind)
        }
        OpCode::SET_WATCHES => {
            let request: SetWatches<'_> = decode(body)?;
            watches::set(ctx, &request.into(), events)
        }
        OpCode::SET_WATCHES2 => {
            let request: SetWatches2<'_> = decode(body)?;
            watches::set(ctx, &request, events)
        }
        other => panic!("{other} is not a read"),
    }
}

pub(super) fn put_stat(out: &mut Vec<u8>, stat: &Stat) {
    put(out, stat);
}

fn data(ctx: &ReadContext<'_>, path: &str, out: &mut Vec<u8>) -> Result<Stat, ErrorCode> {
    let (_, node) = ctx.find(path)?;
    ctx.allow(node, perm::READ)?;
    match node.data() {
        Some(data) => {
            out.extend_from_slice(&(data.len() as i32).to_be_bytes());
            out.extend_from_slice(data);
        }
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
    }
    Ok(ctx.tree.stat(node))
}

fn exists(
    ctx: &mut ReadContext<'_>,
    request: &ExistsRequest<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    let path = required(&request.path)?;
    if path.contains('\0') {
        return Err(ErrorCode::BAD_ARGUMENTS);
    }
    let found = ctx.tree.get(path);
    if let Some(node) = found {
        ctx.allow(node, perm::READ)?;
    }
    if request.watch {
        ctx.watch(path, Modes::DATA);
    }
    let node = found.ok_or(ErrorCode::NO_NODE)?;
    put_stat(out, &ctx.tree.stat(node));
    Ok(())
}

fn children(
    ctx: &mut ReadContext<'_>,
    path: &str,
    watch: bool,
    out: &mut Vec<u8>,
) -> Result<Stat, ErrorCode> {
    let (id, node) = ctx.find(path)?;
    ctx.allow(node, perm::READ)?;
    let stat = ctx.tree.stat(node);
    if watch {
        ctx.watch(path, Modes::CHILD);
    }
    ctx.tree.listing(id, out);
    Ok(stat)
}

fn get_acl(ctx: &ReadContext<'_>, path: &str, out: &mut Vec<u8>) -> Result<(), ErrorCode> {
    let (_, node) = ctx.find(path)?;
    let visible = ctx
        .rules
        .providers
        .visible_acl(ctx.tree.acl(node), ctx.ids)
        .ok_or(ErrorCode::NO_AUTH)?;
    let list: Vec<Acl<'_>> = visible.iter().map(acl::to_wire).collect();
    put(out, &list);
    put_stat(out, &ctx.tree.stat(node));
    Ok(())
}

fn multi_read(ctx: &mut ReadContext<'_>, body: &[u8], out: &mut Vec<u8>) -> Result<(), ErrorCode> {
    let requests = multi::decode_reads(body)?;
    for request in &requests {
        let start = out.len();
        let outcome = match request {
            multi::ReadRequest::Data(r) => {
                put(out, &MultiHeader::success(OpCode::GET_DATA));
                data(ctx, r.path.or_empty(), out).map(|stat| put_stat(out, &stat))
            }
            multi::ReadRequest::Children(r) => {
                put(out, &MultiHeader::success(OpCode::GET_CHILDREN));
                children(ctx, r.path.or_empty(), false, out).map(|_| ())
            }
        };
        if let Err(err) = outcome {
            out.truncate(start);
            put(out, &MultiHeader::failure(err));
            put(out, &ErrorResponse { err });
        }
    }
    put(out, &MultiHeader::END);
    Ok(())
}

fn who_am_i(ctx: &ReadContext<'_>, out: &mut Vec<u8>) {
    let client_info = ctx
        .ids
        .iter()
        .map(|id| ClientInfo {
            auth_scheme: Text::from(&*id.scheme),
            user: Text::from(ctx.rules.providers.user_name(id)),
        })
        .collect();
    put(out, &WhoAmIResponse { client_info });
}
