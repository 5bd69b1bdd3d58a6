// SPDX-License-Identifier: MIT

//! One level's colours on both sides of the edge: begun with the coarser level's, corrected by what
//! they do not explain, and blurred.
//!
//! All that is done to a row is done while it is in the first-level cache: a row is blurred as soon
//! as the one below it is begun. Soft parts are narrow, so that rows are taken block by block, in
//! vectors of a known length.

// Rows are read together at the same index.
#![allow(clippy::needless_range_loop)]

use multiversion::multiversion;

use super::cells::{BLOCK, Cells, Work, load, load_scaled, pad, padded};
use super::fixed::Unmixed;
use super::levels::{Level, SIDES, Sides};
use crate::matting::kernels::round::clip;

/// Weight that a colour keeps in blurring where there is none of it.
const FAINT: f32 = 0.01;
/// Held against sharing out all that is unexplained: a matte is never quite right, and what it is
/// wrong by would become the opposite of the old background in the person.
const DAMPING: f32 = 0.15;
/// Rows that a blurred row is made of.
const BLURRED: usize = 3;

/// Rows that estimating needs.
pub struct Scratch {
    /// Both sides' colours before they are blurred, each weighed by how much of it is there, in the
    /// row above, the one at hand and the one below.
    weighed: Vec<f32>,
}

impl Scratch {
    /// For levels up to `width` cells wide.
    pub fn new(width: usize) -> Self {
        Self { weighed: vec![0.0; BLURRED * SIDES * padded(width)] }
    }

    fn row(&self, y: usize, stride: usize) -> &[f32] {
        &self.weighed[y % BLURRED * SIDES * stride..][..SIDES * stride]
    }

    fn row_mut(&mut self, y: usize, stride: usize) -> &mut [f32] {
        &mut self.weighed[y % BLURRED * SIDES * stride..][..SIDES * stride]
    }
}

impl<S: Unmixed> Level<S> {
    /// Estimates the colours of both sides, from those of the coarser level. Every row is kept.
    pub fn estimate(&mut self, coarser: Option<&Self>, iterations: usize, scratch: &mut Scratch) {
        let mut sides = std::mem::take(&mut self.sides);
        sides.restart(0);
        self.estimate_until(self.height - 1, coarser, &mut sides, scratch);
        for _ in 1..iterations {
            for y in 0..=self.height {
                if y < self.height {
                    self.weigh(y, &sides, scratch);
                }
                if y > 0 {
                    self.blur(y - 1, 0, &mut sides, scratch);
                }
            }
        }
        self.sides = sides;
    }

    /// Estimates the colours of both sides in one iteration up to row `y`, and goes on where it was
    /// left. The row below will have been begun, and is kept as well. Of rows that were restarted at,
    /// the first is not right.
    pub fn estimate_until(
        &self,
        y: usize,
        coarser: Option<&Self>,
        sides: &mut Sides,
        scratch: &mut Scratch,
    ) {
        while sides.next <= y + 1 {
            let next = sides.next;
            if next < self.height {
                self.begin(next, coarser, sides, scratch);
            }
            if next > sides.first {
                self.blur(next - 1, sides.first, sides, scratch);
            }
            sides.next += 1;
        }
    }

    /// Starts row `y` with what the coarser level found, or with the frame's colours, and corrects it.
    fn begin(&self, y: usize, coarser: Option<&Self>, sides: &mut Sides, scratch: &mut Scratch) {
        let coarse = coarser.map(|coarser| {
            let far = if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { y / 2 + 1 };
            [y / 2, far.min(coarser.height - 1)].map(|y| coarser.sides.row(y))
        });
        let weighed = scratch.row_mut(y, padded(self.width));
        let (work, matte, codes) = (self.work_row(y), self.matte_row(y), self.codes_row(y));
        begin_row(work, matte, codes, coarse, sides.row_mut(y), weighed);
    }

    /// Weighs row `y` of both sides, for blurring it.
    fn weigh(&self, y: usize, sides: &Sides, scratch: &mut Scratch) {
        let weighed = scratch.row_mut(y, padded(self.width));
        weigh_row(self.work_row(y), self.matte_row(y), sides.row(y), weighed);
    }

