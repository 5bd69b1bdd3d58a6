// SPDX-License-Identifier: MIT

//! What the streaming thread owns: a stream of buffers, and what writes those that leave.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst_video::VideoFrameRef;

use super::attached::Attacher;
use super::buffers::{Negotiated, Paint, Target, Writer, Written};
use super::detail::DetailStage;
use super::enums::{BackgroundKind, RefineKind, UntilReady};
use super::failure::Failure;
use super::loading::Named;
use super::properties::Settings;
use super::video::{self, Corner};
use crate::matting::error::Error;
use crate::matting::prelude::*;
use crate::matting::stream::{
    Clock, Finished, Frame, Notice, Pacing, Runner, Stats, Stream, StreamOptions, Timing,
};

/// The share of a frame's time that refining tiles may take in a stream that keeps its pace.
const DETAIL_SHARE: f64 = 0.25;

/// A buffer as it came.
pub struct Arrived {
    buffer: gst::Buffer,
    /// When it is shown in its film; a camera has no beginning to count from.
    time: Option<Duration>,
    corner: Corner,
    settings: Settings,
    background: Background,
    negotiated: Arc<Negotiated>,
}

impl Frame for Arrived {
    fn view<R>(&self, read: impl FnOnce(&FrameView<'_>) -> R) -> Result<R, Error> {
        let Negotiated { sink, from, .. } = &*self.negotiated;
        let mapped = VideoFrameRef::from_buffer_ref_readable(&self.buffer, sink)
            .map_err(|error| Error::FrameUnreadable { reason: error.to_string() })?;
        Ok(read(&video::view(&mapped, *from, self.corner)?))
    }

    fn time(&self) -> Option<Duration> {
        self.time
    }
}

/// What became of a frame.
pub enum Left {
    /// This leaves the source pad.
    Buffer(gst::Buffer),
    /// Nothing does.
    Withheld,
}

/// A frame that leaves.
pub struct Processed {
    pub left: Left,
    /// After it the stream ends.
    pub failure: Option<Error>,
}

/// Networks that were loaded together.
pub struct Networks {
    /// Gives masks.
    pub runner: Box<dyn Runner>,
    /// Refine tiles of mattes, where that was asked for.
    pub tiles: Vec<Box<dyn TileNetwork>>,
}

/// The streaming thread's own: the network, and all that is kept from frame to frame.
pub struct Streaming {
    stream: Stream<Arrived>,
    compositor: Option<Compositor>,
    detail: DetailStage,
    /// Of mattes that leave with their composites.
    attacher: Option<Attacher>,
    pub writer: Writer,
    negotiated: Option<Arc<Negotiated>>,
    pacing: Pacing,
    frame: Option<Duration>,
    is_live: bool,
    refines: bool,
    threads: usize,
    picture: Option<Named>,
    /// What composites show behind the person while another picture is loaded, or cannot be.
    background: Background,
}

impl Streaming {
    /// With a network that is loaded, and the picture that the settings name.
    pub fn new(
        networks: Networks,
        clock: Arc<dyn Clock>,
        settings: &Settings,
        picture: Option<Named>,
    ) -> Self {
        Self {
            stream: Stream::new(networks.runner, clock),
            compositor: None,
            detail: DetailStage::new(networks.tiles),
            attacher: None,
            writer: Writer::default(),
            negotiated: None,
            pacing: Pacing::Exact { in_flight: 1 },
            frame: None,
            is_live: false,
            refines: false,
            threads: settings.row_threads(),
            picture,
            background: Background::Color(settings.background_color),
        }
    }

