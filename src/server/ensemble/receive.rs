//! Snapshots that a leader sends, until they are complete and the peer wants them installed.

use std::collections::HashMap;

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;

use crate::ids::LinkId;
use crate::storage::snapshot::{Limits, SnapshotReader};
use crate::tree::Tree;

pub(super) struct Snapshots {
    limits: Limits,
    extended_types: bool,
    by_link: Mutex<HashMap<LinkId, SnapshotReader>>,
}

impl Snapshots {
    pub fn new(limits: Limits, extended_types: bool) -> Self {
        Snapshots {
            limits,
            extended_types,
            by_link: Mutex::default(),
        }
    }

    /// More of the stream; true at its end.
    pub fn take(&self, link: LinkId, bytes: &mut BytesMut) -> Result<bool, String> {
        let mut by_link = self.by_link.lock();
        let reader = by_link.entry(link).or_insert_with(|| {
            SnapshotReader::packet(Tree::bare(self.extended_types), self.limits)
        });
        let used = reader.push(bytes).map_err(|e| e.to_string())?;
        bytes.advance(used);
        Ok(reader.is_complete())
    }

    /// What came on that link, complete.
    pub fn remove(&self, link: LinkId) -> Option<SnapshotReader> {
        self.by_link.lock().remove(&link)
    }
}
