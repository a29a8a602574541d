//! From a principal to the id that access lists have: the rules of `security.auth_to_local`, and what is left away.
//!
//! ```text
//! DEFAULT                                     alice@R, alice/host@R -> alice, where R is the default realm
//! RULE:[2:$1;$2](.*;admin)s/;admin/-root/g    alice/admin@R -> alice;admin -> alice-root
//! ```
//!
//! The first rule that fits counts. Answers to `KerberosName`, and to the part of `SaslServerCallbackHandler` that
//! builds the id. Patterns are those of the `regex` crate: what of Java's it does not have is refused.

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_while};
use nom::character::complete::{char, digit1, multispace0};
use nom::combinator::{all_consuming, map, map_res, opt, recognize, value};
use nom::multi::many0;
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};
use regex::Regex;

use super::principal::Principal;

/// How ids are made.
#[derive(Clone, Debug)]
pub struct LocalNames {
    rules: Vec<Rule>,
    default_realm: String,
    keeps_host: bool,
    keeps_realm: bool,
}

#[derive(Clone, Debug)]
enum Rule {
    Default,
    Pattern(Box<Pattern>),
}

#[derive(Clone, Debug)]
struct Pattern {
    components: usize,
    format: Vec<Piece>,
    /// Of the whole text.
    fits: Option<Regex>,
    substitution: Option<Substitution>,
}

#[derive(Clone, Debug)]
struct Substitution {
    from: Regex,
    to: Vec<Piece>,
    everywhere: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A component of the name, 0 being the realm; or a group of a match, 0 being all of it.
    Number(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("Invalid rule: {0:?}; rules are DEFAULT and RULE:[n:format](pattern)s/from/to/g")]
    Syntax(String),
    #[error("${number} in {text:?}: there are only ${most} and below")]
    Number {
        number: usize,
        most: usize,
        text: String,
    },
    #[error("a $ in {0:?} is not followed by a number")]
    NoNumber(String),
    #[error("the pattern {pattern:?} is not understood: {why}")]
    Pattern { pattern: String, why: String },
}

/// A client that no rule fits is known by its whole name; one that says to be somebody else is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rule of auth_to_local fits {client}, who may not act as {asserted:?}")]
pub struct NoLocalName {
    pub client: String,
    pub asserted: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalName {
    pub id: String,
    /// Otherwise the id is the whole name.
    pub by_a_rule: bool,
}

impl LocalNames {
    pub fn new(
        rules: &str,
        default_realm: &str,
        removes_host: bool,
        removes_realm: bool,
    ) -> Result<LocalNames, RuleError> {
        Ok(LocalNames {
            rules: parse(rules)?,
            default_realm: default_realm.to_owned(),
            keeps_host: !removes_host,
            keeps_realm: !removes_realm,
        })
    }

    /// `asserted`: as whom the client wants to act. With a rule that fits it is not asked, as in Java. Without one Java
    /// takes it as it is, whoever the client is; here it has to be the client's own name.
    pub fn of(&self, client: &Principal, asserted: Option<&str>) -> Result<LocalName, NoLocalName> {
        let whole = client.to_string();
        let Some(mut id) = self.short_name(client) else {
            return match asserted {
                Some(other) if other != whole => Err(NoLocalName {
                    client: whole,
                    asserted: other.to_owned(),
                }),
                _ => Ok(LocalName {
                    id: whole,
                    by_a_rule: false,
                }),
            };
        };
        if let Some(host) = client.instance().filter(|_| self.keeps_host) {
            id = format!("{id}/{host}");
        }
        if self.keeps_realm {
            id = format!("{id}@{}", client.realm());
        }
        Ok(LocalName {
            id,
            by_a_rule: true,
        })
    }

    /// A rule that fits but makes no plain name of it ends the search, too.
    fn short_name(&self, client: &Principal) -> Option<String> {
        let made = self
            .rules
            .iter()
            .find_map(|rule| self.apply(rule, client))?;
        (!made.contains(['/', '@'])).then_some(made)
    }

    fn apply(&self, rule: &Rule, client: &Principal) -> Option<String> {
        let pattern = match rule {
            Rule::Default => {
                return (client.realm() == self.default_realm).then(|| client.primary().to_owned());
            }
            Rule::Pattern(pattern) => pattern,
        };
        if client.components().len() != pattern.components {
            return None;
        }
        let component = |number: usize| match number {
            0 => Some(client.realm()),
            number => client.components().get(number - 1).map(String::as_str),
        };
        let base = filled(&pattern.format, component);
        if pattern
            .fits
            .as_ref()
            .is_some_and(|fits| !fits.is_match(&base))
        {
            return None;
        }
        Some(match &pattern.substitution {
            Some(substitution) => substitution.apply(&base),
            None => base,
        })
    }
}

impl Substitution {
    fn apply(&self, base: &str) -> String {
        let most = if self.everywhere { usize::MAX } else { 1 };
        let (mut out, mut done) = (String::new(), 0);
        for groups in self.from.captures_iter(base).take(most) {
            let whole = groups.get_match();
            out += &base[done..whole.start()];
            out += &filled(&self.to, |number| {
                groups.get(number).map(|group| group.as_str())
            });
            done = whole.end();
        }
        out + &base[done..]
    }
}

fn filled<'a>(pieces: &[Piece], value_of: impl Fn(usize) -> Option<&'a str>) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Number(number) => value_of(*number).unwrap_or_default().to_owned(),
    };
    pieces.iter().map(piece).collect()
}

