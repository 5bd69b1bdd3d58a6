//! The part of the pipeline that reads: from the file to frames, and audio to the muxer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gst::prelude::*;

use crate::error::Error;
use crate::gate::{self, Gate, Place};
use crate::pipeline::Build;
use crate::survey::{Medium, add, link, link_pads, lock, make, medium, pad, source, swallow};

impl Build<'_> {
    /// From the file to frames, and audio to the muxer.
    ///
    /// # Errors
    /// [`Error::GStreamer`].
    pub fn read(&mut self, muxer: Option<gst::Element>) -> Result<(), Error> {
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
            Some(muxer) if self.run.with_audio => self.audio_ways(&muxer)?,
            _ => VecDeque::new(),
        });
        let gate = self.gate.clone();
        begin_at(&parse, self.run.survey.earliest.unwrap_or_default())?;
        let parser = parse.clone();
        parse.connect_pad_added(report(&self.pipeline, move |pipeline, from| {
            let queued = || queued(&queue, from, has(&parser, "matroskademux"));
            let next = match medium(from) {
                Medium::Video if !decoder.is_linked() => return link_pads(&queued()?, &decoder),
                Medium::Audio => lock(&audio).pop_front().flatten(),
                _ => None,
            };
            match next {
                Some(way) => {
                    let audio = framed(pipeline, &queued()?, &way.caps)?;
                    if way.has_edit_lists {
                        way.packets.move_on(&audio);
                    }
                    way.packets.count(&audio);
                    let_last(&audio);
                    gate.shift(&audio);
                    cut_with_video(&audio, &gate);
                    link_pads(&audio, &way.into)
                }
                None => swallow(pipeline, from),
            }
        }));
        Ok(())
    }

    /// Where each audio stream goes; those that hold nothing go nowhere. There before any frame
    /// comes, a muxer's pads are waited for.
    fn audio_ways(&mut self, muxer: &gst::Element) -> Result<VecDeque<Option<AudioWay>>, Error> {
        let mut ways = VecDeque::new();
        for audio in &self.run.survey.audio {
            let packets = Arc::default();
            ways.push_back(match &audio.caps {
                Some(caps) if audio.packets > 0 => {
                    let into = muxer.request_pad_simple("audio_%u");
                    let into =
                        into.ok_or_else(|| Error::GStreamer("the muxer takes no audio".into()))?;
                    self.audio.push((audio.clone(), Arc::clone(&packets)));
                    let has_edit_lists = self.has_edit_lists();
                    Some(AudioWay { caps: caps.clone(), into, packets, has_edit_lists })
                }
                _ => None,
            });
        }
        Ok(ways)
    }

    /// Whether the file with the sound can tell that some of it goes before time 0. A part of a film
    /// begins where it is cut.
    fn has_edit_lists(&self) -> bool {
        let first = self.run.job.outputs.first();
        self.run.selection.is_whole
            && first.is_some_and(|output| output.target.container().has_edit_lists())
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

/// The way of an audio stream into a file.
struct AudioWay {
    caps: gst::Caps,
    /// The muxer's pad.
    into: gst::Pad,
    /// What went there.
    packets: Arc<Packets>,
    /// Whether what comes before time 0 can be kept.
    has_edit_lists: bool,
}

/// Packets of an audio stream.
#[derive(Debug, Default)]
pub struct Packets {
    /// Those that came to the muxer.
    pub all: AtomicU64,
    /// How long those last that came with a time before the pipeline's, where no muxer has a place
    /// for them; in nanoseconds.
    early: AtomicU64,
    /// By how much all of them were moved on to have one; in nanoseconds.
    moved: AtomicU64,
}

impl Packets {
    /// Counts what leaves a pad.
    fn count(self: &Arc<Self>, pad: &gst::Pad) {
        let packets = Arc::clone(self);
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            packets.all.fetch_add(1, Ordering::SeqCst);
            if let Some(buffer) = info.buffer()
                && let Some(time) = buffer.pts()
                && gate::early(pad, time).is_some()
                && packets.moved().is_zero()
            {
                let lasts = buffer.duration().map_or(0, gst::ClockTime::nseconds);
                packets.early.fetch_add(lasts, Ordering::SeqCst);
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Moves a pad's stream on by as much as its beginning lies before the pipeline's time, to be told in
    /// an edit list: decoders of AAC need what is not heard.
    fn move_on(self: &Arc<Self>, pad: &gst::Pad) {
        let packets = Arc::clone(self);
        let first = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
        pad.add_probe(first, move |pad, info| {
            let time = info.buffer().and_then(|buffer| buffer.pts());
            if let Some(early) = time.and_then(|time| gate::early(pad, time)) {
                packets.moved.store(early.nseconds(), Ordering::SeqCst);
                // A pad's offset would not do: muxers leave out what lies before the segment.
                let segment = pad.sticky_event::<gst::event::Segment>(0);
                if let Some(begun) = segment.zip(time).and_then(|(it, time)| begun_at(&it, time)) {
                    pad.push_event(begun);
                }
            }
            gst::PadProbeReturn::Remove
        });
    }

    /// By how much all of them were moved on.
    pub fn moved(&self) -> Duration {
        Duration::from_nanos(self.moved.load(Ordering::SeqCst))
    }

    /// How long those last that have no place.
    pub fn early(&self) -> Duration {
        Duration::from_nanos(self.early.load(Ordering::SeqCst))
    }
}

/// Lets the time of MPEG program streams begin where the first frame or sound is. mpegpsdemux goes by
/// the clock that they carry, and parsers leave out what comes before that.
///
/// # Errors
/// [`Error::GStreamer`].
pub fn begin_at(parse: &gst::Element, beginning: gst::ClockTime) -> Result<(), Error> {
    let none = || Error::GStreamer("parsebin is no bin".into());
    let bin = parse.downcast_ref::<gst::Bin>().ok_or_else(none)?;
    bin.connect_element_added(move |_, element| {
        if element.factory().is_some_and(|factory| factory.name() == "mpegpsdemux") {
            element.connect_pad_added(move |_, pad| {
                set_right(pad, move |event| begun_at(event, beginning));
            });
        }
    });
    Ok(())
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
    set_right(&src, move |event| match event.view() {
        // Matroska's time begins at 0. matroskademux lets it begin with the first frame, and may
        // change its mind after it.
        gst::EventView::Segment(_) if is_matroska => begun_at(event, gst::ClockTime::ZERO),
        gst::EventView::Caps(caps) => without_colors(event, caps),
        _ => None,
    });
    Ok(src)
}

/// Lets other events take the place of those that leave a pad.
fn set_right(
    pad: &gst::Pad,
    corrected: impl Fn(&gst::Event) -> Option<gst::Event> + Send + Sync + 'static,
) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(event) = info.event().and_then(&corrected) {
            info.data = Some(gst::PadProbeData::Event(event));
        }
        gst::PadProbeReturn::Ok
    });
}

