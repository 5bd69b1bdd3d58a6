// SPDX-License-Identifier: MIT

//! Frames that come: which of them are inferred, and where what comes of that lands.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::fitted::Look;
use super::in_flight::{InFlight, Queue, Slot, Source};
use super::matted::{Failed, Landed, Matted};
use super::searches::{SEARCH, Which};
use super::{
    Clock, Frame, FrameSettings, Interrupted, Notice, Refused, Runner, Stats, StreamOptions,
};
use crate::matting::error::Error;
use crate::matting::frame::view::FrameView;
use crate::matting::time::guide::{Guide, Guides};
use crate::matting::time::stillness::{Motion, Stillness};

/// So many frames in a row may go without inference because they are late: a second of video.
const MAX_SKIPPED: u32 = 30;
/// So many may because nothing moves.
const MAX_STILL: u32 = 150;
/// So many may because little moves, and the matte is carried along.
const MAX_CARRIED: u32 = 2;

/// All but what is kept of frames that left: while one of those is composed, it may take in another.
pub struct Front<F> {
    pub clock: Arc<dyn Clock>,
    pub engine: Engine,
    /// A network that takes over when it has a matte to show.
    pub successor: Option<Engine>,
    /// Networks that are not needed any more.
    pub retired: Vec<Engine>,
    pub options: Option<StreamOptions>,
    /// Frames that may be held back.
    pub most: usize,
    pub guides: Option<Guides>,
    /// Of the frame that came last and was looked at.
    pub last_guide: Option<Arc<Guide>>,
    pub queue: Queue<F>,
    pub next_id: u64,
    /// Frames since the last one that was inferred.
    pub since_inference: u32,
    /// What the frame showed that was inferred last.
    pub stillness: Stillness,
    /// The number of the last frame that moved beside it.
    pub moved: u64,
    /// Whether mattes have to be carried, as far as is known.
    pub carries: bool,
    /// A frame before which a scene ended, as was seen when it left, and the scene that was thought to go on.
    cut: Option<(u64, u64)>,
    pub notices: VecDeque<Notice>,
    /// Of a frame that left before its inference failed.
    pub failure: Option<Error>,
    pub stats: Stats,
}

