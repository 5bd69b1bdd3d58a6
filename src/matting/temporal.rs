//! Smoothing of mattes over time: flicker is taken out where the picture stands still, and what
//! moves is left alone.
//!
//! A network's mattes of neighbouring frames differ a little even where nothing moves, and edges
//! crawl. A recursive mean takes that out, but drags behind whatever moves. Two observations tell
//! the one from the other:
//!
//! - where the frames are the same, so is the truth, and the mean counts in full; where they
//!   changed, it does not count at all;
//! - flicker goes to and fro, while motion too slow to be seen between two frames goes on in one
//!   direction. Where the difference to the mean keeps its sign, the newest matte wins, so that a
//!   slow edge is not dragged either.

// Rows are read together at the same index.
#![allow(clippy::needless_range_loop)]

use multiversion::multiversion;

use super::carry::Guide;
use super::geometry::AxisGeometry;
use super::model::Fit;
use super::network::Size;

/// A sample of a guide that changed by this many codes or less stands still, when it and its
/// neighbours are averaged; noise of a camera reaches half of that.
const STILL: f32 = 8.0;
/// One that changed by this many has moved.
const MOVED: f32 = 20.0;
/// A scene is another one where this share of the samples has moved.
const CUT: f32 = 0.6;
/// What is kept of the trend of the differences from frame to frame.
const KEPT: f32 = 0.8;
/// A trend of this share of the difference begins to count as motion,
const WAVERING: f32 = 0.25;
/// and of this share is motion.
const STEADY: f32 = 0.75;
/// Differences up to this size are flicker; larger ones are believed more and more, for a network
/// that has seen something new is better followed,
const SMALL: f32 = 0.3;
/// but only this far.
const LARGE_COUNTS: f32 = 0.5;
/// Below this a difference cannot be seen.
const INVISIBLE: f32 = 1.0 / 512.0;
/// Samples that are looked at together.
const CHUNK: usize = 16;

/// What became of the picture since the frame before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The same scene, or the first frame.
    Scene,
    /// Another scene.
    Cut,
}

/// Smooths the mattes of one stream of frames.
pub struct Smoother {
    guide: Size,
    mask: Size,
    /// The frame before: luma and both chroma planes; empty before the first.
    before: [Vec<f32>; 3],
    has_before: bool,
    /// How much each sample of the guide stands still, 0 to 1.
    still: Vec<f32>,
    scratch: Vec<f32>,
    /// For each column and row of the mask, where in the guide it lies.
    taps: [Vec<Tap>; 2],
    line: Vec<f32>,
    smoothed: Vec<f32>,
    has_smoothed: bool,
    /// Running mean of the differences between mattes and the smoothed ones before them.
    trend: Vec<f32>,
    /// Chunks whose trend is not 0.
    restless: Vec<bool>,
}

/// Linear interpolation between two neighbours.
#[derive(Clone, Copy, Debug)]
struct Tap {
    first: usize,
    second: usize,
    share: f32,
}

impl Smoother {
    /// For guides of frames of `frame` size, and masks of size `mask` of a network whose input of
    /// size `input` holds the frames by `fit`.
    pub fn new(guide: &Guide, frame: Size, input: Size, mask: Size, fit: Fit) -> Self {
        let size = guide.size();
        let taps = |axis: AxisGeometry, frame: usize, guide: usize, mask: usize| -> Vec<Tap> {
            let per_sample = guide as f32 / frame as f32 / axis.mask_per_frame(mask);
            let last = guide - 1;
            let tap = |i| {
                let at = (i as f32 + 0.5 - axis.frame_edge(mask)) * per_sample - 0.5;
                let at = at.clamp(0.0, last as f32);
                let first = at as usize;
                Tap { first, second: (first + 1).min(last), share: at - first as f32 }
            };
            (0..mask).map(tap).collect()
        };
        let [x, y] = AxisGeometry::pair(frame, input, fit);
        Self {
            guide: size,
            before: std::array::from_fn(|_| vec![0.0; size.area()]),
            has_before: false,
            still: vec![0.0; size.area()],
            scratch: vec![0.0; size.area()],
            taps: [
                taps(x, frame.width, size.width, mask.width),
                taps(y, frame.height, size.height, mask.height),
            ],
            line: vec![0.0; size.width],
            smoothed: vec![0.0; mask.area()],
            has_smoothed: false,
            trend: vec![0.0; mask.area()],
            restless: vec![false; mask.height * mask.width.div_ceil(CHUNK)],
            mask,
        }
    }

    /// Forgets every frame and matte.
    pub fn forget(&mut self) {
        self.has_before = false;
        self.has_smoothed = false;
    }

    /// Forgets the mattes: the next one is taken as it is.
    pub fn forget_matte(&mut self) {
        self.has_smoothed = false;
    }

