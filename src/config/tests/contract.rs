//! Every key that ZooKeeper's administrators know, and what becomes of it here: a row each, with a value that it takes and
//! the name of its system property. Only what `DIFFERENT` names, with the reason, is not as the row says.

use std::iter;

use super::*;

/// What has to happen with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It does what it does in Java.
    Works,
    /// One warning, with its line, that it has no effect.
    Warns,
    /// Nothing is said: nobody expects it to matter.
    Passes,
    /// The server does not start, and says what to do.
    Refuses,
}
use Fate::*;

/// The table, a line each.
const CONTRACT: &str = include_str!("contract.txt");

struct Row {
    key: String,
    fate: Fate,
    /// `None`: only in the file.
    property: Option<String>,
    value: String,
    /// Looked at in the file of a member of an ensemble.
    of_members: bool,
}

/// Keys that work in Java and are warned of here, and why.
const DIFFERENT: &str = "
    preAllocSize: there are no log files of Java's form
    snapCount: checkpoints pace themselves
    snapSizeLimitInKb: checkpoints pace themselves
    autopurge.snapRetainCount: there are no snapshot files of Java's form
    txnLogSizeLimitInKb: the log has no files that are rolled
    snapshot.compression.method: there are no snapshot files of Java's form
    snapshot.trust.empty: an import says what it found
    serializeLastProcessedZxid.enabled: snapshots always have it
    snapshotSizeFactor: the server itself decides what a learner gets
    observerMaster.sizeLimit: what is not in memory comes from the log
    kerberos.canonicalizeHostNames: of who logs in, which members do not by Kerberos
    kerberos.minReLoginTimeMs: of who logs in, which members do not by Kerberos
    maxResponseCacheSize: there is no cache
    maxGetChildrenResponseCacheSize: there is no cache
    request_throttler.shutdownTimeout: what waits is not answered at the end
";

/// Lines without which a key says something else, and that say nothing themselves.
fn with(key: &str) -> &'static str {
    match key {
        "maxWriteQueuePollTime" => "flushDelay=5\n",
        "authProvider.2" => "ssl.authProvider=x509\n",
        _ if key.starts_with("request_throttle") => "request_throttle_max_requests=5\n",
        _ => "",
    }
}

const MEMBERS: &str = "initLimit=10\nsyncLimit=5\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";

/// What is said about the key where nothing else stands in the file but what it needs; `line` is where it stands.
fn said(key: &str, value: &str, members: bool) -> (Vec<String>, Vec<String>, usize) {
    let own = format!("{key}=");
    let base: String = format!("{BASE}{}", if members { MEMBERS } else { "" })
        .lines()
        .filter(|line| !line.starts_with(&own))
        .map(|line| format!("{line}\n"))
        .collect();
    let before = format!("{base}{}", with(key));
    let line = before.lines().count() + 1;
    let mut sources = sources(&format!("{before}{key}={value}\n"));
    sources.my_id = file("/d/myid", "1");
    let mine = |text: &String| text.contains(key);
    match Config::from_sources(&sources, &SystemProperties::default()) {
        Ok(loaded) => (
            warnings(&loaded).into_iter().filter(mine).collect(),
            Vec::new(),
            line,
        ),
        Err(invalid) => {
            let warned = invalid.notices.iter().filter(|n| n.level >= Level::Warn);
            let errors = invalid.errors.iter().map(ConfigError::to_string);
            let warned = warned.map(Notice::to_string).filter(mine);
            (warned.collect(), errors.collect(), line)
        }
    }
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut of_members = false;
    for line in CONTRACT.lines() {
        if let Some(title) = line.strip_prefix("# ") {
            of_members = title.starts_with("Cluster");
            continue;
        }
        let mut cells = line.split_whitespace();
        let Some(key) = cells.next() else {
            continue;
        };
        let fate = match cells.next() {
            Some("works") => Works,
            Some("warns") => Warns,
            Some("passes") => Passes,
            Some("refuses") => Refuses,
            other => panic!("{line}: {other:?}"),
        };
        let property = cells.next().unwrap();
        let value = cells.collect::<Vec<_>>().join(" ");
        let prefixes: &[&str] = match key.strip_prefix("ssl.Q.") {
            Some(_) => &["ssl.", "ssl.quorum."],
            None => &[""],
        };
        for prefix in prefixes {
            let key = format!("{prefix}{}", key.strip_prefix("ssl.Q.").unwrap_or(key));
            let property = match property {
                "file" => None,
                "prop" => Some(format!("zookeeper.{key}")),
                other => Some(other.to_owned()),
            };
            rows.push(Row {
                key,
                fate,
                property,
                value: value.clone(),
                of_members,
            });
        }
    }
    rows
}

