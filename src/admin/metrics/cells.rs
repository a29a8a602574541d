//! Counters and plain summaries, spread over cache lines so that threads do not fight.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use super::slot::{CELLS, Slot};
use super::{Sink, Value};
use crate::admin::java_text;

/// A reset stores zeros beside owners that load and store: the second time catches what they
/// wrote back.
pub(super) const RESET_PASSES: usize = 2;

#[derive(Default)]
#[repr(align(64))]
struct CounterCell(AtomicU64);

/// Counts events.
#[derive(Default)]
pub struct Counter {
    cells: [CounterCell; CELLS],
}

impl Counter {
    pub fn add(&self, amount: u64) {
        let slot = Slot::of_this_thread();
        slot.add(&self.cells[slot.index()].0, amount);
    }

    pub fn increment(&self) {
        self.add(1);
    }

    pub fn get(&self) -> u64 {
        self.cells
            .iter()
            .fold(0, |sum, cell| sum.wrapping_add(cell.0.load(Relaxed)))
    }

    pub fn reset(&self) {
        for cell in (0..RESET_PASSES).flat_map(|_| &self.cells) {
            cell.0.store(0, Relaxed);
        }
    }
}

#[repr(align(64))]
struct SummaryCell {
    count: AtomicU64,
    // Two's complement.
    sum: AtomicU64,
    min: AtomicI64,
    max: AtomicI64,
}

impl Default for SummaryCell {
    fn default() -> Self {
        SummaryCell {
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            min: AtomicI64::new(i64::MAX),
            max: AtomicI64::new(i64::MIN),
        }
    }
}

/// Count, sum, least and greatest of what was recorded.
#[derive(Default)]
pub struct Summary {
    cells: [SummaryCell; CELLS],
}

/// What a summary held at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    pub count: u64,
    pub sum: i64,
    /// 0 if nothing was recorded, as is `max`.
    pub min: i64,
    pub max: i64,
}

impl Totals {
    pub fn average(&self) -> f64 {
        java_text::average(self.sum, self.count)
    }
}

impl Summary {
    pub fn record(&self, value: i64) {
        self.record_many(value, value, value, 1);
    }

    /// Records `count` values at once, of which the caller knows sum, least and greatest.
    pub fn record_many(&self, sum: i64, min: i64, max: i64, count: u64) {
        let slot = Slot::of_this_thread();
        let cell = &self.cells[slot.index()];
        slot.add(&cell.count, count);
        slot.add(&cell.sum, sum.cast_unsigned());
        // Extremes change rarely; a load is cheaper than a locked operation.
        if min < cell.min.load(Relaxed) {
            cell.min.fetch_min(min, Relaxed);
        }
        if max > cell.max.load(Relaxed) {
            cell.max.fetch_max(max, Relaxed);
        }
    }

    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            count: 0,
            sum: 0,
            min: i64::MAX,
            max: i64::MIN,
        };
        for cell in &self.cells {
            totals.count = totals.count.wrapping_add(cell.count.load(Relaxed));
            totals.sum = totals
                .sum
                .wrapping_add(cell.sum.load(Relaxed).cast_signed());
            totals.min = totals.min.min(cell.min.load(Relaxed));
            totals.max = totals.max.max(cell.max.load(Relaxed));
        }
        if totals.min == i64::MAX {
            totals.min = 0;
        }
        if totals.max == i64::MIN {
            totals.max = 0;
        }
        totals
    }

    pub fn reset(&self) {
        for cell in (0..RESET_PASSES).flat_map(|_| &self.cells) {
            cell.count.store(0, Relaxed);
            cell.sum.store(0, Relaxed);
            cell.min.store(i64::MAX, Relaxed);
            cell.max.store(i64::MIN, Relaxed);
        }
    }

    pub(super) fn dump(&self, name: &str, sink: &mut Sink<'_>) {
        let totals = self.totals();
        sink(&format!("avg_{name}"), Value::Float(totals.average()));
        sink(&format!("min_{name}"), Value::Int(totals.min));
        sink(&format!("max_{name}"), Value::Int(totals.max));
        sink(&format!("cnt_{name}"), Value::Int(totals.count as i64));
        sink(&format!("sum_{name}"), Value::Int(totals.sum));
    }
}
