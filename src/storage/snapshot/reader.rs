//! From bytes, as they arrive, to a new tree.
//!
//! What a stranger sent decides about nothing but the tree itself: counts are counted down, not reserved for, one
//! string or buffer has a limit, and what is no snapshot is an error that names the place and what was expected
//! there. The tree that is in use is not touched.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use serde::Deserialize;

use super::{
    AclRecord, Adler32, DigestRecord, END, FileHeader, MAGIC, NodeRecord, OPEN_KEY, SIGNATURE,
    Seal, SessionRecord, VERSION,
};
use crate::auth::AclEntry;
use crate::ids::{SessionId, Zxid};
use crate::ops;
use crate::tree::acl::{self, AclList};
use crate::tree::stored::StoredNode;
use crate::tree::{Tree, digest};
use jute::Text;

/// What one item may be long at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of a string or buffer: `jute.maxbuffer` and its extra size.
    pub field_bytes_max: usize,
}

/// Room in an item for what is not its one or two long fields.
const REST_OF_ITEM: usize = 64 << 10;
/// The parts behind the nodes of a file together; they are looked at when the file has ended.
const TAIL_BYTES_MAX: usize = 1024;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset} of the snapshot: expected {expected}, found {found}")]
pub struct SnapshotError {
    /// Of the item that is wrong.
    pub offset: u64,
    pub expected: &'static str,
    pub found: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    SessionCount,
    Sessions(u32),
    AclCount,
    Acls(u32),
    Nodes,
    Signature,
    /// A file's seals and what is between them.
    Tail,
    Complete,
}

/// What a snapshot held.
pub struct Snapshot {
    pub tree: Tree,
    /// The digest at the zxid that it says, which may be above the snapshot's.
    pub digest: Option<(Zxid, u64)>,
}

pub struct SnapshotReader {
    stage: Stage,
    is_file: bool,
    limits: Limits,
    tree: Tree,
    /// Our numbers of ACL lists by Java's keys.
    keys: HashMap<i64, u32, RandomState>,
    numbers: HashMap<AclList, u32, RandomState>,
    /// The beginning of an item whose end has not come yet.
    carry: Vec<u8>,
    /// Of the first byte that no item was made of.
    offset: u64,
    sum: Adler32,
    digest: Option<(Zxid, u64)>,
    /// What a file says at its end.
    last: Option<Zxid>,
    has_root: bool,
}

impl SnapshotReader {
    /// For what follows a SNAP packet. `into` is a [`Tree::bare`].
    pub fn packet(into: Tree, limits: Limits) -> SnapshotReader {
        Self::new(into, limits, Stage::SessionCount, false)
    }

    /// For the content of a snapshot file.
    pub fn file(into: Tree, limits: Limits) -> SnapshotReader {
        Self::new(into, limits, Stage::Header, true)
    }

    fn new(tree: Tree, limits: Limits, stage: Stage, is_file: bool) -> SnapshotReader {
        let mut numbers = HashMap::default();
        numbers.insert(tree.open_acl(), acl::OPEN);
        SnapshotReader {
            stage,
            is_file,
            limits,
            tree,
            keys: HashMap::default(),
            numbers,
            carry: Vec::new(),
            offset: 0,
            sum: Adler32::default(),
            digest: None,
            last: None,
            has_root: false,
        }
    }

