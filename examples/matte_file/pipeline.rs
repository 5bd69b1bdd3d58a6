//! The pipeline: reading, matting, writing.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::alpha::alpha_only;
use crate::arguments::Kind;
use crate::error::Error;
use crate::format::{Container, Target};
use crate::gate::{self, Gate};
use crate::kept::{self, Feeder, Kept};
use crate::part::Part;
use crate::pictures::Pictures;
use crate::plan::{Job, Output};
use crate::progress::Progress;
use crate::prores;
use crate::settings::Settings;
use crate::stop;
use crate::survey::{
    Medium, Survey, add, link, link_pads, lock, make, medium, missing_plugin, pad, source, swallow,
    unreadable,
};

/// Frames after which a matte depends no more on where matting began.
const SETTLING: u64 = 30;

/// Some decoders never end. No model takes so long for a frame that this could be mistaken.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where an output's frames go.
pub enum Sink {
    /// Into a video, after what an interrupted run has kept of it.
    Video(Part, Option<Kept>),
    /// Into pictures.
    Pictures(Arc<Pictures>),
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Frames that every output has.
    pub frames: u64,
    /// Whether that was by an interruption.
    pub early: bool,
    /// The caps of each output's video.
    pub streams: Vec<Option<String>>,
    /// Warnings by the way.
    pub warnings: Vec<String>,
}

/// What a run is of.
pub struct Run<'a> {
    pub job: &'a Job,
    pub settings: &'a Settings,
    pub survey: &'a Survey,
    /// Frames that every output has already.
    pub done: u64,
    pub with_audio: bool,
}

/// A pipeline while it is put together.
struct Build<'a> {
    run: &'a Run<'a>,
    pipeline: gst::Pipeline,
    gate: Arc<Gate>,
    done: Arc<AtomicU64>,
    /// The encoders' source pads, and the frames that left them.
    encoded: Vec<(gst::Pad, Arc<AtomicU64>)>,
    /// Filters that take a colorimetry, and croppers to even sizes.
    fitted: Vec<gst::Element>,
    feeders: Vec<Feeder>,
}

impl Run<'_> {
    /// Mattes the input into the sinks, one for each output.
    ///
    /// # Errors
    /// Any, in a sentence.
    pub fn run(&self, sinks: &[Sink], progress: &Progress) -> Result<Ended, Error> {
        // Mattes depend on those before them. Some are made again, which leaves no seam; and where
        // mattes are carried, the model begins with a frame that it began with then.
        let again = self.done.saturating_sub(SETTLING);
        let first = again - again % self.settings.inference_interval();
        let mut build = Build {
            run: self,
            pipeline: gst::Pipeline::new(),
            gate: Gate::new(self.job.input.clone(), first, self.survey.frames),
            done: Arc::new(AtomicU64::new(self.done)),
            encoded: Vec::new(),
            fitted: Vec::new(),
            feeders: Vec::new(),
        };
        let muxer = build.frames(first, sinks)?;
        build.read(muxer)?;
        // A failure is told on the bus as well.
        let _ = build.pipeline.set_state(gst::State::Playing);
        let feeders = std::mem::take(&mut build.feeders);
        let threads: Vec<_> = feeders.into_iter().map(std::thread::spawn).collect();
        let result = build.play(progress);
        let streams = self.job.outputs.iter().zip(&build.encoded);
        let streams = streams.map(|(output, (pad, _))| stream(output, pad)).collect();
        // A pipeline can always be stopped.
        let _ = build.pipeline.set_state(gst::State::Null);
        for thread in threads {
            // It has nothing to tell that the gate does not know.
            let _ = thread.join();
        }
        // What was failed elsewhere is told better than what came of it on the bus.
        let warnings = match (build.gate.trouble(), result) {
            (Some(error), _) | (None, Err(error)) => return Err(error),
            (None, Ok(warnings)) => warnings,
        };
        build.check_encoded()?;
        Ok(Ended {
            frames: build.done.load(Ordering::SeqCst),
            early: build.gate.has_ended_early(),
            streams,
            warnings,
        })
    }
}

