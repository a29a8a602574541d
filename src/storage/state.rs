//! The state: the tree as of one exact zxid, brought up to date by what changed.
//!
//! One column family: ACL lists, sessions and nodes under a prefix each, and the marker, the zxid that
//! the content is exact for. A checkpoint writes sorted tables beside the store and hands them to it
//! in one atomic and durable step, so that its size costs no memory and a crash leaves the state at
//! the one marker or the other; the log has the rest. It is never ahead of the log, so TRUNC never
//! touches it.
//!
//! Keys are paths: parents sort first, and RocksDB stores only what differs from the key before.
//! Tables are merged many at a time: what changes here and there in a big tree is rewritten a few
//! times, not once for each level. One of the files that name RocksDB. Answers to Java's `FileSnap`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompactionStyle, DBCompressionType, ErrorKind,
    IngestExternalFileOptions, LogLevel, Options, ReadOptions, SstFileWriter,
    UniversalCompactOptions, properties,
};

use super::batch::{ACL, CheckpointBatch, MARKER, NODE, SESSION};
use super::error::{ADVICE_DAMAGED, StorageError};
use super::figures::Figures;
use super::layout::Locks;
use super::log::LogHandle;
use super::record::NodeRecord;
use super::{Restore, memory, room};

/// Compactions beside a log that wants its syncs quick.
const BYTES_PER_SECOND: i64 = 40 << 20;
/// Tables that are merged at once.
const MERGED_TABLES: i32 = 12;
/// Tables that wait to be merged before checkpoints have to wait, too.
const WAITING_TABLES_MAX: u64 = 96;

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
    poisoned: AtomicBool,
    progress: Mutex<Progress>,
    _locks: Arc<Locks>,
}

struct Store {
    db: DB,
    options: Options,
    dir: PathBuf,
    /// Where tables are until the store takes them over.
    tables_dir: PathBuf,
    /// How many stores this process had before.
    installs: u64,
}

struct Progress {
    /// The marker that the store has.
    marker: i64,
    /// What the log had taken when the checkpoint of that marker began.
    log_bytes: u64,
    /// Log behind the marker that was there already when the store was opened.
    found_bytes: u64,
    log_bytes_at_tick: u64,
}

impl State {
    pub(super) fn open(
        dir: &Path,
        log: LogHandle,
        locks: Arc<Locks>,
        pace: Pace,
    ) -> Result<Self, StorageError> {
        let db_dir = super::store_dir(dir)?;
        let options = options(&db_dir, pace);
        let db = DB::open(&options, &db_dir).map_err(|e| open_failed(&db_dir, &e))?;
        let marker = read_marker(&db, &db_dir)?;
        log.state_reached(marker);
        let tables_dir = dir.join("tables");
        empty_dir(&tables_dir).map_err(|e| StorageError::io("emptying", &tables_dir, e))?;
        let progress = Progress {
            marker,
            log_bytes: 0,
            found_bytes: 0,
            log_bytes_at_tick: 0,
        };
        let store = Store {
            db,
            options,
            dir: db_dir,
            tables_dir,
            installs: 0,
        };
        Ok(Self {
            store: RwLock::new(store),
            log,
            poisoned: AtomicBool::new(false),
            progress: Mutex::new(progress),
            _locks: locks,
        })
    }

    /// The zxid that the state on disk is exact for. The log up to here may go.
    pub fn durable_zxid(&self) -> i64 {
        self.progress.lock().marker
    }

    pub fn figures(&self) -> Figures {
        Figures::of(&self.store.read().db)
    }

    /// What a restart would have to replay.
    pub fn log_bytes_behind(&self) -> u64 {
        let progress = self.progress.lock();
        self.log.appended_bytes() - progress.log_bytes + progress.found_bytes
    }

    /// A start that is cut short again and again must not replay more each time.
    pub(super) fn found_behind(&self, bytes: u64) {
        self.progress.lock().found_bytes = bytes;
    }

    /// Tables come faster than they are merged: the next checkpoint should wait.
    pub fn is_behind(&self) -> bool {
        self.waiting_tables() > WAITING_TABLES_MAX
    }

    /// Tables that overlap others, and are to be merged with them.
    pub fn waiting_tables(&self) -> u64 {
        let tables = properties::num_files_at_level(0);
        self.store.read().int_property(&tables)
    }

