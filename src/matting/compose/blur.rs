// SPDX-License-Identifier: MIT

//! The frame itself, blurred, as a background.

use std::marker::PhantomData;
use std::ops::Range;

use multiversion::multiversion;

use crate::matting::frame::color::Affine;
use crate::matting::frame::conversion::conversion;
use crate::matting::frame::pixel_format::{Component, Depth, MAX_PLANES};
use crate::matting::frame::sample::Sample;
use crate::matting::frame::size::Size;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::input::downscale::Halver;
use crate::matting::input::reduce::Reducer;
use crate::matting::kernels::columns::{BLOCK, Column, resample, to_columns, to_part_of_rows};
use crate::matting::kernels::gaussian::Gaussian;
use crate::matting::kernels::resample::{AxisOperator, PackedOperator};
use crate::matting::matte::enlarge::MatteRows;

/// Where a row is made.
#[derive(Default)]
pub struct BackdropRow<S> {
    row: Vec<S>,
}

/// The frame, blurred at a size at which the blur is a few samples wide.
///
/// The person is left out: every sample is weighed by how much of it is background, before and
/// after the Gaussian, so that no halo of the person's colours surrounds them.
pub struct Blur<S> {
    size: Size,
    sigma: [f32; 2],
    /// Of frames that become much smaller.
    halver: Option<Halver>,
    reducer: Reducer,
    to_codes: Affine,
    matte_columns: PackedOperator,
    matte_rows: AxisBins,
    /// The background's share of the frame's columns, summed over the rows of a bin.
    shares: Vec<f32>,
    /// Colour components times weight, and the weight.
    planes: [Vec<f32>; 4],
    gaussian: Gaussian,
    to: FrameLayout,
    depth: Depth,
    enlargers: Vec<Enlarger>,
    /// Rows of the small picture as wide as the output's, for each of its planes, up to whole blocks of rows; what
    /// is not colour holds 0.
    wide: [Vec<f32>; MAX_PLANES],
    /// A block of rows of the small picture, and of the wide one.
    columns: Vec<Column>,
    enlarged: Vec<Column>,
    samples: PhantomData<S>,
}

/// Which rows of the small picture a matte row falls into.
struct AxisBins {
    frame: usize,
    bins: usize,
}

/// From the small picture to the samples of one component.
struct Enlarger {
    component: Component,
    columns: PackedOperator,
    rows: PackedOperator,
}

/// So many rows of the matte tell what falls into a row of the small picture, which shows many more.
const ROWS_OF_A_BIN: usize = 4;
/// How many times smaller pictures are made from which on the frame is halved before it is reduced with care.
const FAR_SMALLER: f32 = 4.0;
/// Weight that even the person keeps, so that there is a colour where all is person.
const FAINT: f32 = 1e-3;

impl<S: Sample> Blur<S> {
    pub(super) fn new(radius: f32, from: &FrameLayout, to: &FrameLayout) -> Self {
        let sigma = radius * from.height as f32 / 2.0;
        let factor = (sigma / 2.0).floor().max(1.0);
        let small = |n: usize| (n as f32 / factor).ceil() as usize;
        let size = Size { width: small(from.width), height: small(from.height) };
        let matte_columns = AxisOperator::area(from.width, size.width).pack(1);
        // Halving makes bytes, of which deeper frames must not be made.
        let is_halved = factor >= FAR_SMALLER && from.format.depth().bits == 8;
        let halver = is_halved.then(|| Halver::new(from));
        let reduced = halver.as_ref().map_or(*from, Halver::layout);
        // What is blurred is left as it is in the target's codes, so that rows only enlarge.
        let to_codes = conversion(from, to);
        let enlargers: Vec<_> = to
            .format
            .color_components()
            .iter()
            .map(|&component| Enlarger {
                component,
                columns: AxisOperator::bilinear(size.width, component.width(to.width)).pack(2),
                rows: AxisOperator::bilinear(size.height, component.height(to.height)).pack(2),
            })
            .collect();
        let padded = enlargers.iter().map(|enlarger: &Enlarger| enlarger.columns.padded_inputs());
        let padded_inputs = padded.max().unwrap_or(0);
        Self {
            sigma: [
                sigma * size.width as f32 / from.width as f32 / from.pixel_aspect.ratio() as f32,
                sigma * size.height as f32 / from.height as f32,
            ],
            reducer: Reducer::new(
                &reduced,
                &AxisOperator::area(reduced.width, size.width),
                &AxisOperator::area(reduced.height, size.height),
            ),
            halver,
            to_codes,
            matte_rows: AxisBins { frame: from.height, bins: size.height },
            shares: vec![0.0; matte_columns.padded_inputs()],
            matte_columns,
            planes: std::array::from_fn(|_| vec![0.0; size.area()]),
            gaussian: Gaussian::new(size.area()),
            to: *to,
            depth: to.format.depth(),
            wide: std::array::from_fn(|plane| {
                vec![0.0; row_samples(to, plane) * size.height.next_multiple_of(BLOCK)]
            }),
            columns: vec![[0.0; BLOCK]; padded_inputs],
            enlarged: vec![[0.0; BLOCK]; to.width],
            enlargers,
            samples: PhantomData,
            size,
        }
    }

