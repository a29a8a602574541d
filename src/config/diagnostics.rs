//! What reading a configuration has to say: where a setting came from, what is wrong with it,
//! and what the operator should know. Nothing here logs; the caller does.
//!
//! Answers to Java's `QuorumPeerConfig.ConfigException` and to the log lines of its parser.

use std::fmt;
use std::sync::Arc;

/// Where a setting stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File {
        name: Arc<str>,
        line: u32,
    },
    /// A Java system property, by its full name (`-Dname=value`).
    Property(String),
    /// The positional arguments, or the built-in settings of a start without arguments.
    Arguments,
}

impl Origin {
    pub fn line(&self) -> Option<u32> {
        match self {
            Origin::File { line, .. } => Some(*line),
            Origin::Property(_) | Origin::Arguments => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { name, line } => write!(f, "{name}:{line}"),
            Origin::Property(name) => write!(f, "-D{name}"),
            Origin::Arguments => f.write_str("arguments"),
        }
    }
}

/// One thing that keeps the server from starting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{message}", prefix(.file, *.line), prefix(.key, None))]
pub struct ConfigError {
    pub file: Option<String>,
    pub line: Option<u32>,
    pub key: Option<String>,
    /// What is wrong and what is allowed; holds Java's own words where Java has some.
    pub message: String,
}

fn prefix(part: &Option<String>, line: Option<u32>) -> String {
    match (part, line) {
        (Some(part), Some(line)) => format!("{part}:{line}: "),
        (Some(part), None) => format!("{part}: "),
        (None, _) => String::new(),
    }
}

impl ConfigError {
    /// About the configuration as a whole, not one key of it.
    pub fn general(message: impl Into<String>) -> Self {
        ConfigError {
            file: None,
            line: None,
            key: None,
            message: message.into(),
        }
    }

    pub fn in_file(file: &str, message: impl Into<String>) -> Self {
        ConfigError {
            file: Some(file.to_owned()),
            ..ConfigError::general(message)
        }
    }

    pub fn at(origin: &Origin, key: &str, message: impl Into<String>) -> Self {
        let (file, key) = match origin {
            Origin::File { name, .. } => (Some(name.to_string()), key.to_owned()),
            Origin::Property(name) => (None, format!("-D{name}")),
            Origin::Arguments => (None, key.to_owned()),
        };
        ConfigError {
            file,
            line: origin.line(),
            key: Some(key),
            message: message.into(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Info,
    Warn,
    /// Java logs it as an error and starts all the same.
    Error,
}

/// Something to log once the logger stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub level: Level,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub text: String,
}

impl Notice {
    pub fn general(level: Level, text: impl Into<String>) -> Self {
        Notice {
            level,
            file: None,
            line: None,
            text: text.into(),
        }
    }

    pub fn at(level: Level, origin: &Origin, text: impl Into<String>) -> Self {
        let file = match origin {
            Origin::File { name, .. } => Some(name.to_string()),
            Origin::Property(name) => Some(format!("-D{name}")),
            Origin::Arguments => None,
        };
        Notice {
            file,
            line: origin.line(),
            ..Notice::general(level, text)
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", prefix(&self.file, self.line), self.text)
    }
}

/// Everything that is wrong with a configuration, in file order, and what was noticed besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    pub errors: Vec<ConfigError>,
    pub notices: Vec<Notice>,
}

impl From<ConfigError> for Invalid {
    fn from(error: ConfigError) -> Self {
        Invalid {
            errors: vec![error],
            notices: Vec::new(),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.errors.iter().enumerate() {
            let line_break = if at == 0 { "" } else { "\n" };
            write!(f, "{line_break}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}
