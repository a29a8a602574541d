//! Java system properties, as they reach a ZooKeeper process: `-Dkey=value` arguments, JVMFLAGS
//! and SERVER_JVMFLAGS.
//!
//! Knows no key; reads no environment (the strings are handed in). Answers to the part of
//! `zkEnv.sh` that builds the java command line.

use std::collections::BTreeMap;

/// Property name -> value. Later definitions win, as on a java command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemProperties {
    values: BTreeMap<String, String>,
}

impl SystemProperties {
    /// `arguments` are the `key=value` texts after `-D`. They win over JVMFLAGS, and JVMFLAGS wins
    /// over SERVER_JVMFLAGS: the script puts them on the command line in that order.
    pub fn new<'a>(
        server_jvmflags: &str,
        jvmflags: &str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut properties = SystemProperties::default();
        properties.add_flags(server_jvmflags);
        properties.add_flags(jvmflags);
        for definition in arguments {
            properties.define(definition);
        }
        properties
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Takes `-Dk=v` out of JVM flags. The rest (-X.., -javaagent, -cp and its argument) speaks to
    /// a JVM only and is dropped without a word.
    fn add_flags(&mut self, flags: &str) {
        for token in flags.split_whitespace() {
            if let Some(definition) = token.strip_prefix("-D") {
                self.define(definition);
            }
        }
    }

    fn define(&mut self, definition: &str) {
        let (name, value) = definition.split_once('=').unwrap_or((definition, ""));
        if !name.is_empty() {
            self.values.insert(name.to_owned(), value.trim().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_definitions_are_taken() {
        let flags = "-Xmx1g -XX:+UseG1GC -javaagent:/a.jar=7070 -cp /a:/b -Da=1  -Db -D=x\t-Dc=x=y";
        let properties = SystemProperties::new("", flags, []);
        let all: Vec<_> = properties.iter().collect();
        assert_eq!(all, [("a", "1"), ("b", ""), ("c", "x=y")]);
    }

    #[test]
    fn arguments_win_over_jvmflags_and_those_over_server_jvmflags() {
        let properties = SystemProperties::new(
            "-Da=server -Db=server -Dc=server",
            "-Da=jvm -Db=jvm",
            ["a=argument"],
        );
        assert_eq!(properties.get("a"), Some("argument"));
        assert_eq!(properties.get("b"), Some("jvm"));
        assert_eq!(properties.get("c"), Some("server"));
    }
}
