// SPDX-License-Identifier: MIT

//! A network as the rest of the matting sees it: a tensor to fill, a matte to read.

use crate::matting::error::Error;
use crate::matting::frame::aspect::PixelAspect;
use crate::matting::frame::size::Size;
use crate::matting::input::geometry::MaskLayout;
use crate::matting::model::description::InputDescription;

/// What a network takes and gives.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkShape {
    /// What the tensor must hold.
    pub description: InputDescription,
    /// Size of the picture in the tensor.
    pub input: Size,
    /// Size of the mask.
    pub mask: Size,
}

impl NetworkShape {
    /// How its masks lie on the frames that it is given, whose pixels are square.
    pub const fn masks(&self) -> MaskLayout {
        let aspect = PixelAspect::SQUARE;
        MaskLayout { input: self.input, mask: self.mask, fit: self.description.fit, aspect }
    }

    /// Values in the input tensor.
    pub const fn tensor_len(&self) -> usize {
        3 * self.input.area()
    }
}

/// Something that makes a mask from a tensor.
///
/// [`Session`](crate::matting::inference::session::Session) runs an ONNX model; tests and benchmarks put something
/// simple in its place.
pub trait Network: Send {
    /// What it takes and gives.
    fn shape(&self) -> NetworkShape;

    /// The input tensor, [`NetworkShape::tensor_len`] values in the order of its description; it
    /// is kept from run to run.
    fn input(&mut self) -> &mut [f32];

    /// Runs the network on what [`input`](Self::input) holds and writes the mask, row by row,
    /// every value finite.
    ///
    /// # Errors
    /// [`Error::Inference`] where the run fails, [`Error::NotAMatte`] where its result is none;
    /// `mask` may hold anything then.
    fn run(&mut self, mask: &mut [f32]) -> Result<(), Error>;

    /// Something to call from another thread that ends a run early, with an error; none where
    /// runs cannot be ended.
    fn terminator(&self) -> Option<Terminator> {
        None
    }
}

/// Ends a network's run from another thread.
pub type Terminator = Box<dyn Fn() + Send + Sync>;
