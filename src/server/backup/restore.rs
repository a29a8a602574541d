//! The data of a new server, out of a backup: as of its end, of a transaction, or of a time.

use std::fs;
use std::path::Path;

use super::manifest::{Base, Manifest, Segment};
use crate::config::Config;
use crate::ids::Zxid;
use crate::proto::txn::TxnHeader;
use crate::server::ServerError;
use crate::server::migrate::{self, Migrated, refused};
use crate::server::progress::Progress;

/// Up to where the transactions are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    End,
    Zxid(i64),
    /// Milliseconds since 1970: everything that was done by then.
    Time(i64),
}

impl Target {
    /// Whether a transaction belongs to it.
    pub fn has(self, txn: &TxnHeader) -> bool {
        match self {
            Target::End => true,
            Target::Zxid(zxid) => txn.zxid <= zxid,
            Target::Time(ms) => txn.time <= ms,
        }
    }
}

/// The files that a target needs.
struct Plan<'a> {
    base: &'a Base,
    segments: Vec<&'a Segment>,
}

fn plan(manifest: &Manifest, target: Target) -> Result<Plan<'_>, String> {
    let mut bases: Vec<&Base> = manifest.bases.iter().collect();
    bases.sort_by_key(|base| base.zxid);
    let fits = |base: &&&Base| match target {
        Target::End => true,
        Target::Zxid(zxid) => base.zxid <= zxid,
        Target::Time(ms) => base.taken_ms <= ms,
    };
    let last = manifest.last_zxid();
    let base = bases.iter().rfind(fits).ok_or_else(|| {
        let first = bases.first().map_or(0, |base| base.zxid);
        format!("the backup begins at zxid 0x{first:x}, after what is asked for")
    })?;
    let up_to = match target {
        Target::Zxid(zxid) if zxid > last => {
            return Err(format!(
                "the backup ends at zxid 0x{last:x}, before what is asked for"
            ));
        }
        Target::Zxid(zxid) => zxid,
        Target::Time(_) => {
            // Times need not rise; the transactions are looked at one by one.
            let mut reached = base.zxid;
            for segment in &manifest.segments {
                if segment.after <= reached {
                    reached = reached.max(segment.last);
                }
            }
            reached
        }
        Target::End => last,
    };
    let segments = manifest.chain(base.zxid, up_to).ok_or_else(|| {
        format!(
            "transactions are missing in the backup between the tree at 0x{:x} and 0x{up_to:x}",
            base.zxid
        )
    })?;
    Ok(Plan { base, segments })
}

/// Checks what it needs, and makes the configured data directory of it, which must not have data.
pub fn restore(config: &Config, dir: &Path, target: Target) -> Result<Migrated, ServerError> {
    let manifest = read(dir)?;
    let Plan { base, segments } = plan(&manifest, target).map_err(refused)?;
    // Only the files that count, at a place of their own: the reader takes what it finds.
    let staging = config.data_dir.join("ferrokeeper").join("restoring");
    let failed = |e: std::io::Error| refused(format!("{}: {e}", staging.display()));
    super::clear(&staging)?;
    fs::create_dir_all(super::files(&staging)).map_err(failed)?;
    let files = std::iter::once(&base.file).chain(segments.iter().map(|segment| &segment.file));
    let mut progress = Progress::new("checking files", 1 + segments.len() as u64);
    for (done, file) in files.enumerate() {
        progress.at(done as u64);
        let path = file.verify(dir).map_err(refused)?;
        let path = path.canonicalize().map_err(failed)?;
        std::os::unix::fs::symlink(path, staging.join(&file.name)).map_err(failed)?;
    }
    drop(progress);
    let restored = migrate::take_over(config, &staging, &staging, &|txn| target.has(txn));
    super::clear(&staging)?;
    let restored = restored?;
    match target {
        Target::Zxid(zxid) if restored.last != Zxid(zxid) => Err(refused(format!(
            "what was restored ends at zxid {} instead of 0x{zxid:x}",
            restored.last
        ))),
        _ => Ok(restored),
    }
}

fn read(dir: &Path) -> Result<Manifest, ServerError> {
    let found = Manifest::read(dir).map_err(refused)?;
    found.ok_or_else(|| refused(format!("there is no backup in {}", dir.display())))
}

/// Reads every file of a backup. Lines for the operator: what can be restored of it.
pub fn verify(dir: &Path) -> Result<Vec<String>, ServerError> {
    let manifest = read(dir)?;
    let files = || {
        let bases = manifest.bases.iter().map(|base| &base.file);
        bases.chain(manifest.segments.iter().map(|segment| &segment.file))
    };
    let mut progress = Progress::new("checking files", files().count() as u64);
    let mut bytes = 0;
    for (done, file) in files().enumerate() {
        progress.at(done as u64);
        file.verify(dir).map_err(refused)?;
        bytes += file.bytes;
    }
    drop(progress);
    let mut lines = vec![format!(
        "{} files, {bytes} bytes: all as they were written",
        files().count()
    )];
    for base in &manifest.bases {
        let mut reached = base.zxid;
        let mut segments: Vec<&Segment> = manifest.segments.iter().collect();
        segments.sort_by_key(|segment| segment.after);
        for segment in segments {
            if segment.after <= reached {
                reached = reached.max(segment.last);
            }
        }
        lines.push(format!(
            "any zxid from {} to {} (tree of {})",
            Zxid(base.zxid),
            Zxid(reached),
            crate::timestamp::iso_date(base.taken_ms),
        ));
    }
    Ok(lines)
}
