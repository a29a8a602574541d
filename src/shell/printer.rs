//! Where the shell's words go: results and events to stdout, complaints to stderr, as text or as JSON. The thread of
//! the session prints events beside the one that runs commands.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::client::Event;
use crate::json::Json;
use crate::proto::{EventType, KeeperState};

/// As of a process that a closed pipe ends.
const PIPE_CLOSED: i32 = 141;

/// Prints above the line that is being edited.
pub type Above = Box<dyn FnMut(String) + Send>;

pub struct Printer {
    pub is_json: bool,
    /// Results alone.
    pub is_quiet: bool,
    pub shows_events: AtomicBool,
    above: Mutex<Option<Above>>,
}

impl Printer {
    pub fn new(is_json: bool, is_quiet: bool) -> Printer {
        Printer {
            is_json,
            is_quiet,
            shows_events: AtomicBool::new(true),
            above: Mutex::new(None),
        }
    }

    /// From now on, events do not disturb the line that is being edited.
    pub fn print_events_above(&self, above: Above) {
        *self.above.lock() = Some(above);
    }

    /// A line of a result, where results are text.
    pub fn line(&self, text: impl AsRef<str>) {
        if !self.is_json {
            out(text.as_ref());
        }
    }

    /// What the original says on stderr, where results are text.
    pub fn aside(&self, text: impl AsRef<str>) {
        if !self.is_json {
            complain(text.as_ref());
        }
    }

    pub fn json(&self, value: &Json) {
        if self.is_json && *value != Json::Null {
            out(&value.to_string());
        }
    }

    /// What is not a result: greetings.
    pub fn remark(&self, text: &str) {
        if !self.is_json && !self.is_quiet {
            out(text);
        }
    }

    pub fn event(&self, event: &Event) {
        let of_session = event.kind == EventType::NONE;
        if !self.shows_events.load(Ordering::Relaxed) || (of_session && self.is_quiet) {
            return;
        }
        let text = match (self.is_json, of_session) {
            (true, true) => return,
            (true, false) => event_json(event).to_string(),
            (false, _) => format!("\nWATCHER::\n\n{}", event_text(event)),
        };
        match &mut *self.above.lock() {
            Some(above) => above(text),
            None => out(&text),
        }
    }
}

pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn out(text: &str) {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    if written.is_err() {
        // Whoever read has enough.
        std::process::exit(PIPE_CLOSED);
    }
}

fn event_text(event: &Event) -> String {
    format!(
        "WatchedEvent state:{} type:{} path:{} zxid: {}",
        state_name(event.state),
        kind_name(event.kind),
        event.path.as_deref().unwrap_or("null"),
        event.zxid
    )
}

fn event_json(event: &Event) -> Json {
    Json::object(vec![
        ("event", kind_name(event.kind).into()),
        ("path", event.path.clone().into()),
        ("zxid", format!("0x{:x}", event.zxid).into()),
        ("state", state_name(event.state).into()),
    ])
}

fn state_name(state: KeeperState) -> &'static str {
    match state {
        KeeperState::DISCONNECTED => "Disconnected",
        KeeperState::SYNC_CONNECTED => "SyncConnected",
        KeeperState::AUTH_FAILED => "AuthFailed",
        KeeperState::CONNECTED_READ_ONLY => "ConnectedReadOnly",
        KeeperState::SASL_AUTHENTICATED => "SaslAuthenticated",
        KeeperState::CLOSED => "Closed",
        KeeperState::EXPIRED => "Expired",
        _ => "Unknown",
    }
}

fn kind_name(kind: EventType) -> &'static str {
    match kind {
        EventType::NONE => "None",
        EventType::NODE_CREATED => "NodeCreated",
        EventType::NODE_DELETED => "NodeDeleted",
        EventType::NODE_DATA_CHANGED => "NodeDataChanged",
        EventType::NODE_CHILDREN_CHANGED => "NodeChildrenChanged",
        EventType::DATA_WATCH_REMOVED => "DataWatchRemoved",
        EventType::CHILD_WATCH_REMOVED => "ChildWatchRemoved",
        EventType::PERSISTENT_WATCH_REMOVED => "PersistentWatchRemoved",
        _ => "Unknown",
    }
}
