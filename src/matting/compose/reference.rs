// SPDX-License-Identifier: MIT

//! Every pair of formats beside a plain calculation with doubles, which shares nothing with what it tests but
//! the description of formats.

use proptest::prelude::*;

use crate::matting::compose::backdrop::Background;
use crate::matting::compose::composer::Colors;
use crate::matting::compose::compositor::{Compositor, Look};
use crate::matting::compose::output::Output;
use crate::matting::frame::color::{ChromaSite, Colorimetry, Matrix, Range};
use crate::matting::frame::pixel_format::{Family, PixelFormat};
use crate::matting::frame::size::Size;
use crate::matting::frame::view::{FrameLayout, OwnedFrame};
use crate::matting::input::geometry::MaskLayout;
use crate::matting::matte::shape::MatteSettings;

const OUTPUTS: [Output; 3] = [Output::Composite, Output::Cutout, Output::Alpha];
/// Any colour, which no format holds exactly.
const BEHIND: [u8; 3] = [0x17, 0x9c, 0xd3];

fn background() -> Background {
    let [r, g, b] = BEHIND;
    Background::Color(u32::from_be_bytes([255, r, g, b]))
}

/// Every way of a deep frame.
fn ways() -> Vec<(PixelFormat, PixelFormat, Output)> {
    let deep = PixelFormat::ALL.into_iter().filter(|format| format.depth().bits > 8);
    let outputs = deep.flat_map(|from| OUTPUTS.map(|output| (from, output)));
    outputs
        .flat_map(|(from, output)| {
            output.formats(from).into_iter().map(move |to| (from, to, output))
        })
        .collect()
}

fn layout(format: PixelFormat, [width, height]: [usize; 2], color: Colorimetry) -> FrameLayout {
    // Matrix and range of RGB are its own.
    let color = match format.family() {
        Family::Yuv => color,
        _ => Colorimetry { matrix: Matrix::Bt709, range: Range::Full, ..color },
    };
    FrameLayout { color, ..FrameLayout::new(format, width, height) }
}

fn compose(frame: &OwnedFrame, to: FrameLayout, output: Output, matte: &[f32]) -> Vec<Vec<u32>> {
    let from = *frame.view().layout();
    let size = Size { width: from.width, height: from.height };
    let masks = MaskLayout::covering(size);
    let mut compositor = Compositor::new(masks, from, to, output).unwrap();
    let matte_settings = MatteSettings::default();
    let look = Look { matte: matte_settings, background: background(), decontaminate: false };
    let mut target = OwnedFrame::new(to);
    let colors = Colors::Frame(&frame.view());
    compositor.compose(colors, matte, &look, &mut target.view_mut()).unwrap();
    target.codes()
}

/// Black, the codes to white, and those that a colour difference spans.
fn levels(layout: &FrameLayout) -> [f64; 3] {
    let bits = layout.format.depth().bits as i32;
    let more = 2f64.powi(bits - 8);
    match layout.color.range {
        Range::Full => [0.0, 2f64.powi(bits) - 1.0, 2f64.powi(bits) - 1.0],
        Range::Limited => [16.0 * more, 219.0 * more, 224.0 * more],
    }
}

fn luma_weights(matrix: Matrix) -> [f64; 3] {
    let [r, b] = match matrix {
        Matrix::Bt601 => [0.299, 0.114],
        Matrix::Bt709 => [0.2126, 0.0722],
        Matrix::Bt2020 => [0.2627, 0.0593],
    };
    [r, 1.0 - r - b, b]
}

/// Codes to R'G'B' from 0 to 1.
fn to_rgb(layout: &FrameLayout, codes: [f64; 3]) -> [f64; 3] {
    let [black, span, chroma] = levels(layout);
    let middle = 2f64.powi(layout.format.depth().bits as i32 - 1);
    match layout.format.family() {
        Family::Yuv => {
            let [kr, kg, kb] = luma_weights(layout.color.matrix);
            let y = (codes[0] - black) / span;
            let [cb, cr] = [1, 2].map(|i| (codes[i] - middle) / chroma);
            let (r, b) = (y + 2.0 * (1.0 - kr) * cr, y + 2.0 * (1.0 - kb) * cb);
            [r, (y - kr * r - kb * b) / kg, b]
        }
        _ => codes.map(|code| (code - black) / span),
    }
}

