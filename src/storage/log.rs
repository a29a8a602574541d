//! The log: what was acknowledged, one key for each group commit.
//!
//! Key = last zxid of the group (big-endian), value = the group. An append is one write and one
//! sync; when it returns, the group survives a power failure. Options are the measured ones:
//! recycled WAL files are overwritten in place, so that a sync changes no inode. That needs
//! point-in-time recovery, which drops everything behind a bad record without a word; the ack mark
//! and the tracked WALs turn that into an error.
//!
//! After the first failed write nothing is appended any more: RocksDB does not heal while it is
//! open, and what the disk holds is not known. One of the two files that name RocksDB. Answers to
//! Java's `FileTxnLog`.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, DBRecoveryMode, ErrorKind,
    LogLevel, Options, ReadOptions, WriteBatch, WriteOptions,
};

use super::StorageConfig;
use super::error::{ADVICE_DAMAGED, StorageError};
use super::figures::Figures;
use super::group::{self, Txns};
use super::layout::Locks;
use super::mark::{self, AckMark};
use crate::ids::Zxid;

/// How long a write waits for flushes; the limit is for a disk that hangs.
const STALL_MAX: Duration = Duration::from_secs(60);
const STALL_STEP: Duration = Duration::from_millis(1);
/// What the log's tables may take of the disk, beside its appends; so appends cannot be faster for long.
const FLUSH_BYTES_PER_SECOND: i64 = 256 << 20;
/// In portions of that long, in microseconds.
const FLUSH_PACE_US: i64 = 10_000;
const KEY_MAX: [u8; 9] = [0xff; 9];

/// The end of the log that writes; there is one.
pub struct Log {
    shared: Arc<Shared>,
    write: WriteOptions,
    force_sync: bool,
    /// What is appended is durable when that is said: not with `forceSync=no`, and not while nobody is told.
    is_eager: bool,
    slow: Duration,
    warming: Option<JoinHandle<()>>,
}

/// The parts of the log that other threads may use: reading, purging, looking at figures.
#[derive(Clone)]
pub struct LogHandle {
    shared: Arc<Shared>,
}

struct Shared {
    /// Replaced as a whole when a tree from elsewhere is installed.
    store: RwLock<Arc<Store>>,
    poisoned: AtomicBool,
    last: AtomicI64,
    purged: AtomicI64,
    /// The state holds everything up to here: it cannot be cut off any more.
    in_state: AtomicI64,
    stopping: AtomicBool,
    appended_bytes: AtomicU64,
    slow_syncs: AtomicU64,
    /// As `Log::is_eager`.
    is_eager: AtomicBool,
    file_bytes: u64,
    #[cfg(test)]
    fail_next: AtomicBool,
    /// `None` for who only reads.
    _locks: Option<Arc<Locks>>,
}

struct Store {
    db: DB,
    dir: PathBuf,
    mark: AckMark,
}

impl Log {
    /// Opens the log in `dir` and checks that nothing acknowledged is missing.
    pub(super) fn open(
        dir: &Path,
        config: &StorageConfig,
        locks: Arc<Locks>,
    ) -> Result<Self, StorageError> {
        let (mark, acknowledged) = AckMark::open(dir)?;
        let purged = mark::read_purged(dir)?;
        let db_dir = super::store_dir(dir)?;
        let db = DB::open(&options(&db_dir, config.log_file_bytes), &db_dir)
            .map_err(|e| open_failed(&db_dir, &e))?;
        let last = check_end(&db, &db_dir, purged, acknowledged)?;
        let mut write = WriteOptions::default();
        write.set_sync(config.force_sync);
        // Stalls come back as an error, see `stalled`.
        write.set_no_slowdown(true);
        let dir = dir.to_path_buf();
        let store = Store { db, dir, mark };
        let shared = Shared::new(store, (purged, last), config, Some(locks));
        Ok(Self {
            shared,
            write,
            force_sync: config.force_sync,
            is_eager: config.force_sync,
            slow: Duration::from_millis(config.fsync_warning_threshold_ms),
            warming: None,
        })
    }

