//! ONNX Runtime: loading the library, choosing a device, and running a network.
//!
//! The only file that knows `ort`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep::{self, ExecutionProvider as _, ExecutionProviderDispatch};
use ort::logging::LogLevel;
use ort::memory::Allocator;
use ort::session::builder::SessionBuilder;
use ort::session::{IoBinding, NoSelectedOutputs, RunOptions};
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};

use super::error::Error;
use super::mask::{self, OutputLayout};
use super::model::{Description, ModelBytes, ModelSource, OutputDescription, TensorLayout};
use super::network::{Network, NetworkShape, Size, Terminator};
use super::runtime;

/// No matting network has more output channels; more would only exhaust memory.
const MAX_CHANNELS: usize = 4096;

/// The size of a model, in bytes, from which memory is saved where that takes time.
const LARGE_MODEL: u64 = 32 << 20;

/// Where inference may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Device {
    /// The fastest that is there.
    Auto,
    Cpu,
    Cuda,
    TensorRt,
    OpenVino,
    MiGraphX,
    CoreMl,
    DirectMl,
}

impl Device {
    /// Every device.
    pub const ALL: [Self; 8] = [
        Self::Auto,
        Self::Cpu,
        Self::Cuda,
        Self::TensorRt,
        Self::OpenVino,
        Self::MiGraphX,
        Self::CoreMl,
        Self::DirectMl,
    ];

    /// What `Auto` tries before the CPU, in order. TensorRT is left out: building its engines
    /// takes minutes, which nobody should wait for unasked.
    const ACCELERATORS: [Self; 5] =
        [Self::Cuda, Self::MiGraphX, Self::CoreMl, Self::DirectMl, Self::OpenVino];

    /// As in the setting.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::OpenVino => "openvino",
            Self::MiGraphX => "migraphx",
            Self::CoreMl => "coreml",
            Self::DirectMl => "directml",
        }
    }

    /// Whether the loaded library was built for this device.
    fn is_built_in(self) -> bool {
        match self {
            Self::Auto | Self::Cpu => Ok(true),
            Self::Cuda => ep::CUDA::is_available(),
            Self::TensorRt => ep::TensorRT::is_available(),
            Self::OpenVino => ep::OpenVINO::is_available(),
            Self::MiGraphX => ep::MIGraphX::is_available(),
            Self::CoreMl => ep::CoreML::is_available(),
            Self::DirectMl => ep::DirectML::is_available(),
        }
        .unwrap_or(false)
    }

    /// ONNX Runtime's provider for this device, made to fail loudly.
    fn provider(self, id: i32) -> Option<ExecutionProviderDispatch> {
        let provider = match self {
            Self::Auto | Self::Cpu => return None,
            Self::Cuda => ep::CUDA::default().with_device_id(id).build(),
            Self::TensorRt => tensor_rt(id).build(),
            Self::OpenVino => ep::OpenVINO::default().build(),
            Self::MiGraphX => ep::MIGraphX::default().with_device_id(id).build(),
            Self::CoreMl => ep::CoreML::default().build(),
            Self::DirectMl => ep::DirectML::default().with_device_id(id).build(),
        };
        Some(provider.error_on_failure())
    }
}

/// TensorRT in half precision, which its devices are built for, with its engines kept: making one
/// takes minutes. Where there is no folder for them, they are made every time.
fn tensor_rt(id: i32) -> ep::TensorRT {
    let provider = ep::TensorRT::default().with_device_id(id).with_fp16(true);
    match runtime::private_cache_folder("tensorrt") {
        Some(folder) => {
            let folder = folder.display().to_string();
            provider
                .with_engine_cache(true)
                .with_engine_cache_path(&folder)
                .with_timing_cache(true)
                .with_timing_cache_path(&folder)
        }
        None => provider,
    }
}

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

/// ONNX Runtime, once it is loaded. It stays for the life of the process: the library allows one
/// environment, and unloading it is not safe.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Loads ONNX Runtime, or returns the one that is loaded. A failure is tried again the next time.
fn environment() -> Result<Environment, Error> {
    let mut environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*environment {
        return Ok(environment.clone());
    }
    let candidates = runtime::candidates();
    let mut reason = String::from("not found");
    for library in &candidates.libraries {
        match load(library) {
            Ok(loaded) => return Ok(environment.insert(loaded).clone()),
            // Of many names, the failure to tell is that of a file that is there.
            Err(failure) if library.exists() || candidates.libraries.len() == 1 => reason = failure,
            Err(_) => {}
        }
    }
    Err(Error::RuntimeMissing { reason, looked_for: candidates.places.join(", ") })
}

