//! What is let through to be matted: each frame of the part that is asked for and those that it needs before
//! it, none that was done before, none after an interruption.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use gst::prelude::*;

use crate::error::Error;
use crate::selection::Selection;
use crate::survey::lock;

/// How long a picture lasts that does not say: a frame of 25 a second.
const STILL: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// The gate before the matting, and what is known there.
pub struct Gate {
    input: PathBuf,
    /// Frames before this one are not matted.
    first: u64,
    selection: Selection,
    /// The only frame has to last for some time, to be seen in a video.
    is_only: bool,
    /// A decoder that gives more than this gives frames without end.
    most: u64,
    state: Mutex<State>,
    closed: AtomicBool,
    /// Ended by being closed.
    ended: AtomicBool,
    /// Ended in any way.
    over: AtomicBool,
    /// Pads whose streams are to begin with the part.
    shifted: Mutex<Vec<gst::Pad>>,
    /// Told when it is known where the part begins.
    begun: Condvar,
    stopped: AtomicBool,
    /// What ended the stream, told better than the bus does.
    trouble: Mutex<Option<Error>>,
}

#[derive(Default)]
struct State {
    caps: Option<gst::Caps>,
    /// Frames that came.
    frames: u64,
    /// Where the last one ends, and the same as the whole pipeline's time.
    end: Option<gst::ClockTime>,
    end_running: Option<gst::ClockTime>,
    /// Where the part begins, in the whole pipeline's time; of the whole nobody asks.
    begin_running: Option<gst::ClockTime>,
}

/// How something lies to the frames that are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Before,
    Within,
    After,
}

impl Gate {
    /// Frames of `input` from number `first` on, counted from 0, are let through until the selection ends.
    /// About `stored` should come.
    pub fn new(input: PathBuf, first: u64, selection: &Selection, stored: u64) -> Arc<Self> {
        Arc::new(Self {
            input,
            first,
            selection: selection.clone(),
            is_only: stored == 1,
            most: 100 + 2 * stored,
            state: Mutex::default(),
            closed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            over: AtomicBool::new(false),
            shifted: Mutex::default(),
            begun: Condvar::new(),
            stopped: AtomicBool::new(false),
            trouble: Mutex::default(),
        })
    }

