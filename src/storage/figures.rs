//! What RocksDB says of itself, for those who watch the server.

use rocksdb::{DB, properties};

/// In the units that the names end in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    pub files_bytes: u64,
    pub live_bytes: u64,
    pub memtables_bytes: u64,
    pub pending_compaction_bytes: u64,
    pub running_compactions: u64,
    pub running_flushes: u64,
}

impl Figures {
    pub(super) fn of(db: &DB) -> Figures {
        let int = |name| db.property_int_value(name).ok().flatten().unwrap_or(0);
        Figures {
            files_bytes: int(properties::TOTAL_SST_FILES_SIZE),
            live_bytes: int(properties::ESTIMATE_LIVE_DATA_SIZE),
            memtables_bytes: int(properties::CUR_SIZE_ALL_MEM_TABLES),
            pending_compaction_bytes: int(properties::ESTIMATE_PENDING_COMPACTION_BYTES),
            running_compactions: int(properties::NUM_RUNNING_COMPACTIONS),
            running_flushes: int(properties::NUM_RUNNING_FLUSHES),
        }
    }

    /// By name, for a list of them.
    pub fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("files_bytes", self.files_bytes),
            ("live_bytes", self.live_bytes),
            ("memtables_bytes", self.memtables_bytes),
            ("pending_compaction_bytes", self.pending_compaction_bytes),
            ("running_compactions", self.running_compactions),
            ("running_flushes", self.running_flushes),
        ]
    }
}
