//! When enough voters agree, and how far enough of them have come.
//!
//! A small pure part: no message, no time. Answers to `QuorumMaj`, `QuorumHierarchical` and the ack sets of
//! `SyncedLearnerTracker`.

use std::collections::BTreeMap;

use crate::ids::ServerId;
use crate::membership::Membership;

/// Who votes and how the votes count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// In order.
    voters: Vec<ServerId>,
    groups: Groups,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Groups {
    /// More than half of the voters.
    None,
    /// More than half of the weight in more than half of the groups that have any. Only voters are listed, but the
    /// weight of a group is that of everybody in it.
    Weighted(Vec<Group>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    voters: Vec<(ServerId, i64)>,
    weight: i128,
}

/// Whether those for which `agrees` holds are enough of these members.
pub fn is_quorum(membership: &Membership, agrees: &dyn Fn(ServerId) -> bool) -> bool {
    Quorum::new(membership).met(agrees)
}

impl Quorum {
    pub fn new(membership: &Membership) -> Quorum {
        let voters: Vec<ServerId> = membership.voters().map(|voter| voter.id).collect();
        let groups = match membership.is_hierarchical() {
            true => Groups::Weighted(groups(membership)),
            false => Groups::None,
        };
        Quorum { voters, groups }
    }

    pub fn voters(&self) -> &[ServerId] {
        &self.voters
    }

    pub fn is_voter(&self, id: ServerId) -> bool {
        self.voters.binary_search(&id).is_ok()
    }

    /// Whether this server can lead: one without weight never wins a vote. Whoever is unknown has none where weights are
    /// counted, and 1 where they are not.
    pub fn has_weight(&self, id: ServerId) -> bool {
        match &self.groups {
            Groups::None => true,
            Groups::Weighted(groups) => groups
                .iter()
                .flat_map(|group| &group.voters)
                .any(|(voter, weight)| *voter == id && *weight > 0),
        }
    }

    /// Whether the voters for which `agrees` holds are enough.
    pub fn met(&self, agrees: impl Fn(ServerId) -> bool) -> bool {
        self.horizon(agrees) == Some(true)
    }

    /// The highest value that enough voters have reached; `None` without voters.
    pub fn horizon<T: Ord + Copy>(&self, reached: impl Fn(ServerId) -> T) -> Option<T> {
        let highest_first = |values: &mut Vec<T>| values.sort_unstable_by(|a, b| b.cmp(a));
        let mut values: Vec<T> = match &self.groups {
            Groups::None => self.voters.iter().map(|id| reached(*id)).collect(),
            Groups::Weighted(groups) => {
                let mut of_groups = Vec::with_capacity(groups.len());
                for group in groups {
                    // A group whose voters cannot reach more than half of its weight is never won, so neither is a
                    // quorum that would need it: it counts, with nothing reached.
                    of_groups.push(group.horizon(&reached));
                }
                return enough_groups(of_groups);
            }
        };
        highest_first(&mut values);
        values.get(values.len() / 2).copied()
    }
}

/// `None` is below every value.
fn enough_groups<T: Ord + Copy>(mut of_groups: Vec<Option<T>>) -> Option<T> {
    of_groups.sort_unstable_by(|a, b| b.cmp(a));
    of_groups.get(of_groups.len() / 2).copied().flatten()
}

impl Group {
    fn horizon<T: Ord + Copy>(&self, reached: impl Fn(ServerId) -> T) -> Option<T> {
        let weighed = self.voters.iter();
        let mut weighed: Vec<(T, i64)> = weighed
            .map(|(id, weight)| (reached(*id), *weight))
            .collect();
        weighed.sort_unstable_by(|a, b| b.cmp(a));
        let mut weight = 0;
        let enough = weighed.iter().find(|(_, of_voter)| {
            weight += i128::from(*of_voter);
            weight > self.weight / 2
        });
        enough.map(|(value, _)| *value)
    }
}

fn groups(membership: &Membership) -> Vec<Group> {
    let weights = membership.effective_weights();
    let mut groups: BTreeMap<i64, Group> = BTreeMap::new();
    for (id, number) in membership.group_of() {
        let weight = weights.get(&id).copied().unwrap_or(0).max(0);
        let group = groups.entry(number).or_insert(Group {
            voters: Vec::new(),
            weight: 0,
        });
        group.weight += i128::from(weight);
        if membership.is_voter(id) {
            group.voters.push((id, weight));
        }
    }
    groups
        .into_values()
        .filter(|group| group.weight > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn membership(voters: &[i64], rest: &str) -> Membership {
        let mut text = rest.to_owned();
        for id in voters {
            text += &format!("\nserver.{id}=h:1:2");
        }
        text.parse().unwrap()
    }

    /// The original's rule, word for word and slow.
    fn twin_met(membership: &Membership, set: &BTreeSet<ServerId>) -> bool {
        if !membership.is_hierarchical() {
            return set.len() > membership.voters().count() / 2;
        }
        let weights = membership.effective_weights();
        let weight_of = |ids: &mut dyn Iterator<Item = &ServerId>| -> i64 {
            ids.map(|id| weights.get(id).copied().unwrap_or(0)).sum()
        };
        let (mut won, mut counted) = (0, 0);
        for servers in membership.groups.values() {
            let total = weight_of(&mut servers.iter());
            let mine = weight_of(&mut servers.iter().filter(|id| set.contains(id)));
            counted += usize::from(total != 0);
            won += usize::from(mine > total / 2);
        }
        won > counted / 2
    }

    fn memberships() -> impl Strategy<Value = Membership> {
        let server = (0..4_u8, 0..4_i64, 0..4_i64);
        (prop::collection::vec(server, 1..8), any::<bool>()).prop_map(|(servers, hierarchical)| {
            let mut text = String::new();
            let mut groups: BTreeMap<i64, Vec<String>> = BTreeMap::new();
            for (id, (role, group, weight)) in servers.into_iter().enumerate() {
                // The first votes; of the others one in four observes.
                let role = if id > 0 && role == 0 {
                    "observer"
                } else {
                    "participant"
                };
                text += &format!("server.{id}=h:1:2:{role}\n");
                if hierarchical {
                    text += &format!("weight.{id}={weight}\n");
                    groups.entry(group).or_default().push(id.to_string());
                }
            }
            for (group, ids) in groups {
                text += &format!("group.{group}={}\n", ids.join(":"));
            }
            text.parse().unwrap()
        })
    }

    proptest! {
        #[test]
        fn met_is_what_the_original_says(membership in memberships(), mask: u8) {
            let quorum = Quorum::new(&membership);
            let agreeing = quorum.voters().iter().filter(|id| mask & (1 << id.0) != 0);
            let agreeing: BTreeSet<ServerId> = agreeing.copied().collect();
            prop_assert_eq!(quorum.met(|id| agreeing.contains(&id)), twin_met(&membership, &agreeing));
        }

        #[test]
        fn the_horizon_is_the_highest_value_with_a_quorum(membership in memberships(), reached in prop::array::uniform8(0..6_i64)) {
            let quorum = Quorum::new(&membership);
            let reached = |id: ServerId| reached[id.0 as usize];
            let at_least = |value| {
                let ids = quorum.voters().iter().filter(|id| reached(**id) >= value);
                ids.copied().collect::<BTreeSet<ServerId>>()
            };
            let expected = (0..6).rev().find(|value| twin_met(&membership, &at_least(*value)));
            prop_assert_eq!(quorum.horizon(reached), expected);
        }
    }

    #[test]
    fn majorities() {
        for (voters, enough) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
            let ids: Vec<i64> = (1..=voters).collect();
            let quorum = Quorum::new(&membership(&ids, ""));
            for size in 0..=voters {
                assert_eq!(
                    quorum.met(|id| id.0 <= size),
                    size >= enough,
                    "{size} of {voters}"
                );
            }
        }
    }

    #[test]
    fn observers_and_strangers_do_not_count() {
        let quorum = Quorum::new(&membership(&[1, 2, 3], "server.4=h:1:2:observer"));
        assert!(!quorum.met(|id| id.0 == 1 || id.0 > 3));
        assert!(quorum.is_voter(ServerId(3)) && !quorum.is_voter(ServerId(4)));
        assert_eq!(quorum.horizon(|id| id.0 * 10), Some(20));
    }

    #[test]
    fn nobody_is_no_quorum() {
        let quorum = Quorum::new(&Membership::default());
        assert!(!quorum.met(|_| true));
        assert_eq!(quorum.horizon(|_| 7), None);
        let weightless = membership(&[1], "group.1=1\nweight.1=0");
        assert!(!Quorum::new(&weightless).met(|_| true));
    }

    #[test]
    fn three_data_centres_survive_one() {
        let text = "group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7:8:9";
        let quorum = Quorum::new(&membership(&[1, 2, 3, 4, 5, 6, 7, 8, 9], text));
        assert!(quorum.met(|id| [1, 2, 4, 5].contains(&id.0)));
        assert!(!quorum.met(|id| [1, 2, 3, 4, 7].contains(&id.0)));
        assert!(quorum.has_weight(ServerId(9)) && !quorum.has_weight(ServerId(10)));
    }

    #[test]
    fn no_weight_no_leadership() {
        let text = "group.1=1:2:3\nweight.3=0";
        let quorum = Quorum::new(&membership(&[1, 2, 3], text));
        assert!(quorum.has_weight(ServerId(1)) && !quorum.has_weight(ServerId(3)));
        assert!(
            !quorum.met(|id| id.0 != 1),
            "3 of 3 servers would do without weights"
        );
        assert!(quorum.met(|id| id.0 != 3));
    }

    #[test]
    fn weights_do_not_overflow() {
        let text = format!("group.1=1:2\nweight.1={0}\nweight.2={0}", i64::MAX);
        let quorum = Quorum::new(&membership(&[1, 2], &text));
        assert!(quorum.met(|_| true) && !quorum.met(|id| id.0 == 1));
    }
}
