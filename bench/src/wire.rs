//! The few requests and replies that the load generator speaks, written by hand.
//!
//! It must stay cheap: a request is appended to a buffer, of a reply only the header and what a work has to look at
//! are read. It knows no sockets and no works. The server's own codec is not used on purpose: a mistake there must
//! not cancel itself out here. Answers to `org.apache.zookeeper.ZooDefs` and the generated `proto` records.

use anyhow::{Context, Result, bail};

pub mod op {
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const EXISTS: i32 = 3;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const GET_CHILDREN: i32 = 8;
    pub const PING: i32 = 11;
    pub const MULTI: i32 = 14;
    pub const ADD_WATCH: i32 = 106;
    pub const CLOSE: i32 = -11;
}

pub mod err {
    pub const NO_NODE: i32 = -101;
    pub const NODE_EXISTS: i32 = -110;
}

pub const XID_NOTIFICATION: i32 = -1;
pub const XID_PING: i32 = -2;

pub const EPHEMERAL_SEQUENTIAL: i32 = 3;

/// Far above anything the works ask for; a larger length means that we lost the frame borders.
const FRAME_BYTES_MAX: usize = 256 << 20;

pub struct Reply<'a> {
    pub xid: i32,
    pub err: i32,
    pub body: &'a [u8],
}

/// The first whole frame of `buf` and what follows it, or None if it is not all there.
pub fn next_frame(buf: &[u8]) -> Result<Option<(&[u8], &[u8])>> {
    let Some((length, rest)) = buf.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*length);
    let length = usize::try_from(length)
        .ok()
        .filter(|l| *l <= FRAME_BYTES_MAX);
    let length = length.context("the server sent a frame length that is no length")?;
    Ok((rest.len() >= length).then(|| rest.split_at(length)))
}

pub fn reply(frame: &[u8]) -> Result<Reply<'_>> {
    let Some((header, body)) = frame.split_first_chunk::<16>() else {
        bail!("a reply of {} bytes has no header", frame.len());
    };
    Ok(Reply {
        xid: i32_at(header, 0)?,
        err: i32_at(header, 12)?,
        body,
    })
}

pub fn i32_at(buf: &[u8], at: usize) -> Result<i32> {
    let bytes = buf.get(at..).and_then(|b| b.first_chunk::<4>());
    bytes
        .map(|b| i32::from_be_bytes(*b))
        .context("a reply is too short")
}

/// The string that starts at `at`, and where it ends.
pub fn str_at(buf: &[u8], at: usize) -> Result<(&str, usize)> {
    let length = usize::try_from(i32_at(buf, at)?).context("a null string in a reply")?;
    let start = at + 4;
    let bytes = buf
        .get(start..start.saturating_add(length))
        .context("a reply is too short")?;
    Ok((std::str::from_utf8(bytes)?, start + length))
}

/// The strings of a vector that starts the body (getChildren).
pub fn strings(body: &[u8]) -> Result<Vec<&str>> {
    let mut found = Vec::new();
    let mut at = 4;
    for _ in 0..i32_at(body, 0)? {
        let (s, end) = str_at(body, at)?;
        found.push(s);
        at = end;
    }
    Ok(found)
}

fn put_i32(out: &mut Vec<u8>, v: i32) {
    out.extend_from_slice(&v.to_be_bytes());
}

pub fn put_bytes(out: &mut Vec<u8>, v: &[u8]) {
    put_i32(out, v.len() as i32);
    out.extend_from_slice(v);
}

