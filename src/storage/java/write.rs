//! A directory that a Java server starts from. Everything is durable when a function returns.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::super::small;
use super::super::snapshot::{Adler32, SnapshotWriter};
use super::log::{END_OF_ENTRY, HEADER};
use super::{JavaError, VERSION_DIR, io, numbered};
use crate::tree::Tree;

const PIECE: usize = 1 << 20;

/// The directory for the files, made if need be; it must not hold any yet.
fn version_dir(base: &Path) -> Result<PathBuf, JavaError> {
    let dir = base.join(VERSION_DIR);
    if !dir.is_dir() {
        fs::create_dir_all(&dir).map_err(io("creating", &dir))?;
        small::sync_parent(&dir).map_err(io("syncing", &dir))?;
    }
    Ok(dir)
}

fn check_empty(dir: &Path, prefix: &str) -> Result<(), JavaError> {
    match numbered(dir, prefix)?.pop() {
        None => Ok(()),
        Some((_, path)) => Err(JavaError::NotEmpty {
            dir: dir.to_path_buf(),
            name: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into(),
        }),
    }
}

/// Writes the tree as `snapshot.<zxid>`; it must not change meanwhile.
pub fn write_snapshot(data_dir: &Path, tree: &Tree) -> Result<PathBuf, JavaError> {
    let dir = version_dir(data_dir)?;
    check_empty(&dir, "snapshot")?;
    let mut writer = SnapshotWriter::file(tree);
    let path = dir.join(format!("snapshot.{:x}", writer.zxid().0));
    let beside = path.with_extension("tmp");
    let mut file = File::create(&beside).map_err(io("creating", &beside))?;
    let mut buffer = Vec::with_capacity(2 * PIECE);
    let mut more = true;
    while more {
        buffer.clear();
        more = writer.fill(tree, PIECE, &mut buffer);
        file.write_all(&buffer).map_err(io("writing", &beside))?;
    }
    file.sync_all().map_err(io("syncing", &beside))?;
    fs::rename(&beside, &path)
        .and_then(|()| small::sync_parent(&path))
        .map_err(io("renaming", &beside))?;
    Ok(path)
}

pub fn write_epochs(
    data_dir: &Path,
    accepted: Option<i64>,
    current: Option<i64>,
) -> Result<(), JavaError> {
    let dir = version_dir(data_dir)?;
    for (name, epoch) in [("acceptedEpoch", accepted), ("currentEpoch", current)] {
        if let Some(epoch) = epoch {
            let path = dir.join(name);
            small::replace(&path, epoch.to_string().as_bytes()).map_err(io("writing", &path))?;
        }
    }
    Ok(())
}

/// Writes one `log.<zxid>`, named by its first transaction.
pub struct LogWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl LogWriter {
    pub fn create(log_dir: &Path, first_zxid: i64) -> Result<LogWriter, JavaError> {
        let dir = version_dir(log_dir)?;
        check_empty(&dir, "log")?;
        let path = dir.join(format!("log.{first_zxid:x}"));
        let file = File::create(&path).map_err(io("creating", &path))?;
        let mut file = BufWriter::with_capacity(PIECE, file);
        file.write_all(&HEADER).map_err(io("writing", &path))?;
        Ok(LogWriter { path, file })
    }

    /// A transaction as it is logged here: header, record, digest.
    pub fn append(&mut self, txn: &[u8]) -> Result<(), JavaError> {
        let len = i32::try_from(txn.len()).unwrap_or(i32::MAX);
        let sum = i64::from(Adler32::of(txn));
        let pieces: [&[u8]; 4] = [&sum.to_be_bytes(), &len.to_be_bytes(), txn, &[END_OF_ENTRY]];
        for piece in pieces {
            self.file
                .write_all(piece)
                .map_err(io("writing", &self.path))?;
        }
        Ok(())
    }

    pub fn finish(self) -> Result<(), JavaError> {
        let path = self.path;
        let file = self.file.into_inner().map_err(|e| e.into_error());
        file.and_then(|file| file.sync_all())
            .and_then(|()| small::sync_parent(&path))
            .map_err(io("writing", &path))
    }
}
