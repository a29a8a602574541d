//! A whole tree goes to the disk, in the order of keys: tables that do not overlap are never merged.
//!
//! Nodes lie in memory as they came. To sort all of them at once would take the memory of a second tree, so the keys are
//! divided into parts of about as many bytes, and each part is sorted by itself.

use super::checkpoint::{acl_bytes, record, table_bytes};
use crate::storage::{CheckpointBatch, Install, StorageError};
use crate::tree::stored::StoredNode;
use crate::tree::{Node, NodeId, Tree};

/// Nodes that are looked at for each part, to find where it ends.
const SAMPLES: usize = 64;
/// What a node takes beside its path and its data.
const RECORD_BYTES: usize = 64;

/// Writes all of a tree into new stores.
pub fn write_whole(tree: &Tree, install: &Install) -> Result<(), StorageError> {
    let table_bytes = table_bytes(tree.data_bytes());
    let mut writer = install.begin()?;
    let mut batch = CheckpointBatch::new(install.zxid());
    for (id, list) in tree.acl_lists() {
        batch.put_acl(id, &acl_bytes(list));
    }
    for (session, timeout_ms) in tree.sessions() {
        batch.put_session(session.0, timeout_ms);
    }
    for part in divided(tree, table_bytes) {
        for id in part {
            let node = record(&StoredNode::of(tree.node(id)));
            batch.put_node(&tree.path_of(id), &node);
            // A part that is far larger than expected becomes tables that overlap.
            if batch.size_bytes() >= 2 * table_bytes {
                writer.put(&mut batch)?;
            }
        }
        if !batch.is_empty() {
            writer.put(&mut batch)?;
        }
    }
    writer.finish().map(drop)
}

/// All nodes, by the part of the keys that they are in.
fn divided(tree: &Tree, part_bytes: usize) -> Vec<Vec<NodeId>> {
    let bytes = tree.data_bytes() as usize + tree.node_count() * RECORD_BYTES;
    let borders = borders(tree, bytes.div_ceil(part_bytes));
    let mut parts = vec![Vec::new(); borders.len() + 1];
    for (id, _) in tree.all() {
        let path = tree.path_of(id);
        parts[borders.partition_point(|border| *border <= path)].push(id);
    }
    parts
}

/// Where each part but the first begins.
fn borders(tree: &Tree, parts: usize) -> Vec<String> {
    let weight = |node: &Node| node.name().len() + node.data_len() + RECORD_BYTES;
    let stride = (tree.node_count() / (parts * SAMPLES)).max(1);
    let samples = tree.all().step_by(stride);
    let mut samples: Vec<(String, usize)> = samples
        .map(|(id, node)| (tree.path_of(id), weight(node)))
        .collect();
    samples.sort_unstable();
    let part = samples.iter().map(|(_, weight)| weight).sum::<usize>() / parts;
    let mut borders = Vec::with_capacity(parts);
    let mut filled = 0;
    for (path, weight) in samples {
        filled += weight;
        if filled > part {
            borders.push(path);
            filled = 0;
        }
    }
    borders
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pipeline::recovery::Restoring;
    use crate::storage::{self, StorageConfig};

    const ZXID: i64 = (1 << 32) + 7;

    /// In an order that is not that of keys, with names that sort before the separator.
    fn tree(nodes: usize, bytes_of: impl Fn(usize) -> usize) -> Tree {
        let mut tree = Tree::new(true);
        for n in 0..nodes {
            let n = n * 7919 % nodes;
            let (parent, path) = (format!("/p{}", n % 10), format!("/p{}/n{n}", n % 10));
            for path in [parent.clone(), format!("{parent}-{n}"), path] {
                let data = vec![7; bytes_of(n)];
                let node = StoredNode {
                    mzxid: n as i64,
                    data: Some(&data),
                    ..StoredNode::default()
                };
                if tree.find(&path).is_none() {
                    tree.restore_node(&path, node).unwrap();
                }
            }
        }
        tree
    }

    fn paths(tree: &Tree, part: &[NodeId]) -> Vec<String> {
        part.iter().map(|id| tree.path_of(*id)).collect()
    }

    #[test]
    fn parts_follow_one_another_and_hold_every_node_once() {
        let tree = tree(5000, |n| 10 * usize::from(n < 100));
        let parts = divided(&tree, 64 << 10);
        assert!((8..40).contains(&parts.len()), "{} parts", parts.len());
        let mut all = Vec::new();
        for part in &parts {
            let mut part = paths(&tree, part);
            part.sort_unstable();
            assert!(part.len() < 2 * tree.node_count() / parts.len());
            all.append(&mut part);
        }
        assert!(all.is_sorted(), "parts overlap");
        all.dedup();
        assert_eq!(all.len(), tree.node_count());
    }

    #[test]
    fn large_nodes_are_not_in_one_part_with_many_small_ones() {
        let tree = tree(1000, |n| 10_000 * usize::from(n % 10 == 3));
        let bytes =
            |part: &Vec<NodeId>| -> usize { part.iter().map(|id| tree.node(*id).data_len()).sum() };
        let parts = divided(&tree, 100 << 10);
        assert!(parts.iter().map(bytes).all(|bytes| bytes < 300 << 10));
    }

    #[test]
    fn a_small_tree_is_one_part() {
        assert_eq!(divided(&Tree::new(true), 1 << 20).len(), 1);
    }

    #[test]
    fn the_tree_comes_back_and_has_no_tables_that_wait_to_be_merged() {
        let dir = tempfile::tempdir().unwrap();
        let config = StorageConfig {
            warm_log: false,
            ..StorageConfig::new(dir.path())
        };
        let open = || {
            let mut restoring = Restoring::new(true, true);
            let storage = storage::open(&config, &mut restoring).unwrap();
            (storage, restoring.finish())
        };
        let stored = |tree: &Tree| {
            let nodes = tree.all();
            let mut nodes: Vec<String> = nodes
                .map(|(id, node)| format!("{} {:?}", tree.path_of(id), StoredNode::of(node)))
                .collect();
            nodes.sort_unstable();
            nodes
        };
        let tree = tree(400, |_| 50_000);
        assert!(divided(&tree, table_bytes(tree.data_bytes())).len() > 2);
        {
            let (mut storage, _) = open();
            let install = storage.places.begin_install(ZXID).unwrap();
            write_whole(&tree, &install).unwrap();
            install.switch(&mut storage.log, &storage.state).unwrap();
            // Of nothing but the end of the installation.
            assert!(storage.state.waiting_tables() <= 1);
        }
        let (storage, found) = open();
        assert_eq!(storage.state.durable_zxid(), ZXID);
        assert_eq!(stored(&found), stored(&tree));
    }
}
