// SPDX-License-Identifier: MIT

//! The part of a frame that the network looks at: the whole of it, or the part that holds the
//! person, followed from one matte to the next.
//!
//! A network sees as many pixels of a person as its input has for the part of the frame that it is
//! given. A person who fills a third of a frame gets a ninth of the input; given a tight part,
//! nearly all of it.

use crate::matting::frame::region::Region;
use crate::matting::frame::size::Size;
use crate::matting::input::geometry::{AxisGeometry, MaskLayout};
use crate::matting::input::layouts::MaskLayouts;

/// A sample of the mask belongs to somebody from here on: less than the usual half, since a limb
/// that the network is not sure of is what a closer look is for.
const SOMEBODY: f32 = 0.3;
/// Room around somebody, in shares of their width and height.
const MARGIN: f32 = 0.25;
/// Room that is left when the region has to move.
const LEAST_MARGIN: f32 = 0.1;
/// A region is worth its trouble where what a sample shows of it is at most this share as long as of the whole
/// frame; one that is followed already stays until it reaches `LARGEST`.
const WORTH: f32 = 0.8;
const LARGEST: f32 = 0.9;
/// The region shrinks when less than this share of its side was needed,
const SHRINK: f32 = 0.75;
/// in so many mattes in a row.
const PATIENCE: u32 = 15;
/// A region is given up when the network took it for something else than the whole frame so many times
/// in a row. Of somebody small the whole frame knows little, and one look may be wrong.
const DOUBTS: u32 = 3;
/// After a region in which the network took something else for a person, so many looks at the whole
/// frame begin none.
const BARRED: u32 = 24;
/// Sides are multiples of so many pixels, so that a person who comes nearer does not change them
/// with every frame.
const STEP: usize = 16;

/// Where mask samples of a network that was given `region` lie in the frame.
pub(super) fn placements(region: Region, masks: MaskLayout) -> [Placement; 2] {
    let [x, y] = masks.axes(region.size);
    let placement = |axis: AxisGeometry, mask, start| Placement {
        edge: axis.frame_edge(mask),
        per_pixel: axis.mask_per_frame(mask),
        start: start as f32,
    };
    [placement(x, masks.mask.width, region.x), placement(y, masks.mask.height, region.y)]
}

/// How one axis of a mask lies in the frame.
pub(super) struct Placement {
    pub(super) edge: f32,
    pub(super) per_pixel: f32,
    pub(super) start: f32,
}

impl Placement {
    /// The frame's coordinate, in pixels from its edge, of a mask's coordinate.
    pub(super) fn pixel(&self, mask: f32) -> f32 {
        self.start + (mask - self.edge) / self.per_pixel
    }
}

/// From and to along one axis, in pixels from the frame's edge.
type Span = [f32; 2];

/// What a mask showed of people.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// Where in the frame everybody is.
    everybody: Option<[Span; 2]>,
    /// It was of the whole frame.
    is_whole: bool,
    /// Somebody seems to reach beyond what the network saw.
    pub is_cut_off: bool,
}

/// Follows everybody in the frame from matte to matte.
#[derive(Clone, Debug)]
pub struct Follower {
    frame: Size,
    masks: MaskLayouts,
    /// No side is shorter.
    least: usize,
    region: Option<Region>,
    /// Whether a mask of a region was compared with one of the whole frame, and agreed.
    is_confirmed: bool,
    /// How often in a row the network took the region for something else than the whole frame.
    doubts: u32,
    /// So many masks of the whole frame begin no region.
    barred: u32,
    /// Mattes in a row that needed much less than the region.
    smaller: u32,
    /// Samples of somebody in each column, while a mask is read.
    columns: Vec<u32>,
}

