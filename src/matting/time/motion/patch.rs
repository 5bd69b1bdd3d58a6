// SPDX-License-Identifier: MIT

//! Small squares of samples, and what is summed up over them.

// Patches are read several at a time, by row and column.
#![allow(clippy::needless_range_loop)]

use super::Vector;
use super::picture::{BORDER, Picture};
use crate::matting::kernels::columns::multiply_add;

/// Side of a patch in samples.
pub const PATCH: usize = 8;
/// From a patch's origin to its centre.
pub const HALF: f32 = PATCH as f32 / 2.0;
/// What a sample outside the matte weighs in a patch across its edge, beside 1 inside.
pub const OUTSIDE: f32 = 0.1;

pub type Patch = [[f32; PATCH]; PATCH];
/// Every sample the same.
pub const EVEN: Patch = [[1.0; PATCH]; PATCH];

impl Picture {
    /// Where a patch at (x, y) may lie, so that bilinear interpolation stays inside.
    #[inline(always)]
    pub fn clamped(&self, [x, y]: Vector) -> Vector {
        let most = |n: usize| (n + BORDER - PATCH - 1) as f32 - 0.01;
        let least = -(BORDER as f32);
        [x.clamp(least, most(self.width)), y.clamp(least, most(self.height))]
    }

    /// The patch at `at`, bilinearly.
    #[inline(always)]
    pub fn sample<const FUSED: bool>(&self, at: Vector) -> Patch {
        let [x, y] = self.clamped(at);
        let (x, y) = (x + BORDER as f32, y + BORDER as f32);
        let (column, row) = (x as usize, y as usize);
        let (tx, ty) = (x - column as f32, y - row as f32);
        let mut rows = self.data[row * self.stride + column..].chunks(self.stride);
        let mut above = shifted::<FUSED>(rows.next(), tx);
        let mut patch = [[0.0; PATCH]; PATCH];
        for r in 0..PATCH {
            let here = shifted::<FUSED>(rows.next(), tx);
            for c in 0..PATCH {
                patch[r][c] = multiply_add::<FUSED>(ty, here[c] - above[c], above[c]);
            }
            above = here;
        }
        patch
    }

    /// The patch at whole numbers.
    #[inline(always)]
    pub fn whole(&self, [x, y]: [usize; 2]) -> Patch {
        let mut patch = [[0.0; PATCH]; PATCH];
        for (r, row) in patch.iter_mut().enumerate() {
            *row = self.data[self.start(y + r) + x..].as_chunks().0[0];
        }
        patch
    }

    /// [`PATCH`] samples from one on.
    #[inline(always)]
    pub fn lanes_mut(&mut self, [x, y]: [usize; 2]) -> &mut [f32; PATCH] {
        let start = self.start(y) + x;
        &mut self.data[start..].as_chunks_mut().0[0]
    }

    /// The patch at whole numbers, and its gradients.
    #[inline(always)]
    pub fn patch(&self, [x, y]: [usize; 2]) -> [Patch; 3] {
        let first = (y + BORDER - 1) * self.stride + x + BORDER - 1;
        let mut rows = self.data[first..].chunks(self.stride);
        let (mut above, mut here) = (surrounded(rows.next()), surrounded(rows.next()));
        let mut patches = [[[0.0; PATCH]; PATCH]; 3];
        for r in 0..PATCH {
            let below = surrounded(rows.next());
            for c in 0..PATCH {
                patches[0][r][c] = here[c + 1];
                patches[1][r][c] = 0.5 * (here[c + 2] - here[c]);
                patches[2][r][c] = 0.5 * (below[c + 1] - above[c + 1]);
            }
            (above, here) = (here, below);
        }
        patches
    }
}

/// The first samples of a row, each `share` of the way to the next one.
#[inline(always)]
fn shifted<const FUSED: bool>(row: Option<&[f32]>, share: f32) -> [f32; PATCH] {
    let samples = &row.unwrap_or_default()[..PATCH + 1];
    let mut shifted = [0.0; PATCH];
    for c in 0..PATCH {
        shifted[c] = multiply_add::<FUSED>(share, samples[c + 1] - samples[c], samples[c]);
    }
    shifted
}

/// The first samples of a row: those of a patch, and one on each side.
#[inline(always)]
fn surrounded(row: Option<&[f32]>) -> &[f32] {
    &row.unwrap_or_default()[..PATCH + 2]
}

#[inline(always)]
pub fn difference(a: &Patch, b: &Patch) -> Patch {
    let mut difference = [[0.0; PATCH]; PATCH];
    for r in 0..PATCH {
        for c in 0..PATCH {
            difference[r][c] = a[r][c] - b[r][c];
        }
    }
    difference
}

/// Weights for a patch of the matte.
#[inline(always)]
pub fn weigh(mask: &Patch) -> Patch {
    let mut weights = [[0.0; PATCH]; PATCH];
    for r in 0..PATCH {
        for c in 0..PATCH {
            weights[r][c] = OUTSIDE + (1.0 - OUTSIDE) * mask[r][c];
        }
    }
    weights
}

/// The sum of a row, halves first: so fewer additions wait for each other.
#[inline(always)]
pub fn add_up(row: [f32; PATCH]) -> f32 {
    let mut half = [0.0; PATCH / 2];
    for c in 0..PATCH / 2 {
        half[c] = row[c] + row[c + PATCH / 2];
    }
    (half[0] + half[2]) + (half[1] + half[3])
}

/// The sum of all samples.
#[inline(always)]
pub fn total(patch: &Patch) -> f32 {
    let mut sums = [0.0; PATCH];
    for r in 0..PATCH {
        for c in 0..PATCH {
            sums[c] += patch[r][c];
        }
    }
    add_up(sums)
}

/// Sample by sample.
#[inline(always)]
pub fn times(a: &Patch, b: &Patch) -> Patch {
    let mut product = [[0.0; PATCH]; PATCH];
    for r in 0..PATCH {
        for c in 0..PATCH {
            product[r][c] = a[r][c] * b[r][c];
        }
    }
    product
}

/// Σ a · b.
#[inline(always)]
pub fn product<const FUSED: bool>(a: &Patch, b: &Patch) -> f32 {
    let mut sums = [0.0; PATCH];
    for r in 0..PATCH {
        for c in 0..PATCH {
            sums[c] = multiply_add::<FUSED>(a[r][c], b[r][c], sums[c]);
        }
    }
    add_up(sums)
}

/// Weighted mean and variance of a difference; `total` is the sum of the weights.
#[inline(always)]
pub fn moments<const FUSED: bool>(difference: &Patch, weights: &Patch, total: f32) -> [f32; 2] {
    let (mut firsts, mut seconds) = ([0.0; PATCH], [0.0; PATCH]);
    for r in 0..PATCH {
        for c in 0..PATCH {
            let difference = difference[r][c];
            let weighted = weights[r][c] * difference;
            firsts[c] += weighted;
            seconds[c] = multiply_add::<FUSED>(weighted, difference, seconds[c]);
        }
    }
    let mean = add_up(firsts) / total;
    [mean, add_up(seconds) / total - mean * mean]
}

/// Variance of a patch.
#[inline(always)]
pub fn variance<const FUSED: bool>(patch: &Patch) -> f32 {
    moments::<FUSED>(patch, &EVEN, (PATCH * PATCH) as f32)[1]
}
