//! What a backup holds: a file of lines, each about one file, and a last one that seals those before it.
//!
//! ```text
//! ferrokeeper-backup 1
//! snapshot <zxid> <taken, ms> <bytes> <sha256> <file>
//! log <after> <last> <time of the last, ms> <crc32 of the last> <bytes> <sha256> <file>
//! end <sha256 of all above>
//! ```

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::storage::small;

pub const FILE: &str = "MANIFEST";
const FIRST_LINE: &str = "ferrokeeper-backup 1";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedFile {
    /// Below the backup's directory.
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub zxid: i64,
    /// When it was taken first: nothing in it is younger.
    pub taken_ms: i64,
    pub file: SealedFile,
}

/// Transactions behind `after`, up to and with `last`, without a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub after: i64,
    pub last: i64,
    pub last_time_ms: i64,
    /// Of the last transaction's bytes: whether a log still is the one that this came from.
    pub last_crc: u32,
    pub file: SealedFile,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    pub bases: Vec<Base>,
    pub segments: Vec<Segment>,
}

impl Manifest {
    /// Of two at one zxid the file of the newer counts; what is in it is as old as before.
    pub fn put_base(&mut self, mut base: Base) {
        for older in self.bases.extract_if(.., |older| older.zxid == base.zxid) {
            base.taken_ms = base.taken_ms.min(older.taken_ms);
        }
        self.bases.push(base);
    }

    /// `None`: there is no backup in that directory.
    pub fn read(dir: &Path) -> Result<Option<Manifest>, String> {
        let path = dir.join(FILE);
        let content = small::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let Some(content) = content else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&content);
        let parsed = parse(&text).map_err(|why| format!("{} is damaged: {why}", path.display()))?;
        Ok(Some(parsed))
    }

    /// Durable when it returns, all of it or nothing.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        small::replace(&dir.join(FILE), self.text().as_bytes())
    }

    pub fn text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        for Base {
            zxid,
            taken_ms,
            file,
        } in &self.bases
        {
            let _ = writeln!(text, "snapshot {zxid:x} {taken_ms} {}", sealed(file));
        }
        for segment in &self.segments {
            let Segment {
                after,
                last,
                last_time_ms,
                last_crc,
                file,
            } = segment;
            let file = sealed(file);
            let _ = writeln!(
                text,
                "log {after:x} {last:x} {last_time_ms} {last_crc:08x} {file}"
            );
        }
        let seal = hex(&Sha256::digest(text.as_bytes()));
        let _ = writeln!(text, "end {seal}");
        text
    }

    /// The last transaction that it has.
    pub fn last_zxid(&self) -> i64 {
        let bases = self.bases.iter().map(|base| base.zxid);
        let segments = self.segments.iter().map(|segment| segment.last);
        bases.chain(segments).max().unwrap_or(0)
    }

    /// The segments behind `zxid`, as far as one follows the other; `None` at a hole.
    pub fn chain(&self, zxid: i64, up_to: i64) -> Option<Vec<&Segment>> {
        let mut segments: Vec<&Segment> = self.segments.iter().collect();
        segments.sort_by_key(|segment| (segment.after, std::cmp::Reverse(segment.last)));
        let (mut chain, mut at) = (Vec::new(), zxid);
        for segment in segments {
            if at >= up_to || segment.last <= at {
                continue;
            }
            if segment.after > at {
                return None;
            }
            chain.push(segment);
            at = segment.last;
        }
        Some(chain)
    }
}

impl SealedFile {
    pub fn of(dir: &Path, name: String) -> io::Result<SealedFile> {
        let (bytes, sha256) = sum(&dir.join(&name))?;
        Ok(SealedFile {
            name,
            bytes,
            sha256,
        })
    }

    /// Whether the file is what it was.
    pub fn verify(&self, dir: &Path) -> Result<PathBuf, String> {
        let path = dir.join(&self.name);
        let shown = path.display();
        match sum(&path) {
            Err(e) => Err(format!("{shown}: {e}")),
            Ok((bytes, _)) if bytes != self.bytes => Err(format!(
                "{shown} has {bytes} bytes instead of {}",
                self.bytes
            )),
            Ok((_, sha256)) if sha256 != self.sha256 => Err(format!(
                "{shown} is damaged: its checksum is not what it was"
            )),
            Ok(_) => Ok(path),
        }
    }
}

fn sealed(file: &SealedFile) -> String {
    let SealedFile {
        name,
        bytes,
        sha256,
    } = file;
    format!("{bytes} {sha256} {name}")
}

