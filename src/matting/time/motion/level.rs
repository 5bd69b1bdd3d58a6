// SPDX-License-Identifier: MIT

//! The search of one level.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::Vector;
use super::cells::Cells;
use super::find::{Candidates, Pictures, Weights, find};
use super::grid::{Around, Grid, Nearest};
use super::inside::Follow;
use super::patch::{EVEN, HALF};

/// What is kept of a level.
#[derive(Clone, Debug)]
pub struct Level {
    pub grid: Grid,
    /// The patches of the coarser level, where there is one, and of that which the motion of the
    /// inside is known for.
    pub coarser: Around,
    pub follow: Nearest,
    pub cells: Cells,
    /// Motion of each patch.
    pub flows: Vec<Vector>,
    /// Whether it was searched for.
    pub searched: Vec<bool>,
}

#[multiversion(targets = "simd")]
pub fn search(
    pictures: Pictures<'_>,
    coarser: Option<&Level>,
    follow: &Follow<'_>,
    level: &mut Level,
    everywhere: bool,
) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let grid = level.grid;
    for row in 0..grid.rows {
        for column in 0..grid.columns {
            let index = row * grid.columns + column;
            let origin = grid.origin(column, row);
            let centre = [origin[0] as f32 + HALF, origin[1] as f32 + HALF];
            let mut candidates = Candidates { flows: [[0.0; 2]; 8], count: 0 };
            match coarser {
                Some(coarser) => {
                    // At the finest level the neighbours already searched for spread what is needed.
                    let around = if everywhere || follow.scale < 1.5 {
                        &Around::ALL[..]
                    } else {
                        &Around::ALL[..1]
                    };
                    for &which in around {
                        let flow = coarser.flows[level.coarser.of(which, column, row)];
                        candidates.add([2.0 * flow[0], 2.0 * flow[1]]);
                    }
                }
                None => candidates.add([0.0; 2]),
            }
            candidates.add(follow.of(level.follow.index(column, row)));
            let mut mixed = false;
            for flow in &candidates.flows[..candidates.count] {
                mixed |= level.cells.is_mixed([centre[0] + flow[0], centre[1] + flow[1]]);
            }
            level.searched[index] = mixed;
            if !mixed && !everywhere {
                level.flows[index] = candidates.flows[0];
                continue;
            }
            if column > 0 {
                candidates.add(level.flows[index - 1]);
            }
            if row > 0 {
                candidates.add(level.flows[index - grid.columns]);
            }
            let weights = if mixed { Weights::Matte } else { Weights::Fixed(&EVEN) };
            level.flows[index] = find::<FUSED>(pictures, origin, &candidates, weights);
        }
    }
}
