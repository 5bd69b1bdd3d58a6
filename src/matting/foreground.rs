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

use multiversion::multiversion;

use super::color::Affine;
use super::convert::{conversion, gather as gather_row};
use super::finish::MatteRows;
use super::frame_view::{FrameLayout, FrameView};
use super::pixel_format::{Component, Family};

/// The shorter side of the small picture has at most so many cells.
const MAX_CELLS: usize = 320;
/// The largest cell, in pixels.
const MAX_FACTOR: usize = 16;
/// Cells that are worked on together.
const LANES: usize = 8;
/// How often colours are corrected and blurred on a level.
const ITERATIONS: usize = 2;
/// And on the finest, which takes the most time and begins with what is nearly right.
const FINEST_ITERATIONS: usize = 1;
/// Weight that a colour keeps in blurring where there is none of it.
const FAINT: f32 = 0.01;
/// Held against sharing out all that is unexplained: a matte is never quite right, and what it is
/// wrong by would become the opposite of the old background in the person.
const DAMPING: f32 = 0.15;
/// A matte this far from 0 and 1 is soft: half of what 8 bits can say.
const SOFT: f32 = 0.5 / 255.0;

type Lanes = [f32; LANES];
/// The three components of a few cells.
type Codes = [Lanes; 3];

/// The colours of a few cells on both sides of an edge.
#[derive(Clone, Copy, Default)]
struct Sides {
    person: Codes,
    behind: Codes,
}

/// What is done with a chunk of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// Nothing.
    None,
    /// The frame's colours stand on both sides, for the neighbours.
    Border,
    /// Colours are estimated.
    Estimate,
}

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

/// The frame at one size, in chunks of cells, row by row.
struct Level {
    chunks: usize,
    height: usize,
    matte: Vec<Lanes>,
    codes: Vec<Codes>,
    sides: Vec<Sides>,
    blurred: Vec<Sides>,
    /// Which of a chunk's cells are soft, a bit for each.
    soft: Vec<u8>,
    work: Vec<Work>,
    /// Weighted sums over three rows of a chunk, and the weights'.
    sums: Vec<(Sides, [Lanes; 2])>,
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

/// Means over `size` values each, the last of which may be fewer; what is beyond repeats the last.
fn means<T: Copy + Into<f32>>(row: &[T], size: usize, cells: &mut [f32]) {
    match size {
        1 => means_over::<1, T>(row, cells),
        2 => means_over::<2, T>(row, cells),
        4 => means_over::<4, T>(row, cells),
        8 => means_over::<8, T>(row, cells),
        _ => means_over::<16, T>(row, cells),
    }
}

#[multiversion(targets = "simd")]
fn means_over<const N: usize, T: Copy + Into<f32>>(row: &[T], cells: &mut [f32]) {
    let whole = row.len() / N;
    for (cell, values) in cells.iter_mut().zip(row.chunks_exact(N)) {
        let mut sum = 0.0;
        for value in values {
            sum += (*value).into();
        }
        *cell = sum / N as f32;
    }
    let rest = &row[whole * N..];
    let last = match rest.len() {
        0 => cells[whole - 1],
        n => rest.iter().map(|&value| value.into()).sum::<f32>() / n as f32,
    };
    cells[whole..].fill(last);
}

/// Rows of three components, in the output's codes already, to chunks of codes.
fn interleave(a: &[f32], b: &[f32], c: &[f32], out: &mut [Codes]) {
    let (a, b, c) = (a.as_chunks().0, b.as_chunks().0, c.as_chunks().0);
    for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
        *out = [*a, *b, *c];
    }
}

/// Rows of three components to chunks of codes.
#[multiversion(targets = "simd")]
fn convert(a: &[f32], b: &[f32], c: &[f32], to_codes: &Affine, out: &mut [Codes]) {
    let (a, b, c) = (a.as_chunks().0, b.as_chunks().0, c.as_chunks().0);
    for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
        let (a, b, c): (Lanes, Lanes, Lanes) = (*a, *b, *c);
        for (component, out) in out.iter_mut().enumerate() {
            let [x, y, z] = to_codes.matrix[component];
            let offset = to_codes.offset[component];
            let mut codes = Lanes::default();
            for i in 0..LANES {
                codes[i] = (x * a[i] + y * b[i] + z * c[i] + offset).clamp(0.0, 255.0);
            }
            *out = codes;
        }
    }
}

