//! Whatever is wrong is one error message that says what, and the pipeline can be used again.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;
#[path = "common/skip.rs"]
mod skip;

use std::ffi::OsStr;
use std::fmt::Debug;
use std::path::Path;
use std::process::Command;

use common::{
    Filter, Noise, built_plugin, described, fixture, init, picture, pipeline, root, run, samples,
    video,
};
use gst::glib;
use gst::glib::translate::ToGlibPtrMut;
use gst::prelude::*;

const SOURCE: &str = "videotestsrc num-buffers=3 ! video/x-raw,format=RGB,width=64,height=48";

/// Settings under which the element has to fail as `expected` with all of `words` in the message,
/// and without which it works.
fn check<T>(settings: &[(&str, &str)], expected: T, words: &[&str])
where
    T: glib::error::ErrorDomain + Debug + Copy,
{
    let pipeline = pipeline(&format!("{SOURCE} ! davidmatte name=m ! fakesink"));
    let element = pipeline.by_name("m").unwrap();
    let set = |name: &str, value: &str| element.set_property_from_str(name, value);
    set("model", &fixture("luma.onnx"));
    set("device", "cpu");
    for (name, value) in settings {
        set(name, value);
    }
    let error = run(&pipeline).expect_err(&format!("{settings:?} cannot work"));
    assert!(error.matches(expected), "{settings:?}: {error:?} is not {expected:?}");
    for word in words {
        assert!(error.message().contains(word), "{settings:?}: no `{word}` in `{error}`");
    }
    set("model", &fixture("luma.onnx"));
    set("device", "cpu");
    set("background", "color");
    assert_eq!(run(&pipeline).map_err(|error| error.to_string()), Ok(()), "after {settings:?}");
}

fn check_model<T>(model: &str, expected: T, words: &[&str])
where
    T: glib::error::ErrorDomain + Debug + Copy,
{
    let name = Path::new(model).file_name().unwrap().to_str().unwrap();
    check(&[("model", model)], expected, &[words, &[name]].concat());
}

/// A file of these bytes, in a folder that is removed at the end.
fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn a_missing_model() {
    check_model("/nowhere/person.onnx", gst::ResourceError::NotFound, &["/nowhere"]);
    check_model("no-such-model", gst::ResourceError::NotFound, &[]);
}

#[test]
fn a_known_model_that_was_not_fetched() {
    if gstdavidmatte::matting::prelude::ModelSource::find("david-large").is_ok() {
        skip::impossible("david-large is installed here");
        return;
    }
    check(&[("model", "david-large")], gst::ResourceError::NotFound, &["david-large", "http"]);
}

#[test]
fn an_empty_model() {
    let (_folder, path) = file("empty.onnx", b"");
    check_model(&path, gst::ResourceError::Read, &["empty"]);
}

#[test]
fn a_text_for_a_model() {
    let (_folder, path) =
        file("text.onnx", b"<html>404: this is not the file that you want</html>\n");
    check_model(&path, gst::ResourceError::Read, &[]);
}

#[test]
fn a_folder_for_a_model() {
    let folder = tempfile::tempdir().unwrap();
    check_model(folder.path().to_str().unwrap(), gst::ResourceError::Read, &["folder"]);
}

#[test]
#[cfg(unix)]
fn a_model_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, path) = file("secret.onnx", &std::fs::read(fixture("luma.onnx")).unwrap());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&path).is_ok() {
        skip::impossible("root may read everything");
        return;
    }
    check_model(&path, gst::ResourceError::Read, &[]);
}

/// What not even root can read.
#[test]
#[cfg(target_os = "linux")]
fn a_model_that_cannot_be_read() {
    check_model("/proc/self/mem", gst::ResourceError::Read, &["os error 5"]);
    check_model("/dev/zero", gst::ResourceError::Read, &["regular"]);
}

/// Nobody writes to it: whoever waits for it waits for ever.
#[test]
#[cfg(unix)]
fn a_pipe_for_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe.onnx");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    check_model(path.to_str().unwrap(), gst::ResourceError::Read, &["regular"]);
}

