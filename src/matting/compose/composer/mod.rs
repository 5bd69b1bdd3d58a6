// SPDX-License-Identifier: MIT

//! Matte, frame and background to the output's pixels.
//!
//! Works on blocks of one row, or two where two rows of luma share a row of chroma, so that all
//! that a block needs stays in the first-level cache. Composites are blended in the output's own
//! format, sample by sample, with the matte spread over the samples that each pixel has. Where the matte
//! is all 0 or 1, nothing is blended.
//!
//! Samples and weights are as wide as the output's samples: 8 bits, or 16 for all deeper formats.

use std::ops::Range;

use multiversion::multiversion;

use crate::matting::compose::backdrop::Backdrop;
use crate::matting::compose::blend::{mix, spread, weigh_over};
use crate::matting::compose::blur::BackdropRow;
use crate::matting::compose::convert::RowConverter;
use crate::matting::compose::foreground::{Foreground, ForegroundRows};
use crate::matting::compose::output::Output;
use crate::matting::compose::own_colors::OwnColors;
use crate::matting::compose::width::Width;
use crate::matting::error::Error;
use crate::matting::frame::color::Range as CodeRange;
use crate::matting::frame::conversion::black;
use crate::matting::frame::packed::Band;
use crate::matting::frame::pixel_format::{Component, Depth, Family, PixelFormat};
use crate::matting::frame::sample::{Grain, Sample};
use crate::matting::frame::view::{FrameLayout, FrameView, FrameViewMut};
use crate::matting::kernels::samples::gather;
use crate::matting::matte::enlarge::MatteRows;
use crate::matting::matte::spans::{Cover, SPAN};
use crate::matting::matte::spans::{Spans, halved};

/// Where the colours of the output come from.
#[derive(Clone, Copy)]
pub enum Colors<'a> {
    /// From this frame.
    Frame(&'a FrameView<'a>),
    /// They are in the output already: it is the frame itself, or shares its planes.
    InPlace,
}

/// What an output is composed of, besides the matte.
#[derive(Clone, Copy)]
pub struct Layers<'a, S: Width> {
    /// The frame's colours.
    pub colors: Colors<'a>,
    /// The person's own, where the matte is soft; without it the frame's stay.
    pub person: Option<Person<'a, S>>,
    /// What is behind the person.
    pub backdrop: &'a Backdrop<S>,
}

