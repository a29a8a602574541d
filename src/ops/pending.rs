//! What prep has promised and nobody has applied yet, laid over the tree: later requests are judged as if the
//! earlier ones were done. Answers to `ChangeRecord` and the outstanding changes of `ZooKeeperServer`.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

use crate::ids::SessionId;
use crate::tree::acl::AclList;
use crate::tree::digest::{self, NodeDigest, Numbers};
use crate::tree::{Kind, Tree, path};

/// A node as it will be once everything before is applied.
#[derive(Clone)]
pub struct Change {
    zxid: i64,
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
            zxid,
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

#[derive(Default)]
pub struct Pending {
    changes: HashMap<Arc<str>, Change, RandomState>,
    order: VecDeque<(i64, Arc<str>)>,
    /// While a multi is judged.
    undo: Option<Undo>,
    /// The tree's digest once everything before is applied; means nothing while there are no changes.
    digest: u64,
}

struct Undo {
    /// What the operations replaced, newest last.
    replaced: Vec<(Arc<str>, Option<Change>)>,
    digest: u64,
}

impl Pending {
    /// The node as later requests see it; `None` when it is not there.
    pub fn get(&self, tree: &Tree, path: &str) -> Option<Change> {
        let path = path::shown(path);
        if !self.changes.is_empty()
            && let Some(change) = self.changes.get(path)
        {
            return change.exists.then(|| change.clone());
        }
        let node = tree.get(path)?;
        Some(Change {
            zxid: 0,
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
        Some(if self.order.is_empty() {
            now
        } else {
            self.digest
        })
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
        change.zxid = zxid;
        let (key, old) = match self.changes.entry_ref(path::shown(path)) {
            EntryRef::Occupied(mut entry) => (entry.key().clone(), Some(entry.insert(change))),
            EntryRef::Vacant(entry) => {
                let key = Arc::<str>::from(entry.key());
                entry.insert_with_key(key.clone(), change);
                (key, None)
            }
        };
        if let Some(undo) = &mut self.undo {
            undo.replaced.push((key.clone(), old));
        }
        self.order.push_back((zxid, key));
    }

    pub fn begin(&mut self) {
        self.undo = Some(Undo {
            replaced: Vec::new(),
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
        for (path, old) in undo.replaced.into_iter().rev() {
            self.order.pop_back();
            match old {
                Some(change) => self.changes.insert(path, change),
                None => self.changes.remove(&path),
            };
        }
    }

    /// Everything up to `zxid` is in the tree now.
    pub fn applied(&mut self, zxid: i64) {
        while let Some((at, _)) = self.order.front() {
            if *at > zxid {
                break;
            }
            let Some((at, path)) = self.order.pop_front() else {
                break;
            };
            if let EntryRef::Occupied(entry) = self.changes.entry_ref(&*path)
                && entry.get().zxid == at
            {
                entry.remove();
            }
        }
    }

    /// The ephemerals that a session will have.
    pub fn ephemerals(&self, tree: &Tree, session: SessionId) -> Vec<String> {
        let mut paths: Vec<String> = tree
            .ephemerals_of(session)
            .map(|id| tree.path_of(id))
            .filter(|path| self.changes.get(path.as_str()).is_none_or(|c| c.exists))
            .collect();
        for (path, change) in &self.changes {
            let owned = change.exists && change.kind == Kind::Ephemeral(session.0);
            if owned && tree.get(path).is_none_or(|n| tree.kind(n) != change.kind) {
                paths.push(path.to_string());
            }
        }
        paths
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}
