//! What the server asks of itself as time passes: the end of sessions that fell silent, and of empty containers
//! and outdated nodes. Answers to `SessionTrackerImpl.run` and `ContainerManager`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::client::Phase;
use super::{Pipeline, wall_ms};
use crate::ids::SessionId;
use crate::ops::put;
use crate::proto::OpCode;
use crate::session::Session;
use crate::tree::{Kind, Tree};
use jute::Text;

impl Pipeline {
    /// Milliseconds until [`Pipeline::expire_sessions`] may have something to do.
    pub fn until_expiry(&self) -> Duration {
        let now = self.now_ms();
        Duration::from_millis((self.sessions.next_deadline_ms(now) - now).max(1) as u64)
    }

    pub fn expire_sessions(&self) {
        self.look_at_sessions(self.now_ms());
    }

    /// Those that ended are let go everywhere, and only their owner decides which do: the leader, or of a local session
    /// this server.
    pub(super) fn look_at_sessions(&self, now_ms: i64) {
        let mut expired = Vec::new();
        self.sessions.expired(now_ms, &mut expired);
        for session in expired {
            if session.end_local() {
                self.expires(&session);
                self.local_session_expired(&session);
            } else if !self.owns_sessions() {
                self.sessions.keep(session, now_ms);
            } else if session.begin_closing() {
                self.expires(&session);
                self.submit_own(session.id, OpCode::CLOSE_SESSION, &[]);
            }
        }
    }

    fn expires(&self, session: &Session) {
        tracing::info!(
            "Expiring session {}, timeout of {}ms exceeded",
            session.id,
            session.timeout_ms()
        );
        self.stats.expired.fetch_add(1, Ordering::Relaxed);
        self.stats.metrics.stale_sessions_expired.increment();
    }

    /// Closes connections that did not finish a handshake in time, or do not close after the last word.
    pub fn close_silent(&self, never_spoke: Duration) {
        let now = wall_ms();
        for client in self.clients() {
            let silent = client.phase() == Phase::New
                && now - client.since_ms > never_spoke.as_millis() as i64;
            if silent || client.lingers() {
                client.kill();
            }
        }
    }

    /// Paths of containers and TTL nodes that have had their time.
    pub fn outdated_nodes(&self) -> Vec<String> {
        if !self.owns_sessions() {
            return Vec::new();
        }
        let now = wall_ms();
        let never_used_ms = self.settings.container_never_used_ms;
        let tree = self.tree.read();
        outdated(&tree, now, never_used_ms)
    }

    pub fn remove_outdated(&self, path: &str) {
        let mut body = Vec::new();
        put(&mut body, &Text::from(path));
        self.submit_own(SessionId::NONE, OpCode::DELETE_CONTAINER, &body);
    }
}

fn outdated(tree: &Tree, now: i64, never_used_ms: i64) -> Vec<String> {
    let used_up = tree.containers().filter(|id| {
        let node = tree.node(*id);
        let unused = node.cversion() == 0 && never_used_ms != 0 && now - node.mtime > never_used_ms;
        node.child_count() == 0 && (node.cversion() > 0 || unused)
    });
    let too_old = tree.ttls().filter(|id| {
        let node = tree.node(*id);
        let old = matches!(tree.kind(node), Kind::Ttl(ms) if now - node.mtime > ms);
        node.child_count() == 0 && old
    });
    used_up.chain(too_old).map(|id| tree.path_of(id)).collect()
}
