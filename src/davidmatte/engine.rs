//! A network at work: its thread, its newest mask, and what carries that to later frames.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::output::Negotiated;
use super::stats::Stats;
use crate::matting::attention::canvas::Canvas;
use crate::matting::attention::refine::Refiner;
use crate::matting::attention::track::Follower;
use crate::matting::compose::compositor::Matter;
use crate::matting::error::Error;
use crate::matting::frame::region::Region;
use crate::matting::frame::size::Size;
use crate::matting::frame::view::FrameView;
use crate::matting::inference::network::NetworkShape;
use crate::matting::inference::worker::{Done, Exchange, Waited, Worker};
use crate::matting::model::description::Fit;
use crate::matting::time::carry::{Carried, Carrier, Guide};
use crate::matting::time::smooth::Smoother;

/// So many inferences in a row may fail before the stream does, once one has succeeded: a third of
/// a second of video. A network that has never given a matte is broken, and fails at once.
const TOLERATED_FAILURES: u32 = 10;

/// Weight of the newest inference in the running mean of what one takes.
const NEWEST: f64 = 0.25;

/// Where a part of the frame is followed, the whole is searched this often, so that whoever walks
/// in is found within half a second.
pub const SEARCH: Duration = Duration::from_millis(400);

/// What is to be told about an inference that failed.
#[derive(Default)]
pub struct Report {
    /// It is the first in a row.
    pub warning: Option<Error>,
    /// The stream has to end.
    pub failure: Option<Error>,
}

/// What the network is to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The whole frame.
    Frame,
    /// The part that holds everybody.
    Followed,
}

/// What an inference that is under way is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// The matte of a whole frame, as the network gives it.
    Matte,
    /// The matte of a region, drawn onto the canvas.
    RegionMatte,
    /// To find everybody in the frame.
    Search,
    /// To find everybody; the matte as well, if that takes the whole frame.
    First,
    /// The matte of a region of a frame whose whole was looked at for `First`.
    Second,
    /// To know more of an edge in a matte that is there.
    Closer,
}

/// All that depends on one network.
pub struct Engine {
    worker: Worker,
    /// How many threads may share a frame's rows.
    threads: usize,
    fitted: Option<Fitted>,
    /// The newest mask.
    mask: Vec<f32>,
    /// Whether there is one, of this scene and of an inference that did not fail.
    has_mask: bool,
    has_ever_matted: bool,
    failures_in_a_row: u32,
    /// What an inference takes, as a running mean in seconds.
    expected: Option<f64>,
    /// What is under way, in order.
    under_way: VecDeque<(Region, Purpose)>,
    /// An inference that was waited for ahead of its frame.
    ready: Option<Report>,
    /// The frame that was searched last.
    searched: Option<u64>,
}

/// What depends on the frames' layout as well.
struct Fitted {
    matter: Matter,
    carrier: Carrier,
    smoother: Smoother,
    follower: Follower,
    canvas: Canvas,
    /// Where mattes are refined.
    refinement: Option<Refinement>,
    /// What the network saw of the frame when it gave the newest mask.
    seen: Region,
    /// Whether masks are on the canvas, or as the network gives them.
    on_canvas: bool,
    frame: Size,
    /// Frames from one search to the next.
    search_every: u64,
    /// Of the frame that the newest mask was made of, where it was looked at.
    of_mask: Option<Guide>,
    /// Of the frame whose inference is under way.
    submitted: Option<Guide>,
    /// Of the frame at hand.
    current: Guide,
    /// Of frames that were looked at ahead of their turn.
    ahead: VecDeque<Guide>,
    /// Guides to use again.
    spare: Vec<Guide>,
    carried: Vec<f32>,
}

/// What closer looks take.
struct Refinement {
    refiner: Refiner,
    /// The looks under way, in order.
    looks: Vec<Region>,
    /// What one of them says, on the canvas.
    drawn: Vec<f32>,
}

impl Refinement {
    fn new(worker: &Worker, frame: Size, canvas: &Canvas) -> Self {
        let NetworkShape { input, mask, description } = worker.shape();
        let (size, least) = (canvas.size(), canvas.least_side());
        let refiner = Refiner::new(frame, *input, *mask, description.fit, size, least);
        Self { refiner, looks: Vec::new(), drawn: vec![0.0; size.area()] }
    }
}

