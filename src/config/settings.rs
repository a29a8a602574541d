//! Keys and values from every source -> one value for each known key, with its origin, and a word
//! about each key that is unknown, misspelled, refused or without effect.
//!
//! Knows spellings and precedence, not the meaning of a value. Answers to the routing of
//! `QuorumPeerConfig.parseProperties`: what the file sets wins over a system property.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::diagnostics::{ConfigError, Level, Notice, Origin};
use super::keys::{self, Found, Key, Verdict};
use super::system_properties::SystemProperties;
use super::values;

/// Errors and notices as they come up.
#[derive(Debug, Default)]
pub struct Diagnostics {
    pub errors: Vec<ConfigError>,
    pub notices: Vec<Notice>,
}

impl Diagnostics {
    pub fn warn(&mut self, origin: &Origin, text: impl Into<String>) {
        self.notices.push(Notice::at(Level::Warn, origin, text));
    }

    pub fn general(&mut self, level: Level, text: impl Into<String>) {
        self.notices.push(Notice::general(level, text));
    }

    pub fn error(&mut self, origin: &Origin, key: &str, message: impl Into<String>) {
        self.errors.push(ConfigError::at(origin, key, message));
    }
}

/// The value that counts for one key.
#[derive(Debug, Clone)]
pub struct Setting {
    pub key: &'static Key,
    pub value: String,
    pub origin: Origin,
}

/// Settings by the name under which zoo.cfg knows them.
#[derive(Debug, Default)]
pub struct Settings {
    values: BTreeMap<String, Setting>,
}

/// One line of a file, or what stands for it.
#[derive(Debug, Clone)]
pub struct Given {
    pub key: String,
    pub value: String,
    pub origin: Origin,
}

impl Settings {
    pub fn resolve(
        given: Vec<Given>,
        properties: &SystemProperties,
        diagnostics: &mut Diagnostics,
    ) -> Settings {
        let mut settings = Settings::default();
        for line in given {
            settings.take_line(line, diagnostics);
        }
        for (name, value) in properties.iter() {
            settings.take_property(name, value, diagnostics);
        }
        settings
    }

    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.values.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.values
            .iter()
            .map(|(name, setting)| (name.as_str(), setting))
    }

    /// Every key that begins with `prefix`, with what follows it.
    pub fn family(&self, prefix: &str) -> impl Iterator<Item = (&str, &Setting)> {
        let from = self.values.range(prefix.to_owned()..);
        from.map_while(move |(name, setting)| Some((name.strip_prefix(prefix)?, setting)))
    }

    fn take_line(&mut self, line: Given, diagnostics: &mut Diagnostics) {
        let Given {
            key: spelling,
            value,
            origin,
        } = line;
        let unprefixed = spelling.strip_prefix("zookeeper.").and_then(keys::find);
        let found = match (keys::find(&spelling), unprefixed) {
            (Some(found), _) => {
                if found.is_alias {
                    let text = format!("{spelling}: taken as {}", found.name);
                    diagnostics
                        .notices
                        .push(Notice::at(Level::Info, &origin, text));
                }
                found
            }
            (None, Some(found)) => {
                let name = &found.name;
                diagnostics.warn(
                    &origin,
                    format!(
                        "{spelling}: keys of this file have no zookeeper. prefix; taken as {name}"
                    ),
                );
                found
            }
            (None, None) => {
                diagnostics.warn(&origin, format!("{spelling}: {}", unknown(&spelling)));
                return;
            }
        };
        let Found {
            key,
            name,
            is_alias,
        } = found;
        if let Some(earlier) = self.values.get(&name) {
            let earlier_origin = &earlier.origin;
            if is_alias {
                diagnostics.warn(
                    &origin,
                    format!("{spelling}: ignored, {name} is set at {earlier_origin}"),
                );
                return;
            }
            diagnostics.warn(
                &origin,
                format!("{spelling}: set before at {earlier_origin}; the last value counts"),
            );
        }
        if judge(key, &spelling, &origin, diagnostics) {
            self.values.insert(name, Setting { key, value, origin });
        }
    }

    fn take_property(&mut self, property: &str, value: &str, diagnostics: &mut Diagnostics) {
        let origin = Origin::Property(property.to_owned());
        let Some(Found { key, name, .. }) = keys::find_property(property) else {
            if let Some(text) = unknown_property(property) {
                diagnostics.warn(&origin, text);
            }
            return;
        };
        if self.values.contains_key(&name) {
            return;
        }
        if judge(key, property, &origin, diagnostics) {
            let value = value.to_owned();
            self.values.insert(name, Setting { key, value, origin });
        }
    }
}

/// Whether the value is of any use; says why where it is not.
fn judge(key: &Key, spelling: &str, origin: &Origin, diagnostics: &mut Diagnostics) -> bool {
    match key.verdict {
        Verdict::Honour | Verdict::EnsembleOnly => true,
        Verdict::Silent => false,
        Verdict::NoEffect(reason) => {
            diagnostics.warn(
                origin,
                format!("{spelling} has no effect in this server: {reason}"),
            );
            false
        }
        Verdict::Refused(instead) => {
            diagnostics.error(origin, spelling, format!("not supported: {instead}"));
            false
        }
    }
}

fn unknown(spelling: &str) -> String {
    match keys::nearest(spelling) {
        Some(nearest) => format!("unknown key, it has no effect. Did you mean {nearest}?"),
        None => "unknown key, it has no effect".to_owned(),
    }
}

