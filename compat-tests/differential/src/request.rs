//! A request as a list of wire fields, and its bytes.
//!
//! It knows the layout of no record: the generator chooses the fields, right or wrong, so that a request
//! with a missing, surplus or impossible field is as easy to say as a proper one.

/// Operation names and codes, in the order of the coverage table.
pub const OPCODES: &[(&str, i32)] = &[
    ("create", 1),
    ("delete", 2),
    ("exists", 3),
    ("getData", 4),
    ("setData", 5),
    ("getACL", 6),
    ("setACL", 7),
    ("getChildren", 8),
    ("sync", 9),
    ("ping", 11),
    ("getChildren2", 12),
    ("check", 13),
    ("multi", 14),
    ("create2", 15),
    ("reconfig", 16),
    ("checkWatches", 17),
    ("removeWatches", 18),
    ("createContainer", 19),
    ("deleteContainer", 20),
    ("createTTL", 21),
    ("multiRead", 22),
    ("auth", 100),
    ("setWatches", 101),
    ("sasl", 102),
    ("getEphemerals", 103),
    ("getAllChildrenNumber", 104),
    ("setWatches2", 105),
    ("addWatch", 106),
    ("whoAmI", 107),
    ("createSession", -10),
    ("closeSession", -11),
];

pub fn op_name(code: i32) -> String {
    match OPCODES.iter().find(|(_, c)| *c == code) {
        Some((name, _)) => (*name).to_string(),
        None => format!("op#{code}"),
    }
}

pub fn op_code(name: &str) -> Option<i32> {
    if let Some(number) = name.strip_prefix("op#") {
        return number.parse().ok();
    }
    OPCODES.iter().find(|(n, _)| *n == name).map(|(_, c)| *c)
}

#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    Int(i32),
    Long(i64),
    /// A zxid relative to the one at the beginning of the script.
    Zxid(i64),
    Bool(bool),
    /// A string or buffer of length -1, or a vector of count -1: the same four bytes.
    Null,
    Str(Vec<u8>),
    Buf(Vec<u8>),
    /// A buffer or string of so many times the letter `x`.
    Fill(usize),
    List(Vec<Field>),
    Acl(i32, Box<Field>, Box<Field>),
    Multi(Vec<Request>),
    /// Bytes without a length in front.
    Raw(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub op: i32,
    pub fields: Vec<Field>,
    /// Instead of the next number of the connection.
    pub xid: Option<i32>,
    /// So many bytes are missing at the end.
    pub cut: usize,
}

impl Request {
    pub fn new(op: i32, fields: Vec<Field>) -> Request {
        Request {
            op,
            fields,
            xid: None,
            cut: 0,
        }
    }

    /// The frame, its length in front.
    pub fn frame(&self, xid: i32, zxid_base: i64) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend_from_slice(&xid.to_be_bytes());
        body.extend_from_slice(&self.op.to_be_bytes());
        for field in &self.fields {
            field.put(zxid_base, &mut body);
        }
        body.truncate(body.len().saturating_sub(self.cut).max(8));
        framed(&body)
    }

    pub fn path(&self) -> Option<&[u8]> {
        match self.fields.first() {
            Some(Field::Str(s)) => Some(s),
            _ => None,
        }
    }
}

pub fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(body.len() + 4);
    frame.extend_from_slice(&(body.len() as i32).to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

impl Field {
    pub fn str(s: &str) -> Field {
        Field::Str(s.as_bytes().to_vec())
    }

    pub fn put(&self, zxid_base: i64, out: &mut Vec<u8>) {
        match self {
            Field::Int(v) => out.extend_from_slice(&v.to_be_bytes()),
            Field::Long(v) => out.extend_from_slice(&v.to_be_bytes()),
            Field::Zxid(v) => out.extend_from_slice(&(zxid_base + v).to_be_bytes()),
            Field::Bool(v) => out.push(u8::from(*v)),
            Field::Null => out.extend_from_slice(&(-1i32).to_be_bytes()),
            Field::Str(b) | Field::Buf(b) => out.extend_from_slice(&framed(b)),
            Field::Fill(n) => out.extend_from_slice(&framed(&vec![b'x'; *n])),
            Field::List(items) => {
                out.extend_from_slice(&(items.len() as i32).to_be_bytes());
                for item in items {
                    item.put(zxid_base, out);
                }
            }
            Field::Acl(perms, scheme, id) => {
                out.extend_from_slice(&perms.to_be_bytes());
                scheme.put(zxid_base, out);
                id.put(zxid_base, out);
            }
            Field::Multi(requests) => {
                for request in requests {
                    put_multi_header(request.op, false, out);
                    for field in &request.fields {
                        field.put(zxid_base, out);
                    }
                }
                put_multi_header(-1, true, out);
            }
            Field::Raw(b) => out.extend_from_slice(b),
        }
    }
}

fn put_multi_header(op: i32, done: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&op.to_be_bytes());
    out.push(u8::from(done));
    out.extend_from_slice(&(-1i32).to_be_bytes());
}