impl Level {
    fn new(chunks: usize, height: usize) -> Self {
        let count = chunks * height;
        Self {
            chunks,
            height,
            matte: vec![Lanes::default(); count],
            codes: vec![Codes::default(); count],
            sides: vec![Sides::default(); count],
            blurred: vec![Sides::default(); count],
            soft: vec![0; count],
            work: vec![Work::None; count],
            sums: vec![(Sides::default(), Default::default()); chunks],
        }
    }

    fn take_matte(&mut self, finer: &Self) {
        for (y, row) in self.matte.chunks_exact_mut(self.chunks).enumerate() {
            for (chunk, out) in row.iter_mut().enumerate() {
                *out = finer.halved(y, chunk, |at| finer.matte[at]);
            }
        }
    }

    fn take_codes(&mut self, finer: &Self) {
        for (y, row) in self.codes.chunks_exact_mut(self.chunks).enumerate() {
            for (chunk, out) in row.iter_mut().enumerate() {
                for (component, out) in out.iter_mut().enumerate() {
                    *out = finer.halved(y, chunk, |at| finer.codes[at][component]);
                }
            }
        }
    }

    /// The rows that become row `y` of the next level.
    fn pair(&self, y: usize) -> [usize; 2] {
        [2 * y, (2 * y + 1).min(self.height - 1)]
    }

    /// The chunks of row `y` that become chunk `chunk` of the next level; beyond the last one
    /// there may be none.
    fn pair_of_chunks(&self, y: usize, chunk: usize) -> (usize, Option<usize>) {
        let (left, right) = (2 * chunk, 2 * chunk + 1);
        let at = y * self.chunks;
        (at + left, (right < self.chunks).then_some(at + right))
    }

    /// Cells of the next level, from those of this one.
    fn halved(&self, y: usize, chunk: usize, cells: impl Fn(usize) -> Lanes) -> Lanes {
        let [upper, lower] = self.pair(y);
        let sum = |upper, lower| add(&cells(upper), &cells(lower));
        let (upper, lower) = (self.pair_of_chunks(upper, chunk), self.pair_of_chunks(lower, chunk));
        let left = sum(upper.0, lower.0);
        let right = match (upper.1, lower.1) {
            (Some(upper), Some(lower)) => sum(upper, lower),
            // Beyond the frame there is what is at its border.
            _ => [left[LANES - 1]; LANES],
        };
        halve_lanes(&left, &right)
    }

    /// Marks cells that are soft, that lie at a step between rows, or that were soft when they
    /// were finer.
    fn find_soft(&mut self, finer: Option<&Self>) {
        for y in 0..self.height {
            for chunk in 0..self.chunks {
                let at = y * self.chunks + chunk;
                let above = at - if y > 0 { self.chunks } else { 0 };
                let (soft, step) = soft_cells(&self.matte[at], &self.matte[above]);
                self.soft[at] = soft | step;
                self.soft[above] |= step;
                if let Some(finer) = finer {
                    for row in finer.pair(y) {
                        let (left, right) = finer.pair_of_chunks(row, chunk);
                        let right = right.map_or(0, |right| finer.soft[right]);
                        let left = finer.soft[left];
                        self.soft[at] |= halve_bits(left) | halve_bits(right) << (LANES / 2);
                    }
                }
            }
        }
    }

