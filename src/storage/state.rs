//! The state: the tree as of one exact zxid, brought up to date by what changed.
//!
//! One column family, so that one flush is atomic: ACL lists, sessions and nodes under a prefix
//! each, and the marker, the zxid that the content is exact for, in the same batch as every change.
//! WAL off: after a crash the state is at the marker of the last flush, and the log has the rest.
//! It is never ahead of the log, so TRUNC never touches it.
//!
//! Keys are paths: parents sort first, and RocksDB stores only what differs from the key before.
//! One of the two files that name RocksDB. Answers to Java's `FileSnap`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, ErrorKind, LogLevel, Options, ReadOptions,
    WriteBatch, WriteOptions, properties,
};

use super::error::{ADVICE_DAMAGED, StorageError};
use super::layout::Locks;
use super::log::LogHandle;
use super::record::NodeRecord;
use super::{Restore, StorageConfig, memory, room};

/// Order matters: a restart reads ACLs, then sessions, then nodes.
const MARKER: &[u8] = &[0];
const ACL: u8 = 1;
const SESSION: u8 = 2;
const NODE: u8 = 3;

/// Written since the last flush; more would only cost memory.
const FLUSH_BYTES: usize = 16 << 20;
/// Log behind the durable marker: bounds what a restart replays.
const FLUSH_LOG_BYTES: u64 = 64 << 20;
/// Flushes and compactions beside a log that wants its syncs quick.
const BYTES_PER_SECOND: i64 = 40 << 20;

/// How much of the disk the state may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// The log's syncs come first.
    Background,
    /// Somebody waits for it, and nothing is appended meanwhile.
    Fast,
}

/// The tree on disk.
pub struct State {
    /// Replaced as a whole when a tree from elsewhere is installed; held while it is written to.
    store: RwLock<Store>,
    log: LogHandle,
    sync_log_first: bool,
    flush_every: Duration,
    poisoned: AtomicBool,
    progress: Mutex<Progress>,
    _locks: Arc<Locks>,
}

struct Store {
    db: DB,
    dir: PathBuf,
    /// How many stores this process had before.
    installs: u64,
}

struct Progress {
    /// The marker that the store has; in memory perhaps.
    written: i64,
    /// The marker that a finished flush has made durable.
    durable: i64,
    unflushed_bytes: usize,
    flushed_at: Instant,
    log_bytes_at_flush: u64,
    log_bytes_at_tick: u64,
}

impl State {
    pub(super) fn open(
        dir: &Path,
        config: &StorageConfig,
        log: LogHandle,
        locks: Arc<Locks>,
        pace: Pace,
    ) -> Result<Self, StorageError> {
        let db_dir = super::store_dir(dir)?;
        let db =
            DB::open(&options(&db_dir, pace), &db_dir).map_err(|e| open_failed(&db_dir, &e))?;
        let marker = match db.get(MARKER) {
            Ok(None) => 0,
            Ok(Some(bytes)) => match bytes.try_into() {
                Ok(bytes) => i64::from_be_bytes(bytes),
                Err(_) => return Err(damaged(&db_dir, "its marker is malformed".to_owned())),
            },
            Err(e) => return Err(open_failed(&db_dir, &e)),
        };
        log.state_reached(marker);
        let progress = Progress {
            written: marker,
            durable: marker,
            unflushed_bytes: 0,
            flushed_at: Instant::now(),
            log_bytes_at_flush: 0,
            log_bytes_at_tick: 0,
        };
        Ok(Self {
            store: RwLock::new(Store {
                db,
                dir: db_dir,
                installs: 0,
            }),
            log,
            sync_log_first: !config.force_sync,
            flush_every: config.flush_every,
            poisoned: AtomicBool::new(false),
            progress: Mutex::new(progress),
            _locks: locks,
        })
    }

    /// The zxid that the state on disk is exact for. The log up to here may go.
    pub fn durable_zxid(&self) -> i64 {
        self.progress.lock().durable
    }

    /// The zxid of the last batch that was written.
    pub fn written_zxid(&self) -> i64 {
        self.progress.lock().written
    }

    /// Writes one batch, and flushes if it is time. For one background thread; slow on purpose
    /// (the disk belongs to the log). Returns whether the durable marker moved.
    ///
    /// The batch must hold everything that changed between the last batch's zxid and its own, and
    /// its zxid must be committed and synced in the log. A batch of a tree that was replaced meanwhile is dropped.
    pub fn write(&self, batch: CheckpointBatch) -> Result<bool, StorageError> {
        self.check_poison()?;
        let store = self.store.read();
        if batch.installs != store.installs {
            return Ok(false);
        }
        let zxid = batch.zxid;
        assert!(
            zxid >= self.written_zxid() && zxid <= self.log.last_zxid(),
            "a checkpoint of 0x{zxid:x} between 0x{:x} and the log's 0x{:x}",
            self.written_zxid(),
            self.log.last_zxid()
        );
        if self.sync_log_first {
            // Else a power failure could leave the state ahead of the log.
            self.log.sync()?;
        }
        let bytes = batch.batch.size_in_bytes();
        self.guard(store.wait_for_room())?;
        self.log.state_reached(zxid);
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        let written = store.db.write_opt(batch.batch, &write);
        self.guard(written.map_err(|e| failed("writing the state", &store.dir, &e)))?;
        {
            let mut progress = self.progress.lock();
            progress.written = zxid;
            progress.unflushed_bytes += bytes;
        }
        if self.is_flush_due() {
            self.flush_store(&store)
        } else {
            Ok(false)
        }
    }

