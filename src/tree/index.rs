//! Path to node: small hash tables keyed by the hash of the whole path, so that a lookup costs one hash and
//! one probe at any depth, and a table that grows holds up nobody for long.
//!
//! An entry is eight bytes and probing goes straight on, so that in a tree far larger than the processor's caches a
//! lookup waits for memory once here, and the place can be named before ([`PathIndex::touch`]).

use std::hash::BuildHasher;

use foldhash::quality::RandomState;

use super::node::NodeId;

const TABLES: usize = 1024;

/// The hash of a path under this process's random seed.
#[derive(Clone, Copy, Default)]
pub(super) struct PathHash(u64);

impl PathHash {
    fn table(self) -> usize {
        self.0 as usize % TABLES
    }

    /// With the table's number this is all that is known of a path here.
    fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

pub(super) struct PathIndex {
    seed: RandomState,
    tables: Box<[Table]>,
}

impl Default for PathIndex {
    fn default() -> Self {
        PathIndex {
            seed: RandomState::default(),
            tables: (0..TABLES).map(|_| Table::default()).collect(),
        }
    }
}

impl PathIndex {
    pub(super) fn hash(&self, path: &str) -> PathHash {
        PathHash(self.seed.hash_one(path.as_bytes()))
    }

    /// `is_it` decides by the exact path; the hash only proposes.
    pub(super) fn find(&self, hash: PathHash, is_it: impl FnMut(NodeId) -> bool) -> Option<NodeId> {
        self.table(hash).find(hash.tag(), is_it).map(|(_, id)| id)
    }

    /// Most likely the node that [`PathIndex::find`] will find, without a look at it.
    pub(super) fn propose(&self, hash: PathHash) -> Option<NodeId> {
        self.find(hash, |_| true)
    }

    /// Reads where a lookup begins.
    pub(super) fn touch(&self, hash: PathHash) -> u64 {
        let table = self.table(hash);
        let entry = table.entries.get(table.home(hash.tag()));
        entry.map_or(0, |entry| entry.0)
    }

    pub(super) fn insert(&mut self, hash: PathHash, id: NodeId) {
        self.tables[hash.table()].insert(Entry::new(hash.tag(), id));
    }

    pub(super) fn remove(&mut self, hash: PathHash, id: NodeId) {
        let table = &mut self.tables[hash.table()];
        match table.find(hash.tag(), |found| found == id) {
            Some((at, _)) => table.remove(at),
            None => panic!("a node that is in the tree is not in its index"),
        }
    }

    fn table(&self, hash: PathHash) -> &Table {
        &self.tables[hash.table()]
    }
}

/// The tag in the upper half, the node in the lower one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry(u64);

impl Entry {
    const EMPTY: Entry = Entry::new(u32::MAX, NodeId::NONE);

    const fn new(tag: u32, id: NodeId) -> Entry {
        Entry(((tag as u64) << 32) | id.0 as u64)
    }

    fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn id(self) -> NodeId {
        NodeId(self.0 as u32)
    }
}

/// Open addressing: an entry is at its home or behind it, with no empty place between. Homes are in the order of
/// tags, so a table of any length will do, and one that grows is read and written from front to back.
#[derive(Default)]
struct Table {
    entries: Box<[Entry]>,
    used: usize,
}

/// At most so much of a table is in use: three quarters.
const FULL: (usize, usize) = (3, 4);
/// A table grows by a quarter: all of them grow at about the same time, and memory counts.
const GROWTH: (usize, usize) = (5, 4);
const LENGTH_MIN: usize = 4;

impl Table {
    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.entries.len() as u64) >> 32) as usize
    }

    fn behind(&self, at: usize) -> usize {
        match at + 1 {
            end if end == self.entries.len() => 0,
            next => next,
        }
    }

    /// Places from the first to the second, going round the end.
    fn distance(&self, from: usize, to: usize) -> usize {
        match to.checked_sub(from) {
            Some(distance) => distance,
            None => to + self.entries.len() - from,
        }
    }

    fn find(&self, tag: u32, mut is_it: impl FnMut(NodeId) -> bool) -> Option<(usize, NodeId)> {
        let mut at = self.home(tag);
        loop {
            // A table without any place has no home either.
            let entry = *self.entries.get(at)?;
            if entry == Entry::EMPTY {
                return None;
            }
            if entry.tag() == tag && is_it(entry.id()) {
                return Some((at, entry.id()));
            }
            at = self.behind(at);
        }
    }

    fn insert(&mut self, entry: Entry) {
        if (self.used + 1) * FULL.1 > self.entries.len() * FULL.0 {
            self.grow();
        }
        self.used += 1;
        self.place(entry);
    }

    fn place(&mut self, entry: Entry) {
        let mut at = self.home(entry.tag());
        while self.entries[at] != Entry::EMPTY {
            at = self.behind(at);
        }
        self.entries[at] = entry;
    }

    fn grow(&mut self) {
        let length =
            (self.entries.len() * GROWTH.0 / GROWTH.1).max(self.entries.len() + LENGTH_MIN);
        let empty = vec![Entry::EMPTY; length].into_boxed_slice();
        for entry in std::mem::replace(&mut self.entries, empty) {
            if entry != Entry::EMPTY {
                self.place(entry);
            }
        }
    }

    /// Entries behind move up, unless that would be ahead of their home.
    fn remove(&mut self, at: usize) {
        self.used -= 1;
        let (mut hole, mut next) = (at, self.behind(at));
        while self.entries[next] != Entry::EMPTY {
            let home = self.home(self.entries[next].tag());
            if self.distance(home, next) >= self.distance(hole, next) {
                self.entries[hole] = self.entries[next];
                hole = next;
            }
            next = self.behind(next);
        }
        self.entries[hole] = Entry::EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Few tags, so that they collide, and some at the very end, so that probing goes round.
    fn tag() -> impl Strategy<Value = u32> {
        prop_oneof![
            (0..40u32).prop_map(|n| n << 26),
            (0..8u32).prop_map(|n| u32::MAX - n),
        ]
    }

    proptest! {
        #[test]
        fn a_table_holds_what_was_inserted_and_not_removed(
            steps in proptest::collection::vec((tag(), any::<bool>(), any::<prop::sample::Index>()), 1..300)
        ) {
            let mut table = Table::default();
            let mut expected = BTreeMap::new();
            for (n, (tag, inserts, which)) in steps.into_iter().enumerate() {
                if inserts || expected.is_empty() {
                    let id = NodeId(n as u32);
                    table.insert(Entry::new(tag, id));
                    expected.insert(id, tag);
                } else {
                    let (&id, &tag) = expected.iter().nth(which.index(expected.len())).expect("not empty");
                    let (at, _) = table.find(tag, |found| found == id).expect("it was inserted");
                    table.remove(at);
                    expected.remove(&id);
                }
                prop_assert_eq!(table.used, expected.len());
                let in_use = table.entries.iter().filter(|entry| **entry != Entry::EMPTY);
                prop_assert_eq!(in_use.count(), expected.len());
                for (&id, &tag) in &expected {
                    prop_assert!(table.find(tag, |found| found == id).is_some(), "{tag} {id:?}");
                }
                let others = |id: NodeId| !expected.contains_key(&id);
                for tag in [0, 1 << 26, u32::MAX] {
                    prop_assert!(table.find(tag, others).is_none());
                }
            }
        }
    }

    #[test]
    fn an_index_without_nodes_finds_nothing() {
        let index = PathIndex::default();
        let hash = index.hash("/a");
        assert_eq!(index.touch(hash), 0);
        assert!(index.propose(hash).is_none());
    }

    #[test]
    fn a_table_is_never_too_full_nor_much_too_large() {
        let mut table = Table::default();
        for n in 0..10_000u32 {
            table.insert(Entry::new(n.wrapping_mul(0x9e37_79b9), NodeId(n)));
            let length = table.entries.len();
            assert!(table.used * FULL.1 <= length * FULL.0);
            assert!(n < 100 || table.used * 2 > length);
        }
    }
}
