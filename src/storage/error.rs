//! What can go wrong with a store, told so that an operator knows what to do.
//!
//! Every variant says what happened and where; those that an operator can act on end with what to
//! do. It must not know RocksDB: `log.rs` and `state.rs` translate. Answers to Java's
//! `FileTxnSnapLog.DatadirException` (whose texts are kept word for word) and `IOException`.

use std::path::{Path, PathBuf};

/// Why a store does not open or does not write.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error(
        "Missing {kind} directory {dir}, automatic data directory creation is disabled \
         (zookeeper.datadir.autocreate is false). Please create this directory manually.",
        dir = dir.display()
    )]
    MissingDirectory { kind: DirectoryKind, dir: PathBuf },

    #[error("Unable to create {kind} directory {dir}: {source}", dir = dir.display())]
    CannotCreateDirectory {
        kind: DirectoryKind,
        dir: PathBuf,
        source: std::io::Error,
    },

    #[error("Cannot write to {kind} directory {dir}: {source}", dir = dir.display())]
    CannotWriteDirectory {
        kind: DirectoryKind,
        dir: PathBuf,
        source: std::io::Error,
    },

    #[error(
        "{text} directory has {other} files. Check if dataLogDir and dataDir configuration is \
         correct. ({found} exists)",
        text = match kind { DirectoryKind::Log => "Log", DirectoryKind::State => "Snapshot" },
        other = match kind { DirectoryKind::Log => "snapshot", DirectoryKind::State => "log" },
        found = found.display()
    )]
    Swapped { kind: DirectoryKind, found: PathBuf },

    #[error(
        "{dir} is in use by another process ({holder}). Two servers on one directory would \
         destroy it: stop the other one, or give this one a directory of its own.",
        dir = dir.display()
    )]
    InUse { dir: PathBuf, holder: String },

    #[error(
        "{dir} is the data directory of a Java ZooKeeper (it holds {example}). Nothing in it was \
         changed. Stop that server and run `ferrokeeper import` with the same configuration file to \
         take its data over, or give this server an empty dataDir and dataLogDir.",
        dir = dir.display()
    )]
    JavaData { dir: PathBuf, example: String },

    #[error(
        "{dir} holds files of a Java ZooKeeper that were not there when this server's data was made ({example}): one may \
         have gone on from it. Nothing in it was changed. To go on from Java's data, remove {own} (and the directory of this name in dataLogDir) and run \
         `ferrokeeper import` with the same configuration file; to go on from this server's, move {dir}/version-2 away.",
        dir = dir.display(), own = own.display()
    )]
    JavaWentOn {
        dir: PathBuf,
        own: PathBuf,
        example: String,
    },

    #[error(
        "{dir} was written by a newer Ferrokeeper (format {found}; this program knows up to \
         {known}). Nothing in it was changed. Start the newer version again.",
        dir = dir.display()
    )]
    NewerFormat {
        dir: PathBuf,
        found: u32,
        known: u32,
    },

    #[error(
        "{dir} is not a directory of Ferrokeeper: {why}. Nothing in it was changed. Set dataDir \
         and dataLogDir to empty directories or to those of this server.",
        dir = dir.display()
    )]
    Foreign { dir: PathBuf, why: String },

    #[error("{what} in {place} is damaged: {why}. {advice}", place = place.display())]
    Damaged {
        what: &'static str,
        place: PathBuf,
        why: String,
        advice: &'static str,
    },

    #[error(
        "no space left on the disk of {place}: {why}. The server stops here so that nothing is \
         acknowledged that is not on disk. Free some space and start it again; everything that \
         was acknowledged is kept.",
        place = place.display()
    )]
    NoSpace { place: PathBuf, why: String },

    #[error("{doing} in {place}: {why}", place = place.display())]
    Io {
        doing: &'static str,
        place: PathBuf,
        why: String,
    },

    #[error(
        "{place} takes no more writes because an earlier write failed. Restart the server; \
         everything that was acknowledged is kept.",
        place = place.display()
    )]
    Poisoned { place: PathBuf },

    #[error("the content of {place} cannot be loaded: {why}", place = place.display())]
    Restore { place: PathBuf, why: String },

    #[error(
        "The accepted epoch, {accepted:x} is less than the current epoch, {current:x} in {dir}",
        dir = dir.display()
    )]
    EpochsCrossed {
        dir: PathBuf,
        accepted: i64,
        current: i64,
    },
}

/// What to do about a damaged log or state.
pub(super) const ADVICE_DAMAGED: &str = "The server does not start, because it would serve a tree \
     with holes. If this server is one of an ensemble, move both data directories away and start \
     it again: it takes everything from the leader. If it stands alone, check the disk and restore \
     both directories from a backup.";

/// What to do when the two directories do not belong together.
pub(super) const ADVICE_PAIR: &str = "Check dataDir and dataLogDir: both have to be those that \
     this server used before, or both empty.";

/// Java names the log's directory "data directory" and the snapshots' "snap directory".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryKind {
    Log,
    State,
}

impl std::fmt::Display for DirectoryKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            DirectoryKind::Log => "data",
            DirectoryKind::State => "snap",
        })
    }
}

impl StorageError {
    /// The process's exit code for this error, as Java's `ExitCode` has it.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::MissingDirectory { .. }
            | Self::CannotCreateDirectory { .. }
            | Self::CannotWriteDirectory { .. }
            | Self::Swapped { .. }
            | Self::InUse { .. }
            | Self::JavaData { .. }
            | Self::JavaWentOn { .. }
            | Self::NewerFormat { .. }
            | Self::Foreign { .. } => 3,
            Self::NoSpace { .. } | Self::Io { .. } | Self::Poisoned { .. } => 10,
            Self::Damaged { .. } | Self::Restore { .. } | Self::EpochsCrossed { .. } => 1,
        }
    }

    /// An error of the operating system, with the full disk told apart.
    pub(super) fn io(doing: &'static str, place: &Path, source: std::io::Error) -> Self {
        let place = place.to_path_buf();
        if source.kind() == std::io::ErrorKind::StorageFull {
            let why = format!("{doing}: {source}");
            return Self::NoSpace { place, why };
        }
        let why = source.to_string();
        Self::Io { doing, place, why }
    }

    /// An error of the store behind log or state, given as text: it has no numbers to offer.
    pub(super) fn store(
        doing: &'static str,
        what: &'static str,
        place: &Path,
        corrupt: bool,
        why: String,
    ) -> Self {
        let place = place.to_path_buf();
        if corrupt {
            let advice = ADVICE_DAMAGED;
            return Self::Damaged {
                what,
                place,
                why,
                advice,
            };
        }
        if why.contains("No space left") {
            return Self::NoSpace { place, why };
        }
        Self::Io { doing, place, why }
    }
}
