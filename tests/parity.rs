//! The matte of RGB frames is that of the reference pipeline by OpenCV.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;
#[path = "common/skip.rs"]
mod skip;

use std::path::PathBuf;
use std::process::Command;

use common::{Noise, alpha_of, fixture, picture, root, video};

const SIZES: [(usize, usize); 8] = [
    (1920, 1080),
    (1080, 1920),
    (3840, 2160),
    (1280, 720),
    (641, 479),
    (333, 777),
    (512, 512),
    (64, 48),
];

/// One level, as asked for, of which rounding to 8 bits takes a half; and what float32 loses.
const TOLERANCE: f32 = 1.0 / 255.0 + 1e-6;

fn python() -> Option<PathBuf> {
    let python = root().join("build/venv/bin/python");
    python.exists().then_some(python)
}

/// Packed RGB: a gradient, so that a shift shows, with noise, so that a wrong filter does.
fn rgb(width: usize, height: usize) -> Vec<u8> {
    let mut noise = Noise::new((width * 10_000 + height) as u64);
    let ramp = |at: usize, of: usize| 160 * at / of;
    let mut bytes = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let levels = [ramp(x, width), ramp(y, height), ramp(x + y, width + height)];
            bytes.extend(levels.map(|level| (level + noise.below(96)) as u8));
        }
    }
    bytes
}

fn reference(python: &PathBuf, model: &str, width: usize, height: usize, rgb: &[u8]) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.bgr"), folder.path().join("out.f32"));
    let bgr: Vec<u8> = rgb.chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]]).collect();
    std::fs::write(&input, bgr).unwrap();
    let status = Command::new(python)
        .arg(root().join("tests/reference/david.py"))
        .args(["--model", model, "--width", &width.to_string(), "--height", &height.to_string()])
        .args([&input, &output])
        .status()
        .unwrap();
    assert!(status.success(), "david.py: {status}");
    let bytes = std::fs::read(&output).unwrap();
    bytes.chunks_exact(4).map(|b| f32::from_ne_bytes(b.try_into().unwrap())).collect()
}

fn compare(model: &str) {
    let Some(python) = python() else {
        skip::missing("build/venv", "run `make setup`");
        return;
    };
    let model = fixture(model);
    for (width, height) in SIZES {
        let bytes = rgb(width, height);
        let frame = picture(&video("RGB", width, height), |c, x, y| bytes[3 * (y * width + x) + c]);
        let matte = alpha_of(&model, &video("RGB", width, height), frame);
        let reference = reference(&python, &model, width, height, &bytes);
        assert_eq!(matte.len(), reference.len(), "{width}x{height}");
        let (at, worst) = matte
            .iter()
            .zip(&reference)
            .map(|(own, other)| (f32::from(*own) / 255.0 - other).abs())
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap();
        let (x, y) = (at % width, at / width);
        assert!(
            worst <= TOLERANCE,
            "{model} {width}x{height}: {} levels off at {x}, {y}",
            worst * 255.0
        );
        let (darkest, brightest) = (matte.iter().min().unwrap(), matte.iter().max().unwrap());
        assert!(brightest - darkest > 50, "{width}x{height}: a flat matte proves nothing");
    }
}

#[test]
fn what_the_network_sees_and_its_matte_are_the_references() {
    compare("luma.onnx");
}

#[test]
fn the_matte_lies_where_the_references_does() {
    compare("position.onnx");
}
