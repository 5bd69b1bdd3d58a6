// SPDX-License-Identifier: MIT

//! Means over rectangles about every sample, whose cost does not grow with the rectangle.

use multiversion::multiversion;

/// Makes means of pictures; owns what it needs for that.
#[derive(Clone, Debug, Default)]
pub struct BoxMean {
    scratch: Vec<f32>,
    column_sums: Vec<f32>,
}

impl BoxMean {
    /// For pictures of up to `samples` samples.
    pub fn new(samples: usize, width: usize) -> Self {
        Self { scratch: vec![0.0; samples], column_sums: vec![0.0; width] }
    }

    /// Every sample becomes the mean of those at most `radius` (horizontally, vertically) from it,
    /// borders replicated.
    pub fn mean(&mut self, picture: &mut [f32], width: usize, radius: [usize; 2]) {
        let across = &mut self.scratch[..picture.len()];
        for (row, out) in picture.chunks_exact(width).zip(across.chunks_exact_mut(width)) {
            mean_along(row, out, radius[0]);
        }
        let sums = &mut self.column_sums[..width];
        sums.fill(0.0);
        let last = picture.len() / width - 1;
        let row = |y: usize| &across[y.min(last) * width..][..width];
        let reach = radius[1];
        // The rows about the first, of which it is one itself.
        for y in 0..=2 * reach {
            add(sums, row(y.saturating_sub(reach)));
        }
        let share = 1.0 / (2 * reach + 1) as f32;
        for (y, out) in picture.chunks_exact_mut(width).enumerate() {
            step(out, sums, share, row(y + reach + 1), row(y.saturating_sub(reach)));
        }
    }
}

fn mean_along(row: &[f32], out: &mut [f32], reach: usize) {
    let last = row.len() - 1;
    let mut sum: f32 = (0..=2 * reach).map(|x| row[x.saturating_sub(reach).min(last)]).sum();
    let share = 1.0 / (2 * reach + 1) as f32;
    for (x, out) in out.iter_mut().enumerate() {
        *out = sum * share;
        sum += row[(x + reach + 1).min(last)] - row[x.saturating_sub(reach)];
    }
}

#[multiversion(targets = "simd")]
fn add(sums: &mut [f32], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += value;
    }
}

/// Writes a row of means, and goes on to the next: one row comes, another goes.
#[multiversion(targets = "simd")]
fn step(out: &mut [f32], sums: &mut [f32], share: f32, comes: &[f32], goes: &[f32]) {
    for (((out, sum), comes), goes) in out.iter_mut().zip(sums).zip(comes).zip(goes) {
        *out = *sum * share;
        *sum += comes - goes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_sample_is_the_mean_of_those_around_it(
            width in 1usize..24, height in 1usize..24, across in 0usize..30, down in 0usize..30,
        ) {
            let picture: Vec<f32> =
                (0..width * height).map(|i| (i * 7919 % 101) as f32 / 100.0).collect();
            let mut means = picture.clone();
            BoxMean::new(24 * 24, 24).mean(&mut means, width, [across, down]);
            let held = |at: usize, step: usize, reach: usize, side: usize| {
                (at + step).saturating_sub(reach).min(side - 1)
            };
            for (i, mean) in means.iter().enumerate() {
                let (x, y) = (i % width, i / width);
                let mut sum = 0.0f64;
                for j in 0..=2 * down {
                    for k in 0..=2 * across {
                        let at = held(y, j, down, height) * width + held(x, k, across, width);
                        sum += f64::from(picture[at]);
                    }
                }
                let expected = sum / ((2 * across + 1) * (2 * down + 1)) as f64;
                prop_assert!((f64::from(*mean) - expected).abs() < 1e-4, "{mean}, {expected}");
            }
        }
    }
}
