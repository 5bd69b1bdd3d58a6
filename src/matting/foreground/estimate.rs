//! One level's colours on both sides of the edge: begun with the coarser level's, corrected by what
//! they do not explain, and blurred.
//!
//! All that is done to a row is done while it is in the first-level cache: a row is blurred as soon
//! as the one below it is begun.

// Rows are read together at the same index.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use multiversion::multiversion;

use super::cells::{BLOCK, Work, runs};
use super::levels::{Level, SIDES, Sides};

/// Weight that a colour keeps in blurring where there is none of it.
const FAINT: f32 = 0.01;
/// Held against sharing out all that is unexplained: a matte is never quite right, and what it is
/// wrong by would become the opposite of the old background in the person.
const DAMPING: f32 = 0.15;

/// Rows that estimating needs.
pub struct Scratch {
    /// Both sides' colours in the row above and in the row at hand, as they were before they were
    /// blurred.
    above: Vec<f32>,
    here: Vec<f32>,
    /// A row, with a cell more on both sides.
    row: Vec<f32>,
    /// A factor for each cell.
    factors: Vec<f32>,
}

impl Scratch {
    /// For levels up to `width` cells wide.
    pub fn new(width: usize) -> Self {
        Self {
            above: vec![0.0; SIDES * width],
            here: vec![0.0; SIDES * width],
            row: vec![0.0; width + 2],
            factors: vec![0.0; width],
        }
    }
}

impl Level {
    /// Estimates the colours of both sides, from those of the coarser level. Every row is kept.
    pub fn estimate(&mut self, coarser: Option<&Self>, iterations: usize, scratch: &mut Scratch) {
        let mut sides = std::mem::take(&mut self.sides);
        sides.restart(0);
        self.estimate_until(self.height - 1, coarser, &mut sides, scratch);
        for _ in 1..iterations {
            for y in 0..self.height {
                self.blur(y, &mut sides, scratch);
                self.correct(y, &mut sides, scratch);
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
                self.correct(next, sides, scratch);
            }
            if next > sides.first {
                self.blur(next - 1, sides, scratch);
                self.correct(next - 1, sides, scratch);
            }
            sides.next += 1;
        }
    }

    /// Starts row `y` with what the coarser level found, or with the frame's colours.
    fn begin(&self, y: usize, coarser: Option<&Self>, sides: &mut Sides, scratch: &mut Scratch) {
        let (blocks, range) = (self.blocks(), sides.range(y));
        let work = &self.work[y * blocks..][..blocks];
        let codes = &self.codes[3 * y * self.width..][..3 * self.width];
        let sides = &mut sides.values[range];
        let most = if coarser.is_some() { Work::Border } else { Work::Estimate };
        begin_row(work, most, codes, sides);
        if let Some(coarser) = coarser {
            let far = if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { y / 2 + 1 };
            let [near, far] = [y / 2, far.min(coarser.height - 1)].map(|y| coarser.sides.row(y));
            double_row(work, near, far, &mut scratch.row, sides);
        }
    }

    /// Shares out between both sides what they do not explain of the frame's colours in row `y`.
    fn correct(&self, y: usize, sides: &mut Sides, scratch: &mut Scratch) {
        let (blocks, range) = (self.blocks(), sides.range(y));
        correct_row(
            &self.work[y * blocks..][..blocks],
            &self.matte[y * self.width..][..self.width],
            &self.codes[3 * y * self.width..][..3 * self.width],
            &mut scratch.factors,
            &mut sides.values[range],
        );
    }

    /// Blurs both sides of row `y` over 3 x 3 cells, each weighed by how much of it is there. The
    /// row above has been blurred before.
    fn blur(&self, y: usize, sides: &mut Sides, scratch: &mut Scratch) {
        let (blocks, width) = (self.blocks(), self.width);
        let work = &self.work[y * blocks..][..blocks];
        let [above, below] = [y.saturating_sub(1), (y + 1).min(self.height - 1)];
        let mattes = [above, y, below].map(|y| &self.matte[y * width..][..width]);
        let range = sides.range(y);
        let kept = &mut scratch.here[..SIDES * width];
        for run in runs(work, Work::Border) {
            let rows =
                kept.chunks_exact_mut(width).zip(sides.values[range.clone()].chunks_exact(width));
            for (kept, row) in rows {
                kept[run.clone()].copy_from_slice(&row[run.clone()]);
            }
        }
        let here = &scratch.here[..SIDES * width];
        let above = if above < y { &scratch.above } else { here };
        // Beyond the last row there is what is in it.
        let ranges = [range.clone(), sides.range(below)];
        let (sides, below) = match sides.values.get_disjoint_mut(ranges) {
            Ok([sides, below]) => (sides, &*below),
            Err(_) => (&mut sides.values[range], here),
        };
        let rows = [above, here, below];
        blur_row(work, mattes, rows, &mut scratch.row, &mut scratch.factors, sides);
        std::mem::swap(&mut scratch.above, &mut scratch.here);
    }
}

