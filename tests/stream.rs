//! The laws of a stream through the whole element, with its defaults: each frame leaves once, in order, with
//! the matte of its own brightness, and the end comes; what is set while playing fails gently; whatever
//! ends a wait is no error.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Filter, Noise, caps, defaults, ends, fixture, info, init, picture, samples, video};
use gst::prelude::*;

const MS: fn(u64) -> gst::ClockTime = gst::ClockTime::from_mseconds;

const WIDTH: usize = 64;
const HEIGHT: usize = 48;

fn gray8() -> gst::Caps {
    video("GRAY8", WIDTH, HEIGHT)
}

fn flat(caps: &gst::Caps, code: u8, index: u64) -> gst::Buffer {
    let mut frame = picture(caps, |_, _, _| code);
    let buffer = frame.make_mut();
    buffer.set_pts(MS(40 * index));
    buffer.set_duration(MS(40));
    frame
}

/// The time and the brightness of every matte that has left.
fn left(filter: &mut Filter) -> Vec<(u64, u8)> {
    let caps = gray8();
    std::iter::from_fn(|| filter.harness.try_pull())
        .map(|buffer| {
            let matte = &samples(&buffer, &caps)[0];
            (buffer.pts().unwrap().mseconds() / 40, matte[WIDTH * HEIGHT / 2 + WIDTH / 2])
        })
        .collect()
}

#[test]
fn a_file_that_begins_with_black_keeps_every_frame_and_ends() {
    const LEVELS: [u8; 8] = [0, 110, 120, 130, 140, 150, 160, 170];
    init();
    let folder = tempfile::tempdir().unwrap();
    let [file, out] = ["in.gray", "out.gray"].map(|name| folder.path().join(name));
    let frame = |code: &u8| vec![*code; WIDTH * HEIGHT];
    std::fs::write(&file, LEVELS.iter().flat_map(frame).collect::<Vec<_>>()).unwrap();
    let text = format!(
        "filesrc location={} ! rawvideoparse format=gray8 width={WIDTH} height={HEIGHT} framerate=25/1 ! \
         davidmatte model={} temporal=0 output=alpha ! video/x-raw,format=GRAY8 ! filesink location={}",
        file.display(),
        fixture("luma.onnx"),
        out.display()
    );
    ends(move || common::run(&common::pipeline(&text))).unwrap();
    let mattes = std::fs::read(&out).unwrap();
    let middles = mattes.chunks(WIDTH * HEIGHT).map(|matte| matte[matte.len() / 2]);
    assert_eq!(middles.collect::<Vec<_>>(), LEVELS);
}

/// Levels so far apart that change is not smoothed.
const LEVELS: [u8; 7] = [0, 0, 40, 95, 150, 205, 255];

/// A schedule of cuts, nobody, settings, flushes and other caps; what went in, and what must come out.
fn run_schedule(seed: u64) {
    let mut noise = Noise::new(seed);
    let in_flight = (1 + noise.below(8)).to_string();
    // Half of all with the default of that too.
    let own = [("output", "alpha"), ("frames-in-flight", in_flight.as_str())];
    let mut filter = defaults(if seed.is_multiple_of(2) { &own[..1] } else { &own });
    filter.negotiate(&gray8(), "video/x-raw,format=GRAY8");
    let mut expected = Vec::new();
    let mut got = Vec::new();
    let mut code = LEVELS[noise.below(LEVELS.len())];
    for index in 0..(1 + noise.below(60)) as u64 {
        if noise.below(3) == 0 {
            code = LEVELS[noise.below(LEVELS.len())];
        }
        match noise.below(40) {
            0 => {
                got.extend(left(&mut filter));
                filter.harness.push_event(gst::event::FlushStart::new());
                filter.harness.push_event(gst::event::FlushStop::new(true));
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                filter.harness.push_event(gst::event::Segment::new(&segment));
                // What had not left never will.
                got.extend(left(&mut filter));
                expected.truncate(got.len());
            }
            1 => {
                let model = if noise.below(2) == 0 { "luma.onnx" } else { "/nowhere.onnx" };
                let model = if model.starts_with('/') { model.into() } else { fixture(model) };
                filter.set("model", &model);
            }
            2 => {
                filter.harness.push_event(gst::event::Gap::new(MS(40 * index), MS(40)));
            }
            3 => filter.set("region", if noise.below(2) == 0 { "frame" } else { "auto" }),
            4 => {
                // The same frames under other caps.
                let mut caps = gray8();
                let rate = gst::Fraction::new([25, 24, 30][noise.below(3)], 1);
                caps.make_mut().set("framerate", rate);
                filter.harness.set_src_caps(caps);
            }
            _ => {}
        }
        filter.harness.push(flat(&gray8(), code, index)).unwrap();
        expected.push((index, code));
    }
    assert!(filter.harness.push_event(gst::event::Eos::new()));
    got.extend(left(&mut filter));
    assert_eq!(got.len(), expected.len(), "seed {seed}: {got:?}, not {expected:?}");
    for (got, expected) in got.iter().zip(&expected) {
        assert_eq!(got.0, expected.0, "seed {seed}");
        assert!(got.1.abs_diff(expected.1) <= 1, "seed {seed}: {got:?}, not {expected:?}");
    }
}

