//! JAAS configuration files: sections of login modules with options.
//!
//! ```text
//! Server {
//!     org.apache.zookeeper.server.auth.DigestLoginModule required
//!     user_bob="secret";
//! };
//! ```
//!
//! Answers to the JDK's `ConfigFile`; of modules it knows ZooKeeper's own, and of the JDK's `Krb5LoginModule` what a
//! service needs: a keytab. `${...}` is not expanded but refused.

use std::collections::BTreeMap;
use std::fmt;

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_until, take_while1};
use nom::character::complete::{anychar, char, multispace1, not_line_ending, satisfy};
use nom::combinator::{cut, map, value, verify};
use nom::error::ErrorKind;
use nom::multi::{fold_many_m_n, fold_many0, many0, many0_count, many1};
use nom::sequence::{delimited, preceded, separated_pair, terminated};
use nom::{IResult, Parser};

use super::{Accounts, Login, Password};

const DIGEST: &str = "org.apache.zookeeper.server.auth.DigestLoginModule";
const KERBEROS: &str = "com.sun.security.auth.module.Krb5LoginModule";
const ACCOUNT: &str = "user_";

/// A file's sections by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jaas {
    sections: BTreeMap<String, Section>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Section {
    modules: Vec<Module>,
}

impl fmt::Debug for Section {
    /// Without the options: they are passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.modules.iter().map(|module| &module.name))
            .finish()
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Module {
    name: String,
    options: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JaasError {
    #[error("line {line}: {what}")]
    Syntax { line: usize, what: &'static str },
    #[error("the section {0} stands there twice")]
    Repeated(String),
    #[error("line {line}: ${{...}} is not expanded by this server; write the value itself")]
    Expansion { line: usize },
}

/// A section that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    #[error(
        "Kerberos between members is not available in this release; use {DIGEST} in place of {KERBEROS}"
    )]
    KerberosOfMembers,
    #[error("the login module {0} is not known; use {DIGEST} or {KERBEROS}")]
    UnknownModule(String),
    #[error(
        "{KERBEROS} needs useKeyTab=true and keyTab=\"<file>\": clients are believed by the keys of a file, and \
         neither a ticket cache nor a password is used"
    )]
    NoKeytab,
    #[error(
        "{KERBEROS} needs the principal that clients ask tickets for: principal=\"zookeeper/<host>@<REALM>\""
    )]
    NoPrincipal,
    #[error("it has no username and password")]
    NoLogin,
}

impl Jaas {
    pub fn parse(text: &str) -> Result<Jaas, JaasError> {
        let line_at = |rest: &str| 1 + text[..text.len() - rest.len()].matches('\n').count();
        let sections = match terminated(many0(section), filler).parse(text) {
            Ok(("", sections)) => sections,
            Ok((rest, _)) => {
                let line = line_at(rest);
                return Err(JaasError::Syntax {
                    line,
                    what: "a section should begin here: Name { ... };",
                });
            }
            Err(nom::Err::Error(e) | nom::Err::Failure(e)) => {
                let line = line_at(e.input);
                return Err(match e.code {
                    // Nothing else uses it.
                    ErrorKind::Verify => JaasError::Expansion { line },
                    _ => JaasError::Syntax {
                        line,
                        what: "not of the form Name { module.Class required option=\"value\"; };",
                    },
                });
            }
            Err(nom::Err::Incomplete(_)) => {
                unreachable!("the parsers know that the text is complete")
            }
        };
        let mut jaas = Jaas {
            sections: BTreeMap::new(),
        };
        for (name, section) in sections {
            if jaas.sections.insert(name.clone(), section).is_some() {
                return Err(JaasError::Repeated(name));
            }
        }
        Ok(jaas)
    }

    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.get(name)
    }
}

/// How clients prove who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    DigestMd5(Accounts),
    Gssapi(KeytabLogin),
}

/// Whose keys count, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeytabLogin {
    pub keytab: String,
    pub principal: String,
    /// Accounts beside it have no effect, as on the JVM: clients do not say which mechanism they use.
    pub hides_accounts: bool,
}

