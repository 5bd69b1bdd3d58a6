// SPDX-License-Identifier: MIT

//! Taking a mask from where each of its samples was.

// Several samples of a row at a time.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use crate::matting::frame::size::Size;
use crate::matting::input::geometry::{AxisGeometry, MaskLayout};
use crate::matting::kernels::columns::multiply_add;
use crate::matting::kernels::tap::Tap;
use crate::matting::time::motion::{CELL, Field, Picture, Search, floor};

/// Samples of a mask that are taken together, and the side of its blocks at most.
const LANES: usize = 8;
/// Samples of a guide that as many of the mask may lie between.
const SPAN: usize = 16;

/// How one axis of a guide lies in the mask.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// Mask samples in one of the guide.
    scale: f32,
    /// Of the guide's first sample in the mask.
    first: f32,
}

impl Axis {
    fn new(frame: usize, guide: usize, mask: usize, geometry: &AxisGeometry) -> Self {
        let per_pixel = geometry.mask_per_frame(mask);
        let scale = per_pixel * frame as f32 / guide as f32;
        // Half-pixel centres: the frame's edge lies half a sample before its first.
        let edge = geometry.frame_edge(mask);
        Self { scale, first: edge + 0.5 * scale - 0.5 }
    }

    /// Where sample `index` of the mask lies in the guide.
    fn guide(&self, index: usize) -> f32 {
        (index as f32 - self.first) / self.scale
    }

    /// Samples of the mask that a block of it may be long, so that one look at the search's cells,
    /// which tells of one cell on each side as well, says whether it is flat.
    fn block(&self) -> usize {
        ((1.5 * CELL as f32 * self.scale) as usize).clamp(1, LANES)
    }

    /// For each of a guide's `samples`, where in the `mask` samples it lies.
    fn to_mask(self, samples: usize, mask: usize) -> Vec<Tap> {
        (0..samples).map(|i| Tap::new(self.first + i as f32 * self.scale, mask)).collect()
    }

    /// For each of the `mask` samples, and [`LANES`] more, where in the guide's `samples` it lies:
    /// the first of two, and the share of the second.
    fn to_guide(self, mask: usize, samples: usize) -> (Vec<u32>, Vec<f32>) {
        let taps = (0..mask + LANES).map(|i| Tap::new(self.guide(i), samples));
        taps.map(|tap| (tap.first as u32, tap.share)).unzip()
    }
}

/// How masks and guides of one size each lie on each other.
pub struct Alignment {
    mask: Size,
    /// Horizontally and vertically, as all that follows.
    axes: [Axis; 2],
    /// Of a guide's samples in the mask.
    pub to_mask: [Vec<Tap>; 2],
    to_guide: [(Vec<u32>, Vec<f32>); 2],
}

impl Alignment {
    /// For masks and guides of size `guide` of frames of size `frame`.
    pub fn new(frame: Size, guide: Size, masks: MaskLayout) -> Self {
        let ([x, y], mask) = (masks.axes(frame), masks.mask);
        let axes = [
            Axis::new(frame.width, guide.width, mask.width, &x),
            Axis::new(frame.height, guide.height, mask.height, &y),
        ];
        let [x, y] = axes;
        Self {
            mask,
            axes,
            to_mask: [x.to_mask(guide.width, mask.width), y.to_mask(guide.height, mask.height)],
            to_guide: [x.to_guide(mask.width, guide.width), y.to_guide(mask.height, guide.height)],
        }
    }
}

/// Takes `mask` from where each sample was by the motion in `field`, and adds `change`: both are of
/// the guide. `search` knows where the mask is flat, and the nearest samples will do.
#[multiversion(targets = "simd")]
pub fn warp(
    alignment: &Alignment,
    field: &Field,
    change: &Picture,
    search: &Search,
    mask: &[f32],
    out: &mut [f32],
) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let Size { width, height } = alignment.mask;
    let [x, y] = alignment.axes;
    let [across, down] = alignment.axes.map(|axis| axis.block());
    for top in (0..height).step_by(down) {
        let rows = top..(top + down).min(height);
        for left in (0..width).step_by(across) {
            let columns = left..(left + across).min(width);
            let middle = [x.guide((left + columns.end) / 2), y.guide((top + rows.end) / 2)];
            let flow = field.at(middle);
            if search.is_flat([middle[0] + flow[0], middle[1] + flow[1]]) {
                let shift = [flow[0] * x.scale, flow[1] * y.scale];
                shift_block(mask, alignment.mask, [columns, rows.clone()], shift, out);
                continue;
            }
            for row in rows.clone() {
                let values =
                    warp_lanes::<FUSED>(alignment, [&field.x, &field.y, change], mask, [left, row]);
                copy_row(&values, &mut out[row * width..][columns.clone()]);
            }
        }
    }
}