    /// Makes the first WALs as quick as the later ones, beside whatever else goes on.
    ///
    /// A sync is quick (62 us against 84 us here) when it overwrites blocks that the file already
    /// has, and that is so from the third WAL on, when recycling begins. So the first two are
    /// filled with nothing and retired at once: about a tenth of a second of background writing.
    pub(super) fn warm(&mut self) {
        let shared = Arc::clone(&self.shared);
        let work = move || {
            if let Err(e) = shared.warm() {
                tracing::warn!("the first syncs will be slower: {e}");
            }
        };
        let thread = std::thread::Builder::new().name("log-warm".to_owned());
        self.warming = thread.spawn(work).ok();
    }

    pub fn handle(&self) -> LogHandle {
        let shared = Arc::clone(&self.shared);
        LogHandle { shared }
    }

    pub fn last_zxid(&self) -> i64 {
        self.shared.last.load(Ordering::Acquire)
    }

    /// Appends one group and syncs it; see `group` for its bytes. Returns how long the disk took.
    ///
    /// Any error is final: the caller must not acknowledge the group and has to stop the process.
    pub fn append(&mut self, last_zxid: i64, group: &[u8]) -> Result<Duration, StorageError> {
        let shared = &*self.shared;
        assert!(
            group::is_valid(group, self.last_zxid(), last_zxid),
            "a group that ends with 0x{last_zxid:x} does not follow 0x{:x}",
            self.last_zxid()
        );
        shared.check_poison()?;
        let begin = Instant::now();
        let store = shared.store();
        shared.put(&store, last_zxid, group, &self.write)?;
        let took = begin.elapsed();
        if self.is_eager {
            shared.guard(store.mark.advance(last_zxid))?;
        }
        shared.last.store(last_zxid, Ordering::Release);
        let len = group.len() as u64;
        shared.appended_bytes.fetch_add(len, Ordering::Relaxed);
        if took > self.slow {
            self.warn_slow(took);
        }
        Ok(took)
    }

    /// Whether [`Log::append`] waits for the disk from now on: it need not for who promises nothing to anybody, as an
    /// observer. What was appended before is durable when this returns, if what comes is to be.
    pub fn set_eager(&mut self, is_eager: bool) -> Result<(), StorageError> {
        let is_eager = is_eager && self.force_sync;
        if is_eager == self.is_eager {
            return Ok(());
        }
        let shared = &*self.shared;
        if is_eager {
            self.handle().sync()?;
            shared.guard(shared.store().mark.advance(self.last_zxid()))?;
        }
        shared.is_eager.store(is_eager, Ordering::Release);
        self.write.set_sync(is_eager);
        self.is_eager = is_eager;
        Ok(())
    }

