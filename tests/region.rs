//! `region` and `temporal`: where the network looks, and that mattes hold still.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{Filter, fixture, mean_error, picture, video};

const WIDTH: usize = 1280;
const HEIGHT: usize = 720;
const SOFT: f32 = 6.0;

/// Left, top, right, bottom.
type Rectangle = [f32; 4];

const SOMEBODY: Rectangle = [500.0, 200.0, 640.0, 600.0];
const SOMEBODY_ELSE: Rectangle = [1000.0, 250.0, 1130.0, 640.0];

/// How bright people are at a pixel: they are white, with soft edges, on black.
fn people(people: &[Rectangle], x: usize, y: usize) -> u8 {
    let [x, y] = [x, y].map(|at| at as f32 + 0.5);
    let inside = |p: &Rectangle| {
        let depth = (x - p[0]).min(p[2] - x).min(y - p[1]).min(p[3] - y);
        (0.5 + depth / SOFT).clamp(0.0, 1.0)
    };
    (255.0 * people.iter().map(inside).fold(0.0, f32::max)) as u8
}

/// Frame number `index` with people in it.
fn frame(caps: &gst::Caps, people_in_it: &[Rectangle], index: u64) -> gst::Buffer {
    timed(picture(caps, |_, x, y| people(people_in_it, x, y)), index)
}

/// The same as frame number `index`.
fn timed(mut frame: gst::Buffer, index: u64) -> gst::Buffer {
    let writable = frame.make_mut();
    writable.set_pts(gst::ClockTime::from_mseconds(40 * index));
    writable.set_duration(gst::ClockTime::from_mseconds(40));
    frame
}

/// An element whose network gives brightness as matte, coarsely: 128 samples for the whole width.
fn filter(properties: &[(&str, &str)]) -> (Filter, gst::Caps) {
    let model = fixture("small_output.onnx");
    let mut filter =
        Filter::new(&[&[("model", model.as_str()), ("output", "alpha")], properties].concat());
    let caps = video("GRAY8", WIDTH, HEIGHT);
    filter.negotiate(&caps, "video/x-raw,format=GRAY8");
    (filter, caps)
}

/// Mean absolute error of a matte of these people, in thousandths.
fn error(matte: &gst::BufferRef, people_in_it: &[Rectangle]) -> f32 {
    mean_error(&matte.map_readable().unwrap(), WIDTH, |x, y| people(people_in_it, x, y))
}

/// The errors of the mattes of these frames, of which some may still be under way.
fn errors(filter: &mut Filter, caps: &gst::Caps, frames: &[Vec<Rectangle>]) -> Vec<f32> {
    errors_of(filter, frames, |people_in_it, index| frame(caps, people_in_it, index))
}

/// The same, of frames that `draw` gives for the people in them and a number.
fn errors_of(
    filter: &mut Filter,
    frames: &[Vec<Rectangle>],
    draw: impl Fn(&[Rectangle], u64) -> gst::Buffer,
) -> Vec<f32> {
    for (index, people_in_it) in (0..).zip(frames) {
        filter.harness.push(draw(people_in_it, index)).unwrap();
    }
    filter.harness.push_event(gst::event::Eos::new());
    let mattes: Vec<_> = std::iter::from_fn(|| filter.harness.try_pull()).collect();
    assert_eq!(mattes.len(), frames.len());
    mattes.iter().zip(frames).map(|(matte, people)| error(matte, people)).collect()
}

#[test]
fn somebody_small_is_looked_at_closely_from_the_first_frame_on() {
    let (mut whole, caps) = filter(&[("region", "frame")]);
    let coarse = error(&whole.push(frame(&caps, &[SOMEBODY], 0)), &[SOMEBODY]);
    for in_flight in ["1", "2", "4"] {
        let (mut followed, caps) = filter(&[("region", "auto"), ("frames-in-flight", in_flight)]);
        let frames = vec![vec![SOMEBODY]; 6];
        for (index, error) in errors(&mut followed, &caps, &frames).into_iter().enumerate() {
            assert!(error < 0.6 * coarse, "frame {index}: {error}, coarsely {coarse}");
        }
        // In a live stream that stands still the network rests, once it has looked closely.
        assert!((1..=6).contains(&followed.stat("inferences")), "{}", followed.stats());
        assert_eq!(followed.stat("searches"), 1, "with {in_flight} in flight");
    }
}

