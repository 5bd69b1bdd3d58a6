// SPDX-License-Identifier: MIT

//! The pixels of rows that are clear, opaque or soft alike, and the samples that they have in every plane.

use std::ops::Range;

use crate::matting::frame::pixel_format::{MAX_PLANES, PixelFormat};
use crate::matting::frame::sample::Sample;
use crate::matting::frame::view::FrameLayout;
use crate::matting::kernels::samples::halve;

/// Pixels of a row that are looked at together.
pub const SPAN: usize = 64;

/// What a cover of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// 0 everywhere.
    Clear,
    /// 1 everywhere.
    Opaque,
    /// Anything.
    Soft,
}

impl Cover {
    /// What is left of both where rows are looked at together.
    pub fn with(self, other: Self) -> Self {
        if self == other { self } else { Self::Soft }
    }

    pub(super) fn of_opacity(opacity: f32) -> Self {
        match opacity {
            0.0 => Self::Clear,
            1.0 => Self::Opaque,
            _ => Self::Soft,
        }
    }

    pub(super) fn inverted(self) -> Self {
        match self {
            Self::Clear => Self::Opaque,
            Self::Opaque => Self::Clear,
            Self::Soft => Self::Soft,
        }
    }
}

/// The pixels of a row of `width` that are the same, cover by cover, in spans as long as can be.
pub fn spans(covers: &[Cover], width: usize) -> impl Iterator<Item = (Cover, Range<usize>)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (start, cover) = (at, *covers.get(at)?);
        let same = covers[start..].iter().take_while(|&&other| other == cover).count();
        at += same;
        Some((cover, start * SPAN..(at * SPAN).min(width)))
    })
}

/// The pixels of a block that are alike in all of its rows, span by span.
pub struct Spans {
    covers: Vec<Cover>,
    pixels: Vec<(Cover, Range<usize>)>,
    /// The samples of the same, in a row of each plane.
    samples: [Vec<Range<usize>>; MAX_PLANES],
}

impl Spans {
    /// Of none yet, of frames of that layout.
    pub fn new(layout: &FrameLayout) -> Self {
        let most = layout.width.div_ceil(SPAN);
        Self {
            covers: Vec::with_capacity(most),
            pixels: Vec::with_capacity(most),
            samples: std::array::from_fn(|_| Vec::with_capacity(most)),
        }
    }

    /// Takes over the spans of `covers`, which mostly are those of the block above.
    pub fn update(&mut self, layout: &FrameLayout, covers: &[Cover]) {
        if self.covers == covers {
            return;
        }
        self.covers.clear();
        self.covers.extend_from_slice(covers);
        self.pixels.clear();
        self.pixels.extend(spans(covers, layout.width));
        for (plane, samples) in self.samples.iter_mut().enumerate() {
            let at = |x| layout.format.row_samples(plane, x);
            samples.clear();
            samples.extend(self.pixels.iter().map(|(_, span)| at(span.start)..at(span.end)));
        }
    }

    /// The pixels of the spans of some covers.
    pub fn pixels(&self, which: impl Fn(Cover) -> bool) -> impl Iterator<Item = Range<usize>> {
        let pixels = self.pixels.iter();
        joined(pixels.filter(move |(cover, _)| which(*cover)).map(|(_, span)| span.clone()))
    }

    /// The samples of the same, in a row of a plane.
    pub fn samples(
        &self,
        plane: usize,
        which: impl Fn(Cover) -> bool,
    ) -> impl Iterator<Item = Range<usize>> {
        joined(
            self.all(plane).filter(move |(cover, ..)| which(*cover)).map(|(.., samples)| samples),
        )
    }

    /// What every span is, its pixels, and its samples in a row of a plane.
    pub fn all(&self, plane: usize) -> impl Iterator<Item = (Cover, Range<usize>, Range<usize>)> {
        let pairs = self.pixels.iter().zip(&self.samples[plane]);
        pairs.map(|((cover, pixels), samples)| (*cover, pixels.clone(), samples.clone()))
    }

    /// Brings two rows of weights to the chroma's resolution, if the format has one.
    pub fn halve<S: Sample>(&self, format: PixelFormat, [upper, lower]: [&[S]; 2], out: &mut [S]) {
        if format.components().iter().all(|component| component.h_shift == 0) {
            return;
        }
        let vertically = format.is_vertically_subsampled();
        for (cover, span) in &self.pixels {
            let out = &mut out[halved(span)];
            match cover {
                Cover::Clear => out.fill(S::NONE),
                Cover::Opaque => out.fill(S::ALL),
                Cover::Soft => halve(&upper[span.clone()], &lower[span.clone()], vertically, out),
            }
        }
    }
}

/// The same spans, those that follow on one another as one.
fn joined(spans: impl Iterator<Item = Range<usize>>) -> impl Iterator<Item = Range<usize>> {
    let mut spans = spans.peekable();
    std::iter::from_fn(move || {
        let mut span = spans.next()?;
        while let Some(next) = spans.next_if(|next| next.start == span.end) {
            span.end = next.end;
        }
        Some(span)
    })
}

/// A span at the chroma's resolution.
pub fn halved(span: &Range<usize>) -> Range<usize> {
    span.start / 2..span.end.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_samples_in_every_plane() {
        let layout = FrameLayout::new(PixelFormat::Nv12, 201, 2);
        let mut spans = Spans::new(&layout);
        spans.update(&layout, &[Cover::Clear, Cover::Soft, Cover::Soft, Cover::Opaque]);
        let luma: Vec<_> = spans.all(0).collect();
        let soft = 64..192;
        assert_eq!(
            luma,
            [
                (Cover::Clear, 0..64, 0..64),
                (Cover::Soft, soft.clone(), soft.clone()),
                (Cover::Opaque, 192..201, 192..201)
            ]
        );
        // The last pixel has a pair of chroma of its own.
        assert!(spans.samples(1, |cover| cover == Cover::Opaque).eq(std::iter::once(192..202)));
        assert_eq!(spans.pixels(|cover| cover == Cover::Soft).collect::<Vec<_>>(), [soft]);
        // What lies side by side is done together.
        assert!(spans.pixels(|cover| cover != Cover::Clear).eq(std::iter::once(64..201)));
        spans.update(&layout, &[Cover::Opaque; 4]);
        assert!(spans.pixels(|_| true).eq(std::iter::once(0..201)));
    }

    #[test]
    fn soft_runs_alone_are_averaged() {
        let format = PixelFormat::I420;
        let layout = FrameLayout::new(format, 130, 2);
        let mut spans = Spans::new(&layout);
        spans.update(&layout, &[Cover::Clear, Cover::Opaque, Cover::Soft]);
        let (upper, lower, mut half) = ([100u8; 130], [50; 130], [1; 65]);
        spans.halve(format, [&upper, &lower], &mut half);
        assert_eq!((half[31], half[32], half[64]), (0, 255, 75));
    }
}
