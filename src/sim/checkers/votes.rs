//! A vote promises no more than the disk holds: what a server says for itself while it looks for a leader is the end
//! of its durable log and its durable epoch, no more and no less.

use super::{Verdict, violated};
use crate::ids::{Epoch, Zxid};
use crate::sim::network::NodeIx;

const NAME: &str = "votes";

/// A server that is looking votes for itself.
pub fn for_itself(node: NodeIx, vote: (Zxid, Epoch), log_end: Zxid, current: Epoch) -> Verdict {
    if vote == (log_end, current) {
        return Ok(());
    }
    violated(
        NAME,
        format!(
            "server {node} votes for itself with {} in epoch {}, and has {log_end} in epoch {}",
            vote.0, vote.1.0, current.0
        ),
    )
}
