// SPDX-License-Identifier: MIT

//! Borrowed frames: planes, strides, format and colour, checked once when the view is made.

use crate::matting::error::Error;
use crate::matting::frame::aspect::PixelAspect;
use crate::matting::frame::color::Colorimetry;
use crate::matting::frame::pixel_format::{MAX_PLANES, PixelFormat};
use crate::matting::frame::sample::Sample;

/// What does not change from frame to frame: size, format and colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameLayout {
    /// Pixel format.
    pub format: PixelFormat,
    /// Width in pixels, at least 1.
    pub width: usize,
    /// Height in pixels, at least 1.
    pub height: usize,
    /// How the codes become colours.
    pub color: Colorimetry,
    /// The shape of its pixels.
    pub pixel_aspect: PixelAspect,
}

impl FrameLayout {
    /// Of square pixels and the default colours.
    pub fn new(format: PixelFormat, width: usize, height: usize) -> Self {
        let (color, pixel_aspect) = (Colorimetry::default(), PixelAspect::SQUARE);
        Self { format, width, height, color, pixel_aspect }
    }
}

impl FrameLayout {
    /// The layout in which such frames are worked on.
    #[must_use]
    pub(crate) const fn apart(self) -> Self {
        Self { format: self.format.apart(), ..self }
    }

    /// Bytes of a row of each plane, without padding.
    fn row_bytes(&self) -> [usize; MAX_PLANES] {
        std::array::from_fn(|plane| self.format.row_bytes(plane, self.width))
    }

    /// Fails unless `data` at `stride` holds every row of plane `plane`, with samples where the machine can
    /// read them.
    fn check_plane(&self, plane: usize, data: &[u8], stride: usize) -> Result<(), Error> {
        let row = self.format.row_bytes(plane, self.width);
        let rows = self.format.plane_rows(plane, self.height);
        let needed = (rows.max(1) - 1).checked_mul(stride).and_then(|n| n.checked_add(row));
        let (format, width, height) = (self.format, self.width, self.height);
        if stride < row || needed.is_none_or(|needed| data.len() < needed) {
            let data = data.len();
            return Err(Error::FrameTooSmall { format, width, height, plane, data, stride });
        }
        // Packed codes are read byte by byte.
        let alignment = if format.packing().is_some() { 1 } else { format.sample_bytes() };
        let is_aligned = |at: usize| at.is_multiple_of(alignment);
        if !(is_aligned(data.as_ptr().addr()) && is_aligned(stride)) {
            return Err(Error::FrameMisaligned { format, plane, stride });
        }
        Ok(())
    }
}

/// One plane of a frame that is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plane<'a> {
    /// From the first byte of the first row on.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// One plane of a frame that is written.
#[derive(Debug, Default)]
pub struct PlaneMut<'a> {
    /// From the first byte of the first row on.
    pub data: &'a mut [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// A frame that is read.
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    layout: FrameLayout,
    row_bytes: [usize; MAX_PLANES],
    planes: [Plane<'a>; MAX_PLANES],
    /// The row that the bytes of all planes begin with, of a view of a few rows; of any other 0.
    top: usize,
    /// Pixels of the first group of a packed row that lie before the frame.
    left: usize,
}

