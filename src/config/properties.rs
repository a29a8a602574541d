//! Java `.properties` text -> entries, each with the line it stands on.
//!
//! Knows nothing of ZooKeeper's keys. The Java class it answers to is `java.util.Properties`
//! (`load`), except that a file which is valid UTF-8 is read as UTF-8: Java would read it as
//! ISO-8859-1, and no key needs the difference.

use std::fmt::Write as _;

/// One `key=value` of a file, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: String,
    /// The line (from 1) on which the key starts; a continued value ends further down.
    pub line: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Malformed \\uxxxx encoding. Four hexadecimal digits must follow \\u")]
pub struct MalformedEscape {
    pub line: u32,
}

/// Reads every entry. Duplicates are kept (the last one counts); keys and values are trimmed as
/// ZooKeeper trims them after Java's own reading.
pub fn parse(bytes: &[u8]) -> Result<Vec<Entry>, MalformedEscape> {
    let text = decode(bytes);
    let mut entries = Vec::new();
    for logical in LogicalLines::new(&text) {
        let (raw_key, raw_value) = split_key(&logical.text);
        let malformed = |_| MalformedEscape { line: logical.line };
        let key = unescape(raw_key).map_err(malformed)?;
        let value = unescape(raw_value).map_err(malformed)?;
        entries.push(Entry {
            key: trim(&key).to_owned(),
            value: trim(&value).to_owned(),
            line: logical.line,
        });
    }
    Ok(entries)
}

/// Writes entries so that [`parse`] gives them back (trimmed, lines renumbered).
pub fn write<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (key, value) in entries {
        escape_into(key, true, &mut out);
        out.push('=');
        escape_into(value, false, &mut out);
        out.push('\n');
    }
    out
}

/// Java's `String.trim`: everything up to U+0020, and nothing above it.
fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

struct Logical {
    text: String,
    line: u32,
}

/// Joins continued lines, drops comments and blank lines.
struct LogicalLines<'a> {
    natural: NaturalLines<'a>,
}

impl<'a> LogicalLines<'a> {
    fn new(text: &'a str) -> Self {
        LogicalLines {
            natural: NaturalLines {
                rest: Some(text),
                line: 0,
            },
        }
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = Logical;

    fn next(&mut self) -> Option<Logical> {
        let mut text = String::new();
        let mut starts_on = 0;
        loop {
            let Some((natural, line)) = self.natural.next() else {
                // The last line asked for a continuation that never came.
                return (!text.is_empty()).then_some(Logical {
                    text,
                    line: starts_on,
                });
            };
            let part = natural.trim_start_matches(is_blank);
            // A continuation may look like a comment and is none, unless nothing came before it.
            if text.is_empty() {
                if part.is_empty() || part.starts_with(['#', '!']) {
                    continue;
                }
                starts_on = line;
            }
            match continued(part) {
                Some(head) => text.push_str(head),
                None => {
                    text.push_str(part);
                    if !text.is_empty() {
                        return Some(Logical {
                            text,
                            line: starts_on,
                        });
                    }
                }
            }
        }
    }
}

/// The line without its last backslash, if an odd number of them ends it.
fn continued(line: &str) -> Option<&str> {
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    (backslashes % 2 == 1).then(|| &line[..line.len() - 1])
}

struct NaturalLines<'a> {
    rest: Option<&'a str>,
    line: u32,
}

impl<'a> Iterator for NaturalLines<'a> {
    type Item = (&'a str, u32);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        self.line = self.line.saturating_add(1);
        match rest.find(['\n', '\r']) {
            None => {
                self.rest = None;
                Some((rest, self.line))
            }
            Some(end) => {
                let width = if rest[end..].starts_with("\r\n") {
                    2
                } else {
                    1
                };
                self.rest = Some(&rest[end + width..]);
                Some((&rest[..end], self.line))
            }
        }
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// Splits at the first unescaped separator: blanks, then at most one `=` or `:`, then blanks.
fn split_key(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if is_blank(c) || c == '=' || c == ':' {
            let rest = line[at..].trim_start_matches(is_blank);
            let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
            return (&line[..at], rest.trim_start_matches(is_blank));
        }
    }
    (line, "")
}

struct BadEscape;

fn unescape(text: &str) -> Result<String, BadEscape> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    // Java writes characters above U+FFFF as two escapes, hence UTF-16 in between.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut buffer = [0u16; 2];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            units.extend_from_slice(c.encode_utf16(&mut buffer));
            continue;
        }
        match chars.next() {
            None => {}
            Some('t') => units.push(u16::from(b'\t')),
            Some('n') => units.push(u16::from(b'\n')),
            Some('r') => units.push(u16::from(b'\r')),
            Some('f') => units.push(0x0c),
            Some('u') => {
                let mut unit = 0u16;
                for _ in 0..4 {
                    let digit = chars.next().and_then(|c| c.to_digit(16)).ok_or(BadEscape)?;
                    unit = unit << 4 | digit as u16;
                }
                units.push(unit);
            }
            Some(other) => units.extend_from_slice(other.encode_utf16(&mut buffer)),
        }
    }
    Ok(String::from_utf16_lossy(&units))
}

