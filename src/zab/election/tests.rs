#![allow(clippy::unwrap_used)]

mod cluster;

use super::*;

const MIN: u64 = 200;
const MAX: u64 = 60_000;
const WAIT: u64 = 200;
const NOW: Timestamp = Timestamp(1000);

fn three() -> Membership {
    "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2:observer\nversion=100000000"
        .parse()
        .unwrap()
}

fn settings(id: i64) -> ElectionSettings {
    ElectionSettings {
        id: ServerId(id),
        min_notification_ms: MIN,
        max_notification_ms: MAX,
        finalize_wait_ms: WAIT,
        reconfig_enabled: true,
    }
}

fn candidacy(epoch: i64, zxid: i64) -> Candidacy {
    Candidacy {
        zxid: Zxid(zxid),
        current_epoch: Epoch(epoch),
    }
}

/// A server and what it said last.
struct Server {
    election: Election,
    out: Vec<Output>,
}

impl Server {
    /// Looking since `NOW`.
    fn looking(id: i64, candidacy: Candidacy) -> Server {
        let mut server = Server {
            election: Election::new(settings(id), candidacy, &three(), None),
            out: Vec::new(),
        };
        server.election.look(NOW, candidacy, None, &mut server.out);
        server
    }

    fn hears(&mut self, from: i64, notification: Notification) -> Option<Outcome> {
        self.hears_at(NOW, from, notification)
    }

    fn hears_at(&mut self, now: Timestamp, from: i64, n: Notification) -> Option<Outcome> {
        self.out.clear();
        self.election
            .on_notification(now, ServerId(from), &n, &mut self.out)
    }

    fn on_time(&mut self, now: Timestamp) -> Option<Outcome> {
        self.out.clear();
        self.election.on_time(now, &mut self.out)
    }

    /// To whom, in which state, leader, zxid, round, epoch.
    fn said(&self) -> Vec<(i64, PeerState, i64, i64, i64, i64)> {
        let said = |output: &Output| match output {
            Output::Notify(to, n) => (
                to.0,
                n.state,
                n.leader,
                n.zxid,
                n.election_epoch,
                n.peer_epoch,
            ),
            other => panic!("{other:?}"),
        };
        self.out.iter().map(said).collect()
    }
}

fn told(state: PeerState, leader: i64, zxid: i64, round: i64, epoch: i64) -> Notification {
    Notification {
        state,
        leader,
        zxid,
        election_epoch: round,
        peer_epoch: epoch,
        version: Notification::VERSION,
        config: Some(three().to_string().into()),
    }
}

use PeerState::{Following, Leading, Looking, Observing};

fn decided(status: Status) -> Option<Outcome> {
    Some(Outcome::Decided(status))
}

#[test]
fn an_election_begins_with_a_vote_for_oneself_to_every_other_voter() {
    let server = Server::looking(2, candidacy(1, 5));
    assert_eq!(
        server.said(),
        [(1, Looking, 2, 5, 1, 1), (3, Looking, 2, 5, 1, 1)]
    );
    assert_eq!(server.election.deadline(), Some(NOW.after(MIN)));
}

#[test]
fn voters_of_a_proposed_configuration_are_asked_too_and_have_to_agree() {
    let seen: Membership = "server.1=a:1:2\nserver.5=e:1:2\nserver.6=f:1:2\nversion=100000005"
        .parse()
        .unwrap();
    let mut election = Election::new(settings(1), candidacy(1, 5), &three(), Some(&seen));
    let mut out = Vec::new();
    election.look(NOW, candidacy(1, 5), None, &mut out);
    let mut server = Server { election, out };
    let asked: Vec<i64> = server.said().iter().map(|said| said.0).collect();
    assert_eq!(asked, [2, 3, 5, 6]);
    server.hears(2, told(Looking, 1, 5, 1, 1));
    assert_eq!(
        server.on_time(NOW.after(WAIT)),
        None,
        "a quorum of the committed one alone"
    );
    let later = NOW.after(WAIT);
    server.hears_at(later, 6, told(Looking, 1, 5, 1, 1));
    assert_eq!(server.on_time(later.after(WAIT)), decided(Status::Leading));
}

