// SPDX-License-Identifier: MIT

//! The pixel formats that frames come in, described by where their components lie.
//!
//! Everything that touches pixels works from these descriptions, so that a format is added by
//! one table row and not by another code path.

use super::packed::Packing;

/// A pixel format, named as GStreamer names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum PixelFormat {
    I420,
    Yv12,
    Nv12,
    Nv21,
    Nv16,
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
    I420_10Le,
    I422_10Le,
    Y444_10Le,
    P010_10Le,
    A420_10Le,
    A422_10Le,
    A444_10Le,
    V210,
    Y210,
    Y410,
    Uyvp,
    I420_12Le,
    I422_12Le,
    Y444_12Le,
    P012Le,
    Gbr10Le,
    Gbra10Le,
    Argb64,
    Rgba64Le,
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

/// How many bits a code has, and where they lie in a sample of 8 or 16 bits.
///
/// What is calculated with codes is calculated in units of 8-bit ones, so that black in limited range is 16
/// and no colour 128, whatever the depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Depth {
    /// Bits of a code, 8 to 16.
    pub bits: u32,
    /// Bits of a sample below the code, which are 0.
    pub shift: u32,
}

impl Depth {
    /// Of the formats of 8 bits.
    pub const EIGHT: Self = Self { bits: 8, shift: 0 };

    /// What a sample is worth in units of an 8-bit code, inverted: 1 for 8 bits, 4 for 10.
    pub const fn unit(self) -> f32 {
        (1u32 << (self.bits + self.shift - 8)) as f32
    }

    /// The largest code, in units of an 8-bit one: 255, or 255.75 for 10 bits.
    pub const fn white(self) -> f32 {
        self.largest() as f32 / self.unit()
    }

    /// The largest sample.
    pub const fn largest(self) -> u32 {
        ((1 << self.bits) - 1) << self.shift
    }
}

/// Where one component of a format lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// Index of the plane that holds it.
    pub plane: usize,
    /// Samples from the start of a row to its first.
    pub offset: usize,
    /// Samples of any component from one of its own to the next.
    pub step: usize,
    /// log2 of the horizontal subsampling.
    pub h_shift: u32,
    /// log2 of the vertical subsampling.
    pub v_shift: u32,
}

impl Component {
    const fn packed(offset: usize, step: usize) -> Self {
        Self::subsampled(0, offset, step, 0, 0)
    }

