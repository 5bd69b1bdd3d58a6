// SPDX-License-Identifier: MIT

//! A stream of frames, each of which leaves once, in order, with its own matte.
//!
//! [`Stream`] takes frames as they come and gives them back one by one, with the matte that each is to
//! be shown with. A frame has a number and, as long as it has not left, a slot; whatever is inferred for
//! it lands there and nowhere else. Everything about a stream is here: which frames are inferred, where
//! the network looks, how a matte is brought to frames between, what happens where inference fails or
//! comes late. Pixels that leave are made elsewhere, by a [`Compositor`](super::compose::compositor::Compositor),
//! which may work on one frame while the next one is prepared ([`Stream::accept_while`]).
//!
//! ```no_run
//! use std::sync::Arc;
//! use gstdavidmatte::matting::prelude::*;
//! use gstdavidmatte::matting::stream::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let layout = FrameLayout::new(PixelFormat::Rgb, 640, 360);
//! # let frames: Vec<OwnedFrame> = Vec::new();
//! let network = Session::load(&ModelSource::find("builtin")?, &SessionOptions::default())?;
//! let clock = Arc::new(SystemClock::default());
//! let mut stream = Stream::new(Box::new(Worker::new(Box::new(network), clock.clone())?), clock);
//! let pacing = Pacing::Exact { in_flight: 2 };
//! stream.fit(&StreamOptions { layout, pacing, frame: None, refines: false });
//! let mut compositor = Compositor::new(stream.masks(), layout, layout, Output::Composite)?;
//! let look = Look {
//!     matte: MatteSettings::default(),
//!     background: Background::Checkerboard,
//!     decontaminate: true,
//! };
//! for frame in frames {
//!     stream.accept(frame, FrameSettings::default(), false)?;
//!     if stream.is_full() {
//!         let Some(mut finished) = stream.finish()? else { continue };
//!         if let Some((mask, layout)) = stream.shown() {
//!             compositor.take_masks(layout);
//!             compositor.compose(Colors::InPlace, mask, &look, &mut finished.frame.view_mut())?;
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use self::engine::{Engine, Late};
use self::front::Front;
use self::history::History;
use self::in_flight::{InFlight, Slot, Source};
use self::matted::{Landed, Mask};
use super::compose::compositor::Inferred;
use super::error::Error;
use super::frame::size::Size;
use super::frame::view::{FrameLayout, FrameView, OwnedFrame};
use super::input::geometry::MaskLayout;
use super::time::carry::Carried;
use super::time::guide::Guides;

mod engine;
mod fitted;
mod front;
mod history;
mod in_flight;
mod matted;
mod memory;
mod pacing;
mod searches;
mod stats;
#[cfg(test)]
mod tests;

pub use self::pacing::{Pacing, Timing, Wanted};
pub use self::searches::ANEW;
pub use self::stats::{Stats, StepTiming};
pub use super::inference::clock::{Clock, SystemClock};
pub use super::inference::network::Memory;
pub use super::inference::worker::{Done, Exchange, Interrupter, Runner, Waited, Worker};

