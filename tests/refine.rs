//! `refine`: closer looks where the matte is uncertain.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{Filter, Noise, fixture, mean_error, picture, video};
use gst::prelude::*;

const WIDTH: usize = 1280;
const HEIGHT: usize = 720;

/// How bright a person is at a pixel: a white disk on black, softer on one side, with thin spokes.
fn person(x: usize, y: usize) -> u8 {
    let (x, y) = (x as f32 + 0.5 - 640.0, y as f32 + 0.5 - 360.0);
    let (distance, angle) = (x.hypot(y), y.atan2(x));
    let soft = 3.0 + 2.0 * angle.cos();
    let disk = (0.5 + (200.0 - distance) / soft).clamp(0.0, 1.0);
    let spokes = f32::from(distance < 300.0 && (angle * 20.0).sin() > 0.8);
    (255.0 * disk.max(spokes)) as u8
}

fn frame(caps: &gst::Caps, index: u64) -> gst::Buffer {
    let mut frame = picture(caps, |_, x, y| person(x, y));
    let writable = frame.make_mut();
    writable.set_pts(gst::ClockTime::from_mseconds(40 * index));
    writable.set_duration(gst::ClockTime::from_mseconds(40));
    frame
}

/// An element with a network of the fixtures, for frames of brightness alone.
fn filter(model: &str, size: (usize, usize), properties: &[(&str, &str)]) -> (Filter, gst::Caps) {
    let model = fixture(model);
    let fixed = [("model", model.as_str()), ("output", "alpha"), ("refine", "zoom")];
    let mut filter = Filter::new(&[&fixed, properties].concat());
    let caps = video("GRAY8", size.0, size.1);
    filter.negotiate(&caps, "video/x-raw,format=GRAY8");
    (filter, caps)
}

/// Brightness as matte, 128 samples for whatever the network sees.
fn coarse(properties: &[(&str, &str)]) -> (Filter, gst::Caps) {
    filter("small_output.onnx", (WIDTH, HEIGHT), properties)
}

fn matte(filter: &mut Filter, frame: gst::Buffer) -> Vec<u8> {
    filter.push(frame).map_readable().unwrap().to_vec()
}

/// Mean absolute error of a matte of the person, in thousandths.
fn error(matte: &[u8]) -> f32 {
    mean_error(matte, WIDTH, person)
}

#[test]
fn edges_become_finer() {
    for region in ["frame", "auto"] {
        let (mut plain, caps) = coarse(&[("region", region), ("refine", "none")]);
        let (mut zoomed, _) = coarse(&[("region", region), ("inference-interval", "1")]);
        for index in 0..4 {
            let before = error(&matte(&mut plain, frame(&caps, index)));
            let after = error(&matte(&mut zoomed, frame(&caps, index)));
            assert!(after < 0.85 * before, "region={region}, {index}: {after} of {before}");
        }
        assert_eq!(plain.stat("closer-looks"), 0);
        assert_eq!(zoomed.stat("inferences"), 4);
        let looks = zoomed.stat("closer-looks");
        assert!((8..=16).contains(&looks), "{looks} closer looks at four frames");
    }
}

#[test]
fn a_network_that_does_not_look_is_not_heard_again() {
    // Its mattes go through the same canvas with and without closer looks where a region is followed.
    let mattes = ["none", "zoom"].map(|refine| {
        let (mut filter, caps) =
            filter("position.onnx", (WIDTH, HEIGHT), &[("region", "auto"), ("refine", refine)]);
        matte(&mut filter, frame(&caps, 0))
    });
    assert!(mattes[0] == mattes[1]);
}

#[test]
fn every_frame_leaves_before_the_next_one_comes() {
    let (mut filter, caps) = coarse(&[("frames-in-flight", "4"), ("region", "auto")]);
    for index in 0..5 {
        assert!(error(&matte(&mut filter, frame(&caps, index))) < 20.0);
    }
    let mut query = gst::query::Latency::new();
    assert!(filter.harness.element().unwrap().query(&mut query));
    assert_eq!(query.result().1, gst::ClockTime::ZERO);
}