fn sum(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, hex(&hash.finalize()))),
            len => {
                hash.update(&buffer[..len]);
                bytes += len as u64;
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse(text: &str) -> Result<Manifest, String> {
    let body_end = text
        .trim_end_matches('\n')
        .rfind('\n')
        .map_or(0, |at| at + 1);
    let (body, end) = text.split_at(body_end);
    if !body.starts_with(&format!("{FIRST_LINE}\n")) {
        return Err(format!("it does not begin with `{FIRST_LINE}`"));
    }
    let seal = hex(&Sha256::digest(body.as_bytes()));
    if end.trim_end() != format!("end {seal}") {
        return Err("the checksum in its last line is wrong".to_owned());
    }
    let mut manifest = Manifest::default();
    for line in body.lines().skip(1) {
        let fields: Vec<&str> = line.split(' ').collect();
        let known = match fields[..] {
            ["snapshot", zxid, taken, bytes, sha256, name] => {
                base(zxid, taken, bytes, sha256, name).map(|base| manifest.bases.push(base))
            }
            ["log", after, last, time, crc, bytes, sha256, name] => {
                segment([after, last, time, crc], bytes, sha256, name)
                    .map(|segment| manifest.segments.push(segment))
            }
            _ => None,
        };
        known.ok_or_else(|| format!("this line cannot be read: {line}"))?;
    }
    Ok(manifest)
}

fn base(zxid: &str, taken: &str, bytes: &str, sha256: &str, name: &str) -> Option<Base> {
    Some(Base {
        zxid: i64::from_str_radix(zxid, 16).ok()?,
        taken_ms: taken.parse().ok()?,
        file: file(bytes, sha256, name)?,
    })
}

fn segment(numbers: [&str; 4], bytes: &str, sha256: &str, name: &str) -> Option<Segment> {
    let [after, last, time, crc] = numbers;
    Some(Segment {
        after: i64::from_str_radix(after, 16).ok()?,
        last: i64::from_str_radix(last, 16).ok()?,
        last_time_ms: time.parse().ok()?,
        last_crc: u32::from_str_radix(crc, 16).ok()?,
        file: file(bytes, sha256, name)?,
    })
}

fn file(bytes: &str, sha256: &str, name: &str) -> Option<SealedFile> {
    // A name that leads out of the backup is none of ours.
    let is_inside = !name.starts_with('/') && !name.split('/').any(|part| part == "..");
    is_inside.then_some(())?;
    Some(SealedFile {
        name: name.to_owned(),
        bytes: bytes.parse().ok()?,
        sha256: sha256.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sealed(name: &str) -> SealedFile {
        SealedFile {
            name: name.to_owned(),
            bytes: 7,
            sha256: "ab".to_owned(),
        }
    }

    fn segment(after: i64, last: i64) -> Segment {
        Segment {
            after,
            last,
            last_time_ms: 1,
            last_crc: 0xf,
            file: sealed(&format!("version-2/log.{last:x}")),
        }
    }

    fn manifest() -> Manifest {
        Manifest {
            bases: vec![Base {
                zxid: 5,
                taken_ms: 9,
                file: sealed("version-2/snapshot.5"),
            }],
            segments: vec![segment(5, 8), segment(8, 20)],
        }
    }

    #[test]
    fn what_was_written_is_read_and_every_change_is_seen() {
        let text = manifest().text();
        assert_eq!(parse(&text), Ok(manifest()));
        for at in 0..text.len() - 1 {
            let mut other = text.clone().into_bytes();
            other[at] ^= 1;
            let other = String::from_utf8_lossy(&other).into_owned();
            assert!(parse(&other).is_err(), "{at}: {other}");
        }
        for cut in 0..text.len() - 1 {
            assert!(parse(&text[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_base_that_is_taken_again_is_as_old_as_before() {
        let mut manifest = manifest();
        let again = |zxid, taken_ms| Base {
            zxid,
            taken_ms,
            file: sealed("version-2/again"),
        };
        manifest.put_base(again(5, 30));
        assert_eq!(manifest.bases, [again(5, 9)]);
        manifest.put_base(again(6, 31));
        assert_eq!(manifest.bases, [again(5, 9), again(6, 31)]);
    }

    #[test]
    fn a_chain_has_no_hole() {
        let mut manifest = manifest();
        let ends = |chain: Option<Vec<&Segment>>| {
            chain.map(|chain| chain.iter().map(|s| s.last).collect::<Vec<_>>())
        };
        assert_eq!(ends(manifest.chain(5, 20)), Some(vec![8, 20]));
        assert_eq!(ends(manifest.chain(5, 8)), Some(vec![8]));
        assert_eq!(ends(manifest.chain(5, 5)), Some(vec![]));
        assert_eq!(ends(manifest.chain(10, 20)), Some(vec![20]));
        assert_eq!(ends(manifest.chain(3, 20)), None);
        manifest.segments.push(segment(21, 30));
        assert_eq!(ends(manifest.chain(5, 30)), None);
    }
}
