// SPDX-License-Identifier: MIT

//! A matte and a frame to the buffer that leaves: memory is found first, on the streaming thread; then
//! pixels are written, on any.

use gst_video::{VideoFrameFlags, VideoFrameRef, VideoInfo};

use super::attached;
use super::failure::Failure;
use super::video::{self, Corner};
use crate::matting::frame::pixel_format::PixelFormat;
use crate::matting::input::geometry::MaskLayout;
use crate::matting::prelude::*;

/// How many alpha planes are kept for use again; more are in flight only behind long queues.
const KEPT: usize = 8;

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

/// What is written into the output.
pub enum Paint<'a> {
    /// The matte of a mask, which lies on the frame so.
    Mask(Inferred<'a>, MaskLayout, &'a Look),
    /// The same opacity everywhere.
    Flat(&'a Background, f32),
}

impl Paint<'_> {
    pub fn apply(
        &self,
        compositor: &mut Compositor,
        colors: Colors<'_>,
        target: &mut FrameViewMut<'_>,
    ) -> Result<(), Error> {
        match self {
            Self::Mask(mask, masks, look) => {
                compositor.take_masks(*masks);
                compositor.compose(colors, *mask, look, target)
            }
            Self::Flat(background, opacity) => {
                compositor.compose_flat(colors, background, *opacity, target)
            }
        }
    }
}

/// Whether a buffer may be written without a copy being made of it.
fn is_ours(buffer: &mut gst::Buffer) -> bool {
    buffer.get_mut().is_some_and(|buffer| buffer.is_all_memory_writable())
}

fn unmappable(what: &str) -> impl Fn(gst::glib::BoolError) -> Failure + '_ {
    move |error| Failure::Buffer(format!("{what} could not be mapped: {error}"))
}

/// Alpha planes of one size, used again when nothing downstream holds them any more.
///
/// Kept in buffers: a memory's writability counts the buffers that hold it, not the references.
#[derive(Default)]
struct AlphaPlanes(Vec<gst::Buffer>);

impl AlphaPlanes {
    /// Memory of `size` bytes that nobody else sees.
    fn take(&mut self, size: usize) -> gst::Memory {
        self.0.retain(|plane| plane.size() == size);
        match self.0.iter_mut().position(is_ours) {
            Some(index) => {
                let plane = self.0.swap_remove(index).memory(0);
                plane.unwrap_or_else(|| gst::Memory::with_size(size))
            }
            None => gst::Memory::with_size(size),
        }
    }

    /// Remembers a plane that goes downstream.
    fn remember(&mut self, plane: gst::Memory) {
        if self.0.len() < KEPT {
            let mut buffer = gst::Buffer::new();
            buffer.make_mut().append_memory(plane);
            self.0.push(buffer);
        }
    }
}

/// Where a frame's output is written.
pub enum Target {
    /// Into the frame itself.
    InPlace(gst::Buffer, Corner),
    /// Into an alpha plane behind the frame's own planes.
    Appended(gst::Buffer, gst::Memory),
    /// Into a buffer of its own.
    Beside(gst::Buffer, Corner, gst::Buffer),
}

/// Finds memory for outputs, in the frame itself or sharing its planes where that is possible.
#[derive(Default)]
pub struct Writer {
    planes: AlphaPlanes,
    /// Buffers whose planes lie elsewhere than their caps say are understood downstream.
    pub downstream_takes_video_meta: bool,
}

