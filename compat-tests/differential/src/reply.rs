//! Replies as text that can be compared: every field is shown, except what may differ between two servers.
//!
//! * zxids are shown relative to the beginning of the script (both servers are level then),
//! * session ids by the order in which the sessions were opened, passwords by whether they belong to the id,
//! * times by whether they are consistent: one transaction has one time,
//! * lists without an order are sorted.
//!
//! A body that cannot be decoded completely is shown in hexadecimal, so no byte escapes the comparison.

use crate::deliberate::{body_is_ignored, sort_expanded_auth};
use crate::request::{Field, Request, op_name};
use crate::script::{escape, hex};
use std::collections::HashMap;
use std::fmt::Write;

/// What one server has shown so far in one script.
pub struct View {
    pub zxid_base: i64,
    sessions: Vec<i64>,
    time_of: HashMap<i64, i64>,
}

/// A reply's three header fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Header {
    pub xid: i32,
    pub zxid: i64,
    pub err: i32,
}

/// (operation, error code), for the coverage table.
pub type Outcome = (String, i32);

impl View {
    pub fn new(zxid_base: i64) -> View {
        View {
            zxid_base,
            sessions: Vec::new(),
            time_of: HashMap::new(),
        }
    }

    pub fn zxid(&self, zxid: i64) -> String {
        if zxid > self.zxid_base {
            format!("+{}", zxid - self.zxid_base)
        } else {
            zxid.to_string()
        }
    }

    pub fn opened(&mut self, session: i64) -> String {
        if !self.sessions.contains(&session) {
            self.sessions.push(session);
        }
        self.owner(session)
    }

    fn owner(&self, session: i64) -> String {
        match self.sessions.iter().position(|s| *s == session) {
            Some(i) => format!("#{i}"),
            None if session == 0 => "0".into(),
            None => format!("unknown:{session:x}"),
        }
    }

