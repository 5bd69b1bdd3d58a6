// SPDX-License-Identifier: MIT

//! Loading networks and pictures: before the first frame, and in the background while frames go on.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::enums::{Pacing, RefineKind};
use super::properties::Settings;
use crate::matting::error::Error;
use crate::matting::prelude::{ModelSource, Picture, Session, TileNetwork, TileSession};
use crate::matting::stream::{Clock, Interrupter, Runner, Waited, Worker};

/// How much later than other threads inference gets its turn where frames do not wait for it: a fifth of
/// the share of a thread that is not nice.
#[cfg(target_os = "linux")]
const NICER: i32 = 7;

/// A network that is ready to work.
pub struct Loaded {
    pub runner: Box<dyn Runner>,
    /// What refines its mattes, where that was asked for.
    pub tiles: Vec<Box<dyn TileNetwork>>,
    pub interrupter: Interrupter,
    /// As in the setting.
    pub model: Arc<str>,
    pub active_device: String,
    /// The side of its input, where that was chosen.
    pub side: Option<usize>,
    /// ONNX Runtime's library.
    pub library: String,
    /// Why it is not where `auto` would rather have it.
    pub fallback: Option<String>,
    /// What `auto` measured before it chose.
    pub measured: Option<String>,
    /// Why runs are not captured and replayed, on a device where they could be.
    pub uncaptured: Option<String>,
    /// Its licence, where that forbids its use for money.
    pub noncommercial: Option<&'static str>,
}

/// Loads the model that the settings name.
///
/// # Errors
/// As [`Session::load`] and [`ModelSource::find`].
fn load(settings: &Settings, keeps_pace: bool, clock: &Arc<dyn Clock>) -> Result<Loaded, Error> {
    let mut source = ModelSource::find(&settings.model)?;
    let side = settings.side(keeps_pace);
    if let Some(side) = side {
        source = source.with_side(side);
    }
    let session = Session::load(&source, &settings.session())?;
    let tiles = match settings.refine {
        RefineKind::Detail => TileSession::load(&settings.session(), session.device())?,
        RefineKind::None | RefineKind::Zoom => Vec::new(),
    };
    let tiles = tiles.into_iter().map(|tiles| Box::new(tiles) as Box<dyn TileNetwork>).collect();
    let active_device = session.active_device().to_owned();
    let library = session.library().to_owned();
    let fallback = session.fallback().map(ToString::to_string);
    let measured = session.measured().map(ToOwned::to_owned);
    let uncaptured = session.uncaptured().map(ToString::to_string);
    let worker = Worker::new(Box::new(session), clock.clone())?;
    let interrupter = worker.interrupter();
    let (runner, model) = (Box::new(worker), settings.model.clone());
    let noncommercial = source.noncommercial;
    Ok(Loaded {
        runner,
        tiles,
        interrupter,
        model,
        active_device,
        side,
        library,
        fallback,
        measured,
        uncaptured,
        noncommercial,
    })
}

/// As [`load`], in a thread of its own: those of ONNX Runtime inherit their priority from it.
///
/// # Errors
/// As [`load`].
pub fn load_apart(
    settings: &Settings,
    keeps_pace: bool,
    clock: &Arc<dyn Clock>,
) -> Result<Loaded, Error> {
    let failed = |reason: &str| Error::Inference { reason: format!("loading failed: {reason}") };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("davidmatte-load".into());
        let thread = thread.spawn_scoped(scope, || {
            step_back(settings);
            load(settings, keeps_pace, clock)
        });
        let thread = thread.map_err(|error| failed(&error.to_string()))?;
        thread.join().unwrap_or_else(|_| Err(failed("its thread panicked")))
    })
}

/// Makes this thread, and those it starts, give way to others where frames do not wait for them. It never
/// comes before those that it gave way to already.
fn step_back(settings: &Settings) {
    // On Linux a priority belongs to a thread, elsewhere to the whole process. A system that
    // refuses leaves things as they are.
    #[cfg(target_os = "linux")]
    if settings.pacing == Pacing::Latest
        && let Ok(present) = rustix::process::getpriority_process(None)
    {
        let _ = rustix::process::setpriority_process(None, (present + NICER).min(19));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = settings;
}

/// Runs a network once, so that one that gives no matte is known before it takes over. Nobody waits longer for that than
/// it is of use.
fn rehearse(loaded: Loaded, shared: &Shared) -> Result<Loaded, Error> {
    shared.lock().rehearse(loaded.interrupter.clone());
    let result = run_once(&loaded);
    shared.lock().rehearsing = None;
    // What is at work later may have been interrupted at the very end.
    loaded.interrupter.interrupt(false);
    result.map(|()| loaded)
}

fn run_once(loaded: &Loaded) -> Result<(), Error> {
    let runner = &loaded.runner;
    let mut exchange = runner.exchange();
    exchange.tensor.fill(0.0);
    exchange.anew = true;
    runner.submit(exchange);
    match runner.next(None) {
        Waited::Done(done) => {
            runner.give_back(done.exchange);
            done.result
        }
        Waited::Late | Waited::Interrupted => {
            Err(Error::Inference { reason: "it was interrupted".into() })
        }
    }
}

/// What came of a request.
pub enum Outcome {
    /// A network, or why there is none.
    Model(Arc<str>, Result<Loaded, Error>),
    /// A picture, or why there is none.
    Picture(Result<Named, Error>),
}

/// A background picture, and where it is from.
pub struct Named {
    pub path: Arc<str>,
    pub picture: Arc<Picture>,
}

impl Named {
    /// Reads a picture.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn open(path: Arc<str>) -> Result<Self, Error> {
        let picture = Arc::new(Picture::open(Path::new(&*path))?);
        Ok(Self { path, picture })
    }
}

