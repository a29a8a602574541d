//! The command line -> a [`Command`] that `main` carries out.
//!
//! Touches neither files nor the environment. Answers to the argument handling of
//! `QuorumPeerMain` and `ZooKeeperServerMain`, whose forms all work here.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::Positional;
use crate::shell;
use crate::tools::Tool;

/// What the arguments ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Run {
        start: Start,
        /// `key=value` of every `-D`, in order; for [`crate::config::SystemProperties::new`].
        definitions: Vec<String>,
    },
    CheckConfig {
        file: PathBuf,
        definitions: Vec<String>,
    },
    Import {
        file: PathBuf,
        definitions: Vec<String>,
    },
    Export {
        file: PathBuf,
        to: PathBuf,
        definitions: Vec<String>,
    },
    Tool {
        tool: Tool,
        definitions: Vec<String>,
    },
    /// A client, with arguments of its own.
    Shell(shell::arguments::Arguments),
    /// The load generator, with arguments of its own.
    Bench(Vec<OsString>),
}

/// Where the configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    File(PathBuf),
    Positional(Positional),
    Embedded,
}

/// The process prints this and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    pub text: String,
    /// 0: `--help` and `--version`, to stdout. 2: wrong arguments, to stderr.
    pub exit_code: u8,
}

/// Java's own line, which scripts know.
const USAGE: &str = "Usage: ZooKeeperServerMain configfile | port datadir [ticktime] [maxcnxns]";

/// A server that ZooKeeper clients can use.
#[derive(Parser)]
#[command(
    name = "ferrokeeper",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "-Dkey=value, anywhere on the command line, sets what ZooKeeper takes from Java system \
                  properties; JVMFLAGS and SERVER_JVMFLAGS are read in the same way. The file wins over them.\n\n\
                  Without arguments: one server on 127.0.0.1:2181 that keeps its data in ./data."
)]
struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// [zoo.cfg], or <port> <dataDir> [tickTime] [maxClientCnxns]
    #[arg(value_name = "CONFIG", allow_negative_numbers = true)]
    server: Vec<String>,
}

#[derive(Subcommand)]
enum Action {
    /// Runs the server (also without this word, as ZooKeeper's main class does)
    Server {
        /// [zoo.cfg], or <port> <dataDir> [tickTime] [maxClientCnxns]
        #[arg(value_name = "CONFIG", allow_negative_numbers = true)]
        server: Vec<String>,
    },
    /// Takes over the data of the Java server that this configuration file belongs to; that server must not run
    Import { file: PathBuf },
    /// Writes the data of the server that this file belongs to as a Java server keeps it; the server must not run
    Export {
        file: PathBuf,
        /// What is to be the Java server's dataDir and dataLogDir
        to: PathBuf,
    },
    /// A client with the commands of zkCli.sh; `cli --help` says more
    Cli,
    /// Load for a server, measured; `bench --help` says more
    Bench,
    #[command(flatten)]
    Tool(Tool),
    /// Works on configuration files
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
}

#[derive(Subcommand)]
enum ConfigAction {
    /// Says what a file means to this server, what has no effect and what is wrong
    Check { file: PathBuf },
}

impl Command {
    /// `arguments` begin with the program's name.
    pub fn parse<I>(arguments: I) -> Result<Command, Stop>
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        if arguments.get(1).is_some_and(|word| word == "cli") {
            return shell_command(&arguments[2..]);
        }
        if arguments.get(1).is_some_and(|word| word == "bench") {
            return Ok(Command::Bench(arguments[2..].to_vec()));
        }
        let (rest, definitions) = take_definitions(arguments.into_iter());
        let parsed = Arguments::try_parse_from(rest).map_err(|error| Stop {
            text: error.to_string().trim_end().to_owned(),
            exit_code: if error.use_stderr() { 2 } else { 0 },
        })?;
        let server = match parsed.action {
            Some(Action::Config {
                action: ConfigAction::Check { file },
            }) => {
                return Ok(Command::CheckConfig { file, definitions });
            }
            Some(Action::Import { file }) => return Ok(Command::Import { file, definitions }),
            Some(Action::Export { file, to }) => {
                return Ok(Command::Export {
                    file,
                    to,
                    definitions,
                });
            }
            Some(Action::Tool(tool)) => return Ok(Command::Tool { tool, definitions }),
            Some(Action::Cli) => return shell_command(&[]),
            Some(Action::Bench) => return Ok(Command::Bench(Vec::new())),
            Some(Action::Server { server }) => server,
            None => parsed.server,
        };
        Ok(Command::Run {
            start: start(&server)?,
            definitions,
        })
    }
}

