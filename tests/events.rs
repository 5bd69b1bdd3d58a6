//! What comes between frames, with the element's defaults and frames in flight: events, queries, quality of
//! service, buffers that are wanted back, and settings that come faster than they can be followed.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Filter, defaults, ends, fixture, picture, video};
use gst::prelude::*;

const MS: fn(u64) -> gst::ClockTime = gst::ClockTime::from_mseconds;
const WIDTH: usize = 64;
const HEIGHT: usize = 48;

fn gray8() -> gst::Caps {
    video("GRAY8", WIDTH, HEIGHT)
}

/// A frame that moves a little, so that a matte can be carried to it.
fn frame(caps: &gst::Caps, index: u64) -> gst::Buffer {
    let at = index as usize;
    let mut frame = picture(caps, |_, x, y| if (x + at) % 16 < 8 { 90 } else { 120 + y as u8 });
    let buffer = frame.make_mut();
    buffer.set_pts(MS(40 * index));
    buffer.set_duration(MS(40));
    frame
}

fn filter(properties: &[(&str, &str)]) -> Filter {
    let mut filter = defaults(&[&[("output", "alpha")], properties].concat());
    filter.negotiate(&gray8(), "video/x-raw,format=GRAY8");
    filter
}

/// What leaves the source pad from now on, in its order: times of frames in milliseconds, names of events.
fn leaving(filter: &Filter) -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let pad = filter.element.static_pad("src").unwrap();
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    let list = seen.clone();
    pad.add_probe(kinds, move |_, info| {
        let name = match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => buffer.pts().unwrap().mseconds().to_string(),
            Some(gst::PadProbeData::Event(event)) => format!("{:?}", event.type_()),
            _ => return gst::PadProbeReturn::Ok,
        };
        list.lock().unwrap().push(name);
        gst::PadProbeReturn::Ok
    });
    seen
}

#[test]
fn what_comes_after_frames_leaves_after_them() {
    ends(|| {
        let mut filter = filter(&[("frames-in-flight", "4")]);
        filter.harness.push(frame(&gray8(), 0)).unwrap();
        let seen = leaving(&filter);
        let tags = {
            let mut tags = gst::TagList::new();
            tags.make_mut().add::<gst::tags::Title>(&"A film", gst::TagMergeMode::Append);
            gst::event::Tag::new(tags)
        };
        let other = gst::event::CustomDownstream::new(gst::Structure::new_empty("subtitle"));
        for (index, event) in (1..).zip([tags, gst::event::Gap::builder(MS(80)).build(), other]) {
            filter.harness.push(frame(&gray8(), 2 * index)).unwrap();
            filter.harness.push(frame(&gray8(), 2 * index + 1)).unwrap();
            assert!(filter.harness.push_event(event));
        }
        let seen = seen.lock().unwrap();
        let expected =
            ["0", "80", "120", "Tag", "160", "200", "Gap", "240", "280", "CustomDownstream"];
        assert_eq!(*seen, expected);
    });
}

#[test]
fn draining_lets_every_frame_leave() {
    ends(|| {
        let mut filter = filter(&[("frames-in-flight", "4")]);
        for index in 0..3 {
            filter.harness.push(frame(&gray8(), index)).unwrap();
        }
        assert_eq!(filter.harness.buffers_in_queue(), 0);
        let pad = filter.element.static_pad("sink").unwrap();
        assert!(pad.query(&mut gst::query::Drain::new()));
        assert_eq!(filter.harness.buffers_in_queue(), 3);
    });
}

/// Pushes frames after a sink said of the first that it came late by a second.
fn late_frames(qos: &str, kind: gst::QOSType) -> (u64, u64, usize) {
    let mut filter = filter(&[("qos", qos), ("frames-in-flight", "1")]);
    filter.harness.push(frame(&gray8(), 0)).unwrap();
    let late = gst::ClockTime::from_seconds(1).nseconds() as i64 / 2;
    let event = gst::event::Qos::builder(kind, 2.0, late).timestamp(MS(0)).build();
    let pad = filter.element.static_pad("src").unwrap();
    pad.send_event(event);
    for index in 1..40 {
        filter.harness.push(frame(&gray8(), index)).unwrap();
    }
    let count = filter.harness.buffers_in_queue() as usize;
    (filter.stat("late-frames"), filter.stat("inferences"), count)
}

