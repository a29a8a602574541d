//! Space on the log's disk: a floor to stop at, and a ballast to start again with.
//!
//! After a failed write RocksDB does not heal while it is open, and opening it again needs space
//! too (it turns the WAL into a table). So a file of ballast lies beside the log; a start that
//! finds the disk full deletes it first. And because a full disk is better met before a
//! transaction has a number than in the middle of a write, `is_low` tells when to refuse writes;
//! the leader of an ensemble ends instead, so that one with space can lead.
//!
//! Sizes, by what is free when the ballast is first made: from 1 GiB on, 64 MiB of ballast and a
//! floor of 32 MiB; from 128 MiB on, 32 and 16; below, 8 and 8. Java has no such guard.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const MIB: u64 = 1 << 20;

/// Watches the free space of the log's disk.
#[derive(Debug)]
pub struct Room {
    dir: PathBuf,
    ballast: u64,
    floor: u64,
    low: AtomicBool,
}

impl Room {
    /// To be called before the stores are opened: gives the ballast up if they need its space.
    pub(super) fn prepare(dir: &Path) -> Self {
        let path = dir.join("ballast");
        let held = fs::metadata(&path).map_or(0, |m| m.len());
        // A disk whose size cannot be told is taken for a large one.
        let free = free_bytes(dir).unwrap_or(u64::MAX);
        let (ballast, floor) = sizes(free.saturating_add(held));
        if held > 0 && free < floor + ballast {
            match fs::remove_file(&path) {
                Ok(()) => tracing::warn!(
                    "only {} MiB free in {}: the ballast file is given up to start",
                    free / MIB,
                    dir.display()
                ),
                Err(e) => tracing::warn!("cannot delete {}: {e}", path.display()),
            }
        }
        let low = AtomicBool::new(false);
        let dir = dir.to_path_buf();
        Self {
            dir,
            ballast,
            floor,
            low,
        }
    }

    /// To be called when the stores are open: takes ballast in again if there is space.
    pub(super) fn settle(&self) {
        let path = self.dir.join("ballast");
        if fs::metadata(&path).is_ok_and(|m| m.len() > 0) {
            self.check();
            return;
        }
        let free = free_bytes(&self.dir).unwrap_or(0);
        if free >= self.ballast + 2 * self.floor {
            if let Err(e) = make_ballast(&path, self.ballast) {
                tracing::warn!("no ballast file {}: {e}", path.display());
                let _ = fs::remove_file(&path);
            }
        } else {
            tracing::warn!(
                "only {} MiB free in {}: no ballast is kept; if the disk runs full, space has \
                 to be freed before the server starts again",
                free / MIB,
                self.dir.display()
            );
        }
        self.check();
    }

    /// Looks at the disk. Cheap (about a microsecond); call it every second or so.
    pub fn check(&self) {
        let Ok(free) = free_bytes(&self.dir) else {
            return;
        };
        let low = free < self.floor;
        if low != self.low.swap(low, Ordering::Relaxed) {
            let (free, floor) = (free / MIB, self.floor / MIB);
            let dir = self.dir.display();
            if low {
                tracing::error!("{free} MiB free in {dir}, below {floor}: writes are refused");
            } else {
                tracing::info!("{free} MiB free in {dir}: writes are taken again");
            }
        }
    }

    /// Whether new writes should be refused. One relaxed load.
    pub fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// Whether there is space for things that are only nice to have.
    pub(super) fn is_ample(&self) -> bool {
        free_bytes(&self.dir).is_ok_and(|free| free > 512 * MIB)
    }
}

fn sizes(free: u64) -> (u64, u64) {
    if free >= 1024 * MIB {
        (64 * MIB, 32 * MIB)
    } else if free >= 128 * MIB {
        (32 * MIB, 16 * MIB)
    } else {
        (8 * MIB, 8 * MIB)
    }
}

/// Whether there is no space to write a table.
pub(super) fn is_full(dir: &Path) -> bool {
    free_bytes(dir).is_ok_and(|free| free < 8 * MIB)
}

/// Bytes that this user can still write.
fn free_bytes(dir: &Path) -> io::Result<u64> {
    let path = CString::new(dir.as_os_str().as_bytes())?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a NUL; the struct is only read when the call has filled it.
    let stat = unsafe {
        if libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        stat.assume_init()
    };
    Ok(stat.f_bavail * stat.f_frsize)
}

/// Allocated, not sparse: a hole would not hold space.
fn make_ballast(path: &Path, len: u64) -> io::Result<()> {
    let file = File::create(path)?;
    let len = libc::off_t::try_from(len).map_err(io::Error::other)?;
    // SAFETY: a plain system call on an open descriptor.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn ballast_is_really_allocated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ballast");
        make_ballast(&path, MIB).unwrap();
        let meta = fs::metadata(&path).unwrap();
        assert_eq!(meta.len(), MIB);
        assert!(meta.blocks() * 512 >= MIB, "{} blocks", meta.blocks());
    }

    #[test]
    fn a_small_disk_gives_little() {
        assert_eq!(sizes(100 << 30), (64 * MIB, 32 * MIB));
        assert_eq!(sizes(200 * MIB), (32 * MIB, 16 * MIB));
        assert_eq!(sizes(0), (8 * MIB, 8 * MIB));
    }
}
