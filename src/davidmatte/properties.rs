// SPDX-License-Identifier: MIT

//! The properties: one struct, its defaults, their specifications.

use std::ffi::CStr;
use std::sync::Arc;

use gst::glib;
use gst::glib::translate::ToGlibPtr;
use gst::prelude::*;
use once_cell::sync::Lazy;

use super::enums::{
    BackgroundKind, DeviceKind, OutputKind, Pacing, RefineKind, RegionKind, UntilReady,
};
use crate::matting::inference::network::Memory;
use crate::matting::kernels::threads;
use crate::matting::model::builtin;
use crate::matting::prelude::{MatteSettings, SessionOptions};
use crate::matting::stream::FrameSettings;

/// The settings, copied for every frame, which takes no allocation.
#[derive(Clone, Debug)]
pub struct Settings {
    pub model: Arc<str>,
    pub device: DeviceKind,
    pub device_id: i32,
    pub threads: u32,
    pub inference_size: u32,
    pub output: OutputKind,
    pub background: BackgroundKind,
    pub background_color: u32,
    pub background_image: Option<Arc<str>>,
    pub blur_radius: f64,
    pub attach_matte: bool,
    pub invert: bool,
    pub threshold: f64,
    pub edge_shift: f64,
    pub feather: f64,
    pub decontaminate: bool,
    pub region: RegionKind,
    pub refine: RefineKind,
    pub temporal: f64,
    pub pacing: Pacing,
    pub frames_in_flight: u32,
    pub inference_interval: i32,
    pub until_ready: UntilReady,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: "builtin".into(),
            device: DeviceKind::Auto,
            device_id: 0,
            threads: 0,
            inference_size: 0,
            output: OutputKind::Composite,
            background: BackgroundKind::Color,
            background_color: 0xff00_b140,
            background_image: None,
            blur_radius: 0.03,
            attach_matte: false,
            invert: false,
            threshold: 0.0,
            edge_shift: 0.0,
            feather: 0.0,
            decontaminate: true,
            region: RegionKind::Auto,
            refine: RefineKind::None,
            temporal: 0.6,
            pacing: Pacing::Auto,
            frames_in_flight: 2,
            inference_interval: -1,
            until_ready: UntilReady::Background,
        }
    }
}

impl Settings {
    /// How the matte is shaped.
    pub fn matte(&self) -> MatteSettings {
        MatteSettings {
            invert: self.invert,
            threshold: self.threshold as f32,
            edge_shift: self.edge_shift as f32,
            feather: self.feather as f32,
        }
    }

    /// How the session is made.
    pub fn session(&self) -> SessionOptions {
        SessionOptions {
            device: self.device.into(),
            device_id: self.device_id,
            threads: self.threads as usize,
        }
    }

    /// How many threads may share a frame's rows.
    pub fn row_threads(&self) -> usize {
        match self.threads {
            0 => threads::available(),
            threads => threads as usize,
        }
    }

    /// Whether frames wait for nothing but what they have time for, in a stream that is live or not.
    pub fn keeps_pace(&self, is_live: bool) -> bool {
        match self.pacing {
            Pacing::Latest => true,
            Pacing::Auto => is_live,
            Pacing::Exact => false,
        }
    }

    /// The side of the network's input, where it is to be chosen: smaller where it has to keep pace.
    pub fn side(&self, keeps_pace: bool) -> Option<usize> {
        let is_builtin = &*self.model == "builtin";
        match self.inference_size as usize {
            0 if is_builtin && keeps_pace => Some(builtin::LIVE_SIDE),
            0 if is_builtin => Some(builtin::SIDE),
            0 => None,
            side if is_builtin => Some(side.next_multiple_of(builtin::STEP)),
            side => Some(side),
        }
    }

    /// Every how many frames the network runs, 0 for whenever something moves, in a stream that is live or
    /// not. One with a memory counts frames by those it is shown.
    fn interval(&self, is_live: bool, memory: Memory) -> u32 {
        match self.inference_interval {
            ..0 if is_live && !memory.is_any() => 0,
            ..0 => 1,
            interval => interval.unsigned_abs(),
        }
    }

    /// How a frame is matted, in a stream that is live or not, by a network that keeps so much.
    pub fn frame(&self, is_live: bool, memory: Memory) -> FrameSettings {
        FrameSettings {
            // Of an inverted matte all that lies outside a region is shown: whoever walks in there
            // would be, until they are found.
            follows: self.region == RegionKind::Auto && !self.invert,
            temporal: self.temporal as f32,
            interval: self.interval(is_live, memory),
            untouched: false,
        }
    }

    /// Whether a composite is the frame as it came: it would be put over itself, unblurred.
    pub fn changes_nothing(&self) -> bool {
        self.background == BackgroundKind::Blur && self.blur_radius == 0.0
    }