/// The frame's colours on both sides, where there is something to do, but at most `most`.
fn begin_row(work: &[Work], most: Work, codes: &[f32], sides: &mut [f32]) {
    let blocks = work.len();
    let (codes, _) = codes.as_chunks::<BLOCK>();
    let (sides, _) = sides.as_chunks_mut::<BLOCK>();
    for (block, work) in work.iter().enumerate() {
        if (Work::Border..=most).contains(work) {
            for row in 0..SIDES {
                sides[row * blocks + block] = codes[row % 3 * blocks + block];
            }
        }
    }
}

/// Cells of a row that is `width` cells wide, with a neighbour on both sides where there is one.
#[inline(always)]
fn with_neighbours(cells: &Range<usize>, width: usize) -> Range<usize> {
    cells.start.saturating_sub(1)..(cells.end + 1).min(width)
}

/// Fills in the neighbours of `row`'s first and last cell that are not there: beyond the border
/// there is what is at it. `known` are the cells that `row`, beginning with the one before `cells`,
/// has got already.
#[inline(always)]
fn extend(row: &mut [f32], cells: &Range<usize>, known: &Range<usize>) {
    if known.start == cells.start {
        row[0] = row[1];
    }
    if known.end == cells.end {
        row[cells.len() + 1] = row[cells.len()];
    }
}

/// Twice as many cells, where they are to be estimated, between the two rows of the coarser level
/// that are the nearest.
#[multiversion(targets = "simd")]
fn double_row(work: &[Work], near: &[f32], far: &[f32], row: &mut [f32], sides: &mut [f32]) {
    let width = near.len() / SIDES;
    for run in runs(work, Work::Estimate) {
        let cells = run.start / 2..run.end / 2;
        let known = with_neighbours(&cells, width);
        let row = &mut row[..cells.len() + 2];
        let planes = near.chunks_exact(width).zip(far.chunks_exact(width));
        for ((near, far), out) in planes.zip(sides.chunks_exact_mut(work.len() * BLOCK)) {
            let mixed = &mut row[known.start + 1 - cells.start..][..known.len()];
            mix(&near[known.clone()], &far[known.clone()], mixed);
            extend(row, &cells, &known);
            double(row, &mut out[run.clone()]);
        }
    }
}

/// Three quarters of `near`, and one of `far`.
#[inline(always)]
fn mix(near: &[f32], far: &[f32], out: &mut [f32]) {
    let n = out.len();
    let (near, far) = (&near[..n], &far[..n]);
    for i in 0..n {
        out[i] = 0.75 * near[i] + 0.25 * far[i];
    }
}

/// Cells, with a neighbour on both sides, at twice as many places.
#[inline(always)]
fn double(cells: &[f32], out: &mut [f32]) {
    let pairs = out.as_chunks_mut::<2>().0;
    let n = pairs.len();
    let (left, here, right) = (&cells[..n], &cells[1..n + 1], &cells[2..n + 2]);
    for i in 0..n {
        let near = 0.75 * here[i];
        pairs[i] = [near + 0.25 * left[i], near + 0.25 * right[i]];
    }
}

/// How much of an unexplained difference goes to the person: the smallest change of F and B that
/// explains it is in the ratio of α and 1 − α.
#[inline(always)]
pub fn gain(matte: f32) -> f32 {
    let behind = 1.0 - matte;
    1.0 / (matte * matte + behind * behind + DAMPING)
}

/// Within the codes. Unlike `clamp`, which keeps what is not a number, it is two vector
/// instructions.
#[inline(always)]
pub fn clip(code: f32) -> f32 {
    let code = if code > 0.0 { code } else { 0.0 };
    if code < 255.0 { code } else { 255.0 }
}