/// GObject's strings are bytes, and what C sets need not be UTF-8.
#[test]
#[cfg(unix)]
fn names_that_are_not_utf8() {
    let pipeline = pipeline(&format!("{SOURCE} ! davidmatte name=m device=cpu ! fakesink"));
    let element = pipeline.by_name("m").unwrap();
    let set = |property: &str, bytes: &std::ffi::CStr| {
        let mut value = glib::Value::from_type(glib::Type::STRING);
        // SAFETY: the value is a string's, and GLib copies the bytes.
        unsafe {
            glib::gobject_ffi::g_value_set_string(value.to_glib_none_mut().0, bytes.as_ptr());
        }
        element.set_property_from_value(property, &value);
    };
    set("model", c"/nowhere/caf\xe9.onnx");
    let error = run(&pipeline).expect_err("there is no such model");
    assert!(error.matches(gst::ResourceError::NotFound), "{error:?}");
    assert!(error.message().contains("/nowhere/caf\u{fffd}.onnx"), "{error}");

    element.set_property("model", fixture("luma.onnx"));
    element.set_property_from_str("background", "image");
    set("background-image", c"/nowhere/caf\xe9.png");
    let error = run(&pipeline).expect_err("there is no such picture");
    assert!(error.matches(gst::ResourceError::NotFound), "{error:?}");
    assert!(error.message().contains("/nowhere/caf\u{fffd}.png"), "{error}");
}

/// gst-launch itself does not take such a name: the pipeline is not even built.
#[test]
#[cfg(unix)]
fn gst_launch_refuses_names_that_are_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let name = OsStr::from_bytes(b"model=/nowhere/caf\xe9.onnx");
    let line = [&["videotestsrc", "!", "davidmatte"].map(OsStr::new)[..], &[name]].concat();
    let end = ["!", "fakesink"].map(OsStr::new);
    let arguments = [&line[..], &end].concat();
    let Some(output) = launch(&arguments, &[]) else { return };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(code) if code != 0), "{:?}", output.status);
    assert!(stderr.contains("model") && !stderr.contains("panicked"), "{stderr}");
}

/// Folders are paths, not strings: those of other bytes are searched like any.
#[test]
#[cfg(target_os = "linux")]
fn model_folders_that_are_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(OsStr::from_bytes(b"caf\xe9"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(fixture("luma.onnx"), folder.join("there.onnx")).unwrap();
    std::fs::copy(fixture("rank3.onnx"), folder.join("wrong.onnx")).unwrap();
    let run = |model: &str| {
        let line = format!("{SOURCE} ! davidmatte device=cpu model={model} ! fakesink");
        let words: Vec<&OsStr> = line.split_whitespace().map(OsStr::new).collect();
        let output = launch(&words, &[("DAVIDMATTE_MODEL_PATH", folder.as_os_str())])?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code().is_some() && !stderr.contains("panicked"), "{stderr}");
        Some((output.status.success(), stderr))
    };
    let Some((works, stderr)) = run("there.onnx") else { return };
    assert!(works, "{stderr}");
    for (model, found) in [("missing.onnx", "was not found"), ("wrong.onnx", "(3, 512, 512)")] {
        let Some((works, stderr)) = run(model) else { return };
        assert!(!works && stderr.contains(found), "{stderr}");
        // How the byte itself is shown is the terminal's matter.
        let named = stderr.contains("/caf") && stderr.contains(&format!("/{model}"));
        assert!(named, "the file is named: {stderr}");
    }
}

#[test]
fn a_truncated_model() {
    let whole = std::fs::read(fixture("luma.onnx")).unwrap();
    for percent in [1, 50, 99] {
        let (_folder, path) = file("part.onnx", &whole[..whole.len() * percent / 100]);
        check_model(&path, gst::ResourceError::Read, &[]);
    }
}

