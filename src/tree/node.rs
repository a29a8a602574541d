//! Nodes in memory: a slab of fixed-size entries in chunks, so that growing never moves or pauses anything.
//!
//! Answers to `DataNode`. What only a parent needs (its path, its children, their counters) is in a [`Dir`]
//! that a node gets with its first child and then keeps: most nodes are leaves and pay eight bytes for it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use super::digest::{NodeDigest, Numbers};

/// Index into the slab. Reused after a node is gone, so it is only as good as the lock it was found under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) u32);

impl NodeId {
    pub const ROOT: NodeId = NodeId(0);
    pub(super) const NONE: NodeId = NodeId(u32::MAX);
}

/// The stored `ephemeralOwner` of a container.
pub const CONTAINER_OWNER: i64 = i64::MIN;
/// Bits 63 to 56 of the stored owner of a TTL node; bits 39 to 0 hold the milliseconds.
const TTL_MARK: u64 = 0xff << 56;
/// The longest time to live that the 40 bits can hold.
pub const TTL_MS_MAX: i64 = 0xff_ffff_ffff;

/// What a stored `ephemeralOwner` says about its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Persistent,
    Ephemeral(i64),
    Container,
    Ttl(i64),
}

impl Kind {
    /// `extended` is `extendedTypesEnabled`: without it a TTL mark reads as an ordinary session id.
    pub fn of(owner: i64, extended: bool) -> Kind {
        match owner {
            0 => Kind::Persistent,
            CONTAINER_OWNER => Kind::Container,
            o if extended && (o as u64) & TTL_MARK == TTL_MARK => Kind::Ttl(o & TTL_MS_MAX),
            o => Kind::Ephemeral(o),
        }
    }

    pub fn owner(self) -> i64 {
        match self {
            Kind::Persistent => 0,
            Kind::Ephemeral(session) => session,
            Kind::Container => CONTAINER_OWNER,
            Kind::Ttl(ms) => TTL_MARK as i64 | ms,
        }
    }

    pub fn allows_children(self) -> bool {
        !matches!(self, Kind::Ephemeral(_))
    }
}

#[derive(Debug)]
pub struct Node {
    pub czxid: i64,
    pub mzxid: i64,
    pub ctime: i64,
    pub mtime: i64,
    pub owner: i64,
    pub version: i32,
    pub aversion: i32,
    pub acl: u32,
    name_len: u32,
    pub(super) parent: NodeId,
    pub(super) next: NodeId,
    pub(super) prev: NodeId,
    flags: Flags,
    pub(super) digest: NodeDigest,
    /// Name, then data, in one allocation.
    buf: Box<[u8]>,
    pub(super) dir: Option<Box<Dir>>,
}

/// The part of a node that has, or once had, children.
#[derive(Debug)]
pub struct Dir {
    /// Without a final slash; the root's is empty, so `path + "/" + name` is right for every child.
    pub path: Box<str>,
    pub(super) first: NodeId,
    pub count: u32,
    /// Children ever created: the next sequence number.
    pub cversion: i32,
    pub pzxid: i64,
    /// The jute bytes of the list of names, kept until the list changes.
    pub(super) listing: OnceLock<Box<[u8]>>,
}

const NULL_DATA: u8 = 1;
/// The slot is in use.
const LIVE: u8 = 2;
/// A checkpoint has written the node: its end has to be written, too.
const STORED: u8 = 4;
/// Changed since the last checkpoint began, and changed before the one under way began; which is which
/// turns with every checkpoint, so that beginning one touches no node.
const CHANGED: [u8; 2] = [8, 16];
/// Part of the tree's digest.
const COUNTS: u8 = 32;

/// Atomic because a checkpoint takes nodes under the shared lock. Only it writes there; everybody else who
/// writes has the tree for himself.
#[derive(Debug)]
struct Flags(AtomicU8);

impl Flags {
    fn has(&self, flag: u8) -> bool {
        self.0.load(Ordering::Relaxed) & flag != 0
    }

    fn set(&mut self, flag: u8, on: bool) {
        let flags = self.0.get_mut();
        *flags = if on { *flags | flag } else { *flags & !flag };
    }

    fn swap(&self, clear: u8, set: u8) {
        let flags = self.0.load(Ordering::Relaxed);
        self.0.store(flags & !clear | set, Ordering::Relaxed);
    }
}

impl Node {
    pub(super) fn new(name: &str, data: Option<&[u8]>) -> Node {
        let mut node = Node {
            czxid: 0,
            mzxid: 0,
            ctime: 0,
            mtime: 0,
            owner: 0,
            version: 0,
            aversion: 0,
            acl: 0,
            name_len: name.len() as u32,
            parent: NodeId::NONE,
            next: NodeId::NONE,
            prev: NodeId::NONE,
            flags: Flags(AtomicU8::new(LIVE)),
            digest: NodeDigest::default(),
            buf: Box::default(),
            dir: None,
        };
        node.fill(name.as_bytes(), data);
        node
    }

    fn fill(&mut self, name: &[u8], data: Option<&[u8]>) {
        let bytes = data.unwrap_or_default();
        let mut buf = Vec::with_capacity(name.len() + bytes.len());
        buf.extend_from_slice(name);
        buf.extend_from_slice(bytes);
        self.buf = buf.into_boxed_slice();
        self.flags.set(NULL_DATA, data.is_none());
    }

    pub fn name(&self) -> &str {
        // SAFETY: `fill` wrote exactly the bytes of a `str` of this length there.
        unsafe { std::str::from_utf8_unchecked(&self.buf[..self.name_len as usize]) }
    }

