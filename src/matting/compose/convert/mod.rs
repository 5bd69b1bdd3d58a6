// SPDX-License-Identifier: MIT

//! Rows of one format to rows of another: unpacked to three components, taken through a colour
//! matrix, packed with an alpha row.

use std::ops::Range as Pixels;

mod lane;
mod matrix;
mod pack;
mod unpack;

pub use self::lane::Converted;
use self::matrix::Matrix;
use self::pack::Packing;
use self::unpack::Unpacker;
use crate::matting::error::Error;
use crate::matting::frame::color::Affine;
use crate::matting::frame::conversion::conversion;
use crate::matting::frame::pixel_format::{Family, PixelFormat};
use crate::matting::frame::view::{FrameLayout, FrameView};

/// Makes packed rows (RGB family, AYUV) of rows of any format with samples as wide.
pub struct RowConverter<S: Converted> {
    from: FrameLayout,
    unpacker: Unpacker<S>,
    /// For the components in the order of their samples.
    matrix: Option<S::Matrix>,
    packing: Packing,
}

impl<S: Converted> RowConverter<S> {
    /// # Errors
    /// [`Error::Conversion`] where `to` is neither packed RGB nor AYUV, or the samples of either format are not
    /// those that are converted here.
    pub fn new(from: &FrameLayout, to: &FrameLayout) -> Result<Self, Error> {
        let packed = to.format.family() == Family::Rgb || to.format == PixelFormat::Ayuv;
        let is_wide = |format: PixelFormat| format.sample_bytes() == size_of::<S>();
        if !(packed && to.format.planes() == 1 && is_wide(from.format) && is_wide(to.format)) {
            return Err(Error::Conversion { from: from.format, to: to.format });
        }
        let matrix = conversion(from, to);
        let packing = Packing::of(to.format);
        let (family, depth) = (from.format.family(), to.format.depth());
        let fixed = || S::Matrix::new(&matrix, family, packing.order, depth);
        Ok(Self {
            from: *from,
            unpacker: Unpacker::new(from),
            matrix: (matrix != Affine::IDENTITY).then(fixed),
            packing,
        })
    }