    /// Begins the checkpoint that brings the state to `zxid`, which must be committed and synced in
    /// the log. For one background thread. `installs` tells how many trees were replaced before the
    /// one that it is of: of a tree that was replaced meanwhile nothing is written.
    pub fn begin(&self, zxid: i64, installs: u64) -> Result<Checkpoint<'_>, StorageError> {
        self.check_poison()?;
        let store = self.store.read();
        if store.installs == installs {
            self.guard(store.check_merges())?;
            let marker = self.durable_zxid();
            assert!(
                zxid >= marker && zxid <= self.log.last_zxid(),
                "a checkpoint of 0x{zxid:x} between 0x{marker:x} and the log's 0x{:x}",
                self.log.last_zxid()
            );
            self.log.state_reached(zxid);
        }
        Ok(Checkpoint {
            state: self,
            zxid,
            installs,
            log_bytes: self.log.appended_bytes(),
            tables: Vec::new(),
        })
    }

    /// A checkpoint of a single batch. Returns whether it was written.
    pub fn write(&self, mut batch: CheckpointBatch) -> Result<bool, StorageError> {
        let mut checkpoint = self.begin(batch.zxid(), batch.installs())?;
        checkpoint.put(&mut batch)?;
        checkpoint.finish()
    }

    /// Another store takes the place of this one. Checkpoints of the old tree find that out.
    pub(super) fn replace(&self, other: State) {
        let mut store = self.store.write();
        let installs = store.installs + 1;
        *store = other.store.into_inner();
        store.installs = installs;
        let mut progress = self.progress.lock();
        *progress = other.progress.into_inner();
        progress.log_bytes = self.log.appended_bytes();
        progress.log_bytes_at_tick = progress.log_bytes;
    }

    /// To be called every few seconds when nothing is written, so that an idle server gives memory and
    /// disk back. Returns whether the log should be purged.
    pub fn tidy_if_idle(&self) -> Result<bool, StorageError> {
        let idle = {
            let mut progress = self.progress.lock();
            let appended = self.log.appended_bytes();
            let was = std::mem::replace(&mut progress.log_bytes_at_tick, appended);
            was == appended && progress.marker == self.log.last_zxid()
        };
        let tidied = idle && self.log.tidy()?;
        if tidied {
            memory::give_back();
        }
        Ok(tidied)
    }

    /// Hands everything to `into`: ACLs, sessions, nodes (parents first), then the marker.
    pub(super) fn restore(&self, into: &mut dyn Restore) -> Result<(), StorageError> {
        let store = self.store.read();
        restore((&store.db, &store.dir), self.durable_zxid(), into)
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

/// The state of a process that may be another one: read only.
pub(super) struct StateView {
    db: DB,
    dir: PathBuf,
    marker: i64,
}

impl StateView {
    /// Opens every table at once: they stay readable when the writer takes them away.
    pub(super) fn open(dir: &Path) -> Result<StateView, StorageError> {
        let dir = dir.join("db");
        let mut options = options(&dir, Pace::Fast);
        options.create_if_missing(false);
        options.set_max_open_files(-1);
        let db =
            DB::open_for_read_only(&options, &dir, false).map_err(|e| open_failed(&dir, &e))?;
        let marker = read_marker(&db, &dir)?;
        Ok(StateView { db, dir, marker })
    }

    pub(super) fn marker(&self) -> i64 {
        self.marker
    }

    pub(super) fn restore(&self, into: &mut dyn Restore) -> Result<(), StorageError> {
        restore((&self.db, &self.dir), self.marker, into)
    }
}

fn read_marker(db: &DB, dir: &Path) -> Result<i64, StorageError> {
    match db.get(MARKER) {
        Ok(None) => Ok(0),
        Ok(Some(bytes)) => match bytes.try_into() {
            Ok(bytes) => Ok(i64::from_be_bytes(bytes)),
            Err(_) => Err(damaged(dir, "its marker is malformed".to_owned())),
        },
        Err(e) => Err(open_failed(dir, &e)),
    }
}

fn restore(
    (db, dir): (&DB, &Path),
    marker: i64,
    into: &mut dyn Restore,
) -> Result<(), StorageError> {
    let mut read = ReadOptions::default();
    read.fill_cache(false);
    // For each of the tables that overlap.
    read.set_readahead_size(1 << 20);
    let mut iter = db.raw_iterator_opt(read);
    iter.seek([ACL]);
    while let Some((key, value)) = iter.item() {
        restore_one(dir, key, value, into)?;
        iter.next();
    }
    // Without this a damaged block would end the scan as if it were the end of the tree.
    iter.status()
        .map_err(|e| failed("reading the state", dir, &e))?;
    into.marker(marker);
    Ok(())
}

fn restore_one(
    dir: &Path,
    key: &[u8],
    value: &[u8],
    into: &mut dyn Restore,
) -> Result<(), StorageError> {
    let refused = |why| StorageError::Restore {
        place: dir.to_path_buf(),
        why,
    };
    match key.split_first() {
        Some((&NODE, path)) => {
            let path = std::str::from_utf8(path).ok();
            let (Some(path), Some(node)) = (path, NodeRecord::decode(value)) else {
                return Err(damaged(dir, "a node is malformed".to_owned()));
            };
            into.node(path, node).map_err(refused)
        }
        Some((&SESSION, id)) => {
            let (Ok(id), Ok(timeout)) = (id.try_into(), value.try_into()) else {
                return Err(damaged(dir, "a session is malformed".to_owned()));
            };
            into.session(i64::from_be_bytes(id), i32::from_be_bytes(timeout));
            Ok(())
        }
        Some((&ACL, id)) => match id.try_into() {
            Ok(id) => into.acl(u32::from_be_bytes(id), value).map_err(refused),
            Err(_) => Err(damaged(dir, "an ACL list is malformed".to_owned())),
        },
        _ => Err(damaged(dir, "it has a key of an unknown kind".to_owned())),
    }
}

impl Store {
    /// A merge that failed leaves tables that nobody will ever merge.
    fn check_merges(&self) -> Result<(), StorageError> {
        if self.int_property(properties::BACKGROUND_ERRORS) == 0 {
            return Ok(());
        }
        let (place, why) = (self.dir.clone(), "its tables are not merged".to_owned());
        if room::is_full(&place) {
            return Err(StorageError::NoSpace { place, why });
        }
        let doing = "writing the state";
        Err(StorageError::Io { doing, place, why })
    }

    fn int_property(&self, name: &rocksdb::properties::PropName) -> u64 {
        let value = self.db.property_int_value(name);
        value.ok().flatten().unwrap_or(0)
    }
}

/// A checkpoint that is being written. Dropped before its end it has changed nothing.
pub struct Checkpoint<'a> {
    state: &'a State,
    zxid: i64,
    installs: u64,
    log_bytes: u64,
    tables: Vec<PathBuf>,
}