/// Seed 286 of the simulated operator: those who have seen a configuration that was never committed waited for one another.
#[test]
fn a_leader_is_joined_though_a_configuration_was_seen_that_it_does_not_know() {
    let seen: Membership = "server.1=a:1:2\nserver.5=e:1:2\nversion=100000005"
        .parse()
        .unwrap();
    let mut election = Election::new(settings(1), candidacy(1, 5), &three(), Some(&seen));
    let mut out = Vec::new();
    election.look(NOW, candidacy(1, 5), None, &mut out);
    let mut server = Server { election, out };
    server.hears(2, told(Following, 3, 4, 9, 2));
    assert_eq!(
        server.hears(3, told(Leading, 3, 4, 9, 2)),
        decided(Status::Following(ServerId(3)))
    );
}

/// Seed 508 of the simulated operator: the only voter crashed before the change that it proposed was on its disk, and needs
/// the one that joins, which has it.
#[test]
fn who_has_no_candidate_votes_for_any_candidate() {
    let mut server = Server::looking(9, candidacy(3, 7));
    server.hears(1, told(Looking, 1, 5, 1, 3));
    assert_eq!(server.said()[0], (1, Looking, 1, 5, 1, 3));
    server.hears(2, told(Looking, 2, 4, 1, 3));
    assert_eq!(server.said(), [(2, Looking, 1, 5, 1, 3)]);
}

/// Seed 351: the only candidate never heard of the round that the others were in.
#[test]
fn who_has_no_candidate_takes_the_round_of_those_who_have_one() {
    let mut server = Server::looking(9, candidacy(3, 7));
    server.election.begin_anew();
    for _ in 0..3 {
        server
            .election
            .look(NOW, candidacy(3, 7), None, &mut server.out);
    }
    server.hears(1, told(Looking, 1, 5, 1, 3));
    assert_eq!(server.said()[0], (1, Looking, 1, 5, 1, 3));
    server.hears(2, told(Looking, 2, 5, 4, 3));
    assert_eq!(server.said()[0], (1, Looking, 2, 5, 4, 3));
    server.hears(1, told(Looking, 1, 5, 1, 3));
    assert_eq!(server.said(), [], "it has a candidate now");
}

#[test]
fn a_better_vote_is_adopted_and_told_and_a_worse_one_answered_once() {
    let mut server = Server::looking(2, candidacy(1, 5));
    assert_eq!(server.hears(1, told(Looking, 1, 4, 1, 1)), None);
    assert_eq!(server.said(), [(1, Looking, 2, 5, 1, 1)]);
    assert_eq!(server.hears(1, told(Looking, 1, 4, 1, 1)), None);
    assert_eq!(server.said(), []);
    server.hears(1, told(Looking, 1, 6, 1, 1));
    assert_eq!(
        server.said(),
        [(1, Looking, 1, 6, 1, 1), (3, Looking, 1, 6, 1, 1)]
    );
    server.hears(3, told(Looking, 3, 0, 1, 2));
    assert_eq!(
        server.said(),
        [(1, Looking, 3, 0, 1, 2), (3, Looking, 3, 0, 1, 2)]
    );
}

/// Seed 1026419 of the simulated operator: a leader cut the end of the log away, and those who had not heard of it
/// still voted for it.
#[test]
fn a_vote_for_what_this_server_has_no_longer_ends_the_round() {
    let mut server = Server::looking(2, candidacy(1, 5));
    assert_eq!(server.hears(1, told(Looking, 2, 9, 1, 1)), None);
    assert_eq!(
        server.said(),
        [(1, Looking, 2, 5, 2, 1), (3, Looking, 2, 5, 2, 1)]
    );
    server.hears(1, told(Looking, 2, 9, 4, 1));
    assert_eq!(server.said()[0], (1, Looking, 2, 5, 5, 1), "a later round");
    server.hears(1, told(Looking, 2, 5, 5, 1));
    assert_eq!(server.on_time(NOW.after(WAIT)), decided(Status::Leading));
    assert_eq!(server.election.vote().zxid, Zxid(5));
}

