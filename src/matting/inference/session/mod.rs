// SPDX-License-Identifier: MIT

//! ONNX Runtime: loading the library, choosing a device, and running a network.
//!
//! The only module that knows `ort`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use self::bound::{Bound, Others, Runs};
use self::contract::Contract;
pub use self::device::Device;
use self::load::{Loaded, Place, Runtime};
use self::retreat::Retreat;
use self::states::Fault;
use self::tensors::Memories;
pub use self::tiles::TileSession;
use crate::matting::error::{Error, one_line};
use crate::matting::frame::size::Size;
use crate::matting::inference::decode;
use crate::matting::inference::network::{Network, NetworkShape, Terminator};
use crate::matting::model::catalog::ModelSource;

mod bound;
mod contract;
mod device;
mod extras;
mod foreground;
mod load;
mod open;
mod ports;
mod providers;
mod retreat;
mod shared;
mod states;
mod tensors;
mod tiles;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod unwinding;

/// How a session is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Where it runs.
    pub device: Device,
    /// Which of several devices.
    pub device_id: i32,
    /// CPU threads of one inference; 0 is one for each core.
    pub threads: usize,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { device: Device::Auto, device_id: 0, threads: 0 }
    }
}

impl SessionOptions {
    fn cpu_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

/// A network in ONNX Runtime, with a stream's inputs and outputs bound once for each size. Streams with the same
/// model on the same device share what was loaded, and take turns.
pub struct Session {
    loaded: Arc<Loaded>,
    contract: Contract,
    /// For the size at hand.
    bound: Bound,
    others: Others,
    runs: Arc<Runs>,
    warning: Option<Error>,
    /// It was told that a state was lost.
    has_warned: bool,
    device_id: i32,
    active_device: String,
    library: String,
    fallback: Option<Error>,
    measured: Option<String>,
    /// Why its runs on a device that could replay them are not captured.
    uncaptured: Option<Error>,
    retreat: Option<Retreat>,
}

impl Session {
    /// Loads a model. `Auto` goes down its list of devices, remembers the first refusal, and takes the first
    /// that is quicker than the processor.
    ///
    /// # Errors
    /// [`Error::RuntimeMissing`], [`Error::ModelUnreadable`], [`Error::ModelContract`],
    /// [`Error::DeviceUnavailable`].
    pub fn load(source: &ModelSource, options: &SessionOptions) -> Result<Self, Error> {
        let runtime = Runtime::get()?;
        match options.device {
            Device::Auto => Self::load_quickest(&runtime, source, options),
            device => {
                Self::load_on(&runtime, source, options, Place::find(&runtime, options, device)?)
            }
        }
    }

    fn load_quickest(
        runtime: &Runtime,
        source: &ModelSource,
        options: &SessionOptions,
    ) -> Result<Self, Error> {
        let mut fallback = None;
        let mut accelerated = None;
        for device in Device::ACCELERATORS {
            // What is not there, or is a program, is nobody's wish.
            let Ok(place) = Place::find(runtime, options, device) else { continue };
            if place.is_software() {
                continue;
            }
            let session = Self::load_on(runtime, source, options, place)
                .and_then(|mut session| Ok((session.takes(None)?, session)));
            match session {
                Ok((Some(takes), session)) => {
                    accelerated = Some((takes, session));
                    break;
                }
                Ok((None, _)) => {}
                Err(error) => fallback = fallback.or(Some(error)),
            }
        }
        let processor = Self::load_on(runtime, source, options, Place::BuiltIn(Device::Cpu));
        let processor = processor.map(|session| Self { fallback, ..session });
        let Some((takes, session)) = accelerated else { return processor };
        let Ok(mut processor) = processor else { return Ok(session) };
        let milliseconds = |time: Duration| format!("{:.1} ms", 1e3 * time.as_secs_f64());
        // Nobody waits longer than it takes to know.
        let Ok(own) = processor.takes(Some(takes)) else { return Ok(session) };
        let compared = format!(
            "{} takes {}, {} {}",
            session.active_device,
            milliseconds(takes),
            processor.active_device,
            own.map_or_else(|| format!("more than {}", milliseconds(takes)), milliseconds),
        );
        let mut chosen = processor;
        if own.is_none_or(|own| takes < own) {
            chosen = session;
            chosen.retreat = Some(Retreat::new(source, options));
        }
        chosen.measured = Some(compared);
        Ok(chosen)
    }