impl Checkpoint<'_> {
    /// Writes a part and empties the batch. What a later part says of a key counts. Parts that do not overlap are never
    /// merged.
    pub fn put(&mut self, batch: &mut CheckpointBatch) -> Result<(), StorageError> {
        let state = self.state;
        state.check_poison()?;
        assert_eq!(batch.zxid(), self.zxid, "a batch of another checkpoint");
        let store = state.store.read();
        if store.installs == self.installs {
            batch.sort();
            let table = store.tables_dir.join(format!("{}", self.tables.len()));
            let is_first = self.tables.is_empty();
            let written = write_table(batch, is_first, &store.options, &table);
            state.guard(
                written.map_err(|e| failed("writing a table of the state", &store.dir, &e)),
            )?;
            self.tables.push(table);
        }
        batch.clear();
        Ok(())
    }

    /// Makes the state what was written, at once and durably. Returns `false` if the tree was
    /// replaced meanwhile.
    pub fn finish(mut self) -> Result<bool, StorageError> {
        if self.tables.is_empty() {
            self.put(&mut CheckpointBatch::new(self.zxid))?;
        }
        let state = self.state;
        let store = state.store.read();
        if store.installs != self.installs {
            return Ok(false);
        }
        if !state.log.is_eager() {
            // Else a power failure could leave the state ahead of the log.
            state.log.sync()?;
        }
        let mut ingest = IngestExternalFileOptions::default();
        ingest.set_move_files(true);
        let tables = self.tables.clone();
        let taken = store.db.ingest_external_file_opts(&ingest, tables);
        state.guard(taken.map_err(|e| failed("adding to the state", &store.dir, &e)))?;
        let mut progress = state.progress.lock();
        progress.marker = self.zxid;
        progress.log_bytes = self.log_bytes;
        progress.found_bytes = 0;
        Ok(true)
    }
}

impl Drop for Checkpoint<'_> {
    fn drop(&mut self) {
        for table in &self.tables {
            // The store has moved it; or nobody needs it, and the next start empties the directory.
            let _ = std::fs::remove_file(table);
        }
    }
}

fn write_table(
    batch: &CheckpointBatch,
    with_marker: bool,
    options: &Options,
    table: &Path,
) -> Result<(), rocksdb::Error> {
    let mut writer = SstFileWriter::create(options);
    writer.open(table)?;
    if with_marker {
        writer.put(MARKER, batch.zxid().to_be_bytes())?;
    }
    for (key, value) in batch.changes() {
        match value {
            Some(value) => writer.put(key, value)?,
            None => writer.delete(key)?,
        }
    }
    writer.finish()
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

    // Few merges of many tables, all of them when as much came as there was.
    let mut merge = UniversalCompactOptions::default();
    merge.set_max_size_amplification_percent(100);

    let mut options = Options::default();
    options.create_if_missing(super::is_new_store(dir));
    options.set_paranoid_checks(true);
    // Tables come ready made.
    options.set_write_buffer_size(64 << 10);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_block_based_table_factory(&table);
    options.set_compaction_style(DBCompactionStyle::Universal);
    options.set_universal_compaction_options(&merge);
    options.set_level_zero_file_num_compaction_trigger(MERGED_TABLES);
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

fn empty_dir(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => std::fs::create_dir(dir),
    }
}
