// SPDX-License-Identifier: MIT

//! The threads of this process that share a frame's work.

use std::sync::OnceLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// More threads than this gain nothing: the memory's speed is what is left.
pub const MOST: usize = 8;

/// Does two things at the same time, on this thread if there is no other.
pub fn both<A: Send, B: Send>(
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    match threads() {
        Some(threads) => threads.join(first, second),
        None => (first(), second()),
    }
}

/// One for each core; none where they cannot be made.
pub fn threads() -> Option<&'static ThreadPool> {
    static THREADS: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let make = || {
        let name = |index| format!("davidmatte-row{index}");
        ThreadPoolBuilder::new().num_threads(available()).thread_name(name).build().ok()
    };
    THREADS.get_or_init(make).as_ref()
}

/// So many threads are of use on this machine.
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST)
}
