//! Connections by number, and who of them hears what when a transaction is applied.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::audit;
use super::client::Client;
use crate::admin::metrics::Metrics;
use crate::auth::perm;
use crate::ids::ConnId;
use crate::ops::{Change, Observer, Rules, watches::put_event};
use crate::proto::EventType;
use crate::tree::acl::AclList;
use crate::tree::watch::{Table, Watches};

#[derive(Default)]
pub(super) struct Watchers {
    pub watches: Watches,
    pub clients: HashMap<ConnId, Arc<Client>, RandomState>,
    next: u32,
}

impl Watchers {
    /// A number that no living connection has.
    pub fn new_id(&mut self) -> ConnId {
        loop {
            let id = ConnId(self.next);
            // The last one is kept free: sessions store the number plus one.
            self.next = if self.next == u32::MAX - 1 {
                0
            } else {
                self.next + 1
            };
            if !self.clients.contains_key(&id) {
                return id;
            }
        }
    }
}

/// Sends notifications while transactions are applied.
pub(super) struct Firing<'a> {
    pub watchers: &'a mut Watchers,
    pub rules: &'a Rules,
    pub metrics: &'a Metrics,
    /// Clients with new output, for the flush after the batch.
    pub touched: &'a mut Vec<Arc<Client>>,
    pub sent: u64,
    /// For the audit log, when no lock is held any more.
    pub audit: Vec<audit::Record>,
    first: Vec<ConnId>,
    second: Vec<ConnId>,
    frame: Vec<u8>,
}

impl<'a> Firing<'a> {
    pub fn new(
        watchers: &'a mut Watchers,
        rules: &'a Rules,
        metrics: &'a Metrics,
        touched: &'a mut Vec<Arc<Client>>,
    ) -> Self {
        Firing {
            watchers,
            rules,
            metrics,
            touched,
            sent: 0,
            audit: Vec::new(),
            first: Vec::new(),
            second: Vec::new(),
            frame: Vec::new(),
        }
    }

    fn send(&mut self, zxid: i64, kind: EventType, path: &str, acl: &AclList, to: &[ConnId]) {
        if to.is_empty() {
            return;
        }
        self.frame.clear();
        put_event(&mut self.frame, zxid, kind, path);
        let for_all = self.rules.providers.check(acl, perm::READ, &[]);
        for conn in to {
            let Some(client) = self.watchers.clients.get(conn) else {
                continue;
            };
            let mut state = client.state();
            if !state.is_open()
                || !(for_all || self.rules.providers.check(acl, perm::READ, &state.ids))
            {
                continue;
            }
            state.out().extend_from_slice(&self.frame);
            self.sent += 1;
            if !std::mem::replace(&mut state.touched, true) {
                self.touched.push(client.clone());
            }
        }
    }

    /// How many watches a change fires, if any.
    fn count(&self, kind: EventType, watches: usize) {
        let fired = match kind {
            _ if watches == 0 => return,
            EventType::NODE_CREATED => &self.metrics.node_created_watch_count,
            EventType::NODE_DELETED => &self.metrics.node_deleted_watch_count,
            EventType::NODE_DATA_CHANGED => &self.metrics.node_changed_watch_count,
            EventType::NODE_CHILDREN_CHANGED => &self.metrics.node_children_watch_count,
            _ => return,
        };
        fired.record(watches as i64);
    }

    fn trigger(&mut self, zxid: i64, kind: EventType, path: &str, acl: &AclList, table: Table) {
        let mut to = std::mem::take(&mut self.first);
        self.watchers.watches.trigger(path, table, &mut to);
        self.count(kind, to.len());
        self.send(zxid, kind, path, acl, &to);
        self.first = to;
    }
}

impl Observer for Firing<'_> {
    fn is_watching(&self) -> bool {
        self.watchers.watches.total() > 0
    }

    fn changed(&mut self, zxid: i64, change: Change<'_>) {
        match change {
            Change::Created {
                path,
                acl,
                parent,
                parent_acl,
            } => {
                self.trigger(zxid, EventType::NODE_CREATED, path, acl, Table::Data);
                self.trigger(
                    zxid,
                    EventType::NODE_CHILDREN_CHANGED,
                    parent,
                    parent_acl,
                    Table::Child,
                );
            }
            Change::Deleted {
                path,
                acl,
                parent,
                parent_acl,
            } => {
                self.trigger(zxid, EventType::NODE_DELETED, path, acl, Table::Data);
                let mut to = std::mem::take(&mut self.second);
                self.watchers.watches.trigger(path, Table::Child, &mut to);
                self.count(EventType::NODE_DELETED, to.len());
                to.retain(|conn| self.first.binary_search(conn).is_err());
                self.send(zxid, EventType::NODE_DELETED, path, acl, &to);
                self.second = to;
                self.trigger(
                    zxid,
                    EventType::NODE_CHILDREN_CHANGED,
                    parent,
                    parent_acl,
                    Table::Child,
                );
            }
            Change::Data { path, acl } => {
                self.trigger(zxid, EventType::NODE_DATA_CHANGED, path, acl, Table::Data);
            }
        }
    }
}
