// SPDX-License-Identifier: MIT

//! The mask of a region of the frame, drawn into a mask of the whole.
//!
//! Wherever the network looked, what follows sees masks of one size that cover the frame, so that
//! a mask can be carried, smoothed and shown beside those of other regions.

use std::ops::Range;

use crate::matting::frame::region::Region;
use crate::matting::frame::size::Size;
use crate::matting::input::geometry::AxisGeometry;
use crate::matting::input::layouts::MaskLayouts;
use crate::matting::kernels::resample::PackedOperator;
use crate::matting::matte::enlarge::{
    FAINT, MaskMatte, Matte, MatteReader, MatteRows, next_number,
};

/// Samples that the longer side of a canvas has beyond a mask's.
const FINER: usize = 768;

/// Draws masks of regions into masks of the frame.
pub struct Canvas {
    frame: Size,
    masks: MaskLayouts,
    size: Size,
    /// What was drawn last, and the size of its mask.
    drawn: Option<(Region, Size)>,
    columns: PackedOperator,
    rows: PackedOperator,
    /// Where in the canvas the region lies: the first column and row.
    corner: [usize; 2],
    /// Enlarges masks.
    reader: MatteReader,
}

impl Canvas {
    /// For frames of `frame` size, and the masks of a network.
    pub fn new(frame: Size, masks: impl Into<MaskLayouts>) -> Self {
        let masks = masks.into();
        let mask = masks.of(frame).mask;
        let longer = frame.width.max(frame.height);
        let side = longer.min(mask.width.max(mask.height) + FINER);
        let scaled = |pixels: usize| (pixels * side).div_ceil(longer);
        let size = Size { width: scaled(frame.width), height: scaled(frame.height) };
        let columns = PackedOperator::empty(mask.width);
        Self {
            drawn: None,
            reader: MatteReader::new(size.width, &columns),
            columns,
            rows: PackedOperator::empty(mask.height),
            corner: [0; 2],
            frame,
            masks,
            size,
        }
    }

    /// Size of the masks that are drawn; they cover the frame and nothing else.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The side, in pixels, of the smallest region that a canvas can show as finely as the network
    /// sees it.
    pub fn least_side(&self) -> usize {
        let longer = |size: Size| size.width.max(size.height);
        let side = longer(self.frame);
        let square = self.masks.of(Size { width: side, height: side });
        longer(square.mask) * side / longer(self.size)
    }

    /// Draws `mask`, which the network made of `region`, into `out`; all else becomes 0.
    pub fn draw(&mut self, mask: &[f32], region: Region, out: &mut [f32]) {
        let size = match self.drawn {
            Some((drawn, size)) if drawn == region => size,
            _ => self.place(region),
        };
        let enlarged = Matte::Mask(MaskMatte {
            number: next_number(),
            mask: &mask[..size.area()],
            width: size.width,
            columns: &self.columns,
            rows: &self.rows,
            invert: false,
            threshold: 0.0,
            faint: FAINT,
            details: None,
        });
        let mut enlarged = enlarged.rows(&mut self.reader);
        let [left, top] = self.corner;
        for (y, out) in out.chunks_exact_mut(self.size.width).enumerate() {
            if y < top || y >= top + self.rows.outputs() {
                out.fill(0.0);
                continue;
            }
            let (before, rest) = out.split_at_mut(left);
            let (inside, after) = rest.split_at_mut(self.columns.outputs());
            before.fill(0.0);
            inside.copy_from_slice(enlarged.row(y - top).values);
            after.fill(0.0);
        }
    }

    /// Makes ready for masks of `region`; their size.
    fn place(&mut self, region: Region) -> Size {
        let masks = self.masks.of(region.size);
        let [x, y] = masks.axes(region.size);
        let place = |axis: AxisGeometry, mask, frame: usize, canvas: usize, start, side| {
            let pixels = frame as f64 / canvas as f64;
            let centre = move |sample: usize| (sample as f64 + 0.5) * pixels - start as f64;
            let range = drawn(frame, canvas, start, side);
            let edge = f64::from(axis.frame_edge(mask));
            let scale = f64::from(axis.mask_per_frame(mask));
            let first = range.start;
            (first, range.map(move |sample| edge + centre(sample) * scale - 0.5))
        };
        let (left, columns) = place(
            x,
            masks.mask.width,
            self.frame.width,
            self.size.width,
            region.x,
            region.size.width,
        );
        let (top, rows) = place(
            y,
            masks.mask.height,
            self.frame.height,
            self.size.height,
            region.y,
            region.size.height,
        );
        self.corner = [left, top];
        self.columns.set_bicubic(masks.mask.width, columns);
        self.rows.set_bicubic(masks.mask.height, rows);
        self.reader.fit(&self.columns);
        self.drawn = Some((region, masks.mask));
        masks.mask
    }
}