    /// The time of a transaction: its value is not comparable, that it is always the same one is.
    fn time(&mut self, zxid: i64, time: i64) -> &'static str {
        // Of no transaction: members write the node of the configuration by themselves, at times of their own.
        if zxid & 0xffff_ffff == 0 && time != 0 {
            return "its own";
        }
        match (time, *self.time_of.entry(zxid).or_insert(time)) {
            (0, 0) => "zero",
            (a, b) if a == b => "ok",
            _ => "changed",
        }
    }

    pub fn header(&self, h: Header) -> String {
        format!("xid={} zxid={} err={}", h.xid, self.zxid(h.zxid), h.err)
    }

    pub fn notification(&self, h: Header, body: &[u8]) -> String {
        let mut c = Cursor { rest: body };
        let decoded = (|| {
            let (kind, state, path) = (c.int()?, c.int()?, c.string()?);
            c.end()?;
            Some(format!("type={kind} state={state} path={path}"))
        })();
        format!(
            "notification {} {}",
            self.header(h),
            decoded.unwrap_or_else(|| raw(body))
        )
    }

    /// The body of the reply to `request`, and what to count.
    pub fn body(&mut self, request: &Request, err: i32, body: &[u8]) -> (String, Vec<Outcome>) {
        let mut outcomes = vec![(op_name(request.op), err)];
        if err != 0 {
            let silent = body.is_empty() || body_is_ignored(request.op, err);
            let text = if silent { String::new() } else { raw(body) };
            return (text, outcomes);
        }
        let mut c = Cursor { rest: body };
        let text = if matches!(request.op, 14 | 22) {
            self.results(request, &mut c, &mut outcomes)
        } else {
            self.record(request.op, &mut c)
        };
        let text = text.filter(|_| c.rest.is_empty());
        (text.unwrap_or_else(|| raw(body)), outcomes)
    }

    fn results(
        &mut self,
        request: &Request,
        c: &mut Cursor,
        outcomes: &mut Vec<Outcome>,
    ) -> Option<String> {
        let subs: &[Request] = match request.fields.first() {
            Some(Field::Multi(subs)) => subs,
            _ => &[],
        };
        let mut out = String::new();
        for index in 0.. {
            let (kind, done, err) = (c.int()?, c.boolean()?, c.int()?);
            if done {
                let _ = write!(out, "end={kind},{err}");
                return Some(out);
            }
            let _ = write!(out, "result{index}={kind},{err} ");
            let code = if kind == -1 {
                let code = c.int()?;
                let _ = write!(out, "error{index}={code} ");
                code
            } else {
                let _ = write!(out, "{} ", self.record(kind, c)?);
                err
            };
            if let Some(sub) = subs.get(index) {
                outcomes.push((
                    format!("{} in {}", op_name(sub.op), op_name(request.op)),
                    code,
                ));
            }
        }
        None
    }

    /// The success body of an operation (or of a multi result of that type).
    fn record(&mut self, op: i32, c: &mut Cursor) -> Option<String> {
        Some(match op {
            1 => format!("path={}", c.string()?),
            15 | 19 | 21 => format!("path={} {}", c.string()?, self.stat(c)?),
            3 | 5 | 7 => self.stat(c)?,
            4 | 16 => format!("data={} {}", without_ports(c.data()?), self.stat(c)?),
            6 => format!("acl={} {}", c.acl()?, self.stat(c)?),
            8 | 103 => format!("names={}", c.sorted_names()?),
            12 => format!("names={} {}", c.sorted_names()?, self.stat(c)?),
            9 => format!("path={}", c.string()?),
            102 => format!("token={}", c.data()?),
            104 => format!("number={}", c.int()?),
            106 => format!("code={}", c.int()?),
            107 => format!("ids={}", c.sorted_ids()?),
            _ => String::new(),
        })
    }

    fn stat(&mut self, c: &mut Cursor) -> Option<String> {
        let (czxid, mzxid, ctime, mtime) = (c.long()?, c.long()?, c.long()?, c.long()?);
        let (version, cversion, aversion) = (c.int()?, c.int()?, c.int()?);
        let owner = c.long()?;
        let (length, children, pzxid) = (c.int()?, c.int()?, c.long()?);
        Some(format!(
            "czxid={} mzxid={} ctime={} mtime={} version={version} cversion={cversion} aversion={aversion} \
             owner={} dataLength={length} numChildren={children} pzxid={}{}",
            self.zxid(czxid),
            self.zxid(mzxid),
            self.time(czxid, ctime),
            self.time(mzxid, mtime),
            self.owner(owner),
            self.zxid(pzxid),
            if ctime > mtime { " ctime>mtime" } else { "" },
        ))
    }

    /// The answer to a handshake: its text, and session id and password where a session was granted.
    pub fn hello(&mut self, body: &[u8]) -> (String, Option<(i64, Vec<u8>)>) {
        let mut c = Cursor { rest: body };
        let decoded = (|| {
            let (version, timeout, session) = (c.int()?, c.int()?, c.long()?);
            let passwd = c.buffer()??.to_vec();
            let read_only = match c.rest {
                [] => "absent".to_string(),
                [b] => b.to_string(),
                _ => return None,
            };
            Some((version, timeout, session, passwd, read_only))
        })();
        let Some((version, timeout, session, passwd, read_only)) = decoded else {
            return (format!("handshake {}", raw(body)), None);
        };
        let password_kind = match session {
            0 if passwd == [0; 16] => "zero",
            _ if passwd == password_of(session) => "own",
            _ => "other",
        };
        let name = if session == 0 {
            "none".to_string()
        } else {
            self.opened(session)
        };
        let text = format!(
            "handshake version={version} timeout={timeout} session={name} password={password_kind} readonly={read_only}"
        );
        (text, (session != 0).then_some((session, passwd)))
    }
}

