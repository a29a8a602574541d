//! Grammars of single values: numbers, durations, lists.
//!
//! Knows no key. Answers to `Integer.parseInt`, `Integer.decode` and
//! `org.apache.zookeeper.server.util.ConfigUtils`.

use nom::branch::alt;
use nom::bytes::complete::tag_no_case;
use nom::character::complete::{char, digit1, hex_digit1, space0};
use nom::combinator::{all_consuming, map_opt, opt, value};
use nom::sequence::preceded;
use nom::{IResult, Parser};

/// A decimal number with an optional sign, or a hexadecimal one after `0x` (the documentation
/// gives `jute.maxbuffer` that way).
pub fn integer(text: &str) -> Option<i64> {
    complete(signed, text)
}

/// A number of hours, or a number with one of the units `ms s m h d`, in milliseconds.
pub fn hours_or_duration_ms(text: &str) -> Option<i64> {
    complete(duration, text)
}

pub fn decimal(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    number.is_finite().then_some(number)
}

/// A comma-separated list; parts are trimmed, empty parts vanish.
pub fn list(text: &str) -> Vec<&str> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

fn complete<'a, T>(
    grammar: impl Parser<&'a str, Output = T, Error = nom::error::Error<&'a str>>,
    text: &'a str,
) -> Option<T> {
    all_consuming(grammar)
        .parse(text)
        .ok()
        .map(|(_, parsed)| parsed)
}

fn signed(input: &str) -> IResult<&str, i64> {
    let hexadecimal = map_opt(preceded(tag_no_case("0x"), hex_digit1), |digits: &str| {
        i64::from_str_radix(digits, 16).ok()
    });
    let magnitude = alt((
        hexadecimal,
        map_opt(digit1, |digits: &str| digits.parse::<i64>().ok()),
    ));
    let sign = opt(alt((value(-1, char('-')), value(1, char('+')))));
    (sign, magnitude)
        .map(|(sign, magnitude)| sign.unwrap_or(1) * magnitude)
        .parse(input)
}

const HOUR_MS: i64 = 3_600_000;

fn duration(input: &str) -> IResult<&str, i64> {
    let unit = alt((
        value(1, tag_no_case("ms")),
        value(1_000, tag_no_case("s")),
        value(60_000, tag_no_case("m")),
        value(HOUR_MS, tag_no_case("h")),
        value(24 * HOUR_MS, tag_no_case("d")),
    ));
    map_opt((signed, preceded(space0, opt(unit))), |(number, unit)| {
        number.checked_mul(unit.unwrap_or(HOUR_MS))
    })
    .parse(input)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers() {
        let cases = [
            ("0", 0),
            ("-1", -1),
            ("+7", 7),
            ("0xfffff", 0xf_ffff),
            ("2147483648", 1 << 31),
        ];
        for (text, expected) in cases {
            assert_eq!(integer(text), Some(expected), "{text}");
        }
        for text in [
            "",
            " 1",
            "1 ",
            "1k",
            "2000 # ms",
            "1.5",
            "--1",
            "0x",
            "99999999999999999999",
        ] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_hours_unless_they_say_otherwise() {
        let cases = [
            ("0", 0),
            ("1", 3_600_000),
            ("24", 86_400_000),
            ("500ms", 500),
            ("90S", 90_000),
            ("15m", 900_000),
            ("2 h", 7_200_000),
            ("1D", 86_400_000),
            ("-1", -3_600_000),
        ];
        for (text, expected) in cases {
            assert_eq!(hours_or_duration_ms(text), Some(expected), "{text}");
        }
        for text in ["", "h", "1w", "1h30m", "9223372036854775807d"] {
            assert_eq!(hours_or_duration_ms(text), None, "{text}");
        }
    }

    #[test]
    fn lists() {
        assert_eq!(list("a, b ,,c"), ["a", "b", "c"]);
        assert!(list(" ").is_empty());
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let _ = (integer(&text), hours_or_duration_ms(&text), decimal(&text));
        }

        #[test]
        fn integers_round_trip(number in -(i64::MAX)..) {
            prop_assert_eq!(integer(&number.to_string()), Some(number));
        }

    }
}
