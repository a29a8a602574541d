//! The configuration in force, the last one seen, and the rules by which one becomes the other.
//!
//! Must not know roles. While a newer configuration is seen and not in force, everything needs quorums of both.
//! Answers to `QuorumPeer.setLastSeenQuorumVerifier` and `QuorumPeer.processReconfig`.

use crate::ids::ServerId;
use crate::membership::{Membership, Role};

use super::disk::Disk;
use super::mistake::{Mistake, makes};
use super::quorum::Quorum;
use super::{Output, Write};

#[derive(Debug)]
pub(super) struct Configs {
    me: ServerId,
    reconfig_enabled: bool,
    committed: Counted,
    /// Only while its version is above the committed one's.
    newer: Option<Counted>,
}

#[derive(Debug)]
struct Counted {
    membership: Membership,
    quorum: Quorum,
}

impl Counted {
    fn new(membership: Membership) -> Counted {
        let quorum = Quorum::new(&membership);
        Counted { membership, quorum }
    }
}

impl Configs {
    pub(super) fn new(
        me: ServerId,
        reconfig_enabled: bool,
        committed: Membership,
        last_seen: Option<Membership>,
    ) -> Configs {
        let newer = last_seen.filter(|seen| reconfig_enabled && seen.version > committed.version);
        Configs {
            me,
            reconfig_enabled,
            committed: Counted::new(committed),
            newer: newer.map(Counted::new),
        }
    }

    pub(super) fn committed(&self) -> &Membership {
        &self.committed.membership
    }

    pub(super) fn last_seen(&self) -> &Membership {
        let seen = self.newer.as_ref().unwrap_or(&self.committed);
        &seen.membership
    }

    pub(super) fn newer(&self) -> Option<&Membership> {
        self.newer.as_ref().map(|newer| &newer.membership)
    }

    pub(super) fn reconfig_enabled(&self) -> bool {
        self.reconfig_enabled
    }

    pub(super) fn quorum(&self) -> &Quorum {
        &self.committed.quorum
    }

    pub(super) fn newer_quorum(&self) -> Option<&Quorum> {
        self.newer.as_ref().map(|newer| &newer.quorum)
    }

    /// Quorums of every configuration that counts now.
    pub(super) fn met(&self, agrees: impl Fn(ServerId) -> bool) -> bool {
        let newer = self.newer_quorum();
        self.quorum().met(&agrees) && newer.is_none_or(|quorum| quorum.met(&agrees))
    }

    /// Not to be listed is to follow without a vote.
    pub(super) fn is_observer(&self) -> bool {
        let listed = self.committed().servers.get(&self.me);
        listed.is_some_and(|server| server.role == Role::Observer)
    }

    /// Remembers a newer configuration that was proposed. Without reconfiguration nothing is ever remembered.
    pub(super) fn see(&mut self, config: Membership, disk: &mut Disk, out: &mut Vec<Output>) {
        if self.reconfig_enabled && config.version > self.last_seen().version {
            if !makes(Mistake::MembersForgotten) {
                disk.write(Write::SeenConfig(config.clone()), out);
            }
            self.newer = Some(Counted::new(config));
            self.announce(out);
        }
    }

    /// The newest one that a leader knows, to whom a quorum promised its epoch. A newer one that was proposed and is
    /// not known to it was never acknowledged by a quorum, and never will be.
    pub(super) fn learn(&mut self, config: Membership, disk: &mut Disk, out: &mut Vec<Output>) {
        let known = self.last_seen().version;
        if self.reconfig_enabled && config.version != known {
            let is_newer = config.version > self.committed().version;
            disk.write(Write::SeenConfig(config.clone()), out);
            self.newer = is_newer.then(|| Counted::new(config));
            self.announce(out);
        }
    }

