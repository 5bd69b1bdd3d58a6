//! A matte and a frame to the buffer that leaves.

use gst_video::{VideoFrameFlags, VideoFrameRef, VideoInfo};

use super::alpha_memory::AlphaMemory;
use super::frame::{self, Corner};
use crate::matting::compose::backdrop::Background;
use crate::matting::compose::composer::{Colors, Output};
use crate::matting::compose::compositor::{Look, Matter};
use crate::matting::error::Error;
use crate::matting::frame::pixel_format::PixelFormat;
use crate::matting::frame::view::{FrameLayout, FrameView, FrameViewMut};

/// Caps on both sides, as the matting sees them.
#[derive(Clone)]
pub struct Negotiated {
    pub sink: VideoInfo,
    pub src: VideoInfo,
    pub from: FrameLayout,
    pub to: FrameLayout,
    pub output: Output,
}

impl Negotiated {
    /// Whether composites leave with the caps that frames come with.
    pub fn same_caps(&self) -> bool {
        self.sink == self.src
    }
}

/// Why a frame could not be matted.
#[derive(Debug)]
pub enum Failure {
    /// The matting's own.
    Matting(Error),
    /// The buffer is not what its caps say.
    Buffer(String),
    /// Waiting was ended from outside.
    Interrupted,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Matting(error)
    }
}

fn unmappable(what: &str) -> impl Fn(gst::glib::BoolError) -> Failure + '_ {
    move |error| Failure::Buffer(format!("{what} could not be mapped: {error}"))
}

/// Gives `read` a view of a frame.
pub fn read<R>(
    negotiated: &Negotiated,
    buffer: &gst::BufferRef,
    corner: Corner,
    read: impl FnOnce(&FrameView<'_>) -> R,
) -> Result<R, Failure> {
    let mapped = VideoFrameRef::from_buffer_ref_readable(buffer, &negotiated.sink)
        .map_err(unmappable("a frame"))?;
    Ok(read(&frame::view(&mapped, negotiated.from, corner)?))
}

/// What is written into the output.
pub enum Paint<'a> {
    /// The matte of a mask.
    Mask(&'a [f32], Look),
    /// The same opacity everywhere.
    Flat(Background, f32),
}

impl Paint<'_> {
    fn apply(
        &self,
        matter: &mut Matter,
        colors: Colors<'_>,
        target: &mut FrameViewMut<'_>,
    ) -> Result<(), Error> {
        match self {
            Self::Mask(mask, look) => matter.compose(colors, mask, look, target),
            Self::Flat(background, opacity) => {
                matter.compose_flat(colors, background, *opacity, target)
            }
        }
    }
}

/// Whether a buffer may be written without a copy being made of it.
pub fn is_ours(buffer: &mut gst::Buffer) -> bool {
    buffer.get_mut().is_some_and(|buffer| buffer.is_all_memory_writable())
}

/// Writes output buffers, in the frame itself or sharing its planes where that is possible.
#[derive(Default)]
pub struct Writer {
    alpha_memory: AlphaMemory,
    /// Buffers whose planes lie elsewhere than their caps say are understood downstream.
    pub downstream_takes_video_meta: bool,
}

impl Writer {
    /// The output of a frame. `allocate` gives a buffer of the source caps' size, with the frame's
    /// timestamps and metas.
    pub fn write(
        &mut self,
        matter: &mut Matter,
        negotiated: &Negotiated,
        (mut buffer, corner): (gst::Buffer, Corner),
        paint: &Paint<'_>,
        allocate: impl FnOnce(&gst::Buffer) -> Result<gst::Buffer, gst::FlowError>,
    ) -> Result<gst::Buffer, Failure> {
        // A crop would leave with a frame that is handed on; a copy leaves cropped.
        let whole = buffer.meta::<gst_video::VideoCropMeta>().is_none();
        let in_place = whole && negotiated.same_caps() && matter.works_in_place();
        if in_place && is_ours(&mut buffer) {
            write_in_place(matter, negotiated, corner, paint, &mut buffer)?;
            return Ok(buffer);
        }
        let appends_alpha = whole
            && negotiated.from.format == PixelFormat::I420
            && negotiated.to.format == PixelFormat::A420
            && self.downstream_takes_video_meta;
        // Colours that are not the frame's need planes of their own.
        if let (true, Paint::Mask(mask, look)) = (appends_alpha, paint)
            && !look.decontaminate
        {
            return self.append_alpha(matter, negotiated, (mask, look), &buffer);
        }
        let mut target = allocate(&buffer)
            .map_err(|error| Failure::Buffer(format!("no output buffer could be had: {error}")))?;
        write_beside(matter, negotiated, corner, paint, &buffer, &mut target)?;
        Ok(target)
    }

