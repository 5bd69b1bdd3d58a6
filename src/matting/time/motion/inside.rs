// SPDX-License-Identifier: MIT

//! The motion of the inside of the matte.

// Several planes are read side by side.
#![allow(clippy::needless_range_loop)]

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::Vector;
use super::cells::Cells;
use super::find::{Candidates, Pictures, Weights, find};
use super::grid::{Around, Grid};
use super::patch::{HALF, OUTSIDE, PATCH, total, weigh};

/// The motion of nothing.
pub const NOWHERE: Vector = [f32::NAN; 2];
/// How many patches the motion of the inside is spread beyond it.
const SPREAD: usize = 6;
/// The least share of a patch that must be inside.
const INSIDE: f32 = 0.15;

/// The motion of the inside, for other levels than its own.
#[derive(Clone, Copy)]
pub struct Follow<'a> {
    pub flows: &'a [Vector],
    pub grid: Grid,
    /// Samples of the level at hand in one of its own.
    pub scale: f32,
    pub again: [f32; 2],
}

impl Follow<'_> {
    /// The motion of a patch.
    #[inline(always)]
    pub fn of(&self, index: usize) -> Vector {
        let flow = self.flows[index];
        [flow[0] * self.scale, flow[1] * self.scale]
    }

    /// The motion at `at`, a place in the later picture of the level at hand.
    #[inline(always)]
    pub fn at(&self, at: Vector) -> Vector {
        self.of(self.grid.nearest([at[0] / self.scale, at[1] / self.scale]))
    }
}

/// Follows the patches of the earlier picture, `pictures.to`, that are inside the matte.
#[multiversion(targets = "simd")]
pub fn search_inside(
    pictures: Pictures<'_>,
    grid: Grid,
    around: &Around,
    near_edge: Option<&Cells>,
    coarser: Option<&[Vector]>,
    expected: Option<Follow<'_>>,
    flows: &mut [Vector],
) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    for row in 0..grid.rows {
        for column in 0..grid.columns {
            let index = row * grid.columns + column;
            let origin = grid.origin(column, row);
            let [mask, ..] = pictures.mask.patch(origin);
            let weights = weigh(&mask);
            if total(&weights) < (OUTSIDE + (1.0 - OUTSIDE) * INSIDE) * (PATCH * PATCH) as f32 {
                flows[index] = NOWHERE;
                continue;
            }
            let centre = [origin[0] as f32 + HALF, origin[1] as f32 + HALF];
            let mut candidates = Candidates { flows: [[0.0; 2]; 8], count: 0 };
            if let (Some(coarser), Some(cells)) = (coarser, near_edge)
                && !cells.is_mixed(centre)
            {
                let flow = coarser[around.of(Around::ALL[0], column, row)];
                flows[index] = [2.0 * flow[0], 2.0 * flow[1]];
                continue;
            }
            if let Some(coarser) = coarser {
                for which in Around::ALL {
                    let flow = coarser[around.of(which, column, row)];
                    candidates.add([2.0 * flow[0], 2.0 * flow[1]]);
                }
            }
            if let Some(expected) = expected {
                // What it was when it was seen here, then where it was seen since.
                let [ratio, since] = expected.again;
                let here = expected.at(centre);
                let there = expected.at([centre[0] - since * here[0], centre[1] - since * here[1]]);
                candidates.add([-ratio * here[0], -ratio * here[1]]);
                candidates.add([-ratio * there[0], -ratio * there[1]]);
            }
            if column > 0 {
                candidates.add(flows[index - 1]);
            }
            if row > 0 {
                candidates.add(flows[index - grid.columns]);
            }
            if candidates.count == 0 || coarser.is_none() {
                candidates.add([0.0; 2]);
            }
            flows[index] = find::<FUSED>(pictures, origin, &candidates, Weights::Fixed(&weights));
        }
    }
}

/// The motion of the inside, turned around and spread beyond it.
pub struct Spread {
    /// Rightwards and down: 0 where it is not known, and in a border of one patch.
    motion: [Vec<f32>; 2],
    /// 1 where it is known.
    known: Vec<f32>,
    /// The same after the next step.
    next: [Vec<f32>; 3],
    grid: Grid,
}

impl Spread {
    pub fn new(grid: Grid) -> Self {
        let plane = vec![0.0; (grid.columns + 2) * (grid.rows + 2)];
        Self {
            motion: [plane.clone(), plane.clone()],
            known: plane.clone(),
            next: [plane.clone(), plane.clone(), plane],
            grid,
        }
    }

    /// The index of a patch.
    fn place(&self, index: usize) -> usize {
        let Grid { columns, .. } = self.grid;
        (index / columns + 1) * (columns + 2) + index % columns + 1
    }

