//! The pipeline: source, the element, sink.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::error::Error;
use crate::sink::Sink;
use crate::source::Source;

/// How often the sink may fail in a row, with no frame taken between, on account of whoever takes
/// them.
const MISHAPS: u32 = 10;
/// How long whoever made it fail is given to go away or think again.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a file may take to be recognised.
const UNDERSTANDING: Duration = Duration::from_secs(30);

/// An element of GStreamer's.
///
/// # Errors
/// [`Error::MissingElement`].
pub fn element(name: &'static str) -> Result<gst::Element, Error> {
    let package = match name {
        "pipewiresink" | "pipewiresrc" => "gstreamer1.0-pipewire",
        "v4l2src" | "v4l2sink" | "autovideosink" => "gstreamer1.0-plugins-good",
        "identity" | "filesrc" | "fakesink" | "queue" | "capsfilter" => "GStreamer again",
        "davidmatte" => "this program again",
        _ => "gstreamer1.0-plugins-base",
    };
    gst::ElementFactory::make(name)
        .build()
        .map_err(|_| Error::MissingElement { element: name, package })
}

/// Whether GStreamer has an element.
pub fn has_element(name: &str) -> bool {
    gst::ElementFactory::find(name).is_some()
}

/// Size and rate of the frames, where they are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Format {
    /// Width and height in pixels.
    pub size: Option<(i32, i32)>,
    /// Frames a second.
    pub rate: Option<i32>,
}

impl Format {
    /// What programs expect of a camera, where nothing else is asked for.
    fn or_of_a_camera(self) -> Self {
        Self { size: self.size.or(Some((1280, 720))), rate: self.rate.or(Some(30)) }
    }

    fn caps(self, media: &str) -> gst::Caps {
        let mut caps = gst::Structure::builder(media);
        if let Some((width, height)) = self.size {
            caps = caps.field("width", width).field("height", height);
        }
        if let Some(rate) = self.rate {
            caps = caps.field("framerate", gst::Fraction::new(rate, 1));
        }
        [caps.build()].into_iter().collect()
    }
}

/// A pipeline from source to sink.
pub struct Pipeline {
    pub pipeline: gst::Pipeline,
    /// The element itself.
    pub matte: gst::Element,
    /// A file that is played again and again.
    file: Option<PathBuf>,
    came: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    sent_when_begun: u64,
    /// Where frames come from, where that can go away and come back: a camera.
    camera: Option<gst::Element>,
    /// What frames go into, where whoever takes them can make it fail.
    shared_sink: Option<gst::Element>,
    mishaps: u32,
    sent_at_mishap: u64,
    /// What finds out a file's streams.
    decode: gst::Element,
    /// Whether there are pictures, once that is known.
    decoded: mpsc::Receiver<bool>,
}

impl Pipeline {
    /// Builds the pipeline. No more than `limit` frames are sent.
    ///
    /// # Errors
    /// Where GStreamer lacks an element.
    pub fn new(
        source: &Source,
        sink: &Sink,
        format: Format,
        with_alpha: bool,
        limit: Option<u64>,
    ) -> Result<Self, Error> {
        let pipeline = gst::Pipeline::new();
        let format = if source.is_live() { format.or_of_a_camera() } else { format };
        let matte = element("davidmatte")?;

        let decode = element("decodebin")?;
        let queue = element("queue")?;
        queue.set_property("max-size-buffers", 2u32);
        if source.is_live() || *sink != Sink::None {
            // A camera does not wait; the newest frame is the one to show.
            queue.set_property_from_str("leaky", "downstream");
        }
        let convert = element("videoconvert")?;
        let scale = element("videoscale")?;
        scale.set_property("add-borders", true);
        let size = element("capsfilter")?;
        let mut caps = format.caps("video/x-raw");
        caps.make_mut().set("pixel-aspect-ratio", gst::Fraction::new(1, 1));
        size.set_property("caps", caps);
        let last_convert = element("videoconvert")?;

        let first = source.element()?;
        let camera = source.is_camera().then(|| first.clone());
        let mut upstream = vec![first];
        if source.is_live() {
            let wish = element("capsfilter")?;
            wish.set_property("caps", camera_caps(format));
            upstream.push(wish);
        }
        upstream.push(decode.clone());
        let mut downstream = Vec::new();
        if !source.is_live() && *sink != Sink::None {
            // A file's frames come when a camera's would.
            let pace = element("identity")?;
            pace.set_property("sync", true);
            downstream.push(pace);
        }
        downstream.extend([queue, convert, scale]);
        if format.rate.is_some() {
            downstream.push(element("videorate")?);
        }
        downstream.extend([size, matte.clone(), last_convert]);
        if let Some(name) = sink.format(with_alpha) {
            let caps = gst::Caps::builder("video/x-raw").field("format", name).build();
            let pixels = element("capsfilter")?;
            pixels.set_property("caps", caps);
            downstream.push(pixels);
        }
        downstream.extend(sink.elements()?);

        let unlinked = |error: gst::glib::BoolError| Error::Element(error.message.into_owned());
        pipeline.add_many(upstream.iter().chain(&downstream)).map_err(unlinked)?;
        gst::Element::link_many(&upstream).map_err(unlinked)?;
        gst::Element::link_many(&downstream).map_err(unlinked)?;
        if let Some(first) = downstream.first() {
            link_when_decoded(&decode, first);
        }
        let (tell, decoded) = mpsc::channel();
        let first = downstream.first().and_then(|first| first.static_pad("sink"));
        decode.connect_no_more_pads(move |_| {
            // Nobody may listen any more.
            let _ = tell.send(first.as_ref().is_some_and(gst::Pad::is_linked));
        });

        let (came, sent) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        if let Some(pad) = camera.as_ref().and_then(|camera| camera.static_pad("src")) {
            count_frames(&pad, came.clone(), None);
        }
        if let Some(pad) = downstream.last().and_then(|last| last.static_pad("sink")) {
            count_frames(&pad, sent.clone(), limit);
        }
        let file = match source {
            Source::File(path) => Some(path.clone()),
            _ => None,
        };
        let shared_sink = downstream.pop().filter(|_| *sink == Sink::PipeWire);
        Ok(Self {
            pipeline,
            matte,
            file,
            came,
            sent,
            sent_when_begun: 0,
            camera,
            shared_sink,
            mishaps: 0,
            sent_at_mishap: 0,
            decode,
            decoded,
        })
    }

