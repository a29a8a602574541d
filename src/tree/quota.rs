//! Quotas: their text, which marked path is charged for a znode, and the check against limits.
//!
//! The znodes under /zookeeper/quota belong to the tree; this only knows paths and text.
//! Answers to Java's `Quotas`, `StatsTrack`, `PathTrie` and `ZooKeeperServer.checkQuota`.

use std::fmt;

use hashbrown::HashSet;
use nom::bytes::complete::take_while;
use nom::character::complete::{char, one_of};
use nom::combinator::{all_consuming, map_opt};
use nom::multi::{many0_count, separated_list1};
use nom::sequence::preceded;
use nom::{IResult, Parser};

/// Where quotas live.
pub const QUOTA_ROOT: &str = "/zookeeper/quota";
/// The leaf that holds the limits of the path above it.
pub const LIMITS_NODE: &str = "zookeeper_limits";
/// The leaf that holds the usage of the path above it.
pub const STATS_NODE: &str = "zookeeper_stats";

const COUNT: &str = "count";
const BYTES: &str = "bytes";
const COUNT_HARD_LIMIT: &str = "countHardLimit";
const BYTE_HARD_LIMIT: &str = "byteHardLimit";

/// The path of the limits of `path`.
pub fn limits_path(path: &str) -> String {
    format!("{QUOTA_ROOT}{path}/{LIMITS_NODE}")
}

/// The path of the usage of `path`.
pub fn stats_path(path: &str) -> String {
    format!("{QUOTA_ROOT}{path}/{STATS_NODE}")
}

/// The path whose quota a znode called `zookeeper_limits` sets, or `None` if `path` is no such
/// znode. The root cannot have a quota.
pub fn limited_path(path: &str) -> Option<&str> {
    quota_of(path, LIMITS_NODE)
}

/// The path whose usage a znode called `zookeeper_stats` shows.
pub fn tracked_path(path: &str) -> Option<&str> {
    quota_of(path, STATS_NODE)
}

fn quota_of<'a>(path: &'a str, leaf: &str) -> Option<&'a str> {
    let of = path
        .strip_prefix(QUOTA_ROOT)?
        .strip_suffix(leaf)?
        .strip_suffix('/')?;
    // Nothing before the leaf is the root; a longer name than "quota" is another znode.
    (of.len() > 1 && of.starts_with('/')).then_some(of)
}

/// The text of a limits or stats znode: numbers under names, of which only some mean something.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entries<'a>(Vec<(&'a str, i64)>);

impl<'a> Entries<'a> {
    /// `None` if the text is malformed: Java throws on it.
    fn parse(text: &'a str) -> Option<Self> {
        if text.bytes().all(|byte| matches!(byte, b',' | b';')) {
            return Some(Entries(Vec::new()));
        }
        let (_, entries) = all_consuming(entries).parse(text).ok()?;
        Some(Entries(entries))
    }

    /// -1 where the name is absent: the later of two wins.
    fn get(&self, name: &str) -> i64 {
        self.0
            .iter()
            .rev()
            .find_map(|(key, number)| (*key == name).then_some(*number))
            .unwrap_or(-1)
    }
}

/// `name=number` between runs of commas and semicolons. What follows a second `=` is not looked at:
/// `bytes=10=` is how newer servers end the part that old ones read.
fn entries(input: &str) -> IResult<&str, Vec<(&str, i64)>> {
    let separators = |input| preceded(one_of(",;"), many0_count(one_of(",;"))).parse(input);
    let (input, entries) = separated_list1(separators, entry).parse(input)?;
    let (input, _) = many0_count(one_of(",;")).parse(input)?;
    Ok((input, entries))
}

fn entry(input: &str) -> IResult<&str, (&str, i64)> {
    let name = take_while(|c| !matches!(c, '=' | ',' | ';'));
    let number = map_opt(take_while(|c| !matches!(c, ',' | ';')), |rest: &str| {
        // Java's split drops empty parts from the end: `count=` has no second part at all, while
        // that of `count==3` is empty.
        match rest.split('=').next()? {
            "" if rest.bytes().all(|byte| byte == b'=') => None,
            "" => Some(-1),
            number => number.parse().ok(),
        }
    });
    (name, preceded(char('='), number)).parse(input)
}

/// What a path may hold; -1 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLimits {
    pub count: i64,
    pub bytes: i64,
    pub count_hard: i64,
    pub bytes_hard: i64,
}

impl QuotaLimits {
    pub const UNLIMITED: QuotaLimits = QuotaLimits {
        count: -1,
        bytes: -1,
        count_hard: -1,
        bytes_hard: -1,
    };

