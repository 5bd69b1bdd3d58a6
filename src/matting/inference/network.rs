// SPDX-License-Identifier: MIT

//! A network as the rest of the matting sees it: a tensor to fill, a matte to read.

use crate::matting::error::Error;
use crate::matting::frame::aspect::PixelAspect;
use crate::matting::frame::size::Size;
use crate::matting::input::geometry::MaskLayout;
use crate::matting::input::layouts::MaskLayouts;
use crate::matting::model::description::InputDescription;
use crate::matting::model::size_rule::SizeRule;

/// What a network takes and gives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NetworkShape {
    /// What the tensor must hold.
    pub description: InputDescription,
    /// Size of the picture in the tensor.
    pub input: Size,
    /// Size of the mask.
    pub mask: Size,
    /// What it keeps from frame to frame.
    pub memory: Memory,
    /// Whether it gives [colours](Network::foreground) as well.
    pub has_foreground: bool,
    /// Which sides are open, and follow the frame where the description says so.
    pub open: OpenSides,
    /// Whether they follow each part of a frame that it is given. Not where a device compiles for each size, or
    /// tries out what is quickest for it: parts have the size for the whole frame there.
    pub adapts: bool,
}

/// What a network keeps from frame to frame. One that keeps something sees whole frames, all of them that
/// are inferred in their order, and each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// States of its own.
    pub states: bool,
    /// The matte before, which it is [given](Network::previous).
    pub previous: bool,
}

impl Memory {
    /// Whether it keeps anything.
    pub const fn is_any(self) -> bool {
        self.states || self.previous
    }
}

/// Which sides of a network's tensors are open: width, then height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenSides {
    /// Of the input.
    pub input: [bool; 2],
    /// Of the mask: they are the input's.
    pub mask: [bool; 2],
}

impl OpenSides {
    /// A size, with the open sides of another one.
    pub(crate) const fn pick(open: [bool; 2], size: Size, other: Size) -> Size {
        Size {
            width: if open[0] { other.width } else { size.width },
            height: if open[1] { other.height } else { size.height },
        }
    }
}

impl NetworkShape {
    /// Of a network whose sizes are fixed and that keeps nothing.
    pub const fn new(description: InputDescription, input: Size, mask: Size) -> Self {
        Self {
            description,
            input,
            mask,
            memory: Memory { states: false, previous: false },
            has_foreground: false,
            open: OpenSides { input: [false; 2], mask: [false; 2] },
            adapts: true,
        }
    }

    /// The same network for frames that are shown at `frame` size: its input follows their shape where its
    /// description says so.
    #[must_use]
    pub fn fitted(&self, frame: Size) -> Self {
        let MaskLayout { input, mask, .. } = self.following(PixelAspect::SQUARE).of(frame);
        Self { input, mask, ..self.clone() }
    }

    /// How its masks lie on whatever it is given of frames that it is [fitted](Self::fitted) to, of pixels of
    /// that shape.
    pub fn layouts(&self, aspect: PixelAspect) -> MaskLayouts {
        match self.adapts {
            true => self.following(aspect),
            false => self.masks().with_aspect(aspect).into(),
        }
    }

    fn following(&self, aspect: PixelAspect) -> MaskLayouts {
        let usual = self.masks().with_aspect(aspect);
        match self.description.size.filter(SizeRule::follows_frame) {
            Some(rule) => MaskLayouts::following(usual, self.open, rule),
            None => usual.into(),
        }
    }

    /// How its masks lie on the frames that it is given, whose pixels are square.
    pub const fn masks(&self) -> MaskLayout {
        let aspect = PixelAspect::SQUARE;
        MaskLayout { input: self.input, mask: self.mask, fit: self.description.fit, aspect }
    }

    /// Values in the input tensor.
    pub const fn tensor_len(&self) -> usize {
        3 * self.input.area()
    }

    /// Whether it is shown whole frames only, each once: one with a memory, which would remember something
    /// else, and one with colours of its own, which belong to what it saw.
    pub const fn sees_whole_frames(&self) -> bool {
        self.memory.states || self.memory.previous || self.has_foreground
    }
}

/// Something that makes a mask from a tensor.
///
/// [`Session`](crate::matting::inference::session::Session) runs an ONNX model; tests and benchmarks put something
/// simple in its place.
pub trait Network: Send {
    /// What it takes and gives.
    fn shape(&self) -> NetworkShape;

    /// From now on takes pictures of another size, one that [`NetworkShape::fitted`] gives.
    ///
    /// # Errors
    /// [`Error::Inference`] where it cannot.
    fn resize(&mut self, input: Size) -> Result<(), Error> {
        match self.shape().input == input {
            true => Ok(()),
            false => {
                Err(Error::Inference { reason: format!("the network takes no picture of {input}") })
            }
        }
    }

    /// The input tensor, [`NetworkShape::tensor_len`] values in the order of its description; it
    /// is kept from run to run.
    fn input(&mut self) -> &mut [f32];

    /// The matte before, 0 to 1, at the input's size; empty where the network takes none.
    fn previous(&mut self) -> &mut [f32] {
        &mut []
    }

    /// Forgets what it keeps from frame to frame.
    fn start_anew(&mut self) {}

    /// Runs the network on what [`input`](Self::input) holds and writes the mask, row by row,
    /// every value finite.
    ///
    /// # Errors
    /// [`Error::Inference`] where the run fails, [`Error::NotAMatte`] where its result is none;
    /// `mask` may hold anything then, and what it keeps is forgotten.
    fn run(&mut self, mask: &mut [f32]) -> Result<(), Error>;

    /// What the person's own colours add to the picture's, by the last run: red, green and blue as planes of
    /// the mask's size, -1 to 1, where black is 0 and white is 1; empty where the network gives none.
    fn foreground(&self) -> &[f32] {
        &[]
    }

    /// What there is to tell of the last run though it succeeded.
    fn take_warning(&mut self) -> Option<Error> {
        None
    }

    /// Something to call from another thread that ends a run early, with an error; none where
    /// runs cannot be ended.
    fn terminator(&self) -> Option<Terminator> {
        None
    }
}

/// Ends a network's run from another thread.
pub type Terminator = Box<dyn Fn() + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::model::size_rule::Shaped;

    #[test]
    fn only_open_sides_follow_the_frame() {
        let size = |width, height| Size { width, height };
        let rule =
            Shaped { short: Some(64), long: None, area: None, multiple: 16, min: None, max: None };
        let description =
            InputDescription { size: Some(SizeRule::Shaped(rule)), ..Default::default() };
        let mut shape = NetworkShape::new(description, size(512, 512), size(256, 256));
        assert_eq!(shape.fitted(size(1920, 1080)), shape);
        shape.open = OpenSides { input: [true, true], mask: [true, false] };
        let mut fitted = shape.fitted(size(1920, 1080));
        assert_eq!((fitted.input, fitted.mask), (size(112, 64), size(112, 256)));
        // Parts of that frame, where it adapts to them and where it does not.
        let part = size(500, 500);
        assert_eq!(fitted.layouts(PixelAspect::SQUARE).of(part).input, size(64, 64));
        fitted.adapts = false;
        assert_eq!(fitted.layouts(PixelAspect::SQUARE).of(part).input, size(112, 64));
    }
}
