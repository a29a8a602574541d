//! The encoding of each type, byte by byte, and what bad input does.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use jute::{Buffer, Error, Text, Trailing};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Everything<'a> {
    flag: bool,
    int: i32,
    long: i64,
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    data: Buffer<'a>,
    #[serde(borrow)]
    list: Vec<Text<'a>>,
    nullable: Option<Vec<i32>>,
}

#[test]
fn fields_follow_each_other_without_padding() {
    let value = Everything {
        flag: true,
        int: 1,
        long: -2,
        text: Text::from("ab"),
        data: Buffer::from(b"\x07"),
        list: vec![Text::from(""), Text::NULL],
        nullable: Some(vec![5]),
    };
    let bytes = jute::to_vec(&value).unwrap();
    let expected = [
        &[1][..],
        &[0, 0, 0, 1],
        &[255, 255, 255, 255, 255, 255, 255, 254],
        &[0, 0, 0, 2, b'a', b'b'],
        &[0, 0, 0, 1, 7],
        &[0, 0, 0, 2, 0, 0, 0, 0, 255, 255, 255, 255],
        &[0, 0, 0, 1, 0, 0, 0, 5],
    ]
    .concat();
    assert_eq!(bytes, expected);
    assert_eq!(jute::from_slice::<Everything>(&bytes).unwrap(), value);
    for end in 0..bytes.len() {
        assert_eq!(
            jute::from_slice::<Everything>(&bytes[..end]),
            Err(Error::UnexpectedEnd),
            "cut at {end}"
        );
    }
}

#[test]
fn null_and_empty_differ_where_the_type_can_tell() {
    let null = [255; 4];
    let empty = [0; 4];
    assert_eq!(jute::from_slice::<Text>(&null).unwrap(), Text::NULL);
    assert_eq!(jute::from_slice::<Text>(&empty).unwrap(), "");
    assert_eq!(jute::from_slice::<Buffer>(&null).unwrap(), Buffer::NULL);
    assert_eq!(
        jute::from_slice::<Buffer>(&empty).unwrap().as_bytes(),
        Some(&[][..])
    );
    assert_eq!(jute::from_slice::<Option<Vec<i32>>>(&null).unwrap(), None);
    assert_eq!(
        jute::from_slice::<Option<Vec<i32>>>(&empty).unwrap(),
        Some(vec![])
    );
    assert_eq!(jute::from_slice::<Vec<i32>>(&null).unwrap(), []);
    assert_eq!(jute::from_slice::<&str>(&null), Err(Error::Null));
    assert_eq!(jute::to_vec(&Text::NULL).unwrap(), null);
    assert_eq!(jute::to_vec(&Buffer::NULL).unwrap(), null);
    assert_eq!(jute::to_vec(&None::<Vec<i32>>).unwrap(), null);
}

#[test]
fn negative_lengths() {
    let minus_two = (-2_i32).to_be_bytes();
    let error = Error::NegativeLength(-2);
    assert_eq!(jute::from_slice::<Text>(&minus_two), Err(error.clone()));
    assert_eq!(jute::from_slice::<Buffer>(&minus_two), Err(error));
    assert_eq!(jute::from_slice::<Vec<i32>>(&minus_two).unwrap(), []);
    assert_eq!(
        jute::from_slice::<Option<Vec<i32>>>(&minus_two).unwrap(),
        Some(vec![])
    );
}

#[test]
fn a_claimed_count_is_not_believed() {
    let bytes = [&i32::MAX.to_be_bytes()[..], &[0; 8]].concat();
    assert_eq!(
        jute::from_slice::<Vec<i32>>(&bytes),
        Err(Error::UnexpectedEnd)
    );
    assert_eq!(jute::from_slice::<Text>(&bytes), Err(Error::UnexpectedEnd));

    #[derive(Debug, PartialEq, Deserialize)]
    struct Nothing {}
    assert_eq!(
        jute::from_slice::<Vec<Nothing>>(&bytes),
        Err(Error::EmptyElement)
    );
    assert_eq!(
        jute::from_slice::<Vec<()>>(&bytes),
        Err(Error::EmptyElement)
    );
    assert_eq!(jute::from_slice::<Nothing>(&[]).unwrap(), Nothing {});
}