/// A flipped bit may be in a name or a weight: what runs, runs. Nothing may crash, and what fails
/// says so as a model does.
#[test]
fn bit_flips() {
    let whole = std::fs::read(fixture("luma.onnx")).unwrap();
    let mut noise = Noise::new(1);
    let (mut failed, mut ran) = (0, 0);
    let pipeline = pipeline(&format!("{SOURCE} ! davidmatte name=m device=cpu ! fakesink"));
    for _ in 0..60 {
        let mut bytes = whole.clone();
        bytes[noise.below(whole.len())] ^= 1 << noise.below(8);
        let (_folder, path) = file("flipped.onnx", &bytes);
        pipeline.by_name("m").unwrap().set_property("model", &path);
        match run(&pipeline) {
            Ok(()) => ran += 1,
            Err(error) => {
                failed += 1;
                let known = error.matches(gst::ResourceError::Read)
                    || error.matches(gst::StreamError::Format)
                    || error.matches(gst::StreamError::Failed);
                assert!(known, "{error:?}");
            }
        }
    }
    assert!(failed > 0 && ran > 0, "{failed} failed and {ran} ran: nothing was tried");
}

#[test]
fn networks_of_other_shapes_and_types() {
    let found: [(&str, &[&str]); 5] = [
        ("rank3.onnx", &["(3, 512, 512)", "(1, 3, H, W)"]),
        ("four_channels.onnx", &["(1, 4, 512, 512)", "(1, 3, H, W)"]),
        ("two_inputs.onnx", &["2 inputs", "second"]),
        ("integer_input.onnx", &["input", "float32"]),
        ("integer_output.onnx", &["output", "float32"]),
    ];
    for (name, words) in found {
        check_model(&fixture(name), gst::StreamError::Format, words);
    }
}

/// Which of two faults it is, ONNX Runtime decides: it may refuse a graph without outputs itself.
#[test]
fn a_network_without_output() {
    let model = fixture("no_output.onnx");
    let pipeline = pipeline(&format!("{SOURCE} ! davidmatte device=cpu model={model} ! fakesink"));
    let error = run(&pipeline).expect_err("there is nothing to show");
    let known = error.matches(gst::StreamError::Format) || error.matches(gst::ResourceError::Read);
    assert!(known && error.message().contains("no_output.onnx"), "{error:?}");
}

#[test]
fn a_network_that_never_gives_a_matte() {
    check(&[("model", &fixture("nan.onnx"))], gst::StreamError::Failed, &["NaN"]);
    check(&[("model", &fixture("out_of_range.onnx"))], gst::StreamError::Failed, &["0 to 1"]);
}

#[test]
fn backgrounds_that_are_no_pictures() {
    let (_folder, empty) = file("empty.png", b"");
    let (_folder, text) = file("text.jpg", b"not a picture");
    let whole = png();
    let (_folder, part) = file("part.png", &whole[..whole.len() / 2]);
    for (path, name) in [(&empty, "empty.png"), (&text, "text.jpg"), (&part, "part.png")] {
        let settings = [("background", "image"), ("background-image", path.as_str())];
        check(&settings, gst::ResourceError::Read, &[name]);
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let settings = [("background", "image"), ("background-image", folder)];
    check(&settings, gst::ResourceError::Read, &[folder]);
    // A pipe that nobody writes to would be waited for without end.
    let pipe = tempfile::tempdir().unwrap();
    let pipe = pipe.path().join("pipe.png");
    if std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|made| made.success()) {
        let settings = [("background", "image"), ("background-image", pipe.to_str().unwrap())];
        check(&settings, gst::ResourceError::Read, &["pipe.png", "regular file"]);
    }
    let settings = [("background", "image"), ("background-image", "/nowhere/beach.png")];
    check(&settings, gst::ResourceError::NotFound, &["/nowhere/beach.png"]);
    check(&[("background", "image")], gst::ResourceError::NotFound, &["background-image"]);
}

/// A picture that is one, so that the tests above fail for what they say.
#[test]
fn a_background_that_is_a_picture() {
    let (_folder, path) = file("green.png", &png());
    let mut filter = Filter::luma(&[("background", "image"), ("background-image", &path)]);
    let caps = video("RGB", 16, 16);
    filter.negotiate(&caps, "video/x-raw,format=RGB");
    let out = filter.matte(picture(&caps, |_, _, _| 0));
    assert_eq!([out[0][0], out[1][0], out[2][0]], [10, 200, 30], "black is no person here");
}

