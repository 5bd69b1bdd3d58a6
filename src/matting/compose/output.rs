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
    /// Two pictures in one of twice the height: the person over black, which is called the fill, and below
    /// it the matte as luma, the key. The height of the frame has to be even where chroma is shared by rows.
    KeyFill,
}

impl Output {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Composite, Self::Cutout, Self::Alpha, Self::KeyFill];

    /// How many pictures of the frame's size leave, one below the other.
    pub fn pictures(self) -> usize {
        match self {
            Self::KeyFill => 2,
            _ => 1,
        }
    }

    /// Whether such pictures of so many rows can lie below each other in a format.
    pub fn divides(self, format: PixelFormat, height: usize) -> bool {
        let shares_rows = (0..format.planes()).any(|plane| format.plane_v_shift(plane) > 0);
        self.pictures() == 1 || !shares_rows || height.is_multiple_of(2)
    }

    /// The formats in which frames of format `from` can leave, the cheapest first.
    pub fn formats(self, from: PixelFormat) -> Vec<PixelFormat> {
        use PixelFormat::*;
        // What has more than 8 bits stays so, whatever becomes of it.
        let is_deep = from.depth().bits > 8;
        let mut formats = match (self, is_deep) {
            (Self::Composite, false) => {
                vec![from, Rgbx, Bgrx, Xrgb, Xbgr, Rgba, Bgra, Argb, Abgr, Rgb, Bgr]
            }
            (Self::Composite, true) => vec![from, Argb64, Rgba64Le],
            (Self::Cutout, _) => {
                let planes = [A420, A420_10Le, A422_10Le, A444_10Le, Gbra10Le].into_iter();
                let pixels: &[_] = match is_deep {
                    false => &[Rgba, Bgra, Argb, Abgr, Ayuv],
                    true => &[Argb64, Rgba64Le],
                };
                let mut formats: Vec<_> = planes.filter(|to| to.has_planes_of(from)).collect();
                formats.extend(pixels);
                if let Some(same) = formats.iter().position(|&format| format == from) {
                    formats[..=same].rotate_right(1);
                }
                formats
            }
            (Self::Alpha, false) => vec![Gray8, Gray16Le, I420, Nv12, Yuy2, Bgrx],
            (Self::Alpha, true) => {
                let deep = [Gray16Le, I420_10Le, I422_10Le, P010_10Le, V210];
                [&deep[..], &[Gray8, I420, Nv12, Yuy2, Bgrx]].concat()
            }
            (Self::KeyFill, _) => {
                let keys = Self::Alpha.formats(from);
                let fills = Self::Composite.formats(from).into_iter();
                fills.filter(|format| keys.contains(format)).collect()
            }
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
