// SPDX-License-Identifier: MIT

//! A network at work on the frames of a stream: what it is to look at, and what comes of it.
//!
//! Whatever is inferred is a [`Job`] with a number of its own, made for one frame; what comes back is
//! known by that number, and lands in that frame's slot and in no other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::StreamOptions;
use super::memory::Recall;
use super::searches::{Era, Searches, Which};
use super::stats::Stats;
use crate::matting::attention::agreement::{CONFIRMED, agreement};
use crate::matting::attention::canvas::Canvas;
use crate::matting::attention::refine::Refiner;
use crate::matting::attention::track::Follower;
use crate::matting::error::Error;
use crate::matting::frame::region::Region;
use crate::matting::frame::size::Size;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::inference::network::Memory;
use crate::matting::inference::worker::{Done, Exchange, Runner, Waited};
use crate::matting::input::geometry::MaskLayout;
use crate::matting::input::layouts::MaskLayouts;
use crate::matting::input::regions::RegionPreparer;
use crate::matting::kernels::pool::Pool;
use crate::matting::time::guide::Guide;

/// So many inferences in a row may fail before the stream does, once one has succeeded: a third of
/// a second of video. A network that has never given a matte is broken, and fails at once.
const TOLERATED_FAILURES: u32 = 10;

/// Weight of the newest inference in the running mean of what one takes.
const NEWEST: f64 = 0.25;

/// A mask, and how it lies on its frame.
#[derive(Clone, Debug)]
pub struct Mask {
    /// Row by row, every value finite.
    pub values: Vec<f32>,
    /// How they lie on the frame.
    pub layout: MaskLayout,
    /// What the person's own colours add to the frame's, as planes of red, green and blue at the same
    /// places; empty where nobody tells.
    pub colors: Vec<f32>,
}

impl Mask {
    /// Of nothing.
    pub fn blank(layout: MaskLayout) -> Self {
        Self { values: vec![0.0; layout.mask.area()], layout, colors: Vec::new() }
    }

    /// From now on of that layout; values may be anything.
    pub fn set_layout(&mut self, layout: MaskLayout) {
        self.layout = layout;
        self.values.resize(layout.mask.area(), 0.0);
    }
}

/// What the network is to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The whole frame.
    Frame,
    /// The region that holds everybody.
    Region,
    /// The same, in the first frame already: it is searched, and then looked at again.
    RegionAtOnce,
}

/// What an inference is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// The matte of a whole frame, as the network gives it.
    Matte,
    /// The matte of a whole frame, in which everybody is found as well.
    Whole,
    /// To find everybody; the matte as well, if that takes the whole frame.
    First,
    /// To find everybody, before the matte of a region of the same frame.
    Search,
    /// The matte of a region.
    Region,
    /// To know more of an edge in a matte that is there.
    Closer,
}

/// An inference that is under way.
#[derive(Debug)]
struct Job {
    number: u64,
    frame: u64,
    /// Of the frame, where it was looked at.
    guide: Option<Arc<Guide>>,
    /// The scene that the frame shows, counted.
    scene: u64,
    /// The era of its region.
    era: Era,
    region: Region,
    purpose: Purpose,
}

/// What came of an inference, for the frame that it was made for.
#[derive(Debug)]
pub enum Landed {
    /// The matte.
    Matte(Matted),
    /// Everybody is in this region, which is to be looked at before there is a matte.
    Found {
        /// The frame.
        frame: u64,
        /// Where everybody is.
        region: Region,
    },
    /// There will be no matte.
    Failed(Failed),
}

/// A frame's matte.
#[derive(Debug)]
pub struct Matted {
    /// The frame.
    pub frame: u64,
    /// Of the frame, where it was looked at.
    pub guide: Option<Arc<Guide>>,
    /// Its mask.
    pub mask: Arc<Mask>,
    /// What the network saw of the frame.
    pub seen: Region,
    /// No cut has been seen since.
    pub is_of_this_scene: bool,
}

/// An inference that failed.
#[derive(Debug)]
pub struct Failed {
    /// The frame that has no matte.
    pub frame: u64,
    /// What to tell of it, if anything.
    pub error: Option<Error>,
    /// The stream has to end.
    pub is_fatal: bool,
}

