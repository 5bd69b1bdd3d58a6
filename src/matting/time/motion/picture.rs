// SPDX-License-Identifier: MIT

//! A plane of samples, and the same at several sizes.

use multiversion::multiversion;

use super::Vector;

/// Samples that are repeated around a picture, so that patches may reach over its edge.
pub const BORDER: usize = 12;

/// The whole number at or below a value of 0 to 2^22, which unlike a cast is made of several values
/// at once: adding 2^23 leaves it in the low bits of the float.
#[inline(always)]
pub fn floor(value: f32) -> u32 {
    (value.floor() + 8_388_608.0).to_bits() & 0x007f_ffff
}

/// A plane with its edge repeated around it.
#[derive(Clone, Debug)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub(super) stride: usize,
    pub(super) data: Vec<f32>,
}

impl Picture {
    pub fn new(width: usize, height: usize) -> Self {
        let stride = width + 2 * BORDER;
        Self { width, height, stride, data: vec![0.0; stride * (height + 2 * BORDER)] }
    }

    #[inline(always)]
    pub(super) fn start(&self, y: usize) -> usize {
        (y + BORDER) * self.stride + BORDER
    }

    /// Row `y` without what is around it.
    pub fn row(&self, y: usize) -> &[f32] {
        &self.data[self.start(y)..][..self.width]
    }

    /// Row `y` without what is around it.
    pub fn row_mut(&mut self, y: usize) -> &mut [f32] {
        let start = self.start(y);
        &mut self.data[start..][..self.width]
    }

    /// Repeats the edge, after rows were written.
    pub fn extend(&mut self) {
        let (stride, width) = (self.stride, self.width);
        for row in self.data.chunks_exact_mut(stride).skip(BORDER).take(self.height) {
            let (first, last) = (row[BORDER], row[BORDER + width - 1]);
            row[..BORDER].fill(first);
            row[BORDER + width..].fill(last);
        }
        let (top, bottom) = (BORDER * stride, (BORDER + self.height - 1) * stride);
        for y in 0..BORDER {
            self.data.copy_within(top..top + stride, y * stride);
            self.data.copy_within(bottom..bottom + stride, bottom + (y + 1) * stride);
        }
    }

    /// Makes every sample 0.
    pub fn clear(&mut self) {
        self.data.fill(0.0);
    }

    /// The index of the sample nearest to `at`.
    #[inline(always)]
    pub(super) fn nearest_index(&self, [x, y]: Vector) -> usize {
        let index = |v: f32, n: usize| ((v + 0.5).max(0.0) as u32 as usize).min(n - 1);
        self.start(index(y, self.height)) + index(x, self.width)
    }

    /// What is on row `y` from `x` on, and what comes after it: [`BORDER`] samples and more.
    #[inline(always)]
    pub fn span(&self, x: usize, y: usize) -> &[f32] {
        &self.data[self.start(y) + x..]
    }

    /// The sum of the nine samples about one.
    pub fn around(&self, x: usize, y: usize) -> f32 {
        let rows = (0..3)
            .map(|r| &self.data[self.start(y) + r * self.stride + x - self.stride - 1..][..3]);
        rows.flatten().sum()
    }

    /// Fills `half` with means of two by two samples.
    fn halve(&self, half: &mut Self) {
        for y in 0..half.height {
            let start = self.start(2 * y);
            let n = 2 * half.width;
            let (upper, lower) = (&self.data[start..][..n], &self.data[start + self.stride..][..n]);
            halve_rows(upper, lower, half.row_mut(y));
        }
        half.extend();
    }
}

#[multiversion(targets = "simd")]
fn halve_rows(upper: &[f32], lower: &[f32], out: &mut [f32]) {
    let n = out.len();
    let (upper, lower) = (&upper[..2 * n], &lower[..2 * n]);
    for x in 0..n {
        out[x] = 0.25 * (upper[2 * x] + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1]);
    }
}

/// A picture and its halves, down to some 16 samples.
#[derive(Clone, Debug)]
pub struct Pyramid(pub Vec<Picture>);

impl Pyramid {
    pub fn new(width: usize, height: usize) -> Self {
        let mut levels = vec![Picture::new(width, height)];
        let (mut width, mut height) = (width, height);
        while width.min(height) >= 24 {
            (width, height) = (width.div_ceil(2), height.div_ceil(2));
            levels.push(Picture::new(width, height));
        }
        Self(levels)
    }

    /// Makes the smaller pictures, after the rows of the first were written.
    pub fn fill(&mut self) {
        self.0[0].extend();
        for level in 1..self.0.len() {
            let (fine, coarse) = self.0.split_at_mut(level);
            fine[level - 1].halve(&mut coarse[0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_are_whole_numbers_at_or_below() {
        for value in [0.0, 0.3, 0.999_999, 1.0, 2.5, 511.99, 4095.0, 4_194_303.5] {
            assert_eq!(floor(value), value as u32);
        }
    }
}
