//! Between the disk and the tree: what is durable waits here to be applied, in order. Answers to `CommitProcessor`.
//!
//! Whoever made a group durable applies it as well when nothing else is to be done: no thread has to be woken. Where
//! more waits to be written, a thread applies, so that the next fsync goes on beside it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use parking_lot::{Condvar, Mutex};

use super::Pipeline;
use super::prep::Group;

/// Groups that may wait to be applied. When they do, the disk waits, and the next groups become larger.
const DURABLE_GROUPS_MAX: usize = 2;
/// Below this size, applying takes less than waking the thread that would do it.
const HANDED_OVER_BYTES_MIN: usize = 16 << 10;

#[derive(Default)]
pub(super) struct Durable {
    state: Mutex<State>,
    /// A group came, or the end.
    came: Condvar,
    /// A group was taken.
    taken: Condvar,
}

#[derive(Default)]
struct State {
    groups: VecDeque<Group>,
    /// The thread has one that it took.
    applying: bool,
    closed: bool,
}

impl Durable {
    fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.groups.is_empty() && !state.applying
    }

    fn put(&self, group: Group) {
        let mut state = self.state.lock();
        while state.groups.len() >= DURABLE_GROUPS_MAX {
            self.taken.wait(&mut state);
        }
        state.groups.push_back(group);
        drop(state);
        self.came.notify_one();
    }

    fn take(&self) -> Option<Group> {
        let mut state = self.state.lock();
        state.applying = false;
        loop {
            if let Some(group) = state.groups.pop_front() {
                state.applying = true;
                drop(state);
                self.taken.notify_one();
                return Some(group);
            }
            if state.closed {
                return None;
            }
            self.came.wait(&mut state);
        }
    }

    pub fn close(&self) {
        self.state.lock().closed = true;
        self.came.notify_one();
    }
}

impl Pipeline {
    /// For the one who holds the log.
    pub(super) fn apply_durable(&self, mut group: Group) {
        let more_waits = self.group_bytes.load(Ordering::Relaxed) > 0;
        let is_worth_it = more_waits && group.bytes.len() >= HANDED_OVER_BYTES_MIN;
        if is_worth_it || !self.durable.is_idle() {
            return self.durable.put(group);
        }
        self.finalize(&mut group);
        self.disk.recycle(group);
    }

    /// The thread that applies; until what is durable is applied after [`Durable::close`].
    pub(super) fn run_apply(&self) {
        while let Some(mut group) = self.durable.take() {
            self.finalize(&mut group);
            self.disk.recycle(group);
        }
    }
}
