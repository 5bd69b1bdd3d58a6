// SPDX-License-Identifier: MIT

//! A network at work on the frames of a stream: what it is to look at, and what comes of it.
//!
//! Whatever is inferred is a [`Job`] with a number of its own, made for one frame; what comes back is
//! known by that number, and lands in that frame's slot and in no other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::StreamOptions;
use super::fitted::{Fitted, Job, Learnt, Look, Purpose};
use super::matted::{Failed, Landed, Mask, Matted};
use super::searches::Which;
use super::stats::Stats;
use crate::matting::error::Error;
use crate::matting::frame::region::Region;
use crate::matting::frame::size::Size;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::inference::network::Memory;
use crate::matting::inference::worker::{Done, Exchange, Runner, Waited};
use crate::matting::input::geometry::MaskLayout;
use crate::matting::kernels::pool::Pool;
use crate::matting::time::guide::Guide;

/// So many inferences in a row may fail before the stream does, once one has succeeded: a third of
/// a second of video. A network that has never given a matte is broken, and fails at once.
const TOLERATED_FAILURES: u32 = 10;

/// Weight of the newest inference in the running mean of what one takes.
const NEWEST: f64 = 0.25;

/// All that depends on one network.
pub struct Engine {
    runner: Box<dyn Runner>,
    fitted: Option<Fitted>,
    under_way: VecDeque<Job>,
    held: Option<Held>,
    next_job: u64,
    /// Counts the scenes of the stream.
    scene: u64,
    /// What an inference takes, as a running mean in seconds.
    expected: Option<f64>,
    has_ever_matted: bool,
    failures_in_a_row: u32,
    masks: Pool<Mask>,
    /// What there is to tell though inference succeeded.
    pub warnings: Vec<Error>,
}

/// A frame of which it is decided what to look at when those before it have told whom they show.
struct Held {
    frame: Which,
    guide: Option<Arc<Guide>>,
    /// What is most likely to be looked at, as the network is to see it.
    prepared: (Region, Exchange),
}

impl Engine {
    /// Not yet for any frames.
    pub fn new(runner: Box<dyn Runner>) -> Self {
        Self {
            runner,
            fitted: None,
            under_way: VecDeque::new(),
            held: None,
            next_job: 0,
            scene: 0,
            expected: None,
            has_ever_matted: false,
            failures_in_a_row: 0,
            masks: Pool::default(),
            warnings: Vec::new(),
        }
    }

    /// Goes on with other frames, with guides of that size. Those before are forgotten.
    pub fn fit(&mut self, options: &StreamOptions, guide: Size) {
        self.forget();
        let FrameLayout { width, height, pixel_aspect, .. } = options.layout;
        self.runner.fit(pixel_aspect.shown(Size { width, height }));
        self.fitted = Some(Fitted::new(&*self.runner, options, guide));
    }

    /// What the network keeps from frame to frame.
    pub fn memory(&self) -> Memory {
        self.runner.shape().memory
    }

    /// Whether the network is shown whole frames only, each once.
    pub fn sees_whole_frames(&self) -> bool {
        self.runner.shape().sees_whole_frames()
    }

    /// Forgets every frame there was.
    pub fn forget(&mut self) {
        self.drop_held();
        self.runner.discard();
        self.under_way.clear();
        self.cut();
    }

    /// Another scene begins: nobody is followed any more, and what is under way says nothing of it.
    pub fn cut(&mut self) {
        self.scene += 1;
        if let Some(fitted) = &mut self.fitted {
            fitted.forget();
        }
    }

    /// The scene that the newest frame shows, counted.
    pub fn scene(&self) -> u64 {
        self.scene
    }

    /// How the masks that the network gives lie on frames.
    pub fn masks(&self) -> MaskLayout {
        let fitted = self.fitted.as_ref().map(|fitted| fitted.masks);
        fitted.unwrap_or_else(|| self.runner.shape().masks())
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.held.is_none() && self.under_way.is_empty() && self.runner.is_idle()
    }

    /// Whether something is under way for a frame.
    pub fn works_on(&self, frame: u64) -> bool {
        self.held.as_ref().is_some_and(|held| held.frame.number == frame)
            || self.under_way.iter().any(|job| job.frame == frame)
    }

    /// Whether nothing would come of inferring a frame that shows what those since frame `moved` did: whom the
    /// network looks at is known, and it looks there. Without a region it looks everywhere.
    pub fn is_settled(&mut self, frame: Which, guide: Option<&Guide>, moved: u64) -> bool {
        self.fitted.as_mut().is_none_or(|fitted| fitted.is_settled(frame, guide, moved))
    }

    /// What an inference takes, where one has been made.
    pub fn expected(&self) -> Option<Duration> {
        self.expected.map(Duration::from_secs_f64)
    }