#[test]
fn late_frames_are_not_inferred_where_quality_of_service_is_asked_for() {
    ends(|| {
        // All leave. Those of the first second, 25, are late.
        let (late, inferences, count) = late_frames("true", gst::QOSType::Underflow);
        assert_eq!((late, count), (24, 40));
        assert!((16..=20).contains(&inferences), "{inferences}");
        assert_eq!(late_frames("false", gst::QOSType::Underflow).0, 0);
        assert_eq!(late_frames("true", gst::QOSType::Throttle).0, 0);
    });
}

/// A buffer whose planes went downstream comes back to its pool when they do, with its memory.
#[test]
fn upstreams_pool_gets_its_buffers_back() {
    ends(|| {
        let caps = video("I420", WIDTH, HEIGHT);
        let mut filter = defaults(&[("output", "cutout"), ("decontaminate", "false")]);
        filter.take_video_meta();
        filter.negotiate(&caps, "video/x-raw,format=A420");
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&caps), common::info(&caps).size() as u32, 4, 6);
        pool.set_config(config).unwrap();
        pool.set_active(true).unwrap();
        // Held, so that no memory that is freed and allocated anew passes for one that came back.
        let mut memories: Vec<gst::Memory> = Vec::new();
        for index in 0..50 {
            let mut buffer = pool.acquire_buffer(None).unwrap();
            let memory = buffer.memory(0).unwrap();
            if memories.iter().all(|known| known.as_ptr() != memory.as_ptr()) {
                memories.push(memory);
            }
            buffer.get_mut().unwrap().map_writable().unwrap().fill(100);
            buffer.get_mut().unwrap().set_pts(MS(40 * index));
            filter.harness.push(buffer).unwrap();
            drop(filter.harness.try_pull());
        }
        assert!(memories.len() <= 6, "{} memories for 6 buffers", memories.len());
    });
}

#[cfg(target_os = "linux")]
fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("comm")));
    names.filter(|comm| comm.as_ref().is_ok_and(|comm| comm.trim_end() == name)).count()
}

/// A model that is set and taken back before it is loaded never is at work.
#[test]
fn a_model_that_is_taken_back_is_not_used() {
    ends(|| {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other.onnx");
        std::fs::copy(fixture("luma.onnx"), &other).unwrap();
        let mut filter = filter(&[]);
        filter.harness.push(frame(&gray8(), 0)).unwrap();
        let active =
            |filter: &Filter| filter.element.property::<Option<String>>("active-model").unwrap();
        let first = active(&filter);
        for (index, broken) in (1..).zip([false, true]) {
            let other = if broken { "/nowhere.onnx" } else { other.to_str().unwrap() };
            filter.set("model", other);
            filter.set("model", &first);
            for turn in 0..60 {
                std::thread::sleep(std::time::Duration::from_millis(5));
                filter.harness.push(frame(&gray8(), 100 * index + turn)).unwrap();
                assert_eq!(active(&filter), first);
            }
        }
        assert_eq!(filter.messages(), []);
    });
}

/// A model that is set while another one is loaded is not lost, and however many are set, one is loaded at
/// a time and the last one is used.
#[test]
fn of_many_models_the_last_one_is_used() {
    ends(|| {
        let folder = tempfile::tempdir().unwrap();
        let copies: Vec<_> = (0..40)
            .map(|index| {
                let copy = folder.path().join(format!("net{index}.onnx"));
                std::fs::copy(fixture("luma.onnx"), &copy).unwrap();
                copy.to_str().unwrap().to_owned()
            })
            .collect();
        let mut filter = filter(&[]);
        filter.harness.push(frame(&gray8(), 0)).unwrap();
        for (index, copy) in copies.iter().enumerate() {
            filter.set("model", copy);
            // One of this element, and one each of those of the tests beside this one.
            #[cfg(target_os = "linux")]
            assert!(threads_named("davidmatte-load") < 10);
            if index % 10 == 9 {
                filter.harness.push(frame(&gray8(), 1 + index as u64)).unwrap();
            }
        }
        let last = copies.last().unwrap();
        for index in 100.. {
            filter.harness.push(frame(&gray8(), index)).unwrap();
            if filter.element.property::<String>("active-model") == *last {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(filter.messages().is_empty());
    });
}

#[test]
fn a_background_without_its_picture_is_told() {
    ends(|| {
        let mut filter = defaults(&[]);
        filter.negotiate(&gray8(), "video/x-raw,format=GRAY8");
        filter.harness.push(frame(&gray8(), 0)).unwrap();
        filter.set("background", "image");
        filter.harness.push(frame(&gray8(), 1)).unwrap();
        let messages = filter.messages();
        let [(gst::MessageType::Warning, warning)] = &messages[..] else { panic!("{messages:?}") };
        assert!(warning.to_string().contains("background-image"), "{warning}");
    });
}
