//! Whole elections over a network that loses, delays and reorders, from a seed.

use super::*;

/// The network loses messages until then; afterwards everybody has to find together.
const FAULTS_END: u64 = 15_000;
const END: u64 = 200_000;
/// Who has no leader that leads, or no quorum that follows, gives up after this long.
const PATIENCE: u64 = 2_000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

struct Member {
    election: Election,
    candidacy: Candidacy,
    status: Status,
    since: u64,
}

struct Cluster {
    random: Random,
    now: u64,
    members: BTreeMap<i64, Member>,
    voters: i64,
    /// By time of arrival and a number that keeps them apart.
    flying: BTreeMap<(u64, u64), (i64, i64, Notification)>,
    sent: u64,
}

impl Cluster {
    fn new(seed: u64, voters: i64, observers: i64) -> Cluster {
        let mut random = Random(seed);
        let mut text = "version=0\n".to_owned();
        for id in 1..=voters + observers {
            let role = if id > voters {
                "observer"
            } else {
                "participant"
            };
            text += &format!("server.{id}=h:1:2:{role}\n");
        }
        let membership: Membership = text.parse().unwrap();
        let mut members = BTreeMap::new();
        for id in 1..=voters + observers {
            let candidacy = candidacy(random.below(2) as i64, random.below(4) as i64);
            let election = Election::new(settings(id), candidacy, &membership, None);
            let since = random.below(3000);
            members.insert(
                id,
                Member {
                    election,
                    candidacy,
                    status: Status::Looking,
                    since,
                },
            );
        }
        let flying = BTreeMap::new();
        Cluster {
            random,
            now: 0,
            members,
            voters,
            flying,
            sent: 0,
        }
    }

    /// Until everybody has the same leader; gives back which.
    fn run(&mut self) -> i64 {
        let starts: BTreeMap<u64, i64> = self
            .members
            .iter()
            .map(|(id, member)| (member.since * 10 + *id as u64, *id))
            .collect();
        for (at, id) in starts {
            self.run_until(at / 10);
            self.look(id);
        }
        loop {
            self.run_until(self.now + PATIENCE);
            if self.now > FAULTS_END
                && let Some(leader) = self.settled()
            {
                return leader;
            }
            assert!(self.now < END, "no leader that all follow");
            self.give_up();
        }
    }

    fn run_until(&mut self, end: u64) {
        loop {
            let arrival = self.flying.keys().next().copied();
            let timers = self.members.iter();
            let timer = timers
                .filter_map(|(id, member)| Some((member.election.deadline()?.0, *id)))
                .min();
            let (arrives, rings) = (
                arrival.map_or(u64::MAX, |key| key.0),
                timer.map_or(u64::MAX, |key| key.0),
            );
            if arrives.min(rings) > end {
                self.now = end;
                return;
            }
            let mut out = Vec::new();
            let (id, outcome) = if arrives <= rings {
                self.now = arrives;
                let (from, to, notification) = self.flying.remove(&arrival.unwrap()).unwrap();
                let election = &mut self.members.get_mut(&to).unwrap().election;
                (
                    to,
                    election.on_notification(
                        Timestamp(self.now),
                        ServerId(from),
                        &notification,
                        &mut out,
                    ),
                )
            } else {
                self.now = rings;
                let id = timer.unwrap().1;
                let election = &mut self.members.get_mut(&id).unwrap().election;
                (id, election.on_time(Timestamp(self.now), &mut out))
            };
            self.send(id, out);
            if let Some(outcome) = outcome {
                let Outcome::Decided(status) = outcome else {
                    panic!("{outcome:?}")
                };
                let member = self.members.get_mut(&id).unwrap();
                (member.status, member.since) = (status, self.now);
                self.check_choice(status, id);
            }
        }
    }

    /// Whoever is chosen is at least as good as a quorum, or it would take transactions back that a quorum has.
    fn check_choice(&self, status: Status, id: i64) {
        let chosen = match status {
            Status::Following(leader) | Status::Observing(leader) => leader.0,
            _ => id,
        };
        let key = |id: i64| {
            let candidacy = self.members[&id].candidacy;
            (candidacy.current_epoch, candidacy.zxid)
        };
        let not_better = (1..=self.voters)
            .filter(|voter| key(*voter) <= key(chosen))
            .count() as i64;
        assert!(not_better > self.voters / 2, "{chosen} is worse than most");
    }

    fn send(&mut self, from: i64, out: Vec<Output>) {
        for output in out {
            let Output::Notify(to, notification) = output else {
                panic!("{output:?}")
            };
            let is_lost = self.now < FAULTS_END && self.random.below(100) < 35;
            if !is_lost && self.members.contains_key(&to.0) {
                let arrives = self.now + 1 + self.random.below(400);
                self.sent += 1;
                self.flying
                    .insert((arrives, self.sent), (from, to.0, notification));
            }
        }
    }

    fn look(&mut self, id: i64) {
        let mut out = Vec::new();
        let member = self.members.get_mut(&id).unwrap();
        member.status = Status::Looking;
        member
            .election
            .look(Timestamp(self.now), member.candidacy, None, &mut out);
        self.send(id, out);
    }

    fn followers(&self, leader: i64) -> i64 {
        let following = Status::Following(ServerId(leader));
        self.members
            .values()
            .filter(|member| member.status == following)
            .count() as i64
    }

    /// As a leader that gets no quorum together, or a follower that cannot connect.
    fn give_up(&mut self) {
        let ids: Vec<i64> = self.members.keys().copied().collect();
        for id in ids {
            let member = &self.members[&id];
            let (status, is_patient) = (member.status, self.now < member.since + PATIENCE);
            let is_fine = match status {
                Status::Looking => true,
                Status::Leading => self.followers(id) + 1 > self.voters / 2,
                Status::Following(leader) | Status::Observing(leader) => {
                    self.members[&leader.0].status == Status::Leading
                }
            };
            if !is_fine && !is_patient {
                self.look(id);
            }
        }
    }

    fn settled(&self) -> Option<i64> {
        let mut leaders = self
            .members
            .iter()
            .filter(|(_, member)| member.status == Status::Leading);
        let (leader, _) = leaders.next()?;
        let all_agree = self.members.iter().all(|(id, member)| match member.status {
            Status::Leading => id == leader,
            Status::Following(of) => of.0 == *leader && *id <= self.voters,
            Status::Observing(of) => of.0 == *leader && *id > self.voters,
            Status::Looking => false,
        });
        all_agree.then_some(*leader)
    }
}

#[test]
fn every_election_ends_with_one_leader() {
    for seed in 0..300 {
        for (voters, observers) in [(3, 0), (5, 0), (3, 2)] {
            let leader = Cluster::new(seed, voters, observers).run();
            assert!((1..=voters).contains(&leader), "seed {seed}");
        }
    }
}

#[test]
fn a_seed_replays_an_election() {
    let run = |seed| {
        let mut cluster = Cluster::new(seed, 5, 1);
        (cluster.run(), cluster.now, cluster.sent)
    };
    assert_eq!(run(7), run(7));
    assert_ne!((1..9).map(run).collect::<Vec<_>>(), vec![run(1); 8]);
}
