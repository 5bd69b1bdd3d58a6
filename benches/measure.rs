//! What `make measure` prints: the element's speed beside OpenCV, `videoconvert` and the network
//! alone, and its memory. Whatever is compared is measured in turns in one run, so that other work
//! on the machine slows both alike.

#![allow(missing_docs)]

mod common;

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstdavidmatte::matting::parts::*;
use gstdavidmatte::matting::prelude::Network as _;
use gstdavidmatte::matting::prelude::*;

use common::{Disk, layout, noise};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "measure [MODEL…]: measure with these models, `builtin` where none is named";
const ROUNDS: usize = 5;
/// Seconds that one side of a comparison runs in a round, roughly.
const TURN: f64 = 1.0;

/// Where inference runs: what the variable `DEVICE` names, or the CPU.
fn device() -> String {
    std::env::var("DEVICE").unwrap_or_else(|_| "cpu".into())
}

fn main() -> Result<()> {
    // `cargo bench` adds an option of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    gst::init()?;
    gstdavidmatte::plugin_register_static()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--stages"] => stages(),
        ["--edges"] => edges(),
        ["--threads"] => threads(),
        ["--caps"] => caps(),
        ["--throughput", model] => throughput(model),
        ["--memory", model] => memory(model),
        ["--live", model, pacing] => live(model, pacing),
        ["--help"] => {
            println!("{USAGE}");
            Ok(())
        }
        [] => measure(&["builtin"]),
        ref models => measure(models),
    }
}

fn measure(models: &[&str]) -> Result<()> {
    on_one_core(&["--stages"])?;
    println!();
    on_one_core(&["--edges"])?;
    println!();
    threads()?;
    println!();
    caps()?;
    println!(
        "\n| model | threads | network alone, ms | frames from | fraction of the network's speed |"
    );
    println!("|---|---|---|---|---|");
    for model in models {
        status(Command::new(std::env::current_exe()?).args(["--throughput", model]))?;
    }
    println!(
        "\n| live, {LIVE_SECONDS} s | pacing | source | frames | dropped | mattes inferred | mean \
         delay, ms | worst | streaming and row threads, % of a core |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for model in models {
        for pacing in ["exact frames-in-flight=1", "auto", "latest"] {
            status(Command::new(std::env::current_exe()?).args(["--live", model, pacing]))?;
        }
    }
    println!("\n| model | file, MB | resident while it runs, MB | more than the file | peak, MB |");
    println!("|---|---|---|---|---|");
    for model in models {
        status(Command::new(std::env::current_exe()?).args(["--memory", model]))?;
    }
    Ok(())
}

fn on_one_core(arguments: &[&str]) -> Result<()> {
    let exe = std::env::current_exe()?;
    let pinned = Command::new("taskset").args(["-c", "0"]).arg(&exe).args(arguments).status();
    match pinned {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("measuring on one core ended with {status}").into()),
        Err(_) => {
            println!("(taskset is not there: not kept to one core)");
            status(Command::new(exe).args(arguments))
        }
    }
}

