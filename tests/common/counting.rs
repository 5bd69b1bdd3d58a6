//! An allocator that counts what is asked of it.
#![allow(dead_code, missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, which counts what each thread asks of it, and what all do.
pub struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}
static OF_ALL: AtomicUsize = AtomicUsize::new(0);

fn count() {
    COUNT.set(COUNT.get() + 1);
    OF_ALL.fetch_add(1, Ordering::Relaxed);
}

/// What this thread has asked for so far.
pub fn of_this_thread() -> usize {
    COUNT.get()
}

/// What all threads have asked for so far.
pub fn of_all_threads() -> usize {
    OF_ALL.load(Ordering::Relaxed)
}

// SAFETY: all is done by the system's allocator; the counter needs no memory of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}
