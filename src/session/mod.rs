//! Sessions that this server tracks: who is alive, and until when. Answers to `SessionTrackerImpl`, `ExpiryQueue` and
//! the trackers of `quorum`: `LocalSessionTracker`, `LeaderSessionTracker`, `LearnerSessionTracker`.
//!
//! Time comes as an argument, in milliseconds of one monotonic clock. A touch is one store into the session;
//! the buckets are put right when they fall due, so that a ping costs nothing shared.

#![deny(clippy::disallowed_methods)]

pub mod password;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering,
};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::ids::{ConnId, LinkId, SessionId};

#[derive(Debug)]
pub struct Session {
    pub id: SessionId,
    timeout_ms: AtomicI32,
    expires_at_ms: AtomicI64,
    /// Its end is decided: later requests are refused.
    closing: AtomicBool,
    /// The connection that speaks for it, plus one; 0 is none.
    conn: AtomicU32,
    /// Where its writes come from, on a leader: see [`Owner`].
    owner: AtomicU64,
    /// On a learner: in the list of those that the leader is to hear of.
    touched: AtomicBool,
    /// Who knows it: a [`Reach`].
    reach: AtomicU8,
}

/// Who knows a session. It changes once at most, and only from [`Reach::Local`]: who changes it decides what becomes
/// of the session, so that it cannot end here while it is being made known to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Reach {
    /// The whole ensemble, or all of it is being told.
    Global,
    /// This server alone. No transaction speaks of it.
    Local,
    /// It was local until it ended.
    Ended,
}

/// Where a session's requests come from. A write from elsewhere means that the session has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A connection of this server.
    Here,
    /// A learner.
    Link(LinkId),
}

impl Owner {
    /// 0 is nobody yet.
    fn code(self) -> u64 {
        match self {
            Owner::Here => 1,
            Owner::Link(link) => link.0 + 2,
        }
    }
}

impl Session {
    pub fn set_owner(&self, owner: Owner) {
        self.owner.store(owner.code(), Ordering::Release);
    }

