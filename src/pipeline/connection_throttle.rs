//! How many sessions may begin or come back in a time: a bucket of tokens that fills as time passes, and a chance
//! to be turned away early that grows while the bucket is found empty. Without that chance, clients that always
//! come a moment later than the rest would never get a token. Must not know the clock or a random source: both are
//! arguments. Answers to `BlueThrottle`.

/// Tokens are counted in those of the lightest session.
#[derive(Clone, Debug)]
pub struct ConnectionThrottleSettings {
    pub tokens_max: i64,
    pub fill_interval_ms: i64,
    pub fill_tokens: i64,
    /// Time between changes of the chance; `None`: it stays 0.
    pub freeze_ms: Option<i64>,
    pub drop_increase: f64,
    pub drop_decrease: f64,
    /// The chance shrinks while no more than this part of the tokens is missing.
    pub decrease_ratio: f64,
    pub new_session_tokens: i64,
    pub renewed_session_tokens: i64,
}

pub struct ConnectionThrottle {
    settings: ConnectionThrottleSettings,
    tokens: i64,
    filled_at_ms: i64,
    drop_chance: f64,
    changed_at_ms: i64,
}

impl ConnectionThrottle {
    pub fn new(settings: ConnectionThrottleSettings, now_ms: i64) -> ConnectionThrottle {
        ConnectionThrottle {
            tokens: settings.tokens_max,
            filled_at_ms: now_ms,
            drop_chance: 0.0,
            changed_at_ms: now_ms,
            settings,
        }
    }

    /// Takes the tokens of a session, if it may come in. `random` is in `0.0..1.0`.
    pub fn admit(&mut self, is_new: bool, now_ms: i64, random: f64) -> bool {
        self.fill(now_ms);
        if let Some(freeze_ms) = self.settings.freeze_ms {
            self.change_chance(freeze_ms, now_ms);
            if random < self.drop_chance {
                return false;
            }
        }
        let needed = if is_new {
            self.settings.new_session_tokens
        } else {
            self.settings.renewed_session_tokens
        };
        if self.tokens < needed {
            return false;
        }
        self.tokens -= needed;
        true
    }

    pub fn deficit(&self) -> i64 {
        self.settings.tokens_max - self.tokens
    }

    pub fn drop_chance(&self) -> f64 {
        self.drop_chance
    }

    /// The beginning of an interval is lost when the bucket is looked at in its middle, as upstream.
    fn fill(&mut self, now_ms: i64) {
        let settings = &self.settings;
        let passed_ms = now_ms - self.filled_at_ms;
        if passed_ms > settings.fill_interval_ms {
            let new = passed_ms.saturating_mul(settings.fill_tokens) / settings.fill_interval_ms;
            self.tokens = self.tokens.saturating_add(new).min(settings.tokens_max);
            self.filled_at_ms = now_ms;
        }
    }

