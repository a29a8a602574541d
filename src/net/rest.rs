//! What a thread that serves connections does when it has nothing to do: sleep, or look for work again, for a little
//! while. To wake a thread costs more than most requests, above all on a virtual machine; looking costs processor
//! time, too. So each thread measures what it pays for a request either way, and looks only where that is cheaper or
//! dearer by half at most. A thread whose requests come too far apart for that does not even try.
//!
//! Knows no sockets and no clock: time comes as an argument.

use std::time::{Duration, Instant};

/// For so long a thread looks before it sleeps.
pub const LOOK: Duration = Duration::from_micros(200);
/// It tries where it sleeps for less than this: a good part of that may be what waking takes, here and at the client.
const TRIED_BELOW: Duration = Duration::from_micros(400);
/// Rests over which costs are averaged.
const WINDOW_RESTS: u32 = 64;
/// Looks of one window that may find nothing.
const IN_VAIN_MAX: u32 = WINDOW_RESTS / 4;
/// What a request may cost with looking, in percent of what it costs with sleeping: its client waits less.
const WORTH_PERCENT: u128 = 150;
/// How long a finding holds. After each that is the same again it holds twice as long.
const HOLDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(16));

/// The habits of one thread.
pub struct Rest {
    habit: Habit,
    window: Window,
    /// When the current habit is put to the test.
    doubted_at: Instant,
    holds: Duration,
    /// Where the work stood when a look was in vain: it sleeps before it looks again.
    in_vain_at: Option<u64>,
    resting_since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    Sleeps,
    /// To see what it costs, against this much with sleeping.
    Tries(Cost),
    Looks,
}

/// Processor time, and what was done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    time: Duration,
    work: u64,
}

impl Cost {
    fn is_worth(self, against: Cost) -> bool {
        let (mine, others) = (self.time.as_nanos(), against.time.as_nanos());
        mine * u128::from(against.work) * 100 <= others * u128::from(self.work) * WORTH_PERCENT
    }
}

struct Window {
    cpu: Duration,
    work: u64,
    rests: u32,
    in_vain: u32,
    /// Without work, be it asleep or looking.
    rested: Duration,
}

impl Rest {
    pub fn new(now: Instant) -> Rest {
        Rest {
            habit: Habit::Sleeps,
            window: Window::new(Duration::ZERO, 0),
            doubted_at: now,
            holds: HOLDS.0,
            in_vain_at: None,
            resting_since: now,
        }
    }

    /// There is nothing to do. `work` counts what was done so far, `cpu` tells the processor time that the thread took.
    /// True: look first.
    pub fn begins(&mut self, now: Instant, work: u64, cpu: impl FnOnce() -> Duration) -> bool {
        self.resting_since = now;
        self.window.rests += 1;
        if self.window.rests >= WINDOW_RESTS {
            self.judge(now, work, cpu());
        }
        self.habit != Habit::Sleeps && self.in_vain_at != Some(work)
    }

    /// It was woken.
    pub fn ends(&mut self, now: Instant) {
        self.window.rested += now - self.resting_since;
    }

    /// It looked for so long. `in_vain`: nothing came, and `work` is what it was.
    pub fn looked(&mut self, took: Duration, work: u64, in_vain: bool) {
        self.window.rested += took;
        if in_vain {
            self.window.in_vain += 1;
            self.in_vain_at = Some(work);
        }
    }

    fn judge(&mut self, now: Instant, work: u64, cpu: Duration) {
        let next = Window::new(cpu, work);
        let done = std::mem::replace(&mut self.window, next);
        let cost = Cost {
            time: cpu.saturating_sub(done.cpu),
            work: work.saturating_sub(done.work),
        };
        let found_too_little = done.in_vain > IN_VAIN_MAX || cost.work == 0;
        match self.habit {
            Habit::Sleeps => {
                if now >= self.doubted_at && done.rested < TRIED_BELOW * done.rests && cost.work > 0
                {
                    self.habit = Habit::Tries(cost);
                }
            }
            Habit::Tries(against) if !found_too_little && cost.is_worth(against) => {
                self.keep(now, Habit::Looks);
            }
            Habit::Tries(_) => self.keep(now, Habit::Sleeps),
            Habit::Looks if found_too_little => {
                self.holds = HOLDS.0;
                self.habit = Habit::Sleeps;
            }
            Habit::Looks if now >= self.doubted_at => self.habit = Habit::Sleeps,
            Habit::Looks => {}
        }
    }

    fn keep(&mut self, now: Instant, habit: Habit) {
        self.doubted_at = now + self.holds;
        self.holds = (self.holds * 2).min(HOLDS.1);
        self.habit = habit;
    }
}

impl Window {
    fn new(cpu: Duration, work: u64) -> Window {
        Window {
            cpu,
            work,
            rests: 0,
            in_vain: 0,
            rested: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSECOND: Duration = Duration::from_micros(1);

    /// A thread whose requests come `gap` after it is done with the one before.
    struct Thread {
        rest: Rest,
        now: Instant,
        cpu: Duration,
        work: u64,
        gap: Duration,
        /// What it pays to be woken.
        waking: Duration,
        looks: u32,
    }

    impl Thread {
        fn new(gap_us: u32, waking_us: u32) -> Thread {
            let now = Instant::now();
            Thread {
                rest: Rest::new(now),
                now,
                cpu: Duration::ZERO,
                work: 0,
                gap: MICROSECOND * gap_us,
                waking: MICROSECOND * waking_us,
                looks: 0,
            }
        }

        fn busy(&mut self, time: Duration) {
            self.now += time;
            self.cpu += time;
        }

        /// One rest and the request that ends it.
        fn request(&mut self) {
            let mut left = self.gap;
            if self.rest.begins(self.now, self.work, || self.cpu) {
                self.looks += 1;
                let took = left.min(LOOK);
                left -= took;
                self.busy(took);
                self.rest.looked(took, self.work, !left.is_zero());
                self.rest.ends(self.now);
                if !left.is_zero() {
                    assert!(!self.rest.begins(self.now, self.work, || self.cpu), "once");
                }
            }
            if !left.is_zero() {
                self.now += left;
                self.rest.ends(self.now);
                self.busy(self.waking);
            }
            self.work += 1;
            self.busy(MICROSECOND * 5);
        }

        /// The share of rests in which it looked first, in percent.
        fn run(&mut self, time: Duration) -> u32 {
            let end = self.now + time;
            let (mut requests, looks) = (0, self.looks);
            while self.now < end {
                self.request();
                requests += 1;
            }
            (self.looks - looks) * 100 / requests
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn looks_where_waking_is_dearer() {
        assert!(Thread::new(20, 40).run(MINUTE) > 95);
    }

    #[test]
    fn sleeps_where_waking_is_cheap() {
        let mut thread = Thread::new(80, 5);
        let share = thread.run(MINUTE);
        assert!(thread.looks > 0, "it has tried");
        assert!(share < 2, "{share}");
    }

    #[test]
    fn does_not_try_where_requests_are_far_between() {
        let mut thread = Thread::new(1000, 40);
        thread.run(MINUTE);
        assert_eq!(thread.looks, 0);
    }

    #[test]
    fn stops_soon_when_requests_become_rare() {
        let mut thread = Thread::new(20, 40);
        thread.run(MINUTE);
        thread.gap = MICROSECOND * 1000;
        let looks = thread.looks;
        thread.run(MINUTE);
        assert!(thread.looks - looks <= 2 * WINDOW_RESTS);
        thread.gap = MICROSECOND * 20;
        assert!(thread.run(MINUTE) > 90, "and begins again");
    }
}