impl Follower {
    /// For frames of `frame` size, and the masks of a network. No side of a region becomes shorter
    /// than `least` pixels.
    pub fn new(frame: Size, masks: impl Into<MaskLayouts>, least: usize) -> Self {
        let masks = masks.into();
        let columns = vec![0; masks.of(frame).mask.width];
        Self {
            frame,
            masks,
            least,
            region: None,
            is_confirmed: false,
            doubts: 0,
            barred: 0,
            smaller: 0,
            columns,
        }
    }

    /// What the network is to look at; none is the whole frame.
    pub fn region(&self) -> Option<Region> {
        self.region
    }

    /// Whether the network was found to say the same of the region as of the whole frame.
    pub fn is_confirmed(&self) -> bool {
        self.is_confirmed
    }

    /// The network says the same of the region as of the whole frame.
    pub fn confirm(&mut self) {
        self.is_confirmed = self.region.is_some();
        self.doubts = 0;
    }

    /// The network takes the region for something else than the whole frame: it has to be confirmed again,
    /// and where that comes to nothing there is none for a while.
    pub fn distrust(&mut self) {
        self.is_confirmed = false;
        self.doubts += 1;
        if self.doubts >= DOUBTS {
            self.give_up();
            self.barred = BARRED;
        }
    }

    /// Forgets whom it followed.
    pub fn forget(&mut self) {
        self.give_up();
        self.barred = 0;
    }

    /// Goes back to the whole frame.
    fn give_up(&mut self) {
        self.region = None;
        self.is_confirmed = false;
        self.doubts = 0;
        self.smaller = 0;
    }

    /// Reads the mask of a frame that the network saw `seen` of. Nobody is followed by that yet.
    pub fn read(&mut self, mask: &[f32], seen: Region) -> Sight {
        let everybody = self.bounds(mask, seen);
        Sight {
            everybody,
            is_whole: seen == Region::whole(self.frame),
            is_cut_off: everybody.is_some_and(|everybody| self.reach_beyond(everybody, seen)),
        }
    }

    /// Follows whom a mask showed.
    ///
    /// A part of the frame tells nothing of the rest: it moves a region, but only the whole frame
    /// begins one.
    pub fn follow(&mut self, sight: Sight) {
        let Sight { everybody, is_whole, .. } = sight;
        if self.region.is_none() && is_whole && self.barred > 0 {
            self.barred -= 1;
        } else if self.region.is_some() || is_whole {
            match everybody {
                Some(everybody) => self.hold(everybody),
                None => self.give_up(),
            }
        }
    }

    /// Whether somebody reaches the edge of what was seen, where that is not the frame's.
    fn reach_beyond(&self, [across, down]: [Span; 2], seen: Region) -> bool {
        let [x, y] = placements(seen, self.masks.of(seen.size));
        let beyond = |[from, to]: Span, axis: Placement, side: usize, frame: usize| {
            let (start, end) = (axis.start, axis.start + side as f32);
            let near = 1.0 / axis.per_pixel;
            (start > 0.0 && from < start + near) || (end < frame as f32 && to > end - near)
        };
        beyond(across, x, seen.size.width, self.frame.width)
            || beyond(down, y, seen.size.height, self.frame.height)
    }

    /// Makes sure that the region holds everybody.
    fn hold(&mut self, everybody: [Span; 2]) {
        let wanted = self.region_of(everybody, MARGIN);
        let worth = if self.region.is_some() { LARGEST } else { WORTH };
        if self.pixels_to_a_sample(wanted.size) > worth * self.pixels_to_a_sample(self.frame) {
            return self.give_up();
        }
        let Some(region) = self.region else {
            self.region = Some(wanted);
            return;
        };
        let least = self.region_of(everybody, LEAST_MARGIN);
        self.region = Some(self.moved(region, least, wanted));
    }

    /// How coarsely the network sees so much of the frame: the length of what a sample shows, in pixels.
    fn pixels_to_a_sample(&self, seen: Size) -> f32 {
        let masks = self.masks.of(seen);
        let [x, y] = masks.axes(seen);
        let samples = x.mask_per_frame(masks.mask.width) * y.mask_per_frame(masks.mask.height);
        samples.sqrt().recip()
    }

