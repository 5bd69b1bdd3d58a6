//! Matte, frame and background to the output's pixels.
//!
//! Works on blocks of one row, or two where two rows of luma share a row of chroma, so that all
//! that a block needs stays in the first-level cache. Composites are blended in the output's own
//! format, byte by byte, with the matte spread over the bytes that each pixel has.

use std::ops::Range;

use multiversion::multiversion;

use super::backdrop::{Backdrop, BackdropRow};
use super::convert::RowConverter;
use super::error::Error;
use super::finish::MatteRows;
use super::foreground::{Foreground, ForegroundRows, black};
use super::frame_view::{FrameLayout, FrameView, FrameViewMut};
use super::pixel_format::{Family, PixelFormat};

/// What leaves the matting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// The person over a background.
    Composite,
    /// The person with straight alpha.
    Cutout,
    /// The matte alone: as alpha plane, or as luma for looking at.
    Alpha,
}

impl Output {
    /// The formats in which frames of format `from` can leave, the cheapest first.
    pub fn formats(self, from: PixelFormat) -> Vec<PixelFormat> {
        use PixelFormat::*;
        let mut formats = match self {
            Self::Composite => {
                vec![from, Rgbx, Bgrx, Xrgb, Xbgr, Rgba, Bgra, Argb, Abgr, Rgb, Bgr]
            }
            Self::Cutout => {
                let mut formats = vec![Rgba, Bgra, Argb, Abgr, Ayuv];
                if matches!(from, I420 | Yv12 | Nv12 | Nv21 | A420) {
                    formats.insert(0, A420);
                }
                if let Some(same) = formats.iter().position(|&format| format == from) {
                    formats[..=same].rotate_right(1);
                }
                formats
            }
            Self::Alpha => vec![Gray8, Gray16Le, I420, Nv12, Yuy2, Bgrx],
        };
        let mut seen = Vec::new();
        formats.retain(|format| {
            !seen.contains(format) && {
                seen.push(*format);
                true
            }
        });
        formats
    }
}

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
pub struct Layers<'a> {
    /// The frame's colours.
    pub colors: Colors<'a>,
    /// The person's own, where the matte is soft; without it the frame's stay.
    pub foreground: Option<&'a Foreground>,
    /// What is behind the person.
    pub backdrop: &'a Backdrop,
}

/// How a frame's colours reach an output of another frame.
enum Transfer {
    /// The formats are the same.
    Copy,
    /// To packed pixels.
    Convert(Box<RowConverter>),
    /// From 4:2:0 of some kind to A420.
    Planes,
    /// The output has none.
    Nothing,
}

/// Composes outputs of one layout from frames of one layout.
pub struct Composer {
    from: FrameLayout,
    to: FrameLayout,
    output: Output,
    transfer: Transfer,
    /// Opacity of the block's rows, 0 to 255.
    opacity: [Vec<u8>; 2],
    /// Weight of the person's colours: the opacity, but where the background is not opaque.
    weights: [Vec<u8>; 2],
    /// The weights at the chroma's resolution.
    chroma_weights: Vec<u8>,
    /// The weights, spread over the bytes of a plane's row.
    spread: Vec<u8>,
    /// Whether `matte` is needed.
    keeps_matte: bool,
    /// The matte of the block's rows, without the frame's own alpha, for the person's colours.
    matte: [Vec<u8>; 2],
    /// The matte at the chroma's resolution.
    chroma_matte: Vec<u8>,
    /// A row of the background.
    behind: BackdropRow,
    /// Made when they are first needed.
    pub(super) foreground_rows: Option<Box<ForegroundRows>>,
    opaque: Vec<u8>,
    /// Bytes of a row in which the person's colours are told from those behind, run by run.
    runs: Vec<Range<usize>>,
}

