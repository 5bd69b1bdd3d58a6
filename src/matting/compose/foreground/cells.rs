// SPDX-License-Identifier: MIT

//! Cells of the small picture, and how they are made of a frame's rows.

use std::ops::Range;

use multiversion::multiversion;

use super::fixed::Unmixed;
use crate::matting::frame::color::Affine;

/// Cells side by side that are worked on together, or not.
pub const BLOCK: usize = 8;

/// A block's cells. What is done to them in loops of this length becomes straight vector code.
pub type Cells = [f32; BLOCK];

/// What is done with a block of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Nothing.
    None,
    /// The frame's colours stand on both sides, for the neighbours.
    Border,
    /// Colours are estimated.
    Estimate,
}

/// The cells of a row that lie in blocks with `least` to do, or more, run by run.
pub fn runs(work: &[Work], least: Work) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + work[at..].iter().position(|&work| work >= least)?;
        let length = work[start..].iter().position(|&work| work < least);
        at = length.map_or(work.len(), |length| start + length);
        Some(start * BLOCK..at * BLOCK)
    })
}

/// Blocks where colours are estimated in either of two rows, run by run.
pub fn known_blocks([upper, lower]: [&[Work]; 2]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut known = upper.iter().zip(lower).map(|(&upper, &lower)| upper.max(lower)).enumerate();
    std::iter::from_fn(move || {
        let (start, _) = known.find(|(_, work)| *work == Work::Estimate)?;
        let end = known.find(|(_, work)| *work != Work::Estimate);
        Some(start..end.map_or(upper.len(), |(end, _)| end))
    })
}

/// The length of a row of `width` cells with a block more on both sides: beyond the border there is
/// what is at it, so that every cell has its neighbours where it looks for them.
pub const fn padded(width: usize) -> usize {
    width + 2 * BLOCK
}

/// The cells of a padded row.
pub fn inner<S>(row: &mut [S]) -> &mut [S] {
    let width = row.len() - 2 * BLOCK;
    &mut row[BLOCK..][..width]
}

/// The eight cells from `at` on.
#[inline(always)]
pub fn load<T: Copy + Default>(row: &[T], at: usize) -> [T; BLOCK] {
    let mut cells = [T::default(); BLOCK];
    cells.copy_from_slice(&row[at..at + BLOCK]);
    cells
}

/// The eight cells from `at` on, times `scale`.
#[inline(always)]
pub fn load_scaled<S: Unmixed>(row: &[S], at: usize, scale: f32) -> Cells {
    let samples = load(row, at);
    let mut cells = [0.0; BLOCK];
    for i in 0..BLOCK {
        cells[i] = scale * samples[i].number();
    }
    cells
}

/// Writes what is beyond the border of a padded row.
pub fn pad<T: Copy>(row: &mut [T]) {
    let last = row.len() - BLOCK - 1;
    let (left, right) = (row[BLOCK], row[last]);
    row[..BLOCK].fill(left);
    row[last + 1..].fill(right);
}

/// Means over `size` values each, the last of which may be fewer; what is beyond repeats the last. They have
/// `lift` bits more.
pub fn means<S: Unmixed>(row: &[S], size: usize, lift: u32, cells: &mut [S]) {
    match size {
        1 => means_over::<S, 1>(row, lift, cells),
        2 => means_over::<S, 2>(row, lift, cells),
        4 => means_over::<S, 4>(row, lift, cells),
        8 => means_over::<S, 8>(row, lift, cells),
        _ => means_over::<S, 16>(row, lift, cells),
    }
}

#[multiversion(targets = "simd")]
fn means_over<S: Unmixed, const N: usize>(row: &[S], lift: u32, cells: &mut [S]) {
    let (whole, rest) = row.as_chunks::<N>();
    for (cell, values) in cells.iter_mut().zip(whole) {
        *cell = S::of_bits(((S::sum(values) << lift) + N as u32 / 2) / N as u32);
    }
    let last = match rest.len() as u32 {
        0 => cells[whole.len() - 1],
        n => {
            let sum = rest.iter().fold(0, |sum, &value| sum + S::sum(&[value]));
            S::of_bits(((sum << lift) + n / 2) / n)
        }
    };
    cells[whole.len()..].fill(last);
}

/// Takes rows of three components to the output's codes.
#[multiversion(targets = "simd")]
pub fn convert<S: Unmixed>(first: &mut [S], second: &mut [S], third: &mut [S], to_codes: &Affine) {
    let n = first.len();
    let (second, third) = (&mut second[..n], &mut third[..n]);
    let Affine { matrix: [a, b, c], offset } = *to_codes;
    for i in 0..n {
        let [x, y, z] = [first[i], second[i], third[i]].map(|code| code.decode(S::FULL));
        first[i] = S::encode(a[0] * x + a[1] * y + a[2] * z + offset[0], S::FULL);
        second[i] = S::encode(b[0] * x + b[1] * y + b[2] * z + offset[1], S::FULL);
        third[i] = S::encode(c[0] * x + c[1] * y + c[2] * z + offset[2], S::FULL);
    }
}