fn png() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([10, 200, 30]));
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn sidecars_that_are_wrong() {
    let cases = [
        ("[input]\nchanels = \"rgb\"\n", "chanels"),
        ("[surprise]\n", "surprise"),
        ("[input]\nscale = \"large\"\n", "scale"),
        ("[input]\nlayout = \"nwhc\"\n", "nwhc"),
        ("[input]\nscale = nan\n", "scale"),
        ("[input]\nscale = 1e30\n", "scale"),
        ("[input]\nstd = [0.0, 1.0, 1.0]\n", "std"),
        ("[input]\nmean = [0.5]\n", "mean"),
        ("[input]\nsize = [1000000, 1000000]\n", "size"),
        ("[input]\nsize = [0, 512]\n", "size"),
        ("[output]\nchannel = 999999999\n", "channel"),
        ("[output]\nchannel = -1\n", "channel"),
        ("this is not TOML", "line 1"),
    ];
    for (sidecar, word) in cases {
        let (_folder, model) = described("luma.onnx", sidecar);
        check(&[("model", &model)], gst::ResourceError::Settings, &["luma.toml", word]);
    }
}

/// Right in themselves, but not of this network.
#[test]
fn sidecars_of_another_network() {
    for sidecar in [
        "[output]\nname = \"foreground\"\n",
        "[output]\nindex = 7\n",
        "[output]\nchannel = 1\n",
        "[input]\nlayout = \"nhwc\"\n",
    ] {
        let (_folder, model) = described("luma.onnx", sidecar);
        check(&[("model", &model)], gst::StreamError::Format, &["luma.onnx", "luma.toml"]);
    }
}

#[test]
fn a_device_that_is_not_there() {
    for device in ["cuda", "coreml"] {
        init();
        if usable(device) {
            skip::impossible(&format!("{device} is there"));
            continue;
        }
        check(&[("device", device)], gst::ResourceError::OpenRead, &[device, "device=auto"]);
    }
}

/// Whether networks run there; that they run elsewhere would be a fault.
fn usable(device: &str) -> bool {
    let model = fixture("luma.onnx");
    let pipeline =
        pipeline(&format!("{SOURCE} ! davidmatte name=m device={device} model={model} ! fakesink"));
    let element = pipeline.by_name("m").unwrap();
    let place = std::sync::Mutex::new(String::new());
    let place = std::sync::Arc::new(place);
    let told = place.clone();
    element.connect_notify(Some("active-device"), move |element, _| {
        if let Some(active) = element.property::<Option<String>>("active-device") {
            *told.lock().unwrap() = active;
        }
    });
    let runs = run(&pipeline).is_ok();
    let place = place.lock().unwrap();
    assert!(!runs || place.starts_with(device), "device={device} runs on {place}");
    runs
}

// Failures in mid-stream: a network that gives NaN for bright frames only.

const DARK: u8 = 60;
const BRIGHT: u8 = 200;

/// An element that has matted a dark frame, and has a background of pure green.
fn fragile(settings: &[(&str, &str)], format: &str) -> (Filter, gst::Caps) {
    let model = fixture("nan_when_bright.onnx");
    let fixed = [("model", model.as_str()), ("background-color", "0xff00ff00")];
    let mut filter = Filter::new(&[&fixed, settings].concat());
    let caps = video("RGB", 32, 24);
    filter.negotiate(&caps, &format!("video/x-raw,format={format}"));
    filter.push(gray(&caps, DARK));
    assert_eq!(filter.messages(), []);
    (filter, caps)
}

fn gray(caps: &gst::Caps, level: u8) -> gst::Buffer {
    picture(caps, |_, _, _| level)
}

