// SPDX-License-Identifier: MIT

//! Where the matte changes.

// Cells are read several samples at a time.
#![allow(clippy::needless_range_loop)]

use multiversion::multiversion;

use super::Vector;
use super::picture::{BORDER, Picture};

/// Side of the cells, in samples of their own level, that are asked whether the matte is flat.
pub const CELL: usize = 8;
/// How much a matte may change in a cell that counts as flat.
const FLAT: f32 = 0.02;

/// Cells of a level, and whether the matte changes in or next to them.
#[derive(Clone, Debug)]
pub struct Cells {
    columns: usize,
    rows: usize,
    /// Least and most of the matte in each.
    ranges: Vec<[f32; 2]>,
    mixed: Vec<bool>,
}

impl Cells {
    pub fn new(picture: &Picture) -> Self {
        let (columns, rows) = (picture.width.div_ceil(CELL), picture.height.div_ceil(CELL));
        Self {
            columns,
            rows,
            ranges: vec![[0.0; 2]; columns * rows],
            mixed: vec![false; columns * rows],
        }
    }

    pub fn fill(&mut self, mask: &Picture) {
        cell_ranges(mask, self.columns, &mut self.ranges);
        for row in 0..self.rows {
            for column in 0..self.columns {
                let mut range = [f32::INFINITY, f32::NEG_INFINITY];
                for y in row.saturating_sub(1)..(row + 2).min(self.rows) {
                    for x in column.saturating_sub(1)..(column + 2).min(self.columns) {
                        let [least, most] = self.ranges[y * self.columns + x];
                        range = [range[0].min(least), range[1].max(most)];
                    }
                }
                self.mixed[row * self.columns + column] = range[1] - range[0] > FLAT;
            }
        }
    }

    /// Whether the matte changes near `at`.
    #[inline(always)]
    pub fn is_mixed(&self, [x, y]: Vector) -> bool {
        let index = |v: f32, n: usize| ((v.max(0.0) as usize) / CELL).min(n - 1);
        self.mixed[index(y, self.rows) * self.columns + index(x, self.columns)]
    }
}

#[multiversion(targets = "simd")]
fn cell_ranges(mask: &Picture, columns: usize, ranges: &mut [[f32; 2]]) {
    for (row, ranges) in ranges.chunks_exact_mut(columns).enumerate() {
        for (column, range) in ranges.iter_mut().enumerate() {
            let (mut least, mut most) = ([f32::INFINITY; CELL], [f32::NEG_INFINITY; CELL]);
            for r in 0..CELL {
                // What is beyond the edge repeats it, and the border is wider than a cell.
                let start = (row * CELL + r + BORDER) * mask.stride + column * CELL + BORDER;
                let values = &mask.data[start..][..CELL];
                for c in 0..CELL {
                    least[c] = if values[c] < least[c] { values[c] } else { least[c] };
                    most[c] = if values[c] > most[c] { values[c] } else { most[c] };
                }
            }
            *range = [
                least.iter().fold(f32::INFINITY, |a, &b| a.min(b)),
                most.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b)),
            ];
        }
    }
}
