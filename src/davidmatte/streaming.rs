//! What the streaming thread owns, and which matte goes with which frame.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::{self, Engine, Late, Report};
use super::frame::Corner;
use super::output::{self, Failure, Negotiated, Paint, Writer};
use super::settings::{BackgroundKind, Pacing, RefineKind, RegionKind, Settings, UntilReady};
use super::stats::Stats;
use crate::matting::compose::backdrop::Background;
use crate::matting::compose::composer::Output;
use crate::matting::compose::compositor::Look;
use crate::matting::compose::picture::Picture;
use crate::matting::error::Error;

/// So many frames in a row may go without inference because they are late: a second of video.
const MAX_SKIPPED: u32 = 30;

/// The share of a frame's duration that a frame of a live stream may wait for its own matte; the
/// rest is for all that is done besides inference.
const PATIENCE: f64 = 0.7;

/// What a frame lasts where the caps do not say.
const USUAL_FRAME: Duration = Duration::from_millis(33);

/// What became of a frame.
pub enum Outcome {
    /// This leaves the source pad.
    Frame(gst::Buffer),
    /// Nothing does.
    Withheld,
}

/// A matted frame, and what is to be told about it.
pub struct Processed {
    pub outcome: Outcome,
    pub report: Report,
}

/// How frames and mattes come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Each frame waits for its own matte, so many of them at once.
    Exact { in_flight: usize },
    /// No frame waits; if `patient`, none waits longer than it lasts.
    Latest { patient: bool },
}

impl Mode {
    fn of(settings: &Settings, is_live: bool, frame: Option<Duration>) -> Self {
        match settings.pacing {
            Pacing::Latest => Self::Latest { patient: false },
            Pacing::Auto if is_live => Self::Latest { patient: true },
            // Latency is told in time, so where a frame's duration is not known there can be none.
            _ if is_live && frame.is_none() => Self::Exact { in_flight: 1 },
            // Closer looks follow from the first, and need its frame.
            _ if settings.refine != RefineKind::None => Self::Exact { in_flight: 1 },
            _ => Self::Exact { in_flight: settings.frames_in_flight.max(1) as usize },
        }
    }
}

/// Where a frame's matte comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Its own inference, which is under way.
    Own,
    /// The newest matte before it.
    Carried,
    /// The newest matte there is when it leaves; its own inference may have begun.
    Newest { submitted: bool },
    /// It needs none.
    None,
}

/// A frame that has not left yet.
struct Pending {
    buffer: gst::Buffer,
    corner: Corner,
    settings: Settings,
    background: Background,
    source: Source,
    /// It was looked at when it came.
    looked: bool,
    arrived: Instant,
}

/// The streaming thread's own: the network, and all that is kept from frame to frame.
pub struct Streaming {
    engine: Engine,
    /// A network that takes over when it has a matte to show.
    successor: Option<Engine>,
    negotiated: Option<Negotiated>,
    mode: Mode,
    /// Whether mattes are refined.
    refines: bool,
    frame_duration: Option<Duration>,
    pending: VecDeque<Pending>,
    /// Frames since the last one that was inferred.
    since_inference: u32,
    /// Whether mattes have to be carried, as far as is known.
    carries: bool,
    report: Report,
    picture: Option<(Arc<str>, Arc<Picture>)>,
    pub writer: Writer,
}

