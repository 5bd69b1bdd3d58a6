// SPDX-License-Identifier: MIT

//! What is known of the frames of one layout while a network is at work on them: what it is to look at, and why.

use std::sync::Arc;

use super::StreamOptions;
use super::matted::Matted;
use super::memory::Recall;
use super::searches::{Era, Searches, Which};
use super::stats::Stats;
use crate::matting::attention::agreement::{CONFIRMED, agreement};
use crate::matting::attention::canvas::Canvas;
use crate::matting::attention::refine::Refiner;
use crate::matting::attention::track::{Follower, Sight};
use crate::matting::frame::region::Region;
use crate::matting::frame::size::Size;
use crate::matting::inference::worker::{Exchange, Runner};
use crate::matting::input::geometry::MaskLayout;
use crate::matting::input::layouts::MaskLayouts;
use crate::matting::input::regions::RegionPreparer;
use crate::matting::time::guide::Guide;
use crate::matting::time::stillness::Stillness;

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
pub enum Purpose {
    /// The matte of a whole frame, as the network gives it.
    Matte,
    /// The same, of a frame that was to be carried: those after it have been begun, and learn nothing of it.
    Late,
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

impl Purpose {
    /// Whether it tells whom to follow, or that nobody is.
    pub fn teaches(self) -> bool {
        !matches!(self, Self::Closer | Self::Late)
    }
}

/// An inference that is under way.
#[derive(Debug)]
pub struct Job {
    pub number: u64,
    pub frame: u64,
    /// Of the frame, where it was looked at.
    pub guide: Option<Arc<Guide>>,
    /// The scene that the frame shows, counted.
    pub scene: u64,
    /// The era of its region.
    pub era: Era,
    pub region: Region,
    pub purpose: Purpose,
}

/// What depends on a network and on the layout of the frames.
pub struct Fitted {
    pub frame: Size,
    /// Of whatever the network looks at.
    pub layouts: MaskLayouts,
    /// Of the whole frame.
    pub masks: MaskLayout,
    pub preparer: RegionPreparer,
    follower: Follower,
    pub canvas: Canvas,
    refinement: Option<Refinement>,
    pub searches: Searches,
    /// Since the frame that was searched last.
    stillness: Stillness,
    /// What was inferred last for a matte.
    looked_at: Option<Region>,
    /// What the network said of the whole of a frame, and of which one.
    whole: Vec<f32>,
    whole_of: Option<u64>,
    pub recall: Recall,
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

/// What a frame's inference told.
pub enum Learnt {
    /// Nothing that its frame waits for.
    Nothing,
    /// Everybody is in this region, which is to be looked at before there is a matte.
    Found(Region),
    /// The matte, of so much of the frame.
    Matte(Region),
}

impl Fitted {
    pub fn new(runner: &dyn Runner, options: &StreamOptions, guide: Size) -> Self {
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
            stillness: Stillness::default(),
            looked_at: None,
            whole: vec![0.0; masks.mask.area()],
            whole_of: None,
            recall: Recall::new(shape, frame, guide, masks),
        }
    }

    /// Forgets whom it followed.
    pub fn forget(&mut self) {
        self.follower.forget();
        self.searches.forget();
        self.stillness.forget();
        self.recall.forget();
    }

    /// What to infer of a frame: whether to search the whole of it before, and what its matte is to be of.
    pub fn decide(
        &mut self,
        frame: Which,
        guide: Option<&Arc<Guide>>,
        look: Look,
    ) -> (bool, Region, Purpose) {
        let whole = Region::whole(self.frame);
        if look == Look::RegionAtOnce && self.searches.begin_era(frame) {
            self.follower.forget();
        }
        let (search, region, purpose) = match (look, self.follower.region()) {
            (Look::Frame, _) => (false, whole, Purpose::Matte),
            (Look::RegionAtOnce, None) if self.searches.is_first() => {
                (false, whole, Purpose::First)
            }
            (_, None) => (false, whole, Purpose::Whole),
            (_, Some(region)) => {
                let guide = guide.map(Arc::as_ref);
                let is_due =
                    !self.follower.is_confirmed() || self.is_to_search(frame, guide, region);
                (is_due, region, Purpose::Region)
            }
        };
        self.look_at(region);
        if search || matches!(purpose, Purpose::First | Purpose::Whole) {
            self.searches.take_note(frame);
            match guide {
                Some(guide) => self.stillness.begin(guide),
                None => self.stillness.forget(),
            }
        }
        (search, region, purpose)
    }

    /// Whether it is time to search a frame of which `region` is followed: somebody may have come if anything moved
    /// beyond that.
    fn is_to_search(&mut self, frame: Which, guide: Option<&Guide>, region: Region) -> bool {
        if !self.searches.may_be(frame) {
            return false;
        }
        let Some(guide) = guide.filter(|_| !self.searches.are_due(frame)) else { return true };
        let part = |start: usize, side: usize, frame: usize, guide: usize| {
            start * guide / frame..((start + side) * guide).div_ceil(frame)
        };
        let (Region { x, y, size }, small) = (region, guide.size());
        let columns = part(x, size.width, self.frame.width, small.width);
        let rows = part(y, size.height, self.frame.height, small.height);
        self.stillness.moves_beyond(guide, [columns, rows])
    }

