//! The element as a part of a pipeline: negotiation, events, timing, properties and states.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{
    Filter, alpha_of, caps, described, fixture, info, init, picture, pipeline, resident, run, video,
};
use gst::glib;
use gst::prelude::*;
use gst_controller::prelude::*;

fn gray(caps: &gst::Caps, level: u8) -> gst::Buffer {
    picture(caps, |_, _, _| level)
}

/// One colour everywhere, in which red, green and blue differ.
fn orange(caps: &gst::Caps) -> gst::Buffer {
    picture(caps, |c, _, _| [200, 90, 40][c])
}

/// 0.299 · 200 + 0.587 · 90 + 0.114 · 40.
const ORANGE_LUMA: f64 = 117.19;

// Negotiation

#[test]
fn other_caps_in_mid_stream_lose_no_frame() {
    // By default the network rests in live streams that stand still, as this one does.
    let mut filter = Filter::luma(&[("inference-interval", "1")]);
    let sizes =
        [("RGB", 64, 48), ("I420", 17, 9), ("NV12", 320, 240), ("RGB", 1, 1), ("GRAY8", 48, 64)];
    let mut received = 0;
    for round in 0..3 {
        for (format, width, height) in sizes {
            let caps = video(format, width, height);
            filter.harness.set_src_caps(caps.clone());
            for _ in 0..=round {
                let out = filter.push(gray(&caps, 128));
                received += 1;
                let src = info(&filter.src_caps());
                assert_eq!((src.width(), src.height()), (width as u32, height as u32));
                assert_eq!(src.format().to_str(), format, "the sink's own format is preferred");
                assert_eq!(out.size(), src.size());
            }
        }
    }
    assert_eq!(filter.stat("frames"), received);
    assert_eq!(filter.stat("inferences"), received);
    assert_eq!(filter.messages(), []);
}

#[test]
fn a_composite_has_the_matte_attached_that_output_alpha_gives() {
    let attached = |buffer: &gst::BufferRef| {
        let meta = gst::meta::CustomMeta::from_buffer(buffer, "DavidMatteMatteMeta").ok()?;
        meta.structure().get::<gst::Sample>("matte").ok()
    };
    // Without what is between them.
    let rows = |gray: &[u8], format| -> Vec<u8> {
        let used = if format == "GRAY8" { 46 } else { 92 };
        gray.chunks(gray.len() / 30).flat_map(|row| &row[..used]).copied().collect()
    };
    for (format, gray) in [("I420", "GRAY8"), ("RGBA", "GRAY8"), ("I420_10LE", "GRAY16_LE")] {
        let sink = video(format, 46, 30);
        // A ramp, a new one for each frame; RGBA's alpha is one of its own.
        let frame = |index: usize| {
            picture(&sink, move |c, x, y| (20 * (c % 2) + 4 * x + 2 * y + 9 * index) as u8)
        };
        let inferred_alone: Vec<_> = {
            let mut filter = Filter::luma(&[("output", "alpha")]);
            filter.negotiate(&sink, &format!("video/x-raw,format={gray}"));
            (0..3).map(|index| filter.push(frame(index))).collect()
        };
        for background in ["color", "blur", "checkerboard"] {
            let mut filter = Filter::luma(&[("attach-matte", "true"), ("background", background)]);
            filter.negotiate(&sink, "video/x-raw");
            for (index, alone) in inferred_alone.iter().enumerate() {
                let out = filter.push(frame(index));
                let matte = attached(&out).expect("a matte");
                let found = info(&matte.caps_owned().unwrap());
                assert_eq!((found.width(), found.height()), (46, 30));
                assert_eq!(found.format().to_str(), gray);
                let [found, wanted] = [matte.buffer_owned().unwrap(), alone.clone()]
                    .map(|buffer| rows(&buffer.map_readable().unwrap(), gray));
                assert!(found == wanted, "{format}, {background}, frame {index}");
            }
            assert_eq!(filter.stat("inferences"), 3);
        }
        let mut without = Filter::luma(&[]);
        without.negotiate(&sink, "video/x-raw");
        assert!(attached(&without.push(frame(0))).is_none());
    }
}