/// R'G'B' from 0 to 1 to codes.
fn of_rgb(layout: &FrameLayout, rgb: [f64; 3]) -> [f64; 3] {
    let [black, span, chroma] = levels(layout);
    let middle = 2f64.powi(layout.format.depth().bits as i32 - 1);
    let weights = luma_weights(layout.color.matrix);
    let y: f64 = rgb.iter().zip(weights).map(|(value, weight)| value * weight).sum();
    match layout.format.family() {
        Family::Rgb => rgb.map(|value| black + span * value),
        Family::Gray => [black + span * y; 3],
        Family::Yuv => {
            let [kr, _, kb] = weights;
            let cb = (rgb[2] - y) / (2.0 * (1.0 - kb));
            let cr = (rgb[0] - y) / (2.0 * (1.0 - kr));
            [black + span * y, middle + chroma * cb, middle + chroma * cr]
        }
    }
}

/// What a frame holds.
struct Picture {
    layout: FrameLayout,
    codes: Vec<Vec<u32>>,
}

impl Picture {
    /// The sample of a component.
    fn at(&self, index: usize, x: usize, y: usize) -> f64 {
        let component = self.layout.format.components()[index];
        f64::from(self.codes[index][y * component.width(self.layout.width) + x])
    }

    /// A component at a pixel, interpolated.
    fn interpolated(&self, index: usize, x: usize, y: usize) -> f64 {
        let component = self.layout.format.components()[index];
        let (width, height) =
            (component.width(self.layout.width), component.height(self.layout.height));
        let site = self.layout.color.chroma_site;
        // Where a pixel lies between two samples.
        let along = |at: usize, shift: u32, cosited: bool, samples: usize| {
            let at = match (shift, cosited) {
                (0, _) => at as f64,
                (_, true) => at as f64 / 2.0,
                (_, false) => (at as f64 - 0.5) / 2.0,
            };
            let at = at.clamp(0.0, samples as f64 - 1.0);
            (at.floor() as usize, (at.ceil() as usize).min(samples - 1), at.fract())
        };
        let (left, right, across) = along(x, component.h_shift, site.h_cosited, width);
        let (top, bottom, down) = along(y, component.v_shift, site.v_cosited, height);
        let row =
            |y: usize| (1.0 - across) * self.at(index, left, y) + across * self.at(index, right, y);
        (1.0 - down) * row(top) + down * row(bottom)
    }

    fn rgb(&self, x: usize, y: usize) -> [f64; 3] {
        let index = |i: usize| if self.layout.format.family() == Family::Gray { 0 } else { i };
        let codes = [0, 1, 2].map(|i| self.interpolated(index(i), x, y));
        to_rgb(&self.layout, codes)
    }

    /// A frame's own alpha, from 0 to 1.
    fn alpha(&self, x: usize, y: usize) -> f64 {
        let bits = self.layout.format.depth().bits as i32;
        match self.layout.format.alpha() {
            Some(_) => self.at(3, x, y) / (2f64.powi(bits) - 1.0),
            None => 1.0,
        }
    }
}

/// What sample (x, y) of a component should be.
fn expected(
    picture: &Picture,
    to: &FrameLayout,
    output: Output,
    matte: &[f32],
    (index, x, y): (usize, usize, usize),
) -> f64 {
    let from = &picture.layout;
    let component = to.format.components()[index];
    let whole = 2f64.powi(to.format.depth().bits as i32) - 1.0;
    let opacity = |x: usize, y: usize| f64::from(matte[y * to.width + x]) * picture.alpha(x, y);
    let is_color = index < to.format.color_components().len();
    if output == Output::Alpha {
        let [black, span, _] = levels(to);
        return match (to.format.family(), index) {
            (Family::Yuv, 1 | 2) => (whole + 1.0) / 2.0,
            (Family::Gray, _) => whole * opacity(x, y),
            _ => black + span * opacity(x, y),
        };
    }
    if !is_color {
        return if output == Output::Cutout { whole * opacity(x, y) } else { whole };
    }
    let same = from.format == to.format || to.format.has_planes_of(from.format);
    let own = match same {
        true => picture.at(index, x, y),
        false => of_rgb(to, picture.rgb(x, y))[index].clamp(0.0, whole),
    };
    if output == Output::Cutout {
        return own;
    }
    // The mean over the pixels that share the sample.
    let along = |at: usize, shift: u32, n: usize| (at << shift)..((at + 1) << shift).min(n);
    let columns = along(x, component.h_shift, to.width);
    let rows = along(y, component.v_shift, to.height);
    let count = columns.len() * rows.len();
    let sum: f64 =
        rows.flat_map(|y| columns.clone().map(move |x| (x, y))).map(|(x, y)| opacity(x, y)).sum();
    let weight = sum / count as f64;
    let behind = of_rgb(to, BEHIND.map(|code| f64::from(code) / 255.0))[index];
    weight * own + (1.0 - weight) * behind.round()
}