    /// Sets a property.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        let defaults = Self::default;
        match name {
            "model" => {
                let named = text(value).filter(|name| !name.is_empty());
                self.model = named.unwrap_or_else(|| defaults().model);
            }
            "device" => self.device = read(value, self.device),
            "device-id" => self.device_id = read(value, self.device_id),
            "threads" => self.threads = read(value, self.threads),
            "inference-size" => self.inference_size = read(value, self.inference_size),
            "output" => self.output = read(value, self.output),
            "background" => self.background = read(value, self.background),
            "background-color" => self.background_color = read(value, self.background_color),
            "background-image" => {
                self.background_image = text(value);
            }
            "blur-radius" => self.blur_radius = read(value, self.blur_radius),
            "attach-matte" => self.attach_matte = read(value, self.attach_matte),
            "invert" => self.invert = read(value, self.invert),
            "threshold" => self.threshold = read(value, self.threshold),
            "edge-shift" => self.edge_shift = read(value, self.edge_shift),
            "feather" => self.feather = read(value, self.feather),
            "decontaminate" => self.decontaminate = read(value, self.decontaminate),
            "region" => self.region = read(value, self.region),
            "refine" => self.refine = read(value, self.refine),
            "temporal" => self.temporal = read(value, self.temporal),
            "pacing" => self.pacing = read(value, self.pacing),
            "frames-in-flight" => self.frames_in_flight = read(value, self.frames_in_flight),
            "inference-interval" => self.inference_interval = read(value, self.inference_interval),
            "until-ready" => self.until_ready = read(value, self.until_ready),
            // GObject hands on only names that were specified below.
            _ => {}
        }
    }

    /// A property that is set by the user.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "model" => (*self.model).to_value(),
            "device" => self.device.to_value(),
            "device-id" => self.device_id.to_value(),
            "threads" => self.threads.to_value(),
            "inference-size" => self.inference_size.to_value(),
            "output" => self.output.to_value(),
            "background" => self.background.to_value(),
            "background-color" => self.background_color.to_value(),
            "background-image" => self.background_image.as_deref().to_value(),
            "blur-radius" => self.blur_radius.to_value(),
            "attach-matte" => self.attach_matte.to_value(),
            "invert" => self.invert.to_value(),
            "threshold" => self.threshold.to_value(),
            "edge-shift" => self.edge_shift.to_value(),
            "feather" => self.feather.to_value(),
            "decontaminate" => self.decontaminate.to_value(),
            "region" => self.region.to_value(),
            "refine" => self.refine.to_value(),
            "temporal" => self.temporal.to_value(),
            "pacing" => self.pacing.to_value(),
            "frames-in-flight" => self.frames_in_flight.to_value(),
            "inference-interval" => self.inference_interval.to_value(),
            "until-ready" => self.until_ready.to_value(),
            _ => return None,
        })
    }
}

/// A string, unless it is null. C may set one that is not UTF-8, on which glib's own way of reading
/// it ends the process; here what is not UTF-8 becomes U+FFFD, and a file of that name is not found.
fn text(value: &glib::Value) -> Option<Arc<str>> {
    if !value.is_type(glib::Type::STRING) {
        return None;
    }
    // SAFETY: the value is a string's, as was checked, and its bytes live as long as it does.
    let text = unsafe {
        let bytes = glib::gobject_ffi::g_value_get_string(value.to_glib_none().0);
        (!bytes.is_null()).then(|| CStr::from_ptr(bytes))?
    };
    Some(text.to_string_lossy().into())
}

/// The value, or `fallback` for a value of another type, which GObject does not let through.
fn read<'a, T: glib::value::FromValue<'a>>(value: &'a glib::Value, fallback: T) -> T {
    value.get().unwrap_or(fallback)
}

/// The specifications of all properties.
pub fn properties() -> &'static [glib::ParamSpec] {
    static PROPERTIES: Lazy<Vec<glib::ParamSpec>> = Lazy::new(|| {
        let mut properties = inference_properties();
        properties.extend(pacing_properties());
        properties.extend(output_properties());
        properties.extend(matte_properties());
        properties.extend(observed_properties());
        properties
    });
    &PROPERTIES
}

fn inference_properties() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    vec![
        glib::ParamSpecString::builder("model")
            .nick("Model")
            .blurb("`builtin`, a known name (david-base, david-large, david-multitask), or the path of an .onnx file")
            .default_value(Some(&*defaults.model))
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("device", defaults.device)
            .nick("Device")
            .blurb("Where inference runs; a named device that cannot be had is an error, auto falls back and says so")
            .mutable_ready()
            .build(),
        glib::ParamSpecInt::builder("device-id")
            .nick("Device ID")
            .blurb("Which of several devices")
            .minimum(0)
            .default_value(defaults.device_id)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("threads")
            .nick("Threads")
            .blurb("CPU threads of one inference, and of a frame's rows (0 = one for each core)")
            .maximum(1024)
            .default_value(defaults.threads)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("inference-size")
            .nick("Inference size")
            .blurb("Samples of the input of a model that leaves its size open, as the side of a square (0 = chosen: for `builtin` 256 where frames do not wait, else 320); other models have their own")
            .maximum(8192)
            .default_value(defaults.inference_size)
            .mutable_ready()
            .build(),
    ]
}