/// One picture of one inference, so that fill and key cannot part.
#[test]
fn a_fill_lies_above_its_key() {
    for (format, key_format) in [("I420", "I420"), ("YUY2", "YUY2"), ("RGB", "BGRx")] {
        let sink = video(format, 46, 30);
        let frame = |index: usize| {
            picture(&sink, move |c, x, y| (20 * c + 4 * x + 2 * y + 9 * index) as u8)
        };
        let run = |settings: &[(&str, &str)]| {
            let mut filter = Filter::luma(settings);
            filter.negotiate(&sink, &format!("video/x-raw,format={key_format}"));
            let frames: Vec<_> = (0..3).map(|index| filter.matte(frame(index))).collect();
            (frames, filter.stat("inferences"))
        };
        let fill = run(&[("background-color", "0xff000000")]).0;
        let key = run(&[("output", "alpha")]).0;
        // What lies behind the person is black, whatever is asked for.
        let (both, inferences) = run(&[("output", "key-fill"), ("background", "checkerboard")]);
        assert_eq!(inferences, 3);
        for ((both, fill), key) in both.iter().zip(&fill).zip(&key) {
            for ((both, fill), key) in both.iter().zip(fill).zip(key) {
                assert!(
                    both[..fill.len()] == fill[..] && both[fill.len()..] == key[..],
                    "{format}"
                );
            }
        }
    }
}

#[test]
fn what_is_no_matter_of_the_matte_passes_through_the_caps() {
    let rest = "width=32,height=24,framerate=30000/1001,pixel-aspect-ratio=4/3,\
                interlace-mode=progressive,multiview-mode=mono";
    for (output, src) in
        [("composite", "I420"), ("composite", "BGRx"), ("cutout", "RGBA"), ("alpha", "GRAY8")]
    {
        let mut filter = Filter::luma(&[("output", output)]);
        let sink = caps(&format!("video/x-raw,format=I420,{rest},colorimetry=bt709"));
        filter.negotiate(&sink, &format!("video/x-raw,format={src}"));
        filter.push(gray(&sink, 128));
        let out = filter.src_caps();
        let expected = caps(&format!("video/x-raw,format={src},{rest}"));
        assert!(out.is_subset(&expected), "{output}: {out}");
        if src == "I420" {
            assert_eq!(out.structure(0).unwrap().get::<&str>("colorimetry"), Ok("bt709"));
        }
    }
}

/// As parsers tell of video that says nothing of its colours.
#[test]
fn where_chroma_lies_may_be_told_alone() {
    for (from, to) in [("I420", "A420"), ("I420_10LE", "A420_10LE"), ("NV12", "RGBA")] {
        let sink = caps(&format!(
            "video/x-raw,format={from},width=48,height=32,framerate=24/1,chroma-site=mpeg2"
        ));
        let mut filter = Filter::luma(&[("output", "cutout")]);
        filter.negotiate(&sink, &format!("video/x-raw,format={to}"));
        filter.push(gray(&sink, 128));
        assert_eq!(filter.format(), to);
        assert_eq!(filter.messages(), []);
    }
}

#[test]
fn a_frame_rate_of_zero_is_one() {
    let sink = caps("video/x-raw,format=RGB,width=8,height=8,framerate=0/1");
    let mut filter = Filter::luma(&[]);
    filter.negotiate(&sink, "video/x-raw,framerate=0/1");
    filter.push(gray(&sink, 1));
}

#[test]
fn only_what_the_output_can_be_is_offered() {
    let filter = Filter::luma(&[]);
    let src = filter.element.static_pad("src").unwrap();
    let offers = |format: &str| src.query_caps(None).can_intersect(&video(format, 16, 16));
    for (output, offered, other) in [
        ("composite", "P010_10LE", "GRAY16_BE"),
        ("cutout", "RGBA", "RGB"),
        ("alpha", "GRAY16_LE", "RGBA"),
        ("key-fill", "I420", "RGBA"),
    ] {
        filter.set("output", output);
        assert!(offers(offered), "{output} offers {offered}");
        assert!(!offers(other), "{output} does not offer {other}");
    }
    let sink = filter.element.static_pad("sink").unwrap();
    assert!(!sink.query_caps(None).can_intersect(&video("GRAY16_BE", 16, 16)));
}

// Events

fn events(filter: &mut Filter) -> Vec<gst::Event> {
    std::iter::from_fn(|| filter.harness.try_pull_event()).collect()
}

#[test]
fn end_of_stream_comes_after_the_last_frame() {
    let mut filter = Filter::luma(&[]);
    let sink = video("I420", 32, 24);
    filter.harness.set_src_caps(sink.clone());
    filter.push(gray(&sink, 100));
    assert!(!events(&mut filter).iter().any(|event| event.type_() == gst::EventType::Eos));
    assert!(filter.harness.push_event(gst::event::Eos::new()));
    assert_eq!(events(&mut filter).last().unwrap().type_(), gst::EventType::Eos);
    assert_eq!(filter.harness.push(gray(&sink, 100)), Err(gst::FlowError::Eos));
}

#[test]
fn a_gap_passes() {
    let mut filter = Filter::luma(&[]);
    let sink = video("I420", 32, 24);
    filter.harness.set_src_caps(sink.clone());
    filter.push(gray(&sink, 100));
    let (at, lasts) = (gst::ClockTime::from_mseconds(40), gst::ClockTime::from_mseconds(80));
    assert!(filter.harness.push_event(gst::event::Gap::builder(at).duration(lasts).build()));
    let events = events(&mut filter);
    let gst::EventView::Gap(gap) = events.last().unwrap().view() else {
        panic!("{:?} is no gap", events.last());
    };
    assert_eq!(gap.get(), (at, Some(lasts)));
    filter.push(gray(&sink, 100));
}

