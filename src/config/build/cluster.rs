//! Membership, and what only members of an ensemble use.
//!
//! Answers to `QuorumPeerConfig.setupQuorumPeerConfig`.

use std::path::PathBuf;

use super::super::diagnostics::{ConfigError, Level};
use super::super::settings::Reader;
use super::super::{Config, ElectionPort, Ensemble, Membership, Role, membership, release};
use super::{COUNT, INT, MILLISECONDS, POSITIVE, TICKS};
use crate::ids::ServerId;

pub(super) fn membership(version: i64, standalone_enabled: bool, r: &mut Reader<'_>) -> Membership {
    // Asked for by family, so that a test sees that they are read.
    for family in ["server.", "group.", "weight."] {
        let _ = r.family(family);
    }
    // Java's parser of server lines reads the property and its peer the key; either will do here.
    let multiple_addresses = r.boolean("multiAddress.enabled", false);
    let lines = release::membership_settings(r.settings);
    let mut membership = membership::read(lines, multiple_addresses, r.diagnostics);
    membership.version = version;
    let had_errors = release::membership_settings(r.settings).any(|(name, _)| {
        r.diagnostics
            .errors
            .iter()
            .any(|error| error.key.as_deref() == Some(name))
    });
    // Lines that could not be read are missing; counting the rest would only mislead.
    if !had_errors {
        membership::check(&membership, standalone_enabled, r.diagnostics);
    }
    if !membership.is_distributed(standalone_enabled) {
        let text = "Either no config or no quorum defined in config, running in standalone mode";
        r.diagnostics.general(Level::Warn, text);
    }
    membership
}

pub(super) fn ensemble(
    server_id: Option<i64>,
    membership: &Membership,
    tick_ms: u32,
    r: &mut Reader<'_>,
) -> Ensemble {
    let init_limit_ticks = count_of("initLimit", r);
    let sync_limit_ticks = count_of("syncLimit", r);
    let connect_limit = count_of("connectToLearnerMasterLimit", r);
    let standalone_enabled = r.boolean("standaloneEnabled", true);
    if membership.is_distributed(standalone_enabled) {
        let missing = [
            (init_limit_ticks == 0, "initLimit is not set"),
            (sync_limit_ticks == 0, "syncLimit is not set"),
            (server_id.is_none(), "myid file is missing"),
        ];
        if let Some(id) = server_id
            && !membership.servers.contains_key(&ServerId(id))
        {
            let message = format!("My id {id} not in the peer list: add a line server.{id}=...");
            r.diagnostics.errors.push(ConfigError::general(message));
        }
        let missing = missing.into_iter().filter(|(is_missing, _)| *is_missing);
        r.diagnostics
            .errors
            .extend(missing.map(|(_, message)| ConfigError::general(message)));
    }
    Ensemble {
        init_limit_ticks,
        sync_limit_ticks,
        connect_to_leader_limit_ticks: Some(connect_limit).filter(|ticks| *ticks > 0),
        role: role(server_id, membership, r),
        listen_on_all_addresses: r.boolean("quorumListenOnAllIPs", false),
        leader_serves: !r.is_word("leaderServes", "no"),
        local_sessions_enabled: r.boolean("localSessionsEnabled", false),
        local_sessions_upgrading_enabled: r.boolean("localSessionsUpgradingEnabled", false),
        observer_master_port: observer_master_port(r),
        dynamic_config_file: r.nonempty("dynamicConfigFile").map(PathBuf::from),
        always_snapshot: r.boolean("forceSnapshotSync", false),
        snapshot_syncs_max: r.int("leader.maxConcurrentSnapSyncs", 10, POSITIVE, COUNT) as u32,
        diff_syncs_max: r.int("leader.maxConcurrentDiffSyncs", 100, POSITIVE, COUNT) as u32,
        epoch_wait_ms_max: epoch_wait_ms_max(r),
        observer_sync_enabled: r.boolean("syncEnabled", true),
        ack_logging_frequency: r.int("leader.ackLoggingFrequency", 1000, INT, COUNT) as i32,
        multiple_addresses: r.boolean("multiAddress.enabled", false),
        reachability_check_ms: reachability_check_ms(r),
        election: election_port(u64::from(tick_ms) * u64::from(sync_limit_ticks), r),
        leader_connect_retry_ms: milliseconds("leaderConnectDelayDuringRetryMs", 100, r),
        observer_reconnect_ms_max: milliseconds("observer.reconnectDelayMs", 0, r),
        observer_election_ms_max: milliseconds("observer.election.DelayMs", 200, r),
    }
}