/// Properties of the JVM itself and of its libraries; nobody expects them to matter here.
const JVM_NAMES: &[&str] = &[
    "java.",
    "javax.",
    "jdk.",
    "sun.",
    "com.sun.",
    "user.",
    "file.",
    "os.",
    "io.netty.",
    "log4j",
    "logback.",
    "org.",
    "networkaddress.",
    "http.",
    "https.",
    "snappy",
    "line.",
];

fn unknown_property(property: &str) -> Option<String> {
    if JVM_NAMES.iter().any(|prefix| property.starts_with(prefix)) {
        return None;
    }
    let name = property.strip_prefix("zookeeper.").unwrap_or(property);
    let text = match keys::find(name) {
        Some(Found { key, name, .. }) => match key.property {
            keys::Property::None => {
                format!("no effect as a system property; put {name} into zoo.cfg")
            }
            keys::Property::Prefixed => {
                format!("no effect under this name; the property is zookeeper.{name}")
            }
            keys::Property::Named(names) => {
                format!("no effect under this name; the property is {}", names[0])
            }
        },
        None => match keys::nearest(name) {
            Some(nearest) => format!("unknown property, it has no effect. Did you mean {nearest}?"),
            None => "unknown property, it has no effect".to_owned(),
        },
    };
    Some(text)
}

/// Typed access. A bad value is an error where Java parses strictly; where Java falls back to its
/// default, so does this, but with a warning.
pub struct Reader<'a> {
    pub settings: &'a Settings,
    pub diagnostics: &'a mut Diagnostics,
    /// Names asked for, so that a test can find keys that the table promises and nobody reads.
    #[cfg(test)]
    pub asked: std::collections::BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub fn new(settings: &'a Settings, diagnostics: &'a mut Diagnostics) -> Self {
        Reader {
            settings,
            diagnostics,
            #[cfg(test)]
            asked: Default::default(),
        }
    }

    pub fn setting(&mut self, name: &str) -> Option<&'a Setting> {
        debug_assert!(
            keys::find(name).is_some_and(|found| !found.is_alias),
            "{name}"
        );
        #[cfg(test)]
        self.asked.insert(name.to_owned());
        self.settings.get(name)
    }

    pub fn family(
        &mut self,
        prefix: &str,
    ) -> impl Iterator<Item = (&'a str, &'a Setting)> + use<'a> {
        #[cfg(test)]
        self.asked.insert(format!("{prefix}*"));
        let settings: Vec<_> = self.settings.family(prefix).collect();
        settings.into_iter()
    }

    pub fn text(&mut self, name: &str) -> Option<String> {
        self.setting(name).map(|setting| setting.value.clone())
    }

    /// `None`, like an absent key, where the value is empty.
    pub fn nonempty(&mut self, name: &str) -> Option<String> {
        self.text(name).filter(|value| !value.is_empty())
    }

    /// A whole number; `what` says what it counts ("a number of milliseconds").
    pub fn int(
        &mut self,
        name: &str,
        default: i64,
        allowed: RangeInclusive<i64>,
        what: &str,
    ) -> i64 {
        let range = bounds(&allowed);
        self.parsed(name, default, &format!("{what}{range}"), |text| {
            values::integer(text).filter(|number| allowed.contains(number))
        })
    }

    pub fn decimal(&mut self, name: &str, default: f64, what: &str) -> f64 {
        self.parsed(name, default, what, values::decimal)
    }

    /// Any other value of a grammar.
    pub fn parsed<T: std::fmt::Display>(
        &mut self,
        name: &str,
        default: T,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        let Some(setting) = self.setting(name) else {
            return default;
        };
        if let Some(value) = parse(&setting.value) {
            return value;
        }
        let message = format!(
            "For input string: \"{}\": expected {expected}",
            setting.value
        );
        if setting.key.is_strict() {
            self.diagnostics.error(&setting.origin, name, message);
        } else {
            let text = format!("{name}: {message}; the default of {default} is used");
            self.diagnostics.warn(&setting.origin, text);
        }
        default
    }

    pub fn boolean(&mut self, name: &str, default: bool) -> bool {
        let Some(setting) = self.setting(name) else {
            return default;
        };
        let value = setting.value.as_str();
        if value.eq_ignore_ascii_case("true") {
            return true;
        }
        if !value.eq_ignore_ascii_case("false") {
            if setting.key.is_strict() {
                let message =
                    format!("Invalid option {value} for {name}. Choose 'true' or 'false.'");
                self.diagnostics.error(&setting.origin, name, message);
                // Already told; what follows from a guess would only mislead.
                return default;
            } else {
                let text = format!("{name}: '{value}' counts as false. Choose true or false");
                self.diagnostics.warn(&setting.origin, text);
            }
        }
        false
    }

    /// A switch with words of its own: on for exactly `word`, or off for exactly `word`.
    pub fn is_word(&mut self, name: &str, word: &str) -> bool {
        let Some(setting) = self.setting(name) else {
            return false;
        };
        let confusing = ["yes", "no", "true", "false", "on", "off", "0", "1"];
        let other = if word == "no" { "yes" } else { "no" };
        if setting.value != word
            && setting.value != other
            && confusing.contains(&setting.value.to_ascii_lowercase().as_str())
        {
            let text = format!(
                "{name}: only the exact word {word} changes anything, not '{}'",
                setting.value
            );
            self.diagnostics.warn(&setting.origin, text);
        }
        setting.value == word
    }
}

fn bounds(allowed: &RangeInclusive<i64>) -> String {
    match (*allowed.start(), *allowed.end()) {
        (i64::MIN, i64::MAX) => String::new(),
        // Where negative numbers mean "none", the lower end says nothing.
        (low, high) if low < -1 => format!(" up to {high}"),
        (low, i64::MAX) => format!(" of at least {low}"),
        (low, high) => format!(" from {low} to {high}"),
    }
}
