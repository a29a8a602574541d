//! What a checkpoint writes, collected in the memory of one part after the other and brought into the order of keys.

use std::cmp::Reverse;

use super::record::NodeRecord;

/// Order matters: a restart reads ACLs, then sessions, then nodes.
pub(super) const MARKER: &[u8] = &[0];
pub(super) const ACL: u8 = 1;
pub(super) const SESSION: u8 = 2;
pub(super) const NODE: u8 = 3;

/// What most nodes take at most, with their path.
const NODE_BYTES: usize = 2 << 10;
const PAGE_BYTES: usize = 4 << 10;

/// A part of what changed up to one zxid.
pub struct CheckpointBatch {
    zxid: i64,
    installs: u64,
    /// Keys and values, one after the other.
    bytes: Vec<u8>,
    /// So much of its memory came from the system already.
    touched: usize,
    changes: Vec<Change>,
}

struct Change {
    start: usize,
    key_end: usize,
    /// `None` for a removal.
    end: Option<usize>,
    /// Bytes of the key, for sorting.
    word: u64,
}

impl CheckpointBatch {
    /// A part of the checkpoint that brings the state to `zxid`.
    pub fn new(zxid: i64) -> Self {
        Self {
            zxid,
            installs: 0,
            bytes: Vec::new(),
            touched: 0,
            changes: Vec::new(),
        }
    }

    /// The same for a tree behind which `installs` others were replaced since the start.
    #[must_use]
    pub fn behind(mut self, installs: u64) -> Self {
        self.installs = installs;
        self
    }

    /// An empty one for another checkpoint in the memory of this one.
    pub fn renew(&mut self, zxid: i64) {
        self.clear();
        self.zxid = zxid;
    }