    /// Estimates where a cell or a neighbour is soft, which makes sure that the cells of the next
    /// level that those lie in are estimated as well.
    fn plan(&mut self) {
        let Self { chunks, height, soft, work, .. } = self;
        let (chunks, height) = (*chunks, *height);
        work.fill(Work::None);
        for y in 0..height {
            for chunk in 0..chunks {
                let row = &soft[y * chunks..][..chunks];
                let left = row[chunk.saturating_sub(1)] >> (LANES - 1);
                let right = row[(chunk + 1).min(chunks - 1)] & 1;
                if row[chunk] | left | right == 0 {
                    continue;
                }
                for y in y.saturating_sub(1)..(y + 2).min(height) {
                    work[y * chunks + chunk] = Work::Estimate;
                }
            }
        }
        for y in 0..height {
            for chunk in 0..chunks {
                if work[y * chunks + chunk] != Work::Estimate {
                    continue;
                }
                for y in y.saturating_sub(1)..(y + 2).min(height) {
                    let near = chunk.saturating_sub(1)..(chunk + 2).min(chunks);
                    for work in &mut work[y * chunks..][near] {
                        *work = (*work).max(Work::Border);
                    }
                }
            }
        }
    }

    /// Starts with what the coarser level found, or with the frame's colours.
    fn begin(&mut self, coarser: Option<&Self>) {
        for y in 0..self.height {
            let row = y * self.chunks..(y + 1) * self.chunks;
            let work = &self.work[row.clone()];
            for (at, work) in row.clone().zip(work) {
                if *work == Work::Border || (*work == Work::Estimate && coarser.is_none()) {
                    self.sides[at] = Sides { person: self.codes[at], behind: self.codes[at] };
                    self.blurred[at] = self.sides[at];
                }
            }
            if let Some(coarser) = coarser {
                coarser.double_row(y, work, &mut self.sides[row]);
            }
        }
    }

    /// Row `y` of the finer level, where that is to be estimated.
    fn double_row(&self, y: usize, work: &[Work], out: &mut [Sides]) {
        let near = y / 2;
        let far = if y.is_multiple_of(2) {
            near.saturating_sub(1)
        } else {
            (near + 1).min(self.height - 1)
        };
        let row = |y: usize| &self.sides[y * self.chunks..][..self.chunks];
        double(row(near), row(far), work, out);
    }

    /// Shares out between both sides what they do not explain of the frame's colours.
    fn correct(&mut self) {
        correct(&self.work, &self.matte, &self.codes, &mut self.sides);
    }

    /// Blurs both sides over 3 x 3 cells, each weighed by how much of it is there.
    fn blur(&mut self) {
        for y in 0..self.height {
            let row = |y: usize| y * self.chunks..(y + 1) * self.chunks;
            let [above, below] = [y.saturating_sub(1), (y + 1).min(self.height - 1)];
            let [above, here, below] = [above, y, below].map(row);
            if self.work[here.clone()].iter().all(|&work| work != Work::Estimate) {
                continue;
            }
            sum_rows(
                &self.work[here.clone()],
                [&self.matte[above.clone()], &self.matte[here.clone()], &self.matte[below.clone()]],
                [&self.sides[above], &self.sides[here.clone()], &self.sides[below]],
                &mut self.sums,
            );
            divide_sums(&self.work[here.clone()], &self.sums, &mut self.blurred[here]);
        }
        std::mem::swap(&mut self.sides, &mut self.blurred);
    }
}

fn add(a: &Lanes, b: &Lanes) -> Lanes {
    std::array::from_fn(|i| a[i] + b[i])
}

/// A quarter of the sums over pairs of cells.
fn halve_lanes(left: &Lanes, right: &Lanes) -> Lanes {
    let mut halved = [0.0; LANES];
    for i in 0..LANES / 2 {
        halved[i] = (left[2 * i] + left[2 * i + 1]) * 0.25;
        halved[LANES / 2 + i] = (right[2 * i] + right[2 * i + 1]) * 0.25;
    }
    halved
}

/// Whether any of a pair of bits is set, for each of four pairs.
fn halve_bits(bits: u8) -> u8 {
    let pairs = bits | bits >> 1;
    pairs & 1 | pairs >> 1 & 2 | pairs >> 2 & 4 | pairs >> 3 & 8
}

/// A bit for each cell that is soft, and for each that differs from the one above.
fn soft_cells(matte: &Lanes, above: &Lanes) -> (u8, u8) {
    let (mut soft, mut step) = (0, 0);
    for i in 0..LANES {
        soft |= u8::from(matte[i] > SOFT && matte[i] < 1.0 - SOFT) << i;
        step |= u8::from((matte[i] - above[i]).abs() > SOFT) << i;
    }
    (soft, step)
}

