//! Taking over the data directory of a Java server, and giving one back. Neither touches what it reads.

use std::path::Path;

use super::progress::Progress;
use super::{ServerError, rules};
use crate::config::Config;
use crate::ids::Zxid;
use crate::ops::{self, Unwatched};
use crate::pipeline::recovery::Restoring;
use crate::pipeline::write_whole;
use crate::proto::txn::TxnHeader;
use crate::storage::java::{self, LogWriter};
use crate::storage::snapshot::Limits;
use crate::storage::{self, Importing, Replay, StorageConfig, group};
use crate::tree::Tree;

/// Bytes of one group of the log.
const GROUP_BYTES: usize = 1 << 20;

pub(super) fn storage_config(config: &Config) -> StorageConfig {
    StorageConfig {
        data_log_dir: config.data_log_dir.clone(),
        beside_java: true,
        replay: Replay::None,
        warm_log: false,
        ..StorageConfig::new(&config.data_dir)
    }
}

/// What was taken over or given back, for the operator.
#[derive(Debug, PartialEq, Eq)]
pub struct Migrated {
    pub snapshot: Zxid,
    pub last: Zxid,
    pub nodes: usize,
    /// Transactions behind the snapshot.
    pub txns: u64,
    /// Transactions whose digest of the tree was not what came out here.
    pub mismatches: u64,
}

impl std::fmt::Display for Migrated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} nodes of a snapshot at zxid {}, and {} transactions up to {}",
            self.nodes, self.snapshot, self.txns, self.last
        )
    }
}

/// Reads the Java server's files in the configured directories and makes this server's stores from them, beside
/// them and all at once: a start before that finds a Java directory, one after it a complete store.
pub fn import(config: &Config) -> Result<Migrated, ServerError> {
    take_over(config, &config.data_dir, &config.data_log_dir, &|_| true)
}

/// The same from other directories, up to and without the first transaction that is not `wanted`.
pub(super) fn take_over(
    config: &Config,
    data_dir: &Path,
    log_dir: &Path,
    wanted: &dyn Fn(&TxnHeader) -> bool,
) -> Result<Migrated, ServerError> {
    rules(config)?;
    let bare = || {
        let tree = Tree::bare(config.extended_types_enabled);
        if config.tree_digest_enabled {
            tree
        } else {
            tree.without_digest()
        }
    };
    let limits = Limits {
        field_bytes_max: config.frame_bytes_max as usize * 2,
    };
    let java = java::read(data_dir, log_dir, limits, bare);
    let mut java = java.map_err(refused)?;

    let importing = Importing::begin(&config.data_dir)?;
    let mut nothing = Restoring::new(config.extended_types_enabled, false);
    let mut store = match storage::open(&storage_config(config), &mut nothing) {
        Ok(store) => store,
        Err(error) => {
            importing.give_up();
            return Err(error.into());
        }
    };
    if store.opened.last_zxid != 0 || store.opened.marker != 0 {
        importing.end()?;
        let dir = config.data_dir.display();
        return Err(ServerError::Config(format!(
            "{dir} holds data of this server already (up to zxid 0x{:x}); nothing was imported",
            store.opened.last_zxid
        )));
    }
    let mut tree = java.snapshot.tree;
    let nodes = tree.node_count();
    let mut install = store.places.begin_install(java.zxid.0)?;
    write_whole(&tree, &mut install)?;

    // The tail stays log: what of it is committed, an ensemble decides. Applying it here proves that it can be read.
    let (mut txns, mut last, mut bytes) = (0, java.zxid.0, Vec::new());
    let mut progress = Progress::new("transactions", 0);
    while let Some((zxid, txn)) = java.log.next().map_err(refused)? {
        if !wanted(&jute::from_slice(&txn).map_err(refused)?) {
            break;
        }
        progress.at(txns);
        ops::apply(&mut tree, &txn, &mut Unwatched)
            .map_err(|e| refused(format!("transaction 0x{zxid:x} cannot be read: {e}")))?;
        if let Some((at, sum)) = java.snapshot.digest
            && at.0 == zxid
            && tree.digest_sum().is_some_and(|own| own != sum)
        {
            tracing::error!("the tree at zxid {at} differs from what the snapshot says it was");
        }
        group::push(&mut bytes, &txn);
        (txns, last) = (txns + 1, zxid);
        if bytes.len() >= GROUP_BYTES {
            install.append(last, &bytes)?;
            bytes.clear();
        }
    }
    if !bytes.is_empty() {
        install.append(last, &bytes)?;
    }
    drop(progress);
    // A backup has no files of epochs: its end is of the epoch that it was written in.
    let of_end = (data_dir != config.data_dir).then(|| Zxid(last).epoch().0);
    let current = java.current_epoch.or(of_end);
    if let Some(epoch) = java.accepted_epoch.or(current) {
        store.epochs.set_accepted(epoch)?;
    }
    if let Some(epoch) = current {
        store.epochs.set_current(epoch)?;
    }
    install.switch(&mut store.log, &store.state)?;
    importing.end()?;
    Ok(Migrated {
        snapshot: java.zxid,
        last: Zxid(last),
        nodes,
        txns,
        mismatches: tree.digest().map_or(0, |digest| digest.mismatches()),
    })
}

/// Writes what this server has into `to/version-2`, from which a Java server starts.
pub fn export(config: &Config, to: &Path, log_to: &Path) -> Result<Migrated, ServerError> {
    let mut restoring = Restoring::new(config.extended_types_enabled, config.tree_digest_enabled);
    let store = storage::open(&storage_config(config), &mut restoring)?;
    let tree = restoring.finish();
    let snapshot = tree.last_zxid();
    java::write_snapshot(to, &tree).map_err(refused)?;
    let (mut txns, mut last) = (0, snapshot.0);
    let handle = store.log.handle();
    let mut reader = handle.read_from(snapshot.0 + 1);
    let mut log = None;
    let mut progress = Progress::new("transactions", 0);
    while let Some((zxid, txn)) = reader.next()? {
        progress.at(txns);
        let log = match &mut log {
            Some(log) => log,
            None => log.insert(LogWriter::create(log_to, zxid).map_err(refused)?),
        };
        log.append(txn).map_err(refused)?;
        (txns, last) = (txns + 1, zxid);
    }
    if let Some(log) = log {
        log.finish().map_err(refused)?;
    }
    let (accepted, current) = (store.epochs.accepted(), store.epochs.current());
    java::write_epochs(to, accepted, current).map_err(refused)?;
    Ok(Migrated {
        snapshot,
        last: Zxid(last),
        nodes: tree.node_count(),
        txns,
        mismatches: 0,
    })
}

pub(super) fn refused(error: impl std::fmt::Display) -> ServerError {
    ServerError::Config(error.to_string())
}
