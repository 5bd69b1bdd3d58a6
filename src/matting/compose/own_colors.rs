// SPDX-License-Identifier: MIT

//! The person's own colours as the network knows them, at soft edges, instead of estimated ones.
//!
//! The network gives colours of its own size. What they add to the colours that it saw is smooth, and is
//! enlarged linearly and added to the frame's samples, so that the frame's detail stays (as the refiner of
//! Lin et al. 2021, "Real-Time High-Resolution Background Matting", has it).

use super::foreground::{Unmixed, black_pixel, clear_pixels};
use crate::matting::frame::color::Transfer;
use crate::matting::frame::conversion::rgb_to_codes;
use crate::matting::frame::pixel_format::Component;
use crate::matting::frame::size::Size;
use crate::matting::frame::view::FrameLayout;
use crate::matting::input::geometry::MaskLayout;
use crate::matting::kernels::tap::{Tap, blend};

/// Weights that are looked at together: most are all or nothing.
const CHUNK: usize = 64;

/// What is added to the samples of outputs of one layout.
pub struct OwnColors {
    to: FrameLayout,
    mask: Size,
    /// Where each column of a component lies in the mask, by whether it is at half the resolution.
    columns: [Vec<Tap>; 2],
    rows: [Vec<Tap>; 2],
    /// Differences in the output's components, in units of an 8-bit code, as planes.
    planes: Vec<f32>,
}

impl OwnColors {
    /// Whether colours that a network gives can be added to those of such frames: it sees others than
    /// those of high dynamic range.
    pub fn can_be_of(frame: &FrameLayout) -> bool {
        frame.color.transfer == Transfer::Sdr
    }

    /// For outputs of layout `to`, and masks that lie on them so.
    pub fn new(to: &FrameLayout, masks: MaskLayout) -> Self {
        let [x, y] = masks.axes(Size { width: to.width, height: to.height });
        let mask = masks.mask;
        let taps = |edge: f32, scale: f32, samples: usize, count: usize, shift: u32| -> Vec<Tap> {
            // From a sample's middle, whose own edge is at 0.
            let at = |i: usize| edge + scale * (i as f32 + 0.5) * (1 << shift) as f32 - 0.5;
            (0..count.div_ceil(1 << shift)).map(|i| Tap::new(at(i), samples)).collect()
        };
        let column = |shift| {
            taps(
                x.frame_edge(mask.width),
                x.mask_per_frame(mask.width),
                mask.width,
                to.width,
                shift,
            )
        };
        let row = |shift| {
            let (edge, scale) = (y.frame_edge(mask.height), y.mask_per_frame(mask.height));
            taps(edge, scale, mask.height, to.height, shift)
        };
        Self {
            to: to.apart(),
            mask,
            columns: [column(0), column(1)],
            rows: [row(0), row(1)],
            planes: vec![0.0; 3 * mask.area()],
        }
    }

    /// Takes what a frame's colours are to be changed by: planes of red, green and blue, -1 to 1.
    pub fn update(&mut self, colors: &[f32]) {
        let area = self.mask.area();
        let matrix = rgb_to_codes(&self.to).matrix.map(|row| row.map(|factor| 255.0 * factor));
        let (red, rest) = colors.split_at(area);
        let (green, blue) = rest.split_at(area);
        for (plane, [r, g, b]) in self.planes.chunks_exact_mut(area).zip(matrix) {
            let colors = red.iter().zip(green).zip(blue);
            for (out, ((red, green), blue)) in plane.iter_mut().zip(colors) {
                *out = r * red + g * green + b * blue;
            }
        }
    }

    /// Gives row `y` of plane `plane` the person's colours where the matte is soft. `matte` are the weights
    /// of the row's pixels, `half` those at the chroma's resolution. Where `clears`, what the matte leaves
    /// nothing of gets black. `scratch` is kept from row to row.
    pub fn apply<S: Unmixed>(
        &self,
        (plane, y): (usize, usize),
        [matte, half]: [&[S]; 2],
        clears: bool,
        scratch: &mut Vec<f32>,
        row: &mut [S],
    ) {
        let components = self.to.format.color_components().iter().enumerate();
        let is_half = |c: &Component| c.h_shift > 0;
        let mut all_half = true;
        for (index, component) in components.filter(|(_, c)| c.plane == plane) {
            all_half &= is_half(component);
            let weights = if is_half(component) { half } else { matte };
            self.add(index, component, y, weights, scratch, row);
        }
        if clears {
            let (pixel, samples) = black_pixel::<S>(&self.to, plane);
            clear_pixels(if all_half { half } else { matte }, &pixel[..samples], row);
        }
    }