#[test]
fn where_no_frame_waits_a_warning_says_that_nothing_is_refined() {
    let (mut filter, caps) = coarse(&[("pacing", "latest"), ("region", "auto")]);
    for index in 0..20 {
        filter.push(frame(&caps, index));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let messages = filter.messages();
    let [(gst::MessageType::Warning, warning)] = messages.as_slice() else {
        panic!("{messages:?} is not one warning");
    };
    assert!(warning.matches(gst::ResourceError::Settings), "{warning:?}");
    assert_eq!(filter.stat("closer-looks"), 0);
}

#[test]
fn mattes_in_between_are_carried() {
    let (mut filter, caps) = coarse(&[("inference-interval", "3"), ("region", "auto")]);
    let errors: Vec<_> =
        (0..9).map(|index| error(&matte(&mut filter, frame(&caps, index)))).collect();
    let (mut plain, _) = coarse(&[("refine", "none"), ("region", "auto")]);
    let before = error(&matte(&mut plain, frame(&caps, 0)));
    assert!(errors.iter().all(|&error| error < 0.85 * before), "{errors:?}, plainly {before}");
    assert_eq!(filter.stat("inferences"), 3);
    assert_eq!(filter.stat("carried-mattes"), 6);
}

#[test]
fn a_closer_look_that_fails_leaves_the_matte() {
    // The lower right is so bright that looks at it fail, the whole is not.
    let value = |x: usize, y: usize| match (x >= 512, y >= 384) {
        (true, true) => 255,
        _ => 20,
    };
    let mattes = ["none", "zoom"].map(|refine| {
        let side = (1024, 1024);
        let (mut filter, caps) = filter("nan_when_bright.onnx", side, &[("refine", refine)]);
        let mut frame = picture(&caps, |_, x, y| value(x, y));
        frame.make_mut().set_pts(gst::ClockTime::ZERO);
        let matte = matte(&mut filter, frame);
        assert_eq!(filter.messages(), []);
        (matte, filter.stat("failed-inferences"), filter.stat("closer-looks"))
    });
    assert_eq!((mattes[0].1, mattes[0].2), (0, 0));
    assert!(mattes[1].1 > 0 && mattes[1].2 > 0, "{:?}", (mattes[1].1, mattes[1].2));
    let worst = mattes[1].0.iter().enumerate().map(|(i, got)| {
        let (x, y) = (i % 1024, i / 1024);
        let near = x.abs_diff(512) < 8 || y.abs_diff(384) < 8;
        if near { 0 } else { got.abs_diff(value(x, y)) }
    });
    assert!(worst.max().unwrap() <= 2);
}

#[test]
fn another_model_and_other_caps_are_refined_as_well() {
    let (mut filter, caps) = filter("luma.onnx", (WIDTH, HEIGHT), &[("region", "auto")]);
    matte(&mut filter, frame(&caps, 0));
    let fine = filter.stat("closer-looks");
    assert!(fine > 0);
    // Once the other network is there, it sees the same at a quarter of the size.
    filter.set("model", &fixture("small_output.onnx"));
    let mut replaced = false;
    for index in 1..500 {
        replaced |= error(&matte(&mut filter, frame(&caps, index))) > 3.0;
        if replaced {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(replaced);
    let looks = filter.stat("closer-looks");
    let smaller = video("GRAY8", 640, 400);
    filter.negotiate(&smaller, "video/x-raw,format=GRAY8");
    filter.push(picture(&smaller, |_, x, y| person(2 * x, 2 * y)));
    assert!(filter.stat("closer-looks") > looks);
}

#[test]
fn a_flush_is_no_trouble() {
    let (mut filter, caps) = coarse(&[("region", "auto")]);
    for index in 0..3 {
        let error = error(&matte(&mut filter, frame(&caps, index)));
        assert!(error < 20.0, "{error}");
        filter.harness.push_event(gst::event::FlushStart::new());
        filter.harness.push_event(gst::event::FlushStop::new(true));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        filter.harness.push_event(gst::event::Segment::new(&segment));
    }
}

#[test]
fn any_frame_is_taken() {
    for size in [(1, 1), (1, 300), (300, 1), (2, 2), (641, 3), (317, 211), (1001, 1000)] {
        for region in ["frame", "auto"] {
            for model in ["luma.onnx", "small_output.onnx"] {
                let (mut filter, caps) = filter(model, size, &[("region", region)]);
                for level in [0, 127, 255] {
                    let matte = matte(&mut filter, picture(&caps, |_, _, _| level));
                    let stride = size.0.next_multiple_of(4);
                    for row in matte.chunks_exact(stride) {
                        let flat = row[..size.0].iter().all(|value| value.abs_diff(level) <= 1);
                        assert!(flat, "{level} of {size:?}, region={region}, {model}");
                    }
                }
                let noise = std::cell::RefCell::new(Noise::new(7));
                let random = picture(&caps, |_, _, _| noise.borrow_mut().next() as u8);
                filter.push(random);
            }
        }
    }
}