    pub(super) fn update(&mut self, frame: &FrameView<'_>, matte: &mut dyn MatteRows<S>) {
        self.weigh(matte);
        let width = self.size.width;
        let [first, second, third, weights] = &mut self.planes;
        let frame = match &mut self.halver {
            Some(halver) => halver.halve(frame),
            None => *frame,
        };
        let mut reduced = self.reducer.reduce(&frame);
        for y in 0..self.size.height {
            let [a, b, c] = reduced.row(y);
            for (x, ((a, b), c)) in a.iter().zip(b).zip(c).enumerate() {
                let at = y * width + x;
                let color = self.to_codes.apply([*a, *b, *c]);
                first[at] = color[0] * weights[at];
                second[at] = color[1] * weights[at];
                third[at] = color[2] * weights[at];
            }
        }
        for plane in &mut self.planes {
            self.gaussian.blur(plane, width, self.sigma);
        }
        let [colors @ .., weights] = &mut self.planes;
        for plane in colors {
            for (value, weight) in plane.iter_mut().zip(&*weights) {
                *value /= weight;
            }
        }
        self.widen();
    }

    /// The share of background in each sample of the small picture.
    fn weigh(&mut self, matte: &mut dyn MatteRows<S>) {
        let width = self.size.width;
        let AxisBins { frame, bins } = self.matte_rows;
        for (bin, weights) in self.planes[3].chunks_exact_mut(width).enumerate() {
            self.shares.fill(0.0);
            let rows = (bin * frame).div_ceil(bins)..((bin + 1) * frame).div_ceil(bins);
            let count = rows.len().min(ROWS_OF_A_BIN);
            for k in 0..count {
                let y = rows.start + (2 * k + 1) * rows.len() / (2 * count);
                add_rests(matte.row(y).values, &mut self.shares);
            }
            for (x, weight) in weights.iter_mut().enumerate() {
                let (first, taps) = self.matte_columns.row(x);
                let sum: f32 =
                    self.shares[first..].iter().zip(taps).map(|(share, tap)| share * tap).sum();
                *weight = (sum / count.max(1) as f32).clamp(0.0, 1.0) + FAINT;
            }
        }
    }

    /// Brings the rows of the small picture to the output's width, once for all rows between them.
    fn widen(&mut self) {
        let width = self.size.width;
        for (picture, Enlarger { component, columns, .. }) in
            self.planes.iter().zip(&self.enlargers)
        {
            let samples = row_samples(&self.to, component.plane);
            let wide = self.wide[component.plane].chunks_exact_mut(BLOCK * samples);
            let enlarged = &mut self.enlarged[..columns.outputs()];
            for (rows, out) in picture.chunks(BLOCK * width).zip(wide) {
                let last = rows.len() / width - 1;
                let row = |r: usize| &rows[r.min(last) * width..][..width];
                to_columns(std::array::from_fn(row), &mut self.columns[..width]);
                resample(&self.columns, 0, 1, columns, enlarged);
                if component.step == 1 {
                    to_part_of_rows(enlarged, out, samples, 0);
                    continue;
                }
                for (r, out) in out.chunks_exact_mut(samples).enumerate() {
                    let out = out[component.offset..].iter_mut().step_by(component.step);
                    out.zip(&*enlarged).for_each(|(out, column)| *out = column[r]);
                }
            }
        }
    }

    /// Row `y` of a plane; the samples of `needed` are made.
    pub(super) fn row<'a>(
        &self,
        plane: usize,
        y: usize,
        needed: impl Iterator<Item = Range<usize>>,
        scratch: &'a mut BackdropRow<S>,
    ) -> &'a [S] {
        let wide = &self.wide[plane];
        let samples = row_samples(&self.to, plane);
        scratch.row.resize(samples, S::NONE);
        // The components of a plane have equally many rows.
        let Some(enlarger) = self.enlargers.iter().find(|of| of.component.plane == plane) else {
            return &scratch.row;
        };
        let (first, weights) = enlarger.rows.row(y);
        let below = (first + 1).min(self.size.height - 1);
        let [upper, lower] = [first, below].map(|row| &wide[row * samples..][..samples]);
        for span in needed {
            let (upper, lower) = (&upper[span.clone()], &lower[span.clone()]);
            encode_between(
                upper,
                lower,
                [weights[0], weights[1]],
                self.depth,
                &mut scratch.row[span],
            );
        }
        &scratch.row
    }
}

/// Samples in a row of a plane; none where there is no such plane.
fn row_samples(layout: &FrameLayout, plane: usize) -> usize {
    match plane < layout.format.planes() {
        true => layout.format.row_samples(plane, layout.width),
        false => 0,
    }
}

/// Adds what a row of a matte leaves of 1.
#[multiversion(targets = "simd")]
fn add_rests(row: &[f32], sums: &mut [f32]) {
    for (sum, matte) in sums.iter_mut().zip(row) {
        *sum += 1.0 - matte;
    }
}

/// The samples of codes between two rows.
#[multiversion(targets = "simd")]
fn encode_between<S: Sample>(
    upper: &[f32],
    lower: &[f32],
    weights: [f32; 2],
    depth: Depth,
    out: &mut [S],
) {
    for ((out, upper), lower) in out.iter_mut().zip(upper).zip(lower) {
        *out = S::encode(upper * weights[0] + lower * weights[1], depth);
    }
}