#[test]
fn a_vote_for_what_this_server_has_no_longer_loses_against_a_better_one() {
    let mut server = Server::looking(2, candidacy(1, 5));
    server.hears(3, told(Looking, 3, 0, 1, 2));
    server.hears(1, told(Looking, 2, 9, 1, 1));
    assert_eq!(server.said(), [(1, Looking, 3, 0, 1, 2)]);
}

#[test]
fn enough_equal_votes_win_after_a_silence() {
    let mut server = Server::looking(3, candidacy(1, 5));
    assert_eq!(server.hears(1, told(Looking, 3, 5, 1, 1)), None);
    assert_eq!(server.election.deadline(), Some(NOW.after(WAIT)));
    assert_eq!(server.on_time(NOW.after(WAIT - 1)), None);
    assert_eq!(server.on_time(NOW.after(WAIT)), decided(Status::Leading));
    assert_eq!(server.election.deadline(), None);
    let vote = server.election.vote();
    assert_eq!(
        (vote.leader, vote.zxid, vote.round, vote.peer_epoch),
        (ServerId(3), Zxid(5), 1, Epoch(1))
    );
}

#[test]
fn when_everybody_agrees_nothing_is_waited_for() {
    let mut server = Server::looking(3, candidacy(1, 5));
    server.hears(1, told(Looking, 3, 5, 1, 1));
    // A worse vote meanwhile is told better.
    server.hears(2, told(Looking, 2, 5, 1, 1));
    assert_eq!(server.said(), [(2, Looking, 3, 5, 1, 1)]);
    assert_eq!(server.election.deadline(), Some(NOW.after(WAIT)));
    server.hears(2, told(Looking, 3, 5, 1, 1));
    assert_eq!(server.on_time(NOW), decided(Status::Leading));
}

#[test]
fn nobody_waits_for_the_vote_of_a_leader_that_was_lost() {
    let lost = Some(ServerId(3));
    let mut server = Server::looking(2, candidacy(1, 5));
    server
        .election
        .look(NOW, candidacy(1, 5), lost, &mut Vec::new());
    server.hears(1, told(Looking, 2, 5, 2, 1));
    assert_eq!(server.on_time(NOW), decided(Status::Leading));

    // If it lives, what it says counts.
    let mut server = Server::looking(2, candidacy(1, 5));
    server
        .election
        .look(NOW, candidacy(1, 5), lost, &mut Vec::new());
    server.hears(3, told(Looking, 3, 6, 2, 1));
    assert_eq!(server.on_time(NOW), None);
    server.hears(1, told(Looking, 3, 6, 2, 1));
    assert_eq!(server.on_time(NOW), decided(Status::Following(ServerId(3))));
}

#[test]
fn who_lost_another_leader_than_the_one_that_is_missing_waits_for_it() {
    let mut server = Server::looking(2, candidacy(1, 5));
    let lost = Some(ServerId(1));
    server
        .election
        .look(NOW, candidacy(1, 5), lost, &mut Vec::new());
    server.hears(1, told(Looking, 2, 5, 2, 1));
    assert_eq!(server.on_time(NOW), None);
    assert_eq!(server.on_time(NOW.after(WAIT)), decided(Status::Leading));
}

#[test]
fn a_better_vote_during_the_silence_continues_the_election() {
    let mut server = Server::looking(2, candidacy(1, 5));
    server.hears(1, told(Looking, 2, 5, 1, 1));
    let later = NOW.after(100);
    server.hears_at(later, 3, told(Looking, 3, 5, 1, 1));
    assert_eq!(
        server.said(),
        [(1, Looking, 3, 5, 1, 1), (3, Looking, 3, 5, 1, 1)]
    );
    // Its sender and I agree, so that is the next silence.
    assert_eq!(server.on_time(NOW.after(WAIT)), None);
    assert_eq!(
        server.on_time(later.after(WAIT)),
        decided(Status::Following(ServerId(3)))
    );
}

