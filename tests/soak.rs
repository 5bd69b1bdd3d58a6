//! Long runs, for `make soak`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;
#[path = "common/skip.rs"]
mod skip;

use common::{described, pipeline, resident};
use gst::prelude::*;

const FRAMES: u64 = 20_000;
/// What a process may grow by without a leak, in bytes: less than a byte for each ten of a frame.
const GROWTH: u64 = 16 << 20;

#[test]
#[ignore = "takes minutes: run `make soak`"]
fn memory_stays_flat_in_every_pacing() {
    let (_folder, model) = described("dynamic.onnx", "[input]\nsize = [64, 64]\n");
    for pacing in [
        "pacing=exact frames-in-flight=1",
        "pacing=exact frames-in-flight=4",
        "pacing=exact inference-interval=3",
        "pacing=latest",
        "pacing=auto background=blur feather=4 edge-shift=2",
    ] {
        let pipeline = pipeline(&format!(
            "videotestsrc num-buffers={FRAMES} pattern=ball ! \
             video/x-raw,format=I420,width=320,height=240,framerate=30/1 ! \
             davidmatte name=m device=cpu model={model} {pacing} ! fakesink sync=false"
        ));
        let element = pipeline.by_name("m").unwrap();
        let frames = || element.property::<gst::Structure>("stats").get::<u64>("frames").unwrap();
        let bus = pipeline.bus().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        while frames() < FRAMES / 10 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let Some(before) = resident() else {
            skip::impossible("this system does not tell what is resident");
            return;
        };
        let wanted = [gst::MessageType::Error, gst::MessageType::Eos];
        let message = bus.timed_pop_filtered(gst::ClockTime::NONE, &wanted).unwrap();
        assert_eq!(message.type_(), gst::MessageType::Eos);
        let after = resident().unwrap();
        assert_eq!(frames(), FRAMES);
        eprintln!("{pacing}: {} MB, then {} MB", before >> 20, after >> 20);
        assert!(after < before + GROWTH, "{pacing}: {before} became {after}");
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
