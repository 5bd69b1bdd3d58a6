//! `refine=detail`: tiles of the matte refined at the frame's own resolution.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use gst::prelude::*;

use common::{Filter, Noise, fixture, info, mean_error, picture, samples, video};

const WIDTH: usize = 1280;
const HEIGHT: usize = 720;

/// How bright a person is at a pixel: a white disk on black with a soft edge.
fn person(x: usize, y: usize) -> u8 {
    let away = (x as f32 + 0.5 - 640.0).hypot(y as f32 + 0.5 - 360.0);
    (255.0 * (0.5 + (200.0 - away) / 3.0).clamp(0.0, 1.0)) as u8
}

fn frame(caps: &gst::Caps, index: u64) -> gst::Buffer {
    let mut frame = picture(caps, |component, x, y| match component {
        0 => person(x, y),
        _ => 128,
    });
    let writable = frame.make_mut();
    writable.set_pts(gst::ClockTime::from_mseconds(40 * index));
    writable.set_duration(gst::ClockTime::from_mseconds(40));
    frame
}

/// An element whose network gives brightness as matte, 128 samples for whatever it sees.
fn filter(format: &str, to: &str, properties: &[(&str, &str)]) -> (Filter, gst::Caps) {
    let model = fixture("small_output.onnx");
    let fixed = [("model", model.as_str()), ("refine", "detail"), ("region", "frame")];
    let mut filter = Filter::new(&[&fixed, properties].concat());
    let caps = video(format, WIDTH, HEIGHT);
    filter.negotiate(&caps, &format!("video/x-raw,format={to}"));
    (filter, caps)
}

/// Frames as they come, their own brightness as a matte.
fn matter(properties: &[(&str, &str)]) -> (Filter, gst::Caps) {
    filter("GRAY8", "GRAY8", &[&[("output", "alpha")], properties].concat())
}

fn matte(filter: &mut Filter, frame: gst::Buffer) -> Vec<u8> {
    filter.push(frame).map_readable().unwrap().to_vec()
}

/// Mean absolute error of a matte of the person, in thousandths.
fn error(matte: &[u8]) -> f32 {
    mean_error(matte, WIDTH, person)
}

