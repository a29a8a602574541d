//! Where things lie, and whether the two directories are ours to touch.
//!
//! ```text
//! <dataDir>/ferrokeeper/state/     FORMAT LOCK acceptedEpoch currentEpoch db/
//! <dataLogDir>/ferrokeeper/log/    FORMAT LOCK ack-mark purge-mark ballast db/
//! <dataDir>/ferrokeeper/taken-over names of a Java server's files that were read once
//! ```
//! `install` says where the stores are once they were replaced.
//! `FORMAT` names the product, the format and the store, so that a log and a state that do not
//! belong together are told apart. Nothing is written before a directory is known to be ours or
//! empty; `myid`, `initialize`, a pid file and an empty `version-2` beside it are none of our
//! business. Answers to the checks of Java's `FileTxnSnapLog` constructor.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::{ADVICE_PAIR, DirectoryKind, StorageError};
use super::lock::DirectoryLock;
use super::mark::AckMark;
use super::{StorageConfig, small};

/// The newest format that this program reads and writes.
const FORMAT: u32 = 1;

/// Both directories, checked and locked.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) state: PathBuf,
    pub(super) log: PathBuf,
    pub(super) locks: Locks,
}

/// Held by whoever still has one of the two stores open.
#[derive(Debug)]
pub(super) struct Locks {
    _state: DirectoryLock,
    _log: DirectoryLock,
}

/// Checks, creates and locks both directories.
pub(super) fn prepare(config: &StorageConfig) -> Result<Layout, StorageError> {
    check_swapped(config)?;
    let importing = Importing::path(&config.data_dir);
    if !config.beside_java && importing.exists() {
        let dir = config.data_dir.clone();
        let why =
            "taking over a Java server's files into it was cut short; do that again".to_owned();
        return Err(StorageError::Foreign { dir, why });
    }
    let log = directory(DirectoryKind::Log, &config.data_log_dir, config)?;
    let state = directory(DirectoryKind::State, &config.data_dir, config)?;
    let log_lock = lock(DirectoryKind::Log, &log)?;
    let state_lock = lock(DirectoryKind::State, &state)?;
    match (
        read_format(DirectoryKind::State, &state)?,
        read_format(DirectoryKind::Log, &log)?,
    ) {
        (Some(state_id), Some(log_id)) if state_id == log_id => check_java_did_not_go_on(config)?,
        (Some(_), Some(_)) => {
            return Err(StorageError::Damaged {
                what: "the pair of directories",
                place: log,
                why: format!("this log belongs to another state than {}", state.display()),
                advice: ADVICE_PAIR,
            });
        }
        // The log's FORMAT is written first: a state without a log has lost it.
        (Some(_), None) => {
            return Err(StorageError::Damaged {
                what: "the log",
                place: log,
                why: format!("the log that belongs to {} is not there", state.display()),
                advice: ADVICE_PAIR,
            });
        }
        // Either the first start was cut short, or the state is lost. Which one, and whether the
        // log is enough to rebuild the state, the purge mark tells.
        (None, Some(id)) => write_format(DirectoryKind::State, &state, &id)?,
        (None, None) => {
            let id = new_id().map_err(|e| StorageError::io("naming the store", &log, e))?;
            AckMark::create(&log, 0)?;
            write_format(DirectoryKind::Log, &log, &id)?;
            write_format(DirectoryKind::State, &state, &id)?;
        }
    }
    let locks = Locks {
        _state: state_lock,
        _log: log_lock,
    };
    Ok(Layout { state, log, locks })
}

/// Both directories, log and state, for who only reads: nothing is made, and nothing locked.
pub(super) fn find(config: &StorageConfig) -> Result<(PathBuf, PathBuf), StorageError> {
    let place = |kind, base: &Path| base.join("ferrokeeper").join(name(kind));
    let log = place(DirectoryKind::Log, &config.data_log_dir);
    let state = place(DirectoryKind::State, &config.data_dir);
    let log_id = read_format(DirectoryKind::Log, &log)?;
    let state_id = read_format(DirectoryKind::State, &state)?;
    match (log_id, state_id) {
        (Some(log_id), Some(state_id)) if log_id == state_id => Ok((log, state)),
        _ => Err(StorageError::Foreign {
            dir: state,
            why: "there is no data of this server in it, or not all of it".to_owned(),
        }),
    }
}

