//! A slow, obvious twin of the tree, and crash images of a live store.

#![allow(clippy::unwrap_used)]

mod crash;
mod damage;
mod directories;
mod full_disk;
mod install;
mod log;
mod state;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// Everything that a store holds, as maps. A transaction sets or deletes one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Twin {
    nodes: BTreeMap<String, (i64, Option<Vec<u8>>)>,
    sessions: BTreeMap<i64, i32>,
    acls: BTreeMap<u32, Vec<u8>>,
    zxid: i64,
}

/// What `open` called, for checking what was replayed and in which order.
#[derive(Debug, Default)]
struct Restored {
    twin: Twin,
    marker: Option<i64>,
    replayed: Vec<i64>,
}

impl Restore for Restored {
    fn acl(&mut self, id: u32, bytes: &[u8]) -> Result<(), String> {
        assert!(self.twin.nodes.is_empty() && self.twin.sessions.is_empty());
        self.twin.acls.insert(id, bytes.to_vec());
        Ok(())
    }

    fn session(&mut self, id: i64, timeout_ms: i32) {
        assert!(self.twin.nodes.is_empty());
        self.twin.sessions.insert(id, timeout_ms);
    }

    fn node(&mut self, path: &str, node: NodeRecord<'_>) -> Result<(), String> {
        if let Some((parent, _)) = path.rsplit_once('/')
            && !parent.is_empty()
            && !self.twin.nodes.contains_key(parent)
        {
            return Err(format!("{path} came before its parent"));
        }
        let value = (node.mzxid, node.data.map(<[u8]>::to_vec));
        self.twin.nodes.insert(path.to_owned(), value);
        Ok(())
    }

    fn marker(&mut self, zxid: i64) {
        self.marker = Some(zxid);
        self.twin.zxid = zxid;
    }

    fn txn(&mut self, zxid: i64, bytes: &[u8]) -> Result<(), String> {
        assert!(self.marker.is_some() && zxid > self.twin.zxid);
        self.replayed.push(zxid);
        self.twin.apply(bytes);
        Ok(())
    }
}

impl Twin {
    /// Applies a transaction and names the node that it changed.
    fn apply(&mut self, txn: &[u8]) -> String {
        self.zxid = group::zxid_of(txn).unwrap();
        let (&len, rest) = txn[32..].split_first().unwrap();
        let (path, value) = rest.split_at(len as usize);
        let path = String::from_utf8(path.to_vec()).unwrap();
        match value.split_first() {
            Some((1, data)) => {
                let data = (self.zxid, Some(data.to_vec()));
                self.nodes.insert(path.clone(), data);
            }
            _ => drop(self.nodes.remove(&path)),
        }
        path
    }

    /// The change of one node since the last checkpoint.
    fn put_into(&self, path: &str, batch: &mut CheckpointBatch) {
        match self.nodes.get(path) {
            Some((mzxid, data)) => {
                let (mzxid, data) = (*mzxid, data.as_deref());
                let node = NodeRecord {
                    mzxid,
                    data,
                    ..NodeRecord::default()
                };
                batch.put_node(path, &node);
            }
            None => batch.delete_node(path),
        }
    }
}

/// A transaction that sets `path`, or deletes it for `None`.
fn txn(zxid: i64, path: &str, data: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = vec![0; 32];
    bytes[12..20].copy_from_slice(&zxid.to_be_bytes());
    bytes.push(path.len() as u8);
    bytes.extend_from_slice(path.as_bytes());
    bytes.push(u8::from(data.is_some()));
    bytes.extend_from_slice(data.unwrap_or_default());
    bytes
}

/// Appends a group of one transaction for each zxid.
fn append(log: &mut Log, zxids: std::ops::RangeInclusive<i64>, len: usize) {
    let mut bytes = Vec::new();
    let last = *zxids.end();
    for zxid in zxids {
        let data = vec![zxid as u8; len];
        group::push(&mut bytes, &txn(zxid, &format!("/n{zxid}"), Some(&data)));
    }
    log.append(last, &bytes).unwrap();
}

/// Small files, so that tests see several of them.
fn config(dir: &Path) -> StorageConfig {
    StorageConfig {
        log_file_bytes: 256 << 10,
        warm_log: false,
        ..StorageConfig::new(dir)
    }
}

fn open_at(dir: &Path) -> Result<(Storage, Restored), StorageError> {
    let mut restored = Restored::default();
    let storage = open(&config(dir), &mut restored)?;
    Ok((storage, restored))
}

/// The error of opening `dir`; it must not open.
fn refusal(dir: &Path) -> StorageError {
    match open_at(dir) {
        Ok((storage, _)) => panic!("opened at zxid {:x}", storage.log.last_zxid()),
        Err(error) => error,
    }
}

/// The files of a live store as a crash would leave them (the page cache survives a SIGKILL): those of one
/// instant. A copy takes longer, and RocksDB makes and deletes files in the background: a copy counts when
/// nothing moved meanwhile.
fn crash_image(dir: &Path) -> tempfile::TempDir {
    loop {
        let before = lengths(dir);
        let image = tempfile::tempdir().unwrap();
        copy_tree(dir, image.path());
        if lengths(dir) == before {
            return image;
        }
    }
}

/// Every file under `dir` with its length.
fn lengths(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(lengths(&path));
        } else if let Ok(data) = fs::metadata(&path) {
            found.push((path, data.len()));
        }
    }
    found.sort();
    found
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else if entry.file_name() != "ballast" {
            // RocksDB deletes files in the background.
            match fs::copy(entry.path(), &target) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                result => drop(result.unwrap()),
            }
        }
    }
}

fn log_db(dir: &Path) -> PathBuf {
    dir.join("ferrokeeper/log/db")
}

fn state_db(dir: &Path) -> PathBuf {
    dir.join("ferrokeeper/state/db")
}

/// The files in `dir` that end with `suffix` or begin with it, by name.
fn files(dir: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.ends_with(pattern) || name.starts_with(pattern)
        })
        .collect();
    found.sort();
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}