#[test]
fn edges_become_finer_in_every_pacing() {
    let (mut plain, caps) = matter(&[("refine", "none")]);
    let before = error(&matte(&mut plain, frame(&caps, 0)));
    assert_eq!(plain.stat("refined-tiles"), 0);
    for pacing in ["auto", "exact"] {
        let (mut refined, caps) = matter(&[("pacing", pacing)]);
        for index in 0..4 {
            let after = error(&matte(&mut refined, frame(&caps, index)));
            // The stream is live: once it is known what a tile takes, there may be time for some alone.
            let enough = if index == 0 { 0.7 } else { 0.98 };
            assert!(after < enough * before, "pacing={pacing}, {index}: {after} of {before}");
        }
        assert!(refined.stat("refined-tiles") >= 20 + 3 * 4, "pacing={pacing}");
        assert_eq!(refined.messages(), []);
    }
    let (mut latest, caps) = matter(&[("pacing", "latest")]);
    let mut index = 0;
    while latest.stat("refined-tiles") == 0 {
        latest.push(frame(&caps, index));
        index += 1;
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(error(&matte(&mut latest, frame(&caps, index))) < 0.98 * before);
}

/// Refined or not, everything that leaves with a frame has the same matte.
#[test]
fn every_output_has_the_same_matte() {
    let (mut alpha, caps) = filter("I420", "GRAY8", &[("output", "alpha")]);
    let refined = matte(&mut alpha, frame(&caps, 0));
    let (mut plain, _) = filter("I420", "GRAY8", &[("output", "alpha"), ("refine", "none")]);
    assert!(matte(&mut plain, frame(&caps, 0)) != refined);

    for decontaminate in ["true", "false"] {
        let cutout = [("output", "cutout"), ("decontaminate", decontaminate)];
        let (mut cutout, _) = filter("I420", "A420", &cutout);
        let cut = cutout.push(frame(&caps, 0));
        let planes = samples(&cut, &video("A420", WIDTH, HEIGHT));
        assert!(planes[3] == refined, "decontaminate={decontaminate}");
    }

    let (mut composite, _) = filter("I420", "I420", &[("attach-matte", "true")]);
    let composed = composite.push(frame(&caps, 0));
    let attached = gst::meta::CustomMeta::from_buffer(&composed, "DavidMatteMatteMeta").unwrap();
    let sample: gst::Sample = attached.structure().get("matte").unwrap();
    assert!(sample.buffer().unwrap().map_readable().unwrap().to_vec() == refined);

    let (mut both, _) = filter("I420", "I420", &[("output", "key-fill")]);
    let both = both.push(frame(&caps, 0));
    let luma = &samples(&both, &video("I420", WIDTH, 2 * HEIGHT))[0];
    for (key, want) in luma[WIDTH * HEIGHT..].iter().zip(&refined) {
        let want = 16.0 + f32::from(*want) * 219.0 / 255.0;
        assert!((f32::from(*key) - want).abs() <= 1.0, "{key} not {want}");
    }
}

#[test]
fn an_edge_that_is_moved_or_feathered_is_not_refined() {
    for property in [("edge-shift", "2"), ("feather", "4")] {
        let mattes = ["none", "detail"].map(|refine| {
            let (mut filter, caps) = matter(&[property, ("refine", refine)]);
            matte(&mut filter, frame(&caps, 0))
        });
        assert!(mattes[0] == mattes[1], "{property:?}");
    }
    // Once it is not, it is again.
    let (mut filter, caps) = matter(&[("feather", "4")]);
    filter.push(frame(&caps, 0));
    assert_eq!(filter.stat("refined-tiles"), 0);
    filter.set("feather", "0");
    filter.push(frame(&caps, 1));
    assert!(filter.stat("refined-tiles") > 0);
}

#[test]
fn what_is_inverted_or_cut_at_a_level_is_so_in_tiles_as_well() {
    let (mut plain, caps) = matter(&[]);
    let plain = matte(&mut plain, frame(&caps, 0));
    let (mut inverted, _) = matter(&[("invert", "true")]);
    let inverted = matte(&mut inverted, frame(&caps, 0));
    assert!(plain.iter().zip(&inverted).all(|(a, b)| a.abs_diff(255 - b) <= 1));
    let (mut stepped, _) = matter(&[("threshold", "0.5")]);
    let stepped = matte(&mut stepped, frame(&caps, 0));
    let apart = plain.iter().zip(&stepped).filter(|(a, _)| a.abs_diff(127) > 2);
    apart.for_each(|(a, b)| assert_eq!(*b, if *a > 127 { 255 } else { 0 }));
}

#[test]
fn another_model_and_other_caps_are_refined_as_well() {
    let (mut filter, caps) = matter(&[]);
    filter.push(frame(&caps, 0));
    let other = fixture("luma.onnx");
    filter.set("model", &other);
    for index in 1.. {
        filter.push(frame(&caps, index));
        if filter.element.property::<Option<String>>("active-model").as_ref() == Some(&other) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let before = filter.stat("refined-tiles");
    filter.push(frame(&caps, 10_000));
    assert!(filter.stat("refined-tiles") > before);
    let smaller = video("GRAY8", 641, 399);
    filter.negotiate(&smaller, "video/x-raw,format=GRAY8");
    let before = filter.stat("refined-tiles");
    filter.push(picture(&smaller, |_, x, y| person(2 * x, 2 * y)));
    assert!(filter.stat("refined-tiles") > before);
    assert_eq!(filter.messages(), []);
}

#[test]
fn any_frame_is_taken() {
    let sizes = [(1, 1), (1, 300), (300, 1), (2, 2), (641, 3), (317, 211), (1001, 1000)];
    for format in ["GRAY8", "I420", "BGRA", "NV12", "v210", "P010_10LE"] {
        for (width, height) in sizes {
            let (mut filter, _) = filter(format, "GRAY8", &[("output", "alpha")]);
            let caps = video(format, width, height);
            let to = if info(&caps).comp_depth(0) == 8 { "GRAY8" } else { "GRAY16_LE" };
            filter.negotiate(&caps, &format!("video/x-raw,format={to}"));
            for level in [0, 127, 255] {
                filter.push(picture(&caps, |_, _, _| level));
            }
            let noise = std::cell::RefCell::new(Noise::new(7));
            filter.push(picture(&caps, |_, _, _| noise.borrow_mut().below(256) as u8));
            assert_eq!(filter.messages(), []);
        }
    }
}