/// None, as long as it is not set: Java counts every number up to 0 as that.
fn observer_master_port(r: &mut Reader<'_>) -> Option<u16> {
    let port = r.int("observerMasterPort", 0, -1..=65535, "a port number");
    u16::try_from(port).ok().filter(|port| *port > 0)
}

/// What is negative is none.
fn epoch_wait_ms_max(r: &mut Reader<'_>) -> Option<u32> {
    let ms = r.int("leader.maxTimeToWaitForEpoch", -1, INT, MILLISECONDS);
    u32::try_from(ms).ok()
}

fn reachability_check_ms(r: &mut Reader<'_>) -> Option<u32> {
    let is_enabled = r.boolean("multiAddress.reachabilityCheckEnabled", true);
    let name = "multiAddress.reachabilityCheckTimeoutMs";
    let ms = r.int(name, 1000, POSITIVE, MILLISECONDS) as u32;
    is_enabled.then_some(ms)
}

fn election_port(sync_limit_ms: u64, r: &mut Reader<'_>) -> ElectionPort {
    let handshake_ms = r.int("quorumCnxnTimeoutMs", -1, INT, MILLISECONDS);
    let notification_ms_min = r.int(
        "fastleader.minNotificationInterval",
        200,
        POSITIVE,
        MILLISECONDS,
    );
    let notification_ms_max = r.int(
        "fastleader.maxNotificationInterval",
        60_000,
        POSITIVE,
        MILLISECONDS,
    );
    ElectionPort {
        connect_timeout_ms: r.int("cnxTimeout", 5000, POSITIVE, MILLISECONDS) as u32,
        handshake_timeout_ms: u64::try_from(handshake_ms)
            .ok()
            .filter(|ms| *ms > 0)
            .unwrap_or(sync_limit_ms),
        tcp_keepalive: r.boolean("tcpKeepAlive", false),
        bind_attempts_max: r.int("electionPortBindRetry", 3, 0..=i64::from(i32::MAX), COUNT) as u32,
        notification_ms_min: notification_ms_min as u32,
        notification_ms_max: notification_ms_max.max(notification_ms_min) as u32,
    }
}

fn milliseconds(name: &str, default: i64, r: &mut Reader<'_>) -> u32 {
    r.int(name, default, 0..=i64::from(i32::MAX), MILLISECONDS) as u32
}

fn count_of(name: &str, r: &mut Reader<'_>) -> u32 {
    r.int(name, 0, 0..=i64::from(i32::MAX), TICKS) as u32
}

fn role(server_id: Option<i64>, membership: &Membership, r: &mut Reader<'_>) -> Role {
    let configured = match r.setting("peerType") {
        None => Role::Participant,
        Some(setting) => match setting.value.to_ascii_lowercase().as_str() {
            "participant" => Role::Participant,
            "observer" => Role::Observer,
            _ => {
                let message = format!(
                    "Unrecognised peertype: {}. Choose participant or observer",
                    setting.value
                );
                r.diagnostics.error(&setting.origin, "peerType", message);
                Role::Participant
            }
        },
    };
    let own = server_id.and_then(|id| membership.servers.get(&ServerId(id)));
    let listed = own.map_or(Role::Participant, |own| own.role);
    if listed != configured
        && let Some(setting) = r.settings.get("peerType")
    {
        let upper = |role: Role| role.to_string().to_uppercase();
        let text = format!(
            "Peer type from servers list ({}) doesn't match peerType ({}). Defaulting to servers list.",
            upper(listed),
            upper(configured)
        );
        r.diagnostics.warn(&setting.origin, text);
    }
    listed
}

/// TTL nodes keep the server id's byte for themselves.
pub(super) fn check_extended_server_ids(config: &Config, r: &mut Reader<'_>) {
    if config.extended_types_enabled
        && let Some(id) = config.server_id.filter(|id| *id > 254)
    {
        let message = format!(
            "server ids must be at most 254 with extendedTypesEnabled=true, this one is {id}"
        );
        r.diagnostics.errors.push(ConfigError::general(message));
    }
}
