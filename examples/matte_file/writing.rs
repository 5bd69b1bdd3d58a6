//! The part of the pipeline that mattes frames and writes them.

use std::path::Path;
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::alpha::alpha_only;
use crate::arguments::Kind;
use crate::attached::attached_matte;
use crate::depth;
use crate::error::Error;
use crate::format::Container;
use crate::gate;
use crate::kept::{self, Kept};
use crate::pictures::Pictures;
use crate::pipeline::{Build, Sink};
use crate::plan::Output;
use crate::prores;
use crate::stills::Stills;
use crate::survey::{add, link, link_pads, lock, make, pad};
use crate::upright::upright;

impl Build<'_> {
    /// From decoded frames to all outputs; returns the muxer of the first one, for audio.
    ///
    /// # Errors
    /// [`Error::GStreamer`], [`Error::Setting`].
    pub fn frames(&mut self, first: u64, sinks: &[Sink]) -> Result<Option<gst::Element>, Error> {
        let outputs = &self.run.job.outputs;
        let queue = make("queue")?;
        queue.set_property("name", "decoded");
        short(&queue);
        let (convert, upright) =
            (make("videoconvert")?, upright(&self.run.job.input, self.run.survey)?);
        add(&self.pipeline, &[&queue, &convert, &upright])?;
        link(&queue, &convert)?;
        link(&convert, &upright)?;
        let mut last = upright;
        if outputs.iter().any(|output| output.target.container().is_still()) {
            last = self.square_pixels(&last)?;
        }
        let entrance = pad(&last, "src")?;
        let mut muxers = Vec::new();
        match (outputs.as_slice(), sinks) {
            ([output], [sink]) => {
                let matte = self.matte(&last, output.kind, first)?;
                muxers.push(self.write(&matte, output, sink)?);
            }
            ([output, matte], [sink, matte_sink]) if output.kind == Kind::Cutout => {
                let cutout = self.matte(&last, output.kind, first)?;
                let tee = self.tee(&cutout)?;
                muxers.push(self.write(&tee, output, sink)?);
                let alpha = alpha_only();
                add(&self.pipeline, &[&alpha])?;
                link(&self.branch(&tee)?, &alpha)?;
                self.write(&alpha, matte, matte_sink)?;
            }
            ([output, matte], [sink, matte_sink]) => {
                let composite = self.matte(&last, output.kind, first)?;
                let tee = self.tee(&composite)?;
                muxers.push(self.write(&tee, output, sink)?);
                let attached = attached_matte();
                add(&self.pipeline, &[&attached])?;
                link(&self.branch(&tee)?, &attached)?;
                self.write(&attached, matte, matte_sink)?;
            }
            _ => return Err(Error::GStreamer("outputs and sinks do not match".into())),
        }
        let deepened = std::mem::take(&mut self.deepened);
        fit_at(&pad(&queue, "sink")?, deepened, self.decoded.clone());
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
    fn matte(&self, from: &gst::Element, kind: Kind, first: u64) -> Result<gst::Element, Error> {
        let matte = self.run.settings.element(kind)?;
        matte.set_property("attach-matte", self.run.job.outputs.len() > 1);
        let convert = make("videoconvert")?;
        add(&self.pipeline, &[&convert, &matte])?;
        link(from, &convert)?;
        link(&convert, &matte)?;
        let start = self.run.selection.frames.start;
        gate::count(&pad(&matte, "src")?, first..start + self.run.done, start, self.done.clone());
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
        self.deepened.extend(depth::fitted(&encoder, output.kind));
        // Of ProRes's cut-outs, what gives frames the depth does that as well.
        let has_range = encoder.by_name("range").is_some();
        let through = if has_range && output.kind == Kind::Cutout { "depth" } else { "through" };
        self.fitted
            .extend(["even", "range", through].iter().filter_map(|name| encoder.by_name(name)));
        match (container, encoder.by_name("encoder")) {
            (Container::Mov, Some(encoder)) => prores::tag_colors(&encoder),
            // Of frames that are reordered, mp4mux tells a length that cuts the last ones off where
            // they do not last equally long, or very long.
            (Container::Mp4, Some(encoder))
                if !self.run.survey.is_even() || self.run.survey.is_slow() =>
            {
                encoder.set_property("bframes", 0_u32);
            }
            _ => {}
        }
        let encoded = pad(encoder.upcast_ref(), "src")?;
        let count = Arc::default();
        let done = self.run.done;
        gate::count(&encoded, done..done, 0, Arc::clone(&count));
        self.gate.shift(&encoded);
        self.encoded.push((encoded.clone(), count));
        match (sink, container.muxer()) {
            (Sink::Video(part, kept), Some(muxer)) => {
                let muxer = make(muxer)?;
                self.write_video(&encoded, &muxer, part.path(), kept.clone())?;
                Ok(Some(muxer))
            }
            (Sink::Pictures(pictures), _) => {
                let encodes = !container.is_still() || container == Container::Png;
                let stills = (!encodes).then(|| {
                    Stills::new(
                        container,
                        output.kind,
                        self.run.premultiplied,
                        self.decoded.clone(),
                        self.timecode.clone(),
                        self.run.selection.frames.start + self.run.done,
                    )
                });
                self.write_pictures(&encoded, pictures.clone(), stills)?;
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
        if let Some(timecode) = &self.timecode {
            timecode.begin(&video, self.run.selection.frames.start);
        }
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

    /// Writes pictures: the encoder's, or those that `stills` makes of raw frames.
    fn write_pictures(
        &self,
        encoded: &gst::Pad,
        pictures: Arc<Pictures>,
        stills: Option<Stills>,
    ) -> Result<(), Error> {
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
            let written = match &stills {
                Some(stills) => stills
                    .encode(&sample)
                    .map_err(|reason| Error::Encode { path: pictures.path(), reason })
                    .and_then(|bytes| pictures.write(&bytes)),
                None => {
                    let png = sample.buffer().and_then(|buffer| buffer.map_readable().ok());
                    pictures.write(&png.ok_or(gst::FlowError::Error)?)
                }
            };
            written.map_err(|error| {
                gate.fail(error);
                gst::FlowError::Error
            })?;
            Ok(gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(write).build());
        Ok(())
    }
}

/// Fits filters to the caps that come to a pad, before anything that follows is told them: converters ask
/// what may come.
fn fit_at(pad: &gst::Pad, deepened: Vec<depth::Fitted>, decoded: Arc<Mutex<Option<gst::Caps>>>) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view()) {
            deepened.iter().for_each(|fitted| fitted.fit(caps.caps()));
            *lock(&decoded) = Some(caps.caps_owned());
        }
        gst::PadProbeReturn::Ok
    });
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
        let format = match (caps.is_any(), depth::is_deep(&info)) {
            (true, false) => "RGB",
            (false, false) => "BGRA",
            (_, true) => "ARGB64",
        };
        caps = gst::Caps::builder("video/x-raw").field("format", format).build();
    }
    element.set_property("caps", caps);
}
