// SPDX-License-Identifier: MIT

//! From the motion of patches to that of samples.

// Patches are read several at a time, by row and column.
#![allow(clippy::needless_range_loop)]

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::cells::CELL;
use super::grid::{STEP, nearest};
use super::inside::Follow;
use super::level::Level;
use super::patch::{PATCH, difference};
use super::picture::{Picture, floor};
use super::{FOLLOW, Search, Vector, level_scale};
use crate::matting::kernels::columns::multiply_add;

/// Adds up motion of patches, each where it explains the picture.
pub struct Field {
    pub x: Picture,
    pub y: Picture,
    weight: Picture,
    /// For every few columns of samples, the patches of the inside's motion that are nearest.
    columns: Vec<usize>,
}

impl Field {
    pub fn new(width: usize, height: usize) -> Self {
        let picture = Picture::new(width, height);
        let columns = vec![0; width.div_ceil(STEP)];
        Self { x: picture.clone(), y: picture.clone(), weight: picture, columns }
    }

    /// The motion of the sample nearest to `at`.
    #[inline(always)]
    pub fn at(&self, at: Vector) -> Vector {
        let index = self.x.nearest_index(at);
        [self.x.data[index], self.y.data[index]]
    }

    /// Whether some patch explains what is seen at a sample.
    #[inline(always)]
    pub fn explains(&self, x: usize, y: usize) -> bool {
        self.weight.row(y)[x] > EXPLAINED
    }

    /// What motion brings of `plane` to [`CELL`] samples from (`x`, `y`) on, of which the first is in
    /// the picture.
    #[inline(always)]
    pub fn bring(&self, plane: &Picture, x: usize, y: usize) -> [f32; CELL] {
        let (across, down) = (&self.x.span(x, y)[..CELL], &self.y.span(x, y)[..CELL]);
        let (columns, rows) = ((plane.width - 1) as f32, (plane.height - 1) as f32);
        let mut places = [0; CELL];
        for c in 0..CELL {
            let column = ((x + c) as f32 + across[c] + 0.5).clamp(0.0, columns);
            let row = (y as f32 + down[c] + 0.5).clamp(0.0, rows);
            places[c] = floor(row) * plane.stride as u32 + floor(column);
        }
        let data = plane.span(0, 0);
        let mut values = [0.0; CELL];
        for c in 0..CELL {
            values[c] = data[places[c] as usize];
        }
        values
    }

    /// Whether some patch explains each of [`CELL`] samples from (`x`, `y`) on.
    #[inline(always)]
    pub fn explained(&self, x: usize, y: usize) -> [bool; CELL] {
        let weights = &self.weight.span(x, y)[..CELL];
        let mut explained = [false; CELL];
        for c in 0..CELL {
            explained[c] = weights[c] > EXPLAINED;
        }
        explained
    }

    /// The motion of each sample: means of the patches over it, by how well they explain it.
    pub fn fill(&mut self, search: &Search, to: [&Picture; 3], from: [&Picture; 3]) {
        fill_field(self, search, to, from);
    }
}

/// What the motion of the inside weighs where no patch explains the picture: as much as one that is
/// wrong by 16 codes.
const UNEXPLAINED: f32 = 1.0 / (16.0 * 16.0 * 16.0 * 16.0);
/// What any motion weighs where there is no other.
const UNKNOWN: f32 = 1e-3 * UNEXPLAINED;
/// What patches that explain a sample weigh at least: one of them, wrong by 12 codes.
const EXPLAINED: f32 = UNEXPLAINED + 1.0 / (12.0 * 12.0 * 12.0 * 12.0);
/// A difference of colours, in codes, that noise may make.
const NOISE: f32 = 4.0;

#[multiversion(targets = "simd")]
fn fill_field(field: &mut Field, search: &Search, to: [&Picture; 3], from: [&Picture; 3]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let Field { x, y, weight, columns } = field;
    let width = weight.width;
    let finest = FOLLOW.min(search.levels.len() - 1);
    let follow = Follow {
        flows: &search.follow,
        grid: search.levels[finest].grid,
        scale: level_scale(0, finest),
        again: [1.0, 0.0],
    };
    let Level { grid, flows, searched, .. } = &search.levels[0];
    let middle = |first: usize| (first as f32 + STEP as f32 / 2.0) / follow.scale;
    for (column, left) in columns.iter_mut().zip((0..).step_by(STEP)) {
        *column = nearest(middle(left), follow.grid.columns);
    }
    for top in (0..weight.height).step_by(STEP) {
        let first = weight.start(top);
        let row = nearest(middle(top), follow.grid.rows) * follow.grid.columns;
        for (&column, left) in columns.iter().zip((0..).step_by(STEP)) {
            let mut flow = follow.of(row + column);
            let mut known = UNEXPLAINED;
            if !flow[0].is_finite() {
                let centre = [left, top].map(|v| v as f32 + STEP as f32 / 2.0);
                (flow, known) = (flows[grid.nearest(centre)], UNKNOWN);
            }
            // The border takes what is too much.
            weight.data[first + left..][..STEP].fill(known);
            x.data[first + left..][..STEP].fill(flow[0] * known);
            y.data[first + left..][..STEP].fill(flow[1] * known);
        }
        for row in top + 1..(top + STEP).min(weight.height) {
            let start = weight.start(row);
            for plane in [&mut weight.data, &mut x.data, &mut y.data] {
                plane.copy_within(first..first + width, start);
            }
        }
    }
    for index in 0..grid.len() {
        let origin = grid.origin(index % grid.columns, index / grid.columns);
        let flow = flows[index];
        if !searched[index] {
            continue;
        }
        let at = [origin[0] as f32 + flow[0], origin[1] as f32 + flow[1]];
        let mut squares = [[NOISE * NOISE; PATCH]; PATCH];
        for plane in 0..3 {
            let found = from[plane].sample::<FUSED>(at);
            let difference = difference(&found, &to[plane].whole(origin));
            for r in 0..PATCH {
                for c in 0..PATCH {
                    let square = squares[r][c];
                    squares[r][c] =
                        multiply_add::<FUSED>(difference[r][c], difference[r][c], square);
                }
            }
        }
        let mut weights = [[0.0; PATCH]; PATCH];
        for r in 0..PATCH {
            for c in 0..PATCH {
                weights[r][c] = 1.0 / (squares[r][c] * squares[r][c]);
            }
        }
        for (plane, value) in [(&mut *weight, 1.0), (&mut *x, flow[0]), (&mut *y, flow[1])] {
            for r in 0..PATCH {
                let sums = plane.lanes_mut([origin[0], origin[1] + r]);
                let mut added = *sums;
                for c in 0..PATCH {
                    added[c] = multiply_add::<FUSED>(weights[r][c], value, added[c]);
                }
                *sums = added;
            }
        }
    }
    for row in 0..weight.height {
        let start = weight.start(row);
        let range = start..start + weight.width;
        for ((x, y), weight) in x.data[range.clone()]
            .iter_mut()
            .zip(&mut y.data[range.clone()])
            .zip(&weight.data[range])
        {
            let share = 1.0 / weight;
            *x *= share;
            *y *= share;
        }
    }
    x.extend();
    y.extend();
}
