// SPDX-License-Identifier: MIT

//! The last step: the person's part of each sample of the frame where the matte is soft.
//!
//! It is taken on a plane's samples as they lie: the colours of both sides are enlarged to rows of the
//! plane's own layout, one for each row of cells, which the rows of samples
//! between them share.

// Rows are read together at the same index.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use multiversion::multiversion;

use super::cells::{BLOCK, Work, padded, runs};
use super::estimate::gain;
use super::fixed::{Fixed, Unmixed};
use super::levels::{Level, Sides};
use crate::matting::compose::blend::spread;
use crate::matting::frame::pixel_format::{Component, Depth, PixelFormat};
use crate::matting::frame::sample::Sample;

/// Samples that are taken apart together: loops of a known length become straight vector code.
const LANES: usize = 16;

/// Takes the rows of one plane apart.
pub struct Unmixer<S: Unmixed> {
    format: PixelFormat,
    depth: Depth,
    plane: usize,
    /// Along a cell: samples of the component that has the most of them, and of all together.
    samples: usize,
    places: usize,
    /// Samples of a component along a cell and places from one to the next, where all components have the same.
    uniform: Option<[usize; 2]>,
    /// Components of the plane: which of the three, and where in the plane.
    components: Vec<(usize, Component)>,
    /// The whole for the samples of a pixel that hold no colour, which stay as they are.
    fixed: [S; 4],
    share: ShareOfRest<S::Fixed>,
    rows: [Enlarged<S::Fixed>; 2],
    /// Cells of a row, and the samples of one component.
    cells: Vec<S::Fixed>,
    of_component: Vec<S::Fixed>,
    /// The matte, spread over the samples.
    weights: Vec<S>,
}

/// A row of cells, with as many values as the plane has samples.
struct Enlarged<F> {
    /// Which row.
    of: Option<usize>,
    person: Vec<F>,
    behind: Vec<F>,
}

/// The rows of cells between which a row of samples lies.
#[derive(Clone, Copy)]
pub struct Between {
    pub upper: usize,
    pub lower: usize,
    /// The lower row's.
    pub share: f32,
}

impl<S: Unmixed> Unmixer<S> {
    /// For plane `plane` of `format`, and rows of `width` cells of `factor` pixels.
    pub fn new(format: PixelFormat, plane: usize, factor: usize, width: usize) -> Self {
        let components = format.color_components().iter().copied().enumerate();
        let components: Vec<_> = components.filter(|(_, c)| c.plane == plane).collect();
        let samples = |c: &Component| factor >> c.h_shift;
        let most = components.iter().map(|(_, c)| samples(c)).max().unwrap_or(1);
        let step = components.first().map_or(1, |(_, c)| c.step);
        let is_uniform = components.iter().all(|(_, c)| c.step == step && samples(c) == most);
        let places = components.iter().map(|(_, c)| samples(c) * c.step).max().unwrap_or(1);
        let row = || vec![S::Fixed::default(); width * places];
        let enlarged = || Enlarged { of: None, person: row(), behind: row() };
        Self {
            format,
            depth: format.depth(),
            plane,
            samples: most,
            places,
            uniform: is_uniform.then_some([most, step]),
            fixed: std::array::from_fn(|place| {
                let holds_color = components.iter().any(|(_, c)| c.offset == place);
                if is_uniform && place < step && !holds_color { S::ALL } else { S::NONE }
            }),
            share: ShareOfRest::new(),
            components,
            rows: [enlarged(), enlarged()],
            cells: vec![S::Fixed::default(); (width + 2) * step],
            of_component: row(),
            weights: vec![S::NONE; width * places],
        }
    }

    /// Forgets the cells of the frame before.
    pub fn forget(&mut self) {
        self.rows.iter_mut().for_each(|row| row.of = None);
    }

