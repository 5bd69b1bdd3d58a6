// SPDX-License-Identifier: MIT

//! Frame to a small picture of its components.
//!
//! A [`Reducer`] samples every component of a frame where it lies, at its own subsampling, down to
//! a small picture, row by row: first the rows that have taps are combined, then the columns of
//! the result. Whatever the depth of the frame, the small picture holds codes in units of an 8-bit one.

use std::ops::Range;

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use crate::matting::frame::packed::Band;
use crate::matting::frame::pixel_format::{Component, Family};
use crate::matting::frame::sample::Sample;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::kernels::columns::{
    BLOCK, Column, multiply_add, resample, to_columns, to_rows,
};
use crate::matting::kernels::resample::{AxisOperator, PackedOperator};

/// Rows of the frame that are combined in one pass.
const ROW_TAPS: usize = 6;
/// Samples of a row that are combined before they are turned into columns: with the rows of the
/// frame that a block needs they fit into the first-level cache.
const TILE: usize = 512;

/// Components of a plane that are sampled together, because they lie on the same grid.
struct Grid {
    /// Samples of any component from one of its own to the next.
    step: usize,
    /// Offset in the sample, and which component it is.
    lanes: Vec<(usize, usize)>,
    operator: PackedOperator,
}

/// A plane of the frame, and how its rows and columns are combined.
struct PlaneSampler {
    plane: usize,
    rows: PackedOperator,
    grids: Vec<Grid>,
    /// A block of combined rows, padded with zeros for windows that reach past them.
    columns: Vec<Column>,
}

/// Samples the components of frames of one layout down to a small picture.
pub struct Reducer {
    planes: Vec<PlaneSampler>,
    width: usize,
    /// For each row of the small picture, which of its different rows it is.
    different: Vec<usize>,
    /// Where in the small picture the different rows first are.
    first: Vec<usize>,
    tile: Vec<f32>,
    resampled: Vec<Column>,
    /// A block of different rows of each colour component.
    block: [Vec<f32>; 3],
    /// The rows that a block needs of a frame whose codes do not lie apart.
    band: Option<Band>,
}

impl Reducer {
    /// `horizontal` and `vertical` lead from luma samples of the frame to the small picture.
    pub fn new(layout: &FrameLayout, horizontal: &AxisOperator, vertical: &AxisOperator) -> Self {
        let packed = layout;
        let layout = &layout.apart();
        let site = layout.color.chroma_site;
        let along = |operator: &AxisOperator, shift: u32, cosited: bool| match shift {
            0 => operator.clone(),
            _ => {
                let luma = operator.inputs();
                AxisOperator::chroma(luma.div_ceil(2), luma, cosited).then(operator)
            }
        };
        let components = layout.format.color_components();
        let mut repeats = vec![true; vertical.outputs()];
        let mut planes: Vec<PlaneSampler> = Vec::new();
        for plane in 0..layout.format.planes() {
            let in_plane: Vec<(usize, Component)> =
                components.iter().copied().enumerate().filter(|(_, c)| c.plane == plane).collect();
            let Some(&(_, first)) = in_plane.first() else { continue };
            let rows = along(vertical, first.v_shift, site.v_cosited);
            for (y, repeat) in repeats.iter_mut().enumerate() {
                *repeat &= y > 0 && rows.is_repeat(y, y - 1);
            }
            let mut grids: Vec<Grid> = Vec::new();
            for (index, component) in in_plane {
                let lane = (component.offset, index);
                match grids.iter_mut().find(|grid| grid.step == component.step) {
                    Some(grid) => grid.lanes.push(lane),
                    None => {
                        let columns = along(horizontal, component.h_shift, site.h_cosited);
                        let operator = columns.pack(1);
                        grids.push(Grid { step: component.step, lanes: vec![lane], operator });
                    }
                }
            }
            let padded = grids.iter().map(|grid| grid.operator.padded_inputs() * grid.step).max();
            let samples = layout.format.row_samples(plane, layout.width);
            planes.push(PlaneSampler {
                plane,
                rows: rows.pack(1).scaled(1.0 / layout.format.depth().unit()),
                grids,
                columns: vec![[0.0; BLOCK]; padded.unwrap_or(0).max(samples)],
            });
        }
        let first: Vec<usize> = (0..repeats.len()).filter(|&y| !repeats[y]).collect();
        let different = (0..repeats.len()).map(|y| first.partition_point(|&row| row <= y) - 1);
        let width = horizontal.outputs();
        let blocks = (0..first.len()).step_by(BLOCK);
        let most =
            blocks.map(|start| needed(&planes, block_rows(&first, start), layout.height).len());
        let band = Band::new(packed, most.max().unwrap_or(0));
        Self {
            planes,
            width,
            different: different.collect(),
            first,
            tile: vec![0.0; BLOCK * TILE],
            resampled: vec![[0.0; BLOCK]; width],
            block: std::array::from_fn(|_| vec![0.0; BLOCK * width]),
            band,
        }
    }

