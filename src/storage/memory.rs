//! Keeps the process small.
//!
//! Rust's allocations go to mimalloc; glibc's malloc serves RocksDB alone. Left to itself it keeps
//! an arena for each thread and, after the first big block was freed, serves big blocks from
//! arenas too, where they are not given back. mimalloc gives back what is free when it is asked
//! for more, so a server that came to rest would keep it.

// Linked, whoever allocates: a test's allocator is the system's.
use mimalloc as _;

/// To be called before the first store is opened; calling it again does no harm.
pub(super) fn tame_malloc() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` only sets parameters of the allocator.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        // Memtables grow by blocks of 1 MiB: those are mapped, and unmapped after the flush. The
        // batches of appends are smaller and would suffer from it.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 20);
    }
}

/// After a big job (a restart, a checkpoint of a server at rest): returns free pages to the system.
pub fn give_back() {
    unsafe extern "C" {
        fn mi_collect(force: bool);
    }
    // SAFETY: part of the stable interface of the allocator; any thread may call it at any time.
    unsafe { mi_collect(true) };
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` has no precondition.
    unsafe {
        libc::malloc_trim(0);
    }
}
