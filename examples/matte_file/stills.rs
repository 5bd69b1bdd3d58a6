//! Raw frames of 16 bits to the bytes of a picture: PNG of 16 bits, and EXR.

use std::io::Cursor;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use exr::prelude::attribute::{AttributeValue, Chromaticities, TimeCode};
use exr::prelude::{
    Encoding, Image, ImageAttributes, IntegerBounds, Layer, LayerAttributes, SpecificChannels,
    Text, Vec2, WritableImage as _, f16,
};
use gst_video::prelude::*;
use gst_video::{
    ValidVideoTimeCode, VideoColorPrimaries, VideoFrameRef, VideoInfo, VideoTimeCodeFlags,
    VideoTransferFunction,
};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

use crate::arguments::Kind;
use crate::format::Container;
use crate::survey::lock;
use crate::timecode::Timecode;

/// Light of reference white in cd/m², which is 1.0 of EXR, and PQ's greatest (ITU-R BT.2408, BT.2100).
const REFERENCE_WHITE: f64 = 203.0;
const PQ_WHITE: f64 = 10_000.0;
/// The signal of reference white in HLG (BT.2408).
const HLG_REFERENCE: f64 = 0.75;

/// Encodes the frames of one output.
pub struct Stills {
    container: Container,
    kind: Kind,
    is_premultiplied: bool,
    /// What was decoded: converters tell another transfer than that of the codes they keep.
    decoded: Arc<Mutex<Option<gst::Caps>>>,
    /// Linear light of every code.
    light: Mutex<Option<(VideoTransferFunction, Arc<[f32]>)>>,
    timecode: Option<Timecode>,
    /// The next frame's number, counted from the input's first.
    next: AtomicU64,
}

impl Stills {
    /// For frames of which the first has the number `next`.
    pub fn new(
        container: Container,
        kind: Kind,
        is_premultiplied: bool,
        decoded: Arc<Mutex<Option<gst::Caps>>>,
        timecode: Option<Timecode>,
        next: u64,
    ) -> Self {
        Self {
            container,
            kind,
            is_premultiplied,
            decoded,
            light: Mutex::default(),
            timecode,
            next: AtomicU64::new(next),
        }
    }