fn load(library: &Path) -> Result<Environment, String> {
    let builder = ort::init_from(library).map_err(|error| error.to_string())?;
    let environment = builder
        .with_name("davidmatte")
        .with_telemetry(false)
        .build()
        .map_err(|error| error.to_string())?;
    // What goes wrong comes back as an error; warnings on stderr would only repeat or frighten.
    environment.set_log_level(LogLevel::Fatal);
    Ok(environment)
}

/// A network in ONNX Runtime, with its input and output bound once.
pub struct Session {
    session: ort::session::Session,
    binding: IoBinding,
    run_options: Arc<RunOptions<NoSelectedOutputs>>,
    input: Tensor<f32>,
    output: Tensor<f32>,
    contract: Contract,
    active_device: String,
    fallback: Option<Error>,
}

impl Session {
    /// Loads a model.
    ///
    /// # Errors
    /// [`Error::RuntimeMissing`], [`Error::ModelUnreadable`], [`Error::ModelContract`],
    /// [`Error::DeviceUnavailable`].
    pub fn load(source: &ModelSource, options: &SessionOptions) -> Result<Self, Error> {
        let environment = environment()?;
        let (session, device, fallback) = commit_on_device(&environment, source, options)?;
        if source.size() >= LARGE_MODEL {
            give_back_free_memory();
        }
        let contract = Contract::check(&session, source)?;
        let active_device = match device {
            Device::Cpu => match options.cpu_threads() {
                1 => "cpu (1 thread)".to_owned(),
                threads => format!("cpu ({threads} threads)"),
            },
            device => format!("{}:{}", device.name(), options.device_id),
        };
        Self::bind(session, contract, active_device, fallback).map_err(|error| {
            Error::ModelContract {
                path: source.label(),
                found: error.to_string(),
                sidecar: source.sidecar(),
            }
        })
    }

    fn bind(
        session: ort::session::Session,
        contract: Contract,
        active_device: String,
        fallback: Option<Error>,
    ) -> ort::Result<Self> {
        let allocator = Allocator::default();
        let input = Tensor::<f32>::new(&allocator, contract.input_shape.clone())?;
        let mut output = Tensor::<f32>::new(&allocator, contract.output_shape.clone())?;
        let mut binding = session.create_binding()?;
        binding.bind_input(contract.input_name.as_str(), &input)?;
        binding.bind_output(contract.output_name.as_str(), &mut output)?;
        Ok(Self {
            session,
            binding,
            run_options: Arc::new(RunOptions::new()?),
            input,
            output,
            contract,
            active_device,
            fallback,
        })
    }

    /// Where inference runs, such as `cuda:0` or `cpu (2 threads)`.
    pub fn active_device(&self) -> &str {
        &self.active_device
    }

    /// Why [`Device::Auto`] did not take an accelerator that ONNX Runtime was built for.
    pub fn fallback(&self) -> Option<&Error> {
        self.fallback.as_ref()
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
        self.input.extract_tensor_mut().1
    }

    fn run(&mut self, mask: &mut [f32]) -> Result<(), Error> {
        let inference = |error: ort::Error| Error::Inference { reason: error.to_string() };
        if !self.active_device.starts_with("cpu") {
            // Bound inputs are copied to a device when they are bound.
            self.binding
                .bind_input(self.contract.input_name.as_str(), &self.input)
                .map_err(inference)?;
        }
        self.session
            .run_binding_with_options(&self.binding, &self.run_options)
            .map_err(inference)?;
        self.binding.synchronize_outputs().map_err(inference)?;
        let OutputDescription { channel, activation, .. } = self.contract.description.output;
        let (_, raw) = self.output.extract_tensor();
        mask::extract(raw, self.contract.output, channel, activation, mask)
    }

    fn terminator(&self) -> Option<Terminator> {
        let options = self.run_options.clone();
        // Fails only where there is nothing to end.
        Some(Box::new(move || drop(options.terminate())))
    }
}

