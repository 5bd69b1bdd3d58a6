//! The motion of the inside of the matte.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::Vector;
use super::cells::Cells;
use super::find::{Candidates, Pictures, Weights, find};
use super::grid::Grid;
use super::level::AROUND;
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
    /// The motion at `at`, a place in the later picture of the level at hand.
    #[inline(always)]
    pub fn at(&self, at: Vector) -> Vector {
        let flow = self.flows[self.grid.nearest([at[0] / self.scale, at[1] / self.scale])];
        [flow[0] * self.scale, flow[1] * self.scale]
    }
}

/// Follows the patches of the earlier picture, `pictures.to`, that are inside the matte.
#[multiversion(targets = "simd")]
pub fn search_inside(
    pictures: Pictures<'_>,
    [grid, coarser_grid]: [Grid; 2],
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
                let flow = coarser[coarser_grid.nearest([centre[0] / 2.0, centre[1] / 2.0])];
                flows[index] = [2.0 * flow[0], 2.0 * flow[1]];
                continue;
            }
            if let Some(coarser) = coarser {
                let at = [centre[0] / 2.0, centre[1] / 2.0];
                for offset in AROUND {
                    let flow =
                        coarser[coarser_grid.nearest([at[0] + offset[0], at[1] + offset[1]])];
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

/// Turns the motion of the inside around.
pub fn turn(inside: &[Vector], grid: Grid, follow: &mut [Vector], scratch: &mut [Vector]) {
    follow.fill(NOWHERE);
    for (index, flow) in inside.iter().enumerate() {
        if flow[0].is_finite() {
            let origin = grid.origin(index % grid.columns, index / grid.columns);
            let to = [0, 1].map(|i| (origin[i] + PATCH / 2) as f32 + flow[i]);
            follow[grid.nearest(to)] = flow.map(|v| -v);
        }
    }
    for _ in 0..SPREAD {
        scratch.copy_from_slice(follow);
        for index in 0..grid.len() {
            if scratch[index][0].is_finite() {
                continue;
            }
            let (column, row) = (index % grid.columns, index / grid.columns);
            let (mut sum, mut count) = ([0.0; 2], 0.0);
            for y in row.saturating_sub(1)..(row + 2).min(grid.rows) {
                for x in column.saturating_sub(1)..(column + 2).min(grid.columns) {
                    let flow = scratch[y * grid.columns + x];
                    if flow[0].is_finite() {
                        sum = [sum[0] + flow[0], sum[1] + flow[1]];
                        count += 1.0;
                    }
                }
            }
            if count > 0.0 {
                follow[index] = sum.map(|v| v / count);
            }
        }
    }
}
