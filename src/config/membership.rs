//! The lines of the ensemble, `server.N`, `group.G`, `weight.N` -> `Membership`.
//!
//! Must not decide whether this server takes part. Answers to `QuorumMaj`, `QuorumHierarchical`
//! and the checks of `QuorumPeerConfig.parseDynamicConfig`.

use std::collections::BTreeMap;

use super::diagnostics::{Level, Origin};
use super::settings::{Diagnostics, Setting};
use super::values;
use crate::ids::ServerId;
use crate::membership::{Membership, server_line};

/// Reads the three families. Wrong lines are reported and left out.
pub(super) fn read<'a>(
    lines: impl Iterator<Item = (&'a str, &'a Setting)>,
    multiple_addresses: bool,
    diagnostics: &mut Diagnostics,
) -> Membership {
    let mut membership = Membership::default();
    let mut group_origins = BTreeMap::new();
    for (key, setting) in lines {
        let Setting { value, origin, .. } = setting;
        let Some((family, number)) = key.split_once('.') else {
            continue;
        };
        let Some(id) = values::integer(number) else {
            let message =
                format!("For input string: \"{number}\": expected the number of a {family}");
            diagnostics.error(origin, key, message);
            continue;
        };
        match family {
            "server" => match server_line::parse(ServerId(id), value, multiple_addresses) {
                Ok(server) => {
                    membership.servers.insert(ServerId(id), server);
                }
                Err(error) => diagnostics.error(origin, key, error.to_string()),
            },
            "group" => {
                let parts = value
                    .split(':')
                    .map(|part| values::integer(part.trim()).map(ServerId).ok_or(part));
                match parts.collect::<Result<Vec<ServerId>, &str>>() {
                    Ok(servers) => {
                        membership.groups.insert(id, servers);
                        group_origins.insert(id, origin);
                    }
                    Err(part) => {
                        let expected = "expected server numbers joined by colons, as in 1:2:3";
                        diagnostics.error(
                            origin,
                            key,
                            format!("For input string: \"{part}\": {expected}"),
                        );
                    }
                }
            }
            _ => match values::integer(value).filter(|weight| *weight >= 0) {
                Some(weight) => {
                    membership.weights.insert(ServerId(id), weight);
                }
                None => {
                    let message =
                        format!("For input string: \"{value}\": expected a weight of at least 0");
                    diagnostics.error(origin, key, message);
                }
            },
        }
    }
    check_groups(&membership, &group_origins, diagnostics);
    membership
}

fn check_groups(
    membership: &Membership,
    origins: &BTreeMap<i64, &Origin>,
    diagnostics: &mut Diagnostics,
) {
    let mut group_of = BTreeMap::new();
    for (group, servers) in &membership.groups {
        for server in servers {
            if group_of.insert(*server, *group).is_some() {
                let message = format!("Server {server} is in multiple groups");
                match origins.get(group) {
                    Some(origin) => diagnostics.error(origin, &format!("group.{group}"), message),
                    None => diagnostics
                        .errors
                        .push(super::ConfigError::general(message)),
                }
            }
        }
    }
    if membership.is_hierarchical() {
        for voter in membership
            .voters()
            .filter(|voter| !group_of.contains_key(&voter.id))
        {
            let message = format!("Server {} is not in a group", voter.id);
            diagnostics
                .errors
                .push(super::ConfigError::general(message));
        }
    }
}

/// What Java checks of any membership before it chooses between standalone and ensemble.
pub(super) fn check(
    membership: &Membership,
    standalone_enabled: bool,
    diagnostics: &mut Diagnostics,
) {
    let voters = membership.voters().count();
    let has_observers = membership.observers().next().is_some();
    let mut error = |text: &str| diagnostics.errors.push(super::ConfigError::general(text));
    match voters {
        0 if !standalone_enabled => {
            error("standaloneEnabled = false then number of participants should be >0");
        }
        0 if has_observers => error("Observers w/o participants is an invalid configuration"),
        0 => {}
        1 if standalone_enabled => {
            if has_observers {
                error("Observers w/o quorum is an invalid configuration");
            }
            let text = "Invalid configuration, only one server specified (ignoring)";
            diagnostics.general(Level::Error, text);
        }
        1 | 2 => {
            let text = "No server failure will be tolerated. You need at least 3 servers.";
            diagnostics.general(Level::Warn, text);
        }
        _ if voters.is_multiple_of(2) => {
            let text = "Non-optimal configuration, consider an odd number of servers.";
            diagnostics.general(Level::Warn, text);
        }
        _ => {}
    }
}