/// The same person, so many pixels farther right.
fn beside(person: Rectangle, by: f32) -> Rectangle {
    [person[0] + by, person[1], person[2] + by, person[3]]
}

#[test]
fn whoever_walks_into_a_room_that_stood_still_is_found_at_once() {
    for in_flight in 1..=2 {
        let (mut filter, caps) =
            filter(&[("region", "auto"), ("frames-in-flight", &in_flight.to_string())]);
        let frames: Vec<_> = (0..40)
            .map(|index| match index {
                0..15 => vec![beside(SOMEBODY, 3.0 * (index % 3) as f32)],
                _ => vec![SOMEBODY, SOMEBODY_ELSE],
            })
            .collect();
        let errors = errors(&mut filter, &caps, &frames);
        assert!(errors[..15].iter().chain(&errors[16..]).all(|&error| error < 10.0), "{errors:?}");
    }
}

#[test]
fn mattes_are_the_same_however_many_frames_are_in_flight() {
    let mattes = |in_flight: &str| {
        let (mut filter, caps) =
            filter(&[("inference-interval", "1"), ("frames-in-flight", in_flight)]);
        for index in 0..40 {
            // Somebody who hastens to and fro, and somebody else who comes and goes.
            let away = (15.0 * index as f32) % 600.0;
            let mut there = vec![beside(SOMEBODY, away.min(600.0 - away))];
            there.extend((12..25).contains(&index).then_some(SOMEBODY_ELSE));
            filter.harness.push(frame(&caps, &there, index)).unwrap();
        }
        filter.harness.push_event(gst::event::Eos::new());
        let frames = std::iter::from_fn(|| filter.harness.try_pull());
        frames.map(|frame| frame.map_readable().unwrap().to_vec()).collect::<Vec<_>>()
    };
    let one = mattes("1");
    assert_eq!(one.len(), 40);
    for in_flight in ["2", "5"] {
        let differ = mattes(in_flight).iter().zip(&one).position(|(other, one)| other != one);
        assert_eq!(differ, None, "the first frame that differs with {in_flight} in flight");
    }
}

#[test]
fn where_something_moves_all_along_whoever_walks_in_is_found_within_half_a_second() {
    let (mut filter, caps) = filter(&[("region", "auto"), ("frames-in-flight", "2")]);
    let frames: Vec<_> = (0..40)
        .map(|index| if index < 15 { vec![SOMEBODY] } else { vec![SOMEBODY, SOMEBODY_ELSE] })
        .collect();
    let errors = errors_of(&mut filter, &frames, |people_in_it, index| {
        // A faint curtain, which is nobody.
        let curtain = |x: usize| if x < 40 && index.is_multiple_of(2) { 25 } else { 0 };
        timed(picture(&caps, |_, x, y| people(people_in_it, x, y).max(curtain(x))), index)
    });
    let missing = errors.iter().filter(|&&error| error > 20.0).count();
    // 12.5 frames are half a second.
    assert!(missing <= 12, "{errors:?}");
    assert!(errors[27..].iter().all(|&error| error < 10.0), "{errors:?}");
}

#[test]
fn a_room_that_stands_still_round_somebody_is_seldom_searched() {
    let (mut filter, caps) =
        filter(&[("region", "auto"), ("frames-in-flight", "1"), ("inference-interval", "1")]);
    // Four seconds, in which they move a little all the time.
    let frames: Vec<_> =
        (0..100).map(|index| vec![beside(SOMEBODY, 3.0 * (index % 3) as f32)]).collect();
    assert!(errors(&mut filter, &caps, &frames).iter().all(|&error| error < 10.0));
    assert!((1..=3).contains(&filter.stat("searches")), "{}", filter.stats());
}

