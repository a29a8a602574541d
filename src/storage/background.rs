//! Who goes first when work in the background and requests want the same processor. One of the files that
//! name RocksDB.

/// RocksDB's threads serve both stores. Left to itself it starts one for flushes and one for merges: the log
/// would wait while the state merges, and its writes would be stopped.
const THREADS: i32 = 2;
/// About a third of the weight of a thread that serves requests: enough to go on beside any load.
const NICE: i32 = 5;

/// To be called before the first store is opened.
pub(super) fn make_room() {
    // Without it everything works, less evenly.
    if let Ok(mut env) = rocksdb::Env::new() {
        env.set_low_priority_background_threads(THREADS);
        env.set_high_priority_background_threads(THREADS);
    }
}

/// Lets requests go before this thread, before merges, and before what writes the log's tables: left to itself that
/// takes a processor for several milliseconds from the thread whose fsync everybody waits for. For the thread that
/// writes checkpoints, when the stores are open.
pub fn step_back() {
    set_nice(0);
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return;
    };
    for thread in threads.flatten() {
        let name = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        let id = thread.file_name().to_str().and_then(|id| id.parse().ok());
        if let (Some(id), "rocksdb:low" | "rocksdb:high") = (id, name.trim_end()) {
            set_nice(id);
        }
    }
}

/// Thread 0 is the one that calls.
fn set_nice(thread: libc::id_t) {
    // SAFETY: a plain system call. On Linux it is about one thread; that it fails does no harm.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, thread, NICE);
    }
}
