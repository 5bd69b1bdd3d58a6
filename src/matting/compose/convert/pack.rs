// SPDX-License-Identifier: MIT

//! Components packed into pixels, through a matrix where the colours differ.

use multiversion::multiversion;

use super::lane::Converted;
use super::matrix::Matrix;
use crate::matting::frame::pixel_format::{Depth, PixelFormat};

/// How the samples of a packed pixel lie.
pub struct Packing {
    pub step: usize,
    /// The colour components, in the order of their samples.
    pub order: [usize; 3],
    /// Whether the sample of alpha, or padding, is the first one.
    alpha_first: bool,
    depth: Depth,
}

impl Packing {
    pub fn of(format: PixelFormat) -> Self {
        let components = format.color_components();
        let mut order = [0, 1, 2];
        order.sort_by_key(|&component| components[component].offset);
        let first = components[order[0]].offset;
        Self { step: components[0].step, order, alpha_first: first > 0, depth: format.depth() }
    }

    /// Writes the components as they are.
    pub fn pack<S: Converted>(&self, components: [&[S::Lane]; 3], alpha: &[S], out: &mut [S]) {
        let [a, b, c] = self.order.map(|component| components[component]);
        match (self.step, self.alpha_first) {
            (3, _) => pack_3(a, b, c, self.depth, out),
            (_, true) => pack_4::<S, true>(a, b, c, alpha, self.depth, out),
            (_, false) => pack_4::<S, false>(a, b, c, alpha, self.depth, out),
        }
    }

    /// Writes what a matrix makes of the components.
    pub fn convert<S: Converted>(
        &self,
        matrix: &S::Matrix,
        components: [&[S::Lane]; 3],
        alpha: &[S],
        out: &mut [S],
    ) {
        let ([x, y, z], depth) = (components, self.depth);
        match (self.step, self.alpha_first, matrix.is_of_yuv()) {
            (3, _, true) => convert_3::<S, true>(matrix, x, y, z, out),
            (3, _, false) => convert_3::<S, false>(matrix, x, y, z, out),
            (_, true, true) => convert_4::<S, true, true>(matrix, x, y, z, alpha, depth, out),
            (_, true, false) => convert_4::<S, true, false>(matrix, x, y, z, alpha, depth, out),
            (_, false, true) => convert_4::<S, false, true>(matrix, x, y, z, alpha, depth, out),
            (_, false, false) => convert_4::<S, false, false>(matrix, x, y, z, alpha, depth, out),
        }
    }
}

// Slices of their own, not in an array, tell the compiler that they do not overlap.

#[multiversion(targets = "simd")]
fn pack_4<S: Converted, const ALPHA_FIRST: bool>(
    a: &[S::Lane],
    b: &[S::Lane],
    c: &[S::Lane],
    alpha: &[S],
    depth: Depth,
    out: &mut [S],
) {
    let out = out.as_chunks_mut::<4>().0;
    let n = out.len();
    let (a, b, c, alpha) = (&a[..n], &b[..n], &c[..n], &alpha[..n]);
    for i in 0..n {
        let [a, b, c] = [a[i], b[i], c[i]].map(|lane| S::of_lane(lane, depth));
        let alpha = S::of_weight(alpha[i], depth);
        out[i] = if ALPHA_FIRST { [alpha, a, b, c] } else { [a, b, c, alpha] };
    }
}

#[multiversion(targets = "simd")]
fn pack_3<S: Converted>(a: &[S::Lane], b: &[S::Lane], c: &[S::Lane], depth: Depth, out: &mut [S]) {
    let out = out.as_chunks_mut::<3>().0;
    let n = out.len();
    let (a, b, c) = (&a[..n], &b[..n], &c[..n]);
    for i in 0..n {
        out[i] = [a[i], b[i], c[i]].map(|lane| S::of_lane(lane, depth));
    }
}

#[multiversion(targets = "simd")]
fn convert_4<S: Converted, const ALPHA_FIRST: bool, const FROM_YUV: bool>(
    matrix: &S::Matrix,
    x: &[S::Lane],
    y: &[S::Lane],
    z: &[S::Lane],
    alpha: &[S],
    depth: Depth,
    out: &mut [S],
) {
    let out = out.as_chunks_mut::<4>().0;
    let n = out.len();
    let (x, y, z, alpha) = (&x[..n], &y[..n], &z[..n], &alpha[..n]);
    for i in 0..n {
        let [a, b, c] = matrix.apply::<FROM_YUV>(x[i], y[i], z[i]);
        let alpha = S::of_weight(alpha[i], depth);
        out[i] = if ALPHA_FIRST { [alpha, a, b, c] } else { [a, b, c, alpha] };
    }
}

#[multiversion(targets = "simd")]
fn convert_3<S: Converted, const FROM_YUV: bool>(
    matrix: &S::Matrix,
    x: &[S::Lane],
    y: &[S::Lane],
    z: &[S::Lane],
    out: &mut [S],
) {
    let out = out.as_chunks_mut::<3>().0;
    let n = out.len();
    let (x, y, z) = (&x[..n], &y[..n], &z[..n]);
    for i in 0..n {
        out[i] = matrix.apply::<FROM_YUV>(x[i], y[i], z[i]);
    }
}
