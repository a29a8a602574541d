//! `ferrokeeper cli`: the commands of zkCli.sh by their names, with their options and their words, from a terminal,
//! from a script on stdin, or one from the command line; and as JSON.
//!
//! Must not know how a request crosses the wire. Answers to `ZooKeeperMain`.

pub mod arguments;
mod commands;
mod editor;
mod options;
pub mod print;
mod printer;

use std::io::BufRead;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::json::Json;
use arguments::Arguments;
use commands::Command;
use printer::{Printer, complain};

use crate::client::connect_string::ConnectString;
use crate::client::tls::{ClientTls, Properties};
use crate::client::{CallError, Client, Failure, Options, State, sasl};
use crate::proto::ErrorCode;
use crate::sasl::Login;

const WRONG_OPTIONS: u8 = 2;
const NOT_FOUND: u8 = 127;
/// How often a wait for a connection looks.
const LOOK: Duration = Duration::from_millis(20);

/// Commands of the shell itself, and what stands behind their names.
const OWN: [(&str, &str); 7] = [
    ("connect", "host:port"),
    ("exit", ""),
    ("help", "[command]"),
    ("history", ""),
    ("printwatches", "on|off"),
    ("quit", ""),
    ("redo", "cmdno"),
];

/// Why a command has no result.
#[derive(Debug)]
pub struct Failed {
    text: String,
    exit_code: u8,
    failure: Option<Failure>,
}

impl Failed {
    fn new(text: impl Into<String>) -> Failed {
        Failed {
            text: text.into(),
            exit_code: 1,
            failure: None,
        }
    }
}

impl From<CallError> for Failed {
    fn from(error: CallError) -> Failed {
        match error {
            CallError::Path(text) => Failed::new(text),
            CallError::Server(failure) => Failed {
                text: failure_text(&failure),
                exit_code: 1,
                failure: Some(failure),
            },
        }
    }
}

/// The words of zkCli.sh, or else those of `KeeperException`.
fn failure_text(failure: &Failure) -> String {
    let path = failure.path.as_deref().unwrap_or("null");
    let said = match failure.code {
        ErrorCode::NO_NODE => "Node does not exist: ",
        ErrorCode::NO_CHILDREN_FOR_EPHEMERALS => "Ephemerals cannot have children: ",
        ErrorCode::NODE_EXISTS => "Node already exists: ",
        ErrorCode::NOT_EMPTY => "Node not empty: ",
        ErrorCode::NOT_READ_ONLY => "Not a read-only call: ",
        ErrorCode::INVALID_ACL => "Acl is not valid : ",
        ErrorCode::NO_AUTH => "Insufficient permission : ",
        ErrorCode::BAD_ARGUMENTS => "Arguments are not valid : ",
        ErrorCode::BAD_VERSION => "version No is not valid : ",
        ErrorCode::QUOTA_EXCEEDED => "Quota has exceeded : ",
        ErrorCode::RECONFIG_IN_PROGRESS => {
            return "Another reconfiguration is in progress -- concurrent reconfigs not supported (yet)"
                .to_owned();
        }
        ErrorCode::NEW_CONFIG_NO_QUORUM => {
            return "No quorum of new config is connected and up-to-date with the leader of last committed config - \
                    try invoking reconfiguration after new servers are connected and synced"
                .to_owned();
        }
        code => return exception_text(code, failure.path.as_deref()),
    };
    format!("{said}{path}")
}

fn exception_text(code: ErrorCode, path: Option<&str>) -> String {
    let name = match code {
        ErrorCode::SYSTEM_ERROR => "SystemError",
        ErrorCode::RUNTIME_INCONSISTENCY => "RuntimeInconsistency",
        ErrorCode::DATA_INCONSISTENCY => "DataInconsistency",
        ErrorCode::CONNECTION_LOSS => "ConnectionLoss",
        ErrorCode::MARSHALLING_ERROR => "MarshallingError",
        ErrorCode::UNIMPLEMENTED => "Unimplemented",
        ErrorCode::OPERATION_TIMEOUT => "OperationTimeout",
        ErrorCode::API_ERROR => "APIError",
        ErrorCode::NO_NODE => "NoNode",
        ErrorCode::NO_AUTH => "NoAuth",
        ErrorCode::INVALID_ACL => "InvalidACL",
        ErrorCode::AUTH_FAILED => "AuthFailed",
        ErrorCode::SESSION_EXPIRED => "Session expired",
        ErrorCode::SESSION_MOVED => "Session moved",
        ErrorCode::EPHEMERAL_ON_LOCAL_SESSION => "Ephemeral node on local session",
        ErrorCode::NO_WATCHER => "No such watcher",
        ErrorCode::RECONFIG_DISABLED => "Reconfig is disabled",
        ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH => {
            "Session closed because client failed to authenticate"
        }
        ErrorCode::THROTTLED_OP => "Op throttled due to high load",
        other => return format!("KeeperErrorCode = Unknown error {other}"),
    };
    match path.filter(|path| !path.is_empty()) {
        Some(path) => format!("KeeperErrorCode = {name} for {path}"),
        None => format!("KeeperErrorCode = {name}"),
    }
}