impl Composer {
    /// # Errors
    /// [`Error::Conversion`] for a pair of formats that [`Output::formats`] does not offer.
    pub fn new(from: &FrameLayout, to: &FrameLayout, output: Output) -> Result<Self, Error> {
        if !output.formats(from.format).contains(&to.format) {
            return Err(Error::Conversion { from: from.format, to: to.format });
        }
        let transfer = match (output, to.format) {
            (Output::Alpha, _) => Transfer::Nothing,
            (_, format) if format == from.format => Transfer::Copy,
            (_, PixelFormat::A420) => Transfer::Planes,
            _ => Transfer::Convert(Box::new(RowConverter::new(from, to)?)),
        };
        let row_bytes = (0..to.format.planes()).map(|plane| to.format.row_bytes(plane, to.width));
        let row_bytes = row_bytes.max().unwrap_or(0);
        let row = || vec![0; to.width];
        Ok(Self {
            from: *from,
            to: *to,
            output,
            transfer,
            opacity: [row(), row()],
            weights: [row(), row()],
            chroma_weights: vec![0; to.width.div_ceil(2)],
            spread: vec![0; row_bytes],
            keeps_matte: false,
            matte: [row(), row()],
            chroma_matte: vec![0; to.width.div_ceil(2)],
            behind: BackdropRow::default(),
            foreground_rows: None,
            opaque: vec![255; to.width],
            runs: Vec::new(),
        })
    }

    /// Whether the output may be the frame itself.
    pub fn works_in_place(&self) -> bool {
        matches!(self.transfer, Transfer::Copy)
    }

    /// Writes `rows` of `target`, whose layout is the output's; the first of them is even.
    pub fn compose(
        &mut self,
        layers: &Layers<'_>,
        matte: &mut dyn MatteRows,
        rows: Range<usize>,
        target: &mut FrameViewMut<'_>,
    ) {
        debug_assert_eq!(*target.layout(), self.to);
        self.keeps_matte = layers.foreground.is_some();
        if let Some(foreground) = layers.foreground {
            self.foreground_rows.get_or_insert_with(|| Box::new(foreground.rows()));
        }
        let block = if self.to.format.is_vertically_subsampled() { 2 } else { 1 };
        for top in rows.clone().step_by(block) {
            let rows = block.min(rows.end - top);
            for row in 0..rows {
                self.read_opacity(layers.colors, matte, target, top + row, row);
            }
            self.transfer_colors(layers.colors, target, top, rows);
            if layers.foreground.is_some() {
                self.halve_matte(rows);
            }
            match self.output {
                Output::Composite => self.blend(layers, target, top, rows),
                _ => self.purify(layers.foreground, target, top, rows),
            }
            match self.output {
                Output::Composite => {}
                // Packing pixels has written their alpha already.
                Output::Cutout if matches!(self.transfer, Transfer::Convert(_)) => {}
                Output::Cutout => self.write_alpha(target, top, rows),
                Output::Alpha => self.write_luma(target, top, rows),
            }
        }
    }

    /// Makes `target` black, and clear where it has alpha: a cutout that shows nobody and keeps no
    /// colour of the frame under its alpha.
    pub fn clear(&self, target: &mut FrameViewMut<'_>) {
        let FrameLayout { format, width, height, .. } = self.to;
        for (index, component) in format.components().iter().enumerate() {
            let code = black(&self.to, index);
            for y in 0..component.height(height) {
                let row = &mut target.row_mut(component.plane, y)[component.offset..];
                let samples = row.iter_mut().step_by(component.step).take(component.width(width));
                samples.for_each(|sample| *sample = code);
            }
        }
    }

