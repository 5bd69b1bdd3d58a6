// SPDX-License-Identifier: MIT

//! Between GStreamer's frames and the matting's views of them: the only bridge.

use gst_video::prelude::*;
use gst_video::{
    VideoChromaSite, VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoFormat,
    VideoInfo, VideoTransferFunction,
};

use crate::matting::error::Error;
use crate::matting::frame::aspect::PixelAspect;
use crate::matting::frame::color::{ChromaSite, Colorimetry, Matrix, Primaries, Range, Transfer};
use crate::matting::frame::pixel_format::{Family, MAX_PLANES, PixelFormat};
use crate::matting::frame::view::{FrameLayout, FrameView, FrameViewMut, Plane, PlaneMut};

const FORMATS: [(PixelFormat, VideoFormat); 42] = [
    (PixelFormat::I420, VideoFormat::I420),
    (PixelFormat::Yv12, VideoFormat::Yv12),
    (PixelFormat::Nv12, VideoFormat::Nv12),
    (PixelFormat::Nv21, VideoFormat::Nv21),
    (PixelFormat::Nv16, VideoFormat::Nv16),
    (PixelFormat::Yuy2, VideoFormat::Yuy2),
    (PixelFormat::Uyvy, VideoFormat::Uyvy),
    (PixelFormat::Y42b, VideoFormat::Y42b),
    (PixelFormat::Y444, VideoFormat::Y444),
    (PixelFormat::Ayuv, VideoFormat::Ayuv),
    (PixelFormat::A420, VideoFormat::A420),
    (PixelFormat::Rgb, VideoFormat::Rgb),
    (PixelFormat::Bgr, VideoFormat::Bgr),
    (PixelFormat::Rgbx, VideoFormat::Rgbx),
    (PixelFormat::Bgrx, VideoFormat::Bgrx),
    (PixelFormat::Xrgb, VideoFormat::Xrgb),
    (PixelFormat::Xbgr, VideoFormat::Xbgr),
    (PixelFormat::Rgba, VideoFormat::Rgba),
    (PixelFormat::Bgra, VideoFormat::Bgra),
    (PixelFormat::Argb, VideoFormat::Argb),
    (PixelFormat::Abgr, VideoFormat::Abgr),
    (PixelFormat::Gray8, VideoFormat::Gray8),
    (PixelFormat::Gray16Le, VideoFormat::Gray16Le),
    (PixelFormat::I420_10Le, VideoFormat::I42010le),
    (PixelFormat::I422_10Le, VideoFormat::I42210le),
    (PixelFormat::Y444_10Le, VideoFormat::Y44410le),
    (PixelFormat::P010_10Le, VideoFormat::P01010le),
    (PixelFormat::A420_10Le, VideoFormat::A42010le),
    (PixelFormat::A422_10Le, VideoFormat::A42210le),
    (PixelFormat::A444_10Le, VideoFormat::A44410le),
    (PixelFormat::V210, VideoFormat::V210),
    (PixelFormat::Y210, VideoFormat::Y210),
    (PixelFormat::Y410, VideoFormat::Y410),
    (PixelFormat::Uyvp, VideoFormat::Uyvp),
    (PixelFormat::I420_12Le, VideoFormat::I42012le),
    (PixelFormat::I422_12Le, VideoFormat::I42212le),
    (PixelFormat::Y444_12Le, VideoFormat::Y44412le),
    (PixelFormat::P012Le, VideoFormat::P012Le),
    (PixelFormat::Gbr10Le, VideoFormat::Gbr10le),
    (PixelFormat::Gbra10Le, VideoFormat::Gbra10le),
    (PixelFormat::Argb64, VideoFormat::Argb64),
    (PixelFormat::Rgba64Le, VideoFormat::Rgba64Le),
];

/// GStreamer's name for a format.
pub fn video_format(format: PixelFormat) -> VideoFormat {
    FORMATS
        .iter()
        .find(|(pixel, _)| *pixel == format)
        .map_or(VideoFormat::Unknown, |(_, video)| *video)
}

