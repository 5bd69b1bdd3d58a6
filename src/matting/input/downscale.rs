// SPDX-License-Identifier: MIT

//! A frame at half its size, of bytes: what is made much smaller is made so first, at less cost.

use crate::matting::frame::pixel_format::{Family, PixelFormat};
use crate::matting::frame::view::{FrameLayout, FrameView, OwnedFrame};
use crate::matting::kernels::bytes::gather;
use crate::matting::kernels::bytes::halve;

/// Makes frames of one layout half as wide and high: each colour component by means over 2 x 2 of its
/// samples, into a plane of its own.
pub struct Halver {
    half: OwnedFrame,
    /// Two rows of a component whose samples do not lie side by side.
    rows: [Vec<u8>; 2],
}

impl Halver {
    /// For frames of `layout`.
    pub fn new(layout: &FrameLayout) -> Self {
        let components = layout.format.color_components();
        // Red, green and blue stand for three planes as well as any other colours do.
        let format = match components.last() {
            _ if layout.format.family() == Family::Gray => PixelFormat::Gray8,
            Some(chroma) if chroma.v_shift > 0 => PixelFormat::I420,
            Some(chroma) if chroma.h_shift > 0 => PixelFormat::Y42b,
            _ => PixelFormat::Y444,
        };
        let (width, height) = (layout.width.div_ceil(2), layout.height.div_ceil(2));
        let half = OwnedFrame::new(FrameLayout { format, width, height, ..*layout });
        Self { half, rows: [vec![0; layout.width], vec![0; layout.width]] }
    }

    /// What becomes of the frames: planes in the order of the frame's colour components, whose codes
    /// they hold.
    pub fn layout(&self) -> FrameLayout {
        *self.half.view().layout()
    }

    /// Half of `frame`, which has the layout that this was made for.
    pub fn halve(&mut self, frame: &FrameView<'_>) -> FrameView<'_> {
        let FrameLayout { format, width, height, .. } = *frame.layout();
        let mut half = self.half.view_mut();
        for (plane, component) in format.color_components().iter().enumerate() {
            let (width, last) = (component.width(width), component.height(height) - 1);
            for y in 0..(last + 1).div_ceil(2) {
                let [upper, lower] = [2 * y, (2 * y + 1).min(last)];
                let [upper, lower] = [upper, lower].map(|y| frame.row(component.plane, y));
                let out = half.row_mut(plane, y);
                if component.step == 1 {
                    halve(&upper[..width], &lower[..width], true, out);
                    continue;
                }
                let [first, second] = self.rows.each_mut().map(|row| &mut row[..width]);
                gather(upper, component.offset, component.step, first);
                gather(lower, component.offset, component.step, second);
                halve(first, second, true, out);
            }
        }
        self.half.view()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_the_mean_of_four() {
        for format in PixelFormat::ALL.into_iter().filter(|&f| f != PixelFormat::Gray16Le) {
            for (width, height) in [(1, 1), (2, 5), (40, 8), (75, 33), (131, 2)] {
                let layout = FrameLayout::new(format, width, height);
                let mut frame = OwnedFrame::new(layout);
                for plane in 0..format.planes() {
                    for y in 0..format.plane_rows(plane, height) {
                        for (x, byte) in frame.view_mut().row_mut(plane, y).iter_mut().enumerate() {
                            *byte = (x * 37 + y * 101 + plane * 59) as u8;
                        }
                    }
                }
                let mut halver = Halver::new(&layout);
                let half = halver.halve(&frame.view());
                let (half_layout, view) = (*half.layout(), frame.view());
                assert_eq!(
                    (half_layout.width, half_layout.height),
                    (width.div_ceil(2), height.div_ceil(2))
                );
                for (plane, c) in format.color_components().iter().enumerate() {
                    let own = half_layout.format.color_components()[plane];
                    let [right, below] = [c.width(width) - 1, c.height(height) - 1];
                    for y in 0..own.height(half_layout.height) {
                        for x in 0..own.width(half_layout.width) {
                            let at = |x: usize, y: usize| {
                                let row = view.row(c.plane, y.min(below));
                                f32::from(row[x.min(right) * c.step + c.offset])
                            };
                            let sum = at(2 * x, 2 * y)
                                + at(2 * x + 1, 2 * y)
                                + at(2 * x, 2 * y + 1)
                                + at(2 * x + 1, 2 * y + 1);
                            let got = f32::from(half.row(plane, y)[x]);
                            assert!((got - sum / 4.0).abs() <= 0.5, "{format:?} {width} {x} {y}");
                        }
                    }
                }
            }
        }
    }
}
