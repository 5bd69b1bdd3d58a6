// SPDX-License-Identifier: MIT

//! Rows of bytes: products, means over pairs, and every n-th one.

use multiversion::multiversion;

/// a · b / 255, rounded.
pub fn scale(a: u8, b: u8) -> u8 {
    let product = u16::from(a) * u16::from(b) + 128;
    ((product + (product >> 8)) >> 8) as u8
}

/// The means over pairs of columns, and over both rows where `vertically`.
#[multiversion(targets = "simd")]
pub fn halve(upper: &[u8], lower: &[u8], vertically: bool, out: &mut [u8]) {
    let pairs = upper.len() / 2;
    if vertically {
        let rows = upper.as_chunks().0.iter().zip(lower.as_chunks().0);
        for (out, (a, b)) in out[..pairs].iter_mut().zip(rows) {
            // As words, there are no lanes to cross.
            let [a, b] = [u16::from_le_bytes(*a), u16::from_le_bytes(*b)];
            *out = (((a & 255) + (a >> 8) + (b & 255) + (b >> 8) + 2) >> 2) as u8;
        }
    } else {
        for (out, a) in out[..pairs].iter_mut().zip(upper.chunks_exact(2)) {
            *out = ((u16::from(a[0]) + u16::from(a[1]) + 1) >> 1) as u8;
        }
    }
    if let ([.., a], [.., b], Some(last)) = (upper, lower, out.get_mut(pairs)) {
        *last = if vertically { ((u16::from(*a) + u16::from(*b) + 1) >> 1) as u8 } else { *a };
    }
}

/// Every `step`-th byte from `offset` on.
pub fn gather(row: &[u8], offset: usize, step: usize, out: &mut [u8]) {
    match step {
        1 => out.copy_from_slice(&row[..out.len()]),
        2 => gather_every::<2>(row, offset, out),
        3 => gather_every::<3>(row, offset, out),
        _ => gather_every::<4>(row, offset, out),
    }
}

fn gather_every<const STEP: usize>(row: &[u8], offset: usize, out: &mut [u8]) {
    // With the offset as a constant the compiler makes shuffles of this.
    match offset {
        0 => gather_at::<STEP, 0>(row, out),
        1 => gather_at::<STEP, 1>(row, out),
        2 => gather_at::<STEP, 2>(row, out),
        _ => gather_at::<STEP, 3>(row, out),
    }
}

#[multiversion(targets = "simd")]
fn gather_at<const STEP: usize, const OFFSET: usize>(row: &[u8], out: &mut [u8]) {
    for (out, sample) in out.iter_mut().zip(row.chunks_exact(STEP)) {
        *out = sample[OFFSET % STEP];
    }
}
