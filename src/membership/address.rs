//! Addresses as a configuration writes them: `port`, `host:port`, IPv6 in brackets.
//!
//! Must not resolve a name. Answers to `org.apache.zookeeper.server.util.ConfigUtils`.

use std::fmt;
use std::net::Ipv6Addr;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{char, digit1, space0};
use nom::combinator::{all_consuming, map_opt, opt, recognize};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

/// `port` or `host:port`.
pub fn listen_address(text: &str) -> Option<ListenAddress> {
    all_consuming(listen)
        .parse(text)
        .ok()
        .map(|(_, address)| address)
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

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let _ = listen_address(&text);
        }

        #[test]
        fn addresses_round_trip(host in "[a-z][a-z0-9.-]{0,10}|[0-9a-f]{0,4}::[0-9a-f]{1,4}", port: u16) {
            let address = ListenAddress::new(Some(&host), port);
            prop_assert_eq!(listen_address(&address.to_string()), Some(address));
        }
    }
}
