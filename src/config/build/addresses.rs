//! Directories, listening addresses and session times.
//!
//! Answers to the middle of `QuorumPeerConfig.parseProperties` and to its `setupClientPort`.

use std::path::PathBuf;

use super::super::diagnostics::{ConfigError, Level};
use super::super::settings::{Reader, Setting};
use super::super::{ListenAddress, Membership, release, values};
use super::{INT, MILLISECONDS, POSITIVE, is_membership, warn_of_relative};
use crate::ids::ServerId;

pub(super) fn directories(r: &mut Reader<'_>) -> (PathBuf, PathBuf) {
    for key in ["dataDir", "dataLogDir"] {
        if let Some(Setting { value, origin, .. }) = r.setting(key) {
            warn_of_relative(key, value, Some(origin), r.diagnostics);
        }
    }
    let Some(data_dir) = r.nonempty("dataDir") else {
        r.diagnostics.errors.push(ConfigError::general(
            "dataDir is not set: name the directory that keeps this server's data",
        ));
        return Default::default();
    };
    let data_log_dir = r.nonempty("dataLogDir").unwrap_or_else(|| data_dir.clone());
    (data_dir.into(), data_log_dir.into())
}

pub(super) fn listen_address(
    port_key: &str,
    host_key: &str,
    r: &mut Reader<'_>,
) -> Option<ListenAddress> {
    let errors_before = r.diagnostics.errors.len();
    let port = r.int(port_key, 0, 0..=65535, "a port number, 0 for none,") as u16;
    let host = r
        .setting(host_key)
        .filter(|setting| !setting.value.is_empty());
    match (port, host) {
        // A port that could not be read has been reported; its address is not to blame.
        (0, _) if r.diagnostics.errors.len() > errors_before => None,
        (0, Some(host)) => {
            let message = format!("{host_key} is set but {port_key} is not set");
            r.diagnostics.error(&host.origin, host_key, message);
            None
        }
        (0, None) => None,
        (port, host) => {
            let bare = host.map(|host| host.value.trim_start_matches('[').trim_end_matches(']'));
            Some(ListenAddress::new(bare, port))
        }
    }
}

/// The address that clients use: that of the own server line if it has one.
pub(super) fn client_address(
    from_file: Option<ListenAddress>,
    has_secure: bool,
    server_id: Option<i64>,
    membership: &Membership,
    r: &mut Reader<'_>,
) -> Option<ListenAddress> {
    let own = server_id.and_then(|id| membership.servers.get(&ServerId(id)));
    if let Some((own, line)) = own.and_then(|own| Some((own, own.client.as_ref()?))) {
        if let Some(from_file) = &from_file {
            let agrees = from_file.port == line.port
                && (from_file.is_wildcard() || from_file.host == line.host);
            if !agrees {
                let message = format!(
                    "client address for this server (id = {}) in static config file is {from_file} \
                     is different from client address found in dynamic file: {line}",
                    own.id
                );
                match r.settings.get("clientPort") {
                    Some(setting) => r.diagnostics.error(&setting.origin, "clientPort", message),
                    None => r.diagnostics.errors.push(ConfigError::general(message)),
                }
            }
        }
        return Some(line.clone());
    }
    if from_file.is_some() {
        return from_file;
    }
    // Java would run and listen nowhere, since without myid it does not know its own line.
    let only = release::only_member(membership).filter(|_| server_id.is_none());
    if let Some((only, line)) = only.and_then(|only| Some((only, only.client.as_ref()?))) {
        let text = format!(
            "no clientPort and no myid; {line} is taken from server.{}, the only one",
            only.id
        );
        r.diagnostics.general(Level::Warn, text);
        return Some(line.clone());
    }
    let failed_port = r.diagnostics.errors.iter().any(|error| {
        error
            .key
            .as_deref()
            .is_some_and(|key| key.starts_with("clientPort") || is_membership(key))
    });
    if !has_secure && !failed_port {
        let message = "clientPort is not set, and no server line gives a client port: nobody could connect. \
                       Set clientPort=2181";
        r.diagnostics.errors.push(ConfigError::general(message));
    }
    None
}

pub(super) fn session_times(r: &mut Reader<'_>) -> (u32, u32, u32) {
    let tick_ms = match r.setting("tickTime") {
        Some(setting) if values::integer(&setting.value) == Some(0) => {
            let message =
                "tickTime is not set: 0 is not allowed, expected a number of milliseconds";
            r.diagnostics.error(&setting.origin, "tickTime", message);
            3000
        }
        _ => r.int("tickTime", 3000, POSITIVE, MILLISECONDS),
    };
    let from_ticks = |ticks: i64| (tick_ms * ticks).min(i64::from(i32::MAX));
    let mut bound = |key: &str, ticks| match r.int(key, -1, INT, MILLISECONDS) {
        -1 => from_ticks(ticks),
        ms => ms.max(0),
    };
    let (min, max) = (
        bound("minSessionTimeout", 2),
        bound("maxSessionTimeout", 20),
    );
    if min > max {
        let message = format!(
            "minSessionTimeout must not be larger than maxSessionTimeout ({min} > {max} ms)"
        );
        let blamed = ["minSessionTimeout", "maxSessionTimeout"]
            .into_iter()
            .find_map(|key| Some((key, r.settings.get(key)?)));
        match blamed {
            Some((key, setting)) => r.diagnostics.error(&setting.origin, key, message),
            None => r.diagnostics.errors.push(ConfigError::general(message)),
        }
    }
    (tick_ms as u32, min as u32, max as u32)
}