    /// Blurs both sides of row `y` over 3 x 3 cells, each weighed by how much of it is there, and
    /// corrects them. Rows from `first` on have been weighed, to the one below.
    fn blur(&self, y: usize, first: usize, sides: &mut Sides, scratch: &Scratch) {
        let rows = [y.saturating_sub(1).max(first), y, (y + 1).min(self.height - 1)];
        let mattes = rows.map(|y| self.matte_row(y));
        let weighed = rows.map(|y| scratch.row(y, padded(self.width)));
        blur_row(self.work_row(y), mattes, weighed, self.codes_row(y), sides.row_mut(y));
    }
}

/// One of the rows of all components.
#[inline(always)]
fn plane<T>(rows: &[T], index: usize, stride: usize) -> &[T] {
    &rows[index * stride..][..stride]
}

/// The mattes of the eight cells from `at` on.
#[inline(always)]
fn alphas_at<S: Unmixed>(matte: &[S], at: usize) -> Cells {
    load_scaled(matte, at, 1.0 / S::ALL.number())
}

/// The codes of the eight cells from `at` on of one of the rows of all components.
#[inline(always)]
fn codes_at<S: Unmixed>(codes: &[S], component: usize, stride: usize, at: usize) -> Cells {
    load_scaled(plane(codes, component, stride), at, 1.0 / S::FULL.unit())
}

#[inline(always)]
fn store(cells: Cells, rows: &mut [f32], index: usize, stride: usize, at: usize) {
    rows[index * stride + at..][..BLOCK].copy_from_slice(&cells);
}

/// Begins a row with the colours of the two rows of the coarser level that are the nearest, or else
/// with the frame's, where there is something to estimate, and weighs it for blurring. At the border
/// there are the frame's colours.
#[multiversion(targets = "simd")]
fn begin_row<S: Unmixed>(
    work: &[Work],
    matte: &[S],
    codes: &[S],
    coarse: Option<[&[f32]; 2]>,
    sides: &mut [f32],
    weighed: &mut [f32],
) {
    let stride = matte.len();
    for (block, work) in work.iter().enumerate() {
        let at = (block + 1) * BLOCK;
        let alphas = alphas_at(matte, at);
        let (estimates, gains) = match (work, coarse) {
            (Work::None, _) => continue,
            (Work::Estimate, Some(_)) => (true, gains_of(&alphas)),
            _ => (*work == Work::Estimate, [0.0; BLOCK]),
        };
        for component in 0..3 {
            let code = codes_at(codes, component, stride, at);
            let mut both = [code, code];
            if let (true, Some(coarse)) = (estimates, coarse) {
                both[0] = double(coarse, component, block);
                both[1] = double(coarse, 3 + component, block);
                share_out(&alphas, &gains, &code, S::FULL.white(), &mut both);
            }
            for side in 0..2 {
                let index = 3 * side + component;
                store(both[side], sides, index, stride, at);
                store(weigh(&alphas, side, &both[side]), weighed, index, stride, at);
            }
        }
    }
    pad_rows(work, sides, stride);
    pad_rows(work, weighed, stride);
}

#[multiversion(targets = "simd")]
fn weigh_row<S: Unmixed>(work: &[Work], matte: &[S], sides: &[f32], weighed: &mut [f32]) {
    let stride = matte.len();
    for (block, _) in work.iter().enumerate().filter(|(_, work)| **work != Work::None) {
        let at = (block + 1) * BLOCK;
        let alphas = alphas_at(matte, at);
        for index in 0..SIDES {
            let cells = load(plane(sides, index, stride), at);
            store(weigh(&alphas, index / 3, &cells), weighed, index, stride, at);
        }
    }
    pad_rows(work, weighed, stride);
}

/// Writes what is beyond the border of rows where somebody may look at it.
#[inline(always)]
fn pad_rows(work: &[Work], rows: &mut [f32], stride: usize) {
    let ends = [work.first(), work.last()];
    if ends.into_iter().flatten().any(|work| *work != Work::None) {
        rows.chunks_exact_mut(stride).for_each(pad);
    }
}

/// A block of one row, from the row of the coarser level that is `near` and the `far` one: twice as
/// many cells, linearly.
#[inline(always)]
fn double(coarse: [&[f32]; 2], index: usize, block: usize) -> Cells {
    let stride = coarse[0].len() / SIDES;
    // From the cell before the first that this block lies in.
    let at = BLOCK + block * 4 - 1;
    let near = load(plane(coarse[0], index, stride), at);
    let far = load(plane(coarse[1], index, stride), at);
    let mut mixed = [0.0; BLOCK];
    for i in 0..BLOCK {
        mixed[i] = 0.75 * near[i] + 0.25 * far[i];
    }
    let [a, b, c, d, e, f, ..] = mixed;
    let (here, other) = ([b, b, c, c, d, d, e, e], [a, c, b, d, c, e, d, f]);
    let mut out = [0.0; BLOCK];
    for i in 0..BLOCK {
        out[i] = 0.75 * here[i] + 0.25 * other[i];
    }
    out
}

