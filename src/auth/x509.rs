//! Scheme `x509`: whether a list may carry a name. Names themselves are compared as text.
//!
//! A syntax check of the distinguished names that Java's `X500Principal` reads (RFC 2253, with the
//! semicolons and spaces of RFC 1779). Nothing is decoded: the text is stored as it was sent.

use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_while_m_n, take_while1};
use nom::character::complete::{char, none_of, one_of};
use nom::combinator::{all_consuming, map_opt, not, opt, value, verify};
use nom::multi::{fold_many0, many0_count, separated_list1};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

/// The attribute names that Java knows; all others have to be object identifiers.
const KEYWORDS: [&str; 20] = [
    "CN",
    "C",
    "L",
    "S",
    "ST",
    "O",
    "OU",
    "T",
    "IP",
    "STREET",
    "DC",
    "DNQUALIFIER",
    "DNQ",
    "SURNAME",
    "GIVENNAME",
    "INITIALS",
    "GENERATION",
    "EMAIL",
    "EMAILADDRESS",
    "UID",
];
const SERIAL_NUMBER: &str = "SERIALNUMBER";

/// Whether `name` is a distinguished name; the empty one is.
pub fn is_valid_name(name: &str) -> bool {
    name.is_empty() || all_consuming(distinguished_name).parse(name).is_ok()
}

fn distinguished_name(input: &str) -> IResult<&str, ()> {
    // A plus, which joins the parts of one RDN, separates as well as a comma for a syntax check.
    // Counting instead of collecting: a name of a megabyte allocates nothing.
    let (input, ()) = attribute(input)?;
    value((), many0_count(preceded(one_of(",;+"), attribute))).parse(input)
}

fn attribute(input: &str) -> IResult<&str, ()> {
    value(
        (),
        (
            blanks,
            attribute_type,
            blanks,
            char('='),
            blanks,
            attribute_value,
            blanks,
        ),
    )
    .parse(input)
}

fn blanks(input: &str) -> IResult<&str, usize> {
    many0_count(one_of(" \n\r")).parse(input)
}

fn attribute_type(input: &str) -> IResult<&str, ()> {
    alt((
        value((), preceded(opt(tag_no_case("OID.")), object_identifier)),
        keyword,
    ))
    .parse(input)
}

fn keyword(input: &str) -> IResult<&str, ()> {
    map_opt(
        take_while1(|c: char| c.is_ascii_alphanumeric()),
        |word: &str| {
            KEYWORDS
                .iter()
                .chain([&SERIAL_NUMBER])
                .any(|known| known.eq_ignore_ascii_case(word))
                .then_some(())
        },
    )
    .parse(input)
}

fn object_identifier(input: &str) -> IResult<&str, ()> {
    map_opt(
        separated_list1(char('.'), take_while1(|c: char| c.is_ascii_digit())),
        |arcs: Vec<&str>| {
            let number = |arc: &str| arc.trim_start_matches('0').parse::<u8>();
            let first = arcs.first().map(|arc| {
                if arc.bytes().all(|b| b == b'0') {
                    Ok(0)
                } else {
                    number(arc)
                }
            })?;
            let second = arcs.get(1)?;
            let second_is_small =
                second.bytes().all(|b| b == b'0') || number(second).is_ok_and(|second| second < 40);
            match first {
                Ok(0 | 1) => second_is_small.then_some(()),
                Ok(2) => Some(()),
                _ => None,
            }
        },
    )
    .parse(input)
}

fn attribute_value(input: &str) -> IResult<&str, ()> {
    alt((
        preceded(char('#'), encoded),
        quoted,
        // A hash sign may not begin a plain value, nor may an unfinished quotation.
        verify(plain, |()| !input.starts_with(['#', '"'])),
    ))
    .parse(input)
}

/// A value in hexadecimal BER: one element, whose length has to be right.
fn encoded(input: &str) -> IResult<&str, ()> {
    map_opt(take_while1(|c: char| c.is_ascii_hexdigit()), |hex: &str| {
        let byte = |at: usize| {
            hex.get(2 * at..2 * at + 2)
                .and_then(|pair| usize::from_str_radix(pair, 16).ok())
        };
        let (header, length) = match byte(1)? {
            short @ 0..=0x7f => (2, short),
            0x81 => (3, byte(2)?),
            0x82 => (4, byte(2)? << 8 | byte(3)?),
            _ => return None,
        };
        (hex.len() == 2 * (header + length)).then_some(())
    })
    .parse(input)
}