impl<F: Frame> Front<F> {
    /// Of frames that a network mattes; `clock` is the runner's.
    pub fn new(runner: Box<dyn Runner>, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            engine: Engine::new(runner),
            successor: None,
            retired: Vec::new(),
            options: None,
            most: usize::MAX,
            guides: None,
            last_guide: None,
            queue: Queue::default(),
            next_id: 0,
            since_inference: 0,
            stillness: Stillness::default(),
            moved: 0,
            carries: false,
            cut: None,
            notices: VecDeque::new(),
            failure: None,
            stats: Stats::default(),
        }
    }

    pub fn fit(&mut self, options: &StreamOptions, guides: Guides) {
        self.queue.clear();
        self.engine.fit(options, guides.size());
        if let Some(successor) = &mut self.successor {
            successor.fit(options, guides.size());
        }
        self.guides = Some(guides);
        self.last_guide = None;
        self.stillness.forget();
        self.since_inference = 0;
        self.carries = !options.pacing.is_exact();
        self.cut = None;
        self.options = Some(*options);
        self.most = usize::MAX;
    }

    pub fn flush(&mut self) {
        self.queue.clear();
        self.engine.forget();
        if let Some(successor) = &mut self.successor {
            successor.forget();
        }
        self.last_guide = None;
        self.stillness.forget();
        self.since_inference = 0;
        self.cut = None;
        self.failure = None;
    }

    pub fn succeed(&mut self, mut engine: Engine) {
        if let (Some(options), Some(guides)) = (&self.options, &self.guides) {
            engine.fit(options, guides.size());
        }
        if self.options.is_none_or(|options| options.pacing.is_exact()) {
            debug_assert!(self.queue.is_empty());
            self.retired.push(std::mem::replace(&mut self.engine, engine));
            self.notices.push_back(Notice::Succeeded);
        } else {
            self.retired.extend(self.successor.replace(engine));
        }
        self.since_inference = 0;
    }

    pub fn depth(&self) -> usize {
        // Whoever is given the matte before needs it.
        let most = if self.engine.memory().previous { 1 } else { self.most };
        self.options.map_or(1, |options| options.pacing.depth()).min(most)
    }

    /// How long the oldest frame may wait for its own matte. One that takes longer than it may is not
    /// waited for.
    pub fn patience(&self) -> Option<Duration> {
        let options = self.options?;
        let patience = options.pacing.patience(options.frame)?;
        let is_hopeful = self.engine.expected().is_none_or(|expected| expected < patience);
        Some(if is_hopeful { patience } else { Duration::ZERO })
    }

    /// Takes a frame in, and has it inferred if it is to be. Waits for nothing but, where frames wait for their mattes,
    /// for those before the one before it.
    pub fn begin(
        &mut self,
        frame: F,
        settings: FrameSettings,
        late: bool,
        can_carry: bool,
    ) -> Result<(), Refused> {
        self.stats.frames += 1;
        self.stats.late += u64::from(late);
        let arrived = self.clock.now();
        let id = self.next_id;
        let is_exact = self.options.is_none_or(|options| options.pacing.is_exact());
        let (source, guide) = match is_exact {
            _ if settings.untouched => (Source::Untouched, None),
            true => self.begin_exact(id, &frame, &settings, late, can_carry)?,
            false => self.begin_newest(id, &frame, &settings, late)?,
        };
        self.next_id += 1;
        if guide.is_some() {
            self.last_guide.clone_from(&guide);
        }
        let (scene, slot) = (self.engine.scene(), Slot::Waiting);
        self.queue.push(InFlight { id, frame, settings, guide, source, arrived, scene, slot });
        Ok(())
    }

    /// Whether a frame is to be inferred, by what the settings ask for and time allows.
    fn is_due(
        &mut self,
        which: Which,
        settings: &FrameSettings,
        late: bool,
        guide: Option<&Guide>,
    ) -> bool {
        let since = self.since_inference;
        let is_skipped = late && self.carries && since < MAX_SKIPPED;
        if since == 0 || is_skipped {
            return since == 0;
        }
        match settings.interval {
            0 => {
                let motion = guide.map_or(Motion::Any, |guide| self.stillness.motion(guide));
                if motion != Motion::None {
                    self.moved = which.number;
                }
                match motion {
                    Motion::None => {
                        since >= MAX_STILL || !self.engine.is_settled(which, guide, self.moved)
                    }
                    Motion::Little => since > MAX_CARRIED,
                    Motion::Any => true,
                }
            }
            interval => since >= interval,
        }
    }

    /// Counts a frame that was inferred, or was not.
    fn count(&mut self, inferred: bool, guide: Option<&Arc<Guide>>) {
        if let (true, Some(guide)) = (inferred, guide) {
            self.stillness.begin(guide);
        }
        self.since_inference = match (inferred, self.since_inference) {
            (true, _) => 1,
            (false, 0) => 0,
            (false, since) => since.saturating_add(1),
        };
    }

    /// A scene ended before a frame that leaves.
    pub fn take_cut(&mut self, frame: u64, scene: u64) {
        match self.options.is_some_and(|options| options.pacing.is_exact()) {
            true => self.cut = self.cut.or(Some((frame, scene))),
            false => self.cut_behind(scene),
        }
    }

    /// That scene is over, unless that was seen already, when the frame or one after it came.
    fn cut_behind(&mut self, scene: u64) {
        if scene == self.engine.scene() {
            self.engine.cut();
        }
    }

    /// A frame is to be begun: ends the scene that those which have left by then ended, and no others. How many more have
    /// left depends on how quick the network is, and a film is to have the same mattes each time.
    fn catch_up(&mut self, frame: u64) {
        let depth = self.options.map_or(1, |options| options.pacing.depth()) as u64;
        if let Some((_, scene)) = self.cut.take_if(|(of, _)| *of + depth <= frame) {
            self.cut_behind(scene);
        }
    }

    /// Waits until it is decided what of the frames before is looked at, and, where `all` is asked for, until all is known
    /// of whom to look at.
    fn wait_for_others(&mut self, all: bool) -> Result<(), Interrupted> {
        while self.engine.is_undecided() || all && self.engine.learns() {
            match self.engine.wait(None, &mut self.stats) {
                Ok(landed) => drop(self.land(landed)),
                Err(_) => return Err(Interrupted),
            }
        }
        Ok(())
    }

    /// Begins the frame that was held, if it is time.
    fn begin_held(&mut self) {
        let Self { queue, engine, stats, .. } = self;
        let Some(id) = engine.ready() else { return };
        let Some(InFlight { frame, slot, .. }) = queue.get_mut(id) else {
            return engine.drop_held();
        };
        if let Err(error) = frame.view(|view| engine.begin_held(view, stats)) {
            engine.drop_held();
            *slot = Slot::Failed(Failed { frame: id, error: Some(error), is_fatal: true });
        }
    }

    fn begin_exact(
        &mut self,
        id: u64,
        frame: &F,
        settings: &FrameSettings,
        late: bool,
        can_carry: bool,
    ) -> Result<(Source, Option<Arc<Guide>>), Refused> {
        // Whether anything moves that matters is asked of those who are followed.
        self.wait_for_others(settings.follows && settings.interval == 0)?;
        self.catch_up(id);
        // From the first frame that may need it on, those that are inferred are looked at.
        self.carries |= late || settings.interval != 1;
        let is_looked_at = self.carries
            || settings.follows
            || settings.temporal > 0.0
            || self.engine.memory().is_any();
        let has_own = |other: &InFlight<F>| other.source == Source::Own && other.guide.is_some();
        let can_carry = can_carry || self.queue.iter().any(has_own);
        let look = match settings.follows {
            true => Look::RegionAtOnce,
            false => Look::Frame,
        };
        let which = Which { number: id, time: frame.time() };
        let (guide, is_carried) = frame.view(|view| {
            let (guide, is_cut) = if is_looked_at { self.look(view) } else { (None, false) };
            let is_due = self.is_due(which, settings, late, guide.as_deref());
            let is_carried = can_carry && !is_cut && !is_due;
            if !is_carried {
                self.engine.begin(which, view, guide.clone(), look, &mut self.stats);
            }
            (guide, is_carried)
        })?;
        self.count(!is_carried, guide.as_ref());
        Ok((if is_carried { Source::Carried } else { Source::Own }, guide))
    }

    fn begin_newest(
        &mut self,
        id: u64,
        frame: &F,
        settings: &FrameSettings,
        late: bool,
    ) -> Result<(Source, Option<Arc<Guide>>), Error> {
        let look = self.region_or_frame(settings);
        let which = Which { number: id, time: frame.time() };
        let (guide, begun) = frame.view(|view| {
            let (guide, is_cut) = self.look(view);
            if let Some(successor) = self.successor.as_mut().filter(|engine| engine.is_idle()) {
                successor.begin(which, view, guide.clone(), look, &mut self.stats);
            }
            let is_due = self.is_due(which, settings, late, guide.as_deref());
            let begun = (is_cut || is_due) && self.engine.is_idle();
            if begun {
                self.engine.begin(which, view, guide.clone(), look, &mut self.stats);
            }
            (guide, begun)
        })?;
        self.count(begun, guide.as_ref());
        Ok((Source::Newest { begun }, guide))
    }

    /// Has the oldest frame inferred though it was to be carried; false where no frame is waited for. The whole of it is
    /// looked at.
    pub fn infer_oldest(&mut self) -> bool {
        let Self { queue, engine, stats, options, .. } = self;
        if !options.is_some_and(|options| options.pacing.is_exact()) {
            return false;
        }
        let Some(InFlight { id, frame, guide, source, .. }) = queue.oldest_mut() else {
            return false;
        };
        let begun = frame.view(|view| engine.begin_late(*id, view, guide.clone(), stats));
        *source = Source::Own;
        begun.is_ok()
    }

    /// What the network is to look at where no frame waits for it. One that is so slow that every
    /// inference would have to be a search looks at the whole frame, and so does one that may be:
    /// to go over to a canvas and back takes longer than a frame lasts.
    fn region_or_frame(&self, settings: &FrameSettings) -> Look {
        let is_quick = self.engine.expected().is_some_and(|expected| 3 * expected < SEARCH);
        match settings.follows && is_quick {
            true => Look::Region,
            false => Look::Frame,
        }
    }

    /// Looks at a frame; whether it shows another scene than the one before it, so that nobody is
    /// followed any more.
    fn look(&mut self, view: &FrameView<'_>) -> (Option<Arc<Guide>>, bool) {
        let start = std::time::Instant::now();
        let Some(guides) = &mut self.guides else { return (None, false) };
        let guide = guides.look(view);
        let is_cut = self.last_guide.as_ref().is_some_and(|last| guide.is_elsewhere(last));
        if is_cut {
            self.engine.cut();
        }
        self.stats.carry.add_since(start);
        (Some(guide), is_cut)
    }

    /// Puts what came of an inference into its frame's slot; gives back the matte of a frame that has
    /// left.
    pub fn land(&mut self, landed: Landed) -> Option<Matted> {
        let left = self.place(landed);
        self.begin_held();
        left
    }

    fn place(&mut self, landed: Landed) -> Option<Matted> {
        match landed {
            Landed::Matte(matted) => match self.queue.get_mut(matted.frame) {
                Some(frame) => {
                    frame.slot = Slot::Ready(matted);
                    None
                }
                None => Some(matted),
            },
            Landed::Failed(failed) => {
                match self.queue.get_mut(failed.frame) {
                    Some(frame) => frame.slot = Slot::Failed(failed),
                    None => {
                        let failure = self.tell(failed);
                        self.failure = self.failure.take().or(failure);
                    }
                }
                None
            }
            Landed::Found { frame: id, region } => {
                let Self { queue, engine, stats, .. } = self;
                if let Some(InFlight { frame, guide, slot, .. }) = queue.get_mut(id) {
                    let looked = frame.view(|view| {
                        engine.look_closer(id, view, guide.clone(), region, stats);
                    });
                    if let Err(error) = looked {
                        *slot =
                            Slot::Failed(Failed { frame: id, error: Some(error), is_fatal: true });
                    }
                }
                None
            }
        }
    }

    /// Tells of a failure; gives back one that ends the stream.
    pub fn tell(&mut self, failed: Failed) -> Option<Error> {
        match failed {
            Failed { error, is_fatal: true, .. } => error,
            Failed { error, .. } => {
                self.notices.extend(error.map(Notice::Failed));
                None
            }
        }
    }

    /// What came of the network that is to succeed: a matte, with which it has taken over.
    pub fn poll_successor(&mut self) -> Option<Matted> {
        let mut successor = self.successor.take()?;
        match successor.poll(&mut self.stats) {
            Some(Landed::Matte(matted)) => {
                self.retired.push(std::mem::replace(&mut self.engine, successor));
                self.notices.push_back(Notice::Succeeded);
                Some(matted)
            }
            Some(Landed::Failed(Failed { error, .. })) => {
                self.notices.extend(error.map(Notice::Refused));
                self.retired.push(successor);
                None
            }
            Some(Landed::Found { .. }) | None => {
                self.successor = Some(successor);
                None
            }
        }
    }
}
