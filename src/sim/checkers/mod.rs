//! What must hold in every run, a file for each property. Checkers see what the simulated servers and clients did and
//! know nothing of how; each answers with the first thing that is wrong.

pub mod configs;
pub mod delivery;
pub mod digest;
pub mod durability;
pub mod ephemerals;
pub mod leadership;
pub mod linearizability;
pub mod liveness;
pub mod logs;
pub mod reads;
pub mod requests;
pub mod session_order;
pub mod votes;
pub mod watches;

use std::fmt;

/// Something that must never happen, and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub checker: &'static str,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.what)
    }
}

pub type Verdict = Result<(), Violation>;

pub fn violated(checker: &'static str, what: String) -> Verdict {
    Err(Violation { checker, what })
}