    /// Puts a configuration in force. True if this server observed before and does not now, or the other way round.
    pub(super) fn commit(
        &mut self,
        config: Membership,
        disk: &mut Disk,
        out: &mut Vec<Output>,
    ) -> bool {
        if !self.reconfig_enabled || config.version <= self.committed().version {
            return false;
        }
        let was_observer = self.is_observer();
        let committed = config.version;
        disk.write(Write::CommittedConfig(config.clone()), out);
        self.committed = Counted::new(config);
        self.newer = self
            .newer
            .take()
            .filter(|newer| newer.membership.version > committed);
        self.announce(out);
        was_observer != self.is_observer()
    }

    fn announce(&self, out: &mut Vec<Output>) {
        out.push(Output::Configure {
            committed: self.committed().clone(),
            last_seen: self.newer().cloned(),
        });
    }
}

/// Whether a voter of the new configuration is one at the same addresses in the old one.
pub(super) fn stays(id: ServerId, old: &Membership, new: &Membership) -> bool {
    let place = |membership: &Membership| {
        let server = membership.servers.get(&id)?;
        let mut addresses: Vec<(String, u16)> = server
            .addresses
            .iter()
            .map(|address| (address.host.clone(), address.quorum_port))
            .collect();
        addresses.sort();
        Some(addresses)
    };
    new.is_voter(id) && place(old) == place(new)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{Epoch, Zxid};
    use crate::zab::{Durable, LogShape};

    fn config(text: &str) -> Membership {
        text.replace(' ', "\n").parse().unwrap()
    }

    fn disk() -> Disk {
        Disk::new(Durable {
            accepted_epoch: Epoch(0),
            current_epoch: Epoch(0),
            log: LogShape::default(),
            delivered: Zxid::ZERO,
            may_have_lost_data: false,
        })
    }

    #[test]
    fn both_count_until_the_newer_one_is_in_force() {
        let old = config("server.1=a:1:2 server.2=b:1:2 server.3=c:1:2 version=5");
        let new = config("server.3=c:1:2 server.4=d:1:2 server.5=e:1:2 version=6");
        let mut configs = Configs::new(ServerId(1), true, old, None);
        let (mut disk, mut out) = (disk(), Vec::new());
        let met = |configs: &Configs, ids: &[i64]| configs.met(|id| ids.contains(&id.0));
        assert!(met(&configs, &[1, 2]));
        configs.see(new.clone(), &mut disk, &mut out);
        assert!(!met(&configs, &[1, 2]) && !met(&configs, &[4, 5]));
        assert!(met(&configs, &[1, 3, 4]));
        assert!(
            !configs.commit(new.clone(), &mut disk, &mut out),
            "it votes no more, and follows on"
        );
        assert!(met(&configs, &[4, 5]));
        assert_eq!(configs.newer(), None);
        let written: Vec<bool> = out
            .iter()
            .map(|o| matches!(o, Output::Persist(_)))
            .collect();
        assert_eq!(written, [true, false, true, false]);
        out.clear();
        assert!(!configs.commit(new, &mut disk, &mut out), "once");
        assert_eq!(out, []);
    }

    #[test]
    fn older_ones_and_switched_off_ones_are_not_remembered() {
        let old = config("server.1=a:1:2 version=5");
        let newer = config("server.2=a:1:2 version=6");
        let mut off = Configs::new(ServerId(1), false, old.clone(), Some(newer.clone()));
        let (mut disk, mut out) = (disk(), Vec::new());
        off.see(newer.clone(), &mut disk, &mut out);
        off.commit(newer.clone(), &mut disk, &mut out);
        assert_eq!((off.last_seen(), out.len()), (&old, 0));
        let mut on = Configs::new(ServerId(1), true, newer.clone(), Some(old.clone()));
        on.see(old, &mut disk, &mut out);
        assert_eq!((on.last_seen(), out.len()), (&newer, 0));
    }

    #[test]
    fn who_stays() {
        let old = config("server.1=a:1:2 server.2=b:1:2 server.3=c:1:2");
        let new = config("server.1=a:1:9 server.2=b:7:2 server.3=c:1:2:observer server.4=d:1:2");
        let expected = [(1, true), (2, false), (3, false), (4, false)];
        for (id, stay) in expected {
            assert_eq!(stays(ServerId(id), &old, &new), stay, "{id}");
        }
    }
}
