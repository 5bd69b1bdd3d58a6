// SPDX-License-Identifier: MIT

//! Resampling along one axis as a sparse linear operator.
//!
//! Padding by replication, Gaussian pyramids, bilinear and bicubic interpolation, and the
//! upsampling of chroma are all linear and separable. Each is a banded matrix per axis, so a whole
//! chain of them is one such matrix, composed once when sizes change, and a frame pays for its
//! few taps alone: no padded copy, no pyramid, no intermediate image.

use std::ops::Range;

/// Taps of cubic interpolation.
const CUBIC_TAPS: usize = 4;

/// A band matrix, row by row: output `i` is the sum of `weights[k] · input[first + k]`.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisOperator {
    inputs: usize,
    rows: Vec<Taps>,
}

/// The taps of one output.
#[derive(Clone, Debug, PartialEq)]
struct Taps {
    first: usize,
    weights: Vec<f64>,
}

impl Taps {
    /// Sums up taps given as (index, weight) in any order.
    fn gather(taps: impl IntoIterator<Item = (usize, f64)> + Clone) -> Self {
        let indices = taps.clone().into_iter().filter(|&(_, w)| w != 0.0).map(|(i, _)| i);
        let (first, last) =
            indices.fold((usize::MAX, 0), |(first, last), i| (first.min(i), last.max(i)));
        if first > last {
            return Self { first: 0, weights: Vec::new() };
        }
        let mut weights = vec![0.0; last - first + 1];
        for (index, weight) in taps.into_iter().filter(|&(_, w)| w != 0.0) {
            weights[index - first] += weight;
        }
        Self { first, weights }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, f64)> + Clone {
        self.weights.iter().enumerate().map(|(k, &w)| (self.first + k, w))
    }
}

/// The index, mirrored at the border without repeating it: −1 is 1, as OpenCV's `BORDER_REFLECT_101`.
fn reflect_101(index: isize, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n as isize - 1);
    let folded = index.rem_euclid(period);
    folded.min(period - folded) as usize
}

/// The index, held at the border.
fn replicate(index: isize, n: usize) -> usize {
    index.clamp(0, n as isize - 1) as usize
}

