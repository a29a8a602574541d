//! Names of Kerberos: `primary/instance@REALM`.

use std::fmt;

/// Components, then the realm.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    components: Vec<String>,
    realm: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    #[error("{0:?} is not of the form name/host@REALM")]
    Malformed(String),
    #[error("{0:?} has no realm, and none is known as the default: write it behind an @")]
    NoRealm(String),
}

impl Principal {
    pub fn new(components: Vec<String>, realm: String) -> Principal {
        Principal { components, realm }
    }

    /// As it is written in a configuration file. Without a realm it is of the default one.
    pub fn parse(text: &str, default_realm: Option<&str>) -> Result<Principal, PrincipalError> {
        let malformed = || PrincipalError::Malformed(text.to_owned());
        let (name, realm) = match text.split_once('@') {
            Some((name, realm)) => (name, realm),
            None => {
                let realm =
                    default_realm.ok_or_else(|| PrincipalError::NoRealm(text.to_owned()))?;
                (text, realm)
            }
        };
        let components = name.split('/').map(str::to_owned).collect();
        let principal = Principal::new(components, realm.to_owned());
        match principal.is_nameable() {
            true => Ok(principal),
            false => Err(malformed()),
        }
    }

    /// Whether its text stands for it alone: a sign within a part would make it look like another one. Java knows no
    /// name of more than two parts either (`KerberosName`).
    pub fn is_nameable(&self) -> bool {
        let is_plain = |part: &String| {
            !part.is_empty() && !part.contains(|c: char| "/@\\".contains(c) || c.is_control())
        };
        (1..=2).contains(&self.components.len())
            && self.components.iter().all(is_plain)
            && is_plain(&self.realm)
    }

    pub fn primary(&self) -> &str {
        self.components.first().map_or("", String::as_str)
    }

    pub fn instance(&self) -> Option<&str> {
        self.components.get(1).map(String::as_str)
    }

    pub fn components(&self) -> &[String] {
        &self.components
    }

    pub fn realm(&self) -> &str {
        &self.realm
    }
}

impl fmt::Display for Principal {
    /// Nothing of it can end a line of the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}@{}", self.components.join("/"), self.realm);
        match text.contains(char::is_control) {
            true => write!(f, "{}", text.escape_debug()),
            false => f.write_str(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn texts() {
        let service = Principal::parse("zookeeper/localhost@EXAMPLE.ORG", None).unwrap();
        assert_eq!(
            (service.primary(), service.instance()),
            ("zookeeper", Some("localhost"))
        );
        assert_eq!(service.realm(), "EXAMPLE.ORG");
        assert_eq!(service.to_string(), "zookeeper/localhost@EXAMPLE.ORG");
        let user = Principal::parse("alice", Some("R")).unwrap();
        assert_eq!(
            (user.to_string().as_str(), user.instance()),
            ("alice@R", None)
        );
        assert_eq!(
            Principal::parse("alice", None),
            Err(PrincipalError::NoRealm("alice".to_owned()))
        );
        for text in [
            "*", "", "@R", "a/@R", "/a@R", "a/b/c@R", "a@", "a@R@S", "a@R/S", "a\n@R", "a\\@R",
        ] {
            let parsed = Principal::parse(text, Some("R"));
            assert!(parsed.is_err() || text == "*", "{text:?}: {parsed:?}");
        }
    }

    #[test]
    fn a_part_cannot_look_like_two() {
        let of = |parts: &[&str]| {
            Principal::new(
                parts.iter().map(|part| (*part).to_owned()).collect(),
                "R".to_owned(),
            )
        };
        assert!(of(&["a", "b"]).is_nameable());
        for parts in [
            &["a/b"][..],
            &["a@R"],
            &["a\\"],
            &["a\n"],
            &["a", "b", "c"],
            &[],
            &[""],
        ] {
            assert!(!of(parts).is_nameable(), "{parts:?}");
        }
        assert_eq!(of(&["a\nb"]).to_string(), "a\\nb@R");
    }
}
