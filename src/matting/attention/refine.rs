// SPDX-License-Identifier: MIT

//! Closer looks at edges: the network is given overlapping parts of what it has seen, and where its
//! first mask is uncertain theirs take its place, as far as they agree with it.
//!
//! What a network says of a part is finer, but it knows less of what lies around, and may take the
//! part for something else. So it is heard on detail alone: a closer look that does not confirm what
//! the first mask is sure of is left out, and where both differ even when they are coarse, the first
//! one stays.

use crate::matting::attention::canvas::drawn;
use crate::matting::frame::region::Region;
use crate::matting::frame::size::Size;
use crate::matting::input::layouts::MaskLayouts;
use crate::matting::kernels::box_mean::BoxMean;
use crate::matting::matte::uncertain::{mark_row, widen};
use crate::matting::model::description::Fit;

/// What a closer look shows of the first, along its longer side.
const SHARE: f64 = 2.0 / 3.0;
/// A look that would have to show more of it is not worth its trouble, as for regions.
const NO_CLOSER: f64 = 0.8;
/// So many samples of the first mask around uncertain ones are uncertain as well.
const AROUND: f32 = 2.0;
/// Two masks are coarse where they are averaged over so many samples of the first in all directions,
/// twice.
const COARSE: f32 = 4.0;
/// Where coarse masks differ by up to this, the closer look counts in full; by twice as much, it does
/// not.
const DIFFERENCE: f32 = 0.15;
/// The share of the person, and of the background, that a closer look has to confirm to count at all,
/// and to count in full.
const CONFIRMED: [f32; 2] = [0.85, 0.95];
/// The share of its side over which a look fades into its neighbour.
const FADE: f32 = 0.3;
/// Two along each side.
const MOST_LOOKS: usize = 4;

/// A part of the canvas, in samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Window {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Window {
    /// The samples that a mask of a region of the frame is drawn to.
    fn of(region: Region, frame: Size, canvas: Size) -> Self {
        let along = |start: usize, side: usize, frame: usize, canvas: usize| {
            let samples = drawn(frame, canvas, start, side);
            (samples.start, samples.len())
        };
        let (left, width) = along(region.x, region.size.width, frame.width, canvas.width);
        let (top, height) = along(region.y, region.size.height, frame.height, canvas.height);
        Self { left, top, width, height }
    }

    fn area(&self) -> usize {
        self.width * self.height
    }

    /// Its rows in a picture that is `width` samples wide.
    fn rows<'a>(&self, picture: &'a [f32], width: usize) -> impl Iterator<Item = &'a [f32]> {
        let Self { left, top, width: own, height } = *self;
        picture.chunks_exact(width).skip(top).take(height).map(move |row| &row[left..left + own])
    }

    fn rows_mut<'a>(
        &self,
        picture: &'a mut [f32],
        width: usize,
    ) -> impl Iterator<Item = &'a mut [f32]> {
        let Self { left, top, width: own, height } = *self;
        let rows = picture.chunks_exact_mut(width).skip(top).take(height);
        rows.map(move |row| &mut row[left..left + own])
    }

    /// The same, seen from the corner of `outer`, which holds it.
    fn within(self, outer: Self) -> Self {
        Self { left: self.left - outer.left, top: self.top - outer.top, ..self }
    }
}

/// Plans closer looks and joins what they say with a first mask. All masks cover the frame and have
/// the canvas's size.
///
/// For each mask comes one [`plan`](Self::plan), then a [`take`](Self::take) for each look that
/// succeeded, then [`join`](Self::join).
#[derive(Clone, Debug)]
pub struct Refiner {
    frame: Size,
    masks: MaskLayouts,
    canvas: Size,
    least: usize,
    looks: Vec<Region>,
    /// The part that was seen, in the canvas. What follows covers it and nothing else.
    window: Window,
    /// Canvas samples to a sample of the first mask, horizontally and vertically.
    unit: [f32; 2],
    /// 1 where the first mask is uncertain, 0 where it is sure.
    uncertain: Vec<f32>,
    /// How much a closer look counts there, with soft ends.
    share: Vec<f32>,
    /// What the looks would change, weighed, and their weights.
    change: Vec<f32>,
    weight: Vec<f32>,
    /// The difference that a look makes.
    difference: Vec<f32>,
    coarse: Vec<f32>,
    fade: Vec<f32>,
    means: BoxMean,
}