fn frame(out: &mut Vec<u8>, xid: i32, op: i32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    put_i32(out, 0);
    put_i32(out, xid);
    put_i32(out, op);
    body(out);
    let length = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Request bodies, without the header, so that a multi can hold them too.
pub mod body {
    use super::{put_bytes, put_i32};

    pub fn create(out: &mut Vec<u8>, path: &str, data: &[u8], flags: i32) {
        put_bytes(out, path.as_bytes());
        put_bytes(out, data);
        put_i32(out, 1);
        put_i32(out, 31);
        put_bytes(out, b"world");
        put_bytes(out, b"anyone");
        put_i32(out, flags);
    }

    pub fn delete(out: &mut Vec<u8>, path: &str) {
        put_bytes(out, path.as_bytes());
        put_i32(out, -1);
    }

    pub fn set(out: &mut Vec<u8>, path: &str, data: &[u8]) {
        put_bytes(out, path.as_bytes());
        put_bytes(out, data);
        put_i32(out, -1);
    }

    /// getData, exists and getChildren share this shape.
    pub fn read(out: &mut Vec<u8>, path: &str, watch: bool) {
        put_bytes(out, path.as_bytes());
        out.push(watch.into());
    }
}

pub fn create(out: &mut Vec<u8>, xid: i32, path: &str, data: &[u8], flags: i32) {
    frame(out, xid, op::CREATE, |o| body::create(o, path, data, flags));
}

pub fn delete(out: &mut Vec<u8>, xid: i32, path: &str) {
    frame(out, xid, op::DELETE, |o| body::delete(o, path));
}

pub fn set(out: &mut Vec<u8>, xid: i32, path: &str, data: &[u8]) {
    frame(out, xid, op::SET_DATA, |o| body::set(o, path, data));
}

pub fn read(out: &mut Vec<u8>, xid: i32, op: i32, path: &str, watch: bool) {
    frame(out, xid, op, |o| body::read(o, path, watch));
}

/// A multi whose parts are written by `parts` through `part`.
pub fn multi(out: &mut Vec<u8>, xid: i32, parts: impl FnOnce(&mut Vec<u8>)) {
    frame(out, xid, op::MULTI, |o| {
        parts(o);
        multi_header(o, -1, true);
    });
}

/// The header of one part of a multi; its body follows.
pub fn multi_part(out: &mut Vec<u8>, op: i32) {
    multi_header(out, op, false);
}

fn multi_header(out: &mut Vec<u8>, op: i32, done: bool) {
    put_i32(out, op);
    out.push(done.into());
    put_i32(out, -1);
}

/// A failed multi may carry its error in the reply header or in its results alone: the first result tells.
pub fn multi_error(err: i32, body: &[u8]) -> Result<i32> {
    if err != 0 {
        return Ok(err);
    }
    let kind = i32_at(body, 0)?;
    if kind != -1 {
        return Ok(0);
    }
    // Results before the one that failed say 0; look for the one that does not.
    let mut at = 0;
    while i32_at(body, at)? == -1 && body.get(at + 4) == Some(&0) {
        let code = i32_at(body, at + 9)?;
        if code != 0 {
            return Ok(code);
        }
        at += 13;
    }
    bail!("a failed multi without an error")
}

pub fn add_persistent_watch(out: &mut Vec<u8>, xid: i32, path: &str) {
    frame(out, xid, op::ADD_WATCH, |o| {
        put_bytes(o, path.as_bytes());
        put_i32(o, 0);
    });
}

pub fn ping(out: &mut Vec<u8>) {
    frame(out, XID_PING, op::PING, |_| ());
}

pub fn close(out: &mut Vec<u8>, xid: i32) {
    frame(out, xid, op::CLOSE, |_| ());
}

pub fn connect(out: &mut Vec<u8>, timeout_ms: i32) {
    put_i32(out, 45);
    put_i32(out, 0);
    out.extend_from_slice(&[0; 8]);
    put_i32(out, timeout_ms);
    out.extend_from_slice(&[0; 8]);
    put_bytes(out, &[0; 16]);
    out.push(0);
}

/// A server's answer to [`connect`], to whoever asks.
pub fn welcome(out: &mut Vec<u8>) {
    put_i32(out, 37);
    put_i32(out, 0);
    put_i32(out, 30_000);
    out.extend_from_slice(&[1; 8]);
    put_bytes(out, &[0; 16]);
    out.push(0);
}

/// A server's answer to a request.
pub fn answer(out: &mut Vec<u8>, xid: i32, err: i32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    put_i32(out, 0);
    put_i32(out, xid);
    out.extend_from_slice(&[0; 8]);
    put_i32(out, err);
    body(out);
    let length = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// A server's notification that the data of a node changed.
pub fn changed(out: &mut Vec<u8>, path: &str) {
    const DATA_CHANGED: i32 = 3;
    const CONNECTED: i32 = 3;
    answer(out, XID_NOTIFICATION, 0, |out| {
        put_i32(out, DATA_CHANGED);
        put_i32(out, CONNECTED);
        put_bytes(out, path.as_bytes());
    });
}

/// The session timeout that a ConnectResponse grants; 0 means that the session was refused.
pub fn granted_timeout_ms(frame: &[u8]) -> Result<i32> {
    i32_at(frame, 4)
}

/// An encoded request in which the xid and the digits at the end of the path are patched for every use.
pub struct Template {
    bytes: Vec<u8>,
    key_at: usize,
}

pub const KEY_DIGITS: usize = 8;

impl Template {
    /// `encode` gets a path that ends in a key; the key is found again by its position behind the path's start.
    pub fn new(prefix: &str, encode: impl FnOnce(&mut Vec<u8>, &str)) -> Template {
        let path = format!("{prefix}{}", "0".repeat(KEY_DIGITS));
        let mut bytes = Vec::new();
        encode(&mut bytes, &path);
        // Frame length, xid, opcode, length of the path: every request used here starts with its path.
        Template {
            bytes,
            key_at: 16 + prefix.len(),
        }
    }

    pub fn put(&self, out: &mut Vec<u8>, xid: i32, key: u64) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let frame = &mut out[start..];
        frame[4..8].copy_from_slice(&xid.to_be_bytes());
        put_key(&mut frame[self.key_at..self.key_at + KEY_DIGITS], key);
    }
}

pub fn put_key(digits: &mut [u8], mut key: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (key % 10) as u8;
        key /= 10;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_template_differs_from_the_encoder_in_nothing_but_xid_and_key() {
        let template = Template::new("/a/n", |o, path| set(o, 0, path, b"data"));
        let (mut made, mut wanted) = (Vec::new(), Vec::new());
        template.put(&mut made, 77, 1234);
        set(&mut wanted, 77, "/a/n00001234", b"data");
        assert_eq!(made, wanted);
    }

    #[test]
    fn frames_are_cut_only_when_they_are_whole() {
        let mut bytes = Vec::new();
        ping(&mut bytes);
        for cut in 0..bytes.len() {
            assert!(next_frame(&bytes[..cut]).unwrap().is_none());
        }
        bytes.push(9);
        let (frame, rest) = next_frame(&bytes).unwrap().unwrap();
        assert_eq!((frame.len(), rest), (8, &[9u8][..]));
        assert!(next_frame(&[0xff; 4]).is_err());
    }

    #[test]
    fn the_error_of_a_failed_multi_is_found_behind_the_parts_that_only_follow_it() {
        let mut results = Vec::new();
        for code in [0i32, -101, -2] {
            results.extend_from_slice(&(-1i32).to_be_bytes());
            results.push(0);
            results.extend_from_slice(&code.to_be_bytes());
            results.extend_from_slice(&code.to_be_bytes());
        }
        assert_eq!(multi_error(0, &results).unwrap(), -101);
        assert_eq!(multi_error(-4, &results).unwrap(), -4);
        assert_eq!(multi_error(0, &5i32.to_be_bytes()).unwrap(), 0);
    }
}
