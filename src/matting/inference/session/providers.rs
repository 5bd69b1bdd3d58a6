// SPDX-License-Identifier: MIT

//! Providers that come as libraries of their own, and are registered with ONNX Runtime while it runs: from
//! 1.22 on.
//!
//! `ort` is built for an older ONNX Runtime, which has to go on working, so the functions of 1.22 are taken
//! from its table here, where the library has them.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use ort::AsPointer;
use ort::environment::Environment;
use ort::session::builder::SessionBuilder;
use ort::sys::{OrtApi, OrtApiBase, OrtEnv, OrtSessionOptions, OrtStatusPtr};

use super::open;
use super::{Device, SessionOptions};
use crate::matting::inference::library;

/// The version of ONNX Runtime's table that has what is needed here.
const API: u32 = 22;

type Handle = *const c_void;
type Register =
    unsafe extern "system" fn(*mut OrtEnv, *const c_char, *const PathChar) -> OrtStatusPtr;
type GetDevices =
    unsafe extern "system" fn(*const OrtEnv, *mut *const Handle, *mut usize) -> OrtStatusPtr;
type Append = unsafe extern "system" fn(
    *mut OrtSessionOptions,
    *mut OrtEnv,
    *const Handle,
    usize,
    *const *const c_char,
    *const *const c_char,
    usize,
) -> OrtStatusPtr;
type Text = unsafe extern "system" fn(Handle) -> *const c_char;

#[cfg(windows)]
type PathChar = u16;
#[cfg(not(windows))]
type PathChar = c_char;

/// What 1.22 added to the table, in the order of `onnxruntime_c_api.h`.
#[repr(C)]
struct Api22 {
    before: OrtApi,
    _objects: [Handle; 12],
    get_key_value: unsafe extern "system" fn(Handle, *const c_char) -> *const c_char,
    _pairs: [Handle; 3],
    register_library: Register,
    _unregister_library: Handle,
    get_devices: GetDevices,
    append: Append,
    _policies: [Handle; 2],
    hardware_type: unsafe extern "system" fn(Handle) -> u32,
    _vendor_id: Handle,
    hardware_vendor: Text,
    _device_id: Handle,
    hardware_metadata: unsafe extern "system" fn(Handle) -> Handle,
    _ep_name: Handle,
    _ep_vendor: Handle,
    ep_metadata: unsafe extern "system" fn(Handle) -> Handle,
    _ep_options: Handle,
    ep_hardware: unsafe extern "system" fn(Handle) -> Handle,
}

/// A kind of hardware, as ONNX Runtime counts them.
const CPU: u32 = 0;

/// A device that a provider's library found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    handle: usize,
    /// Such as `NVIDIA GeForce RTX 3060`; empty where nothing is known.
    pub name: String,
    /// It is a program, and no faster than the processor that it runs on.
    pub is_software: bool,
    /// OpenVINO's own name of it, such as `GPU.0`.
    open_vino: Option<String>,
}

/// The libraries that are registered, and what they found. ONNX Runtime keeps them for the life of the
/// process.
static REGISTERED: Mutex<Vec<(Device, Vec<Adapter>)>> = Mutex::new(Vec::new());

/// The devices of a provider whose library is found, those that are programs last.
///
/// # Errors
/// A part of a sentence, why there are none.
pub fn adapters(
    environment: &Environment,
    onnxruntime: &Path,
    device: Device,
) -> Result<Vec<Adapter>, String> {
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, adapters)) = registered.iter().find(|(known, _)| *known == device) {
        return Ok(adapters.clone());
    }
    let library = find(onnxruntime, device)?;
    let api = api(onnxruntime).ok_or_else(|| {
        format!(
            "{} is for ONNX Runtime 1.{API} or newer, and {} is older",
            library.display(),
            onnxruntime.display()
        )
    })?;
    let before = handles(api, environment)?;
    register(api, environment, device, &library)?;
    let known = |handle: &Handle| before.contains(handle);
    let new = handles(api, environment)?.into_iter().filter(|handle| !known(handle));
    let mut adapters: Vec<_> = new.filter_map(|handle| adapter(api, handle)).collect();
    adapters.sort_by_key(|adapter| adapter.is_software);
    registered.push((device, adapters.clone()));
    Ok(adapters)
}