impl Refiner {
    /// For frames of `frame` size, the masks of a network, and a canvas of `canvas` size. No look is
    /// narrower than
    /// `least` pixels (see [`Canvas::least_side`](crate::matting::attention::canvas::Canvas::least_side)), unless what
    /// was seen is.
    pub fn new(frame: Size, masks: impl Into<MaskLayouts>, canvas: Size, least: usize) -> Self {
        let masks = masks.into();
        let samples = || vec![0.0; canvas.area()];
        Self {
            looks: Vec::with_capacity(MOST_LOOKS),
            window: Window::default(),
            unit: [1.0; 2],
            uncertain: samples(),
            share: samples(),
            change: samples(),
            weight: samples(),
            difference: samples(),
            coarse: samples(),
            fade: Vec::with_capacity(canvas.width),
            means: BoxMean::new(canvas.area(), canvas.width),
            frame,
            masks,
            canvas,
            least,
        }
    }

    /// What to look at again, after the network saw `seen` and gave `mask`; nothing where that is
    /// sure everywhere, or could be seen no closer.
    pub fn plan(&mut self, mask: &[f32], seen: Region) -> &[Region] {
        self.lay_out(seen);
        self.window = Window::of(seen, self.frame, self.canvas);
        if self.looks.len() < 2 || self.window.area() == 0 {
            self.looks.clear();
            return &self.looks;
        }
        let masks = self.masks.of(seen.size);
        let axes = masks.axes(seen.size);
        let scales = [
            (self.canvas.width, self.frame.width, masks.mask.width),
            (self.canvas.height, self.frame.height, masks.mask.height),
        ];
        self.unit = std::array::from_fn(|i| {
            let (canvas, frame, mask) = scales[i];
            canvas as f32 / frame as f32 / axes[i].mask_per_frame(mask)
        });
        let area = self.window.area();
        self.find_uncertain(mask);
        let (window, uncertain) = (self.window, &self.uncertain[..area]);
        let (frame, canvas) = (self.frame, self.canvas);
        self.looks.retain(|&look| {
            let part = Window::of(look, frame, canvas).within(window);
            part.rows(uncertain, window.width).flatten().any(|&value| value > 0.0)
        });
        if !self.looks.is_empty() {
            self.widen_uncertain();
            self.change[..area].fill(0.0);
            self.weight[..area].fill(0.0);
        }
        &self.looks
    }

    /// Takes in what the network says of one of the planned looks, drawn onto the canvas as `closer`;
    /// `mask` is the first mask. Returns by how much it counts, from 0, where it takes the part for
    /// something else, to 1.
    pub fn take(&mut self, mask: &[f32], look: Region, closer: &[f32]) -> f32 {
        let (width, outer) = (self.canvas.width, self.window);
        let window = Window::of(look, self.frame, self.canvas);
        let part = window.within(outer);
        let area = window.area();
        let difference = &mut self.difference[..area];
        let rows = window.rows(mask, width).zip(window.rows(closer, width));
        for (out, (mask, closer)) in difference.chunks_exact_mut(window.width).zip(rows) {
            for ((out, mask), closer) in out.iter_mut().zip(mask).zip(closer) {
                *out = closer - mask;
            }
        }
        let sure = part.rows(&self.uncertain[..outer.area()], outer.width);
        let confirmed = confirmed(
            window
                .rows(mask, width)
                .zip(sure)
                .zip(window.rows(closer, width))
                .flat_map(|((mask, uncertain), closer)| mask.iter().zip(uncertain).zip(closer)),
        );
        let [none, all] = CONFIRMED;
        let trust = ((confirmed - none) / (all - none)).clamp(0.0, 1.0);
        let coarse = &mut self.coarse[..area];
        coarse.copy_from_slice(difference);
        let radius = self.unit.map(|unit| radius(COARSE * unit));
        self.means.mean(coarse, window.width, radius);
        self.means.mean(coarse, window.width, radius);

        let fades = |start: usize, side: usize, outer: usize| [start > 0, start + side < outer];
        let across = fades(part.left, part.width, outer.width);
        let down = fades(part.top, part.height, outer.height);
        self.fade.clear();
        self.fade.extend((0..part.width).map(|x| fade(x, part.width, across)));
        let changes = part.rows_mut(&mut self.change[..outer.area()], outer.width);
        let weights = part.rows_mut(&mut self.weight[..outer.area()], outer.width);
        let found = difference.chunks_exact(part.width).zip(coarse.chunks_exact(part.width));
        for (y, ((change, weight), (difference, coarse))) in
            changes.zip(weights).zip(found).enumerate()
        {
            let row = fade(y, part.height, down);
            for x in 0..part.width {
                let here = row * self.fade[x];
                let agreement = (2.0 - coarse[x].abs() / DIFFERENCE).clamp(0.0, 1.0);
                change[x] += here * trust * agreement * difference[x];
                weight[x] += here;
            }
        }
        trust
    }

