// SPDX-License-Identifier: MIT

//! The person's own colours at soft edges, so that no glow of the old background surrounds them.
//!
//! A frame's colour I is a mixture, I = α·F + (1 − α)·B, of which the person's part F is wanted.
//! F and B change slowly beside the matte, so they are estimated on a small picture of the frame,
//! from coarse to fine: on every level what is left of the mixture that F and B do not explain is
//! shared out between them, as much as is least (Germer et al. 2020, "Fast Multi-Level Foreground
//! Estimation"), and both are blurred, weighed by α and 1 − α (Forte 2021, "Approximate Fast
//! Foreground Colour Estimation"). Only where the matte is soft, and a cell around, is anything
//! estimated. The last of those steps is then taken once more for each soft sample of the frame,
//! in the output's own codes, with F and B enlarged to it.
//!
//! The small picture at all its sizes is in `levels.rs`, made of `cells.rs`; what is done to each of
//! them in `estimate.rs`; the last step in `unmix.rs`. The finest size takes most of the time, and
//! most of that memory takes: it is estimated a row at a time, when the frame's rows ask for it; and where
//! nearly the whole matte is soft, it is left out.

mod cells;
mod estimate;
mod fixed;
mod levels;
#[cfg(test)]
mod tests;
mod unmix;

use std::ops::Range;

use self::cells::{BLOCK, convert, inner, known_blocks, means, pad, padded};
use self::estimate::Scratch;
pub use self::fixed::Unmixed;
use self::levels::{Level, Sides};
pub use self::unmix::clear_pixels;
use self::unmix::{Between, Unmixer};
use crate::matting::frame::color::Affine;
use crate::matting::frame::conversion::{black, conversion};
use crate::matting::frame::packed::Band;
use crate::matting::frame::sample::Sample;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::kernels::samples::gather;
use crate::matting::matte::enlarge::MatteRows;

/// The shorter side of the small picture has at most so many cells.
const MAX_CELLS: usize = 320;
/// The largest cell, in pixels.
const MAX_FACTOR: usize = 16;
/// How often colours are corrected and blurred on a level, but for the finest, which takes the most
/// time and begins with what is nearly right: once.
const ITERATIONS: usize = 2;
/// Where colours are estimated in more than this share of the finest level, which no matte of a person
/// asks for, the next level has to do, so that no matte costs much more than others,
const CROWDED: f32 = 0.5;
/// until it is this share or less.
const ROOMY: f32 = 0.4;
/// Rows of the finest level that are needed at a time: two between which samples lie, and as many on
/// which the next ones depend.
const FINEST_ROWS: usize = 4;

/// Estimates the person's colours, for outputs of one layout from frames of one layout.
pub struct Foreground<S: Unmixed> {
    /// Pixels along a side of the finest level's cells, a power of two.
    factor: usize,
    /// Whether the finest level is left out.
    is_crowded: bool,
    from: FrameLayout,
    to: FrameLayout,
    to_codes: Affine,
    /// A row of the frame's samples.
    samples: Vec<S>,
    /// The same of a frame whose codes do not lie apart.
    band: Option<Band>,
    /// The finest first.
    levels: Vec<Level<S>>,
    scratch: Scratch,
    /// Counts frames.
    frame: u64,
}

/// What writing a frame's rows needs, from the top down; covers of a frame may have theirs each, to be
/// written at the same time.
pub struct ForegroundRows<S: Unmixed> {
    /// Which of the frames.
    of: u64,
    /// Of the finest level.
    sides: Sides,
    scratch: Scratch,
    /// For each plane of the output that holds colour, from the finest level and from the next.
    unmixers: [Vec<Unmixer<S>>; 2],
    /// Blocks where something is estimated in either of two rows of cells, run by run, and which rows.
    known: Vec<Range<usize>>,
    known_in: Option<[usize; 2]>,
}

impl<S: Unmixed> ForegroundRows<S> {
    /// Forgets the frame before.
    fn restart(&mut self, frame: u64) {
        self.of = frame;
        self.unmixers.iter_mut().flatten().for_each(Unmixer::forget);
        self.sides.restart(0);
        self.known_in = None;
    }
}

