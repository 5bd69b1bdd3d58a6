//! The example `matte_file`: what it writes is decoded again; what it cannot do it says.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;
#[path = "common/examples.rs"]
mod examples;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{fixture, init, pipeline};
use examples::{example, failure, files_in, stdout};
use gst::prelude::*;

// -- Inputs ----------------------------------------------------------------------------------------

const VIDEO: &str = "videotestsrc num-buffers=24 pattern=smpte ! \
    video/x-raw,format=I420,width=160,height=90,framerate=24/1,colorimetry=bt709";
const SOUND: &str = "audiotestsrc num-buffers=47 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 ! audioconvert";

/// A folder with a name that breaks what does not quote, and files in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        init();
        Self(tempfile::Builder::new().prefix("ein ordner ü").tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file by a pipeline that ends in a sink for it.
    fn make(&self, name: &str, description: &str) -> PathBuf {
        let path = self.path(name);
        let pipeline = pipeline(&format!("{description} ! filesink name=file"));
        pipeline.by_name("file").unwrap().set_property("location", &path);
        common::run(&pipeline).unwrap();
        path
    }

    /// A clip with H.264 and AAC.
    fn clip(&self) -> PathBuf {
        self.make(
            "in.mp4",
            &format!("{SOUND} ! avenc_aac ! mp4mux name=mux {VIDEO} ! x264enc ! mux. mux."),
        )
    }

    fn files(&self) -> Vec<String> {
        files_in(self.0.path())
    }
}

fn matte(input: &Path, out: &Path) -> Command {
    let mut command = example("matte_file");
    command.arg(input).arg(out).args(["--model", &fixture("luma.onnx"), "--device", "cpu"]);
    command
}

/// Runs it to a good end.
fn done(command: &mut Command) -> String {
    stdout(&command.output().unwrap())
}

// -- What is in a file -----------------------------------------------------------------------------

struct Decoded {
    info: gst_video::VideoInfo,
    times: Vec<Option<gst::ClockTime>>,
    frames: Vec<gst::Buffer>,
}

/// The samples of a pipeline that ends in `appsink name=out`.
fn samples(description: &str, location: &Path) -> Vec<gst::Sample> {
    let pipeline = pipeline(description);
    pipeline.by_name("file").unwrap().set_property("location", location);
    let sink: gst_app::AppSink = pipeline.by_name("out").unwrap().downcast().unwrap();
    sink.set_property("sync", false);
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut samples = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        samples.push(sample);
    }
    let error = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(error.is_none(), "{error:?}");
    samples
}

/// Frames after `filters`, such as caps.
fn decode(path: &Path, filters: &str) -> Decoded {
    let description = format!(
        "filesrc name=file ! decodebin ! videoconvert dither=none {filters} ! appsink name=out"
    );
    let samples = samples(&description, path);
    let info = gst_video::VideoInfo::from_caps(samples[0].caps().unwrap()).unwrap();
    let time = |sample: &gst::Sample| {
        let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
        segment.to_running_time(sample.buffer()?.pts())
    };
    Decoded {
        info,
        times: samples.iter().map(time).collect(),
        frames: samples.iter().map(|sample| sample.buffer_owned().unwrap()).collect(),
    }
}

impl Decoded {
    fn caps(&self) -> gst::Caps {
        self.info.to_caps().unwrap()
    }

    /// A component of all frames.
    fn component(&self, number: usize) -> Vec<Vec<u8>> {
        let component = |frame: &gst::Buffer| common::samples(frame, &self.caps()).remove(number);
        self.frames.iter().map(component).collect()
    }

    fn size(&self) -> (u32, u32) {
        (self.info.width(), self.info.height())
    }
}

/// What the element makes of a file.
fn by_element(path: &Path, settings: &str, format: &str) -> Decoded {
    let model = fixture("luma.onnx");
    decode(
        path,
        &format!(
            "! davidmatte device=cpu pacing=exact model={model} {settings} ! video/x-raw,format={format}"
        ),
    )
}