#[test]
fn a_segment_passes_as_it_is() {
    let mut filter = Filter::luma(&[]);
    let sink = video("I420", 32, 24);
    filter.harness.set_src_caps(sink.clone());
    filter.push(gray(&sink, 100));
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(2.0);
    segment.set_start(gst::ClockTime::from_seconds(5));
    segment.set_time(gst::ClockTime::from_seconds(7));
    segment.set_position(gst::ClockTime::from_seconds(5));
    assert!(filter.harness.push_event(gst::event::Segment::new(&segment)));
    filter.push(gray(&sink, 100));
    let events = events(&mut filter);
    let last = events.iter().rev().find_map(|event| match event.view() {
        gst::EventView::Segment(event) => Some(event.segment().clone()),
        _ => None,
    });
    let last = last.unwrap().downcast::<gst::ClockTime>().unwrap();
    assert_eq!((last.rate(), last.start(), last.time()), (2.0, segment.start(), segment.time()));
}

fn appsink(pipeline: &gst::Pipeline) -> gst_app::AppSink {
    pipeline.by_name("out").unwrap().downcast().unwrap()
}

fn times(sink: &gst_app::AppSink) -> Vec<gst::ClockTime> {
    std::iter::from_fn(|| sink.pull_sample().ok())
        .map(|sample| sample.buffer().unwrap().pts().unwrap())
        .collect()
}

const MS: fn(u64) -> gst::ClockTime = gst::ClockTime::from_mseconds;

