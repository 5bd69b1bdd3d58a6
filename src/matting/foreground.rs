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
use super::convert::conversion;
use super::finish::MatteRows;
use super::frame_view::{FrameLayout, FrameView};
use super::pixel_format::{Component, Family};
use super::prepare::Reducer;
use super::resample::AxisOperator;

/// The shorter side of the small picture has at most so many cells.
const MAX_CELLS: usize = 320;
/// The largest cell, in pixels.
const MAX_FACTOR: usize = 16;
/// Cells that are worked on together.
const LANES: usize = 8;
/// How often colours are corrected and blurred on a level.
const ITERATIONS: usize = 2;
/// Weight that a colour keeps in blurring where there is none of it.
const FAINT: f32 = 0.01;
/// Held against sharing out all that is unexplained, which in the codes' rounding is noise.
const DAMPING: f32 = 0.05;
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
    height: usize,
    reducer: Reducer,
    to_codes: Affine,
    to: FrameLayout,
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
        let rows = (0..height).map(|y| middle_row(y, factor, from.height));
        let mut levels = vec![Level::new(width.div_ceil(LANES), height)];
        while let Some(&Level { chunks, height, .. }) = levels.last()
            && height.max(chunks) > 1
        {
            levels.push(Level::new(chunks.div_ceil(2), height.div_ceil(2)));
        }
        Self {
            factor,
            height: from.height,
            reducer: Reducer::new(
                from,
                &AxisOperator::bins(from.width, factor),
                &AxisOperator::pick(from.height, rows),
            ),
            to_codes: conversion(from, to),
            to: *to,
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
            for _ in 0..ITERATIONS {
                level.correct();
                level.blur();
            }
            level.correct();
        }
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

    /// As [`apply`](Self::apply), for a component with `CELL` samples to a cell.
    fn apply_to<const CELL: usize>(&self, samples: &Samples, matte: &[u8], row: &mut [u8]) {
        let level = &self.levels[0];
        let Samples { index, component, y, clear } = *samples;
        let (upper, lower, share) = self.rows_around(y, component.v_shift);
        for (chunk, matte) in matte.chunks(LANES * CELL).enumerate() {
            let any = matte.iter().fold(0, |any, matte| any | matte);
            if matte.iter().fold(255, |all, matte| all & matte) == 255
                || (any == 0 && clear.is_none())
            {
                continue;
            }
            let row = &mut row[chunk * LANES * CELL * component.step + component.offset..];
            let works = |y: usize| level.work[y * level.chunks + chunk] == Work::Estimate;
            if works(upper) || works(lower) {
                let person = level.between(upper, lower, share, chunk, |s| &s.person[index]);
                let behind = level.between(upper, lower, share, chunk, |s| &s.behind[index]);
                unmix::<CELL>(&person, &behind, matte, component.step, row);
            } else if let Some(black) = clear {
                for (sample, matte) in row.iter_mut().step_by(component.step).zip(matte) {
                    *sample = if *matte == 0 { black } else { *sample };
                }
            }
        }
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
            let row = matte.row(middle_row(y, self.factor, self.height));
            let cells = finest.matte[y * finest.chunks..][..finest.chunks].as_flattened_mut();
            match self.factor {
                2 => means::<2>(row, cells),
                4 => means::<4>(row, cells),
                8 => means::<8>(row, cells),
                _ => means::<16>(row, cells),
            }
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
        let mut reduced = self.reducer.reduce(frame);
        for y in 0..finest.height {
            let [a, b, c] = reduced.row(y);
            let row = &mut finest.codes[y * finest.chunks..][..finest.chunks];
            convert(a, b, c, &self.to_codes, row);
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

/// Means over `N` values, the last of which may be fewer; what is beyond repeats the last.
#[multiversion(targets = "simd")]
fn means<const N: usize>(row: &[f32], cells: &mut [f32]) {
    let whole = row.len() / N;
    for (cell, values) in cells.iter_mut().zip(row.chunks_exact(N)) {
        let mut sum = 0.0;
        for value in values {
            sum += value;
        }
        *cell = sum / N as f32;
    }
    let rest = &row[whole * N..];
    let last = match rest.len() {
        0 => cells[whole - 1],
        n => rest.iter().sum::<f32>() / n as f32,
    };
    cells[whole..].fill(last);
}

/// Rows of three components to chunks of codes; what is beyond the rows repeats their last.
#[multiversion(targets = "simd")]
fn convert(a: &[f32], b: &[f32], c: &[f32], to_codes: &Affine, out: &mut [Codes]) {
    let whole = a.len() / LANES;
    let cells = a.chunks_exact(LANES).zip(b.chunks_exact(LANES)).zip(c.chunks_exact(LANES));
    for (out, ((a, b), c)) in out.iter_mut().zip(cells) {
        for (component, out) in out.iter_mut().enumerate() {
            let [x, y, z] = to_codes.matrix[component];
            let offset = to_codes.offset[component];
            for i in 0..LANES {
                out[i] = (x * a[i] + y * b[i] + z * c[i] + offset).clamp(0.0, 255.0);
            }
        }
    }
    if let Some(out) = out.get_mut(whole) {
        for i in 0..LANES {
            let at = (whole * LANES + i).min(a.len() - 1);
            let codes = to_codes.apply([a[at], b[at], c[at]]);
            for (out, code) in out.iter_mut().zip(codes) {
                out[i] = code.clamp(0.0, 255.0);
            }
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
            for chunk in 0..self.chunks {
                let at = y * self.chunks + chunk;
                self.sides[at] = match (self.work[at], coarser) {
                    (Work::None, _) => continue,
                    (Work::Estimate, Some(coarser)) => coarser.doubled(y, chunk),
                    _ => Sides { person: self.codes[at], behind: self.codes[at] },
                };
                self.blurred[at] = self.sides[at];
            }
        }
    }

    /// The cells of chunk `chunk` of row `y` of the finer level.
    fn doubled(&self, y: usize, chunk: usize) -> Sides {
        let near = y / 2;
        let far = if y % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(self.height - 1) };
        let mut doubled = Sides::default();
        for component in 0..3 {
            let person = self.between(near, far, 0.25, chunk / 2, |s| &s.person[component]);
            let behind = self.between(near, far, 0.25, chunk / 2, |s| &s.behind[component]);
            double(&person, chunk % 2, &mut doubled.person[component]);
            double(&behind, chunk % 2, &mut doubled.behind[component]);
        }
        doubled
    }

    /// A component of the cells of chunk `chunk`, with a neighbour on both sides, between rows
    /// `upper` and `lower`.
    #[inline(always)]
    fn between(
        &self,
        upper: usize,
        lower: usize,
        share: f32,
        chunk: usize,
        component: impl Fn(&Sides) -> &Lanes,
    ) -> [f32; LANES + 2] {
        let row = |y: usize| &self.sides[y * self.chunks..][..self.chunks];
        let (upper, lower) = (row(upper), row(lower));
        let mix = |chunk: usize, lane: usize| {
            let upper = component(&upper[chunk])[lane];
            upper + (component(&lower[chunk])[lane] - upper) * share
        };
        let mut cells = [0.0; LANES + 2];
        for lane in 0..LANES {
            cells[lane + 1] = mix(chunk, lane);
        }
        cells[0] = if chunk > 0 { mix(chunk - 1, LANES - 1) } else { cells[1] };
        cells[LANES + 1] = if chunk + 1 < self.chunks { mix(chunk + 1, 0) } else { cells[LANES] };
        cells
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

/// Half of the cells, with neighbours, at twice as many places.
fn double(cells: &[f32; LANES + 2], half: usize, out: &mut Lanes) {
    for i in 0..LANES / 2 {
        let at = half * LANES / 2 + i + 1;
        out[2 * i] = 0.75 * cells[at] + 0.25 * cells[at - 1];
        out[2 * i + 1] = 0.75 * cells[at] + 0.25 * cells[at + 1];
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
        let gain: Lanes = std::array::from_fn(|i| gain(matte[i]));
        for component in 0..3 {
            let (person, behind) = (&mut sides.person[component], &mut sides.behind[component]);
            for i in 0..LANES {
                let (own, other) = (matte[i], 1.0 - matte[i]);
                let rest = codes[component][i] - own * person[i] - other * behind[i];
                person[i] = (person[i] + own * gain[i] * rest).clamp(0.0, 255.0);
                behind[i] = (behind[i] + other * gain[i] * rest).clamp(0.0, 255.0);
            }
        }
    }
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
        *sums = Sides::default();
        *weights = Default::default();
        for (matte, sides) in mattes.iter().zip(sides) {
            let (matte, sides) = (&matte[chunk], &sides[chunk]);
            let own: Lanes = std::array::from_fn(|i| matte[i] + FAINT);
            let other: Lanes = std::array::from_fn(|i| 1.0 - matte[i] + FAINT);
            for i in 0..LANES {
                weights[0][i] += own[i];
                weights[1][i] += other[i];
            }
            for component in 0..3 {
                for i in 0..LANES {
                    sums.person[component][i] += own[i] * sides.person[component][i];
                    sums.behind[component][i] += other[i] * sides.behind[component][i];
                }
            }
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

/// Replaces every `step`-th byte of `row` by the person's share of it. `person` and `behind` are
/// the colours of cells with `CELL` samples each, and of a neighbour on both sides.
#[multiversion(targets = "simd")]
fn unmix<const CELL: usize>(
    person: &[f32; LANES + 2],
    behind: &[f32; LANES + 2],
    matte: &[u8],
    step: usize,
    row: &mut [u8],
) {
    let mut codes = [[0u8; CELL]; LANES];
    let mut weights = [[0u8; CELL]; LANES];
    weights.as_flattened_mut()[..matte.len()].copy_from_slice(matte);
    if step == 1 {
        codes.as_flattened_mut()[..matte.len()].copy_from_slice(&row[..matte.len()]);
    } else {
        for (code, sample) in codes.as_flattened_mut().iter_mut().zip(row.iter().step_by(step)) {
            *code = *sample;
        }
    }
    for (cell, (codes, weights)) in codes.iter_mut().zip(&weights).enumerate() {
        for phase in 0..CELL {
            // Samples lie between the centres of their cell and the one before or after.
            let before = 2 * phase + 1 < CELL;
            let from = if before { cell } else { cell + 1 };
            let passed = if before { 2 * phase + 1 + CELL } else { 2 * phase + 1 - CELL };
            let share = passed as f32 / (2 * CELL) as f32;
            let to = (from + 1).min(LANES + 1);
            let person = person[from] + (person[to] - person[from]) * share;
            let behind = behind[from] + (behind[to] - behind[from]) * share;
            let matte = f32::from(weights[phase]) * (1.0 / 255.0);
            let code = f32::from(codes[phase]);
            let rest = code - matte * person - (1.0 - matte) * behind;
            let own = (person + matte * gain(matte) * rest).clamp(0.0, 255.0) + 0.5;
            codes[phase] = if weights[phase] == 255 { codes[phase] } else { own as u8 };
        }
    }
    if step == 1 {
        row[..matte.len()].copy_from_slice(&codes.as_flattened()[..matte.len()]);
    } else {
        let codes = &codes.as_flattened()[..matte.len()];
        for (sample, code) in row.iter_mut().step_by(step).zip(codes) {
            *sample = *code;
        }
    }
}