/// While a Java server's files are taken over, a file says so: what is there of stores is not to be started from.
#[derive(Debug)]
pub struct Importing {
    path: PathBuf,
    /// Not left by one that was cut short.
    is_new: bool,
}

impl Importing {
    fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("ferrokeeper").join("importing")
    }

    /// Durable when it returns.
    pub fn begin(data_dir: &Path) -> Result<Importing, StorageError> {
        let path = Self::path(data_dir);
        let is_new = !path.exists();
        fs::create_dir_all(data_dir.join("ferrokeeper"))
            .and_then(|()| small::replace(&path, b""))
            .and_then(|()| small::sync_parent(&data_dir.join("ferrokeeper")))
            .map_err(|e| StorageError::io("writing", &path, e))?;
        Ok(Importing { path, is_new })
    }

    /// Nothing was begun: another process has the directory, or it cannot be used.
    pub fn give_up(self) {
        if self.is_new {
            // It would only keep a server from starting, with the advice to import again.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// The Java files that are there, in either directory, will be older than what is taken over. To be said before that
    /// is put to use; durable when it returns.
    pub fn outdates(&self, data_dir: &Path, data_log_dir: &Path) -> Result<(), StorageError> {
        let mut files = [java_files(data_dir), java_files(data_log_dir)].concat();
        files.sort_unstable();
        files.dedup();
        let path = taken_over(data_dir);
        small::replace(&path, files.join("\n").as_bytes())
            .map_err(|e| StorageError::io("writing", &path, e))
    }

    /// What was taken over is complete.
    pub fn end(self) -> Result<(), StorageError> {
        fs::remove_file(&self.path)
            .and_then(|()| small::sync_parent(&self.path))
            .map_err(|e| StorageError::io("removing", &self.path, e))
    }
}

fn taken_over(data_dir: &Path) -> PathBuf {
    data_dir.join("ferrokeeper").join("taken-over")
}

/// A Java server that starts writes a snapshot, so files that were not there when this server's data was made are of one
/// that went on without it: what is in the stores is old.
fn check_java_did_not_go_on(config: &StorageConfig) -> Result<(), StorageError> {
    if config.beside_java {
        return Ok(());
    }
    let path = taken_over(&config.data_dir);
    let known = match fs::read(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        known => known.map_err(|e| StorageError::io("reading", &path, e))?,
    };
    let known = String::from_utf8_lossy(&known);
    for base in [&config.data_dir, &config.data_log_dir] {
        let is_new = |name: &String| !known.lines().any(|known| known == name);
        if let Some(example) = java_files(base).into_iter().find(is_new) {
            return Err(StorageError::JavaWentOn {
                dir: base.clone(),
                own: base.join("ferrokeeper"),
                example,
            });
        }
    }
    Ok(())
}

/// With two directories, each has its own kind of files: a new, empty server because somebody
/// mixed up two lines of the configuration would be a bad surprise.
fn check_swapped(config: &StorageConfig) -> Result<(), StorageError> {
    let canonical = |dir: &Path| dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    if canonical(&config.data_dir) == canonical(&config.data_log_dir) {
        return Ok(());
    }
    for (kind, base, other) in [
        (
            DirectoryKind::Log,
            &config.data_log_dir,
            DirectoryKind::State,
        ),
        (DirectoryKind::State, &config.data_dir, DirectoryKind::Log),
    ] {
        let found = base.join("ferrokeeper").join(name(other));
        if found.join("FORMAT").exists() {
            return Err(StorageError::Swapped { kind, found });
        }
    }
    Ok(())
}

/// The directory of one store, made if that is allowed.
fn directory(
    kind: DirectoryKind,
    base: &Path,
    config: &StorageConfig,
) -> Result<PathBuf, StorageError> {
    let own = base.join("ferrokeeper");
    let dir = own.join(name(kind));
    if dir.is_dir() {
        return Ok(dir);
    }
    if let Some(example) = java_files(base).into_iter().next()
        && !config.beside_java
    {
        return Err(StorageError::JavaData {
            dir: base.to_path_buf(),
            example,
        });
    }
    // Who switches automatic creation off has the directories made by a script of Java's
    // distribution; it knows `version-2` only.
    if !config.autocreate && !own.is_dir() && !base.join("version-2").is_dir() {
        return Err(StorageError::MissingDirectory { kind, dir: own });
    }
    match fs::create_dir_all(&dir).and_then(|()| sync_new_directories(base)) {
        Ok(()) => Ok(dir),
        Err(source) => Err(StorageError::CannotCreateDirectory { kind, dir, source }),
    }
}

fn sync_new_directories(base: &Path) -> io::Result<()> {
    small::sync_parent(&base.join("ferrokeeper").join("x"))?;
    small::sync_parent(&base.join("ferrokeeper"))?;
    match base.canonicalize() {
        Ok(base) => small::sync_parent(&base).or(Ok(())),
        Err(_) => Ok(()),
    }
}

fn lock(kind: DirectoryKind, dir: &Path) -> Result<DirectoryLock, StorageError> {
    DirectoryLock::take(dir).map_err(|error| match error {
        StorageError::Io { why, .. } => StorageError::CannotWriteDirectory {
            kind,
            dir: dir.to_path_buf(),
            source: io::Error::other(why),
        },
        other => other,
    })
}

/// Snapshots and logs of Java's under `base`.
fn java_files(base: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(base.join("version-2")) else {
        return Vec::new();
    };
    let name = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        (name.starts_with("snapshot.") || name.starts_with("log."))
            .then(|| format!("version-2/{name}"))
    };
    entries.flatten().filter_map(name).collect()
}