/// The cubic convolution kernel with a = −0.75 at distances −1−t, −t, 1−t and 2−t (Keys 1981;
/// OpenCV's `INTER_CUBIC` uses the same a).
fn cubic_weights(t: f64) -> [f64; 4] {
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

impl AxisOperator {
    fn from_taps(inputs: usize, rows: Vec<Taps>) -> Self {
        Self { inputs, rows }
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.rows.len()
    }

    /// The most taps that an output has.
    pub fn max_taps(&self) -> usize {
        self.rows.iter().map(|row| row.weights.len()).max().unwrap_or(0)
    }

    /// Whether output `i` is the same as output `j`.
    pub fn is_repeat(&self, i: usize, j: usize) -> bool {
        self.rows[i] == self.rows[j]
    }

    /// Output is input.
    #[cfg(test)]
    pub fn identity(n: usize) -> Self {
        let rows = (0..n).map(|i| Taps { first: i, weights: vec![1.0] }).collect();
        Self::from_taps(n, rows)
    }

    /// Repeats the first and the last input so that there are `total` outputs, `before` of them
    /// in front.
    pub fn pad(n: usize, before: usize, total: usize) -> Self {
        let row = |i| replicate(i as isize - before as isize, n);
        let rows = (0..total).map(|i| Taps { first: row(i), weights: vec![1.0] }).collect();
        Self::from_taps(n, rows)
    }

    /// The `count` inputs from `first` on.
    pub fn crop(n: usize, first: usize, count: usize) -> Self {
        let rows = (first..first + count).map(|i| Taps { first: i, weights: vec![1.0] }).collect();
        Self::from_taps(n, rows)
    }

    /// One level of the Gaussian pyramid: (1 4 6 4 1)/16 at every other input, mirrored at the
    /// borders; ⌈n/2⌉ outputs (Burt and Adelson 1983, as OpenCV's `pyrDown`).
    pub fn pyramid_down(n: usize) -> Self {
        const KERNEL: [f64; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];
        let rows = (0..n.div_ceil(2))
            .map(|i| {
                Taps::gather(KERNEL.into_iter().enumerate().map(move |(k, weight)| {
                    (reflect_101(2 * i as isize + k as isize - 2, n), weight)
                }))
            })
            .collect();
        Self::from_taps(n, rows)
    }

    /// Linear interpolation at half-pixel centres: output `i` lies at `(i + ½)·n/outputs − ½`.
    pub fn bilinear(n: usize, outputs: usize) -> Self {
        let scale = n as f64 / outputs as f64;
        let rows = (0..outputs)
            .map(|i| {
                let position = (i as f64 + 0.5) * scale - 0.5;
                let (base, t) = (position.floor(), position - position.floor());
                let base = base as isize;
                Taps::gather([(replicate(base, n), 1.0 - t), (replicate(base + 1, n), t)])
            })
            .collect();
        Self::from_taps(n, rows)
    }

    /// Cubic interpolation (a = −0.75) of `n` inputs at the given positions, borders replicated.
    pub fn bicubic(n: usize, positions: impl Iterator<Item = f64>) -> Self {
        let rows = positions
            .map(|position| {
                let base = position.floor();
                let weights = cubic_weights(position - base);
                let base = base as isize;
                Taps::gather(
                    weights
                        .into_iter()
                        .enumerate()
                        .map(move |(k, weight)| (replicate(base + k as isize - 1, n), weight)),
                )
            })
            .collect();
        Self::from_taps(n, rows)
    }

    /// Means over `outputs` equal stretches of the inputs; interpolates where there are fewer
    /// inputs than outputs.
    pub fn area(n: usize, outputs: usize) -> Self {
        if outputs >= n {
            return Self::bilinear(n, outputs);
        }
        let scale = n as f64 / outputs as f64;
        let rows = (0..outputs)
            .map(|i| {
                let (from, to) = (i as f64 * scale, (i + 1) as f64 * scale);
                let last = (to.ceil() as usize).min(n);
                Taps::gather((from.floor() as usize..last).map(move |k| {
                    let overlap = to.min((k + 1) as f64) - from.max(k as f64);
                    (k, overlap.max(0.0) / scale)
                }))
            })
            .collect();
        Self::from_taps(n, rows)
    }

    /// Linear upsampling of chroma to `outputs` luma positions, two to a sample, which sits on the
    /// first of them (`cosited`) or between them.
    pub fn chroma(n: usize, outputs: usize, cosited: bool) -> Self {
        let rows = (0..outputs)
            .map(|i| {
                let sample = i / 2;
                let next = if i % 2 == 0 { sample as isize - 1 } else { sample as isize + 1 };
                let away = match (cosited, i % 2) {
                    (true, 0) => 0.0,
                    (true, _) => 0.5,
                    (false, _) => 0.25,
                };
                Taps::gather([
                    (replicate(sample as isize, n), 1.0 - away),
                    (replicate(next, n), away),
                ])
            })
            .collect();
        Self::from_taps(n, rows)
    }

    /// First `self`, then `next`.
    pub fn then(&self, next: &Self) -> Self {
        debug_assert_eq!(self.outputs(), next.inputs());
        let rows = next
            .rows
            .iter()
            .map(|row| {
                Taps::gather(row.iter().flat_map(|(middle, weight)| {
                    self.rows[middle].iter().map(move |(index, inner)| (index, inner * weight))
                }))
            })
            .collect();
        Self::from_taps(self.inputs, rows)
    }

    /// The same operator with every output's taps in a row of equal length, ready for use.
    ///
    /// `multiple` is what the number of taps is rounded up to.
    pub fn pack(&self, multiple: usize) -> PackedOperator {
        let taps = self.max_taps().max(1).next_multiple_of(multiple);
        let mut first = Vec::with_capacity(self.rows.len());
        let mut weights = vec![0.0; self.rows.len() * taps];
        for (row, packed) in self.rows.iter().zip(weights.chunks_exact_mut(taps)) {
            // The window is moved up where it would reach past the last input.
            let start = row.first.min(self.inputs.saturating_sub(taps));
            let shift = row.first - start;
            for (packed, weight) in packed[shift..].iter_mut().zip(&row.weights) {
                *packed = *weight as f32;
            }
            first.push(start);
        }
        PackedOperator { inputs: self.inputs, taps, first, weights }
    }
}

/// An [`AxisOperator`] with all taps side by side, in f32.
#[derive(Clone, Debug)]
pub struct PackedOperator {
    inputs: usize,
    taps: usize,
    first: Vec<usize>,
    weights: Vec<f32>,
}

/// The inputs that some outputs of a [`PackedOperator`] look at.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    /// Inputs of each window.
    pub taps: usize,
    /// The first one of each.
    pub first: &'a [usize],
    /// Of each tap of each.
    pub weights: &'a [f32],
}

