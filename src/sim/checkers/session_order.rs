//! A session's own order, over all its connections: the zxids of its replies do not fall, so it sees its own writes
//! and never goes back in time; answers come in the order of the requests.

use super::{Verdict, violated};
use crate::ids::{SessionId, Zxid};

const NAME: &str = "session order";

#[derive(Default)]
pub struct SessionOrder {
    seen: Zxid,
}

impl SessionOrder {
    pub fn replied(&mut self, session: SessionId, xid: i32, expected: i32, zxid: Zxid) -> Verdict {
        if xid != expected {
            return violated(
                NAME,
                format!("session {session}: request {xid} was answered before {expected}"),
            );
        }
        if zxid < self.seen {
            return violated(
                NAME,
                format!(
                    "session {session}: the reply to {xid} is of {zxid}, an earlier one was of {}",
                    self.seen
                ),
            );
        }
        self.seen = zxid;
        Ok(())
    }
}
