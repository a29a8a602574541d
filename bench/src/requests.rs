//! The works that are a stream of independent requests: reads, writes, mixtures of both, multi, delete, fill.

use std::net::SocketAddr;

use anyhow::Result;

use crate::client::Client;
use crate::engine::Work;
use crate::tree_shape::FillTree;
use crate::wire::{self, KEY_DIGITS, Reply, Template, body, op};

/// A small fast generator (splitmix64): every run asks the same sequence.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    #[inline]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// Bytes that no compression makes smaller.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

pub fn random_data(size: usize) -> Vec<u8> {
    let mut data = vec![0; size];
    Random::new(1).fill(&mut data);
    data
}

/// Reads and writes of `nodes` nodes in a fixed ratio; 100 % of one of them is the plain get, exists or set.
pub struct ReadWrite {
    read: Template,
    write: Template,
    reads_percent: u64,
    nodes: u64,
    random: Random,
}

impl ReadWrite {
    pub fn new(root: &str, read_op: i32, reads_percent: u64, nodes: u64, data: &[u8]) -> ReadWrite {
        let prefix = format!("{root}/n");
        ReadWrite {
            read: Template::new(&prefix, |o, path| wire::read(o, 0, read_op, path, false)),
            write: Template::new(&prefix, |o, path| wire::set(o, 0, path, data)),
            reads_percent,
            nodes,
            random: Random::new(2),
        }
    }

    pub fn prepare(client: &mut Client, root: &str, nodes: u64, data: &[u8]) -> Result<()> {
        let paths: Vec<String> = (0..nodes)
            .map(|key| format!("{root}/n{key:0KEY_DIGITS$}"))
            .collect();
        client.create_all(&[root.to_string()], b"")?;
        client.create_all(&paths, data)
    }
}

impl Work for ReadWrite {
    fn request(&mut self, _conn: usize, xid: i32, out: &mut Vec<u8>) -> Option<u32> {
        let key = self.random.below(self.nodes);
        let reads = self.reads_percent >= 100 || self.random.below(100) < self.reads_percent;
        let template = if reads { &self.read } else { &self.write };
        template.put(out, xid, key);
        Some(0)
    }
}

/// getChildren of one node.
pub struct Children {
    request: Vec<u8>,
}

impl Children {
    pub fn prepare(client: &mut Client, root: &str, children: u64) -> Result<Children> {
        let parent = format!("{root}/parent");
        client.create_all(&[root.to_string(), parent.clone()], b"")?;
        let paths: Vec<String> = (0..children)
            .map(|n| format!("{parent}/child-{n:06}"))
            .collect();
        client.create_all(&paths, b"")?;
        let mut request = Vec::new();
        wire::read(&mut request, 0, op::GET_CHILDREN, &parent, false);
        Ok(Children { request })
    }
}

impl Work for Children {
    fn request(&mut self, _conn: usize, xid: i32, out: &mut Vec<u8>) -> Option<u32> {
        let start = out.len();
        out.extend_from_slice(&self.request);
        out[start + 4..start + 8].copy_from_slice(&xid.to_be_bytes());
        Some(0)
    }
}

/// Creates or deletes numbered nodes, every connection below a parent of its own.
pub struct Numbered {
    per_conn: Vec<(Template, u64)>,
    left: u64,
}

impl Numbered {
    pub fn create(root: &str, conns: usize, ops: u64, data: &[u8]) -> Numbered {
        Numbered::new(root, conns, ops, |o, path| {
            wire::create(o, 0, path, data, 0)
        })
    }

    pub fn delete(root: &str, conns: usize, ops: u64) -> Numbered {
        Numbered::new(root, conns, ops, |o, path| wire::delete(o, 0, path))
    }

    fn new(root: &str, conns: usize, ops: u64, encode: impl Fn(&mut Vec<u8>, &str)) -> Numbered {
        let per_conn = (0..conns)
            .map(|c| (Template::new(&format!("{}/n", parent(root, c)), &encode), 0))
            .collect();
        Numbered {
            per_conn,
            left: ops,
        }
    }

    pub fn prepare(client: &mut Client, root: &str, conns: usize) -> Result<()> {
        client.create_all(&[root.to_string()], b"")?;
        let parents: Vec<String> = (0..conns).map(|c| parent(root, c)).collect();
        client.create_all(&parents, b"")
    }

    /// The nodes that `delete` of the same arguments removes, for a connection each gets its even share.
    pub fn prepare_delete(
        client: &mut Client,
        root: &str,
        conns: usize,
        ops: u64,
        data: &[u8],
    ) -> Result<()> {
        Numbered::prepare(client, root, conns)?;
        let share = ops.div_ceil(conns as u64);
        for c in 0..conns {
            let paths: Vec<String> = (0..share)
                .map(|key| format!("{}/n{key:0KEY_DIGITS$}", parent(root, c)))
                .collect();
            client.create_all(&paths, data)?;
        }
        Ok(())
    }

