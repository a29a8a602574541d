//! What changed since the last checkpoint, and the image that a checkpoint takes over time.
//!
//! An image is exact at the zxid at which it began, but its nodes are taken little by little, under the shared
//! lock, while the tree goes on changing: whoever is about to change a node that was not taken yet saves what it
//! was. So beginning an image costs no more than swapping the lists, however many nodes changed.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::acl::AclList;
use super::stored::StoredNode;
use super::{NodeId, Set, Tree};
use crate::ids::{SessionId, Zxid};

#[derive(Default)]
pub(super) struct Changes {
    /// A slot may be listed twice, for a node that went and one that came.
    nodes: NodeList,
    /// Only nodes that a checkpoint knows.
    pub removed: Vec<Box<str>>,
    pub sessions: Set<SessionId>,
    /// Which of a node's marks says that it changed since the last image began. The other one says that it is
    /// still to be taken.
    turn: usize,
    under_way: AtomicBool,
    saved: Mutex<Vec<Saved>>,
}

/// A node as it was when the image began.
struct Saved {
    path: Box<str>,
    data: Option<Box<[u8]>>,
    /// Without the data.
    rest: StoredNode<'static>,
}

/// Ids in blocks. The list grows while the tree is locked, and memory that large is slow to come by: nothing is moved
/// to make room.
#[derive(Default)]
struct NodeList {
    blocks: Vec<Vec<NodeId>>,
}

const BLOCK_NODES: usize = 1 << 14;

impl NodeList {
    fn push(&mut self, id: NodeId) {
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK_NODES => block.push(id),
            _ => self.blocks.push(vec![id]),
        }
    }

    fn len(&self) -> usize {
        let last = self.blocks.last().map_or(0, Vec::len);
        self.blocks.len().saturating_sub(1) * BLOCK_NODES + last
    }

    /// At most `count` ids that follow one another from that place on; none at the end.
    fn piece(&self, from: usize, count: usize) -> &[NodeId] {
        let rest = self.blocks.get(from / BLOCK_NODES);
        let rest = rest.map_or(&[][..], |block| &block[from % BLOCK_NODES..]);
        &rest[..rest.len().min(count)]
    }
}

/// Everything that changed up to one zxid. Removals have to be written first, so that a path that was used
/// again keeps what it holds.
pub struct Image {
    pub zxid: Zxid,
    pub removed: Vec<Box<str>>,
    pub acls: Vec<(u32, Option<AclList>)>,
    pub sessions: Vec<(SessionId, Option<i32>)>,
    nodes: NodeList,
    taken: usize,
    turn: usize,
}

impl Image {
    /// Nodes that were listed, and how many of them were looked at.
    pub fn progress(&self) -> (usize, usize) {
        (self.taken, self.nodes.len())
    }
}

impl Tree {
    /// How much a checkpoint that begins now would write.
    pub fn change_count(&self) -> usize {
        self.changes.nodes.len() + self.changes.removed.len() + self.changes.sessions.len()
    }

    /// What is to be written to bring a store from the last image to now. To be taken to its end by
    /// [`Tree::take_nodes`] before the next one begins.
    pub fn begin_image(&mut self) -> Image {
        let changes = &mut self.changes;
        let was_under_way = std::mem::replace(changes.under_way.get_mut(), true);
        assert!(!was_under_way, "an image begins before the last one ended");
        let turn = changes.turn;
        changes.turn = 1 - turn;
        let acls = std::mem::take(&mut self.acls.dirty);
        let sessions = std::mem::take(&mut changes.sessions);
        Image {
            zxid: self.last,
            removed: std::mem::take(&mut changes.removed),
            acls: acls
                .into_iter()
                .map(|id| (id, self.acls.find(id).cloned()))
                .collect(),
            sessions: sessions
                .into_iter()
                .map(|id| (id, self.sessions.get(&id).copied()))
                .collect(),
            nodes: std::mem::take(&mut changes.nodes),
            taken: 0,
            turn,
        }
    }