fn status(command: &mut Command) -> Result<()> {
    match command.status()? {
        status if status.success() => Ok(()),
        status => Err(format!("a process for measuring ended with {status}").into()),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A factor to our time; nothing where the other has no such step.
fn times(factor: f64, digits: usize) -> String {
    match factor.is_finite() {
        true => format!("{factor:.digits$} times ours"),
        false => String::new(),
    }
}

/// Median milliseconds of a step that is done for [`TURN`] seconds, and at least thrice.
fn time(mut step: impl FnMut()) -> f64 {
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < 3 || start.elapsed().as_secs_f64() < TURN {
        let start = Instant::now();
        step();
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    median(times)
}

// Negotiation

/// The time of a caps query with as many structures as a webcam has, beside videoconvert's.
fn caps() -> Result<()> {
    println!("| structures | caps query, ms | videoconvert's |\n|---|---|---|");
    for count in [1, 10, 40] {
        let structures = (0..count).map(|index| {
            let width = 160 + 16 * index;
            format!("video/x-raw,format=YUY2,width={width},height=120,framerate=30/1")
        });
        let caps: gst::Caps = structures.collect::<Vec<_>>().join(";").parse()?;
        let query = |name: &str| -> Result<f64> {
            let element = gst::ElementFactory::make(name).build()?;
            let pad = element.static_pad("sink").ok_or("there is no sink pad")?;
            Ok(time(|| drop(pad.query_caps(Some(&caps)))))
        };
        println!("| {count} | {:.3} | {:.3} |", query("davidmatte")?, query("videoconvert")?);
    }
    Ok(())
}

// All but inference, on one core

const SIZES: [[usize; 2]; 2] = [[1920, 1080], [3840, 2160]];

/// One way of frames, of one size, with what is needed to time it.
struct Way {
    network: Disk,
    mask: Vec<f32>,
    preparer: RegionPreparer,
    compositor: Compositor,
    frame: OwnedFrame,
    target: OwnedFrame,
    look: Look,
}

impl Way {
    fn new(from: PixelFormat, to: PixelFormat, output: Output, size: [usize; 2]) -> Result<Self> {
        let mut network = Disk::new();
        let mut mask = vec![0.0; network.shape().mask.area()];
        network.run(&mut mask)?;
        let (from, to) = (layout(from, size), layout(to, size));
        let shape = network.shape();
        let preparer = RegionPreparer::new(&shape, from);
        let compositor = Compositor::new(shape.masks(), from, to, output)?;
        let look =
            // What OpenCV is asked for: the frame's colours, blended.
            Look { matte: MatteSettings::default(), background: Background::Color(0xff00_b140), decontaminate: false };
        Ok(Self {
            network,
            mask,
            preparer,
            compositor,
            frame: noise(from),
            target: OwnedFrame::new(to),
            look,
        })
    }

    fn prepare(&mut self) {
        self.preparer.prepare(&self.frame.view(), self.network.input());
    }

    /// As the element does with a buffer that it may write.
    fn finish_in_place(&mut self) -> Result<()> {
        let target = &mut self.frame.view_mut();
        Ok(self.compositor.compose(Colors::InPlace, &self.mask, &self.look, target)?)
    }

    fn finish(&mut self) -> Result<()> {
        let colors = &self.frame.view();
        let target = &mut self.target.view_mut();
        Ok(self.compositor.compose(Colors::Frame(colors), &self.mask, &self.look, target)?)
    }
}

/// From one format to another, for an output, and whether within the frame itself.
type Route = (PixelFormat, PixelFormat, Output, bool);

fn stages() -> Result<()> {
    println!(
        "| one core | size | prepare, ms | finish and compose, ms | OpenCV's time for the matte \
         alone | for the same | videoconvert's |"
    );
    println!("|---|---|---|---|---|---|---|");
    use Output::{Composite, Cutout};
    use PixelFormat::{I420, I420_10Le, P010_10Le, Rgba, V210, Yuy2};
    let ways: [Route; 9] = [
        (I420, I420, Composite, false),
        (I420, I420, Composite, true),
        (Yuy2, Yuy2, Composite, false),
        (Yuy2, Yuy2, Composite, true),
        (Yuy2, Rgba, Cutout, false),
        (I420_10Le, I420_10Le, Composite, false),
        (I420_10Le, I420_10Le, Composite, true),
        (P010_10Le, P010_10Le, Composite, false),
        (V210, V210, Composite, false),
    ];
    // For every way and size the rounds' prepare, finish, and factors to OpenCV and videoconvert.
    let mut found = vec![[const { Vec::new() }; 5]; ways.len() * SIZES.len()];
    for _ in 0..ROUNDS {
        let opencv = opencv();
        for (s, size) in SIZES.into_iter().enumerate() {
            let converted = videoconvert(size)?;
            for (w, (from, to, output, in_place)) in ways.into_iter().enumerate() {
                let mut way = Way::new(from, to, output, size)?;
                let prepare = time(|| way.prepare());
                let finish = match in_place {
                    true => time(|| way.finish_in_place().unwrap_or_default()),
                    false => time(|| way.finish().unwrap_or_default()),
                };
                let together = prepare + finish;
                let opencv = |step: &str| opencv_ms(&opencv, step, size) / together;
                let same = opencv(&format!("{from:?}-{to:?}").to_uppercase());
                let matte = opencv("prepare") + opencv("finish");
                let row = [prepare, finish, matte, same, converted / together];
                for (all, one) in found[w * SIZES.len() + s].iter_mut().zip(row) {
                    all.push(one);
                }
            }
        }
    }
    for (index, row) in found.into_iter().enumerate() {
        let (from, to, output, in_place) = ways[index / SIZES.len()];
        let [width, height] = SIZES[index % SIZES.len()];
        let [prepare, finish, matte, same, converted] = row.map(median);
        let place = if in_place { " in place" } else { "" };
        println!(
            "| {from:?} to {to:?}, {output:?}{place} | {width}x{height} | {prepare:.2} | \
             {finish:.2} | {} | {} | {} |",
            times(matte, 1),
            times(same, 1),
            times(converted, 2)
        );
    }
    println!();
    for [width, height] in SIZES {
        let copied = copying(width * height * 3 / 2);
        println!("Only to copy an I420 frame of {width}x{height} takes {copied:.2} ms.");
    }
    Ok(())
}

/// Milliseconds to copy so many bytes: what no composite beside its frame can be quicker than.
fn copying(bytes: usize) -> f64 {
    let (from, mut to) = (vec![1u8; bytes], vec![0u8; bytes]);
    time(|| std::hint::black_box(&mut to).copy_from_slice(&from))
}

/// What the properties for edges add to a frame at 1920x1080.
fn edges() -> Result<()> {
    use Output::{Composite, Cutout};
    use PixelFormat::{I420, I420_10Le, Rgba, Yuy2};
    println!(
        "| one core, 1920x1080 | decontaminate adds, ms | soft everywhere | region | temporal | \
         together |"
    );
    println!("|---|---|---|---|---|---|");
    for (from, to, output) in [
        (I420, I420, Composite),
        (Yuy2, Yuy2, Composite),
        (Yuy2, Rgba, Cutout),
        (I420_10Le, I420_10Le, Composite),
    ] {
        let mut found = [const { Vec::new() }; 5];
        for _ in 0..ROUNDS {
            let mut way = Way::new(from, to, output, SIZES[0])?;
            let decontaminate = decontaminating(&mut way);
            let [region, temporal] = following_and_smoothing(&way);
            // What a network gives that fails.
            way.mask.iter_mut().enumerate().for_each(|(i, v)| *v = 0.3 + (i % 89) as f32 / 222.0);
            let worst = decontaminating(&mut way);
            let row = [decontaminate, worst, region, temporal, decontaminate + region + temporal];
            for (all, one) in found.iter_mut().zip(row) {
                all.push(one);
            }
        }
        let [decontaminate, worst, region, temporal, together] = found.map(median);
        println!(
            "| {from:?} to {to:?}, {output:?} | {decontaminate:.2} | {worst:.2} | {region:.2} | \
             {temporal:.2} | {together:.2} |"
        );
    }
    Ok(())
}

/// Milliseconds that `decontaminate` adds.
fn decontaminating(way: &mut Way) -> f64 {
    way.look.decontaminate = false;
    let plain = time(|| way.finish().unwrap_or_default());
    way.look.decontaminate = true;
    time(|| way.finish().unwrap_or_default()) - plain
}

/// Finishing and composing with a frame's rows divided among threads, the same in turns with one.
fn threads() -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    println!("| size | `decontaminate` | one thread, ms | {cores} threads | fraction |");
    println!("|---|---|---|---|---|");
    for size in SIZES {
        for decontaminate in [false, true] {
            let mut way = Way::new(PixelFormat::I420, PixelFormat::I420, Output::Composite, size)?;
            let mut divided =
                Way::new(PixelFormat::I420, PixelFormat::I420, Output::Composite, size)?;
            divided.compositor = divided.compositor.with_threads(cores)?;
            (way.look.decontaminate, divided.look.decontaminate) = (decontaminate, decontaminate);
            let mut found = [const { Vec::new() }; 3];
            for _ in 0..ROUNDS {
                let one = time(|| way.finish().unwrap_or_default());
                let several = time(|| divided.finish().unwrap_or_default());
                for (all, value) in found.iter_mut().zip([one, several, several / one]) {
                    all.push(value);
                }
            }
            let [one, several, fraction] = found.map(median);
            let [width, height] = size;
            println!(
                "| {width}x{height} | {decontaminate} | {one:.2} | {several:.2} | {fraction:.2} |"
            );
        }
    }
    Ok(())
}

/// Milliseconds that following a region and smoothing take, the element's looks at frames included.
fn following_and_smoothing(way: &Way) -> [f64; 2] {
    let (shape, layout) = (way.network.shape(), *way.frame.view().layout());
    let frame = Size { width: layout.width, height: layout.height };
    let mut canvas = Canvas::new(frame, shape.masks());
    let mut follower = Follower::new(frame, shape.masks(), canvas.least_side());
    let region = Region { x: 400, y: 0, size: Size { width: 1120, height: 1072 } };
    let size = canvas.size();
    let mut drawn = vec![0.0; size.area()];
    let following = time(|| {
        let sight = follower.read(&way.mask, region);
        follower.follow(sight);
        canvas.draw(&way.mask, region, &mut drawn);
    });
    let mut guides = Guides::new(&layout);
    let mut smoother = Smoother::new(guides.size(), frame, MaskLayout::covering(size));
    // Flicker wherever the matte is soft, so that there is something to do.
    let flickering: Vec<f32> = drawn.iter().map(|v| v * (1.0 - 0.05 * (1.0 - v))).collect();
    let mut masks = [&drawn, &flickering].into_iter().cycle();
    let smoothing = time(|| {
        let guide = guides.look(&way.frame.view());
        smoother.observe(&guide);
        if let Some(mask) = masks.next() {
            smoother.smooth(mask, 0.6);
        }
    });
    [following, smoothing]
}

/// What OpenCV takes, where it is installed: a step, a size and milliseconds on every line.
fn opencv() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("build/venv/bin/python"))
        .arg(root.join("tests/reference/timing.py"))
        .stderr(Stdio::inherit())
        .output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// The milliseconds of a step, by what [`opencv`] tells.
fn opencv_ms(told: &str, step: &str, [width, height]: [usize; 2]) -> f64 {
    let wanted = format!("{step} {width}x{height} ");
    let found = told.lines().find_map(|line| line.strip_prefix(&wanted)?.parse().ok());
    found.unwrap_or(f64::NAN)
}

/// Milliseconds that `videoconvert`'s converter takes from YUY2 to RGBA.
fn videoconvert([width, height]: [usize; 2]) -> Result<f64> {
    let info = |format| VideoInfo::builder(format, width as u32, height as u32).build();
    let (from, to) = (info(VideoFormat::Yuy2)?, info(VideoFormat::Rgba)?);
    let converter = gst_video::VideoConverter::new(&from, &to, None)?;
    let source = gst_video::VideoFrame::from_buffer_readable(
        gst::Buffer::from_mut_slice(vec![99; from.size()]),
        &from,
    )
    .map_err(|_| "a frame could not be mapped")?;
    let mut target =
        gst_video::VideoFrame::from_buffer_writable(gst::Buffer::with_size(to.size())?, &to)
            .map_err(|_| "a frame could not be mapped")?;
    Ok(time(|| converter.frame(&source, &mut target)))
}

// The whole element beside its network

const CLIP: &str = "examples/media/person.mp4";

fn throughput(model: &str) -> Result<()> {
    let name = device();
    let device = Device::ALL.iter().copied().find(|device| device.name() == name);
    let device = device.ok_or_else(|| format!("there is no device {name}"))?;
    let options = SessionOptions { device, ..SessionOptions::default() };
    let mut session = Session::load(&ModelSource::find(model)?, &options)?;
    let mut mask = vec![0.0; session.shape().mask.area()];
    let mut alone = |runs: usize| -> Result<f64> {
        let start = Instant::now();
        for _ in 0..runs {
            session.run(&mut mask)?;
        }
        Ok(start.elapsed().as_secs_f64() * 1e3 / runs as f64)
    };
    alone(2)?;
    let frames = ((3.0 * TURN * 1e3 / alone(3)?) as usize).clamp(3, 200);
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join(CLIP);
    let sources = [
        (
            "memory, 1920x1080 I420",
            format!(
                "videotestsrc num-buffers=1 ! video/x-raw,format=I420,width=1920,height=1080 ! \
                 imagefreeze num-buffers={}",
                frames + 1
            ),
        ),
        (
            "the clip, decoded",
            format!("filesrc location=\"{}\" ! decodebin ! queue", clip.display()),
        ),
    ];
    for (name, source) in sources {
        let (mut networks, mut fractions) = (Vec::new(), Vec::new());
        let mut before = alone(frames)?;
        for _ in 0..ROUNDS {
            let element = element(model, &source, frames)?;
            // Before and after, so that neither is favoured where the machine slows down.
            let after = alone(frames)?;
            let network = (before + after) / 2.0;
            networks.push(network);
            fractions.push(network / element);
            before = after;
        }
        let threads = std::thread::available_parallelism()?;
        let model = Path::new(model).file_stem().unwrap_or_default().display();
        println!(
            "| {model} | {threads} | {:.1} | {name} | {:.3} |",
            median(networks),
            median(fractions)
        );
    }
    Ok(())
}

/// Milliseconds a frame, from the second frame on: the first is matted before the clock starts.
fn element(model: &str, source: &str, frames: usize) -> Result<f64> {
    let pipeline = pipeline(model, source, frames)?;
    pipeline.set_state(gst::State::Paused)?;
    pipeline.state(None).0?;
    let start = Instant::now();
    pipeline.set_state(gst::State::Playing)?;
    let matted = finish(&pipeline);
    let elapsed = start.elapsed();
    pipeline.set_state(gst::State::Null)?;
    Ok(elapsed.as_secs_f64() * 1e3 / (matted? - 1) as f64)
}

fn pipeline(model: &str, source: &str, frames: usize) -> Result<gst::Pipeline> {
    let text = format!(
        "{source} ! identity eos-after={} ! davidmatte name=m device={} model=\"{model}\" ! \
         fakesink sync=false",
        frames + 2,
        device()
    );
    gst::parse::launch(&text)?.downcast().map_err(|_| "that is no pipeline".into())
}

/// Waits for the end, and tells how many frames were matted.
fn finish(pipeline: &gst::Pipeline) -> Result<u64> {
    let wanted = [gst::MessageType::Error, gst::MessageType::Eos];
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    let message = bus.timed_pop_filtered(None, &wanted);
    let element = pipeline.by_name("m").ok_or("a pipeline without its element")?;
    let frames = element.property::<gst::Structure>("stats").get("frames")?;
    if let Some(gst::MessageView::Error(error)) = message.as_ref().map(|message| message.view()) {
        return Err(error.error().into());
    }
    Ok(frames)
}

// A live source

const LIVE_SECONDS: u64 = 60;
const LIVE_SOURCES: [(u32, u32, u32); 2] = [(1920, 1080, 30), (1280, 720, 60)];

fn live(model: &str, pacing: &str) -> Result<()> {
    for (width, height, rate) in LIVE_SOURCES {
        let frames = LIVE_SECONDS * u64::from(rate);
        let text = format!(
            "videotestsrc is-live=true num-buffers={frames} pattern=ball ! \
             video/x-raw,format=I420,width={width},height={height},framerate={rate}/1 ! \
             queue name=frames leaky=downstream max-size-buffers=3 ! \
             davidmatte name=m device={} model=\"{model}\" pacing={pacing} ! \
             fakesink name=sink sync=true qos=true",
            device()
        );
        let pipeline: gst::Pipeline =
            gst::parse::launch(&text)?.downcast().map_err(|_| "that is no pipeline")?;
        let element = pipeline.by_name("m").ok_or("a pipeline without its element")?;
        let delays = delays(&element)?;
        pipeline.set_state(gst::State::Playing)?;
        let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
        let mut busy = 0.0;
        let wanted = [gst::MessageType::Error, gst::MessageType::Eos];
        let second = gst::ClockTime::SECOND;
        let message = loop {
            // The thread is gone when the stream has ended.
            busy = thread_seconds(&["frames:src", "davidmatte-row"]).unwrap_or(busy);
            if let Some(message) = bus.timed_pop_filtered(second, &wanted) {
                break message;
            }
        };
        if let gst::MessageView::Error(error) = message.view() {
            return Err(error.error().into());
        }
        let stats = element.property::<gst::Structure>("stats");
        let sink = pipeline.by_name("sink").ok_or("a pipeline without a sink")?;
        let rendered: u64 = sink.property::<gst::Structure>("stats").get("rendered")?;
        pipeline.set_state(gst::State::Null)?;
        let delays = delays.lock().map_err(|_| "a probe panicked")?;
        let mean = delays.of_frames.iter().sum::<f64>() / delays.of_frames.len().max(1) as f64;
        let worst = delays.of_frames.iter().copied().fold(0.0, f64::max);
        let model = Path::new(model).file_stem().unwrap_or_default().display();
        println!(
            "| {model} | {pacing} | {width}x{height}, {rate} a second | {frames} | {} | {} | \
             {mean:.1} | {worst:.1} | {:.1} |",
            frames - rendered,
            stats.get::<u64>("inferences")?,
            100.0 * busy / LIVE_SECONDS as f64
        );
    }
    Ok(())
}

/// What the element adds to the age of frames.
#[derive(Default)]
struct Delays {
    /// Frames that have come and not left.
    inside: Vec<(Option<gst::ClockTime>, Instant)>,
    /// Milliseconds.
    of_frames: Vec<f64>,
}

fn delays(element: &gst::Element) -> Result<Arc<Mutex<Delays>>> {
    let delays = Arc::new(Mutex::new(Delays::default()));
    for (pad, comes) in [("sink", true), ("src", false)] {
        let pad = element.static_pad(pad).ok_or("an element without its pads")?;
        let delays = delays.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let time = info.buffer().and_then(|buffer| buffer.pts());
            if let Ok(mut delays) = delays.lock() {
                if comes {
                    delays.inside.push((time, Instant::now()));
                } else if let Some(at) = delays.inside.iter().position(|frame| frame.0 == time) {
                    let (_, came) = delays.inside.swap_remove(at);
                    delays.of_frames.push(came.elapsed().as_secs_f64() * 1e3);
                }
            }
            gst::PadProbeReturn::Ok
        });
    }
    Ok(delays)
}

