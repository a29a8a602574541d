//! What a Java server would start from.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::super::small;
use super::super::snapshot::{Limits, Snapshot, SnapshotError, SnapshotReader};
use super::{JavaError, LogFiles, VERSION_DIR, io, numbered};
use crate::ids::Zxid;
use crate::tree::Tree;

/// Snapshots that are tried, newest first.
const SNAPSHOTS_MAX: usize = 100;

pub struct JavaData {
    pub snapshot: Snapshot,
    /// That of the snapshot's name: what is logged after it counts.
    pub zxid: Zxid,
    pub log: LogFiles,
    pub accepted_epoch: Option<i64>,
    pub current_epoch: Option<i64>,
}

/// Reads the newest snapshot that is whole, and finds the log behind it. `bare` makes the tree to read into.
pub fn read(
    data_dir: &Path,
    log_dir: &Path,
    limits: Limits,
    bare: impl Fn() -> Tree,
) -> Result<JavaData, JavaError> {
    let (state, logs) = (data_dir.join(VERSION_DIR), log_dir.join(VERSION_DIR));
    check_places(&state, &logs)?;
    let mut newest = None;
    for (zxid, path) in numbered(&state, "snapshot")?
        .into_iter()
        .rev()
        .take(SNAPSHOTS_MAX)
    {
        match read_snapshot(&path, Zxid(zxid), limits, bare()) {
            Ok(snapshot) => {
                newest = Some((Zxid(zxid), snapshot));
                break;
            }
            Err(error @ JavaError::Snapshot { .. }) => {
                tracing::warn!("{error}; trying the one before it");
            }
            Err(error) => return Err(error),
        }
    }
    let Some((zxid, snapshot)) = newest else {
        return Err(if numbered(&logs, "log")?.is_empty() {
            JavaError::Nothing { dir: state }
        } else {
            JavaError::NoSnapshot { dir: state }
        });
    };
    // An entry is one transaction with its header: a multi may hold several long fields.
    let entry_bytes_max = limits.field_bytes_max;
    Ok(JavaData {
        snapshot,
        zxid,
        log: LogFiles::after(&logs, zxid.0, entry_bytes_max)?,
        accepted_epoch: epoch(&state.join("acceptedEpoch"))?,
        current_epoch: epoch(&state.join("currentEpoch"))?,
    })
}

/// All transactions in the logs of a directory, and the zxid that they begin behind.
pub fn all_logs(log_dir: &Path, limits: Limits) -> Result<(i64, LogFiles), JavaError> {
    let logs = log_dir.join(VERSION_DIR);
    let first = numbered(&logs, "log")?.first().map(|(zxid, _)| *zxid);
    let first = first.ok_or(JavaError::Nothing { dir: logs.clone() })?;
    let before = first - 1;
    Ok((
        before,
        LogFiles::after(&logs, before, limits.field_bytes_max)?,
    ))
}

/// With two directories, what lies in the wrong one would be passed over in silence: a log there is lost writes.
fn check_places(state: &Path, logs: &Path) -> Result<(), JavaError> {
    if let (Ok(state), Ok(logs)) = (state.canonicalize(), logs.canonicalize())
        && state == logs
    {
        return Ok(());
    }
    for (dir, kind) in [(logs, "snapshot"), (state, "log")] {
        if let Some((_, found)) = numbered(dir, kind)?.into_iter().next() {
            return Err(JavaError::Misplaced { kind, found });
        }
    }
    Ok(())
}

fn read_snapshot(
    path: &Path,
    zxid: Zxid,
    limits: Limits,
    into: Tree,
) -> Result<Snapshot, JavaError> {
    let wrong = |error| JavaError::Snapshot {
        path: path.to_path_buf(),
        error,
    };
    if let Some(found @ ("gz" | "snappy")) = path.extension().and_then(|e| e.to_str()) {
        return Err(wrong(SnapshotError {
            offset: 0,
            expected: "a snapshot without compression",
            found: found.to_owned(),
        }));
    }
    let mut file = File::open(path).map_err(io("opening", path))?;
    let mut reader = SnapshotReader::file(into, limits);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(io("reading", path))? {
            0 => break,
            len => reader.push(&buffer[..len]).map_err(wrong)?,
        };
    }
    reader.finish(zxid).map_err(wrong)
}

fn epoch(path: &Path) -> Result<Option<i64>, JavaError> {
    let Some(content) = small::read(path).map_err(io("reading", path))? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&content);
    match text.trim().parse() {
        Ok(epoch) if epoch >= 0 => Ok(Some(epoch)),
        _ => Err(JavaError::Epoch {
            path: path.to_path_buf(),
        }),
    }
}
