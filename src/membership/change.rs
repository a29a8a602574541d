//! What a request to change the members asks for: the next members, from the ones before.
//!
//! Must not know whether the change may happen now. The codes tell apart what the original refuses and what it
//! stumbles over: clients see them. Answers to the middle of `PrepRequestProcessor`'s reconfiguration and to
//! `QuorumPeerConfig.parseDynamicConfig`.

use std::net::IpAddr;

use super::server_line::{self, ServerLineError};
use super::{HostText, Membership, MembershipError, PeerAddress, ServerLine, entries};
use crate::ids::ServerId;

/// Which texts are understood, and which sizes are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fewer than two voters would not be an ensemble.
    pub standalone_enabled: bool,
    /// A server may have several addresses.
    pub multiple_addresses: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// -8
    #[error("{0}")]
    BadArguments(String),
    /// -5: the original does not expect these, and answers as if the request had been garbled.
    #[error("{0}")]
    Unreadable(String),
}

use ChangeError::{BadArguments, Unreadable};

/// All members anew: lines separated by commas or line ends.
pub fn replace(text: &str, limits: Limits) -> Result<Membership, ChangeError> {
    let text = text.replace(',', "\n");
    let mut next = Membership::default();
    for (key, value) in entries(&text) {
        let read = next.read_line(key, value, limits.multiple_addresses);
        read.map_err(of_line)?;
    }
    next.check().map_err(of_line)?;
    if next
        .servers
        .values()
        .any(|line| line.secure_client.is_some())
    {
        return Err(secure_part());
    }
    let weights = next.effective_weights();
    let mut grouped = next.groups.values().flatten();
    if let Some(id) = grouped.find(|id| !weights.contains_key(id)) {
        return Err(Unreadable(format!(
            "server {id} is in a group and has no weight"
        )));
    }
    let (voters, observers) = (next.voters().count(), next.observers().count());
    match voters {
        0 if !limits.standalone_enabled => Err(Unreadable("no participants are left".to_owned())),
        1 if limits.standalone_enabled && observers > 0 => Err(Unreadable(
            "Observers w/o quorum is an invalid configuration".to_owned(),
        )),
        _ => enough(next, limits),
    }
}

/// Some leave, by number, and some join or get another line; both separated by commas.
pub fn adjust(
    last: &Membership,
    joining: Option<&str>,
    leaving: Option<&str>,
    limits: Limits,
) -> Result<Membership, ChangeError> {
    if last.is_hierarchical() {
        let why = "the members are in groups: only all of them together can be replaced";
        return Err(BadArguments(why.to_owned()));
    }
    let mut next = last.clone();
    for leaving in parts(leaving.unwrap_or_default(), ',') {
        next.servers.remove(&number(leaving)?);
    }
    for joining in parts(joining.unwrap_or_default(), ',') {
        let line = joiner(joining, limits)?;
        let others = next.servers.values().filter(|other| other.id != line.id);
        for other in others {
            check_addresses(&line, other)?;
        }
        next.servers.insert(line.id, line);
    }
    enough(next, limits)
}

/// `server.5=host:2888:3888;2181`. What stands before the last dot is not looked at.
fn joiner(text: &str, limits: Limits) -> Result<ServerLine, ChangeError> {
    let sides: Vec<&str> = parts(text, '=').collect();
    let &[key, value] = &sides[..] else {
        return Err(BadArguments(format!(
            "{text} does not have the form server.N=..."
        )));
    };
    let id = number(key.rsplit('.').next().unwrap_or(key))?;
    let line = server_line::parse(id, value, limits.multiple_addresses).map_err(of_server)?;
    match (&line.client, &line.secure_client) {
        (_, Some(_)) => Err(secure_part()),
        (None, None) => Err(BadArguments(format!("server.{id} has no client port"))),
        (Some(_), None) => Ok(line),
    }
}

fn enough(next: Membership, limits: Limits) -> Result<Membership, ChangeError> {
    let needed = 1 + usize::from(limits.standalone_enabled);
    match next.voters().count() < needed {
        true => Err(BadArguments(format!(
            "a configuration needs at least {needed} participants"
        ))),
        false => Ok(next),
    }
}

/// As the original's own: trimmed, without the empty ones.
fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let parts = text.split(separator).map(str::trim);
    parts.filter(|part| !part.is_empty())
}

fn number(text: &str) -> Result<ServerId, ChangeError> {
    let unreadable = |_| Unreadable(format!("For input string: \"{text}\""));
    text.parse().map(ServerId).map_err(unreadable)
}

/// No release but the next one understands it, and whoever does not would leave the ensemble.
fn secure_part() -> ChangeError {
    BadArguments("a secure client address cannot stand in a server line".to_owned())
}

