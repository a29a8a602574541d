//! Scheme `ip`: addresses as ids, and addresses with an optional mask in lists.
//!
//! Reads what Java's `IPAuthenticationProvider` reads, which is neither less nor more than it
//! should be: numbers may carry a sign and leading zeros, but an IPv4 tail or a zone is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while_m_n};
use nom::character::complete::char;
use nom::combinator::{all_consuming, map_opt, opt};
use nom::multi::separated_list0;
use nom::sequence::preceded;
use nom::{IResult, Parser};

const GROUPS: usize = 8;

/// An address of a list with the number of leading bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    address: IpAddr,
    bits: u32,
}

impl Pattern {
    /// Reads `address[/bits]`.
    pub fn parse(text: &str) -> Option<Self> {
        let (_, pattern) = all_consuming(pattern).parse(text).ok()?;
        Some(pattern)
    }

    /// Whether `ip` is of the same family and has the same leading bits.
    pub fn matches(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(mine), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                (mine.to_bits() ^ other.to_bits()) & mask == 0
            }
            (IpAddr::V6(mine), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                (mine.to_bits() ^ other.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

/// Reads an address.
pub fn parse(text: &str) -> Option<IpAddr> {
    let (_, address) = all_consuming(address).parse(text).ok()?;
    Some(address)
}

/// The address as Java prints it: IPv6 without `::`, mapped IPv4 as IPv4.
pub fn java_text(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let mut text = String::with_capacity(GROUPS * 5);
            for (at, group) in v6.segments().into_iter().enumerate() {
                use std::fmt::Write;
                let separator = if at == 0 { "" } else { ":" };
                write!(text, "{separator}{group:x}").expect("a String takes everything");
            }
            text
        }
    }
}

fn pattern(input: &str) -> IResult<&str, Pattern> {
    let (input, address) = address(input)?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    // Whatever follows the slash is one number.
    let number = map_opt(take_while(|_| true), |text: &str| {
        text.parse::<i32>()
            .ok()
            .and_then(|bits| u32::try_from(bits).ok())
            .filter(|bits| *bits <= width)
    });
    let (input, bits) = opt(preceded(char('/'), number)).parse(input)?;
    let bits = bits.unwrap_or(width);
    Ok((input, Pattern { address, bits }))
}

fn address(input: &str) -> IResult<&str, IpAddr> {
    alt((v4.map(IpAddr::V4), v6.map(IpAddr::V6))).parse(input)
}

fn v4(input: &str) -> IResult<&str, Ipv4Addr> {
    // Java accepts any int between 0 and 255 that its parser reads: +1, -0 and 007 too.
    fn part(input: &str) -> IResult<&str, u8> {
        map_opt(
            take_while(|c| !matches!(c, '.' | '/' | ':')),
            |text: &str| {
                text.parse::<i32>()
                    .ok()
                    .and_then(|part| u8::try_from(part).ok())
            },
        )
        .parse(input)
    }
    (part, char('.'), part, char('.'), part, char('.'), part)
        .map(|(a, _, b, _, c, _, d)| Ipv4Addr::new(a, b, c, d))
        .parse(input)
}

fn v6(input: &str) -> IResult<&str, Ipv6Addr> {
    map_opt(
        (groups, opt(preceded(tag("::"), groups))),
        |(head, tail)| {
            let mut all = [0; GROUPS];
            match tail {
                None if head.len() == GROUPS => all.copy_from_slice(&head),
                // `::` stands for at least one group.
                Some(tail) if head.len() + tail.len() < GROUPS => {
                    all[..head.len()].copy_from_slice(&head);
                    all[GROUPS - tail.len()..].copy_from_slice(&tail);
                }
                _ => return None,
            }
            Some(Ipv6Addr::from(all))
        },
    )
    .parse(input)
}

fn groups(input: &str) -> IResult<&str, Vec<u16>> {
    // A sign takes one of the four places; a negative group is its two's complement.
    let group = map_opt(
        take_while_m_n(1, 4, |c| !matches!(c, ':' | '/')),
        |text: &str| i32::from_str_radix(text, 16).ok().map(|group| group as u16),
    );
    separated_list0(char(':'), group).parse(input)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn valid_patterns() {
        for text in [
            "127.0.0.1",
            "0.0.0.0/0",
            "10.0.0.0/8",
            "255.255.255.255/32",
            "1.2.3.4/+8",
            "01.002.+3.-0",
            "::",
            "::1",
            "1::",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "FE80::aBcD",
            "::/0",
            "2001:db8::/32",
            "::1/128",
            "0:0:0:0:0:0:0:1",
        ] {
            assert!(Pattern::parse(text).is_some(), "{text}");
        }
    }

    #[test]
    fn invalid_patterns() {
        for text in [
            "",
            "/",
            "localhost",
            "1",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "1.2.3.-1",
            "1..3.4",
            "1.2.3.4/",
            "1.2.3.4/33",
            "1.2.3.4/-1",
            "1.2.3.4/8/8",
            "1.2.3.4/x",
            " 1.2.3.4",
            "1.2.3.4 ",
            "1.2.3.4:80",
            ":",
            ":::",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "1::2::3",
            "1:2:3:4:5:6:7:8::",
            ":1",
            "1:",
            "12345::",
            "g::",
            "::1/129",
            "::1/",
            "::ffff:1.2.3.4",
            "fe80::1%eth0",
            "[::1]",
            "::1 ",
        ] {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn matching() {
        for (pattern, ip, matches) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("10.1.2.3/8", "10.200.0.1", true),
            ("10.1.2.3/8", "11.1.2.3", false),
            ("10.1.2.128/25", "10.1.2.200", true),
            ("10.1.2.128/25", "10.1.2.127", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "1.2.3.4", false),
            ("::1", "0:0:0:0:0:0:0:1", true),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
        ] {
            let pattern = Pattern::parse(pattern).unwrap();
            assert_eq!(
                pattern.matches(parse(ip).unwrap()),
                matches,
                "{pattern:?} {ip}"
            );
        }
    }

    #[test]
    fn text_is_java_s() {
        for (ip, text) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "0:0:0:0:0:0:0:1"),
            ("2001:DB8::00a0", "2001:db8:0:0:0:0:0:a0"),
        ] {
            assert_eq!(java_text(ip.parse().unwrap()), text);
        }
        assert_eq!(java_text("::ffff:10.0.0.1".parse().unwrap()), "10.0.0.1");
    }

    proptest! {
        #[test]
        fn anything_may_come(text in any::<String>(), near in "[0-9a-f:./+-]{0,45}") {
            let _ = Pattern::parse(&text);
            let _ = Pattern::parse(&near);
        }

        #[test]
        fn every_address_reads_its_java_text(bits in any::<u128>(), mask in 0..=128u32) {
            let ip = IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical();
            prop_assert_eq!(parse(&java_text(ip)), Some(ip));
            let width = if ip.is_ipv4() { 32 } else { 128 };
            let pattern = Pattern::parse(&format!("{}/{}", java_text(ip), mask.min(width))).unwrap();
            prop_assert!(pattern.matches(ip));
        }
    }
}
