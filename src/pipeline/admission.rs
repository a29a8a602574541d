//! What requests hold while they are under way: a place among those in process, and their bytes if they are large.
//! Both are given back by being dropped, so no way out of the pipeline can forget it. Must not know what a request
//! asks for. Answers to `RequestThrottler` and to the accounting of large requests in `ZooKeeperServer`.
//!
//! Places are handed out in the order in which connections began to wait. A place that a connection was given is
//! one that nobody else gets: who cannot use it at once has to drop it, or to give up waiting for it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::proto::OpCode;

#[derive(Clone, Debug)]
pub struct RequestThrottleSettings {
    pub requests_max: usize,
    /// How often a waiting request is looked at again.
    pub stall: Duration,
    pub drop_stale: bool,
    /// Stale: its client is gone.
    pub stale_connection_check: bool,
    /// Stale: it waits longer than its session may live.
    pub stale_latency_check: bool,
    /// What waited longer is refused when its turn comes.
    pub op_wait: Option<Duration>,
}

/// A place among the requests in process.
pub struct Place(#[expect(dead_code)] OwnedSemaphorePermit);

pub struct RequestThrottle {
    pub settings: RequestThrottleSettings,
    places: Arc<Semaphore>,
}

impl RequestThrottle {
    pub fn new(settings: RequestThrottleSettings) -> RequestThrottle {
        let places = settings.requests_max.min(Semaphore::MAX_PERMITS);
        RequestThrottle {
            places: Arc::new(Semaphore::new(places)),
            settings,
        }
    }

    pub fn try_enter(&self) -> Option<Place> {
        self.places.clone().try_acquire_owned().ok().map(Place)
    }

    /// A place when there is one; `None` when there never will be.
    pub fn enter(&self) -> Pin<Box<dyn Future<Output = Option<Place>> + Send>> {
        let places = self.places.clone();
        Box::pin(async move { places.acquire_owned().await.ok().map(Place) })
    }

    /// A close has to do its work even if nobody hears of it any more.
    pub fn is_stale(&self, op: OpCode, peer_gone: bool, age: Duration, timeout: Duration) -> bool {
        let settings = &self.settings;
        op != OpCode::CLOSE_SESSION
            && (settings.stale_connection_check && peer_gone
                || settings.stale_latency_check && age > timeout)
    }

    /// Sessions are kept alive and ended even then.
    pub fn is_too_late(&self, op: OpCode, waited: Duration) -> bool {
        self.settings.op_wait.is_some_and(|max| waited > max)
            && !matches!(
                op,
                OpCode::PING | OpCode::CREATE_SESSION | OpCode::CLOSE_SESSION
            )
    }
}

/// How requests waited that come to the pipeline again.
pub struct Waited {
    /// How many of the bytes came when, from the oldest on.
    arrivals: VecDeque<(usize, Instant)>,
    pub peer_gone: bool,
    pub place: Option<Place>,
}

/// Bytes that come in more pieces than these count as younger than they are.
const ARRIVALS_MAX: usize = 64;

impl Waited {
    pub fn new(bytes: usize, now: Instant) -> Waited {
        Waited {
            arrivals: VecDeque::from([(bytes, now)]),
            peer_gone: false,
            place: None,
        }
    }

    pub fn arrived(&mut self, bytes: usize, now: Instant) {
        let is_full = self.arrivals.len() >= ARRIVALS_MAX;
        match self.arrivals.back_mut() {
            Some(last) if is_full => *last = (last.0 + bytes, now),
            _ => self.arrivals.push_back((bytes, now)),
        }
    }

    /// The oldest bytes wait no more.
    pub fn consumed(&mut self, mut bytes: usize) {
        while let Some(first) = self.arrivals.front_mut() {
            if first.0 > bytes {
                first.0 -= bytes;
                break;
            }
            bytes -= first.0;
            self.arrivals.pop_front();
        }
    }

    /// How long the frame waits that ends behind so many bytes.
    pub fn age(&self, end: usize, now: Instant) -> Duration {
        let mut bytes = 0;
        let chunk = self.arrivals.iter().find(|(len, _)| {
            bytes += len;
            bytes >= end
        });
        chunk.map_or(Duration::ZERO, |(_, at)| now.saturating_duration_since(*at))
    }
}

/// The bytes of large requests under way.
pub(super) struct LargeRequests {
    threshold: usize,
    bytes_max: usize,
    bytes: Arc<AtomicUsize>,
}

/// The share of one large request.
pub(super) struct Large {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Drop for Large {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl LargeRequests {
    pub(super) fn new(threshold: usize, bytes_max: usize) -> LargeRequests {
        LargeRequests {
            threshold,
            bytes_max,
            bytes: Arc::default(),
        }
    }

    /// Whether a request that is announced would be let in now.
    #[inline]
    pub(super) fn has_room(&self, len: usize) -> bool {
        len <= self.threshold
            || self.bytes.load(Ordering::Acquire).saturating_add(len) <= self.bytes_max
    }

    /// `Err`: it does not fit beside the others.
    #[inline]
    pub(super) fn enter(&self, len: usize) -> Result<Option<Large>, ()> {
        if len <= self.threshold {
            return Ok(None);
        }
        self.enter_large(len)
    }

    #[cold]
    fn enter_large(&self, len: usize) -> Result<Option<Large>, ()> {
        let large = Large {
            bytes: len,
            all: self.bytes.clone(),
        };
        let before = self.bytes.fetch_add(len, Ordering::AcqRel);
        if before.saturating_add(len) > self.bytes_max {
            return Err(());
        }
        Ok(Some(large))
    }
}

/// What a request that is not answered yet gives back when it is.
pub(super) struct Ticket {
    _place: Option<Place>,
    _large: Option<Large>,
    _forwarded: Option<Counted>,
}

/// One more, for as long as it is held.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Nothing to give back costs nothing to carry.
pub(super) type Held = Option<Box<Ticket>>;

#[inline]
pub(super) fn held(place: Option<Place>, large: Option<Large>) -> Held {
    if place.is_none() && large.is_none() {
        return None;
    }
    Some(Box::new(Ticket {
        _place: place,
        _large: large,
        _forwarded: None,
    }))
}

/// Of a learner's write, which only the leader can answer.
pub(super) fn held_forwarded(
    place: Option<Place>,
    large: Option<Large>,
    forwarded: Counted,
) -> Held {
    Some(Box::new(Ticket {
        _place: place,
        _large: large,
        _forwarded: Some(forwarded),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn settings() -> RequestThrottleSettings {
        RequestThrottleSettings {
            requests_max: 2,
            stall: Duration::from_millis(100),
            drop_stale: true,
            stale_connection_check: true,
            stale_latency_check: false,
            op_wait: Some(Duration::from_millis(50)),
        }
    }

    #[test]
    fn places_run_out_and_come_back() {
        let throttle = RequestThrottle::new(settings());
        let first = throttle.try_enter().unwrap();
        let second = held(throttle.try_enter(), None);
        assert!(second.is_some());
        assert!(throttle.try_enter().is_none());
        drop(first);
        assert!(throttle.try_enter().is_some());
        drop(second);
    }

    #[test]
    fn who_waits_comes_before_who_asks_later_and_who_gives_up_holds_nothing() {
        let throttle = RequestThrottle::new(RequestThrottleSettings {
            requests_max: 1,
            ..settings()
        });
        let mut cx = Context::from_waker(Waker::noop());
        let place = throttle.try_enter();
        let mut patient = throttle.enter();
        let mut second = throttle.enter();
        assert!(patient.as_mut().poll(&mut cx).is_pending());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        drop(place);
        assert!(throttle.try_enter().is_none());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        // It was given the place and never took it.
        drop(patient);
        let Poll::Ready(Some(place)) = second.as_mut().poll(&mut cx) else {
            panic!("the place was lost");
        };
        assert!(throttle.try_enter().is_none());
        drop(place);
        assert!(throttle.try_enter().is_some());
    }

    #[test]
    fn stale_is_what_nobody_waits_for() {
        let timeout = Duration::from_secs(1);
        let longer = Duration::from_millis(1001);
        let throttle = RequestThrottle::new(settings());
        assert!(!throttle.is_stale(OpCode::GET_DATA, false, longer, timeout));
        assert!(throttle.is_stale(OpCode::GET_DATA, true, Duration::ZERO, timeout));
        assert!(throttle.is_stale(OpCode::PING, true, Duration::ZERO, timeout));
        assert!(!throttle.is_stale(OpCode::CLOSE_SESSION, true, longer, timeout));
        let by_age = RequestThrottle::new(RequestThrottleSettings {
            stale_connection_check: false,
            stale_latency_check: true,
            ..settings()
        });
        assert!(!by_age.is_stale(OpCode::CREATE, true, timeout, timeout));
        assert!(by_age.is_stale(OpCode::CREATE, false, longer, timeout));
        assert!(!by_age.is_stale(OpCode::CLOSE_SESSION, false, longer, timeout));
    }

    #[test]
    fn a_frame_is_as_old_as_its_last_byte() {
        let at = |ms| Duration::from_millis(ms);
        let began = Instant::now();
        let mut waited = Waited::new(10, began);
        waited.arrived(5, began + at(100));
        waited.arrived(5, began + at(200));
        let now = began + at(1000);
        for (end, age) in [
            (1, 1000),
            (10, 1000),
            (11, 900),
            (15, 900),
            (16, 800),
            (21, 0),
        ] {
            assert_eq!(waited.age(end, now), at(age), "{end}");
        }
        waited.consumed(12);
        assert_eq!(waited.age(3, now), at(900));
        assert_eq!(waited.age(4, now), at(800));
        waited.consumed(3);
        assert_eq!(waited.age(1, now), at(800));
        waited.consumed(100);
        assert_eq!(waited.age(1, now), at(0));
    }

    #[test]
    fn drops_of_bytes_take_no_more_room() {
        let began = Instant::now();
        let mut waited = Waited::new(1, began);
        for ms in 0..1000 {
            waited.arrived(1, began + Duration::from_millis(ms));
        }
        assert_eq!(waited.arrivals.len(), ARRIVALS_MAX);
        let now = began + Duration::from_millis(999);
        assert_eq!(waited.age(1001, now), Duration::ZERO);
        assert_eq!(waited.age(1, now), Duration::from_millis(999));
    }

    #[test]
    fn sessions_are_never_too_late() {
        let throttle = RequestThrottle::new(settings());
        let (limit, long) = (Duration::from_millis(50), Duration::from_millis(51));
        assert!(!throttle.is_too_late(OpCode::CREATE, limit));
        for op in [
            OpCode::CREATE,
            OpCode::GET_DATA,
            OpCode::SYNC,
            OpCode::MULTI,
        ] {
            assert!(throttle.is_too_late(op, long), "{op:?}");
        }
        for op in [OpCode::PING, OpCode::CREATE_SESSION, OpCode::CLOSE_SESSION] {
            assert!(!throttle.is_too_late(op, long), "{op:?}");
        }
        let off = RequestThrottle::new(RequestThrottleSettings {
            op_wait: None,
            ..settings()
        });
        assert!(!off.is_too_late(OpCode::CREATE, Duration::from_secs(3600)));
    }

    #[test]
    fn large_requests_share_their_bytes_until_they_are_done() {
        let large = LargeRequests::new(100, 250);
        assert!(large.enter(100).unwrap().is_none());
        assert!(large.has_room(250) && !large.has_room(251) && large.has_room(100));
        let first = large.enter(150).unwrap();
        assert!(first.is_some());
        assert!(!large.has_room(101));
        assert!(large.enter(101).is_err());
        // A refusal takes nothing.
        let second = held(None, large.enter(100).unwrap());
        assert!(second.is_none());
        drop(first);
        assert!(held(None, large.enter(250).unwrap()).is_some());
        assert!(large.has_room(250));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_without_overflow() {
        let large = LargeRequests::new(1, usize::MAX);
        let _first = large.enter(2).unwrap();
        assert!(large.has_room(usize::MAX));
        assert!(LargeRequests::new(usize::MAX, 0).has_room(usize::MAX - 1));
    }
}
