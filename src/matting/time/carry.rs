// SPDX-License-Identifier: MIT

//! Bringing the matte of an earlier frame to the frame at hand.
//!
//! Motion is estimated on small pictures of the two frames (`motion/`), the mask is taken from
//! where each sample was (`warp.rs`), and what came out from behind something is decided by colour
//! (`reveal.rs`).

use crate::matting::frame::size::Size;
use crate::matting::input::geometry::MaskLayout;
use crate::matting::kernels::tap::{Tap, blend};
use crate::matting::time::disocclusion::Reveal;
use crate::matting::time::guide::Guide;
use crate::matting::time::motion::{Field, Pyramid, Search};
use crate::matting::time::warp::{Alignment, warp};

/// The share of a picture that is found in an earlier one of the same scene, at the least. Between
/// different scenes mostly 0.05 to 0.3 is found, by chance; half a second apart in one scene, with
/// all its motion, 0.8 and more.
const SAME_SCENE: f32 = 0.45;

/// What came of carrying a matte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// The matte is where the frame is.
    Moved,
    /// The frames show different scenes.
    Cut,
}

/// Carries mattes between frames of one layout.
pub struct Carrier {
    size: Size,
    frame: Size,
    alignment: Alignment,
    /// A row of the mask.
    row: Vec<f32>,
    masks: Pyramid,
    search: Search,
    /// Numbers of the frames of the last motion: the earlier one and the later one.
    last: Option<[u64; 2]>,
    field: Field,
    reveal: Reveal,
}

impl Carrier {
    /// For frames of `frame` size, guides of `guide` size, and masks that lie on the frames so.
    pub fn new(frame: Size, guide: Size, masks: MaskLayout) -> Self {
        let pictures = Pyramid::new(guide.width, guide.height);
        Self {
            alignment: Alignment::new(frame, guide, masks),
            row: vec![0.0; masks.mask.width],
            search: Search::new(&pictures),
            field: Field::new(guide.width, guide.height),
            reveal: Reveal::new(guide.width, guide.height),
            masks: pictures,
            size: guide,
            frame,
            last: None,
        }
    }

    /// From now on carries masks that lie on the frames so. Guides stay what they are.
    pub fn take_masks(&mut self, masks: MaskLayout) {
        self.alignment = Alignment::new(self.frame, self.size, masks);
        self.row.resize(masks.mask.width, 0.0);
    }

    /// Brings `mask`, the matte of the frame of `from`, to the frame of `to`: both row by row, as
    /// the network gives them, every value finite. For values in [0, 1] those of `out` are as well.
    ///
    /// After [`Carried::Cut`] `out` holds nothing of use.
    pub fn carry(&mut self, from: &Guide, mask: &[f32], to: &Guide, out: &mut [f32]) -> Carried {
        self.shrink(mask);
        let again = self.again(from.number, to.number);
        self.search.run(&to.luma, &from.luma, &self.masks, again);
        let share = self.search.share_found(&to.luma, &from.luma);
        // Where there is too little to be found, colours tell.
        if share.map_or_else(|| to.is_elsewhere(from), |share| share < SAME_SCENE) {
            self.last = None;
            return Carried::Cut;
        }
        self.field.fill(&self.search, to.planes(), from.planes());
        self.reveal.fill(&self.field, &self.search, &self.masks.0[0], to.planes());
        warp(&self.alignment, &self.field, &self.reveal.change, &self.search, mask, out);
        Carried::Moved
    }

    /// The mask on the guide's samples, within [0, 1].
    fn shrink(&mut self, mask: &[f32]) {
        let [columns, rows] = &self.alignment.to_mask;
        let width = self.row.len();
        for row in 0..self.size.height {
            let Tap { first, second, share } = rows[row];
            let rows = [first, second].map(|y| &mask[y * width..][..width]);
            blend(rows[0], rows[1], share, &mut self.row);
            let out = self.masks.0[0].row_mut(row);
            for (out, tap) in out.iter_mut().zip(columns) {
                let (a, b) = (self.row[tap.first], self.row[tap.second]);
                *out = (a + tap.share * (b - a)).clamp(0.0, 1.0);
            }
        }
        self.masks.fill();
    }

