//! Text is encoded and decoded as Java does it.
//!
//! `java-text.txt` is written by `compat-tests/golden/run.sh --update`.

#![allow(clippy::unwrap_used)]

use jute::Text;

const GOLDEN: &str = include_str!("java-text.txt");

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn utf16(text: &str) -> Vec<u16> {
    let units = hex(text);
    let units = units.chunks_exact(2);
    units
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect()
}

#[test]
fn text_is_what_java_makes_of_it() {
    let (mut encoded, mut decoded) = (0, 0);
    for line in GOLDEN.lines() {
        let [verb, from, to] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        if verb == "encode" {
            let text = String::from_utf16(&utf16(from)).unwrap();
            assert_eq!(jute::to_vec(&text).unwrap(), hex(to), "{line}");
            encoded += 1;
        } else {
            let bytes = hex(from);
            let text: Text = jute::from_slice(&bytes).unwrap();
            let units: Vec<u16> = text.or_empty().encode_utf16().collect();
            assert_eq!(units, utf16(to), "{line}");
            decoded += 1;
        }
    }
    assert!(encoded >= 100 && decoded >= 1000, "{encoded} {decoded}");
}