    /// What a run takes once it is warm; none where that is more than `limit` for certain.
    fn takes(&mut self, limit: Option<Duration>) -> Result<Option<Duration>, Error> {
        /// A first run does much that later ones do not.
        const WARMING: u32 = 4;
        let mut best = Duration::MAX;
        for run in 0..3 {
            let start = Instant::now();
            self.infer()?;
            let took = start.elapsed();
            if run == 0 {
                if limit.is_some_and(|limit| took > WARMING * limit) {
                    return Ok(None);
                }
            } else {
                best = best.min(took);
            }
        }
        self.bound.extras.start_anew();
        Ok(Some(best))
    }

    /// Loads a model for one place, in the fastest way that works there.
    fn load_on(
        runtime: &Runtime,
        source: &ModelSource,
        options: &SessionOptions,
        place: Place,
    ) -> Result<Self, Error> {
        let load = |captured| Loaded::get(runtime, source, options, &place, captured, 0);
        let bind = |loaded, memories| {
            let session = Self::bind(loaded, source, options, memories)?;
            Ok(Self { library: runtime.library.display().to_string(), ..session })
        };
        let Some(memories) = place.memories() else { return bind(load(false)?, None) };
        // A network with control flow, or with operators that the device lacks, cannot be captured.
        // ONNX Runtime says so while it loads, or in the first run. What a version does not do with tensors
        // on a device shows in that, too, or when its matte is received.
        let captured = load(true)
            .and_then(|loaded| bind(loaded, Some(&memories)))
            .and_then(|mut session| session.try_out().map(|()| session));
        captured.or_else(|reason| {
            let session = bind(load(false)?, None)?;
            Ok(Self { uncaptured: Some(reason), ..session })
        })
    }

    /// Binds a stream's tensors: in `memories`, where there are some.
    fn bind(
        loaded: Arc<Loaded>,
        source: &ModelSource,
        options: &SessionOptions,
        memories: Option<&Memories>,
    ) -> Result<Self, Error> {
        let not_understood = |found: String| Error::ModelContract {
            path: source.label(),
            found,
            sidecar: source.sidecar(),
        };
        let description = source.description.clone().unwrap_or_default();
        let (contract, sizes) =
            Contract::resolve(&loaded.outlets.0, &loaded.outlets.1, &description)
                .map_err(not_understood)?;
        if loaded.captured && !contract.is_plain() {
            return Err(not_understood("it cannot be captured".into()));
        }
        let id = options.device_id;
        let bound = Bound::new(&loaded, &contract, sizes, memories, id)
            .map_err(|error| not_understood(one_line(&error)))?;
        let active_device = loaded.place.name(options);
        let runs = Arc::new(Runs::default());
        runs.go_by(&bound.run_options);
        Ok(Self {
            loaded,
            contract,
            bound,
            others: Others::default(),
            runs,
            warning: None,
            has_warned: false,
            device_id: id,
            active_device,
            library: String::new(),
            fallback: None,
            measured: None,
            uncaptured: None,
            retreat: None,
        })
    }

    /// Where inference runs, such as `cuda:0` or `cpu (2 threads)`.
    pub fn active_device(&self) -> &str {
        &self.active_device
    }

    /// The device that inference runs on, which is never [`Device::Auto`].
    pub fn device(&self) -> Device {
        self.loaded.place.device()
    }

    /// ONNX Runtime's library, as it was given to the system's loader.
    pub fn library(&self) -> &str {
        &self.library
    }

    /// Why [`Device::Auto`] did not take an accelerator that ONNX Runtime was built for.
    pub fn fallback(&self) -> Option<&Error> {
        self.fallback.as_ref()
    }

    /// What [`Device::Auto`] measured before it chose, where there was a choice.
    pub fn measured(&self) -> Option<&str> {
        self.measured.as_deref()
    }

    /// Why runs are not captured and replayed, on a device where they could be.
    pub fn uncaptured(&self) -> Option<&Error> {
        self.uncaptured.as_ref()
    }

