//! The data: nodes, their ACLs, who owns which ephemerals, sessions and quotas as of one zxid, and the
//! primitive changes to them. Answers to `DataTree`.
//!
//! Knows no socket, clock, disk or watcher. A change that cannot be made is a value ([`Missing`] and friends):
//! replaying a log over a newer tree meets them, and nothing here may stop a server for it.

#![deny(clippy::disallowed_methods)]

pub mod acl;
pub mod changes;
pub mod cursor;
pub mod digest;
mod fetch;
mod index;
mod node;
pub mod path;
pub mod quota;
pub mod stored;
pub mod watch;

use std::sync::OnceLock;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use crate::ids::{SessionId, Zxid};
use crate::proto::Stat;
use crate::proto::txn::TxnDigest;
use acl::{AclList, AclTable};
use changes::Changes;
use digest::{NodeDigest, TreeDigest};
use index::PathIndex;
use node::{Dir, Slab};
pub use node::{Kind, Node, NodeId, TTL_MS_MAX};
use quota::QuotaIndex;

type Set<T> = HashSet<T, RandomState>;
type Map<K, V> = HashMap<K, V, RandomState>;

/// The node is not there.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing;

#[derive(Debug, PartialEq, Eq)]
pub enum CreateError {
    NoParent,
    /// With the list that the new node would have had.
    Exists(NodeId, AclList),
}

/// What a new node is made of; everything was decided before.
pub struct NewNode<'a> {
    pub path: &'a str,
    pub data: Option<&'a [u8]>,
    pub acl: AclList,
    pub kind: Kind,
    /// The parent's counter after this creation; -1 stands for one more than it has.
    pub parent_cversion: i32,
    pub zxid: i64,
    pub time: i64,
}

pub struct Tree {
    slab: Slab,
    index: PathIndex,
    acls: AclTable,
    ephemerals: Map<SessionId, Set<NodeId>>,
    containers: Set<NodeId>,
    ttls: Set<NodeId>,
    sessions: Map<SessionId, i32>,
    pub(crate) quotas: QuotaIndex,
    last: Zxid,
    /// Where the epoch of the leader of now began.
    epoch_began: Zxid,
    /// `extendedTypesEnabled`.
    extended_types: bool,
    bytes: u64,
    /// `None`: `digest.enabled` is off.
    digest: Option<TreeDigest>,
    /// A tree from elsewhere may show transactions up to here that are applied again; before, its digest says nothing.
    exact_from: i64,
    changes: Changes,
}

impl Tree {
    /// A tree as a new server has it: the root and the reserved nodes.
    pub fn new(extended_types: bool) -> Tree {
        let mut tree = Tree::bare(extended_types);
        let config_acl: AclList =
            std::sync::Arc::from([crate::auth::AclEntry::world(crate::auth::perm::READ)]);
        for (path, acl) in [
            ("/zookeeper", tree.open_acl()),
            (quota::QUOTA_ROOT, tree.open_acl()),
            (path::CONFIG, config_acl),
        ] {
            let node = NewNode {
                path,
                data: Some(b""),
                acl,
                kind: Kind::Persistent,
                parent_cversion: -1,
                zxid: 0,
                time: 0,
            };
            match tree.create(node) {
                Ok(id) if path == path::CONFIG => tree.slab.get_mut(id).aversion = -1,
                Ok(_) => {}
                Err(e) => panic!("a new tree has no room for {path}: {e:?}"),
            }
        }
        // Upstream's constructor counts the children of "/zookeeper" but not "/zookeeper" itself.
        tree.dir_mut(NodeId::ROOT).cversion = 0;
        tree.rehash(NodeId::ROOT);
        if let Some(id) = tree.find("/zookeeper") {
            tree.dir_mut(id).cversion = 0;
            tree.rehash(id);
        }
        tree
    }

    /// The same tree without a digest, for `digest.enabled=false`.
    #[must_use]
    pub fn without_digest(mut self) -> Tree {
        self.digest = None;
        self
    }

