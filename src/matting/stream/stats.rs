// SPDX-License-Identifier: MIT

//! What a stream did, and how long it took.

use std::time::{Duration, Instant};

/// Mean and worst of a step's durations.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepTiming {
    count: u64,
    total: Duration,
    worst: Duration,
}

impl StepTiming {
    /// Adds the time since `start`.
    pub fn add_since(&mut self, start: Instant) {
        self.add(start.elapsed());
    }

    /// Adds a duration.
    pub fn add(&mut self, duration: Duration) {
        self.count += 1;
        self.total += duration;
        self.worst = self.worst.max(duration);
    }

    /// The mean, in milliseconds.
    pub fn mean_ms(&self) -> f64 {
        match self.count {
            0 => 0.0,
            count => self.total.as_secs_f64() * 1e3 / count as f64,
        }
    }

    /// The worst, in milliseconds.
    pub fn worst_ms(&self) -> f64 {
        self.worst.as_secs_f64() * 1e3
    }
}

/// Counted since a stream began.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Frames that came in.
    pub frames: u64,
    /// Frames that were late before they came.
    pub late: u64,
    /// Mattes that were carried from an earlier frame.
    pub carried: u64,
    /// Inferences that gave a matte.
    pub inferences: u64,
    /// Inferences that only looked for who is in the frame.
    pub searches: u64,
    /// Inferences that looked closer at what a matte was uncertain of.
    pub closer_looks: u64,
    /// Inferences that failed.
    pub failures: u64,
    /// Frame to tensor.
    pub prepare: StepTiming,
    /// Tensor to mask.
    pub infer: StepTiming,
    /// Looking at frames and carrying mattes to them.
    pub carry: StepTiming,
    /// Smoothing mattes over time.
    pub smooth: StepTiming,
    /// Tiles of mattes that were refined.
    pub tiles: u64,
    /// Mask to output frame, with what the next three take.
    pub finish: StepTiming,
    /// Refining tiles of the matte.
    pub detail: StepTiming,
    /// Making what lies behind the person.
    pub behind: StepTiming,
    /// Finding the person's own colours.
    pub colors: StepTiming,
}
