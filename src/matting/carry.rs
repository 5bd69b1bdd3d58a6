//! The matte of an earlier frame for the frame at hand: so far it is held as it was.

use super::frame_view::{FrameLayout, FrameView};
use super::model::Fit;
use super::network::Size;

/// A small picture of a frame, which motion is estimated on.
#[derive(Clone, Debug, Default)]
pub struct Guide;

/// What became of a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// It is where the frame's people are.
    Moved,
    /// The frames show different scenes.
    Cut,
}

/// Carries masks between frames of one layout.
pub struct Carrier;

impl Carrier {
    /// For frames of `layout` that `fit` brings to an `input`, and masks of size `mask`.
    pub fn new(_layout: &FrameLayout, _input: Size, _mask: Size, _fit: Fit) -> Self {
        Self
    }

    /// An empty guide.
    pub fn guide(&self) -> Guide {
        Guide
    }

    /// Makes the guide of a frame.
    pub fn look(&mut self, _frame: &FrameView<'_>, _guide: &mut Guide) {}

    /// Brings the mask of the frame seen as `from` to the frame seen as `to`.
    pub fn carry(&mut self, _from: &Guide, mask: &[f32], _to: &Guide, out: &mut [f32]) -> Carried {
        out.copy_from_slice(mask);
        Carried::Moved
    }
}
