//! Path to node: small hash tables keyed by the hash of the whole path, so that a lookup costs one hash and
//! one probe at any depth, and a table that grows holds up nobody for long.

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use super::node::NodeId;

const TABLES: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The upper half of the path's hash. With the table's number this is all a growing table needs.
    tag: u32,
    id: NodeId,
}

impl Entry {
    fn hash(tag: u32) -> u64 {
        // hashbrown takes its control byte from the top bits and its slot from the low ones.
        u64::from(tag) | (u64::from(tag) << 32)
    }
}

/// The hash of a path under this process's random seed.
#[derive(Clone, Copy)]
pub(super) struct PathHash(u64);

impl PathHash {
    fn table(self) -> usize {
        self.0 as usize % TABLES
    }

    fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

pub(super) struct PathIndex {
    seed: RandomState,
    tables: Box<[HashTable<Entry>]>,
}

impl Default for PathIndex {
    fn default() -> Self {
        PathIndex {
            seed: RandomState::default(),
            tables: (0..TABLES).map(|_| HashTable::new()).collect(),
        }
    }
}

impl PathIndex {
    pub(super) fn hash(&self, path: &str) -> PathHash {
        PathHash(self.seed.hash_one(path.as_bytes()))
    }

    /// `is_it` decides by the exact path; the hash only proposes.
    pub(super) fn find(
        &self,
        hash: PathHash,
        mut is_it: impl FnMut(NodeId) -> bool,
    ) -> Option<NodeId> {
        let tag = hash.tag();
        self.tables[hash.table()]
            .find(Entry::hash(tag), |e| e.tag == tag && is_it(e.id))
            .map(|e| e.id)
    }

    pub(super) fn insert(&mut self, hash: PathHash, id: NodeId) {
        let tag = hash.tag();
        self.tables[hash.table()]
            .insert_unique(Entry::hash(tag), Entry { tag, id }, |e| Entry::hash(e.tag));
    }

    pub(super) fn remove(&mut self, hash: PathHash, id: NodeId) {
        let tag = hash.tag();
        match self.tables[hash.table()].find_entry(Entry::hash(tag), |e| e.tag == tag && e.id == id)
        {
            Ok(entry) => {
                entry.remove();
            }
            Err(_) => panic!("a node that is in the tree is not in its index"),
        }
    }
}