    /// Reads a limits znode. Null or malformed data limits nothing; Java stops or answers an
    /// internal error.
    pub fn parse(data: Option<&[u8]>) -> Self {
        let text = String::from_utf8_lossy(data.unwrap_or_default());
        let Some(entries) = Entries::parse(&text) else {
            return QuotaLimits::UNLIMITED;
        };
        QuotaLimits {
            count: entries.get(COUNT),
            bytes: entries.get(BYTES),
            count_hard: entries.get(COUNT_HARD_LIMIT),
            bytes_hard: entries.get(BYTE_HARD_LIMIT),
        }
    }
}

impl fmt::Display for QuotaLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{COUNT}={},{BYTES}={}", self.count, self.bytes)?;
        let hard = [
            (BYTE_HARD_LIMIT, self.bytes_hard),
            (COUNT_HARD_LIMIT, self.count_hard),
        ];
        if hard.iter().any(|(_, limit)| *limit != -1) {
            f.write_str("=")?;
        }
        for (name, limit) in hard {
            if limit != -1 {
                write!(f, ";{name}={limit}")?;
            }
        }
        Ok(())
    }
}

/// What a path holds, itself included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuotaUsage {
    pub count: i64,
    pub bytes: i64,
}

impl QuotaUsage {
    /// Reads a stats znode. Null or malformed data counts as nothing.
    pub fn parse(data: Option<&[u8]>) -> Self {
        let text = data.map(String::from_utf8_lossy);
        match text.as_deref().and_then(Entries::parse) {
            Some(entries) => QuotaUsage {
                count: entries.get(COUNT),
                bytes: entries.get(BYTES),
            },
            None => QuotaUsage::default(),
        }
    }

    /// The data of a stats znode after a change. Entries that clients wrote beside the two numbers
    /// stay, in the order of their names.
    pub fn charge(data: Option<&[u8]>, count_change: i64, bytes_change: i64) -> Vec<u8> {
        let usage = Self::parse(data);
        let text = String::from_utf8_lossy(data.unwrap_or_default());
        let entries = Entries::parse(&text).unwrap_or(Entries(Vec::new()));
        let mut others: Vec<&str> = entries
            .0
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| *name != COUNT && *name != BYTES)
            .collect();
        others.sort_unstable();
        others.dedup();
        let changed = QuotaUsage {
            count: usage.count.wrapping_add(count_change),
            bytes: usage.bytes.wrapping_add(bytes_change),
        };
        let mut text = changed.to_string();
        if !others.is_empty() {
            text.push('=');
        }
        for name in others {
            use fmt::Write;
            write!(text, ";{name}={}", entries.get(name)).expect("a String takes everything");
        }
        text.into_bytes()
    }
}

impl fmt::Display for QuotaUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{COUNT}={},{BYTES}={}", self.count, self.bytes)
    }
}

/// A limit that a write would cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    pub dimension: Dimension,
    /// A hard limit refuses the write; a soft one is only logged.
    pub hard: bool,
    /// What the path would hold.
    pub usage: i64,
    pub limit: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    Count,
    Bytes,
}

impl Exceeded {
    /// The log line that operators know.
    pub fn message(&self, path: &str) -> String {
        let (dimension, limit) = match self.dimension {
            Dimension::Count => ("count", "CountLimit"),
            Dimension::Bytes => ("bytes", "ByteLimit"),
        };
        let kind = if self.hard { "hard" } else { "soft" };
        format!(
            "Quota exceeded: {path} [current {dimension}={}, {kind}{limit}={}]",
            self.usage, self.limit
        )
    }
}

/// The limits that a write with these changes would cross, count before bytes. At most the first
/// hard one is given: it ends the check.
pub fn exceeds(
    usage: QuotaUsage,
    limits: QuotaLimits,
    count_change: i64,
    bytes_change: i64,
) -> impl Iterator<Item = Exceeded> {
    let dimensions = [
        (
            Dimension::Count,
            usage.count,
            count_change,
            limits.count,
            limits.count_hard,
        ),
        (
            Dimension::Bytes,
            usage.bytes,
            bytes_change,
            limits.bytes,
            limits.bytes_hard,
        ),
    ];
    let mut refused = false;
    dimensions
        .into_iter()
        .filter_map(move |(dimension, used, change, soft, hard)| {
            let (limit, is_hard) = if hard > -1 {
                (hard, true)
            } else {
                (soft, false)
            };
            let usage = used.saturating_add(change);
            if refused || change == 0 || limit < 0 || usage <= limit {
                return None;
            }
            refused = is_hard;
            Some(Exceeded {
                dimension,
                hard: is_hard,
                usage,
                limit,
            })
        })
}

