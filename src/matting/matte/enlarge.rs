// SPDX-License-Identifier: MIT

//! A matte at the frame's size, enlarged row by row as the rows are asked for: it never exists as a
//! whole.
//!
//! Most of a matte is 0 or 1, where there is nothing to enlarge and later nothing to blend. So a row
//! is told cover by cover whether it is, and what follows works on the soft covers alone.

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use crate::matting::frame::sample::Sample;
use crate::matting::kernels::columns::multiply_add;
use crate::matting::kernels::resample::PackedOperator;
use crate::matting::matte::details::{Details, TILE};
use crate::matting::matte::spans::{Cover, SPAN, spans};
use crate::matting::matte::wide::{Not, Wide};

/// Taps of cubic interpolation.
pub const TAPS: usize = 4;
/// A mask this near to 0 or 1 is there, to 8 bits, when it has been enlarged.
pub const FAINT: f32 = faint(8);

/// A mask this near to 0 or 1 is there, to so many bits, when it has been enlarged: the taps' weights add up
/// to at most 1.375 each way, regardless of their signs, and 1.375² / 1024 is less than half of 1 / 255.
const fn faint(bits: u32) -> f32 {
    1.0 / (1u32 << (bits + 2)) as f32
}

/// A row of a matte.
#[derive(Clone, Copy, Debug)]
pub struct MatteRow<'a, S = u8> {
    /// Every value in [0, 1].
    pub values: &'a [f32],
    /// The same, rounded to weights.
    pub codes: &'a [S],
    /// What each [`SPAN`] of the row is; where it is not soft, values and codes are all 0 or all 1 (the whole).
    pub covers: &'a [Cover],
}

/// A source of matte rows, with weights of some width.
pub trait MatteRows<S = u8> {
    /// Row `y` of the matte. Cheapest from the top down; may be asked for again.
    fn row(&mut self, y: usize) -> MatteRow<'_, S>;
}

/// A matte whose rows are made while they are read, by several readers at once if need be.
#[derive(Clone, Copy)]
pub enum Matte<'a> {
    /// Of a mask.
    Mask(MaskMatte<'a>),
    /// The same opacity everywhere.
    Flat(f32),
}

impl<'a> Matte<'a> {
    /// The rows of the matte, from a reader of its finisher.
    pub fn rows<S: Sample>(self, reader: &'a mut MatteReader<S>) -> MatteRowsOf<'a, S> {
        (reader.covers_of, reader.tiles_of) = (None, None);
        match self {
            Self::Mask(mask) => reader.wide.begin(&mask),
            Self::Flat(opacity) => {
                reader.row.fill(opacity);
                quantise(&reader.row, &mut reader.codes);
                reader.covers.fill(Cover::of_opacity(opacity));
            }
        }
        MatteRowsOf { matte: self, reader }
    }

    /// With tiles that are known better than the mask tells.
    pub fn with_details(self, details: Option<&'a Details>) -> Self {
        match self {
            Self::Mask(mask) => Self::Mask(MaskMatte { details, ..mask }),
            flat => flat,
        }
    }

    /// With values that are right to so many bits; without this to 8.
    pub fn to_bits(self, bits: u32) -> Self {
        match self {
            Self::Mask(mask) => {
                Self::Mask(MaskMatte { faint: mask.faint.min(faint(bits)), ..mask })
            }
            flat => flat,
        }
    }
}

/// A mask that was shaped, and the way to the frame's size.
#[derive(Clone, Copy)]
pub struct MaskMatte<'a> {
    /// From [`next_number`], for each mask another one: what was enlarged of it is not enlarged again.
    pub number: u64,
    /// Row by row.
    pub mask: &'a [f32],
    /// Of the mask.
    pub width: usize,
    /// From the mask's columns to the frame's.
    pub columns: &'a PackedOperator,
    /// From the mask's rows to the frame's.
    pub rows: &'a PackedOperator,
    /// What is kept is the rest.
    pub invert: bool,
    /// 0, or the level from which on the matte is 1, and else 0.
    pub threshold: f32,
    /// A mask this near to 0 or 1 is taken for it.
    pub faint: f32,
    /// Tiles that are not enlarged from the mask.
    pub details: Option<&'a Details>,
}

/// A number that no mask had before.
pub fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What reading a matte needs. One that is read again is not enlarged along its rows again.
pub struct MatteReader<S = u8> {
    wide: Wide,
    row: Vec<f32>,
    codes: Vec<S>,
    covers: Vec<Cover>,
    /// The first of the mask's rows that `covers` was found for.
    covers_of: Option<usize>,
    /// The row of tiles that may lie over the row.
    tiles_of: Option<usize>,
    /// Of each cover, for that row and for the one that comes next.
    not: Vec<Not>,
    found: Vec<Not>,
    /// The pixels of the soft ones, span by span.
    soft: Vec<Range<usize>>,
}

