// SPDX-License-Identifier: MIT

//! Opens ONNX Runtime's library for good, before `ort` uses it, and refuses one that would report to its
//! makers.
//!
//! From 1.29 on, the published libraries send an event while an environment is made, and leave an
//! identifier of the machine and a queue of events in the user's cache, before there is an environment to
//! turn that off for (microsoft/onnxruntime#27379). Only a variable keeps them from it, and a library has
//! no right to set variables of its process: other threads may read them.

use std::ffi::CStr;
use std::path::Path;

use ort::sys::OrtApiBase;

/// The first minor version that reports wherever it runs.
const FIRST_THAT_REPORTS: u32 = 29;
/// Set to anything by a user, it keeps a library from reporting.
const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// Opens the library, which stays open. Nothing happens for one that cannot be opened, which fails when it
/// is used.
///
/// # Errors
/// A sentence, for a library that would report what it does.
pub(super) fn prepare(library: &Path) -> Result<(), String> {
    let Some(version) = version(library) else { return Ok(()) };
    if reports(&version) && std::env::var_os(VARIABLE).is_none() {
        return Err(format!(
            "{} is version {version}, which reports its use to its makers; set {VARIABLE}=1 before the \
             program starts, or use version 1.28",
            library.display()
        ));
    }
    Ok(())
}

/// Whether a version sends reports; one that is not understood may.
fn reports(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(1)), Some(Ok(minor))) => minor >= FIRST_THAT_REPORTS,
        _ => true,
    }
}

/// What the library says of itself.
fn version(library: &Path) -> Option<String> {
    let library = open(library)?;
    // SAFETY: the type is that of ONNX Runtime's header, and the two functions may be called at any time.
    let version = unsafe {
        let base =
            library.get::<unsafe extern "system" fn() -> *const OrtApiBase>(b"OrtGetApiBase");
        let base = base.ok()?().as_ref()?;
        CStr::from_ptr((base.GetVersionString)()).to_string_lossy().into_owned()
    };
    // It is about to be used, and does not survive being unloaded in between.
    std::mem::forget(library);
    Some(version)
}

/// Opens a library, so that its exceptions go the way that those of this process go.
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
pub(super) fn open(library: &Path) -> Option<libloading::Library> {
    use libloading::os::unix;
    // From its own dependencies before the process's global scope.
    let deep = if super::unwinding::is_bound_elsewhere() { libc::RTLD_DEEPBIND } else { 0 };
    let flags = unix::RTLD_NOW | unix::RTLD_LOCAL | deep;
    // SAFETY: it is the library that inference is about to run in.
    unsafe { unix::Library::open(Some(library), flags) }.ok().map(Into::into)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
pub(super) fn open(library: &Path) -> Option<libloading::Library> {
    // SAFETY: it is the library that inference is about to run in.
    unsafe { libloading::Library::new(library) }.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_report_are_told_from_those_that_do_not() {
        for quiet in ["1.21.0", "1.28.0", "1.28.1-dev"] {
            assert!(!reports(quiet), "{quiet}");
        }
        for loud in ["1.29.0", "1.32.0", "1.100.0", "2.0.0", "", "unknown"] {
            assert!(reports(loud), "{loud}");
        }
    }

    #[test]
    fn a_library_that_is_none_changes_nothing() {
        assert_eq!(version(Path::new("Cargo.toml")), None);
    }
}
