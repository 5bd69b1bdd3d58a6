//! A network at work: its thread, its newest mask, and what carries that to later frames.

use std::time::{Duration, Instant};

use super::output::Negotiated;
use super::stats::Stats;
use crate::matting::carry::{Carried, Carrier, Guide};
use crate::matting::error::Error;
use crate::matting::frame_view::FrameView;
use crate::matting::matter::Matter;
use crate::matting::worker::{Done, Waited, Worker};

/// So many inferences in a row may fail before the stream does, once one has succeeded: a third of
/// a second of video. A network that has never given a matte is broken, and fails at once.
const TOLERATED_FAILURES: u32 = 10;

/// Weight of the newest inference in the running mean of what one takes.
const NEWEST: f64 = 0.25;

/// What is to be told about an inference that failed.
#[derive(Default)]
pub struct Report {
    /// It is the first in a row.
    pub warning: Option<Error>,
    /// The stream has to end.
    pub failure: Option<Error>,
}

/// All that depends on one network.
pub struct Engine {
    worker: Worker,
    fitted: Option<Fitted>,
    /// The newest mask.
    mask: Vec<f32>,
    /// Whether there is one, of this scene and of an inference that did not fail.
    has_mask: bool,
    has_ever_matted: bool,
    failures_in_a_row: u32,
    /// What an inference takes, as a running mean in seconds.
    expected: Option<f64>,
}

/// What depends on the frames' layout as well.
struct Fitted {
    matter: Matter,
    carrier: Carrier,
    /// Of the frame that the newest mask was made of, where it was looked at.
    of_mask: Option<Guide>,
    /// Of the frame whose inference is under way.
    submitted: Option<Guide>,
    /// Of the frame at hand.
    current: Guide,
    /// Guides to use again.
    spare: Vec<Guide>,
    carried: Vec<f32>,
}

impl Fitted {
    fn new(worker: &Worker, negotiated: &Negotiated) -> Result<Self, Error> {
        let Negotiated { from, to, output, .. } = *negotiated;
        let shape = worker.shape();
        let carrier = Carrier::new(&from, shape.input, shape.mask, shape.description.fit);
        Ok(Self {
            matter: Matter::new(shape, from, to, output)?,
            of_mask: None,
            submitted: None,
            current: carrier.guide(),
            spare: vec![carrier.guide(), carrier.guide()],
            carried: vec![0.0; shape.mask.area()],
            carrier,
        })
    }

    /// Puts the guide at hand into `slot`.
    fn keep_current(&mut self, slot: impl Fn(&mut Self) -> &mut Option<Guide>) {
        let fresh = self.spare.pop().unwrap_or_else(|| self.carrier.guide());
        let current = std::mem::replace(&mut self.current, fresh);
        let before = slot(self).replace(current);
        self.spare.extend(before);
    }

    fn forget(&mut self) {
        self.spare.extend(self.of_mask.take());
        self.spare.extend(self.submitted.take());
    }
}

impl Engine {
    /// Not yet for any caps.
    pub fn new(worker: Worker) -> Self {
        Self {
            mask: vec![0.0; worker.shape().mask.area()],
            worker,
            fitted: None,
            has_mask: false,
            has_ever_matted: false,
            failures_in_a_row: 0,
            expected: None,
        }
    }

    /// Goes on with other caps. Nothing is under way, and the mask of other frames is forgotten.
    pub fn negotiate(&mut self, negotiated: &Negotiated) -> Result<(), Error> {
        self.forget();
        self.fitted = Some(Fitted::new(&self.worker, negotiated)?);
        Ok(())
    }

    /// Forgets every frame there was: after a flush or a cut.
    pub fn forget(&mut self) {
        self.worker.discard();
        self.has_mask = false;
        if let Some(fitted) = &mut self.fitted {
            fitted.forget();
        }
    }

    /// Whether there is a mask to show or to carry.
    pub fn has_mask(&self) -> bool {
        self.has_mask
    }

    /// Whether the newest mask can be carried to another frame.
    pub fn can_carry(&self) -> bool {
        self.has_mask && self.fitted.as_ref().is_some_and(|fitted| fitted.of_mask.is_some())
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.worker.is_idle()
    }

    /// What an inference takes, where one has been made.
    pub fn expected(&self) -> Option<Duration> {
        self.expected.map(Duration::from_secs_f64)
    }