/// Has a session run on one of a provider's devices.
///
/// # Errors
/// What ONNX Runtime said.
pub fn append(
    environment: &Environment,
    onnxruntime: &Path,
    builder: &mut SessionBuilder,
    adapter: &Adapter,
    options: &SessionOptions,
) -> Result<(), String> {
    let Some(api) = api(onnxruntime) else { return Err("it is gone".into()) };
    let handle = adapter.handle as Handle;
    let settings = adapter.open_vino.as_deref().map(|name| open_vino_settings(name, options));
    let settings = settings.map(CString::new).transpose().map_err(|error| error.to_string())?;
    let keys = [c"load_config".as_ptr()];
    let values: Vec<_> = settings.iter().map(|text| text.as_ptr()).collect();
    // SAFETY: the options are the builder's and the environment is alive; the handle is one that the
    // environment gave, and keeps as long as it lives. There are as many keys as values, or more, and
    // their texts live until the end.
    let status = unsafe {
        (api.append)(
            builder.ptr_mut(),
            environment.ptr().cast_mut(),
            &raw const handle,
            1,
            keys.as_ptr(),
            values.as_ptr(),
            values.len(),
        )
    };
    check(status)
}

/// OpenVINO's configuration of a device: it calculates in the network's own precision, where it would take bfloat16 on
/// processors that have it, which moves mattes by up to a tenth. A processor takes as many threads as are asked for.
fn open_vino_settings(device: &str, options: &SessionOptions) -> String {
    let kind = device.split('.').next().unwrap_or(device);
    let threads = match kind {
        "CPU" => format!(r#","INFERENCE_NUM_THREADS":"{}""#, options.cpu_threads()),
        _ => String::new(),
    };
    let settings = format!(r#"{{"EXECUTION_MODE_HINT":"ACCURACY"{threads}}}"#);
    let mut names = vec![kind, device];
    names.dedup();
    let all: Vec<_> = names.iter().map(|name| format!(r#""{name}":{settings}"#)).collect();
    format!("{{{}}}", all.join(","))
}

/// The table of ONNX Runtime's functions, where it has those of 1.22.
fn api(onnxruntime: &Path) -> Option<&'static Api22> {
    let library = open::open(onnxruntime)?;
    // SAFETY: the types are those of ONNX Runtime's header. A table, once given, stays as long as the
    // library does, which is in use by the environment and never unloaded.
    unsafe {
        let base = library
            .get::<unsafe extern "system" fn() -> *const OrtApiBase>(b"OrtGetApiBase")
            .ok()?;
        let base = base().as_ref()?;
        let api = (base.GetApi)(API).cast::<Api22>().as_ref();
        std::mem::forget(library);
        api
    }
}

/// The library of a provider, in the folders where it is looked for.
fn find(onnxruntime: &Path, device: Device) -> Result<PathBuf, String> {
    let [name, other] = file_names(device);
    let folders = library::provider_folders(onnxruntime);
    let mut paths = folders.iter().flat_map(|folder| [&name, &other].map(|name| folder.join(name)));
    let found = paths.find(|path| path.exists());
    let library = found.ok_or_else(|| {
        let list: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        format!(
            "the ONNX Runtime that was found is built without it, and {name} is in none of {}",
            list.join(", ")
        )
    })?;
    match library.is_file() {
        true => Ok(library),
        // A pipe would be waited for without end.
        false => Err(format!("{} is no file", library.display())),
    }
}

/// The name of a provider's library, and another that OpenVINO's own developers give it.
fn file_names(device: Device) -> [String; 2] {
    let (before, after) = match () {
        () if cfg!(windows) => ("", ".dll"),
        () if cfg!(target_vendor = "apple") => ("lib", ".dylib"),
        () => ("lib", ".so"),
    };
    ["", "_plugin"]
        .map(|end| format!("{before}onnxruntime_providers_{}{end}{after}", device.name()))
}

fn register(
    api: &Api22,
    environment: &Environment,
    device: Device,
    library: &Path,
) -> Result<(), String> {
    let not_a_path = || format!("{} cannot be handed to ONNX Runtime", library.display());
    let name = CString::new(format!("davidmatte.{}", device.name())).map_err(|_| not_a_path())?;
    #[cfg(windows)]
    let path: Vec<PathChar> = {
        use std::os::windows::ffi::OsStrExt;
        library.as_os_str().encode_wide().chain([0]).collect()
    };
    #[cfg(not(windows))]
    let path = {
        use std::os::unix::ffi::OsStrExt;
        CString::new(library.as_os_str().as_bytes()).map_err(|_| not_a_path())?
    };
    // As with ONNX Runtime itself, its exceptions have to find their way. What cannot be opened is told by
    // ONNX Runtime.
    std::mem::forget(open::open(library));
    // SAFETY: both are strings that end with a zero, and the environment is alive.
    let status = unsafe {
        (api.register_library)(environment.ptr().cast_mut(), name.as_ptr(), path.as_ptr())
    };
    check(status).map_err(|reason| {
        format!("{} is no provider for this ONNX Runtime: {reason}", library.display())
    })
}

/// All devices that the environment knows.
fn handles(api: &Api22, environment: &Environment) -> Result<Vec<Handle>, String> {
    let (mut first, mut count) = (ptr::null(), 0);
    // SAFETY: the environment is alive.
    check(unsafe { (api.get_devices)(environment.ptr(), &raw mut first, &raw mut count) })?;
    if first.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: so many handles lie there, until another library is registered, which nobody else does
    // meanwhile.
    Ok(unsafe { std::slice::from_raw_parts(first, count) }.to_vec())
}

/// What a device says of itself; none for one that only stands for some of the others.
fn adapter(api: &Api22, handle: Handle) -> Option<Adapter> {
    // SAFETY: the handles are the environment's own, and the texts live as long as those.
    let (kind, [hardware, own], vendor) = unsafe {
        let hardware = (api.ep_hardware)(handle);
        let metadata = [(api.hardware_metadata)(hardware), (api.ep_metadata)(handle)];
        ((api.hardware_type)(hardware), metadata, text((api.hardware_vendor)(hardware)))
    };
    // SAFETY: as above.
    let value = |from: Handle, key: &CStr| unsafe { text((api.get_key_value)(from, key.as_ptr())) };
    if value(own, c"ov_meta_device").is_some() {
        return None;
    }
    let described =
        [c"Description", c"DeviceName", c"Model"].iter().find_map(|key| value(hardware, key));
    let name = described.or_else(|| value(own, c"FULL_DEVICE_NAME")).or(vendor).unwrap_or_default();
    let sounds_like_software = ["SwiftShader", "llvmpipe", "lavapipe", "Basic Render"];
    let is_software = kind == CPU || sounds_like_software.iter().any(|word| name.contains(word));
    let open_vino = value(own, c"ov_device");
    Some(Adapter { handle: handle as usize, name, is_software, open_vino })
}

/// # Safety
/// A text that ends with a zero, or nothing.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    let text = (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) });
    text.map(|text| text.to_string_lossy().trim().to_owned()).filter(|text| !text.is_empty())
}

/// What ONNX Runtime says of a failure.
fn check(status: OrtStatusPtr) -> Result<(), String> {
    let pointer = status.0;
    if pointer.is_null() {
        return Ok(());
    }
    let api = ort::api();
    // SAFETY: a status that is there holds a message, and is released once.
    unsafe {
        let message = text((api.GetErrorMessage)(pointer)).unwrap_or_default();
        (api.ReleaseStatus)(pointer);
        Err(message.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_named_as_its_library_is() {
        let [name, other] = file_names(Device::WebGpu);
        assert!(name.contains("onnxruntime_providers_webgpu."), "{name}");
        assert!(other.contains("onnxruntime_providers_webgpu_plugin."), "{other}");
    }

    #[test]
    fn openvino_keeps_the_networks_precision_everywhere() {
        let options = SessionOptions { threads: 3, ..SessionOptions::default() };
        assert_eq!(
            open_vino_settings("CPU", &options),
            r#"{"CPU":{"EXECUTION_MODE_HINT":"ACCURACY","INFERENCE_NUM_THREADS":"3"}}"#
        );
        let gpu = r#"{"EXECUTION_MODE_HINT":"ACCURACY"}"#;
        assert_eq!(
            open_vino_settings("GPU.1", &options),
            format!(r#"{{"GPU":{gpu},"GPU.1":{gpu}}}"#)
        );
    }

    #[test]
    fn the_table_goes_on_where_that_of_ort_ends() {
        let words = size_of::<Api22>() - size_of::<OrtApi>();
        assert_eq!(words / size_of::<Handle>(), 32);
    }
}
