// SPDX-License-Identifier: MIT

//! Frames for tests, of any format, code by code.

use super::packed::Band;
use super::pixel_format::Depth;
use super::view::{FrameLayout, FrameView, FrameViewMut, OwnedFrame};

impl OwnedFrame {
    /// With `code(component, x, y)` as codes, at each component's own resolution.
    pub fn painted(layout: FrameLayout, code: impl Fn(usize, usize, usize) -> u32) -> Self {
        let mut frame = Self::new(layout);
        match Band::new(&layout, layout.height) {
            None => paint(&mut frame.view_mut(), code),
            Some(mut band) => {
                paint(&mut band.view_mut(&layout, 0), code);
                band.put(0..layout.height, &mut frame.view_mut());
            }
        }
        frame
    }

    /// The codes of each component, row by row.
    pub fn codes(&self) -> Vec<Vec<u32>> {
        let view = self.view();
        let layout = *view.layout();
        match Band::new(&layout, layout.height) {
            None => codes(&view),
            Some(mut band) => codes(&band.take(&view, 0..layout.height)),
        }
    }
}

fn paint(view: &mut FrameViewMut<'_>, code: impl Fn(usize, usize, usize) -> u32) {
    let FrameLayout { format, width, height, .. } = *view.layout();
    for (index, component) in format.components().iter().enumerate() {
        for y in 0..component.height(height) {
            for x in 0..component.width(width) {
                let at = x * component.step + component.offset;
                let sample = code(index, x, y) << format.depth().shift;
                match format.sample_bytes() {
                    1 => view.samples_mut(component.plane, y)[at] = sample as u8,
                    _ => view.samples_mut(component.plane, y)[at] = sample as u16,
                }
            }
        }
    }
}

fn codes(view: &FrameView<'_>) -> Vec<Vec<u32>> {
    let FrameLayout { format, width, height, .. } = *view.layout();
    let Depth { shift, .. } = format.depth();
    let sample = |y: usize, plane: usize, at: usize| match format.sample_bytes() {
        1 => u32::from(view.samples::<u8>(plane, y)[at]),
        _ => u32::from(view.samples::<u16>(plane, y)[at]) >> shift,
    };
    let codes = format.components().iter().map(|component| {
        let (width, height) = (component.width(width), component.height(height));
        let position = |i: usize| (i % width * component.step + component.offset, i / width);
        let all = (0..width * height).map(position);
        all.map(|(at, y)| sample(y, component.plane, at)).collect()
    });
    codes.collect()
}