impl Section {
    /// What the section offers to clients: Kerberos if it logs in to it.
    pub fn offer(&self) -> Result<Offer, SectionError> {
        let Some(kerberos) = self.modules.iter().find(|module| module.name == KERBEROS) else {
            return self.accounts().map(Offer::DigestMd5);
        };
        let is_unknown = |module: &&Module| module.name != KERBEROS && module.name != DIGEST;
        if let Some(other) = self.modules.iter().find(is_unknown) {
            return Err(SectionError::UnknownModule(other.name.clone()));
        }
        let option = |name: &str| kerberos.options.get(name).map(String::as_str);
        let uses_keytab = option("useKeyTab").is_some_and(|word| word.eq_ignore_ascii_case("true"));
        let keytab = option("keyTab").filter(|file| uses_keytab && !file.is_empty());
        // The JDK takes * for whoever is in the keytab, and then ZooKeeper takes the section for one of DIGEST-MD5.
        let principal = option("principal").filter(|name| !name.is_empty() && *name != "*");
        Ok(Offer::Gssapi(KeytabLogin {
            keytab: keytab.ok_or(SectionError::NoKeytab)?.to_owned(),
            principal: principal.ok_or(SectionError::NoPrincipal)?.to_owned(),
            hides_accounts: self.modules.iter().any(|module| module.name == DIGEST),
        }))
    }

    /// Who is listed with a password: options `user_<name>`.
    pub fn accounts(&self) -> Result<Accounts, SectionError> {
        let accounts = self.options()?.filter_map(|(name, password)| {
            let user = name.strip_prefix(ACCOUNT)?;
            Some((user.to_owned(), Password::new(password.clone())))
        });
        Ok(accounts.collect())
    }

    /// The options `username` and `password`.
    pub fn login(&self) -> Result<Login, SectionError> {
        let find = |wanted: &str| {
            let mut options = self.options()?;
            let found = options.find(|(name, _)| *name == wanted);
            found
                .map(|(_, value)| value.clone())
                .ok_or(SectionError::NoLogin)
        };
        Ok(Login {
            user: find("username")?,
            password: Password::new(find("password")?),
        })
    }

    fn options(&self) -> Result<impl Iterator<Item = (&String, &String)>, SectionError> {
        match self.modules.iter().find(|module| module.name != DIGEST) {
            Some(other) if other.name == KERBEROS => Err(SectionError::KerberosOfMembers),
            Some(other) => Err(SectionError::UnknownModule(other.name.clone())),
            None => Ok(self.modules.iter().flat_map(|module| &module.options)),
        }
    }
}

fn section(text: &str) -> IResult<&str, (String, Section)> {
    let body = delimited(sign('{'), cut(many1(module)), cut((sign('}'), sign(';'))));
    map((text_value, body), |(name, modules)| {
        (name, Section { modules })
    })
    .parse(text)
}

fn module(text: &str) -> IResult<&str, Module> {
    let options = fold_many0(option, BTreeMap::new, |mut options, (name, value)| {
        options.insert(name, value);
        options
    });
    map(
        (text_value, cut(flag), options, cut(sign(';'))),
        |(name, (), options, _)| Module { name, options },
    )
    .parse(text)
}

fn flag(text: &str) -> IResult<&str, ()> {
    let flags = ["required", "requisite", "sufficient", "optional"];
    let is_flag = |word: &String| flags.iter().any(|flag| word.eq_ignore_ascii_case(flag));
    let (rest, word) = text_value(text)?;
    match is_flag(&word) {
        true => Ok((rest, ())),
        false => Err(nom::Err::Error(nom::error::Error::new(
            text,
            ErrorKind::Tag,
        ))),
    }
}

fn option(text: &str) -> IResult<&str, (String, String)> {
    separated_pair(text_value, sign('='), cut(option_value)).parse(text)
}

fn option_value(text: &str) -> IResult<&str, String> {
    let (rest, _) = filler(text)?;
    verify(text_value, |value: &String| !value.contains("${")).parse(rest)
}

