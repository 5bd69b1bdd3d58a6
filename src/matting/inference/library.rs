// SPDX-License-Identifier: MIT

//! Where ONNX Runtime's shared library is looked for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use once_cell::sync::OnceCell;

use crate::matting::model::folders::user_data_folder;

/// Names the library, or a folder that holds it; nothing else is tried then.
pub const DYLIB_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Folders with libraries of providers, as in `PATH`; others are looked at as well.
pub const PROVIDER_VARIABLE: &str = "DAVIDMATTE_PROVIDER_PATH";

/// The newest 1.x whose versioned name is tried; distributions may package no other name.
const NEWEST_MINOR: u32 = 60;
/// The oldest 1.x that has the functions used here.
const OLDEST_MINOR: u32 = 21;

static PLUGIN_FOLDER: OnceCell<PathBuf> = OnceCell::new();

/// Tells where the plugin lies, so that a library beside it is found.
#[cfg_attr(not(feature = "plugin"), allow(dead_code))]
pub fn set_plugin_folder(folder: PathBuf) {
    // The first call wins: a plugin is loaded once in a process.
    let _ = PLUGIN_FOLDER.set(folder);
}

/// What to hand to the system's loader, in order, and how to call the places in a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Files, or bare names for the system's loader.
    pub libraries: Vec<PathBuf>,
    /// All places looked at, those without a library too.
    pub places: Vec<String>,
}

/// The libraries that this process would try.
pub fn candidates() -> Candidates {
    let variable = std::env::var_os(DYLIB_VARIABLE).filter(|value| !value.is_empty());
    candidates_in(variable, &folders(PLUGIN_FOLDER.get().map(PathBuf::as_path), user_data_folder()))
}

/// Where a provider's library may lie: in the folders that the user names, beside ONNX Runtime's, and where
/// ONNX Runtime's may lie itself.
pub fn provider_folders(onnxruntime: &Path) -> Vec<PathBuf> {
    let named = std::env::var_os(PROVIDER_VARIABLE).unwrap_or_default();
    let named: Vec<_> =
        std::env::split_paths(&named).filter(|f| !f.as_os_str().is_empty()).collect();
    // A library that the system found by its name lies where only the system knows.
    let beside = onnxruntime.parent().filter(|folder| !folder.as_os_str().is_empty());
    let own = folders(PLUGIN_FOLDER.get().map(PathBuf::as_path), user_data_folder());
    let mut found = Vec::new();
    for folder in named.into_iter().chain(beside.map(Path::to_owned)).chain(own) {
        if !found.contains(&folder) {
            found.push(folder);
        }
    }
    found
}

/// The folders of this project, in order: with the plugin, the user's, and last that of a package,
/// `davidmatte` beside the plugin's own, so that what a user chose goes before what was packaged.
fn folders(plugin: Option<&Path>, user: Option<PathBuf>) -> Vec<PathBuf> {
    let package = plugin.and_then(|folder| Some(folder.parent()?.join("davidmatte")));
    plugin.map(Path::to_owned).into_iter().chain(user).chain(package).collect()
}

fn candidates_in(variable: Option<OsString>, folders: &[PathBuf]) -> Candidates {
    let mut found = Candidates::default();
    if let Some(path) = variable.map(PathBuf::from) {
        found.places.push(format!("{DYLIB_VARIABLE}={}", path.display()));
        let in_folder = path.is_dir().then(|| library_in(&path)).flatten();
        found.libraries.push(in_folder.unwrap_or(path));
        return found;
    }
    for folder in folders {
        found.places.push(folder.join(library_name()).display().to_string());
        found.libraries.extend(library_in(folder));
    }
    found.places.push(format!("{} in the system's library folders", library_name()));
    found.libraries.extend(system_names().into_iter().map(PathBuf::from));
    found
}

/// The plain name of the library on this system.
fn library_name() -> &'static str {
    if cfg!(target_os = "windows") {
        "onnxruntime.dll"
    } else if cfg!(target_vendor = "apple") {
        "libonnxruntime.dylib"
    } else {
        "libonnxruntime.so"
    }
}

/// The plain name, then the versioned ones that distributions without it have.
fn system_names() -> Vec<String> {
    let mut names = vec![library_name().to_owned()];
    if cfg!(all(unix, not(target_vendor = "apple"))) {
        names.push(format!("{}.1", library_name()));
        names.extend(
            (OLDEST_MINOR..=NEWEST_MINOR)
                .rev()
                .map(|minor| format!("{}.1.{minor}", library_name())),
        );
    }
    names
}

/// The library in `folder`: the plain name, or else the versioned name that sorts last.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let plain = folder.join(library_name());
    if plain.is_file() {
        return Some(plain);
    }
    let version = |name: &str| -> Option<Vec<u32>> {
        let version = name.strip_prefix(library_name())?.strip_prefix('.')?;
        version.split('.').map(|part| part.parse().ok()).collect()
    };
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries
        .filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path())))
        .max()
        .map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_final() {
        let found = candidates_in(Some("/nowhere/lib.so".into()), &["/also".into()]);
        assert_eq!(found.libraries, [PathBuf::from("/nowhere/lib.so")]);
        assert_eq!(found.places, ["ORT_DYLIB_PATH=/nowhere/lib.so"]);
    }

    #[test]
    #[cfg(all(unix, not(target_vendor = "apple")))]
    fn the_newest_of_versioned_names_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.32.0", "libonnxruntime.so.1.x"]
        {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = candidates_in(None, &[folder.path().into()]);
        assert_eq!(found.libraries[0], folder.path().join("libonnxruntime.so.1.32.0"));
        std::fs::write(folder.path().join("libonnxruntime.so"), "").unwrap();
        assert_eq!(library_in(folder.path()), Some(folder.path().join("libonnxruntime.so")));
    }

    #[test]
    fn what_a_user_chose_goes_before_what_was_packaged() {
        let found = folders(Some("/lib/gstreamer-1.0".as_ref()), Some("/home/davidmatte".into()));
        let expected = ["/lib/gstreamer-1.0", "/home/davidmatte", "/lib/davidmatte"];
        assert_eq!(found, expected.map(PathBuf::from));
        assert_eq!(folders(None, None), Vec::<PathBuf>::new());
    }

    #[test]
    fn every_place_is_named() {
        let found = candidates_in(None, &["/a".into(), "/b".into()]);
        assert_eq!(found.places.len(), 3);
        assert!(found.places[2].contains("system"));
    }
}
