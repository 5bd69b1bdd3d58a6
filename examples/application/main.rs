//! A program with the element in it: a window with the person, in which what is behind changes every two
//! seconds, and a terminal that tells what the element has to say.
//!
//! ```sh
//! cargo run --release --example application -- examples/media/person.mp4
//! ```
//!
//! `application.py` beside this is the same in Python.

use std::error::Error;
use std::time::{Duration, Instant};

use clap::Parser;
use gst::prelude::*;

/// Shows the person in a video over changing backgrounds
#[derive(Parser)]
struct Arguments {
    /// A video; without one, the first camera
    video: Option<String>,
    /// What shows the result, as gst-launch-1.0 has it
    #[arg(long, default_value = "autovideosink")]
    sink: String,
}

/// Values of properties, each for two seconds.
const LOOKS: [&[(&str, &str)]; 4] = [
    &[("output", "composite"), ("background", "blur")],
    &[("background", "color"), ("background-color", "0xff00b140")],
    &[("background", "checkerboard")],
    &[("output", "alpha")],
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    gst::init()?;
    // The element is a part of this program. Without this line it would be looked for among GStreamer's plugins.
    gstdavidmatte::plugin_register_static()?;

    let source = match &arguments.video {
        // Its name may hold anything, so it is set as a property, below.
        Some(_) => "filesrc name=file ! decodebin",
        None => "v4l2src",
    };
    // The first videoconvert gives the element a format that it takes, the second one the window. `sink` is a
    // part of the description, so that it may have properties.
    let description = format!(
        "{source} ! videoconvert ! davidmatte name=matte ! videoconvert ! {}",
        arguments.sink
    );
    let pipeline = gst::parse::launch(&description)?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| "this is no pipeline")?;
    if let (Some(video), Some(file)) = (&arguments.video, pipeline.by_name("file")) {
        file.set_property("location", video);
    }
    let matte = pipeline.by_name("matte").ok_or("there is no davidmatte")?;

    // Dropped in any case, or its threads would go on.
    let _stopping = Stopping(pipeline.clone());
    // What cannot be done is told on the bus, in a sentence.
    let started = pipeline.set_state(gst::State::Playing);
    let bus = pipeline.bus().ok_or("a pipeline has a bus")?;
    let (mut look, mut changed) = (0, None::<Instant>);
    loop {
        if started.is_ok() && changed.is_none_or(|at| at.elapsed() > Duration::from_secs(2)) {
            change(&matte, LOOKS[look % LOOKS.len()]);
            (look, changed) = (look + 1, Some(Instant::now()));
        }
        let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(100)) else { continue };
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => return Err(error.error().message().into()),
            // Something could not be done, such as another picture that is not there; all goes on as before.
            gst::MessageView::Warning(warning) => println!("! {}", warning.error().message()),
            _ => {}
        }
    }
    println!("{}", told(&matte));
    Ok(())
}

/// Every property that says so can be set while playing, from any thread; the next frame has it.
fn change(matte: &gst::Element, look: &[(&str, &str)]) {
    for (name, value) in look {
        matte.set_property_from_str(name, value);
    }
    println!("{look:?}");
}

/// What the element knows of its work.
fn told(matte: &gst::Element) -> String {
    let stats = matte.property::<gst::Structure>("stats");
    let count = |name: &str| stats.get::<u64>(name).unwrap_or_default();
    let device = matte.property::<Option<String>>("active-device").unwrap_or_default();
    format!(
        "{} frames, {} inferences of {:.1} ms by {device}",
        count("frames"),
        count("inferences"),
        stats.get::<f64>("infer-mean-ms").unwrap_or_default()
    )
}

/// Ends a pipeline when it goes.
struct Stopping(gst::Pipeline);

impl Drop for Stopping {
    fn drop(&mut self) {
        // There is nobody left to tell of a failure.
        let _ = self.0.set_state(gst::State::Null);
    }
}
