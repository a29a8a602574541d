//! Ephemeral nodes exist exactly as long as their session: none without a living session, none left when it ends,
//! and no session ends by itself while its client is heard.

use super::{Verdict, violated};
use crate::ids::SessionId;
use crate::proto::OpCode;
use crate::sim::truth::Truth;

const NAME: &str = "ephemerals";

/// After the newest transaction of the committed history.
pub fn committed(truth: &Truth) -> Verdict {
    let Some(txn) = truth.committed.last() else {
        return Ok(());
    };
    if txn.op == OpCode::CLOSE_SESSION && truth.tree.ephemerals_of(txn.session).next().is_some() {
        return violated(
            NAME,
            format!(
                "session {} ended at {} and left ephemerals",
                txn.session, txn.zxid
            ),
        );
    }
    for (owner, _) in truth.tree.ephemeral_owners() {
        if truth.tree.session_timeout(owner).is_none() {
            return violated(
                NAME,
                format!(
                    "{} left an ephemeral of session {owner}, which does not exist",
                    txn.zxid
                ),
            );
        }
    }
    Ok(())
}

/// A client is told that its session has ended.
pub fn closed(truth: &Truth, session: SessionId) -> Verdict {
    let left = truth.tree.ephemerals_of(session).count();
    if left > 0 || truth.tree.session_timeout(session).is_some() {
        return violated(
            NAME,
            format!("session {session} was said to have ended, and lives on with {left} nodes"),
        );
    }
    Ok(())
}

/// The leader lets a session expire. Servers may differ by what was on its way to the leader.
pub fn expires(
    session: SessionId,
    now_ms: u64,
    heard_at_ms: u64,
    timeout_ms: u64,
    slack_ms: u64,
) -> Verdict {
    let silent_ms = now_ms.saturating_sub(heard_at_ms);
    if silent_ms + slack_ms < timeout_ms {
        return violated(
            NAME,
            format!("session {session} expires after {silent_ms} of {timeout_ms} ms"),
        );
    }
    Ok(())
}

/// When every client has gone and the longest timeout has passed.
pub fn all_gone(truth: &Truth) -> Verdict {
    let (nodes, sessions) = (truth.tree.ephemeral_count(), truth.tree.sessions().count());
    if nodes + sessions == 0 {
        return Ok(());
    }
    violated(
        NAME,
        format!("{nodes} ephemerals and {sessions} sessions outlived their clients"),
    )
}
