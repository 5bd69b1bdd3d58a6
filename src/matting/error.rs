// SPDX-License-Identifier: MIT

//! What can go wrong, each with a sentence that says what failed and what to do.

use std::path::PathBuf;

use crate::matting::frame::pixel_format::PixelFormat;

/// Any failure of the matting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// ONNX Runtime's shared library could not be loaded.
    #[error(
        "ONNX Runtime could not be loaded ({reason}); looked for {looked_for}. Run \
         `make setup`, or install your distribution's package and set ORT_DYLIB_PATH to its \
         libonnxruntime.so"
    )]
    RuntimeMissing {
        /// What the loader said.
        reason: String,
        /// The files and folders tried, in order.
        looked_for: String,
    },

    /// The model is neither a known name nor a file.
    #[error("model `{model}` was not found; looked for {looked_for}. {remedy}")]
    ModelNotFound {
        /// The setting.
        model: String,
        /// The files tried, in order.
        looked_for: String,
        /// How to get it.
        remedy: String,
    },

    /// The model's file could not be read, or ONNX Runtime does not understand it.
    #[error("model {path} could not be read ({reason}); check the file, or fetch it again")]
    ModelUnreadable {
        /// The file.
        path: String,
        /// What the system or ONNX Runtime said.
        reason: String,
    },

    /// The model's inputs or outputs are not those of a matting network.
    #[error(
        "model {path} is not a matting network that is understood: {found}. Understood are one \
         float32 or float16 picture of shape (1, 3, H, W), or (1, H, W, 3) with a sidecar, and a matte \
         of shape (1, C, H, W), (1, H, W, C), (1, H, W) or (H, W); describe any other, and further inputs, \
         in {sidecar}"
    )]
    ModelContract {
        /// The file.
        path: String,
        /// What it has instead.
        found: String,
        /// Where its description would be looked for.
        sidecar: String,
    },

    /// The description beside a model is wrong.
    #[error("model description {path} is not valid: {reason}")]
    Description {
        /// The TOML file.
        path: String,
        /// Line, key and what was expected.
        reason: String,
    },

    /// A named device cannot be had.
    #[error("device `{device}` cannot be had: {reason}")]
    DeviceUnavailable {
        /// The setting.
        device: String,
        /// What is missing, or what the provider said.
        reason: String,
    },

    /// ONNX Runtime failed on a frame.
    #[error("inference failed: {reason}")]
    Inference {
        /// What ONNX Runtime said.
        reason: String,
    },

    /// A device that was chosen by itself failed while it ran; another one goes on.
    #[error(
        "inference on {device} failed ({reason}); it goes on on {active}. Look at the device's driver and \
         memory, or set device=cpu to begin there"
    )]
    DeviceLost {
        /// What it ran on.
        device: String,
        /// What ONNX Runtime said.
        reason: String,
        /// What it runs on now.
        active: String,
    },

    /// The network that refines mattes failed on a device; the processor goes on.
    #[error(
        "mattes are not refined on {device} ({reason}), but on {active}; set refine=none to do without"
    )]
    RefinedElsewhere {
        /// Where the network runs that gives them.
        device: String,
        /// What ONNX Runtime said.
        reason: String,
        /// What refines them now.
        active: String,
    },

    /// The network that refines mattes failed, on the processor as well.
    #[error("mattes are not refined any more: {reason}; set refine=none, or begin anew")]
    NotRefined {
        /// What ONNX Runtime said.
        reason: String,
    },

    /// What a network gave to itself from one frame to the next was of no use.
    #[error("the network's state `{state}` held values that are not finite; it began anew")]
    StateLost {
        /// The output that gave it.
        state: String,
    },

    /// The network gave something that is not a matte.
    #[error(
        "the network's output is not a matte: {found}; where the network gives logits, name their \
         activation in its description"
    )]
    NotAMatte {
        /// The offending value.
        found: String,
    },

    /// The background picture is missing or not a picture.
    #[error("background picture {path} could not be used: {reason}")]
    Background {
        /// The file.
        path: PathBuf,
        /// Whether the file does not exist (rather than being unreadable).
        missing: bool,
        /// What the system or the decoder said.
        reason: String,
    },

    /// A frame's memory could not be looked at.
    #[error("a frame could not be mapped: {reason}")]
    FrameUnreadable {
        /// What the system said.
        reason: String,
    },

    /// A frame's planes are shorter than its size and format need.
    #[error(
        "plane {plane} of a {width}x{height} {format:?} frame has {data} bytes at a stride of \
         {stride}, which is less than the frame needs"
    )]
    FrameTooSmall {
        /// The frame's format.
        format: PixelFormat,
        /// The frame's width.
        width: usize,
        /// The frame's height.
        height: usize,
        /// The plane's index.
        plane: usize,
        /// The bytes it has.
        data: usize,
        /// Bytes from row to row.
        stride: usize,
    },

    /// Samples of two bytes lie at odd addresses.
    #[error(
        "plane {plane} of a {format:?} frame begins at an odd address, or has an odd stride of {stride} \
         bytes; its samples have two bytes, and lie at even ones"
    )]
    FrameMisaligned {
        /// The frame's format.
        format: PixelFormat,
        /// The plane's index.
        plane: usize,
        /// Bytes from row to row.
        stride: usize,
    },

    /// A pair of formats between which frames are not converted.
    #[error("a {from:?} frame cannot become {to:?} here")]
    Conversion {
        /// Format of the frame that goes in.
        from: PixelFormat,
        /// Format of the frame that should come out.
        to: PixelFormat,
    },
}

/// What a library says of its failure, on one line.
pub fn one_line(failure: &impl std::fmt::Display) -> String {
    failure.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
