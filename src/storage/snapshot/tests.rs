//! Files of a Java server, our own read back, and writing beside writes.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::ids::{SessionId, Zxid};
use crate::ops;
use crate::proto::Stat;
use crate::tree::acl::AclList;
use crate::tree::{Kind, NewNode, Tree};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What Java's release makes of a list of transactions; see `compat-tests/golden`.
const GOLDEN: &str = include_str!("../../../compat-tests/golden/files.txt");
const GOLDEN_ZXID: Zxid = Zxid(0x5_0000_0017);

const LIMITS: Limits = Limits {
    field_bytes_max: 1 << 20,
};

fn golden(kind: &str) -> impl Iterator<Item = Vec<&'static str>> {
    GOLDEN
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(move |words| words[0] == kind)
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap())
        .collect()
}

fn golden_bytes(kind: &str) -> Vec<u8> {
    from_hex(golden(kind).next().unwrap()[1])
}

fn reader(file: bool) -> SnapshotReader {
    let new = if file {
        SnapshotReader::file
    } else {
        SnapshotReader::packet
    };
    new(Tree::bare(true), LIMITS)
}

fn read(file: bool, bytes: &[u8], step: usize) -> Result<Snapshot, SnapshotError> {
    let mut reader = reader(file);
    for piece in bytes.chunks(step) {
        assert_eq!(reader.push(piece)?, piece.len());
    }
    reader.finish(GOLDEN_ZXID)
}

/// Everything that counts of a tree.
type Content = (
    BTreeMap<String, (Option<Vec<u8>>, Stat, i64, AclList)>,
    BTreeMap<SessionId, i32>,
);

fn content(tree: &Tree) -> Content {
    let nodes = tree.all().map(|(id, node)| {
        let data = node.data().map(<[u8]>::to_vec);
        let acl = tree.acl(node).clone();
        (tree.path_of(id), (data, tree.stat(node), node.owner, acl))
    });
    (nodes.collect(), tree.sessions().collect())
}

fn write(mut writer: SnapshotWriter, tree: &Tree, piece: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while writer.fill(tree, piece, &mut bytes) {}
    bytes
}

#[test]
fn files_and_streams_of_java_are_read() {
    let file = read(true, &golden_bytes("snapshot"), usize::MAX).unwrap();
    let stream = read(false, &golden_bytes("packet"), usize::MAX).unwrap();
    assert_eq!(
        file.digest,
        Some((GOLDEN_ZXID, file.tree.digest_sum().unwrap()))
    );
    assert_eq!(stream.digest, None);
    assert_eq!(content(&file.tree), content(&stream.tree));
    let (nodes, sessions) = content(&file.tree);
    assert_eq!(sessions.len(), 1);
    assert_eq!(file.tree.last_zxid(), GOLDEN_ZXID);
    let mut expected = 0;
    for words in golden("node") {
        let path = String::from_utf8(from_hex(words[1])).unwrap();
        let (data, stat, ..) = &nodes[&path];
        let wanted = (words[2] != "-").then(|| from_hex(words[2]));
        assert_eq!(data, &wanted, "{path}");
        let stat_bytes = from_hex(words[3]);
        assert_eq!(*stat, jute::from_slice(&stat_bytes).unwrap(), "{path}");
        expected += 1;
    }
    assert_eq!(nodes.len(), expected);
    let ephemerals = file.tree.ephemerals_of(SessionId(0x1000_1234_5678_0000));
    assert_eq!(ephemerals.count(), 1);
    assert_eq!(file.tree.ttls().count(), 1);
}

#[test]
fn any_pieces_give_the_same() {
    for (file, kind) in [(true, "snapshot"), (false, "packet")] {
        let bytes = golden_bytes(kind);
        let whole = content(&read(file, &bytes, usize::MAX).unwrap().tree);
        for step in [1, 2, 3, 7, 64, 100] {
            let pieces = read(file, &bytes, step).unwrap();
            assert_eq!(content(&pieces.tree), whole, "{kind} in pieces of {step}");
        }
    }
}

#[test]
fn what_follows_a_stream_is_left_alone() {
    let mut bytes = golden_bytes("packet");
    let len = bytes.len();
    bytes.extend_from_slice(b"the next packet");
    for first in [1, len - 1, len, len + 3] {
        let mut reader = reader(false);
        let mut used = reader.push(&bytes[..first]).unwrap();
        if !reader.is_complete() {
            used += reader.push(&bytes[first..]).unwrap();
        }
        assert!(reader.is_complete());
        assert_eq!(used, len, "{first}");
        assert_eq!(reader.push(b"more").unwrap(), 0);
    }
}

