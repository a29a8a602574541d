//! Configurations: a version is one set of members, everywhere; and who acknowledges a transaction that changes them
//! has the new ones on its disk before.

use std::collections::{BTreeMap, BTreeSet};

use super::{Verdict, violated};
use crate::ids::{ServerId, Zxid};
use crate::membership::{Membership, Role};
use crate::proto::OpCode;
use crate::sim::disk::Stable;
use crate::sim::network::NodeIx;
use crate::sim::truth::Truth;
use crate::zab::quorum::Quorum;

const NAME: &str = "configs";

#[derive(Default)]
pub struct Configs {
    /// Those that were in force anywhere, by version.
    in_force: BTreeMap<i64, Membership>,
    /// Observers that an operator wrote into a file of that version.
    listed: BTreeSet<(i64, ServerId)>,
}

impl Configs {
    pub fn new(first: Membership) -> Configs {
        Configs {
            in_force: BTreeMap::from([(first.version, first)]),
            listed: BTreeSet::new(),
        }
    }

    /// An operator writes a server without a vote into its own file of this version. Others may take it over.
    pub fn listed(&mut self, version: i64, id: ServerId) {
        self.listed.insert((version, id));
    }

    fn without_listed(&self, config: &Membership) -> Membership {
        let mut config = config.clone();
        let version = config.version;
        config.servers.retain(|id, line| {
            line.role == Role::Participant || !self.listed.contains(&(version, *id))
        });
        config
    }

    /// In force at that server. Those without a number of their own are what operators wrote.
    pub fn configured(&mut self, node: NodeIx, config: &Membership) -> Verdict {
        if config.version == 0 {
            return Ok(());
        }
        let config = &self.without_listed(config);
        let known = self
            .in_force
            .entry(config.version)
            .or_insert_with(|| config.clone());
        match known.has_same_members(config) {
            true => Ok(()),
            false => violated(
                NAME,
                format!("server {node} has {config}, and elsewhere this version is {known}"),
            ),
        }
    }

    pub fn newest(&self) -> &Membership {
        let newest = self.in_force.last_key_value();
        newest.expect("there is a first one").1
    }

    /// Who has to have a transaction that is committed: a quorum of the members at that point; of a change, one of
    /// those before and one of those after it.
    pub fn of(&self, zxid: Zxid) -> impl Iterator<Item = Quorum> {
        let up_to = self.in_force.range(..=zxid.0).next_back();
        let before = self.in_force.range(..zxid.0).next_back();
        let first = self.in_force.first_key_value();
        let up_to = up_to.or(first).map(|(_, config)| config);
        let before = before.map(|(_, config)| config).filter(|_| {
            // Only of the change itself is the one before another one.
            self.in_force.contains_key(&zxid.0)
        });
        up_to.into_iter().chain(before).map(Quorum::new)
    }

    /// A follower acknowledges `zxid`.
    pub fn acknowledged(truth: &Truth, node: NodeIx, stable: &Stable, zxid: Zxid) -> Verdict {
        const TYPE_AT: std::ops::Range<usize> = 28..32;
        let is_change = truth
            .proposed
            .get(&zxid)
            .is_some_and(|p| p.bytes.get(TYPE_AT) == Some(&OpCode::RECONFIG.0.to_be_bytes()[..]));
        if !is_change {
            return Ok(());
        }
        let configs = [&stable.seen_config, &stable.committed_config];
        let newest = configs.iter().filter_map(|config| config.as_ref());
        match newest.map(|config| config.version).max() {
            Some(version) if version >= zxid.0 => Ok(()),
            newest => violated(
                NAME,
                format!(
                    "server {node} acknowledged the members of {zxid} with {newest:?} on its disk"
                ),
            ),
        }
    }

    pub fn is_voter(&self, id: ServerId) -> bool {
        self.newest().is_voter(id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(text: &str) -> Membership {
        text.replace(' ', "\n").parse().unwrap()
    }

    #[test]
    fn a_version_has_one_set_of_members() {
        let mut configs = Configs::new(config("server.1=a:1:2 server.2=b:1:2 server.3=c:1:2"));
        let next = config("server.1=a:1:2 server.2=b:1:2 version=5");
        configs.configured(0, &next).unwrap();
        configs.configured(1, &next).unwrap();
        let other = config("server.1=a:1:2 server.3=c:1:2 version=5");
        assert!(configs.configured(1, &other).is_err());
        let edited = config("server.1=a:1:2 server.2=b:1:2 server.3=c:1:2:observer version=5");
        assert!(configs.configured(2, &edited).is_err());
        configs.listed(5, crate::ids::ServerId(3));
        configs.configured(2, &edited).unwrap();
        assert!(configs.configured(1, &other).is_err(), "it has no vote");
    }

    #[test]
    fn a_change_needs_two_quorums_and_everything_else_one() {
        let mut configs = Configs::new(config("server.1=a:1:2 server.2=b:1:2 server.3=c:1:2"));
        let next = config("server.3=c:1:2 server.4=d:1:2 server.5=e:1:2 version=5");
        configs.configured(0, &next).unwrap();
        let met = |zxid, by: &[i64]| {
            configs
                .of(Zxid(zxid))
                .all(|quorum| quorum.met(|id| by.contains(&id.0)))
        };
        assert!(met(4, &[1, 2]) && !met(4, &[4, 5]));
        assert!(!met(5, &[1, 2]) && !met(5, &[4, 5]) && met(5, &[1, 3, 4]));
        assert!(met(6, &[4, 5]) && !met(6, &[1, 2]));
    }
}