    /// The root alone: what a stored tree is read into.
    pub fn bare(extended_types: bool) -> Tree {
        let mut root = Node::new("", Some(b""));
        root.dir = Some(Box::new(Dir {
            path: "".into(),
            first: NodeId::NONE,
            count: 0,
            cversion: 0,
            pzxid: 0,
            listing: OnceLock::new(),
        }));
        let mut tree = Tree {
            slab: Slab::default(),
            index: PathIndex::default(),
            acls: AclTable::default(),
            ephemerals: Map::default(),
            containers: Set::default(),
            ttls: Set::default(),
            sessions: Map::default(),
            quotas: QuotaIndex::default(),
            last: Zxid::ZERO,
            epoch_began: Zxid::ZERO,
            extended_types,
            bytes: 0,
            digest: Some(TreeDigest::default()),
            exact_from: 0,
            changes: Changes::default(),
        };
        root.set_counts();
        root.digest = NodeDigest::of_body("", Some(b""));
        let id = tree.slab.insert(root);
        assert_eq!(id, NodeId::ROOT);
        tree.rehash(id);
        tree.mark(id);
        tree
    }

    // --- reading -------------------------------------------------------------------------------------------

    /// The node of a path as it is stored: "/" and "" are both the root, nothing else is forgiven.
    pub fn find(&self, path: &str) -> Option<NodeId> {
        let Some((parent, name)) = path::split(path) else {
            return path.is_empty().then_some(NodeId::ROOT);
        };
        if name.is_empty() {
            return parent.is_empty().then_some(NodeId::ROOT);
        }
        self.index.find(self.index.hash(path), |id| {
            let node = self.slab.get(id);
            node.name() == name && self.dir(node.parent).is_some_and(|d| &*d.path == parent)
        })
    }

    pub fn get(&self, path: &str) -> Option<&Node> {
        self.find(path).map(|id| self.slab.get(id))
    }

    pub fn node(&self, id: NodeId) -> &Node {
        self.slab.get(id)
    }

    pub fn path_of(&self, id: NodeId) -> String {
        let mut path = String::new();
        self.path_into(id, &mut path);
        path
    }

    fn path_into(&self, id: NodeId, path: &mut String) {
        if id == NodeId::ROOT {
            "/".clone_into(path);
            return;
        }
        let node = self.slab.get(id);
        let parent = self.dir(node.parent).map_or("", |d| &*d.path);
        path.clear();
        path.reserve_exact(parent.len() + 1 + node.name().len());
        path.push_str(parent);
        path.push('/');
        path.push_str(node.name());
    }

    pub fn kind(&self, node: &Node) -> Kind {
        Kind::of(node.owner, self.extended_types)
    }

    pub fn stat(&self, node: &Node) -> Stat {
        let children = node.child_count() as i32;
        Stat {
            czxid: node.czxid,
            mzxid: node.mzxid,
            ctime: node.ctime,
            mtime: node.mtime,
            version: node.version,
            cversion: node.cversion().wrapping_mul(2).wrapping_sub(children),
            aversion: node.aversion,
            ephemeral_owner: match self.kind(node) {
                Kind::Ephemeral(session) => session,
                _ => 0,
            },
            data_length: node.data_len() as i32,
            num_children: children,
            pzxid: node.pzxid(),
        }
    }

    pub fn acl(&self, node: &Node) -> &AclList {
        self.acls.get(node.acl)
    }

    pub fn acl_is_open(&self, node: &Node) -> bool {
        node.acl == acl::OPEN
    }

    pub fn open_acl(&self) -> AclList {
        self.acls.get(acl::OPEN).clone()
    }

