//! multi: several writes as one transaction, all or nothing. (multiRead is in `read`: it writes nothing.)

use super::apply::{Applied, Apply, apply_one};
use super::write::{Refusal, WriteContext};
use super::{Observer, check_version, create, delete, put, set_data, validate};
use crate::proto::client::{
    CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest, GetChildrenRequest,
    GetDataRequest, MultiHeader, SetDataRequest,
};
use crate::proto::txn::ErrorTxn;
use crate::proto::{ErrorCode, OpCode};
use jute::Text;

pub(super) enum Request<'a> {
    Create(OpCode, CreateRequest<'a>),
    CreateTtl(OpCode, CreateTtlRequest<'a>),
    Delete(DeleteRequest<'a>),
    SetData(SetDataRequest<'a>),
    Check(CheckVersionRequest<'a>),
}

impl Request<'_> {
    fn path(&self) -> &Text<'_> {
        match self {
            Request::Create(_, r) => &r.path,
            Request::CreateTtl(_, r) => &r.path,
            Request::Delete(r) => &r.path,
            Request::SetData(r) => &r.path,
            Request::Check(r) => &r.path,
        }
    }
}

/// A read inside multiRead.
pub(super) enum ReadRequest<'a> {
    Data(GetDataRequest<'a>),
    Children(GetChildrenRequest<'a>),
}

/// What an operation takes, about.
const PART_BYTES: usize = 128;

/// Reads the operations up to the end mark. Anything that upstream's reader stumbles over refuses the whole; what it
/// stumbles over first says how.
pub(super) fn decode(body: &[u8]) -> Result<Vec<Request<'_>>, Refusal> {
    let mut rest = body;
    let mut requests = Vec::with_capacity(body.len() / PART_BYTES);
    let mut reads = false;
    loop {
        let header: MultiHeader = jute::read(&mut rest)?;
        if header.done {
            return match reads {
                true => Err(Refusal::Undecodable),
                false => Ok(requests),
            };
        }
        // As in a multiRead, until a write follows.
        if requests.is_empty() && read_request(header.op, &mut rest)?.is_some() {
            reads = true;
            continue;
        }
        let request = match header.op {
            OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER => {
                let request: CreateRequest<'_> = jute::read(&mut rest)?;
                if !create::is_known_flag(request.flags) {
                    return Err(Refusal::Undecodable);
                }
                if request.acl.is_none() {
                    return Err(Refusal::UndecodableEarly);
                }
                if create::is_ttl_flag(request.flags) {
                    return Err(Refusal::Undecodable);
                }
                let container = request.flags == create::FLAG_CONTAINER;
                Request::Create(
                    if container {
                        OpCode::CREATE_CONTAINER
                    } else {
                        header.op
                    },
                    request,
                )
            }
            OpCode::CREATE_TTL => {
                let request: CreateTtlRequest<'_> = jute::read(&mut rest)?;
                let op = match request.flags {
                    create::FLAG_CONTAINER => OpCode::CREATE_CONTAINER,
                    flags if create::is_ttl_flag(flags) => OpCode::CREATE_TTL,
                    _ => OpCode::CREATE,
                };
                Request::CreateTtl(op, request)
            }
            OpCode::DELETE => Request::Delete(jute::read(&mut rest)?),
            OpCode::SET_DATA => Request::SetData(jute::read(&mut rest)?),
            OpCode::CHECK => Request::Check(jute::read(&mut rest)?),
            _ => return Err(Refusal::Undecodable),
        };
        if reads {
            return Err(Refusal::Undecodable);
        }
        requests.push(request);
    }
}

/// `None` for what does not read.
fn read_request<'a>(
    op: OpCode,
    rest: &mut &'a [u8],
) -> Result<Option<ReadRequest<'a>>, jute::Error> {
    Ok(Some(match op {
        OpCode::GET_DATA => ReadRequest::Data(jute::read(rest)?),
        OpCode::GET_CHILDREN => ReadRequest::Children(jute::read(rest)?),
        _ => return Ok(None),
    }))
}

/// The same for multiRead.
pub(super) fn decode_reads(body: &[u8]) -> Result<Vec<ReadRequest<'_>>, ErrorCode> {
    let undecodable = |_| ErrorCode::MARSHALLING_ERROR;
    let mut rest = body;
    let mut requests = Vec::new();
    loop {
        let header: MultiHeader = jute::read(&mut rest).map_err(undecodable)?;
        if header.done {
            return Ok(requests);
        }
        let request = read_request(header.op, &mut rest).map_err(undecodable)?;
        let request = request.ok_or(ErrorCode::MARSHALLING_ERROR)?;
        let path = match &request {
            ReadRequest::Data(r) => &r.path,
            ReadRequest::Children(r) => &r.path,
        };
        super::required(path)?;
        requests.push(request);
    }
}