    fn change_chance(&mut self, freeze_ms: i64, now_ms: i64) {
        if now_ms - self.changed_at_ms <= freeze_ms {
            return;
        }
        self.changed_at_ms = now_ms;
        let settings = &self.settings;
        let few = (settings.tokens_max as f64 * settings.decrease_ratio).round();
        if self.tokens == 0 {
            self.drop_chance = (self.drop_chance + settings.drop_increase).min(1.0);
        } else if self.deficit() as f64 <= few {
            self.drop_chance = (self.drop_chance - settings.drop_decrease).max(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ConnectionThrottleSettings {
        ConnectionThrottleSettings {
            tokens_max: 4,
            fill_interval_ms: 100,
            fill_tokens: 1,
            freeze_ms: None,
            drop_increase: 0.25,
            drop_decrease: 0.125,
            decrease_ratio: 0.5,
            new_session_tokens: 1,
            renewed_session_tokens: 1,
        }
    }

    fn admitted(throttle: &mut ConnectionThrottle, times: usize, now_ms: i64) -> usize {
        (0..times)
            .filter(|_| throttle.admit(true, now_ms, 0.999))
            .count()
    }

    #[test]
    fn a_full_bucket_lets_as_many_in_as_it_holds() {
        let mut throttle = ConnectionThrottle::new(settings(), 0);
        assert_eq!(admitted(&mut throttle, 10, 50), 4);
        assert_eq!(throttle.deficit(), 4);
    }

    #[test]
    fn tokens_come_back_with_time_and_never_more_than_fit() {
        let mut throttle = ConnectionThrottle::new(settings(), 0);
        admitted(&mut throttle, 4, 0);
        // An interval has to be over, not just reached.
        assert_eq!(admitted(&mut throttle, 4, 100), 0);
        assert_eq!(admitted(&mut throttle, 4, 101), 1);
        assert_eq!(admitted(&mut throttle, 4, 301), 2);
        assert_eq!(admitted(&mut throttle, 9, 1_000_000), 4);
        assert_eq!(admitted(&mut throttle, 9, i64::MAX), 4);
    }

    #[test]
    fn heavy_sessions_take_more() {
        let weighed = ConnectionThrottleSettings {
            new_session_tokens: 3,
            renewed_session_tokens: 2,
            ..settings()
        };
        let mut throttle = ConnectionThrottle::new(weighed.clone(), 0);
        assert!(throttle.admit(true, 0, 0.5));
        assert!(!throttle.admit(true, 0, 0.5));
        assert!(!throttle.admit(false, 0, 0.5));
        let mut throttle = ConnectionThrottle::new(weighed, 0);
        assert!(throttle.admit(false, 0, 0.5));
        assert!(throttle.admit(false, 0, 0.5));
        assert!(!throttle.admit(false, 0, 0.5));
    }

    #[test]
    fn an_empty_bucket_raises_the_chance_once_a_period() {
        let blue = ConnectionThrottleSettings {
            freeze_ms: Some(10),
            fill_interval_ms: 1000,
            ..settings()
        };
        let mut throttle = ConnectionThrottle::new(blue, 0);
        assert_eq!(admitted(&mut throttle, 4, 0), 4);
        for (now_ms, chance) in [(10, 0.0), (11, 0.25), (21, 0.25), (22, 0.5), (33, 0.75)] {
            throttle.admit(true, now_ms, 0.999);
            assert_eq!(throttle.drop_chance(), chance, "at {now_ms}");
        }
        for step in 1..=3 {
            throttle.admit(true, 33 + 11 * step, 0.999);
        }
        assert_eq!(throttle.drop_chance(), 1.0);
    }

    #[test]
    fn the_chance_turns_clients_away_and_shrinks_while_tokens_are_there() {
        let blue = ConnectionThrottleSettings {
            freeze_ms: Some(10),
            ..settings()
        };
        let mut throttle = ConnectionThrottle::new(blue, 0);
        admitted(&mut throttle, 4, 0);
        throttle.admit(true, 11, 0.999);
        throttle.admit(true, 22, 0.999);
        assert_eq!(throttle.drop_chance(), 0.5);
        // Full again: the chance goes down a step, and decides before the tokens do.
        assert!(!throttle.admit(true, 1000, 0.3));
        assert_eq!((throttle.drop_chance(), throttle.deficit()), (0.375, 0));
        assert!(throttle.admit(true, 1000, 0.375));
        // With more than half of the tokens missing it stays.
        admitted(&mut throttle, 2, 1000);
        throttle.admit(true, 1011, 0.0);
        assert_eq!(throttle.drop_chance(), 0.375);
    }

    #[test]
    fn without_periods_no_chance() {
        let mut throttle = ConnectionThrottle::new(settings(), 0);
        admitted(&mut throttle, 10, 0);
        throttle.admit(true, 50, 0.0);
        assert_eq!(throttle.drop_chance(), 0.0);
        assert!(throttle.admit(true, 500, 0.0));
    }
}
