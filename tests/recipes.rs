//! What the README says writes a file with alpha does so.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use gst::prelude::*;

/// The README's pipeline that has `element` in it, without `gst-launch-1.0` and line ends.
fn line_of(element: &str) -> String {
    let readme = std::fs::read_to_string(common::root().join("README.md")).unwrap();
    let joined = readme.replace("\\\n", " ");
    let line =
        joined.lines().find(|line| line.contains("gst-launch-1.0") && line.contains(element));
    line.unwrap().trim().strip_prefix("gst-launch-1.0 ").unwrap().to_owned()
}

/// The format of a file's frames, as they are decoded.
fn format_of(path: &std::path::Path) -> String {
    let pipeline = common::pipeline("uridecodebin name=file ! fakesink name=out");
    let uri = gst::glib::filename_to_uri(path, None).unwrap();
    pipeline.by_name("file").unwrap().set_property("uri", uri.as_str());
    pipeline.set_state(gst::State::Paused).unwrap();
    let prerolled = pipeline.state(gst::ClockTime::from_seconds(60));
    assert_eq!(prerolled.1, gst::State::Paused, "{prerolled:?}");
    let pad = pipeline.by_name("out").unwrap().static_pad("sink").unwrap();
    let format = common::info(&pad.current_caps().unwrap()).format().to_str().to_string();
    pipeline.set_state(gst::State::Null).unwrap();
    format
}

#[test]
fn prores_4444_has_alpha() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.mov");
    let clip = common::root().join("examples/media/person.mp4");
    let text = line_of("avenc_prores_ks")
        .replace("in.mp4", clip.to_str().unwrap())
        .replace("out.mov", out.to_str().unwrap())
        // A few frames will do.
        .replace("! davidmatte", "! identity eos-after=4 ! davidmatte");
    common::run(&common::pipeline(&text)).unwrap();
    let format = format_of(&out);
    assert!(format.starts_with('A'), "{format} has no alpha");
}
