//! The other servers: what waits for each, and which connection it has. Decides without touching a socket.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::ids::ServerId;
use crate::proto::election::ANONYMOUS;

/// Servers that have a connection or a place in the configuration. Strangers beyond it are turned away.
const PEERS_MAX: usize = 1024;

pub(super) struct Peers {
    id: ServerId,
    slots: BTreeMap<ServerId, Slot>,
    connections: u64,
    /// For the next observer without a number.
    next_anonymous: i64,
}

#[derive(Default)]
struct Slot {
    /// A queue of one: a newer message makes an older one pointless.
    waiting: Option<Bytes>,
    /// What was sent last: whoever reconnects may not have got it.
    last: Option<Bytes>,
    worker: Option<Worker>,
    is_dialled: bool,
    /// Kept without a connection.
    is_listed: bool,
}

/// A connection that is in use.
#[derive(Clone)]
pub(super) struct Worker {
    number: u64,
    /// Something waits to be sent.
    pub wake: Arc<Notify>,
    /// Another connection takes its place.
    pub stop: Arc<Notify>,
}

/// What becomes of a connection that somebody else dialled.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tie {
    /// Theirs: it stays, under this number.
    Keep(ServerId),
    /// Mine to dial: it closes.
    DialBack,
    /// They say that they are me.
    Myself,
}

impl Peers {
    pub(super) fn new(id: ServerId) -> Peers {
        Peers {
            id,
            slots: BTreeMap::new(),
            connections: 0,
            next_anonymous: -1,
        }
    }

    /// Whether a connection has to be dialled for it.
    pub(super) fn post(&mut self, to: ServerId, frame: Bytes, is_listed: bool) -> bool {
        if !is_listed && !self.slots.contains_key(&to) {
            return false;
        }
        let slot = self.slots.entry(to).or_default();
        slot.is_listed = is_listed;
        slot.waiting = Some(frame);
        match &slot.worker {
            Some(worker) => {
                worker.wake.notify_one();
                false
            }
            None => true,
        }
    }

    /// One attempt for a server at a time, and none while there is a connection.
    pub(super) fn begin_dial(&mut self, peer: ServerId) -> bool {
        if !self.has_room_for(peer) {
            return false;
        }
        let slot = self.slots.entry(peer).or_default();
        let is_needed = !slot.is_dialled && slot.worker.is_none();
        slot.is_dialled |= is_needed;
        is_needed
    }

    pub(super) fn end_dial(&mut self, peer: ServerId) {
        if let Some(slot) = self.slots.get_mut(&peer) {
            slot.is_dialled = false;
        }
        self.forget_if_unused(peer);
    }

    /// Who owns the connection of this pair. If I do, the one that there may be is not alive for the other side.
    pub(super) fn break_tie(&mut self, peer: ServerId) -> Tie {
        if peer.0 == ANONYMOUS {
            self.next_anonymous -= 1;
            return Tie::Keep(ServerId(self.next_anonymous + 1));
        }
        if peer == self.id {
            return Tie::Myself;
        }
        if peer > self.id {
            return Tie::Keep(peer);
        }
        if let Some(worker) = self
            .slots
            .get_mut(&peer)
            .and_then(|slot| slot.worker.take())
        {
            worker.stop.notify_one();
        }
        Tie::DialBack
    }

    /// A new connection takes the place of an older one. The last message goes out again on it if none waits.
    pub(super) fn begin_connection(&mut self, peer: ServerId) -> Option<Worker> {
        if !self.has_room_for(peer) {
            return None;
        }
        self.connections += 1;
        let worker = Worker {
            number: self.connections,
            wake: Arc::new(Notify::new()),
            stop: Arc::new(Notify::new()),
        };
        let slot = self.slots.entry(peer).or_default();
        if slot.waiting.is_none() {
            slot.waiting = slot.last.clone();
        }
        if let Some(older) = slot.worker.replace(worker.clone()) {
            older.stop.notify_one();
        }
        worker.wake.notify_one();
        Some(worker)
    }

    pub(super) fn end_connection(&mut self, peer: ServerId, worker: &Worker) {
        if self.is_current(peer, worker)
            && let Some(slot) = self.slots.get_mut(&peer)
        {
            slot.worker = None;
        }
        self.forget_if_unused(peer);
    }

    /// What that connection has to send now.
    pub(super) fn next_frame(&mut self, peer: ServerId, worker: &Worker) -> Option<Bytes> {
        if !self.is_current(peer, worker) {
            return None;
        }
        let slot = self.slots.get_mut(&peer)?;
        let frame = slot.waiting.take()?;
        slot.last = Some(frame.clone());
        Some(frame)
    }

    pub(super) fn stop(&mut self) {
        for worker in self.slots.values().filter_map(|slot| slot.worker.as_ref()) {
            worker.stop.notify_one();
        }
    }