    /// Changes the first mask by what the looks said that were taken in since the last plan.
    pub fn join(&mut self, mask: &mut [f32]) {
        let (window, area) = (self.window, self.window.area());
        if self.looks.is_empty() {
            return;
        }
        let rows = self.change[..area]
            .chunks_exact(window.width)
            .zip(self.weight[..area].chunks_exact(window.width))
            .zip(self.share[..area].chunks_exact(window.width));
        for (mask, ((change, weight), share)) in window.rows_mut(mask, self.canvas.width).zip(rows)
        {
            for x in 0..window.width {
                if weight[x] > 0.0 {
                    let refined = mask[x] + share[x] * change[x] / weight[x];
                    mask[x] = refined.clamp(0.0, 1.0);
                }
            }
        }
        self.looks.clear();
    }

    /// Lays looks out over what was seen, all of one size.
    fn lay_out(&mut self, seen: Region) {
        self.looks.clear();
        let longer = seen.size.width.max(seen.size.height);
        let stretches = self.masks.of(seen.size).fit == Fit::Stretch;
        let along = |start: usize, side: usize| {
            // A network that stretches has a scale of its own for each side; one whose input has the shape of
            // what it sees is to see the same shape.
            let whole = if stretches || self.masks.have_its_shape() { side } else { longer };
            let closer = (SHARE * whole as f64).ceil() as usize;
            let closer = closer.max(self.least).next_multiple_of(2);
            if closer >= side || closer as f64 > NO_CLOSER * whole as f64 {
                return (side, [start; 2]);
            }
            // Even, where chroma has a sample of its own.
            (closer, [start, start + ((side - closer) & !1)])
        };
        let (width, columns) = along(seen.x, seen.size.width);
        let (height, rows) = along(seen.y, seen.size.height);
        let size = Size { width, height };
        for y in distinct(rows) {
            self.looks.extend(distinct(columns).map(|x| Region { x, y, size }));
        }
    }

    /// Marks what the mask is not sure of: soft samples, and steps between sure ones.
    fn find_uncertain(&mut self, mask: &[f32]) {
        let window = self.window;
        let out = &mut self.uncertain[..window.area()];
        let mut above: Option<&[f32]> = None;
        let rows = window.rows(mask, self.canvas.width);
        for (row, out) in rows.zip(out.chunks_exact_mut(window.width)) {
            mark_row(row, above, out);
            above = Some(row);
        }
    }

    fn widen_uncertain(&mut self) {
        let (area, width) = (self.window.area(), self.window.width);
        let uncertain = &mut self.uncertain[..area];
        let around = self.unit.map(|unit| radius(AROUND * unit));
        widen(uncertain, width, around, &mut self.means);
        let share = &mut self.share[..area];
        share.copy_from_slice(uncertain);
        let softly = self.unit.map(|unit| radius(unit / 2.0));
        self.means.mean(share, width, softly);
        self.means.mean(share, width, softly);
    }
}

/// Whole samples, at least one.
fn radius(samples: f32) -> usize {
    (samples.round() as usize).max(1)
}

/// One or two numbers.
fn distinct([one, other]: [usize; 2]) -> impl Iterator<Item = usize> {
    std::iter::once(one).chain((other != one).then_some(other))
}

/// How much sample `index` of `side` counts in a look that fades at its start, its end, or both.
fn fade(index: usize, side: usize, [start, end]: [bool; 2]) -> f32 {
    let at = (index as f32 + 0.5) / side as f32;
    let rise = |distance: f32| {
        let t = (distance / FADE).min(1.0);
        t * t * (3.0 - 2.0 * t)
    };
    let from = if start { rise(at) } else { 1.0 };
    let to = if end { rise(1.0 - at) } else { 1.0 };
    from * to
}