    /// Java's words: alert rules look for them. The missing blank is Java's, too.
    #[cold]
    fn warn_slow(&self, took: Duration) {
        self.shared.slow_syncs.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            "fsync-ing the write ahead log in {} took {}ms which will adversely effect operation \
             latency.File size is {} bytes. See the ZooKeeper troubleshooting guide",
            std::thread::current().name().unwrap_or("log"),
            took.as_millis(),
            self.shared.file_bytes,
        );
    }

    /// Cuts everything above `zxid`, within a group too. Durable when it returns. What the state
    /// holds was committed, so nobody may ask to cut that.
    pub fn truncate(&mut self, zxid: i64) -> Result<(), StorageError> {
        let shared = &*self.shared;
        shared.check_poison()?;
        let in_state = shared.in_state.load(Ordering::Acquire);
        assert!(
            zxid >= in_state,
            "0x{zxid:x} is below the state's 0x{in_state:x}"
        );
        if zxid >= self.last_zxid() {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        batch.delete_range(&key(zxid + 1)[..], &KEY_MAX[..]);
        let store = shared.store();
        let reader = shared.groups(zxid + 1);
        if let Some((_, cut)) = reader.current()? {
            let mut txns = Txns::new(cut);
            let mut kept = None;
            while let Some((at, _)) = txns.next().map_err(|_| store.malformed(zxid))? {
                if at > zxid {
                    break;
                }
                kept = Some((at, cut.len() - txns.rest_len()));
            }
            if let Some((last, len)) = kept {
                batch.put(key(last), &cut[..len]);
            }
        }
        drop(reader);
        shared.guard(store.mark.lower(zxid))?;
        let mut write = WriteOptions::default();
        write.set_sync(true);
        let cut = store.db.write_opt(batch, &write);
        shared.guard(cut.map_err(|e| failed("cutting the log", &store.dir, &e)))?;
        let purged = shared.purged.load(Ordering::Acquire);
        let last = last_key(&store.db, &store.dir)?.unwrap_or(0).max(purged);
        shared.last.store(last, Ordering::Release);
        Ok(())
    }

    /// Another log takes the place of this one, for every handle of it. What is read now is read to its end.
    pub(super) fn replace(&mut self, other: Log) {
        self.stop_warming();
        let (shared, other) = (&*self.shared, &*other.shared);
        *shared.store.write() = other.store();
        for (mine, others) in [
            (&shared.last, &other.last),
            (&shared.purged, &other.purged),
            (&shared.in_state, &other.in_state),
        ] {
            mine.store(others.load(Ordering::Acquire), Ordering::Release);
        }
    }

    fn stop_warming(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.warming.take() {
            // It only ever logs; there is nothing to learn from how it ended.
            let _ = thread.join();
        }
        self.shared.stopping.store(false, Ordering::Relaxed);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.stop_warming();
    }
}

impl LogHandle {
    /// The log of a process that may be another one: read only, as of now.
    pub(super) fn view(dir: &Path, config: &StorageConfig) -> Result<LogHandle, StorageError> {
        // Read first: the writer raises it behind each sync.
        let (mark, acknowledged) = AckMark::open(dir)?;
        let purged = mark::read_purged(dir)?;
        let db_dir = dir.join("db");
        let mut options = options(&db_dir, config.log_file_bytes);
        options.create_if_missing(false);
        // Tables stay readable when the writer takes them away.
        options.set_max_open_files(-1);
        let db = DB::open_for_read_only(&options, &db_dir, false)
            .map_err(|e| open_failed(&db_dir, &e))?;
        let last = check_end(&db, &db_dir, purged, acknowledged)?;
        // What was purged meanwhile may be missing already.
        let purged = mark::read_purged(dir)?.max(purged);
        let dir = dir.to_path_buf();
        let store = Store { db, dir, mark };
        let shared = Shared::new(store, (purged, last), config, None);
        Ok(LogHandle { shared })
    }

    /// The last zxid that `append` has returned for.
    pub fn last_zxid(&self) -> i64 {
        self.shared.last.load(Ordering::Acquire)
    }

    /// Everything up to here may be gone.
    pub fn purged_zxid(&self) -> i64 {
        self.shared.purged.load(Ordering::Acquire)
    }

    /// Bytes appended since the log was opened: what a restart would have to replay, if the caller
    /// subtracts what it was at the last durable checkpoint.
    pub fn appended_bytes(&self) -> u64 {
        self.shared.appended_bytes.load(Ordering::Relaxed)
    }

    pub fn figures(&self) -> Figures {
        Figures::of(&self.shared.store().db)
    }

    /// Syncs that took longer than `fsync.warningthresholdms`.
    pub fn slow_syncs(&self) -> u64 {
        self.shared.slow_syncs.load(Ordering::Relaxed)
    }

