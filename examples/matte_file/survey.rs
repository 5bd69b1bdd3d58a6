//! What an input holds, found out by reading it once without decoding it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::error::Error;
use crate::gate::running_time;
use crate::mp4;
use crate::reading::begin_at;
use crate::stop;

/// What an input holds.
#[derive(Debug, Default)]
pub struct Survey {
    /// Frames as they are stored; decoding may give others in a damaged file.
    pub frames: u64,
    /// Timestamps of those frames, in the order in which they are stored.
    times: Vec<gst::ClockTime>,
    /// When they are shown, by the file's own beginning.
    shown: Vec<gst::ClockTime>,
    framerate: Option<gst::Fraction>,
    /// The first timestamp of all that is seen or heard.
    pub earliest: Option<gst::ClockTime>,
    /// Video streams, of which the first is used.
    pub videos: usize,
    /// The audio streams, in the order in which they come.
    pub audio: Vec<Audio>,
    others: usize,
    /// All that was read.
    pieces: u64,
}

/// An audio stream.
#[derive(Clone, Debug, Default)]
pub struct Audio {
    /// Parsers tell them only with the first packet.
    pub caps: Option<gst::Caps>,
    /// Packets as they are stored.
    pub packets: u64,
}

impl Audio {
    /// What it is, as GStreamer calls it.
    pub fn name(&self) -> &str {
        let structure = self.caps.as_ref().and_then(|caps| caps.structure(0));
        structure.map_or("of an unknown kind", |structure| structure.name().as_str())
    }
}

/// Some demuxers never end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Locks are held only to count.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    Video,
    Audio,
    Other,
}

/// What leaves a pad.
pub fn medium(pad: &gst::Pad) -> Medium {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let name = caps.structure(0).map(|structure| structure.name().as_str()).unwrap_or_default();
    match name.split('/').next() {
        Some("video" | "image") => Medium::Video,
        Some("audio") => Medium::Audio,
        _ => Medium::Other,
    }
}

/// Reads an input once.
///
/// # Errors
/// [`Error::Decode`], [`Error::NoVideo`], [`Error::ShortVideo`], [`Error::NoFrames`],
/// [`Error::NoDecoder`], [`Error::Interrupted`].
pub fn survey(input: &Path) -> Result<Survey, Error> {
    let pipeline = gst::Pipeline::new();
    let survey = Arc::new(Mutex::new(Survey::default()));
    let (source, parse) = (source(input)?, make("parsebin")?);
    add(&pipeline, &[&source, &parse])?;
    link(&source, &parse)?;
    begin_at(&parse, gst::ClockTime::ZERO)?;
    let counted = survey.clone();
    let weak = pipeline.downgrade();
    parse.connect_pad_added(move |_, pad| {
        if let Some(pipeline) = weak.upgrade()
            && let Err(error) = count(&pipeline, pad, &counted)
        {
            gst::element_error!(pipeline, gst::CoreError::Pad, ("{error}"));
        }
    });
    let result = run(&pipeline, input, &survey);
    // A pipeline can always be stopped.
    let _ = pipeline.set_state(gst::State::Null);
    result?;
    let survey = std::mem::take(&mut *lock(&survey));
    survey.check(input)?;
    Ok(survey)
}

/// Which of a survey's counts a stream adds to.
#[derive(Clone, Copy, Debug)]
enum Counted {
    /// The video that is used.
    Video { is_still: bool },
    /// An audio stream, by its number.
    Audio(usize),
    /// Nothing but that something came.
    Other,
}

