//! Commands typed at a terminal: editing, history across sessions, completion of commands, options and paths. Answers
//! to `JLineZNodeCompleter`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Context, Editor, Helper, Highlighter, Hinter, Validator};

use super::commands::Command;
use super::{Shell, all_commands};
use crate::client::{Client, State, path};

const HISTORY_LINES: usize = 1000;
/// Completions of one path; more would not help anybody.
const CHILDREN_MAX: usize = 1000;

pub(super) fn is_wanted() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Whether the terminal could be used.
pub(super) fn run(shell: &mut Shell) -> bool {
    let config = Config::builder().auto_add_history(false);
    let Ok(config) = config.max_history_size(HISTORY_LINES).map(|c| c.build()) else {
        return false;
    };
    let Ok(mut editor) = Editor::<Completions, FileHistory>::with_config(config) else {
        return false;
    };
    let client = Arc::new(Mutex::new(None));
    editor.set_helper(Some(Completions {
        client: client.clone(),
    }));
    let file = history_file();
    if let Some(file) = &file {
        // There is none before the first time.
        let _ = editor.load_history(file);
    }
    // The prompt, while a line is being edited.
    let prompt: Arc<Mutex<Option<String>>> = Arc::default();
    let behind = prompt.clone();
    shell.printer.print_events_above(Box::new(move |text| {
        let prompt = behind.lock();
        let text = match &*prompt {
            Some(prompt) => format!("\r\x1b[K{text}\n{prompt}"),
            None => format!("{text}\n"),
        };
        let mut out = std::io::stdout().lock();
        // A terminal that is gone is found out by who reads from it.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }));
    while !shell.is_done {
        client.lock().clone_from(&shell.client);
        let text = shell.prompt();
        *prompt.lock() = Some(text.clone());
        let line = editor.readline(&text);
        *prompt.lock() = None;
        match line {
            Ok(line) => {
                // Proofs of identity are nobody's business.
                if !line.trim_start().starts_with("addauth") {
                    // An entry that is not taken is missed, and nothing more.
                    let _ = editor.add_history_entry(line.as_str());
                }
                // Else the session could not be ended from the command.
                *client.lock() = None;
                shell.execute_line(line.trim_end());
            }
            Err(ReadlineError::Interrupted) => {}
            Err(_) => break,
        }
    }
    if let Some(file) = &file {
        // Data is typed, too: nobody else may read it.
        let _ = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(file);
        let _ = restrict(file);
        let _ = editor.save_history(file);
        let _ = restrict(file);
    }
    true
}

fn history_file() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(PathBuf::from(home).join(".ferrokeeper_history"))
}

fn restrict(file: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))
}

#[derive(Helper, Highlighter, Hinter, Validator)]
struct Completions {
    client: Arc<Mutex<Option<Arc<Client>>>>,
}

impl Completer for Completions {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let before = &line[..position];
        let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let word = &before[start..];
        let first = before[..start].split_whitespace().next();
        let found = match first {
            None => commands(word),
            Some("help") => commands(word),
            Some(command) if word.starts_with('-') => options(command, word),
            Some(_) if word.starts_with('/') => self.paths(word),
            Some(_) => Vec::new(),
        };
        Ok((start, found))
    }
}

fn commands(word: &str) -> Vec<String> {
    let names = all_commands().into_iter().map(|(name, _)| name);
    let fitting = names.filter(|name| name.starts_with(word));
    fitting.map(|name| format!("{name} ")).collect()
}

fn options(command: &str, word: &str) -> Vec<String> {
    let names = Command::find(command)
        .into_iter()
        .flat_map(Command::options);
    let names = names.map(|name| format!("-{name} "));
    names.filter(|name| name.starts_with(word)).collect()
}

impl Completions {
    fn paths(&self, word: &str) -> Vec<String> {
        // Nobody wants to wait for a server because of a key.
        let Some(client) = self.client.lock().clone() else {
            return Vec::new();
        };
        if !matches!(client.state(), State::Connected | State::ConnectedReadOnly) {
            return Vec::new();
        }
        let (parent, begun) = word.rsplit_once('/').unwrap_or(("", word));
        let parent = if parent.is_empty() { "/" } else { parent };
        let Ok((mut children, _)) = client.get_children(parent, false) else {
            return Vec::new();
        };
        children.retain(|name| name.starts_with(begun));
        children.sort_unstable();
        children.truncate(CHILDREN_MAX);
        children
            .iter()
            .map(|name| path::child(parent, name))
            .collect()
    }
}
