//! What members of an ensemble cannot do yet in this release. A standalone server has no use for these settings here
//! or in Java, so nothing is said about them there.

use super::super::settings::{Diagnostics, Settings};

/// Without effect, and why that is bearable.
const ABSENT: &[(&str, &str)] = &[
    ("commitLogCount", HISTORY),
    ("snapshotSizeFactor", HISTORY),
    ("forceSnapshotSync", HISTORY),
    (
        "leader.maxTimeToWaitForEpoch",
        "a leader waits for followers as long as initLimit says",
    ),
    (
        "leader.maxConcurrentSnapSyncs",
        "any number of learners may catch up at a time",
    ),
    (
        "leader.maxConcurrentDiffSyncs",
        "any number of learners may catch up at a time",
    ),
    (
        "leader.ackLoggingFrequency",
        "how long acknowledgements take is not logged",
    ),
    ("leaderServes", "the leader serves clients"),
    (
        "multiAddress.reachabilityCheckEnabled",
        "an address is tried by connecting to it",
    ),
    (
        "multiAddress.reachabilityCheckTimeoutMs",
        "an address is tried by connecting to it",
    ),
    ("observerMasterPort", OBSERVERS),
    ("observerMaster.sizeLimit", OBSERVERS),
    ("syncEnabled", "observers log what they learn"),
    ("localSessionsEnabled", SESSIONS),
    ("localSessionsUpgradingEnabled", SESSIONS),
    ("enableEagerACLCheck", "the leader checks permissions"),
    (
        "db.autocreate",
        "a server with an empty data directory takes part in elections",
    ),
];

const HISTORY: &str =
    "this server decides itself whether a learner gets transactions or a snapshot";
const OBSERVERS: &str = "observers connect to the leader, and nobody connects to a follower";
const SESSIONS: &str = "every session is known to the whole ensemble";

pub(super) fn validate(settings: &Settings, diagnostics: &mut Diagnostics) {
    if let Some(setting) = settings.get("oraclePath") {
        let message = "an oracle for two servers is not available in this release: the other server would \
                       believe it and this one would not. Remove the key, and use three servers";
        diagnostics.error(&setting.origin, "oraclePath", message);
    }
    for (key, reason) in ABSENT {
        if let Some(setting) = settings.get(key) {
            diagnostics.warn(&setting.origin, format!("{key} has no effect: {reason}"));
        }
    }
}

/// Whether a test has to find this key here rather than where keys are read.
#[cfg(test)]
pub(in crate::config) fn is_named(key: &str) -> bool {
    key == "oraclePath" || ABSENT.iter().any(|(absent, _)| *absent == key)
}
