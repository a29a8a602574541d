//! Throttles, containers, and the files that Java would write.
//!
//! Answers to `RequestThrottler`, `BlueThrottle`, `ContainerManager` and `FileTxnLog`, as far as
//! they read properties.

use super::super::diagnostics::Level;
use super::super::settings::Reader;
use super::super::{
    ConnectionThrottle, ConnectionWeights, Container, LargeRequest, RequestThrottle,
};
use super::{BYTES, COUNT, INT, LONG, MILLISECONDS, POSITIVE, count};

pub(super) fn container(r: &mut Reader<'_>) -> Container {
    Container {
        check_interval_ms: r.int(
            "znode.container.checkIntervalMs",
            60_000,
            POSITIVE,
            MILLISECONDS,
        ) as u32,
        deletions_per_minute_max: count("znode.container.maxPerMinute", 10_000, r),
        never_used_ms_max: r
            .int(
                "znode.container.maxNeverUsedIntervalMs",
                0,
                LONG,
                MILLISECONDS,
            )
            .max(0) as u64,
    }
}

pub(super) fn request_throttle(r: &mut Reader<'_>) -> RequestThrottle {
    RequestThrottle {
        requests_max: count("request_throttle_max_requests", 0, r),
        stall_ms: r.int("request_throttle_stall_time", 100, POSITIVE, MILLISECONDS) as u32,
        drop_stale: r.boolean("request_throttle_drop_stale", true),
        stale_connection_check: r.boolean("request_stale_connection_check", true),
        stale_latency_check: r.boolean("request_stale_latency_check", false),
    }
}

pub(super) fn connection_throttle(r: &mut Reader<'_>) -> ConnectionThrottle {
    let freeze_ms = r.int("connection_throttle_freeze_time", -1, INT, MILLISECONDS);
    let weights = r.boolean("connection_throttle_weight_enabled", false);
    let configured = connection_weights(r);
    ConnectionThrottle {
        tokens_max: count("connection_throttle_tokens", 0, r),
        fill_interval_ms: r.int("connection_throttle_fill_time", 1, POSITIVE, MILLISECONDS) as u32,
        fill_tokens: r.int("connection_throttle_fill_count", 1, POSITIVE, COUNT) as u32,
        freeze_ms: u32::try_from(freeze_ms).ok(),
        drop_increase: r.decimal("connection_throttle_drop_increase", 0.02, "a number"),
        drop_decrease: r.decimal("connection_throttle_drop_decrease", 0.002, "a number"),
        decrease_ratio: r.decimal("connection_throttle_decrease_ratio", 0.0, "a number"),
        weights: weights.then_some(configured),
    }
}

fn connection_weights(r: &mut Reader<'_>) -> ConnectionWeights {
    let weight = |kind: &str, default, r: &mut Reader<'_>| {
        r.int(
            &format!("connection_throttle_{kind}_session_weight"),
            default,
            POSITIVE,
            COUNT,
        ) as u32
    };
    let local = weight("local", 1, r);
    let mut at_least_local = |kind: &str, default| {
        let configured = weight(kind, default, r);
        if configured < local {
            let text = format!(
                "connection_throttle_{kind}_session_weight {configured} is raised to {local}, the weight of local sessions"
            );
            r.diagnostics.general(Level::Warn, text);
        }
        configured.max(local)
    };
    ConnectionWeights {
        global_session: at_least_local("global", 3),
        renewed_session: at_least_local("renew", 2),
        local_session: local,
    }
}

pub(super) fn large_request(r: &mut Reader<'_>) -> LargeRequest {
    let mut bytes_min = r.int("largeRequestThreshold", -1, INT, BYTES);
    if (bytes_min == 0 || bytes_min < -1)
        && let Some(setting) = r.setting("largeRequestThreshold")
    {
        let text =
            "largeRequestThreshold: it should be -1 (off) or positive; the default of -1 is used";
        r.diagnostics.warn(&setting.origin, text);
        bytes_min = -1;
    }
    LargeRequest {
        bytes_min: u32::try_from(bytes_min).ok(),
        in_flight_bytes_max: r.int("largeRequestMaxBytes", 104_857_600, POSITIVE, BYTES) as u64,
    }
}

/// What shapes Java's files, caches and ends has no effect here, and has to be what Java takes all the same.
pub(super) fn check_ineffective(r: &mut Reader<'_>) {
    const KILOBYTES: &str = "a number of kilobytes";
    r.int("preAllocSize", 65_536, POSITIVE, KILOBYTES);
    r.int("snapCount", 100_000, INT, COUNT);
    r.int("snapSizeLimitInKb", 4_194_304, LONG, KILOBYTES);
    r.int("txnLogSizeLimitInKb", -1, LONG, KILOBYTES);
    // Java takes any word.
    r.text("snapshot.compression.method");
    for key in ["snapshot.trust.empty", "serializeLastProcessedZxid.enabled"] {
        r.boolean(key, true);
    }
    for key in [
        "maxResponseCacheSize",
        "maxGetChildrenResponseCacheSize",
        "request_throttler.shutdownTimeout",
    ] {
        count(key, 0, r);
    }
}