    /// Replaces what shows of the old background in a row of the plane, where a level knows better:
    /// in the blocks `known`, run by run.
    /// `matte` are the weights of the row's pixels, `half` those at the chroma's resolution. Where
    /// a pixel's samples are given in `clear`, they are written where the matte leaves nothing and no
    /// colour is known.
    pub fn unmix(
        &mut self,
        (level, sides): (&Level<S>, &Sides),
        between: Between,
        known: &[Range<usize>],
        [matte, half]: [&[S]; 2],
        clear: Option<&[S]>,
        row: &mut [S],
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
                S::are_all(weights, S::ALL) || (clear.is_none() && S::are_all(weights, S::NONE))
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
        (level, sides): (&Level<S>, &Sides),
        between: Between,
        blocks: Range<usize>,
        [matte, half]: [&[S]; 2],
        hides: bool,
        row: &mut [S],
    ) {
        let Between { upper, lower, share } = between;
        for y in [upper, lower] {
            self.enlarge(level, sides, y);
        }
        let cells = blocks.start * BLOCK..blocks.end * BLOCK;
        let part = |weights: &[S], samples: usize| {
            let n = weights.len();
            (cells.start * samples).min(n)..(cells.end * samples).min(n)
        };
        // The pixels are twice the samples where all samples are chroma.
        let full = if self.is_half() { 2 * self.samples } else { self.samples };
        let (full, half) = (&matte[part(matte, full)], &half[part(half, full / 2)]);
        let places = cells.start * self.places..row.len().min(cells.end * self.places);
        let row = &mut row[places.clone()];
        let [upper, lower] = [upper, lower].map(|y| &self.rows[y % 2]);
        let share = S::Fixed::of_factor(share);
        let person = [&upper.person[places.clone()], &lower.person[places.clone()]];
        let behind = [&upper.behind[places.clone()], &lower.behind[places]];
        let samples = if self.is_half() { half } else { full };
        let (fixed, out) = (self.fixed, &mut self.weights);
        let weights = match self.uniform {
            Some([_, 1]) => samples,
            Some([_, 2]) => repeat::<S, 2>(samples, fixed, out),
            Some([_, 3]) => repeat::<S, 3>(samples, fixed, out),
            Some(_) => repeat::<S, 4>(samples, fixed, out),
            None => spread(self.format, self.plane, full, half, out),
        };
        let depth = self.depth;
        unmix_samples(person, behind, share, weights, (self.share, depth), hides, row);
    }