/// The client's options are those of zkCli.sh, which clap would not understand.
fn shell_command(arguments: &[OsString]) -> Result<Command, Stop> {
    let texts = arguments
        .iter()
        .map(|word| word.to_string_lossy().into_owned());
    let asks_for_help = arguments
        .first()
        .is_some_and(|word| word == "--help" || word == "-h");
    if asks_for_help {
        return Err(Stop {
            text: shell::arguments::USAGE.to_owned(),
            exit_code: 0,
        });
    }
    match shell::arguments::Arguments::parse(texts) {
        Ok(arguments) => Ok(Command::Shell(arguments)),
        Err(text) => Err(Stop { text, exit_code: 2 }),
    }
}

/// Takes `-Dkey=value` out before clap sees it: it may stand anywhere, as on a java command line.
fn take_definitions(arguments: impl Iterator<Item = OsString>) -> (Vec<OsString>, Vec<String>) {
    let mut rest = Vec::new();
    let mut definitions = Vec::new();
    for (at, argument) in arguments.enumerate() {
        let definition = argument
            .to_str()
            .filter(|_| at > 0)
            .and_then(|text| text.strip_prefix("-D"));
        match definition.filter(|definition| !definition.is_empty()) {
            Some(definition) => definitions.push(definition.to_owned()),
            None => rest.push(argument),
        }
    }
    (rest, definitions)
}

fn start(arguments: &[String]) -> Result<Start, Stop> {
    let (port, data_dir, rest) = match arguments {
        [] => return Ok(Start::Embedded),
        [file] => return Ok(Start::File(PathBuf::from(file))),
        [port, data_dir, rest @ ..] if rest.len() <= 2 => (port, data_dir, rest),
        _ => {
            let all = arguments.join(" ");
            return Err(wrong(&format!("Invalid number of arguments: {all}")));
        }
    };
    let port = number("port", port, 0, 65535)? as u16;
    let int_max = i64::from(i32::MAX);
    let tick_ms = rest
        .first()
        .map(|text| number("tickTime", text, 1, int_max));
    // Java takes every negative number for "no limit".
    let connections = rest
        .get(1)
        .map(|text| number("maxClientCnxns", text, -int_max, int_max));
    Ok(Start::Positional(Positional {
        port,
        data_dir: data_dir.clone(),
        tick_ms: tick_ms.transpose()?.map(|number| number as u32),
        connections_per_ip_max: connections.transpose()?.map(|number| number.max(0) as u32),
    }))
}

fn number(name: &str, text: &str, min: i64, max: i64) -> Result<i64, Stop> {
    let in_range = text
        .parse()
        .ok()
        .filter(|number| (min..=max).contains(number));
    in_range.ok_or_else(|| {
        wrong(&format!(
            "{name}: For input string: \"{text}\": expected a whole number from {min} to {max}"
        ))
    })
}

