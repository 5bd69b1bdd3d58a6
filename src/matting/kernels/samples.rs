// SPDX-License-Identifier: MIT

//! Rows of samples: means over pairs, and every n-th one.

use bytemuck::{cast_slice, cast_slice_mut};
use multiversion::multiversion;

use crate::matting::frame::sample::Sample;

/// The means over pairs of columns, and over both rows where `vertically`.
// Functions for several processors that are not generic choose among them once, others at every call.
pub fn halve<S: Sample>(upper: &[S], lower: &[S], vertically: bool, out: &mut [S]) {
    if S::BITS == 8 {
        halve_bytes(cast_slice(upper), cast_slice(lower), vertically, cast_slice_mut(out));
    } else {
        halve_words(cast_slice(upper), cast_slice(lower), vertically, cast_slice_mut(out));
    }
}

#[multiversion(targets = "simd")]
fn halve_bytes(upper: &[u8], lower: &[u8], vertically: bool, out: &mut [u8]) {
    halve_rows(upper, lower, vertically, out);
}

#[multiversion(targets = "simd")]
fn halve_words(upper: &[u16], lower: &[u16], vertically: bool, out: &mut [u16]) {
    halve_rows(upper, lower, vertically, out);
}

#[inline(always)]
fn halve_rows<S: Sample>(upper: &[S], lower: &[S], vertically: bool, out: &mut [S]) {
    let pairs = upper.len() / 2;
    if vertically {
        let rows = upper.as_chunks().0.iter().zip(lower.as_chunks().0);
        for (out, (a, b)) in out[..pairs].iter_mut().zip(rows) {
            *out = S::mean_of_pairs(*a, *b);
        }
    } else {
        for (out, a) in out[..pairs].iter_mut().zip(upper.as_chunks::<2>().0) {
            *out = a[0].mean(a[1]);
        }
    }
    if let ([.., a], [.., b], Some(last)) = (upper, lower, out.get_mut(pairs)) {
        *last = if vertically { a.mean(*b) } else { *a };
    }
}

/// Every `step`-th sample from `offset` on.
pub fn gather<S: Sample>(row: &[S], offset: usize, step: usize, out: &mut [S]) {
    match step {
        1 => out.copy_from_slice(&row[..out.len()]),
        2 => gather_every::<S, 2>(row, offset, out),
        3 => gather_every::<S, 3>(row, offset, out),
        _ => gather_every::<S, 4>(row, offset, out),
    }
}

fn gather_every<S: Sample, const STEP: usize>(row: &[S], offset: usize, out: &mut [S]) {
    // With the offset as a constant the compiler makes shuffles of this.
    match offset {
        0 => gather_at::<S, STEP, 0>(row, out),
        1 => gather_at::<S, STEP, 1>(row, out),
        2 => gather_at::<S, STEP, 2>(row, out),
        _ => gather_at::<S, STEP, 3>(row, out),
    }
}

#[multiversion(targets = "simd")]
fn gather_at<S: Sample, const STEP: usize, const OFFSET: usize>(row: &[S], out: &mut [S]) {
    for (out, sample) in out.iter_mut().zip(row.chunks_exact(STEP)) {
        *out = sample[OFFSET % STEP];
    }
}
