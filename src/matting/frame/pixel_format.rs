// SPDX-License-Identifier: MIT

//! The pixel formats that frames come in, described by where their components lie.
//!
//! Everything that touches pixels works from these descriptions, so that a format is added by
//! one table row and not by another code path.

/// A pixel format, named as GStreamer names it.
///
/// All components are 8 bits wide, but for [`PixelFormat::Gray16Le`], which only ever leaves the
/// matting (as an alpha plane).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum PixelFormat {
    I420,
    Yv12,
    Nv12,
    Nv21,
    Yuy2,
    Uyvy,
    Y42b,
    Y444,
    Ayuv,
    A420,
    Rgb,
    Bgr,
    Rgbx,
    Bgrx,
    Xrgb,
    Xbgr,
    Rgba,
    Bgra,
    Argb,
    Abgr,
    Gray8,
    Gray16Le,
}

/// What the components of a format mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// One component: luma.
    Gray,
    /// Red, green, blue and perhaps alpha.
    Rgb,
    /// Luma, two colour differences and perhaps alpha.
    Yuv,
}

/// Where one component of a format lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// Index of the plane that holds it.
    pub plane: usize,
    /// Bytes from the start of a row to its first sample.
    pub offset: usize,
    /// Bytes from one sample to the next.
    pub step: usize,
    /// log2 of the horizontal subsampling.
    pub h_shift: u32,
    /// log2 of the vertical subsampling.
    pub v_shift: u32,
}

impl Component {
    const fn packed(offset: usize, step: usize) -> Self {
        Self { plane: 0, offset, step, h_shift: 0, v_shift: 0 }
    }

    const fn planar(plane: usize, h_shift: u32, v_shift: u32) -> Self {
        Self { plane, offset: 0, step: 1, h_shift, v_shift }
    }

    const fn subsampled(
        plane: usize,
        offset: usize,
        step: usize,
        h_shift: u32,
        v_shift: u32,
    ) -> Self {
        Self { plane, offset, step, h_shift, v_shift }
    }

    /// Samples in a row of a frame `width` pixels wide.
    pub const fn width(&self, width: usize) -> usize {
        width.div_ceil(1 << self.h_shift)
    }

    /// Rows of samples in a frame `height` pixels high.
    pub const fn height(&self, height: usize) -> usize {
        height.div_ceil(1 << self.v_shift)
    }
}

/// The most planes that any format has.
pub const MAX_PLANES: usize = 4;

const GRAY: &[Component] = &[Component::packed(0, 1)];
const GRAY16: &[Component] = &[Component::packed(0, 2)];
const I420: &[Component] =
    &[Component::planar(0, 0, 0), Component::planar(1, 1, 1), Component::planar(2, 1, 1)];
const YV12: &[Component] =
    &[Component::planar(0, 0, 0), Component::planar(2, 1, 1), Component::planar(1, 1, 1)];
const A420: &[Component] = &[
    Component::planar(0, 0, 0),
    Component::planar(1, 1, 1),
    Component::planar(2, 1, 1),
    Component::planar(3, 0, 0),
];
const Y42B: &[Component] =
    &[Component::planar(0, 0, 0), Component::planar(1, 1, 0), Component::planar(2, 1, 0)];
const Y444: &[Component] =
    &[Component::planar(0, 0, 0), Component::planar(1, 0, 0), Component::planar(2, 0, 0)];
const NV12: &[Component] = &[
    Component::planar(0, 0, 0),
    Component::subsampled(1, 0, 2, 1, 1),
    Component::subsampled(1, 1, 2, 1, 1),
];
const NV21: &[Component] = &[
    Component::planar(0, 0, 0),
    Component::subsampled(1, 1, 2, 1, 1),
    Component::subsampled(1, 0, 2, 1, 1),
];
const YUY2: &[Component] = &[
    Component::packed(0, 2),
    Component::subsampled(0, 1, 4, 1, 0),
    Component::subsampled(0, 3, 4, 1, 0),
];
const UYVY: &[Component] = &[
    Component::packed(1, 2),
    Component::subsampled(0, 0, 4, 1, 0),
    Component::subsampled(0, 2, 4, 1, 0),
];
const AYUV: &[Component] = &[
    Component::packed(1, 4),
    Component::packed(2, 4),
    Component::packed(3, 4),
    Component::packed(0, 4),
];
const RGB: &[Component] =
    &[Component::packed(0, 3), Component::packed(1, 3), Component::packed(2, 3)];
const BGR: &[Component] =
    &[Component::packed(2, 3), Component::packed(1, 3), Component::packed(0, 3)];
const RGBX: &[Component] =
    &[Component::packed(0, 4), Component::packed(1, 4), Component::packed(2, 4)];
const BGRX: &[Component] =
    &[Component::packed(2, 4), Component::packed(1, 4), Component::packed(0, 4)];
const XRGB: &[Component] =
    &[Component::packed(1, 4), Component::packed(2, 4), Component::packed(3, 4)];
const XBGR: &[Component] =
    &[Component::packed(3, 4), Component::packed(2, 4), Component::packed(1, 4)];