impl Writer {
    /// Where the output of a frame is to be written. `allocate` gives a buffer of the source caps' size,
    /// with the frame's timestamps and metas. `shares_colors` says that the frame's colours leave as they
    /// are.
    pub fn target(
        &mut self,
        in_place: bool,
        negotiated: &Negotiated,
        (mut buffer, corner): (gst::Buffer, Corner),
        shares_colors: bool,
        allocate: impl FnOnce(&gst::Buffer) -> Result<gst::Buffer, gst::FlowError>,
    ) -> Result<Target, Failure> {
        // A crop would leave with a frame that is handed on; a copy leaves cropped.
        let whole = buffer.meta::<gst_video::VideoCropMeta>().is_none();
        if in_place && self.may_leave(&buffer, negotiated) && is_ours(&mut buffer) {
            return Ok(Target::InPlace(buffer, corner));
        }
        let appends_alpha = whole
            && shares_colors
            && negotiated.from.format == PixelFormat::I420
            && negotiated.to.format == PixelFormat::A420
            && self.downstream_takes_video_meta;
        if appends_alpha {
            let plane = self.planes.take(negotiated.to.width * negotiated.to.height);
            return Ok(Target::Appended(buffer, plane));
        }
        let target = allocate(&buffer).map_err(Failure::Flow)?;
        Ok(Target::Beside(buffer, corner, target))
    }

    /// Whether a frame's own buffer may leave: it has the caps of what leaves, no crop, and its planes lie where caps say,
    /// unless it is understood downstream that they do not.
    pub fn may_leave(&self, buffer: &gst::BufferRef, negotiated: &Negotiated) -> bool {
        let lies_otherwise = || {
            let meta = buffer.meta::<gst_video::VideoMeta>();
            let (offsets, strides) = (negotiated.src.offset(), negotiated.src.stride());
            meta.is_some_and(|meta| meta.offset() != offsets || meta.stride() != strides)
        };
        negotiated.same_caps()
            && buffer.meta::<gst_video::VideoCropMeta>().is_none()
            && (self.downstream_takes_video_meta || !lies_otherwise())
    }

    /// Takes note of what leaves, so that its memory is used again.
    pub fn remember(&mut self, written: Written) -> gst::Buffer {
        let Written { buffer, plane } = written;
        if let Some(plane) = plane {
            self.planes.remember(plane);
        }
        buffer
    }
}

/// A buffer that leaves.
pub struct Written {
    buffer: gst::Buffer,
    plane: Option<gst::Memory>,
}

impl Written {
    /// Attaches the matte that it was made with.
    pub fn attach(&mut self, matte: &gst::Sample) -> Result<(), Failure> {
        attached::attach(self.buffer.make_mut(), matte)
    }
}

impl Target {
    /// The frame, as long as nothing was written into it, and where it begins.
    pub fn frame(&self) -> (&gst::BufferRef, Corner) {
        match self {
            Self::InPlace(buffer, corner) | Self::Beside(buffer, corner, _) => (buffer, *corner),
            Self::Appended(buffer, _) => (buffer, Corner::default()),
        }
    }

    /// Writes the output.
    pub fn write(
        self,
        compositor: &mut Compositor,
        negotiated: &Negotiated,
        paint: &Paint<'_>,
    ) -> Result<Written, Failure> {
        let (buffer, plane) = match self {
            Self::InPlace(mut buffer, corner) => {
                write_in_place(compositor, negotiated, corner, paint, &mut buffer)?;
                (buffer, None)
            }
            Self::Appended(buffer, plane) => {
                append_alpha(compositor, negotiated, paint, &buffer, plane)?
            }
            Self::Beside(buffer, corner, mut target) => {
                write_beside(compositor, negotiated, corner, paint, &buffer, &mut target)?;
                (target, None)
            }
        };
        Ok(Written { buffer, plane })
    }
}

fn write_in_place(
    compositor: &mut Compositor,
    negotiated: &Negotiated,
    corner: Corner,
    paint: &Paint<'_>,
    buffer: &mut gst::Buffer,
) -> Result<(), Failure> {
    let mut mapped = VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), &negotiated.src)
        .map_err(unmappable("a frame"))?;
    let mut target = video::view_mut(&mut mapped, negotiated.to, corner)?;
    Ok(paint.apply(compositor, Colors::InPlace, &mut target)?)
}