#[test]
fn other_messages_prolong_the_silence() {
    let mut server = Server::looking(3, candidacy(1, 5));
    server.hears(1, told(Looking, 3, 5, 1, 1));
    server.hears_at(NOW.after(150), 2, told(Looking, 2, 5, 1, 1));
    assert_eq!(server.on_time(NOW.after(WAIT)), None);
    assert_eq!(
        server.on_time(NOW.after(150 + WAIT)),
        decided(Status::Leading)
    );
}

#[test]
fn one_voter_is_enough_for_itself() {
    let alone: Membership = "server.7=a:1:2\nversion=0".parse().unwrap();
    let mut election = Election::new(settings(7), candidacy(1, 5), &alone, None);
    let mut out = Vec::new();
    election.look(NOW, candidacy(1, 5), None, &mut out);
    assert!(out.is_empty());
    assert_eq!(election.on_time(NOW, &mut out), decided(Status::Leading));
}

#[test]
fn a_higher_round_starts_the_count_anew_with_the_better_of_both_votes() {
    let mut server = Server::looking(2, candidacy(1, 5));
    server.hears(3, told(Looking, 3, 5, 4, 1));
    assert_eq!(
        server.said(),
        [(1, Looking, 3, 5, 4, 1), (3, Looking, 3, 5, 4, 1)]
    );
    let mut server = Server::looking(2, candidacy(1, 5));
    server.hears(1, told(Looking, 1, 4, 4, 1));
    assert_eq!(
        server.said(),
        [(1, Looking, 2, 5, 4, 1), (3, Looking, 2, 5, 4, 1)]
    );
    // Votes of the round before are forgotten: 1 alone supports nobody now.
    server.hears(3, told(Looking, 2, 5, 1, 1));
    assert_eq!(server.on_time(NOW.after(WAIT)), None);
}

#[test]
fn a_lower_round_is_answered_and_does_not_count() {
    let mut server = Server::looking(2, candidacy(1, 5));
    server.hears(3, told(Looking, 2, 5, 4, 1));
    let settled = server.election.deadline();
    server.hears(1, told(Looking, 1, 9, 3, 1));
    assert_eq!(server.said(), [(1, Looking, 2, 5, 4, 1)]);
    assert_eq!(server.election.deadline(), settled);
    assert_eq!(server.on_time(NOW.after(WAIT)), decided(Status::Leading));
}

#[test]
fn the_proposal_is_repeated_less_and_less_often() {
    let mut server = Server::looking(2, candidacy(1, 5));
    let mut at = NOW;
    for wait in [
        200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000,
    ] {
        assert_eq!(server.on_time(at.after(wait - 1)), None);
        assert_eq!(server.said(), []);
        at = at.after(wait);
        server.on_time(at);
        assert_eq!(
            server.said(),
            [(1, Looking, 2, 5, 1, 1), (3, Looking, 2, 5, 1, 1)],
            "{wait}"
        );
    }
}

#[test]
fn votes_that_may_have_lost_data_neither_count_nor_win() {
    let mut server = Server::looking(2, candidacy(1, 5));
    server.hears(3, told(Looking, 3, -1, 7, 9));
    assert_eq!(server.said(), []);
    assert_eq!(server.election.clock, 1);
    server.hears(1, told(Looking, 2, 5, 1, 1));
    assert_eq!(server.on_time(NOW.after(WAIT)), decided(Status::Leading));

    let mut lost = Server::looking(2, candidacy(1, -1));
    lost.hears(1, told(Looking, 3, 5, 1, 1));
    lost.hears(3, told(Looking, 3, 5, 1, 1));
    assert_eq!(lost.on_time(NOW.after(WAIT)), None);
    // It joins those who have a leader.
    lost.hears(1, told(Following, 3, 5, 1, 2));
    assert_eq!(
        lost.hears(3, told(Leading, 3, 5, 1, 2)),
        decided(Status::Following(ServerId(3)))
    );
}

#[test]
fn strangers_and_votes_for_strangers_do_not_count() {
    let mut server = Server::looking(2, candidacy(1, 5));
    assert_eq!(server.hears(1, told(Looking, 4, 9, 1, 9)), None);
    assert_eq!(
        server.hears(1, told(Looking, i64::MIN, i64::MIN, 1, i64::MIN)),
        None
    );
    assert_eq!(server.said(), []);
    server.hears(4, told(Looking, 2, 5, 1, 1));
    assert_eq!(server.on_time(NOW.after(WAIT - 1)), None);
    assert_eq!(server.election.deadline(), Some(NOW.after(MIN)));
}

