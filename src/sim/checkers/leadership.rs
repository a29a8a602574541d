//! At most one server leads an epoch, and no epoch is used twice.

use std::collections::BTreeMap;

use super::{Verdict, violated};
use crate::ids::Epoch;
use crate::sim::network::NodeIx;

const NAME: &str = "leadership";

#[derive(Default)]
pub struct Leadership {
    /// A leadership is one life of a process in one role; a later one of the same server is another.
    announced: BTreeMap<Epoch, (NodeIx, u64)>,
    established: BTreeMap<Epoch, (NodeIx, u64)>,
}

impl Leadership {
    /// LEADERINFO left.
    pub fn announced(&mut self, epoch: Epoch, node: NodeIx, term: u64) -> Verdict {
        claim(&mut self.announced, "announced", epoch, node, term)
    }

    /// The leader was activated.
    pub fn established(&mut self, epoch: Epoch, node: NodeIx, term: u64) -> Verdict {
        claim(&mut self.established, "led", epoch, node, term)
    }

    pub fn leader_of(&self, epoch: Epoch) -> Option<NodeIx> {
        self.established.get(&epoch).map(|(node, _)| *node)
    }

    /// How many epochs had an active leader.
    pub fn count(&self) -> usize {
        self.established.len()
    }

    pub fn newest(&self) -> Option<Epoch> {
        self.established.last_key_value().map(|(epoch, _)| *epoch)
    }
}

fn claim(
    claims: &mut BTreeMap<Epoch, (NodeIx, u64)>,
    verb: &str,
    epoch: Epoch,
    node: NodeIx,
    term: u64,
) -> Verdict {
    let holder = *claims.entry(epoch).or_insert((node, term));
    if holder == (node, term) {
        return Ok(());
    }
    violated(
        NAME,
        format!(
            "epoch {} was {verb} by server {} (term {}) and by server {node} (term {term})",
            epoch.0, holder.0, holder.1
        ),
    )
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
    }
}
