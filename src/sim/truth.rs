//! What really happened, as nobody inside the world can know it: every transaction that was proposed, the one
//! committed history, and every state that a client may have seen. The checkers compare with this.
//!
//! Knows no server and no client by more than a number.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::network::NodeIx;
use crate::ids::{SessionId, Zxid};
use crate::ops::{self, Applied, Change, Observer};
use crate::proto::{ErrorCode, EventType, OpCode};
use crate::tree::{Kind, Tree};

pub struct Proposal {
    pub by: NodeIx,
    pub bytes: Bytes,
}

pub struct Committed {
    pub zxid: Zxid,
    pub bytes: Bytes,
    pub session: SessionId,
    pub cxid: i32,
    pub op: OpCode,
    /// The answer that whoever asked for it must get.
    pub error: ErrorCode,
    /// Of a node that it created.
    pub path: Option<String>,
}

/// A node from some zxid on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub version: i32,
    pub data: Vec<u8>,
    pub ephemeral: Option<SessionId>,
}

#[derive(Default, Clone, Copy)]
pub struct Lifetime {
    pub created: Zxid,
    pub closed: Option<Zxid>,
}

pub struct Truth {
    pub proposed: BTreeMap<Zxid, Proposal>,
    pub committed: Vec<Committed>,
    pub tree: Tree,
    pub sessions: BTreeMap<SessionId, Lifetime>,
    nodes: BTreeMap<String, Vec<(Zxid, Option<Version>)>>,
    events: BTreeMap<String, Vec<(Zxid, EventType)>>,
    by_request: BTreeMap<(SessionId, i32), usize>,
}

impl Default for Truth {
    fn default() -> Self {
        Truth {
            proposed: BTreeMap::new(),
            committed: Vec::new(),
            tree: Tree::new(true),
            sessions: BTreeMap::new(),
            nodes: BTreeMap::new(),
            events: BTreeMap::new(),
            by_request: BTreeMap::new(),
        }
    }
}

impl Truth {
    pub fn last(&self) -> Zxid {
        self.committed.last().map_or(Zxid::ZERO, |c| c.zxid)
    }

    /// How many committed transactions a tree at this zxid holds.
    pub fn position(&self, zxid: Zxid) -> usize {
        self.committed.partition_point(|c| c.zxid <= zxid)
    }

    pub fn at(&self, zxid: Zxid) -> Option<&Committed> {
        let at = self
            .committed
            .binary_search_by_key(&zxid, |c| c.zxid)
            .ok()?;
        self.committed.get(at)
    }

    /// The transaction that a request became, if it was committed.
    pub fn of_request(&self, session: SessionId, cxid: i32) -> Option<&Committed> {
        self.by_request
            .get(&(session, cxid))
            .and_then(|at| self.committed.get(*at))
    }

    /// What a node was when the tree was at `zxid`.
    pub fn node(&self, path: &str, zxid: Zxid) -> Option<&Version> {
        let history = self.nodes.get(path)?;
        let after = history.partition_point(|(at, _)| *at <= zxid);
        history.get(after.checked_sub(1)?)?.1.as_ref()
    }

    /// Names of the children that a node had when the tree was at `zxid`, sorted.
    pub fn children(&self, parent: &str, zxid: Zxid) -> Vec<&str> {
        let prefix = format!("{parent}/");
        self.nodes
            .range(prefix.clone()..)
            .take_while(|(path, _)| path.starts_with(&prefix))
            .filter(|(path, _)| self.node(path, zxid).is_some())
            .map(|(path, _)| &path[prefix.len()..])
            .filter(|name| !name.contains('/'))
            .collect()
    }

    /// The first change of a node after `since` that watchers of these kinds hear of.
    pub fn first_event(
        &self,
        path: &str,
        kinds: &[EventType],
        since: Zxid,
    ) -> Option<(Zxid, EventType)> {
        let events = self.events.get(path)?;
        let after = events.partition_point(|(at, _)| *at <= since);
        events[after..]
            .iter()
            .copied()
            .find(|(_, kind)| kinds.contains(kind))
    }

    /// The committed history grows by one. `Err` where the bytes are no transaction, or a request comes twice.
    pub fn commit(&mut self, zxid: Zxid, bytes: &Bytes) -> Result<(), String> {
        let mut changes = Changes::default();
        let (header, applied) =
            ops::apply(&mut self.tree, bytes, &mut changes).map_err(|e| e.to_string())?;
        if header.zxid != zxid.0 {
            return Err(format!("{zxid} carries {}", Zxid(header.zxid)));
        }
        let session = SessionId(header.client_id);
        let (error, path) = outcome(&applied);
        self.committed.push(Committed {
            zxid,
            bytes: bytes.clone(),
            session,
            cxid: header.cxid,
            op: header.op,
            error,
            path,
        });
        for (path, kind) in changes.0 {
            if kind != EventType::NODE_CHILDREN_CHANGED {
                let now = self.current(&path);
                self.nodes
                    .entry(path.clone())
                    .or_default()
                    .push((zxid, now));
            }
            self.events.entry(path).or_default().push((zxid, kind));
        }
        match header.op {
            OpCode::CREATE_SESSION => {
                self.sessions.entry(session).or_default().created = zxid;
            }
            OpCode::CLOSE_SESSION => {
                self.sessions
                    .entry(session)
                    .or_default()
                    .closed
                    .get_or_insert(zxid);
            }
            _ if header.cxid != 0 => {
                let at = self.committed.len() - 1;
                if let Some(before) = self.by_request.insert((session, header.cxid), at) {
                    return Err(format!(
                        "request {} of session {session} was committed at {} and again at {zxid}",
                        header.cxid, self.committed[before].zxid
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn current(&self, path: &str) -> Option<Version> {
        let node = self.tree.get(path)?;
        Some(Version {
            version: node.version,
            data: node.data().unwrap_or_default().to_vec(),
            ephemeral: match self.tree.kind(node) {
                Kind::Ephemeral(owner) => Some(SessionId(owner)),
                _ => None,
            },
        })
    }
}

/// What whoever asked is told: the code, and the path of a node that was created.
pub fn outcome(applied: &Applied<'_>) -> (ErrorCode, Option<String>) {
    match applied {
        Applied::Error(code) => (*code, None),
        Applied::Path(path) | Applied::PathStat(path, _) => {
            (ErrorCode::OK, Some(path.or_empty().to_owned()))
        }
        Applied::Multi(parts) => parts
            .iter()
            .map(|(_, part)| outcome(part))
            .find(|(code, _)| *code != ErrorCode::OK)
            .unwrap_or((ErrorCode::OK, None)),
        Applied::Nothing | Applied::Stat(_) | Applied::Data(..) => (ErrorCode::OK, None),
    }
}

#[derive(Default)]
struct Changes(Vec<(String, EventType)>);

impl Observer for Changes {
    fn is_watching(&self) -> bool {
        true
    }

    fn changed(&mut self, _zxid: i64, change: Change<'_>) {
        match change {
            Change::Created { path, parent, .. } => {
                self.0.push((path.to_owned(), EventType::NODE_CREATED));
                self.0
                    .push((parent.to_owned(), EventType::NODE_CHILDREN_CHANGED));
            }
            Change::Deleted { path, parent, .. } => {
                self.0.push((path.to_owned(), EventType::NODE_DELETED));
                self.0
                    .push((parent.to_owned(), EventType::NODE_CHILDREN_CHANGED));
            }
            Change::Data { path, .. } => {
                self.0.push((path.to_owned(), EventType::NODE_DATA_CHANGED));
            }
        }
    }
}
