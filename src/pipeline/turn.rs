//! Whether a request may enter now, where the number of requests in process is bounded.

use std::time::Duration;

use super::Pipeline;
use super::admission::RequestThrottle;
use super::client::{Phase, State};
use super::frames::Batch;
use crate::proto::OpCode;

/// What the throttle says of a request.
pub(super) enum Turn {
    Now,
    Later,
    Never,
}

impl Pipeline {
    #[cold]
    pub(super) fn turn(
        &self,
        throttle: &RequestThrottle,
        state: &mut State,
        batch: &mut Batch<'_>,
        frame: &[u8],
        end: usize,
    ) -> Turn {
        let metrics = &self.stats.metrics;
        let op = match (state.phase, frame.get(4..8)) {
            (Phase::New, _) => OpCode::CREATE_SESSION,
            (_, Some(&[a, b, c, d])) => OpCode(i32::from_be_bytes([a, b, c, d])),
            _ => OpCode(0),
        };
        let mut is_stale = false;
        let mut age = Duration::ZERO;
        if let Some(waited) = &mut batch.waited {
            let timeout_ms = state
                .session
                .as_ref()
                .map_or(i32::MAX, |session| session.timeout_ms());
            let timeout = Duration::from_millis(timeout_ms.max(0) as u64);
            age = waited.age(end, batch.now);
            is_stale = throttle.is_stale(op, waited.peer_gone, age, timeout);
            if is_stale && throttle.settings.drop_stale {
                metrics.stale_requests_dropped.add(1);
                state.kill();
                return Turn::Never;
            }
            if batch.place.is_none() {
                batch.place = waited.place.take();
            }
        }
        if batch.place.is_none() {
            batch.place = throttle.try_enter();
        }
        if batch.place.is_none() {
            metrics.request_throttle_wait_count.add(1);
            return Turn::Later;
        }
        if is_stale {
            metrics.stale_requests.add(1);
        }
        metrics
            .request_throttle_queue_time_ms
            .record(age.as_millis() as i64);
        batch.too_late = throttle.is_too_late(op, age);
        Turn::Now
    }
}
