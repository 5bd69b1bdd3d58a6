//! No object of GStreamer's is left when the element has done its work: GStreamer's own tracer looks
//! for them, in a process of its own, as it reports at the very end.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;
#[path = "common/skip.rs"]
mod skip;

use std::process::{Command, ExitStatus};

use common::{fixture, init, pipeline, run};
use gst::prelude::*;

/// What the process of its own does: `work`, or `leak` besides.
const VARIABLE: &str = "DAVIDMATTE_TEST_LEAKS";

fn main() {
    match std::env::var(VARIABLE).as_deref() {
        Ok(task) => {
            init();
            work();
            if task == "leak" {
                std::mem::forget(gst::ElementFactory::make("davidmatte").build().unwrap());
            }
            // SAFETY: whatever was made above is gone, but for what is leaked on purpose.
            unsafe { gst::deinit() };
        }
        Err(_) => check(),
    }
}

fn check() {
    init();
    if gst::Registry::get().find_plugin("coretracers").is_none() {
        skip::missing("GStreamer's tracer of leaks", "install a GStreamer with coretracers");
        return;
    }
    // The tracer ends with a warning where it found something, and warnings are fatal here.
    let (_, left) = objects_left("leak");
    assert!(left.contains("GstDavidMatte"), "a leak is not found, but:\n{left}");
    let (status, left) = objects_left("work");
    assert!(status.success() && left.is_empty(), "{status}, and what is left:\n{left}");
    println!("no object is left, and one that was leaked on purpose was found");
}

/// What the tracer says is still alive at the end.
fn objects_left(task: &str) -> (ExitStatus, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .env(VARIABLE, task)
        .env("GST_TRACERS", "leaks")
        .env("GST_DEBUG", "GST_TRACER:7")
        .env("GST_DEBUG_NO_COLOR", "1")
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let told =
        |line: &&str| line.contains("object-alive,") && line.contains("address=(gpointer)0x");
    (output.status, log.lines().filter(told).collect::<Vec<_>>().join("\n"))
}

/// Every way of a buffer through the element, and every way of starting and stopping it.
fn work() {
    let model = fixture("luma.onnx");
    let source = "videotestsrc num-buffers=5 ! video/x-raw,format=I420,width=64,height=48";
    let element = format!("davidmatte name=m device=cpu model={model}");
    for (output, src) in [
        ("composite", "I420 ! fakesink"),
        ("composite", "BGRx ! fakesink"),
        ("cutout", "RGBA ! fakesink"),
        ("cutout", "A420 ! fakesink"),
        // videoconvert understands GstVideoMeta, so that an alpha plane is appended.
        ("cutout decontaminate=false", "A420 ! videoconvert ! fakesink"),
        ("alpha", "GRAY8 ! fakesink"),
    ] {
        let alone = format!("{source} ! {element} output={output} ! video/x-raw,format={src}");
        let shared = format!(
            "{source} ! tee name=t ! queue ! {element} output={output} ! video/x-raw,format={src} \
             t. ! queue ! fakesink"
        );
        for line in [alone, shared] {
            let pipeline = pipeline(&line);
            run(&pipeline).unwrap();
            let element = pipeline.by_name("m").unwrap();
            element.property::<gst::Structure>("stats");
        }
    }

    let pipeline = pipeline(&format!("{source} ! {element} ! fakesink"));
    let element = pipeline.by_name("m").unwrap();
    for background in ["blur", "checkerboard", "color"] {
        element.set_property_from_str("background", background);
        run(&pipeline).unwrap();
    }
    for model in ["nan.onnx", "rank3.onnx"] {
        element.set_property("model", fixture(model));
        run(&pipeline).expect_err("there is no matte");
    }
}
