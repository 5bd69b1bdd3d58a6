// SPDX-License-Identifier: MIT

//! How far a matte may change: near what its mask is uncertain of.

use crate::matting::frame::size::Size;
use crate::matting::input::geometry::MaskLayout;
use crate::matting::kernels::box_mean::BoxMean;
use crate::matting::matte::uncertain::{mark_row, widen};

/// The share of the frame's longer side within which what lies about something uncertain may change: 10 pixels
/// of 1920.
const AROUND: f64 = 1.0 / 192.0;

/// The gate of masks of one size, 0 where nothing may change, 1 where anything may.
pub struct Gate {
    values: Vec<f32>,
    width: usize,
    /// Samples of the mask, horizontally and vertically.
    around: [usize; 2],
    means: BoxMean,
}

impl Gate {
    /// For frames of `frame` size and masks that lie on them so.
    pub fn new(frame: Size, masks: MaskLayout) -> Self {
        let reach = AROUND * frame.width.max(frame.height) as f64;
        let axes = masks.axes(frame);
        let samples = |index: usize, mask: usize| {
            let samples = reach * f64::from(axes[index].mask_per_frame(mask));
            (samples.round() as usize).max(1)
        };
        let mask = masks.mask;
        Self {
            values: vec![0.0; mask.area()],
            width: mask.width,
            around: [samples(0, mask.width), samples(1, mask.height)],
            means: BoxMean::new(mask.area(), mask.width),
        }
    }

    /// The gate of a mask; false where it is shut everywhere.
    pub fn update(&mut self, mask: &[f32]) -> bool {
        let Self { values, width, around, means } = self;
        let mut above = None;
        for (row, out) in mask.chunks_exact(*width).zip(values.chunks_exact_mut(*width)) {
            mark_row(row, above, out);
            above = Some(row);
        }
        if !values.contains(&1.0) {
            return false;
        }
        widen(values, *width, *around, means);
        means.mean(values, *width, around.map(|around| around.div_ceil(2)));
        true
    }

    /// Row by row, of the mask's size.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_open_about_an_edge_and_shut_elsewhere() {
        let (frame, mask) = (Size { width: 1920, height: 960 }, Size { width: 384, height: 192 });
        let mut gate = Gate::new(frame, MaskLayout::covering(mask));
        assert_eq!(gate.around, [2, 2]);
        let values: Vec<f32> = (0..mask.area()).map(|i| f32::from(i % 384 < 200)).collect();
        assert!(gate.update(&values));
        let row = &gate.values()[50 * 384..][..384];
        assert_eq!(row[200], 1.0);
        for (x, value) in row.iter().enumerate() {
            match x.abs_diff(200) {
                0..=1 => assert_eq!(*value, 1.0, "{x}"),
                2..=4 => {}
                _ => assert_eq!(*value, 0.0, "{x}"),
            }
        }
        for sure in [0.0, 0.01, 1.0] {
            assert!(!gate.update(&vec![sure; mask.area()]));
        }
    }
}