const RGBA: &[Component] = &[
    Component::packed(0, 4),
    Component::packed(1, 4),
    Component::packed(2, 4),
    Component::packed(3, 4),
];
const BGRA: &[Component] = &[
    Component::packed(2, 4),
    Component::packed(1, 4),
    Component::packed(0, 4),
    Component::packed(3, 4),
];
const ARGB: &[Component] = &[
    Component::packed(1, 4),
    Component::packed(2, 4),
    Component::packed(3, 4),
    Component::packed(0, 4),
];
const ABGR: &[Component] = &[
    Component::packed(3, 4),
    Component::packed(2, 4),
    Component::packed(1, 4),
    Component::packed(0, 4),
];

impl PixelFormat {
    /// Every format.
    pub const ALL: [PixelFormat; 22] = [
        Self::I420,
        Self::Yv12,
        Self::Nv12,
        Self::Nv21,
        Self::Yuy2,
        Self::Uyvy,
        Self::Y42b,
        Self::Y444,
        Self::Ayuv,
        Self::A420,
        Self::Rgb,
        Self::Bgr,
        Self::Rgbx,
        Self::Bgrx,
        Self::Xrgb,
        Self::Xbgr,
        Self::Rgba,
        Self::Bgra,
        Self::Argb,
        Self::Abgr,
        Self::Gray8,
        Self::Gray16Le,
    ];

    /// The components, in the order Y U V A, R G B A, or Y.
    pub const fn components(self) -> &'static [Component] {
        match self {
            Self::I420 => I420,
            Self::Yv12 => YV12,
            Self::Nv12 => NV12,
            Self::Nv21 => NV21,
            Self::Yuy2 => YUY2,
            Self::Uyvy => UYVY,
            Self::Y42b => Y42B,
            Self::Y444 => Y444,
            Self::Ayuv => AYUV,
            Self::A420 => A420,
            Self::Rgb => RGB,
            Self::Bgr => BGR,
            Self::Rgbx => RGBX,
            Self::Bgrx => BGRX,
            Self::Xrgb => XRGB,
            Self::Xbgr => XBGR,
            Self::Rgba => RGBA,
            Self::Bgra => BGRA,
            Self::Argb => ARGB,
            Self::Abgr => ABGR,
            Self::Gray8 => GRAY,
            Self::Gray16Le => GRAY16,
        }
    }

    /// What the components mean.
    pub const fn family(self) -> Family {
        match self {
            Self::Gray8 | Self::Gray16Le => Family::Gray,
            Self::I420
            | Self::Yv12
            | Self::Nv12
            | Self::Nv21
            | Self::Yuy2
            | Self::Uyvy
            | Self::Y42b
            | Self::Y444
            | Self::Ayuv
            | Self::A420 => Family::Yuv,
            _ => Family::Rgb,
        }
    }

    /// The components that carry colour (or luma), without alpha.
    pub fn color_components(self) -> &'static [Component] {
        let count = if matches!(self.family(), Family::Gray) { 1 } else { 3 };
        &self.components()[..count]
    }

    /// The alpha component, where there is one.
    pub fn alpha(self) -> Option<Component> {
        self.components().get(3).copied()
    }

    /// Number of planes.
    pub fn planes(self) -> usize {
        self.components().iter().map(|c| c.plane + 1).max().unwrap_or(0)
    }

    /// Rows of plane `plane` in a frame `height` pixels high.
    pub fn plane_rows(self, plane: usize, height: usize) -> usize {
        self.in_plane(plane).map(|c| c.height(height)).max().unwrap_or(0)
    }

    /// Bytes of a row of plane `plane` in a frame `width` pixels wide, without padding.
    pub fn row_bytes(self, plane: usize, width: usize) -> usize {
        self.in_plane(plane).map(|c| c.width(width) * c.step).max().unwrap_or(0)
    }

    /// log2 of the vertical subsampling of plane `plane` (all components of a plane share it).
    pub fn plane_v_shift(self, plane: usize) -> u32 {
        self.in_plane(plane).map(|c| c.v_shift).max().unwrap_or(0)
    }

    /// The components that lie in plane `plane`.
    pub fn in_plane(self, plane: usize) -> impl Iterator<Item = &'static Component> {
        self.components().iter().filter(move |c| c.plane == plane)
    }

    /// Whether two luma rows share one row of chroma.
    pub fn is_vertically_subsampled(self) -> bool {
        self.components().iter().any(|c| c.v_shift > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_long_as_their_pixels_need() {
        assert_eq!(PixelFormat::Yuy2.row_bytes(0, 1), 4);
        assert_eq!(PixelFormat::Yuy2.row_bytes(0, 3), 8);
        assert_eq!(PixelFormat::Nv12.row_bytes(1, 5), 6);
        assert_eq!(PixelFormat::Rgb.row_bytes(0, 5), 15);
        assert_eq!(PixelFormat::Rgbx.row_bytes(0, 5), 20);
        assert_eq!(PixelFormat::I420.plane_rows(2, 5), 3);
        assert_eq!(PixelFormat::Gray16Le.row_bytes(0, 5), 10);
    }

    #[test]
    fn components_never_overlap() {
        for format in PixelFormat::ALL {
            for (i, a) in format.components().iter().enumerate() {
                for b in &format.components()[i + 1..] {
                    let same_grid = a.plane == b.plane && a.step == b.step;
                    assert!(!same_grid || a.offset != b.offset, "{format:?}");
                }
            }
        }
    }
}
