//! A data directory as Java's server keeps it, for taking it over and for giving it back.
//!
//! ```text
//! <dataDir>/version-2/     snapshot.<zxid> acceptedEpoch currentEpoch
//! <dataLogDir>/version-2/  log.<zxid of the first entry>
//! ```
//! Everything is checked before anything is believed: seals, checksums, and that no transaction is missing between
//! the snapshot and the end of the log. A torn last entry is where the server was cut off; one in the middle is
//! damage, which Java's reader passes over in silence. Answers to `FileTxnSnapLog` and `FileTxnLog`.

mod log;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use log::LogFiles;
pub use read::{JavaData, all_logs, read};
#[cfg(test)]
pub(crate) use tests::golden_txns;
pub use write::{LogWriter, write_epochs, write_snapshot};

use std::path::{Path, PathBuf};

use super::snapshot::SnapshotError;

const VERSION_DIR: &str = "version-2";

#[derive(Debug, thiserror::Error)]
pub enum JavaError {
    #[error("{doing} {path}: {source}", path = path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} is no usable snapshot: {error}", path = path.display())]
    Snapshot { path: PathBuf, error: SnapshotError },
    #[error("{path} is damaged at byte {offset}: {why}", path = path.display())]
    Log {
        path: PathBuf,
        offset: u64,
        why: String,
    },
    #[error("transactions are missing between 0x{after:x} and 0x{next:x}, in {path}", path = path.display())]
    Gap {
        path: PathBuf,
        after: i64,
        next: i64,
    },
    #[error("there is no usable snapshot in {dir}, but there are logs: data may have been lost", dir = dir.display())]
    NoSnapshot { dir: PathBuf },
    #[error("there is nothing of a Java server in {dir}", dir = dir.display())]
    Nothing { dir: PathBuf },
    #[error(
        "{text} directory has {kind} files. Check if dataLogDir and dataDir configuration is correct. ({found} exists)",
        text = if *kind == "log" { "Snapshot" } else { "Log" },
        found = found.display()
    )]
    Misplaced { kind: &'static str, found: PathBuf },
    #[error("{path} does not hold a decimal number", path = path.display())]
    Epoch { path: PathBuf },
    #[error("{dir} holds {name} already", dir = dir.display())]
    NotEmpty { dir: PathBuf, name: String },
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> JavaError {
    let path = path.to_path_buf();
    move |source| JavaError::Io {
        doing,
        path,
        source,
    }
}

/// Files called `<prefix>.<zxid in hex>` (and perhaps a suffix), by zxid.
fn numbered(dir: &Path, prefix: &str) -> Result<Vec<(i64, PathBuf)>, JavaError> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        entries => entries.map_err(io("listing", dir))?,
    };
    for entry in entries {
        let path = entry.map_err(io("listing", dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut parts = name.split('.');
        if parts.next() != Some(prefix) {
            continue;
        }
        let zxid = parts
            .next()
            .and_then(|hex| u64::from_str_radix(hex, 16).ok());
        if let Some(zxid) = zxid {
            found.push((zxid as i64, path));
        }
    }
    found.sort();
    Ok(found)
}