    /// Pictures that came from the camera, where there is one.
    pub fn came(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    /// Frames that came to the sink.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Starts it, unless somebody asks it to stop before it is ready.
    ///
    /// # Errors
    /// What the first element that failed says.
    pub fn start(&self, stop: &AtomicBool) -> Result<(), Error> {
        let failed = |_| self.first_error(gst::ClockTime::from_seconds(2));
        if let Some(path) = &self.file {
            self.pipeline.set_state(gst::State::Paused).map_err(failed)?;
            self.wait_until_decoded(path, stop)?;
            // A segment ends in a message, and then the file goes on from its beginning.
            self.rewind(gst::SeekFlags::FLUSH);
        }
        self.pipeline.set_state(gst::State::Playing).map_err(failed)?;
        Ok(())
    }

    /// Whether to go on after an error: one of the many that take frames could not agree on a format
    /// or the like, which PipeWire's sink takes for its own failure.
    pub fn outlives(&mut self, error: &gst::message::Error) -> bool {
        let is_of_sink = self.shared_sink.as_ref().is_some_and(|sink| is_of(error, sink));
        if self.sent() > self.sent_at_mishap + 1 {
            self.mishaps = 0;
        }
        self.mishaps += 1;
        self.sent_at_mishap = self.sent();
        is_of_sink && self.mishaps <= MISHAPS
    }

    /// Whether an error says that the camera went away, after it gave pictures.
    pub fn has_lost_camera(&self, error: &gst::message::Error) -> bool {
        self.is_of_a_camera() && self.camera.as_ref().is_some_and(|camera| is_of(error, camera))
    }

    /// Whether a stream that ended is one that a camera gave.
    pub fn is_of_a_camera(&self) -> bool {
        self.sent() > 0 && self.camera.is_some()
    }

    /// Starts it anew after an error that it [outlives](Self::outlives).
    ///
    /// # Errors
    /// Those of [`Self::start`].
    pub fn start_anew(&self, stop: &AtomicBool) -> Result<(), Error> {
        self.start_with_another(self.shared_sink.as_ref(), stop)
    }

    /// Starts it anew after its camera went away.
    ///
    /// # Errors
    /// Those of [`Self::start`], as long as it is not back.
    pub fn start_with_camera(&self, stop: &AtomicBool) -> Result<(), Error> {
        self.start_with_another(self.camera.as_ref(), stop)
    }

    /// Starts it anew with `failed_one` as another one for the system. All else stays as it is.
    fn start_with_another(
        &self,
        failed_one: Option<&gst::Element>,
        stop: &AtomicBool,
    ) -> Result<(), Error> {
        let failed = |_| self.first_error(gst::ClockTime::from_seconds(2));
        self.pipeline.set_state(gst::State::Ready).map_err(failed)?;
        if let Some(element) = failed_one {
            element.set_state(gst::State::Null).map_err(failed)?;
        }
        if let Some(bus) = self.pipeline.bus() {
            // Other elements tell of the same failure.
            bus.set_flushing(true);
            bus.set_flushing(false);
        }
        std::thread::sleep(PAUSE);
        self.start(stop)
    }

    fn wait_until_decoded(&self, path: &Path, stop: &AtomicBool) -> Result<(), Error> {
        let begin = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let message = self.error_message_within(gst::ClockTime::from_mseconds(50));
            match self.decoded.try_recv() {
                Ok(true) if message.is_none() => return Ok(()),
                Ok(false) => return Err(Error::NoVideo { path: path.to_owned() }),
                _ => {}
            }
            if let Some(message) = message {
                return Err(self.explain_source(&message, path));
            }
            if begin.elapsed() > UNDERSTANDING {
                return Err(Error::Undecoded { path: path.to_owned(), limit: UNDERSTANDING });
            }
        }
        Ok(())
    }

