//! What the README and the recipes say writes a file does so.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use gst::prelude::*;

/// The pipelines of a document that write a file, without `gst-launch-1.0` and line ends.
fn lines_of(document: &str) -> Vec<String> {
    let text = std::fs::read_to_string(common::root().join(document)).unwrap();
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| line.trim().strip_prefix("gst-launch-1.0 "));
    lines.filter(|line| line.contains("filesink")).map(str::to_owned).collect()
}

/// A pipeline with this clip, a picture and a place for what is written; a few frames will do.
fn with_files(line: &str, folder: &Path) -> (String, PathBuf) {
    let clip = common::root().join("examples/media/person.mp4");
    let picture = folder.join("beach.png");
    image::RgbImage::from_pixel(16, 9, image::Rgb([10, 200, 30])).save(&picture).unwrap();
    let written =
        line.split("filesink location=").nth(1).unwrap().split_whitespace().next().unwrap();
    let out = folder.join(Path::new(written).file_name().unwrap());
    let text = line
        .replace(
            &format!("filesink location={written}"),
            &format!("filesink location={}", out.display()),
        )
        .replace("examples/media/person.mp4", "in.mp4")
        .replace("in.mp4", clip.to_str().unwrap())
        .replace("beach.jpg", picture.to_str().unwrap())
        .replace("! davidmatte", "! identity eos-after=4 ! davidmatte");
    // Line ends were blanks.
    (text.split_whitespace().collect::<Vec<_>>().join(" "), out)
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

/// Each is run, and what it wrote is read.
#[test]
fn whatever_writes_a_file_writes_frames_that_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<_> = ["README.md", "docs/recipes.md"].into_iter().flat_map(lines_of).collect();
    assert!(lines.len() >= 4, "{lines:?}");
    for line in lines {
        let (text, out) = with_files(&line, folder.path());
        common::run(&common::pipeline(&text)).unwrap();
        let format = format_of(&out);
        // What is written for its alpha has one.
        let has_alpha = format.starts_with('A');
        assert_eq!(has_alpha, line.contains("avenc_prores_ks"), "{format}: {line}");
    }
}
