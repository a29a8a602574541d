#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const GOLDEN: &str = include_str!("../../compat-tests/golden/records/golden.txt");

fn parse(text: &str) -> Membership {
    text.parse().unwrap()
}

/// `membership INPUT OUTPUT` lines: text that the original read, and what it printed; `|` stands for a line's end.
#[test]
fn text_is_that_of_the_original() {
    let lines = GOLDEN
        .lines()
        .filter_map(|line| line.strip_prefix("membership "));
    let mut compared = 0;
    for line in lines {
        let (input, output) = line.split_once(' ').unwrap();
        let lines = |text: &str| text.replace('|', "\n");
        assert_eq!(parse(&lines(input)).to_string(), lines(output), "{input}");
        compared += 1;
    }
    assert!(compared >= 8, "only {compared} lines");
}

#[test]
fn order_and_blanks_do_not_matter() {
    let text = "version=1f\n# the second\n server.2 = b:1:2:observer \n\nserver.1:a:1:2;2181\n";
    let expected = "server.1=a:1:2:participant;0.0.0.0:2181\nserver.2=b:1:2:observer\nversion=1f";
    assert_eq!(parse(text).to_string(), expected);
    assert_eq!(parse(expected), parse(text));
    assert_eq!(parse(text).version, 0x1f);
    assert_eq!(parse("version=0"), Membership::default());
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        ("peerType=observer", "Unrecognised parameter: peerType."),
        ("servers.1=a:1:2", "Unrecognised parameter: servers.1."),
        ("server.x=a:1:2", "server.x: For input string: \"x\""),
        ("server.1=a", "server.1: a does not have the form"),
        ("version=xyz", "version: For input string: \"xyz\""),
        ("server.1=a:1:2:observer", "Observers w/o participants"),
        ("server.1=a:1:2\nweight.1=2", "Server 1 is not in a group"),
        (
            "server.1=a:1:2\ngroup.1=1\ngroup.2=1",
            "Server 1 is in multiple groups",
        ),
        (
            "server.1=a:1:2\ngroup.1=1:x",
            "group.1: For input string: \"x\"",
        ),
        (
            "server.1=a:1:2\ngroup.1=1\nweight.1=",
            "weight.1: For input string: \"\"",
        ),
    ];
    for (text, expected) in cases {
        let error = text.parse::<Membership>().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn equal_versions_agree_and_so_do_equal_members() {
    let base = parse("server.1=a:1:2;2181\nserver.2=b:1:2\nversion=5");
    let agrees = |text: &str| base.agrees_with(&parse(text));
    assert!(
        agrees("server.3=c:1:2\nversion=5"),
        "the version is the same"
    );
    assert!(agrees("server.2=b:1:2\nserver.1=a:1:2;2181\nversion=6"));
    for other in [
        "server.1=a:1:2;2181",
        "server.1=a:1:2;2181\nserver.3=b:1:2",
        "server.1=a:1:2;2181\nserver.2=b:1:3",
        "server.1=a:1:2;2181\nserver.2=b:1:2:observer",
        "server.1=a:1:2;2182\nserver.2=b:1:2",
        "server.1=a:1:2;2181\nserver.2=b:1:2\ngroup.1=1:2",
    ] {
        assert!(!agrees(other), "{other}");
    }
}

#[test]
fn groups_and_weights_are_members_business_too() {
    let servers = "server.1=a:1:2\nserver.2=b:1:2\nversion=1\n";
    let with = |rest: &str| parse(&format!("{servers}{rest}"));
    let mut base = with("group.1=1:2");
    base.version = 9;
    assert!(base.agrees_with(&with("group.1=2:1\nweight.1=1")));
    assert!(!base.agrees_with(&with("group.1=1:2\nweight.1=0")));
    assert!(!base.agrees_with(&with("group.1=1\ngroup.2=2")));
}

#[test]
fn several_addresses_are_sets() {
    let base = parse("server.1=a:1:2|b:3:4\nversion=1");
    assert!(base.has_same_members(&parse("server.1=b:3:4|a:1:2")));
    assert!(!base.has_same_members(&parse("server.1=a:1:2|b:3:5")));
    assert!(!base.has_same_members(&parse("server.1=a:1:2")));
}

#[test]
fn a_file_has_sorted_lines_and_no_version() {
    let membership = parse("server.2=b:1:2\nserver.10=c:1:2\ngroup.1=2:10\nversion=7");
    assert_eq!(
        membership.file_lines(),
        [
            "group.1=2:10",
            "server.10=c:1:2:participant",
            "server.2=b:1:2:participant",
            "weight.10=1",
            "weight.2=1"
        ]
    );
}

proptest! {
    #[test]
    fn nothing_panics(text in "((server|group|weight|version)[.=:]?[0-9a:;|. ]{0,12}\n){0,4}", other in ".{0,60}") {
        let _ = (text.parse::<Membership>(), other.parse::<Membership>());
    }

    #[test]
    fn text_comes_back(
        ids in prop::collection::btree_set(any::<i64>(), 1..30), hierarchical: bool, version in 0..i64::MAX,
    ) {
        let mut membership = Membership { version, ..Membership::default() };
        for id in ids {
            let id = ServerId(id);
            membership.servers.insert(id, server_line::parse(id, "h:1:2;3", false).unwrap());
            if hierarchical {
                membership.groups.entry(id.0 % 3).or_default().push(id);
            }
        }
        let text = membership.to_string();
        let again: Membership = text.parse().unwrap();
        prop_assert!(again.has_same_members(&membership));
        prop_assert_eq!(again.version, version);
        prop_assert_eq!(again.to_string(), text);
    }
}