    /// Turns around the motion of patches that are `inside`, and gives that of every patch, not
    /// finite where there is none.
    pub fn turn(&mut self, inside: &[Vector], follow: &mut [Vector]) {
        for plane in self.motion.iter_mut().chain([&mut self.known]) {
            plane.fill(0.0);
        }
        let Grid { columns, .. } = self.grid;
        for (index, flow) in inside.iter().enumerate() {
            if flow[0].is_finite() {
                let origin = self.grid.origin(index % columns, index / columns);
                let to = [0, 1].map(|i| (origin[i] + PATCH / 2) as f32 + flow[i]);
                let place = self.place(self.grid.nearest(to));
                self.motion[0][place] = -flow[0];
                self.motion[1][place] = -flow[1];
                self.known[place] = 1.0;
            }
        }
        for _ in 0..SPREAD {
            spread(&self.motion, &self.known, &mut self.next, self.grid);
            let [x, y, known] = &mut self.next;
            std::mem::swap(&mut self.motion[0], x);
            std::mem::swap(&mut self.motion[1], y);
            std::mem::swap(&mut self.known, known);
        }
        for (row, follow) in follow.chunks_exact_mut(columns).enumerate() {
            let start = (row + 1) * (columns + 2) + 1;
            for (place, follow) in (start..).zip(follow) {
                let flow = [self.motion[0][place], self.motion[1][place]];
                *follow = if self.known[place] > 0.0 { flow } else { NOWHERE };
            }
        }
    }
}

/// Where nothing is known, the mean of what is known of the patches around.
#[multiversion(targets = "simd")]
fn spread([x, y]: &[Vec<f32>; 2], known: &[f32], next: &mut [Vec<f32>; 3], grid: Grid) {
    let stride = grid.columns + 2;
    let [next_x, next_y, next_known] = next;
    for row in 0..grid.rows {
        let start = row * stride;
        let (next_x, next_y) = (&mut next_x[start + stride..], &mut next_y[start + stride..]);
        let next_known = &mut next_known[start + stride..][..stride];
        let (next_x, next_y) = (&mut next_x[..stride], &mut next_y[..stride]);
        sum_around(x, start, stride, next_x);
        sum_around(y, start, stride, next_y);
        sum_around(known, start, stride, next_known);
        let here = start + stride..start + 2 * stride;
        let (x, y, known) = (&x[here.clone()], &y[here.clone()], &known[here]);
        for c in 0..stride {
            let share = 1.0 / next_known[c].max(1.0);
            next_x[c] = if known[c] > 0.0 { x[c] } else { share * next_x[c] };
            next_y[c] = if known[c] > 0.0 { y[c] } else { share * next_y[c] };
            next_known[c] = if next_known[c] > 0.0 { 1.0 } else { 0.0 };
        }
    }
}

/// For each value but the first and the last of the row after that from `start` on, the sum of the
/// nine about it; those two are 0.
#[inline(always)]
fn sum_around(plane: &[f32], start: usize, stride: usize, sums: &mut [f32]) {
    let above = &plane[start..][..stride];
    let here = &plane[start + stride..][..stride];
    let below = &plane[start + 2 * stride..][..stride];
    let sums = &mut sums[..stride];
    for c in 1..stride - 1 {
        let left = above[c - 1] + here[c - 1] + below[c - 1];
        let right = above[c + 1] + here[c + 1] + below[c + 1];
        sums[c] = left + (above[c] + here[c] + below[c]) + right;
    }
    (sums[0], sums[stride - 1]) = (0.0, 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::time::motion::picture::Picture;

    #[test]
    fn motion_is_turned_around_where_it_leads_and_spread_from_there() {
        let grid = Grid::new(&Picture::new(96, 40));
        let (mut inside, mut follow) = (vec![NOWHERE; grid.len()], vec![NOWHERE; grid.len()]);
        let at = |column: usize, row: usize| row * grid.columns + column;
        // A patch lies four samples after the one before.
        inside[at(2, 4)] = [8.0, 0.0];
        inside[at(8, 4)] = [-8.0, 4.0];
        Spread::new(grid).turn(&inside, &mut follow);
        assert_eq!(follow[at(4, 4)], [-8.0, 0.0]);
        assert_eq!(follow[at(6, 5)], [8.0, -4.0]);
        // Halfway between them both count.
        assert_eq!(follow[at(5, 4)], [0.0, -2.0]);
        let reach = SPREAD - 1;
        assert_eq!(follow[at(6 + 1 + reach, 5)], [8.0, -4.0]);
        assert!(follow[at(6 + 2 + reach, 5)][0].is_nan());
    }
}