#[test]
fn what_is_written_is_read_back_and_written_again() {
    let tree = read(true, &golden_bytes("snapshot"), 1000).unwrap().tree;
    for piece in [1, 50, 1 << 20] {
        let file = write(SnapshotWriter::file(&tree), &tree, piece);
        let again = read(true, &file, 100).unwrap();
        assert_eq!(content(&again.tree), content(&tree));
        assert_eq!(again.tree.digest_sum(), tree.digest_sum());
        assert_eq!(
            again.digest,
            Some((GOLDEN_ZXID, tree.digest_sum().unwrap()))
        );
        let stream = write(SnapshotWriter::packet(&tree), &tree, piece);
        assert_eq!(
            content(&read(false, &stream, 100).unwrap().tree),
            content(&tree)
        );
    }
}

/// The transactions that a fuzzy snapshot shows come again, with digests that its tree cannot have yet.
#[test]
fn a_fuzzy_tree_is_compared_when_it_is_exact() {
    let txns = || crate::storage::java::golden_txns();
    let mut late = Tree::new(true);
    let mut early = Tree::new(true);
    for (zxid, txn) in txns() {
        ops::apply(&mut late, &txn, &mut ops::Unwatched).unwrap();
        if zxid == 0x5_0000_0004 {
            let stream = write(SnapshotWriter::packet(&late), &late, 1 << 20);
            early = read(false, &stream, 1000).unwrap().tree;
        }
    }
    // Named by an earlier zxid than what it shows, and one list is not known yet.
    let node = early.find("/a/b").unwrap();
    let (owned, aversion) = (AclList::from([crate::auth::AclEntry::world(0)]), 0);
    early.set_acl(node, owned, aversion);
    early.set_last_zxid(Zxid(0x5_0000_0002));
    for (_, txn) in txns().into_iter().skip(2) {
        ops::apply(&mut early, &txn, &mut ops::Unwatched).unwrap();
    }
    assert_eq!(early.digest().unwrap().mismatches(), 0);
    assert_eq!(content(&early), content(&late));
}

/// Whoever compares servers would take what it has until then for damage.
#[test]
fn a_fuzzy_tree_remembers_digests_once_it_is_exact() {
    let mut tree = Tree::new(true);
    tree.shows(0x180);
    for zxid in [0x80, 0x100, 0x180, 0x200] {
        tree.finish_txn(Zxid(zxid), None);
    }
    let remembered = tree.digest().unwrap().records().map(|(zxid, _)| zxid);
    assert_eq!(remembered.collect::<Vec<_>>(), [0x180, 0x200]);
}

#[test]
fn the_last_parts_of_a_file_may_be_missing() {
    let bytes = golden_bytes("snapshot");
    let (seal, digest, zxid) = (8 + 4 + 1, 8 + 4 + 8, 8);
    let last = seal + zxid;
    for cut in [0, last, last + seal + digest] {
        let file = read(true, &bytes[..bytes.len() - cut], 64).unwrap();
        assert_eq!(file.digest.is_some(), cut <= last);
    }
    // The last without the one before it, as servers write it whose digests are off.
    let without = read(true, &bytes[..bytes.len() - last - seal - digest], 64).unwrap();
    let tree = without.tree.without_digest();
    let mut file = write(SnapshotWriter::file(&tree), &tree, 64);
    file.extend_from_slice(&GOLDEN_ZXID.0.to_be_bytes());
    let seal = Seal {
        sum: i64::from(Adler32::of(&file)),
        end: Text::from(END),
    };
    ops::put(&mut file, &seal);
    assert_eq!(read(true, &file, 64).unwrap().digest, None);
}

#[test]
fn every_cut_and_every_flipped_bit_of_a_file_is_seen() {
    let bytes = golden_bytes("snapshot");
    let (seal, digest, zxid) = (13, 20, 8);
    let good = [0, seal + zxid, seal + zxid + seal + digest];
    for len in 0..bytes.len() {
        let is_good = good.contains(&(bytes.len() - len));
        assert_eq!(
            read(true, &bytes[..len], usize::MAX).is_ok(),
            is_good,
            "{len}"
        );
    }
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        // The database's number has no meaning, but the seals cover it.
        assert!(read(true, &bad, usize::MAX).is_err(), "byte {at}");
    }
}

#[test]
fn errors_name_the_place() {
    let error = read(true, b"PK\x03\x04 and so on, no snapshot", 5)
        .err()
        .unwrap();
    assert_eq!(
        (error.offset, error.expected),
        (0, "the header of a snapshot")
    );

    let mut bytes = golden_bytes("packet");
    let at = bytes.len() - SIGNATURE.len();
    bytes[at] = b'b';
    let error = read(false, &bytes, 100).err().unwrap();
    assert_eq!(error.offset as usize, at - 4);
    assert!(error.found.contains("benWasHere"), "{error}");

    let mut stream = vec![0; 8];
    let node = |stream: &mut Vec<u8>, path: &str| {
        let tree = Tree::new(true);
        let mut whole = Vec::new();
        let mut writer = SnapshotWriter::packet(&tree);
        while writer.fill(&tree, 1 << 20, &mut whole) {}
        let root_len = 4 + 4 + 8 + 4 * 8 + 3 * 4 + 2 * 8;
        let lists = 4 + 4 + 2 * (8 + 4 + 4 + 4 + 5 + 4 + 6);
        ops::put(stream, &Text::from(path));
        stream.extend_from_slice(&whole[lists + 4..lists + root_len]);
    };
    node(&mut stream, "");
    let offset = stream.len() as u64;
    for (path, found) in [
        ("", "second time"),
        ("/a/b", "no parent"),
        ("a", "no path"),
        ("/a/", "no path"),
    ] {
        let mut stream = stream.clone();
        node(&mut stream, path);
        let error = read(false, &stream, 1000).err().unwrap();
        assert_eq!(error.offset, offset, "{error}");
        assert!(error.found.contains(found), "{error}");
    }
}

