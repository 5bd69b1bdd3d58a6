//! What the property `stats` tells.

use std::time::{Duration, Instant};

/// Mean and worst of a step's durations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    count: u64,
    total: Duration,
    worst: Duration,
}

impl Timing {
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

    fn mean_ms(&self) -> f64 {
        match self.count {
            0 => 0.0,
            count => self.total.as_secs_f64() * 1e3 / count as f64,
        }
    }

    fn worst_ms(&self) -> f64 {
        self.worst.as_secs_f64() * 1e3
    }
}

/// Counted since the element was started.
#[derive(Clone, Copy, Debug, Default)]
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
    pub prepare: Timing,
    /// Tensor to mask.
    pub infer: Timing,
    /// Looking at frames and carrying mattes to them.
    pub carry: Timing,
    /// Mask to output frame.
    pub finish: Timing,
}

impl Stats {
    /// As the property's value.
    pub fn structure(&self) -> gst::Structure {
        let mut structure = gst::Structure::builder("davidmatte-stats")
            .field("frames", self.frames)
            .field("late-frames", self.late)
            .field("inferences", self.inferences)
            .field("searches", self.searches)
            .field("closer-looks", self.closer_looks)
            .field("failed-inferences", self.failures)
            .field("carried-mattes", self.carried);
        for (step, timing) in [
            ("prepare", &self.prepare),
            ("infer", &self.infer),
            ("carry", &self.carry),
            ("finish", &self.finish),
        ] {
            structure = structure
                .field(format!("{step}-mean-ms"), timing.mean_ms())
                .field(format!("{step}-worst-ms"), timing.worst_ms());
        }
        structure.build()
    }
}
