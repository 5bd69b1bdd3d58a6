//! All that a frame costs besides inference: prepare, finish and compose, on one core.

#![allow(missing_docs)]

mod common;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gstdavidmatte::matting::prelude::*;

use common::{Disk, layout, noise};

const SIZES: [[usize; 2]; 3] = [[1280, 720], [1920, 1080], [3840, 2160]];

fn whole_frame(criterion: &mut Criterion) {
    use Output::{Alpha, Composite, Cutout};
    use PixelFormat::{Gray8, I420, Rgba, Yuy2};
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
            let mut network = Disk::new();
            let shape = network.shape();
            let Ok(mut compositor) = Compositor::new(shape.masks(), from, to, output) else {
                continue;
            };
            let mut preparer = RegionPreparer::new(&shape, from);
            let name = format!("{}x{}", size[0], size[1]);
            group.bench_function(BenchmarkId::new("prepare", &name), |bencher| {
                bencher.iter(|| preparer.prepare(black_box(&frame.view()), network.input()));
            });
            let mut mask = vec![0.0; network.shape().mask.area()];
            if network.run(&mut mask).is_err() {
                continue;
            }
            for (step, decontaminate) in [("finish", false), ("finish, decontaminated", true)] {
                let look = Look {
                    matte: MatteSettings::default(),
                    background: Background::Color(0xff00_b140),
                    decontaminate,
                };
                group.bench_function(BenchmarkId::new(step, &name), |bencher| {
                    bencher.iter(|| {
                        let view = frame.view();
                        compositor.compose(
                            Colors::Frame(&view),
                            &mask,
                            &look,
                            &mut target.view_mut(),
                        )
                    });
                });
            }
        }
        group.finish();
    }
}

/// Refining what is uncertain of the matte: an eighth of a frame of 1920x1080.
fn detail(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("detail");
    let options = SessionOptions { device: Device::Cpu, ..Default::default() };
    for size in SIZES {
        let layout = layout(PixelFormat::I420, size);
        let frame = noise(layout);
        let mut network = Disk::new();
        let masks = network.shape().masks();
        let mut mask = vec![0.0; network.shape().mask.area()];
        let Ok(()) = network.run(&mut mask) else { continue };
        for threads in [1, 0] {
            let options = SessionOptions { threads, ..options };
            let Ok(sessions) = TileSession::load(&options, Device::Cpu) else { continue };
            let name = format!("{}x{}, {} at a time", size[0], size[1], sessions.len());
            let networks = sessions.into_iter().map(|one| Box::new(one) as Box<dyn TileNetwork>);
            let mut detailer = Detailer::new(networks.collect(), &layout, masks);
            let find = |detailer: &mut Detailer| {
                detailer.find(&frame.view(), &mask, masks, None).map_or(0, Details::len)
            };
            let tiles = find(&mut detailer);
            group.bench_function(BenchmarkId::new(format!("{tiles} tiles"), name), |bencher| {
                bencher.iter(|| find(&mut detailer));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(std::time::Duration::from_secs(2));
    targets = whole_frame, detail
}
criterion_main!(benches);
