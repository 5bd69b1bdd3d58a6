// SPDX-License-Identifier: MIT

//! ONNX Runtime: loading the library, choosing a device, and running a network.
//!
//! The only module that knows `ort`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::SessionBuilder;
use ort::session::{IoBinding, NoSelectedOutputs, RunOptions};

use self::contract::Contract;
pub use self::device::Device;
use self::tensors::{Memories, Tensors};
use crate::matting::error::{Error, one_line};
use crate::matting::inference::decode;
use crate::matting::inference::library;
use crate::matting::inference::network::{Network, NetworkShape, Terminator};
use crate::matting::model::catalog::{ModelBytes, ModelSource};
use crate::matting::model::description::OutputDescription;

mod contract;
mod device;
mod open;
mod tensors;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod unwinding;

/// The size of a model, in bytes, from which memory is saved where that takes time.
const LARGE_MODEL: u64 = 32 << 20;

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

/// ONNX Runtime, once it is loaded, and the library that it came from. It stays for the life of the
/// process: the library allows one environment, and unloading it is not safe.
static ENVIRONMENT: Mutex<Option<(Environment, String)>> = Mutex::new(None);

/// Loads ONNX Runtime, or returns the one that is loaded. A failure is tried again the next time.
fn environment() -> Result<(Environment, String), Error> {
    let mut environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*environment {
        return Ok(environment.clone());
    }
    let candidates = library::candidates();
    let mut reason = String::from("not found");
    for library in &candidates.libraries {
        match load(library) {
            Ok(loaded) => {
                return Ok(environment.insert((loaded, library.display().to_string())).clone());
            }
            // Of many names, the failure to tell is that of a file that is there.
            Err(failure) if library.exists() || candidates.libraries.len() == 1 => reason = failure,
            Err(_) => {}
        }
    }
    Err(Error::RuntimeMissing { reason, looked_for: candidates.places.join(", ") })
}

fn load(library: &Path) -> Result<Environment, String> {
    open::prepare(library)?;
    let builder = ort::init_from(library).map_err(|error| one_line(&error))?;
    builder.with_name("davidmatte").with_telemetry(false).build().map_err(|error| one_line(&error))
}

/// A network in ONNX Runtime, with its input and output bound once.
pub struct Session {
    session: ort::session::Session,
    binding: IoBinding,
    run_options: Arc<RunOptions<NoSelectedOutputs>>,
    tensors: Tensors,
    contract: Contract,
    active_device: String,
    library: String,
    fallback: Option<Error>,
}

impl Session {
    /// Loads a model. `Auto` goes down its list of devices and remembers the first refusal.
    ///
    /// # Errors
    /// [`Error::RuntimeMissing`], [`Error::ModelUnreadable`], [`Error::ModelContract`],
    /// [`Error::DeviceUnavailable`].
    pub fn load(source: &ModelSource, options: &SessionOptions) -> Result<Self, Error> {
        let (environment, library) = environment()?;
        let on = |device| {
            let session = Self::load_on(&environment, source, options, device)?;
            Ok(Self { library: library.clone(), ..session })
        };
        match options.device {
            Device::Auto => {
                let mut fallback = None;
                let devices = Device::ACCELERATORS.into_iter();
                for device in devices.filter(|device| device.is_built_in()) {
                    match on(device) {
                        Ok(session) => return Ok(session),
                        Err(error) => fallback = fallback.or(Some(error)),
                    }
                }
                on(Device::Cpu).map(|session| Self { fallback, ..session })
            }
            device if !device.is_built_in() => Err(Error::DeviceUnavailable {
                device: device.name().into(),
                reason: "the ONNX Runtime that was found is built without it".into(),
            }),
            device => on(device),
        }
    }

    /// Loads a model for one device, in the fastest way that works there.
    fn load_on(
        environment: &Environment,
        source: &ModelSource,
        options: &SessionOptions,
        device: Device,
    ) -> Result<Self, Error> {
        let Some(memories) = device.memories() else {
            let session = commit(environment, source, options, device, false)?;
            return Self::bind(session, source, options, device, None);
        };
        // A network with control flow, or with operators that the device lacks, cannot be captured.
        // ONNX Runtime says so while it loads, or in the first run.
        let captured = commit(environment, source, options, device, true)
            .and_then(|session| Self::bind(session, source, options, device, Some(&memories)))
            .and_then(|mut session| session.infer().map(|_| ()).map(|()| session));
        captured.or_else(|_| {
            let session = commit(environment, source, options, device, false)?;
            Self::bind(session, source, options, device, None)
        })
    }

    /// Binds a session's tensors: in `memories`, where there are some.
    fn bind(
        session: ort::session::Session,
        source: &ModelSource,
        options: &SessionOptions,
        device: Device,
        memories: Option<&Memories>,
    ) -> Result<Self, Error> {
        let contract = Contract::check(&session, source)?;
        let bind = || -> ort::Result<_> {
            let mut binding = session.create_binding()?;
            let tensors = match memories {
                Some(memories) => {
                    let id = options.device_id;
                    Tensors::on_device(&contract, &session, &mut binding, memories, id)?
                }
                None => Tensors::on_host(&contract, &mut binding, device != Device::Cpu)?,
            };
            Ok((binding, tensors, Arc::new(RunOptions::new()?)))
        };
        let (binding, tensors, run_options) = bind().map_err(|error| Error::ModelContract {
            path: source.label(),
            found: one_line(&error),
            sidecar: source.sidecar(),
        })?;
        let active_device = match device {
            Device::Cpu => match options.cpu_threads() {
                1 => "cpu (1 thread)".to_owned(),
                threads => format!("cpu ({threads} threads)"),
            },
            // These take no number.
            Device::OpenVino | Device::CoreMl => device.name().to_owned(),
            device => format!("{}:{}", device.name(), options.device_id),
        };
        Ok(Self {
            session,
            binding,
            run_options,
            tensors,
            contract,
            active_device,
            library: String::new(),
            fallback: None,
        })
    }

