//! Names and the frame of answers; what each member is, the suite of the AdminServer compares with Java's.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::admin::json;

#[test]
fn every_name_is_a_command_s_and_only_one_s() {
    let mut names: Vec<&str> = COMMANDS.iter().flat_map(|c| c.names).copied().collect();
    for name in &names {
        assert!(find(name).unwrap().names.contains(name));
    }
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(find("nonsense").is_none());
    assert!(COMMANDS.is_sorted_by_key(Command::name));
}

#[test]
fn an_error_of_the_command_s_own_stays_in_its_place() {
    let own = Object::default().with("error", "why");
    let text = json::print(&finished(own, "leader", None));
    assert_eq!(
        text,
        "{\n  \"error\" : \"why\",\n  \"command\" : \"leader\"\n}"
    );
    let bare = json::print(&bare("x", None));
    assert_eq!(bare, "{\n  \"command\" : \"x\",\n  \"error\" : null\n}");
}

#[test]
fn the_links_are_where_the_commands_are() {
    let page = links("/other");
    assert!(page.starts_with("<a href=\"/other/configuration\">configuration</a>\n<br/>\n"));
    assert_eq!(page.lines().count(), 2 * COMMANDS.len());
}