impl Fitted {
    fn new(worker: &Worker, threads: usize, negotiated: &Negotiated) -> Result<Self, Error> {
        let Negotiated { from, to, output, .. } = *negotiated;
        let shape = worker.shape();
        let (input, mask, fit) = (shape.input, shape.mask, shape.description.fit);
        let frame = Size { width: from.width, height: from.height };
        let carrier = Carrier::new(&from, input, mask, fit);
        let canvas = Canvas::new(frame, input, mask, fit);
        let rate = negotiated.sink.fps();
        let frames = |rate: gst::Fraction| {
            SEARCH.as_secs_f64() * f64::from(rate.numer()) / f64::from(rate.denom())
        };
        Ok(Self {
            matter: Matter::new(shape, from, to, output)?.with_threads(threads)?,
            smoother: Smoother::new(&carrier.guide(), frame, input, mask, fit),
            follower: Follower::new(frame, input, mask, fit, canvas.least_side()),
            canvas,
            refinement: None,
            seen: Region::whole(frame),
            on_canvas: false,
            frame,
            search_every: if rate.numer() > 0 { frames(rate).round().max(2.0) as u64 } else { 12 },
            of_mask: None,
            submitted: None,
            current: carrier.guide(),
            ahead: VecDeque::new(),
            spare: vec![carrier.guide(), carrier.guide()],
            carried: vec![0.0; mask.area()],
            carrier,
        })
    }

    /// Puts the guide at hand into `slot`.
    fn keep_current(&mut self, slot: impl Fn(&mut Self) -> &mut Option<Guide>) {
        let fresh = self.spare_guide();
        let current = std::mem::replace(&mut self.current, fresh);
        let before = slot(self).replace(current);
        self.spare.extend(before);
    }

    fn spare_guide(&mut self) -> Guide {
        self.spare.pop().unwrap_or_else(|| self.carrier.guide())
    }

    fn forget(&mut self) {
        self.spare.extend(self.of_mask.take());
        self.spare.extend(self.submitted.take());
        self.spare.extend(self.ahead.drain(..));
        self.smoother.forget();
        self.follower.forget();
    }

    /// Goes over to masks on the canvas, or to those that the network gives.
    fn take_masks(&mut self, worker: &Worker, on_canvas: bool, mask: &mut Vec<f32>) {
        if self.on_canvas == on_canvas {
            return;
        }
        self.on_canvas = on_canvas;
        let shape = worker.shape();
        let (input, size, fit) = match on_canvas {
            true => (self.canvas.size(), self.canvas.size(), Fit::Stretch),
            false => (shape.input, shape.mask, shape.description.fit),
        };
        self.matter.take_masks(input, size, fit);
        self.carrier.take_masks(input, size, fit);
        self.smoother = Smoother::new(&self.current, self.frame, input, size, fit);
        self.carried.resize(size.area(), 0.0);
        mask.resize(size.area(), 0.0);
    }
}

impl Engine {
    /// Not yet for any caps; `threads` may share a frame's rows.
    pub fn new(worker: Worker, threads: usize) -> Self {
        Self {
            mask: vec![0.0; worker.shape().mask.area()],
            worker,
            threads,
            fitted: None,
            has_mask: false,
            has_ever_matted: false,
            failures_in_a_row: 0,
            expected: None,
            under_way: VecDeque::new(),
            ready: None,
            searched: None,
        }
    }

    /// Goes on with other caps, and with closer looks if it `refines`. Nothing is under way, and the
    /// mask of other frames is forgotten.
    pub fn negotiate(&mut self, negotiated: &Negotiated, refines: bool) -> Result<(), Error> {
        self.forget();
        let mut fitted = Fitted::new(&self.worker, self.threads, negotiated)?;
        fitted.refinement =
            refines.then(|| Refinement::new(&self.worker, fitted.frame, &fitted.canvas));
        self.fitted = Some(fitted);
        self.mask.resize(self.worker.shape().mask.area(), 0.0);
        Ok(())
    }

