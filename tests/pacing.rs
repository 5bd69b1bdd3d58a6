//! Which matte goes with which frame, and that nothing waits for ever.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{Filter, Noise, described, fixture, info, picture, pipeline, video};
use gst::prelude::*;

const MS: fn(u64) -> gst::ClockTime = gst::ClockTime::from_mseconds;

/// Longer than anything here takes on a busy machine, and far shorter than for ever.
const BOUND: Duration = Duration::from_secs(30);

/// What no background, matte or border of the tests is.
const ROOM: u8 = 201;

/// Frame number `index`, gray of its own level.
fn numbered(caps: &gst::Caps, index: u64) -> gst::Buffer {
    flat(caps, level(index), index)
}

/// Frame number `index`, gray of that level.
fn flat(caps: &gst::Caps, level: u8, index: u64) -> gst::Buffer {
    let mut buffer = picture(caps, |c, _, _| if c == 0 { level } else { 128 });
    let writable = buffer.make_mut();
    writable.set_pts(MS(40 * index));
    writable.set_duration(MS(40));
    buffer
}

/// An element in which no frame waits for its matte, which is its brightness.
fn hurried(caps: &gst::Caps) -> Filter {
    let mut filter = Filter::luma(&[("pacing", "latest"), ("output", "alpha")]);
    filter.negotiate(caps, "video/x-raw");
    filter
}

fn level(index: u64) -> u8 {
    (40 + 10 * index) as u8
}

/// The matte of luma's network, of a gray frame in full-range RGB.
fn first_byte(buffer: &gst::BufferRef) -> u8 {
    buffer.map_readable().unwrap()[0]
}

fn in_flight(model: &str, count: &str) -> Filter {
    let model = fixture(model);
    Filter::new(&[("model", &model), ("frames-in-flight", count), ("output", "alpha")])
}

/// Runs `work` elsewhere, and fails where it does not end.
fn bounded<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(work()));
    receive.recv_timeout(BOUND).unwrap_or_else(|_| panic!("{what} does not end"))
}

// Exact

#[test]
fn frames_in_flight_leave_in_order_with_their_own_mattes() {
    for count in 1..=4u64 {
        let mut filter = in_flight("luma.onnx", &count.to_string());
        let caps = video("GRAY8", 16, 16);
        filter.negotiate(&caps, "video/x-raw,format=GRAY8");
        let mut received = Vec::new();
        for index in 0..10 {
            filter.harness.push(numbered(&caps, index)).unwrap();
            received.extend(filter.harness.try_pull());
            assert_eq!(received.len() as u64, (index + 2).saturating_sub(count));
        }
        filter.harness.push_event(gst::event::Eos::new());
        received.extend(std::iter::from_fn(|| filter.harness.try_pull()));
        let found: Vec<_> = received.iter().map(|b| (b.pts().unwrap(), first_byte(b))).collect();
        let expected: Vec<_> = (0..10).map(|i| (MS(40 * i), level(i))).collect();
        assert_eq!(found, expected, "{count} in flight");
        assert_eq!((filter.stat("inferences"), filter.stat("carried-mattes")), (10, 0));
    }
}

#[test]
fn the_latency_is_all_frames_in_flight_but_one() {
    for (properties, expected) in [
        (&[("pacing", "exact"), ("frames-in-flight", "3")][..], MS(80)),
        (&[("pacing", "exact"), ("frames-in-flight", "1")], MS(0)),
        (&[("pacing", "latest"), ("frames-in-flight", "3")], MS(0)),
    ] {
        let mut filter = Filter::luma(properties);
        filter.negotiate(&video("GRAY8", 16, 16), "video/x-raw");
        let mut query = gst::query::Latency::new();
        assert!(filter.element.static_pad("src").unwrap().query(&mut query));
        let upstream = {
            let mut query = gst::query::Latency::new();
            assert!(filter.element.static_pad("sink").unwrap().peer_query(&mut query));
            query.result().1
        };
        assert_eq!(query.result().1, upstream + expected, "{properties:?}");
    }
}

