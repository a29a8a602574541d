//! One in so long. Answers to `RateLimiter`.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub(super) struct Limiter {
    interval: Duration,
    last: Mutex<Option<Instant>>,
}

impl Limiter {
    pub fn new(interval: Duration) -> Limiter {
        Limiter {
            interval,
            last: Mutex::default(),
        }
    }

    pub fn allow(&self) -> bool {
        self.allow_at(Instant::now())
    }

    fn allow_at(&self, now: Instant) -> bool {
        let mut last = self.last.lock();
        let allows = last.is_none_or(|last| now.saturating_duration_since(last) > self.interval);
        if allows {
            *last = Some(now);
        }
        allows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_an_interval() {
        let limiter = Limiter::new(Duration::from_secs(10));
        let at = |seconds| limiter.allow_at(begin() + Duration::from_secs(seconds));
        assert!(at(1));
        assert!(!at(2));
        assert!(!at(11));
        assert!(at(12));
        assert!(!at(13));
    }

    fn begin() -> Instant {
        static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *BEGIN.get_or_init(Instant::now)
    }
}
