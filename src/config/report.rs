//! The answer to `ferrokeeper config check`: what is understood, what to know, what is wrong.
//!
//! Must not print a secret. Java has no such command.

use std::fmt::Write as _;
use std::path::Path;

use super::diagnostics::{Invalid, Level, Notice, Origin};
use super::keys::Verdict;
use super::settings::{Diagnostics, Setting, Settings};
use super::{Config, SystemProperties, build, load, release};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub text: String,
    /// Whether the server would start.
    pub is_valid: bool,
}

pub fn check(path: &Path, properties: &SystemProperties) -> Report {
    let mut text = String::new();
    let result = match load::read(path) {
        Ok(sources) => {
            let settings = build::settings(&sources, properties, &mut Diagnostics::default());
            understood(&settings, &mut text);
            Config::from_sources(&sources, properties)
        }
        Err(error) => Err(Invalid::from(error)),
    };
    let (notices, errors) = match &result {
        Ok((_, notices)) => (notices, &[][..]),
        Err(invalid) => (&invalid.notices, &invalid.errors[..]),
    };
    section(
        "Good to know",
        notices,
        |notice| notice.level == Level::Info,
        &mut text,
    );
    section(
        "Warnings",
        notices,
        |notice| notice.level > Level::Info,
        &mut text,
    );
    if errors.is_empty() {
        text.push_str("The configuration is valid.\n");
    } else {
        text.push_str("Errors: the server would not start\n");
        for error in errors {
            let _ = writeln!(text, "  {error}");
        }
    }
    Report {
        text,
        is_valid: errors.is_empty(),
    }
}

fn understood(settings: &Settings, text: &mut String) {
    let honoured = settings.iter().filter(|(_, setting)| {
        matches!(setting.key.verdict, Verdict::Honour | Verdict::EnsembleOnly)
            && !release::is_absent(setting.key.feature)
    });
    let mut honoured: Vec<(&str, &Setting)> = honoured.collect();
    honoured.sort_by_key(|(_, setting)| setting.origin.line());
    if !honoured.is_empty() {
        text.push_str("Understood\n");
    }
    for (name, setting) in honoured {
        let value = if setting.key.secret {
            "(hidden)"
        } else {
            &setting.value
        };
        let _ = match &setting.origin {
            Origin::Arguments => writeln!(text, "  {name}={value}"),
            origin => writeln!(text, "  {origin}: {name}={value}"),
        };
    }
}

fn section(title: &str, notices: &[Notice], belongs: impl Fn(&Notice) -> bool, text: &mut String) {
    let mut notices = notices.iter().filter(|notice| belongs(notice)).peekable();
    if notices.peek().is_some() {
        let _ = writeln!(text, "{title}");
    }
    for notice in notices {
        let _ = writeln!(text, "  {notice}");
    }
}
