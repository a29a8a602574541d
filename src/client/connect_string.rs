//! `host:port,host:port/chroot`. Answers to `ConnectStringParser`.

use super::path;

const PORT: u16 = 2181;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectString {
    pub servers: Vec<(String, u16)>,
    /// What all paths of this client are below; `None` for the root.
    pub chroot: Option<String>,
}

impl ConnectString {
    pub fn parse(text: &str) -> Result<ConnectString, String> {
        let (servers, chroot) = match text.find('/') {
            Some(at) => (&text[..at], &text[at..]),
            None => (text, "/"),
        };
        path::validate(chroot)?;
        let servers = servers.split(',').map(str::trim);
        let servers = servers.filter(|server| !server.is_empty()).map(server);
        let servers = servers.collect::<Result<Vec<_>, _>>()?;
        if servers.is_empty() {
            return Err("the connect string names no server".to_owned());
        }
        Ok(ConnectString {
            servers,
            chroot: (chroot.len() > 1).then(|| chroot.to_owned()),
        })
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, or a bare IPv6 address.
fn server(text: &str) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or(rest)),
        None if text.parse::<std::net::Ipv6Addr>().is_ok() => (text, ""),
        None => text.rsplit_once(':').unwrap_or((text, "")),
    };
    let port = match port {
        "" => PORT,
        port => port
            .parse()
            .map_err(|_| format!("{text}: the port {port:?} is no number from 0 to 65535"))?,
    };
    match host {
        "" => Err(format!("{text}: there is no host")),
        host => Ok((host.to_owned(), port)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn forms() {
        for (text, servers, chroot) in [
            ("a", vec![("a", 2181)], None),
            ("a:1", vec![("a", 1)], None),
            ("a:", vec![("a", 2181)], None),
            ("a:1,b", vec![("a", 1), ("b", 2181)], None),
            ("a:1, b:2/", vec![("a", 1), ("b", 2)], None),
            ("a:1/x/y", vec![("a", 1)], Some("/x/y")),
            (
                "[::1]:7,[fe80::1]",
                vec![("::1", 7), ("fe80::1", 2181)],
                None,
            ),
            ("::1", vec![("::1", 2181)], None),
        ] {
            let parsed = ConnectString::parse(text).unwrap();
            let found: Vec<_> = parsed.servers.iter().map(|(h, p)| (&h[..], *p)).collect();
            assert_eq!(found, servers, "{text}");
            assert_eq!(parsed.chroot.as_deref(), chroot, "{text}");
        }
        for text in ["", "/x", ",", "a:x", "a:65536", ":1", "a/x/", "a//x"] {
            assert!(ConnectString::parse(text).is_err(), "{text}");
        }
    }
}
