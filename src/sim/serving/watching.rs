//! Notifications, in the order of `pipeline::watchers`.

use super::{Answer, Effects};
use crate::ids::ConnId;
use crate::ops::{Change, Observer};
use crate::proto::EventType;
use crate::proto::client::{ReplyHeader, WatcherEvent};
use crate::tree::watch::{Table, Watches};

/// Frames of notifications, as a client takes them apart.
pub(super) fn put_events(conn: ConnId, mut frames: &[u8], fx: &mut Effects) {
    while let Some((len, rest)) = frames.split_first_chunk::<4>() {
        let (mut frame, rest) = rest.split_at(u32::from_be_bytes(*len) as usize);
        frames = rest;
        let header: ReplyHeader = jute::read(&mut frame).expect("a frame of our own");
        let event: WatcherEvent<'_> = jute::read(&mut frame).expect("a frame of our own");
        fx.answers.push((
            conn,
            Answer::Event {
                zxid: header.zxid,
                kind: event.kind,
                path: event.path.or_empty().to_owned(),
            },
        ));
    }
}

/// Those of a transaction, while it is applied.
pub(super) struct Firing<'a> {
    watches: &'a mut Watches,
    answers: &'a mut Vec<(ConnId, Answer)>,
    first: Vec<ConnId>,
}

impl<'a> Firing<'a> {
    pub(super) fn new(
        watches: &'a mut Watches,
        answers: &'a mut Vec<(ConnId, Answer)>,
    ) -> Firing<'a> {
        let first = Vec::new();
        Firing {
            watches,
            answers,
            first,
        }
    }

    fn tell(&mut self, zxid: i64, kind: EventType, path: &str, to: &[ConnId]) {
        for conn in to {
            let event = Answer::Event {
                zxid,
                kind,
                path: path.to_owned(),
            };
            self.answers.push((*conn, event));
        }
    }

    fn trigger(&mut self, zxid: i64, kind: EventType, path: &str, table: Table) {
        let mut to = std::mem::take(&mut self.first);
        self.watches.trigger(path, table, &mut to);
        self.tell(zxid, kind, path, &to);
        self.first = to;
    }
}

impl Observer for Firing<'_> {
    fn is_watching(&self) -> bool {
        self.watches.total() > 0
    }

    fn changed(&mut self, zxid: i64, change: Change<'_>) {
        match change {
            Change::Created { path, parent, .. } => {
                self.trigger(zxid, EventType::NODE_CREATED, path, Table::Data);
                self.trigger(zxid, EventType::NODE_CHILDREN_CHANGED, parent, Table::Child);
            }
            Change::Deleted { path, parent, .. } => {
                self.trigger(zxid, EventType::NODE_DELETED, path, Table::Data);
                let mut to = Vec::new();
                self.watches.trigger(path, Table::Child, &mut to);
                to.retain(|conn| self.first.binary_search(conn).is_err());
                self.tell(zxid, EventType::NODE_DELETED, path, &to);
                self.trigger(zxid, EventType::NODE_CHILDREN_CHANGED, parent, Table::Child);
            }
            Change::Data { path, .. } => {
                self.trigger(zxid, EventType::NODE_DATA_CHANGED, path, Table::Data);
            }
        }
    }
}