/// Makes the session on the device asked for; `Auto` goes down its list and remembers the first
/// refusal.
fn commit_on_device(
    environment: &Environment,
    source: &ModelSource,
    options: &SessionOptions,
) -> Result<(ort::session::Session, Device, Option<Error>), Error> {
    let on = |device| commit(environment, source, options, device).map(|session| (session, device));
    match options.device {
        Device::Auto => {
            let mut fallback = None;
            for device in Device::ACCELERATORS.into_iter().filter(|device| device.is_built_in()) {
                match on(device) {
                    Ok((session, device)) => return Ok((session, device, None)),
                    Err(error) => fallback = fallback.or(Some(error)),
                }
            }
            on(Device::Cpu).map(|(session, device)| (session, device, fallback))
        }
        device if !device.is_built_in() => Err(Error::DeviceUnavailable {
            device: device.name().into(),
            reason: "the ONNX Runtime that was found is built without it".into(),
        }),
        device => on(device).map(|(session, device)| (session, device, None)),
    }
}

fn commit(
    environment: &Environment,
    source: &ModelSource,
    options: &SessionOptions,
    device: Device,
) -> Result<ort::session::Session, Error> {
    let unreadable = |error: String| Error::ModelUnreadable { path: source.label(), reason: error };
    let mut builder =
        session_builder(environment, options).map_err(|error| unreadable(error.to_string()))?;
    if let Some(provider) = device.provider(options.device_id) {
        builder = builder.with_execution_providers([provider]).map_err(|error| {
            Error::DeviceUnavailable { device: device.name().into(), reason: error.to_string() }
        })?;
    } else if source.size() >= LARGE_MODEL {
        // A plan of all tensors is a second block of memory beside the one that the first,
        // unplanned run leaves in ONNX Runtime's arena: 200 MB for DAViD's base network, which runs
        // no faster for it. A small network gains some percent.
        builder =
            builder.with_memory_pattern(false).map_err(|error| unreadable(error.to_string()))?;
    }
    let session = match &source.bytes {
        ModelBytes::File(path) => builder.commit_from_file(path),
        ModelBytes::Builtin(bytes) => builder.commit_from_memory(bytes),
    };
    session.map_err(|error| unreadable(error.to_string()))
}

fn session_builder(
    environment: &Environment,
    options: &SessionOptions,
) -> ort::Result<SessionBuilder> {
    let builder =
        ort::session::Session::builder(environment)?.with_intra_threads(options.cpu_threads())?;
    // Within a run its threads spin while they wait for each other, which is quick; between the
    // frames of a live stream that would take whole cores.
    let builder = builder.with_config_entry("session.force_spinning_stop", "1")?;
    // Work is dealt out in pieces that become smaller, so that a thread whose core is taken for the
    // next frame keeps the others waiting for less.
    Ok(builder.with_config_entry("session.dynamic_block_base", "4")?)
}

/// Returns to the system what loading a model took and freed again: about the size of its file,
/// which glibc would keep, and ONNX Runtime's arena does not use.
fn give_back_free_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        malloc_trim(0);
    }
}

/// A network's input and output, checked against its description.
struct Contract {
    description: Description,
    input_name: String,
    input_shape: Vec<i64>,
    input_size: Size,
    output_name: String,
    output_shape: Vec<i64>,
    output: OutputLayout,
}

impl Contract {
    fn check(session: &ort::session::Session, source: &ModelSource) -> Result<Self, Error> {
        let description = source.description.clone().unwrap_or_default();
        Self::resolve(session.inputs(), session.outputs(), description).map_err(|found| {
            Error::ModelContract { path: source.label(), found, sidecar: source.sidecar() }
        })
    }

    fn resolve(
        inputs: &[Outlet],
        outputs: &[Outlet],
        description: Description,
    ) -> Result<Self, String> {
        let [input] = inputs else {
            let names: Vec<_> = inputs.iter().map(Outlet::name).collect();
            return Err(format!("it has {} inputs ({})", inputs.len(), names.join(", ")));
        };
        let (input_shape, input_size) = resolve_input(float_shape(input, "input")?, &description)?;
        let output = select_output(outputs, &description.output)?;
        let (output_shape, layout) =
            resolve_output(float_shape(output, "output")?, input_size, description.input.layout)?;
        let channel = description.output.channel;
        if channel >= layout.channels {
            return Err(format!(
                "output `{}` has {} channels, and the description asks for channel {channel}",
                output.name(),
                layout.channels
            ));
        }
        Ok(Self {
            input_name: input.name().into(),
            input_shape,
            input_size,
            output_name: output.name().into(),
            output_shape,
            output: layout,
            description,
        })
    }
}