/// After the first failure the rest is not looked at, and nothing of the multi stays promised.
pub(super) fn check(
    ctx: &mut WriteContext<'_>,
    requests: &[Request<'_>],
    out: &mut Vec<u8>,
) -> Result<OpCode, ErrorCode> {
    if requests.iter().any(|r| r.path().is_null()) {
        return Err(ErrorCode::MARSHALLING_ERROR);
    }
    ctx.pending.begin();
    let mut failed = false;
    put(out, &(requests.len() as i32));
    for request in requests {
        let type_at = out.len();
        put(out, &0i32);
        put(out, &0i32);
        let record_at = out.len();
        let outcome = if failed {
            Err(ErrorCode::RUNTIME_INCONSISTENCY)
        } else {
            check_one(ctx, request, out)
        };
        if outcome == Err(ErrorCode::MARSHALLING_ERROR) {
            ctx.pending.roll_back();
            return Err(ErrorCode::MARSHALLING_ERROR);
        }
        let op = outcome.unwrap_or_else(|err| {
            failed = true;
            out.truncate(record_at);
            put(out, &ErrorTxn { err });
            OpCode::ERROR
        });
        let len = (out.len() - record_at) as i32;
        out[type_at..type_at + 4].copy_from_slice(&op.0.to_be_bytes());
        out[type_at + 4..record_at].copy_from_slice(&len.to_be_bytes());
    }
    if failed {
        ctx.pending.roll_back();
    } else {
        ctx.pending.keep();
    }
    Ok(OpCode::MULTI)
}

fn check_one(
    ctx: &mut WriteContext<'_>,
    request: &Request<'_>,
    out: &mut Vec<u8>,
) -> Result<OpCode, ErrorCode> {
    match request {
        Request::Create(op, r) => create::check(ctx, *op, &create::Request::from(r), out),
        Request::CreateTtl(op, r) => {
            let mut parts = create::Request::from(r);
            if *op != OpCode::CREATE_TTL {
                parts.ttl = -1;
            }
            create::check(ctx, *op, &parts, out)
        }
        Request::Delete(r) => delete::check(ctx, r, out),
        Request::SetData(r) => set_data::check(ctx, r, out),
        Request::Check(r) => check_version::check(ctx, r, out),
    }
}

/// A multi with one failed entry does nothing: every entry then reports an error, 0 before the failed one.
pub(super) fn apply<'a>(
    cx: &mut Apply<'_, impl Observer>,
    body: &mut &'a [u8],
) -> Result<Applied<'a>, jute::Error> {
    let failed = has_failed(body)?;
    let count: i32 = jute::read(body)?;
    // An entry has eight bytes at least.
    let mut results = Vec::with_capacity((count.max(0) as usize).min(body.len() / 8));
    let mut behind = false;
    for _ in 0..count {
        let op: OpCode = jute::read(body)?;
        let record: Record<'a> = jute::read(body)?;
        let record = &mut { record.0 };
        refuse_nested(op)?;
        if !failed {
            results.push((op, apply_one(cx, op, record)?));
        } else if op == OpCode::ERROR {
            behind = true;
            results.push((op, apply_one(cx, op, record)?));
        } else {
            let code = if behind {
                ErrorCode::RUNTIME_INCONSISTENCY
            } else {
                ErrorCode::OK
            };
            results.push((OpCode::ERROR, Applied::Error(code)));
        }
    }
    Ok(Applied::Multi(results))
}

/// That applying it will not fail.
pub(super) fn validate_parts(body: &mut &[u8]) -> Result<(), jute::Error> {
    let failed = has_failed(body)?;
    let count: i32 = jute::read(body)?;
    for _ in 0..count {
        let op: OpCode = jute::read(body)?;
        let record: Record<'_> = jute::read(body)?;
        refuse_nested(op)?;
        if !failed || op == OpCode::ERROR {
            validate::record(op, &mut { record.0 })?;
        }
    }
    Ok(())
}

/// One would fit into another as often as the stack allows.
fn refuse_nested(op: OpCode) -> Result<(), jute::Error> {
    match op {
        OpCode::MULTI => Err(serde::de::Error::custom("a multi in a multi")),
        _ => Ok(()),
    }
}

fn has_failed(mut body: &[u8]) -> Result<bool, jute::Error> {
    let count: i32 = jute::read(&mut body)?;
    for _ in 0..count {
        let op: OpCode = jute::read(&mut body)?;
        if op == OpCode::ERROR {
            return Ok(true);
        }
        let _: Record<'_> = jute::read(&mut body)?;
    }
    Ok(false)
}

/// The bytes of one entry, borrowed for as long as the transaction.
#[derive(serde::Deserialize)]
struct Record<'a>(#[serde(borrow)] &'a [u8]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Buffer;

    fn create_without_acl(out: &mut Vec<u8>) {
        put(out, &MultiHeader::request(OpCode::CREATE));
        let request = CreateRequest {
            path: Text::from("/a"),
            data: Buffer::from(b""),
            acl: None,
            flags: 0,
        };
        put(out, &request);
    }

    fn get_children(out: &mut Vec<u8>) {
        put(out, &MultiHeader::request(OpCode::GET_CHILDREN));
        let request = GetChildrenRequest {
            path: Text::from("/a"),
            watch: false,
        };
        put(out, &request);
    }

    fn delete(out: &mut Vec<u8>) {
        put(out, &MultiHeader::request(OpCode::DELETE));
        let request = DeleteRequest {
            path: Text::from("/a"),
            version: -1,
        };
        put(out, &request);
    }

    /// Whether the refusal costs a zxid.
    fn costs(parts: &[fn(&mut Vec<u8>)]) -> bool {
        let mut body = Vec::new();
        parts.iter().for_each(|part| part(&mut body));
        put(&mut body, &MultiHeader::END);
        match decode(&body) {
            Err(Refusal::Undecodable) => true,
            Err(Refusal::UndecodableEarly) => false,
            _ => panic!("it is refused"),
        }
    }

    #[test]
    fn what_upstream_stumbles_over_first_says_what_a_refusal_costs() {
        assert!(costs(&[get_children]));
        assert!(costs(&[get_children, delete]));
        assert!(costs(&[delete, get_children]));
        assert!(costs(&[get_children, delete, create_without_acl]));
        assert!(costs(&[delete, get_children, create_without_acl]));
        assert!(!costs(&[create_without_acl]));
        assert!(!costs(&[get_children, create_without_acl]));
        assert!(!costs(&[
            get_children,
            get_children,
            create_without_acl,
            delete
        ]));
    }
}
