// SPDX-License-Identifier: MIT

//! Linear interpolation, between two samples and between two rows.

use multiversion::multiversion;

/// Linear interpolation between a sample and the next one.
#[derive(Clone, Copy, Debug)]
pub struct Tap {
    /// The first of them.
    pub first: usize,
    /// The next one, or the first where there is none.
    pub second: usize,
    /// Of the second.
    pub share: f32,
}

impl Tap {
    /// At `at`, or the nearest of the `samples`.
    pub fn new(at: f32, samples: usize) -> Self {
        let last = samples - 1;
        let at = at.clamp(0.0, last as f32);
        let first = at as usize;
        Self { first, second: (first + 1).min(last), share: at - first as f32 }
    }
}

/// `out` is `a` where `share` is 0, `b` where it is 1.
#[multiversion(targets = "simd")]
pub fn blend(a: &[f32], b: &[f32], share: f32, out: &mut [f32]) {
    let n = out.len();
    let (a, b) = (&a[..n], &b[..n]);
    for i in 0..n {
        out[i] = a[i] + share * (b[i] - a[i]);
    }
}