    /// How the motion found last goes on.
    fn again(&mut self, from: u64, to: u64) -> Option<[f32; 2]> {
        let last = self.last.replace([from, to]);
        match last {
            Some([first, last]) if last > first && to > last && to > from => {
                let [age, next, since] =
                    [last - first, to - from, last.saturating_sub(from)].map(|n| n as f32);
                Some([next / age, since / age])
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::aspect::PixelAspect;
    use crate::matting::frame::pixel_format::PixelFormat;
    use crate::matting::frame::view::FrameLayout;
    use crate::matting::frame::view::OwnedFrame;
    use crate::matting::model::description::Fit;
    use crate::matting::time::guide::Guides;
    use proptest::prelude::*;

    const WIDTH: usize = 320;
    const HEIGHT: usize = 200;
    const MASK: Size = Size { width: 160, height: 100 };

    fn layout(width: usize, height: usize) -> FrameLayout {
        FrameLayout::new(PixelFormat::Gray8, width, height)
    }

    fn gray(width: usize, height: usize, value: impl Fn(f32, f32) -> f32) -> OwnedFrame {
        let mut frame = OwnedFrame::new(layout(width, height));
        for y in 0..height {
            for (x, byte) in frame.view_mut().row_mut(0, y).iter_mut().enumerate() {
                *byte = (value(x as f32, y as f32) + 0.5) as u8;
            }
        }
        frame
    }

    /// Smooth noise of 40 to 216, the same at the same place.
    fn texture(seed: u32, x: f32, y: f32) -> f32 {
        let random = |x: f32, y: f32| {
            let mut hash = seed ^ (x as i32 as u32).wrapping_mul(0x9E37_79B1);
            hash = (hash ^ (y as i32 as u32).wrapping_mul(0x85EB_CA77)).wrapping_mul(0xC2B2_AE3D);
            hash = (hash ^ (hash >> 15)).wrapping_mul(0x27D4_EB2F);
            (hash >> 8) as f32 / (1 << 24) as f32
        };
        let at = |cell: f32| {
            let (x, y) = (x / cell + 1000.0, y / cell + 1000.0);
            let (left, top) = (x.floor(), y.floor());
            let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
            let (tx, ty) = (smooth(x - left), smooth(y - top));
            let mix = |a: f32, b: f32, t: f32| a + t * (b - a);
            let upper = mix(random(left, top), random(left + 1.0, top), tx);
            let lower = mix(random(left, top + 1.0), random(left + 1.0, top + 1.0), tx);
            mix(upper, lower, ty)
        };
        40.0 + 176.0 * (0.6 * at(23.0) + 0.4 * at(9.0))
    }

    /// The matte of a disk about (0, 0), whose edge is soft enough for the mask to show it.
    fn disk(x: f32, y: f32) -> f32 {
        (0.5 + (45.0 - x.hypot(y)) / 6.0).clamp(0.0, 1.0)
    }

    /// The mask of a disk about (x, y) of the frame.
    fn disk_mask(x: f32, y: f32) -> Vec<f32> {
        let per_sample = WIDTH as f32 / MASK.width as f32;
        let place = |i: usize| (i as f32 + 0.5) * per_sample - 0.5;
        (0..MASK.area())
            .map(|i| disk(place(i % MASK.width) - x, place(i / MASK.width) - y))
            .collect()
    }

    /// What becomes of `mask` from the first to the last of the frames.
    fn carry(frames: &[OwnedFrame], mask: &[f32]) -> (Carried, Vec<f32>) {
        let layout = *frames[0].view().layout();
        let mut guides = Guides::new(&layout);
        let frame = Size { width: layout.width, height: layout.height };
        let mut carrier = Carrier::new(frame, guides.size(), MaskLayout::covering(MASK));
        let from = guides.look(&frames[0].view());
        let mut out = vec![f32::NAN; mask.len()];
        let mut carried = Carried::Moved;
        for frame in &frames[1..] {
            let to = guides.look(&frame.view());
            carried = carrier.carry(&from, mask, &to, &mut out);
        }
        (carried, out)
    }

    /// The value at `at`, the edge repeated.
    fn bilinear(values: &[f32], size: Size, at: [f32; 2]) -> f32 {
        let x = at[0].clamp(0.0, (size.width - 1) as f32);
        let y = at[1].clamp(0.0, (size.height - 1) as f32);
        let (left, top) = (x as usize, y as usize);
        let (tx, ty) = (x - left as f32, y - top as f32);
        let (right, bottom) = ((left + 1).min(size.width - 1), (top + 1).min(size.height - 1));
        let row = |y: usize| {
            let (a, b) = (values[y * size.width + left], values[y * size.width + right]);
            a + tx * (b - a)
        };
        let (a, b) = (row(top), row(bottom));
        a + ty * (b - a)
    }

    fn difference(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32
    }

    #[test]
    fn a_shift_is_found_to_a_fifth_of_a_pixel() {
        for (dx, dy) in [(7.5, -3.25), (-20.0, 6.7), (0.4, 0.3)] {
            let then = gray(WIDTH, HEIGHT, |x, y| texture(1, x, y));
            let now = gray(WIDTH, HEIGHT, |x, y| texture(1, x - dx, y - dy));
            let mask = disk_mask(160.0, 100.0);
            let (carried, out) = carry(&[then, now], &mask);
            assert_eq!(carried, Carried::Moved);
            // What the mask becomes where motion is exact, and off by a pixel.
            let moved = |dx: f32, dy: f32| -> Vec<f32> {
                let at = |i: usize| {
                    [(i % MASK.width) as f32 - dx / 2.0, (i / MASK.width) as f32 - dy / 2.0]
                };
                (0..MASK.area()).map(|i| bilinear(&mask, MASK, at(i))).collect()
            };
            let pixel = difference(&moved(dx + 1.0, dy), &moved(dx, dy));
            let error = difference(&out, &moved(dx, dy));
            assert!(error < 0.2 * pixel, "{dx}, {dy}: {error}, where {pixel} is a pixel");
        }
    }

    #[test]
    fn what_moves_before_something_else_takes_its_matte_along() {
        let frame = |n: f32| {
            let (cx, cy) = (120.0 + 5.0 * n, 100.0 - 2.0 * n);
            gray(WIDTH, HEIGHT, |x, y| {
                let (behind, skin) =
                    (0.6 * texture(1, x, y), 80.0 + 0.6 * texture(2, x - cx, y - cy));
                behind + disk(x - cx, y - cy) * (skin - behind)
            })
        };
        let frames: Vec<_> = (0..5).map(|n| frame(n as f32)).collect();
        let mask = disk_mask(120.0, 100.0);
        let (carried, out) = carry(&frames, &mask);
        let truth = disk_mask(140.0, 92.0);
        assert_eq!(carried, Carried::Moved);
        let (error, held) = (difference(&out, &truth), difference(&mask, &truth));
        assert!(error < held / 3.0, "{error}, held {held}");
    }

    #[test]
    fn the_same_frame_keeps_its_matte() {
        let frame = gray(WIDTH, HEIGHT, |x, y| texture(1, x, y));
        let mask = disk_mask(160.0, 100.0);
        let (_, out) = carry(&[frame.clone(), frame], &mask);
        let most = out.iter().zip(&mask).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(most < 1e-4, "{most}");
    }

    #[test]
    fn another_scene_is_a_cut_and_a_pan_or_a_flash_is_none() {
        let mask = disk_mask(160.0, 100.0);
        let scene = gray(WIDTH, HEIGHT, |x, y| texture(1, x, y));
        let after = |value: &dyn Fn(f32, f32) -> f32| {
            carry(&[scene.clone(), gray(WIDTH, HEIGHT, value)], &mask).0
        };
        assert_eq!(after(&|x, y| texture(2, x, y)), Carried::Cut);
        assert_eq!(after(&|_, _| 16.0), Carried::Cut);
        assert_eq!(after(&|x, y| texture(1, x + 30.0, y)), Carried::Moved);
        assert_eq!(after(&|x, y| 0.7 * texture(1, x, y) + 75.0), Carried::Moved);
    }

    #[test]
    fn frames_without_detail_are_no_cut() {
        let (carried, out) = carry(
            &[gray(WIDTH, HEIGHT, |_, _| 90.0), gray(WIDTH, HEIGHT, |_, _| 95.0)],
            &[0.5; MASK.area()],
        );
        assert_eq!(carried, Carried::Moved);
        assert!(out.iter().all(|&value| value == 0.5));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        /// Whatever is seen, every value is written, and in range.
        #[test]
        fn mattes_stay_mattes(
            width in 1usize..90, height in 1usize..90, mask_width in 1usize..70, mask_height in 1usize..70,
            fit in prop::sample::select(vec![Fit::Pad, Fit::Letterbox, Fit::Stretch]),
            shift in -20f32..20.0, noise in 0u32..3,
        ) {
            let mask_size = Size { width: mask_width, height: mask_height };
            let mut guides = Guides::new(&layout(width, height));
            let masks = MaskLayout { input: mask_size, mask: mask_size, fit, aspect: PixelAspect::SQUARE };
            let mut carrier = Carrier::new(Size { width, height }, guides.size(), masks);
            let from = guides.look(&gray(width, height, |x, y| texture(1, x, y)).view());
            let mask: Vec<f32> = (0..mask_size.area()).map(|i| (i * 37 % 101) as f32 / 100.0).collect();
            for n in 1..3 {
                let seen = gray(width, height, |x, y| texture(1 + noise, x - shift * n as f32, y));
                let to = guides.look(&seen.view());
                let mut out = vec![f32::NAN; mask.len()];
                if carrier.carry(&from, &mask, &to, &mut out) == Carried::Moved {
                    prop_assert!(out.iter().all(|value| (0.0..=1.0).contains(value)));
                }
            }
        }
    }
}
