//! When the faults end, a connected quorum serves again, and soon: within a bounded simulated time a new write
//! commits through every server.

use super::{Verdict, violated};

const NAME: &str = "liveness";

/// `waiting` says what has not happened yet.
pub fn in_time(waiting: Option<String>, since_ms: u64, now_ms: u64, limit_ms: u64) -> Verdict {
    match waiting {
        Some(what) if now_ms > since_ms + limit_ms => violated(
            NAME,
            format!("{} ms after the last fault: {what}", now_ms - since_ms),
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_late_is_a_violation() {
        let waiting = || Some("no leader".to_owned());
        assert!(in_time(waiting(), 1000, 2000, 1000).is_ok());
        assert!(in_time(waiting(), 1000, 2001, 1000).is_err());
        assert!(in_time(None, 1000, 9000, 1000).is_ok());
    }
}
