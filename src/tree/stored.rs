//! The tree as it is stored and as it comes back from disk.

use super::acl::AclList;
use super::quota::QUOTA_ROOT;
use super::{Node, NodeId, Tree, path};
use crate::auth::{AclEntry, perm};
use crate::ids::{SessionId, Zxid};

/// What is stored of a node: the counters of a directory included.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoredNode<'a> {
    pub czxid: i64,
    pub mzxid: i64,
    pub pzxid: i64,
    pub ctime: i64,
    pub mtime: i64,
    pub owner: i64,
    pub version: i32,
    pub cversion: i32,
    pub aversion: i32,
    pub acl: u32,
    pub data: Option<&'a [u8]>,
}

impl<'a> StoredNode<'a> {
    pub fn of(node: &'a Node) -> StoredNode<'a> {
        StoredNode {
            data: node.data(),
            ..StoredNode::without_data(node)
        }
    }
}

impl StoredNode<'static> {
    /// All but the data, which would have to be borrowed.
    pub fn without_data(node: &Node) -> StoredNode<'static> {
        StoredNode {
            czxid: node.czxid,
            mzxid: node.mzxid,
            pzxid: node.pzxid(),
            ctime: node.ctime,
            mtime: node.mtime,
            owner: node.owner,
            version: node.version,
            cversion: node.cversion(),
            aversion: node.aversion,
            acl: node.acl,
            data: None,
        }
    }
}

impl Tree {
    /// Lists of ACL entries that have numbers, the open one excepted.
    pub fn acl_lists(&self) -> impl Iterator<Item = (u32, &AclList)> {
        self.acls.lists()
    }

    pub fn restore_acl(&mut self, id: u32, list: AclList) {
        self.acls.restore(id, list);
    }

    pub fn restore_session(&mut self, session: SessionId, timeout_ms: i32) {
        self.sessions.insert(session, timeout_ms);
    }

    /// Parents come first. The error says why the store cannot be what this server wrote.
    pub fn restore_node(&mut self, path: &str, stored: StoredNode<'_>) -> Result<(), String> {
        let id = if path == "/" {
            self.slab.get_mut(NodeId::ROOT).set_data(stored.data);
            self.hash_body(NodeId::ROOT);
            NodeId::ROOT
        } else {
            let (parent_path, name) =
                path::split(path).ok_or_else(|| format!("{path:?} is not a path"))?;
            let parent = if parent_path.is_empty() {
                Some(NodeId::ROOT)
            } else {
                self.find(parent_path)
            };
            let parent = parent.ok_or_else(|| format!("{path} has no parent"))?;
            self.acls
                .take_id(stored.acl)
                .map_err(|e| format!("{path}: {e}"))?;
            let mut node = Node::new(name, stored.data);
            node.owner = stored.owner;
            self.insert(parent, path, node)
        };
        let node = self.slab.get_mut(id);
        node.czxid = stored.czxid;
        node.mzxid = stored.mzxid;
        node.ctime = stored.ctime;
        node.mtime = stored.mtime;
        node.version = stored.version;
        node.aversion = stored.aversion;
        node.acl = stored.acl;
        if id == NodeId::ROOT || stored.cversion != 0 || stored.pzxid != stored.czxid {
            self.ensure_dir(id);
            let dir = self.dir_mut(id);
            dir.cversion = stored.cversion;
            dir.pzxid = stored.pzxid;
        }
        self.rehash(id);
        // What a fuzzy snapshot shows of later transactions has their zxids: those of nodes that were deleted are
        // their parents' now. (Lists of ACL entries have none, so this is not quite all.)
        self.shows(stored.mzxid.max(stored.pzxid));
        self.slab.get(id).set_clean();
        Ok(())
    }

    /// A snapshot that was taken under load has something of this transaction in it.
    pub fn shows(&mut self, zxid: i64) {
        self.exact_from = self.exact_from.max(zxid);
    }

    /// Up to here the log has to be replayed before the tree is that of one zxid, whatever it says.
    pub fn exact_from(&self) -> Zxid {
        Zxid(self.exact_from)
    }

    /// After the last node, before the log is replayed.
    pub fn restored(&mut self, zxid: Zxid) {
        self.acls.restored();
        self.forget_changes();
        self.set_last_zxid(zxid);
    }

    /// The nodes that every tree has, where a stored one lacks them: servers before 3.5 had no configuration.
    pub fn add_reserved(&mut self) {
        let config_acl = AclList::from([AclEntry::world(perm::READ)]);
        for (path, acl) in [
            ("/zookeeper", self.open_acl()),
            (QUOTA_ROOT, self.open_acl()),
            (path::CONFIG, config_acl),
        ] {
            let parent = path::split(path).and_then(|(parent, _)| self.find(parent));
            if let (None, Some(parent)) = (self.find(path), parent) {
                let mut node = Node::new(path::split(path).map_or("", |(_, name)| name), Some(b""));
                node.acl = self.acls.take(acl);
                node.aversion = if path == path::CONFIG { -1 } else { 0 };
                let id = self.insert(parent, path, node);
                self.rehash(id);
            }
        }
    }

    /// Ephemerals without a session: nothing would ever remove them.
    pub fn orphans(&self) -> Vec<NodeId> {
        self.ephemerals
            .iter()
            .filter(|(session, _)| !self.sessions.contains_key(*session))
            .flat_map(|(_, nodes)| nodes.iter().copied())
            .collect()
    }
}
