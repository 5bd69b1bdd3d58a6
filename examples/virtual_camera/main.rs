//! A camera whose background is taken away, for other programs or in a window:
//!
//! ```sh
//! cargo run --release --example virtual_camera
//! ```

mod error;
mod keys;
mod look;
mod loopback;
mod pipeline;
mod pipewire;
mod sink;
mod source;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use gst::glib;
use gst::prelude::*;
use gstdavidmatte::davidmatte::{BackgroundKind, DeviceKind, OutputKind};

use error::Error;
use keys::{Command, Keys};
use look::{Choice, Look};
use pipeline::{Format, Pipeline};
use sink::{Sink, SinkRequest};
use source::{Source, SourceRequest};
use status::Status;

/// A camera whose background is taken away, for other programs or in a window.
///
/// Frames go to the first v4l2loopback device, or to PipeWire, or to a window, whichever is there
/// first. While it runs, keys choose: c a colour, b the blurred room, i an image, k a checkerboard,
/// m the matte alone, x a cut-out, q the end.
#[derive(Parser)]
#[command(name = "virtual_camera", version)]
struct Arguments {
    /// auto (a camera, or else the test picture), camera, test, pipewire, /dev/videoN, or a video
    /// file, which is played again and again
    #[arg(long, default_value = "auto", value_parser = |text: &str| Ok::<_, String>(SourceRequest::from(text)))]
    source: SourceRequest,

    /// auto, /dev/videoN (a v4l2loopback device), pipewire, window, or none
    #[arg(long, default_value = "auto", value_parser = |text: &str| Ok::<_, String>(SinkRequest::from(text)))]
    sink: SinkRequest,

    /// Width and height, such as 1920x1080 [default: 1280x720, or as the file has it]
    #[arg(long, value_parser = size)]
    size: Option<(i32, i32)>,

    /// Frames a second [default: 30, or as the file has it]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=240))]
    framerate: Option<i32>,

    /// builtin, a known name, or an .onnx file
    #[arg(long, default_value = "builtin")]
    model: String,

    /// auto, cpu, cuda, tensorrt, openvino, migraphx, coreml or directml
    #[arg(long, default_value = "auto", value_parser = nick::<DeviceKind>)]
    device: DeviceKind,

    /// composite, cutout, alpha or key-fill
    #[arg(long, default_value = "composite", value_parser = nick::<OutputKind>)]
    output: OutputKind,

    /// color, blur, image or checkerboard [default: image with --image, else blur]
    #[arg(long, value_parser = nick::<BackgroundKind>)]
    background: Option<BackgroundKind>,

    /// The colour of background=color, as RRGGBB
    #[arg(long, default_value = "00b140", value_parser = color)]
    color: u32,

    /// The picture of background=image
    #[arg(long)]
    image: Option<PathBuf>,

    /// End after this many frames
    #[arg(long)]
    frames: Option<u64>,
}

/// Width and height of `WxH`.
fn size(text: &str) -> Result<(i32, i32), String> {
    let sides = text.split_once('x').and_then(|(width, height)| {
        let side = |text: &str| text.parse().ok().filter(|side| (16..=16384).contains(side));
        Some((side(width)?, side(height)?))
    });
    sides.ok_or_else(|| "a size is such as 1280x720, each from 16 to 16384".to_owned())
}

/// An opaque colour of `RRGGBB`.
fn color(text: &str) -> Result<u32, String> {
    let digits = text.trim_start_matches('#');
    let is_hexadecimal = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u32::from_str_radix(digits, 16) {
        Ok(color) if is_hexadecimal => Ok(0xff00_0000 | color),
        _ => Err("a colour is six hexadecimal digits, such as 00b140".to_owned()),
    }
}

