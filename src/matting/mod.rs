// SPDX-License-Identifier: MIT

//! Matting without GStreamer: a frame goes in, a matte or a composed picture comes out.
//!
//! [`prelude`] holds what a program needs for single frames, [`stream`] what mattes a stream of them. The
//! way of a frame is that of the modules, each of which uses only those before it:
//!
//! 1. `frame`: borrowed planes with strides, formats, colours, the shape of pixels
//! 2. `kernels`: loops over rows and columns that know no subject
//! 3. `model`: which network, what it expects and gives
//! 4. `inference`: tensor to mask, by ONNX Runtime, behind the trait [`Network`](prelude::Network)
//! 5. `input`: frame to tensor, one sparse operator for each axis
//! 6. `matte`: mask to matte, shaped, and enlarged row by row
//! 7. `attention`: where the network looks
//! 8. `time`: mattes propagated from frame to frame, and smoothed
//! 9. `detail`: tiles of mattes refined at the frame's own resolution
//! 10. `compose`: matte, frame and background to pixels
//! 11. `stream`: all of it, for frames that follow each other
//!
//! A *mask* has the network's size, a *matte* the frame's. A *guide* is a small picture of a frame, on
//! which motion and cuts are found. The *backdrop* is a background made ready for an output. To *unmix* is
//! to tell the person's colours from those of the old background. *Pacing* is how frames and mattes come
//! together.

pub mod error;

pub(crate) mod attention;
pub(crate) mod compose;
pub(crate) mod detail;
pub(crate) mod frame;
pub(crate) mod inference;
pub(crate) mod input;
pub(crate) mod kernels;
pub(crate) mod matte;
pub(crate) mod model;
pub mod stream;
pub(crate) mod time;

/// What a program that mattes frames needs.
pub mod prelude {
    pub use super::compose::backdrop::Background;
    pub use super::compose::composer::Colors;
    pub use super::compose::compositor::{Compositor, Inferred, Look};
    pub use super::compose::output::Output;
    pub use super::compose::picture::Picture;
    pub use super::detail::Detailer;
    pub use super::error::Error;
    pub use super::frame::aspect::PixelAspect;
    pub use super::frame::color::{ChromaSite, Colorimetry, Matrix, Primaries, Range, Transfer};
    pub use super::frame::packed::Packing;
    pub use super::frame::pixel_format::{Depth, Family, PixelFormat};
    pub use super::frame::region::Region;
    pub use super::frame::sample::Sample;
    pub use super::frame::size::Size;
    pub use super::frame::view::{
        FrameLayout, FrameView, FrameViewMut, OwnedFrame, Plane, PlaneMut,
    };
    pub use super::inference::network::{Network, NetworkShape, Terminator};
    pub use super::inference::session::{Device, Session, SessionOptions, TileSession};
    pub use super::inference::tiles::TileNetwork;
    pub use super::input::geometry::MaskLayout;
    pub use super::input::regions::RegionPreparer;
    pub use super::matte::details::Details;
    pub use super::matte::shape::MatteSettings;
    pub use super::model::catalog::{KnownModel, ModelBytes, ModelSource};
    pub use super::model::description::{Fit, InputDescription};
    pub use super::model::folders::{model_folders, user_data_folder};
}

/// Single steps of a stream, for measuring them by themselves; they change without notice.
#[doc(hidden)]
pub mod parts {
    pub use super::attention::canvas::Canvas;
    pub use super::attention::refine::Refiner;
    pub use super::attention::track::Follower;
    pub use super::time::carry::{Carried, Carrier};
    pub use super::time::guide::Guides;
    pub use super::time::smooth::Smoother;
}
