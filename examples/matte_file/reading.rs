//! The part of the pipeline that reads: from the file to frames, and audio to the muxer.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::error::Error;
use crate::gate::{self, Gate};
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
                    gate::count(&audio, 0, 0, way.packets);
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
                    Some(AudioWay { caps: caps.clone(), into, packets })
                }
                _ => None,
            });
        }
        Ok(ways)
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
    /// Packets that went there.
    packets: Arc<AtomicU64>,
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
