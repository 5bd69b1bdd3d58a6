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
        let index =
            |v: f32, n: usize| (((v - HALF) / STEP as f32 + 0.5).max(0.0) as usize).min(n - 1);
        index(y, self.rows) * self.columns + index(x, self.columns)
    }
}