/// Weight of the person's colour, or of what is behind.
#[inline(always)]
fn weigh(alphas: &Cells, side: usize, cells: &Cells) -> Cells {
    let [base, slope] = if side == 0 { [FAINT, 1.0] } else { [1.0 + FAINT, -1.0] };
    let mut weighed = [0.0; BLOCK];
    for i in 0..BLOCK {
        weighed[i] = (base + slope * alphas[i]) * cells[i];
    }
    weighed
}

/// How much of an unexplained difference goes to the person: the smallest change of F and B that
/// explains it is in the ratio of α and 1 − α.
#[inline(always)]
pub fn gain(matte: f32) -> f32 {
    let behind = 1.0 - matte;
    1.0 / (matte * matte + behind * behind + DAMPING)
}

#[inline(always)]
fn gains_of(alphas: &Cells) -> Cells {
    let mut gains = [0.0; BLOCK];
    for i in 0..BLOCK {
        gains[i] = gain(alphas[i]);
    }
    gains
}

/// Shares out between both sides what they do not explain of the frame's colours.
#[inline(always)]
fn share_out(
    alphas: &Cells,
    gains: &Cells,
    codes: &Cells,
    white: f32,
    [person, behind]: &mut [Cells; 2],
) {
    for i in 0..BLOCK {
        let other = 1.0 - alphas[i];
        let rest = (codes[i] - alphas[i] * person[i] - other * behind[i]) * gains[i];
        person[i] = clip(person[i] + alphas[i] * rest, white);
        behind[i] = clip(behind[i] + other * rest, white);
    }
}

/// The sum of the mattes of each cell and its neighbours.
#[inline(always)]
fn sum_weights<S: Unmixed>(mattes: [&[S]; BLURRED], at: usize) -> Cells {
    let mut weights = S::sum_around(mattes, at);
    for weight in &mut weights {
        *weight *= 1.0 / S::ALL.number();
    }
    weights
}

/// The sum over three rows, which begin at `start`, of each cell and its neighbours.
#[inline(always)]
fn sum_around(rows: [&[f32]; BLURRED], start: usize, at: usize) -> Cells {
    let mut sums = [0.0; BLOCK];
    for row in rows {
        let window = &row[start + at - 1..][..BLOCK + 2];
        for i in 0..BLOCK {
            sums[i] += (window[i] + window[i + 1]) + window[i + 2];
        }
    }
    sums
}

/// Means over three rows that were weighed, and of each cell with its neighbours, where colours are
/// estimated; corrected.
#[multiversion(targets = "simd")]
fn blur_row<S: Unmixed>(
    work: &[Work],
    mattes: [&[S]; BLURRED],
    weighed: [&[f32]; BLURRED],
    codes: &[S],
    sides: &mut [f32],
) {
    let stride = mattes[0].len();
    for (block, _) in work.iter().enumerate().filter(|(_, work)| **work == Work::Estimate) {
        let at = (block + 1) * BLOCK;
        let alphas = alphas_at(mattes[1], at);
        let gains = gains_of(&alphas);
        // Nine cells' weights, of which the matte is one side's and what it leaves the other's.
        let sums = sum_weights(mattes, at);
        let mut scales = [[0.0; BLOCK]; 2];
        for i in 0..BLOCK {
            scales[0][i] = 1.0 / (9.0 * FAINT + sums[i]);
            scales[1][i] = 1.0 / (9.0 * (1.0 + FAINT) - sums[i]);
        }
        for component in 0..3 {
            let mut both = [
                sum_around(weighed, component * stride, at),
                sum_around(weighed, (3 + component) * stride, at),
            ];
            for side in 0..2 {
                for i in 0..BLOCK {
                    both[side][i] *= scales[side][i];
                }
            }
            let code = codes_at(codes, component, stride, at);
            share_out(&alphas, &gains, &code, S::FULL.white(), &mut both);
            store(both[0], sides, component, stride, at);
            store(both[1], sides, 3 + component, stride, at);
        }
    }
    pad_rows(work, sides, stride);
}
