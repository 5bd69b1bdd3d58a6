// SPDX-License-Identifier: MIT

//! The shape of pixels.

use super::size::Size;

/// The most that one side of a pixel is taken to be of the other. No film has more than a third of that; a file that says
/// more is wrong, and what is made for its shape would be as large as it likes.
const MOST: u32 = 16;

/// How wide a pixel is shown, as a ratio to its height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PixelAspect {
    width: u32,
    height: u32,
}

impl PixelAspect {
    /// As wide as high.
    pub const SQUARE: Self = Self { width: 1, height: 1 };

    /// `width` to `height`, but not more than 16 to 1, nor less than 1 to 16; square where either is 0.
    pub const fn new(width: u32, height: u32) -> Self {
        if width == 0 || height == 0 {
            Self::SQUARE
        } else if width / MOST >= height {
            Self { width: MOST, height: 1 }
        } else if height / MOST >= width {
            Self { width: 1, height: MOST }
        } else {
            Self { width, height }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_shape_is_beyond_measure(width: u32, height: u32) {
            let ratio = PixelAspect::new(width, height).ratio();
            prop_assert!((1.0 / 16.0..=16.0).contains(&ratio));
            let given = f64::from(width) / f64::from(height);
            if (0.0626..15.9).contains(&given) {
                prop_assert_eq!(ratio, given);
            }
        }
    }

    #[test]
    fn what_films_have_stays() {
        for (width, height) in [(1, 1), (2, 1), (12, 11), (16, 15), (1, 4), (16, 1), (1, 16)] {
            let aspect = PixelAspect::new(width, height);
            assert_eq!(aspect.ratio(), f64::from(width) / f64::from(height));
        }
        assert_eq!(PixelAspect::new(0, 3), PixelAspect::SQUARE);
        assert_eq!(PixelAspect::new(1, 20_000_000), PixelAspect::new(1, 16));
        assert_eq!(PixelAspect::new(2_147_483_647, 1), PixelAspect::new(16, 1));
    }
}