#[test]
fn the_limit_is_for_strings_and_buffers() {
    let bytes = jute::to_vec(&"abcd").unwrap();
    let error = Error::TooLong { length: 4, max: 3 };
    assert_eq!(
        jute::read_limited::<Text>(&mut &bytes[..], 3),
        Err(error.clone())
    );
    assert_eq!(jute::read_limited::<Buffer>(&mut &bytes[..], 3), Err(error));
    assert_eq!(
        jute::read_limited::<Text>(&mut &bytes[..], 4).unwrap(),
        "abcd"
    );
    let list = jute::to_vec(&vec![1, 2, 3, 4]).unwrap();
    let read = jute::read_limited::<Vec<i32>>(&mut &list[..], 3);
    assert_eq!(read.unwrap(), [1, 2, 3, 4]);
}

#[test]
fn read_advances_behind_the_record_or_not_at_all() {
    let bytes = [0, 0, 0, 1, 0, 0, 0, 2, 9];
    let mut input = &bytes[..];
    assert_eq!(jute::read::<i32>(&mut input).unwrap(), 1);
    assert_eq!(jute::read::<i32>(&mut input).unwrap(), 2);
    assert_eq!(jute::read::<i32>(&mut input), Err(Error::UnexpectedEnd));
    assert_eq!(input, [9]);
    assert_eq!(jute::from_slice::<i32>(&bytes).unwrap(), 1);
}

#[test]
fn every_byte_but_zero_is_true() {
    assert!(!jute::from_slice::<bool>(&[0]).unwrap());
    for byte in 1..=255 {
        assert!(jute::from_slice::<bool>(&[byte]).unwrap());
    }
}

#[test]
fn text_and_buffer_borrow_from_the_input() {
    let bytes = jute::to_vec(&("abc", Buffer::from(b"xyz"))).unwrap();
    let (text, data): (Text, Buffer) = jute::from_slice(&bytes).unwrap();
    assert!(std::ptr::eq(
        text.as_str().unwrap().as_bytes(),
        &bytes[4..7]
    ));
    assert!(std::ptr::eq(data.as_bytes().unwrap(), &bytes[11..14]));
}

#[test]
fn strings_are_encoded_by_utf16_unit() {
    let bytes = jute::to_vec(&"a\u{1f600}\0\u{ffff}").unwrap();
    let expected = b"\0\0\0\x0ba\xed\xa0\xbd\xed\xb8\x80\0\xef\xbf\xbf";
    assert_eq!(bytes, expected);
    assert_eq!(
        jute::from_slice::<Text>(&bytes).unwrap(),
        "a\u{fffd}\u{fffd}\0\u{ffff}"
    );
}

#[test]
fn a_trailing_field_may_be_missing() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Request {
        timeout: i32,
        read_only: Trailing<bool>,
    }
    for (read_only, bytes) in [
        (None, &[0, 0, 0, 1][..]),
        (Some(false), &[0, 0, 0, 1, 0]),
        (Some(true), &[0, 0, 0, 1, 1]),
    ] {
        let request = Request {
            timeout: 1,
            read_only: Trailing(read_only),
        };
        assert_eq!(jute::from_slice::<Request>(bytes).unwrap(), request);
        assert_eq!(jute::to_vec(&request).unwrap(), bytes);
    }
}

#[test]
fn maps_are_pairs_behind_a_count() {
    let map = BTreeMap::from([(1, "a".to_owned()), (2, "b".to_owned())]);
    let bytes = jute::to_vec(&map).unwrap();
    assert_eq!(
        bytes,
        b"\0\0\0\x02\0\0\0\x01\0\0\0\x01a\0\0\0\x02\0\0\0\x01b"
    );
    let read: BTreeMap<i32, String> = jute::from_slice(&bytes).unwrap();
    assert_eq!(read, map);
}

#[test]
fn a_full_output_is_an_error() {
    let mut room = [0; 6];
    let mut out = &mut room[..];
    assert_eq!(jute::write(&mut out, &"abc"), Err(Error::OutputFull));
}

#[test]
fn types_that_jute_lacks_are_refused() {
    assert_eq!(jute::to_vec(&1_u8), Err(Error::Unsupported("u8")));
    assert_eq!(
        jute::from_slice::<u64>(&[0; 8]),
        Err(Error::Unsupported("u64"))
    );
}
