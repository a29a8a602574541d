//! Lists of `name=value`, as challenges and responses are written (RFC 2831, 7.1).

use nom::branch::alt;
use nom::bytes::complete::{is_not, take_while, take_while1};
use nom::character::complete::{anychar, char};
use nom::combinator::{map, verify};
use nom::multi::{fold_many0, separated_list1};
use nom::sequence::{delimited, preceded, separated_pair};
use nom::{IResult, Parser};

use super::digest_md5::Refusal;

/// In the order of the text, names in lower case.
pub(super) struct Directives(Vec<(String, String)>);

impl Directives {
    pub(super) fn parse(text: &str) -> Result<Directives, Refusal> {
        match list(text) {
            Ok(("", found)) => Ok(Directives(found)),
            _ => Err(Refusal::Malformed),
        }
    }

    /// The first one of a name that may stand several times.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        let mut all = self.all(name);
        all.next()
    }

    pub(super) fn at_most_one(&self, name: &'static str) -> Result<Option<&str>, Refusal> {
        let mut all = self.all(name);
        let first = all.next();
        match all.next() {
            Some(_) => Err(Refusal::Repeated(name)),
            None => Ok(first),
        }
    }

    pub(super) fn one(&self, name: &'static str) -> Result<&str, Refusal> {
        self.at_most_one(name)?.ok_or(Refusal::Missing(name))
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |(found, _)| found == name);
        named.map(|(_, value)| value.as_str())
    }
}

/// With the quotes around it, and what has to be escaped between them.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// Commas may stand beside one another: elements of a list may be empty.
fn list(text: &str) -> IResult<&str, Vec<(String, String)>> {
    let separator = (blank, char(','), take_while(|c| c == ',' || is_blank(c)));
    let leading = take_while(|c| c == ',' || is_blank(c));
    delimited(
        leading,
        separated_list1(separator, directive),
        take_while(|c| c == ',' || is_blank(c)),
    )
    .parse(text)
}

fn directive(text: &str) -> IResult<&str, (String, String)> {
    let name = map(token, str::to_ascii_lowercase);
    let value = alt((string, map(token, str::to_owned)));
    separated_pair(name, (blank, char('='), blank), value).parse(text)
}

fn token(text: &str) -> IResult<&str, &str> {
    take_while1(|c: char| !is_blank(c) && !c.is_control() && !",=\"".contains(c)).parse(text)
}

fn string(text: &str) -> IResult<&str, String> {
    let plain = map(is_not("\"\\"), str::to_owned);
    let escaped = map(preceded(char('\\'), anychar), String::from);
    let inside = fold_many0(
        verify(alt((plain, escaped)), |part: &String| !part.is_empty()),
        String::new,
        |all, part| all + &part,
    );
    delimited(char('"'), inside, char('"')).parse(text)
}

fn blank(text: &str) -> IResult<&str, &str> {
    take_while(is_blank).parse(text)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_of_a_directive() {
        let text = " , Realm = \"a \\\"b\\\\\" ,, qop=auth,\r\n\tnonce=\"\"  ,stale=x-y,";
        let found = Directives::parse(text).unwrap();
        assert_eq!(found.one("realm"), Ok("a \"b\\"));
        assert_eq!(found.one("qop"), Ok("auth"));
        assert_eq!(found.one("nonce"), Ok(""));
        assert_eq!(found.one("stale"), Ok("x-y"));
        assert_eq!(found.one("cnonce"), Err(Refusal::Missing("cnonce")));
        assert_eq!(found.at_most_one("cnonce"), Ok(None));
    }

    #[test]
    fn what_stands_twice_is_refused_where_one_is_expected() {
        let found = Directives::parse("realm=a,realm=b").unwrap();
        assert_eq!(found.first("realm"), Some("a"));
        assert_eq!(found.one("realm"), Err(Refusal::Repeated("realm")));
    }

    #[test]
    fn no_list() {
        for text in [
            "", ",", "a", "a=", "=b", "a=\"b", "a=b c=d", "a=\"b\"c", "a=b\0",
        ] {
            assert!(Directives::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn quoted_values_survive(value in "\\PC*") {
            let text = format!("a={},b=c", quoted(&value));
            let found = Directives::parse(&text).unwrap();
            prop_assert_eq!(found.one("a"), Ok(value.as_str()));
            prop_assert_eq!(found.one("b"), Ok("c"));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            let _ = Directives::parse(&text);
        }
    }
}