/// What is to be known of an output's video for going on with it.
fn stream(output: &Output, encoded: &gst::Pad) -> Option<String> {
    match output.target {
        Target::Video(..) => encoded.current_caps().map(|caps| caps.to_string()),
        _ => None,
    }
}

// -- Reading ---------------------------------------------------------------------------------------

impl Build<'_> {
    /// From the file to frames, and audio to the muxer.
    fn read(&mut self, muxer: Option<gst::Element>) -> Result<(), Error> {
        let (source, parse) = (source(&self.run.job.input)?, make("parsebin")?);
        let (queue, decode) = (make("multiqueue")?, make("decodebin")?);
        // Streams may be stored far apart: a queue grows while another one is empty.
        queue.set_property("max-size-bytes", 0_u32);
        queue.set_property("max-size-time", 0_u64);
        queue.set_property("max-size-buffers", 16_u32);
        add(&self.pipeline, &[&source, &parse, &queue, &decode])?;
        link(&source, &parse)?;
        let entrance = self.entrance()?;
        decode.connect_pad_added(report(&self.pipeline, move |_, from| {
            match medium(from) == Medium::Video && !entrance.is_linked() {
                true => link_pads(from, &entrance),
                false => Ok(()),
            }
        }));
        let decoder = pad(&decode, "sink")?;
        let audio = Mutex::new(match muxer {
            Some(muxer) if self.run.with_audio => audio_pads(&muxer, self.run.survey.audio.len())?,
            _ => VecDeque::new(),
        });
        let gate = self.gate.clone();
        let parser = parse.clone();
        parse.connect_pad_added(report(&self.pipeline, move |pipeline, from| {
            let queued = || queued(&queue, from, has(&parser, "matroskademux"));
            let next = match medium(from) {
                Medium::Video if !decoder.is_linked() => return link_pads(&queued()?, &decoder),
                Medium::Audio => lock(&audio).pop_front(),
                _ => None,
            };
            match next {
                Some(into) => {
                    let audio = framed(pipeline, &queued()?, from)?;
                    cut_with_video(&audio, &gate);
                    link_pads(&audio, &into)
                }
                None => swallow(pipeline, from),
            }
        }));
        Ok(())
    }

    /// Where decoded frames go in.
    fn entrance(&self) -> Result<gst::Pad, Error> {
        let queue = self.pipeline.by_name("decoded");
        pad(&queue.ok_or_else(|| Error::GStreamer("a queue is missing".into()))?, "sink")
    }
}

/// A handler of pads whose failures end the pipeline.
fn report(
    pipeline: &gst::Pipeline,
    handle: impl Fn(&gst::Pipeline, &gst::Pad) -> Result<(), Error> + Send + Sync + 'static,
) -> impl Fn(&gst::Element, &gst::Pad) + Send + Sync + 'static {
    let weak = pipeline.downgrade();
    move |_, pad| {
        if let Some(pipeline) = weak.upgrade()
            && let Err(error) = handle(&pipeline, pad)
        {
            gst::element_error!(pipeline, gst::CoreError::Pad, ("{error}"));
        }
    }
}

/// A muxer's pads for so many streams. There before any frame comes, they are waited for.
fn audio_pads(muxer: &gst::Element, count: usize) -> Result<VecDeque<gst::Pad>, Error> {
    let pad = |_| muxer.request_pad_simple("audio_%u");
    let pads: Option<_> = (0..count).map(pad).collect();
    pads.ok_or_else(|| Error::GStreamer("the muxer takes no audio".into()))
}

/// Whether a bin has made itself an element of a factory.
fn has(bin: &gst::Element, factory: &str) -> bool {
    let Some(bin) = bin.downcast_ref::<gst::Bin>() else { return false };
    let is_one = |element: gst::Element| element.factory().is_some_and(|f| f.name() == factory);
    bin.iterate_recurse().into_iter().flatten().any(is_one)
}

