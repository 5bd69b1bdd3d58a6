// SPDX-License-Identifier: MIT

//! The frame at several sizes, from which the estimate goes from coarse to fine.
//!
//! Where a matte is 0 or 1, its cells and what follows of them stay as they are from frame to frame,
//! and are not looked at.

use std::ops::Range;

use multiversion::multiversion;

use super::cells::{BLOCK, Work, inner, load, means, pad, padded};
use super::fixed::Unmixed;
use crate::matting::kernels::samples::halve;
use crate::matting::matte::enlarge::MatteRow;
use crate::matting::matte::spans::{Cover, SPAN};

/// Rows of a level's colours for each row of cells: three components of the person, and three of
/// what is behind.
pub const SIDES: usize = 6;

/// The frame at one size, row by row. Rows are [padded](padded).
pub struct Level<S> {
    /// Cells in a row, whole blocks of them.
    pub width: usize,
    pub height: usize,
    matte: Vec<S>,
    /// For each row of cells a row of each of the three components, in as many bits as a sample has.
    codes: Vec<S>,
    /// Every row's colours; of the finest level none, see [`Sides`].
    pub sides: Sides,
    /// What the matte is in each block.
    covers: Vec<Cover>,
    /// Which of a block's cells are soft, a bit for each.
    soft: Vec<u8>,
    /// Of each block.
    pub work: Vec<Work>,
}

/// The colours of both sides in rows of cells, as many of them as are kept.
#[derive(Default)]
pub struct Sides {
    /// For each row of cells [`SIDES`] padded rows.
    pub(super) values: Vec<f32>,
    stride: usize,
    kept: usize,
    /// The row of cells that is begun next.
    pub next: usize,
    /// The row that was begun without those above.
    pub first: usize,
}

impl Sides {
    /// For rows of `width` cells, of which the last `kept` that were estimated are at hand.
    pub fn new(width: usize, kept: usize) -> Self {
        let stride = padded(width);
        Self { values: vec![0.0; SIDES * stride * kept], stride, kept, next: 0, first: 0 }
    }

    /// Begins anew, at row `y`.
    pub fn restart(&mut self, y: usize) {
        (self.next, self.first) = (y, y);
    }

    /// The rows of all components of both sides.
    pub fn row(&self, y: usize) -> &[f32] {
        &self.values[self.range(y)]
    }

    /// The rows of all components of both sides.
    pub fn row_mut(&mut self, y: usize) -> &mut [f32] {
        let range = self.range(y);
        &mut self.values[range]
    }

    fn range(&self, y: usize) -> Range<usize> {
        let length = SIDES * self.stride;
        let start = y % self.kept * length;
        start..start + length
    }
}

impl<S: Unmixed> Level<S> {
    /// With `blocks` of cells in each of `height` rows, and the colours of `kept` of them.
    pub fn new(blocks: usize, height: usize, kept: usize) -> Self {
        let width = blocks * BLOCK;
        let stride = padded(width);
        Self {
            width,
            height,
            matte: vec![S::NONE; stride * height],
            codes: vec![S::NONE; 3 * stride * height],
            sides: Sides::new(width, kept),
            covers: vec![Cover::Clear; blocks * height],
            soft: vec![0; blocks * height],
            work: vec![Work::None; blocks * height],
        }
    }

    pub fn blocks(&self) -> usize {
        self.width / BLOCK
    }

    pub fn work_row(&self, y: usize) -> &[Work] {
        &self.work[y * self.blocks()..][..self.blocks()]
    }

    /// The share of blocks where colours are estimated.
    pub fn share_estimated(&self) -> f32 {
        let estimated = self.work.iter().map(|&work| u32::from(work == Work::Estimate));
        estimated.sum::<u32>() as f32 / self.work.len() as f32
    }

    pub fn matte_row(&self, y: usize) -> &[S] {
        let stride = padded(self.width);
        &self.matte[y * stride..][..stride]
    }

    /// The rows of all components.
    pub fn codes_row(&self, y: usize) -> &[S] {
        let stride = padded(self.width);
        &self.codes[3 * y * stride..][..3 * stride]
    }

    /// The rows of all components.
    pub fn codes_row_mut(&mut self, y: usize) -> &mut [S] {
        let stride = padded(self.width);
        &mut self.codes[3 * y * stride..][..3 * stride]
    }