/// All that depends on one network.
pub struct Engine {
    runner: Box<dyn Runner>,
    fitted: Option<Fitted>,
    under_way: VecDeque<Job>,
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

/// What depends on the frames' layout as well.
struct Fitted {
    frame: Size,
    /// Of whatever the network looks at.
    layouts: MaskLayouts,
    /// Of the whole frame.
    masks: MaskLayout,
    preparer: RegionPreparer,
    follower: Follower,
    canvas: Canvas,
    refinement: Option<Refinement>,
    searches: Searches,
    /// What was inferred last for a matte.
    looked_at: Option<Region>,
    /// What the network said of the whole of a frame, and of which one.
    whole: Vec<f32>,
    whole_of: Option<u64>,
    recall: Recall,
}

/// What closer looks take.
struct Refinement {
    refiner: Refiner,
    /// The looks under way.
    looks: Vec<Region>,
    /// What one of them says, on the canvas.
    drawn: Vec<f32>,
    /// The mask that is refined.
    mask: Vec<f32>,
}

impl Fitted {
    fn new(runner: &dyn Runner, options: &StreamOptions, guide: Size) -> Self {
        let (shape, layout) = (runner.shape(), options.layout);
        let layouts = shape.layouts(layout.pixel_aspect);
        let frame = Size { width: layout.width, height: layout.height };
        let masks = layouts.of(frame);
        let canvas = Canvas::new(frame, layouts);
        let size = canvas.size();
        let refinement = || Refinement {
            refiner: Refiner::new(frame, layouts, size, canvas.least_side()),
            looks: Vec::new(),
            drawn: vec![0.0; size.area()],
            mask: vec![0.0; size.area()],
        };
        Self {
            frame,
            layouts,
            masks,
            preparer: RegionPreparer::new(shape, layout),
            follower: Follower::new(frame, layouts, canvas.least_side()),
            // Closer looks follow from a first matte, and need its frame alone.
            refinement: (options.refines
                && options.pacing.depth() == 1
                && !shape.sees_whole_frames())
            .then(refinement),
            canvas,
            searches: Searches::new(options.frame),
            looked_at: None,
            whole: vec![0.0; masks.mask.area()],
            whole_of: None,
            recall: Recall::new(shape, frame, guide, masks),
        }
    }