    /// Takes in the guide of the next frame, once for each, in order. A cut forgets the mattes.
    pub fn observe(&mut self, guide: &Guide) -> Change {
        let Size { width, height } = self.guide;
        let planes = guide.planes();
        for y in 0..height {
            let range = y * width..(y + 1) * width;
            let now = planes.map(|plane| &plane.row(y)[..width]);
            let [luma, first, second] = self.before.each_mut().map(|p| &mut p[range.clone()]);
            differ(now, luma, first, second, &mut self.still[range]);
        }
        if !std::mem::replace(&mut self.has_before, true) {
            self.still.fill(0.0);
            return Change::Scene;
        }
        let (still, scratch) = (&mut self.still, &mut self.scratch);
        filter(still, scratch, width, |a, b, c| (a + b + c) / 3.0);
        filter(still, scratch, width, |a, b, c| a.max(b).max(c));
        let moved: u32 = still.iter().map(|&change| u32::from(change > MOVED)).sum();
        for value in still.iter_mut() {
            *value = ((MOVED - *value) / (MOVED - STILL)).clamp(0.0, 1.0);
        }
        if moved as f32 <= CUT * self.guide.area() as f32 {
            return Change::Scene;
        }
        self.has_smoothed = false;
        Change::Cut
    }

    /// The smoothed matte for `mask`, of the frame that was observed last. The one before counts for
    /// `strength` at most, 0 to 1.
    pub fn smooth(&mut self, mask: &[f32], strength: f32) -> &[f32] {
        if !std::mem::replace(&mut self.has_smoothed, true) {
            self.smoothed.copy_from_slice(mask);
            self.trend.fill(0.0);
            self.restless.fill(false);
            return &self.smoothed;
        }
        let width = self.mask.width;
        let chunks = width.div_ceil(CHUNK);
        let [columns, rows] = &self.taps;
        for (y, tap) in rows.iter().enumerate() {
            let range = y * width..(y + 1) * width;
            let row = Row {
                mask: &mask[range.clone()],
                smoothed: &mut self.smoothed[range.clone()],
                trend: &mut self.trend[range],
                restless: &mut self.restless[y * chunks..(y + 1) * chunks],
            };
            let still = [tap.first, tap.second]
                .map(|row| &self.still[row * self.guide.width..][..self.guide.width]);
            smooth_row(row, still[0], still[1], tap.share, &mut self.line, columns, strength);
        }
        &self.smoothed
    }
}

/// A row of masks.
struct Row<'a> {
    mask: &'a [f32],
    smoothed: &'a mut [f32],
    trend: &'a mut [f32],
    restless: &'a mut [bool],
}

/// Smooths a row. `upper` and `lower` are the rows of the guide around it, of which `share` of the
/// lower one counts; `line` gets what they give.
#[multiversion(targets = "simd")]
fn smooth_row(
    row: Row<'_>,
    upper: &[f32],
    lower: &[f32],
    share: f32,
    line: &mut [f32],
    columns: &[Tap],
    strength: f32,
) {
    let mut has_line = false;
    let mut smooth = |mask: &_, smoothed: &mut _, trend: &mut _, columns, restless: &mut bool| {
        // Where nothing is seen to change, which is nearly everywhere, nothing is done.
        if !*restless && largest_difference(mask, smoothed) < INVISIBLE {
            return;
        }
        if !std::mem::replace(&mut has_line, true) {
            blend_rows(upper, lower, share, line);
        }
        *restless = smooth_chunk(mask, smoothed, trend, &stillness(line, columns), strength);
    };
    let (masks, mask) = row.mask.as_chunks::<CHUNK>();
    let (smootheds, smoothed) = row.smoothed.as_chunks_mut::<CHUNK>();
    let (trends, trend) = row.trend.as_chunks_mut::<CHUNK>();
    let (restless, last_restless) = row.restless.split_at_mut(masks.len());
    let (columns, last_columns) = columns.as_chunks::<CHUNK>();
    let chunks = masks.iter().zip(smootheds).zip(trends).zip(columns).zip(restless);
    for ((((mask, smoothed), trend), columns), restless) in chunks {
        smooth(mask, smoothed, trend, columns, restless);
    }
    if let Some(restless) = last_restless.first_mut() {
        // As long as the others, with zeros that nothing comes of.
        let [mut long_mask, mut long_smoothed, mut long_trend] = [[0.0; CHUNK]; 3];
        let n = mask.len();
        long_mask[..n].copy_from_slice(mask);
        long_smoothed[..n].copy_from_slice(smoothed);
        long_trend[..n].copy_from_slice(trend);
        smooth(&long_mask, &mut long_smoothed, &mut long_trend, last_columns, restless);
        smoothed.copy_from_slice(&long_smoothed[..n]);
        trend.copy_from_slice(&long_trend[..n]);
    }
}

