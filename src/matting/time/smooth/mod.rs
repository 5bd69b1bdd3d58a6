// SPDX-License-Identifier: MIT

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

use crate::matting::frame::size::Size;
use crate::matting::input::geometry::{AxisGeometry, MaskLayout};
use crate::matting::kernels::round::nearest;
use crate::matting::kernels::tap::{Tap, blend};
use crate::matting::time::guide::Guide;

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
/// A matte may become so many times what the network says, and so may what is left of it.
const SURE: f32 = 4.0;
/// Below this a difference cannot be seen.
const INVISIBLE: f32 = 1.0 / 512.0;
/// Samples that are looked at together.
const CHUNK: usize = 16;
/// Parts of a code in which changes of the guide are counted.
const PARTS: f32 = 16.0;

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
    /// The frame before: luma and both chroma planes, in parts of a code.
    before: [Vec<i16>; 3],
    has_before: bool,
    /// By how much each sample of the guide and its neighbours changed, in parts of a code.
    changes: Vec<u16>,
    scratch: Vec<u16>,
    /// How much each sample of the guide stands still, 0 to 1.
    still: Vec<f32>,
    /// For each row of the mask, where in the guide it lies.
    rows: Vec<Tap>,
    columns: Columns,
    line: Vec<f32>,
    smoothed: Vec<f32>,
    has_smoothed: bool,
    /// Running mean of the differences between mattes and the smoothed ones before them.
    trend: Vec<f32>,
    /// Chunks whose trend is not 0.
    restless: Vec<bool>,
    /// Between which values a chunk of a mask may lie to make no change that is seen, whatever in the
    /// chunk it meets. Nearly all chunks are flat, and not looked at any closer.
    quiet: Vec<[f32; 2]>,
}

/// Nothing lies between these.
const NEVER: [f32; 2] = [f32::INFINITY, f32::NEG_INFINITY];

/// Linear interpolation of chunks of a row, each as a sum over neighbouring samples.
struct Columns {
    /// Samples that a chunk needs at most.
    window: usize,
    /// The first of them, for each chunk.
    first: Vec<usize>,
    /// For each chunk and each of its samples, their share in each value.
    shares: Vec<[f32; CHUNK]>,
}

impl Columns {
    fn new(taps: &[Tap]) -> Self {
        let chunks = || taps.chunks(CHUNK);
        let first = |chunk: &[Tap]| chunk.iter().map(|tap| tap.first).min().unwrap_or_default();
        let last = |chunk: &[Tap]| chunk.iter().map(|tap| tap.second).max().unwrap_or_default();
        let window = chunks().map(|chunk| last(chunk) - first(chunk) + 1).max().unwrap_or(1);
        let mut shares = vec![[0.0; CHUNK]; window * chunks().len()];
        for (chunk, shares) in chunks().zip(shares.chunks_exact_mut(window)) {
            for (i, tap) in chunk.iter().enumerate() {
                shares[tap.first - first(chunk)][i] += 1.0 - tap.share;
                shares[tap.second - first(chunk)][i] += tap.share;
            }
        }
        Self { window, first: chunks().map(first).collect(), shares }
    }

    /// The values of a chunk, from a row with [`window`](Self::window) samples behind it.
    #[inline(always)]
    fn interpolate(&self, chunk: usize, line: &[f32]) -> [f32; CHUNK] {
        let samples = &line[self.first[chunk]..][..self.window];
        let shares = &self.shares[chunk * self.window..][..self.window];
        let mut values = [0.0; CHUNK];
        for k in 0..self.window {
            for i in 0..CHUNK {
                values[i] += samples[k] * shares[k][i];
            }
        }
        values
    }
}

impl Smoother {
    /// For guides of `guide` size of frames of `frame` size, and masks that lie on them so.
    pub fn new(guide: Size, frame: Size, masks: MaskLayout) -> Self {
        let (size, mask) = (guide, masks.mask);
        let taps = |axis: AxisGeometry, frame: usize, guide: usize, mask: usize| -> Vec<Tap> {
            let per_sample = guide as f32 / frame as f32 / axis.mask_per_frame(mask);
            let at = |i| (i as f32 + 0.5 - axis.frame_edge(mask)) * per_sample - 0.5;
            (0..mask).map(|i| Tap::new(at(i), guide)).collect()
        };
        let [x, y] = masks.axes(frame);
        let columns = Columns::new(&taps(x, frame.width, size.width, mask.width));
        let chunks = mask.height * mask.width.div_ceil(CHUNK);
        Self {
            guide: size,
            before: std::array::from_fn(|_| vec![0; size.area()]),
            has_before: false,
            changes: vec![0; size.area()],
            scratch: vec![0; size.area()],
            still: vec![0.0; size.area()],
            rows: taps(y, frame.height, size.height, mask.height),
            line: vec![0.0; size.width + columns.window],
            columns,
            smoothed: vec![0.0; mask.area()],
            has_smoothed: false,
            trend: vec![0.0; mask.area()],
            restless: vec![false; chunks],
            quiet: vec![NEVER; chunks],
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
            differ(now, luma, first, second, &mut self.changes[range]);
        }
        if !std::mem::replace(&mut self.has_before, true) {
            self.still.fill(0.0);
            return Change::Scene;
        }
        around::<SUM>(&mut self.changes, &mut self.scratch, width);
        around::<MAX>(&mut self.changes, &mut self.scratch, width);
        let moved = find_still(&self.changes, &mut self.still);
        if moved as f32 <= CUT * self.guide.area() as f32 {
            return Change::Scene;
        }
        self.has_smoothed = false;
        Change::Cut
    }

