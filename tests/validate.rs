//! GStreamer Validate watches the element while it is paused, sought and changed, and finds nothing to say of it.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "common/examples.rs"]
mod examples;

use std::path::Path;
use std::process::Command;

use examples::{ended, skip};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Plays the clip through `filter` by a scenario; what is wrong with that, as Validate says it.
fn issues(scenario: &str, filter: &str) -> Option<String> {
    let root = Path::new(ROOT);
    let mut command = Command::new(root.join("scripts/env"));
    command.env("DAVIDMATTE_PROFILE", "debug").arg("gst-validate-1.0").arg("--set-scenario");
    command.arg(root.join("tests/validate").join(scenario));
    let clip = root.join("examples/media/person.mp4");
    command.args(["filesrc", &format!("location={}", clip.display()), "!", "decodebin", "!"]);
    command.args(["videoconvert", "!"]).args(filter.split(' ')).args(["!", "videoconvert", "!"]);
    command.args(["fakesink", "sync=false"]);
    let output = ended(&mut command);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    // Parsers and decoders before it are told the same caps twice after a seek, whatever follows.
    let is_right = output.status.success()
        && said.contains("Test PASSED")
        && !said.contains("Detected on <matte");
    (!is_right).then_some(said)
}

fn is_there() -> bool {
    let found = Command::new("gst-validate-1.0").arg("--version").output().is_ok();
    if !found {
        // Debian 12 has no package of it.
        skip::impossible("gst-validate-1.0 is not there, and not every distribution has it");
    }
    found
}

#[test]
fn validate_finds_nothing_where_it_is_paused_and_sought() {
    if !is_there() {
        return;
    }
    for settings in ["", " frames-in-flight=1", " pacing=latest", " inference-interval=0"] {
        let filter = format!("davidmatte name=matte device=cpu{settings}");
        assert_eq!(issues("seeks.scenario", &filter), None, "{filter}");
    }
}

#[test]
fn validate_finds_nothing_where_what_leaves_changes() {
    if is_there() {
        let filter = "davidmatte name=matte device=cpu";
        assert_eq!(issues("changes.scenario", filter), None);
    }
}

/// It finds something where there is something.
#[test]
fn validate_tells_what_is_wrong() {
    if is_there() {
        let filter = "identity error-after=20 name=matte";
        assert!(issues("seeks.scenario", filter).is_some());
    }
}