    /// Rounds a row of the matte, times the frame's own alpha where it has one.
    fn read_opacity(
        &mut self,
        colors: Colors<'_>,
        matte: &mut dyn MatteRows,
        target: &mut FrameViewMut<'_>,
        y: usize,
        row: usize,
    ) {
        let values = matte.row(y);
        let alpha = match colors {
            Colors::Frame(frame) => {
                self.from.format.alpha().map(|alpha| (alpha, frame.row(alpha.plane, y)))
            }
            // A plane that was appended to a frame without alpha holds nothing yet.
            Colors::InPlace if self.works_in_place() => {
                self.from.format.alpha().map(|alpha| (alpha, target.row(alpha.plane, y)))
            }
            Colors::InPlace => None,
        };
        if self.to.format == PixelFormat::Gray16Le {
            let own = |x: usize| {
                alpha.map_or(1.0, |(c, row)| f32::from(row[x * c.step + c.offset]) / 255.0)
            };
            for (x, value) in values.iter().enumerate() {
                let level = (value * own(x) * 65535.0).round() as u16;
                self.spread[2 * x..2 * x + 2].copy_from_slice(&level.to_le_bytes());
            }
            return;
        }
        quantise(values, &mut self.opacity[row]);
        if self.keeps_matte {
            self.matte[row].copy_from_slice(&self.opacity[row]);
        }
        if let Some((component, own)) = alpha {
            let own = own[component.offset..].iter().step_by(component.step);
            for (opacity, own) in self.opacity[row].iter_mut().zip(own) {
                *opacity = scale(*opacity, *own);
            }
        }
    }

    fn transfer_colors(
        &mut self,
        colors: Colors<'_>,
        target: &mut FrameViewMut<'_>,
        top: usize,
        rows: usize,
    ) {
        let Colors::Frame(frame) = colors else { return };
        match &mut self.transfer {
            Transfer::Nothing => {}
            // Blending copies as it goes.
            Transfer::Copy if self.output == Output::Composite => {}
            Transfer::Copy => {
                for plane in 0..self.to.format.planes() {
                    for y in plane_rows(self.to.format, plane, top, rows) {
                        target.row_mut(plane, y).copy_from_slice(frame.row(plane, y));
                    }
                }
            }
            Transfer::Convert(converter) => {
                for row in 0..rows {
                    let alpha = match self.output {
                        Output::Cutout => &self.opacity[row],
                        _ => &self.opaque,
                    };
                    converter.convert(frame, top + row, alpha, target.row_mut(0, top + row));
                }
            }
            Transfer::Planes => copy_planes(&self.from, &self.to, frame, target, top, rows),
        }
    }

    /// Brings the block's matte to the chroma's resolution.
    fn halve_matte(&mut self, rows: usize) {
        let format = self.to.format;
        if format.components().iter().any(|component| component.h_shift > 0) {
            let [upper, lower] = &self.matte;
            let lower = if rows == 2 { lower } else { upper };
            halve(upper, lower, format.is_vertically_subsampled(), &mut self.chroma_matte);
        }
    }

    /// Leaves no colour of the old background in the block's pixels, those that are clear included.
    fn purify(
        &mut self,
        foreground: Option<&Foreground>,
        target: &mut FrameViewMut<'_>,
        top: usize,
        rows: usize,
    ) {
        let Some((foreground, own)) = foreground.zip(self.foreground_rows.as_deref_mut()) else {
            return;
        };
        for plane in 0..self.to.format.planes() {
            for (index, y) in plane_rows(self.to.format, plane, top, rows).enumerate() {
                let row = target.row_mut(plane, y);
                let mattes = [&self.matte[index][..], &self.chroma_matte];
                foreground.apply(own, (plane, y), mattes, true, row);
            }
        }
    }

