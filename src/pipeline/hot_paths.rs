//! Which paths are asked for most, counted while somebody looks, and for a moment after. Nobody looks, nearly always:
//! then it costs a batch of requests one look at a flag. Of many requests some are taken at random, and stand for the
//! others: so many a second that a busy server does not feel it.
//!
//! Bounded: so many paths and no more, of which the one asked for least makes room for a new one and passes its count on
//! (the "space saving" of Metwally, Agrawal and El Abbadi). So a count may be too high, by what is said beside it, and no
//! path that is asked for more often than that is missing. There is nothing of the kind in Java but a line in its log.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::ops::{self, Route};
use crate::proto::OpCode;
use crate::proto::client::RequestHeader;

const PATHS_MAX: usize = 256;
/// Longer ones are not counted.
const PATH_BYTES_MAX: usize = 512;
/// About so many requests are counted in a second, and no more than that many times the other between two looks.
const SAMPLES_PER_S: u64 = 2000;
const SAMPLES_MAX: u32 = 10_000;
const EVERY_MAX: u64 = 1 << 20;
/// So long after the last look requests are still counted.
const WATCHED_FOR: Duration = Duration::from_secs(15);
/// What was long ago counts half, and half again.
const HALF_LIFE: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct HotPaths {
    is_watched: AtomicBool,
    /// One request of so many is counted, a power of two; 0 before the first look.
    every: AtomicU32,
    /// So many more are counted until the next look.
    left: AtomicU32,
    seen: Mutex<Seen>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotPath {
    pub path: Box<str>,
    pub reads: u64,
    pub writes: u64,
    /// By how much the two may be too high together.
    pub excess: u64,
}

impl HotPath {
    fn count(&self) -> u64 {
        self.reads + self.writes
    }
}

#[derive(Default)]
struct Seen {
    paths: Vec<HotPath>,
    /// How many requests were counted since the last look, which was then.
    taken: u64,
    looked: Option<Instant>,
    halved: Option<Instant>,
}

thread_local! {
    static RANDOM: Cell<u32> = const { Cell::new(0x9e37_79b9) };
}

/// Not for secrets: a number of Marsaglia's xorshift.
fn random() -> u32 {
    let mut x = RANDOM.get();
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    RANDOM.set(x);
    x
}

impl HotPaths {
    pub fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }

    /// A request of a client. Who finds the counts in use does not wait for them.
    #[cold]
    pub(super) fn note(&self, frame: &[u8], now: Instant) {
        let every = self.every.load(Ordering::Relaxed);
        if random() & every.saturating_sub(1) != 0 || self.left.load(Ordering::Relaxed) == 0 {
            return;
        }
        let Some((path, is_write)) = path_of(frame) else {
            return;
        };
        let Some(mut seen) = self.seen.try_lock() else {
            return;
        };
        if !seen.is_watched_at(now) {
            self.is_watched.store(false, Ordering::Relaxed);
            return;
        }
        // Nobody else does, with the counts at hand.
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        seen.taken += 1;
        seen.add(path, is_write, every.max(1).into());
    }

    /// The paths asked for most, those first; from now on they are counted for a while.
    pub fn look(&self, now: Instant) -> Vec<HotPath> {
        let mut seen = self.seen.lock();
        if !seen.is_watched_at(now) {
            *seen = Seen::default();
            self.every.store(1, Ordering::Relaxed);
        }
        if let Some(before) = seen.looked.replace(now) {
            let since_ms = now.saturating_duration_since(before).as_millis() as u64;
            let requests = seen.taken * u64::from(self.every.load(Ordering::Relaxed));
            let wanted = (SAMPLES_PER_S * since_ms.max(1)).div_ceil(1000);
            let every = requests.div_ceil(wanted).next_power_of_two().min(EVERY_MAX);
            self.every.store(every as u32, Ordering::Relaxed);
        }
        seen.taken = 0;
        self.left.store(SAMPLES_MAX, Ordering::Relaxed);
        let halved = *seen.halved.get_or_insert(now);
        if now.saturating_duration_since(halved) >= HALF_LIFE {
            seen.halve();
            seen.halved = Some(now);
        }
        let mut paths = seen.paths.clone();
        drop(seen);
        self.is_watched.store(true, Ordering::Relaxed);
        paths.sort_by(|a, b| b.count().cmp(&a.count()).then_with(|| a.path.cmp(&b.path)));
        paths
    }
}

impl Seen {
    fn is_watched_at(&self, now: Instant) -> bool {
        self.looked
            .is_some_and(|looked| now <= looked + WATCHED_FOR)
    }

    /// `count`: as many requests as this one stands for.
    fn add(&mut self, path: &str, is_write: bool, count: u64) {
        let at = match self.paths.iter().position(|known| &*known.path == path) {
            Some(at) => at,
            None => self.room_for(path),
        };
        let known = &mut self.paths[at];
        match is_write {
            true => known.writes += count,
            false => known.reads += count,
        }
    }

    fn room_for(&mut self, path: &str) -> usize {
        let mut new = HotPath {
            path: path.into(),
            reads: 0,
            writes: 0,
            excess: 0,
        };
        let least = (0..self.paths.len()).min_by_key(|at| self.paths[*at].count());
        match least {
            Some(at) if self.paths.len() >= PATHS_MAX => {
                let old = &self.paths[at];
                (new.reads, new.writes, new.excess) = (old.reads, old.writes, old.count());
                self.paths[at] = new;
                at
            }
            _ => {
                self.paths.push(new);
                self.paths.len() - 1
            }
        }
    }

    fn halve(&mut self) {
        for path in &mut self.paths {
            path.reads /= 2;
            path.writes /= 2;
            path.excess /= 2;
        }
        self.paths.retain(|path| path.count() > 0);
    }
}

