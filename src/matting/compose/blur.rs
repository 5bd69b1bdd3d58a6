// SPDX-License-Identifier: MIT

//! The frame itself, blurred, as a background.

use std::marker::PhantomData;

use crate::matting::frame::color::Affine;
use crate::matting::frame::conversion::conversion;
use crate::matting::frame::pixel_format::{Component, Depth};
use crate::matting::frame::sample::Sample;
use crate::matting::frame::size::Size;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::input::reduce::Reducer;
use crate::matting::kernels::gaussian::Gaussian;
use crate::matting::kernels::resample::{AxisOperator, PackedOperator};
use crate::matting::matte::enlarge::MatteRows;

/// Where a row is made.
#[derive(Default)]
pub struct BackdropRow<S> {
    row: Vec<S>,
    /// Between two rows of the small picture.
    between: Vec<f32>,
}

/// The frame, blurred at a size at which the blur is a few samples wide.
///
/// The person is left out: every sample is weighed by how much of it is background, before and
/// after the Gaussian, so that no halo of the person's colours surrounds them.
pub struct Blur<S> {
    size: Size,
    sigma: [f32; 2],
    reducer: Reducer,
    to_codes: Affine,
    matte_columns: PackedOperator,
    matte_rows: AxisBins,
    /// Colour components times weight, and the weight.
    planes: [Vec<f32>; 4],
    gaussian: Gaussian,
    to: FrameLayout,
    depth: Depth,
    enlargers: Vec<Enlarger>,
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

/// Weight that even the person keeps, so that there is a colour where all is person.
const FAINT: f32 = 1e-3;

impl<S: Sample> Blur<S> {
    pub(super) fn new(radius: f32, from: &FrameLayout, to: &FrameLayout) -> Self {
        let sigma = radius * from.height as f32 / 2.0;
        let factor = (sigma / 2.0).floor().max(1.0);
        let small = |n: usize| (n as f32 / factor).ceil() as usize;
        let size = Size { width: small(from.width), height: small(from.height) };
        let horizontal = AxisOperator::area(from.width, size.width);
        let vertical = AxisOperator::area(from.height, size.height);
        // What is blurred is left as it is in the target's codes, so that rows only enlarge.
        let to_codes = conversion(from, to);
        let enlargers = to
            .format
            .color_components()
            .iter()
            .map(|&component| Enlarger {
                component,
                columns: AxisOperator::bilinear(size.width, component.width(to.width)).pack(2),
                rows: AxisOperator::bilinear(size.height, component.height(to.height)).pack(2),
            })
            .collect();
        Self {
            sigma: [
                sigma * size.width as f32 / from.width as f32 / from.pixel_aspect.ratio() as f32,
                sigma * size.height as f32 / from.height as f32,
            ],
            reducer: Reducer::new(from, &horizontal, &vertical),
            to_codes,
            matte_columns: horizontal.pack(1),
            matte_rows: AxisBins { frame: from.height, bins: size.height },
            planes: std::array::from_fn(|_| vec![0.0; size.area()]),
            gaussian: Gaussian::new(size.area()),
            to: *to,
            depth: to.format.depth(),
            enlargers,
            samples: PhantomData,
            size,
        }
    }

    pub(super) fn update(&mut self, frame: &FrameView<'_>, matte: &mut dyn MatteRows<S>) {
        self.weigh(matte);
        let width = self.size.width;
        let [first, second, third, weights] = &mut self.planes;
        let mut reduced = self.reducer.reduce(frame);
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
    }

    /// The share of background in each sample of the small picture.
    fn weigh(&mut self, matte: &mut dyn MatteRows<S>) {
        let width = self.size.width;
        let weights = &mut self.planes[3];
        weights.fill(0.0);
        let AxisBins { frame, bins } = self.matte_rows;
        for y in 0..frame {
            let row = matte.row(y).values;
            let bin = (y * bins / frame).min(bins - 1);
            let rows_in_bin = frame as f32 / bins as f32;
            for (x, weight) in weights[bin * width..][..width].iter_mut().enumerate() {
                let (first, taps) = self.matte_columns.row(x);
                let person: f32 =
                    row[first..].iter().zip(taps).map(|(matte, tap)| matte * tap).sum();
                *weight += (1.0 - person) / rows_in_bin;
            }
        }
        for weight in weights {
            *weight = weight.clamp(0.0, 1.0) + FAINT;
        }
    }

    pub(super) fn row<'a>(
        &self,
        plane: usize,
        y: usize,
        scratch: &'a mut BackdropRow<S>,
    ) -> &'a [S] {
        let BackdropRow { row, between } = scratch;
        let width = self.size.width;
        let samples = self.to.format.row_samples(plane, self.to.width);
        row.resize(samples, S::NONE);
        between.resize(width + 2, 0.0);
        for (index, enlarger) in self.enlargers.iter().enumerate() {
            let component = enlarger.component;
            if component.plane != plane {
                continue;
            }
            let picture = &self.planes[index];
            let (first, weights) = enlarger.rows.row(y);
            let below = (first + 1).min(self.size.height - 1);
            let upper = &picture[first * width..][..width];
            let lower = &picture[below * width..][..width];
            for ((out, upper), lower) in between.iter_mut().zip(upper).zip(lower) {
                *out = upper * weights[0] + lower * weights[1];
            }
            for x in 0..component.width(self.to.width) {
                let (first, weights) = enlarger.columns.row(x);
                let code = between[first] * weights[0] + between[first + 1] * weights[1];
                row[x * component.step + component.offset] = S::encode(code, self.depth);
            }
        }
        row
    }
}