    /// Goes on with other caps. Frames that have not left are forgotten.
    pub fn negotiate(
        &mut self,
        negotiated: Negotiated,
        settings: &Settings,
        is_live: bool,
    ) -> Result<(), Error> {
        self.is_live = is_live;
        let rate = negotiated.sink.fps();
        self.frame = (rate.numer() > 0)
            .then(|| Duration::from_secs_f64(f64::from(rate.denom()) / f64::from(rate.numer())));
        let refines = settings.refine == RefineKind::Zoom && !self.sees_whole_frames();
        let timing = Timing { is_live, frame: self.frame };
        let in_flight = settings.frames_in_flight as usize;
        let one_by_one = refines || self.stream.memory().previous;
        self.pacing = Pacing::choose(settings.pacing.into(), timing, in_flight, one_by_one);
        self.refines = refines && self.pacing.is_exact();
        let Negotiated { from, to, output, .. } = negotiated;
        self.stream.fit(&StreamOptions {
            layout: from,
            frame: self.frame,
            pacing: self.pacing,
            refines: self.refines,
        });
        let compositor = Compositor::new(self.stream.masks(), from, to, output)?;
        self.compositor = Some(compositor.with_threads(self.threads)?);
        // Where frames come in time, or wait for nothing, refining is not to be what holds them up.
        let has_time = !is_live && self.pacing.is_exact();
        let limit = self.frame.filter(|_| !has_time).map(|frame| frame.mul_f64(DETAIL_SHARE));
        self.detail.fit(&from, self.stream.masks(), limit);
        let attaches = settings.attach_matte && output == Output::Composite;
        self.attacher =
            attaches.then(|| Attacher::new(self.stream.masks(), &negotiated)).transpose()?;
        self.negotiated = Some(Arc::new(negotiated));
        Ok(())
    }

    /// Whether the stream is negotiated as a live one.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// Whether mattes are refined: in a pacing in which no frame waits, they are not.
    pub fn refines(&self) -> bool {
        self.refines
    }

    /// Whether the network is shown whole frames only, each once.
    pub fn sees_whole_frames(&self) -> bool {
        self.stream.sees_whole_frames()
    }

    /// The negotiated output.
    pub fn output(&self) -> Option<Output> {
        self.negotiated.as_ref().map(|negotiated| negotiated.output)
    }

    /// The time by which frames leave later than they came, computing aside.
    pub fn latency(&self) -> Duration {
        self.pacing.latency(self.frame)
    }

    /// Goes on with other networks. No frame may be in flight.
    pub fn succeed(&mut self, networks: Networks) {
        self.stream.succeed(networks.runner);
        self.detail.succeed(networks.tiles);
    }

    /// Networks that are at work no longer.
    pub fn take_retired(&mut self) -> Vec<Box<dyn Send>> {
        self.stream.take_retired()
    }

    /// Goes on with another background picture.
    pub fn take_picture(&mut self, picture: Named) {
        self.picture = Some(picture);
    }

    /// The next thing that the stream has to tell.
    pub fn notice(&mut self) -> Option<Notice> {
        self.detail.take_warning().map(Notice::Failed).or_else(|| self.stream.notice())
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        *self.stream.stats()
    }

    /// Forgets all frames, those that have not left as well.
    pub fn flush(&mut self) {
        self.stream.flush();
    }

    /// Frames are missing before the next one. Where frames are waited for, nothing of those before is used any more;
    /// where they are not, a frame that was dropped on its way is no other scene, which the picture would tell: a stream
    /// that loses many would never have a matte.
    pub fn miss_frames(&mut self) {
        if self.pacing.is_exact() {
            self.stream.flush();
        }
    }

    /// Holds fewer frames back than was negotiated, where their pool has no more to give.
    pub fn hold_at_most(&mut self, frames: usize) {
        if self.pacing.is_exact() {
            self.stream.hold_at_most(frames);
        }
    }

    /// Whether the oldest frame is to leave before another one is taken in.
    pub fn is_full(&self) -> bool {
        self.stream.is_full()
    }

    /// Whether no frame is left.
    pub fn is_empty(&self) -> bool {
        self.stream.is_empty()
    }