    /// Lays the block over the background: what is in `target` already, or else in `colors`.
    fn blend(
        &mut self,
        layers: &Layers<'_>,
        target: &mut FrameViewMut<'_>,
        top: usize,
        rows: usize,
    ) {
        let Layers { colors, foreground, backdrop } = *layers;
        let mut person = foreground.zip(self.foreground_rows.as_deref_mut());
        let alpha = self.to.format.alpha();
        let backdrop_alpha = if alpha.is_some() { backdrop.alpha() } else { 255 };
        for row in 0..rows {
            if backdrop_alpha == 255 {
                self.weights[row].copy_from_slice(&self.opacity[row]);
            } else {
                weigh_over(&mut self.opacity[row], &mut self.weights[row], backdrop_alpha);
            }
        }
        let front = match (colors, &self.transfer) {
            (Colors::Frame(frame), Transfer::Copy) => Some(frame),
            _ => None,
        };
        let [upper, lower] = &self.weights;
        let lower = if rows == 2 { lower } else { upper };
        if self.to.format.components().iter().any(|component| component.h_shift > 0) {
            halve(
                upper,
                lower,
                self.to.format.is_vertically_subsampled(),
                &mut self.chroma_weights,
            );
        }
        for plane in 0..self.to.format.planes() {
            if alpha.is_some_and(|alpha| alpha.plane == plane && plane > 0) {
                continue;
            }
            for (index, y) in plane_rows(self.to.format, plane, top, rows).enumerate() {
                let full = if index == 0 { upper } else { lower };
                let weights =
                    spread(self.to.format, plane, full, &self.chroma_weights, &mut self.spread);
                let front = front.map(|frame| frame.row(plane, y));
                let behind = backdrop.row(plane, y, &mut self.behind);
                let row = target.row_mut(plane, y);
                self.runs.clear();
                if let Some((foreground, own)) = &mut person {
                    join_spans(foreground.runs(own, plane, y), row.len(), &mut self.runs);
                }
                if let Some(front) = front {
                    // The runs as well, which brings all of the row into the cache in one go.
                    mix(row, Some(front), behind, weights);
                    let runs = self.runs.iter().cloned();
                    runs.for_each(|run| row[run.clone()].copy_from_slice(&front[run]));
                } else {
                    let starts = std::iter::once(0).chain(self.runs.iter().map(|run| run.end));
                    let ends = self.runs.iter().map(|run| run.start).chain([row.len()]);
                    for gap in starts.zip(ends).map(|(start, end)| start..end) {
                        mix(&mut row[gap.clone()], None, &behind[gap.clone()], &weights[gap]);
                    }
                }
                if let Some((foreground, own)) = &mut person
                    && !self.runs.is_empty()
                {
                    let mattes = [&self.matte[index][..], &self.chroma_matte];
                    foreground.apply(own, (plane, y), mattes, false, row);
                }
                for run in self.runs.iter().cloned() {
                    mix(&mut row[run.clone()], None, &behind[run.clone()], &weights[run]);
                }
            }
        }
        if alpha.is_some() && backdrop_alpha == 255 {
            for row in &mut self.opacity[..rows] {
                row.fill(255);
            }
        }
        self.write_alpha(target, top, rows);
    }

    /// Writes the block's opacity into the output's alpha, where it has one.
    fn write_alpha(&self, target: &mut FrameViewMut<'_>, top: usize, rows: usize) {
        let Some(alpha) = self.to.format.alpha() else { return };
        for (row, opacity) in self.opacity[..rows].iter().enumerate() {
            let out = target.row_mut(alpha.plane, top + row);
            if alpha.step == 1 {
                out.copy_from_slice(opacity);
            } else {
                for (pixel, opacity) in out.chunks_exact_mut(alpha.step).zip(opacity) {
                    pixel[alpha.offset] = *opacity;
                }
            }
        }
    }

    /// Writes the block's opacity as luma, without colour.
    fn write_luma(&self, target: &mut FrameViewMut<'_>, top: usize, rows: usize) {
        if self.to.format == PixelFormat::Gray16Le {
            let row = target.row_mut(0, top);
            let bytes = row.len();
            row.copy_from_slice(&self.spread[..bytes]);
            return;
        }
        let (black, span) = match self.to.format.family() {
            // A plane of gray is alpha, whatever its colorimetry says of luma.
            Family::Gray => (0.0, 255.0),
            _ => self.to.color.range.luma(),
        };
        let code = |opacity: u8| (black + span * f32::from(opacity) / 255.0).round() as u8;
        let full_range = (black, span) == (0.0, 255.0);
        for plane in 0..self.to.format.planes() {
            for (index, y) in plane_rows(self.to.format, plane, top, rows).enumerate() {
                let out = target.row_mut(plane, y);
                for (number, component) in self.to.format.components().iter().enumerate() {
                    if component.plane != plane {
                        continue;
                    }
                    let carries_luma = number == 0 || self.to.format.family() == Family::Rgb;
                    let opacity = &self.opacity[index];
                    if carries_luma && full_range && component.step == 1 {
                        out.copy_from_slice(opacity);
                        continue;
                    }
                    let samples = out[component.offset..].iter_mut().step_by(component.step);
                    if !carries_luma {
                        samples.for_each(|sample| *sample = 128);
                    } else if full_range {
                        samples.zip(opacity).for_each(|(sample, opacity)| *sample = *opacity);
                    } else {
                        samples.zip(opacity).for_each(|(sample, opacity)| *sample = code(*opacity));
                    }
                }
            }
        }
    }
}

