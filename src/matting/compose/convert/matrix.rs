// SPDX-License-Identifier: MIT

//! A colour matrix: in fixed point for bytes, in floats for deeper codes.

use crate::matting::compose::convert::lane::Converted;
use crate::matting::frame::color::Affine;
use crate::matting::frame::pixel_format::{Depth, Family};
use crate::matting::frame::sample::Sample;

/// Takes the colours of pixels to others.
pub trait Matrix<S: Converted>: Send + Sync {
    /// With rows in the `order` of the samples of a pixel, which has codes of `depth`.
    fn new(affine: &Affine, from: Family, order: [usize; 3], depth: Depth) -> Self;

    /// Whether the second and the third code are chroma.
    fn is_of_yuv(&self) -> bool;

    /// The samples of a pixel, one for each row.
    fn apply<const FROM_YUV: bool>(&self, x: S::Lane, y: S::Lane, z: S::Lane) -> [S; 3];
}

/// An [`Affine`] in 16-bit fixed point, one row for each byte of a pixel.
///
/// A product keeps the upper half of 32 bits, for which there is a vector instruction, and [`BITS`]
/// of them are fractional: a code is scaled by 2^7 and its factor by 2^14, which holds factors up to
/// 2. Those of chroma may be twice that, but its codes are counted from 128, and so can be scaled by
/// 2^8. Without colour they are 0, and gray stays gray.
///
/// [`BITS`]: Self::BITS
pub struct FixedMatrix {
    matrix: [[i16; 3]; 3],
    offset: [i16; 3],
    from_yuv: bool,
}

impl FixedMatrix {
    const BITS: u32 = 5;
}

impl Matrix<u8> for FixedMatrix {
    fn new(affine: &Affine, from: Family, order: [usize; 3], _: Depth) -> Self {
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

    fn is_of_yuv(&self) -> bool {
        self.from_yuv
    }

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

/// An [`Affine`] that ends in samples of more than 8 bits.
pub struct FloatMatrix {
    matrix: [[f32; 3]; 3],
    offset: [f32; 3],
    depth: Depth,
    from_yuv: bool,
}

impl Matrix<u16> for FloatMatrix {
    fn new(affine: &Affine, from: Family, order: [usize; 3], depth: Depth) -> Self {
        Self {
            matrix: order.map(|row| affine.matrix[row]),
            offset: order.map(|row| affine.offset[row]),
            depth,
            from_yuv: from == Family::Yuv,
        }
    }

    fn is_of_yuv(&self) -> bool {
        self.from_yuv
    }

    #[inline(always)]
    fn apply<const FROM_YUV: bool>(&self, x: f32, y: f32, z: f32) -> [u16; 3] {
        let row = |[a, b, c]: [f32; 3], offset: f32| {
            u16::encode(a * x + b * y + c * z + offset, self.depth)
        };
        let ([a, b, c], offset) = (self.matrix, self.offset);
        [row(a, offset[0]), row(b, offset[1]), row(c, offset[2])]
    }
}
