// SPDX-License-Identifier: MIT

//! What the samples of a row are while they are converted: bytes stay bytes, which is as quick as it can be;
//! deeper codes become floats, so that interpolated chroma keeps what lies between two codes.

use multiversion::multiversion;

use super::matrix::{FixedMatrix, FloatMatrix, Matrix};
use crate::matting::frame::pixel_format::Depth;
use crate::matting::frame::sample::Sample;
use crate::matting::kernels::samples::gather;

/// Samples that are converted.
pub trait Converted: Sample {
    /// What they are meanwhile.
    type Lane: Copy + Default + Send + Sync;
    /// What takes their colours to others.
    type Matrix: Matrix<Self>;

    /// The row itself, where nothing needs to be done to it.
    fn as_lanes(row: &[Self]) -> Option<&[Self::Lane]>;

    /// Every `step`-th sample from `offset` on. `scratch` is as long as `out`, or longer.
    fn to_lanes(
        row: &[Self],
        offset: usize,
        step: usize,
        depth: Depth,
        scratch: &mut [Self],
        out: &mut [Self::Lane],
    );

    /// The nearest sample.
    fn of_lane(lane: Self::Lane, depth: Depth) -> Self;

    /// (a + b) / 2.
    fn middle(a: Self::Lane, b: Self::Lane) -> Self::Lane;

    /// (3 a + b) / 4.
    fn near(a: Self::Lane, b: Self::Lane) -> Self::Lane;
}

impl Converted for u8 {
    type Lane = u8;
    type Matrix = FixedMatrix;

    fn as_lanes(row: &[u8]) -> Option<&[u8]> {
        Some(row)
    }

    fn to_lanes(row: &[u8], offset: usize, step: usize, _: Depth, _: &mut [u8], out: &mut [u8]) {
        gather(row, offset, step, out);
    }

    #[inline(always)]
    fn of_lane(lane: u8, _: Depth) -> u8 {
        lane
    }

    #[inline(always)]
    fn middle(a: u8, b: u8) -> u8 {
        a.mean(b)
    }

    #[inline(always)]
    fn near(a: u8, b: u8) -> u8 {
        ((3 * u16::from(a) + u16::from(b) + 2) >> 2) as u8
    }
}

impl Converted for u16 {
    /// A code, in units of an 8-bit one.
    type Lane = f32;
    type Matrix = FloatMatrix;

    fn as_lanes(_: &[u16]) -> Option<&[f32]> {
        None
    }

    fn to_lanes(
        row: &[u16],
        offset: usize,
        step: usize,
        depth: Depth,
        scratch: &mut [u16],
        out: &mut [f32],
    ) {
        if step == 1 {
            return decode(row, depth, out);
        }
        let scratch = &mut scratch[..out.len()];
        gather(row, offset, step, scratch);
        decode(scratch, depth, out);
    }

    #[inline(always)]
    fn of_lane(lane: f32, depth: Depth) -> u16 {
        u16::encode(lane, depth)
    }

    #[inline(always)]
    fn middle(a: f32, b: f32) -> f32 {
        0.5 * (a + b)
    }

    #[inline(always)]
    fn near(a: f32, b: f32) -> f32 {
        0.75 * a + 0.25 * b
    }
}

#[multiversion(targets = "simd")]
fn decode(row: &[u16], depth: Depth, out: &mut [f32]) {
    for (out, sample) in out.iter_mut().zip(row) {
        *out = sample.decode(depth);
    }
}