impl<S: Sample> MatteReader<S> {
    /// For mattes `width` pixels wide, enlarged by `columns`.
    pub fn new(width: usize, columns: &PackedOperator) -> Self {
        Self {
            wide: Wide::new(width, columns),
            row: vec![0.0; width],
            codes: vec![S::NONE; width],
            covers: vec![Cover::Soft; width.div_ceil(SPAN)],
            covers_of: None,
            tiles_of: None,
            not: vec![Not::default(); width.div_ceil(SPAN)],
            found: vec![Not::default(); width.div_ceil(SPAN)],
            soft: Vec::with_capacity(width.div_ceil(SPAN)),
        }
    }

    /// From now on reads mattes that are enlarged by `columns`, in the memory that it has if they and their
    /// masks are no wider than those before.
    pub fn fit(&mut self, columns: &PackedOperator) {
        let width = columns.outputs();
        let covers = width.div_ceil(SPAN);
        self.wide.fit(width, columns);
        self.row.resize(width, 0.0);
        self.codes.resize(width, S::NONE);
        self.covers.resize(covers, Cover::Soft);
        self.not.resize(covers, Not::default());
        self.found.resize(covers, Not::default());
        self.covers_of = None;
    }
}

/// A matte at its reader.
pub struct MatteRowsOf<'a, S = u8> {
    matte: Matte<'a>,
    reader: &'a mut MatteReader<S>,
}

impl<S: Sample> MatteRows<S> for MatteRowsOf<'_, S> {
    fn row(&mut self, y: usize) -> MatteRow<'_, S> {
        if let Matte::Mask(matte) = self.matte {
            matte.make_row(y, self.reader);
        }
        let MatteReader { row, codes, covers, .. } = &*self.reader;
        MatteRow { values: row, codes, covers }
    }
}

impl MaskMatte<'_> {
    fn make_row<S: Sample>(&self, y: usize, reader: &mut MatteReader<S>) {
        let (first, weights) = self.rows.row(y);
        let last = self.mask.len() / self.width - 1;
        // Taps beyond the last row have no weight; any row will do.
        let sources: [usize; TAPS] = std::array::from_fn(|k| (first + k).min(last));
        for source in sources {
            reader.wide.fill(source, self);
        }
        // What tiles left in the row is not the next one's.
        let tiles_of = self.details.map(|_| y / TILE);
        if std::mem::replace(&mut reader.tiles_of, tiles_of) != tiles_of {
            reader.covers_of = None;
        }
        if reader.covers_of != Some(first) {
            self.find_parts(sources, reader);
            reader.covers_of = Some(first);
        }
        let MatteReader { wide, row, codes, soft, .. } = reader;
        let [a, b, c, d] = sources.map(|source| wide.row(source));
        let weights: [f32; TAPS] = std::array::from_fn(|k| weights[k]);
        for span in soft.iter().cloned() {
            let row = &mut row[span.clone()];
            let of = |source| row_of(source, &span);
            combine(row, [of(a), of(b), of(c), of(d)], weights);
            if self.threshold > 0.0 {
                step_at(row, self.threshold);
            }
            if self.invert {
                invert(row);
            }
            quantise(row, &mut codes[span]);
        }
        self.lay_tiles(y, reader);
    }

    /// Puts the tiles that row `y` passes in their places.
    fn lay_tiles<S: Sample>(&self, y: usize, reader: &mut MatteReader<S>) {
        let MatteReader { row, codes, covers, .. } = reader;
        for (span, cover, values) in self.details.into_iter().flat_map(|details| details.row(y)) {
            covers[span] = if self.invert { cover.inverted() } else { cover };
            let end = row.len().min((span + 1) * SPAN);
            let row = &mut row[span * SPAN..end];
            row.copy_from_slice(&values[..row.len()]);
            if self.threshold > 0.0 {
                step_at(row, self.threshold);
            }
            if self.invert {
                invert(row);
            }
            quantise(row, &mut codes[span * SPAN..end]);
        }
    }

    /// Finds what the covers of rows between `sources` are, and fills those that are not soft.
    fn find_parts<S: Sample>(&self, sources: [usize; TAPS], reader: &mut MatteReader<S>) {
        let MatteReader { wide, row, codes, covers, covers_of, not, found, soft, .. } = reader;
        wide.find_not(sources, found);
        if covers_of.is_some() && found == not {
            return;
        }
        let width = row.len();
        let pixels = row.chunks_mut(SPAN).zip(codes.chunks_mut(SPAN));
        for ((not, out), (row, codes)) in found.iter().zip(&mut *covers).zip(pixels) {
            let cover = if self.invert { not.cover().inverted() } else { not.cover() };
            // What was filled for the row above stays.
            if std::mem::replace(out, cover) == cover && covers_of.is_some() {
                continue;
            }
            let (value, code) = match cover {
                Cover::Clear => (0.0, S::NONE),
                Cover::Opaque => (1.0, S::ALL),
                Cover::Soft => continue,
            };
            row.fill(value);
            codes.fill(code);
        }
        std::mem::swap(not, found);
        let spans = spans(covers, width).filter(|(cover, _)| *cover == Cover::Soft);
        soft.clear();
        soft.extend(spans.map(|(_, span)| span));
    }
}