    pub fn data(&self) -> Option<&[u8]> {
        (!self.flags.has(NULL_DATA)).then(|| &self.buf[self.name_len as usize..])
    }

    pub(super) fn name_and_data(&self) -> &[u8] {
        &self.buf
    }

    pub fn data_len(&self) -> usize {
        self.buf.len() - self.name_len as usize
    }

    pub(super) fn set_data(&mut self, data: Option<&[u8]>) {
        let start = self.name_len as usize;
        match data {
            Some(new) if new.len() == self.data_len() => {
                self.buf[start..].copy_from_slice(new);
                self.flags.set(NULL_DATA, false);
            }
            _ => {
                let old = std::mem::take(&mut self.buf);
                self.fill(&old[..start], data);
            }
        }
    }

    pub fn child_count(&self) -> u32 {
        self.dir.as_ref().map_or(0, |d| d.count)
    }

    /// The raw counter: children ever created.
    pub fn cversion(&self) -> i32 {
        self.dir.as_ref().map_or(0, |d| d.cversion)
    }

    pub fn pzxid(&self) -> i64 {
        self.dir.as_ref().map_or(self.czxid, |d| d.pzxid)
    }

    /// What the digest covers besides path and data.
    pub fn numbers(&self) -> Numbers {
        Numbers {
            czxid: self.czxid,
            mzxid: self.mzxid,
            pzxid: self.pzxid(),
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.cversion(),
            aversion: self.aversion,
            owner: self.owner,
        }
    }

    pub fn digest(&self) -> NodeDigest {
        self.digest
    }

    /// Reads from each of the cache lines that the node is in.
    pub(super) fn touch(&self) -> i64 {
        let bytes = self.name_len ^ u32::from(self.flags.0.load(Ordering::Relaxed));
        let links = self.parent.0 ^ self.buf.len() as u32;
        self.czxid ^ self.owner ^ self.mtime ^ i64::from(bytes ^ links ^ self.dir.is_some() as u32)
    }

    /// The same of name and data, of their beginning if they are long.
    pub(super) fn touch_bytes(&self) -> u8 {
        const LINE: usize = 64;
        const LINES: usize = 3;
        let is_short = self.buf.len() <= LINE * LINES;
        let end = self.buf.last().filter(|_| is_short);
        let lines = self.buf.iter().step_by(LINE).take(LINES);
        lines.chain(end).fold(0, |sum, byte| sum ^ byte)
    }

    pub(super) fn parent_or_root(&self) -> NodeId {
        match self.parent {
            NodeId::NONE => NodeId::ROOT,
            parent => parent,
        }
    }

    pub(super) fn counts(&self) -> bool {
        self.flags.has(COUNTS)
    }

    pub(super) fn set_counts(&mut self) {
        self.flags.set(COUNTS, true);
    }

    pub(super) fn is_live(&self) -> bool {
        self.flags.has(LIVE)
    }

    pub(super) fn is_stored(&self) -> bool {
        self.flags.has(STORED)
    }

    /// Changed in the period of that turn, and not taken since.
    pub(super) fn has_changed(&self, turn: usize) -> bool {
        self.flags.has(CHANGED[turn])
    }

    pub(super) fn set_changed(&mut self, turn: usize) {
        self.flags.set(CHANGED[turn], true);
    }

    /// What changed in that turn is with the checkpoint.
    pub(super) fn set_taken(&self, turn: usize) {
        self.flags.swap(CHANGED[turn], STORED);
    }

    /// As the store has it.
    pub(super) fn set_clean(&self) {
        self.flags.swap(CHANGED[0] | CHANGED[1], STORED);
    }
}

const CHUNK: usize = 4096;

/// Nodes by id. A chunk never moves.
#[derive(Debug, Default)]
pub(super) struct Slab {
    chunks: Vec<Vec<Node>>,
    free: Vec<NodeId>,
    live: usize,
}

impl Slab {
    pub(super) fn insert(&mut self, node: Node) -> NodeId {
        self.live += 1;
        if let Some(id) = self.free.pop() {
            *self.get_mut(id) = node;
            return id;
        }
        if self.chunks.last().is_none_or(|c| c.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunk_index = self.chunks.len() - 1;
        let chunk = &mut self.chunks[chunk_index];
        let id = chunk_index * CHUNK + chunk.len();
        assert!(id < u32::MAX as usize, "more than 2^32 - 1 nodes");
        chunk.push(node);
        NodeId(id as u32)
    }

    pub(super) fn remove(&mut self, id: NodeId) -> Node {
        self.live -= 1;
        self.free.push(id);
        let mut gone = Node::new("", None);
        gone.flags.set(LIVE, false);
        std::mem::replace(self.get_mut(id), gone)
    }

    pub(super) fn get(&self, id: NodeId) -> &Node {
        &self.chunks[id.0 as usize / CHUNK][id.0 as usize % CHUNK]
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.chunks[id.0 as usize / CHUNK][id.0 as usize % CHUNK]
    }

    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Ids are below this, whether or not their place is in use.
    pub(super) fn places(&self) -> u32 {
        let last = self.chunks.last().map_or(0, |chunk| chunk.len());
        (self.chunks.len().saturating_sub(1) * CHUNK + last) as u32
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.chunks
            .iter()
            .flatten()
            .enumerate()
            .filter(|(_, n)| n.is_live())
            .map(|(i, n)| (NodeId(i as u32), n))
    }
}