    /// What an error says of a file, if it comes from what decodes it.
    fn explain_source(&self, message: &gst::Message, path: &Path) -> Error {
        let gst::MessageView::Error(error) = message.view() else {
            return Error::Element("an element failed without a word".into());
        };
        if message.src().is_some_and(|source| source.has_as_ancestor(&self.decode)) {
            let reason = error.error().message().trim_end_matches('.').to_owned();
            return Error::Unplayable { path: path.to_owned(), reason };
        }
        explain(error)
    }

    /// Why the pipeline did not start.
    fn first_error(&self, within: gst::ClockTime) -> Error {
        let nothing = "the pipeline did not start, and no element says why; GST_DEBUG=3 tells more";
        self.error_within(within).unwrap_or_else(|| Error::Element(nothing.into()))
    }

    fn error_within(&self, time: gst::ClockTime) -> Option<Error> {
        match self.error_message_within(time)?.view() {
            gst::MessageView::Error(error) => Some(explain(error)),
            _ => None,
        }
    }

    fn error_message_within(&self, time: gst::ClockTime) -> Option<gst::Message> {
        self.pipeline.bus()?.timed_pop_filtered(time, &[gst::MessageType::Error])
    }

    fn rewind(&self, flags: gst::SeekFlags) -> bool {
        let flags = flags | gst::SeekFlags::SEGMENT;
        self.pipeline.seek_simple(flags, gst::ClockTime::ZERO).is_ok()
    }

    /// Plays a file again from its beginning; false where the stream ends.
    ///
    /// # Errors
    /// [`Error::OnePicture`].
    pub fn begin_again(&mut self, is_segment: bool) -> Result<bool, Error> {
        let Some(path) = &self.file else { return Ok(false) };
        let sent = self.sent();
        if sent < self.sent_when_begun + 2 {
            return Err(Error::OnePicture { path: path.clone() });
        }
        self.sent_when_begun = sent;
        let flags = if is_segment { gst::SeekFlags::empty() } else { gst::SeekFlags::FLUSH };
        Ok(self.rewind(flags))
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // Devices are given back; there is nobody to tell of a failure.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Whether an error comes from an element, or from one inside it.
fn is_of(error: &gst::message::Error, element: &gst::Element) -> bool {
    error.src().is_some_and(|source| source == element || source.has_as_ancestor(element))
}

/// What an error message says, in one sentence.
pub fn explain(error: &gst::message::Error) -> Error {
    let text = error.error().message().to_owned();
    let is_ours = |source: &gst::Object| {
        source
            .downcast_ref::<gst::Element>()
            .and_then(|element| element.factory())
            .is_some_and(|factory| factory.name() == "davidmatte")
    };
    match error.src() {
        Some(source) if !is_ours(source) => {
            let text = text.trim_end_matches('.');
            Error::Element(format!("{text} (from {})", source.name()))
        }
        _ => Error::Element(text),
    }
}

/// The sizes and rates that a camera is asked for: those, raw or as JPEG, or else what it has.
fn camera_caps(format: Format) -> gst::Caps {
    let mut caps = gst::Caps::new_empty();
    for wish in [format, Format::default()] {
        for media in ["video/x-raw", "image/jpeg"] {
            caps.merge(wish.caps(media));
        }
    }
    caps
}

/// A decoder has its pad when it has seen the stream; of several, the first with pictures is taken.
fn link_when_decoded(decode: &gst::Element, next: &gst::Element) {
    let next = next.downgrade();
    decode.connect_pad_added(move |_, pad| {
        let Some(sink) = next.upgrade().and_then(|next| next.static_pad("sink")) else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let is_video = caps.structure(0).is_some_and(|caps| caps.name() == "video/x-raw");
        if is_video && !sink.is_linked() {
            // A failure ends the stream with "not linked", which the bus tells.
            let _ = pad.link(&sink);
        }
    });
}

/// Counts the frames that pass a pad, and lets none after the limit pass.
fn count_frames(pad: &gst::Pad, sent: Arc<AtomicU64>, limit: Option<u64>) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let is_more = limit.is_some_and(|limit| sent.load(Ordering::Relaxed) >= limit);
        if is_more {
            info.flow_res = Ok(gst::FlowSuccess::Ok);
            return gst::PadProbeReturn::Handled;
        }
        sent.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
}
