//! Cells of the small picture, and how they are made of a frame's rows.

use std::ops::Range;

use multiversion::multiversion;

use super::estimate::clip;
use crate::matting::color::Affine;

/// Cells side by side that are worked on together, or not.
pub const BLOCK: usize = 8;

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

/// Means over `size` values each, the last of which may be fewer; what is beyond repeats the last.
pub fn means<T: Copy + Into<f32>>(row: &[T], size: usize, cells: &mut [f32]) {
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

/// Takes rows of three components to the output's codes.
#[multiversion(targets = "simd")]
pub fn convert(first: &mut [f32], second: &mut [f32], third: &mut [f32], to_codes: &Affine) {
    let n = first.len();
    let (second, third) = (&mut second[..n], &mut third[..n]);
    let Affine { matrix: [a, b, c], offset } = *to_codes;
    for i in 0..n {
        let (x, y, z) = (first[i], second[i], third[i]);
        first[i] = clip(a[0] * x + a[1] * y + a[2] * z + offset[0]);
        second[i] = clip(b[0] * x + b[1] * y + b[2] * z + offset[1]);
        third[i] = clip(c[0] * x + c[1] * y + c[2] * z + offset[2]);
    }
}

/// Means over pairs of cells of two rows. Where `out` goes on there is what is at the border.
#[multiversion(targets = "simd")]
pub fn halve(upper: &[f32], lower: &[f32], out: &mut [f32]) {
    let (pairs, last) = (upper.len() / 2, upper.len() - 1);
    let border = 0.5 * (upper[last] + lower[last]);
    let (halved, beyond) = out.split_at_mut(pairs);
    for ((out, a), b) in halved.iter_mut().zip(upper.as_chunks().0).zip(lower.as_chunks().0) {
        let (a, b): (&[f32; 2], &[f32; 2]) = (a, b);
        *out = 0.25 * ((a[0] + b[0]) + (a[1] + b[1]));
    }
    beyond.fill(border);
}