/// Counts what leaves a pad.
fn count(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    survey: &Arc<Mutex<Survey>>,
) -> Result<(), Error> {
    let counted = lock(survey).begin(pad);
    let (pad, counted) = match (parser(pipeline, pad)?, counted) {
        (Parser::None, counted) => (pad.clone(), counted),
        (Parser::Of(parser), counted) => (parser, counted),
        (Parser::Missing, Counted::Video { .. }) => {
            (pad.clone(), Counted::Video { is_still: true })
        }
        (Parser::Missing, counted) => (pad.clone(), counted),
    };
    let survey = survey.clone();
    let types = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(types, move |pad, info| {
        match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let shown = buffer.pts().and_then(|time| running_time(pad, time));
                lock(&survey).add(counted, buffer, shown);
            }
            Some(gst::PadProbeData::Event(event)) => {
                if let gst::EventView::Caps(caps) = event.view() {
                    lock(&survey).learn(counted, caps.caps());
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    swallow(pipeline, &pad)
}

/// What tells a stream's frames apart.
enum Parser {
    /// The stream comes in frames.
    None,
    /// A parser, whose source pad this is.
    Of(gst::Pad),
    /// Nothing: it comes in pieces of any length.
    Missing,
}

/// The parser of a picture, which parsebin may leave out.
fn parser(pipeline: &gst::Pipeline, from: &gst::Pad) -> Result<Parser, Error> {
    let caps = from.current_caps();
    let Some(structure) = caps.as_ref().and_then(|caps| caps.structure(0)) else {
        return Ok(Parser::None);
    };
    let is_picture = structure.name().starts_with("image/");
    if !is_picture || structure.has_field("framerate") || structure.has_field("parsed") {
        return Ok(Parser::None);
    }
    if !structure.has_name("image/jpeg") || gst::ElementFactory::find("jpegparse").is_none() {
        return Ok(Parser::Missing);
    }
    let parser = make("jpegparse")?;
    add(pipeline, &[&parser])?;
    link_pads(from, &pad(&parser, "sink")?)?;
    Ok(Parser::Of(pad(&parser, "src")?))
}

/// Runs a reading pipeline to its end.
fn run(pipeline: &gst::Pipeline, input: &Path, survey: &Mutex<Survey>) -> Result<(), Error> {
    let bus = pipeline.bus().ok_or_else(|| Error::GStreamer("a pipeline has no bus".into()))?;
    let mut missing = None;
    let mut moved = (0, Instant::now());
    // A failure is told on the bus as well.
    let _ = pipeline.set_state(gst::State::Playing);
    loop {
        if stop::is_asked() {
            return Err(Error::Interrupted);
        }
        let pieces = lock(survey).pieces;
        if moved.0 != pieces {
            moved = (pieces, Instant::now());
        } else if moved.1.elapsed() > PATIENCE {
            let reason = format!("nothing came of it for {} seconds", PATIENCE.as_secs());
            return Err(Error::Decode { path: input.to_owned(), reason });
        }
        let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(100)) else { continue };
        match message.view() {
            gst::MessageView::Eos(_) => return Ok(()),
            gst::MessageView::Element(_) => missing = missing.or_else(|| missing_plugin(&message)),
            gst::MessageView::Error(error) => {
                return Err(match missing {
                    Some(codec) => Error::NoDecoder { path: input.to_owned(), codec },
                    None => unreadable(input, error),
                });
            }
            _ => {}
        }
    }
}

/// The name of a format that nothing reads, if that is what a message tells.
pub fn missing_plugin(message: &gst::MessageRef) -> Option<String> {
    let structure = message.structure()?;
    (structure.name() == "missing-plugin").then(|| structure.get("name").ok()).flatten()
}

/// The error of an element that reads or decodes, in a sentence.
pub fn unreadable(input: &Path, error: &gst::message::Error) -> Error {
    let reason = error.error().message().trim_end_matches('.').to_owned();
    Error::Decode { path: input.to_owned(), reason: reason.replace('\n', " ") }
}

impl Survey {
    /// Counts a stream.
    fn begin(&mut self, pad: &gst::Pad) -> Counted {
        match medium(pad) {
            Medium::Video => {
                self.videos += 1;
                match self.videos {
                    1 => Counted::Video { is_still: false },
                    _ => Counted::Other,
                }
            }
            Medium::Audio => {
                self.audio.push(Audio { caps: pad.current_caps(), packets: 0 });
                Counted::Audio(self.audio.len() - 1)
            }
            Medium::Other => {
                self.others += 1;
                Counted::Other
            }
        }
    }

    /// Counts a piece of a stream.
    fn add(&mut self, counted: Counted, buffer: &gst::BufferRef, shown: Option<gst::ClockTime>) {
        self.pieces += 1;
        if !matches!(counted, Counted::Other) {
            self.earliest = self.earliest.into_iter().chain(buffer.pts()).min();
        }
        match counted {
            Counted::Video { is_still: true } => self.frames = 1,
            Counted::Video { is_still: false } => {
                self.frames += 1;
                self.times.extend(buffer.pts());
                self.shown.extend(shown);
            }
            Counted::Audio(number) => {
                if let Some(audio) = self.audio.get_mut(number) {
                    audio.packets += 1;
                }
            }
            Counted::Other => {}
        }
    }

    /// Takes from a stream's caps what is to be known.
    fn learn(&mut self, counted: Counted, caps: &gst::CapsRef) {
        match counted {
            Counted::Video { .. } => {
                let structure = caps.structure(0);
                self.framerate = structure.and_then(|structure| structure.get("framerate").ok());
            }
            Counted::Audio(number) => {
                if let Some(audio) = self.audio.get_mut(number) {
                    audio.caps.get_or_insert_with(|| caps.to_owned());
                }
            }
            Counted::Other => {}
        }
    }

    /// Audio streams that hold something.
    pub fn sounding(&self) -> impl Iterator<Item = &Audio> {
        self.audio.iter().filter(|audio| audio.packets > 0)
    }

    fn check(&self, input: &Path) -> Result<(), Error> {
        let path = input.to_owned();
        if self.videos == 0 && mp4::video(input).is_some_and(|video| video.is_left_out()) {
            return Err(Error::ShortVideo { path });
        }
        if self.videos == 0 {
            let what = match (self.audio.len(), self.others) {
                (1.., _) => "audio",
                (0, 1..) => "text or data",
                _ => "what is no stream",
            };
            return Err(Error::NoVideo { path, what });
        }
        if self.frames == 0 {
            return Err(Error::NoFrames { path });
        }
        Ok(())
    }

    /// When frames are shown, in the order in which they are; of one that is shown never there is no time.
    pub fn times_shown(&self) -> Vec<Duration> {
        let mut times: Vec<Duration> = self.shown.iter().map(|&time| time.into()).collect();
        times.sort_unstable();
        times
    }

    /// Whether all frames last equally long, as far as Matroska's milliseconds tell.
    pub fn is_even(&self) -> bool {
        let mut times = self.times.clone();
        times.sort_unstable();
        let lasts = || times.windows(2).map(|pair| pair[1] - pair[0]);
        let (least, most) = (lasts().min(), lasts().max());
        least
            .zip(most)
            .is_none_or(|(least, most)| most - least <= gst::ClockTime::from_useconds(1500))
    }

    /// Whether some frame lasts so long that those that are coded ahead of their time would have
    /// to be told times far before the beginning.
    pub fn is_slow(&self) -> bool {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.windows(2).any(|pair| pair[1] - pair[0] > gst::ClockTime::SECOND)
    }

    /// Ticks a second by which all timestamps can be told: a multiple of the frame rate, unless
    /// that tells them less exactly than another one does.
    pub fn timescale(&self) -> u32 {
        const FINE: i32 = 90_000;
        let rate = self.framerate.map_or(0, |rate| rate.numer());
        let of_rate = (rate > 0).then(|| rate.saturating_mul(FINE.saturating_add(rate - 1) / rate));
        let candidates = of_rate.into_iter().chain([FINE, 92_160, 720_000]);
        let scales = candidates.filter_map(|scale| u32::try_from(scale).ok());
        scales.into_iter().find(|&scale| self.is_told_by(scale)).unwrap_or(1_000_000)
    }

    fn is_told_by(&self, scale: u32) -> bool {
        let Some(first) = self.times.iter().min() else { return true };
        self.times.iter().all(|time| {
            let passed = u128::from((*time - *first).nseconds()) * u128::from(scale);
            let off = passed % 1_000_000_000;
            // Timestamps are rounded to nanoseconds, the first as well.
            off.min(1_000_000_000 - off) <= 2 * u128::from(scale)
        })
    }
}

// -- Pieces of pipelines ---------------------------------------------------------------------------

/// An element by its name.
///
/// # Errors
/// [`Error::GStreamer`].
pub fn make(name: &str) -> Result<gst::Element, Error> {
    gst::ElementFactory::make(name).build().map_err(|error| Error::GStreamer(error.to_string()))
}

/// What reads a file, whose name may be of any bytes.
///
/// # Errors
/// [`Error::GStreamer`].
pub fn source(path: &Path) -> Result<gst::Element, Error> {
    let source = make("filesrc")?;
    source.set_property("location", path);
    Ok(source)
}

/// Adds elements to a pipeline, in its state if it plays already.
///
/// # Errors
/// [`Error::GStreamer`].
pub fn add(pipeline: &gst::Pipeline, elements: &[&gst::Element]) -> Result<(), Error> {
    let failed = |error: gst::glib::BoolError| Error::GStreamer(error.to_string());
    pipeline.add_many(elements).map_err(failed)?;
    elements.iter().try_for_each(|element| element.sync_state_with_parent()).map_err(failed)
}

/// Links two elements.
///
/// # Errors
/// [`Error::GStreamer`].
pub fn link(from: &gst::Element, to: &gst::Element) -> Result<(), Error> {
    from.link(to).map_err(|error| Error::GStreamer(error.to_string()))
}

/// Links two pads.
///
/// # Errors
/// [`Error::GStreamer`].
pub fn link_pads(from: &gst::Pad, to: &gst::Pad) -> Result<(), Error> {
    from.link(to).map(drop).map_err(|error| Error::GStreamer(error.to_string()))
}

/// The pad of an element that always has it.
///
/// # Errors
/// [`Error::GStreamer`].
pub fn pad(element: &gst::Element, name: &str) -> Result<gst::Pad, Error> {
    let missing = || Error::GStreamer(format!("{} has no pad {name}", element.name()));
    element.static_pad(name).ok_or_else(missing)
}

/// Lets what leaves a pad go nowhere.
///
/// # Errors
/// [`Error::GStreamer`].
pub fn swallow(pipeline: &gst::Pipeline, from: &gst::Pad) -> Result<(), Error> {
    let sink = make("fakesink")?;
    sink.set_property("async", false);
    sink.set_property("sync", false);
    add(pipeline, &[&sink])?;
    link_pads(from, &pad(&sink, "sink")?)
}
