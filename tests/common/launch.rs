//! Pipelines with providers that come as libraries of their own, in processes of their own.

use std::path::Path;
use std::process::{Command, Output};

use crate::common::root;

/// Runs `gst-launch-1.0`, with no variable that says where providers and drivers are but those that `configure` sets.
pub fn launch(arguments: &[&str], configure: impl FnOnce(&mut Command)) -> Output {
    let mut child = Command::new(root().join("scripts/env"));
    child.args(["gst-launch-1.0", "-q"]).args(arguments);
    for variable in ["DAVIDMATTE_PROVIDER_PATH", "VK_ICD_FILENAMES", "LD_LIBRARY_PATH"] {
        child.env_remove(variable);
    }
    configure(&mut child);
    child.output().unwrap()
}

/// All that was said.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// The mattes of some frames, one after the other. Which region is looked at hangs on thresholds, which
/// the last bit may cross.
pub fn mattes(
    launch: impl FnOnce(&[&str]) -> Output,
    device: &str,
    model: &str,
    refine: &str,
    folder: &Path,
) -> Vec<u8> {
    let out = folder.join(device);
    let (model, location) = (format!("model={model}"), format!("location={}", out.display()));
    let (device, refine) = (format!("device={device}"), format!("refine={refine}"));
    let caps = "video/x-raw,format=I420,width=96,height=64,framerate=25/1";
    let output = launch(&[
        "videotestsrc",
        "num-buffers=3",
        "pattern=ball",
        "!",
        caps,
        "!",
        "davidmatte",
        &model,
        &device,
        &refine,
        "region=frame",
        "output=alpha",
        "!",
        "video/x-raw,format=GRAY8",
        "!",
        "filesink",
        &location,
    ]);
    assert!(output.status.success(), "{}", text(&output));
    std::fs::read(out).unwrap()
}

/// By how much two mattes differ at most, in codes.
pub fn worst(first: &[u8], second: &[u8]) -> Option<u8> {
    assert_eq!(first.len(), second.len());
    first.iter().zip(second).map(|(a, b)| a.abs_diff(*b)).max()
}