/// A rule as it is written.
enum Written<'a> {
    Default,
    Pattern {
        components: usize,
        format: &'a str,
        fits: Option<&'a str>,
        substitution: Option<(&'a str, &'a str, bool)>,
    },
}

fn parse(text: &str) -> Result<Vec<Rule>, RuleError> {
    let rules = terminated(many0(preceded(multispace0, rule)), multispace0);
    let (_, written) = all_consuming(rules)
        .parse(text)
        .map_err(|error| match error {
            nom::Err::Error(e) | nom::Err::Failure(e) => RuleError::Syntax(e.input.to_owned()),
            nom::Err::Incomplete(_) => unreachable!("the parsers know that the text is complete"),
        })?;
    written.into_iter().map(compiled).collect()
}

fn rule(text: &str) -> IResult<&str, Written<'_>> {
    let until = |end: char| take_while(move |c| c != end);
    let components = map_res(digit1, str::parse);
    let head = delimited(
        tag("RULE:["),
        (components, char(':'), until(']')),
        char(']'),
    );
    let fits = opt(delimited(char('('), until(')'), char(')')));
    let substitution = (
        preceded(tag("s/"), until('/')),
        preceded(char('/'), until('/')),
        preceded(char('/'), map(opt(char('g')), |found| found.is_some())),
    );
    alt((
        value((), tag("DEFAULT")).map(|()| Written::Default),
        (head, fits, opt(substitution)).map(|((components, _, format), fits, substitution)| {
            Written::Pattern {
                components,
                format,
                fits,
                substitution,
            }
        }),
    ))
    .parse(text)
}

fn compiled(rule: Written<'_>) -> Result<Rule, RuleError> {
    let Written::Pattern {
        components,
        format,
        fits,
        substitution,
    } = rule
    else {
        return Ok(Rule::Default);
    };
    let regex = |pattern: &str, whole: String| {
        Regex::new(&whole).map_err(|e| RuleError::Pattern {
            pattern: pattern.to_owned(),
            why: e.to_string(),
        })
    };
    let substitution = substitution.map(|(from, to, everywhere)| {
        let from = regex(from, from.to_owned())?;
        let to = replacement(to, from.captures_len() - 1)?;
        Ok(Substitution {
            from,
            to,
            everywhere,
        })
    });
    Ok(Rule::Pattern(Box::new(Pattern {
        components,
        format: template(format, components)?,
        fits: fits
            .map(|fits| regex(fits, format!("^(?:{fits})$")))
            .transpose()?,
        substitution: substitution.transpose()?,
    })))
}

/// `$n` stands for a component, however many digits it has.
fn template(text: &str, most: usize) -> Result<Vec<Piece>, RuleError> {
    let number = preceded(char('$'), map_res(digit1, str::parse::<usize>));
    let plain = map(is_not("$"), |text: &str| Piece::Text(text.to_owned()));
    let (rest, pieces) = pieces(alt((plain, map(number, Piece::Number))), text);
    if !rest.is_empty() {
        return Err(RuleError::NoNumber(text.to_owned()));
    }
    in_range(pieces, most, text)
}

/// As Java's `Matcher.appendReplacement`: `\` takes the meaning from what follows, and `$n` has as many digits as there
/// are groups for.
fn replacement(text: &str, groups: usize) -> Result<Vec<Piece>, RuleError> {
    let plain = map(recognize(is_not("$\\")), |text: &str| {
        Piece::Text(text.to_owned())
    });
    let escaped = preceded(char('\\'), nom::character::complete::anychar);
    let escaped = map(escaped, |c| Piece::Text(c.to_string()));
    let group = move |text| group(text, groups);
    let (rest, pieces) = pieces(alt((plain, escaped, group)), text);
    if !rest.is_empty() {
        return Err(RuleError::NoNumber(text.to_owned()));
    }
    in_range(pieces, groups, text)
}

fn group(text: &str, groups: usize) -> IResult<&str, Piece> {
    let (after, digits) = preceded(char('$'), digit1).parse(text)?;
    let (mut number, mut taken) = (0, 0);
    for digit in digits.bytes().map(|digit| usize::from(digit - b'0')) {
        let longer = number * 10 + digit;
        if taken > 0 && longer > groups {
            break;
        }
        (number, taken) = (longer, taken + 1);
    }
    let untaken = digits.len() - taken + after.len();
    Ok((&text[text.len() - untaken..], Piece::Number(number)))
}

fn pieces<'a>(
    one: impl Parser<&'a str, Output = Piece, Error = nom::error::Error<&'a str>>,
    text: &'a str,
) -> (&'a str, Vec<Piece>) {
    many0(one).parse(text).unwrap_or((text, Vec::new()))
}

