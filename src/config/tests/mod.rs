//! Whole configurations: text in, `Config`, notices and errors out.
#![allow(clippy::unwrap_used)]

mod cluster;
mod contract;
mod messages;
mod refusals;
mod sasl;
mod sources;
mod tls;
mod values;

use super::keys::{Feature, KEYS, Verdict};
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
        next: None,
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

/// One line each; what is in the list of warnings besides is a failure.
fn only_warning(text: &str) -> String {
    let mut all = warnings(&read(text));
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    all.remove(0)
}

fn only_error(text: &str) -> String {
    let mut all = errors(text);
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    all.remove(0)
}

#[test]
fn every_honoured_key_is_read() {
    let asked = build::asked_for();
    let unread: Vec<&str> = KEYS
        .iter()
        .filter(|key| key.verdict == Verdict::Honour && !release::is_absent(key.feature))
        .map(|key| key.name)
        .filter(|name| !asked.contains(*name))
        .collect();
    assert_eq!(unread, Vec::<&str>::new());
}

#[test]
fn every_key_without_effect_warns_and_names_itself_and_its_line() {
    for key in KEYS
        .iter()
        .filter(|key| matches!(key.verdict, Verdict::NoEffect(_)))
    {
        let name = key.name.replace('*', "x");
        let warning = only_warning(&format!("{name}=1"));
        assert!(
            warning.starts_with(&format!(
                "./zoo.cfg:3: {name} has no effect in this server: "
            )),
            "{warning}"
        );
    }
}

#[test]
fn every_silent_key_is_silent() {
    for key in KEYS.iter().filter(|key| key.verdict == Verdict::Silent) {
        let name = key.name.replace('*', "x");
        assert_eq!(
            warnings(&read(&format!("{name}=1"))),
            Vec::<String>::new(),
            "{name}"
        );
    }
}

#[test]
fn every_refused_key_is_refused() {
    for key in KEYS
        .iter()
        .filter(|key| matches!(key.verdict, Verdict::Refused(_)))
    {
        let error = only_error(&format!("{}=x", key.name));
        assert!(
            error.starts_with(&format!("./zoo.cfg:3: {}: not supported: ", key.name)),
            "{error}"
        );
    }
}

#[test]
fn keys_of_absent_parts_warn_or_refuse() {
    let absent = KEYS
        .iter()
        .filter(|key| release::is_absent(key.feature) && key.verdict == Verdict::Honour);
    for key in absent {
        // A part that is switched off is not missed.
        let switch = match key.feature {
            Feature::ThrottleShutdown => "request_throttle_max_requests=5",
            _ => "",
        };
        let name = key.name.replace('*', "x");
        let value = match key.feature {
            Feature::ThrottleShutdown => "5",
            _ => "true",
        };
        let text = match name.as_str() {
            // Words of their own, read elsewhere.
            "secureClientPortAddress" | "audit.impl.class" => continue,
            _ if switch.starts_with(&name) => switch.to_owned(),
            _ => format!("{switch}\n{name}={value}"),
        };
        let (begin, listed) = (format!(": {name}: "), format!("{name} (./zoo.cfg:"));
        let alone = format!(": {name} has no effect: ");
        let is_told = match try_read(&format!("{BASE}{text}"), "") {
            Ok(loaded) => warnings(&loaded)
                .iter()
                .any(|line| line.contains(&listed) || line.contains(&alone)),
            Err(invalid) => invalid
                .errors
                .iter()
                .any(|e| e.to_string().contains(&begin)),
        };
        assert!(is_told, "{name}");
    }
}

proptest::proptest! {
    #[test]
    fn no_file_panics(
        lines in proptest::collection::vec((0..KEYS.len(), ".{0,12}"), 0..12),
        rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60),
    ) {
        let mut bytes = Vec::new();
        for (key, value) in lines {
            bytes.extend(KEYS[key].name.replace('*', "1").bytes());
            bytes.push(b'=');
            bytes.extend(value.bytes());
            bytes.push(b'\n');
        }
        bytes.extend(rest);
        let mut sources = sources("");
        sources.zoo_cfg.bytes = bytes;
        let _ = Config::from_sources(&sources, &SystemProperties::default());
    }

    #[test]
    fn no_number_panics(number: i64, key in 0..KEYS.len()) {
        let text = format!("{BASE}{}={number}", KEYS[key].name.replace('*', "1"));
        let _ = try_read(&text, "");
    }
}
