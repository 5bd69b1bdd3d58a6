// SPDX-License-Identifier: MIT

//! Frames for tests, of any format, sample by sample.

use super::pixel_format::Depth;
use super::view::{FrameLayout, OwnedFrame};

impl OwnedFrame {
    /// With `code(component, x, y)` as codes, at each component's own resolution.
    pub fn painted(layout: FrameLayout, code: impl Fn(usize, usize, usize) -> u32) -> Self {
        let mut frame = Self::new(layout);
        let mut view = frame.view_mut();
        let Depth { shift, .. } = layout.format.depth();
        for (index, component) in layout.format.components().iter().enumerate() {
            for y in 0..component.height(layout.height) {
                for x in 0..component.width(layout.width) {
                    let at = x * component.step + component.offset;
                    let sample = code(index, x, y) << shift;
                    match layout.format.sample_bytes() {
                        1 => view.samples_mut(component.plane, y)[at] = sample as u8,
                        _ => view.samples_mut(component.plane, y)[at] = sample as u16,
                    }
                }
            }
        }
        frame
    }

    /// The codes of each component, row by row.
    pub fn codes(&self) -> Vec<Vec<u32>> {
        let layout = *self.view().layout();
        let Depth { shift, .. } = layout.format.depth();
        let samples = |y: usize, plane: usize, at: usize| match layout.format.sample_bytes() {
            1 => u32::from(self.samples::<u8>(plane, y)[at]),
            _ => u32::from(self.samples::<u16>(plane, y)[at]) >> shift,
        };
        let codes = layout.format.components().iter().map(|component| {
            let (width, height) = (component.width(layout.width), component.height(layout.height));
            let position = |i: usize| (i % width * component.step + component.offset, i / width);
            let all = (0..width * height).map(position);
            all.map(|(at, y)| samples(y, component.plane, at)).collect()
        });
        codes.collect()
    }
}
