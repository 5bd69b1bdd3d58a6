//! Where frames go.

use std::fmt;
use std::path::{Path, PathBuf};

use gst::prelude::*;

use crate::error::Error;
use crate::loopback::{self, VIDEO_DEVICES};
use crate::pipeline::{element, has_element};
use crate::pipewire;

/// What `--sink` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkRequest {
    /// v4l2loopback, PipeWire or a window, whichever is there first.
    Auto,
    /// A camera among PipeWire's.
    PipeWire,
    /// A window.
    Window,
    /// Nowhere, which shows the speed.
    None,
    /// A v4l2loopback device.
    Device(PathBuf),
}

impl From<&str> for SinkRequest {
    fn from(text: &str) -> Self {
        match text {
            "auto" => Self::Auto,
            "pipewire" => Self::PipeWire,
            "window" => Self::Window,
            "none" => Self::None,
            path => Self::Device(path.into()),
        }
    }
}

/// A sink that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// A v4l2loopback device and its label.
    Loopback(PathBuf, String),
    /// A camera among PipeWire's.
    PipeWire,
    /// A window.
    Window,
    /// Nowhere.
    None,
}

impl fmt::Display for Sink {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback(path, label) if label.is_empty() => write!(out, "{}", path.display()),
            Self::Loopback(path, label) => write!(out, "{} ({label})", path.display()),
            Self::PipeWire => write!(out, "PipeWire, as the camera {NODE}"),
            Self::Window => write!(out, "a window"),
            Self::None => write!(out, "nowhere"),
        }
    }
}

/// What PipeWire's programs call the camera.
const NODE: &str = "davidmatte";

impl Sink {
    /// Finds what is asked for.
    ///
    /// # Errors
    /// Where it is not there, or cannot be written to.
    pub fn find(request: &SinkRequest) -> Result<Self, Error> {
        let loopbacks = loopback::devices(Path::new(VIDEO_DEVICES));
        match request {
            SinkRequest::Auto => match loopbacks.into_iter().next() {
                Some(device) => Self::loopback(&device.path, device.label),
                None if has_element("pipewiresink") && pipewire::answers() => Ok(Self::PipeWire),
                None if has_display() => Ok(Self::Window),
                None => Err(Error::NoSink),
            },
            SinkRequest::PipeWire if pipewire::answers() => Ok(Self::PipeWire),
            SinkRequest::PipeWire => Err(Error::NoPipeWire),
            SinkRequest::Window if has_display() => Ok(Self::Window),
            SinkRequest::Window => Err(Error::NoDisplay),
            SinkRequest::None => Ok(Self::None),
            SinkRequest::Device(path) => {
                let label = loopbacks.into_iter().find(|device| device.path == *path);
                Self::loopback(path, label.map(|device| device.label).unwrap_or_default())
            }
        }
    }

    fn loopback(path: &Path, label: String) -> Result<Self, Error> {
        std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .map(|_| Self::Loopback(path.to_owned(), label))
            .map_err(|reason| Error::Sink { path: path.to_owned(), reason })
    }

    /// Whether an alpha channel arrives where frames go.
    pub fn carries_alpha(&self) -> bool {
        matches!(self, Self::PipeWire | Self::None)
    }

    /// The one pixel format that is sent, where whoever sees the frames could not follow a change:
    /// YUY2, which every program takes from a camera, or RGBA, which OBS takes, for an alpha channel.
    pub fn format(&self, with_alpha: bool) -> Option<&'static str> {
        match self {
            Self::Loopback(..) | Self::PipeWire if with_alpha => Some("RGBA"),
            Self::Loopback(..) | Self::PipeWire => Some("YUY2"),
            Self::Window | Self::None => None,
        }
    }

    /// The elements that take frames, in the order in which they are linked.
    ///
    /// # Errors
    /// Where GStreamer lacks one.
    pub fn elements(&self) -> Result<Vec<gst::Element>, Error> {
        let sink = match self {
            Self::Loopback(path, _) => {
                let sink = element("v4l2sink")?;
                sink.set_property("device", path.to_string_lossy().as_ref());
                sink
            }
            Self::PipeWire => {
                let sink = element("pipewiresink")?;
                let properties = gst::Structure::builder("properties")
                    .field("media.class", "Video/Source")
                    .field("media.role", "Camera")
                    .field("node.name", NODE)
                    .field("node.description", NODE)
                    .build();
                sink.set_property("stream-properties", properties);
                sink.set_property_from_str("mode", "provide");
                sink
            }
            Self::Window => element("autovideosink")?,
            Self::None => element("fakesink")?,
        };
        // A camera's frame is for now, and goes on as soon as it is ready.
        sink.set_property("sync", false);
        match self {
            // The sink's own buffers are not offered upstream: a v4l2loopback device has few, and
            // PipeWire's change while they are written to.
            Self::Loopback(..) | Self::PipeWire => {
                let identity = element("identity")?;
                identity.set_property("drop-allocation", true);
                Ok(vec![identity, sink])
            }
            Self::Window | Self::None => Ok(vec![sink]),
        }
    }
}

/// Whether a window can be opened; without a display, `autovideosink` would show nothing and say
/// nothing.
fn has_display() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !cfg!(target_os = "linux") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
}
