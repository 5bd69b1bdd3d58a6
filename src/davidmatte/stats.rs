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
        let duration = start.elapsed();
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
    /// Inferences that gave a matte.
    pub inferences: u64,
    /// Inferences that did not.
    pub failures: u64,
    /// Frame to tensor.
    pub prepare: Timing,
    /// Tensor to mask.
    pub infer: Timing,
    /// Mask to output frame.
    pub finish: Timing,
}

impl Stats {
    /// As the property's value.
    pub fn structure(&self) -> gst::Structure {
        gst::Structure::builder("davidmatte-stats")
            .field("frames", self.frames)
            .field("inferences", self.inferences)
            .field("failed-inferences", self.failures)
            .field("prepare-mean-ms", self.prepare.mean_ms())
            .field("prepare-worst-ms", self.prepare.worst_ms())
            .field("infer-mean-ms", self.infer.mean_ms())
            .field("infer-worst-ms", self.infer.worst_ms())
            .field("finish-mean-ms", self.finish.mean_ms())
            .field("finish-worst-ms", self.finish.worst_ms())
            .build()
    }
}