/// Audio as it is stored.
fn audio(path: &Path) -> Vec<Vec<u8>> {
    let description = "filesrc name=file ! parsebin name=parse parse. ! audio/mpeg ! \
        aacparse ! audio/mpeg,stream-format=raw ! appsink name=out";
    let bytes = |sample: &gst::Sample| sample.buffer().unwrap().map_readable().unwrap().to_vec();
    samples(description, path).iter().map(bytes).collect()
}

/// Timestamps agree to within what the container rounds to.
fn assert_times(one: &Decoded, other: &Decoded, tolerance: u64) {
    assert_eq!(one.times.len(), other.times.len(), "{:?} {:?}", one.times, other.times);
    for (one, other) in one.times.iter().zip(&other.times) {
        let (one, other) = (one.unwrap().nseconds(), other.unwrap().nseconds());
        assert!(one.abs_diff(other) <= tolerance, "{one} and {other} ns");
    }
}

fn largest_difference(one: &[Vec<u8>], other: &[Vec<u8>]) -> u8 {
    assert_eq!(one.len(), other.len());
    let pairs = one.iter().flatten().zip(other.iter().flatten());
    pairs.map(|(one, other)| one.abs_diff(*other)).max().unwrap()
}

const MILLISECOND: u64 = 500_001; // half of one, and rounding
const NEARLY: u64 = 2;

// -- Formats ---------------------------------------------------------------------------------------

#[test]
fn ffv1_is_what_the_element_gave() {
    let folder = Folder::new();
    let (input, out) = (folder.clip(), folder.path("out.mkv"));
    let text = done(&mut matte(&input, &out));
    assert!(text.contains("24 frames"), "{text}");
    let expected = by_element(&input, "output=cutout", "BGRA");
    let found = decode(&out, "! video/x-raw,format=BGRA");
    for component in 0..4 {
        assert_eq!(found.component(component), expected.component(component));
    }
    assert_times(&found, &expected, MILLISECOND);
    assert_eq!(audio(&out), audio(&input));
    assert_eq!(folder.files(), ["in.mp4", "out.mkv"]);
}

#[test]
fn prores_has_alpha_color_and_audio() {
    let folder = Folder::new();
    let (input, out) = (folder.clip(), folder.path("out.mov"));
    done(&mut matte(&input, &out));
    let expected = by_element(&input, "output=cutout", "AYUV");
    let found = decode(&out, "! video/x-raw,format=AYUV");
    // Its alpha is coded without loss, in more bits than come.
    assert_eq!(found.component(3), expected.component(3));
    // Its luma is not; where the colour bars meet it errs most.
    assert!(largest_difference(&found.component(0), &expected.component(0)) <= 8);
    assert_times(&found, &expected, NEARLY);
    assert_eq!(audio(&out), audio(&input));
    assert_eq!(decode(&out, "").info.colorimetry().to_string(), "bt709");
}

#[test]
fn composites_have_the_same_frames() {
    let folder = Folder::new();
    let input = folder.clip();
    let before = decode(&input, "");
    for (name, tolerance) in [("out.mp4", NEARLY), ("out.webm", MILLISECOND)] {
        let out = folder.path(name);
        done(matte(&input, &out).args(["--background-color", "#0000ff", "--no-audio"]));
        let found = decode(&out, "! video/x-raw,format=I420");
        assert_times(&found, &before, tolerance);
        let blue = "background=color background-color=0xff0000ff";
        let expected = by_element(&input, blue, "I420");
        for component in 0..3 {
            let (found, expected) = (found.component(component), expected.component(component));
            let off = found.iter().flatten().zip(expected.iter().flatten());
            let off: u64 = off.map(|(one, other)| u64::from(one.abs_diff(*other))).sum();
            let mean = off as f64 / found.iter().map(Vec::len).sum::<usize>() as f64;
            assert!(mean < 1.5, "{name}: component {component} is off by {mean} in the mean");
        }
    }
}

