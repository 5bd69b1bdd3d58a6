//! Rows of one format to rows of another: unpacked to three components, taken through a colour
//! matrix, packed with an alpha row.

use std::ops::Range as Pixels;

use multiversion::multiversion;

use super::color::{Affine, Range};
use super::error::Error;
use super::frame_view::{FrameLayout, FrameView};
use super::pixel_format::{Component, Family, PixelFormat};
use super::prepare::codes_to_rgb;

/// Makes packed rows (RGB family, AYUV) of rows of any format.
pub struct RowConverter {
    from: FrameLayout,
    unpacker: Unpacker,
    /// For the components in the order of their bytes.
    matrix: Option<FixedMatrix>,
    packing: Packing,
}

impl RowConverter {
    /// # Errors
    /// [`Error::Conversion`] where `to` is neither of the RGB family nor AYUV.
    pub fn new(from: &FrameLayout, to: &FrameLayout) -> Result<Self, Error> {
        let packed = to.format.family() == Family::Rgb || to.format == PixelFormat::Ayuv;
        if !packed || from.format == PixelFormat::Gray16Le {
            return Err(Error::Conversion { from: from.format, to: to.format });
        }
        let matrix = conversion(from, to);
        let packing = Packing::of(to.format);
        let fixed = || FixedMatrix::new(&matrix, from.format.family(), packing.order);
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
        alpha: &[u8],
        out: &mut [u8],
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

/// From the codes of one layout to those of another.
pub fn conversion(from: &FrameLayout, to: &FrameLayout) -> Affine {
    let same_matrix = from.color.matrix == to.color.matrix && from.color.range == to.color.range;
    if from.format.family() == to.format.family() && same_matrix {
        return Affine::IDENTITY;
    }
    codes_to_rgb(from).then(&rgb_to_codes(to))
}

/// From full-range RGB codes to the codes of a layout.
pub fn rgb_to_codes(layout: &FrameLayout) -> Affine {
    match (layout.format.family(), layout.color.range) {
        (Family::Rgb, Range::Full) => Affine::IDENTITY,
        (Family::Rgb, range) => Affine::compress(range),
        (Family::Yuv | Family::Gray, _) => Affine::rgb_to_yuv(layout.color),
    }
}

/// An [`Affine`] in 16-bit fixed point, one row for each byte of a pixel.
///
/// A product keeps the upper half of 32 bits, for which there is a vector instruction, and [`BITS`]
/// of them are fractional: a code is scaled by 2^7 and its factor by 2^14, which holds factors up to
/// 2. Those of chroma may be twice that, but its codes are counted from 128, and so can be scaled by
/// 2^8. Without colour they are 0, and gray stays gray.
///
/// [`BITS`]: Self::BITS
struct FixedMatrix {
    matrix: [[i16; 3]; 3],
    offset: [i16; 3],
    /// Whether the second and the third code are chroma.
    from_yuv: bool,
}

impl FixedMatrix {
    const BITS: u32 = 5;

    fn new(affine: &Affine, from: Family, order: [usize; 3]) -> Self {
        let from_yuv = from == Family::Yuv;
        let center = |column: usize| if from_yuv && column > 0 { 128.0 } else { 0.0 };
        let code_bits = |column: usize| if from_yuv && column > 0 { 8 } else { 7 };
        let one = (1 << Self::BITS) as f32;
        let factor = |value: f32, column: usize| {
            let one = (1u32 << (16 + Self::BITS - code_bits(column))) as f32;
            (value * one).round() as i16
        };
        let offset = |row: usize| {
            let factors = affine.matrix[row].iter().enumerate();
            let centered: f32 = factors.map(|(column, factor)| factor * center(column)).sum();
            // What three products lose by being cut off, on the average, and the half that rounding
            // needs.
            (one * (affine.offset[row] + centered + 0.5) + 1.5).round() as i16
        };
        Self {
            matrix: order.map(|row| std::array::from_fn(|c| factor(affine.matrix[row][c], c))),
            offset: order.map(offset),
            from_yuv,
        }
    }

    /// The codes of a pixel, one for each row.
    // Spelled out, because the compiler turns arrays of bytes into words, and those into shuffles.
    #[inline(always)]
    fn apply<const FROM_YUV: bool>(&self, x: u8, y: u8, z: u8) -> [u8; 3] {
        let chroma = |code: u8| match FROM_YUV {
            true => (i16::from(code) - 128) << 8,
            false => i16::from(code) << 7,
        };
        let (x, y, z) = (i16::from(x) << 7, chroma(y), chroma(z));
        let product = |code: i16, factor: i16| ((i32::from(code) * i32::from(factor)) >> 16) as i16;
        let row = |[a, b, c]: [i16; 3], offset: i16| {
            let sum = offset + product(x, a) + product(y, b) + product(z, c);
            (sum >> Self::BITS).clamp(0, 255) as u8
        };
        let ([a, b, c], offset) = (self.matrix, self.offset);
        [row(a, offset[0]), row(b, offset[1]), row(c, offset[2])]
    }
}

/// Takes rows apart into components at full resolution.
struct Unpacker {
    components: &'static [Component],
    h_cosited: bool,
    v_cosited: bool,
    rows: [Vec<u8>; 3],
    /// A row of chroma at its own resolution, and the row beside it.
    near: Vec<u8>,
    beside: Vec<u8>,
}

impl Unpacker {
    fn new(layout: &FrameLayout) -> Self {
        let half = layout.width.div_ceil(2);
        Self {
            components: layout.format.color_components(),
            h_cosited: layout.color.chroma_site.h_cosited,
            v_cosited: layout.color.chroma_site.v_cosited,
            rows: std::array::from_fn(|_| vec![0; layout.width]),
            near: vec![0; half],
            beside: vec![0; half],
        }
    }

    /// The components of row `y`, in which `pixels` are right; for gray all three are luma.
    fn unpack<'a>(
        &'a mut self,
        frame: &FrameView<'a>,
        y: usize,
        pixels: &Pixels<usize>,
    ) -> [&'a [u8]; 3] {
        for index in 0..self.components.len() {
            self.unpack_component(frame, y, pixels, index);
        }
        let width = frame.layout().width;
        let row = |index: usize| -> &'a [u8] {
            let component = self.components[index];
            match (component.step, component.h_shift) {
                (1, 0) => &frame.row(component.plane, y)[..width],
                _ => &self.rows[index],
            }
        };
        match self.components.len() {
            1 => [row(0); 3],
            _ => [row(0), row(1), row(2)],
        }
    }

