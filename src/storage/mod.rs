//! Storage: what durable means, and the public face of it.
//!
//! The tree in memory is the primary copy. Two stores make it durable: the **log** holds every
//! acknowledged transaction since the last checkpoint, synced before the acknowledgement; the
//! **state** holds the tree as of one exact zxid, the marker, brought up to date in the background.
//! A restart is: state, then the log after its marker. Rules that hold at every instant:
//!
//! - What `Log::append` returned `Ok` for survives a power failure (with `force_sync`, and while the log is eager).
//! - The state is never ahead of the log, and the log has no hole behind the state's marker.
//! - Lost or damaged data is an error that says so, never a shorter log or a partial tree.
//! - A tree from elsewhere replaces both stores at once, or not at all: see `install`.
//! - After a failed write nothing is written any more; the process stops and starts again.
//!
//! All calls block: they belong on threads of their own. The stores know no tree, no session and
//! no socket: to them a transaction is bytes with a zxid. Only `snapshot` knows the tree. Answers to Java's `FileTxnSnapLog`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

mod background;
mod batch;
mod epochs;
mod error;
mod figures;
pub mod group;
mod install;
pub mod java;
mod layout;
mod lock;
mod mark;
mod memory;
mod record;
mod room;
pub(crate) mod small;

/// What both stores want: as few threads, files and lines of text as RocksDB can do with.
macro_rules! quiet {
    ($options:ident) => {
        $options.set_log_level(LogLevel::Warn);
        $options.set_max_log_file_size(1 << 20);
        $options.set_keep_log_file_num(2);
        $options.set_stats_dump_period_sec(0);
        $options.set_stats_persist_period_sec(0);
        $options.set_manifest_preallocation_size(64 << 10);
        $options.set_max_manifest_file_size(4 << 20);
        $options.set_skip_stats_update_on_db_open(true);
        $options.set_table_cache_num_shard_bits(0);
    };
}
use quiet;

mod log;
pub mod snapshot;
mod state;
#[cfg(test)]
mod tests;
pub mod view;

pub use background::step_back;
pub use batch::CheckpointBatch;
pub use epochs::Epochs;
pub use error::{DirectoryKind, StorageError};
pub use figures::Figures;
pub use install::{Install, Places};
pub use layout::Importing;
pub use log::{Log, LogHandle, LogReader, Runs};
pub use memory::give_back;
pub use record::NodeRecord;
pub use room::Room;
use state::Pace;
pub use state::{Checkpoint, State};

/// Where and how to store.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    pub data_dir: PathBuf,
    pub data_log_dir: PathBuf,
    /// `forceSync`: sync before `append` returns. Off is unsafe.
    pub force_sync: bool,
    /// `zookeeper.datadir.autocreate`.
    pub autocreate: bool,
    /// `fsync.warningthresholdms`.
    pub fsync_warning_threshold_ms: u64,
    /// What one WAL and one memtable of the log take, and the unit in which the log is purged.
    pub log_file_bytes: usize,
    /// Fill the first WALs ahead (twice `log_file_bytes`), so that a fresh server syncs as quickly
    /// as an old one. Left out where space is short.
    pub warm_log: bool,
    pub replay: Replay,
    /// The directories may hold a Java server's files, which are taken over.
    pub beside_java: bool,
}

/// What becomes of the log behind the state's marker when a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// A server alone committed all that it logged.
    All,
    /// A member of an ensemble learns later what of it is committed. It stays in the log, to be read from the marker
    /// on, and out of the tree.
    None,
}

impl StorageConfig {
    /// Java's defaults for one directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            data_log_dir: data_dir.clone(),
            data_dir,
            force_sync: true,
            autocreate: true,
            fsync_warning_threshold_ms: 1000,
            log_file_bytes: 16 << 20,
            warm_log: true,
            replay: Replay::All,
            beside_java: false,
        }
    }
}

