//! What prep has promised and nobody has applied yet, laid over the tree: later requests are judged as if the
//! earlier ones were done. Answers to `ChangeRecord` and the outstanding changes of `ZooKeeperServer`.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::ids::SessionId;
use crate::tree::acl::AclList;
use crate::tree::digest::{self, NodeDigest, Numbers};
use crate::tree::{Kind, Tree, path};

/// A node as it will be once everything before is applied.
#[derive(Clone)]
pub struct Change {
    pub exists: bool,
    pub kind: Kind,
    pub version: i32,
    /// The raw counter.
    pub cversion: i32,
    pub aversion: i32,
    pub children: u32,
    pub data_len: usize,
    pub acl: AclList,
    czxid: i64,
    pub mzxid: i64,
    pub pzxid: i64,
    ctime: i64,
    pub mtime: i64,
    digest: NodeDigest,
}

impl Change {
    pub fn new_node(kind: Kind, acl: AclList, data_len: usize, zxid: i64, time: i64) -> Change {
        Change {
            exists: true,
            kind,
            version: 0,
            cversion: 0,
            aversion: 0,
            children: 0,
            data_len,
            acl,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            digest: NodeDigest::default(),
        }
    }

    fn numbers(&self) -> Numbers {
        Numbers {
            czxid: self.czxid,
            mzxid: self.mzxid,
            pzxid: self.pzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.cversion,
            aversion: self.aversion,
            owner: self.kind.owner(),
        }
    }
}

/// What a change means for the digest of the tree.
#[derive(Clone, Copy)]
pub enum Effect<'a> {
    /// Path and data are these.
    Data(Option<&'a [u8]>),
    /// Path and data are what they were.
    Numbers,
    Gone,
}

/// What was promised, oldest first, each found by its path as long as it is the last word on that path.
///
/// Every write comes by here twice, under the lock of prep: nothing is hashed or compared a second time, and the
/// memory of paths is used again.
#[derive(Default)]
pub struct Pending {
    promises: VecDeque<Promise>,
    /// Number of the oldest promise: they are counted from the beginning.
    first: u64,
    /// For each path the number of its last promise.
    newest: HashTable<u64>,
    seed: RandomState,
    spare_paths: Vec<String>,
    /// While a multi is judged.
    undo: Option<Undo>,
    /// The tree's digest once everything before is applied; means nothing while there are no promises.
    digest: u64,
}

struct Promise {
    zxid: i64,
    hash: u64,
    path: String,
    node: Change,
    /// Number of the promise that was the last word before, if any.
    before: Option<u64>,
}

struct Undo {
    /// Number of the first promise that may be taken back.
    from: u64,
    digest: u64,
}

/// Paths that are kept for their memory, and how long.
const SPARE_PATHS_MAX: usize = 4096;
const SPARE_PATH_BYTES_MAX: usize = 256;

impl Pending {
    fn hash(&self, path: &str) -> u64 {
        self.seed.hash_one(path.as_bytes())
    }

    fn promise(&self, number: u64) -> &Promise {
        &self.promises[(number - self.first) as usize]
    }

    fn last_word(&self, hash: u64, path: &str) -> Option<&Promise> {
        let is_it = |number: &u64| self.promise(*number).path == path;
        let number = self.newest.find(hash, is_it)?;
        Some(self.promise(*number))
    }

    /// The node as later requests see it; `None` when it is not there.
    pub fn get(&self, tree: &Tree, path: &str) -> Option<Change> {
        let path = path::shown(path);
        if !self.is_empty()
            && let Some(promise) = self.last_word(self.hash(path), path)
        {
            let node = &promise.node;
            return node.exists.then(|| node.clone());
        }
        let node = tree.get(path)?;
        Some(Change {
            exists: true,
            kind: tree.kind(node),
            version: node.version,
            cversion: node.cversion(),
            aversion: node.aversion,
            children: node.child_count(),
            data_len: node.data_len(),
            acl: tree.acl(node).clone(),
            czxid: node.czxid,
            mzxid: node.mzxid,
            pzxid: node.pzxid(),
            ctime: node.ctime,
            mtime: node.mtime,
            digest: node.digest(),
        })
    }

    /// The tree's digest once everything is applied; `None` where digests are off.
    pub fn digest(&self, tree: &Tree) -> Option<u64> {
        let now = tree.digest_sum()?;
        Some(if self.is_empty() { now } else { self.digest })
    }

    /// The root has one entry, whether it was named "" or "/".
    pub fn put(
        &mut self,
        tree: &Tree,
        zxid: i64,
        path: &str,
        mut change: Change,
        effect: Effect<'_>,
    ) {
        if let Some(before) = self.digest(tree)
            && digest::counts(path)
        {
            let old = change.digest.value();
            change.digest = match effect {
                Effect::Data(data) => NodeDigest::of_body(path, data).with(&change.numbers()),
                Effect::Numbers => change.digest.with(&change.numbers()),
                Effect::Gone => NodeDigest::default(),
            };
            self.digest = before.wrapping_sub(old).wrapping_add(change.digest.value());
        } else {
            self.digest = self.digest(tree).unwrap_or(0);
        }
        change.exists = !matches!(effect, Effect::Gone);
        let path = path::shown(path);
        let hash = self.hash(path);
        let number = self.first + self.promises.len() as u64;
        let (promises, first) = (&self.promises, self.first);
        let at = |number: u64| &promises[(number - first) as usize];
        let is_it = |number: &u64| at(*number).path == path;
        let before = match self.newest.entry(hash, is_it, |number| at(*number).hash) {
            Entry::Occupied(mut entry) => Some(std::mem::replace(entry.get_mut(), number)),
            Entry::Vacant(entry) => {
                entry.insert(number);
                None
            }
        };
        let mut kept = self.spare_paths.pop().unwrap_or_default();
        kept.push_str(path);
        self.promises.push_back(Promise {
            zxid,
            hash,
            path: kept,
            node: change,
            before,
        });
    }