impl Streaming {
    /// With a network that is loaded.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            successor: None,
            negotiated: None,
            mode: Mode::Exact { in_flight: 1 },
            refines: false,
            frame_duration: None,
            pending: VecDeque::new(),
            since_inference: 0,
            carries: false,
            report: Report::default(),
            picture: None,
            writer: Writer::default(),
        }
    }

    /// Goes on with other caps. No frame may be pending.
    pub fn negotiate(
        &mut self,
        negotiated: Negotiated,
        settings: &Settings,
        is_live: bool,
    ) -> Result<(), Error> {
        let rate = negotiated.sink.fps();
        self.frame_duration = (rate.numer() > 0)
            .then(|| Duration::from_secs_f64(f64::from(rate.denom()) / f64::from(rate.numer())));
        self.mode = Mode::of(settings, is_live, self.frame_duration);
        self.carries = matches!(self.mode, Mode::Latest { .. });
        let waits = matches!(self.mode, Mode::Exact { .. });
        self.refines = waits && settings.refine != RefineKind::None;
        self.engine.negotiate(&negotiated, self.refines)?;
        if let Some(successor) = &mut self.successor {
            successor.negotiate(&negotiated, self.refines)?;
        }
        self.since_inference = 0;
        self.negotiated = Some(negotiated);
        Ok(())
    }

    /// Whether mattes are refined: in a pacing in which no frame waits, they are not.
    pub fn refines(&self) -> bool {
        self.refines
    }

    /// The negotiated output.
    pub fn output(&self) -> Option<Output> {
        self.negotiated.as_ref().map(|negotiated| negotiated.output)
    }

    /// The time by which frames leave later than they came, computing aside.
    pub fn latency(&self) -> Duration {
        match self.mode {
            Mode::Exact { in_flight } => {
                self.frame_duration.unwrap_or_default() * (in_flight as u32 - 1)
            }
            Mode::Latest { .. } => Duration::ZERO,
        }
    }

    /// Goes on with another network. No frame may be pending.
    ///
    /// Where frames wait for their mattes it takes over at once, else when it has its first.
    pub fn succeed(&mut self, mut engine: Engine) -> Result<(), Error> {
        if let Some(negotiated) = &self.negotiated {
            engine.negotiate(negotiated, self.refines)?;
        }
        match self.mode {
            Mode::Exact { .. } => self.engine = engine,
            Mode::Latest { .. } => self.successor = Some(engine),
        }
        self.since_inference = 0;
        Ok(())
    }

    /// Forgets all frames, those that have not left as well.
    pub fn flush(&mut self) {
        self.pending.clear();
        self.engine.forget();
        if let Some(successor) = &mut self.successor {
            successor.forget();
        }
        self.since_inference = 0;
    }

    /// Takes a frame in. `late` says that it will be late, and should cost little.
    pub fn accept(
        &mut self,
        buffer: gst::Buffer,
        settings: Settings,
        late: bool,
        stats: &mut Stats,
    ) -> Result<(), Failure> {
        let arrived = Instant::now();
        stats.frames += 1;
        stats.late += u64::from(late);
        let background = self.background(&settings)?;
        let Some(negotiated) = &self.negotiated else {
            return Err(Failure::Buffer("a frame came before its caps".into()));
        };
        let corner = Corner::of(&buffer, &negotiated.from).map_err(Failure::Buffer)?;
        let composites = negotiated.output == Output::Composite;
        let untouched = composites && negotiated.same_caps() && settings.changes_nothing();
        let (source, looked) = match self.mode {
            _ if untouched => (Source::None, false),
            Mode::Exact { .. } => self.begin_exact(&buffer, corner, &settings, late, stats)?,
            Mode::Latest { .. } => self.begin_newest(&buffer, corner, &settings, late, stats)?,
        };
        let pending = Pending { buffer, corner, settings, background, source, looked, arrived };
        self.pending.push_back(pending);
        Ok(())
    }

    /// Whether a frame is to be inferred, by what the settings ask for and time allows.
    fn is_due(&self, settings: &Settings, late: bool) -> bool {
        let since = self.since_inference;
        let skipped_for_time = late && self.carries && since < MAX_SKIPPED;
        since == 0 || (since >= settings.inference_interval && !skipped_for_time)
    }

    /// Counts a frame that was inferred, or was not.
    fn count(&mut self, inferred: bool) {
        self.since_inference = match (inferred, self.since_inference) {
            (true, _) => 1,
            (false, 0) => 0,
            (false, since) => since.saturating_add(1),
        };
    }

    fn begin_exact(
        &mut self,
        buffer: &gst::BufferRef,
        corner: Corner,
        settings: &Settings,
        late: bool,
        stats: &mut Stats,
    ) -> Result<(Source, bool), Failure> {
        let due = self.is_due(settings, late);
        // From the first frame that may need it on, those that are inferred are looked at.
        self.carries |= late || settings.inference_interval > 1;
        let in_flight = self.pending.iter().any(|pending| pending.source == Source::Own);
        let carried = !due && (in_flight || self.engine.can_carry());
        let follows = settings.region == RegionKind::Auto;
        let looked = self.carries || follows || settings.temporal > 0.0;
        let Some(negotiated) = &self.negotiated else { return Ok((Source::None, false)) };
        let engine = &mut self.engine;
        output::read(negotiated, buffer, corner, |frame| {
            if looked {
                engine.look_ahead(frame, stats);
            }
            match carried {
                true => Ok(()),
                false if follows => engine.submit_or_search(frame, stats),
                false => {
                    engine.submit(frame, engine::Look::Frame, stats);
                    Ok(())
                }
            }
        })?
        .map_err(|_| Failure::Interrupted)?;
        self.count(!carried);
        Ok((if carried { Source::Carried } else { Source::Own }, looked))
    }

    fn begin_newest(
        &mut self,
        buffer: &gst::BufferRef,
        corner: Corner,
        settings: &Settings,
        late: bool,
        stats: &mut Stats,
    ) -> Result<(Source, bool), Failure> {
        if let Some(mut successor) = self.successor.take() {
            match successor.poll(stats) {
                Some(_) if successor.has_mask() => self.engine = successor,
                // The network at work goes on, so that this is no end.
                Some(report) => self.report.warning = report.failure,
                None => self.successor = Some(successor),
            }
        }
        if let Some(report) = self.engine.poll(stats) {
            self.report = report;
        }
        let due = self.is_due(settings, late);
        let (look, smooths) = (self.look(settings), settings.temporal > 0.0);
        let Some(negotiated) = &self.negotiated else { return Ok((Source::None, false)) };
        let (engine, successor) = (&mut self.engine, &mut self.successor);
        let submitted = output::read(negotiated, buffer, corner, |frame| {
            engine.look(frame, smooths, stats);
            if let Some(successor) = successor
                && successor.is_idle()
            {
                successor.look(frame, false, stats);
                successor.submit(frame, look, stats);
                successor.remember_submitted();
            }
            let submitted = due && engine.is_idle();
            if submitted {
                engine.submit(frame, look, stats);
            }
            submitted
        })?;
        self.count(submitted);
        Ok((Source::Newest { submitted }, true))
    }

    /// What the network is to look at where no frame waits for it. One that is so slow that every
    /// inference would have to be a search looks at the whole frame, and so does one that may be:
    /// to go over to a canvas and back takes longer than a frame lasts.
    fn look(&self, settings: &Settings) -> engine::Look {
        let quick = self.engine.expected().is_some_and(|expected| 3 * expected < engine::SEARCH);
        match settings.region {
            RegionKind::Auto if quick => engine::Look::Followed,
            _ => engine::Look::Frame,
        }
    }

    /// Whether the oldest frame is to leave before another one is taken in.
    pub fn is_full(&self) -> bool {
        match self.mode {
            Mode::Exact { in_flight } => self.pending.len() >= in_flight,
            Mode::Latest { .. } => !self.pending.is_empty(),
        }
    }

    /// Whether no frame is left.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Finishes the oldest frame. `allocate` gives a buffer of the source caps' size, with the
    /// frame's timestamps and metas.
    pub fn finish(
        &mut self,
        stats: &mut Stats,
        allocate: impl FnOnce(&gst::Buffer) -> Result<gst::Buffer, gst::FlowError>,
    ) -> Result<Option<Processed>, Failure> {
        let Some(pending) = self.pending.pop_front() else { return Ok(None) };
        let Some(negotiated) = &self.negotiated else { return Ok(None) };
        let budget = self.frame_duration.unwrap_or(USUAL_FRAME).mul_f64(PATIENCE);
        let smooths = pending.settings.temporal > 0.0;
        if pending.looked && matches!(self.mode, Mode::Exact { .. }) {
            self.engine.arrive(smooths, stats);
        }
        let carried = match pending.source {
            Source::None => {
                let outcome = Outcome::Frame(pending.buffer);
                return Ok(Some(Processed { outcome, report: Report::default() }));
            }
            Source::Own => {
                let Ok(report) = self.engine.wait(None, stats) else {
                    return Err(Failure::Interrupted);
                };
                self.report = report;
                if self.refines {
                    let (engine, Pending { buffer, corner, .. }) = (&mut self.engine, &pending);
                    output::read(negotiated, buffer, *corner, |frame| engine.refine(frame, stats))?
                        .map_err(|_| Failure::Interrupted)?;
                }
                if pending.looked && self.carries && self.engine.has_mask() {
                    self.engine.remember_mask();
                }
                false
            }
            Source::Carried => {
                self.engine.carry(stats);
                true
            }
            Source::Newest { submitted } => {
                let patient = self.mode == Mode::Latest { patient: true };
                let hopeful = self.engine.expected().is_none_or(|expected| expected < budget);
                let deadline = (submitted && patient && hopeful).then(|| pending.arrived + budget);
                match newest(&mut self.engine, submitted, deadline, stats)? {
                    Some(report) => {
                        self.report = report;
                        false
                    }
                    None => true,
                }
            }
        };
        if !self.engine.has_mask() {
            // After a cut or a failure the next frame is inferred, whatever the interval.
            self.since_inference = 0;
        }
        let report = std::mem::take(&mut self.report);
        let Pending { buffer, corner, settings, background, looked, .. } = pending;
        let start = Instant::now();
        let strength = looked.then_some(settings.temporal as f32);
        let Some((matter, mask)) = self.engine.matter_and_mask(carried, strength) else {
            return Ok(None);
        };
        let paint = match (mask, settings.until_ready) {
            (Some(mask), _) => {
                let decontaminate = settings.decontaminate;
                Paint::Mask(mask, Look { matte: settings.matte(), background, decontaminate })
            }
            (None, UntilReady::Background) => Paint::Flat(background, 0.0),
            (None, UntilReady::Passthrough) => Paint::Flat(background, 1.0),
            (None, UntilReady::Wait) => {
                return Ok(Some(Processed { outcome: Outcome::Withheld, report }));
            }
        };
        let buffer = self.writer.write(matter, negotiated, (buffer, corner), &paint, allocate)?;
        stats.finish.add_since(start);
        Ok(Some(Processed { outcome: Outcome::Frame(buffer), report }))
    }

    fn background(&mut self, settings: &Settings) -> Result<Background, Error> {
        Ok(match settings.background {
            _ if self.output() != Some(Output::Composite) => Background::Color(0),
            BackgroundKind::Color => Background::Color(settings.background_color),
            BackgroundKind::Blur => Background::Blur(settings.blur_radius as f32),
            BackgroundKind::Checkerboard => Background::Checkerboard,
            BackgroundKind::Image => Background::Picture(self.picture(settings)?),
        })
    }

    /// The background picture, read when it is another file than before.
    fn picture(&mut self, settings: &Settings) -> Result<Arc<Picture>, Error> {
        let Some(path) = settings.background_image.clone().filter(|path| !path.is_empty()) else {
            return Err(Error::Background {
                path: "(none)".into(),
                missing: true,
                reason: "background=image needs a file".into(),
            });
        };
        if let Some((read_from, picture)) = &self.picture
            && *read_from == path
        {
            return Ok(picture.clone());
        }
        let picture = Arc::new(Picture::open(Path::new(&*path))?);
        self.picture = Some((path, picture.clone()));
        Ok(picture)
    }
}

/// The report on the frame's own matte where that is there by `deadline`; otherwise the newest
/// matte is carried to the frame.
fn newest(
    engine: &mut Engine,
    submitted: bool,
    deadline: Option<Instant>,
    stats: &mut Stats,
) -> Result<Option<Report>, Failure> {
    if let Some(deadline) = deadline {
        match engine.wait(Some(deadline), stats) {
            Ok(report) => {
                engine.remember_mask();
                return Ok(Some(report));
            }
            Err(Late::Interrupted) => return Err(Failure::Interrupted),
            Err(Late::Deadline) => {}
        }
    }
    engine.carry(stats);
    if submitted {
        engine.remember_submitted();
    }
    Ok(None)
}
