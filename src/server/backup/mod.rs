//! Backups of a server that runs, or of one that does not: its stores are read as they lie there, and the server is
//! asked nothing but how far it is. A backup is a directory from which a Java server could start, too: snapshots and
//! logs in its formats, and a manifest with their checksums.
//!
//! The first backup into a directory writes the whole tree and the log behind it; each later one only the log since,
//! unless the server does not have that any more. `restore` makes the data of a new server of it, as of any
//! transaction that it holds. Java has no such tool; what people do by hand is copying the same kinds of files.

pub mod manifest;
pub mod restore;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use manifest::{Base, Manifest, SealedFile, Segment};

use super::ServerError;
use super::migrate::{refused, storage_config};
use super::progress::Progress;
use crate::config::Config;
use crate::ids::Zxid;
use crate::pipeline::recovery::Restoring;
use crate::proto::txn::TxnHeader;
use crate::storage::java::{self, LogWriter};
use crate::storage::small;
use crate::storage::view::View;

/// For the answer to a four-letter word.
const WORD_LIMIT: Duration = Duration::from_secs(5);
const STAGING: &str = "incoming";
const FILES: &str = "version-2";

/// What one run wrote.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// Nodes of the tree, if it was written.
    pub base: Option<(Zxid, usize)>,
    pub txns: u64,
    pub last: Zxid,
    /// Why the tree had to be written again.
    pub gap: bool,
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.gap {
            f.write_str("the server has not kept the log since the last backup; ")?;
        }
        if let Some((zxid, nodes)) = self.base {
            write!(f, "{nodes} nodes at zxid {zxid}, and ")?;
        }
        write!(f, "{} transactions up to {}", self.txns, self.last)
    }
}

/// Writes what is new into `dir`; `whole`: the tree, too.
pub fn take(config: &Config, dir: &Path, whole: bool) -> Result<Taken, ServerError> {
    // Before the stores are opened: all that the server has applied by now will be in them.
    let applied = applied_zxid(config);
    let view = View::open(&storage_config(config))?;
    let end = match config.is_distributed() {
        false => view.log.last_zxid(),
        true => view
            .committed()
            .max(applied.unwrap_or(0))
            .min(view.log.last_zxid()),
    };
    // What nobody else may ask the server for, nobody else shall read here.
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir.join(FILES))
        .map_err(|e| refused(format!("{}: {e}", dir.display())))?;
    let mut manifest = Manifest::read(dir).map_err(refused)?.unwrap_or_default();
    let staging = dir.join(STAGING);
    clear(&staging)?;

    let had = (!manifest.bases.is_empty()).then(|| manifest.last_zxid());
    let gap = had.is_some_and(|had| had < view.log.purged_zxid());
    if let Some(had) = had {
        check_same_history(&view, &manifest, had, end)?;
    }
    let mut base = None;
    let mut after = had.unwrap_or(0);
    if whole || gap || had.is_none() {
        let (zxid, nodes) = write_base(config, &view, dir, &mut manifest)?;
        base = Some((zxid, nodes));
        after = match had {
            // The log goes on without a hole.
            Some(had) if !gap => had,
            _ => zxid.0,
        };
    }
    let txns = write_segment(&view, dir, &mut manifest, after, end)?;
    clear(&staging)?;
    manifest
        .write(dir)
        .map_err(|e| refused(format!("{}: {e}", dir.display())))?;
    Ok(Taken {
        base,
        txns,
        last: Zxid(manifest.last_zxid()),
        gap,
    })
}

/// What was backed up last has to be what this server has at that place: else this is another server's data, or one
/// that was restored to an earlier time.
fn check_same_history(
    view: &View,
    manifest: &Manifest,
    had: i64,
    end: i64,
) -> Result<(), ServerError> {
    let other = |why: String| {
        refused(format!(
            "{why}: the backup is of other data than this server's. Use another directory"
        ))
    };
    if had > end {
        // A member that is behind the one that was backed up before is no danger, but has nothing new.
        return Err(other(format!(
            "the backup ends at zxid 0x{had:x}, this server at 0x{end:x}"
        )));
    }
    let last = manifest.segments.iter().find(|segment| segment.last == had);
    let Some(last) = last.filter(|_| had > view.log.purged_zxid()) else {
        return Ok(());
    };
    let mut reader = view.log.read_from(had);
    match reader.next()? {
        Some((zxid, txn)) if zxid == had && crc32fast::hash(txn) == last.last_crc => Ok(()),
        _ => Err(other(format!(
            "transaction 0x{had:x} is not the one in the backup"
        ))),
    }
}

