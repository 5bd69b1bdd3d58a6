// SPDX-License-Identifier: MIT

//! The time by which a stream keeps pace.

use std::time::{Duration, Instant};

/// Tells the time since some moment; never runs backwards.
pub trait Clock: Send + Sync {
    /// The time.
    fn now(&self) -> Duration;
}

/// The system's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