    pub fn children(&self, id: NodeId) -> Children<'_> {
        let next = self.dir(id).map_or(NodeId::NONE, |d| d.first);
        Children { tree: self, next }
    }

    /// The siblings that follow a child in the order of [`Tree::children`].
    pub fn children_behind(&self, child: NodeId) -> Children<'_> {
        let next = self.slab.get(child).next;
        Children { tree: self, next }
    }

    /// The jute bytes of the vector of a node's child names. Herds list the same node again and again, so
    /// lists of moderate size are kept until they change.
    pub fn listing(&self, id: NodeId, out: &mut Vec<u8>) {
        const KEPT_CHILDREN_MAX: u32 = 1 << 16;
        let Some(dir) = self.dir(id) else {
            out.extend_from_slice(&0i32.to_be_bytes());
            return;
        };
        if dir.count == 0 || dir.count > KEPT_CHILDREN_MAX {
            return self.encode_listing(id, dir, out);
        }
        let kept = dir.listing.get_or_init(|| {
            let mut bytes = Vec::new();
            self.encode_listing(id, dir, &mut bytes);
            bytes.into_boxed_slice()
        });
        out.extend_from_slice(kept);
    }

    fn encode_listing(&self, id: NodeId, dir: &Dir, out: &mut Vec<u8>) {
        out.extend_from_slice(&dir.count.to_be_bytes());
        for (_, node) in self.children(id) {
            let name = node.name().as_bytes();
            out.extend_from_slice(&(name.len() as u32).to_be_bytes());
            out.extend_from_slice(name);
        }
    }

    /// Strict descendants of a node, found by walking; the root's are counted, not walked.
    pub fn descendants(&self, id: NodeId) -> usize {
        if id == NodeId::ROOT {
            return self.slab.len() - 1;
        }
        let mut count = 0;
        self.walk(id, &mut |_, _| count += 1);
        count - 1
    }

    /// A node and everything below it, parents first, without recursion.
    pub fn walk(&self, from: NodeId, visit: &mut impl FnMut(NodeId, &Node)) {
        let mut stack = vec![from];
        while let Some(id) = stack.pop() {
            visit(id, self.slab.get(id));
            stack.extend(self.children(id).map(|(child, _)| child));
        }
    }

    pub fn all(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.slab.live()
    }

    pub fn node_count(&self) -> usize {
        self.slab.len()
    }

    /// Bytes of paths and data, as `approximate_data_size` counts them.
    pub fn data_bytes(&self) -> u64 {
        self.bytes
    }

    /// What clients are told: of the last transaction, or the beginning of an epoch without any.
    pub fn last_zxid(&self) -> Zxid {
        self.last.max(self.epoch_began)
    }

    /// Of the last transaction that was applied.
    pub fn applied_zxid(&self) -> Zxid {
        self.last
    }

    pub fn begin_epoch(&mut self, at: Zxid) {
        self.epoch_began = at;
    }

    pub fn set_last_zxid(&mut self, zxid: Zxid) {
        self.last = zxid;
    }

    /// `None` where it is switched off.
    pub fn digest(&self) -> Option<&TreeDigest> {
        self.digest.as_ref()
    }

    /// The sum over all nodes; `None` where it is switched off.
    pub fn digest_sum(&self) -> Option<u64> {
        self.digest.as_ref().map(|d| d.sum)
    }

    /// A transaction is applied as a whole; it may say what the digest has to be now.
    pub fn finish_txn(&mut self, zxid: Zxid, expected: Option<TxnDigest>) {
        self.last = zxid;
        if let Some(digest) = &mut self.digest
            && zxid.0 >= self.exact_from
        {
            digest.record(zxid.0);
            if let Some(expected) = expected {
                digest.compare(zxid.0, expected);
            }
        }
    }

    pub fn extended_types(&self) -> bool {
        self.extended_types
    }

    pub fn ephemerals_of(&self, session: SessionId) -> impl Iterator<Item = NodeId> + '_ {
        self.ephemerals.get(&session).into_iter().flatten().copied()
    }

    pub fn ephemeral_owners(
        &self,
    ) -> impl Iterator<Item = (SessionId, impl Iterator<Item = NodeId> + '_)> {
        self.ephemerals
            .iter()
            .map(|(s, nodes)| (*s, nodes.iter().copied()))
    }

    pub fn ephemeral_count(&self) -> usize {
        self.ephemerals.values().map(|s| s.len()).sum()
    }

    pub fn containers(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.containers.iter().copied()
    }

    pub fn ttls(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.ttls.iter().copied()
    }

    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, i32)> + '_ {
        self.sessions.iter().map(|(id, timeout)| (*id, *timeout))
    }

    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    pub fn session_timeout(&self, session: SessionId) -> Option<i32> {
        self.sessions.get(&session).copied()
    }

    // --- changing ------------------------------------------------------------------------------------------

    pub fn create(&mut self, new: NewNode<'_>) -> Result<NodeId, CreateError> {
        let (parent_path, name) = path::split(new.path).ok_or(CreateError::NoParent)?;
        let parent = if parent_path.is_empty() {
            Some(NodeId::ROOT)
        } else {
            self.find(parent_path)
        };
        let parent = parent.ok_or(CreateError::NoParent)?;
        if let Some(id) = self.find(new.path) {
            self.raise_cversion(parent, new.parent_cversion, new.zxid);
            return Err(CreateError::Exists(id, new.acl));
        }
        let mut node = Node::new(name, new.data);
        node.czxid = new.zxid;
        node.mzxid = new.zxid;
        node.ctime = new.time;
        node.mtime = new.time;
        node.owner = new.kind.owner();
        node.acl = self.acls.take(new.acl);
        let id = self.insert(parent, new.path, node);
        self.rehash(id);
        self.raise_cversion(parent, new.parent_cversion, new.zxid);
        self.mark(id);
        Ok(id)
    }

    pub fn delete(&mut self, id: NodeId, zxid: i64) {
        let path = self.path_of(id);
        let hash = self.index.hash(&path);
        self.save(id);
        self.mark(self.slab.get(id).parent);
        self.index.remove(hash, id);
        let node = self.slab.remove(id);
        self.bytes -= (path.len() + node.data_len()) as u64;
        if let Some(digest) = &mut self.digest {
            digest.sum = digest.sum.wrapping_sub(node.digest.value());
        }
        if node.prev == NodeId::NONE {
            self.dir_mut(node.parent).first = node.next;
        } else {
            self.slab.get_mut(node.prev).next = node.next;
        }
        if node.next != NodeId::NONE {
            self.slab.get_mut(node.next).prev = node.prev;
        }
        let dir = self.dir_mut(node.parent);
        dir.count -= 1;
        dir.pzxid = dir.pzxid.max(zxid);
        dir.listing.take();
        self.rehash(node.parent);
        self.acls.give_back(node.acl);
        match self.kind(&node) {
            Kind::Ephemeral(session) => {
                let session = SessionId(session);
                if let Some(nodes) = self.ephemerals.get_mut(&session) {
                    nodes.remove(&id);
                    if nodes.is_empty() {
                        self.ephemerals.remove(&session);
                    }
                }
            }
            Kind::Container => {
                self.containers.remove(&id);
            }
            Kind::Ttl(_) => {
                self.ttls.remove(&id);
            }
            Kind::Persistent => {}
        }
        if node.is_stored() {
            self.changes.removed.push(path.into_boxed_str());
        }
    }

    pub fn set_data(
        &mut self,
        id: NodeId,
        data: Option<&[u8]>,
        version: i32,
        zxid: i64,
        time: i64,
    ) {
        self.put_data(id, data);
        let node = self.slab.get_mut(id);
        node.version = version;
        node.mzxid = zxid;
        node.mtime = time;
        self.rehash(id);
    }

    /// New data and nothing else: a quota's usage changes without a trace in its stat.
    pub fn replace_data(&mut self, id: NodeId, data: Option<&[u8]>) {
        self.put_data(id, data);
        self.rehash(id);
    }

    fn put_data(&mut self, id: NodeId, data: Option<&[u8]>) {
        self.mark(id);
        let node = self.slab.get_mut(id);
        let old = node.data_len();
        node.set_data(data);
        self.bytes = self.bytes + node.data_len() as u64 - old as u64;
        self.hash_body(id);
    }

    pub fn set_acl(&mut self, id: NodeId, acl: AclList, aversion: i32) {
        self.mark(id);
        let new = self.acls.take(acl);
        let node = self.slab.get_mut(id);
        let old = std::mem::replace(&mut node.acl, new);
        node.aversion = aversion;
        self.acls.give_back(old);
        self.rehash(id);
    }

    pub fn add_session(&mut self, session: SessionId, timeout_ms: i32) {
        self.sessions.insert(session, timeout_ms);
        self.changes.sessions.insert(session);
    }

    pub fn remove_session(&mut self, session: SessionId) {
        self.sessions.remove(&session);
        self.changes.sessions.insert(session);
    }

    /// The counter rises only: a create that is replayed over a newer tree must not turn it back.
    fn raise_cversion(&mut self, parent: NodeId, cversion: i32, zxid: i64) {
        self.mark(parent);
        let dir = self.dir_mut(parent);
        let wanted = if cversion == -1 {
            dir.cversion.wrapping_add(1)
        } else {
            cversion
        };
        if wanted > dir.cversion {
            dir.cversion = wanted;
            dir.pzxid = zxid;
            self.rehash(parent);
        }
    }

    /// Path or data of a node are new.
    fn hash_body(&mut self, id: NodeId) {
        let node = self.slab.get(id);
        if self.digest.is_none() || !node.counts() {
            return;
        }
        let body = match (id != NodeId::ROOT)
            .then(|| self.dir(node.parent))
            .flatten()
        {
            Some(parent) => {
                NodeDigest::of_pieces([parent.path.as_bytes(), b"/", node.name_and_data()])
            }
            None => NodeDigest::of_body("", node.data()),
        };
        let value = node.digest.value();
        if let Some(digest) = &mut self.digest {
            digest.sum = digest.sum.wrapping_sub(value);
        }
        self.slab.get_mut(id).digest = body;
    }

    /// Anything of a node that its digest covers has changed.
    fn rehash(&mut self, id: NodeId) {
        let Some(digest) = &mut self.digest else {
            return;
        };
        let node = self.slab.get_mut(id);
        if !node.counts() {
            return;
        }
        let new = node.digest.with(&node.numbers());
        digest.sum = digest
            .sum
            .wrapping_sub(node.digest.value())
            .wrapping_add(new.value());
        node.digest = new;
    }

    /// Links a complete node below its parent and into every index.
    fn insert(&mut self, parent: NodeId, path: &str, mut node: Node) -> NodeId {
        let data_len = node.data_len();
        let kind = self.kind(&node);
        self.ensure_dir(parent);
        let first = self.dir_mut(parent).first;
        node.parent = parent;
        node.next = first;
        if self.digest.is_some() && digest::counts(path) {
            node.set_counts();
            node.digest = NodeDigest::of_body(path, node.data());
        }
        let id = self.slab.insert(node);
        if first != NodeId::NONE {
            self.slab.get_mut(first).prev = id;
        }
        let dir = self.dir_mut(parent);
        dir.first = id;
        dir.count += 1;
        dir.listing.take();
        let hash = self.index.hash(path);
        self.index.insert(hash, id);
        self.bytes += (path.len() + data_len) as u64;
        match kind {
            Kind::Ephemeral(session) => {
                self.ephemerals
                    .entry(SessionId(session))
                    .or_default()
                    .insert(id);
            }
            Kind::Container => {
                self.containers.insert(id);
            }
            Kind::Ttl(_) => {
                self.ttls.insert(id);
            }
            Kind::Persistent => {}
        }
        id
    }

    fn dir(&self, id: NodeId) -> Option<&Dir> {
        self.slab.get(id).dir.as_deref()
    }

    fn ensure_dir(&mut self, id: NodeId) {
        if self.slab.get(id).dir.is_some() {
            return;
        }
        let path = self.path_of(id);
        let node = self.slab.get_mut(id);
        node.dir = Some(Box::new(Dir {
            path: path.into_boxed_str(),
            first: NodeId::NONE,
            count: 0,
            cversion: 0,
            pzxid: node.czxid,
            listing: OnceLock::new(),
        }));
    }

    fn dir_mut(&mut self, id: NodeId) -> &mut Dir {
        match self.slab.get_mut(id).dir.as_deref_mut() {
            Some(dir) => dir,
            None => panic!("a node with children has no directory part"),
        }
    }
}

pub struct Children<'a> {
    tree: &'a Tree,
    next: NodeId,
}

impl<'a> Iterator for Children<'a> {
    type Item = (NodeId, &'a Node);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == NodeId::NONE {
            return None;
        }
        let id = self.next;
        let node = self.tree.slab.get(id);
        self.next = node.next;
        Some((id, node))
    }
}