/// [`LANES`] samples of the mask from `left` on; those beyond a block are of no use.
#[inline(always)]
fn warp_lanes<const FUSED: bool>(
    alignment: &Alignment,
    pictures: [&Picture; 3],
    mask: &[f32],
    [left, row]: [usize; 2],
) -> [f32; LANES] {
    let Size { width, height } = alignment.mask;
    let [x, y] = alignment.axes;
    let [right, down, change] = pictures;
    let right = interpolate::<FUSED>(alignment, right, [left, row]);
    let down = interpolate::<FUSED>(alignment, down, [left, row]);
    let change = interpolate::<FUSED>(alignment, change, [left, row]);
    let (last_column, last_row) = ((width - 1) as f32, (height - 1) as f32);
    // Of the four samples about a place the first is never the last of its row or column.
    let most = [width, height].map(|n| n.saturating_sub(2) as f32);
    let (next, below) = (width.min(2) - 1, if height > 1 { width } else { 0 });
    let (mut starts, mut shares) = ([0; LANES], [[0.0; LANES]; 2]);
    for c in 0..LANES {
        let at_x = multiply_add::<FUSED>(right[c], x.scale, (left + c) as f32);
        let at_y = multiply_add::<FUSED>(down[c], y.scale, row as f32);
        let (at_x, at_y) = (at_x.clamp(0.0, last_column), at_y.clamp(0.0, last_row));
        let (first, upper) = (at_x.min(most[0]).floor(), at_y.min(most[1]).floor());
        starts[c] = floor(upper) * width as u32 + floor(first);
        shares[0][c] = at_x - first;
        shares[1][c] = at_y - upper;
    }
    let mut corners = [[0.0; LANES]; 4];
    for c in 0..LANES {
        let square = &mask[starts[c] as usize..][..below + next + 1];
        let values = [square[0], square[next], square[below], square[below + next]];
        for k in 0..4 {
            corners[k][c] = values[k];
        }
    }
    let mut values = [0.0; LANES];
    for c in 0..LANES {
        let upper = mix::<FUSED>(corners[0][c], corners[1][c], shares[0][c]);
        let lower = mix::<FUSED>(corners[2][c], corners[3][c], shares[0][c]);
        let moved = mix::<FUSED>(upper, lower, shares[1][c]);
        let changed = (moved + change[c]).clamp(0.0, 1.0);
        values[c] = if change[c] == 0.0 { moved } else { changed };
    }
    values
}

/// The values of a guide's picture at samples of the mask.
#[inline(always)]
fn interpolate<const FUSED: bool>(
    alignment: &Alignment,
    picture: &Picture,
    [left, row]: [usize; 2],
) -> [f32; LANES] {
    let [(columns, across), (rows, down)] = &alignment.to_guide;
    let (columns, across) = (&columns[left..][..LANES], &across[left..][..LANES]);
    let (first, upper, down) = (columns[0], rows[row] as usize, down[row]);
    let above = picture.span(first as usize, upper);
    let below = picture.span(first as usize, upper + 1);
    let (above, below) = (&above[..SPAN], &below[..SPAN]);
    let mut between = [0.0; SPAN];
    for i in 0..SPAN {
        between[i] = mix::<FUSED>(above[i], below[i], down);
    }
    let mut values = [0.0; LANES];
    for c in 0..LANES {
        let i = (columns[c] - first).min(SPAN as u32 - 2) as usize;
        values[c] = mix::<FUSED>(between[i], between[i + 1], across[c]);
    }
    values
}

/// `a` where `share` is 0, `b` where it is 1.
#[inline(always)]
fn mix<const FUSED: bool>(a: f32, b: f32, share: f32) -> f32 {
    multiply_add::<FUSED>(share, b - a, a)
}

/// Fills a block of `out` with the samples of `mask` nearest to where they were.
#[inline(always)]
fn shift_block(
    mask: &[f32],
    size: Size,
    [columns, rows]: [Range<usize>; 2],
    shift: [f32; 2],
    out: &mut [f32],
) {
    let from = |first: usize, length: usize, shift: f32, n: usize| {
        (first as f32 + shift + 0.5).clamp(0.0, (n - length) as f32) as usize
    };
    let left = from(columns.start, columns.len(), shift[0], size.width);
    let top = from(rows.start, rows.len(), shift[1], size.height);
    for (row, source) in rows.zip(top..) {
        let out = &mut out[row * size.width..][columns.clone()];
        copy_row(&mask[source * size.width + left..], out);
    }
}

/// Copies as much as a row of a block is long.
#[inline(always)]
fn copy_row(from: &[f32], to: &mut [f32]) {
    // A whole one is of a length that the compiler knows.
    match (to.first_chunk_mut::<LANES>(), from.first_chunk::<LANES>()) {
        (Some(to), Some(from)) => *to = *from,
        _ => to.copy_from_slice(&from[..to.len()]),
    }
}