/// The id of the store in `dir`; `None` if nothing was written there yet.
fn read_format(kind: DirectoryKind, dir: &Path) -> Result<Option<String>, StorageError> {
    let path = dir.join("FORMAT");
    let foreign = |why: String| StorageError::Foreign {
        dir: dir.to_path_buf(),
        why,
    };
    let content = small::read(&path).map_err(|e| StorageError::io("reading", &path, e))?;
    let Some(content) = content else {
        return match unexpected_file(dir).map_err(|e| StorageError::io("listing", dir, e))? {
            Some(name) => Err(foreign(format!("it has no FORMAT file but holds {name}"))),
            None => Ok(None),
        };
    };
    let text = String::from_utf8_lossy(&content);
    let mut lines = text.lines();
    if lines.next() != Some(&format!("ferrokeeper {}", name(kind))) {
        return Err(foreign(format!(
            "its FORMAT file does not begin with `ferrokeeper {}`",
            name(kind)
        )));
    }
    let found = lines.next().and_then(|line| line.strip_prefix("format "));
    match found.and_then(|number| number.parse::<u32>().ok()) {
        Some(FORMAT) => {}
        Some(found) if found > FORMAT => {
            return Err(StorageError::NewerFormat {
                dir: dir.to_path_buf(),
                found,
                known: FORMAT,
            });
        }
        _ => return Err(foreign("its FORMAT file names no format".to_owned())),
    }
    match lines.next().and_then(|line| line.strip_prefix("store ")) {
        Some(id) if !id.is_empty() => Ok(Some(id.to_owned())),
        _ => Err(foreign("its FORMAT file names no store".to_owned())),
    }
}

/// Anything that a first start, cut short, cannot have left behind.
fn unexpected_file(dir: &Path) -> io::Result<Option<String>> {
    const LEFT_BEHIND: [&str; 4] = ["LOCK", "FORMAT.tmp", "ack-mark", "ack-mark.tmp"];
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !LEFT_BEHIND.contains(&name.as_str()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn write_format(kind: DirectoryKind, dir: &Path, id: &str) -> Result<(), StorageError> {
    let path = dir.join("FORMAT");
    let text = format!("ferrokeeper {}\nformat {FORMAT}\nstore {id}\n", name(kind));
    small::replace(&path, text.as_bytes()).map_err(|e| StorageError::io("writing", &path, e))
}

fn new_id() -> io::Result<String> {
    let mut bytes = [0u8; 8];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

fn name(kind: DirectoryKind) -> &'static str {
    match kind {
        DirectoryKind::Log => "log",
        DirectoryKind::State => "state",
    }
}