fn expect_warning(filter: &Filter) {
    let messages = filter.messages();
    let [(gst::MessageType::Warning, warning)] = messages.as_slice() else {
        panic!("{messages:?} is not one warning");
    };
    assert!(warning.matches(gst::StreamError::Failed), "{warning:?}");
    assert!(warning.message().contains("NaN"), "the sentence says what is wrong: {warning:?}");
}

#[test]
fn without_a_matte_only_the_background_shows() {
    let (mut filter, caps) = fragile(&[], "RGB");
    let out = filter.matte(gray(&caps, BRIGHT));
    for (samples, green) in out.iter().zip([0, 255, 0]) {
        assert!(samples.iter().all(|&sample| sample == green), "the room shows");
    }
    expect_warning(&filter);
    // Warned of once, not frame by frame.
    filter.matte(gray(&caps, BRIGHT));
    assert_eq!(filter.messages(), []);
    // And it recovers: 60 · 60/255 of gray over green.
    let out = filter.matte(gray(&caps, DARK));
    assert!(out[0].iter().all(|&red| red.abs_diff(14) <= 1), "the matte is back");
    assert_eq!((filter.stat("frames"), filter.stat("inferences")), (4, 2));
    assert_eq!(filter.stat("failed-inferences"), 2);
}

#[test]
fn without_a_matte_nobody_is_in_it() {
    let (mut filter, caps) = fragile(&[("output", "alpha")], "GRAY8");
    let out = filter.matte(gray(&caps, BRIGHT));
    assert!(out[0].iter().all(|&alpha| alpha == 0));
    // Inverted, too: what is kept then is the background, which is not known.
    let (mut filter, caps) = fragile(&[("output", "alpha"), ("invert", "true")], "GRAY8");
    let out = filter.matte(gray(&caps, BRIGHT));
    assert!(out[0].iter().all(|&alpha| alpha == 0));
}

/// The colours under it are the frame's, as they are under every clear pixel of a cutout.
#[test]
fn without_a_matte_a_cutout_is_clear() {
    let (mut filter, caps) = fragile(&[("output", "cutout")], "RGBA");
    let out = filter.matte(gray(&caps, BRIGHT));
    assert!(out[3].iter().all(|&alpha| alpha == 0));
}

/// A blurred background without a person is the blurred room, never the sharp one.
#[test]
fn without_a_matte_a_blurred_room_stays_blurred() {
    let (mut filter, caps) = fragile(&[("background", "blur"), ("blur-radius", "0.2")], "RGB");
    let stripes = picture(&caps, |_, x, _| if x % 4 < 2 { 255 } else { 160 });
    let out = filter.matte(stripes);
    let middle = &out[0][12 * 32 + 8..12 * 32 + 24];
    let contrast = middle.iter().max().unwrap() - middle.iter().min().unwrap();
    assert!(contrast < 30, "{contrast} levels of 95 are left");
    expect_warning(&filter);
}

#[test]
fn until_ready_wait_withholds_frames() {
    let (mut filter, caps) = fragile(&[("until-ready", "wait")], "RGB");
    assert_eq!(filter.harness.push(gray(&caps, BRIGHT)), Ok(gst::FlowSuccess::Ok));
    assert!(filter.harness.try_pull().is_none(), "a frame without a matte leaves");
    expect_warning(&filter);
    filter.push(gray(&caps, DARK));
}

#[test]
fn until_ready_passthrough_shows_the_frame() {
    let (mut filter, caps) = fragile(&[("until-ready", "passthrough")], "RGB");
    let frame = gray(&caps, BRIGHT);
    let before = samples(&frame, &caps);
    assert!(filter.matte(frame) == before);
    expect_warning(&filter);
}

#[test]
fn a_network_that_stays_broken_ends_the_stream() {
    let (mut filter, caps) = fragile(&[], "RGB");
    let flows: Vec<_> = (0..100).map(|_| filter.harness.push(gray(&caps, BRIGHT))).collect();
    let failed = flows.iter().position(Result::is_err).expect("the stream ends");
    assert!(failed > 0, "the first failure is forgiven");
    assert_eq!(flows[failed], Err(gst::FlowError::Error));
    let messages = filter.messages();
    let errors: Vec<_> =
        messages.iter().filter(|(kind, _)| *kind == gst::MessageType::Error).collect();
    assert!(!errors.is_empty() && errors[0].1.matches(gst::StreamError::Failed), "{messages:?}");
    // Not one of all those frames shows the room.
    while let Some(out) = filter.harness.try_pull() {
        let out = samples(&out, &caps);
        assert!(!out[0].contains(&BRIGHT));
    }
}

