//! Files to matte, and what is in those that come of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::common::{self, fixture, init, pipeline};
use crate::examples::{example, files_in, stdout};

pub const VIDEO: &str = "videotestsrc num-buffers=24 pattern=smpte ! \
    video/x-raw,format=I420,width=160,height=90,framerate=24/1,colorimetry=bt709";
pub const SOUND: &str = "audiotestsrc num-buffers=47 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 ! audioconvert";

/// A folder with a name that breaks what does not quote, and files in it.
pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        init();
        Self(tempfile::Builder::new().prefix("ein ordner ü").tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file by a pipeline that ends in a sink for it.
    pub fn make(&self, name: &str, description: &str) -> PathBuf {
        let path = self.path(name);
        let pipeline = pipeline(&format!("{description} ! filesink name=file"));
        pipeline.by_name("file").unwrap().set_property("location", &path);
        common::run(&pipeline).unwrap();
        path
    }

    /// A clip with H.264 and AAC.
    pub fn clip(&self) -> PathBuf {
        self.make(
            "in.mp4",
            &format!("{SOUND} ! avenc_aac ! mp4mux name=mux {VIDEO} ! x264enc ! mux. mux."),
        )
    }

    /// One that takes long enough to be interrupted.
    pub fn long_clip(&self) -> PathBuf {
        let video = VIDEO.replace("num-buffers=24", "num-buffers=400");
        let sound = SOUND.replace("num-buffers=47", "num-buffers=781");
        self.make(
            "in.mp4",
            &format!("{sound} ! avenc_aac ! mp4mux name=mux {video} ! x264enc ! mux. mux."),
        )
    }

    pub fn files(&self) -> Vec<String> {
        files_in(self.0.path())
    }
}

pub fn matte(input: &Path, out: &Path) -> Command {
    let mut command = example("matte_file");
    command.arg(input).arg(out).args(["--model", &fixture("luma.onnx"), "--device", "cpu"]);
    command
}

// What exit codes tell; 1 is any other failure.
pub const USAGE: i32 = 2;
pub const INPUT: i32 = 3;
pub const OUTPUT: i32 = 4;
pub const MODEL: i32 = 5;
pub const INTERRUPTED: i32 = 130;

/// Runs it to a good end.
pub fn done(command: &mut Command) -> String {
    stdout(&command.output().unwrap())
}

/// With a network that takes its time, and mattes that do not depend on those before.
pub fn slowly(input: &Path, out: &Path) -> Command {
    let mut command = example("matte_file");
    command.arg(input).arg(out).args(["--device", "cpu", "--temporal", "0", "--region", "frame"]);
    command
}

/// Sends a signal once some frames are written.
#[cfg(unix)]
pub fn interrupt(command: &mut Command, signal: &str, written: impl Fn() -> bool) -> Output {
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

// -- What is in a file -----------------------------------------------------------------------------

pub struct Decoded {
    pub info: gst_video::VideoInfo,
    pub times: Vec<Option<gst::ClockTime>>,
    pub frames: Vec<gst::Buffer>,
}

/// The samples of a pipeline that ends in `appsink name=out`.
pub fn samples(description: &str, location: &Path) -> Vec<gst::Sample> {
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
pub fn decode(path: &Path, filters: &str) -> Decoded {
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
    pub fn caps(&self) -> gst::Caps {
        self.info.to_caps().unwrap()
    }

    /// A component of all frames.
    pub fn component(&self, number: usize) -> Vec<Vec<u8>> {
        let component = |frame: &gst::Buffer| common::samples(frame, &self.caps()).remove(number);
        self.frames.iter().map(component).collect()
    }

    pub fn size(&self) -> (u32, u32) {
        (self.info.width(), self.info.height())
    }
}

/// What the element makes of a file.
pub fn by_element(path: &Path, settings: &str, format: &str) -> Decoded {
    let model = fixture("luma.onnx");
    decode(
        path,
        &format!(
            "! davidmatte device=cpu pacing=exact model={model} {settings} ! video/x-raw,format={format}"
        ),
    )
}

/// Audio as it is stored.
pub fn audio(path: &Path) -> Vec<Vec<u8>> {
    let description = "filesrc name=file ! parsebin name=parse parse. ! audio/mpeg ! \
        aacparse ! audio/mpeg,stream-format=raw ! appsink name=out";
    let bytes = |sample: &gst::Sample| sample.buffer().unwrap().map_readable().unwrap().to_vec();
    samples(description, path).iter().map(bytes).collect()
}

/// Timestamps agree to within what the container rounds to.
pub fn assert_times(one: &Decoded, other: &Decoded, tolerance: u64) {
    assert_eq!(one.times.len(), other.times.len(), "{:?} {:?}", one.times, other.times);
    for (one, other) in one.times.iter().zip(&other.times) {
        let (one, other) = (one.unwrap().nseconds(), other.unwrap().nseconds());
        assert!(one.abs_diff(other) <= tolerance, "{one} and {other} ns");
    }
}

pub fn largest_difference(one: &[Vec<u8>], other: &[Vec<u8>]) -> u8 {
    assert_eq!(one.len(), other.len());
    let pairs = one.iter().flatten().zip(other.iter().flatten());
    pairs.map(|(one, other)| one.abs_diff(*other)).max().unwrap()
}

pub const MILLISECOND: u64 = 500_001; // half of one, and rounding
pub const NEARLY: u64 = 2;