    /// Walks over the transactions from `zxid` on, as of now.
    pub fn read_from(&self, zxid: i64) -> LogReader<'_> {
        LogReader {
            from: zxid,
            position: 0,
            groups: self.shared.groups(zxid),
        }
    }

    /// What the log holds, as runs of contiguous zxids behind the zxid that it continues from. Within an epoch there
    /// is no hole and an epoch begins with its first zxid; should there be a hole, what is before it is left out.
    /// Reads the whole log: for the start and for tests.
    pub fn runs(&self) -> Result<Runs, StorageError> {
        let base = self.purged_zxid();
        let mut runs = Runs {
            base,
            runs: Vec::new(),
        };
        let mut reader = self.read_from(base + 1);
        while let Some((zxid, _)) = reader.next()? {
            runs.append(zxid);
        }
        Ok(runs)
    }

    /// Throws away whole files of the log whose transactions are all at or below `durable_zxid`
    /// (the state's durable marker), except the last `retain_txns` transactions before it.
    /// Returns whether anything was thrown away. For a background thread.
    ///
    /// Files only, no range deletes: a tombstone would overlap everything and make RocksDB rewrite
    /// what it otherwise moves. What stays of a file's lower part does no harm.
    pub fn purge(&self, durable_zxid: i64, retain_txns: u64) -> Result<bool, StorageError> {
        let shared = &*self.shared;
        shared.check_poison()?;
        let store = shared.store();
        let Some(up_to) = store.purge_end(durable_zxid, retain_txns)? else {
            return Ok(false);
        };
        let range = [rocksdb::Range::new(&[], &up_to)];
        // A purge costs two syncs of a small file.
        if store.db.get_approximate_sizes(&range).iter().sum::<u64>() < shared.file_bytes / 2 {
            return Ok(false);
        }
        let zxid = i64::from_be_bytes(up_to);
        mark::write_purged(&store.dir, zxid)?;
        shared.purged.store(zxid, Ordering::Release);
        let deleted = store.db.delete_file_in_range(&[][..], &up_to[..]);
        deleted.map_err(|e| failed("purging the log", &store.dir, &e))?;
        Ok(true)
    }

    pub(super) fn state_reached(&self, zxid: i64) {
        self.shared.in_state.fetch_max(zxid, Ordering::AcqRel);
    }

    /// For an idle log: writes its memtable to a table, which gives the memory back and lets a
    /// purge take all of it. Returns whether there was anything worth it.
    pub(super) fn tidy(&self) -> Result<bool, StorageError> {
        let shared = &*self.shared;
        shared.check_poison()?;
        let size = rocksdb::properties::CUR_SIZE_ACTIVE_MEM_TABLE;
        let store = shared.store();
        let size = store.db.property_int_value(size).ok().flatten();
        if size.unwrap_or(0) < shared.file_bytes / 16 {
            return Ok(false);
        }
        let flushed = store.db.flush();
        shared.guard(flushed.map_err(|e| failed("flushing the log", &store.dir, &e)))?;
        Ok(true)
    }

    /// Whether what was appended is durable without [`LogHandle::sync`].
    pub fn is_eager(&self) -> bool {
        self.shared.is_eager.load(Ordering::Acquire)
    }

    /// Makes everything that was appended durable; only needed where it is not yet.
    pub fn sync(&self) -> Result<(), StorageError> {
        let shared = &*self.shared;
        shared.check_poison()?;
        let store = shared.store();
        let synced = store.db.flush_wal(true);
        shared.guard(synced.map_err(|e| failed("syncing the log", &store.dir, &e)))
    }

    /// Waits until files have moved down to where a purge can take them.
    #[cfg(test)]
    pub(super) fn settle(&self) {
        let wait = rocksdb::WaitForCompactOptions::default();
        self.shared
            .store()
            .db
            .wait_for_compact(&wait)
            .expect("a healthy store");
    }

    #[cfg(test)]
    pub(super) fn fail_next_write(&self) {
        self.shared.fail_next.store(true, Ordering::Relaxed);
    }
}