    /// Fills the row of a component that does not lie in the frame as it is needed.
    fn unpack_component(
        &mut self,
        frame: &FrameView<'_>,
        y: usize,
        pixels: &Pixels<usize>,
        index: usize,
    ) {
        let component = self.components[index];
        let Component { plane, offset, step, h_shift, v_shift } = component;
        let out = &mut self.rows[index];
        let samples_from = |row, first: usize, out: &mut [u8]| {
            gather(&frame.row(plane, row)[first * step..], offset, step, out);
        };
        if h_shift == 0 {
            if step > 1 {
                samples_from(y, pixels.start, &mut out[pixels.clone()]);
            }
            return;
        }
        // With a neighbour on both sides, between which the first and the last pixel lie.
        let first = (pixels.start / 2).saturating_sub(1);
        let end = (pixels.end.div_ceil(2) + 1).min(component.width(frame.layout().width));
        let out = &mut out[2 * first..(2 * end).min(frame.layout().width)];
        let near = &mut self.near[first..end];
        let sample_row = y >> v_shift;
        samples_from(sample_row, first, near);
        let below = y % 2 == 1;
        if v_shift > 0 && (below || !self.v_cosited) {
            let last = component.height(frame.layout().height) - 1;
            let other =
                if below { (sample_row + 1).min(last) } else { sample_row.saturating_sub(1) };
            let beside = &mut self.beside[first..end];
            samples_from(other, first, beside);
            mix_rows(near, beside, if self.v_cosited { [1, 1] } else { [3, 1] });
        }
        if self.h_cosited {
            widen_cosited(near, out);
        } else {
            widen_centred(near, out);
        }
    }
}

/// Every `step`-th byte from `offset` on.
pub(super) fn gather(row: &[u8], offset: usize, step: usize, out: &mut [u8]) {
    match step {
        1 => out.copy_from_slice(&row[..out.len()]),
        2 => gather_every::<2>(row, offset, out),
        3 => gather_every::<3>(row, offset, out),
        _ => gather_every::<4>(row, offset, out),
    }
}

fn gather_every<const STEP: usize>(row: &[u8], offset: usize, out: &mut [u8]) {
    // With the offset as a constant the compiler makes shuffles of this.
    match offset {
        0 => gather_at::<STEP, 0>(row, out),
        1 => gather_at::<STEP, 1>(row, out),
        2 => gather_at::<STEP, 2>(row, out),
        _ => gather_at::<STEP, 3>(row, out),
    }
}

#[multiversion(targets = "simd")]
fn gather_at<const STEP: usize, const OFFSET: usize>(row: &[u8], out: &mut [u8]) {
    for (out, sample) in out.iter_mut().zip(row.chunks_exact(STEP)) {
        *out = sample[OFFSET % STEP];
    }
}