    /// Takes a frame in. `late` says that it will be late, and should cost little. Where the oldest can
    /// leave at once, it does, and is written while this one is prepared. `allocate` gives a buffer of
    /// the source caps' size, with the frame's timestamps and metas.
    pub fn accept(
        &mut self,
        buffer: gst::Buffer,
        settings: Settings,
        late: bool,
        allocate: impl FnOnce(&gst::Buffer) -> Result<gst::Buffer, gst::FlowError>,
    ) -> Result<Option<Processed>, Failure> {
        let Some(negotiated) = self.negotiated.clone() else {
            return Err(Failure::Buffer("a frame came before its caps".into()));
        };
        let corner = Corner::of(&buffer, &negotiated.from).map_err(Failure::Buffer)?;
        let composites = negotiated.output == Output::Composite;
        let is_whole = buffer.meta::<gst_video::VideoCropMeta>().is_none();
        let mut frame_settings = settings.frame(self.is_live, self.stream.memory());
        frame_settings.untouched = composites
            && is_whole
            && negotiated.same_caps()
            && self.attacher.is_none()
            && settings.changes_nothing();
        let background = self.background(&settings);
        let time = buffer.pts().filter(|_| !self.is_live).map(Duration::from);
        let arrived = Arrived { buffer, time, corner, settings, background, negotiated };
        if !self.stream.could_overlap() {
            self.stream.accept(arrived, frame_settings, late)?;
            return Ok(None);
        }
        let Some(finished) = self.stream.finish()? else { return Ok(None) };
        let has_matte = self.stream.shown().is_some();
        let mut leaving = match self.leave(finished, has_matte, allocate)? {
            Leaving::Done(processed) => {
                self.stream.accept(arrived, frame_settings, late)?;
                return Ok(Some(processed));
            }
            Leaving::Written(leaving) => leaving,
        };
        let Some(compositor) = &mut self.compositor else { return Ok(None) };
        let (detail, attacher) = (&mut self.detail, self.attacher.as_mut());
        let (written, accepted) =
            self.stream.accept_while((arrived, frame_settings, late), |shown| {
                leaving.write(compositor, detail, attacher, shown)
            });
        let processed = self.left(leaving.failure, leaving.began, written?);
        accepted?;
        Ok(Some(processed))
    }

    /// Lets the oldest frame leave, as soon as it has its matte.
    pub fn finish(
        &mut self,
        allocate: impl FnOnce(&gst::Buffer) -> Result<gst::Buffer, gst::FlowError>,
    ) -> Result<Option<Processed>, Failure> {
        let Some(finished) = self.stream.finish()? else { return Ok(None) };
        let has_matte = self.stream.shown().is_some();
        match self.leave(finished, has_matte, allocate)? {
            Leaving::Done(processed) => Ok(Some(processed)),
            Leaving::Written(mut leaving) => {
                let Some(compositor) = &mut self.compositor else { return Ok(None) };
                let (detail, attacher) = (&mut self.detail, self.attacher.as_mut());
                let written = leaving.write(compositor, detail, attacher, self.stream.shown())?;
                Ok(Some(self.left(leaving.failure, leaving.began, written)))
            }
        }
    }

