//! What `make processor` prints: how much of a processor a frame costs, in all and step by step.
//!
//! Times are those of all threads of the process, not of a clock on the wall: what a program takes from others
//! while somebody is in a call.

#![allow(missing_docs)]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gstdavidmatte::matting::prelude::Network as _;
use gstdavidmatte::matting::prelude::*;
use rustix::time::{ClockId, clock_gettime};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str =
    "processor [CLIP] [PROPERTY=VALUE…]: measure on this clip, with these properties";
const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/media/person.mp4");
const SIZES: [[u32; 2]; 3] = [[1280, 720], [1920, 1080], [3840, 2160]];
/// Frames of the clip that are kept at hand, and how often each set of properties plays them.
const FRAMES: usize = 90;
const ROUNDS: usize = 3;

/// How long a live source is watched, after as long again to begin with.
const WATCHED: Duration = Duration::from_secs(8);
const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// A step, and what leaves it out. What comes after leaves out what came before, too.
const STEPS: [(&str, &str); 5] = [
    ("blurring what is behind", "background=color"),
    ("own colours at soft edges", "decontaminate=false"),
    ("smoothing over time", "temporal=0"),
    ("following people", "region=frame"),
    ("inference", "inference-interval=1000"),
];

/// What else costs or saves something, each by itself.
const SETTINGS: [&str; 12] = [
    "background=color",
    "inference-size=256",
    "inference-size=512",
    "inference-interval=2",
    "threads=1",
    "refine=zoom frames-in-flight=1",
    "refine=detail",
    "feather=4",
    "edge-shift=-2",
    "output=cutout",
    "output=key-fill",
    "attach-matte=true",
];

fn main() -> Result<()> {
    // `cargo bench` adds an option of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return Ok(());
    }
    gst::init()?;
    gstdavidmatte::plugin_register_static()?;
    let (properties, clips): (Vec<_>, Vec<_>) =
        arguments.iter().map(String::as_str).partition(|argument| argument.contains('='));
    let clip = clips.first().copied().unwrap_or(CLIP);
    let properties = format!("background=blur {}", properties.join(" "));
    println!("Milliseconds of processor a frame of {}, {properties}.", Path::new(clip).display());
    println!("Each step is what leaving it out saves; what is left prepares and composes.\n");
    println!("| frame | {} | the rest | in all |", STEPS.map(|(step, _)| step).join(" | "));
    println!("|---|{}---|---|", "---|".repeat(STEPS.len()));
    for size in SIZES {
        measure(&Frames::of(clip, size)?, &properties)?;
    }
    println!("\nOne inference alone: {:.1} ms.", inference()?);
    println!("\n| live, 30 frames a second | percent of a core | inferred |\n|---|---|---|");
    for size in SIZES {
        let (share, inferred) = Frames::of(clip, size)?.live(&properties)?;
        println!("| {}x{} | {:.0} | {:.0} % |", size[0], size[1], 100.0 * share, 100.0 * inferred);
    }
    compare(&Frames::of(clip, SIZES[1])?, &properties)
}

/// What settings cost beside the properties that were asked for.
fn compare(frames: &Frames, properties: &str) -> Result<()> {
    let all: Vec<String> = SETTINGS.map(|setting| format!("{properties} {setting}")).into();
    let mut least = vec![f64::INFINITY; all.len() + 1];
    for _ in 0..ROUNDS {
        for (least, settings) in
            least.iter_mut().zip(std::iter::once(properties).chain(all.iter().map(String::as_str)))
        {
            *least = least.min(frames.cost(settings)?);
        }
    }
    let [width, height] = frames.size;
    println!(
        "\n| at {width}x{height} | in all | more |\n|---|---|---|\n| {properties} | {:.1} | |",
        least[0]
    );
    for (setting, cost) in SETTINGS.iter().zip(&least[1..]) {
        println!("| and {setting} | {cost:.1} | {:+.1} |", cost - least[0]);
    }
    Ok(())
}

fn measure(frames: &Frames, properties: &str) -> Result<()> {
    let mut settings = vec![properties.to_owned()];
    for (_, without) in STEPS {
        let last = settings.last().map_or("", String::as_str);
        settings.push(format!("{last} {without}"));
    }
    // In turns, so that other work on the machine slows all alike; the least is what it takes.
    let mut least = vec![f64::INFINITY; settings.len()];
    for _ in 0..ROUNDS {
        for (least, settings) in least.iter_mut().zip(&settings) {
            *least = least.min(frames.cost(settings)?);
        }
    }
    let steps = least.windows(2).map(|pair| format!("{:.1}", pair[0] - pair[1]));
    let [width, height] = frames.size;
    let steps = steps.collect::<Vec<_>>().join(" | ");
    let rest = least.last().copied().unwrap_or(0.0);
    println!("| {width}x{height} | {steps} | {rest:.1} | {:.1} |", least[0]);
    Ok(())
}

/// Frames in memory.
struct Frames {
    size: [u32; 2],
    caps: gst::Caps,
    buffers: Vec<gst::Buffer>,
}