#[test]
fn pictures_are_numbered() {
    let folder = Folder::new();
    let input = folder.clip();
    let expected = by_element(&input, "output=cutout", "RGBA");
    for (out, first) in [("folder", "00000.png"), ("there/is/none/x-%03d.png", "x-000.png")] {
        let text = done(&mut matte(&input, &folder.path(out)));
        assert!(text.contains("no audio"), "{text}");
        let made = if out == "folder" { out } else { "there/is/none" };
        let names = files_in(&folder.path(made));
        assert_eq!((names.len(), names[0].as_str()), (24, first));
        for (at, name) in names.iter().enumerate() {
            let picture = image::open(folder.path(made).join(name)).unwrap().into_rgba8();
            let samples = common::samples(&expected.frames[at], &expected.caps());
            let interleaved: Vec<u8> = (0..samples[0].len())
                .flat_map(|pixel| samples.iter().map(move |component| component[pixel]))
                .collect();
            assert_eq!(picture.into_raw(), interleaved, "{name}");
        }
    }
}

#[test]
fn one_picture_becomes_one_picture() {
    let folder = Folder::new();
    let still = |name: &str, encoder: &str| {
        folder.make(
            name,
            &format!("videotestsrc num-buffers=1 ! video/x-raw,width=75,height=43 ! {encoder}"),
        )
    };
    for input in [still("in.jpg", "jpegenc"), still("in.png", "pngenc")] {
        let out = folder.path("out.png");
        done(matte(&input, &out).arg("--force"));
        let picture = image::open(&out).unwrap();
        assert_eq!((picture.width(), picture.height()), (75, 43));
        assert!(picture.color().has_alpha());
        done(matte(&input, &folder.path("out.mp4")).arg("--force"));
        // H.264 has even sizes.
        assert_eq!(decode(&folder.path("out.mp4"), "").size(), (74, 42));
    }
    let message = failure(&matte(&folder.clip(), &folder.path("x.png")).output().unwrap());
    assert!(message.contains("more than one frame") && message.contains("%05d"), "{message}");
}

#[test]
fn the_matte_may_be_had_as_well() {
    let folder = Folder::new();
    let input = folder.clip();
    let expected = by_element(&input, "output=alpha", "GRAY8");
    for (name, matte_name) in [("out.mkv", "matte.mkv"), ("out.mov", "m"), ("out.mp4", "m.mkv")] {
        let (out, beside) = (folder.path(name), folder.path(matte_name));
        done(matte(&input, &out).arg("--matte").arg(&beside));
        let found = if matte_name == "m" {
            let open = |name: &String| image::open(beside.join(name)).unwrap().into_luma8();
            files_in(&beside).iter().map(|name| open(name).into_raw()).collect()
        } else {
            decode(&beside, "! video/x-raw,format=GRAY8").component(0)
        };
        assert_eq!(found, expected.component(0), "{matte_name}");
        assert_eq!(decode(&out, "").frames.len(), 24);
    }
}

// -- What is told beside the frames ----------------------------------------------------------------