fn quoted(input: &str) -> IResult<&str, ()> {
    // Where a blank needs no escape Java takes none.
    let character = alt((
        preceded(not(tag("\\ ")), escape),
        value((), none_of("\"\\")),
    ));
    delimited(
        char('"'),
        fold_many0(character, || (), |(), ()| ()),
        char('"'),
    )
    .parse(input)
}

fn plain(input: &str) -> IResult<&str, ()> {
    let character = alt((escape, value((), none_of(",;+\"<>\\"))));
    fold_many0(character, || (), |(), ()| ()).parse(input)
}

fn escape(input: &str) -> IResult<&str, ()> {
    let special = value((), one_of(" ,=+<>#;\"\\"));
    let byte = value((), take_while_m_n(2, 2, |c: char| c.is_ascii_hexdigit()));
    preceded(char('\\'), alt((special, byte))).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Each line's verdict is that of X500Principal of Java 17.
    #[test]
    fn valid_names() {
        for name in [
            "",
            "CN=a",
            "CN=",
            "CN= ",
            "  CN = a ",
            "cn=a, o=b",
            "CN=a , O=b",
            "CN=a;O=b",
            "CN=a+O=b",
            "CN=a+ O=b",
            "CN=a,\n O=b",
            "CN=,O=b",
            "CN==a",
            "CN=a=b",
            "CN=a#b",
            "CN=a\nO=b",
            "CN=é",
            "1.2.3=a",
            "1.2=x",
            "0.1=a",
            "01.2=a",
            "1.02.3=a",
            "2.999=a",
            "2.5.4.99999999999=a",
            "OID.1.2.3=a",
            "oid.1.2.3=a",
            "2.5.4.3=#0c0161",
            "CN=#040161",
            "CN=#3000",
            "CN=\"a,b\"",
            "CN=\"a\" ",
            "CN=\"\"",
            "CN=\"a\\\"b\"",
            "CN=\"a\\,b\"",
            "CN=\"a\\41b\"",
            "CN=a\\,b",
            "CN=a\\\\",
            "CN=a\\41",
            "CN=a\\20",
            "CN=\\ a",
            "CN=\\#a",
            "CN=a\\=b",
            "emailAddress=x@y",
            "serialNumber=1",
            "street=x",
            "T=a",
            "DNQ=a",
            "S=CA",
            "IP=1",
            "givenname=x",
            "UID=a",
        ] {
            assert!(is_valid_name(name), "{name:?}");
        }
    }

    #[test]
    fn invalid_names() {
        for name in [
            " ",
            ",",
            "=a",
            "a",
            "CN",
            "CN=a,",
            "CN=a, ",
            "CN=a;",
            "CN=a,,O=b",
            "CN=a+",
            "+CN=a",
            "XX=a",
            "C N=a",
            "description=1",
            "sn=x",
            "OID.CN=a",
            "1=a",
            "3.2.1=x",
            "1.40=a",
            "1..2=a",
            ".1=a",
            "1.2.=a",
            "CN=#",
            "CN=#0",
            "CN=#zz",
            "CN=#04",
            "CN=#0401",
            "CN=#0c0261",
            "CN=#0c01616161",
            "CN=#300000",
            "CN=#FF01",
            "CN=\"a",
            "CN=\"a\"b",
            "CN=\"a\\qb\"",
            "CN=a\\",
            "CN=a\\q",
            "CN=a\\4",
            "CN=\"\\ a\"",
            "CN=a<b",
            "CN=a>b",
            "CN=a\"b",
        ] {
            assert!(!is_valid_name(name), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn anything_may_come(text in any::<String>(), near in "(CN|1\\.2|O)=[#\"\\\\a0-9,+]{0,12}") {
            let _ = is_valid_name(&text);
            let _ = is_valid_name(&near);
        }
    }
}
