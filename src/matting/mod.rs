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

pub mod backdrop;
pub(crate) mod bands;
mod blend;
pub mod builtin;
pub mod canvas;
pub mod carry;
pub mod color;
mod columns;
pub mod compose;
pub mod convert;
pub mod error;
pub mod finish;
pub mod foreground;
pub mod frame_view;
pub mod geometry;
mod half;
pub mod mask;
pub mod matte;
pub mod matter;
pub mod model;
mod motion;
pub mod network;
pub mod pixel_format;
pub mod prepare;
pub mod refine;
pub mod region;
pub mod resample;
mod reveal;
mod round;
mod runs;
pub mod runtime;
pub mod session;
mod square_mean;
pub mod temporal;
mod warp;
pub mod worker;

/// What a program that mattes frames needs.
pub mod prelude {
    pub use super::backdrop::{Background, Picture};
    pub use super::canvas::Canvas;
    pub use super::carry::{Carried, Carrier, Guide};
    pub use super::color::{ChromaSite, Colorimetry, Matrix, Range};
    pub use super::compose::{Colors, Output};
    pub use super::error::Error;
    pub use super::finish::MatteSettings;
    pub use super::frame_view::{
        FrameLayout, FrameView, FrameViewMut, OwnedFrame, Plane, PlaneMut,
    };
    pub use super::matter::{Look, Matter};
    pub use super::model::{Fit, KnownModel, ModelSource};
    pub use super::network::{Network, NetworkShape, Size};
    pub use super::pixel_format::PixelFormat;
    pub use super::refine::Refiner;
    pub use super::region::{Follower, Region};
    pub use super::session::{Device, Session, SessionOptions};
    pub use super::temporal::{Change, Smoother};
}
