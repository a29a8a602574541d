//! Arguments, configuration, logging, run.

use std::path::Path;
use std::process::ExitCode;

use ferrokeeper::cli::{Command, Start};
use ferrokeeper::client::tls::Properties;
use ferrokeeper::config::{self, Config, Invalid, Level, Notice, SystemProperties};
use ferrokeeper::logging::{self, Shape};
use ferrokeeper::server::migrate::{self, Migrated};
use ferrokeeper::server::{self, ServerError};
use ferrokeeper::{shell, tools};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The heap comes in arenas of 64 MiB. Those after the first are backed by huge pages where the system allows it:
/// a big tree is read here and there, and with small pages it is the translation of addresses that takes most of
/// the time. The first is not, and takes memory only when it is touched: for an idle server 8 MB would be much.
///
/// mimalloc reads its settings at the first allocation, which is before `main`, and makes its first arena then.
#[used]
#[unsafe(link_section = ".init_array")]
static LEAN_HEAP: extern "C" fn() = {
    extern "C" fn lean_heap() {
        // SAFETY: no other thread runs before `main`, and all strings end in NUL. A value from outside stays.
        unsafe {
            libc::setenv(c"MIMALLOC_ARENA_EAGER_COMMIT".as_ptr(), c"0".as_ptr(), 0);
            libc::setenv(c"MIMALLOC_ARENA_RESERVE".as_ptr(), c"64MiB".as_ptr(), 0);
        }
    }
    lean_heap
};

/// Arenas made from now on are committed at once, which is when mimalloc asks for huge pages.
fn huge_pages_from_now_on() {
    const ARENA_EAGER_COMMIT: libc::c_int = 4;
    unsafe extern "C" {
        fn mi_option_set(option: libc::c_int, value: libc::c_long);
    }
    // SAFETY: sets a number; part of the stable interface of the allocator that is linked in.
    unsafe { mi_option_set(ARENA_EAGER_COMMIT, 1) };
}

/// Exit codes that scripts know from the Java server.
const UNEXPECTED: u8 = 1;
const INVALID: u8 = 2;
const ADMIN_SERVER: u8 = 4;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(stop_at_once));
    huge_pages_from_now_on();
    match Command::parse(std::env::args_os()) {
        Ok(Command::Run { start, definitions }) => run(&start, &properties(&definitions)),
        Ok(Command::CheckConfig { file, definitions }) => {
            let report = config::report::check(&file, &properties(&definitions));
            print!("{}", report.text);
            if report.is_valid {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(INVALID)
            }
        }
        Ok(Command::Import { file, definitions }) => migrate(
            &file,
            &properties(&definitions),
            "imported",
            migrate::import,
        ),
        Ok(Command::Export {
            file,
            to,
            definitions,
        }) => migrate(&file, &properties(&definitions), "exported", |config| {
            migrate::export(config, &to, &to)
        }),
        Ok(Command::Tool { tool, definitions }) => {
            begin_logging("warn");
            match client_properties(&definitions, None) {
                Ok(client) => tools::run(&tool, &properties(&definitions), &client),
                Err(why) => {
                    eprintln!("{why}");
                    ExitCode::from(INVALID)
                }
            }
        }
        Ok(Command::Shell(arguments)) => match client_properties(
            &arguments.definitions,
            arguments.client_configuration.as_deref(),
        ) {
            Ok(properties) => shell::run(arguments, &properties),
            Err(why) => {
                eprintln!("{why}");
                ExitCode::from(INVALID)
            }
        },
        Ok(Command::Bench(arguments)) => ferrokeeper_bench::run("ferrokeeper bench", arguments),
        Err(stop) if stop.exit_code == 0 => {
            println!("{}", stop.text);
            ExitCode::SUCCESS
        }
        Err(stop) => {
            eprintln!("{}", stop.text);
            ExitCode::from(stop.exit_code)
        }
    }
}

/// A panic is a bug of ours in a stage that others wait for. What was acknowledged is on disk; a restart is the
/// way back to a state that is known.
fn stop_at_once(panic: &std::panic::PanicHookInfo<'_>) {
    let trace = std::backtrace::Backtrace::force_capture();
    eprintln!("ferrokeeper stops, this is a bug: {panic}\n{trace}");
    tracing::error!("stopping: {panic}");
    std::process::abort();
}

