//! The frame at several sizes, from which the estimate goes from coarse to fine.

use super::cells::{Codes, LANES, Lanes, Sides, Work};

/// A matte this far from 0 and 1 is soft: half of what 8 bits can say.
const SOFT: f32 = 0.5 / 255.0;

/// The frame at one size, in chunks of cells, row by row.
pub struct Level {
    pub chunks: usize,
    pub height: usize,
    pub matte: Vec<Lanes>,
    pub codes: Vec<Codes>,
    pub sides: Vec<Sides>,
    pub blurred: Vec<Sides>,
    /// Which of a chunk's cells are soft, a bit for each.
    pub soft: Vec<u8>,
    pub work: Vec<Work>,
    /// Weighted sums over three rows of a chunk, and the weights'.
    pub sums: Vec<(Sides, [Lanes; 2])>,
}

impl Level {
    pub fn new(chunks: usize, height: usize) -> Self {
        let count = chunks * height;
        Self {
            chunks,
            height,
            matte: vec![Lanes::default(); count],
            codes: vec![Codes::default(); count],
            sides: vec![Sides::default(); count],
            blurred: vec![Sides::default(); count],
            soft: vec![0; count],
            work: vec![Work::None; count],
            sums: vec![(Sides::default(), Default::default()); chunks],
        }
    }

    pub fn take_matte(&mut self, finer: &Self) {
        for (y, row) in self.matte.chunks_exact_mut(self.chunks).enumerate() {
            for (chunk, out) in row.iter_mut().enumerate() {
                *out = finer.halved(y, chunk, |at| finer.matte[at]);
            }
        }
    }

    pub fn take_codes(&mut self, finer: &Self) {
        for (y, row) in self.codes.chunks_exact_mut(self.chunks).enumerate() {
            for (chunk, out) in row.iter_mut().enumerate() {
                for (component, out) in out.iter_mut().enumerate() {
                    *out = finer.halved(y, chunk, |at| finer.codes[at][component]);
                }
            }
        }
    }

    /// The rows that become row `y` of the next level.
    fn pair(&self, y: usize) -> [usize; 2] {
        [2 * y, (2 * y + 1).min(self.height - 1)]
    }

    /// The chunks of row `y` that become chunk `chunk` of the next level; beyond the last one
    /// there may be none.
    fn pair_of_chunks(&self, y: usize, chunk: usize) -> (usize, Option<usize>) {
        let (left, right) = (2 * chunk, 2 * chunk + 1);
        let at = y * self.chunks;
        (at + left, (right < self.chunks).then_some(at + right))
    }

    /// Cells of the next level, from those of this one.
    fn halved(&self, y: usize, chunk: usize, cells: impl Fn(usize) -> Lanes) -> Lanes {
        let [upper, lower] = self.pair(y);
        let sum = |upper, lower| add(&cells(upper), &cells(lower));
        let (upper, lower) = (self.pair_of_chunks(upper, chunk), self.pair_of_chunks(lower, chunk));
        let left = sum(upper.0, lower.0);
        let right = match (upper.1, lower.1) {
            (Some(upper), Some(lower)) => sum(upper, lower),
            // Beyond the frame there is what is at its border.
            _ => [left[LANES - 1]; LANES],
        };
        halve_lanes(&left, &right)
    }

    /// Marks cells that are soft, that lie at a step between rows, or that were soft when they
    /// were finer.
    pub fn find_soft(&mut self, finer: Option<&Self>) {
        for y in 0..self.height {
            for chunk in 0..self.chunks {
                let at = y * self.chunks + chunk;
                let above = at - if y > 0 { self.chunks } else { 0 };
                let (soft, step) = soft_cells(&self.matte[at], &self.matte[above]);
                self.soft[at] = soft | step;
                self.soft[above] |= step;
                if let Some(finer) = finer {
                    for row in finer.pair(y) {
                        let (left, right) = finer.pair_of_chunks(row, chunk);
                        let right = right.map_or(0, |right| finer.soft[right]);
                        let left = finer.soft[left];
                        self.soft[at] |= halve_bits(left) | halve_bits(right) << (LANES / 2);
                    }
                }
            }
        }
    }

    /// Estimates where a cell or a neighbour is soft, which makes sure that the cells of the next
    /// level that those lie in are estimated as well.
    pub fn plan(&mut self) {
        let Self { chunks, height, soft, work, .. } = self;
        let (chunks, height) = (*chunks, *height);
        work.fill(Work::None);
        for y in 0..height {
            for chunk in 0..chunks {
                let row = &soft[y * chunks..][..chunks];
                let left = row[chunk.saturating_sub(1)] >> (LANES - 1);
                let right = row[(chunk + 1).min(chunks - 1)] & 1;
                if row[chunk] | left | right == 0 {
                    continue;
                }
                for y in y.saturating_sub(1)..(y + 2).min(height) {
                    work[y * chunks + chunk] = Work::Estimate;
                }
            }
        }
        for y in 0..height {
            for chunk in 0..chunks {
                if work[y * chunks + chunk] != Work::Estimate {
                    continue;
                }
                for y in y.saturating_sub(1)..(y + 2).min(height) {
                    let near = chunk.saturating_sub(1)..(chunk + 2).min(chunks);
                    for work in &mut work[y * chunks..][near] {
                        *work = (*work).max(Work::Border);
                    }
                }
            }
        }
    }
}

fn add(a: &Lanes, b: &Lanes) -> Lanes {
    std::array::from_fn(|i| a[i] + b[i])
}

/// A quarter of the sums over pairs of cells.
fn halve_lanes(left: &Lanes, right: &Lanes) -> Lanes {
    let mut halved = [0.0; LANES];
    for i in 0..LANES / 2 {
        halved[i] = (left[2 * i] + left[2 * i + 1]) * 0.25;
        halved[LANES / 2 + i] = (right[2 * i] + right[2 * i + 1]) * 0.25;
    }
    halved
}

/// Whether any of a pair of bits is set, for each of four pairs.
fn halve_bits(bits: u8) -> u8 {
    let pairs = bits | bits >> 1;
    pairs & 1 | pairs >> 1 & 2 | pairs >> 2 & 4 | pairs >> 3 & 8
}

/// A bit for each cell that is soft, and for each that differs from the one above.
fn soft_cells(matte: &Lanes, above: &Lanes) -> (u8, u8) {
    let (mut soft, mut step) = (0, 0);
    for i in 0..LANES {
        soft |= u8::from(matte[i] > SOFT && matte[i] < 1.0 - SOFT) << i;
        step |= u8::from((matte[i] - above[i]).abs() > SOFT) << i;
    }
    (soft, step)
}
