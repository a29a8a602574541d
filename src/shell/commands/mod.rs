//! The commands that ask a server, a function each. Answers to `org.apache.zookeeper.cli`.

mod access;
mod cluster;
mod nodes;
mod quota;
mod watching;

use super::Failed;
use super::options::{self, Parsed, Spec, flag, value};
use super::printer::Printer;
use crate::client::Client;
use crate::json::Json;

type Run = fn(&Call<'_>) -> Result<Json, Failed>;

pub struct Command {
    pub name: &'static str,
    /// Behind the name, for the user.
    pub syntax: &'static str,
    specs: &'static [Spec],
    /// Behind the syntax when a user got it wrong.
    help: &'static str,
    /// Arguments that it cannot do without.
    arguments_min: usize,
    run: Run,
}

/// A command with what the user gave it.
pub(super) struct Call<'a> {
    client: &'a Client,
    out: &'a Printer,
    given: Parsed,
    command: &'static Command,
}

impl Call<'_> {
    fn path(&self) -> &str {
        self.argument(0)
    }

    fn argument(&self, at: usize) -> &str {
        self.given.argument(at).unwrap_or_default()
    }

    fn wrong(&self) -> Failed {
        Failed::new(self.command.usage())
    }

    /// The number that an option gives.
    fn number<T: std::str::FromStr>(&self, option: &str, default: T) -> Result<T, Failed> {
        match self.given.value(option) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| Failed::new(format!("For input string: \"{text}\""))),
        }
    }
}

impl Command {
    pub fn find(name: &str) -> Option<&'static Command> {
        ALL.iter().find(|command| command.name == name)
    }

    pub fn options(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.specs.iter().map(|spec| spec.name)
    }

    pub fn usage(&self) -> String {
        format!("{} {}{}", self.name, self.syntax, self.help)
    }

    pub fn run(
        &'static self,
        client: &Client,
        out: &Printer,
        words: &[String],
    ) -> Result<Json, Failed> {
        let given = options::parse(self.specs, words).map_err(Failed::new)?;
        let mut call = Call {
            client,
            out,
            given,
            command: self,
        };
        if call.given.arguments.len() < self.arguments_min {
            return Err(call.wrong());
        }
        call.given = self.old_form(out, call.given, words)?;
        (self.run)(&call)
    }

    /// `get path true` and its like, from before there were options.
    fn old_form(&self, out: &Printer, given: Parsed, words: &[String]) -> Result<Parsed, Failed> {
        let now = match self.name {
            _ if given.arguments.len() < 2 => return Ok(given),
            "get" => "get [-s] [-w] path",
            "stat" => "stat [-w] path",
            "ls" => "ls [-w] path",
            "delete" => {
                out.aside(
                    "'delete path [version]' has been deprecated. Please use 'delete [-v version] path' instead.",
                );
                return Ok(given);
            }
            _ => return Ok(given),
        };
        let name = self.name;
        out.aside(format!(
            "'{name} path [watch]' has been deprecated. Please use '{now}' instead."
        ));
        let mut words = words.to_vec();
        if let Some(second) = words.get_mut(1) {
            *second = "-w".to_owned();
        }
        options::parse(self.specs, &words).map_err(Failed::new)
    }
}

const fn command(
    name: &'static str,
    syntax: &'static str,
    specs: &'static [Spec],
    arguments_min: usize,
    run: Run,
) -> Command {
    Command {
        name,
        syntax,
        specs,
        help: "",
        arguments_min,
        run,
    }
}

pub const ALL: &[Command] = &[
    command(
        "addWatch",
        watching::ADD_SYNTAX,
        &[value("m")],
        1,
        watching::add,
    ),
    command("addauth", "scheme auth", &[], 1, access::add_auth),
    command("close", "", &[], 0, |_| Ok(Json::Null)),
    command(
        "config",
        "[-c] [-w] [-s]",
        &[flag("s"), flag("w"), flag("c")],
        0,
        cluster::config,
    ),
    command(
        "create",
        "[-s] [-e] [-c] [-t ttl] path [data] [acl]",
        &[flag("e"), flag("s"), flag("c"), value("t")],
        1,
        nodes::create,
    ),
    command(
        "delete",
        "[-v version] path",
        &[value("v")],
        1,
        nodes::delete,
    ),
    command(
        "deleteall",
        "path [-b batch size]",
        &[value("b")],
        1,
        nodes::delete_all,
    ),
    command(
        "delquota",
        "[-n|-b|-N|-B] path",
        &[flag("n"), flag("b"), flag("N"), flag("B")],
        1,
        quota::delete,
    ),
    Command {
        help: nodes::GET_HELP,
        ..command(
            "get",
            nodes::GET_SYNTAX,
            &[flag("s"), flag("w"), flag("b"), flag("x")],
            1,
            nodes::get,
        )
    },
    command("getAcl", "[-s] path", &[flag("s")], 1, access::get),
    command("getAllChildrenNumber", "path", &[], 1, nodes::count),
    command("getEphemerals", "path", &[], 0, nodes::ephemerals),
    command("listquota", "path", &[], 1, quota::list),
    command(
        "ls",
        "[-s] [-w] [-R] path",
        &[flag("?"), flag("s"), flag("w"), flag("R")],
        1,
        nodes::list,
    ),
    command(
        "reconfig",
        cluster::RECONFIG_SYNTAX,
        &[
            flag("s"),
            value("v"),
            value("file"),
            value("members"),
            value("add"),
            value("remove"),
        ],
        0,
        cluster::reconfig,
    ),
    command(
        "removewatches",
        "path [-c|-d|-a] [-l]",
        &[
            flag("c"),
            flag("d"),
            flag("p"),
            flag("r"),
            flag("a"),
            flag("l"),
        ],
        1,
        watching::remove,
    ),
    Command {
        help: nodes::SET_HELP,
        ..command(
            "set",
            nodes::SET_SYNTAX,
            &[flag("s"), value("v"), flag("b")],
            2,
            nodes::set,
        )
    },
    command(
        "setAcl",
        "[-s] [-v version] [-R] path acl",
        &[flag("s"), value("v"), flag("R")],
        2,
        access::set,
    ),
    command(
        "setquota",
        "-n|-b|-N|-B val path",
        &[value("n"), value("b"), value("N"), value("B")],
        0,
        quota::set,
    ),
    command("stat", "[-w] path", &[flag("w")], 1, nodes::stat),
    command("sync", "path", &[], 1, nodes::sync),
    command("version", "", &[], 0, cluster::version),
    command("whoami", "", &[], 0, access::who_am_i),
];