impl<'a> FrameView<'a> {
    /// A view of `planes`, as many as the format has.
    ///
    /// # Errors
    /// [`Error::FrameTooSmall`] where a plane is missing or its rows do not fit into its bytes,
    /// [`Error::FrameMisaligned`] where samples of two bytes do not begin at even addresses.
    pub fn new(layout: FrameLayout, planes: [Plane<'a>; MAX_PLANES]) -> Result<Self, Error> {
        for (index, plane) in planes.iter().enumerate().take(layout.format.planes()) {
            layout.check_plane(index, plane.data, plane.stride)?;
        }
        Ok(Self { layout, row_bytes: layout.row_bytes(), planes, top: 0, left: 0 })
    }

    /// Size, format and colour.
    pub fn layout(&self) -> &FrameLayout {
        &self.layout
    }

    /// A view of a few rows of a frame, from `top` on, all of whose planes have as many.
    pub(super) fn of_rows(
        layout: FrameLayout,
        planes: [Plane<'a>; MAX_PLANES],
        top: usize,
    ) -> Self {
        Self { layout, row_bytes: layout.row_bytes(), planes, top, left: 0 }
    }

    /// Pixels of the first group of a packed row that lie before the frame.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// A part of the frame; its corner, in pixels, must be even, and the part lie in the frame.
    pub fn part(&self, [x, y]: [usize; 2], width: usize, height: usize) -> Self {
        let layout = FrameLayout { width, height, ..self.layout };
        let mut planes = [Plane::default(); MAX_PLANES];
        if let Some(packing) = layout.format.packing() {
            // Groups are not taken apart here.
            let (group, left) = (x / packing.pixels(), x % packing.pixels());
            let start = y * self.planes[0].stride + group * packing.bytes();
            let stride = self.planes[0].stride;
            planes[0] = Plane { data: &self.planes[0].data[start..], stride };
            let row_bytes = [layout.format.row_bytes(0, left + width), 0, 0, 0];
            return Self { layout, row_bytes, planes, top: 0, left };
        }
        for (index, (part, whole)) in planes.iter_mut().zip(&self.planes).enumerate() {
            let Some(component) = layout.format.in_plane(index).next() else { continue };
            let left = (x >> component.h_shift) * component.step * layout.format.sample_bytes();
            let start = (y >> component.v_shift) * whole.stride + left;
            *part = Plane { data: &whole.data[start..], stride: whole.stride };
        }
        Self { layout, row_bytes: layout.row_bytes(), planes, top: 0, left: 0 }
    }

    /// The bytes of row `y` of plane `plane`, without padding.
    pub fn row(&self, plane: usize, y: usize) -> &'a [u8] {
        let Plane { data, stride } = self.planes[plane];
        &data[(y - self.top) * stride..][..self.row_bytes[plane]]
    }

    /// The samples of row `y` of plane `plane`, which have the format's width.
    pub fn samples<S: Sample>(&self, plane: usize, y: usize) -> &'a [S] {
        // Checked when the view was made.
        bytemuck::cast_slice(self.row(plane, y))
    }
}

/// A frame that is written.
#[derive(Debug)]
pub struct FrameViewMut<'a> {
    layout: FrameLayout,
    row_bytes: [usize; MAX_PLANES],
    planes: [PlaneMut<'a>; MAX_PLANES],
    /// The row of each plane that its bytes begin with.
    tops: [usize; MAX_PLANES],
}

