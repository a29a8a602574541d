//! A number for the whole tree: the sum of a CRC-32 for each node, kept up to date with every change. Servers that
//! applied the same transactions have the same sum, and a transaction says what it has to be afterwards.
//!
//! Answers to `DigestCalculator`, `AdHash` and the digest log of `DataTree`. Nodes below "/zookeeper" do not count:
//! every server keeps the usage of quotas there by itself. ACL lists do not count either.

use std::collections::VecDeque;

use crc32fast::Hasher;

use crate::proto::txn::TxnDigest;

/// The only way to compute it that is in use.
pub const VERSION: i32 = 2;
const UNCOUNTED: &str = "/zookeeper/";

pub fn counts(path: &str) -> bool {
    !path.starts_with(UNCOUNTED)
}

/// What a node's digest is made of besides its path and data.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    pub czxid: i64,
    pub mzxid: i64,
    pub pzxid: i64,
    pub ctime: i64,
    pub mtime: i64,
    pub version: i32,
    /// The raw counter.
    pub cversion: i32,
    pub aversion: i32,
    pub owner: i64,
}

/// Both CRCs of a node: of path and data, and of these and the numbers. Data may be long while numbers change with
/// every child, so the first is worth keeping. Both are zero for a node that does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeDigest {
    body: u32,
    whole: u32,
}

impl NodeDigest {
    /// The root's path may be "" or "/".
    pub fn of_body(path: &str, data: Option<&[u8]>) -> NodeDigest {
        let path = if path == "/" { "" } else { path };
        Self::of_pieces([path.as_bytes(), data.unwrap_or_default(), b""])
    }

    /// Path and data in pieces.
    pub(super) fn of_pieces(pieces: [&[u8]; 3]) -> NodeDigest {
        let mut hasher = Hasher::new();
        for piece in pieces {
            hasher.update(piece);
        }
        NodeDigest {
            body: hasher.finalize(),
            whole: 0,
        }
    }

    /// The same path and data with these numbers.
    pub fn with(self, numbers: &Numbers) -> NodeDigest {
        let mut bytes = [0; 60];
        let longs = [
            numbers.czxid,
            numbers.mzxid,
            numbers.pzxid,
            numbers.ctime,
            numbers.mtime,
        ];
        for (at, long) in longs.iter().enumerate() {
            bytes[at * 8..at * 8 + 8].copy_from_slice(&long.to_be_bytes());
        }
        bytes[40..44].copy_from_slice(&numbers.version.to_be_bytes());
        bytes[44..48].copy_from_slice(&numbers.cversion.to_be_bytes());
        bytes[48..52].copy_from_slice(&numbers.aversion.to_be_bytes());
        bytes[52..].copy_from_slice(&numbers.owner.to_be_bytes());
        let mut hasher = Hasher::new_with_initial(self.body);
        hasher.update(&bytes);
        NodeDigest {
            body: self.body,
            whole: hasher.finalize(),
        }
    }

    /// What the node adds to the tree's sum.
    pub fn value(self) -> u64 {
        u64::from(self.whole)
    }
}

/// Every so many transactions the digest is recorded.
const RECORDED_EVERY: i64 = 128;
const RECORDS_MAX: usize = 1024;

/// The tree's sum, its past values, and how often a transaction disagreed.
#[derive(Debug, Default)]
pub struct TreeDigest {
    pub(super) sum: u64,
    records: VecDeque<(i64, u64)>,
    mismatches: u64,
}

impl TreeDigest {
    /// After the whole of a transaction is applied.
    pub(super) fn record(&mut self, zxid: i64) {
        if zxid % RECORDED_EVERY == 0 {
            self.records.push_back((zxid, self.sum));
            if self.records.len() > RECORDS_MAX {
                self.records.pop_front();
            }
        }
    }

    /// Compares with what the transaction says. A tree that differs is a bug somewhere, on this server or on the
    /// one that wrote the transaction; what to do about it is for people to decide.
    pub(super) fn compare(&mut self, zxid: i64, expected: TxnDigest) {
        if expected.version != VERSION || expected.tree_digest as u64 == self.sum {
            return;
        }
        if self.mismatches == 0 {
            tracing::error!(
                "the tree's digest after transaction 0x{zxid:x} is {}, the transaction says {}: this server's tree \
                 differs from that of the server that made the transaction. Later differences are counted only.",
                self.sum as i64,
                expected.tree_digest
            );
        }
        self.mismatches += 1;
    }

    /// Recorded values, oldest first.
    pub fn records(&self) -> impl Iterator<Item = (i64, u64)> + '_ {
        self.records.iter().copied()
    }

    pub fn mismatches(&self) -> u64 {
        self.mismatches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_data_go_before_the_numbers() {
        let numbers = Numbers {
            czxid: 1,
            mzxid: 2,
            pzxid: 3,
            ctime: 4,
            mtime: 5,
            version: 6,
            cversion: 7,
            aversion: 8,
            owner: 9,
        };
        let mut bytes = b"/ax".to_vec();
        for long in [1i64, 2, 3, 4, 5] {
            bytes.extend_from_slice(&long.to_be_bytes());
        }
        for int in [6i32, 7, 8] {
            bytes.extend_from_slice(&int.to_be_bytes());
        }
        bytes.extend_from_slice(&9i64.to_be_bytes());
        let digest = NodeDigest::of_body("/a", Some(b"x")).with(&numbers);
        assert_eq!(digest.value(), u64::from(crc32fast::hash(&bytes)));
        assert_eq!(
            NodeDigest::of_body("/", None),
            NodeDigest::of_body("", Some(b""))
        );
    }

    #[test]
    fn records_are_few() {
        let mut digest = TreeDigest::default();
        for zxid in 1..=128 * 1030 {
            digest.sum = zxid as u64 * 3;
            digest.record(zxid);
        }
        assert_eq!(digest.records().count(), RECORDS_MAX);
        assert_eq!(digest.records().next(), Some((128 * 7, 128 * 21)));
    }

    #[test]
    fn only_the_known_version_is_compared() {
        let mut digest = TreeDigest::default();
        let expected = |version, tree_digest| TxnDigest {
            version,
            tree_digest,
        };
        digest.compare(1, expected(VERSION, 0));
        digest.compare(2, expected(1, 5));
        assert_eq!(digest.mismatches(), 0);
        digest.compare(3, expected(VERSION, 5));
        digest.compare(4, expected(VERSION, 5));
        assert_eq!(digest.mismatches(), 2);
    }
}
