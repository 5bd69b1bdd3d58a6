//! What the streaming thread owns, and what it does with a frame.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use gst_video::{VideoFrameFlags, VideoFrameRef, VideoInfo};

use super::alpha_memory::AlphaMemory;
use super::frame::{self, Corner};
use super::settings::{BackgroundKind, Settings, UntilReady};
use super::stats::Stats;
use crate::matting::backdrop::{Background, Picture};
use crate::matting::compose::{Colors, Output};
use crate::matting::error::Error;
use crate::matting::frame_view::FrameLayout;
use crate::matting::matter::{Look, Matter};
use crate::matting::network::Network;
use crate::matting::pixel_format::PixelFormat;

/// So many inferences in a row may fail before the stream does, once one has succeeded: a third of
/// a second of video. A network that has never given a matte is broken, and fails at once.
const TOLERATED_FAILURES: u32 = 10;

/// Caps on both sides, as the matting sees them.
#[derive(Clone)]
pub struct Negotiated {
    pub sink: VideoInfo,
    pub src: VideoInfo,
    pub from: FrameLayout,
    pub to: FrameLayout,
    pub output: Output,
}

/// What became of a frame.
pub enum Outcome {
    /// This leaves the source pad.
    Frame(gst::Buffer),
    /// Nothing does.
    Withheld,
}

/// Why a frame could not be matted.
pub enum Failure {
    /// The matting's own.
    Matting(Error),
    /// The buffer is not what its caps say.
    Buffer(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Matting(error)
    }
}

/// A matted frame, and what is to be told about it.
pub struct Processed {
    pub outcome: Outcome,
    /// Inference failed on this frame, for the first time in a row.
    pub warning: Option<Error>,
    /// The stream has to end after this frame.
    pub failure: Option<Error>,
}

/// The streaming thread's own: the network, and all that is kept from frame to frame.
pub struct Streaming {
    /// The network until the first caps, then the matter that owns it.
    network: Option<Box<dyn Network>>,
    matter: Option<Matter>,
    negotiated: Option<Negotiated>,
    alpha_memory: AlphaMemory,
    picture: Option<(String, Arc<Picture>)>,
    failures_in_a_row: u32,
    has_matted: bool,
    pub downstream_takes_video_meta: bool,
}

impl Streaming {
    /// With a network that is loaded.
    pub fn new(network: Box<dyn Network>) -> Self {
        Self {
            network: Some(network),
            matter: None,
            negotiated: None,
            alpha_memory: AlphaMemory::default(),
            picture: None,
            failures_in_a_row: 0,
            has_matted: false,
            downstream_takes_video_meta: false,
        }
    }

    /// Goes on with other caps.
    pub fn negotiate(&mut self, negotiated: Negotiated) -> Result<(), Error> {
        let Negotiated { from, to, output, .. } = negotiated;
        if let Some(matter) = &mut self.matter {
            matter.configure(from, to, output)?;
        } else if let Some(network) = self.network.take() {
            self.matter = Some(Matter::new(network, from, to, output)?);
        }
        self.negotiated = Some(negotiated);
        Ok(())
    }

    /// The negotiated output.
    pub fn output(&self) -> Option<Output> {
        self.negotiated.as_ref().map(|negotiated| negotiated.output)
    }

    /// Mattes a frame. `allocate` gives a buffer of the source caps' size, with the frame's
    /// timestamps and metas.
    pub fn process(
        &mut self,
        mut buffer: gst::Buffer,
        settings: &Settings,
        stats: &mut Stats,
        allocate: impl FnOnce(&gst::Buffer) -> Result<gst::Buffer, gst::FlowError>,
    ) -> Result<Processed, Failure> {
        stats.frames += 1;
        let background = self.background(settings)?;
        let (Some(matter), Some(negotiated)) = (&mut self.matter, &self.negotiated) else {
            return Err(Failure::Buffer("a frame came before its caps".into()));
        };
        let same_caps = negotiated.sink == negotiated.src;
        let composites = negotiated.output == Output::Composite;
        if composites && same_caps && settings.changes_nothing() {
            return Ok(Processed { outcome: Outcome::Frame(buffer), warning: None, failure: None });
        }
        let corner = Corner::of(&buffer, &negotiated.from).map_err(Failure::Buffer)?;

        let inferred = infer(matter, negotiated, &buffer, corner, stats)?;
        let (mut warning, mut failure) = (None, None);
        match inferred {
            Ok(()) => {
                stats.inferences += 1;
                self.failures_in_a_row = 0;
                self.has_matted = true;
            }
            Err(error) => {
                stats.failures += 1;
                self.failures_in_a_row += 1;
                if !self.has_matted || self.failures_in_a_row >= TOLERATED_FAILURES {
                    failure = Some(error);
                } else if self.failures_in_a_row == 1 {
                    warning = Some(error);
                }
            }
        }
        let paint = match (self.failures_in_a_row, settings.until_ready) {
            (0, _) => Paint::Matte(Look { matte: settings.matte(), background }),
            (_, UntilReady::Background) => Paint::Flat(background, 0.0),
            (_, UntilReady::Passthrough) => Paint::Flat(background, 1.0),
            (_, UntilReady::Wait) => {
                return Ok(Processed { outcome: Outcome::Withheld, warning, failure });
            }
        };

        let start = Instant::now();
        // A crop would leave with a frame that is handed on; a copy leaves cropped.
        let whole = buffer.meta::<gst_video::VideoCropMeta>().is_none();
        let appends_alpha = whole
            && negotiated.from.format == PixelFormat::I420
            && negotiated.to.format == PixelFormat::A420
            && self.downstream_takes_video_meta;
        let in_place = whole && same_caps && matter.works_in_place();
        let buffer = if in_place && is_ours(&mut buffer) {
            write_in_place(matter, negotiated, corner, &paint, &mut buffer)?;
            buffer
        } else if let (true, Paint::Matte(look)) = (appends_alpha, &paint) {
            append_alpha(matter, negotiated, &mut self.alpha_memory, look, &buffer)?
        } else {
            let mut target = allocate(&buffer).map_err(|error| {
                Failure::Buffer(format!("no output buffer could be had: {error}"))
            })?;
            write_beside(matter, negotiated, corner, &paint, &buffer, &mut target)?;
            target
        };
        stats.finish.add_since(start);
        Ok(Processed { outcome: Outcome::Frame(buffer), warning, failure })
    }

