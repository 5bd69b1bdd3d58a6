// SPDX-License-Identifier: MIT

//! The properties' enums, as GStreamer shows them, and what they are in the library.

use gst::glib;

use crate::matting::prelude::{Device, Output};
use crate::matting::stream::Wanted;

/// What leaves the source pad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDavidMatteOutput")]
#[repr(i32)]
pub enum OutputKind {
    /// The person over a background.
    #[enum_value(name = "Composite: the person over a background", nick = "composite")]
    Composite,
    /// The person with straight alpha.
    #[enum_value(name = "Cutout: the person with straight alpha", nick = "cutout")]
    Cutout,
    /// The matte.
    #[enum_value(name = "Alpha: the matte alone", nick = "alpha")]
    Alpha,
    /// Fill above key.
    #[enum_value(
        name = "Key and fill: the person over black, and below it the matte, in a picture of twice the height",
        nick = "key-fill"
    )]
    KeyFill,
}

impl From<OutputKind> for Output {
    fn from(kind: OutputKind) -> Self {
        match kind {
            OutputKind::Composite => Self::Composite,
            OutputKind::Cutout => Self::Cutout,
            OutputKind::Alpha => Self::Alpha,
            OutputKind::KeyFill => Self::KeyFill,
        }
    }
}

/// What `composite` puts behind the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDavidMatteBackground")]
#[repr(i32)]
pub enum BackgroundKind {
    /// `background-color`.
    #[enum_value(name = "Color: background-color", nick = "color")]
    Color,
    /// The frame itself.
    #[enum_value(name = "Blur: the frame itself, blurred by blur-radius", nick = "blur")]
    Blur,
    /// `background-image`.
    #[enum_value(name = "Image: background-image, scaled to cover the frame", nick = "image")]
    Image,
    /// Gray squares.
    #[enum_value(name = "Checkerboard: gray squares", nick = "checkerboard")]
    Checkerboard,
}

/// Where inference runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDavidMatteDevice")]
#[repr(i32)]
#[allow(missing_docs)]
pub enum DeviceKind {
    #[enum_value(name = "Auto: the quickest that is there", nick = "auto")]
    Auto,
    #[enum_value(name = "CPU", nick = "cpu")]
    Cpu,
    #[enum_value(name = "NVIDIA CUDA", nick = "cuda")]
    Cuda,
    #[enum_value(name = "NVIDIA TensorRT", nick = "tensorrt")]
    TensorRt,
    #[enum_value(name = "Intel OpenVINO", nick = "openvino")]
    OpenVino,
    #[enum_value(name = "AMD MIGraphX", nick = "migraphx")]
    MiGraphX,
    #[enum_value(name = "Apple Core ML", nick = "coreml")]
    CoreMl,
    #[enum_value(name = "Microsoft DirectML", nick = "directml")]
    DirectMl,
    #[enum_value(name = "WebGPU: any GPU, by Vulkan, Direct3D 12 or Metal", nick = "webgpu")]
    WebGpu,
}

impl From<DeviceKind> for Device {
    fn from(kind: DeviceKind) -> Self {
        match kind {
            DeviceKind::Auto => Self::Auto,
            DeviceKind::Cpu => Self::Cpu,
            DeviceKind::Cuda => Self::Cuda,
            DeviceKind::TensorRt => Self::TensorRt,
            DeviceKind::OpenVino => Self::OpenVino,
            DeviceKind::MiGraphX => Self::MiGraphX,
            DeviceKind::CoreMl => Self::CoreMl,
            DeviceKind::DirectMl => Self::DirectMl,
            DeviceKind::WebGpu => Self::WebGpu,
        }
    }
}

/// What is shown while there is no matte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDavidMatteUntilReady")]
#[repr(i32)]
pub enum UntilReady {
    /// The background alone.
    #[enum_value(name = "Background: the background alone", nick = "background")]
    Background,
    /// No frame leaves.
    #[enum_value(name = "Wait: no frame leaves", nick = "wait")]
    Wait,
    /// The frame as it is.
    #[enum_value(name = "Passthrough: the frame as it is", nick = "passthrough")]
    Passthrough,
}

/// What the network looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDavidMatteRegion")]
#[repr(i32)]
pub enum RegionKind {
    /// The whole frame.
    #[enum_value(name = "Frame: the whole frame", nick = "frame")]
    Frame,
    /// The part of the frame that holds everybody in it.
    #[enum_value(
        name = "Auto: the part that holds everybody, followed from the last matte",
        nick = "auto"
    )]
    Auto,
}

/// What is done for edges once the network gave its matte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDavidMatteRefine")]
#[repr(i32)]
pub enum RefineKind {
    /// Nothing.
    #[enum_value(name = "None: the matte is enlarged as it is", nick = "none")]
    None,
    /// The network looks again at overlapping parts of what it saw.
    #[enum_value(
        name = "Zoom: the model looks again, closer, where the matte is uncertain",
        nick = "zoom"
    )]
    Zoom,
    /// A network of its own looks at the frame's pixels.
    #[enum_value(
        name = "Detail: a small network refines the matte at the frame's own resolution",
        nick = "detail"
    )]
    Detail,
}

/// How frames and mattes come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDavidMattePacing")]
#[repr(i32)]
pub enum Pacing {
    /// `exact`, or `latest` in a live stream that inference cannot keep up with.
    #[enum_value(name = "Auto: exact, or latest where a live stream leaves no time", nick = "auto")]
    Auto,
    /// Each frame waits for its own matte.
    #[enum_value(name = "Exact: each frame waits for its own matte", nick = "exact")]
    Exact,
    /// No frame waits.
    #[enum_value(
        name = "Latest: no frame waits, the newest matte is carried to it",
        nick = "latest"
    )]
    Latest,
}

impl From<Pacing> for Wanted {
    fn from(pacing: Pacing) -> Self {
        match pacing {
            Pacing::Auto => Self::Auto,
            Pacing::Exact => Self::Exact,
            Pacing::Latest => Self::Latest,
        }
    }
}
