// SPDX-License-Identifier: MIT

//! Formats whose codes follow each other bit by bit: their rows are taken apart into planes of 16-bit samples,
//! worked on there, and put together again, a few at a time, while they are in the cache.

use std::ops::Range;

use multiversion::multiversion;

use super::pixel_format::{MAX_PLANES, PixelFormat};
use super::view::{FrameLayout, FrameView, FrameViewMut, Plane, PlaneMut};

/// How the bits of a group of pixels lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Six pixels of 4:2:2 in four little-endian words of three codes each, from the lowest bit on: U Y V,
    /// Y U Y, V Y U, Y V Y.
    V210,
    /// Two pixels of 4:2:2 in five bytes, from the highest bit on: U Y V Y.
    Uyvp,
    /// One pixel in a little-endian word, from the lowest bit on: U Y V, and two bits of alpha.
    Y410,
}

impl Packing {
    /// Pixels of a group.
    pub const fn pixels(self) -> usize {
        match self {
            Self::V210 => 6,
            Self::Uyvp => 2,
            Self::Y410 => 1,
        }
    }

    /// Bytes of a group.
    pub const fn bytes(self) -> usize {
        match self {
            Self::V210 => 16,
            Self::Uyvp => 5,
            Self::Y410 => 4,
        }
    }

    /// The format in which its codes lie apart, none of whose planes has fewer rows than another.
    pub const fn apart(self) -> PixelFormat {
        match self {
            Self::V210 | Self::Uyvp => PixelFormat::I422_10Le,
            Self::Y410 => PixelFormat::A444_10Le,
        }
    }
}

/// A few rows of a frame, taken apart.
pub struct Band {
    packing: Packing,
    planes: [Vec<u16>; MAX_PLANES],
    /// Samples from row to row.
    strides: [usize; MAX_PLANES],
}

impl Band {
    /// Room for so many rows of frames of `layout`; nothing for a format whose samples lie apart.
    pub fn new(layout: &FrameLayout, rows: usize) -> Option<Self> {
        let packing = layout.format.packing()?;
        // A part of a frame may begin and end within a group.
        let groups = layout.width.div_ceil(packing.pixels()) + 1;
        let width = groups * packing.pixels();
        let strides = std::array::from_fn(|plane| packing.apart().row_samples(plane, width));
        Some(Self { packing, planes: strides.map(|stride| vec![0; stride * rows]), strides })
    }

    /// Takes `rows` of a frame apart. What is given knows these rows alone, by their numbers.
    pub fn take(&mut self, frame: &FrameView<'_>, rows: Range<usize>) -> FrameView<'_> {
        for (index, y) in rows.clone().enumerate() {
            self.unpack(index, frame.row(0, y));
        }
        let (layout, left) = (frame.layout().apart(), frame.left());
        let planes = std::array::from_fn(|plane| {
            let Some(component) = layout.format.in_plane(plane).next() else {
                return Plane::default();
            };
            let data = bytemuck::cast_slice(&self.planes[plane][left >> component.h_shift..]);
            Plane { data, stride: 2 * self.strides[plane] }
        });
        FrameView::of_rows(layout, planes, rows.start)
    }

    /// Takes `rows` of a frame apart that is being written.
    pub fn take_back(&mut self, frame: &FrameViewMut<'_>, rows: Range<usize>) {
        for (index, y) in rows.enumerate() {
            self.unpack(index, frame.row(0, y));
        }
    }

    /// The rows from `top` on, of a frame of `layout`, to be written.
    pub fn view_mut(&mut self, layout: &FrameLayout, top: usize) -> FrameViewMut<'_> {
        let strides = self.strides;
        let mut index = 0;
        let planes = self.planes.each_mut().map(|plane| {
            index += 1;
            PlaneMut { data: bytemuck::cast_slice_mut(plane), stride: 2 * strides[index - 1] }
        });
        FrameViewMut::of_rows(layout.apart(), planes, top)
    }

