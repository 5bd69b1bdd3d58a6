//! The frame at several sizes, from which the estimate goes from coarse to fine.

use std::ops::Range;

use multiversion::multiversion;

use super::cells::{BLOCK, Work, halve};

/// A matte this far from 0 and 1 is soft: half of what 8 bits can say.
const SOFT: f32 = 0.5 / 255.0;
/// Rows of a level's colours for each row of cells: three components of the person, and three of
/// what is behind.
pub const SIDES: usize = 6;

/// The frame at one size, row by row.
pub struct Level {
    /// Cells in a row, whole blocks of them.
    pub width: usize,
    pub height: usize,
    pub matte: Vec<f32>,
    /// For each row of cells a row of each of the three components.
    pub codes: Vec<f32>,
    /// Every row's colours; of the finest level none, see [`Sides`].
    pub sides: Sides,
    /// Which of a block's cells are soft, a bit for each.
    soft: Vec<u8>,
    /// Of each block.
    pub work: Vec<Work>,
}

/// The colours of both sides in rows of cells, as many of them as are kept.
#[derive(Default)]
pub struct Sides {
    /// For each row of cells [`SIDES`] rows.
    pub values: Vec<f32>,
    width: usize,
    kept: usize,
    /// The row of cells that is begun next.
    pub next: usize,
    /// The row that was begun without those above.
    pub first: usize,
}

impl Sides {
    /// For rows of `width` cells, of which the last `kept` that were estimated are at hand.
    pub fn new(width: usize, kept: usize) -> Self {
        Self { values: vec![0.0; SIDES * width * kept], width, kept, next: 0, first: 0 }
    }

    /// Begins anew, at row `y`.
    pub fn restart(&mut self, y: usize) {
        (self.next, self.first) = (y, y);
    }

    /// The rows of all components of both sides.
    pub fn row(&self, y: usize) -> &[f32] {
        &self.values[self.range(y)]
    }

    /// Where the rows of all components of both sides are.
    pub fn range(&self, y: usize) -> Range<usize> {
        let start = y % self.kept * SIDES * self.width;
        start..start + SIDES * self.width
    }
}

impl Level {
    /// With `blocks` of cells in each of `height` rows, and the colours of `kept` of them.
    pub fn new(blocks: usize, height: usize, kept: usize) -> Self {
        let width = blocks * BLOCK;
        Self {
            width,
            height,
            matte: vec![0.0; width * height],
            codes: vec![0.0; 3 * width * height],
            sides: Sides::new(width, kept),
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

    pub fn matte_row(&self, y: usize) -> &[f32] {
        &self.matte[y * self.width..][..self.width]
    }

    /// The rows of all components.
    pub fn codes_row(&self, y: usize) -> &[f32] {
        &self.codes[3 * y * self.width..][..3 * self.width]
    }

    /// The matte, from that of the finer level.
    pub fn take_matte(&mut self, finer: &Self) {
        for (y, out) in self.matte.chunks_exact_mut(self.width).enumerate() {
            let [upper, lower] = finer.pair(y).map(|y| finer.matte_row(y));
            halve(upper, lower, out);
        }
    }

    /// The colours, from those of the finer level.
    pub fn take_codes(&mut self, finer: &Self) {
        for (y, out) in self.codes.chunks_exact_mut(3 * self.width).enumerate() {
            let [upper, lower] = finer.pair(y).map(|y| finer.codes_row(y).chunks(finer.width));
            for ((upper, lower), out) in upper.zip(lower).zip(out.chunks_exact_mut(self.width)) {
                halve(upper, lower, out);
            }
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
            let row = |y: usize| &self.matte[y * self.width..][..self.width];
            find_soft_in_row(row(y), row(y.saturating_sub(1)), here, above);
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

/// Marks in `soft` the cells that are soft, and there and in `soft_above`, which may be empty,
/// those that differ between both rows.
#[multiversion(targets = "simd")]
fn find_soft_in_row(matte: &[f32], above: &[f32], soft: &mut [u8], soft_above: &mut [u8]) {
    let rows = matte.as_chunks::<BLOCK>().0.iter().zip(above.as_chunks::<BLOCK>().0);
    for (block, ((matte, above), out)) in rows.zip(soft).enumerate() {
        let (matte, above): (&[f32; BLOCK], &[f32; BLOCK]) = (matte, above);
        let (mut is_soft, mut differs) = ([0; BLOCK], [0; BLOCK]);
        for i in 0..BLOCK {
            is_soft[i] = u8::from((matte[i] > SOFT) & (matte[i] < 1.0 - SOFT));
            differs[i] = u8::from((matte[i] - above[i]).abs() > SOFT);
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
