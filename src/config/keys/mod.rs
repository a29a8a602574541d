//! What there is to know about a key, and how to find one by any of its spellings.
//!
//! Holds no value and no default; those stand where a key is read, in `build`. The keys themselves
//! are in `table`. Answers to the routing by name in `QuorumPeerConfig.parseProperties`.

mod table;

pub use table::KEYS;

/// What this server makes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Read into `Config`.
    Honour,
    /// Read into `Config`; a standalone server has no use for it, here as in Java.
    EnsembleOnly,
    /// Accepted with a warning, for this reason.
    NoEffect(&'static str),
    /// Accepted without a word: it tunes a JVM, or a client.
    Silent,
    /// The server does not start; what to do instead.
    Refused(&'static str),
}

/// How the key can be given as a Java system property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// Only in the file.
    None,
    /// `-Dzookeeper.<name>`
    Prefixed,
    /// Under these full names.
    Named(&'static [&'static str]),
}

/// A part of the server that a key belongs to, where that part may be absent from a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    Core,
    Tls,
    Audit,
    /// How Java's own log and snapshot files are written.
    JavaFiles,
    /// The part of request throttling that matters when the server stops.
    ThrottleShutdown,
    ResponseCache,
}

#[derive(Debug)]
pub struct Key {
    /// The spelling that works in zoo.cfg. `x.*` stands for every key that begins with `x.`.
    pub name: &'static str,
    pub property: Property,
    /// Documented spellings that Java does not understand in zoo.cfg.
    pub aliases: &'static [&'static str],
    pub verdict: Verdict,
    pub feature: Feature,
    /// The value is a password or the hash of one: it is never printed.
    pub secret: bool,
}

impl Key {
    pub fn matches(&self, name: &str) -> bool {
        match self.family() {
            Some(prefix) => name.len() > prefix.len() && name.starts_with(prefix),
            None => name == self.name,
        }
    }

    /// For `x.*`: `x.`
    pub fn family(&self) -> Option<&'static str> {
        self.name.strip_suffix('*')
    }

    /// Whether a bad value stops the server. Java parses the keys of the file strictly and falls
    /// back to the default where it reads a system property.
    pub fn is_strict(&self) -> bool {
        self.property == Property::None
    }

    fn has_property(&self, property: &str) -> bool {
        match self.property {
            Property::None => false,
            Property::Prefixed => property
                .strip_prefix("zookeeper.")
                .is_some_and(|name| self.matches(name)),
            Property::Named(names) => names.contains(&property),
        }
    }
}

/// A key found under some spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub key: &'static Key,
    /// The spelling under which `build` asks for it.
    pub name: String,
    pub is_alias: bool,
}

impl PartialEq for &'static Key {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(*self, *other)
    }
}
impl Eq for &'static Key {}

/// Looks up a spelling used in zoo.cfg. Exact names win over families.
pub fn find(given: &str) -> Option<Found> {
    let found = |key, name: &str, is_alias| Found {
        key,
        name: name.to_owned(),
        is_alias,
    };
    let exact = KEYS.iter().find(|key| key.name == given);
    if let Some(key) = exact.or_else(|| longest_family(given)) {
        return Some(found(key, given, false));
    }
    let alias = KEYS.iter().find(|key| {
        key.aliases.contains(&given)
            || matches!(key.property, Property::Named(names) if names.contains(&given))
    })?;
    Some(found(alias, alias.name, true))
}

/// Looks up the full name of a Java system property.
pub fn find_property(property: &str) -> Option<Found> {
    let named = KEYS
        .iter()
        .find(|key| key.family().is_none() && key.has_property(property));
    if let Some(key) = named {
        return Some(Found {
            key,
            name: key.name.to_owned(),
            is_alias: false,
        });
    }
    let name = property.strip_prefix("zookeeper.")?;
    let key = longest_family(name).filter(|key| key.has_property(property))?;
    Some(Found {
        key,
        name: name.to_owned(),
        is_alias: false,
    })
}

fn longest_family(given: &str) -> Option<&'static Key> {
    let families = KEYS
        .iter()
        .filter(|key| key.family().is_some() && key.matches(given));
    families.max_by_key(|key| key.name.len())
}

/// The known spelling that looks most like an unknown one, if any looks like it at all.
pub fn nearest(given: &str) -> Option<&'static str> {
    let spellings = KEYS
        .iter()
        .flat_map(|key| std::iter::once(&key.name).chain(key.aliases));
    let candidates = spellings.filter(|spelling| !spelling.ends_with('*'));
    let (distance, best) = candidates
        .map(|spelling| (edit_distance(given, spelling), *spelling))
        .min()?;
    (distance <= 1 + given.chars().count() / 3).then_some(best)
}

/// Insertions, deletions and substitutions; a wrong case costs nothing.
fn edit_distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(200).flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_spelling_stands_for_two_keys() {
        let mut seen = BTreeSet::new();
        for key in KEYS {
            assert!(seen.insert(key.name), "{} twice", key.name);
            for alias in key.aliases {
                assert!(seen.insert(alias), "{alias} twice");
            }
        }
    }

    #[test]
    fn exact_names_win_over_families() {
        assert_eq!(find("server.1").unwrap().key.name, "server.*");
        assert_eq!(find("server.realm").unwrap().key.name, "server.realm");
        assert_eq!(
            find("sasl.clientconfig").unwrap().key.name,
            "sasl.clientconfig"
        );
        assert!(find("server.").is_none());
    }

    #[test]
    fn aliases_and_properties() {
        let throttle = find("connectionMaxTokens").unwrap();
        assert!(throttle.is_alias);
        assert_eq!(throttle.name, "connection_throttle_tokens");
        assert_eq!(
            find_property("zookeeper.connection_throttle_tokens")
                .unwrap()
                .name,
            throttle.name
        );
        assert_eq!(
            find_property("fsync.warningthresholdms").unwrap().name,
            "fsync.warningthresholdms"
        );
        assert_eq!(
            find_property("jute.maxbuffer").unwrap().name,
            "jute.maxbuffer"
        );
        assert_eq!(
            find_property("zookeeper.authProvider.sasl").unwrap().name,
            "authProvider.sasl"
        );
        // Read from the file only, or not with this prefix.
        assert_eq!(find_property("zookeeper.tickTime"), None);
        assert_eq!(find_property("tickTime"), None);
        assert_eq!(find_property("zookeeper.server.1"), None);
    }

    #[test]
    fn typing_errors_are_recognised() {
        let cases = [
            ("ticktime", Some("tickTime")),
            ("tickTme", Some("tickTime")),
            ("maxClientCnxs", Some("maxClientCnxns")),
            (
                "autopurge.snapRetainCont",
                Some("autopurge.snapRetainCount"),
            ),
            ("4lw.command.whitelist", Some("4lw.commands.whitelist")),
            ("completely.different.thing.altogether", None),
            ("", None),
        ];
        for (given, expected) in cases {
            assert_eq!(nearest(given), expected, "{given}");
        }
    }
}