proptest! {
    /// Within a code of the output's depth. With 16 bits, and with 8 of a matte alone, weights are no finer than
    /// the codes, and are rounded as well; so are colours that are converted to 16, and a frame's own alpha.
    #[test]
    fn deep_frames_are_composed_as_doubles_say(
        way in prop::sample::select(ways()),
        size in [1usize..24, 1usize..9],
        matrix in prop::sample::select(vec![Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020]),
        range in prop::sample::select(vec![Range::Limited, Range::Full]),
        [h_cosited, v_cosited] in any::<[bool; 2]>(),
        seed: u32,
    ) {
        let (from, to, output) = way;
        let chroma_site = ChromaSite { h_cosited, v_cosited };
        let color = Colorimetry { matrix, range, chroma_site, ..Default::default() };
        let (from, to) = (layout(from, size, color), layout(to, size, color));
        let random = |a: usize, b: usize, c: usize| {
            let mixed = (a * 7919 + b * 104_729 + c * 1_299_709) as u32 ^ seed;
            mixed.wrapping_mul(0x9e37_79b9).rotate_left(15).wrapping_mul(0x85eb_ca6b) >> 8
        };
        // Two bits of alpha are four codes of ten.
        let coarse = from.format == PixelFormat::Y410;
        let frame = OwnedFrame::painted(from, |c, x, y| match (c, coarse) {
            (3, true) => random(c, x, y) % 4 * 341,
            _ => random(c, x, y) & ((1 << from.format.depth().bits) - 1),
        });
        let matte: Vec<f32> = (0..size[0] * size[1])
            .map(|i| match random(i, 5, 9) % 4 {
                0 => 0.0,
                1 => 1.0,
                _ => (random(i, 1, 2) % 4096) as f32 / 4095.0,
            })
            .collect();
        let got = compose(&frame, to, output, &matte);
        let picture = Picture { layout: from, codes: frame.codes() };
        let most = match (to.format.depth().bits, from.format.alpha()) {
            (8, Some(_)) => 1.9,
            (16, _) => 1.6,
            _ => 1.02,
        };
        for (index, component) in to.format.components().iter().enumerate() {
            let (width, height) = (component.width(to.width), component.height(to.height));
            for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                let want = expected(&picture, &to, output, &matte, (index, x, y));
                let code = f64::from(got[index][y * width + x]);
                // Two bits of alpha hold it to a sixth.
                let most = if to.format == PixelFormat::Y410 && index == 3 { 171.0 } else { most };
                prop_assert!(
                    (code - want).abs() <= most,
                    "{:?} to {:?}, {output:?}: component {index} at {x}, {y} is {code}, not {want}",
                    from.format, to.format
                );
            }
        }
    }
}

/// Every code of a format, in every component.
#[test]
fn every_code_is_kept_by_a_matte_of_one_and_gone_with_one_of_nothing() {
    for format in PixelFormat::ALL.into_iter().filter(|format| format.depth().bits > 8) {
        let bits = format.depth().bits;
        // So many pixels that subsampled chroma has every code as well.
        let size = if bits == 16 { [257, 257] } else { [131, 127] };
        let layout = layout(format, size, Colorimetry::default());
        let mask = (1u32 << bits) - 1;
        let components = format.components();
        let frame = OwnedFrame::painted(layout, |c, x, y| match c {
            3 => mask,
            _ => (x + y * components[c].width(size[0])) as u32 & mask,
        });
        let codes = frame.codes();
        let with = |share: f32| {
            let matte = vec![share; size[0] * size[1]];
            compose(&frame, layout, Output::Composite, &matte)
        };
        assert!(with(1.0) == codes, "{format:?}");
        let steps: Vec<_> = [0.0, 0.1, 0.25, 0.5, 0.73, 0.9999, 1.0].map(with).into();
        for (index, component) in format.color_components().iter().enumerate() {
            let count = component.width(size[0]) * component.height(size[1]);
            assert!(steps[0][index].iter().all(|code| *code == steps[0][index][0]), "{format:?}");
            for i in 0..count {
                let (start, end) = (steps[0][index][i], codes[index][i]);
                let path = steps.iter().map(|step| step[index][i]);
                let is_monotone = match start <= end {
                    true => path.is_sorted(),
                    false => path.rev().is_sorted(),
                };
                assert!(is_monotone, "{format:?}: from {start} to {end}");
            }
        }
    }
}