fn properties(definitions: &[String]) -> SystemProperties {
    let flags = |name| std::env::var(name).unwrap_or_default();
    SystemProperties::new(
        &flags("SERVER_JVMFLAGS"),
        &flags("JVMFLAGS"),
        definitions.iter().map(String::as_str),
    )
}

/// What Java's client takes from system properties, by the names without `zookeeper.`; the file counts more.
fn client_properties(own: &[String], file: Option<&Path>) -> Result<Properties, String> {
    let flags = |name| std::env::var(name).unwrap_or_default();
    let (client, jvm) = (flags("CLIENT_JVMFLAGS"), flags("JVMFLAGS"));
    let from_flags = |text: &str| {
        let definitions = text
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("-D"));
        definitions.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut definitions = from_flags(&jvm);
    definitions.extend(from_flags(&client));
    definitions.extend(own.iter().cloned());
    let mut pairs: Vec<(String, String)> = definitions
        .iter()
        .filter_map(|definition| definition.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    if let Some(file) = file {
        let shown = file.display();
        let bytes = std::fs::read(file).map_err(|e| format!("{shown}: {e}"))?;
        let entries = config::properties::parse(&bytes).map_err(|e| format!("{shown}: {e}"))?;
        pairs.extend(entries.into_iter().map(|entry| (entry.key, entry.value)));
    }
    let named = |(key, value): (String, String)| {
        let name = key.strip_prefix("zookeeper.").unwrap_or(&key).to_owned();
        (name, value)
    };
    Ok(pairs.into_iter().map(named).collect())
}

fn begin_logging(level: &str) {
    let shape = std::env::var("FERROKEEPER_LOG_FORMAT");
    logging::begin(
        level,
        shape
            .ok()
            .and_then(|name| Shape::named(&name))
            .unwrap_or(Shape::Text),
    );
}

fn migrate(
    file: &Path,
    properties: &SystemProperties,
    done: &str,
    work: impl FnOnce(&Config) -> Result<Migrated, ServerError>,
) -> ExitCode {
    begin_logging("warn");
    let config = match Config::load(file, properties) {
        Ok((config, _)) => config,
        Err(invalid) => return refuse(&invalid),
    };
    match work(&config) {
        Ok(migrated) => {
            println!("{done}: {migrated}");
            if migrated.mismatches > 0 {
                eprintln!(
                    "{} transactions say of the tree what it is not here: compare the data before you rely on it",
                    migrated.mismatches
                );
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(UNEXPECTED)
        }
    }
}

fn run(start: &Start, properties: &SystemProperties) -> ExitCode {
    begin_logging("info");
    let loaded = match start {
        Start::File(path) => Config::load(path, properties),
        Start::Positional(arguments) => Config::positional(arguments, properties),
        Start::Embedded => Config::embedded(properties),
    };
    let config = match loaded {
        Ok((config, notices)) => {
            if let Some(id) = config.server_id.filter(|_| config.is_distributed()) {
                logging::set_my_id(id);
            }
            notices.iter().for_each(log);
            config
        }
        Err(invalid) => return refuse(&invalid),
    };
    match server::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ServerError::Storage(error)) => {
            tracing::error!("Unable to access datadir, exiting abnormally: {error}");
            eprintln!("Unable to access datadir, exiting abnormally\n{error}");
            ExitCode::from(error.exit_code() as u8)
        }
        Err(error @ ServerError::Admin { .. }) => {
            eprintln!("Unable to start AdminServer, exiting abnormally");
            tracing::error!("{error}");
            ExitCode::from(ADMIN_SERVER)
        }
        Err(ServerError::Config(error)) => refuse(&config::ConfigError::general(error).into()),
        Err(error) => {
            tracing::error!("Unexpected exception, exiting abnormally: {error}");
            eprintln!("{error}");
            ExitCode::from(UNEXPECTED)
        }
    }
}

fn refuse(invalid: &Invalid) -> ExitCode {
    invalid.notices.iter().for_each(log);
    tracing::error!("Invalid config, exiting abnormally: {invalid}");
    eprintln!("Invalid config, exiting abnormally\n{invalid}");
    ExitCode::from(INVALID)
}

fn log(notice: &Notice) {
    match notice.level {
        Level::Info => tracing::info!("{notice}"),
        Level::Warn => tracing::warn!("{notice}"),
        Level::Error => tracing::error!("{notice}"),
    }
}
