//! What the Java client tells of the JVM and the process, for dashboards and alerts that look at it: real figures where a
//! process without a JVM has any, and constants where an absent series would make a panel or an alert fail.
//!
//! Answers to `DefaultExports`.

use super::process::{self, Usage};
use super::prometheus::{Exposition, Kind};

/// Java's states of threads. These here are waiting, but for those that run.
const THREAD_STATES: [&str; 6] = [
    "BLOCKED",
    "NEW",
    "RUNNABLE",
    "TERMINATED",
    "TIMED_WAITING",
    "WAITING",
];

pub fn expose(out: &mut Exposition) {
    let usage = Usage::read();
    out.single(
        "process_cpu_seconds_total",
        Kind::Counter,
        usage.cpu_seconds,
    );
    for (name, value) in [
        ("process_start_time_seconds", usage.start_unix_s),
        ("process_open_fds", process::open_file_descriptors() as f64),
        ("process_max_fds", process::max_file_descriptors() as f64),
        ("process_virtual_memory_bytes", usage.virtual_bytes as f64),
        ("process_resident_memory_bytes", usage.resident_bytes as f64),
    ] {
        out.gauge(name, value);
    }
    let (heap, max) = (usage.heap_bytes as f64, usage.memory_bytes_max as f64);
    for (what, heap, other) in [
        ("used", heap, 0.0),
        ("committed", heap, 0.0),
        ("max", max, -1.0),
        ("init", 0.0, 0.0),
    ] {
        let name = format!("jvm_memory_bytes_{what}");
        out.family(&name, Kind::Gauge);
        out.sample(&name, &[("area", "heap")], heap);
        out.sample(&name, &[("area", "nonheap")], other);
        let name = format!("jvm_memory_pool_bytes_{what}");
        out.family(&name, Kind::Gauge);
        out.sample(&name, &[("pool", "heap")], heap);
    }
    let name = "jvm_memory_pool_allocated_bytes_total";
    out.family(name, Kind::Counter);
    out.sample(name, &[("pool", "heap")], heap);
    out.family("jvm_gc_collection_seconds", Kind::Summary);
    for name in [
        "jvm_gc_collection_seconds_count",
        "jvm_gc_collection_seconds_sum",
    ] {
        out.sample(name, &[("gc", "none")], 0.0);
    }
    for (name, value) in [
        ("jvm_threads_current", usage.threads),
        ("jvm_threads_daemon", 0),
        ("jvm_threads_peak", usage.threads),
        ("jvm_threads_deadlocked", 0),
        ("jvm_threads_deadlocked_monitor", 0),
    ] {
        out.gauge(name, value as f64);
    }
    out.counter("jvm_threads_started_total", usage.threads);
    out.family("jvm_threads_state", Kind::Gauge);
    for state in THREAD_STATES {
        let count = if state == "WAITING" { usage.threads } else { 0 };
        out.sample("jvm_threads_state", &[("state", state)], count as f64);
    }
    out.gauge("jvm_classes_loaded", 0.0);
    out.counter("jvm_classes_loaded_total", 0);
    out.counter("jvm_classes_unloaded_total", 0);
}