impl<S: Unmixed> Foreground<S> {
    /// For frames of layout `from` that become layout `to`.
    pub fn new(from: &FrameLayout, to: &FrameLayout) -> Self {
        let mut factor = 2;
        while from.width.min(from.height) > MAX_CELLS * factor && factor < MAX_FACTOR {
            factor *= 2;
        }
        let (width, height) = (from.width.div_ceil(factor), from.height.div_ceil(factor));
        let mut levels = vec![Level::new(width.div_ceil(BLOCK), height, 0)];
        while let Some(level) = levels.last()
            && level.height.max(level.blocks()) > 1
        {
            let height = level.height.div_ceil(2);
            levels.push(Level::new(level.blocks().div_ceil(2), height, height));
        }
        let width = levels[0].width;
        Self {
            factor,
            is_crowded: false,
            from: from.apart(),
            to: to.apart(),
            to_codes: conversion(from, to),
            samples: vec![S::NONE; from.width],
            band: Band::new(from, 1),
            levels,
            scratch: Scratch::new(width),
            frame: 0,
        }
    }

    /// What writing rows needs.
    pub fn rows(&self) -> ForegroundRows<S> {
        let (format, width) = (self.to.format, self.levels[0].width);
        let planes = format.color_components().iter().map(|c| c.plane + 1).max().unwrap_or(0);
        let unmixers = |index: usize| {
            let level = self.levels.get(index).into_iter();
            let planes = level.flat_map(|level| (0..planes).map(|plane| (level.width, plane)));
            let unmixer = |(width, plane)| Unmixer::new(format, plane, self.factor << index, width);
            planes.map(unmixer).collect()
        };
        ForegroundRows {
            of: 0,
            sides: Sides::new(width, FINEST_ROWS),
            scratch: Scratch::new(width),
            unmixers: [unmixers(0), unmixers(1)],
            known: Vec::new(),
            known_in: None,
        }
    }

    /// Estimates the colours of a frame with its matte, but for the finest level.
    pub fn update(&mut self, frame: &FrameView<'_>, matte: &mut dyn MatteRows<S>) {
        self.frame += 1;
        self.take_matte(matte);
        let share = self.levels[0].share_estimated();
        if share == 0.0 {
            return;
        }
        let most = if self.is_crowded { ROOMY } else { CROWDED };
        self.is_crowded = share > most && self.levels.len() > 1;
        self.take_codes(frame);
        for index in (1..self.levels.len()).rev() {
            let (finer, coarser) = self.levels.split_at_mut(index + 1);
            finer[index].estimate(coarser.first(), ITERATIONS, &mut self.scratch);
        }
    }

    /// Which level's colours are enlarged to the frame.
    fn shown(&self) -> usize {
        usize::from(self.is_crowded)
    }

    fn find_known(&self, rows: &mut ForegroundRows<S>, Between { upper, lower, .. }: Between) {
        if rows.of != self.frame {
            rows.restart(self.frame);
        }
        if rows.known_in.replace([upper, lower]) != Some([upper, lower]) {
            let works = [upper, lower].map(|y| self.levels[self.shown()].work_row(y));
            rows.known.clear();
            rows.known.extend(known_blocks(works));
        }
    }

    /// Replaces what shows of the old background in row `y` of plane `plane`. `matte` are the
    /// weights of the row's pixels, `half` those at the chroma's resolution. Where `clears`, what
    /// the matte leaves nothing of gets the person's colour beside an edge, and elsewhere black.
    ///
    /// The finest level is estimated as rows ask for it, while it is in the cache: to be called from
    /// the top down, for each plane.
    pub fn apply(
        &self,
        rows: &mut ForegroundRows<S>,
        (plane, y): (usize, usize),
        [matte, half]: [&[S]; 2],
        clears: bool,
        row: &mut [S],
    ) {
        let between = self.rows_around(y, self.to.format.plane_v_shift(plane));
        self.find_known(rows, between);
        let (pixel, samples) =
            if clears { black_pixel(&self.to, plane) } else { ([S::NONE; 4], 1) };
        let level = &self.levels[self.shown()];
        let ForegroundRows { sides, scratch, unmixers, known, .. } = rows;
        if !known.is_empty() && !self.is_crowded {
            // The first row is not right, and planes need not agree on the upper one.
            let start = between.upper.saturating_sub(2);
            if sides.next < start {
                sides.restart(start);
            }
            level.estimate_until(between.lower, self.levels.get(1), sides, scratch);
        }
        let sides = if self.is_crowded { &level.sides } else { &*sides };
        let Some(unmixer) = unmixers[self.shown()].get_mut(plane) else { return };
        let clear = clears.then_some(&pixel[..samples]);
        unmixer.unmix((level, sides), between, known, [matte, half], clear, row);
    }