#[inline(always)]
fn row_of<'a>(row: &'a [f32], span: &Range<usize>) -> &'a [f32] {
    &row[span.start..span.end]
}

#[multiversion(targets = "simd")]
fn combine(out: &mut [f32], [a, b, c, d]: [&[f32]; TAPS], weights: [f32; TAPS]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let n = out.len();
    let (a, b, c, d) = (&a[..n], &b[..n], &c[..n], &d[..n]);
    for i in 0..n {
        let sum = multiply_add::<FUSED>(b[i], weights[1], a[i] * weights[0]);
        let rest = multiply_add::<FUSED>(d[i], weights[3], c[i] * weights[2]);
        out[i] = (sum + rest).clamp(0.0, 1.0);
    }
}

fn step_at(row: &mut [f32], threshold: f32) {
    for value in row {
        *value = if *value >= threshold { 1.0 } else { 0.0 };
    }
}

fn invert(row: &mut [f32]) {
    for value in row {
        *value = 1.0 - *value;
    }
}

/// [0, 1] to weights, rounded.
// Functions for several processors that are not generic choose among them once, others at every call.
fn quantise<S: Sample>(values: &[f32], out: &mut [S]) {
    match S::BITS {
        8 => quantise_to_bytes(values, bytemuck::cast_slice_mut(out)),
        _ => quantise_to_words(values, bytemuck::cast_slice_mut(out)),
    }
}

#[multiversion(targets = "simd")]
fn quantise_to_bytes(values: &[f32], out: &mut [u8]) {
    quantise_to(values, out);
}

#[multiversion(targets = "simd")]
fn quantise_to_words(values: &[f32], out: &mut [u16]) {
    quantise_to(values, out);
}

#[inline(always)]
fn quantise_to<S: Sample>(values: &[f32], out: &mut [S]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = S::of_share(*value);
    }
}

/// A matte that is all there, for tests.
#[cfg(test)]
pub struct WholeMatte<S = u8> {
    width: usize,
    values: Vec<f32>,
    codes: Vec<S>,
    covers: Vec<Cover>,
}

#[cfg(test)]
impl<S: Sample> WholeMatte<S> {
    /// With `value(x, y)` in it.
    pub fn new(width: usize, height: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        let at = |i: usize| value(i % width, i / width);
        let values: Vec<f32> = (0..width * height).map(at).collect();
        let mut codes = vec![S::NONE; values.len()];
        quantise(&values, &mut codes);
        let row_of = |values: &[f32]| {
            let covers = values.iter().map(|&value| Cover::of_opacity(value));
            covers.reduce(Cover::with).unwrap_or(Cover::Soft)
        };
        let covers = values.chunks(width).flat_map(|row| row.chunks(SPAN).map(row_of)).collect();
        Self { width, values, codes, covers }
    }

    /// The same, of which nobody knows what its covers are.
    pub fn with_unknown_covers(mut self) -> Self {
        self.covers.fill(Cover::Soft);
        self
    }

    /// `value` in all of it.
    pub fn flat(width: usize, height: usize, value: f32) -> Self {
        Self::new(width, height, |_, _| value)
    }
}

#[cfg(test)]
impl<S: Sample> MatteRows<S> for WholeMatte<S> {
    fn row(&mut self, y: usize) -> MatteRow<'_, S> {
        let (pixels, covers) = (self.width, self.width.div_ceil(SPAN));
        MatteRow {
            values: &self.values[y * pixels..][..pixels],
            codes: &self.codes[y * pixels..][..pixels],
            covers: &self.covers[y * covers..][..covers],
        }
    }
}