/// The rows of a plane that belong to a block of luma rows.
fn plane_rows(format: PixelFormat, plane: usize, top: usize, rows: usize) -> Range<usize> {
    let shift = format.plane_v_shift(plane);
    (top >> shift)..(top + rows).div_ceil(1 << shift)
}

/// Copies luma and chroma from any 4:2:0 layout into A420's planes.
fn copy_planes(
    from: &FrameLayout,
    to: &FrameLayout,
    frame: &FrameView<'_>,
    target: &mut FrameViewMut<'_>,
    top: usize,
    rows: usize,
) {
    let pairs = from.format.color_components().iter().zip(to.format.color_components());
    for (source, component) in pairs {
        for y in plane_rows(to.format, component.plane, top, rows) {
            let samples = frame.row(source.plane, y)[source.offset..].iter().step_by(source.step);
            for (out, sample) in target.row_mut(component.plane, y).iter_mut().zip(samples) {
                *out = *sample;
            }
        }
    }
}

/// [0, 1] to 0 to 255, rounded.
#[multiversion(targets = "simd")]
pub(super) fn quantise(values: &[f32], out: &mut [u8]) {
    // Adding 1.5 · 2^23 leaves the rounded integer in the low bits of the float, which unlike a
    // saturating cast is one instruction.
    const ROUND: f32 = 12_582_912.0;
    for (out, value) in out.iter_mut().zip(values) {
        *out = (value * 255.0 + ROUND).to_bits() as u8;
    }
}

/// a · b / 255, rounded.
fn scale(a: u8, b: u8) -> u8 {
    let product = u16::from(a) * u16::from(b) + 128;
    ((product + (product >> 8)) >> 8) as u8
}

/// For a background that is itself `alpha` opaque: the opacity of the whole, and the person's
/// share of its straight colours (Porter and Duff 1984, "over").
fn weigh_over(opacity: &mut [u8], weights: &mut [u8], alpha: u8) {
    for (opacity, weight) in opacity.iter_mut().zip(weights) {
        let person = u32::from(*opacity);
        let whole = person + u32::from(scale(255 - *opacity, alpha));
        *weight = (person * 255 + whole / 2).checked_div(whole).unwrap_or(0) as u8;
        *opacity = whole as u8;
    }
}

/// The means over pairs of columns, and over both rows where `vertically`.
#[multiversion(targets = "simd")]
fn halve(upper: &[u8], lower: &[u8], vertically: bool, out: &mut [u8]) {
    let pairs = upper.len() / 2;
    if vertically {
        let rows = upper.chunks_exact(2).zip(lower.chunks_exact(2));
        for (out, (a, b)) in out[..pairs].iter_mut().zip(rows) {
            let sum = u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]);
            *out = ((sum + 2) >> 2) as u8;
        }
    } else {
        for (out, a) in out[..pairs].iter_mut().zip(upper.chunks_exact(2)) {
            *out = ((u16::from(a[0]) + u16::from(a[1]) + 1) >> 1) as u8;
        }
    }
    if let ([.., a], [.., b], Some(last)) = (upper, lower, out.get_mut(pairs)) {
        *last = if vertically { ((u16::from(*a) + u16::from(*b) + 1) >> 1) as u8 } else { *a };
    }
}

/// Weights for every byte of a plane's row.
pub(super) fn spread<'a>(
    format: PixelFormat,
    plane: usize,
    full: &'a [u8],
    half: &'a [u8],
    out: &'a mut [u8],
) -> &'a [u8] {
    let mut components = format.in_plane(plane);
    let Some(first) = components.next() else { return full };
    let weights = if first.h_shift > 0 { half } else { full };
    match (first.step, format.family(), first.h_shift) {
        (1, ..) => weights,
        // All bytes of a packed pixel weigh the same.
        (3, ..) => repeat::<3>(weights, out),
        (4, Family::Rgb, _) | (4, _, 0) => repeat::<4>(weights, out),
        (2, _, 1) => repeat::<2>(weights, out),
        _ => interleave(first.offset, full, half, out),
    }
}

