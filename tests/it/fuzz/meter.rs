//! The test binary's allocator: the system's, with a count of what a thread holds while it is being measured.
//!
//! Counters belong to the thread, so tests that run beside each other do not disturb each other. Invariant: outside of
//! `measure` nothing is counted, and the memory is always the system allocator's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The allocator.
pub struct Meter;

#[global_allocator]
static METER: Meter = Meter;

/// What a call allocated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The most bytes that were held at once.
    pub peak: usize,
    /// The largest single piece.
    pub largest: usize,
}

#[derive(Clone, Copy)]
struct Count {
    /// Bytes held; less than none where memory from before is given back.
    now: isize,
    usage: Usage,
}

thread_local! {
    static COUNT: Cell<Option<Count>> = const { Cell::new(None) };
}

fn record(taken: usize, given: usize) {
    // A thread that is ending has no counters any more, and nobody measures it.
    COUNT
        .try_with(|cell| {
            let Some(mut count) = cell.get() else { return };
            count.now += taken as isize - given as isize;
            count.usage.peak = count.usage.peak.max(count.now.max(0) as usize);
            count.usage.largest = count.usage.largest.max(taken);
            cell.set(Some(count));
        })
        .ok();
}

// SAFETY: every call goes to the system allocator with the caller's own arguments; recording touches plain cells and
// allocates nothing.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        record(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        record(layout.size(), 0);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        record(0, layout.size());
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        record(size, layout.size());
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// Runs `f` and counts what this thread allocates meanwhile.
pub fn measure<T>(f: impl FnOnce() -> T) -> (T, Usage) {
    COUNT.set(Some(Count { now: 0, usage: Usage::default() }));
    let result = f();
    let count = COUNT.take().expect("measuring does not nest");
    (result, count.usage)
}
