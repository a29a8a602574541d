//! Transactions out of `log.*` files, in order, every one of them.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::super::group;
use super::super::snapshot::Adler32;
use super::{JavaError, io, numbered};
use crate::ids::Zxid;

pub(super) const HEADER: [u8; 16] = *b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0";
/// Behind every entry.
pub(super) const END_OF_ENTRY: u8 = b'B';

/// Walks over the logs of a directory.
pub struct LogFiles {
    files: std::vec::IntoIter<PathBuf>,
    current: Option<OpenLog>,
    /// Transactions up to here are passed over.
    last: i64,
    entry_bytes_max: usize,
    /// Where a log ended without saying so: nothing but the end of all logs may follow.
    torn: Option<(PathBuf, u64)>,
}

struct OpenLog {
    path: PathBuf,
    reader: BufReader<File>,
    offset: u64,
}

impl LogFiles {
    /// Transactions after `zxid`, which is that of the snapshot before them.
    pub(super) fn after(dir: &Path, zxid: i64, entry_bytes_max: usize) -> Result<Self, JavaError> {
        let all = numbered(dir, "log")?;
        // The one that begins at or before what is wanted next, and those behind it.
        let first = all.iter().rposition(|(begins, _)| *begins <= zxid + 1);
        let files: Vec<PathBuf> = all
            .into_iter()
            .skip(first.unwrap_or(0))
            .map(|(_, path)| path)
            .collect();
        Ok(LogFiles {
            files: files.into_iter(),
            current: None,
            last: zxid,
            entry_bytes_max,
            torn: None,
        })
    }

    /// The next transaction with its zxid: header, record and digest, as they were logged.
    #[expect(clippy::should_implement_trait, reason = "an error ends it")]
    pub fn next(&mut self) -> Result<Option<(i64, Vec<u8>)>, JavaError> {
        loop {
            let Some(log) = &mut self.current else {
                let Some(path) = self.files.next() else {
                    return Ok(None);
                };
                self.current = OpenLog::open(path, self.files.len() == 0)?;
                continue;
            };
            let at = log.offset;
            let entry = match log.entry(self.entry_bytes_max)? {
                Entry::Whole(bytes) => bytes,
                Entry::End => {
                    self.current = None;
                    continue;
                }
                Entry::Torn => {
                    let path = log.path.clone();
                    tracing::warn!(
                        "{} ends in the middle of an entry at byte {at}: the server was cut off there",
                        path.display()
                    );
                    self.torn.get_or_insert((path, at));
                    self.current = None;
                    continue;
                }
            };
            let Some(zxid) = group::zxid_of(&entry) else {
                return Err(log.damaged(at, "the entry has no header".to_owned()));
            };
            if zxid <= self.last {
                // Before the snapshot; or logged twice, which some versions do.
                continue;
            }
            if !follows(self.last, zxid) {
                // What a torn entry held would have to be here.
                if let Some((path, offset)) = self.torn.take() {
                    let why = "an entry is torn, and later logs go on behind it".to_owned();
                    return Err(JavaError::Log { path, offset, why });
                }
                let path = log.path.clone();
                return Err(JavaError::Gap {
                    path,
                    after: self.last,
                    next: zxid,
                });
            }
            self.last = zxid;
            return Ok(Some((zxid, entry)));
        }
    }
}

/// Without a hole within an epoch; an epoch begins with its first transaction.
fn follows(last: i64, next: i64) -> bool {
    let (last, next) = (Zxid(last), Zxid(next));
    if next.epoch() == last.epoch() {
        next.0 == last.0 + 1
    } else {
        next.epoch() > last.epoch() && next.counter() == 1
    }
}

enum Entry {
    Whole(Vec<u8>),
    /// The rest is room that was made ahead, or there is none.
    End,
    Torn,
}

impl OpenLog {
    /// `None` for a last log in which nothing was written yet.
    fn open(path: PathBuf, is_last: bool) -> Result<Option<OpenLog>, JavaError> {
        let file = File::open(&path).map_err(io("opening", &path))?;
        let mut log = OpenLog {
            path,
            reader: BufReader::with_capacity(1 << 20, file),
            offset: 0,
        };
        let mut header = [0; HEADER.len()];
        let have = log.fill(&mut header)?;
        if have < HEADER.len() && is_last {
            return Ok(None);
        }
        if header[..8] != HEADER[..8] {
            return Err(log.damaged(0, "it does not begin as a log does".to_owned()));
        }
        Ok(Some(log))
    }

    fn entry(&mut self, bytes_max: usize) -> Result<Entry, JavaError> {
        let start = self.offset;
        let mut head = [0; 12];
        match self.fill(&mut head)? {
            0 => return Ok(Entry::End),
            12 => {}
            have if head[..have].iter().all(|byte| *byte == 0) => return Ok(Entry::End),
            _ => return Ok(Entry::Torn),
        }
        let sum = i64::from_be_bytes(*head.first_chunk().unwrap_or(&[0; 8]));
        let len = i32::from_be_bytes(*head.last_chunk().unwrap_or(&[0; 4]));
        if len == 0 {
            return Ok(Entry::End);
        }
        let len = match usize::try_from(len) {
            Ok(len) if len <= bytes_max => len,
            _ => return Err(self.damaged(start, format!("an entry of {len} bytes"))),
        };
        let mut bytes = Vec::new();
        let limited = Read::take(&mut self.reader, len as u64).read_to_end(&mut bytes);
        let have = limited.map_err(io("reading", &self.path))?;
        self.offset += have as u64;
        let mut end = [0];
        if have < len || self.fill(&mut end)? == 0 || end[0] != END_OF_ENTRY {
            return Ok(Entry::Torn);
        }
        if i64::from(Adler32::of(&bytes)) != sum {
            return Err(self.damaged(start, "the checksum of the entry is wrong".to_owned()));
        }
        Ok(Entry::Whole(bytes))
    }

    /// As much as there is.
    fn fill(&mut self, into: &mut [u8]) -> Result<usize, JavaError> {
        let mut have = 0;
        while have < into.len() {
            match self.reader.read(&mut into[have..]) {
                Ok(0) => break,
                Ok(more) => have += more,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(io("reading", &self.path)(e)),
            }
        }
        self.offset += have as u64;
        Ok(have)
    }

    fn damaged(&self, offset: u64, why: String) -> JavaError {
        let path = self.path.clone();
        JavaError::Log { path, offset, why }
    }
}