pub struct Shell {
    arguments: Arguments,
    tls: Option<Arc<ClientTls>>,
    login: Option<Login>,
    client: Option<Arc<Client>>,
    host: String,
    printer: Arc<Printer>,
    history: Vec<String>,
    exit_code: u8,
    is_done: bool,
}

/// Everything from arguments to exit code.
pub fn run(arguments: Arguments, properties: &Properties) -> ExitCode {
    let tls = match ClientTls::new(properties) {
        Ok(tls) => tls,
        Err(why) => {
            complain(&why);
            return ExitCode::from(WRONG_OPTIONS);
        }
    };
    let asked = match sasl::asked(properties) {
        Ok(asked) => asked,
        Err(why) => {
            complain(&why);
            return ExitCode::from(WRONG_OPTIONS);
        }
    };
    if let Some(remark) = &asked.remark {
        complain(remark);
    }
    let mut shell = Shell {
        printer: Arc::new(Printer::new(arguments.is_json, arguments.is_quiet)),
        host: String::new(),
        arguments,
        tls,
        login: asked.login,
        client: None,
        history: Vec::new(),
        exit_code: 0,
        is_done: false,
    };
    let command = std::mem::take(&mut shell.arguments.command);
    if command.first().map(String::as_str) == Some("help") {
        shell.help(&command[1..]);
        return ExitCode::SUCCESS;
    }
    let server = shell.arguments.server.clone();
    shell.printer.remark(&format!("Connecting to {server}"));
    if let Err(failed) = shell.connect(&server) {
        shell.report(&failed);
        return ExitCode::from(match shell.client {
            None => WRONG_OPTIONS,
            Some(_) => failed.exit_code,
        });
    }
    match command.is_empty() {
        false => shell.execute(&command),
        true => shell.read_commands(),
    }
    if let Some(client) = shell.client.take() {
        // Events of the end are nobody's concern any more.
        shell.printer.shows_events.store(false, Ordering::Relaxed);
        drop(client);
    }
    ExitCode::from(shell.exit_code)
}

