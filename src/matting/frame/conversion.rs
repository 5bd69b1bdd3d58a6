// SPDX-License-Identifier: MIT

//! From the codes of one layout to those of another.

use super::color::{Affine, Range};
use super::pixel_format::Family;
use super::view::FrameLayout;

/// From the codes of a frame to full-range RGB codes.
pub fn codes_to_rgb(layout: &FrameLayout) -> Affine {
    match (layout.format.family(), layout.color.range) {
        (Family::Yuv, _) => Affine::yuv_to_rgb(layout.color),
        (_, Range::Full) => Affine::IDENTITY,
        (_, Range::Limited) => Affine::expand(Range::Limited),
    }
}

/// From full-range RGB codes to the codes of a layout.
pub fn rgb_to_codes(layout: &FrameLayout) -> Affine {
    match (layout.format.family(), layout.color.range) {
        (Family::Rgb, Range::Full) => Affine::IDENTITY,
        (Family::Rgb, range) => Affine::compress(range),
        (Family::Yuv | Family::Gray, _) => Affine::rgb_to_yuv(layout.color),
    }
}

/// From the codes of one layout to those of another.
pub fn conversion(from: &FrameLayout, to: &FrameLayout) -> Affine {
    let same_matrix = from.color.matrix == to.color.matrix && from.color.range == to.color.range;
    if from.format.family() == to.format.family() && same_matrix {
        return Affine::IDENTITY;
    }
    codes_to_rgb(from).then(&rgb_to_codes(to))
}

/// The code of a component in black.
pub fn black(layout: &FrameLayout, index: usize) -> u8 {
    match (layout.format.family(), index) {
        (Family::Yuv, 0) => layout.color.range.luma().0 as u8,
        (Family::Yuv, 1 | 2) => 128,
        _ => 0,
    }
}