fn write_base(
    config: &Config,
    view: &View,
    dir: &Path,
    manifest: &mut Manifest,
) -> Result<(Zxid, usize), ServerError> {
    let mut restoring = Restoring::new(config.extended_types_enabled, config.tree_digest_enabled);
    view.restore(&mut restoring)?;
    let tree = restoring.finish();
    let zxid = tree.last_zxid();
    let written = java::write_snapshot(&dir.join(STAGING), &tree).map_err(refused)?;
    let name = take_in(dir, &written)?;
    let file = SealedFile::of(dir, name).map_err(|e| refused(e.to_string()))?;
    manifest.put_base(Base {
        zxid: zxid.0,
        taken_ms: now_ms(),
        file,
    });
    Ok((zxid, tree.node_count()))
}

fn write_segment(
    view: &View,
    dir: &Path,
    manifest: &mut Manifest,
    after: i64,
    end: i64,
) -> Result<u64, ServerError> {
    let mut reader = view.log.read_from(after + 1);
    let mut progress = Progress::new("transactions", end.saturating_sub(after).max(0) as u64);
    let mut writer = None;
    let (mut txns, mut last, mut last_time_ms, mut last_crc, mut first) = (0, after, 0, 0, 0);
    while let Some((zxid, txn)) = reader.next()? {
        if zxid > end {
            break;
        }
        let writer = match &mut writer {
            Some(writer) => writer,
            None => {
                first = zxid;
                let log = LogWriter::create(&dir.join(STAGING), zxid).map_err(refused)?;
                writer.insert(log)
            }
        };
        writer.append(txn).map_err(refused)?;
        let header: TxnHeader = jute::from_slice(txn).map_err(refused)?;
        (last, last_time_ms, last_crc) = (zxid, header.time, crc32fast::hash(txn));
        txns += 1;
        progress.at(txns);
    }
    let Some(writer) = writer else {
        return Ok(0);
    };
    writer.finish().map_err(refused)?;
    let written = dir.join(STAGING).join(FILES).join(format!("log.{first:x}"));
    let name = take_in(dir, &written)?;
    let file = SealedFile::of(dir, name).map_err(|e| refused(e.to_string()))?;
    manifest.segments.push(Segment {
        after,
        last,
        last_time_ms,
        last_crc,
        file,
    });
    Ok(txns)
}

/// Moves a finished file to its place.
fn take_in(dir: &Path, written: &Path) -> Result<String, ServerError> {
    let file = written.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{FILES}/{file}");
    let place = dir.join(&name);
    fs::rename(written, &place)
        .and_then(|()| small::sync_parent(&place))
        .map_err(|e| refused(format!("{}: {e}", place.display())))?;
    Ok(name)
}

fn clear(staging: &Path) -> Result<(), ServerError> {
    match fs::remove_dir_all(staging) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(refused(format!("{}: {e}", staging.display())))
        }
        _ => Ok(()),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// How far the server is that the configuration belongs to, if it serves.
fn applied_zxid(config: &Config) -> Option<i64> {
    let listeners = config.client_listeners();
    let address = listeners.iter().find(|listener| !listener.is_secure)?;
    let host = match address.address.is_wildcard() {
        true => "localhost",
        false => address.address.host.as_deref()?,
    };
    let answer = ask((host, address.address.port), "srvr").ok()?;
    let line = answer
        .lines()
        .find_map(|line| line.strip_prefix("Zxid: 0x"))?;
    i64::from_str_radix(line.trim(), 16).ok()
}

/// The answer to a four-letter word.
pub fn ask((host, port): (&str, u16), word: &str) -> std::io::Result<String> {
    let stream = dial((host, port))?;
    (&stream).write_all(word.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.take(1 << 20).read_to_string(&mut answer)?;
    Ok(answer)
}

/// A connection on which nothing takes for ever.
pub fn dial(address: (&str, u16)) -> std::io::Result<TcpStream> {
    let mut failed = std::io::ErrorKind::AddrNotAvailable.into();
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, WORD_LIMIT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(WORD_LIMIT))?;
                stream.set_write_timeout(Some(WORD_LIMIT))?;
                return Ok(stream);
            }
            Err(e) => failed = e,
        }
    }
    Err(failed)
}

/// Where the files of a backup are.
pub(super) fn files(dir: &Path) -> PathBuf {
    dir.join(FILES)
}
