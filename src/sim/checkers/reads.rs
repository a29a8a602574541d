//! Every answer to a read is the committed state at the zxid of its reply, and a read behind a sync sees all that
//! was committed at the leader before the sync.

use super::{Verdict, violated};
use crate::ids::Zxid;
use crate::sim::truth::{Truth, Version};

const NAME: &str = "reads";

/// `seen` is `None` where the answer was that there is no such node.
pub fn node(truth: &Truth, path: &str, zxid: Zxid, seen: Option<(&[u8], i32)>) -> Verdict {
    let expected: Option<&Version> = truth.node(path, zxid);
    if seen == expected.map(|v| (v.data.as_slice(), v.version)) {
        return Ok(());
    }
    violated(
        NAME,
        format!("{path} at {zxid} was answered as {seen:?}, and was {expected:?}"),
    )
}

pub fn children(truth: &Truth, path: &str, zxid: Zxid, seen: &[String]) -> Verdict {
    let expected = truth.children(path, zxid);
    let mut sorted: Vec<&str> = seen.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    if sorted == expected {
        return Ok(());
    }
    violated(
        NAME,
        format!("children of {path} at {zxid} were answered as {sorted:?}, and were {expected:?}"),
    )
}
