// SPDX-License-Identifier: MIT

//! Rows taken apart into components at full resolution.

use std::ops::Range as Pixels;

use multiversion::multiversion;

use super::lane::Converted;
use crate::matting::frame::pixel_format::{Component, Depth};
use crate::matting::frame::view::{FrameLayout, FrameView};

/// Takes rows apart into components at full resolution.
pub struct Unpacker<S: Converted> {
    components: &'static [Component],
    depth: Depth,
    h_cosited: bool,
    v_cosited: bool,
    rows: [Vec<S::Lane>; 3],
    /// A row of chroma at its own resolution, and the row beside it.
    near: Vec<S::Lane>,
    beside: Vec<S::Lane>,
    gathered: Vec<S>,
}

impl<S: Converted> Unpacker<S> {
    pub fn new(layout: &FrameLayout) -> Self {
        let half = layout.width.div_ceil(2);
        Self {
            components: layout.format.color_components(),
            h_cosited: layout.color.chroma_site.h_cosited,
            v_cosited: layout.color.chroma_site.v_cosited,
            depth: layout.format.depth(),
            rows: std::array::from_fn(|_| vec![S::Lane::default(); layout.width]),
            near: vec![S::Lane::default(); half],
            beside: vec![S::Lane::default(); half],
            gathered: vec![S::NONE; layout.width],
        }
    }

    /// The components of row `y`, in which `pixels` are right; for gray all three are luma.
    pub fn unpack<'a>(
        &'a mut self,
        frame: &FrameView<'a>,
        y: usize,
        pixels: &Pixels<usize>,
    ) -> [&'a [S::Lane]; 3] {
        for index in 0..self.components.len() {
            self.unpack_component(frame, y, pixels, index);
        }
        let width = frame.layout().width;
        let row = |index: usize| -> &'a [S::Lane] {
            let component = self.components[index];
            let as_it_lies = match (component.step, component.h_shift) {
                (1, 0) => S::as_lanes(&frame.samples(component.plane, y)[..width]),
                _ => None,
            };
            as_it_lies.unwrap_or(&self.rows[index])
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
        let (depth, gathered) = (self.depth, &mut self.gathered[..]);
        let mut samples_from = |row, first: usize, out: &mut [S::Lane]| {
            let row = &frame.samples(plane, row)[first * step..];
            S::to_lanes(row, offset, step, depth, gathered, out);
        };
        if h_shift == 0 {
            if step > 1 || S::as_lanes(&[]).is_none() {
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
            mix_rows::<S>(near, beside, self.v_cosited);
        }
        if self.h_cosited {
            widen_cosited::<S>(near, out);
        } else {
            widen_centred::<S>(near, out);
        }
    }
}

/// `row` moves towards `other`: half the way, or a quarter.
#[multiversion(targets = "simd")]
fn mix_rows<S: Converted>(row: &mut [S::Lane], other: &[S::Lane], by_half: bool) {
    if by_half {
        for (row, other) in row.iter_mut().zip(other) {
            *row = S::middle(*row, *other);
        }
    } else {
        for (row, other) in row.iter_mut().zip(other) {
            *row = S::near(*row, *other);
        }
    }
}

/// Twice as many samples, the even ones where the given ones are.
#[multiversion(targets = "simd")]
fn widen_cosited<S: Converted>(half: &[S::Lane], out: &mut [S::Lane]) {
    let inner = half.len() - 1;
    for (pair, (a, b)) in out.chunks_exact_mut(2).zip(half[..inner].iter().zip(&half[1..])) {
        pair[0] = *a;
        pair[1] = S::middle(*a, *b);
    }
    out[2 * inner..].fill(half[inner]);
}

/// Twice as many samples, the given ones between two of them.
#[multiversion(targets = "simd")]
fn widen_centred<S: Converted>(half: &[S::Lane], out: &mut [S::Lane]) {
    let inner = half.len() - 1;
    // From the second sample on, two at a time lie between neighbours.
    out[0] = half[0];
    if let Some(between) = out.get_mut(1..) {
        for (pair, (a, b)) in between.chunks_exact_mut(2).zip(half[..inner].iter().zip(&half[1..]))
        {
            pair[0] = S::near(*a, *b);
            pair[1] = S::near(*b, *a);
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
            widen_centred::<u8>(half, &mut out);
            assert_eq!(out, centred);
            widen_cosited::<u8>(half, &mut out);
            assert_eq!(out, cosited);
        }
    }
}