impl Frames {
    /// The first ones of a clip.
    fn of(clip: &str, size: [u32; 2]) -> Result<Self> {
        let [width, height] = size;
        let pipeline = pipeline(&format!(
            "filesrc location=\"{clip}\" ! decodebin ! videoconvertscale add-borders=true ! \
             video/x-raw,format=I420,width={width},height={height},pixel-aspect-ratio=1/1 ! \
             appsink name=sink sync=false max-buffers=2"
        ))?;
        let sink = pipeline.by_name("sink").ok_or("no sink")?;
        let sink = sink.downcast::<gst_app::AppSink>().map_err(|_| "no sink")?;
        pipeline.set_state(gst::State::Playing)?;
        let mut samples = Vec::new();
        while samples.len() < FRAMES {
            let Ok(sample) = sink.pull_sample() else { break };
            samples.push(sample);
        }
        pipeline.set_state(gst::State::Null)?;
        let caps = samples.first().and_then(|sample| sample.caps_owned()).ok_or("no frames")?;
        // Copies, so that the decoder's pool is free.
        let copies = samples.iter().filter_map(|sample| sample.buffer()?.copy_deep().ok());
        Ok(Self { size, caps, buffers: copies.collect() })
    }

    /// The share of a core that a live source of them takes with some properties, and that of the frames
    /// that are inferred.
    fn live(&self, properties: &str) -> Result<(f64, f64)> {
        let pipeline = pipeline(&format!(
            "appsrc name=source format=time is-live=true do-timestamp=true ! \
             davidmatte name=matte {properties} ! fakesink sync=true"
        ))?;
        let source = pipeline.by_name("source").ok_or("no source")?;
        let source = source.downcast::<gst_app::AppSrc>().map_err(|_| "no source")?;
        let matte = pipeline.by_name("matte").ok_or("no element")?;
        let mut caps = self.caps.clone();
        caps.make_mut().set("framerate", gst::Fraction::new(30, 1));
        source.set_caps(Some(&caps));
        pipeline.set_state(gst::State::Playing)?;
        let count = |name: &str| {
            matte.property::<gst::Structure>("stats").get::<u64>(name).unwrap_or_default()
        };
        let counts = || [count("frames"), count("inferences")];
        let (begun, mut before) = (Instant::now(), None);
        for (index, buffer) in self.buffers.iter().cycle().enumerate() {
            let at = FRAME * index as u32;
            if at >= WATCHED && before.is_none() {
                before = Some((Instant::now(), processor_time(), counts()));
            } else if at >= 2 * WATCHED {
                break;
            }
            std::thread::sleep(at.saturating_sub(begun.elapsed()));
            source.push_buffer(buffer.copy())?;
        }
        let (since, processor, counted) = before.ok_or("no frames")?;
        let took = (processor_time() - processor).as_secs_f64() / since.elapsed().as_secs_f64();
        let [frames, inferences] = std::array::from_fn(|i| counts()[i] - counted[i]);
        pipeline.set_state(gst::State::Null)?;
        Ok((took, inferences as f64 / frames.max(1) as f64))
    }

    /// Milliseconds of processor that a frame takes with some properties.
    fn cost(&self, properties: &str) -> Result<f64> {
        let pipeline = pipeline(&format!(
            "appsrc name=source format=time ! davidmatte pacing=exact {properties} ! fakesink sync=false"
        ))?;
        let source = pipeline.by_name("source").ok_or("no source")?;
        let source = source.downcast::<gst_app::AppSrc>().map_err(|_| "no source")?;
        source.set_caps(Some(&self.caps));
        source.set_max_bytes(u64::from(self.size[0] * self.size[1] * 3));
        source.set_property("block", true);
        pipeline.set_state(gst::State::Playing)?;
        // Loading and what is made once are not of a frame.
        let warming = self.buffers.len() / 4;
        let mut begun = Duration::ZERO;
        for (index, buffer) in self.buffers.iter().enumerate() {
            if index == warming {
                begun = processor_time();
            }
            source.push_buffer(buffer.copy())?;
        }
        source.end_of_stream()?;
        let bus = pipeline.bus().ok_or("no bus")?;
        let wanted = [gst::MessageType::Error, gst::MessageType::Eos];
        let message = bus.timed_pop_filtered(None, &wanted).ok_or("no message")?;
        let took = processor_time() - begun;
        pipeline.set_state(gst::State::Null)?;
        if let gst::MessageView::Error(error) = message.view() {
            return Err(error.error().to_string().into());
        }
        Ok(1e3 * took.as_secs_f64() / (self.buffers.len() - warming) as f64)
    }
}

/// What an inference of the built-in network takes of the processor, at its size for files.
fn inference() -> Result<f64> {
    let options = SessionOptions { device: Device::Cpu, ..Default::default() };
    let mut session = Session::load(&ModelSource::find("builtin")?, &options)?;
    let mut mask = vec![0.0; session.shape().mask.area()];
    let mut least = f64::INFINITY;
    for _ in 0..30 {
        let begun = processor_time();
        session.run(&mut mask)?;
        least = least.min(1e3 * (processor_time() - begun).as_secs_f64());
    }
    Ok(least)
}

/// Of all threads of this process.
fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

fn pipeline(text: &str) -> Result<gst::Pipeline> {
    gst::parse::launch(text)?.downcast().map_err(|_| "no pipeline".into())
}