    /// Runs the network.
    fn infer(&mut self) -> Result<(), Error> {
        let place = match self.loaded.place.device() {
            Device::Cpu => String::new(),
            _ => format!("on {}: ", self.active_device),
        };
        let failed =
            |error: ort::Error| Error::Inference { reason: format!("{place}{}", one_line(&error)) };
        let Self { loaded, contract, bound, .. } = self;
        let Bound { binding, tensors, extras, run_options, .. } = bound;
        // What goes to a device goes when it is this stream's turn: a device takes orders from one at a time.
        let kept = loaded.take(|session| {
            tensors.send(contract, binding)?;
            extras.send(binding)?;
            let mut outputs = session.run_binding_with_options(binding, run_options)?;
            let kept = extras.keep(&mut outputs);
            drop(outputs);
            binding.synchronize_outputs()?;
            Ok(kept)
        });
        let kept = kept.map_err(failed)?;
        match kept {
            Ok(()) => Ok(()),
            Err(Fault::Changed(reason)) => Err(Error::Inference { reason }),
            // The matte of this run may be good all the same.
            Err(Fault::NotFinite(state)) => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    self.warning = Some(Error::StateLost { state });
                }
                Ok(())
            }
        }
    }

    /// What is bound for a picture of another size.
    fn bind_to(&self, input: Size) -> Result<Bound, Error> {
        let failed = |reason: String| Error::Inference { reason };
        let sizes = self.contract.sizes(input).map_err(failed)?;
        let memories = self.loaded.place.memories().filter(|_| self.loaded.captured);
        Bound::new(&self.loaded, &self.contract, sizes, memories.as_ref(), self.device_id)
            .map_err(|error| failed(one_line(&error)))
    }

    /// A run all the way, whose matte nobody wants.
    fn try_out(&mut self) -> Result<(), Error> {
        self.infer()?;
        self.bound.tensors.receive().map(drop).map_err(not_received)
    }

    fn run_or_fail(&mut self, mask: &mut [f32]) -> Result<(), Error> {
        self.infer()?;
        let Bound { sizes, tensors, extras, range, .. } = &mut self.bound;
        let raw = tensors.receive().map_err(not_received)?;
        decode::extract(raw, sizes.output, &self.contract.description.output, range, mask)?;
        extras.receive(tensors.picture(), mask);
        Ok(())
    }
}

fn not_received(error: ort::Error) -> Error {
    Error::Inference { reason: one_line(&error) }
}

impl Network for Session {
    fn shape(&self) -> NetworkShape {
        let adapts = self.device() == Device::Cpu;
        NetworkShape { adapts, ..self.contract.shape(&self.bound.sizes) }
    }

    fn resize(&mut self, input: Size) -> Result<(), Error> {
        if self.bound.sizes.input == input {
            return Ok(());
        }
        let mut bound = match self.others.take(input) {
            Some(bound) => bound,
            None => self.bind_to(input)?,
        };
        bound.start_anew();
        self.runs.go_by(&bound.run_options);
        let before = std::mem::replace(&mut self.bound, bound);
        self.others.keep(before, self.loaded.captured);
        Ok(())
    }

    fn input(&mut self) -> &mut [f32] {
        self.bound.tensors.picture()
    }

    fn previous(&mut self) -> &mut [f32] {
        self.bound.extras.previous()
    }

    fn start_anew(&mut self) {
        self.bound.start_anew();
    }

    fn run(&mut self, mask: &mut [f32]) -> Result<(), Error> {
        self.run_or_fail(mask)
            .or_else(|error| self.retreat(error, mask))
            .inspect_err(|_| self.bound.extras.start_anew())
    }

    fn foreground(&self) -> &[f32] {
        self.bound.extras.foreground()
    }

    fn take_warning(&mut self) -> Option<Error> {
        self.warning.take()
    }