/// Seconds that threads of this process, by the beginnings of their names, have had a core, as Linux
/// counts them; none where the first is not there.
fn thread_seconds(names: &[&str]) -> Option<f64> {
    const TICK: f64 = 0.01;
    let of_task = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (head, tail) = stat.rsplit_once(") ")?;
        let name = head.split_once('(')?.1;
        let which = names.iter().position(|begin| name.starts_with(begin))?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
        Some((which, TICK * (ticks(11)? + ticks(12)?)))
    };
    let tasks = std::fs::read_dir("/proc/self/task").ok()?.flatten();
    let found: Vec<(usize, f64)> = tasks.filter_map(of_task).collect();
    let is_there = found.iter().any(|(which, _)| *which == 0);
    is_there.then(|| found.iter().map(|(_, seconds)| seconds).sum())
}

// Memory

fn memory(model: &str) -> Result<()> {
    let source = "videotestsrc ! video/x-raw,format=I420,width=1920,height=1080";
    let pipeline = pipeline(model, source, 8)?;
    pipeline.set_state(gst::State::Playing)?;
    // Sampled while it runs, as a frame that is being inferred needs more than one that is not.
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    let mut samples = Vec::new();
    while bus.have_pending() || samples.len() < 100_000 {
        samples.push(status_mb("VmRSS")?);
        let wanted = [gst::MessageType::Error, gst::MessageType::Eos];
        if bus.timed_pop_filtered(gst::ClockTime::from_mseconds(5), &wanted).is_some() {
            break;
        }
    }
    let peak = status_mb("VmHWM")?;
    pipeline.set_state(gst::State::Null)?;
    // The second half is the steady state.
    let resident = median(samples.split_off(samples.len() / 2));
    let file = ModelSource::find(model)?.size() as f64 / 1e6;
    let model = Path::new(model).file_stem().unwrap_or_default().display();
    println!("| {model} | {file:.0} | {resident:.0} | {:.0} | {peak:.0} |", resident - file);
    Ok(())
}

/// A line of what Linux tells of this process, in MB.
fn status_mb(key: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(key)).ok_or("no such line")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("an empty line")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}
