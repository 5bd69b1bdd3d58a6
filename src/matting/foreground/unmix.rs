//! The last step: the person's part of each sample of the frame where the matte is soft.
//!
//! It is taken in fixed point, on a plane's bytes as they lie: the colours of both sides are
//! enlarged to rows of the plane's own layout, one for each row of cells, which the rows of samples
//! between them share.

// Rows are read together at the same index.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use multiversion::multiversion;

use super::cells::{BLOCK, Work, runs};
use super::estimate::gain;
use super::levels::{Level, Sides};
use crate::matting::blend::spread;
use crate::matting::pixel_format::{Component, PixelFormat};

/// Codes have so many fractional bits.
const FRACTION: u32 = 6;
/// The whole, as a factor.
const ALL: i16 = i16::MAX;

/// Takes the rows of one plane apart.
pub struct Unmixer {
    format: PixelFormat,
    plane: usize,
    /// Along a cell: samples of the component that has the most of them, and bytes.
    samples: usize,
    bytes: usize,
    /// Samples along a cell and bytes from one to the next, where all components have the same.
    uniform: Option<[usize; 2]>,
    /// Components of the plane: which of the three, and where in the plane.
    components: Vec<(usize, Component)>,
    /// For each weight the [share](share_of_rest) of the bytes of a sample or pixel.
    shares_of: Box<[Factors; 256]>,
    rows: [Enlarged; 2],
    /// Cells of a row, in fixed point, and the samples of one component.
    cells: Vec<i16>,
    of_component: Vec<i16>,
    /// The matte, spread over the bytes.
    weights: Vec<u8>,
    /// And as factors.
    alphas: Vec<i16>,
    shares: Vec<i16>,
}

/// A row of cells, with as many values as the plane has bytes.
struct Enlarged {
    /// Which row.
    of: Option<usize>,
    person: Vec<i16>,
    behind: Vec<i16>,
}

/// The rows of cells between which a row of samples lies.
#[derive(Clone, Copy)]
pub struct Between {
    pub upper: usize,
    pub lower: usize,
    /// The lower row's.
    pub share: f32,
}

impl Unmixer {
    /// For plane `plane` of `format`, and rows of `width` cells of `factor` pixels.
    pub fn new(format: PixelFormat, plane: usize, factor: usize, width: usize) -> Self {
        let components = format.color_components().iter().copied().enumerate();
        let components: Vec<_> = components.filter(|(_, c)| c.plane == plane).collect();
        let samples = |c: &Component| factor >> c.h_shift;
        let most = components.iter().map(|(_, c)| samples(c)).max().unwrap_or(1);
        let step = components.first().map_or(1, |(_, c)| c.step);
        let is_uniform = components.iter().all(|(_, c)| c.step == step && samples(c) == most);
        let bytes = components.iter().map(|(_, c)| samples(c) * c.step).max().unwrap_or(1);
        let row = || vec![0; width * bytes];
        let enlarged = || Enlarged { of: None, person: row(), behind: row() };
        Self {
            format,
            plane,
            samples: most,
            bytes,
            uniform: is_uniform.then_some([most, step]),
            shares_of: Box::new(std::array::from_fn(|weight| {
                let mut shares = [share_of_rest(weight as u8); 4];
                // Bytes that hold no colour stay as they are.
                let holds_color = |byte| components.iter().any(|(_, c)| c.offset == byte);
                let others = (0..step).filter(|&byte| is_uniform && !holds_color(byte));
                others.for_each(|byte| shares[byte] = ALL);
                shares
            })),
            components,
            rows: [enlarged(), enlarged()],
            cells: vec![0; (width + 2) * step],
            of_component: row(),
            weights: vec![0; width * bytes],
            alphas: row(),
            shares: row(),
        }
    }

    /// Forgets the cells of the frame before.
    pub fn forget(&mut self) {
        self.rows.iter_mut().for_each(|row| row.of = None);
    }

