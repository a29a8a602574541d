//! `server.N=...`: one member of an ensemble, text <-> value.
//!
//! Must not resolve a name. Answers to `QuorumPeer.QuorumServer`.

use std::collections::BTreeSet;
use std::fmt;

use nom::branch::alt;
use nom::bytes::complete::tag_no_case;
use nom::character::complete::{char, space0};
use nom::combinator::{all_consuming, opt, value};
use nom::multi::{many0_count, separated_list1};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use super::address::{self, HostText, ListenAddress};
use crate::ids::ServerId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Participant,
    Observer,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Participant => "participant",
            Role::Observer => "observer",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddress {
    pub host: String,
    pub quorum_port: u16,
    pub election_port: u16,
}

/// One member. `Display` gives the canonical form that the ensemble stores and compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLine {
    pub id: ServerId,
    /// At least one, ordered by host.
    pub addresses: Vec<PeerAddress>,
    pub role: Role,
    pub client: Option<ListenAddress>,
    pub secure_client: Option<ListenAddress>,
}

impl fmt::Display for ServerLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server.{}=", self.id)?;
        for (at, address) in self.addresses.iter().enumerate() {
            let separator = if at == 0 { "" } else { "|" };
            let PeerAddress {
                host,
                quorum_port,
                election_port,
            } = address;
            write!(
                f,
                "{separator}{}:{quorum_port}:{election_port}",
                HostText(host)
            )?;
        }
        write!(f, ":{}", self.role)?;
        match (&self.client, &self.secure_client) {
            (None, None) => Ok(()),
            (Some(client), None) => write!(f, ";{client}"),
            (None, Some(secure)) => write!(f, ";;{secure}"),
            (Some(client), Some(secure)) => write!(f, ";{client};{secure}"),
        }
    }
}

impl PeerAddress {
    /// `host:port` of the quorum port, as dialled.
    pub fn quorum(&self) -> String {
        format!("{}:{}", HostText(&self.host), self.quorum_port)
    }

    /// `host:port` of the election port, as dialled and as told in a greeting.
    pub fn election(&self) -> String {
        format!("{}:{}", HostText(&self.host), self.election_port)
    }
}

impl ServerLine {
    /// The addresses for servers and for clients and the role are the same. Where a server has several addresses, those
    /// of the quorum and of the election are a set each.
    pub fn is_same_member(&self, other: &ServerLine) -> bool {
        let set = |line: &ServerLine, address: fn(&PeerAddress) -> String| -> BTreeSet<String> {
            line.addresses.iter().map(address).collect()
        };
        (self.id, self.role) == (other.id, other.role)
            && self.client == other.client
            && self.secure_client == other.secure_client
            && set(self, PeerAddress::quorum) == set(other, PeerAddress::quorum)
            && set(self, PeerAddress::election) == set(other, PeerAddress::election)
    }
}

/// What an operator has to know to repair a line; the words are Java's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerLineError {
    #[error(
        "{0} does not have the form server_config or server_config;client_config where \
         server_config is the pipe separated list of host:port:port or host:port:port:type \
         and client_config is port or host:port"
    )]
    Form(String),
    #[error("{0} starts with '[' but has no matching ']:'")]
    Bracket(String),
    #[error("{0} doesn't have a port after colon")]
    NoPort(String),
    #[error("Unrecognised peertype: {0}. Choose participant or observer")]
    Role(String),
    #[error("For input string: \"{0}\". A port is a number from 0 to 65535")]
    Port(String),
    #[error("port out of range:{0}. A port is a number from 0 to 65535")]
    PortRange(i64),
    #[error(
        "Client and election port must be different! Please update the configuration file on server.{0}"
    )]
    SamePorts(ServerId),
    #[error("Multiple addresses should have similar roles: {0}")]
    Roles(String),
    #[error(
        "Multiple address feature is disabled, but multiple addresses were specified for sid {0}. \
         Set multiAddress.enabled=true, or keep one address"
    )]
    MultipleAddresses(ServerId),
}

