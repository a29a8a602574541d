//! How nodes, times and bytes look. Answers to `StatPrinter` and the formatters of zkCli.sh.

use std::fmt::Write;

use crate::json::Json;
use crate::proto::{Acl, Stat};
use crate::timestamp;

pub fn stat_lines(stat: &Stat) -> String {
    format!(
        "cZxid = 0x{:x}\nctime = {}\nmZxid = 0x{:x}\nmtime = {}\npZxid = 0x{:x}\ncversion = {}\n\
         dataVersion = {}\naclVersion = {}\nephemeralOwner = 0x{:x}\ndataLength = {}\nnumChildren = {}",
        stat.czxid,
        date(stat.ctime),
        stat.mzxid,
        date(stat.mtime),
        stat.pzxid,
        stat.cversion,
        stat.version,
        stat.aversion,
        stat.ephemeral_owner,
        stat.data_length,
        stat.num_children,
    )
}

pub fn stat_json(stat: &Stat) -> Json {
    let hex = |number: i64| Json::Text(format!("0x{number:x}"));
    Json::object(vec![
        ("czxid", hex(stat.czxid)),
        ("mzxid", hex(stat.mzxid)),
        ("pzxid", hex(stat.pzxid)),
        ("ctime", stat.ctime.into()),
        ("mtime", stat.mtime.into()),
        ("version", stat.version.into()),
        ("cversion", stat.cversion.into()),
        ("aversion", stat.aversion.into()),
        ("ephemeralOwner", hex(stat.ephemeral_owner)),
        ("dataLength", stat.data_length.into()),
        ("numChildren", stat.num_children.into()),
    ])
}

/// A point in time where the user is, as `Date.toString` has it.
pub fn date(unix_ms: i64) -> String {
    match timestamp::local(unix_ms) {
        Some(tm) => {
            let mut text = [0u8; 64];
            // SAFETY: the buffer is as long as said, the format ends in NUL, and `tm` was filled by the C library.
            let len = unsafe {
                libc::strftime(
                    text.as_mut_ptr().cast(),
                    text.len(),
                    c"%a %b %d %H:%M:%S %Z %Y".as_ptr(),
                    &tm,
                )
            };
            String::from_utf8_lossy(&text[..len]).into_owned()
        }
        None => crate::admin::java_text::Date { unix_ms }.to_string(),
    }
}

/// Data as text, or in base 64 where it is none.
pub fn data_json(data: Option<&[u8]>) -> Vec<(&'static str, Json)> {
    match data.map(|data| (data, std::str::from_utf8(data))) {
        None => vec![("data", Json::Null)],
        Some((_, Ok(text))) => vec![("data", text.into())],
        Some((data, Err(_))) => vec![("dataBase64", base64(data).into())],
    }
}

pub fn base64(data: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(data)
}

pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD
        .decode(text)
        .ok()
}

/// Netty's table; nothing for nothing.
pub fn hex_dump(data: &[u8]) -> String {
    if data.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "         +-------------------------------------------------+\n\
         \u{20}        |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n\
         +--------+-------------------------------------------------+----------------+",
    );
    for (row, bytes) in data.chunks(16).enumerate() {
        let _ = write!(text, "\n|{:08x}|", row * 16);
        for at in 0..16 {
            let _ = match bytes.get(at) {
                Some(byte) => write!(text, " {byte:02x}"),
                None => write!(text, "   "),
            };
        }
        text.push_str(" |");
        for at in 0..16 {
            text.push(match bytes.get(at) {
                Some(byte @ 0x20..=0x7e) => *byte as char,
                Some(_) => '.',
                None => ' ',
            });
        }
        text.push('|');
    }
    text.push_str(
        "\n+--------+-------------------------------------------------+----------------+",
    );
    text
}

const PERMISSIONS: [(char, i32); 5] = [('c', 4), ('d', 8), ('r', 1), ('w', 2), ('a', 16)];

pub fn permissions(bits: i32) -> String {
    let set = PERMISSIONS.iter().filter(|(_, bit)| bits & bit != 0);
    set.map(|(letter, _)| *letter).collect()
}

/// `scheme:id:perms,...`. What cannot be understood is told and left out, as zkCli.sh does.
pub fn parse_acl(text: &str, mut complain: impl FnMut(String)) -> Vec<Acl<'static>> {
    let mut list = Vec::new();
    for entry in text.split(',') {
        let parts = entry.split_once(':').zip(entry.rsplit_once(':'));
        let Some(((scheme, _), (before, letters))) = parts.filter(|((s, _), (b, _))| s != b) else {
            complain(format!("{entry} does not have the form scheme:id:perm"));
            continue;
        };
        let mut perms = 0;
        for letter in letters.chars() {
            match PERMISSIONS.iter().find(|(known, _)| *known == letter) {
                Some((_, bit)) => perms |= bit,
                None => complain(format!("Unknown perm type: {letter}")),
            }
        }
        list.push(Acl {
            perms,
            id: crate::proto::Id {
                scheme: scheme.to_owned().into(),
                id: before[scheme.len() + 1..].to_owned().into(),
            },
        });
    }
    list
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn acls_are_read_and_written() {
        let mut complaints = Vec::new();
        let list = parse_acl(
            "world:anyone:cdrwa,ip:10.0.0.0/8:rx,auth,digest:a:b:r",
            |c| complaints.push(c),
        );
        let shown: Vec<String> = list
            .iter()
            .map(|acl| {
                let (scheme, id) = (acl.id.scheme.or_empty(), acl.id.id.or_empty());
                format!("{scheme}|{id}|{}", permissions(acl.perms))
            })
            .collect();
        assert_eq!(
            shown,
            ["world|anyone|cdrwa", "ip|10.0.0.0/8|r", "digest|a:b|r"]
        );
        assert_eq!(
            complaints,
            [
                "Unknown perm type: x",
                "auth does not have the form scheme:id:perm"
            ]
        );
    }

    #[test]
    fn bytes_in_a_table() {
        assert_eq!(hex_dump(b""), "");
        let table = hex_dump(b"0123456789abcdef\nz");
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines[3],
            "|00000000| 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66 |0123456789abcdef|"
        );
        assert_eq!(
            lines[4],
            "|00000010| 0a 7a                                           |.z              |"
        );
        assert_eq!(lines.len(), 6);
    }
}
