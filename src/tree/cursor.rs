//! A walk over the nodes of a tree that goes on changing between the steps.
//!
//! Nodes keep their place in the slab as long as they live, so the walk goes over places and remembers for each, in
//! one bit, that its node was shown. A node that was there when the walk began, and still is when its turn comes, is
//! shown once, behind its parent. Nodes that were made later are left out: who takes the result takes the
//! transactions after its zxid as well, and those make them again.

use super::{Node, NodeId, Tree};
use crate::ids::Zxid;

pub struct Cursor {
    next: u32,
    end: u32,
    /// Nodes made by later transactions are not shown.
    as_of: Zxid,
    shown: Vec<u64>,
    /// From a node that is not shown yet up to the first whose parent is.
    line: Vec<NodeId>,
}

impl Cursor {
    pub fn new(tree: &Tree) -> Cursor {
        let end = tree.slab.places();
        Cursor {
            next: 0,
            end,
            as_of: tree.last_zxid(),
            shown: vec![0; (end as usize).div_ceil(64)],
            line: Vec::new(),
        }
    }

    pub fn as_of(&self) -> Zxid {
        self.as_of
    }

    /// Shows nodes, at least one, until `visit` says that it is enough for now or all were shown. The root's path
    /// is "". Returns whether there may be more.
    pub fn advance(&mut self, tree: &Tree, mut visit: impl FnMut(&str, &Node) -> bool) -> bool {
        let mut path = String::new();
        let mut more = true;
        while self.next < self.end && more {
            let mut id = NodeId(self.next);
            self.next += 1;
            self.line.clear();
            while self.is_due(tree, id) {
                self.line.push(id);
                if id == NodeId::ROOT {
                    break;
                }
                id = tree.slab.get(id).parent;
            }
            while let Some(id) = self.line.pop() {
                self.shown[id.0 as usize / 64] |= 1 << (id.0 % 64);
                let node = tree.slab.get(id);
                path.clear();
                if id != NodeId::ROOT {
                    path.push_str(tree.dir(node.parent).map_or("", |dir| &*dir.path));
                    path.push('/');
                    path.push_str(node.name());
                }
                more &= visit(&path, node);
            }
        }
        self.next < self.end
    }

    fn is_due(&self, tree: &Tree, id: NodeId) -> bool {
        let node = tree.slab.get(id);
        let was_shown = |word: &u64| word >> (id.0 % 64) & 1 == 1;
        node.is_live()
            && node.czxid <= self.as_of.0
            && !self.shown.get(id.0 as usize / 64).is_none_or(was_shown)
    }
}