impl<'a> FrameViewMut<'a> {
    /// A view of `planes`, as many as the format has.
    ///
    /// # Errors
    /// As [`FrameView::new`].
    pub fn new(layout: FrameLayout, planes: [PlaneMut<'a>; MAX_PLANES]) -> Result<Self, Error> {
        for (index, plane) in planes.iter().enumerate().take(layout.format.planes()) {
            layout.check_plane(index, plane.data, plane.stride)?;
        }
        Ok(Self { layout, row_bytes: layout.row_bytes(), planes, tops: [0; MAX_PLANES] })
    }

    /// A view of a few rows of a frame, from `top` on, all of whose planes have as many.
    pub(super) fn of_rows(
        layout: FrameLayout,
        planes: [PlaneMut<'a>; MAX_PLANES],
        top: usize,
    ) -> Self {
        Self { layout, row_bytes: layout.row_bytes(), planes, tops: [top; MAX_PLANES] }
    }

    /// Size, format and colour.
    pub fn layout(&self) -> &FrameLayout {
        &self.layout
    }

    /// The rows above `y` and those from there on, to be written at the same time. Rows keep their
    /// numbers, and `y` must be even.
    pub fn split_at_row(self, y: usize) -> [FrameViewMut<'a>; 2] {
        let Self { layout, row_bytes, planes, tops } = self;
        let mut lower_tops = tops;
        let mut lower_planes = <[PlaneMut<'a>; MAX_PLANES]>::default();
        let mut upper_planes = <[PlaneMut<'a>; MAX_PLANES]>::default();
        for (index, PlaneMut { data, stride }) in planes.into_iter().enumerate() {
            lower_tops[index] = y >> layout.format.plane_v_shift(index);
            let above = ((lower_tops[index] - tops[index]) * stride).min(data.len());
            let (upper, lower) = data.split_at_mut(above);
            upper_planes[index] = PlaneMut { data: upper, stride };
            lower_planes[index] = PlaneMut { data: lower, stride };
        }
        [(upper_planes, tops), (lower_planes, lower_tops)].map(|(planes, tops)| FrameViewMut {
            layout,
            row_bytes,
            planes,
            tops,
        })
    }

    /// The upper and the lower half of a whole frame, each a frame of its own; where chroma is shared by
    /// rows, their height must be even.
    pub fn halves(self) -> [FrameViewMut<'a>; 2] {
        let layout = FrameLayout { height: self.layout.height / 2, ..self.layout };
        self.split_at_row(layout.height).map(|half| FrameViewMut {
            layout,
            tops: [0; MAX_PLANES],
            ..half
        })
    }

    /// The same frame, for as long as it is lent.
    pub fn reborrow(&mut self) -> FrameViewMut<'_> {
        let Self { layout, row_bytes, planes, tops } = self;
        let planes =
            planes.each_mut().map(|plane| PlaneMut { data: plane.data, stride: plane.stride });
        FrameViewMut { layout: *layout, row_bytes: *row_bytes, planes, tops: *tops }
    }

    /// The same frame, whole, for reading.
    pub fn as_view(&self) -> FrameView<'_> {
        debug_assert_eq!(self.tops, [0; MAX_PLANES]);
        let planes = std::array::from_fn(|i| Plane {
            data: &*self.planes[i].data,
            stride: self.planes[i].stride,
        });
        FrameView { layout: self.layout, row_bytes: self.row_bytes, planes, top: 0, left: 0 }
    }

    /// The bytes of row `y` of plane `plane`, without padding.
    pub fn row(&self, plane: usize, y: usize) -> &[u8] {
        let PlaneMut { data, stride } = &self.planes[plane];
        &data[(y - self.tops[plane]) * stride..][..self.row_bytes[plane]]
    }

    /// The bytes of row `y` of plane `plane`, without padding.
    pub fn row_mut(&mut self, plane: usize, y: usize) -> &mut [u8] {
        let PlaneMut { data, stride } = &mut self.planes[plane];
        &mut data[(y - self.tops[plane]) * *stride..][..self.row_bytes[plane]]
    }

    /// The samples of row `y` of plane `plane`, which have the format's width.
    pub fn samples<S: Sample>(&self, plane: usize, y: usize) -> &[S] {
        // Checked when the view was made.
        bytemuck::cast_slice(self.row(plane, y))
    }

    /// The samples of row `y` of plane `plane`, which have the format's width.
    pub fn samples_mut<S: Sample>(&mut self, plane: usize, y: usize) -> &mut [S] {
        bytemuck::cast_slice_mut(self.row_mut(plane, y))
    }
}

/// A frame that owns its pixels, with rows as short as they can be.
#[derive(Clone, Debug)]
pub struct OwnedFrame {
    layout: FrameLayout,
    /// Whole words, so that samples of any width lie where the machine reads them.
    planes: [Vec<u64>; MAX_PLANES],
}

impl OwnedFrame {
    /// A frame of zeros.
    pub fn new(layout: FrameLayout) -> Self {
        let planes = std::array::from_fn(|plane| {
            let rows = layout.format.plane_rows(plane, layout.height);
            let bytes = rows * layout.format.row_bytes(plane, layout.width);
            vec![0; bytes.div_ceil(size_of::<u64>())]
        });
        Self { layout, planes }
    }

    fn stride(&self, plane: usize) -> usize {
        self.layout.format.row_bytes(plane, self.layout.width)
    }

    /// For reading.
    pub fn view(&self) -> FrameView<'_> {
        let planes = std::array::from_fn(|plane| Plane {
            data: bytemuck::cast_slice(&self.planes[plane]),
            stride: self.stride(plane),
        });
        let row_bytes = self.layout.row_bytes();
        FrameView { layout: self.layout, row_bytes, planes, top: 0, left: 0 }
    }

    /// For writing.
    pub fn view_mut(&mut self) -> FrameViewMut<'_> {
        let layout = self.layout;
        let mut index = 0;
        let planes = self.planes.each_mut().map(|data| {
            let stride = layout.format.row_bytes(index, layout.width);
            index += 1;
            PlaneMut { data: bytemuck::cast_slice_mut(data), stride }
        });
        FrameViewMut { layout, row_bytes: layout.row_bytes(), planes, tops: [0; MAX_PLANES] }
    }

