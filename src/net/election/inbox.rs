//! What arrived and was not taken yet: bounded, and the oldest goes first.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::ids::ServerId;
use crate::proto::election::Notification;

/// As the original has room for.
const NOTIFICATIONS_MAX: usize = 100;

pub(super) struct Ring {
    arrived: Mutex<VecDeque<(ServerId, Notification)>>,
    wake: Notify,
}

/// Where notifications arrive. For one reader.
pub struct ElectionInbox {
    ring: Arc<Ring>,
}

pub(super) fn new() -> (Arc<Ring>, ElectionInbox) {
    let ring = Arc::new(Ring {
        arrived: Mutex::default(),
        wake: Notify::new(),
    });
    (ring.clone(), ElectionInbox { ring })
}

impl Ring {
    /// When full the oldest one is lost; its sender repeats itself.
    pub(super) fn put(&self, from: ServerId, notification: Notification) {
        let mut arrived = self.arrived.lock();
        if arrived.len() == NOTIFICATIONS_MAX {
            arrived.pop_front();
        }
        arrived.push_back((from, notification));
        drop(arrived);
        self.wake.notify_one();
    }
}

impl ElectionInbox {
    /// Waits for the next one. May be dropped at any point.
    pub async fn recv(&mut self) -> (ServerId, Notification) {
        loop {
            if let Some(first) = self.try_recv() {
                return first;
            }
            self.ring.wake.notified().await;
        }
    }

    pub fn try_recv(&mut self) -> Option<(ServerId, Notification)> {
        self.ring.arrived.lock().pop_front()
    }
}