/// What comes through another queue of a multiqueue, with what demuxers tell of it set right.
fn queued(queue: &gst::Element, from: &gst::Pad, is_matroska: bool) -> Result<gst::Pad, Error> {
    let missing = || Error::GStreamer("a queue has no pad".into());
    let sink = queue.request_pad_simple("sink_%u").ok_or_else(missing)?;
    link_pads(from, &sink)?;
    let src = pad(queue, &sink.name().replace("sink", "src"))?;
    src.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let corrected = info.event().and_then(|event| correct(event, is_matroska));
        if let Some(event) = corrected {
            info.data = Some(gst::PadProbeData::Event(event));
        }
        gst::PadProbeReturn::Ok
    });
    Ok(src)
}

/// An event that is to take the place of a demuxer's.
fn correct(event: &gst::Event, is_matroska: bool) -> Option<gst::Event> {
    match event.view() {
        // Matroska's time begins at 0. matroskademux lets it begin with the first frame, and may
        // change its mind after it.
        gst::EventView::Segment(segment) if is_matroska => {
            let mut whole = segment.segment().downcast_ref::<gst::ClockTime>()?.clone();
            for set in [
                gst::FormattedSegment::<gst::ClockTime>::set_start,
                gst::FormattedSegment::set_time,
                gst::FormattedSegment::set_base,
                gst::FormattedSegment::set_position,
            ] {
                set(&mut whole, gst::ClockTime::ZERO);
            }
            Some(gst::event::Segment::builder(&whole).seqnum(event.seqnum()).build())
        }
        // These streams tell their colours themselves. qtdemux takes all that is told beside them
        // for limited range.
        gst::EventView::Caps(caps) => {
            let structure = caps.caps().structure(0)?;
            let tells_itself =
                structure.has_name("video/x-h264") || structure.has_name("video/x-h265");
            let mut caps = caps.caps_owned();
            // What is not parsed is parsed again, which finds the colours.
            caps.make_mut().structure_mut(0)?.remove_fields(["colorimetry", "parsed"]);
            tells_itself.then(|| gst::event::Caps::builder(&caps).seqnum(event.seqnum()).build())
        }
        _ => None,
    }
}

/// Audio in the framing that muxers take. Only AAC has one that they do not.
fn framed(
    pipeline: &gst::Pipeline,
    audio: &gst::Pad,
    parsed: &gst::Pad,
) -> Result<gst::Pad, Error> {
    let caps = parsed.current_caps();
    let is_aac = caps.as_ref().and_then(|caps| caps.structure(0)).is_some_and(|structure| {
        structure.name() == "audio/mpeg"
            && structure.get::<i32>("mpegversion").is_ok_and(|version| version != 1)
    });
    if !is_aac {
        return Ok(audio.clone());
    }
    let parser = make("aacparse")?;
    add(pipeline, &[&parser])?;
    link_pads(audio, &pad(&parser, "sink")?)?;
    pad(&parser, "src")
}

/// Ends audio where the video was ended early.
fn cut_with_video(audio: &gst::Pad, gate: &Arc<Gate>) {
    let gate = gate.clone();
    audio.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
        if gate.covers(pad, buffer.pts()) {
            return gst::PadProbeReturn::Ok;
        }
        pad.push_event(gst::event::Eos::new());
        info.flow_res = Err(gst::FlowError::Eos);
        gst::PadProbeReturn::Handled
    });
}

// -- Matting and writing ---------------------------------------------------------------------------