#[test]
fn after_a_cut_nobody_is_missed() {
    let (mut filter, caps) = filter(&[("region", "auto"), ("frames-in-flight", "1")]);
    let near = [20.0, 20.0, 1260.0, 700.0];
    let frames: Vec<_> = (0..12).map(|i| vec![if i < 6 { SOMEBODY } else { near }]).collect();
    let errors = errors(&mut filter, &caps, &frames);
    assert!(errors.iter().all(|&error| error < 10.0), "{errors:?}");
}

#[test]
fn where_no_frame_waits_the_region_is_followed_as_well() {
    let (mut filter, caps) = filter(&[("region", "auto"), ("pacing", "latest")]);
    let mut last = f32::MAX;
    for index in 0..60 {
        last = error(&filter.push(frame(&caps, &[SOMEBODY], index)), &[SOMEBODY]);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let (mut whole, caps) = self::filter(&[("region", "frame")]);
    let coarse = error(&whole.push(frame(&caps, &[SOMEBODY], 0)), &[SOMEBODY]);
    assert!(last < 0.6 * coarse, "{last}, coarsely {coarse}");
}

#[test]
fn region_changes_while_playing() {
    for pacing in ["exact", "latest"] {
        let (mut filter, caps) = filter(&[("region", "auto"), ("pacing", pacing)]);
        let mut shown = false;
        for index in 0..40 {
            filter.set("region", if index / 5 % 2 == 0 { "auto" } else { "frame" });
            let matte = filter.push(frame(&caps, &[SOMEBODY], index));
            // Before the first matte there is nothing.
            let nothing = matte.map_readable().unwrap().iter().all(|&byte| byte == 0);
            let error = error(&matte, &[SOMEBODY]);
            let before = nothing && pacing == "latest" && !shown;
            assert!(error < 20.0 || before, "{pacing} {index}: {error}");
            shown |= !nothing;
            if pacing == "latest" {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        assert!(shown);
    }
}

#[test]
fn nobody_and_everybody_are_no_trouble() {
    let (mut filter, caps) = filter(&[("region", "auto")]);
    let crowd: Vec<Rectangle> = (0..10)
        .map(|i| [100.0 * i as f32 + 60.0, 300.0, 100.0 * i as f32 + 120.0, 650.0])
        .collect();
    let all = vec![[-50.0, -50.0, 1400.0, 800.0]];
    let half_outside = vec![[1150.0, 500.0, 1400.0, 900.0]];
    let scenes = [vec![], crowd, all, half_outside];
    for index in 0..40 {
        let people_in_it = &scenes[index as usize / 10];
        let error = error(&filter.push(frame(&caps, people_in_it, index)), people_in_it);
        assert!(error < 20.0, "{index}: {error}");
    }
}

#[test]
fn flicker_is_smoothed_where_the_picture_stands_still() {
    let gray = |caps: &gst::Caps, level: u8| picture(caps, move |_, _, _| level);
    let level = |matte: gst::Buffer| matte.map_readable().unwrap()[WIDTH * HEIGHT / 2];
    for (temporal, low, high) in [("0", 96, 96), ("0.5", 92, 94), ("1", 90, 91)] {
        let (mut filter, caps) = filter(&[("temporal", temporal)]);
        assert_eq!(level(filter.push(gray(&caps, 90))), 90);
        let smoothed = level(filter.push(gray(&caps, 96)));
        assert!((low..=high).contains(&smoothed), "temporal={temporal}: {smoothed}");
        // What changes for good is not held.
        let moved = level(filter.push(gray(&caps, 150)));
        assert_eq!(moved, 150, "temporal={temporal}");
    }
}
