//! A whole tree as a value: what a checkpoint keeps and what crosses the network in a snapshot, and the digest by
//! which two trees are compared. Knows no disk and no link.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use crate::ids::{SessionId, Zxid};
use crate::ops;
use crate::tree::acl::AclList;
use crate::tree::stored::StoredNode;
use crate::tree::{Node, NodeId, Tree};

struct StoredOwned {
    path: String,
    node: StoredNode<'static>,
    data: Option<Box<[u8]>>,
}

pub struct Image {
    pub zxid: Zxid,
    acls: BTreeMap<u32, AclList>,
    sessions: BTreeMap<SessionId, i32>,
    nodes: Vec<StoredOwned>,
}

/// The path as it is stored: the root is "/".
fn stored_path(tree: &Tree, id: NodeId) -> String {
    let path = tree.path_of(id);
    if path.is_empty() {
        "/".to_owned()
    } else {
        path
    }
}

impl Image {
    pub fn of(tree: &Tree) -> Image {
        let mut acls = BTreeMap::new();
        let mut nodes = Vec::with_capacity(tree.node_count());
        tree.walk(NodeId::ROOT, &mut |id, node| {
            let stored = StoredNode::without_data(node);
            acls.entry(stored.acl)
                .or_insert_with(|| tree.acl(node).clone());
            nodes.push(StoredOwned {
                path: stored_path(tree, id),
                data: node.data().map(Box::from),
                node: stored,
            });
        });
        Image {
            zxid: tree.last_zxid(),
            acls,
            sessions: tree.sessions().collect(),
            nodes,
        }
    }

    pub fn to_tree(&self) -> Tree {
        let mut tree = Tree::bare(true);
        for (id, list) in &self.acls {
            tree.restore_acl(*id, list.clone());
        }
        for (session, timeout_ms) in &self.sessions {
            tree.restore_session(*session, *timeout_ms);
        }
        for StoredOwned { path, node, data } in &self.nodes {
            let node = StoredNode {
                data: data.as_deref(),
                ..*node
            };
            if let Err(why) = tree.restore_node(path, node) {
                panic!("an image of our own cannot be restored: {why}");
            }
        }
        tree.restored(self.zxid);
        ops::retally_quotas(&mut tree);
        tree
    }
}

/// Equal for equal trees and session tables, whatever order they were built in.
pub fn digest(tree: &Tree) -> u64 {
    let mut sum = 0u64;
    for (id, node) in tree.all() {
        sum = sum.wrapping_add(node_hash(&tree.path_of(id), node));
    }
    for (session, timeout_ms) in tree.sessions() {
        let mut hasher = Fnv::default();
        (session.0, timeout_ms).hash(&mut hasher);
        sum = sum.wrapping_add(hasher.finish());
    }
    sum
}

fn node_hash(path: &str, node: &Node) -> u64 {
    // A member's own rewriting of its configuration is no transaction.
    if path == "/zookeeper/config" {
        return 0;
    }
    let mut hasher = Fnv::default();
    hasher.write(path.as_bytes());
    let stored = StoredNode::of(node);
    stored.data.unwrap_or_default().hash(&mut hasher);
    let numbers = [
        stored.czxid,
        stored.mzxid,
        stored.pzxid,
        stored.ctime,
        stored.mtime,
        stored.owner,
    ];
    numbers.hash(&mut hasher);
    (stored.version, stored.cversion, stored.aversion).hash(&mut hasher);
    hasher.finish()
}

/// FNV-1a: the standard hasher's keys are random.
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x100_0000_01b3);
            self.0 ^= self.0 >> 29;
        }
    }

    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (self.0 >> 32)
    }
}