    /// Forgets whom it followed.
    fn forget(&mut self) {
        self.follower.forget();
        self.searches.forget();
        self.whole_of = None;
        self.recall.forget();
    }
}

impl Engine {
    /// Not yet for any frames.
    pub fn new(runner: Box<dyn Runner>) -> Self {
        Self {
            runner,
            fitted: None,
            under_way: VecDeque::new(),
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
        self.under_way.is_empty() && self.runner.is_idle()
    }

    /// Whether something is under way for a frame.
    pub fn works_on(&self, frame: u64) -> bool {
        self.under_way.iter().any(|job| job.frame == frame)
    }

    /// Whether a frame is searched before it is known what to look at for its matte.
    pub fn searches_first(&self, frame: u64) -> bool {
        let is_first = |job: &Job| job.frame == frame && job.purpose == Purpose::First;
        self.under_way.iter().any(is_first)
    }

    /// Whether nothing would come of inferring a frame that shows what those since frame `moved` did: whom the
    /// network looks at is known, and it looks there. Without a region it looks everywhere.
    pub fn is_settled(&self, frame: Which, moved: u64) -> bool {
        let Some(fitted) = &self.fitted else { return true };
        fitted.follower.region().is_none_or(|region| {
            let is_searched = fitted.searches.have_seen(moved) || !fitted.searches.are_due(frame);
            is_searched && fitted.follower.is_confirmed() && fitted.looked_at == Some(region)
        })
    }

    /// What an inference takes, where one has been made.
    pub fn expected(&self) -> Option<Duration> {
        self.expected.map(Duration::from_secs_f64)
    }

    /// Brings a frame to the network and has its matte inferred; searches the whole of it before,
    /// where it is time for that. Waits for nothing.
    pub fn begin(
        &mut self,
        frame: Which,
        view: &FrameView<'_>,
        guide: Option<Arc<Guide>>,
        look: Look,
        stats: &mut Stats,
    ) {
        let look = if self.sees_whole_frames() { Look::Frame } else { look };
        let Some(fitted) = &mut self.fitted else { return };
        let whole = Region::whole(fitted.frame);
        if look == Look::RegionAtOnce && fitted.searches.begin_era(frame) {
            fitted.follower.forget();
            fitted.whole_of = None;
        }
        let searches = &mut fitted.searches;
        let (search, region, purpose) = match (look, fitted.follower.region()) {
            (Look::Frame, _) => (false, whole, Purpose::Matte),
            (Look::RegionAtOnce, None) if searches.is_first() => (false, whole, Purpose::First),
            (_, None) => (false, whole, Purpose::Whole),
            (_, Some(region)) => {
                let is_due = searches.are_due(frame) || !fitted.follower.is_confirmed();
                (is_due, region, Purpose::Region)
            }
        };
        fitted.looked_at = Some(region);
        if search || matches!(purpose, Purpose::First | Purpose::Whole) {
            searches.take_note(frame);
        }
        if search {
            self.infer(frame.number, view, guide.clone(), whole, Purpose::Search, stats);
        }
        self.infer(frame.number, view, guide, region, purpose, stats);
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
            fitted.looked_at = Some(region);
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
        let Some(fitted) = &mut self.fitted else { return };
        let start = Instant::now();
        let mut exchange = self.runner.exchange();
        exchange.set_layout(self.runner.shape(), &fitted.layouts.of(region.size));
        fitted.preparer.prepare_region(view, region, &mut exchange.tensor);
        fitted.recall.fill(guide.as_deref(), &mut exchange);
        stats.prepare.add_since(start);
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
        let masks = fitted.masks;
        let is_of_this_scene = job.scene == self.scene;
        let is_followed = is_of_this_scene && job.era == fitted.searches.era();
        let is_cut_off = match job.purpose {
            Purpose::Closer => false,
            Purpose::Matte => {
                fitted.follower.forget();
                false
            }
            // What was seen of another scene moves nobody in this one.
            _ => is_followed && fitted.follower.follow(&exchange.mask, job.region),
        };
        let mut seen = job.region;
        match job.purpose {
            Purpose::Closer => {
                fitted.take_closer(&exchange.mask, job.region, stats);
                return None;
            }
            Purpose::Search | Purpose::First => {
                let region = fitted.follower.region().filter(|_| is_followed);
                let is_search = job.purpose == Purpose::Search || region.is_some();
                if is_search {
                    stats.searches += 1;
                    std::mem::swap(&mut fitted.whole, &mut exchange.mask);
                    fitted.whole_of = Some(job.frame);
                }
                match region {
                    _ if job.purpose == Purpose::Search => return None,
                    Some(region) => return Some(Landed::Found { frame: job.frame, region }),
                    None => {}
                }
            }
            Purpose::Region if fitted.whole_of.take_if(|of| *of == job.frame).is_some() => {
                let whole = &mut fitted.whole;
                let region = job.region;
                let agreement =
                    agreement(whole, &exchange.mask, region, fitted.frame, fitted.layouts);
                let agrees = agreement >= CONFIRMED;
                match agrees {
                    true if is_followed => fitted.follower.confirm(),
                    false if is_followed => fitted.follower.distrust(),
                    _ => {}
                }
                // What the whole frame gave is better than something else, or half of somebody.
                if !agrees || is_cut_off {
                    std::mem::swap(whole, &mut exchange.mask);
                    seen = Region::whole(fitted.frame);
                }
            }
            Purpose::Matte | Purpose::Whole | Purpose::Region => {}
        }
        // Closer looks are joined on the canvas, whatever the first one saw.
        let on_canvas = job.purpose != Purpose::Matte || fitted.refinement.is_some();
        let layout = match on_canvas {
            true => MaskLayout::covering(fitted.canvas.size()).with_aspect(masks.aspect),
            false => masks,
        };
        let mask = self.masks.fill(
            || Mask::blank(layout),
            |mask| {
                mask.set_layout(layout);
                match on_canvas {
                    true => fitted.canvas.draw(&exchange.mask, seen, &mut mask.values),
                    false => {
                        std::mem::swap(&mut mask.values, &mut exchange.mask);
                        mask.colors.resize(exchange.foreground.len(), 0.0);
                        std::mem::swap(&mut mask.colors, &mut exchange.foreground);
                    }
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
        let Some(Fitted { refinement: Some(refinement), .. }) = &mut self.fitted else {
            return Ok(None);
        };
        let mut looks = std::mem::take(&mut refinement.looks);
        looks.clear();
        refinement.mask.copy_from_slice(&matted.mask.values);
        looks.extend_from_slice(refinement.refiner.plan(&refinement.mask, matted.seen));
        for &look in &looks {
            self.infer(matted.frame, view, None, look, Purpose::Closer, stats);
        }
        while self.works_on(matted.frame) {
            let Waited::Done(done) = self.runner.next(None) else { return Err(Late::Interrupted) };
            self.land(done, stats);
        }
        let layout = matted.mask.layout;
        let Some(Fitted { refinement: Some(refinement), .. }) = &mut self.fitted else {
            return Ok(None);
        };
        refinement.refiner.join(&mut refinement.mask);
        refinement.looks = looks;
        let fill = |mask: &mut Mask| {
            mask.set_layout(layout);
            mask.values.copy_from_slice(&refinement.mask);
        };
        Ok(Some(self.masks.fill(|| Mask::blank(layout), fill)))
    }
}

impl Fitted {
    fn take_closer(&mut self, closer: &[f32], look: Region, stats: &mut Stats) {
        let Some(Refinement { refiner, drawn, mask, .. }) = &mut self.refinement else { return };
        self.canvas.draw(closer, look, drawn);
        refiner.take(mask, look, drawn);
        stats.closer_looks += 1;
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
