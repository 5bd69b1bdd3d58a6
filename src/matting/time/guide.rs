// SPDX-License-Identifier: MIT

//! Small pictures of frames, which motion, cuts and what stands still are found on.

use std::sync::Arc;

use multiversion::multiversion;

use crate::matting::frame::pixel_format::Family;
use crate::matting::frame::size::Size;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::input::downscale::Halver;
use crate::matting::input::reduce::Reducer;
use crate::matting::kernels::pool::Pool;
use crate::matting::kernels::resample::AxisOperator;
use crate::matting::time::motion::{Picture, Pyramid};

/// The longer side of a guide at most: a fifth of full HD.
const GUIDE_SIDE: usize = 384;
/// Pixels of a frame along a sample of its guide from which on the frame is halved before it is
/// reduced with care.
const FAR_SMALLER: usize = 4;

/// A sample differs much by so many codes. In a dim room all differences are smaller: there the samples'
/// differences from their means count, in proportion to a picture
const DIFFERENT: f32 = 20.0;
/// whose luma differs from its mean by so much, on the average,
const USUAL_CONTRAST: f32 = 45.0;
/// but less than this share of them is noise.
const LEAST_CONTRAST: f32 = 0.15;
/// and a scene where this share of its samples does.
const ELSEWHERE: f32 = 0.6;

/// A small picture of a frame, which motion is estimated on.
#[derive(Clone, Debug)]
pub struct Guide {
    pub(super) luma: Pyramid,
    chroma: [Picture; 2],
    /// The mean of luma, and by how much it differs from that, on the average.
    mean: f32,
    contrast: f32,
    /// Which of the frames that were looked at.
    pub(super) number: u64,
}

impl Guide {
    /// Of nothing.
    fn blank(size: Size) -> Self {
        let Size { width, height } = size;
        let plane = Picture::new(width, height);
        Self {
            luma: Pyramid::new(width, height),
            chroma: [plane.clone(), plane],
            mean: 0.0,
            contrast: 0.0,
            number: 0,
        }
    }

    /// Becomes a small picture of `frame`.
    fn take(&mut self, reducer: &mut Reducer, frame: &FrameView<'_>, is_rgb: bool) {
        let mut reduced = reducer.reduce(frame);
        for y in 0..self.size().height {
            let [a, b, c] = reduced.row(y);
            let luma = self.luma.0[0].row_mut(y);
            let [first, second] = self.chroma.each_mut().map(|plane| plane.row_mut(y));
            if is_rgb {
                for (i, luma) in luma.iter_mut().enumerate() {
                    *luma = 0.25 * (a[i] + 2.0 * b[i] + c[i]);
                    first[i] = 0.5 * (a[i] - *luma);
                    second[i] = 0.5 * (c[i] - *luma);
                }
            } else {
                luma.copy_from_slice(a);
                first.copy_from_slice(b);
                second.copy_from_slice(c);
            }
        }
        (self.mean, self.contrast) = mean_and_contrast(&self.luma.0[0]);
        self.luma.fill();
        for plane in &mut self.chroma {
            plane.extend();
        }
    }

    /// Its size in samples.
    pub fn size(&self) -> Size {
        let Picture { width, height, .. } = self.luma.0[0];
        Size { width, height }
    }

    /// Whether it shows another scene than `other`, by the share of samples that differ much: a quick
    /// look, which takes a fast pan for a cut.
    pub fn is_elsewhere(&self, other: &Self) -> bool {
        let Size { width, height } = self.size();
        let [now, before] = [self, other].map(|guide| guide.planes()[0]);
        let differs = |different: f32, offset: f32| {
            let count = |y| {
                count_different(&now.row(y)[..width], &before.row(y)[..width], different, offset)
            };
            (0..height).map(count).sum::<u32>() as f32 > ELSEWHERE * (width * height) as f32
        };
        let contrast = self.contrast.max(other.contrast) / USUAL_CONTRAST;
        differs(DIFFERENT, 0.0)
            || (contrast < 1.0
                && differs(DIFFERENT * contrast.max(LEAST_CONTRAST), self.mean - other.mean))
    }

    /// Luma and both chroma planes, in the frame's codes.
    pub(super) fn planes(&self) -> [&Picture; 3] {
        let [first, second] = &self.chroma;
        [&self.luma.0[0], first, second]
    }
}