#[multiversion(targets = "simd")]
fn repeat<'a, const N: usize>(weights: &[u8], out: &'a mut [u8]) -> &'a [u8] {
    for (bytes, weight) in out.chunks_exact_mut(N).zip(weights) {
        bytes.fill(*weight);
    }
    &out[..N * weights.len()]
}

/// For packed 4:2:2, luma at `luma` of every two bytes and chroma at the other.
#[multiversion(targets = "simd")]
fn interleave<'a>(luma: usize, full: &[u8], half: &[u8], out: &'a mut [u8]) -> &'a [u8] {
    let pairs = full.len() / 2;
    for (bytes, (full, half)) in out.chunks_exact_mut(4).zip(full.chunks_exact(2).zip(half)) {
        let pixels = [*half, full[1], *half, full[0]];
        let word = u32::from_be_bytes(pixels).rotate_left(8 * luma as u32);
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    // An odd last pixel has a pair of its own, whose second luma nobody sees.
    if let ([.., last], Some(bytes)) = (&full[2 * pairs..], out.get_mut(4 * pairs..)) {
        for (byte, at) in bytes.iter_mut().zip(0..) {
            *byte = if at % 2 == luma { *last } else { half[pairs] };
        }
    }
    out
}

/// Bytes of a row that are looked at together: most of a matte is 0 or 1.
const SPAN: usize = 64;

/// Widens runs of bytes to whole spans of a row of `n` bytes, which are mixed together.
fn join_spans(runs: impl Iterator<Item = Range<usize>>, n: usize, out: &mut Vec<Range<usize>>) {
    for run in runs {
        let run = run.start / SPAN * SPAN..run.end.next_multiple_of(SPAN).min(n);
        match out.last_mut() {
            Some(last) if last.end >= run.start => last.end = run.end,
            _ => out.push(run),
        }
    }
}

/// `out` = (front · weight + behind · (255 − weight)) / 255, rounded. Without a `front`, `out` is it.
#[multiversion(targets = "simd")]
fn mix(out: &mut [u8], front: Option<&[u8]>, behind: &[u8], weights: &[u8]) {
    let n = out.len();
    let whole = n - n % SPAN;
    for start in (0..whole).step_by(SPAN) {
        // Spans whose length the compiler knows become straight vector code.
        let span = start..start + SPAN;
        let front = front.map(|front| &front[span.clone()]);
        mix_span(&mut out[span.clone()], front, &behind[span.clone()], &weights[span]);
    }
    let front = front.map(|front| &front[whole..n]);
    mix_span(&mut out[whole..], front, &behind[whole..n], &weights[whole..n]);
}

