// SPDX-License-Identifier: MIT

//! What blending does to the samples of a row: the matte's weights are brought to the planes' resolution,
//! spread over the samples that each pixel has, and mix what is in front with what is behind.

use bytemuck::{cast_slice, cast_slice_mut};
use multiversion::multiversion;

use crate::matting::frame::pixel_format::{Family, PixelFormat};
use crate::matting::frame::sample::{Grain, Sample};

/// For a background that is itself `alpha` opaque: the opacity of the whole, and the person's
/// share of its straight colours (Porter and Duff 1984, "over").
pub fn weigh_over<S: Sample>(opacity: &mut [S], weights: &mut [S], alpha: S) {
    for (opacity, weight) in opacity.iter_mut().zip(weights) {
        let whole = opacity.plus(opacity.rest().times(alpha));
        *weight = opacity.over(whole);
        *opacity = whole;
    }
}

/// Weights for every sample of a plane's row.
pub fn spread<'a, S: Sample>(
    format: PixelFormat,
    plane: usize,
    full: &'a [S],
    half: &'a [S],
    out: &'a mut [S],
) -> &'a [S] {
    let mut components = format.in_plane(plane);
    let Some(first) = components.next() else { return full };
    let weights = if first.h_shift > 0 { half } else { full };
    match (first.step, format.family(), first.h_shift) {
        (1, ..) => weights,
        // All samples of a packed pixel weigh the same.
        (3, ..) => repeat::<S, 3>(weights, out),
        (4, Family::Rgb, _) | (4, _, 0) => repeat::<S, 4>(weights, out),
        (2, _, 1) => repeat::<S, 2>(weights, out),
        _ if first.offset == 0 => interleave::<S, 0>(full, half, out),
        _ => interleave::<S, 1>(full, half, out),
    }
}

#[multiversion(targets = "simd")]
fn repeat<'a, S: Sample, const N: usize>(weights: &[S], out: &'a mut [S]) -> &'a [S] {
    for (samples, weight) in out.chunks_exact_mut(N).zip(weights) {
        samples.fill(*weight);
    }
    &out[..N * weights.len()]
}

/// For packed 4:2:2, luma at `LUMA` of every two samples and chroma at the other.
#[multiversion(targets = "simd")]
fn interleave<'a, S: Sample, const LUMA: usize>(
    full: &[S],
    half: &[S],
    out: &'a mut [S],
) -> &'a [S] {
    let pairs = full.len() / 2;
    let quads = out.as_chunks_mut::<4>().0;
    for (quad, (full, half)) in quads.iter_mut().zip(full.as_chunks::<2>().0.iter().zip(half)) {
        *quad = match LUMA {
            0 => [full[0], *half, full[1], *half],
            _ => [*half, full[0], *half, full[1]],
        };
    }
    // An odd last pixel has a pair of its own, whose second luma nobody sees.
    if let ([.., last], Some(samples)) = (&full[2 * pairs..], out.get_mut(4 * pairs..)) {
        for (sample, at) in samples.iter_mut().zip(0..) {
            *sample = if at % 2 == LUMA { *last } else { half[pairs] };
        }
    }
    out
}

/// Samples of a row that are looked at together: most of a matte is 0 or 1.
const CHUNK: usize = 64;

/// `out` = front · weight + behind · (1 − weight), rounded to codes with `grain`. Without a `front`, `out` is it.
// Functions for several processors that are not generic choose among them once, others at every call, which
// spans as short as these would notice.
pub fn mix<S: Sample>(
    out: &mut [S],
    front: Option<&[S]>,
    behind: &[S],
    weights: &[S],
    grain: Grain,
) {
    if S::BITS == 8 {
        let (out, front) = (cast_slice_mut(out), front.map(cast_slice));
        mix_bytes(out, front, cast_slice(behind), cast_slice(weights), grain);
    } else {
        let (out, front) = (cast_slice_mut(out), front.map(cast_slice));
        mix_words(out, front, cast_slice(behind), cast_slice(weights), grain);
    }
}

#[multiversion(targets = "simd")]
fn mix_bytes(out: &mut [u8], front: Option<&[u8]>, behind: &[u8], weights: &[u8], grain: Grain) {
    mix_chunks(out, front, behind, weights, grain);
}

#[multiversion(targets = "simd")]
fn mix_words(
    out: &mut [u16],
    front: Option<&[u16]>,
    behind: &[u16],
    weights: &[u16],
    grain: Grain,
) {
    mix_chunks(out, front, behind, weights, grain);
}

#[inline(always)]
fn mix_chunks<S: Sample>(
    out: &mut [S],
    front: Option<&[S]>,
    behind: &[S],
    weights: &[S],
    grain: Grain,
) {
    let n = out.len();
    let whole = n - n % CHUNK;
    for start in (0..whole).step_by(CHUNK) {
        // Spans whose length the compiler knows become straight vector code.
        let span = start..start + CHUNK;
        let front = front.map(|front| &front[span.clone()]);
        mix_span(&mut out[span.clone()], front, &behind[span.clone()], &weights[span], grain);
    }
    let front = front.map(|front| &front[whole..n]);
    mix_span(&mut out[whole..], front, &behind[whole..n], &weights[whole..n], grain);
}

#[inline(always)]
fn mix_span<S: Sample>(
    out: &mut [S],
    front: Option<&[S]>,
    behind: &[S],
    weights: &[S],
    grain: Grain,
) {
    if S::are_all(weights, S::NONE) {
        out.copy_from_slice(behind);
        return;
    }
    if let Some(front) = front {
        out.copy_from_slice(front);
    }
    if S::are_all(weights, S::ALL) {
        return;
    }
    for ((out, behind), weight) in out.iter_mut().zip(behind).zip(weights) {
        *out = out.mix(*behind, *weight, grain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::pixel_format::Depth;

    #[test]
    fn mixing_is_exact_for_all_bytes() {
        for weight in 0..=255u8 {
            let mut row: Vec<u8> = (0..=255).collect();
            mix(&mut row, None, &[77; 256], &[weight; 256], Depth::EIGHT.into());
            for (value, mixed) in row.iter().enumerate() {
                let w = f64::from(weight) / 255.0;
                let want = value as f64 * w + 77.0 * (1.0 - w);
                assert!((f64::from(*mixed) - want).abs() <= 0.5 + 1e-9);
            }
        }
    }
}
