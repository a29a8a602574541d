//! Every record has the bytes that the original gives it, and every number its name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use ferrokeeper::proto::{self, ErrorCode, EventType, KeeperState, OpCode, client, quorum, txn};
use serde::{Deserialize, Serialize};

use crate::fill::{self, Source};
use crate::list::with_every_record;

pub const GOLDEN: &str = include_str!("golden.txt");

/// In the schema, but no operation reads or writes them.
const UNUSED: [&str; 6] = [
    "GetMaxChildrenRequest",
    "GetMaxChildrenResponse",
    "GetStatPersistedRequest",
    "GetStatPersistedResponse",
    "SetMaxChildrenRequest",
    "SetMaxChildrenTxn",
];

/// Bytes by record and variant.
pub fn golden() -> BTreeMap<(&'static str, &'static str), Vec<u8>> {
    let lines = GOLDEN
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let records = lines.filter(|words| words[0] == "record");
    records
        .map(|words| ((words[1], words[2]), hex(words[3])))
        .collect()
}

pub fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The values that `Golden.java` gives to its fields.
pub struct Variant {
    pub name: &'static str,
    /// A null vector was wanted where the record cannot tell it from an empty one.
    pub null_as_empty: bool,
}

impl Variant {
    fn pick<T>(&self, filled: T, empty: T, null: T) -> T {
        match self.name {
            "filled" => filled,
            "empty" => empty,
            "null" => null,
            other => panic!("no variant is called {other}"),
        }
    }
}

fn java_hash(key: &str) -> i32 {
    key.encode_utf16().fold(0, |hash: i32, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

impl Source for Variant {
    fn bool(&mut self, _: &str) -> bool {
        self.pick(true, false, false)
    }

    fn int(&mut self, key: &str) -> i32 {
        self.pick(java_hash(key), 0, i32::MIN)
    }

    fn long(&mut self, key: &str) -> i64 {
        let filled = i64::from(java_hash(key)).wrapping_mul(4_294_967_311);
        self.pick(filled, 0, i64::MIN)
    }

    fn text(&mut self, key: &str) -> String {
        let filled = format!("{key}-\u{e9}\u{20ac}");
        self.pick(filled, String::new(), String::new())
    }

    fn bytes(&mut self, key: &str) -> Vec<u8> {
        let filled = [key.as_bytes(), &[0, 0xff]].concat();
        self.pick(filled, Vec::new(), Vec::new())
    }

    fn is_null(&mut self, _: &str) -> bool {
        self.pick(false, false, true)
    }

    fn count(&mut self, _: &str) -> usize {
        self.null_as_empty |= self.name == "null";
        self.pick(2, 0, 0)
    }
}

fn check<T>(name: &str, variant: &'static str, bytes: &'static [u8])
where
    T: Deserialize<'static> + Serialize + PartialEq + Debug,
{
    let mut source = Variant {
        name: variant,
        null_as_empty: false,
    };
    let expected: T = fill::record(name, &mut source);
    let mut input = bytes;
    let decoded: T = jute::read(&mut input).unwrap();
    assert_eq!(decoded, expected, "{name} {variant}");
    assert!(input.is_empty(), "{name} {variant} was not read to its end");

    let mut encoded = jute::to_vec(&decoded).unwrap();
    if source.null_as_empty {
        assert_ne!(encoded, bytes, "{name} {variant}");
        let null = [255; 4];
        let at = bytes.windows(4).position(|window| window == null).unwrap();
        encoded[at..at + 4].copy_from_slice(&null);
    }
    assert_eq!(encoded, bytes, "{name} {variant}");
}

#[test]
fn every_record_has_the_bytes_of_the_original() {
    let golden: &'static BTreeMap<_, _> = Box::leak(Box::new(golden()));
    let mut seen: BTreeSet<&str> = UNUSED.into();
    // It comes in pieces and without a frame, so it has a reader of its own: see `servers.rs`.
    seen.insert("QuorumPacket");
    macro_rules! check_all {
        (() $($module:ident::$record:ident = $name:literal,)*) => {$(
            for variant in ["filled", "empty", "null"] {
                match golden.get(&($name, variant)) {
                    Some(bytes) => check::<$module::$record>($name, variant, bytes),
                    // Its string is never null.
                    None if $name == "DeleteContainerRequest" && variant == "null" => {}
                    None => panic!("golden.txt has no line for {} {variant}", $name),
                }
            }
            assert!(seen.insert($name), "{} is listed twice", $name);
        )*};
    }
    with_every_record!(check_all);
    for (name, _) in golden.keys() {
        assert!(seen.contains(name), "{name} is in golden.txt only");
    }
}

#[test]
fn every_number_has_the_name_of_the_original() {
    fn ours<T: Copy>(named: &[(T, &str)], number: fn(T) -> i32) -> BTreeMap<String, i32> {
        let plain = |name: &str| name.replace('_', "").to_lowercase();
        let entries = named.iter();
        entries
            .map(|(value, name)| (plain(name), number(*value)))
            .collect()
    }
    fn theirs(kind: &str) -> BTreeMap<String, i32> {
        let lines = GOLDEN
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>());
        lines
            .filter(|words| words[0] == kind)
            .map(|words| (words[1].to_lowercase(), words[2].parse().unwrap()))
            .collect()
    }
    assert_eq!(ours(OpCode::NAMED, |code| code.0), theirs("opcode"));
    assert_eq!(ours(ErrorCode::NAMED, |code| code.0), theirs("error"));
    assert_eq!(ours(EventType::NAMED, |code| code.0), theirs("event"));
    assert_eq!(ours(KeeperState::NAMED, |code| code.0), theirs("state"));
    assert_eq!(OpCode(-77).name(), None);
    assert_eq!(OpCode(-77).to_string(), "-77");
    assert_eq!(ErrorCode(-101).to_string(), "NO_NODE");
}