/// A word or a quoted string, behind blanks and comments.
fn text_value(text: &str) -> IResult<&str, String> {
    preceded(filler, alt((string, map(word, str::to_owned)))).parse(text)
}

fn word(text: &str) -> IResult<&str, &str> {
    take_while1(|c: char| !c.is_whitespace() && !c.is_control() && !"{};=\"'/".contains(c))
        .parse(text)
}

/// With the escapes of Java's `StreamTokenizer`. It ends on its line.
fn string(text: &str) -> IResult<&str, String> {
    let plain = map(is_not("\"\\\r\n"), str::to_owned);
    let escape = preceded(
        char('\\'),
        alt((octal, named, verify(anychar, |c| !matches!(c, '\r' | '\n')))),
    );
    let inside = fold_many0(
        alt((plain, map(escape, String::from))),
        String::new,
        |all, part| all + &part,
    );
    delimited(char('"'), inside, char('"')).parse(text)
}

fn named(text: &str) -> IResult<&str, char> {
    alt((
        value('\u{7}', char('a')),
        value('\u{8}', char('b')),
        value('\u{c}', char('f')),
        value('\n', char('n')),
        value('\r', char('r')),
        value('\t', char('t')),
        value('\u{b}', char('v')),
    ))
    .parse(text)
}

/// Three digits if the first one leaves room for it in a byte, else two.
fn octal(text: &str) -> IResult<&str, char> {
    let digits = match text.starts_with(['0', '1', '2', '3']) {
        true => 3,
        false => 2,
    };
    let digit = satisfy(|c| c.is_digit(8));
    let number = fold_many_m_n(
        1,
        digits,
        digit,
        || 0_u8,
        |all, c| {
            all.wrapping_mul(8)
                .wrapping_add(c.to_digit(8).unwrap_or(0) as u8)
        },
    );
    map(number, char::from).parse(text)
}

fn sign<'a>(
    wanted: char,
) -> impl Parser<&'a str, Output = char, Error = nom::error::Error<&'a str>> {
    preceded(filler, char(wanted))
}