    fn add<S: Unmixed>(
        &self,
        index: usize,
        component: &Component,
        y: usize,
        weights: &[S],
        scratch: &mut Vec<f32>,
        row: &mut [S],
    ) {
        let depth = self.to.format.depth();
        let columns = &self.columns[usize::from(component.h_shift > 0)];
        let between = self.rows[usize::from(component.v_shift > 0)][y];
        let is_done = |weights: &[S]| S::are_all(weights, S::ALL) || S::are_all(weights, S::NONE);
        let mut soft =
            weights.chunks(CHUNK).enumerate().filter(|(_, chunk)| !is_done(chunk)).peekable();
        if soft.peek().is_none() {
            return;
        }
        let plane = &self.planes[index * self.mask.area()..];
        let [upper, lower]: [&[f32]; 2] = [between.first, between.second]
            .map(|y| &plane[y * self.mask.width..][..self.mask.width]);
        scratch.resize(self.mask.width, 0.0);
        blend(upper, lower, between.share, scratch);
        for (chunk, weights) in soft {
            let first = chunk * CHUNK;
            for (x, _) in (first..).zip(weights).filter(|(_, weight)| weight.is_soft()) {
                let Tap { first, second, share } = columns[x];
                let difference = scratch[first] + share * (scratch[second] - scratch[first]);
                let sample = &mut row[x * component.step + component.offset];
                *sample = S::encode(sample.decode(depth) + difference, depth);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::compose::backdrop::Background;
    use crate::matting::compose::composer::Colors;
    use crate::matting::compose::compositor::{Compositor, Inferred, Look};
    use crate::matting::compose::output::Output;
    use crate::matting::frame::pixel_format::PixelFormat;
    use crate::matting::frame::sample::Sample;
    use crate::matting::frame::view::OwnedFrame;
    use crate::matting::matte::shape::MatteSettings;

    const MASK: Size = Size { width: 12, height: 8 };

    /// A frame of odd size, all of one gray.
    fn gray(layout: FrameLayout, code: f32) -> OwnedFrame {
        let mut frame = OwnedFrame::new(layout);
        let (depth, wide) = (layout.format.depth(), layout.format.sample_bytes() == 2);
        let mut view = frame.view_mut();
        for (index, component) in layout.format.color_components().iter().enumerate() {
            let code = if index == 0 { code } else { 128.0 };
            let Component { plane, offset, step, .. } = *component;
            for y in 0..component.height(layout.height) {
                match wide {
                    true => view.samples_mut::<u16>(plane, y)[offset..]
                        .iter_mut()
                        .step_by(step)
                        .for_each(|sample| *sample = u16::encode(code, depth)),
                    false => view.samples_mut::<u8>(plane, y)[offset..]
                        .iter_mut()
                        .step_by(step)
                        .for_each(|sample| *sample = u8::encode(code, depth)),
                }
            }
        }
        frame
    }

    fn composite(layout: FrameLayout, mask: f32, colors: &[f32]) -> [OwnedFrame; 2] {
        let masks = MaskLayout::covering(MASK);
        let mut compositor = Compositor::new(masks, layout, layout, Output::Composite).unwrap();
        let look = Look {
            matte: MatteSettings::default(),
            background: Background::Color(0xff00_0000),
            decontaminate: true,
        };
        let frame = gray(layout, 100.0);
        let mut target = OwnedFrame::new(layout);
        let mask = vec![mask; MASK.area()];
        let inferred = Inferred { mask: &mask, colors, details: None };
        let colors = Colors::Frame(&frame.view());
        compositor.compose(colors, inferred, &look, &mut target.view_mut()).unwrap();
        [frame, target]
    }

    /// A person who is a tenth of white brighter than what the network saw of them.
    #[test]
    fn soft_samples_become_the_persons_in_every_width_and_certain_ones_stay() {
        use PixelFormat::{I420, I420_10Le, Nv12, P010_10Le, Yuy2};
        let colors = vec![0.1; 3 * MASK.area()];
        for format in [I420, Nv12, Yuy2, I420_10Le, P010_10Le] {
            let layout = FrameLayout::new(format, 38, 17);
            let depth = format.depth();
            let luma = |frame: &OwnedFrame, x: usize| {
                let (view, step) = (frame.view(), format.color_components()[0].step);
                match format.sample_bytes() {
                    2 => view.samples::<u16>(0, 8)[x * step].decode(depth),
                    _ => view.samples::<u8>(0, 8)[x * step].decode(depth),
                }
            };
            let [frame, kept] = composite(layout, 1.0, &colors);
            let [_, halved] = composite(layout, 0.5, &colors);
            for x in 0..38 {
                assert_eq!(luma(&kept, x), luma(&frame, x), "{format:?}");
                // Half of what is brighter, and half of black, which is 0 in full range.
                let expected = 0.5 * (100.0 + 25.5);
                assert!(
                    (luma(&halved, x) - expected).abs() < 1.0,
                    "{format:?}: {}",
                    luma(&halved, x)
                );
            }
        }
    }
}