impl Shell {
    fn connect(&mut self, host: &str) -> Result<(), Failed> {
        let servers = ConnectString::parse(host).map_err(Failed::new)?;
        self.client = None;
        host.clone_into(&mut self.host);
        let timeout = Duration::from_millis(self.arguments.timeout_ms);
        let options = Options {
            servers,
            session_timeout: timeout,
            read_only: self.arguments.read_only,
            tls: self.tls.clone(),
            login: self.login.clone(),
        };
        let printer = self.printer.clone();
        let listener = Arc::new(move |event| printer.event(&event));
        let client = Client::begin(options, listener).map_err(|e| Failed::new(e.to_string()))?;
        let client = self.client.insert(Arc::new(client));
        if self.arguments.wait_for_connection {
            let limit = Instant::now() + timeout;
            while client.state() == State::Connecting {
                if Instant::now() >= limit {
                    return Err(Failed::new(match client.trouble() {
                        Some(why) => format!("KeeperErrorCode = ConnectionLoss ({why})"),
                        None => "KeeperErrorCode = ConnectionLoss".to_owned(),
                    }));
                }
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    fn read_commands(&mut self) {
        self.printer.remark("Welcome to ZooKeeper!");
        if editor::is_wanted() && editor::run(self) {
            return;
        }
        self.printer.remark("JLine support is disabled");
        for line in std::io::stdin().lock().lines() {
            // Bytes that are no text end a script as its end does.
            let Ok(line) = line else { break };
            self.execute_line(&line);
            if self.is_done {
                break;
            }
        }
    }

    fn execute_line(&mut self, line: &str) {
        if line.is_empty() {
            return;
        }
        self.history.push(line.to_owned());
        self.execute(&arguments::words(line));
    }

    fn execute(&mut self, words: &[String]) {
        match self.process(words) {
            Ok(Some(value)) => {
                self.exit_code = 0;
                self.printer.json(&value);
            }
            Ok(None) => {}
            Err(failed) => {
                self.exit_code = failed.exit_code;
                self.report(&failed);
            }
        }
    }

    fn report(&self, failed: &Failed) {
        if !self.printer.is_json {
            let trouble = self.client.as_ref().and_then(|client| client.trouble());
            let lost = failed.failure.as_ref().is_some_and(|failure| {
                [ErrorCode::CONNECTION_LOSS, ErrorCode::AUTH_FAILED].contains(&failure.code)
            });
            complain(&failed.text);
            if let Some(why) = trouble.filter(|_| lost) {
                complain(&why);
            }
            return;
        }
        let mut error = vec![("message", Json::from(failed.text.as_str()))];
        if let Some(Failure { code, path }) = &failed.failure {
            error.push(("code", code.0.into()));
            error.push(("name", code.to_string().into()));
            error.push(("path", path.clone().into()));
        }
        complain(&Json::object(vec![("error", Json::object(error))]).to_string());
    }

    /// `None`: a command that ran others, whose exit code stays.
    fn process(&mut self, words: &[String]) -> Result<Option<Json>, Failed> {
        let Some((name, rest)) = words.split_first() else {
            usage(&self.printer);
            return Err(Failed::new("No command entered"));
        };
        let first = rest.first().map(String::as_str);
        match (name.as_str(), first) {
            ("quit" | "exit", _) => {
                self.is_done = true;
                return Ok(None);
            }
            ("help", _) => {
                self.help(rest);
                return Ok(Some(Json::Null));
            }
            ("redo", Some(number)) => self.redo(number)?,
            ("history", _) => {
                let now = self.history.len().saturating_sub(1);
                for i in now.saturating_sub(10)..=now {
                    let line = self.history.get(i).map_or("null", String::as_str);
                    self.printer.line(format!("{i} - {line}"));
                }
            }
            ("printwatches", None) => {
                let is_on = self.printer.shows_events.load(Ordering::Relaxed);
                let state = if is_on { "on" } else { "off" };
                self.printer.line(format!("printwatches is {state}"));
            }
            ("printwatches", Some(word)) => {
                let shows = &self.printer.shows_events;
                shows.store(word == "on", Ordering::Relaxed);
            }
            ("connect", host) => {
                let host = host.unwrap_or(&self.host).to_owned();
                self.connect(&host)?;
            }
            _ => {}
        }
        let own = OWN.iter().any(|(own, _)| own == name);
        let command = Command::find(name);
        if command.is_none() && !own {
            usage(&self.printer);
            return Err(Failed {
                exit_code: NOT_FOUND,
                ..Failed::new(format!("Command not found: Command not found {name}"))
            });
        }
        let client = self.client.clone();
        let Some(client) = client.filter(|client| client.state().is_alive()) else {
            self.printer.line("Not connected");
            return match self.printer.is_json {
                true => Err(Failed::new("Not connected")),
                false => Ok(Some(Json::Null)),
            };
        };
        match (command, name.as_str()) {
            (Some(_), "close") => {
                drop(client);
                self.client = None;
                Ok(Some(Json::Null))
            }
            (Some(command), _) => command.run(&client, &self.printer, rest).map(Some),
            (None, "redo") => Ok(None),
            (None, _) => Ok(Some(Json::Null)),
        }
    }

    fn redo(&mut self, number: &str) -> Result<(), Failed> {
        // The line of this command is the last.
        let before = self.history.len().saturating_sub(1);
        let found = number.parse().ok().filter(|at: &usize| *at < before);
        let line = found.map(|at| self.history[at].clone());
        let line = line.ok_or_else(|| Failed::new("Command index out of range"))?;
        let words = arguments::words(&line);
        if words.first().map(String::as_str) == Some("redo") {
            return Err(Failed::new("No redoing redos"));
        }
        self.history[before] = line;
        self.execute(&words);
        Ok(())
    }

    fn help(&self, names: &[String]) {
        match names.first().and_then(|name| Command::find(name)) {
            Some(command) => self.printer.line(command.usage()),
            None => usage(&self.printer),
        }
    }

    fn prompt(&self) -> String {
        let state = self.client.as_ref().map_or(State::Closed, |c| c.state());
        let number = self.history.len();
        format!("[zk: {}({state}) {number}] ", self.host)
    }
}

/// All commands, in the order of Java's sorted list.
fn all_commands() -> Vec<(&'static str, &'static str)> {
    let commands = commands::ALL.iter().map(|c| (c.name, c.syntax));
    let mut all: Vec<_> = OWN.into_iter().chain(commands).collect();
    all.sort_unstable();
    all
}

fn usage(printer: &Printer) {
    printer.aside("ZooKeeper -server host:port -client-configuration properties-file cmd args");
    for (name, syntax) in all_commands() {
        printer.aside(format!("\t{name} {syntax}"));
    }
}
