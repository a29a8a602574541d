//! What a member of an ensemble knows beside its history. acceptedEpoch and currentEpoch: a promise each, durable before
//! it is given. And how much of its log was committed when it last noted that: a hint, for a server that restarts
//! without a quorum.
//!
//! Two files of decimal text, as Java keeps them, in the directory of the state. They are apart
//! from the stores because a peer promises an epoch before it has any history of it. Answers to
//! the epoch files of Java's `QuorumPeer`.

use std::path::{Path, PathBuf};

use super::error::{ADVICE_DAMAGED, StorageError};
use super::{mark, small};

/// The two epochs of this server.
#[derive(Debug)]
pub struct Epochs {
    dir: PathBuf,
    accepted: Option<i64>,
    current: Option<i64>,
    committed: Option<i64>,
}

impl Epochs {
    /// Reads both files; a file that is not there is `None`, not zero.
    pub fn open(dir: &Path) -> Result<Self, StorageError> {
        let epochs = Self {
            dir: dir.to_path_buf(),
            accepted: read(&dir.join("acceptedEpoch"))?,
            current: read(&dir.join("currentEpoch"))?,
            committed: mark::read_hint(&dir.join(COMMITTED)),
        };
        if let (Some(accepted), Some(current)) = (epochs.accepted, epochs.current)
            && current > accepted
        {
            let dir = epochs.dir;
            return Err(StorageError::EpochsCrossed {
                dir,
                accepted,
                current,
            });
        }
        Ok(epochs)
    }

    pub fn accepted(&self) -> Option<i64> {
        self.accepted
    }

    pub fn current(&self) -> Option<i64> {
        self.current
    }

    /// So much was committed at least, if it was ever noted. What was committed once stays so.
    pub fn committed(&self) -> Option<i64> {
        self.committed
    }

    /// Not synced: losing it costs nothing. A server that has just started knows less than it did.
    pub fn note_committed(&mut self, zxid: i64) {
        if self.committed.unwrap_or(0) >= zxid {
            return;
        }
        self.committed = Some(zxid);
        if let Err(e) = mark::write_hint(&self.dir.join(COMMITTED), zxid) {
            tracing::warn!("cannot note what is committed: {e}");
        }
    }

    /// Durable when it returns.
    pub fn set_accepted(&mut self, epoch: i64) -> Result<(), StorageError> {
        write(&self.dir.join("acceptedEpoch"), epoch)?;
        self.accepted = Some(epoch);
        Ok(())
    }

    /// Durable when it returns.
    pub fn set_current(&mut self, epoch: i64) -> Result<(), StorageError> {
        write(&self.dir.join("currentEpoch"), epoch)?;
        self.current = Some(epoch);
        Ok(())
    }
}

const COMMITTED: &str = "commit-mark";

fn read(path: &Path) -> Result<Option<i64>, StorageError> {
    let content = small::read(path).map_err(|e| StorageError::io("reading", path, e))?;
    let Some(content) = content else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&content);
    match text.trim().parse() {
        Ok(epoch) if epoch >= 0 => Ok(Some(epoch)),
        _ => Err(StorageError::Damaged {
            what: "an epoch file",
            place: path.to_path_buf(),
            why: "it does not hold a decimal number".to_owned(),
            advice: ADVICE_DAMAGED,
        }),
    }
}

fn write(path: &Path, epoch: i64) -> Result<(), StorageError> {
    small::replace(path, epoch.to_string().as_bytes())
        .map_err(|e| StorageError::io("writing", path, e))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_set_is_read_again_and_missing_is_not_zero() {
        let dir = tempfile::tempdir().unwrap();
        let mut epochs = Epochs::open(dir.path()).unwrap();
        assert_eq!((epochs.accepted(), epochs.current()), (None, None));
        epochs.set_accepted(7).unwrap();
        epochs.set_current(6).unwrap();
        let again = Epochs::open(dir.path()).unwrap();
        assert_eq!((again.accepted(), again.current()), (Some(7), Some(6)));
    }

    #[test]
    fn what_was_committed_is_a_hint_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut epochs = Epochs::open(dir.path()).unwrap();
        assert_eq!(epochs.committed(), None);
        epochs.note_committed(5);
        epochs.note_committed(7);
        let mut again = Epochs::open(dir.path()).unwrap();
        again.note_committed(6);
        assert_eq!(again.committed(), Some(7));
        assert_eq!(Epochs::open(dir.path()).unwrap().committed(), Some(7));
        std::fs::write(dir.path().join(COMMITTED), b"torn").unwrap();
        assert_eq!(Epochs::open(dir.path()).unwrap().committed(), None);
    }

    #[test]
    fn a_current_epoch_above_the_accepted_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut epochs = Epochs::open(dir.path()).unwrap();
        epochs.set_accepted(1).unwrap();
        epochs.set_current(2).unwrap();
        let error = Epochs::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("The accepted epoch, 1 is less than the current epoch, 2"),
            "{error}"
        );
    }

    #[test]
    fn garbage_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("currentEpoch"), b"\xffabc").unwrap();
        assert!(matches!(
            Epochs::open(dir.path()),
            Err(StorageError::Damaged { .. })
        ));
    }
}
