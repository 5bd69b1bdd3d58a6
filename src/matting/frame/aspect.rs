// SPDX-License-Identifier: MIT

//! The shape of pixels.

use super::size::Size;

/// How wide a pixel is shown, as a ratio to its height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PixelAspect {
    width: u32,
    height: u32,
}

impl PixelAspect {
    /// As wide as high.
    pub const SQUARE: Self = Self { width: 1, height: 1 };

    /// `width` to `height`; square where either is 0.
    pub const fn new(width: u32, height: u32) -> Self {
        if width == 0 || height == 0 { Self::SQUARE } else { Self { width, height } }
    }

    /// How large so many pixels are shown, in lengths of a pixel's height.
    pub fn shown(self, pixels: Size) -> Size {
        let width = (pixels.width as f64 * self.ratio()).round() as usize;
        Size { width: width.max(1), ..pixels }
    }

    /// As one number.
    pub fn ratio(self) -> f64 {
        f64::from(self.width) / f64::from(self.height)
    }
}

impl Default for PixelAspect {
    fn default() -> Self {
        Self::SQUARE
    }
}