    pub fn share_evenly(self, ops: u64) -> Shared {
        let share = ops.div_ceil(self.per_conn.len() as u64);
        Shared {
            numbered: self,
            share,
        }
    }
}

impl Work for Numbered {
    fn request(&mut self, conn: usize, xid: i32, out: &mut Vec<u8>) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        let (template, next) = &mut self.per_conn[conn];
        template.put(out, xid, *next);
        *next += 1;
        Some(0)
    }
}

/// Numbered work in which no connection goes beyond its share; the fastest one ends the measurement.
pub struct Shared {
    numbered: Numbered,
    share: u64,
}

impl Work for Shared {
    fn request(&mut self, conn: usize, xid: i32, out: &mut Vec<u8>) -> Option<u32> {
        if self.numbered.per_conn[conn].1 >= self.share {
            return None;
        }
        self.numbered.request(conn, xid, out)
    }
}

fn parent(root: &str, conn: usize) -> String {
    format!("{root}/c{conn:05}")
}

/// A multi of `batch` setData on different nodes.
pub struct Multi {
    request: Vec<u8>,
    key_positions: Vec<usize>,
    nodes: u64,
    random: Random,
}

impl Multi {
    pub fn new(root: &str, batch: u64, nodes: u64, data: &[u8]) -> Multi {
        let mut request = Vec::new();
        let mut key_positions = Vec::new();
        let path = format!("{root}/n{}", "0".repeat(KEY_DIGITS));
        wire::multi(&mut request, 0, |o| {
            for _ in 0..batch {
                wire::multi_part(o, op::SET_DATA);
                key_positions.push(o.len() + 4 + path.len() - KEY_DIGITS);
                body::set(o, &path, data);
            }
        });
        Multi {
            request,
            key_positions,
            nodes,
            random: Random::new(3),
        }
    }
}

impl Work for Multi {
    fn request(&mut self, _conn: usize, xid: i32, out: &mut Vec<u8>) -> Option<u32> {
        let start = out.len();
        out.extend_from_slice(&self.request);
        let frame = &mut out[start..];
        frame[4..8].copy_from_slice(&xid.to_be_bytes());
        // Neighbours from a random start: different nodes in every part.
        let first = self.random.below(self.nodes);
        for (n, &at) in self.key_positions.iter().enumerate() {
            wire::put_key(
                &mut frame[at..at + KEY_DIGITS],
                (first + n as u64) % self.nodes,
            );
        }
        Some(0)
    }

    fn verdict(&self, _kind: u32, reply: &Reply) -> Result<i32> {
        wire::multi_error(reply.err, reply.body)
    }
}

/// Creates the leaves of a big tree, one by one or in multis.
pub struct Fill {
    tree: FillTree,
    next: u64,
    batch: u64,
    data: Vec<u8>,
    random: Random,
}

impl Fill {
    pub fn prepare(
        servers: &[SocketAddr],
        timeout_ms: i32,
        leaves: u64,
        batch: u64,
        size: usize,
    ) -> Result<Fill> {
        let tree = FillTree::new(leaves);
        let mut client = Client::open(servers, timeout_ms)?;
        for level in tree.inner_levels() {
            client.create_all(&level, b"")?;
        }
        client.close()?;
        Ok(Fill {
            tree,
            next: 0,
            batch: batch.max(1),
            data: vec![0; size],
            random: Random::new(4),
        })
    }
}

impl Work for Fill {
    fn request(&mut self, _conn: usize, xid: i32, out: &mut Vec<u8>) -> Option<u32> {
        let n = self.batch.min(self.tree.leaves() - self.next);
        if n == 0 {
            return None;
        }
        let first = self.next;
        self.next += n;
        if self.batch == 1 {
            self.random.fill(&mut self.data);
            wire::create(out, xid, &self.tree.leaf(first), &self.data, 0);
        } else {
            wire::multi(out, xid, |o| {
                for leaf in first..first + n {
                    self.random.fill(&mut self.data);
                    wire::multi_part(o, op::CREATE);
                    body::create(o, &self.tree.leaf(leaf), &self.data, 0);
                }
            });
        }
        Some(n as u32)
    }

    fn verdict(&self, _kind: u32, reply: &Reply) -> Result<i32> {
        if self.batch == 1 {
            Ok(reply.err)
        } else {
            wire::multi_error(reply.err, reply.body)
        }
    }

    fn weight(&self, kind: u32) -> u64 {
        kind.into()
    }
}

/// setData of random leaves of a tree that `fill` made.
pub struct SetFilled {
    tree: FillTree,
    data: Vec<u8>,
    random: Random,
}

impl SetFilled {
    pub fn new(leaves: u64, size: usize) -> SetFilled {
        SetFilled {
            tree: FillTree::new(leaves),
            data: random_data(size),
            random: Random::new(5),
        }
    }
}

impl Work for SetFilled {
    fn request(&mut self, _conn: usize, xid: i32, out: &mut Vec<u8>) -> Option<u32> {
        let leaf = self.random.below(self.tree.leaves());
        wire::set(out, xid, &self.tree.leaf(leaf), &self.data);
        Some(0)
    }
}