/// The value of one of the element's enums, by the name that its properties take.
fn nick<T>(text: &str) -> Result<T, String>
where
    T: StaticType + for<'a> glib::value::FromValue<'a>,
{
    let class = glib::EnumClass::with_type(T::static_type());
    let value = class.as_ref().and_then(|class| class.to_value_by_nick(text));
    value.and_then(|value| value.get().ok()).ok_or_else(|| {
        let values = class.iter().flat_map(|class| class.values());
        let nicks: Vec<_> = values.map(|value| value.nick()).collect();
        format!("it is one of {}", nicks.join(", "))
    })
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("virtual_camera: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Error> {
    gst::init().map_err(|error| Error::GStreamer(error.to_string()))?;
    gstdavidmatte::plugin_register_static().map_err(|error| Error::GStreamer(error.to_string()))?;
    let stop = catch_signals()?;

    let look = first_look(arguments)?;
    let source = Source::find(&arguments.source)?;
    let sink = Sink::find(&arguments.sink)?;
    if let (Source::Device(from), Sink::Loopback(to, _)) = (&source, &sink)
        && from == to
    {
        return Err(Error::Same { path: to.clone() });
    }
    let with_alpha = look.output == OutputKind::Cutout;
    if with_alpha && !sink.carries_alpha() {
        return Err(Error::NoAlpha { sink: sink.to_string() });
    }
    // Where the format is fixed, it has an alpha channel from the beginning or not at all.
    let has_alpha = sink.carries_alpha() && (with_alpha || sink.format(false).is_none());
    let choice = Choice { has_image: arguments.image.is_some(), has_alpha };

    let format = Format { size: arguments.size, rate: arguments.framerate };
    let pipeline = Pipeline::new(&source, &sink, format, with_alpha, arguments.frames)?;
    set_up(&pipeline.matte, arguments);
    look.apply(&pipeline.matte);
    pipeline.start(&stop)?;

    let status = Status::new(&pipeline);
    status.note(&format!("From {source} to {sink}"))?;
    let limit = arguments.frames;
    let stage = Stage {
        pipeline,
        status,
        look,
        choice,
        sink,
        limit,
        lost_after: None,
        is_away: false,
        newest: (0, Instant::now()),
    };
    stage.run(&stop)
}

/// True once the program is asked to end.
fn catch_signals() -> Result<Arc<AtomicBool>, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
        .map_err(|error| Error::Signals(error.to_string()))?;
    Ok(stop)
}

/// The look to begin with.
fn first_look(arguments: &Arguments) -> Result<Look, Error> {
    if let Some(path) = &arguments.image {
        std::fs::File::open(path).map_err(|reason| Error::Image { path: path.clone(), reason })?;
    }
    let default = match arguments.image {
        Some(_) => BackgroundKind::Image,
        None => BackgroundKind::Blur,
    };
    let background = arguments.background.unwrap_or(default);
    if background == BackgroundKind::Image && arguments.image.is_none() {
        return Err(Error::NoImage);
    }
    Ok(Look { output: arguments.output, background })
}

/// The element's properties that stay.
fn set_up(matte: &gst::Element, arguments: &Arguments) {
    matte.set_property("model", &arguments.model);
    matte.set_property("device", arguments.device);
    matte.set_property("background-color", arguments.color);
    if let Some(image) = &arguments.image {
        matte.set_property("background-image", image.to_string_lossy().as_ref());
    }
}

/// A camera that gives no picture for so long is taken for one that went away.
const SILENCE: Duration = Duration::from_secs(4);

/// A pipeline that plays, and what is told and asked meanwhile.
struct Stage {
    pipeline: Pipeline,
    status: Status,
    look: Look,
    choice: Choice,
    sink: Sink,
    limit: Option<u64>,
    /// The frames that had been sent when the camera went away, while it is away.
    lost_after: Option<u64>,
    /// It did not start when that was tried last.
    is_away: bool,
    /// How many frames had come from the camera when the last one had, and when that was.
    newest: (u64, Instant),
}

impl Stage {
    /// Plays until the end, or until somebody asks for it.
    fn run(mut self, stop: &AtomicBool) -> Result<(), Error> {
        let keys = Keys::listen();
        if keys.is_some() {
            self.status.note(keys::HELP)?;
        }
        match self.play(keys.as_ref(), stop) {
            Ok(()) => self.status.end(&self.pipeline),
            Err(error) => {
                self.status.clear();
                Err(error)
            }
        }
    }

