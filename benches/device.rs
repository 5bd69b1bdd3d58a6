//! What `make device` prints: what networks take on a device, alone and in the element, and how far their
//! mattes are from the processor's.

#![allow(missing_docs)]

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use gst::prelude::*;
use gstdavidmatte::matting::prelude::Network as _;
use gstdavidmatte::matting::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str =
    "device [MODEL…]: measure these models, `builtin` where none is named, on $DEVICE";
/// A person, whose first frame is shown again and again.
const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/media/person.mp4");
/// Heights of frames of 16 to 9.
const HEIGHTS: [u32; 2] = [1080, 2160];
/// Frames that are not counted, while everything becomes warm.
const WARMING: usize = 15;
const FRAMES: usize = 150;
/// Runs of a network alone, at most, and seconds.
const RUNS: usize = 300;
const SECONDS: f64 = 2.0;

fn main() -> Result<()> {
    // `cargo bench` adds an option of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    gst::init()?;
    gstdavidmatte::plugin_register_static()?;
    let device = std::env::var("DEVICE").unwrap_or_else(|_| "auto".into());
    let models: Vec<&str> = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--help"] => {
            println!("{USAGE}");
            return Ok(());
        }
        [] => vec!["builtin"],
        ref models => models.to_vec(),
    };
    println!(
        "Median milliseconds: of a run of the network alone, its picture and matte in the program's"
    );
    println!("memory, and between frames that leave the element with its defaults.\n");
    println!("| device | model | network alone | 1080p | 4K | off the processor's matte, codes |");
    println!("|---|---|---|---|---|---|");
    for model in models {
        measure(&device, model)?;
    }
    Ok(())
}

fn measure(device: &str, model: &str) -> Result<()> {
    let known = Device::ALL.iter().find(|known| known.name() == device);
    let options = SessionOptions { device: *known.ok_or("DEVICE is none")?, ..Default::default() };
    let session = Session::load(&ModelSource::find(model)?, &options)?;
    let active = session.active_device().to_owned();
    let alone = median(alone(session)?);
    let [full, ultra] = HEIGHTS.map(|height| between_frames(device, model, height));
    let off = off_the_processor(device, model)?;
    let name = Path::new(model).file_stem().unwrap_or_default().display();
    let [full, ultra] = [median(full?), median(ultra?)];
    println!("| {active} | {name} | {alone:.1} | {full:.1} | {ultra:.1} | {off} |");
    Ok(())
}

/// Milliseconds of each of some runs.
fn alone(mut session: Session) -> Result<Vec<f64>> {
    let mut mask = vec![0.0; session.shape().mask.area()];
    for _ in 0..3 {
        session.run(&mut mask)?;
    }
    let (begun, mut times) = (Instant::now(), Vec::new());
    while times.len() < 3 || (times.len() < RUNS && begun.elapsed().as_secs_f64() < SECONDS) {
        let start = Instant::now();
        session.run(&mut mask)?;
        times.push(1e3 * start.elapsed().as_secs_f64());
    }
    Ok(times)
}

/// A still of the clip in I420, `frames` times.
fn still(height: u32, frames: usize) -> String {
    format!(
        "filesrc location=\"{CLIP}\" ! decodebin ! videoconvertscale ! \
         video/x-raw,format=I420,width={},height={height} ! imagefreeze num-buffers={frames}",
        height * 16 / 9
    )
}

/// Milliseconds between frames that leave.
fn between_frames(device: &str, model: &str, height: u32) -> Result<Vec<f64>> {
    let pipeline = pipeline(&format!(
        "{} ! davidmatte device={device} model=\"{model}\" pacing=exact ! fakesink name=sink sync=false",
        still(height, WARMING + FRAMES)
    ))?;
    let sink = pipeline.by_name("sink").and_then(|sink| sink.static_pad("sink"));
    let left = Arc::new(Mutex::new(Vec::new()));
    let of_probe = left.clone();
    sink.ok_or("no sink")?.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        of_probe.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        gst::PadProbeReturn::Ok
    });
    play(&pipeline)?;
    let left = left.lock().unwrap_or_else(PoisonError::into_inner);
    let times = left.windows(2).map(|pair| 1e3 * (pair[1] - pair[0]).as_secs_f64());
    Ok(times.skip(WARMING).collect())
}

/// How far the matte of the still is from that of the processor, in codes of 8 bits.
fn off_the_processor(device: &str, model: &str) -> Result<String> {
    let [own, wanted] = [device, "cpu"].map(|device| matte(device, model));
    let (own, wanted) = (own?, wanted?);
    let differences: Vec<u8> = own.iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b)).collect();
    let sum: f64 = differences.iter().copied().map(f64::from).sum();
    let most = differences.iter().max().ok_or("no matte")?;
    Ok(format!("{:.3} on the average, {most} at most", sum / differences.len() as f64))
}

fn matte(device: &str, model: &str) -> Result<Vec<u8>> {
    let pipeline = pipeline(&format!(
        "{} ! davidmatte device={device} model=\"{model}\" output=alpha pacing=exact ! \
         video/x-raw,format=GRAY8 ! fakesink name=sink sync=false",
        still(1080, 1)
    ))?;
    let sink = pipeline.by_name("sink").ok_or("no sink")?;
    pipeline.set_state(gst::State::Paused)?;
    let (change, ..) = pipeline.state(gst::ClockTime::from_seconds(120));
    change?;
    let sample = sink.property::<Option<gst::Sample>>("last-sample").ok_or("no matte")?;
    let map = sample.buffer().ok_or("no matte")?.map_readable()?;
    let matte = map.to_vec();
    drop(map);
    pipeline.set_state(gst::State::Null)?;
    Ok(matte)
}

fn pipeline(text: &str) -> Result<gst::Pipeline> {
    gst::parse::launch(text)?.downcast().map_err(|_| "no pipeline".into())
}

/// Plays to the end.
fn play(pipeline: &gst::Pipeline) -> Result<()> {
    let bus = pipeline.bus().ok_or("no bus")?;
    pipeline.set_state(gst::State::Playing)?;
    let wanted = [gst::MessageType::Error, gst::MessageType::Eos];
    let message = bus.timed_pop_filtered(None, &wanted).ok_or("no message")?;
    pipeline.set_state(gst::State::Null)?;
    match message.view() {
        gst::MessageView::Error(error) => Err(error.error().to_string().into()),
        _ => Ok(()),
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