#[inline(always)]
fn mix_span(out: &mut [u8], front: Option<&[u8]>, behind: &[u8], weights: &[u8]) {
    if weights.iter().fold(0, |any, weight| any | weight) == 0 {
        out.copy_from_slice(behind);
        return;
    }
    if let Some(front) = front {
        out.copy_from_slice(front);
    }
    if weights.iter().fold(255, |all, weight| all & weight) == 255 {
        return;
    }
    for ((out, behind), weight) in out.iter_mut().zip(behind).zip(weights) {
        let weight = u16::from(*weight);
        let sum = u16::from(*out) * weight + u16::from(*behind) * (255 - weight) + 128;
        *out = ((sum + (sum >> 8)) >> 8) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::backdrop::Background;
    use crate::matting::color::{Colorimetry, Range};
    use crate::matting::finish::SameRows;
    use crate::matting::frame_view::OwnedFrame;

    fn layout(format: PixelFormat, width: usize, height: usize) -> FrameLayout {
        let range = if format.family() == Family::Yuv { Range::Limited } else { Range::Full };
        FrameLayout { format, width, height, color: Colorimetry { range, ..Default::default() } }
    }

    fn noise(layout: FrameLayout) -> OwnedFrame {
        let mut frame = OwnedFrame::new(layout);
        for plane in 0..layout.format.planes() {
            for y in 0..layout.format.plane_rows(plane, layout.height) {
                for (x, byte) in frame.view_mut().row_mut(plane, y).iter_mut().enumerate() {
                    *byte = (x * 37 + y * 101 + plane * 59) as u8;
                }
            }
        }
        // Opaque, where there is alpha.
        if let Some(alpha) = layout.format.alpha() {
            for y in 0..layout.height {
                let mut view = frame.view_mut();
                let row = view.row_mut(alpha.plane, y);
                row[alpha.offset..].iter_mut().step_by(alpha.step).for_each(|byte| *byte = 255);
            }
        }
        frame
    }

    fn compose(
        frame: &OwnedFrame,
        to: FrameLayout,
        output: Output,
        matte: f32,
        background: Background,
    ) -> OwnedFrame {
        let from = *frame.view().layout();
        let mut composer = Composer::new(&from, &to, output).unwrap();
        let mut backdrop = Backdrop::new(&background, &from, &to).unwrap();
        let mut target = OwnedFrame::new(to);
        let mut matte = SameRows(vec![matte; from.width]);
        let view = frame.view();
        backdrop.update(&view, &mut matte);
        let layers = Layers { colors: Colors::Frame(&view), foreground: None, backdrop: &backdrop };
        composer.compose(&layers, &mut matte, 0..from.height, &mut target.view_mut());
        target
    }

    const SINKS: usize = 21;

    #[test]
    fn every_pair_that_is_offered_is_made_at_every_size() {
        for from in &PixelFormat::ALL[..SINKS] {
            for output in [Output::Composite, Output::Cutout, Output::Alpha] {
                for to in output.formats(*from) {
                    for (width, height) in [(1, 1), (2, 2), (3, 5), (1, 4), (6, 1)] {
                        let frame = noise(layout(*from, width, height));
                        for background in [
                            Background::Color(0x80112233),
                            Background::Blur(0.1),
                            Background::Checkerboard,
                        ] {
                            compose(&frame, layout(to, width, height), output, 0.4, background);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_opaque_matte_keeps_the_frame_and_a_clear_one_shows_the_background() {
        for format in &PixelFormat::ALL[..SINKS] {
            let layout = layout(*format, 7, 5);
            let frame = noise(layout);
            let kept =
                compose(&frame, layout, Output::Composite, 1.0, Background::Color(0xff00ff00));
            let other = noise_shifted(layout);
            let gone = [&frame, &other].map(|frame| {
                compose(frame, layout, Output::Composite, 0.0, Background::Color(0xff00ff00))
            });
            for plane in 0..format.planes() {
                for y in 0..format.plane_rows(plane, 5) {
                    for component in format.in_plane(plane) {
                        for x in 0..component.width(7) {
                            let at = x * component.step + component.offset;
                            assert_eq!(
                                kept.row(plane, y)[at],
                                frame.row(plane, y)[at],
                                "{format:?}"
                            );
                            assert_eq!(
                                gone[0].row(plane, y)[at],
                                gone[1].row(plane, y)[at],
                                "{format:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    fn noise_shifted(layout: FrameLayout) -> OwnedFrame {
        let mut frame = noise(layout);
        for plane in 0..layout.format.planes() {
            for y in 0..layout.format.plane_rows(plane, layout.height) {
                let mut view = frame.view_mut();
                view.row_mut(plane, y)
                    .iter_mut()
                    .for_each(|byte| *byte = byte.wrapping_mul(5) ^ 0x55);
            }
        }
        frame
    }

    #[test]
    fn in_place_is_the_same_as_beside() {
        for format in &PixelFormat::ALL[..SINKS] {
            for output in [Output::Composite, Output::Cutout] {
                let layout = layout(*format, 7, 5);
                if !output.formats(*format).contains(format) {
                    continue;
                }
                let mut frame = noise(layout);
                let background = Background::Color(0x40102030);
                let want = compose(&frame, layout, output, 0.3, background.clone());
                let mut composer = Composer::new(&layout, &layout, output).unwrap();
                let backdrop = Backdrop::new(&background, &layout, &layout).unwrap();
                let layers =
                    Layers { colors: Colors::InPlace, foreground: None, backdrop: &backdrop };
                let matte = &mut SameRows(vec![0.3; 7]);
                composer.compose(&layers, matte, 0..5, &mut frame.view_mut());
                for plane in 0..format.planes() {
                    for y in 0..format.plane_rows(plane, 5) {
                        assert_eq!(
                            frame.row(plane, y),
                            want.row(plane, y),
                            "{format:?} {output:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_cutout_carries_the_matte_times_the_frame_s_own_alpha() {
        let layout = layout(PixelFormat::Rgba, 2, 1);
        let mut frame = OwnedFrame::new(layout);
        frame.view_mut().row_mut(0, 0).copy_from_slice(&[9, 8, 7, 255, 6, 5, 4, 128]);
        let cutout = compose(&frame, layout, Output::Cutout, 0.5, Background::Checkerboard);
        assert_eq!(cutout.row(0, 0), [9, 8, 7, 128, 6, 5, 4, 64]);
    }

    #[test]
    fn a_cleared_cutout_keeps_nothing_of_what_was_there() {
        for from in &PixelFormat::ALL[..SINKS] {
            for to in Output::Cutout.formats(*from) {
                let (from, to) = (layout(*from, 7, 5), layout(to, 7, 5));
                let composer = Composer::new(&from, &to, Output::Cutout).unwrap();
                let [one, other] = [noise(to), noise_shifted(to)].map(|mut target| {
                    composer.clear(&mut target.view_mut());
                    target
                });
                let alpha = to.format.alpha().unwrap();
                for plane in 0..to.format.planes() {
                    for y in 0..to.format.plane_rows(plane, 5) {
                        assert_eq!(one.row(plane, y), other.row(plane, y), "{:?}", to.format);
                    }
                }
                assert_eq!(one.row(alpha.plane, 2)[alpha.offset], 0);
            }
        }
    }

    #[test]
    fn half_over_a_half_clear_background_is_three_quarters_opaque() {
        let layout = layout(PixelFormat::Rgba, 1, 1);
        let mut frame = OwnedFrame::new(layout);
        frame.view_mut().row_mut(0, 0).copy_from_slice(&[255, 255, 255, 255]);
        let target = compose(&frame, layout, Output::Composite, 0.5, Background::Color(0x80000000));
        // 1/2 of white over 1/2 · 1/2 of black: 2/3 white, 3/4 opaque.
        let row = target.row(0, 0);
        assert!(row[0].abs_diff(170) <= 1 && row[3].abs_diff(191) <= 1, "{row:?}");
    }

    #[test]
    fn the_matte_as_luma_honours_the_range() {
        let gray = noise(layout(PixelFormat::Gray8, 2, 2));
        for (to, white) in
            [(PixelFormat::Gray8, 255), (PixelFormat::I420, 235), (PixelFormat::Bgrx, 255)]
        {
            let out =
                compose(&gray, layout(to, 2, 2), Output::Alpha, 1.0, Background::Checkerboard);
            assert_eq!(out.row(0, 1)[0], white, "{to:?}");
        }
        let out = compose(
            &gray,
            layout(PixelFormat::Gray16Le, 2, 2),
            Output::Alpha,
            0.5,
            Background::Checkerboard,
        );
        assert_eq!(out.row(0, 0), [0x00, 0x80, 0x00, 0x80]);
    }

    #[test]
    fn mixing_is_exact_for_all_bytes() {
        for weight in 0..=255u8 {
            let mut row: Vec<u8> = (0..=255).collect();
            mix(&mut row, None, &[77; 256], &[weight; 256]);
            for (value, mixed) in row.iter().enumerate() {
                let w = f64::from(weight) / 255.0;
                let want = value as f64 * w + 77.0 * (1.0 - w);
                assert!((f64::from(*mixed) - want).abs() <= 0.5 + 1e-9);
            }
        }
    }
}