fn escape_into(text: &str, is_key: bool, out: &mut String) {
    for (at, c) in text.chars().enumerate() {
        match c {
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\x0c' => out.push_str("\\f"),
            '\\' => out.push_str("\\\\"),
            ' ' if is_key || at == 0 => out.push_str("\\ "),
            '=' | ':' | '#' | '!' if is_key => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04X}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String, u32)> {
        let entries = parse(text.as_bytes()).unwrap();
        entries
            .into_iter()
            .map(|e| (e.key, e.value, e.line))
            .collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut all = pairs(text);
        assert_eq!(all.len(), 1, "{text:?}");
        let (key, value, _) = all.remove(0);
        (key, value)
    }

    #[test]
    fn separators_and_blanks() {
        for text in [
            "k=v",
            "k:v",
            "k v",
            "k\tv",
            "  k  =  v  ",
            "k = v\r\n",
            "\x0ck:\x0cv",
        ] {
            assert_eq!(one(text), ("k".into(), "v".into()), "{text:?}");
        }
        assert_eq!(one("k==v"), ("k".into(), "=v".into()));
        assert_eq!(one("k"), ("k".into(), String::new()));
        assert_eq!(one("k="), ("k".into(), String::new()));
        assert_eq!(one("server.1: h:1:2"), ("server.1".into(), "h:1:2".into()));
    }

    #[test]
    fn a_hash_in_a_value_is_no_comment() {
        assert_eq!(
            one("tickTime=2000 # ms"),
            ("tickTime".into(), "2000 # ms".into())
        );
        assert_eq!(pairs("# a\n  ! b\n\n \t\n"), vec![]);
    }

    #[test]
    fn lines_are_counted_through_comments_continuations_and_every_line_end() {
        let text = "# first\na=1\r\nb=2\\\n   3\\\r\n  4\rc=5\n\nd=6";
        let expected = [("a", "1", 2), ("b", "234", 3), ("c", "5", 6), ("d", "6", 8)];
        let expected: Vec<_> = expected
            .map(|(k, v, line)| (k.to_owned(), v.to_owned(), line))
            .into();
        assert_eq!(pairs(text), expected);
    }

    #[test]
    fn escapes() {
        assert_eq!(
            one(r"a\ b\=c=x\ty\u0041\q"),
            ("a b=c".into(), "x\tyAq".into())
        );
        assert_eq!(one(r"d=C:\\zk\\data"), ("d".into(), r"C:\zk\data".into()));
        assert_eq!(one(r"d=\uD83D\uDE00"), ("d".into(), "\u{1F600}".into()));
        // An even number of backslashes does not continue the line.
        assert_eq!(pairs("a=b\\\\\nc").len(), 2);
        assert_eq!(parse(b"\n\na=\\u12g4").unwrap_err().line, 3);
        assert_eq!(parse(b"a=\\u12").unwrap_err().line, 1);
    }

    #[test]
    fn a_continuation_at_the_end_and_one_that_looks_like_a_comment() {
        assert_eq!(one("a=b\\"), ("a".into(), "b".into()));
        assert_eq!(one("a=b\\\n#c"), ("a".into(), "b#c".into()));
        // Where nothing came before it, it is a line of its own.
        assert_eq!(pairs("\\\n#c\n\\\n\n\\"), vec![]);
        assert_eq!(pairs("\\\n  a=b"), [("a".into(), "b".into(), 2)]);
    }

    #[test]
    fn duplicates_stay_in_order() {
        assert_eq!(pairs("a=1\na=2").len(), 2);
    }

    #[test]
    fn latin_1_and_utf_8() {
        assert_eq!(parse(b"a=\xe9").unwrap()[0].value, "é");
        assert_eq!(parse("a=é".as_bytes()).unwrap()[0].value, "é");
        assert_eq!(parse("\u{feff}a=1".as_bytes()).unwrap()[0].key, "a");
    }

    proptest! {
        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn text_of_the_grammar_never_panics(text in r"([a-c =:\\#!u0\n\r\t]|\\u){0,60}") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn what_is_written_is_read(list in proptest::collection::vec((".{1,12}", ".{0,20}"), 0..8)) {
            let trimmed: Vec<(&str, &str)> = list.iter().map(|(k, v)| (trim(k), trim(v))).collect();
            let read = parse(write(trimmed.iter().copied()).as_bytes()).unwrap();
            let read: Vec<(&str, &str)> =
                read.iter().map(|e| (e.key.as_str(), e.value.as_str())).collect();
            prop_assert_eq!(read, trimmed);
        }
    }
}