#[test]
fn a_leader_is_joined_when_it_says_so_and_enough_follow_it() {
    let mut server = Server::looking(1, candidacy(1, 5));
    assert_eq!(server.hears(2, told(Following, 3, 4, 9, 2)), None);
    assert_eq!(
        server.hears(3, told(Leading, 3, 7, 8, 2)),
        decided(Status::Following(ServerId(3)))
    );
    assert_eq!(server.election.clock, 8);

    let mut server = Server::looking(1, candidacy(1, 5));
    server.hears(3, told(Following, 2, 4, 9, 2));
    // Two follow a server that does not lead.
    assert_eq!(server.hears(2, told(Following, 2, 4, 9, 2)), None);
}

#[test]
fn out_of_election_the_epochs_of_votes_have_to_agree() {
    let mut server = Server::looking(1, candidacy(1, 5));
    server.hears(2, told(Following, 3, 4, 9, 1));
    assert_eq!(server.hears(3, told(Leading, 3, 4, 9, 2)), None);
    // Not those of servers that know no versions.
    let mut server = Server::looking(1, candidacy(1, 5));
    let old = Notification {
        version: 0,
        config: None,
        ..told(Following, 3, 4, 9, 1)
    };
    server.hears(2, old);
    assert_eq!(
        server.hears(3, told(Leading, 3, 4, 9, 2)),
        decided(Status::Following(ServerId(3)))
    );
}

#[test]
fn in_the_same_round_the_leader_is_enough() {
    let mut server = Server::looking(1, candidacy(1, 5));
    server.hears(2, told(Following, 3, 4, 1, 1));
    assert_eq!(
        server.hears(3, told(Leading, 3, 4, 1, 2)),
        decided(Status::Following(ServerId(3)))
    );
}

#[test]
fn who_is_followed_leads_only_in_an_election_of_its_own() {
    let follows_me = |round| told(Following, 1, 5, round, 1);
    let mut server = Server::looking(1, candidacy(1, 5));
    server.hears(2, follows_me(3));
    assert_eq!(
        server.hears(3, follows_me(3)),
        None,
        "from before a restart"
    );
    let mut server = Server::looking(1, candidacy(1, 5));
    assert_eq!(server.hears(2, follows_me(1)), decided(Status::Leading));
}

#[test]
fn observing_servers_say_nothing_about_a_leader() {
    let mut server = Server::looking(1, candidacy(1, 5));
    server.hears(3, told(Observing, 2, 5, 1, 1));
    assert_eq!(server.hears(2, told(Leading, 2, 5, 1, 1)), None);
}

#[test]
fn those_who_have_a_leader_answer_those_who_look() {
    let mut server = Server::looking(2, candidacy(1, 5));
    server.hears(3, told(Looking, 3, 5, 1, 1));
    assert_eq!(
        server.on_time(NOW.after(WAIT)),
        decided(Status::Following(ServerId(3)))
    );
    server.hears(1, told(Looking, 1, 9, 7, 1));
    assert_eq!(server.said(), [(1, Following, 3, 5, 1, 1)]);
    server.election.joined(Epoch(2));
    server.hears(1, told(Looking, 1, 9, 7, 1));
    assert_eq!(server.said(), [(1, Following, 3, 5, 1, 2)]);
    for state in [Following, Leading, Observing] {
        server.hears(1, told(state, 3, 5, 1, 1));
        assert_eq!(server.said(), [], "{state:?} needs no answer");
    }
}

