// SPDX-License-Identifier: MIT

//! Folders of the user and of the system in which files of this project are looked for.

use std::path::{Path, PathBuf};

/// The folders in which models are looked for, in order: `$DAVIDMATTE_MODEL_PATH` (several,
/// separated as in `$PATH`), the user's data folder, the system's.
pub fn model_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("DAVIDMATTE_MODEL_PATH")
        .map(|paths| {
            std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).collect()
        })
        .unwrap_or_default();
    folders.extend(user_data_folder().map(|folder| folder.join("models")));
    folders.push("/usr/local/share/davidmatte/models".into());
    folders.push("/usr/share/davidmatte/models".into());
    folders
}

/// The user's data folder of this project: `$XDG_DATA_HOME/davidmatte`, by default
/// `~/.local/share/davidmatte`.
pub fn user_data_folder() -> Option<PathBuf> {
    Some(xdg_folder("XDG_DATA_HOME", ".local/share")?.join("davidmatte"))
}

/// The folder that `variable` names, or the one at `default` in the user's home.
fn xdg_folder(variable: &str, default: &str) -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder(variable).or_else(|| Some(folder("HOME")?.join(default)))
}

/// `$XDG_CACHE_HOME/davidmatte/NAME`, made where it is not there; none where it cannot be made, or is
/// open to others, who could put code there that a device runs.
pub fn private_cache_folder(name: &str) -> Option<PathBuf> {
    let cache = xdg_folder("XDG_CACHE_HOME", ".cache")?;
    private_folder(&cache.join("davidmatte").join(name))
}

fn private_folder(folder: &Path) -> Option<PathBuf> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).ok()?;
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(folder).ok()?);
        if mode & 0o077 != 0 {
            return None;
        }
    }
    Some(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_cache_is_private_or_none() {
        use std::os::unix::fs::PermissionsExt;
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("a/b");
        let mode = || std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777;
        assert_eq!(private_folder(&folder).as_deref(), Some(&*folder));
        assert_eq!(mode(), 0o700);
        assert_eq!(private_folder(&folder).as_deref(), Some(&*folder), "it may be there already");
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(private_folder(&folder), None, "others could have written to it");
    }
}