#[test]
fn every_frame_of_a_pipeline_arrives() {
    let model = fixture("luma.onnx");
    let pipeline = pipeline(&format!(
        "videotestsrc num-buffers=30 ! video/x-raw,format=YUY2,width=64,height=48,framerate=25/1 ! \
         davidmatte device=cpu model={model} ! appsink name=out sync=false"
    ));
    pipeline.set_state(gst::State::Playing).unwrap();
    let expected: Vec<_> = (0..30).map(|frame| MS(40 * frame)).collect();
    assert_eq!(times(&appsink(&pipeline)), expected);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_flushing_seek_goes_on_from_there() {
    let model = fixture("luma.onnx");
    let pipeline = pipeline(&format!(
        "videotestsrc num-buffers=1000 ! video/x-raw,format=I420,width=64,height=48,framerate=25/1 ! \
         davidmatte device=cpu model={model} ! appsink name=out sync=false max-buffers=2"
    ));
    let sink = appsink(&pipeline);
    pipeline.set_state(gst::State::Playing).unwrap();
    assert_eq!(sink.pull_sample().unwrap().buffer().unwrap().pts(), Some(MS(0)));
    for second in [8, 1] {
        let start = MS(1000 * second);
        let stop = start + MS(400);
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        let set = gst::SeekType::Set;
        pipeline.seek(1.0, flags, set, start, set, stop).unwrap();
        let expected: Vec<_> = (0..10).map(|frame| start + MS(40 * frame)).collect();
        assert_eq!(times(&sink), expected, "10 frames of 40 ms from {start}");
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

/// What upstream can send for it as well.
#[test]
fn another_output_while_playing_is_negotiated_with_upstream() {
    let model = fixture("luma.onnx");
    let pipeline = pipeline(&format!(
        "videotestsrc ! video/x-raw,format=I420,width=64,height=48,framerate=100/1 ! videoconvert ! \
         davidmatte name=m device=cpu model={model} output=cutout ! video/x-raw,format=A420 ! \
         appsink name=out sync=false max-buffers=1"
    ));
    let sink = appsink(&pipeline);
    let element = pipeline.by_name("m").unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    for output in ["composite", "cutout", "composite"] {
        (0..5).for_each(|_| drop(sink.pull_sample().unwrap()));
        element.set_property_from_str("output", output);
    }
    for _ in 0..20 {
        let sample =
            sink.pull_sample().unwrap_or_else(|_| panic!("{:?}", pipeline.bus().unwrap().pop()));
        assert_eq!(sample.caps().unwrap().structure(0).unwrap().get::<&str>("format"), Ok("A420"));
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

// Buffers

#[test]
fn times_and_offsets_stay() {
    for (output, src, decontaminate) in [
        ("composite", "I420", "true"),
        ("composite", "BGRx", "true"),
        ("cutout", "RGBA", "true"),
        ("cutout", "A420", "true"),
        // Planes are passed on.
        ("cutout", "A420", "false"),
        ("alpha", "GRAY8", "true"),
        ("alpha", "I420", "true"),
    ] {
        for shared in [false, true] {
            let mut filter = Filter::luma(&[("output", output), ("decontaminate", decontaminate)]);
            filter.take_video_meta();
            let sink = video("I420", 32, 24);
            filter.negotiate(&sink, &format!("video/x-raw,format={src}"));
            for frame in 0..3 {
                let mut buffer = gray(&sink, 100);
                {
                    let buffer = buffer.make_mut();
                    buffer.set_pts(MS(1000 + 40 * frame));
                    buffer.set_dts(MS(990 + 40 * frame));
                    buffer.set_duration(MS(40));
                    buffer.set_offset(25 + frame);
                    buffer.set_offset_end(26 + frame);
                    buffer.set_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER);
                }
                let expected = facts(&buffer);
                // The element may write to the frame, or it may not.
                let kept = shared.then(|| buffer.clone());
                let out = filter.push(buffer);
                drop(kept);
                assert_eq!(facts(&out), expected, "{output} as {src}");
            }
        }
    }
}

type Facts =
    (Option<gst::ClockTime>, Option<gst::ClockTime>, Option<gst::ClockTime>, u64, u64, bool);

fn facts(buffer: &gst::BufferRef) -> Facts {
    let flags = gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER;
    let has_flags = buffer.flags().contains(flags);
    (buffer.pts(), buffer.dts(), buffer.duration(), buffer.offset(), buffer.offset_end(), has_flags)
}

/// Its colours are those of the frame, in the frame's own memory: only the alpha plane is new.
#[test]
fn a_cutout_of_i420_shares_the_colour_planes() {
    let sink = video("I420", 32, 24);
    let mut filter = Filter::luma(&[("output", "cutout"), ("decontaminate", "false")]);
    filter.take_video_meta();
    filter.negotiate(&sink, "video/x-raw,format=A420");
    let frame = picture(&sink, |c, x, y| (c * 50 + x * 3 + y) as u8);
    let address = |memory: &gst::MemoryRef| memory.map_readable().unwrap().as_ptr() as usize;
    let colours = address(frame.peek_memory(0));
    let held = frame.clone();
    let out = filter.push(frame);
    assert_eq!(filter.format(), "A420");
    assert_eq!(address(out.peek_memory(0)), colours, "the colour planes are not copied");
    let out = common::samples(&out, &filter.src_caps());
    assert!(out[..3] == common::samples(&held, &sink)[..], "and not written to");
    let alpha = &out[3];
    assert!(alpha.iter().max() > alpha.iter().min(), "alpha is the matte");
}

/// Planes that went downstream are not written again while somebody holds them.
#[test]
fn alpha_planes_in_use_are_left_alone() {
    let sink = video("I420", 32, 24);
    let mut filter = Filter::luma(&[("output", "cutout"), ("decontaminate", "false")]);
    filter.take_video_meta();
    filter.negotiate(&sink, "video/x-raw,format=A420");
    let levels: Vec<u8> = (0..20).map(|frame| 40 + 8 * frame).collect();
    let held: Vec<_> = levels
        .iter()
        .map(|&level| filter.push(picture(&sink, |c, _, _| if c == 0 { level } else { 128 })))
        .collect();
    for (buffer, level) in held.iter().zip(levels) {
        let alpha = &common::samples(buffer, &filter.src_caps())[3];
        let expected = (f64::from(level) - 16.0) / 219.0 * 255.0;
        assert!((f64::from(alpha[0]) - expected).abs() <= 1.5, "{} for {expected}", alpha[0]);
    }
}

// Properties

#[test]
fn defaults_are_as_documented() {
    init();
    let element = gst::ElementFactory::make("davidmatte").build().unwrap();
    let text = |name: &str| {
        let value = element.property_value(name);
        value.serialize().map(|text| text.to_string()).unwrap_or_default()
    };
    for (name, default) in [
        ("model", "builtin"),
        ("device", "auto"),
        ("device-id", "0"),
        ("threads", "0"),
        ("output", "composite"),
        ("background", "color"),
        ("background-color", "4278235456"), // 0xff00b140
        ("invert", "false"),
        ("threshold", "0"),
        ("edge-shift", "0"),
        ("feather", "0"),
        ("decontaminate", "true"),
        ("until-ready", "background"),
    ] {
        assert_eq!(text(name), default, "{name}");
    }
    assert_eq!(element.property::<f64>("blur-radius"), 0.03);
    assert_eq!(element.property::<Option<String>>("background-image"), None);
    assert_eq!(element.property::<Option<String>>("active-device"), None);
}

#[test]
fn ranges_are_as_documented() {
    init();
    let element = gst::ElementFactory::make("davidmatte").build().unwrap();
    for (name, minimum, maximum) in [
        ("blur-radius", 0.0, 0.2),
        ("threshold", 0.0, 1.0),
        ("edge-shift", -20.0, 20.0),
        ("feather", 0.0, 20.0),
    ] {
        let spec = element.find_property(name).unwrap();
        let range = spec.downcast_ref::<glib::ParamSpecDouble>().unwrap();
        assert_eq!((range.minimum(), range.maximum()), (minimum, maximum), "{name}");
    }
    for name in ["background-color", "blur-radius", "threshold", "edge-shift", "feather"] {
        let spec = element.find_property(name).unwrap();
        assert!(spec.flags().contains(gst::PARAM_FLAG_CONTROLLABLE), "{name}");
    }
    for name in ["output", "background", "background-color", "background-image", "invert"] {
        let spec = element.find_property(name).unwrap();
        assert!(spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING), "{name}");
    }
    for name in ["active-device", "stats"] {
        let spec = element.find_property(name).unwrap();
        assert!(!spec.flags().contains(glib::ParamFlags::WRITABLE), "{name}");
    }
    for (name, nicks) in [
        ("device", "auto cpu cuda tensorrt openvino migraphx coreml directml webgpu"),
        ("output", "composite cutout alpha key-fill"),
        ("background", "color blur image checkerboard"),
        ("until-ready", "background wait passthrough"),
    ] {
        let class = glib::EnumClass::with_type(element.find_property(name).unwrap().value_type());
        let class = class.unwrap();
        let found: Vec<_> = class.values().iter().map(|value| value.nick()).collect();
        assert_eq!(found.join(" "), nicks, "{name}");
    }
}

#[test]
fn the_output_changes_while_playing() {
    let mut filter = Filter::luma(&[]);
    let sink = video("I420", 32, 24);
    filter.harness.set_src_caps(sink.clone());
    for (output, formats) in [
        ("composite", &["I420"][..]),
        ("alpha", &["GRAY8"]),
        ("cutout", &["A420", "RGBA"]),
        ("composite", &["I420"]),
        ("key-fill", &["I420"]),
        ("cutout", &["A420", "RGBA"]),
        ("key-fill", &["I420"]),
        ("alpha", &["GRAY8"]),
    ] {
        filter.set("output", output);
        for _ in 0..2 {
            let out = filter.push(gray(&sink, 100));
            assert!(formats.contains(&filter.format().as_str()), "{output}: {}", filter.format());
            let height = if output == "key-fill" { 48 } else { 24 };
            assert_eq!(info(&filter.src_caps()).height(), height, "{output}");
            assert_eq!(out.size(), info(&filter.src_caps()).size());
        }
    }
    assert_eq!(filter.messages(), []);
}

#[test]
fn the_output_changes_where_the_caps_stay() {
    let sink = video("BGRx", 32, 24);
    let mut filter = Filter::luma(&[("background-color", "0xff0000ff")]);
    filter.negotiate(&sink, "video/x-raw,format=BGRx");
    let mut pixel = |output: &str| {
        filter.set("output", output);
        let out = filter.matte(gray(&sink, 102));
        [0, 1, 2].map(|component| out[component][0])
    };
    for _ in 0..2 {
        let composite = pixel("composite");
        assert!(composite[0].abs_diff(composite[2]) > 100, "over blue: {composite:?}");
        assert_eq!(pixel("alpha"), [102; 3]);
    }
}

/// Uniform gray of half opacity, so that one pixel tells it all.
#[test]
fn the_look_changes_while_playing() {
    let sink = video("RGB", 64, 64);
    let mut filter = Filter::luma(&[("background-color", "0xff0000ff")]);
    filter.negotiate(&sink, "video/x-raw,format=RGB");
    let pixel = |filter: &mut Filter, level: u8| {
        let out = filter.matte(gray(&sink, level));
        [out[0][0], out[1][0], out[2][0]].map(i32::from)
    };
    let near = |a: [i32; 3], b: [i32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1);
    let blue = [0, 0, 255];
    // 51 · 0.2, and 255 · 0.8 of blue.
    assert!(near(pixel(&mut filter, 51), [10, 10, 214]));
    filter.set("background-color", "0xffff0000");
    assert!(near(pixel(&mut filter, 51), [214, 10, 10]));
    filter.set("background-color", "0xff0000ff");

    filter.set("invert", "true");
    assert!(near(pixel(&mut filter, 51), [41, 41, 41 + 51]));
    filter.set("invert", "false");

    filter.set("threshold", "0.5");
    assert!(near(pixel(&mut filter, 51), blue), "0.2 is below");
    assert!(near(pixel(&mut filter, 204), [204; 3]), "0.8 is above");
    filter.set("threshold", "0");

    filter.set("background", "blur");
    assert!(near(pixel(&mut filter, 51), [51; 3]), "blurred gray over itself");
    filter.set("background", "checkerboard");
    let checked = filter.matte(gray(&sink, 0));
    assert!(checked[0].iter().max() > checked[0].iter().min(), "two shades");
    filter.set("background", "color");
    assert!(near(pixel(&mut filter, 0), blue));
}

/// White that fades to black, with the luma as matte: all that is white is the person's.
#[test]
fn decontaminating_takes_the_old_background_out() {
    let fade = |x: usize| 255 - (x.saturating_sub(192) * 2).min(255);
    for (output, src) in [("composite", "RGB"), ("cutout", "RGBA")] {
        let sink = video("RGB", 512, 64);
        let mut filter = Filter::luma(&[("output", output), ("background-color", "0xff000000")]);
        filter.negotiate(&sink, &format!("video/x-raw,format={src}"));
        let frame = || picture(&sink, |_, x, _| fade(x) as u8);
        for (decontaminate, light) in [("true", true), ("false", false), ("true", true)] {
            filter.set("decontaminate", decontaminate);
            let out = filter.matte(frame());
            for x in (200..300).step_by(10) {
                let got = i32::from(out[1][32 * 512 + x]);
                let code = fade(x) as i32;
                let shown =
                    |person: i32| if output == "cutout" { person } else { person * code / 255 };
                let [pure, mixed] = [255, code].map(shown);
                let case = format!("{output} {decontaminate} {x}: {got} of {mixed} to {pure}");
                if light {
                    assert!(got >= pure - (pure - mixed) / 2 - 4, "{case}");
                } else {
                    assert!(got.abs_diff(mixed) <= 2, "{case}");
                }
            }
            assert_eq!(out[1][32 * 512 + 40], 255, "what is opaque stays");
        }
    }
}

/// A control source that goes from one value to another over the first second.
fn ramp(element: &gst::Element, property: &str, from: f64, to: f64) {
    let source = gst_controller::InterpolationControlSource::new();
    source.set_mode(gst_controller::InterpolationMode::Linear);
    assert!(source.set(MS(0), from) && source.set(MS(1000), to));
    let binding = gst_controller::DirectControlBinding::new_absolute(element, property, &source);
    element.add_control_binding(&binding).unwrap();
}

#[test]
fn a_controller_drives_properties_frame_by_frame() {
    let sink = video("RGB", 32, 24);
    let mut filter = Filter::luma(&[("output", "composite")]);
    filter.negotiate(&sink, "video/x-raw,format=RGB");
    ramp(&filter.element, "threshold", 0.0, 1.0);
    // From opaque black to 255 of blue.
    filter.set("background-color", "0xff0000ff");
    let level = 102; // 0.4 of white
    let mut at = |ms: u64| {
        let mut frame = gray(&sink, level);
        frame.make_mut().set_pts(MS(ms));
        let out = filter.matte(frame);
        assert!(out.iter().all(|samples| samples.iter().all(|&s| s == samples[0])), "uniform");
        [out[0][0], out[1][0], out[2][0]]
    };
    // 0.4 · 102, and 0.6 · 255 of blue besides.
    assert_eq!(at(0), [41, 41, 194], "no threshold yet: the soft matte");
    assert_eq!(at(200), [102; 3], "0.4 is above 0.2: opaque");
    assert_eq!(at(360), [102; 3], "0.4 is above 0.36");
    assert_eq!(at(440), [0, 0, 255], "0.4 is below 0.44: clear");
    assert_eq!(at(1000), [0, 0, 255]);
    assert_eq!(at(40), [102; 3], "and back");
    assert_eq!(filter.element.property::<f64>("threshold"), 0.04);
}

/// Controlled by the time in the stream, which a segment may put elsewhere than the timestamps.
#[test]
fn a_controller_goes_by_stream_time() {
    let sink = video("RGB", 32, 24);
    let mut filter = Filter::luma(&[]);
    filter.negotiate(&sink, "video/x-raw,format=RGB");
    let source = gst_controller::InterpolationControlSource::new();
    source.set_mode(gst_controller::InterpolationMode::None);
    let color = |argb: u32| f64::from(argb);
    assert!(source.set(MS(0), color(0xff00_0000)) && source.set(MS(100), color(0xff00_ff00)));
    let element = &filter.element;
    let binding =
        gst_controller::DirectControlBinding::new_absolute(element, "background-color", &source);
    element.add_control_binding(&binding).unwrap();
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(MS(5000));
    segment.set_time(MS(0));
    assert!(filter.harness.push_event(gst::event::Segment::new(&segment)));
    for (pts, green) in [(5000, 0), (5080, 0), (5120, 255)] {
        let mut frame = gray(&sink, 0);
        frame.make_mut().set_pts(MS(pts));
        assert_eq!(filter.matte(frame)[1][0], green, "at {pts} ms");
    }
}

#[test]
fn stats_count_and_the_device_is_named() {
    let sink = video("RGB", 32, 24);
    let mut filter = Filter::luma(&[("threads", "1"), ("inference-interval", "1")]);
    filter.harness.set_src_caps(sink.clone());
    for frame in 0..5 {
        assert_eq!(filter.stat("frames"), frame);
        filter.push(gray(&sink, 100));
    }
    assert_eq!((filter.stat("frames"), filter.stat("inferences")), (5, 5));
    let stats = filter.element.property::<gst::Structure>("stats");
    for step in ["prepare", "infer", "smooth", "finish", "behind", "colors"] {
        let mean: f64 = stats.get(format!("{step}-mean-ms")).unwrap();
        let worst: f64 = stats.get(format!("{step}-worst-ms")).unwrap();
        assert!(0.0 < mean && mean <= worst, "{step}: mean {mean}, worst {worst}");
    }
    let mean = |step: &str| stats.get::<f64>(format!("{step}-mean-ms")).unwrap();
    assert!(mean("behind") + mean("colors") <= mean("finish"));
    let device: String = filter.element.property("active-device");
    assert!(device.starts_with("cpu"), "{device}");
    assert!(device.contains("1 thread"), "{device}");
}

/// With nothing to replace there is nothing to infer, and the frame leaves as it is.
#[test]
fn an_unblurred_background_is_the_frame() {
    let sink = video("I420", 32, 24);
    let mut filter = Filter::luma(&[("background", "blur"), ("blur-radius", "0")]);
    filter.negotiate(&sink, "video/x-raw,format=I420");
    let value = |c: usize, x: usize, y: usize| (c * 50 + x * 3 + y) as u8;
    let out = filter.matte(picture(&sink, value));
    assert!(out == common::samples(&picture(&sink, value), &sink));
    assert_eq!(filter.stat("inferences"), 0);
}

// Networks

fn orange_alpha(model: &str, width: usize, height: usize) -> Vec<u8> {
    let sink = video("RGB", width, height);
    alpha_of(model, &sink, orange(&sink))
}

fn assert_uniform(matte: &[u8], expected: f64, what: &str) {
    for &value in matte {
        // Half a level of rounding, and float32's error in the network.
        assert!((f64::from(value) - expected).abs() <= 0.51, "{what}: {value}, not {expected:.2}");
    }
}

#[test]
fn networks_that_need_no_description() {
    for model in ["luma.onnx", "dynamic.onnx", "multitask.onnx", "small_output.onnx"] {
        assert_uniform(&orange_alpha(&fixture(model), 90, 40), ORANGE_LUMA, model);
    }
}

#[test]
fn open_dimensions_can_be_described() {
    let (_folder, model) =
        described("dynamic.onnx", "[input]\nsize = [96, 64]\nfit = \"stretch\"\n");
    assert_uniform(&orange_alpha(&model, 90, 40), ORANGE_LUMA, "dynamic at 96x64");
}

/// The matte of both networks with logits: 1 / (1 + e^(4 − 8 luma)).
fn logistic(luma: f64) -> f64 {
    255.0 / (1.0 + (4.0 - 8.0 * luma / 255.0).exp())
}

const TWO_CHANNELS: &str = "[output]\nchannel = 1\nactivation = \"softmax\"\n";
const NHWC: &str = "[input]\nlayout = \"nhwc\"\nchannels = \"rgb\"\nfit = \"FIT\"\n\n\
                    [output]\nactivation = \"sigmoid\"\n";

#[test]
fn logits_become_mattes() {
    let (_folder, model) = described("two_channel_logits.onnx", TWO_CHANNELS);
    assert_uniform(&orange_alpha(&model, 40, 90), logistic(ORANGE_LUMA), "softmax");
    for fit in ["stretch", "letterbox", "pad-square"] {
        let (_folder, model) = described("nhwc_logits.onnx", &NHWC.replace("FIT", fit));
        assert_uniform(&inner(&orange_alpha(&model, 100, 60), 100), logistic(ORANGE_LUMA), fit);
    }
}

/// All but the border, to which a letterbox's black may bleed in where the aspects differ.
fn inner(matte: &[u8], width: usize) -> Vec<u8> {
    let rows: Vec<_> = matte.chunks_exact(width).collect();
    rows[4..rows.len() - 4].iter().flat_map(|row| row[4..width - 4].iter().copied()).collect()
}

/// The wrong channel order is another matte: the one that a sidecar for BGR gives.
#[test]
fn a_description_is_obeyed() {
    let bgr = NHWC.replace("FIT", "stretch").replace("\"rgb\"", "\"bgr\"");
    let (_folder, model) = described("nhwc_logits.onnx", &bgr);
    let swapped = 0.299 * 40.0 + 0.587 * 90.0 + 0.114 * 200.0;
    assert_uniform(&orange_alpha(&model, 32, 32), logistic(swapped), "bgr");

    let (_folder, model) = described(
        "luma.onnx",
        "[input]\nscale = 0.002\nmean = [0.1, 0.1, 0.1]\nstd = [0.5, 0.5, 0.5]\n",
    );
    let normalised = (ORANGE_LUMA * 0.002 - 0.1) / 0.5 * 255.0;
    assert_uniform(&orange_alpha(&model, 32, 32), normalised, "scale, mean and std");

    let (_folder, model) = described("multitask.onnx", "[output]\nname = \"depth\"\n");
    assert_uniform(&orange_alpha(&model, 32, 32), 40.0, "the output that is named: blue");
    let (_folder, model) = described("multitask.onnx", "[output]\nindex = 1\nchannel = 2\n");
    assert_uniform(&orange_alpha(&model, 32, 32), 200.0, "the channel that is numbered: red");
}

/// Whatever is done to fit a frame to a network is undone: a frame's lit part stays its own.
#[test]
fn mattes_lie_on_their_frames() {
    let networks = [
        ("luma.onnx", String::new()),
        ("small_output.onnx", String::new()),
        ("two_channel_logits.onnx", TWO_CHANNELS.into()),
        ("nhwc_logits.onnx", NHWC.replace("FIT", "stretch")),
        ("nhwc_logits.onnx", NHWC.replace("FIT", "letterbox")),
        ("nhwc_logits.onnx", NHWC.replace("FIT", "pad-square")),
    ];
    for (name, sidecar) in networks {
        let (_folder, model) = described(name, &sidecar);
        for (width, height) in [(240, 100), (100, 240), (160, 160)] {
            let sink = video("RGB", width, height);
            // Lit from the left and from above, up to a quarter of each axis.
            let lit = |x: usize, y: usize| x < width / 4 || y < height / 4;
            let frame = picture(&sink, |_, x, y| if lit(x, y) { 255 } else { 0 });
            let matte = alpha_of(&model, &sink, frame);
            for y in 0..height {
                for x in 0..width {
                    // The coarsest network has 64 samples for 240 pixels: an edge is 8 wide.
                    let at_edge = x.abs_diff(width / 4) < 8 || y.abs_diff(height / 4) < 8;
                    let at_border = x < 8 || y < 8 || x + 8 >= width || y + 8 >= height;
                    let is_lit = matte[y * width + x] > 127;
                    let case = format!("{name} {sidecar:?} {width}x{height} at {x}, {y}");
                    assert!(at_edge || at_border || is_lit == lit(x, y), "{case}");
                }
            }
        }
    }
}

// States

#[test]
fn ready_and_playing_1000_times() {
    let (_folder, model) = described("dynamic.onnx", "[input]\nsize = [64, 64]\n");
    let pipeline = pipeline(&format!(
        "videotestsrc ! video/x-raw,format=I420,width=64,height=48 ! \
         davidmatte name=m device=cpu threads=1 model={model} ! fakesink sync=false"
    ));
    let mut warm = None;
    for cycle in 0..1000 {
        pipeline.set_state(gst::State::Playing).unwrap();
        let (changed, state, _) = pipeline.state(gst::ClockTime::from_seconds(20));
        changed.unwrap();
        assert_eq!(state, gst::State::Playing);
        pipeline.set_state(gst::State::Ready).unwrap();
        let device = pipeline.by_name("m").unwrap().property::<Option<String>>("active-device");
        assert_eq!(device, None, "nothing is loaded in READY");
        if cycle == 100 {
            warm = resident();
        }
    }
    // Half a megabyte for each session, so that 900 of them leaked are more than 450 MB; the other
    // tests of this process come and go with a few dozen.
    if let (Some(warm), Some(now)) = (warm, resident()) {
        assert!(now < warm + (200 << 20), "{} MB more than before", (now - warm) >> 20);
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_pipeline_runs_again_with_other_settings() {
    let pipeline = pipeline(
        "videotestsrc num-buffers=2 ! video/x-raw,format=I420,width=64,height=48 ! \
         davidmatte name=m device=cpu ! fakesink",
    );
    let element = pipeline.by_name("m").unwrap();
    for model in ["luma.onnx", "keyer.onnx", "position.onnx"] {
        element.set_property("model", fixture(model));
        for output in ["composite", "cutout", "alpha"] {
            element.set_property_from_str("output", output);
            assert_eq!(run(&pipeline).map_err(|error| error.to_string()), Ok(()));
        }
    }
}

/// Programs put an empty text where nothing was chosen.
#[test]
fn a_model_without_a_name_is_the_default_one() {
    let filter = Filter::luma(&[("model", "")]);
    assert_eq!(filter.element.property::<String>("model"), "builtin");
}