impl Windows<'_> {
    /// From the first input to the last one of them all. Windows need not begin one after the other: that
    /// of an output which lies on an input begins there, and the next one's before it.
    pub fn range(&self) -> Range<usize> {
        match (self.first.iter().min(), self.first.iter().max()) {
            (Some(&first), Some(&last)) => first..last + self.taps,
            _ => 0..0,
        }
    }
}

impl PackedOperator {
    /// No outputs, of `n` inputs.
    pub fn empty(n: usize) -> Self {
        Self { inputs: n, taps: CUBIC_TAPS, first: Vec::new(), weights: Vec::new() }
    }

    /// Becomes cubic interpolation of `n` inputs, as [`AxisOperator::bicubic`] is, in the memory that it
    /// has.
    pub fn set_bicubic(&mut self, n: usize, positions: impl Iterator<Item = f64>) {
        self.inputs = n;
        self.taps = CUBIC_TAPS;
        self.first.clear();
        self.weights.clear();
        let start_at_most = self.inputs.saturating_sub(CUBIC_TAPS);
        for position in positions {
            let base = position.floor();
            let start = (base as isize - 1).clamp(0, start_at_most as isize) as usize;
            let mut packed = [0.0; CUBIC_TAPS];
            for (k, weight) in cubic_weights(position - base).into_iter().enumerate() {
                let input = replicate(base as isize + k as isize - 1, self.inputs);
                packed[input - start] += weight as f32;
            }
            self.first.push(start);
            self.weights.extend(packed);
        }
    }

    /// The same, with outputs times `factor`.
    #[must_use]
    pub fn scaled(mut self, factor: f32) -> Self {
        self.weights.iter_mut().for_each(|weight| *weight *= factor);
        self
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.first.len()
    }

    /// How long an input must be for every window to lie inside; the excess is never weighed.
    pub fn padded_inputs(&self) -> usize {
        self.inputs.max(self.taps)
    }

    /// First input and weights of output `i`; weights beyond the last input are zero.
    pub fn row(&self, i: usize) -> (usize, &[f32]) {
        (self.first[i], &self.weights[i * self.taps..][..self.taps])
    }

