// SPDX-License-Identifier: MIT

//! The matte that a composite was made with, attached to it: whoever wants both infers once.

use std::sync::Once;

use gst::meta::CustomMeta;
use gst_video::{VideoCapsBuilder, VideoFormat, VideoFrameRef, VideoInfo};

use super::buffers::{Negotiated, Paint};
use super::failure::Failure;
use super::video::{self, Corner};
use crate::matting::frame::pixel_format::PixelFormat;
use crate::matting::input::geometry::MaskLayout;
use crate::matting::prelude::*;

/// The name of the meta. Its structure has one field, `matte`: a sample of gray video.
pub const META: &str = "DavidMatteMatteMeta";

/// GStreamer's name for the meta's kind.
const KIND: &str = "DavidMatteMatteMeta-api";

/// A matte alone needs nothing behind it.
const NOTHING: Background = Background::Color(0);

/// Makes the meta known, before there are buffers to have it.
pub fn register() {
    static REGISTERED: Once = Once::new();
    // Whoever crops or scales a picture leaves it out.
    REGISTERED.call_once(|| CustomMeta::register(META, &["video", "size", "orientation"]));
}

/// Whether that is the kind of such a meta.
pub fn is_kind(kind: gst::glib::Type) -> bool {
    gst::glib::Type::from_name(KIND) == Some(kind)
}

/// Makes mattes to attach.
pub struct Attacher {
    caps: gst::Caps,
    info: VideoInfo,
    layout: FrameLayout,
    compositor: Compositor,
}

impl Attacher {
    /// For composites with these caps: gray of 8 bits, or of 16 where frames have more than 8.
    ///
    /// # Errors
    /// [`Error::Conversion`] for frames that have no gray matte, of which there are none.
    pub fn new(masks: MaskLayout, negotiated: &Negotiated) -> Result<Self, Error> {
        let Negotiated { src, from, to, .. } = negotiated;
        let (format, gray) = match to.format.depth().bits {
            8 => (VideoFormat::Gray8, PixelFormat::Gray8),
            _ => (VideoFormat::Gray16Le, PixelFormat::Gray16Le),
        };
        let caps = VideoCapsBuilder::new()
            .format(format)
            .width(src.width() as i32)
            .height(src.height() as i32)
            .pixel_aspect_ratio(src.par())
            .framerate(src.fps())
            .build();
        let unusual = |_| Error::FrameUnreadable { reason: "its matte has no caps".into() };
        let info = VideoInfo::from_caps(&caps).map_err(unusual)?;
        let layout = FrameLayout { format: gray, ..*to };
        let compositor = Compositor::new(masks, *from, layout, Output::Alpha)?;
        Ok(Self { caps, info, layout, compositor })
    }

    /// The matte of a frame, before anything is written into that.
    pub fn matte(
        &mut self,
        negotiated: &Negotiated,
        frame: &gst::BufferRef,
        corner: Corner,
        paint: &Paint<'_>,
    ) -> Result<gst::Sample, Failure> {
        let unmappable = |error| Failure::Buffer(format!("a matte could not be mapped: {error}"));
        // What is between rows is not to hold what was in that memory before.
        let mut gray = gst::Buffer::from_mut_slice(vec![0; self.info.size()]);
        {
            let source = VideoFrameRef::from_buffer_ref_readable(frame, &negotiated.sink)
                .map_err(unmappable)?;
            let source = video::view(&source, negotiated.from, corner)?;
            let mut mapped = VideoFrameRef::from_buffer_ref_writable(gray.make_mut(), &self.info)
                .map_err(unmappable)?;
            let mut target = video::view_mut(&mut mapped, self.layout, Corner::default())?;
            let colors = Colors::Frame(&source);
            match *paint {
                Paint::Mask(mask, masks, Look { matte, .. }) => {
                    let look = Look { matte: *matte, background: NOTHING, decontaminate: false };
                    let paint = Paint::Mask(mask, masks, &look);
                    paint.apply(&mut self.compositor, colors, &mut target)?;
                }
                Paint::Flat(_, opacity) => {
                    let paint = Paint::Flat(&NOTHING, opacity);
                    paint.apply(&mut self.compositor, colors, &mut target)?;
                }
            }
        }
        Ok(gst::Sample::builder().buffer(&gray).caps(&self.caps).build())
    }
}

/// Attaches a matte to the composite that was made with it, instead of one that it came with.
pub fn attach(buffer: &mut gst::BufferRef, matte: &gst::Sample) -> Result<(), Failure> {
    while let Ok(before) = CustomMeta::from_mut_buffer(buffer, META) {
        if before.remove().is_err() {
            break;
        }
    }
    let mut meta = CustomMeta::add(buffer, META)
        .map_err(|error| Failure::Buffer(format!("a matte could not be attached: {error}")))?;
    meta.mut_structure().set("matte", matte);
    Ok(())
}
