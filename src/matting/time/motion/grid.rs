// SPDX-License-Identifier: MIT

//! Where the patches of a picture are.

use super::Vector;
use super::patch::{HALF, PATCH};
use super::picture::Picture;

/// Samples from one patch to the next.
pub const STEP: usize = 4;

/// Where the patches of a level are.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    pub columns: usize,
    pub rows: usize,
    /// Of the last patch of a row and a column.
    last: [usize; 2],
}

impl Grid {
    pub fn new(picture: &Picture) -> Self {
        let last = [picture.width, picture.height].map(|n| n.saturating_sub(PATCH));
        let [columns, rows] = last.map(|last| last.div_ceil(STEP) + 1);
        Self { columns, rows, last }
    }

    pub fn len(&self) -> usize {
        self.columns * self.rows
    }

    #[inline(always)]
    pub fn origin(&self, column: usize, row: usize) -> [usize; 2] {
        [(column * STEP).min(self.last[0]), (row * STEP).min(self.last[1])]
    }

    /// The patch whose centre is nearest to `at`.
    #[inline(always)]
    pub fn nearest(&self, [x, y]: Vector) -> usize {
        nearest(y, self.rows) * self.columns + nearest(x, self.columns)
    }

    /// The patches of `other`, of whose samples each is `scale` long, that are nearest to the centres
    /// of these, or `away` from them in both directions.
    pub fn nearest_of(&self, other: Self, scale: f32, away: f32) -> Nearest {
        let centre = |origin: usize| (origin as f32 + HALF) / scale + away;
        let column = |c| nearest(centre(self.origin(c, 0)[0]), other.columns);
        let row = |r| nearest(centre(self.origin(0, r)[1]), other.rows) * other.columns;
        Nearest {
            columns: (0..self.columns).map(column).collect(),
            rows: (0..self.rows).map(row).collect(),
        }
    }
}

/// The one of `n` patches in a row or a column whose centre is nearest to `at`.
#[inline(always)]
pub fn nearest(at: f32, n: usize) -> usize {
    (((at - HALF) / STEP as f32 + 0.5).max(0.0) as usize).min(n - 1)
}

/// For patches of one grid, which of another's belong to them.
#[derive(Clone, Debug)]
pub struct Nearest {
    /// What each column, and what each row, adds to the index.
    columns: Vec<usize>,
    rows: Vec<usize>,
}

impl Nearest {
    /// For the patch in `column` and `row`.
    #[inline(always)]
    pub fn index(&self, column: usize, row: usize) -> usize {
        self.columns[column] + self.rows[row]
    }
}

/// For patches of one level, those of the coarser one about them.
#[derive(Clone, Debug)]
pub struct Around([Nearest; 3]);

impl Around {
    /// In columns and rows, as [`of`](Self::of) wants it: the nearest first.
    pub const ALL: [[usize; 2]; 5] = [[1, 1], [0, 0], [2, 0], [0, 2], [2, 2]];

    /// For patches of `grid`.
    pub fn new(grid: Grid, coarser: Grid) -> Self {
        const AWAY: f32 = STEP as f32 / 2.0;
        Self([-AWAY, 0.0, AWAY].map(|away| grid.nearest_of(coarser, 2.0, away)))
    }

    /// The one before, at or after the patch in `column` and `row`, in both directions.
    #[inline(always)]
    pub fn of(&self, [across, down]: [usize; 2], column: usize, row: usize) -> usize {
        self.0[across].columns[column] + self.0[down].rows[row]
    }
}
