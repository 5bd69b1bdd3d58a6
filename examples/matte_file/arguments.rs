//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::selection;

/// What the program ends with.
const CODES: &str = "Exit codes (of several failures, the first one's):
  0    done
  1    another failure than these
  2    the command line asks for what cannot be
  3    an input, or the background picture, cannot be read
  4    an output cannot be written: its disk is full, or it is there already
  5    the model or the device cannot be had
  130  interrupted";

/// Takes the background away from people in videos and pictures.
///
/// What is written goes by the ending of OUT: NAME.mov is ProRes 4444 with alpha, NAME.mkv FFV1
/// with alpha, NAME.png and NAME.exr one picture with alpha, NAME-%05d.png, NAME.%05d.exr or a folder one
/// picture with alpha for each frame, NAME.mp4 (H.264) and NAME.webm (VP9) are composited. Audio is taken over as it
/// is. Frames are turned upright, and keep their timestamps.
///
/// Nothing has its name before it is complete, and what fails leaves nothing behind. Ctrl-C ends a
/// video early: it then holds what was done, and the same command with --resume goes on from there.
/// A second Ctrl-C gives that up as well.
#[derive(Debug, Parser)]
#[command(name = "matte_file", version, after_help = CODES)]
pub struct Arguments {
    /// Videos and pictures
    #[arg(required = true, num_args = 1.., value_name = "IN")]
    pub inputs: Vec<PathBuf>,

    /// What is written; `{}` stands for the input's name without its ending, and is needed where
    /// there are several inputs
    #[arg(required = true, value_name = "OUT")]
    pub out: PathBuf,

    /// What is written into OUT: by default the cut-out where OUT can hold alpha and no background
    /// is asked for, else the composite
    #[arg(long, value_enum)]
    pub output: Option<Kind>,

    /// Write the matte alone as well, into a file or pictures of their own
    #[arg(long, value_name = "OUT")]
    pub matte: Option<PathBuf>,

    /// Replace what is there
    #[arg(long, conflicts_with = "resume")]
    pub force: bool,

    /// Go on where the same command was interrupted
    #[arg(long)]
    pub resume: bool,

    /// Leave audio out
    #[arg(long)]
    pub no_audio: bool,

    #[command(flatten)]
    pub part: Part,

    #[command(flatten)]
    pub stills: Stills,

    #[command(flatten)]
    pub look: Look,

    #[command(flatten)]
    pub inference: Inference,
}

/// Which frames.
#[derive(Debug, clap::Args)]
pub struct Part {
    /// Write only these frames, counted from 0: FIRST..LAST, either of which may be left out
    #[arg(long, value_name = "FIRST..LAST", value_parser = selection::parse_range, conflicts_with_all = ["from", "to"])]
    pub range: Option<(u64, Option<u64>)>,

    /// Write only frames that are shown from this time on, as seconds or HH:MM:SS
    #[arg(long, value_name = "TIME", value_parser = selection::parse_time)]
    pub from: Option<Duration>,

    /// Write only frames that are shown before this time
    #[arg(long, value_name = "TIME", value_parser = selection::parse_time)]
    pub to: Option<Duration>,

    /// Matte so many frames before those that are written, so that what remembers frames is warm
    #[arg(long, value_name = "FRAMES", default_value_t = 30)]
    pub preroll: u64,

    /// The number of the input's first frame among pictures; film uses 1001
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..1_000_000_000))]
    pub first: u64,
}

impl Part {
    /// Whether not all frames are asked for.
    pub fn is_asked_for(&self) -> bool {
        self.range.is_some() || self.from.is_some() || self.to.is_some()
    }
}

/// What pictures are written as.
#[derive(Debug, clap::Args)]
pub struct Stills {
    /// What a folder is filled with
    #[arg(long, value_enum, default_value_t = Format::Png)]
    pub format: Format,

    /// Bits of PNG's samples, 8 or 16
    #[arg(long, value_name = "BITS", default_value_t = 8, value_parser = depth)]
    pub depth: u8,

    /// Multiply colours by alpha, in EXR, as Nuke and Blender expect it
    #[arg(long)]
    pub premultiplied: bool,
}

/// A kind of picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// PNG
    Png,
    /// OpenEXR: half floats, linear light
    Exr,
}