    /// Finds memory for a frame that leaves.
    fn leave(
        &mut self,
        finished: Finished<Arrived>,
        has_matte: bool,
        allocate: impl FnOnce(&gst::Buffer) -> Result<gst::Buffer, gst::FlowError>,
    ) -> Result<Leaving, Failure> {
        let Finished { frame, untouched, failure } = finished;
        let Arrived { buffer, corner, settings, background, negotiated, .. } = frame;
        if untouched && self.writer.may_leave(&buffer, &negotiated) {
            return Ok(Leaving::Done(Processed { left: Left::Buffer(buffer), failure }));
        }
        let opacity = match settings.until_ready {
            _ if untouched => 1.0,
            UntilReady::Background => 0.0,
            UntilReady::Passthrough => 1.0,
            UntilReady::Wait if has_matte => 0.0,
            UntilReady::Wait => {
                return Ok(Leaving::Done(Processed { left: Left::Withheld, failure }));
            }
        };
        let began = Instant::now();
        let in_place = self.compositor.as_ref().is_some_and(Compositor::works_in_place);
        // Colours that are not the frame's need planes of their own.
        let shares_colors = has_matte && !settings.decontaminate;
        let frame = (buffer, corner);
        let target = self.writer.target(in_place, &negotiated, frame, shares_colors, allocate)?;
        let look =
            Look { matte: settings.matte(), background, decontaminate: settings.decontaminate };
        let target = Some(target);
        Ok(Leaving::Written(ToWrite { target, negotiated, look, opacity, failure, began }))
    }

    /// A frame was written.
    fn left(&mut self, failure: Option<Error>, began: Instant, written: Written) -> Processed {
        let took = self.compositor.as_ref().map(Compositor::took).unwrap_or_default();
        let stats = self.stream.stats_mut();
        stats.finish.add_since(began);
        if let Some((tiles, took)) = self.detail.took() {
            stats.tiles += tiles as u64;
            stats.detail.add(took);
        }
        stats.behind.add(took.behind);
        stats.colors.add(took.colors);
        Processed { left: Left::Buffer(self.writer.remember(written)), failure }
    }

    fn background(&mut self, settings: &Settings) -> Background {
        if self.output() != Some(Output::Composite) {
            return Background::Color(0);
        }
        let wanted = match settings.background {
            BackgroundKind::Color => Some(Background::Color(settings.background_color)),
            BackgroundKind::Blur => Some(Background::Blur(settings.blur_radius as f32)),
            BackgroundKind::Checkerboard => Some(Background::Checkerboard),
            // Until it is there, what was there stays.
            BackgroundKind::Image => {
                let named = self.picture.as_ref();
                let wanted =
                    named.filter(|named| settings.background_image.as_ref() == Some(&named.path));
                wanted.map(|named| Background::Picture(named.picture.clone()))
            }
        };
        if let Some(wanted) = wanted {
            self.background = wanted;
        }
        self.background.clone()
    }
}

/// What is left to do for a frame that leaves.
// It lives for a moment, on the stack: nothing is taken from the heap for a frame.
#[allow(clippy::large_enum_variant)]
enum Leaving {
    /// Nothing.
    Done(Processed),
    /// It is to be written.
    Written(ToWrite),
}

/// A frame that is to be written.
struct ToWrite {
    target: Option<Target>,
    negotiated: Arc<Negotiated>,
    look: Look,
    /// Of a frame without a matte.
    opacity: f32,
    failure: Option<Error>,
    began: Instant,
}

impl ToWrite {
    fn write(
        &mut self,
        compositor: &mut Compositor,
        detail: &mut DetailStage,
        attacher: Option<&mut Attacher>,
        shown: Option<(Inferred<'_>, MaskLayout)>,
    ) -> Result<Written, Failure> {
        let Some(target) = self.target.take() else {
            return Err(Failure::Buffer("a frame is written once".into()));
        };
        let negotiated = &self.negotiated;
        // What is written into the frame itself is no frame any more.
        let (frame, corner) = target.frame();
        let paint = match shown {
            Some((inferred, masks)) => {
                let details =
                    detail.find(negotiated, (frame, corner), &inferred, masks, &self.look)?;
                Paint::Mask(Inferred { details, ..inferred }, masks, &self.look)
            }
            None => Paint::Flat(&self.look.background, self.opacity),
        };
        let matte = attacher.map(|attacher| attacher.matte(negotiated, frame, corner, &paint));
        let matte = matte.transpose()?;
        let mut written = target.write(compositor, negotiated, &paint)?;
        if let Some(matte) = matte {
            written.attach(&matte)?;
        }
        Ok(written)
    }
}
