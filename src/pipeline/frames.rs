//! Bytes of a connection to frames, and the frames of a wake-up handled under one look at the tree.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::{MutexGuard, RwLockReadGuard};

use super::Pipeline;
use super::admission::{Place, Waited};
use super::client::{Client, Phase, State};
use super::prep::{BroughtBy, Prep};
use super::turn::Turn;
use crate::ids::ConnId;
use crate::ops;
use crate::tree::Tree;

/// What came of the bytes that a connection handed over.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes that are done with; the rest is the beginning of a frame.
    pub consumed: usize,
    /// How long the frame that is not complete yet will be, if that is known.
    pub wanted: usize,
    /// A complete frame is left that has to wait until fewer requests are in process.
    pub stalled: bool,
}

/// The locks that a batch of requests goes through, taken when first needed.
pub(super) struct Batch<'a> {
    pub tree: RwLockReadGuard<'a, Tree>,
    pub prep: Option<MutexGuard<'a, Prep>>,
    pub now: Instant,
    /// Wall clock for the transactions, read with the first.
    pub wall_ms: Option<i64>,
    pub answered: u64,
    pub submitted: usize,
    /// Something was queued on the way to the leader.
    pub forwarded: bool,
    /// What the throttle gave for the next request.
    pub place: Option<Place>,
    /// The requests waited for the throttle before.
    pub waited: Option<&'a mut Waited>,
    /// The current request waited for too long.
    pub too_late: bool,
}

impl Pipeline {
    /// Takes the complete frames at the front of `input`, answers what can be answered, and queues the rest.
    pub fn receive(
        &self,
        client: &Arc<Client>,
        input: &[u8],
        waited: Option<&mut Waited>,
    ) -> Received {
        let mut kicked = None;
        let received = {
            let mut batch = Batch {
                tree: self.tree.read(),
                prep: None,
                now: Instant::now(),
                wall_ms: None,
                answered: 0,
                submitted: 0,
                forwarded: false,
                place: None,
                waited,
                too_late: false,
            };
            let mut state = client.state();
            let received = self.take_frames(client, &mut state, &mut batch, input, &mut kicked);
            drop(state);
            self.finish_batch(client, batch);
            received
        };
        if let Some(old) = kicked.and_then(|id| self.client(id)) {
            old.kill();
        }
        received
    }

    fn finish_batch(&self, client: &Client, batch: Batch<'_>) {
        let Batch {
            tree,
            prep,
            now,
            answered,
            submitted,
            forwarded,
            ..
        } = batch;
        let last = tree.last_zxid();
        drop(tree);
        if forwarded {
            self.send_forwarded();
        }
        let wake =
            prep.map(|mut prep| self.submitted(&mut prep, submitted, BroughtBy::One(client.id)));
        if answered > 0 {
            let took = now.elapsed();
            let latency_ms = took.as_millis() as i64;
            self.stats
                .stages
                .read
                .record_many(took.as_micros() as i64, answered);
            self.stats.answered(answered, latency_ms);
            self.stats
                .metrics
                .readlatency
                .record_many(latency_ms, answered);
            client
                .stats
                .answered(answered, latency_ms, last.0, self.now_ms());
        }
        if let Some(wake) = wake {
            self.see_to(wake);
        }
    }

    fn take_frames<'a>(
        &'a self,
        client: &Arc<Client>,
        state: &mut State,
        batch: &mut Batch<'a>,
        input: &[u8],
        kicked: &mut Option<ConnId>,
    ) -> Received {
        let mut rest = input;
        let (mut frames, mut fetched) = (0, 0);
        let mut touched = false;
        let mut stalled = false;
        let is_watched = self.hot_paths.is_watched();
        while state.takes_requests() && !state.is_full() && state.phase != Phase::Connecting {
            let bytes_max = self.settings.frame_bytes_max;
            let (frame, after) = match jute::frame::split(rest, bytes_max) {
                Ok(Some(split)) if self.large.has_room(split.0.len()) => split,
                Ok(None) if !self.announces_too_much(rest) => break,
                Ok(_) => {
                    self.reject_large(client, state);
                    break;
                }
                Err(e) => {
                    tracing::warn!(remote = %client.remote, "closing a connection: {e}");
                    state.close_in_turn();
                    break;
                }
            };
            if let Some(throttle) = &self.throttle {
                let end = input.len() - after.len();
                match self.turn(throttle, state, batch, frame, end) {
                    Turn::Now => {}
                    Turn::Later => {
                        stalled = true;
                        break;
                    }
                    Turn::Never => {
                        tracing::info!(remote = %client.remote, "closing a connection: a request of it is stale");
                        break;
                    }
                }
            }
            if frames == fetched && batch.tree.is_large() {
                fetched += batch.tree.fetch(paths_of(rest, bytes_max));
            }
            rest = after;
            frames += 1;
            if state.phase == Phase::New {
                self.handshake(client, state, batch, frame, kicked);
                continue;
            }
            if !touched {
                touched = true;
                let Some(session) = &state.session else { break };
                if session.is_closing() {
                    // Its end is on the way; what comes now is not answered.
                    rest = &[];
                    break;
                }
                self.sessions.touch(session, self.now_ms());
                self.touched(session);
            }
            if is_watched {
                self.hot_paths.note(frame, batch.now);
            }
            self.request(client, state, batch, frame);
        }
        if frames > 0 {
            self.stats
                .metrics
                .bytes_received_count
                .add((input.len() - rest.len()) as u64);
            self.stats.received(frames as u64);
            client
                .stats
                .received
                .fetch_add(frames as u64, Ordering::Relaxed);
        }
        if !state.takes_requests() {
            // Nothing that comes is looked at any more.
            rest = &[];
        }
        let consumed = input.len() - rest.len();
        let wanted = match rest.first_chunk::<4>() {
            Some(len) => (u32::from_be_bytes(*len) as usize).saturating_add(4),
            None => 4,
        };
        Received {
            consumed,
            wanted,
            stalled,
        }
    }

    /// Whether the frame that is not complete yet will not fit beside the large ones under way.
    fn announces_too_much(&self, rest: &[u8]) -> bool {
        jute::frame::length(rest, self.settings.frame_bytes_max)
            .is_ok_and(|len| len.is_some_and(|len| !self.large.has_room(len)))
    }

    #[cold]
    pub(super) fn reject_large(&self, client: &Client, state: &mut State) {
        self.stats.metrics.large_requests_rejected.add(1);
        tracing::warn!(remote = %client.remote, "closing a connection: too many bytes of large requests are under way");
        state.close_in_turn();
    }
}

/// For each complete frame at the front, the path that its request begins with, or "".
fn paths_of(mut input: &[u8], bytes_max: usize) -> impl Iterator<Item = &str> {
    const HEADER_BYTES: usize = 8;
    std::iter::from_fn(move || {
        let (frame, rest) = jute::frame::split(input, bytes_max).ok()??;
        input = rest;
        Some(ops::leading_path(
            frame.get(HEADER_BYTES..).unwrap_or_default(),
        ))
    })
}