    /// Replaces what shows of the old background in a row of the plane, where a level knows better:
    /// in the blocks `known`, run by run.
    /// `matte` are the weights of the row's pixels, `half` those at the chroma's resolution. Where
    /// a pixel's bytes are given in `clear`, they are written where the matte leaves nothing and no
    /// colour is known.
    pub fn unmix(
        &mut self,
        (level, sides): (&Level, &Sides),
        between: Between,
        known: &[Range<usize>],
        [matte, half]: [&[u8]; 2],
        clear: Option<&[u8]>,
        row: &mut [u8],
    ) {
        let weights = if self.is_half() { half } else { matte };
        let span = BLOCK * self.samples;
        let n = weights.len();
        let samples = |blocks: Range<usize>| n.min(blocks.start * span)..n.min(blocks.end * span);
        let mut cleared = 0;
        for known in known {
            if let Some(pixel) = clear {
                let gap = samples(cleared..known.start);
                clear_pixels(&weights[gap.clone()], pixel, &mut row[gap.start * pixel.len()..]);
            }
            cleared = known.end;
            // What is all the person's needs nothing, nor does what nobody will see.
            let is_done = |block: usize| {
                let weights = &weights[samples(block..block + 1)];
                is_all(weights, 255) || (clear.is_none() && is_all(weights, 0))
            };
            let mut blocks = known.clone();
            while !blocks.is_empty() && is_done(blocks.start) {
                blocks.start += 1;
            }
            while !blocks.is_empty() && is_done(blocks.end - 1) {
                blocks.end -= 1;
            }
            if !blocks.is_empty() {
                self.unmix_blocks((level, sides), between, blocks, [matte, half], row);
            }
        }
        if let Some(pixel) = clear {
            let gap = samples(cleared..level.blocks());
            clear_pixels(&weights[gap.clone()], pixel, &mut row[gap.start * pixel.len()..]);
        }
    }

    /// Whether all components are at the chroma's resolution.
    fn is_half(&self) -> bool {
        self.components.iter().all(|(_, c)| c.h_shift > 0)
    }

    fn unmix_blocks(
        &mut self,
        (level, sides): (&Level, &Sides),
        between: Between,
        blocks: Range<usize>,
        [matte, half]: [&[u8]; 2],
        row: &mut [u8],
    ) {
        let Between { upper, lower, share } = between;
        for y in [upper, lower] {
            self.enlarge(level, sides.row(y), y);
        }
        let cells = blocks.start * BLOCK..blocks.end * BLOCK;
        let part = |weights: &[u8], samples: usize| {
            let n = weights.len();
            (cells.start * samples).min(n)..(cells.end * samples).min(n)
        };
        // The pixels are twice the samples where all samples are chroma.
        let full = if self.is_half() { 2 * self.samples } else { self.samples };
        let (full, half) = (&matte[part(matte, full)], &half[part(half, full / 2)]);
        let bytes = cells.start * self.bytes..row.len().min(cells.end * self.bytes);
        let row = &mut row[bytes.clone()];
        let [upper, lower] = [upper, lower].map(|y| &self.rows[y % 2]);
        let share = (share * 32768.0) as i16;
        let person = [&upper.person[bytes.clone()], &lower.person[bytes.clone()]];
        let behind = [&upper.behind[bytes.clone()], &lower.behind[bytes]];
        let is_half = self.is_half();
        let (alphas, shares) = (&mut self.alphas[..row.len()], &mut self.shares[..row.len()]);
        let (step, weights) = match self.uniform {
            Some([_, step]) => (step, if is_half { half } else { full }),
            None => (1, spread(self.format, self.plane, full, half, &mut self.weights)),
        };
        match step {
            1 => find_factors::<1>(weights, &self.shares_of, alphas, shares),
            2 => find_factors::<2>(weights, &self.shares_of, alphas, shares),
            3 => find_factors::<3>(weights, &self.shares_of, alphas, shares),
            _ => find_factors::<4>(weights, &self.shares_of, alphas, shares),
        }
        unmix_bytes(person, behind, share, alphas, shares, row);
    }