fn of_line(error: MembershipError) -> ChangeError {
    let text = error.to_string();
    match error {
        MembershipError::Server { error, .. } => of_server(error),
        // Taken for a group or weight by its beginning, and for a number by what follows.
        MembershipError::Key(key) if key.starts_with("group") || key.starts_with("weight") => {
            Unreadable(text)
        }
        MembershipError::Number { .. } | MembershipError::OnlyObservers => Unreadable(text),
        _ => BadArguments(text),
    }
}

fn of_server(error: ServerLineError) -> ChangeError {
    let text = error.to_string();
    match error {
        // A number, but not a port's.
        ServerLineError::PortRange(port) if i32::try_from(port).is_ok() => Unreadable(text),
        _ => BadArguments(text),
    }
}

/// No two servers share an address, among those that can be told apart without looking names up. Loopback and
/// wildcard addresses are not compared.
fn check_addresses(line: &ServerLine, other: &ServerLine) -> Result<(), ChangeError> {
    let others = addresses(other);
    match addresses(line)
        .into_iter()
        .find(|address| others.contains(address))
    {
        Some(shared) => Err(BadArguments(format!(
            "{shared} of server.{} conflicts {shared} of server.{}",
            line.id, other.id
        ))),
        None => Ok(()),
    }
}

fn addresses(line: &ServerLine) -> Vec<String> {
    let of_peers = line.addresses.iter();
    let of_peers = of_peers.flat_map(
        |PeerAddress {
             host,
             quorum_port,
             election_port,
         }| {
            [
                (host.as_str(), *quorum_port),
                (host.as_str(), *election_port),
            ]
        },
    );
    let of_client = line.client.iter();
    let of_client = of_client.filter_map(|client| Some((client.host.as_deref()?, client.port)));
    let all = of_peers.chain(of_client);
    let compared = all.filter(|(host, _)| !is_special(host));
    compared
        .map(|(host, port)| format!("{}:{port}", HostText(&host.to_lowercase())))
        .collect()
}