    /// The bytes of row `y` of plane `plane`.
    pub fn row(&self, plane: usize, y: usize) -> &[u8] {
        let stride = self.stride(plane);
        &bytemuck::cast_slice(&self.planes[plane])[y * stride..][..stride]
    }

    /// The samples of row `y` of plane `plane`, which have the format's width.
    pub fn samples<S: Sample>(&self, plane: usize, y: usize) -> &[S] {
        bytemuck::cast_slice(self.row(plane, y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(format: PixelFormat, width: usize, height: usize) -> FrameLayout {
        FrameLayout::new(format, width, height)
    }

    #[test]
    fn a_plane_one_byte_short_is_refused() {
        let bytes = [0u8; 29];
        let planes = |data| {
            [Plane { data, stride: 10 }, Plane::default(), Plane::default(), Plane::default()]
        };
        let layout = layout(PixelFormat::Rgb, 3, 3);
        assert!(FrameView::new(layout, planes(&bytes[..29])).is_ok());
        assert!(FrameView::new(layout, planes(&bytes[..28])).is_err());
    }

    #[test]
    fn a_stride_shorter_than_a_row_is_refused() {
        let bytes = [0u8; 100];
        let planes = [
            Plane { data: &bytes, stride: 8 },
            Plane::default(),
            Plane::default(),
            Plane::default(),
        ];
        assert!(FrameView::new(layout(PixelFormat::Rgb, 3, 3), planes).is_err());
    }

    #[test]
    fn samples_of_two_bytes_at_odd_addresses_are_refused_and_packed_ones_are_not() {
        let words = [0u64; 64];
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        let gray = |data, stride| {
            let mut planes = [Plane::default(); MAX_PLANES];
            planes[0] = Plane { data, stride };
            FrameView::new(layout(PixelFormat::Gray16Le, 3, 3), planes)
        };
        assert!(gray(bytes, 8).is_ok());
        assert!(matches!(gray(bytes, 7), Err(Error::FrameMisaligned { stride: 7, .. })));
        assert!(matches!(gray(&bytes[1..], 8), Err(Error::FrameMisaligned { .. })));
        let mut planes = [Plane::default(); MAX_PLANES];
        planes[0] = Plane { data: &bytes[1..], stride: 17 };
        assert!(FrameView::new(layout(PixelFormat::V210, 3, 3), planes).is_ok());
    }

    #[test]
    fn an_owned_frame_has_every_row() {
        for format in PixelFormat::ALL {
            let frame = OwnedFrame::new(layout(format, 5, 3));
            for plane in 0..format.planes() {
                for y in 0..format.plane_rows(plane, 3) {
                    assert_eq!(frame.row(plane, y), frame.view().row(plane, y));
                }
            }
        }
    }

    #[test]
    fn halves_of_a_frame_hold_its_rows_by_their_numbers() {
        for format in PixelFormat::ALL {
            let layout = layout(format, 5, 7);
            let (mut whole, mut halves) = (OwnedFrame::new(layout), OwnedFrame::new(layout));
            let number = |plane: usize, y: usize| (16 * plane + y + 1) as u8;
            let planes = 0..format.planes();
            for (plane, y) in planes.flat_map(|p| (0..format.plane_rows(p, 7)).map(move |y| (p, y)))
            {
                whole.view_mut().row_mut(plane, y).fill(number(plane, y));
                let [mut upper, mut lower] = halves.view_mut().split_at_row(4);
                let below = y >= 4 >> format.plane_v_shift(plane);
                let half = if below { &mut lower } else { &mut upper };
                half.row_mut(plane, y).fill(number(plane, y));
                assert_eq!(half.row(plane, y)[0], number(plane, y));
            }
            assert_eq!(whole.planes, halves.planes, "{format:?}");
        }
    }
}