/// A component of the cells of chunk `chunk`, with a neighbour on both sides, between two rows.
#[inline(always)]
fn between(
    upper: &[Sides],
    lower: &[Sides],
    share: f32,
    chunk: usize,
    component: impl Fn(&Sides) -> &Lanes,
) -> [f32; LANES + 2] {
    let mix = |upper: f32, lower: f32| upper + (lower - upper) * share;
    let neighbour = |chunk: usize, lane: usize| {
        mix(component(&upper[chunk])[lane], component(&lower[chunk])[lane])
    };
    let (here, below) = (component(&upper[chunk]), component(&lower[chunk]));
    let mut cells = [0.0; LANES + 2];
    for lane in 0..LANES {
        cells[lane + 1] = mix(here[lane], below[lane]);
    }
    cells[0] = if chunk > 0 { neighbour(chunk - 1, LANES - 1) } else { cells[1] };
    cells[LANES + 1] = if chunk + 1 < upper.len() { neighbour(chunk + 1, 0) } else { cells[LANES] };
    cells
}

/// Twice as many cells in a row, where they are to be estimated.
#[multiversion(targets = "simd")]
fn double(near: &[Sides], far: &[Sides], work: &[Work], out: &mut [Sides]) {
    for (chunk, (out, work)) in out.iter_mut().zip(work).enumerate() {
        if *work != Work::Estimate {
            continue;
        }
        for component in 0..3 {
            let person = between(near, far, 0.25, chunk / 2, |s| &s.person[component]);
            let behind = between(near, far, 0.25, chunk / 2, |s| &s.behind[component]);
            double_lanes(&person, chunk % 2, &mut out.person[component]);
            double_lanes(&behind, chunk % 2, &mut out.behind[component]);
        }
    }
}

/// Half of the cells, with neighbours, at twice as many places.
#[inline(always)]
fn double_lanes(cells: &[f32; LANES + 2], half: usize, out: &mut Lanes) {
    let mut window = [0.0; LANES / 2 + 2];
    window.copy_from_slice(&cells[half * LANES / 2..][..LANES / 2 + 2]);
    for i in 0..LANES / 2 {
        out[2 * i] = 0.75 * window[i + 1] + 0.25 * window[i];
        out[2 * i + 1] = 0.75 * window[i + 1] + 0.25 * window[i + 2];
    }
}

/// How much of an unexplained difference goes to the person: the smallest change of F and B that
/// explains it is in the ratio of α and 1 − α.
#[inline(always)]
fn gain(matte: f32) -> f32 {
    let behind = 1.0 - matte;
    1.0 / (matte * matte + behind * behind + DAMPING)
}

#[multiversion(targets = "simd")]
fn correct(work: &[Work], matte: &[Lanes], codes: &[Codes], sides: &mut [Sides]) {
    for (((work, matte), codes), sides) in work.iter().zip(matte).zip(codes).zip(sides) {
        if *work != Work::Estimate {
            continue;
        }
        let matte = *matte;
        let mut gains = Lanes::default();
        for i in 0..LANES {
            gains[i] = gain(matte[i]);
        }
        for component in 0..3 {
            // Copies, whose loop becomes one vector operation for each step.
            let (mut person, mut behind) = (sides.person[component], sides.behind[component]);
            let codes = codes[component];
            for i in 0..LANES {
                let other = 1.0 - matte[i];
                let rest = (codes[i] - matte[i] * person[i] - other * behind[i]) * gains[i];
                person[i] = (person[i] + matte[i] * rest).clamp(0.0, 255.0);
                behind[i] = (behind[i] + other * rest).clamp(0.0, 255.0);
            }
            (sides.person[component], sides.behind[component]) = (person, behind);
        }
    }
}

#[inline(always)]
fn weigh(weights: &[Lanes; 3], a: &Lanes, b: &Lanes, c: &Lanes) -> Lanes {
    let mut sums = Lanes::default();
    for i in 0..LANES {
        sums[i] = weights[0][i] * a[i] + weights[1][i] * b[i] + weights[2][i] * c[i];
    }
    sums
}

