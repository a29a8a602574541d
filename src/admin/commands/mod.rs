//! The AdminServer's commands: their names, what they need, and what they answer with. Text and figures only: whoever
//! speaks HTTP asks, checks who asks, and sends what comes out.
//!
//! Answers to Java's `Commands`.

mod replies;
#[cfg(test)]
mod tests;
mod view;

pub use view::{AdminSource, LeaderView, LearnerView, SnapshotView, VoterView, ZabView};

use std::collections::HashMap;

use crate::json::{Json, Object};

/// Arguments by name; of one that comes twice the first counts.
pub type Arguments = HashMap<String, String>;

pub const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

/// What carries a command out.
#[derive(Clone, Copy)]
pub enum Action {
    /// The facts are enough.
    Reply(fn(&dyn AdminSource, &Arguments, &mut Object)),
    /// Binary data out and in: for who has the tree and the disk.
    Snapshot,
    Restore,
}

pub struct Command {
    /// The first is the one that answers carry.
    pub names: &'static [&'static str],
    /// Without a server that serves it answers with an error.
    pub needs_server: bool,
    pub action: Action,
}

impl Command {
    pub fn name(&self) -> &'static str {
        self.names[0]
    }

    /// Who asks has to hold every right on the root.
    pub fn needs_auth(&self) -> bool {
        matches!(self.action, Action::Snapshot | Action::Restore)
    }

    pub fn is_post(&self) -> bool {
        matches!(self.action, Action::Restore)
    }
}

const fn command(
    names: &'static [&'static str],
    reply: fn(&dyn AdminSource, &Arguments, &mut Object),
) -> Command {
    Command {
        names,
        needs_server: true,
        action: Action::Reply(reply),
    }
}

const fn always(
    names: &'static [&'static str],
    reply: fn(&dyn AdminSource, &Arguments, &mut Object),
) -> Command {
    Command {
        names,
        needs_server: false,
        action: Action::Reply(reply),
    }
}

const fn binary(names: &'static [&'static str], action: Action) -> Command {
    Command {
        names,
        needs_server: true,
        action,
    }
}

/// By primary name, as the list of links has them.
pub const COMMANDS: &[Command] = &[
    command(&["configuration", "conf", "config"], replies::configuration),
    command(
        &["connection_stat_reset", "crst"],
        replies::connection_stat_reset,
    ),
    command(&["connections", "cons"], replies::connections),
    command(&["dirs"], replies::dirs),
    command(&["dump"], replies::dump),
    always(&["environment", "env", "envi"], replies::environment),
    always(&["get_trace_mask", "gtmk"], replies::get_trace_mask),
    command(&["hash"], replies::hash),
    command(
        &["initial_configuration", "icfg"],
        replies::initial_configuration,
    ),
    command(&["is_read_only", "isro"], replies::is_read_only),
    command(&["last_snapshot", "lsnp"], replies::last_snapshot),
    command(&["leader", "lead"], replies::leader),
    always(&["monitor", "mntr"], replies::monitor),
    command(
        &["observer_connection_stat_reset", "orst"],
        replies::observer_connection_stat_reset,
    ),
    command(&["observers", "obsr"], replies::observers),
    binary(&["restore", "rest"], Action::Restore),
    command(&["ruok"], |_, _, _| {}),
    command(&["server_stats", "srvr"], replies::server_stats),
    always(&["set_trace_mask", "stmk"], replies::set_trace_mask),
    binary(&["snapshot", "snap"], Action::Snapshot),
    command(&["stat_reset", "srst"], replies::stat_reset),
    command(&["stats", "stat"], replies::stats),
    always(&["system_properties", "sysp"], replies::system_properties),
    command(&["voting_view"], replies::voting_view),
    command(&["watch_summary", "wchs"], replies::watch_summary),
    command(&["watches", "wchc"], replies::watches),
    command(&["watches_by_path", "wchp"], replies::watches_by_path),
    always(&["zabstate"], replies::zab_state),
];

pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS
        .iter()
        .find(|command| command.names.contains(&name))
}

/// A whole answer without members of its own.
pub fn bare(name: &str, error: Option<&str>) -> Object {
    finished(Object::default(), name, error)
}

/// The members of a command, and those that every answer has. A command's own error stays where it is.
pub fn finished(mut members: Object, name: &str, error: Option<&str>) -> Object {
    let has_own = members.get("error").is_some();
    members.put("command", name);
    if !has_own {
        members.put("error", error.map_or(Json::Null, Json::from));
    }
    members
}

/// What a command answers that needs nothing but facts.
pub fn run(
    command: &Command,
    reply: fn(&dyn AdminSource, &Arguments, &mut Object),
    arguments: &Arguments,
    source: &dyn AdminSource,
) -> Object {
    let mut members = Object::default();
    reply(source, arguments, &mut members);
    finished(members, command.name(), None)
}

/// The page that links to every command.
pub fn links(command_url: &str) -> String {
    let lines = COMMANDS.iter().map(|command| {
        let name = command.name();
        format!("<a href=\"{command_url}/{name}\">{name}</a>\n<br/>\n")
    });
    lines.collect()
}
