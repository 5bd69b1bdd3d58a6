//! What the benchmarks share: a network at no cost, and frames.

use gstdavidmatte::matting::prelude::InputDescription;
use gstdavidmatte::matting::prelude::*;

/// DAViD's contract with a soft disk for a mask, at no cost.
pub struct Disk {
    tensor: Vec<f32>,
    mask: Vec<f32>,
}

const SIDE: usize = 512;
const SIZE: Size = Size { width: SIDE, height: SIDE };

impl Disk {
    /// The network.
    pub fn new() -> Self {
        let mask = (0..SIDE * SIDE).map(|i| {
            let (x, y) = ((i % SIDE) as f32 - 256.0, (i / SIDE) as f32 - 256.0);
            ((150.0 - x.hypot(y)) / 20.0).clamp(0.0, 1.0)
        });
        Self { tensor: vec![0.0; 3 * SIZE.area()], mask: mask.collect() }
    }
}

impl Network for Disk {
    fn shape(&self) -> NetworkShape {
        NetworkShape::new(InputDescription::default(), SIZE, SIZE)
    }

    fn input(&mut self) -> &mut [f32] {
        &mut self.tensor
    }

    fn run(&mut self, mask: &mut [f32]) -> Result<(), Error> {
        mask.copy_from_slice(&self.mask);
        Ok(())
    }
}

/// Frames of one format and size.
pub fn layout(format: PixelFormat, [width, height]: [usize; 2]) -> FrameLayout {
    FrameLayout::new(format, width, height)
}

/// A frame of noise.
pub fn noise(layout: FrameLayout) -> OwnedFrame {
    let mut frame = OwnedFrame::new(layout);
    let mut seed = 1u32;
    for plane in 0..layout.format.planes() {
        for y in 0..layout.format.plane_rows(plane, layout.height) {
            for byte in frame.view_mut().row_mut(plane, y) {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (seed >> 24) as u8;
            }
            let depth = layout.format.depth();
            if layout.format.sample_bytes() == 2 && layout.format.packing().is_none() {
                let codes = (((1u32 << depth.bits) - 1) << depth.shift) as u16;
                for sample in frame.view_mut().samples_mut::<u16>(plane, y) {
                    *sample &= codes;
                }
            }
        }
    }
    frame
}