    /// `region`, moved no further than it has to be to hold `least`; of the size of `wanted` where
    /// it does not, or has been too large for a while.
    fn moved(&mut self, region: Region, least: Region, wanted: Region) -> Region {
        let short = |needed: usize, side: usize| (needed as f32) < SHRINK * side as f32;
        let smaller = short(wanted.size.width, region.size.width)
            || short(wanted.size.height, region.size.height);
        self.smaller = if smaller { self.smaller + 1 } else { 0 };
        let holds =
            least.size.width <= region.size.width && least.size.height <= region.size.height;
        if !holds || self.smaller > PATIENCE {
            self.smaller = 0;
            return wanted;
        }
        let along = |start: usize, side: usize, least: usize, least_side: usize| {
            let range = (least + least_side).saturating_sub(side)..=least;
            start.clamp(*range.start(), *range.end()) & !1
        };
        Region {
            x: along(region.x, region.size.width, least.x, least.size.width),
            y: along(region.y, region.size.height, least.y, least.size.height),
            size: region.size,
        }
    }

    /// Everybody in a mask, in pixels of the frame; none for nobody.
    fn bounds(&mut self, mask: &[f32], seen: Region) -> Option<[Span; 2]> {
        let masks = self.masks.of(seen.size);
        let Size { width, height } = masks.mask;
        self.columns.clear();
        self.columns.resize(width, 0);
        let mut rows: Option<[usize; 2]> = None;
        // Single samples are nobody.
        let enough = 1 + (width.min(height) / 128) as u32;
        for (y, row) in mask.chunks_exact(width).enumerate() {
            let mut count = 0;
            for (&value, column) in row.iter().zip(&mut self.columns) {
                let somebody = u32::from(value > SOMEBODY);
                *column += somebody;
                count += somebody;
            }
            if count >= enough {
                rows = Some([rows.map_or(y, |[first, _]| first), y + 1]);
            }
        }
        let is_somebody = |count: &u32| *count >= enough;
        let first = self.columns.iter().position(is_somebody)?;
        let last = self.columns.iter().rposition(is_somebody)?;
        let [x, y] = placements(seen, masks);
        let span = |axis: Placement, [from, to]: [usize; 2], frame: usize| {
            [from, to].map(|at| axis.pixel(at as f32).clamp(0.0, frame as f32))
        };
        let (columns, rows) = ([first, last + 1], rows?);
        Some([span(x, columns, self.frame.width), span(y, rows, self.frame.height)])
    }