    /// A matte is inferred of that region.
    pub fn look_at(&mut self, region: Region) {
        self.looked_at = Some(region);
    }

    /// Whether the network looks where it would look again at what has not moved since frame `moved`. Without
    /// a region it looks everywhere.
    pub fn is_settled(&mut self, frame: Which, guide: Option<&Guide>, moved: u64) -> bool {
        let Some(region) = self.follower.region() else { return true };
        self.follower.is_confirmed()
            && self.looked_at == Some(region)
            && (self.searches.have_seen(moved) || !self.is_to_search(frame, guide, region))
    }

    /// What is most likely to be looked at next, as far as is known by now.
    pub fn likely(&self) -> Region {
        self.follower.region().unwrap_or(Region::whole(self.frame))
    }

    /// Takes in what the network said of a frame, and whom to follow by it.
    pub fn learn(
        &mut self,
        job: &Job,
        exchange: &mut Exchange,
        is_of_this_scene: bool,
        stats: &mut Stats,
    ) -> Learnt {
        let is_compared = job.purpose == Purpose::Region
            && self.whole_of.take_if(|of| *of == job.frame).is_some();
        let agrees = is_compared.then(|| self.agrees(&exchange.mask, job.region));
        let sight = (job.purpose.teaches() && job.purpose != Purpose::Matte)
            .then(|| self.follower.read(&exchange.mask, job.region));
        // What was seen of another scene moves nobody in this one.
        let is_followed = is_of_this_scene && job.era == self.searches.era();
        if is_followed && job.purpose.teaches() {
            self.follow(sight, agrees);
        }
        match (job.purpose, agrees) {
            (Purpose::Closer, _) => {
                self.take_closer(&exchange.mask, job.region, stats);
                Learnt::Nothing
            }
            (Purpose::Search, _) => {
                self.keep_whole(job.frame, exchange, stats);
                Learnt::Nothing
            }
            (Purpose::First, _) => match self.follower.region().filter(|_| is_followed) {
                Some(region) => {
                    self.keep_whole(job.frame, exchange, stats);
                    Learnt::Found(region)
                }
                None => Learnt::Matte(job.region),
            },
            // What the whole frame gave is better than something else, or half of somebody.
            (_, Some(agrees)) if !agrees || sight.is_some_and(|sight| sight.is_cut_off) => {
                std::mem::swap(&mut self.whole, &mut exchange.mask);
                Learnt::Matte(Region::whole(self.frame))
            }
            _ => Learnt::Matte(job.region),
        }
    }

    /// Follows whom a frame showed, or nobody, and trusts a region as far as it showed what the whole of its frame
    /// did.
    fn follow(&mut self, sight: Option<Sight>, agrees: Option<bool>) {
        match sight {
            Some(sight) => self.follower.follow(sight),
            None => self.follower.forget(),
        }
        match agrees {
            Some(true) => self.follower.confirm(),
            Some(false) => self.follower.distrust(),
            None => {}
        }
    }

    /// Keeps what a search gave, until there is the matte of a region of the same frame.
    fn keep_whole(&mut self, frame: u64, exchange: &mut Exchange, stats: &mut Stats) {
        stats.searches += 1;
        std::mem::swap(&mut self.whole, &mut exchange.mask);
        self.whole_of = Some(frame);
    }

    /// Whether a mask of a region shows what the one of its whole frame does.
    fn agrees(&self, mask: &[f32], region: Region) -> bool {
        agreement(&self.whole, mask, region, self.frame, self.layouts) >= CONFIRMED
    }

    /// Whether mattes are drawn on the canvas. Closer looks are joined there, whatever the first one saw.
    pub fn draws(&self, purpose: Purpose) -> bool {
        !matches!(purpose, Purpose::Matte | Purpose::Late) || self.refinement.is_some()
    }

    /// How mattes lie on frames.
    pub fn layout(&self, on_canvas: bool) -> MaskLayout {
        match on_canvas {
            true => MaskLayout::covering(self.canvas.size()).with_aspect(self.masks.aspect),
            false => self.masks,
        }
    }

    /// Where to look closer at a matte; none where that was not asked for.
    pub fn plan_looks(&mut self, matted: &Matted) -> Option<Vec<Region>> {
        let Refinement { refiner, looks, mask, .. } = self.refinement.as_mut()?;
        let mut looks = std::mem::take(looks);
        looks.clear();
        mask.copy_from_slice(&matted.mask.values);
        looks.extend_from_slice(refiner.plan(mask, matted.seen));
        Some(looks)
    }

    /// The matte with all that the looks told; `looks` are to be used again.
    pub fn join_looks(&mut self, looks: Vec<Region>) -> Option<&[f32]> {
        let refinement = self.refinement.as_mut()?;
        refinement.refiner.join(&mut refinement.mask);
        refinement.looks = looks;
        Some(&refinement.mask)
    }

    fn take_closer(&mut self, closer: &[f32], look: Region, stats: &mut Stats) {
        let Some(Refinement { refiner, drawn, mask, .. }) = &mut self.refinement else { return };
        self.canvas.draw(closer, look, drawn);
        refiner.take(mask, look, drawn);
        stats.closer_looks += 1;
    }
}