#[test]
fn other_caps_come_after_the_frames_in_flight() {
    let mut filter = in_flight("luma.onnx", "4");
    for (round, width) in [16, 32, 48].into_iter().enumerate() {
        let caps = video("GRAY8", width, 16);
        filter.harness.set_src_caps(caps.clone());
        for index in 0..3 {
            filter.harness.push(numbered(&caps, 3 * round as u64 + index)).unwrap();
        }
    }
    filter.harness.push_event(gst::event::Eos::new());
    let sizes: Vec<_> =
        std::iter::from_fn(|| filter.harness.try_pull()).map(|buffer| buffer.size()).collect();
    let size = |width: usize| info(&video("GRAY8", width, 16)).size();
    let expected: Vec<_> = [16, 32, 48].into_iter().flat_map(|w| [size(w); 3]).collect();
    assert_eq!(sizes, expected);
}

#[test]
fn another_output_comes_after_the_frames_in_flight() {
    let model = fixture("luma.onnx");
    let pipeline = pipeline(&format!(
        "videotestsrc num-buffers=40 ! video/x-raw,format=I420,width=64,height=48,framerate=25/1 ! \
         davidmatte name=matte device=cpu model={model} pacing=exact frames-in-flight=4 ! \
         appsink name=out sync=false max-buffers=1"
    ));
    let sink: gst_app::AppSink = pipeline.by_name("out").unwrap().downcast().unwrap();
    let matte = pipeline.by_name("matte").unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    for index in 0..40u64 {
        let sample = sink.pull_sample().unwrap();
        let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        assert_eq!(sample.buffer().unwrap().size(), info.size(), "frame {index}");
        assert_eq!(sample.buffer().unwrap().pts(), Some(MS(40 * index)));
        let output = ["composite", "alpha", "cutout"][index as usize / 5 % 3];
        matte.set_property_from_str("output", output);
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_flush_forgets_the_frames_in_flight() {
    let mut filter = in_flight("luma.onnx", "4");
    let caps = video("GRAY8", 16, 16);
    filter.negotiate(&caps, "video/x-raw");
    for index in 0..3 {
        filter.harness.push(numbered(&caps, index)).unwrap();
    }
    filter.harness.push_event(gst::event::FlushStart::new());
    filter.harness.push_event(gst::event::FlushStop::new(true));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    filter.harness.push_event(gst::event::Segment::new(&segment));
    filter.harness.push(numbered(&caps, 9)).unwrap();
    filter.harness.push_event(gst::event::Eos::new());
    let times: Vec<_> =
        std::iter::from_fn(|| filter.harness.try_pull()).map(|b| b.pts().unwrap()).collect();
    assert_eq!(times, [MS(360)]);
}

// Mattes that are carried

#[test]
fn between_inferences_mattes_are_carried() {
    for interval in [2u64, 3, 5] {
        let mut filter = in_flight("luma.onnx", "2");
        filter.set("inference-interval", &interval.to_string());
        let caps = video("GRAY8", 32, 32);
        filter.negotiate(&caps, "video/x-raw");
        let frame = |index: u64| {
            let mut frame = picture(&caps, |_, x, y| (3 * x + 4 * y) as u8);
            frame.make_mut().set_pts(MS(40 * index));
            frame
        };
        (0..10).for_each(|i| assert!(filter.harness.push(frame(i)).is_ok()));
        filter.harness.push_event(gst::event::Eos::new());
        let frames: Vec<_> = std::iter::from_fn(|| filter.harness.try_pull()).collect();
        assert_eq!(frames.len(), 10);
        let inferred = 10u64.div_ceil(interval);
        assert_eq!(filter.stat("inferences"), inferred);
        assert_eq!(filter.stat("carried-mattes"), 10 - inferred);
        // A frame that does not move keeps its matte.
        let first = frames[0].map_readable().unwrap();
        for frame in &frames[1..] {
            let frame = frame.map_readable().unwrap();
            assert!(first.iter().zip(&*frame).all(|(a, b)| a.abs_diff(*b) <= 2));
        }
    }
}

#[test]
fn with_an_interval_of_0_the_network_rests_until_something_moves() {
    let mut filter = in_flight("luma.onnx", "2");
    filter.set("inference-interval", "0");
    let caps = video("GRAY8", 192, 108);
    filter.negotiate(&caps, "video/x-raw");
    let frame = |index: u64| {
        // A hand that is raised in the 20th frame, and noise as of a sensor.
        let inside = |at: usize, from: usize| (from..from + 12).contains(&at);
        let noise = |x, y| Noise::new((x + 192 * (y + 108 * index as usize)) as u64).below(4);
        let mut frame =
            picture(&caps, |_, x, y| match index >= 20 && inside(x, 90) && inside(y, 40) {
                true => 220,
                false => (20 + x / 2 + noise(x, y)) as u8,
            });
        frame.make_mut().set_pts(MS(40 * index));
        frame
    };
    (0..40).for_each(|index| assert!(filter.harness.push(frame(index)).is_ok()));
    filter.harness.push_event(gst::event::Eos::new());
    let frames: Vec<_> = std::iter::from_fn(|| filter.harness.try_pull()).collect();
    assert_eq!(frames.len(), 40);
    assert_eq!(filter.stat("inferences"), 2, "{}", filter.stats());
    assert_eq!(filter.stat("carried-mattes"), 38);
    let at_the_hand = |index: usize| frames[index].map_readable().unwrap()[46 * 192 + 96];
    assert!(at_the_hand(19) < 120, "{}", at_the_hand(19));
    // The first frame that shows it has its matte.
    assert!(at_the_hand(20) > 200, "{}", at_the_hand(20));
}

#[test]
fn by_default_the_network_rests_in_live_streams_alone() {
    let model = fixture("luma.onnx");
    let (_folder, remembering) =
        described("remembering.onnx", include_str!("fixtures/remembering.toml"));
    for (model, is_live, rests) in
        [(&model, false, false), (&model, true, true), (&remembering, true, false)]
    {
        common::init();
        let launch = format!(
            "videotestsrc is-live={is_live} pattern=red num-buffers=12 ! \
             video/x-raw,format=GRAY8,width=96,height=64,framerate=60/1 ! \
             davidmatte name=matte pacing=exact model={model} ! fakesink sync=false"
        );
        let pipeline = gst::parse::launch(&launch).unwrap().downcast::<gst::Pipeline>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let message =
            pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends);
        assert!(message.is_some_and(|message| message.type_() == gst::MessageType::Eos));
        let stats = pipeline.by_name("matte").unwrap().property::<gst::Structure>("stats");
        pipeline.set_state(gst::State::Null).unwrap();
        let inferences: u64 = stats.get("inferences").unwrap();
        assert_eq!(inferences, if rests { 1 } else { 12 }, "{model}, live: {is_live}");
    }
}

#[test]
fn an_interval_can_begin_at_any_frame() {
    let mut filter = in_flight("luma.onnx", "1");
    let caps = video("GRAY8", 32, 32);
    filter.negotiate(&caps, "video/x-raw");
    let flat = |index: u64| {
        let mut frame = picture(&caps, |_, _, _| 90);
        frame.make_mut().set_pts(MS(40 * index));
        frame
    };
    assert_eq!(first_byte(&filter.push(flat(0))), 90);
    filter.set("inference-interval", "4");
    for index in 1..9 {
        assert_eq!(first_byte(&filter.push(flat(index))), 90, "frame {index}");
    }
    assert!(filter.stat("carried-mattes") >= 5, "{}", filter.stats());
}

/// A frame of a scene with detail of its own.
fn scene(caps: &gst::Caps, seed: usize, index: u64) -> gst::Buffer {
    let noise = |x: usize, y: usize| {
        Noise::new((x / 6 + 1000 * (y / 6) + 1_000_000 * seed) as u64).below(256) as u8
    };
    let mut frame = picture(caps, |_, x, y| noise(x, y));
    frame.make_mut().set_pts(MS(40 * index));
    frame
}

#[test]
fn no_matte_is_carried_over_a_cut() {
    let mut filter = in_flight("luma.onnx", "1");
    filter.set("inference-interval", "10");
    let caps = video("GRAY8", 192, 108);
    filter.negotiate(&caps, "video/x-raw,format=GRAY8");
    let matte = |filter: &mut Filter, seed, index| {
        filter.push(scene(&caps, seed, index)).map_readable().unwrap().to_vec()
    };
    let first = matte(&mut filter, 1, 0);
    assert!(first.iter().any(|&byte| byte > 128));
    let carried = matte(&mut filter, 1, 1);
    assert!(carried.iter().zip(&first).all(|(a, b)| a.abs_diff(*b) <= 2), "the scene goes on");
    // The first frame of another scene has its own matte, whatever the interval.
    let own = matte(&mut filter, 2, 2);
    let mut exact = Filter::luma(&[("output", "alpha")]);
    exact.negotiate(&caps, "video/x-raw,format=GRAY8");
    assert_eq!(own, matte(&mut exact, 2, 2));
    assert_eq!(filter.stat("inferences"), 2);
}

// Latest

/// Asserts that nothing of a frame of [`ROOM`] shows.
fn assert_covered(buffer: &gst::BufferRef) {
    let mapped = buffer.map_readable().unwrap();
    assert!(mapped.iter().all(|&byte| byte != ROOM), "the room shows");
}

#[test]
fn nobody_waits_for_a_network_that_hangs() {
    for output in ["composite", "cutout", "alpha"] {
        bounded("pacing=latest", move || {
            let model = fixture("hanging.onnx");
            let mut filter =
                Filter::new(&[("model", &model), ("pacing", "latest"), ("output", output)]);
            let caps = video("RGBA", 32, 32);
            filter.negotiate(&caps, "video/x-raw");
            for index in 0..50 {
                let mut frame = picture(&caps, |c, _, _| if c < 3 { ROOM } else { 255 });
                frame.make_mut().set_pts(MS(40 * index));
                assert_covered(&filter.push(frame));
            }
            assert_eq!(filter.stat("inferences"), 0);
            // Going home while the network runs is part of the test.
            drop(filter);
        });
    }
}

#[test]
fn frames_do_not_wait_for_a_slow_network() {
    let model = fixture("slow.onnx");
    let mut filter = Filter::new(&[("model", &model), ("pacing", "latest"), ("output", "alpha")]);
    let caps = video("GRAY8", 32, 32);
    filter.negotiate(&caps, "video/x-raw");
    let deadline = Instant::now() + BOUND;
    let mut frames = 0;
    while filter.stat("inferences") < 3 {
        assert!(Instant::now() < deadline, "the network gives no matte");
        let mut frame = picture(&caps, |_, _, _| 90);
        frame.make_mut().set_pts(MS(40 * frames));
        let matte = first_byte(&filter.push(frame));
        // Nothing before the first matte, and after it that matte.
        let inferred = filter.stat("inferences") > 0;
        assert_eq!(matte, if inferred { 90 } else { 0 }, "frame {frames}");
        frames += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(frames > 6, "{frames} frames waited for three mattes");
}

#[test]
fn a_live_stream_waits_for_its_network_but_not_for_long() {
    // The harness says that it is live.
    let auto = |model: &str| {
        let model = fixture(model);
        let mut filter = Filter::new(&[("model", &model), ("pacing", "auto"), ("output", "alpha")]);
        filter.negotiate(&video("GRAY8", 16, 16), "video/x-raw");
        filter
    };
    let caps = video("GRAY8", 16, 16);
    let mut fast = auto("luma.onnx");
    let deadline = Instant::now() + BOUND;
    let mut own = 0;
    // A busy machine may be too slow for a frame now and then.
    for index in (0..20).cycle() {
        let inferred = fast.stat("inferences");
        let matte = first_byte(&fast.push(numbered(&caps, index)));
        if fast.stat("inferences") > inferred && matte == level(index) {
            own += 1;
        }
        if own == 5 {
            break;
        }
        assert!(Instant::now() < deadline, "no frame waits: {}", fast.stats());
        std::thread::sleep(Duration::from_millis(5));
    }
    bounded("pacing=auto", move || {
        let mut hanging = auto("hanging.onnx");
        for index in 0..20 {
            assert_eq!(first_byte(&hanging.push(numbered(&caps, index))), 0);
        }
    });
}

/// One that loads and then fails at its first frame never was at work.
#[test]
fn a_model_that_is_refused_is_not_the_active_one() {
    bounded("a model that is refused", || {
        let caps = video("GRAY8", 16, 16);
        let mut filter = hurried(&caps);
        let mut told = Vec::new();
        for index in 0.. {
            filter.push(flat(&caps, 200, index));
            if index == 20 {
                filter.set("model", &fixture("nan_when_bright.onnx"));
            }
            told.extend(filter.messages());
            if !told.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let told = told[0].1.message();
        assert!(told.contains("the one before goes on"), "{told}");
        let active = filter.element.property::<Option<String>>("active-model");
        assert_eq!(active, Some(fixture("luma.onnx")));
    });
}

/// A camera whose frames are dropped on their way, or a network that loses packets.
#[test]
fn a_stream_that_loses_frames_keeps_its_mattes() {
    bounded("losing frames", || {
        let caps = video("GRAY8", 16, 16);
        for lost in ["mark", "gap"] {
            let mut filter = hurried(&caps);
            let mut shown = 0;
            for index in 0.. {
                let mut frame = flat(&caps, 100, index);
                match lost {
                    "mark" => frame.make_mut().set_flags(gst::BufferFlags::DISCONT),
                    _ => assert!(
                        filter.harness.push_event(gst::event::Gap::new(MS(40 * index), MS(40)))
                    ),
                }
                let matte = first_byte(&filter.push(frame));
                // From the first on.
                assert!(matte == 100 || (matte == 0 && shown == 0), "{lost} {index}: {matte}");
                shown += u32::from(matte > 0);
                if shown == 10 {
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    });
}

// Never for ever

#[test]
fn a_pipeline_ends_while_its_network_hangs() {
    for (pacing, in_flight) in [("exact", 1), ("exact", 3), ("latest", 1), ("auto", 2)] {
        bounded(pacing, move || {
            let model = fixture("hanging.onnx");
            let pipeline = pipeline(&format!(
                "videotestsrc ! video/x-raw,format=I420,width=64,height=48 ! davidmatte device=cpu \
                 model={model} pacing={pacing} frames-in-flight={in_flight} ! fakesink async=false"
            ));
            for _ in 0..2 {
                pipeline.set_state(gst::State::Playing).unwrap();
                std::thread::sleep(Duration::from_millis(50));
                pipeline.set_state(gst::State::Null).unwrap();
            }
        });
    }
}

#[test]
fn seeks_do_not_wait_for_a_network_that_hangs() {
    bounded("seeking", || {
        let model = fixture("hanging.onnx");
        let pipeline = pipeline(&format!(
            "videotestsrc ! video/x-raw,format=I420,width=64,height=48 ! davidmatte device=cpu \
             model={model} pacing=exact ! fakesink async=false"
        ));
        pipeline.set_state(gst::State::Playing).unwrap();
        for second in 0..20 {
            std::thread::sleep(Duration::from_millis(5));
            pipeline.seek_simple(gst::SeekFlags::FLUSH, MS(1000 * second)).unwrap();
        }
        pipeline.set_state(gst::State::Null).unwrap();
    });
}

#[test]
fn a_storm_of_seeks_and_states_leaves_a_pipeline_that_works() {
    let model = fixture("luma.onnx");
    for pacing in ["exact", "latest"] {
        let pipeline = pipeline(&format!(
            "videotestsrc ! video/x-raw,format=I420,width=64,height=48,framerate=25/1 ! davidmatte \
             device=cpu model={model} pacing={pacing} ! appsink name=out sync=false max-buffers=2"
        ));
        let sink: gst_app::AppSink = pipeline.by_name("out").unwrap().downcast().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        for round in 0..100 {
            if round % 10 == 9 {
                pipeline.set_state(gst::State::Ready).unwrap();
                pipeline.set_state(gst::State::Playing).unwrap();
            }
            let _ = pipeline.state(gst::ClockTime::from_seconds(10));
            pipeline.seek_simple(gst::SeekFlags::FLUSH, MS(1000 * round)).unwrap();
        }
        let sample = sink.pull_sample().unwrap();
        assert_eq!(sample.buffer().unwrap().pts(), Some(MS(99_000)));
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

// Another model while playing

/// The matte of `inverse` is one minus luma, by a sidecar that gives the channels negative scale.
fn inverse() -> (tempfile::TempDir, String) {
    described("luma.onnx", "[input]\nmean = [1.0, 1.0, 1.0]\nstd = [-1.0, -1.0, -1.0]\n")
}

#[test]
fn another_model_takes_over_between_two_frames() {
    let (_folder, inverse) = inverse();
    for pacing in ["exact", "latest"] {
        let mut filter =
            Filter::luma(&[("pacing", pacing), ("frames-in-flight", "3"), ("output", "alpha")]);
        let caps = video("GRAY8", 16, 16);
        filter.negotiate(&caps, "video/x-raw");
        let deadline = Instant::now() + BOUND;
        let (mut pushed, mut mattes) = (0, Vec::new());
        let mut has_changed = false;
        while mattes.last() != Some(&155) {
            assert!(Instant::now() < deadline, "{pacing}: {mattes:?}");
            let mut frame = picture(&caps, |_, _, _| 100);
            frame.make_mut().set_pts(MS(40 * pushed));
            filter.harness.push(frame).unwrap();
            pushed += 1;
            mattes.extend(std::iter::from_fn(|| filter.harness.try_pull()).map(|b| first_byte(&b)));
            if mattes.last() == Some(&100) && !has_changed {
                filter.set("model", &inverse);
                has_changed = true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        filter.harness.push_event(gst::event::Eos::new());
        mattes.extend(std::iter::from_fn(|| filter.harness.try_pull()).map(|b| first_byte(&b)));
        assert_eq!(mattes.len() as u64, pushed, "{pacing}: no frame is lost");
        mattes.dedup();
        let nothing_first = if pacing == "latest" { &mattes[mattes.len() - 2..] } else { &mattes };
        assert_eq!(nothing_first, [100, 155], "{pacing}");
        assert_eq!(filter.messages(), []);
    }
}

#[test]
fn a_model_that_cannot_be_loaded_leaves_the_old_one_at_work() {
    let mut filter = Filter::luma(&[("output", "alpha")]);
    let caps = video("GRAY8", 16, 16);
    filter.negotiate(&caps, "video/x-raw");
    filter.push(numbered(&caps, 0));
    filter.set("model", "/nowhere/model.onnx");
    let deadline = Instant::now() + BOUND;
    let mut index = 1;
    loop {
        assert_eq!(first_byte(&filter.push(numbered(&caps, index % 20))), level(index % 20));
        index += 1;
        let messages = filter.messages();
        if let Some((kind, error)) = messages.first() {
            assert_eq!(*kind, gst::MessageType::Warning);
            assert!(error.message().contains("/nowhere/model.onnx"), "{error}");
            break;
        }
        assert!(Instant::now() < deadline, "nobody is told");
        std::thread::sleep(Duration::from_millis(2));
    }
}
