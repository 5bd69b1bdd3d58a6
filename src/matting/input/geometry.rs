// SPDX-License-Identifier: MIT

//! How a frame lies in the network's input, and the network's matte on the frame: one axis at a
//! time.

use crate::matting::frame::aspect::PixelAspect;
use crate::matting::frame::size::Size;
use crate::matting::kernels::resample::AxisOperator;
use crate::matting::model::description::Fit;

/// DAViD halves a picture with the Gaussian pyramid while it is more than this many times the
/// network's size, so that the bilinear step that follows does not alias.
const PYRAMID_ABOVE: usize = 3;

/// How the masks of a network lie on the frames that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskLayout {
    /// Size of the network's input.
    pub input: Size,
    /// Size of the masks.
    pub mask: Size,
    /// How the input holds the frame.
    pub fit: Fit,
    /// The shape of the frame's pixels.
    pub aspect: PixelAspect,
}

impl MaskLayout {
    /// Of masks of this size that cover the frame and nothing else.
    pub const fn covering(mask: Size) -> Self {
        Self { input: mask, mask, fit: Fit::Stretch, aspect: PixelAspect::SQUARE }
    }

    /// The same, of frames whose pixels have this shape.
    #[must_use]
    pub const fn with_aspect(self, aspect: PixelAspect) -> Self {
        Self { aspect, ..self }
    }

    /// Both axes, horizontal first, of frames of `frame` size.
    pub fn axes(&self, frame: Size) -> [AxisGeometry; 2] {
        AxisGeometry::pair(frame, self.aspect, self.input, self.fit)
    }
}

/// One axis of the way between a frame and the network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxisGeometry {
    /// Samples of the frame.
    frame: usize,
    /// Samples after padding; the frame's own where nothing is padded.
    padded: usize,
    /// Samples of padding before the frame.
    before: usize,
    /// Samples of the network's input.
    input: usize,
    /// Samples of the input that show the padded frame.
    content: usize,
    /// Samples of the input before those.
    offset: usize,
}

impl AxisGeometry {
    /// Both axes, horizontal first, of a frame of `frame` size in an input of `input` size, whose samples
    /// are square.
    pub fn pair(frame: Size, aspect: PixelAspect, input: Size, fit: Fit) -> [Self; 2] {
        // How long a pixel of each axis is shown.
        let shown = [aspect.ratio(), 1.0];
        let axis = |frame, input| Self {
            frame,
            padded: frame,
            before: 0,
            input,
            content: input,
            offset: 0,
        };
        let mut axes = [axis(frame.width, input.width), axis(frame.height, input.height)];
        match fit {
            Fit::Stretch => {}
            Fit::Pad => {
                let scale = scale_to_fit(&axes, shown);
                for (axis, shown) in axes.iter_mut().zip(shown) {
                    let padded = axis.input as f64 / (scale * shown);
                    axis.padded = (padded.round() as usize).max(axis.frame);
                    axis.before = (axis.padded - axis.frame) / 2;
                }
            }
            Fit::Letterbox => {
                let scale = scale_to_fit(&axes, shown);
                for (axis, shown) in axes.iter_mut().zip(shown) {
                    let content = (axis.frame as f64 * shown * scale).round() as usize;
                    axis.content = content.clamp(1, axis.input);
                    axis.offset = (axis.input - axis.content) / 2;
                }
            }
        }
        axes
    }

    /// The input samples that show the frame or its padding.
    pub fn content(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.content
    }

    /// From frame samples to the samples in [`content`](Self::content).
    pub fn reduction(&self) -> AxisOperator {
        let mut operator = AxisOperator::pad(self.frame, self.before, self.padded);
        while operator.outputs() > PYRAMID_ABOVE * self.content {
            operator = operator.then(&AxisOperator::pyramid_down(operator.outputs()));
        }
        operator.then(&AxisOperator::bilinear(operator.outputs(), self.content))
    }

    /// From `mask` samples of the network's matte to frame samples.
    pub fn enlargement(&self, mask: usize) -> AxisOperator {
        let per_frame_sample = self.content as f64 / self.padded as f64;
        let per_input_sample = mask as f64 / self.input as f64;
        AxisOperator::bicubic(
            mask,
            (0..self.frame).map(|i| {
                let input =
                    ((i + self.before) as f64 + 0.5) * per_frame_sample + self.offset as f64;
                input * per_input_sample - 0.5
            }),
        )
    }

    /// Where the frame's edge, half a sample before its first, lies in the mask, whose own edge is at 0.
    pub fn frame_edge(&self, mask: usize) -> f32 {
        let per_input_sample = mask as f32 / self.input as f32;
        self.before as f32 * self.mask_per_frame(mask) + self.offset as f32 * per_input_sample
    }

