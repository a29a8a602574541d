//! Grammars of single values: numbers, durations, addresses, lists.
//!
//! Knows no key. Answers to `Integer.parseInt`, `Integer.decode` and
//! `org.apache.zookeeper.server.util.ConfigUtils`.

use std::fmt;
use std::net::Ipv6Addr;

use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_while1};
use nom::character::complete::{char, digit1, hex_digit1, space0};
use nom::combinator::{all_consuming, map_opt, opt, recognize, value};
use nom::sequence::{delimited, preceded};
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

/// `port` or `host:port`.
pub fn listen_address(text: &str) -> Option<ListenAddress> {
    complete(listen, text)
}

/// An address to listen on. Its name is resolved by whoever binds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    /// None: every address of this machine, IPv4 and IPv6.
    pub host: Option<String>,
    pub port: u16,
}

impl ListenAddress {
    pub fn new(host: Option<&str>, port: u16) -> Self {
        // Java binds 0.0.0.0 as the wildcard of both families too.
        let host = host.filter(|host| *host != "0.0.0.0").map(canonical_host);
        ListenAddress { host, port }
    }

    pub fn is_wildcard(&self) -> bool {
        self.host
            .as_deref()
            .is_none_or(|host| host == "0:0:0:0:0:0:0:0")
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_deref().unwrap_or("0.0.0.0");
        write!(f, "{}:{}", HostText(host), self.port)
    }
}

/// An IPv6 address as Java prints it (no group is left out); anything else as it is.
pub(super) fn canonical_host(host: &str) -> String {
    let Ok(address) = host.parse::<Ipv6Addr>() else {
        return host.to_owned();
    };
    match address.to_ipv4_mapped() {
        Some(v4) => v4.to_string(),
        None => address
            .segments()
            .map(|group| format!("{group:x}"))
            .join(":"),
    }
}

/// A host as it stands before a colon: IPv6 in brackets.
pub struct HostText<'a>(pub &'a str);

impl fmt::Display for HostText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.contains(':') {
            true => write!(f, "[{}]", self.0),
            false => f.write_str(self.0),
        }
    }
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

pub(super) fn port(input: &str) -> IResult<&str, u16> {
    map_opt(
        delimited(space0, recognize((opt(char('+')), digit1)), space0),
        |digits: &str| digits.parse().ok(),
    )
    .parse(input)
}

/// A name, an IPv4 address, or an IPv6 address in brackets (given back without them).
pub(super) fn host(input: &str) -> IResult<&str, &str> {
    let bracketed = delimited(
        char('['),
        take_while1(|c: char| c.is_ascii_hexdigit() || ":.%".contains(c)),
        char(']'),
    );
    let name = take_while1(|c: char| c.is_alphanumeric() || "._-".contains(c));
    preceded(space0, alt((bracketed, name))).parse(input)
}

pub(super) fn listen(input: &str) -> IResult<&str, ListenAddress> {
    let with_host =
        (host, preceded(tag(":"), port)).map(|(host, port)| ListenAddress::new(Some(host), port));
    let port_only = port.map(|port| ListenAddress::new(None, port));
    alt((with_host, port_only)).parse(input)
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
    fn addresses() {
        let cases = [
            ("2181", "0.0.0.0:2181"),
            ("0.0.0.0:2181", "0.0.0.0:2181"),
            ("zoo-1.example:2181", "zoo-1.example:2181"),
            ("[::1]:2181", "[0:0:0:0:0:0:0:1]:2181"),
            ("[::ffff:10.0.0.1]:2181", "10.0.0.1:2181"),
        ];
        for (text, canonical) in cases {
            assert_eq!(listen_address(text).unwrap().to_string(), canonical);
        }
        assert_eq!(listen_address("2181").unwrap().host, None);
        assert!(listen_address("[::]:2181").unwrap().is_wildcard());
        for text in [
            "",
            ":2181",
            "h:",
            "::1:2181",
            "[::1:2181",
            "h:65536",
            "h:2181x",
            "h:-1",
        ] {
            assert_eq!(listen_address(text), None, "{text}");
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
            let _ = (integer(&text), hours_or_duration_ms(&text), listen_address(&text), decimal(&text));
        }

        #[test]
        fn integers_round_trip(number in -(i64::MAX)..) {
            prop_assert_eq!(integer(&number.to_string()), Some(number));
        }

        #[test]
        fn addresses_round_trip(host in "[a-z][a-z0-9.-]{0,10}|[0-9a-f]{0,4}::[0-9a-f]{1,4}", port: u16) {
            let address = ListenAddress::new(Some(&host), port);
            prop_assert_eq!(listen_address(&address.to_string()), Some(address));
        }
    }
}