/// A segment as it comes, but with another beginning.
fn begun_at(event: &gst::EventRef, beginning: gst::ClockTime) -> Option<gst::Event> {
    let gst::EventView::Segment(segment) = event.view() else { return None };
    let mut whole = segment.segment().downcast_ref::<gst::ClockTime>()?.clone();
    whole.set_start(beginning);
    whole.set_position(beginning);
    whole.set_time(gst::ClockTime::ZERO);
    whole.set_base(gst::ClockTime::ZERO);
    Some(gst::event::Segment::builder(&whole).seqnum(event.seqnum()).build())
}

/// Caps without colours, of streams that tell them themselves. qtdemux takes all that is told beside
/// them for limited range.
fn without_colors(event: &gst::Event, caps: &gst::event::Caps) -> Option<gst::Event> {
    let structure = caps.caps().structure(0)?;
    let tells_itself = structure.has_name("video/x-h264") || structure.has_name("video/x-h265");
    let mut caps = caps.caps_owned();
    // What is not parsed is parsed again, which finds the colours.
    caps.make_mut().structure_mut(0)?.remove_fields(["colorimetry", "parsed"]);
    tells_itself.then(|| gst::event::Caps::builder(&caps).seqnum(event.seqnum()).build())
}

/// Lets packets last as long as the ones before them, where the file does not say how long: muxers go by the
/// next one's time, and the last has none.
fn let_last(audio: &gst::Pad) {
    let before = Mutex::new(None);
    audio.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer_mut() {
            let time = buffer.pts();
            let before = std::mem::replace(&mut *lock(&before), time);
            let lasts = time.zip(before).and_then(|(time, before)| time.checked_sub(before));
            if buffer.duration().is_none() && lasts.is_some() {
                buffer.make_mut().set_duration(lasts);
            }
        }
        gst::PadProbeReturn::Ok
    });
}

/// Audio in the framing that muxers take. Only AAC has one that they do not.
fn framed(
    pipeline: &gst::Pipeline,
    audio: &gst::Pad,
    caps: &gst::CapsRef,
) -> Result<gst::Pad, Error> {
    let is_aac = caps.structure(0).is_some_and(|structure| {
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

/// Lets only audio through that belongs to the frames, and ends where they do.
fn cut_with_video(audio: &gst::Pad, gate: &Arc<Gate>) {
    let gate = gate.clone();
    audio.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
        match gate.place(pad, buffer) {
            Place::Within => return gst::PadProbeReturn::Ok,
            Place::Before => return gst::PadProbeReturn::Drop,
            Place::After => {}
        }
        pad.push_event(gst::event::Eos::new());
        info.flow_res = Err(gst::FlowError::Eos);
        gst::PadProbeReturn::Handled
    });
}