/// `row` = the weighted mean of `row` and `other`.
#[multiversion(targets = "simd")]
fn mix_rows(row: &mut [u8], other: &[u8], weights: [u16; 2]) {
    let sum = weights[0] + weights[1];
    let shift = sum.trailing_zeros();
    for (row, other) in row.iter_mut().zip(other) {
        let mixed = u16::from(*row) * weights[0] + u16::from(*other) * weights[1] + sum / 2;
        *row = (mixed >> shift) as u8;
    }
}

/// Twice as many samples, the even ones where the given ones are.
#[multiversion(targets = "simd")]
fn widen_cosited(half: &[u8], out: &mut [u8]) {
    let inner = half.len() - 1;
    for (pair, (a, b)) in out.chunks_exact_mut(2).zip(half[..inner].iter().zip(&half[1..])) {
        pair[0] = *a;
        pair[1] = ((u16::from(*a) + u16::from(*b) + 1) >> 1) as u8;
    }
    out[2 * inner..].fill(half[inner]);
}

/// Twice as many samples, the given ones between two of them.
#[multiversion(targets = "simd")]
fn widen_centred(half: &[u8], out: &mut [u8]) {
    let near = |a: u8, b: u8| ((3 * u16::from(a) + u16::from(b) + 2) >> 2) as u8;
    let inner = half.len() - 1;
    // From the second sample on, two at a time lie between neighbours.
    out[0] = half[0];
    if let Some(between) = out.get_mut(1..) {
        for (pair, (a, b)) in between.chunks_exact_mut(2).zip(half[..inner].iter().zip(&half[1..]))
        {
            pair[0] = near(*a, *b);
            pair[1] = near(*b, *a);
        }
    }
    if out.len() == 2 * half.len() {
        out[2 * inner + 1] = half[inner];
    }
}

/// How the bytes of a packed pixel lie.
struct Packing {
    step: usize,
    /// The colour components, in the order of their bytes.
    order: [usize; 3],
    /// Whether the byte of alpha, or padding, is the first one.
    alpha_first: bool,
}

impl Packing {
    fn of(format: PixelFormat) -> Self {
        let components = format.color_components();
        let mut order = [0, 1, 2];
        order.sort_by_key(|&component| components[component].offset);
        let first = components[order[0]].offset;
        Self { step: components[0].step, order, alpha_first: first > 0 }
    }

    /// Writes the components as they are.
    fn pack(&self, components: [&[u8]; 3], alpha: &[u8], out: &mut [u8]) {
        let [a, b, c] = self.order.map(|component| components[component]);
        match (self.step, self.alpha_first) {
            (3, _) => pack_3(a, b, c, out),
            (_, true) => pack_4(alpha, a, b, c, out),
            (_, false) => pack_4(a, b, c, alpha, out),
        }
    }

    /// Writes what a matrix makes of the components.
    fn convert(&self, matrix: &FixedMatrix, components: [&[u8]; 3], alpha: &[u8], out: &mut [u8]) {
        let [x, y, z] = components;
        match (self.step, self.alpha_first, matrix.from_yuv) {
            (3, _, true) => convert_3::<true>(matrix, x, y, z, out),
            (3, _, false) => convert_3::<false>(matrix, x, y, z, out),
            (_, true, true) => convert_4::<true, true>(matrix, x, y, z, alpha, out),
            (_, true, false) => convert_4::<true, false>(matrix, x, y, z, alpha, out),
            (_, false, true) => convert_4::<false, true>(matrix, x, y, z, alpha, out),
            (_, false, false) => convert_4::<false, false>(matrix, x, y, z, alpha, out),
        }
    }
}

// Slices of their own, not in an array, tell the compiler that they do not overlap.
#[multiversion(targets = "simd")]
fn pack_4(a: &[u8], b: &[u8], c: &[u8], d: &[u8], out: &mut [u8]) {
    let out = out.as_chunks_mut::<4>().0;
    let n = out.len();
    let (a, b, c, d) = (&a[..n], &b[..n], &c[..n], &d[..n]);
    for i in 0..n {
        out[i] = [a[i], b[i], c[i], d[i]];
    }
}

#[multiversion(targets = "simd")]
fn pack_3(a: &[u8], b: &[u8], c: &[u8], out: &mut [u8]) {
    let out = out.as_chunks_mut::<3>().0;
    let n = out.len();
    let (a, b, c) = (&a[..n], &b[..n], &c[..n]);
    for i in 0..n {
        out[i] = [a[i], b[i], c[i]];
    }
}