fn is_special(host: &str) -> bool {
    let address: Option<IpAddr> = host.parse().ok();
    address.map_or(host.eq_ignore_ascii_case("localhost"), |address| {
        address.is_loopback() || address.is_unspecified()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const ENSEMBLE: Limits = Limits {
        standalone_enabled: false,
        multiple_addresses: false,
    };
    const USUAL: Limits = Limits {
        standalone_enabled: true,
        multiple_addresses: false,
    };

    fn three() -> Membership {
        "server.1=a:1:2;3\nserver.2=b:1:2;3\nserver.3=c:1:2;3\nversion=7"
            .parse()
            .unwrap()
    }

    fn code<T>(result: Result<T, ChangeError>) -> i32 {
        match result {
            Ok(_) => 0,
            Err(BadArguments(_)) => -8,
            Err(Unreadable(_)) => -5,
        }
    }

    #[test]
    fn members_join_leave_and_move() {
        let adjust = |joining, leaving| {
            let next = adjust(&three(), joining, leaving, USUAL).unwrap();
            next.file_lines().join(" ")
        };
        let line = |id, host, role| format!("server.{id}={host}:1:2:{role};0.0.0.0:3");
        let (one, two, three) = (
            line(1, "a", "participant"),
            line(2, "b", "participant"),
            line(3, "c", "participant"),
        );
        assert_eq!(adjust(None, None), format!("{one} {two} {three}"));
        assert_eq!(adjust(None, Some("3")), format!("{one} {two}"));
        assert_eq!(
            adjust(Some(""), Some(" 9, 3 ,,")),
            format!("{one} {two}"),
            "9 is not there"
        );
        let observer = line(3, "c", "observer");
        assert_eq!(
            adjust(Some("server.3=c:1:2:observer;3"), None),
            format!("{one} {two} {observer}")
        );
        let four = line(4, "d", "participant");
        assert_eq!(
            adjust(Some(" server.4 = d:1:2;3 "), Some("1")),
            format!("{two} {three} {four}")
        );
        assert_eq!(
            adjust(Some("x.y.4=d:1:2;3"), None),
            format!("{one} {two} {three} {four}")
        );
        // Who leaves and joins at once has another line.
        let moved = "server.1=e:1:2:participant;0.0.0.0:3";
        assert_eq!(
            adjust(Some("server.1=e:1:2;3"), Some("1")),
            format!("{moved} {two} {three}")
        );
    }

    #[test]
    fn what_joiners_must_look_like() {
        let code = |joining| code(adjust(&three(), Some(joining), None, USUAL));
        assert_eq!(code("server.4=d:1:2;3"), 0);
        for bad in [
            "server.4",
            "server.4=",
            "server.4=d:1:2;3=x",
            "server.4=d:1:2",
            "server.4=d:1:2;",
            "server.4=nonsense",
            "server.4=d:1:1;3",
            "server.4=d:x:2;3",
            "server.4=d:1:2:voter;3",
            "server.4=d:1:2|e:1:2;3",
            "server.4=d:1:2;3;4",
            "server.4=d:1:2;;4",
            "server.4=d:1:2;x",
            "server.4=d:1:99999999999;3",
        ] {
            assert_eq!(code(bad), -8, "{bad}");
        }
        for bad in [
            "server.x=d:1:2;3",
            "=d:1:2;3,server.4.=d:1:2;3",
            "server.4=d:1:65536;3",
            "server.4=d:1:2;70000",
        ] {
            let expected = if bad.starts_with('=') { -8 } else { -5 };
            assert_eq!(code(bad), expected, "{bad}");
        }
    }

    #[test]
    fn who_leaves_is_a_number_and_not_everybody() {
        let code_of = |leaving, limits| code(adjust(&three(), None, Some(leaving), limits));
        assert_eq!(code_of("x", USUAL), -5);
        assert_eq!(code_of("1 2", USUAL), -5);
        assert_eq!(code_of("1,2", USUAL), -8, "one would be left");
        assert_eq!(code_of("1,2", ENSEMBLE), 0);
        assert_eq!(code_of("1,2,3", ENSEMBLE), -8);
        let grouped: Membership = "server.1=a:1:2\nserver.2=b:1:2\ngroup.1=1:2"
            .parse()
            .unwrap();
        assert_eq!(code(adjust(&grouped, None, None, USUAL)), -8);
    }

    #[test]
    fn two_servers_do_not_share_an_address() {
        let last: Membership = "server.1=10.0.0.1:1:2;10.0.0.1:3\nserver.2=127.0.0.1:1:2;3"
            .parse()
            .unwrap();
        let code = |joining| code(adjust(&last, Some(joining), None, USUAL));
        assert_eq!(code("server.4=10.0.0.1:2:5;7"), -8);
        assert_eq!(code("server.4=10.0.0.1:8:9;10.0.0.1:3"), -8);
        assert_eq!(
            code("server.4=10.0.0.1:8:9;3"),
            0,
            "of the wildcard nothing is known"
        );
        assert_eq!(code("server.4=127.0.0.1:1:2;3"), 0);
        assert_eq!(code("server.1=10.0.0.1:1:2;10.0.0.1:3"), 0, "its own");
    }

    #[test]
    fn all_members_anew() {
        let next = replace(
            "server.1=a:1:2, server.2 = b:1:2:observer;3\nserver.3:c:1:2,version=99",
            USUAL,
        )
        .unwrap();
        let lines = [
            "server.1=a:1:2:participant",
            "server.2=b:1:2:observer;0.0.0.0:3",
            "server.3=c:1:2:participant",
        ];
        assert_eq!(next.file_lines(), lines);
        let cases = [
            ("", -8, -5),
            ("server.1=a:1:2", -8, 0),
            ("server.1=a:1:2,server.2=b:1:2:observer", -5, 0),
            ("server.1=a:1:2:observer", -5, -5),
            ("server.1=a:1:2,server.2=b:1:2,x=y", -8, -8),
            ("server.1=a:1:2,server.two=b:1:2", -5, -5),
            ("server.1=a:1:2,server.2=b:1", -8, -8),
            ("server.1=a:1:2,server.2=b:1:2;3;4", -8, -8),
            ("server.1=a:1:2,server.2=b:1:70000", -5, -5),
            ("server.1=a:1:2,server.2=b:1:2,version=z", -5, -5),
            ("server.1=a:1:2,server.2=b:1:2,group.1=1:2", 0, 0),
            ("server.1=a:1:2,server.2=b:1:2,group.1=1", -8, -8),
            (
                "server.1=a:1:2,server.2=b:1:2,group.1=1:2,group.2=1",
                -8,
                -8,
            ),
            ("server.1=a:1:2,server.2=b:1:2,group.1=1:2:9", -5, -5),
            ("server.1=a:1:2,server.2=b:1:2,groups=1:2", -5, -5),
        ];
        for (text, usual, ensemble) in cases {
            assert_eq!(code(replace(text, USUAL)), usual, "{text}");
            assert_eq!(
                code(replace(text, ENSEMBLE)),
                ensemble,
                "{text}, standaloneEnabled=false"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "((server|group|weight|version)?[.=:]?[0-9a:;|., ]{0,12}){0,4}", other in ".{0,60}") {
            for text in [text, other] {
                let _ = replace(&text, USUAL);
                let _ = adjust(&three(), Some(&text), Some(&text), ENSEMBLE);
            }
        }
    }
}
