//! The example `virtual_camera` while its camera is unplugged and plugged in again. A source that fails as
//! Linux's does stands in its place.
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
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use pipeline::{Format, Pipeline};
use sink::Sink;
use source::Source;

/// Longer than anything here takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Frames that the camera gives before it is unplugged, and how often it cannot be opened afterwards.
const FRAMES: u32 = 5;
const REFUSALS: u32 = 2;

static REFUSED: AtomicU32 = AtomicU32::new(REFUSALS);

mod imp {
    use std::sync::LazyLock;

    use gst::subclass::prelude::*;
    use gst_base::prelude::BaseSrcExt as _;
    use gst_base::subclass::base_src::CreateSuccess;
    use gst_base::subclass::prelude::*;

    use super::*;

    #[derive(Default)]
    pub struct Camera(AtomicU32);

    #[glib::object_subclass]
    impl ObjectSubclass for Camera {
        const NAME: &'static str = "UnpluggedSrc";
        type Type = super::Camera;
        type ParentType = gst_base::PushSrc;
    }

    impl ObjectImpl for Camera {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> =
                LazyLock::new(|| vec![glib::ParamSpecString::builder("device").build()]);
            &PROPERTIES
        }

        fn set_property(&self, _: usize, _: &glib::Value, _: &glib::ParamSpec) {}

        fn constructed(&self) {
            self.parent_constructed();
            self.obj().set_live(true);
            self.obj().set_format(gst::Format::Time);
            self.obj().set_do_timestamp(true);
        }
    }

    impl GstObjectImpl for Camera {}

    impl ElementImpl for Camera {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new("Camera", "Source", "Goes away", "This test")
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let caps = "video/x-raw,format=GRAY8,width=64,height=48,framerate=30/1";
                let caps = caps.parse::<gst::Caps>().unwrap();
                let (always, source) = (gst::PadPresence::Always, gst::PadDirection::Src);
                vec![gst::PadTemplate::new("src", source, always, &caps).unwrap()]
            });
            &TEMPLATES
        }

        fn change_state(
            &self,
            change: gst::StateChange,
        ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            // As `v4l2src` opens its device.
            let is_opened = change == gst::StateChange::NullToReady;
            if is_opened && self.0.load(Ordering::SeqCst) > FRAMES {
                let left = REFUSED.load(Ordering::SeqCst);
                if left > 0 {
                    REFUSED.store(left - 1, Ordering::SeqCst);
                    gst::element_imp_error!(self, gst::ResourceError::NotFound, ("no such device"));
                    return Err(gst::StateChangeError);
                }
            }
            self.parent_change_state(change)
        }
    }

    impl BaseSrcImpl for Camera {}

    impl PushSrcImpl for Camera {
        fn create(&self, _: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            if number == FRAMES {
                gst::element_imp_error!(self, gst::ResourceError::Read, ("device was lost"));
                return Err(gst::FlowError::Error);
            }
            std::thread::sleep(Duration::from_millis(20));
            Ok(CreateSuccess::NewBuffer(gst::Buffer::from_slice([100u8; 64 * 48])))
        }
    }
}

glib::wrapper! {
    pub struct Camera(ObjectSubclass<imp::Camera>)
        @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

#[test]
fn a_camera_that_was_unplugged_is_waited_for() {
    common::init();
    gst::Element::register(None, "v4l2src", gst::Rank::NONE, Camera::static_type()).unwrap();
    let (source, stop) = (Source::Device("/dev/video7".into()), AtomicBool::new(false));
    let format = Format { size: Some((64, 48)), rate: Some(30) };
    let camera = Pipeline::new(&source, &Sink::None, format, false, None).unwrap();
    camera.matte.set_property_from_str("device", "cpu");
    camera.start(&stop).unwrap();

    let bus = camera.pipeline.bus().unwrap();
    let within = gst::ClockTime::from_seconds(TIMEOUT.as_secs());
    let message = bus.timed_pop_filtered(within, &[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    assert!(camera.has_lost_camera(error), "{error:?}");
    assert!(pipeline::explain(error).to_string().contains("device was lost"));

    let sent = camera.sent();
    assert!(sent > 0);
    let mut tries = 1;
    while camera.start_with_camera(&stop).is_err() {
        tries += 1;
    }
    assert!((2..=1 + REFUSALS).contains(&tries), "{tries}");
    let begun = Instant::now();
    while camera.sent() < sent + 10 {
        assert!(begun.elapsed() < TIMEOUT, "{} frames came", camera.sent());
        std::thread::sleep(Duration::from_millis(10));
    }
    // What fails elsewhere is no camera's doing.
    gst::element_error!(camera.matte, gst::StreamError::Failed, ("made up"));
    let message = bus.timed_pop_filtered(within, &[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    assert!(!camera.has_lost_camera(error));
}
