// SPDX-License-Identifier: MIT

//! From the codes of one layout to those of another, in units of an 8-bit code.

use super::color::{Affine, Range};
use super::pixel_format::Family;
use super::view::FrameLayout;

/// From the codes of a frame to R'G'B' from 0 to 255.
pub fn codes_to_rgb(layout: &FrameLayout) -> Affine {
    let (color, depth) = (layout.color, layout.format.depth());
    match layout.format.family() {
        Family::Yuv => Affine::yuv_to_rgb(color, depth),
        _ => Affine::expand(color.range, depth),
    }
}

/// From R'G'B' from 0 to 255 to the codes of a layout.
pub fn rgb_to_codes(layout: &FrameLayout) -> Affine {
    let (color, depth) = (layout.color, layout.format.depth());
    match layout.format.family() {
        Family::Rgb => Affine::compress(color.range, depth),
        Family::Yuv | Family::Gray => Affine::rgb_to_yuv(color, depth),
    }
}

/// From the codes of one layout to those of another.
pub fn conversion(from: &FrameLayout, to: &FrameLayout) -> Affine {
    let same_matrix = from.color.matrix == to.color.matrix && from.color.range == to.color.range;
    // A limited range has the same codes in every depth, a full one another white.
    let same_white =
        from.color.range == Range::Limited || from.format.depth().bits == to.format.depth().bits;
    if from.format.family() == to.format.family() && same_matrix && same_white {
        return Affine::IDENTITY;
    }
    codes_to_rgb(from).then(&rgb_to_codes(to))
}

/// The code of a component in black.
pub fn black(layout: &FrameLayout, index: usize) -> f32 {
    match (layout.format.family(), index) {
        (Family::Yuv, 0) => layout.color.range.luma(layout.format.depth()).0,
        (Family::Yuv, 1 | 2) => 128.0,
        _ => 0.0,
    }
}
