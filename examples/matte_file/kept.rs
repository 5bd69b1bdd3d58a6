//! Videos that an interrupted run left: their frames go unchanged into the video that goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gst::prelude::*;

use crate::error::Error;
use crate::format::Container;
use crate::gate::Gate;
use crate::survey::{add, link, link_pads, make, pad, source, swallow};

/// The frames of an earlier run.
#[derive(Clone, Debug)]
pub struct Kept {
    pub path: PathBuf,
    pub container: Container,
    /// How many frames it must have.
    pub frames: u64,
    /// The caps that the encoder gave them.
    pub caps: gst::Caps,
}

/// How long a frame is waited for before it is asked whether there is none.
const A_MOMENT: gst::ClockTime = gst::ClockTime::from_mseconds(100);

impl Kept {
    fn changed(&self, reason: &str) -> Error {
        Error::Resume { path: self.path.clone(), reason: reason.into() }
    }

    /// Frames as they are stored, one after the other, with their times in the pipeline.
    fn read(&self, mut each: impl FnMut(gst::Buffer) -> bool) -> Result<(), Error> {
        let pipeline = gst::Pipeline::new();
        let begins_at_zero = matches!(self.container, Container::Mkv | Container::Webm);
        let demuxer = make(if begins_at_zero { "matroskademux" } else { "qtdemux" })?;
        let (source, sink) = (source(&self.path)?, make("appsink")?);
        sink.set_property("sync", false);
        sink.set_property("max-buffers", 8_u32);
        let sink: gst_app::AppSink =
            sink.downcast().map_err(|_| Error::GStreamer("appsink is none".into()))?;
        add(&pipeline, &[&source, &demuxer, sink.upcast_ref()])?;
        link(&source, &demuxer)?;
        let frames = pad(sink.upcast_ref(), "sink")?;
        let weak = pipeline.downgrade();
        let (found, weak_of_all) = (frames.clone(), pipeline.downgrade());
        demuxer.connect_no_more_pads(move |_| {
            if let (false, Some(pipeline)) = (found.is_linked(), weak_of_all.upgrade()) {
                gst::element_error!(pipeline, gst::StreamError::Demux, ("it has no video"));
            }
        });
        demuxer.connect_pad_added(move |_, from| {
            let is_video = from.name().starts_with("video") && !frames.is_linked();
            let linked = match (is_video, weak.upgrade()) {
                (true, _) => link_pads(from, &frames),
                (false, Some(pipeline)) => swallow(&pipeline, from),
                (false, None) => Ok(()),
            };
            if let (Err(error), Some(pipeline)) = (linked, weak.upgrade()) {
                gst::element_error!(pipeline, gst::CoreError::Pad, ("{error}"));
            }
        });
        let bus = pipeline.bus().ok_or_else(|| Error::GStreamer("a pipeline has no bus".into()))?;
        let _ = pipeline.set_state(gst::State::Playing);
        let (mut count, mut is_taken) = (0, true);
        // No sample comes at the end and after a failure; the count tells which.
        while is_taken && count < self.frames {
            match sink.try_pull_sample(A_MOMENT) {
                Some(sample) => {
                    count += 1;
                    is_taken = in_running_time(&sample, begins_at_zero).is_none_or(&mut each);
                }
                // A file without a video never ends at the sink.
                None if sink.is_eos() || bus.pop_filtered(&[gst::MessageType::Error]).is_some() => {
                    break;
                }
                None => {}
            }
        }
        let _ = pipeline.set_state(gst::State::Null);
        match count == self.frames || !is_taken {
            // What could not be taken is told by who did not take it.
            true => Ok(()),
            false => Err(self.changed("it is not what the interrupted run left")),
        }
    }
}

/// The pipeline's time 0, so that decoding times before it can be told: encoders do the same.
const ZERO: gst::ClockTime = gst::ClockTime::from_seconds(1000 * 60 * 60);

/// A sample's buffer, with the time of a pipeline from [`ZERO`] on instead of its stream's, which
/// may begin at 0, whatever its segment says.
fn in_running_time(sample: &gst::Sample, begins_at_zero: bool) -> Option<gst::Buffer> {
    let mut buffer = sample.buffer_owned()?;
    let segment = match begins_at_zero {
        true => gst::FormattedSegment::new(),
        false => sample.segment()?.downcast_ref::<gst::ClockTime>()?.clone(),
    };
    let time = |time: Option<gst::ClockTime>| match segment.to_running_time_full(time?)? {
        gst::Signed::Positive(time) => Some(ZERO + time),
        gst::Signed::Negative(time) => ZERO.checked_sub(time),
    };
    let (pts, dts) = (time(buffer.pts()), time(buffer.dts()));
    let writable = buffer.make_mut();
    writable.set_pts(pts);
    writable.set_dts(dts);
    Some(buffer)
}

/// What is to run in a thread of its own from the pipeline's start on.
pub type Feeder = Box<dyn FnOnce() + Send>;

/// Puts what was kept before what an encoder gives, on the way to a muxer.
///
/// # Errors
/// [`Error::GStreamer`].
pub fn splice(
    pipeline: &gst::Pipeline,
    encoded: &gst::Pad,
    muxer: &gst::Pad,
    kept: Kept,
    gate: Arc<Gate>,
) -> Result<Feeder, Error> {
    let (sink, source) = (make("appsink")?, make("appsrc")?);
    sink.set_property("sync", false);
    sink.set_property("async", false);
    sink.set_property("max-buffers", 8_u32);
    // The encoder is to negotiate as it does with the muxer itself.
    sink.set_property("caps", muxer.pad_template_caps());
    source.set_property("format", gst::Format::Time);
    source.set_property("block", true);
    source.set_property("max-buffers", 8_u64);
    source.set_property("max-bytes", 0_u64);
    source.set_property("caps", &kept.caps);
    add(pipeline, &[&sink, &source])?;
    link_pads(encoded, &pad(&sink, "sink")?)?;
    let out = pad(&source, "src")?;
    out.set_offset(-i64::try_from(ZERO.nseconds()).unwrap_or(0));
    link_pads(&out, muxer)?;
    let none = || Error::GStreamer("appsink or appsrc is none".into());
    let sink: gst_app::AppSink = sink.downcast().map_err(|_| none())?;
    let source: gst_app::AppSrc = source.downcast().map_err(|_| none())?;
    Ok(Box::new(move || {
        if let Err(error) = feed(&kept, &sink, &source) {
            gate.fail(error);
        }
        let _ = source.end_of_stream();
    }))
}

fn feed(kept: &Kept, sink: &gst_app::AppSink, source: &gst_app::AppSrc) -> Result<(), Error> {
    kept.read(|buffer| source.push_buffer(buffer).is_ok())?;
    while let Ok(sample) = sink.pull_sample() {
        if sample.caps() != Some(&*kept.caps) {
            return Err(kept.changed("frames are encoded in another way than then"));
        }
        let pushed = in_running_time(&sample, false).map(|buffer| source.push_buffer(buffer));
        if pushed.is_none_or(|pushed| pushed.is_err()) {
            // The pipeline was stopped, or has failed and told so.
            break;
        }
    }
    Ok(())
}

/// Caps as they were noted.
///
/// # Errors
/// [`Error::Resume`].
pub fn parse_caps(text: &str, path: &Path) -> Result<gst::Caps, Error> {
    text.parse()
        .map_err(|_| Error::Resume { path: path.to_owned(), reason: "its note is damaged".into() })
}