impl Build<'_> {
    /// From decoded frames to all outputs; returns the muxer of the first one, for audio.
    fn frames(&mut self, first: u64, sinks: &[Sink]) -> Result<Option<gst::Element>, Error> {
        let outputs = &self.run.job.outputs;
        let queue = make("queue")?;
        queue.set_property("name", "decoded");
        short(&queue);
        let (convert, upright) = (make("videoconvert")?, make("videoflip")?);
        upright.set_property_from_str("video-direction", "auto");
        add(&self.pipeline, &[&queue, &convert, &upright])?;
        link(&queue, &convert)?;
        link(&convert, &upright)?;
        let mut last = upright;
        if outputs.iter().any(|output| output.target.container() == Container::Png) {
            last = self.square_pixels(&last)?;
        }
        let entrance = pad(&last, "src")?;
        let mut muxers = Vec::new();
        match (outputs.as_slice(), sinks) {
            ([output], [sink]) => {
                let matte = self.matte(&last, output.kind, first, true)?;
                muxers.push(self.write(&matte, output, sink)?);
            }
            ([output, matte], [sink, matte_sink]) if output.kind == Kind::Cutout => {
                let cutout = self.matte(&last, output.kind, first, true)?;
                let tee = self.tee(&cutout)?;
                muxers.push(self.write(&tee, output, sink)?);
                let alpha = alpha_only();
                add(&self.pipeline, &[&alpha])?;
                link(&self.branch(&tee)?, &alpha)?;
                self.write(&alpha, matte, matte_sink)?;
            }
            ([output, matte], [sink, matte_sink]) => {
                let tee = self.tee(&last)?;
                let branch = self.branch(&tee)?;
                let composite = self.matte(&branch, output.kind, first, true)?;
                muxers.push(self.write(&composite, output, sink)?);
                let branch = self.branch(&tee)?;
                let alpha = self.matte(&branch, matte.kind, first, false)?;
                self.write(&alpha, matte, matte_sink)?;
            }
            _ => return Err(Error::GStreamer("outputs and sinks do not match".into())),
        }
        let fitted = std::mem::take(&mut self.fitted);
        self.gate
            .guard(&entrance, move |caps| fitted.iter().for_each(|element| fit(element, caps)));
        Ok(muxers.into_iter().next().flatten())
    }

    /// PNG has square pixels; frames get them before they are matted.
    fn square_pixels(&self, from: &gst::Element) -> Result<gst::Element, Error> {
        let (scale, filter) = (make("videoscale")?, make("capsfilter")?);
        let square = gst::Caps::builder("video/x-raw")
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .build();
        filter.set_property("caps", square);
        scale.set_property("add-borders", false);
        add(&self.pipeline, &[&scale, &filter])?;
        link(from, &scale)?;
        link(&scale, &filter)?;
        Ok(filter)
    }

    /// The element; the frames that it gives are counted if `counts`.
    fn matte(
        &self,
        from: &gst::Element,
        kind: Kind,
        first: u64,
        counts: bool,
    ) -> Result<gst::Element, Error> {
        let matte = self.run.settings.element(kind)?;
        let convert = make("videoconvert")?;
        add(&self.pipeline, &[&convert, &matte])?;
        link(from, &convert)?;
        link(&convert, &matte)?;
        let done = match counts {
            true => self.done.clone(),
            false => Arc::default(),
        };
        gate::count(&pad(&matte, "src")?, first, self.run.done, done);
        Ok(matte)
    }

    fn tee(&self, from: &gst::Element) -> Result<gst::Element, Error> {
        let tee = make("tee")?;
        add(&self.pipeline, &[&tee])?;
        link(from, &tee)?;
        Ok(tee)
    }

    fn branch(&self, tee: &gst::Element) -> Result<gst::Element, Error> {
        let queue = make("queue")?;
        short(&queue);
        add(&self.pipeline, &[&queue])?;
        link(tee, &queue)?;
        Ok(queue)
    }

    /// Encodes frames into a sink; returns the muxer, where there is one.
    fn write(
        &mut self,
        from: &gst::Element,
        output: &Output,
        sink: &Sink,
    ) -> Result<Option<gst::Element>, Error> {
        let container = output.target.container();
        let description = container.encoder(output.kind);
        let encoder = gst::parse::bin_from_description(description, true)
            .map_err(|error| Error::GStreamer(error.to_string()))?;
        let queue = self.branch(from)?;
        add(&self.pipeline, &[encoder.upcast_ref()])?;
        link(&queue, encoder.upcast_ref())?;
        self.fitted
            .extend(["even", "range", "through"].iter().filter_map(|name| encoder.by_name(name)));
        match (container, encoder.by_name("encoder")) {
            (Container::Mov, Some(encoder)) => prores::tag_colors(&encoder),
            // Of frames that are reordered, mp4mux tells a length that cuts the last ones off where
            // they do not last equally long.
            (Container::Mp4, Some(encoder)) if !self.run.survey.is_even() => {
                encoder.set_property("bframes", 0_u32);
            }
            _ => {}
        }
        let encoded = pad(encoder.upcast_ref(), "src")?;
        let count = Arc::default();
        gate::count(&encoded, self.run.done, 0, Arc::clone(&count));
        self.encoded.push((encoded.clone(), count));
        match (sink, container.muxer()) {
            (Sink::Video(part, kept), Some(muxer)) => {
                let muxer = make(muxer)?;
                self.write_video(&encoded, &muxer, part.path(), kept.clone())?;
                Ok(Some(muxer))
            }
            (Sink::Pictures(pictures), _) => {
                self.write_pictures(&encoded, pictures.clone())?;
                Ok(None)
            }
            (Sink::Video(..), None) => Err(Error::GStreamer("a video has no muxer".into())),
        }
    }

    fn write_video(
        &mut self,
        encoded: &gst::Pad,
        muxer: &gst::Element,
        path: &Path,
        kept: Option<Kept>,
    ) -> Result<(), Error> {
        let file = make("filesink")?;
        file.set_property("location", path);
        // Encoders that look ahead would keep the other sinks waiting for the first frame of this.
        file.set_property("async", false);
        add(&self.pipeline, &[muxer, &file])?;
        link(muxer, &file)?;
        let video = muxer.request_pad_simple("video_%u");
        let video = video.ok_or_else(|| Error::GStreamer("the muxer takes no video".into()))?;
        let timescale = self.run.survey.timescale();
        if video.has_property("trak-timescale") {
            video.set_property("trak-timescale", timescale);
            muxer.set_property("movie-timescale", timescale);
        }
        match kept {
            None => link_pads(encoded, &video),
            Some(kept) => {
                let gate = self.gate.clone();
                self.feeders.push(kept::splice(&self.pipeline, encoded, &video, kept, gate)?);
                Ok(())
            }
        }
    }

    fn write_pictures(&self, encoded: &gst::Pad, pictures: Arc<Pictures>) -> Result<(), Error> {
        let sink = make("appsink")?;
        sink.set_property("sync", false);
        sink.set_property("async", false);
        sink.set_property("max-buffers", 4_u32);
        add(&self.pipeline, &[&sink])?;
        link_pads(encoded, &pad(&sink, "sink")?)?;
        let sink: gst_app::AppSink =
            sink.downcast().map_err(|_| Error::GStreamer("appsink is none".into()))?;
        let gate = self.gate.clone();
        let write = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let png = sample.buffer().and_then(|buffer| buffer.map_readable().ok());
            pictures.write(&png.ok_or(gst::FlowError::Error)?).map_err(|error| {
                gate.fail(error);
                gst::FlowError::Error
            })?;
            Ok(gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(write).build());
        Ok(())
    }
}

