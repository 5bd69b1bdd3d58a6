//! Keeps ONNX Runtime from reporting to its makers.
//!
//! From 1.29 on, the published libraries send an event while an environment is made, and leave an
//! identifier of the machine and a queue of events in the user's cache, before there is an
//! environment to turn that off for (microsoft/onnxruntime#27379). Only a variable keeps them from it.

use std::ffi::CStr;
use std::path::Path;

use ort::sys::OrtApiBase;

/// The first minor version that reports wherever it runs.
const FIRST_THAT_REPORTS: u32 = 29;
/// Set to anything by a user, it is left at that.
const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// Turns reports of this library off, before anything is done with it. Nothing happens for a
/// library that cannot be loaded, which fails when it is used.
pub(super) fn disable(library: &Path) {
    let Some(version) = version(library) else { return };
    if reports(&version) && std::env::var_os(VARIABLE).is_none() {
        // SAFETY: readers in Rust are locked out. A reader in C is in glibc before 2.41, and in other C
        // libraries, if it reads in another thread within the very microsecond in which the list of
        // variables moves. That is once in a process, with libraries that are not the project's own,
        // and against it stands a machine that reports what it does without anybody's consent.
        unsafe { std::env::set_var(VARIABLE, "1") };
    }
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
    // SAFETY: it is the library that inference is about to run in.
    let library = unsafe { libloading::Library::new(library) }.ok()?;
    // SAFETY: the type is that of ONNX Runtime's header, and the two functions may be called at any time.
    let version = unsafe {
        let base =
            library.get::<unsafe extern "system" fn() -> *const OrtApiBase>(b"OrtGetApiBase");
        let base = base.ok()?().as_ref()?;
        CStr::from_ptr((base.GetVersionString)()).to_string_lossy().into_owned()
    };
    // It is about to be loaded again, and does not survive being unloaded in between.
    std::mem::forget(library);
    Some(version)
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
