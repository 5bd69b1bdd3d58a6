//! The line that tells how it goes.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::error::Error;
use crate::pipeline::Pipeline;

/// How often the line is written: over itself in a terminal, and below itself elsewhere.
const IN_A_TERMINAL: Duration = Duration::from_millis(500);
const ELSEWHERE: Duration = Duration::from_secs(5);

/// Counts at one moment.
#[derive(Clone, Copy, Debug)]
struct Counts {
    at: Instant,
    sent: u64,
    inferences: u64,
    /// Milliseconds of all of them.
    inferring: f64,
}

impl Counts {
    fn of(pipeline: &Pipeline) -> Self {
        let stats = pipeline.matte.property::<gst::Structure>("stats");
        let inferences = stats.get::<u64>("inferences").unwrap_or(0);
        let mean = stats.get::<f64>("infer-mean-ms").unwrap_or(0.0);
        let inferring = mean * inferences as f64;
        Self { at: Instant::now(), sent: pipeline.sent(), inferences, inferring }
    }

    /// Frames a second, and the milliseconds of an inference if there was one.
    fn since(&self, earlier: &Self) -> (f64, Option<f64>) {
        let seconds = (self.at - earlier.at).as_secs_f64();
        let rate = (self.sent - earlier.sent) as f64 / seconds.max(1e-3);
        // The counts begin again where another stream is started.
        let count = self.inferences.checked_sub(earlier.inferences).filter(|count| *count > 0);
        (rate, count.map(|count| (self.inferring - earlier.inferring) / count as f64))
    }
}

/// Writes the status.
pub struct Status {
    is_terminal: bool,
    begin: Counts,
    last: Counts,
}

impl Status {
    pub fn new(pipeline: &Pipeline) -> Self {
        let counts = Counts::of(pipeline);
        Self { is_terminal: io::stdout().is_terminal(), begin: counts, last: counts }
    }

    /// Writes the line where it is time to, or where something is new.
    ///
    /// # Errors
    /// [`Error::Print`].
    pub fn tell(&mut self, pipeline: &Pipeline, tail: &str, is_new: bool) -> Result<(), Error> {
        let interval = if self.is_terminal { IN_A_TERMINAL } else { ELSEWHERE };
        let elapsed = self.last.at.elapsed();
        if elapsed < interval && !(is_new && self.is_terminal && elapsed > interval / 5) {
            return Ok(());
        }
        let counts = Counts::of(pipeline);
        let line = format!("{}, {tail}", figures(pipeline, &counts, &self.last));
        self.last = counts;
        self.write(&line)
    }

    /// A line of its own, that stays.
    ///
    /// # Errors
    /// [`Error::Print`].
    pub fn note(&self, text: &str) -> Result<(), Error> {
        let (clear, end) = self.ends();
        put(&format!("{clear}{text}{end}\n"))
    }

    /// Takes the line away, for an error to be told in its place.
    pub fn clear(&self) {
        // Of two failures, the first one is told.
        let _ = put(self.ends().0);
    }

    /// The last line: all since the beginning.
    ///
    /// # Errors
    /// [`Error::Print`].
    pub fn end(&self, pipeline: &Pipeline) -> Result<(), Error> {
        let counts = Counts::of(pipeline);
        let seconds = (counts.at - self.begin.at).as_secs_f64();
        let frames = counts.sent;
        self.note(&format!(
            "{frames} frames in {seconds:.1} s: {}",
            figures(pipeline, &counts, &self.begin)
        ))
    }

    fn write(&self, line: &str) -> Result<(), Error> {
        if !self.is_terminal {
            return put(&format!("{line}\n"));
        }
        let width = crossterm::terminal::size().map_or(80, |(width, _)| usize::from(width));
        // One that reaches the last column would go on in a second line.
        let line: String = line.chars().take(width.saturating_sub(1)).collect();
        let (clear, _) = self.ends();
        put(&format!("{clear}{line}"))
    }

    /// What goes before and after a line: in a raw terminal, a new line is not at its beginning.
    fn ends(&self) -> (&'static str, &'static str) {
        if self.is_terminal { ("\r\x1b[K", "\r") } else { ("", "") }
    }
}

fn figures(pipeline: &Pipeline, counts: &Counts, earlier: &Counts) -> String {
    let (rate, inference) = counts.since(earlier);
    let device = pipeline.matte.property::<Option<String>>("active-device");
    let device = device.as_deref().unwrap_or("no device yet");
    let inference = inference.map_or("no inference".into(), |ms| format!("inference {ms:.1} ms"));
    format!("{rate:.1} frames a second, {device}, {inference}")
}

/// Writes to the standard output at once.
fn put(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Print)
}