    /// Lets no more frames through.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Nobody waits any more.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.begun.notify_all();
    }

    /// Lets the stream of a pad begin at 0 where the part does.
    pub fn shift(&self, pad: &gst::Pad) {
        if !self.selection.is_whole {
            lock(&self.shifted).push(pad.clone());
        }
    }

    /// Whether the stream was ended by closing the gate.
    pub fn has_ended_early(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Frames that came, or nothing when no more will.
    pub fn awaits(&self) -> Option<u64> {
        (!self.over.load(Ordering::SeqCst)).then(|| lock(&self.state).frames)
    }

    /// Keeps the first failure.
    pub fn fail(&self, error: Error) {
        lock(&self.trouble).get_or_insert(error);
    }

    /// The first failure.
    pub fn trouble(&self) -> Option<Error> {
        lock(&self.trouble).take()
    }

    /// Guards a source pad, through which frames go to be matted. `begin` is told the first caps,
    /// before anything that follows is.
    pub fn guard(
        self: &Arc<Self>,
        pad: &gst::Pad,
        begin: impl Fn(&gst::CapsRef) + Send + Sync + 'static,
    ) {
        let gate = self.clone();
        let types = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(types, move |pad, info| match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => match gate.admit(pad, buffer) {
                Ok(true) => gst::PadProbeReturn::Ok,
                Ok(false) => gst::PadProbeReturn::Drop,
                Err(flow) => {
                    info.flow_res = Err(flow);
                    gst::PadProbeReturn::Handled
                }
            },
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Eos(_) if gate.over.load(Ordering::SeqCst) => {
                    gst::PadProbeReturn::Drop
                }
                gst::EventView::Eos(_) => {
                    gate.over.store(true, Ordering::SeqCst);
                    gst::PadProbeReturn::Ok
                }
                gst::EventView::Caps(caps) => {
                    gate.see(caps.caps(), &begin);
                    gst::PadProbeReturn::Ok
                }
                _ => gst::PadProbeReturn::Ok,
            },
            _ => gst::PadProbeReturn::Ok,
        });
    }

    /// Whether a frame is let through; an error ends the stream.
    fn admit(&self, pad: &gst::Pad, buffer: &mut gst::Buffer) -> Result<bool, gst::FlowError> {
        if lock(&self.trouble).is_some() {
            return Err(gst::FlowError::Error);
        }
        if self.closed.load(Ordering::SeqCst) {
            let is_over = self.over.load(Ordering::SeqCst);
            self.ended.fetch_or(!is_over, Ordering::SeqCst);
            return Err(self.end(pad));
        }
        let mut state = lock(&self.state);
        let frame = state.frames;
        if frame >= self.selection.frames.end {
            drop(state);
            return Err(self.end(pad));
        }
        state.frames += 1;
        if frame == self.most {
            let reason = format!("more than {} frames come out of it", self.most);
            self.fail(Error::Decode { path: self.input.clone(), reason });
            return Err(gst::FlowError::Error);
        }
        let start = buffer.pts().or(state.end).unwrap_or_default();
        if buffer.pts().is_none() {
            // Muxers need one. What has none follows upon what was before it.
            buffer.make_mut().set_pts(start);
        }
        let known = buffer.duration().filter(|lasts| !lasts.is_zero());
        let lasts = known.or_else(|| duration(state.caps.as_deref()?));
        let lasts = lasts.or(self.is_only.then_some(STILL));
        if self.is_only && known.is_none() {
            buffer.make_mut().set_duration(lasts);
        }
        let end = start + lasts.unwrap_or_default();
        state.end = Some(end);
        state.end_running = running_time(pad, end);
        if frame == self.selection.frames.start && !self.selection.is_whole {
            state.begin_running = running_time(pad, start);
            if let Some(begin) = state.begin_running {
                let offset = -i64::try_from(begin.nseconds()).unwrap_or(0);
                lock(&self.shifted).iter().for_each(|pad| pad.set_offset(offset));
            }
            self.begun.notify_all();
        }
        Ok(frame >= self.first)
    }

    /// Ends the stream of a pad, which the guard takes note of.
    fn end(&self, pad: &gst::Pad) -> gst::FlowError {
        if !self.over.load(Ordering::SeqCst) {
            pad.push_event(gst::event::Eos::new());
        }
        gst::FlowError::Eos
    }

    /// How audio lies to the frames that are let through. Waits until it is known where they begin.
    pub fn place(&self, pad: &gst::Pad, audio: &gst::BufferRef) -> Place {
        let start = audio.pts().and_then(|start| running_time(pad, start));
        let end = audio.duration().zip(start).map(|(lasts, start)| start + lasts).or(start);
        // What is before the pipeline's time, or has no time, belongs to the first frames.
        if !self.selection.is_whole {
            let part = self.part(end.unwrap_or_default());
            match (start.zip(end), part) {
                (_, None) => return Place::Before,
                (None, Some((begin, _))) if !begin.is_zero() => return Place::Before,
                (Some((_, end)), Some((begin, _))) if end <= begin => return Place::Before,
                (Some((start, _)), Some((_, Some(end)))) if start >= end => return Place::After,
                _ => {}
            }
        }
        if !self.has_ended_early() {
            return Place::Within;
        }
        let end = lock(&self.state).end_running;
        match start.zip(end).is_none_or(|(start, end)| start < end) {
            true => Place::Within,
            false => Place::After,
        }
    }

    /// Where the part begins and ends, as soon as that is known; nothing for what ends before a frame
    /// that comes before it, or where there will be no part.
    fn part(&self, end: gst::ClockTime) -> Option<(gst::ClockTime, Option<gst::ClockTime>)> {
        let mut state = lock(&self.state);
        loop {
            if let Some(begin) = state.begin_running {
                let length = self.selection.length.and_then(|l| gst::ClockTime::try_from(l).ok());
                return Some((begin, length.map(|length| begin + length)));
            }
            let is_over = [&self.over, &self.stopped].iter().any(|it| it.load(Ordering::SeqCst));
            if is_over || state.end_running.is_some_and(|shown| end <= shown) {
                return None;
            }
            let woken = self.begun.wait_timeout(state, Duration::from_millis(20));
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn see(&self, caps: &gst::CapsRef, begin: &impl Fn(&gst::CapsRef)) {
        let (first, frame) = {
            let mut state = lock(&self.state);
            (state.caps.get_or_insert_with(|| caps.to_owned()).clone(), state.frames)
        };
        let (before, after) = (describe(&first), describe(caps));
        if gst_video::VideoInfo::from_caps(caps).is_ok_and(|info| info.is_interlaced()) {
            self.fail(Error::Interlaced { path: self.input.clone() });
        } else if frame == 0 {
            begin(caps);
        } else if before != after {
            self.fail(Error::Size { path: self.input.clone(), before, after, frame });
        }
    }
}

/// A time of a pad's stream as the whole pipeline's.
pub fn running_time(pad: &gst::Pad, time: gst::ClockTime) -> Option<gst::ClockTime> {
    let segment = pad.sticky_event::<gst::event::Segment>(0)?;
    segment.segment().downcast_ref::<gst::ClockTime>()?.to_running_time(time)
}

/// By how much a time of a pad's stream lies before the pipeline's, if it does.
pub fn early(pad: &gst::Pad, time: gst::ClockTime) -> Option<gst::ClockTime> {
    let segment = pad.sticky_event::<gst::event::Segment>(0);
    let segment = segment.and_then(|event| event.segment().downcast_ref().cloned());
    let time = segment.and_then(|segment: gst::FormattedSegment<gst::ClockTime>| {
        segment.to_running_time_full(time)
    });
    match time? {
        gst::Signed::Negative(early) => Some(early),
        gst::Signed::Positive(_) => None,
    }
}

/// How long a frame lasts by its caps.
fn duration(caps: &gst::CapsRef) -> Option<gst::ClockTime> {
    let rate = gst_video::VideoInfo::from_caps(caps).ok()?.fps();
    let (seconds, rate) = (u64::try_from(rate.denom()).ok()?, u64::try_from(rate.numer()).ok()?);
    (rate > 0).then(|| gst::ClockTime::SECOND.mul_div_round(seconds, rate))?
}

/// What encoders cannot have changed under them.
fn describe(caps: &gst::CapsRef) -> String {
    match gst_video::VideoInfo::from_caps(caps) {
        Ok(info) => {
            let par = info.par();
            let pixels = match par.numer() == par.denom() {
                true => String::new(),
                false => format!(" with pixels of {}:{}", par.numer(), par.denom()),
            };
            format!("{}x{} {}{pixels}", info.width(), info.height(), info.format().to_str())
        }
        Err(_) => caps.to_string(),
    }
}

/// Counts frames that leave a pad, of which the first has the number `kept.start`, and drops those before
/// `kept.end`. What is done is counted from number `begin` on.
pub fn count(pad: &gst::Pad, kept: Range<u64>, begin: u64, done: Arc<AtomicU64>) {
    let next = AtomicU64::new(kept.start);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let frame = next.fetch_add(1, Ordering::SeqCst);
        if frame < kept.end {
            return gst::PadProbeReturn::Drop;
        }
        done.store(frame + 1 - begin, Ordering::SeqCst);
        gst::PadProbeReturn::Ok
    });
}