// In processes of their own, as a library is loaded once and an environment is for all threads.

/// A GStreamer tool that finds the plugin that was built here, and nothing else of ours.
fn tool<S: AsRef<OsStr>>(
    tool: &str,
    arguments: &[S],
    variables: &[(&str, &OsStr)],
) -> Option<std::process::Output> {
    let Some(plugin) = built_plugin() else {
        skip::missing("the plugin", "run `cargo build`");
        return None;
    };
    // Alone in a folder, so that nothing else is taken for a plugin.
    let home = tempfile::tempdir().unwrap();
    std::fs::copy(&plugin, home.path().join(plugin.file_name().unwrap())).unwrap();
    let output = Command::new(tool)
        .args(arguments)
        .env("GST_PLUGIN_PATH", home.path())
        .env("GST_REGISTRY", home.path().join("registry.bin"))
        .env("XDG_DATA_HOME", home.path())
        .env("G_DEBUG", "fatal-warnings")
        .env("LC_ALL", "C")
        .envs(variables.iter().copied())
        .current_dir(root())
        .output();
    match output {
        Ok(output) => Some(output),
        Err(error) => {
            skip::missing(&format!("{tool} ({error})"), "install gstreamer1.0-tools");
            None
        }
    }
}

/// gst-launch with ONNX Runtime.
fn launch(arguments: &[&OsStr], variables: &[(&str, &OsStr)]) -> Option<std::process::Output> {
    init();
    tool("gst-launch-1.0", arguments, variables)
}

fn without_runtime(name: &str, arguments: &[&str]) -> Option<std::process::Output> {
    let nowhere = OsStr::new("/nonexistent/libonnxruntime.so");
    tool(name, arguments, &[("ORT_DYLIB_PATH", nowhere)])
}

#[test]
fn without_onnx_runtime_the_message_says_so() {
    let line = format!("{SOURCE} ! davidmatte ! fakesink");
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some(output) = without_runtime("gst-launch-1.0", &words) else { return };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(code) if code != 0), "{:?}", output.status);
    let error = stderr.lines().find(|line| line.starts_with("ERROR:")).expect("an error");
    assert!(error.contains("/nonexistent/libonnxruntime.so"), "the sentence names it: {stderr}");
    assert!(error.contains("ONNX Runtime"), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// A library that would report its use, where distributions put theirs.
#[test]
#[cfg(target_os = "linux")]
fn a_library_of_the_system_that_is_refused_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("library.c");
    let text = "static const char *version(void) { return \"1.31.0\"; }\n\
        static struct { const void *api; const char *(*version)(void); } base = { 0, version };\n\
        const void *OrtGetApiBase(void) { return &base; }\n";
    std::fs::write(&source, text).unwrap();
    let library = folder.path().join("libonnxruntime.so");
    // Rust's own linker.
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(compiled.unwrap().success());
    let line = format!(
        "-u ORT_DYLIB_PATH -u ORT_DISABLE_TELEMETRY gst-launch-1.0 {SOURCE} ! davidmatte ! fakesink"
    );
    let words: Vec<&str> = line.split_whitespace().collect();
    let variables = [("LD_LIBRARY_PATH", folder.path().as_os_str())];
    let Some(output) = tool("env", &words, &variables) else { return };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{stderr}");
    assert!(stderr.contains("1.31.0") && stderr.contains("ORT_DISABLE_TELEMETRY=1"), "{stderr}");
}

#[test]
fn without_onnx_runtime_the_element_can_be_inspected() {
    let Some(output) = without_runtime("gst-inspect-1.0", &["davidmatte"]) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("background-color"));
}