fn in_range(pieces: Vec<Piece>, most: usize, text: &str) -> Result<Vec<Piece>, RuleError> {
    let beyond = pieces.iter().find_map(|piece| match piece {
        Piece::Number(number) if *number > most => Some(*number),
        _ => None,
    });
    match beyond {
        Some(number) => Err(RuleError::Number {
            number,
            most,
            text: text.to_owned(),
        }),
        None => Ok(pieces),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn names(rules: &str, removes_host: bool, removes_realm: bool) -> LocalNames {
        LocalNames::new(rules, "R", removes_host, removes_realm).unwrap()
    }

    fn id(names: &LocalNames, client: &str) -> String {
        let client = Principal::parse(client, None).unwrap();
        names.of(&client, None).unwrap().id
    }

    #[test]
    fn what_is_left_away() {
        let all = ["alice@R", "alice/host@R", "alice@S", "alice/host@S"];
        let made = |removes_host, removes_realm| {
            let names = names("DEFAULT", removes_host, removes_realm);
            all.map(|client| id(&names, client))
        };
        // No rule fits those of the other realm: theirs is the whole name, whatever is to be left away.
        assert_eq!(
            made(false, false),
            ["alice@R", "alice/host@R", "alice@S", "alice/host@S"]
        );
        assert_eq!(
            made(true, false),
            ["alice@R", "alice@R", "alice@S", "alice/host@S"]
        );
        assert_eq!(
            made(false, true),
            ["alice", "alice/host", "alice@S", "alice/host@S"]
        );
        assert_eq!(
            made(true, true),
            ["alice", "alice", "alice@S", "alice/host@S"]
        );
    }

    #[test]
    fn rules() {
        for (rules, client, expected) in [
            ("RULE:[1:$1@$0](.*@S)s/@.*//", "alice@S", "alice"),
            ("RULE:[1:$1@$0](.*@S)s/@.*//", "alice@T", "alice@T"),
            (
                "RULE:[2:$1;$2](.*;admin)s/;admin/-root/\nDEFAULT",
                "alice/admin@S",
                "alice-root",
            ),
            (
                "RULE:[2:$1;$2](.*;admin)s/;admin/-root/\nDEFAULT",
                "alice/x@R",
                "alice",
            ),
            ("RULE:[1:$1]s/a/b/RULE:[2:$1]", "aha@S", "bha"),
            ("RULE:[1:$1]s/a/b/g", "aha@S", "bhb"),
            ("RULE:[1:$1](al)DEFAULT", "alice@R", "alice"),
            ("RULE:[1:$1]s/(a)(l)/$2$1$10\\$/", "alice@S", "laa0$ice"),
            ("RULE:[1:$1]s/i|x*$//g", "alixx@S", "al"),
            ("  DEFAULT  RULE:[2:of-$0]  ", "a/b@S", "of-S"),
            // No plain name comes out: the whole one counts, and no later rule.
            ("RULE:[1:$1@$0] RULE:[1:later]", "alice@S", "alice@S"),
            ("", "alice@R", "alice@R"),
        ] {
            assert_eq!(
                id(&names(rules, true, true), client),
                expected,
                "{rules} of {client}"
            );
        }
    }

    #[test]
    fn nobody_says_who_it_is() {
        let names = names("DEFAULT", false, false);
        let of = |client: &str, asserted: &str| {
            let client = Principal::parse(client, None).unwrap();
            names.of(&client, Some(asserted))
        };
        assert_eq!(of("alice@R", "super").unwrap().id, "alice@R");
        assert_eq!(of("alice@S", "alice@S").unwrap().id, "alice@S");
        let error = of("alice@S", "super").unwrap_err().to_string();
        assert_eq!(
            error,
            "no rule of auth_to_local fits alice@S, who may not act as \"super\""
        );
    }

    #[test]
    fn rules_that_are_refused() {
        for (rules, expected) in [
            ("NONE", "Invalid rule: \"NONE\""),
            ("DEFAULT RULE:[1:$1", "Invalid rule: \"RULE:[1:$1\""),
            ("RULE:[:$1]", "Invalid rule"),
            ("RULE:[1:$1](a", "Invalid rule: \"(a\""),
            ("RULE:[1:$2]", "$2 in \"$2\": there are only $1 and below"),
            ("RULE:[1:$x]", "a $ in \"$x\" is not followed by a number"),
            (
                "RULE:[1:$1]s/a/$1/",
                "$1 in \"$1\": there are only $0 and below",
            ),
            (
                "RULE:[1:$1]s/a/${b}/",
                "a $ in \"${b}\" is not followed by a number",
            ),
            (
                "RULE:[1:$1](a(?=b)",
                "the pattern \"a(?=b\" is not understood",
            ),
        ] {
            let error = LocalNames::new(rules, "R", false, false)
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(expected), "{rules}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "(DEFAULT|RULE:|\\[|[12]|:|\\$|\\]|\\(|\\)|s/|/|g|a| |\\\\){0,20}") {
            if let Ok(names) = LocalNames::new(&text, "R", false, false) {
                id(&names, "alice/a@S");
            }
        }
    }
}