/// The share of the person or of the background, whichever is less, that a closer look confirms where
/// the first mask is sure: of samples of that, where it is uncertain, and of the closer look. None
/// where the first mask is sure of nothing.
fn confirmed<'a>(samples: impl Iterator<Item = ((&'a f32, &'a f32), &'a f32)>) -> f32 {
    let mut found = [0.0f64; 2];
    let mut of = [0.0f64; 2];
    for ((&mask, &uncertain), &closer) in samples {
        if uncertain == 0.0 {
            let person = mask >= 0.5;
            found[usize::from(person)] += f64::from(if person { closer } else { 1.0 - closer });
            of[usize::from(person)] += 1.0;
        }
    }
    if of == [0.0; 2] {
        return 0.0;
    }
    let share = |i: usize| if of[i] > 0.0 { (found[i] / of[i]) as f32 } else { 1.0 };
    share(0).min(share(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::aspect::PixelAspect;
    use crate::matting::input::geometry::MaskLayout;
    use proptest::prelude::*;

    const FRAME: Size = Size { width: 800, height: 640 };
    const MASK: Size = Size { width: 100, height: 100 };
    const CANVAS: Size = Size { width: 400, height: 320 };
    const LEAST: usize = 200;

    fn masks(fit: Fit) -> MaskLayout {
        MaskLayout { input: MASK, mask: MASK, fit, aspect: PixelAspect::SQUARE }
    }

    fn refiner() -> Refiner {
        Refiner::new(FRAME, masks(Fit::Pad), CANVAS, LEAST)
    }

    /// A mask of the canvas, by its samples' coordinates.
    fn canvas(value: impl Fn(f32, f32) -> f32) -> Vec<f32> {
        (0..CANVAS.area())
            .map(|i| value((i % CANVAS.width) as f32, (i / CANVAS.width) as f32))
            .collect()
    }

    /// A disk whose edge takes `soft` samples.
    fn disk(soft: f32) -> Vec<f32> {
        canvas(|x, y| (0.5 + (100.0 - (x - 200.0).hypot(y - 160.0)) / soft).clamp(0.0, 1.0))
    }

    /// What becomes of a mask of the whole frame when all looks see `closer`, and how each counts.
    fn refine(mask: &[f32], closer: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let mut refiner = refiner();
        let looks = refiner.plan(mask, Region::whole(FRAME)).to_vec();
        let trust = looks.iter().map(|&look| refiner.take(mask, look, closer)).collect();
        let mut refined = mask.to_vec();
        refiner.join(&mut refined);
        (refined, trust)
    }

    fn error(mask: &[f32], truth: &[f32]) -> f32 {
        mask.iter().zip(truth).map(|(a, b)| (a - b).abs()).sum()
    }

    #[test]
    fn detail_is_taken_over() {
        let (coarse, truth) = (disk(12.0), disk(2.0));
        let (refined, trust) = refine(&coarse, &truth);
        assert_eq!(trust, [1.0; 4]);
        let (before, after) = (error(&coarse, &truth), error(&refined, &truth));
        assert!(after < 0.05 * before, "{after} of {before}");
    }

    #[test]
    fn looks_that_confirm_nothing_change_nothing() {
        let mask = disk(12.0);
        // A network that takes every part for the whole, or sees nobody, or somebody everywhere.
        let elsewhere = canvas(|x, y| f32::from((x - 120.0).hypot(y - 100.0) < 60.0));
        for closer in [elsewhere, vec![0.0; CANVAS.area()], vec![1.0; CANVAS.area()]] {
            let (refined, trust) = refine(&mask, &closer);
            assert_eq!(trust, [0.0; 4]);
            assert_eq!(refined, mask);
        }
    }

    #[test]
    fn where_both_differ_coarsely_the_first_stays() {
        // Sure in the corners alone.
        let mask =
            canvas(|x, y| if (x - 200.0).abs() + (y - 160.0).abs() < 300.0 { 0.5 } else { 0.0 });
        let halves = canvas(|x, y| {
            let inside = mask[y as usize * CANVAS.width + x as usize] > 0.0;
            f32::from(x < 200.0 && inside)
        });
        let (refined, trust) = refine(&mask, &halves);
        assert_eq!(trust, [1.0; 4]);
        let changed = |x: usize| (refined[160 * CANVAS.width + x] - 0.5).abs();
        assert_eq!([changed(100), changed(300)], [0.0; 2]);
    }

    #[test]
    fn where_nothing_is_sure_the_first_stays() {
        let (mask, closer) = (vec![0.5; CANVAS.area()], vec![0.6; CANVAS.area()]);
        let (refined, trust) = refine(&mask, &closer);
        assert_eq!(trust, [0.0; 4]);
        assert_eq!(refined, mask);
    }

    #[test]
    fn looks_meet_without_a_seam() {
        // Sure in the corners alone, and brighter by the same everywhere else.
        let inside = |x: f32, y: f32| (x - 200.0).abs() + (y - 160.0).abs() < 300.0;
        let level = |value: f32| canvas(|x, y| if inside(x, y) { value } else { 0.0 });
        let (refined, trust) = refine(&level(0.5), &level(0.6));
        assert_eq!(trust, [1.0; 4]);
        let error = refined.iter().zip(level(0.6)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error < 1e-4, "{error}");
    }

    #[test]
    fn what_is_sure_is_not_looked_at_again() {
        for level in [0.0, 0.01, 1.0] {
            let mask = vec![level; CANVAS.area()];
            assert_eq!(refiner().plan(&mask, Region::whole(FRAME)), []);
        }
        // One corner alone is seen by one look alone, a step as well as what is soft.
        for level in [0.5, 1.0] {
            let corner = canvas(|x, y| if x < 40.0 && y < 40.0 { level } else { 0.0 });
            let mut refiner = refiner();
            let looks = refiner.plan(&corner, Region::whole(FRAME));
            assert_eq!(looks.len(), 1);
            assert_eq!((looks[0].x, looks[0].y), (0, 0));
        }
    }

    #[test]
    fn a_look_that_failed_leaves_its_part() {
        let (coarse, truth) = (disk(12.0), disk(2.0));
        let mut refiner = refiner();
        let looks = refiner.plan(&coarse, Region::whole(FRAME)).to_vec();
        refiner.take(&coarse, looks[0], &truth);
        let mut refined = coarse.clone();
        refiner.join(&mut refined);
        assert!(error(&refined, &truth) < error(&coarse, &truth));
        let lower_right = |i: usize| i % CANVAS.width > 300 && i / CANVAS.width > 240;
        assert!((0..CANVAS.area()).filter(|&i| lower_right(i)).all(|i| refined[i] == coarse[i]));
        // Without any, all stays.
        let mut untouched = coarse.clone();
        refiner.plan(&coarse, Region::whole(FRAME));
        refiner.join(&mut untouched);
        assert_eq!(untouched, coarse);
    }

    #[test]
    fn what_cannot_be_seen_closer_is_not_looked_at_again() {
        let soft = vec![0.5; CANVAS.area()];
        let size = Size { width: 208, height: 190 };
        assert_eq!(refiner().plan(&soft, Region { x: 40, y: 60, size }), []);
    }

    #[test]
    fn narrow_parts_are_divided_along_their_longer_side() {
        let soft = vec![0.5; CANVAS.area()];
        let size = Size { width: 240, height: 600 };
        let looks = refiner().plan(&soft, Region { x: 100, y: 20, size }).to_vec();
        let closer = Size { width: 240, height: 400 };
        let expected = [(100, 20), (100, 220)].map(|(x, y)| Region { x, y, size: closer });
        assert_eq!(looks, expected);
        // A network that stretches sees both sides closer.
        let mut stretched = Refiner::new(FRAME, masks(Fit::Stretch), CANVAS, 20);
        let looks = stretched.plan(&soft, Region { x: 100, y: 20, size });
        assert_eq!(looks.len(), 4);
        assert_eq!(looks[3].size, Size { width: 160, height: 400 });
    }

    proptest! {
        #[test]
        fn every_region_of_every_frame_is_covered_and_stays_in_range(
            width in 1usize..90, height in 1usize..90, mask_w in 1usize..12, mask_h in 1usize..12,
            x in 0.0..1.0, y in 0.0..1.0, w in 0.0..1.0, h in 0.0..1.0, least in 1usize..20,
            noise in any::<u32>(),
        ) {
            let part = |share: f64, of: usize| (share * of as f64) as usize;
            let (x, y) = (part(x, width) & !1, part(y, height) & !1);
            let size = Size { width: 1 + part(w, width - x - 1), height: 1 + part(h, height - y - 1) };
            let (frame, mask) = (Size { width, height }, Size { width: mask_w, height: mask_h });
            let seen = Region { x, y, size };
            let canvas = Size { width: width.div_ceil(2), height: height.div_ceil(2) };
            let random = |seed: u32| -> Vec<f32> {
                let mix = |i: usize| (i as u32 ^ noise ^ seed).wrapping_mul(0x9e37_79b9) >> 8;
                (0..canvas.area()).map(|i| (mix(i) % 101) as f32 / 100.0).collect()
            };
            let first = random(0);
            for fit in [Fit::Pad, Fit::Letterbox, Fit::Stretch] {
                let mut refiner = Refiner::new(frame, MaskLayout { input: mask, mask, fit, aspect: PixelAspect::SQUARE }, canvas, least);
                let looks = refiner.plan(&first, seen).to_vec();
                let mut refined = first.clone();
                for (seed, &look) in (1..).zip(&looks) {
                    prop_assert_eq!((look.x % 2, look.y % 2), (0, 0));
                    prop_assert!(look.x >= x && look.x + look.size.width <= x + size.width);
                    prop_assert!(look.y >= y && look.y + look.size.height <= y + size.height);
                    refiner.take(&first, look, &random(seed));
                }
                refiner.join(&mut refined);
                prop_assert!(refined.iter().all(|value| (0.0..=1.0).contains(value)));
            }
        }
    }
}
