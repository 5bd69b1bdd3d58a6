//! What is matted is nobody else's business: nothing is left behind about it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Filter, picture, video};

/// Tells the process that the test starts to matte a frame.
const MATTES: &str = "DAVIDMATTE_TEST_MATTES";

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Libraries that report to their makers write an identifier and a queue into the user's folders
/// as soon as they are used.
#[test]
fn a_user_s_folders_stay_empty() {
    let name = "a_user_s_folders_stay_empty";
    if std::env::var_os(MATTES).is_some() {
        let mut filter = Filter::new(&[("model", "builtin")]);
        let caps = video("RGB", 64, 48);
        filter.negotiate(&caps, "video/x-raw");
        filter.push(picture(&caps, |_, x, y| (x * y) as u8));
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name]).env(MATTES, "1").env("HOME", home.path());
    command.env("GST_REGISTRY", home.path().join("registry"));
    // Where tests run by themselves, libraries may be quieter than at a user's.
    for (variable, _) in std::env::vars_os() {
        let named = variable.to_string_lossy().into_owned();
        if named.starts_with("XDG_") || named.contains("TELEMETRY") || named == "CI" {
            command.env_remove(variable);
        }
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let left = files_below(home.path());
    let ours = |path: &PathBuf| path.file_name().is_some_and(|name| name != "registry");
    let left: Vec<_> = left.into_iter().filter(ours).collect();
    assert!(left.is_empty(), "{left:?}");
}
