// SPDX-License-Identifier: MIT

//! Rows taken apart into components at full resolution.

use std::ops::Range as Pixels;

use multiversion::multiversion;

use crate::matting::frame::pixel_format::Component;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::kernels::bytes::gather;

/// Takes rows apart into components at full resolution.
pub struct Unpacker {
    components: &'static [Component],
    h_cosited: bool,
    v_cosited: bool,
    rows: [Vec<u8>; 3],
    /// A row of chroma at its own resolution, and the row beside it.
    near: Vec<u8>,
    beside: Vec<u8>,
}

impl Unpacker {
    pub fn new(layout: &FrameLayout) -> Self {
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
    pub fn unpack<'a>(
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

#[cfg(test)]
mod tests {
    use super::*;

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
