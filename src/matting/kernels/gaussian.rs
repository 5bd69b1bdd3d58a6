// SPDX-License-Identifier: MIT

//! A Gaussian blur of small pictures.

use multiversion::multiversion;

/// Blurs pictures; owns what it needs for that.
pub struct Gaussian {
    scratch: Vec<f32>,
    /// A row, and its ends repeated beyond it as far as the kernel reaches.
    extended: Vec<f32>,
    /// Half a kernel, the centre first.
    kernel: Vec<f32>,
}

impl Gaussian {
    /// For pictures of `samples` samples.
    pub fn new(samples: usize) -> Self {
        Self { scratch: vec![0.0; samples], extended: Vec::new(), kernel: Vec::new() }
    }

    /// A Gaussian of the given standard deviations (horizontal, vertical), borders replicated.
    pub fn blur(&mut self, picture: &mut [f32], width: usize, sigma: [f32; 2]) {
        let height = picture.len() / width;
        self.make_kernel(sigma[0]);
        let reach = self.kernel.len() - 1;
        self.extended.resize(width + 2 * reach, 0.0);
        for (row, out) in picture.chunks_exact(width).zip(self.scratch.chunks_exact_mut(width)) {
            let [before, inside, after] = in_three(&mut self.extended, reach, width);
            before.fill(row[0]);
            inside.copy_from_slice(row);
            after.fill(row[width - 1]);
            weigh_neighbours(
                &self.kernel,
                |step| &self.extended[reach.wrapping_add_signed(step)..][..width],
                out,
            );
        }
        self.make_kernel(sigma[1]);
        for (y, out) in picture.chunks_exact_mut(width).enumerate() {
            let row = |step| y.saturating_add_signed(step).min(height - 1);
            weigh_neighbours(&self.kernel, |step| &self.scratch[row(step) * width..][..width], out);
        }
    }

    /// Makes half a kernel that sums to 1 when whole.
    fn make_kernel(&mut self, sigma: f32) {
        let radius = (3.0 * sigma).ceil() as usize;
        let weight = |d: usize| (-0.5 * (d as f32 / sigma.max(1e-6)).powi(2)).exp();
        self.kernel.clear();
        self.kernel.extend((0..=radius).map(weight));
        let sum = self.kernel[0] + 2.0 * self.kernel[1..].iter().sum::<f32>();
        self.kernel.iter_mut().for_each(|weight| *weight /= sum);
    }
}

/// The first `reach` of some samples, the `width` next and the rest.
fn in_three(samples: &mut [f32], reach: usize, width: usize) -> [&mut [f32]; 3] {
    let (before, rest) = samples.split_at_mut(reach);
    let (inside, after) = rest.split_at_mut(width);
    [before, inside, after]
}

/// The sum of rows that lie so many steps away, each times its weight in half a `kernel`.
fn weigh_neighbours<'a>(kernel: &[f32], row: impl Fn(isize) -> &'a [f32], out: &mut [f32]) {
    scale(row(0), kernel[0], out);
    for (step, weight) in (1..).zip(&kernel[1..]) {
        add_pair(row(-step), row(step), *weight, out);
    }
}

#[multiversion(targets = "simd")]
fn scale(row: &[f32], weight: f32, out: &mut [f32]) {
    for (out, value) in out.iter_mut().zip(row) {
        *out = weight * value;
    }
}

#[multiversion(targets = "simd")]
fn add_pair(before: &[f32], after: &[f32], weight: f32, out: &mut [f32]) {
    for ((out, before), after) in out.iter_mut().zip(before).zip(after) {
        *out += weight * (before + after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_weighted_sum_of_neighbours(
            width in 1usize..20, height in 1usize..20, sigma in prop::array::uniform2(0.0f32..4.0),
        ) {
            let picture: Vec<f32> = (0..width * height).map(|i| (i * 7919 % 256) as f32).collect();
            let mut blurred = picture.clone();
            Gaussian::new(picture.len()).blur(&mut blurred, width, sigma);
            let weights = |sigma: f32| {
                let reach = (3.0 * f64::from(sigma)).ceil() as isize;
                let weight = |d: isize| (-0.5 * (d as f64 / f64::from(sigma).max(1e-6)).powi(2)).exp();
                let sum: f64 = (-reach..=reach).map(weight).sum();
                (-reach..=reach).map(move |d| (d, weight(d) / sum)).collect::<Vec<_>>()
            };
            let near = |at: usize, d: isize, n: usize| at.saturating_add_signed(d).min(n - 1);
            for (i, got) in blurred.iter().enumerate() {
                let (x, y) = (i % width, i / width);
                let mut want = 0.0;
                for (down, of_row) in weights(sigma[1]) {
                    for (across, of_column) in weights(sigma[0]) {
                        let value = picture[near(y, down, height) * width + near(x, across, width)];
                        want += of_row * of_column * f64::from(value);
                    }
                }
                prop_assert!((f64::from(*got) - want).abs() < 1e-2, "{got} {want}");
            }
        }
    }
}
