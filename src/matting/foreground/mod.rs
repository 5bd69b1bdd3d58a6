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

mod cells;
mod estimate;
mod levels;
#[cfg(test)]
mod tests;
mod unmix;

use self::cells::{LANES, Work, convert, interleave, means};
use self::levels::Level;
use self::unmix::{CellRows, is_nothing, unmix};
use super::color::Affine;
use super::convert::{conversion, gather as gather_row};
use super::finish::MatteRows;
use super::frame_view::{FrameLayout, FrameView};
use super::pixel_format::{Component, Family};

/// The shorter side of the small picture has at most so many cells.
const MAX_CELLS: usize = 320;
/// The largest cell, in pixels.
const MAX_FACTOR: usize = 16;
/// How often colours are corrected and blurred on a level.
const ITERATIONS: usize = 2;
/// And on the finest, which takes the most time and begins with what is nearly right.
const FINEST_ITERATIONS: usize = 1;

/// Estimates the person's colours, for outputs of one layout from frames of one layout.
pub struct Foreground {
    /// Pixels along a side of a cell, a power of two.
    factor: usize,
    from: FrameLayout,
    to: FrameLayout,
    to_codes: Affine,
    /// A row of the frame's samples, and a row of cells of each component.
    samples: Vec<u8>,
    cells: [Vec<f32>; 3],
    /// The finest first.
    levels: Vec<Level>,
}

impl Foreground {
    /// For frames of layout `from` that become layout `to`.
    pub fn new(from: &FrameLayout, to: &FrameLayout) -> Self {
        let mut factor = 2;
        while from.width.min(from.height) > MAX_CELLS * factor && factor < MAX_FACTOR {
            factor *= 2;
        }
        let (width, height) = (from.width.div_ceil(factor), from.height.div_ceil(factor));
        let mut levels = vec![Level::new(width.div_ceil(LANES), height)];
        while let Some(&Level { chunks, height, .. }) = levels.last()
            && height.max(chunks) > 1
        {
            levels.push(Level::new(chunks.div_ceil(2), height.div_ceil(2)));
        }
        Self {
            factor,
            from: *from,
            to: *to,
            to_codes: conversion(from, to),
            samples: vec![0; from.width],
            cells: std::array::from_fn(|_| vec![0.0; levels[0].chunks * LANES]),
            levels,
        }
    }

    /// Estimates the colours of a frame with its matte.
    pub fn update(&mut self, frame: &FrameView<'_>, matte: &mut dyn MatteRows) {
        self.take_matte(matte);
        if self.levels[0].work.iter().all(|&work| work == Work::None) {
            return;
        }
        self.take_codes(frame);
        for index in (0..self.levels.len()).rev() {
            let (finer, coarser) = self.levels.split_at_mut(index + 1);
            let level = &mut finer[index];
            level.begin(coarser.first());
            let iterations = if index == 0 { FINEST_ITERATIONS } else { ITERATIONS };
            for _ in 0..iterations {
                level.correct();
                level.blur();
            }
            level.correct();
        }
    }

    /// Whether there is an edge near row `y` of plane `plane`.
    pub fn touches(&self, plane: usize, y: usize) -> bool {
        let level = &self.levels[0];
        let (upper, lower, _) = self.rows_around(y, self.to.format.plane_v_shift(plane));
        let work = &level.work[upper * level.chunks..(lower + 1) * level.chunks];
        work.contains(&Work::Estimate)
    }

    /// Replaces what shows of the old background in row `y` of plane `plane`. `matte` are the
    /// weights of the row's pixels, `half` those at the chroma's resolution. Where `clears`, what
    /// the matte leaves nothing of gets the person's colour beside an edge, and elsewhere black.
    pub fn apply(
        &self,
        (plane, y): (usize, usize),
        matte: &[u8],
        half: &[u8],
        clears: bool,
        row: &mut [u8],
    ) {
        let pixel = self.black_pixel().filter(|_| clears);
        if let Some(pixel) = pixel {
            self.clear_pixels(y, &matte[..self.to.width], pixel, row);
        }
        for (index, component) in self.to.format.color_components().iter().enumerate() {
            if component.plane != plane {
                continue;
            }
            let matte = if component.h_shift > 0 { half } else { matte };
            let matte = &matte[..component.width(self.to.width)];
            let clear = clears.then(|| black(&self.to, index));
            let samples = Samples { index, component: *component, y, clear };
            match self.factor >> component.h_shift {
                1 => self.apply_to::<1>(&samples, matte, row),
                2 => self.apply_to::<2>(&samples, matte, row),
                4 => self.apply_to::<4>(&samples, matte, row),
                8 => self.apply_to::<8>(&samples, matte, row),
                _ => self.apply_to::<16>(&samples, matte, row),
            }
        }
    }