/// See [`LogHandle::runs`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// The zxid that the log continues from.
    pub base: i64,
    /// First and last zxid of each run; at most one for an epoch.
    pub runs: Vec<(i64, i64)>,
}

impl Runs {
    fn append(&mut self, next: i64) {
        let last = self.runs.last().map_or(self.base, |(_, last)| *last);
        let next_epoch = Zxid(next).epoch() > Zxid(last).epoch();
        if next == last + 1 && !next_epoch {
            match self.runs.last_mut() {
                Some((_, last)) => *last = next,
                None => self.runs.push((next, next)),
            }
        } else if next_epoch && Zxid(next).counter() == 1 {
            self.runs.push((next, next));
        } else {
            self.base = next - 1;
            self.runs = vec![(next, next)];
        }
    }
}

impl Shared {
    fn new(
        store: Store,
        (purged, last): (i64, i64),
        config: &StorageConfig,
        locks: Option<Arc<Locks>>,
    ) -> Arc<Shared> {
        Arc::new(Shared {
            store: RwLock::new(Arc::new(store)),
            poisoned: AtomicBool::new(false),
            last: AtomicI64::new(last),
            purged: AtomicI64::new(purged),
            in_state: AtomicI64::new(0),
            stopping: AtomicBool::new(false),
            appended_bytes: AtomicU64::new(0),
            slow_syncs: AtomicU64::new(0),
            is_eager: AtomicBool::new(config.force_sync),
            file_bytes: config.log_file_bytes as u64,
            #[cfg(test)]
            fail_next: AtomicBool::new(false),
            _locks: locks,
        })
    }

    fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store.read())
    }

    fn put(
        &self,
        store: &Store,
        zxid: i64,
        group: &[u8],
        write: &WriteOptions,
    ) -> Result<(), StorageError> {
        #[cfg(test)]
        if self.fail_next.swap(false, Ordering::Relaxed) {
            let source = std::io::Error::from_raw_os_error(libc::EIO);
            return self.guard(Err(StorageError::io("appending", &store.dir, source)));
        }
        let mut waited = Duration::ZERO;
        loop {
            let put = store.db.put_opt(key(zxid), group, write);
            match put {
                Err(e) if e.kind() == ErrorKind::Incomplete => {
                    self.guard(store.stalled(&mut waited))?
                }
                put => {
                    return self
                        .guard(put.map_err(|e| failed("appending to the log", &store.dir, &e)));
                }
            }
        }
    }

    fn warm(&self) -> Result<(), rocksdb::Error> {
        const WALS: usize = 2;
        let store = self.store();
        let nothing = vec![0; 256 << 10];
        // A WAL is only retired with a memtable that is not empty. This key never had a value, and
        // no file with it overlaps another: it lies right above the last one.
        let last = self.last.load(Ordering::Acquire);
        let tombstone = [&key(last)[..], &[0]].concat();
        let mut write = WriteOptions::default();
        write.set_no_slowdown(true);
        for _ in 0..WALS {
            for _ in 0..self.file_bytes / nothing.len() as u64 {
                if self.stopping.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let mut batch = WriteBatch::default();
                batch.put_log_data(&nothing);
                batch.delete(&tombstone);
                store.db.write_opt(batch, &write)?;
            }
            store.db.flush()?;
        }
        Ok(())
    }

    /// Lets no write through after one that failed.
    fn guard<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if result.is_err() {
            self.poisoned.store(true, Ordering::Release);
        }
        result
    }

    fn check_poison(&self) -> Result<(), StorageError> {
        if self.poisoned.load(Ordering::Acquire) {
            let place = self.store().dir.clone();
            return Err(StorageError::Poisoned { place });
        }
        Ok(())
    }

    fn groups(&self, zxid: i64) -> Groups<'_> {
        let mut read = ReadOptions::default();
        read.fill_cache(false);
        read.set_readahead_size(1 << 20);
        let store = self.store();
        let mut iter = store.db.raw_iterator_opt(read);
        iter.seek(key(zxid.max(0)));
        // SAFETY: the iterator borrows from the database, which `Groups` keeps: fields are dropped in their order, the
        // iterator first, and the database does not move with its `Arc`.
        let iter =
            unsafe { std::mem::transmute::<DBRawIterator<'_>, DBRawIterator<'static>>(iter) };
        Groups {
            iter,
            store,
            _log: PhantomData,
        }
    }
}