    /// False if it belongs to somebody else.
    pub fn claim(&self, owner: Owner) -> bool {
        let mine = owner.code();
        let before = self.owner.load(Ordering::Acquire);
        before == mine
            || (before == 0
                && match self
                    .owner
                    .compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire)
                {
                    Ok(_) => true,
                    Err(other) => other == mine,
                })
    }

    /// Known to this server alone.
    pub fn is_local(&self) -> bool {
        self.reach.load(Ordering::Acquire) == Reach::Local as u8
    }

    /// True for the caller that has to tell the whole ensemble of it; from now on it is a session like any other.
    pub fn upgrade(&self) -> bool {
        self.leave_local(Reach::Global)
    }

    /// True for the caller that ends it, if it was local: nobody else has to be told.
    pub fn end_local(&self) -> bool {
        let ended = self.leave_local(Reach::Ended);
        if ended {
            self.begin_closing();
        }
        ended
    }

    pub fn has_ended_locally(&self) -> bool {
        self.reach.load(Ordering::Acquire) == Reach::Ended as u8
    }

    fn leave_local(&self, to: Reach) -> bool {
        self.reach
            .compare_exchange(
                Reach::Local as u8,
                to as u8,
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .is_ok()
    }

    /// True for the first since the leader was told.
    pub fn mark_touched(&self) -> bool {
        !self.touched.load(Ordering::Relaxed) && !self.touched.swap(true, Ordering::AcqRel)
    }

    pub fn clear_touched(&self) {
        self.touched.store(false, Ordering::Release);
    }

    pub fn timeout_ms(&self) -> i32 {
        self.timeout_ms.load(Ordering::Relaxed)
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// True for the caller that closes it first.
    pub fn begin_closing(&self) -> bool {
        !self.closing.swap(true, Ordering::AcqRel)
    }

    /// The connection that spoke for the session so far.
    pub fn attach(&self, conn: ConnId) -> Option<ConnId> {
        Self::decode(self.conn.swap(conn.0 + 1, Ordering::AcqRel))
    }

    /// Lets go, unless another connection took over meanwhile.
    pub fn detach(&self, conn: ConnId) {
        let _ = self
            .conn
            .compare_exchange(conn.0 + 1, 0, Ordering::AcqRel, Ordering::Relaxed);
    }

    pub fn conn(&self) -> Option<ConnId> {
        Self::decode(self.conn.load(Ordering::Acquire))
    }

    fn decode(raw: u32) -> Option<ConnId> {
        raw.checked_sub(1).map(ConnId)
    }

    pub fn expires_at_ms(&self) -> i64 {
        self.expires_at_ms.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Table {
    by_id: HashMap<SessionId, Arc<Session>, RandomState>,
    /// Sessions by the time at which to look at them again; never later than they expire.
    buckets: BTreeMap<i64, Vec<Arc<Session>>>,
    next_id: i64,
}

pub struct Sessions {
    tick_ms: i64,
    server: u8,
    table: Mutex<Table>,
}

impl Sessions {
    /// `server` is the low byte of the server's number, `wall_ms` the clock that makes ids differ over restarts.
    pub fn new(tick_ms: i32, server: u8, wall_ms: i64) -> Sessions {
        let first = (i64::from(server) << 56) | ((wall_ms << 16) & 0x00ff_ffff_ffff_0000);
        // The one value that means "container" is no session's.
        let next_id = if first == i64::MIN { first + 1 } else { first };
        let table = Table {
            next_id,
            ..Table::default()
        };
        Sessions {
            tick_ms: i64::from(tick_ms),
            server,
            table: Mutex::new(table),
        }
    }

    /// The end of the bucket in which a session that is touched now expires.
    fn bucket(&self, at_ms: i64) -> i64 {
        (at_ms.div_euclid(self.tick_ms) + 1) * self.tick_ms
    }

    pub fn new_id(&self) -> SessionId {
        let mut table = self.table.lock();
        let id = table.next_id;
        table.next_id += 1;
        SessionId(id)
    }

    /// Starts to track a session that the ensemble knows; one that is tracked already is only touched. One that was
    /// local is so no more.
    pub fn track(&self, id: SessionId, timeout_ms: i32, now_ms: i64) -> Arc<Session> {
        let session = self.track_as(Reach::Global, id, timeout_ms, now_ms);
        session.upgrade();
        session
    }

    /// Starts to track a session that only this server knows.
    pub fn track_local(&self, id: SessionId, timeout_ms: i32, now_ms: i64) -> Arc<Session> {
        self.track_as(Reach::Local, id, timeout_ms, now_ms)
    }

    fn track_as(&self, reach: Reach, id: SessionId, timeout_ms: i32, now_ms: i64) -> Arc<Session> {
        let expires = self.bucket(now_ms + i64::from(timeout_ms));
        let mut table = self.table.lock();
        if let Some(session) = table.by_id.get(&id).cloned() {
            drop(table);
            self.touch_with(&session, timeout_ms, now_ms);
            return session;
        }
        let session = Arc::new(Session {
            id,
            timeout_ms: AtomicI32::new(timeout_ms),
            expires_at_ms: AtomicI64::new(expires),
            closing: AtomicBool::new(false),
            conn: AtomicU32::new(0),
            owner: AtomicU64::new(0),
            touched: AtomicBool::new(false),
            reach: AtomicU8::new(reach as u8),
        });
        table.by_id.insert(id, session.clone());
        table
            .buckets
            .entry(expires)
            .or_default()
            .push(session.clone());
        session
    }

    pub fn get(&self, id: SessionId) -> Option<Arc<Session>> {
        self.table.lock().by_id.get(&id).cloned()
    }

    /// Forgets all of them: who is alive is the next leader's to say.
    pub fn clear(&self) {
        let mut table = self.table.lock();
        table.by_id.clear();
        table.buckets.clear();
    }

    pub fn remove(&self, id: SessionId) -> Option<Arc<Session>> {
        self.table.lock().by_id.remove(&id)
    }

    pub fn touch(&self, session: &Session, now_ms: i64) {
        let expires = self.bucket(now_ms + i64::from(session.timeout_ms()));
        // Concurrent touches differ by less than a tick; the bucket only moves forward.
        if expires > session.expires_at_ms() {
            session.expires_at_ms.store(expires, Ordering::Relaxed);
        }
    }

    /// A reconnect may shorten the timeout, and with it the time to the next look.
    pub fn touch_with(&self, session: &Arc<Session>, timeout_ms: i32, now_ms: i64) {
        let shorter = timeout_ms < session.timeout_ms();
        session.timeout_ms.store(timeout_ms, Ordering::Relaxed);
        let expires = self.bucket(now_ms + i64::from(timeout_ms));
        session.expires_at_ms.store(expires, Ordering::Relaxed);
        if shorter {
            self.table
                .lock()
                .buckets
                .entry(expires)
                .or_default()
                .push(session.clone());
        }
    }

    /// When to call [`Sessions::expired`] next.
    pub fn next_deadline_ms(&self, now_ms: i64) -> i64 {
        self.bucket(now_ms)
    }

    /// Sessions whose time is up, in no order. They stay tracked, and closing, until they are removed.
    pub fn expired(&self, now_ms: i64, out: &mut Vec<Arc<Session>>) {
        let mut table = self.table.lock();
        while let Some(entry) = table.buckets.first_entry() {
            if *entry.key() > now_ms {
                break;
            }
            for session in entry.remove() {
                if session.is_closing()
                    || table
                        .by_id
                        .get(&session.id)
                        .is_none_or(|s| !Arc::ptr_eq(s, &session))
                {
                    continue;
                }
                let expires = session.expires_at_ms();
                if expires > now_ms {
                    table.buckets.entry(expires).or_default().push(session);
                } else {
                    out.push(session);
                }
            }
        }
    }

    /// Another server decides about the end of a session that [`Sessions::expired`] gave: it is looked at again later.
    pub fn keep(&self, session: Arc<Session>, now_ms: i64) {
        self.touch(&session, now_ms);
        let expires = session.expires_at_ms();
        let mut table = self.table.lock();
        table.buckets.entry(expires).or_default().push(session);
    }

    pub fn len(&self) -> usize {
        self.table.lock().by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids that this server gives begin with this byte.
    pub fn server(&self) -> u8 {
        self.server
    }

    pub fn local_len(&self) -> usize {
        let table = self.table.lock();
        table.by_id.values().filter(|s| s.is_local()).count()
    }

    /// Every session that is local, or every other, with the time at which it expires.
    pub fn snapshot(&self, local: bool) -> Vec<(SessionId, i64)> {
        self.table
            .lock()
            .by_id
            .values()
            .filter(|s| s.is_local() == local)
            .map(|s| (s.id, s.expires_at_ms()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expired(sessions: &Sessions, now: i64) -> Vec<i64> {
        let mut out = Vec::new();
        sessions.expired(now, &mut out);
        out.into_iter().map(|s| s.id.0).collect()
    }

    #[test]
    fn expires_between_timeout_and_timeout_plus_tick() {
        let sessions = Sessions::new(1000, 1, 0);
        sessions.track(SessionId(7), 3000, 500);
        assert_eq!(expired(&sessions, 3500), [0i64; 0]);
        assert_eq!(expired(&sessions, 3999), [0i64; 0]);
        assert_eq!(expired(&sessions, 4000), [7]);
    }

    #[test]
    fn a_touch_moves_the_end() {
        let sessions = Sessions::new(1000, 1, 0);
        let session = sessions.track(SessionId(7), 3000, 0);
        sessions.touch(&session, 2500);
        assert_eq!(expired(&sessions, 4000), [0i64; 0]);
        assert_eq!(expired(&sessions, 6000), [7]);
    }

    #[test]
    fn a_shorter_timeout_counts_at_once() {
        let sessions = Sessions::new(1000, 1, 0);
        let session = sessions.track(SessionId(7), 60_000, 0);
        sessions.touch_with(&session, 2000, 0);
        assert_eq!(expired(&sessions, 3000), [7]);
    }

    #[test]
    fn a_session_that_is_closing_is_not_expired_again() {
        let sessions = Sessions::new(1000, 1, 0);
        let session = sessions.track(SessionId(7), 2000, 0);
        assert!(session.begin_closing());
        assert!(!session.begin_closing());
        assert_eq!(expired(&sessions, 10_000), [0i64; 0]);
    }

    #[test]
    fn the_last_connection_holds_the_session() {
        let sessions = Sessions::new(1000, 1, 0);
        let session = sessions.track(SessionId(7), 2000, 0);
        assert_eq!(session.attach(ConnId(0)), None);
        assert_eq!(session.attach(ConnId(5)), Some(ConnId(0)));
        session.detach(ConnId(0));
        assert_eq!(session.conn(), Some(ConnId(5)));
        session.detach(ConnId(5));
        assert_eq!(session.conn(), None);
    }

    #[test]
    fn a_session_that_is_kept_is_looked_at_again() {
        let sessions = Sessions::new(1000, 1, 0);
        sessions.track(SessionId(7), 2000, 0);
        let mut out = Vec::new();
        sessions.expired(3000, &mut out);
        for session in out {
            sessions.keep(session, 3000);
        }
        assert_eq!(expired(&sessions, 5000), [0i64; 0]);
        assert_eq!(expired(&sessions, 6000), [7]);
    }

    #[test]
    fn a_local_session_becomes_global_or_ends_and_never_both() {
        let sessions = Sessions::new(1000, 1, 0);
        let upgraded = sessions.track_local(SessionId(7), 2000, 0);
        assert!(upgraded.is_local());
        assert_eq!(sessions.local_len(), 1);
        assert!(upgraded.upgrade());
        assert!(!upgraded.upgrade() && !upgraded.end_local() && !upgraded.is_closing());

        let ended = sessions.track_local(SessionId(8), 2000, 0);
        assert!(ended.end_local());
        assert!(ended.is_closing() && ended.has_ended_locally());
        assert!(!ended.upgrade() && !ended.end_local());
        assert_eq!(sessions.local_len(), 0);
    }

    #[test]
    fn a_session_that_all_know_is_not_local() {
        let sessions = Sessions::new(1000, 1, 0);
        assert!(!sessions.track(SessionId(7), 2000, 0).is_local());
        sessions.track_local(SessionId(8), 2000, 0);
        let committed = sessions.track(SessionId(8), 2000, 0);
        assert!(!committed.is_local());
        assert_eq!(sessions.snapshot(false).len(), 2);
        assert!(sessions.snapshot(true).is_empty());
    }

    #[test]
    fn ids_carry_the_server_and_rise() {
        let sessions = Sessions::new(1000, 0x72, 0x0102_0304_0506);
        let first = sessions.new_id();
        assert_eq!(first.0 as u64, 0x7202_0304_0506_0000);
        assert_eq!(sessions.new_id().0, first.0 + 1);
        assert_ne!(Sessions::new(1000, 0x80, 0).new_id().0, i64::MIN);
    }
}
