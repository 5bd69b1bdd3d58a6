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
//! # let layout = FrameLayout { format: PixelFormat::Rgb, width: 640, height: 360, color: Colorimetry::default(), pixel_aspect: Default::default() };
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

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use self::engine::{Engine, Failed, Landed, Late, Matted};
use self::history::History;
use self::in_flight::{InFlight, Queue, Slot, Source};
use super::error::Error;
use super::frame::size::Size;
use super::frame::view::{FrameLayout, FrameView, OwnedFrame};
use super::input::geometry::MaskLayout;
use super::time::carry::Carried;
use super::time::guide::{Guide, Guides};

mod engine;
mod history;
mod in_flight;
mod pacing;
mod stats;
#[cfg(test)]
mod tests;

pub use self::pacing::{Pacing, Timing, Wanted};
pub use self::stats::{Stats, StepTiming};
pub use super::inference::clock::{Clock, SystemClock};
pub use super::inference::worker::{Done, Exchange, Interrupter, Runner, Waited, Worker};

/// So many frames in a row may go without inference because they are late: a second of video.
const MAX_SKIPPED: u32 = 30;

/// A frame that can be looked at, whatever holds it.
pub trait Frame {
    /// Gives `read` a view of it.
    ///
    /// # Errors
    /// Where the frame is not what it was said to be.
    fn view<R>(&self, read: impl FnOnce(&FrameView<'_>) -> R) -> Result<R, Error>;
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
    /// Every so many frames one is inferred, at least 1.
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
    /// Inference failed for a frame, the first of its kind in a row. The stream goes on.
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

/// All but what is kept of frames that left: while one of those is composed, it may take in another.
struct Front<F> {
    clock: Arc<dyn Clock>,
    engine: Engine,
    /// A network that takes over when it has a matte to show.
    successor: Option<Engine>,
    /// Networks that are not needed any more.
    retired: Vec<Engine>,
    options: Option<StreamOptions>,
    /// Frames that may be held back.
    most: usize,
    guides: Option<Guides>,
    /// Of the frame that came last and was looked at.
    last_guide: Option<Arc<Guide>>,
    queue: Queue<F>,
    next_id: u64,
    /// Frames since the last one that was inferred.
    since_inference: u32,
    /// Whether mattes have to be carried, as far as is known.
    carries: bool,
    notices: VecDeque<Notice>,
    /// Of a frame that left before its inference failed.
    failure: Option<Error>,
    stats: Stats,
}

impl<F: Frame> Stream<F> {
    /// Of frames that a network mattes; `clock` is the runner's.
    pub fn new(runner: Box<dyn Runner>, clock: Arc<dyn Clock>) -> Self {
        Self {
            front: Front {
                clock,
                engine: Engine::new(runner),
                successor: None,
                retired: Vec::new(),
                options: None,
                most: usize::MAX,
                guides: None,
                last_guide: None,
                queue: Queue::default(),
                next_id: 0,
                since_inference: 0,
                carries: false,
                notices: VecDeque::new(),
                failure: None,
                stats: Stats::default(),
            },
            history: None,
        }
    }

    /// Goes on with frames of another kind. What has not left is forgotten.
    pub fn fit(&mut self, options: &StreamOptions) {
        let layout = options.layout;
        let guides = Guides::new(&layout);
        let frame = Size { width: layout.width, height: layout.height };
        self.front.fit(options);
        self.history = Some(History::new(frame, guides.size(), self.front.engine.masks()));
        self.front.guides = Some(guides);
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
        self.front.notices.pop_front()
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
    /// [`Refused::Interrupted`] where a first search was waited for in vain.
    pub fn accept(&mut self, frame: F, settings: FrameSettings, late: bool) -> Result<(), Refused> {
        self.poll();
        let can_carry = self.history.as_ref().is_some_and(History::can_carry);
        self.front.begin(frame, settings, late, can_carry)?;
        Ok(self.settle()?)
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

    /// Where the newest frame has to be searched before it is known what to look at, waits for that.
    fn settle(&mut self) -> Result<(), Interrupted> {
        let Some(id) = self.front.queue.newest().map(|newest| newest.id) else { return Ok(()) };
        while self.front.engine.searches_first(id) {
            match self.front.engine.wait(None, &mut self.front.stats) {
                Ok(landed) => self.land(landed),
                Err(_) => return Err(Interrupted),
            }
        }
        Ok(())
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
        let refined = self.refine_oldest()?;
        let Some(oldest) = self.front.queue.pop() else { return Ok(None) };
        let InFlight { frame, settings, guide, source, slot, scene, .. } = oldest;
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
            Slot::Waiting => {
                let carried = history.show_carried(guide.as_deref(), &mut front.stats);
                // Unless it was seen already, when the frame or one after it came.
                if carried == Carried::Cut && scene == front.engine.scene() {
                    front.engine.cut();
                }
            }
        }
        if source != Source::Untouched && history.shown().is_none() {
            // After a cut or a failure the next frame is inferred, whatever the interval.
            front.since_inference = 0;
        }
        history.smooth(if guide.is_some() { settings.temporal } else { 0.0 });
        Ok(Some(Finished { frame, untouched: source == Source::Untouched, failure }))
    }

    /// Refines the oldest frame's matte, where that was asked for.
    fn refine_oldest(&mut self) -> Result<Option<Arc<engine::Mask>>, Interrupted> {
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
    pub fn shown(&self) -> Option<(&[f32], MaskLayout)> {
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
        compose: impl FnOnce(Option<(&[f32], MaskLayout)>) -> R + Send,
    ) -> (R, Result<(), Refused>) {
        self.poll();
        let Self { front, history } = self;
        let can_carry = history.as_ref().is_some_and(History::can_carry);
        let shown = history.as_ref().and_then(History::shown);
        let (composed, begun) = super::compose::slices::both(
            || compose(shown),
            || front.begin(frame, settings, late, can_carry),
        );
        let accepted = begun.map_err(Refused::from).and_then(|()| Ok(self.settle()?));
        (composed, accepted)
    }
}

impl<F: Frame> Front<F> {
    fn fit(&mut self, options: &StreamOptions) {
        let fit = engine::Fit {
            layout: options.layout,
            frame: options.frame,
            refines: options.refines && options.pacing.depth() == 1,
        };
        self.queue.clear();
        self.engine.fit(&fit);
        if let Some(successor) = &mut self.successor {
            successor.fit(&fit);
        }
        self.last_guide = None;
        self.since_inference = 0;
        self.carries = !options.pacing.is_exact();
        self.options = Some(*options);
        self.most = usize::MAX;
    }

    fn flush(&mut self) {
        self.queue.clear();
        self.engine.forget();
        if let Some(successor) = &mut self.successor {
            successor.forget();
        }
        self.last_guide = None;
        self.since_inference = 0;
        self.failure = None;
    }

    fn succeed(&mut self, mut engine: Engine) {
        if let Some(options) = &self.options {
            engine.fit(&engine::Fit {
                layout: options.layout,
                frame: options.frame,
                refines: options.refines,
            });
        }
        if self.options.is_none_or(|options| options.pacing.is_exact()) {
            debug_assert!(self.queue.is_empty());
            self.retired.push(std::mem::replace(&mut self.engine, engine));
            self.notices.push_back(Notice::Succeeded);
        } else {
            self.retired.extend(self.successor.replace(engine));
        }
        self.since_inference = 0;
    }

    fn depth(&self) -> usize {
        self.options.map_or(1, |options| options.pacing.depth()).min(self.most)
    }

    /// How long the oldest frame may wait for its own matte. One that takes longer than it may is not
    /// waited for.
    fn patience(&self) -> Option<Duration> {
        let options = self.options?;
        let patience = options.pacing.patience(options.frame)?;
        let is_hopeful = self.engine.expected().is_none_or(|expected| expected < patience);
        Some(if is_hopeful { patience } else { Duration::ZERO })
    }

    /// Takes a frame in, and has it inferred if it is to be. Waits for nothing.
    fn begin(
        &mut self,
        frame: F,
        settings: FrameSettings,
        late: bool,
        can_carry: bool,
    ) -> Result<(), Error> {
        self.stats.frames += 1;
        self.stats.late += u64::from(late);
        let arrived = self.clock.now();
        let id = self.next_id;
        let is_exact = self.options.is_none_or(|options| options.pacing.is_exact());
        let (source, guide) = match is_exact {
            _ if settings.untouched => (Source::Untouched, None),
            true => self.begin_exact(id, &frame, &settings, late, can_carry)?,
            false => self.begin_newest(id, &frame, &settings, late)?,
        };
        self.next_id += 1;
        if guide.is_some() {
            self.last_guide.clone_from(&guide);
        }
        let (scene, slot) = (self.engine.scene(), Slot::Waiting);
        self.queue.push(InFlight { id, frame, settings, guide, source, arrived, scene, slot });
        Ok(())
    }

    /// Whether a frame is to be inferred, by what the settings ask for and time allows.
    fn is_due(&self, settings: &FrameSettings, late: bool) -> bool {
        let since = self.since_inference;
        let is_skipped = late && self.carries && since < MAX_SKIPPED;
        since == 0 || (since >= settings.interval && !is_skipped)
    }

    /// Counts a frame that was inferred, or was not.
    fn count(&mut self, inferred: bool) {
        self.since_inference = match (inferred, self.since_inference) {
            (true, _) => 1,
            (false, 0) => 0,
            (false, since) => since.saturating_add(1),
        };
    }

    fn begin_exact(
        &mut self,
        id: u64,
        frame: &F,
        settings: &FrameSettings,
        late: bool,
        can_carry: bool,
    ) -> Result<(Source, Option<Arc<Guide>>), Error> {
        // From the first frame that may need it on, those that are inferred are looked at.
        self.carries |= late || settings.interval > 1;
        let is_looked_at = self.carries || settings.follows || settings.temporal > 0.0;
        let has_own = |other: &InFlight<F>| other.source == Source::Own && other.guide.is_some();
        let can_carry = can_carry || self.queue.iter().any(has_own);
        let look = match settings.follows {
            true => engine::Look::RegionAtOnce,
            false => engine::Look::Frame,
        };
        let (guide, is_carried) = frame.view(|view| {
            let (guide, is_cut) = if is_looked_at { self.look(view) } else { (None, false) };
            let is_carried = can_carry && !is_cut && !self.is_due(settings, late);
            if !is_carried {
                self.engine.begin(id, view, guide.clone(), look, &mut self.stats);
            }
            (guide, is_carried)
        })?;
        self.count(!is_carried);
        Ok((if is_carried { Source::Carried } else { Source::Own }, guide))
    }

    fn begin_newest(
        &mut self,
        id: u64,
        frame: &F,
        settings: &FrameSettings,
        late: bool,
    ) -> Result<(Source, Option<Arc<Guide>>), Error> {
        let look = self.region_or_frame(settings);
        let (guide, begun) = frame.view(|view| {
            let (guide, is_cut) = self.look(view);
            if let Some(successor) = self.successor.as_mut().filter(|engine| engine.is_idle()) {
                successor.begin(id, view, guide.clone(), look, &mut self.stats);
            }
            let begun = (is_cut || self.is_due(settings, late)) && self.engine.is_idle();
            if begun {
                self.engine.begin(id, view, guide.clone(), look, &mut self.stats);
            }
            (guide, begun)
        })?;
        self.count(begun);
        Ok((Source::Newest { begun }, guide))
    }

    /// What the network is to look at where no frame waits for it. One that is so slow that every
    /// inference would have to be a search looks at the whole frame, and so does one that may be:
    /// to go over to a canvas and back takes longer than a frame lasts.
    fn region_or_frame(&self, settings: &FrameSettings) -> engine::Look {
        let is_quick = self.engine.expected().is_some_and(|expected| 3 * expected < engine::SEARCH);
        match settings.follows && is_quick {
            true => engine::Look::Region,
            false => engine::Look::Frame,
        }
    }

    /// Looks at a frame; whether it shows another scene than the one before it, so that nobody is
    /// followed any more.
    fn look(&mut self, view: &FrameView<'_>) -> (Option<Arc<Guide>>, bool) {
        let start = std::time::Instant::now();
        let Some(guides) = &mut self.guides else { return (None, false) };
        let guide = guides.look(view);
        let is_cut = self.last_guide.as_ref().is_some_and(|last| guide.is_elsewhere(last));
        if is_cut {
            self.engine.cut();
        }
        self.stats.carry.add_since(start);
        (Some(guide), is_cut)
    }

    /// Puts what came of an inference into its frame's slot; gives back the matte of a frame that has
    /// left.
    fn land(&mut self, landed: Landed) -> Option<Matted> {
        match landed {
            Landed::Matte(matted) => match self.queue.get_mut(matted.frame) {
                Some(frame) => {
                    frame.slot = Slot::Ready(matted);
                    None
                }
                None => Some(matted),
            },
            Landed::Failed(failed) => {
                match self.queue.get_mut(failed.frame) {
                    Some(frame) => frame.slot = Slot::Failed(failed),
                    None => {
                        let failure = self.tell(failed);
                        self.failure = self.failure.take().or(failure);
                    }
                }
                None
            }
            Landed::Found { frame: id, region } => {
                let Self { queue, engine, stats, .. } = self;
                if let Some(InFlight { frame, guide, slot, .. }) = queue.get_mut(id) {
                    let looked = frame.view(|view| {
                        engine.look_closer(id, view, guide.clone(), region, stats);
                    });
                    if let Err(error) = looked {
                        *slot =
                            Slot::Failed(Failed { frame: id, error: Some(error), is_fatal: true });
                    }
                }
                None
            }
        }
    }

    /// Tells of a failure; gives back one that ends the stream.
    fn tell(&mut self, failed: Failed) -> Option<Error> {
        match failed {
            Failed { error, is_fatal: true, .. } => error,
            Failed { error, .. } => {
                self.notices.extend(error.map(Notice::Failed));
                None
            }
        }
    }

    /// What came of the network that is to succeed: a matte, with which it has taken over.
    fn poll_successor(&mut self) -> Option<Matted> {
        let mut successor = self.successor.take()?;
        match successor.poll(&mut self.stats) {
            Some(Landed::Matte(matted)) => {
                self.retired.push(std::mem::replace(&mut self.engine, successor));
                self.notices.push_back(Notice::Succeeded);
                Some(matted)
            }
            Some(Landed::Failed(Failed { error, .. })) => {
                self.notices.extend(error.map(Notice::Refused));
                self.retired.push(successor);
                None
            }
            Some(Landed::Found { .. }) | None => {
                self.successor = Some(successor);
                None
            }
        }
    }
}