    /// Takes the bytes that came next and returns how many of them belong to the snapshot: all, until it is complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<usize, SnapshotError> {
        if self.stage == Stage::Complete {
            return Ok(0);
        }
        if self.carry.is_empty() {
            let used = self.take_items(bytes)?;
            if self.stage == Stage::Complete {
                return Ok(used);
            }
            self.carry.extend_from_slice(&bytes[used..]);
        } else {
            self.carry.extend_from_slice(bytes);
            let mut carry = std::mem::take(&mut self.carry);
            let used = self.take_items(&carry)?;
            if self.stage == Stage::Complete {
                // The item that was carried had not ended, so what is left came just now.
                return Ok(bytes.len() - (carry.len() - used));
            }
            carry.drain(..used);
            self.carry = carry;
        }
        let longest = match self.stage {
            Stage::Tail => TAIL_BYTES_MAX,
            _ => 2 * self.limits.field_bytes_max + REST_OF_ITEM,
        };
        if self.carry.len() > longest {
            let found = format!("{} bytes without its end", self.carry.len());
            return Err(self.error(found));
        }
        Ok(bytes.len())
    }

    /// All of a packet's stream has come. A file never says so by itself: see [`SnapshotReader::finish`].
    pub fn is_complete(&self) -> bool {
        self.stage == Stage::Complete
    }

    /// As [`SnapshotReader::finish`], for a file of which nothing is known but its content: the tree is of the zxid
    /// that it says itself.
    pub fn finish_file(mut self) -> Result<(Snapshot, Zxid), SnapshotError> {
        if self.stage == Stage::Tail {
            self.take_tail()?;
        }
        let Some(zxid) = self.last.filter(|zxid| zxid.0 >= 0) else {
            return Err(self.error("no zxid at the end".to_owned()));
        };
        Ok((self.finish(zxid)?, zxid))
    }

    /// There is no more to come; the tree is of `zxid` as far as the snapshot knows.
    pub fn finish(mut self, zxid: Zxid) -> Result<Snapshot, SnapshotError> {
        if self.stage == Stage::Tail {
            self.take_tail()?;
        }
        if self.stage != Stage::Complete {
            return Err(self.error("the end".to_owned()));
        }
        self.tree.add_reserved();
        self.tree.restored(zxid);
        ops::recount_quotas(&mut self.tree);
        let (tree, digest) = (self.tree, self.digest);
        Ok(Snapshot { tree, digest })
    }

    /// Takes the complete items off the front; returns their length.
    fn take_items(&mut self, bytes: &[u8]) -> Result<usize, SnapshotError> {
        let mut rest = bytes;
        while self.stage != Stage::Complete && self.stage != Stage::Tail {
            let before = rest;
            match self.take_item(&mut rest) {
                Ok(()) => {}
                Err(Failure::Incomplete) => {
                    rest = before;
                    break;
                }
                Err(Failure::Wrong(found)) => return Err(self.error(found)),
            }
            let item = &before[..before.len() - rest.len()];
            self.offset += item.len() as u64;
            if self.is_file {
                self.sum.update(item);
            }
        }
        Ok(bytes.len() - rest.len())
    }

    fn take_item(&mut self, rest: &mut &[u8]) -> Result<(), Failure> {
        self.stage = match self.stage {
            Stage::Header => {
                let header: FileHeader = self.read(rest)?;
                if header.magic != MAGIC || header.version != VERSION {
                    return Err(Failure::Wrong(format!(
                        "magic {:08x} and version {}",
                        header.magic, header.version
                    )));
                }
                Stage::SessionCount
            }
            Stage::SessionCount => match self.count(rest)? {
                0 => Stage::AclCount,
                count => Stage::Sessions(count),
            },
            Stage::Sessions(left) => {
                let session: SessionRecord = self.read(rest)?;
                self.tree
                    .restore_session(SessionId(session.id), session.timeout_ms);
                match left - 1 {
                    0 => Stage::AclCount,
                    left => Stage::Sessions(left),
                }
            }
            Stage::AclCount => match self.count(rest)? {
                0 => Stage::Nodes,
                count => Stage::Acls(count),
            },
            Stage::Acls(left) => {
                let record: AclRecord<'_> = self.read(rest)?;
                let list = record.list.unwrap_or_default();
                let number = self.number_of(list.iter().map(acl::from_wire).collect());
                self.keys.insert(record.key, number);
                match left - 1 {
                    0 => Stage::Nodes,
                    left => Stage::Acls(left),
                }
            }
            Stage::Nodes => {
                let path: Text<'_> = self.read(rest)?;
                let Some(path) = path.as_str() else {
                    return Err(Failure::Wrong("null".to_owned()));
                };
                if path != END {
                    let node: NodeRecord<'_> = self.read(rest)?;
                    self.node(path, &node).map_err(Failure::Wrong)?;
                    Stage::Nodes
                } else if !self.has_root {
                    return Err(Failure::Wrong("the end, but no root".to_owned()));
                } else if self.is_file {
                    Stage::Tail
                } else {
                    Stage::Signature
                }
            }
            Stage::Signature => {
                let text: Text<'_> = self.read(rest)?;
                if text != SIGNATURE {
                    return Err(Failure::Wrong(format!("{text:?}")));
                }
                Stage::Complete
            }
            stage @ (Stage::Tail | Stage::Complete) => stage,
        };
        Ok(())
    }

    fn node(&mut self, path: &str, node: &NodeRecord<'_>) -> Result<(), String> {
        let is_root = path.is_empty();
        if is_root == self.has_root && (is_root || self.tree.find(path).is_some()) {
            return Err(format!("{path:?} a second time"));
        }
        let is_child = self.has_root && path.starts_with('/') && !path.ends_with('/');
        if !is_root && !is_child {
            return Err(format!("{path:?}, which is no path behind a root"));
        }
        let acl = match self.keys.get(&node.acl) {
            _ if node.acl == OPEN_KEY => acl::OPEN,
            Some(number) => *number,
            // A fuzzy snapshot may show a list that came after the lists were written. The transaction that brought
            // it follows; until then nobody gets in.
            None => self.number_of(AclList::from([AclEntry::world(0)])),
        };
        let stored = StoredNode {
            czxid: node.czxid,
            mzxid: node.mzxid,
            pzxid: node.pzxid,
            ctime: node.ctime,
            mtime: node.mtime,
            owner: node.owner,
            version: node.version,
            cversion: node.cversion,
            aversion: node.aversion,
            acl,
            data: node.data.as_bytes(),
        };
        self.has_root = true;
        self.tree
            .restore_node(if is_root { "/" } else { path }, stored)
    }

    /// Each distinct list has one number, whatever keys it came with.
    fn number_of(&mut self, list: AclList) -> u32 {
        if let Some(number) = self.numbers.get(&list) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.tree.restore_acl(number, list.clone());
        self.numbers.insert(list, number);
        number
    }

    /// The parts behind the nodes of a file. Which of them are there only its length tells.
    fn take_tail(&mut self) -> Result<(), SnapshotError> {
        /// The last part alone, as servers write it that have digests switched off.
        const ZXID_ALONE: usize = 8 + 8 + 4 + 1;
        let tail = std::mem::take(&mut self.carry);
        let mut rest = &tail[..];
        self.take_seal(&mut rest)?;
        if !rest.is_empty() && rest.len() != ZXID_ALONE {
            self.take_digest(&mut rest)?;
            self.take_seal(&mut rest)?;
        }
        if !rest.is_empty() {
            let last: i64 = self.part(&mut rest)?;
            self.tree.shows(last);
            self.take_seal(&mut rest)?;
            self.last = Some(Zxid(last));
        }
        if !rest.is_empty() {
            return Err(self.error(format!("{} more bytes", rest.len())));
        }
        self.stage = Stage::Complete;
        Ok(())
    }

    fn take_digest(&mut self, rest: &mut &[u8]) -> Result<(), SnapshotError> {
        let (_, version): (i64, i32) = jute::from_slice(rest).unwrap_or_default();
        if version < digest::VERSION {
            // Older ways to compute it; the text is a number that means nothing here.
            let _: (i64, i32) = self.part(rest)?;
            let _: Text<'_> = self.part(rest)?;
            return Ok(());
        }
        let record: DigestRecord = self.part(rest)?;
        if record.version == digest::VERSION && record.zxid != 0 {
            self.digest = Some((Zxid(record.zxid), record.digest as u64));
            self.tree.shows(record.zxid);
        }
        Ok(())
    }

    fn take_seal(&mut self, rest: &mut &[u8]) -> Result<(), SnapshotError> {
        let sum = i64::from(self.sum.value());
        let before = self.offset;
        let seal: Seal<'_> = self.part(rest)?;
        if seal.sum != sum || seal.end != END {
            self.offset = before;
            return Err(self.error(format!("a seal of {:x} over {sum:x}", seal.sum)));
        }
        Ok(())
    }

    fn part<'a, T: Deserialize<'a>>(&mut self, rest: &mut &'a [u8]) -> Result<T, SnapshotError> {
        let before = *rest;
        let part = jute::read(rest).map_err(|e| self.error(e.to_string()))?;
        let bytes = &before[..before.len() - rest.len()];
        self.sum.update(bytes);
        self.offset += bytes.len() as u64;
        Ok(part)
    }

    fn read<'a, T: Deserialize<'a>>(&self, rest: &mut &'a [u8]) -> Result<T, Failure> {
        jute::read_limited(rest, self.limits.field_bytes_max).map_err(|e| match e {
            jute::Error::UnexpectedEnd => Failure::Incomplete,
            e => Failure::Wrong(e.to_string()),
        })
    }

    fn count(&self, rest: &mut &[u8]) -> Result<u32, Failure> {
        let count: i32 = self.read(rest)?;
        u32::try_from(count).map_err(|_| Failure::Wrong(count.to_string()))
    }

    #[cold]
    fn error(&self, found: String) -> SnapshotError {
        SnapshotError {
            offset: self.offset,
            expected: match self.stage {
                Stage::Header => "the header of a snapshot",
                Stage::SessionCount => "a number of sessions",
                Stage::Sessions(_) => "a session",
                Stage::AclCount => "a number of ACL lists",
                Stage::Acls(_) => "an ACL list",
                Stage::Nodes => "a node or the end of the nodes",
                Stage::Signature => "the signature behind the nodes",
                Stage::Tail => "a seal, the digest or the last zxid",
                Stage::Complete => "nothing more",
            },
            found,
        }
    }
}

enum Failure {
    Incomplete,
    Wrong(String),
}