/// Takes what is read while opening. Calls come in this order: ACLs, sessions, nodes (parents
/// before children), the marker, then the transactions after it. An error stops the start.
pub trait Restore {
    fn acl(&mut self, id: u32, bytes: &[u8]) -> Result<(), String>;
    fn session(&mut self, id: i64, timeout_ms: i32);
    fn node(&mut self, path: &str, node: NodeRecord<'_>) -> Result<(), String>;
    fn marker(&mut self, zxid: i64);
    fn txn(&mut self, zxid: i64, bytes: &[u8]) -> Result<(), String>;
}

/// An open store. Log and state go to threads of their own; the directories stay locked until the
/// last of them is dropped.
pub struct Storage {
    pub log: Log,
    pub state: State,
    pub epochs: Epochs,
    pub room: Room,
    pub places: Places,
    pub opened: Opened,
}

/// What opening found, for the log line and the metrics.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    pub marker: i64,
    pub last_zxid: i64,
    pub replayed: u64,
    pub took: Duration,
}

impl Storage {
    pub fn split(self) -> (Log, State) {
        (self.log, self.state)
    }
}

/// Opens the store, or makes a new one, and hands its content to `into`.
pub fn open(config: &StorageConfig, into: &mut dyn Restore) -> Result<Storage, StorageError> {
    let begin = Instant::now();
    memory::tame_malloc();
    background::make_room();
    let layout = layout::prepare(config)?;
    let room = Room::prepare(&layout.log);
    if !config.force_sync {
        tracing::warn!("forceSync is off: acknowledged writes are lost when the machine fails");
    }
    let epochs = Epochs::open(&layout.state)?;
    let locks = Arc::new(layout.locks);
    let (log_dir, state_dir) = install::current(&layout.log, &layout.state)?;
    let mut log = Log::open(&log_dir, config, Arc::clone(&locks))?;
    let state = State::open(
        &state_dir,
        log.handle(),
        Arc::clone(&locks),
        Pace::Background,
    )?;
    let marker = state.durable_zxid();
    check_pair(&log_dir, &log.handle(), marker)?;

    state.restore(into)?;
    let replayed = match config.replay {
        Replay::All => replay(&log_dir, &log.handle(), &state, into)?,
        Replay::None => 0,
    };
    room.settle();
    if config.warm_log && room.is_ample() {
        log.warm();
    }
    memory::give_back();
    let opened = Opened {
        marker,
        last_zxid: log.last_zxid(),
        replayed,
        took: begin.elapsed(),
    };
    Ok(Storage {
        log,
        state,
        epochs,
        room,
        places: Places {
            log: layout.log,
            state: layout.state,
            config: config.clone(),
            locks,
        },
        opened,
    })
}

/// A state ahead of the log or a gap between them means that one of them is not what it was.
fn check_pair(dir: &Path, log: &LogHandle, marker: i64) -> Result<(), StorageError> {
    let (purged, last) = (log.purged_zxid(), log.last_zxid());
    let why = if last < marker {
        format!("the log ends at zxid 0x{last:x}, the state is already at 0x{marker:x}")
    } else if marker < purged {
        format!("the state is at zxid 0x{marker:x}, the log begins after 0x{purged:x}")
    } else {
        return Ok(());
    };
    Err(StorageError::Damaged {
        what: "the pair of log and state",
        place: dir.to_path_buf(),
        why,
        advice: error::ADVICE_PAIR,
    })
}

fn replay(
    dir: &Path,
    log: &LogHandle,
    state: &State,
    into: &mut dyn Restore,
) -> Result<u64, StorageError> {
    let (mut replayed, mut bytes) = (0, 0);
    let mut reader = log.read_from(state.durable_zxid() + 1);
    while let Some((zxid, txn)) = reader.next()? {
        into.txn(zxid, txn).map_err(|why| StorageError::Restore {
            place: dir.to_path_buf(),
            why: format!("transaction 0x{zxid:x}: {why}"),
        })?;
        replayed += 1;
        bytes += txn.len() as u64;
    }
    state.found_behind(bytes);
    Ok(replayed)
}

/// The directory of a store's own files; its name is durable before anything is written there.
fn store_dir(dir: &Path) -> Result<PathBuf, StorageError> {
    let dir = dir.join("db");
    if !dir.is_dir() {
        std::fs::create_dir(&dir)
            .and_then(|()| small::sync_parent(&dir))
            .map_err(|e| StorageError::io("creating", &dir, e))?;
    }
    Ok(dir)
}

/// Whether a store's directory holds nothing yet.
fn is_new_store(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return true;
    };
    !entries.flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.ends_with(".sst") || name.ends_with(".log") || name.starts_with("MANIFEST")
    })
}
