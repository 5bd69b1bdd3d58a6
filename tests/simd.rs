//! The same pixels on every processor: what the vectors of this one make is compared with what those of older ones
//! make, which QEMU plays.
#![allow(missing_docs, clippy::unwrap_used)]
#![cfg(target_os = "linux")]

#[cfg(target_arch = "x86_64")]
#[path = "common/skip.rs"]
mod skip;

#[cfg(target_arch = "x86_64")]
use std::path::Path;
#[cfg(target_arch = "x86_64")]
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use gstdavidmatte::matting::prelude::*;
use gstdavidmatte::matting::stream::*;

/// Names the file that the child writes to.
const OUT: &str = "DAVIDMATTE_SIMD_OUT";
/// Names a file that one on another kind of processor has written; `make arm64-check` sets both.
const OTHER: &str = "DAVIDMATTE_SIMD_OTHER";

const SIDE: usize = 48;
const SIZE: Size = Size { width: SIDE, height: SIDE };
const WIDTH: usize = 157;
const HEIGHT: usize = 91;

/// A soft disk that follows the brightest column of what it sees.
struct Disk(Vec<f32>);

impl Network for Disk {
    fn shape(&self) -> NetworkShape {
        NetworkShape::new(Default::default(), SIZE, SIZE)
    }

    fn input(&mut self) -> &mut [f32] {
        &mut self.0
    }

    fn run(&mut self, mask: &mut [f32]) -> Result<(), Error> {
        let light = self.0.iter().sum::<f32>() / self.0.len() as f32;
        for (index, value) in mask.iter_mut().enumerate() {
            let (x, y) = ((index % SIDE) as f32 - 24.0 - 4.0 * light, (index / SIDE) as f32 - 20.0);
            *value = ((14.0 - x.hypot(y)) / 5.0 + 0.1 * self.0[index]).clamp(0.0, 1.0);
        }
        Ok(())
    }
}

fn layout(format: PixelFormat) -> FrameLayout {
    FrameLayout::new(format, WIDTH, HEIGHT)
}

/// Somebody bright before noise, who walks.
fn frame(format: PixelFormat, index: usize) -> OwnedFrame {
    let mut frame = OwnedFrame::new(layout(format));
    let mut seed = 7u32;
    for plane in 0..format.planes() {
        for y in 0..format.plane_rows(plane, HEIGHT) {
            for (x, byte) in frame.view_mut().row_mut(plane, y).iter_mut().enumerate() {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (seed >> 28) as u8;
                let walker = x.abs_diff(60 + 3 * index) < 30 && y > 20;
                *byte = if walker { 170 + noise } else { 60 + noise };
            }
        }
    }
    frame
}

/// Everything there is between a frame and its pixels, over some frames with motion.
fn pixels(from: PixelFormat, to: PixelFormat, output: Output, background: Background) -> Vec<u8> {
    let clock = Arc::new(SystemClock::default());
    let network = Box::new(Disk(vec![0.0; 3 * SIZE.area()]));
    let mut stream = Stream::new(Box::new(Worker::new(network, clock.clone()).unwrap()), clock);
    let (pacing, frame_time) = (Pacing::Exact { in_flight: 1 }, Some(Duration::from_millis(40)));
    stream.fit(&StreamOptions { layout: layout(from), pacing, frame: frame_time, refines: false });
    let mut compositor = Compositor::new(stream.masks(), layout(from), layout(to), output).unwrap();
    let matte = MatteSettings { feather: 1.5, ..Default::default() };
    let look = Look { matte, background, decontaminate: true };
    let mut target = OwnedFrame::new(layout(to));
    let mut pixels = Vec::new();
    for index in 0..6 {
        // Every second matte is carried.
        let settings = FrameSettings { interval: 2, ..Default::default() };
        stream.accept(frame(from, index), settings, false).unwrap();
        let finished = stream.finish().unwrap().unwrap();
        let (mask, masks) = stream.shown().unwrap();
        compositor.take_masks(masks);
        let colors = finished.frame.view();
        compositor.compose(Colors::Frame(&colors), mask, &look, &mut target.view_mut()).unwrap();
        for plane in 0..to.planes() {
            for y in 0..to.plane_rows(plane, HEIGHT) {
                pixels.extend_from_slice(target.view_mut().row_mut(plane, y));
            }
        }
    }
    pixels
}

fn all_pixels() -> Vec<u8> {
    use PixelFormat::*;
    let green = Background::Color(0xff20_b050);
    [
        pixels(I420, I420, Output::Composite, Background::Blur(0.05)),
        pixels(Nv12, Bgra, Output::Cutout, green.clone()),
        pixels(Yuy2, Yuy2, Output::Composite, Background::Checkerboard),
        pixels(Rgb, Rgb, Output::Composite, green.clone()),
        pixels(Y444, Gray8, Output::Alpha, green),
    ]
    .concat()
}

/// What is run elsewhere.
#[test]
fn child() {
    if let Some(out) = std::env::var_os(OUT) {
        std::fs::write(out, all_pixels()).unwrap();
    }
}

/// A fused multiplication rounds once, so now and then a value falls on the other side of a half.
fn assert_same(own: &[u8], other: &[u8], made_on: &str) {
    assert_eq!(own.len(), other.len());
    let differing = own.iter().zip(other).filter(|(a, b)| a != b).count();
    let worst = own.iter().zip(other).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(1), "{made_on}: {worst:?}");
    assert!(1000 * differing < own.len(), "{made_on}: {differing} of {} differ", own.len());
}

#[test]
fn another_kind_of_processor_makes_the_same() {
    if let Some(other) = std::env::var_os(OTHER) {
        assert_same(&all_pixels(), &std::fs::read(&other).unwrap(), "another kind");
    }
}

#[cfg(target_arch = "x86_64")]
fn made_on(cpu: &str, folder: &Path) -> Vec<u8> {
    let out = folder.join(cpu);
    let mut child = Command::new("qemu-x86_64");
    child.args(["-cpu", cpu]).arg(std::env::current_exe().unwrap());
    child.args(["--exact", "child"]).env(OUT, &out);
    let output = child.output().unwrap();
    assert!(output.status.success(), "{cpu}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(out).unwrap()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn every_processor_makes_the_same() {
    if Command::new("qemu-x86_64").arg("--version").output().is_err() {
        return skip::missing("qemu-x86_64", "install qemu-user");
    }
    let own = all_pixels();
    let folder = tempfile::tempdir().unwrap();
    // Vectors of 16 bytes; the same and no fused multiplication; of 32 with it.
    for cpu in ["qemu64", "Nehalem", "Haswell"] {
        assert_same(&own, &made_on(cpu, folder.path()), cpu);
    }
}
