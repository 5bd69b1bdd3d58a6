//! What this program's own filters say of themselves.

use gst::subclass::ElementMetadata;
use gst_video::{VideoCapsBuilder, VideoFormat};

/// The formats of mattes, for 8 bits and for more.
pub const GRAYS: [VideoFormat; 2] = [VideoFormat::Gray8, VideoFormat::Gray16Le];

/// What a filter is.
pub fn metadata(name: &str, description: &str) -> ElementMetadata {
    ElementMetadata::new(name, "Filter/Video", description, env!("CARGO_PKG_AUTHORS"))
}

/// Video of any of these formats.
pub fn formats(formats: &[VideoFormat]) -> gst::Caps {
    VideoCapsBuilder::new().format_list(formats.iter().copied()).build()
}

/// Templates of the two pads.
pub fn templates(sink: &gst::Caps, src: &gst::Caps) -> Vec<gst::PadTemplate> {
    let template = |name, direction, caps| {
        gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps)
    };
    let [sink, src] = [
        template("sink", gst::PadDirection::Sink, sink),
        template("src", gst::PadDirection::Src, src),
    ];
    sink.into_iter().chain(src).collect()
}

/// What caps on one side become on the other: each structure as `change` leaves it, without what is said of colours.
pub fn transformed(
    caps: &gst::Caps,
    filter: Option<&gst::Caps>,
    change: impl Fn(&mut gst::StructureRef),
) -> gst::Caps {
    let mut other = caps.clone();
    for structure in other.make_mut().iter_mut() {
        structure.remove_fields(["colorimetry", "chroma-site"]);
        change(structure);
    }
    match filter {
        Some(filter) => filter.intersect_with_mode(&other, gst::CapsIntersectMode::First),
        None => other,
    }
}