    /// Takes in a row of the matte, `factor` pixels a cell, for row `y`.
    pub fn take_matte_row(&mut self, y: usize, matte: MatteRow<'_, S>, factor: usize) {
        let (blocks, stride) = (self.blocks(), padded(self.width));
        let covers = &mut self.covers[y * blocks..][..blocks];
        let row = &mut self.matte[y * stride..][..stride];
        let span = BLOCK * factor;
        let row_of = |block: usize| {
            let pixels = block * span..matte.codes.len().min((block + 1) * span);
            let covers = &matte.covers[pixels.start / SPAN..pixels.end.div_ceil(SPAN)];
            covers.iter().copied().reduce(Cover::with).unwrap_or(Cover::Soft)
        };
        let mut block = 0;
        while block < blocks {
            let part = row_of(block);
            let cells = block * BLOCK..(block + 1) * BLOCK;
            if part != Cover::Soft {
                replace_part(&mut covers[block], part, &mut inner(row)[cells]);
                block += 1;
                continue;
            }
            let start = block;
            while block < blocks && row_of(block) == Cover::Soft {
                covers[block] = Cover::Soft;
                block += 1;
            }
            let codes = &matte.codes[start * span..matte.codes.len().min(block * span)];
            let cells = &mut inner(row)[start * BLOCK..block * BLOCK];
            means(codes, factor, 0, cells);
        }
        pad(row);
    }

    /// The matte, from that of the finer level.
    pub fn take_matte(&mut self, finer: &Self) {
        let (blocks, stride) = (self.blocks(), padded(self.width));
        let rows = self.matte.chunks_exact_mut(stride).zip(self.covers.chunks_exact_mut(blocks));
        for (y, (row, covers)) in rows.enumerate() {
            let pair = finer.pair(y);
            let covers_of = pair.map(|y| &finer.covers[y * finer.blocks()..][..finer.blocks()]);
            let [upper, lower] = pair.map(|y| finer.matte_row(y));
            for (block, old) in covers.iter_mut().enumerate() {
                let finer_blocks = 2 * block..finer.blocks().min(2 * block + 2);
                let finer_parts = covers_of.iter().flat_map(|covers| &covers[finer_blocks.clone()]);
                let part = finer_parts.copied().reduce(Cover::with).unwrap_or(Cover::Soft);
                let cells = &mut inner(row)[block * BLOCK..(block + 1) * BLOCK];
                if part == Cover::Soft {
                    let pairs = (2 * block + 1) * BLOCK..(2 * block + 3) * BLOCK;
                    halve(&upper[pairs.clone()], &lower[pairs], true, cells);
                }
                replace_part(old, part, cells);
            }
            pad(row);
        }
    }

    /// Row `y` of the colours, from those of the finer level.
    pub fn take_codes(&mut self, y: usize, finer: &Self) {
        let stride = padded(finer.width);
        let [upper, lower] = finer.pair(y).map(|y| finer.codes_row(y).chunks_exact(stride));
        let own = padded(self.width);
        for ((upper, lower), out) in
            upper.zip(lower).zip(self.codes_row_mut(y).chunks_exact_mut(own))
        {
            let out_cells = inner(out);
            // The last block may be half beyond the border.
            let cells = BLOCK..BLOCK + 2 * out_cells.len();
            halve(&upper[cells.clone()], &lower[cells], true, out_cells);
            pad(out);
        }
    }

    /// The rows that become row `y` of the next level.
    fn pair(&self, y: usize) -> [usize; 2] {
        [2 * y, (2 * y + 1).min(self.height - 1)]
    }

    /// Marks cells that are soft, that lie at a step between rows, or that were soft when they
    /// were finer.
    pub fn find_soft(&mut self, finer: Option<&Self>) {
        let blocks = self.blocks();
        for y in 0..self.height {
            let (before, here) = self.soft.split_at_mut(y * blocks);
            let (above, here) = (&mut before[y.saturating_sub(1) * blocks..], &mut here[..blocks]);
            let rows = [y, y.saturating_sub(1)];
            let covers = rows.map(|y| &self.covers[y * blocks..][..blocks]);
            let stride = padded(self.width);
            let mattes = rows.map(|y| &self.matte[y * stride..][..stride]);
            find_soft_in_row(covers, mattes, here, above);
            let Some(finer) = finer else { continue };
            for row in finer.pair(y).map(|y| finer.soft[y * finer.blocks()..].chunks(2)) {
                for (soft, pair) in here.iter_mut().zip(row) {
                    let right = pair.get(1).copied().unwrap_or_default();
                    *soft |= halve_bits(pair[0]) | halve_bits(right) << (BLOCK / 2);
                }
            }
        }
    }