/// Reads what stands behind `server.<id>=`.
pub fn parse(
    id: ServerId,
    text: &str,
    multiple_addresses: bool,
) -> Result<ServerLine, ServerLineError> {
    let Ok((_, parts)) = all_consuming(grammar).parse(text) else {
        return Err(diagnose(text));
    };
    let (mut members, client, secure_client) = parts;
    if members.len() > 1 && !multiple_addresses {
        return Err(ServerLineError::MultipleAddresses(id));
    }
    // An address without a role agrees with any.
    let mut roles = members.iter().filter_map(|(_, role)| *role);
    let role = roles.next().unwrap_or(Role::Participant);
    if roles.any(|other| other != role) {
        return Err(ServerLineError::Roles(text.to_owned()));
    }
    if members
        .iter()
        .any(|(address, _)| address.quorum_port == address.election_port)
    {
        return Err(ServerLineError::SamePorts(id));
    }
    members.sort_by(|(a, _), (b, _)| a.host.cmp(&b.host));
    Ok(ServerLine {
        id,
        addresses: members.into_iter().map(|(address, _)| address).collect(),
        role,
        client,
        secure_client,
    })
}

type Parts = (
    Vec<(PeerAddress, Option<Role>)>,
    Option<ListenAddress>,
    Option<ListenAddress>,
);

fn grammar(input: &str) -> IResult<&str, Parts> {
    let client_part = || opt(preceded(semicolon, opt(address::listen)));
    (
        separated_list1(delimited(space0, char('|'), space0), member),
        client_part(),
        client_part(),
    )
        .map(|(members, client, secure)| (members, client.flatten(), secure.flatten()))
        .parse(input)
}

fn semicolon(input: &str) -> IResult<&str, char> {
    delimited(space0, char(';'), space0).parse(input)
}

fn member(input: &str) -> IResult<&str, (PeerAddress, Option<Role>)> {
    let role = alt((
        value(Role::Participant, tag_no_case("participant")),
        value(Role::Observer, tag_no_case("observer")),
    ));
    let port = || preceded(char(':'), address::port);
    (
        address::host,
        port(),
        port(),
        opt(preceded((char(':'), space0), role)),
        // Java's split drops empty parts at the end.
        many0_count(char(':')),
    )
        .map(|(host, quorum_port, election_port, role, _)| {
            let address = PeerAddress {
                host: address::canonical_host(host),
                quorum_port,
                election_port,
            };
            (address, role)
        })
        .parse(input)
}

/// Finds the narrowest thing to say about a line that the grammar refused.
fn diagnose(text: &str) -> ServerLineError {
    let form = || ServerLineError::Form(text.to_owned());
    let mut parts = text.split(';');
    let server_config = parts.next().unwrap_or_default();
    for address in server_config.split('|').map(str::trim) {
        let after_host = match address.strip_prefix('[') {
            Some(bracketed) => match bracketed.split_once("]:") {
                Some((_, "")) => return ServerLineError::NoPort(address.to_owned()),
                Some((_, rest)) => rest,
                None => return ServerLineError::Bracket(address.to_owned()),
            },
            None => match address.split_once(':') {
                Some((_, rest)) => rest,
                None => return form(),
            },
        };
        let fields: Vec<&str> = after_host.split(':').map(str::trim).collect();
        if !(2..=3).contains(&fields.len()) || fields.contains(&"") {
            return form();
        }
        if let Some(bad) = fields[..2]
            .iter()
            .find(|field| field.parse::<u16>().is_err())
        {
            return bad_port(bad);
        }
        if let Some(role) = fields.get(2)
            && !role.eq_ignore_ascii_case("participant")
            && !role.eq_ignore_ascii_case("observer")
        {
            return ServerLineError::Role((*role).to_owned());
        }
    }
    for client_config in parts.map(str::trim) {
        if client_config.starts_with('[') && !client_config.contains("]:") {
            return ServerLineError::Bracket(client_config.to_owned());
        }
        if client_config.ends_with("]:") {
            return ServerLineError::NoPort(client_config.to_owned());
        }
        let port = client_config.rsplit(':').next().unwrap_or_default();
        if !port.is_empty() && port.parse::<u16>().is_err() {
            return bad_port(port);
        }
    }
    form()
}

