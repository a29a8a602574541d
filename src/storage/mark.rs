//! Two facts about the log that the log itself cannot tell after damage.
//!
//! The **ack mark** is a lower bound of the last acknowledged zxid, overwritten in place and not
//! synced after each group: a log that ends below it has lost what clients were promised. A WAL
//! with recycling reads up to the first bad record and takes the rest for old bytes, so without
//! the mark a flipped bit would be silent loss. The **purge mark** is the zxid up to which the log
//! was thrown away: a state below it cannot be completed from this log.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::{ADVICE_DAMAGED, StorageError};
use super::small;

const LEN: usize = 16;
const MAGIC: &[u8; 4] = b"FKzx";

/// The file `ack-mark`.
#[derive(Debug)]
pub(super) struct AckMark {
    path: PathBuf,
    file: File,
}

impl AckMark {
    /// Writes the first mark of a new log, durably.
    pub(super) fn create(dir: &Path, zxid: i64) -> Result<(), StorageError> {
        write_durably(&dir.join("ack-mark"), zxid)
    }

    /// Opens the mark and reads it.
    pub(super) fn open(dir: &Path) -> Result<(Self, i64), StorageError> {
        let path = dir.join("ack-mark");
        let Some(zxid) = read(&path)? else {
            return Err(StorageError::Damaged {
                what: "the log",
                place: path,
                why: "the file that holds the last acknowledged zxid is missing".to_owned(),
                advice: ADVICE_DAMAGED,
            });
        };
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(|e| StorageError::io("opening", &path, e))?;
        Ok((Self { path, file }, zxid))
    }

    /// Not synced on purpose: the log is. One write within a sector is not torn.
    pub(super) fn advance(&self, zxid: i64) -> Result<(), StorageError> {
        self.file
            .write_all_at(&encode(zxid), 0)
            .map_err(|e| StorageError::io("writing", &self.path, e))
    }

    /// Lowers the mark before the log is cut, durably, so that the cut log is not taken for a
    /// damaged one.
    pub(super) fn lower(&self, zxid: i64) -> Result<(), StorageError> {
        self.advance(zxid)?;
        self.file
            .sync_data()
            .map_err(|e| StorageError::io("syncing", &self.path, e))
    }
}

/// Reads the purge mark; 0 if nothing was ever purged.
pub(super) fn read_purged(dir: &Path) -> Result<i64, StorageError> {
    Ok(read(&dir.join("purge-mark"))?.unwrap_or(0))
}

/// To be called before the purge.
pub(super) fn write_purged(dir: &Path, zxid: i64) -> Result<(), StorageError> {
    write_durably(&dir.join("purge-mark"), zxid)
}

/// A mark that may be old, torn or missing.
pub(super) fn read_hint(path: &Path) -> Option<i64> {
    decode(&small::read(path).ok()??)
}

/// Overwritten in place, and not synced.
pub(super) fn write_hint(path: &Path, zxid: i64) -> std::io::Result<()> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    file.write_all_at(&encode(zxid), 0)
}

fn write_durably(path: &Path, zxid: i64) -> Result<(), StorageError> {
    small::replace(path, &encode(zxid)).map_err(|e| StorageError::io("writing", path, e))
}

fn read(path: &Path) -> Result<Option<i64>, StorageError> {
    let content = small::read(path).map_err(|e| StorageError::io("reading", path, e))?;
    let Some(content) = content else {
        return Ok(None);
    };
    match decode(&content) {
        Some(zxid) => Ok(Some(zxid)),
        None => Err(StorageError::Damaged {
            what: "the log",
            place: path.to_path_buf(),
            why: "the checksum of the file is wrong".to_owned(),
            advice: ADVICE_DAMAGED,
        }),
    }
}

fn encode(zxid: i64) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..4].copy_from_slice(MAGIC);
    bytes[4..12].copy_from_slice(&zxid.to_be_bytes());
    let sum = crc32fast::hash(&bytes[..12]);
    bytes[12..].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<i64> {
    let bytes: &[u8; LEN] = bytes.try_into().ok()?;
    let (body, sum) = bytes.split_at(12);
    let good = body.starts_with(MAGIC) && crc32fast::hash(body).to_be_bytes() == sum;
    let zxid = i64::from_be_bytes(body[4..].try_into().ok()?);
    (good && zxid >= 0).then_some(zxid)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_mark_is_read_again_and_every_flipped_bit_is_seen() {
        let good = encode(0x1_0000_0007);
        assert_eq!(decode(&good), Some(0x1_0000_0007));
        for bit in 0..LEN * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad), None, "bit {bit}");
        }
        assert_eq!(decode(&good[..15]), None);
    }
}