    /// To be called every few seconds when nothing is written, so that the last batch gets durable
    /// and an idle server gives memory and disk back. Returns whether the log should be purged.
    pub fn flush_if_due(&self) -> Result<bool, StorageError> {
        if self.is_flush_due() && self.flush()? {
            return Ok(true);
        }
        let idle = {
            let mut progress = self.progress.lock();
            let appended = self.log.appended_bytes();
            let was = std::mem::replace(&mut progress.log_bytes_at_tick, appended);
            was == appended && progress.durable == progress.written
        };
        let tidied = idle && self.log.tidy()?;
        if tidied {
            memory::give_back();
        }
        Ok(tidied)
    }

    fn is_flush_due(&self) -> bool {
        let progress = self.progress.lock();
        let log_bytes = self.log.appended_bytes() - progress.log_bytes_at_flush;
        progress.durable < progress.written
            && (progress.unflushed_bytes >= FLUSH_BYTES
                || progress.flushed_at.elapsed() >= self.flush_every
                || log_bytes >= FLUSH_LOG_BYTES)
    }

    /// Makes all that was written durable; for a clean stop, too. Returns whether the durable
    /// marker moved.
    pub fn flush(&self) -> Result<bool, StorageError> {
        self.check_poison()?;
        self.flush_store(&self.store.read())
    }

    fn flush_store(&self, store: &Store) -> Result<bool, StorageError> {
        let (marker, log_bytes) = {
            let progress = self.progress.lock();
            if progress.durable == progress.written {
                return Ok(false);
            }
            (progress.written, self.log.appended_bytes())
        };
        let flushed = store.db.flush();
        self.guard(flushed.map_err(|e| failed("flushing the state", &store.dir, &e)))?;
        let mut progress = self.progress.lock();
        progress.durable = progress.durable.max(marker);
        progress.unflushed_bytes = 0;
        progress.flushed_at = Instant::now();
        progress.log_bytes_at_flush = log_bytes;
        Ok(true)
    }

    /// Another store takes the place of this one. Batches for the old one find that out.
    pub(super) fn replace(&self, other: State) {
        let mut store = self.store.write();
        let installs = store.installs + 1;
        *store = other.store.into_inner();
        store.installs = installs;
        let mut progress = self.progress.lock();
        *progress = other.progress.into_inner();
        progress.log_bytes_at_flush = self.log.appended_bytes();
        progress.log_bytes_at_tick = progress.log_bytes_at_flush;
    }

    /// Hands everything to `into`: ACLs, sessions, nodes (parents first), then the marker.
    pub(super) fn restore(&self, into: &mut dyn Restore) -> Result<(), StorageError> {
        let store = self.store.read();
        let mut read = ReadOptions::default();
        read.fill_cache(false);
        read.set_readahead_size(4 << 20);
        let mut iter = store.db.raw_iterator_opt(read);
        iter.seek([ACL]);
        while let Some((key, value)) = iter.item() {
            store.restore_one(key, value, into)?;
            iter.next();
        }
        // Without this a damaged block would end the scan as if it were the end of the tree.
        iter.status()
            .map_err(|e| failed("reading the state", &store.dir, &e))?;
        into.marker(self.durable_zxid());
        Ok(())
    }

    fn guard<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if result.is_err() {
            self.poisoned.store(true, Ordering::Release);
        }
        result
    }

    fn check_poison(&self) -> Result<(), StorageError> {
        if self.poisoned.load(Ordering::Acquire) {
            let place = self.store.read().dir.clone();
            return Err(StorageError::Poisoned { place });
        }
        Ok(())
    }
}

impl Store {
    fn restore_one(
        &self,
        key: &[u8],
        value: &[u8],
        into: &mut dyn Restore,
    ) -> Result<(), StorageError> {
        let refused = |why| StorageError::Restore {
            place: self.dir.clone(),
            why,
        };
        match key.split_first() {
            Some((&NODE, path)) => {
                let path = std::str::from_utf8(path).ok();
                let (Some(path), Some(node)) = (path, NodeRecord::decode(value)) else {
                    return Err(damaged(&self.dir, "a node is malformed".to_owned()));
                };
                into.node(path, node).map_err(refused)
            }
            Some((&SESSION, id)) => {
                let (Ok(id), Ok(timeout)) = (id.try_into(), value.try_into()) else {
                    return Err(damaged(&self.dir, "a session is malformed".to_owned()));
                };
                into.session(i64::from_be_bytes(id), i32::from_be_bytes(timeout));
                Ok(())
            }
            Some((&ACL, id)) => match id.try_into() {
                Ok(id) => into.acl(u32::from_be_bytes(id), value).map_err(refused),
                Err(_) => Err(damaged(&self.dir, "an ACL list is malformed".to_owned())),
            },
            _ => Err(damaged(
                &self.dir,
                "it has a key of an unknown kind".to_owned(),
            )),
        }
    }

