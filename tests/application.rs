//! The programs that show how an application has the element in it.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "common/examples.rs"]
mod examples;

use std::path::Path;
use std::process::Command;

use examples::{Heard, ended, example, failure, skip, stdout};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// In time, so that what is behind changes while it plays.
const SINK: &str = "fakesink sync=true";

/// The program in Python, with the plugin that was built; none where Python has no GStreamer.
fn python() -> Option<Command> {
    // Packages of the system belong to its own Python, which another one may hide.
    let system = Path::new("/usr/bin/python3");
    let python3 = if system.exists() { system } else { Path::new("python3") };
    let has_gstreamer = Command::new(python3)
        .args(["-c", "import gi; gi.require_version('Gst', '1.0')"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_gstreamer {
        skip::missing("PyGObject with GStreamer", "make setup");
        return None;
    }
    let mut command = Command::new(Path::new(ROOT).join("scripts/env"));
    command.arg(python3).arg(Path::new(ROOT).join("examples/application/application.py"));
    command.env("DAVIDMATTE_PROFILE", "debug");
    Some(command)
}

fn programs() -> impl Iterator<Item = Command> {
    [Some(example("application")), python()].into_iter().flatten()
}

#[test]
fn they_play_to_the_end_and_change_on_the_way() {
    let clip = Path::new(ROOT).join("examples/media/person.mp4");
    for mut program in programs() {
        let heard = Heard::of(&mut program);
        let said = stdout(&ended(program.arg(&clip).args(["--sink", SINK])));
        assert_eq!(heard.times("background", "Blur"), 1, "{said}");
        assert_eq!(heard.times("background-color", "4278235456"), 1, "{said}");
        let last = said.lines().last().unwrap();
        assert!(last.starts_with("120 frames, ") && last.contains(" ms by "), "{said}");
    }
}

#[test]
fn what_cannot_be_read_is_told_in_a_line() {
    for mut program in programs() {
        let output = ended(program.arg("/nowhere/none.mp4").args(["--sink", SINK]));
        let message = failure(&output);
        assert!(message.contains("not found") || message.contains("none.mp4"), "{message}");
    }
}
