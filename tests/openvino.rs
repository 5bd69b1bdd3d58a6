//! Inference by OpenVINO's provider, which came as a library of its own: on a processor, since no machine that only
//! tests has Intel's GPU.
#![allow(missing_docs, clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod common;
#[path = "common/launch.rs"]
mod launch;
#[path = "common/skip.rs"]
mod skip;

use std::path::{Path, PathBuf};

use common::{described, fixture, root};
use launch::{launch, mattes, text, worst};

/// The folder of the provider's library, where it is there.
fn provider() -> Option<PathBuf> {
    if !cfg!(target_arch = "x86_64") {
        skip::impossible("OpenVINO's provider is packaged for x86_64 alone");
        return None;
    }
    let folder = root().join("build/providers");
    if !folder.join("libonnxruntime_providers_openvino_plugin.so").exists() {
        skip::missing("OpenVINO's provider", "run PROVIDERS=openvino scripts/setup");
        return None;
    }
    Some(folder)
}

fn launched(providers: &Path, arguments: &[&str]) -> std::process::Output {
    launch(arguments, |child| {
        child.env("DAVIDMATTE_PROVIDER_PATH", providers);
    })
}

const LOGITS: &str = "[output]\nchannel = 1\nactivation = \"softmax\"";

/// In the network's own precision, which the provider would leave on processors that have bfloat16.
#[test]
fn the_matte_is_that_of_the_cpu() {
    let Some(providers) = provider() else { return };
    let (_logits_folder, logits) = described("two_channel_logits.onnx", LOGITS);
    for (model, refine) in [
        ("builtin".to_owned(), "none"),
        (logits, "none"),
        (fixture("keyer.onnx"), "none"),
        (fixture("keyer.onnx"), "detail"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let [openvino, cpu] = ["openvino", "cpu"].map(|device| {
            mattes(
                |arguments| launched(&providers, arguments),
                device,
                &model,
                refine,
                folder.path(),
            )
        });
        assert!(worst(&openvino, &cpu) <= Some(1), "{model}: {:?}", worst(&openvino, &cpu));
    }
}

/// What was said of where inference runs.
fn place(providers: &Path, device: &str) -> String {
    let device = format!("device={device}");
    let debug = "--gst-debug=davidmatte:4";
    let source = [debug, "videotestsrc", "num-buffers=1", "!"];
    let element = ["davidmatte", &device, "threads=1", "!", "fakesink"];
    let output = launched(providers, &[&source[..], &element].concat());
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

#[test]
fn the_device_is_named_and_a_processor_is_never_taken_unasked() {
    let Some(providers) = provider() else { return };
    let asked = place(&providers, "openvino");
    assert!(asked.contains("on openvino:0 ("), "{asked}");
    let unasked = place(&providers, "auto");
    assert!(unasked.contains("on cpu ("), "{unasked}");
}

/// A processor is one device, and what chooses between devices is none.
#[test]
fn only_devices_are_counted() {
    let Some(providers) = provider() else { return };
    let element = ["davidmatte", "device=openvino", "device-id=70", "!", "fakesink"];
    let output = launched(&providers, &[&["videotestsrc", "!"], &element[..]].concat());
    let text = text(&output);
    assert!(text.contains("no device-id 70, but 0 ("), "{text}");
    assert!(!text.contains("AUTO"), "{text}");
}
