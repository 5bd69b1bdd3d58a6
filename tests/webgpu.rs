//! Inference by a provider that came as a library of its own: WebGPU, on a Vulkan that is a program, so that it
//! can be tried without a GPU.
#![allow(missing_docs, clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod common;
#[path = "common/launch.rs"]
mod launch;
#[path = "common/skip.rs"]
mod skip;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{described, fixture, root};
use launch::{launch, text, worst};

/// The provider's library and a driver, where both are there.
struct Adapter {
    providers: PathBuf,
    swiftshader: PathBuf,
}

fn adapter() -> Option<Adapter> {
    let [providers, swiftshader] = ["build/providers", "build/swiftshader"].map(|f| root().join(f));
    let library = providers.join("libonnxruntime_providers_webgpu.so");
    let driver = swiftshader.join("libvk_swiftshader.so");
    if !cfg!(target_arch = "x86_64") {
        skip::impossible("SwiftShader is packaged for x86_64 alone");
        return None;
    }
    let has_npm = || Command::new("npm").arg("--version").output().is_ok();
    if !driver.exists() && !has_npm() {
        skip::impossible("SwiftShader comes by npm, which is not here");
        return None;
    }
    if !library.exists() || !driver.exists() {
        skip::missing("WebGPU's provider on SwiftShader", "run tests/reference/swiftshader.sh");
        return None;
    }
    Some(Adapter { providers, swiftshader })
}

impl Adapter {
    fn launch(&self, arguments: &[&str]) -> Output {
        launch(arguments, |child| {
            child
                .env("DAVIDMATTE_PROVIDER_PATH", &self.providers)
                .env("VK_ICD_FILENAMES", self.swiftshader.join("vk_swiftshader_icd.json"))
                .env("LD_LIBRARY_PATH", &self.swiftshader)
                .env("ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER", "1");
        })
    }

    fn mattes(&self, device: &str, model: &str, refine: &str, folder: &Path) -> Vec<u8> {
        launch::mattes(|arguments| self.launch(arguments), device, model, refine, folder)
    }
}

/// A program takes its time.
const SMALL: &str = "[input]\nsize = [64, 64]";
const LOGITS: &str = "[output]\nchannel = 1\nactivation = \"softmax\"";

#[test]
fn the_matte_is_the_processors() {
    let Some(adapter) = adapter() else { return };
    let (_logits_folder, logits) = described("two_channel_logits.onnx", LOGITS);
    let sidecar = include_str!("fixtures/remembering.toml");
    let (_states_folder, states) = described("remembering.onnx", sidecar);
    // A small network, one of DAViD's contract, and one that remembers.
    for model in [logits, fixture("keyer.onnx"), states] {
        let folder = tempfile::tempdir().unwrap();
        let [webgpu, cpu] =
            ["webgpu", "cpu"].map(|d| adapter.mattes(d, &model, "none", folder.path()));
        assert_eq!((webgpu.len(), cpu.len()), (3 * 96 * 64, 3 * 96 * 64));
        let worst = worst(&webgpu, &cpu);
        assert!(worst <= Some(1), "{model}: {worst:?}");
        assert!(cpu.iter().max() > cpu.iter().min(), "{model}: nothing to compare");
    }
}

/// Tiles go through the device in batches of another size.
#[test]
fn refined_mattes_are_the_processors() {
    let Some(adapter) = adapter() else { return };
    let model = fixture("keyer.onnx");
    let folder = tempfile::tempdir().unwrap();
    let mattes = [("cpu", "none"), ("cpu", "detail"), ("webgpu", "detail")]
        .map(|(device, refine)| adapter.mattes(device, &model, refine, folder.path()));
    let [plain, cpu, webgpu] = mattes;
    assert!(plain != cpu, "nothing was refined");
    let worst = worst(&webgpu, &cpu);
    assert!(worst <= Some(1), "{worst:?}");
}

#[test]
fn two_elements_use_it_at_once() {
    let Some(adapter) = adapter() else { return };
    let (_folder, model) = described("dynamic.onnx", SMALL);
    let model = format!("model={model}");
    let source = ["videotestsrc", "num-buffers=3", "!", "video/x-raw,width=64,height=48", "!"];
    let element = ["davidmatte", &model, "device=webgpu", "!", "fakesink"];
    let output = adapter.launch(&[&source[..], &element, &source, &element].concat());
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_device_that_is_not_there_is_told_with_those_that_are() {
    let Some(adapter) = adapter() else { return };
    let (_folder, model) = described("dynamic.onnx", SMALL);
    let model = format!("model={model}");
    let element = ["davidmatte", &model, "device=webgpu", "device-id=7", "!", "fakesink"];
    let output = adapter.launch(&[&["videotestsrc", "!"], &element[..]].concat());
    let text = text(&output);
    assert!(text.contains("no device-id 7, but 0 ("), "{text}");
}

/// A program that plays a GPU is no quicker than the processor that it runs on.
#[test]
fn the_quickest_device_is_no_program() {
    let Some(adapter) = adapter() else { return };
    let (_folder, model) = described("dynamic.onnx", SMALL);
    let model = format!("model={model}");
    let element = ["davidmatte", &model, "device=auto", "!", "fakesink"];
    let debug = "--gst-debug=davidmatte:4";
    let output =
        adapter.launch(&[&[debug, "videotestsrc", "num-buffers=1", "!"], &element[..]].concat());
    let text = text(&output);
    assert!(text.contains("on cpu ("), "{text}");
}

/// What is said where `folder` has the libraries of providers.
fn refusal(device: &str, folder: &Path) -> String {
    let device = format!("device={device}");
    let output = launch(&["videotestsrc", "!", "davidmatte", &device, "!", "fakesink"], |child| {
        child.env("DAVIDMATTE_PROVIDER_PATH", folder);
    });
    assert!(output.status.code().is_some_and(|code| code != 0), "{}", text(&output));
    text(&output)
}

#[test]
fn a_provider_that_is_none_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for device in ["webgpu", "openvino", "cuda", "tensorrt"] {
        let name = format!("libonnxruntime_providers_{device}.so");
        let missing = refusal(device, folder.path());
        assert!(missing.contains(&name) && missing.contains("is in none of"), "{missing}");

        let library = folder.path().join(&name);
        std::fs::write(&library, "no library").unwrap();
        let broken = refusal(device, folder.path());
        assert!(broken.contains(&name) && broken.contains("is no provider"), "{broken}");

        // A library, but no provider.
        let other = root().join("build/onnxruntime/libonnxruntime_providers_shared.so");
        if std::fs::copy(other, &library).is_ok() {
            let other = refusal(device, folder.path());
            assert!(other.contains(&name) && other.contains("is no provider"), "{other}");
        }

        std::fs::remove_file(&library).unwrap();
        let status = Command::new("mkfifo").arg(&library).status();
        if status.is_ok_and(|status| status.success()) {
            let pipe = refusal(device, folder.path());
            assert!(pipe.contains("is no file"), "{pipe}");
        }
    }
}