#[test]
fn strangers_counts_reserve_nothing() {
    for bytes in [
        &[0x7f, 0xff, 0xff, 0xff][..],
        &[0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff],
        &[
            0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0x7f, 0xff, 0xff, 0xff,
        ],
    ] {
        let mut reader = reader(false);
        reader.push(bytes).unwrap();
        assert!(reader.finish(Zxid(1)).is_err());
    }
    // A string above the limit, and a list that has no end.
    let mut long = reader(false);
    assert!(long.push(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0]).is_err());
    let mut list = reader(false);
    list.push(&[
        0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0x7f, 0xff, 0xff, 0xff,
    ])
    .unwrap();
    let endless = (0..100)
        .map(|_| list.push(&[0; 60_000]))
        .find_map(Result::err);
    assert!(endless.unwrap().found.contains("without its end"));
    // A negative count is one, too.
    assert!(reader(false).push(&[0xff; 4]).is_err());
}

fn create(tree: &mut Tree, path: &str, zxid: i64, perms: i32) {
    let acl = AclList::from([crate::auth::AclEntry::world(perms)]);
    let node = NewNode {
        path,
        data: Some(path.as_bytes()),
        acl,
        kind: Kind::Persistent,
        parent_cversion: -1,
        zxid,
        time: zxid,
    };
    // What is there already, or has no parent, is no matter here.
    let _ = tree.create(node);
}

proptest! {
    /// Writes go on between the pieces. What was there all the time is in, once, behind its parent, with the ACL list
    /// that it had or nobody's; what came later is not.
    #[test]
    fn snapshots_are_taken_beside_writes(
        before in proptest::collection::vec((0..60usize, 1..31), 1..80),
        during in proptest::collection::vec((0..3u8, 0..60usize, 1..31), 0..60),
        piece in 1..300usize,
    ) {
        let path = |n: usize| match n {
            0..10 => format!("/{n}"),
            _ => format!("/{}/{}", n % 10, n / 10),
        };
        let mut tree = Tree::new(true);
        let mut zxid = 0;
        for (n, perms) in before {
            zxid += 1;
            create(&mut tree, &path(n), zxid, perms);
            tree.set_last_zxid(Zxid(zxid));
        }
        let at_start = content(&tree).0;
        let mut stayed = at_start.clone();
        let nobody = AclList::from([crate::auth::AclEntry::world(0)]);
        let mut lists: Vec<(String, AclList)> = Vec::new();
        let mut writer = SnapshotWriter::packet(&tree);
        let mut bytes = Vec::new();
        let mut changes = during.into_iter();
        while writer.fill(&tree, piece, &mut bytes) {
            let Some((change, n, perms)) = changes.next() else { continue };
            zxid += 1;
            let found = tree.find(&path(n));
            match (change, found) {
                (0, _) => create(&mut tree, &path(n), zxid, perms),
                (1, Some(id)) if tree.node(id).child_count() == 0 => {
                    tree.delete(id, zxid);
                    stayed.remove(&path(n));
                }
                (2, Some(id)) => {
                    let acl = AclList::from([crate::auth::AclEntry::world(perms)]);
                    lists.push((path(n), acl.clone()));
                    tree.set_acl(id, acl, 7);
                }
                _ => {}
            }
            tree.set_last_zxid(Zxid(zxid));
        }
        let result = content(&read(false, &bytes, 1000).unwrap().tree).0;
        for (path, (_, stat, _, acl)) in &stayed {
            let (_, written, _, written_acl) = &result[path];
            prop_assert_eq!(written.czxid, stat.czxid);
            let had = |(of, list): &(String, AclList)| of == path && list == written_acl;
            prop_assert!(written_acl == acl || *written_acl == nobody || lists.iter().any(had));
        }
        for (path, (_, stat, ..)) in &result {
            prop_assert!(at_start.get(path).is_some_and(|(_, s, ..)| s.czxid == stat.czxid), "{} is new", path);
        }
    }

    #[test]
    fn garbage_never_panics(bytes in any::<Vec<u8>>(), at in any::<usize>(), flip in any::<u8>(), step in 1..50usize) {
        let _ = read(true, &bytes, step);
        let _ = read(false, &bytes, step);
        let mut bent = golden_bytes("packet");
        let at = at % bent.len();
        bent[at] ^= flip;
        let mut reader = reader(false);
        for piece in bent.chunks(step) {
            if reader.push(piece).is_err() {
                break;
            }
        }
    }
}
