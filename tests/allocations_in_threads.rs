//! Once the first frames are through, rows and tiles that threads share take nothing from the heap. The only test of
//! this program, since it counts what all threads ask for.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "common/counting.rs"]
mod counting;
#[path = "common/echo.rs"]
mod echo;

use counting::{Counting, of_all_threads};
use echo::Echo;
use gstdavidmatte::matting::prelude::*;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Large enough to be divided.
const WIDTH: usize = 1201;
const HEIGHT: usize = 701;
const SIZE: Size = Size { width: 64, height: 64 };
const MASKS: MaskLayout =
    MaskLayout { input: SIZE, mask: SIZE, fit: Fit::Pad, aspect: PixelAspect::SQUARE };
/// Frames to begin with, and those that are counted.
const FIRST: usize = 5;
const COUNTED: usize = 40;

/// Allocations a frame, once the first ones are through. Those who hand work to threads take a block for dozens of
/// jobs now and then.
fn a_frame(mut work: impl FnMut()) -> f64 {
    (0..FIRST).for_each(|_| work());
    let before = of_all_threads();
    (0..COUNTED).for_each(|_| work());
    (of_all_threads() - before) as f64 / COUNTED as f64
}

fn ramp() -> Vec<f32> {
    (0..SIZE.area()).map(|i| (i % SIZE.width) as f32 / SIZE.width as f32).collect()
}

#[test]
fn threads_take_nothing_from_the_heap() {
    let layout = |format| FrameLayout::new(format, WIDTH, HEIGHT);
    let mask = ramp();
    for (from, to, output) in [
        (PixelFormat::I420, PixelFormat::I420, Output::Composite),
        (PixelFormat::Yuy2, PixelFormat::Rgba, Output::Cutout),
        (PixelFormat::Bgrx, PixelFormat::Gray8, Output::Alpha),
    ] {
        for background in [Background::Color(0xff00_b140), Background::Blur(0.03)] {
            let compositor = Compositor::new(MASKS, layout(from), layout(to), output).unwrap();
            let mut compositor = compositor.with_threads(3).unwrap();
            let (frame, mut target) = (OwnedFrame::new(layout(from)), OwnedFrame::new(layout(to)));
            let look = Look { matte: MatteSettings::default(), background, decontaminate: true };
            let spent = a_frame(|| {
                let colors = &frame.view();
                compositor
                    .compose(Colors::Frame(colors), &mask, &look, &mut target.view_mut())
                    .unwrap();
            });
            assert!(spent < 0.2, "{spent} of {from:?} to {to:?}, {look:?}");
        }
    }
    let layout = layout(PixelFormat::I420);
    let mut detailer = Detailer::new(vec![Echo::boxed(), Echo::boxed()], &layout, MASKS);
    let frame = OwnedFrame::new(layout);
    let spent = a_frame(|| {
        let tiles = detailer.find(&frame.view(), &mask, MASKS, None).unwrap();
        assert!(tiles.len() > 12, "shared");
    });
    assert!(spent < 0.2, "{spent} of tiles");
}
