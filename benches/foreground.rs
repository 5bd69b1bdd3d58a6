//! The person's colours in a picture whose matte is known: what `tests/reference/foreground.py` asks.
//!
//!     foreground WIDTH HEIGHT FRAME MATTE OUT
//!
//! FRAME holds RGB, MATTE 32-bit floats in native byte order, OUT gets RGBA. Prints the milliseconds
//! that `decontaminate` takes, one core: for this cutout, and for an I420 composite.

#![allow(missing_docs)]

use std::error::Error;
use std::time::{Duration, Instant};

use gstdavidmatte::matting::prelude::*;

const RUNS: usize = 30;

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo says --bench to everything that it benches.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [width, height, frame, matte, out] = &args[..] else {
        println!("foreground: run tests/reference/foreground.py");
        return Ok(());
    };
    let size = Size { width: width.parse()?, height: height.parse()? };
    let matte = read_matte(matte)?;
    let rgb = read_frame(layout(PixelFormat::Rgb, size), frame)?;

    let mut cutout = OwnedFrame::new(layout(PixelFormat::Rgba, size));
    let cutout_ms = added_ms(&rgb, &mut cutout, &matte, Output::Cutout)?;
    std::fs::write(out, rows(&cutout).concat())?;

    // One colour plane is as good as another for measuring.
    let mut yuv = OwnedFrame::new(layout(PixelFormat::I420, size));
    for y in 0..size.height {
        let source = rgb.row(0, y).iter().step_by(3);
        for (code, red) in yuv.view_mut().row_mut(0, y).iter_mut().zip(source) {
            *code = *red;
        }
    }
    let mut composite = OwnedFrame::new(layout(PixelFormat::I420, size));
    let composite_ms = added_ms(&yuv, &mut composite, &matte, Output::Composite)?;
    println!("{cutout_ms:.2} {composite_ms:.2}");
    Ok(())
}

fn layout(format: PixelFormat, size: Size) -> FrameLayout {
    FrameLayout::new(format, size.width, size.height)
}

fn read_matte(path: &str) -> Result<Vec<f32>, std::io::Error> {
    let bytes = std::fs::read(path)?;
    Ok(bytes.chunks_exact(4).map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]])).collect())
}

fn read_frame(layout: FrameLayout, path: &str) -> Result<OwnedFrame, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let mut frame = OwnedFrame::new(layout);
    for (y, row) in bytes.chunks_exact(3 * layout.width).take(layout.height).enumerate() {
        frame.view_mut().row_mut(0, y).copy_from_slice(row);
    }
    Ok(frame)
}

fn rows(frame: &OwnedFrame) -> Vec<&[u8]> {
    (0..frame.view().layout().height).map(|y| frame.row(0, y)).collect()
}

/// Writes the output, and tells by how much `decontaminate` makes that longer.
fn added_ms(
    frame: &OwnedFrame,
    target: &mut OwnedFrame,
    matte: &[f32],
    output: Output,
) -> Result<f64, Box<dyn Error>> {
    let (from, to) = (*frame.view().layout(), *target.view().layout());
    let size = Size { width: from.width, height: from.height };
    // The matte is its own mask.
    let mut compositor = Compositor::new(MaskLayout::covering(size), from, to, output)?;
    let mut shortest = [Duration::MAX; 2];
    for _ in 0..RUNS {
        for decontaminate in [false, true] {
            let look = Look {
                matte: MatteSettings::default(),
                background: Background::Color(0xff00_b140),
                decontaminate,
            };
            let start = Instant::now();
            let colors = frame.view();
            compositor.compose(Colors::Frame(&colors), matte, &look, &mut target.view_mut())?;
            let best = &mut shortest[usize::from(decontaminate)];
            *best = start.elapsed().min(*best);
        }
    }
    let [plain, decontaminated] = shortest.map(|time| time.as_secs_f64() * 1e3);
    Ok(decontaminated - plain)
}
