//! What can go wrong, each with a sentence that says what failed and what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Any failure of the virtual camera.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("GStreamer could not be started ({0}); check its installation")]
    GStreamer(String),

    #[error("GStreamer has no element {element}; install {package}")]
    MissingElement { element: &'static str, package: &'static str },

    #[error(
        "no camera was found; plug one in, name one with --source /dev/videoN, or take a file or --source test"
    )]
    NoCamera,

    #[error("source {} could not be opened ({reason}); check the path and its permissions", path.display())]
    Source { path: PathBuf, reason: io::Error },

    #[error("source {} was not understood within {} s; check that it is a video that GStreamer can decode", path.display(), limit.as_secs())]
    Undecoded { path: PathBuf, limit: Duration },

    #[error("source {} could not be played ({reason}); check that it is a video, and whole", path.display())]
    Unplayable { path: PathBuf, reason: String },

    #[error("source {} has no video; name one that has with --source", path.display())]
    NoVideo { path: PathBuf },

    #[error("source {} has no more than one picture; name a video", path.display())]
    OnePicture { path: PathBuf },

    #[error(
        "there is no v4l2loopback device, no PipeWire and no display to send video to; load the kernel module with `modprobe v4l2loopback exclusive_caps=1`, or take --sink none"
    )]
    NoSink,

    #[error("sink {} could not be opened for writing ({reason}); check the path, and that you are in the group video", path.display())]
    Sink { path: PathBuf, reason: io::Error },

    #[error("{} is both the source and the sink; name another with --source or --sink", path.display())]
    Same { path: PathBuf },

    #[error(
        "no PipeWire daemon answers; start it with `systemctl --user start pipewire`, or take another --source or --sink"
    )]
    NoPipeWire,

    #[error(
        "there is no display for a window; set DISPLAY or WAYLAND_DISPLAY, or take another --sink"
    )]
    NoDisplay,

    #[error(
        "{sink} carries no alpha channel, so that a cut-out would show the whole frame; take --output composite or alpha, or --sink pipewire"
    )]
    NoAlpha { sink: String },

    #[error("background=image needs a picture; name one with --image")]
    NoImage,

    #[error("background picture {} could not be opened ({reason}); check --image", path.display())]
    Image { path: PathBuf, reason: io::Error },

    /// What an element says, which is a sentence.
    #[error("{0}")]
    Element(String),

    #[error("the signals that end a program could not be caught ({0}); run it again")]
    Signals(String),

    #[error("the standard output could not be written ({0}); check where it leads")]
    Print(#[source] io::Error),
}
