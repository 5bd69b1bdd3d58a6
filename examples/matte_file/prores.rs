//! Colour in ProRes's frame headers.
//!
//! FFmpeg's encoder leaves primaries, transfer function and matrix unspecified there, and players
//! go by the header rather than by the container.

use gst::glib::translate::IntoGlib;
use gst::prelude::*;

/// Where the three bytes lie: after the frame's size and name, and the header's size, version,
/// creator, width, height, flags and a reserved byte.
const AT: usize = 4 + 4 + 2 + 2 + 4 + 2 + 2 + 1 + 1;

/// Writes the encoder's colorimetry into the frames that leave it.
pub fn tag_colors(encoder: &gst::Element) {
    let (Some(sink), Some(src)) = (encoder.static_pad("sink"), encoder.static_pad("src")) else {
        return;
    };
    src.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let colors = sink.current_caps().as_deref().and_then(codes);
        if let (Some(colors), Some(buffer)) = (colors, info.buffer_mut())
            && let Ok(mut frame) = buffer.make_mut().map_writable()
            && frame.get(4..8) == Some(b"icpf")
            && let Some(place) = frame.get_mut(AT..AT + 3)
        {
            place.copy_from_slice(&colors);
        }
        gst::PadProbeReturn::Ok
    });
}

/// What ITU-T H.273 calls unspecified.
const UNSPECIFIED: u8 = 2;
// The numbers of H.273 in the order of GStreamer's, of which those that came with later versions
// have no names here. Adobe's RGB and the gammas 1.8 and 2.0 have none there.
const PRIMARIES: [u8; 13] = [2, 1, 4, 5, 6, 7, 8, 9, 2, 10, 11, 12, 22];
const TRANSFERS: [u8; 17] = [2, 8, 2, 2, 4, 1, 7, 13, 5, 9, 10, 15, 2, 14, 16, 18, 6];
const MATRICES: [u8; 7] = [2, 0, 4, 1, 6, 7, 9];

/// Primaries, transfer function and matrix of frames by H.273.
fn codes(caps: &gst::CapsRef) -> Option<[u8; 3]> {
    let colors = gst_video::VideoInfo::from_caps(caps).ok()?.colorimetry();
    let code = |codes: &[u8], at: i32| {
        usize::try_from(at).ok().and_then(|at| codes.get(at)).copied().unwrap_or(UNSPECIFIED)
    };
    Some([
        code(&PRIMARIES, colors.primaries().into_glib()),
        code(&TRANSFERS, colors.transfer().into_glib()),
        code(&MATRICES, colors.matrix().into_glib()),
    ])
}