    /// Puts the rows together, as `rows` of a frame.
    pub fn put(&self, rows: Range<usize>, target: &mut FrameViewMut<'_>) {
        for (index, y) in rows.enumerate() {
            let row = target.row_mut(0, y);
            let [a, b, c, d] = std::array::from_fn(|plane| {
                &self.planes[plane][index * self.strides[plane]..][..self.strides[plane]]
            });
            match self.packing {
                Packing::V210 => pack_v210(a, b, c, row),
                Packing::Uyvp => pack_uyvp(a, b, c, row),
                Packing::Y410 => pack_y410([a, b, c, d], row),
            }
        }
    }

    fn unpack(&mut self, index: usize, row: &[u8]) {
        let Self { packing, planes, strides } = self;
        let mut plane = 0;
        let [a, b, c, d] = planes.each_mut().map(|samples| {
            plane += 1;
            &mut samples[index * strides[plane - 1]..][..strides[plane - 1]]
        });
        match packing {
            Packing::V210 => unpack_v210(row, a, b, c),
            Packing::Uyvp => unpack_uyvp(row, a, b, c),
            Packing::Y410 => unpack_y410(row, [a, b, c, d]),
        }
    }
}

/// Of a code of 10 bits.
const MASK: u32 = 0x3ff;

/// One of three codes in a word.
#[inline(always)]
const fn code(word: u32, index: u32) -> u16 {
    (word >> (10 * index) & MASK) as u16
}

#[inline(always)]
fn word(codes: [u16; 3]) -> [u8; 4] {
    let [a, b, c] = codes.map(|code| u32::from(code) & MASK);
    (a | b << 10 | c << 20).to_le_bytes()
}

#[multiversion(targets = "simd")]
fn unpack_v210(row: &[u8], luma: &mut [u16], u: &mut [u16], v: &mut [u16]) {
    let groups = row.as_chunks::<16>().0.iter().zip(luma.as_chunks_mut::<6>().0);
    let chroma = u.as_chunks_mut::<3>().0.iter_mut().zip(v.as_chunks_mut::<3>().0);
    for ((group, luma), (u, v)) in groups.zip(chroma) {
        let words = group.as_chunks::<4>().0;
        let [a, b, c, d] = std::array::from_fn(|i| u32::from_le_bytes(words[i]));
        *luma = [code(a, 1), code(b, 0), code(b, 2), code(c, 1), code(d, 0), code(d, 2)];
        *u = [code(a, 0), code(b, 1), code(c, 2)];
        *v = [code(a, 2), code(c, 0), code(d, 1)];
    }
}

#[multiversion(targets = "simd")]
fn pack_v210(luma: &[u16], u: &[u16], v: &[u16], row: &mut [u8]) {
    let groups = row.as_chunks_mut::<16>().0.iter_mut().zip(luma.as_chunks::<6>().0);
    let chroma = u.as_chunks::<3>().0.iter().zip(v.as_chunks::<3>().0);
    for ((group, y), (u, v)) in groups.zip(chroma) {
        let words = group.as_chunks_mut::<4>().0;
        words[0] = word([u[0], y[0], v[0]]);
        words[1] = word([y[1], u[1], y[2]]);
        words[2] = word([v[1], y[3], u[2]]);
        words[3] = word([y[4], v[2], y[5]]);
    }
}

fn unpack_uyvp(row: &[u8], luma: &mut [u16], u: &mut [u16], v: &mut [u16]) {
    let groups = row.as_chunks::<5>().0.iter().zip(luma.as_chunks_mut::<2>().0);
    for ((group, luma), (u, v)) in groups.zip(u.iter_mut().zip(v)) {
        let [a, b, c, d, e] = group.map(u64::from);
        let bits = a << 32 | b << 24 | c << 16 | d << 8 | e;
        let code = |index: u32| (bits >> (10 * index)) as u16 & MASK as u16;
        (*u, *v) = (code(3), code(1));
        *luma = [code(2), code(0)];
    }
}