    /// The rows of cells around row `y` of a component.
    fn rows_around(&self, y: usize, v_shift: u32) -> Between {
        let cell = (self.factor << self.shown() >> v_shift) as f32;
        let last = self.levels[self.shown()].height - 1;
        let position = ((y as f32 + 0.5) / cell - 0.5).clamp(0.0, last as f32);
        let upper = position as usize;
        Between { upper, lower: (upper + 1).min(last), share: position - upper as f32 }
    }

    /// Brings the matte down to all levels, and finds out where it is soft.
    fn take_matte(&mut self, matte: &mut dyn MatteRows<S>) {
        let finest = &mut self.levels[0];
        for y in 0..finest.height {
            let row = matte.row(middle_row(y, self.factor, self.from.height));
            finest.take_matte_row(y, row, self.factor);
        }
        for index in 0..self.levels.len() {
            let (finer, rest) = self.levels.split_at_mut(index);
            let level = &mut rest[0];
            if let Some(finer) = finer.last() {
                level.take_matte(finer);
            }
            level.find_soft(finer.last());
            level.plan();
        }
    }

    /// Brings the frame's colours down to all levels, in the output's codes.
    fn take_codes(&mut self, frame: &FrameView<'_>) {
        for y in 0..self.levels[0].height {
            self.take_codes_row(frame, y);
            // Rows that are complete are halved while they are in the cache.
            let (mut y, mut index) = (y, 1);
            while index < self.levels.len()
                && (y % 2 == 1 || y == self.levels[index - 1].height - 1)
            {
                y /= 2;
                let (finer, coarser) = self.levels.split_at_mut(index);
                coarser[0].take_codes(y, &finer[index - 1]);
                index += 1;
            }
        }
    }

    /// The finest level's row `y` of the frame's colours.
    fn take_codes_row(&mut self, frame: &FrameView<'_>, y: usize) {
        let y_in_frame = middle_row(y, self.factor, self.from.height);
        let apart;
        let frame = match &mut self.band {
            Some(band) => {
                apart = band.take(frame, y_in_frame..y_in_frame + 1);
                &apart
            }
            None => frame,
        };
        let finest = &mut self.levels[0];
        let (width, stride) = (finest.width, padded(finest.width));
        let rows = finest.codes_row_mut(y);
        let components = self.from.format.color_components();
        let depth = self.from.format.depth();
        let lift = S::BITS - depth.bits - depth.shift;
        for (component, row) in components.iter().zip(rows.chunks_exact_mut(stride)) {
            let source = frame.samples(component.plane, y_in_frame >> component.v_shift);
            let size = self.factor >> component.h_shift;
            let count = component.width(self.from.width);
            if component.step == 1 {
                means(&source[..count], size, lift, inner(row));
            } else {
                let samples = &mut self.samples[..count];
                gather(source, component.offset, component.step, samples);
                means(samples, size, lift, inner(row));
            }
        }
        if components.len() == 1 {
            // Gray is the same in all three.
            rows.copy_within(..stride, stride);
            rows.copy_within(..stride, 2 * stride);
        }
        if self.to_codes != Affine::IDENTITY {
            let (first, rest) = rows[BLOCK..].split_at_mut(stride);
            let (second, third) = rest.split_at_mut(stride);
            let cells = ..width;
            convert(&mut first[cells], &mut second[cells], &mut third[cells], &self.to_codes);
        }
        rows.chunks_exact_mut(stride).for_each(pad);
    }
}

/// The samples of plane `plane`, or of a pixel, that show nothing, and how many they are.
pub fn black_pixel<S: Sample>(layout: &FrameLayout, plane: usize) -> ([S; 4], usize) {
    let components = layout.format.color_components().iter().enumerate();
    let (mut pixel, mut samples) = ([S::NONE; 4], 1);
    for (index, component) in components.filter(|(_, c)| c.plane == plane) {
        pixel[component.offset] = S::encode(black(layout, index), layout.format.depth());
        samples = component.step;
    }
    (pixel, samples)
}

/// The row of a frame that stands for row `y` of cells.
fn middle_row(y: usize, factor: usize, height: usize) -> usize {
    (y * factor + factor / 2).min(height - 1)
}