    /// Brings a frame to the network and has its matte inferred; searches the whole of it before,
    /// where it is time for that. Waits for nothing: where inferences are under way that tell whom to look at, the frame is
    /// held until they are over.
    pub fn begin(
        &mut self,
        frame: Which,
        view: &FrameView<'_>,
        guide: Option<Arc<Guide>>,
        look: Look,
        stats: &mut Stats,
    ) {
        let look = if self.sees_whole_frames() { Look::Frame } else { look };
        if look != Look::RegionAtOnce || !self.learns() {
            return self.decide(frame, view, guide, look, None, stats);
        }
        debug_assert!(self.held.is_none(), "one frame is held at most");
        let Some(region) = self.fitted.as_ref().map(Fitted::likely) else { return };
        if let Some(exchange) = self.prepare(view, region, stats) {
            self.held = Some(Held { frame, guide, prepared: (region, exchange) });
        }
    }

    /// Whether inferences are under way that tell whom to look at.
    pub fn learns(&self) -> bool {
        self.under_way.iter().any(|job| job.scene == self.scene && job.purpose.teaches())
    }

    /// Whether it is to be known more before another frame comes: one is held, or is searched before it is known what to
    /// look at for its matte.
    pub fn is_undecided(&self) -> bool {
        self.held.is_some() || self.under_way.iter().any(|job| job.purpose == Purpose::First)
    }

    /// The frame that was held, when it is time to [begin](Self::begin_held) it.
    pub fn ready(&self) -> Option<u64> {
        self.held.as_ref().filter(|_| !self.learns()).map(|held| held.frame.number)
    }

    /// Has the matte of the frame that was held inferred.
    pub fn begin_held(&mut self, view: &FrameView<'_>, stats: &mut Stats) {
        if let Some(Held { frame, guide, prepared }) = self.held.take() {
            self.decide(frame, view, guide, Look::RegionAtOnce, Some(prepared), stats);
        }
    }

    /// Forgets the frame that was held.
    pub fn drop_held(&mut self) {
        if let Some(Held { prepared: (_, exchange), .. }) = self.held.take() {
            self.runner.give_back(exchange);
        }
    }

    /// Decides what to look at, of which so much may be prepared.
    fn decide(
        &mut self,
        frame: Which,
        view: &FrameView<'_>,
        guide: Option<Arc<Guide>>,
        look: Look,
        prepared: Option<(Region, Exchange)>,
        stats: &mut Stats,
    ) {
        let Some(fitted) = &mut self.fitted else { return };
        let (search, region, purpose) = fitted.decide(frame, guide.as_ref(), look);
        if search {
            let whole = Region::whole(fitted.frame);
            self.infer(frame.number, view, guide.clone(), whole, Purpose::Search, stats);
        }
        match prepared {
            Some((of, exchange)) if of == region => {
                self.submit(frame.number, guide, region, purpose, exchange);
            }
            other => {
                if let Some((_, exchange)) = other {
                    self.runner.give_back(exchange);
                }
                self.infer(frame.number, view, guide, region, purpose, stats);
            }
        }
    }

    /// Has the matte of a frame inferred that was to be carried.
    pub fn begin_late(
        &mut self,
        frame: u64,
        view: &FrameView<'_>,
        guide: Option<Arc<Guide>>,
        stats: &mut Stats,
    ) {
        let Some(fitted) = &self.fitted else { return };
        let whole = Region::whole(fitted.frame);
        self.infer(frame, view, guide, whole, Purpose::Late, stats);
    }

    /// Looks at the region of a frame in which everybody was [found](Landed::Found).
    pub fn look_closer(
        &mut self,
        frame: u64,
        view: &FrameView<'_>,
        guide: Option<Arc<Guide>>,
        region: Region,
        stats: &mut Stats,
    ) {
        if let Some(fitted) = &mut self.fitted {
            fitted.look_at(region);
        }
        self.infer(frame, view, guide, region, Purpose::Region, stats);
    }

    fn infer(
        &mut self,
        frame: u64,
        view: &FrameView<'_>,
        guide: Option<Arc<Guide>>,
        region: Region,
        purpose: Purpose,
        stats: &mut Stats,
    ) {
        if let Some(exchange) = self.prepare(view, region, stats) {
            self.submit(frame, guide, region, purpose, exchange);
        }
    }

    /// What the network is to see of a region.
    fn prepare(
        &mut self,
        view: &FrameView<'_>,
        region: Region,
        stats: &mut Stats,
    ) -> Option<Exchange> {
        let fitted = self.fitted.as_mut()?;
        let start = Instant::now();
        let mut exchange = self.runner.exchange();
        exchange.set_layout(self.runner.shape(), &fitted.layouts.of(region.size));
        fitted.preparer.prepare_region(view, region, &mut exchange.tensor);
        stats.prepare.add_since(start);
        Some(exchange)
    }

    fn submit(
        &mut self,
        frame: u64,
        guide: Option<Arc<Guide>>,
        region: Region,
        purpose: Purpose,
        mut exchange: Exchange,
    ) {
        let Some(fitted) = &mut self.fitted else { return };
        fitted.recall.fill(guide.as_deref(), &mut exchange);
        let number = self.next_job;
        self.next_job += 1;
        exchange.number = number;
        let (scene, era) = (self.scene, fitted.searches.era());
        self.under_way.push_back(Job { number, frame, guide, scene, era, region, purpose });
        self.runner.submit(exchange);
    }

