//! At most one server leads an epoch, no epoch is used twice, and no server promises one twice.

use std::collections::BTreeMap;

use super::{Verdict, violated};
use crate::ids::{Epoch, LinkId};
use crate::sim::network::NodeIx;

const NAME: &str = "leadership";

#[derive(Default)]
pub struct Leadership {
    /// By one life of a process in one role; a later one of the same server is another.
    established: BTreeMap<Epoch, (NodeIx, u64)>,
    promised: BTreeMap<(NodeIx, Epoch), LinkId>,
}

impl Leadership {
    /// ACKEPOCH left, and counts. Two leaders may ask for the same epoch; only one can have a quorum.
    pub fn promised(&mut self, epoch: Epoch, node: NodeIx, link: LinkId) -> Verdict {
        match self.promised.insert((node, epoch), link) {
            Some(first) if first != link => violated(
                NAME,
                format!("server {node} promised epoch {} twice", epoch.0),
            ),
            _ => Ok(()),
        }
    }

    /// The leader was activated.
    pub fn established(&mut self, epoch: Epoch, node: NodeIx, term: u64) -> Verdict {
        let holder = *self.established.entry(epoch).or_insert((node, term));
        if holder == (node, term) {
            return Ok(());
        }
        violated(
            NAME,
            format!(
                "epoch {} was led by server {} (term {}) and by server {node} (term {term})",
                epoch.0, holder.0, holder.1
            ),
        )
    }

    /// How many epochs had an active leader.
    pub fn count(&self) -> usize {
        self.established.len()
    }

    pub fn newest(&self) -> Option<Epoch> {
        self.established.last_key_value().map(|(epoch, _)| *epoch)
    }

    /// Nobody leads a later epoch. Who was deposed and does not know yet proposes what is never committed.
    pub fn leads_newest(&self, node: NodeIx, term: u64) -> bool {
        let newest = self.established.last_key_value();
        newest.is_some_and(|(_, holder)| *holder == (node, term))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_leader_for_an_epoch() {
        let mut leadership = Leadership::default();
        leadership.established(Epoch(1), 0, 1).unwrap();
        leadership.established(Epoch(1), 0, 1).unwrap();
        leadership.established(Epoch(2), 1, 5).unwrap();
        assert!(leadership.established(Epoch(1), 1, 6).is_err());
        assert!(leadership.established(Epoch(2), 1, 7).is_err());
        assert_eq!(leadership.newest(), Some(Epoch(2)));
        assert!(leadership.leads_newest(1, 5));
        assert!(!leadership.leads_newest(0, 1), "deposed");
        assert!(!leadership.leads_newest(1, 6), "another life");
        leadership.promised(Epoch(3), 0, LinkId(1)).unwrap();
        leadership.promised(Epoch(3), 1, LinkId(2)).unwrap();
        assert!(leadership.promised(Epoch(3), 0, LinkId(4)).is_err());
    }
}