/// The person's own colours, where the matte is soft.
#[derive(Clone, Copy)]
pub enum Person<'a, S: Width> {
    /// Estimated from the frame and its matte.
    Estimated(&'a Foreground<S>),
    /// The network's own.
    Own(&'a OwnColors),
}

/// What giving rows the person's colours needs, from the top down.
pub(super) struct PersonRows<S: Width> {
    /// Made when they are first needed.
    pub(super) estimated: Option<Box<ForegroundRows<S>>>,
    own: Vec<f32>,
}

impl<S: Width> PersonRows<S> {
    /// As [`Foreground::apply`].
    fn apply(
        &mut self,
        person: Person<'_, S>,
        at: (usize, usize),
        mattes: [&[S]; 2],
        clears: bool,
        row: &mut [S],
    ) {
        match person {
            Person::Estimated(foreground) => {
                let rows = self.estimated.get_or_insert_with(|| Box::new(foreground.rows()));
                foreground.apply(rows, at, mattes, clears, row);
            }
            Person::Own(colors) => colors.apply(at, mattes, clears, &mut self.own, row),
        }
    }
}

/// How a frame's colours reach an output of another frame.
enum Transfer<S: Width> {
    /// The formats are the same.
    Copy,
    /// To packed pixels.
    Convert(Box<RowConverter<S>>),
    /// To planes of the same sizes, with one of alpha.
    Planes,
    /// The output has none.
    Nothing,
}

/// Composes outputs of one layout from frames of one layout.
pub struct Composer<S: Width> {
    from: FrameLayout,
    to: FrameLayout,
    output: Output,
    transfer: Transfer<S>,
    /// Of the output's codes.
    depth: Depth,
    /// Opacity of the block's rows.
    opacity: [Vec<S>; 2],
    /// Weight of the person's colours where the background is not opaque; else it is the opacity.
    weights: [Vec<S>; 2],
    /// The weights at the chroma's resolution.
    chroma_weights: Vec<S>,
    /// The weights of a span, spread over the samples of a plane's row.
    spread: Vec<S>,
    /// What the covers of the block's rows are.
    covers: [Vec<Cover>; 2],
    /// What is alike in all of the block's rows.
    spans: Spans,
    /// Whether `matte` is needed.
    keeps_matte: bool,
    /// The matte of the block's rows, without the frame's own alpha, for the person's colours.
    matte: [Vec<S>; 2],
    /// The matte at the chroma's resolution.
    chroma_matte: Vec<S>,
    /// A row of the background.
    behind: BackdropRow<S>,
    pub(super) person_rows: PersonRows<S>,
    opaque: Vec<S>,
    /// A block of a frame, and of an output, whose codes do not lie apart.
    taken: Option<Band>,
    put: Option<Band>,
}

/// Rows of a block at most.
const BLOCK: usize = 2;

impl<S: Width> Composer<S> {
    /// # Errors
    /// [`Error::Conversion`] for a pair of formats that [`Output::formats`] does not offer, and for several
    /// pictures at once.
    pub fn new(from: &FrameLayout, to: &FrameLayout, output: Output) -> Result<Self, Error> {
        if output.pictures() > 1 || !output.formats(from.format).contains(&to.format) {
            return Err(Error::Conversion { from: from.format, to: to.format });
        }
        let (taken, put) = (Band::new(from, BLOCK), Band::new(to, BLOCK));
        let (from, to) = (&from.apart(), &to.apart());
        // Planes that are handed on are not converted.
        let same_colors = from.color == to.color;
        let transfer = match output {
            Output::Alpha => Transfer::Nothing,
            _ if to.format == from.format => Transfer::Copy,
            _ if to.format.has_planes_of(from.format) && same_colors => Transfer::Planes,
            _ => Transfer::Convert(Box::new(RowConverter::new(from, to)?)),
        };
        let samples = (0..to.format.planes()).map(|plane| to.format.row_samples(plane, to.width));
        let samples = samples.max().unwrap_or(0);
        let row = || vec![S::NONE; to.width];
        let covers = to.width.div_ceil(SPAN);
        Ok(Self {
            from: *from,
            to: *to,
            output,
            transfer,
            depth: to.format.depth(),
            opacity: [row(), row()],
            weights: [row(), row()],
            chroma_weights: vec![S::NONE; to.width.div_ceil(2)],
            spread: vec![S::NONE; samples],
            covers: std::array::from_fn(|_| vec![Cover::Soft; covers]),
            spans: Spans::new(to),
            keeps_matte: false,
            matte: [row(), row()],
            chroma_matte: vec![S::NONE; to.width.div_ceil(2)],
            behind: BackdropRow::default(),
            person_rows: PersonRows { estimated: None, own: Vec::new() },
            opaque: vec![S::ALL; to.width],
            taken,
            put,
        })
    }

    /// Whether the output may be the frame itself.
    pub fn works_in_place(&self) -> bool {
        matches!(self.transfer, Transfer::Copy)
    }

    /// Writes `rows` of `target`, whose layout is the output's; the first of them is even.
    pub fn compose(
        &mut self,
        layers: &Layers<'_, S>,
        matte: &mut dyn MatteRows<S>,
        rows: Range<usize>,
        target: &mut FrameViewMut<'_>,
    ) {
        debug_assert_eq!(target.layout().apart(), self.to);
        self.keeps_matte = layers.person.is_some();
        let block = if self.to.format.is_vertically_subsampled() { BLOCK } else { 1 };
        let (mut taken, mut put) = (self.taken.take(), self.put.take());
        for top in rows.clone().step_by(block) {
            let block = top..rows.end.min(top + block);
            let apart;
            let colors = match (layers.colors, &mut taken) {
                (Colors::Frame(frame), Some(band)) => {
                    apart = band.take(frame, block.clone());
                    Colors::Frame(&apart)
                }
                (colors, _) => colors,
            };
            let layers = Layers { colors, ..*layers };
            let Some(band) = &mut put else {
                self.compose_block(&layers, matte, block, target);
                continue;
            };
            if matches!(colors, Colors::InPlace) {
                band.take_back(target, block.clone());
            }
            let apart = &mut band.view_mut(&self.to, top);
            self.compose_block(&layers, matte, block.clone(), apart);
            band.put(block, target);
        }
        (self.taken, self.put) = (taken, put);
    }

    fn compose_block(
        &mut self,
        layers: &Layers<'_, S>,
        matte: &mut dyn MatteRows<S>,
        block: Range<usize>,
        target: &mut FrameViewMut<'_>,
    ) {
        let (top, rows) = (block.start, block.len());
        for row in 0..rows {
            self.read_opacity(layers.colors, matte, target, top + row, row);
        }
        self.find_spans(rows);
        self.transfer_colors(layers, target, top, rows);
        if layers.person.is_some() {
            let [upper, lower] = &self.matte;
            let lower = if rows == 2 { lower } else { upper };
            self.spans.halve(self.to.format, [upper, lower], &mut self.chroma_matte);
        }
        match self.output {
            Output::Composite | Output::KeyFill => self.blend(layers, target, top, rows),
            _ => self.purify(layers.person, target, top, rows),
        }
        match self.output {
            Output::Composite | Output::KeyFill => {}
            // Packing pixels has written their alpha already.
            Output::Cutout if matches!(self.transfer, Transfer::Convert(_)) => {}
            Output::Cutout => self.write_alpha(target, top, rows),
            Output::Alpha => self.write_luma(target, top, rows),
        }
    }

    /// Makes `target` black, and clear where it has alpha: a cutout that shows nobody and keeps no
    /// colour of the frame under its alpha.
    pub fn clear(&self, target: &mut FrameViewMut<'_>) {
        let FrameLayout { format, width, height, .. } = self.to;
        for (index, component) in format.components().iter().enumerate() {
            let code = S::encode(black(&self.to, index), self.depth);
            for y in 0..component.height(height) {
                let row: &mut [S] = target.samples_mut(component.plane, y);
                let row = &mut row[component.offset..];
                let samples = row.iter_mut().step_by(component.step).take(component.width(width));
                samples.for_each(|sample| *sample = code);
            }
        }
    }

    /// Takes a row of the matte, times the frame's own alpha where it has one.
    fn read_opacity(
        &mut self,
        colors: Colors<'_>,
        matte: &mut dyn MatteRows<S>,
        target: &mut FrameViewMut<'_>,
        y: usize,
        row: usize,
    ) {
        let matte = matte.row(y);
        self.covers[row].copy_from_slice(matte.covers);
        self.opacity[row].copy_from_slice(matte.codes);
        if self.keeps_matte {
            self.matte[row].copy_from_slice(matte.codes);
        }
        if let Some(alpha) = self.from.format.alpha() {
            let (in_place, depth) = (self.works_in_place(), self.from.format.depth());
            let opacity = &mut self.opacity[row];
            match colors {
                // A matte alone may have other samples than the frame.
                Colors::Frame(frame) if depth.bits > 8 => {
                    multiply::<u16, S>(opacity, frame.samples(alpha.plane, y), alpha, depth);
                }
                Colors::Frame(frame) => {
                    multiply::<u8, S>(opacity, frame.samples(alpha.plane, y), alpha, depth);
                }
                Colors::InPlace if in_place => {
                    multiply::<S, S>(opacity, target.samples(alpha.plane, y), alpha, depth);
                }
                // A plane that was appended to a frame without alpha holds nothing yet.
                Colors::InPlace => return,
            }
            for cover in self.covers[row].iter_mut().filter(|cover| **cover == Cover::Opaque) {
                *cover = Cover::Soft;
            }
        }
    }

    /// Joins the covers of the block's rows into spans.
    fn find_spans(&mut self, rows: usize) {
        let [upper, lower] = &mut self.covers;
        if rows == 2 {
            for (upper, lower) in upper.iter_mut().zip(lower) {
                *upper = upper.with(*lower);
            }
        }
        self.spans.update(&self.to, upper);
    }

    fn transfer_colors(
        &mut self,
        layers: &Layers<'_, S>,
        target: &mut FrameViewMut<'_>,
        top: usize,
        rows: usize,
    ) {
        let Colors::Frame(frame) = layers.colors else { return };
        // What nobody will see is not needed: it is overwritten, by what is behind or by black.
        let hides = self.output == Output::Composite || layers.person.is_some();
        let is_needed = |cover: Cover| !hides || cover != Cover::Clear;
        let (format, spans) = (self.to.format, &self.spans);
        match &mut self.transfer {
            Transfer::Nothing => {}
            // Blending copies as it goes.
            Transfer::Copy if self.output == Output::Composite => {}
            Transfer::Copy => {
                for plane in 0..format.planes() {
                    for y in plane_rows(format, plane, top, rows) {
                        let (row, out) = (frame.samples(plane, y), target.samples_mut(plane, y));
                        copy_spans::<S>(row, out, spans.samples(plane, is_needed));
                    }
                }
            }
            Transfer::Convert(converter) => {
                for row in 0..rows {
                    let alpha = match self.output {
                        Output::Cutout => &self.opacity[row],
                        _ => &self.opaque,
                    };
                    let out = target.samples_mut(0, top + row);
                    for pixels in spans.pixels(is_needed) {
                        converter.convert(frame, top + row, pixels, alpha, out);
                    }
                    if self.output == Output::Cutout {
                        // The alpha that converting would have written.
                        spans
                            .samples(0, |cover| !is_needed(cover))
                            .for_each(|samples| out[samples].fill(S::NONE));
                    }
                }
            }
            Transfer::Planes => {
                let depths = [self.from.format.depth(), self.depth];
                for (index, source) in self.from.format.color_components().iter().enumerate() {
                    let plane = format.color_components()[index].plane;
                    for y in plane_rows(format, plane, top, rows) {
                        let row: &[S] = frame.samples(source.plane, y);
                        let out = target.samples_mut(plane, y);
                        for samples in spans.samples(plane, is_needed) {
                            let row = &row[samples.start * source.step..];
                            let out = &mut out[samples];
                            gather(row, source.offset, source.step, out);
                            if depths[0] != depths[1] {
                                move_codes(out, depths);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Leaves no colour of the old background in the block's pixels, those that are clear included.
    fn purify(
        &mut self,
        person: Option<Person<'_, S>>,
        target: &mut FrameViewMut<'_>,
        top: usize,
        rows: usize,
    ) {
        let Some(person) = person else { return };
        for plane in 0..self.to.format.planes() {
            for (index, y) in plane_rows(self.to.format, plane, top, rows).enumerate() {
                let row = target.samples_mut(plane, y);
                let mattes = [&self.matte[index][..], &self.chroma_matte];
                self.person_rows.apply(person, (plane, y), mattes, true, row);
            }
        }
    }

    /// Lays the block over the background: what is in `target` already, or else in `colors`.
    fn blend(
        &mut self,
        layers: &Layers<'_, S>,
        target: &mut FrameViewMut<'_>,
        top: usize,
        rows: usize,
    ) {
        let Layers { colors, person, backdrop } = *layers;
        let format = self.to.format;
        let alpha = format.alpha();
        let grain = Grain::from(self.depth);
        let backdrop_alpha = if alpha.is_some() { backdrop.alpha() } else { S::ALL };
        if backdrop_alpha != S::ALL {
            for row in 0..rows {
                weigh_over(&mut self.opacity[row], &mut self.weights[row], backdrop_alpha);
            }
        }
        let front = match (colors, &self.transfer) {
            (Colors::Frame(frame), Transfer::Copy) => Some(frame),
            _ => None,
        };
        let [upper, lower] = if backdrop_alpha == S::ALL { &self.opacity } else { &self.weights };
        let lower = if rows == 2 { lower } else { upper };
        self.spans.halve(format, [upper, lower], &mut self.chroma_weights);
        for plane in 0..format.planes() {
            if alpha.is_some_and(|alpha| alpha.plane == plane && plane > 0) {
                continue;
            }
            for (index, y) in plane_rows(format, plane, top, rows).enumerate() {
                let full = if index == 0 { upper } else { lower };
                let mut front = front.map(|frame| frame.samples::<S>(plane, y));
                let seen = self.spans.samples(plane, |cover| cover != Cover::Opaque);
                let behind = backdrop.row(plane, y, seen, &mut self.behind);
                let row = target.samples_mut::<S>(plane, y);
                if let Some(person) = person {
                    if let Some(front) = front.take() {
                        let seen = self.spans.samples(plane, |cover| cover != Cover::Clear);
                        copy_spans(front, row, seen);
                    }
                    let mattes = [&self.matte[index][..], &self.chroma_matte];
                    self.person_rows.apply(person, (plane, y), mattes, false, row);
                }
                for (cover, pixels, samples) in self.spans.all(plane) {
                    let (row, behind) = (&mut row[samples.clone()], &behind[samples.clone()]);
                    let front = front.map(|front| &front[samples]);
                    match (cover, front) {
                        (Cover::Clear, _) => row.copy_from_slice(behind),
                        (Cover::Opaque, Some(front)) => row.copy_from_slice(front),
                        (Cover::Opaque, None) => {}
                        (Cover::Soft, front) => {
                            let half = &self.chroma_weights[halved(&pixels)];
                            let full = &full[pixels];
                            let weights = spread(format, plane, full, half, &mut self.spread);
                            mix(row, front, behind, weights, grain);
                        }
                    }
                }
            }
        }
        if alpha.is_some() && backdrop_alpha == S::ALL {
            for row in &mut self.opacity[..rows] {
                row.fill(S::ALL);
            }
        }
        self.write_alpha(target, top, rows);
    }

    /// Writes the block's opacity into the output's alpha, where it has one.
    fn write_alpha(&self, target: &mut FrameViewMut<'_>, top: usize, rows: usize) {
        let Some(alpha) = self.to.format.alpha() else { return };
        for (row, opacity) in self.opacity[..rows].iter().enumerate() {
            let out = target.samples_mut(alpha.plane, top + row);
            if alpha.step == 1 {
                to_codes(opacity, self.depth, out);
            } else {
                for (pixel, opacity) in out.chunks_exact_mut(alpha.step).zip(opacity) {
                    pixel[alpha.offset] = S::of_weight(*opacity, self.depth);
                }
            }
        }
    }

    /// Writes the block's opacity as luma, without colour.
    fn write_luma(&self, target: &mut FrameViewMut<'_>, top: usize, rows: usize) {
        let (format, depth) = (self.to.format, self.depth);
        let (black, span) = self.to.color.range.luma(depth);
        // A plane of gray is alpha, whatever its colorimetry says of luma.
        let is_full = format.family() == Family::Gray || self.to.color.range == CodeRange::Full;
        let whole = S::ALL.number();
        let code = |opacity: S| S::encode(black + span * (opacity.number() / whole), depth);
        for plane in 0..format.planes() {
            for (index, y) in plane_rows(format, plane, top, rows).enumerate() {
                let out = target.samples_mut(plane, y);
                let components = format.components().iter().enumerate();
                let components = components.filter(|(_, component)| component.plane == plane);
                let step = components.clone().map(|(_, component)| component.step).min();
                if step.is_some_and(|step| components.clone().count() < step) {
                    // Padding, which is not to hold what was in that memory before.
                    out.fill(S::encode(255.0, depth));
                }
                for (number, component) in components {
                    let carries_luma = number == 0 || format.family() == Family::Rgb;
                    let opacity = &self.opacity[index];
                    if carries_luma && is_full && component.step == 1 {
                        to_codes(opacity, depth, out);
                        continue;
                    }
                    let samples = out[component.offset..].iter_mut().step_by(component.step);
                    if !carries_luma {
                        samples.for_each(|sample| *sample = S::encode(128.0, depth));
                    } else if is_full {
                        let pairs = samples.zip(opacity);
                        pairs.for_each(|(sample, &opacity)| *sample = S::of_weight(opacity, depth));
                    } else {
                        samples.zip(opacity).for_each(|(sample, opacity)| *sample = code(*opacity));
                    }
                }
            }
        }
    }
}

/// Multiplies a row of opacity by a frame's own alpha, which may have samples of another width.
fn multiply<A: Sample, S: Sample>(opacity: &mut [S], row: &[A], alpha: Component, depth: Depth) {
    let own = row[alpha.offset..].iter().step_by(alpha.step);
    for (opacity, own) in opacity.iter_mut().zip(own) {
        *opacity = opacity.times(S::of(own.to_weight(depth)));
    }
}

fn copy_spans<S: Sample>(row: &[S], out: &mut [S], spans: impl Iterator<Item = Range<usize>>) {
    for samples in spans {
        out[samples.clone()].copy_from_slice(&row[samples]);
    }
}

/// Weights as codes of alpha.
#[multiversion(targets = "simd")]
pub fn to_codes<S: Sample>(weights: &[S], depth: Depth, out: &mut [S]) {
    for (out, weight) in out.iter_mut().zip(weights) {
        *out = S::of_weight(*weight, depth);
    }
}

/// Makes samples of one depth such of another.
#[multiversion(targets = "simd")]
fn move_codes<S: Sample>(samples: &mut [S], [from, to]: [Depth; 2]) {
    for sample in samples {
        *sample = sample.raise(from).lower(to);
    }
}

/// The rows of a plane that belong to a block of luma rows.
fn plane_rows(format: PixelFormat, plane: usize, top: usize, rows: usize) -> Range<usize> {
    let shift = format.plane_v_shift(plane);
    (top >> shift)..(top + rows).div_ceil(1 << shift)
}

#[cfg(test)]
mod tests;