    /// The bytes of a picture file.
    ///
    /// # Errors
    /// What went wrong, where memory cannot be mapped or a frame is too large for the format.
    pub fn encode(&self, sample: &gst::SampleRef) -> Result<Vec<u8>, String> {
        let info = sample.caps().and_then(|caps| VideoInfo::from_caps(caps).ok());
        let (info, buffer) = info.zip(sample.buffer()).ok_or("a frame has no format")?;
        let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &info);
        let frame = frame.map_err(|error| error.to_string())?;
        let codes = codes(&frame)?;
        match self.container {
            Container::Exr => self.exr(&info, &codes),
            _ => self.png(&info, codes),
        }
    }

    fn png(&self, info: &VideoInfo, mut codes: Vec<u16>) -> Result<Vec<u8>, String> {
        let color = match self.kind {
            Kind::Alpha => ExtendedColorType::L16,
            Kind::Cutout => ExtendedColorType::Rgba16,
            Kind::Composite => {
                codes = codes.chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect();
                ExtendedColorType::Rgb16
            }
        };
        let bytes: Vec<u8> = codes.iter().flat_map(|code| code.to_ne_bytes()).collect();
        let mut png = Vec::new();
        let encoder = PngEncoder::new(&mut png);
        encoder
            .write_image(&bytes, info.width(), info.height(), color)
            .map_err(|error| error.to_string())?;
        Ok(png)
    }

    fn exr(&self, info: &VideoInfo, codes: &[u16]) -> Result<Vec<u8>, String> {
        let size = Vec2(info.width() as usize, info.height() as usize);
        let decoded = lock(&self.decoded).clone();
        let decoded = decoded.and_then(|caps| VideoInfo::from_caps(&caps).ok());
        let colors = decoded.as_ref().unwrap_or(info).colorimetry();
        let light = self.light(colors.transfer());
        let mut attributes = ImageAttributes::new(IntegerBounds::from_dimensions(size));
        attributes.chromaticities = chromaticities(colors.primaries());
        let frame = self.next.fetch_add(1, Ordering::SeqCst);
        attributes.time_code = self.timecode.as_ref().map(|timecode| told(&timecode.at(frame)));
        let par = info.par();
        attributes.pixel_aspect = par.numer() as f32 / par.denom() as f32;
        let alpha = match (self.kind, self.is_premultiplied) {
            (Kind::Cutout, true) => Some("premultiplied"),
            (Kind::Cutout, false) => Some("straight"),
            _ => None,
        };
        if let Some(alpha) = alpha {
            attributes.other.insert("alpha".into(), AttributeValue::Text(Text::from(alpha)));
        }
        let rate = info.fps();
        let layer = LayerAttributes {
            frames_per_second: u32::try_from(rate.denom())
                .ok()
                .filter(|_| rate.numer() > 0)
                .map(|seconds| (rate.numer(), seconds)),
            ..LayerAttributes::default()
        };
        let width = size.0;
        let mut bytes = Cursor::new(Vec::new());
        let share = |code: u16| f32::from(code) / 65535.0;
        let encoding = Encoding::SMALL_FAST_LOSSLESS;
        let written = match self.kind {
            Kind::Alpha => {
                let channel =
                    SpecificChannels::build().with_channel("Y").with_pixel_fn(|at: Vec2<usize>| {
                        (f16::from_f32(share(codes[at.1 * width + at.0])),)
                    });
                let layer = Layer::new(size, layer, encoding, channel);
                let image = Image::empty(attributes).with_layer(layer);
                image.write().to_buffered(&mut bytes)
            }
            _ => {
                let keeps_alpha = self.kind == Kind::Cutout;
                let scales = keeps_alpha && self.is_premultiplied;
                let pixel = |at: Vec2<usize>| {
                    let first = 4 * (at.1 * width + at.0);
                    let [r, g, b, a] = [0, 1, 2, 3].map(|c| codes[first + c]);
                    let alpha = if keeps_alpha { share(a) } else { 1.0 };
                    let scale = if scales { alpha } else { 1.0 };
                    let [r, g, b] = [r, g, b].map(|c| f16::from_f32(scale * light[usize::from(c)]));
                    (r, g, b, f16::from_f32(alpha))
                };
                let layer = Layer::new(size, layer, encoding, SpecificChannels::rgba(pixel));
                let image = Image::empty(attributes).with_layer(layer);
                image.write().to_buffered(&mut bytes)
            }
        };
        written.map_err(|error| error.to_string())?;
        Ok(bytes.into_inner())
    }

    /// Linear light of every code, where white of standard range, or reference white, is 1.
    fn light(&self, transfer: VideoTransferFunction) -> Arc<[f32]> {
        let mut known = lock(&self.light);
        match &*known {
            Some((of, light)) if *of == transfer => light.clone(),
            _ => {
                let scale = match transfer {
                    VideoTransferFunction::Smpte2084 => PQ_WHITE / REFERENCE_WHITE,
                    VideoTransferFunction::AribStdB67 => 1.0 / transfer.decode(HLG_REFERENCE),
                    _ => 1.0,
                };
                let light = |code: u16| (scale * transfer.decode(f64::from(code) / 65535.0)) as f32;
                let light: Arc<[f32]> = (0..=u16::MAX).map(light).collect();
                *known = Some((transfer, light.clone()));
                light
            }
        }
    }
}

/// Timecode as EXR has it.
fn told(code: &ValidVideoTimeCode) -> TimeCode {
    let byte = |number: u32| u8::try_from(number).unwrap_or(0);
    TimeCode {
        hours: byte(code.hours()),
        minutes: byte(code.minutes()),
        seconds: byte(code.seconds()),
        frame: byte(code.frames()),
        drop_frame: code.flags().contains(VideoTimeCodeFlags::DROP_FRAME),
        color_frame: false,
        field_phase: false,
        binary_group_flags: [false; 3],
        binary_groups: [0; 8],
    }
}

/// The samples of a frame without what lies between its rows.
fn codes(frame: &VideoFrameRef<&gst::BufferRef>) -> Result<Vec<u16>, String> {
    let row = frame.width() as usize * frame.comp_pstride(0) as usize;
    let stride = usize::try_from(frame.plane_stride()[0]).map_err(|error| error.to_string())?;
    let data = frame.plane_data(0).map_err(|error| error.to_string())?;
    let rows = data.chunks(stride).take(frame.height() as usize);
    let codes = rows.flat_map(|bytes| bytes[..row.min(bytes.len())].as_chunks().0);
    Ok(codes.map(|code| u16::from_le_bytes(*code)).collect())
}

/// Where primaries and white lie in CIE's diagram (ITU-T H.273, table 2).
fn chromaticities(primaries: VideoColorPrimaries) -> Option<Chromaticities> {
    let white = (0.3127, 0.3290);
    let (red, green, blue) = match primaries {
        VideoColorPrimaries::Bt709 => ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
        VideoColorPrimaries::Bt470bg => ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
        VideoColorPrimaries::Smpte170m | VideoColorPrimaries::Smpte240m => {
            ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07))
        }
        VideoColorPrimaries::Bt2020 => ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
        VideoColorPrimaries::Smpteeg432 => ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
        _ => return None,
    };
    let [red, green, blue, white] = [red, green, blue, white].map(|(x, y)| Vec2(x, y));
    Some(Chromaticities { red, green, blue, white })
}
