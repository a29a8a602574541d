//! A client's writes: acknowledged means committed with that very answer, at the zxid of the reply, once, and in the
//! order of the session.

use std::collections::BTreeMap;

use super::{Verdict, violated};
use crate::ids::{SessionId, Zxid};
use crate::proto::ErrorCode;
use crate::sim::truth::{Committed, Truth};

const NAME: &str = "requests";

#[derive(Default)]
pub struct Requests {
    /// The newest request of each session that changed something.
    newest: BTreeMap<SessionId, i32>,
}

impl Requests {
    pub fn committed(&mut self, txn: &Committed) -> Verdict {
        if txn.cxid == 0 || txn.error != ErrorCode::OK {
            return Ok(());
        }
        let newest = self.newest.entry(txn.session).or_insert(txn.cxid);
        if txn.cxid < *newest {
            return violated(
                NAME,
                format!(
                    "session {}: request {} took effect at {}, after request {newest}",
                    txn.session, txn.cxid, txn.zxid
                ),
            );
        }
        *newest = txn.cxid;
        Ok(())
    }

    pub fn acknowledged(
        truth: &Truth,
        session: SessionId,
        cxid: i32,
        zxid: Zxid,
        error: ErrorCode,
        path: Option<&str>,
    ) -> Verdict {
        let Some(txn) = truth.of_request(session, cxid) else {
            return violated(
                NAME,
                format!(
                    "session {session}: request {cxid} was answered at {zxid} and never committed"
                ),
            );
        };
        if txn.zxid != zxid
            || txn.error != error
            || path.is_some_and(|p| txn.path.as_deref() != Some(p))
        {
            return violated(
                NAME,
                format!(
                    "session {session}: request {cxid} was answered with {error} {path:?} at {zxid}, and committed with {} {:?} at {}",
                    txn.error, txn.path, txn.zxid
                ),
            );
        }
        Ok(())
    }
}