    pub fn begin(&mut self) {
        self.undo = Some(Undo {
            from: self.first + self.promises.len() as u64,
            digest: self.digest,
        });
    }

    pub fn keep(&mut self) {
        self.undo = None;
    }

    /// Takes everything back since [`Pending::begin`].
    pub fn roll_back(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        self.digest = undo.digest;
        while self.first + self.promises.len() as u64 > undo.from {
            let Some(promise) = self.promises.pop_back() else {
                break;
            };
            let number = self.first + self.promises.len() as u64;
            if let Ok(mut entry) = self.newest.find_entry(promise.hash, |n| *n == number) {
                match promise.before {
                    Some(before) if before >= self.first => *entry.get_mut() = before,
                    _ => drop(entry.remove()),
                }
            }
            self.keep_memory(promise.path);
        }
    }

    /// Everything up to `zxid` is in the tree now.
    pub fn applied(&mut self, zxid: i64) {
        while self
            .promises
            .front()
            .is_some_and(|promise| promise.zxid <= zxid)
        {
            let Some(promise) = self.promises.pop_front() else {
                break;
            };
            let number = self.first;
            self.first += 1;
            if let Ok(entry) = self.newest.find_entry(promise.hash, |n| *n == number) {
                entry.remove();
            }
            self.keep_memory(promise.path);
        }
    }

    fn keep_memory(&mut self, mut path: String) {
        if self.spare_paths.len() < SPARE_PATHS_MAX && path.capacity() <= SPARE_PATH_BYTES_MAX {
            path.clear();
            self.spare_paths.push(path);
        }
    }

    /// The ephemerals that a session will have.
    pub fn ephemerals(&self, tree: &Tree, session: SessionId) -> Vec<String> {
        let is_there = |path: &str| {
            let promise = self.last_word(self.hash(path), path);
            promise.is_none_or(|promise| promise.node.exists)
        };
        let mut paths: Vec<String> = tree
            .ephemerals_of(session)
            .map(|id| tree.path_of(id))
            .filter(|path| is_there(path))
            .collect();
        for number in &self.newest {
            let Promise { path, node, .. } = self.promise(*number);
            let owned = node.exists && node.kind == Kind::Ephemeral(session.0);
            if owned && tree.get(path).is_none_or(|n| tree.kind(n) != node.kind) {
                paths.push(path.clone());
            }
        }
        paths
    }

    pub fn len(&self) -> usize {
        self.promises.len()
    }

    pub fn is_empty(&self) -> bool {
        self.promises.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/zookeeper";

    fn promise(pending: &mut Pending, tree: &Tree, zxid: i64, version: i32) {
        let node = pending.get(tree, PATH).expect("it is always there");
        let node = Change { version, ..node };
        pending.put(tree, zxid, PATH, node, Effect::Numbers);
    }

    fn version(pending: &Pending, tree: &Tree) -> i32 {
        pending.get(tree, PATH).expect("it is always there").version
    }

    #[test]
    fn what_is_taken_back_uncovers_what_was_promised_before() {
        let (tree, mut pending) = (Tree::new(true), Pending::default());
        promise(&mut pending, &tree, 1, 11);
        let digest = pending.digest(&tree);
        pending.begin();
        promise(&mut pending, &tree, 2, 12);
        promise(&mut pending, &tree, 2, 13);
        assert_eq!(version(&pending, &tree), 13);
        pending.roll_back();
        assert_eq!((version(&pending, &tree), pending.len()), (11, 1));
        assert_eq!(pending.digest(&tree), digest);
        pending.applied(1);
        assert_eq!(version(&pending, &tree), 0);
    }

    #[test]
    fn the_last_word_stands_until_it_is_applied_itself() {
        let (tree, mut pending) = (Tree::new(true), Pending::default());
        for zxid in 1..=3 {
            promise(&mut pending, &tree, zxid, 10 + zxid as i32);
        }
        pending.applied(2);
        assert_eq!((version(&pending, &tree), pending.len()), (13, 1));
        pending.begin();
        promise(&mut pending, &tree, 4, 14);
        pending.roll_back();
        assert_eq!(version(&pending, &tree), 13);
        pending.applied(3);
        assert!(pending.is_empty());
        assert_eq!(version(&pending, &tree), 0);
    }

    #[test]
    fn nothing_promised_before_the_multi_is_left_to_uncover() {
        let (tree, mut pending) = (Tree::new(true), Pending::default());
        pending.begin();
        promise(&mut pending, &tree, 1, 11);
        pending.roll_back();
        assert!(pending.is_empty());
        assert_eq!(version(&pending, &tree), 0);
    }
}
