//! What can go wrong, each with a sentence that says what failed and what to do.

use std::io;
use std::path::PathBuf;

/// Any failure of matting a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("GStreamer could not be started ({0}); check its installation")]
    GStreamer(String),

    #[error("{setting} cannot be {value} ({reason}); see --help")]
    Setting { setting: String, value: String, reason: String },

    #[error("{given} has no effect with {other}; leave one of them out")]
    NoEffect { given: &'static str, other: String },

    #[error(
        "{} says nothing of how to write it; let it end in .mov, .mkv, .mp4, .webm, .png, .exr, -%05d.png, or name a folder",
        path.display()
    )]
    Ending { path: PathBuf },

    #[error(
        "{} cannot hold alpha, so no cut-out can be written there; choose .mov, .mkv, .png or .exr, or --output composite",
        path.display()
    )]
    NoAlpha { path: PathBuf },

    #[error("there are several inputs and one {}; put {{}} into its name, which stands for the input's", path.display())]
    OneOutput { path: PathBuf },

    #[error("{} would be written twice; give the outputs different names", path.display())]
    SameOutput { path: PathBuf },

    #[error("{} would overwrite the file it is made of; choose another name", path.display())]
    OverInput { path: PathBuf },

    #[error("{} is already there; replace it with --force, or choose another name", path.display())]
    Exists { path: PathBuf },

    #[error(
        "{} is unfinished; go on with --resume, or start over with --force", path.display())]
    Unfinished { path: PathBuf },

    #[error("{} cannot be resumed ({reason}); start over with --force", path.display())]
    Resume { path: PathBuf, reason: String },

    #[error(
        "{} needs GStreamer's element {element}, which is missing; install it (on Debian: apt install {package})",
        path.display()
    )]
    Element { path: PathBuf, element: &'static str, package: &'static str },

    #[error("{} could not be read ({reason}); check the path and its permissions", path.display())]
    Read { path: PathBuf, reason: io::Error },

    #[error("{} is {what}; name a video or a picture", path.display())]
    NotAFile { path: PathBuf, what: &'static str },

    #[error(
        "{0} names a sequence of pictures, which is not read; make a video of it first: ffmpeg -framerate 24 -i '{0}' -c:v ffv1 in.mkv",
        path.display()
    )]
    InputSequence { path: PathBuf },

    #[error(
        "{0} is interlaced, and fields are not matted; make frames of them first: ffmpeg -i '{0}' -vf bwdif -c:v ffv1 in.mkv",
        path.display()
    )]
    Interlaced { path: PathBuf },

    #[error("{} could not be decoded ({reason}); check whether it plays, or convert it first", path.display())]
    Decode { path: PathBuf, reason: String },

    #[error(
        "{} needs a decoder for {codec} that GStreamer lacks; install it (on Debian: apt install gstreamer1.0-libav gstreamer1.0-plugins-bad)",
        path.display()
    )]
    NoDecoder { path: PathBuf, codec: String },

    #[error("{} has no video, only {what}; name a video or a picture", path.display())]
    NoVideo { path: PathBuf, what: &'static str },

    #[error(
        "the video of {} lasts less than a fifth of the whole, and GStreamer leaves such a one out; convert it to .mkv first",
        path.display()
    )]
    ShortVideo { path: PathBuf },

    #[error("{} has no frames; check whether it is complete", path.display())]
    NoFrames { path: PathBuf },

    #[error(
        "{} is cut off ({reason}); get the whole of it, or repair it first", path.display())]
    Truncated { path: PathBuf, reason: String },

    #[error("{} has no such part ({reason}); see --range, --from and --to in --help", path.display())]
    Range { path: PathBuf, reason: String },

    #[error("{} changes its picture from {before} to {after} at frame {frame}; cut it there first", path.display())]
    Size { path: PathBuf, before: String, after: String, frame: u64 },

    #[error(
        "{} has more than one frame, and {} is one picture; name a folder, or pictures with -%05d.png, or one frame with --range 7..7",
        path.display(), target.display()
    )]
    OnePicture { path: PathBuf, target: PathBuf },

    #[error(
        "{} cannot hold the audio of {} ({audio}); {}leave it out with --no-audio",
        target.display(), path.display(), instead.map_or(String::new(), |ending| format!("choose {ending}, or "))
    )]
    Audio { path: PathBuf, target: PathBuf, audio: String, instead: Option<&'static str> },

    #[error(
        "the audio of {} ({audio}) got lost on its way, and nothing was written; leave it out with --no-audio",
        path.display()
    )]
    LostAudio { path: PathBuf, audio: String },

    /// What the element says of the model, or of the device that it is to run on.
    #[error("{0}")]
    Model(String),

    /// What the element says of the background picture.
    #[error("{0}")]
    Background(String),

    /// What else the element says.
    #[error("{0}")]
    Matting(String),

    #[error("{} could not be encoded ({reason}); choose another kind of file", path.display())]
    Encode { path: PathBuf, reason: String },

    #[error("{} could not be written ({reason}); check permissions and free space, or choose another place", path.display())]
    Write { path: PathBuf, reason: io::Error },

    #[error("another matte_file is writing {}; wait for it to end", path.display())]
    Busy { path: PathBuf },

    #[error("the standard output could not be written ({0}); check where it leads")]
    Print(#[source] io::Error),

    #[error("an interrupt could not be listened for ({0}); try again")]
    Signals(String),

    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Whether the next input may do better.
    pub fn is_of_one_input(&self) -> bool {
        !matches!(
            self,
            Self::GStreamer(_)
                | Self::Setting { .. }
                | Self::Model(_)
                | Self::Background(_)
                | Self::Matting(_)
                | Self::Element { .. }
                | Self::Print(_)
                | Self::Signals(_)
                | Self::Interrupted
        )
    }

    /// What the element says, which is a sentence.
    pub fn of_element(error: &gst::glib::Error) -> Self {
        let text = error.message().to_owned();
        // Pictures and models that cannot be read are told apart by nothing else.
        if text.starts_with("background picture") {
            return Self::Background(text);
        }
        let is_of_loading = error.is::<gst::ResourceError>() || error.is::<gst::LibraryError>();
        match is_of_loading || text.starts_with("model ") {
            true => Self::Model(text),
            false => Self::Matting(text),
        }
    }

    /// The exit code that a failure gives the program. `--help` tells them.
    pub fn code(&self) -> u8 {
        match self {
            Self::GStreamer(_)
            | Self::Element { .. }
            | Self::LostAudio { .. }
            | Self::Matting(_)
            | Self::Encode { .. }
            | Self::Signals(_) => 1,
            Self::Setting { .. }
            | Self::NoEffect { .. }
            | Self::Ending { .. }
            | Self::NoAlpha { .. }
            | Self::OneOutput { .. }
            | Self::SameOutput { .. }
            | Self::OverInput { .. }
            | Self::OnePicture { .. }
            | Self::Range { .. }
            | Self::Audio { .. } => 2,
            Self::Read { .. }
            | Self::NotAFile { .. }
            | Self::InputSequence { .. }
            | Self::Interlaced { .. }
            | Self::Decode { .. }
            | Self::NoDecoder { .. }
            | Self::NoVideo { .. }
            | Self::ShortVideo { .. }
            | Self::NoFrames { .. }
            | Self::Truncated { .. }
            | Self::Size { .. }
            | Self::Background(_) => 3,
            Self::Exists { .. }
            | Self::Unfinished { .. }
            | Self::Resume { .. }
            | Self::Write { .. }
            | Self::Busy { .. }
            | Self::Print(_) => 4,
            Self::Model(_) => 5,
            // As shells have it.
            Self::Interrupted => 130,
        }
    }
}
