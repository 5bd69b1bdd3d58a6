//! The timecode of a QuickTime film: read from its track, and told of each frame that is written.

use std::path::Path;

use gst_video::{ValidVideoTimeCode, VideoTimeCode, VideoTimeCodeFlags, VideoTimeCodeMeta};

use crate::mp4;

/// The timecode of a film's first frame, from which all others follow.
#[derive(Clone, Debug)]
pub struct Timecode(ValidVideoTimeCode);

impl Timecode {
    /// None where a film has none, or one that makes no sense.
    pub fn of(input: &Path) -> Option<Self> {
        let mp4::Timecode { first, scale, lasts, drops } = mp4::timecode(input)?;
        let rate = gst::Fraction::new(i32::try_from(scale).ok()?, i32::try_from(lasts).ok()?);
        let flags = match drops {
            true => VideoTimeCodeFlags::DROP_FRAME,
            false => VideoTimeCodeFlags::empty(),
        };
        let zero = VideoTimeCode::new(rate, None, flags, 0, 0, 0, 0, 0);
        let mut code = ValidVideoTimeCode::try_from(zero).ok()?;
        code.add_frames(i64::from(first));
        Some(Self(code))
    }

    /// That of a frame, counted from the film's first.
    pub fn at(&self, frame: u64) -> ValidVideoTimeCode {
        let mut code = self.0.clone();
        code.add_frames(i64::try_from(frame).unwrap_or(0));
        code
    }

    /// Tells a muxer that of its first frame, which has this number; it counts on by itself.
    pub fn begin(&self, muxer: &gst::Pad, frame: u64) {
        use gst::prelude::*;
        let code = self.at(frame);
        muxer.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(buffer) = info.buffer_mut() {
                VideoTimeCodeMeta::add(buffer.make_mut(), &code);
            }
            gst::PadProbeReturn::Remove
        });
    }
}