#[test]
fn who_has_no_vote_is_always_answered_with_the_clock() {
    let mut server = Server::looking(2, candidacy(1, 5));
    server.hears(3, told(Looking, 2, 5, 6, 1));
    server.hears(4, told(Looking, i64::MIN, i64::MIN, 1, i64::MIN));
    // Of the last election that ended, here none.
    assert_eq!(server.said(), [(4, Looking, 2, 5, 6, 1)]);
    server.on_time(NOW.after(WAIT));
    server.hears(9, told(Following, 2, 5, 1, 1));
    assert_eq!(server.said(), [(9, Leading, 2, 5, 6, 1)]);
    server.election.pause();
    server.hears(9, told(Looking, 9, 5, 1, 1));
    assert_eq!(server.said(), [(9, Looking, 2, 5, 6, 1)]);
}

#[test]
fn observers_propose_nobody_and_join() {
    let mut server = Server::looking(4, candidacy(1, 5));
    let nobody = |to| (to, Looking, i64::MIN, i64::MIN, 1, i64::MIN);
    assert_eq!(server.said(), [nobody(1), nobody(2), nobody(3)]);
    server.hears(1, told(Following, 2, 5, 3, 1));
    assert_eq!(
        server.hears(2, told(Leading, 2, 5, 3, 1)),
        decided(Status::Observing(ServerId(2)))
    );
    server.hears(1, told(Looking, 1, 5, 9, 1));
    assert_eq!(server.said(), [(1, Observing, 2, 5, 3, 1)]);
}

#[test]
fn a_joiner_has_a_history_but_no_candidate() {
    let mut server = Server::looking(9, candidacy(3, 5));
    assert_eq!(server.said()[0], (1, Looking, i64::MIN, 5, 1, 3));
    server.hears(1, told(Following, 2, 5, 3, 1));
    assert_eq!(
        server.hears(2, told(Leading, 2, 5, 3, 1)),
        decided(Status::Following(ServerId(2)))
    );
}

#[test]
fn weightless_servers_never_win() {
    let weighted: Membership = format!("{}\ngroup.1=1:2:3\nweight.3=0", three())
        .parse()
        .unwrap();
    let mut election = Election::new(settings(1), candidacy(1, 5), &weighted, None);
    election.look(NOW, candidacy(1, 5), None, &mut Vec::new());
    let mut server = Server {
        election,
        out: Vec::new(),
    };
    server.hears(3, told(Looking, 3, 9, 1, 9));
    assert_eq!(server.said(), [(3, Looking, 1, 5, 1, 1)]);
    server.hears(2, told(Looking, 2, 5, 1, 1));
    assert_eq!(server.said().len(), 2);
}

#[test]
fn a_newer_configuration_is_handed_up_while_looking() {
    let newer: Membership = three()
        .to_string()
        .replace("version=1", "version=2")
        .parse()
        .unwrap();
    let mut with_config = told(Looking, 3, 5, 1, 1);
    with_config.config = Some(newer.to_string().into());
    let mut server = Server::looking(2, candidacy(1, 5));
    let outcome = server.hears(3, with_config.clone());
    assert_eq!(outcome, Some(Outcome::NewerConfig(newer.clone())));
    assert_eq!(server.said(), [], "nothing else was done");
    server.election.set_configs(&newer, None);
    assert_eq!(server.hears(3, with_config.clone()), None);
    assert_eq!(server.said().len(), 2);

    let mut settled = Server::looking(2, candidacy(1, 5));
    settled.hears(3, told(Looking, 3, 5, 1, 1));
    settled.on_time(NOW.after(WAIT));
    assert_eq!(settled.hears(3, with_config.clone()), None);

    let fixed = ElectionSettings {
        reconfig_enabled: false,
        ..settings(2)
    };
    let mut election = Election::new(fixed, candidacy(1, 5), &three(), None);
    election.look(NOW, candidacy(1, 5), None, &mut Vec::new());
    assert_eq!(
        election.on_notification(NOW, ServerId(3), &with_config, &mut Vec::new()),
        None
    );
}

#[test]
fn a_configuration_that_cannot_be_read_does_not_spoil_the_vote() {
    let mut server = Server::looking(2, candidacy(1, 5));
    let mut odd = told(Looking, 3, 5, 1, 1);
    odd.config = Some("server.1=a:b:c;;;;\nversion=ffffffff".into());
    assert_eq!(server.hears(3, odd), None);
    assert_eq!(server.said().len(), 2);
}