/// The matting's name for a format, if it knows it.
pub fn pixel_format(format: VideoFormat) -> Option<PixelFormat> {
    FORMATS.iter().find(|(_, video)| *video == format).map(|(pixel, _)| *pixel)
}

/// What fixed caps describe. GStreamer reads where chroma lies only where colours are told as well.
pub fn info(caps: &gst::CapsRef) -> Option<VideoInfo> {
    let info = VideoInfo::from_caps(caps).ok()?;
    let structure = caps.structure(0)?;
    if !structure.has_field("chroma-site") || structure.has_field("colorimetry") {
        return Some(info);
    }
    let mut told = caps.to_owned();
    told.make_mut().set("colorimetry", info.colorimetry().to_string());
    Some(VideoInfo::from_caps(&told).unwrap_or(info))
}

/// Size, format and colour of the frames that caps describe.
pub fn layout(info: &VideoInfo) -> Option<FrameLayout> {
    let format = pixel_format(info.format())?;
    let colorimetry = info.colorimetry();
    let matrix = match colorimetry.matrix() {
        VideoColorMatrix::Bt601 | VideoColorMatrix::Fcc => Matrix::Bt601,
        VideoColorMatrix::Bt2020 => Matrix::Bt2020,
        // SMPTE 240M differs from BT.709 by less than 8-bit rounding in most colours.
        _ => Matrix::Bt709,
    };
    let range = match (colorimetry.range(), format.family()) {
        (VideoColorRange::Range16_235, _) => Range::Limited,
        (VideoColorRange::Range0_255, _) => Range::Full,
        (_, Family::Yuv) => Range::Limited,
        _ => Range::Full,
    };
    let transfer = match colorimetry.transfer() {
        VideoTransferFunction::Smpte2084 => Transfer::Pq,
        VideoTransferFunction::AribStdB67 => Transfer::Hlg,
        _ => Transfer::Sdr,
    };
    let primaries = match colorimetry.primaries() {
        VideoColorPrimaries::Bt2020 => Primaries::Bt2020,
        VideoColorPrimaries::Smpterp431 | VideoColorPrimaries::Smpteeg432 => Primaries::DisplayP3,
        // Without a word, high dynamic range has those of its own standard.
        VideoColorPrimaries::Unknown if transfer != Transfer::Sdr => Primaries::Bt2020,
        _ => Primaries::Bt709,
    };
    let par = info.par();
    let site = info.chroma_site();
    let chroma_site = ChromaSite {
        h_cosited: site.contains(VideoChromaSite::H_COSITED),
        v_cosited: site.contains(VideoChromaSite::V_COSITED),
    };
    Some(FrameLayout {
        format,
        width: info.width() as usize,
        height: info.height() as usize,
        color: Colorimetry { matrix, range, chroma_site, transfer, primaries },
        pixel_aspect: PixelAspect::new(par.numer().unsigned_abs(), par.denom().unsigned_abs()),
    })
}

/// The upper left corner of the picture in a buffer's planes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Corner {
    x: usize,
    y: usize,
}

impl Corner {
    /// Where the buffer's crop begins; the origin for a buffer without one.
    ///
    /// # Errors
    /// A sentence, for a crop that begins within more than two packed pixels. One that begins between two samples of
    /// chroma takes the first of them, as GStreamer's videocrop does.
    pub fn of(buffer: &gst::BufferRef, layout: &FrameLayout) -> Result<Self, String> {
        let Some(crop) = buffer.meta::<gst_video::VideoCropMeta>() else {
            return Ok(Self::default());
        };
        let (x, y, _, _) = crop.rect();
        let corner = Self { x: x as usize, y: y as usize };
        if let Some(packing) = layout.format.packing()
            && packing.pixels() > 2
            && !corner.x.is_multiple_of(packing.pixels())
        {
            return Err(format!(
                "a crop at {x}, {y} splits a group of {:?}; crop at multiples of {} pixels",
                layout.format,
                packing.pixels()
            ));
        }
        Ok(corner)
    }