#[multiversion(targets = "simd")]
fn correct_row(work: &[Work], matte: &[f32], codes: &[f32], gains: &mut [f32], sides: &mut [f32]) {
    let width = matte.len();
    for run in runs(work, Work::Estimate) {
        let matte = &matte[run.clone()];
        let gains = &mut gains[..run.len()];
        for (gain_here, matte) in gains.iter_mut().zip(matte) {
            *gain_here = gain(*matte);
        }
        let (person, behind) = sides.split_at_mut(3 * width);
        let planes = person.chunks_exact_mut(width).zip(behind.chunks_exact_mut(width));
        for ((person, behind), codes) in planes.zip(codes.chunks_exact(width)) {
            let (person, behind) = (&mut person[run.clone()], &mut behind[run.clone()]);
            share_out(matte, gains, &codes[run.clone()], person, behind);
        }
    }
}

#[inline(always)]
fn share_out(matte: &[f32], gains: &[f32], codes: &[f32], person: &mut [f32], behind: &mut [f32]) {
    let n = matte.len();
    let (gains, codes) = (&gains[..n], &codes[..n]);
    let (person, behind) = (&mut person[..n], &mut behind[..n]);
    for i in 0..n {
        let other = 1.0 - matte[i];
        let rest = (codes[i] - matte[i] * person[i] - other * behind[i]) * gains[i];
        person[i] = clip(person[i] + matte[i] * rest);
        behind[i] = clip(behind[i] + other * rest);
    }
}

/// Means of three rows, and of each cell with its neighbours, where `work` says so.
#[multiversion(targets = "simd")]
fn blur_row(
    work: &[Work],
    mattes: [&[f32]; 3],
    rows: [&[f32]; 3],
    sums: &mut [f32],
    factors: &mut [f32],
    sides: &mut [f32],
) {
    let width = mattes[0].len();
    for run in runs(work, Work::Estimate) {
        let known = with_neighbours(&run, width);
        let mattes = mattes.map(|row| &row[known.clone()]);
        let sums = &mut sums[..run.len() + 2];
        let factors = &mut factors[..run.len()];
        let first = known.start + 1 - run.start;
        for (side, sides) in sides.chunks_exact_mut(3 * width).enumerate() {
            // What is there of the side is the matte, or what the matte leaves.
            let weight = if side == 0 { [FAINT, 1.0] } else { [1.0 + FAINT, -1.0] };
            sum_weights(mattes, weight, &mut sums[first..][..known.len()]);
            extend(sums, &run, &known);
            invert_sums(sums, factors);
            for (component, out) in sides.chunks_exact_mut(width).enumerate() {
                let plane = (3 * side + component) * width;
                let [above, here, below] = rows.map(|row| &row[plane..][known.clone()]);
                let out_of_rows = &mut sums[first..][..known.len()];
                sum_rows(mattes, weight, above, here, below, out_of_rows);
                extend(sums, &run, &known);
                scale_sums(sums, factors, &mut out[run.clone()]);
            }
        }
    }
}

#[inline(always)]
fn sum_weights(mattes: [&[f32]; 3], [base, slope]: [f32; 2], out: &mut [f32]) {
    let n = out.len();
    let [a, b, c] = mattes.map(|row| &row[..n]);
    for i in 0..n {
        out[i] = 3.0 * base + slope * (a[i] + b[i] + c[i]);
    }
}

#[inline(always)]
fn sum_rows(
    mattes: [&[f32]; 3],
    [base, slope]: [f32; 2],
    above: &[f32],
    here: &[f32],
    below: &[f32],
    out: &mut [f32],
) {
    let n = out.len();
    let [a, b, c] = mattes.map(|row| &row[..n]);
    let (above, here, below) = (&above[..n], &here[..n], &below[..n]);
    for i in 0..n {
        out[i] = (base + slope * a[i]) * above[i]
            + (base + slope * b[i]) * here[i]
            + (base + slope * c[i]) * below[i];
    }
}

/// One by the sum of each cell and its neighbours.
#[inline(always)]
fn invert_sums(cells: &[f32], out: &mut [f32]) {
    let n = out.len();
    let (left, here, right) = (&cells[..n], &cells[1..n + 1], &cells[2..n + 2]);
    for i in 0..n {
        out[i] = 1.0 / (left[i] + here[i] + right[i]);
    }
}

/// The sum of each cell and its neighbours, times a factor.
#[inline(always)]
fn scale_sums(cells: &[f32], factors: &[f32], out: &mut [f32]) {
    let n = out.len();
    let (left, here, right) = (&cells[..n], &cells[1..n + 1], &cells[2..n + 2]);
    let factors = &factors[..n];
    for i in 0..n {
        out[i] = (left[i] + here[i] + right[i]) * factors[i];
    }
}