fn bad_port(text: &str) -> ServerLineError {
    match text.parse() {
        Ok(number) => ServerLineError::PortRange(number),
        Err(_) => ServerLineError::Port(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> String {
        parse(ServerId(1), text, true).unwrap().to_string()
    }

    fn message(text: &str) -> String {
        parse(ServerId(1), text, false).unwrap_err().to_string()
    }

    #[test]
    fn canonical_forms() {
        let cases = [
            ("zoo1:2888:3888", "server.1=zoo1:2888:3888:participant"),
            (
                "zoo1:2888:3888;2181",
                "server.1=zoo1:2888:3888:participant;0.0.0.0:2181",
            ),
            (
                "zoo1:2888:3888:OBSERVER;zoo1:2181",
                "server.1=zoo1:2888:3888:observer;zoo1:2181",
            ),
            (
                "[2001:db8::1]:2888:3888;[::1]:2181",
                "server.1=[2001:db8:0:0:0:0:0:1]:2888:3888:participant;[0:0:0:0:0:0:0:1]:2181",
            ),
            ("h:1:2;;2281", "server.1=h:1:2:participant;;0.0.0.0:2281"),
            (
                "h:1:2;2181;2281",
                "server.1=h:1:2:participant;0.0.0.0:2181;0.0.0.0:2281",
            ),
            ("h:1:2;", "server.1=h:1:2:participant"),
            ("h:1:2:;2181", "server.1=h:1:2:participant;0.0.0.0:2181"),
            (
                "b:1:2|a:3:4;2181",
                "server.1=a:3:4|b:1:2:participant;0.0.0.0:2181",
            ),
            (
                "b:1:2:observer | a:3:4:Observer",
                "server.1=a:3:4|b:1:2:observer",
            ),
            (
                "localhost:2888:3888; 2181",
                "server.1=localhost:2888:3888:participant;0.0.0.0:2181",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn messages() {
        let form = "does not have the form server_config or server_config;client_config where server_config is the pipe separated list of host:port:port or host:port:port:type and client_config is";
        let cases = [
            ("", form),
            ("zoo1", form),
            ("zoo1:2888", form),
            ("zoo1:2888:3888:observer:x", form),
            ("zoo1::3888", form),
            ("h:1:2;1;2;3", form),
            ("h:1:2|", form),
            (
                "[::1:2888:3888",
                "[::1:2888:3888 starts with '[' but has no matching ']:'",
            ),
            ("[::1]:", "[::1]: doesn't have a port after colon"),
            (
                "h:1:2;[::1",
                "[::1 starts with '[' but has no matching ']:'",
            ),
            ("h:x:3888", "For input string: \"x\""),
            ("h:1:65536", "port out of range:65536"),
            ("h:1:2;abc", "For input string: \"abc\""),
            ("h:1:2:leader", "Unrecognised peertype: leader"),
            (
                "h:1:1",
                "Client and election port must be different! Please update the configuration file on server.1",
            ),
            (
                "a:1:2|b:1:2",
                "Multiple address feature is disabled, but multiple addresses were specified for sid 1",
            ),
        ];
        for (text, expected) in cases {
            assert!(
                message(text).contains(expected),
                "{text}: {}",
                message(text)
            );
        }
        assert_eq!(
            parse(ServerId(1), "a:1:2|b:1:2:observer", true).map(|line| line.role),
            Ok(Role::Observer)
        );
        let roles = parse(ServerId(1), "a:1:2:observer|b:1:2:participant", true)
            .unwrap_err()
            .to_string();
        assert!(
            roles.starts_with("Multiple addresses should have similar roles: "),
            "{roles}"
        );
    }

    fn hosts() -> impl Strategy<Value = String> {
        "[a-z][a-z0-9-]{0,8}(\\.[a-z]{1,4})?|[0-9]{1,3}\\.0\\.0\\.1|[1-9a-f]:[1-9a-f]{4}:0:0:1:0:0:[1-9a-f]"
    }

    fn listeners() -> impl Strategy<Value = Option<ListenAddress>> {
        proptest::option::of((proptest::option::of(hosts()), any::<u16>()))
            .prop_map(|part| part.map(|(host, port)| ListenAddress::new(host.as_deref(), port)))
    }

    proptest! {
        #[test]
        fn text_never_panics(text in ".{0,40}", multiple: bool) {
            let _ = parse(ServerId(1), &text, multiple);
        }

        #[test]
        fn text_of_the_grammar_never_panics(text in r"[a1:;|\[\] ]{0,30}", multiple: bool) {
            let _ = parse(ServerId(1), &text, multiple);
        }

        #[test]
        fn canonical_forms_round_trip(
            id: i64,
            hosts in proptest::collection::btree_set(hosts(), 1..4),
            quorum_port in 1u16..40_000,
            observer: bool,
            client in listeners(),
            secure_client in listeners(),
        ) {
            let addresses = hosts.into_iter().map(|host| PeerAddress {
                host, quorum_port, election_port: quorum_port + 1,
            });
            let role = if observer { Role::Observer } else { Role::Participant };
            let id = ServerId(id);
            let line = ServerLine { id, addresses: addresses.collect(), role, client, secure_client };
            let text = line.to_string();
            let (_, value) = text.split_once('=').unwrap();
            prop_assert_eq!(parse(id, value, true), Ok(line));
        }
    }
}
