// SPDX-License-Identifier: MIT

//! What blending does to the bytes of a row: the matte's weights are brought to the planes' resolution,
//! spread over the bytes that each pixel has, and mix what is in front with what is behind.

use multiversion::multiversion;

use crate::matting::frame::pixel_format::{Family, PixelFormat};
use crate::matting::kernels::bytes::scale;

/// For a background that is itself `alpha` opaque: the opacity of the whole, and the person's
/// share of its straight colours (Porter and Duff 1984, "over").
pub fn weigh_over(opacity: &mut [u8], weights: &mut [u8], alpha: u8) {
    for (opacity, weight) in opacity.iter_mut().zip(weights) {
        let person = u32::from(*opacity);
        let whole = person + u32::from(scale(255 - *opacity, alpha));
        *weight = (person * 255 + whole / 2).checked_div(whole).unwrap_or(0) as u8;
        *opacity = whole as u8;
    }
}

/// Weights for every byte of a plane's row.
pub fn spread<'a>(
    format: PixelFormat,
    plane: usize,
    full: &'a [u8],
    half: &'a [u8],
    out: &'a mut [u8],
) -> &'a [u8] {
    let mut components = format.in_plane(plane);
    let Some(first) = components.next() else { return full };
    let weights = if first.h_shift > 0 { half } else { full };
    match (first.step, format.family(), first.h_shift) {
        (1, ..) => weights,
        // All bytes of a packed pixel weigh the same.
        (3, ..) => repeat::<3>(weights, out),
        (4, Family::Rgb, _) | (4, _, 0) => repeat::<4>(weights, out),
        (2, _, 1) => repeat::<2>(weights, out),
        _ => interleave(first.offset, full, half, out),
    }
}

#[multiversion(targets = "simd")]
fn repeat<'a, const N: usize>(weights: &[u8], out: &'a mut [u8]) -> &'a [u8] {
    for (bytes, weight) in out.chunks_exact_mut(N).zip(weights) {
        bytes.fill(*weight);
    }
    &out[..N * weights.len()]
}

/// For packed 4:2:2, luma at `luma` of every two bytes and chroma at the other.
#[multiversion(targets = "simd")]
fn interleave<'a>(luma: usize, full: &[u8], half: &[u8], out: &'a mut [u8]) -> &'a [u8] {
    let pairs = full.len() / 2;
    for (bytes, (full, half)) in out.chunks_exact_mut(4).zip(full.chunks_exact(2).zip(half)) {
        let pixels = [*half, full[1], *half, full[0]];
        let word = u32::from_be_bytes(pixels).rotate_left(8 * luma as u32);
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    // An odd last pixel has a pair of its own, whose second luma nobody sees.
    if let ([.., last], Some(bytes)) = (&full[2 * pairs..], out.get_mut(4 * pairs..)) {
        for (byte, at) in bytes.iter_mut().zip(0..) {
            *byte = if at % 2 == luma { *last } else { half[pairs] };
        }
    }
    out
}

/// Bytes of a row that are looked at together: most of a matte is 0 or 1.
const CHUNK: usize = 64;

/// `out` = (front · weight + behind · (255 − weight)) / 255, rounded. Without a `front`, `out` is it.
#[multiversion(targets = "simd")]
pub fn mix(out: &mut [u8], front: Option<&[u8]>, behind: &[u8], weights: &[u8]) {
    let n = out.len();
    let whole = n - n % CHUNK;
    for start in (0..whole).step_by(CHUNK) {
        // Spans whose length the compiler knows become straight vector code.
        let span = start..start + CHUNK;
        let front = front.map(|front| &front[span.clone()]);
        mix_span(&mut out[span.clone()], front, &behind[span.clone()], &weights[span]);
    }
    let front = front.map(|front| &front[whole..n]);
    mix_span(&mut out[whole..], front, &behind[whole..n], &weights[whole..n]);
}

#[inline(always)]
fn mix_span(out: &mut [u8], front: Option<&[u8]>, behind: &[u8], weights: &[u8]) {
    if weights.iter().fold(0, |any, weight| any | weight) == 0 {
        out.copy_from_slice(behind);
        return;
    }
    if let Some(front) = front {
        out.copy_from_slice(front);
    }
    if weights.iter().fold(255, |all, weight| all & weight) == 255 {
        return;
    }
    for ((out, behind), weight) in out.iter_mut().zip(behind).zip(weights) {
        let weight = u16::from(*weight);
        let sum = u16::from(*out) * weight + u16::from(*behind) * (255 - weight) + 128;
        *out = ((sum + (sum >> 8)) >> 8) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_is_exact_for_all_bytes() {
        for weight in 0..=255u8 {
            let mut row: Vec<u8> = (0..=255).collect();
            mix(&mut row, None, &[77; 256], &[weight; 256]);
            for (value, mixed) in row.iter().enumerate() {
                let w = f64::from(weight) / 255.0;
                let want = value as f64 * w + 77.0 * (1.0 - w);
                assert!((f64::from(*mixed) - want).abs() <= 0.5 + 1e-9);
            }
        }
    }
}