/// A queue of a few frames, so that what is before and after it works at once.
fn short(queue: &gst::Element) {
    queue.set_property("max-size-buffers", 3_u32);
    queue.set_property("max-size-bytes", 0_u32);
    queue.set_property("max-size-time", 0_u64);
}

/// Makes an element do what the frames that are about to come need.
fn fit(element: &gst::Element, caps: &gst::CapsRef) {
    let Ok(info) = gst_video::VideoInfo::from_caps(caps) else { return };
    if element.has_property("right") {
        element.set_property("right", (info.width() % 2) as i32);
        element.set_property("bottom", (info.height() % 2) as i32);
        return;
    }
    // ProRes has no full range, so the frames get the usual one; all else of their colours stays.
    let colors = info.colorimetry();
    if !info.is_yuv() || colors.range() != gst_video::VideoColorRange::Range0_255 {
        return;
    }
    let mut caps = element.property::<gst::Caps>("caps");
    if element.name() == "range" {
        let limited = gst_video::VideoColorimetry::new(
            gst_video::VideoColorRange::Range16_235,
            colors.matrix(),
            colors.transfer(),
            colors.primaries(),
        );
        caps.make_mut().set("colorimetry", limited.to_string());
    } else {
        // videoconvert leaves the range as it is where the matrix stays.
        let format = if caps.is_any() { "RGB" } else { "BGRA" };
        caps = gst::Caps::builder("video/x-raw").field("format", format).build();
    }
    element.set_property("caps", caps);
}

