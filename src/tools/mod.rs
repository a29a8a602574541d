//! What an operator does with a server from outside: look whether it serves, save its data and bring it back, ask who
//! changed what. Arguments in, lines and an exit code out; the work is done by `server` and `storage`.
//!
//! Answers to `zkServer.sh status` and `zkTxnLogToolkit.sh`; Java has no backup.

mod status;
mod time;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::client::tls::Properties;
use crate::config::{Config, Invalid, SystemProperties};
use crate::ids::Zxid;
use crate::json::Json;
use crate::server::ServerError;
use crate::server::backup::{self, restore};
use crate::server::history::{self, Change, Wanted};
use crate::timestamp;

const FAILED: u8 = 1;
const WRONG: u8 = 2;

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Tool {
    /// Says whether a server serves, and as what (exit code 1: it does not)
    Status(StatusArgs),
    /// Saves the data of a server that runs, or does not; again into the same directory: what is new
    Backup(BackupArgs),
    /// Makes the data of a new server out of a backup
    Restore(RestoreArgs),
    /// Says who changed what and when, out of the log of a server, of a backup or of a Java server
    Log(LogArgs),
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct StatusArgs {
    /// host:port, or the server's configuration file
    #[arg(default_value = "localhost:2181")]
    server: String,
    #[arg(long, value_parser = ["text", "json"], default_value = "text")]
    output: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct BackupArgs {
    /// The server's configuration file
    file: PathBuf,
    /// The backup's directory
    to: PathBuf,
    /// Writes the whole tree again, so that a restore has less of the log to go through
    #[arg(long)]
    full: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct RestoreArgs {
    /// The backup's directory
    from: PathBuf,
    /// The configuration file of the new server, whose data directory must be without data
    #[arg(required_unless_present = "verify")]
    file: Option<PathBuf>,
    /// Up to and with this transaction: 0x100000007
    #[arg(long, value_parser = zxid)]
    zxid: Option<i64>,
    /// What was done by then: 2026-11-21T15:04:05, with Z or +01:00 if not in local time; or 15m, 2h, 3d ago
    #[arg(long, value_parser = time::parse, conflicts_with = "zxid")]
    time: Option<i64>,
    /// Checks every file of the backup and says what it holds; restores nothing
    #[arg(long)]
    verify: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct LogArgs {
    /// The server's configuration file, or the directory of a backup or of a Java server's logs
    source: PathBuf,
    /// Changes of this node
    #[arg(long)]
    path: Option<String>,
    /// Changes of this node and of all below it
    #[arg(long)]
    below: Option<String>,
    /// Changes by this session: 0x100000abcdef0000
    #[arg(long, value_parser = session)]
    session: Option<i64>,
    /// From then on: 2026-11-21T15:04:05, or 15m, 2h, 3d ago
    #[arg(long, value_parser = time::parse)]
    since: Option<i64>,
    /// Up to then
    #[arg(long, value_parser = time::parse)]
    until: Option<i64>,
    /// One transaction, or first..last
    #[arg(long, value_parser = zxids)]
    zxid: Option<(i64, i64)>,
    #[arg(long, value_parser = ["text", "json"], default_value = "text")]
    output: String,
}

fn hex(text: &str) -> Option<i64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16).ok().map(|bits| bits as i64)
}

fn zxid(text: &str) -> Result<i64, String> {
    hex(text).ok_or_else(|| "a zxid is hexadecimal, as 0x100000007".to_owned())
}

fn session(text: &str) -> Result<i64, String> {
    hex(text).ok_or_else(|| "a session is hexadecimal, as 0x100000abcdef0000".to_owned())
}

fn zxids(text: &str) -> Result<(i64, i64), String> {
    match text.split_once("..") {
        None => zxid(text).map(|one| (one, one)),
        Some((first, "")) => Ok((zxid(first)?, i64::MAX)),
        Some(("", last)) => Ok((0, zxid(last)?)),
        Some((first, last)) => Ok((zxid(first)?, zxid(last)?)),
    }
}

pub fn run(tool: &Tool, properties: &SystemProperties, client: &Properties) -> ExitCode {
    let done = match tool {
        Tool::Status(arguments) => status::run(
            &arguments.server,
            is_json(&arguments.output),
            properties,
            client,
        ),
        Tool::Backup(arguments) => save(arguments, properties),
        Tool::Restore(arguments) => bring_back(arguments, properties),
        Tool::Log(arguments) => tell(arguments, properties),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stopped { text, exit_code }) => {
            if !text.is_empty() {
                let _ = writeln!(io::stderr(), "{text}");
            }
            ExitCode::from(exit_code)
        }
    }
}

/// Why a tool has not done its work.
struct Stopped {
    text: String,
    exit_code: u8,
}

impl From<Invalid> for Stopped {
    fn from(invalid: Invalid) -> Stopped {
        Stopped {
            text: invalid.to_string(),
            exit_code: WRONG,
        }
    }
}

impl From<ServerError> for Stopped {
    fn from(error: ServerError) -> Stopped {
        Stopped {
            text: error.to_string(),
            exit_code: FAILED,
        }
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        Stopped {
            text: error.to_string(),
            exit_code: FAILED,
        }
    }
}

fn is_json(output: &str) -> bool {
    output == "json"
}

fn save(arguments: &BackupArgs, properties: &SystemProperties) -> Result<(), Stopped> {
    let (config, _) = Config::load(&arguments.file, properties)?;
    let taken = backup::take(&config, &arguments.to, arguments.full)?;
    writeln!(io::stdout(), "backed up: {taken}")?;
    Ok(())
}

fn bring_back(arguments: &RestoreArgs, properties: &SystemProperties) -> Result<(), Stopped> {
    let Some(file) = arguments.file.as_ref().filter(|_| !arguments.verify) else {
        for line in restore::verify(&arguments.from)? {
            writeln!(io::stdout(), "{line}")?;
        }
        return Ok(());
    };
    let (config, _) = Config::load(file, properties)?;
    let target = match (arguments.zxid, arguments.time) {
        (Some(zxid), _) => restore::Target::Zxid(zxid),
        (None, Some(ms)) => restore::Target::Time(ms),
        (None, None) => restore::Target::End,
    };
    let restored = restore::restore(&config, &arguments.from, target)?;
    writeln!(io::stdout(), "restored: {restored}")?;
    Ok(())
}

fn tell(arguments: &LogArgs, properties: &SystemProperties) -> Result<(), Stopped> {
    let wanted = Wanted {
        path: arguments.path.clone(),
        below: arguments.below.clone(),
        session: arguments.session,
        since_ms: arguments.since,
        until_ms: arguments.until,
        first_zxid: arguments.zxid.map(|(first, _)| first),
        last_zxid: arguments.zxid.map(|(_, last)| last),
    };
    let json = is_json(&arguments.output);
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let mut print = |header: &_, change: &_| {
        if written.is_ok() {
            written = writeln!(out, "{}", line(header, change, json));
        }
    };
    let source = &arguments.source;
    let began_behind = if source.is_dir() {
        history::of_files(source, FIELD_BYTES_MAX, &wanted, &mut print)?
    } else {
        let (config, _) = Config::load(source, properties)?;
        history::of_server(&config, &wanted, &mut print)?
    };
    match written.and_then(|()| out.flush()) {
        // Whoever read has enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        written => written?,
    }
    let asked_from = wanted.first_zxid.unwrap_or(0);
    if !json && began_behind > 0 && asked_from <= began_behind {
        writeln!(
            io::stderr(),
            "the log begins behind zxid {}: what was before is not kept",
            Zxid(began_behind)
        )?;
    }
    Ok(())
}

/// Of a foreign log nobody knows what its server allowed.
const FIELD_BYTES_MAX: usize = 1 << 30;

fn line(header: &crate::proto::txn::TxnHeader, change: &Change, json: bool) -> String {
    let time = timestamp::iso_date(header.time);
    if json {
        return Json::object(vec![
            ("time", time.into()),
            ("zxid", format!("0x{:x}", header.zxid).into()),
            ("session", format!("0x{:x}", header.client_id).into()),
            ("cxid", header.cxid.into()),
            ("op", change.op.into()),
            ("path", change.path.clone().into()),
            ("detail", change.detail.as_str().into()),
        ])
        .to_string();
    }
    let mut text = format!(
        "{time} session 0x{:x} cxid 0x{:x} zxid 0x{:x} {}",
        header.client_id, header.cxid, header.zxid, change.op
    );
    if let Some(path) = &change.path {
        text.push(' ');
        text.push_str(path);
    }
    if !change.detail.is_empty() {
        text.push_str(&format!(" ({})", change.detail));
    }
    text
}
