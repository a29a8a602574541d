//! The head of a request: bytes to fields, or to the status that refuses them. No socket, no clock.

use std::collections::HashMap;

/// As Jetty's servers take at most.
pub const HEAD_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 100;

/// Why a request is refused, as its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(pub u16);

const BAD_REQUEST: Refused = Refused(400);
const TOO_LARGE: Refused = Refused(431);
const NOT_IMPLEMENTED: Refused = Refused(501);
const VERSION: Refused = Refused(505);

#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub method: String,
    /// Decoded; begins with a slash.
    pub path: String,
    /// Of one that comes twice the first counts.
    pub arguments: HashMap<String, String>,
    /// As it came.
    pub query: String,
    /// Names in lower case, in the order in which they came.
    headers: Vec<(String, String)>,
    pub framing: Framing,
    /// The other side waits for a word before it sends the body.
    pub expects_continue: bool,
    pub keeps_alive: bool,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
}

impl Head {
    /// The first of that name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The head and its length, once all of it is there.
pub fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Refused> {
    // Clients may send empty lines between requests.
    let begin = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n'));
    let begin = begin.count();
    let bytes_in = &bytes[begin..];
    let Some(len) = end_of_head(bytes_in) else {
        return if bytes.len() > HEAD_BYTES_MAX {
            Err(TOO_LARGE)
        } else {
            Ok(None)
        };
    };
    if begin + len > HEAD_BYTES_MAX {
        return Err(TOO_LARGE);
    }
    let text = std::str::from_utf8(&bytes_in[..len]).map_err(|_| BAD_REQUEST)?;
    let mut lines = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line));
    let (method, target, minor) = request_line(lines.next().unwrap_or_default())?;
    let mut headers = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        if headers.len() == HEADERS_MAX {
            return Err(TOO_LARGE);
        }
        headers.push(header(line)?);
    }
    let framing = framing(&headers)?;
    let values = |name: &str| {
        let all = headers.iter().filter(move |(other, _)| other == name);
        all.map(|(_, value)| value.to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    if minor >= 1 && values("host").len() != 1 {
        return Err(BAD_REQUEST);
    }
    let connection = values("connection").join(",");
    let mut options = connection.split(',').map(str::trim);
    let keeps_alive = match minor {
        0 => options.any(|option| option == "keep-alive"),
        _ => !options.any(|option| option == "close"),
    };
    let expects_continue = values("expect").iter().any(|value| value == "100-continue");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = decode(path, false).ok_or(BAD_REQUEST)?;
    let head = Head {
        method: method.to_owned(),
        path,
        arguments: arguments(query).ok_or(BAD_REQUEST)?,
        query: query.to_owned(),
        headers,
        framing,
        expects_continue: expects_continue && minor >= 1,
        keeps_alive,
    };
    Ok(Some((head, begin + len)))
}

/// Behind the empty line.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut line_begin = 0;
    for (at, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'\n') {
        let line = &bytes[line_begin..at];
        if line.is_empty() || line == b"\r" {
            return Some(at + 1);
        }
        line_begin = at + 1;
    }
    None
}

fn is_token(text: &str) -> bool {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_token)
}

/// Method, target in its relative form, and minor version.
fn request_line(line: &str) -> Result<(&str, &str, u8), Refused> {
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(BAD_REQUEST);
    };
    let minor = match version {
        "HTTP/1.1" => 1,
        "HTTP/1.0" => 0,
        _ if version.starts_with("HTTP/") => return Err(VERSION),
        _ => return Err(BAD_REQUEST),
    };
    let has_controls = target.bytes().any(|b| b <= b' ' || b == 0x7f);
    if !is_token(method) || has_controls {
        return Err(BAD_REQUEST);
    }
    let without_host = ["http://", "https://"].iter().find_map(|scheme| {
        let rest = target.strip_prefix(scheme)?;
        Some(rest.find(['/', '?']).map_or("/", |at| &rest[at..]))
    });
    let target = without_host.unwrap_or(target);
    match target.starts_with('/') {
        true => Ok((method, target, minor)),
        false if method == "OPTIONS" && target == "*" => Ok((method, "/", minor)),
        false => Err(BAD_REQUEST),
    }
}

/// Lines that continue the one before are refused: readers have differed about them.
fn header(line: &str) -> Result<(String, String), Refused> {
    let (name, value) = line.split_once(':').ok_or(BAD_REQUEST)?;
    let value = value.trim_matches([' ', '\t']);
    let has_controls = value.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f);
    if !is_token(name) || has_controls {
        return Err(BAD_REQUEST);
    }
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

/// What could be read in two ways is refused.
fn framing(headers: &[(String, String)]) -> Result<Framing, Refused> {
    let values = |name: &str| {
        let all = headers.iter().filter(move |(other, _)| other == name);
        all.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    let (encodings, lengths) = (values("transfer-encoding"), values("content-length"));
    match (&encodings[..], &lengths[..]) {
        ([], []) => Ok(Framing::Length(0)),
        ([], [length]) if length.bytes().all(|b| b.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| BAD_REQUEST)
        }
        ([encoding], []) if encoding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        ([_, ..], []) => Err(NOT_IMPLEMENTED),
        _ => Err(BAD_REQUEST),
    }
}

/// `%` and two digits are a byte; in a query, `+` is a blank.
pub fn decode(text: &str, is_query: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            b'+' if is_query => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|t| !t.contains('\0'))
}