    /// So many nodes will follow, up to `table_bytes` in all, and nobody waits yet: what it grows by is copied and comes
    /// from the system now, not while a lock is held for the nodes. Enough unless they are large.
    pub fn make_room(&mut self, nodes: usize, table_bytes: usize) {
        self.changes.reserve(nodes);
        let (len, wanted) = (self.bytes.len(), nodes * NODE_BYTES);
        if self.bytes.capacity() - len < wanted {
            let more = wanted + table_bytes.saturating_sub(len);
            self.bytes.reserve_exact(more);
            self.touched = len;
        }
        let (from, to) = (self.touched.max(len), len + wanted);
        for place in (from..to).step_by(PAGE_BYTES) {
            self.bytes.spare_capacity_mut()[place - len].write(0);
        }
        self.touched = from.max(to);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> (usize, usize) {
        (self.bytes.capacity(), self.changes.capacity())
    }

    pub fn zxid(&self) -> i64 {
        self.zxid
    }

    pub(super) fn installs(&self) -> u64 {
        self.installs
    }

    pub fn len(&self) -> usize {
        self.changes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn put_node(&mut self, path: &str, node: &NodeRecord<'_>) {
        self.put(NODE, path.as_bytes(), |value| node.encode(value));
    }

    pub fn delete_node(&mut self, path: &str) {
        self.delete(NODE, path.as_bytes());
    }

    pub fn put_session(&mut self, id: i64, timeout_ms: i32) {
        let value = timeout_ms.to_be_bytes();
        self.put(SESSION, &id.to_be_bytes(), |v| v.extend_from_slice(&value));
    }

    pub fn delete_session(&mut self, id: i64) {
        self.delete(SESSION, &id.to_be_bytes());
    }

    pub fn put_acl(&mut self, id: u32, bytes: &[u8]) {
        self.put(ACL, &id.to_be_bytes(), |v| v.extend_from_slice(bytes));
    }

    pub fn delete_acl(&mut self, id: u32) {
        self.delete(ACL, &id.to_be_bytes());
    }

    fn put(&mut self, kind: u8, key: &[u8], encode: impl FnOnce(&mut Vec<u8>)) {
        self.delete(kind, key);
        encode(&mut self.bytes);
        if let Some(change) = self.changes.last_mut() {
            change.end = Some(self.bytes.len());
        }
    }

    fn delete(&mut self, kind: u8, key: &[u8]) {
        let start = self.bytes.len();
        self.bytes.push(kind);
        self.bytes.extend_from_slice(key);
        self.changes.push(Change {
            start,
            key_end: self.bytes.len(),
            end: None,
            word: 0,
        });
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.changes.clear();
    }

    /// In the order of keys, the last change of each.
    pub(super) fn sort(&mut self) {
        sort_behind(0, &mut self.changes, &self.bytes);
        let key = |change: &Change| &self.bytes[change.start..change.key_end];
        self.changes.dedup_by(|b, a| key(a) == key(b));
    }

    /// Keys and values; a removal has none.
    pub(super) fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes.iter().map(|change| {
            let key = &self.bytes[change.start..change.key_end];
            (key, change.end.map(|end| &self.bytes[change.key_end..end]))
        })
    }
}

const WORD_BYTES: usize = size_of::<u64>();
/// Fewer are compared as they are.
const SORTED_BY_WORDS_MIN: usize = 32;
/// What agrees in so many bytes as well.
const DEPTH_MAX: usize = 1 << 10;

/// Orders changes whose keys begin with the same `depth` bytes; of the same key the later comes first.
///
/// Keys are paths that begin alike and lie anywhere in memory. So a word of each is read at a time, and what lies behind
/// only of those that agree.
fn sort_behind(depth: usize, changes: &mut [Change], bytes: &[u8]) {
    let rest = |change: &Change| &bytes[change.start + depth..change.key_end];
    if changes.len() < SORTED_BY_WORDS_MIN || depth >= DEPTH_MAX {
        let order =
            |a: &Change, b: &Change| rest(a).cmp(rest(b)).then_with(|| b.start.cmp(&a.start));
        changes.sort_unstable_by(order);
        return;
    }
    for change in changes.iter_mut() {
        change.word = first_word(rest(change));
    }
    // Of two that agree in a word and the zeros behind it, the shorter is the beginning of the other.
    let known = |change: &Change| (change.word, rest(change).len().min(WORD_BYTES));
    changes.sort_unstable_by_key(known);
    for alike in changes.chunk_by_mut(|a, b| known(a) == known(b)) {
        if known(&alike[0]).1 == WORD_BYTES {
            sort_behind(depth + WORD_BYTES, alike, bytes);
        } else {
            alike.sort_unstable_by_key(|change| Reverse(change.start));
        }
    }
}

/// Ordered as the bytes are; zeros where there are too few.
fn first_word(bytes: &[u8]) -> u64 {
    let mut word = [0; WORD_BYTES];
    let len = bytes.len().min(WORD_BYTES);
    word[..len].copy_from_slice(&bytes[..len]);
    u64::from_be_bytes(word)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Keys that begin alike, end within one another and hold zeros.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"/a-long-part-of-a-path".to_vec()),
            Just(b"/a".to_vec()),
            Just(vec![0]),
            any::<u8>().prop_map(|byte| vec![byte]),
        ];
        proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn sorted_it_has_each_key_once_as_it_was_last_put(
            changes in proptest::collection::vec((key(), any::<Option<u8>>()), 0..300)
        ) {
            let mut batch = CheckpointBatch::new(1);
            let mut expected = BTreeMap::new();
            for (key, value) in &changes {
                match value {
                    Some(value) => batch.put(NODE, key, |out| out.push(*value)),
                    None => batch.delete(NODE, key),
                }
                let key = [&[NODE], &key[..]].concat();
                expected.insert(key, value.map(|value| vec![value]));
            }
            batch.sort();
            let sorted = batch.changes();
            let sorted: Vec<_> = sorted.map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(sorted, expected.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn keys_may_agree_in_more_than_is_sorted_by_words() {
        let long = "x".repeat(2 * DEPTH_MAX);
        let mut batch = CheckpointBatch::new(1);
        for n in (0..100).rev() {
            batch.delete_node(&format!("{long}{n:02}"));
        }
        batch.sort();
        let last = |key: &[u8]| String::from_utf8_lossy(&key[key.len() - 2..]).into_owned();
        let found: Vec<_> = batch.changes().map(|(key, _)| last(key)).collect();
        let expected: Vec<_> = (0..100).map(|n| format!("{n:02}")).collect();
        assert_eq!(found, expected);
    }
}
