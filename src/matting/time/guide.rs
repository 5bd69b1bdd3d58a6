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

/// A sample differs much by so many codes,
const DIFFERENT: f32 = 20.0;
/// and a scene where this share of its samples does.
const ELSEWHERE: f32 = 0.6;

/// A small picture of a frame, which motion is estimated on.
#[derive(Clone, Debug)]
pub struct Guide {
    pub(super) luma: Pyramid,
    chroma: [Picture; 2],
    /// Which of the frames that were looked at.
    pub(super) number: u64,
}

impl Guide {
    /// Of nothing.
    fn blank(size: Size) -> Self {
        let Size { width, height } = size;
        let plane = Picture::new(width, height);
        Self { luma: Pyramid::new(width, height), chroma: [plane.clone(), plane], number: 0 }
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
        let differ: u32 = (0..height)
            .map(|y| count_different(&now.row(y)[..width], &before.row(y)[..width]))
            .sum();
        differ as f32 > ELSEWHERE * (width * height) as f32
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

/// How many samples differ much.
#[multiversion(targets = "simd")]
fn count_different(a: &[f32], b: &[f32]) -> u32 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mut count = 0;
    for i in 0..n {
        count += u32::from((a[i] - b[i]).abs() > DIFFERENT);
    }
    count
}
