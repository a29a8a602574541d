//! Counters and summaries under the names that ZooKeeper's dashboards know.
//!
//! Recording is meant for the hot path: it touches one cache line that belongs to few threads and
//! never waits. Reading adds up what the threads recorded. All names exist from the start with
//! zeros, also those of stages that this server does not have: an absent series breaks panels.
//!
//! Answers to Java's `ServerMetrics` with the `DefaultMetricsProvider`.

mod cells;
mod histogram;
mod sets;
mod slot;
mod stages;
mod windows;

use super::prometheus::{DETAILED_QUANTILES, Exposition};

pub use cells::{Counter, Summary, Totals};
pub use histogram::DetailedSummary;
pub use sets::{CounterSet, DetailedSummarySet, SummarySet};
pub use stages::Stages;
pub use windows::Windows;

/// The namespace that every server has.
const NAMESPACE_OF_ALL: &str = "zookeeper";
/// Of the summaries that have no others.
const MEDIAN: [(&str, f64); 1] = [("0.5", 0.5)];

/// A value of a metric or a gauge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    Int(i64),
    Float(f64),
}

/// Takes the name, without any prefix, and the value of each figure.
pub type Sink<'a> = dyn FnMut(&str, Value) + 'a;

macro_rules! metrics {
    (
        counters { $($counter:ident,)* }
        summaries { $($summary:ident,)* }
        detailed_summaries { $($detailed:ident,)* }
        counter_sets { $($counter_set:ident,)* }
        summary_sets { $($summary_set:ident,)* }
        summary_sets_of_learners { $($of_learners:ident,)* }
        detailed_sets_of_learners { $($detailed_of_learners:ident,)* }
    ) => {
        /// Every metric of a server; each field is called as the metric is.
        #[derive(Default)]
        pub struct Metrics {
            $(pub $counter: Counter,)*
            $(pub $summary: DetailedSummary,)*
            $(pub $detailed: DetailedSummary,)*
            $(pub $counter_set: CounterSet,)*
            $(pub $summary_set: SummarySet,)*
            $(pub $of_learners: SummarySet,)*
            $(pub $detailed_of_learners: DetailedSummarySet,)*
        }

        impl Metrics {
            /// Gives every figure to `sink`, in the form of `mntr`.
            pub fn dump(&self, sink: &mut Sink<'_>) {
                $(sink(stringify!($counter), Value::Int(self.$counter.get() as i64));)*
                $(self.$counter_set.dump(stringify!($counter_set), sink);)*
                $(self.$summary.dump_plain(stringify!($summary), sink);)*
                $(self.$detailed.dump(stringify!($detailed), sink);)*
                $(self.$summary_set.dump(stringify!($summary_set), sink);)*
                $(self.$of_learners.dump(stringify!($of_learners), sink);)*
                $(self.$detailed_of_learners.dump(stringify!($detailed_of_learners), sink);)*
            }

            /// Every metric in the form of Prometheus. Quantiles are of the time that `windows` remembers.
            pub fn expose(&self, windows: &mut Windows, out: &mut Exposition) {
                $(out.counter(stringify!($counter), self.$counter.get());)*
                $(self.$counter_set.expose(stringify!($counter_set), out);)*
                $(windows.expose(stringify!($summary), &self.$summary, &MEDIAN, out);)*
                $(windows.expose(stringify!($detailed), &self.$detailed, &DETAILED_QUANTILES, out);)*
                $(self.$summary_set.expose(stringify!($summary_set), Some(NAMESPACE_OF_ALL), out);)*
                $(self.$of_learners.expose(stringify!($of_learners), None, out);)*
                $(self.$detailed_of_learners.expose(
                    stringify!($detailed_of_learners), windows, &DETAILED_QUANTILES, out);)*
            }

            /// Back to zero, as `srst` asks. What is recorded meanwhile may be lost.
            pub fn reset(&self) {
                $(self.$counter.reset();)*
                $(self.$counter_set.reset();)*
                $(self.$summary.reset();)*
                $(self.$detailed.reset();)*
                $(self.$summary_set.reset();)*
                $(self.$of_learners.reset();)*
                $(self.$detailed_of_learners.reset();)*
            }
        }
    };
}

