//! The pixels of rows that are clear, opaque or soft alike, and the bytes that they have in every plane.

use std::ops::Range;

use super::blend::halve;
use super::frame_view::FrameLayout;
use super::matte::{PART, Part, runs};
use super::pixel_format::{MAX_PLANES, PixelFormat};

/// The pixels of a block that are alike in all of its rows, run by run.
pub struct Runs {
    parts: Vec<Part>,
    pixels: Vec<(Part, Range<usize>)>,
    /// The bytes of the same, in a row of each plane.
    bytes: [Vec<Range<usize>>; MAX_PLANES],
}

impl Runs {
    /// Of none yet, of frames of that layout.
    pub fn new(layout: &FrameLayout) -> Self {
        let most = layout.width.div_ceil(PART);
        Self {
            parts: Vec::with_capacity(most),
            pixels: Vec::with_capacity(most),
            bytes: std::array::from_fn(|_| Vec::with_capacity(most)),
        }
    }

    /// Takes over the runs of `parts`, which mostly are those of the block above.
    pub fn update(&mut self, layout: &FrameLayout, parts: &[Part]) {
        if self.parts == parts {
            return;
        }
        self.parts.clear();
        self.parts.extend_from_slice(parts);
        self.pixels.clear();
        self.pixels.extend(runs(parts, layout.width));
        for (plane, bytes) in self.bytes.iter_mut().enumerate() {
            let at = |x| layout.format.row_bytes(plane, x);
            bytes.clear();
            bytes.extend(self.pixels.iter().map(|(_, run)| at(run.start)..at(run.end)));
        }
    }

    /// The pixels of the runs of some parts.
    pub fn pixels(&self, which: impl Fn(Part) -> bool) -> impl Iterator<Item = Range<usize>> {
        let pixels = self.pixels.iter();
        joined(pixels.filter(move |(part, _)| which(*part)).map(|(_, run)| run.clone()))
    }

    /// The bytes of the same, in a row of a plane.
    pub fn bytes(
        &self,
        plane: usize,
        which: impl Fn(Part) -> bool,
    ) -> impl Iterator<Item = Range<usize>> {
        joined(self.all(plane).filter(move |(part, ..)| which(*part)).map(|(.., bytes)| bytes))
    }

    /// What every run is, its pixels, and its bytes in a row of a plane.
    pub fn all(&self, plane: usize) -> impl Iterator<Item = (Part, Range<usize>, Range<usize>)> {
        let bytes = self.bytes[plane].iter();
        let pairs = self.pixels.iter().zip(bytes);
        pairs.map(|((part, pixels), bytes)| (*part, pixels.clone(), bytes.clone()))
    }

    /// Brings two rows of weights to the chroma's resolution, if the format has one.
    pub fn halve(&self, format: PixelFormat, [upper, lower]: [&[u8]; 2], out: &mut [u8]) {
        if format.components().iter().all(|component| component.h_shift == 0) {
            return;
        }
        let vertically = format.is_vertically_subsampled();
        for (part, run) in &self.pixels {
            let out = &mut out[halved(run)];
            match part {
                Part::Clear => out.fill(0),
                Part::Opaque => out.fill(255),
                Part::Soft => halve(&upper[run.clone()], &lower[run.clone()], vertically, out),
            }
        }
    }
}

/// The same runs, those that follow on one another as one.
fn joined(runs: impl Iterator<Item = Range<usize>>) -> impl Iterator<Item = Range<usize>> {
    let mut runs = runs.peekable();
    std::iter::from_fn(move || {
        let mut run = runs.next()?;
        while let Some(next) = runs.next_if(|next| next.start == run.end) {
            run.end = next.end;
        }
        Some(run)
    })
}

/// A run at the chroma's resolution.
pub fn halved(run: &Range<usize>) -> Range<usize> {
    run.start / 2..run.end.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::color::Colorimetry;

    #[test]
    fn a_run_has_bytes_in_every_plane() {
        let layout = FrameLayout {
            format: PixelFormat::Nv12,
            width: 201,
            height: 2,
            color: Colorimetry::default(),
        };
        let mut runs = Runs::new(&layout);
        runs.update(&layout, &[Part::Clear, Part::Soft, Part::Soft, Part::Opaque]);
        let luma: Vec<_> = runs.all(0).collect();
        let soft = 64..192;
        assert_eq!(
            luma,
            [
                (Part::Clear, 0..64, 0..64),
                (Part::Soft, soft.clone(), soft.clone()),
                (Part::Opaque, 192..201, 192..201)
            ]
        );
        // The last pixel has a pair of chroma of its own.
        assert!(runs.bytes(1, |part| part == Part::Opaque).eq(std::iter::once(192..202)));
        assert_eq!(runs.pixels(|part| part == Part::Soft).collect::<Vec<_>>(), [soft]);
        // What lies side by side is done together.
        assert!(runs.pixels(|part| part != Part::Clear).eq(std::iter::once(64..201)));
        runs.update(&layout, &[Part::Opaque; 4]);
        assert!(runs.pixels(|_| true).eq(std::iter::once(0..201)));
    }

    #[test]
    fn soft_runs_alone_are_averaged() {
        let format = PixelFormat::I420;
        let layout = FrameLayout { format, width: 130, height: 2, color: Colorimetry::default() };
        let mut runs = Runs::new(&layout);
        runs.update(&layout, &[Part::Clear, Part::Opaque, Part::Soft]);
        let (upper, lower, mut half) = ([100; 130], [50; 130], [1; 65]);
        runs.halve(format, [&upper, &lower], &mut half);
        assert_eq!((half[31], half[32], half[64]), (0, 255, 75));
    }
}
