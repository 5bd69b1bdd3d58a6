// SPDX-License-Identifier: MIT

use super::*;
use crate::matting::frame::pixel_format::PixelFormat;
use crate::matting::frame::view::{FrameLayout, OwnedFrame};
use crate::matting::time::guide::Guides;
use proptest::prelude::*;

const MASK: Size = Size { width: 96, height: 64 };

/// Smooths the mattes of gray frames twice their size.
struct Bench {
    guides: Guides,
    smoother: Smoother,
    frame: OwnedFrame,
}

impl Bench {
    fn new() -> Self {
        let (width, height) = (2 * MASK.width, 2 * MASK.height);
        let layout = FrameLayout::new(PixelFormat::Gray8, width, height);
        let guides = Guides::new(&layout);
        let frame = Size { width, height };
        let smoother = Smoother::new(guides.size(), frame, MaskLayout::covering(MASK));
        Self { guides, smoother, frame: OwnedFrame::new(layout) }
    }

    fn observe(&mut self, value: impl Fn(usize, usize) -> f32) -> Change {
        for y in 0..2 * MASK.height {
            for (x, byte) in self.frame.view_mut().row_mut(0, y).iter_mut().enumerate() {
                *byte = value(x, y) as u8;
            }
        }
        let guide = self.guides.look(&self.frame.view());
        self.smoother.observe(&guide)
    }
}

/// The matte of everything left of `edge`, with a ramp.
fn left_of(edge: f32) -> Vec<f32> {
    let at = |i: usize| (0.5 + (edge - (i % MASK.width) as f32) / 3.0).clamp(0.0, 1.0);
    (0..MASK.area()).map(at).collect()
}

/// The frame of that matte.
fn shown(edge: f32) -> impl Fn(usize, usize) -> f32 {
    move |x, _| 50.0 + 120.0 * (0.5 + (edge - x as f32 / 2.0) / 2.0).clamp(0.0, 1.0)
}

/// How far an edge of `a` lies behind that of `b`, in samples.
fn behind(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| b - a).sum::<f32>() / MASK.height as f32
}

#[test]
fn chunks_are_interpolated_as_taps_say() {
    // Masks finer and coarser than guides, and no whole number of chunks.
    for (guide, mask) in [(384, 1280), (384, 100), (5, 37), (1, 1), (1, 40)] {
        let at = |i: usize| (i as f32 * 0.93 * guide as f32 / mask as f32).min(guide as f32 - 1.0);
        let tap = |i| {
            let first = at(i) as usize;
            Tap { first, second: (first + 1).min(guide - 1), share: at(i) - first as f32 }
        };
        let taps: Vec<_> = (0..mask).map(tap).collect();
        let columns = Columns::new(&taps);
        let mut line = vec![0.0; guide + columns.window];
        line[..guide].iter_mut().enumerate().for_each(|(i, v)| *v = (i * 37 % 11) as f32 / 10.0);
        for (i, tap) in taps.iter().enumerate() {
            let want = (1.0 - tap.share) * line[tap.first] + tap.share * line[tap.second];
            let got = columns.interpolate(i / CHUNK, &line)[i % CHUNK];
            assert!((got - want).abs() < 1e-5, "{guide} to {mask}: {got}, {want} at {i}");
        }
    }
}

/// What is passed over for two numbers would have been passed over for the mask itself.
#[test]
fn what_is_quiet_differs_by_nothing_that_is_seen() {
    for spread in [0.0, 0.5 * INVISIBLE, 3.0 * INVISIBLE] {
        let smoothed = std::array::from_fn(|i| 0.4 + spread * (i % 5) as f32 / 4.0);
        let quiet = quiet_about(&smoothed);
        for step in -40..40 {
            let mask = [0.4 + step as f32 * INVISIBLE / 16.0; CHUNK];
            let is_same = largest_difference(&mask, &smoothed) < INVISIBLE - 1e-6;
            assert!(is_same || !is_between(&mask, quiet), "{spread} {step}");
        }
    }
    assert!(is_between(&[0.4; CHUNK], quiet_about(&[0.4; CHUNK])));
    assert!(!is_between(&[0.4; CHUNK], NEVER));
}

#[test]
fn flicker_of_a_still_edge_is_taken_out() {
    let mut bench = Bench::new();
    let (mut raw, mut smooth) = (0.0, 0.0);
    let mut before: Option<[Vec<f32>; 2]> = None;
    for n in 0..40 {
        bench.observe(shown(40.0));
        // An edge that jumps about by up to half a sample.
        let matte = left_of(40.0 + 0.5 * ((n * 37 % 11) as f32 / 5.0 - 1.0));
        let smoothed = bench.smoother.smooth(&matte, 0.8).to_vec();
        if let Some([m, s]) = &before {
            raw += behind(m, &matte).powi(2);
            smooth += behind(s, &smoothed).powi(2);
        }
        before = Some([matte, smoothed]);
    }
    assert!(smooth < 0.36 * raw, "{smooth} of {raw}");
}

#[test]
fn no_edge_is_dragged_by_more_than_half_a_frame() {
    for speed in [0.05, 0.1, 0.2, 0.4, 0.8, 2.0] {
        let mut bench = Bench::new();
        let mut worst = 0.0f32;
        for n in 0..20 {
            let edge = 30.0 + speed * n as f32;
            bench.observe(shown(edge));
            let matte = left_of(edge);
            let smoothed = bench.smoother.smooth(&matte, 0.8);
            // In the first frames a slow motion cannot be told from flicker.
            if n >= 8 {
                worst = worst.max(behind(smoothed, &matte) / speed);
            }
        }
        assert!(worst <= 0.5, "{worst} frames at {speed} samples a frame");
    }
}

#[test]
fn a_cut_and_a_fresh_start_take_the_matte_as_it_is() {
    let mut bench = Bench::new();
    let (a, b) = (left_of(20.0), left_of(70.0));
    bench.observe(shown(20.0));
    bench.smoother.smooth(&a, 1.0);
    assert_eq!(bench.observe(shown(20.0)), Change::Scene);
    assert_ne!(bench.smoother.smooth(&b, 1.0), b);
    assert_eq!(bench.observe(|x, y| ((x * 31 + y * 17) % 199) as f32 / 4.0), Change::Cut);
    assert_eq!(bench.smoother.smooth(&b, 1.0), b);
    bench.smoother.forget();
    assert_eq!(bench.smoother.smooth(&a, 1.0), a);
}

#[test]
fn what_the_network_is_sure_of_is_shown() {
    let mut bench = Bench::new();
    let old = left_of(60.0);
    bench.observe(shown(30.0));
    bench.smoother.smooth(&old, 1.0);
    // The picture stands still as far as can be seen.
    bench.observe(shown(30.0));
    for sure in [0.0, 1.0] {
        let mask = vec![sure; MASK.area()];
        assert_eq!(bench.smoother.smooth(&mask, 1.0), mask);
        bench.smoother.smooth(&old, 0.0);
    }
}

proptest! {
    #[test]
    fn mattes_stay_in_range(seed in 0usize..1000, strength in 0f32..1.0) {
        let mut bench = Bench::new();
        for n in 0..4 {
            bench.observe(|x, y| ((x + y * seed + n) % 200) as f32);
            let mask: Vec<f32> = (0..MASK.area()).map(|i| (i * (seed + n) % 101) as f32 / 100.0).collect();
            let smoothed = bench.smoother.smooth(&mask, strength);
            prop_assert!(smoothed.iter().all(|value| (0.0..=1.0).contains(value)));
        }
    }
}
