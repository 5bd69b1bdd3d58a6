// SPDX-License-Identifier: MIT

//! A frame at half its size, of bytes whatever its depth: what is made much smaller is made so first, at less
//! cost.

use multiversion::multiversion;

use crate::matting::frame::packed::Band;
use crate::matting::frame::pixel_format::{Depth, Family, PixelFormat};
use crate::matting::frame::sample::Sample;
use crate::matting::frame::view::{FrameLayout, FrameView, FrameViewMut, OwnedFrame};
use crate::matting::kernels::samples::{gather, halve};

/// Makes frames of one layout half as wide and high: each colour component by means over 2 x 2 of its
/// samples, rounded to 8 bits, into a plane of its own.
pub struct Halver {
    half: OwnedFrame,
    rows: Rows,
    /// Two rows of a frame whose codes do not lie apart.
    band: Option<Band>,
}

/// What is between a frame's rows and those of its half, by the width of the frame's samples.
enum Rows {
    Narrow(Scratch<u8>),
    Wide(Scratch<u16>),
}

/// Two rows of a component whose samples do not lie side by side, and a row of means.
struct Scratch<S>([Vec<S>; 3]);

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
        let rows = match layout.format.sample_bytes() {
            1 => Rows::Narrow(Scratch::new(layout.width)),
            _ => Rows::Wide(Scratch::new(layout.width)),
        };
        Self { half, rows, band: Band::new(layout, 2) }
    }

    /// What becomes of the frames: planes in the order of the frame's colour components, whose codes
    /// they hold, rounded.
    pub fn layout(&self) -> FrameLayout {
        *self.half.view().layout()
    }

    /// Half of `frame`, which has the layout that this was made for.
    pub fn halve(&mut self, frame: &FrameView<'_>) -> FrameView<'_> {
        let mut half = self.half.view_mut();
        let height = frame.layout().height;
        for y in 0..height.div_ceil(2) {
            let apart;
            let frame = match &mut self.band {
                Some(band) => {
                    apart = band.take(frame, 2 * y..height.min(2 * y + 2));
                    &apart
                }
                None => frame,
            };
            match &mut self.rows {
                Rows::Narrow(scratch) => scratch.halve(frame, y, &mut half, |means, _, out| {
                    out.copy_from_slice(means);
                }),
                Rows::Wide(scratch) => scratch.halve(frame, y, &mut half, round),
            }
        }
        self.half.view()
    }
}

impl<S: Sample> Scratch<S> {
    fn new(width: usize) -> Self {
        Self(std::array::from_fn(|_| vec![S::NONE; width]))
    }

    /// Makes row `y` of all planes that have one.
    fn halve(
        &mut self,
        frame: &FrameView<'_>,
        y: usize,
        half: &mut FrameViewMut<'_>,
        round: impl Fn(&[S], Depth, &mut [u8]),
    ) {
        let FrameLayout { format, width, height, .. } = *frame.layout();
        let [first, second, means] = &mut self.0;
        for (plane, component) in format.color_components().iter().enumerate() {
            let (width, last) = (component.width(width), component.height(height) - 1);
            if 2 * y > last {
                continue;
            }
            let [upper, lower] = [2 * y, (2 * y + 1).min(last)];
            let rows: [&[S]; 2] = [upper, lower].map(|y| frame.samples(component.plane, y));
            let out = half.row_mut(plane, y);
            let means = &mut means[..out.len()];
            if component.step == 1 {
                halve(&rows[0][..width], &rows[1][..width], true, means);
            } else {
                let [first, second] = [&mut first[..width], &mut second[..width]];
                gather(rows[0], component.offset, component.step, first);
                gather(rows[1], component.offset, component.step, second);
                halve(first, second, true, means);
            }
            round(means, format.depth(), out);
        }
    }
}

/// Codes of more than 8 bits to the nearest ones of 8.
#[multiversion(targets = "simd")]
fn round(row: &[u16], depth: Depth, out: &mut [u8]) {
    for (out, sample) in out.iter_mut().zip(row) {
        *out = u8::encode(sample.decode(depth), Depth::EIGHT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_the_mean_of_four() {
        for format in PixelFormat::ALL {
            for (width, height) in [(1, 1), (2, 5), (40, 8), (75, 33), (131, 2)] {
                let layout = FrameLayout::new(format, width, height);
                let mask = (1 << format.depth().bits) - 1;
                let frame = OwnedFrame::painted(layout, |index, x, y| {
                    (x * 397 + y * 1101 + index * 59) as u32 & mask
                });
                let codes = frame.codes();
                let mut halver = Halver::new(&layout);
                let half = halver.halve(&frame.view());
                let half_layout = *half.layout();
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
                                let code = codes[plane][y.min(below) * (right + 1) + x.min(right)];
                                code as f32 / (mask + 1) as f32 * 256.0
                            };
                            let sum = at(2 * x, 2 * y)
                                + at(2 * x + 1, 2 * y)
                                + at(2 * x, 2 * y + 1)
                                + at(2 * x + 1, 2 * y + 1);
                            let got = f32::from(half.row(plane, y)[x]);
                            // Rounded to the frame's depth, then to 8 bits; beyond 255 there is no code.
                            let most = if format.depth().bits == 8 { 0.5 } else { 0.75 };
                            assert!((got - sum / 4.0).abs() <= most, "{format:?} {width} {x} {y}");
                        }
                    }
                }
            }
        }
    }
}