    /// Brings a frame to the network and has it inferred.
    pub fn submit(&mut self, frame: &FrameView<'_>, stats: &mut Stats) {
        let Some(fitted) = &mut self.fitted else { return };
        let start = Instant::now();
        let mut exchange = self.worker.exchange();
        fitted.matter.prepare(frame, &mut exchange.tensor);
        stats.prepare.add_since(start);
        self.worker.submit(exchange);
    }

    /// Looks at the frame at hand, so that a mask can be carried to it or from it.
    pub fn look(&mut self, frame: &FrameView<'_>, stats: &mut Stats) {
        let Some(fitted) = &mut self.fitted else { return };
        let start = Instant::now();
        fitted.carrier.look(frame, &mut fitted.current);
        stats.carry.add_since(start);
    }

    /// The frame that was looked at is the one whose inference is under way.
    pub fn remember_submitted(&mut self) {
        if let Some(fitted) = &mut self.fitted {
            fitted.keep_current(|fitted| &mut fitted.submitted);
        }
    }

    /// The frame that was looked at is the one that the newest mask is of.
    pub fn remember_mask(&mut self) {
        if let Some(fitted) = &mut self.fitted {
            fitted.keep_current(|fitted| &mut fitted.of_mask);
        }
    }

    /// Takes in an inference that is over, if there is one.
    pub fn poll(&mut self, stats: &mut Stats) -> Option<Report> {
        let done = self.worker.try_next()?;
        Some(self.take_in(done, stats))
    }

    /// Waits for the oldest inference under way, and takes it in; none where the time was up or
    /// waiting was interrupted.
    pub fn wait(&mut self, deadline: Option<Instant>, stats: &mut Stats) -> Result<Report, Late> {
        match self.worker.next(deadline) {
            Waited::Done(done) => Ok(self.take_in(done, stats)),
            Waited::Late => Err(Late::Deadline),
            Waited::Interrupted => Err(Late::Interrupted),
        }
    }

    fn take_in(&mut self, mut done: Done, stats: &mut Stats) -> Report {
        stats.infer.add(done.duration);
        let seconds = done.duration.as_secs_f64();
        let mean = self.expected.map_or(seconds, |mean| mean + NEWEST * (seconds - mean));
        self.expected = Some(mean);
        let submitted = self.fitted.as_mut().and_then(|fitted| fitted.submitted.take());
        let mut report = Report::default();
        self.has_mask = done.result.is_ok();
        match done.result {
            Ok(()) => {
                stats.inferences += 1;
                self.failures_in_a_row = 0;
                self.has_ever_matted = true;
                std::mem::swap(&mut self.mask, &mut done.exchange.mask);
                if let Some(fitted) = &mut self.fitted {
                    let before = std::mem::replace(&mut fitted.of_mask, submitted);
                    fitted.spare.extend(before);
                }
            }
            Err(error) => {
                stats.failures += 1;
                self.failures_in_a_row += 1;
                if !self.has_ever_matted || self.failures_in_a_row >= TOLERATED_FAILURES {
                    report.failure = Some(error);
                } else if self.failures_in_a_row == 1 {
                    report.warning = Some(error);
                }
            }
        }
        self.worker.give_back(done.exchange);
        report
    }

    /// Brings the newest mask to the frame that was looked at. A cut forgets it.
    pub fn carry(&mut self, stats: &mut Stats) {
        let Some(fitted) = &mut self.fitted else { return };
        let Some(of_mask) = &fitted.of_mask else { return };
        let start = Instant::now();
        let carried =
            fitted.carrier.carry(of_mask, &self.mask, &fitted.current, &mut fitted.carried);
        stats.carry.add_since(start);
        match carried {
            Carried::Moved => stats.carried += 1,
            Carried::Cut => self.has_mask = false,
        }
    }

    /// What writes frames, and the mask to write: the newest, or the one that was carried.
    pub fn matter_and_mask(&mut self, carried: bool) -> Option<(&mut Matter, Option<&[f32]>)> {
        let fitted = self.fitted.as_mut()?;
        let mask: &[f32] = if carried { &fitted.carried } else { &self.mask };
        Some((&mut fitted.matter, self.has_mask.then_some(mask)))
    }
}

/// Why waiting brought nothing.
pub enum Late {
    /// The time was up.
    Deadline,
    /// Somebody ended it.
    Interrupted,
}
