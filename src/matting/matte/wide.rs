// SPDX-License-Identifier: MIT

//! The rows of a mask, enlarged along their length.

use std::ops::Range;

use multiversion::multiversion;

use crate::matting::kernels::columns::{
    BLOCK, Column, resample_windows, same_all_along, to_columns, to_part_of_rows,
};
use crate::matting::kernels::resample::PackedOperator;
use crate::matting::matte::enlarge::{MaskMatte, TAPS};
use crate::matting::matte::spans::{Cover, SPAN};

/// The rows of a mask, enlarged horizontally, a block of rows at a time as they are needed.
pub struct Wide {
    /// Of the mask, top down.
    blocks: Vec<Block>,
    /// What tells the mask from others: its number, and what is faint in it.
    of: (u64, f32),
    /// For each column of a block of the mask, which of its rows are not clear, and which are not opaque.
    not: Vec<Not>,
    /// A block of the mask, with zeros behind rows too short for cubic windows.
    columns: Vec<Column>,
    enlarged: Vec<Column>,
    /// The columns of the mask that each cover looks at.
    inputs: Vec<Range<usize>>,
    /// Of an enlarged row.
    width: usize,
}

/// A block of enlarged rows.
#[derive(Default)]
struct Block {
    /// None before they are wanted: of several readers of a frame, each reads its own part.
    rows: Vec<f32>,
    /// For each cover, which of the rows are not clear there, and which are not opaque.
    covers: Vec<Not>,
    /// What each cover holds where all columns of the mask that it looks at are the same.
    same: Vec<Option<Column>>,
    /// They are those of the mask at hand.
    is_filled: bool,
}

impl Block {
    fn set_width(&mut self, width: usize) {
        let covers = width.div_ceil(SPAN);
        self.covers.resize(covers, Not::default());
        self.same.clear();
        self.same.resize(covers, None);
        self.is_filled = false;
    }
}

impl Wide {
    /// For frames `width` pixels wide, to which `columns` enlarges.
    pub fn new(width: usize, columns: &PackedOperator) -> Self {
        let mut wide = Self {
            blocks: Vec::new(),
            of: (0, 0.0),
            not: Vec::new(),
            columns: Vec::new(),
            enlarged: vec![[0.0; BLOCK]; SPAN],
            inputs: Vec::with_capacity(width.div_ceil(SPAN)),
            width: 0,
        };
        wide.fit(width, columns);
        wide
    }

    /// From now on enlarges by other columns.
    pub fn fit(&mut self, width: usize, columns: &PackedOperator) {
        let of_cover = |start: usize| start..(start + SPAN).min(columns.outputs());
        let starts = (0..columns.outputs()).step_by(SPAN);
        self.inputs.clear();
        self.inputs.extend(starts.map(|start| columns.windows(of_cover(start)).range()));
        self.not.clear();
        self.not.resize(columns.padded_inputs(), Not::BEHIND);
        self.columns.clear();
        self.columns.resize(columns.padded_inputs(), [0.0; BLOCK]);
        self.width = width;
        self.blocks.iter_mut().for_each(|block| block.set_width(width));
    }

    /// Makes ready for the rows of a mask; what was enlarged of it already stays.
    pub fn begin(&mut self, mask: &MaskMatte<'_>) {
        let of = (mask.number, mask.faint);
        if std::mem::replace(&mut self.of, of) != of {
            self.blocks.iter_mut().for_each(|block| block.is_filled = false);
        }
        let count = (mask.mask.len() / mask.width).div_ceil(BLOCK);
        while self.blocks.len() < count {
            let mut block = Block::default();
            block.set_width(self.width);
            self.blocks.push(block);
        }
    }