/// Along one axis, the samples of a canvas whose centres lie in a region, of which alone a mask of it
/// tells; all lengths but theirs are in pixels.
pub(super) fn drawn(frame: usize, canvas: usize, start: usize, side: usize) -> Range<usize> {
    let pixels = frame as f64 / canvas as f64;
    let from = |pixel: usize| (pixel as f64 / pixels - 0.5).ceil().max(0.0) as usize;
    let first = from(start).min(canvas);
    first..from(start + side).clamp(first, canvas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::aspect::PixelAspect;
    use crate::matting::inference::network::OpenSides;
    use crate::matting::input::geometry::MaskLayout;
    use crate::matting::model::description::Fit;
    use crate::matting::model::size_rule::{Shaped, SizeRule};
    use proptest::prelude::*;

    const FRAME: Size = Size { width: 1280, height: 720 };
    const MASK: Size = Size { width: 256, height: 256 };
    const MASKS: MaskLayout =
        MaskLayout { input: MASK, mask: MASK, fit: Fit::Pad, aspect: PixelAspect::SQUARE };

    /// A blob about the middle of the frame, soft over many pixels; at a pixel's coordinate.
    fn blob(x: f32, y: f32) -> f32 {
        (0.5 + (200.0 - (x - 640.0).hypot(y - 360.0)) / 60.0).clamp(0.0, 1.0)
    }

    /// Masks of the shape of what is seen.
    fn shaped() -> MaskLayouts {
        let rule = Shaped::of_area(256, 16);
        let open = OpenSides { input: [true; 2], mask: [true; 2] };
        MaskLayouts::following(MASKS, open, SizeRule::Shaped(rule))
    }

    /// What a perfect network says of `region`.
    fn mask(region: Region, masks: MaskLayouts) -> Vec<f32> {
        let layout = masks.of(region.size);
        let Size { width, height } = layout.mask;
        let [x, y] = layout.axes(region.size);
        let at = |axis: &AxisGeometry, mask: usize, i: usize, start: usize| {
            let edge = axis.frame_edge(mask);
            start as f32 + (i as f32 + 0.5 - edge) / axis.mask_per_frame(mask)
        };
        let value =
            |i| blob(at(&x, width, i % width, region.x), at(&y, height, i / width, region.y));
        (0..layout.mask.area()).map(value).collect()
    }

    #[test]
    fn wherever_the_network_looks_the_frame_is_the_same() {
        for (masks, size) in [(MASKS.into(), (1024, 576)), (shaped(), (1104, 621))] {
            let mut canvas = Canvas::new(FRAME, masks);
            let Size { width, height } = canvas.size();
            assert_eq!((width, height), size);
            for region in [
                Region::whole(FRAME),
                Region { x: 320, y: 80, size: Size { width: 640, height: 560 } },
                Region { x: 402, y: 36, size: Size { width: 480, height: 684 } },
                Region::whole(FRAME),
            ] {
                let mut out = vec![f32::NAN; width * height];
                canvas.draw(&mask(region, masks), region, &mut out);
                let pixels = FRAME.width as f32 / width as f32;
                for (i, value) in out.iter().enumerate() {
                    let x = ((i % width) as f32 + 0.5) * pixels;
                    let y = ((i / width) as f32 + 0.5) * pixels;
                    let error = (value - blob(x, y)).abs();
                    assert!(error < 0.02, "{error} at {x}, {y} of {region:?}");
                }
            }
        }
    }

    #[test]
    fn outside_the_region_there_is_nobody() {
        let mut canvas = Canvas::new(FRAME, MASKS);
        let region = Region { x: 640, y: 0, size: Size { width: 320, height: 320 } };
        let mut out = vec![f32::NAN; canvas.size().area()];
        canvas.draw(&[1.0; MASK.area()], region, &mut out);
        for (i, value) in out.iter().enumerate() {
            let x = ((i % 1024) as f32 + 0.5) * 1.25;
            let y = ((i / 1024) as f32 + 0.5) * 1.25;
            let inside = (640.0..960.0).contains(&x) && y < 320.0;
            assert!((value - f32::from(inside)).abs() < 1e-6, "{value} at {x}, {y}");
        }
    }

    proptest! {
        #[test]
        fn every_region_of_every_size_is_drawn_in_range(
            width in 1usize..90, height in 1usize..90, mask_w in 1usize..12, mask_h in 1usize..12,
            x in 0.0..1.0, y in 0.0..1.0, w in 0.0..1.0, h in 0.0..1.0,
        ) {
            let part = |share: f64, of: usize| (share * of as f64) as usize;
            let (x, y) = (part(x, width) & !1, part(y, height) & !1);
            let size = Size { width: 1 + part(w, width - x - 1), height: 1 + part(h, height - y - 1) };
            let (frame, mask) = (Size { width, height }, Size { width: mask_w, height: mask_h });
            let values: Vec<f32> = (0..mask.area()).map(|i| (i * 37 % 11) as f32 / 10.0).collect();
            for fit in [Fit::Pad, Fit::Letterbox, Fit::Stretch] {
                let mut canvas = Canvas::new(frame, MaskLayout { input: mask, mask, fit, aspect: PixelAspect::SQUARE });
                let mut out = vec![f32::NAN; canvas.size().area()];
                canvas.draw(&values, Region { x, y, size }, &mut out);
                prop_assert!(out.iter().all(|value| (0.0..=1.0).contains(value)));
            }
        }
    }
}