fn pack_uyvp(luma: &[u16], u: &[u16], v: &[u16], row: &mut [u8]) {
    let groups = row.as_chunks_mut::<5>().0.iter_mut().zip(luma.as_chunks::<2>().0);
    for ((group, luma), (u, v)) in groups.zip(u.iter().zip(v)) {
        let codes = [*u, luma[0], *v, luma[1]].map(|code| u64::from(code) & u64::from(MASK));
        let bits = codes.into_iter().fold(0, |bits, code| bits << 10 | code);
        let [.., a, b, c, d, e] = bits.to_be_bytes();
        *group = [a, b, c, d, e];
    }
}

#[multiversion(targets = "simd")]
fn unpack_y410(row: &[u8], [luma, u, v, alpha]: [&mut [u16]; MAX_PLANES]) {
    let words = row.as_chunks::<4>().0;
    let n = words.len();
    let (luma, u, v, alpha) = (&mut luma[..n], &mut u[..n], &mut v[..n], &mut alpha[..n]);
    for (i, bytes) in words.iter().enumerate() {
        let word = u32::from_le_bytes(*bytes);
        (u[i], luma[i], v[i]) = (code(word, 0), code(word, 1), code(word, 2));
        // A third of the whole is 341.
        alpha[i] = (word >> 30) as u16 * 341;
    }
}

#[multiversion(targets = "simd")]
fn pack_y410([luma, u, v, alpha]: [&[u16]; MAX_PLANES], row: &mut [u8]) {
    let words = row.as_chunks_mut::<4>().0;
    let n = words.len();
    let (luma, u, v, alpha) = (&luma[..n], &u[..n], &v[..n], &alpha[..n]);
    for (i, bytes) in words.iter_mut().enumerate() {
        let colors = u32::from_le_bytes(word([u[i], luma[i], v[i]]));
        let alpha = (u32::from(alpha[i]) + 170) / 341;
        *bytes = (colors | alpha << 30).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups as the formats' descriptions draw them.
    #[test]
    fn codes_lie_where_they_are_said_to() {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let v210: Vec<u8> = words(&[
            1 | 101 << 10 | 201 << 20,
            102 | 2 << 10 | 103 << 20,
            202 | 104 << 10 | 3 << 20,
            105 | 203 << 10 | 106 << 20,
        ]);
        let y410: Vec<u8> = words(&[1 | 101 << 10 | 201 << 20 | 2 << 30]);
        let uyvp = (1u64 << 30 | 101 << 20 | 201 << 10 | 102).to_be_bytes()[3..].to_vec();
        let pixels = [
            (PixelFormat::V210, 6, v210),
            (PixelFormat::Y410, 1, y410),
            (PixelFormat::Uyvp, 2, uyvp),
        ];
        for (format, width, bytes) in pixels {
            let layout = FrameLayout::new(format, width, 1);
            let mut planes = [Plane::default(); MAX_PLANES];
            planes[0] = Plane { data: &bytes, stride: bytes.len() };
            let frame = FrameView::new(layout, planes).unwrap();
            let mut band = Band::new(&layout, 1).unwrap();
            let apart = band.take(&frame, 0..1);
            for (plane, first) in [101u16, 1, 201].into_iter().enumerate() {
                let samples: &[u16] = apart.samples(plane, 0);
                assert!(samples.iter().copied().eq((first..).take(samples.len())), "{format:?}");
            }
            if format == PixelFormat::Y410 {
                assert_eq!(apart.samples::<u16>(3, 0), [682]);
            }
            let mut back = vec![0; bytes.len()];
            let mut planes = <[PlaneMut<'_>; MAX_PLANES]>::default();
            planes[0] = PlaneMut { stride: back.len(), data: &mut back };
            band.put(0..1, &mut FrameViewMut::new(layout, planes).unwrap());
            assert_eq!(back, bytes, "{format:?}");
        }
    }
}
