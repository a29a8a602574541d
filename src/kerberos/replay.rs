//! Which proofs were shown already: each one counts once, as long as its time is believed.
//!
//! Bounded. Only proofs that are otherwise right come in, so strangers cannot fill it; when it is full, nobody is
//! believed until the oldest ones are out of date. Forgotten when the server ends, as on the JVM.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

/// About 14 MiB. Of logins within the time that a clock may differ, twice: 400 in each second.
const PROOFS_MAX: usize = 1 << 18;
/// How often those that are out of date are looked for.
const SWEEP_SECONDS: i64 = 60;

/// Enough of the hash that nobody finds another proof with the same.
type Mark = [u8; 16];

#[derive(Debug, Default)]
pub(super) struct Replays {
    /// By what was shown, until when it would be believed again (seconds since 1970).
    shown: HashMap<Mark, i64>,
    swept: i64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    First,
    Again,
    CannotTell,
}

impl Replays {
    pub(super) fn show(&mut self, proof: &[u8], now: i64, until: i64) -> Shown {
        self.show_below(PROOFS_MAX, proof, now, until)
    }

    fn show_below(&mut self, proofs_max: usize, proof: &[u8], now: i64, until: i64) -> Shown {
        let hash = Sha256::digest(proof);
        let mut mark = Mark::default();
        mark.copy_from_slice(&hash[..size_of::<Mark>()]);
        if self.shown.get(&mark).is_some_and(|until| *until >= now) {
            return Shown::Again;
        }
        // A clock that was set back must not stop it.
        if (now - self.swept).abs() >= SWEEP_SECONDS {
            self.swept = now;
            self.shown.retain(|_, until| *until >= now);
        }
        if self.shown.len() >= proofs_max {
            return Shown::CannotTell;
        }
        self.shown.insert(mark, until);
        Shown::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_counts_once() {
        let mut replays = Replays::default();
        assert_eq!(replays.show(b"a", 1000, 1300), Shown::First);
        assert_eq!(replays.show(b"b", 1000, 1300), Shown::First);
        assert_eq!(replays.show(b"a", 1300, 1600), Shown::Again);
        // Its own time refuses it by then.
        assert_eq!(replays.show(b"a", 1301, 1600), Shown::First);
    }

    #[test]
    fn it_is_bounded_and_empties_itself() {
        let mut replays = Replays::default();
        let show =
            |replays: &mut Replays, proof: u8, now| replays.show_below(3, &[proof], now, now + 300);
        for proof in 0..3 {
            assert_eq!(show(&mut replays, proof, 1000), Shown::First);
        }
        assert_eq!(show(&mut replays, 3, 1000), Shown::CannotTell);
        assert_eq!(show(&mut replays, 0, 1000), Shown::Again);
        assert_eq!(show(&mut replays, 3, 1000 + 301), Shown::First);
        assert_eq!(replays.shown.len(), 1);
    }
}