fn write_beside(
    compositor: &mut Compositor,
    negotiated: &Negotiated,
    corner: Corner,
    paint: &Paint<'_>,
    buffer: &gst::BufferRef,
    target: &mut gst::Buffer,
) -> Result<(), Failure> {
    let source = VideoFrameRef::from_buffer_ref_readable(buffer, &negotiated.sink)
        .map_err(unmappable("a frame"))?;
    let source = video::view(&source, negotiated.from, corner)?;
    let mut mapped = VideoFrameRef::from_buffer_ref_writable(target.make_mut(), &negotiated.src)
        .map_err(unmappable("an output buffer"))?;
    let mut target = video::view_mut(&mut mapped, negotiated.to, Corner::default())?;
    Ok(paint.apply(compositor, Colors::Frame(&source), &mut target)?)
}

/// I420 to A420 without touching the colour planes: the frame's memory, and an alpha plane behind.
fn append_alpha(
    compositor: &mut Compositor,
    negotiated: &Negotiated,
    paint: &Paint<'_>,
    buffer: &gst::Buffer,
    mut plane: gst::Memory,
) -> Result<(gst::Buffer, Option<gst::Memory>), Failure> {
    let FrameLayout { width, height, .. } = negotiated.to;
    let (offsets, strides) = plane_positions(negotiated, buffer);
    {
        let Some(plane) = plane.get_mut() else {
            return Err(Failure::Buffer("an alpha plane is still in use".into()));
        };
        let mut mapped = plane.map_writable().map_err(unmappable("an alpha plane"))?;
        match paint {
            Paint::Mask(mask, masks, look) => {
                compositor.take_masks(*masks);
                compositor.alpha_plane(*mask, &look.matte, &mut mapped, width)?;
            }
            Paint::Flat(_, opacity) => mapped.fill((255.0 * opacity).round() as u8),
        }
    }
    let mut output = gst::Buffer::new();
    let appended_at = buffer.size();
    {
        let output = output.make_mut();
        buffer.copy_into(output, gst::BUFFER_COPY_METADATA, ..).map_err(unmappable("a frame"))?;
        while let Some(meta) = output.meta_mut::<gst_video::VideoMeta>() {
            if meta.remove().is_err() {
                break;
            }
        }
        for memory in Lent::all(buffer)? {
            output.append_memory(memory);
        }
        output.append_memory(plane.clone());
        let offsets = [offsets[0], offsets[1], offsets[2], appended_at];
        let strides = [strides[0], strides[1], strides[2], width as i32];
        gst_video::VideoMeta::add_full(
            output,
            frame_flags(buffer),
            gst_video::VideoFormat::A420,
            width as u32,
            height as u32,
            &offsets,
            &strides,
        )
        .map_err(unmappable("an output buffer"))?;
    }
    Ok((output, Some(plane)))
}

/// A frame's bytes in a buffer that goes downstream. Its memory itself is not put there: a pool throws a buffer away
/// whose memory somebody else holds when it comes back, and a buffer lets go of its parents before its memory.
struct Lent {
    /// Let go of first.
    bytes: gst::MappedMemory<gst::memory::Readable>,
    _frame: gst::Buffer,
}

impl Lent {
    /// The memories of a frame, in their order.
    fn all(frame: &gst::Buffer) -> Result<Vec<gst::Memory>, Failure> {
        let lent = (0..frame.n_memory()).filter_map(|index| frame.memory(index)).map(|memory| {
            let bytes = memory
                .into_mapped_memory_readable()
                .map_err(|_| Failure::Buffer("a frame cannot be read".into()))?;
            Ok(gst::Memory::from_slice(Self { bytes, _frame: frame.clone() }))
        });
        lent.collect()
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_slice()
    }
}

/// What the frame's meta says of it besides where its planes lie.
fn frame_flags(buffer: &gst::BufferRef) -> VideoFrameFlags {
    buffer
        .meta::<gst_video::VideoMeta>()
        .map_or(VideoFrameFlags::empty(), |meta| meta.video_frame_flags())
}

/// Where the planes of a buffer begin, and their strides.
fn plane_positions(negotiated: &Negotiated, buffer: &gst::BufferRef) -> (Vec<usize>, Vec<i32>) {
    match buffer.meta::<gst_video::VideoMeta>() {
        Some(meta) => (meta.offset().to_vec(), meta.stride().to_vec()),
        None => (negotiated.sink.offset().to_vec(), negotiated.sink.stride().to_vec()),
    }
}