    /// Forgets every frame there was: after a flush or a cut.
    pub fn forget(&mut self) {
        self.worker.discard();
        self.under_way.clear();
        self.ready = None;
        self.searched = None;
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

    /// Brings a frame to the network and has its matte inferred; searches the whole of it before,
    /// where it is time for that.
    pub fn submit(&mut self, frame: &FrameView<'_>, look: Look, stats: &mut Stats) {
        let Some(fitted) = &self.fitted else { return };
        let whole = Region::whole(fitted.frame);
        let (region, purpose) = match (look, fitted.follower.region()) {
            (Look::Frame, _) => (whole, Purpose::Matte),
            (Look::Followed, None) => (whole, Purpose::RegionMatte),
            (Look::Followed, Some(region)) => (region, Purpose::RegionMatte),
        };
        if purpose == Purpose::RegionMatte {
            let due = self.searched.is_none_or(|last| stats.frames - last >= fitted.search_every);
            if region != whole && due {
                self.infer(frame, whole, Purpose::Search, stats);
            }
            if region == whole || due {
                self.searched = Some(stats.frames);
            }
        }
        self.infer(frame, region, purpose, stats);
    }

    /// As [`submit`](Self::submit), but where nobody is followed yet, waits for a search, so that
    /// the matte of this very frame is that of the region.
    pub fn submit_or_search(
        &mut self,
        frame: &FrameView<'_>,
        stats: &mut Stats,
    ) -> Result<(), Late> {
        let whole = match &self.fitted {
            Some(fitted) if self.searched.is_none() && self.is_idle() => {
                Region::whole(fitted.frame)
            }
            _ => {
                self.submit(frame, Look::Followed, stats);
                return Ok(());
            }
        };
        self.searched = Some(stats.frames);
        self.infer(frame, whole, Purpose::First, stats);
        let Waited::Done(done) = self.worker.next(None) else { return Err(Late::Interrupted) };
        self.ready = self.take_in(done, stats);
        let region = self.fitted.as_ref().and_then(|fitted| fitted.follower.region());
        if let (None, Some(region)) = (&self.ready, region) {
            self.infer(frame, region, Purpose::Second, stats);
        }
        Ok(())
    }

    fn infer(
        &mut self,
        frame: &FrameView<'_>,
        region: Region,
        purpose: Purpose,
        stats: &mut Stats,
    ) {
        let Some(fitted) = &mut self.fitted else { return };
        let start = Instant::now();
        let mut exchange = self.worker.exchange();
        fitted.matter.prepare_region(frame, region, &mut exchange.tensor);
        stats.prepare.add_since(start);
        self.under_way.push_back((region, purpose));
        self.worker.submit(exchange);
    }

    /// Looks at the frame at hand, so that a mask can be carried to it or from it, and, if it
    /// `smooths`, smoothed with those before.
    pub fn look(&mut self, frame: &FrameView<'_>, smooths: bool, stats: &mut Stats) {
        let Some(fitted) = &mut self.fitted else { return };
        let start = Instant::now();
        fitted.carrier.look(frame, &mut fitted.current);
        if smooths {
            fitted.smoother.observe(&fitted.current);
        }
        stats.carry.add_since(start);
    }

    /// Looks at a frame ahead of its turn. Where it shows another scene than the one before it,
    /// nobody is followed any more.
    pub fn look_ahead(&mut self, frame: &FrameView<'_>, stats: &mut Stats) {
        let Some(fitted) = &mut self.fitted else { return };
        let start = Instant::now();
        let mut guide = fitted.spare_guide();
        fitted.carrier.look(frame, &mut guide);
        if guide.is_elsewhere(fitted.ahead.back().unwrap_or(&fitted.current)) {
            fitted.follower.forget();
            self.searched = None;
        }
        fitted.ahead.push_back(guide);
        stats.carry.add_since(start);
    }

    /// It is the turn of the oldest frame that was looked at ahead of it.
    pub fn arrive(&mut self, smooths: bool, stats: &mut Stats) {
        let Some(fitted) = &mut self.fitted else { return };
        let Some(guide) = fitted.ahead.pop_front() else { return };
        let start = Instant::now();
        fitted.spare.push(std::mem::replace(&mut fitted.current, guide));
        if smooths {
            fitted.smoother.observe(&fitted.current);
        }
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

    /// Takes in an inference that is over and that has a matte to give, if there is one.
    pub fn poll(&mut self, stats: &mut Stats) -> Option<Report> {
        loop {
            let done = self.worker.try_next()?;
            if let Some(report) = self.take_in(done, stats) {
                return Some(report);
            }
        }
    }

    /// Waits for the oldest matte under way, and takes it in; none where the time was up or waiting
    /// was interrupted.
    pub fn wait(&mut self, deadline: Option<Instant>, stats: &mut Stats) -> Result<Report, Late> {
        if let Some(report) = self.ready.take() {
            return Ok(report);
        }
        loop {
            match self.worker.next(deadline) {
                Waited::Done(done) => {
                    if let Some(report) = self.take_in(done, stats) {
                        return Ok(report);
                    }
                }
                Waited::Late => return Err(Late::Deadline),
                Waited::Interrupted => return Err(Late::Interrupted),
            }
        }
    }

    /// Takes in an inference; none where it had no matte to give and did not fail.
    fn take_in(&mut self, mut done: Done, stats: &mut Stats) -> Option<Report> {
        stats.infer.add(done.duration);
        let seconds = done.duration.as_secs_f64();
        let mean = self.expected.map_or(seconds, |mean| mean + NEWEST * (seconds - mean));
        self.expected = Some(mean);
        let (region, purpose) = self.under_way.pop_front()?;
        let result = std::mem::replace(&mut done.result, Ok(()));
        let report = match result {
            Ok(()) if purpose == Purpose::Closer => {
                self.take_closer(&done.exchange.mask, region, stats);
                None
            }
            Ok(()) => self.succeed(&mut done.exchange, region, purpose, stats),
            // The matte that was to follow a search fails by itself, or does not; without a closer
            // look it stays as it is.
            Err(_) if matches!(purpose, Purpose::Search | Purpose::Closer) => {
                stats.failures += 1;
                None
            }
            Err(error) => Some(self.fail(error, stats)),
        };
        self.worker.give_back(done.exchange);
        report
    }

    fn succeed(
        &mut self,
        exchange: &mut Exchange,
        region: Region,
        purpose: Purpose,
        stats: &mut Stats,
    ) -> Option<Report> {
        let fitted = self.fitted.as_mut()?;
        let is_cut_off = match purpose {
            Purpose::Matte => {
                fitted.follower.forget();
                false
            }
            _ => fitted.follower.follow(&exchange.mask, region),
        };
        if purpose == Purpose::Search {
            stats.searches += 1;
            return None;
        }
        // Closer looks are joined on the canvas, whatever the first one saw.
        let on_canvas = purpose != Purpose::Matte || fitted.refinement.is_some();
        fitted.take_masks(&self.worker, on_canvas, &mut self.mask);
        match purpose {
            _ if !on_canvas => std::mem::swap(&mut self.mask, &mut exchange.mask),
            // What the whole frame gave is there still, and better than half of somebody.
            Purpose::Second if is_cut_off => {}
            _ => {
                fitted.canvas.draw(&exchange.mask, region, &mut self.mask);
                fitted.seen = region;
            }
        }
        if purpose == Purpose::First && fitted.follower.region().is_some() {
            stats.searches += 1;
            return None;
        }
        let submitted = fitted.submitted.take();
        let before = std::mem::replace(&mut fitted.of_mask, submitted);
        fitted.spare.extend(before);
        stats.inferences += 1;
        self.failures_in_a_row = 0;
        self.has_ever_matted = true;
        self.has_mask = true;
        Some(Report::default())
    }

    /// Looks closer at what the newest mask, which is that of `frame`, is uncertain of, where that
    /// was negotiated. Nothing may be under way.
    pub fn refine(&mut self, frame: &FrameView<'_>, stats: &mut Stats) -> Result<(), Late> {
        let Some(Fitted { refinement: Some(refinement), seen, .. }) = &mut self.fitted else {
            return Ok(());
        };
        if !self.has_mask {
            return Ok(());
        }
        let mut looks = std::mem::take(&mut refinement.looks);
        looks.clear();
        looks.extend_from_slice(refinement.refiner.plan(&self.mask, *seen));
        for &look in &looks {
            self.infer(frame, look, Purpose::Closer, stats);
        }
        for _ in &looks {
            let Waited::Done(done) = self.worker.next(None) else { return Err(Late::Interrupted) };
            self.take_in(done, stats);
        }
        if let Some(Fitted { refinement: Some(refinement), .. }) = &mut self.fitted {
            refinement.refiner.join(&mut self.mask);
            refinement.looks = looks;
        }
        Ok(())
    }

    /// Takes in a closer look.
    fn take_closer(&mut self, closer: &[f32], look: Region, stats: &mut Stats) {
        let Some(fitted) = &mut self.fitted else { return };
        let Some(Refinement { refiner, drawn, .. }) = &mut fitted.refinement else { return };
        fitted.canvas.draw(closer, look, drawn);
        refiner.take(&self.mask, look, drawn);
        stats.closer_looks += 1;
    }

    fn fail(&mut self, error: Error, stats: &mut Stats) -> Report {
        if let Some(fitted) = &mut self.fitted {
            fitted.spare.extend(fitted.submitted.take());
        }
        self.has_mask = false;
        stats.failures += 1;
        self.failures_in_a_row += 1;
        let mut report = Report::default();
        if !self.has_ever_matted || self.failures_in_a_row >= TOLERATED_FAILURES {
            report.failure = Some(error);
        } else if self.failures_in_a_row == 1 {
            report.warning = Some(error);
        }
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

    /// What writes frames, and the mask to write: the newest, or the one that was carried; smoothed
    /// with those before by `strength`, for frames that were looked at.
    pub fn matter_and_mask(
        &mut self,
        carried: bool,
        strength: Option<f32>,
    ) -> Option<(&mut Matter, Option<&[f32]>)> {
        let fitted = self.fitted.as_mut()?;
        let mask: &[f32] = if carried { &fitted.carried } else { &self.mask };
        let mask = match strength.filter(|&strength| self.has_mask && strength > 0.0) {
            Some(strength) => fitted.smoother.smooth(mask, strength),
            None => {
                fitted.smoother.forget_matte();
                mask
            }
        };
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