    /// Where inference runs, such as `cuda:0` or `cpu (2 threads)`.
    pub fn active_device(&self) -> &str {
        &self.active_device
    }

    /// ONNX Runtime's library, as it was given to the system's loader.
    pub fn library(&self) -> &str {
        &self.library
    }

    /// Why [`Device::Auto`] did not take an accelerator that ONNX Runtime was built for.
    pub fn fallback(&self) -> Option<&Error> {
        self.fallback.as_ref()
    }

    /// Runs the network and gives its raw output.
    fn infer(&mut self) -> Result<&[f32], Error> {
        let failed = |error: ort::Error| Error::Inference { reason: one_line(&error) };
        self.tensors.send(&self.contract, &mut self.binding).map_err(failed)?;
        self.session.run_binding_with_options(&self.binding, &self.run_options).map_err(failed)?;
        self.binding.synchronize_outputs().map_err(failed)?;
        self.tensors.receive().map_err(failed)
    }
}

impl Network for Session {
    fn shape(&self) -> NetworkShape {
        NetworkShape {
            description: self.contract.description.input.clone(),
            input: self.contract.input_size,
            mask: self.contract.output.size,
        }
    }

    fn input(&mut self) -> &mut [f32] {
        self.tensors.input()
    }

    fn run(&mut self, mask: &mut [f32]) -> Result<(), Error> {
        let OutputDescription { channel, activation, .. } = self.contract.description.output;
        let layout = self.contract.output;
        decode::extract(self.infer()?, layout, channel, activation, mask)
    }

    fn terminator(&self) -> Option<Terminator> {
        let options = self.run_options.clone();
        // Fails only where there is nothing to end.
        Some(Box::new(move || drop(options.terminate())))
    }
}

/// Makes a session on one device; `captured` as in [`Device::provider`].
fn commit(
    environment: &Environment,
    source: &ModelSource,
    options: &SessionOptions,
    device: Device,
    captured: bool,
) -> Result<ort::session::Session, Error> {
    let unreadable = |error: String| Error::ModelUnreadable { path: source.label(), reason: error };
    let mut builder =
        session_builder(environment, options).map_err(|error| unreadable(one_line(&error)))?;
    if let Some(provider) = device.provider(options.device_id, captured) {
        builder = builder.with_execution_providers([provider]).map_err(|error| {
            Error::DeviceUnavailable { device: device.name().into(), reason: one_line(&error) }
        })?;
    } else if source.size() >= LARGE_MODEL {
        // A plan of all tensors is a second block of memory beside the one that the first,
        // unplanned run leaves in ONNX Runtime's arena: 200 MB for DAViD's base network, which runs
        // no faster for it. A small network gains some percent.
        builder =
            builder.with_memory_pattern(false).map_err(|error| unreadable(one_line(&error)))?;
    }
    let session = match &source.bytes {
        ModelBytes::File(path) => builder.commit_from_file(path),
        ModelBytes::Builtin(bytes) => builder.commit_from_memory(bytes),
    };
    session.map_err(|error| unreadable(one_line(&error)))
}

fn session_builder(
    environment: &Environment,
    options: &SessionOptions,
) -> ort::Result<SessionBuilder> {
    let builder =
        ort::session::Session::builder(environment)?.with_intra_threads(options.cpu_threads())?;
    // What goes wrong comes back as an error; warnings on stderr would only repeat or frighten. That holds
    // for this session alone: the process may have others.
    let builder = builder.with_log_level(LogLevel::Fatal)?;
    // Within a run its threads spin while they wait for each other, which is quick; between the
    // frames of a live stream that would take whole cores.
    let builder = builder.with_config_entry("session.force_spinning_stop", "1")?;
    // Work is dealt out in pieces that become smaller, so that a thread whose core is taken for the
    // next frame keeps the others waiting for less.
    Ok(builder.with_config_entry("session.dynamic_block_base", "4")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ort::memory::AllocationDevice;

    /// Its matte depends on every value of its input.
    const KEYER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keyer.onnx");

    /// Without a GPU the way over a device's memory can be tried with the processor as device.
    #[test]
    fn tensors_on_a_device_give_the_same_mask() {
        if std::env::var_os("ORT_DYLIB_PATH").is_none() {
            eprintln!("skipped: ORT_DYLIB_PATH is not set");
            return;
        }
        let (source, options) = (ModelSource::find(KEYER).unwrap(), SessionOptions::default());
        let memories = Memories { device: AllocationDevice::CPU, host: AllocationDevice::CPU };
        let masks = [None, Some(&memories)].map(|memories| {
            let session =
                commit(&environment().unwrap().0, &source, &options, Device::Cpu, false).unwrap();
            let mut session =
                Session::bind(session, &source, &options, Device::Cpu, memories).unwrap();
            let mut mask = vec![0.0; session.shape().mask.area()];
            for run in 0..3 {
                for (i, value) in session.input().iter_mut().enumerate() {
                    *value = ((i + run) * 37 % 251) as f32 / 250.0;
                }
                session.run(&mut mask).unwrap();
            }
            mask
        });
        assert_eq!(masks[0], masks[1]);
        assert!(masks[0].iter().any(|&value| value != masks[0][0]));
    }
}