impl Store {
    /// RocksDB would not take the write now, and took nothing of it. Either flushes are behind,
    /// then waiting helps; or one failed, then RocksDB itself would wait for ever.
    #[cold]
    fn stalled(&self, waited: &mut Duration) -> Result<(), StorageError> {
        let failed = self
            .db
            .property_int_value(rocksdb::properties::BACKGROUND_ERRORS);
        if !matches!(failed, Ok(Some(0))) || *waited > STALL_MAX {
            let why = format!("it does not get its tables written (waited {waited:?})");
            return Err(self.room_error(why));
        }
        std::thread::sleep(STALL_STEP);
        *waited += STALL_STEP;
        Ok(())
    }

    /// A table that cannot be written is a full disk more often than not.
    fn room_error(&self, why: String) -> StorageError {
        let place = self.dir.clone();
        if super::room::is_full(&place) {
            return StorageError::NoSpace { place, why };
        }
        let doing = "appending to the log";
        StorageError::Io { doing, place, why }
    }

    /// The key of the newest group that a purge may take.
    fn purge_end(&self, durable: i64, retain: u64) -> Result<Option<[u8; 8]>, StorageError> {
        let mut read = ReadOptions::default();
        read.fill_cache(false);
        let mut iter = self.db.raw_iterator_opt(read);
        iter.seek_for_prev(key(durable));
        let mut kept = 0;
        while let Some((found, group)) = iter.item() {
            if kept >= retain {
                return Ok(<[u8; 8]>::try_from(found).ok());
            }
            let mut txns = Txns::new(group);
            while let Some((zxid, _)) = txns.next().map_err(|_| self.malformed(durable))? {
                kept += u64::from(zxid <= durable);
            }
            iter.prev();
        }
        checked(&iter, &self.dir)?;
        Ok(None)
    }

    fn malformed(&self, zxid: i64) -> StorageError {
        damaged(
            &self.dir,
            format!("the group at zxid 0x{zxid:x} is malformed"),
        )
    }
}

/// The keys of the log, one after the other.
struct Groups<'a> {
    iter: DBRawIterator<'static>,
    store: Arc<Store>,
    _log: PhantomData<&'a Shared>,
}

impl Groups<'_> {
    fn current(&self) -> Result<Option<(i64, &[u8])>, StorageError> {
        let Some((found, group)) = self.iter.item() else {
            checked(&self.iter, &self.store.dir)?;
            return Ok(None);
        };
        match found.try_into() {
            Ok(bytes) => Ok(Some((i64::from_be_bytes(bytes), group))),
            Err(_) => Err(damaged(&self.store.dir, "a key is not a zxid".to_owned())),
        }
    }
}

/// See `LogHandle::read_from`.
pub struct LogReader<'a> {
    from: i64,
    position: usize,
    groups: Groups<'a>,
}

impl LogReader<'_> {
    /// The next transaction and its zxid; `None` at the end of the log.
    #[expect(clippy::should_implement_trait, reason = "lends what it returns")]
    pub fn next(&mut self) -> Result<Option<(i64, &[u8])>, StorageError> {
        loop {
            let Some((last, group)) = self.groups.current()? else {
                return Ok(None);
            };
            let rest = &group[self.position..];
            let mut txns = Txns::new(rest);
            let malformed = |_| self.groups.store.malformed(last);
            match txns.next().map_err(malformed)? {
                None => {
                    self.position = 0;
                    self.groups.iter.next();
                }
                Some((zxid, _)) => {
                    let len = rest.len() - txns.rest_len();
                    let start = self.position + 4;
                    self.position += len;
                    if zxid >= self.from {
                        let end = self.position;
                        let (_, group) = self.groups.current()?.expect("did not move");
                        return Ok(Some((zxid, &group[start..end])));
                    }
                }
            }
        }
    }
}

