//! How frames are turned, and that it is told once.

use std::path::Path;

use gst::prelude::*;
use image::metadata::Orientation;
use image::{ImageDecoder as _, ImageReader};

use crate::error::Error;
use crate::mp4;
use crate::survey::{Survey, make, pad};

/// Turns and mirrors frames as a file says.
///
/// # Errors
/// [`Error::GStreamer`].
pub fn upright(input: &Path, survey: &Survey) -> Result<gst::Element, Error> {
    let flip = make("videoflip")?;
    match direction(input, survey) {
        None => flip.set_property_from_str("video-direction", "auto"),
        Some(direction) => {
            flip.set_property_from_str("video-direction", direction);
            forget_orientation(&pad(&flip, "sink")?);
        }
    }
    Ok(flip)
}

/// The direction where GStreamer is not told it by a tag.
fn direction(input: &Path, survey: &Survey) -> Option<&'static str> {
    const LEFT: i32 = -(1 << 16);
    match mp4::video(input) {
        // The one matrix that qtdemux does not know.
        Some(video) if video.matrix == [0, LEFT, LEFT, 0] => return Some("ur-ll"),
        Some(_) => return None,
        None => {}
    }
    // Only pictures have Exif data that count, and they are read whole.
    (survey.frames == 1).then(|| of_picture(input)).flatten()
}

/// The direction that a JPEG, PNG or WebP's Exif data tell. Decoders pass them on or not, by
/// version.
fn of_picture(input: &Path) -> Option<&'static str> {
    let reader = ImageReader::open(input).ok()?.with_guessed_format().ok()?;
    Some(match reader.into_decoder().ok()?.orientation().ok()? {
        Orientation::NoTransforms => return None,
        Orientation::Rotate90 => "90r",
        Orientation::Rotate180 => "180",
        Orientation::Rotate270 => "90l",
        Orientation::FlipHorizontal => "horiz",
        Orientation::FlipVertical => "vert",
        Orientation::Rotate90FlipH => "ul-lr",
        Orientation::Rotate270FlipH => "ur-ll",
    })
}

/// Lets no tag go on that says how to turn what will be upright: a muxer would write it down.
fn forget_orientation(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::EventView::Tag(tag)) = info.event().map(|event| event.view())
            && tag.tag().get::<gst::tags::ImageOrientation>().is_some()
        {
            let mut tags = tag.tag_owned();
            tags.make_mut().remove::<gst::tags::ImageOrientation>();
            info.data = Some(gst::PadProbeData::Event(gst::event::Tag::new(tags)));
        }
        gst::PadProbeReturn::Ok
    });
}