#[multiversion(targets = "simd")]
fn convert_4<const ALPHA_FIRST: bool, const FROM_YUV: bool>(
    matrix: &FixedMatrix,
    x: &[u8],
    y: &[u8],
    z: &[u8],
    alpha: &[u8],
    out: &mut [u8],
) {
    let out = out.as_chunks_mut::<4>().0;
    let n = out.len();
    let (x, y, z, alpha) = (&x[..n], &y[..n], &z[..n], &alpha[..n]);
    for i in 0..n {
        let [a, b, c] = matrix.apply::<FROM_YUV>(x[i], y[i], z[i]);
        out[i] = if ALPHA_FIRST { [alpha[i], a, b, c] } else { [a, b, c, alpha[i]] };
    }
}

#[multiversion(targets = "simd")]
fn convert_3<const FROM_YUV: bool>(
    matrix: &FixedMatrix,
    x: &[u8],
    y: &[u8],
    z: &[u8],
    out: &mut [u8],
) {
    let out = out.as_chunks_mut::<3>().0;
    let n = out.len();
    let (x, y, z) = (&x[..n], &y[..n], &z[..n]);
    for i in 0..n {
        out[i] = matrix.apply::<FROM_YUV>(x[i], y[i], z[i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::color::{ChromaSite, Colorimetry, Matrix};
    use crate::matting::frame_view::OwnedFrame;

    fn layout(format: PixelFormat, width: usize, height: usize) -> FrameLayout {
        let range = if format.family() == Family::Yuv { Range::Limited } else { Range::Full };
        let color =
            Colorimetry { matrix: Matrix::Bt709, range, chroma_site: ChromaSite::default() };
        FrameLayout { format, width, height, color }
    }

    /// A frame of one RGB colour.
    fn flat(format: PixelFormat, rgb: [f32; 3]) -> OwnedFrame {
        let layout = layout(format, 5, 3);
        let codes = rgb_to_codes(&layout).apply(rgb).map(|code| code.round() as u8);
        let mut frame = OwnedFrame::new(layout);
        for (component, code) in format.color_components().iter().zip(codes) {
            for y in 0..component.height(3) {
                let row = frame.view_mut();
                let mut row = row;
                let row = row.row_mut(component.plane, y);
                for x in 0..component.width(5) {
                    row[x * component.step + component.offset] = code;
                }
            }
        }
        frame
    }

    #[test]
    fn a_colour_survives_every_conversion() {
        let rgb = [200.0, 90.0, 30.0];
        let colored = PixelFormat::ALL.into_iter().filter(|format| format.family() != Family::Gray);
        for from in colored {
            let frame = flat(from, rgb);
            for to in PixelFormat::ALL {
                let target = layout(to, 5, 3);
                let Ok(mut converter) = RowConverter::new(frame.view().layout(), &target) else {
                    assert!(to.family() != Family::Rgb && to != PixelFormat::Ayuv);
                    continue;
                };
                let want = flat(to, rgb);
                for y in 0..3 {
                    let mut row = vec![0; to.row_bytes(0, 5)];
                    converter.convert(&frame.view(), y, 0..5, &[7; 5], &mut row);
                    for component in to.color_components() {
                        for x in 0..5 {
                            let at = x * component.step + component.offset;
                            let error = row[at].abs_diff(want.row(0, y)[at]);
                            assert!(error <= 2, "{from:?} to {to:?}: {error}");
                        }
                    }
                    if let Some(alpha) = to.alpha() {
                        assert!((0..5).all(|x| row[x * alpha.step + alpha.offset] == 7));
                    }
                }
            }
        }
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
                    let mut converter = RowConverter::new(&from, &to).unwrap();
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
            let fixed = FixedMatrix::new(&exact, from.format.family(), [0, 1, 2]);
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
        let fixed = FixedMatrix::new(&fixed, Family::Yuv, [0, 1, 2]);
        for code in 0..=255 {
            let [r, g, b] = fixed.apply::<true>(code, 128, 128);
            assert!(r == g && g == b);
        }
        assert_eq!(fixed.apply::<true>(16, 128, 128), [0; 3]);
        assert_eq!(fixed.apply::<true>(235, 128, 128), [255; 3]);
    }

    #[test]
    fn chroma_is_widened_to_where_it_sits() {
        for (width, centred, cosited) in [
            (1, vec![10], vec![10]),
            (2, vec![10, 10], vec![10, 10]),
            (3, vec![10, 20, 40], vec![10, 30, 50]),
            (4, vec![10, 20, 40, 50], vec![10, 30, 50, 50]),
        ] {
            let half: &[u8] = if width < 3 { &[10] } else { &[10, 50] };
            let mut out = vec![0; width];
            widen_centred(half, &mut out);
            assert_eq!(out, centred);
            widen_cosited(half, &mut out);
            assert_eq!(out, cosited);
        }
    }
}