#[test]
fn each_frame_leaves_once_with_the_matte_of_its_own_brightness() {
    for seed in 0..200 {
        ends(move || run_schedule(seed));
    }
}

/// Those frames that came marked as discontinuous leave so, and no others.
fn check_marks(count: u64, marked: &'static [u64], event_follows: bool) {
    let marks = ends(move || {
        let mut filter = defaults(&[("output", "alpha"), ("frames-in-flight", "3")]);
        filter.negotiate(&gray8(), "video/x-raw,format=GRAY8");
        for index in 0..count {
            let mut frame = flat(&gray8(), 100, index);
            let is_marked = marked.contains(&index);
            if is_marked {
                frame.make_mut().set_flags(gst::BufferFlags::DISCONT);
            }
            filter.harness.push(frame).unwrap();
            if is_marked && event_follows {
                let event = gst::event::CustomDownstream::new(gst::Structure::new_empty("words"));
                filter.harness.push_event(event);
            }
        }
        filter.harness.push_event(gst::event::Eos::new());
        std::iter::from_fn(|| filter.harness.try_pull())
            .map(|buffer| buffer.flags().contains(gst::BufferFlags::DISCONT))
            .collect::<Vec<_>>()
    });
    let expected: Vec<_> = (0..count).map(|index| marked.contains(&index)).collect();
    assert_eq!(marks[1..], expected[1..], "{marks:?}");
}

#[test]
fn a_discontinuity_is_marked_on_its_own_frame_alone() {
    check_marks(9, &[5], false);
}

/// Also where it leaves because of an event that comes after it.
#[test]
fn a_discontinuity_before_an_event_is_marked_once() {
    check_marks(16, &[2, 9], true);
}

#[test]
fn frames_fed_one_by_one_without_a_rate_come_back_one_by_one() {
    ends(|| {
        let mut filter = defaults(&[("output", "alpha")]);
        let mut caps = gray8();
        caps.make_mut().set("framerate", gst::Fraction::new(0, 1));
        filter.negotiate(&caps, "video/x-raw,format=GRAY8");
        for index in 0..4 {
            filter.harness.push(flat(&gray8(), 90, index)).unwrap();
            assert!(filter.harness.try_pull().is_some(), "frame {index} is held back");
        }
    });
}

#[test]
fn a_pool_of_few_buffers_is_not_waited_for() {
    ends(|| {
        let mut filter = defaults(&[("output", "alpha"), ("frames-in-flight", "8")]);
        filter.negotiate(&gray8(), "video/x-raw,format=GRAY8");
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&gray8()), (WIDTH * HEIGHT) as u32, 0, 3);
        pool.set_config(config).unwrap();
        pool.set_active(true).unwrap();
        let mut count = 0;
        for index in 0..20 {
            let mut frame = pool.acquire_buffer(None).unwrap();
            frame.get_mut().unwrap().set_pts(MS(40 * index));
            filter.harness.push(frame).unwrap();
            count += left(&mut filter).len();
        }
        assert!(count >= 17, "{count}");
    });
}

