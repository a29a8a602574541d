//! Whole configurations: text in, `Config`, notices and errors out.
#![allow(clippy::unwrap_used)]

use super::keys::{KEYS, Verdict};
use super::*;

const BASE: &str = "dataDir=/d\nclientPort=2181\n";

fn sources(text: &str) -> Sources {
    let zoo_cfg = SourceFile {
        name: "./zoo.cfg".to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    Sources {
        zoo_cfg,
        dynamic: None,
        my_id: None,
    }
}

fn file(name: &str, text: &str) -> Option<SourceFile> {
    Some(SourceFile {
        name: name.to_owned(),
        bytes: text.as_bytes().to_vec(),
    })
}

fn try_read(text: &str, flags: &str) -> Result<Loaded, Invalid> {
    Config::from_sources(&sources(text), &SystemProperties::new("", flags, []))
}

/// Reads `BASE` and then `text`, whose first line is line 3.
fn read(text: &str) -> Loaded {
    read_with(text, "")
}

fn read_with(text: &str, flags: &str) -> Loaded {
    try_read(&format!("{BASE}{text}"), flags).unwrap_or_else(|invalid| panic!("{text}: {invalid}"))
}

fn errors(text: &str) -> Vec<String> {
    let invalid = try_read(&format!("{BASE}{text}"), "").expect_err(text);
    invalid.errors.iter().map(ConfigError::to_string).collect()
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    let warnings = loaded.1.iter().filter(|notice| notice.level >= Level::Warn);
    warnings
        .map(Notice::to_string)
        .filter(|text| !text.contains("running in standalone mode"))
        .collect()
}

#[test]
fn every_honoured_key_is_read() {
    let asked = build::asked_for();
    let promised = KEYS.iter().filter(|key| key.verdict == Verdict::Honour);
    let unread: Vec<&str> = promised
        .map(|key| key.name)
        .filter(|name| !asked.contains(*name))
        .collect();
    let absent = |name: &&str| {
        !keys::find(name.trim_end_matches('*'))
            .is_some_and(|found| found.key.feature != keys::Feature::Core)
    };
    let unread: Vec<&str> = unread.into_iter().filter(absent).collect();
    assert_eq!(unread, Vec::<&str>::new());
}
