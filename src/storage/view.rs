//! The stores as another process sees them: read only, with no lock, while a server writes them or while none does.
//!
//! A view is consistent: the state is exact at its marker, and the log has all that comes after. The state is opened
//! first; a log that was purged beyond its marker meanwhile makes it begin anew, and so does a file that the server
//! took away between two steps. What the server appended but did not sync yet may be in it: of a server alone that is
//! what a crash would leave, too; of a member it is for the caller to leave out what is not committed.

use std::path::Path;
use std::time::Duration;

use super::epochs::Epochs;
use super::layout;
use super::log::LogHandle;
use super::state::StateView;
use super::{Restore, StorageConfig, StorageError, install};

/// A server that purges and installs again and again would have to win this often.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

pub struct View {
    pub log: LogHandle,
    pub epochs: Epochs,
    state: StateView,
}

impl View {
    pub fn open(config: &StorageConfig) -> Result<View, StorageError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match attempt(config) {
                // No server will change that.
                Err(error @ (StorageError::Foreign { .. } | StorageError::NewerFormat { .. })) => {
                    return Err(error);
                }
                Err(_) if attempts < ATTEMPTS => std::thread::sleep(PAUSE),
                result => return result,
            }
        }
    }

    /// The zxid that the state is exact for.
    pub fn marker(&self) -> i64 {
        self.state.marker()
    }

    /// Hands the state to `into`, up to and with the marker; what is logged behind it is for the caller.
    pub fn restore(&self, into: &mut dyn Restore) -> Result<(), StorageError> {
        self.state.restore(into)
    }

    /// What is known to be committed of a member's log.
    pub fn committed(&self) -> i64 {
        self.epochs.committed().unwrap_or(0).max(self.marker())
    }
}

fn attempt(config: &StorageConfig) -> Result<View, StorageError> {
    let (log_root, state_root) = layout::find(config)?;
    let (log_dir, state_dir) = install::in_use(&log_root, &state_root)?;
    let state = StateView::open(&state_dir)?;
    let log = LogHandle::view(&log_dir, config)?;
    let epochs = Epochs::open(&state_root)?;
    super::check_pair(&log_dir, &log, state.marker())?;
    Ok(View { log, epochs, state })
}

/// Whether a directory has stores of this server at all.
pub fn is_there(data_dir: &Path) -> bool {
    data_dir
        .join("ferrokeeper")
        .join("state")
        .join("FORMAT")
        .exists()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::java::golden_txns;
    use super::super::{group, open};
    use super::*;

    #[derive(Default)]
    struct Nothing(i64);

    impl Restore for Nothing {
        fn acl(&mut self, _: u32, _: &[u8]) -> Result<(), String> {
            Ok(())
        }
        fn session(&mut self, _: i64, _: i32) {}
        fn node(&mut self, _: &str, _: super::super::NodeRecord<'_>) -> Result<(), String> {
            Ok(())
        }
        fn marker(&mut self, zxid: i64) {
            self.0 = zxid;
        }
        fn txn(&mut self, _: i64, _: &[u8]) -> Result<(), String> {
            Ok(())
        }
    }

    #[test]
    fn another_handle_sees_what_the_writer_appended_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let config = StorageConfig::new(dir.path());
        assert!(View::open(&config).is_err(), "there is nothing yet");
        let mut store = open(&config, &mut Nothing::default()).unwrap();
        let txns = golden_txns();
        let mut zxids = Vec::new();
        for (zxid, txn) in txns.iter().take(5) {
            let mut bytes = Vec::new();
            group::push(&mut bytes, txn);
            store.log.append(*zxid, &bytes).unwrap();
            zxids.push(*zxid);
        }
        for _ in 0..2 {
            let view = View::open(&config).unwrap();
            let mut nothing = Nothing(-1);
            view.restore(&mut nothing).unwrap();
            assert_eq!((nothing.0, view.marker()), (0, 0));
            let mut found = Vec::new();
            let mut reader = view.log.read_from(0);
            while let Some((zxid, _)) = reader.next().unwrap() {
                found.push(zxid);
            }
            assert_eq!(found, zxids);
        }
        // The writer goes on, and so does a new view.
        let (zxid, txn) = &txns[5];
        let mut bytes = Vec::new();
        group::push(&mut bytes, txn);
        store.log.append(*zxid, &bytes).unwrap();
        assert_eq!(View::open(&config).unwrap().log.last_zxid(), *zxid);
    }
}