fn wrong(what: &str) -> Stop {
    Stop {
        text: format!("Invalid arguments, exiting abnormally\n{what}\n{USAGE}"),
        exit_code: 2,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(line: &str) -> Result<Command, Stop> {
        Command::parse(std::iter::once("ferrokeeper").chain(line.split_whitespace()))
    }

    fn started(line: &str) -> Start {
        match parse(line).unwrap() {
            Command::Run { start, .. } => start,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn positional(tick_ms: Option<u32>, connections_per_ip_max: Option<u32>) -> Start {
        let data_dir = "/d".to_owned();
        Start::Positional(Positional {
            port: 2181,
            data_dir,
            tick_ms,
            connections_per_ip_max,
        })
    }

    #[test]
    fn every_form_works_with_and_without_the_word_server() {
        for word in ["", "server "] {
            let started = |rest: &str| started(&format!("{word}{rest}"));
            assert_eq!(started(""), Start::Embedded);
            assert_eq!(started("conf/zoo.cfg"), Start::File("conf/zoo.cfg".into()));
            assert_eq!(started("2181 /d"), positional(None, None));
            assert_eq!(started("2181 /d 2000"), positional(Some(2000), None));
            assert_eq!(started("2181 /d 2000 0"), positional(Some(2000), Some(0)));
            assert_eq!(started("2181 /d 2000 -1"), positional(Some(2000), Some(0)));
        }
    }

    #[test]
    fn definitions_stand_anywhere() {
        for line in [
            "-Da=1 -Db server z.cfg",
            "server -Da=1 z.cfg -Db",
            "-Da=1 z.cfg -Db",
            "z.cfg -Da=1 -Db",
        ] {
            let Command::Run { start, definitions } = parse(line).unwrap() else {
                panic!("{line}")
            };
            assert_eq!(start, Start::File("z.cfg".into()), "{line}");
            assert_eq!(definitions, ["a=1", "b"], "{line}");
        }
    }

    #[test]
    fn check_names_its_file() {
        let expected = Command::CheckConfig {
            file: "z.cfg".into(),
            definitions: vec!["a=1".into()],
        };
        assert_eq!(parse("config check z.cfg -Da=1"), Ok(expected));
        assert_eq!(parse("config check").unwrap_err().exit_code, 2);
    }

    #[test]
    fn the_client_keeps_its_own_options() {
        let Command::Shell(arguments) = parse("cli -server a:1 create /x -Dy").unwrap() else {
            panic!("no client")
        };
        assert_eq!(arguments.server, "a:1");
        assert_eq!(arguments.command, ["create", "/x", "-Dy"]);
        assert_eq!(parse("cli --help").unwrap_err().exit_code, 0);
        assert_eq!(parse("cli -nonsense").unwrap_err().exit_code, 2);
    }

    #[test]
    fn the_load_generator_keeps_its_own_options() {
        let words = ["get", "--server", "a:1", "-d", "4"];
        let expected = Command::Bench(words.map(OsString::from).to_vec());
        assert_eq!(parse(&format!("bench {}", words.join(" "))), Ok(expected));
        assert_eq!(parse("bench"), Ok(Command::Bench(Vec::new())));
        assert!(parse("--help").unwrap_err().text.contains("bench"));
    }

    #[test]
    fn tools_know_their_arguments() {
        for line in [
            "status",
            "status a:1 --output json",
            "backup z.cfg to --full",
            "restore from --verify",
            "restore from z.cfg --zxid 0x100000007",
            "restore from z.cfg --time 2h",
            "log z.cfg --below /a --session 0x1 --since 1d --zxid 0x1..0x5",
        ] {
            assert!(matches!(parse(line), Ok(Command::Tool { .. })), "{line}");
        }
        for line in [
            "backup z.cfg",
            "restore from",
            "restore from z.cfg --zxid 1 --time 1h",
            "log z.cfg --since yesterday",
            "status --output xml",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code, 2, "{line}");
        }
    }

    #[test]
    fn wrong_counts_and_numbers_print_the_usage_line() {
        for line in [
            "1 2 3 4 5",
            "server 1 2 3 4 5",
            "x /d",
            "65536 /d",
            "2181 /d x",
            "2181 /d 0",
            "2181 /d 1 x",
        ] {
            let stop = parse(line).unwrap_err();
            assert_eq!(stop.exit_code, 2, "{line}");
            assert!(stop.text.ends_with(USAGE), "{line}: {}", stop.text);
        }
        assert_eq!(parse("--nonsense").unwrap_err().exit_code, 2);
    }

    #[test]
    fn help_and_version_are_no_errors() {
        for line in [
            "--help",
            "--version",
            "server --help",
            "config check --help",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code, 0, "{line}");
        }
        assert!(
            parse("--version")
                .unwrap_err()
                .text
                .starts_with("ferrokeeper ")
        );
    }
}
