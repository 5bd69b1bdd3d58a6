// SPDX-License-Identifier: MIT

//! Components packed into pixels, through a matrix where the colours differ.

use multiversion::multiversion;

use super::matrix::FixedMatrix;
use crate::matting::frame::pixel_format::PixelFormat;

/// How the bytes of a packed pixel lie.
pub struct Packing {
    pub step: usize,
    /// The colour components, in the order of their bytes.
    pub order: [usize; 3],
    /// Whether the byte of alpha, or padding, is the first one.
    alpha_first: bool,
}

impl Packing {
    pub fn of(format: PixelFormat) -> Self {
        let components = format.color_components();
        let mut order = [0, 1, 2];
        order.sort_by_key(|&component| components[component].offset);
        let first = components[order[0]].offset;
        Self { step: components[0].step, order, alpha_first: first > 0 }
    }

    /// Writes the components as they are.
    pub fn pack(&self, components: [&[u8]; 3], alpha: &[u8], out: &mut [u8]) {
        let [a, b, c] = self.order.map(|component| components[component]);
        match (self.step, self.alpha_first) {
            (3, _) => pack_3(a, b, c, out),
            (_, true) => pack_4(alpha, a, b, c, out),
            (_, false) => pack_4(a, b, c, alpha, out),
        }
    }

    /// Writes what a matrix makes of the components.
    pub fn convert(
        &self,
        matrix: &FixedMatrix,
        components: [&[u8]; 3],
        alpha: &[u8],
        out: &mut [u8],
    ) {
        let [x, y, z] = components;
        match (self.step, self.alpha_first, matrix.from_yuv) {
            (3, _, true) => convert_3::<true>(matrix, x, y, z, out),
            (3, _, false) => convert_3::<false>(matrix, x, y, z, out),
            (_, true, true) => convert_4::<true, true>(matrix, x, y, z, alpha, out),
            (_, true, false) => convert_4::<true, false>(matrix, x, y, z, alpha, out),
            (_, false, true) => convert_4::<false, true>(matrix, x, y, z, alpha, out),
            (_, false, false) => convert_4::<false, false>(matrix, x, y, z, alpha, out),
        }
    }
}

#[multiversion(targets = "simd")]
fn pack_4(a: &[u8], b: &[u8], c: &[u8], d: &[u8], out: &mut [u8]) {
    let out = out.as_chunks_mut::<4>().0;
    let n = out.len();
    let (a, b, c, d) = (&a[..n], &b[..n], &c[..n], &d[..n]);
    for i in 0..n {
        out[i] = [a[i], b[i], c[i], d[i]];
    }
}

#[multiversion(targets = "simd")]
fn pack_3(a: &[u8], b: &[u8], c: &[u8], out: &mut [u8]) {
    let out = out.as_chunks_mut::<3>().0;
    let n = out.len();
    let (a, b, c) = (&a[..n], &b[..n], &c[..n]);
    for i in 0..n {
        out[i] = [a[i], b[i], c[i]];
    }
}

#[multiversion(targets = "simd")]
fn convert_4<const ALPHA_FIRST: bool, const FROM_YUV: bool>(
    matrix: &FixedMatrix,
    x: &[u8],
    y: &[u8],
    z: &[u8],
    alpha: &[u8],
    out: &mut [u8],
) {
    let out = out.as_chunks_mut::<4>().0;
    let n = out.len();
    let (x, y, z, alpha) = (&x[..n], &y[..n], &z[..n], &alpha[..n]);
    for i in 0..n {
        let [a, b, c] = matrix.apply::<FROM_YUV>(x[i], y[i], z[i]);
        out[i] = if ALPHA_FIRST { [alpha[i], a, b, c] } else { [a, b, c, alpha[i]] };
    }
}

#[multiversion(targets = "simd")]
fn convert_3<const FROM_YUV: bool>(
    matrix: &FixedMatrix,
    x: &[u8],
    y: &[u8],
    z: &[u8],
    out: &mut [u8],
) {
    let out = out.as_chunks_mut::<3>().0;
    let n = out.len();
    let (x, y, z) = (&x[..n], &y[..n], &z[..n]);
    for i in 0..n {
        out[i] = matrix.apply::<FROM_YUV>(x[i], y[i], z[i]);
    }
}
