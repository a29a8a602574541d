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
    let expected = java.snapshot.digest;
    check_digest(&tree, expected);
    // Here a state is of one zxid. What the snapshot shows of later transactions was applied, hence committed, when it
    // was taken.
    let (mut txns, mut last) = (0, java.zxid.0);
    while last < tree.exact_from().0
        && let Some((zxid, txn)) = java.log.next().map_err(refused)?
    {
        replay(&mut tree, zxid, &txn)?;
        check_digest(&tree, expected);
        (txns, last) = (txns + 1, zxid);
    }
    let mut install = store.places.begin_install(last)?;
    write_whole(&tree, &install)?;

    // The tail stays log: what of it is committed, an ensemble decides. Applying it here proves that it can be read.
    let mut bytes = Vec::new();
    let mut progress = Progress::new("transactions", 0);
    while let Some((zxid, txn)) = java.log.next().map_err(refused)? {
        if !wanted(&jute::from_slice(&txn).map_err(refused)?) {
            break;
        }
        progress.at(txns);
        replay(&mut tree, zxid, &txn)?;
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
    importing.outdates(&config.data_dir, &config.data_log_dir)?;
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

fn replay(tree: &mut Tree, zxid: i64, txn: &[u8]) -> Result<(), ServerError> {
    let applied = ops::apply(tree, txn, &mut Unwatched);
    applied
        .map(drop)
        .map_err(|e| refused(format!("transaction 0x{zxid:x} cannot be read: {e}")))
}

/// The digest in a snapshot is of the moment at which it was complete.
fn check_digest(tree: &Tree, expected: Option<(Zxid, u64)>) {
    if let Some((at, sum)) = expected
        && at == tree.last_zxid()
        && tree.digest_sum().is_some_and(|own| own != sum)
    {
        tracing::error!("the tree at zxid {at} differs from what the snapshot says it was");
    }
}

/// Writes what this server has into `to/version-2`, from which a Java server starts.
pub fn export(config: &Config, to: &Path, log_to: &Path) -> Result<Migrated, ServerError> {
    let mut restoring = Restoring::new(config.extended_types_enabled, config.tree_digest_enabled);
    let store = storage::open(&storage_config(config), &mut restoring)?;
    let mut tree = restoring.finish();
    let (mut txns, mut last) = (0, tree.last_zxid().0);
    let handle = store.log.handle();
    let mut reader = handle.read_from(last + 1);
    // A leader's snapshot may have come while it was busy.
    while last < tree.exact_from().0
        && let Some((zxid, txn)) = reader.next()?
    {
        replay(&mut tree, zxid, txn)?;
        last = zxid;
    }
    let snapshot = tree.last_zxid();
    java::write_snapshot(to, &tree).map_err(refused)?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::config::SystemProperties;
    use crate::storage::java::golden_txns;

    const LIMITS: Limits = Limits {
        field_bytes_max: 1 << 20,
    };

    fn config(dir: &Path) -> Config {
        let file = dir.join("zoo.cfg");
        let data = dir.join("data");
        let text = format!(
            "dataDir={}\nclientPort=2181\nextendedTypesEnabled=true\n",
            data.display()
        );
        fs::write(&file, text).unwrap();
        Config::load(&file, &SystemProperties::default()).unwrap().0
    }

    /// A Java server's directory with a log of all the transactions, and a snapshot that was named after the one at
    /// `named` and written after the one at `written`.
    fn java_directory(data: &Path, named: usize, written: usize) {
        let txns = golden_txns();
        let mut tree = Tree::new(true);
        for (_, txn) in &txns[..=written] {
            ops::apply(&mut tree, txn, &mut Unwatched).unwrap();
        }
        let path = java::write_snapshot(data, &tree).unwrap();
        let name = format!("snapshot.{:x}", txns[named].0);
        fs::rename(&path, path.with_file_name(name)).unwrap();
        let mut log = LogWriter::create(data, txns[0].0).unwrap();
        for (_, txn) in &txns {
            log.append(txn).unwrap();
        }
        log.finish().unwrap();
        java::write_epochs(data, Some(5), Some(5)).unwrap();
    }

    /// As Java starts from it: it compares the snapshot's digest where the tree gets to its zxid, and from then on that
    /// of every transaction.
    fn assert_java_is_content(data: &Path) {
        let bare = || Tree::bare(true);
        let mut java = java::read(data, data, LIMITS, bare).unwrap();
        let (at, sum) = java.snapshot.digest.unwrap();
        assert_eq!(at, java.zxid);
        let mut tree = java.snapshot.tree;
        assert_eq!(tree.digest_sum(), Some(sum));
        assert_eq!(
            tree.exact_from().max(at),
            at,
            "nothing of later ones is in it"
        );
        while let Some((zxid, txn)) = java.log.next().unwrap() {
            replay(&mut tree, zxid, &txn).unwrap();
        }
        assert_eq!(tree.digest().unwrap().mismatches(), 0);
        assert_eq!(tree.last_zxid().0, golden_txns().last().unwrap().0);
    }

    #[test]
    fn a_snapshot_taken_under_load_comes_over_and_goes_back() {
        let last = golden_txns().len() - 1;
        for named in 0..=last {
            for written in [named, (named + 4).min(last), last] {
                let dir = tempfile::tempdir().unwrap();
                let config = config(dir.path());
                java_directory(&config.data_dir, named, written);
                let over = import(&config).unwrap();
                assert_eq!(over.txns, (last - named) as u64);
                assert_eq!(over.mismatches, 0);
                let back = dir.path().join("back");
                let gave = export(&config, &back, &back).unwrap();
                assert_eq!(gave.last, over.last);
                assert_java_is_content(&back);
            }
        }
    }
}