    /// Makes sure that row `y` of the cells is there at the plane's size.
    fn enlarge(&mut self, level: &Level, colors: &[f32], y: usize) {
        let enlarged = &mut self.rows[y % 2];
        if enlarged.of.replace(y) == Some(y) {
            return;
        }
        let width = level.width;
        for run in runs(level.work_row(y), Work::Border) {
            let bytes = run.start * self.bytes..run.end * self.bytes;
            let sides = [&mut enlarged.person, &mut enlarged.behind];
            for (sides, out) in colors.chunks_exact(3 * width).zip(sides) {
                let out = &mut out[bytes.clone()];
                if let Some([samples, step]) = self.uniform {
                    let cells = &mut self.cells[..(run.len() + 2) * step];
                    for (index, component) in &self.components {
                        let side = &sides[index * width..][..width];
                        fix(side, &run, component.offset, step, cells);
                    }
                    enlarge(samples, step, cells, out);
                    continue;
                }
                for (index, component) in &self.components {
                    let Component { offset, step, .. } = *component;
                    let samples = self.bytes / step;
                    let cells = &mut self.cells[..run.len() + 2];
                    fix(&sides[index * width..][..width], &run, 0, 1, cells);
                    let enlarged = &mut self.of_component[..run.len() * samples];
                    enlarge(samples, 1, cells, enlarged);
                    out[offset..].iter_mut().step_by(step).zip(enlarged).for_each(|(o, e)| *o = *e);
                }
            }
        }
    }
}

/// Whether all of a few values are `value`.
#[inline(always)]
fn is_all(values: &[u8], value: u8) -> bool {
    let (words, rest) = values.as_chunks();
    let word = u64::from_ne_bytes([value; 8]);
    let differ = words.iter().fold(0, |differ, bytes| differ | (u64::from_ne_bytes(*bytes) ^ word));
    differ == 0 && rest.iter().all(|&other| other == value)
}

/// Writes `pixel` wherever `matte` leaves nothing.
fn clear_pixels(matte: &[u8], pixel: &[u8], bytes: &mut [u8]) {
    // Far from an edge it is all or nothing.
    const FEW: usize = 64;
    for (matte, bytes) in matte.chunks(FEW).zip(bytes.chunks_mut(FEW * pixel.len())) {
        if is_all(matte, 255) {
            continue;
        }
        if is_all(matte, 0) {
            match *pixel {
                [byte] => bytes[..matte.len()].fill(byte),
                [a, b, c, d] => bytes.as_chunks_mut().0[..matte.len()].fill([a, b, c, d]),
                _ => {}
            }
            continue;
        }
        for (bytes, _) in bytes.chunks_exact_mut(pixel.len()).zip(matte).filter(|(_, m)| **m == 0) {
            bytes.copy_from_slice(pixel);
        }
    }
}

/// Brings the cells of a run, with a neighbour on both sides, to fixed point, at every `step`-th
/// place from `offset` on. Beyond the border there is what is at it.
fn fix(row: &[f32], run: &Range<usize>, offset: usize, step: usize, out: &mut [i16]) {
    match step {
        1 => fix_to::<1>(row, run, offset, out),
        2 => fix_to::<2>(row, run, offset, out),
        3 => fix_to::<3>(row, run, offset, out),
        _ => fix_to::<4>(row, run, offset, out),
    }
}

#[multiversion(targets = "simd")]
fn fix_to<const STEP: usize>(row: &[f32], run: &Range<usize>, offset: usize, out: &mut [i16]) {
    // Adding 1.5 * 2^23 leaves the rounded integer in the low bits of the float.
    const ROUND: f32 = 12_582_912.0;
    let fixed = |code: f32| (code * (1 << FRACTION) as f32 + ROUND).to_bits() as i16;
    let out = out.as_chunks_mut::<STEP>().0;
    let cells = &row[run.clone()];
    let (first, last) = (0, out.len() - 1);
    out[first][offset] = fixed(row[run.start.saturating_sub(1)]);
    out[last][offset] = fixed(row[run.end.min(row.len() - 1)]);
    for (out, code) in out[first + 1..last].iter_mut().zip(cells) {
        out[offset] = fixed(*code);
    }
}

/// Cells of `group` values side by side, with a neighbour on both sides, at `samples` places each.
fn enlarge(samples: usize, group: usize, cells: &[i16], out: &mut [i16]) {
    match group {
        1 => enlarge_groups::<1>(samples, cells, out),
        2 => enlarge_groups::<2>(samples, cells, out),
        3 => enlarge_groups::<3>(samples, cells, out),
        _ => enlarge_groups::<4>(samples, cells, out),
    }
}

