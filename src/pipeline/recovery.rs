//! From disk to a tree: the stored state, then the log after it. And the pipeline that starts from there.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Condvar, Mutex, RwLock};

use super::admission::{LargeRequests, RequestThrottle};
use super::checkpoint::{self, Pending};
use super::connection_throttle::ConnectionThrottle;
use super::prep::Prep;
use super::role::{CurrentRole, Role};
use super::stats::Stats;
use super::watchers::Watchers;
use super::{Pipeline, Settings, wall_ms};
use crate::ids::{SessionId, Zxid};
use crate::ops::{self, Rules, Unwatched};
use crate::proto::Acl;
use crate::session::Sessions;
use crate::storage::{NodeRecord, Restore};
use crate::tree::Tree;
use crate::tree::acl::{AclList, from_wire};
use crate::tree::stored::StoredNode;

/// Takes what the storage reads while it opens.
pub struct Restoring {
    tree: Tree,
    nodes: u64,
}

impl Restoring {
    /// `digest`: whether the tree keeps one.
    pub fn new(extended_types: bool, digest: bool) -> Restoring {
        let tree = Tree::bare(extended_types);
        Restoring {
            tree: if digest { tree } else { tree.without_digest() },
            nodes: 0,
        }
    }

    /// The tree as the last transaction on disk left it.
    pub fn finish(self) -> Tree {
        self.tree
    }
}

impl Restore for Restoring {
    fn acl(&mut self, id: u32, bytes: &[u8]) -> Result<(), String> {
        let list: Vec<Acl<'_>> = jute::from_slice(bytes).map_err(|e| format!("ACL {id}: {e}"))?;
        self.tree
            .restore_acl(id, list.iter().map(from_wire).collect::<AclList>());
        Ok(())
    }

    fn session(&mut self, id: i64, timeout_ms: i32) {
        self.tree.restore_session(SessionId(id), timeout_ms);
    }

    fn node(&mut self, path: &str, node: NodeRecord<'_>) -> Result<(), String> {
        self.nodes += 1;
        self.tree.restore_node(
            path,
            StoredNode {
                czxid: node.czxid,
                mzxid: node.mzxid,
                pzxid: node.pzxid,
                ctime: node.ctime,
                mtime: node.mtime,
                owner: node.ephemeral_owner,
                version: node.version,
                cversion: node.cversion,
                aversion: node.aversion,
                acl: node.acl,
                data: node.data,
            },
        )
    }

    fn marker(&mut self, zxid: i64) {
        if self.nodes == 0 {
            // Nothing was ever stored: the log, if there is one, begins with a new tree.
            let new = Tree::new(self.tree.extended_types());
            let digest = self.tree.digest().is_some();
            self.tree = if digest { new } else { new.without_digest() };
        } else {
            self.tree.restored(Zxid(zxid));
            ops::retally_quotas(&mut self.tree);
        }
    }

    fn txn(&mut self, zxid: i64, bytes: &[u8]) -> Result<(), String> {
        let (header, _) =
            ops::apply(&mut self.tree, bytes, &mut Unwatched).map_err(|e| e.to_string())?;
        if header.zxid != zxid {
            return Err(format!(
                "transaction 0x{:x} is stored as 0x{zxid:x}",
                header.zxid
            ));
        }
        Ok(())
    }
}

impl Pipeline {
    pub fn new(mut tree: Tree, rules: Rules, settings: Settings) -> (Arc<Pipeline>, Pending) {
        let sessions = Sessions::new(settings.tick_ms, settings.session_id_byte, wall_ms());
        for (id, timeout_ms) in tree.sessions() {
            sessions.track(id, timeout_ms, 0);
        }
        let orphans = tree.orphans();
        if !orphans.is_empty() {
            tracing::warn!(
                "removing {} ephemeral nodes whose sessions are gone",
                orphans.len()
            );
            let zxid = tree.last_zxid().0;
            for id in orphans {
                tree.delete(id, zxid);
            }
        }
        let (checkpoints, pending) = checkpoint::channel();
        let large = LargeRequests::new(
            settings.large_request_threshold,
            settings.large_request_bytes_max,
        );
        let throttle = settings.request_throttle.clone();
        let connection_throttle = settings.connection_throttle.clone();
        let pipeline = Pipeline {
            large,
            throttle: throttle.map(|settings| Arc::new(RequestThrottle::new(settings))),
            connection_throttle: connection_throttle
                .map(|settings| Mutex::new(ConnectionThrottle::new(settings, 0))),
            prep: Mutex::new(Prep::new(tree.last_zxid())),
            tree: RwLock::new(tree),
            watchers: Mutex::new(Watchers::default()),
            work: Condvar::new(),
            sessions,
            rules,
            settings,
            outstanding: AtomicUsize::new(0),
            forwarded: Arc::default(),
            group_bytes: AtomicUsize::new(0),
            out_of_room: AtomicBool::new(false),
            disk: Default::default(),
            durable: Default::default(),
            checkpoints,
            stats: Stats::default(),
            hot_paths: Default::default(),
            epoch: Instant::now(),
            role: CurrentRole::new(Role::Alone),
            upstream: OnceLock::new(),
            learning: Mutex::default(),
            member: OnceLock::new(),
        };
        (Arc::new(pipeline), pending)
    }
}
