// SPDX-License-Identifier: MIT

//! What leaves the matting, and in which formats.

use crate::matting::frame::pixel_format::PixelFormat;

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
