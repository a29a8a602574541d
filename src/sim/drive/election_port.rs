//! Notifications: one waits for each pair, and takes the place of the one before.

use bytes::BytesMut;

use super::super::network::NodeIx;
use super::super::server::Process;
use super::super::world::{Event, World};
use crate::ids::ServerId;
use crate::proto::election::Notification;
use crate::zab::Input;

impl World {
    pub(super) fn notify(&mut self, node: NodeIx, to: ServerId, notification: &Notification) {
        let server = &self.servers[node];
        let votes = |process: &Process| {
            let (committed, seen) = (
                process.peer.committed_config(),
                process.peer.last_seen_config(),
            );
            committed.is_voter(server.id) && (committed.is_voter(to) || seen.is_voter(to))
        };
        if server.process.as_ref().is_some_and(votes) {
            let stable = &server.disk.stable;
            self.oracle
                .notifies(node, server.id.0, stable, notification);
        }
        let Some(to) = self.servers.iter().position(|s| s.id == to) else {
            return;
        };
        let mut bytes = BytesMut::new();
        notification.encode(&mut bytes);
        let delay = self.link_delay();
        let lane = self.network.lane(node, to);
        lane.waiting = Some(bytes.to_vec());
        if !lane.busy {
            lane.busy = true;
            self.schedule(self.now + delay, Event::Lane(node, to));
        }
    }

    pub fn lane(&mut self, from: NodeIx, to: NodeIx) {
        let can_talk = self.network.can_talk(from, to) || from == to;
        let both = self.servers[from].process.is_some() && self.servers[to].process.is_some();
        let lane = self.network.lane(from, to);
        lane.busy = false;
        if !can_talk || !both {
            lane.broken = true;
            return;
        }
        let Some(bytes) = lane.waiting.take() else {
            return;
        };
        lane.broken = false;
        lane.last = Some(bytes.clone());
        // The connection works in both directions again: what was sent last the other way is sent once more.
        let delay = self.link_delay();
        let back = self.network.lane(to, from);
        if back.broken && from != to {
            back.broken = false;
            if back.waiting.is_none() {
                back.waiting = back.last.clone();
            }
            if back.waiting.is_some() && !back.busy {
                back.busy = true;
                self.schedule(self.now + delay, Event::Lane(to, from));
            }
        }
        let sender = self.servers[from].id;
        match Notification::decode(&bytes) {
            Ok(notification) => self.input(to, Input::Notification(sender, notification)),
            Err(e) => self.oracle.fail("network", format!("a notification: {e}")),
        }
    }
}
