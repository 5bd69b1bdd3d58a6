// SPDX-License-Identifier: MIT

//! Cells of the small picture, and how they are made of a frame's rows.

use std::ops::Range;

use multiversion::multiversion;

use crate::matting::frame::color::Affine;
use crate::matting::kernels::round::clip;
use crate::matting::kernels::round::nearest;

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
pub fn inner(row: &mut [u8]) -> &mut [u8] {
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
pub fn load_scaled(row: &[u8], at: usize, scale: f32) -> Cells {
    let bytes = load(row, at);
    let mut cells = [0.0; BLOCK];
    for i in 0..BLOCK {
        cells[i] = scale * f32::from(bytes[i]);
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

/// Means over `size` values each, the last of which may be fewer; what is beyond repeats the last.
pub fn means(row: &[u8], size: usize, cells: &mut [u8]) {
    match size {
        1 => means_over::<1>(row, cells),
        2 => means_over::<2>(row, cells),
        4 => means_over::<4>(row, cells),
        8 => means_over::<8>(row, cells),
        _ => means_over::<16>(row, cells),
    }
}

#[multiversion(targets = "simd")]
fn means_over<const N: usize>(row: &[u8], cells: &mut [u8]) {
    let (whole, rest) = row.as_chunks::<N>();
    for (cell, values) in cells.iter_mut().zip(whole) {
        *cell = ((sum(values) + N as u32 / 2) / N as u32) as u8;
    }
    let last = match rest.len() {
        0 => cells[whole.len() - 1],
        n => (rest.iter().fold(n / 2, |sum, &value| sum + usize::from(value)) / n) as u8,
    };
    cells[whole.len()..].fill(last);
}

/// The sum of up to 16 bytes.
#[inline(always)]
fn sum<const N: usize>(bytes: &[u8; N]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    // Every second byte of a word, and the others, then both halves: there are no lanes to cross.
    let mut pairs = 0;
    for bytes in words {
        let word = u32::from_le_bytes(*bytes);
        pairs += (word & 0x00ff_00ff) + (word >> 8 & 0x00ff_00ff);
    }
    let mut sum = (pairs & 0xffff) + (pairs >> 16);
    for byte in rest {
        sum += u32::from(*byte);
    }
    sum
}

/// Takes rows of three components to the output's codes.
#[multiversion(targets = "simd")]
pub fn convert(first: &mut [u8], second: &mut [u8], third: &mut [u8], to_codes: &Affine) {
    let n = first.len();
    let (second, third) = (&mut second[..n], &mut third[..n]);
    let Affine { matrix: [a, b, c], offset } = *to_codes;
    for i in 0..n {
        let [x, y, z] = [f32::from(first[i]), f32::from(second[i]), f32::from(third[i])];
        first[i] = code(a[0] * x + a[1] * y + a[2] * z + offset[0]);
        second[i] = code(b[0] * x + b[1] * y + b[2] * z + offset[1]);
        third[i] = code(c[0] * x + c[1] * y + c[2] * z + offset[2]);
    }
}

/// The nearest code.
#[inline(always)]
fn code(value: f32) -> u8 {
    nearest(clip(value)) as u8
}
