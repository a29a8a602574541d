//! What members of an ensemble miss in this release. A standalone server has no use for these settings here or in
//! Java, so nothing is said about them there.

use super::super::settings::{Diagnostics, Settings};

/// Without effect, unless set to what Java does by default, and why that is bearable.
const ABSENT: &[(&str, &str, &str)] = &[
    (
        "snapshotSizeFactor",
        "0.33",
        "this server decides itself whether a learner gets transactions or a snapshot",
    ),
    (
        "observerMaster.sizeLimit",
        "33554432",
        "what a follower has not in memory any more it reads from its log for its observers",
    ),
];

pub(super) fn warn(settings: &Settings, diagnostics: &mut Diagnostics) {
    for (key, default, reason) in ABSENT {
        if let Some(setting) = settings.get(key)
            && !setting.value.eq_ignore_ascii_case(default)
        {
            diagnostics.warn(&setting.origin, format!("{key} has no effect: {reason}"));
        }
    }
}

/// Whether a test has to find this key here rather than where keys are read.
#[cfg(test)]
pub(super) fn is_named(key: &str) -> bool {
    ABSENT.iter().any(|(absent, ..)| *absent == key)
}