/// The paths that have a quota.
#[derive(Debug, Clone, Default)]
pub struct QuotaIndex {
    marked: HashSet<Box<str>>,
}

impl QuotaIndex {
    /// `path` has a quota from now on; a mark on the root means nothing.
    pub fn mark(&mut self, path: &str) {
        if path.len() > 1 && path.starts_with('/') {
            self.marked.insert(path.into());
        }
    }

    /// `path` has no quota any more.
    pub fn unmark(&mut self, path: &str) {
        self.marked.remove(path);
    }

    pub fn clear(&mut self) {
        self.marked.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.marked.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.marked.iter().map(|path| &**path)
    }

    /// The path that is charged for `path`: itself or its nearest ancestor with a quota.
    pub fn deepest<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.marked.is_empty() {
            return None;
        }
        let mut candidate = path;
        loop {
            if self.marked.contains(candidate) {
                return Some(candidate);
            }
            let (parent, _) = candidate.rsplit_once('/')?;
            if parent.is_empty() {
                return None;
            }
            candidate = parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(text: &str) -> QuotaLimits {
        QuotaLimits::parse(Some(text.as_bytes()))
    }

    fn usage(text: &str) -> QuotaUsage {
        QuotaUsage::parse(Some(text.as_bytes()))
    }

    #[test]
    fn text_of_limits() {
        let all = QuotaLimits {
            count: 3,
            bytes: 10,
            count_hard: 5,
            bytes_hard: 9,
        };
        let text = "count=3,bytes=10=;byteHardLimit=9;countHardLimit=5";
        assert_eq!(all.to_string(), text);
        assert_eq!(limits(text), all);
        assert_eq!(QuotaLimits::UNLIMITED.to_string(), "count=-1,bytes=-1");
        let soft = QuotaLimits {
            count: 3,
            ..QuotaLimits::UNLIMITED
        };
        assert_eq!(soft.to_string(), "count=3,bytes=-1");
        let hard = QuotaLimits {
            count_hard: 7,
            ..QuotaLimits::UNLIMITED
        };
        assert_eq!(hard.to_string(), "count=-1,bytes=-1=;countHardLimit=7");
    }

    #[test]
    fn readings_of_usage() {
        for (text, count, bytes) in [
            ("count=3,bytes=10", 3, 10),
            ("bytes=10,count=3", 3, 10),
            ("count=3;;,;bytes=10,,", 3, 10),
            ("count=3,bytes=10=;x=1", 3, 10),
            ("count=3=4,bytes==7", 3, -1),
            ("count=3==,bytes=10=", 3, 10),
            ("count=1,count=2", 2, -1),
            ("count=+3,bytes=-5", 3, -5),
            ("=7", -1, -1),
            ("", -1, -1),
            (";,", -1, -1),
        ] {
            assert_eq!(usage(text), QuotaUsage { count, bytes }, "{text}");
        }
    }

    #[test]
    fn malformed_text_is_nothing_and_limits_nothing() {
        for text in [
            "count",
            "count=3,bytes=x",
            "hello",
            "count=",
            "count=3,bytes==",
            ",count=3",
            "count=3 ",
            "count=99999999999999999999",
        ] {
            assert_eq!(usage(text), QuotaUsage::default(), "{text}");
            assert_eq!(limits(text), QuotaLimits::UNLIMITED, "{text}");
        }
        assert_eq!(QuotaUsage::parse(None), QuotaUsage::default());
        assert_eq!(QuotaLimits::parse(None), QuotaLimits::UNLIMITED);
        assert_eq!(QuotaUsage::parse(Some(b"\xff")), QuotaUsage::default());
    }

    #[test]
    fn charging() {
        for (before, count, bytes, after) in [
            (Some("count=3,bytes=10"), 1, 5, "count=4,bytes=15"),
            (Some("count=3,bytes=10"), -1, -10, "count=2,bytes=0"),
            (
                Some("count=1,bytes=1=;z=1;a=2;z=3"),
                1,
                0,
                "count=2,bytes=1=;a=2;z=3",
            ),
            (Some("garbage"), 1, 5, "count=1,bytes=5"),
            (None, 1, 5, "count=1,bytes=5"),
            (Some(""), 1, 5, "count=0,bytes=4"),
        ] {
            let data = QuotaUsage::charge(before.map(str::as_bytes), count, bytes);
            assert_eq!(String::from_utf8_lossy(&data), after, "{before:?}");
        }
    }

    #[test]
    fn crossing_limits() {
        let held = QuotaUsage {
            count: 5,
            bytes: 100,
        };
        for (text, count, bytes, crossed) in [
            ("count=6,bytes=200", 1, 1, vec![]),
            (
                "count=5,bytes=100",
                1,
                1,
                vec![
                    "[current count=6, softCountLimit=5]",
                    "[current bytes=101, softByteLimit=100]",
                ],
            ),
            ("count=5,bytes=100", 0, 0, vec![]),
            ("count=5,bytes=100", 0, -1, vec![]),
            (
                "count=1,bytes=1",
                0,
                -1,
                vec!["[current bytes=99, softByteLimit=1]"],
            ),
            ("count=-1,bytes=-1", 1, 1, vec![]),
            (
                "count=0,bytes=-1",
                1,
                1,
                vec!["[current count=6, softCountLimit=0]"],
            ),
            (
                "count=1,bytes=1=;countHardLimit=9;byteHardLimit=900",
                1,
                1,
                vec![],
            ),
            (
                "count=9,bytes=1=;countHardLimit=5;byteHardLimit=1",
                1,
                1,
                vec!["[current count=6, hardCountLimit=5]"],
            ),
            (
                "count=1,bytes=1=;byteHardLimit=100",
                1,
                1,
                vec![
                    "[current count=6, softCountLimit=1]",
                    "[current bytes=101, hardByteLimit=100]",
                ],
            ),
        ] {
            let found: Vec<_> = exceeds(held, limits(text), count, bytes)
                .map(|e| e.message("/p"))
                .collect();
            let expected: Vec<_> = crossed
                .iter()
                .map(|text| format!("Quota exceeded: /p {text}"))
                .collect();
            assert_eq!(found, expected, "{text} {count} {bytes}");
        }
    }

    #[test]
    fn paths_of_quota_nodes() {
        assert_eq!(limits_path("/a/b"), "/zookeeper/quota/a/b/zookeeper_limits");
        assert_eq!(stats_path("/a"), "/zookeeper/quota/a/zookeeper_stats");
        for (path, limited) in [
            ("/zookeeper/quota/a/zookeeper_limits", Some("/a")),
            ("/zookeeper/quota/a/b/zookeeper_limits", Some("/a/b")),
            ("/zookeeper/quota/zookeeper_limits", None),
            ("/zookeeper/zookeeper_limits", None),
            ("/zookeeper/a/zookeeper_limits", None),
            ("/zookeeper/quotas/zookeeper_limits", None),
            ("/zookeeper/quotas/a/zookeeper_limits", None),
            ("/zookeeper/quota/a/my_zookeeper_limits", None),
            ("/zookeeper/quota/a/zookeeper_limits/b", None),
            ("/zookeeper/quota/a/zookeeper_stats", None),
            ("/a/zookeeper_limits", None),
            ("", None),
        ] {
            assert_eq!(limited_path(path), limited, "{path}");
        }
        assert_eq!(
            tracked_path("/zookeeper/quota/a/zookeeper_stats"),
            Some("/a")
        );
    }

    #[test]
    fn the_deepest_mark_is_charged() {
        let mut index = QuotaIndex::default();
        assert_eq!(index.deepest("/a/b"), None);
        for path in ["/", "", "/a", "/a/b/c", "/x/y"] {
            index.mark(path);
        }
        for (path, charged) in [
            ("/", None),
            ("", None),
            ("/a", Some("/a")),
            ("/ab", None),
            ("/a/b", Some("/a")),
            ("/a/b/c", Some("/a/b/c")),
            ("/a/b/c/d/e", Some("/a/b/c")),
            ("/a/b/cd", Some("/a")),
            ("/x", None),
            ("/x/y/z", Some("/x/y")),
        ] {
            assert_eq!(index.deepest(path), charged, "{path}");
        }
        index.unmark("/a/b/c");
        index.unmark("/never");
        assert_eq!(index.deepest("/a/b/c/d"), Some("/a"));
        index.unmark("/a");
        index.unmark("/x/y");
        assert!(index.is_empty());
    }

    proptest! {
        #[test]
        fn anything_may_be_stored(data in any::<Vec<u8>>(), near in "(count|bytes|x|=|,|;|[0-9]{1,20}|-){0,9}") {
            for data in [&data[..], near.as_bytes()] {
                let charged = QuotaUsage::charge(Some(data), i64::MAX, i64::MIN);
                let _ = exceeds(QuotaUsage::parse(Some(&charged)), QuotaLimits::parse(Some(data)), i64::MAX, 1).count();
            }
        }

        #[test]
        fn limits_read_what_they_write(count in -1i64.., bytes in -1i64.., count_hard in -1i64.., bytes_hard in -1i64..) {
            let written = QuotaLimits { count, bytes, count_hard, bytes_hard };
            prop_assert_eq!(limits(&written.to_string()), written);
        }
    }
}
