// SPDX-License-Identifier: MIT

//! Loading ONNX Runtime, finding where inference may run, and loading networks there.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use once_cell::sync::Lazy;
use ort::ErrorCode;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::SessionBuilder;

use super::ports::Outlet;
use super::providers::{self, Adapter};
use super::shared::{Key, Shelf, Turns};
use super::tensors::Memories;
use super::{Device, SessionOptions, open};
use crate::matting::error::{Error, one_line};
use crate::matting::inference::library;
use crate::matting::model::catalog::{ModelBytes, ModelSource};

/// The size of a model, in bytes, from which memory is saved where that takes time.
const LARGE_MODEL: u64 = 32 << 20;

/// ONNX Runtime, and the library that it came from.
#[derive(Clone)]
pub struct Runtime {
    pub environment: Environment,
    pub library: PathBuf,
}

/// ONNX Runtime, once it is loaded. It stays for the life of the process: the library allows one environment,
/// and unloading it is not safe.
static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Loads ONNX Runtime, or returns the one that is loaded. A failure is tried again the next time.
    pub fn get() -> Result<Self, Error> {
        let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*runtime {
            return Ok(runtime.clone());
        }
        let candidates = library::candidates();
        let mut reason = None;
        for library in &candidates.libraries {
            match load(library) {
                Ok(environment) => {
                    let library = library.clone();
                    return Ok(runtime.insert(Self { environment, library }).clone());
                }
                // Of many names, the failure to tell is that of the first library that is there. Those of the system
                // have no folder, and are there where they can be opened.
                Err(failure) => {
                    let is_only = candidates.libraries.len() == 1;
                    let is_there = || library.exists() || open::open(library).is_some();
                    if reason.is_none() && (is_only || is_there()) {
                        reason = Some(failure);
                    }
                }
            }
        }
        let reason = reason.unwrap_or_else(|| "not found".into());
        Err(Error::RuntimeMissing { reason, looked_for: candidates.places.join(", ") })
    }
}

fn load(library: &Path) -> Result<Environment, String> {
    open::prepare(library)?;
    let builder = ort::init_from(library).map_err(|error| one_line(&error))?;
    builder.with_name("davidmatte").with_telemetry(false).build().map_err(|error| one_line(&error))
}

/// Where a network runs.
#[derive(Clone, Debug)]
pub enum Place {
    /// On a device that the library is built for.
    BuiltIn(Device),
    /// On a device of a provider that came as a library of its own.
    Registered(Device, Adapter),
}

impl Place {
    /// Where the options' device is.
    ///
    /// # Errors
    /// [`Error::DeviceUnavailable`] where it is nowhere.
    pub fn find(
        runtime: &Runtime,
        options: &SessionOptions,
        device: Device,
    ) -> Result<Self, Error> {
        let unavailable =
            |reason: String| Error::DeviceUnavailable { device: device.name().into(), reason };
        if device.is_built_in() {
            return Ok(Self::BuiltIn(device));
        }
        if !device.may_be_registered() {
            let reason = "the ONNX Runtime that was found is built without it";
            return Err(unavailable(reason.into()));
        }
        let adapters = providers::adapters(&runtime.environment, &runtime.library, device)
            .map_err(unavailable)?;
        let index = usize::try_from(options.device_id).unwrap_or(usize::MAX);
        adapters.get(index).cloned().map(|adapter| Self::Registered(device, adapter)).ok_or_else(
            || {
                let list: Vec<_> = (adapters.iter().enumerate())
                    .map(|(index, adapter)| format!("{index} ({})", adapter.name))
                    .collect();
                unavailable(match &list[..] {
                    [] => {
                        "its provider finds no device that it can use; install the driver of the \
                           GPU, with Vulkan, and let this program see the device"
                            .into()
                    }
                    list => format!(
                        "there is no device-id {}, but {}",
                        options.device_id,
                        list.join(", ")
                    ),
                })
            },
        )
    }

    pub fn device(&self) -> Device {
        let (Self::BuiltIn(device) | Self::Registered(device, _)) = self;
        *device
    }

    /// Whether it is a program that only looks like a device.
    pub fn is_software(&self) -> bool {
        matches!(self, Self::Registered(_, adapter) if adapter.is_software)
    }

    /// Where tensors that stay there lie; none where the program knows of no memory there.
    pub fn memories(&self) -> Option<Memories> {
        match self {
            Self::BuiltIn(device) => device.memories(),
            Self::Registered(..) => None,
        }
    }

    /// Such as `cuda:0`, `webgpu:0 (NVIDIA GeForce RTX 3060)` or `cpu (2 threads)`.
    pub fn name(&self, options: &SessionOptions) -> String {
        let id = options.device_id;
        match self {
            Self::BuiltIn(Device::Cpu) => match options.cpu_threads() {
                1 => "cpu (1 thread)".to_owned(),
                threads => format!("cpu ({threads} threads)"),
            },
            // These take no number.
            Self::BuiltIn(device @ (Device::OpenVino | Device::CoreMl)) => device.name().to_owned(),
            Self::Registered(device, Adapter { name, .. }) if !name.is_empty() => {
                format!("{}:{id} ({name})", device.name())
            }
            Self::BuiltIn(device) | Self::Registered(device, _) => {
                format!("{}:{id}", device.name())
            }
        }
    }
}

/// A network that is loaded, for all streams that use it.
pub struct Loaded {
    session: Turns<InTurn<ort::session::Session>>,
    /// What it takes and gives, as its file says.
    pub outlets: (Vec<Outlet>, Vec<Outlet>),
    pub place: Place,
    /// Runs are captured and replayed.
    pub captured: bool,
}

static LOADED: Shelf<Loaded> = Shelf::new();