#[test]
fn every_key_has_the_fate_that_administrators_expect() {
    let mut wrong = Vec::new();
    let alone = rows().into_iter().filter(|row| !row.of_members);
    for (row, members) in alone
        .zip(iter::repeat(false))
        .chain(rows().into_iter().zip(iter::repeat(true)))
    {
        let Row { key, value, .. } = &row;
        let is_different = |line: &str| line.split(": ").next() == Some(key.as_str());
        // A server alone has no use for what members need, here or in Java.
        let is_of_use = members
            || keys::find(key).is_some_and(|known| known.key.verdict != Verdict::EnsembleOnly);
        let fate = match is_of_use && DIFFERENT.lines().map(str::trim).any(is_different) {
            true => Warns,
            false => row.fate,
        };
        let (warned, errors, line) = said(key, value, members);
        let at = format!("./zoo.cfg:{line}: ");
        let holds = match fate {
            Works | Passes => {
                let complaint = [
                    "unknown key",
                    "has no effect",
                    "have no effect",
                    "not available",
                ];
                errors.is_empty()
                    && !warned
                        .iter()
                        .any(|text| complaint.iter().any(|c| text.contains(c)))
            }
            Warns => {
                errors.is_empty()
                    && warned.len() == 1
                    && warned[0].starts_with(&at)
                    && warned[0].contains("no effect")
            }
            // More words than the key: what to do.
            Refuses => {
                errors.len() == 1
                    && errors[0].starts_with(&at)
                    && errors[0].contains(key)
                    && ["remove", "Choose", "use ", "Known"]
                        .iter()
                        .any(|word| errors[0].contains(word))
            }
        };
        if !holds {
            wrong.push(format!(
                "{key}={value}, members: {members}: {fate:?} expected; warned {warned:?}, refused {errors:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_system_property_is_known() {
    for Row { key, property, .. } in rows() {
        let Some(property) = property else {
            // Given as a property all the same, it is said where it belongs.
            let told = warnings(&read_with("", &format!("-Dzookeeper.{key}=1")));
            assert!(
                told.iter().any(|text| text.contains("zoo.cfg")),
                "{key}: {told:?}"
            );
            continue;
        };
        let found = keys::find_property(&property);
        assert_eq!(found.map(|found| found.name), Some(key), "{property}");
    }
}

#[test]
fn a_slip_in_any_key_is_told_with_the_right_one() {
    for Row { key, fate, .. } in rows() {
        let families = ["authProvider.", "superUser.", "pathStats.", "server."];
        if fate == Passes || families.iter().any(|family| key.starts_with(family)) {
            continue;
        }
        // Two letters changed places.
        let mut letters: Vec<char> = key.chars().collect();
        let at = letters.len() / 2;
        letters.swap(at - 1, at);
        let slip: String = letters.into_iter().collect();
        if slip == key || keys::find(&slip).is_some() {
            continue;
        }
        let told = only_warning(&format!("\n{slip}=1"));
        let wanted =
            format!("./zoo.cfg:4: {slip}: unknown key, it has no effect. Did you mean {key}?");
        assert_eq!(told, wanted);
    }
}

#[test]
fn the_table_of_keys_has_no_key_that_is_not_here() {
    let rows = rows();
    let known = |name: &str| {
        rows.iter().any(|row| row.key == name)
            // Families and what goes with them, and what has tests of its own.
            || name.ends_with('*')
            || name.starts_with("metricsProvider.")
    };
    let others: Vec<&str> = KEYS
        .iter()
        .filter(|key| matches!(key.verdict, Verdict::Honour | Verdict::EnsembleOnly))
        .map(|key| key.name)
        .filter(|name| !known(name))
        .collect();
    assert_eq!(
        others,
        [
            "secureClientPort",
            "secureClientPortAddress",
            "dynamicConfigFile",
            "java.security.auth.login.config",
            "java.security.krb5.conf",
            "java.security.krb5.realm",
            "ssl.ocsp",
            "ssl.quorum.ocsp",
            "admin.dashboard.edit",
        ]
    );
}