/// Weighted sums over three rows, for chunks that are estimated and their neighbours.
#[multiversion(targets = "simd")]
fn sum_rows(
    work: &[Work],
    mattes: [&[Lanes]; 3],
    sides: [&[Sides]; 3],
    sums: &mut [(Sides, [Lanes; 2])],
) {
    for (chunk, (sums, weights)) in sums.iter_mut().enumerate() {
        if work[chunk] == Work::None {
            continue;
        }
        let [a, b, c] = [&sides[0][chunk], &sides[1][chunk], &sides[2][chunk]];
        let mut own = [mattes[0][chunk], mattes[1][chunk], mattes[2][chunk]];
        let mut other = own;
        for row in 0..3 {
            for i in 0..LANES {
                other[row][i] = 1.0 - own[row][i] + FAINT;
                own[row][i] += FAINT;
            }
        }
        for i in 0..LANES {
            weights[0][i] = own[0][i] + own[1][i] + own[2][i];
            weights[1][i] = other[0][i] + other[1][i] + other[2][i];
        }
        for component in 0..3 {
            sums.person[component] =
                weigh(&own, &a.person[component], &b.person[component], &c.person[component]);
            sums.behind[component] =
                weigh(&other, &a.behind[component], &b.behind[component], &c.behind[component]);
        }
    }
}

/// Means over three columns of what was summed up over rows.
#[multiversion(targets = "simd")]
fn divide_sums(work: &[Work], sums: &[(Sides, [Lanes; 2])], out: &mut [Sides]) {
    for (chunk, out) in out.iter_mut().enumerate() {
        if work[chunk] != Work::Estimate {
            continue;
        }
        let here = &sums[chunk];
        // Beyond the first and the last column there is what is in them.
        let left = chunk.checked_sub(1).map(|left| &sums[left]);
        let right = sums.get(chunk + 1);
        let three = |lanes: fn(&(Sides, [Lanes; 2]), usize) -> &Lanes, index: usize| -> Lanes {
            let cells = lanes(here, index);
            let before = left.map_or(cells[0], |left| lanes(left, index)[LANES - 1]);
            let after = right.map_or(cells[LANES - 1], |right| lanes(right, index)[0]);
            std::array::from_fn(|i| {
                let before = if i > 0 { cells[i - 1] } else { before };
                let after = if i + 1 < LANES { cells[i + 1] } else { after };
                before + cells[i] + after
            })
        };
        let own = three(|sums, side| &sums.1[side], 0).map(|weight| 1.0 / weight);
        let other = three(|sums, side| &sums.1[side], 1).map(|weight| 1.0 / weight);
        for component in 0..3 {
            let person = three(|sums, component| &sums.0.person[component], component);
            let behind = three(|sums, component| &sums.0.behind[component], component);
            for i in 0..LANES {
                out.person[component][i] = person[i] * own[i];
                out.behind[component][i] = behind[i] * other[i];
            }
        }
    }
}

/// The rows of the small picture between which a row of one component lies.
struct CellRows<'a> {
    work: [&'a [Work]; 2],
    upper: &'a [Sides],
    lower: &'a [Sides],
    /// The lower row's.
    share: f32,
    index: usize,
}

/// Replaces every `step`-th byte of `row`, `CELL` of them to a cell, by the person's part of it.
#[multiversion(targets = "simd")]
fn unmix<const CELL: usize>(
    cells: &CellRows<'_>,
    matte: &[u8],
    clear: Option<u8>,
    step: usize,
    row: &mut [u8],
) {
    let span = LANES * CELL;
    for (chunk, matte) in matte.chunks(span).enumerate() {
        let any = matte.iter().fold(0, |any, matte| any | matte);
        let all = matte.iter().fold(255, |all, matte| all & matte);
        if all == 255 || (any == 0 && clear.is_none()) {
            continue;
        }
        let row = &mut row[chunk * span * step..];
        if cells.work.iter().any(|work| work[chunk] == Work::Estimate) {
            unmix_chunk::<CELL>(cells, chunk, matte, step, row);
        } else if let Some(black) = clear {
            match (any, step) {
                (0, 1) => row[..matte.len()].fill(black),
                // Whole pixels have been cleared.
                (0, 4) => {}
                _ => clear_samples(matte, step, black, row),
            }
        }
    }
}