    /// The region that holds everybody with `margin` around, inside the frame.
    fn region_of(&self, [across, down]: [Span; 2], margin: f32) -> Region {
        let along = |[from, to]: Span, frame: usize| {
            let room = margin * (to - from);
            let from = (from - room).max(0.0);
            let to = (to + room).min(frame as f32);
            let side = ((to - from).ceil() as usize).next_multiple_of(STEP);
            let side = side.max(self.least).min(frame);
            let start = ((from + to - side as f32) / 2.0).max(0.0) as usize;
            let mut start = start.min(frame - side);
            start -= start % 2;
            (start, side)
        };
        let (x, width) = along(across, self.frame.width);
        let (y, height) = along(down, self.frame.height);
        Region { x, y, size: Size { width, height } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::aspect::PixelAspect;
    use crate::matting::model::description::Fit;
    use proptest::prelude::*;

    const FRAME: Size = Size { width: 1920, height: 1080 };
    const MASK: Size = Size { width: 256, height: 256 };
    const MASKS: MaskLayout =
        MaskLayout { input: MASK, mask: MASK, fit: Fit::Pad, aspect: PixelAspect::SQUARE };

    fn follower() -> Follower {
        Follower::new(FRAME, MASKS, 200)
    }

    /// The mask of a frame with people in these rectangles (left, top, right, bottom; in pixels),
    /// of which the network saw `seen`.
    fn mask(people: &[[f32; 4]], seen: Region) -> Vec<f32> {
        let [x, y] = placements(seen, MASKS);
        (0..MASK.area())
            .map(|i| {
                let at = [
                    x.pixel((i % MASK.width) as f32 + 0.5),
                    y.pixel((i / MASK.width) as f32 + 0.5),
                ];
                let inside =
                    |p: &&[f32; 4]| at[0] >= p[0] && at[1] >= p[1] && at[0] < p[2] && at[1] < p[3];
                f32::from(people.iter().any(|p| inside(&p)))
            })
            .collect()
    }

    /// Follows a mask; whether somebody seems to reach beyond what was seen.
    fn follow(follower: &mut Follower, mask: &[f32], seen: Region) -> bool {
        let sight = follower.read(mask, seen);
        follower.follow(sight);
        sight.is_cut_off
    }

    /// What becomes of the region when these people are seen, in it or in the whole frame.
    fn look(follower: &mut Follower, people: &[[f32; 4]]) -> Option<Region> {
        let seen = follower.region().unwrap_or(Region::whole(FRAME));
        follow(follower, &mask(people, seen), seen);
        follower.region()
    }

    fn holds(region: Region, p: [f32; 4]) -> bool {
        let Region { x, y, size } = region;
        x as f32 <= p[0]
            && y as f32 <= p[1]
            && (x + size.width) as f32 >= p[2]
            && (y + size.height) as f32 >= p[3]
    }

    #[test]
    fn somebody_small_gets_a_region_with_room_around() {
        let person = [800.0, 300.0, 1000.0, 900.0];
        let region = look(&mut follower(), &[person]).unwrap();
        assert!(holds(region, [751.0, 160.0, 1049.0, 1040.0]), "{region:?}");
        assert!(region.size.width < 420 && region.size.height < 1000, "{region:?}");
    }

    #[test]
    fn somebody_large_and_nobody_get_the_whole_frame() {
        let mut follower = follower();
        assert_eq!(look(&mut follower, &[[100.0, 50.0, 1700.0, 1080.0]]), None);
        assert_eq!(look(&mut follower, &[]), None);
        assert!(look(&mut follower, &[[800.0, 300.0, 1000.0, 900.0]]).is_some());
        assert_eq!(look(&mut follower, &[]), None);
    }

    #[test]
    fn one_look_that_says_otherwise_ends_no_region() {
        let mut follower = follower();
        let person = [800.0, 300.0, 1000.0, 900.0];
        let part = look(&mut follower, &[person]);
        follower.confirm();
        for _ in 0..5 {
            // It is doubted until it is confirmed.
            for _ in 1..DOUBTS {
                follower.distrust();
                assert_eq!((follower.region(), follower.is_confirmed()), (part, false));
            }
            follower.confirm();
            assert!(follower.is_confirmed());
        }
        (0..DOUBTS).for_each(|_| follower.distrust());
        for _ in 0..BARRED {
            assert_eq!(look(&mut follower, &[person]), None);
        }
        assert!(look(&mut follower, &[person]).is_some());
    }

    #[test]
    fn several_people_are_held_together() {
        let people = [[300.0, 400.0, 450.0, 1000.0], [1100.0, 350.0, 1250.0, 950.0]];
        let region = look(&mut follower(), &people).unwrap();
        assert!(people.into_iter().all(|person| holds(region, person)), "{region:?}");
    }

    #[test]
    fn whoever_is_cut_off_is_noticed_and_gets_more_room() {
        let mut follower = follower();
        let part = look(&mut follower, &[[800.0, 300.0, 1000.0, 900.0]]).unwrap();
        assert!(!follow(&mut follower, &mask(&[[800.0, 300.0, 1000.0, 900.0]], part), part));
        let reaching = mask(&[[800.0, 300.0, 1400.0, 900.0]], part);
        assert!(follow(&mut follower, &reaching, part));
        let room = follower.region().unwrap();
        assert!(room.x + room.size.width > part.x + part.size.width, "{part:?} {room:?}");
        // The frame's own edge cuts nobody off.
        let low = [800.0, 300.0, 1000.0, 1080.0];
        let mut follower = self::follower();
        let part = look(&mut follower, &[low]).unwrap();
        assert!(!follow(&mut follower, &mask(&[low], part), part));
    }

    #[test]
    fn where_the_whole_frame_is_needed_a_part_that_is_under_way_brings_no_region_back() {
        let mut follower = follower();
        let person = [100.0, 300.0, 300.0, 900.0];
        let part = look(&mut follower, &[person]).unwrap();
        let both = [person, [1700.0, 300.0, 1850.0, 900.0]];
        follow(&mut follower, &mask(&both, Region::whole(FRAME)), Region::whole(FRAME));
        follow(&mut follower, &mask(&both, part), part);
        assert_eq!(follower.region(), None);
    }

    #[test]
    fn a_small_movement_does_not_move_the_region() {
        let mut follower = follower();
        let first = look(&mut follower, &[[800.0, 300.0, 1000.0, 900.0]]);
        for shift in [10.0, -10.0, 15.0, 0.0] {
            let person = [800.0 + shift, 300.0, 1000.0 + shift, 900.0];
            assert_eq!(look(&mut follower, &[person]), first);
        }
    }

    #[test]
    fn somebody_who_walks_stays_in_the_region_which_moves_without_a_jump() {
        let mut follower = follower();
        let mut before = look(&mut follower, &[[300.0, 300.0, 500.0, 900.0]]).unwrap();
        for step in 1..100 {
            let left = 300.0 + 10.0 * step as f32;
            let person = [left, 300.0, left + 200.0, 900.0];
            let region = look(&mut follower, &[person]).unwrap();
            assert!(holds(region, person), "{region:?} at {left}");
            assert!(region.x.abs_diff(before.x) <= 24, "{before:?} {region:?}");
            before = region;
        }
    }

    #[test]
    fn the_region_shrinks_only_after_a_while() {
        let mut follower = follower();
        let first = look(&mut follower, &[[500.0, 200.0, 1000.0, 1000.0]]);
        let person = [650.0, 400.0, 800.0, 700.0];
        for _ in 0..PATIENCE {
            assert_eq!(look(&mut follower, &[person]), first);
        }
        assert!(look(&mut follower, &[person]).unwrap().size.width < first.unwrap().size.width);
    }

    proptest! {
        /// Whatever is seen, the region lies in the frame, with an even corner.
        #[test]
        fn regions_lie_in_the_frame(
            width in 1usize..700, height in 1usize..700, least in 1usize..300,
            boxes in prop::collection::vec(prop::array::uniform4(0usize..40), 1..8),
        ) {
            let (frame, mask) = (Size { width, height }, Size { width: 40, height: 40 });
            for fit in [Fit::Pad, Fit::Letterbox, Fit::Stretch] {
                let mut follower = Follower::new(frame, MaskLayout { input: mask, mask, fit, aspect: PixelAspect::SQUARE }, least);
                for [a, b, c, d] in &boxes {
                    let values: Vec<f32> = (0..mask.area())
                        .map(|i| {
                            let (x, y) = (i % 40, i / 40);
                            f32::from((*a.min(b)..=*a.max(b)).contains(&x) && (*c.min(d)..=*c.max(d)).contains(&y))
                        })
                        .collect();
                    let seen = follower.region().unwrap_or(Region::whole(frame));
                    follow(&mut follower, &values, seen);
                    let Region { x, y, size } = follower.region().unwrap_or(Region::whole(frame));
                    prop_assert!(size.width > 0 && size.height > 0);
                    prop_assert!(x % 2 == 0 && y % 2 == 0);
                    prop_assert!(x + size.width <= width && y + size.height <= height);
                }
            }
        }
    }
}
