//! The pipeline as a whole: putting it together, playing it, telling what went wrong.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gstdavidmatte::matting::stream::ANEW;

use crate::amend::{Amendment, light};
use crate::arguments::Kind;
use crate::depth;
use crate::error::Error;
use crate::format::Target;
use crate::gate::Gate;
use crate::kept::{Feeder, Kept};
use crate::part::Part;
use crate::pictures::Pictures;
use crate::plan::{Job, Output};
use crate::progress::Progress;
use crate::reading::Packets;
use crate::selection::Selection;
use crate::settings::Settings;
use crate::stop;
use crate::survey::{Audio, Survey, lock, missing_plugin, unreadable};
use crate::timecode::Timecode;

/// Some decoders never end. No model takes so long for a frame that this could be mistaken.
const PATIENCE: Duration = Duration::from_secs(120);

/// What lies before time 0 is not heard, up to here: decoders of AAC need it to begin with.
const PRIMING: Duration = Duration::from_millis(100);

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
    /// What each output's file is still to be told.
    pub amendments: Vec<Amendment>,
    /// Warnings by the way.
    pub warnings: Vec<String>,
}

/// What a run is of.
pub struct Run<'a> {
    pub job: &'a Job,
    pub settings: &'a Settings,
    pub survey: &'a Survey,
    pub selection: &'a Selection,
    /// Frames that every output has already.
    pub done: u64,
    pub with_audio: bool,
    /// Whether EXR gets colours that are multiplied by alpha.
    pub premultiplied: bool,
}

/// A pipeline while it is put together.
pub struct Build<'a> {
    pub run: &'a Run<'a>,
    pub pipeline: gst::Pipeline,
    pub gate: Arc<Gate>,
    pub done: Arc<AtomicU64>,
    /// The encoders' source pads, and the frames that left them.
    pub encoded: Vec<(gst::Pad, Arc<AtomicU64>)>,
    /// Audio streams, and the packets of them that came to the muxer.
    pub audio: Vec<(Audio, Arc<Packets>)>,
    /// Filters that take a colorimetry, and croppers to even sizes.
    pub fitted: Vec<gst::Element>,
    /// Filters that go by the depth of what is decoded.
    pub deepened: Vec<depth::Fitted>,
    /// The input's, where its frames last equally long.
    pub timecode: Option<Timecode>,
    /// Caps of what was decoded, as soon as that is known.
    pub decoded: Arc<Mutex<Option<gst::Caps>>>,
    pub feeders: Vec<Feeder>,
}

/// How far a film's own times may be from those that begin with 0.
const APART: Duration = Duration::from_secs(1);

impl Run<'_> {
    /// The first frame to matte. Mattes depend on those before them: some are made again, which leaves no
    /// seam. Where a region is followed they begin where that is chosen anew; and where mattes are
    /// carried, with a frame that was inferred then.
    fn first(&self) -> u64 {
        let Selection { frames, preroll, .. } = self.selection;
        let mut first = (frames.start + self.done).saturating_sub(*preroll);
        if self.settings.follows() && *preroll > 0 {
            let times = self.survey.times_shown();
            if let Some(time) = usize::try_from(first).ok().and_then(|first| times.get(first)) {
                let anew = time.as_nanos() / ANEW.as_nanos() * ANEW.as_nanos();
                let begin = anew.saturating_sub(APART.as_nanos());
                first = times.partition_point(|time| time.as_nanos() < begin) as u64;
            }
        }
        first - first % self.settings.inference_interval()
    }

    /// Mattes the input into the sinks, one for each output.
    ///
    /// # Errors
    /// Any, in a sentence.
    pub fn run(&self, sinks: &[Sink], progress: &Progress) -> Result<Ended, Error> {
        let first = self.first();
        let mut build = Build {
            run: self,
            pipeline: gst::Pipeline::new(),
            gate: Gate::new(self.job.input.clone(), first, self.selection, self.survey.frames),
            done: Arc::new(AtomicU64::new(self.done)),
            encoded: Vec::new(),
            audio: Vec::new(),
            fitted: Vec::new(),
            deepened: Vec::new(),
            timecode: Timecode::of(&self.job.input).filter(|_| self.survey.is_even()),
            decoded: Arc::default(),
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
        build.gate.stop();
        // A pipeline can always be stopped.
        let _ = build.pipeline.set_state(gst::State::Null);
        for thread in threads {
            // It has nothing to tell that the gate does not know.
            let _ = thread.join();
        }
        // What was failed elsewhere is told better than what came of it on the bus.
        let mut warnings = match (build.gate.trouble(), result) {
            (Some(error), _) | (None, Err(error)) => return Err(error),
            (None, Ok(warnings)) => warnings,
        };
        build.check_encoded()?;
        if self.selection.is_whole && !build.gate.has_ended_early() {
            warnings.extend(build.check_audio()?);
        }
        Ok(Ended {
            frames: build.done.load(Ordering::SeqCst),
            early: build.gate.has_ended_early(),
            streams,
            amendments: build.amendments(),
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

    /// What muxers have left out of each output's file.
    fn amendments(&self) -> Vec<Amendment> {
        let light = lock(&self.decoded).as_ref().map(|caps| light(caps)).unwrap_or_default();
        let early = self.audio.iter().map(|(_, packets)| packets.moved()).collect();
        let outputs = self.run.job.outputs.iter();
        let mut amendments: Vec<_> = outputs
            .map(|output| match (output.target.container().has_edit_lists(), output.kind) {
                (true, Kind::Composite | Kind::Cutout) => {
                    Amendment { light: light.clone(), ..Default::default() }
                }
                _ => Amendment::default(),
            })
            .collect();
        if let Some((first, output)) = amendments.first_mut().zip(self.run.job.outputs.first()) {
            let has_boxes = output.target.container().has_edit_lists();
            first.early = early;
            first.has_opus =
                has_boxes && self.audio.iter().any(|(audio, _)| audio.name() == "audio/x-opus");
        }
        amendments
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

    /// Fails where audio was lost on its way, and tells what is missing of it.
    fn check_audio(&self) -> Result<Vec<String>, Error> {
        let mut warnings = Vec::new();
        for (audio, packets) in &self.audio {
            let early = packets.early();
            if early > PRIMING {
                let (name, early) = (audio.name(), early.as_secs_f64());
                warnings.push(format!(
                    "{early:.2} s of audio ({name}) come before time 0, where nothing can be \
                     placed, and were left out"
                ));
            }
            let (packets, stored) = (packets.all.load(Ordering::SeqCst), audio.packets);
            if packets == 0 {
                let audio = audio.name().to_owned();
                return Err(Error::LostAudio { path: self.run.job.input.clone(), audio });
            }
            if packets < stored {
                let name = audio.name();
                warnings.push(format!("{packets} of {stored} audio packets ({name}) were kept"));
            }
        }
        Ok(warnings)
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
            Some("davidmatte") => Error::of_element(&error.error()),
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