    /// With a flush that failed, RocksDB would let a write wait for ever.
    fn wait_for_room(&self) -> Result<(), StorageError> {
        let int = |name| self.db.property_int_value(name).ok().flatten().unwrap_or(0);
        loop {
            if int(properties::BACKGROUND_ERRORS) > 0 {
                let why = "it does not get its tables written".to_owned();
                let place = self.dir.clone();
                if room::is_full(&place) {
                    return Err(StorageError::NoSpace { place, why });
                }
                let doing = "writing the state";
                return Err(StorageError::Io { doing, place, why });
            }
            if int(properties::IS_WRITE_STOPPED) == 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What changed up to one zxid. Encodes straight into the store's own form.
pub struct CheckpointBatch {
    zxid: i64,
    installs: u64,
    batch: WriteBatch,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl CheckpointBatch {
    /// Begins the batch that brings the state to `zxid`.
    pub fn new(zxid: i64) -> Self {
        let mut batch = WriteBatch::default();
        batch.put(MARKER, zxid.to_be_bytes());
        let (key, value) = (Vec::new(), Vec::new());
        Self {
            zxid,
            installs: 0,
            batch,
            key,
            value,
        }
    }

    /// The same for a tree behind which `installs` others were replaced since the start.
    #[must_use]
    pub fn behind(mut self, installs: u64) -> Self {
        self.installs = installs;
        self
    }

    pub fn zxid(&self) -> i64 {
        self.zxid
    }

    /// Changes in this batch, the marker not counted.
    pub fn len(&self) -> usize {
        self.batch.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn put_node(&mut self, path: &str, node: &NodeRecord<'_>) {
        self.key.clear();
        self.key.push(NODE);
        self.key.extend_from_slice(path.as_bytes());
        self.value.clear();
        node.encode(&mut self.value);
        self.batch.put(&self.key, &self.value);
    }

    pub fn delete_node(&mut self, path: &str) {
        self.key.clear();
        self.key.push(NODE);
        self.key.extend_from_slice(path.as_bytes());
        self.batch.delete(&self.key);
    }

    pub fn put_session(&mut self, id: i64, timeout_ms: i32) {
        self.batch.put(session_key(id), timeout_ms.to_be_bytes());
    }

    pub fn delete_session(&mut self, id: i64) {
        self.batch.delete(session_key(id));
    }

    pub fn put_acl(&mut self, id: u32, bytes: &[u8]) {
        self.batch.put(acl_key(id), bytes);
    }

    pub fn delete_acl(&mut self, id: u32) {
        self.batch.delete(acl_key(id));
    }
}

fn session_key(id: i64) -> [u8; 9] {
    let mut key = [SESSION; 9];
    key[1..].copy_from_slice(&id.to_be_bytes());
    key
}

fn acl_key(id: u32) -> [u8; 5] {
    let mut key = [ACL; 5];
    key[1..].copy_from_slice(&id.to_be_bytes());
    key
}

fn damaged(place: &Path, why: String) -> StorageError {
    StorageError::Damaged {
        what: "the state",
        place: place.to_path_buf(),
        why,
        advice: ADVICE_DAMAGED,
    }
}

fn failed(doing: &'static str, dir: &Path, error: &rocksdb::Error) -> StorageError {
    let corrupt = error.kind() == ErrorKind::Corruption;
    StorageError::store(doing, "the state", dir, corrupt, error.to_string())
}

/// While opening, a file that is not there is damage, not an I/O error.
fn open_failed(dir: &Path, error: &rocksdb::Error) -> StorageError {
    let text = error.to_string();
    let corrupt = error.kind() != ErrorKind::IOError || text.contains("No such file");
    StorageError::store("opening the state", "the state", dir, corrupt, text)
}

fn options(dir: &Path, pace: Pace) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_size(16 << 10);
    table.set_block_cache(&Cache::new_lru_cache(1 << 20));
    table.set_format_version(6);

    let mut options = Options::default();
    options.create_if_missing(super::is_new_store(dir));
    options.set_paranoid_checks(true);
    // Twice what makes us flush: RocksDB should not begin a flush of its own in between.
    options.set_write_buffer_size(2 * FLUSH_BYTES);
    options.set_max_write_buffer_number(2);
    options.set_allow_concurrent_memtable_write(false);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_block_based_table_factory(&table);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_target_file_size_base(16 << 20);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(1 << 20);
    if pace == Pace::Background {
        options.set_ratelimiter(BYTES_PER_SECOND, 100_000, 10);
    }
    options.set_max_open_files(64);
    super::quiet!(options);
    options
}
