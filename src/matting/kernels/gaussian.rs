// SPDX-License-Identifier: MIT

//! A Gaussian blur of small pictures.

/// Blurs pictures; owns what it needs for that.
pub struct Gaussian {
    scratch: Vec<f32>,
    /// Half a kernel, the centre first.
    kernel: Vec<f32>,
}

impl Gaussian {
    /// For pictures of `samples` samples.
    pub fn new(samples: usize) -> Self {
        Self { scratch: vec![0.0; samples], kernel: Vec::new() }
    }

    /// A Gaussian of the given standard deviations (horizontal, vertical), borders replicated.
    pub fn blur(&mut self, picture: &mut [f32], width: usize, sigma: [f32; 2]) {
        let height = picture.len() / width;
        self.make_kernel(sigma[0]);
        let kernel = &self.kernel;
        for (row, out) in picture.chunks_exact(width).zip(self.scratch.chunks_exact_mut(width)) {
            for (x, out) in out.iter_mut().enumerate() {
                *out = kernel[0] * row[x];
                for (distance, weight) in kernel.iter().enumerate().skip(1) {
                    let left = row[x.saturating_sub(distance)];
                    let right = row[(x + distance).min(width - 1)];
                    *out += weight * (left + right);
                }
            }
        }
        self.make_kernel(sigma[1]);
        for (y, out) in picture.chunks_exact_mut(width).enumerate() {
            let row = |y: usize| &self.scratch[y * width..][..width];
            for (out, value) in out.iter_mut().zip(row(y)) {
                *out = self.kernel[0] * value;
            }
            for (distance, weight) in self.kernel.iter().enumerate().skip(1) {
                let above = row(y.saturating_sub(distance));
                let below = row((y + distance).min(height - 1));
                for ((out, above), below) in out.iter_mut().zip(above).zip(below) {
                    *out += weight * (above + below);
                }
            }
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