    /// Bytes of a plane before the corner.
    fn offset(self, format: PixelFormat, plane: usize, stride: usize) -> usize {
        if let Some(packing) = format.packing() {
            return self.y * stride + self.x / packing.pixels() * packing.bytes();
        }
        let Some(component) = format.in_plane(plane).next() else { return 0 };
        (self.y >> component.v_shift) * stride
            + format
                .in_plane(plane)
                .map(|component| {
                    (self.x >> component.h_shift) * component.step * format.sample_bytes()
                })
                // Of pixels that share chroma, those that share it with the first one.
                .min()
                .unwrap_or(0)
    }
}

/// A view of a mapped frame for reading.
///
/// # Errors
/// [`Error::FrameTooSmall`] for a buffer that does not hold what its caps say.
pub fn view<'a>(
    frame: &'a gst_video::VideoFrameRef<&gst::BufferRef>,
    layout: FrameLayout,
    corner: Corner,
) -> Result<FrameView<'a>, Error> {
    let mut planes = [Plane::default(); MAX_PLANES];
    for (index, plane) in planes.iter_mut().enumerate().take(layout.format.planes()) {
        let stride = stride(frame, index);
        let data = frame.plane_data(index as u32).unwrap_or_default();
        let offset = corner.offset(layout.format, index, stride);
        *plane = Plane { data: data.get(offset..).unwrap_or_default(), stride };
    }
    FrameView::new(layout, planes)
}

/// A view of a mapped frame for writing.
///
/// # Errors
/// As [`view`].
pub fn view_mut<'a>(
    frame: &'a mut gst_video::VideoFrameRef<&mut gst::BufferRef>,
    layout: FrameLayout,
    corner: Corner,
) -> Result<FrameViewMut<'a>, Error> {
    let strides: [usize; MAX_PLANES] =
        std::array::from_fn(
            |index| if index < layout.format.planes() { stride(frame, index) } else { 0 },
        );
    let mut index = 0;
    let planes = frame.planes_data_mut().map(|data| {
        let stride = strides[index];
        let offset = corner.offset(layout.format, index, stride);
        index += 1;
        PlaneMut { data: data.get_mut(offset..).unwrap_or_default(), stride }
    });
    FrameViewMut::new(layout, planes)
}

/// Bytes from row to row; 0, which no view accepts, where GStreamer says it runs backwards.
fn stride(frame: &impl VideoFrameExt, plane: usize) -> usize {
    frame.info().stride().get(plane).map_or(0, |&stride| usize::try_from(stride).unwrap_or(0))
}

/// Adds a region of interest to a buffer that shows what was cropped at `corner`; one that lies outside is
/// left out.
pub fn add_cropped_roi(
    buffer: &mut gst::BufferRef,
    roi: &gst_video::VideoRegionOfInterestMeta,
    (left, top): (u32, u32),
) {
    let (x, y, width, height) = roi.rect();
    let along = |start: u32, length: u32, corner: u32| {
        let end = start.saturating_add(length).checked_sub(corner).filter(|&end| end > 0)?;
        let start = start.saturating_sub(corner);
        Some((start, end - start))
    };
    if let (Some((x, width)), Some((y, height))) = (along(x, width, left), along(y, height, top)) {
        let mut meta = gst_video::VideoRegionOfInterestMeta::add(
            buffer,
            roi.roi_type(),
            (x, y, width, height),
        );
        roi.params().for_each(|param| meta.add_param(param.to_owned()));
    }
}

/// How many buffers the pool of a buffer has at most, where it has an end: holding them all back would
/// keep the source waiting for ever. At least two.
pub fn pool_size(buffer: &gst::BufferRef) -> Option<usize> {
    // SAFETY: a buffer that came from a pool holds a reference to it as long as it is out.
    let pool: gst::BufferPool = unsafe {
        let pool = (*buffer.as_ptr()).pool;
        gst::glib::translate::from_glib_none::<_, Option<gst::BufferPool>>(pool)?
    };
    let (_, _, _, most) = pool.config().params()?;
    usize::try_from(most).ok().filter(|&most| most > 0).map(|most| most.max(2))
}
