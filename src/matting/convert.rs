//! Rows of one format to rows of another: unpacked to three components, taken through a colour
//! matrix, packed with an alpha row.

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
    matrix: Option<FixedMatrix>,
    /// Converted components.
    converted: [Vec<u8>; 3],
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
        Ok(Self {
            from: *from,
            unpacker: Unpacker::new(from),
            matrix: (matrix != Affine::IDENTITY).then(|| FixedMatrix::new(&matrix)),
            converted: std::array::from_fn(|_| vec![0; from.width]),
            packing: Packing::of(to.format),
        })
    }

    /// Writes row `y` of `frame` with the given alpha, which formats without alpha ignore.
    pub fn convert(&mut self, frame: &FrameView<'_>, y: usize, alpha: &[u8], out: &mut [u8]) {
        debug_assert_eq!(*frame.layout(), self.from);
        let components = self.unpacker.unpack(frame, y);
        let components = match &self.matrix {
            Some(matrix) => {
                let [x, y, z] = components;
                let rows = matrix.matrix.iter().zip(matrix.offset).zip(&mut self.converted);
                for ((factors, offset), out) in rows {
                    convert_row(x, y, z, *factors, offset, out);
                }
                [&self.converted[0][..], &self.converted[1], &self.converted[2]]
            }
            None => components,
        };
        self.packing.pack(components, alpha, out);
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

/// An [`Affine`] in 32-bit fixed point, its offset with the half that rounding needs.
struct FixedMatrix {
    matrix: [[i32; 3]; 3],
    offset: [i32; 3],
}

impl FixedMatrix {
    /// Fractional bits: three products of 8-bit codes and factors up to 8 stay below 2^31.
    const BITS: u32 = 16;

    fn new(affine: &Affine) -> Self {
        let one = f64::from(1u32 << Self::BITS);
        let fixed = |value: f32| (f64::from(value) * one).round() as i32;
        Self {
            matrix: affine.matrix.map(|row| row.map(fixed)),
            offset: affine.offset.map(|offset| fixed(offset + 0.5)),
        }
    }
}

/// One component of a converted row, from a row of the matrix.
// Slices of their own, not in an array, tell the compiler that they do not overlap.
#[multiversion(targets = "simd")]
fn convert_row(x: &[u8], y: &[u8], z: &[u8], factors: [i32; 3], offset: i32, out: &mut [u8]) {
    let n = out.len();
    let (x, y, z) = (&x[..n], &y[..n], &z[..n]);
    let [a, b, c] = factors;
    for i in 0..n {
        let sum = a * i32::from(x[i]) + b * i32::from(y[i]) + c * i32::from(z[i]) + offset;
        out[i] = (sum >> FixedMatrix::BITS).clamp(0, 255) as u8;
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

    /// The components of row `y`; for gray all three are luma.
    fn unpack<'a>(&'a mut self, frame: &FrameView<'a>, y: usize) -> [&'a [u8]; 3] {
        for index in 0..self.components.len() {
            self.unpack_component(frame, y, index);
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
    fn unpack_component(&mut self, frame: &FrameView<'_>, y: usize, index: usize) {
        let component = self.components[index];
        let Component { plane, offset, step, h_shift, v_shift } = component;
        let out = &mut self.rows[index];
        if h_shift == 0 {
            if step > 1 {
                gather(frame.row(plane, y), offset, step, out);
            }
            return;
        }
        let sample_row = y >> v_shift;
        gather(frame.row(plane, sample_row), offset, step, &mut self.near);
        let below = y % 2 == 1;
        if v_shift > 0 && (below || !self.v_cosited) {
            let last = component.height(frame.layout().height) - 1;
            let other =
                if below { (sample_row + 1).min(last) } else { sample_row.saturating_sub(1) };
            gather(frame.row(plane, other), offset, step, &mut self.beside);
            if self.v_cosited {
                mix_rows(&mut self.near, &self.beside, [1, 1]);
            } else {
                mix_rows(&mut self.near, &self.beside, [3, 1]);
            }
        }
        if self.h_cosited {
            widen_cosited(&self.near, out);
        } else {
            widen_centred(&self.near, out);
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

/// Where the bytes of a packed pixel go.
struct Packing {
    step: usize,
    /// Byte of each component; the fourth is that of alpha or padding.
    offsets: [usize; 4],
}

impl Packing {
    fn of(format: PixelFormat) -> Self {
        let components = format.components();
        let step = components[0].step;
        let mut offsets = [0; 4];
        for (offset, component) in offsets.iter_mut().zip(components) {
            *offset = component.offset;
        }
        // The byte that no component lies in is padding, and is written as alpha would be.
        offsets[3] = (0..4).find(|byte| !offsets[..3].contains(byte)).unwrap_or(3);
        Self { step, offsets }
    }

    fn pack(&self, components: [&[u8]; 3], alpha: &[u8], out: &mut [u8]) {
        if self.step == 4 {
            let shifts = self.offsets.map(|offset| 8 * offset as u32);
            let [a, b, c] = components;
            pack_4(a, b, c, alpha, shifts, out);
        } else {
            let [a, b, c, _] = self.offsets;
            pack_3([components[a.min(2)], components[b.min(2)], components[c.min(2)]], out);
        }
    }
}

#[multiversion(targets = "simd")]
fn pack_4(a: &[u8], b: &[u8], c: &[u8], alpha: &[u8], shifts: [u32; 4], out: &mut [u8]) {
    let n = alpha.len();
    let (a, b, c) = (&a[..n], &b[..n], &c[..n]);
    for (i, pixel) in out[..4 * n].chunks_exact_mut(4).enumerate() {
        let word = u32::from(a[i]) << shifts[0]
            | u32::from(b[i]) << shifts[1]
            | u32::from(c[i]) << shifts[2]
            | u32::from(alpha[i]) << shifts[3];
        pixel.copy_from_slice(&word.to_le_bytes());
    }
}

/// `components` in the order of their bytes (RGB and BGR are each other's inverse).
#[multiversion(targets = "simd")]
fn pack_3(components: [&[u8]; 3], out: &mut [u8]) {
    let [a, b, c] = components;
    for (i, pixel) in out.chunks_exact_mut(3).enumerate() {
        pixel[0] = a[i];
        pixel[1] = b[i];
        pixel[2] = c[i];
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
                    converter.convert(&frame.view(), y, &[7; 5], &mut row);
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