#[test]
fn frames_are_turned_upright() {
    let folder = Folder::new();
    let input = folder.clip();
    // A quarter turn clockwise, in the track's header.
    let mut bytes = std::fs::read(&input).unwrap();
    let video = bytes.windows(4).position(|name| name == b"vmhd").unwrap();
    let header = bytes[..video].windows(4).rposition(|name| name == b"tkhd").unwrap();
    let matrix: [i32; 9] = [0, 1 << 16, 0, -(1 << 16), 0, 0, 90 << 16, 0, 1 << 30];
    for (at, value) in matrix.iter().enumerate() {
        let at = header + 44 + 4 * at;
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    std::fs::write(&input, bytes).unwrap();
    let out = folder.path("out.mkv");
    done(&mut matte(&input, &out));
    let expected = by_element_upright(&input);
    let found = decode(&out, "! video/x-raw,format=BGRA");
    assert_eq!(found.size(), (90, 160));
    assert_eq!(found.component(3), expected.component(3));
}

fn by_element_upright(path: &Path) -> Decoded {
    let model = fixture("luma.onnx");
    decode(
        path,
        &format!(
            "! videoflip video-direction=auto ! davidmatte device=cpu pacing=exact model={model} \
             output=cutout ! video/x-raw,format=BGRA"
        ),
    )
}

#[test]
fn pixels_that_are_not_square_stay_so() {
    let folder = Folder::new();
    let caps = "video/x-raw,width=160,height=90,pixel-aspect-ratio=4/3";
    let input = folder
        .make("in.mkv", &format!("videotestsrc num-buffers=3 ! {caps} ! x264enc ! matroskamux"));
    for name in ["out.mov", "out.mkv", "out.mp4", "out.webm"] {
        done(&mut matte(&input, &folder.path(name)));
        let info = decode(&folder.path(name), "").info;
        let par = f64::from(info.par().numer()) / f64::from(info.par().denom());
        // QuickTime tells the width on the screen as well, in whole pixels.
        assert!((par - 4.0 / 3.0).abs() < 0.005 && info.width() == 160, "{name}: {par}");
    }
    // PNG tells nothing of its pixels.
    done(&mut matte(&input, &folder.path("pictures")));
    let picture = image::open(folder.path("pictures/00000.png")).unwrap();
    assert_eq!((picture.width(), picture.height()), (213, 90));
}

#[test]
fn full_range_is_kept_or_converted() {
    let folder = Folder::new();
    let caps = "video/x-raw,format=I420,width=160,height=90,colorimetry=1:3:5:1";
    let input = folder.make(
        "in.mp4",
        &format!(
            "videotestsrc num-buffers=3 pattern=gradient ! video/x-raw,format=RGB ! videoconvert ! {caps} ! x264enc pass=qual quantizer=1 ! mp4mux"
        ),
    );
    for (name, expected) in [
        ("out.mkv", gst_video::VideoColorRange::Range0_255),
        // ProRes has no other.
        ("out.mov", gst_video::VideoColorRange::Range16_235),
    ] {
        // A frame that is put over itself is as it was.
        done(matte(&input, &folder.path(name)).args([
            "--background",
            "blur",
            "--blur-radius",
            "0",
        ]));
        let found = decode(&folder.path(name), "! video/x-raw,format=I420");
        assert_eq!(found.info.colorimetry().range(), expected, "{name}");
        let luma = found.component(0).concat();
        let (least, most) = (luma.iter().min().unwrap(), luma.iter().max().unwrap());
        // From black to white.
        match expected {
            gst_video::VideoColorRange::Range0_255 => assert!(*least < 8 && *most > 247),
            _ => assert!((12..20).contains(least) && (230..240).contains(most), "{least} {most}"),
        }
    }
}

#[test]
fn uneven_timestamps_are_kept() {
    let folder = Folder::new();
    let input = folder.path("in.mp4");
    let description = "appsrc name=in format=time \
        caps=\"video/x-raw,format=I420,width=160,height=90,framerate=30/1\" ! \
        x264enc bframes=2 ! mp4mux trak-timescale=90000 ! filesink name=file";
    let writer = pipeline(description);
    writer.by_name("file").unwrap().set_property("location", &input);
    let source: gst_app::AppSrc = writer.by_name("in").unwrap().downcast().unwrap();
    let mut ticks = 0;
    for number in 0..20_u64 {
        let mut buffer = gst::Buffer::from_mut_slice(vec![100 + number as u8; 160 * 90 * 3 / 2]);
        let at = |ticks: u64| gst::ClockTime::from_nseconds(ticks * 1_000_000_000 / 90_000);
        let lasts = 1501 + 997 * (number * number % 7);
        buffer.get_mut().unwrap().set_pts(at(ticks));
        buffer.get_mut().unwrap().set_duration(at(lasts));
        ticks += lasts;
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    common::run(&writer).unwrap();
    let before = decode(&input, "");
    assert_eq!(before.frames.len(), 20);
    for (name, tolerance) in [
        ("out.mov", NEARLY),
        ("out.mp4", NEARLY),
        ("out.mkv", MILLISECOND),
        ("out.webm", MILLISECOND),
    ] {
        done(&mut matte(&input, &folder.path(name)));
        assert_times(&decode(&folder.path(name), ""), &before, tolerance);
    }
}

#[test]
fn ffprobe_agrees() {
    let folder = Folder::new();
    let (input, out) = (folder.clip(), folder.path("out.mov"));
    done(&mut matte(&input, &out));
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-of", "default=nw=1", "-count_frames", "-show_streams"]);
    let Ok(output) = ffprobe.arg(&out).output() else {
        eprintln!("skipped: there is no ffprobe");
        return;
    };
    let text = stdout(&output);
    for line in [
        "codec_name=prores",
        "profile=4444",
        "codec_tag_string=ap4h",
        "nb_read_frames=24",
        "color_primaries=bt709",
        "color_transfer=bt709",
        "color_space=bt709",
        "color_range=tv",
        "avg_frame_rate=24/1",
        "codec_name=aac",
    ] {
        assert!(text.lines().any(|found| found == line), "`{line}` in {text}");
    }
    assert!(text.contains("pix_fmt=yuva444p"), "{text}");
}

// -- Refusals --------------------------------------------------------------------------------------

/// Fails in a sentence with these words, and leaves nothing behind.
fn fails(folder: &Folder, command: &mut Command, words: &[&str]) {
    let before = folder.files();
    let message = failure(&command.output().unwrap());
    assert!(message.starts_with("matte_file: "), "{message}");
    for word in words {
        assert!(message.contains(word), "`{word}` in {message}");
    }
    assert_eq!(folder.files(), before, "{message}");
}

#[test]
fn what_cannot_be_is_refused() {
    let folder = Folder::new();
    let input = folder.clip();
    let out = |name: &str| matte(&input, &folder.path(name));
    fails(&folder, &mut out("x.avi"), &["x.avi", ".mov"]);
    fails(&folder, out("x.mp4").args(["--output", "cutout"]), &["cannot hold alpha", ".mov"]);
    fails(&folder, &mut out("x.webm"), &["cannot hold the audio", "audio/mpeg", "--no-audio"]);
    fails(&folder, &mut out("nowhere/x.mov"), &["nowhere", "could not be written"]);
    fails(&folder, out("x.mkv").args(["--feather", "99"]), &["--feather", "99", "0 to 20"]);
    fails(&folder, out("x.mkv").args(["--feather", "nan"]), &["--feather", "0 to 20"]);
    fails(&folder, out("x.mkv").args(["--device-id", "4000000000"]), &["--device-id"]);
    fails(&folder, out("x.mkv").args(["--background", "image"]), &["--background-image"]);
    fails(&folder, out("x.mkv").args(["--background-image", "no.png"]), &["no.png"]);
    let both = ["--background", "blur", "--background-color", "#123456"];
    fails(&folder, out("x.mkv").args(both), &["--background-color has no effect"]);
    let both = ["--output", "cutout", "--background", "blur"];
    fails(&folder, out("x.mkv").args(both), &["--background has no effect"]);
    fails(&folder, out("x.mkv").args(["--output", "alpha", "--matte", "y.mkv"]), &["--matte"]);
    let same = folder.path("x.mkv");
    fails(&folder, out("x.mkv").arg("--matte").arg(&same), &["written twice"]);
    fails(&folder, &mut matte(&input, &input), &["would overwrite"]);
    let mut no_model = example("matte_file");
    no_model.arg(&input).arg(&same).args(["--model", "no.onnx"]);
    fails(&folder, &mut no_model, &["no.onnx", "was not found"]);
    let mut several = example("matte_file");
    several.args([&input, &input, &same]);
    fails(&folder, &mut several, &["several inputs", "{}"]);
    std::fs::write(&same, "mine").unwrap();
    fails(&folder, &mut out("x.mkv"), &["already there", "--force"]);
    assert_eq!(std::fs::read(&same).unwrap(), b"mine");
    done(out("x.mkv").arg("--force"));
    assert_eq!(decode(&same, "").frames.len(), 24);
}

#[test]
fn what_is_no_input_is_told() {
    let folder = Folder::new();
    let whole = std::fs::read(folder.clip()).unwrap();
    let matroska = folder.make("in.mkv", &format!("{VIDEO} ! x264enc ! matroskamux"));
    let matroska = std::fs::read(matroska).unwrap();
    let picture = folder.make("in.jpg", "videotestsrc num-buffers=1 ! jpegenc");
    let picture = std::fs::read(picture).unwrap();
    folder.make("sound.mp4", &format!("{SOUND} ! avenc_aac ! mp4mux"));
    folder.make("none.mkv", "videotestsrc num-buffers=0 ! x264enc ! matroskamux");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path(name), bytes).unwrap();
    write("empty.mp4", b"");
    write("text.mp4", b"no video at all");
    write("cut.mp4", &whole[..whole.len() * 2 / 3]);
    write("cut.mkv", &matroska[..matroska.len() / 2]);
    write("cut.jpg", &picture[..picture.len() / 2]);
    for (name, words) in [
        ("missing.mp4", ["missing.mp4", "could not be read"]),
        ("empty.mp4", ["empty.mp4", "is empty"]),
        ("text.mp4", ["text.mp4", "could not be decoded"]),
        ("cut.mp4", ["cut.mp4", "cut off"]),
        ("cut.mkv", ["cut.mkv", "cut off"]),
        ("cut.jpg", ["cut.jpg", "could not be decoded"]),
        ("sound.mp4", ["sound.mp4", "only audio"]),
        ("none.mkv", ["none.mkv", "none.mkv"]),
        (".", ["is a folder", "name a video"]),
    ] {
        fails(&folder, &mut matte(&folder.path(name), &folder.path("out.mov")), &words);
        fails(&folder, &mut matte(&folder.path(name), &folder.path("pictures")), &words);
    }
}

#[test]
fn files_that_do_not_tell_their_length_are_whole() {
    let folder = Folder::new();
    for (name, muxer) in [
        ("live.mkv", "matroskamux streamable=true"),
        ("fragments.mp4", "mp4mux fragment-duration=200"),
        ("stream.ts", "mpegtsmux"),
    ] {
        let input = folder.make(name, &format!("{VIDEO} ! x264enc bframes=0 ! {muxer}"));
        let text = done(matte(&input, &folder.path("out.mkv")).arg("--force"));
        assert!(text.contains("24 frames"), "{name}: {text}");
        assert_eq!(decode(&folder.path("out.mkv"), "").frames.len(), 24);
    }
}

#[test]
fn frames_that_do_not_come_are_told() {
    let folder = Folder::new();
    // mp4mux tells a fragmented file's length too short for frames that are reordered.
    let input = folder.make(
        "in.mp4",
        &format!("{VIDEO} ! x264enc bframes=2 b-adapt=false ! mp4mux fragment-duration=200"),
    );
    let before = decode(&input, "").frames.len();
    let output = matte(&input, &folder.path("out.mkv")).output().unwrap();
    assert!(stdout(&output).contains(&format!("{before} frames")));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message.contains("of 24 stored frames"), before < 24, "{before}: {message}");
    assert_eq!(decode(&folder.path("out.mkv"), "").frames.len(), before);
}