/// The password that belongs to a session id: four outputs of the generator of java.util.Random.
pub fn password_of(session: i64) -> Vec<u8> {
    const MASK: u64 = (1 << 48) - 1;
    let mut state = ((session as u64 ^ 0xB341_5C00) ^ 0x5_DEEC_E66D) & MASK;
    let mut out = Vec::with_capacity(16);
    for _ in 0..4 {
        state = state.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & MASK;
        out.extend_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    out
}

pub fn header(frame: &[u8]) -> Option<(Header, &[u8])> {
    let mut c = Cursor { rest: frame };
    let h = Header {
        xid: c.int()?,
        zxid: c.long()?,
        err: c.int()?,
    };
    Some((h, c.rest))
}

pub fn raw(bytes: &[u8]) -> String {
    format!("raw={}", hex(bytes))
}

/// Data as text; long data by length and checksum.
fn shown(bytes: &[u8]) -> String {
    if bytes.len() <= 300 {
        return format!("\"{}\"", escape(bytes).replace(' ', "\\x20"));
    }
    let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{}bytes:{sum:x}", bytes.len())
}

/// A reader of wire fields; `None` is "not enough bytes" or an impossible value.
pub struct Cursor<'a> {
    pub rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(head)
    }

    pub fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    pub fn long(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    pub fn boolean(&mut self) -> Option<bool> {
        match self.take(1)? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    /// The inner `None` is null.
    pub fn buffer(&mut self) -> Option<Option<&'a [u8]>> {
        match self.int()? {
            -1 => Some(None),
            n => Some(Some(self.take(usize::try_from(n).ok()?)?)),
        }
    }

    fn data(&mut self) -> Option<String> {
        Some(self.buffer()?.map_or("null".into(), shown))
    }

    fn string(&mut self) -> Option<String> {
        self.data()
    }

    fn end(&self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }

    fn vector<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Option<Vec<T>>> {
        match self.int()? {
            -1 => Some(None),
            n if n >= 0 => {
                let mut items = Vec::new();
                for _ in 0..n {
                    items.push(item(self)?);
                }
                Some(Some(items))
            }
            _ => None,
        }
    }

    fn sorted_names(&mut self) -> Option<String> {
        Some(
            self.vector(Self::string)?
                .map_or("null".into(), |mut names| {
                    names.sort();
                    format!("[{}]", names.join(","))
                }),
        )
    }

    /// The names of a children list as they are, for walking the tree.
    pub fn names(&mut self) -> Option<Vec<Vec<u8>>> {
        self.vector(|c| Some(c.buffer()??.to_vec()))?
    }

    pub fn acl(&mut self) -> Option<String> {
        let entries =
            self.vector(|c| Some(format!("{}:{}:{}", c.int()?, c.string()?, c.string()?)))?;
        Some(entries.map_or("null".into(), |mut entries| {
            sort_expanded_auth(&mut entries);
            format!("[{}]", entries.join(","))
        }))
    }

    fn sorted_ids(&mut self) -> Option<String> {
        let ids = self.vector(|c| Some(format!("{}:{}", c.string()?, c.string()?)))?;
        Some(ids.map_or("null".into(), |mut ids| {
            ids.sort();
            format!("[{}]", ids.join(","))
        }))
    }
}

/// The configuration of an ensemble names its ports, which all have five digits.
fn without_ports(data: String) -> String {
    if !data.starts_with("\"server.") {
        return data;
    }
    let words = data.split(':').map(|word| {
        let end = word
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(word.len());
        let (digits, rest) = word.split_at(end);
        format!("{}{rest}", if digits.len() == 5 { "PORT" } else { digits })
    });
    words.collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_known_sessions() {
        assert_eq!(
            hex(&password_of(0x0100_0000_0000_0000)),
            "f22acd4a97e69d6d20a49bb638eadb38"
        );
        assert_eq!(hex(&password_of(-1)), "20f62cb5648dc2d771471c8a2486a9ee");
    }

    #[test]
    fn a_surplus_byte_is_not_overlooked() {
        let mut view = View::new(0);
        let sync = Request::new(9, vec![]);
        assert_eq!(view.body(&sync, 0, b"\0\0\0\x02/a").0, "path=\"/a\"");
        assert!(view.body(&sync, 0, b"\0\0\0\x02/a\0").0.starts_with("raw="));
    }

    #[test]
    fn a_time_that_changes_for_a_transaction_shows() {
        let mut view = View::new(0);
        assert_eq!(view.time(5, 100), "ok");
        assert_eq!(view.time(5, 101), "changed");
    }
}