/// Makes guides of the frames of one layout, in their order, and takes those again that nobody holds
/// any more.
pub struct Guides {
    halver: Option<Halver>,
    reducer: Reducer,
    size: Size,
    is_rgb: bool,
    number: u64,
    pool: Pool<Guide>,
}

impl Guides {
    /// For frames of `layout`.
    pub fn new(layout: &FrameLayout) -> Self {
        let step = layout.width.max(layout.height).div_ceil(GUIDE_SIDE);
        let size =
            Size { width: layout.width.div_ceil(step), height: layout.height.div_ceil(step) };
        let halver = (step >= FAR_SMALLER).then(|| Halver::new(layout));
        let reduced = halver.as_ref().map_or(*layout, Halver::layout);
        Self {
            halver,
            reducer: Reducer::new(
                &reduced,
                &AxisOperator::area(reduced.width, size.width),
                &AxisOperator::area(reduced.height, size.height),
            ),
            is_rgb: layout.format.family() == Family::Rgb,
            size,
            number: 0,
            pool: Pool::default(),
        }
    }

    /// Size of the guides, in samples.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The guide of a frame of the layout that this was made for.
    ///
    /// To be called once for each frame, in their order: motion is expected to go on as many frames
    /// as were looked at.
    pub fn look(&mut self, frame: &FrameView<'_>) -> Arc<Guide> {
        self.number += 1;
        let Self { halver, reducer, size, is_rgb, number, pool } = self;
        let frame = match halver {
            Some(halver) => halver.halve(frame),
            None => *frame,
        };
        let make = || Guide::blank(*size);
        pool.fill(make, |guide| {
            guide.number = *number;
            guide.take(reducer, &frame, *is_rgb);
        })
    }
}

/// The mean, and the mean absolute difference to it.
fn mean_and_contrast(luma: &Picture) -> (f32, f32) {
    let Picture { width, height, .. } = *luma;
    let area = (width * height) as f32;
    let over_rows = |value: &dyn Fn(&[f32]) -> f32| -> f32 {
        (0..height).map(|y| value(&luma.row(y)[..width])).sum::<f32>() / area
    };
    let mean = over_rows(&|row| sum(row));
    (mean, over_rows(&|row| sum_of_differences(row, mean)))
}

/// Samples that are added up together.
const LANES: usize = 16;

#[multiversion(targets = "simd")]
fn sum(row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    sums.iter().chain(rest).sum()
}

#[multiversion(targets = "simd")]
fn sum_of_differences(row: &[f32], mean: f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += (value - mean).abs();
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|value| (value - mean).abs()).sum::<f32>()
}

/// How many samples differ by more than `different`, apart from `offset`.
#[multiversion(targets = "simd")]
fn count_different(a: &[f32], b: &[f32], different: f32, offset: f32) -> u32 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mut count = 0;
    for i in 0..n {
        count += u32::from((a[i] - b[i] - offset).abs() > different);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::pixel_format::PixelFormat;
    use crate::matting::frame::view::OwnedFrame;

    /// A picture of blocks, as bright as `light` says.
    fn guide(guides: &mut Guides, layout: FrameLayout, seed: usize, light: f32) -> Arc<Guide> {
        let mut frame = OwnedFrame::new(layout);
        for y in 0..layout.height {
            for (x, code) in frame.view_mut().row_mut(0, y).iter_mut().enumerate() {
                let block = (x / 16 + 1) * 7919 + (y / 16 + 1) * 104_729 + seed * 15_485_863;
                // What a camera adds is as loud in the dark.
                let noise = ((x * 31 + y * 17 + seed * 5) % 5) as f32 - 2.0;
                *code = (light * (block % 251) as f32 + noise).clamp(0.0, 255.0) as u8;
            }
        }
        guides.look(&frame.view())
    }

    #[test]
    fn another_scene_is_told_in_the_dark_as_well_and_noise_is_none() {
        let layout = FrameLayout::new(PixelFormat::Gray8, 320, 200);
        let mut guides = Guides::new(&layout);
        for light in [1.0, 0.5, 0.25, 0.12] {
            let [one, other] = [1, 2].map(|seed| guide(&mut guides, layout, seed, light));
            assert!(one.is_elsewhere(&other), "at {light}");
            let again = guide(&mut guides, layout, 1, light);
            assert!(!again.is_elsewhere(&one), "at {light}");
        }
    }
}