    /// Makes sure that row `y` of the cells is there at the plane's size.
    fn enlarge(&mut self, level: &Level<S>, sides: &Sides, y: usize) {
        let enlarged = &mut self.rows[y % 2];
        if enlarged.of.replace(y) == Some(y) {
            return;
        }
        let (stride, colors) = (padded(level.width), sides.row(y));
        for run in runs(level.work_row(y), Work::Border) {
            let places = run.start * self.places..run.end * self.places;
            let both = [&mut enlarged.person, &mut enlarged.behind];
            for (sides, out) in colors.chunks_exact(3 * stride).zip(both) {
                let out = &mut out[places.clone()];
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
                    let samples = self.places / step;
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

/// Writes `pixel` wherever `matte` leaves nothing.
pub fn clear_pixels<S: Sample>(matte: &[S], pixel: &[S], row: &mut [S]) {
    // Far from an edge it is all or nothing.
    const FEW: usize = 64;
    for (matte, row) in matte.chunks(FEW).zip(row.chunks_mut(FEW * pixel.len())) {
        if S::are_all(matte, S::ALL) {
            continue;
        }
        if S::are_all(matte, S::NONE) {
            match *pixel {
                [sample] => row[..matte.len()].fill(sample),
                [a, b, c, d] => row.as_chunks_mut().0[..matte.len()].fill([a, b, c, d]),
                _ => {}
            }
            continue;
        }
        let pixels = row.chunks_exact_mut(pixel.len()).zip(matte);
        for (samples, _) in pixels.filter(|(_, matte)| **matte == S::NONE) {
            samples.copy_from_slice(pixel);
        }
    }
}

/// Brings the cells of a run of a padded row, with a neighbour on both sides, to every `step`-th place from
/// `offset` on.
fn fix<F: Fixed>(row: &[f32], run: &Range<usize>, offset: usize, step: usize, out: &mut [F]) {
    match step {
        1 => fix_to::<F, 1>(row, run, offset, out),
        2 => fix_to::<F, 2>(row, run, offset, out),
        3 => fix_to::<F, 3>(row, run, offset, out),
        _ => fix_to::<F, 4>(row, run, offset, out),
    }
}

#[multiversion(targets = "simd")]
fn fix_to<F: Fixed, const STEP: usize>(
    row: &[f32],
    run: &Range<usize>,
    offset: usize,
    out: &mut [F],
) {
    let cells = &row[BLOCK + run.start - 1..];
    for (out, code) in out.as_chunks_mut::<STEP>().0.iter_mut().zip(cells) {
        out[offset] = F::of_code(*code);
    }
}

/// Cells of `group` values side by side, with a neighbour on both sides, at `samples` places each.
fn enlarge<F: Fixed>(samples: usize, group: usize, cells: &[F], out: &mut [F]) {
    match group {
        1 => enlarge_groups::<F, 1>(samples, cells, out),
        2 => enlarge_groups::<F, 2>(samples, cells, out),
        3 => enlarge_groups::<F, 3>(samples, cells, out),
        _ => enlarge_groups::<F, 4>(samples, cells, out),
    }
}

fn enlarge_groups<F: Fixed, const GROUP: usize>(samples: usize, cells: &[F], out: &mut [F]) {
    match samples {
        1 => enlarge_to::<F, GROUP, 1>(cells, out),
        2 => enlarge_to::<F, GROUP, 2>(cells, out),
        4 => enlarge_to::<F, GROUP, 4>(cells, out),
        8 => enlarge_to::<F, GROUP, 8>(cells, out),
        16 => enlarge_to::<F, GROUP, 16>(cells, out),
        _ => enlarge_to::<F, GROUP, 32>(cells, out),
    }
}

#[multiversion(targets = "simd")]
fn enlarge_to<F: Fixed, const GROUP: usize, const SAMPLES: usize>(cells: &[F], out: &mut [F]) {
    let cells = cells.as_chunks::<GROUP>().0;
    let out = out.as_chunks_mut::<GROUP>().0.as_chunks_mut::<SAMPLES>().0;
    let n = out.len();
    let (left, here, right) = (&cells[..n], &cells[1..n + 1], &cells[2..n + 2]);
    for i in 0..n {
        for sample in 0..SAMPLES {
            // From the cell's centre, in halves of a sample.
            let distance = 2 * sample as i32 + 1 - SAMPLES as i32;
            let share = F::of_factor(distance.abs() as f32 / (2 * SAMPLES) as f32);
            let other = if distance < 0 { &left[i] } else { &right[i] };
            for lane in 0..GROUP {
                out[i][sample][lane] = mix(here[i][lane], other[lane], share);
            }
        }
    }
}

#[inline(always)]
fn mix<F: Fixed>(a: F, b: F, share: F) -> F {
    a + (b - a).times(share)
}

/// Each weight for `STEP` samples, those that are `fixed` aside.
#[multiversion(targets = "simd")]
fn repeat<'a, S: Sample, const STEP: usize>(
    weights: &[S],
    fixed: [S; 4],
    out: &'a mut [S],
) -> &'a [S] {
    for (samples, weight) in out.as_chunks_mut::<STEP>().0.iter_mut().zip(weights) {
        for (sample, fixed) in samples.iter_mut().zip(fixed) {
            *sample = fixed.max(*weight);
        }
    }
    &out[..STEP * weights.len()]
}

/// How much of an unexplained difference is the person's: α times the [gain], as a factor.
///
/// The gain is the same for α and 1 − α, so that it is a polynomial of (2 α − 1)².
#[derive(Clone, Copy)]
struct ShareOfRest<F> {
    /// Of half the gain, which is less than 1; the constant first.
    coefficients: [F; 4],
}

impl<F: Fixed> ShareOfRest<F> {
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
        let rounded = |value: f64| (value * 32768.0).round() / 32768.0;
        Self { coefficients: coefficients.map(|value| F::of_factor(rounded(value) as f32)) }
    }

    /// For a weight as a factor.
    #[inline(always)]
    fn of(self, alpha: F) -> F {
        let [a, b, c, d] = self.coefficients;
        let centred = alpha.centred();
        let square = centred.times(centred);
        let half_gain = a + square.times(b + square.times(c + square.times(d)));
        let half = alpha.times(half_gain);
        // What is all the person's stays as it is.
        if alpha == F::ALL { F::ALL } else { half + half }
    }
}

/// Replaces the samples of a row by the person's part of them. Both sides' colours lie in an upper
/// and a lower row, whose share is `lower`. Where it `hides`, nobody sees what weighs nothing.
#[multiversion(targets = "simd")]
fn unmix_samples<S: Unmixed>(
    [upper_person, lower_person]: [&[S::Fixed]; 2],
    [upper_behind, lower_behind]: [&[S::Fixed]; 2],
    lower: S::Fixed,
    weights: &[S],
    (share, depth): (ShareOfRest<S::Fixed>, Depth),
    hides: bool,
    row: &mut [S],
) {
    let n = row.len();
    let whole = n - n % LANES;
    for start in (0..whole).step_by(LANES) {
        let here: [S; LANES] = lanes(weights, start);
        // Edges are narrower than the cells around them.
        if S::are_all(&here, S::ALL) || hides && S::are_all(&here, S::NONE) {
            continue;
        }
        let mut samples: [S; LANES] = lanes(row, start);
        let persons = [lanes(upper_person, start), lanes(lower_person, start)];
        let behinds = [lanes(upper_behind, start), lanes(lower_behind, start)];
        for i in 0..LANES {
            let person = mix(persons[0][i], persons[1][i], lower);
            let behind = mix(behinds[0][i], behinds[1][i], lower);
            samples[i] = unmix(samples[i], here[i], [person, behind], share, depth);
        }
        row[start..start + LANES].copy_from_slice(&samples);
    }
    for i in whole..n {
        let person = mix(upper_person[i], lower_person[i], lower);
        let behind = mix(upper_behind[i], lower_behind[i], lower);
        row[i] = unmix(row[i], weights[i], [person, behind], share, depth);
    }
}

#[inline(always)]
fn lanes<T: Copy + Default>(row: &[T], start: usize) -> [T; LANES] {
    let mut lanes = [T::default(); LANES];
    lanes.copy_from_slice(&row[start..start + LANES]);
    lanes
}

/// The person's part of a sample.
#[inline(always)]
fn unmix<S: Unmixed>(
    sample: S,
    weight: S,
    [person, behind]: [S::Fixed; 2],
    share: ShareOfRest<S::Fixed>,
    depth: Depth,
) -> S {
    let alpha = weight.to_factor();
    let rest = sample.to_fixed(depth) - behind - (person - behind).times(alpha);
    S::of_fixed(person + rest.times(share.of(alpha)), depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_the_rest_is_right_to_a_thousandth() {
        let share = ShareOfRest::<i16>::new();
        for weight in 0..255i16 {
            let alpha = f32::from(weight) / 255.0;
            let want = alpha * gain(alpha);
            let got = f32::from(share.of(weight << 7 | weight >> 1)) / 32768.0;
            assert!((got - want).abs() < 1e-3, "{got}, {want} of {weight}");
        }
        assert_eq!(share.of(i16::MAX), i16::MAX);
    }
}