fn filler(text: &str) -> IResult<&str, usize> {
    let line = (tag("//"), not_line_ending);
    let block = (tag("/*"), take_until("*/"), tag("*/"));
    many0_count(alt((
        value((), multispace1),
        value((), line),
        value((), block),
    )))
    .parse(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const FILE: &str = r#"
/* of the
   ensemble */
Server { // for clients
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_super="admin \"secret\"\\" user_bob=bobsecret
    user_tab="a\tb\101\0";
};
QuorumServer{org.apache.zookeeper.server.auth.DigestLoginModule REQUIRED user_test="test";};
"QuorumLearner" {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    username = "test"
    password = "te//st;}";
};
Client {
    com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true principal="zookeeper/a@B";
};
Other { a.B optional; };
"#;

    #[test]
    fn sections() {
        let jaas = Jaas::parse(FILE).unwrap();
        let server = jaas.section("Server").unwrap().accounts().unwrap();
        let password = |user| server.password_of(user).map(Password::reveal);
        assert_eq!(password("super"), Some("admin \"secret\"\\"));
        assert_eq!(password("bob"), Some("bobsecret"));
        assert_eq!(password("tab"), Some("a\tbA\0"));
        assert_eq!(password("user_bob"), None);
        let learner = jaas.section("QuorumLearner").unwrap().login().unwrap();
        assert_eq!(
            (&*learner.user, learner.password.reveal()),
            ("test", "te//st;}")
        );
        assert_eq!(
            jaas.section("QuorumServer").unwrap().login(),
            Err(SectionError::NoLogin)
        );
        assert!(matches!(
            jaas.section("Client").unwrap().accounts(),
            Err(SectionError::KerberosOfMembers)
        ));
        assert_eq!(
            jaas.section("Other").unwrap().login(),
            Err(SectionError::UnknownModule("a.B".to_owned()))
        );
        assert_eq!(jaas.section("server"), None);
    }

    #[test]
    fn what_is_offered_to_clients() {
        let offer = |modules: &str| {
            let jaas = Jaas::parse(&format!("A {{ {modules} }};")).unwrap();
            jaas.section("A").unwrap().offer()
        };
        let keytab = "useKeyTab=True keyTab=\"/k\" storeKey=true principal=\"zookeeper/h@R\";";
        let expected = |hides_accounts| KeytabLogin {
            keytab: "/k".to_owned(),
            principal: "zookeeper/h@R".to_owned(),
            hides_accounts,
        };
        let digest = format!("{DIGEST} required user_a=b;");
        let kerberos = format!("{KERBEROS} required {keytab}");
        assert_eq!(offer(&kerberos), Ok(Offer::Gssapi(expected(false))));
        for both in [
            format!("{digest} {kerberos}"),
            format!("{kerberos} {digest}"),
        ] {
            assert_eq!(offer(&both), Ok(Offer::Gssapi(expected(true))));
        }
        assert!(matches!(offer(&digest), Ok(Offer::DigestMd5(_))));
        for (options, error) in [
            (
                "useTicketCache=true principal=\"a@R\"",
                SectionError::NoKeytab,
            ),
            ("useKeyTab=true principal=\"a@R\"", SectionError::NoKeytab),
            (
                "useKeyTab=false keyTab=\"/k\" principal=\"a@R\"",
                SectionError::NoKeytab,
            ),
            ("useKeyTab=true keyTab=\"/k\"", SectionError::NoPrincipal),
            (
                "useKeyTab=true keyTab=\"/k\" principal=\"*\"",
                SectionError::NoPrincipal,
            ),
        ] {
            assert_eq!(
                offer(&format!("{KERBEROS} required {options};")),
                Err(error),
                "{options}"
            );
        }
        assert_eq!(
            offer(&format!("{kerberos} a.B required;")),
            Err(SectionError::UnknownModule("a.B".to_owned()))
        );
        let ibm = "com.ibm.security.auth.module.Krb5LoginModule";
        assert_eq!(
            offer(&format!("{ibm} required;")),
            Err(SectionError::UnknownModule(ibm.to_owned()))
        );
    }

    #[test]
    fn lines_of_errors() {
        let line = |text| match Jaas::parse(text).unwrap_err() {
            JaasError::Syntax { line, .. } => line,
            other => panic!("{other}"),
        };
        assert_eq!(line("a"), 1);
        assert_eq!(line("A {\n};"), 2);
        assert_eq!(line("A {\n b.C required\n x=1\n}"), 4);
        assert_eq!(line("A {\n b.C needed;\n};"), 2);
        assert_eq!(line("A {\n b.C required\n x=\"1\n;\n};"), 3);
        assert_eq!(line("A { b.C required; }\n;\n}"), 3);
        assert_eq!(line("A { b.C required; }"), 1);
        assert_eq!(line("/* A"), 1);
    }

    #[test]
    fn what_would_be_misunderstood_is_refused() {
        assert_eq!(
            Jaas::parse("A { b.C required\n x=\"${user.home}/y\"; };"),
            Err(JaasError::Expansion { line: 2 })
        );
        assert_eq!(
            Jaas::parse("A { b.C required; };\nA { b.C required; };"),
            Err(JaasError::Repeated("A".to_owned()))
        );
        assert!(Jaas::parse("").unwrap().section("A").is_none());
    }

    #[test]
    fn options_are_not_printed() {
        let printed = format!("{:?}", Jaas::parse(FILE).unwrap());
        assert!(!printed.contains("secret"), "{printed}");
    }

    proptest! {
        #[test]
        fn quoted_options_survive(password in "[^\u{0}-\u{1f}]*") {
            prop_assume!(!password.contains("${"));
            let escaped = password.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("A {{ {DIGEST} required username=\"a\" password=\"{escaped}\"; }};");
            let login = Jaas::parse(&text).unwrap().section("A").unwrap().login().unwrap();
            prop_assert_eq!(login.password.reveal(), password);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "[ -~\n]*") {
            let _ = Jaas::parse(&text);
        }
    }
}