#[test]
fn a_bad_input_does_not_stop_the_others() {
    let folder = Folder::new();
    let good = folder.clip();
    let mut command = example("matte_file");
    command.args([&folder.path("missing.mp4"), &good]).arg(folder.path("{}-cut.mkv"));
    let output = command.args(["--matte"]).arg(folder.path("{}-matte.mkv")).output().unwrap();
    assert!(failure(&output).contains("missing.mp4"));
    assert_eq!(folder.files(), ["in-cut.mkv", "in-matte.mkv", "in.mp4"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_missing_encoder_is_named_with_its_package() {
    let folder = Folder::new();
    let input = folder.clip();
    let x264 = gst::Registry::get().find_plugin("x264").expect("x264 is there");
    let system = x264.filename().unwrap().parent().unwrap().to_owned();
    let plugins = folder.path("plugins");
    std::fs::create_dir(&plugins).unwrap();
    for entry in std::fs::read_dir(system).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_file() && name != "libgstx264.so" {
            std::os::unix::fs::symlink(&path, plugins.join(name)).unwrap();
        }
    }
    let mut command = matte(&input, &folder.path("out.mp4"));
    command.env("GST_PLUGIN_SYSTEM_PATH", &plugins).env_remove("GST_PLUGIN_PATH");
    command.env("GST_REGISTRY", plugins.join("registry.bin"));
    fails(&folder, &mut command, &["x264enc", "gstreamer1.0-plugins-ugly"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told() {
    let folder = Folder::new();
    let (input, disk) = (folder.clip(), folder.path("disk"));
    std::fs::create_dir(&disk).unwrap();
    for out in ["out.mkv", "out.mov", "pictures/"] {
        let program = matte(&input, &disk.join(out));
        // The disk is there only for what runs in the namespace.
        let script = "mount -t tmpfs -o size=100k tmpfs \"$0\" || exit 42
            \"$@\"; code=$?; ls -A \"$0\"; exit $code";
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(&disk);
        command.arg(program.get_program()).args(program.get_args());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = match command.output() {
            Ok(output) if output.status.code() != Some(42) => output,
            _ => {
                eprintln!("skipped: no disk can be mounted here");
                return;
            }
        };
        if String::from_utf8_lossy(&output.stderr).contains("unshare") {
            eprintln!("skipped: no namespace can be made here");
            return;
        }
        let message = failure(&output);
        assert!(message.contains("could not be written"), "{message}");
        assert!(message.contains("storage") || message.contains("space"), "{message}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing is left");
    }
}

#[test]
#[cfg(unix)]
fn missing_permission_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let input = folder.clip();
    let closed = folder.path("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(closed.join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write everywhere");
        return;
    }
    for out in ["out.mov", "new/", "%05d.png"] {
        fails(&folder, &mut matte(&input, &closed.join(out)), &["closed", "permission"]);
    }
    std::fs::set_permissions(&input, std::fs::Permissions::from_mode(0o000)).unwrap();
    fails(&folder, &mut matte(&input, &folder.path("out.mov")), &["in.mp4", "permission"]);
}

// -- Interruptions ---------------------------------------------------------------------------------

/// Takes long enough to be interrupted.
fn long_clip(folder: &Folder) -> PathBuf {
    let video = VIDEO.replace("num-buffers=24", "num-buffers=400");
    let sound = SOUND.replace("num-buffers=47", "num-buffers=781");
    folder.make(
        "in.mp4",
        &format!("{sound} ! avenc_aac ! mp4mux name=mux {video} ! x264enc ! mux. mux."),
    )
}

/// With a network that takes its time, and mattes that do not depend on those before.
fn slowly(input: &Path, out: &Path) -> Command {
    let mut command = example("matte_file");
    command.arg(input).arg(out).args(["--device", "cpu", "--temporal", "0", "--region", "frame"]);
    command
}

/// Sends a signal once some frames are written.
#[cfg(unix)]
fn interrupt(command: &mut Command, signal: &str, written: impl Fn() -> bool) -> Output {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    while !written() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is written");
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
        std::thread::sleep(Duration::from_millis(5));
    }
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    child.wait_with_output().unwrap()
}

#[cfg(unix)]
fn is_longer(path: &Path, bytes: u64) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.len() > bytes)
}