/// A frame that can be looked at, whatever holds it.
pub trait Frame {
    /// Gives `read` a view of it.
    ///
    /// # Errors
    /// Where the frame is not what it was said to be.
    fn view<R>(&self, read: impl FnOnce(&FrameView<'_>) -> R) -> Result<R, Error>;

    /// When it is shown, in the time of the film that it comes from; none where nobody tells, and of a
    /// camera's.
    fn time(&self) -> Option<Duration> {
        None
    }
}

impl Frame for OwnedFrame {
    fn view<R>(&self, read: impl FnOnce(&FrameView<'_>) -> R) -> Result<R, Error> {
        Ok(read(&OwnedFrame::view(self)))
    }
}

/// What holds for all frames until the next [`fit`](Stream::fit).
#[derive(Clone, Copy, Debug)]
pub struct StreamOptions {
    /// What the frames are.
    pub layout: FrameLayout,
    /// What each lasts, where that is known.
    pub frame: Option<Duration>,
    /// How frames and mattes come together.
    pub pacing: Pacing,
    /// Whether mattes are refined by closer looks; needs [`Pacing::Exact`] with one frame in flight.
    pub refines: bool,
}

/// What may change from frame to frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameSettings {
    /// Whether the network looks at the region that holds everybody, instead of the whole frame.
    pub follows: bool,
    /// How much mattes before count where the picture stands still, 0 to 1.
    pub temporal: f32,
    /// Every so many frames one is inferred; 0: whenever something moves.
    pub interval: u32,
    /// The frame needs no matte.
    pub untouched: bool,
}

impl Default for FrameSettings {
    fn default() -> Self {
        Self { follows: true, temporal: 0.6, interval: 1, untouched: false }
    }
}

/// A frame that leaves. Its matte is what [`Stream::shown`] gives until the next one does.
#[derive(Debug)]
#[must_use]
pub struct Finished<F> {
    /// The frame.
    pub frame: F,
    /// It leaves as it came.
    pub untouched: bool,
    /// After it the stream has to end, because of this.
    pub failure: Option<Error>,
}

/// What a stream has to tell whoever runs it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// Inference failed for a frame, the first of its kind in a row, or a network lost its memory. The
    /// stream goes on.
    Failed(Error),
    /// The network that was to [succeed](Stream::succeed) gave no matte. The one before goes on.
    Refused(Error),
    /// The network that was to succeed is at work.
    Succeeded,
}

/// Waiting was ended from another thread, by an [`Interrupter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("waiting for a matte was interrupted")]
pub struct Interrupted;

/// Why a frame could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It could not be looked at.
    #[error(transparent)]
    Frame(#[from] Error),
    /// Waiting was ended.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Frames in, frames and their mattes out.
pub struct Stream<F> {
    front: Front<F>,
    history: Option<History>,
}

impl<F: Frame> Stream<F> {
    /// Of frames that a network mattes; `clock` is the runner's.
    pub fn new(runner: Box<dyn Runner>, clock: Arc<dyn Clock>) -> Self {
        Self { front: Front::new(runner, clock), history: None }
    }

    /// Goes on with frames of another kind. What has not left is forgotten.
    pub fn fit(&mut self, options: &StreamOptions) {
        let layout = options.layout;
        let guides = Guides::new(&layout);
        let frame = Size { width: layout.width, height: layout.height };
        let guide = guides.size();
        self.front.fit(options, guides);
        self.history = Some(History::new(frame, guide, self.front.engine.masks()));
    }

    /// What the network at work keeps from frame to frame.
    pub fn memory(&self) -> Memory {
        self.front.engine.memory()
    }

    /// Whether the network at work is shown whole frames only, each once.
    pub fn sees_whole_frames(&self) -> bool {
        self.front.engine.sees_whole_frames()
    }

    /// How the masks of the network at work lie on frames.
    pub fn masks(&self) -> MaskLayout {
        self.front.engine.masks()
    }

    /// What was done, and how long it took.
    pub fn stats(&self) -> &Stats {
        &self.front.stats
    }

    /// The same, to add what is done elsewhere.
    pub fn stats_mut(&mut self) -> &mut Stats {
        &mut self.front.stats
    }

    /// The next thing to tell.
    pub fn notice(&mut self) -> Option<Notice> {
        let Front { notices, engine, .. } = &mut self.front;
        notices.extend(engine.warnings.drain(..).map(Notice::Failed));
        notices.pop_front()
    }

    /// What an inference takes, where one has been made.
    pub fn expected(&self) -> Option<Duration> {
        self.front.engine.expected()
    }

    /// Goes on with another network. Where frames wait for their mattes it takes over at once, and none
    /// may be in flight; else when it has its first matte.
    pub fn succeed(&mut self, runner: Box<dyn Runner>) {
        self.front.succeed(Engine::new(runner));
    }

    /// Networks that are at work no longer, to be dropped where that may take its time.
    pub fn take_retired(&mut self) -> Vec<Box<dyn Send>> {
        self.front.retired.drain(..).map(|engine| Box::new(engine) as Box<dyn Send>).collect()
    }

    /// Forgets all frames, those that have not left as well.
    pub fn flush(&mut self) {
        self.front.flush();
        if let Some(history) = &mut self.history {
            history.forget();
        }
    }

    /// Holds at most so many frames back, at least one, until the next [`fit`](Self::fit).
    pub fn hold_at_most(&mut self, frames: usize) {
        self.front.most = frames.max(1);
    }

    /// Whether the oldest frame is to leave before another one is taken in.
    pub fn is_full(&self) -> bool {
        self.front.queue.len() >= self.front.depth()
    }

    /// Whether no frame is left.
    pub fn is_empty(&self) -> bool {
        self.front.queue.is_empty()
    }

    /// Whether with one more frame it would be full, and the oldest could leave at once: then
    /// [`finish`](Self::finish) and [`accept_while`](Self::accept_while) get the most out of two threads.
    pub fn could_overlap(&mut self) -> bool {
        self.poll();
        let Some(oldest) = self.front.queue.oldest() else { return false };
        let is_ready = match oldest.source {
            Source::Own => !matches!(oldest.slot, Slot::Waiting),
            Source::Carried | Source::Untouched => true,
            Source::Newest { .. } => false,
        };
        is_ready && self.front.queue.len() + 1 >= self.front.depth()
    }

    /// Takes a frame in. `late` says that it will be late, and should cost little.
    ///
    /// # Errors
    /// [`Refused::Frame`] for one that cannot be looked at, which is as if it had not come, and
    /// [`Refused::Interrupted`] where what has to be known of those before it was waited for in vain.
    pub fn accept(&mut self, frame: F, settings: FrameSettings, late: bool) -> Result<(), Refused> {
        self.poll();
        let can_carry = self.history.as_ref().is_some_and(History::can_carry);
        self.front.begin(frame, settings, late, can_carry)
    }

    /// Takes in what came in time, in `latest` pacing also for frames that left without.
    fn poll(&mut self) {
        while let Some(landed) = self.front.poll_successor() {
            if let Some(history) = &mut self.history {
                history.keep(landed);
            }
        }
        while let Some(landed) = self.front.engine.poll(&mut self.front.stats) {
            self.land(landed);
        }
    }

    /// Puts what came of an inference where it belongs.
    fn land(&mut self, landed: Landed) {
        let Some(matted) = self.front.land(landed) else { return };
        // Its frame has left. Of another scene nothing is wanted.
        if let (Some(history), true) = (&mut self.history, matted.is_of_this_scene) {
            history.keep(matted);
        }
    }

    /// Waits until a frame's own inference is over, or the clock shows `deadline`.
    fn wait_for(&mut self, id: u64, deadline: Option<Duration>) -> Result<(), Interrupted> {
        loop {
            let Some(frame) = self.front.queue.get_mut(id) else { return Ok(()) };
            if !matches!(frame.slot, Slot::Waiting) {
                return Ok(());
            }
            if !self.front.engine.works_on(id) {
                // Nobody will ever fill the slot.
                debug_assert!(false, "frame {id} waits for an inference that was not begun");
                return Ok(());
            }
            match self.front.engine.wait(deadline, &mut self.front.stats) {
                Ok(landed) => self.land(landed),
                Err(Late::Deadline) => return Ok(()),
                Err(Late::Interrupted) => return Err(Interrupted),
            }
        }
    }

    /// The oldest frame leaves; waits for its matte as the pacing says.
    ///
    /// # Errors
    /// [`Interrupted`], with the frame still in flight.
    pub fn finish(&mut self) -> Result<Option<Finished<F>>, Interrupted> {
        let Some(oldest) = self.front.queue.oldest() else { return Ok(None) };
        let (id, source, arrived) = (oldest.id, oldest.source, oldest.arrived);
        if source == Source::Own || source == (Source::Newest { begun: true }) {
            match self.front.patience() {
                None => self.wait_for(id, None)?,
                Some(patience) if !patience.is_zero() => {
                    self.wait_for(id, Some(arrived + patience))?;
                }
                Some(_) => {}
            }
        }
        self.carry_to_oldest()?;
        let refined = self.refine_oldest()?;
        let Some(oldest) = self.front.queue.pop() else { return Ok(None) };
        let InFlight { frame, settings, guide, source, slot, .. } = oldest;
        let Some(history) = &mut self.history else { return Ok(None) };
        let front = &mut self.front;
        let mut failure = front.failure.take();
        if let Some(guide) = guide.as_deref().filter(|_| settings.temporal > 0.0) {
            history.observe(guide, &mut front.stats);
        }
        match slot {
            _ if source == Source::Untouched => history.show_nothing(),
            Slot::Ready(mut matted) => {
                if let Some(refined) = refined {
                    matted.mask = refined;
                }
                history.keep(matted);
                history.show_newest();
            }
            Slot::Failed(failed) => {
                history.lose();
                history.show_nothing();
                failure = failure.or(front.tell(failed));
            }
            // What could be carried to it is shown, or nothing.
            Slot::Waiting => {}
        }
        if source != Source::Untouched && history.shown().is_none() {
            // After a cut or a failure the next frame is inferred, whatever the interval.
            front.since_inference = 0;
        }
        let begun = Instant::now();
        history.smooth(if guide.is_some() { settings.temporal } else { 0.0 });
        front.stats.smooth.add_since(begun);
        Ok(Some(Finished { frame, untouched: source == Source::Untouched, failure }))
    }

    /// Shows the newest matte, brought to the oldest frame, where that has none of its own. A frame that
    /// may be waited for is inferred after all where that cannot be done, as where it turns out to show another scene.
    fn carry_to_oldest(&mut self) -> Result<(), Interrupted> {
        let Self { front, history } = self;
        let (Some(oldest), Some(history)) = (front.queue.oldest(), history) else {
            return Ok(());
        };
        if oldest.source == Source::Untouched || !matches!(oldest.slot, Slot::Waiting) {
            return Ok(());
        }
        let (id, scene) = (oldest.id, oldest.scene);
        let carried = history.show_carried(oldest.guide.as_deref(), &mut front.stats);
        if history.shown().is_some() {
            return Ok(());
        }
        if carried == Carried::Cut {
            front.take_cut(id, scene);
        }
        if front.infer_oldest() {
            self.wait_for(id, None)?;
        }
        Ok(())
    }

    /// Refines the oldest frame's matte, where that was asked for.
    fn refine_oldest(&mut self) -> Result<Option<Arc<Mask>>, Interrupted> {
        let Front { queue, engine, stats, options, .. } = &mut self.front;
        let refines = options.is_some_and(|options| options.refines);
        match queue.oldest() {
            Some(InFlight { frame, slot: Slot::Ready(matted), .. }) if refines => {
                let refined = frame.view(|view| engine.refine(matted, view, stats));
                // A frame that cannot be looked at any more keeps its first matte.
                refined.unwrap_or(Ok(None)).map_err(|_| Interrupted)
            }
            _ => Ok(None),
        }
    }

    /// The mask to show the frame with that left last, values in the network's range row by row, and how
    /// they lie on the frame; none where it has no matte.
    pub fn shown(&self) -> Option<(Inferred<'_>, MaskLayout)> {
        self.history.as_ref().and_then(History::shown)
    }
}

impl<F: Frame + Send> Stream<F> {
    /// Does `compose` with the mask of the frame that left last, and at the same time takes in another
    /// one, as [`accept`](Self::accept) does.
    ///
    /// # Errors
    /// Those of `accept`, beside what `compose` gave.
    pub fn accept_while<R: Send>(
        &mut self,
        (frame, settings, late): (F, FrameSettings, bool),
        compose: impl FnOnce(Option<(Inferred<'_>, MaskLayout)>) -> R + Send,
    ) -> (R, Result<(), Refused>) {
        self.poll();
        let Self { front, history } = self;
        let can_carry = history.as_ref().is_some_and(History::can_carry);
        let shown = history.as_ref().and_then(History::shown);
        super::kernels::threads::both(
            || compose(shown),
            || front.begin(frame, settings, late, can_carry),
        )
    }
}