/// The shape of a float32 tensor; −1 stands for an open dimension.
fn float_shape<'a>(outlet: &'a Outlet, kind: &str) -> Result<&'a [i64], String> {
    match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => Ok(shape),
        ValueType::Tensor { ty, .. } => {
            Err(format!("{kind} `{}` holds {ty:?} instead of float32", outlet.name()))
        }
        _ => Err(format!("{kind} `{}` is not a tensor", outlet.name())),
    }
}

/// A shape as in messages, `?` for an open dimension.
fn show(shape: &[i64]) -> String {
    let sides: Vec<_> = shape
        .iter()
        .map(|&side| if side < 0 { "?".to_owned() } else { side.to_string() })
        .collect();
    format!("({})", sides.join(", "))
}

fn resolve_input(shape: &[i64], description: &Description) -> Result<(Vec<i64>, Size), String> {
    let wrong = || format!("its input has shape {}", show(shape));
    let &[batch, a, b, c] = shape else { return Err(wrong()) };
    let (channels, height, width) = match description.input.layout {
        TensorLayout::Nchw => (a, b, c),
        TensorLayout::Nhwc => (c, a, b),
    };
    let [open_width, open_height] = description.open_size();
    let side = |side: i64, open: usize| if side < 0 { open } else { side as usize };
    let size = Size { width: side(width, open_width), height: side(height, open_height) };
    if !matches!(batch, -1 | 1) || !matches!(channels, -1 | 3) || !size.is_sensible() {
        return Err(wrong());
    }
    let (w, h) = (size.width as i64, size.height as i64);
    let shape = match description.input.layout {
        TensorLayout::Nchw => vec![1, 3, h, w],
        TensorLayout::Nhwc => vec![1, h, w, 3],
    };
    Ok((shape, size))
}

/// The output that the description names; without one, the only output, or DAViD's multi-task
/// foreground: the third of depth, normal, foreground.
fn select_output<'a>(
    outputs: &'a [Outlet],
    description: &OutputDescription,
) -> Result<&'a Outlet, String> {
    let names = || outputs.iter().map(Outlet::name).collect::<Vec<_>>().join(", ");
    if let Some(name) = &description.name {
        return outputs
            .iter()
            .find(|output| output.name() == name)
            .ok_or_else(|| format!("it has no output `{name}` (but {})", names()));
    }
    match (description.index, outputs) {
        (Some(index), _) => outputs.get(index).ok_or_else(|| {
            format!("it has {} outputs, and the description asks for output {index}", outputs.len())
        }),
        (None, [only]) => Ok(only),
        (None, [_, normal, foreground])
            if float_shape(normal, "").is_ok_and(|s| s.get(1) == Some(&3)) =>
        {
            Ok(foreground)
        }
        (None, _) => Err(format!(
            "it has {} outputs ({}), and nothing says which is the matte",
            outputs.len(),
            names()
        )),
    }
}

fn resolve_output(
    shape: &[i64],
    input: Size,
    layout: TensorLayout,
) -> Result<(Vec<i64>, OutputLayout), String> {
    let wrong = || format!("its output has shape {}", show(shape));
    let (channels, height, width, interleaved) = match (shape, layout) {
        (&[h, w], _) => (1, h, w, false),
        (&[-1 | 1, h, w], _) => (1, h, w, false),
        (&[-1 | 1, c, h, w], TensorLayout::Nchw) => (c, h, w, false),
        (&[-1 | 1, h, w, c], TensorLayout::Nhwc) => (c, h, w, true),
        _ => return Err(wrong()),
    };
    // An open dimension of the output is that of the input, an open number of channels one.
    let side = |side: i64, open: usize| if side < 0 { open } else { side as usize };
    let size = Size { width: side(width, input.width), height: side(height, input.height) };
    let channels = side(channels, 1);
    if !size.is_sensible() || !(1..=MAX_CHANNELS).contains(&channels) {
        return Err(wrong());
    }
    let (w, h, c) = (size.width as i64, size.height as i64, channels as i64);
    let shape = match (shape.len(), interleaved) {
        (2, _) => vec![h, w],
        (3, _) => vec![1, h, w],
        (_, false) => vec![1, c, h, w],
        (_, true) => vec![1, h, w, c],
    };
    Ok((shape, OutputLayout { size, channels, interleaved }))
}