fn pacing_properties() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    vec![
        glib::ParamSpecEnum::builder_with_default("pacing", defaults.pacing)
            .nick("Pacing")
            .blurb("Whether each frame waits for its own matte, or takes the newest one, carried to it")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("frames-in-flight")
            .nick("Frames in flight")
            .blurb("How many frames exact pacing works on at once; all but one of them are latency")
            .minimum(1)
            .maximum(8)
            .default_value(defaults.frames_in_flight)
            .mutable_ready()
            .build(),
        glib::ParamSpecInt::builder("inference-interval")
            .nick("Inference interval")
            .blurb("Run the model on every n-th frame and carry its matte to those in between (0 = whenever something moves, -1 = chosen: 0 in live streams, else 1)")
            .minimum(-1)
            .default_value(defaults.inference_interval)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("until-ready", defaults.until_ready)
            .nick("Until ready")
            .blurb("What leaves the source pad before the first matte, and where a frame has none because inference failed")
            .mutable_ready()
            .build(),
    ]
}

fn output_properties() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    vec![
        glib::ParamSpecEnum::builder_with_default("output", defaults.output)
            .nick("Output")
            .blurb("What leaves the source pad")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("background", defaults.background)
            .nick("Background")
            .blurb("What output=composite puts behind the person")
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("background-color")
            .nick("Background color")
            .blurb(
                "Color of background=color, big-endian ARGB; alpha counts for formats that have it",
            )
            .default_value(defaults.background_color)
            .mutable_playing()
            .controllable()
            .build(),
        glib::ParamSpecString::builder("background-image")
            .nick("Background image")
            .blurb("PNG, JPEG or WebP file of background=image, scaled to cover the frame")
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder("blur-radius")
            .nick("Blur radius")
            .blurb("Radius of background=blur, as a fraction of the frame's height")
            .minimum(0.0)
            .maximum(0.2)
            .default_value(defaults.blur_radius)
            .mutable_playing()
            .controllable()
            .build(),
        glib::ParamSpecBoolean::builder("attach-matte")
            .nick("Attach matte")
            .blurb("Attach its matte to each frame of output=composite: a sample of gray video, field `matte` of the custom meta `DavidMatteMatteMeta`")
            .default_value(defaults.attach_matte)
            .mutable_ready()
            .build(),
    ]
}

fn matte_properties() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    vec![
        glib::ParamSpecBoolean::builder("invert")
            .nick("Invert")
            .blurb("Keep the background instead of the person")
            .default_value(defaults.invert)
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder("threshold")
            .nick("Threshold")
            .blurb("0 keeps the soft matte, otherwise it becomes opaque from this level up and clear below")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(defaults.threshold)
            .mutable_playing()
            .controllable()
            .build(),
        glib::ParamSpecDouble::builder("edge-shift")
            .nick("Edge shift")
            .blurb("Pixels of a 1080-line frame by which the matte grows, or shrinks where negative")
            .minimum(-20.0)
            .maximum(20.0)
            .default_value(defaults.edge_shift)
            .mutable_playing()
            .controllable()
            .build(),
        glib::ParamSpecDouble::builder("feather")
            .nick("Feather")
            .blurb("Pixels of a 1080-line frame over which the edge is softened")
            .minimum(0.0)
            .maximum(20.0)
            .default_value(defaults.feather)
            .mutable_playing()
            .controllable()
            .build(),
        glib::ParamSpecBoolean::builder("decontaminate")
            .nick("Decontaminate")
            .blurb("Estimate the person's own colors at soft edges, instead of leaving the old background's in them")
            .default_value(defaults.decontaminate)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("region", defaults.region)
            .nick("Region")
            .blurb("Whether the model looks at the whole frame, or at the part that holds everybody in it")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("refine", defaults.refine)
            .nick("Refine")
            .blurb("What makes the matte finer where it is uncertain: zoom has the model look again, up to four more inferences a frame, in exact pacing alone, with one frame in flight; detail has a small network look at the frame's own pixels there")
            .mutable_ready()
            .build(),
        glib::ParamSpecDouble::builder("temporal")
            .nick("Temporal")
            .blurb("How much the matte before counts where the picture stands still, against flicker (0 = not at all)")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(defaults.temporal)
            .mutable_playing()
            .controllable()
            .build(),
    ]
}

fn observed_properties() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecString::builder("active-device")
            .nick("Active device")
            .blurb("Where inference really runs, such as `cuda:0` or `cpu (2 threads)`")
            .read_only()
            .build(),
        glib::ParamSpecString::builder("active-model")
            .nick("Active model")
            .blurb("The model that is really at work: `model`, or the one before it while that is loaded, or where it cannot be had")
            .read_only()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Frames, late frames, inferences, carried mattes; mean and worst milliseconds of each step")
            .read_only()
            .build(),
    ]
}