// -- Running ---------------------------------------------------------------------------------------

impl Build<'_> {
    /// Plays to the end, and returns warnings.
    fn play(&self, progress: &Progress) -> Result<Vec<String>, Error> {
        let none = || Error::GStreamer("a pipeline has no bus".into());
        let bus = self.pipeline.bus().ok_or_else(none)?;
        let (mut missing, mut warnings) = (None, Vec::new());
        let mut moved = (None, Instant::now());
        loop {
            if stop::is_asked_again() {
                return Err(Error::Interrupted);
            }
            if stop::is_asked() {
                self.gate.close();
            }
            progress.set(self.done.load(Ordering::SeqCst));
            if let Some(error) = self.gate.trouble() {
                return Err(error);
            }
            let awaited = self.gate.awaits();
            if moved.0 != awaited || awaited.is_none() {
                moved = (awaited, Instant::now());
            } else if moved.1.elapsed() > PATIENCE {
                let reason = format!("nothing came of it for {} seconds", PATIENCE.as_secs());
                return Err(Error::Decode { path: self.run.job.input.clone(), reason });
            }
            let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(100)) else { continue };
            match message.view() {
                gst::MessageView::Eos(_) => return Ok(warnings),
                gst::MessageView::Element(_) => {
                    missing = missing.or_else(|| missing_plugin(&message));
                }
                gst::MessageView::Warning(warning) => {
                    let text = warning.error().message().to_owned();
                    if !warnings.contains(&text) {
                        warnings.push(text);
                    }
                }
                gst::MessageView::Error(error) => {
                    let trouble = self.gate.trouble();
                    return Err(trouble.unwrap_or_else(|| self.tell(error, missing)));
                }
                _ => {}
            }
        }
    }

    /// Fails where an encoder has not given all frames back.
    fn check_encoded(&self) -> Result<(), Error> {
        let done = self.done.load(Ordering::SeqCst);
        for (output, (_, count)) in self.run.job.outputs.iter().zip(&self.encoded) {
            let encoded = count.load(Ordering::SeqCst).max(self.run.done);
            if encoded != done {
                let reason = format!("the encoder gave {encoded} of {done} frames");
                return Err(Error::Encode { path: output.target.path(), reason });
            }
        }
        Ok(())
    }

    /// An element's error, in a sentence.
    fn tell(&self, error: &gst::message::Error, missing: Option<String>) -> Error {
        let path = self.run.job.input.clone();
        if let Some(codec) = missing {
            return Error::NoDecoder { path, codec };
        }
        let Some(at) = error.src() else { return unreadable(&path, error) };
        let text = error.error().message().to_owned();
        let factory = at.downcast_ref::<gst::Element>().and_then(|element| element.factory());
        let factory = factory.map(|factory| factory.name());
        let target = self.run.job.outputs.first().map(|output| output.target.path());
        let target = target.unwrap_or_default();
        match factory.as_deref() {
            Some("davidmatte") => Error::Matting(text),
            Some("filesink") => {
                let reason = match error.error().matches(gst::ResourceError::NoSpaceLeft) {
                    true => std::io::ErrorKind::StorageFull.into(),
                    false => std::io::Error::other(text),
                };
                Error::Write { path: target, reason }
            }
            _ if self.is_reading(at) => unreadable(&path, error),
            _ => {
                let reason = text.trim_end_matches('.').to_owned();
                Error::Encode { path: target, reason }
            }
        }
    }

    /// Whether an element reads or decodes.
    fn is_reading(&self, at: &gst::Object) -> bool {
        let mut object = at.clone();
        while let Some(parent) = object.parent() {
            if parent == *self.pipeline.upcast_ref::<gst::Object>() {
                break;
            }
            object = parent;
        }
        let name = object.name();
        ["filesrc", "parsebin", "multiqueue", "decodebin", "aacparse"]
            .iter()
            .any(|reader| name.starts_with(reader))
    }
}