    /// I420 to A420 without touching the colour planes: the frame's memory, and an alpha plane
    /// behind.
    fn append_alpha(
        &mut self,
        matter: &mut Matter,
        negotiated: &Negotiated,
        (mask, look): (&[f32], &Look),
        buffer: &gst::Buffer,
    ) -> Result<gst::Buffer, Failure> {
        let FrameLayout { width, height, .. } = negotiated.to;
        let (offsets, strides) = plane_positions(negotiated, buffer);
        let mut plane = self.alpha_memory.take(width * height);
        {
            let Some(plane) = plane.get_mut() else {
                return Err(Failure::Buffer("an alpha plane is still in use".into()));
            };
            let mut mapped = plane.map_writable().map_err(unmappable("an alpha plane"))?;
            matter.alpha_plane(mask, &look.matte, &mut mapped, width)?;
        }
        let mut output = buffer.copy();
        let appended_at = output.size();
        {
            let output = output.make_mut();
            while let Some(meta) = output.meta_mut::<gst_video::VideoMeta>() {
                if meta.remove().is_err() {
                    break;
                }
            }
            self.alpha_memory.remember(plane.clone());
            output.append_memory(plane);
            let offsets = [offsets[0], offsets[1], offsets[2], appended_at];
            let strides = [strides[0], strides[1], strides[2], width as i32];
            gst_video::VideoMeta::add_full(
                output,
                VideoFrameFlags::empty(),
                gst_video::VideoFormat::A420,
                width as u32,
                height as u32,
                &offsets,
                &strides,
            )
            .map_err(unmappable("an output buffer"))?;
        }
        Ok(output)
    }
}

fn write_in_place(
    matter: &mut Matter,
    negotiated: &Negotiated,
    corner: Corner,
    paint: &Paint<'_>,
    buffer: &mut gst::Buffer,
) -> Result<(), Failure> {
    let mut mapped = VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), &negotiated.src)
        .map_err(unmappable("a frame"))?;
    let mut target = frame::view_mut(&mut mapped, negotiated.to, corner)?;
    Ok(paint.apply(matter, Colors::InPlace, &mut target)?)
}

fn write_beside(
    matter: &mut Matter,
    negotiated: &Negotiated,
    corner: Corner,
    paint: &Paint<'_>,
    buffer: &gst::BufferRef,
    target: &mut gst::Buffer,
) -> Result<(), Failure> {
    let source = VideoFrameRef::from_buffer_ref_readable(buffer, &negotiated.sink)
        .map_err(unmappable("a frame"))?;
    let source = frame::view(&source, negotiated.from, corner)?;
    let mut mapped = VideoFrameRef::from_buffer_ref_writable(target.make_mut(), &negotiated.src)
        .map_err(unmappable("an output buffer"))?;
    let mut target = frame::view_mut(&mut mapped, negotiated.to, Corner::default())?;
    Ok(paint.apply(matter, Colors::Frame(&source), &mut target)?)
}

/// Where the planes of a buffer begin, and their strides.
fn plane_positions(negotiated: &Negotiated, buffer: &gst::BufferRef) -> (Vec<usize>, Vec<i32>) {
    match buffer.meta::<gst_video::VideoMeta>() {
        Some(meta) => (meta.offset().to_vec(), meta.stride().to_vec()),
        None => (negotiated.sink.offset().to_vec(), negotiated.sink.stride().to_vec()),
    }
}