/// Whether nothing is left of any pixel.
fn is_nothing(matte: &[u8]) -> bool {
    matte.iter().fold(0, |any, matte| any | matte) == 0
}

/// Makes black what the matte leaves nothing of.
#[inline(always)]
fn clear_samples(matte: &[u8], step: usize, black: u8, row: &mut [u8]) {
    for (sample, matte) in row.iter_mut().step_by(step).zip(matte) {
        *sample = if *matte == 0 { black } else { *sample };
    }
}

#[inline(always)]
fn unmix_chunk<const CELL: usize>(
    cells: &CellRows<'_>,
    chunk: usize,
    matte: &[u8],
    step: usize,
    row: &mut [u8],
) {
    let CellRows { upper, lower, share, index, .. } = *cells;
    let person = between(upper, lower, share, chunk, |s| &s.person[index]);
    let behind = between(upper, lower, share, chunk, |s| &s.behind[index]);
    let (person, behind) = (enlarge::<CELL>(&person), enlarge::<CELL>(&behind));
    let mut codes = [[0u8; CELL]; LANES];
    let mut weights = [[0u8; CELL]; LANES];
    let n = matte.len();
    weights.as_flattened_mut()[..n].copy_from_slice(matte);
    match step {
        1 => codes.as_flattened_mut()[..n].copy_from_slice(&row[..n]),
        2 => gather::<2>(row, &mut codes.as_flattened_mut()[..n]),
        3 => gather::<3>(row, &mut codes.as_flattened_mut()[..n]),
        _ => gather::<4>(row, &mut codes.as_flattened_mut()[..n]),
    }
    // Arrays of known length, whose loops become straight vector code.
    let (person, behind) = (person.as_flattened(), behind.as_flattened());
    for (((code, weight), person), behind) in
        codes.as_flattened_mut().iter_mut().zip(weights.as_flattened()).zip(person).zip(behind)
    {
        let share = f32::from(*weight) * (1.0 / 255.0);
        let rest = f32::from(*code) - share * person - (1.0 - share) * behind;
        let own = (person + share * gain(share) * rest).clamp(0.0, 255.0) + ROUND;
        *code = if *weight == 255 { *code } else { own.to_bits() as u8 };
    }
    let codes = &codes.as_flattened()[..n];
    match step {
        1 => row[..n].copy_from_slice(codes),
        2 => scatter::<2>(codes, row),
        3 => scatter::<3>(codes, row),
        _ => scatter::<4>(codes, row),
    }
}

/// Added to a float it leaves the rounded integer in the low bits, which unlike a saturating cast
/// is one instruction.
const ROUND: f32 = 12_582_912.0;

/// Cells, with a neighbour on both sides, at `CELL` places each.
#[inline(always)]
fn enlarge<const CELL: usize>(cells: &[f32; LANES + 2]) -> [[f32; CELL]; LANES] {
    let mut out = [[0.0; CELL]; LANES];
    for (cell, out) in out.iter_mut().enumerate() {
        for (phase, out) in out.iter_mut().enumerate() {
            // From the cell's centre, in cells.
            let distance = (2 * phase + 1) as f32 / (2 * CELL) as f32 - 0.5;
            let (before, after) = ((-distance).max(0.0), distance.max(0.0));
            *out = cells[cell] * before
                + cells[cell + 1] * (1.0 - before - after)
                + cells[cell + 2] * after;
        }
    }
    out
}

#[inline(always)]
fn gather<const STEP: usize>(row: &[u8], codes: &mut [u8]) {
    for (code, sample) in codes.iter_mut().zip(row.iter().step_by(STEP)) {
        *code = *sample;
    }
}