#[inline(always)]
fn blend_rows(upper: &[f32], lower: &[f32], share: f32, out: &mut [f32]) {
    let n = out.len();
    let (upper, lower) = (&upper[..n], &lower[..n]);
    for i in 0..n {
        out[i] = upper[i] + share * (lower[i] - upper[i]);
    }
}

/// How much up to a chunk of samples of the mask stand still.
#[inline(always)]
fn stillness(line: &[f32], columns: &[Tap]) -> [f32; CHUNK] {
    let mut still = [0.0; CHUNK];
    for (still, tap) in still.iter_mut().zip(columns) {
        let (a, b) = (line[tap.first], line[tap.second]);
        *still = a + tap.share * (b - a);
    }
    still
}

/// Smooths a chunk of samples; whether any of their trends can still be seen.
// All loops are as long as the arrays, and become straight vector code.
#[inline(always)]
fn smooth_chunk(
    mask: &[f32; CHUNK],
    smoothed: &mut [f32; CHUNK],
    trend: &mut [f32; CHUNK],
    still: &[f32; CHUNK],
    strength: f32,
) -> bool {
    for i in 0..CHUNK {
        let difference = mask[i] - smoothed[i];
        let size = difference.abs();
        let kept = KEPT * trend[i] + (1.0 - KEPT) * difference;
        trend[i] = kept;
        let steadiness = kept.abs() / (size + 1e-4);
        let wavers = within_1((STEADY - steadiness) / (STEADY - WAVERING));
        let wavers = if size < 2.0 * INVISIBLE { 1.0 } else { wavers };
        let surprise = within_1((size - SMALL) / (1.0 - SMALL));
        let believed = 1.0 - (1.0 - LARGE_COUNTS) * surprise;
        smoothed[i] = mask[i] - strength * still[i] * wavers * believed * difference;
    }
    largest_difference(trend, &[0.0; CHUNK]) >= INVISIBLE
}

/// Within 0 and 1. Unlike `clamp`, which keeps what is not a number, it is two vector instructions.
#[inline(always)]
fn within_1(value: f32) -> f32 {
    let value = if value > 0.0 { value } else { 0.0 };
    if value < 1.0 { value } else { 1.0 }
}

#[inline(always)]
fn largest_difference(a: &[f32; CHUNK], b: &[f32; CHUNK]) -> f32 {
    let mut differences = [0.0; CHUNK];
    for i in 0..CHUNK {
        differences[i] = (a[i] - b[i]).abs();
    }
    let mut n = CHUNK;
    while n > 1 {
        n /= 2;
        for i in 0..n {
            let (a, b) = (differences[i], differences[n + i]);
            differences[i] = if a > b { a } else { b };
        }
    }
    differences[0]
}

/// The largest change of the three planes since `luma`, `first` and `second`, which become `now`.
#[multiversion(targets = "simd")]
fn differ(
    now: [&[f32]; 3],
    luma: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    out: &mut [f32],
) {
    let n = out.len();
    let [a, b, c] = now.map(|row| &row[..n]);
    let (luma, first, second) = (&mut luma[..n], &mut first[..n], &mut second[..n]);
    for i in 0..n {
        let change = (a[i] - luma[i]).abs();
        let change = change.max((b[i] - first[i]).abs());
        out[i] = change.max((c[i] - second[i]).abs());
    }
    luma.copy_from_slice(a);
    first.copy_from_slice(b);
    second.copy_from_slice(c);
}