fn key(zxid: i64) -> [u8; 8] {
    zxid.to_be_bytes()
}

fn last_key(db: &DB, dir: &Path) -> Result<Option<i64>, StorageError> {
    let mut iter = db.raw_iterator();
    iter.seek_to_last();
    match iter.key().map(<[u8; 8]>::try_from) {
        Some(Ok(bytes)) => Ok(Some(i64::from_be_bytes(bytes))),
        Some(Err(_)) => Err(damaged(dir, "a key is not a zxid".to_owned())),
        None => checked(&iter, dir).map(|()| None),
    }
}

/// The last zxid of a log in which nothing acknowledged is missing.
fn check_end(db: &DB, dir: &Path, purged: i64, acknowledged: i64) -> Result<i64, StorageError> {
    let last = last_key(db, dir)?.unwrap_or(0).max(purged);
    if last < acknowledged {
        let why = format!("it ends at zxid 0x{last:x}, but 0x{acknowledged:x} was acknowledged");
        return Err(damaged(dir, why));
    }
    Ok(last)
}

/// An iterator that ended may have ended at damage.
fn checked(iter: &DBRawIterator<'_>, dir: &Path) -> Result<(), StorageError> {
    iter.status()
        .map_err(|e| failed("reading the log", dir, &e))
}

fn damaged(place: &Path, why: String) -> StorageError {
    StorageError::Damaged {
        what: "the log",
        place: place.to_path_buf(),
        why,
        advice: ADVICE_DAMAGED,
    }
}

fn failed(doing: &'static str, dir: &Path, error: &rocksdb::Error) -> StorageError {
    let corrupt = error.kind() == ErrorKind::Corruption;
    StorageError::store(doing, "the log", dir, corrupt, error.to_string())
}

/// While opening, a file that is not there is damage, not an I/O error.
fn open_failed(dir: &Path, error: &rocksdb::Error) -> StorageError {
    let text = error.to_string();
    let corrupt = error.kind() != ErrorKind::IOError || text.contains("No such file");
    StorageError::store("opening the log", "the log", dir, corrupt, text)
}

fn options(dir: &Path, file_bytes: usize) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_size(16 << 10);
    table.set_block_cache(&Cache::new_lru_cache(1 << 20));
    table.set_format_version(6);

    let mut options = Options::default();
    // With an existing store, a missing CURRENT is damage and not a reason to begin anew.
    options.create_if_missing(super::is_new_store(dir));
    options.set_paranoid_checks(true);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_recycle_log_file_num(4);
    // A table goes out as it is written: all of it at its end would stand before the syncs of the log.
    options.set_bytes_per_sync(1 << 20);
    // And not as fast as the disk takes it: syncs would wait behind a whole table.
    options.set_ratelimiter(FLUSH_BYTES_PER_SECOND, FLUSH_PACE_US, 10);
    options.set_write_buffer_size(file_bytes);
    options.set_max_write_buffer_number(3);
    options.set_allow_concurrent_memtable_write(false);
    options.set_compression_type(DBCompressionType::None);
    options.set_block_based_table_factory(&table);
    // Purging deletes files below level 0 only: move them down soon (a move, not a rewrite).
    options.set_level_zero_file_num_compaction_trigger(2);
    options.set_target_file_size_base(file_bytes as u64);
    options.set_max_background_jobs(2);
    options.set_max_open_files(64);
    super::quiet!(options);
    options
}