    /// Estimates where a cell or a neighbour is soft, which makes sure that the cells of the next
    /// level that those lie in are estimated as well.
    pub fn plan(&mut self) {
        let (blocks, last) = (self.blocks(), self.height - 1);
        let rows = |y: usize| [y.saturating_sub(1), y, (y + 1).min(last)];
        for (y, work) in self.work.chunks_exact_mut(blocks).enumerate() {
            let [above, here, below] = rows(y).map(|y| &self.soft[y * blocks..][..blocks]);
            plan_row(above, here, below, work);
        }
        for y in 0..=last {
            for block in 0..blocks {
                if self.work[y * blocks + block] != Work::Estimate {
                    continue;
                }
                for y in y.saturating_sub(1)..=(y + 1).min(last) {
                    let near = block.saturating_sub(1)..(block + 2).min(blocks);
                    for work in &mut self.work[y * blocks..][near] {
                        *work = (*work).max(Work::Border);
                    }
                }
            }
        }
    }
}

/// Makes a block what it is now. What is flat and was so stays as it is.
fn replace_part<S: Unmixed>(old: &mut Cover, part: Cover, cells: &mut [S]) {
    if std::mem::replace(old, part) == part {
        return;
    }
    match part {
        Cover::Clear => cells.fill(S::NONE),
        Cover::Opaque => cells.fill(S::ALL),
        Cover::Soft => {}
    }
}

/// Estimates where a cell or a neighbour, in three rows of blocks, is soft.
#[multiversion(targets = "simd")]
fn plan_row(above: &[u8], here: &[u8], below: &[u8], work: &mut [Work]) {
    let last = work.len() - 1;
    let soft = |block: usize| above[block] | here[block] | below[block];
    for (block, work) in work.iter_mut().enumerate() {
        let left = soft(block.saturating_sub(1)) >> (BLOCK - 1);
        let right = soft((block + 1).min(last)) & 1;
        let any = soft(block) | left | right != 0;
        *work = if any { Work::Estimate } else { Work::None };
    }
}

/// Marks in `soft` the cells of a row that are soft, and there and in `soft_above`, which may be
/// empty, those that differ from the row above, which comes second.
#[multiversion(targets = "simd")]
fn find_soft_in_row<S: Unmixed>(
    covers: [&[Cover]; 2],
    mattes: [&[S]; 2],
    soft: &mut [u8],
    soft_above: &mut [u8],
) {
    for (block, out) in soft.iter_mut().enumerate() {
        let (part, part_above) = (covers[0][block], covers[1][block]);
        if part == part_above && part != Cover::Soft {
            *out = 0;
            continue;
        }
        let at = (block + 1) * BLOCK;
        let (matte, above) = (load(mattes[0], at), load(mattes[1], at));
        let (mut is_soft, mut differs) = ([0; BLOCK], [0; BLOCK]);
        for i in 0..BLOCK {
            is_soft[i] = u8::from(matte[i].is_soft());
            differs[i] = u8::from(matte[i] != above[i]);
        }
        let steps = pack_bits(differs);
        *out = pack_bits(is_soft) | steps;
        if let Some(above) = soft_above.get_mut(block) {
            *above |= steps;
        }
    }
}

/// A bit for each of eight bytes, which are 0 or 1.
#[inline(always)]
fn pack_bits(bytes: [u8; BLOCK]) -> u8 {
    // Brings each of them to a place of its own in the last byte.
    (u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

/// Whether any of a pair of bits is set, for each of four pairs.
fn halve_bits(bits: u8) -> u8 {
    let pairs = bits | bits >> 1;
    pairs & 1 | pairs >> 1 & 2 | pairs >> 2 & 4 | pairs >> 3 & 8
}