    /// The small picture of `frame`, ready to be read row by row.
    pub fn reduce<'a>(&'a mut self, frame: &'a FrameView<'a>) -> Reduced<'a> {
        Reduced { reducer: self, frame, held: None }
    }

    /// Fills the block that starts with the `start`-th different row.
    fn fill(&mut self, frame: &FrameView<'_>, start: usize) {
        let rows = block_rows(&self.first, start);
        let apart;
        let frame = match &mut self.band {
            Some(band) => {
                let rows = needed(&self.planes, rows, frame.layout().height);
                apart = band.take(frame, rows);
                &apart
            }
            None => frame,
        };
        for sampler in &mut self.planes {
            match frame.layout().format.sample_bytes() {
                1 => sampler.combine::<u8>(frame, rows, &mut self.tile),
                _ => sampler.combine::<u16>(frame, rows, &mut self.tile),
            }
            for grid in &sampler.grids {
                for &(offset, component) in &grid.lanes {
                    let out = &mut self.resampled;
                    resample(&sampler.columns, offset, grid.step, &grid.operator, out);
                    to_rows(out, &mut self.block[component]);
                }
            }
        }
    }
}

/// The rows of the small picture that a block holds which starts with the `start`-th different one.
fn block_rows(first: &[usize], start: usize) -> [usize; BLOCK] {
    std::array::from_fn(|r| first[(start + r).min(first.len() - 1)])
}

/// The rows of a frame `height` pixels high that a block needs of any plane.
fn needed(planes: &[PlaneSampler], outputs: [usize; BLOCK], height: usize) -> Range<usize> {
    let windows = planes.iter().flat_map(|plane| outputs.map(|output| plane.rows.row(output)));
    let ends = windows.map(|(first, weights)| (first, (first + weights.len()).min(height)));
    let range = ends.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)));
    range.map_or(0..0, |(first, end)| first..end)
}

/// A small picture that is made while it is read.
pub struct Reduced<'a> {
    reducer: &'a mut Reducer,
    frame: &'a FrameView<'a>,
    /// The first of the different rows that the block holds.
    held: Option<usize>,
}

impl Reduced<'_> {
    /// Whether row `y` is the same as the row before.
    pub fn is_repeat(&self, y: usize) -> bool {
        y > 0 && self.reducer.different[y] == self.reducer.different[y - 1]
    }

    /// Row `y`: the samples of each component, in the frame's codes, in units of an 8-bit one. For gray all
    /// three are luma.
    /// Cheapest from the top down.
    pub fn row(&mut self, y: usize) -> [&[f32]; 3] {
        let row = self.reducer.different[y];
        let start = row - row % BLOCK;
        if self.held != Some(start) {
            self.reducer.fill(self.frame, start);
            self.held = Some(start);
        }
        let width = self.reducer.width;
        let [a, b, c] = &self.reducer.block;
        let [a, b, c] = [a, b, c].map(|rows| &rows[(row - start) * width..][..width]);
        if self.frame.layout().format.family() == Family::Gray { [a; 3] } else { [a, b, c] }
    }
}

impl PlaneSampler {
    /// Combines the rows of `frame` for a block of output rows.
    fn combine<S: Sample>(
        &mut self,
        frame: &FrameView<'_>,
        outputs: [usize; BLOCK],
        tile: &mut [f32],
    ) {
        let FrameLayout { format, width, .. } = *frame.layout();
        let samples = format.row_samples(self.plane, width);
        for (index, columns) in self.columns[..samples].chunks_mut(TILE).enumerate() {
            let samples = index * TILE..index * TILE + columns.len();
            for (combined, output) in tile.chunks_exact_mut(TILE).zip(outputs) {
                let row = |source| &frame.samples::<S>(self.plane, source)[samples.clone()];
                combine_rows(&mut combined[..columns.len()], self.rows.row(output), row);
            }
            to_columns(std::array::from_fn(|r| &tile[r * TILE..][..columns.len()]), columns);
        }
    }
}