    /// Makes sure that row `source` of a mask is there.
    pub fn fill(&mut self, source: usize, of: &MaskMatte<'_>) {
        let index = source / BLOCK;
        let Block { rows, covers, same, is_filled } = &mut self.blocks[index];
        if std::mem::replace(is_filled, true) {
            return;
        }
        rows.resize(BLOCK * self.width, 0.0);
        let last = of.mask.len() / of.width - 1;
        let row = |r: usize| &of.mask[(index * BLOCK + r).min(last) * of.width..][..of.width];
        let mask: [&[f32]; BLOCK] = std::array::from_fn(row);
        find_not(mask, of.faint, &mut self.not[..of.width]);
        let starts = (0..self.width).step_by(SPAN);
        let kept = covers.iter_mut().zip(same);
        for ((start, (not, same)), inputs) in starts.zip(kept).zip(&self.inputs) {
            let cover = start..(start + SPAN).min(self.width);
            *not = self.not[inputs.clone()].iter().fold(Not::default(), |a, b| a.or(*b));
            // Behind a mask too narrow for a window there is nothing.
            let inside = inputs.start..inputs.end.min(of.width);
            let part = mask.map(|row| &row[inside.clone()]);
            // Most of a mask is 0 or 1, and needs no enlarging.
            let is_soft = not.clear & not.opaque != 0 || inside != *inputs;
            let now = if is_soft { None } else { same_all_along(part) };
            match now {
                None => {
                    to_columns(part, &mut self.columns[inside]);
                    let enlarged = &mut self.enlarged[..cover.len()];
                    let windows = of.columns.windows(cover.clone());
                    resample_windows(&self.columns, windows, enlarged);
                    to_part_of_rows(enlarged, rows, self.width, start);
                }
                // It is there already, from the mask before.
                Some(_) if now == *same => {}
                Some(column) => {
                    for (row, value) in rows.chunks_exact_mut(self.width).zip(column) {
                        row[cover.clone()].fill(value);
                    }
                }
            }
            *same = now;
        }
    }

    /// Row `source` of the mask, enlarged, which was [filled](Self::fill).
    pub fn row(&self, source: usize) -> &[f32] {
        let width = self.width;
        &self.blocks[source / BLOCK].rows[source % BLOCK * width..][..width]
    }

    /// What covers are in any of some rows, which lie in two blocks at most.
    pub fn find_not(&self, sources: [usize; TAPS], found: &mut [Not]) {
        let [first, .., last] = sources.map(|source| source / BLOCK);
        let rows_of = |block: usize| {
            let inside = sources.iter().filter(|&&source| source / BLOCK == block);
            inside.fold(0, |rows, source| rows | 1 << (source % BLOCK))
        };
        let rows = [rows_of(first), if last == first { 0 } else { rows_of(last) }];
        let covers = [first, last].map(|block| &self.blocks[block].covers);
        for ((found, first), second) in found.iter_mut().zip(covers[0]).zip(covers[1]) {
            *found = first.of_rows(rows[0]).or(second.of_rows(rows[1]));
        }
    }
}

/// Which of a block's rows are not clear, and which are not opaque, a bit for each.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Not {
    clear: u8,
    opaque: u8,
}

impl Not {
    /// What lies behind the mask is clear, as zeros are.
    const BEHIND: Self = Self { clear: 0, opaque: u8::MAX };

    fn or(self, other: Self) -> Self {
        Self { clear: self.clear | other.clear, opaque: self.opaque | other.opaque }
    }

    /// Whether any of `rows` is not, as 1 for all of them.
    fn of_rows(self, rows: u8) -> Self {
        let any = |bits: u8| u8::from(bits & rows != 0);
        Self { clear: any(self.clear), opaque: any(self.opaque) }
    }

    /// What is left.
    pub fn cover(self) -> Cover {
        match self {
            Self { clear: 0, .. } => Cover::Clear,
            Self { opaque: 0, .. } => Cover::Opaque,
            _ => Cover::Soft,
        }
    }
}

/// Finds which of the rows are what in each column, values up to `faint` from 0 and 1 being taken
/// for those.
#[multiversion(targets = "simd")]
fn find_not(rows: [&[f32]; BLOCK], faint: f32, out: &mut [Not]) {
    out.fill(Not::default());
    for (r, row) in rows.into_iter().enumerate() {
        for (out, &value) in out.iter_mut().zip(row) {
            out.clear |= u8::from(value > faint) << r;
            out.opaque |= u8::from(value < 1.0 - faint) << r;
        }
    }
}