// What is set while playing

fn warnings(filter: &Filter) -> Vec<String> {
    let messages = filter.messages();
    let all_warn = messages.iter().all(|(kind, _)| *kind == gst::MessageType::Warning);
    assert!(all_warn, "{messages:?}");
    messages.into_iter().map(|(_, error)| error.to_string()).collect()
}

/// Feeds frames until a warning came, which must; every frame has its matte meanwhile.
fn warned(filter: &mut Filter, from: u64) -> String {
    for index in from.. {
        filter.harness.push(flat(&gray8(), 150, index)).unwrap();
        for (_, code) in left(filter) {
            assert!(code.abs_diff(150) <= 1, "frame {index}: {code}");
        }
        if let Some(warning) = warnings(filter).pop() {
            return warning;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    unreachable!()
}

#[test]
fn a_model_that_fails_while_playing_is_told_and_the_one_before_goes_on() {
    for pacing in ["exact", "latest"] {
        let warning = ends(move || {
            let mut filter =
                defaults(&[("output", "alpha"), ("pacing", pacing), ("until-ready", "wait")]);
            filter.negotiate(&gray8(), "video/x-raw,format=GRAY8");
            for index in 0..4 {
                filter.harness.push(flat(&gray8(), 150, index)).unwrap();
            }
            left(&mut filter);
            let luma = fixture("luma.onnx");
            for (model, word) in [("nan.onnx", "NaN"), ("rank3.onnx", "rank3.onnx")] {
                filter.set("model", &fixture(model));
                let warning = warned(&mut filter, 4);
                assert!(warning.contains(word) && warning.contains("luma.onnx"), "{warning}");
                assert!(!warning.contains("Some("), "{warning}");
                assert_eq!(filter.element.property::<String>("active-model"), luma);
                assert_eq!(filter.element.property::<String>("model"), fixture(model));
            }
            filter.set("model", "david-base");
            warned(&mut filter, 100)
        });
        assert!(warning.contains("david-base"), "{warning}");
    }
}

#[test]
fn a_picture_that_fails_while_playing_is_told_and_the_background_stays() {
    ends(|| {
        let mut filter = defaults(&[("background", "color"), ("background-color", "0xff808080")]);
        filter.negotiate(&gray8(), "video/x-raw,format=GRAY8");
        filter.harness.push(flat(&gray8(), 0, 0)).unwrap();
        filter.set("background-image", "/nowhere.png");
        filter.set("background", "image");
        for index in 1.. {
            filter.harness.push(flat(&gray8(), 0, index)).unwrap();
            for (_, code) in left(&mut filter) {
                assert_eq!(code, 128, "frame {index}");
            }
            if let Some(warning) = warnings(&filter).pop() {
                assert!(warning.contains("/nowhere.png"), "{warning}");
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
}

// Flow

#[test]
fn stopping_a_running_pipeline_is_no_error() {
    init();
    let luma = fixture("luma.onnx");
    for round in 0..25 {
        let pipeline = common::pipeline(&format!(
            "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=120/1 ! \
             davidmatte model={luma} device=cpu output=cutout ! video/x-raw,format=RGBA ! \
             fakesink sync=false"
        ));
        pipeline.set_state(gst::State::Playing).unwrap();
        std::thread::sleep(Duration::from_millis(60 + 3 * round));
        pipeline.set_state(gst::State::Ready).unwrap();
        let bus = pipeline.bus().unwrap();
        let error = bus.pop_filtered(&[gst::MessageType::Error]);
        pipeline.set_state(gst::State::Null).unwrap();
        assert!(error.is_none(), "{error:?}");
    }
}

// Caps, metas and latency

fn peer_caps(filter: &Filter, caps: &gst::Caps) -> gst::Caps {
    filter.element.static_pad("sink").unwrap().query_caps(Some(caps))
}

#[test]
fn a_caps_query_gives_no_more_than_two_structures_for_each_in_their_order() {
    let filter = defaults(&[]);
    let mut many = gst::Caps::new_empty();
    for index in 0..40 {
        let size = 16 * (index + 1);
        many.make_mut().append(caps(&format!(
            "video/x-raw,format=YUY2,width={size},height={size},framerate=30/1,colorimetry=bt601"
        )));
    }
    filter.element.static_pad("sink").unwrap();
    let across = peer_caps(&filter, &many);
    assert!(across.size() <= 80, "{}", across.size());
    let mut widths: Vec<i32> =
        across.iter().map(|structure| structure.get("width").unwrap()).collect();
    widths.dedup();
    assert_eq!(widths, (1..=40).map(|index| 16 * index).collect::<Vec<_>>());
}

#[test]
fn planes_of_420_keep_their_colours_and_their_names() {
    for format in ["I420", "NV12"] {
        let mut filter = defaults(&[("output", "cutout"), ("decontaminate", "false")]);
        let sink = caps(&format!(
            "video/x-raw,format={format},width=64,height=48,framerate=25/1,colorimetry=1:4:0:0,chroma-site=dv"
        ));
        filter.negotiate(&sink, "video/x-raw,format=A420");
        for index in 0..3 {
            filter.harness.push(flat(&sink, 81, index)).unwrap();
        }
        let src = filter.src_caps();
        let [from, to] = [info(&sink), info(&src)];
        assert_eq!(from.colorimetry(), to.colorimetry(), "{src}");
        assert_eq!(from.chroma_site(), to.chroma_site(), "{src}");
    }
}

#[test]
fn planes_are_not_handed_on_under_another_colour() {
    let mut filter = defaults(&[("output", "cutout")]);
    let sink = video("I420", 64, 48);
    filter.negotiate(&sink, "video/x-raw,format=A420,colorimetry=bt709");
    assert_eq!(filter.harness.push(flat(&sink, 81, 0)), Err(gst::FlowError::NotNegotiated));
}

#[test]
fn interlaced_frames_are_refused_by_name() {
    let mut filter = defaults(&[]);
    let mut sink = video("I420", 64, 48);
    sink.make_mut().set("interlace-mode", "interleaved");
    filter.harness.set_sink_caps(caps("video/x-raw"));
    filter.harness.set_src_caps(sink);
    let messages = filter.messages();
    assert!(
        messages.iter().any(|(_, error)| error.to_string().contains("deinterlace")),
        "{messages:?}"
    );
}

#[test]
fn regions_of_interest_move_with_a_crop() {
    let mut filter = Filter::luma(&[("output", "alpha")]);
    let sink = video("GRAY8", 32, 24);
    filter.negotiate(&sink, "video/x-raw,format=GRAY8");
    let mut frame = common::embedded(&sink, (4, 6), |_, _, _| 90);
    {
        let buffer = frame.make_mut();
        buffer.set_pts(MS(0));
        gst_video::VideoRegionOfInterestMeta::add(buffer, "face", (10, 16, 8, 8));
        gst_video::VideoRegionOfInterestMeta::add(buffer, "outside", (0, 0, 3, 3));
    }
    let out = filter.push(frame);
    let rois: Vec<_> = out
        .iter_meta::<gst_video::VideoRegionOfInterestMeta>()
        .map(|roi| (roi.roi_type().to_owned(), roi.rect()))
        .collect();
    assert_eq!(rois, [("face".to_owned(), (6, 10, 8, 8))]);
}

#[test]
fn the_wait_of_a_live_stream_is_told_as_latency() {
    init();
    let pipeline = common::pipeline(&format!(
        "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=25/1 ! \
         davidmatte name=m model={} device=cpu ! fakesink name=out",
        fixture("luma.onnx")
    ));
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline.state(gst::ClockTime::from_seconds(20)).0.unwrap();
    let told = |name: &str| {
        let mut query = gst::query::Latency::new();
        let pad = pipeline.by_name("m").unwrap().static_pad(name).unwrap();
        let answered =
            if name == "src" { pad.query(&mut query) } else { pad.peer_query(&mut query) };
        assert!(answered);
        query.result().1
    };
    let own = told("src") - told("sink");
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(own, MS(28));
}