/// `out` = Σ weight · row, over weights for rows from `first` on.
fn combine_rows<'a, S: Sample>(
    out: &mut [f32],
    (first, weights): (usize, &[f32]),
    row: impl Fn(usize) -> &'a [S],
) {
    // Weights at the ends may be zeros for rows that are not there.
    let skip = weights.iter().take_while(|&&weight| weight == 0.0).count();
    let zeros = weights[skip..].iter().rev().take_while(|&&weight| weight == 0.0).count();
    let weights = &weights[skip..weights.len() - zeros];
    if weights.is_empty() {
        out.fill(0.0);
    }
    for (group, weights) in weights.chunks(ROW_TAPS).enumerate() {
        let add = group > 0;
        let row = |k: usize| row(first + skip + group * ROW_TAPS + k);
        match *weights {
            [a, b, c, d, e, f] => {
                let rows = [row(0), row(1), row(2), row(3), row(4), row(5)];
                weigh_rows(out, rows, [a, b, c, d, e, f], add);
            }
            [a, b, c, d, e] => {
                let rows = [row(0), row(1), row(2), row(3), row(4)];
                weigh_rows(out, rows, [a, b, c, d, e], add);
            }
            [a, b, c, d] => weigh_rows(out, [row(0), row(1), row(2), row(3)], [a, b, c, d], add),
            [a, b, c] => weigh_rows(out, [row(0), row(1), row(2)], [a, b, c], add),
            [a, b] => weigh_rows(out, [row(0), row(1)], [a, b], add),
            [a] => weigh_rows(out, [row(0)], [a], add),
            _ => {}
        }
    }
}

/// Samples that are weighed together.
const LANES: usize = 32;

/// `out` = Σ weight · row, added to what is there where `add`.
#[multiversion(targets = "simd")]
fn weigh_rows<S: Sample, const N: usize>(
    out: &mut [f32],
    rows: [&[S]; N],
    weights: [f32; N],
    add: bool,
) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    // Spans whose length the compiler knows become straight vector code.
    let whole = out.len() / LANES * LANES;
    let (spans, rest) = out.split_at_mut(whole);
    for (index, out) in spans.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let start = index * LANES;
        let mut sums = if add { *out } else { [0.0; LANES] };
        for k in 0..N {
            let row = &rows[k][start..start + LANES];
            for i in 0..LANES {
                sums[i] = multiply_add::<FUSED>(row[i].number(), weights[k], sums[i]);
            }
        }
        *out = sums;
    }
    for (i, out) in rest.iter_mut().enumerate() {
        let mut sum = if add { *out } else { 0.0 };
        for k in 0..N {
            sum = multiply_add::<FUSED>(rows[k][whole + i].number(), weights[k], sum);
        }
        *out = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::pixel_format::PixelFormat;
    use crate::matting::frame::view::OwnedFrame;
    use proptest::prelude::*;

    fn layout(format: PixelFormat, width: usize, height: usize) -> FrameLayout {
        FrameLayout::new(format, width, height)
    }

    proptest! {
        /// The reducer on packed RGBA gives what a plain sum over each component's taps gives.
        #[test]
        fn reducing_is_the_operators_sum(width in 1usize..50, height in 1usize..50, out in 1usize..40) {
            let frame_layout = layout(PixelFormat::Bgra, width, height);
            let mut frame = OwnedFrame::new(frame_layout);
            for y in 0..height {
                for (i, byte) in frame.view_mut().row_mut(0, y).iter_mut().enumerate() {
                    *byte = (i * 31 + y * 57) as u8;
                }
            }
            let horizontal = AxisOperator::bilinear(width, out);
            let vertical = AxisOperator::pyramid_down(height);
            let (columns, rows) = (horizontal.pack(1), vertical.pack(1));
            let mut reducer = Reducer::new(&frame_layout, &horizontal, &vertical);
            let view = frame.view();
            let mut reduced = reducer.reduce(&view);
            for y in 0..rows.outputs() {
                let got = reduced.row(y);
                for (component, got) in PixelFormat::Bgra.color_components().iter().zip(got) {
                    for (x, got) in got.iter().enumerate() {
                        let (top, row_weights) = rows.row(y);
                        let (left, column_weights) = columns.row(x);
                        let mut want = 0.0;
                        for (j, wy) in row_weights.iter().enumerate() {
                            for (i, wx) in column_weights.iter().enumerate() {
                                if wx * wy != 0.0 {
                                    let byte = (left + i) * 4 + component.offset;
                                    want += wx * wy * f32::from(frame.row(0, top + j)[byte]);
                                }
                            }
                        }
                        prop_assert!((got - want).abs() < 1e-2);
                    }
                }
            }
        }
    }
}
