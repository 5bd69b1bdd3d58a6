//! The progress bar.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How far one input is.
pub struct Progress {
    bar: ProgressBar,
    from: u64,
    begun: Instant,
}

impl Progress {
    /// Of an input with so many frames, as far as is known, of which `done` were done before.
    pub fn new(input: &Path, frames: u64, done: u64) -> Self {
        let bar = ProgressBar::new(frames).with_position(done);
        let style = "{msg} {wide_bar} {pos} of {len} frames, {per_sec}, {eta} left";
        // The template is as it should be, or the bar keeps its usual looks.
        if let Ok(style) = ProgressStyle::with_template(style) {
            let rate = |state: &indicatif::ProgressState, text: &mut dyn std::fmt::Write| {
                // A line that cannot be drawn is drawn again soon.
                let _ = write!(text, "{:.1} fps", state.per_sec());
            };
            bar.set_style(style.with_key("per_sec", rate));
        }
        bar.set_message(input.file_name().unwrap_or_default().to_string_lossy().into_owned());
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { bar, from: done, begun: Instant::now() }
    }

    /// So many frames are done.
    pub fn set(&self, frames: u64) {
        if self.bar.length().is_some_and(|length| length < frames) {
            self.bar.set_length(frames);
        }
        self.bar.set_position(frames);
    }

    /// Takes the bar away, and returns the frames per second of what was done.
    pub fn finish(self, frames: u64) -> f64 {
        let seconds = self.begun.elapsed().as_secs_f64().max(1e-3);
        frames.saturating_sub(self.from) as f64 / seconds
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