// Times are in milliseconds.
metrics! {
    counters {
        add_dead_watcher_stall_time,
        bytes_received_count,
        cnxn_closed_without_zk_server_running,
        commit_count,
        connection_drop_count,
        connection_rejected,
        connection_request_count,
        connection_revalidate_count,
        dead_watchers_cleared,
        dead_watchers_queued,
        diff_count,
        digest_mismatches_count,
        ensemble_auth_fail,
        ensemble_auth_skip,
        ensemble_auth_success,
        fsync_threshold_exceed_count,
        insecure_admin_count,
        large_requests_rejected,
        learner_commit_received_count,
        learner_proposal_received_count,
        looking_count,
        outstanding_changes_queued,
        outstanding_changes_removed,
        prep_processor_request_queued,
        proposal_count,
        quit_leading_due_to_disloyal_voter,
        request_commit_queued,
        request_throttle_wait_count,
        requests_not_forwarded_to_commit_processor,
        response_bytes,
        response_packet_cache_hits,
        response_packet_cache_misses,
        response_packet_get_children_cache_hits,
        response_packet_get_children_cache_misses,
        restore_error_count,
        restore_rate_limited_count,
        revalidate_count,
        sessionless_connections_expired,
        skip_learner_request_to_next_processor_count,
        snap_count,
        snapshot_error_count,
        snapshot_rate_limited_count,
        stale_replies,
        stale_requests,
        stale_requests_dropped,
        stale_sessions_expired,
        sync_processor_request_queued,
        throttled_ops,
        tls_handshake_exceeded,
        unrecoverable_error_count,
        unsuccessful_handshake,
        watch_bytes,
    }
    summaries {
        commit_commit_proc_req_queued,
        commit_process_time,
        concurrent_request_processing_in_commit_processor,
        connection_token_deficit,
        dbinittime,
        election_time,
        follower_sync_time,
        fsynctime,
        inflight_diff_count,
        inflight_snap_count,
        leader_unavailable_time,
        learner_request_processor_queue_size,
        netty_queued_buffer_capacity,
        node_changed_watch_count,
        node_children_watch_count,
        node_created_watch_count,
        node_deleted_watch_count,
        observer_sync_time,
        pending_session_queue_size,
        prep_process_time,
        prep_processor_queue_size,
        proposal_process_time,
        read_commit_proc_issued,
        read_commit_proc_req_queued,
        reads_after_write_in_session_queue,
        reads_issued_from_session_queue,
        requests_in_session_queue,
        restore_time,
        session_queues_drained,
        snapshottime,
        socket_closing_time,
        startup_snap_load_time,
        startup_txns_load_time,
        startup_txns_loaded,
        sync_process_time,
        sync_processor_batch_size,
        sync_processor_queue_size,
        time_waiting_empty_pool_in_commit_processor_read_ms,
        unavailable_time,
        write_batch_time_in_commit_processor,
        write_commit_proc_issued,
        write_commit_proc_req_queued,
    }
    detailed_summaries {
        close_session_prep_time,
        commit_propagation_latency,
        dead_watchers_cleaner_latency,
        jvm_pause_time_ms,
        local_write_committed_time_ms,
        om_commit_process_time_ms,
        om_proposal_process_time_ms,
        prep_processor_queue_time_ms,
        propagation_latency,
        proposal_ack_creation_latency,
        proposal_latency,
        quorum_ack_latency,
        read_commitproc_time_ms,
        read_final_proc_time_ms,
        readlatency,
        request_throttle_queue_time_ms,
        server_write_committed_time_ms,
        sync_processor_queue_and_flush_time_ms,
        sync_processor_queue_flush_time_ms,
        sync_processor_queue_time_ms,
        updatelatency,
        write_commitproc_time_ms,
        write_final_proc_time_ms,
    }
    counter_sets {
        quota_exceeded_error_per_namespace,
    }
    summary_sets {
        read_per_namespace,
        write_per_namespace,
    }
    summary_sets_of_learners {
        learner_handler_qp_size,
    }
    detailed_sets_of_learners {
        ack_latency,
        learner_handler_qp_time_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn figures(metrics: &Metrics) -> BTreeMap<String, Value> {
        let mut figures = BTreeMap::new();
        metrics.dump(&mut |name, value| {
            let before = figures.insert(name.to_owned(), value);
            assert_eq!(before, None, "{name} twice");
        });
        figures
    }

    #[test]
    fn all_names_exist_with_zeros() {
        let figures = figures(&Metrics::default());
        for name in [
            "commit_count",
            "cnt_fsynctime",
            "p999_readlatency",
            "p50_updatelatency",
        ] {
            assert_eq!(figures[name], Value::Int(0), "{name}");
        }
        assert_eq!(figures["avg_fsynctime"], Value::Float(0.0));
        assert!(!figures.contains_key("p50_fsynctime"));
        for (name, value) in figures {
            assert!(
                matches!(value, Value::Int(0) | Value::Float(0.0)),
                "{name} {value:?}"
            );
        }
    }

    #[test]
    fn figures_and_reset() {
        let metrics = Metrics::default();
        metrics.commit_count.add(3);
        metrics.commit_count.increment();
        for ms in [4, 1, 7] {
            metrics.fsynctime.record(ms);
            metrics.readlatency.record(ms);
        }
        metrics.write_per_namespace.record("app", 10);
        metrics.quota_exceeded_error_per_namespace.increment("app");
        let found = figures(&metrics);
        for (name, value) in [
            ("commit_count", Value::Int(4)),
            ("avg_fsynctime", Value::Float(4.0)),
            ("min_fsynctime", Value::Int(1)),
            ("max_fsynctime", Value::Int(7)),
            ("cnt_fsynctime", Value::Int(3)),
            ("sum_fsynctime", Value::Int(12)),
            ("sum_readlatency", Value::Int(12)),
            ("p50_readlatency", Value::Int(4)),
            ("p99_readlatency", Value::Int(7)),
            ("sum_app_write_per_namespace", Value::Int(10)),
            ("app_quota_exceeded_error_per_namespace", Value::Int(1)),
        ] {
            assert_eq!(found[name], value, "{name}");
        }
        metrics.reset();
        assert!(
            figures(&metrics)
                .values()
                .all(|v| matches!(v, Value::Int(0) | Value::Float(0.0)))
        );
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let metrics = Metrics::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for value in 0..10_000 {
                        metrics.proposal_count.increment();
                        metrics.updatelatency.record(value);
                    }
                });
            }
        });
        let found = figures(&metrics);
        assert_eq!(found["proposal_count"], Value::Int(40_000));
        assert_eq!(found["cnt_updatelatency"], Value::Int(40_000));
        assert_eq!(
            found["sum_updatelatency"],
            Value::Int(4 * (9_999 * 10_000 / 2))
        );
        assert_eq!(found["max_updatelatency"], Value::Int(9_999));
    }
}
