//! What is set, or found out, while a pipeline plays.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{Filter, ends, fixture, picture, pipeline, video};
use gst::prelude::*;

const SECONDS: fn(u64) -> gst::ClockTime = gst::ClockTime::from_seconds;

const CAMERA: &str =
    "videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=48,framerate=60/1";

/// A pipeline that plays, with an element called `m` that runs a tiny network.
fn playing(source: &str, properties: &str, sink: &str) -> (gst::Pipeline, gst::Element) {
    let model = fixture("luma.onnx");
    let pipeline = pipeline(&format!(
        "{source} ! davidmatte name=m device=cpu model={model} {properties} ! {sink}"
    ));
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline.state(SECONDS(20)).0.unwrap();
    let element = pipeline.by_name("m").unwrap();
    until("frames come", || frames(&element) > 3);
    (pipeline, element)
}

/// One for which a network was asked that hangs in its first run.
fn loading_one_that_hangs() -> (gst::Pipeline, gst::Element) {
    let (pipeline, element) = playing(CAMERA, "", "fakesink");
    element.set_property("model", fixture("hanging.onnx"));
    std::thread::sleep(Duration::from_millis(300));
    (pipeline, element)
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn frames(element: &gst::Element) -> u64 {
    element.property::<gst::Structure>("stats").get("frames").unwrap()
}

fn height(element: &gst::Element) -> i32 {
    let caps = element.static_pad("src").unwrap().current_caps().unwrap();
    caps.structure(0).unwrap().get("height").unwrap()
}

#[test]
fn an_output_that_nobody_takes_is_refused() {
    ends(|| {
        let (pipeline, element) = playing(CAMERA, "", "video/x-raw,format=I420 ! fakesink");
        let bus = pipeline.bus().unwrap();
        element.set_property_from_str("output", "cutout");
        let trouble = [gst::MessageType::Warning, gst::MessageType::Error];
        let message = bus.timed_pop_filtered(SECONDS(20), &trouble).unwrap();
        let gst::MessageView::Warning(warning) = message.view() else { panic!("{message:?}") };
        let text = warning.error().to_string();
        for word in ["composite", "cutout", "videoconvert"] {
            assert!(text.contains(word), "{text}");
        }
        let before = frames(&element);
        until("frames go on", || frames(&element) > before + 10);
        let value = element.property_value("output");
        let (_, value) = gst::glib::EnumValue::from_value(&value).unwrap();
        assert_eq!(value.nick(), "composite");
        // Frames that are twice as high are taken.
        element.set_property_from_str("output", "key-fill");
        until("other caps", || height(&element) == 96);
        let before = frames(&element);
        until("frames go on", || frames(&element) > before + 10);
        let message = bus.pop_filtered(&trouble);
        assert!(message.is_none(), "{message:?}");
        pipeline.set_state(gst::State::Null).unwrap();
    });
}

/// What is in a queue still has the format of before.
#[test]
fn an_output_waits_for_what_upstream_sends_for_it() {
    ends(|| {
        let source = "videotestsrc ! video/x-raw,width=64,height=48,framerate=60/1 ! queue";
        let sink = "videoconvert ! fakesink sync=true";
        let (pipeline, element) = playing(source, "output=cutout", sink);
        let caps = element.static_pad("sink").unwrap().current_caps().unwrap();
        // If this is another one some day, the test needs another source.
        assert_eq!(caps.structure(0).unwrap().get::<&str>("format").unwrap(), "ARGB64");
        element.set_property_from_str("output", "key-fill");
        until("other caps", || height(&element) == 96);
        let before = frames(&element);
        until("frames go on", || frames(&element) > before + 10);
        let error = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]);
        assert!(error.is_none(), "{error:?}");
        pipeline.set_state(gst::State::Null).unwrap();
    });
}

#[test]
fn a_picture_that_was_replaced_is_not_shown_again() {
    ends(|| {
        let folder = tempfile::tempdir().unwrap();
        let picture_of = |name: &str, color: [u8; 3]| {
            let path = folder.path().join(name);
            image::RgbImage::from_pixel(8, 8, image::Rgb(color)).save(&path).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (red, blue) = (picture_of("red.png", [255, 0, 0]), picture_of("blue.png", [0, 0, 255]));
        let mut filter = Filter::luma(&[("background", "image"), ("background-image", &red)]);
        let caps = video("RGB", 16, 16);
        filter.negotiate(&caps, "video/x-raw,format=RGB");
        // Where the frame is black there is only background.
        let shown = |filter: &mut Filter| {
            let out = filter.matte(picture(&caps, |_, _, _| 0));
            [0, 1, 2].map(|component| out[component][0])
        };
        assert_eq!(shown(&mut filter), [255, 0, 0]);
        filter.set("background", "color");
        let green = shown(&mut filter);
        assert_ne!(green, [255, 0, 0]);
        filter.set("background-image", &blue);
        filter.set("background", "image");
        until("the other picture", || match shown(&mut filter) {
            [0, 0, 255] => true,
            other => {
                assert_eq!(other, green, "what was there stays");
                false
            }
        });
        assert_eq!(filter.messages(), []);
    });
}

/// A selector has no source yet when caps are negotiated.
#[test]
fn behind_a_selector_of_cameras_a_stream_is_live() {
    ends(|| {
        let camera =
            "videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=48,framerate=25/1";
        let told = |source: &str, rest: &str| {
            let (pipeline, element) = playing(source, "", &format!("fakesink {rest}"));
            let own = || {
                let (src, sink) =
                    (element.static_pad("src").unwrap(), element.static_pad("sink").unwrap());
                let [mut all, mut before] =
                    [gst::query::Latency::new(), gst::query::Latency::new()];
                assert!(src.query(&mut all) && sink.peer_query(&mut before));
                (all.result().0, all.result().1 - before.result().1)
            };
            let before = frames(&element);
            until("frames go on", || frames(&element) > before + 5);
            let own = own();
            pipeline.set_state(gst::State::Null).unwrap();
            own
        };
        let direct = told(camera, "");
        assert!(direct.0, "the source is live");
        let selected = told("input-selector name=s", &format!("{camera} ! s. {camera} ! s."));
        assert_eq!(selected, direct);
    });
}

#[test]
fn a_pipeline_ends_while_another_network_hangs() {
    ends(|| {
        let (pipeline, _) = loading_one_that_hangs();
        pipeline.set_state(gst::State::Null).unwrap();
    });
}

#[test]
fn another_model_is_loaded_instead_of_one_that_hangs() {
    ends(|| {
        let (pipeline, element) = loading_one_that_hangs();
        element.set_property("model", fixture("keyer.onnx"));
        let active = || element.property::<Option<String>>("active-model");
        until("the other model", || active() == Some(fixture("keyer.onnx")));
        let trouble = [gst::MessageType::Error, gst::MessageType::Warning];
        let message = pipeline.bus().unwrap().pop_filtered(&trouble);
        assert!(message.is_none(), "{message:?}");
        pipeline.set_state(gst::State::Null).unwrap();
    });
}

/// What a file says of its pixels may be anything, and takes no memory.
#[test]
fn pixels_of_any_shape_are_matted() {
    for aspect in ["1/20000000", "2147483647/1", "65535/1", "1/16"] {
        let source = format!(
            "videotestsrc num-buffers=2 ! video/x-raw,format=I420,width=64,height=48,pixel-aspect-ratio={aspect}"
        );
        let ended = ends(move || {
            let pipeline = pipeline(&format!("{source} ! davidmatte device=cpu ! fakesink"));
            common::run(&pipeline)
        });
        assert!(ended.is_ok(), "{aspect}: {ended:?}");
    }
}