fn enlarge_groups<const GROUP: usize>(samples: usize, cells: &[i16], out: &mut [i16]) {
    match samples {
        1 => enlarge_to::<GROUP, 1>(cells, out),
        2 => enlarge_to::<GROUP, 2>(cells, out),
        4 => enlarge_to::<GROUP, 4>(cells, out),
        8 => enlarge_to::<GROUP, 8>(cells, out),
        _ => enlarge_to::<GROUP, 16>(cells, out),
    }
}

#[multiversion(targets = "simd")]
fn enlarge_to<const GROUP: usize, const SAMPLES: usize>(cells: &[i16], out: &mut [i16]) {
    let cells = cells.as_chunks::<GROUP>().0;
    let out = out.as_chunks_mut::<GROUP>().0.as_chunks_mut::<SAMPLES>().0;
    let n = out.len();
    let (left, here, right) = (&cells[..n], &cells[1..n + 1], &cells[2..n + 2]);
    for i in 0..n {
        for sample in 0..SAMPLES {
            // From the cell's centre, in halves of a sample.
            let distance = 2 * sample as i32 + 1 - SAMPLES as i32;
            let share = (distance.abs() * 32768 / (2 * SAMPLES as i32)) as i16;
            let other = if distance < 0 { &left[i] } else { &right[i] };
            for lane in 0..GROUP {
                out[i][sample][lane] = mix(here[i][lane], other[lane], share);
            }
        }
    }
}

/// a · b, where one of them is a factor up to [`ALL`]. Of the product only the upper half is looked
/// at, for which there is a vector instruction.
#[inline(always)]
fn times(a: i16, b: i16) -> i16 {
    let half = ((i32::from(a) * i32::from(b)) >> 16) as i16;
    // Never saturates. A shift would be joined to the one above, and the instruction lost.
    half.saturating_add(half)
}

#[inline(always)]
fn mix(a: i16, b: i16, share: i16) -> i16 {
    a + times(b - a, share)
}

/// A factor for each of up to four bytes that have one weight.
type Factors = [i16; 4];

/// How much of an unexplained difference is the person's: α times the [gain].
fn share_of_rest(weight: u8) -> i16 {
    // What is all the person's stays as it is.
    if weight == 255 {
        return ALL;
    }
    let alpha = f32::from(weight) / 255.0;
    (alpha * gain(alpha) * 32768.0) as i16
}

/// For `STEP` bytes of each weight the weight as a factor, and what `shares_of` has for it.
fn find_factors<const STEP: usize>(
    weights: &[u8],
    shares_of: &[Factors; 256],
    alphas: &mut [i16],
    shares: &mut [i16],
) {
    weights_to_factors::<STEP>(weights, alphas);
    for (shares, weight) in shares.as_chunks_mut::<STEP>().0.iter_mut().zip(weights) {
        let factors = &shares_of[usize::from(*weight)];
        *shares = std::array::from_fn(|byte| factors[byte]);
    }
}

#[multiversion(targets = "simd")]
fn weights_to_factors<const STEP: usize>(weights: &[u8], out: &mut [i16]) {
    for (out, weight) in out.as_chunks_mut::<STEP>().0.iter_mut().zip(weights) {
        *out = [i16::from(*weight) << 7 | i16::from(*weight) >> 1; STEP];
    }
}

/// Replaces the bytes of a row by the person's part of them. Both sides' colours lie in an upper
/// and a lower row, whose share is `lower`.
#[multiversion(targets = "simd")]
fn unmix_bytes(
    [upper_person, lower_person]: [&[i16]; 2],
    [upper_behind, lower_behind]: [&[i16]; 2],
    lower: i16,
    alphas: &[i16],
    shares: &[i16],
    row: &mut [u8],
) {
    let n = row.len();
    let (upper_person, lower_person) = (&upper_person[..n], &lower_person[..n]);
    let (upper_behind, lower_behind) = (&upper_behind[..n], &lower_behind[..n]);
    let (alphas, shares) = (&alphas[..n], &shares[..n]);
    for i in 0..n {
        let person = mix(upper_person[i], lower_person[i], lower);
        let behind = mix(upper_behind[i], lower_behind[i], lower);
        let code = i16::from(row[i]) << FRACTION;
        let rest = code - behind - times(person - behind, alphas[i]);
        let own = person + times(rest, shares[i]);
        row[i] = ((own + (1 << (FRACTION - 1))) >> FRACTION).clamp(0, 255) as u8;
    }
}