    /// The four bytes of a pixel that shows nothing, in formats whose pixels have their alpha beside
    /// their colours.
    fn black_pixel(&self) -> Option<[u8; 4]> {
        let format = self.to.format;
        if format.planes() > 1 || format.components().iter().any(|c| c.step != 4 || c.h_shift > 0) {
            return None;
        }
        let mut pixel = [0; 4];
        format.alpha()?;
        for (index, component) in format.color_components().iter().enumerate() {
            pixel[component.offset] = black(&self.to, index);
        }
        Some(pixel)
    }

    /// Clears whole pixels where the matte leaves nothing and no colour is known, which is most of a
    /// frame, and takes a component alone several times as long.
    fn clear_pixels(&self, y: usize, matte: &[u8], pixel: [u8; 4], row: &mut [u8]) {
        let level = &self.levels[0];
        let (upper, lower, _) = self.rows_around(y, 0);
        let works = |y: usize, chunk: usize| level.work[y * level.chunks + chunk];
        let span = LANES * self.factor;
        for (chunk, (matte, pixels)) in matte.chunks(span).zip(row.chunks_mut(4 * span)).enumerate()
        {
            let estimated = [upper, lower].iter().any(|&y| works(y, chunk) == Work::Estimate);
            if !estimated && is_nothing(matte) {
                pixels.as_chunks_mut().0.fill(pixel);
            }
        }
    }

    /// As [`apply`](Self::apply), for a component with `CELL` samples to a cell.
    fn apply_to<const CELL: usize>(&self, samples: &Samples, matte: &[u8], row: &mut [u8]) {
        let level = &self.levels[0];
        let Samples { index, component, y, clear } = *samples;
        let (upper, lower, share) = self.rows_around(y, component.v_shift);
        let [upper, lower] = [upper, lower].map(|y| y * level.chunks..(y + 1) * level.chunks);
        let cells = CellRows {
            work: [&level.work[upper.clone()], &level.work[lower.clone()]],
            upper: &level.sides[upper],
            lower: &level.sides[lower],
            share,
            index,
        };
        unmix::<CELL>(&cells, matte, clear, component.step, &mut row[component.offset..]);
    }

    /// The rows of cells around row `y` of a component, and the lower one's share.
    fn rows_around(&self, y: usize, v_shift: u32) -> (usize, usize, f32) {
        let cell = (self.factor >> v_shift) as f32;
        let last = self.levels[0].height - 1;
        let position = ((y as f32 + 0.5) / cell - 0.5).clamp(0.0, last as f32);
        let upper = position as usize;
        (upper, (upper + 1).min(last), position - upper as f32)
    }

    /// Brings the matte down to all levels, and finds out where it is soft.
    fn take_matte(&mut self, matte: &mut dyn MatteRows) {
        let finest = &mut self.levels[0];
        for y in 0..finest.height {
            let row = matte.row(middle_row(y, self.factor, self.from.height));
            let cells = finest.matte[y * finest.chunks..][..finest.chunks].as_flattened_mut();
            means(row, self.factor, cells);
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
        let finest = &mut self.levels[0];
        let [first, second, third] = &mut self.cells;
        let components = self.from.format.color_components();
        for y in 0..finest.height {
            let y_in_frame = middle_row(y, self.factor, self.from.height);
            for (component, cells) in components.iter().zip([&mut *first, second, third]) {
                let row = frame.row(component.plane, y_in_frame >> component.v_shift);
                let samples = &mut self.samples[..component.width(self.from.width)];
                gather_row(row, component.offset, component.step, samples);
                means(samples, self.factor >> component.h_shift, cells);
            }
            // Gray is the same in all three.
            let (second, third) =
                if components.len() == 1 { (&*first, &*first) } else { (&*second, &*third) };
            let row = &mut finest.codes[y * finest.chunks..][..finest.chunks];
            if self.to_codes == Affine::IDENTITY {
                interleave(first, second, third, row);
            } else {
                convert(first, second, third, &self.to_codes, row);
            }
        }
        for index in 1..self.levels.len() {
            let (finer, rest) = self.levels.split_at_mut(index);
            rest[0].take_codes(&finer[index - 1]);
        }
    }
}

/// Samples of one component in one row.
struct Samples {
    index: usize,
    component: Component,
    y: usize,
    /// What is written where the matte leaves nothing and no colour is known.
    clear: Option<u8>,
}

/// The row of a frame that stands for row `y` of cells.
fn middle_row(y: usize, factor: usize, height: usize) -> usize {
    (y * factor + factor / 2).min(height - 1)
}

/// The code of a component in black.
pub(super) fn black(layout: &FrameLayout, index: usize) -> u8 {
    match (layout.format.family(), index) {
        (Family::Yuv, 0) => layout.color.range.luma().0 as u8,
        (Family::Yuv, 1 | 2) => 128,
        _ => 0,
    }
}
