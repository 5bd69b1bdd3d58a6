//! Where frames come from.

use std::fmt;
use std::path::{Path, PathBuf};

use gst::prelude::*;

use crate::error::Error;
use crate::loopback::{self, VIDEO_DEVICES};
use crate::pipeline::element;
use crate::pipewire;

/// What `--source` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceRequest {
    /// A camera, or else the test picture.
    Auto,
    /// The first camera.
    Camera,
    /// GStreamer's test picture.
    Test,
    /// What PipeWire gives as camera.
    PipeWire,
    /// A video device or a file.
    Path(PathBuf),
}

impl From<&str> for SourceRequest {
    fn from(text: &str) -> Self {
        match text {
            "auto" => Self::Auto,
            "camera" => Self::Camera,
            "test" => Self::Test,
            "pipewire" => Self::PipeWire,
            path => Self::Path(path.into()),
        }
    }
}

/// A source that is there.
#[derive(Debug)]
pub enum Source {
    /// A camera that GStreamer lists.
    Camera(gst::Device),
    /// GStreamer's test picture.
    Test,
    /// PipeWire's choice.
    PipeWire,
    /// A video device.
    Device(PathBuf),
    /// A video, played again and again.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Camera(device) => write!(out, "camera {}", device.display_name()),
            Self::Test => write!(out, "GStreamer's test picture"),
            Self::PipeWire => write!(out, "PipeWire"),
            Self::Device(path) | Self::File(path) => write!(out, "{}", path.display()),
        }
    }
}

impl Source {
    /// Finds what is asked for.
    ///
    /// # Errors
    /// [`Error::NoCamera`], [`Error::NoPipeWire`], [`Error::Source`].
    pub fn find(request: &SourceRequest) -> Result<Self, Error> {
        match request {
            SourceRequest::Auto => Ok(first_camera().map_or(Self::Test, Self::Camera)),
            SourceRequest::Camera => first_camera().map(Self::Camera).ok_or(Error::NoCamera),
            SourceRequest::Test => Ok(Self::Test),
            SourceRequest::PipeWire if pipewire::answers() => Ok(Self::PipeWire),
            SourceRequest::PipeWire => Err(Error::NoPipeWire),
            SourceRequest::Path(path) => {
                let failed = |reason| Error::Source { path: path.clone(), reason };
                let about = std::fs::metadata(path).map_err(failed)?;
                if about.is_dir() {
                    return Err(failed(std::io::ErrorKind::IsADirectory.into()));
                }
                match is_device(&about) {
                    true => Ok(Self::Device(path.clone())),
                    false => {
                        std::fs::File::open(path).map(|_| Self::File(path.clone())).map_err(failed)
                    }
                }
            }
        }
    }

    /// Whether frames come in their own time, whatever the rest of the pipeline does.
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::File(_))
    }

    /// Whether it can be unplugged and plugged in again.
    pub fn is_camera(&self) -> bool {
        matches!(self, Self::Camera(_) | Self::PipeWire | Self::Device(_))
    }

    /// The element that gives frames, in whatever form.
    ///
    /// # Errors
    /// Where GStreamer lacks it.
    pub fn element(&self) -> Result<gst::Element, Error> {
        match self {
            Self::Camera(device) => device
                .create_element(None)
                .map(keeping_its_own)
                .map_err(|error| Error::Element(format!("{self} could not be used: {error}"))),
            Self::Test => {
                let source = element("videotestsrc")?;
                source.set_property("is-live", true);
                Ok(source)
            }
            Self::PipeWire => element("pipewiresrc").map(keeping_its_own),
            Self::Device(path) => {
                let source = element("v4l2src")?;
                source.set_property("device", path.to_string_lossy().as_ref());
                Ok(source)
            }
            Self::File(path) => {
                let source = element("filesrc")?;
                source.set_property("location", path);
                Ok(source)
            }
        }
    }
}

/// PipeWire's source, or another one, giving frames that are its own: others that are still looked at go with a
/// camera that goes, and the program with them.
fn keeping_its_own(source: gst::Element) -> gst::Element {
    if source.find_property("always-copy").is_some() {
        source.set_property("always-copy", true);
    }
    source
}

#[cfg(unix)]
fn is_device(about: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    about.file_type().is_char_device()
}

#[cfg(not(unix))]
fn is_device(_: &std::fs::Metadata) -> bool {
    false
}

/// The first camera that GStreamer knows of and that is no loopback device.
fn first_camera() -> Option<gst::Device> {
    let loopbacks = loopback::devices(Path::new(VIDEO_DEVICES));
    let monitor = gst::DeviceMonitor::new();
    monitor.add_filter(Some("Video/Source"), None)?;
    monitor.start().ok()?;
    let devices = monitor.devices();
    monitor.stop();
    devices.into_iter().find(|device| {
        let properties = device.properties();
        let path = properties.as_ref().and_then(|properties| {
            let path = |name| properties.get::<String>(name).ok();
            path("device.path").or_else(|| path("api.v4l2.path"))
        });
        path.is_none_or(|path| !loopbacks.iter().any(|device| device.path == Path::new(&path)))
    })
}
