//! Memory for requests that are about to come. On a tree far larger than the processor's caches a request waits for
//! memory half a dozen times, each time for what the last answer named. Here the waits of many requests overlap.

use std::hint::black_box;

use super::index::PathHash;
use super::{NodeId, Tree};

/// Nodes up to which a tree is taken to be in the caches.
const CACHED_NODES: usize = 1 << 16;
/// Nodes that are fetched at once: no more than the nearest cache holds.
const AT_ONCE: usize = 64;

impl Tree {
    /// Whether it is worth the while to fetch nodes ahead.
    pub fn is_large(&self) -> bool {
        self.node_count() > CACHED_NODES
    }

    /// Looks at what finding the nodes of the first of these paths will look at. Returns how many paths that were.
    pub fn fetch<'p>(&self, paths: impl Iterator<Item = &'p str>) -> usize {
        let mut hashes = [PathHash::default(); AT_ONCE];
        let mut count = 0;
        for (place, path) in hashes.iter_mut().zip(paths) {
            *place = self.index.hash(path);
            count += 1;
        }
        let hashes = &hashes[..count];
        if count < 2 {
            // Nobody to wait together with.
            return count;
        }
        for hash in hashes {
            black_box(self.index.touch(*hash));
        }
        let mut found = [NodeId::ROOT; AT_ONCE];
        for (place, hash) in found.iter_mut().zip(hashes) {
            *place = self.index.propose(*hash).unwrap_or(NodeId::ROOT);
        }
        self.fetch_nodes(&found[..count]);
        count
    }

    /// The same, where the nodes are known.
    ///
    /// Each loop is a row of loads that do not depend on one another and are few instructions apart, so the processor
    /// has all of them under way at once.
    pub(super) fn fetch_nodes(&self, ids: &[NodeId]) {
        let nodes = || ids.iter().map(|id| self.slab.get(*id));
        let parents = || nodes().map(|node| self.slab.get(node.parent_or_root()));
        for node in nodes() {
            black_box(node.touch());
        }
        for node in nodes() {
            black_box(node.touch_bytes());
        }
        for parent in parents() {
            black_box(parent.dir.is_some());
        }
        for dir in parents().filter_map(|parent| parent.dir.as_ref()) {
            black_box(dir.path.as_ptr());
        }
        for dir in parents().filter_map(|parent| parent.dir.as_ref()) {
            black_box(dir.path.as_bytes().first());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Kind, NewNode};
    use super::*;

    fn create(tree: &mut Tree, path: &str, data: Option<&[u8]>) {
        let node = NewNode {
            path,
            data,
            acl: tree.open_acl(),
            kind: Kind::Persistent,
            parent_cversion: -1,
            zxid: 1,
            time: 0,
        };
        tree.create(node).unwrap();
    }

    #[test]
    fn paths_may_be_anything_and_nodes_may_be_gone() {
        let mut tree = Tree::new(true);
        create(&mut tree, "/a", None);
        create(&mut tree, "/a/long", Some(&[1; 1000]));
        create(&mut tree, "/a/gone", Some(b""));
        let gone = tree.find("/a/gone").unwrap();
        tree.delete(gone, 2);
        let paths = ["/", "", "/a", "/a/long", "/a/gone", "/b", "/b/c", "//", "a"];
        assert_eq!(tree.fetch(paths.into_iter()), paths.len());
        tree.fetch_nodes(&[NodeId::ROOT, gone]);
    }

    #[test]
    fn it_is_done_in_pieces() {
        let tree = Tree::new(true);
        let mut paths = std::iter::repeat_n("/zookeeper", AT_ONCE + 1);
        assert_eq!(tree.fetch(&mut paths), AT_ONCE);
        assert_eq!(tree.fetch(&mut paths), 1);
        assert_eq!(tree.fetch(&mut paths), 0);
    }
}
