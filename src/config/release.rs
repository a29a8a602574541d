//! What this release cannot do yet, entry by entry: remove an entry when its part is there.
//!
//! Two kinds. A setting whose absence would be dangerous (data believed to be replicated, traffic
//! believed to be encrypted, clients believed to be known) is refused. One that is merely missed
//! is named in one warning for its part.
//!
//! Knows the valid `Config` and where its settings stand; answers to no Java class.

mod ensemble;

use super::diagnostics::{Level, Notice};
use super::keys::{Feature, Verdict};
use super::settings::{Diagnostics, Setting, Settings};
use super::{Config, Membership};

const ABSENT: &[(Feature, &str)] = &[
    (
        Feature::JavaFiles,
        "logs and snapshots are kept in a format of this server's own, which paces and purges itself",
    ),
    (
        Feature::ThrottleShutdown,
        "requests that wait for their turn are not answered when the server stops",
    ),
    (
        Feature::ResponseCache,
        "reads are answered from memory, without a cache of responses",
    ),
];

impl Config {
    /// Refuses what this release would get dangerously wrong, and warns about what it lacks.
    pub(super) fn validate_for_this_release(
        &self,
        settings: &Settings,
        diagnostics: &mut Diagnostics,
    ) {
        if self.is_distributed() {
            ensemble::warn(settings, diagnostics);
        }
        for Refusal {
            key,
            is_asked_for,
            message,
        } in self.refused_of_members()
        {
            if let Some(setting) = settings.get(key)
                && is_asked_for(&setting.value)
            {
                diagnostics.error(&setting.origin, key, *message);
            }
        }
        self.warn_of_absent_parts(settings, diagnostics);
        warn_of_absent_providers(settings, diagnostics);
    }

    fn refused_of_members(&self) -> &'static [Refusal] {
        if self.is_distributed() {
            REFUSED_OF_MEMBERS
        } else {
            &[]
        }
    }

    fn warn_of_absent_parts(&self, settings: &Settings, diagnostics: &mut Diagnostics) {
        for (feature, reason) in ABSENT {
            if *feature == Feature::ThrottleShutdown && self.request_throttle.requests_max == 0 {
                continue;
            }
            let missed = settings.iter().filter(|(_, setting)| {
                setting.key.feature == *feature
                    && matches!(setting.key.verdict, Verdict::Honour | Verdict::EnsembleOnly)
                    // What is switched off is not missed.
                    && !setting.value.eq_ignore_ascii_case("false")
            });
            let mut missed: Vec<(&str, &Setting)> = missed.collect();
            missed.sort_by_key(|(_, setting)| setting.origin.line());
            let Some((_, first)) = missed.first() else {
                continue;
            };
            let text = match &missed[..] {
                [(name, _)] => format!("{name} has no effect: {reason}"),
                _ => {
                    let named =
                        |(name, setting): &(&str, &Setting)| format!("{name} ({})", setting.origin);
                    let names: Vec<String> = missed.iter().map(named).collect();
                    format!("{} have no effect: {reason}", names.join(", "))
                }
            };
            diagnostics.warn(&first.origin, text);
        }
        if let Some(setting) = settings.get("autopurge.snapRetainCount") {
            let text = "autopurge.snapRetainCount has no effect: checkpoints replace one another";
            let notice = Notice::at(Level::Info, &setting.origin, text);
            diagnostics.notices.push(notice);
        }
        if self.admin.enabled && !self.admin.is_address_explicit {
            let text = "admin.serverAddress is not set: the AdminServer listens on 127.0.0.1 alone";
            diagnostics.notices.push(Notice::general(Level::Info, text));
        }
    }
}

/// Whether keys of this part have no effect.
pub(super) fn is_absent(feature: Feature) -> bool {
    ABSENT.iter().any(|(absent, _)| *absent == feature)
}

pub(super) fn membership_settings(settings: &Settings) -> impl Iterator<Item = (&str, &Setting)> {
    settings.iter().filter(|(name, _)| {
        ["server.", "group.", "weight."]
            .iter()
            .any(|family| name.starts_with(family))
    })
}

/// A provider that other keys do not require is only missed, not dangerous: its ids match nobody.
fn warn_of_absent_providers(settings: &Settings, diagnostics: &mut Diagnostics) {
    for (suffix, setting) in settings.family("authProvider.") {
        let class = setting.value.rsplit('.').next().unwrap_or_default();
        let scheme = match class {
            "KeyAuthenticationProvider" => "key",
            _ => continue,
        };
        let text = format!(
            "authProvider.{suffix} has no effect: the scheme {scheme} is not available in this release"
        );
        diagnostics.warn(&setting.origin, text);
    }
}

struct Refusal {
    key: &'static str,
    is_asked_for: fn(&str) -> bool,
    message: &'static str,
}

/// Where a member would act otherwise than the rest of its ensemble.
const REFUSED_OF_MEMBERS: &[Refusal] = &[Refusal {
    key: "oraclePath",
    is_asked_for: |_| true,
    message: "the oracle of ensembles of two is not available; remove the key",
}];

/// Whether a test has to find this key refused or missed rather than where keys are read.
#[cfg(test)]
pub(super) fn is_absent_of_members(key: &str) -> bool {
    ensemble::is_named(key) || REFUSED_OF_MEMBERS.iter().any(|refusal| refusal.key == key)
}

/// Used by the membership check of the standalone case.
pub(super) fn only_member(membership: &Membership) -> Option<&super::ServerLine> {
    let mut servers = membership.servers.values();
    servers.next().filter(|_| servers.next().is_none())
}