    fn play(&mut self, keys: Option<&Keys>, stop: &AtomicBool) -> Result<(), Error> {
        let Some(bus) = self.pipeline.pipeline.bus() else { return Ok(()) };
        let mut remark = None;
        while !stop.load(Ordering::Relaxed) && !self.is_complete() {
            let mut is_new = false;
            if let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(50))
                && !self.attend(&message, stop)?
            {
                return Ok(());
            }
            while let Some(command) = keys.and_then(Keys::next) {
                if command == Command::Quit {
                    return Ok(());
                }
                remark = self.obey(command).err();
                is_new = true;
            }
            self.watch_camera()?;
            if self.is_away {
                self.is_away = self.pipeline.start_with_camera(stop).is_err();
            }
            if self.lost_after.is_some_and(|sent| self.pipeline.sent() > sent) {
                self.lost_after = None;
                self.status.note("The camera is back")?;
            }
            let mut tail = format!("{} to {}", self.look, self.sink);
            if let Some(remark) = remark {
                tail = format!("{remark}; {tail}");
            }
            self.status.tell(&self.pipeline, &tail, is_new)?;
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.limit.is_some_and(|limit| self.pipeline.sent() >= limit)
    }

    /// Does what a key asks for, or says why not.
    fn obey(&mut self, command: Command) -> Result<(), &'static str> {
        self.look = self.look.after(command, self.choice)?;
        self.look.apply(&self.pipeline.matte);
        Ok(())
    }

    /// Looks at a message; false at the end of the stream.
    fn attend(&mut self, message: &gst::Message, stop: &AtomicBool) -> Result<bool, Error> {
        match message.view() {
            gst::MessageView::Eos(_) if self.pipeline.is_of_a_camera() => {
                self.wait_for_camera("its stream ended")
            }
            gst::MessageView::Eos(_) => self.pipeline.begin_again(false),
            gst::MessageView::SegmentDone(_) => self.pipeline.begin_again(true),
            // Whoever closes the window is done.
            gst::MessageView::Error(error) if self.is_closed_window(error) => Ok(false),
            gst::MessageView::Error(error)
                if self.pipeline.outlives(error) && pipewire::answers() =>
            {
                let reason = pipeline::explain(error);
                self.status.note(&format!("The camera is offered anew: {reason}"))?;
                self.pipeline.start_anew(stop)?;
                Ok(true)
            }
            gst::MessageView::Error(error) if self.pipeline.has_lost_camera(error) => {
                self.wait_for_camera(&pipeline::explain(error).to_string())
            }
            gst::MessageView::Error(error) => Err(pipeline::explain(error)),
            gst::MessageView::Warning(warning) => {
                self.status.note(warning.error().message())?;
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    /// Does not trust a camera that gave pictures and gives none any more: PipeWire tells nobody of one that was
    /// unplugged.
    fn watch_camera(&mut self) -> Result<(), Error> {
        let came = self.pipeline.came();
        if came != self.newest.0 || self.is_away {
            self.newest = (came, Instant::now());
        } else if self.pipeline.is_of_a_camera() && self.newest.1.elapsed() > SILENCE {
            self.newest.1 = Instant::now();
            self.wait_for_camera("it gives no pictures")?;
        }
        Ok(())
    }

    /// Has it tried again and again to start with the camera, and tells once that it is not there.
    fn wait_for_camera(&mut self, reason: &str) -> Result<bool, Error> {
        self.is_away = true;
        if self.lost_after.is_none() {
            self.lost_after = Some(self.pipeline.sent());
            let note = format!("The camera went away ({reason}); waiting for it to come back");
            self.status.note(&note)?;
        }
        Ok(true)
    }

    fn is_closed_window(&self, error: &gst::message::Error) -> bool {
        let is_sink = error.src().is_some_and(|source| {
            source
                .downcast_ref::<gst::Element>()
                .is_some_and(|element| element.element_flags().contains(gst::ElementFlags::SINK))
        });
        self.sink == Sink::Window && is_sink && error.error().matches(gst::ResourceError::NotFound)
    }
}
