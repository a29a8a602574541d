//! Which cell of a metric a thread writes.
//!
//! The first few threads own a cell each, alone: they add with a plain load and store, which costs a
//! nanosecond where a locked operation costs ten. All later ones share the last cell.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Cells with one writer. Workers of the runtime, the disk thread and a few more.
const OWNED: usize = 8;
/// The cell of everybody else.
const SHARED: usize = OWNED;
pub(super) const CELLS: usize = OWNED + 1;

/// The cell of the running thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// A bit for each owned cell that has an owner.
static TAKEN: AtomicU32 = AtomicU32::new(0);

const UNSET: usize = usize::MAX;

thread_local! {
    // Two, so that the one that is read each time needs no look at the state of its destructor.
    static MINE: Cell<usize> = const { Cell::new(UNSET) };
    static OWNERSHIP: Cell<Option<Ownership>> = const { Cell::new(None) };
}

/// Gives the cell back when its thread ends.
struct Ownership(usize);

impl Drop for Ownership {
    fn drop(&mut self) {
        // Destructors that run later may still record.
        MINE.set(SHARED);
        TAKEN.fetch_and(!(1 << self.0), Ordering::Release);
    }
}

impl Slot {
    pub(super) fn of_this_thread() -> Slot {
        let mine = MINE.get();
        if mine != UNSET {
            return Slot(mine);
        }
        claim()
    }

    pub(super) fn index(self) -> usize {
        self.0
    }

    /// Adds to a number of this slot's cell.
    pub(super) fn add(self, number: &AtomicU64, amount: u64) {
        if self.0 == SHARED {
            number.fetch_add(amount, Ordering::Relaxed);
        } else {
            let before = number.load(Ordering::Relaxed);
            number.store(before.wrapping_add(amount), Ordering::Relaxed);
        }
    }
}

#[cold]
fn claim() -> Slot {
    // Until it is certain that the cell will be given back, the shared one is the right one.
    MINE.set(SHARED);
    let taken = TAKEN.fetch_update(Ordering::Acquire, Ordering::Relaxed, |taken| {
        let free = (!taken).trailing_zeros();
        ((free as usize) < OWNED).then_some(taken | 1 << free)
    });
    let Ok(before) = taken else {
        return Slot(SHARED);
    };
    let ownership = Ownership((!before).trailing_zeros() as usize);
    let mine = ownership.0;
    if OWNERSHIP
        .try_with(|cell| cell.set(Some(ownership)))
        .is_err()
    {
        // The thread is ending; the cell was given back on the way here.
        return Slot(SHARED);
    }
    MINE.set(mine);
    Slot(mine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn an_owned_cell_has_one_owner() {
        let threads = 3 * OWNED;
        let all_have_one = Barrier::new(threads);
        let slots = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        let slot = Slot::of_this_thread();
                        all_have_one.wait();
                        assert_eq!(slot, Slot::of_this_thread());
                        slot.index()
                    })
                })
                .collect();
            let slots = running
                .into_iter()
                .map(|thread| thread.join().expect("no panic"));
            slots.collect::<Vec<_>>()
        });
        for cell in 0..OWNED {
            assert!(
                slots.iter().filter(|slot| **slot == cell).count() <= 1,
                "{slots:?}"
            );
        }
        assert!(slots.contains(&SHARED));
    }
}
