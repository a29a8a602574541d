//! Random values through bytes and back, and random bytes through values.

#![allow(clippy::unwrap_used)]

use jute::{Buffer, Text};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Inner<'a> {
    flag: bool,
    #[serde(borrow)]
    text: Text<'a>,
    long: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outer<'a> {
    int: i32,
    #[serde(borrow)]
    data: Buffer<'a>,
    #[serde(borrow)]
    list: Vec<Inner<'a>>,
    #[serde(borrow)]
    nullable: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    inner: Inner<'a>,
}

/// Text that comes back as it was: characters above U+FFFF do not.
fn text() -> impl Strategy<Value = Text<'static>> {
    option::of(".{0,12}").prop_map(|text| match text {
        Some(text) => Text::from(text.replace(|c: char| c.len_utf16() > 1, "?")),
        None => Text::NULL,
    })
}

fn buffer() -> impl Strategy<Value = Buffer<'static>> {
    option::of(vec(any::<u8>(), 0..20)).prop_map(|data| data.map_or(Buffer::NULL, Buffer::from))
}

fn inner() -> impl Strategy<Value = Inner<'static>> {
    (any::<bool>(), text(), any::<i64>()).prop_map(|(flag, text, long)| Inner { flag, text, long })
}

fn outer() -> impl Strategy<Value = Outer<'static>> {
    let lists = (vec(inner(), 0..6), option::of(vec(text(), 0..6)));
    (any::<i32>(), buffer(), lists, inner()).prop_map(|(int, data, lists, inner)| Outer {
        int,
        data,
        list: lists.0,
        nullable: lists.1,
        inner,
    })
}

/// What `new String(units).getBytes` of the original's encoder would give.
fn encoded_by_unit(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for unit in text.encode_utf16() {
        match unit {
            0..0x80 => bytes.push(unit as u8),
            0x80..0x800 => bytes.extend([0xc0 | (unit >> 6) as u8, 0x80 | (unit & 0x3f) as u8]),
            _ => bytes.extend([
                0xe0 | (unit >> 12) as u8,
                0x80 | (unit >> 6 & 0x3f) as u8,
                0x80 | (unit & 0x3f) as u8,
            ]),
        }
    }
    bytes
}

proptest! {
    #[test]
    fn values_survive(value in outer(), tail in vec(any::<u8>(), 0..4)) {
        let mut bytes = jute::to_vec(&value).unwrap();
        let length = bytes.len();
        bytes.extend(&tail);
        let mut input = &bytes[..];
        prop_assert_eq!(&jute::read::<Outer>(&mut input).unwrap(), &value);
        prop_assert_eq!(input, &tail[..]);
        for end in 0..length {
            prop_assert!(jute::from_slice::<Outer>(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn any_bytes_decode_or_fail_and_what_decodes_is_stable(
        bytes in vec(prop_oneof![3 => Just(0_u8), 1 => 0_u8..8, 1 => Just(255), 1 => any::<u8>()], 0..120),
    ) {
        if let Ok(value) = jute::from_slice::<Outer>(&bytes) {
            let again = jute::to_vec(&value).unwrap();
            let decoded = jute::from_slice::<Outer>(&again).unwrap();
            prop_assert_eq!(jute::to_vec(&decoded).unwrap(), again);
        }
    }

    #[test]
    fn text_is_encoded_by_utf16_unit(text in "\\PC{0,20}|[\\x00-\\u{10ffff}]{0,20}") {
        let bytes = jute::to_vec(&text).unwrap();
        prop_assert_eq!(&bytes[4..], &encoded_by_unit(&text)[..]);
        prop_assert_eq!(&bytes[..4], &((bytes.len() - 4) as i32).to_be_bytes()[..]);
    }

    #[test]
    fn malformed_text_decodes_to_text_without_the_malformed_parts(bytes in vec(any::<u8>(), 0..40)) {
        let text = jute::decode_utf8(&bytes);
        let good: String = text.chars().filter(|c| *c != '\u{fffd}').collect();
        let lossy = String::from_utf8_lossy(&bytes);
        let expected: String = lossy.chars().filter(|c| *c != '\u{fffd}').collect();
        prop_assert_eq!(good, expected);
    }
}
