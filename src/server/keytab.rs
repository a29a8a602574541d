//! The keytab of the server, read again when its file changed: keys are replaced while it runs.
//!
//! Answers to the JDK's `javax.security.auth.kerberos.KeyTab`, which looks at the file in the same way. A file that
//! cannot be used any more leaves the keys as they were, and is told once.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::kerberos::accept::Keys;
use crate::kerberos::keytab::{KEYTAB_BYTES_MAX, Keytab, KeytabError};

pub struct KeytabFile {
    path: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    keytab: Arc<Keytab>,
    /// `None`: there is no file now.
    state: Option<FileState>,
}

/// What tells a changed file from the one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

#[derive(Debug, thiserror::Error)]
pub enum KeytabFileError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Keytab(#[from] KeytabError),
    #[error("it has more than {KEYTAB_BYTES_MAX} bytes")]
    TooLarge,
}

impl KeytabFile {
    pub fn open(path: &Path) -> Result<KeytabFile, KeytabFileError> {
        let state = state(path);
        Ok(KeytabFile {
            path: path.to_owned(),
            current: Mutex::new(Current {
                keytab: Arc::new(read(path)?),
                state,
            }),
        })
    }
}

impl Keys for KeytabFile {
    fn keytab(&self) -> Arc<Keytab> {
        // Before it is read: a change in between is seen the next time.
        let state = state(&self.path);
        let mut current = self.current.lock();
        if state != current.state {
            current.state = state;
            match read(&self.path) {
                Ok(keytab) => {
                    tracing::info!(
                        "{}: the keytab changed and was read again",
                        self.path.display()
                    );
                    current.keytab = Arc::new(keytab);
                }
                Err(e) => tracing::error!(
                    "{}: the keytab changed, and the keys from before are kept: {e}",
                    self.path.display()
                ),
            }
        }
        current.keytab.clone()
    }
}

fn state(path: &Path) -> Option<FileState> {
    let of = |file: Metadata| FileState {
        device: file.dev(),
        inode: file.ino(),
        bytes: file.len(),
        changed: (file.ctime(), file.ctime_nsec()),
    };
    fs::metadata(path).ok().map(of)
}

fn read(path: &Path) -> Result<Keytab, KeytabFileError> {
    let mut bytes = Vec::new();
    let limit = KEYTAB_BYTES_MAX as u64 + 1;
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    match bytes.len() > KEYTAB_BYTES_MAX {
        true => Err(KeytabFileError::TooLarge),
        false => Ok(Keytab::parse(&bytes)?),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Of `a@R`, with a key of these bytes.
    fn bytes(key: u8) -> Vec<u8> {
        let mut entry = vec![
            0, 1, 0, 1, b'R', 0, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 17, 0, 16,
        ];
        entry.extend([key; 16]);
        let mut file = vec![5, 2, 0, 0, 0, entry.len() as u8];
        file.extend(entry);
        file
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keytab");
        let replace = |content: &[u8]| {
            let next = directory.path().join("next");
            fs::write(&next, content).unwrap();
            fs::rename(&next, &path).unwrap();
        };
        assert!(KeytabFile::open(&path).is_err());
        replace(&bytes(1));
        let file = KeytabFile::open(&path).unwrap();
        let parsed = |key| Keytab::parse(&bytes(key)).unwrap();
        assert_eq!(*file.keytab(), parsed(1));
        replace(&bytes(2));
        assert_eq!(*file.keytab(), parsed(2));
        for damaged in [&b"no keytab"[..], &bytes(3)[..20]] {
            replace(damaged);
            assert_eq!(*file.keytab(), parsed(2));
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(*file.keytab(), parsed(2));
        replace(&bytes(4));
        assert_eq!(*file.keytab(), parsed(4));
    }
}