    fn terminator(&self) -> Option<Terminator> {
        let runs = self.runs.clone();
        Some(Box::new(move || runs.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ort::memory::AllocationDevice;

    /// Its matte depends on every value of its input.
    const KEYER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keyer.onnx");
    /// The same in 16 bits.
    const HALF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/half.onnx");

    #[test]
    fn streams_share_what_is_loaded() {
        if std::env::var_os("ORT_DYLIB_PATH").is_none() {
            eprintln!("skipped: ORT_DYLIB_PATH is not set");
            return;
        }
        let load = |model: &str, threads| {
            let options = SessionOptions { device: Device::Cpu, threads, ..Default::default() };
            Session::load(&ModelSource::find(model).unwrap(), &options).unwrap()
        };
        let (one, other) = (load(KEYER, 1), load(KEYER, 1));
        assert!(Arc::ptr_eq(&one.loaded, &other.loaded));
        assert!(!Arc::ptr_eq(&one.loaded, &load(KEYER, 2).loaded));
        assert!(!Arc::ptr_eq(&one.loaded, &load("builtin", 1).loaded));
        // Their tensors are their own.
        let mut sessions = [one, other];
        for (session, value) in sessions.iter_mut().zip([0.0, 1.0]) {
            let red = session.input().len() / 3 * 2;
            session.input()[red..].fill(value);
        }
        let masks = sessions.map(|mut session| {
            let mut mask = vec![0.0; session.shape().mask.area()];
            session.run(&mut mask).unwrap();
            mask[0]
        });
        assert_eq!(masks, [0.5, 1.0]);
    }

    #[test]
    fn a_stream_may_go_to_and_fro_between_sizes_until_somebody_ends_it() {
        if std::env::var_os("ORT_DYLIB_PATH").is_none() {
            eprintln!("skipped: ORT_DYLIB_PATH is not set");
            return;
        }
        let options = SessionOptions { device: Device::Cpu, threads: 1, ..Default::default() };
        let mut session = Session::load(&ModelSource::builtin(), &options).unwrap();
        let matte = |session: &mut Session, [width, height]: [usize; 2]| {
            session.resize(Size { width: 32 * width, height: 32 * height })?;
            for (i, value) in session.input().iter_mut().enumerate() {
                *value = (i * 37 % 251) as f32 / 250.0;
            }
            let mut mask = vec![0.0; session.shape().mask.area()];
            session.run(&mut mask).map(|()| mask)
        };
        // More than are kept.
        let sizes = [[2, 1], [1, 2], [3, 1], [1, 3], [2, 2], [3, 2], [2, 3]];
        let first = sizes.map(|size| matte(&mut session, size).unwrap());
        for index in [6, 5, 6, 0, 6, 1, 0, 3] {
            assert!(matte(&mut session, sizes[index]).unwrap() == first[index], "{index}");
        }
        session.terminator().unwrap()();
        for size in [sizes[3], sizes[0], [4, 4]] {
            assert!(matte(&mut session, size).is_err(), "{size:?}");
        }
    }

    /// Without a GPU the way over a device's memory can be tried with the processor as device.
    #[test]
    fn tensors_on_a_device_give_the_same_mask() {
        if std::env::var_os("ORT_DYLIB_PATH").is_none() {
            eprintln!("skipped: ORT_DYLIB_PATH is not set");
            return;
        }
        for model in [KEYER, HALF] {
            let (source, options) = (ModelSource::find(model).unwrap(), SessionOptions::default());
            let memories = Memories { device: AllocationDevice::CPU, host: AllocationDevice::CPU };
            let masks = [None, Some(&memories)].map(|memories| {
                let (runtime, place) = (Runtime::get().unwrap(), Place::BuiltIn(Device::Cpu));
                let loaded = Loaded::get(&runtime, &source, &options, &place, false, 0).unwrap();
                let mut session = Session::bind(loaded, &source, &options, memories).unwrap();
                let on_device = matches!(session.bound.tensors, tensors::Tensors::Device { .. });
                assert_eq!(on_device, memories.is_some());
                session.try_out().unwrap();
                let mut mask = vec![0.0; session.shape().mask.area()];
                for run in 0..3 {
                    for (i, value) in session.input().iter_mut().enumerate() {
                        *value = ((i + run) * 37 % 251) as f32 / 250.0;
                    }
                    session.run(&mut mask).unwrap();
                }
                mask
            });
            assert_eq!(masks[0], masks[1], "{model}");
            assert!(masks[0].iter().any(|&value| value != masks[0][0]));
        }
    }
}
