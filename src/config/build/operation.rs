//! What operators look at: four-letter words, purging, admin server, metrics.
//!
//! Answers to `FourLetterCommands`, `DatadirCleanupManager`, `JettyAdminServer` and
//! `MetricsProviderBootstrap`, as far as they read settings.

use super::super::diagnostics::Level;
use super::super::settings::Reader;
use super::super::{
    Admin, Autopurge, FourLetterWhitelist, ListenAddress, Metrics, MetricsProvider, values,
};
use super::{COUNT, INT, MILLISECONDS, POSITIVE};

const FOUR_LETTER_WORDS: &[&str] = &[
    "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srst",
    "srvr", "stat", "stmk", "wchc", "wchp", "wchs",
];

pub(super) fn four_letter_whitelist(
    read_only_mode: bool,
    r: &mut Reader<'_>,
) -> FourLetterWhitelist {
    let mut whitelist = FourLetterWhitelist {
        all: false,
        words: vec!["srvr".to_owned()],
    };
    if read_only_mode {
        whitelist.words.push("isro".to_owned());
    }
    let Some(setting) = r.setting("4lw.commands.whitelist") else {
        return whitelist;
    };
    for word in values::list(&setting.value) {
        if word == "*" {
            whitelist.all = true;
        } else if !FOUR_LETTER_WORDS.contains(&word) {
            let text = format!("4lw.commands.whitelist: there is no command {word}");
            r.diagnostics.warn(&setting.origin, text);
        } else if !whitelist.allows(word) {
            whitelist.words.push(word.to_owned());
        }
    }
    whitelist
}

/// Purging is off in Java unless asked for, which is the most common cause of full disks.
const PURGE_INTERVAL_MS_DEFAULT: i64 = 3_600_000;

pub(super) fn autopurge(r: &mut Reader<'_>) -> Autopurge {
    let retained = r.int("autopurge.snapRetainCount", 3, INT, COUNT);
    if retained != 3
        && let Some(setting) = r.setting("autopurge.snapRetainCount")
    {
        let text = match retained < 3 {
            true => format!("Invalid autopurge.snapRetainCount: {retained}. Defaulting to 3"),
            false => "autopurge.snapRetainCount has no effect: there is one state, and the log behind it; a \
                      backup keeps more"
                .to_owned(),
        };
        r.diagnostics.warn(&setting.origin, text);
    }
    let expected = "a number of hours, or a number with one of the units ms s m h d";
    let interval_ms = r.parsed(
        "autopurge.purgeInterval",
        PURGE_INTERVAL_MS_DEFAULT,
        expected,
        values::hours_or_duration_ms,
    );
    let given = r.setting("autopurge.purgeInterval");
    let hours = given.map_or("1", |setting| &setting.value);
    let texts = [
        format!("autopurge.snapRetainCount set to {}", retained.max(3)),
        format!("autopurge.purgeInterval set to {hours}"),
    ];
    for text in texts {
        r.diagnostics.general(Level::Info, text);
    }
    if given.is_none() {
        let text =
            "autopurge.purgeInterval is not set: old log is purged every hour; 0 keeps it all";
        r.diagnostics.general(Level::Info, text);
    }
    Autopurge {
        interval_ms: u64::try_from(interval_ms).ok().filter(|ms| *ms > 0),
    }
}

/// Java's is there for every address of the machine, which has been the source of many reports.
const ADMIN_HOST: &str = "127.0.0.1";

pub(super) fn admin(r: &mut Reader<'_>) -> Admin {
    let enabled = r.boolean("admin.enableServer", true);
    let host = r.nonempty("admin.serverAddress");
    let port = r.int("admin.serverPort", 8080, 0..=65535, "a port number") as u16;
    let url = r.nonempty("admin.commandURL");
    let url = url.as_deref().unwrap_or("/commands").trim_matches('/');
    let unified = r.boolean("admin.portUnification", false);
    let forced = r.boolean("admin.forceHttps", false);
    let needs_certificates = r.boolean("admin.needClientAuth", false);
    let user = match (forced, unified) {
        _ if !enabled => None,
        (true, _) => Some("admin.forceHttps"),
        (_, true) => Some("admin.portUnification"),
        _ => None,
    };
    let tls = user.and_then(|user| super::tls::admin(user, needs_certificates, r));
    if user.is_none()
        && enabled
        && needs_certificates
        && let Some(setting) = r.setting("admin.needClientAuth")
    {
        let text =
            "admin.needClientAuth has no effect without admin.forceHttps or admin.portUnification";
        r.diagnostics.warn(&setting.origin, text);
    }
    Admin {
        enabled,
        is_explicit: r.setting("admin.enableServer").is_some(),
        address: ListenAddress::new(Some(host.as_deref().unwrap_or(ADMIN_HOST)), port),
        is_address_explicit: host.is_some(),
        command_url: format!("/{url}"),
        idle_ms: r.int("admin.idleTimeout", 30_000, POSITIVE, MILLISECONDS) as u32,
        takes_plaintext: !forced,
        tls,
        snapshot_enabled: r.boolean("admin.snapshot.enabled", true),
        restore_enabled: r.boolean("admin.restore.enabled", true),
        dashboard_edits: r.boolean("admin.dashboard.edit", false),
        rate_interval_ms: r.int(
            "admin.rateLimiterIntervalInMS",
            300_000,
            POSITIVE,
            MILLISECONDS,
        ) as u32,
        trusts_forwarded_for: r.boolean("IPAuthenticationProvider.usexforwardedfor", false),
    }
}

pub(super) fn metrics(r: &mut Reader<'_>) -> Metrics {
    let provider = match r.setting("metricsProvider.className") {
        None => MetricsProvider::Default,
        Some(setting) => match setting.value.as_str() {
            "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider" => MetricsProvider::Default,
            "org.apache.zookeeper.metrics.impl.NullMetricsProvider" => MetricsProvider::Null,
            "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider" => {
                MetricsProvider::Prometheus
            }
            other => {
                let message = format!(
                    "metrics provider class was not found: {other}. Choose \
                     org.apache.zookeeper.metrics.impl.DefaultMetricsProvider or \
                     org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
                );
                r.diagnostics
                    .error(&setting.origin, "metricsProvider.className", message);
                MetricsProvider::Default
            }
        },
    };
    let host = r.nonempty("metricsProvider.httpHost");
    let port = r.int("metricsProvider.httpPort", 7000, 0..=65535, "a port number") as u16;
    Metrics {
        provider,
        address: ListenAddress::new(host.as_deref(), port),
        tells_of_process: r.boolean("metricsProvider.exportJvmInfo", true),
    }
}

pub(super) fn check_known_class(key: &str, known: &[&str], r: &mut Reader<'_>) {
    let Some(setting) = r.setting(key).filter(|setting| !setting.value.is_empty()) else {
        return;
    };
    let class = setting.value.rsplit('.').next().unwrap_or_default();
    if !(known.contains(&class) && setting.value.starts_with("org.apache.zookeeper.")) {
        let message = format!(
            "the class {} is not known, and Java classes cannot be loaded. Choose {}, or remove the key",
            setting.value,
            known.join(" or ")
        );
        r.diagnostics.error(&setting.origin, key, message);
    }
}