    /// Writes some pixels of row `y` of `frame`, from an even one on, with the alpha of the same pixels
    /// in a row of alpha, which formats without alpha ignore.
    pub fn convert(
        &mut self,
        frame: &FrameView<'_>,
        y: usize,
        pixels: Pixels<usize>,
        alpha: &[S],
        out: &mut [S],
    ) {
        debug_assert_eq!(*frame.layout(), self.from);
        let step = self.packing.step;
        let out = &mut out[pixels.start * step..pixels.end * step];
        let alpha = &alpha[pixels.clone()];
        let components = self.unpacker.unpack(frame, y, &pixels);
        let components = components.map(|row| &row[pixels.clone()]);
        match &self.matrix {
            Some(matrix) => self.packing.convert(matrix, components, alpha, out),
            None => self.packing.pack(components, alpha, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matrix::{FixedMatrix, Matrix as _};
    use super::*;
    use crate::matting::frame::color::Range;
    use crate::matting::frame::color::{ChromaSite, Colorimetry, Matrix};
    use crate::matting::frame::conversion::rgb_to_codes;
    use crate::matting::frame::pixel_format::Depth;
    use crate::matting::frame::view::OwnedFrame;

    fn layout(format: PixelFormat, width: usize, height: usize) -> FrameLayout {
        let range = if format.family() == Family::Yuv { Range::Limited } else { Range::Full };
        let color = Colorimetry { matrix: Matrix::Bt709, range, ..Default::default() };
        FrameLayout { format, width, height, color, pixel_aspect: Default::default() }
    }

    /// A frame of one RGB colour, opaque.
    fn flat(format: PixelFormat, rgb: [f32; 3]) -> OwnedFrame {
        let layout = layout(format, 5, 3);
        let codes = rgb_to_codes(&layout).apply(rgb);
        let more = (1u32 << (format.depth().bits - 8)) as f32;
        OwnedFrame::painted(layout, |component, _, _| match component {
            3 => (1 << format.depth().bits) - 1,
            _ => (codes[component] * more).round() as u32,
        })
    }

    #[test]
    fn a_colour_survives_every_conversion() {
        let all = || PixelFormat::ALL.into_iter().filter(|format| format.packing().is_none());
        let mut converted = 0;
        for from in all().filter(|format| format.family() != Family::Gray) {
            for to in all() {
                converted += match to.sample_bytes() {
                    1 => convert_flat::<u8>(from, to),
                    _ => convert_flat::<u16>(from, to),
                };
            }
        }
        assert_eq!(converted, 21 * 11 + 16 * 2);
    }

    /// Whether, as a number, a colour is converted between two formats.
    fn convert_flat<S: Converted>(from: PixelFormat, to: PixelFormat) -> usize {
        let rgb = [200.0, 90.0, 30.0];
        let (frame, want) = (flat(from, rgb), flat(to, rgb).codes());
        let target = layout(to, 5, 3);
        let Ok(mut converter) = RowConverter::<S>::new(frame.view().layout(), &target) else {
            return 0;
        };
        let mut out = OwnedFrame::new(target);
        for y in 0..3 {
            let row = out.view_mut();
            let mut row = row;
            converter.convert(&frame.view(), y, 0..5, &[S::ALL; 5], row.samples_mut(0, y));
        }
        // What either of both rounds, as the matrix enlarges it.
        let bits = [from, to].map(|format| format.depth().bits);
        let tolerance = if bits[1] == 8 { 2 } else { 1 + 2 * (1 << (bits[1] - bits[0])) };
        for (component, (got, want)) in out.codes().iter().zip(&want).enumerate() {
            for (got, want) in got.iter().zip(want) {
                let error = got.abs_diff(*want);
                assert!(error <= tolerance, "{from:?} to {to:?}: {error} in {component}");
            }
        }
        1
    }

    #[test]
    fn some_pixels_of_a_row_are_those_of_the_whole_row() {
        for from in [PixelFormat::I420, PixelFormat::Yuy2, PixelFormat::Y444, PixelFormat::Bgr] {
            for cosited in [false, true] {
                let mut from = layout(from, 23, 4);
                from.color.chroma_site = ChromaSite { h_cosited: cosited, v_cosited: cosited };
                let mut frame = OwnedFrame::new(from);
                for plane in 0..from.format.planes() {
                    for y in 0..from.format.plane_rows(plane, 4) {
                        for (x, byte) in frame.view_mut().row_mut(plane, y).iter_mut().enumerate() {
                            *byte = (x * 37 + y * 101 + plane * 59) as u8;
                        }
                    }
                }
                for to in [PixelFormat::Rgba, PixelFormat::Xbgr, PixelFormat::Bgr] {
                    let to = layout(to, 23, 4);
                    let mut converter = RowConverter::<u8>::new(&from, &to).unwrap();
                    for y in 0..4 {
                        let mut convert = |ends: &[usize]| {
                            let mut row = vec![0; to.format.row_bytes(0, 23)];
                            for pixels in ends.windows(2).map(|ends| ends[0]..ends[1]) {
                                converter.convert(&frame.view(), y, pixels, &[7; 23], &mut row);
                            }
                            row
                        };
                        assert_eq!(convert(&[0, 23]), convert(&[0, 2, 8, 22, 23]));
                    }
                }
            }
        }
    }

    /// What is lost before rounding, a tenth of a code at most, hardly adds to what rounding loses.
    #[test]
    fn fixed_point_is_as_good_as_rounding() {
        let yuv = layout(PixelFormat::Y444, 1, 1);
        let rgb = layout(PixelFormat::Rgb, 1, 1);
        for (from, to) in [(yuv, rgb), (rgb, layout(PixelFormat::Ayuv, 1, 1))] {
            let exact = conversion(&from, &to);
            let fixed = FixedMatrix::new(&exact, from.format.family(), [0, 1, 2], Depth::EIGHT);
            let mut errors = [0.0; 2];
            let codes = (0..32usize.pow(3))
                .map(|i| [i % 32, i / 32 % 32, i / 1024].map(|c| (c * 8 + c / 4) as u8));
            for [x, y, z] in codes {
                let got = match from.format.family() {
                    Family::Yuv => fixed.apply::<true>(x, y, z),
                    _ => fixed.apply::<false>(x, y, z),
                };
                let want = exact.apply([x, y, z].map(f32::from));
                for (got, want) in got.into_iter().zip(want) {
                    let error = (f32::from(got) - want.clamp(0.0, 255.0)).abs();
                    assert!(error < 0.6, "{x} {y} {z}: {got}, {want}");
                    errors[0] += error * error;
                    errors[1] += (want.clamp(0.0, 255.0).round() - want.clamp(0.0, 255.0)).powi(2);
                }
            }
            assert!((errors[0] / errors[1]).sqrt() < 1.01, "{errors:?}");
        }
    }

    #[test]
    fn gray_stays_gray() {
        let fixed = conversion(&layout(PixelFormat::I420, 1, 1), &layout(PixelFormat::Rgb, 1, 1));
        let fixed = FixedMatrix::new(&fixed, Family::Yuv, [0, 1, 2], Depth::EIGHT);
        for code in 0..=255 {
            let [r, g, b] = fixed.apply::<true>(code, 128, 128);
            assert!(r == g && g == b);
        }
        assert_eq!(fixed.apply::<true>(16, 128, 128), [0; 3]);
        assert_eq!(fixed.apply::<true>(235, 128, 128), [255; 3]);
    }
}