#[test]
#[cfg(unix)]
fn what_was_interrupted_plays_and_is_gone_on_with() {
    let folder = Folder::new();
    let input = long_clip(&folder);
    for (name, tolerance) in [("out.mkv", 0), ("out.mov", 0), ("out.mp4", 0)] {
        let (out, whole) = (folder.path(name), folder.path(&format!("whole-{name}")));
        let beside = |ending: &str| folder.path(&format!("{name}.{ending}"));
        let bytes = if name == "out.mp4" { 1000 } else { 100_000 };
        let part = beside("part");
        let output = interrupt(&mut slowly(&input, &out), "-INT", || is_longer(&part, bytes));
        assert_eq!(output.status.code(), Some(130), "{name}: {output:?}");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.contains("of 400 frames") && message.contains("--resume"), "{message}");
        assert!(beside("resume").exists() && !beside("part").exists());
        let kept = decode(&out, "").frames.len();
        assert!(message.contains(&format!("first {kept} of")), "{kept}: {message}");
        assert!(kept > 0 && kept < 400, "{kept}");

        let message = failure(&slowly(&input, &out).output().unwrap());
        assert!(message.contains("unfinished") && message.contains("--resume"), "{message}");
        let output = slowly(&input, &out).args(["--resume", "--invert"]).output();
        assert!(failure(&output.unwrap()).contains("without --invert"));

        done(slowly(&input, &out).arg("--resume"));
        assert!(!beside("resume").exists() && !beside("part").exists());
        done(&mut slowly(&input, &whole));
        let (found, expected) = (decode(&out, ""), decode(&whole, ""));
        assert_times(&found, &expected, tolerance);
        assert_eq!(audio(&out), audio(&whole));
        if name != "out.mp4" {
            assert_eq!(found.component(0), expected.component(0), "{name}");
        }
        let text = done(slowly(&input, &out).arg("--resume"));
        assert!(text.contains("nothing is left to resume"), "{text}");
    }
}

