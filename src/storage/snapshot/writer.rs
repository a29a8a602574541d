//! From the live tree to bytes, a piece at a time, while writes go on between the pieces.
//!
//! Takes memory for one bit a node, a few bytes a session and a reference for each distinct ACL list. The caller holds
//! the tree's lock for a piece only.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::{
    AclRecord, Adler32, DB_ID, DigestRecord, END, FileHeader, MAGIC, NodeRecord, OPEN_KEY,
    SIGNATURE, Seal, SessionRecord, VERSION,
};
use crate::auth::AclEntry;
use crate::ids::Zxid;
use crate::ops::put;
use crate::tree::acl::{self, AclList};
use crate::tree::cursor::Cursor;
use crate::tree::{Node, Tree, digest};
use jute::{Buffer, Text};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Packet,
    File,
}

enum Stage {
    Header,
    Sessions(std::vec::IntoIter<SessionRecord>),
    Acls(usize),
    Nodes,
    End,
    Done,
}

pub struct SnapshotWriter {
    form: Form,
    stage: Stage,
    cursor: Cursor,
    sessions: Vec<SessionRecord>,
    acls: Vec<(u32, AclList)>,
    keys: HashMap<AclList, i64, RandomState>,
    /// Of a list that lets nobody in, for nodes whose list came after the lists were written.
    closed_key: i64,
    sum: Adler32,
}

impl SnapshotWriter {
    /// What follows a SNAP packet with [`SnapshotWriter::zxid`].
    pub fn packet(tree: &Tree) -> SnapshotWriter {
        Self::new(tree, Form::Packet)
    }

    /// The content of a file `snapshot.<zxid>`.
    pub fn file(tree: &Tree) -> SnapshotWriter {
        Self::new(tree, Form::File)
    }

    fn new(tree: &Tree, form: Form) -> SnapshotWriter {
        let sessions = tree.sessions().map(|(id, timeout_ms)| SessionRecord {
            id: id.0,
            timeout_ms,
        });
        let mut acls: Vec<(u32, AclList)> =
            tree.acl_lists().map(|(id, l)| (id, l.clone())).collect();
        let mut keys = HashMap::default();
        keys.insert(tree.open_acl(), OPEN_KEY);
        for (id, list) in &acls {
            keys.insert(list.clone(), i64::from(*id));
        }
        let closed = AclList::from([AclEntry::world(0)]);
        let closed_key = match keys.get(&closed) {
            Some(key) => *key,
            None => {
                let id = acls.last().map_or(1, |(id, _)| id + 1);
                acls.push((id, closed));
                i64::from(id)
            }
        };
        SnapshotWriter {
            form,
            stage: Stage::Header,
            cursor: Cursor::new(tree),
            sessions: sessions.collect(),
            acls,
            keys,
            closed_key,
            sum: Adler32::default(),
        }
    }

    /// The tree's when the writer was made. Everything after it has to follow the snapshot.
    pub fn zxid(&self) -> Zxid {
        self.cursor.as_of()
    }

    /// Appends a piece of about `bytes_max` bytes (one node may be longer); false once all is written. The tree has
    /// to be the same one, however it changed.
    pub fn fill(&mut self, tree: &Tree, bytes_max: usize, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let mut summed = start;
        while out.len() - start < bytes_max && !matches!(self.stage, Stage::Done) {
            self.step(tree, start + bytes_max, &mut summed, out);
        }
        self.add_to_sum(&out[summed..]);
        !matches!(self.stage, Stage::Done)
    }

    fn add_to_sum(&mut self, bytes: &[u8]) {
        if self.form == Form::File {
            self.sum.update(bytes);
        }
    }

    fn step(&mut self, tree: &Tree, end: usize, summed: &mut usize, out: &mut Vec<u8>) {
        match &mut self.stage {
            Stage::Header => {
                if self.form == Form::File {
                    let header = FileHeader {
                        magic: MAGIC,
                        version: VERSION,
                        db_id: DB_ID,
                    };
                    put(out, &header);
                }
                put(out, &(self.sessions.len() as i32));
                self.stage = Stage::Sessions(std::mem::take(&mut self.sessions).into_iter());
            }
            Stage::Sessions(left) => {
                for session in left.by_ref() {
                    put(out, &session);
                    if out.len() >= end {
                        return;
                    }
                }
                put(out, &(self.acls.len() as i32));
                self.stage = Stage::Acls(0);
            }
            Stage::Acls(next) => {
                let Some((key, list)) = self.acls.get(*next) else {
                    self.stage = Stage::Nodes;
                    return;
                };
                *next += 1;
                let list = Some(list.iter().map(acl::to_wire).collect());
                let key = i64::from(*key);
                put(out, &AclRecord { key, list });
            }
            Stage::Nodes => {
                let (keys, closed) = (&self.keys, self.closed_key);
                let more = self.cursor.advance(tree, |path, node| {
                    let key = if tree.acl_is_open(node) {
                        OPEN_KEY
                    } else {
                        *keys.get(tree.acl(node)).unwrap_or(&closed)
                    };
                    put_node(out, path, node, key);
                    out.len() < end
                });
                if !more {
                    put(out, &Text::from(END));
                    self.stage = Stage::End;
                }
            }
            Stage::End if self.form == Form::Packet => {
                put(out, &Text::from(SIGNATURE));
                self.stage = Stage::Done;
            }
            Stage::End => {
                self.seal(summed, out);
                // Java's reader takes the last part for the one before it where that is missing.
                if let Some(sum) = tree.digest_sum() {
                    let zxid = tree.last_zxid().0;
                    // Of a tree that is not of one zxid there is none that a reader could find again: nodes that are
                    // later than it are left out above.
                    let is_exact = tree.exact_from().0 <= zxid;
                    let record = DigestRecord {
                        zxid: if is_exact { zxid } else { 0 },
                        version: digest::VERSION,
                        digest: if is_exact { sum as i64 } else { 0 },
                    };
                    put(out, &record);
                    self.seal(summed, out);
                    put(out, &zxid);
                    self.seal(summed, out);
                }
                self.stage = Stage::Done;
            }
            Stage::Done => {}
        }
    }

    fn seal(&mut self, summed: &mut usize, out: &mut Vec<u8>) {
        self.add_to_sum(&out[*summed..]);
        *summed = out.len();
        let seal = Seal {
            sum: i64::from(self.sum.value()),
            end: Text::from(END),
        };
        put(out, &seal);
    }
}

fn put_node(out: &mut Vec<u8>, path: &str, node: &Node, acl: i64) {
    put(out, &Text::from(path));
    let record = NodeRecord {
        data: node.data().map_or(Buffer::NULL, Buffer::from),
        acl,
        czxid: node.czxid,
        mzxid: node.mzxid,
        ctime: node.ctime,
        mtime: node.mtime,
        version: node.version,
        cversion: node.cversion(),
        aversion: node.aversion,
        owner: node.owner,
        pzxid: node.pzxid(),
    };
    put(out, &record);
}