/// The devices of registered providers: all sessions on one share what commands it.
static REGISTERED: Lazy<Turns<()>> = Lazy::new(|| Turns::new(()));

impl Loaded {
    /// The network that is loaded already, or loads it; `captured` as in [`Device::provider`]. Streams share
    /// each `copy` of a network, and take turns.
    pub fn get(
        runtime: &Runtime,
        source: &ModelSource,
        options: &SessionOptions,
        place: &Place,
        captured: bool,
        copy: usize,
    ) -> Result<Arc<Self>, Error> {
        let key = Key::new(source, options, place.device(), captured, copy);
        LOADED.get(key, || {
            let commit = || commit(runtime, source, options, place, captured);
            let session = match place {
                Place::BuiltIn(_) => commit()?,
                Place::Registered(..) => REGISTERED.take(|()| commit())?,
            };
            let outlets = (Outlet::all(session.inputs()), Outlet::all(session.outputs()));
            let session = Turns::new(InTurn::new(session, place));
            Ok(Self { session, outlets, place: place.clone(), captured })
        })
    }

    /// Waits for its turn, and uses the network. A stream waits for no more than one run of each other.
    pub fn take<R>(&self, work: impl FnOnce(&mut ort::session::Session) -> R) -> R {
        match self.place {
            Place::BuiltIn(_) => self.session.take(|session| work(session)),
            Place::Registered(..) => {
                REGISTERED.take(|()| self.session.take(|session| work(session)))
            }
        }
    }
}

/// Something of a session that is freed when it is its turn: what is freed on the device of a registered provider while
/// another session runs there is freed under that one's hands. Not to be dropped inside [`Loaded::take`].
pub struct InTurn<T> {
    value: ManuallyDrop<T>,
    is_shared: bool,
}

impl<T> InTurn<T> {
    pub fn new(value: T, place: &Place) -> Self {
        let is_shared = matches!(place, Place::Registered(..));
        Self { value: ManuallyDrop::new(value), is_shared }
    }
}

impl<T> Deref for InTurn<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for InTurn<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for InTurn<T> {
    fn drop(&mut self) {
        // SAFETY: it is dropped once, and nobody uses it afterwards.
        let mut free = || unsafe { ManuallyDrop::drop(&mut self.value) };
        match self.is_shared {
            true => REGISTERED.take(|()| free()),
            false => free(),
        }
    }
}

/// Makes a session on one device; `captured` as in [`Device::provider`].
fn commit(
    runtime: &Runtime,
    source: &ModelSource,
    options: &SessionOptions,
    place: &Place,
    captured: bool,
) -> Result<ort::session::Session, Error> {
    let unreadable = |error: String| Error::ModelUnreadable { path: source.label(), reason: error };
    let mut builder = session_builder(&runtime.environment, options)
        .map_err(|error| unreadable(one_line(&error)))?;
    let unavailable =
        |reason: String| Error::DeviceUnavailable { device: place.device().name().into(), reason };
    if let Place::Registered(_, adapter) = place {
        providers::append(&runtime.environment, &runtime.library, &mut builder, adapter, options)
            .map_err(unavailable)?;
    } else if let Some(provider) = place.device().provider(options.device_id, captured) {
        builder = builder
            .with_execution_providers([provider])
            .map_err(|error| unavailable(one_line(&error)))?;
    } else if source.size() >= LARGE_MODEL {
        // A plan of all tensors is a second block of memory beside the one that the first,
        // unplanned run leaves in ONNX Runtime's arena: 200 MB for DAViD's base network, which runs
        // no faster for it. A small network gains some percent.
        builder =
            builder.with_memory_pattern(false).map_err(|error| unreadable(one_line(&error)))?;
    }
    let session = match &source.bytes {
        ModelBytes::File(path) => builder.commit_from_file(path),
        ModelBytes::Builtin(_, bytes) => builder.commit_from_memory(bytes),
    };
    session.map_err(|error| {
        // What is neither the file's fault nor the network's is the device's, such as one without float16.
        let is_of_the_model = matches!(
            error.code(),
            ErrorCode::NoSuchFile
                | ErrorCode::NoModel
                | ErrorCode::InvalidProtobuf
                | ErrorCode::InvalidGraph
                | ErrorCode::InvalidArgument
        );
        match place.device() {
            Device::Cpu => unreadable(one_line(&error)),
            _ if is_of_the_model => unreadable(one_line(&error)),
            _ => unavailable(one_line(&error)),
        }
    })
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
    // Threads that spin while they wait for each other take as much of the processor again as a small
    // network needs, and on a busy machine longer as well.
    let builder = builder.with_intra_op_spinning(false)?;
    // Work is dealt out in pieces that become smaller, so that a thread whose core is taken for the
    // next frame keeps the others waiting for less.
    Ok(builder.with_config_entry("session.dynamic_block_base", "4")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    /// Tells whether somebody else was at it when it was freed.
    struct Freed<'a>(&'a AtomicBool, &'a AtomicBool);

    impl Drop for Freed<'_> {
        fn drop(&mut self) {
            self.1.store(self.0.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }

    #[test]
    fn what_is_on_a_shared_device_is_freed_while_nothing_runs_there() {
        for is_shared in [true, false] {
            let (runs, was_disturbed) = (AtomicBool::new(false), AtomicBool::new(false));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    REGISTERED.take(|()| {
                        runs.store(true, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(50));
                        runs.store(false, Ordering::SeqCst);
                    });
                });
                while !runs.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                let value = ManuallyDrop::new(Freed(&runs, &was_disturbed));
                drop(InTurn { value, is_shared });
            });
            assert_eq!(was_disturbed.load(Ordering::SeqCst), !is_shared);
        }
    }
}
