//! Which follower an observer learns from, where followers serve observers.
//!
//! All voters in a random order, one after the other, also when the last one served well until it went: so observers
//! spread over the followers. The leader is among them and does not listen there. Answers to
//! `QuorumPeer.findLearnerMaster` and `Observer.waitForReconnectDelay`.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::start::chance_below;
use super::{Core, Member};
use crate::ids::ServerId;
use crate::membership::{Membership, Role};
use crate::net::peer_stream::PeerStream;

/// Between two rounds: a follower may not serve yet.
const ROUND_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(super) struct Masters {
    /// The next one comes first.
    order: Vec<ServerId>,
}

/// The addresses of one of them.
type Addresses = Vec<(String, u16)>;

impl Masters {
    /// Everybody once, beginning with the one behind that with which the last order began.
    fn next(&mut self, voters: &BTreeSet<ServerId>, chance: impl Fn(u64) -> u64) -> &[ServerId] {
        let known: BTreeSet<ServerId> = self.order.iter().copied().collect();
        if known == *voters {
            let count = self.order.len().min(1);
            self.order.rotate_left(count);
        } else {
            self.order = voters.iter().copied().collect();
            for last in (1..self.order.len()).rev() {
                let other = chance(last as u64 + 1) as usize;
                self.order.swap(last, other);
            }
        }
        &self.order
    }

    /// This one took us in: the next order begins behind it.
    fn chose(&mut self, place: usize) {
        let count = place.min(self.order.len());
        self.order.rotate_left(count);
    }

    /// The one that took us in last.
    pub(super) fn serving(&self) -> Option<ServerId> {
        self.order.first().copied()
    }
}

impl Member {
    /// Where to learn from, best first; `None`: from the leader.
    pub(super) fn masters(&self, core: &mut Core) -> Option<Vec<Addresses>> {
        let port = self.settings.observer_master_port?;
        if !core.peer.is_observer() {
            return None;
        }
        let committed = core.peer.committed_config();
        let servers = committed.servers.iter();
        let voters = servers.filter(|(_, line)| line.role == Role::Participant);
        let voters = voters.map(|(id, _)| *id).collect();
        let order = core.masters.next(&voters, chance_below).iter();
        let addresses = order.map(|id| addresses(committed, *id, port));
        Some(addresses.collect())
    }

    /// One try for each, and again, until one takes us or the time is over.
    pub(super) async fn connect_to_one(
        self: &Arc<Self>,
        masters: Vec<Addresses>,
    ) -> io::Result<(PeerStream, SocketAddr)> {
        let attempts = async {
            loop {
                for (place, addresses) in masters.iter().enumerate() {
                    match self.connect_once(addresses).await {
                        Ok(connected) => {
                            self.core.lock().masters.chose(place);
                            return Ok(connected);
                        }
                        Err(e) => tracing::debug!("no observer is served at {addresses:?}: {e}"),
                    }
                }
                let delay = chance_below(self.settings.observer_reconnect_ms_max);
                tokio::time::sleep(ROUND_PAUSE + Duration::from_millis(delay)).await;
            }
        };
        let limit = self.settings.dialling.limit;
        match tokio::time::timeout(limit, attempts).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "no follower serves observers",
            )),
        }
    }

    async fn connect_once(&self, addresses: &Addresses) -> io::Result<(PeerStream, SocketAddr)> {
        let settings = &self.settings;
        let dialled = settings.dialling.once(addresses, &settings.security);
        let (mut stream, remote) = dialled.await?;
        self.prove(&mut stream, remote).await?;
        Ok((stream, remote))
    }
}

fn addresses(membership: &Membership, id: ServerId, port: u16) -> Addresses {
    let line = membership.servers.get(&id);
    let addresses = line.map_or(&[][..], |line| &line.addresses);
    addresses.iter().map(|a| (a.host.clone(), port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[i64]) -> BTreeSet<ServerId> {
        numbers.iter().map(|id| ServerId(*id)).collect()
    }

    fn order(masters: &Masters) -> Vec<i64> {
        masters.order.iter().map(|id| id.0).collect()
    }

    #[test]
    fn everybody_gets_a_turn() {
        let mut masters = Masters::default();
        // Always the first of those left: a rotation of the sorted ones.
        masters.next(&ids(&[1, 2, 3]), |_| 0);
        assert_eq!(order(&masters), [2, 3, 1]);
        masters.next(&ids(&[1, 2, 3]), |_| 0);
        assert_eq!(order(&masters), [3, 1, 2]);
        // The second of these took it in; when that goes, another one is asked first.
        masters.chose(1);
        assert_eq!(masters.serving(), Some(ServerId(1)));
        masters.next(&ids(&[1, 2, 3]), |_| 0);
        assert_eq!(order(&masters), [2, 3, 1]);
        masters.next(&ids(&[1, 4]), |_| 1);
        assert_eq!(order(&masters), [1, 4], "other voters, another order");
        assert!(masters.next(&ids(&[]), |_| 0).is_empty());
    }
}
