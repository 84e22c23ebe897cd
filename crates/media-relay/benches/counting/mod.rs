//! An allocator that counts, so that "no allocation per packet" is a number and not a belief.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps GlobalAlloc's contract, which is System's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps GlobalAlloc's contract, which is System's.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Prints how many allocations a call of `work` makes, on average over many after a first one.
pub(crate) fn report(name: &str, mut work: impl FnMut()) {
    const CALLS: u64 = 1000;
    work();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..CALLS {
        work();
    }
    let made = ALLOCATIONS.load(Ordering::Relaxed) - before;
    println!("{name}: {} allocations a packet", made as f64 / CALLS as f64);
}