/// What a matte and its background look like.
#[derive(Debug, clap::Args)]
pub struct Look {
    /// What a composite shows behind the person
    #[arg(long, value_enum)]
    pub background: Option<Background>,

    /// Color behind the person, as #rrggbb
    #[arg(long, value_name = "COLOR", value_parser = color)]
    pub background_color: Option<u32>,

    /// Picture behind the person: PNG, JPEG or WebP, scaled to cover the frame
    #[arg(long, value_name = "FILE")]
    pub background_image: Option<PathBuf>,

    /// Radius of --background blur, as a fraction of the frame's height, 0 to 0.2
    #[arg(long, value_name = "FRACTION")]
    pub blur_radius: Option<f64>,

    /// Keep the background instead of the person
    #[arg(long)]
    pub invert: bool,

    /// Make the matte opaque from this level up, and clear below, 0 to 1; 0 keeps it soft
    #[arg(long, value_name = "LEVEL")]
    pub threshold: Option<f64>,

    /// Grow (+) or shrink (-) the matte, in pixels of a 1080-line frame, -20 to 20
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    pub edge_shift: Option<f64>,

    /// Soften the edge, in pixels of a 1080-line frame, 0 to 20
    #[arg(long, value_name = "PIXELS")]
    pub feather: Option<f64>,

    /// Against flicker: how much the matte before counts where the picture stands still, 0 to 1;
    /// 0.6 by default
    #[arg(long, value_name = "SHARE")]
    pub temporal: Option<f64>,

    /// Whether the person's own colors are estimated at soft edges; by default they are
    #[arg(long, value_name = "BOOL")]
    pub decontaminate: Option<bool>,
}

/// How mattes are made.
#[derive(Debug, clap::Args)]
pub struct Inference {
    /// `builtin`, a known name (see fetch_model), or the path of an .onnx file
    #[arg(long)]
    pub model: Option<PathBuf>,

    /// Where inference runs
    #[arg(long, value_parser = ["auto", "cpu", "cuda", "tensorrt", "openvino", "migraphx", "coreml", "directml", "webgpu"])]
    pub device: Option<String>,

    /// Which of several devices
    #[arg(long, value_name = "N")]
    pub device_id: Option<u32>,

    /// CPU threads of one inference; 0, the default, is one for each core
    #[arg(long, value_name = "N")]
    pub threads: Option<u32>,

    /// What the model looks at: the whole frame, or the part of it that holds everybody, the default
    #[arg(long, value_parser = ["auto", "frame"])]
    pub region: Option<String>,

    /// Finer edges: detail, the default with the built-in model, has a small network look at the frame's own pixels
    /// where the matte is uncertain, which finds strands of hair; zoom has the model look again there, for up to five
    /// times the inference
    #[arg(long, value_parser = ["none", "zoom", "detail"])]
    pub refine: Option<String>,

    /// Run the model on every n-th frame, and carry its matte to those in between; 0: whenever something moves
    #[arg(long, value_name = "N")]
    pub inference_interval: Option<u32>,
}

/// What is made of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The person over a background
    Composite,
    /// The person with alpha
    Cutout,
    /// The matte alone
    Alpha,
}

impl Kind {
    /// The name of the element's setting.
    pub fn name(self) -> &'static str {
        match self {
            Self::Composite => "composite",
            Self::Cutout => "cutout",
            Self::Alpha => "alpha",
        }
    }
}

/// What a composite shows behind the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Background {
    /// --background-color, green if that is not given
    Color,
    /// The frame itself, blurred
    Blur,
    /// --background-image
    Image,
    /// Gray squares
    Checkerboard,
}

impl Background {
    /// The name of the element's setting.
    pub fn name(self) -> &'static str {
        match self {
            Self::Color => "color",
            Self::Blur => "blur",
            Self::Image => "image",
            Self::Checkerboard => "checkerboard",
        }
    }
}

/// PNG's depths.
fn depth(text: &str) -> Result<u8, String> {
    match text {
        "8" => Ok(8),
        "16" => Ok(16),
        _ => Err("PNG has 8 bits or 16".into()),
    }
}

/// Opaque ARGB of `#rrggbb`.
fn color(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    let is_color = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u32::from_str_radix(digits, 16) {
        Ok(rgb) if is_color => Ok(0xff00_0000 | rgb),
        _ => Err("a color is six hexadecimal digits, such as #00b140".into()),
    }
}
