//! Loading networks: before the first frame, and in the background while frames go on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::Engine;
use super::settings::{Pacing, Settings};
use crate::matting::error::Error;
use crate::matting::inference::session::Session;
use crate::matting::inference::worker::{Interrupter, Worker};
use crate::matting::model::catalog::ModelSource;

/// How much later than the streaming thread inference gets its turn, where frames do not wait
/// for it: a fifth of the share of a thread that is not nice.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 7;

/// A network that is ready to work.
pub struct Loaded {
    pub engine: Engine,
    pub interrupter: Interrupter,
    pub active_device: String,
    /// Why it is not where `auto` would rather have it.
    pub fallback: Option<String>,
}

/// Loads the model that the settings name.
///
/// # Errors
/// As [`Session::load`] and [`ModelSource::find`].
pub fn load(settings: &Settings) -> Result<Loaded, Error> {
    // In a thread of its own, since the threads of ONNX Runtime inherit their priority from it.
    let settings = settings.clone();
    let thread = std::thread::Builder::new().name("davidmatte-load".into()).spawn(move || {
        if settings.pacing != Pacing::Exact {
            step_back();
        }
        let session = Session::load(&ModelSource::find(&settings.model)?, &settings.session())?;
        let active_device = session.active_device().to_owned();
        let fallback = session.fallback().map(ToString::to_string);
        let worker = Worker::new(Box::new(session))?;
        let interrupter = worker.interrupter();
        let engine = Engine::new(worker, settings.row_threads());
        Ok(Loaded { engine, interrupter, active_device, fallback })
    });
    let failed = |reason: &str| Error::Inference { reason: format!("loading failed: {reason}") };
    let thread = thread.map_err(|error| failed(&error.to_string()))?;
    thread.join().unwrap_or_else(|_| Err(failed("its thread panicked")))
}

/// Makes this thread, and those it starts, give way to others.
fn step_back() {
    // On Linux a priority belongs to a thread, elsewhere to the whole process. A system that
    // refuses leaves things as they are.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

/// A network that is loaded while another one works.
#[derive(Clone, Default)]
pub struct Background(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Counts what was asked for, so that only the last of it is taken.
    asked: u64,
    result: Option<Result<Loaded, Error>>,
}

impl Background {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to load the model that the settings name, instead of any other.
    pub fn begin(&self, settings: Settings) {
        let asked = {
            let mut state = self.lock();
            state.asked += 1;
            state.result = None;
            state.asked
        };
        let background = self.clone();
        let begun = std::thread::Builder::new().spawn(move || {
            let result = load(&settings);
            let mut state = background.lock();
            // What came too late is dropped outside the lock.
            let unwanted =
                if state.asked == asked { state.result.replace(result) } else { Some(result) };
            drop(state);
            drop(unwanted);
        });
        if let Err(error) = begun {
            let reason = format!("no thread could be started: {error}");
            self.lock().result = Some(Err(Error::Inference { reason }));
        }
    }

    /// Forgets what is under way.
    pub fn cancel(&self) {
        let mut state = self.lock();
        state.asked += 1;
        let unwanted = state.result.take();
        drop(state);
        drop(unwanted);
    }

    /// What has been loaded, once.
    pub fn take(&self) -> Option<Result<Loaded, Error>> {
        self.lock().result.take()
    }
}