#[inline(always)]
fn scatter<const STEP: usize>(codes: &[u8], row: &mut [u8]) {
    for (sample, code) in row.iter_mut().step_by(STEP).zip(codes) {
        *sample = *code;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::backdrop::{Backdrop, Background};
    use crate::matting::color::Colorimetry;
    use crate::matting::compose::{Colors, Composer, Layers, Output};
    use crate::matting::frame_view::OwnedFrame;
    use crate::matting::pixel_format::PixelFormat;

    /// A matte that is all there.
    struct Whole {
        width: usize,
        values: Vec<f32>,
    }

    impl Whole {
        fn new(width: usize, height: usize, value: impl Fn(usize, usize) -> f32) -> Self {
            let at = |i: usize| value(i % width, i / width);
            Self { width, values: (0..width * height).map(at).collect() }
        }
    }

    impl MatteRows for Whole {
        fn row(&mut self, y: usize) -> &[f32] {
            &self.values[y * self.width..][..self.width]
        }
    }

    fn layout(format: PixelFormat, width: usize, height: usize) -> FrameLayout {
        FrameLayout { format, width, height, color: Colorimetry::default() }
    }

    /// A frame with `code(component, x, y)` as samples, x and y in pixels; opaque.
    fn frame(layout: FrameLayout, code: impl Fn(usize, usize, usize) -> f32) -> OwnedFrame {
        let mut frame = OwnedFrame::new(layout);
        for (index, component) in layout.format.components().iter().enumerate() {
            for y in 0..component.height(layout.height) {
                let mut view = frame.view_mut();
                let row = view.row_mut(component.plane, y);
                for x in 0..component.width(layout.width) {
                    let (h, v) = (component.h_shift, component.v_shift);
                    let code = if index == 3 { 255.0 } else { code(index, x << h, y << v) };
                    row[x * component.step + component.offset] = code.round() as u8;
                }
            }
        }
        frame
    }

    fn compose(
        frame: &OwnedFrame,
        to: FrameLayout,
        output: Output,
        matte: &mut Whole,
    ) -> OwnedFrame {
        let from = *frame.view().layout();
        let mut composer = Composer::new(&from, &to, output).unwrap();
        let backdrop = Backdrop::new(&Background::Color(0xff00_0000), &from, &to).unwrap();
        let mut foreground = Foreground::new(&from, &to);
        let mut target = OwnedFrame::new(to);
        let view = frame.view();
        foreground.update(&view, matte);
        let (colors, foreground) = (Colors::Frame(&view), Some(&foreground));
        let layers = Layers { colors, foreground, backdrop: &backdrop };
        composer.compose(&layers, matte, 0..from.height, &mut target.view_mut());
        target
    }

    fn sample(frame: &OwnedFrame, index: usize, x: usize, y: usize) -> u8 {
        let component = frame.view().layout().format.components()[index];
        let row = frame.row(component.plane, y >> component.v_shift);
        row[(x >> component.h_shift) * component.step + component.offset]
    }

    /// From 1 on the left to 0 on the right, over 16 pixels.
    fn edge(x: usize, middle: usize) -> f32 {
        (0.5 + (middle as f32 - x as f32) / 16.0).clamp(0.0, 1.0)
    }

    const PERSON: [f32; 3] = [200.0, 100.0, 150.0];
    const ROOM: [f32; 3] = [40.0, 180.0, 90.0];

    #[test]
    fn a_known_mixture_is_taken_apart_in_every_format() {
        for format in PixelFormat::ALL.into_iter().filter(|&f| f != PixelFormat::Gray16Le) {
            for (width, height) in [(96, 64), (97, 63), (800, 700)] {
                let layout = layout(format, width, height);
                let mixed = frame(layout, |index, x, _| {
                    let share = edge(x, width / 2);
                    share * PERSON[index] + (1.0 - share) * ROOM[index]
                });
                let mut matte = Whole::new(width, height, |x, _| edge(x, width / 2));
                for output in [Output::Cutout, Output::Composite] {
                    if !output.formats(format).contains(&format) {
                        continue;
                    }
                    let out = compose(&mixed, layout, output, &mut matte);
                    let persons = PERSON.into_iter().take(format.color_components().len());
                    for (index, person) in persons.enumerate() {
                        for x in width / 2 - 6..width / 2 + 4 {
                            let share = edge(x, width / 2);
                            let got = sample(&out, index, x, 33);
                            let behind = match (format.family(), index) {
                                (Family::Rgb, _) => 0.0,
                                (_, 0) => f32::from(black(&layout, 0)),
                                _ => 128.0,
                            };
                            let want = match output {
                                Output::Cutout => person,
                                _ => share * person + (1.0 - share) * behind,
                            };
                            let off = (f32::from(got) - want).abs();
                            assert!(
                                off <= 12.0,
                                "{format:?} {output:?} {width} at {x}: {got}, {want}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_opaque_pixel_is_the_frame_s_and_a_clear_one_shows_no_room() {
        for from in PixelFormat::ALL.into_iter().filter(|&f| f != PixelFormat::Gray16Le) {
            for to in Output::Cutout.formats(from) {
                let (from, to) = (layout(from, 203, 120), layout(to, 203, 120));
                let noise =
                    |c: usize, x: usize, y: usize| ((x * 37 + y * 101 + c * 59) % 256) as f32;
                // Two rooms beside one person, who ends at pixel 100.
                let rooms = [0.0, 255.0].map(|room| {
                    let own = |c, x, y| if x < 92 { noise(c, x, y) } else { room };
                    let mut matte = Whole::new(203, 120, |x, _| edge(x, 100));
                    compose(&frame(from, own), to, Output::Cutout, &mut matte)
                });
                for index in 0..3 {
                    for y in 0..120 {
                        let far = rooms.each_ref().map(|out| sample(out, index, 190, y));
                        assert_eq!(
                            far,
                            [black(&to, index); 2],
                            "{:?} to {:?}",
                            from.format,
                            to.format
                        );
                        if from.format == to.format {
                            let got = sample(&rooms[0], index, 40, y);
                            let x = 40 >> to.format.components()[index].h_shift
                                << to.format.components()[index].h_shift;
                            let v = to.format.components()[index].v_shift;
                            assert_eq!(f32::from(got), noise(index, x, y >> v << v));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn any_frame_with_any_matte_is_done() {
        let noise = |c: usize, x: usize, y: usize| ((x * 97 + y * 61 + c * 29) * 73 % 256) as f32;
        let mattes: [fn(usize, usize) -> f32; 5] = [
            |_, _| 0.0,
            |_, _| 1.0,
            |_, _| 0.5,
            |x, y| ((x * 31 + y * 17) % 11) as f32 / 10.0,
            |x, _| if x % 2 == 0 { 1.0 } else { 0.0 },
        ];
        for format in PixelFormat::ALL.into_iter().filter(|&f| f != PixelFormat::Gray16Le) {
            for (width, height) in [(1, 1), (1, 9), (9, 1), (2, 2), (17, 33), (66, 35), (1400, 2)] {
                for flat in [false, true] {
                    let layout = layout(format, width, height);
                    let picture = frame(layout, |c, x, y| if flat { 77.0 } else { noise(c, x, y) });
                    for matte in mattes {
                        let mut matte = Whole::new(width, height, matte);
                        for output in [Output::Composite, Output::Cutout] {
                            for to in output.formats(format) {
                                let to = FrameLayout { format: to, ..layout };
                                compose(&picture, to, output, &mut matte);
                            }
                        }
                    }
                }
            }
        }
    }

    /// What is estimated is finite and within the codes, whatever is left of earlier frames.
    #[test]
    fn estimates_stay_within_the_codes() {
        let layout = layout(PixelFormat::Rgb, 300, 200);
        let mut foreground = Foreground::new(&layout, &layout);
        for round in 1..4 {
            let noise = |c: usize, x: usize, y: usize| ((x * 97 * round + y * 61 + c) % 256) as f32;
            let mut matte = Whole::new(300, 200, |x, y| ((x / round + y) % 13) as f32 / 12.0);
            foreground.update(&frame(layout, noise).view(), &mut matte);
            for level in &foreground.levels {
                for sides in level.sides.iter().flat_map(|s| [s.person, s.behind]) {
                    let mut codes = sides.as_flattened().iter();
                    assert!(codes.all(|code| (-0.01..=255.01).contains(code)));
                }
            }
        }
    }
}
