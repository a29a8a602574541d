//! A whole new tree from elsewhere takes the place of state and log, at once or not at all.
//!
//! ```text
//! <state>/generation        the number N of the stores in use; no such file: 0
//! <state>/N/db/             the state; for generation 0 it is <state>/db/
//! <log>/N/                  ack-mark purge-mark db/; for generation 0 all of it is in <log>/
//! ```
//! The new stores are written aside under the next number. Replacing the file `generation`, durably, switches both:
//! before it a crash leaves the old ones, after it the new ones, and the next start removes what is not in use. The
//! new log begins behind the snapshot: nothing of the old one can ever be sent as if it continued it
//! (ZOOKEEPER-2846). Answers to what `Learner` and `ZKDatabase` do with a snapshot from the leader.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::CheckpointBatch;
use super::error::{ADVICE_DAMAGED, StorageError};
use super::layout::Locks;
use super::log::Log;
use super::state::{Checkpoint, Pace, State};
use super::{StorageConfig, mark, small};

const GENERATION: &str = "generation";
/// What generation 0 has where the later ones have a directory.
const FIRST: [&str; 5] = ["db", "tables", "ack-mark", "ack-mark.tmp", "purge-mark"];

/// Where the stores of this server are; to be kept by whoever may have to replace them.
#[derive(Clone)]
pub struct Places {
    pub(super) log: PathBuf,
    pub(super) state: PathBuf,
    pub(super) config: StorageConfig,
    pub(super) locks: Arc<Locks>,
}

/// The directories of the stores in use, cleared of what is not.
pub(super) fn current(log: &Path, state: &Path) -> Result<(PathBuf, PathBuf), StorageError> {
    let generation = read(state)?;
    for root in [log, state] {
        if let Err(e) = remove_others(root, generation) {
            tracing::warn!(
                "cannot remove what is no longer in use in {}: {e}",
                root.display()
            );
        }
    }
    Ok((store(log, generation), store(state, generation)))
}

/// The same for who only reads.
pub(super) fn in_use(log: &Path, state: &Path) -> Result<(PathBuf, PathBuf), StorageError> {
    let generation = read(state)?;
    Ok((store(log, generation), store(state, generation)))
}

fn read(state: &Path) -> Result<u64, StorageError> {
    let path = state.join(GENERATION);
    let content = small::read(&path).map_err(|e| StorageError::io("reading", &path, e))?;
    let Some(content) = content else {
        return Ok(0);
    };
    let text = String::from_utf8_lossy(&content);
    text.trim().parse().map_err(|_| StorageError::Damaged {
        what: "the state",
        place: path,
        why: "the file that says which stores are in use holds no number".to_owned(),
        advice: ADVICE_DAMAGED,
    })
}

fn store(root: &Path, generation: u64) -> PathBuf {
    match generation {
        0 => root.to_path_buf(),
        n => root.join(n.to_string()),
    }
}

fn remove_others(root: &Path, generation: u64) -> std::io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_other = match name.parse::<u64>() {
            Ok(number) => number != generation,
            Err(_) => generation != 0 && FIRST.contains(&name),
        };
        if !is_other {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// New stores that are being written.
pub struct Install {
    places: Places,
    generation: u64,
    zxid: i64,
    /// Taken when they are put to use.
    stores: Option<(Log, State)>,
}

impl Places {
    /// Begins stores for a tree of this zxid. They take no effect before [`Install::switch`].
    pub fn begin_install(&self, zxid: i64) -> Result<Install, StorageError> {
        let in_use = read(&self.state)?;
        let generation = in_use + 1;
        let (log_dir, state_dir) = (store(&self.log, generation), store(&self.state, generation));
        for dir in [&log_dir, &state_dir] {
            // Of an install that was given up.
            let removed = match fs::remove_dir_all(dir) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            };
            removed
                .and_then(|()| fs::create_dir(dir))
                .and_then(|()| small::sync_parent(dir))
                .map_err(|e| StorageError::io("creating", dir, e))?;
        }
        // The log is complete behind this zxid, and nothing before it was ever there.
        mark::write_purged(&log_dir, zxid)?;
        mark::AckMark::create(&log_dir, zxid)?;
        let log = Log::open(&log_dir, &self.config, Arc::clone(&self.locks))?;
        let state = self.open_state(generation, &log, Pace::Fast)?;
        Ok(Install {
            places: self.clone(),
            generation,
            zxid,
            stores: Some((log, state)),
        })
    }

    fn open_state(&self, generation: u64, log: &Log, pace: Pace) -> Result<State, StorageError> {
        let locks = Arc::clone(&self.locks);
        State::open(&store(&self.state, generation), log.handle(), locks, pace)
    }
}

impl Install {
    pub fn zxid(&self) -> i64 {
        self.zxid
    }

    /// Begins the tree: all of it is one checkpoint.
    pub fn begin(&self) -> Result<Checkpoint<'_>, StorageError> {
        match &self.stores {
            Some((_, state)) => state.begin(self.zxid, 0),
            None => unreachable!("the stores are taken by `switch`, which takes `self`"),
        }
    }

    /// Appends a group behind the tree, to the new log; see `Log::append`.
    pub fn append(&mut self, last_zxid: i64, group: &[u8]) -> Result<(), StorageError> {
        match &mut self.stores {
            Some((log, _)) => log.append(last_zxid, group).map(drop),
            None => unreachable!("the stores are taken by `switch`, which takes `self`"),
        }
    }

    /// Puts the new stores to use, durably, and throws the old ones away: from here on `log` and `state`, and every
    /// handle of the log, are the new ones. Takes the log from its thread's hands, so nothing is appended meanwhile.
    /// After an error the next start finds either the old stores or the new ones: the process has to stop.
    pub fn switch(mut self, log: &mut Log, state: &State) -> Result<(), StorageError> {
        let Some((new_log, new_state)) = self.stores.take() else {
            unreachable!("the stores are taken here only");
        };
        new_state.write(CheckpointBatch::new(self.zxid))?;
        // From now on it has to leave the disk to the log.
        drop(new_state);
        let new_state = self
            .places
            .open_state(self.generation, &new_log, Pace::Background)?;
        let path = self.places.state.join(GENERATION);
        small::replace(&path, format!("{}\n", self.generation).as_bytes())
            .map_err(|e| StorageError::io("writing", &path, e))?;
        log.replace(new_log);
        state.replace(new_state);
        for root in [&self.places.log, &self.places.state] {
            if let Err(e) = remove_others(root, self.generation) {
                tracing::warn!("cannot remove the old store in {}: {e}", root.display());
            }
        }
        if self.places.config.warm_log {
            log.warm();
        }
        Ok(())
    }
}

impl Drop for Install {
    /// Given up: nothing of it stays.
    fn drop(&mut self) {
        if self.stores.take().is_some() {
            for root in [&self.places.log, &self.places.state] {
                let dir = store(root, self.generation);
                if let Err(e) = fs::remove_dir_all(&dir) {
                    tracing::warn!("cannot remove {}: {e}", dir.display());
                }
            }
        }
    }
}