    /// What some of the outputs look at.
    pub fn windows(&self, outputs: Range<usize>) -> Windows<'_> {
        let weights = outputs.start * self.taps..outputs.end * self.taps;
        Windows { taps: self.taps, first: &self.first[outputs], weights: &self.weights[weights] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn apply(operator: &AxisOperator, input: &[f64]) -> Vec<f64> {
        operator.rows.iter().map(|row| row.iter().map(|(i, w)| input[i] * w).sum()).collect()
    }

    /// Every kind of operator on `n` inputs.
    fn every_kind(n: usize, outputs: usize) -> Vec<AxisOperator> {
        let scale = n as f64 / outputs as f64;
        vec![
            AxisOperator::identity(n),
            AxisOperator::pad(n, outputs / 2, n + outputs),
            AxisOperator::pyramid_down(n),
            AxisOperator::bilinear(n, outputs),
            AxisOperator::bicubic(n, (0..outputs).map(|i| (i as f64 + 0.5) * scale - 0.5)),
            AxisOperator::area(n, outputs),
            AxisOperator::chroma(n, 2 * n, true),
            AxisOperator::chroma(n, 2 * n - 1, false),
        ]
    }

    proptest! {
        #[test]
        fn a_flat_input_stays_flat(n in 1usize..70, outputs in 1usize..70) {
            for operator in every_kind(n, outputs) {
                for value in apply(&operator, &vec![3.0; n]) {
                    prop_assert!((value - 3.0).abs() < 1e-9);
                }
            }
        }

        #[test]
        fn composing_is_applying_one_after_the_other(n in 1usize..50, m in 1usize..50, k in 1usize..50) {
            let input: Vec<f64> = (0..n).map(|i| ((i * 7919) % 256) as f64).collect();
            let first = AxisOperator::bilinear(n, m);
            let second = AxisOperator::pyramid_down(m).then(&AxisOperator::bilinear(m.div_ceil(2), k));
            let steps = apply(&second, &apply(&first, &input));
            for (a, b) in apply(&first.then(&second), &input).iter().zip(&steps) {
                prop_assert!((a - b).abs() < 1e-9);
            }
        }

        #[test]
        fn packing_changes_nothing(n in 1usize..40, outputs in 1usize..40, multiple in 1usize..9) {
            let input: Vec<f64> = (0..n).map(|i| ((i * 7919) % 256) as f64).collect();
            for operator in every_kind(n, outputs) {
                let packed = operator.pack(multiple);
                let mut padded: Vec<f32> = input.iter().map(|&v| v as f32).collect();
                padded.resize(packed.padded_inputs(), f32::MAX);
                for (i, want) in apply(&operator, &input).iter().enumerate() {
                    let (first, weights) = packed.row(i);
                    let got: f32 = padded[first..].iter().zip(weights)
                        .filter(|(_, w)| **w != 0.0).map(|(v, w)| v * w).sum();
                    prop_assert!((got as f64 - want).abs() < 1e-2);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn set_in_place_an_operator_is_what_it_would_be_packed(
            n in 1usize..30, positions in prop::collection::vec(-5.0..35.0, 0..20),
        ) {
            let mut set = PackedOperator::empty(n);
            set.set_bicubic(n, positions.iter().copied());
            let packed = AxisOperator::bicubic(n, positions.iter().copied()).pack(4);
            let input: Vec<f32> = (0..n + 4).map(|i| (i * 7919 % 256) as f32).collect();
            for i in 0..positions.len() {
                let value = |operator: &PackedOperator| -> f32 {
                    let (first, weights) = operator.row(i);
                    weights.iter().zip(&input[first..]).map(|(weight, value)| weight * value).sum()
                };
                prop_assert!((value(&set) - value(&packed)).abs() < 1e-2);
            }
        }
    }

    /// Of 51 inputs that become 323, output 256 lies on input 40, and the next one begins with input 39.
    #[test]
    fn the_range_of_windows_holds_every_one() {
        let positions = (0..323).map(|i| (f64::from(i) + 0.5) * 51.0 / 323.0 - 0.5);
        let packed = AxisOperator::bicubic(51, positions).pack(CUBIC_TAPS);
        for start in 0..323 {
            for end in start + 1..=323.min(start + 70) {
                let range = packed.windows(start..end).range();
                for i in start..end {
                    let (first, weights) = packed.row(i);
                    assert!(range.start <= first && first + weights.len() <= range.end, "{i}");
                }
            }
        }
    }

    #[test]
    fn the_pyramid_mirrors_without_repeating_the_border() {
        let down = AxisOperator::pyramid_down(4);
        // (1·b + 4·b' + 6·a + 4·b + 1·c) with the border mirrored: c b a b c.
        assert_eq!(apply(&down, &[16.0, 0.0, 0.0, 0.0]), [6.0, 1.0]);
        assert_eq!(apply(&down, &[0.0, 16.0, 0.0, 0.0]), [8.0, 4.0 + 0.0]);
    }

    #[test]
    fn padding_counts_from_the_front() {
        assert_eq!(apply(&AxisOperator::pad(2, 1, 5), &[1.0, 2.0]), [1.0, 1.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    fn cubic_weights_match_their_definition() {
        assert_eq!(cubic_weights(0.0), [0.0, 1.0, 0.0, 0.0]);
        let half = cubic_weights(0.5);
        assert!((half[0] + 0.09375).abs() < 1e-12 && (half[1] - 0.59375).abs() < 1e-12, "{half:?}");
    }
}