    /// Mask samples to one frame sample.
    pub fn mask_per_frame(&self, mask: usize) -> f32 {
        (self.content as f64 / self.padded as f64 * mask as f64 / self.input as f64) as f32
    }
}

/// Input samples to a length of 1 at which the whole frame finds room.
fn scale_to_fit(axes: &[AxisGeometry; 2], shown: [f64; 2]) -> f64 {
    let scales = axes.iter().zip(shown);
    let scales = scales.map(|(axis, shown)| axis.input as f64 / (axis.frame as f64 * shown));
    scales.fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: Size = Size { width: 512, height: 512 };

    #[test]
    fn a_wide_frame_is_padded_above_and_below_the_smaller_half_first() {
        let [x, y] = AxisGeometry::pair(
            Size { width: 641, height: 478 },
            PixelAspect::SQUARE,
            INPUT,
            Fit::Pad,
        );
        assert_eq!((x.padded, x.before), (641, 0));
        assert_eq!((y.padded, y.before), (641, 81));
        assert_eq!(y.content(), 0..512);
    }

    #[test]
    fn an_input_that_is_no_square_has_its_shape_padded() {
        let input = Size { width: 416, height: 256 };
        let pair = |width, height| {
            AxisGeometry::pair(Size { width, height }, PixelAspect::SQUARE, input, Fit::Pad)
        };
        let [x, y] = pair(1920, 1080);
        assert_eq!((x.padded, y.padded, y.before), (1920, 1182, 51));
        let [x, y] = pair(600, 1000);
        assert_eq!((x.padded, x.before, y.padded), (1625, 512, 1000));
    }

    #[test]
    fn full_hd_takes_at_most_seven_taps_and_291_different_rows() {
        let [x, y] = AxisGeometry::pair(
            Size { width: 1920, height: 1080 },
            PixelAspect::SQUARE,
            INPUT,
            Fit::Pad,
        );
        assert_eq!(x.reduction().max_taps(), 7);
        let rows = y.reduction();
        let distinct = 1 + (1..rows.outputs()).filter(|&i| !rows.is_repeat(i, i - 1)).count();
        assert_eq!(distinct, 291);
    }

    #[test]
    fn a_letterbox_keeps_the_aspect_ratio() {
        let input = Size { width: 160, height: 96 };
        let [x, y] = AxisGeometry::pair(
            Size { width: 1000, height: 1000 },
            PixelAspect::SQUARE,
            input,
            Fit::Letterbox,
        );
        assert_eq!((x.content(), y.content()), (32..128, 0..96));
    }

    #[test]
    fn a_matte_comes_back_where_its_frame_was() {
        for fit in [Fit::Pad, Fit::Letterbox, Fit::Stretch] {
            for axis in AxisGeometry::pair(
                Size { width: 333, height: 777 },
                PixelAspect::SQUARE,
                INPUT,
                fit,
            ) {
                // A ramp through both directions is the ramp again, but for the borders and for what
                // a cubic with a = −0.75 adds to a ramp.
                let both = axis.reduction();
                let content = axis.content();
                let placed = AxisOperator::pad(both.outputs(), content.start, axis.input);
                let back = both.then(&placed).then(&axis.enlargement(axis.input));
                let packed = back.pack(1);
                for i in axis.frame / 4..axis.frame * 3 / 4 {
                    let (first, weights) = packed.row(i);
                    let value: f32 =
                        weights.iter().enumerate().map(|(k, w)| w * (first + k) as f32).sum();
                    assert!((value - i as f32).abs() < 0.1, "{fit:?}: {value} at {i}");
                }
            }
        }
    }

    #[test]
    fn pixels_that_are_not_square_reach_the_network_in_their_shape() {
        // PAL at 16:9, which is shown 1024 pixels wide.
        let (frame, aspect) = (Size { width: 720, height: 576 }, PixelAspect::new(64, 45));
        let [x, y] = AxisGeometry::pair(frame, aspect, INPUT, Fit::Pad);
        assert_eq!((x.padded, x.before), (720, 0));
        assert_eq!((y.padded, y.before), (1024, 224));
        let [x, y] = AxisGeometry::pair(frame, aspect, INPUT, Fit::Letterbox);
        assert_eq!((x.content, y.content), (512, 288));
        // Pixels that are higher than wide.
        let [x, y] = AxisGeometry::pair(frame, PixelAspect::new(1, 2), INPUT, Fit::Pad);
        assert_eq!((x.padded, y.padded), (1152, 576));
    }
}