    /// Takes in an inference that is over and tells something of a frame, if there is one.
    pub fn poll(&mut self, stats: &mut Stats) -> Option<Landed> {
        loop {
            let done = self.runner.try_next()?;
            if let Some(landed) = self.land(done, stats) {
                return Some(landed);
            }
        }
    }

    /// Waits until an inference is over that tells something of a frame, or the clock shows
    /// `deadline`.
    pub fn wait(&mut self, deadline: Option<Duration>, stats: &mut Stats) -> Result<Landed, Late> {
        loop {
            match self.runner.next(deadline) {
                Waited::Done(done) => {
                    if let Some(landed) = self.land(done, stats) {
                        return Ok(landed);
                    }
                }
                Waited::Late => return Err(Late::Deadline),
                Waited::Interrupted => return Err(Late::Interrupted),
            }
        }
    }

    fn land(&mut self, mut done: Done, stats: &mut Stats) -> Option<Landed> {
        stats.infer.add(done.duration);
        let seconds = done.duration.as_secs_f64();
        let mean = self.expected.map_or(seconds, |mean| mean + NEWEST * (seconds - mean));
        self.expected = Some(mean);
        self.warnings.extend(done.warning.take());
        let number = done.exchange.number;
        let index = self.under_way.iter().position(|job| job.number == number);
        let landed = index.and_then(|index| self.under_way.remove(index)).and_then(|job| {
            match std::mem::replace(&mut done.result, Ok(())) {
                Ok(()) => self.take_in(job, &mut done.exchange, stats),
                // The matte that was to follow a search fails by itself, or does not; without a closer
                // look it stays as it is.
                Err(_) if matches!(job.purpose, Purpose::Search | Purpose::Closer) => {
                    stats.failures += 1;
                    None
                }
                Err(error) => Some(Landed::Failed(self.fail(job.frame, error, stats))),
            }
        });
        self.runner.give_back(done.exchange);
        landed
    }

    fn take_in(&mut self, job: Job, exchange: &mut Exchange, stats: &mut Stats) -> Option<Landed> {
        let fitted = self.fitted.as_mut()?;
        let is_of_this_scene = job.scene == self.scene;
        let seen = match fitted.learn(&job, exchange, is_of_this_scene, stats) {
            Learnt::Nothing => return None,
            Learnt::Found(region) => return Some(Landed::Found { frame: job.frame, region }),
            Learnt::Matte(seen) => seen,
        };
        let on_canvas = fitted.draws(job.purpose);
        let layout = fitted.layout(on_canvas);
        let mask = self.masks.fill(
            || Mask::blank(layout),
            |mask| {
                mask.set_layout(layout);
                match on_canvas {
                    true => fitted.canvas.draw(&exchange.mask, seen, &mut mask.values),
                    false => mask.take(exchange),
                }
            },
        );
        stats.inferences += 1;
        self.failures_in_a_row = 0;
        self.has_ever_matted = true;
        let Job { frame, guide, .. } = job;
        if is_of_this_scene {
            fitted.recall.keep(&mask, guide.as_ref());
        }
        Some(Landed::Matte(Matted { frame, guide, mask, seen, is_of_this_scene }))
    }

    fn fail(&mut self, frame: u64, error: Error, stats: &mut Stats) -> Failed {
        stats.failures += 1;
        self.failures_in_a_row += 1;
        let is_fatal = !self.has_ever_matted || self.failures_in_a_row >= TOLERATED_FAILURES;
        let is_told = is_fatal || self.failures_in_a_row == 1;
        Failed { frame, error: is_told.then_some(error), is_fatal }
    }

    /// Looks closer at what a matte is uncertain of, where that was asked for; gives the refined one.
    /// Nothing may be under way.
    pub fn refine(
        &mut self,
        matted: &Matted,
        view: &FrameView<'_>,
        stats: &mut Stats,
    ) -> Result<Option<Arc<Mask>>, Late> {
        let Some(looks) = self.fitted.as_mut().and_then(|fitted| fitted.plan_looks(matted)) else {
            return Ok(None);
        };
        for &look in &looks {
            self.infer(matted.frame, view, None, look, Purpose::Closer, stats);
        }
        while self.works_on(matted.frame) {
            let Waited::Done(done) = self.runner.next(None) else { return Err(Late::Interrupted) };
            self.land(done, stats);
        }
        let Some(refined) = self.fitted.as_mut().and_then(|fitted| fitted.join_looks(looks)) else {
            return Ok(None);
        };
        let layout = matted.mask.layout;
        let fill = |mask: &mut Mask| {
            mask.set_layout(layout);
            mask.values.copy_from_slice(refined);
        };
        Ok(Some(self.masks.fill(|| Mask::blank(layout), fill)))
    }
}

/// Why waiting brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// The time was up.
    Deadline,
    /// Somebody ended it.
    Interrupted,
}
