//! The example `virtual_camera` in PipeWire: what it offers, and that it outlives those who cannot
//! take it. A sink that fails as PipeWire's does stands in its place.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, missing_docs)]

mod common;
#[path = "../examples/virtual_camera/error.rs"]
mod error;
#[path = "../examples/virtual_camera/loopback.rs"]
mod loopback;
#[path = "../examples/virtual_camera/pipeline.rs"]
mod pipeline;
#[path = "../examples/virtual_camera/pipewire.rs"]
mod pipewire;
#[path = "../examples/virtual_camera/sink.rs"]
mod sink;
#[path = "../examples/virtual_camera/source.rs"]
mod source;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use pipeline::{Format, Pipeline};
use sink::Sink;
use source::Source;

/// Longer than anything here takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How often sinks still fail, and at which of their frames.
static FAILURES: AtomicU32 = AtomicU32::new(0);
static FAILS_AT: AtomicU32 = AtomicU32::new(0);
/// The formats that came to sinks.
static FORMATS: Mutex<Vec<String>> = Mutex::new(Vec::new());

mod imp {
    use std::sync::LazyLock;

    use gst::subclass::prelude::*;
    use gst_base::subclass::prelude::*;

    use super::*;

    #[derive(Default)]
    pub struct Fragile(AtomicU32);

    #[glib::object_subclass]
    impl ObjectSubclass for Fragile {
        const NAME: &'static str = "FragileSink";
        type Type = super::Fragile;
        type ParentType = gst_base::BaseSink;
    }

    impl ObjectImpl for Fragile {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
                vec![
                    glib::ParamSpecBoxed::builder::<gst::Structure>("stream-properties").build(),
                    glib::ParamSpecString::builder("mode").build(),
                ]
            });
            &PROPERTIES
        }

        fn set_property(&self, _: usize, _: &glib::Value, _: &glib::ParamSpec) {}
    }

    impl GstObjectImpl for Fragile {}

    impl ElementImpl for Fragile {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new("Fragile", "Sink", "Fails", "This test")
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let (always, any) = (gst::PadPresence::Always, gst::Caps::new_any());
                let sink = gst::PadDirection::Sink;
                vec![gst::PadTemplate::new("sink", sink, always, &any).unwrap()]
            });
            &TEMPLATES
        }
    }

    impl BaseSinkImpl for Fragile {
        fn start(&self) -> Result<(), gst::ErrorMessage> {
            self.0.store(0, Ordering::SeqCst);
            Ok(())
        }

        fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
            let format = caps.structure(0).unwrap().get("format").unwrap();
            FORMATS.lock().unwrap_or_else(PoisonError::into_inner).push(format);
            Ok(())
        }

        fn render(&self, _: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let fails = self.0.fetch_add(1, Ordering::SeqCst) == FAILS_AT.load(Ordering::SeqCst)
                && FAILURES.load(Ordering::SeqCst) > 0;
            if fails {
                FAILURES.fetch_sub(1, Ordering::SeqCst);
                let text = "stream error: no more input formats";
                gst::element_imp_error!(self, gst::ResourceError::Failed, ("{text}"));
                return Err(gst::FlowError::Error);
            }
            Ok(gst::FlowSuccess::Ok)
        }
    }
}

glib::wrapper! {
    pub struct Fragile(ObjectSubclass<imp::Fragile>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

/// A camera that offers cut-outs, and its next error.
fn camera() -> Pipeline {
    common::init();
    gst::Element::register(None, "pipewiresink", gst::Rank::NONE, Fragile::static_type()).unwrap();
    let format = Format { size: Some((64, 48)), rate: Some(30) };
    let camera = Pipeline::new(&Source::Test, &Sink::PipeWire, format, true, None).unwrap();
    camera.matte.set_property_from_str("device", "cpu");
    camera.matte.set_property_from_str("output", "cutout");
    camera
}

/// Waits for an error, or until so many frames were sent.
fn error(camera: &Pipeline, frames: u64) -> Option<gst::Message> {
    let (bus, begun) = (camera.pipeline.bus().unwrap(), Instant::now());
    while camera.sent() < frames {
        assert!(begun.elapsed() < TIMEOUT, "{} of {frames} frames came", camera.sent());
        let within = gst::ClockTime::from_mseconds(20);
        if let Some(message) = bus.timed_pop_filtered(within, &[gst::MessageType::Error]) {
            return Some(message);
        }
    }
    None
}

fn outlives(camera: &mut Pipeline, message: &gst::Message) -> bool {
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    assert!(error.error().message().contains("no more input formats"), "{error:?}");
    camera.outlives(error)
}

/// One test, as there is one sink for all.
#[test]
fn a_camera_outlives_who_cannot_take_it() {
    let stop = AtomicBool::new(false);
    let mut camera = camera();
    FAILS_AT.store(3, Ordering::SeqCst);
    FAILURES.store(12, Ordering::SeqCst);
    camera.start(&stop).unwrap();
    let mut failures = 0;
    while let Some(message) = error(&camera, 12 * 4 + 20) {
        failures += 1;
        assert!(outlives(&mut camera, &message), "after {failures}");
        camera.start_anew(&stop).unwrap();
    }
    assert_eq!(failures, 12);
    let formats = FORMATS.lock().unwrap().clone();
    assert!(formats.iter().all(|format| format == "RGBA"), "{formats:?}");

    // A sink that takes nothing at all is given up.
    FAILS_AT.store(0, Ordering::SeqCst);
    FAILURES.store(u32::MAX, Ordering::SeqCst);
    camera.start_anew(&stop).unwrap();
    let mut outlived = 0;
    loop {
        let message = error(&camera, u64::MAX).unwrap();
        if !outlives(&mut camera, &message) {
            break;
        }
        outlived += 1;
        assert!(outlived < 100);
        // It may fail at once.
        let _ = camera.start_anew(&stop);
    }
    assert!((5..=12).contains(&outlived), "{outlived}");
}