    fn background(&mut self, settings: &Settings) -> Result<Background, Error> {
        Ok(match settings.background {
            _ if self.output() != Some(Output::Composite) => Background::Color(0),
            BackgroundKind::Color => Background::Color(settings.background_color),
            BackgroundKind::Blur => Background::Blur(settings.blur_radius as f32),
            BackgroundKind::Checkerboard => Background::Checkerboard,
            BackgroundKind::Image => Background::Picture(self.picture(settings)?),
        })
    }

    /// The background picture, read when it is another file than before.
    fn picture(&mut self, settings: &Settings) -> Result<Arc<Picture>, Error> {
        let path = settings.background_image.as_deref().unwrap_or_default();
        if path.is_empty() {
            return Err(Error::Background {
                path: "(none)".into(),
                missing: true,
                reason: "background=image needs a file".into(),
            });
        }
        if let Some((read_from, picture)) = &self.picture
            && read_from == path
        {
            return Ok(picture.clone());
        }
        let picture = Arc::new(Picture::open(Path::new(path))?);
        self.picture = Some((path.to_owned(), picture.clone()));
        Ok(picture)
    }
}

/// What is written into the output.
enum Paint {
    /// The last mask's matte.
    Matte(Look),
    /// The same opacity everywhere.
    Flat(Background, f32),
}

impl Paint {
    fn apply(
        &self,
        matter: &mut Matter,
        colors: Colors<'_>,
        target: &mut crate::matting::frame_view::FrameViewMut<'_>,
    ) -> Result<(), Error> {
        match self {
            Self::Matte(look) => matter.compose(colors, look, target),
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

fn unmappable(what: &str) -> impl Fn(gst::glib::BoolError) -> Failure + '_ {
    move |error| Failure::Buffer(format!("{what} could not be mapped: {error}"))
}

/// Prepares and infers; the inner error is that of the inference.
fn infer(
    matter: &mut Matter,
    negotiated: &Negotiated,
    buffer: &gst::BufferRef,
    corner: Corner,
    stats: &mut Stats,
) -> Result<Result<(), Error>, Failure> {
    let start = Instant::now();
    {
        let mapped = VideoFrameRef::from_buffer_ref_readable(buffer, &negotiated.sink)
            .map_err(unmappable("a frame"))?;
        matter.prepare(&frame::view(&mapped, negotiated.from, corner)?);
    }
    stats.prepare.add_since(start);
    let start = Instant::now();
    let inferred = matter.infer();
    stats.infer.add_since(start);
    Ok(inferred)
}

fn write_in_place(
    matter: &mut Matter,
    negotiated: &Negotiated,
    corner: Corner,
    paint: &Paint,
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
    paint: &Paint,
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

/// I420 to A420 without touching the colour planes: the frame's memory, and an alpha plane behind.
fn append_alpha(
    matter: &mut Matter,
    negotiated: &Negotiated,
    memory: &mut AlphaMemory,
    look: &Look,
    buffer: &gst::Buffer,
) -> Result<gst::Buffer, Failure> {
    let FrameLayout { width, height, .. } = negotiated.to;
    let (offsets, strides) = plane_positions(negotiated, buffer);
    let mut plane = memory.take(width * height);
    {
        let Some(plane) = plane.get_mut() else {
            return Err(Failure::Buffer("an alpha plane is still in use".into()));
        };
        let mut mapped = plane.map_writable().map_err(unmappable("an alpha plane"))?;
        matter.alpha_plane(look, &mut mapped, width);
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
        memory.remember(plane.clone());
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

/// Where the planes of a buffer begin, and their strides.
fn plane_positions(negotiated: &Negotiated, buffer: &gst::BufferRef) -> (Vec<usize>, Vec<i32>) {
    match buffer.meta::<gst_video::VideoMeta>() {
        Some(meta) => (meta.offset().to_vec(), meta.stride().to_vec()),
        None => (negotiated.sink.offset().to_vec(), negotiated.sink.stride().to_vec()),
    }
}