    /// Gives up to `count` nodes of the image and those that were saved; `false` when it was the last time.
    pub fn take_nodes(
        &self,
        image: &mut Image,
        count: usize,
        mut visit: impl FnMut(&str, &StoredNode<'_>),
    ) -> bool {
        for saved in std::mem::take(&mut *self.changes.saved.lock()) {
            let data = saved.data.as_deref();
            visit(&saved.path, &StoredNode { data, ..saved.rest });
        }
        let mut path = String::new();
        let end = image.nodes.len().min(image.taken.saturating_add(count));
        while image.taken < end {
            let next = image.nodes.piece(image.taken, end - image.taken);
            if self.is_large() {
                self.fetch_nodes(next);
            }
            for &id in next {
                let node = self.slab.get(id);
                if node.is_live() && node.has_changed(image.turn) {
                    self.path_into(id, &mut path);
                    visit(&path, &StoredNode::of(node));
                    node.set_taken(image.turn);
                }
            }
            image.taken += next.len();
        }
        let more = end < image.nodes.len();
        self.changes.under_way.store(more, Ordering::Release);
        more
    }

    /// To be called before a node changes.
    pub(super) fn mark(&mut self, id: NodeId) {
        let turn = self.changes.turn;
        if !self.slab.get(id).has_changed(turn) {
            self.save(id);
            self.slab.get_mut(id).set_changed(turn);
            self.changes.nodes.push(id);
        }
    }

    /// To be called before a node goes.
    pub(super) fn save(&mut self, id: NodeId) {
        let turn = 1 - self.changes.turn;
        let node = self.slab.get(id);
        if !node.has_changed(turn) {
            return;
        }
        let stored = StoredNode::of(node);
        let saved = Saved {
            path: self.path_of(id).into_boxed_str(),
            data: stored.data.map(Box::from),
            rest: StoredNode {
                data: None,
                ..stored
            },
        };
        node.set_taken(turn);
        self.changes.saved.get_mut().push(saved);
    }

    /// The store has the tree as it is.
    pub(super) fn forget_changes(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        for id in changes.nodes.blocks.into_iter().flatten() {
            self.slab.get(id).set_clean();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::{Kind, NewNode};
    use super::*;

    /// Data, version and child counter.
    type Content = (Vec<u8>, i32, i32);
    /// What a store would hold.
    type Store = BTreeMap<String, Content>;

    fn live(tree: &Tree) -> Store {
        let entry = |(id, node): (NodeId, &super::super::Node)| {
            let data = node.data().unwrap_or_default().to_vec();
            (tree.path_of(id), (data, node.version, node.cversion()))
        };
        tree.all().map(entry).collect()
    }

    /// An image that is being written, with what it has to come to.
    struct UnderWay {
        image: Image,
        nodes: Vec<(String, Content)>,
        expected: Store,
    }

    impl UnderWay {
        fn begin(tree: &mut Tree) -> UnderWay {
            UnderWay {
                expected: live(tree),
                image: tree.begin_image(),
                nodes: Vec::new(),
            }
        }

        fn take(&mut self, tree: &Tree, count: usize) -> bool {
            let nodes = &mut self.nodes;
            tree.take_nodes(&mut self.image, count, |path, node| {
                let data = node.data.unwrap_or_default().to_vec();
                nodes.push((path.to_owned(), (data, node.version, node.cversion)));
            })
        }

        fn end(mut self, tree: &Tree, store: &mut Store) {
            while self.take(tree, 3) {}
            for path in &self.image.removed {
                assert!(store.remove(&**path).is_some(), "{path} was never stored");
            }
            let count = self.nodes.len();
            let nodes: BTreeMap<_, _> = self.nodes.into_iter().collect();
            assert_eq!(nodes.len(), count, "a node was taken twice");
            store.extend(nodes);
            assert_eq!(*store, self.expected);
        }
    }

    fn create(tree: &mut Tree, path: &str, zxid: i64) {
        let acl = tree.open_acl();
        let _ = tree.create(NewNode {
            path,
            data: Some(b"new"),
            acl,
            kind: Kind::Persistent,
            parent_cversion: -1,
            zxid,
            time: 0,
        });
        tree.set_last_zxid(Zxid(zxid));
    }

    #[test]
    fn what_comes_and_goes_between_two_images_is_never_stored() {
        let mut tree = Tree::new(true);
        let mut store = Store::new();
        UnderWay::begin(&mut tree).end(&tree, &mut store);
        create(&mut tree, "/a", 1);
        let id = tree.find("/a").unwrap();
        tree.delete(id, 2);
        let mut image = UnderWay::begin(&mut tree);
        assert!(image.image.removed.is_empty());
        image.take(&tree, usize::MAX);
        let paths: Vec<_> = image.nodes.iter().map(|(path, _)| &**path).collect();
        assert_eq!(paths, ["/"]);
    }

    #[test]
    fn a_list_of_several_blocks_is_given_piece_by_piece() {
        let mut list = NodeList::default();
        let count = 2 * BLOCK_NODES + 10;
        for id in 0..count as u32 {
            assert_eq!(list.len(), id as usize);
            list.push(NodeId(id));
        }
        let mut seen = Vec::new();
        while let piece @ [_, ..] = list.piece(seen.len(), BLOCK_NODES - 1) {
            seen.extend_from_slice(piece);
        }
        assert_eq!(seen, (0..count as u32).map(NodeId).collect::<Vec<_>>());
        assert!(NodeList::default().piece(0, 1).is_empty());
    }

    #[test]
    #[should_panic(expected = "before the last one ended")]
    fn images_do_not_overlap() {
        let mut tree = Tree::new(true);
        let _first = tree.begin_image();
        let _second = tree.begin_image();
    }

    #[derive(Clone, Debug)]
    enum Step {
        Create(u8),
        Set(u8, u8),
        Delete(u8),
        Begin,
        Take(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..30u8).prop_map(Step::Create),
            4 => (0..30u8, any::<u8>()).prop_map(|(n, v)| Step::Set(n, v)),
            3 => (0..30u8).prop_map(Step::Delete),
            1 => Just(Step::Begin),
            2 => (0..5usize).prop_map(Step::Take),
        ]
    }

    /// Ten nodes below the root, and two below each.
    fn path(n: u8) -> String {
        match n {
            0..10 => format!("/{n}"),
            _ => format!("/{}/{n}", n % 10),
        }
    }

    proptest! {
        #[test]
        fn an_image_is_what_was_when_it_began(steps in proptest::collection::vec(step(), 1..200)) {
            let mut tree = Tree::new(true);
            let mut store = Store::new();
            let mut under_way: Option<UnderWay> = None;
            for (zxid, step) in steps.into_iter().enumerate() {
                let zxid = zxid as i64 + 1;
                match step {
                    Step::Create(n) => create(&mut tree, &path(n), zxid),
                    Step::Set(n, v) => if let Some(id) = tree.find(&path(n)) {
                        let version = tree.node(id).version + 1;
                        tree.set_data(id, Some(&vec![v; v as usize]), version, zxid, 0);
                    },
                    Step::Delete(n) => match tree.find(&path(n)) {
                        Some(id) if tree.node(id).child_count() == 0 => tree.delete(id, zxid),
                        _ => {}
                    },
                    Step::Begin => {
                        if let Some(last) = under_way.take() {
                            last.end(&tree, &mut store);
                        }
                        under_way = Some(UnderWay::begin(&mut tree));
                    }
                    Step::Take(count) => if let Some(mut image) = under_way.take() {
                        if image.take(&tree, count) {
                            under_way = Some(image);
                        } else {
                            image.end(&tree, &mut store);
                        }
                    },
                }
            }
            if let Some(last) = under_way.take() {
                last.end(&tree, &mut store);
            }
            UnderWay::begin(&mut tree).end(&tree, &mut store);
        }
    }
}