/// A thread that loads what was asked for last, while frames go on, and drops what takes its time to go.
pub struct Loader {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Only the last request of a kind counts.
    model: Option<(Settings, bool)>,
    picture: Option<Arc<str>>,
    results: VecDeque<Outcome>,
    retired: Vec<Box<dyn Send>>,
    /// Ends the first run of a network that was loaded.
    rehearsing: Option<Interrupter>,
    /// Nothing is wanted any more.
    quit: bool,
}

impl State {
    /// Lets a network's first run be ended once it is of no use, which it may be by now.
    fn rehearse(&mut self, interrupter: Interrupter) {
        interrupter.interrupt(self.quit || self.model.is_some());
        self.rehearsing = Some(interrupter);
    }

    fn end_rehearsal(&self) {
        if let Some(interrupter) = &self.rehearsing {
            interrupter.interrupt(true);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Loader {
    fn default() -> Self {
        Self { shared: Arc::default(), thread: Mutex::new(None) }
    }
}

impl Loader {
    /// Asks for the model that the settings name, instead of any other.
    pub fn request_model(&self, settings: Settings, keeps_pace: bool, clock: &Arc<dyn Clock>) {
        {
            let mut state = self.shared.lock();
            state.model = Some((settings, keeps_pace));
            state.end_rehearsal();
        }
        self.wake(clock);
    }

    /// Asks for a picture, instead of any other.
    pub fn request_picture(&self, path: Arc<str>, clock: &Arc<dyn Clock>) {
        self.shared.lock().picture = Some(path);
        self.wake(clock);
    }

    /// Drops what may take its time to go.
    pub fn retire(&self, retired: Vec<Box<dyn Send>>, clock: &Arc<dyn Clock>) {
        if !retired.is_empty() {
            self.shared.lock().retired.extend(retired);
            self.wake(clock);
        }
    }

    /// What has come of requests, one by one.
    pub fn result(&self) -> Option<Outcome> {
        self.shared.lock().results.pop_front()
    }

    fn wake(&self, clock: &Arc<dyn Clock>) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let (shared, clock) = (self.shared.clone(), clock.clone());
            let builder = std::thread::Builder::new().name("davidmatte-load".into());
            match builder.spawn(move || work(&shared, &clock)) {
                Ok(started) => *thread = Some(started),
                Err(error) => {
                    let reason = format!("no thread could be started: {error}");
                    let mut state = self.shared.lock();
                    if let Some((settings, _)) = state.model.take() {
                        let failed = Err(Error::Inference { reason });
                        state.results.push_back(Outcome::Model(settings.model, failed));
                    }
                }
            }
        }
        self.shared.changed.notify_all();
    }

    /// Forgets what was asked for, and waits until what is under way is over: nothing may be inside ONNX
    /// Runtime when the process ends.
    pub fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            {
                let mut state = self.shared.lock();
                state.quit = true;
                state.end_rehearsal();
            }
            self.shared.changed.notify_all();
            // It catches its panics; there is nothing to learn from its end.
            drop(thread.join());
        }
        let forgotten = std::mem::take(&mut *self.shared.lock());
        drop(forgotten);
    }
}

/// The thread's life.
fn work(shared: &Shared, clock: &Arc<dyn Clock>) {
    let mut is_nice = false;
    loop {
        let mut state = shared.lock();
        while !state.quit
            && state.model.is_none()
            && state.picture.is_none()
            && state.retired.is_empty()
        {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let retired = std::mem::take(&mut state.retired);
        if state.quit {
            drop(state);
            drop(retired);
            return;
        }
        let (model, picture) = (state.model.take(), state.picture.take());
        drop(state);
        // Whatever panics there, more may be asked for.
        drop(catch(|| drop(retired)));
        if let Some(path) = picture {
            let missing = |reason| Error::Background {
                path: path.to_string().into(),
                missing: false,
                reason,
            };
            let opened =
                catch(|| Named::open(path.clone())).unwrap_or_else(|reason| Err(missing(reason)));
            finish(shared, Outcome::Picture(opened));
        }
        if let Some((settings, keeps_pace)) = model {
            if !std::mem::replace(&mut is_nice, true) {
                step_back(&settings);
            }
            let loaded = catch(|| {
                load(&settings, keeps_pace, clock).and_then(|loaded| rehearse(loaded, shared))
            });
            let loaded = loaded.unwrap_or_else(|reason| Err(Error::Inference { reason }));
            finish(shared, Outcome::Model(settings.model, loaded));
        }
    }
}

/// Does something in which others' code may panic.
fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .map_err(|_| "loading failed: its code panicked".into())
}

/// Hands on a result, unless something else of its kind is wanted by now.
fn finish(shared: &Shared, result: Outcome) {
    let mut state = shared.lock();
    let is_outdated = match &result {
        Outcome::Model(..) => state.model.is_some(),
        Outcome::Picture(..) => state.picture.is_some(),
    };
    if is_outdated || state.quit {
        drop(state);
        drop(result);
    } else {
        state.results.push_back(result);
    }
}
