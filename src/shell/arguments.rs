//! The command line of `ferrokeeper cli`, and the line that a user types. Answers to
//! `ZooKeeperMain.MyCommandOptions`.

use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    pub server: String,
    pub timeout_ms: u64,
    pub read_only: bool,
    pub wait_for_connection: bool,
    pub client_configuration: Option<PathBuf>,
    pub is_json: bool,
    pub is_quiet: bool,
    /// `key=value` of every `-D` in front of the command.
    pub definitions: Vec<String>,
    /// To be run; none: whatever the user types.
    pub command: Vec<String>,
}

pub const USAGE: &str = "\
Usage: ferrokeeper cli [options] [command [arguments]]

A client with the commands of zkCli.sh; without a command it reads them from the terminal, or from its input.

  -server host:port[,host:port][/chroot]   where to connect (localhost:2181)
  -timeout ms                              session timeout (30000)
  -r                                       a server that lost its quorum will do
  -waitforconnection                       fail unless a server answers within the timeout
  -client-configuration file               properties of ZooKeeper's client, for TLS and SASL
  -Dzookeeper.client.secure=true ...       the same, one by one; CLIENT_JVMFLAGS is read, too
  -Djava.security.auth.login.config=file   SASL DIGEST-MD5 with the login of the file's section Client
  --output text|json                       how results are printed (text)
  --quiet                                  results alone, no greeting and no events of the session

Exit codes: 0 done, 1 the command failed, 2 wrong options, 127 no such command.
`ferrokeeper cli help` lists the commands.";

impl Arguments {
    /// What stands behind the word `cli`. `Err` is the text to end with.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Arguments, String> {
        let mut parsed = Arguments {
            server: "localhost:2181".to_owned(),
            timeout_ms: 30_000,
            read_only: false,
            wait_for_connection: false,
            client_configuration: None,
            is_json: false,
            is_quiet: false,
            definitions: Vec::new(),
            command: Vec::new(),
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = |option: &str| {
                let missing = || format!("Error: no argument found for option {option}");
                arguments.next().ok_or_else(missing)
            };
            match argument.as_str() {
                "-server" | "--server" => parsed.server = value("-server")?,
                "-timeout" | "--timeout" => {
                    let text = value("-timeout")?;
                    let number = text
                        .parse()
                        .ok()
                        .filter(|ms| (1..=i32::MAX as u64).contains(ms));
                    parsed.timeout_ms =
                        number.ok_or_else(|| format!("-timeout: {text:?} is no number of ms"))?;
                }
                "-r" => parsed.read_only = true,
                "-waitforconnection" => parsed.wait_for_connection = true,
                "-client-configuration" => {
                    parsed.client_configuration = Some(value("-client-configuration")?.into());
                }
                "--output" | "-output" => match value("--output")?.as_str() {
                    "json" => parsed.is_json = true,
                    "text" => parsed.is_json = false,
                    other => return Err(format!("--output: {other:?} is neither text nor json")),
                },
                "--quiet" | "-q" => parsed.is_quiet = true,
                definition if definition.starts_with("-D") => {
                    parsed.definitions.push(definition[2..].to_owned());
                }
                option if option.starts_with('-') => {
                    return Err(format!("unknown option {option}\n\n{USAGE}"));
                }
                _ => {
                    parsed.command.push(argument);
                    parsed.command.extend(arguments.by_ref());
                }
            }
        }
        Ok(parsed)
    }
}

/// The words of a line. Quotes hold a word together where they begin it; one that is never closed is left out.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let behind = &rest[first.len_utf8()..];
        rest = match first {
            '"' | '\'' => match behind.split_once(first) {
                Some((inside, behind)) => {
                    words.push(inside.to_owned());
                    behind
                }
                None => behind,
            },
            _ => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                words.push(rest[..end].to_owned());
                &rest[end..]
            }
        }
        .trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(line: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(line.iter().map(|text| (*text).to_owned()))
    }

    #[test]
    fn options_come_first_and_the_command_keeps_its_own() {
        let parsed = parse(&[
            "-server", "a:1/x", "-timeout", "5000", "-Dk=v", "--output", "json", "create", "-s",
            "/n", "-Dx", "-r",
        ])
        .unwrap();
        assert_eq!(parsed.server, "a:1/x");
        assert_eq!(parsed.timeout_ms, 5000);
        assert_eq!(parsed.definitions, ["k=v"]);
        assert!(parsed.is_json && !parsed.read_only);
        assert_eq!(parsed.command, ["create", "-s", "/n", "-Dx", "-r"]);
        assert!(parse(&["-server"]).is_err());
        assert!(parse(&["-timeout", "x"]).is_err());
        assert!(parse(&["-nonsense"]).is_err());
        assert!(parse(&["--output", "xml"]).is_err());
    }

    #[test]
    fn words_of_a_line() {
        for (line, expected) in [
            ("ls /", vec!["ls", "/"]),
            ("  set /a \"b c\"  'd e' ", vec!["set", "/a", "b c", "d e"]),
            ("create /a \"\"", vec!["create", "/a", ""]),
            ("set /a \"b", vec!["set", "/a", "b"]),
            ("set /a b\"c d\"", vec!["set", "/a", "b\"c", "d\""]),
            ("", vec![]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }
}
