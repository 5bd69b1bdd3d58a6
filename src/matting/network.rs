//! A network as the rest of the matting sees it: a tensor to fill, a matte to read.

use super::error::Error;
use super::model::InputDescription;

/// The size of a network's input or matte in samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Size {
    /// Number of samples.
    pub const fn area(self) -> usize {
        self.width * self.height
    }

    /// Whether a network may have this size: both sides 1 to [`MAX_SIDE`](super::model::MAX_SIDE).
    pub fn is_sensible(self) -> bool {
        [self.width, self.height].iter().all(|side| (1..=super::model::MAX_SIDE).contains(side))
    }
}

/// Something that makes a matte from a tensor.
///
/// [`Session`](super::session::Session) runs an ONNX model; tests and benchmarks put something
/// simple in its place.
pub trait Network: Send {
    /// What the tensor must hold.
    fn input_description(&self) -> &InputDescription;

    /// Size of the picture in the tensor.
    fn input_size(&self) -> Size;

    /// Size of the matte.
    fn mask_size(&self) -> Size;

    /// The input tensor, 3 × height × width values in the order of its description; it is kept
    /// from run to run.
    fn input(&mut self) -> &mut [f32];

    /// Runs the network on what [`input`](Self::input) holds and returns the matte, row by row,
    /// every value finite.
    ///
    /// # Errors
    /// [`Error::Inference`] where the run fails, [`Error::NotAMatte`] where its result is none.
    fn run(&mut self) -> Result<&[f32], Error>;
}