    fn is_current(&self, peer: ServerId, worker: &Worker) -> bool {
        let slot = self.slots.get(&peer);
        let current = slot.and_then(|slot| slot.worker.as_ref());
        current.is_some_and(|current| current.number == worker.number)
    }

    fn has_room_for(&self, peer: ServerId) -> bool {
        self.slots.len() < PEERS_MAX || self.slots.contains_key(&peer)
    }

    fn forget_if_unused(&mut self, peer: ServerId) {
        let slot = self.slots.get(&peer);
        if slot.is_some_and(|slot| !slot.is_listed && !slot.is_dialled && slot.worker.is_none()) {
            self.slots.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ME: ServerId = ServerId(5);
    const PEER: ServerId = ServerId(7);

    fn frame(byte: u8) -> Bytes {
        vec![byte].into()
    }

    #[test]
    fn only_the_newest_message_waits() {
        let mut peers = Peers::new(ME);
        assert!(peers.post(PEER, frame(1), true));
        assert!(peers.post(PEER, frame(2), true));
        let worker = peers.begin_connection(PEER).unwrap();
        assert!(!peers.post(PEER, frame(3), true), "there is a connection");
        assert_eq!(peers.next_frame(PEER, &worker), Some(frame(3)));
        assert_eq!(peers.next_frame(PEER, &worker), None);
    }

    #[test]
    fn a_new_connection_repeats_the_last_message() {
        let mut peers = Peers::new(ME);
        peers.post(PEER, frame(1), true);
        let first = peers.begin_connection(PEER).unwrap();
        peers.next_frame(PEER, &first);
        let second = peers.begin_connection(PEER).unwrap();
        assert_eq!(peers.next_frame(PEER, &first), None, "it was replaced");
        assert_eq!(peers.next_frame(PEER, &second), Some(frame(1)));
        // The end of the first one is not the end of the second one.
        peers.end_connection(PEER, &first);
        assert!(!peers.post(PEER, frame(2), true));
        peers.end_connection(PEER, &second);
        assert!(peers.post(PEER, frame(3), true));
        let third = peers.begin_connection(PEER).unwrap();
        assert_eq!(
            peers.next_frame(PEER, &third),
            Some(frame(3)),
            "not the last one"
        );
    }

    #[test]
    fn one_attempt_at_a_time() {
        let mut peers = Peers::new(ME);
        peers.post(PEER, frame(1), true);
        assert!(peers.begin_dial(PEER));
        assert!(!peers.begin_dial(PEER));
        peers.end_dial(PEER);
        assert!(peers.begin_dial(PEER));
        peers.begin_connection(PEER).unwrap();
        peers.end_dial(PEER);
        assert!(!peers.begin_dial(PEER), "it is connected");
    }

    #[test]
    fn the_larger_number_owns_the_connection() {
        let mut peers = Peers::new(ME);
        assert_eq!(peers.break_tie(ServerId(6)), Tie::Keep(ServerId(6)));
        assert_eq!(peers.break_tie(ME), Tie::Myself);
        assert_eq!(peers.break_tie(ServerId(4)), Tie::DialBack);
        assert_eq!(
            peers.break_tie(ServerId(ANONYMOUS)),
            Tie::Keep(ServerId(-1))
        );
        assert_eq!(
            peers.break_tie(ServerId(ANONYMOUS)),
            Tie::Keep(ServerId(-2))
        );
    }

    #[test]
    fn a_smaller_server_that_dials_has_lost_its_connection() {
        let mut peers = Peers::new(ME);
        let smaller = ServerId(4);
        peers.begin_connection(smaller).unwrap();
        assert!(!peers.begin_dial(smaller));
        peers.break_tie(smaller);
        assert!(peers.begin_dial(smaller));
    }

    #[test]
    fn strangers_are_answered_while_they_are_there() {
        let mut peers = Peers::new(ME);
        let stranger = ServerId(99);
        assert!(!peers.post(stranger, frame(1), false));
        let worker = peers.begin_connection(stranger).unwrap();
        assert_eq!(peers.next_frame(stranger, &worker), None);
        peers.post(stranger, frame(2), false);
        assert_eq!(peers.next_frame(stranger, &worker), Some(frame(2)));
        peers.end_connection(stranger, &worker);
        assert!(peers.slots.is_empty());
    }

    #[test]
    fn strangers_do_not_use_up_the_room() {
        let mut peers = Peers::new(ME);
        for id in 0..2 * PEERS_MAX as i64 {
            peers.begin_connection(ServerId(1000 + id));
        }
        assert_eq!(peers.slots.len(), PEERS_MAX);
        assert!(peers.begin_connection(ServerId(1)).is_none());
    }
}
