//! All that a frame costs besides inference: prepare, finish and compose, on one core.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gstdavidmatte::matting::model::InputDescription;
use gstdavidmatte::matting::prelude::*;

/// DAViD's contract with a soft disk for a mask, at no cost.
struct Disk {
    description: InputDescription,
    tensor: Vec<f32>,
    mask: Vec<f32>,
}

const SIDE: usize = 512;

impl Disk {
    fn new() -> Self {
        let mask = (0..SIDE * SIDE).map(|i| {
            let (x, y) = ((i % SIDE) as f32 - 256.0, (i / SIDE) as f32 - 256.0);
            ((150.0 - x.hypot(y)) / 20.0).clamp(0.0, 1.0)
        });
        Self {
            description: InputDescription::default(),
            tensor: vec![0.0; 3 * SIDE * SIDE],
            mask: mask.collect(),
        }
    }
}

impl Network for Disk {
    fn input_description(&self) -> &InputDescription {
        &self.description
    }

    fn input_size(&self) -> Size {
        Size { width: SIDE, height: SIDE }
    }

    fn mask_size(&self) -> Size {
        self.input_size()
    }

    fn input(&mut self) -> &mut [f32] {
        &mut self.tensor
    }

    fn run(&mut self) -> Result<&[f32], Error> {
        Ok(&self.mask)
    }
}

fn layout(format: PixelFormat, [width, height]: [usize; 2]) -> FrameLayout {
    FrameLayout { format, width, height, color: Colorimetry::default() }
}

fn noise(layout: FrameLayout) -> OwnedFrame {
    let mut frame = OwnedFrame::new(layout);
    let mut seed = 1u32;
    for plane in 0..layout.format.planes() {
        for y in 0..layout.format.plane_rows(plane, layout.height) {
            for byte in frame.view_mut().row_mut(plane, y) {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (seed >> 24) as u8;
            }
        }
    }
    frame
}

const SIZES: [[usize; 2]; 3] = [[1280, 720], [1920, 1080], [3840, 2160]];

fn whole_frame(criterion: &mut Criterion) {
    use Output::{Alpha, Composite, Cutout};
    use PixelFormat::{Gray8, I420, Rgba, Yuy2};
    let look = Look { matte: MatteSettings::default(), background: Background::Color(0xff00_b140) };
    for (from, to, output) in [
        (I420, I420, Composite),
        (Yuy2, Yuy2, Composite),
        (Yuy2, Rgba, Cutout),
        (I420, Gray8, Alpha),
    ] {
        let mut group = criterion.benchmark_group(format!("{from:?} to {to:?} {output:?}"));
        for size in SIZES {
            let (from, to) = (layout(from, size), layout(to, size));
            let frame = noise(from);
            let mut target = OwnedFrame::new(to);
            let Ok(mut matter) = Matter::new(Box::new(Disk::new()), from, to, output) else {
                continue;
            };
            let name = format!("{}x{}", size[0], size[1]);
            group.bench_function(BenchmarkId::new("prepare", &name), |bencher| {
                bencher.iter(|| matter.prepare(black_box(&frame.view())));
            });
            if matter.infer().is_err() {
                continue;
            }
            group.bench_function(BenchmarkId::new("finish", &name), |bencher| {
                bencher.iter(|| {
                    let view = frame.view();
                    matter.compose(Colors::Frame(&view), &look, &mut target.view_mut())
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(std::time::Duration::from_secs(2));
    targets = whole_frame
}
criterion_main!(benches);
