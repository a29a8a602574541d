//! One process per directory.
//!
//! An advisory lock (flock) on a file `LOCK` that also names the holder. It goes with the process,
//! however that ends, so a stale file is never in the way. Java takes no lock, and two servers on
//! one directory destroy it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::error::StorageError;

/// Held as long as it lives.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
}

impl DirectoryLock {
    /// Takes the lock of `dir`, or says who has it.
    pub fn take(dir: &Path) -> Result<Self, StorageError> {
        let path = dir.join("LOCK");
        let failed = |source| StorageError::io("taking the lock", &path, source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The holder may be between taking the lock and writing its number.
                let read = file.take(64).read_to_string(&mut text);
                let holder = match read {
                    Ok(_) if !text.trim().is_empty() => format!("pid {}", text.trim()),
                    _ => "pid unknown".to_owned(),
                };
                let dir = dir.to_path_buf();
                return Err(StorageError::InUse { dir, holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // The number only serves the message above: a full disk must not keep the server down.
        let _ = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        Ok(Self { file })
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing is not enough: a program that another thread is starting has a copy of the descriptor for a moment.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_ends_with_its_holder_though_somebody_has_a_copy_of_the_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::take(dir.path()).unwrap();
        let copy = lock.file.try_clone().unwrap();
        assert!(matches!(
            DirectoryLock::take(dir.path()),
            Err(StorageError::InUse { .. })
        ));
        drop(lock);
        DirectoryLock::take(dir.path()).unwrap();
        drop(copy);
    }
}