/// Replaces each sample by what `of` makes of it and its neighbours, first along rows, then along
/// columns; the picture's edge is repeated.
fn filter(
    picture: &mut [f32],
    scratch: &mut [f32],
    width: usize,
    of: impl Fn(f32, f32, f32) -> f32 + Copy,
) {
    let height = picture.len() / width;
    for (row, out) in picture.chunks_exact(width).zip(scratch.chunks_exact_mut(width)) {
        let last = width - 1;
        out[0] = of(row[0], row[0], row[last.min(1)]);
        for i in 1..last.max(1) {
            out[i] = of(row[i - 1], row[i], row[i + 1]);
        }
        out[last] = of(row[last.saturating_sub(1)], row[last], row[last]);
    }
    for (y, out) in picture.chunks_exact_mut(width).enumerate() {
        let row = |y: usize| &scratch[y * width..][..width];
        let (above, at, below) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(height - 1)));
        for i in 0..width {
            out[i] = of(above[i], at[i], below[i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::carry::Carrier;
    use crate::matting::color::Colorimetry;
    use crate::matting::frame_view::{FrameLayout, OwnedFrame};
    use crate::matting::pixel_format::PixelFormat;
    use proptest::prelude::*;

    const MASK: Size = Size { width: 96, height: 64 };

    /// Smooths the mattes of gray frames twice their size.
    struct Bench {
        carrier: Carrier,
        guide: Guide,
        smoother: Smoother,
        frame: OwnedFrame,
    }

    impl Bench {
        fn new() -> Self {
            let (width, height) = (2 * MASK.width, 2 * MASK.height);
            let color = Colorimetry::default();
            let layout = FrameLayout { format: PixelFormat::Gray8, width, height, color };
            let carrier = Carrier::new(&layout, MASK, MASK, Fit::Stretch);
            let guide = carrier.guide();
            let frame = Size { width, height };
            let smoother = Smoother::new(&guide, frame, MASK, MASK, Fit::Stretch);
            Self { carrier, guide, smoother, frame: OwnedFrame::new(layout) }
        }

        fn observe(&mut self, value: impl Fn(usize, usize) -> f32) -> Change {
            for y in 0..2 * MASK.height {
                for (x, byte) in self.frame.view_mut().row_mut(0, y).iter_mut().enumerate() {
                    *byte = value(x, y) as u8;
                }
            }
            self.carrier.look(&self.frame.view(), &mut self.guide);
            self.smoother.observe(&self.guide)
        }
    }

    /// The matte of everything left of `edge`, with a ramp.
    fn left_of(edge: f32) -> Vec<f32> {
        let at = |i: usize| (0.5 + (edge - (i % MASK.width) as f32) / 3.0).clamp(0.0, 1.0);
        (0..MASK.area()).map(at).collect()
    }

    /// The frame of that matte.
    fn shown(edge: f32) -> impl Fn(usize, usize) -> f32 {
        move |x, _| 50.0 + 120.0 * (0.5 + (edge - x as f32 / 2.0) / 2.0).clamp(0.0, 1.0)
    }

    /// How far an edge of `a` lies behind that of `b`, in samples.
    fn behind(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| b - a).sum::<f32>() / MASK.height as f32
    }

    #[test]
    fn flicker_of_a_still_edge_is_taken_out() {
        let mut bench = Bench::new();
        let (mut raw, mut smooth) = (0.0, 0.0);
        let mut before: Option<[Vec<f32>; 2]> = None;
        for n in 0..40 {
            bench.observe(shown(40.0));
            // An edge that jumps about by up to half a sample.
            let matte = left_of(40.0 + 0.5 * ((n * 37 % 11) as f32 / 5.0 - 1.0));
            let smoothed = bench.smoother.smooth(&matte, 0.8).to_vec();
            if let Some([m, s]) = &before {
                raw += behind(m, &matte).powi(2);
                smooth += behind(s, &smoothed).powi(2);
            }
            before = Some([matte, smoothed]);
        }
        assert!(smooth < 0.36 * raw, "{smooth} of {raw}");
    }

    #[test]
    fn no_edge_is_dragged_by_more_than_half_a_frame() {
        for speed in [0.05, 0.1, 0.2, 0.4, 0.8, 2.0] {
            let mut bench = Bench::new();
            let mut worst = 0.0f32;
            for n in 0..20 {
                let edge = 30.0 + speed * n as f32;
                bench.observe(shown(edge));
                let matte = left_of(edge);
                let smoothed = bench.smoother.smooth(&matte, 0.8);
                // In the first frames a slow motion cannot be told from flicker.
                if n >= 8 {
                    worst = worst.max(behind(smoothed, &matte) / speed);
                }
            }
            assert!(worst <= 0.5, "{worst} frames at {speed} samples a frame");
        }
    }

    #[test]
    fn a_cut_and_a_fresh_start_take_the_matte_as_it_is() {
        let mut bench = Bench::new();
        let (a, b) = (left_of(20.0), left_of(70.0));
        bench.observe(shown(20.0));
        bench.smoother.smooth(&a, 1.0);
        assert_eq!(bench.observe(shown(20.0)), Change::Scene);
        assert_ne!(bench.smoother.smooth(&b, 1.0), b);
        assert_eq!(bench.observe(|x, y| ((x * 31 + y * 17) % 199) as f32 / 4.0), Change::Cut);
        assert_eq!(bench.smoother.smooth(&b, 1.0), b);
        bench.smoother.forget();
        assert_eq!(bench.smoother.smooth(&a, 1.0), a);
    }

    proptest! {
        #[test]
        fn mattes_stay_in_range(seed in 0usize..1000, strength in 0f32..1.0) {
            let mut bench = Bench::new();
            for n in 0..4 {
                bench.observe(|x, y| ((x + y * seed + n) % 200) as f32);
                let mask: Vec<f32> = (0..MASK.area()).map(|i| (i * (seed + n) % 101) as f32 / 100.0).collect();
                let smoothed = bench.smoother.smooth(&mask, strength);
                prop_assert!(smoothed.iter().all(|value| (0.0..=1.0).contains(value)));
            }
        }
    }
}