    /// What [`smooth`](Self::smooth) gave last.
    pub fn smoothed(&self) -> &[f32] {
        &self.smoothed
    }

    /// The smoothed matte for `mask`, of the frame that was observed last. The one before counts for
    /// `strength` at most, 0 to 1.
    pub fn smooth(&mut self, mask: &[f32], strength: f32) -> &[f32] {
        if !std::mem::replace(&mut self.has_smoothed, true) {
            self.smoothed.copy_from_slice(mask);
            self.trend.fill(0.0);
            self.restless.fill(false);
            self.quiet.fill(NEVER);
            return &self.smoothed;
        }
        let width = self.mask.width;
        let chunks = width.div_ceil(CHUNK);
        for (y, tap) in self.rows.iter().enumerate() {
            let range = y * width..(y + 1) * width;
            let row = Row {
                mask: &mask[range.clone()],
                smoothed: &mut self.smoothed[range.clone()],
                trend: &mut self.trend[range],
                restless: &mut self.restless[y * chunks..(y + 1) * chunks],
                quiet: &mut self.quiet[y * chunks..(y + 1) * chunks],
            };
            let still = [tap.first, tap.second]
                .map(|row| &self.still[row * self.guide.width..][..self.guide.width]);
            smooth_row(row, still, tap.share, &mut self.line, &self.columns, strength);
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
    quiet: &'a mut [[f32; 2]],
}

/// Smooths a row. `upper` and `lower` are the rows of the guide around it, of which `share` of the
/// lower one counts; `line` gets what they give.
#[multiversion(targets = "simd")]
fn smooth_row(
    row: Row<'_>,
    [upper, lower]: [&[f32]; 2],
    share: f32,
    line: &mut [f32],
    columns: &Columns,
    strength: f32,
) {
    let mut has_line = false;
    let mut smooth = |chunk, mask: &_, smoothed: &mut _, trend: &mut _, state: (&mut _, &mut _)| {
        let (restless, quiet): (&mut bool, &mut _) = state;
        if !*restless && largest_difference(mask, smoothed) < INVISIBLE {
            *quiet = quiet_about(smoothed);
            return;
        }
        if !std::mem::replace(&mut has_line, true) {
            blend(upper, lower, share, &mut line[..upper.len()]);
        }
        *restless =
            smooth_chunk(mask, smoothed, trend, &columns.interpolate(chunk, line), strength);
        *quiet = if *restless { NEVER } else { quiet_about(smoothed) };
    };
    let (masks, mask) = row.mask.as_chunks::<CHUNK>();
    let (smootheds, smoothed) = row.smoothed.as_chunks_mut::<CHUNK>();
    let (trends, trend) = row.trend.as_chunks_mut::<CHUNK>();
    let whole = masks.len();
    for chunk in 0..whole {
        // Where nothing is seen to change, which is nearly everywhere, nothing is done.
        if is_between(&masks[chunk], row.quiet[chunk]) {
            continue;
        }
        let state = (&mut row.restless[chunk], &mut row.quiet[chunk]);
        smooth(chunk, &masks[chunk], &mut smootheds[chunk], &mut trends[chunk], state);
    }
    if let (Some(restless), Some(quiet)) = (row.restless.get_mut(whole), row.quiet.get_mut(whole)) {
        // As long as the others, with zeros that nothing comes of.
        let [mut long_mask, mut long_smoothed, mut long_trend] = [[0.0; CHUNK]; 3];
        let n = mask.len();
        long_mask[..n].copy_from_slice(mask);
        long_smoothed[..n].copy_from_slice(smoothed);
        long_trend[..n].copy_from_slice(trend);
        smooth(whole, &long_mask, &mut long_smoothed, &mut long_trend, (restless, quiet));
        smoothed.copy_from_slice(&long_smoothed[..n]);
        trend.copy_from_slice(&long_trend[..n]);
    }
}

/// Whether all of a chunk lies between two values.
#[inline(always)]
fn is_between(mask: &[f32; CHUNK], [low, high]: [f32; 2]) -> bool {
    let mut outside = 0;
    for i in 0..CHUNK {
        outside |= u32::from(mask[i] <= low) | u32::from(mask[i] >= high);
    }
    outside == 0
}

/// Between which values nothing is seen to differ from any of a chunk.
#[inline(always)]
fn quiet_about(smoothed: &[f32; CHUNK]) -> [f32; 2] {
    let mut negative = [0.0; CHUNK];
    for i in 0..CHUNK {
        negative[i] = -smoothed[i];
    }
    [largest(*smoothed) - INVISIBLE, INVISIBLE - largest(negative)]
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
        let mean = mask[i] - strength * still[i] * wavers * believed * difference;
        // Where the network is sure, nothing else is shown, whatever was there before: a cut in the dark
        // may go unnoticed.
        smoothed[i] = mean.min(SURE * mask[i]).max(1.0 - SURE * (1.0 - mask[i]));
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
    largest(differences)
}

#[inline(always)]
fn largest(mut values: [f32; CHUNK]) -> f32 {
    let mut n = CHUNK;
    while n > 1 {
        n /= 2;
        for i in 0..n {
            let (a, b) = (values[i], values[n + i]);
            values[i] = if a > b { a } else { b };
        }
    }
    values[0]
}

/// The largest change of the three planes since `luma`, `first` and `second`, which become `now`.
#[multiversion(targets = "simd")]
fn differ(
    now: [&[f32]; 3],
    luma: &mut [i16],
    first: &mut [i16],
    second: &mut [i16],
    out: &mut [u16],
) {
    let parts = |code: f32| nearest(code * PARTS) as i16;
    let n = out.len();
    let (a, b, c) = (&now[0][..n], &now[1][..n], &now[2][..n]);
    let (luma, first, second) = (&mut luma[..n], &mut first[..n], &mut second[..n]);
    for i in 0..n {
        let (a, b, c) = (parts(a[i]), parts(b[i]), parts(c[i]));
        let change = (a - luma[i]).unsigned_abs();
        let change = change.max((b - first[i]).unsigned_abs());
        out[i] = change.max((c - second[i]).unsigned_abs());
        (luma[i], first[i], second[i]) = (a, b, c);
    }
}

const SUM: bool = false;
const MAX: bool = true;

/// Replaces each sample by the sum or the largest of the nine about it; the picture's edge is
/// repeated.
fn around<const OF: bool>(picture: &mut [u16], scratch: &mut [u16], width: usize) {
    let height = picture.len() / width;
    for (row, out) in picture.chunks_exact(width).zip(scratch.chunks_exact_mut(width)) {
        let last = width - 1;
        if last > 0 {
            join_rows::<OF>([&row[..last - 1], &row[1..last], &row[2..]], &mut out[1..last]);
        }
        out[0] = join::<OF>(row[0], row[0], row[last.min(1)]);
        out[last] = join::<OF>(row[last.saturating_sub(1)], row[last], row[last]);
    }
    for (y, out) in picture.chunks_exact_mut(width).enumerate() {
        let row = |y: usize| &scratch[y * width..][..width];
        let rows = [row(y.saturating_sub(1)), row(y), row((y + 1).min(height - 1))];
        join_rows::<OF>(rows, out);
    }
}

#[multiversion(targets = "simd")]
fn join_rows<const OF: bool>(rows: [&[u16]; 3], out: &mut [u16]) {
    let n = out.len();
    let (a, b, c) = (&rows[0][..n], &rows[1][..n], &rows[2][..n]);
    for i in 0..n {
        out[i] = join::<OF>(a[i], b[i], c[i]);
    }
}

#[inline(always)]
fn join<const OF: bool>(a: u16, b: u16, c: u16) -> u16 {
    if OF == MAX { a.max(b).max(c) } else { a + b + c }
}

/// How much samples stand still whose neighbourhoods' changes have these sums, and how many moved.
#[multiversion(targets = "simd")]
fn find_still(changes: &[u16], still: &mut [f32]) -> u32 {
    const WHOLE: f32 = 9.0 * PARTS;
    const MOST: u16 = (MOVED * WHOLE) as u16;
    let mut moved = 0;
    for (still, &change) in still.iter_mut().zip(changes) {
        moved += u32::from(change > MOST);
        *still = within_1((MOVED * WHOLE - f32::from(change)) / ((MOVED - STILL) * WHOLE));
    }
    moved
}

#[cfg(test)]
mod tests;
