//! Matting without GStreamer: a frame goes in, a matte or a composed picture comes out.
//!
//! The way of a frame, each step its own module, none of which knows what comes two steps later:
//!
//! 1. [`frame_view`]: borrowed planes with strides, format and colour
//! 2. [`prepare`]: frame to tensor, one sparse operator per axis ([`resample`], [`geometry`])
//! 3. [`session`]: tensor to mask, by ONNX Runtime, behind the trait [`network::Network`]
//! 4. [`finish`]: the mask shaped, and [`matte`]: the rows of it at the frame's size, and where they are soft
//! 5. [`foreground`]: the person's own colours where the matte is soft
//! 6. [`compose`]: matte, frame and background ([`backdrop`]) to the output's pixels; a large frame
//!    in bands of rows, at the same time
//!
//! Before a network is asked, [`region`] finds the part of the frame that is worth looking at, and
//! [`canvas`] draws the mask of it into one of the whole frame. [`refine`] looks closer at its edges,
//! where there is time for that. [`temporal`] takes flicker out of the masks of a stream.
//!
//! Between inferences, [`carry`] brings the mask of an earlier frame to the one at hand, and
//! [`worker`] runs a network in a thread of its own. [`matter::Matter`] is all but inference together.

pub mod error;

pub(crate) mod attention;
pub(crate) mod compose;
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
    pub use super::compose::composer::{Colors, Output};
    pub use super::compose::compositor::{Compositor, Look};
    pub use super::compose::picture::Picture;
    pub use super::error::Error;
    pub use super::frame::aspect::PixelAspect;
    pub use super::frame::color::{ChromaSite, Colorimetry, Matrix, Range};
    pub use super::frame::pixel_format::PixelFormat;
    pub use super::frame::region::Region;
    pub use super::frame::size::Size;
    pub use super::frame::view::{
        FrameLayout, FrameView, FrameViewMut, OwnedFrame, Plane, PlaneMut,
    };
    pub use super::inference::network::{Network, NetworkShape, Terminator};
    pub use super::inference::session::{Device, Session, SessionOptions};
    pub use super::input::geometry::MaskLayout;
    pub use super::input::regions::RegionPreparer;
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
