// SPDX-License-Identifier: MIT

//! The last step: the person's part of each sample of the frame where the matte is soft.
//!
//! It is taken in fixed point, on a plane's bytes as they lie: the colours of both sides are
//! enlarged to rows of the plane's own layout, one for each row of cells, which the rows of samples
//! between them share.

// Rows are read together at the same index.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use multiversion::multiversion;

use super::cells::{BLOCK, Work, padded, runs};
use super::estimate::gain;
use super::levels::{Level, Sides};
use crate::matting::compose::blend::spread;
use crate::matting::frame::pixel_format::{Component, PixelFormat};
use crate::matting::kernels::round::nearest;

/// Codes have so many fractional bits.
const FRACTION: u32 = 6;
/// Bytes that are taken apart together: loops of a known length become straight vector code.
const LANES: usize = 16;
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
    /// 255 for the bytes of a sample or pixel that hold no colour, which stay as they are.
    fixed: [u8; 4],
    share: ShareOfRest,
    rows: [Enlarged; 2],
    /// Cells of a row, in fixed point, and the samples of one component.
    cells: Vec<i16>,
    of_component: Vec<i16>,
    /// The matte, spread over the bytes.
    weights: Vec<u8>,
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
            fixed: std::array::from_fn(|byte| {
                let holds_color = components.iter().any(|(_, c)| c.offset == byte);
                if is_uniform && byte < step && !holds_color { 255 } else { 0 }
            }),
            share: ShareOfRest::new(),
            components,
            rows: [enlarged(), enlarged()],
            cells: vec![0; (width + 2) * step],
            of_component: row(),
            weights: vec![0; width * bytes],
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
                let hides = clear.is_none();
                self.unmix_blocks((level, sides), between, blocks, [matte, half], hides, row);
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
        hides: bool,
        row: &mut [u8],
    ) {
        let Between { upper, lower, share } = between;
        for y in [upper, lower] {
            self.enlarge(level, sides, y);
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
        let samples = if self.is_half() { half } else { full };
        let (fixed, out) = (self.fixed, &mut self.weights);
        let weights = match self.uniform {
            Some([_, 1]) => samples,
            Some([_, 2]) => repeat::<2>(samples, fixed, out),
            Some([_, 3]) => repeat::<3>(samples, fixed, out),
            Some(_) => repeat::<4>(samples, fixed, out),
            None => spread(self.format, self.plane, full, half, out),
        };
        unmix_bytes(person, behind, share, weights, self.share, hides, row);
    }

    /// Makes sure that row `y` of the cells is there at the plane's size.
    fn enlarge(&mut self, level: &Level, sides: &Sides, y: usize) {
        let enlarged = &mut self.rows[y % 2];
        if enlarged.of.replace(y) == Some(y) {
            return;
        }
        let (stride, colors) = (padded(level.width), sides.row(y));
        for run in runs(level.work_row(y), Work::Border) {
            let bytes = run.start * self.bytes..run.end * self.bytes;
            let both = [&mut enlarged.person, &mut enlarged.behind];
            for (sides, out) in colors.chunks_exact(3 * stride).zip(both) {
                let out = &mut out[bytes.clone()];
                if let Some([samples, step]) = self.uniform {
                    let cells = &mut self.cells[..(run.len() + 2) * step];
                    for (index, component) in &self.components {
                        let side = &sides[index * stride..][..stride];
                        fix(side, &run, component.offset, step, cells);
                    }
                    enlarge(samples, step, cells, out);
                    continue;
                }
                for (index, component) in &self.components {
                    let Component { offset, step, .. } = *component;
                    let samples = self.bytes / step;
                    let cells = &mut self.cells[..run.len() + 2];
                    fix(&sides[index * stride..][..stride], &run, 0, 1, cells);
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

/// Brings the cells of a run of a padded row, with a neighbour on both sides, to fixed point, at every
/// `step`-th place from `offset` on.
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
    let fixed = |code: f32| nearest(code * (1 << FRACTION) as f32) as i16;
    let cells = &row[BLOCK + run.start - 1..];
    for (out, code) in out.as_chunks_mut::<STEP>().0.iter_mut().zip(cells) {
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
        16 => enlarge_to::<GROUP, 16>(cells, out),
        _ => enlarge_to::<GROUP, 32>(cells, out),
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

/// Each weight for `STEP` bytes, those that are `fixed` aside.
#[multiversion(targets = "simd")]
fn repeat<'a, const STEP: usize>(weights: &[u8], fixed: [u8; 4], out: &'a mut [u8]) -> &'a [u8] {
    for (bytes, weight) in out.as_chunks_mut::<STEP>().0.iter_mut().zip(weights) {
        for (byte, fixed) in bytes.iter_mut().zip(fixed) {
            *byte = weight | fixed;
        }
    }
    &out[..STEP * weights.len()]
}

/// How much of an unexplained difference is the person's: α times the [gain], as a factor.
///
/// The gain is the same for α and 1 − α, so that it is a polynomial of (2 α − 1)².
#[derive(Clone, Copy)]
struct ShareOfRest {
    /// Of half the gain, which is less than 1; the constant first.
    coefficients: [i16; 4],
}

impl ShareOfRest {
    /// Interpolates at Chebyshev's points, by Newton's divided differences.
    fn new() -> Self {
        const N: usize = 4;
        let points: [f64; N] = std::array::from_fn(|k| {
            0.5 - 0.5 * (std::f64::consts::PI * (k as f64 + 0.5) / N as f64).cos()
        });
        let alpha = |point: f64| (0.5 + 0.5 * point.sqrt()) as f32;
        let mut differences = points.map(|point| f64::from(gain(alpha(point))) / 2.0);
        for order in 1..N {
            for k in (order..N).rev() {
                let step = points[k] - points[k - order];
                differences[k] = (differences[k] - differences[k - 1]) / step;
            }
        }
        // Multiplied out, from the innermost factor.
        let mut coefficients = [0.0; N];
        for k in (0..N).rev() {
            for power in (0..N).rev() {
                let lower = if power > 0 { coefficients[power - 1] } else { 0.0 };
                coefficients[power] = lower - points[k] * coefficients[power];
            }
            coefficients[0] += differences[k];
        }
        Self { coefficients: coefficients.map(|value| (value * 32768.0).round() as i16) }
    }

    /// For a weight as a factor.
    #[inline(always)]
    fn of(self, alpha: i16) -> i16 {
        let [a, b, c, d] = self.coefficients;
        let twice = alpha.wrapping_mul(2).wrapping_add(i16::MIN);
        let square = times(twice, twice);
        let half_gain = a + times(square, b + times(square, c + times(square, d)));
        let half = times(alpha, half_gain);
        // What is all the person's stays as it is.
        if alpha == ALL { ALL } else { half + half }
    }
}

/// Replaces the bytes of a row by the person's part of them. Both sides' colours lie in an upper
/// and a lower row, whose share is `lower`. Where it `hides`, nobody sees what weighs nothing.
#[multiversion(targets = "simd")]
fn unmix_bytes(
    [upper_person, lower_person]: [&[i16]; 2],
    [upper_behind, lower_behind]: [&[i16]; 2],
    lower: i16,
    weights: &[u8],
    share: ShareOfRest,
    hides: bool,
    row: &mut [u8],
) {
    let n = row.len();
    let whole = n - n % LANES;
    for start in (0..whole).step_by(LANES) {
        let mut here = [0; LANES];
        here.copy_from_slice(&weights[start..start + LANES]);
        // Edges are narrower than the cells around them.
        let all = u128::from_ne_bytes(here);
        if all == u128::MAX || all == 0 && hides {
            continue;
        }
        let mut bytes = [0; LANES];
        bytes.copy_from_slice(&row[start..start + LANES]);
        let persons = [lanes(upper_person, start), lanes(lower_person, start)];
        let behinds = [lanes(upper_behind, start), lanes(lower_behind, start)];
        for i in 0..LANES {
            let person = mix(persons[0][i], persons[1][i], lower);
            let behind = mix(behinds[0][i], behinds[1][i], lower);
            bytes[i] = unmix(bytes[i], here[i], [person, behind], share);
        }
        row[start..start + LANES].copy_from_slice(&bytes);
    }
    for i in whole..n {
        let person = mix(upper_person[i], lower_person[i], lower);
        let behind = mix(upper_behind[i], lower_behind[i], lower);
        row[i] = unmix(row[i], weights[i], [person, behind], share);
    }
}

#[inline(always)]
fn lanes(row: &[i16], start: usize) -> [i16; LANES] {
    let mut lanes = [0; LANES];
    lanes.copy_from_slice(&row[start..start + LANES]);
    lanes
}

/// The person's part of a byte.
#[inline(always)]
fn unmix(byte: u8, weight: u8, [person, behind]: [i16; 2], share: ShareOfRest) -> u8 {
    let weight = i16::from(weight);
    let alpha = weight << 7 | weight >> 1;
    let code = i16::from(byte) << FRACTION;
    let rest = code - behind - times(person - behind, alpha);
    let own = person + times(rest, share.of(alpha));
    ((own + (1 << (FRACTION - 1))) >> FRACTION).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_the_rest_is_right_to_a_thousandth() {
        let share = ShareOfRest::new();
        for weight in 0..255i16 {
            let alpha = f32::from(weight) / 255.0;
            let want = alpha * gain(alpha);
            let got = f32::from(share.of(weight << 7 | weight >> 1)) / 32768.0;
            assert!((got - want).abs() < 1e-3, "{got}, {want} of {weight}");
        }
        assert_eq!(share.of(ALL), ALL);
    }
}
