// SPDX-License-Identifier: MIT

//! Parts of a frame as a network's tiles show them.

use super::worker::copy_replicated;
use crate::matting::frame::size::Size;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::input::prepare::Preparer;
use crate::matting::matte::details::TILE;
use crate::matting::model::description::{Fit, InputDescription};

/// Takes tiles out of frames of one layout.
pub struct Pictures {
    frame: Size,
    /// Pixels along the side of what a network sees of a tile.
    side: usize,
    /// For parts of each size that there is: whole ones, and those that the frame's edges cut.
    preparers: Vec<(Size, Preparer)>,
    /// A part that was cut.
    part: Vec<f32>,
}

/// The pixels from `start` on that a network sees along an axis of `side` pixels, and those of them that are in
/// the frame.
fn seen(at: usize, side: usize, frame: usize) -> (isize, std::ops::Range<usize>) {
    let start = at as isize - ((side - TILE) / 2) as isize;
    (start, start.max(0) as usize..frame.min((start + side as isize) as usize))
}

impl Pictures {
    /// For frames of `layout`, and tiles of which the network sees `side` pixels.
    pub fn new(layout: &FrameLayout, side: usize) -> Self {
        let lengths = |frame: usize| {
            let mut lengths: Vec<_> =
                (0..frame).step_by(TILE).map(|at| seen(at, side, frame).1.len()).collect();
            lengths.sort_unstable();
            lengths.dedup();
            lengths
        };
        // As DAViD's, blue first and 1 for white, each sample a pixel.
        let description = InputDescription { fit: Fit::Stretch, ..Default::default() };
        let mut preparers = Vec::new();
        for height in lengths(layout.height) {
            for width in lengths(layout.width) {
                let (size, part) =
                    (Size { width, height }, FrameLayout { width, height, ..*layout });
                preparers.push((size, Preparer::new(&part, size, &description)));
            }
        }
        let frame = Size { width: layout.width, height: layout.height };
        Self { frame, side, preparers, part: vec![0.0; 3 * side * side] }
    }

    /// Writes what a network sees of the tile whose corner is at `corner` of a frame: three planes, row by row.
    /// Beyond the frame its last pixels go on.
    pub fn take(&mut self, frame: &FrameView<'_>, corner: [usize; 2], out: &mut [f32]) {
        let Self { side, preparers, part, .. } = self;
        let (left, columns) = seen(corner[0], *side, self.frame.width);
        let (top, rows) = seen(corner[1], *side, self.frame.height);
        let size = Size { width: columns.len(), height: rows.len() };
        let Some((_, preparer)) = preparers.iter_mut().find(|(of, _)| *of == size) else { return };
        let view = frame.part([columns.start, rows.start], size.width, size.height);
        if size == (Size { width: *side, height: *side }) {
            return preparer.prepare(&view, out);
        }
        let part = &mut part[..3 * size.area()];
        preparer.prepare(&view, part);
        let planes = part.chunks_exact(size.area()).zip(out.chunks_exact_mut(*side * *side));
        for (plane, out) in planes {
            for (index, out) in out.chunks_exact_mut(*side).enumerate() {
                let y = (top + index as isize).clamp(rows.start as isize, rows.end as isize - 1);
                let row = &plane[(y as usize - rows.start) * size.width..][..size.width];
                copy_replicated(row, left - columns.start as isize, out);
            }
        }
    }
}