#[test]
#[cfg(unix)]
fn pictures_are_gone_on_with_even_after_a_crash() {
    let folder = Folder::new();
    let (input, out, whole) = (long_clip(&folder), folder.path("out"), folder.path("whole"));
    let is_begun = || out.join("00020.png").exists();
    let output = interrupt(&mut slowly(&input, &out), "-KILL", is_begun);
    assert_eq!(output.status.code(), None);
    // Some other trouble.
    std::fs::remove_file(out.join("00015.png")).unwrap();
    let message = failure(&slowly(&input, &out).output().unwrap());
    assert!(message.contains("--resume"), "{message}");
    done(slowly(&input, &out).arg("--resume"));
    done(&mut slowly(&input, &whole));
    assert_eq!(files_in(&out), files_in(&whole));
    for name in files_in(&whole) {
        let (found, expected) = (std::fs::read(out.join(&name)), std::fs::read(whole.join(&name)));
        assert_eq!(found.unwrap(), expected.unwrap(), "{name}");
    }
}

#[test]
#[cfg(unix)]
fn with_a_matte_beside_both_are_gone_on_with() {
    let folder = Folder::new();
    let input = long_clip(&folder);
    let (out, beside) = (folder.path("out.mov"), folder.path("matte.mkv"));
    let command = || {
        let mut command = slowly(&input, &out);
        command.arg("--matte").arg(&beside);
        command
    };
    let part = folder.path("out.mov.part");
    let output = interrupt(&mut command(), "-TERM", || is_longer(&part, 100_000));
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let counts = [&out, &beside].map(|path| decode(path, "").frames.len());
    assert_eq!(counts[0], counts[1]);
    done(command().arg("--resume"));
    let cutout = decode(&out, "! video/x-raw,format=AYUV").component(3);
    assert_eq!(cutout.len(), 400);
    assert_eq!(decode(&beside, "! video/x-raw,format=GRAY8").component(0), cutout);
}