fn arguments(query: &str) -> Option<HashMap<String, String>> {
    let mut arguments = HashMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name, true)?, decode(value, true)?);
        arguments.entry(name).or_insert(value);
    }
    Some(arguments)
}

/// The first line of a chunk: its length, and the length of the line; `None`: more has to come.
pub fn chunk_line(bytes: &[u8]) -> Result<Option<(u64, usize)>, Refused> {
    const LINE_BYTES_MAX: usize = 256;
    let Some(end) = bytes.iter().position(|b| *b == b'\n') else {
        return if bytes.len() > LINE_BYTES_MAX {
            Err(BAD_REQUEST)
        } else {
            Ok(None)
        };
    };
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| BAD_REQUEST)?;
    let digits = line.split(';').next().unwrap_or_default().trim();
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_number || end > LINE_BYTES_MAX {
        return Err(BAD_REQUEST);
    }
    let len = u64::from_str_radix(digits, 16).map_err(|_| BAD_REQUEST)?;
    Ok(Some((len, end + 1)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn head(text: &str) -> Head {
        let (head, len) = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(len, text.len());
        head
    }

    #[test]
    fn what_a_head_says() {
        let one = head(
            "GET /commands/stmk?traceMask=1&traceMask=2&a%20b=c+d HTTP/1.1\r\nHost: h\r\nAuthorization:  digest a:b \r\n\r\n",
        );
        assert_eq!((&*one.method, &*one.path), ("GET", "/commands/stmk"));
        assert_eq!(one.arguments["traceMask"], "1");
        assert_eq!(one.arguments["a b"], "c d");
        assert_eq!(one.header("authorization"), Some("digest a:b"));
        assert_eq!(one.framing, Framing::Length(0));
        assert!(one.keeps_alive && !one.expects_continue);

        let post = head(
            "POST http://h:1/x HTTP/1.1\nhost:h\nContent-Length: 12\nExpect: 100-continue\nConnection: foo, Close\n\n",
        );
        assert_eq!((&*post.path, post.framing), ("/x", Framing::Length(12)));
        assert!(post.expects_continue && !post.keeps_alive);
        assert!(!head("GET / HTTP/1.0\r\n\r\n").keeps_alive);
        assert!(head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keeps_alive);
        assert_eq!(head("\r\nOPTIONS * HTTP/1.0\r\n\r\n").path, "/");
    }

    #[test]
    fn what_is_refused() {
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET /\r\n\r\n", 400),
            ("GET  / HTTP/1.0\r\n\r\n", 400),
            ("G(T / HTTP/1.0\r\n\r\n", 400),
            ("GET x HTTP/1.0\r\n\r\n", 400),
            ("GET /%zz HTTP/1.0\r\n\r\n", 400),
            ("GET /%00 HTTP/1.0\r\n\r\n", 400),
            ("GET /%ff HTTP/1.0\r\n\r\n", 400),
            ("GET / HTTP/1.0\r\nno colon\r\n\r\n", 400),
            ("GET / HTTP/1.0\r\nname : x\r\n\r\n", 400),
            ("GET / HTTP/1.0\r\na: b\r\n c\r\n\r\n", 400),
            ("GET / HTTP/1.0\r\na: b\0\r\n\r\n", 400),
            (
                "POST / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
                400,
            ),
            ("POST / HTTP/1.0\r\nContent-Length: +1\r\n\r\n", 400),
            (
                "POST / HTTP/1.0\r\nContent-Length: 99999999999999999999\r\n\r\n",
                400,
            ),
            (
                "POST / HTTP/1.0\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                400,
            ),
            (
                "POST / HTTP/1.0\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                501,
            ),
            ("PRI * HTTP/2.0\r\n\r\n", 505),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(Refused(status)), "{text:?}");
        }
        let long = format!("GET / HTTP/1.0\r\na: {}", "b".repeat(HEAD_BYTES_MAX));
        assert_eq!(parse(long.as_bytes()), Err(Refused(431)));
        let many = format!(
            "GET / HTTP/1.0\r\n{}\r\n",
            "a: b\r\n".repeat(HEADERS_MAX + 1)
        );
        assert_eq!(parse(many.as_bytes()), Err(Refused(431)));
        assert_eq!(parse(b"\xff\xfe\n\n"), Err(Refused(400)));
    }

    #[test]
    fn chunks() {
        assert_eq!(chunk_line(b"1f;a=b\r\nrest"), Ok(Some((31, 8))));
        assert_eq!(chunk_line(b"0\n"), Ok(Some((0, 2))));
        assert_eq!(chunk_line(b"1f"), Ok(None));
        for bad in [&b"\r\n"[..], b"-1\r\n", b"x\r\n", b"11111111111111111\r\n"] {
            assert_eq!(chunk_line(bad), Err(Refused(400)));
        }
        assert_eq!(chunk_line(&[b'1'; 300]), Err(Refused(400)));
    }

    proptest! {
        #[test]
        fn anything_may_come(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..80usize) {
            let _ = parse(&bytes);
            let _ = chunk_line(&bytes);
            let good = b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n";
            let mut mixed = good[..cut.min(good.len())].to_vec();
            mixed.extend(bytes);
            mixed.extend(b"\r\n\r\n");
            let _ = parse(&mixed);
        }

        #[test]
        fn a_head_that_comes_in_pieces_is_the_same(cut in 1..50usize) {
            let text = b"GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\n\r\n";
            let cut = cut.min(text.len() - 1);
            prop_assert_eq!(parse(&text[..cut]), Ok(None));
        }
    }
}