/// The path that a request begins with, and whether it writes there.
fn path_of(frame: &[u8]) -> Option<(&str, bool)> {
    let mut body = frame;
    let header: RequestHeader = jute::read(&mut body).ok()?;
    let is_write = match header.op {
        // Several paths, none, or none of a node.
        OpCode::MULTI
        | OpCode::MULTI_READ
        | OpCode::RECONFIG
        | OpCode::CLOSE_SESSION
        | OpCode::PING
        | OpCode::WHO_AM_I
        | OpCode::SET_WATCHES
        | OpCode::SET_WATCHES2
        | OpCode::GET_EPHEMERALS => return None,
        op => match ops::route(op) {
            Route::Write => true,
            Route::Read => false,
            Route::Identity | Route::Refused => return None,
        },
    };
    let path = ops::leading_path(body);
    (!path.is_empty() && path.len() <= PATH_BYTES_MAX).then_some((path, is_write))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ops::put;
    use jute::Text;

    fn frame(op: OpCode, path: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, &RequestHeader { xid: 1, op });
        put(&mut out, &Text::from(path.to_owned()));
        out
    }

    fn counts(paths: &[HotPath]) -> Vec<(&str, u64, u64)> {
        let of = |hot: &HotPath| (hot.reads, hot.writes);
        paths
            .iter()
            .map(|hot| (&*hot.path, of(hot).0, of(hot).1))
            .collect()
    }

    #[test]
    fn reads_and_writes_are_counted_while_somebody_looks() {
        let (hot, begin) = (HotPaths::default(), Instant::now());
        assert!(!hot.is_watched());
        hot.note(&frame(OpCode::GET_DATA, "/before"), begin);
        assert_eq!(hot.look(begin), []);
        assert!(hot.is_watched());
        for _ in 0..3 {
            hot.note(&frame(OpCode::GET_DATA, "/a"), begin);
        }
        hot.note(&frame(OpCode::SET_DATA, "/a"), begin);
        hot.note(&frame(OpCode::CREATE, "/b"), begin);
        assert_eq!(counts(&hot.look(begin)), [("/a", 3, 1), ("/b", 0, 1)]);
        let late = begin + WATCHED_FOR + Duration::from_secs(1);
        hot.note(&frame(OpCode::GET_DATA, "/a"), late);
        assert!(!hot.is_watched());
        assert_eq!(hot.look(late), []);
    }

    #[test]
    fn what_is_asked_for_most_stays_however_many_others_there_are() {
        let (hot, now) = (HotPaths::default(), Instant::now());
        hot.look(now);
        for at in 0..9000 {
            hot.note(&frame(OpCode::EXISTS, &format!("/once/{at}")), now);
            if at % 20 == 0 {
                hot.note(&frame(OpCode::EXISTS, "/often"), now);
            }
        }
        let paths = hot.look(now);
        assert_eq!(paths.len(), PATHS_MAX);
        assert_eq!(&*paths[0].path, "/often");
        let first = &paths[0];
        assert!(first.count() >= 450 && first.count() - first.excess <= 450);
    }

    #[test]
    fn of_many_requests_some_stand_for_all() {
        let (hot, mut now) = (HotPaths::default(), Instant::now());
        hot.look(now);
        let mut taken = Vec::new();
        for _ in 0..6 {
            for at in 0..100_000 {
                let path = if at % 4 == 0 { "/quarter" } else { "/rest" };
                hot.note(&frame(OpCode::EXISTS, path), now);
            }
            now += Duration::from_secs(2);
            taken.push(hot.seen.lock().taken);
            hot.look(now);
        }
        assert!(
            taken.iter().all(|taken| *taken <= u64::from(SAMPLES_MAX)),
            "{taken:?}"
        );
        // In the beginning too many come for what may be counted at all; from then on it is as many as are wanted.
        let wanted = 2 * SAMPLES_PER_S;
        assert!(
            taken[2..]
                .iter()
                .all(|taken| (wanted / 4..2 * wanted).contains(taken)),
            "{taken:?}"
        );
        let paths = hot.look(now);
        let (rest, quarter) = (paths[0].count(), paths[1].count());
        let all = rest + quarter;
        assert!((400_000..650_000).contains(&all), "{all}");
        assert!((all / 5..all / 3).contains(&quarter), "{quarter} of {all}");
    }

    #[test]
    fn what_was_long_ago_counts_less_and_less() {
        let (hot, mut now) = (HotPaths::default(), Instant::now());
        hot.look(now);
        for _ in 0..8 {
            hot.note(&frame(OpCode::EXISTS, "/a"), now);
        }
        let mut seen = Vec::new();
        for _ in 0..12 {
            now += Duration::from_secs(10);
            seen.push(hot.look(now).first().map_or(0, HotPath::count));
        }
        assert_eq!(seen, [8, 8, 4, 4, 4, 2, 2, 2, 1, 1, 1, 0]);
    }

    #[test]
    fn requests_without_a_path_of_a_node_are_left_out() {
        let long = "/".to_owned() + &"x".repeat(PATH_BYTES_MAX);
        let frames = [
            Vec::new(),
            vec![0; 8],
            frame(OpCode::PING, "/a"),
            frame(OpCode::MULTI, "/a"),
            frame(OpCode::AUTH, "/a"),
            frame(OpCode(-7), "/a"),
            frame(OpCode::GET_DATA, "a"),
            frame(OpCode::GET_DATA, &long),
            frame(OpCode::GET_DATA, "/cut")[..10].to_vec(),
        ];
        for frame in frames {
            assert_eq!(path_of(&frame), None, "{frame:?}");
        }
        let told = frame(OpCode::GET_CHILDREN, "/a");
        assert_eq!(path_of(&told), Some(("/a", false)));
    }
}