    const fn planar(plane: usize, h_shift: u32, v_shift: u32) -> Self {
        Self::subsampled(plane, 0, 1, h_shift, v_shift)
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

/// A row of the table of formats.
#[derive(Clone, Copy, Debug)]
struct Row {
    family: Family,
    depth: Depth,
    /// In the order Y U V A, R G B A, or Y; of a packed format those of the one in which it is worked on.
    components: &'static [Component],
    packing: Option<Packing>,
}

impl Row {
    const fn new(family: Family, components: &'static [Component]) -> Self {
        Self { family, depth: Depth::EIGHT, components, packing: None }
    }

    const fn gray(components: &'static [Component]) -> Self {
        Self::new(Family::Gray, components)
    }

    const fn rgb(components: &'static [Component]) -> Self {
        Self::new(Family::Rgb, components)
    }

    const fn yuv(components: &'static [Component]) -> Self {
        Self::new(Family::Yuv, components)
    }

    /// The same with codes of so many bits in samples of 16.
    const fn of_bits(self, bits: u32) -> Self {
        Self { depth: Depth { bits, shift: 0 }, ..self }
    }

    /// The same with codes that are the upper bits of samples of 16.
    const fn of_upper_bits(self, bits: u32) -> Self {
        Self { depth: Depth { bits, shift: 16 - bits }, ..self }
    }

    /// The same with the codes of a row one after the other.
    const fn packed(self, packing: Packing) -> Self {
        Self { packing: Some(packing), ..self }
    }
}

/// Components of packed pixels, `step` samples each, at `offsets`.
const fn pixel<const N: usize>(step: usize, offsets: [usize; N]) -> [Component; N] {
    let mut components = [Component::packed(0, step); N];
    let mut index = 0;
    while index < N {
        components[index].offset = offsets[index];
        index += 1;
    }
    components
}

/// Luma and two planes of chroma, in the order of `planes`, and perhaps one of alpha.
const fn planes<const N: usize>(planes: [usize; N], h: u32, v: u32) -> [Component; N] {
    let mut components = [Component::planar(0, 0, 0); N];
    let mut index = 0;
    while index < N {
        let is_chroma = index == 1 || index == 2;
        components[index] = match is_chroma {
            true => Component::planar(planes[index], h, v),
            false => Component::planar(planes[index], 0, 0),
        };
        index += 1;
    }
    components
}

/// A plane of luma, and one of pairs of chroma, of which U is at `u`.
const fn biplanar(u: usize, v_shift: u32) -> [Component; 3] {
    [
        Component::planar(0, 0, 0),
        Component::subsampled(1, u, 2, 1, v_shift),
        Component::subsampled(1, 1 - u, 2, 1, v_shift),
    ]
}

/// Pairs of pixels that share chroma, with luma at `luma` of every two samples.
const fn pairs(luma: usize) -> [Component; 3] {
    [
        Component::packed(luma, 2),
        Component::subsampled(0, 1 - luma, 4, 1, 0),
        Component::subsampled(0, 3 - luma, 4, 1, 0),
    ]
}

impl PixelFormat {
    /// Every format.
    pub const ALL: [PixelFormat; 42] = [
        Self::I420,
        Self::Yv12,
        Self::Nv12,
        Self::Nv21,
        Self::Nv16,
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
        Self::I420_10Le,
        Self::I422_10Le,
        Self::Y444_10Le,
        Self::P010_10Le,
        Self::A420_10Le,
        Self::A422_10Le,
        Self::A444_10Le,
        Self::V210,
        Self::Y210,
        Self::Y410,
        Self::Uyvp,
        Self::I420_12Le,
        Self::I422_12Le,
        Self::Y444_12Le,
        Self::P012Le,
        Self::Gbr10Le,
        Self::Gbra10Le,
        Self::Argb64,
        Self::Rgba64Le,
    ];

    /// The table of formats.
    const fn row(self) -> Row {
        match self {
            Self::I420 => Row::yuv(const { &planes([0, 1, 2], 1, 1) }),
            Self::Yv12 => Row::yuv(const { &planes([0, 2, 1], 1, 1) }),
            Self::A420 => Row::yuv(const { &planes([0, 1, 2, 3], 1, 1) }),
            Self::Y42b => Row::yuv(const { &planes([0, 1, 2], 1, 0) }),
            Self::Y444 => Row::yuv(const { &planes([0, 1, 2], 0, 0) }),
            Self::Nv12 => Row::yuv(const { &biplanar(0, 1) }),
            Self::Nv21 => Row::yuv(const { &biplanar(1, 1) }),
            Self::Nv16 => Row::yuv(const { &biplanar(0, 0) }),
            Self::Yuy2 => Row::yuv(const { &pairs(0) }),
            Self::Uyvy => Row::yuv(const { &pairs(1) }),
            Self::Ayuv => Row::yuv(const { &pixel(4, [1, 2, 3, 0]) }),
            Self::Rgb => Row::rgb(const { &pixel(3, [0, 1, 2]) }),
            Self::Bgr => Row::rgb(const { &pixel(3, [2, 1, 0]) }),
            Self::Rgbx => Row::rgb(const { &pixel(4, [0, 1, 2]) }),
            Self::Bgrx => Row::rgb(const { &pixel(4, [2, 1, 0]) }),
            Self::Xrgb => Row::rgb(const { &pixel(4, [1, 2, 3]) }),
            Self::Xbgr => Row::rgb(const { &pixel(4, [3, 2, 1]) }),
            Self::Rgba => Row::rgb(const { &pixel(4, [0, 1, 2, 3]) }),
            Self::Bgra => Row::rgb(const { &pixel(4, [2, 1, 0, 3]) }),
            Self::Argb => Row::rgb(const { &pixel(4, [1, 2, 3, 0]) }),
            Self::Abgr => Row::rgb(const { &pixel(4, [3, 2, 1, 0]) }),
            Self::Gray8 => Row::gray(const { &pixel(1, [0]) }),
            Self::Gray16Le => Self::Gray8.row().of_bits(16),
            Self::I420_10Le => Self::I420.row().of_bits(10),
            Self::I422_10Le => Self::Y42b.row().of_bits(10),
            Self::Y444_10Le => Self::Y444.row().of_bits(10),
            Self::P010_10Le => Self::Nv12.row().of_upper_bits(10),
            Self::A420_10Le => Self::A420.row().of_bits(10),
            Self::A422_10Le => Row::yuv(const { &planes([0, 1, 2, 3], 1, 0) }).of_bits(10),
            Self::A444_10Le => Row::yuv(const { &planes([0, 1, 2, 3], 0, 0) }).of_bits(10),
            Self::V210 => Self::I422_10Le.row().packed(Packing::V210),
            Self::Y210 => Self::Yuy2.row().of_upper_bits(10),
            Self::Y410 => Self::A444_10Le.row().packed(Packing::Y410),
            Self::Uyvp => Self::I422_10Le.row().packed(Packing::Uyvp),
            Self::I420_12Le => Self::I420.row().of_bits(12),
            Self::I422_12Le => Self::Y42b.row().of_bits(12),
            Self::Y444_12Le => Self::Y444.row().of_bits(12),
            Self::P012Le => Self::Nv12.row().of_upper_bits(12),
            Self::Gbr10Le => Row::rgb(const { &planes([2, 0, 1], 0, 0) }).of_bits(10),
            Self::Gbra10Le => Row::rgb(const { &planes([2, 0, 1, 3], 0, 0) }).of_bits(10),
            Self::Argb64 => Self::Argb.row().of_bits(16),
            Self::Rgba64Le => Self::Rgba.row().of_bits(16),
        }
    }

    /// The components, in the order Y U V A, R G B A, or Y.
    pub const fn components(self) -> &'static [Component] {
        self.row().components
    }

    /// What the components mean.
    pub const fn family(self) -> Family {
        self.row().family
    }

    /// The bits of a code.
    pub const fn depth(self) -> Depth {
        self.row().depth
    }

    /// Bytes of a sample that lies apart.
    pub const fn sample_bytes(self) -> usize {
        if self.depth().bits > 8 { 2 } else { 1 }
    }

    /// How codes that do not lie apart follow each other.
    pub const fn packing(self) -> Option<Packing> {
        self.row().packing
    }

    /// The format in which frames of this one are worked on, which is another where codes do not lie apart.
    /// The components of both are those of that one.
    pub const fn apart(self) -> Self {
        match self.packing() {
            Some(packing) => packing.apart(),
            None => self,
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

    /// Whether this has alpha in a plane of its own, and colours in planes of the same sizes as another
    /// format's, with codes of as many bits.
    pub fn has_planes_of(self, other: Self) -> bool {
        let sizes = |format: Self| format.color_components().iter().map(|c| (c.h_shift, c.v_shift));
        let has_alpha = self.alpha().is_some_and(|alpha| alpha.plane > 0);
        has_alpha
            && self.family() == other.family()
            && self.depth().bits == other.depth().bits
            && sizes(self).eq(sizes(other))
    }

    /// Number of planes.
    pub fn planes(self) -> usize {
        if self.packing().is_some() {
            return 1;
        }
        self.components().iter().map(|c| c.plane + 1).max().unwrap_or(0)
    }

    /// Rows of plane `plane` in a frame `height` pixels high.
    pub fn plane_rows(self, plane: usize, height: usize) -> usize {
        self.in_plane(plane).map(|c| c.height(height)).max().unwrap_or(0)
    }

    /// Samples of a row of plane `plane` in a frame `width` pixels wide, without padding, where they lie apart.
    pub fn row_samples(self, plane: usize, width: usize) -> usize {
        self.in_plane(plane).map(|c| c.width(width) * c.step).max().unwrap_or(0)
    }

    /// Bytes of a row of plane `plane` in a frame `width` pixels wide, without padding.
    pub fn row_bytes(self, plane: usize, width: usize) -> usize {
        match self.packing() {
            Some(packing) if plane == 0 => width.div_ceil(packing.pixels()) * packing.bytes(),
            Some(_) => 0,
            None => self.row_samples(plane, width) * self.sample_bytes(),
        }
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
        assert_eq!(PixelFormat::P010_10Le.row_bytes(1, 5), 12);
        assert_eq!([6, 7].map(|width| PixelFormat::V210.row_bytes(0, width)), [16, 32]);
        assert_eq!(PixelFormat::Uyvp.row_bytes(0, 3), 10);
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
